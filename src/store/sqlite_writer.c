/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer thread: takes all operations that wait, runs them in as few transactions as group_max
 * allows, and hands each back only after the commit. There is no fixed delay: the group grows with
 * the time that a commit takes.
 *
 *            take ──► BEGIN IMMEDIATE ──► each op ──► roll-ups ──► COMMIT ──► answer all
 *                          │                 │            │           │
 *                          └──── error ──────┴────────────┴───────────┘
 *                                  │
 *                    the file's (full, I/O): answer all 503, readiness off, reopen, probe until a
 *                    write holds; a commit that failed is never tried again, since a second fsync
 *                    may claim what the first one lost
 *                    one op's (memory): run each op in a transaction of its own, so that it
 *                    fails alone
 *
 * Two lanes: what an offline scanner or an import uploads passes when nobody at a door waits, or
 * else by turns, a group each. Uploads alone come in groups BULK_GROUPS as large: their scans touch
 * pages all over the indexes, so what counts is how often a page is written. (A million scans of
 * the half hour before: 3.7 pages each in groups of 1,024, 1.3 in groups of 8,192.)
 */
#include "store/sqlite_priv.h"

#include "base/log.h"

#include <pthread.h>

enum {
    LOOK_EVERY_MS = 200,
    PROBE_EVERY_MS = 250,
    GAP_US = 1000,
    BULK_GROUPS = 8,
    LOG_PAGES = 8192,                     /* 32 MiB of log before it is moved into the file */
    LOG_PAGES_BULK = 4 * LOG_PAGES,       /* a page that was written often is moved once */
};

typedef enum err_e (*writer_fn)(struct sqlite_writer *w, struct store_op *op);
static const writer_fn functions[STORE_OP_COUNT] = {
    [STORE_CREATE_EVENT] = writer_create_event,
    [STORE_UPDATE_EVENT] = writer_update_event,
    [STORE_CREATE_GATE] = writer_create_gate,
    [STORE_UPDATE_GATE] = writer_update_gate,
    [STORE_CREATE_PARTICIPANT] = writer_create_participant,
    [STORE_UPDATE_PARTICIPANT] = writer_update_participant,
    [STORE_ERASE_PARTICIPANT] = writer_erase_participant,
    [STORE_IMPORT_PARTICIPANTS] = writer_import,
    [STORE_CHECK_IN] = writer_check_in,
    [STORE_ANNUL] = writer_annul,
    [STORE_CREATE_KEY] = writer_create_key,
    [STORE_REVOKE_KEY] = writer_revoke_key,
    [STORE_PROBE] = writer_probe,
    [STORE_ADD_ACTION] = writer_add_action,
    [STORE_END_ACTION] = writer_end_action,
    [STORE_PUT_ORDER] = writer_put_order,
    [STORE_END_ORDER] = writer_end_order,
    [STORE_ADD_NOTICE] = writer_add_notice,
    [STORE_END_NOTICE] = writer_end_notice,
    [STORE_CHANGE_MARK] = writer_change_mark,
};

/* ── one transaction ── */

static enum err_e run_sql(struct sqlite_writer *w, enum sql_e sql) {
    struct sql_run run = sql_begin(&w->conn, sql);
    return sql_finish(&run);
}

static enum err_e load_last_id(struct sqlite_writer *w) {
    bool row;
    struct sql_run run = sql_begin(&w->conn, SQL_LAST_RECORD);
    TRY(sql_step(&run, &row));
    int64_t newest = row ? sql_get_int(&run) : 0;
    w->last_id = newest > w->last_id ? newest : w->last_id;
    sql_end(&run);
    return ERR_OK;
}

/* Admissions of records from `id` on. */
static enum err_e load_recent(struct sqlite_writer *w, int64_t id) {
    struct sql_run run = sql_begin(&w->conn, SQL_RECENT_ADMISSIONS);
    sql_int(&run, id);
    for (;;) {
        bool row;
        TRY(sql_step(&run, &row));
        if (!row) {
            return ERR_OK;
        }
        int64_t gate = sql_get_int(&run);
        int64_t second = sql_get_int(&run);
        sqlite_recent_add(w->recent, gate, second, sql_get_int(&run));
    }
}

