/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the number of nodes follows the rules at their boundaries, and holds, cooldowns, gaps,
 * limits and missing figures hold it back. */
#include "fixture.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

static struct fixture f;

static int fresh(void **state) {
    (void)state;
    fixture_init(&f);
    return 0;
}

static int64_t desired(double t, size_t n, double cpu, double memory) {
    return fixture_load(&f, t, n, cpu, memory)->scale.desired;
}

static bool reason_begins(const char *word) {
    return slice_starts_with(slice_of(f.decision.scale.reason), slice_of(word));
}

static void thresholds_are_strict(void **state) {
    (void)state;
    static const struct {
        double cpu, memory;
        int64_t up;   /* from 4 nodes, at once */
        int64_t down; /* from 4 nodes, with hold_down = 0s */
    } rows[] = {
        {80, 50, 4, 4},     {80.01, 50, 6, 6},   {80.000001, 50, 6, 6}, {79.99, 50, 4, 4},
        {50, 85, 4, 4},     {50, 85.01, 6, 6},   {100, 100, 6, 6},      {30, 40, 4, 4},
        {29.99, 40, 4, 4},  {30, 39.99, 4, 4},   {29.99, 39.99, 4, 2},  {0, 0, 4, 2},
        {10, 90, 6, 6},     {90, 10, 6, 6},      {29.999999, 39.999999, 4, 2},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        fixture_init(&f);
        assert_int_equal(desired(0, 4, rows[i].cpu, rows[i].memory), rows[i].up);
        fixture_init(&f);
        fixture_set(&f, "scaler", "hold_down", "0s");
        assert_int_equal(desired(0, 4, rows[i].cpu, rows[i].memory), rows[i].down);
    }
}

static void an_average_of_exactly_the_limit_is_not_above_it(void **state) {
    (void)state;
    fixture_nodes(&f, 3, 0, 50);
    /* 80.1 + 79.8 + 80.1 is 240.00000000000003 in doubles. */
    f.nodes[0].cpu = 80.1;
    f.nodes[1].cpu = 79.8;
    f.nodes[2].cpu = 80.1;
    assert_int_equal(fixture_decide(&f, 0)->scale.desired, 3);
}

static void averages_are_over_healthy_nodes_alone(void **state) {
    (void)state;
    fixture_nodes(&f, 5, 50, 50);
    f.nodes[4].healthy = false;
    f.nodes[4].cpu = 100;
    f.nodes[3].cpu = 100;
    const struct decision *decision = fixture_decide(&f, 0);
    assert_int_equal(decision->scale.current, 4);
    assert_int_equal(decision->scale.desired, 4); /* 62.5; with the fifth it would be 70 */
    f.nodes[2].cpu = f.nodes[1].cpu = 100;
    f.nodes[4].cpu = 0;
    assert_int_equal(fixture_decide(&f, 1)->scale.desired, 6); /* 87.5; with the fifth 70 */
}

static void steps_are_whole_nodes_within_the_limits(void **state) {
    (void)state;
    static const int64_t up[] = {2, 2, 3, 5, 6, 8, 9, 10, 10, 10, 10, 10, 10};
    static const int64_t down[] = {2, 2, 2, 2, 2, 3, 4, 4, 5, 6, 7, 10, 10};
    for (size_t n = 0; n <= 12; n++) {
        fixture_init(&f);
        fixture_set(&f, "scaler", "hold_down", "0s");
        assert_int_equal(desired(0, n, 90, 50), up[n]);
        fixture_init(&f);
        fixture_set(&f, "scaler", "hold_down", "0s");
        assert_int_equal(desired(0, n, 10, 10), down[n]);
    }
}

static void factors_are_exact_for_every_number_of_nodes(void **state) {
    (void)state;
    for (int64_t n = 0; n <= 1000; n++) {
        assert_int_equal(scale_up_from(n, 15000), (3 * n + 1) / 2);
        assert_int_equal(scale_down_from(n, 7000), 7 * n / 10); /* doubles say 62 for 90 */
        assert_int_equal(scale_up_from(n, 11000), (11 * n + 9) / 10);
        assert_int_equal(scale_up_from(n, 10001), n == 0 ? 0 : n + 1);
        assert_int_equal(scale_up_from(n, 20000), 2 * n);
        assert_int_equal(scale_down_from(n, 5000), n / 2);
        assert_int_equal(scale_down_from(n, 9999), n == 0 ? 0 : n - 1);
    }
}

