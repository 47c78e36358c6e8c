/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a rule sees ratios, rates and each node by itself; it does not flap where it need not; and
 * however many rules and nodes there are, the work is bounded and what is left out is said. */
#include "base/rng.h"
#include "fixture.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

static struct fixture f;
static const char rule[] = "alert.mine";

static int fresh(void **state) {
    (void)state;
    fixture_init(&f);
    fixture_nodes(&f, 3, 50, 50);
    return 0;
}

static void set_rule(const char *metric, const char *op, const char *threshold) {
    fixture_set(&f, rule, "metric", metric);
    fixture_set(&f, rule, "op", op);
    fixture_set(&f, rule, "threshold", threshold);
}

static const struct alert *mine(void) {
    return &f.history.rules.alerts[f.policy.rules_len - 1];
}

static enum alert_state_e sample(double t, double value) {
    f.snapshot.metrics[METRIC_AVG_QUERY_TIME_MS] = value;
    (void)fixture_decide(&f, t);
    return (enum alert_state_e)mine()->state;
}

/* The alert of this node under the last rule; NULL: there is none. */
static const struct alert *of_node(const char *id) {
    for (size_t i = 0; i < f.history.rules.nodes_len; i++) {
        const struct node_alert *node = &f.history.rules.nodes[i];
        if ((size_t)node->rule == f.policy.rules_len - 1 &&
            slice_eq_text(node_alert_id(node), id)) {
            return &node->alert;
        }
    }
    return NULL;
}

/* ---- hysteresis ---- */

static void between_the_thresholds_a_rule_stays_what_it_is(void **state) {
    (void)state;
    set_rule("avg_query_time_ms", ">", "100");
    fixture_set(&f, rule, "clear", "80");
    fixture_set(&f, rule, "action", "INVALIDATE_CACHE");
    fixture_set(&f, rule, "cooldown", "0s");
    assert_int_equal(sample(0, 90), ALERT_INACTIVE);
    assert_int_equal(sample(1, 101), ALERT_FIRING);
    assert_int_equal(f.decision.actions.len, 1);
    assert_int_equal(sample(2, 81), ALERT_FIRING);
    assert_int_equal(f.decision.actions.len, 0); /* nothing is done about what is not beyond it */
    assert_int_equal(sample(3, 80), ALERT_RESOLVED);
    assert_int_equal(sample(4, 90), ALERT_INACTIVE);
}

static void a_pending_rule_drops_at_the_threshold_itself(void **state) {
    (void)state;
    set_rule("avg_query_time_ms", "<", "10");
    fixture_set(&f, rule, "clear", "20");
    fixture_set(&f, rule, "for", "10s");
    assert_int_equal(sample(0, 9), ALERT_PENDING);
    assert_int_equal(sample(5, 15), ALERT_INACTIVE);
    assert_int_equal(sample(6, 9), ALERT_PENDING);
    assert_int_equal(sample(16, 9), ALERT_FIRING);
    assert_int_equal(sample(17, 19), ALERT_FIRING);
    assert_int_equal(sample(18, 20), ALERT_RESOLVED);
}

/* ---- absent data ---- */

static void data_that_stays_away_is_absent_until_it_is_back(void **state) {
    (void)state;
    set_rule("avg_query_time_ms", ">", "100");
    fixture_set(&f, rule, "absent_after", "30s");
    (void)sample(0, FIGURE_MISSING);
    assert_int_equal(mine()->data, ALERT_DATA_MISSING);
    (void)sample(29.999, FIGURE_MISSING);
    assert_int_equal(mine()->data, ALERT_DATA_MISSING);
    (void)sample(30, FIGURE_MISSING);
    assert_int_equal(mine()->data, ALERT_DATA_ABSENT);
    assert_int_equal(mine()->state, ALERT_INACTIVE);
    (void)sample(31, 5);
    assert_int_equal(mine()->data, ALERT_DATA_PRESENT);
    (void)sample(32, FIGURE_MISSING);
    (void)sample(61, FIGURE_MISSING);
    assert_int_equal(mine()->data, ALERT_DATA_MISSING);
}

static void without_absent_after_data_is_never_absent(void **state) {
    (void)state;
    set_rule("avg_query_time_ms", ">", "100");
    for (int t = 0; t < 100000; t += 1000) {
        (void)sample(t, FIGURE_MISSING);
        assert_int_equal(mine()->data, ALERT_DATA_MISSING);
    }
}

