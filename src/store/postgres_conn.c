/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection. Statements are put into libpq's pipeline and sent together with one Sync; then
 * all answers are read. The socket is non-blocking and waited for with poll, so that a server that
 * says nothing costs no more than timeout_ms.
 *
 * After the first error the server passes over everything up to the Sync, the commit too; the
 * transaction that was begun is then rolled back by whoever began it.
 */
#include "store/postgres_priv.h"

#include <poll.h>

enum {
    VERSION_MIN = 150000,
    WRITER_TIMEOUT_MS = 12000, /* above the server's own limits below, which come first */
    READER_TIMEOUT_MS = 40000,
    LEASE_TIMEOUT_MS = 2000, /* to open; then it is the lease's own */
    STANDBY_GOOD_US = 1000000, /* then the primary is looked for again */
};

static const struct {
    const char *name;
    const char *roles;
    const char *text;
} statements[PG_SQL_COUNT] = {
#define X(name, role, text) {#name, #role, text},
    PG_SQL_TABLE(X)
#undef X
};

/*
 * A writer's look-ups are all by key, so plans are made once and never scan a table, whatever the
 * statistics of a table that was empty when they were made. A node that stops in the middle of a
 * transaction must not hold an event's lock for longer than a few seconds, and for less than other
 * nodes wait for it: else their scans were refused in the moment when it is free. Durability is not
 * left to the server's default.
 */
static const char writer_settings[] =
    "SET plan_cache_mode = force_generic_plan; SET jit = off; SET enable_seqscan = off;"
    "SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_memoize = off;"
    "SET idle_in_transaction_session_timeout = '3s'; SET statement_timeout = '10s';"
    "SET lock_timeout = '5s';"
    "SELECT set_config('synchronous_commit', 'on', false)"
    " WHERE current_setting('synchronous_commit') = 'off'";
static const char reader_settings[] =
    "SET default_transaction_read_only = on; SET default_transaction_isolation = 'repeatable read';"
    "SET jit = off; SET statement_timeout = '30s';"
    "SET idle_in_transaction_session_timeout = '10s'";

/* Elections go on while a standby is away: see store/lease.h. */
static const char lease_settings[] =
    "SET synchronous_commit = 'local'; SET statement_timeout = '2s'; SET lock_timeout = '1s'";

static const struct {
    const char *settings;
    const char *statements; /* the role in PG_SQL_TABLE, beside B */
    const char *target;     /* target_session_attrs */
    const char *patience;   /* connect_timeout, seconds */
    int64_t timeout_ms;
} roles[] = {
    [PG_WRITER] = {writer_settings, "W", "read-write", "5", WRITER_TIMEOUT_MS},
    [PG_READER] = {reader_settings, "R", "read-write", "5", READER_TIMEOUT_MS},
    /* nobody has to wait for a standby: without one the primary answers */
    [PG_REPLICA] = {reader_settings, "R", "standby", "2", READER_TIMEOUT_MS},
    /* nor for a lease: it is tried again */
    [PG_LEASE] = {lease_settings, "L", "read-write", "2", LEASE_TIMEOUT_MS},
};

/* ── errors ── */

static const struct {
    const char *state; /* beginning of a SQLSTATE; the first that fits counts */
    enum pg_failure_e failure;
    enum err_e err;
} translations[] = {
    {"08", PG_LOST, ERR_UNAVAILABLE},
    {"25006", PG_LOST, ERR_UNAVAILABLE}, /* read only: this is no primary any more */
    {"25P03", PG_LOST, ERR_UNAVAILABLE}, /* idle in transaction for too long */
    {"57P", PG_LOST, ERR_UNAVAILABLE},
    {"57014", PG_SERVER, ERR_DEADLINE},
    {"40", PG_AGAIN, ERR_OVERLOADED},
    {"55P03", PG_SERVER, ERR_OVERLOADED},
    {"55", PG_AGAIN, ERR_OVERLOADED},
    {"53100", PG_SERVER, ERR_NO_SPACE},
    {"53200", PG_SERVER, ERR_NO_MEMORY},
    {"53", PG_SERVER, ERR_UNAVAILABLE},
    {"58", PG_SERVER, ERR_IO},
    {"XX", PG_SERVER, ERR_IO},
    {"26000", PG_LOST, ERR_UNAVAILABLE}, /* a pooler lost our prepared statements */
    {"0A000", PG_LOST, ERR_UNAVAILABLE}, /* "cached plan must not change result type" */
    {"28", PG_LOST, ERR_CONFIG},
    {"3D", PG_LOST, ERR_CONFIG},
    {"42", PG_SERVER, ERR_BAD_STORE},
    {"23505", PG_DATA, ERR_CONFLICT},
    {"22", PG_DATA, ERR_INVALID_FIELD},
    {"54", PG_DATA, ERR_TOO_LARGE},
};

