/* SPDX-License-Identifier: Apache-2.0 */
/* Rows, what they mean, and back. */
#include "control/orders.h"

/* ---- reading ---- */

static bool copy(struct arena *arena, struct slice text, struct slice *ret_text) {
    *ret_text = arena_copy(arena, text);
    return ret_text->at != NULL;
}

static bool take_order(struct arena *arena, const struct order_row *row,
                       const struct json_t *value, struct standing_order *ret_order) {
    ret_order->at_ms = row->at_ms;
    ret_order->until_ms = row->until_ms;
    return copy(arena, row->author, &ret_order->author) &&
           copy(arena, json_text_at(value, "reason", SLICE_LIT("")), &ret_order->reason);
}

bool silence_severity(struct slice word, int *ret_severity) {
    for (int i = 0; i <= SEVERITY_CRITICAL; i++) {
        if (slice_eq_text(word, severity_text((enum severity_e)i))) {
            *ret_severity = i;
            return true;
        }
    }
    return false;
}

bool silence_pattern_is_good(struct slice pattern) {
    size_t text = pattern.len;
    if (text > 0 && pattern.at[text - 1] == '*') {
        text--;
    }
    for (size_t i = 0; i < text; i++) {
        if (pattern.at[i] <= ' ' || pattern.at[i] > '~' || pattern.at[i] == '*') {
            return false;
        }
    }
    return pattern.len > 0 && pattern.len <= ORDER_PATTERN_MAX;
}

static bool take_pattern(struct arena *arena, const struct json_t *value, const char *name,
                         struct slice *ret_pattern) {
    struct slice pattern = json_text_at(value, name, SLICE_NONE);
    *ret_pattern = SLICE_NONE;
    return pattern.at == NULL || copy(arena, pattern, ret_pattern);
}

static bool is_readable(const struct json_t *value, int *ret_severity) {
    struct slice severity = json_text_at(value, "severity", SLICE_NONE);
    *ret_severity = -1;
    return value != NULL && json_kind(value) == JSON_KIND_OBJECT &&
           (severity.at == NULL || silence_severity(severity, ret_severity));
}

static enum err_e take_silence(struct arena *arena, const struct order_row *row,
                               const struct json_t *value, struct orders *orders) {
    struct standing_silence *silence = &orders->silences[orders->silences_len];
    *silence = (struct standing_silence){.covers = {.severity = -1}};
    if (orders->silences_len == SILENCES_MAX || !is_readable(value, &silence->covers.severity)) {
        return ERR_OK;
    }
    struct slice id = slice_skip(row->name, sizeof ORDER_SILENCE - 1);
    bool is_taken = take_order(arena, row, value, &silence->order) &&
                    copy(arena, id, &silence->order.id) &&
                    take_pattern(arena, value, "rule", &silence->covers.rule) &&
                    take_pattern(arena, value, "node", &silence->covers.node);
    orders->silences_len += is_taken;
    return is_taken ? ERR_OK : ERR_NO_MEMORY;
}

/* Only what ends by itself: nothing is shed for ever. */
static enum err_e take_shed(struct arena *arena, const struct order_row *row,
                            const struct json_t *value, struct orders *orders) {
    orders->is_shedding = row->until_ms != TIME_NONE;
    bool is_taken = take_order(arena, row, value, &orders->shed) &&
                    copy(arena, json_text_at(value, "rule", SLICE_LIT("")), &orders->shed_rule);
    return is_taken ? ERR_OK : ERR_NO_MEMORY;
}

static int64_t int_at(const struct json_t *value, const char *name) {
    const struct json_t *member = value == NULL ? NULL : json_get(value, name);
    return member != NULL && json_kind(member) == JSON_KIND_INTEGER ? json_int(member) : TIME_NONE;
}

/* Nobody is started anew for what is not understood, or stands for ever. */
static enum err_e take_restart(struct arena *arena, const struct order_row *row,
                               const struct json_t *value, struct orders *orders) {
    struct standing_restart *restart = &orders->restarts[orders->restarts_len];
    struct slice id = slice_skip(row->name, sizeof ORDER_RESTART - 1);
    const struct json_t *before = value == NULL ? NULL : json_get(value, "before");
    *restart = (struct standing_restart){
        .started_at_ms = int_at(value, "started_at_ms"),
        .action_id = int_at(value, "action"),
        .before = json_is_numeric(before) ? json_number(before) : FIGURE_MISSING,
        .is_own = json_is_true_at(value, "own"),
    };
    if (restart->started_at_ms == TIME_NONE || row->until_ms == TIME_NONE) {
        return ERR_OK;
    }
    bool is_taken = take_order(arena, row, value, &restart->order) &&
                    copy(arena, id, &restart->node) &&
                    copy(arena, json_text_at(value, "rule", SLICE_LIT("")), &restart->rule);
    orders->restarts_len += is_taken;
    return is_taken ? ERR_OK : ERR_NO_MEMORY;
}

