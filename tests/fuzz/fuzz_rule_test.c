/* SPDX-License-Identifier: Apache-2.0 */
/* A file of rule tests that is taken can be run, within its bounds; one that is refused says
 * why. */
#include "base/assert.h"
#include "control/rule_test.h"
#include "fuzz.h"

enum { ARENA_LIMIT = 32 << 20, STEPS_MAX = 2000 };

static void run(struct arena *arena, const struct rule_tests *tests) {
    static struct policy policy;
    static struct rule_test_result result;
    struct problem problem;
    policy_init(&policy, NULL);
    for (size_t i = 0; i < tests->len && i < 4; i++) {
        const struct rule_test *test = &tests->items[i];
        ASSERT(test->steps > 0 && test->steps <= RULE_SERIES_MAX && test->expect_len > 0);
        if (test->steps <= STEPS_MAX &&
            rule_test_run(arena, test, &policy, &result, &problem) == ERR_OK) {
            ASSERT(result.failures_len <= result.failed);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena;
    struct rule_tests tests;
    struct problem problem = {.field = ""};
    arena_init(&arena, ARENA_LIMIT);
    if (rule_tests_read(&arena, slice_from((const char *)data, size), &tests, &problem) ==
        ERR_OK) {
        run(&arena, &tests);
    } else {
        ASSERT(problem.detail[0] != '\0');
    }
    arena_fini(&arena);
    return 0;
}
