/* SPDX-License-Identifier: Apache-2.0 */
/* Events and their gates. */
#include "api/call_priv.h"

#include <stdio.h>

/* --- events --- */

static void reply_event(struct call *call) {
    event_write(call_begin_json(call), &call_op(call)->event_write.values);
    call_reply_json(call, 200);
}

static void reply_created_event(struct call *call) {
    struct store_op *op = call_op(call);
    char location[sizeof "/v1/events/" + CODE_MAX];
    snprintf(location, sizeof location, "/v1/events/%.*s", SLICE_ARG(op->event_write.values.code));
    http_add_field(call->request, "location", slice_of(location));
    event_write(call_begin_json(call), &op->event_write.values);
    call_reply_json(call, 201);
}

void handle_create_event(struct call *call) {
    struct problem problem;
    struct body body;
    struct event event;
    unsigned named;
    if (!call_read_body(call, FIELDS_CREATE, &problem, &body)) {
        return;
    }
    enum err_e err = event_read(&body, &event, &named);
    if (err != ERR_OK) {
        call_fail(call, err, &problem);
        return;
    }
    struct store_op *op = call_begin_op(call, STORE_CREATE_EVENT);
    if (op != NULL) {
        op->event_write.values = event;
        call_submit(call, reply_created_event);
    }
}

void handle_read_event(struct call *call) {
    if (call_begin_op(call, STORE_LOAD_EVENT) != NULL) {
        call_submit(call, reply_event);
    }
}

/* A patch as it waits while the other end of a span is looked up. */
struct event_patch {
    struct event values;
    unsigned fields;
};

static void update_event(struct call *call) {
    const struct event_patch *patch = call->state;
    struct store_op *op = call_begin_op(call, STORE_UPDATE_EVENT);
    if (op != NULL) {
        op->event_write.values = patch->values;
        op->event_write.fields = patch->fields;
        call_submit(call, reply_event);
    }
}

static void check_event_span(struct call *call) {
    const struct event_patch *patch = call->state;
    const struct event *now = &call_op(call)->event_write.values;
    bool has_start = (patch->fields & EVENT_STARTS_AT) != 0;
    struct problem problem;
    enum err_e err = check_span(has_start ? patch->values.starts_at_ms : now->starts_at_ms,
                                has_start ? now->ends_at_ms : patch->values.ends_at_ms, "ends_at",
                                &problem);
    if (err != ERR_OK) {
        call_fail(call, err, &problem);
        return;
    }
    update_event(call);
}

/* Exactly one end of a span is set anew: the other one is in the store. */
static bool names_one_of(unsigned fields, unsigned begin, unsigned end) {
    return ((fields & begin) != 0) != ((fields & end) != 0);
}

void handle_update_event(struct call *call) {
    struct problem problem;
    struct body body;
    struct event_patch *patch = arena_zalloc(call->arena, sizeof *patch);
    if (patch == NULL) {
        call_fail(call, ERR_NO_MEMORY, NULL);
        return;
    }
    if (!call_read_body(call, FIELDS_PATCH, &problem, &body)) {
        return;
    }
    patch->values.code = call->params[0];
    enum err_e err = event_read(&body, &patch->values, &patch->fields);
    if (err != ERR_OK) {
        call_fail(call, err, &problem);
        return;
    }
    call->state = patch;
    if (!names_one_of(patch->fields, EVENT_STARTS_AT, EVENT_ENDS_AT)) {
        update_event(call);
    } else if (call_begin_op(call, STORE_LOAD_EVENT) != NULL) {
        call_submit(call, check_event_span);
    }
}

static void reply_events(struct call *call) {
    const struct store_op *op = call_op(call);
    struct json_writer *w = call_begin_items(call);
    for (size_t i = 0; i < op->events.len; i++) {
        event_write(w, &op->events.items[i]);
    }
    struct cursor next = {.list = CURSOR_EVENTS};
    if (op->events.more && op->events.len > 0) {
        next.keys[0] = op->events.items[op->events.len - 1].id;
    }
    call_reply_items(call, op->events.more && op->events.len > 0 ? &next : NULL);
}

static void reply_only_event(struct call *call) {
    event_write(call_begin_items(call), &call_op(call)->event_write.values);
    call_reply_items(call, NULL);
}

