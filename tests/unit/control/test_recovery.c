/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what did not help is followed by the next thing, what did harm is left alone for a while,
 * and where nothing is left a person is called, once. */
#include "base/rng.h"
#include "fixture.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

static struct fixture f;
static const char rule[] = "alert.slow";
static struct told_effect effect;

static int fresh(void **state) {
    (void)state;
    fixture_init(&f);
    fixture_nodes(&f, 4, 50, 50);
    fixture_set(&f, rule, "metric", "avg_query_time_ms");
    fixture_set(&f, rule, "threshold", "100");
    fixture_set(&f, rule, "action", "OPTIMIZE_QUERIES");
    fixture_set(&f, rule, "then", "INVALIDATE_CACHE, SHED_LOAD");
    return 0;
}

/* A look at `t` at this figure; the action that runs, or NONE. */
static enum action_e look(double t, double value) {
    f.snapshot.metrics[METRIC_AVG_QUERY_TIME_MS] = value;
    (void)fixture_decide(&f, t);
    f.snapshot.effects_len = 0;
    assert_true(f.decision.actions.len <= 1);
    return f.decision.actions.len == 0 ? ACTION_NONE : f.decision.actions.items[0].action;
}

/* What the next look is told. */
static void tell(const char *action, enum effect_e word) {
    effect = (struct told_effect){SLICE_LIT("slow"), slice_of(action), word, 0};
    f.snapshot.effects = &effect;
    f.snapshot.effects_len = 1;
}

static void what_did_not_help_is_followed_by_the_next(void **state) {
    (void)state;
    assert_int_equal(look(0, 150), ACTION_OPTIMIZE_QUERIES);
    assert_int_equal(look(1, 150), ACTION_NONE); /* until something is known */
    tell("OPTIMIZE_QUERIES", EFFECT_NONE);
    assert_int_equal(look(60, 150), ACTION_INVALIDATE_CACHE);
    tell("INVALIDATE_CACHE", EFFECT_NONE);
    assert_int_equal(look(120, 150), ACTION_SHED_LOAD);
    assert_int_equal(f.decision.calls.len, 0);
    tell("SHED_LOAD", EFFECT_NONE);
    assert_int_equal(look(180, 150), ACTION_NONE);
    assert_int_equal(f.decision.calls.len, 1);
    assert_string_equal(f.policy.rules[f.decision.calls.rules[0]].name, "slow");
}

static void what_helped_stays_the_first_choice(void **state) {
    (void)state;
    (void)look(0, 150);
    tell("OPTIMIZE_QUERIES", EFFECT_HELPED);
    assert_int_equal(look(60, 50), ACTION_NONE);
    assert_int_equal(look(400, 150), ACTION_OPTIMIZE_QUERIES);
}

static void a_person_is_called_once_while_it_fires_and_the_last_action_goes_on(void **state) {
    (void)state;
    fixture_set(&f, rule, "then", "none");
    assert_int_equal(look(0, 150), ACTION_OPTIMIZE_QUERIES);
    tell("OPTIMIZE_QUERIES", EFFECT_NONE);
    (void)look(60, 150);
    assert_int_equal(f.decision.calls.len, 1);
    assert_int_equal(look(300, 150), ACTION_OPTIMIZE_QUERIES); /* its cooldown */
    tell("OPTIMIZE_QUERIES", EFFECT_NONE);
    (void)look(360, 150);
    assert_int_equal(f.decision.calls.len, 0);
    (void)look(361, 50); /* resolved: from the start */
    assert_int_equal(look(700, 150), ACTION_OPTIMIZE_QUERIES);
    tell("OPTIMIZE_QUERIES", EFFECT_NONE);
    (void)look(760, 150);
    assert_int_equal(f.decision.calls.len, 1);
}

static void what_did_harm_is_not_done_again_for_an_hour_even_if_the_rule_flaps(void **state) {
    (void)state;
    fixture_set(&f, rule, "cooldown", "0s");
    fixture_set(&f, rule, "then", "none");
    assert_int_equal(look(0, 150), ACTION_OPTIMIZE_QUERIES);
    tell("OPTIMIZE_QUERIES", EFFECT_HARMED);
    for (int t = 1; t < 3600; t += 2) {
        assert_int_equal(look(t, 150), ACTION_NONE);
        assert_int_equal(look(t + 1, 50), ACTION_NONE);
    }
    assert_int_equal(look(3601, 150), ACTION_OPTIMIZE_QUERIES);
}

