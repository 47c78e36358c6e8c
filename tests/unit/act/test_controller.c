/* SPDX-License-Identifier: Apache-2.0 */
/* size: one world of doubles serves every test of the controller */
/* Goal: what the controller does is what was decided, within mode and budget, and the journal tells
 * it truly whatever fails. Everything is on a virtual clock; the seams are doubles. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "act/controller.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ROWS_MAX = 64 };

struct row {
    char action[32], outcome[16], evidence[512], before[256], after[256], detail[256];
};

static struct world {
    struct virtual_clock clock;
    struct policy policy;
    struct controller *controller;
    struct row rows[ROWS_MAX];
    size_t rows_len;
    double slow_queries, response_ms;
    bool is_healthy;
    struct leadership leadership;
    int64_t real_term; /* what the journal knows */
    bool loses_lead;   /* once the next row is written */
    bool is_blind; /* nobody has looked at the nodes yet */
    const char *refusal; /* of every action */
    enum err_e act_err, journal_err;
    bool can_scale, goes_on;
    struct act_order order;
    int acts, settles, follows, halts;
    struct order_book *book;
    const char *stop_reason; /* acting is stopped; NULL: it is not */
    const char *silenced;    /* a rule */
    enum err_e orders_err, undo_err;
    bool can_shed, is_parting;
    struct past_action past[PAST_ACTIONS_MAX];
    size_t past_len;
    enum err_e past_err;
    int64_t shed_at_ms; /* 0: nothing is shed */
    int undos;
    char begun_at_act[16]; /* outcome of the newest row when `act` ran */
} world;

static void sense(void *data, struct sensed *ret) {
    (void)data;
    static char url[16];
    *ret = (struct sensed){.knows_nodes = !world.is_blind, .nodes_len = 1, .gone_len = 1};
    snprintf(url, sizeof url, "http://n1");
    ret->nodes[0] = (struct sensed_node){
        .figures = {.id = SLICE_LIT("n1"), .healthy = world.is_healthy, .cpu = 50, .memory = 60,
                    .connections = 7, .hit_rate = FIGURE_MISSING},
        .url = url,
        .version = "1",
        .state = "healthy",
        .why = "it answers in time",
        .capabilities = "{\"cpus\":2}",
        .started_at_ms = 1790000000000,
        .skew_ms = -1500};
    ret->nodes[1] = (struct sensed_node){
        .figures = {.id = SLICE_LIT("n0"), .cpu = FIGURE_MISSING, .memory = FIGURE_MISSING,
                    .connections = FIGURE_MISSING, .hit_rate = FIGURE_MISSING},
        .url = "http://n0",
        .state = "gone",
        .why = "it left",
        .started_at_ms = TIME_NONE,
        .skew_ms = TIME_NONE};
    if (world.is_blind) {
        ret->nodes_len = ret->gone_len = 0;
    }
    for (int i = 0; i < METRIC_GIVEN_COUNT; i++) {
        ret->metrics[i] = FIGURE_MISSING;
    }
    ret->metrics[METRIC_SLOW_QUERY_COUNT] = world.slow_queries;
    ret->metrics[METRIC_AVG_RESPONSE_TIME_MS] = world.response_ms;
}

static void lead(void *data, struct leadership *ret_leadership) {
    (void)data;
    *ret_leadership = world.leadership;
}

static const char *refuse(void *data, enum action_e action) {
    (void)data;
    bool can = action == ACTION_OPTIMIZE_QUERIES ||
               (action == ACTION_AUTO_SCALE && world.can_scale) ||
               (action == ACTION_SHED_LOAD && world.can_shed);
    return can ? world.refusal : "this node cannot";
}

static enum err_e act(void *data, const struct act_order *order, struct act_report *ret_report) {
    (void)data;
    assert_int_equal(order->action, world.can_scale  ? ACTION_AUTO_SCALE
                                    : world.can_shed ? ACTION_SHED_LOAD
                                                     : ACTION_OPTIMIZE_QUERIES);
    if (world.can_shed) {
        assert_string_equal(order->rule, "database_slow_query");
        world.shed_at_ms = clock_wall_ms(&world.clock.base);
    }
    world.acts++;
    world.order = *order;
    ret_report->goes_on = world.goes_on;
    snprintf(world.begun_at_act, sizeof world.begun_at_act, "%s",
             world.rows_len == 0 ? "" : world.rows[world.rows_len - 1].outcome);
    snprintf(ret_report->detail, ACT_DETAIL_SIZE, "tried");
    return world.act_err;
}

static enum err_e go_on(void *data, const struct act_order *order,
                        struct act_report *ret_report) {
    (void)data;
    assert_int_equal(order->action, ACTION_AUTO_SCALE);
    world.order = *order;
    ret_report->goes_on = world.goes_on;
    snprintf(ret_report->detail, ACT_DETAIL_SIZE, "gone on with");
    return world.act_err;
}

static void follow(void *data, struct control_state *state,
                   const struct decision *decision) {
    (void)data;
    assert_int_equal(state->snapshot.nodes_len, world.is_blind ? 0 : 1);
    assert_int_equal(decision->scale.current, !world.is_blind && world.is_healthy);
    world.follows++;
}

static void halt(void *data, enum action_e action) {
    (void)data;
    assert_int_equal(action, ACTION_AUTO_SCALE);
    world.halts++;
}

static enum err_e undo(void *data, enum action_e action) {
    (void)data;
    assert_int_equal(action, ACTION_SHED_LOAD);
    world.undos++;
    world.shed_at_ms = world.undo_err == ERR_OK ? 0 : world.shed_at_ms;
    return world.undo_err;
}

static enum err_e list_orders(void *data, struct arena *arena, struct order_row **ret_rows,
                              size_t *ret_len) {
    (void)data;
    static char values[2][128];
    *ret_len = 0;
    *ret_rows = arena_alloc(arena, 3 * sizeof **ret_rows);
    assert_non_null(*ret_rows);
    if (world.shed_at_ms != 0) {
        (*ret_rows)[(*ret_len)++] = (struct order_row){
            SLICE_LIT("shed"), SLICE_LIT("{\"rule\":\"database_slow_query\"}"), SLICE_LIT("n1"),
            world.shed_at_ms, world.shed_at_ms + 400000};
    }
    if (world.stop_reason != NULL) {
        snprintf(values[0], sizeof values[0], "{\"reason\":\"%s\"}", world.stop_reason);
        (*ret_rows)[(*ret_len)++] = (struct order_row){
            SLICE_LIT("acting"), slice_of(values[0]), SLICE_LIT("kim"), 1, TIME_NONE};
    }
    if (world.silenced != NULL) {
        snprintf(values[1], sizeof values[1], "{\"rule\":\"%s\"}", world.silenced);
        (*ret_rows)[(*ret_len)++] = (struct order_row){
            SLICE_LIT("silence/1"), slice_of(values[1]), SLICE_LIT("kim"), 1, 1790000010000};
    }
    return world.orders_err;
}

static void keep(char *to, size_t size, struct slice text) {
    snprintf(to, size, "%.*s", SLICE_ARG(text));
}

static enum err_e check_journal(const struct journal_entry *entry) {
    bool is_turn = entry->term == 0 || entry->term == world.real_term;
    return world.journal_err != ERR_OK ? world.journal_err : is_turn ? ERR_OK : ERR_CONFLICT;
}

static enum err_e journal_add(void *data, const struct journal_entry *entry, int64_t *ret_id) {
    (void)data;
    *ret_id = 0;
    TRY(check_journal(entry));
    if (world.loses_lead) {
        world.leadership = (struct leadership){.is_ours = false};
    }
    assert_true(world.rows_len < ROWS_MAX);
    struct row *row = &world.rows[world.rows_len++];
    snprintf(row->action, sizeof row->action, "%s", entry->action);
    snprintf(row->outcome, sizeof row->outcome, "%s", entry->outcome);
    keep(row->evidence, sizeof row->evidence, entry->evidence);
    keep(row->before, sizeof row->before, entry->before);
    keep(row->detail, sizeof row->detail, entry->detail);
    *ret_id = (int64_t)world.rows_len;
    return ERR_OK;
}