/* What others recorded: their ids are above all that were known here. An annulment of theirs stays
 * in the last minute's count until that minute is over. */
static enum err_e catch_up(struct sqlite_writer *w) {
    int64_t minute_ago = (clock_wall_ms(w->conn.clock) - 60000) << 20;
    TRY(load_recent(w, w->last_id >= minute_ago ? w->last_id + 1 : minute_ago));
    return load_last_id(w);
}

/* Another process may have written since: then what we remember is old. */
static enum err_e notice_other_writers(struct sqlite_writer *w) {
    bool row;
    /* Before the look: what comes later is not in. The real clock: this happens by itself too,
     * while a virtual one belongs to whoever asks. */
    int64_t now_us = clock_mono_us(clock_system());
    struct sql_run run = sql_begin(&w->conn, SQL_DATA_VERSION);
    TRY(sql_step(&run, &row));
    int64_t version = row ? sql_get_int(&run) : 0;
    sql_end(&run);
    if (version != w->facts.data_version) {
        bool is_first = w->facts.data_version == 0; /* of this connection */
        facts_drop(&w->facts);
        TRY(catch_up(w));
        TRY(purge_notice(w));
        w->facts.data_version = version;
        atomic_fetch_add(&w->others_wrote, is_first ? 0 : 1);
    }
    atomic_store(&w->others_seen_us, now_us); /* after the count: see sqlite_read_mark */
    return ERR_OK;
}

static enum err_e begin_transaction(struct sqlite_writer *w) {
    TRY(sqlite_begin(&w->conn, SQL_BEGIN_WRITE));
    w->now_ms = clock_wall_ms(w->conn.clock);
    w->changes_len = 0;
    return notice_other_writers(w);
}

static void roll_back(struct sqlite_writer *w) {
    if (w->conn.db != NULL && !sqlite3_get_autocommit(w->conn.db)) {
        enum err_e ignored = run_sql(w, SQL_ROLLBACK);
        (void)ignored; /* reopened when the file fails; without memory sqlite_begin does it */
    }
    facts_drop(&w->facts);
    w->changes_len = 0;
}

static enum err_e commit_transaction(struct sqlite_writer *w) {
    TRY(facts_flush(&w->conn, &w->facts));
    enum err_e err = run_sql(w, SQL_COMMIT);
    if (err == ERR_IO) {
        return ERR_COMMIT_UNKNOWN; /* the log may hold the commit, or not */
    }
    TRY(err);
    for (size_t i = 0; i < w->changes_len; i++) {
        const struct recent_change *change = &w->changes[i];
        sqlite_recent_add(w->recent, change->gate, change->second, change->count);
    }
    return ERR_OK;
}

/* True when the error says nothing about the one operation, only about the file below all of
 * them. */
static bool is_of_the_file(enum err_e err) {
    return err == ERR_IO || err == ERR_NO_SPACE || err == ERR_COMMIT_UNKNOWN ||
           err == ERR_BAD_STORE || err == ERR_OVERLOADED;
}

/* An operation that failed by itself wrote nothing: every check comes before the first write. */
static bool is_of_the_op(enum err_e err) {
    return !is_of_the_file(err) && err != ERR_NO_MEMORY && err != ERR_INTERNAL;
}

static enum err_e run_ops(struct sqlite_writer *w, struct store_op *const *ops, size_t len) {
    for (size_t i = 0; i < len; i++) {
        ops[i]->err = functions[ops[i]->kind](w, ops[i]);
        if (!is_of_the_op(ops[i]->err) && ops[i]->err != ERR_OK) {
            return ops[i]->err;
        }
    }
    return ERR_OK;
}

void sqlite_finish_op(struct store_op *op, struct clock *clock) {
    op->ended_us = clock_mono_us(clock);
    op->done(op);
}

static void answer_all(struct sqlite_writer *w, struct store_op *const *ops, size_t len) {
    for (size_t i = 0; i < len; i++) {
        sqlite_finish_op(ops[i], w->conn.clock);
    }
}

static void fail_all(struct sqlite_writer *w, struct store_op *const *ops, size_t len,
                     enum err_e err) {
    for (size_t i = 0; i < len; i++) {
        ops[i]->err = err;
        sqlite_finish_op(ops[i], w->conn.clock);
    }
}

