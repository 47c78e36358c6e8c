/* SPDX-License-Identifier: Apache-2.0 */
/* A test is run once; when an expectation about a rule fails it is run again, to tell what that
 * rule did all the while. */
#include "control/rule_test.h"

#include "base/assert.h"

#include <stdio.h>

enum { WHAT_MAX = 1024, SEEN_MAX = 1024, RUNS_TOLD = 12 };

#define VALUE_TOLERANCE 1e-9

void rule_test_time(int64_t ms, char ret_text[TEST_TIME_SIZE]) {
    static const struct {
        int64_t ms;
        const char *unit;
    } units[] = {{3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
    int len = 0;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        int64_t whole = ms / units[i].ms;
        ms %= units[i].ms;
        if (whole > 0) {
            len += snprintf(ret_text + len, (size_t)(TEST_TIME_SIZE - len), "%lld%s",
                            (long long)whole, units[i].unit);
        }
    }
    if (len == 0) {
        snprintf(ret_text, TEST_TIME_SIZE, "0s");
    }
}

/* ---- steps ---- */

/* One run of a test; what it holds is of the last step. */
struct run {
    const struct rule_test *test;
    const struct policy *policy;
    struct history *history;
    struct node_figures *nodes;
    struct told_effect effects[SNAPSHOT_EFFECTS_MAX];
    struct snapshot snapshot;
    struct decision decision;
    int64_t now_ms;
};

static enum err_e open_run(struct arena *arena, const struct rule_test *test,
                           const struct policy *policy, struct run *ret_run) {
    *ret_run = (struct run){.test = test, .policy = policy};
    ret_run->history = arena_alloc(arena, sizeof *ret_run->history);
    ret_run->nodes = arena_alloc(arena, (test->nodes_len + 1) * sizeof *ret_run->nodes);
    if (ret_run->history == NULL || ret_run->nodes == NULL) {
        return ERR_NO_MEMORY;
    }
    history_init(ret_run->history);
    return ERR_OK;
}

/* The order of the reader's figure_names: NODE_FIGURE_TABLE, healthy, age. */
static void put_figure(struct node_figures *node, size_t column, double value) {
    double *const figures[] = {
#define X(name, highest) &node->name,
        NODE_FIGURE_TABLE(X)
#undef X
    };
    size_t len = sizeof figures / sizeof figures[0];
    if (column < len) {
        *figures[column] = value;
    } else if (column == len) {
        node->healthy = !figure_is_known(value) || value != 0;
    } else {
        node->age_ms = figure_is_known(value) ? (int64_t)(value * 1000) : 0;
    }
}

/* A node is there as long as one of its series has a sample, be it a missing one. */
static void gather_nodes(struct run *run, size_t step) {
    const struct rule_test *test = run->test;
    size_t len = 0;
    for (size_t i = 0; i < test->nodes_len; i++) {
        struct node_figures node = {.id = test->nodes[i],
                                    .healthy = true,
                                    .cpu = FIGURE_MISSING,
                                    .memory = FIGURE_MISSING,
                                    .connections = FIGURE_MISSING,
                                    .hit_rate = FIGURE_MISSING,
                                    .healthy_for_ms = INT64_MAX};
        bool is_there = false;
        for (size_t k = 0; k < test->series_len; k++) {
            const struct test_series *series = &test->series[k];
            if (series->node == (int)i && step < series->samples.len) {
                put_figure(&node, series->column, series->samples.at[step]);
                is_there = true;
            }
        }
        if (is_there) {
            run->nodes[len++] = node;
        }
    }
    run->snapshot.nodes = run->nodes;
    run->snapshot.nodes_len = len;
    run->snapshot.has_nodes = test->nodes_len > 0;
}

static void gather_effects(struct run *run) {
    size_t len = 0;
    for (size_t i = 0; i < run->test->effects_len; i++) {
        if (run->test->effects[i].at_ms == run->now_ms) {
            run->effects[len++] = run->test->effects[i].told;
        }
    }
    run->snapshot.effects = run->effects;
    run->snapshot.effects_len = len;
}

static void run_step(struct run *run, size_t step) {
    const struct rule_test *test = run->test;
    run->now_ms = (int64_t)step * test->interval_ms;
    run->snapshot.t = (double)run->now_ms / 1000;
    for (int i = 0; i < METRIC_GIVEN_COUNT; i++) {
        run->snapshot.metrics[i] = FIGURE_MISSING;
    }
    for (size_t i = 0; i < test->series_len; i++) {
        const struct test_series *series = &test->series[i];
        if (series->node < 0 && step < series->samples.len) {
            run->snapshot.metrics[series->column] = series->samples.at[step];
        }
    }
    gather_nodes(run, step);
    gather_effects(run);
    decide(run->history, &run->snapshot, run->policy, &run->decision);
}

/* ---- what a rule says ---- */

/* -1: there is none of this name. */
static int find_rule(const struct policy *policy, struct slice name) {
    for (size_t i = 0; i < policy->rules_len; i++) {
        if (slice_eq_text(name, policy->rules[i].name)) {
            return (int)i;
        }
    }
    return -1;
}

/* The rule's alert, or the node's under it: an inactive one where there is none. */
static struct alert alert_of(const struct run *run, const struct test_expect *expect) {
    const struct rule_states *states = &run->history->rules;
    int rule = find_rule(run->policy, expect->rule);
    ASSERT(rule >= 0); /* looked at before the run */
    if (expect->node.at == NULL) {
        return states->alerts[rule];
    }
    for (size_t i = 0; i < states->nodes_len; i++) {
        if (states->nodes[i].rule == rule &&
            slice_eq(node_alert_id(&states->nodes[i]), expect->node)) {
            return states->nodes[i].alert;
        }
    }
    struct alert none;
    alert_init(&none);
    return none;
}

static bool value_is(double expected, double got) {
    if (!figure_is_known(expected) || !figure_is_known(got)) {
        return figure_is_known(expected) == figure_is_known(got);
    }
    double size = fabs(expected) > 1 ? fabs(expected) : 1;
    return fabs(expected - got) <= VALUE_TOLERANCE * size;
}

static void put_value(struct buf *to, double value) {
    if (figure_is_known(value)) {
        buf_printf(to, "%.9g", value);
    } else {
        buf_add_text(to, "missing");
    }
}

/* ---- failures ---- */

struct judging {
    struct arena *arena;
    struct run *run;
    struct rule_test_result *result;
    struct buf what;
};

static void begin_what(struct judging *judging, const struct test_expect *expect) {
    buf_clear(&judging->what);
    if (expect->rule.at != NULL) {
        buf_printf(&judging->what, "rule %.*s%s%.*s: ", SLICE_ARG(expect->rule),
                   expect->node.at == NULL ? "" : " on ", SLICE_ARG(expect->node));
    }
    buf_add_text(&judging->what, "expected ");
}

static void fail(struct judging *judging, const struct test_expect *expect) {
    struct rule_test_result *result = judging->result;
    result->failed++;
    if (result->failures_len < RULE_TEST_FAILURES_MAX) {
        result->failures[result->failures_len++] = (struct rule_test_failure){
            .expect = expect,
            .what = arena_copy(judging->arena, buf_slice(&judging->what)),
            .seen = SLICE_NONE};
    }
}

static void judge_rule(struct judging *judging, const struct test_expect *expect) {
    struct alert alert = alert_of(judging->run, expect);
    bool flapping = alert_is_flapping(&alert, judging->run->history->now_ms);
    begin_what(judging, expect);
    struct buf *what = &judging->what;
    if (expect->state >= 0 && expect->state != alert.state) {
        buf_printf(what, "state %s, got %s", alert_state_text((enum alert_state_e)expect->state),
                   alert_state_text((enum alert_state_e)alert.state));
    } else if (expect->data >= 0 && expect->data != alert.data) {
        buf_printf(what, "data %s, got %s", alert_data_text((enum alert_data_e)expect->data),
                   alert_data_text((enum alert_data_e)alert.data));
    } else if (expect->flapping >= 0 && expect->flapping != flapping) {
        buf_printf(what, "flapping %s, got %s", flapping ? "false" : "true",
                   flapping ? "true" : "false");
    } else if (expect->has_value && !value_is(expect->value, alert.value)) {
        buf_add_text(what, "value ");
        put_value(what, expect->value);
        buf_add_text(what, ", got ");
        put_value(what, alert.value);
    } else {
        return;
    }
    fail(judging, expect);
}

static void put_names(struct buf *to, const struct json_t *names) {
    for (size_t i = 0; i < json_count(names); i++) {
        buf_printf(to, "%s%.*s", i == 0 ? "" : ", ", SLICE_ARG(json_text(json_at(names, i))));
    }
    if (json_count(names) == 0) {
        buf_add_text(to, "none");
    }
}

/* Compares two lists of names in their order; the other one is given by its place. */
static void judge_names(struct judging *judging, const struct test_expect *expect,
                        const struct json_t *names, size_t len,
                        const char *(*name_at)(const struct run *run, size_t place)) {
    bool is_same = json_count(names) == len;
    for (size_t i = 0; is_same && i < len; i++) {
        is_same = slice_eq_text(json_text(json_at(names, i)), name_at(judging->run, i));
    }
    if (is_same) {
        return;
    }
    buf_clear(&judging->what);
    buf_printf(&judging->what, "expected %s ", names == expect->actions ? "actions" : "calls");
    put_names(&judging->what, names);
    buf_add_text(&judging->what, ", got ");
    for (size_t i = 0; i < len; i++) {
        buf_printf(&judging->what, "%s%s", i == 0 ? "" : ", ", name_at(judging->run, i));
    }
    buf_add_text(&judging->what, len == 0 ? "none" : "");
    fail(judging, expect);
}

static const char *action_at(const struct run *run, size_t place) {
    return action_text(run->decision.actions.items[place].action);
}

static const char *call_at(const struct run *run, size_t place) {
    return run->policy->rules[run->decision.calls.rules[place]].name;
}

static void judge(struct judging *judging, const struct test_expect *expect) {
    const struct decision *decision = &judging->run->decision;
    if (expect->rule.at != NULL) {
        judge_rule(judging, expect);
    }
    if (expect->actions != NULL) {
        judge_names(judging, expect, expect->actions, decision->actions.len, action_at);
    }
    if (expect->calls != NULL) {
        judge_names(judging, expect, expect->calls, decision->calls.len, call_at);
    }
    if (expect->desired >= 0 && expect->desired != decision->scale.desired) {
        buf_clear(&judging->what);
        buf_printf(&judging->what, "expected %lld nodes desired, got %lld: %s",
                   (long long)expect->desired, (long long)decision->scale.desired,
                   decision->scale.reason);
        fail(judging, expect);
    }
}

/* ---- what the rule did all the while ---- */

static void put_run(struct buf *to, int state, int64_t from_ms, int64_t until_ms) {
    char from[TEST_TIME_SIZE], until[TEST_TIME_SIZE];
    rule_test_time(from_ms, from);
    rule_test_time(until_ms, until);
    buf_printf(to, "%s%s %s", to->len == 0 ? "" : ", ",
               alert_state_text((enum alert_state_e)state), from);
    if (until_ms > from_ms) {
        buf_printf(to, "-%s", until);
    }
}

static enum err_e describe_states(struct arena *arena, const struct run *before,
                                  const struct test_expect *expect, struct slice *ret_seen) {
    struct run run;
    struct buf text;
    int state = -1, told = 0;
    int64_t from_ms = 0;
    TRY(open_run(arena, before->test, before->policy, &run));
    buf_init(&text, SEEN_MAX);
    for (size_t step = 0; step < run.test->steps && told < RUNS_TOLD; step++) {
        run_step(&run, step);
        struct alert alert = alert_of(&run, expect);
        if (state >= 0 && alert.state != state) {
            put_run(&text, state, from_ms, run.now_ms - run.test->interval_ms);
            told++;
        }
        from_ms = alert.state != state ? run.now_ms : from_ms;
        state = alert.state;
    }
    if (told == RUNS_TOLD) {
        buf_add_text(&text, ", …");
    } else {
        put_run(&text, state, from_ms, run.now_ms);
    }
    *ret_seen = arena_copy(arena, buf_slice(&text));
    buf_fini(&text);
    return ERR_OK;
}

static enum err_e describe_failures(struct arena *arena, const struct run *run,
                                    struct rule_test_result *result) {
    for (size_t i = 0; i < result->failures_len; i++) {
        struct rule_test_failure *failure = &result->failures[i];
        if (failure->expect->rule.at != NULL) {
            TRY(describe_states(arena, run, failure->expect, &failure->seen));
        }
    }
    return ERR_OK;
}

/* ---- a test ---- */

static enum err_e check_rules(const struct rule_test *test, const struct policy *policy,
                              struct problem *ret_problem) {
    for (size_t i = 0; i < test->expect_len; i++) {
        const struct test_expect *expect = &test->expect[i];
        char place[64];
        snprintf(place, sizeof place, "expect[%zu].rule", expect->place);
        if (expect->rule.at == NULL) {
            continue;
        }
        int rule = find_rule(policy, expect->rule);
        if (rule < 0) {
            return problem_set(ret_problem, ERR_INVALID_FIELD, place, "there is no rule %.*s",
                               SLICE_ARG(expect->rule));
        }
        if (expect->node.at != NULL && !rule_is_per_node(&policy->rules[rule])) {
            return problem_set(ret_problem, ERR_INVALID_FIELD, place,
                               "%.*s is no rule over nodes", SLICE_ARG(expect->rule));
        }
    }
    return ERR_OK;
}

enum err_e rule_test_run(struct arena *arena, const struct rule_test *test,
                         const struct policy *policy, struct rule_test_result *ret_result,
                         struct problem *ret_problem) {
    struct run run;
    *ret_result = (struct rule_test_result){.failed = 0};
    TRY(check_rules(test, policy, ret_problem));
    TRY(open_run(arena, test, policy, &run));
    struct judging judging = {.arena = arena, .run = &run, .result = ret_result};
    buf_init(&judging.what, WHAT_MAX);
    for (size_t step = 0; step < test->steps; step++) {
        run_step(&run, step);
        for (size_t i = 0; i < test->expect_len; i++) {
            if (test->expect[i].at_ms == run.now_ms) {
                judge(&judging, &test->expect[i]);
            }
        }
    }
    buf_fini(&judging.what);
    return describe_failures(arena, &run, ret_result);
}