static enum err_e journal_end(void *data, int64_t id, const struct journal_entry *entry) {
    (void)data;
    TRY(check_journal(entry));
    assert_true(id > 0 && (size_t)id <= world.rows_len);
    struct row *row = &world.rows[id - 1];
    snprintf(row->outcome, sizeof row->outcome, "%s", entry->outcome);
    keep(row->after, sizeof row->after, entry->after);
    keep(row->detail, sizeof row->detail, entry->detail);
    return ERR_OK;
}

static enum err_e journal_settle(void *data, const char *was, const struct journal_entry *entry) {
    (void)data;
    TRY(check_journal(entry));
    world.settles++;
    for (size_t i = 0; i < world.rows_len; i++) {
        if (strcmp(world.rows[i].outcome, was) == 0) {
            snprintf(world.rows[i].outcome, sizeof world.rows[i].outcome, "%s", entry->outcome);
        }
    }
    return ERR_OK;
}

static const struct controller_options defaults = {
    .clock = &world.clock.base,
    .policy = &world.policy,
    .seams = {.sense = sense,
              .lead = lead,
              .refuse = refuse,
              .act = act,
              .go_on = go_on,
              .follow = follow,
              .journal_add = journal_add,
              .journal_end = journal_end,
              .journal_settle = journal_settle},
    .mode = RECOVERY_ACT,
    .budget = 6,
    .verify_ms = 30000,
    .approve_ms = 60000,
    .is_lone = true,
};

static void start(const struct controller_options *options) {
    controller_destroy(world.controller);
    world.controller = controller_create(options);
    assert_non_null(world.controller);
}

static void ignore_line(const char *line, size_t len, void *data) {
    (void)line;
    (void)len;
    (void)data;
}

static int make(void **state) {
    (void)state;
    world = (struct world){.leadership = {.is_ours = true, .term = 1, .holder = "n1/r1",
                                          .url = "http://n1"},
                           .real_term = 1,
                           .is_healthy = true, .slow_queries = 0, .response_ms = 10};
    log_set_sink(ignore_line, NULL);
    virtual_clock_init(&world.clock, 1790000000000);
    policy_init(&world.policy, NULL);
    start(&defaults);
    return 0;
}

static int drop(void **state) {
    (void)state;
    controller_destroy(world.controller);
    order_book_destroy(world.book);
    world.controller = NULL;
    world.book = NULL;
    return 0;
}

static void turns(int seconds) {
    for (int i = 0; i < seconds; i++) {
        controller_turn(world.controller);
        virtual_clock_advance(&world.clock, 1000);
    }
}

static void set_rule(const char *name, const char *key, const char *value) {
    char section[64];
    struct buf errors;
    buf_init(&errors, 1024);
    snprintf(section, sizeof section, "alert.%s", name);
    const struct policy_line line = {
        .section = slice_of(section), .key = slice_of(key), .value = slice_of(value)};
    assert_int_equal(policy_set(&world.policy, &line, &errors), ERR_OK);
    buf_fini(&errors);
}

static const struct row *last_row(void) {
    assert_true(world.rows_len > 0);
    return &world.rows[world.rows_len - 1];
}

static void start_with_hands_on_nodes(enum recovery_mode_e mode) {
    struct controller_options options = defaults;
    options.is_lone = false;
    options.mode = mode;
    world.can_scale = true;
    start(&options);
}

static void start_with_orders(enum recovery_mode_e mode) {
    struct controller_options options = defaults;
    world.book = order_book_create(&(struct order_book_options){.list = list_orders});
    assert_non_null(world.book);
    options.orders = world.book;
    options.mode = mode;
    options.is_lone = !world.can_scale;
    options.seams.halt = halt;
    options.seams.undo = undo;
    start(&options);
}

static void read_orders(void) {
    assert_int_equal(order_book_look(world.book), world.orders_err);
}

static enum err_e approve(int64_t id) {
    return controller_answer(world.controller, id, ANSWER_APPROVED, SLICE_LIT("kim"));
}

static enum err_e refuse_it(int64_t id) {
    return controller_answer(world.controller, id, ANSWER_REFUSED, SLICE_LIT("kim"));
}

static void assert_shown(const char *text) {
    struct control_state *state = controller_state(world.controller);
    char shown[8192];
    assert_non_null(state);
    snprintf(shown, sizeof shown, "%.*s", SLICE_ARG(state->alerts));
    control_state_unref(state);
    if (strstr(shown, text) == NULL) {
        fail_msg("%s is not in %s", text, shown);
    }
}

/* ---- orders ---- */

static void nothing_begins_while_acting_is_stopped(void **state) {
    (void)state;
    world.stop_reason = "a test";
    start_with_orders(RECOVERY_ACT);
    read_orders();
    world.slow_queries = 100;
    turns(2 * 3600);
    assert_int_equal(world.acts, 0);
    assert_string_equal(world.rows[0].outcome, "held");
    assert_string_equal(world.rows[0].detail, "acting is stopped by kim: a test");
    assert_in_range(world.rows_len, 1, 24); /* every five minutes, and nobody is called */
    for (size_t i = 0; i < world.rows_len; i++) {
        assert_string_equal(world.rows[i].outcome, "held");
    }
    assert_shown("\"acting\":{\"state\":\"stopped\"");
    world.stop_reason = NULL;
    read_orders();
    turns(600); /* its cooldown */
    assert_int_equal(world.acts > 0, true);
    assert_shown("\"acting\":{\"state\":\"on\"");
}

static void an_order_to_stop_counts_before_it_was_read_by_the_look(void **state) {
    (void)state;
    start_with_orders(RECOVERY_ACT);
    read_orders();
    turns(1);
    world.stop_reason = "just now"; /* the book has not read it */
    world.slow_queries = 100;
    turns(1);
    assert_int_equal(world.acts, 0);
    assert_string_equal(last_row()->outcome, "held");
}

static void nobody_acts_before_the_orders_were_read(void **state) {
    (void)state;
    world.orders_err = ERR_UNAVAILABLE;
    start_with_orders(RECOVERY_ACT);
    world.slow_queries = 100;
    turns(5);
    assert_int_equal(world.acts, 0);
    assert_shown("\"acting\":{\"state\":\"unknown\"");
}

static void orders_that_cannot_be_read_again_go_on_to_stand(void **state) {
    (void)state;
    world.stop_reason = "a test";
    start_with_orders(RECOVERY_ACT);
    read_orders();
    world.orders_err = ERR_UNAVAILABLE;
    world.slow_queries = 100;
    turns(5);
    assert_int_equal(world.acts, 0);
    assert_shown("\"acting\":{\"state\":\"stopped\"");
}

static void what_is_under_way_is_left_when_acting_stops(void **state) {
    (void)state;
    world.can_scale = world.goes_on = true;
    start_with_orders(RECOVERY_ACT);
    read_orders();
    turns(3); /* one node of at least two */
    assert_int_equal(world.acts, 1);
    assert_string_equal(last_row()->outcome, "begun");
    world.stop_reason = "enough";
    read_orders();
    turns(1);
    assert_int_equal(world.halts, 1);
    assert_string_equal(world.rows[0].outcome, "interrupted");
    assert_string_equal(world.rows[0].detail, "acting is stopped by kim: enough");
    turns(600);
    assert_int_equal(world.acts, 1);
    assert_int_equal(world.halts, 1);
}

