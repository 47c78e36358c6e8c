/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads, and a reader thread with a connection of its own. One operation is one transaction on one
 * snapshot, sent in one go:
 *
 *     statement_timeout from the deadline, what the operation asks, Sync
 *
 * A read that meets a lost connection is asked once more on a new one. Readers look for the
 * primary; where there is none they read from a standby and look again each second. A read that
 * may lag goes to a standby that is fresh enough, if there is one (postgres_replica.c).
 */
#include "store/postgres_priv.h"

#include "base/log.h"

#include <pthread.h>

enum { IDLE_MS = 1000, UNLIMITED_MS = 30000 };

static const pg_read_fn functions[STORE_OP_COUNT] = {
    [STORE_LOAD_EVENT] = pg_load_event,
    [STORE_LIST_EVENTS] = pg_list_events,
    [STORE_LOAD_GATE] = pg_load_gate,
    [STORE_LIST_GATES] = pg_list_gates,
    [STORE_LOAD_PARTICIPANT] = pg_load_participant,
    [STORE_LIST_PARTICIPANTS] = pg_list_participants,
    [STORE_LIST_ATTENDANCE] = pg_list_attendance,
    [STORE_READ_STATS] = pg_read_stats,
    [STORE_READ_TIMELINE] = pg_read_timeline,
    [STORE_LOAD_KEY] = pg_load_key,
    [STORE_LIST_KEYS] = pg_list_keys,
    [STORE_LIST_ACTIONS] = pg_list_actions,
    [STORE_LIST_ORDERS] = pg_list_orders,
    [STORE_LIST_NOTICES] = pg_list_notices,
    [STORE_LIST_NODES] = pg_list_nodes,
    [STORE_READ_MARK] = pg_read_mark,
};

enum err_e pg_read(const struct pg_reader *r) {
    return r->conn.phase == PG_ANSWERING ? ERR_OK : ERR_UNAVAILABLE; /* not there yet */
}

enum err_e pg_ask(struct pg_reader *r, struct store_op *op) {
    int64_t left_ms = UNLIMITED_MS;
    op->begun_us = clock_mono_us(r->clock);
    if (op->deadline_us != 0) {
        left_ms = (op->deadline_us - op->begun_us) / 1000;
    }
    if (left_ms < 0) {
        return ERR_DEADLINE;
    }
    char text[24];
    struct pg_args args;
    snprintf(text, sizeof text, "%lld", (long long)(left_ms < 1 ? 1 : left_ms));
    pg_args_init(&args);
    pg_arg_word(&args, text);
    pg_put(&r->conn, PG_SQL_LIMIT_READ, &args);
    enum err_e ignored = functions[op->kind](r, op);
    (void)ignored; /* it ended at pg_read */
    return ERR_OK;
}

enum err_e pg_answer(struct pg_reader *r, struct store_op *op) {
    pg_begin_answer(&r->conn, 1); /* behind the limit */
    enum err_e err = functions[op->kind](r, op);
    r->conn.phase = PG_ASKING;
    return err;
}

static void note_failure(struct pg_reader_thread *t, enum err_e err, const char *why) {
    char reason[sizeof t->state.reason];
    if (t->state.works) {
        log_event(LOG_ERROR, "store_reads_failed", "err=%s postgres=\"%s\"", err_code(err), why);
    }
    snprintf(reason, sizeof reason, "%s: %.120s", err_code(err), why);
    pg_state_set(&t->state, reason);
}

/* A new connection in place of the old one, which stays as it is when there is none. */
MAY_BLOCK static enum err_e connect_anew(struct pg_reader_thread *t, struct problem *ret_problem) {
    struct pg_conn fresh;
    if (!pg_door_enter(&t->team->door)) {
        return problem_set(ret_problem, ERR_UNAVAILABLE, "store.url",
                           "it waits before it connects again");
    }
    enum err_e err = pg_open(&fresh, t->reader.url, PG_READER, ret_problem);
    pg_door_leave(&t->team->door, err);
    if (err == ERR_OK) {
        pg_close(&t->reader.conn);
        t->reader.conn = fresh;
    }
    return err;
}

