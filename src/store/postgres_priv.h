/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the PostgreSQL store.
 *
 *   postgres_conn        one connection in pipeline mode, its errors in our words
 *   postgres_wire        values to parameters and columns to values, in the binary format
 *   postgres_rows        rows into structs
 *   postgres_writer      a writer thread: groups, transactions, retries, bisection, answers
 *   postgres_group       what a group of scans is about: events, gates, people, nonces
 *   postgres_checkin     deciding a group of scans and writing it down
 *   postgres_annul       annulments
 *   postgres_setup       events, gates and keys
 *   postgres_people      participants: writing and finding
 *   postgres_import      participants, a thousand at a time
 *   postgres_attendance  history, stats, timeline
 *   postgres_mark        the change mark
 *   postgres_reader      a reader thread
 *   postgres_replica     its standby, for reads that may lag
 *   postgres_lag         how old what a standby shows may be
 *   postgres_door        reaching for a server, one thread at a time
 *   postgres_loop        a loop's own reads
 *   postgres_connector   a thread that makes connections for loops
 *   postgres_store       the seam
 *   postgres_migrate     the schema
 *   postgres_nodes       which nodes there are
 *   postgres_lease       who acts for all of them (store/lease.h)
 *
 * Statements are fixed and prepared when a connection opens (postgres_sql_priv.h); values travel as
 * parameters only. Functions here are called from the thread that owns the connection.
 */
#ifndef TURNOUT_STORE_POSTGRES_PRIV_H
#define TURNOUT_STORE_POSTGRES_PRIV_H

#include "base/assert.h"
#include "base/buf.h"
#include "io/loop.h"
#include "store/postgres_lag.h"
#include "store/postgres_sql_priv.h"
#include "store/store.h"
#include "store/token_hash.h"

#include <libpq-fe.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

/* ── postgres_wire ── */

enum { PG_ARGS_MAX = 24, PG_ARRAY_MEMORY = 64 << 20 };

/* Types of parameters, as PostgreSQL numbers them (pg_type.dat: they never change). */
enum pg_type_e {
    PG_BOOL = 16,
    PG_BYTEA = 17,
    PG_BIGINT = 20,
    PG_TEXT = 25,
    PG_TIMESTAMPTZ = 1184,
};

/* Parameters of one statement, in order. Texts are borrowed until the statement is put. Holds
 * pointers into itself: never copied. */
struct pg_args {
    const char *at[PG_ARGS_MAX];
    int len[PG_ARGS_MAX];
    unsigned types[PG_ARGS_MAX]; /* for statements that are not prepared */
    char scalars[PG_ARGS_MAX][8];
    int count;
};
void pg_args_init(struct pg_args *args);
void pg_arg_int(struct pg_args *args, int64_t value);
void pg_arg_int_or_null(struct pg_args *args, int64_t value, int64_t null);
void pg_arg_time(struct pg_args *args, int64_t ms); /* TIME_NONE becomes NULL */
void pg_arg_text(struct pg_args *args, struct slice text);
void pg_arg_text_or_null(struct pg_args *args, struct slice text); /* NULL when at is NULL */
void pg_arg_word(struct pg_args *args, const char *word);          /* NULL becomes NULL */
void pg_arg_bytes(struct pg_args *args, struct slice bytes);

/* An array parameter under construction: of values, or of rows of a table. */
struct pg_array {
    struct buf bytes;
    unsigned type;  /* of its elements */
    int count;
    bool has_null;
    int columns;    /* of the row that is open; 0: none is */
    size_t row_at;  /* where it begins */
};
void pg_array_init(struct pg_array *array, unsigned type);
void pg_array_fini(struct pg_array *array);
void pg_array_clear(struct pg_array *array);
void pg_push_int(struct pg_array *array, int64_t value);
void pg_push_int_or_null(struct pg_array *array, int64_t value, int64_t null);
void pg_push_bool(struct pg_array *array, bool value);
void pg_push_time(struct pg_array *array, int64_t ms); /* TIME_NONE becomes NULL */
void pg_push_text(struct pg_array *array, struct slice text);
void pg_push_text_or_null(struct pg_array *array, struct slice text);
void pg_push_word(struct pg_array *array, const char *word);
void pg_push_bytes_or_null(struct pg_array *array, struct slice bytes);
/* One element that is a row: what is pushed in between are its columns, all of them, in order. */
void pg_begin_row(struct pg_array *array, int columns);
void pg_end_row(struct pg_array *array);
/* False without memory: then the array must not be sent. */
bool pg_arg_array(struct pg_args *args, struct pg_array *array) MUST_CHECK;

