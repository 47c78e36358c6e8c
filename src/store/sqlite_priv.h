/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the SQLite store.
 *
 *   sqlite_conn        one connection, its prepared statements, errors translated
 *   sqlite_file        the file below, without old bytes in what pages do not use
 *   sqlite_schema      tables and migrations
 *   sqlite_facts       what the writer remembers of events, gates and their roll-ups
 *   sqlite_writer      the writer thread: groups, commits, answers; what to do when the disk fails
 *   sqlite_checkin     scans and annulments
 *   sqlite_setup       events, gates and keys
 *   sqlite_people      participants, import, erasure, search
 *   sqlite_purge       what an erasure leaves in the files
 *   sqlite_attendance  history, stats, timeline
 *   sqlite_actions     the journal of actions
 *   sqlite_mark        the change mark
 *   sqlite_recent      admissions of the last minute, per gate
 *   sqlite_store       threads and the seam
 */
#ifndef TURNOUT_STORE_SQLITE_PRIV_H
#define TURNOUT_STORE_SQLITE_PRIV_H

#include "base/assert.h"
#include "base/buf.h"
#include "store/search_words.h"
#include "store/store.h"
#include "store/token_hash.h"

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/* X(NAME, SQL): every fixed statement. Prepared when first used, once per connection. */
#define PARTICIPANT_COLUMNS                                                                        \
    "p.id, p.token, p.name, p.email, p.status, p.valid_from, p.valid_until, p.gates, p.attention"
#define PERSON_BY_TOKEN(condition)                                                                 \
    "SELECT p.id, p.name, p.status, p.valid_from, p.valid_until, p.gates, p.attention,"            \
    " l.admissions, l.inside, l.last_at, l.last_id, l.last_gate,"   \
    " l.first_at, l.first_gate FROM participants p LEFT JOIN ledger l ON l.participant_id = p.id"  \
    " WHERE p.token = ?1 AND p.event_id = ?2 AND " condition
#define RECORD_COLUMNS                                                                             \
    "r.id, r.participant_id, g.code, r.method, r.direction, r.verdict, r.reason, r.overrode,"      \
    " r.annulled_at, r.timestamp, r.recorded_at"
