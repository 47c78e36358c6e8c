/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: sums and gauges of a window are those of its last 300 seconds, whatever the clock does; and
 * the minutes behind it keep a day. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "monitor/history.h"
#include "monitor/seconds.h"

#include <math.h>

static struct seconds *seconds;
static uint64_t sums[SECOND_COUNTER_COUNT];

static int make(void **state) {
    (void)state;
    seconds = seconds_create();
    return seconds == NULL ? -1 : 0;
}

static int drop(void **state) {
    (void)state;
    seconds_destroy(seconds);
    return 0;
}

static int64_t at(double s) {
    return (int64_t)(s * 1e6);
}

static void take(double s, uint64_t transactions, double tps) {
    struct second_sample sample = {.counters = {0}};
    for (int i = 0; i < SECOND_GAUGE_COUNT; i++) {
        sample.gauges[i] = NAN;
    }
    sample.counters[SECOND_transactions] = transactions;
    sample.gauges[GAUGE_tps] = tps;
    seconds_take(seconds, at(s), &sample);
}

static uint64_t sum_at(double s) {
    seconds_sum(seconds, at(s), sums);
    return sums[SECOND_transactions];
}

static void the_first_sample_counts_nothing(void **state) {
    (void)state;
    take(10, 500, NAN);
    assert_int_equal(sum_at(10), 0);
    take(11, 507, NAN);
    assert_int_equal(sum_at(11), 7);
}

static void a_second_is_told_with_what_grew_in_it(void **state) {
    (void)state;
    struct second_sample row;
    int64_t begun_us;
    take(10.2, 500, 1);
    take(11.2, 507, 7);
    take(11.7, 510, NAN);
    take(13.2, 511, 0.5);
    assert_true(seconds_back(seconds, at(13.5), 2, &row, &begun_us));
    assert_int_equal(begun_us, at(11));
    assert_int_equal(row.counters[SECOND_transactions], 10);
    assert_true(row.gauges[GAUGE_tps] == 7);
    assert_false(seconds_back(seconds, at(13.5), 1, &row, &begun_us)); /* nothing was taken */
    assert_false(seconds_back(seconds, at(13.5), 3, &row, &begun_us)); /* the first has no growth */
    assert_true(seconds_back(seconds, at(311.5), 298, &row, &begun_us));
    assert_int_equal(begun_us, at(13));
    assert_false(seconds_back(seconds, at(313.5), 0, &row, &begun_us));
}

static void growth_leaves_the_window_after_300_seconds(void **state) {
    (void)state;
    take(0, 0, NAN);
    take(1, 5, NAN);
    take(2, 8, NAN);
    assert_int_equal(sum_at(300.9), 8);
    assert_int_equal(sum_at(301), 3);
    assert_int_equal(sum_at(302), 0);
}

static void a_gap_counts_when_it_ends_unless_it_is_as_long_as_the_window(void **state) {
    (void)state;
    take(0, 0, NAN);
    take(299, 40, NAN);
    assert_int_equal(sum_at(299), 40);
    take(299 + 300, 90, NAN);
    assert_int_equal(sum_at(599), 0);
    take(600, 91, NAN);
    assert_int_equal(sum_at(600), 1);
    assert_int_equal(seconds_covered(seconds), 1);
}

static void time_that_steps_back_counts_as_the_latest_seen(void **state) {
    (void)state;
    take(100, 0, NAN);
    take(200, 10, 3);
    take(50, 14, 9);
    assert_int_equal(sum_at(60), 14);
    assert_true(seconds_peak(seconds, at(200), GAUGE_tps, 1) == 9);
    assert_int_equal(sum_at(500), 0);
}

static void a_counter_that_shrank_began_anew(void **state) {
    (void)state;
    take(0, 100, NAN);
    take(1, 130, NAN);
    take(2, 4, NAN);
    assert_int_equal(sum_at(2), 34);
}

