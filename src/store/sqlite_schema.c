/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The schema of the SQLite store and the way forward from each version to the next.
 *
 * Times are milliseconds since 1970 UTC. A record's id is its recorded_at << 20 plus a count, so
 * ids grow with time and a range of recorded time is a range of the primary key.
 *
 *   events ─┬─ gates ──────────── gate_stats, gate_minutes   roll-ups, written with the records
 *           ├─ participants ───── ledger                     what stands for a person: one row
 *           │        └─────────── participants_fts           words of names, grams of addresses
 *           ├─ attendance_records                            every scan, refused ones too
 *           └─ event_stats                                   roll-up
 *   action_journal                                           what turnout did by itself
 *   control_orders, notices                                  what it was told, and told people
 */
#include "store/sqlite_priv.h"

/* "turn" as PRAGMA application_id: tells our file from another program's. */
enum { APPLICATION_ID = 0x7475726e };

static const char *const migrations[] = {
    /* 1: everything the first release needs */
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;"
    "CREATE TABLE events ("
    "  id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE, name TEXT NOT NULL,"
    "  timezone TEXT NOT NULL, starts_at INTEGER, ends_at INTEGER, capacity INTEGER,"
    "  reentry TEXT NOT NULL, created_at INTEGER NOT NULL);"
    "CREATE TABLE gates ("
    "  id INTEGER PRIMARY KEY, event_id INTEGER NOT NULL, code TEXT NOT NULL, name TEXT NOT NULL,"
    "  status TEXT NOT NULL, UNIQUE (event_id, code));"
    "CREATE TABLE participants ("
    "  id INTEGER PRIMARY KEY, event_id INTEGER NOT NULL, token TEXT, name TEXT NOT NULL,"
    "  email TEXT NOT NULL, status TEXT NOT NULL, valid_from INTEGER, valid_until INTEGER,"
    "  gates TEXT NOT NULL, attention TEXT, created_at INTEGER NOT NULL, erased_at INTEGER);"
    "CREATE UNIQUE INDEX idx_participants_token_active ON participants (token, event_id)"
    "  WHERE status = 'active';"
    "CREATE INDEX idx_participants_token_inactive ON participants (token, event_id)"
    "  WHERE status <> 'active';"
    "CREATE INDEX idx_participants_event ON participants (event_id);"
    "CREATE VIRTUAL TABLE participants_fts USING fts5 (event, name, email, content='',"
    "  tokenize='unicode61 remove_diacritics 2');"
    "CREATE TABLE ledger ("
    "  participant_id INTEGER PRIMARY KEY, admissions INTEGER NOT NULL, inside INTEGER NOT NULL,"
    "  last_at INTEGER NOT NULL, last_id INTEGER NOT NULL, last_gate INTEGER NOT NULL,"
    "  first_at INTEGER NOT NULL, first_gate INTEGER NOT NULL);"
    "CREATE TABLE attendance_records ("
    "  id INTEGER PRIMARY KEY, event_id INTEGER NOT NULL, participant_id INTEGER,"
    "  gate_id INTEGER NOT NULL, method TEXT NOT NULL, direction TEXT NOT NULL,"
    "  verdict TEXT NOT NULL, reason TEXT, overrode TEXT, timestamp INTEGER NOT NULL,"
    "  recorded_at INTEGER NOT NULL, nonce TEXT, token_hash BLOB, first_at INTEGER,"
    "  first_gate INTEGER, annulled_at INTEGER);"
    "CREATE INDEX idx_attendance_participant_timestamp"
    "  ON attendance_records (participant_id, timestamp);"
    "CREATE INDEX idx_attendance_gate_timestamp ON attendance_records (gate_id, timestamp);"
    "CREATE INDEX idx_attendance_method_timestamp"
    "  ON attendance_records (event_id, method, timestamp);"
    "CREATE INDEX idx_attendance_event_timestamp ON attendance_records (event_id, timestamp);"
    "CREATE UNIQUE INDEX idx_attendance_nonce ON attendance_records (event_id, nonce)"
    "  WHERE nonce IS NOT NULL;"
    "CREATE TABLE event_stats ("
    "  event_id INTEGER PRIMARY KEY, participants INTEGER NOT NULL, admitted INTEGER NOT NULL,"
    "  inside INTEGER NOT NULL, scans INTEGER NOT NULL, refused INTEGER NOT NULL,"
    "  qr INTEGER NOT NULL, nfc INTEGER NOT NULL, ble INTEGER NOT NULL, manual INTEGER NOT NULL);"
    "CREATE TABLE gate_stats ("
    "  gate_id INTEGER PRIMARY KEY, admitted INTEGER NOT NULL, exited INTEGER NOT NULL,"
    "  refused INTEGER NOT NULL);"
    "CREATE TABLE gate_minutes ("
    "  event_id INTEGER NOT NULL, minute INTEGER NOT NULL, gate_id INTEGER NOT NULL,"
    "  admitted INTEGER NOT NULL, exited INTEGER NOT NULL, refused INTEGER NOT NULL,"
    "  PRIMARY KEY (event_id, minute, gate_id)) WITHOUT ROWID;"
    "CREATE TABLE api_keys ("
    "  id TEXT PRIMARY KEY, name TEXT NOT NULL, scope TEXT NOT NULL, event TEXT,"
    "  hash BLOB NOT NULL, created_at INTEGER NOT NULL, revoked_at INTEGER);",
    /* 2: refusals are few and looked for often: a partial index finds them without the rest */
    "CREATE INDEX idx_attendance_refused ON attendance_records (event_id, timestamp)"
    "  WHERE verdict = 'refused';",
    /* 3: a journal of what turnout did by itself; the columns are those of PostgreSQL */
    "CREATE TABLE action_journal ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, system TEXT NOT NULL,"
    "  actor TEXT NOT NULL, action TEXT NOT NULL, target TEXT NOT NULL, outcome TEXT NOT NULL,"
    "  evidence TEXT NOT NULL, figures_before TEXT NOT NULL, figures_after TEXT NOT NULL,"
    "  detail TEXT NOT NULL);",
    /* 4: what people told the controller, and what it told them */
    "CREATE TABLE control_orders ("
    "  name TEXT PRIMARY KEY, value TEXT NOT NULL, author TEXT NOT NULL, at INTEGER NOT NULL,"
    "  until INTEGER) WITHOUT ROWID;"
    "CREATE TABLE notices ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, receiver TEXT NOT NULL,"
    "  actor TEXT NOT NULL, at INTEGER NOT NULL, changed INTEGER NOT NULL, state TEXT NOT NULL,"
    "  attempts INTEGER NOT NULL DEFAULT 0, body TEXT NOT NULL, detail TEXT NOT NULL DEFAULT '');"
    "CREATE INDEX notices_waiting ON notices (id) WHERE state = 'waiting';",
};
enum { SCHEMA_VERSION = sizeof migrations / sizeof migrations[0] };