#define SQL_TABLE(X)                                                                               \
    X(BEGIN_WRITE, "BEGIN IMMEDIATE")                                                              \
    X(BEGIN_READ, "BEGIN")                                                                         \
    X(COMMIT, "COMMIT")                                                                            \
    X(ROLLBACK, "ROLLBACK")                                                                        \
    X(DATA_VERSION, "PRAGMA data_version")                                                         \
    X(PROBE, "INSERT OR REPLACE INTO meta (key, value) VALUES ('probe', ?1)")                      \
    X(META_GET, "SELECT value FROM meta WHERE key = ?1")                                           \
    X(META_PUT, "INSERT OR IGNORE INTO meta (key, value) VALUES (?1, ?2)")                         \
    X(MARK, "SELECT value FROM meta WHERE key = 'change_mark'")                                    \
    X(MARK_PUT, "INSERT OR REPLACE INTO meta (key, value) VALUES ('change_mark', ?1)")             \
    X(ERASURE_PUT, "INSERT OR REPLACE INTO meta (key, value) VALUES ('erasure', ?1)")              \
    X(ERASURE_DONE, "DELETE FROM meta WHERE key = 'erasure' AND value = ?1")                       \
    X(LAST_RECORD, "SELECT max(id) FROM attendance_records")                                       \
    X(EVENT_BY_CODE, "SELECT id, code, name, timezone, starts_at, ends_at, capacity, reentry"      \
                     " FROM events WHERE code = ?1")                                               \
    X(EVENTS_PAGE, "SELECT id, code, name, timezone, starts_at, ends_at, capacity, reentry"        \
                   " FROM events WHERE id > ?1 ORDER BY id LIMIT ?2")                              \
    X(EVENT_INSERT, "INSERT INTO events (code, name, timezone, starts_at, ends_at, capacity,"      \
                    " reentry, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")               \
    X(EVENT_UPDATE, "UPDATE events SET name = ?2, timezone = ?3, starts_at = ?4, ends_at = ?5,"    \
                    " capacity = ?6, reentry = ?7 WHERE id = ?1")                                  \
    X(EVENT_STATS, "SELECT participants, admitted, inside, scans, refused, qr, nfc, ble, manual"   \
                   " FROM event_stats WHERE event_id = ?1")                                        \
    X(EVENT_STATS_PUT, "INSERT OR REPLACE INTO event_stats (event_id, participants, admitted,"     \
                       " inside, scans, refused, qr, nfc, ble, manual)"                            \
                       " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")                        \
    X(GATES_OF_EVENT, "SELECT g.id, g.code, g.name, g.status, s.admitted, s.exited, s.refused"     \
                      " FROM gates g LEFT JOIN gate_stats s ON s.gate_id = g.id"                   \
                      " WHERE g.event_id = ?1 ORDER BY g.code")                                    \
    X(GATE_BY_CODE, "SELECT id, code, name, status FROM gates WHERE event_id = ?1 AND code = ?2")  \
    X(GATES_PAGE, "SELECT id, code, name, status FROM gates WHERE event_id = ?1 AND id > ?2"       \
                  " ORDER BY id LIMIT ?3")                                                         \
    X(GATE_INSERT, "INSERT INTO gates (event_id, code, name, status) VALUES (?1, ?2, ?3, ?4)")     \
    X(GATE_UPDATE, "UPDATE gates SET name = ?2, status = ?3 WHERE id = ?1")                        \
    X(GATE_STATS_PUT, "INSERT OR REPLACE INTO gate_stats (gate_id, admitted, exited, refused)"     \
                      " VALUES (?1, ?2, ?3, ?4)")                                                  \
    X(GATE_MINUTE_ADD,                                                                             \
      "INSERT INTO gate_minutes (event_id, minute, gate_id, admitted, exited, refused)"            \
      " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET"                                 \
      " admitted = admitted + excluded.admitted, exited = exited + excluded.exited,"               \
      " refused = refused + excluded.refused")                                                     \
    X(PERSON_ACTIVE, PERSON_BY_TOKEN("p.status = 'active'"))                                       \
    X(PERSON_LATEST, PERSON_BY_TOKEN("p.status <> 'active' ORDER BY p.id DESC LIMIT 1"))           \
    X(PARTICIPANT_BY_ID, "SELECT " PARTICIPANT_COLUMNS " FROM participants p"                      \
                         " WHERE p.id = ?1 AND p.event_id = ?2 AND p.erased_at IS NULL")           \
    X(PARTICIPANTS_PAGE, "SELECT " PARTICIPANT_COLUMNS " FROM participants p"                      \
                         " WHERE p.event_id = ?1 AND p.id > ?2 AND p.erased_at IS NULL"            \
                         " ORDER BY p.id LIMIT ?3")                                                \
    X(PARTICIPANTS_BY_TOKEN, "SELECT " PARTICIPANT_COLUMNS " FROM participants p"                  \
                             " WHERE p.id IN (SELECT a.id FROM participants a"                     \
                             "  WHERE a.token = ?1 AND a.event_id = ?2 AND a.status = 'active'"    \
                             "  UNION ALL SELECT i.id FROM participants i"                         \
                             "  WHERE i.token = ?1 AND i.event_id = ?2 AND i.status <> 'active')"  \
                             " AND p.id > ?3 ORDER BY p.id LIMIT ?4")                              \
    X(PARTICIPANTS_SEARCH, "SELECT " PARTICIPANT_COLUMNS                                           \
                           " FROM participants_fts f JOIN participants p ON p.id = f.rowid"        \
                           " WHERE participants_fts MATCH ?1 AND f.rowid > ?2"                     \
                           " ORDER BY f.rowid LIMIT ?3")                                           \
    X(PARTICIPANT_INSERT, "INSERT INTO participants (event_id, token, name, email, status,"        \
                          " valid_from, valid_until, gates, attention, created_at)"                \
                          " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")                     \
    X(PARTICIPANT_UPDATE, "UPDATE participants SET token = ?2, name = ?3, email = ?4, status = ?5,"\
                          " valid_from = ?6, valid_until = ?7, gates = ?8, attention = ?9"         \
                          " WHERE id = ?1")                                                        \
    X(PARTICIPANT_ERASE, "UPDATE participants SET token = NULL, name = '', email = '',"            \
                         " attention = NULL, status = 'cancelled', erased_at = ?2 WHERE id = ?1")  \
    X(FTS_ADD, "INSERT INTO participants_fts (rowid, event, name, email) VALUES (?1, ?2, ?3, ?4)") \
    X(FTS_REMOVE, "INSERT INTO participants_fts (participants_fts, rowid, event, name, email)"     \
                  " VALUES ('delete', ?1, ?2, ?3, ?4)")                                            \
    X(FTS_MERGE, "INSERT INTO participants_fts (participants_fts, rank) VALUES ('merge', ?1)")     \
    X(LEDGER_GET, "SELECT admissions, inside, last_at, last_id, last_gate, first_at, first_gate"   \
                  " FROM ledger WHERE participant_id = ?1")                                        \
    X(LEDGER_PUT, "INSERT OR REPLACE INTO ledger (participant_id, admissions, inside, last_at,"    \
                  " last_id, last_gate, first_at, first_gate)"                                     \
                  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")                                      \
    X(LEDGER_DELETE, "DELETE FROM ledger WHERE participant_id = ?1")                               \
    X(RECORD_INSERT,                                                                               \
      "INSERT INTO attendance_records (id, event_id, participant_id, gate_id, method, direction,"  \
      " verdict, reason, overrode, timestamp, recorded_at, nonce, token_hash, first_at,"           \
      " first_gate) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)"     \
      " ON CONFLICT (event_id, nonce) WHERE nonce IS NOT NULL DO NOTHING")                         \
    X(RECORD_BY_NONCE, "SELECT " RECORD_COLUMNS ", r.token_hash, r.first_at, r.first_gate,"        \
                       " p.name, p.status, p.attention, p.erased_at"                               \
                       " FROM attendance_records r JOIN gates g ON g.id = r.gate_id"               \
                       " LEFT JOIN participants p ON p.id = r.participant_id"                      \
                       " WHERE r.event_id = ?1 AND r.nonce = ?2")                                  \
    X(RECORD_BY_ID, "SELECT " RECORD_COLUMNS ", r.gate_id"                                         \
                    " FROM attendance_records r JOIN gates g ON g.id = r.gate_id"                  \
                    " WHERE r.id = ?1 AND r.event_id = ?2")                                        \
    X(RECORD_ANNUL, "UPDATE attendance_records SET annulled_at = ?2 WHERE id = ?1")                \
    X(STANDING_OF, "SELECT id, timestamp, verdict, gate_id FROM attendance_records"                \
                   " WHERE participant_id = ?1 AND annulled_at IS NULL AND verdict <> 'refused'"   \
                   " ORDER BY timestamp, id")                                                      \
    X(RECENT_ADMISSIONS, "SELECT gate_id, recorded_at / 1000, count(*) FROM attendance_records"    \
                         " WHERE id >= ?1 AND verdict = 'admitted' AND annulled_at IS NULL"        \
                         " GROUP BY 1, 2")                                                         \
    X(TIMELINE_MINUTES, "SELECT (m.minute * 60000 - ?2) / ?4, g.code, sum(m.admitted),"            \
                        " sum(m.exited), sum(m.refused) FROM gate_minutes m"                       \
                        " JOIN gates g ON g.id = m.gate_id WHERE m.event_id = ?1"                  \
                        " AND m.minute >= ?2 / 60000 AND m.minute < ?3 / 60000"                    \
                        " GROUP BY 1, 2 ORDER BY 1, 2 LIMIT ?5")                                   \
    X(TIMELINE_RECORDS, "SELECT (r.timestamp - ?2) / ?4, g.code, sum(r.verdict = 'admitted'),"     \
                        " sum(r.verdict = 'exited'), sum(r.verdict = 'refused')"                   \
                        " FROM attendance_records r JOIN gates g ON g.id = r.gate_id"              \
                        " WHERE r.event_id = ?1 AND r.timestamp >= ?2 AND r.timestamp < ?3"        \
                        " AND r.annulled_at IS NULL GROUP BY 1, 2 ORDER BY 1, 2 LIMIT ?5")         \
    X(KEY_INSERT, "INSERT INTO api_keys (id, name, scope, event, hash, created_at)"                \
                  " VALUES (?1, ?2, ?3, ?4, ?5, ?6)")                                              \
    X(KEY_REVOKE, "UPDATE api_keys SET revoked_at = coalesce(revoked_at, ?2) WHERE id = ?1")       \
    X(KEY_BY_ID, "SELECT id, name, scope, event, hash, created_at, revoked_at FROM api_keys"       \
                 " WHERE id = ?1")                                                                 \
    X(KEYS_ALL, "SELECT id, name, scope, event, hash, created_at, revoked_at FROM api_keys"        \
                " ORDER BY created_at, id")                                                        \
    X(ACTION_INSERT, "INSERT INTO action_journal (at, system, actor, action, target, outcome,"     \
                     " evidence, figures_before, figures_after, detail)"                           \
                     " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")                          \
    X(ACTIONS_TRIM, "DELETE FROM action_journal WHERE id <= ?1")                                   \
    X(ACTION_END, "UPDATE action_journal SET outcome = ?2, figures_after = ?3, detail = ?4,"       \
                  " at = CASE outcome WHEN 'waiting' THEN ?5 ELSE at END WHERE id = ?1")           \
    X(ACTIONS_END, "UPDATE action_journal SET outcome = ?2, figures_after = ?3, detail = ?4"       \
                   " WHERE system = ?1 AND outcome = ?5")                                          \
    X(ACTIONS_PAGE, "SELECT id, at, system, actor, action, target, outcome, evidence,"             \
                    " figures_before, figures_after, detail FROM action_journal"                   \
                    " WHERE id < ?1 ORDER BY id DESC LIMIT ?2")                                    \
    X(ORDER_PUT, "INSERT INTO control_orders (name, value, author, at, until)"                     \
                 " SELECT ?1, ?2, ?3, ?4, ?5 WHERE ?6 > (SELECT count(*) FROM control_orders"      \
                 " WHERE name <> ?1 AND (until IS NULL OR until > ?4))"                            \
                 " ON CONFLICT (name) DO UPDATE SET value = excluded.value,"                       \
                 " author = excluded.author, at = excluded.at, until = excluded.until")            \
    X(ORDERS_TRIM, "DELETE FROM control_orders WHERE until < ?1")                                  \
    X(ORDER_END, "UPDATE control_orders SET until = ?2"                                            \
                 " WHERE name = ?1 AND (until IS NULL OR until > ?2)"                              \
                 " RETURNING name, value, author, at, until")                                      \
    X(ORDERS_ALL, "SELECT name, value, author, at, until FROM control_orders"                      \
                  " WHERE until IS NULL OR until > ?1"                                             \
                  " ORDER BY until IS NULL DESC, until DESC, name LIMIT ?2")                       \
    X(NOTICE_INSERT, "INSERT INTO notices (key, receiver, actor, at, changed, state, attempts,"    \
                     " body, detail) VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?7, ?8)")                 \
    X(NOTICES_TRIM, "DELETE FROM notices WHERE id <= ?1")                                          \
    X(NOTICE_END, "UPDATE notices SET state = ?2, attempts = ?3, detail = ?4, changed = ?5"        \
                  " WHERE id = ?1")                                                                \
    X(NOTICES_PAGE, "SELECT id, key, receiver, actor, at, changed, state, attempts, body, detail"  \
                    " FROM notices WHERE id < ?1 AND (?2 = '' OR state = ?2)"                      \
                    " ORDER BY id DESC LIMIT ?3")

