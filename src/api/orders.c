/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people tell all controllers: silences, and to stop acting. Each is a row of the store that
 * every node reads; this one's book is woken, so that it need not wait for its next look.
 */
#include "act/controller.h"
#include "act/order_book.h"
#include "api/call_priv.h"
#include "base/nearest.h"
#include "base/text.h"
#include "control/policy.h"

#include <stdio.h>

#define DURATION_MAX_MS (30 * 24 * 3600 * 1000LL)

enum {
    ID_BYTES = 8,
    SILENCES_STANDING_MAX = STORE_ORDERS_MAX - 100, /* the rest is for orders that matter more */
};

static bool is_reason(struct slice text) {
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c < ' ' || c == 0x7f) {
            return false;
        }
    }
    return slice_trim(text).len > 0 && text.len <= ORDER_REASON_MAX;
}

static void read_reason(struct fields *fields, struct slice *ret_reason) {
    *ret_reason = SLICE_NONE;
    fields_text(fields, "reason", FIELDS_NULL_IS_WRONG, ret_reason);
    if (!is_reason(*ret_reason)) {
        fields_fail(fields, "reason", "must be 1 to %d bytes without control characters",
                    ORDER_REASON_MAX);
    }
}

/* What was written, in the request's arena; at NULL without memory. */
static struct slice keep_json(struct call *call) {
    const struct buf *text = &call->api->out;
    return text->failed ? SLICE_NONE : arena_copy(call->arena, buf_slice(text));
}

/* ---- acting ---- */

struct stop {
    struct slice reason, value;
};

static void reply_acting(struct call *call, struct slice reason, bool is_stopped) {
    const struct orders orders = {.is_stopped = is_stopped,
                                  .stop = {.author = call_author(call),
                                           .reason = reason,
                                           .at_ms = clock_wall_ms(call->api->node->clock)}};
    struct json_writer *w = call_begin_json(call);
    json_begin_object(w);
    json_key(w, "acting");
    order_show_acting(w, &orders);
    json_end_object(w);
    call_reply_json(call, 200);
}

static void reply_stopped(struct call *call) {
    const struct stop *stop = call->state;
    reply_acting(call, stop->reason, true);
}

static void reply_resumed(struct call *call) {
    reply_acting(call, SLICE_NONE, false);
}

static struct slice evidence_of(struct call *call, struct slice trigger, const char *plan) {
    struct json_writer *w = call_begin_json(call);
    json_begin_object(w);
    json_put_text(w, "trigger", trigger);
    json_put_text(w, "by", call_author(call));
    json_put_cstr(w, "plan", plan);
    json_end_object(w);
    return keep_json(call);
}

/* The order stands, or has ended: now the journal is told. */
static void write_down(struct call *call, const char *action, struct slice evidence,
                       call_fn then) {
    struct store_op *op = call_begin_op(call, STORE_ADD_ACTION);
    if (op == NULL) {
        return;
    }
    op->action.values = (struct action_record){
        .system = SLICE_LIT("recovery"),
        .actor = call_author(call),
        .action = slice_of(action),
        .target = SLICE_LIT("controllers"),
        .outcome = slice_of(action_outcome_text(OUTCOME_DONE)),
        .evidence = evidence,
    };
    call_submit(call, then);
}

static void on_stopped(struct call *call) {
    const struct stop *stop = call->state;
    order_book_wake(call->api->node->orders);
    write_down(call, "STOP_ACTING",
               evidence_of(call, stop->reason, "hold all acting on every controller"),
               reply_stopped);
}

/* NULL: the call has been answered. */
static struct stop *read_stop(struct call *call) {
    struct problem problem;
    struct body body;
    struct fields fields;
    struct stop *stop = arena_zalloc(call->arena, sizeof *stop);
    if (!call_read_body(call, FIELDS_CREATE, &problem, &body)) {
        return NULL;
    }
    fields_begin(&fields, body.document, FIELDS_CREATE, &problem);
    if (stop != NULL) {
        read_reason(&fields, &stop->reason);
    }
    enum err_e err = stop == NULL ? ERR_NO_MEMORY : fields.err;
    if (err != ERR_OK) {
        call_fail(call, err, &problem);
        return NULL;
    }
    return stop;
}

void handle_stop_acting(struct call *call) {
    struct stop *stop = read_stop(call);
    if (stop == NULL) {
        return;
    }
    call->state = stop;
    order_write_stop(call_begin_json(call), stop->reason);
    stop->value = keep_json(call);
    struct store_op *op = call_begin_op(call, STORE_PUT_ORDER);
    if (op != NULL) {
        op->order.values = (struct order_record){.name = SLICE_LIT(ORDER_ACTING),
                                                 .value = stop->value,
                                                 .author = call_author(call),
                                                 .until_ms = TIME_NONE};
        call_submit(call, on_stopped);
    }
}

