/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: everybody is told what he asked for, once, in few notices, whatever flaps and however much
 * fires at once; and nobody is told what is silenced. */
#include "base/rng.h"
#include "control/notice.h"
#include "fixture.h"

#include <stdlib.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

enum { HEARD_MAX = 4000 };

static struct fixture f;
static struct notices *notices;
static struct silence silences[4];
static size_t silences_len;
static bool takes; /* whether the receivers' queues have room */

static struct heard {
    double t;
    size_t receiver, len, more, firing, resolved, absent, calls;
    bool is_repeat;
    char group[64], first[64];
} heard[HEARD_MAX];
static size_t heard_len;

static bool hear(const struct notice *notice, void *data) {
    (void)data;
    if (!takes) {
        return false;
    }
    assert_true(heard_len < HEARD_MAX && notice->len > 0 && notice->len <= NOTICE_ITEMS_MAX);
    struct heard *one = &heard[heard_len++];
    *one = (struct heard){.t = f.snapshot.t,
                          .receiver = notice->receiver,
                          .len = notice->len,
                          .more = notice->more,
                          .is_repeat = notice->is_repeat};
    snprintf(one->group, sizeof one->group, "%.*s", SLICE_ARG(notice->group));
    const struct notice_item *first = &notice->items[0];
    snprintf(one->first, sizeof one->first, "%s%s%.*s", f.policy.rules[first->rule].name,
             first->node.len == 0 ? "" : "@", SLICE_ARG(first->node));
    for (size_t i = 0; i < notice->len; i++) {
        const struct notice_item *item = &notice->items[i];
        one->firing += item->state == NOTICE_FIRING;
        one->resolved += item->state == NOTICE_RESOLVED;
        one->absent += item->state == NOTICE_ABSENT;
        one->calls += item->needs_person;
        assert_int_equal(item->ended_ms != TIME_NONE, item->state == NOTICE_RESOLVED &&
                                                          item->ended_ms >= item->since_ms);
    }
    return true;
}

static void set_receiver(const char *name, const char *key, const char *value) {
    char section[64];
    snprintf(section, sizeof section, "notify.%s", name);
    fixture_set(&f, section, key, value);
}

static int fresh(void **state) {
    (void)state;
    fixture_init(&f);
    fixture_nodes(&f, 3, 50, 50);
    notices = notices == NULL ? malloc(sizeof *notices) : notices;
    assert_non_null(notices);
    notices_init(notices);
    silences_len = heard_len = 0;
    takes = true;
    set_receiver("team", "type", "webhook");
    set_receiver("team", "url", "http://127.0.0.1/");
    fixture_set(&f, "alert.slow", "metric", "avg_query_time_ms");
    fixture_set(&f, "alert.slow", "threshold", "100");
    return 0;
}

static void step(double t) {
    (void)fixture_decide(&f, t);
    f.snapshot.effects_len = 0;
    notices_step(notices,
                 &(struct notice_scene){.policy = &f.policy,
                                        .rules = &f.history.rules,
                                        .climbs = f.history.recovery.climbs,
                                        .silences = silences,
                                        .silences_len = silences_len,
                                        .knows_nodes = f.snapshot.has_nodes,
                                        .now_ms = f.history.now_ms,
                                        .wall_ms = 1790000000000 + f.history.now_ms},
                 hear, NULL);
}

static void look(double t, double slow) {
    f.snapshot.metrics[METRIC_AVG_QUERY_TIME_MS] = slow;
    step(t);
}

/* ---- when ---- */

static void an_alert_is_told_after_the_wait_and_once(void **state) {
    (void)state;
    for (int t = 0; t < 300; t++) {
        look(t, 150);
    }
    assert_int_equal(heard_len, 1);
    assert_true(heard[0].t == 5);
    assert_string_equal(heard[0].group, "slow");
    assert_int_equal(heard[0].firing, 1);
    assert_false(heard[0].is_repeat);
}

static void what_is_gone_before_it_was_told_is_never_told(void **state) {
    (void)state;
    look(0, 150);
    look(4, 150);
    look(4.5, 50);
    for (int t = 5; t < 600; t += 5) {
        look(t, 50);
    }
    assert_int_equal(heard_len, 0);
}

static void what_resolves_is_told_after_the_interval(void **state) {
    (void)state;
    look(0, 150);
    look(5, 150);
    assert_int_equal(heard_len, 1);
    for (int t = 6; t < 200; t++) {
        look(t, 50);
    }
    assert_int_equal(heard_len, 2);
    assert_true(heard[1].t == 65);
    assert_int_equal(heard[1].resolved, 1);
    assert_int_equal(heard[1].firing, 0);
}

