/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A batch of scans: what a scanner uploads that was offline.
 *
 *   wait for a place ─► count lines ─► parse, some lines a turn ─► decide (checkin) ─► answer
 *                                    └─ nothing to decide: look whether the event exists ─┘
 *
 *   1. When a network comes back, all devices upload at once. Those beyond checkin.batches_max, or
 *      beyond PLACES_BYTES_MAX, wait in line unparsed: refused, they would be sent and parsed over
 *      and over. One that waits longer than store.deadline is answered 503, and nothing of it was
 *      decided.
 *   2. A bad line is only marked while parsing and parsed again when its error is written, so that
 *      100,000 errors take no memory.
 */
#include "api/call_priv.h"

enum {
    BATCH_SCANS_MAX = 100000,
    BATCH_LINE_MAX = 64 * 1024,
    BATCH_TURN_LINES = 256,       /* parsed in one turn of the loop: about half a millisecond */
    BATCH_MEMORY = 128 << 20,     /* scans and their texts: 32 MiB of body and 100,000 of structs */
    BATCH_SCRATCH = 16 << 20,     /* one line's document */
    LINE_BYTES_MAX = 64 << 20,    /* bodies that wait for a place, on each loop */
    PLACES_BYTES_MAX = 16 << 20,  /* bodies under way, or a single longer one; on each loop */
    LINE_LOOK_MS = 100,           /* between two looks for those that waited too long */
};

struct batch {
    struct call *call;
    struct batch_line *line;
    struct batch *next; /* behind it in line */
    size_t bytes;       /* of the body */
    int64_t since_us;   /* in line since */
    bool has_place;
    struct arena arena;
    struct arena scratch;
    struct slice rest; /* of the body, not yet parsed */
    int64_t now_ms;    /* what `scanned_at` is held against, also when a bad line is parsed again */
    size_t len;        /* lines that are not blank */
    size_t parsed;
    size_t good;
    size_t written;
    struct slice *lines;
    struct scan *scans;
    unsigned char *skip;
    struct checkin_batch *decided;
    const struct scan_result *results;
};

static bool is_blank_line(struct slice line) {
    for (size_t i = 0; i < line.len; i++) {
        if (memchr(" \t\r", line.at[i], 3) == NULL) {
            return false;
        }
    }
    return true;
}

static bool next_line(struct slice *rest, struct slice *ret_line) {
    while (slice_next(rest, '\n', ret_line)) {
        if (!is_blank_line(*ret_line)) {
            return true;
        }
    }
    return false;
}

static enum err_e read_line(struct batch *batch, struct slice line, struct scan *ret_scan,
                            struct problem *problem) {
    if (line.len > BATCH_LINE_MAX) {
        return problem_set(problem, ERR_TOO_LARGE, "", "the line is longer than %d bytes",
                           BATCH_LINE_MAX);
    }
    struct json_t *document;
    arena_reset(&batch->scratch);
    TRY(json_parse(&batch->scratch, line, &document, problem));
    return scan_read(document, batch->now_ms, ret_scan, problem);
}

/* Moves a scan's texts out of the scratch arena. The gate of the scan before is used again: a
 * scanner stands at one gate. */
static bool keep_scan(struct batch *batch, struct scan *scan, const struct scan *before) {
    scan->token = arena_copy(&batch->arena, scan->token);
    bool same = before != NULL && slice_eq(before->gate, scan->gate);
    scan->gate = same ? before->gate : arena_copy(&batch->arena, scan->gate);
    if (scan->nonce.len > 0) {
        scan->nonce = arena_copy(&batch->arena, scan->nonce);
        return scan->token.at != NULL && scan->gate.at != NULL && scan->nonce.at != NULL;
    }
    return scan->token.at != NULL && scan->gate.at != NULL;
}

static void let_in(struct batch_line *line);

static void free_batch(struct batch *batch) {
    if (batch->decided != NULL) {
        checkin_batch_free(batch->decided);
        batch->decided = NULL;
    }
    arena_fini(&batch->scratch);
    arena_fini(&batch->arena);
    if (batch->has_place) { /* its call may be gone */
        batch->has_place = false;
        batch->line->taken--;
        batch->line->taken_bytes -= batch->bytes;
        let_in(batch->line);
    }
}

static void fail_batch(struct call *call, enum err_e err, const struct problem *problem) {
    struct problem copy = {.field = ""};
    if (problem != NULL) {
        copy = *problem; /* it may belong to the results */
    }
    free_batch(call->state);
    call_fail(call, err, &copy);
}

/* --- the answer --- */

