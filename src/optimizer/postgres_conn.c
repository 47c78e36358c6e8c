/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One synchronous connection. libpq is seen here alone; others see rows of text.
 *
 * A statement that changes the schema never waits for a lock without a timeout: a waiting ACCESS
 * EXCLUSIVE stops everybody who comes after it, so it waits shortly and often instead.
 */
#include "optimizer/postgres_priv.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <threads.h>

static const int64_t lock_ladder_ms[] = {200, 500, 1000, 2000};
enum {
    LADDER_LEN = sizeof lock_ladder_ms / sizeof lock_ladder_ms[0],
    PAUSE_MS = 100, /* between two tries, so that those who waited behind us get through */
};
static const char lock_not_available[] = "55P03";

/* "turnout" and 1: the optimizer's place among advisory locks. */
#define RUN_LOCK "hashtext('turnout.optimizer'), 1"

const struct problem *db_problem(const struct db *db) {
    return &db->problem;
}

bool db_is_lost(const struct db *db) {
    return PQstatus(db->conn) != CONNECTION_OK;
}

/* The server's first line: details may hold values of rows. */
static struct slice first_line(const char *text) {
    return slice_from(text, strcspn(text, "\n"));
}

static enum err_e err_of_state(const struct db *db) {
    static const struct {
        const char *prefix;
        enum err_e err;
    } rows[] = {
        {"57014", ERR_DEADLINE}, {"55P03", ERR_OVERLOADED}, {"53100", ERR_NO_SPACE},
        {"53200", ERR_NO_MEMORY}, {"42P01", ERR_BAD_STORE}, {"3D000", ERR_CONFIG},
        {"28", ERR_CONFIG},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strncmp(db->sqlstate, rows[i].prefix, strlen(rows[i].prefix)) == 0) {
            return rows[i].err;
        }
    }
    return db_is_lost(db) ? ERR_UNAVAILABLE : ERR_IO;
}

static enum err_e fail_by_result(struct db *db, const PGresult *result) {
    const char *state = result == NULL ? NULL : PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *text = result == NULL ? NULL : PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    snprintf(db->sqlstate, sizeof db->sqlstate, "%s", state == NULL ? "" : state);
    struct slice said = first_line(text == NULL ? PQerrorMessage(db->conn) : text);
    return problem_set(&db->problem, err_of_state(db), "", "PostgreSQL says: %.*s",
                       SLICE_ARG(said));
}

static enum err_e take_result(struct db *db, PGresult *result, struct db_rows *ret_rows) {
    *ret_rows = (struct db_rows){.result = result, .row = -1};
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
        return fail_by_result(db, result);
    }
    ret_rows->count = PQntuples(result);
    db->sqlstate[0] = '\0';
    return ERR_OK;
}

enum err_e db_ask(struct db *db, const char *sql, const char *const *args,
                  struct db_rows *ret_rows) {
    int count = 0;
    while (args != NULL && args[count] != NULL) {
        count++;
    }
    ASSERT(count <= DB_ARGS_MAX);
    return take_result(db, PQexecParams(db->conn, sql, count, NULL, args, NULL, NULL, 0),
                       ret_rows);
}

bool db_next(struct db_rows *rows) {
    return rows->row + 1 < rows->count && ++rows->row >= 0;
}

void db_done(struct db_rows *rows) {
    PQclear(rows->result);
    *rows = (struct db_rows){.row = -1};
}

const char *db_cell(const struct db_rows *rows, int column) {
    return PQgetvalue(rows->result, rows->row, column);
}

bool db_cell_is_null(const struct db_rows *rows, int column) {
    return PQgetisnull(rows->result, rows->row, column) != 0;
}

int64_t db_cell_int(const struct db_rows *rows, int column) {
    return strtoll(db_cell(rows, column), NULL, 10);
}

double db_cell_real(const struct db_rows *rows, int column) {
    return strtod(db_cell(rows, column), NULL);
}

bool db_cell_is_true(const struct db_rows *rows, int column) {
    return db_cell(rows, column)[0] == 't';
}

enum err_e db_tell(struct db *db, const char *sql) {
    struct db_rows rows;
    enum err_e err = take_result(db, PQexec(db->conn, sql), &rows);
    db_done(&rows);
    return err;
}

/* Reads the rest of a COPY, so that the connection is of use again. */
static void skip_copy(PGconn *conn) {
    char *line;
    while (PQgetCopyData(conn, &line, 0) > 0) {
        PQfreemem(line);
    }
}

/* The result behind the last line says whether all came. */
static enum err_e end_copy(struct db *db) {
    enum err_e err = ERR_OK;
    for (PGresult *result; (result = PQgetResult(db->conn)) != NULL;) {
        struct db_rows rows;
        enum err_e one = take_result(db, result, &rows);
        err = err == ERR_OK ? one : err;
        db_done(&rows);
    }
    return err;
}

