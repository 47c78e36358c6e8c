/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limit for durable check-ins: one process, one connection, no HTTP, no rules, no look-ups. It
 * inserts the rows that a check-in leaves (record, ledger, roll-ups) into the product's own schema,
 * a fixed number in each transaction, with the writer's PRAGMAs.
 *
 * The file is one that the product made (`turnout serve --demo`); opening it through the store
 * brings its schema up to date. Afterwards the store itself is asked for its counts: rows that it
 * does not recognise, or too few of them, end with 1.
 */
#include "base/clock.h"
#include "store/store.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

enum { PEOPLE_MAX = 10000000, GATES_MAX = 1000, HASH_SIZE = 16, NONCE_SIZE = 64 };

/* As src/store/sqlite_conn.c sets its writer up. */
static const char *const pragmas =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY;"
    "PRAGMA cache_size = -32768; PRAGMA wal_autocheckpoint = 8192;"
    "PRAGMA journal_size_limit = 67108864";

/* X(NAME, SQL) */
#define SQL_TABLE(X)                                                                               \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                    \
    X(COMMIT, "COMMIT")                                                                            \
    X(RECORD, "INSERT INTO attendance_records (id, event_id, participant_id, gate_id, method,"     \
              " direction, verdict, timestamp, recorded_at, nonce, token_hash)"                    \
              " VALUES (?1, ?2, ?3, ?4, 'qr', ?5, ?6, ?7, ?7, ?8, ?9)")                            \
    X(LEDGER, "INSERT OR REPLACE INTO ledger (participant_id, admissions, inside, last_at,"        \
              " last_id, last_gate, first_at, first_gate)"                                         \
              " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")                                          \
    X(MINUTE, "INSERT INTO gate_minutes (event_id, minute, gate_id, admitted, exited, refused)"    \
              " VALUES (?1, ?2, ?3, ?4, ?5, 0) ON CONFLICT DO UPDATE SET"                          \
              " admitted = admitted + excluded.admitted, exited = exited + excluded.exited")       \
    X(GATE, "INSERT OR REPLACE INTO gate_stats (gate_id, admitted, exited, refused)"               \
            " VALUES (?1, ?2, ?3, 0)")                                                             \
    X(STATS, "INSERT OR REPLACE INTO event_stats (event_id, participants, admitted, inside,"       \
             " scans, refused, qr, nfc, ble, manual) VALUES (?1, ?2, ?3, ?4, ?5, 0, ?5, 0, 0, 0)")
enum sql_e {
#define X(name, text) SQL_##name,
    SQL_TABLE(X)
#undef X
    SQL_COUNT
};
static const char *const sql_texts[] = {
#define X(name, text) text,
    SQL_TABLE(X)
#undef X
};

struct person {
    int64_t id;
    int64_t admissions, first_at, first_gate;
};

struct gate_counts {
    int64_t id;
    int64_t admitted, exited;         /* of the whole run */
    int64_t new_admitted, new_exited; /* since the last transaction */
};

static struct {
    const char *path;
    int64_t scans, group;
    sqlite3 *db;
    sqlite3_stmt *stmts[SQL_COUNT];
    int64_t event;
    struct person *people;
    int64_t people_len;
    struct gate_counts gates[GATES_MAX];
    int64_t gates_len;
    int64_t admitted, inside;
    int64_t last_id;
} direct;

static void fail(const char *what) {
    fprintf(stderr, "sqlite_direct: %s: %s\n", what,
            direct.db == NULL ? "" : sqlite3_errmsg(direct.db));
    exit(1);
}

/* ── the store's own view ── */

static struct store *open_store(void) {
    const struct sqlite_options options = {
        .path = direct.path, .clock = clock_system(), .rng = rng_system(),
        .queue_max = 16, .group_max = 16, .readers = 1,
    };
    struct store *store;
    struct problem problem = {.detail = ""};
    if (sqlite_open(&options, &store, &problem) != ERR_OK) {
        fprintf(stderr, "sqlite_direct: %s\n", problem.detail);
        exit(1);
    }
    return store;
}