static void write_answer_line(struct batch *batch, size_t index, struct json_writer *w) {
    struct problem problem = {.field = ""};
    struct scan unused;
    json_begin_object(w);
    json_put_int(w, "index", (int64_t)index);
    if (batch->skip[index] != 0) {
        enum err_e err = read_line(batch, batch->lines[index], &unused, &problem);
        json_key(w, "error");
        line_error_write(w, err, &problem);
    } else if (batch->results[index].err != ERR_OK) {
        json_key(w, "error");
        line_error_write(w, batch->results[index].err, &batch->results[index].problem);
    } else {
        verdict_write_members(w, &batch->results[index]);
    }
    json_end_object(w);
}

static void write_piece(struct http_request *request, void *data) {
    struct call *call = data;
    struct batch *batch = call->state;
    struct buf *out = &call->api->out;
    buf_clear(out);
    bool is_gone = http_is_gone(request);
    while (!is_gone && batch->written < batch->len && out->len < STREAM_PIECE) {
        struct json_writer w;
        json_writer_init(&w, out);
        write_answer_line(batch, batch->written++, &w);
        buf_add_char(out, '\n');
    }
    if (!is_gone && !out->failed && batch->written < batch->len) {
        http_write(request, buf_slice(out), HTTP_MORE);
        return;
    }
    enum http_piece_e last = out->failed ? HTTP_BROKEN : HTTP_LAST;
    free_batch(batch);
    call_release(call);
    http_write(request, buf_slice(out), last);
}

static void answer(struct call *call) {
    http_add_field(call->request, "cache-control", SLICE_LIT("no-store"));
    http_begin(call->request, 200, "application/x-ndjson", write_piece, call);
}

/* The error that all decided scans share and that is the whole request's; OK when there is none. */
static enum err_e common_error(const struct batch *batch, const struct scan_result **ret_first) {
    enum err_e common = ERR_OK;
    *ret_first = NULL;
    for (size_t i = 0; i < batch->len; i++) {
        if (batch->skip[i] != 0) {
            continue;
        }
        enum err_e err = batch->results[i].err;
        if (*ret_first == NULL) {
            *ret_first = &batch->results[i];
            common = err;
        }
        if (err != common) {
            return ERR_OK;
        }
    }
    return err_status(common) == 503 || common == ERR_UNKNOWN_EVENT ? common : ERR_OK;
}

static void on_decided(struct checkin_batch *decided, const struct scan_result *results,
                       void *owner) {
    struct call *call = owner;
    struct batch *batch = call->state;
    call_end_waiting(call);
    batch->decided = decided;
    batch->results = results;
    const struct scan_result *first;
    enum err_e err = common_error(batch, &first);
    if (err != ERR_OK) {
        fail_batch(call, err, &first->problem);
        return;
    }
    answer(call);
}

static void answer_without_scans(struct call *call) {
    if (call_op(call)->err != ERR_OK) {
        fail_batch(call, call_op(call)->err, &call_op(call)->problem);
        return;
    }
    answer(call);
}

static void look_for_event(struct call *call) {
    struct batch own = *(struct batch *)call->state;
    if (call_begin_op(call, STORE_LOAD_EVENT) != NULL) {
        call_submit_raw(call, answer_without_scans);
    } else {
        free_batch(&own); /* the call has been answered, and its arena with the batch is gone */
    }
}

static void decide(struct call *call) {
    struct batch *batch = call->state;
    if (batch->good == 0) {
        look_for_event(call);
        return;
    }
    call_begin_waiting(call);
    enum err_e err = checkin_batch(call->api->checkin, call->params[0], batch->scans, batch->skip,
                                   batch->len, on_decided, call);
    if (err != ERR_OK) {
        call_end_waiting(call);
        fail_batch(call, err, NULL);
    }
}

/* --- parsing --- */

static void parse_some(struct call *call) {
    struct batch *batch = call->state;
    for (size_t n = 0; n < BATCH_TURN_LINES && batch->parsed < batch->len; n++) {
        size_t i = batch->parsed++;
        struct problem problem;
        (void)next_line(&batch->rest, &batch->lines[i]);
        batch->skip[i] = read_line(batch, batch->lines[i], &batch->scans[i], &problem) != ERR_OK;
        if (batch->skip[i] != 0) {
            continue;
        }
        bool has_before = i > 0 && batch->skip[i - 1] == 0;
        if (!keep_scan(batch, &batch->scans[i], has_before ? &batch->scans[i - 1] : NULL)) {
            fail_batch(call, ERR_NO_MEMORY, NULL);
            return;
        }
        batch->good++;
    }
    if (batch->parsed < batch->len) {
        call_next_turn(call, parse_some);
    } else {
        decide(call);
    }
}