enum err_e db_copy_out(struct db *db, const char *sql, db_line_fn fn, void *data) {
    PGresult *result = PQexec(db->conn, sql);
    if (PQresultStatus(result) != PGRES_COPY_OUT) {
        enum err_e err = fail_by_result(db, result);
        PQclear(result);
        return err;
    }
    PQclear(result);
    char *line;
    for (int len; (len = PQgetCopyData(db->conn, &line, 0)) > 0;) {
        enum err_e err = fn(slice_from(line, (size_t)len), data);
        PQfreemem(line);
        if (err != ERR_OK) {
            skip_copy(db->conn);
            enum err_e ignored = end_copy(db);
            (void)ignored;
            return problem_set(&db->problem, err, "", "cannot keep what the server sends: %s",
                               err_remedy(err));
        }
    }
    return end_copy(db);
}

void db_rollback(struct db *db) {
    if (PQtransactionStatus(db->conn) != PQTRANS_IDLE) {
        PQclear(PQexec(db->conn, "ROLLBACK"));
    }
}

enum err_e db_set_timeout(struct db *db, int64_t ms) {
    char sql[64];
    snprintf(sql, sizeof sql, "SET statement_timeout = %lld", (long long)(ms < 1 ? 1 : ms));
    return db_tell(db, sql);
}

/* Who stands in the way: a holder of a lock on the relation, else the oldest snapshot. */
static void name_blocker(struct db *db, const char *relation) {
    static const char sql[] =
        "SELECT a.pid, coalesce(nullif(a.application_name, ''), 'no name'), a.state,"
        " extract(epoch FROM clock_timestamp() - a.xact_start)::bigint"
        " FROM pg_stat_activity a LEFT JOIN pg_locks l ON l.pid = a.pid AND l.granted"
        "  AND l.relation = to_regclass($1)"
        " WHERE a.pid <> pg_backend_pid() AND a.xact_start IS NOT NULL"
        "  AND (l.pid IS NOT NULL OR a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL)"
        " ORDER BY l.pid IS NULL, a.xact_start LIMIT 1";
    const char *args[] = {relation, NULL};
    struct db_rows rows;
    if (db_ask(db, sql, args, &rows) == ERR_OK && db_next(&rows)) {
        problem_set(&db->problem, ERR_OVERLOADED, "",
                    "%.60s stays locked by process %s (%.60s, %.40s, transaction open for %s s): "
                    "end it, or run this again later",
                    relation, db_cell(&rows, 0), db_cell(&rows, 1), db_cell(&rows, 2),
                    db_cell(&rows, 3));
    } else {
        problem_set(&db->problem, ERR_OVERLOADED, "",
                    "%.60s stayed locked for too long: run this again later", relation);
    }
    db_done(&rows);
}

