/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A call and the store: an operation goes out, its completion comes back through the loop's
 * mailbox.
 *
 *   handler ── call_begin_op ── fill ── call_submit ──► (store) ──► loop ── then ──► answer
 *                    ▲                                                       │
 *                    └──────────── the next step of the same call ◄──────────┘
 *
 * A call has at most one operation, and at most one completion to wait for.
 */
#include "api/call_priv.h"

#include "base/assert.h"

void call_begin_waiting(struct call *call) {
    call->api->waiting++;
}

void call_end_waiting(struct call *call) {
    ASSERT(call->api->waiting > 0);
    call->api->waiting--;
}

static void on_turn(struct loop_message *message) {
    struct call *call =
        (struct call *)(void *)((char *)message - offsetof(struct call, turn));
    call_end_waiting(call);
    call->go_on(call);
}

void call_next_turn(struct call *call, call_fn fn) {
    call->go_on = fn;
    call->turn.fn = on_turn;
    call_begin_waiting(call);
    loop_post(call->api->loop, &call->turn);
}

static void on_done(struct loop_message *message) {
    struct call *call = ((struct api_op *)message)->call;
    call_end_waiting(call);
    store_meter_see(&call->api->meter, &call->op->op, call);
    call->then(call);
}

/* A cache answers at once, on the loop, and handlers end with the submission: so they go on at
 * once, too. Everything else comes back through the mailbox. */
static void post_done(struct store_op *op) {
    struct api_op *api_op = op->owner;
    if (op->is_cached && loop_is_current(api_op->call->api->loop)) {
        on_done(&api_op->message);
        return;
    }
    loop_post(api_op->call->api->loop, &api_op->message);
}

struct store_op *call_begin_op(struct call *call, enum store_op_e kind) {
    if (call->op == NULL) {
        call->op = pool_borrow(&call->api->ops);
        if (call->op == NULL) {
            call_fail(call, ERR_OVERLOADED, NULL);
            return NULL;
        }
        call->op->call = call;
    }
    struct store_op *op = &call->op->op;
    if (call->op->is_ready) {
        store_op_clear(op);
        op->kind = kind;
    } else {
        store_op_init(op, kind);
        call->op->is_ready = true;
    }
    const struct api_node *node = call->api->node;
    op->event = call->params[0];
    op->deadline_us = clock_mono_us(node->clock) + node->store_deadline_ms * 1000;
    op->owner = call->op;
    op->done = post_done;
    return op;
}

void call_submit_raw(struct call *call, call_fn then) {
    call->then = then;
    call->op->message.fn = on_done;
    call_begin_waiting(call);
    store_submit(call->api->store, &call->op->op);
}

static void fail_or_go_on(struct call *call) {
    struct store_op *op = call_op(call);
    if (op->err != ERR_OK) {
        call_fail(call, op->err, &op->problem);
        return;
    }
    call->go_on(call);
}

void call_submit(struct call *call, call_fn then) {
    call->go_on = then;
    call_submit_raw(call, fail_or_go_on);
}
