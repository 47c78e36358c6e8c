/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: an event is one line, whatever its values are, and a repeated one is folded. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/log.h"

#include <stdbool.h>
#include <string.h>

static char last[4096];
static int lines;

static void keep(const char *line, size_t len, void *data) {
    (void)data;
    assert_true(len < sizeof last);
    memcpy(last, line, len);
    last[len] = '\0';
    lines++;
}

static bool is_one_line(void) {
    size_t len = strlen(last);
    return len > 0 && strcspn(last, "\r\n\x1b\t\x7f") == len - 1 && last[len - 1] == '\n';
}

static void no_value_begins_a_line_or_moves_the_cursor(void **state) {
    (void)state;
    lines = 0;
    log_event(LOG_WARN, "hostile", "name=\"%s\"",
              "x\nt=2026-01-01T00:00:00.000Z level=error event=forged\r\x1b[2J\x7f\t");
    assert_int_equal(lines, 1);
    assert_true(is_one_line());
    assert_non_null(strstr(last, "level=warn event=hostile name=\"x?t=2026"));
}

static void a_long_value_is_cut_and_still_one_line(void **state) {
    (void)state;
    static char value[5000];
    memset(value, 'x', sizeof value - 1);
    lines = 0;
    log_event(LOG_ERROR, "long", "value=%s", value);
    assert_int_equal(lines, 1);
    assert_true(is_one_line());
    assert_true(strlen(last) <= 1025);
}

/* The wall clock may turn a second meanwhile: then there are up to twice as many. */
static void a_repeated_event_is_folded(void **state) {
    (void)state;
    enum { REPEATS = 1000, A_SECOND = 10 };
    lines = 0;
    for (int i = 0; i < REPEATS; i++) {
        log_event(LOG_INFO, "again", "i=%d", i);
    }
    assert_true(lines >= A_SECOND && lines < REPEATS);
}

static void what_is_below_the_level_is_not_written(void **state) {
    (void)state;
    lines = 0;
    log_event(LOG_DEBUG, "quiet", "%s", "");
    assert_int_equal(lines, 0);
    log_set_level(LOG_DEBUG);
    log_event(LOG_DEBUG, "loud", "%s", "");
    assert_int_equal(lines, 1);
    log_set_level(LOG_INFO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_value_begins_a_line_or_moves_the_cursor),
        cmocka_unit_test(a_long_value_is_cut_and_still_one_line),
        cmocka_unit_test(a_repeated_event_is_folded),
        cmocka_unit_test(what_is_below_the_level_is_not_written),
    };
    log_set_sink(keep, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
