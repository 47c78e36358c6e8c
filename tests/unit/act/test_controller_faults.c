/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: whatever fails, hangs, flaps or dies, and whenever, what is done stays bounded and the
 * journal tells the truth. A controller lives among faults at random, on a virtual clock; seeds are
 * fixed, and a failure names its own. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "act/controller.h"
#include "base/log.h"
#include "base/rng.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    ROWS_MAX = 20000,
    ACTS_MAX = 4096,
    SEEDS_DEFAULT = 20,
    SECONDS = 4000,
    BUDGET = 6,
    LIMIT_MS = 30000,
    NODES = 2,
    APPROVE_MS = 60000,
};

struct row {
    enum action_e action; /* ACTION_NONE: a person is called */
    char rule[ALERT_NAME_SIZE], outcome[16];
    int64_t at_ms;
    int acts; /* that were carried out under it */
    bool is_ended_well; /* act or go_on said that it is done */
};

static struct world {
    struct virtual_clock clock;
    struct seeded_rng seeded;
    struct policy policy;
    struct controller *controller;
    struct order_book *book;
    struct row *rows;
    size_t rows_len;
    int64_t acts_ms[ACTS_MAX];
    size_t acts_len;
    bool is_down;  /* the database: journal and orders */
    bool is_stopped, knows_stop; /* as the orders were read last */
    bool hangs;
    double figures[METRIC_GIVEN_COUNT];
    size_t under_way; /* place + 1 of the row; 0: nothing */
    uint64_t seed;
} world;

static uint64_t below(uint64_t bound) {
    return rng_below(&world.seeded.base, bound);
}

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fail_msg("seed %llu: %s", (unsigned long long)world.seed, #condition);                 \
        }                                                                                          \
    } while (0)

static int64_t wall_ms(void) {
    return clock_wall_ms(&world.clock.base);
}

/* ---- the seams ---- */

static void sense(void *data, struct sensed *ret) {
    (void)data;
    static const char *const ids[NODES] = {"n1", "n2"};
    *ret = (struct sensed){.knows_nodes = true, .nodes_len = NODES};
    for (size_t i = 0; i < NODES; i++) {
        ret->nodes[i] = (struct sensed_node){
            .figures = {.id = slice_of(ids[i]), .healthy = true, .cpu = 50, .memory = 60,
                        .connections = 7, .hit_rate = 0.9},
            .url = "http://n", .version = "1", .state = "healthy", .why = "so",
            .started_at_ms = 1, .skew_ms = TIME_NONE};
    }
    memcpy(ret->metrics, world.figures, sizeof world.figures);
}

static const char *refuse(void *data, enum action_e action) {
    (void)data;
    return action == ACTION_AUTO_SCALE ? "no provider" : NULL;
}

static enum err_e end_of(struct act_report *report, struct row *row) {
    report->goes_on = world.hangs || below(3) == 0;
    if (report->goes_on) {
        return ERR_OK;
    }
    world.under_way = 0;
    row->is_ended_well = below(5) != 0;
    return row->is_ended_well ? ERR_OK : ERR_IO;
}

static enum err_e act(void *data, const struct act_order *order, struct act_report *ret_report) {
    (void)data;
    CHECK(order->id >= 1 && (size_t)order->id <= world.rows_len);
    struct row *row = &world.rows[order->id - 1];
    CHECK(row->action == order->action && strcmp(row->outcome, "begun") == 0); /* written before */
    CHECK(row->acts++ == 0);                                                   /* and once */
    CHECK(!world.is_stopped);
    CHECK(world.acts_len < ACTS_MAX);
    world.acts_ms[world.acts_len++] = wall_ms();
    world.under_way = (size_t)order->id;
    return end_of(ret_report, row);
}

static enum err_e go_on(void *data, const struct act_order *order,
                        struct act_report *ret_report) {
    (void)data;
    CHECK(!world.knows_stop);
    return end_of(ret_report, &world.rows[order->id - 1]);
}

static enum err_e undo(void *data, enum action_e action) {
    (void)data;
    CHECK(action == ACTION_SHED_LOAD);
    return world.is_down ? ERR_UNAVAILABLE : ERR_OK;
}

static void halt(void *data, enum action_e action) {
    (void)data;
    (void)action;
    world.under_way = 0;
}

