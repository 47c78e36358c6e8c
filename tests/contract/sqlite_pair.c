/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: while one process hands a SQLite file over to the next, both write to it, and the rules
 * hold as if there were one. Here they are two stores of one process; SQLite keeps them apart in
 * the same way.
 */
#include "rig_nodes.h"

#include <stdio.h>

static void share(struct crowd *crowd, bool is_shared) {
    for (size_t i = 0; i < crowd->nodes_len; i++) {
        sqlite_share(crowd->nodes[i], is_shared);
    }
}

static void two_writers_decide_like_one_and_nobody_is_turned_away(void **state) {
    static struct crowd crowd;
    struct rig *rig = *state;
    crowd_begin(&crowd, rig, 2);
    share(&crowd, true);
    crowd_run(&crowd, NULL, rig);
    for (int i = 0; i < CROWD_THREADS * CROWD_SCANS; i++) {
        assert_int_equal(crowd.scans[i / CROWD_SCANS][i % CROWD_SCANS].retries, 0);
    }
    crowd_check(&crowd, rig);
    crowd_end(&crowd);
}

static void two_writers_that_leave_no_gap_only_wait_longer(void **state) {
    static struct crowd crowd;
    struct rig *rig = *state;
    crowd_begin(&crowd, rig, 2);
    crowd_run(&crowd, NULL, rig);
    crowd_check(&crowd, rig);
    crowd_end(&crowd);
}

/* ── one hands over to the other ── */

static struct store *join(struct rig *rig) {
    struct store *next;
    struct problem problem;
    assert_int_equal(rig_open(rig, &rig->clock.base, &rig->rng.base, &next, &problem), ERR_OK);
    return next;
}

static struct scan_result scan_at(struct store *store, const char *token) {
    const struct scan scan = {
        .token = slice_of(token), .gate = SLICE_LIT("g1"), .scanned_at_ms = TIME_NONE};
    struct scan_result result;
    struct store_op op;
    store_op_init(&op, STORE_CHECK_IN);
    op.event = SLICE_LIT("e");
    op.check_in.scans = &scan;
    op.check_in.results = &result;
    op.check_in.len = 1;
    assert_int_equal(store_run(store, &op), ERR_OK);
    assert_int_equal(result.err, ERR_OK);
    result.first_gate = SLICE_NONE; /* its text is gone */
    store_op_fini(&op);
    return result;
}

static void people(struct rig *rig, const char *prefix, int count) {
    for (int i = 0; i < count; i++) {
        char token[16];
        snprintf(token, sizeof token, "%s%d", prefix, i);
        rig_person(rig, "e", token, token, "");
    }
}

/* The clock stands still, so that ids come from counting alone. */
static void ids_of_two_writers_never_meet_and_grow_in_the_order_of_decision(void **state) {
    enum { EACH = 50 };
    struct rig *rig = *state;
    people(rig, "p", 2 * EACH);
    struct store *next = join(rig);
    int64_t before = 0;
    for (int i = 0; i < 2 * EACH; i++) {
        char token[16];
        snprintf(token, sizeof token, "p%d", i);
        struct scan_result result = scan_at(i % 2 == 0 ? rig->store : next, token);
        assert_int_equal(result.verdict, VERDICT_ADMITTED);
        assert_int_equal(result.inside, i + 1);
        assert_true(result.record_id > before);
        before = result.record_id;
    }
    store_close(next);
}

static int64_t last_minute_at(struct store *store) {
    struct store_op op;
    store_op_init(&op, STORE_READ_STATS);
    op.event = SLICE_LIT("e");
    assert_int_equal(store_run(store, &op), ERR_OK);
    int64_t count = op.stats.gates[0].last_minute;
    store_op_fini(&op);
    return count;
}

static void the_last_minute_counts_what_the_other_writer_admitted_once(void **state) {
    struct rig *rig = *state;
    people(rig, "p", 20);
    for (int i = 0; i < 5; i++) {
        char token[16];
        snprintf(token, sizeof token, "p%d", i);
        scan_at(rig->store, token);
    }
    struct store *next = join(rig);
    assert_int_equal(last_minute_at(next), 5); /* read from the file */
    for (int i = 5; i < 12; i++) {
        char token[16];
        snprintf(token, sizeof token, "p%d", i);
        scan_at(rig->store, token);
    }
    scan_at(next, "p12"); /* notices at the latest now */
    assert_int_equal(last_minute_at(next), 13);
    scan_at(rig->store, "p13");
    assert_int_equal(last_minute_at(rig->store), 14);
    scan_at(next, "p14");
    scan_at(next, "p15");
    assert_int_equal(last_minute_at(next), 16);
    store_close(next);
}

static void a_writer_that_is_idle_notices_the_other_by_itself(void **state) {
    struct rig *rig = *state;
    people(rig, "p", 3);
    struct store *next = join(rig);
    scan_at(rig->store, "p0");
    for (int i = 0; i < 60000 && last_minute_at(next) < 1; i++) {
        thrd_yield();
    }
    assert_int_equal(last_minute_at(next), 1);
    store_close(next);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        CASE(two_writers_decide_like_one_and_nobody_is_turned_away),
        CASE(two_writers_that_leave_no_gap_only_wait_longer),
        CASE(ids_of_two_writers_never_meet_and_grow_in_the_order_of_decision),
        CASE(the_last_minute_counts_what_the_other_writer_admitted_once),
        CASE(a_writer_that_is_idle_notices_the_other_by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