static void what_was_refused_rests_as_if_it_did_harm_and_calls_nobody(void **state) {
    (void)state;
    fixture_set(&f, rule, "cooldown", "0s");
    fixture_set(&f, rule, "then", "INVALIDATE_CACHE");
    assert_int_equal(look(0, 150), ACTION_OPTIMIZE_QUERIES);
    tell("OPTIMIZE_QUERIES", EFFECT_REFUSED);
    assert_int_equal(look(1, 150), ACTION_INVALIDATE_CACHE);
    tell("INVALIDATE_CACHE", EFFECT_REFUSED);
    for (int t = 2; t < 3600; t++) {
        assert_int_equal(look(t, 150), ACTION_NONE);
        assert_int_equal(f.decision.calls.len, 0);
    }
    assert_int_equal(look(3602, 150), ACTION_INVALIDATE_CACHE);
}

static void above_a_barred_rung_the_next_one_down_is_taken(void **state) {
    (void)state;
    fixture_set(&f, rule, "cooldown", "0s");
    (void)look(0, 150);
    tell("OPTIMIZE_QUERIES", EFFECT_NONE);
    assert_int_equal(look(1, 150), ACTION_INVALIDATE_CACHE);
    tell("INVALIDATE_CACHE", EFFECT_HARMED);
    assert_int_equal(look(2, 150), ACTION_SHED_LOAD);
    tell("SHED_LOAD", EFFECT_HARMED);
    assert_int_equal(look(3, 150), ACTION_OPTIMIZE_QUERIES);
    assert_int_equal(f.decision.calls.len, 1);
}

static void what_is_told_late_or_of_others_moves_nothing(void **state) {
    (void)state;
    (void)look(0, 150);
    tell("OPTIMIZE_QUERIES", EFFECT_NONE);
    assert_int_equal(look(1, 150), ACTION_INVALIDATE_CACHE);
    tell("OPTIMIZE_QUERIES", EFFECT_NONE); /* a rung that was left already */
    assert_int_equal(look(2, 150), ACTION_NONE);
    tell("RESTART_SERVICE", EFFECT_NONE); /* not on this ladder */
    assert_int_equal(look(3, 150), ACTION_NONE);
    tell("nonsense", EFFECT_HARMED);
    assert_int_equal(look(4, 150), ACTION_NONE);
    effect.rule = SLICE_LIT("gone");
    f.snapshot.effects_len = 1;
    assert_int_equal(look(5, 150), ACTION_NONE);
    (void)look(6, 50);
    tell("OPTIMIZE_QUERIES", EFFECT_NONE); /* resolved meanwhile */
    (void)look(7, 50);
    assert_int_equal(look(310, 150), ACTION_OPTIMIZE_QUERIES);
}

static void a_ladder_may_ask_the_scaler(void **state) {
    (void)state;
    fixture_set(&f, rule, "then", "AUTO_SCALE");
    (void)look(0, 150);
    assert_int_equal(f.decision.scale.desired, 4);
    tell("OPTIMIZE_QUERIES", EFFECT_NONE);
    assert_int_equal(look(1, 150), ACTION_AUTO_SCALE);
    assert_int_equal(f.decision.scale.desired, 6);
}

/* ---- what earlier controllers were told ---- */