/* ---- ratios and rates ---- */

static void a_ratio_is_missing_when_either_side_is_or_it_would_be_infinite(void **state) {
    (void)state;
    set_rule("slow_query_count", ">", "2");
    fixture_set(&f, rule, "per", "avg_query_time_ms");
    f.snapshot.metrics[METRIC_SLOW_QUERY_COUNT] = 9;
    (void)sample(0, 4);
    assert_true(mine()->value == 2.25);
    assert_int_equal(mine()->state, ALERT_FIRING);
    (void)sample(1, 0);
    assert_false(figure_is_known(mine()->value));
    (void)sample(2, FIGURE_MISSING);
    assert_false(figure_is_known(mine()->value));
    f.snapshot.metrics[METRIC_SLOW_QUERY_COUNT] = FIGURE_MISSING;
    (void)sample(3, 4);
    assert_false(figure_is_known(mine()->value));
}

static void a_rate_is_the_change_a_second_over_its_time(void **state) {
    (void)state;
    set_rule("avg_query_time_ms", ">=", "0.5");
    fixture_set(&f, rule, "rate_over", "1m");
    for (int t = 0; t < 60; t++) {
        (void)sample(t, 10 + t * 0.5);
        assert_false(figure_is_known(mine()->value)); /* its time has not passed yet */
    }
    assert_int_equal(sample(60, 40), ALERT_FIRING);
    assert_true(mine()->value == 0.5);
    assert_int_equal(sample(61, 40), ALERT_RESOLVED);
}

static void a_rate_over_a_gap_is_not_made_up(void **state) {
    (void)state;
    set_rule("avg_query_time_ms", ">", "0");
    fixture_set(&f, rule, "rate_over", "10s");
    for (int t = 0; t <= 10; t++) {
        (void)sample(t, t);
    }
    assert_true(mine()->value == 1);
    (void)sample(500, 1000);
    assert_false(figure_is_known(mine()->value));
    (void)sample(505, 1005);
    assert_false(figure_is_known(mine()->value));
    (void)sample(510, 1020);
    assert_true(mine()->value == 2);
}

/* Against the definition, on samples at random times with holes. */
static void a_rate_agrees_with_its_definition(void **state) {
    (void)state;
    struct seeded_rng rng;
    seeded_rng_init(&rng, 20261203);
    for (int round = 0; round < 50; round++) {
        struct trend trend;
        int64_t at[400], now_ms = 0, over_ms = 1000 + (int64_t)rng_below(&rng.base, 60000);
        double value[400];
        trend_init(&trend);
        for (int i = 0; i < 400; i++) {
            now_ms += (int64_t)rng_below(&rng.base, 5000);
            at[i] = now_ms;
            value[i] = rng_below(&rng.base, 10) == 0 ? FIGURE_MISSING : rng_unit(&rng.base) * 100;
            double got = trend_step(&trend, value[i], now_ms, over_ms);
            if (!figure_is_known(got)) {
                continue;
            }
            bool found = false; /* a sample between once and twice the time ago that explains it */
            for (int k = 0; k < i; k++) {
                int64_t ago_ms = now_ms - at[k];
                found = found || (figure_is_known(value[k]) && ago_ms >= over_ms &&
                                  ago_ms <= 2 * over_ms &&
                                  fabs((value[i] - value[k]) * 1000 / (double)ago_ms - got) < 1e-9);
            }
            assert_true(found);
        }
    }
}

static void a_steady_slope_is_measured_whatever_the_interval(void **state) {
    (void)state;
    static const int64_t intervals_ms[] = {1, 250, 1000, 3000, 9000, 10000, 19000};
    for (size_t i = 0; i < sizeof intervals_ms / sizeof intervals_ms[0]; i++) {
        struct trend trend;
        double got = FIGURE_MISSING;
        trend_init(&trend);
        for (int64_t now_ms = 0; now_ms <= 60000; now_ms += intervals_ms[i]) {
            got = trend_step(&trend, (double)now_ms * 0.002, now_ms, 10000);
            assert_true(now_ms < 20000 || figure_is_known(got));
        }
        assert_true(fabs(got - 2) < 1e-9);
    }
}

/* ---- each node ---- */