enum err_e pg_translate(const char *state, enum pg_failure_e *ret_failure) {
    for (size_t i = 0; state != NULL && i < sizeof translations / sizeof translations[0]; i++) {
        if (strncmp(state, translations[i].state, strlen(translations[i].state)) == 0) {
            *ret_failure = translations[i].failure;
            return translations[i].err;
        }
    }
    *ret_failure = PG_DATA;
    return ERR_INTERNAL;
}

void pg_first_line(const char *message, char *to, size_t size) {
    size_t len = message == NULL ? 0 : strcspn(message, "\r\n");
    snprintf(to, size, "%.*s", (int)(len < size ? len : size - 1), message == NULL ? "" : message);
}

/* No partition comes as a check violation that names no constraint. */
static bool is_missing_partition(const PGresult *result, const char *state) {
    return state != NULL && strcmp(state, "23514") == 0 &&
           PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME) == NULL;
}

static enum err_e note_error(struct pg_conn *conn, const PGresult *result, size_t at) {
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    enum err_e err = ERR_UNAVAILABLE;
    conn->failure = PG_LOST;
    if (state != NULL) { /* else it is libpq's own: the connection broke */
        err = pg_translate(state, &conn->failure);
        conn->failed_at = at;
    }
    if (is_missing_partition(result, state)) {
        conn->failure = PG_NO_PARTITION;
        err = ERR_OVERLOADED;
    }
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    pg_first_line(message == NULL ? PQresultErrorMessage(result) : message, conn->detail,
                  sizeof conn->detail);
    return err;
}

static enum err_e note_loss(struct pg_conn *conn, const char *why) {
    conn->failure = PG_LOST;
    pg_first_line(why, conn->detail, sizeof conn->detail);
    return ERR_UNAVAILABLE;
}

/* ── the pipeline ── */

static void forget_collected(struct pg_conn *conn) {
    for (size_t i = 0; i < conn->collected; i++) {
        PQclear(conn->replies[i]);
        conn->replies[i] = NULL;
    }
    conn->collected = 0;
    conn->is_complete = false;
    conn->collect_err = ERR_OK;
    conn->failure = PG_FINE;
}

static void forget_replies(struct pg_conn *conn) {
    for (size_t i = 0; i < PG_PIPELINE_MAX; i++) {
        PQclear(conn->replies[i]);
        conn->replies[i] = NULL;
    }
    conn->put = 0;
    conn->ran = false;
    conn->send_failed = false;
}

static size_t begin_put(struct pg_conn *conn) {
    if (conn->ran) {
        forget_replies(conn);
    }
    ASSERT(conn->put < PG_PIPELINE_MAX);
    return conn->put++;
}

size_t pg_put(struct pg_conn *conn, enum pg_sql_e sql, const struct pg_args *args) {
    static const int binary[PG_ARGS_MAX] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                            1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    if (conn->phase == PG_ANSWERING) {
        return conn->answered++;
    }
    size_t place = begin_put(conn);
    int count = args == NULL ? 0 : args->count;
    int sent = conn->pg == NULL ? 0
                                : PQsendQueryPrepared(conn->pg, statements[sql].name, count,
                                                      count == 0 ? NULL : args->at,
                                                      count == 0 ? NULL : args->len, binary, 1);
    conn->send_failed = conn->send_failed || sent == 0;
    return place;
}

size_t pg_put_text(struct pg_conn *conn, const char *sql, const struct pg_args *args) {
    static const int binary[PG_ARGS_MAX] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                            1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    if (conn->phase == PG_ANSWERING) {
        return conn->answered++;
    }
    size_t place = begin_put(conn);
    int sent = conn->pg == NULL ? 0
                                : PQsendQueryParams(conn->pg, sql, args->count, args->types,
                                                    args->at, args->len, binary, 1);
    conn->send_failed = conn->send_failed || sent == 0;
    return place;
}

