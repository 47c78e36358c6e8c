/* SPDX-License-Identifier: Apache-2.0 */
/* The journal of what turnout did by itself. The optimizer adds its own rows to the same table. */
#include "store/postgres_priv.h"

static void put_object(struct pg_args *args, struct slice json) {
    pg_arg_text(args, json.len == 0 ? SLICE_LIT("{}") : json);
}

static void put_text(struct pg_args *args, struct slice text) {
    pg_arg_text(args, text.len == 0 ? SLICE_LIT("") : text);
}

static void put_fence(struct pg_args *args, const struct action_fence *fence) {
    pg_arg_int(args, fence->term);
    put_text(args, fence->holder);
}

static enum err_e refuse_turn(struct store_op *op) {
    return problem_set(&op->problem, ERR_CONFLICT, "", "another controller leads");
}

MAY_BLOCK enum err_e pg_add_action(struct pg_writer *w, void *data) {
    struct store_op *op = data;
    struct action_record *record = &op->action.values;
    struct pg_args args;
    record->at_ms = w->now_ms;
    pg_args_init(&args);
    pg_arg_time(&args, record->at_ms);
    put_text(&args, record->system);
    put_text(&args, record->actor);
    put_text(&args, record->action);
    put_text(&args, record->target);
    put_text(&args, record->outcome);
    put_object(&args, record->evidence);
    put_object(&args, record->before);
    put_object(&args, record->after);
    put_text(&args, record->detail);
    put_fence(&args, &op->action.fence);
    size_t place = pg_put(&w->conn, PG_SQL_ACTION_INSERT, &args);
    TRY(pg_run(&w->conn));
    struct pg_rows rows = pg_rows_of(&w->conn, place);
    if (!pg_next(&rows)) {
        return refuse_turn(op);
    }
    record->id = pg_get_int(&rows);
    pg_args_init(&args);
    pg_arg_int(&args, record->id - STORE_ACTIONS_KEPT);
    pg_put(&w->conn, PG_SQL_ACTIONS_TRIM, &args);
    return ERR_OK;
}

MAY_BLOCK enum err_e pg_end_action(struct pg_writer *w, void *data) {
    struct store_op *op = data;
    const struct action_record *record = &op->action.values;
    struct pg_args args;
    pg_args_init(&args);
    if (record->id != 0) {
        pg_arg_int(&args, record->id);
    } else {
        put_text(&args, record->system);
    }
    put_text(&args, record->outcome);
    put_object(&args, record->after);
    put_text(&args, record->detail);
    if (record->id == 0) {
        put_text(&args, op->action.was);
        put_text(&args, record->actor);
    }
    put_fence(&args, &op->action.fence);
    if (record->id != 0) {
        pg_arg_time(&args, w->now_ms);
    }
    size_t place = pg_put(&w->conn, record->id != 0 ? PG_SQL_ACTION_END : PG_SQL_ACTIONS_END,
                          &args);
    TRY(pg_run(&w->conn));
    struct pg_rows rows = pg_rows_of(&w->conn, place);
    for (op->action.changed = 0; pg_next(&rows); op->action.changed++) {
    }
    bool is_refused = op->action.changed == 0 && record->id != 0 && op->action.fence.term != 0;
    return is_refused ? refuse_turn(op) : ERR_OK;
}

static bool row_action(struct pg_rows *rows, struct arena *arena, struct action_record *ret) {
    ret->id = pg_get_int(rows);
    ret->at_ms = pg_get_time(rows);
    return pg_get_copy(rows, arena, &ret->system) && pg_get_copy(rows, arena, &ret->actor) &&
           pg_get_copy(rows, arena, &ret->action) && pg_get_copy(rows, arena, &ret->target) &&
           pg_get_copy(rows, arena, &ret->outcome) && pg_get_copy(rows, arena, &ret->evidence) &&
           pg_get_copy(rows, arena, &ret->before) && pg_get_copy(rows, arena, &ret->after) &&
           pg_get_copy(rows, arena, &ret->detail);
}

enum err_e pg_list_actions(struct pg_reader *r, struct store_op *op) {
    struct pg_args args;
    pg_args_init(&args);
    pg_arg_int(&args, op->actions.after == 0 ? INT64_MAX : op->actions.after);
    pg_arg_int(&args, (int64_t)op->actions.limit + 1);
    size_t place = pg_put(&r->conn, PG_SQL_ACTIONS_PAGE, &args);
    TRY(pg_read(r));
    struct pg_rows rows = pg_rows_of(&r->conn, place);
    PG_READ_PAGE(rows, op, op->actions, row_action);
    return ERR_OK;
}
