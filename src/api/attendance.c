/* SPDX-License-Identifier: Apache-2.0 */
/* The attendance history: a page as JSON, or all of it as CSV, page by page from the store. */
#include "api/call_priv.h"

#include "domain/csv.h"

#include <stdio.h>

static enum err_e read_word_filters(const struct query *query, struct attendance_filter *filter,
                                    struct problem *problem) {
    struct slice word;
    enum method_e method;
    enum verdict_e verdict;
    if (query_get(query, "method", &word)) {
        if (!method_parse(word, &method)) {
            return problem_set(problem, ERR_INVALID_FIELD, "method", FIELDS_ONE_OF(METHOD_TABLE));
        }
        filter->method = (int)method;
    }
    if (query_get(query, "verdict", &word)) {
        if (!verdict_parse(word, &verdict)) {
            return problem_set(problem, ERR_INVALID_FIELD, "verdict",
                               FIELDS_ONE_OF(VERDICT_TABLE));
        }
        filter->verdict = (int)verdict;
    }
    return ERR_OK;
}

static enum err_e read_filter(const struct query *query, struct attendance_filter *filter,
                              struct problem *problem) {
    *filter = (struct attendance_filter){
        .method = -1,
        .verdict = -1,
        .since_ms = TIME_NONE,
        .until_ms = TIME_NONE,
        .recorded_since_ms = TIME_NONE,
    };
    struct slice text;
    if (query_get(query, "participant", &text) &&
        !slice_to_int(text, 1, INT64_MAX, &filter->participant_id)) {
        return problem_set(problem, ERR_INVALID_FIELD, "participant", "must be a participant's id");
    }
    if (query_get(query, "gate", &filter->gate) && !code_is_valid(filter->gate)) {
        return problem_set(problem, ERR_INVALID_FIELD, "gate", CODE_RULE);
    }
    TRY(read_word_filters(query, filter, problem));
    TRY(query_time(query, "since", &filter->since_ms, problem));
    TRY(query_time(query, "until", &filter->until_ms, problem));
    TRY(query_time(query, "recorded_since", &filter->recorded_since_ms, problem));
    return check_span(filter->since_ms, filter->until_ms, "until", problem);
}

static uint32_t filter_hash(const struct call *call, const struct attendance_filter *filter) {
    uint32_t hash = cursor_fold(0, call->params[0]);
    hash = cursor_fold(hash, filter->gate);
    hash = cursor_fold_int(hash, filter->participant_id);
    hash = cursor_fold_int(hash, filter->method);
    hash = cursor_fold_int(hash, filter->verdict);
    hash = cursor_fold_int(hash, filter->since_ms);
    hash = cursor_fold_int(hash, filter->until_ms);
    return cursor_fold_int(hash, filter->recorded_since_ms);
}

static void reply_attendance(struct call *call) {
    const struct store_op *op = call_op(call);
    struct json_writer *w = call_begin_items(call);
    for (size_t i = 0; i < op->attendance.len; i++) {
        record_write(w, &op->attendance.items[i]);
    }
    struct cursor next = {
        .list = CURSOR_ATTENDANCE,
        .filter = filter_hash(call, &op->attendance.filter),
    };
    bool has_next = op->attendance.more && op->attendance.len > 0;
    if (has_next) {
        const struct attendance_record *last = &op->attendance.items[op->attendance.len - 1];
        next.keys[0] = last->scanned_at_ms;
        next.keys[1] = last->record_id;
    }
    call_reply_items(call, has_next ? &next : NULL);
}

static void list_page(struct call *call, const struct attendance_filter *filter) {
    struct page page = {
        .cursor = {.list = CURSOR_ATTENDANCE, .filter = filter_hash(call, filter)},
    };
    if (!call_read_page(call, &page)) {
        return;
    }
    struct store_op *op = call_begin_op(call, STORE_LIST_ATTENDANCE);
    if (op != NULL) {
        op->may_lag = true;
        op->attendance.filter = *filter;
        op->attendance.after_at_ms = page.has_cursor ? page.cursor.keys[0] : TIME_NONE;
        op->attendance.after_id = page.cursor.keys[1];
        op->attendance.limit = page.limit;
        call_submit(call, reply_attendance);
    }
}

/* --- the export ---
 *
 *   first page ─► http_begin ─► PAGE_READY ── written, there are more ──► PAGE_WANTED
 *   (errors are problems)           ▲                                          │ `more`
 *                                   └────────────── PAGE_LOADING ◄─────────────┘
 *
 * After http_begin an error can only cut the connection: a client must not take half for all. */

enum page_e { PAGE_READY, PAGE_WANTED, PAGE_LOADING };

struct export {
    struct attendance_filter filter;
    enum page_e page;
    bool has_header;
    int64_t after_at_ms, after_id;
};

static void add_time_cell(struct buf *out, int64_t ms) {
    char text[TIME_TEXT_SIZE];
    if (ms != TIME_NONE) {
        time_format(ms, text);
        buf_add_text(out, text);
    }
}

