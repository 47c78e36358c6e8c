/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A writer thread: takes operations that wait, decides their scans in groups of up to
 * group_max, one transaction each, and hands an operation back only when its commit was answered.
 *
 *   take ──► scans in a row ──► BEGIN, lock, facts │ decide │ write, COMMIT ──► answer all
 *            another operation ─► BEGIN … COMMIT ──► answer
 *
 *                     what failed                         what is done
 *   PG_LOST           before the commit was sent          reconnect, once more; 503 after silence
 *                     behind it, without its answer       503 commit_unknown: the nonce tells
 *   PG_AGAIN          deadlock, serialization             once more, a few times
 *   PG_NO_PARTITION   a record's quarter                  make the partition, once more
 *   PG_DATA           a value                             halve the group until it fails alone
 *   PG_SERVER         full, slow                          503 for all of them
 *
 * Several writers, here and on other nodes, work at once: what they share is the database's locks.
 */
#include "store/postgres_priv.h"

#include "base/log.h"

#include <pthread.h>
#include <time.h>

enum {
    IDLE_MS = 1000,
    ATTEMPTS_MAX = 8,      /* of one transaction */
    LOST_RETRIES_MAX = 1,
    GROUP_OPS_MAX = 4096,
    NAP_MS = 50,
    LOOK_MS = 100, /* without a connection */
};

/* ── what is known ── */

void pg_state_init(struct pg_state *state, struct pg_team *team) {
    *state = (struct pg_state){.working = &team->working};
    ASSERT(mtx_init(&state->lock, mtx_plain) == thrd_success);
}

void pg_state_fini(struct pg_state *state) {
    mtx_destroy(&state->lock);
}

bool pg_leaves_it_to_others(const struct pg_state *state) {
    return !state->works && atomic_load(state->working) > 0;
}

MAY_BLOCK void pg_nap(void) {
    struct timespec nap = {.tv_nsec = NAP_MS * 1000000};
    thrd_sleep(&nap, NULL);
}

void pg_state_set(struct pg_state *state, const char *reason) {
    mtx_lock(&state->lock);
    bool works = reason == NULL;
    atomic_fetch_add(state->working, (int)works - (int)state->works);
    state->works = works;
    snprintf(state->reason, sizeof state->reason, "%s", reason == NULL ? "" : reason);
    mtx_unlock(&state->lock);
}

void pg_finish_op(struct store_op *op, struct clock *clock) {
    op->ended_us = clock_mono_us(clock);
    op->done(op);
}

/* ── one transaction ── */

static void roll_back(struct pg_writer *w) {
    if (w->conn.failure == PG_LOST) {
        pg_close(&w->conn);
        return;
    }
    if (w->conn.pg != NULL && PQtransactionStatus(w->conn.pg) != PQTRANS_IDLE) {
        /* What was put and not run must go out before it, or it would be run in another
         * transaction. */
        enum err_e ignored = w->conn.ran ? ERR_OK : pg_run(&w->conn);
        pg_put(&w->conn, PG_SQL_ROLLBACK, NULL);
        ignored = pg_run(&w->conn);
        if (ignored != ERR_OK) {
            pg_close(&w->conn);
        }
    }
}

/* Sends the commit with what was put before it and says how it ended. */
MAY_BLOCK static enum err_e commit(struct pg_writer *w) {
    w->committing_us = clock_mono_us(w->clock);
    struct pg_conn *conn = &w->conn;
    size_t place = pg_put(conn, PG_SQL_COMMIT, NULL);
    conn->has_warned = false;
    enum err_e err = pg_run(conn);
    if (err == ERR_OK && conn->has_warned) {
        snprintf(conn->detail, sizeof conn->detail, "it stopped waiting for its standby");
        return ERR_COMMIT_UNKNOWN;
    }
    if (err == ERR_OK) {
        bool committed = strcmp(PQcmdStatus(conn->replies[place]), "COMMIT") == 0;
        ASSERT(committed); /* PostgreSQL answers ROLLBACK only for a transaction that failed */
        return ERR_OK;
    }
    bool refused_before = conn->failed_at < place;
    bool refused_itself = conn->failed_at == place && conn->failure != PG_LOST &&
                          conn->failure != PG_SERVER;
    bool is_unknown = !refused_before && !refused_itself;
#ifdef PLANT_GUESS_COMMIT
    return is_unknown ? ERR_OK : err;
#else
    return is_unknown ? ERR_COMMIT_UNKNOWN : err;
#endif
}