enum sql_e {
#define X(name, text) SQL_##name,
    SQL_TABLE(X)
#undef X
    SQL_COUNT
};

/* ── sqlite_file ── the VFS that every connection opens its file by. Thread: any */
/* As sqlite3_open_v2: *ret_db is to be closed also when that fails, and may be NULL. */
int sqlite_file_open(const char *path, int flags, sqlite3 **ret_db);
/* Zeros the part of a tree's page that is allocated to nothing. */
void sqlite_page_clean(unsigned char *page, size_t len, bool is_first);

/* ── sqlite_conn ── one thread each */
struct sqlite_conn {
    sqlite3 *db;
    sqlite3_stmt *stmts[SQL_COUNT];
    struct clock *clock;
    int64_t deadline_us; /* of the read that runs; 0: none */
};

enum sqlite_role_e { SQLITE_WRITER, SQLITE_READER };
MAY_BLOCK enum err_e sqlite_conn_open(struct sqlite_conn *conn, const char *path,
                                      enum sqlite_role_e role, struct problem *ret_problem);
MAY_BLOCK void sqlite_conn_close(struct sqlite_conn *conn);
enum err_e sqlite_translate(sqlite3 *db); /* the connection's last error as err_e */
/* Begins a transaction; one that stayed open, as its ROLLBACK had no memory, is left first. */
MAY_BLOCK enum err_e sqlite_begin(struct sqlite_conn *conn, enum sql_e begin);
MAY_BLOCK enum err_e sqlite_exec(struct sqlite_conn *conn, const char *sql);
/* Moves the whole log into the file and cuts it to no length. ERR_OVERLOADED: a reader or another
 * writer would not let go of it within LOG_WAIT_MS. */
