/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A loop's own reads when there are many of them, when the server ends its sessions, and when it
 * says nothing at all. On the system's clock: deadlines are real here.
 */
#include "rig_loop.h"
#include "rig_postgres.h"

#include <libpq-fe.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { CROWD = 300, SESSIONS_MAX = 64 };

static int setup(void **state) {
    struct rig *rig = calloc(1, sizeof *rig);
    struct problem problem = {.detail = ""};
    assert_non_null(rig);
    rig->group_max = 256;
    rig_postgres_create(rig->path);
    setenv("TURNOUT_CONTRACT_LOOP", "1", 1);
    if (rig_open(rig, clock_system(), rng_system(), &rig->store, &problem) != ERR_OK) {
        fail_msg("open: %s", problem.detail);
    }
    rig_event(rig, "e", REENTRY_AFTER_EXIT, CAPACITY_NONE);
    *state = rig;
    return 0;
}

static int teardown(void **state) {
    struct rig *rig = *state;
    store_close(rig->store);
    free(rig);
    return 0;
}

static void nap(void) {
    struct timespec moment = {.tv_nsec = 10000000};
    thrd_sleep(&moment, NULL);
}

static enum err_e load_event(struct store *store, int64_t patience_ms) {
    struct store_op op;
    store_op_init(&op, STORE_LOAD_EVENT);
    op.event = SLICE_LIT("e");
    op.deadline_us = clock_mono_us(clock_system()) + patience_ms * 1000;
    enum err_e err = store_run(store, &op);
    store_op_fini(&op);
    return err;
}

/* Reads until one is answered by the loop itself. */
static void wait_for_the_loop(struct rig *rig) {
    int64_t before = rig_loop_answers(rig->store);
    for (int i = 0; rig_loop_answers(rig->store) == before; i++) {
        assert_in_range(i, 0, 3000);
        enum err_e ignored = load_event(rig->store, 10000);
        (void)ignored; /* not there yet */
        nap();
    }
    assert_int_equal(load_event(rig->store, 10000), ERR_OK);
}

/* ── many at once ── */

struct crowd {
    struct store_op ops[CROWD];
    atomic_int answered;
};

static void count_answer(struct store_op *op) {
    atomic_fetch_add((atomic_int *)op->owner, 1);
}

static void ask_all(struct rig *rig, struct crowd *crowd) {
    atomic_init(&crowd->answered, 0);
    for (int i = 0; i < CROWD; i++) {
        store_op_init(&crowd->ops[i], i % 2 == 0 ? STORE_LOAD_EVENT : STORE_LOAD_KEY);
        crowd->ops[i].event = SLICE_LIT("e");
        if (i % 2 != 0) {
            crowd->ops[i].key.id = SLICE_LIT("nobody");
        }
        crowd->ops[i].done = count_answer;
        crowd->ops[i].owner = &crowd->answered;
        store_submit(rig->store, &crowd->ops[i]);
    }
}

static void wait_for_all(struct crowd *crowd) {
    for (int i = 0; atomic_load(&crowd->answered) < CROWD; i++) {
        assert_in_range(i, 0, 3000);
        nap();
    }
    assert_int_equal(atomic_load(&crowd->answered), CROWD);
}

static void each_of_many_gets_its_own_answer(void **state) {
    static struct crowd crowd;
    struct rig *rig = *state;
    ask_all(rig, &crowd);
    wait_for_all(&crowd);
    for (int i = 0; i < CROWD; i++) {
        assert_int_equal(crowd.ops[i].err, i % 2 == 0 ? ERR_OK : ERR_UNKNOWN_KEY);
        assert_true(i % 2 != 0 || slice_eq(crowd.ops[i].event_write.values.code, SLICE_LIT("e")));
        store_op_fini(&crowd.ops[i]);
    }
    assert_true(rig_loop_answers(rig->store) > 1);
}

/* ── sessions that end ── */

static void reads_survive_the_end_of_every_session(void **state) {
    static struct crowd crowd;
    struct rig *rig = *state;
    ask_all(rig, &crowd);
    rig_postgres_exec(rig->path, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                                 " WHERE application_name = 'turnout'"
                                 " AND datname = current_database()");
    wait_for_all(&crowd);
    for (int i = 0; i < CROWD; i++) {
        enum err_e err = crowd.ops[i].err;
        assert_true(err == ERR_UNAVAILABLE || err == (i % 2 == 0 ? ERR_OK : ERR_UNKNOWN_KEY));
        store_op_fini(&crowd.ops[i]);
    }
    wait_for_the_loop(rig);
}

/* ── a server that says nothing ── */

static size_t find_sessions(const char *url, long pids[SESSIONS_MAX]) {
    PGconn *pg = PQconnectdb(url);
    PGresult *found = PQexec(pg, "SELECT pid FROM pg_stat_activity WHERE application_name ="
                                 " 'turnout' AND datname = current_database()");
    size_t len = (size_t)PQntuples(found);
    assert_in_range(len, 2, SESSIONS_MAX);
    for (size_t i = 0; i < len; i++) {
        pids[i] = strtol(PQgetvalue(found, (int)i, 0), NULL, 10);
    }
    PQclear(found);
    PQfinish(pg);
    return len;
}

static void signal_all(const long *pids, size_t len, int number) {
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(kill((pid_t)pids[i], number), 0);
    }
}

static void a_silent_server_costs_a_read_its_deadline(void **state) {
    struct rig *rig = *state;
    long pids[SESSIONS_MAX];
    size_t len = find_sessions(rig->path, pids);
    int64_t before = rig_loop_answers(rig->store);
    signal_all(pids, len, SIGSTOP);
    enum err_e err = load_event(rig->store, 200);
    signal_all(pids, len, SIGCONT);
    assert_int_equal(err, ERR_DEADLINE);
    assert_int_equal(rig_loop_answers(rig->store), before + 1); /* it was the loop that gave up */
    wait_for_the_loop(rig);
}

static void a_read_that_waits_for_a_lock_ends_at_its_deadline(void **state) {
    struct rig *rig = *state;
    PGconn *pg = PQconnectdb(rig->path);
    PQclear(PQexec(pg, "BEGIN"));
    PQclear(PQexec(pg, "LOCK TABLE events"));
    assert_int_equal(PQtransactionStatus(pg), PQTRANS_INTRANS);
    int64_t before = rig_loop_answers(rig->store);
    assert_int_equal(load_event(rig->store, 200), ERR_DEADLINE);
    PQfinish(pg);
    assert_int_equal(load_event(rig->store, 10000), ERR_OK); /* by the same connection */
    assert_int_equal(rig_loop_answers(rig->store), before + 2);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(each_of_many_gets_its_own_answer),
        CASE(reads_survive_the_end_of_every_session),
        CASE(a_silent_server_costs_a_read_its_deadline),
        CASE(a_read_that_waits_for_a_lock_ends_at_its_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