static void pause_between_tries(struct db *db) {
    int64_t ms = PAUSE_MS + (int64_t)rng_below(&db->rng.base, PAUSE_MS);
    thrd_sleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

static enum err_e set_lock_timeout(struct db *db, int rung) {
    int64_t ms = lock_ladder_ms[rung < LADDER_LEN ? rung : LADDER_LEN - 1];
    char sql[64];
    ms += (int64_t)rng_below(&db->rng.base, (uint64_t)ms / 10 + 1);
    snprintf(sql, sizeof sql, "SET lock_timeout = %lld", (long long)ms);
    return db_tell(db, sql);
}

/* Takes away what a failed try left; false: a further try would stumble over it. */
static bool clean_up(struct db *db, const struct db_change *change) {
    return change->clean == NULL || (!db_is_lost(db) && db_tell(db, change->clean) == ERR_OK);
}

static enum err_e try_change(struct db *db, const struct db_change *change, int rung) {
    TRY(set_lock_timeout(db, rung));
    TRY(db_set_timeout(db, db_left_ms(db)));
    return db_tell(db, change->sql);
}

enum err_e db_change(struct db *db, const struct db_change *change) {
    for (int rung = 0;; rung++) {
        enum err_e err = try_change(db, change, rung);
        if (err == ERR_OK || db_is_lost(db)) {
            return err;
        }
        bool is_over = err == ERR_DEADLINE && rung > 0; /* the budget ended while it waited */
        bool was_locked = strcmp(db->sqlstate, lock_not_available) == 0;
        struct problem problem = db->problem;
        db_rollback(db);
        TRY(db_set_timeout(db, DB_READ_TIMEOUT_MS));
        if (was_locked && change->finish != NULL && db_tell(db, change->finish) == ERR_OK) {
            return ERR_OK;
        }
        if (!clean_up(db, change) || (!was_locked && !is_over)) {
            db->problem = problem;
            return err;
        }
        if (is_over || db->tries_left == 0 || db_left_ms(db) == 0) {
            name_blocker(db, change->relation);
            return ERR_OVERLOADED;
        }
        db->tries_left--;
        pause_between_tries(db);
    }
}

void db_cancel(struct db *db) {
    char ignored[64];
    atomic_store(&db->is_cancelled, true);
    PQcancel(db->cancel, ignored, sizeof ignored); /* without it the step ends by its timeout */
}

bool db_is_cancelled(const struct db *db) {
    return atomic_load(&db->is_cancelled);
}

int64_t db_left_ms(struct db *db) {
    if (db_is_cancelled(db)) {
        return 0;
    }
    int64_t left = (db->deadline_us - clock_mono_us(db->options.clock)) / 1000;
    return left < 0 ? 0 : left;
}

static void start_budget(struct db *db) {
    db->tries_left = DB_LOCK_TRIES;
    db->deadline_us = clock_mono_us(db->options.clock) + db->options.budget_ms * 1000;
}

enum err_e db_begin_run(struct db *db) {
    start_budget(db);
    TRY(db_set_timeout(db, DB_READ_TIMEOUT_MS));
    if (db->options.mode == DB_DRY_RUN) {
        return ERR_OK;
    }
    struct db_rows rows;
    enum err_e err = db_ask(db, "SELECT pg_try_advisory_lock(" RUN_LOCK ")", NULL, &rows);
    if (err == ERR_OK && (!db_next(&rows) || !db_cell_is_true(&rows, 0))) {
        err = problem_set(&db->problem, ERR_BUSY, "",
                          "another optimizer is busy with this database: run this again later");
    }
    db_done(&rows);
    return err;
}

void db_end_run(struct db *db) {
    struct problem problem = db->problem;
    db_rollback(db);
    if (db->options.mode != DB_DRY_RUN &&
        db_tell(db, "SELECT pg_advisory_unlock(" RUN_LOCK ")") != ERR_OK) {
        db->problem = problem; /* the lock goes with the session */
    }
}

/* A search_path that somebody set for the role stays: tables are where the store finds them. */
static enum err_e prepare_session(struct db *db) {
    TRY(db_tell(db, "SET TimeZone = 'UTC'"));
    TRY(db_tell(db, "SET DateStyle = 'ISO'"));
    TRY(db_tell(db, "SET client_min_messages = error"));
    TRY(db_tell(db, "SET idle_in_transaction_session_timeout = '60s'"));
    TRY(db_tell(db, "SET lock_timeout = '2s'"));
    TRY(db_set_timeout(db, DB_READ_TIMEOUT_MS));
    struct db_rows rows;
    enum err_e err = db_ask(db,
                            "SELECT to_regclass('attendance_records') IS NOT NULL"
                            " AND to_regclass('participants') IS NOT NULL,"
                            " to_regclass('action_journal') IS NOT NULL", NULL, &rows);
    bool is_there = err == ERR_OK && db_next(&rows);
    if (err == ERR_OK && (!is_there || !db_cell_is_true(&rows, 0))) {
        err = problem_set(&db->problem, ERR_BAD_STORE, "",
                          "the database has no tables of turnout: check its name in store.url");
    } else if (err == ERR_OK && !db_cell_is_true(&rows, 1)) {
        err = problem_set(&db->problem, ERR_BAD_STORE, "",
                          "the database has an older schema: run turnout db migrate first");
    }
    db_done(&rows);
    return err;
}

static void ignore_notice(void *data, const PGresult *result) {
    (void)data;
    (void)result;
}

/* What the URL says comes later and counts. */
MAY_BLOCK static PGconn *connect_to(const char *url, const char *target) {
    static const char *const keys[] = {"connect_timeout", "application_name",
                                       "target_session_attrs", "dbname", NULL};
    const char *const values[] = {"10", "turnout optimizer", target, url, NULL};
    return PQconnectdbParams(keys, values, 1);
}

/* Every server that answered is a standby: it can be looked at, and refuses each change itself. */
static bool is_without_primary(const PGconn *conn) {
    return PQstatus(conn) == CONNECTION_BAD &&
           strstr(PQerrorMessage(conn), "session is read-only") != NULL;
}

enum err_e db_open(const struct db_options *options, struct db **ret_db,
                   struct problem *ret_problem) {
    *ret_db = NULL;
    struct db *db = calloc(1, sizeof *db);
    if (db == NULL) {
        return problem_set(ret_problem, ERR_NO_MEMORY, "", "no memory for a connection");
    }
    db->options = *options;
    atomic_init(&db->is_cancelled, false);
    seeded_rng_init(&db->rng, rng_u64(rng_system()));
    start_budget(db);
    db->conn = connect_to(options->url, "read-write");
    if (db->conn != NULL && is_without_primary(db->conn)) {
        PQfinish(db->conn);
        db->conn = connect_to(options->url, "any");
    }
    enum err_e err;
    if (db->conn == NULL || db_is_lost(db)) {
        struct slice said = first_line(db->conn == NULL ? "no memory" : PQerrorMessage(db->conn));
        err = problem_set(&db->problem, ERR_UNAVAILABLE, "", "cannot connect: %.*s",
                          SLICE_ARG(said));
    } else {
        PQsetNoticeReceiver(db->conn, ignore_notice, NULL);
        db->cancel = PQgetCancel(db->conn);
        err = prepare_session(db);
    }
    if (err != ERR_OK) {
        *ret_problem = db->problem;
        db_close(db);
        return err;
    }
    *ret_db = db;
    return ERR_OK;
}

void db_close(struct db *db) {
    if (db != NULL) {
        PQfreeCancel(db->cancel);
        PQfinish(db->conn);
        free(db);
    }
}
