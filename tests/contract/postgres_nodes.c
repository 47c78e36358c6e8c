/* SPDX-License-Identifier: Apache-2.0 */
/* Several nodes on one PostgreSQL: the rules hold as if there were one, whatever dies meanwhile. */
#include "rig_nodes.h"

#include <stdio.h>

static void three_nodes_decide_like_one(void **state) {
    static struct crowd crowd;
    struct rig *rig = *state;
    crowd_begin(&crowd, rig, 3);
    crowd_run(&crowd, NULL, rig);
    crowd_check(&crowd, rig);
    crowd_end(&crowd);
}

/* ── the last place ── */

struct rush {
    struct store *store;
    int index;
    int64_t admitted;
    int64_t most; /* seen inside */
};

static int rush_main(void *data) {
    struct rush *rush = data;
    for (int i = 0; i < 40; i++) {
        char token[16];
        snprintf(token, sizeof token, "r%d-%d", rush->index, i);
        const struct scan scan = {.token = slice_of(token),
                                  .gate = SLICE_LIT("g1"),
                                  .scanned_at_ms = TIME_NONE};
        struct scan_result result;
        struct store_op op;
        store_op_init(&op, STORE_CHECK_IN);
        op.event = SLICE_LIT("e");
        op.check_in.scans = &scan;
        op.check_in.results = &result;
        op.check_in.len = 1;
        rush->admitted += store_run(rush->store, &op) == ERR_OK &&
                          result.verdict == VERDICT_ADMITTED;
        rush->most = result.inside > rush->most ? result.inside : rush->most;
        store_op_fini(&op);
    }
    return 0;
}

static void the_last_place_is_given_once_over_all_nodes(void **state) {
    enum { RUSHES = 6 };
    static struct crowd crowd;
    struct rig *rig = *state;
    crowd_begin(&crowd, rig, 3);
    rig_set_event(rig, "e", REENTRY_AFTER_EXIT, 50);
    struct rush rushes[RUSHES];
    thrd_t threads[RUSHES];
    for (int i = 0; i < RUSHES; i++) {
        rushes[i] = (struct rush){.store = crowd.nodes[i % 3], .index = i};
        for (int j = 0; j < 40; j++) {
            char token[16];
            snprintf(token, sizeof token, "r%d-%d", i, j);
            rig_person(rig, "e", token, token, "");
        }
    }
    int64_t admitted = 0;
    for (int i = 0; i < RUSHES; i++) {
        assert_int_equal(thrd_create(&threads[i], rush_main, &rushes[i]), thrd_success);
    }
    for (int i = 0; i < RUSHES; i++) {
        thrd_join(threads[i], NULL);
        admitted += rushes[i].admitted;
        assert_true(rushes[i].most <= 50);
    }
    assert_int_equal(admitted, 50);
    assert_int_equal(rig_stats(rig, "e").inside, 50);
    crowd_end(&crowd);
}

/* ── what dies meanwhile ── */

/* Ends every session of the database a few times, each after some more scans were decided. */
static void end_every_session(struct rig *rig) {
    for (int i = 0; i < 6; i++) {
        int64_t before = rig_postgres_number(rig->path, "SELECT count(*) FROM scan_nonces");
        int64_t now = before;
        for (int look = 0; look < 2000 && now < before + 40; look++) {
            now = rig_postgres_number(rig->path, "SELECT count(*) FROM scan_nonces");
        }
        rig_postgres_exec(rig->path,
                          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                          " WHERE datname = current_database() AND pid <> pg_backend_pid()");
    }
}

static void nothing_answered_is_lost_when_every_session_is_ended(void **state) {
    static struct crowd crowd;
    struct rig *rig = *state;
    crowd_begin(&crowd, rig, 2);
    crowd_run(&crowd, end_every_session, rig);
    crowd_check(&crowd, rig);
    crowd_end(&crowd);
}

static void crash_the_server(struct rig *rig) {
    (void)rig;
    rig_postgres_server("stop", "immediate");
    rig_postgres_server("start", "");
    rig_postgres_server("restart", "fast");
}

static void nothing_answered_is_lost_when_the_server_crashes(void **state) {
    static struct crowd crowd;
    struct rig *rig = *state;
    crowd_begin(&crowd, rig, 2);
    crowd_run(&crowd, crash_the_server, rig);
    crowd_check(&crowd, rig);
    crowd_end(&crowd);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        CASE(three_nodes_decide_like_one),
        CASE(the_last_place_is_given_once_over_all_nodes),
        CASE(nothing_answered_is_lost_when_every_session_is_ended),
        CASE(nothing_answered_is_lost_when_the_server_crashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
