/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a PostgreSQL server does to a store: it is not there, refuses, is read only, is full, has
 * deadlocks, lacks a partition, ends a session at the worst moment, has another schema. Errors that
 * are hard to have on purpose are raised by a trigger, which is dropped with the test's database.
 */
#include "rig_postgres.h"

#include "store/postgres_migrate.h"

#include <libpq-fe.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* A database of the test's own: these tests leave things behind. */
static int setup_own(void **state) {
    struct rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    rig->group_max = 256;
    rig_postgres_create(rig->path);
    virtual_clock_init(&rig->clock, RIG_START_MS);
    seeded_rng_init(&rig->rng, 1);
    arena_init(&rig->arena, (size_t)1 << 30);
    struct problem problem = {.detail = ""};
    if (rig_open(rig, &rig->clock.base, &rig->rng.base, &rig->store, &problem) != ERR_OK) {
        fail_msg("open: %s", problem.detail);
    }
    rig_event(rig, "e", REENTRY_AFTER_EXIT, CAPACITY_NONE);
    rig_gate(rig, "e", "g1");
    rig_gate(rig, "e", "g2");
    *state = rig;
    return 0;
}

/* Naps until `holds` does; fails the test when it does not within half a minute. */
static void wait_until(struct rig *rig, bool (*holds)(struct rig *rig), const char *what) {
    for (int i = 0; i < 3000; i++) {
        if (holds(rig)) {
            return;
        }
        struct timespec moment = {.tv_nsec = 10000000};
        thrd_sleep(&moment, NULL);
    }
    fail_msg("it never came to this: %s", what);
}

static bool writes_work(struct rig *rig) {
    struct store_health health;
    store_health(rig->store, &health);
    return health.writes;
}

static bool everything_works(struct rig *rig) {
    struct store_health health;
    store_health(rig->store, &health);
    return health.writes && health.reads;
}

static bool nothing_works(struct rig *rig) {
    struct store_health health;
    store_health(rig->store, &health);
    return !health.writes && !health.reads && health.reason[0] != '\0';
}

static bool only_reads_work(struct rig *rig) {
    struct store_health health;
    store_health(rig->store, &health);
    return !health.writes && health.reads && health.reason[0] != '\0';
}

static enum err_e open_at(struct rig *rig, const char *url, struct problem *problem) {
    struct store *store = NULL;
    const struct postgres_options options = {.url = url,
                                             .clock = &rig->clock.base,
                                             .rng = &rig->rng.base,
                                             .queue_max = 16,
                                             .group_max = 16,
                                             .writers = 1,
                                             .readers = 1};
    enum err_e err = postgres_open(&options, &store, problem);
    if (err == ERR_OK) {
        store_close(store);
    }
    return err;
}

static enum err_e scan_with(struct rig *rig, const char *token, const char *nonce,
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
    enum err_e err = store_run(rig->store, &op);
    store_op_fini(&op);
    return err;
}

/* ── opening ── */

static void a_wrong_password_is_said_without_the_password(void **state) {
    struct rig *rig = *state;
    struct problem problem = {.detail = ""};
    const char *port = strstr(rig->path, "port=");
    assert_non_null(port);
    char url[RIG_URL_SIZE];
    rig_postgres_exec(rig->path, "CREATE ROLE guarded LOGIN PASSWORD 'right'");
    snprintf(url, sizeof url, "postgres://guarded:hunter2@127.0.0.1:%d/postgres",
             atoi(port + strlen("port=")));
    assert_int_equal(open_at(rig, url, &problem), ERR_CONFIG);
    assert_non_null(strstr(problem.detail, "password"));
    assert_null(strstr(problem.detail, "hunter2"));
    rig_postgres_exec(rig->path, "DROP ROLE guarded");
}

static void an_address_that_cannot_be_read_is_not_repeated(void **state) {
    struct problem problem = {.detail = ""};
    assert_int_equal(open_at(*state, "postgres://u:hunter2@h:p o/x?nonsense=1", &problem),
                     ERR_CONFIG);
    assert_null(strstr(problem.detail, "hunter2"));
}

static void a_server_that_is_not_there_is_unavailable(void **state) {
    struct problem problem = {.detail = ""};
    enum err_e err = open_at(*state, "postgres://turnout@127.0.0.1:1/turnout", &problem);
    assert_int_equal(err, ERR_UNAVAILABLE);
    assert_true(problem.detail[0] != '\0');
}

