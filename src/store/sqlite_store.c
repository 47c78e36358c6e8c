/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam: operations go to the writer's mailbox or to the readers', and come back through `done`.
 * Readers see the last commit; WAL lets them read beside the writer.
 */
#include "store/sqlite_priv.h"

#include <pthread.h>

enum { READERS_MAX = 16, READER_WAIT_MS = 1000 };

struct reader_thread {
    struct sqlite_reader reader;
    struct mailbox *box;
    thrd_t thread;
};

struct sqlite_store {
    struct store base;
    char *path;
    struct clock *clock;
    struct sqlite_recent *recent;
    struct sqlite_writer_thread writer;
    struct mailbox reads; /* shared by the readers */
    struct reader_thread readers[READERS_MAX];
    size_t readers_open;
    size_t readers_started;
};

typedef enum err_e (*reader_fn)(struct sqlite_reader *r, struct store_op *op);
static const reader_fn functions[STORE_OP_COUNT] = {
    [STORE_LOAD_EVENT] = reader_load_event,
    [STORE_LIST_EVENTS] = reader_list_events,
    [STORE_LOAD_GATE] = reader_load_gate,
    [STORE_LIST_GATES] = reader_list_gates,
    [STORE_LOAD_PARTICIPANT] = reader_load_participant,
    [STORE_LIST_PARTICIPANTS] = reader_list_participants,
    [STORE_LIST_ATTENDANCE] = reader_list_attendance,
    [STORE_READ_STATS] = reader_stats,
    [STORE_READ_TIMELINE] = reader_timeline,
    [STORE_LOAD_KEY] = reader_load_key,
    [STORE_LIST_KEYS] = reader_list_keys,
    [STORE_LIST_ACTIONS] = reader_list_actions,
    [STORE_LIST_ORDERS] = reader_list_orders,
    [STORE_LIST_NOTICES] = reader_list_notices,
    [STORE_READ_MARK] = reader_read_mark,
};

/* ── reading ── */

/* All statements of one operation see the same commit. */
static enum err_e read_in_transaction(struct sqlite_reader *r, struct store_op *op) {
    TRY(sqlite_begin(&r->conn, SQL_BEGIN_READ));
    enum err_e err = functions[op->kind](r, op);
    struct sql_run end = sql_begin(&r->conn, SQL_ROLLBACK);
    enum err_e ended = sql_finish(&end);
    return err != ERR_OK ? err : ended;
}

static void run_read(struct sqlite_reader *r, struct store_op *op) {
    op->begun_us = clock_mono_us(r->conn.clock);
    if (op->deadline_us != 0 && op->begun_us > op->deadline_us) {
        op->err = ERR_DEADLINE;
    } else {
        r->conn.deadline_us = op->deadline_us;
        op->err = read_in_transaction(r, op);
        r->conn.deadline_us = 0;
    }
    sqlite_finish_op(op, r->conn.clock);
}

static int reader_main(void *data) {
    struct reader_thread *t = data;
    pthread_setname_np(pthread_self(), "reader");
    for (;;) {
        bool closed = mailbox_is_closed(t->box);
        struct message *message = mailbox_wait_one(t->box, READER_WAIT_MS);
        if (message == NULL && closed) {
            return 0;
        }
        if (message != NULL) {
            run_read(&t->reader, (struct store_op *)message);
        }
    }
}

/* ── the seam ── */

/* There is one node, so there is nobody to know of. */
static bool is_of_many_nodes(enum store_op_e kind) {
    return kind == STORE_REGISTER_NODE || kind == STORE_LEAVE_NODE || kind == STORE_LIST_NODES ||
           kind == STORE_CLUSTER_SECRET;
}

static void sqlite_submit(struct store *store, struct store_op *op) {
    struct sqlite_store *sqlite = (struct sqlite_store *)store;
    bool writes = store_op_writes(op->kind);
    op->submitted_us = clock_mono_us(sqlite->clock);
    if (is_of_many_nodes(op->kind)) {
        op->begun_us = op->submitted_us;
        op->err = problem_set(&op->problem, ERR_CONFIG, "store.url",
                              "one node alone serves a SQLite file: several need PostgreSQL");
        sqlite_finish_op(op, sqlite->clock);
    } else if (!mailbox_post(writes ? &sqlite->writer.box : &sqlite->reads, &op->link)) {
        op->err = ERR_OVERLOADED;
        op->begun_us = op->submitted_us;
        sqlite_finish_op(op, sqlite->clock);
    }
}

static void sqlite_health(struct store *store, struct store_health *ret_health) {
    struct sqlite_writer_thread *writer = &((struct sqlite_store *)store)->writer;
    mtx_lock(&writer->health_lock);
    *ret_health = writer->health;
    mtx_unlock(&writer->health_lock);
}