static void a_receiver_may_do_without_resolved(void **state) {
    (void)state;
    set_receiver("team", "resolved", "no");
    look(0, 150);
    look(5, 150);
    for (int t = 6; t < 1000; t++) {
        look(t, 50);
    }
    assert_int_equal(heard_len, 1);
    look(1000, 150); /* it is closed: told anew */
    look(1005, 150);
    assert_int_equal(heard_len, 2);
}

static void what_goes_on_is_repeated(void **state) {
    (void)state;
    set_receiver("team", "repeat_interval", "10m");
    for (int t = 0; t <= 1300; t += 5) {
        look(t, 150);
    }
    assert_int_equal(heard_len, 3);
    assert_true(heard[1].t == 605 && heard[1].is_repeat);
    assert_true(heard[2].t == 1205 && heard[2].is_repeat);
}

static void alertmanager_is_told_at_once_and_every_minute(void **state) {
    (void)state;
    set_receiver("team", "type", "alertmanager");
    for (int t = 0; t <= 180; t++) {
        look(t, 150);
    }
    assert_int_equal(heard_len, 4);
    assert_true(heard[0].t == 0 && heard[1].t == 60 && heard[3].t == 180);
    assert_string_equal(heard[0].group, "all");
    for (int t = 181; t <= 200; t++) {
        look(t, 50);
    }
    assert_int_equal(heard_len, 5);
    assert_true(heard[4].t == 190 && heard[4].resolved == 1);
}

/* ---- grouping ---- */

static void alerts_of_a_rule_come_together(void **state) {
    (void)state;
    fixture_set(&f, "alert.hot", "metric", "node_cpu");
    fixture_set(&f, "alert.hot", "threshold", "90");
    f.nodes[0].cpu = 95;
    step(0);
    f.nodes[2].cpu = 96;
    step(3);
    step(5);
    assert_int_equal(heard_len, 1);
    assert_string_equal(heard[0].group, "hot");
    assert_int_equal(heard[0].firing, 2);
    f.nodes[1].cpu = 97; /* a change of an open group: at its interval */
    f.nodes[0].cpu = 10;
    for (int t = 6; t <= 65; t++) {
        step(t);
    }
    assert_int_equal(heard_len, 2);
    assert_true(heard[1].t == 65);
    assert_int_equal(heard[1].firing, 2);
    assert_int_equal(heard[1].resolved, 1);
}

static void a_node_that_left_is_told_as_resolved(void **state) {
    (void)state;
    fixture_set(&f, "alert.hot", "metric", "node_cpu");
    fixture_set(&f, "alert.hot", "threshold", "90");
    f.nodes[2].cpu = 95;
    step(0);
    step(5);
    assert_string_equal(heard[0].first, "hot@n002");
    f.snapshot.nodes_len = 2;
    for (int t = 6; t <= 65; t++) {
        step(t);
    }
    assert_int_equal(heard_len, 2);
    assert_int_equal(heard[1].resolved, 1);
    assert_string_equal(heard[1].first, "hot@n002");
}

static void groups_may_be_severities_or_one(void **state) {
    (void)state;
    set_receiver("team", "group_by", "severity");
    set_receiver("boss", "type", "webhook");
    set_receiver("boss", "url", "http://127.0.0.1/");
    set_receiver("boss", "group_by", "all");
    fixture_set(&f, "alert.worse", "metric", "avg_query_time_ms");
    fixture_set(&f, "alert.worse", "threshold", "100");
    fixture_set(&f, "alert.worse", "severity", "critical");
    look(0, 150);
    look(5, 150);
    assert_int_equal(heard_len, 3);
    assert_string_equal(heard[0].group, "warning");
    assert_string_equal(heard[1].group, "critical");
    assert_string_equal(heard[2].group, "all");
    assert_int_equal(heard[2].firing, 2);
    assert_int_equal(heard[2].receiver, 1);
}

static void less_severe_rules_are_not_told(void **state) {
    (void)state;
    set_receiver("team", "severity", "critical");
    look(0, 150);
    look(60, 150);
    assert_int_equal(heard_len, 0);
}

static void a_disabled_receiver_is_told_nothing(void **state) {
    (void)state;
    set_receiver("team", "disabled", "yes");
    look(0, 150);
    look(60, 150);
    assert_int_equal(heard_len, 0);
}

/* ---- calls and absence ---- */

