/* SPDX-License-Identifier: Apache-2.0 */
/* What people told all controllers, and what controllers told people. */
#include "store/postgres_priv.h"

static void put_text(struct pg_args *args, struct slice text) {
    pg_arg_text(args, text.len == 0 ? SLICE_LIT("") : text);
}

static bool row_order(struct pg_rows *rows, struct arena *arena, struct order_record *ret) {
    bool copied = pg_get_copy(rows, arena, &ret->name) && pg_get_copy(rows, arena, &ret->value) &&
                  pg_get_copy(rows, arena, &ret->author);
    ret->at_ms = pg_get_time(rows);
    ret->until_ms = pg_get_time(rows);
    return copied;
}

MAY_BLOCK enum err_e pg_put_order(struct pg_writer *w, void *data) {
    struct store_op *op = data;
    struct order_record *record = &op->order.values;
    struct pg_args args, trim;
    record->at_ms = w->now_ms;
    pg_args_init(&trim);
    pg_arg_time(&trim, record->at_ms - STORE_ORDERS_KEPT_MS);
    pg_put(&w->conn, PG_SQL_ORDERS_TRIM, &trim);
    pg_args_init(&args);
    pg_arg_text(&args, record->name);
    pg_arg_text(&args, record->value);
    put_text(&args, record->author);
    pg_arg_time(&args, record->at_ms);
    pg_arg_time(&args, record->until_ms);
    pg_arg_int(&args, STORE_ORDERS_MAX);
    size_t place = pg_put(&w->conn, PG_SQL_ORDER_PUT, &args);
    TRY(pg_run(&w->conn));
    struct pg_rows rows = pg_rows_of(&w->conn, place);
    return pg_next(&rows) ? ERR_OK
                          : problem_set(&op->problem, ERR_TOO_LARGE, "",
                                        "%d orders stand already", STORE_ORDERS_MAX);
}

MAY_BLOCK enum err_e pg_end_order(struct pg_writer *w, void *data) {
    struct store_op *op = data;
    struct pg_args args;
    pg_args_init(&args);
    pg_arg_text(&args, op->order.values.name);
    pg_arg_time(&args, w->now_ms);
    size_t place = pg_put(&w->conn, PG_SQL_ORDER_END, &args);
    TRY(pg_run(&w->conn));
    struct pg_rows rows = pg_rows_of(&w->conn, place);
    if (!pg_next(&rows)) {
        return problem_set(&op->problem, ERR_NOT_FOUND, "", "no such order stands");
    }
    return row_order(&rows, &op->arena, &op->order.values) ? ERR_OK : ERR_NO_MEMORY;
}

enum err_e pg_list_orders(struct pg_reader *r, struct store_op *op) {
    struct pg_args args;
    pg_args_init(&args);
    pg_arg_time(&args, op->orders.since_ms);
    pg_arg_int(&args, STORE_ORDERS_MAX);
    size_t place = pg_put(&r->conn, PG_SQL_ORDERS_ALL, &args);
    TRY(pg_read(r));
    struct pg_rows rows = pg_rows_of(&r->conn, place);
    op->orders.items = arena_alloc(&op->arena, STORE_ORDERS_MAX * sizeof *op->orders.items);
    if (op->orders.items == NULL) {
        return ERR_NO_MEMORY;
    }
    for (op->orders.len = 0; pg_next(&rows); op->orders.len++) {
        if (!row_order(&rows, &op->arena, &op->orders.items[op->orders.len])) {
            return ERR_NO_MEMORY;
        }
    }
    return ERR_OK;
}

MAY_BLOCK enum err_e pg_add_notice(struct pg_writer *w, void *data) {
    struct store_op *op = data;
    struct notice_record *record = &op->notice.values;
    struct pg_args args;
    record->at_ms = record->changed_ms = w->now_ms;
    pg_args_init(&args);
    pg_arg_text(&args, record->key);
    pg_arg_text(&args, record->receiver);
    put_text(&args, record->actor);
    pg_arg_time(&args, record->at_ms);
    pg_arg_text(&args, record->state);
    pg_arg_int(&args, record->attempts);
    pg_arg_text(&args, record->body);
    put_text(&args, record->detail);
    size_t place = pg_put(&w->conn, PG_SQL_NOTICE_INSERT, &args);
    TRY(pg_run(&w->conn));
    struct pg_rows rows = pg_rows_of(&w->conn, place);
    if (!pg_next(&rows)) {
        return ERR_INTERNAL;
    }
    record->id = pg_get_int(&rows);
    pg_args_init(&args);
    pg_arg_int(&args, record->id - STORE_NOTICES_KEPT);
    pg_put(&w->conn, PG_SQL_NOTICES_TRIM, &args);
    return ERR_OK;
}

MAY_BLOCK enum err_e pg_end_notice(struct pg_writer *w, void *data) {
    struct store_op *op = data;
    struct notice_record *record = &op->notice.values;
    struct pg_args args;
    record->changed_ms = w->now_ms;
    pg_args_init(&args);
    pg_arg_int(&args, record->id);
    pg_arg_text(&args, record->state);
    pg_arg_int(&args, record->attempts);
    put_text(&args, record->detail);
    pg_arg_time(&args, record->changed_ms);
    size_t place = pg_put(&w->conn, PG_SQL_NOTICE_END, &args);
    TRY(pg_run(&w->conn));
    struct pg_rows rows = pg_rows_of(&w->conn, place);
    return pg_next(&rows) ? ERR_OK : ERR_NOT_FOUND;
}

static bool row_notice(struct pg_rows *rows, struct arena *arena, struct notice_record *ret) {
    ret->id = pg_get_int(rows);
    bool copied = pg_get_copy(rows, arena, &ret->key) && pg_get_copy(rows, arena, &ret->receiver) &&
                  pg_get_copy(rows, arena, &ret->actor);
    ret->at_ms = pg_get_time(rows);
    ret->changed_ms = pg_get_time(rows);
    copied = copied && pg_get_copy(rows, arena, &ret->state);
    ret->attempts = pg_get_int(rows);
    return copied && pg_get_copy(rows, arena, &ret->body) &&
           pg_get_copy(rows, arena, &ret->detail);
}

enum err_e pg_list_notices(struct pg_reader *r, struct store_op *op) {
    struct pg_args args;
    pg_args_init(&args);
    pg_arg_int(&args, op->notices.after == 0 ? INT64_MAX : op->notices.after);
    put_text(&args, op->notices.state);
    pg_arg_int(&args, (int64_t)op->notices.limit + 1);
    size_t place = pg_put(&r->conn, PG_SQL_NOTICES_PAGE, &args);
    TRY(pg_read(r));
    struct pg_rows rows = pg_rows_of(&r->conn, place);
    PG_READ_PAGE(rows, op, op->notices, row_notice);
    return ERR_OK;
}
