/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store that fails on demand: before the operation reaches the real one, or by losing its answer
 * after it took effect (what a connection does that dies during a commit).
 */
#include "base/assert.h"
#include "store/store.h"

#include <stdlib.h>

struct fault_store {
    struct store base;
    struct store *inner;
    mtx_t lock;
    struct fault_plan plan;
    uint64_t count;
};

/* The answer that is lost travels with the op: its caller's `done` and `owner` wait here. */
struct lost_answer {
    void (*done)(struct store_op *op);
    void *owner;
};

static void lose_answer(struct store_op *op) {
    struct lost_answer *lost = op->owner;
    op->done = lost->done;
    op->owner = lost->owner;
    op->err = ERR_COMMIT_UNKNOWN;
    free(lost);
    op->done(op);
}

static void forward_and_lose(struct fault_store *fault, struct store_op *op) {
    struct lost_answer *lost = malloc(sizeof *lost);
    ASSERT(lost != NULL);
    *lost = (struct lost_answer){op->done, op->owner};
    op->done = lose_answer;
    op->owner = lost;
    store_submit(fault->inner, op);
}

static void fault_submit(struct store *store, struct store_op *op) {
    struct fault_store *fault = (struct fault_store *)store;
    mtx_lock(&fault->lock);
    uint64_t nth = ++fault->count;
    struct fault_plan plan = fault->plan;
    mtx_unlock(&fault->lock);
    if (nth == plan.fail_nth) {
        op->err = problem_set(&op->problem, plan.err, "", "planned fault");
        op->done(op);
    } else if (nth == plan.lose_nth) {
        forward_and_lose(fault, op);
    } else {
        store_submit(fault->inner, op);
    }
}

static void fault_health(struct store *store, struct store_health *ret_health) {
    store_health(((struct fault_store *)store)->inner, ret_health);
}

static void fault_close(struct store *store) {
    struct fault_store *fault = (struct fault_store *)store;
    mtx_destroy(&fault->lock);
    free(fault);
}

struct store *fault_create(struct store *inner) {
    static const struct store_vtable vtable = {"fault", fault_submit, fault_health, fault_close};
    struct fault_store *fault = calloc(1, sizeof *fault);
    if (fault == NULL) {
        return NULL;
    }
    fault->base.vtable = &vtable;
    fault->inner = inner;
    ASSERT(mtx_init(&fault->lock, mtx_plain) == thrd_success);
    return &fault->base;
}

void fault_set_plan(struct store *store, const struct fault_plan *plan) {
    struct fault_store *fault = (struct fault_store *)store;
    mtx_lock(&fault->lock);
    fault->plan = *plan;
    fault->count = 0;
    mtx_unlock(&fault->lock);
}

uint64_t fault_count(struct store *store) {
    struct fault_store *fault = (struct fault_store *)store;
    mtx_lock(&fault->lock);
    uint64_t count = fault->count;
    mtx_unlock(&fault->lock);
    return count;
}
