/* SPDX-License-Identifier: Apache-2.0 */
/* Events, gates and keys: what is set up before the doors open. */
#include "store/sqlite_priv.h"

/* ── events ── */

static void bind_event(struct sql_run *run, const struct event *event) {
    sql_text(run, event->name);
    sql_text(run, event->timezone);
    sql_int_or_null(run, event->starts_at_ms, TIME_NONE);
    sql_int_or_null(run, event->ends_at_ms, TIME_NONE);
    sql_int_or_null(run, event->capacity, CAPACITY_NONE);
    sql_word(run, reentry_text(event->reentry));
}

static enum err_e check_event(const struct event *event, struct problem *problem) {
    if (event->starts_at_ms != TIME_NONE && event->ends_at_ms != TIME_NONE &&
        event->ends_at_ms < event->starts_at_ms) {
        return problem_set(problem, ERR_INVALID_FIELD, "ends_at", "it lies before starts_at");
    }
    return ERR_OK;
}

MAY_BLOCK enum err_e writer_create_event(struct sqlite_writer *w, struct store_op *op) {
    struct event *event = &op->event_write.values;
    int64_t id;
    enum err_e err = find_event(&w->conn, event->code, &id);
    if (err == ERR_OK) {
        return problem_set(&op->problem, ERR_CONFLICT, "code", "an event with this code exists");
    }
    if (err != ERR_UNKNOWN_EVENT) {
        return err;
    }
    TRY(check_event(event, &op->problem));
    struct sql_run run = sql_begin(&w->conn, SQL_EVENT_INSERT);
    sql_text(&run, event->code);
    bind_event(&run, event);
    sql_int(&run, w->now_ms);
    TRY(sql_finish(&run));
    event->id = sqlite3_last_insert_rowid(w->conn.db);
    return ERR_OK;
}

static void patch_event(struct event *stored, const struct event *values, unsigned fields) {
    stored->name = fields & EVENT_NAME ? values->name : stored->name;
    stored->timezone = fields & EVENT_TIMEZONE ? values->timezone : stored->timezone;
    stored->starts_at_ms = fields & EVENT_STARTS_AT ? values->starts_at_ms : stored->starts_at_ms;
    stored->ends_at_ms = fields & EVENT_ENDS_AT ? values->ends_at_ms : stored->ends_at_ms;
    stored->capacity = fields & EVENT_CAPACITY ? values->capacity : stored->capacity;
    stored->reentry = fields & EVENT_REENTRY ? values->reentry : stored->reentry;
}

static enum err_e load_event(struct sqlite_conn *conn, struct slice code, struct arena *arena,
                             struct event *ret_event) {
    bool row;
    struct sql_run run = sql_begin(conn, SQL_EVENT_BY_CODE);
    sql_text(&run, code);
    TRY(sql_step(&run, &row));
    if (!row) {
        return ERR_UNKNOWN_EVENT;
    }
    bool copied = row_event(&run, arena, ret_event);
    sql_end(&run);
    return copied ? ERR_OK : ERR_NO_MEMORY;
}

MAY_BLOCK enum err_e writer_update_event(struct sqlite_writer *w, struct store_op *op) {
    struct event stored;
    TRY(load_event(&w->conn, op->event, &op->arena, &stored));
    patch_event(&stored, &op->event_write.values, op->event_write.fields);
    TRY(check_event(&stored, &op->problem));
    struct sql_run run = sql_begin(&w->conn, SQL_EVENT_UPDATE);
    sql_int(&run, stored.id);
    bind_event(&run, &stored);
    TRY(sql_finish(&run));
    /* The remembered event is wrong now; its counts must reach the file before it is forgotten. */
    TRY(facts_flush(&w->conn, &w->facts));
    facts_drop(&w->facts);
    op->event_write.values = stored;
    return ERR_OK;
}

MAY_BLOCK enum err_e reader_load_event(struct sqlite_reader *r, struct store_op *op) {
    return load_event(&r->conn, op->event, &op->arena, &op->event_write.values);
}

MAY_BLOCK enum err_e reader_list_events(struct sqlite_reader *r, struct store_op *op) {
    struct sql_run run = sql_begin(&r->conn, SQL_EVENTS_PAGE);
    sql_int(&run, op->events.after);
    sql_int(&run, (int64_t)op->events.limit + 1);
    READ_PAGE(run, op, op->events, row_event);
    return ERR_OK;
}

/* ── gates ── */

static enum err_e load_gate(struct sqlite_conn *conn, struct store_op *op,
                            struct gate *ret_gate) {
    int64_t event_id;
    bool row;
    TRY(find_event(conn, op->event, &event_id));
    struct sql_run run = sql_begin(conn, SQL_GATE_BY_CODE);
    sql_int(&run, event_id);
    sql_text(&run, op->gate_write.values.code);
    TRY(sql_step(&run, &row));
    if (!row) {
        return ERR_UNKNOWN_GATE;
    }
    bool copied = row_gate(&run, &op->arena, ret_gate);
    sql_end(&run);
    return copied ? ERR_OK : ERR_NO_MEMORY;
}