static void on_resumed(struct call *call) {
    enum err_e err = call_op(call)->err;
    order_book_wake(call->api->node->orders);
    if (err == ERR_NOT_FOUND) { /* it was not stopped */
        reply_resumed(call);
    } else if (err != ERR_OK) {
        call_fail(call, err, &call_op(call)->problem);
    } else {
        write_down(call, "RESUME_ACTING",
                   evidence_of(call, SLICE_LIT("an order"), "let controllers act again"),
                   reply_resumed);
    }
}

void handle_resume_acting(struct call *call) {
    struct store_op *op = call_begin_op(call, STORE_END_ORDER);
    if (op != NULL) {
        op->order.values.name = SLICE_LIT(ORDER_ACTING);
        call_submit_raw(call, on_resumed);
    }
}

/* ---- silences ---- */

static void reply_silences(struct call *call) {
    const struct store_op *op = call_op(call);
    struct orders orders;
    struct order_row *rows = arena_alloc(call->arena, (op->orders.len + 1) * sizeof *rows);
    for (size_t i = 0; rows != NULL && i < op->orders.len; i++) {
        const struct order_record *record = &op->orders.items[i];
        rows[i] = (struct order_row){record->name, record->value, record->author, record->at_ms,
                                     record->until_ms};
    }
    if (rows == NULL || orders_read(call->arena, rows, op->orders.len, &orders) != ERR_OK) {
        call_fail(call, ERR_NO_MEMORY, NULL);
        return;
    }
    struct json_writer *w = call_begin_items(call);
    for (size_t i = 0; i < orders.silences_len; i++) {
        order_show_silence(w, &orders.silences[i]);
    }
    call_reply_items(call, NULL);
}

static struct store_op *begin_list(struct call *call) {
    struct store_op *op = call_begin_op(call, STORE_LIST_ORDERS);
    if (op != NULL) {
        op->orders.since_ms = clock_wall_ms(call->api->node->clock);
    }
    return op;
}

void handle_list_silences(struct call *call) {
    if (begin_list(call) != NULL) {
        call_submit(call, reply_silences);
    }
}

struct new_silence {
    struct standing_silence silence;
    char name[ORDER_NAME_SIZE];
    struct slice value;
};

static void reply_silence(struct call *call) {
    struct new_silence *made = call->state;
    made->silence.order.at_ms = call_op(call)->order.values.at_ms;
    order_book_wake(call->api->node->orders);
    order_show_silence(call_begin_json(call), &made->silence);
    call_reply_json(call, 201);
}

static size_t count_silences(const struct store_op *op) {
    size_t count = 0;
    for (size_t i = 0; i < op->orders.len; i++) {
        count += slice_starts_with(op->orders.items[i].name, SLICE_LIT(ORDER_SILENCE));
    }
    return count;
}

static void put_silence(struct call *call) {
    struct new_silence *made = call->state;
    struct problem problem;
    if (count_silences(call_op(call)) >= SILENCES_STANDING_MAX) {
        call_fail(call,
                  problem_set(&problem, ERR_TOO_LARGE, "", "%d silences stand already: end some",
                              SILENCES_STANDING_MAX),
                  &problem);
        return;
    }
    order_write_silence(call_begin_json(call), &made->silence);
    made->value = keep_json(call);
    struct store_op *op = call_begin_op(call, STORE_PUT_ORDER);
    if (op != NULL) {
        op->order.values = (struct order_record){.name = slice_of(made->name),
                                                 .value = made->value,
                                                 .author = made->silence.order.author,
                                                 .until_ms = made->silence.order.until_ms};
        call_submit(call, reply_silence);
    }
}

/* A text without a star is a whole name: of a rule that is not there it would silence nothing. */
static void check_rule(const struct call *call, struct fields *fields, struct slice pattern) {
    struct controller *controller = call->api->node->controller;
    if (controller == NULL || pattern.len == 0 || pattern.at[pattern.len - 1] == '*') {
        return;
    }
    const struct policy *policy = controller_policy(controller);
    struct nearest nearest;
    nearest_init(&nearest, pattern);
    for (size_t i = 0; i < policy->rules_len; i++) {
        if (slice_eq_text(pattern, policy->rules[i].name)) {
            return;
        }
        nearest_offer(&nearest, policy->rules[i].name);
    }
    fields_fail(fields, "rule", "there is no such rule%s%s",
                nearest.best == NULL ? "" : ": did you mean ",
                nearest.best == NULL ? "" : nearest.best);
}