/* The rows must be such that the product counts them: every scan, and nobody refused. */
static void check_by_store(void) {
    struct store *store = open_store();
    struct store_op op;
    store_op_init(&op, STORE_READ_STATS);
    op.event = SLICE_LIT("demo");
    enum err_e err = store_run(store, &op);
    bool agrees = err == ERR_OK && op.stats.scans == direct.scans && op.stats.refused == 0 &&
                  op.stats.inside == direct.inside && op.stats.admitted == direct.admitted;
    store_op_fini(&op);
    store_op_init(&op, STORE_LIST_ATTENDANCE);
    op.event = SLICE_LIT("demo");
    op.attendance.filter = (struct attendance_filter){
        .method = -1, .verdict = -1, .since_ms = TIME_NONE, .until_ms = TIME_NONE,
        .recorded_since_ms = TIME_NONE,
    };
    op.attendance.after_at_ms = TIME_NONE;
    op.attendance.limit = 1;
    agrees = agrees && store_run(store, &op) == ERR_OK && op.attendance.len == 1 &&
             op.attendance.items[0].record_id == direct.last_id;
    store_op_fini(&op);
    store_close(store);
    if (!agrees) {
        fail("the store does not find what was inserted");
    }
}

/* ── the connection ── */

static void execute(const char *sql) {
    if (sqlite3_exec(direct.db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        fail(sql);
    }
}

static sqlite3_stmt *prepare(const char *sql) {
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v3(direct.db, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL);
    if (rc != SQLITE_OK) {
        fail(sql);
    }
    return stmt;
}

static void step(enum sql_e sql) {
    sqlite3_stmt *stmt = direct.stmts[sql];
    if (sqlite3_step(stmt) != SQLITE_DONE) {
        fail(sql_texts[sql]);
    }
    sqlite3_reset(stmt);
}

static void bind(enum sql_e sql, int at, int64_t value) {
    sqlite3_bind_int64(direct.stmts[sql], at, value);
}

static void load_people_and_gates(void) {
    sqlite3_stmt *stmt = prepare("SELECT id FROM events WHERE code = 'demo'");
    if (sqlite3_step(stmt) != SQLITE_ROW) {
        fail("no event demo (make it with turnout serve --demo)");
    }
    direct.event = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);

    stmt = prepare("SELECT id FROM gates WHERE event_id = ?1 ORDER BY code");
    sqlite3_bind_int64(stmt, 1, direct.event);
    while (sqlite3_step(stmt) == SQLITE_ROW && direct.gates_len < GATES_MAX) {
        direct.gates[direct.gates_len++].id = sqlite3_column_int64(stmt, 0);
    }
    sqlite3_finalize(stmt);

    direct.people = calloc(PEOPLE_MAX, sizeof *direct.people);
    stmt = prepare("SELECT id FROM participants WHERE event_id = ?1 ORDER BY id");
    sqlite3_bind_int64(stmt, 1, direct.event);
    while (direct.people != NULL && sqlite3_step(stmt) == SQLITE_ROW &&
           direct.people_len < PEOPLE_MAX) {
        direct.people[direct.people_len++].id = sqlite3_column_int64(stmt, 0);
    }
    sqlite3_finalize(stmt);
    if (direct.gates_len == 0 || direct.people_len == 0) {
        fail("the event demo has no gates or nobody in it");
    }
}

static void open_direct(void) {
    store_close(open_store());
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(direct.path, &direct.db, flags, NULL) != SQLITE_OK) {
        fail(direct.path);
    }
    execute(pragmas);
    for (int sql = 0; sql < SQL_COUNT; sql++) {
        direct.stmts[sql] = prepare(sql_texts[sql]);
    }
    load_people_and_gates();
}

/* ── scans ── */

static void insert_record(int64_t number, const struct person *person,
                          const struct gate_counts *gate, int64_t now_ms) {
    char nonce[NONCE_SIZE];
    unsigned char hash[HASH_SIZE] = {(unsigned char)number};
    bool leaves = number / direct.people_len % 2 == 1;
    int nonce_len = snprintf(nonce, sizeof nonce, "n-%lld", (long long)number);
    int64_t from_clock = now_ms << 20;
    direct.last_id = from_clock > direct.last_id ? from_clock : direct.last_id + 1;
    sqlite3_stmt *stmt = direct.stmts[SQL_RECORD];
    bind(SQL_RECORD, 1, direct.last_id);
    bind(SQL_RECORD, 2, direct.event);
    bind(SQL_RECORD, 3, person->id);
    bind(SQL_RECORD, 4, gate->id);
    sqlite3_bind_text(stmt, 5, leaves ? "exit" : "entry", -1, SQLITE_STATIC);
    sqlite3_bind_text(stmt, 6, leaves ? "exited" : "admitted", -1, SQLITE_STATIC);
    bind(SQL_RECORD, 7, now_ms);
    sqlite3_bind_text(stmt, 8, nonce, nonce_len, SQLITE_STATIC);
    sqlite3_bind_blob(stmt, 9, hash, sizeof hash, SQLITE_STATIC);
    step(SQL_RECORD);
}

