/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: alert rules move through their states as drawn, and their actions run when due and not
 * again before the cooldown. */
#include "base/rng.h"
#include "fixture.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

static struct fixture f;
static const char rule[] = "alert.slow";

static int fresh(void **state) {
    (void)state;
    fixture_init(&f);
    fixture_nodes(&f, 4, 50, 50);
    fixture_set(&f, rule, "metric", "avg_query_time_ms");
    fixture_set(&f, rule, "threshold", "100");
    return 0;
}

/* The state of rule `slow` after a sample at `t`. */
static enum alert_state_e sample(double t, double value) {
    f.snapshot.metrics[METRIC_AVG_QUERY_TIME_MS] = value;
    (void)fixture_decide(&f, t);
    return fixture_state(&f, "slow");
}

static void comparisons_are_exact_at_the_threshold(void **state) {
    (void)state;
    static const struct {
        const char *op;
        bool below, equal, above;
    } rows[] = {
        {">", false, false, true}, {">=", false, true, true},  {"<", true, false, false},
        {"<=", true, true, false}, {"==", false, true, false}, {"!=", true, false, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool expected[] = {rows[i].below, rows[i].equal, rows[i].above};
        double values[] = {0.29999, 0.3, 0.30001};
        for (size_t k = 0; k < 3; k++) {
            (void)fresh(NULL);
            fixture_set(&f, rule, "op", rows[i].op);
            fixture_set(&f, rule, "threshold", "0.3");
            assert_int_equal(sample(0, values[k]), expected[k] ? ALERT_FIRING : ALERT_INACTIVE);
        }
    }
}

static void without_for_a_rule_fires_at_once(void **state) {
    (void)state;
    assert_int_equal(sample(0, 101), ALERT_FIRING);
    assert_int_equal(sample(1, 100), ALERT_RESOLVED);
    assert_int_equal(sample(2, 100), ALERT_INACTIVE);
}

static void for_is_reached_at_its_very_end(void **state) {
    (void)state;
    fixture_set(&f, rule, "for", "30s");
    assert_int_equal(sample(0, 101), ALERT_PENDING);
    assert_int_equal(sample(29.999, 101), ALERT_PENDING);
    assert_int_equal(sample(30, 101), ALERT_FIRING);
}

static void pending_drops_at_the_first_false_sample(void **state) {
    (void)state;
    fixture_set(&f, rule, "for", "30s");
    (void)sample(0, 101);
    (void)sample(20, 101);
    assert_int_equal(sample(25, 100), ALERT_INACTIVE);
    assert_int_equal(sample(30, 101), ALERT_PENDING);
    assert_int_equal(sample(59, 101), ALERT_PENDING);
    assert_int_equal(sample(60, 101), ALERT_FIRING);
}

static void pending_drops_at_the_first_missing_sample(void **state) {
    (void)state;
    fixture_set(&f, rule, "for", "30s");
    (void)sample(0, 101);
    assert_int_equal(sample(15, FIGURE_MISSING), ALERT_INACTIVE);
    assert_int_equal(sample(30, 101), ALERT_PENDING);
}

static void a_kept_rule_resolves_when_false_long_enough(void **state) {
    (void)state;
    fixture_set(&f, rule, "keep_firing_for", "60s");
    assert_int_equal(sample(0, 101), ALERT_FIRING);
    assert_int_equal(sample(10, 50), ALERT_FIRING);
    assert_int_equal(sample(50, 101), ALERT_FIRING);
    assert_int_equal(sample(60, 50), ALERT_FIRING);
    assert_int_equal(sample(119, 50), ALERT_FIRING);
    assert_int_equal(sample(120, 50), ALERT_RESOLVED);
    assert_int_equal(sample(130, 101), ALERT_FIRING);
}

static void a_firing_rule_without_a_sample_keeps_firing_and_runs_nothing(void **state) {
    (void)state;
    fixture_set(&f, rule, "action", "SHED_LOAD");
    fixture_set(&f, rule, "cooldown", "10s");
    assert_int_equal(sample(0, 101), ALERT_FIRING);
    assert_non_null(fixture_action(&f, ACTION_SHED_LOAD));
    assert_int_equal(sample(10, FIGURE_MISSING), ALERT_FIRING);
    assert_null(fixture_action(&f, ACTION_SHED_LOAD));
    assert_int_equal(sample(20, 101), ALERT_FIRING);
    assert_non_null(fixture_action(&f, ACTION_SHED_LOAD));
    assert_int_equal(sample(30, 50), ALERT_RESOLVED);
}

static void a_missing_sample_starts_keep_firing_for_again(void **state) {
    (void)state;
    fixture_set(&f, rule, "keep_firing_for", "20s");
    (void)sample(0, 101);
    (void)sample(10, 50);
    (void)sample(20, FIGURE_MISSING);
    assert_int_equal(sample(30, 50), ALERT_FIRING);
    assert_int_equal(sample(50, 50), ALERT_RESOLVED);
}

static void an_action_runs_at_firing_and_after_its_cooldown(void **state) {
    (void)state;
    fixture_set(&f, rule, "action", "INVALIDATE_CACHE");
    for (int t = 0; t <= 700; t += 10) {
        (void)sample(t, 101);
        bool ran = fixture_action(&f, ACTION_INVALIDATE_CACHE) != NULL;
        assert_int_equal(ran, t == 0 || t == 300 || t == 600);
    }
}

static void firing_again_within_the_cooldown_runs_nothing(void **state) {
    (void)state;
    fixture_set(&f, rule, "action", "INVALIDATE_CACHE");
    (void)sample(0, 101);
    (void)sample(10, 50);
    assert_int_equal(sample(20, 101), ALERT_FIRING);
    assert_null(fixture_action(&f, ACTION_INVALIDATE_CACHE));
    (void)sample(310, 101);
    assert_non_null(fixture_action(&f, ACTION_INVALIDATE_CACHE));
}

static void a_kept_rule_that_is_false_runs_nothing(void **state) {
    (void)state;
    fixture_set(&f, rule, "action", "INVALIDATE_CACHE");
    fixture_set(&f, rule, "cooldown", "1s");
    fixture_set(&f, rule, "keep_firing_for", "1h");
    (void)sample(0, 101);
    assert_int_equal(sample(100, 50), ALERT_FIRING);
    assert_int_equal(f.decision.actions.len, 0);
}

static void rules_that_ask_for_one_action_run_it_once(void **state) {
    (void)state;
    fixture_set(&f, rule, "action", "RESTART_SERVICE");
    f.snapshot.metrics[METRIC_MEMORY_USAGE] = 95;
    (void)sample(0, 101);
    assert_int_equal(f.decision.actions.len, 1);
    const char *reason = fixture_action(&f, ACTION_RESTART_SERVICE);
    assert_string_equal(reason, "memory_usage_high: memory_usage 95 > 90"); /* the critical one */
}

static void an_action_of_another_rule_counts_for_the_cooldown(void **state) {
    (void)state;
    fixture_set(&f, rule, "action", "RESTART_SERVICE");
    (void)sample(0, 101);
    f.snapshot.metrics[METRIC_MEMORY_USAGE] = 95;
    (void)sample(10, 101);
    assert_int_equal(fixture_state(&f, "memory_usage_high"), ALERT_FIRING);
    assert_int_equal(f.decision.actions.len, 0);
}

static void the_built_in_rules_fire_as_promised(void **state) {
    (void)state;
    double *metrics = f.snapshot.metrics;
    metrics[METRIC_AVG_RESPONSE_TIME_MS] = 2000;
    metrics[METRIC_SLOW_QUERY_COUNT] = 10;
    metrics[METRIC_MEMORY_USAGE] = 90;
    (void)fixture_decide(&f, 0);
    assert_int_equal(fixture_state(&f, "high_response_time"), ALERT_INACTIVE);
    assert_int_equal(fixture_state(&f, "database_slow_query"), ALERT_INACTIVE);
    assert_int_equal(fixture_state(&f, "memory_usage_high"), ALERT_INACTIVE);
    metrics[METRIC_AVG_RESPONSE_TIME_MS] = 2000.1;
    metrics[METRIC_SLOW_QUERY_COUNT] = 11;
    metrics[METRIC_MEMORY_USAGE] = 90.1;
    (void)fixture_decide(&f, 1);
    assert_int_equal(fixture_state(&f, "high_response_time"), ALERT_PENDING);
    assert_non_null(fixture_action(&f, ACTION_OPTIMIZE_QUERIES));
    assert_non_null(fixture_action(&f, ACTION_RESTART_SERVICE));
    assert_null(fixture_action(&f, ACTION_AUTO_SCALE));
    assert_int_equal(fixture_decide(&f, 31)->scale.desired, 6);
    assert_int_equal(fixture_state(&f, "high_response_time"), ALERT_FIRING);
    assert_int_equal(f.decision.actions.len, 1);
}

static void memory_usage_that_is_not_given_is_the_highest_nodes(void **state) {
    (void)state;
    f.nodes[2].memory = 91;
    (void)fixture_decide(&f, 0);
    assert_int_equal(fixture_state(&f, "memory_usage_high"), ALERT_FIRING);
    f.nodes[2].age_ms = 11000; /* stale */
    (void)fixture_decide(&f, 1);
    assert_int_equal(fixture_state(&f, "memory_usage_high"), ALERT_RESOLVED);
    f.snapshot.metrics[METRIC_MEMORY_USAGE] = 95;
    (void)fixture_decide(&f, 2);
    assert_int_equal(fixture_state(&f, "memory_usage_high"), ALERT_FIRING);
}

static void an_alert_that_scales_steps_up_once_and_respects_the_cooldown(void **state) {
    (void)state;
    fixture_set(&f, rule, "action", "AUTO_SCALE");
    assert_int_equal(sample(0, 50), ALERT_INACTIVE);
    f.nodes[0].cpu = f.nodes[1].cpu = f.nodes[2].cpu = f.nodes[3].cpu = 90;
    (void)sample(1, 101); /* both ask */
    assert_int_equal(f.decision.scale.desired, 6);
    assert_int_equal(f.decision.actions.len, 1);
    fixture_nodes(&f, 6, 50, 50);
    (void)sample(70, 101);
    assert_int_equal(f.decision.scale.desired, 6); /* the action's cooldown */
    (void)sample(301, 101);
    assert_int_equal(f.decision.scale.desired, 9);
}

static void an_alert_that_must_wait_for_the_scaler_asks_again(void **state) {
    (void)state;
    fixture_set(&f, rule, "action", "AUTO_SCALE");
    fixture_nodes(&f, 4, 90, 50);
    (void)sample(0, 50);
    assert_int_equal(f.decision.scale.desired, 6);
    fixture_nodes(&f, 6, 50, 50);
    (void)sample(10, 101);
    assert_int_equal(f.decision.scale.desired, 6);
    assert_int_equal(f.decision.actions.len, 0);
    (void)sample(60, 101);
    assert_int_equal(f.decision.scale.desired, 9);
    assert_non_null(fixture_action(&f, ACTION_AUTO_SCALE));
}

static void an_alert_at_the_maximum_is_told_so(void **state) {
    (void)state;
    fixture_set(&f, rule, "action", "AUTO_SCALE");
    fixture_nodes(&f, 10, 50, 50);
    (void)sample(0, 101);
    assert_int_equal(f.decision.scale.desired, 10);
    assert_non_null(strstr(fixture_action(&f, ACTION_AUTO_SCALE), "maximum"));
    (void)sample(1, 101);
    assert_null(fixture_action(&f, ACTION_AUTO_SCALE));
}

static void nobody_leaves_while_an_alert_that_scales_is_firing(void **state) {
    (void)state;
    fixture_set(&f, rule, "action", "AUTO_SCALE");
    fixture_set(&f, "scaler", "hold_down", "0s");
    fixture_set(&f, "scaler", "cooldown_down", "0s");
    fixture_nodes(&f, 10, 10, 10);
    (void)sample(0, 101);
    assert_int_equal(f.decision.scale.desired, 10);
    (void)sample(1, 101);
    assert_int_equal(f.decision.scale.desired, 10);
    (void)sample(2, 50);
    assert_int_equal(f.decision.scale.desired, 7);
}

static void a_disabled_rule_says_and_does_nothing(void **state) {
    (void)state;
    fixture_set(&f, "alert.memory_usage_high", "disabled", "yes");
    f.snapshot.metrics[METRIC_MEMORY_USAGE] = 99;
    (void)fixture_decide(&f, 0);
    assert_int_equal(f.decision.actions.len, 0);
    assert_int_equal(fixture_state(&f, "memory_usage_high"), ALERT_INACTIVE);
}

static void two_hundred_rules_are_looked_at_each_time(void **state) {
    (void)state;
    for (int i = 0; i < 200; i++) {
        char section[32], threshold[8];
        snprintf(section, sizeof section, "alert.r%d", i);
        snprintf(threshold, sizeof threshold, "%d", i);
        fixture_set(&f, section, "metric", "cache_hit_rate");
        fixture_set(&f, section, "op", "==");
        fixture_set(&f, section, "threshold", threshold);
    }
    for (int i = 0; i < 200; i++) {
        f.snapshot.metrics[METRIC_CACHE_HIT_RATE] = i;
        (void)fixture_decide(&f, i);
        for (int k = 0; k < 200; k++) {
            char name[8];
            snprintf(name, sizeof name, "r%d", k);
            assert_int_equal(fixture_state(&f, name), k == i       ? ALERT_FIRING
                                                      : k == i - 1 ? ALERT_RESOLVED
                                                                   : ALERT_INACTIVE);
        }
    }
}

/* What the drawing lets one see from one decision to the next: several moves may lie between. */
static bool may_follow(enum alert_state_e before, enum alert_state_e after, int64_t for_ms) {
    switch (after) {
    case ALERT_INACTIVE:
        return before != ALERT_FIRING;
    case ALERT_PENDING:
        return before != ALERT_FIRING && for_ms > 0;
    case ALERT_FIRING:
        return before == ALERT_PENDING || before == ALERT_FIRING || for_ms == 0;
    case ALERT_RESOLVED:
        return before == ALERT_FIRING;
    }
    return false;
}

static void no_state_is_ever_skipped(void **state) {
    (void)state;
    struct seeded_rng rng;
    seeded_rng_init(&rng, 20261124);
    for (int round = 0; round < 200; round++) {
        struct alert_rule slow = f.policy.rules[f.policy.rules_len - 1];
        slow.for_ms = (int64_t)rng_below(&rng.base, 3) * 5000;
        slow.keep_firing_for_ms = (int64_t)rng_below(&rng.base, 3) * 5000;
        slow.clear = rng_below(&rng.base, 2) == 0 ? FIGURE_MISSING : 80;
        struct alert alert;
        alert_init(&alert);
        enum alert_state_e before = ALERT_INACTIVE;
        int64_t now_ms = 0;
        for (int step = 0; step < 300; step++) {
            double values[] = {50, 90, 101, 101, FIGURE_MISSING};
            double value = values[rng_below(&rng.base, 5)];
            double clear = figure_is_known(slow.clear) ? slow.clear : 100;
            now_ms += (int64_t)rng_below(&rng.base, 4000);
            alert_step(&alert, &slow, value, now_ms);
            enum alert_state_e after = (enum alert_state_e)alert.state;
            assert_true(may_follow(before, after, slow.for_ms));
            assert_true(after != ALERT_RESOLVED || value <= clear);
            assert_true(before != ALERT_FIRING || after == ALERT_FIRING || value <= clear);
            assert_true(before == ALERT_FIRING || after != ALERT_FIRING || value > 100);
            assert_int_equal(alert.is_true, value > 100);
            assert_true(after != ALERT_PENDING || now_ms - alert.pending_at_ms < slow.for_ms);
            before = after;
        }
    }
}

#define CLAIM(test) cmocka_unit_test_setup(test, fresh)

int main(void) {
    const struct CMUnitTest tests[] = {
        CLAIM(comparisons_are_exact_at_the_threshold),
        CLAIM(without_for_a_rule_fires_at_once),
        CLAIM(for_is_reached_at_its_very_end),
        CLAIM(pending_drops_at_the_first_false_sample),
        CLAIM(pending_drops_at_the_first_missing_sample),
        CLAIM(a_kept_rule_resolves_when_false_long_enough),
        CLAIM(a_firing_rule_without_a_sample_keeps_firing_and_runs_nothing),
        CLAIM(a_missing_sample_starts_keep_firing_for_again),
        CLAIM(an_action_runs_at_firing_and_after_its_cooldown),
        CLAIM(firing_again_within_the_cooldown_runs_nothing),
        CLAIM(a_kept_rule_that_is_false_runs_nothing),
        CLAIM(rules_that_ask_for_one_action_run_it_once),
        CLAIM(an_action_of_another_rule_counts_for_the_cooldown),
        CLAIM(the_built_in_rules_fire_as_promised),
        CLAIM(memory_usage_that_is_not_given_is_the_highest_nodes),
        CLAIM(an_alert_that_scales_steps_up_once_and_respects_the_cooldown),
        CLAIM(an_alert_that_must_wait_for_the_scaler_asks_again),
        CLAIM(an_alert_at_the_maximum_is_told_so),
        CLAIM(nobody_leaves_while_an_alert_that_scales_is_firing),
        CLAIM(a_disabled_rule_says_and_does_nothing),
        CLAIM(two_hundred_rules_are_looked_at_each_time),
        CLAIM(no_state_is_ever_skipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