static void what_is_approved_while_acting_is_stopped_waits_on(void **state) {
    (void)state;
    start_with_orders(RECOVERY_ASK);
    read_orders();
    world.slow_queries = 100;
    turns(1);
    assert_string_equal(last_row()->outcome, "waiting");
    world.stop_reason = "a test";
    assert_int_equal(approve(1), ERR_OK);
    turns(10);
    assert_string_equal(world.rows[0].outcome, "waiting");
    world.stop_reason = NULL;
    turns(1);
    assert_int_equal(world.acts, 1);
    assert_string_equal(world.rows[0].outcome, "done");
}

static void what_is_approved_and_held_until_too_late_expires(void **state) {
    (void)state;
    start_with_orders(RECOVERY_ASK);
    read_orders();
    world.slow_queries = 100;
    turns(1);
    world.stop_reason = "a test";
    assert_int_equal(approve(1), ERR_OK);
    turns(61);
    assert_int_equal(world.acts, 0);
    assert_string_equal(world.rows[0].outcome, "expired");
    assert_string_equal(world.rows[0].detail, "acting is stopped by kim: a test");
}

static void a_silenced_rule_is_shown_as_such_until_its_time_is_over(void **state) {
    (void)state;
    world.silenced = "database_*";
    start_with_orders(RECOVERY_ACT);
    read_orders();
    turns(9);
    assert_shown("\"silenced\":true");
    world.orders_err = ERR_UNAVAILABLE; /* it ends by itself */
    turns(3);
    struct control_state *seen = controller_state(world.controller);
    assert_null(memmem(seen->alerts.at, seen->alerts.len, "\"silenced\":true", 15));
    control_state_unref(seen);
}

/* ---- shedding ---- */

static struct alert_rule *slow_rule(void) {
    for (size_t i = 0; i < world.policy.rules_len; i++) {
        if (strcmp(world.policy.rules[i].name, "database_slow_query") == 0) {
            return &world.policy.rules[i];
        }
    }
    fail_msg("no such rule");
    return NULL;
}

/* One second at a time, with a book that reads each second as its thread does. */
static void live(int seconds) {
    for (int i = 0; i < seconds; i++) {
        read_orders();
        turns(1);
    }
}

static void start_shedding(void) {
    slow_rule()->action = ACTION_SHED_LOAD;
    world.can_shed = true;
    start_with_orders(RECOVERY_ACT);
    world.slow_queries = 100;
    live(1);
    assert_int_equal(world.acts, 1);
    assert_string_equal(last_row()->action, "SHED_LOAD");
    assert_string_equal(last_row()->outcome, "done");
}

static void shedding_is_lifted_once_its_rule_is_calm(void **state) {
    (void)state;
    start_shedding();
    live(1);
    assert_shown("\"shedding\":{\"rule\":\"database_slow_query\"");
    world.slow_queries = 0;
    live(28);
    assert_int_equal(world.undos, 0); /* too early to tell whether it helped */
    live(3);
    assert_int_equal(world.undos, 1);
    assert_string_equal(world.rows[0].outcome, "better");
    assert_string_equal(last_row()->outcome, "done");
    assert_string_equal(last_row()->detail, "analytics are answered again");
    assert_non_null(strstr(last_row()->evidence, "database_slow_query does not fire any more"));
    assert_shown("\"shedding\":null");
    live(600);
    assert_int_equal(world.undos, 1);
    assert_int_equal(world.rows_len, 2);
}

static void shedding_that_does_not_help_is_taken_back(void **state) {
    (void)state;
    static const double later[] = {100, 500};
    for (size_t i = 0; i < 2; i++) {
        drop(NULL);
        make(NULL);
        start_shedding();
        world.slow_queries = later[i];
        live(301); /* what it looks at is older before */
        assert_int_equal(world.undos, 1);
        assert_string_equal(world.rows[0].outcome, i == 0 ? "no effect" : "worse");
        assert_string_equal(world.rows[0].detail, "tried; taken back");
    }
}

static void what_cannot_be_taken_back_is_said_and_tried_when_the_rule_is_calm(void **state) {
    (void)state;
    start_shedding();
    world.undo_err = ERR_UNAVAILABLE;
    live(301);
    assert_string_equal(world.rows[0].detail, "tried; could not be taken back: store_unavailable");
    world.slow_queries = 0;
    live(5);
    world.undo_err = ERR_OK;
    live(1);
    assert_int_equal(world.shed_at_ms, 0);
    assert_string_equal(last_row()->detail, "analytics are answered again");
}

static void a_figure_that_is_missing_lifts_nothing(void **state) {
    (void)state;
    start_shedding();
    world.slow_queries = FIGURE_MISSING;
    live(200);
    assert_int_equal(world.undos, 0);
}

static void who_takes_the_lead_lifts_what_another_shed(void **state) {
    (void)state;
    world.shed_at_ms = clock_wall_ms(&world.clock.base) - 40000;
    start_with_orders(RECOVERY_ACT);
    world.leadership = (struct leadership){.is_ours = false};
    live(3);
    assert_int_equal(world.undos, 0);
    world.leadership = (struct leadership){.is_ours = true, .term = 1};
    live(1);
    assert_int_equal(world.undos, 1);
}

static void the_load_of_a_rule_that_is_gone_is_not_shed_on(void **state) {
    (void)state;
    world.shed_at_ms = clock_wall_ms(&world.clock.base) - 40000;
    slow_rule()->disabled = true;
    start_with_orders(RECOVERY_ACT);
    live(1);
    assert_int_equal(world.undos, 1);
}

static void nothing_is_lifted_while_acting_is_stopped(void **state) {
    (void)state;
    world.shed_at_ms = clock_wall_ms(&world.clock.base) - 40000;
    world.stop_reason = "a test";
    start_with_orders(RECOVERY_ACT);
    live(60);
    assert_int_equal(world.undos, 0); /* it ends by itself */
}

static void shedding_flaps_no_faster_than_its_cooldown(void **state) {
    (void)state;
    start_shedding();
    for (int i = 0; i < 3500; i += 20) { /* load comes back whenever it is let in */
        world.slow_queries = world.shed_at_ms != 0 ? 0 : 100;
        live(20);
    }
    assert_in_range(world.acts, 2, 6); /* the budget of an hour, and its cooldown */
    assert_in_range(world.undos, 1, world.acts);
}

/* ---- what an earlier controller did ---- */

static enum err_e journal_past(void *data, struct past_action ret_past[PAST_ACTIONS_MAX],
                               size_t *ret_len) {
    (void)data;
    memcpy(ret_past, world.past, sizeof world.past);
    *ret_len = world.past_len;
    return world.past_err;
}

static void start_in_mode_after(enum recovery_mode_e mode, size_t len,
                                const struct past_action *past) {
    struct controller_options options = defaults;
    options.mode = mode;
    options.seams.journal_past = journal_past;
    world.past_len = len;
    memcpy(world.past, past, len * sizeof *past);
    start(&options);
    world.slow_queries = 100;
}

static void start_after(size_t len, const struct past_action *past) {
    start_in_mode_after(defaults.mode, len, past);
}

/* Of five minutes, from when it was begun: with or without a word for it, and whatever its rule was
 * called then. */
static void a_cooldown_outlives_its_controller(void **state) {
    (void)state;
    static const char *const rules[] = {"database_slow_query", "as_it_was_called_then"};
    for (size_t i = 0; i < 4; i++) {
        struct past_action past = {.action = ACTION_OPTIMIZE_QUERIES,
                                   .age_ms = 100000,
                                   .outcome = OUTCOME_DONE};
        snprintf(past.rule, sizeof past.rule, "%s", rules[i % 2]);
        drop(NULL);
        make(NULL);
        start_in_mode_after(i < 2 ? RECOVERY_ACT : RECOVERY_ASK, 1, &past);
        turns(200);
        assert_int_equal(world.rows_len, 0);
        turns(1);
        assert_int_equal(world.rows_len, 1);
        assert_string_equal(last_row()->outcome, i < 2 ? "done" : "waiting");
    }
}

