/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A loop's own way to the store: short reads go out on a connection of the loop's, in libpq's
 * pipeline and without a thread between; everything else goes to the shared store's threads.
 *
 *   submit ─┬─ write, long read, no connection, pipeline full ──► the shared store
 *           └─ short read ──► put, Sync ──► replies ──► done, on the loop
 *
 *   NONE ── order ──► ORDERED ── connected ──► READY ── lost, late or hung up ──► NONE
 *
 * Invariants:
 *   1. An operation is answered once: one that a lost connection held is asked once more by the
 *      shared store, or answered ERR_DEADLINE when its time has gone.
 *   2. Nothing here waits: a server that says nothing costs an operation its deadline and a little,
 *      then the connection is closed.
 *   3. Replies come in the order of asking: the oldest operation is the one that is collected.
 */
#include "store/postgres_priv.h"

enum {
    ASKED_MAX = 32,        /* operations under way; what comes on top goes to the threads */
    LOOK_EVERY_MS = 100,
    GRACE_US = 500000,     /* the server's own limit comes first */
    UNLIMITED_US = 40000000,
};

struct asked {
    struct store_op *op;
    size_t put; /* statements */
    int64_t late_us; /* on the system's clock: then the connection is given up */
};

struct postgres_loop {
    struct store base;
    struct store *shared;
    struct pg_connector *connector;
    struct loop *loop;
    struct pg_reader reader;
    struct loop_watch *watch;  /* READY */
    struct pg_order *order;    /* ORDERED */
    struct loop_timer *timer;
    struct asked asked[ASKED_MAX]; /* a ring */
    size_t first, len;
};

static int64_t now_us(void) {
    return clock_mono_us(clock_system());
}

/* ── losing the connection ── */

static struct asked *oldest(struct postgres_loop *pl) {
    return &pl->asked[pl->first % ASKED_MAX];
}

static struct store_op *take_oldest(struct postgres_loop *pl) {
    struct store_op *op = oldest(pl)->op;
    pl->first++;
    pl->len--;
    return op;
}

static void drop_connection(struct postgres_loop *pl) {
    loop_watch_stop(pl->watch); /* before the socket is closed */
    pl->watch = NULL;
    pg_close(&pl->reader.conn);
}

/* Whoever was waiting asks the shared store, if there is time left. */
static void lose(struct postgres_loop *pl) {
    drop_connection(pl);
    for (size_t left = pl->len; left > 0; left--) {
        struct store_op *op = take_oldest(pl);
        if (op->deadline_us != 0 && clock_mono_us(pl->reader.clock) > op->deadline_us) {
            op->err = ERR_DEADLINE;
            pg_finish_op(op, pl->reader.clock);
        } else {
            store_submit(pl->shared, op);
        }
    }
}

/* ── replies ── */

static void finish_oldest(struct postgres_loop *pl, enum err_e err) {
    struct store_op *op = take_oldest(pl);
    op->err = err == ERR_OK ? pg_answer(&pl->reader, op) : err;
    pg_finish_op(op, pl->reader.clock); /* may submit another */
}

/* What does not fit into the socket goes out when it is writable. */
static bool send_rest(struct postgres_loop *pl) {
    bool all;
    if (!pg_send_rest(&pl->reader.conn, &all)) {
        return false;
    }
    loop_watch_set(pl->watch, LOOP_READABLE | (all ? 0 : LOOP_WRITABLE));
    return true;
}

/* False: the connection is of no use any more. */
static bool collect(struct postgres_loop *pl) {
    while (pl->len > 0) {
        enum err_e err = ERR_OK;
        switch (pg_collect(&pl->reader.conn, oldest(pl)->put, &err)) {
        case PG_INCOMPLETE:
            return true;
        case PG_BROKEN:
            return false;
        case PG_COMPLETE:
            finish_oldest(pl, err);
            if (pl->watch == NULL) {
                return true; /* lost by what was submitted meanwhile, and dealt with */
            }
        }
    }
    return true;
}

static void on_socket(void *data) {
    struct postgres_loop *pl = data;
    bool fine = PQconsumeInput(pl->reader.conn.pg) != 0 && collect(pl);
    if (pl->watch != NULL && (!fine || !send_rest(pl))) {
        lose(pl);
    }
}

/* ── asking ── */