MAY_BLOCK static enum err_e attempt(struct pg_writer *w, pg_work_fn work, void *what) {
    arena_reset(&w->arena);
    w->conn.failure = PG_FINE;
    w->now_ms = clock_wall_ms(w->clock);
    pg_put(&w->conn, PG_SQL_BEGIN, NULL);
    enum err_e err = work(w, what);
    if (err == ERR_OK && w->moves_mark) { /* last: its row is locked no longer than the commit */
        pg_put_mark(w, rng_u64(w->rng));
    }
    err = err == ERR_OK ? commit(w) : err;
    if (err != ERR_OK) {
        /* Whatever an unknown commit says, its connection is not asked again. */
        enum pg_failure_e failure = err == ERR_COMMIT_UNKNOWN ? PG_LOST : w->conn.failure;
        char detail[sizeof w->conn.detail];
        memcpy(detail, w->conn.detail, sizeof detail);
        w->conn.failure = failure;
        roll_back(w);
        w->conn.failure = failure;
        memcpy(w->conn.detail, detail, sizeof detail);
    }
    return err;
}

/* DDL waits behind whoever uses the table, and everybody else behind it: so it gives up soon, and
 * tries again with more patience. */
MAY_BLOCK static enum err_e make_partition(struct pg_writer *w, int64_t at_ms) {
    static const char *const patience[] = {"200ms", "500ms", "1s", "2s"};
    enum err_e err = ERR_OK;
    for (size_t i = 0; i < sizeof patience / sizeof patience[0]; i++) {
        struct pg_args wait, at;
        pg_args_init(&wait);
        pg_arg_word(&wait, patience[i]);
        pg_args_init(&at);
        pg_arg_time(&at, at_ms);
        pg_put(&w->conn, PG_SQL_BEGIN, NULL);
        pg_put(&w->conn, PG_SQL_PARTITION_WAIT, &wait);
        pg_put(&w->conn, PG_SQL_PARTITION_MAKE, &at);
        pg_put(&w->conn, PG_SQL_COMMIT, NULL);
        err = pg_run(&w->conn);
        if (err == ERR_OK || w->conn.failure == PG_LOST) {
            break;
        }
        roll_back(w); /* also when another node made it at the same moment */
    }
    if (err != ERR_OK) {
        log_event(LOG_ERROR, "partition_failed", "err=%s postgres=\"%s\"", err_code(err),
                  w->conn.detail);
    }
    return err;
}

/* Makes the partitions that the records of this attempt needed; their times are in its array. */
MAY_BLOCK static enum err_e make_partitions(struct pg_writer *w) {
    for (size_t i = 0; i < w->times_len; i++) {
        TRY(make_partition(w, w->times[i]));
    }
    return w->times_len > 0 ? ERR_OK : ERR_INTERNAL;
}

/* The numbers that this database has given to the row types of its tables. */
MAY_BLOCK static enum err_e learn_row_types(struct pg_writer *w) {
    size_t place = pg_put(&w->conn, PG_SQL_ROW_TYPES, NULL);
    TRY(pg_run(&w->conn));
    struct pg_rows rows = pg_rows_of(&w->conn, place);
    if (!pg_next(&rows)) {
        return ERR_BAD_STORE;
    }
    w->records.type = (unsigned)pg_get_int(&rows);
    w->nonces.type = (unsigned)pg_get_int(&rows);
    w->ledger.type = w->newcomers.type = (unsigned)pg_get_int(&rows);
    return ERR_OK;
}

MAY_BLOCK static enum err_e connect_writer(struct pg_writer *w, struct problem *ret_problem) {
    TRY(pg_open(&w->conn, w->url, PG_WRITER, ret_problem));
    enum err_e err = learn_row_types(w);
    if (err != ERR_OK) {
        problem_set(ret_problem, err, "store.url", "cannot read the types of rows: %s",
                    w->conn.detail);
        pg_close(&w->conn);
    }
    return err;
}