enum { LOG_WAIT_MS = 20 };
MAY_BLOCK enum err_e sqlite_empty_log(struct sqlite_conn *conn);

/* A fixed statement, reset and without bindings; NULL when it cannot be prepared (then
 * sqlite_translate tells). Callers use sql_begin, which checks. */
sqlite3_stmt *sqlite_stmt(struct sqlite_conn *conn, enum sql_e sql);

/* One run of a statement: begin, bind in order, step. Errors are kept and come out of the step, so
 * that a caller checks once. Columns are read in order, too. */
struct sql_run {
    struct sqlite_conn *conn;
    sqlite3_stmt *stmt; /* NULL: could not be prepared */
    int bound;          /* parameters bound so far */
    int column;         /* columns read of this row */
};
struct sql_run sql_begin(struct sqlite_conn *conn, enum sql_e sql);
struct sql_run sql_begin_stmt(struct sqlite_conn *conn, sqlite3_stmt *stmt);
void sql_int(struct sql_run *run, int64_t value);
void sql_int_or_null(struct sql_run *run, int64_t value, int64_t null);
void sql_text(struct sql_run *run, struct slice text);         /* borrowed until the step */
void sql_text_or_null(struct sql_run *run, struct slice text); /* NULL when at is NULL */
void sql_word(struct sql_run *run, const char *word);          /* NULL becomes NULL */
void sql_blob(struct sql_run *run, struct slice bytes);
/* ret_row: a row is there. A statement without a row left is reset. */
MAY_BLOCK enum err_e sql_step(struct sql_run *run, bool *ret_row);
MAY_BLOCK enum err_e sql_finish(struct sql_run *run); /* runs a statement that gives no rows */
void sql_end(struct sql_run *run);                    /* leaves a row unread */
int64_t sql_get_int(struct sql_run *run);
int64_t sql_get_int_or(struct sql_run *run, int64_t null);
struct slice sql_get_text(struct sql_run *run); /* until the next step; at NULL for NULL */
/* A copy in the arena; an empty text is "", NULL has at NULL. False without memory. */
bool sql_get_copy(struct sql_run *run, struct arena *arena, struct slice *ret_text);