static void scaling_that_no_rule_asked_for_or_that_was_cut_off_holds_no_rule_back(void **state) {
    (void)state;
    static const struct {
        const char *rule;
        bool is_cut;
        int acts;
    } cases[] = {{"", false, 1}, {"database_slow_query", true, 1},
                 {"database_slow_query", false, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        drop(NULL);
        make(NULL);
        world.can_scale = true;
        world.policy.scaler.min = 1; /* as many as there are */
        struct past_action past = {.action = ACTION_AUTO_SCALE,
                                   .age_ms = 1000,
                                   .outcome = cases[i].is_cut ? OUTCOME_INTERRUPTED
                                                              : OUTCOME_DONE};
        snprintf(past.rule, sizeof past.rule, "%s", cases[i].rule);
        start_after(1, &past);
        set_rule("database_slow_query", "action", "AUTO_SCALE");
        turns(1);
        assert_int_equal(world.acts, cases[i].acts);
        assert_int_equal(world.rows_len, cases[i].acts);
    }
}

static void the_budget_outlives_its_controller(void **state) {
    (void)state;
    struct past_action past[6];
    for (size_t i = 0; i < 6; i++) {
        past[i] = (struct past_action){.action = ACTION_INVALIDATE_CACHE,
                                       .rule = "other",
                                       .age_ms = 3000000,
                                       .outcome = OUTCOME_DONE};
    }
    start_after(6, past);
    turns(2);
    assert_int_equal(world.acts, 0);
    assert_non_null(strstr(last_row()->detail, "budget"));
    drop(NULL);
    make(NULL);
    start_after(5, past);
    turns(2);
    assert_int_equal(world.acts, 1);
}

static void what_made_it_worse_is_not_repeated_by_the_next_controller(void **state) {
    (void)state;
    struct past_action past = {.action = ACTION_OPTIMIZE_QUERIES,
                               .rule = "database_slow_query",
                               .age_ms = 1200000,
                               .outcome = OUTCOME_WORSE};
    start_after(1, &past);
    turns(2);
    assert_int_equal(world.acts, 0);
    assert_int_equal(world.rows_len, 1); /* nothing else is on its ladder */
    assert_string_equal(last_row()->action, "CALL_PERSON");
    drop(NULL);
    make(NULL);
    snprintf(past.rule, sizeof past.rule, "other");
    start_after(1, &past);
    turns(2);
    assert_int_equal(world.acts, 1);
}

#define SLOW "database_slow_query"

static void start_on_a_ladder(size_t len, const struct past_action *past) {
    struct alert_rule *slow = &world.policy.rules[1];
    assert_string_equal(slow->name, "database_slow_query");
    slow->then.at[slow->then.len++] = ACTION_SHED_LOAD;
    world.can_shed = true;
    start_after(len, past);
    turns(2);
}

static void the_ladder_outlives_its_controller(void **state) {
    (void)state;
    const struct past_action past[] = {
        {.action = ACTION_SHED_LOAD, .rule = SLOW, .age_ms = 301000, .outcome = OUTCOME_NO_EFFECT},
        {.action = ACTION_OPTIMIZE_QUERIES, .rule = SLOW, .age_ms = 700000,
         .outcome = OUTCOME_FAILED},
    };
    start_on_a_ladder(1, &past[1]);
    assert_int_equal(world.acts, 1);
    assert_string_equal(world.rows[0].action, "SHED_LOAD");
    drop(NULL);
    make(NULL);
    start_on_a_ladder(2, past); /* the newest first */
    assert_string_equal(world.rows[0].action, "CALL_PERSON");
    assert_string_equal(world.rows[1].action, "SHED_LOAD");
}

static void what_is_done_and_not_judged_is_judged_by_the_next_controller(void **state) {
    (void)state;
    static const struct {
        int64_t age_ms;
        double now;
        const char *outcome;
    } cases[] = {{20000, 5, "better"}, {20000, 14, "no effect"}, {20000, 20, "worse"},
                 {500000, 5, "done"}}; /* which was judged long since, or nobody could */
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        drop(NULL);
        make(NULL);
        world.rows_len = 1;
        snprintf(world.rows[0].outcome, sizeof world.rows[0].outcome, "done");
        const struct past_action past = {.action = ACTION_OPTIMIZE_QUERIES,
                                         .rule = "database_slow_query",
                                         .age_ms = cases[i].age_ms,
                                         .outcome = OUTCOME_DONE,
                                         .id = 1,
                                         .before = 14,
                                         .detail = "as it was"};
        start_after(1, &past);
        world.slow_queries = cases[i].now;
        turns(29); /* verify_ms anew */
        assert_string_equal(world.rows[0].outcome, "done");
        turns(310);
        assert_string_equal(world.rows[0].outcome, cases[i].outcome);
        assert_int_equal(strcmp(world.rows[0].detail, "as it was") == 0, i < 3);
    }
}

static void a_person_is_not_called_anew_by_the_next_controller(void **state) {
    (void)state;
    const struct past_action past[] = {
        {.action = ACTION_NONE, .rule = SLOW, .age_ms = 200000, .outcome = OUTCOME_CALLED},
        {.action = ACTION_SHED_LOAD, .rule = SLOW, .age_ms = 301000, .outcome = OUTCOME_NO_EFFECT},
        {.action = ACTION_OPTIMIZE_QUERIES, .rule = SLOW, .age_ms = 700000,
         .outcome = OUTCOME_WORSE},
    };
    start_on_a_ladder(3, past);
    assert_int_equal(world.rows_len, 1);
    assert_string_equal(world.rows[0].action, "SHED_LOAD");
}

static void nothing_is_done_before_the_journal_was_read(void **state) {
    (void)state;
    const struct past_action none = {.action = ACTION_NONE};
    world.past_err = ERR_UNAVAILABLE;
    start_after(0, &none);
    turns(5);
    assert_int_equal(world.acts, 0);
    assert_string_equal(last_row()->detail, "the journal could not be read yet");
    world.past_err = ERR_OK;
    turns(1);
    assert_int_equal(world.acts, 1);
}

/* ---- what hangs, and what ends with its controller ---- */

static bool part(void *data, enum action_e action, char ret_detail[ACT_DETAIL_SIZE]) {
    (void)data;
    assert_int_equal(action, ACTION_AUTO_SCALE);
    snprintf(ret_detail, ACT_DETAIL_SIZE, "as it was meant");
    return world.is_parting;
}

static void start_what_goes_on(int64_t limit_ms) {
    struct controller_options options = defaults;
    options.is_lone = false;
    options.limit_ms = limit_ms;
    options.seams.halt = halt;
    options.seams.part = part;
    world.can_scale = world.goes_on = true;
    start(&options);
    turns(1);
    assert_int_equal(world.acts, 1);
    assert_string_equal(last_row()->outcome, "begun");
}

static void an_action_that_hangs_is_ended_and_said(void **state) {
    (void)state;
    start_what_goes_on(20000);
    turns(18);
    assert_string_equal(world.rows[0].outcome, "begun");
    turns(3);
    assert_string_equal(world.rows[0].outcome, "failed");
    assert_string_equal(world.rows[0].detail,
                        "it took longer than recovery.limit; gone on with");
    assert_int_equal(world.halts, 1);
}

