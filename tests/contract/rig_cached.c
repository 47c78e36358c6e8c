/* SPDX-License-Identifier: Apache-2.0 */
/* A caching store with a loop of its own. */
#include "rig_cached.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "cache/cached_store.h"

#include <stdlib.h>

/* Lives are shortened by up to a tenth of five minutes: what has just outlived the longest is still
 * to be had, whatever its own was. */
enum { STALE_MS = 60000 };

struct front {
    struct store base;
    struct store *inner, *cached;
    struct loop *loop;
    struct tiered *tiered;
    struct tiered_loop *tiered_loop;
    struct cached_node *node;
    mtx_t lock;
    cnd_t moved;
    bool is_open, is_closed;
};

struct order { /* a message with whom it is for */
    struct loop_message message; /* first */
    struct front *front;
    struct store_op *op;
};

static void post(struct front *front, struct store_op *op,
                 void (*fn)(struct loop_message *message)) {
    struct order *order = malloc(sizeof *order);
    assert_non_null(order);
    *order = (struct order){{.fn = fn}, front, op};
    loop_post(front->loop, &order->message);
}

static struct order take(struct loop_message *message) {
    struct order order = *(struct order *)message;
    free(message);
    return order;
}

static void set(struct front *front, bool *flag) {
    mtx_lock(&front->lock);
    *flag = true;
    cnd_signal(&front->moved);
    mtx_unlock(&front->lock);
}

static void wait_for(struct front *front, const bool *flag) {
    mtx_lock(&front->lock);
    while (!*flag) {
        cnd_wait(&front->moved, &front->lock);
    }
    mtx_unlock(&front->lock);
}

static void on_due(void *data, enum tiered_class_e class, struct slice key) {
    struct front *front = data;
    if (front->cached != NULL) {
        cached_store_on_due(front->cached, class, key);
    }
}

static void on_open(struct loop_message *message) {
    struct front *front = take(message).front;
    struct problem problem = {.field = ""};
    const struct tiered_loop_options options = {
        .loop = front->loop, .due = on_due, .due_data = front};
    assert_int_equal(tiered_loop_open(front->tiered, &options, &front->tiered_loop, &problem),
                     ERR_OK);
    front->cached = cached_store_create(&(struct cached_options){.loop = front->loop,
                                                                 .inner = front->inner,
                                                                 .tiered = front->tiered_loop,
                                                                 .node = front->node,
                                                                 .jobs_max = 4096});
    assert_non_null(front->cached);
    set(front, &front->is_open);
}

static void on_submit(struct loop_message *message) {
    struct order order = take(message);
    store_submit(order.front->cached, order.op);
}

static void on_left(void *data) {
    struct front *front = data;
    loop_stop(front->loop);
    set(front, &front->is_closed);
}

static void on_close(struct loop_message *message) {
    struct front *front = take(message).front;
    if (!cached_store_is_idle(front->cached)) {
        post(front, NULL, on_close); /* what waits is run first */
        return;
    }
    store_close(front->cached);
    front->cached = NULL;
    tiered_loop_close(front->tiered_loop, on_left, front);
}

static void front_submit(struct store *store, struct store_op *op) {
    post((struct front *)store, op, on_submit);
}

static void front_health(struct store *store, struct store_health *ret_health) {
    store_health(((struct front *)store)->inner, ret_health);
}

MAY_BLOCK static void front_close(struct store *store) {
    struct front *front = (struct front *)store;
    post(front, NULL, on_close);
    wait_for(front, &front->is_closed);
    loop_join(front->loop);
    loop_destroy(front->loop);
    tiered_destroy(front->tiered);
    cached_node_destroy(front->node);
    store_close(front->inner);
    cnd_destroy(&front->moved);
    mtx_destroy(&front->lock);
    free(front);
}

struct store *rig_cached_open(struct store *inner, struct clock *clock) {
    static const struct store_vtable vtable = {"cached front", front_submit, front_health,
                                               front_close};
    struct problem problem = {.field = ""};
    struct front *front = calloc(1, sizeof *front);
    assert_non_null(front);
    front->base.vtable = &vtable;
    front->inner = inner;
    assert_int_equal(mtx_init(&front->lock, mtx_plain), thrd_success);
    assert_int_equal(cnd_init(&front->moved), thrd_success);
    struct tiered_options options = tiered_options_default();
    options.stale_ms = STALE_MS;
    cached_store_fit(&options);
    assert_int_equal(tiered_create(&options, &front->tiered, &problem), ERR_OK);
    front->node = cached_node_create(clock);
    front->loop = loop_create(0, clock);
    assert_non_null(front->node);
    assert_non_null(front->loop);
    assert_int_equal(loop_start(front->loop), ERR_OK);
    post(front, NULL, on_open);
    wait_for(front, &front->is_open);
    return &front->base;
}

uint64_t rig_cached_hits(struct store *store) {
    struct cached_counters counters;
    cached_node_read_counters(((struct front *)store)->node, &counters);
    return counters.hits;
}
