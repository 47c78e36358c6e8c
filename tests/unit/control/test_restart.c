/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: however nodes behave, at most one is away at a time, nobody goes while another is down, and
 * the plan ends. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/assert.h"
#include "base/rng.h"
#include "control/restart.h"

#include <math.h>
#include <stdio.h>

enum { NODES = 4, WALL_MS = 1000000 };

static const struct restart_pace pace = {.young_ms = 60000, .within_ms = 30000, .settle_ms = 2000};
static const char *const ids[NODES] = {"n1:1", "n2:1", "n3:1", "n4:1"};
static struct restart_node nodes[NODES];
static struct restart_view view;
static struct restart restart;
static char detail[RESTART_DETAIL_SIZE];

static int make(void **state) {
    (void)state;
    for (size_t i = 0; i < NODES; i++) {
        nodes[i] = (struct restart_node){.id = slice_of(ids[i]),
                                         .is_healthy = true,
                                         .can = true,
                                         .started_at_ms = (int64_t)i,
                                         .memory = 10.0 * (double)(i + 1)};
    }
    view = (struct restart_view){.nodes = nodes, .len = NODES, .wall_ms = WALL_MS};
    restart_begin(&restart);
    return 0;
}

static enum restart_step_e step(void) {
    view.now_ms += 1000;
    view.wall_ms += 1000;
    return restart_step(&restart, &view, &pace, detail);
}

static struct restart_node *node_of(const char *id) {
    for (size_t i = 0; i < NODES; i++) {
        if (slice_eq_text(nodes[i].id, id)) {
            return &nodes[i];
        }
    }
    fail_msg("%s is no node", id);
    return NULL;
}

/* The node that was told is a new process at once. */
static void turn(void) {
    node_of(restart.node)->started_at_ms = view.wall_ms;
}

static void step_until(enum restart_step_e wanted) {
    enum restart_step_e now = RESTART_WAITS;
    for (int i = 0; i < 100 && now == RESTART_WAITS; i++) {
        now = step();
    }
    if (now != wanted) {
        fail_msg("%d, not %d: %s", now, wanted, detail);
    }
}

static void the_one_with_the_most_memory_goes_first_and_then_the_next(void **state) {
    (void)state;
    static const char *const order[] = {"n4:1", "n3:1", "n2:1", "n1:1"};
    for (size_t i = 0; i < NODES; i++) {
        step_until(RESTART_ASKS);
        assert_string_equal(restart.node, order[i]);
        turn();
    }
    step_until(RESTART_DONE);
    assert_string_equal(detail, "4 started anew: n4:1, n3:1, n2:1, n1:1");
}

static void no_more_go_than_it_takes(void **state) {
    (void)state;
    step_until(RESTART_ASKS);
    turn();
    view.is_calm = true;
    step_until(RESTART_DONE);
    assert_string_equal(detail, "1 started anew: n4:1; no more was needed");
}

static void one_goes_at_first_though_the_rule_is_calm_meanwhile(void **state) {
    (void)state;
    view.is_calm = true;
    step_until(RESTART_ASKS);
}

static void a_rule_about_a_node_is_about_this_one(void **state) {
    (void)state;
    view.only = SLICE_LIT("n2:1");
    step_until(RESTART_ASKS);
    assert_string_equal(restart.node, "n2:1");
    turn();
    step_until(RESTART_DONE);
    assert_string_equal(detail, "1 started anew: n2:1");
}

static void the_next_waits_until_the_last_is_settled(void **state) {
    (void)state;
    step_until(RESTART_ASKS);
    assert_string_equal(restart_waits_for(&restart), "n4:1");
    assert_int_equal(step(), RESTART_WAITS);
    turn();
    nodes[3].is_healthy = false;
    assert_int_equal(step(), RESTART_WAITS); /* it is another, and not healthy yet */
    nodes[3].is_healthy = true;
    assert_int_equal(step(), RESTART_WAITS);
    assert_null(restart_waits_for(&restart));
    nodes[3].is_healthy = false; /* it came and went: it settles anew */
    assert_int_equal(step(), RESTART_WAITS);
    nodes[3].is_healthy = true;
    assert_int_equal(step(), RESTART_WAITS);
    assert_int_equal(step(), RESTART_WAITS);
    assert_int_equal(step(), RESTART_WAITS);
    assert_int_equal(step(), RESTART_ASKS);
    assert_string_equal(restart.node, "n3:1");
}

