/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: whatever fails in a cluster, and however often it is asked again, the ledger holds: no scan
 * that was acknowledged is lost, doubled or replayed differently, none is there that nobody asked
 * for, nobody is admitted twice or above the capacity, the counts are those of the records, and no
 * read is older than a second.
 *
 * Check-in, the caching store, the tiered cache and the controller's deciders are the product's;
 * network, database, Redis, clocks and people are simulated (cluster.h). A day of eight seconds has
 * its own seed: nodes crash, drain and start, the database goes away and answers that it does not
 * know, Redis pauses, fails over, forgets, its channels die, requests and replies are lost, the
 * nodes' clocks are off. Then all is calm, and everything is counted.
 *
 * A failing day prints its seed: SEED=n plays it again, with TRACE=1 it tells what happens; DAYS=n
 * plays more. That the judge sees what it is there for is shown by a database that lies.
 */
#include "cluster.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum {
    DAYS = 400,
    DAY_US = 8000000,
    QUIET_US = 20000000, /* late commits come within eight seconds, and are told again for ten */
    CUT_US_MAX = 3000000,
    LIE_DAYS_MAX = 20,
};

const char *const sim_names[KEYS] = {
    "participant:e:token=t0", "participant:e:token=t1",  "participant:e:token=t2",
    "participant:e:token=t3", "participant:e:token=t4",  "participant:e:token=t5",
    "participant:e:token=t6", "participant:e:token=t7",  "participant:e:token=t8",
    "participant:e:token=t9", "participant:e:token=t10", "participant:e:token=t11",
    "participant:e:id=1",     "participant:e:id=2",      "participant:e:id=3",
    "participant:e:id=4",     "participant:e:id=5",      "participant:e:id=6",
    "participant:e:id=7",     "participant:e:id=8",      "participant:e:id=9",
    "participant:e:id=10",    "participant:e:id=11",     "participant:e:id=12",
    "event_config:e",         "active_gates:e",          "gate:e:g0",
    "gate:e:g1",              "gate:e:g2",               "gate:e:g3",
};
int64_t cluster_faults_until_us;

/* ── faults ── */

static void on_snapshot(void *data, uint64_t number) {
    l2_snapshot();
    if (sim.now_us < cluster_faults_until_us) {
        sim_at(sim_between(1000, 200000), on_snapshot, data, number);
    }
}

/* Who must be told through the database cannot be when that is away, too: a hole, and not tried. */
static void cut_off(struct node *node) {
    int64_t us = sim_between(1000, sim_chance(0.5) ? 150000 : CUT_US_MAX);
    int loop = (int)sim_between(-1, LOOPS - 1);
    int primary = (int)sim_between(-1, PRIMARIES - 1);
    if (db_is_down()) {
        return;
    }
    db_keep(us + BOUND_US);
    for (int i = 0; i < LOOPS; i++) {
        if (loop < 0 || loop == i) {
            connection_stall(node->loops[i].port, primary, us);
        }
    }
}

static void hurt_l2(int primary) {
    switch (sim_between(0, 3)) {
    case 0:
        l2_pause(primary, sim_between(50000, 2500000));
        break;
    case 1:
        l2_fail_over(primary, sim_between(100000, 3000000));
        break;
    case 2:
        l2_flush(primary);
        break;
    default:
        l2_evict((int)sim_between(0, KEYS - 1));
    }
}

static void hurt_node(struct node *node) {
    switch (sim_between(0, 5)) {
    case 0:
        channel_lose(node->loops[0].port);
        break;
    case 1:
        channel_deafen(node->loops[0].port);
        break;
    case 2:
        cut_off(node);
        break;
    case 3:
        node->memory = 95; /* the controller restarts it */
        break;
    case 4:
        cluster_skew_ms[node->slot] = sim_between(-600000, 600000);
        break;
    default:
        node_crash(node->slot);
    }
}

