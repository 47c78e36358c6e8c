/* SPDX-License-Identifier: Apache-2.0 */
/* To the change mark and back. */
#include "app/node_mark.h"

#include "base/assert.h"

enum {
    LOOK_EVERY_MS = 200, /* with TIERED_UNTOLD_MS and a commit well below a second */
    LOOK_DEADLINE_US = 1000000,
    TURN_DEADLINE_US = 2000000,
};

static void come_back(struct store_op *op) {
    struct node_errand *errand = op->owner;
    if (loop_is_current(errand->mark->loop)) {
        errand->message.fn(&errand->message);
    } else {
        loop_post(errand->mark->loop, &errand->message);
    }
}

static void begin(struct node_mark *mark, struct node_errand *errand, enum store_op_e kind,
                  void (*back)(struct loop_message *message)) {
    errand->mark = mark;
    errand->message.fn = back;
    store_op_init(&errand->op, kind);
}

void node_mark_open(struct node_mark *mark, struct loop *loop, struct store *store) {
    *mark = (struct node_mark){.loop = loop, .store = store};
}

static void send(struct node_errand *errand, int64_t deadline_us) {
    errand->is_out = true;
    errand->op.deadline_us = clock_mono_us(clock_system()) + deadline_us;
    errand->op.done = come_back;
    errand->op.owner = errand;
    store_submit(errand->mark->store, &errand->op);
}

/* Ends it; how it ended. */
static enum err_e end(struct node_errand *errand) {
    enum err_e err = errand->op.err;
    errand->is_out = false;
    store_op_clear(&errand->op);
    return err;
}

/* ── looking ── */

static void on_look(struct loop_message *message) {
    struct node_errand *errand = (struct node_errand *)message;
    uint64_t mark = errand->op.mark.value;
    if (end(errand) == ERR_OK) {
        tiered_see_mark(errand->mark->tiered, mark);
    }
}

static void look(void *data) {
    struct node_mark *mark = data;
    if (!mark->is_sealed && !mark->look.is_out) {
        send(&mark->look, LOOK_DEADLINE_US);
    }
}

bool node_mark_watch(struct node_mark *mark) {
    mark->timer = loop_timer_start(mark->loop, 0, LOOK_EVERY_MS, look, mark);
    return mark->timer != NULL;
}

/* ── turning ── */

static void on_turn(struct loop_message *message) {
    struct node_errand *errand = (struct node_errand *)message;
    enum err_e err = end(errand);
    tiered_marked(errand->mark->tiered, err); /* may ask for the next one */
}

void node_mark_turn(void *data, uint64_t bits) {
    struct node_mark *mark = data;
    if (mark->is_sealed) {
        tiered_marked(mark->tiered, ERR_DRAINING);
        return;
    }
    ASSERT(!mark->turn.is_out);
    mark->turn.op.mark.flip = bits;
    send(&mark->turn, TURN_DEADLINE_US);
}

/* ── life ── */

void node_mark_enter(struct node_mark *mark, struct tiered_loop *tiered) {
    mark->tiered = tiered;
    begin(mark, &mark->look, STORE_READ_MARK, on_look);
    begin(mark, &mark->turn, STORE_CHANGE_MARK, on_turn);
}

bool node_mark_is_idle(const struct node_mark *mark) {
    return !mark->look.is_out && !mark->turn.is_out;
}

void node_mark_seal(struct node_mark *mark) {
    ASSERT(node_mark_is_idle(mark));
    mark->is_sealed = true;
}

void node_mark_close(struct node_mark *mark) {
    if (mark->tiered == NULL) {
        return;
    }
    node_mark_seal(mark);
    if (mark->timer != NULL) {
        loop_timer_stop(mark->timer);
        mark->timer = NULL;
    }
    store_op_fini(&mark->look.op);
    store_op_fini(&mark->turn.op);
    mark->tiered = NULL;
}