static void a_database_without_a_schema_asks_for_the_migration(void **state) {
    struct problem problem = {.detail = ""};
    char url[RIG_URL_SIZE];
    rig_postgres_create_bare(url);
    assert_int_equal(open_at(*state, url, &problem), ERR_UNAVAILABLE);
    assert_non_null(strstr(problem.detail, "db migrate"));
}

static void a_newer_schema_is_refused_and_left_alone(void **state) {
    struct rig *rig = *state;
    struct problem problem = {.detail = ""};
    struct postgres_migrated migrated;
    rig_postgres_exec(rig->path, "INSERT INTO turnout_schema (version) VALUES (999)");
    assert_int_equal(open_at(rig, rig->path, &problem), ERR_NEWER_SCHEMA);
    assert_non_null(strstr(problem.detail, "999"));
    assert_int_equal(postgres_migrate(rig->path, POSTGRES_MIGRATE, &migrated, &problem),
                     ERR_NEWER_SCHEMA);
}

static void a_database_that_is_not_utf8_is_refused(void **state) {
    char url[RIG_URL_SIZE];
    struct problem problem = {.detail = ""};
    rig_postgres_url("postgres", url);
    rig_postgres_exec(url, "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    rig_postgres_url("latin", url);
    assert_int_equal(open_at(*state, url, &problem), ERR_CONFIG);
    assert_non_null(strstr(problem.detail, "UTF8"));
}

/* ── migrating ── */

static void migrating_twice_changes_nothing_and_a_dry_run_neither(void **state) {
    (void)state;
    char url[RIG_URL_SIZE];
    struct problem problem = {.detail = ""};
    struct postgres_migrated migrated;
    rig_postgres_create_bare(url);
    assert_int_equal(postgres_migrate(url, POSTGRES_MIGRATE_DRY, &migrated, &problem), ERR_OK);
    assert_int_equal(migrated.from, 0);
    assert_int_equal(rig_postgres_number(url, "SELECT count(*) FROM pg_tables"
                                              " WHERE schemaname = 'public'"), 0);
    assert_int_equal(postgres_migrate(url, POSTGRES_MIGRATE, &migrated, &problem), ERR_OK);
    assert_int_equal(migrated.from, 0);
    assert_int_equal(postgres_migrate(url, POSTGRES_MIGRATE, &migrated, &problem), ERR_OK);
    assert_int_equal(migrated.from, migrated.to);
    assert_int_equal(rig_postgres_number(url, "SELECT count(*) FROM turnout_schema"), migrated.to);
}

static void a_database_of_the_schema_before_is_brought_forward(void **state) {
    char url[RIG_URL_SIZE];
    struct problem problem = {.detail = ""};
    struct postgres_migrated migrated;
    rig_postgres_create_bare(url);
    assert_int_equal(postgres_migrate(url, POSTGRES_MIGRATE, &migrated, &problem), ERR_OK);
    rig_postgres_exec(url, "DROP TABLE change_marks; DELETE FROM turnout_schema WHERE version = 5");
    assert_int_equal(open_at(*state, url, &problem), ERR_UNAVAILABLE);
    assert_non_null(strstr(problem.detail, "schema 4 of 5"));
    assert_int_equal(postgres_migrate(url, POSTGRES_MIGRATE, &migrated, &problem), ERR_OK);
    assert_int_equal(migrated.from, 4);
    assert_int_equal(migrated.to, 5);
    assert_int_equal(open_at(*state, url, &problem), ERR_OK);
}

/* A server ends a session, and with it its locks, a moment after its client has gone: a migration
 * right behind another would be refused. */
static void a_migration_has_given_its_lock_back_when_it_returns(void **state) {
    enum { IN_A_ROW = 20 };
    (void)state;
    char url[RIG_URL_SIZE];
    struct postgres_migrated migrated;
    rig_postgres_create_bare(url);
    PGconn *watcher = PQconnectdb(url);
    assert_int_equal(PQstatus(watcher), CONNECTION_OK);
    for (int i = 0; i < IN_A_ROW; i++) {
        struct problem problem = {.detail = ""};
        assert_int_equal(postgres_migrate(url, POSTGRES_MIGRATE, &migrated, &problem), ERR_OK);
        PGresult *locks = PQexec(watcher, "SELECT FROM pg_locks WHERE locktype = 'advisory'");
        assert_int_equal(PQresultStatus(locks), PGRES_TUPLES_OK);
        assert_int_equal(PQntuples(locks), 0);
        PQclear(locks);
    }
    PQfinish(watcher);
}

static int migrate_main(void *data) {
    struct problem problem;
    struct postgres_migrated migrated;
    return (int)postgres_migrate(data, POSTGRES_MIGRATE, &migrated, &problem);
}

static void migrations_at_the_same_time_make_one_schema(void **state) {
    (void)state;
    enum { AT_ONCE = 4 };
    char url[RIG_URL_SIZE];
    thrd_t threads[AT_ONCE];
    int done = 0;
    rig_postgres_create_bare(url);
    for (int i = 0; i < AT_ONCE; i++) {
        assert_int_equal(thrd_create(&threads[i], migrate_main, url), thrd_success);
    }
    for (int i = 0; i < AT_ONCE; i++) {
        int err;
        thrd_join(threads[i], &err);
        assert_true(err == ERR_OK || err == ERR_CONFLICT);
        done += err == ERR_OK;
    }
    assert_true(done >= 1);
    assert_int_equal(
        rig_postgres_number(url, "SELECT count(*) - max(version) FROM turnout_schema"), 0);
}

/* ── partitions ── */

static void a_missing_partition_is_made_when_a_record_needs_it(void **state) {
    struct rig *rig = *state;
    rig_set_event(rig, "e", REENTRY_ALWAYS, CAPACITY_NONE);
    rig_person(rig, "e", "t1", "Ann", "");
    static const struct {
        int64_t at_ms;
        const char *partition;
    } rows[] = {
        {1000, "attendance_records_past"},
        {1767225599999, "attendance_records_past"},     /* 2025-12-31T23:59:59.999Z */
        {1767225600000, "attendance_records_2026_q1"},  /* 2026-01-01T00:00:00Z */
        {1782863999999, "attendance_records_2026_q2"},  /* 2026-06-30T23:59:59.999Z */
        {RIG_START_MS, "attendance_records_2026_q3"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct scan scan = ENTRY("t1", "g1");
        char sql[160];
        scan.scanned_at_ms = rows[i].at_ms;
        assert_int_equal(rig_scan(rig, "e", scan).verdict, VERDICT_ADMITTED);
        snprintf(sql, sizeof sql, "SELECT count(*) FROM %s WHERE timestamp = "
                                  "to_timestamp(%lld::numeric / 1000)",
                 rows[i].partition, (long long)rows[i].at_ms);
        assert_int_equal(rig_postgres_number(rig->path, sql), 1);
    }
    assert_int_equal(rig_stats(rig, "e").scans, 5);
}

static void nodes_that_need_the_same_partition_at_once_both_go_on(void **state) {
    struct rig *rig = *state;
    struct store *other;
    struct problem problem;
    struct scan_result result;
    assert_int_equal(rig_open(rig, &rig->clock.base, &rig->rng.base, &other, &problem), ERR_OK);
    rig_event(rig, "f", REENTRY_ALWAYS, CAPACITY_NONE);
    rig_gate(rig, "f", "g1");
    rig_person(rig, "e", "t1", "Ann", "");
    struct store_op op;
    struct scan scan = ENTRY("t1", "g1");
    store_op_init(&op, STORE_CHECK_IN);
    op.event = SLICE_LIT("f");
    op.check_in.scans = &scan;
    op.check_in.results = &result;
    op.check_in.len = 1;
    for (int64_t quarter = 0; quarter < 6; quarter++) {
        virtual_clock_advance(&rig->clock, 92LL * 86400 * 1000);
        struct scan_result mine;
        assert_int_equal(scan_with(rig, "t1", "", &mine), ERR_OK);
        assert_int_equal(store_run(other, &op), ERR_OK);
    }
    store_op_fini(&op);
    store_close(other);
    assert_int_equal(rig_stats(rig, "e").scans, 6);
}

/* ── one bad value among good ones ── */

static void break_records(struct rig *rig, const char *when, const char *state) {
    char sql[512];
    snprintf(sql, sizeof sql,
             "CREATE SEQUENCE broken;"
             "CREATE FUNCTION break_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
             " IF %s THEN RAISE EXCEPTION 'on purpose' USING ERRCODE = '%s'; END IF;"
             " RETURN NEW; END $$;"
             "CREATE TRIGGER broken BEFORE INSERT ON attendance_records FOR EACH ROW"
             " EXECUTE FUNCTION break_it()",
             when, state);
    rig_postgres_exec(rig->path, sql);
}

static void mend_records(struct rig *rig) {
    rig_postgres_exec(rig->path, "DROP TRIGGER broken ON attendance_records");
}

static void one_bad_scan_of_a_batch_fails_alone(void **state) {
    enum { SCANS = 17, BAD = 11 };
    struct rig *rig = *state;
    struct scan scans[SCANS];
    struct scan_result results[SCANS];
    char tokens[SCANS][8], nonces[SCANS][8];
    break_records(rig, "NEW.nonce = 'n11'", "22003");
    for (int i = 0; i < SCANS; i++) {
        snprintf(tokens[i], sizeof tokens[i], "t%d", i);
        snprintf(nonces[i], sizeof nonces[i], "n%d", i);
        rig_person(rig, "e", tokens[i], "Ann", "");
        scans[i] = (struct scan){.token = slice_of(tokens[i]),
                                 .gate = SLICE_LIT("g1"),
                                 .nonce = slice_of(nonces[i]),
                                 .scanned_at_ms = TIME_NONE};
    }
    struct store_op op;
    store_op_init(&op, STORE_CHECK_IN);
    op.event = SLICE_LIT("e");
    op.check_in.scans = scans;
    op.check_in.results = results;
    op.check_in.len = SCANS;
    assert_int_equal(store_run(rig->store, &op), ERR_OK);
    for (int i = 0; i < SCANS; i++) {
        assert_int_equal(results[i].err, i == BAD ? ERR_INVALID_FIELD : ERR_OK);
        assert_int_equal(results[i].inside, i == BAD ? 0 : i + (i < BAD ? 1 : 0));
    }
    store_op_fini(&op);
    assert_int_equal(rig_stats(rig, "e").scans, SCANS - 1);
    assert_true(writes_work(rig));
}

static void bytes_that_are_no_text_fail_alone(void **state) {
    struct rig *rig = *state;
    struct scan_result result;
    rig_person(rig, "e", "t1", "Ann", "");
    assert_int_equal(scan_with(rig, "\xff\xfe", "n1", &result), ERR_OK);
    assert_int_equal(result.err, ERR_INVALID_FIELD);
    assert_int_equal(scan_with(rig, "t1", "n2", &result), ERR_OK);
    assert_int_equal(result.verdict, VERDICT_ADMITTED);
}

static void one_bad_row_of_an_import_is_rejected_alone(void **state) {
    struct rig *rig = *state;
    struct import_row rows[5];
    static const char *const names[5] = {"A", "B", "\xff", "D", "E"};
    for (int i = 0; i < 5; i++) {
        static const char *const tokens[5] = {"a", "b", "c", "d", "e"};
        rows[i] = (struct import_row){
            .values = {.token = slice_of(tokens[i]), .name = slice_of(names[i])},
            .fields = PARTICIPANT_TOKEN | PARTICIPANT_NAME};
    }
    struct store_op op;
    store_op_init(&op, STORE_IMPORT_PARTICIPANTS);
    op.event = SLICE_LIT("e");
    op.import.rows = rows;
    op.import.len = 5;
    assert_int_equal(store_run(rig->store, &op), ERR_OK);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(rows[i].ret_outcome, i == 2 ? IMPORT_REJECTED : IMPORT_CREATED);
    }
    store_op_fini(&op);
    assert_int_equal(rig_stats(rig, "e").participants, 4);
}

/* ── what passes by itself, and what does not ── */

static void a_deadlock_is_tried_again_and_nobody_notices(void **state) {
    struct rig *rig = *state;
    struct scan_result result;
    rig_person(rig, "e", "t1", "Ann", "");
    break_records(rig, "nextval('broken') <= 3", "40P01");
    assert_int_equal(scan_with(rig, "t1", "n1", &result), ERR_OK);
    assert_int_equal(result.verdict, VERDICT_ADMITTED);
    assert_int_equal(rig_stats(rig, "e").scans, 1);
    assert_int_equal(rig_postgres_number(rig->path, "SELECT last_value FROM broken"), 4);
}

static void deadlocks_without_end_are_given_up(void **state) {
    struct rig *rig = *state;
    struct scan_result result;
    rig_person(rig, "e", "t1", "Ann", "");
    break_records(rig, "nextval('broken') > 0", "40001");
    assert_int_equal(scan_with(rig, "t1", "n1", &result), ERR_OVERLOADED);
    mend_records(rig);
    assert_int_equal(scan_with(rig, "t1", "n1", &result), ERR_OK);
    assert_false(result.replayed);
}

static void a_full_disk_refuses_writes_serves_reads_and_recovers(void **state) {
    struct rig *rig = *state;
    struct scan_result result;
    rig_person(rig, "e", "t1", "Ann", "");
    break_records(rig, "true", "53100");
    assert_int_equal(scan_with(rig, "t1", "n1", &result), ERR_NO_SPACE);
    assert_int_equal(rig_stats(rig, "e").scans, 0); /* reads go on */
    mend_records(rig);
    assert_int_equal(scan_with(rig, "t1", "n1", &result), ERR_OK);
    assert_false(result.replayed);
    assert_true(writes_work(rig));
}

static void a_lock_that_is_not_given_is_overload_and_says_nothing_about_the_scan(void **state) {
    struct rig *rig = *state;
    struct scan_result result;
    rig_person(rig, "e", "t1", "Ann", "");
    break_records(rig, "true", "55P03");
    assert_int_equal(scan_with(rig, "t1", "n1", &result), ERR_OVERLOADED);
    assert_true(writes_work(rig));
    mend_records(rig);
    assert_int_equal(scan_with(rig, "t1", "n1", &result), ERR_OK);
}

/* ── lost at the commit ── */

static atomic_bool answered;
static void note_answer(struct store_op *op) {
    (void)op;
    atomic_store(&answered, true);
}

static bool waits_for_a_standby(struct rig *rig) {
    return rig_postgres_number(rig->path, "SELECT count(*) FROM pg_stat_activity WHERE"
                                          " wait_event = 'SyncRep'") > 0;
}

static bool is_answered(struct rig *rig) {
    (void)rig;
    return atomic_load(&answered);
}

static bool waits_or_is_answered(struct rig *rig) {
    return is_answered(rig) || waits_for_a_standby(rig);
}

static void set_standby(const char *setting) {
    char url[RIG_URL_SIZE];
    rig_postgres_url("postgres", url);
    rig_postgres_exec(url, setting);
    rig_postgres_exec(url, "SELECT pg_reload_conf()");
}

/* Also after a failure: every commit of every test behind it would wait. */
static int teardown_with_standby(void **state) {
    set_standby("ALTER SYSTEM RESET synchronous_standby_names");
    return rig_teardown(state);
}

struct waiting_scan {
    char nonce[16];
    struct scan scan;
    struct scan_result result;
    struct store_op op;
};

static void submit_waiting(struct rig *rig, struct waiting_scan *w, int number) {
    snprintf(w->nonce, sizeof w->nonce, "n%d", number);
    w->scan = ENTRY("t1", "g1");
    w->scan.nonce = slice_of(w->nonce);
    store_op_init(&w->op, STORE_CHECK_IN);
    w->op.event = SLICE_LIT("e");
    w->op.check_in.scans = &w->scan;
    w->op.check_in.results = &w->result;
    w->op.check_in.len = 1;
    w->op.done = note_answer;
    atomic_store(&answered, false);
    store_submit(rig->store, &w->op);
}

/* The commit is written, the server waits for a standby that never comes, and the session ends:
 * what the node cannot know is told by the nonce. Sessions take a new setting when they come to it,
 * so scans are sent until one waits. */
static void a_commit_whose_answer_is_lost_is_unknown_and_found_by_its_nonce(void **state) {
    struct rig *rig = *state;
    struct waiting_scan w;
    int number = 0;
    char url[RIG_URL_SIZE];
    rig_postgres_url("postgres", url);
    rig_set_event(rig, "e", REENTRY_ALWAYS, CAPACITY_NONE);
    rig_person(rig, "e", "t1", "Ann", "");
    set_standby("ALTER SYSTEM SET synchronous_standby_names = 'ghost'");
    for (submit_waiting(rig, &w, ++number);; submit_waiting(rig, &w, ++number)) {
        wait_until(rig, waits_or_is_answered, "the commit waits for a standby");
        if (!is_answered(rig)) {
            break;
        }
        store_op_fini(&w.op);
    }
    rig_postgres_exec(url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                           " WHERE wait_event = 'SyncRep'");
    wait_until(rig, is_answered, "the scan is answered");
    set_standby("ALTER SYSTEM RESET synchronous_standby_names");
    assert_int_equal(w.op.err, ERR_COMMIT_UNKNOWN);
    store_op_fini(&w.op);
    wait_until(rig, everything_works, "everything works again");
    struct scan_result again;
    assert_int_equal(scan_with(rig, "t1", w.nonce, &again), ERR_OK);
    assert_true(again.replayed);
    assert_int_equal(again.verdict, VERDICT_ADMITTED);
    assert_int_equal(rig_stats(rig, "e").scans, number);
}

/* ── a server that comes and goes ── */

static void a_read_only_server_serves_reads_alone_until_it_is_writable(void **state) {
    struct rig *rig = *state;
    struct scan_result result;
    char name[64], sql[512];
    snprintf(name, sizeof name, "%s", strstr(rig->path, "dbname=") + strlen("dbname="));
    rig_person(rig, "e", "t1", "Ann", "");
    snprintf(sql, sizeof sql,
             "ALTER DATABASE %s SET default_transaction_read_only = on;"
             "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
             " WHERE datname = '%s' AND pid <> pg_backend_pid()",
             name, name);
    rig_postgres_exec(rig->path, sql);
    assert_int_equal(scan_with(rig, "t1", "n1", &result), ERR_UNAVAILABLE);
    wait_until(rig, only_reads_work, "only reads work");
    assert_int_equal(rig_stats(rig, "e").participants, 1);
    char url[RIG_URL_SIZE];
    rig_postgres_url("postgres", url);
    snprintf(sql, sizeof sql, "ALTER DATABASE %s RESET default_transaction_read_only", name);
    rig_postgres_exec(url, sql);
    wait_until(rig, everything_works, "everything works again");
    assert_int_equal(scan_with(rig, "t1", "n1", &result), ERR_OK);
    assert_false(result.replayed);
}

static void a_stopped_server_is_seen_without_a_request_and_comes_back(void **state) {
    struct rig *rig = *state;
    rig_person(rig, "e", "t1", "Ann", "");
    rig_postgres_server("stop", "fast");
    wait_until(rig, nothing_works, "nothing works");
    struct scan_result result;
    assert_int_equal(err_status(scan_with(rig, "t1", "n1", &result)), 503);
    rig_postgres_server("start", "");
    wait_until(rig, everything_works, "everything works again");
    assert_int_equal(scan_with(rig, "t1", "n1", &result), ERR_OK);
    assert_false(result.replayed);
    assert_int_equal(rig_stats(rig, "e").scans, 1);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
#define OWN(name) cmocka_unit_test_setup_teardown(name, setup_own, rig_teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_wrong_password_is_said_without_the_password),
        CASE(an_address_that_cannot_be_read_is_not_repeated),
        CASE(a_server_that_is_not_there_is_unavailable),
        CASE(a_database_without_a_schema_asks_for_the_migration),
        CASE(a_database_that_is_not_utf8_is_refused),
        CASE(migrating_twice_changes_nothing_and_a_dry_run_neither),
        CASE(a_database_of_the_schema_before_is_brought_forward),
        CASE(a_migration_has_given_its_lock_back_when_it_returns),
        CASE(migrations_at_the_same_time_make_one_schema),
        OWN(a_missing_partition_is_made_when_a_record_needs_it),
        OWN(nodes_that_need_the_same_partition_at_once_both_go_on),
        OWN(one_bad_scan_of_a_batch_fails_alone),
        CASE(bytes_that_are_no_text_fail_alone),
        CASE(one_bad_row_of_an_import_is_rejected_alone),
        OWN(a_deadlock_is_tried_again_and_nobody_notices),
        OWN(deadlocks_without_end_are_given_up),
        OWN(a_full_disk_refuses_writes_serves_reads_and_recovers),
        OWN(a_lock_that_is_not_given_is_overload_and_says_nothing_about_the_scan),
        cmocka_unit_test_setup_teardown(
            a_commit_whose_answer_is_lost_is_unknown_and_found_by_its_nonce, rig_setup,
            teardown_with_standby),
        CASE(a_read_only_server_serves_reads_alone_until_it_is_writable),
        CASE(a_stopped_server_is_seen_without_a_request_and_comes_back),
        OWN(a_newer_schema_is_refused_and_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