static size_t count_lines(struct slice body) {
    size_t lines = 0;
    struct slice line;
    while (lines <= BATCH_SCANS_MAX && next_line(&body, &line)) {
        lines++;
    }
    return lines;
}

static bool make_room(struct batch *batch) {
    size_t n = batch->len > 0 ? batch->len : 1;
    batch->lines = arena_alloc(&batch->arena, n * sizeof *batch->lines);
    batch->scans = arena_alloc(&batch->arena, n * sizeof *batch->scans);
    batch->skip = arena_alloc(&batch->arena, n);
    return batch->lines != NULL && batch->scans != NULL && batch->skip != NULL;
}

static void begin(struct call *call) {
    struct batch *batch = call->state;
    struct problem problem;
    if (http_is_gone(call->request)) { /* the device asks again, by the same nonces */
        fail_batch(call, ERR_OVERLOADED, NULL);
        return;
    }
    batch->rest = http_body(call->request);
    batch->now_ms = loop_wall_ms(call->api->loop);
    batch->len = count_lines(batch->rest);
    if (batch->len > BATCH_SCANS_MAX) {
        fail_batch(call,
                   problem_set(&problem, ERR_TOO_LARGE, "body", "holds more than %d scans",
                               BATCH_SCANS_MAX),
                   &problem);
    } else if (!make_room(batch)) {
        fail_batch(call, ERR_NO_MEMORY, NULL);
    } else {
        parse_some(call);
    }
}

/* --- the line for a place --- */

static struct batch *take_first(struct batch_line *line) {
    struct batch *batch = line->first;
    struct call *call = batch->call;
    line->first = batch->next;
    line->bytes -= batch->bytes;
    call_end_waiting(call);
    call->measured.queue_us += loop_now_us(call->api->loop) - batch->since_us;
    if (line->first == NULL) {
        line->last = NULL;
        loop_timer_stop(line->look);
        line->look = NULL;
    }
    return batch;
}

static bool has_place_for(const struct batch_line *line, const struct batch *batch) {
    return line->taken == 0 ||
           (line->taken < checkin_batches_max(batch->call->api->checkin) &&
            line->taken_bytes + batch->bytes <= PLACES_BYTES_MAX);
}

static void take_place(struct batch_line *line, struct batch *batch) {
    batch->has_place = true;
    line->taken++;
    line->taken_bytes += batch->bytes;
}

/* In turns of their own: this may run while another batch is still being cleared away. */
static void let_in(struct batch_line *line) {
    while (line->first != NULL && has_place_for(line, line->first)) {
        struct batch *batch = take_first(line);
        take_place(line, batch);
        call_next_turn(batch->call, begin);
    }
}

static void refuse(struct call *call) {
    struct problem problem;
    fail_batch(call,
               problem_set(&problem, ERR_OVERLOADED, "",
                           "other uploads are before this one, of which nothing was decided"),
               &problem);
}

static void refuse_the_late(void *data) {
    struct batch_line *line = data;
    while (line->first != NULL) {
        const struct api *api = line->first->call->api;
        int64_t waited_us = loop_now_us(api->loop) - line->first->since_us;
        if (waited_us < api->node->store_deadline_ms * 1000) {
            return;
        }
        refuse(take_first(line)->call);
    }
}

static void wait_in_line(struct batch_line *line, struct batch *batch) {
    struct call *call = batch->call;
    bool fits = line->bytes + batch->bytes <= LINE_BYTES_MAX;
    if (fits && line->look == NULL) {
        line->look = loop_timer_start(call->api->loop, LINE_LOOK_MS, LINE_LOOK_MS,
                                      refuse_the_late, line);
    }
    if (!fits || line->look == NULL) {
        refuse(call);
        return;
    }
    batch->since_us = loop_now_us(call->api->loop);
    line->bytes += batch->bytes;
    *(line->last == NULL ? &line->first : &line->last->next) = batch;
    line->last = batch;
    call_begin_waiting(call);
}

void handle_scan_batch(struct call *call) {
    struct batch_line *line = &call->api->batches;
    struct batch *batch = arena_zalloc(call->arena, sizeof *batch);
    if (batch == NULL) {
        call_fail(call, ERR_NO_MEMORY, NULL);
        return;
    }
    call->state = batch;
    batch->call = call;
    batch->line = line;
    batch->bytes = http_body(call->request).len;
    arena_init(&batch->arena, BATCH_MEMORY);
    arena_init(&batch->scratch, BATCH_SCRATCH);
    if (line->first != NULL || !has_place_for(line, batch)) {
        wait_in_line(line, batch);
        return;
    }
    take_place(line, batch);
    begin(call);
}