static void a_rule_over_nodes_has_an_alert_for_each(void **state) {
    (void)state;
    set_rule("node_memory", ">", "90");
    fixture_set(&f, rule, "for", "10s");
    fixture_set(&f, rule, "action", "RESTART_SERVICE");
    fixture_set(&f, "alert.memory_usage_high", "disabled", "yes");
    f.nodes[1].memory = 95;
    (void)fixture_decide(&f, 0);
    f.nodes[2].memory = 93;
    (void)fixture_decide(&f, 5);
    (void)fixture_decide(&f, 10);
    assert_int_equal(of_node("n000")->state, ALERT_INACTIVE);
    assert_int_equal(of_node("n001")->state, ALERT_FIRING);
    assert_int_equal(of_node("n002")->state, ALERT_PENDING);
    assert_int_equal(mine()->state, ALERT_FIRING); /* the worst of them */
    assert_int_equal(f.decision.actions.len, 1);
    assert_string_equal(f.decision.actions.items[0].node, "n001");
    assert_string_equal(f.decision.actions.items[0].reason,
                        "mine: node_memory 95 > 90 for 10 s on n001");
}

static void of_two_that_fire_the_further_one_stands_for_the_rule(void **state) {
    (void)state;
    set_rule("node_hit_rate", "<", "0.5");
    f.nodes[0].hit_rate = 0.4;
    f.nodes[2].hit_rate = 0.1;
    (void)fixture_decide(&f, 0);
    assert_true(slice_eq_text(rules_worst_node(&f.history.rules, f.policy.rules_len - 1), "n002"));
    assert_true(mine()->value == 0.1);
}

static void a_share_of_the_whole_is_a_ratio_of_a_node(void **state) {
    (void)state;
    set_rule("node_connections", ">", "0.5");
    fixture_set(&f, rule, "per", "connections_total");
    f.nodes[0].connections = 40; /* of 60 */
    (void)fixture_decide(&f, 0);
    assert_int_equal(of_node("n000")->state, ALERT_FIRING);
    assert_int_equal(of_node("n001")->state, ALERT_INACTIVE);
}

static void a_node_that_left_takes_its_alert_with_it(void **state) {
    (void)state;
    set_rule("node_cpu", ">", "90");
    fixture_set(&f, rule, "keep_firing_for", "1h");
    f.nodes[2].cpu = 99;
    (void)fixture_decide(&f, 0);
    f.snapshot.nodes_len = 2;
    (void)fixture_decide(&f, 1);
    assert_int_equal(of_node("n002")->state, ALERT_RESOLVED);
    assert_int_equal(mine()->state, ALERT_RESOLVED);
    (void)fixture_decide(&f, 2);
    assert_null(of_node("n002"));
    assert_int_equal(mine()->state, ALERT_INACTIVE);
}

static void when_nothing_is_known_of_nodes_their_alerts_stay(void **state) {
    (void)state;
    set_rule("node_cpu", ">", "90");
    f.nodes[2].cpu = 99;
    (void)fixture_decide(&f, 0);
    f.snapshot.has_nodes = false;
    f.snapshot.nodes_len = 0;
    (void)fixture_decide(&f, 1);
    assert_int_equal(of_node("n002")->state, ALERT_FIRING);
    assert_false(alert_is_firing_now(mine()));
}

static void a_stale_node_is_missing_but_its_age_is_known(void **state) {
    (void)state;
    set_rule("node_age_s", ">=", "20");
    fixture_set(&f, "alert.hot", "metric", "node_cpu");
    fixture_set(&f, "alert.hot", "threshold", "90");
    f.nodes[1].cpu = 99;
    f.nodes[1].age_ms = 25000;
    (void)fixture_decide(&f, 0);
    assert_int_equal(fixture_state(&f, "mine"), ALERT_FIRING);
    assert_int_equal(fixture_state(&f, "hot"), ALERT_INACTIVE);
}

static void the_order_of_nodes_does_not_matter(void **state) {
    (void)state;
    struct seeded_rng rng;
    seeded_rng_init(&rng, 4);
    set_rule("node_cpu", ">", "90");
    fixture_set(&f, rule, "for", "60s");
    fixture_nodes(&f, 40, 95, 50);
    for (int t = 0; t <= 60; t++) {
        for (size_t i = 39; i > 0; i--) {
            size_t k = rng_below(&rng.base, i + 1);
            struct node_figures kept = f.nodes[i];
            f.nodes[i] = f.nodes[k];
            f.nodes[k] = kept;
        }
        (void)fixture_decide(&f, t);
        assert_int_equal(mine()->state, t < 60 ? ALERT_PENDING : ALERT_FIRING);
    }
}