#define TOLD(action, word, age_s)                                                                  \
    {{"slow", 4}, {action, sizeof(action) - 1}, EFFECT_##word, (age_s) * 1000}

static void who_takes_the_lead_stands_where_the_last_one_stood(void **state) {
    (void)state;
    static const struct {
        const char *what;
        double begun, calm_from, calm_to; /* it looks since `begun`, and takes the lead at 100 */
        size_t len;
        struct told_effect told[4];
        enum action_e next;
        size_t calls;
    } cases[] = {
        {"nothing was done", 100, 0, 0, 0, {{.age_ms = 0}}, ACTION_OPTIMIZE_QUERIES, 0},
        {"a first rung in vain", 100, 0, 0, 1, {TOLD("OPTIMIZE_QUERIES", NONE, 60)},
         ACTION_INVALIDATE_CACHE, 0},
        {"a first rung that did harm", 100, 0, 0, 1, {TOLD("OPTIMIZE_QUERIES", HARMED, 60)},
         ACTION_INVALIDATE_CACHE, 0},
        {"a first rung that was refused", 100, 0, 0, 1, {TOLD("OPTIMIZE_QUERIES", REFUSED, 60)},
         ACTION_INVALIDATE_CACHE, 0},
        {"two rungs in vain", 100, 0, 0, 2,
         {TOLD("OPTIMIZE_QUERIES", NONE, 90), TOLD("INVALIDATE_CACHE", NONE, 30)},
         ACTION_SHED_LOAD, 0},
        {"all in vain, and it ended before it called", 100, 0, 0, 3,
         {TOLD("OPTIMIZE_QUERIES", NONE, 90), TOLD("INVALIDATE_CACHE", NONE, 30),
          TOLD("SHED_LOAD", NONE, 1)},
         ACTION_SHED_LOAD, 1},
        {"a person was called", 100, 0, 0, 4,
         {TOLD("OPTIMIZE_QUERIES", NONE, 90), TOLD("INVALIDATE_CACHE", NONE, 30),
          TOLD("SHED_LOAD", NONE, 2), TOLD("CALL_PERSON", NONE, 1)},
         ACTION_SHED_LOAD, 0},
        {"the second rung helped: it ended thereby", 100, 0, 0, 2,
         {TOLD("OPTIMIZE_QUERIES", NONE, 90), TOLD("INVALIDATE_CACHE", HELPED, 30)},
         ACTION_OPTIMIZE_QUERIES, 0},
        {"fires on, as the next one saw", 0, 0, 0, 1, {TOLD("OPTIMIZE_QUERIES", NONE, 60)},
         ACTION_INVALIDATE_CACHE, 0},
        {"fires on though the second rung helped", 0, 0, 0, 2,
         {TOLD("OPTIMIZE_QUERIES", NONE, 90), TOLD("INVALIDATE_CACHE", HELPED, 30)},
         ACTION_INVALIDATE_CACHE, 0},
        {"was calm since", 0, 70, 80, 1, {TOLD("OPTIMIZE_QUERIES", NONE, 60)},
         ACTION_OPTIMIZE_QUERIES, 0},
        {"was calm before", 0, 10, 30, 1, {TOLD("OPTIMIZE_QUERIES", NONE, 60)},
         ACTION_INVALIDATE_CACHE, 0},
        {"the next one saw it later", 0, 0, 45, 1, {TOLD("OPTIMIZE_QUERIES", NONE, 60)},
         ACTION_INVALIDATE_CACHE, 0},
        {"called for an earlier time", 0, 70, 80, 2,
         {TOLD("OPTIMIZE_QUERIES", NONE, 60), TOLD("CALL_PERSON", NONE, 59)},
         ACTION_OPTIMIZE_QUERIES, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)fresh(NULL);
        fixture_set(&f, rule, "cooldown", "0s");
        f.snapshot.is_standby = true;
        for (double t = cases[i].begun; t < 100; t++) {
            (void)look(t, t >= cases[i].calm_from && t < cases[i].calm_to ? 50 : 150);
        }
        f.snapshot.is_standby = false;
        f.snapshot.effects = cases[i].told;
        f.snapshot.effects_len = cases[i].len;
        enum action_e next = look(100, 150);
        if (next != cases[i].next || f.decision.calls.len != cases[i].calls) {
            fail_msg("%s: %s, %zu calls", cases[i].what, action_text(next), f.decision.calls.len);
        }
    }
}

static void what_is_decided_while_another_leads_did_not_run(void **state) {
    (void)state;
    f.snapshot.is_standby = true;
    for (int t = 0; t < 5; t++) {
        assert_int_equal(look(t, 150), ACTION_OPTIMIZE_QUERIES);
    }
    f.snapshot.is_standby = false;
    assert_int_equal(look(5, 150), ACTION_OPTIMIZE_QUERIES); /* now it does */
    assert_int_equal(look(6, 150), ACTION_NONE);
}

static void a_cooldown_counts_from_when_an_earlier_controller_ran_it(void **state) {
    (void)state;
    static const struct told_effect told[] = {
        {{"", 0}, {"OPTIMIZE_QUERIES", 16}, EFFECT_RAN, 100000}, /* for whichever rule */
        TOLD("OPTIMIZE_QUERIES", RAN, 250),
    };
    f.snapshot.effects = told;
    f.snapshot.effects_len = 2;
    for (int t = 0; t < 200; t++) {
        assert_int_equal(look(t, 150), ACTION_NONE);
    }
    assert_int_equal(look(200, 150), ACTION_OPTIMIZE_QUERIES);
}

static void a_rule_that_must_hold_for_a_while_keeps_its_place_until_it_fires(void **state) {
    (void)state;
    static const struct told_effect told = TOLD("OPTIMIZE_QUERIES", NONE, 60);
    fixture_set(&f, rule, "for", "30s");
    f.snapshot.effects = &told;
    f.snapshot.effects_len = 1;
    assert_int_equal(look(0, 150), ACTION_NONE);
    assert_int_equal(look(10, FIGURE_MISSING), ACTION_NONE); /* silence says nothing */
    assert_int_equal(look(20, 150), ACTION_NONE);
    assert_int_equal(look(50, 150), ACTION_INVALIDATE_CACHE);
}

static void a_rule_that_is_calm_when_the_next_one_looks_begins_anew(void **state) {
    (void)state;
    static const struct told_effect told = TOLD("OPTIMIZE_QUERIES", HARMED, 3000);
    f.snapshot.effects = &told;
    f.snapshot.effects_len = 1;
    assert_int_equal(look(0, 50), ACTION_NONE);
    assert_int_equal(look(1, 150), ACTION_NONE); /* what did harm rests for its hour */
    assert_int_equal(look(599, 150), ACTION_NONE);
    assert_int_equal(look(600, 150), ACTION_OPTIMIZE_QUERIES);
}

/* Whatever is told and whatever the figures: an action runs at most once in a cooldown, a call
 * comes at most once while a rule fires, and no barred action runs. */
static void no_story_breaks_the_bounds(void **state) {
    (void)state;
    struct seeded_rng rng;
    seeded_rng_init(&rng, 20261204);
    static const enum action_e actions[] = {ACTION_OPTIMIZE_QUERIES, ACTION_INVALIDATE_CACHE,
                                            ACTION_SHED_LOAD, ACTION_AUTO_SCALE};
    static const enum effect_e words[] = {EFFECT_HELPED, EFFECT_NONE, EFFECT_HARMED, EFFECT_RAN};
    for (int round = 0; round < 100; round++) {
        (void)fresh(NULL);
        double last[ACTION_COUNT], barred[ACTION_COUNT];
        for (int i = 0; i < ACTION_COUNT; i++) {
            last[i] = barred[i] = -1e9;
        }
        bool called = false;
        double t = 0;
        for (int step = 0; step < 400; step++) {
            t += (double)rng_below(&rng.base, 200);
            enum action_e action = actions[rng_below(&rng.base, 4)];
            enum effect_e word = words[rng_below(&rng.base, 4)];
            if (rng_below(&rng.base, 3) == 0) {
                tell(action_text(action), word);
                barred[action] = word == EFFECT_HARMED ? t : barred[action];
                last[action] = word == EFFECT_RAN ? t : last[action];
            }
            enum action_e ran = look(t, rng_below(&rng.base, 5) == 0 ? 50 : 150);
            assert_true(ran == ACTION_NONE || (t - last[ran] >= 300 && t - barred[ran] >= 3600));
            last[ran] = t;
            bool fires = fixture_state(&f, "slow") == ALERT_FIRING;
            assert_true(f.decision.calls.len <= (fires && !called ? 1 : 0));
            called = fires && (called || f.decision.calls.len > 0);
        }
    }
}

#define CLAIM(test) cmocka_unit_test_setup(test, fresh)

int main(void) {
    const struct CMUnitTest tests[] = {
        CLAIM(what_did_not_help_is_followed_by_the_next),
        CLAIM(what_helped_stays_the_first_choice),
        CLAIM(a_person_is_called_once_while_it_fires_and_the_last_action_goes_on),
        CLAIM(what_did_harm_is_not_done_again_for_an_hour_even_if_the_rule_flaps),
        CLAIM(what_was_refused_rests_as_if_it_did_harm_and_calls_nobody),
        CLAIM(above_a_barred_rung_the_next_one_down_is_taken),
        CLAIM(what_is_told_late_or_of_others_moves_nothing),
        CLAIM(a_ladder_may_ask_the_scaler),
        CLAIM(who_takes_the_lead_stands_where_the_last_one_stood),
        CLAIM(what_is_decided_while_another_leads_did_not_run),
        CLAIM(a_rule_that_must_hold_for_a_while_keeps_its_place_until_it_fires),
        CLAIM(a_rule_that_is_calm_when_the_next_one_looks_begins_anew),
        CLAIM(a_cooldown_counts_from_when_an_earlier_controller_ran_it),
        CLAIM(no_story_breaks_the_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