/* Rows of a result, read column by column. */
struct pg_rows {
    const PGresult *result;
    int row; /* the present one; -1 before the first */
    int column;
};
bool pg_next(struct pg_rows *rows);
bool pg_get_bool(struct pg_rows *rows);
int64_t pg_get_int(struct pg_rows *rows); /* 0 for NULL */
int64_t pg_get_int_or(struct pg_rows *rows, int64_t null);
int64_t pg_get_time(struct pg_rows *rows); /* TIME_NONE for NULL */
struct slice pg_get_text(struct pg_rows *rows); /* until the next put; at NULL for NULL */
/* A copy in the arena; an empty text is "", NULL has at NULL. False without memory. */
bool pg_get_copy(struct pg_rows *rows, struct arena *arena, struct slice *ret_text);

/* ── postgres_conn ── */

enum { PG_PIPELINE_MAX = 16 };
/* REPLICA: a reader on a standby alone; LEASE: a writer of nothing but its lease */
enum pg_role_e { PG_WRITER, PG_READER, PG_REPLICA, PG_LEASE };

/* What the last run failed of, and what may be done about it. */
enum pg_failure_e {
    PG_FINE,
    PG_LOST,         /* the connection is gone, or is of no use any more (failover) */
    PG_AGAIN,        /* deadlock or serialization failure: the same once more may pass */
    PG_NO_PARTITION, /* a record's quarter has no partition */
    PG_SERVER,       /* full, slow, out of memory: says nothing about the operation */
    PG_DATA,         /* one of the values or rows */
};

/* A read is one function that puts statements and then takes their rows. It runs twice: ASKING,
 * when it ends at pg_read, and ANSWERING, when its puts only count on to the replies that came. */
enum pg_phase_e { PG_ASKING, PG_ANSWERING };

struct pg_conn {
    PGconn *pg;     /* NULL: closed */
    enum pg_phase_e phase;
    size_t answered; /* puts of the second run */
    size_t collected; /* replies that pg_collect has so far */
    bool is_complete; /* these are all of a run */
    enum err_e collect_err; /* the first of them that failed */
    enum pg_role_e role;
    bool on_standby; /* a reader that found no primary: good for a second */
    int64_t opened_us;
    PGresult *replies[PG_PIPELINE_MAX];
    size_t put; /* statements since the last run */
    bool ran;   /* the next put begins anew */
    bool send_failed;
    bool is_silent; /* the last run's time was up: it is not tried again at once */
    bool has_warned; /* since the writer looked: it cancelled its wait for a standby */
    enum pg_failure_e failure;
    size_t failed_at;  /* which statement answered the error; PG_PIPELINE_MAX: none did */
    char detail[200];  /* the server's message, first line */
    int64_t timeout_ms; /* for one run */
};

/* Opens, checks version and schema, prepares. The problem says what is wrong, without a password.
 * ERR_UNAVAILABLE when it may be well later, else the configuration or the database is wrong. */
MAY_BLOCK enum err_e pg_open(struct pg_conn *conn, const char *url, enum pg_role_e role,
                             struct problem *ret_problem);
void pg_close(struct pg_conn *conn);
/* False when the server has hung up meanwhile. Does not wait. */
bool pg_is_alive(struct pg_conn *conn);
/* A reader on a standby, since there was no primary: it is time to look for one again. */
bool pg_looks_again(const struct pg_conn *conn);

/* Adds a statement to the pipeline; returns its place, for pg_rows_of. The first put after a run
 * lets go of that run's results. */
size_t pg_put(struct pg_conn *conn, enum pg_sql_e sql, const struct pg_args *args);
size_t pg_put_text(struct pg_conn *conn, const char *sql, const struct pg_args *args);
/* Sends what was put and waits for all answers. An error names the first that failed; the server
 * passed over those behind it. */