/* Whether there is a connection to read from. */
MAY_BLOCK static bool see_to_connection(struct pg_reader_thread *t) {
    bool is_alive = pg_is_alive(&t->reader.conn);
    if (is_alive && !pg_looks_again(&t->reader.conn)) {
        return true;
    }
    struct problem problem = {.detail = ""};
    enum err_e err = connect_anew(t, &problem);
    if (err == ERR_OK) {
        pg_state_set(&t->state, NULL);
    } else if (!is_alive) {
        note_failure(t, err, problem.detail);
    }
    return err == ERR_OK || is_alive;
}

MAY_BLOCK static enum err_e read_once(struct pg_reader *r, struct store_op *op) {
    r->conn.failure = PG_FINE;
    TRY(pg_ask(r, op));
    enum err_e err = pg_run(&r->conn);
    if (r->conn.failure == PG_LOST) {
        pg_close(&r->conn);
    }
    return err == ERR_OK ? pg_answer(r, op) : err;
}

/* True when the standby has answered. What it does not know may be on its way to it, and what
 * failed there (it hung up, or cancelled the read for the sake of replaying) may pass elsewhere. */
MAY_BLOCK static bool read_replica(struct pg_reader_thread *t, struct store_op *op) {
    if (!op->may_lag || !pg_replica_is_ready(&t->replica, &t->reader.conn) ||
        read_once(&t->replica.reader, op) != ERR_OK) {
        return false;
    }
    atomic_fetch_add(&t->team->replica.reads, 1);
    return true;
}

MAY_BLOCK static enum err_e read_op(struct pg_reader_thread *t, struct store_op *op) {
    enum err_e err = ERR_UNAVAILABLE;
    for (int i = 0; i < 2; i++) {
        if (!see_to_connection(t)) {
            return ERR_UNAVAILABLE;
        }
        if (read_replica(t, op)) {
            return ERR_OK;
        }
        err = read_once(&t->reader, op);
        if (t->reader.conn.failure != PG_LOST) {
            return err;
        }
    }
    return err;
}

static bool is_late(const struct store_op *op) {
    return op->deadline_us != 0 && op->begun_us > op->deadline_us;
}

MAY_BLOCK static void run_read(struct pg_reader_thread *t, struct store_op *op) {
    op->begun_us = clock_mono_us(t->reader.clock);
    op->err = is_late(op) ? ERR_DEADLINE : read_op(t, op);
    bool may_pass = op->err == ERR_UNAVAILABLE && pg_leaves_it_to_others(&t->state);
    if (may_pass && mailbox_post(&t->team->box, &op->link)) {
        return; /* whoever has a connection takes it */
    }
    pg_finish_op(op, t->reader.clock);
}

MAY_BLOCK static struct message *take(struct pg_reader_thread *t) {
    if (pg_leaves_it_to_others(&t->state)) {
        pg_nap();
        return NULL;
    }
    return mailbox_wait_one(&t->team->box, IDLE_MS);
}

MAY_BLOCK int pg_reader_main(void *thread) {
    struct pg_reader_thread *t = thread;
    pthread_setname_np(pthread_self(), "reader");
    for (;;) {
        bool closed = mailbox_is_closed(&t->team->box);
        struct message *message = take(t);
        if (message == NULL && closed) {
            return 0;
        }
        if (message != NULL) {
            run_read(t, (struct store_op *)message);
        } else {
            bool ignored = see_to_connection(t);
            (void)ignored; /* the state says so */
        }
    }
}

MAY_BLOCK enum err_e pg_reader_open(struct pg_reader_thread *t,
                                    const struct postgres_options *options,
                                    struct problem *ret_problem) {
    t->reader.clock = options->clock;
    t->reader.url = options->url;
    pg_state_init(&t->state, t->team);
    pg_replica_init(&t->replica, options, t->team);
    TRY(pg_open(&t->reader.conn, t->reader.url, PG_READER, ret_problem));
    pg_state_set(&t->state, NULL);
    return ERR_OK;
}

void pg_reader_close(struct pg_reader_thread *t) {
    pg_close(&t->reader.conn);
    pg_replica_fini(&t->replica);
    pg_state_fini(&t->state);
}