static enum err_e list_orders(void *data, struct arena *arena, struct order_row **ret_rows,
                              size_t *ret_len) {
    (void)data;
    *ret_len = world.is_stopped;
    *ret_rows = arena_alloc(arena, sizeof **ret_rows);
    assert_non_null(*ret_rows);
    **ret_rows = (struct order_row){SLICE_LIT("acting"), SLICE_LIT("{}"), SLICE_LIT("kim"), 1,
                                    TIME_NONE};
    world.knows_stop = world.is_down ? world.knows_stop : world.is_stopped;
    return world.is_down ? ERR_UNAVAILABLE : ERR_OK;
}

/* ---- the journal ---- */

static enum action_e action_named(const char *text) {
    for (int i = ACTION_NONE + 1; i < ACTION_COUNT; i++) {
        if (strcmp(text, action_text((enum action_e)i)) == 0) {
            return (enum action_e)i;
        }
    }
    return ACTION_NONE;
}

static void take_rule(struct row *row, struct slice evidence) {
    static const struct slice member = {"\"rule\":\"", 8};
    const char *at = memmem(evidence.at, evidence.len, member.at, member.len);
    if (at != NULL) {
        struct slice rest = slice_skip(evidence, (size_t)(at - evidence.at) + member.len), name;
        CHECK(slice_next(&rest, '"', &name) && slice_to_cstr(name, row->rule, sizeof row->rule));
    }
}

static enum err_e journal_add(void *data, const struct journal_entry *entry, int64_t *ret_id) {
    (void)data;
    *ret_id = 0;
    if (world.is_down || below(20) == 0) {
        return ERR_UNAVAILABLE;
    }
    CHECK(world.rows_len < ROWS_MAX);
    struct row *row = &world.rows[world.rows_len++];
    *row = (struct row){.action = action_named(entry->action), .at_ms = wall_ms()};
    snprintf(row->outcome, sizeof row->outcome, "%s", entry->outcome);
    take_rule(row, entry->evidence);
    *ret_id = (int64_t)world.rows_len;
    return ERR_OK;
}

static void end_row(struct row *row, const char *outcome) {
    bool claims = strcmp(outcome, "done") == 0 || strcmp(outcome, "better") == 0 ||
                  strcmp(outcome, "no effect") == 0 || strcmp(outcome, "worse") == 0;
    CHECK(!claims || row->is_ended_well); /* never more than is known */
    snprintf(row->outcome, sizeof row->outcome, "%s", outcome);
}

static enum err_e journal_end(void *data, int64_t id, const struct journal_entry *entry) {
    (void)data;
    if (world.is_down || below(20) == 0) {
        return ERR_UNAVAILABLE;
    }
    struct row *row = &world.rows[id - 1];
    row->at_ms = strcmp(row->outcome, "waiting") == 0 ? wall_ms() : row->at_ms;
    end_row(row, entry->outcome);
    return ERR_OK;
}

static enum err_e journal_settle(void *data, const char *was, const struct journal_entry *entry) {
    (void)data;
    for (size_t i = 0; !world.is_down && i < world.rows_len; i++) {
        if (strcmp(world.rows[i].outcome, was) == 0) {
            end_row(&world.rows[i], entry->outcome);
        }
    }
    return world.is_down ? ERR_UNAVAILABLE : ERR_OK;
}

static bool is_idle(const char *outcome) {
    static const char *const idle[] = {"advised", "held", "waiting", "expired"};
    for (size_t i = 0; i < sizeof idle / sizeof idle[0]; i++) {
        if (strcmp(outcome, idle[i]) == 0) {
            return true;
        }
    }
    return false;
}

static enum err_e judge(int64_t id, enum answer_e answer) {
    return controller_answer(world.controller, id, answer, SLICE_LIT("kim"));
}

static enum action_outcome_e outcome_of(const char *word) {
    int outcome = OUTCOME_ADVISED;
    while (strcmp(word, action_outcome_text((enum action_outcome_e)outcome)) != 0) {
        outcome++;
    }
    return (enum action_outcome_e)outcome;
}

static enum err_e journal_past(void *data, struct past_action ret_past[PAST_ACTIONS_MAX],
                               size_t *ret_len) {
    (void)data;
    *ret_len = 0;
    for (size_t i = world.rows_len; i > 0 && *ret_len < PAST_ACTIONS_MAX; i--) {
        const struct row *row = &world.rows[i - 1];
        int64_t age_ms = wall_ms() - row->at_ms;
        if (!is_idle(row->outcome) && age_ms < 3600000 + APPROVE_MS) {
            struct past_action *past = &ret_past[(*ret_len)++];
            *past = (struct past_action){.action = row->action,
                                         .age_ms = age_ms,
                                         .outcome = outcome_of(row->outcome),
                                         .id = (int64_t)i,
                                         .before = FIGURE_MISSING};
            memcpy(past->rule, row->rule, sizeof past->rule);
        }
    }
    return world.is_down ? ERR_UNAVAILABLE : ERR_OK;
}