MAY_BLOCK enum err_e pg_run(struct pg_conn *conn);
struct pg_rows pg_rows_of(const struct pg_conn *conn, size_t place);

/* The same without waiting, for the loops: any number of runs may be under way, each ended by
 * pg_send; their replies are collected one run after another. */
void pg_begin_ask(struct pg_conn *conn);
/* Ends a run and sends what the socket takes; false: the connection is lost. */
bool pg_send(struct pg_conn *conn, size_t *ret_put) MUST_CHECK;
bool pg_send_rest(struct pg_conn *conn, bool *ret_all) MUST_CHECK;
enum pg_arrival_e { PG_INCOMPLETE, PG_COMPLETE, PG_BROKEN };
/* Takes what came of the oldest run, of `put` statements. COMPLETE: *ret_err says how it ended, and
 * the replies are there until the next call. */
enum pg_arrival_e pg_collect(struct pg_conn *conn, size_t put, enum err_e *ret_err);
/* The second run of a read begins; `before` statements were put in front of its own. */
void pg_begin_answer(struct pg_conn *conn, size_t before);

/* A connection to the primary for the command line: no pipeline, no prepared statements. */
MAY_BLOCK enum err_e pg_connect_plain(const char *url, PGconn **ret_pg,
                                      struct problem *ret_problem);
/* First line of a message of the server or libpq, without line feeds. */
void pg_first_line(const char *message, char *to, size_t size);
enum err_e pg_translate(const char *state, enum pg_failure_e *ret_failure);
int postgres_schema_version(void);

/* ── postgres_rows ── columns in the order of the *_COLUMNS in postgres_sql_priv.h */
bool pg_row_event(struct pg_rows *rows, struct arena *arena, struct event *ret_event);
bool pg_row_gate(struct pg_rows *rows, struct arena *arena, struct gate *ret_gate);
bool pg_row_participant(struct pg_rows *rows, struct arena *arena, struct participant *ret_person);
/* The same, with the texts where they lie: until the next put. */
void pg_see_participant(struct pg_rows *rows, struct participant *ret_person);
void pg_see_person(struct pg_rows *rows, struct participant *ret_person); /* what a scan needs */
void pg_see_standing(struct pg_rows *rows, struct standing *ret_standing);
bool pg_row_record(struct pg_rows *rows, struct arena *arena,
                   struct attendance_record *ret_record);
bool pg_row_key(struct pg_rows *rows, struct arena *arena, struct api_key *ret_key);

/* A page is `limit` places; one row more tells that others follow. */
#define PG_READ_PAGE(rows, op, page, row_fn)                                                       \
    do {                                                                                           \
        (page).items = arena_alloc(&(op)->arena, (page).limit * sizeof *(page).items);             \
        (page).len = 0;                                                                            \
        (page).more = false;                                                                       \
        if ((page).items == NULL) {                                                                \
            return ERR_NO_MEMORY;                                                                  \
        }                                                                                          \
        while (pg_next(&(rows))) {                                                                 \
            if ((page).len == (page).limit) {                                                      \
                (page).more = true;                                                                \
                break;                                                                             \
            }                                                                                      \
            if (!row_fn(&(rows), &(op)->arena, &(page).items[(page).len])) {                       \
                return ERR_NO_MEMORY;                                                              \
            }                                                                                      \
            (page).len++;                                                                          \
        }                                                                                          \
    } while (0)

/* ── the writer ── */