/* Leaves the connection closed and lost when it fails. */
MAY_BLOCK static enum err_e reconnect(struct pg_writer *w, struct problem *ret_problem) {
    pg_close(&w->conn);
    pg_forget_known(w);
    enum err_e err = connect_writer(w, ret_problem);
    if (err != ERR_OK) {
        w->conn.failure = PG_LOST;
        snprintf(w->conn.detail, sizeof w->conn.detail, "%.199s", ret_problem->detail);
    }
    return err;
}

/* For the one more attempt of a transaction. */
MAY_BLOCK static enum err_e reconnect_at_once(struct pg_writer *w) {
    struct problem problem = {.detail = "it waits before it connects again"};
    enum err_e err = ERR_UNAVAILABLE;
    if (pg_door_enter(w->door)) {
        err = reconnect(w, &problem);
        pg_door_leave(w->door, err);
    }
    return err;
}

/* After an error: may the transaction run again, and is everything ready for it? */
MAY_BLOCK static bool prepare_retry(struct pg_writer *w, enum err_e err, int *lost) {
    if (err == ERR_COMMIT_UNKNOWN) {
        return false;
    }
    switch (w->conn.failure) {
    case PG_AGAIN:
        return true;
    case PG_NO_PARTITION:
        return make_partitions(w) == ERR_OK;
    case PG_LOST:
        return !w->conn.is_silent && (*lost)++ < LOST_RETRIES_MAX && reconnect_at_once(w) == ERR_OK;
    case PG_FINE:
    case PG_SERVER:
    case PG_DATA:
        return false;
    }
    UNREACHABLE();
}

MAY_BLOCK enum err_e pg_transact(struct pg_writer *w, pg_work_fn work, void *what) {
    enum err_e err = ERR_OK;
    int lost = 0;
    for (int i = 0; i < ATTEMPTS_MAX; i++) {
        w->times_len = 0;
        err = attempt(w, work, what);
        if (err == ERR_OK || !prepare_retry(w, err, &lost)) {
            return err;
        }
    }
    return err;
}

MAY_BLOCK enum err_e pg_probe(struct pg_writer *w, void *op) {
    (void)op;
    char text[24];
    struct pg_args args;
    snprintf(text, sizeof text, "%lld", (long long)w->now_ms);
    pg_args_init(&args);
    pg_arg_bytes(&args, slice_of(text));
    pg_put(&w->conn, PG_SQL_PROBE, &args);
    return ERR_OK;
}

/* ── health ── */

static bool is_of_the_server(const struct pg_writer *w, enum err_e err) {
    return err == ERR_COMMIT_UNKNOWN || w->conn.failure == PG_LOST ||
           (w->conn.failure == PG_SERVER && (err == ERR_NO_SPACE || err == ERR_IO ||
                                             err == ERR_BAD_STORE || err == ERR_UNAVAILABLE));
}

static void break_down(struct pg_writer_thread *t, enum err_e err, const char *why) {
    char reason[160];
    snprintf(reason, sizeof reason, "%s: %.120s", err_code(err), why);
    if (t->state.works) {
        log_event(LOG_ERROR, "store_writes_failed", "err=%s postgres=\"%s\"", err_code(err), why);
    }
    pg_state_set(&t->state, reason);
}

static void note_outcome(struct pg_writer_thread *t, enum err_e err) {
    if (err != ERR_OK && is_of_the_server(&t->writer, err)) {
        char why[sizeof t->writer.conn.detail];
        memcpy(why, t->writer.conn.detail, sizeof why);
        break_down(t, err, why);
        pg_close(&t->writer.conn);
    }
}

/* Connects anew and writes once: only a write that holds says that writes are back. */
MAY_BLOCK static enum err_e try_to_mend(struct pg_writer_thread *t) {
    struct pg_writer *w = &t->writer;
    struct problem problem = {.detail = ""};
    if (!pg_door_enter(w->door)) {
        return ERR_UNAVAILABLE;
    }
    enum err_e err = reconnect(w, &problem);
    if (err == ERR_OK) {
        err = attempt(w, pg_probe, NULL);
        snprintf(problem.detail, sizeof problem.detail, "%s", w->conn.detail);
    }
    pg_door_leave(w->door, err);
    if (err != ERR_OK) {
        break_down(t, err, problem.detail);
        pg_close(&w->conn);
        return err;
    }
    pg_state_set(&t->state, NULL);
    log_event(LOG_INFO, "store_writes_resumed", "store=postgres");
    return ERR_OK;
}

