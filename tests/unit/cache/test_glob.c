/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns mean what they mean to Redis, and cost no more than their product of lengths. */
#include "cache/glob.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

static void patterns_match_as_in_redis(void **state) {
    (void)state;
    static const struct {
        const char *pattern;
        const char *key;
        bool matches;
    } rows[] = {
        {"", "", true},
        {"", "a", false},
        {"*", "", true},
        {"*", "stats:overall", true},
        {"**", "a", true},
        {"stats:*", "stats:overall", true},
        {"stats:*", "stats", false},
        {"*:overall", "stats:overall", true},
        {"s*:*l", "stats:overall", true},
        {"*a*b", "aXbXb", true},
        {"*a*b", "aXbXc", false},
        {"h?llo", "hello", true},
        {"h?llo", "hllo", false},
        {"?", "", false},
        {"h[ae]llo", "hallo", true},
        {"h[ae]llo", "hillo", false},
        {"h[^e]llo", "hallo", true},
        {"h[^e]llo", "hello", false},
        {"h[a-c]llo", "hbllo", true},
        {"h[c-a]llo", "hbllo", true},
        {"h[a-c]llo", "hdllo", false},
        {"[\\]]", "]", true},
        {"[\\-]", "-", true},
        {"[a\\-c]", "b", false},
        {"[]", "]", false},
        {"[^]", "x", true},
        {"[ab", "b", true},
        {"[ab", "c", false},
        {"[", "[", false},
        {"[a-", "-", true},
        {"\\*", "*", true},
        {"\\*", "a", false},
        {"a\\", "a\\", true},
        {"a\\", "a", false},
        {"a*[0-9]", "a1b2", true},
        {"a*[0-9]", "a1b", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (glob_matches(slice_of(rows[i].pattern), slice_of(rows[i].key)) != rows[i].matches) {
            fail_msg("%s against %s should be %d", rows[i].pattern, rows[i].key, rows[i].matches);
        }
    }
}

static void bytes_are_compared_unsigned_and_may_be_nul(void **state) {
    (void)state;
    assert_true(glob_matches(SLICE_LIT("[\x7f-\xff]"), SLICE_LIT("\x80")));
    assert_false(glob_matches(SLICE_LIT("[\x7f-\xff]"), SLICE_LIT("a")));
    assert_true(glob_matches(SLICE_LIT("a\0*"), SLICE_LIT("a\0b")));
    assert_false(glob_matches(SLICE_LIT("a\0b"), SLICE_LIT("a")));
}

/* A matcher that tries every way through n stars needs about 1000^16 steps here. */
static void hostile_pattern_ends(void **state) {
    (void)state;
    static char key[1024];
    memset(key, 'a', sizeof key);
    assert_false(glob_matches(SLICE_LIT("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*ab"),
                              slice_from(key, sizeof key)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_match_as_in_redis),
        cmocka_unit_test(bytes_are_compared_unsigned_and_may_be_nul),
        cmocka_unit_test(hostile_pattern_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