enum err_e orders_read(struct arena *arena, const struct order_row *rows, size_t len,
                       struct orders *ret_orders) {
    *ret_orders = (struct orders){.is_stopped = false};
    ret_orders->silences = arena_alloc(arena, (len + 1) * sizeof *ret_orders->silences);
    ret_orders->restarts = arena_alloc(arena, (len + 1) * sizeof *ret_orders->restarts);
    if (ret_orders->silences == NULL || ret_orders->restarts == NULL) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < len; i++) {
        struct json_t *value;
        struct problem ignored;
        if (json_parse(arena, rows[i].value, &value, &ignored) != ERR_OK) {
            value = NULL;
        }
        if (slice_eq_text(rows[i].name, ORDER_ACTING)) {
            ret_orders->is_stopped = true;
            TRY(take_order(arena, &rows[i], value, &ret_orders->stop) ? ERR_OK : ERR_NO_MEMORY);
        } else if (slice_starts_with(rows[i].name, SLICE_LIT(ORDER_SILENCE))) {
            TRY(take_silence(arena, &rows[i], value, ret_orders));
        } else if (slice_starts_with(rows[i].name, SLICE_LIT(ORDER_RESTART))) {
            TRY(take_restart(arena, &rows[i], value, ret_orders));
        } else if (slice_eq_text(rows[i].name, ORDER_SHED)) {
            TRY(take_shed(arena, &rows[i], value, ret_orders));
        }
    }
    return ERR_OK;
}

bool order_stands(const struct standing_order *order, int64_t now_ms) {
    return order->until_ms == TIME_NONE || now_ms < order->until_ms;
}

/* ---- writing ---- */

static void put_pattern(struct json_writer *w, const char *name, struct slice pattern) {
    if (pattern.len == 0) {
        json_put_null(w, name);
    } else {
        json_put_text(w, name, pattern);
    }
}

static void put_covers(struct json_writer *w, const struct silence *covers) {
    put_pattern(w, "rule", covers->rule);
    put_pattern(w, "node", covers->node);
    json_put_cstr(w, "severity",
                  covers->severity < 0 ? NULL
                                       : severity_text((enum severity_e)covers->severity));
}

void order_write_stop(struct json_writer *w, struct slice reason) {
    json_begin_object(w);
    json_put_bool(w, "stopped", true);
    json_put_text(w, "reason", reason);
    json_end_object(w);
}

void order_write_silence(struct json_writer *w, const struct standing_silence *silence) {
    json_begin_object(w);
    put_covers(w, &silence->covers);
    json_put_text(w, "reason", silence->order.reason);
    json_end_object(w);
}

void order_write_shed(struct json_writer *w, struct slice rule) {
    json_begin_object(w);
    json_put_text(w, "rule", rule);
    json_end_object(w);
}

void order_write_restart(struct json_writer *w, const struct standing_restart *restart) {
    json_begin_object(w);
    json_put_int(w, "started_at_ms", restart->started_at_ms);
    json_put_int(w, "action", restart->action_id);
    json_put_text(w, "rule", restart->rule);
    json_put_real(w, "before", restart->before, 6);
    json_put_bool(w, "own", restart->is_own);
    json_end_object(w);
}

void order_show_shedding(struct json_writer *w, const struct orders *orders, int64_t now_ms) {
    if (orders == NULL || !orders->is_shedding || !order_stands(&orders->shed, now_ms)) {
        json_add_null(w);
        return;
    }
    json_begin_object(w);
    json_put_text(w, "rule", orders->shed_rule);
    json_put_time(w, "at", orders->shed.at_ms);
    json_put_time(w, "until", orders->shed.until_ms);
    json_put_text(w, "by", orders->shed.author);
    json_end_object(w);
}

void order_show_silence(struct json_writer *w, const struct standing_silence *silence) {
    const struct standing_order *order = &silence->order;
    json_begin_object(w);
    json_put_text(w, "id", order->id);
    put_covers(w, &silence->covers);
    json_put_time(w, "at", order->at_ms);
    json_put_time(w, "until", order->until_ms);
    json_put_text(w, "by", order->author);
    json_put_text(w, "reason", order->reason);
    json_end_object(w);
}

void order_show_acting(struct json_writer *w, const struct orders *orders) {
    bool is_stopped = orders != NULL && orders->is_stopped;
    json_begin_object(w);
    json_put_cstr(w, "state", orders == NULL ? "unknown" : is_stopped ? "stopped" : "on");
    json_put_time(w, "at", is_stopped ? orders->stop.at_ms : TIME_NONE);
    if (is_stopped) {
        json_put_text(w, "by", orders->stop.author);
        json_put_text(w, "reason", orders->stop.reason);
    } else {
        json_put_null(w, "by");
        json_put_null(w, "reason");
    }
    json_end_object(w);
}
