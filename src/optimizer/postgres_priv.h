/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the optimizer's PostgreSQL side.
 *
 *   postgres_conn        one synchronous connection: statements, rows, the lock-timeout ladder
 *   postgres_report      what happened, for people and programs
 *   postgres_journal     what was done, kept in the database
 *   postgres_measure     the critical queries, explained with parameters from the data
 *   postgres_analyze     their judgement as a report
 *   postgres_statements  what the server knows as slow
 *   postgres_advice      an index for a slow statement, and what it would gain
 *   postgres_index       declared indexes: looked at, built and repaired
 *   postgres_index_watch indexes that nobody declared: broken, doubled, unused
 *   postgres_facts       sizes and use of both
 *   postgres_partition   partitions: read, planned, carried out
 *   postgres_retire      the end of a partition: archive, nonces, drop
 *   postgres_maintain    ANALYZE and VACUUM where they are due
 *   postgres_watch       what ends badly if nobody looks: wraparound, dead rows, lag
 *   postgres_optimize    measure, act, measure again, undo
 *
 * Statements are literals with parameters, or put together from names that the catalog has quoted.
 */
#ifndef TURNOUT_OPTIMIZER_POSTGRES_PRIV_H
#define TURNOUT_OPTIMIZER_POSTGRES_PRIV_H

#include "base/assert.h"
#include "base/buf.h"
#include "base/rng.h"
#include "optimizer/postgres.h"

#include <stdatomic.h>

enum {
    DB_SQL_MAX = 1 << 16,    /* bytes of a statement, or of a sentence about it */
    DB_ARENA_LIMIT = 64 << 20,
    DB_LOCK_TRIES = 10,      /* waits for locks in one run beyond the first of each statement */
    DB_READ_TIMEOUT_MS = 10000, /* of looking into catalogs and of a measured query */
    DB_ARGS_MAX = 8,
};

struct db {
    void *conn;   /* PGconn: postgres_conn.c alone knows it */
    void *cancel; /* PGcancel */
    atomic_bool is_cancelled;
    struct db_options options;
    struct problem problem; /* of the last call that failed */
    char sqlstate[6];
    struct seeded_rng rng;
    int tries_left;
    int64_t deadline_us; /* of the run, monotonic */
};

/* Rows of an answer; text, as the server prints it. */
struct db_rows {
    void *result;
    int row, count;
};

/* `args` ends with NULL (and may be NULL); parameters are text. The rows are the caller's. */
MAY_BLOCK enum err_e db_ask(struct db *db, const char *sql, const char *const *args,
                            struct db_rows *ret_rows) MUST_CHECK;
bool db_next(struct db_rows *rows);
void db_done(struct db_rows *rows); /* also after a failed db_ask */
const char *db_cell(const struct db_rows *rows, int column); /* "" for NULL */
bool db_cell_is_null(const struct db_rows *rows, int column);
int64_t db_cell_int(const struct db_rows *rows, int column); /* 0 for NULL and what is none */
double db_cell_real(const struct db_rows *rows, int column);
bool db_cell_is_true(const struct db_rows *rows, int column);

/* One statement without rows that matter. */
MAY_BLOCK enum err_e db_tell(struct db *db, const char *sql) MUST_CHECK;
/* Ends a transaction that failed or was only read in; its own failure shows at the next call. */
MAY_BLOCK void db_rollback(struct db *db);
MAY_BLOCK enum err_e db_set_timeout(struct db *db, int64_t ms) MUST_CHECK;

/*
 * A statement, or several in one transaction, that wait for a lock: with lock_timeout 200 ms,
 * 500 ms, 1 s, 2 s and then 2 s again while the run has tries left. Then the problem names who
 * holds `relation` (or old snapshots). `clean` (may be NULL) takes away what a failure left;
 * `finish` (may be NULL) completes what a lock cut short: when it works, so has the change.
 */
struct db_change {
    const char *sql;
    const char *relation;
    const char *clean;
    const char *finish;
};
MAY_BLOCK enum err_e db_change(struct db *db, const struct db_change *change) MUST_CHECK;

/* Takes the one lock of those who change, and starts the run's budget. */
MAY_BLOCK enum err_e db_begin_run(struct db *db) MUST_CHECK;
MAY_BLOCK void db_end_run(struct db *db);
int64_t db_left_ms(struct db *db); /* of the budget; 0: over */
bool db_is_cancelled(const struct db *db);
/* The connection is gone: nothing further can be done or told apart. */
bool db_is_lost(const struct db *db);

/* COPY … TO STDOUT: each line with its line end. Its own failure, or that of `fn`, ends it. */
typedef enum err_e (*db_line_fn)(struct slice line, void *data);
MAY_BLOCK enum err_e db_copy_out(struct db *db, const char *sql, db_line_fn fn,
                                 void *data) MUST_CHECK;

/* ── report ── */

/* Copies the texts of `item`; ERR_NO_MEMORY. */
enum err_e db_add(struct db_report *report, const struct db_item *item) MUST_CHECK;

/*
 * One step: in a dry run it is planned, else it is carried out and done or failed. `item` says what
 * it is; its state and detail are filled in. ERR_OK unless the connection is lost.
 */
MAY_BLOCK enum err_e db_step(struct db *db, struct db_report *report, struct db_item *item,
                             const struct db_change *change) MUST_CHECK;

/* ── journal ── */

/* A row of action_journal; the slices are JSON objects, an empty one is {}. */
struct db_action {
    const char *action; /* "build index" */
    const char *target;
    const char *outcome; /* "better", "no effect", "worse", "undone", "failed", "done" */
    struct slice evidence, before, after;
    struct slice detail; /* a sentence */
};
MAY_BLOCK enum err_e db_journal(struct db *db, const struct db_action *action) MUST_CHECK;
/* Whether it was done and undone within a week. */
MAY_BLOCK enum err_e db_journal_undone(struct db *db, const char *target,
                                       bool *ret_undone) MUST_CHECK;