/* ---- a life ---- */

static void add_rule(const char *name, enum metric_e metric, enum action_e action) {
    struct alert_rule *rule = &world.policy.rules[world.policy.rules_len++];
    *rule = world.policy.rules[0];
    snprintf(rule->name, sizeof rule->name, "%s", name);
    rule->metric = (int)metric;
    rule->op = OP_ABOVE;
    rule->threshold = 10;
    rule->for_ms = 0;
    rule->cooldown_ms = 60000;
    rule->action = action;
    rule->then.len = action != ACTION_SHED_LOAD;
    rule->then.at[0] = ACTION_SHED_LOAD;
}

static void be_born(enum recovery_mode_e mode) {
    world.controller = controller_create(&(struct controller_options){
        .clock = &world.clock.base,
        .rng = &world.seeded.base,
        .node = "n1",
        .url = "http://n1",
        .policy = &world.policy,
        .seams = {.sense = sense, .refuse = refuse, .act = act, .go_on = go_on, .undo = undo,
                  .halt = halt, .journal_add = journal_add, .journal_end = journal_end,
                  .journal_settle = journal_settle, .journal_past = journal_past},
        .orders = world.book,
        .mode = mode,
        .budget = BUDGET,
        .verify_ms = 20000,
        .limit_ms = LIMIT_MS,
        .approve_ms = APPROVE_MS});
    assert_non_null(world.controller);
}

static void die(void) {
    controller_destroy(world.controller);
    world.controller = NULL;
    world.under_way = 0;
}

static void begin_life(uint64_t seed, enum recovery_mode_e mode) {
    struct row *rows = world.rows;
    world = (struct world){.rows = rows, .seed = seed};
    seeded_rng_init(&world.seeded, seed);
    virtual_clock_init(&world.clock, 1790000000000);
    policy_init(&world.policy, NULL);
    for (size_t i = 0; i < world.policy.rules_len; i++) {
        world.policy.rules[i].disabled = true;
    }
    add_rule("slow", METRIC_SLOW_QUERY_COUNT, ACTION_OPTIMIZE_QUERIES);
    world.policy.rules[world.policy.rules_len - 1].disabled = false;
    add_rule("late", METRIC_AVG_RESPONSE_TIME_MS, ACTION_RESTART_SERVICE);
    world.policy.rules[world.policy.rules_len - 1].disabled = false;
    add_rule("heavy", METRIC_AVG_QUERY_TIME_MS, ACTION_INVALIDATE_CACHE);
    world.policy.rules[world.policy.rules_len - 1].disabled = false;
    world.book = order_book_create(&(struct order_book_options){.list = list_orders});
    assert_non_null(world.book);
    be_born(mode);
}

static void end_life(void) {
    die();
    order_book_destroy(world.book);
    world.book = NULL;
}

/* Rules that flap, figures that get worse or go missing, a database that comes and goes. */
static void disturb(enum recovery_mode_e mode) {
    for (int i = 0; i < METRIC_GIVEN_COUNT; i++) {
        uint64_t luck = below(12);
        world.figures[i] = luck == 0 ? FIGURE_MISSING : luck < 4 ? (double)below(100)
                                                                 : world.figures[i];
    }
    world.is_down = below(40) == 0 ? !world.is_down : world.is_down && below(10) != 0;
    world.is_stopped = below(100) == 0 ? !world.is_stopped : world.is_stopped;
    world.hangs = below(50) == 0 ? !world.hangs : world.hangs;
    if (below(60) == 0) { /* kill -9, anywhere between two looks */
        die();
        be_born(mode);
    }
    if (mode == RECOVERY_ASK && world.rows_len > 0 && below(4) == 0) {
        enum err_e ignored = judge((int64_t)world.rows_len,
                                    below(4) == 0 ? ANSWER_REFUSED : ANSWER_APPROVED);
        (void)ignored;
    }
    if (below(2) == 0) { /* the thread of the book */
        enum err_e ignored = order_book_look(world.book);
        (void)ignored;
    }
}

static void check_budget(void) {
    for (size_t i = BUDGET; i < world.acts_len; i++) {
        CHECK(world.acts_ms[i] - world.acts_ms[i - BUDGET] >= 3600000);
    }
}

