/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a change helped: blocks before time, and neither by chance. */
#include "optimizer/effect.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>

static enum effect_e judge(double ms_before, double blocks_before, double ms_after,
                           double blocks_after) {
    return effect_judge((struct effect_figures){ms_before, blocks_before},
                        (struct effect_figures){ms_after, blocks_after});
}

static void a_fifth_of_the_blocks_decides(void **state) {
    (void)state;
    assert_int_equal(judge(1, 100, 1, 80), EFFECT_BETTER);
    assert_int_equal(judge(1, 100, 1, 81), EFFECT_NONE);
    assert_int_equal(judge(1, 80, 1, 100), EFFECT_WORSE);
    assert_int_equal(judge(1, 81, 1, 100), EFFECT_NONE);
}

static void fewer_than_eight_blocks_are_no_effect(void **state) {
    (void)state;
    assert_int_equal(judge(1, 10, 1, 3), EFFECT_NONE);
    assert_int_equal(judge(1, 10, 1, 2), EFFECT_BETTER);
    assert_int_equal(judge(1, 2, 1, 9), EFFECT_NONE);
}

static void time_decides_when_blocks_do_not(void **state) {
    (void)state;
    assert_int_equal(judge(10, 50, 5, 50), EFFECT_BETTER);
    assert_int_equal(judge(10, 50, 5.1, 50), EFFECT_NONE);
    assert_int_equal(judge(5, 50, 10, 50), EFFECT_WORSE);
    assert_int_equal(judge(4, 50, 0.1, 50), EFFECT_NONE); /* below 5 ms it is noise */
}

static void more_blocks_in_half_of_the_time_are_better(void **state) {
    (void)state;
    assert_int_equal(judge(20, 50, 5, 100), EFFECT_BETTER);
    assert_int_equal(judge(20, 50, 15, 100), EFFECT_WORSE);
}

static void a_query_that_did_not_end_is_worse_than_any_that_did(void **state) {
    (void)state;
    assert_int_equal(judge(INFINITY, INFINITY, 9000, 1e9), EFFECT_BETTER);
    assert_int_equal(judge(9000, 1e9, INFINITY, INFINITY), EFFECT_WORSE);
    assert_int_equal(judge(INFINITY, INFINITY, INFINITY, INFINITY), EFFECT_NONE);
}

static void one_better_query_keeps_a_change_that_harms_another(void **state) {
    (void)state;
    enum effect_e mixed[] = {EFFECT_WORSE, EFFECT_NONE, EFFECT_BETTER};
    enum effect_e harmful[] = {EFFECT_NONE, EFFECT_WORSE, EFFECT_NONE};
    assert_int_equal(effect_of_all(mixed, 3), EFFECT_BETTER);
    assert_int_equal(effect_of_all(harmful, 3), EFFECT_WORSE);
    assert_int_equal(effect_of_all(harmful, 1), EFFECT_NONE);
    assert_int_equal(effect_of_all(harmful, 0), EFFECT_NONE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fifth_of_the_blocks_decides),
        cmocka_unit_test(fewer_than_eight_blocks_are_no_effect),
        cmocka_unit_test(time_decides_when_blocks_do_not),
        cmocka_unit_test(more_blocks_in_half_of_the_time_are_better),
        cmocka_unit_test(a_query_that_did_not_end_is_worse_than_any_that_did),
        cmocka_unit_test(one_better_query_keeps_a_change_that_harms_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
