/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The books as they stand in the database, PostgreSQL's or SQLite's, behind the server's back. Both
 * are asked the same questions and give their columns as text.
 */
#include "audit.h"

#include <libpq-fe.h>
#include <sqlite3.h>

#include <stdio.h>
#include <stdlib.h>

enum { COLUMNS_MAX = 12 };

struct database;
/* False ends the query: the row is not what was asked for. */
typedef bool (*row_fn)(void *data, const struct slice cells[], int count);

struct database {
    PGconn *postgres; /* one of the two */
    sqlite3 *sqlite;
    const char *event;
};

/* ── PostgreSQL ── */

static bool complain(const char *what) {
    fprintf(stderr, "loadgen: database: %s\n", what);
    return false;
}

static bool open_postgres(struct database *database, const char *url) {
    const char *const keys[] = {"dbname", "target_session_attrs", "connect_timeout", NULL};
    const char *const values[] = {url, "read-write", "10", NULL};
    database->postgres = PQconnectdbParams(keys, values, 1);
    return PQstatus(database->postgres) == CONNECTION_OK ||
           complain(PQerrorMessage(database->postgres));
}

static bool take_postgres_row(const PGresult *result, row_fn fn, void *data) {
    struct slice cells[COLUMNS_MAX];
    int count = PQnfields(result);
    for (int i = 0; i < count && i < COLUMNS_MAX; i++) {
        cells[i] = slice_from(PQgetvalue(result, 0, i), (size_t)PQgetlength(result, 0, i));
    }
    return fn(data, cells, count);
}

/* Row by row: there may be millions. */
static bool query_postgres(const struct database *database, const char *sql, row_fn fn,
                           void *data) {
    PGconn *conn = database->postgres;
    const char *const values[] = {database->event};
    if (PQsendQueryParams(conn, sql, 1, NULL, values, NULL, NULL, 0) != 1 ||
        PQsetSingleRowMode(conn) != 1) {
        return complain(PQerrorMessage(conn));
    }
    bool is_good = true;
    PGresult *result;
    while ((result = PQgetResult(conn)) != NULL) { /* to the end, whatever comes */
        ExecStatusType status = PQresultStatus(result);
        if (status == PGRES_SINGLE_TUPLE) {
            is_good = is_good && take_postgres_row(result, fn, data);
        } else if (status != PGRES_TUPLES_OK) {
            is_good = complain(PQresultErrorMessage(result));
        }
        PQclear(result);
    }
    return is_good;
}

/* ── SQLite ── */

static bool open_sqlite(struct database *database, const char *path) {
    int rc = sqlite3_open_v2(path, &database->sqlite, SQLITE_OPEN_READONLY, NULL);
    sqlite3_busy_timeout(database->sqlite, 10000);
    return rc == SQLITE_OK || complain(sqlite3_errmsg(database->sqlite));
}

static bool query_sqlite(const struct database *database, const char *sql, row_fn fn, void *data) {
    sqlite3_stmt *stmt;
    struct slice cells[COLUMNS_MAX];
    if (sqlite3_prepare_v2(database->sqlite, sql, -1, &stmt, NULL) != SQLITE_OK) {
        return complain(sqlite3_errmsg(database->sqlite));
    }
    sqlite3_bind_text(stmt, 1, database->event, -1, SQLITE_STATIC);
    bool is_good = true;
    int rc = SQLITE_DONE;
    while (is_good && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        int count = sqlite3_column_count(stmt);
        for (int i = 0; i < count && i < COLUMNS_MAX; i++) {
            cells[i] = slice_of((const char *)sqlite3_column_text(stmt, i));
        }
        is_good = fn(data, cells, count);
    }
    if (is_good && rc != SQLITE_DONE) {
        is_good = complain(sqlite3_errmsg(database->sqlite));
    }
    sqlite3_finalize(stmt);
    return is_good;
}

/* ── what is asked ── */