/* Waits until the socket is ready for one of `events`; false at `until_us`. */
MAY_BLOCK static bool wait_socket(PGconn *pg, short events, int64_t until_us) {
    for (;;) {
        int64_t left_us = until_us - clock_mono_us(clock_system());
        if (left_us <= 0) {
            return false;
        }
        struct pollfd fd = {.fd = PQsocket(pg), .events = events};
        int ready = poll(&fd, 1, (int)(left_us / 1000) + 1);
        if (ready > 0) {
            return true;
        }
    }
}

/* Sends everything, reading what comes meanwhile: else both sides could wait for each other. */
MAY_BLOCK static bool flush_all(struct pg_conn *conn, int64_t until_us) {
    for (;;) {
        int left = PQflush(conn->pg);
        if (left <= 0) {
            return left == 0;
        }
        if (!wait_socket(conn->pg, POLLIN | POLLOUT, until_us) ||
            PQconsumeInput(conn->pg) == 0) {
            return false;
        }
    }
}

/* The next result; NULL between two statements. False when the connection is gone or silent. */
MAY_BLOCK static bool next_result(struct pg_conn *conn, int64_t until_us, PGresult **ret_result) {
    while (PQisBusy(conn->pg)) {
        if (!wait_socket(conn->pg, POLLIN, until_us) || PQconsumeInput(conn->pg) == 0) {
            return false;
        }
    }
    *ret_result = PQgetResult(conn->pg);
    return true;
}

/* Takes one statement's result and the NULL behind it. */
MAY_BLOCK static enum err_e read_reply(struct pg_conn *conn, size_t at, int64_t until_us) {
    PGresult *end;
    if (!next_result(conn, until_us, &conn->replies[at]) || conn->replies[at] == NULL) {
        return note_loss(conn, PQerrorMessage(conn->pg));
    }
    ExecStatusType status = PQresultStatus(conn->replies[at]);
    if (status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE) {
        enum err_e err = note_error(conn, conn->replies[at], at);
        if (conn->failure == PG_LOST) {
            return err;
        }
        bool there = next_result(conn, until_us, &end);
        ASSERT(!there || end == NULL);
        return there ? err : note_loss(conn, PQerrorMessage(conn->pg));
    }
    if (!next_result(conn, until_us, &end)) {
        return note_loss(conn, PQerrorMessage(conn->pg));
    }
    ASSERT(end == NULL);
    return ERR_OK;
}

MAY_BLOCK static enum err_e read_sync(struct pg_conn *conn, int64_t until_us) {
    PGresult *sync = NULL;
    if (!next_result(conn, until_us, &sync) || PQresultStatus(sync) != PGRES_PIPELINE_SYNC) {
        PQclear(sync);
        return note_loss(conn, PQerrorMessage(conn->pg));
    }
    PQclear(sync);
    return ERR_OK;
}

MAY_BLOCK static enum err_e read_replies(struct pg_conn *conn, int64_t until_us) {
    enum err_e first = ERR_OK;
    for (size_t i = 0; i < conn->put; i++) {
        enum err_e err = read_reply(conn, i, until_us);
        first = first == ERR_OK ? err : first;
        if (conn->failure == PG_LOST) {
            return first == ERR_OK ? err : first;
        }
    }
    /* The error of a statement says more than one of the Sync behind it. */
    enum pg_failure_e failure = conn->failure;
    enum err_e err = read_sync(conn, until_us);
    if (first != ERR_OK && conn->failure != PG_LOST) {
        conn->failure = failure;
    }
    return first == ERR_OK ? err : first;
}

MAY_BLOCK enum err_e pg_run(struct pg_conn *conn) {
    int64_t until_us = clock_mono_us(clock_system()) + conn->timeout_ms * 1000;
    if (conn->ran) {
        forget_replies(conn); /* nothing was put since: only the Sync goes out */
    }
    conn->ran = true;
    conn->failure = PG_FINE;
    conn->is_silent = false;
    conn->failed_at = PG_PIPELINE_MAX;
    conn->detail[0] = '\0';
    if (conn->pg == NULL) {
        return note_loss(conn, "not connected");
    }
    if (conn->send_failed || PQpipelineSync(conn->pg) == 0 || !flush_all(conn, until_us)) {
        const char *why = PQerrorMessage(conn->pg);
        return note_loss(conn, why[0] == '\0' ? "the server does not answer" : why);
    }
    enum err_e err = read_replies(conn, until_us);
    conn->is_silent = conn->failure == PG_LOST && clock_mono_us(clock_system()) >= until_us;
    if (conn->failure == PG_LOST && conn->detail[0] == '\0') {
        snprintf(conn->detail, sizeof conn->detail, "the server does not answer");
    }
    return err;
}

