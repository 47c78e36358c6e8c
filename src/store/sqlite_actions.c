/* SPDX-License-Identifier: Apache-2.0 */
/* The journal of what turnout did by itself. */
#include "store/sqlite_priv.h"

static void put_object(struct sql_run *run, struct slice json) {
    sql_text(run, json.len == 0 ? SLICE_LIT("{}") : json);
}

static void put_text(struct sql_run *run, struct slice text) {
    sql_text(run, text.len == 0 ? SLICE_LIT("") : text);
}

static enum err_e trim(struct sqlite_writer *w, int64_t newest) {
    struct sql_run run = sql_begin(&w->conn, SQL_ACTIONS_TRIM);
    sql_int(&run, newest - STORE_ACTIONS_KEPT);
    return sql_finish(&run);
}

MAY_BLOCK enum err_e writer_add_action(struct sqlite_writer *w, struct store_op *op) {
    struct action_record *record = &op->action.values;
    record->at_ms = w->now_ms;
    struct sql_run run = sql_begin(&w->conn, SQL_ACTION_INSERT);
    sql_int(&run, record->at_ms);
    put_text(&run, record->system);
    put_text(&run, record->actor);
    put_text(&run, record->action);
    put_text(&run, record->target);
    put_text(&run, record->outcome);
    put_object(&run, record->evidence);
    put_object(&run, record->before);
    put_object(&run, record->after);
    put_text(&run, record->detail);
    TRY(sql_finish(&run));
    record->id = sqlite3_last_insert_rowid(w->conn.db);
    return trim(w, record->id);
}

/* The actor does not matter: one process at a time serves a file, and it is this one. */
MAY_BLOCK enum err_e writer_end_action(struct sqlite_writer *w, struct store_op *op) {
    const struct action_record *record = &op->action.values;
    bool is_one = record->id != 0;
    struct sql_run run = sql_begin(&w->conn, is_one ? SQL_ACTION_END : SQL_ACTIONS_END);
    if (is_one) {
        sql_int(&run, record->id);
    } else {
        put_text(&run, record->system);
    }
    put_text(&run, record->outcome);
    put_object(&run, record->after);
    put_text(&run, record->detail);
    if (is_one) {
        sql_int(&run, w->now_ms);
    } else {
        put_text(&run, op->action.was);
    }
    TRY(sql_finish(&run));
    op->action.changed = sqlite3_changes(w->conn.db);
    return ERR_OK;
}

static bool row_action(struct sql_run *run, struct arena *arena, struct action_record *ret) {
    ret->id = sql_get_int(run);
    ret->at_ms = sql_get_int(run);
    return sql_get_copy(run, arena, &ret->system) && sql_get_copy(run, arena, &ret->actor) &&
           sql_get_copy(run, arena, &ret->action) && sql_get_copy(run, arena, &ret->target) &&
           sql_get_copy(run, arena, &ret->outcome) && sql_get_copy(run, arena, &ret->evidence) &&
           sql_get_copy(run, arena, &ret->before) && sql_get_copy(run, arena, &ret->after) &&
           sql_get_copy(run, arena, &ret->detail);
}

MAY_BLOCK enum err_e reader_list_actions(struct sqlite_reader *r, struct store_op *op) {
    struct sql_run run = sql_begin(&r->conn, SQL_ACTIONS_PAGE);
    sql_int(&run, op->actions.after == 0 ? INT64_MAX : op->actions.after);
    sql_int(&run, (int64_t)op->actions.limit + 1);
    READ_PAGE(run, op, op->actions, row_action);
    return ERR_OK;
}