/* By a key, or a few rows: long ones would keep those behind them waiting. */
static bool is_short(const struct store_op *op) {
    static const bool by_key[STORE_OP_COUNT] = {
        [STORE_LOAD_EVENT] = true, [STORE_LOAD_GATE] = true,  [STORE_LIST_GATES] = true,
        [STORE_LOAD_KEY] = true,   [STORE_READ_STATS] = true, [STORE_LOAD_PARTICIPANT] = true,
        [STORE_READ_MARK] = true,
    };
    return by_key[op->kind] ||
           (op->kind == STORE_LIST_PARTICIPANTS && op->participants.token.len > 0);
}

static void ask(struct postgres_loop *pl, struct store_op *op) {
    op->submitted_us = clock_mono_us(pl->reader.clock);
    pg_begin_ask(&pl->reader.conn);
    enum err_e err = pg_ask(&pl->reader, op);
    if (err != ERR_OK) { /* nothing was put */
        op->err = err;
        pg_finish_op(op, pl->reader.clock);
        return;
    }
    struct asked *asked = &pl->asked[(pl->first + pl->len++) % ASKED_MAX];
    int64_t left_us = op->deadline_us == 0 ? UNLIMITED_US
                                           : op->deadline_us - op->begun_us + GRACE_US;
    *asked = (struct asked){.op = op, .late_us = now_us() + left_us};
    if (!pg_send(&pl->reader.conn, &asked->put) || !send_rest(pl)) {
        lose(pl);
    }
}

static bool may_ask(const struct postgres_loop *pl, const struct store_op *op) {
    return loop_is_current(pl->loop) && pl->watch != NULL && pl->len < ASKED_MAX &&
           is_short(op);
}

static void postgres_loop_submit(struct store *store, struct store_op *op) {
    struct postgres_loop *pl = (struct postgres_loop *)store;
    if (may_ask(pl, op)) {
        ask(pl, op);
    } else {
        store_submit(pl->shared, op);
    }
}

static void postgres_loop_health(struct store *store, struct store_health *ret_health) {
    store_health(((struct postgres_loop *)store)->shared, ret_health);
}

/* ── connections ── */

static void on_connected(struct loop_message *message) {
    struct pg_order *order = pg_order_of(message);
    struct postgres_loop *pl = order->owner;
    if (order->is_abandoned) { /* its loop store is gone */
        pg_close(&order->conn);
        free(order);
        return;
    }
    pl->order = NULL;
    pl->reader.conn = order->conn;
    free(order);
    pl->watch = loop_watch_start(pl->loop, PQsocket(pl->reader.conn.pg), LOOP_READABLE, on_socket,
                                 pl);
    if (pl->watch == NULL) {
        pg_close(&pl->reader.conn);
    }
}

/* Gives up a connection whose server hung up, says nothing or is only a standby, and orders
 * another; meanwhile the threads read. */
static void look(void *data) {
    struct postgres_loop *pl = data;
    bool is_late = pl->len > 0 && now_us() > oldest(pl)->late_us;
    bool is_spent = pl->watch != NULL && pl->len == 0 &&
                    (!pg_is_alive(&pl->reader.conn) || pg_looks_again(&pl->reader.conn));
    if (pl->watch != NULL && (is_late || is_spent)) {
        lose(pl);
    }
    if (pl->watch == NULL && pl->order == NULL) {
        pl->order = pg_order_connection(pl->connector, pl->loop, on_connected, pl);
    }
}

void pg_loop_close(struct store *store) {
    struct postgres_loop *pl = (struct postgres_loop *)store;
    ASSERT(pl->len == 0); /* its loop answers nobody any more */
    loop_timer_stop(pl->timer);
    if (pl->order != NULL) {
        pg_order_abandon(pl->connector, pl->order);
    }
    drop_connection(pl);
    free(pl);
}

struct store *pg_loop_open(struct store *shared, struct pg_connector *connector,
                           struct clock *clock, struct loop *loop) {
    static const struct store_vtable vtable = {.name = "postgres",
                                               .submit = postgres_loop_submit,
                                               .health = postgres_loop_health,
                                               .close = pg_loop_close};
    struct postgres_loop *pl = calloc(1, sizeof *pl);
    if (pl == NULL) {
        return NULL;
    }
    pl->base.vtable = &vtable;
    pl->shared = shared;
    pl->connector = connector;
    pl->loop = loop;
    pl->reader.clock = clock;
    pl->timer = loop_timer_start(loop, 0, LOOK_EVERY_MS, look, pl);
    if (pl->timer == NULL) {
        free(pl);
        return NULL;
    }
    return &pl->base;
}