/* X(NAME, SQL of PostgreSQL, SQL of SQLite) */
#define ASKED_TABLE(X)                                                                             \
    X(RECORDS,                                                                                     \
      "SELECT r.id, coalesce(r.participant_id, 0), g.code, coalesce(r.nonce, ''), r.verdict,"      \
      " coalesce(r.reason, 'none'), r.direction, r.method,"                                        \
      " (extract(epoch FROM r.\"timestamp\") * 1000)::bigint, (r.annulled_at IS NOT NULL)::int"    \
      " FROM attendance_records r JOIN gates g ON g.id = r.gate_id"                                \
      " JOIN events e ON e.id = r.event_id WHERE e.code = $1",                                     \
      "SELECT r.id, coalesce(r.participant_id, 0), g.code, coalesce(r.nonce, ''), r.verdict,"      \
      " coalesce(r.reason, 'none'), r.direction, r.method, r.timestamp,"                           \
      " r.annulled_at IS NOT NULL"                                                                 \
      " FROM attendance_records r JOIN gates g ON g.id = r.gate_id"                                \
      " JOIN events e ON e.id = r.event_id WHERE e.code = ?1")                                     \
    X(TOTALS,                                                                                      \
      "SELECT s.participants, s.admitted, s.inside, s.scans, s.refused, s.qr, s.nfc, s.ble,"       \
      " s.manual FROM event_stats s JOIN events e ON e.id = s.event_id WHERE e.code = $1",         \
      "SELECT s.participants, s.admitted, s.inside, s.scans, s.refused, s.qr, s.nfc, s.ble,"       \
      " s.manual FROM event_stats s JOIN events e ON e.id = s.event_id WHERE e.code = ?1")         \
    X(GATES,                                                                                       \
      "SELECT g.code, s.admitted, s.exited, s.refused FROM gate_stats s"                           \
      " JOIN gates g ON g.id = s.gate_id JOIN events e ON e.id = g.event_id WHERE e.code = $1",    \
      "SELECT g.code, s.admitted, s.exited, s.refused FROM gate_stats s"                           \
      " JOIN gates g ON g.id = s.gate_id JOIN events e ON e.id = g.event_id WHERE e.code = ?1")    \
    X(MINUTES,                                                                                     \
      "SELECT g.code, sum(m.admitted), sum(m.exited), sum(m.refused) FROM gate_minutes m"          \
      " JOIN gates g ON g.id = m.gate_id JOIN events e ON e.id = m.event_id WHERE e.code = $1"     \
      " GROUP BY g.code",                                                                          \
      "SELECT g.code, sum(m.admitted), sum(m.exited), sum(m.refused) FROM gate_minutes m"          \
      " JOIN gates g ON g.id = m.gate_id JOIN events e ON e.id = m.event_id WHERE e.code = ?1"     \
      " GROUP BY g.code")                                                                          \
    X(STANDINGS,                                                                                   \
      "SELECT count(*) FILTER (WHERE l.inside), count(*) FILTER (WHERE l.admissions > 0)"          \
      " FROM ledger l JOIN participants p ON p.id = l.participant_id"                              \
      " JOIN events e ON e.id = p.event_id WHERE e.code = $1",                                     \
      "SELECT count(*) FILTER (WHERE l.inside), count(*) FILTER (WHERE l.admissions > 0)"          \
      " FROM ledger l JOIN participants p ON p.id = l.participant_id"                              \
      " JOIN events e ON e.id = p.event_id WHERE e.code = ?1")                                     \
    X(NONCES,                                                                                      \
      "SELECT count(*) FROM scan_nonces n JOIN events e ON e.id = n.event_id WHERE e.code = $1",   \
      "SELECT count(DISTINCT r.nonce) FROM attendance_records r"                                   \
      " JOIN events e ON e.id = r.event_id WHERE e.code = ?1")

#define X(name, postgres, sqlite) ASK_##name,
enum ask_e { ASKED_TABLE(X) };
#undef X
#define X(name, postgres, sqlite) {postgres, sqlite},
static const struct {
    const char *postgres, *sqlite;
} asked[] = {ASKED_TABLE(X)};
#undef X

static bool query(const struct database *database, enum ask_e ask, row_fn fn, void *data) {
    if (database->postgres != NULL) {
        return query_postgres(database, asked[ask].postgres, fn, data);
    }
    return query_sqlite(database, asked[ask].sqlite, fn, data);
}

static bool number(struct slice cell, int64_t *ret) {
    return slice_to_int(cell, 0, INT64_MAX, ret);
}