/* ── sqlite_schema ── */
MAY_BLOCK enum err_e sqlite_migrate(struct sqlite_conn *conn, struct problem *ret_problem);
int sqlite_schema_version(void);
bool sqlite_is_ours(int64_t application_id); /* PRAGMA application_id of a file */

/* ── sqlite_recent ── shared by writer and readers, its own lock */
struct sqlite_recent;
struct sqlite_recent *sqlite_recent_create(void);
void sqlite_recent_destroy(struct sqlite_recent *recent);
void sqlite_recent_add(struct sqlite_recent *recent, int64_t gate, int64_t second, int64_t count);
int64_t sqlite_recent_sum(struct sqlite_recent *recent, int64_t gate, int64_t now_second);

/* ── sqlite_facts ── the writer's memory of what changes seldom, and roll-ups not yet written */
struct gate_facts {
    struct gate gate;
    int64_t admitted, exited, refused;
    bool dirty;
    struct gate_facts *next_by_code, *next_by_id;
};
struct event_facts {
    struct event_facts *next;
    struct arena arena;
    struct event event;
    struct gate_facts *gates;
    size_t gates_len;
    size_t buckets; /* power of two */
    struct gate_facts **by_code, **by_id;
    struct event_stats stats; /* participants, admitted, inside, scans, refused, methods */
    bool dirty;
};
struct minute_delta {
    int64_t event_id, minute, gate_id;
    int64_t admitted, exited, refused;
};
enum { FACTS_BUCKETS = 256, MINUTES_SIZE = 4096 };
struct facts_cache {
    struct event_facts *events[FACTS_BUCKETS];
    size_t events_len;
    int64_t data_version;
    struct minute_delta minutes[MINUTES_SIZE]; /* open addressing; gate_id 0 is free */
    struct minute_delta *minutes_taken[MINUTES_SIZE / 2]; /* at most half: the rest keeps it fast */
    size_t minutes_used;
};
void facts_drop(struct facts_cache *facts); /* forgets everything, also what is not written */
/* The event with its gates and counts, from memory or the file. ERR_UNKNOWN_EVENT. */
MAY_BLOCK enum err_e facts_event(struct sqlite_conn *conn, struct facts_cache *facts,
                                 struct slice code, struct event_facts **ret_event);