static void fewer_than_the_minimum_is_mended_at_once_whatever_the_figures(void **state) {
    (void)state;
    fixture_set(&f, "scaler", "min", "4");
    assert_int_equal(desired(0, 0, 0, 0), 4);
    assert_int_equal(desired(1, 3, 95, 95), 4);
    assert_int_equal(desired(2, 3, FIGURE_MISSING, FIGURE_MISSING), 4);
    assert_true(reason_begins("minimum:"));
    assert_non_null(fixture_action(&f, ACTION_AUTO_SCALE));
    assert_int_equal(desired(3, 4, 95, 50), 6); /* mending starts no cooldown */
    assert_int_equal(desired(4, 1, 95, 50), 4); /* and waits for none */
}

static void more_than_the_maximum_is_mended_at_once(void **state) {
    (void)state;
    assert_int_equal(desired(0, 12, 50, 50), 10);
    assert_int_equal(desired(1, 12, 95, 95), 10);
    assert_int_equal(desired(2, 12, FIGURE_MISSING, FIGURE_MISSING), 10);
    assert_true(reason_begins("maximum:"));
    assert_int_equal(desired(3, 10, 95, 50), 10);
    assert_null(fixture_action(&f, ACTION_AUTO_SCALE));
}

static void a_scale_down_needs_a_full_window_that_allows_it(void **state) {
    (void)state;
    for (int t = 0; t < 300; t += 10) {
        assert_int_equal(desired(t, 4, 10, 10), 4);
        assert_true(reason_begins("hold:"));
    }
    assert_int_equal(desired(300, 4, 10, 10), 2);
    assert_true(reason_begins("down:"));
    assert_non_null(fixture_action(&f, ACTION_AUTO_SCALE));
}

static void one_decision_that_does_not_allow_it_starts_the_window_again(void **state) {
    (void)state;
    for (int t = 0; t < 290; t += 10) {
        (void)desired(t, 4, 10, 10);
    }
    (void)desired(290, 4, 30, 10);
    for (int t = 300; t < 600; t += 10) {
        assert_int_equal(desired(t, 4, 10, 10), 4);
    }
    assert_int_equal(desired(600, 4, 10, 10), 2);
}

static void a_gap_in_the_history_starts_the_window_again(void **state) {
    (void)state;
    for (int t = 0; t <= 100; t += 10) {
        (void)desired(t, 4, 10, 10);
    }
    assert_int_equal(desired(5000, 4, 10, 10), 4);
    for (int t = 5010; t < 5300; t += 10) {
        assert_int_equal(desired(t, 4, 10, 10), 4);
    }
    assert_int_equal(desired(5300, 4, 10, 10), 2);
}

static void a_few_late_snapshots_are_no_gap(void **state) {
    (void)state;
    int64_t last = 0;
    for (int t = 0; t <= 300; t += t % 100 == 50 ? 40 : 10) {
        last = desired(t, 4, 10, 10);
    }
    assert_int_equal(last, 2);
}

static void a_recording_at_long_intervals_can_scale_down(void **state) {
    (void)state;
    assert_int_equal(desired(0, 4, 10, 10), 4);
    assert_int_equal(desired(300, 4, 10, 10), 2);
    assert_int_equal(desired(600, 2, 10, 10), 2);
}

static void a_clock_that_goes_back_makes_no_time_and_stops_none(void **state) {
    (void)state;
    for (int t = 1000; t <= 1100; t += 10) {
        (void)desired(t, 4, 10, 10);
    }
    assert_int_equal(desired(-5000, 4, 10, 10), 4); /* 100 s of quiet so far */
    for (int t = -4990; t < -4800; t += 10) {
        assert_int_equal(desired(t, 4, 10, 10), 4);
    }
    assert_int_equal(desired(-4800, 4, 10, 10), 2);
}

static void the_same_time_again_counts_nothing(void **state) {
    (void)state;
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(desired(7, 4, 10, 10), 4);
    }
}

static void a_second_step_up_waits_for_the_cooldown(void **state) {
    (void)state;
    assert_int_equal(desired(0, 4, 90, 50), 6);
    assert_int_equal(desired(10, 4, 90, 50), 4);
    assert_true(reason_begins("cooldown:"));
    assert_null(fixture_action(&f, ACTION_AUTO_SCALE));
    assert_int_equal(desired(59.999, 6, 90, 50), 6);
    assert_int_equal(desired(60, 6, 90, 50), 9);
}