static void read_pattern(struct fields *fields, const char *name, struct slice *ret_pattern) {
    if (fields_text(fields, name, FIELDS_NULL_CLEARS, ret_pattern) &&
        !silence_pattern_is_good(*ret_pattern)) {
        fields_fail(fields, name, "must be 1 to %d characters, a star only at the end",
                    ORDER_PATTERN_MAX);
    }
}

static void read_covers(const struct call *call, struct fields *fields, struct silence *covers) {
    struct slice severity = SLICE_NONE;
    covers->severity = -1;
    read_pattern(fields, "rule", &covers->rule);
    check_rule(call, fields, covers->rule);
    read_pattern(fields, "node", &covers->node);
    if (fields_text(fields, "severity", FIELDS_NULL_CLEARS, &severity) &&
        !silence_severity(severity, &covers->severity)) {
        fields_fail(fields, "severity", FIELDS_ONE_OF(SEVERITY_TABLE));
    }
    if (covers->rule.len == 0 && covers->node.len == 0 && covers->severity < 0) {
        fields_fail(fields, "rule", "rule, node or severity must say what is silenced; "
                                    "* as the rule silences everything");
    }
}

static void read_end(struct fields *fields, int64_t now_ms, int64_t *ret_until_ms) {
    const struct json_t *value = NULL;
    *ret_until_ms = TIME_NONE;
    if (fields_value(fields, "duration_s", FIELDS_NULL_IS_WRONG, &value)) {
        bool is_good = json_kind(value) == JSON_KIND_INTEGER && json_int(value) >= 1 &&
                       json_int(value) <= DURATION_MAX_MS / 1000;
        *ret_until_ms = is_good ? now_ms + json_int(value) * 1000 : TIME_NONE;
    } else {
        fields_time(fields, "until", ret_until_ms);
    }
    if (*ret_until_ms == TIME_NONE || *ret_until_ms <= now_ms ||
        *ret_until_ms > now_ms + DURATION_MAX_MS) {
        fields_fail(fields, value == NULL ? "until" : "duration_s",
                    "must end within 30 days, as duration_s (whole seconds) or until");
    }
}

static void make_id(struct call *call, struct new_silence *made) {
    unsigned char bytes[ID_BYTES];
    const size_t begin = sizeof ORDER_SILENCE - 1;
    rng_fill(call->api->node->rng, bytes, sizeof bytes);
    memcpy(made->name, ORDER_SILENCE, begin);
    text_to_hex(bytes, sizeof bytes, made->name + begin);
    made->silence.order.id = slice_of(made->name + begin);
}

void handle_create_silence(struct call *call) {
    struct problem problem;
    struct body body;
    struct fields fields;
    struct new_silence *made = arena_zalloc(call->arena, sizeof *made);
    if (!call_read_body(call, FIELDS_CREATE, &problem, &body)) {
        return;
    }
    fields_begin(&fields, body.document, FIELDS_CREATE, &problem);
    if (made != NULL) {
        read_covers(call, &fields, &made->silence.covers);
        read_end(&fields, clock_wall_ms(call->api->node->clock), &made->silence.order.until_ms);
        read_reason(&fields, &made->silence.order.reason);
    }
    enum err_e err = made == NULL ? ERR_NO_MEMORY : fields.err;
    if (err != ERR_OK) {
        call_fail(call, err, &problem);
        return;
    }
    made->silence.order.author = call_author(call);
    make_id(call, made);
    call->state = made;
    if (begin_list(call) != NULL) {
        call_submit(call, put_silence);
    }
}

static void reply_ended(struct call *call) {
    order_book_wake(call->api->node->orders);
    call_reply_empty(call, 204);
}

void handle_end_silence(struct call *call) {
    char name[ORDER_NAME_SIZE];
    struct problem problem;
    if (call->params[0].len > SILENCE_ID_MAX) {
        call_fail(call, problem_set(&problem, ERR_NOT_FOUND, "", "no such silence stands"),
                  &problem);
        return;
    }
    snprintf(name, sizeof name, ORDER_SILENCE "%.*s", SLICE_ARG(call->params[0]));
    struct slice kept = arena_copy(call->arena, slice_of(name));
    if (kept.at == NULL) {
        call_fail(call, ERR_NO_MEMORY, NULL);
        return;
    }
    struct store_op *op = call_begin_op(call, STORE_END_ORDER);
    if (op != NULL) {
        op->order.values.name = kept;
        call_submit(call, reply_ended);
    }
}
