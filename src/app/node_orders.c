/* SPDX-License-Identifier: Apache-2.0 */
/* Between the order book, the store and this process. */
#include "app/node_orders.h"

#include "base/log.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { DEADLINE_MS = 2000 };

struct node_orders {
    struct node_orders_options options;
    struct order_book *book;
    _Atomic int64_t obeyed; /* the action of the order that was obeyed last; 0: none */
};

MAY_BLOCK static enum err_e copy_rows(const struct store_op *op, struct arena *arena,
                                      struct order_row **ret_rows, size_t *ret_len) {
    *ret_len = op->orders.len;
    *ret_rows = arena_alloc(arena, (op->orders.len + 1) * sizeof **ret_rows);
    if (*ret_rows == NULL) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < op->orders.len; i++) {
        const struct order_record *record = &op->orders.items[i];
        (*ret_rows)[i] = (struct order_row){.name = arena_copy(arena, record->name),
                                            .value = arena_copy(arena, record->value),
                                            .author = arena_copy(arena, record->author),
                                            .at_ms = record->at_ms,
                                            .until_ms = record->until_ms};
        if ((*ret_rows)[i].name.at == NULL || (*ret_rows)[i].value.at == NULL ||
            (*ret_rows)[i].author.at == NULL) {
            return ERR_NO_MEMORY;
        }
    }
    return ERR_OK;
}

MAY_BLOCK static enum err_e list(void *data, struct arena *arena, struct order_row **ret_rows,
                                 size_t *ret_len) {
    const struct node_orders *orders = data;
    const struct api_node *node = orders->options.api_node;
    struct store_op op;
    store_op_init(&op, STORE_LIST_ORDERS);
    op.deadline_us = clock_mono_us(node->clock) + DEADLINE_MS * 1000;
    op.orders.since_ms = clock_wall_ms(node->clock);
    enum err_e err = store_run(node->store, &op);
    err = err == ERR_OK ? copy_rows(&op, arena, ret_rows, ret_len) : err;
    store_op_fini(&op);
    return err;
}

/* ---- starting anew ---- */

bool node_orders_can_restart(void) {
    return getpid() != 1;
}

static bool is_for_us(const struct node_orders *orders, const struct standing_restart *restart) {
    const struct node_orders_options *options = &orders->options;
    return options->can_restart && slice_eq_text(restart->node, options->node) &&
           restart->started_at_ms == options->started_at_ms &&
           order_stands(&restart->order, clock_wall_ms(options->api_node->clock));
}

static void obey(void *data, const struct orders *all) {
    struct node_orders *orders = data;
    for (size_t i = 0; i < all->restarts_len; i++) {
        const struct standing_restart *restart = &all->restarts[i];
        if (!is_for_us(orders, restart) ||
            atomic_exchange(&orders->obeyed, restart->action_id) == restart->action_id) {
            continue;
        }
        log_event(LOG_WARN, "restart_ordered", "by=\"%.*s\" action=%lld rule=%.*s",
                  SLICE_ARG(restart->order.author), (long long)restart->action_id,
                  SLICE_ARG(restart->rule));
        kill(getpid(), SIGUSR2); /* main reads it from its descriptor */
    }
}

/* ---- life ---- */

MAY_BLOCK struct node_orders *node_orders_open(const struct node_orders_options *options) {
    struct node_orders *orders = calloc(1, sizeof *orders);
    if (orders == NULL) {
        return NULL;
    }
    orders->options = *options;
    orders->book = order_book_create(
        &(struct order_book_options){.list = list, .on_read = obey, .data = orders});
    if (orders->book == NULL) {
        node_orders_close(orders);
        return NULL;
    }
    enum err_e ignored = order_book_look(orders->book); /* told in the log, and tried again */
    (void)ignored;
    if (order_book_start(orders->book) != ERR_OK) {
        node_orders_close(orders);
        return NULL;
    }
    return orders;
}

struct order_book *node_orders_book(struct node_orders *orders) {
    return orders->book;
}

MAY_BLOCK void node_orders_close(struct node_orders *orders) {
    if (orders == NULL) {
        return;
    }
    order_book_stop(orders->book);
    order_book_destroy(orders->book);
    free(orders);
}