struct gate_facts *facts_gate(struct event_facts *event, struct slice code); /* or NULL */
struct gate_facts *facts_gate_by_id(struct event_facts *event, int64_t id);  /* or NULL */
/* Adds to the minute of `at_ms`. */
MAY_BLOCK enum err_e facts_add_minute(struct sqlite_conn *conn, struct facts_cache *facts,
                                      const struct minute_delta *delta);
/* Writes what changed since the last flush, within the running transaction. */
MAY_BLOCK enum err_e facts_flush(struct sqlite_conn *conn, struct facts_cache *facts);

/* ── sqlite_purge ── */
enum sqlite_purge_e {
    SQLITE_PURGE_NONE,
    SQLITE_PURGE_WAITING,
    SQLITE_PURGE_MERGING,
    SQLITE_PURGE_EMPTYING,
};
struct sqlite_purge {
    enum sqlite_purge_e state;
    int64_t mark;    /* of the newest erasure: the value of its row in meta */
    int64_t covered; /* the newest when the merge began */
    int64_t begun_us, due_us;
    int failures; /* in a row */
};

/* ── the writer's operations, inside its transaction ── */
struct recent_change {
    int64_t gate, second, count;
};
struct sqlite_writer {
    struct sqlite_conn conn;
    struct facts_cache facts;
    struct rng *rng;
    struct sqlite_recent *recent;
    struct recent_change *changes; /* of this transaction, told to `recent` after the commit */
    size_t changes_len, changes_size;
    int64_t last_id;      /* newest record id given */
    int64_t now_ms;       /* of this transaction */
    struct token_mac *token_mac;
    int log_pages;        /* of the log, before they are moved into the file */
    struct sqlite_purge purge;
    _Atomic uint64_t others_wrote;    /* how often another process was noticed to have written */
    _Atomic int64_t others_seen_us;   /* everything that was committed until then is noticed */
    atomic_bool is_shared;            /* another process writes, too: leave it gaps */
};
MAY_BLOCK enum err_e writer_check_in(struct sqlite_writer *w, struct store_op *op);
MAY_BLOCK enum err_e writer_annul(struct sqlite_writer *w, struct store_op *op);
MAY_BLOCK enum err_e writer_create_event(struct sqlite_writer *w, struct store_op *op);
MAY_BLOCK enum err_e writer_update_event(struct sqlite_writer *w, struct store_op *op);
MAY_BLOCK enum err_e writer_create_gate(struct sqlite_writer *w, struct store_op *op);
MAY_BLOCK enum err_e writer_update_gate(struct sqlite_writer *w, struct store_op *op);
MAY_BLOCK enum err_e writer_create_key(struct sqlite_writer *w, struct store_op *op);
MAY_BLOCK enum err_e writer_revoke_key(struct sqlite_writer *w, struct store_op *op);
MAY_BLOCK enum err_e writer_create_participant(struct sqlite_writer *w, struct store_op *op);
MAY_BLOCK enum err_e writer_update_participant(struct sqlite_writer *w, struct store_op *op);
MAY_BLOCK enum err_e writer_erase_participant(struct sqlite_writer *w, struct store_op *op);
MAY_BLOCK enum err_e writer_import(struct sqlite_writer *w, struct store_op *op);
MAY_BLOCK enum err_e writer_probe(struct sqlite_writer *w, struct store_op *op);
MAY_BLOCK enum err_e writer_add_action(struct sqlite_writer *w, struct store_op *op);
MAY_BLOCK enum err_e writer_end_action(struct sqlite_writer *w, struct store_op *op);
MAY_BLOCK enum err_e writer_put_order(struct sqlite_writer *w, struct store_op *op);
MAY_BLOCK enum err_e writer_end_order(struct sqlite_writer *w, struct store_op *op);
MAY_BLOCK enum err_e writer_add_notice(struct sqlite_writer *w, struct store_op *op);
MAY_BLOCK enum err_e writer_end_notice(struct sqlite_writer *w, struct store_op *op);
MAY_BLOCK enum err_e writer_change_mark(struct sqlite_writer *w, struct store_op *op);