static void on_fault(void *data, uint64_t number) {
    if (sim.now_us >= cluster_faults_until_us) {
        return;
    }
    sim_at(sim_between(100000, 1500000), on_fault, data, number);
    struct node *node = node_some();
    int64_t kind = sim_between(0, 9);
    if (kind < 4) {
        hurt_l2((int)sim_between(0, PRIMARIES - 1));
    } else if (kind < 5) {
        db_lose(sim_between(10000, 2000000));
    } else if (node != NULL) {
        hurt_node(node);
    }
}

/* ── a day ── */

static void run_until(int64_t until_us) {
    while (sim_step(until_us)) {
    }
}

static void end_day(void) {
    sim.calm = true;
    run_until(cluster_faults_until_us + QUIET_US);
    if (!door_is_done()) {
        mistake("somebody was never answered");
    }
    if (nodes_serving() < 2) {
        mistake("control left %zu nodes", nodes_serving());
    }
    control_end();
    run_until(sim.now_us + 5000000); /* who drains, is gone */
    if (nodes_serving() > 0) {
        door_ask_all();
    }
    run_until(sim.now_us + 10000000);
    judge_records();
}

static void play(uint64_t seed, enum db_lie_e lie) {
    tally.seed = seed;
    sim_begin(seed);
    db_begin(lie);
    judge_begin();
    cluster_faults_until_us = sim.now_us + DAY_US;
    for (int i = 0; i < NODES; i++) {
        cluster_skew_ms[i] = sim_between(-2000, 2000);
    }
    for (int i = 0; i < 2 + (int)(seed % 3); i++) {
        node_start(i);
    }
    door_begin();
    control_begin();
    sim_at(0, on_snapshot, NULL, 0);
    sim_at(0, on_fault, NULL, 0);
    run_until(cluster_faults_until_us);
    end_day();
    nodes_end();
    sim_end();
    nodes_free();
}

static uint64_t number_of(const char *name, uint64_t otherwise) {
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static void the_ledger_holds_whatever_fails(void **state) {
    (void)state;
    uint64_t first = number_of("SEED", 1);
    uint64_t days = getenv("SEED") != NULL && getenv("DAYS") == NULL ? 1 : number_of("DAYS", DAYS);
    tally = (struct tally){0};
    judge_quietly(false);
    for (uint64_t day = first; day < first + days && tally.mistakes == 0; day++) {
        play(day, DB_HONEST);
    }
    print_message("seeds %" PRIu64 " to %" PRIu64 ": %" PRIu64 " scans (%" PRIu64 " refused, %"
                  PRIu64 " batches), %" PRIu64 " answers again, %" PRIu64 " errors, %" PRIu64
                  " lost on the way, %" PRIu64 " reads (%" PRIu64 " stale and marked), %" PRIu64
                  " writes, %" PRIu64 " starts, %" PRIu64 " crashes, %" PRIu64 " drained, %" PRIu64
                  " restarts\n",
                  first, tally.seed, tally.scans, tally.refused, tally.batches, tally.replays,
                  tally.errors, tally.lost_replies, tally.reads, tally.stale, tally.writes,
                  tally.starts, tally.crashes, tally.stops, tally.restarts);
    assert_int_equal(tally.mistakes, 0);
    assert_true(tally.scans > days * 10 && tally.reads > days * 10);
    assert_true(days < 10 || (tally.replays > 0 && tally.crashes > 0 && tally.restarts > 0));
}

static void a_database_that_lies_is_found_out(void **state) {
    (void)state;
    judge_quietly(true);
    for (int lie = DB_HONEST + 1; lie < DB_LIES; lie++) {
        tally = (struct tally){0};
        for (uint64_t seed = 1; seed <= LIE_DAYS_MAX && tally.mistakes == 0; seed++) {
            play(seed, (enum db_lie_e)lie);
        }
        if (tally.mistakes == 0) {
            fail_msg("lie %d was believed", lie);
        }
        print_message("lie %d is found in day %" PRIu64 "\n", lie, tally.seed);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ledger_holds_whatever_fails),
        cmocka_unit_test(a_database_that_lies_is_found_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