struct pg_rows pg_rows_of(const struct pg_conn *conn, size_t place) {
    ASSERT(place < (conn->ran ? conn->put : conn->collected));
    return (struct pg_rows){.result = conn->replies[place], .row = -1};
}

/* ── the pipeline, without waiting ── */

void pg_begin_ask(struct pg_conn *conn) {
    conn->phase = PG_ASKING;
    conn->ran = false;
    conn->put = 0;
}

void pg_begin_answer(struct pg_conn *conn, size_t before) {
    conn->phase = PG_ANSWERING;
    conn->answered = before;
}

bool pg_send_rest(struct pg_conn *conn, bool *ret_all) {
    int left = PQflush(conn->pg);
    *ret_all = left == 0;
    return left >= 0;
}

bool pg_send(struct pg_conn *conn, size_t *ret_put) {
    bool all;
    *ret_put = conn->put;
    conn->put = 0;
    return !conn->send_failed && PQpipelineSync(conn->pg) != 0 && pg_send_rest(conn, &all);
}

static enum pg_arrival_e take_reply(struct pg_conn *conn, PGresult *result, enum err_e *ret_err) {
    ExecStatusType status = PQresultStatus(result);
    conn->replies[conn->collected++] = result;
    if (status != PGRES_FATAL_ERROR && status != PGRES_BAD_RESPONSE) {
        return PG_INCOMPLETE;
    }
    *ret_err = note_error(conn, result, conn->collected - 1);
    return conn->failure == PG_LOST ? PG_BROKEN : PG_INCOMPLETE;
}

/* What PQgetResult gave; libpq ends each statement with one NULL. */
static enum pg_arrival_e take_result(struct pg_conn *conn, PGresult *result, size_t put) {
    enum err_e err = ERR_OK;
    if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
        PQclear(result);
        conn->is_complete = true;
        return conn->collected == put ? PG_COMPLETE : PG_BROKEN;
    }
    if (conn->collected == put) {
        PQclear(result);
        return PG_BROKEN;
    }
    enum pg_arrival_e arrival = take_reply(conn, result, &err);
    conn->collect_err = conn->collect_err == ERR_OK ? err : conn->collect_err;
    return arrival;
}

enum pg_arrival_e pg_collect(struct pg_conn *conn, size_t put, enum err_e *ret_err) {
    enum pg_arrival_e arrival = PG_INCOMPLETE;
    bool was_end = false;
    if (conn->is_complete) {
        forget_collected(conn);
    }
    while (arrival == PG_INCOMPLETE && !PQisBusy(conn->pg)) {
        PGresult *result = PQgetResult(conn->pg);
        if (result == NULL && (was_end || PQstatus(conn->pg) != CONNECTION_OK)) {
            return PG_BROKEN; /* nothing is under way, though something should be */
        }
        was_end = result == NULL;
        arrival = was_end ? PG_INCOMPLETE : take_result(conn, result, put);
    }
    *ret_err = conn->collect_err;
    return arrival;
}

/* ── opening ── */

static void ignore_notice(void *data, const PGresult *result) {
    (void)data;
    (void)result; /* libpq would print it on standard error */
}

/* "canceling wait for synchronous replication": the commit stands here alone, and is answered like
 * any other. The text depends on the server's language, so every plain warning counts. */
static void note_warning(void *data, const PGresult *result) {
    struct pg_conn *conn = data;
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    conn->has_warned = conn->has_warned || (severity != NULL && strcmp(severity, "WARNING") == 0 &&
                                            state != NULL && strcmp(state, "01000") == 0);
}

/* The setting that the URL itself may name comes first: later keywords would override it. */
MAY_BLOCK static PGconn *connect_as(const char *url, const char *target, const char *patience) {
    const char *const keywords[] = {
        "fallback_application_name", "connect_timeout",      "keepalives_idle",
        "keepalives_interval",       "keepalives_count",     "tcp_user_timeout",
        "target_session_attrs",      "dbname",               "client_encoding", NULL};
    const char *const values[] = {"turnout", patience, "10",  "5",    "3",
                                  "20000",   target,   url,   "UTF8", NULL};
    PGconn *pg = PQconnectdbParams(keywords, values, 1);
    if (pg != NULL) {
        PQsetNoticeReceiver(pg, ignore_notice, NULL);
    }
    return pg;
}