static void gauges_have_their_mean_and_peak_of_the_seconds_that_know(void **state) {
    (void)state;
    take(0, 0, 10);
    take(1, 0, NAN);
    take(2, 0, 30);
    take(4, 0, 20);
    assert_true(seconds_mean(seconds, at(4), GAUGE_tps, 300) == 20);
    assert_true(seconds_peak(seconds, at(4), GAUGE_tps, 300) == 30);
    assert_true(seconds_peak(seconds, at(4), GAUGE_tps, 2) == 20);
    assert_true(isnan(seconds_mean(seconds, at(4), GAUGE_cpu, 300)));
    assert_int_equal(seconds_above(seconds, at(4), GAUGE_tps, 10), 2);
    assert_true(isnan(seconds_peak(seconds, at(2000), GAUGE_tps, 300)));
}

static void of_two_samples_in_a_second_the_higher_gauge_stays(void **state) {
    (void)state;
    take(5.1, 0, 7);
    take(5.9, 0, 3);
    assert_true(seconds_peak(seconds, at(5.9), GAUGE_tps, 1) == 7);
}

/* ---- minutes ---- */

static struct minute minute_of(int64_t rss, uint64_t queries, double queue_ms) {
    return (struct minute){.rss_bytes = rss, .queries = queries, .db_queue_ms = queue_ms};
}

static void a_day_of_minutes_is_kept_and_the_oldest_goes(void **state) {
    (void)state;
    struct history *history = history_create();
    assert_non_null(history);
    for (int i = 0; i < HISTORY_MINUTES + 3; i++) {
        history_add(history, &(struct minute){.at_ms = i});
    }
    assert_int_equal(history_len(history), HISTORY_MINUTES);
    assert_int_equal(history_back(history, 0)->at_ms, HISTORY_MINUTES + 2);
    assert_int_equal(history_back(history, HISTORY_MINUTES - 1)->at_ms, 3);
    history_destroy(history);
}

static void growth_needs_a_quarter_of_an_hour_and_is_per_hour(void **state) {
    (void)state;
    struct history *history = history_create();
    assert_non_null(history);
    for (int i = 0; i < 14; i++) {
        struct minute minute = minute_of(1000000 + i * 1000, 0, NAN);
        history_add(history, &minute);
        assert_true(isnan(history_rss_growth_per_h(history)));
    }
    struct minute unknown = minute_of(-1, 0, NAN);
    history_add(history, &unknown); /* says nothing, counts for nothing */
    assert_true(isnan(history_rss_growth_per_h(history)));
    struct minute last = minute_of(1000000 + 15 * 1000, 0, NAN);
    history_add(history, &last);
    assert_true(fabs(history_rss_growth_per_h(history) - 60000) < 1);
    history_destroy(history);
}

static void waiting_is_weighted_by_operations(void **state) {
    (void)state;
    struct history *history = history_create();
    assert_non_null(history);
    const struct minute minutes[] = {minute_of(0, 30, 10), minute_of(0, 10, 50),
                                     minute_of(0, 0, NAN), minute_of(0, 5, 80)};
    for (size_t i = 0; i < sizeof minutes / sizeof minutes[0]; i++) {
        history_add(history, &minutes[i]);
    }
    assert_true(history_queue_ms(history, 0, 1) == 80);
    assert_true(isnan(history_queue_ms(history, 1, 1)));
    assert_true(history_queue_ms(history, 1, 4) == 20);
    history_destroy(history);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, make, drop)

int main(void) {
    const struct CMUnitTest tests[] = {
        EACH(the_first_sample_counts_nothing),
        EACH(a_second_is_told_with_what_grew_in_it),
        EACH(growth_leaves_the_window_after_300_seconds),
        EACH(a_gap_counts_when_it_ends_unless_it_is_as_long_as_the_window),
        EACH(time_that_steps_back_counts_as_the_latest_seen),
        EACH(a_counter_that_shrank_began_anew),
        EACH(gauges_have_their_mean_and_peak_of_the_seconds_that_know),
        EACH(of_two_samples_in_a_second_the_higher_gauge_stays),
        cmocka_unit_test(a_day_of_minutes_is_kept_and_the_oldest_goes),
        cmocka_unit_test(growth_needs_a_quarter_of_an_hour_and_is_per_hour),
        cmocka_unit_test(waiting_is_weighted_by_operations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