void sqlite_read_mark(struct store *store, struct store_mark *ret_mark) {
    const struct sqlite_writer *writer = &((struct sqlite_store *)store)->writer.writer;
    ret_mark->as_of_us = atomic_load(&writer->others_seen_us); /* first: the count may be newer */
    ret_mark->changes = atomic_load(&writer->others_wrote);
}

void sqlite_share(struct store *store, bool is_shared) {
    struct sqlite_writer *writer = &((struct sqlite_store *)store)->writer.writer;
    atomic_store_explicit(&writer->is_shared, is_shared, memory_order_relaxed);
}

/* ── open and close ── */

static MAY_BLOCK void free_store(struct sqlite_store *sqlite) {
    for (size_t i = 0; i < sqlite->readers_open; i++) {
        sqlite_conn_close(&sqlite->readers[i].reader.conn);
    }
    writer_thread_close(&sqlite->writer);
    mailbox_fini(&sqlite->reads);
    sqlite_recent_destroy(sqlite->recent);
    free(sqlite->path);
    free(sqlite);
}

static MAY_BLOCK void stop_readers(struct sqlite_store *sqlite) {
    mailbox_close(&sqlite->reads);
    for (size_t i = 0; i < sqlite->readers_started; i++) {
        thrd_join(sqlite->readers[i].thread, NULL);
    }
}

static MAY_BLOCK void sqlite_close(struct store *store) {
    struct sqlite_store *sqlite = (struct sqlite_store *)store;
    writer_thread_stop(&sqlite->writer);
    stop_readers(sqlite);
    free_store(sqlite);
}

static MAY_BLOCK enum err_e open_readers(struct sqlite_store *sqlite, size_t count,
                                         struct problem *ret_problem) {
    for (size_t i = 0; i < count; i++) {
        struct reader_thread *reader = &sqlite->readers[i];
        reader->box = &sqlite->reads;
        reader->reader.recent = sqlite->recent;
        reader->reader.conn.clock = sqlite->clock;
        TRY(sqlite_conn_open(&reader->reader.conn, sqlite->path, SQLITE_READER, ret_problem));
        sqlite->readers_open++;
    }
    return ERR_OK;
}

static MAY_BLOCK enum err_e start_threads(struct sqlite_store *sqlite) {
    while (sqlite->readers_started < sqlite->readers_open) {
        struct reader_thread *reader = &sqlite->readers[sqlite->readers_started];
        if (thrd_create(&reader->thread, reader_main, reader) != thrd_success) {
            return ERR_NO_MEMORY;
        }
        sqlite->readers_started++;
    }
    return writer_thread_start(&sqlite->writer);
}

static struct sqlite_store *new_store(const struct sqlite_options *options) {
    static const struct store_vtable vtable = {"sqlite", sqlite_submit, sqlite_health,
                                               sqlite_close};
    struct sqlite_store *sqlite = calloc(1, sizeof *sqlite);
    if (sqlite == NULL) {
        return NULL;
    }
    sqlite->base.vtable = &vtable;
    sqlite->clock = options->clock;
    sqlite->path = strdup(options->path);
    sqlite->recent = sqlite_recent_create();
    if (sqlite->path == NULL || sqlite->recent == NULL) {
        sqlite_recent_destroy(sqlite->recent);
        free(sqlite->path);
        free(sqlite);
        return NULL;
    }
    mailbox_init(&sqlite->reads, options->queue_max, NULL, NULL);
    return sqlite;
}

/* Each connection belongs to one thread, and nobody asks for SQLite's memory statistics: without
 * them an allocation takes no lock. Before the library's first use only. */
static void configure_library(void) {
    sqlite3_config(SQLITE_CONFIG_MULTITHREAD);
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

MAY_BLOCK enum err_e sqlite_open(const struct sqlite_options *options, struct store **ret_store,
                                 struct problem *ret_problem) {
    ASSERT(options->readers >= 1 && options->readers <= READERS_MAX && options->group_max >= 1);
    static once_flag once = ONCE_FLAG_INIT;
    call_once(&once, configure_library);
    struct sqlite_store *sqlite = new_store(options);
    if (sqlite == NULL) {
        return ERR_NO_MEMORY;
    }
    struct sqlite_options own = *options;
    own.path = sqlite->path;
    enum err_e err = writer_thread_open(&sqlite->writer, &own, sqlite->recent, ret_problem);
    err = err == ERR_OK ? open_readers(sqlite, options->readers, ret_problem) : err;
    err = err == ERR_OK ? start_threads(sqlite) : err;
    if (err != ERR_OK) {
        stop_readers(sqlite);
        free_store(sqlite);
        return err;
    }
    *ret_store = &sqlite->base;
    return ERR_OK;
}