/* ── scans ── */

/* What an error says about these scans: their operations fail as a whole. An operation of which a
 * part is committed already is asked for again by nonce, like one whose commit is unknown. */
static void fail_scans(const struct pg_scans *scans, enum err_e err) {
    for (size_t i = 0; i < scans->len; i++) {
        struct store_op *op = scans->items[i].op;
        bool in_part = scans->items[i].scan > op->check_in.scans && op->err == ERR_OK;
        op->err = in_part ? ERR_COMMIT_UNKNOWN : op->err == ERR_OK ? err : op->err;
    }
}

MAY_BLOCK static void decide_scans(struct pg_writer_thread *t, const struct pg_scans *scans) {
    struct pg_scans all = *scans;
    enum err_e err = pg_transact(&t->writer, pg_check_in, &all);
    if (err == ERR_OK) {
        return;
    }
    note_outcome(t, err);
    if (t->writer.conn.failure != PG_DATA && err != ERR_NO_MEMORY) {
        fail_scans(scans, err);
    } else if (scans->len == 1) {
        *scans->items[0].result = (struct scan_result){.err = err};
    } else {
        size_t half = scans->len / 2;
        struct pg_scans first = {scans->items, half};
        struct pg_scans second = {scans->items + half, scans->len - half};
        decide_scans(t, &first);
        decide_scans(t, &second);
    }
}

/* The scans of these operations, one after another, as one group. */
MAY_BLOCK static void run_check_ins(struct pg_writer_thread *t, struct store_op **ops,
                                    size_t len) {
    struct pg_scans scans = {.len = 0};
    size_t size = 0;
    t->writer.committing_us = 0;
    for (size_t i = 0; i < len; i++) {
        ops[i]->err = ERR_OK;
        size += ops[i]->check_in.len;
    }
    scans.items = calloc(size + 1, sizeof *scans.items);
    for (size_t i = 0; i < len && scans.items != NULL; i++) {
        for (size_t j = 0; j < ops[i]->check_in.len; j++) {
            scans.items[scans.len++] = (struct pg_scan){ops[i], &ops[i]->check_in.scans[j],
                                                        &ops[i]->check_in.results[j]};
        }
    }
    if (scans.items != NULL) {
        decide_scans(t, &scans);
    }
    for (size_t i = 0; i < len; i++) {
        ops[i]->err = scans.items == NULL ? ERR_NO_MEMORY : ops[i]->err;
        ops[i]->committing_us = t->writer.committing_us;
        pg_finish_op(ops[i], t->writer.clock);
    }
    free(scans.items);
}

/* ── imports and the rest ── */

static enum err_e reject_row(struct store_op *op, struct import_row *row, enum err_e err) {
    row->ret_outcome = IMPORT_REJECTED;
    row->ret_reason = arena_copy(&op->arena, slice_of(err_remedy(err)));
    return row->ret_reason.at == NULL ? ERR_NO_MEMORY : ERR_OK;
}

MAY_BLOCK static enum err_e import_rows(struct pg_writer_thread *t, struct pg_import rows) {
    enum err_e err = pg_transact(&t->writer, pg_import_rows, &rows);
    if (err == ERR_OK) {
        return ERR_OK;
    }
    note_outcome(t, err);
    if (t->writer.conn.failure != PG_DATA) {
        return err;
    }
    if (rows.len == 1) {
        return reject_row(rows.op, rows.rows, err);
    }
    size_t half = rows.len / 2;
    TRY(import_rows(t, (struct pg_import){rows.op, rows.rows, half}));
    return import_rows(t, (struct pg_import){rows.op, rows.rows + half, rows.len - half});
}

