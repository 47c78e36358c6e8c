/* SPDX-License-Identifier: Apache-2.0 */
/* What people told the controller, and what it told them. */
#include "store/sqlite_priv.h"

static void put_text(struct sql_run *run, struct slice text) {
    sql_text(run, text.len == 0 ? SLICE_LIT("") : text);
}

static bool row_order(struct sql_run *run, struct arena *arena, struct order_record *ret) {
    bool copied = sql_get_copy(run, arena, &ret->name) && sql_get_copy(run, arena, &ret->value) &&
                  sql_get_copy(run, arena, &ret->author);
    ret->at_ms = sql_get_int(run);
    ret->until_ms = sql_get_int_or(run, TIME_NONE);
    return copied;
}

MAY_BLOCK enum err_e writer_put_order(struct sqlite_writer *w, struct store_op *op) {
    struct order_record *record = &op->order.values;
    record->at_ms = w->now_ms;
    struct sql_run trim = sql_begin(&w->conn, SQL_ORDERS_TRIM);
    sql_int(&trim, record->at_ms - STORE_ORDERS_KEPT_MS);
    TRY(sql_finish(&trim));
    struct sql_run run = sql_begin(&w->conn, SQL_ORDER_PUT);
    sql_text(&run, record->name);
    sql_text(&run, record->value);
    put_text(&run, record->author);
    sql_int(&run, record->at_ms);
    sql_int_or_null(&run, record->until_ms, TIME_NONE);
    sql_int(&run, STORE_ORDERS_MAX);
    TRY(sql_finish(&run));
    return sqlite3_changes(w->conn.db) > 0
               ? ERR_OK
               : problem_set(&op->problem, ERR_TOO_LARGE, "", "%d orders stand already",
                             STORE_ORDERS_MAX);
}

MAY_BLOCK enum err_e writer_end_order(struct sqlite_writer *w, struct store_op *op) {
    bool row;
    struct sql_run run = sql_begin(&w->conn, SQL_ORDER_END);
    sql_text(&run, op->order.values.name);
    sql_int(&run, w->now_ms);
    TRY(sql_step(&run, &row));
    bool copied = row && row_order(&run, &op->arena, &op->order.values);
    sql_end(&run);
    if (!row) {
        return problem_set(&op->problem, ERR_NOT_FOUND, "", "no such order stands");
    }
    return copied ? ERR_OK : ERR_NO_MEMORY;
}

MAY_BLOCK enum err_e reader_list_orders(struct sqlite_reader *r, struct store_op *op) {
    bool row;
    op->orders.len = 0;
    op->orders.items = arena_alloc(&op->arena, STORE_ORDERS_MAX * sizeof *op->orders.items);
    if (op->orders.items == NULL) {
        return ERR_NO_MEMORY;
    }
    struct sql_run run = sql_begin(&r->conn, SQL_ORDERS_ALL);
    sql_int(&run, op->orders.since_ms);
    sql_int(&run, STORE_ORDERS_MAX);
    for (;;) {
        TRY(sql_step(&run, &row));
        if (!row) {
            return ERR_OK;
        }
        if (!row_order(&run, &op->arena, &op->orders.items[op->orders.len++])) {
            sql_end(&run);
            return ERR_NO_MEMORY;
        }
    }
}

MAY_BLOCK enum err_e writer_add_notice(struct sqlite_writer *w, struct store_op *op) {
    struct notice_record *record = &op->notice.values;
    record->at_ms = record->changed_ms = w->now_ms;
    struct sql_run run = sql_begin(&w->conn, SQL_NOTICE_INSERT);
    sql_text(&run, record->key);
    sql_text(&run, record->receiver);
    put_text(&run, record->actor);
    sql_int(&run, record->at_ms);
    sql_text(&run, record->state);
    sql_int(&run, record->attempts);
    sql_text(&run, record->body);
    put_text(&run, record->detail);
    TRY(sql_finish(&run));
    record->id = sqlite3_last_insert_rowid(w->conn.db);
    struct sql_run trim = sql_begin(&w->conn, SQL_NOTICES_TRIM);
    sql_int(&trim, record->id - STORE_NOTICES_KEPT);
    return sql_finish(&trim);
}

MAY_BLOCK enum err_e writer_end_notice(struct sqlite_writer *w, struct store_op *op) {
    struct notice_record *record = &op->notice.values;
    record->changed_ms = w->now_ms;
    struct sql_run run = sql_begin(&w->conn, SQL_NOTICE_END);
    sql_int(&run, record->id);
    sql_text(&run, record->state);
    sql_int(&run, record->attempts);
    put_text(&run, record->detail);
    sql_int(&run, record->changed_ms);
    TRY(sql_finish(&run));
    return sqlite3_changes(w->conn.db) > 0 ? ERR_OK : ERR_NOT_FOUND;
}

static bool row_notice(struct sql_run *run, struct arena *arena, struct notice_record *ret) {
    ret->id = sql_get_int(run);
    bool copied = sql_get_copy(run, arena, &ret->key) && sql_get_copy(run, arena, &ret->receiver) &&
                  sql_get_copy(run, arena, &ret->actor);
    ret->at_ms = sql_get_int(run);
    ret->changed_ms = sql_get_int(run);
    copied = copied && sql_get_copy(run, arena, &ret->state);
    ret->attempts = sql_get_int(run);
    return copied && sql_get_copy(run, arena, &ret->body) &&
           sql_get_copy(run, arena, &ret->detail);
}

MAY_BLOCK enum err_e reader_list_notices(struct sqlite_reader *r, struct store_op *op) {
    struct sql_run run = sql_begin(&r->conn, SQL_NOTICES_PAGE);
    sql_int(&run, op->notices.after == 0 ? INT64_MAX : op->notices.after);
    put_text(&run, op->notices.state);
    sql_int(&run, (int64_t)op->notices.limit + 1);
    READ_PAGE(run, op, op->notices, row_notice);
    return ERR_OK;
}