static void a_scale_down_waits_for_the_cooldown_after_any_change(void **state) {
    (void)state;
    fixture_set(&f, "scaler", "hold_down", "0s");
    assert_int_equal(desired(0, 4, 90, 50), 6);
    assert_int_equal(desired(299, 6, 10, 10), 6);
    assert_true(reason_begins("cooldown:"));
    assert_int_equal(desired(300, 6, 10, 10), 4);
    assert_int_equal(desired(301, 4, 90, 10), 6); /* more nodes do not wait for a down */
    assert_int_equal(desired(601, 6, 10, 10), 4);
    assert_int_equal(desired(900, 4, 10, 10), 4);
    assert_int_equal(desired(901, 4, 10, 10), 2);
}

static void hold_up_asks_for_an_unbroken_run(void **state) {
    (void)state;
    fixture_set(&f, "scaler", "hold_up", "30s");
    assert_int_equal(desired(0, 4, 90, 50), 4);
    assert_true(reason_begins("hold:"));
    assert_int_equal(desired(20, 4, 50, 50), 4);
    assert_int_equal(desired(30, 4, 90, 50), 4);
    assert_int_equal(desired(50, 4, 90, 50), 4);
    assert_int_equal(desired(60, 4, 90, 50), 6);
}

static void missing_figures_scale_nothing(void **state) {
    (void)state;
    fixture_set(&f, "scaler", "hold_down", "0s");
    assert_int_equal(desired(0, 4, FIGURE_MISSING, FIGURE_MISSING), 4);
    assert_true(reason_begins("missing:"));
    assert_int_equal(desired(1, 4, 10, FIGURE_MISSING), 4);
    assert_int_equal(desired(2, 4, FIGURE_MISSING, 10), 4);
    fixture_nodes(&f, 4, 10, 10);
    f.nodes[2].cpu = FIGURE_MISSING; /* the silent one may be the busy one */
    assert_int_equal(fixture_decide(&f, 3)->scale.desired, 4);
    f.nodes[2].cpu = 10;
    f.nodes[2].age_ms = 10001;
    assert_int_equal(fixture_decide(&f, 4)->scale.desired, 4);
    f.nodes[2].age_ms = 10000;
    assert_int_equal(fixture_decide(&f, 5)->scale.desired, 2);
}

static void fewer_nodes_are_safe_when_silent_ones_may_be_at_their_limit(void **state) {
    (void)state;
    fixture_set(&f, "scaler", "hold_down", "0s");
    fixture_nodes(&f, 10, 22, 10);
    f.nodes[9].cpu = FIGURE_MISSING; /* at most 298 of 300 */
    assert_int_equal(fixture_decide(&f, 0)->scale.desired, 7);
    fixture_init(&f);
    fixture_set(&f, "scaler", "hold_down", "0s");
    fixture_nodes(&f, 10, 23, 10);
    f.nodes[9].cpu = FIGURE_MISSING; /* up to 307 of 300 */
    assert_int_equal(fixture_decide(&f, 0)->scale.desired, 10);
}

static void a_snapshot_that_knows_no_nodes_scales_nothing(void **state) {
    (void)state;
    f.snapshot.has_nodes = false;
    assert_int_equal(fixture_decide(&f, 0)->scale.desired, 0);
    assert_int_equal(f.decision.actions.len, 0);
}

static void known_figures_are_enough_for_more_nodes(void **state) {
    (void)state;
    fixture_nodes(&f, 4, 90, FIGURE_MISSING);
    f.nodes[3].cpu = FIGURE_MISSING;
    assert_int_equal(fixture_decide(&f, 0)->scale.desired, 6);
    fixture_init(&f);
    assert_int_equal(desired(0, 4, FIGURE_MISSING, 90), 6);
}

static void a_step_is_no_longer_than_max_step(void **state) {
    (void)state;
    fixture_set(&f, "scaler", "max_step", "1");
    fixture_set(&f, "scaler", "hold_down", "0s");
    assert_int_equal(desired(0, 6, 90, 50), 7);
    assert_int_equal(desired(300, 7, 10, 10), 6);
    fixture_set(&f, "scaler", "min", "5");
    assert_int_equal(desired(301, 0, 10, 10), 5);
}

