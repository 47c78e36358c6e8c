/* SPDX-License-Identifier: Apache-2.0 */
/* From a plan to orders, and from what nodes tell to what the plan sees. */
#include "app/restarter.h"

#include "base/log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { DEADLINE_MS = 5000, SCRATCH_MAX = 4 << 20, VALUE_MAX = 1024 };
_Static_assert((int)RESTART_DETAIL_SIZE == (int)ACT_DETAIL_SIZE, "a detail is a detail");
_Static_assert((int)RESTART_NODES_MAX == (int)CONTROLLER_NODES_MAX, "every node has its place");

struct restarter {
    struct restarter_options options;
    struct restart plan;
    struct restart_node nodes[RESTART_NODES_MAX];
    struct control_state *state; /* NULL: nothing was seen yet */
    struct arena scratch;
    atomic_bool is_handed_over;
    char why_not[RESTART_DETAIL_SIZE];
};

struct restarter *restarter_create(const struct restarter_options *options) {
    struct restarter *restarter = calloc(1, sizeof *restarter);
    if (restarter != NULL) {
        restarter->options = *options;
        restart_begin(&restarter->plan);
        arena_init(&restarter->scratch, SCRATCH_MAX);
    }
    return restarter;
}

void restarter_destroy(struct restarter *restarter) {
    if (restarter != NULL) {
        control_state_unref(restarter->state);
        arena_fini(&restarter->scratch);
        free(restarter);
    }
}

void restarter_see(struct restarter *restarter, struct control_state *state) {
    atomic_fetch_add_explicit(&state->refs, 1, memory_order_relaxed);
    control_state_unref(restarter->state);
    restarter->state = state;
}

void restarter_hand_over(struct restarter *restarter, bool is_handed_over) {
    atomic_store(&restarter->is_handed_over, is_handed_over);
}

/* ---- what is seen ---- */

static bool can_restart(struct restarter *restarter, const struct sensed_node *node) {
    struct json_t *said;
    return node->capabilities != NULL &&
           json_parse(&restarter->scratch, slice_of(node->capabilities), &said, NULL) == ERR_OK &&
           json_is_true_at(said, "restart");
}

static struct restart_view look(struct restarter *restarter, const char *only, bool is_calm) {
    struct restart_view view = {.nodes = restarter->nodes,
                                .only = slice_of(only),
                                .is_calm = is_calm,
                                .now_ms = clock_mono_us(restarter->options.clock) / 1000,
                                .wall_ms = clock_wall_ms(restarter->options.clock)};
    arena_reset(&restarter->scratch);
    size_t len = restarter->state == NULL ? 0 : restarter->state->snapshot.nodes_len;
    for (size_t i = 0; i < len; i++) {
        const struct sensed_node *node = &restarter->state->nodes[i];
        restarter->nodes[view.len++] =
            (struct restart_node){.id = node->figures.id,
                                  .is_healthy = node->figures.healthy,
                                  .can = can_restart(restarter, node),
                                  .started_at_ms = node->started_at_ms,
                                  .memory = node->figures.memory};
    }
    return view;
}

const char *restarter_refuse(struct restarter *restarter) {
    const struct restart_view view = look(restarter, "", false);
    return restart_refuse(&view, &restarter->options.pace, restarter->why_not)
               ? restarter->why_not
               : NULL;
}

/* ---- telling ---- */

static void begin_op(const struct restarter *restarter, struct store_op *op,
                     enum store_op_e kind) {
    store_op_init(op, kind);
    op->deadline_us = clock_mono_us(restarter->options.clock) + DEADLINE_MS * 1000;
}

static bool is_own(const struct restarter *restarter) {
    return strcmp(restarter->plan.node, restarter->options.node) == 0;
}

/* An order that nobody obeyed in time is none: it ends by itself. */
MAY_BLOCK static enum err_e tell(struct restarter *restarter, const struct act_order *order) {
    struct store_op op;
    struct json_writer w;
    struct buf value;
    char name[ORDER_NAME_SIZE];
    const struct standing_restart restart = {
        .started_at_ms = restarter->plan.was_started_ms,
        .action_id = order->id,
        .rule = slice_of(order->rule == NULL ? "" : order->rule),
        .before = order->before,
        .is_own = is_own(restarter)};
    snprintf(name, sizeof name, ORDER_RESTART "%s", restarter->plan.node);
    buf_init(&value, VALUE_MAX);
    json_writer_init(&w, &value);
    order_write_restart(&w, &restart);
    begin_op(restarter, &op, STORE_PUT_ORDER);
    op.order.values = (struct order_record){
        .name = slice_of(name),
        .value = buf_slice(&value),
        .author = slice_of(restarter->options.node),
        .until_ms = clock_wall_ms(restarter->options.clock) + restarter->options.pace.within_ms};
    enum err_e err = store_run(restarter->options.store, &op);
    store_op_fini(&op);
    buf_fini(&value);
    order_book_wake(restarter->options.orders); /* it may be for this process */
    return err;
}

MAY_BLOCK void restarter_halt(struct restarter *restarter) {
    const char *node = restart_waits_for(&restarter->plan);
    struct store_op op;
    char name[ORDER_NAME_SIZE];
    if (node != NULL) {
        snprintf(name, sizeof name, ORDER_RESTART "%s", node);
        begin_op(restarter, &op, STORE_END_ORDER);
        op.order.values.name = slice_of(name);
        enum err_e ignored = store_run(restarter->options.store, &op);
        (void)ignored; /* it ends by itself */
        store_op_fini(&op);
    }
    restart_begin(&restarter->plan);
}

/* ---- as seams ---- */

MAY_BLOCK static enum err_e step(struct restarter *restarter, const struct act_order *order,
                                 struct act_report *ret_report) {
    const struct restart_view view = look(restarter, order->node, order->is_calm);
    enum err_e err = ERR_OK;
    switch (restart_step(&restarter->plan, &view, &restarter->options.pace, ret_report->detail)) {
    case RESTART_ASKS:
        err = tell(restarter, order);
        ret_report->goes_on = err == ERR_OK;
        log_event(LOG_WARN, "restart_told", "node=%s err=%s", restarter->plan.node, err_code(err));
        if (err != ERR_OK) {
            snprintf(ret_report->detail, ACT_DETAIL_SIZE, "%.128s could not be told: %s",
                     restarter->plan.node, err_code(err));
        }
        return err;
    case RESTART_WAITS:
        ret_report->goes_on = true;
        return ERR_OK;
    case RESTART_DONE:
        return ERR_OK;
    case RESTART_FAILED:
        return ERR_UNAVAILABLE;
    }
    return ERR_INTERNAL;
}

MAY_BLOCK enum err_e restarter_act(struct restarter *restarter, const struct act_order *order,
                                   struct act_report *ret_report) {
    restart_begin(&restarter->plan);
    return step(restarter, order, ret_report);
}

MAY_BLOCK enum err_e restarter_go_on(struct restarter *restarter, const struct act_order *order,
                                     struct act_report *ret_report) {
    return restarter_part(restarter, ret_report->detail) ? ERR_OK
                                                         : step(restarter, order, ret_report);
}

bool restarter_part(struct restarter *restarter, char ret_detail[ACT_DETAIL_SIZE]) {
    const char *node = restart_waits_for(&restarter->plan);
    bool is_done = node != NULL && is_own(restarter) && atomic_load(&restarter->is_handed_over);
    if (is_done) {
        snprintf(ret_detail, ACT_DETAIL_SIZE, "a new process of %.128s serves", node);
    }
    return is_done;
}