/* Within the erasing transaction: its traces are to go. */
MAY_BLOCK enum err_e purge_want(struct sqlite_writer *w);
/* Within a transaction, when the file is opened or others wrote: theirs may be left to us. */
MAY_BLOCK enum err_e purge_notice(struct sqlite_writer *w);
/* Milliseconds until the next step, at most `most_ms`. */
int64_t purge_due_ms(const struct sqlite_purge *purge, int64_t most_ms);
/* Outside of a transaction. Nothing when none is due. */
MAY_BLOCK void purge_step(struct sqlite_writer *w);
MAY_BLOCK void purge_before_close(struct sqlite_writer *w); /* what can be done at once */

/* ── the readers' operations ── */
struct sqlite_reader {
    struct sqlite_conn conn;
    struct sqlite_recent *recent;
};
MAY_BLOCK enum err_e reader_load_event(struct sqlite_reader *r, struct store_op *op);
MAY_BLOCK enum err_e reader_list_events(struct sqlite_reader *r, struct store_op *op);
MAY_BLOCK enum err_e reader_load_gate(struct sqlite_reader *r, struct store_op *op);
MAY_BLOCK enum err_e reader_list_gates(struct sqlite_reader *r, struct store_op *op);
MAY_BLOCK enum err_e reader_load_participant(struct sqlite_reader *r, struct store_op *op);
MAY_BLOCK enum err_e reader_list_participants(struct sqlite_reader *r, struct store_op *op);
MAY_BLOCK enum err_e reader_list_attendance(struct sqlite_reader *r, struct store_op *op);
MAY_BLOCK enum err_e reader_stats(struct sqlite_reader *r, struct store_op *op);
MAY_BLOCK enum err_e reader_timeline(struct sqlite_reader *r, struct store_op *op);
MAY_BLOCK enum err_e reader_load_key(struct sqlite_reader *r, struct store_op *op);
MAY_BLOCK enum err_e reader_list_keys(struct sqlite_reader *r, struct store_op *op);
MAY_BLOCK enum err_e reader_list_actions(struct sqlite_reader *r, struct store_op *op);
MAY_BLOCK enum err_e reader_list_orders(struct sqlite_reader *r, struct store_op *op);
MAY_BLOCK enum err_e reader_list_notices(struct sqlite_reader *r, struct store_op *op);
MAY_BLOCK enum err_e reader_read_mark(struct sqlite_reader *r, struct store_op *op);