static void what_ends_with_its_controller_is_done_if_it_was_meant_so(void **state) {
    (void)state;
    static const struct {
        bool is_meant;
        const char *outcome;
    } cases[] = {{true, "done"}, {false, "interrupted"}};
    for (size_t i = 0; i < 2; i++) {
        drop(NULL);
        make(NULL);
        start_what_goes_on(0);
        world.is_parting = cases[i].is_meant;
        world.leadership = (struct leadership){.is_ours = false};
        turns(2);
        world.leadership = (struct leadership){.is_ours = true, .term = 1};
        turns(1);
        assert_string_equal(world.rows[0].outcome, cases[i].outcome);
    }
}

/* ---- acting ---- */

static void a_quiet_node_does_and_writes_nothing(void **state) {
    (void)state;
    turns(4000);
    assert_int_equal(world.rows_len, 0);
    assert_int_equal(world.acts, 0);
}

static void a_firing_rule_is_acted_on_once_and_judged(void **state) {
    (void)state;
    world.slow_queries = 14;
    turns(5);
    assert_int_equal(world.acts, 1);
    assert_string_equal(world.begun_at_act, "begun"); /* written before anything was done */
    assert_int_equal(world.rows_len, 1);
    const struct row *row = last_row();
    assert_string_equal(row->action, "OPTIMIZE_QUERIES");
    assert_string_equal(row->outcome, "done");
    assert_non_null(strstr(row->evidence, "\"rule\":\"database_slow_query\""));
    assert_non_null(strstr(row->evidence, "\"value\":14.000"));
    assert_non_null(strstr(row->evidence, "\"plan\":\""));
    assert_non_null(strstr(row->before, "\"slow_query_count\":14.000"));
    world.slow_queries = 2;
    turns(30);
    assert_string_equal(row->outcome, "better");
    assert_non_null(strstr(row->after, "\"slow_query_count\":2.000"));
    assert_int_equal(world.acts, 1);
}