static void who_does_not_come_back_ends_it_and_nobody_else_goes(void **state) {
    (void)state;
    step_until(RESTART_ASKS);
    step_until(RESTART_FAILED);
    assert_non_null(strstr(detail, "n4:1 did not come back in time"));
    make(NULL);
    step_until(RESTART_ASKS);
    turn();
    nodes[3].is_healthy = false; /* a new process that is of no use */
    step_until(RESTART_FAILED);
    make(NULL);
    step_until(RESTART_ASKS);
    view.len = NODES - 1; /* it is gone */
    step_until(RESTART_FAILED);
}

static void nobody_goes_while_another_is_down(void **state) {
    (void)state;
    char why[RESTART_DETAIL_SIZE];
    nodes[0].is_healthy = false;
    assert_true(restart_refuse(&view, &pace, why));
    assert_string_equal(why, "n1:1 is not healthy: no node goes while another is down");
    step_until(RESTART_FAILED);
    make(NULL);
    step_until(RESTART_ASKS);
    turn();
    nodes[1].is_healthy = false; /* in the middle */
    step_until(RESTART_FAILED);
    assert_int_equal(restart.turned_len, 1);
}

static void what_cannot_or_would_not_help_is_refused_with_the_reason(void **state) {
    (void)state;
    char why[RESTART_DETAIL_SIZE];
    assert_false(restart_refuse(&view, &pace, why));
    view.only = SLICE_LIT("n1:1");
    nodes[0].can = false;
    assert_true(restart_refuse(&view, &pace, why));
    assert_non_null(strstr(why, "n1:1 cannot be taken over"));
    nodes[0].can = true;
    nodes[0].started_at_ms = TIME_NONE;
    assert_true(restart_refuse(&view, &pace, why));
    assert_non_null(strstr(why, "n1:1 does not tell"));
    nodes[0].started_at_ms = WALL_MS - 59999;
    assert_true(restart_refuse(&view, &pace, why));
    assert_non_null(strstr(why, "recovery.restart_after"));
    nodes[0].started_at_ms = WALL_MS - 60000;
    assert_false(restart_refuse(&view, &pace, why));
    nodes[0].started_at_ms = WALL_MS + 5000; /* its clock is ahead */
    assert_false(restart_refuse(&view, &pace, why));
    view.only = SLICE_LIT("n9:1");
    assert_true(restart_refuse(&view, &pace, why));
    assert_string_equal(why, "no node is there to be started anew");
    view.len = 0;
    assert_true(restart_refuse(&view, &pace, why));
}

static void memory_that_is_not_known_comes_last(void **state) {
    (void)state;
    nodes[0].memory = FIGURE_MISSING;
    nodes[3].memory = FIGURE_MISSING;
    step_until(RESTART_ASKS);
    assert_string_equal(restart.node, "n3:1");
}

/* Nodes that die, come back, lose figures and refuse, at random: seeds are fixed. */
static void whatever_happens_one_is_away_at_most_and_it_ends(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        struct seeded_rng seeded;
        struct rng *rng = &seeded.base;
        seeded_rng_init(&seeded, seed);
        make(NULL);
        enum restart_step_e now = RESTART_WAITS;
        int steps = 0;
        for (; steps < 1000 && (now == RESTART_WAITS || now == RESTART_ASKS); steps++) {
            size_t i = (size_t)(rng_u64(rng) % NODES);
            uint64_t luck = rng_u64(rng) % 40;
            nodes[i].is_healthy = luck == 0 ? false : luck < 20 ? true : nodes[i].is_healthy;
            const char *away = restart_waits_for(&restart);
            if (away != NULL && rng_u64(rng) % 3 == 0) {
                turn();
            }
            now = step();
            if (now == RESTART_ASKS) {
                for (size_t k = 0; k < NODES; k++) {
                    assert_true(nodes[k].is_healthy);
                }
                assert_true(restart.turned_len < NODES);
            }
        }
        assert_true(now == RESTART_DONE || now == RESTART_FAILED);
    }
}

int main(void) {
#define EACH(test) cmocka_unit_test_setup(test, make)
    const struct CMUnitTest tests[] = {
        EACH(the_one_with_the_most_memory_goes_first_and_then_the_next),
        EACH(no_more_go_than_it_takes),
        EACH(one_goes_at_first_though_the_rule_is_calm_meanwhile),
        EACH(a_rule_about_a_node_is_about_this_one),
        EACH(the_next_waits_until_the_last_is_settled),
        EACH(who_does_not_come_back_ends_it_and_nobody_else_goes),
        EACH(nobody_goes_while_another_is_down),
        EACH(what_cannot_or_would_not_help_is_refused_with_the_reason),
        EACH(memory_that_is_not_known_comes_last),
        EACH(whatever_happens_one_is_away_at_most_and_it_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