#ifdef PLANT_ACK_BEFORE_COMMIT
static enum err_e run_transaction(struct sqlite_writer *w, struct store_op *const *ops,
                                  size_t len) {
    enum err_e err = begin_transaction(w);
    err = err == ERR_OK ? run_ops(w, ops, len) : err;
    if (err != ERR_OK) {
        roll_back(w);
        return err;
    }
    answer_all(w, ops, len);
    struct timespec pause = {.tv_nsec = 2000000};
    thrd_sleep(&pause, NULL);
    if (commit_transaction(w) != ERR_OK) {
        roll_back(w);
    }
    return ERR_OK;
}
#else
static void note_commit(const struct sqlite_writer *w, struct store_op *const *ops, size_t len) {
    int64_t now_us = clock_mono_us(w->conn.clock);
    for (size_t i = 0; i < len; i++) {
        ops[i]->committing_us = now_us;
    }
}

static enum err_e run_transaction(struct sqlite_writer *w, struct store_op *const *ops,
                                  size_t len) {
    enum err_e err = begin_transaction(w);
    err = err == ERR_OK ? run_ops(w, ops, len) : err;
    note_commit(w, ops, len);
    err = err == ERR_OK ? commit_transaction(w) : err;
    if (err != ERR_OK) {
        roll_back(w);
        return err;
    }
    answer_all(w, ops, len);
    return ERR_OK;
}
#endif

/* ── health ── */

static void set_health(struct sqlite_writer_thread *t, enum err_e err) {
    mtx_lock(&t->health_lock);
    t->health = (struct store_health){.reads = true, .writes = err == ERR_OK};
    if (err != ERR_OK) {
        snprintf(t->health.reason, sizeof t->health.reason, "%s: %s", err_code(err),
                 err_remedy(err));
    }
    mtx_unlock(&t->health_lock);
}

static void break_down(struct sqlite_writer_thread *t, enum err_e err) {
    if (!t->broken) {
        log_event(LOG_ERROR, "store_writes_failed", "err=%s sqlite=\"%s\"", err_code(err),
                  t->writer.conn.db == NULL ? "" : sqlite3_errmsg(t->writer.conn.db));
    }
    t->broken = true;
    set_health(t, err);
}

/* After each commit, in place of SQLite's own. One that fails is tried after the next. */
static int on_commit(void *data, sqlite3 *db, const char *name, int pages) {
    const struct sqlite_writer *w = data;
    if (pages >= w->log_pages) {
        sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    }
    return SQLITE_OK;
}

static enum err_e open_file(struct sqlite_writer *w, const char *path,
                            struct problem *ret_problem) {
    TRY(sqlite_conn_open(&w->conn, path, SQLITE_WRITER, ret_problem));
    w->log_pages = LOG_PAGES;
    sqlite3_wal_hook(w->conn.db, on_commit, w);
    return ERR_OK;
}

/* Opens the file anew and writes once: only a write that holds says that writes are back. */
static enum err_e try_to_mend(struct sqlite_writer_thread *t) {
    struct sqlite_writer *w = &t->writer;
    sqlite_conn_close(&w->conn);
    facts_drop(&w->facts);
    w->facts.data_version = 0;
    atomic_fetch_add(&w->others_wrote, 1); /* who knows, while it was closed */
    TRY(open_file(w, t->path, NULL));
    enum err_e err = begin_transaction(w);
    err = err == ERR_OK ? writer_probe(w, NULL) : err;
    err = err == ERR_OK ? commit_transaction(w) : err;
    if (err != ERR_OK) {
        roll_back(w);
        return err;
    }
    t->broken = false;
    set_health(t, ERR_OK);
    log_event(LOG_INFO, "store_writes_resumed", "store=sqlite");
    return ERR_OK;
}

/* ── groups ── */

static void run_group(struct sqlite_writer_thread *t, struct store_op **ops, size_t len) {
    struct sqlite_writer *w = &t->writer;
    enum err_e err = t->broken ? try_to_mend(t) : ERR_OK;
    if (err != ERR_OK) {
        set_health(t, err);
        fail_all(w, ops, len, err == ERR_NO_SPACE ? err : ERR_UNAVAILABLE);
        return;
    }
    err = run_transaction(w, ops, len);
    if (err == ERR_OK) {
        return;
    }
    if (is_of_the_file(err)) {
        break_down(t, err);
        fail_all(w, ops, len, err);
        return;
    }
    for (size_t i = 0; i < len; i++) {
        enum err_e alone = len == 1 ? err : run_transaction(w, &ops[i], 1);
        if (alone != ERR_OK) {
            fail_all(w, &ops[i], 1, alone);
        }
    }
}