static void that_a_person_is_needed_is_told_at_once_and_once(void **state) {
    (void)state;
    fixture_set(&f, "alert.slow", "action", "OPTIMIZE_QUERIES");
    look(0, 150);
    look(5, 150);
    assert_int_equal(heard[0].calls, 0);
    const struct told_effect effect = {SLICE_LIT("slow"), SLICE_LIT("OPTIMIZE_QUERIES"),
                                       EFFECT_NONE, 0};
    f.snapshot.effects = &effect;
    f.snapshot.effects_len = 1;
    look(20, 150);
    assert_int_equal(heard_len, 2);
    assert_int_equal(heard[1].calls, 1);
    for (int t = 21; t < 300; t++) {
        look(t, 150);
    }
    assert_int_equal(heard_len, 2);
}

static void absent_data_is_told_and_that_it_is_back(void **state) {
    (void)state;
    fixture_set(&f, "alert.slow", "absent_after", "30s");
    for (int t = 0; t <= 40; t++) {
        look(t, FIGURE_MISSING);
    }
    assert_int_equal(heard_len, 1);
    assert_true(heard[0].t == 35);
    assert_int_equal(heard[0].absent, 1);
    for (int t = 41; t <= 200; t++) {
        look(t, 5);
    }
    assert_int_equal(heard_len, 2);
    assert_int_equal(heard[1].resolved, 1);
}

/* ---- what an earlier controller told ---- */

/* The next look is a new controller's first: the receiver was told so, a minute ago. */
static void recall(const char *rule, const char *node, enum notice_state_e state) {
    static const struct notice_scene scene = {.policy = &f.policy, .wall_ms = 1790000000000};
    struct told_before told = {.node = slice_of(node),
                               .state = state,
                               .at_ms = scene.wall_ms - 60000,
                               .since_ms = scene.wall_ms - 90000};
    while (strcmp(f.policy.rules[told.rule].name, rule) != 0) {
        told.rule++;
    }
    notices_recall(notices, &scene, &told, 1);
}

static void what_ended_between_two_controllers_is_told_as_resolved(void **state) {
    (void)state;
    recall("slow", "", NOTICE_FIRING);
    for (int t = 0; t < 600; t++) {
        look(t, 50);
    }
    assert_int_equal(heard_len, 1);
    assert_true(heard[0].t == 60); /* group_interval */
    assert_int_equal(heard[0].resolved, 1);
    assert_string_equal(heard[0].first, "slow");
}

static void what_fires_on_is_not_told_anew_by_the_next_controller(void **state) {
    (void)state;
    recall("slow", "", NOTICE_FIRING);
    for (int t = 0; t < 300; t++) {
        look(t, 150);
    }
    assert_int_equal(heard_len, 0);
    look(4 * 3600, 150);
    assert_int_equal(heard_len, 1); /* repeat_interval */
    assert_true(heard[0].is_repeat);
    look(4 * 3600 + 60, 50);
    assert_int_equal(heard_len, 2);
    assert_int_equal(heard[1].resolved, 1);
}

static void a_new_controller_takes_neither_waiting_nor_silence_for_the_end(void **state) {
    (void)state;
    fixture_set(&f, "alert.slow", "for", "100s");
    recall("slow", "", NOTICE_FIRING);
    for (int t = 0; t < 80; t++) {
        look(t, t < 30 ? FIGURE_MISSING : 150); /* nobody asked yet, then it is pending */
    }
    for (int t = 80; t < 300; t++) {
        look(t, 150);
    }
    assert_int_equal(heard_len, 0);
    look(300, 50);
    assert_int_equal(heard_len, 1);
    assert_int_equal(heard[0].resolved, 1);
}

static void a_nodes_alert_is_recalled_and_ends_when_the_node_is_not_there(void **state) {
    (void)state;
    fixture_set(&f, "alert.hot", "metric", "node_cpu");
    fixture_set(&f, "alert.hot", "threshold", "90");
    recall("hot", "n001", NOTICE_FIRING); /* which is there, and cool */
    recall("hot", "n009", NOTICE_FIRING);
    f.snapshot.has_nodes = false; /* nobody has looked yet */
    f.snapshot.nodes_len = 0;
    for (int t = 0; t < 100; t++) {
        step(t);
    }
    assert_int_equal(heard_len, 0);
    f.snapshot.has_nodes = true;
    f.snapshot.nodes_len = 3;
    step(100);
    step(160);
    assert_int_equal(heard_len, 1);
    assert_int_equal(heard[0].resolved, 2);
}

static void the_last_word_of_an_earlier_controller_counts(void **state) {
    (void)state;
    recall("slow", "", NOTICE_FIRING);
    recall("slow", "", NOTICE_RESOLVED);
    for (int t = 0; t < 300; t++) {
        look(t, 50);
    }
    assert_int_equal(heard_len, 0);
    for (int t = 300; t < 600; t++) {
        look(t, 150); /* told as anything that begins */
    }
    assert_int_equal(heard_len, 1);
    assert_true(heard[0].t == 305);
}

