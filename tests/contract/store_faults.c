/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes wrong around a store: full queues, late operations, lost answers; and below SQLite: a
 * file that cannot grow, a file of another program or of a newer turnout, an older schema. What
 * goes wrong below PostgreSQL is in postgres_server.c.
 */
#include "rig_postgres.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static enum err_e scan_through(struct store *store, const char *token, const char *nonce,
                               struct scan_result *ret_result) {
    struct scan scan = {.token = slice_of(token),
                        .gate = SLICE_LIT("g1"),
                        .nonce = slice_of(nonce),
                        .scanned_at_ms = TIME_NONE};
    struct store_op op;
    store_op_init(&op, STORE_CHECK_IN);
    op.event = SLICE_LIT("e");
    op.check_in.scans = &scan;
    op.check_in.results = ret_result;
    op.check_in.len = 1;
    enum err_e err = store_run(store, &op);
    store_op_fini(&op);
    return err;
}

static void a_lost_answer_is_found_again_by_its_nonce(void **state) {
    struct rig *rig = *state;
    struct scan_result result;
    rig_person(rig, "e", "t1", "Ann", "");
    struct store *fault = fault_create(rig->store);
    fault_set_plan(fault, &(struct fault_plan){.lose_nth = 1});
    assert_int_equal(scan_through(fault, "t1", "n1", &result), ERR_COMMIT_UNKNOWN);
    assert_int_equal(scan_through(fault, "t1", "n1", &result), ERR_OK);
    assert_true(result.replayed);
    assert_int_equal(result.verdict, VERDICT_ADMITTED);
    assert_int_equal(rig_stats(rig, "e").scans, 1);
    assert_int_equal(fault_count(fault), 2);
    store_close(fault);
}

/* Fails the 1st, 2nd, … operation of a small story until the story passes untouched: whatever
 * failed wrote nothing, and the story told again comes to the same end. */
static void a_failed_operation_writes_nothing(void **state) {
    struct rig *rig = *state;
    struct store *fault = fault_create(rig->store);
    for (uint64_t nth = 1; nth <= 5; nth++) {
        char token[8], nonce[3][16];
        snprintf(token, sizeof token, "p%d", (int)nth);
        rig_person(rig, "e", token, "Ann", "");
        int64_t scans_before = rig_stats(rig, "e").scans, done = 0;
        fault_set_plan(fault, &(struct fault_plan){.fail_nth = nth, .err = ERR_IO});
        for (int round = 0; round < 2; round++) {
            for (int i = 0; i < 3; i++) {
                struct scan_result result;
                snprintf(nonce[i], sizeof nonce[i], "%d-%d", (int)nth, i);
                enum err_e err = scan_through(fault, token, nonce[i], &result);
                done += err == ERR_OK && !result.replayed;
            }
        }
        assert_int_equal(done, 3);
        assert_int_equal(rig_stats(rig, "e").scans - scans_before, 3);
    }
    store_close(fault);
}

static void an_operation_past_its_deadline_is_not_run(void **state) {
    struct rig *rig = *state;
    rig_person(rig, "e", "t1", "Ann", "");
    virtual_clock_advance(&rig->clock, 1000);
    for (int i = 0; i < 2; i++) {
        struct store_op op;
        struct scan scan = ENTRY("t1", "g1");
        struct scan_result result;
        store_op_init(&op, i == 0 ? STORE_CHECK_IN : STORE_READ_STATS);
        op.event = SLICE_LIT("e");
        op.deadline_us = 1;
        if (i == 0) {
            op.check_in.scans = &scan;
            op.check_in.results = &result;
            op.check_in.len = 1;
        }
        assert_int_equal(store_run(rig->store, &op), ERR_DEADLINE);
        store_op_fini(&op);
    }
    assert_int_equal(rig_stats(rig, "e").scans, 0);
}

static void ignore_done(struct store_op *op) {
    (void)op;
}

static void a_full_queue_answers_overloaded_at_once(void **state) {
    (void)state;
    struct rig rig = {.group_max = 16};
    rig_begin(&rig);
    rig_event(&rig, "e", REENTRY_ALWAYS, CAPACITY_NONE);
    rig_gate(&rig, "e", "g1");
    rig_person(&rig, "e", "t1", "Ann", "");
    enum { OPS = 20000 };
    struct store_op *ops = calloc(OPS, sizeof *ops);
    struct scan_result *results = calloc(OPS, sizeof *results);
    struct scan scan = ENTRY("t1", "g1");
    assert_true(ops != NULL && results != NULL);
    for (int i = 0; i < OPS; i++) {
        store_op_init(&ops[i], STORE_CHECK_IN);
        ops[i].event = SLICE_LIT("e");
        ops[i].done = ignore_done;
        ops[i].check_in.scans = &scan;
        ops[i].check_in.results = &results[i];
        ops[i].check_in.len = 1;
        store_submit(rig.store, &ops[i]);
    }
    rig_reopen(&rig); /* close runs what waits */
    int64_t accepted = 0, refused = 0;
    for (int i = 0; i < OPS; i++) {
        accepted += ops[i].err == ERR_OK;
        refused += ops[i].err == ERR_OVERLOADED;
        store_op_fini(&ops[i]);
    }
    assert_int_equal(accepted + refused, OPS);
    assert_true(accepted > 0);
    assert_int_equal(rig_stats(&rig, "e").scans, accepted);
    free(ops);
    free(results);
    rig_end(&rig);
}

