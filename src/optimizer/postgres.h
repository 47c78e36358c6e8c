/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The optimizer on a live PostgreSQL: it measures the critical queries, keeps the declared indexes
 * and the partitions as they should be, and looks after statistics and dead rows.
 *
 *     db_open(&options, &db, &problem);
 *     db_report_init(&report); db_indexes(db, &report); … db_report_fini(&report); db_close(db);
 *
 * It has a connection of its own, synchronous: a worker thread or the command line, never a loop.
 * What changes something holds one advisory lock for the database, tried and never waited for: a
 * second one is told ERR_BUSY. The lock belongs to the session that does the work, so it lasts
 * exactly as long as the work does, whatever happens to this process.
 * With DB_DRY_RUN nothing is changed and no lock is taken: steps are reported as planned.
 */
#ifndef TURNOUT_OPTIMIZER_POSTGRES_H
#define TURNOUT_OPTIMIZER_POSTGRES_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"

struct db;

enum db_mode_e { DB_CARRY_OUT, DB_DRY_RUN };

struct db_options {
    const char *url; /* postgres://…; borrowed until db_close */
    struct clock *clock;
    enum db_mode_e mode;
    const char *actor;     /* who acts, for the journal: a node's id; NULL: the command line */
    int64_t pretended_ms;  /* plan partitions as of then, and retire none; TIME_NONE: now */
    int period;            /* of new partitions: partition_period_e */
    const char *archive_dir; /* where rows of a partition go before it is dropped; NULL: nowhere */
    unsigned ahead;        /* partitions after the current one */
    int64_t retention_ms;  /* 0: nothing is retired */
    int64_t quarantine_ms; /* between detach and drop */
    bool build_advised;    /* optimize may build an index that nobody declared */
    double slow_ms;        /* a critical query that takes longer is slow */
    int64_t budget_ms;     /* of one run; a statement under way is cancelled at its end */
    int window_from, window_to; /* minutes of the UTC day for maintenance; equal: the whole day */
};

/* What one line of a report is about. X(NAME, word) */
#define DB_STATE_TABLE(X)                                                                          \
    X(GOOD, "good")                                                                                \
    X(INFO, "info")                                                                                \
    X(WARNING, "warning")                                                                          \
    X(PLANNED, "planned")                                                                          \
    X(DONE, "done")                                                                                \
    X(SKIPPED, "skipped")                                                                          \
    X(UNDONE, "undone")                                                                            \
    X(FAILED, "failed")
enum db_state_e {
#define X(name, word) DB_##name,
    DB_STATE_TABLE(X)
#undef X
    DB_STATE_COUNT
};
const char *db_state_word(enum db_state_e state);

struct db_item {
    struct db_item *next;
    enum db_state_e state;
    const char *kind;   /* "query", "index", "partition", "table", …: a literal */
    const char *what;   /* "missing", "create", "vacuum", …: a literal */
    struct slice name;  /* of the table, index, query or partition */
    struct slice detail; /* one sentence; may be empty */
    struct slice sql;   /* what was or would be run; may be empty */
    const char *lock;   /* that it takes; NULL: none worth telling */
    struct slice facts; /* a JSON object; may be empty */
};

/* Items in the order they happened. */
struct db_report {
    struct arena arena;
    struct db_item *first, *last;
    size_t counts[DB_STATE_COUNT];
};
void db_report_init(struct db_report *report);
void db_report_fini(struct db_report *report);
/* {"items":[{state,kind,what,name,detail,sql,lock,facts}…],"counts":{…}} */
void db_report_write(struct json_writer *w, const struct db_report *report);
/* The same without the braces, inside an object. */
void db_report_write_members(struct json_writer *w, const struct db_report *report);
/* Lines for people. */
void db_report_print(struct buf *to, const struct db_report *report);

/* ERR_UNAVAILABLE when there is no connection, ERR_BAD_STORE when its tables are not there. */
MAY_BLOCK enum err_e db_open(const struct db_options *options, struct db **ret_db,
                             struct problem *ret_problem) MUST_CHECK;
MAY_BLOCK void db_close(struct db *db);
/* From another thread while the connection is open: the statement under way is cancelled, and the
 * run ends as if its budget had. */
MAY_BLOCK void db_cancel(struct db *db);
/* What the last failing call said. */
const struct problem *db_problem(const struct db *db);

/*
 * Each appends to the report. ERR_OK also when single steps failed: those are items. ERR_BUSY:
 * another optimizer is at work. Any other error ends the run: the connection is lost, or memory.
 */
MAY_BLOCK enum err_e db_analyze(struct db *db, struct db_report *report) MUST_CHECK;
MAY_BLOCK enum err_e db_indexes(struct db *db, struct db_report *report) MUST_CHECK;
MAY_BLOCK enum err_e db_partitions(struct db *db, struct db_report *report) MUST_CHECK;
MAY_BLOCK enum err_e db_maintain(struct db *db, struct db_report *report) MUST_CHECK;
MAY_BLOCK enum err_e db_optimize(struct db *db, struct db_report *report) MUST_CHECK;
/* The end of the last partition in a row from now on; TIME_NONE: there is none for now. */
MAY_BLOCK enum err_e db_horizon(struct db *db, int64_t *ret_ms) MUST_CHECK;

#endif