static enum err_e read_pragma(struct sqlite_conn *conn, const char *sql, int64_t *ret_value) {
    sqlite3_stmt *stmt;
    if (sqlite3_prepare_v2(conn->db, sql, -1, &stmt, NULL) != SQLITE_OK) {
        return sqlite_translate(conn->db);
    }
    int rc = sqlite3_step(stmt);
    *ret_value = rc == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : 0;
    rc = sqlite3_finalize(stmt);
    return rc == SQLITE_OK ? ERR_OK : sqlite_translate(conn->db);
}

bool sqlite_is_ours(int64_t application_id) {
    return application_id == APPLICATION_ID;
}

static enum err_e is_ours(struct sqlite_conn *conn, int64_t version, struct problem *problem) {
    int64_t application, tables;
    TRY(read_pragma(conn, "PRAGMA application_id", &application));
    TRY(read_pragma(conn, "SELECT count(*) FROM sqlite_schema", &tables));
    if (tables > 0 && !sqlite_is_ours(application)) {
        return problem_set(problem, ERR_BAD_STORE, "store.url",
                           "the file is a database of another program");
    }
    if (version > SCHEMA_VERSION) {
        return problem_set(problem, ERR_NEWER_SCHEMA, "store.url",
                           "the file has schema %lld, this turnout knows up to %d",
                           (long long)version, SCHEMA_VERSION);
    }
    return ERR_OK;
}

static enum err_e migrate_from(struct sqlite_conn *conn, int64_t version) {
    for (; version < SCHEMA_VERSION; version++) {
        TRY(sqlite_exec(conn, migrations[version]));
    }
    char sql[96];
    snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d",
             APPLICATION_ID, SCHEMA_VERSION);
    return sqlite_exec(conn, sql);
}

int sqlite_schema_version(void) {
    return SCHEMA_VERSION;
}

MAY_BLOCK enum err_e sqlite_migrate(struct sqlite_conn *conn, struct problem *ret_problem) {
    int64_t version;
    TRY(sqlite_exec(conn, "BEGIN IMMEDIATE"));
    enum err_e err = read_pragma(conn, "PRAGMA user_version", &version);
    if (err == ERR_OK) {
        err = is_ours(conn, version, ret_problem);
    }
    if (err == ERR_OK && version < SCHEMA_VERSION) {
        err = migrate_from(conn, version);
    }
    if (err == ERR_OK) {
        return sqlite_exec(conn, "COMMIT");
    }
    enum err_e ignored = sqlite_exec(conn, "ROLLBACK");
    (void)ignored;
    return err;
}