/* What an operation weighs in its group: a scan or a row each. */
static size_t weight_of(const struct store_op *op) {
    if (op->kind == STORE_CHECK_IN) {
        return op->check_in.len;
    }
    return op->kind == STORE_IMPORT_PARTICIPANTS ? op->import.len : 1;
}

static bool is_late(const struct store_op *op) {
    return op->deadline_us != 0 && op->begun_us > op->deadline_us;
}

enum { GROUP_OPS_MAX = 4096 };

struct lane {
    struct message *first, **last;
};

static void lane_init(struct lane *lane) {
    *lane = (struct lane){.last = &lane->first};
}

static bool is_bulk(const struct store_op *op) {
    return weight_of(op) > 1;
}

static void sort_into(struct message *list, struct lane *doors, struct lane *bulk) {
    while (list != NULL) {
        struct message *next = list->next;
        struct lane *lane = is_bulk((struct store_op *)list) ? bulk : doors;
        list->next = NULL;
        *lane->last = list;
        lane->last = &list->next;
        list = next;
    }
}

/* Takes operations off the lane until the group is full. */
static size_t fill_group(const struct sqlite_writer_thread *t, struct lane *lane,
                         struct store_op **ops, size_t weight_max) {
    size_t len = 0, weight = 0;
    while (lane->first != NULL && len < GROUP_OPS_MAX && weight < weight_max) {
        struct store_op *op = (struct store_op *)lane->first;
        lane->first = op->link.next;
        op->begun_us = clock_mono_us(t->writer.conn.clock);
        if (is_late(op)) {
            op->err = ERR_DEADLINE;
            sqlite_finish_op(op, t->writer.conn.clock);
            continue;
        }
        weight += weight_of(op);
        ops[len++] = op;
    }
    if (lane->first == NULL) {
        lane_init(lane);
    }
    return len;
}

/* With nothing to write: for whoever caches what is read here. What is noticed belongs to one
 * commit. */
static void look_around(struct sqlite_writer *w) {
    enum err_e ignored = sqlite_begin(&w->conn, SQL_BEGIN_READ);
    ignored = ignored == ERR_OK ? notice_other_writers(w) : ignored;
    (void)ignored; /* then the mark grows old, which says enough */
    ignored = run_sql(w, SQL_ROLLBACK);
    (void)ignored;
}

static void leave_gap(const struct sqlite_writer *w) {
    if (atomic_load_explicit(&w->is_shared, memory_order_relaxed)) {
        const struct timespec gap = {.tv_nsec = GAP_US * 1000};
        thrd_sleep(&gap, NULL);
    }
}

static int64_t wait_ms(const struct sqlite_writer_thread *t) {
    return t->broken ? PROBE_EVERY_MS : purge_due_ms(&t->writer.purge, LOOK_EVERY_MS);
}

static void look_after(struct sqlite_writer_thread *t) {
    if (!t->broken) {
        purge_step(&t->writer);
    }
}

static void run_lane(struct sqlite_writer_thread *t, struct lane *lane, size_t weight_max) {
    static thread_local struct store_op *ops[GROUP_OPS_MAX];
    size_t len = fill_group(t, lane, ops, weight_max);
    t->writer.log_pages = weight_max > t->group_max ? LOG_PAGES_BULK : LOG_PAGES;
    if (len > 0) {
        run_group(t, ops, len);
        look_after(t);
        leave_gap(&t->writer);
    }
}

static void do_without_work(struct sqlite_writer_thread *t) {
    if (t->broken) {
        enum err_e err = try_to_mend(t);
        if (err != ERR_OK) {
            set_health(t, err);
        }
    }
    if (!t->broken) {
        look_around(&t->writer);
        look_after(t);
    }
}