static void put_ledger(const struct person *person, const struct gate_counts *gate, int64_t now_ms,
                       int64_t inside) {
    const int64_t values[] = {person->id, person->admissions, inside, now_ms, direct.last_id,
                              gate->id, person->first_at, person->first_gate};
    for (int i = 0; i < 8; i++) {
        bind(SQL_LEDGER, i + 1, values[i]);
    }
    step(SQL_LEDGER);
}

/* The people go in one after the other, then out, as bench/drive has them do. */
static void insert_scan(int64_t number, int64_t now_ms) {
    int64_t index = number % direct.people_len;
    bool leaves = number / direct.people_len % 2 == 1;
    struct person *person = &direct.people[index];
    struct gate_counts *gate = &direct.gates[(index + 1) % direct.gates_len];
    insert_record(number, person, gate, now_ms);
    if (leaves) {
        gate->new_exited++;
        direct.inside--;
    } else {
        if (person->admissions++ == 0) {
            person->first_at = now_ms;
            person->first_gate = gate->id;
            direct.admitted++;
        }
        gate->new_admitted++;
        direct.inside++;
    }
    put_ledger(person, gate, now_ms, leaves ? 0 : 1);
}

static void put_gate(struct gate_counts *gate, int64_t now_ms) {
    if (gate->new_admitted + gate->new_exited == 0) {
        return;
    }
    const int64_t minute[] = {direct.event, now_ms / 60000, gate->id, gate->new_admitted,
                              gate->new_exited};
    for (int i = 0; i < 5; i++) {
        bind(SQL_MINUTE, i + 1, minute[i]);
    }
    step(SQL_MINUTE);
    gate->admitted += gate->new_admitted;
    gate->exited += gate->new_exited;
    gate->new_admitted = gate->new_exited = 0;
    bind(SQL_GATE, 1, gate->id);
    bind(SQL_GATE, 2, gate->admitted);
    bind(SQL_GATE, 3, gate->exited);
    step(SQL_GATE);
}

static void put_roll_ups(int64_t scans, int64_t now_ms) {
    for (int64_t i = 0; i < direct.gates_len; i++) {
        put_gate(&direct.gates[i], now_ms);
    }
    const int64_t stats[] = {direct.event, direct.people_len, direct.admitted, direct.inside,
                             scans};
    for (int i = 0; i < 5; i++) {
        bind(SQL_STATS, i + 1, stats[i]);
    }
    step(SQL_STATS);
}

static void insert_all(void) {
    for (int64_t number = 0; number < direct.scans;) {
        int64_t now_ms = clock_wall_ms(clock_system());
        step(SQL_BEGIN);
        for (int64_t i = 0; i < direct.group && number < direct.scans; i++) {
            insert_scan(number++, now_ms);
        }
        put_roll_ups(number, now_ms);
        step(SQL_COMMIT);
    }
}

static void close_direct(void) {
    for (int sql = 0; sql < SQL_COUNT; sql++) {
        sqlite3_finalize(direct.stmts[sql]);
    }
    sqlite3_close(direct.db);
    direct.db = NULL;
    free(direct.people);
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: sqlite_direct FILE SCANS SCANS_A_TRANSACTION\n"
                        "FILE was made by turnout serve --demo and has no scans yet.\n");
        return 2;
    }
    direct.path = argv[1];
    if (!slice_to_int(slice_of(argv[2]), 1, 100000000, &direct.scans) ||
        !slice_to_int(slice_of(argv[3]), 1, 100000, &direct.group)) {
        fprintf(stderr, "sqlite_direct: SCANS and SCANS_A_TRANSACTION are numbers from 1\n");
        return 2;
    }
    open_direct();
    int64_t begun_us = clock_mono_us(clock_system());
    insert_all();
    double seconds = (double)(clock_mono_us(clock_system()) - begun_us) / 1e6;
    close_direct();
    check_by_store();
    printf("{\"items\":%lld,\"group\":%lld,\"seconds\":%.6f,\"items_per_s\":%.1f}\n",
           (long long)direct.scans, (long long)direct.group, seconds,
           (double)direct.scans / seconds);
    return 0;
}
