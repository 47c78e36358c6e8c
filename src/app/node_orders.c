/* SPDX-License-Identifier: Apache-2.0 */
/* Between the order book and the store. */
#include "app/node_orders.h"

enum { DEADLINE_MS = 2000 };

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
    const struct api_node *node = data;
    struct store_op op;
    store_op_init(&op, STORE_LIST_ORDERS);
    op.deadline_us = clock_mono_us(node->clock) + DEADLINE_MS * 1000;
    op.orders.since_ms = clock_wall_ms(node->clock);
    enum err_e err = store_run(node->store, &op);
    err = err == ERR_OK ? copy_rows(&op, arena, ret_rows, ret_len) : err;
    store_op_fini(&op);
    return err;
}

MAY_BLOCK struct order_book *node_orders_open(struct api_node *api_node) {
    struct order_book *book =
        order_book_create(&(struct order_book_options){.list = list, .data = api_node});
    if (book == NULL) {
        return NULL;
    }
    enum err_e ignored = order_book_look(book); /* told in the log, and tried again */
    (void)ignored;
    if (order_book_start(book) != ERR_OK) {
        order_book_destroy(book);
        return NULL;
    }
    return book;
}

MAY_BLOCK void node_orders_close(struct order_book *book) {
    order_book_stop(book);
    order_book_destroy(book);
}