static int writer_main(void *data) {
    struct sqlite_writer_thread *t = data;
    struct lane doors, bulk;
    lane_init(&doors);
    lane_init(&bulk);
    pthread_setname_np(pthread_self(), "writer");
    for (;;) {
        bool closed = mailbox_is_closed(&t->box);
        bool is_idle = doors.first == NULL && bulk.first == NULL;
        sort_into(mailbox_wait(&t->box, is_idle ? wait_ms(t) : 0), &doors, &bulk);
        is_idle = doors.first == NULL && bulk.first == NULL;
        if (is_idle && closed) {
            if (!t->broken) {
                purge_before_close(&t->writer);
            }
            return 0;
        }
        if (is_idle) {
            do_without_work(t);
        }
        size_t bulk_max = doors.first == NULL ? BULK_GROUPS * t->group_max : t->group_max;
        run_lane(t, &doors, t->group_max);
        run_lane(t, &bulk, bulk_max);
    }
}

/* ── start and stop ── */

static enum err_e load_token_key(struct sqlite_writer *w) {
    unsigned char fresh[TOKEN_KEY_SIZE];
    rng_fill(w->rng, fresh, sizeof fresh);
    struct sql_run put = sql_begin(&w->conn, SQL_META_PUT);
    sql_word(&put, "token_key");
    sql_blob(&put, slice_from((const char *)fresh, sizeof fresh));
    TRY(sql_finish(&put));
    bool row;
    struct sql_run get = sql_begin(&w->conn, SQL_META_GET);
    sql_word(&get, "token_key");
    TRY(sql_step(&get, &row));
    struct slice key = row ? sql_get_text(&get) : SLICE_NONE;
    enum err_e err = ERR_BAD_STORE;
    if (key.len == TOKEN_KEY_SIZE) {
        w->token_mac = token_mac_create(key);
        err = w->token_mac == NULL ? ERR_NO_MEMORY : ERR_OK;
    }
    sql_end(&get);
    return err;
}

static enum err_e prepare_writer(struct sqlite_writer *w, const char *path,
                                 struct problem *ret_problem) {
    TRY(open_file(w, path, ret_problem));
    TRY(sqlite_migrate(&w->conn, ret_problem));
    TRY(load_token_key(w));
    return catch_up(w);
}

MAY_BLOCK enum err_e writer_thread_open(struct sqlite_writer_thread *t,
                                        const struct sqlite_options *options,
                                        struct sqlite_recent *recent,
                                        struct problem *ret_problem) {
    t->path = options->path;
    t->group_max = options->group_max;
    t->writer.conn.clock = options->clock;
    t->writer.rng = options->rng;
    t->writer.recent = recent;
    mailbox_init(&t->box, options->queue_max, NULL, NULL);
    ASSERT(mtx_init(&t->health_lock, mtx_plain) == thrd_success);
    set_health(t, ERR_OK);
    enum err_e err = prepare_writer(&t->writer, options->path, ret_problem);
    if (err == ERR_OK) { /* before anybody reads: what others write from here on is noticed */
        err = notice_other_writers(&t->writer);
    }
    if (err != ERR_OK && ret_problem != NULL && ret_problem->detail[0] == '\0') {
        /* SQLite speaks of its last call, which may be the clearing up after it had no memory. */
        bool is_sqlites = err != ERR_NO_MEMORY && t->writer.conn.db != NULL;
        problem_set(ret_problem, err, "store.url", "%.120s: %.100s", options->path,
                    is_sqlites ? sqlite3_errmsg(t->writer.conn.db) : err_remedy(err));
    }
    return err;
}

MAY_BLOCK enum err_e writer_thread_start(struct sqlite_writer_thread *t) {
    return thrd_create(&t->thread, writer_main, t) == thrd_success ? ERR_OK : ERR_NO_MEMORY;
}

MAY_BLOCK void writer_thread_stop(struct sqlite_writer_thread *t) {
    mailbox_close(&t->box);
    thrd_join(t->thread, NULL);
}

MAY_BLOCK void writer_thread_close(struct sqlite_writer_thread *t) {
    facts_drop(&t->writer.facts);
    free(t->writer.changes);
    token_mac_destroy(t->writer.token_mac);
    sqlite_conn_close(&t->writer.conn);
    mailbox_fini(&t->box);
    mtx_destroy(&t->health_lock);
}
