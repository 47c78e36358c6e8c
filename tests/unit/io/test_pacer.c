/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a pacer turns by itself and when it is woken, and has ended once it is stopped. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "io/pacer.h"

#include <stdatomic.h>
#include <unistd.h>

enum { NEVER_MS = 3600000 };

static void count(void *data) {
    atomic_fetch_add((atomic_int *)data, 1);
}

static struct pacer *start(atomic_int *turns, int64_t every_ms) {
    atomic_init(turns, 0);
    struct pacer *pacer = pacer_start(&(struct pacer_options){
        .name = "pacer", .every_ms = every_ms, .turn = count, .data = turns});
    assert_non_null(pacer);
    return pacer;
}

static void wait_for(atomic_int *turns, int wanted) {
    while (atomic_load(turns) < wanted) {
        usleep(1000);
    }
}

static void it_turns_by_itself(void **state) {
    (void)state;
    atomic_int turns;
    struct pacer *pacer = start(&turns, 1);
    wait_for(&turns, 3);
    pacer_stop(pacer);
}

static void it_turns_when_it_is_woken(void **state) {
    (void)state;
    atomic_int turns;
    struct pacer *pacer = start(&turns, NEVER_MS);
    wait_for(&turns, 1);
    pacer_wake(pacer);
    wait_for(&turns, 2);
    pacer_stop(pacer); /* at once, though its rest is long */
    assert_int_equal(atomic_load(&turns), 2);
}

static void stopping_waits_for_the_first_turn(void **state) {
    (void)state;
    atomic_int turns;
    for (int i = 0; i < 100; i++) {
        pacer_stop(start(&turns, NEVER_MS));
        assert_int_equal(atomic_load(&turns), 1);
    }
    pacer_stop(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_turns_by_itself),
        cmocka_unit_test(it_turns_when_it_is_woken),
        cmocka_unit_test(stopping_waits_for_the_first_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