/* ── the parts ── */

#define DB_QUERY_TABLE(X)                                                                          \
    X(HISTORY, "participant_history", "a participant's records, newest first")                     \
    X(GATE_COUNT, "gate_count", "a gate's count since a time")                                     \
    X(TOKEN, "active_token", "an active participant by token")                                     \
    X(GATE_COUNTS, "gate_counts", "counts per gate since a time")
enum db_query_e {
#define X(name, word, text) DB_QUERY_##name,
    DB_QUERY_TABLE(X)
#undef X
    DB_QUERY_COUNT
};
const char *db_query_word(enum db_query_e query);
const char *db_query_text(enum db_query_e query);

/* Parameters drawn from the data once, so that a second measurement asks the same. */
struct db_sample {
    bool has_record, has_person;
    char participant[24], gate[24], event[24], since[48], person_event[24];
    char token[300]; /* never printed */
};
MAY_BLOCK enum err_e db_sample_draw(struct db *db, struct db_sample *ret_sample) MUST_CHECK;

struct explain_report;
struct db_measure {
    bool measured;  /* false: no data, or not within the time */
    bool timed_out;
    double ms;      /* fastest of three */
    double blocks;  /* touched, in the cache or not */
    double read;    /* of those, from outside of the cache */
    double temp;    /* blocks written to temporary files */
    size_t partitions; /* leaves of attendance_records that were read */
    struct explain_report *report; /* of the last; in the arena */
};
MAY_BLOCK enum err_e db_measure(struct db *db, struct arena *arena, const struct db_sample *sample,
                                enum db_query_e query, struct db_measure *ret) MUST_CHECK;

/* Statements that the server knows as slow, and an index for each that would serve it. The one that
 * is worth most is copied to `ret_best` (may be NULL), whose gain is 0 when there is none. */
struct db_advice {
    char table[136];       /* as SQL */
    char definition[512];  /* behind " USING " */
    char name[64];         /* of the index to build */
    char fingerprint[17];  /* of the statement */
    const char *statement; /* in the arena of the report */
    double cost_before, cost_after; /* as the planner reckons; 0: not known without hypopg */
    double worth;          /* total time times the part of it that is saved */
    bool is_plain;         /* no predicate: it can be built by itself */
};
MAY_BLOCK enum err_e db_statements(struct db *db, struct db_report *report,
                                   struct db_advice *ret_best) MUST_CHECK;

/* What the planner reckons for a statement with $1… in it, whatever their values; negative when it
 * cannot be planned so. */
MAY_BLOCK enum err_e db_cost(struct db *db, const char *statement, double *ret_cost) MUST_CHECK;

/* A slow statement, read: an index for each table of it that lacks one. */
struct db_slow {
    const char *query;
    const char *fingerprint;
    int64_t calls;
    double mean_ms, total_ms;
};
struct db_extensions {
    bool statements, hypopg, trigrams;
};
MAY_BLOCK enum err_e db_advise(struct db *db, struct db_report *report,
                               const struct db_extensions *extensions,
                               const struct db_slow *slow,
                               struct db_advice *best) MUST_CHECK;

/* The declared indexes (store/postgres_indexes.h), by number. */
enum db_index_e { DB_INDEX_VALID, DB_INDEX_MISSING, DB_INDEX_INVALID, DB_INDEX_DIFFERENT };
enum { DB_NAME_SIZE = 64 * 2 + 8 }; /* schema and name with quotes */
struct db_declared {
    const char *name;
    const char *table;
    const char *definition; /* behind " USING " */
    bool is_unique;
};
size_t db_declared_count(void);
const struct db_declared *db_declared_at(size_t n);
/* How it stands, its parts on partitions included. */
MAY_BLOCK enum err_e db_index_look(struct db *db, const struct db_declared *index,
                                   enum db_index_e *ret_state) MUST_CHECK;
/* Builds or repairs it without stopping writers; good and different ones are only told of. */
MAY_BLOCK enum err_e db_index_fix(struct db *db, struct db_report *report,
                                  const struct db_declared *index) MUST_CHECK;
/* {"table","definition","unique","bytes","scans","partitions"}: null what is not known. */
MAY_BLOCK enum err_e db_index_facts(struct db *db, const struct db_declared *index,
                                    struct buf *to) MUST_CHECK;
/* "bytes", "rows", "index_bytes", into an object. */
MAY_BLOCK enum err_e db_partition_facts(struct db *db, struct slice name,
                                        struct json_writer *w) MUST_CHECK;
MAY_BLOCK enum err_e db_watch_indexes(struct db *db, struct db_report *report) MUST_CHECK;
MAY_BLOCK enum err_e db_watch(struct db *db, struct db_report *report) MUST_CHECK;
/* A detached partition whose quarantine is over: archived if configured, its nonces forgotten,
 * dropped. A step that failed ends it, as an item. */
struct db_partition_end {
    struct slice name;
    const char *table; /* the same as SQL */
    const char *lock;
};
MAY_BLOCK enum err_e db_partition_drop(struct db *db, struct db_report *report,
                                       const struct db_partition_end *end) MUST_CHECK;
/* Finishes detaches that were cut short. */
MAY_BLOCK enum err_e db_finish_detaches(struct db *db, struct db_report *report) MUST_CHECK;

/* Whether maintenance may work now. */
bool db_is_within_window(const struct db_options *options);
/* At most `limit` tables, those that need it most first. */
MAY_BLOCK enum err_e db_maintain_tables(struct db *db, struct db_report *report,
                                        size_t limit) MUST_CHECK;

#endif