enum {
    PG_RECORD_COLUMNS_COUNT = 16,
    PG_NONCE_COLUMNS_COUNT = 4,
    PG_LEDGER_COLUMNS_COUNT = 8,
    PG_EVENT_ARRAYS = 9,
    PG_GATE_ARRAYS = 4,
    PG_MINUTE_ARRAYS = 6,
    PG_KNOWN_BUCKETS = 64,
    PG_SPANS_MAX = 64,    /* in one group: what is older than PG_FIRST_YEAR counts as one */
    PG_FIRST_YEAR = 2026, /* as in turnout_make_partition */
};
struct pg_known_event {
    struct pg_known_event *next;
    struct slice code;
    int64_t id;
};
struct pg_known_gate {
    struct pg_known_gate *next;
    int64_t id;
    struct slice code;
};
struct pg_writer {
    struct pg_conn conn;
    struct clock *clock;
    struct rng *rng;
    const char *url;
    struct pg_door *door;
    int64_t now_ms; /* of this transaction */
    int64_t committing_us; /* when the last commit was sent, with the writes before it */
    bool moves_mark; /* the transaction that runs does */
    struct token_mac *token_mac;
    struct arena arena; /* of one transaction */
    struct arena known_arena;
    struct pg_known_event *known[PG_KNOWN_BUCKETS]; /* events by code */
    struct pg_known_gate *known_gates[PG_KNOWN_BUCKETS]; /* by id */
    /* a time in each week of a month that the records of this transaction fall into */
    size_t times_len;
    int spans[PG_SPANS_MAX];
    int64_t times[PG_SPANS_MAX];
    struct pg_array records, nonces, ledger; /* rows of these tables */
    struct pg_array newcomers;               /* of the ledger, where they have none yet */
    struct pg_array events[PG_EVENT_ARRAYS];
    struct pg_array gates[PG_GATE_ARRAYS], minutes[PG_MINUTE_ARRAYS];
};

/* The middle of a transaction: puts, runs, looks, and puts what the commit will send along. `what`
 * is its own. It may run more than once. An error ends the transaction with a rollback. */
typedef enum err_e (*pg_work_fn)(struct pg_writer *w, void *what);
/* Repeats after deadlocks, for a missing partition, and once for a lost connection before its
 * commit. ERR_COMMIT_UNKNOWN when nobody can tell. */
MAY_BLOCK enum err_e pg_transact(struct pg_writer *w, pg_work_fn work, void *what);

/* Operations: each in a transaction of its own. */
MAY_BLOCK enum err_e pg_create_event(struct pg_writer *w, void *op);
MAY_BLOCK enum err_e pg_update_event(struct pg_writer *w, void *op);
MAY_BLOCK enum err_e pg_create_gate(struct pg_writer *w, void *op);
MAY_BLOCK enum err_e pg_update_gate(struct pg_writer *w, void *op);
MAY_BLOCK enum err_e pg_create_key(struct pg_writer *w, void *op);
MAY_BLOCK enum err_e pg_add_action(struct pg_writer *w, void *op);
MAY_BLOCK enum err_e pg_put_order(struct pg_writer *w, void *op);
MAY_BLOCK enum err_e pg_end_order(struct pg_writer *w, void *op);
MAY_BLOCK enum err_e pg_add_notice(struct pg_writer *w, void *op);
MAY_BLOCK enum err_e pg_end_notice(struct pg_writer *w, void *op);
MAY_BLOCK enum err_e pg_end_action(struct pg_writer *w, void *op);
MAY_BLOCK enum err_e pg_register_node(struct pg_writer *w, void *op);
MAY_BLOCK enum err_e pg_leave_node(struct pg_writer *w, void *op);
MAY_BLOCK enum err_e pg_cluster_secret(struct pg_writer *w, void *op);
MAY_BLOCK enum err_e pg_revoke_key(struct pg_writer *w, void *op);
MAY_BLOCK enum err_e pg_create_participant(struct pg_writer *w, void *op);
MAY_BLOCK enum err_e pg_update_participant(struct pg_writer *w, void *op);
MAY_BLOCK enum err_e pg_erase_participant(struct pg_writer *w, void *op);
MAY_BLOCK enum err_e pg_annul(struct pg_writer *w, void *op);
MAY_BLOCK enum err_e pg_change_mark(struct pg_writer *w, void *op);
MAY_BLOCK enum err_e pg_probe(struct pg_writer *w, void *op);
void pg_put_mark(struct pg_writer *w, uint64_t flip); /* for the commit to send along */

/* Rows of an import that are written together. */
struct pg_import {
    struct store_op *op;
    struct import_row *rows;
    size_t len;
};
MAY_BLOCK enum err_e pg_import_rows(struct pg_writer *w, void *import);