/* Shared by both sides: rows into structs (texts copied into the arena; false without memory). */
bool row_event(struct sql_run *run, struct arena *arena, struct event *ret_event);
bool row_gate(struct sql_run *run, struct arena *arena, struct gate *ret_gate);
bool row_participant(struct sql_run *run, struct arena *arena, struct participant *ret_person);
bool row_person(struct sql_run *run, struct arena *arena, struct participant *ret_person); /* for a
    scan: without token and address */
bool row_record(struct sql_run *run, struct arena *arena, struct attendance_record *ret_record);
bool row_key(struct sql_run *run, struct arena *arena, struct api_key *ret_key);
/* A page is read into `limit` places, one row more tells that others follow. */
#define READ_PAGE(run, op, page, row_fn)                                                           \
    do {                                                                                           \
        (page).items = arena_alloc(&(op)->arena, (page).limit * sizeof *(page).items);             \
        (page).len = 0;                                                                            \
        (page).more = false;                                                                       \
        enum err_e page_err_ = (page).items == NULL ? ERR_NO_MEMORY : ERR_OK;                      \
        bool row_ = false;                                                                         \
        while (page_err_ == ERR_OK) {                                                              \
            page_err_ = sql_step(&(run), &row_);                                                   \
            if (page_err_ != ERR_OK || !row_) {                                                    \
                break;                                                                             \
            }                                                                                      \
            if ((page).len == (page).limit) {                                                      \
                (page).more = true;                                                                \
                break;                                                                             \
            }                                                                                      \
            if (!row_fn(&(run), &(op)->arena, &(page).items[(page).len])) {                        \
                page_err_ = ERR_NO_MEMORY;                                                         \
                break;                                                                             \
            }                                                                                      \
            (page).len++;                                                                          \
        }                                                                                          \
        sql_end(&(run));                                                                           \
        TRY(page_err_);                                                                            \
    } while (0)

/* The id behind an event's code. ERR_UNKNOWN_EVENT. */
MAY_BLOCK enum err_e find_event(struct sqlite_conn *conn, struct slice code, int64_t *ret_id);

/* The words of a participant as they go into the index and the query that finds them. */
enum { SEARCH_TEXT_MAX = 8192 };
void search_event_word(int64_t event_id, struct buf *ret_text);
void search_address_grams(struct slice email, struct buf *ret_text);
/* An FTS5 expression for `query`; ERR_INVALID_FIELD when no word has two characters. */
enum err_e search_expression(int64_t event_id, struct slice query, struct buf *ret_text,
                             struct problem *ret_problem);

/* ── sqlite_writer ── the thread */
struct sqlite_writer_thread {
    struct sqlite_writer writer;
    struct mailbox box;
    thrd_t thread;
    const char *path;
    size_t group_max;
    mtx_t health_lock;
    struct store_health health;
    bool broken; /* the last transaction failed in the file: probe before taking more */
};
MAY_BLOCK enum err_e writer_thread_open(struct sqlite_writer_thread *t,
                                        const struct sqlite_options *options,
                                        struct sqlite_recent *recent, struct problem *ret_problem);
MAY_BLOCK enum err_e writer_thread_start(struct sqlite_writer_thread *t);
MAY_BLOCK void writer_thread_stop(struct sqlite_writer_thread *t); /* runs what waits, then ends */
MAY_BLOCK void writer_thread_close(struct sqlite_writer_thread *t);

/* Marks the op's end and hands it back. */
void sqlite_finish_op(struct store_op *op, struct clock *clock);

#endif
