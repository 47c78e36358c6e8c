/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread that opens connections for loops: looking up a name, connecting, greeting the server and
 * preparing statements may each block. One order at a time, through the readers' door; a server
 * that is away is tried again until it is back or nobody wants it any more.
 *
 *   ordered ──► connecting ──┬─ connected ──► posted to the loop, which owns it then
 *                            └─ abandoned by its loop, or the store closes ──► freed here
 *
 * The lock makes the hand-over one step: after pg_order_abandon no message of the order comes, or
 * it is in the loop's mailbox already.
 */
#include "store/postgres_priv.h"

#include <pthread.h>

MAY_BLOCK static bool open_for(struct pg_connector *c, struct pg_order *order) {
    struct problem problem = {.detail = ""};
    if (!pg_door_enter(c->door)) {
        return false;
    }
    enum err_e err = pg_open(&order->conn, c->url, PG_READER, &problem);
    pg_door_leave(c->door, err);
    return err == ERR_OK; /* else the readers, who meet the same, say what is wrong */
}

/* Hands the order over, or frees it when nobody wants it. */
static void deliver(struct pg_connector *c, struct pg_order *order) {
    mtx_lock(&c->lock);
    bool wanted = !order->is_abandoned;
    if (wanted) {
        loop_post(order->loop, &order->message);
    }
    mtx_unlock(&c->lock);
    if (!wanted) {
        pg_close(&order->conn);
        free(order);
    }
}

static bool is_wanted(struct pg_connector *c, const struct pg_order *order) {
    mtx_lock(&c->lock);
    bool wanted = !order->is_abandoned;
    mtx_unlock(&c->lock);
    return wanted;
}

MAY_BLOCK static void serve_order(struct pg_connector *c, struct pg_order *order) {
    while (is_wanted(c, order) && !mailbox_is_closed(&c->box)) {
        if (open_for(c, order)) {
            break;
        }
        pg_nap();
    }
    deliver(c, order);
}

MAY_BLOCK static int connector_main(void *data) {
    enum { IDLE_MS = 1000 };
    struct pg_connector *c = data;
    pthread_setname_np(pthread_self(), "connector");
    for (;;) {
        bool closed = mailbox_is_closed(&c->box);
        struct message *message = mailbox_wait_one(&c->box, IDLE_MS);
        if (message != NULL) {
            serve_order(c, (struct pg_order *)message);
        } else if (closed) {
            return 0;
        }
    }
}

enum err_e pg_connector_start(struct pg_connector *c, const char *url, struct pg_door *door) {
    enum { ORDERS_MAX = 1024 }; /* one for each loop */
    *c = (struct pg_connector){.url = url, .door = door};
    mailbox_init(&c->box, ORDERS_MAX, NULL, NULL);
    ASSERT(mtx_init(&c->lock, mtx_plain) == thrd_success);
    if (thrd_create(&c->thread, connector_main, c) != thrd_success) {
        mailbox_fini(&c->box);
        mtx_destroy(&c->lock);
        return ERR_NO_MEMORY;
    }
    c->is_running = true;
    return ERR_OK;
}

MAY_BLOCK void pg_connector_stop(struct pg_connector *c) {
    if (c->is_running) {
        mailbox_close(&c->box);
        thrd_join(c->thread, NULL);
        mailbox_fini(&c->box);
        mtx_destroy(&c->lock);
        c->is_running = false;
    }
}

struct pg_order *pg_order_connection(struct pg_connector *c, struct loop *loop,
                                     void (*fn)(struct loop_message *), void *owner) {
    struct pg_order *order = calloc(1, sizeof *order);
    if (order == NULL) {
        return NULL;
    }
    order->loop = loop;
    order->message.fn = fn;
    order->owner = owner;
    if (!mailbox_post(&c->box, &order->link)) {
        free(order);
        return NULL;
    }
    return order;
}

void pg_order_abandon(struct pg_connector *c, struct pg_order *order) {
    mtx_lock(&c->lock);
    order->is_abandoned = true;
    mtx_unlock(&c->lock);
}