/* Scans that are decided together, in this order. */
struct pg_scan {
    struct store_op *op; /* whose scan it is */
    const struct scan *scan;
    struct scan_result *result;
};
struct pg_scans {
    struct pg_scan *items;
    size_t len;
};
MAY_BLOCK enum err_e pg_check_in(struct pg_writer *w, void *scans);

void pg_forget_known(struct pg_writer *w); /* after a new connection: it may be a restored copy */
void pg_clear_arrays(struct pg_writer *w);
void pg_push_standing(struct pg_array *ledger, int64_t participant,
                      const struct standing *standing);
bool pg_put_standing(struct pg_writer *w) MUST_CHECK; /* what was pushed; false without memory */

/* The event's id under the lock of whoever changes its people. ERR_UNKNOWN_EVENT. */
MAY_BLOCK enum err_e pg_lock_people(struct pg_writer *w, struct slice code, int64_t *ret_id);

/* What the import and single writes share (postgres_people). */
void pg_patch_person(struct participant *stored, const struct participant *values,
                     unsigned fields);
enum err_e pg_check_validity(const struct participant *person, struct problem *problem);
enum err_e pg_unknown_gate(struct slice code, struct problem *problem);

/* ── the readers ── */

struct pg_reader {
    struct pg_conn conn;
    struct clock *clock;
    const char *url;
};
typedef enum err_e (*pg_read_fn)(struct pg_reader *r, struct store_op *op);
/* Puts what a read asks, with its limit of time, or tells that it makes no sense any more
 * (ERR_DEADLINE). The reads of an operation see one snapshot: a transaction from Sync to Sync. */
enum err_e pg_ask(struct pg_reader *r, struct store_op *op) MUST_CHECK;
enum err_e pg_answer(struct pg_reader *r, struct store_op *op) MUST_CHECK; /* once replies came */
/* In a read, between what it puts and what it takes. */
enum err_e pg_read(const struct pg_reader *r) MUST_CHECK;
enum err_e pg_load_event(struct pg_reader *r, struct store_op *op);
enum err_e pg_list_events(struct pg_reader *r, struct store_op *op);
enum err_e pg_load_gate(struct pg_reader *r, struct store_op *op);
enum err_e pg_list_gates(struct pg_reader *r, struct store_op *op);
enum err_e pg_load_participant(struct pg_reader *r, struct store_op *op);
enum err_e pg_list_participants(struct pg_reader *r, struct store_op *op);
enum err_e pg_list_attendance(struct pg_reader *r, struct store_op *op);
enum err_e pg_read_stats(struct pg_reader *r, struct store_op *op);
enum err_e pg_read_timeline(struct pg_reader *r, struct store_op *op);
enum err_e pg_load_key(struct pg_reader *r, struct store_op *op);
enum err_e pg_list_keys(struct pg_reader *r, struct store_op *op);
enum err_e pg_list_actions(struct pg_reader *r, struct store_op *op);
enum err_e pg_list_orders(struct pg_reader *r, struct store_op *op);
enum err_e pg_list_notices(struct pg_reader *r, struct store_op *op);
enum err_e pg_list_nodes(struct pg_reader *r, struct store_op *op);
enum err_e pg_read_mark(struct pg_reader *r, struct store_op *op);

/* ── the readers' standby ── */

struct pg_team;
struct pg_replica {
    struct pg_reader reader; /* its connection may be closed */
    struct pg_lag lag;
    struct pg_team *team;
    bool is_wanted; /* several hosts and a lag that is allowed */
    bool is_missed; /* the last look for one found none */
    int64_t marked_by_us; /* opened_us of the connection that gave the mark */
};
void pg_replica_init(struct pg_replica *replica, const struct postgres_options *options,
                     struct pg_team *team);
void pg_replica_fini(struct pg_replica *replica);
/* Whether a read that may lag can go to the standby now; counts it when it cannot for being behind.
 * `primary` is the reader's own connection: it may be closed, and may be lost by this. */
MAY_BLOCK bool pg_replica_is_ready(struct pg_replica *replica, struct pg_conn *primary);
bool pg_has_several_hosts(const char *url);

/* ── threads ── */

/*
 * Threads connect one at a time through a door; after a failure it stays shut for first_ms,
 * doubling to most_ms, each time with a random part. Real time, whatever the store's clock.
 */