static void an_effect_is_judged_by_the_figure(void **state) {
    (void)state;
    static const struct {
        double after;
        const char *outcome;
    } cases[] = {
        {10, "better"}, {12, "better"}, {90, "better"}, {91, "no effect"}, {100, "no effect"},
        {109, "no effect"}, {110, "worse"}, {500, "worse"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        drop(NULL);
        make(NULL);
        world.slow_queries = 100;
        turns(1);
        world.slow_queries = cases[i].after;
        turns(301);
        if (strcmp(world.rows[0].outcome, cases[i].outcome) != 0) {
            fail_msg("%g after 100: %s, not %s", cases[i].after, world.rows[0].outcome,
                     cases[i].outcome);
        }
    }
}

/* Mended within seconds; what was slow before is counted for five minutes. */
static void what_was_before_speaks_against_no_action(void **state) {
    (void)state;
    world.slow_queries = 14;
    turns(1);
    world.slow_queries = 40;
    turns(298);
    assert_string_equal(world.rows[0].outcome, "done");
    world.slow_queries = 0;
    turns(1);
    assert_string_equal(world.rows[0].outcome, "better"); /* what is calm needs no further time */
    turns(400);
    assert_int_equal(world.rows_len, 1);
}

static void what_takes_effect_is_not_done_again_before_it_is_judged(void **state) {
    (void)state;
    set_rule("database_slow_query", "cooldown", "10s");
    start(&defaults);
    world.slow_queries = 14;
    turns(301);
    assert_int_equal(world.acts, 1);
    turns(10);
    assert_int_equal(world.acts, 2);
}

static void a_rate_is_judged_when_its_time_has_passed(void **state) {
    (void)state;
    set_rule("database_slow_query", "rate_over", "60s");
    set_rule("database_slow_query", "threshold", "0.5");
    start(&defaults);
    for (int i = 0; world.acts == 0 && i < 70; i++) {
        world.slow_queries = i;
        turns(1);
    }
    assert_int_equal(world.acts, 1);
    for (int i = 0; i < 59; i++) {
        assert_string_equal(world.rows[0].outcome, "done");
        world.slow_queries += 10;
        turns(1);
    }
    turns(1);
    assert_string_equal(world.rows[0].outcome, "worse");
}

/* Nodes that leak do so alike: the next one is above the threshold in a moment. */
static void what_goes_on_has_done_enough_when_the_figure_is_a_tenth_better(void **state) {
    (void)state;
    set_rule("high_response_time", "for", "0s");
    start_with_hands_on_nodes(RECOVERY_ACT);
    world.goes_on = true;
    world.response_ms = 2050;
    turns(1);
    assert_int_equal(world.acts, 1);
    static const struct {
        double ms;
        bool is_calm;
    } cases[] = {{2050, false}, {1990, false}, {1846, false}, {1845, true}, {100, true},
                 {FIGURE_MISSING, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        world.response_ms = cases[i].ms;
        turns(1);
        assert_int_equal(world.order.is_calm, cases[i].is_calm);
    }
}

static void an_effect_that_nobody_knows_is_not_claimed(void **state) {
    (void)state;
    world.slow_queries = 100;
    turns(1);
    world.slow_queries = FIGURE_MISSING;
    turns(31);
    assert_string_equal(last_row()->outcome, "done");
}

static void what_fails_is_told_and_not_judged(void **state) {
    (void)state;
    world.act_err = ERR_IO;
    world.slow_queries = 14;
    turns(1);
    assert_string_equal(last_row()->outcome, "failed");
    assert_string_equal(last_row()->detail, "tried");
    world.slow_queries = 0;
    turns(60);
    assert_string_equal(last_row()->outcome, "failed");
}

static void without_a_journal_nothing_is_done(void **state) {
    (void)state;
    world.journal_err = ERR_UNAVAILABLE;
    world.slow_queries = 14;
    turns(3);
    assert_int_equal(world.acts, 0);
    world.journal_err = ERR_OK;
    turns(310); /* the rule's cooldown */
    assert_int_equal(world.acts, 1);
}

static void what_this_node_cannot_do_is_advice_with_the_reason(void **state) {
    (void)state;
    world.refusal = "no hands";
    world.slow_queries = 14;
    turns(1);
    assert_int_equal(world.acts, 0);
    assert_int_equal(world.rows_len, 1);
    assert_string_equal(last_row()->outcome, "advised");
    assert_string_equal(last_row()->detail, "no hands");
}

static const struct row *row_of(const char *action) {
    for (size_t i = world.rows_len; i > 0; i--) {
        if (strcmp(world.rows[i - 1].action, action) == 0) {
            return &world.rows[i - 1];
        }
    }
    return NULL;
}

static void what_did_not_help_calls_a_person_once(void **state) {
    (void)state;
    world.slow_queries = 14;
    turns(302);
    assert_string_equal(world.rows[0].outcome, "no effect");
    const struct row *row = row_of("CALL_PERSON");
    assert_non_null(row);
    assert_string_equal(row->outcome, "called");
    assert_non_null(strstr(row->evidence, "\"rule\":\"database_slow_query\""));
    turns(1000);
    size_t calls = 0;
    for (size_t i = 0; i < world.rows_len; i++) {
        calls += strcmp(world.rows[i].action, "CALL_PERSON") == 0;
    }
    assert_int_equal(calls, 1);
}

static void what_made_it_worse_is_not_repeated(void **state) {
    (void)state;
    world.slow_queries = 14;
    turns(1);
    world.slow_queries = 100;
    turns(3500); /* a cooldown of five minutes */
    assert_int_equal(world.acts, 1);
    assert_string_equal(world.rows[0].outcome, "worse");
    turns(500); /* an hour after that was known */
    assert_int_equal(world.acts, 2);
}

static void the_next_action_of_the_ladder_follows(void **state) {
    (void)state;
    set_rule("high_response_time", "for", "0s");
    set_rule("high_response_time", "then", "OPTIMIZE_QUERIES");
    start(&defaults);
    world.response_ms = 3000;
    turns(3); /* this node scales nothing: the optimizer comes next */
    assert_string_equal(world.rows[0].action, "AUTO_SCALE");
    assert_string_equal(world.rows[0].outcome, "advised");
    assert_string_equal(world.rows[1].action, "OPTIMIZE_QUERIES");
    assert_int_equal(world.acts, 1);
}

/* Each would be a row a second. */
static void a_rule_without_a_cooldown_does_not_flood_the_journal(void **state) {
    (void)state;
    set_rule("database_slow_query", "cooldown", "0s");
    world.slow_queries = 14;
    static const enum recovery_mode_e modes[] = {RECOVERY_ADVISE, RECOVERY_ASK, RECOVERY_ACT};
    for (size_t i = 0; i < 3; i++) {
        struct controller_options options = defaults;
        options.mode = modes[i];
        options.budget = 2;
        options.approve_ms = 600000;
        world.rows_len = 0;
        start(&options);
        turns(901);
        assert_true(world.rows_len >= 2 && world.rows_len <= 8);
    }
}

/* It fires and resolves every second. */
static void a_flapping_rule_is_bounded(void **state) {
    (void)state;
    for (int i = 0; i < 1800; i++) {
        world.slow_queries = i % 2 == 0 ? 14 : 2;
        turns(1);
    }
    assert_int_equal(world.acts, 6);
    assert_int_equal(world.rows_len, 6);
}

static void the_budget_of_an_hour_holds(void **state) {
    (void)state;
    struct controller_options options = defaults;
    options.budget = 2;
    start(&options);
    world.slow_queries = 14;
    turns(1000); /* a cooldown of five minutes: due four times, and twice not judged yet */
    assert_int_equal(world.acts, 2);
    assert_int_equal(world.rows_len, 3); /* with the person who is called */
    turns(600);
    assert_int_equal(world.acts, 2);
    assert_int_equal(world.rows_len, 5);
    assert_string_equal(last_row()->outcome, "held");
    turns(3600);
    assert_int_equal(world.acts, 4);
}

/* ---- modes ---- */

static void the_mode_advise_does_nothing(void **state) {
    (void)state;
    struct controller_options options = defaults;
    options.mode = RECOVERY_ADVISE;
    start(&options);
    world.slow_queries = 14;
    turns(10);
    assert_int_equal(world.acts, 0);
    assert_string_equal(last_row()->outcome, "advised");
}

static void the_mode_ask_waits_for_an_approval(void **state) {
    (void)state;
    struct controller_options options = defaults;
    options.mode = RECOVERY_ASK;
    start(&options);
    world.slow_queries = 14;
    turns(5);
    assert_int_equal(world.acts, 0);
    assert_string_equal(last_row()->outcome, "waiting");
    assert_int_equal(approve(2), ERR_NOT_FOUND);
    assert_int_equal(approve(0), ERR_NOT_FOUND);
    assert_int_equal(approve(1), ERR_OK);
    assert_int_equal(approve(1), ERR_NOT_FOUND);
    turns(1);
    assert_int_equal(world.acts, 1);
    assert_string_equal(last_row()->outcome, "done");
    assert_string_equal(world.begun_at_act, "begun");
    assert_int_equal(approve(1), ERR_NOT_FOUND);
}

static void a_cooldown_counts_from_when_the_approved_action_was_begun(void **state) {
    (void)state;
    struct controller_options options = defaults;
    options.mode = RECOVERY_ASK;
    options.verify_ms = 0;
    start(&options);
    world.slow_queries = 14;
    turns(50);
    assert_int_equal(approve(1), ERR_OK);
    turns(1);
    assert_int_equal(world.acts, 1);
    turns(300);
    assert_int_equal(world.rows_len, 1);
    turns(1);
    assert_int_equal(world.rows_len, 2);
    assert_string_equal(last_row()->outcome, "waiting");
}

static void an_approval_says_whose_it_was(void **state) {
    (void)state;
    struct controller_options options = defaults;
    options.mode = RECOVERY_ASK;
    start(&options);
    world.slow_queries = 14;
    turns(2);
    assert_int_equal(approve(1), ERR_OK);
    turns(1);
    assert_string_equal(last_row()->detail, "tried; approved by kim");
}

static void what_is_refused_is_left_undone_and_not_asked_for_again_within_an_hour(void **state) {
    (void)state;
    struct controller_options options = defaults;
    options.mode = RECOVERY_ASK;
    start(&options);
    world.slow_queries = 14;
    turns(2);
    assert_int_equal(refuse_it(2), ERR_NOT_FOUND);
    assert_int_equal(refuse_it(1), ERR_OK);
    assert_int_equal(refuse_it(1), ERR_NOT_FOUND);
    assert_int_equal(approve(1), ERR_NOT_FOUND); /* the first word counts */
    turns(1);
    assert_string_equal(last_row()->outcome, "refused");
    assert_string_equal(last_row()->detail, "refused by kim");
    turns(3590);
    assert_int_equal(world.rows_len, 1); /* who refused it is there: nobody is called */
    turns(20);
    assert_int_equal(world.rows_len, 2);
    assert_string_equal(last_row()->outcome, "waiting");
    assert_int_equal(world.acts, 0);
}

static void what_was_refused_is_not_asked_for_by_the_next_controller(void **state) {
    (void)state;
    const struct past_action past[] = {
        {.action = ACTION_OPTIMIZE_QUERIES, .rule = SLOW, .age_ms = 100000,
         .outcome = OUTCOME_REFUSED}};
    start_on_a_ladder(1, past);
    assert_int_equal(world.acts, 1); /* the budget is not used up by it */
    assert_string_equal(world.rows[0].action, "SHED_LOAD");
}

static void an_approved_action_needs_its_journal_too(void **state) {
    (void)state;
    struct controller_options options = defaults;
    options.mode = RECOVERY_ASK;
    start(&options);
    world.slow_queries = 14;
    turns(2);
    world.journal_err = ERR_UNAVAILABLE;
    assert_int_equal(approve(1), ERR_OK);
    turns(2);
    assert_int_equal(world.acts, 0);
}

static void an_approval_that_does_not_come_expires(void **state) {
    (void)state;
    struct controller_options options = defaults;
    options.mode = RECOVERY_ASK;
    start(&options);
    world.slow_queries = 14;
    turns(62);
    assert_string_equal(last_row()->outcome, "expired");
    assert_int_equal(approve(1), ERR_NOT_FOUND);
    assert_int_equal(world.acts, 0);
}

/* ---- restarts ---- */

static void what_a_run_left_open_is_told_by_the_next(void **state) {
    (void)state;
    world.rows_len = 3;
    snprintf(world.rows[0].outcome, sizeof world.rows[0].outcome, "begun");
    snprintf(world.rows[1].outcome, sizeof world.rows[1].outcome, "waiting");
    snprintf(world.rows[2].outcome, sizeof world.rows[2].outcome, "done");
    world.journal_err = ERR_UNAVAILABLE; /* at first */
    turns(2);
    assert_string_equal(world.rows[0].outcome, "begun");
    world.journal_err = ERR_OK;
    turns(3);
    assert_string_equal(world.rows[0].outcome, "interrupted");
    assert_string_equal(world.rows[1].outcome, "expired");
    assert_string_equal(world.rows[2].outcome, "done");
    assert_int_equal(world.settles, 2);
}

/* ---- the lead ---- */

static void give_lead_away(void) {
    world.leadership = (struct leadership){.term = 2, .holder = "n2/r2", .url = "http://n2"};
    world.real_term = 2;
}

static void take_lead(int64_t term) {
    world.leadership = (struct leadership){.is_ours = true, .term = term, .holder = "n1/r1"};
    world.real_term = term;
}

static void who_does_not_lead_looks_and_does_nothing(void **state) {
    (void)state;
    give_lead_away();
    world.slow_queries = 14;
    turns(10);
    assert_int_equal(world.acts, 0);
    assert_int_equal(world.rows_len, 0);
    assert_int_equal(world.settles, 0);
    assert_int_equal(world.follows, 0);
    struct control_state *seen = controller_state(world.controller);
    char text[4096];
    keep(text, sizeof text, seen->alerts);
    assert_non_null(strstr(text, "\"state\":\"firing\""));
    keep(text, sizeof text, seen->nodes_text);
    assert_non_null(strstr(text, "\"controller\":{\"leads\":false,\"leader\":\"n2\","
                                 "\"url\":\"http://n2\",\"term\":2,"));
    control_state_unref(seen);
}

static void who_takes_the_lead_ends_what_was_left_and_acts(void **state) {
    (void)state;
    give_lead_away();
    world.rows_len = 1;
    snprintf(world.rows[0].outcome, sizeof world.rows[0].outcome, "begun");
    turns(3);
    assert_string_equal(world.rows[0].outcome, "begun");
    take_lead(3);
    turns(1);
    assert_string_equal(world.rows[0].outcome, "interrupted");
    world.slow_queries = 14;
    turns(1);
    assert_int_equal(world.acts, 1);
    assert_int_equal(world.settles, 2);
    take_lead(4); /* lost, and had again before the next look */
    turns(1);
    assert_int_equal(world.settles, 4);
}

static void who_takes_the_lead_does_at_once_what_was_not_done(void **state) {
    (void)state;
    give_lead_away();
    world.slow_queries = 14;
    turns(10); /* it looks on, and nobody acts */
    take_lead(3);
    turns(1);
    assert_int_equal(world.acts, 1);
}

static void who_loses_the_lead_lets_go_of_what_waits(void **state) {
    (void)state;
    struct controller_options options = defaults;
    options.mode = RECOVERY_ASK;
    start(&options);
    world.slow_queries = 14;
    turns(2);
    assert_string_equal(last_row()->outcome, "waiting");
    give_lead_away();
    turns(1);
    assert_int_equal(approve(1), ERR_NOT_FOUND);
    turns(70);
    assert_string_equal(last_row()->outcome, "waiting"); /* it is the new leader's to end */
    assert_int_equal(world.acts, 0);
}

static void who_loses_the_lead_does_not_go_on(void **state) {
    (void)state;
    start_with_hands_on_nodes(RECOVERY_ACT);
    world.goes_on = true;
    turns(2);
    assert_int_equal(world.acts, 1);
    give_lead_away();
    world.goes_on = false;
    turns(3);
    assert_string_equal(last_row()->outcome, "begun");
    assert_int_equal(world.rows_len, 1);
}

/* It was frozen, and does not know yet: the journal does. */
static void a_former_leader_is_stopped_by_the_journal(void **state) {
    (void)state;
    turns(1);
    world.real_term = 2;
    world.slow_queries = 14;
    turns(3);
    assert_int_equal(world.acts, 0);
    assert_int_equal(world.rows_len, 0);
}

static void the_lead_must_last_until_the_row_is_written(void **state) {
    (void)state;
    turns(1);
    world.loses_lead = true;
    world.slow_queries = 14;
    turns(1);
    assert_int_equal(world.acts, 0);
    assert_string_equal(last_row()->outcome, "failed");
    assert_string_equal(last_row()->detail, "the lead was lost before it began");
}

/* ---- the scaler's own wishes ---- */

static void a_node_that_stays_alone_is_not_advised_to_have_company(void **state) {
    (void)state;
    turns(10); /* one node, the minimum is two */
    assert_int_equal(world.rows_len, 0);
}

static void the_scalers_wish_is_advice_once_an_hour(void **state) {
    (void)state;
    struct controller_options options = defaults;
    options.is_lone = false;
    start(&options);
    turns(3000);
    assert_int_equal(world.rows_len, 1);
    assert_string_equal(last_row()->action, "AUTO_SCALE");
    assert_string_equal(last_row()->outcome, "advised");
    turns(1000);
    assert_int_equal(world.rows_len, 2);
}

static void an_action_that_takes_long_goes_on_and_ends_when_it_says_so(void **state) {
    (void)state;
    start_with_hands_on_nodes(RECOVERY_ACT);
    world.goes_on = true;
    turns(5); /* one node, the minimum is two: the wish is there each second */
    assert_int_equal(world.acts, 1);
    assert_int_equal(world.order.nodes_from, 1);
    assert_int_equal(world.order.nodes_to, 2);
    assert_int_equal(world.rows_len, 1);
    assert_string_equal(last_row()->outcome, "begun");
    world.goes_on = false;
    turns(1);
    assert_string_equal(world.rows[0].outcome, "done");
    assert_string_equal(world.rows[0].detail, "gone on with");
    assert_int_equal(world.follows, 6);
}

static void an_action_that_fails_on_its_way_says_so_and_may_begin_again(void **state) {
    (void)state;
    start_with_hands_on_nodes(RECOVERY_ACT);
    world.goes_on = true;
    turns(2);
    world.act_err = ERR_UNAVAILABLE;
    turns(1);
    assert_string_equal(world.rows[0].outcome, "failed");
    world.act_err = ERR_OK;
    turns(1);
    assert_int_equal(world.acts, 2);
}

static void the_budget_holds_a_wish_that_comes_each_second(void **state) {
    (void)state;
    start_with_hands_on_nodes(RECOVERY_ACT);
    turns(3000);
    assert_int_equal(world.acts, 6);
    assert_int_equal(world.rows_len, 7);
    assert_string_equal(last_row()->outcome, "held");
}

static void a_wish_that_waits_for_a_word_is_not_asked_for_again(void **state) {
    (void)state;
    start_with_hands_on_nodes(RECOVERY_ASK);
    world.goes_on = true;
    turns(5);
    assert_int_equal(world.rows_len, 1);
    assert_string_equal(last_row()->outcome, "waiting");
    assert_int_equal(approve(1), ERR_OK);
    turns(5);
    assert_int_equal(world.acts, 1);
    assert_int_equal(world.order.nodes_to, 2); /* as it was decided when it was asked */
    assert_string_equal(last_row()->outcome, "begun");
    assert_int_equal(world.rows_len, 1);
}

static void nodes_that_nobody_has_seen_yet_are_not_missed(void **state) {
    (void)state;
    struct controller_options options = defaults;
    options.is_lone = false;
    start(&options);
    world.is_blind = true;
    turns(10);
    assert_int_equal(world.rows_len, 0);
    world.is_blind = false;
    turns(1);
    assert_string_equal(last_row()->action, "AUTO_SCALE");
}

/* ---- what is shown ---- */

static void the_state_shows_rules_and_nodes(void **state) {
    (void)state;
    assert_null(controller_state(world.controller));
    world.slow_queries = 14;
    turns(1);
    struct control_state *seen = controller_state(world.controller);
    assert_non_null(seen);
    world.slow_queries = 0;
    turns(2); /* what was borrowed stays as it was */
    assert_int_equal(seen->snapshot.nodes_len, 1);
    assert_string_equal(seen->nodes[0].url, "http://n1");
    char text[4096];
    keep(text, sizeof text, seen->alerts);
    assert_non_null(strstr(text, "\"rule\":\"database_slow_query\",\"state\":\"firing\""));
    assert_non_null(strstr(text, "\"mode\":\"act\""));
    keep(text, sizeof text, seen->nodes_text);
    assert_non_null(strstr(text, "\"id\":\"n1\",\"url\":\"http://n1\""));
    assert_non_null(strstr(text, "\"hit_rate\":null"));
    assert_non_null(strstr(text, "\"state\":\"healthy\",\"why\":\"it answers in time\""));
    assert_non_null(strstr(text, "\"clock_ahead_s\":-1.500"));
    assert_non_null(strstr(text, "\"capabilities\":{\"cpus\":2}"));
    /* what is gone is shown and not decided on */
    assert_non_null(strstr(text, "\"id\":\"n0\",\"url\":\"http://n0\",\"version\":null,"
                                 "\"state\":\"gone\",\"why\":\"it left\",\"healthy\":false"));
    assert_non_null(strstr(text, "\"current\":1"));
    control_state_unref(seen);
    seen = controller_state(world.controller);
    keep(text, sizeof text, seen->alerts);
    assert_non_null(strstr(text, "\"rule\":\"database_slow_query\",\"state\":\"inactive\""));
    assert_non_null(strstr(text, "\"resolved_at\":\"2026-"));
    control_state_unref(seen);
}

static void a_recording_replays_to_the_same_decisions(void **state) {
    (void)state;
    char path[] = "/tmp/turnout-recording-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    unlink(path);
    struct controller_options options = defaults;
    options.record = path;
    options.record_max = 1 << 20;
    start(&options);
    struct seeded_rng rng;
    seeded_rng_init(&rng, 7);
    for (int i = 0; i < 200; i++) {
        world.slow_queries = (double)rng_below(&rng.base, 20);
        world.response_ms = rng_unit(&rng.base) * 4000;
        world.is_healthy = rng_below(&rng.base, 4) > 0;
        controller_turn(world.controller);
        virtual_clock_advance(&world.clock, (int64_t)rng_below(&rng.base, 2500));
    }
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    struct history history;
    struct arena arena;
    struct buf text;
    char *line = NULL;
    size_t size = 0;
    ssize_t len;
    int lines = 0;
    history_init(&history);
    arena_init(&arena, 1 << 20);
    buf_init(&text, 1 << 16);
    while ((len = getline(&line, &size, file)) > 0) {
        struct snapshot snapshot;
        struct decision decision;
        struct problem problem;
        arena_reset(&arena);
        buf_clear(&text);
        assert_int_equal(snapshot_read(&arena, slice_from(line, (size_t)len - 1), &snapshot,
                                       &problem), ERR_OK);
        decide(&history, &snapshot, &world.policy, &decision);
        buf_add_text(&text, "\"decision\":");
        decision_write(&decision, &history, &world.policy, &text);
        buf_add_text(&text, "}\n");
        buf_add_char(&text, '\0');
        const char *decided = strstr(line, "\"decision\":");
        assert_non_null(decided);
        assert_string_equal(decided, text.at);
        lines++;
    }
    assert_int_equal(lines, 200);
    free(line);
    fclose(file);
    buf_fini(&text);
    arena_fini(&arena);
    unlink(path);
}

static void the_thread_looks_and_stops_at_once(void **state) {
    (void)state;
    struct controller_options options = defaults;
    options.clock = clock_system();
    start(&options);
    assert_int_equal(controller_start(world.controller), ERR_OK);
    struct control_state *seen = NULL;
    while (seen == NULL) {
        seen = controller_state(world.controller);
        usleep(1000);
    }
    control_state_unref(seen);
    controller_stop(world.controller);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, make, drop)

static const struct CMUnitTest tests[] = {
    EACH(a_quiet_node_does_and_writes_nothing),
    EACH(a_firing_rule_is_acted_on_once_and_judged),
    EACH(an_effect_is_judged_by_the_figure),
    EACH(what_was_before_speaks_against_no_action),
    EACH(what_takes_effect_is_not_done_again_before_it_is_judged),
    EACH(a_rate_is_judged_when_its_time_has_passed),
    EACH(what_goes_on_has_done_enough_when_the_figure_is_a_tenth_better),
    EACH(an_effect_that_nobody_knows_is_not_claimed),
    EACH(what_fails_is_told_and_not_judged),
    EACH(without_a_journal_nothing_is_done),
    EACH(what_this_node_cannot_do_is_advice_with_the_reason),
    EACH(what_did_not_help_calls_a_person_once),
    EACH(what_made_it_worse_is_not_repeated),
    EACH(the_next_action_of_the_ladder_follows),
    EACH(a_rule_without_a_cooldown_does_not_flood_the_journal),
    EACH(a_flapping_rule_is_bounded),
    EACH(the_budget_of_an_hour_holds),
    EACH(the_mode_advise_does_nothing),
    EACH(the_mode_ask_waits_for_an_approval),
    EACH(a_cooldown_counts_from_when_the_approved_action_was_begun),
    EACH(an_approval_says_whose_it_was),
    EACH(what_is_refused_is_left_undone_and_not_asked_for_again_within_an_hour),
    EACH(what_was_refused_is_not_asked_for_by_the_next_controller),
    EACH(an_approved_action_needs_its_journal_too),
    EACH(an_approval_that_does_not_come_expires),
    EACH(what_a_run_left_open_is_told_by_the_next),
    EACH(who_does_not_lead_looks_and_does_nothing),
    EACH(who_takes_the_lead_ends_what_was_left_and_acts),
    EACH(who_takes_the_lead_does_at_once_what_was_not_done),
    EACH(who_loses_the_lead_lets_go_of_what_waits),
    EACH(who_loses_the_lead_does_not_go_on),
    EACH(a_former_leader_is_stopped_by_the_journal),
    EACH(the_lead_must_last_until_the_row_is_written),
    EACH(a_node_that_stays_alone_is_not_advised_to_have_company),
    EACH(the_scalers_wish_is_advice_once_an_hour),
    EACH(an_action_that_takes_long_goes_on_and_ends_when_it_says_so),
    EACH(an_action_that_fails_on_its_way_says_so_and_may_begin_again),
    EACH(the_budget_holds_a_wish_that_comes_each_second),
    EACH(a_wish_that_waits_for_a_word_is_not_asked_for_again),
    EACH(nodes_that_nobody_has_seen_yet_are_not_missed),
    EACH(the_state_shows_rules_and_nodes),
    EACH(a_recording_replays_to_the_same_decisions),
    EACH(nothing_begins_while_acting_is_stopped),
    EACH(an_order_to_stop_counts_before_it_was_read_by_the_look),
    EACH(nobody_acts_before_the_orders_were_read),
    EACH(orders_that_cannot_be_read_again_go_on_to_stand),
    EACH(what_is_under_way_is_left_when_acting_stops),
    EACH(what_is_approved_while_acting_is_stopped_waits_on),
    EACH(what_is_approved_and_held_until_too_late_expires),
    EACH(a_silenced_rule_is_shown_as_such_until_its_time_is_over),
    EACH(a_cooldown_outlives_its_controller),
    EACH(scaling_that_no_rule_asked_for_or_that_was_cut_off_holds_no_rule_back),
    EACH(the_budget_outlives_its_controller),
    EACH(what_made_it_worse_is_not_repeated_by_the_next_controller),
    EACH(the_ladder_outlives_its_controller),
    EACH(what_is_done_and_not_judged_is_judged_by_the_next_controller),
    EACH(a_person_is_not_called_anew_by_the_next_controller),
    EACH(nothing_is_done_before_the_journal_was_read),
    EACH(an_action_that_hangs_is_ended_and_said),
    EACH(what_ends_with_its_controller_is_done_if_it_was_meant_so),
    EACH(shedding_is_lifted_once_its_rule_is_calm),
    EACH(shedding_that_does_not_help_is_taken_back),
    EACH(what_cannot_be_taken_back_is_said_and_tried_when_the_rule_is_calm),
    EACH(a_figure_that_is_missing_lifts_nothing),
    EACH(who_takes_the_lead_lifts_what_another_shed),
    EACH(the_load_of_a_rule_that_is_gone_is_not_shed_on),
    EACH(nothing_is_lifted_while_acting_is_stopped),
    EACH(shedding_flaps_no_faster_than_its_cooldown),
    EACH(the_thread_looks_and_stops_at_once),
};

int main(void) {
    return cmocka_run_group_tests(tests, NULL, NULL);
}