/* All is well again: what the journal says now is the end of it. */
static void calm_down(enum recovery_mode_e mode) {
    world.is_down = world.is_stopped = world.hangs = false;
    for (int i = 0; i < METRIC_GIVEN_COUNT; i++) {
        world.figures[i] = 0;
    }
    die();
    be_born(mode);
    CHECK(order_book_look(world.book) == ERR_OK);
    for (int i = 0; i < 100; i++) {
        controller_turn(world.controller);
        virtual_clock_advance(&world.clock, 1000);
    }
    for (size_t i = 0; i < world.rows_len; i++) {
        CHECK(strcmp(world.rows[i].outcome, "begun") != 0);
        CHECK(strcmp(world.rows[i].outcome, "waiting") != 0);
        CHECK(world.rows[i].acts == 0 || !is_idle(world.rows[i].outcome));
    }
}

/* Fewer are asked for under a sanitizer. */
static uint64_t seeds(void) {
    const char *asked = getenv("TURNOUT_SEEDS");
    return asked == NULL ? SEEDS_DEFAULT : strtoull(asked, NULL, 10);
}

static void live(enum recovery_mode_e mode) {
    size_t acts = 0;
    for (uint64_t seed = 1; seed <= seeds(); seed++) {
        begin_life(seed, mode);
        for (int i = 0; i < SECONDS; i++) {
            disturb(mode);
            controller_turn(world.controller);
            virtual_clock_advance(&world.clock, 1000);
        }
        check_budget();
        calm_down(mode);
        acts += world.acts_len;
        end_life();
    }
    assert_true(acts > seeds()); /* there was something to go wrong */
}

static void a_life_among_faults_is_bounded_and_told_truly(void **state) {
    (void)state;
    live(RECOVERY_ACT);
}

static void a_life_that_asks_first_is_so_too(void **state) {
    (void)state;
    live(RECOVERY_ASK);
}

static void advice_alone_does_nothing_whatever_happens(void **state) {
    (void)state;
    begin_life(1, RECOVERY_ADVISE);
    for (int i = 0; i < SECONDS; i++) {
        disturb(RECOVERY_ADVISE);
        controller_turn(world.controller);
        virtual_clock_advance(&world.clock, 1000);
    }
    assert_int_equal(world.acts_len, 0);
    assert_true(world.rows_len > 0);
    end_life();
}

/* Every rule there may be, all at once and for hours. */
static void hundreds_of_rules_that_fire_at_once_are_bounded_work(void **state) {
    (void)state;
    static const enum action_e actions[] = {ACTION_OPTIMIZE_QUERIES, ACTION_RESTART_SERVICE,
                                            ACTION_INVALIDATE_CACHE, ACTION_SHED_LOAD};
    begin_life(1, RECOVERY_ACT);
    while (world.policy.rules_len < ALERT_RULES_MAX) {
        char name[ALERT_NAME_SIZE];
        snprintf(name, sizeof name, "r%zu", world.policy.rules_len);
        add_rule(name, METRIC_SLOW_QUERY_COUNT, actions[world.policy.rules_len % 4]);
        world.policy.rules[world.policy.rules_len - 1].disabled = false;
        world.policy.rules[world.policy.rules_len - 1].cooldown_ms = 0;
    }
    die();
    be_born(RECOVERY_ACT);
    assert_int_equal(order_book_look(world.book), ERR_OK);
    world.figures[METRIC_SLOW_QUERY_COUNT] = 100;
    uint64_t turns = 360 * seeds(); /* two hours */
    for (uint64_t i = 0; i < turns; i++) {
        controller_turn(world.controller);
        virtual_clock_advance(&world.clock, 1000);
    }
    check_budget();
    assert_in_range(world.acts_len, 1, 3 * BUDGET);
    /* each rule calls a person once; what is held is told when it is news, and every 5 minutes */
    assert_in_range(world.rows_len, 1, ALERT_RULES_MAX + 3 * BUDGET + 4 * turns);
    end_life();
}

static void ignore_line(const char *line, size_t len, void *data) {
    (void)line;
    (void)len;
    (void)data;
}

static int make_rows(void **state) {
    (void)state;
    log_set_sink(ignore_line, NULL);
    world.rows = calloc(ROWS_MAX, sizeof *world.rows);
    return world.rows == NULL ? -1 : 0;
}

static int free_rows(void **state) {
    (void)state;
    free(world.rows);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_life_among_faults_is_bounded_and_told_truly),
        cmocka_unit_test(a_life_that_asks_first_is_so_too),
        cmocka_unit_test(advice_alone_does_nothing_whatever_happens),
        cmocka_unit_test(hundreds_of_rules_that_fire_at_once_are_bounded_work),
    };
    return cmocka_run_group_tests(tests, make_rows, free_rows);
}