struct pg_door {
    mtx_t lock;
    cnd_t left;
    bool busy; /* somebody is in it */
    int64_t first_ms, most_ms;
    int64_t wait_ms, next_us;
};
void pg_door_init(struct pg_door *door, int64_t first_ms, int64_t most_ms);
void pg_door_fini(struct pg_door *door);
/* True: connect now, then leave. False: it is shut. Waits a moment for a thread that is in it. */
MAY_BLOCK bool pg_door_enter(struct pg_door *door) MUST_CHECK;
bool pg_door_try(struct pg_door *door) MUST_CHECK; /* the same, without waiting */
void pg_door_leave(struct pg_door *door, enum err_e err); /* how it went */

/* What the writers share, and what the readers share. */
struct pg_team {
    struct mailbox box;
    atomic_int working; /* of its threads */
    struct pg_door door;         /* to the primary */
    struct pg_door replica_door; /* the readers' to a standby */
    struct {
        _Atomic uint64_t reads, late;
        _Atomic int64_t behind_us; /* as in store_replica_figures */
    } replica; /* of reads that may lag */
};

/* What a thread last knew of its connection: shared with whoever asks for the store's health. */
struct pg_state {
    mtx_t lock;
    atomic_int *working; /* the team's */
    bool works;
    char reason[160];
};
void pg_state_init(struct pg_state *state, struct pg_team *team);
void pg_state_fini(struct pg_state *state);
void pg_state_set(struct pg_state *state, const char *reason); /* NULL: it works */
/* A thread without a connection leaves what waits to those that have one, if there is any. */
bool pg_leaves_it_to_others(const struct pg_state *state);
MAY_BLOCK void pg_nap(void); /* between two looks at the connection */

struct pg_writer_thread {
    struct pg_writer writer;
    struct pg_team *team;
    thrd_t thread;
    size_t group_max;
    bool moves_mark; /* with whatever changes what lasts */
    struct pg_state state;
};
MAY_BLOCK enum err_e pg_writer_open(struct pg_writer_thread *t,
                                    const struct postgres_options *options,
                                    struct problem *ret_problem);
void pg_writer_close(struct pg_writer_thread *t);
MAY_BLOCK int pg_writer_main(void *thread);

struct pg_reader_thread {
    struct pg_reader reader;
    struct pg_replica replica;
    struct pg_team *team;
    thrd_t thread;
    struct pg_state state;
};
MAY_BLOCK enum err_e pg_reader_open(struct pg_reader_thread *t,
                                    const struct postgres_options *options,
                                    struct problem *ret_problem);
void pg_reader_close(struct pg_reader_thread *t);
MAY_BLOCK int pg_reader_main(void *thread);

/* A connection that a loop waits for. The connector's until `message` is posted. */
struct pg_order {
    struct message link; /* first */
    struct loop_message message;
    struct loop *loop;
    void *owner;
    bool is_abandoned;
    struct pg_conn conn;
};
static inline struct pg_order *pg_order_of(struct loop_message *message) {
    return (struct pg_order *)((char *)message - offsetof(struct pg_order, message));
}
struct pg_connector {
    struct mailbox box;
    mtx_t lock; /* held for a few instructions */
    const char *url;
    struct pg_door *door; /* the readers' */
    thrd_t thread;
    bool is_running;
};
enum err_e pg_connector_start(struct pg_connector *c, const char *url,
                              struct pg_door *door) MUST_CHECK;
MAY_BLOCK void pg_connector_stop(struct pg_connector *c); /* frees what nobody waits for any more */
/* On the loop: `fn` runs there with the order's message once it is connected. NULL: not now. */
struct pg_order *pg_order_connection(struct pg_connector *c, struct loop *loop,
                                     void (*fn)(struct loop_message *), void *owner);
void pg_order_abandon(struct pg_connector *c, struct pg_order *order);

struct store *pg_loop_open(struct store *shared, struct pg_connector *connector,
                           struct clock *clock, struct loop *loop);
void pg_loop_close(struct store *own); /* on the loop; does not wait */

/* Marks the op's end and hands it back. */
void pg_finish_op(struct store_op *op, struct clock *clock);

#endif