static bool take_record(void *data, const struct slice cells[], int count) {
    struct audit *audit = data;
    struct record record = {.nonce = cells[3], .gate = audit_gate(audit->run, cells[2])};
    int64_t is_annulled;
    if (count != 10 || !number(cells[0], &record.id) || !number(cells[1], &record.participant) ||
        !verdict_parse(cells[4], &record.verdict) || !reason_parse(cells[5], &record.reason) ||
        !direction_parse(cells[6], &record.direction) ||
        !method_parse(cells[7], &record.method) || !number(cells[8], &record.scanned_ms) ||
        !number(cells[9], &is_annulled)) {
        return complain("a row that is no record");
    }
    record.is_annulled = is_annulled != 0;
    audit_record(audit, &record);
    return true;
}

static bool take_totals(void *data, const struct slice cells[], int count) {
    struct counts *counts = data;
    int64_t *const to[] = {&counts->participants, &counts->admitted, &counts->inside,
                           &counts->scans, &counts->refused, &counts->methods[METHOD_QR],
                           &counts->methods[METHOD_NFC], &counts->methods[METHOD_BLE],
                           &counts->methods[METHOD_MANUAL]};
    for (int i = 0; i < count; i++) {
        if (count != sizeof to / sizeof to[0] || !number(cells[i], to[i])) {
            return complain("a row that holds no counts");
        }
    }
    return true;
}

struct gates_reading {
    const struct run *run;
    struct counts *counts;
};

static bool take_gate(void *data, const struct slice cells[], int count) {
    struct gates_reading *reading = data;
    int64_t gate = audit_gate(reading->run, cells[0]);
    struct gate_counts *counts = gate < 0 ? NULL : &reading->counts->gates[gate];
    if (count != 4 || counts == NULL || !number(cells[1], &counts->admitted) ||
        !number(cells[2], &counts->exited) || !number(cells[3], &counts->refused)) {
        return complain("a row that holds no gate");
    }
    return true;
}

static bool take_standings(void *data, const struct slice cells[], int count) {
    struct counts *counts = data;
    return (count == 2 && number(cells[0], &counts->inside) &&
            number(cells[1], &counts->admitted)) || complain("a row that holds no standings");
}

static bool take_nonces(void *data, const struct slice cells[], int count) {
    struct counts *counts = data;
    return (count == 1 && number(cells[0], &counts->scans)) || complain("no number of nonces");
}

static bool compare_gates(struct audit *audit, const struct database *database, enum ask_e ask,
                          const char *what) {
    static struct counts said;
    said = counts_unknown();
    memset(said.gates, 0, sizeof said.gates); /* a gate without a row has had nobody */
    struct gates_reading reading = {audit->run, &said};
    if (!query(database, ask, take_gate, &reading)) {
        return false;
    }
    audit_counts(audit, &said, what);
    return true;
}

static bool compare_row(struct audit *audit, const struct database *database, enum ask_e ask,
                        row_fn fn, const char *what) {
    static struct counts said;
    said = counts_unknown();
    if (!query(database, ask, fn, &said)) {
        return false;
    }
    audit_counts(audit, &said, what);
    return true;
}

static bool compare_all(struct audit *audit, const struct database *database) {
    if (!query(database, ASK_RECORDS, take_record, audit)) {
        return false;
    }
    audit_end(audit);
    return compare_row(audit, database, ASK_TOTALS, take_totals, "event_stats") &&
           compare_row(audit, database, ASK_STANDINGS, take_standings, "ledger") &&
           compare_row(audit, database, ASK_NONCES, take_nonces, "nonces") &&
           compare_gates(audit, database, ASK_GATES, "gate_stats") &&
           compare_gates(audit, database, ASK_MINUTES, "gate_minutes");
}

bool audit_database(struct run *run, const char *url) {
    struct database database = {.event = run->options->event};
    struct audit audit;
    static const char scheme[] = "sqlite:";
    bool is_sqlite = strncmp(url, scheme, sizeof scheme - 1) == 0;
    bool is_read = is_sqlite ? open_sqlite(&database, url + sizeof scheme - 1)
                             : open_postgres(&database, url);
    audit_begin(&audit, run, "database");
    is_read = is_read && compare_all(&audit, &database);
    audit_free(&audit);
    PQfinish(database.postgres);
    sqlite3_close(database.sqlite);
    return is_read;
}