static void what_would_have_been_told_again_by_now_counts_no_more(void **state) {
    (void)state;
    set_receiver("team", "repeat_interval", "29s"); /* twice that is less than a minute */
    recall("slow", "", NOTICE_FIRING);
    for (int t = 0; t < 300; t++) {
        look(t, 50);
    }
    assert_int_equal(heard_len, 0);
}

static void absence_is_recalled_until_there_is_data_or_it_is_absent_again(void **state) {
    (void)state;
    fixture_set(&f, "alert.slow", "absent_after", "2m");
    recall("slow", "", NOTICE_ABSENT);
    for (int t = 0; t < 300; t++) {
        look(t, FIGURE_MISSING);
    }
    assert_int_equal(heard_len, 0);
    look(300, 50);
    assert_int_equal(heard_len, 1);
    assert_int_equal(heard[0].resolved, 1);
}

/* ---- silences ---- */

static void a_silence_covers_what_it_names(void **state) {
    (void)state;
    struct alert_rule rule = {.name = "node_memory_high", .severity = SEVERITY_CRITICAL};
    static const struct {
        const char *rule, *node;
        int severity;
        bool covers;
    } rows[] = {
        {"", "", -1, true},
        {"node_memory_high", "", -1, true},
        {"node_memory", "", -1, false},
        {"node_*", "", -1, true},
        {"*", "n1:*", -1, true},
        {"", "n1:8080", SEVERITY_CRITICAL, true},
        {"", "n2:8080", -1, false},
        {"", "", SEVERITY_WARNING, false},
        {"other", "n1:8080", SEVERITY_CRITICAL, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct silence silence = {slice_of(rows[i].rule), slice_of(rows[i].node),
                                  rows[i].severity};
        assert_int_equal(silence_covers(&silence, &rule, SLICE_LIT("n1:8080")), rows[i].covers);
    }
}

static void what_is_silenced_is_not_told_and_told_when_the_silence_ends(void **state) {
    (void)state;
    silences[0] = (struct silence){SLICE_LIT("slow"), SLICE_NONE, -1};
    silences_len = 1;
    for (int t = 0; t < 100; t++) {
        look(t, 150);
    }
    assert_int_equal(heard_len, 0);
    silences_len = 0;
    for (int t = 100; t < 110; t++) {
        look(t, 150);
    }
    assert_int_equal(heard_len, 1);
    silences_len = 1; /* nothing more about it, not even that it resolved */
    for (int t = 110; t < 400; t++) {
        look(t, 50);
    }
    assert_int_equal(heard_len, 1);
}

/* ---- bounds ---- */

static void a_rule_that_flaps_is_told_once_until_it_is_calm(void **state) {
    (void)state;
    for (int t = 0; t < 3600; t += 10) { /* fires and resolves every 20 s */
        look(t, t / 10 % 2 == 0 ? 150 : 50);
    }
    assert_true(heard_len <= 4);
    size_t before = heard_len;
    for (int t = 3600; t < 4400; t += 10) {
        look(t, 50);
    }
    assert_int_equal(heard_len, before + 1);
    assert_int_equal(heard[before].resolved, 1);
}

static void many_groups_at_once_are_one_notice(void **state) {
    (void)state;
    for (int i = 0; i < 200; i++) {
        char section[32];
        snprintf(section, sizeof section, "alert.r%d", i);
        fixture_set(&f, section, "metric", "avg_query_time_ms");
        fixture_set(&f, section, "threshold", "100");
    }
    for (int t = 0; t < 60; t++) {
        look(t, 150);
    }
    assert_int_equal(heard_len, 1);
    assert_string_equal(heard[0].group, "all");
    assert_int_equal(heard[0].len, NOTICE_ITEMS_MAX);
    assert_int_equal(heard[0].more, 201 - NOTICE_ITEMS_MAX);
    for (int t = 60; t < 200; t++) {
        look(t, 50);
    }
    assert_int_equal(heard_len, 2);
    assert_int_equal(heard[1].resolved + heard[1].more, 201);
}

static void a_thousand_alerts_of_nodes_are_one_notice(void **state) {
    (void)state;
    fixture_set(&f, "alert.hot", "metric", "node_cpu");
    fixture_set(&f, "alert.hot", "threshold", "90");
    fixture_nodes(&f, 1000, 99, 50);
    for (int t = 0; t < 60; t++) {
        step(t);
    }
    assert_int_equal(heard_len, 1);
    assert_int_equal(heard[0].len + heard[0].more, 1000);
    fixture_nodes(&f, 3, 50, 50); /* all others leave */
    for (int t = 60; t < 200; t++) {
        step(t);
    }
    assert_int_equal(heard_len, 2);
    assert_int_equal(heard[1].resolved + heard[1].more, 1000);
    assert_int_equal(notices->node_places, 0);
}

static void a_receiver_that_takes_nothing_is_told_the_state_of_when_it_does(void **state) {
    (void)state;
    takes = false;
    for (int t = 0; t < 1000; t++) {
        look(t, t % 300 < 200 ? 150 : 50);
    }
    takes = true;
    look(1000, 150);
    assert_int_equal(heard_len, 1);
    assert_int_equal(heard[0].firing, 1);
}

/* Whatever fires when: at most NOTICES_A_MINUTE a minute to a receiver, each alert is told firing
 * before it is told resolved, and in the end everybody knows what there is. */
static void no_story_breaks_the_promises(void **state) {
    (void)state;
    struct seeded_rng rng;
    seeded_rng_init(&rng, 20261205);
    for (int round = 0; round < 10; round++) {
        (void)fresh(NULL);
        for (int i = 0; i < 40; i++) {
            char section[32], threshold[16];
            snprintf(section, sizeof section, "alert.r%d", i);
            snprintf(threshold, sizeof threshold, "%d", i);
            fixture_set(&f, section, "metric", "slow_query_count");
            fixture_set(&f, section, "threshold", threshold);
        }
        int told = 0;
        size_t at = 0;
        for (int t = 0; t < 3000; t++) {
            f.snapshot.metrics[METRIC_SLOW_QUERY_COUNT] = (double)rng_below(&rng.base, 41);
            takes = rng_below(&rng.base, 10) > 0;
            step(t);
        }
        takes = true;
        f.snapshot.metrics[METRIC_SLOW_QUERY_COUNT] = 0;
        for (int t = 3000; t < 4000; t++) {
            step(t);
        }
        for (; at < heard_len; at++) {
            told += (int)heard[at].firing - (int)heard[at].resolved;
            assert_true(at < NOTICES_A_MINUTE ||
                        heard[at].t - heard[at - NOTICES_A_MINUTE].t >= 60);
        }
        for (size_t i = 0; i < NOTICE_SUBJECTS_MAX; i++) {
            assert_int_equal(notices->receivers[0].told[i], 0);
        }
        assert_true(told >= 0 && heard_len > 0);
    }
}

#define CLAIM(test) cmocka_unit_test_setup(test, fresh)

int main(void) {
    const struct CMUnitTest tests[] = {
        CLAIM(an_alert_is_told_after_the_wait_and_once),
        CLAIM(what_is_gone_before_it_was_told_is_never_told),
        CLAIM(what_resolves_is_told_after_the_interval),
        CLAIM(a_receiver_may_do_without_resolved),
        CLAIM(what_goes_on_is_repeated),
        CLAIM(alertmanager_is_told_at_once_and_every_minute),
        CLAIM(alerts_of_a_rule_come_together),
        CLAIM(a_node_that_left_is_told_as_resolved),
        CLAIM(groups_may_be_severities_or_one),
        CLAIM(less_severe_rules_are_not_told),
        CLAIM(a_disabled_receiver_is_told_nothing),
        CLAIM(that_a_person_is_needed_is_told_at_once_and_once),
        CLAIM(absent_data_is_told_and_that_it_is_back),
        CLAIM(what_ended_between_two_controllers_is_told_as_resolved),
        CLAIM(what_fires_on_is_not_told_anew_by_the_next_controller),
        CLAIM(a_new_controller_takes_neither_waiting_nor_silence_for_the_end),
        CLAIM(a_nodes_alert_is_recalled_and_ends_when_the_node_is_not_there),
        CLAIM(the_last_word_of_an_earlier_controller_counts),
        CLAIM(what_would_have_been_told_again_by_now_counts_no_more),
        CLAIM(absence_is_recalled_until_there_is_data_or_it_is_absent_again),
        CLAIM(a_silence_covers_what_it_names),
        CLAIM(what_is_silenced_is_not_told_and_told_when_the_silence_ends),
        CLAIM(a_rule_that_flaps_is_told_once_until_it_is_calm),
        CLAIM(many_groups_at_once_are_one_notice),
        CLAIM(a_thousand_alerts_of_nodes_are_one_notice),
        CLAIM(a_receiver_that_takes_nothing_is_told_the_state_of_when_it_does),
        CLAIM(no_story_breaks_the_promises),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(notices);
    return failed;
}