void handle_list_events(struct call *call) {
    struct page page = {.cursor = {.list = CURSOR_EVENTS}};
    if (!call_read_page(call, &page)) {
        return;
    }
    bool is_bound = call->bound_event.len > 0;
    struct store_op *op = call_begin_op(call, is_bound ? STORE_LOAD_EVENT : STORE_LIST_EVENTS);
    if (op == NULL) {
        return;
    }
    if (is_bound) {
        op->event = call->bound_event;
        call_submit(call, reply_only_event);
        return;
    }
    op->events.after = page.cursor.keys[0];
    op->events.limit = page.limit;
    call_submit(call, reply_events);
}

/* --- gates --- */

static void reply_gate(struct call *call) {
    gate_write(call_begin_json(call), &call_op(call)->gate_write.values);
    call_reply_json(call, 200);
}

static void reply_created_gate(struct call *call) {
    struct store_op *op = call_op(call);
    char location[sizeof "/v1/events//gates/" + 2 * CODE_MAX];
    snprintf(location, sizeof location, "/v1/events/%.*s/gates/%.*s", SLICE_ARG(call->params[0]),
             SLICE_ARG(op->gate_write.values.code));
    http_add_field(call->request, "location", slice_of(location));
    gate_write(call_begin_json(call), &op->gate_write.values);
    call_reply_json(call, 201);
}

static bool read_gate_body(struct call *call, enum fields_mode_e mode, struct gate *gate,
                           unsigned *ret_fields) {
    struct problem problem;
    struct body body;
    if (!call_read_body(call, mode, &problem, &body)) {
        return false;
    }
    enum err_e err = gate_read(&body, gate, ret_fields);
    if (err != ERR_OK) {
        call_fail(call, err, &problem);
        return false;
    }
    return true;
}

void handle_create_gate(struct call *call) {
    struct gate gate;
    unsigned named;
    if (!read_gate_body(call, FIELDS_CREATE, &gate, &named)) {
        return;
    }
    struct store_op *op = call_begin_op(call, STORE_CREATE_GATE);
    if (op != NULL) {
        op->gate_write.values = gate;
        call_submit(call, reply_created_gate);
    }
}

/* False: the code in the path is none, so there is no such gate. */
static bool has_gate_code(struct call *call) {
    if (!code_is_valid(call->params[1])) {
        call_fail(call, ERR_UNKNOWN_GATE, NULL);
        return false;
    }
    return true;
}

void handle_update_gate(struct call *call) {
    struct gate gate = {.code = call->params[1]};
    unsigned fields;
    if (!has_gate_code(call) || !read_gate_body(call, FIELDS_PATCH, &gate, &fields)) {
        return;
    }
    struct store_op *op = call_begin_op(call, STORE_UPDATE_GATE);
    if (op != NULL) {
        op->gate_write.values = gate;
        op->gate_write.fields = fields;
        call_submit(call, reply_gate);
    }
}

void handle_read_gate(struct call *call) {
    if (!has_gate_code(call)) {
        return;
    }
    struct store_op *op = call_begin_op(call, STORE_LOAD_GATE);
    if (op != NULL) {
        op->gate_write.values.code = call->params[1];
        call_submit(call, reply_gate);
    }
}

static void reply_gates(struct call *call) {
    const struct store_op *op = call_op(call);
    struct json_writer *w = call_begin_items(call);
    for (size_t i = 0; i < op->gates.len; i++) {
        gate_write(w, &op->gates.items[i]);
    }
    struct cursor next = {.list = CURSOR_GATES, .filter = cursor_fold(0, call->params[0])};
    bool has_next = op->gates.more && op->gates.len > 0;
    if (has_next) {
        next.keys[0] = op->gates.items[op->gates.len - 1].id;
    }
    call_reply_items(call, has_next ? &next : NULL);
}

void handle_list_gates(struct call *call) {
    struct page page = {
        .cursor = {.list = CURSOR_GATES, .filter = cursor_fold(0, call->params[0])},
    };
    if (!call_read_page(call, &page)) {
        return;
    }
    struct store_op *op = call_begin_op(call, STORE_LIST_GATES);
    if (op != NULL) {
        op->gates.after = page.cursor.keys[0];
        op->gates.limit = page.limit;
        call_submit(call, reply_gates);
    }
}
