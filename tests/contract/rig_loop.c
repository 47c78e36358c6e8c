/* SPDX-License-Identifier: Apache-2.0 */
/* Operations handed to a loop and back. */
#include "rig_loop.h"

#include "io/loop.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

struct loop_rig {
    struct store base;
    struct store *shared;
    struct store *own; /* the loop's */
    struct loop *loop;
    atomic_int_fast64_t answers; /* on the loop's thread */
    struct loop_message join, leave;
    atomic_int joined; /* 1: yes, 0: no more */
};

/* An operation on its way. */
struct carried {
    struct loop_message message;
    struct loop_rig *rig;
    struct store_op *op;
    void (*done)(struct store_op *op);
    void *owner;
};

static void on_done(struct store_op *op) {
    struct carried *carried = op->owner;
    if (loop_is_current(carried->rig->loop)) {
        atomic_fetch_add(&carried->rig->answers, 1);
    }
    op->done = carried->done;
    op->owner = carried->owner;
    free(carried);
    op->done(op);
}

static void on_submit(struct loop_message *message) {
    struct carried *carried = (struct carried *)message;
    store_submit(carried->rig->own, carried->op);
}

static void loop_rig_submit(struct store *store, struct store_op *op) {
    struct carried *carried = malloc(sizeof *carried);
    assert_non_null(carried);
    *carried = (struct carried){.message.fn = on_submit, .rig = (struct loop_rig *)store,
                                .op = op, .done = op->done, .owner = op->owner};
    op->done = on_done;
    op->owner = carried;
    loop_post(carried->rig->loop, &carried->message);
}

static void loop_rig_health(struct store *store, struct store_health *ret_health) {
    store_health(((struct loop_rig *)store)->shared, ret_health);
}

static void nap(void) {
    struct timespec pause = {.tv_nsec = 5000000};
    thrd_sleep(&pause, NULL);
}

static void on_leave(struct loop_message *message) {
    struct loop_rig *rig =
        (struct loop_rig *)((char *)message - offsetof(struct loop_rig, leave));
    postgres_leave(rig->own, rig->shared);
    loop_stop(rig->loop);
}

static MAY_BLOCK void loop_rig_close(struct store *store) {
    struct loop_rig *rig = (struct loop_rig *)store;
    rig->leave.fn = on_leave;
    loop_post(rig->loop, &rig->leave);
    loop_join(rig->loop);
    loop_destroy(rig->loop);
    store_close(rig->shared);
    free(rig);
}

static void on_join(struct loop_message *message) {
    struct loop_rig *rig = (struct loop_rig *)((char *)message - offsetof(struct loop_rig, join));
    rig->own = postgres_join(rig->shared, rig->loop);
    atomic_store(&rig->joined, 1);
}

/* Nobody has this key, but somebody must say so. */
static void ask_for_a_key(struct store *store) {
    struct store_op op;
    store_op_init(&op, STORE_LOAD_KEY);
    op.key.id = SLICE_LIT("nobody");
    assert_int_equal(store_run(store, &op), ERR_UNKNOWN_KEY);
    store_op_fini(&op);
}

static void wait_for_the_connection(struct loop_rig *rig) {
    enum { TRIES_MAX = 4000 };
    for (int i = 0; rig->own != rig->shared && rig_loop_answers(&rig->base) == 0; i++) {
        assert_in_range(i, 0, TRIES_MAX);
        ask_for_a_key(&rig->base);
        nap();
    }
}

struct store *rig_loop_create(struct store *store) {
    static const struct store_vtable vtable = {"loop", loop_rig_submit, loop_rig_health,
                                               loop_rig_close};
    struct loop_rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    rig->base.vtable = &vtable;
    rig->shared = store;
    rig->loop = loop_create(0, clock_system());
    assert_non_null(rig->loop);
    assert_int_equal(loop_start(rig->loop), ERR_OK);
    rig->join.fn = on_join;
    loop_post(rig->loop, &rig->join);
    while (atomic_load(&rig->joined) == 0) {
        nap();
    }
    assert_non_null(rig->own);
    wait_for_the_connection(rig);
    return &rig->base;
}

int64_t rig_loop_answers(struct store *store) {
    return atomic_load(&((struct loop_rig *)store)->answers);
}