static const pg_work_fn works[STORE_OP_COUNT] = {
    [STORE_CREATE_EVENT] = pg_create_event,
    [STORE_UPDATE_EVENT] = pg_update_event,
    [STORE_CREATE_GATE] = pg_create_gate,
    [STORE_UPDATE_GATE] = pg_update_gate,
    [STORE_CREATE_PARTICIPANT] = pg_create_participant,
    [STORE_UPDATE_PARTICIPANT] = pg_update_participant,
    [STORE_ERASE_PARTICIPANT] = pg_erase_participant,
    [STORE_ANNUL] = pg_annul,
    [STORE_CREATE_KEY] = pg_create_key,
    [STORE_REVOKE_KEY] = pg_revoke_key,
    [STORE_PROBE] = pg_probe,
    [STORE_CHANGE_MARK] = pg_change_mark,
    [STORE_ADD_ACTION] = pg_add_action,
    [STORE_END_ACTION] = pg_end_action,
    [STORE_PUT_ORDER] = pg_put_order,
    [STORE_END_ORDER] = pg_end_order,
    [STORE_ADD_NOTICE] = pg_add_notice,
    [STORE_END_NOTICE] = pg_end_notice,
    [STORE_REGISTER_NODE] = pg_register_node,
    [STORE_LEAVE_NODE] = pg_leave_node,
    [STORE_CLUSTER_SECRET] = pg_cluster_secret,
};

MAY_BLOCK static void run_other(struct pg_writer_thread *t, struct store_op *op) {
    t->writer.committing_us = 0;
    t->writer.moves_mark = t->moves_mark && store_op_changes_lasting(op->kind);
    if (op->kind == STORE_IMPORT_PARTICIPANTS) {
        op->err = import_rows(t, (struct pg_import){op, op->import.rows, op->import.len});
    } else {
        op->err = pg_transact(&t->writer, works[op->kind], op);
        note_outcome(t, op->err);
    }
    t->writer.moves_mark = false;
    op->committing_us = t->writer.committing_us;
    pg_finish_op(op, t->writer.clock);
}

/* ── groups ── */

/* Without a connection: whoever has one takes it, else it is answered 503. */
static void pass_on(struct pg_writer_thread *t, struct store_op *op) {
    if (pg_leaves_it_to_others(&t->state) && mailbox_post(&t->team->box, &op->link)) {
        return;
    }
    op->err = ERR_UNAVAILABLE;
    pg_finish_op(op, t->writer.clock);
}

MAY_BLOCK static void run_ops(struct pg_writer_thread *t, struct store_op **ops, size_t len) {
    for (size_t i = 0; i < len;) {
        enum err_e err = t->state.works ? ERR_OK : try_to_mend(t);
        if (err != ERR_OK) {
            pass_on(t, ops[i++]);
            continue;
        }
        size_t scans = 0;
        while (i + scans < len && ops[i + scans]->kind == STORE_CHECK_IN) {
            scans++;
        }
        if (scans > 0) {
            run_check_ins(t, ops + i, scans);
        } else {
            run_other(t, ops[i]);
        }
        i += scans > 0 ? scans : 1;
    }
}

static bool is_late(const struct store_op *op) {
    return op->deadline_us != 0 && op->begun_us > op->deadline_us;
}

/* Takes operations off the list until the group is full. */
static size_t fill_group(struct pg_writer_thread *t, struct message **list,
                         struct store_op **ops) {
    size_t len = 0, weight = 0;
    while (*list != NULL && len < GROUP_OPS_MAX && weight < t->group_max) {
        struct store_op *op = (struct store_op *)*list;
        *list = op->link.next;
        op->begun_us = clock_mono_us(t->writer.clock);
        if (is_late(op)) {
            op->err = ERR_DEADLINE;
            pg_finish_op(op, t->writer.clock);
            continue;
        }
        weight += op->kind == STORE_CHECK_IN ? op->check_in.len : 1;
        ops[len++] = op;
    }
    return len;
}

MAY_BLOCK static void look_at_connection(struct pg_writer_thread *t) {
    if (t->state.works && !pg_is_alive(&t->writer.conn)) {
        break_down(t, ERR_UNAVAILABLE, "the server hung up");
        pg_close(&t->writer.conn);
    }
    if (!t->state.works) {
        enum err_e ignored = try_to_mend(t);
        (void)ignored; /* the state says so */
    }
}

/* What waits, no more than a group: the rest can go to another writer, or be answered when it is
 * late while this one waits for the server. NULL after a while without anything. */
MAY_BLOCK static struct message *take(struct pg_writer_thread *t) {
    if (pg_leaves_it_to_others(&t->state)) {
        pg_nap();
        return NULL;
    }
    return mailbox_wait_some(&t->team->box, t->group_max, t->state.works ? IDLE_MS : LOOK_MS);
}