/* ---- bounds ---- */

static void a_rule_that_fires_and_resolves_all_the_time_is_flapping(void **state) {
    (void)state;
    set_rule("avg_query_time_ms", ">", "100");
    for (int i = 0; i < 8; i++) {
        assert_int_equal(alert_is_flapping(mine(), f.history.now_ms), i >= ALERT_FLAP_FIRES);
        (void)sample(i * 60, 101);
        (void)sample(i * 60 + 30, 50);
    }
    (void)sample(2000, 50);
    assert_false(alert_is_flapping(mine(), f.history.now_ms));
}

static void a_thousand_alerts_at_once_are_looked_at_and_no_more(void **state) {
    (void)state;
    set_rule("node_cpu", ">", "90");
    fixture_set(&f, rule, "action", "RESTART_SERVICE");
    fixture_nodes(&f, FIXTURE_NODES, 99, 50);
    (void)fixture_decide(&f, 0);
    assert_int_equal(f.history.rules.nodes_len, NODE_ALERTS_MAX);
    assert_int_equal(f.history.rules.unwatched, FIXTURE_NODES - NODE_ALERTS_MAX);
    assert_int_equal(mine()->state, ALERT_FIRING);
    size_t restarts = 0; /* one action, not a thousand */
    for (size_t i = 0; i < f.decision.actions.len; i++) {
        restarts += f.decision.actions.items[i].action == ACTION_RESTART_SERVICE;
    }
    assert_int_equal(restarts, 1);
    fixture_nodes(&f, 10, 50, 50);
    (void)fixture_decide(&f, 1);
    (void)fixture_decide(&f, 2);
    assert_int_equal(f.history.rules.nodes_len, 10);
    assert_int_equal(f.history.rules.unwatched, 0);
}

static void more_rates_than_there_is_room_for_are_said(void **state) {
    (void)state;
    set_rule("node_cpu", ">", "1");
    fixture_set(&f, rule, "rate_over", "10s");
    fixture_nodes(&f, 600, 50, 50);
    (void)fixture_decide(&f, 0);
    assert_int_equal(f.history.rules.unwatched, 600 - TRENDS_MAX);
    fixture_nodes(&f, 5, 50, 50);
    (void)fixture_decide(&f, 1);
    fixture_nodes(&f, 600, 50, 50); /* what was given back is taken again */
    (void)fixture_decide(&f, 2);
    assert_int_equal(f.history.rules.unwatched, 600 - TRENDS_MAX);
}

#define CLAIM(test) cmocka_unit_test_setup(test, fresh)

int main(void) {
    const struct CMUnitTest tests[] = {
        CLAIM(between_the_thresholds_a_rule_stays_what_it_is),
        CLAIM(a_pending_rule_drops_at_the_threshold_itself),
        CLAIM(data_that_stays_away_is_absent_until_it_is_back),
        CLAIM(without_absent_after_data_is_never_absent),
        CLAIM(a_ratio_is_missing_when_either_side_is_or_it_would_be_infinite),
        CLAIM(a_rate_is_the_change_a_second_over_its_time),
        CLAIM(a_rate_over_a_gap_is_not_made_up),
        CLAIM(a_rate_agrees_with_its_definition),
        CLAIM(a_steady_slope_is_measured_whatever_the_interval),
        CLAIM(a_rule_over_nodes_has_an_alert_for_each),
        CLAIM(of_two_that_fire_the_further_one_stands_for_the_rule),
        CLAIM(a_share_of_the_whole_is_a_ratio_of_a_node),
        CLAIM(a_node_that_left_takes_its_alert_with_it),
        CLAIM(when_nothing_is_known_of_nodes_their_alerts_stay),
        CLAIM(a_stale_node_is_missing_but_its_age_is_known),
        CLAIM(the_order_of_nodes_does_not_matter),
        CLAIM(a_rule_that_fires_and_resolves_all_the_time_is_flapping),
        CLAIM(a_thousand_alerts_at_once_are_looked_at_and_no_more),
        CLAIM(more_rates_than_there_is_room_for_are_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
