/* SPDX-License-Identifier: Apache-2.0 */
/* How old what a standby shows may be: marks, what has replayed them, and what proves nothing. */
#include "store/postgres_lag.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

enum { LIMIT = 500, T0 = 1000 };

static struct pg_lag fresh_lag(void) {
    struct pg_lag lag;
    pg_lag_init(&lag, LIMIT);
    return lag;
}

static void nothing_is_known_at_first(void **state) {
    (void)state;
    struct pg_lag lag = fresh_lag();
    assert_false(pg_lag_is_fresh(&lag, T0));
    assert_true(pg_lag_wants_mark(&lag, T0));
    pg_lag_see(&lag, INT64_MAX, true); /* whatever it has: there is no mark to compare with */
    assert_false(pg_lag_is_fresh(&lag, T0));
}

static void a_standby_with_the_mark_is_good_for_the_limit_from_the_moment_of_the_mark(
    void **state) {
    (void)state;
    struct pg_lag lag = fresh_lag();
    pg_lag_mark(&lag, T0, 70);
    assert_false(pg_lag_is_fresh(&lag, T0));
    pg_lag_see(&lag, 70, true);
    assert_true(pg_lag_is_fresh(&lag, T0));
    assert_true(pg_lag_is_fresh(&lag, T0 + LIMIT - 1));
    assert_false(pg_lag_is_fresh(&lag, T0 + LIMIT));
    assert_true(pg_lag_wants_mark(&lag, T0 + LIMIT));
}

static void an_idle_primary_makes_nobody_look_late(void **state) {
    (void)state;
    struct pg_lag lag = fresh_lag();
    for (int64_t now = T0; now < T0 + 100 * LIMIT; now += LIMIT) {
        pg_lag_mark(&lag, now, 70); /* it does not move */
        pg_lag_see(&lag, 70, true);
        assert_true(pg_lag_is_fresh(&lag, now));
    }
}

static void a_standby_before_the_mark_is_late_however_often_it_is_asked(void **state) {
    (void)state;
    struct pg_lag lag = fresh_lag();
    pg_lag_mark(&lag, T0, 70);
    for (int i = 0; i < 10; i++) {
        pg_lag_see(&lag, 69, true);
        assert_false(pg_lag_is_fresh(&lag, T0 + i));
    }
}

/* Always 300 late with a limit of 500: new marks at every question would never be reached. */
static void a_mark_is_kept_until_it_is_reached_or_proves_nothing(void **state) {
    (void)state;
    struct pg_lag lag = fresh_lag();
    pg_lag_mark(&lag, T0, 70);
    pg_lag_see(&lag, 60, true);
    assert_false(pg_lag_wants_mark(&lag, T0 + 299));
    pg_lag_see(&lag, 70, true);
    assert_true(pg_lag_is_fresh(&lag, T0 + 300));
    assert_false(pg_lag_is_fresh(&lag, T0 + LIMIT));

    pg_lag_mark(&lag, T0, 70);
    assert_false(pg_lag_wants_mark(&lag, T0 + LIMIT - 1));
    assert_true(pg_lag_wants_mark(&lag, T0 + LIMIT));
}

static void a_mark_that_is_reached_late_proves_nothing(void **state) {
    (void)state;
    struct pg_lag lag = fresh_lag();
    pg_lag_mark(&lag, T0, 70);
    pg_lag_see(&lag, 70, true);
    assert_false(pg_lag_is_fresh(&lag, T0 + LIMIT + 1));
}

/* Far behind, and asked every 100: each mark is given up before it is reached, and still the lag is
 * known: never as more than it is, and closely. The primary writes one byte a tick. */
static void how_far_it_is_behind_is_known_though_no_mark_is_reached_in_time(void **state) {
    (void)state;
    static const int64_t lags[] = {600, 2000, 60000};
    for (int i = 0; i < 3; i++) {
        struct pg_lag lag = fresh_lag();
        for (int64_t now = T0; now < T0 + 4 * lags[i]; now += 100) {
            if (pg_lag_wants_mark(&lag, now)) {
                pg_lag_mark(&lag, now, now);
            }
            pg_lag_see(&lag, now - lags[i], true);
            assert_false(pg_lag_is_fresh(&lag, now));
            int64_t behind = pg_lag_behind_us(&lag, now);
            assert_true(behind <= lags[i]);
            assert_true(now < T0 + lags[i] ? behind == now - T0
                                           : behind >= lags[i] - LIMIT - lags[i] / 4);
        }
        pg_lag_see(&lag, INT64_MAX, true); /* it has caught up */
        assert_int_equal(pg_lag_behind_us(&lag, T0 + 5 * lags[i]), 0);
    }
}

/* A read a second, each a few ticks before its mark arrives: late by those, not by a second. */
static void rare_questions_do_not_make_it_look_behind(void **state) {
    (void)state;
    struct pg_lag lag = fresh_lag();
    for (int64_t now = T0; now < T0 + 10000; now += 1000) {
        assert_true(pg_lag_wants_mark(&lag, now));
        pg_lag_mark(&lag, now, now);
        pg_lag_see(&lag, now - 3, true);
        assert_int_equal(pg_lag_behind_us(&lag, now), 0);
    }
    pg_lag_see(&lag, T0 + 10000, true);
    assert_int_equal(pg_lag_behind_us(&lag, T0 + 20000), 0);
}

static void a_standby_that_receives_nothing_is_not_believed(void **state) {
    (void)state;
    struct pg_lag lag = fresh_lag();
    pg_lag_mark(&lag, T0, 70);
    pg_lag_see(&lag, 70, false);
    assert_false(pg_lag_is_fresh(&lag, T0));
    pg_lag_mark(&lag, T0, 70);
    pg_lag_see(&lag, 70, true);
    pg_lag_see(&lag, 80, false); /* nor for the rest of the time that it was good for */
    assert_false(pg_lag_is_fresh(&lag, T0));
}

static void a_new_connection_forgets_what_was_about_another_server(void **state) {
    (void)state;
    struct pg_lag lag = fresh_lag();
    pg_lag_mark(&lag, T0, 70);
    pg_lag_see(&lag, 70, true);
    pg_lag_mark(&lag, T0 + 1, 80);
    pg_lag_forget(&lag);
    assert_false(pg_lag_is_fresh(&lag, T0 + 1));
    pg_lag_see(&lag, 90, true);
    assert_false(pg_lag_is_fresh(&lag, T0 + 1));
    assert_int_equal(lag.limit_us, LIMIT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_known_at_first),
        cmocka_unit_test(
            a_standby_with_the_mark_is_good_for_the_limit_from_the_moment_of_the_mark),
        cmocka_unit_test(an_idle_primary_makes_nobody_look_late),
        cmocka_unit_test(a_standby_before_the_mark_is_late_however_often_it_is_asked),
        cmocka_unit_test(a_mark_is_kept_until_it_is_reached_or_proves_nothing),
        cmocka_unit_test(a_mark_that_is_reached_late_proves_nothing),
        cmocka_unit_test(how_far_it_is_behind_is_known_though_no_mark_is_reached_in_time),
        cmocka_unit_test(rare_questions_do_not_make_it_look_behind),
        cmocka_unit_test(a_standby_that_receives_nothing_is_not_believed),
        cmocka_unit_test(a_new_connection_forgets_what_was_about_another_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