MAY_BLOCK int pg_writer_main(void *thread) {
    struct pg_writer_thread *t = thread;
    pthread_setname_np(pthread_self(), "writer");
    static thread_local struct store_op *ops[GROUP_OPS_MAX];
    for (;;) {
        bool closed = mailbox_is_closed(&t->team->box);
        struct message *list = take(t);
        if (list == NULL && closed) {
            return 0;
        }
        if (list == NULL) {
            look_at_connection(t);
        }
        while (list != NULL) {
            size_t len = fill_group(t, &list, ops);
            run_ops(t, ops, len);
        }
    }
}

/* ── start and end ── */

MAY_BLOCK static enum err_e load_token_key(struct pg_writer *w) {
    unsigned char fresh[TOKEN_KEY_SIZE];
    struct pg_args put, get;
    rng_fill(w->rng, fresh, sizeof fresh);
    pg_args_init(&put);
    pg_arg_word(&put, "token_key");
    pg_arg_bytes(&put, slice_from((const char *)fresh, sizeof fresh));
    pg_args_init(&get);
    pg_arg_word(&get, "token_key");
    pg_put(&w->conn, PG_SQL_META_PUT, &put);
    size_t place = pg_put(&w->conn, PG_SQL_META_GET, &get);
    TRY(pg_run(&w->conn));
    struct pg_rows rows = pg_rows_of(&w->conn, place);
    struct slice key = pg_next(&rows) ? pg_get_text(&rows) : SLICE_NONE;
    if (key.len != TOKEN_KEY_SIZE) {
        return ERR_BAD_STORE;
    }
    w->token_mac = token_mac_create(key);
    return w->token_mac == NULL ? ERR_NO_MEMORY : ERR_OK;
}

static void init_arrays(struct pg_writer *w) {
    pg_array_init(&w->records, 0); /* their types: learn_row_types */
    pg_array_init(&w->nonces, 0);
    pg_array_init(&w->ledger, 0);
    pg_array_init(&w->newcomers, 0);
    for (size_t i = 0; i < PG_EVENT_ARRAYS; i++) {
        pg_array_init(&w->events[i], PG_BIGINT);
    }
    for (size_t i = 0; i < PG_GATE_ARRAYS; i++) {
        pg_array_init(&w->gates[i], PG_BIGINT);
    }
    for (size_t i = 0; i < PG_MINUTE_ARRAYS; i++) {
        pg_array_init(&w->minutes[i], PG_BIGINT);
    }
}

static void fini_arrays(struct pg_writer *w) {
    pg_array_fini(&w->records);
    pg_array_fini(&w->nonces);
    pg_array_fini(&w->ledger);
    pg_array_fini(&w->newcomers);
    for (size_t i = 0; i < PG_EVENT_ARRAYS; i++) {
        pg_array_fini(&w->events[i]);
    }
    for (size_t i = 0; i < PG_GATE_ARRAYS; i++) {
        pg_array_fini(&w->gates[i]);
    }
    for (size_t i = 0; i < PG_MINUTE_ARRAYS; i++) {
        pg_array_fini(&w->minutes[i]);
    }
}

MAY_BLOCK enum err_e pg_writer_open(struct pg_writer_thread *t,
                                    const struct postgres_options *options,
                                    struct problem *ret_problem) {
    struct pg_writer *w = &t->writer;
    w->clock = options->clock;
    w->rng = options->rng;
    w->url = options->url;
    w->door = &t->team->door;
    t->group_max = options->group_max;
    t->moves_mark = options->moves_mark;
    arena_init(&w->arena, PG_ARRAY_MEMORY);
    arena_init(&w->known_arena, PG_ARRAY_MEMORY);
    init_arrays(w);
    pg_state_init(&t->state, t->team);
    TRY(connect_writer(w, ret_problem));
    enum err_e err = load_token_key(w);
    if (err != ERR_OK) {
        return problem_set(ret_problem, err, "store.url", "cannot read the token key: %s",
                           w->conn.detail);
    }
    pg_state_set(&t->state, NULL);
    return ERR_OK;
}

void pg_writer_close(struct pg_writer_thread *t) {
    struct pg_writer *w = &t->writer;
    fini_arrays(w);
    token_mac_destroy(w->token_mac);
    pg_close(&w->conn);
    arena_fini(&w->arena);
    arena_fini(&w->known_arena);
    pg_state_fini(&t->state);
}