static void add_record_row(struct buf *out, const struct attendance_record *record) {
    buf_add_int(out, record->record_id);
    buf_add_char(out, ',');
    if (record->participant_id != 0) {
        buf_add_int(out, record->participant_id);
    }
    buf_add_char(out, ',');
    csv_add_cell(out, record->gate);
    const char *const words[] = {
        method_text(record->method),
        direction_text(record->direction),
        verdict_text(record->verdict),
        record->reason == REASON_NONE ? "" : reason_text(record->reason),
        record->forced ? "true" : "false",
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        buf_add_char(out, ',');
        buf_add_text(out, words[i]);
    }
    const int64_t times[] = {record->annulled_at_ms, record->scanned_at_ms,
                             record->recorded_at_ms};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        buf_add_char(out, ',');
        add_time_cell(out, times[i]);
    }
    buf_add(out, SLICE_LIT("\r\n"));
}

static void end_export(struct call *call, struct slice piece, enum http_piece_e how) {
    struct http_request *request = call->request;
    call_release(call);
    http_write(request, piece, how);
}

static void write_page(struct call *call) {
    struct export *export = call->state;
    const struct store_op *op = call_op(call);
    struct buf *out = &call->api->out;
    buf_clear(out);
    if (!export->has_header) {
        buf_add(out, SLICE_LIT("record_id,participant,gate,method,direction,verdict,reason,forced,"
                               "annulled_at,scanned_at,recorded_at\r\n"));
        export->has_header = true;
    }
    for (size_t i = 0; i < op->attendance.len; i++) {
        add_record_row(out, &op->attendance.items[i]);
    }
    if (out->failed) {
        end_export(call, SLICE_NONE, HTTP_BROKEN);
    } else if (!op->attendance.more || op->attendance.len == 0) {
        end_export(call, buf_slice(out), HTTP_LAST);
    } else {
        export->after_at_ms = op->attendance.items[op->attendance.len - 1].scanned_at_ms;
        export->after_id = op->attendance.items[op->attendance.len - 1].record_id;
        export->page = PAGE_WANTED;
        http_write(call->request, buf_slice(out), HTTP_MORE);
    }
}

static struct store_op *begin_page(struct call *call) {
    const struct export *export = call->state;
    struct store_op *op = call_begin_op(call, STORE_LIST_ATTENDANCE);
    if (op != NULL) {
        op->may_lag = true;
        op->attendance.filter = export->filter;
        op->attendance.after_at_ms = export->after_at_ms;
        op->attendance.after_id = export->after_id;
        op->attendance.limit = STORE_PAGE_MAX;
    }
    return op;
}

static void on_page(struct call *call) {
    struct export *export = call->state;
    export->page = PAGE_READY;
    if (call_op(call)->err != ERR_OK) {
        end_export(call, SLICE_NONE, HTTP_BROKEN);
    } else if (http_is_gone(call->request)) {
        end_export(call, SLICE_NONE, HTTP_LAST);
    } else {
        write_page(call);
    }
}

static void want_more(struct http_request *request, void *data) {
    struct call *call = data;
    struct export *export = call->state;
    switch (export->page) {
    case PAGE_LOADING:
        return; /* it writes when it is there */
    case PAGE_READY:
        if (slice_eq_text(http_method(request), "HEAD") || http_is_gone(request)) {
            end_export(call, SLICE_NONE, HTTP_LAST);
        } else {
            write_page(call);
        }
        return;
    case PAGE_WANTED:
        break;
    }
    if (http_is_gone(request)) {
        end_export(call, SLICE_NONE, HTTP_LAST);
        return;
    }
    export->page = PAGE_LOADING;
    (void)begin_page(call); /* the call has its operation already: this cannot be refused */
    call_submit_raw(call, on_page);
}

static void begin_export(struct call *call) {
    char disposition[sizeof "attachment; filename=\"-attendance.csv\"" + CODE_MAX];
    snprintf(disposition, sizeof disposition, "attachment; filename=\"%.*s-attendance.csv\"",
             SLICE_ARG(call->params[0]));
    http_add_field(call->request, "content-disposition", slice_of(disposition));
    http_add_field(call->request, "cache-control", SLICE_LIT("no-store"));
    http_begin(call->request, 200, "text/csv; charset=utf-8; header=present", want_more, call);
}

static void export_all(struct call *call, const struct attendance_filter *filter) {
    struct export *export = arena_zalloc(call->arena, sizeof *export);
    if (export == NULL) {
        call_fail(call, ERR_NO_MEMORY, NULL);
        return;
    }
    export->filter = *filter;
    export->after_at_ms = TIME_NONE;
    call->state = export;
    if (begin_page(call) != NULL) {
        call_submit(call, begin_export);
    }
}

void handle_list_attendance(struct call *call) {
    struct problem problem;
    struct attendance_filter filter;
    enum err_e err = read_filter(&call->query, &filter, &problem);
    if (err != ERR_OK) {
        call_fail(call, err, &problem);
        return;
    }
    http_add_field(call->request, "vary", SLICE_LIT("accept"));
    if (accept_prefers_csv(http_field(call->request, "accept"))) {
        export_all(call, &filter);
    } else {
        list_page(call, &filter);
    }
}
