/* SPDX-License-Identifier: Apache-2.0 */
/* Events, gates and keys: what is set up before the doors open. */
#include "store/postgres_priv.h"

/* ── events ── */

static void add_event(struct pg_args *args, const struct event *event) {
    pg_arg_text(args, event->name);
    pg_arg_text(args, event->timezone);
    pg_arg_time(args, event->starts_at_ms);
    pg_arg_time(args, event->ends_at_ms);
    pg_arg_int_or_null(args, event->capacity, CAPACITY_NONE);
    pg_arg_word(args, reentry_text(event->reentry));
}

static enum err_e check_event(const struct event *event, struct problem *problem) {
    if (event->starts_at_ms != TIME_NONE && event->ends_at_ms != TIME_NONE &&
        event->ends_at_ms < event->starts_at_ms) {
        return problem_set(problem, ERR_INVALID_FIELD, "ends_at", "it lies before starts_at");
    }
    return ERR_OK;
}

/* A code that another node creates at the same moment is a conflict, too. */
static enum err_e name_conflict(enum err_e err, const char *what, struct problem *problem) {
    return err == ERR_CONFLICT ? problem_set(problem, err, "code",
                                             "%s with this code exists", what)
                               : err;
}

MAY_BLOCK enum err_e pg_create_event(struct pg_writer *w, void *data) {
    struct store_op *op = data;
    struct event *event = &op->event_write.values;
    struct pg_args args;
    TRY(check_event(event, &op->problem));
    pg_args_init(&args);
    pg_arg_text(&args, event->code);
    add_event(&args, event);
    pg_arg_time(&args, w->now_ms);
    size_t place = pg_put(&w->conn, PG_SQL_EVENT_INSERT, &args);
    TRY(name_conflict(pg_run(&w->conn), "an event", &op->problem));
    struct pg_rows rows = pg_rows_of(&w->conn, place);
    event->id = pg_next(&rows) ? pg_get_int(&rows) : 0;
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

static enum err_e see_event(struct pg_rows rows, struct arena *arena, struct event *ret_event) {
    if (!pg_next(&rows)) {
        return ERR_UNKNOWN_EVENT;
    }
    return pg_row_event(&rows, arena, ret_event) ? ERR_OK : ERR_NO_MEMORY;
}

MAY_BLOCK enum err_e pg_update_event(struct pg_writer *w, void *data) {
    struct store_op *op = data;
    struct event stored;
    struct pg_args args;
    pg_args_init(&args);
    pg_arg_text(&args, op->event);
    pg_put(&w->conn, PG_SQL_EVENT_ROW_LOCK, &args);
    size_t place = pg_put(&w->conn, PG_SQL_EVENT_BY_CODE, &args);
    TRY(pg_run(&w->conn));
    TRY(see_event(pg_rows_of(&w->conn, place), &op->arena, &stored));
    patch_event(&stored, &op->event_write.values, op->event_write.fields);
    TRY(check_event(&stored, &op->problem));
    pg_args_init(&args);
    pg_arg_int(&args, stored.id);
    add_event(&args, &stored);
    pg_put(&w->conn, PG_SQL_EVENT_UPDATE, &args);
    op->event_write.values = stored; /* the patch gives the same when it is tried again */
    return ERR_OK;
}

enum err_e pg_load_event(struct pg_reader *r, struct store_op *op) {
    struct pg_args args;
    pg_args_init(&args);
    pg_arg_text(&args, op->event);
    size_t place = pg_put(&r->conn, PG_SQL_EVENT_BY_CODE, &args);
    TRY(pg_read(r));
    return see_event(pg_rows_of(&r->conn, place), &op->arena, &op->event_write.values);
}

enum err_e pg_list_events(struct pg_reader *r, struct store_op *op) {
    struct pg_args args;
    pg_args_init(&args);
    pg_arg_int(&args, op->events.after);
    pg_arg_int(&args, (int64_t)op->events.limit + 1);
    size_t place = pg_put(&r->conn, PG_SQL_EVENTS_PAGE, &args);
    TRY(pg_read(r));
    struct pg_rows rows = pg_rows_of(&r->conn, place);
    PG_READ_PAGE(rows, op, op->events, pg_row_event);
    return ERR_OK;
}

/* ── gates ── */

struct gate_places {
    size_t event, gate;
};

/* The event comes first, since an unknown one is another error than an unknown gate. */
static struct gate_places put_gate_look_up(struct pg_conn *conn, const struct store_op *op) {
    struct pg_args event, gate;
    pg_args_init(&event);
    pg_arg_text(&event, op->event);
    pg_args_init(&gate);
    pg_arg_text(&gate, op->event);
    pg_arg_text(&gate, op->gate_write.values.code);
    size_t first = pg_put(conn, PG_SQL_EVENT_BY_CODE, &event);
    return (struct gate_places){first, pg_put(conn, PG_SQL_GATE_BY_CODE, &gate)};
}

static enum err_e see_gate(struct pg_conn *conn, struct gate_places places, struct store_op *op,
                           struct gate *ret_gate) {
    struct pg_rows rows = pg_rows_of(conn, places.event);
    if (!pg_next(&rows)) {
        return ERR_UNKNOWN_EVENT;
    }
    rows = pg_rows_of(conn, places.gate);
    if (!pg_next(&rows)) {
        return ERR_UNKNOWN_GATE;
    }
    return pg_row_gate(&rows, &op->arena, ret_gate) ? ERR_OK : ERR_NO_MEMORY;
}

MAY_BLOCK enum err_e pg_create_gate(struct pg_writer *w, void *data) {
    struct store_op *op = data;
    struct gate *gate = &op->gate_write.values;
    int64_t event_id;
    struct pg_args args;
    TRY(pg_lock_people(w, op->event, &event_id)); /* lists of gates are checked under it */
    pg_args_init(&args);
    pg_arg_int(&args, event_id);
    pg_arg_text(&args, gate->code);
    pg_arg_text(&args, gate->name);
    pg_arg_word(&args, gate_status_text(gate->status));
    size_t place = pg_put(&w->conn, PG_SQL_GATE_INSERT, &args);
    TRY(name_conflict(pg_run(&w->conn), "a gate", &op->problem));
    struct pg_rows rows = pg_rows_of(&w->conn, place);
    gate->id = pg_next(&rows) ? pg_get_int(&rows) : 0;
    return ERR_OK;
}

MAY_BLOCK enum err_e pg_update_gate(struct pg_writer *w, void *data) {
    struct store_op *op = data;
    struct gate stored;
    struct pg_args args;
    pg_args_init(&args);
    pg_arg_text(&args, op->event);
    pg_put(&w->conn, PG_SQL_EVENT_ROW_LOCK, &args);
    struct gate_places places = put_gate_look_up(&w->conn, op);
    TRY(pg_run(&w->conn));
    TRY(see_gate(&w->conn, places, op, &stored));
    const struct gate *values = &op->gate_write.values;
    unsigned fields = op->gate_write.fields;
    stored.name = fields & GATE_NAME ? values->name : stored.name;
    stored.status = fields & GATE_STATUS ? values->status : stored.status;
    pg_args_init(&args);
    pg_arg_int(&args, stored.id);
    pg_arg_text(&args, stored.name);
    pg_arg_word(&args, gate_status_text(stored.status));
    pg_put(&w->conn, PG_SQL_GATE_UPDATE, &args);
    op->gate_write.values = stored;
    return ERR_OK;
}

enum err_e pg_load_gate(struct pg_reader *r, struct store_op *op) {
    struct gate gate;
    struct gate_places places = put_gate_look_up(&r->conn, op);
    TRY(pg_read(r));
    TRY(see_gate(&r->conn, places, op, &gate));
    op->gate_write.values = gate;
    return ERR_OK;
}

enum err_e pg_list_gates(struct pg_reader *r, struct store_op *op) {
    struct pg_args event, page;
    pg_args_init(&event);
    pg_arg_text(&event, op->event);
    pg_args_init(&page);
    pg_arg_text(&page, op->event);
    pg_arg_int(&page, op->gates.after);
    pg_arg_int(&page, (int64_t)op->gates.limit + 1);
    size_t known = pg_put(&r->conn, PG_SQL_EVENT_BY_CODE, &event);
    size_t place = pg_put(&r->conn, PG_SQL_GATES_PAGE, &page);
    TRY(pg_read(r));
    struct pg_rows rows = pg_rows_of(&r->conn, known);
    if (!pg_next(&rows)) {
        return ERR_UNKNOWN_EVENT;
    }
    rows = pg_rows_of(&r->conn, place);
    PG_READ_PAGE(rows, op, op->gates, pg_row_gate);
    return ERR_OK;
}

/* ── keys ── */

MAY_BLOCK static enum err_e check_key_event(struct pg_writer *w, struct slice code) {
    if (code.len == 0) {
        return ERR_OK;
    }
    struct pg_args args;
    pg_args_init(&args);
    pg_arg_text(&args, code);
    size_t place = pg_put(&w->conn, PG_SQL_EVENT_BY_CODE, &args);
    TRY(pg_run(&w->conn));
    struct pg_rows rows = pg_rows_of(&w->conn, place);
    return pg_next(&rows) ? ERR_OK : ERR_UNKNOWN_EVENT;
}

MAY_BLOCK enum err_e pg_create_key(struct pg_writer *w, void *data) {
    struct store_op *op = data;
    struct api_key *key = &op->key;
    struct pg_args args;
    TRY(check_key_event(w, key->event));
    key->created_at_ms = w->now_ms;
    key->revoked_at_ms = TIME_NONE;
    pg_args_init(&args);
    pg_arg_text(&args, key->id);
    pg_arg_text(&args, key->name);
    pg_arg_word(&args, key_scope_text(key->scope));
    pg_arg_text_or_null(&args, key->event.len > 0 ? key->event : SLICE_NONE);
    pg_arg_bytes(&args, slice_from((const char *)key->hash, KEY_HASH_SIZE));
    pg_arg_time(&args, key->created_at_ms);
    pg_put(&w->conn, PG_SQL_KEY_INSERT, &args);
    return ERR_OK;
}

static enum err_e see_key(struct pg_rows rows, struct arena *arena, struct api_key *ret_key) {
    if (!pg_next(&rows)) {
        return ERR_UNKNOWN_KEY;
    }
    struct api_key key;
    if (!pg_row_key(&rows, arena, &key)) {
        return ERR_NO_MEMORY;
    }
    *ret_key = key;
    return ERR_OK;
}

MAY_BLOCK enum err_e pg_revoke_key(struct pg_writer *w, void *data) {
    struct store_op *op = data;
    struct pg_args args;
    pg_args_init(&args);
    pg_arg_text(&args, op->key.id);
    pg_arg_time(&args, w->now_ms);
    size_t place = pg_put(&w->conn, PG_SQL_KEY_REVOKE, &args);
    TRY(pg_run(&w->conn));
    return see_key(pg_rows_of(&w->conn, place), &op->arena, &op->key);
}

enum err_e pg_load_key(struct pg_reader *r, struct store_op *op) {
    struct pg_args args;
    pg_args_init(&args);
    pg_arg_text(&args, op->key.id);
    size_t place = pg_put(&r->conn, PG_SQL_KEY_BY_ID, &args);
    TRY(pg_read(r));
    return see_key(pg_rows_of(&r->conn, place), &op->arena, &op->key);
}

enum err_e pg_list_keys(struct pg_reader *r, struct store_op *op) {
    struct {
        struct api_key *items;
        size_t limit, len;
        bool more;
    } page = {.limit = STORE_KEYS_MAX};
    struct pg_args args;
    pg_args_init(&args);
    pg_arg_int(&args, STORE_KEYS_MAX);
    size_t place = pg_put(&r->conn, PG_SQL_KEYS_ALL, &args);
    TRY(pg_read(r));
    struct pg_rows rows = pg_rows_of(&r->conn, place);
    PG_READ_PAGE(rows, op, page, pg_row_key);
    op->keys.items = page.items;
    op->keys.len = page.len;
    return ERR_OK;
}
