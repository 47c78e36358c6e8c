/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The optimizer inside a node: it answers what clients ask for, and looks after the database by
 * itself. Work is done by two threads, so that nobody else waits for it:
 *
 *   looks     queries, indexes, partitions: read only. One at a time; what was seen less than 5 s
 *             ago is told again.
 *   changes   maintain, optimize, and every `every_ms` the partitions and the maintenance of a
 *             PostgreSQL. One at a time: while one is under way a further one is ERR_BUSY.
 *
 * Thread: create, start, stop and destroy from main; submit from any loop; horizon from any.
 * When the node stops, db_service_drain lets every asker go with ERR_DRAINING and cancels the
 * statement under way; what was done until then is in the journal.
 */
#ifndef TURNOUT_OPTIMIZER_SERVICE_H
#define TURNOUT_OPTIMIZER_SERVICE_H

#include "io/loop.h"
#include "optimizer/postgres.h"

/* X(NAME, word, is it a change) */
#define DB_JOB_TABLE(X)                                                                            \
    X(QUERIES, "queries", false)                                                                   \
    X(INDEXES, "indexes", false)                                                                   \
    X(PARTITIONS, "partitions", false)                                                             \
    X(MAINTAIN, "maintain", true)                                                                  \
    X(OPTIMIZE, "optimize", true)
enum db_job_e {
#define X(name, word, changes) DB_JOB_##name,
    DB_JOB_TABLE(X)
#undef X
    DB_JOB_COUNT
};
const char *db_job_word(enum db_job_e job);

enum { DB_LOOKS_MAX = 64 /* that wait; further ones are ERR_OVERLOADED */ };

struct db_service;

struct db_service_options {
    struct db_options db;    /* mode and pretended_ms do not count; its texts outlive the service */
    const char *sqlite_path; /* not NULL: the store is this file, and db.url does not count */
    int64_t every_ms;        /* 0: nothing is done unasked */
};
struct db_service *db_service_create(const struct db_service_options *options); /* NULL: memory */
enum err_e db_service_start(struct db_service *service) MUST_CHECK;
/* Other options for what begins from now on: all but clock and texts, which stay as they are. Any
 * thread. */
void db_service_set(struct db_service *service, const struct db_service_options *options);
MAY_BLOCK void db_service_drain(struct db_service *service);
MAY_BLOCK void db_service_stop(struct db_service *service); /* drains, then waits */
void db_service_destroy(struct db_service *service);        /* not running; NULL: nothing */

/* A question. The asker's until submit, and again when `message.fn` runs on `loop`. */
struct db_job {
    struct loop_message message; /* fn: what to do with the answer */
    struct loop *loop;           /* NULL: fn runs on a thread of the service, for one that waits */
    enum db_job_e kind;
    enum db_mode_e mode; /* of a change */
    enum err_e err;      /* the answer: an error with its problem, or a document */
    struct problem problem;
    char *text; /* {"store","job","dry_run","as_of","items","counts"}; free with db_job_fini */
    size_t len;
    struct db_job *next; /* the service's */
};
/* ERR_BUSY, ERR_OVERLOADED, ERR_DRAINING or ERR_NO_MEMORY: nothing will come. */
enum err_e db_service_submit(struct db_service *service, struct db_job *job) MUST_CHECK;
void db_job_fini(struct db_job *job);

/* The end of the last partition; TIME_NONE: not known, or a store without partitions. */
int64_t db_service_horizon_ms(const struct db_service *service);

#endif