/* Of an error at connecting libpq tells no SQLSTATE: what an operator must mend is known by what
 * the server says. */
static bool is_for_the_operator(const char *message) {
    static const char *const signs[] = {"password", "authentication", "does not exist",
                                        "pg_hba.conf", "not permitted to log in", "invalid",
                                        "missing \"=\""};
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        if (strstr(message, signs[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static enum err_e refuse_connection(PGconn *pg, struct problem *ret_problem) {
    char why[200];
    pg_first_line(pg == NULL ? "no memory" : PQerrorMessage(pg), why, sizeof why);
    enum err_e err = pg != NULL && is_for_the_operator(why) ? ERR_CONFIG : ERR_UNAVAILABLE;
    PQfinish(pg);
    return problem_set(ret_problem, err, "store.url", "cannot connect: %s", why);
}

/* libpq repeats a string that it cannot read, a password too. */
static enum err_e check_url(const char *url, struct problem *ret_problem) {
    PQconninfoOption *options = PQconninfoParse(url, NULL);
    PQconninfoFree(options);
    return options != NULL ? ERR_OK
                           : problem_set(ret_problem, ERR_CONFIG, "store.url",
                                         "libpq cannot read it: expected postgres://USER:PASSWORD"
                                         "@HOST:PORT/DATABASE?SETTING=VALUE");
}

static enum err_e check_server(PGconn *pg, struct problem *ret_problem) {
    int version = PQserverVersion(pg);
    const char *encoding = PQparameterStatus(pg, "server_encoding");
    if (version < VERSION_MIN) {
        return problem_set(ret_problem, ERR_CONFIG, "store.url",
                           "the server is PostgreSQL %d: 15 or newer is needed", version / 10000);
    }
    if (encoding == NULL || strcmp(encoding, "UTF8") != 0) {
        return problem_set(ret_problem, ERR_CONFIG, "store.url",
                           "the database's encoding is %.30s: create it with ENCODING 'UTF8'",
                           encoding == NULL ? "unknown" : encoding);
    }
    return ERR_OK;
}

MAY_BLOCK enum err_e pg_connect_plain(const char *url, PGconn **ret_pg,
                                      struct problem *ret_problem) {
    TRY(check_url(url, ret_problem));
    PGconn *pg = connect_as(url, roles[PG_WRITER].target, roles[PG_WRITER].patience);
    if (PQstatus(pg) != CONNECTION_OK) {
        return refuse_connection(pg, ret_problem);
    }
    enum err_e err = check_server(pg, ret_problem);
    if (err != ERR_OK) {
        PQfinish(pg);
        return err;
    }
    *ret_pg = pg;
    return ERR_OK;
}

/* A text that the program itself holds, outside the pipeline. */
MAY_BLOCK static enum err_e run_fixed(PGconn *pg, const char *sql, struct problem *ret_problem) {
    PGresult *result = PQexec(pg, sql);
    ExecStatusType status = PQresultStatus(result);
    enum err_e err = ERR_OK;
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        enum pg_failure_e failure;
        char why[160];
        pg_first_line(PQerrorMessage(pg), why, sizeof why);
        err = pg_translate(PQresultErrorField(result, PG_DIAG_SQLSTATE), &failure);
        problem_set(ret_problem, err, "store.url", "%s", why);
    }
    PQclear(result);
    return err;
}

/* -1: there is none. A table that may not be read is another thing than one that is not there. */
MAY_BLOCK static enum err_e read_schema(PGconn *pg, int *ret_version, struct problem *ret_problem) {
    PGresult *result = PQexec(pg, "SELECT max(version) FROM turnout_schema");
    bool is_read = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1;
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    enum err_e err = ERR_OK;
    *ret_version = is_read && !PQgetisnull(result, 0, 0) ? atoi(PQgetvalue(result, 0, 0)) : -1;
    if (!is_read && (state == NULL || strcmp(state, "42P01") != 0)) {
        enum pg_failure_e failure;
        char why[160];
        pg_first_line(PQerrorMessage(pg), why, sizeof why);
        err = state == NULL ? ERR_UNAVAILABLE : pg_translate(state, &failure);
        problem_set(ret_problem, err, "store.url", "%s", why);
    }
    PQclear(result);
    return err;
}

MAY_BLOCK static enum err_e check_schema(PGconn *pg, struct problem *ret_problem) {
    int version, known = postgres_schema_version();
    TRY(read_schema(pg, &version, ret_problem));
    if (version < 0) {
        return problem_set(ret_problem, ERR_UNAVAILABLE, "store.url",
                           "the database has no turnout schema: run turnout db migrate first");
    }
    if (version > known) {
        return problem_set(ret_problem, ERR_NEWER_SCHEMA, "store.url",
                           "the database has schema %d, this turnout knows up to %d", version,
                           known);
    }
    if (version < known) {
        return problem_set(ret_problem, ERR_UNAVAILABLE, "store.url",
                           "the database has schema %d of %d: run turnout db migrate first",
                           version, known);
    }
    return ERR_OK;
}

static bool is_of_role(const char *whose, enum pg_role_e role) {
    const char *own = roles[role].statements;
    return strcmp(whose, own) == 0 || (strcmp(whose, "B") == 0 && role != PG_LEASE);
}

/* Every statement of the role in a few round trips. */
MAY_BLOCK static enum err_e prepare_all(struct pg_conn *conn) {
    enum err_e err = ERR_OK;
    int sql = 0;
    while (sql < PG_SQL_COUNT && err == ERR_OK) {
        size_t put = 0;
        for (; sql < PG_SQL_COUNT && put < PG_PIPELINE_MAX; sql++) {
            if (!is_of_role(statements[sql].roles, conn->role)) {
                continue;
            }
            begin_put(conn);
            put++;
            conn->send_failed |= PQsendPrepare(conn->pg, statements[sql].name,
                                               statements[sql].text, 0, NULL) == 0;
        }
        err = pg_run(conn);
    }
    return err;
}

MAY_BLOCK static enum err_e set_up(struct pg_conn *conn, struct problem *ret_problem) {
    TRY(check_server(conn->pg, ret_problem));
    TRY(run_fixed(conn->pg, roles[conn->role].settings, ret_problem));
    TRY(check_schema(conn->pg, ret_problem));
    if (PQsetnonblocking(conn->pg, 1) != 0 || PQenterPipelineMode(conn->pg) == 0) {
        return problem_set(ret_problem, ERR_UNAVAILABLE, "store.url", "no pipeline mode");
    }
    enum err_e err = prepare_all(conn);
    if (err != ERR_OK) {
        problem_set(ret_problem, err, "store.url", "%s", conn->detail);
    }
    return err;
}

/* A reader without a primary reads from whatever server there is. */
MAY_BLOCK static PGconn *connect_role(struct pg_conn *conn, const char *url) {
    const char *patience = roles[conn->role].patience;
    PGconn *pg = connect_as(url, roles[conn->role].target, patience);
    conn->on_standby = false;
    if (PQstatus(pg) == CONNECTION_OK || conn->role != PG_READER) {
        return pg;
    }
    PGconn *any = connect_as(url, "any", patience);
    if (PQstatus(any) != CONNECTION_OK) {
        PQfinish(any);
        return pg;
    }
    PQfinish(pg);
    conn->on_standby = true;
    return any;
}

MAY_BLOCK enum err_e pg_open(struct pg_conn *conn, const char *url, enum pg_role_e role,
                             struct problem *ret_problem) {
    *conn = (struct pg_conn){.role = role, .timeout_ms = roles[role].timeout_ms};
    TRY(check_url(url, ret_problem));
    PGconn *pg = connect_role(conn, url);
    if (PQstatus(pg) != CONNECTION_OK) {
        return refuse_connection(pg, ret_problem);
    }
    conn->pg = pg;
    if (role == PG_WRITER) { /* which stays where it is */
        PQsetNoticeReceiver(pg, note_warning, conn);
    }
    conn->opened_us = clock_mono_us(clock_system());
    enum err_e err = set_up(conn, ret_problem);
    if (err != ERR_OK) {
        pg_close(conn);
    }
    return err;
}

void pg_close(struct pg_conn *conn) {
    forget_replies(conn);
    PQfinish(conn->pg);
    conn->pg = NULL;
}

bool pg_is_alive(struct pg_conn *conn) {
    if (conn->pg == NULL) {
        return false;
    }
    struct pollfd fd = {.fd = PQsocket(conn->pg), .events = POLLIN};
    if (poll(&fd, 1, 0) > 0 && PQconsumeInput(conn->pg) == 0) {
        return false;
    }
    return PQstatus(conn->pg) == CONNECTION_OK;
}

bool pg_looks_again(const struct pg_conn *conn) {
    return conn->on_standby && clock_mono_us(clock_system()) - conn->opened_us > STANDBY_GOOD_US;
}