static void set_file_limit(rlim_t bytes) {
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes == RLIM_INFINITY ? limit.rlim_max : bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_file_that_cannot_grow_refuses_writes_serves_reads_and_recovers(void **state) {
    struct rig *rig = *state;
    struct store_health health;
    struct scan_result result = {.err = ERR_OK};
    rig_set_event(rig, "e", REENTRY_ALWAYS, CAPACITY_NONE);
    rig_person(rig, "e", "t1", "Ann", "");
    signal(SIGXFSZ, SIG_IGN);
    set_file_limit(512 * 1024);
    int64_t accepted = 0;
    enum err_e err = ERR_OK;
    for (int i = 0; i < 5000 && err == ERR_OK; i++) {
        char nonce[16];
        snprintf(nonce, sizeof nonce, "n%d", i);
        err = scan_through(rig->store, "t1", nonce, &result);
        accepted += err == ERR_OK;
    }
    assert_int_equal(err_status(err), 503);
    store_health(rig->store, &health);
    assert_false(health.writes);
    assert_true(health.reads);
    assert_true(strlen(health.reason) > 0);
    assert_true(rig_stats(rig, "e").scans >= accepted); /* reads go on */
    set_file_limit(RLIM_INFINITY);
    char nonce[16];
    snprintf(nonce, sizeof nonce, "n%d", (int)accepted);
    err = scan_through(rig->store, "t1", nonce, &result);
    assert_int_equal(err, ERR_OK);
    store_health(rig->store, &health);
    assert_true(health.writes);
    assert_int_equal(rig_stats(rig, "e").scans, accepted + 1);
    rig_reopen(rig);
    assert_int_equal(rig_stats(rig, "e").scans, accepted + 1);
}

static void close_store(struct rig *rig) {
    store_close(rig->store);
    rig->store = NULL;
}

static void exec_on_file(const char *path, const char *sql) {
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static enum err_e open_file(struct rig *rig, struct problem *problem) {
    const struct sqlite_options options = {.path = rig->path,
                                           .clock = &rig->clock.base,
                                           .rng = &rig->rng.base,
                                           .queue_max = 16,
                                           .group_max = 16,
                                           .readers = 1};
    return sqlite_open(&options, &rig->store, problem);
}

static void a_newer_schema_is_refused_and_left_alone(void **state) {
    struct rig *rig = *state;
    struct problem problem = {.detail = ""};
    close_store(rig);
    exec_on_file(rig->path, "PRAGMA user_version = 999");
    assert_int_equal(open_file(rig, &problem), ERR_NEWER_SCHEMA);
    assert_non_null(strstr(problem.detail, "999"));
}

static void a_file_of_another_program_is_refused(void **state) {
    struct rig *rig = *state;
    struct problem problem = {.detail = ""};
    close_store(rig);
    assert_int_equal(unlink(rig->path), 0);
    exec_on_file(rig->path, "CREATE TABLE theirs (x)");
    assert_int_equal(open_file(rig, &problem), ERR_BAD_STORE);
    assert_true(strlen(problem.detail) > 0);
}

static void a_file_that_is_no_database_is_refused(void **state) {
    struct rig *rig = *state;
    struct problem problem = {.detail = ""};
    close_store(rig);
    FILE *file = fopen(rig->path, "w");
    assert_non_null(file);
    for (int i = 0; i < 1000; i++) {
        fputs("this is not a database\n", file);
    }
    fclose(file);
    assert_int_equal(open_file(rig, &problem), ERR_BAD_STORE);
}

/* What later versions added; a name that is not there fails the test. */
static const char back_to_first[] =
    "DROP INDEX idx_attendance_refused; DROP TABLE action_journal; DROP TABLE control_orders;"
    "DROP TABLE notices; PRAGMA user_version = 1";

static void an_older_schema_is_taken_forward_with_its_data(void **state) {
    struct rig *rig = *state;
    rig_person(rig, "e", "t1", "Ann", "");
    rig_scan(rig, "e", ENTRY("t1", "g1"));
    close_store(rig);
    exec_on_file(rig->path, back_to_first);
    rig_reopen(rig);
    assert_int_equal(rig_stats(rig, "e").scans, 1);
    assert_int_equal(rig_scan(rig, "e", ENTRY("t1", "g1")).reason, REASON_ALREADY_USED);
    close_store(rig);
    exec_on_file(rig->path, back_to_first); /* fails unless they are back */
    rig_reopen(rig);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest around[] = {
        CASE(a_lost_answer_is_found_again_by_its_nonce),
        CASE(a_failed_operation_writes_nothing),
        CASE(an_operation_past_its_deadline_is_not_run),
        cmocka_unit_test(a_full_queue_answers_overloaded_at_once),
    };
    const struct CMUnitTest below_sqlite[] = {
        CASE(a_file_that_cannot_grow_refuses_writes_serves_reads_and_recovers),
        CASE(a_newer_schema_is_refused_and_left_alone),
        CASE(a_file_of_another_program_is_refused),
        CASE(a_file_that_is_no_database_is_refused),
        CASE(an_older_schema_is_taken_forward_with_its_data),
    };
    int failed = cmocka_run_group_tests(around, NULL, NULL);
    return rig_is_postgres() ? failed
                             : failed + cmocka_run_group_tests(below_sqlite, NULL, NULL);
}