static void nodes_that_would_be_missed_at_once_stay(void **state) {
    (void)state;
    fixture_set(&f, "scaler", "down_cpu", "70");
    fixture_set(&f, "scaler", "down_factor", "0.2");
    fixture_set(&f, "scaler", "hold_down", "0s");
    /* 10 nodes at 60 are 600: on 2 nodes that is 300 each, on 8 it is 75. */
    assert_int_equal(desired(0, 10, 60, 10), 8);
}

static void memory_that_more_nodes_do_not_lower_stops_asking(void **state) {
    (void)state;
    assert_int_equal(desired(0, 4, 50, 90), 6);
    assert_int_equal(desired(60, 6, 50, 88), 9); /* 2 points lower: in vain once */
    assert_int_equal(fixture_state(&f, "scaling_without_effect"), ALERT_INACTIVE);
    assert_int_equal(desired(120, 9, 50, 89), 9); /* in vain twice */
    assert_true(reason_begins("steady:"));
    (void)desired(121, 9, 50, 89);
    assert_int_equal(fixture_state(&f, "scaling_without_effect"), ALERT_FIRING);
    assert_int_equal(desired(122, 9, 90, 89), 10); /* CPU may still ask */
    assert_int_equal(desired(300, 4, 50, 85), 4);
    assert_int_equal(desired(301, 4, 50, 90), 6); /* it fell: a new beginning */
}

static void memory_that_more_nodes_lower_goes_on_asking(void **state) {
    (void)state;
    fixture_set(&f, "scaler", "max", "100");
    assert_int_equal(desired(0, 4, 50, 99), 6);
    assert_int_equal(desired(60, 6, 50, 94), 9);
    assert_int_equal(desired(120, 9, 50, 88), 14);
    assert_int_equal(desired(180, 14, 50, 86), 21);
}

static void a_step_whose_nodes_never_came_is_not_judged(void **state) {
    (void)state;
    for (int t = 0; t <= 600; t += 60) {
        assert_int_equal(desired(t, 4, 50, 90), 6);
    }
}

static void a_thousand_nodes_are_counted_exactly(void **state) {
    (void)state;
    fixture_set(&f, "scaler", "max", "1000");
    fixture_set(&f, "scaler", "hold_down", "0s");
    assert_int_equal(desired(0, 1000, 29.9, 39.9), 700);
    assert_int_equal(desired(400, 667, 80.1, 39.9), 1000);
    assert_int_equal(desired(500, 1000, 80.0, 85.0), 1000);
}

#define CLAIM(test) cmocka_unit_test_setup(test, fresh)

int main(void) {
    const struct CMUnitTest tests[] = {
        CLAIM(thresholds_are_strict),
        CLAIM(an_average_of_exactly_the_limit_is_not_above_it),
        CLAIM(averages_are_over_healthy_nodes_alone),
        CLAIM(steps_are_whole_nodes_within_the_limits),
        CLAIM(factors_are_exact_for_every_number_of_nodes),
        CLAIM(fewer_than_the_minimum_is_mended_at_once_whatever_the_figures),
        CLAIM(more_than_the_maximum_is_mended_at_once),
        CLAIM(a_scale_down_needs_a_full_window_that_allows_it),
        CLAIM(one_decision_that_does_not_allow_it_starts_the_window_again),
        CLAIM(a_gap_in_the_history_starts_the_window_again),
        CLAIM(a_few_late_snapshots_are_no_gap),
        CLAIM(a_recording_at_long_intervals_can_scale_down),
        CLAIM(a_clock_that_goes_back_makes_no_time_and_stops_none),
        CLAIM(the_same_time_again_counts_nothing),
        CLAIM(a_second_step_up_waits_for_the_cooldown),
        CLAIM(a_scale_down_waits_for_the_cooldown_after_any_change),
        CLAIM(hold_up_asks_for_an_unbroken_run),
        CLAIM(missing_figures_scale_nothing),
        CLAIM(fewer_nodes_are_safe_when_silent_ones_may_be_at_their_limit),
        CLAIM(a_snapshot_that_knows_no_nodes_scales_nothing),
        CLAIM(known_figures_are_enough_for_more_nodes),
        CLAIM(a_step_is_no_longer_than_max_step),
        CLAIM(nodes_that_would_be_missed_at_once_stay),
        CLAIM(memory_that_more_nodes_do_not_lower_stops_asking),
        CLAIM(memory_that_more_nodes_lower_goes_on_asking),
        CLAIM(a_step_whose_nodes_never_came_is_not_judged),
        CLAIM(a_thousand_nodes_are_counted_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
