/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the line tells how far, how fast and how long, and never more than it knows. */
#include "app/progress.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

static void assert_line(struct progress_state state, const char *expected) {
    struct buf line;
    buf_init(&line, 1024);
    progress_line(&state, &line);
    buf_add_char(&line, '\0');
    assert_false(line.failed);
    assert_string_equal(line.at, expected);
    buf_fini(&line);
}

static void half_way_shows_half_a_bar_and_the_time_left(void **state) {
    (void)state;
    assert_line((struct progress_state){"importing", 500, 1000, 26112, 2000000},
                "importing [############------------]  50 %  26,112 rows  13,056/s  3 s left");
}

static void without_a_total_there_is_no_bar(void **state) {
    (void)state;
    assert_line((struct progress_state){"importing", 500, 0, 1234567, 1000000},
                "importing  1,234,567 rows  1,234,567/s");
}

static void at_the_start_nothing_is_divided_by_nothing(void **state) {
    (void)state;
    assert_line((struct progress_state){"demo", 0, 10, 0, 0},
                "demo [------------------------]   0 %  0 rows");
}

static void a_file_that_grew_stays_at_a_hundred(void **state) {
    (void)state;
    assert_line((struct progress_state){"importing", 30, 20, 7, 1000000},
                "importing [########################] 100 %  7 rows  7/s");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_way_shows_half_a_bar_and_the_time_left),
        cmocka_unit_test(without_a_total_there_is_no_bar),
        cmocka_unit_test(at_the_start_nothing_is_divided_by_nothing),
        cmocka_unit_test(a_file_that_grew_stays_at_a_hundred),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