MAY_BLOCK enum err_e writer_create_gate(struct sqlite_writer *w, struct store_op *op) {
    struct gate *gate = &op->gate_write.values;
    struct gate stored;
    enum err_e err = load_gate(&w->conn, op, &stored);
    if (err == ERR_OK) {
        return problem_set(&op->problem, ERR_CONFLICT, "code", "a gate with this code exists");
    }
    if (err != ERR_UNKNOWN_GATE) {
        return err;
    }
    int64_t event_id;
    TRY(find_event(&w->conn, op->event, &event_id));
    struct sql_run run = sql_begin(&w->conn, SQL_GATE_INSERT);
    sql_int(&run, event_id);
    sql_text(&run, gate->code);
    sql_text(&run, gate->name);
    sql_word(&run, gate_status_text(gate->status));
    TRY(sql_finish(&run));
    gate->id = sqlite3_last_insert_rowid(w->conn.db);
    TRY(facts_flush(&w->conn, &w->facts));
    facts_drop(&w->facts);
    return ERR_OK;
}

MAY_BLOCK enum err_e writer_update_gate(struct sqlite_writer *w, struct store_op *op) {
    struct gate stored;
    TRY(load_gate(&w->conn, op, &stored));
    const struct gate *values = &op->gate_write.values;
    unsigned fields = op->gate_write.fields;
    stored.name = fields & GATE_NAME ? values->name : stored.name;
    stored.status = fields & GATE_STATUS ? values->status : stored.status;
    struct sql_run run = sql_begin(&w->conn, SQL_GATE_UPDATE);
    sql_int(&run, stored.id);
    sql_text(&run, stored.name);
    sql_word(&run, gate_status_text(stored.status));
    TRY(sql_finish(&run));
    TRY(facts_flush(&w->conn, &w->facts));
    facts_drop(&w->facts);
    op->gate_write.values = stored;
    return ERR_OK;
}

MAY_BLOCK enum err_e reader_load_gate(struct sqlite_reader *r, struct store_op *op) {
    struct gate gate;
    TRY(load_gate(&r->conn, op, &gate));
    op->gate_write.values = gate;
    return ERR_OK;
}

MAY_BLOCK enum err_e reader_list_gates(struct sqlite_reader *r, struct store_op *op) {
    int64_t event_id;
    TRY(find_event(&r->conn, op->event, &event_id));
    struct sql_run run = sql_begin(&r->conn, SQL_GATES_PAGE);
    sql_int(&run, event_id);
    sql_int(&run, op->gates.after);
    sql_int(&run, (int64_t)op->gates.limit + 1);
    READ_PAGE(run, op, op->gates, row_gate);
    return ERR_OK;
}

/* ── keys ── */

static enum err_e load_key(struct sqlite_conn *conn, struct store_op *op, struct slice id) {
    bool row;
    struct sql_run run = sql_begin(conn, SQL_KEY_BY_ID);
    sql_text(&run, id);
    TRY(sql_step(&run, &row));
    if (!row) {
        return ERR_UNKNOWN_KEY;
    }
    bool copied = row_key(&run, &op->arena, &op->key);
    sql_end(&run);
    return copied ? ERR_OK : ERR_NO_MEMORY;
}

MAY_BLOCK enum err_e writer_create_key(struct sqlite_writer *w, struct store_op *op) {
    struct api_key *key = &op->key;
    int64_t ignored;
    if (key->event.len > 0) {
        TRY(find_event(&w->conn, key->event, &ignored));
    }
    key->created_at_ms = w->now_ms;
    key->revoked_at_ms = TIME_NONE;
    struct sql_run run = sql_begin(&w->conn, SQL_KEY_INSERT);
    sql_text(&run, key->id);
    sql_text(&run, key->name);
    sql_word(&run, key_scope_text(key->scope));
    sql_text_or_null(&run, key->event.len > 0 ? key->event : SLICE_NONE);
    sql_blob(&run, slice_from((const char *)key->hash, KEY_HASH_SIZE));
    sql_int(&run, key->created_at_ms);
    return sql_finish(&run);
}

MAY_BLOCK enum err_e writer_revoke_key(struct sqlite_writer *w, struct store_op *op) {
    struct slice id = op->key.id;
    struct sql_run run = sql_begin(&w->conn, SQL_KEY_REVOKE);
    sql_text(&run, id);
    sql_int(&run, w->now_ms);
    TRY(sql_finish(&run));
    return load_key(&w->conn, op, id);
}

MAY_BLOCK enum err_e reader_load_key(struct sqlite_reader *r, struct store_op *op) {
    return load_key(&r->conn, op, op->key.id);
}

MAY_BLOCK enum err_e reader_list_keys(struct sqlite_reader *r, struct store_op *op) {
    struct {
        struct api_key *items;
        size_t limit, len;
        bool more;
    } page = {.limit = STORE_KEYS_MAX};
    struct sql_run run = sql_begin(&r->conn, SQL_KEYS_ALL);
    READ_PAGE(run, op, page, row_key);
    op->keys.items = page.items;
    op->keys.len = page.len;
    return ERR_OK;
}

MAY_BLOCK enum err_e writer_probe(struct sqlite_writer *w, struct store_op *op) {
    (void)op;
    struct sql_run run = sql_begin(&w->conn, SQL_PROBE);
    sql_int(&run, w->now_ms);
    return sql_finish(&run);
}
