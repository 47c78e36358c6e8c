/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A queue of scans that a device kept while it was offline.
 *
 *     SORTED ──chunk──► STORE_WAIT ──answer──► CHUNK_DONE ──more──► STORE_WAIT
 *                                                  └──none left──► DONE ──► caller
 *
 * The order of scanned_at decides, whatever the order of upload; equal times keep the order of
 * upload, scans without a time come last. Between two chunks other scans pass, so that a million
 * queued scans do not close the doors. A chunk that the store cannot take gives its error to each
 * of its scans, and the next chunk is tried all the same: what was decided stays decided.
 */
#include "checkin/checkin_priv.h"

#include "base/assert.h"

#include <stdlib.h>

enum batch_state_e { BATCH_SORTED, BATCH_STORE_WAIT, BATCH_CHUNK_DONE, BATCH_DONE };

static const struct fsm_row moves[] = {
    [BATCH_SORTED] = {"sorted", FSM_TO(BATCH_STORE_WAIT) | FSM_TO(BATCH_DONE)},
    [BATCH_STORE_WAIT] = {"store_wait", FSM_TO(BATCH_CHUNK_DONE)},
    [BATCH_CHUNK_DONE] = {"chunk_done", FSM_TO(BATCH_STORE_WAIT) | FSM_TO(BATCH_DONE)},
    [BATCH_DONE] = {"done", 0},
};

/* The texts of results live in their operation's arena: kept, one a chunk, until the batch is
 * freed. */
struct kept_arena {
    struct kept_arena *next;
    struct arena arena;
};

struct checkin_batch {
    struct loop_message message; /* first: a message is a batch */
    struct checkin *checkin;
    int state;
    struct slice event;
    const struct scan *scans;
    struct scan_result *results; /* as `scans` is indexed */
    size_t *order;               /* indexes of the scans to decide, in the order of decision */
    size_t order_len;
    size_t next;                 /* place in `order` where the next chunk begins */
    size_t chunk_len;
    size_t chunk_max;            /* places for its scans: the limit may change meanwhile */
    struct scan *chunk_scans;    /* the chunk, copied together for the store */
    struct scan_result *chunk_results;
    struct store_op op;
    struct kept_arena *kept;
    checkin_batch_fn done;
    void *owner;
};

/* ── order ── */

static bool comes_before(const struct scan *scans, size_t a, size_t b) {
    int64_t at_a = scans[a].scanned_at_ms == TIME_NONE ? INT64_MAX : scans[a].scanned_at_ms;
    int64_t at_b = scans[b].scanned_at_ms == TIME_NONE ? INT64_MAX : scans[b].scanned_at_ms;
    return at_a != at_b ? at_a < at_b : a < b;
}

static void merge(const struct scan *scans, const size_t *from, size_t *to, size_t middle,
                  size_t end) {
    size_t left = 0, right = middle;
    for (size_t i = 0; i < end; i++) {
        bool take_left =
            left < middle && (right == end || comes_before(scans, from[left], from[right]));
        to[i] = take_left ? from[left++] : from[right++];
    }
}

/* Bottom-up merge sort: no recursion, no comparison state outside. A queue is mostly in order
 * already, so a first look saves the sort. */
static bool sort_order(struct checkin_batch *batch) {
    size_t len = batch->order_len;
    bool sorted = true;
    for (size_t i = 1; i < len && sorted; i++) {
        sorted = comes_before(batch->scans, batch->order[i - 1], batch->order[i]);
    }
    if (sorted) {
        return true;
    }
    size_t *spare = malloc(len * sizeof *spare);
    if (spare == NULL) {
        return false;
    }
    for (size_t width = 1; width < len; width *= 2) {
        for (size_t at = 0; at < len; at += 2 * width) {
            size_t end = len - at < 2 * width ? len - at : 2 * width;
            size_t middle = end < width ? end : width;
            merge(batch->scans, batch->order + at, spare + at, middle, end);
        }
        size_t *sorted_now = spare;
        spare = batch->order;
        batch->order = sorted_now;
    }
    free(spare);
    return true;
}

/* ── chunks ── */

static void deliver(struct loop_message *message);

static void take_answer(struct store_op *op) {
    struct checkin_batch *batch = op->owner;
    loop_post(batch->checkin->loop, &batch->message);
}

static void submit_chunk(struct checkin_batch *batch) {
    struct checkin *checkin = batch->checkin;
    size_t left = batch->order_len - batch->next;
    batch->chunk_len = left < batch->chunk_max ? left : batch->chunk_max;
    for (size_t i = 0; i < batch->chunk_len; i++) {
        batch->chunk_scans[i] = batch->scans[batch->order[batch->next + i]];
    }
    store_op_init(&batch->op, STORE_CHECK_IN);
    batch->op.event = batch->event;
    batch->op.done = take_answer;
    batch->op.owner = batch;
    batch->op.deadline_us = 0; /* nobody stands at the door for it: it may wait */
    batch->op.check_in.scans = batch->chunk_scans;
    batch->op.check_in.results = batch->chunk_results;
    batch->op.check_in.len = batch->chunk_len;
    fsm_move(moves, &batch->state, BATCH_STORE_WAIT);
    store_submit(checkin->store, &batch->op);
}

/* False: the texts cannot be kept, so the chunk's answers must not point at them. */
static bool keep_arena(struct checkin_batch *batch) {
    struct kept_arena *kept = malloc(sizeof *kept);
    if (kept == NULL) {
        store_op_fini(&batch->op);
        return false;
    }
    kept->arena = batch->op.arena;
    kept->next = batch->kept;
    batch->kept = kept;
    return true;
}

static void take_results(struct checkin_batch *batch) {
    enum err_e err = batch->op.err;
    bool kept = keep_arena(batch);
    err = err == ERR_OK && !kept ? ERR_NO_MEMORY : err;
    for (size_t i = 0; i < batch->chunk_len; i++) {
        struct scan_result *result = &batch->results[batch->order[batch->next + i]];
        *result = batch->chunk_results[i];
        if (err != ERR_OK) {
            *result = (struct scan_result){.err = err, .problem = batch->op.problem};
        }
    }
    batch->next += batch->chunk_len;
}

static void go_on(struct checkin_batch *batch) {
    if (batch->next < batch->order_len) {
        submit_chunk(batch);
        return;
    }
    fsm_move(moves, &batch->state, BATCH_DONE);
    batch->done(batch, batch->results, batch->owner);
}

/* On the loop: first with nothing decided yet, then after each chunk. */
static void deliver(struct loop_message *message) {
    struct checkin_batch *batch = (struct checkin_batch *)message;
    if (batch->state == BATCH_STORE_WAIT) {
        fsm_move(moves, &batch->state, BATCH_CHUNK_DONE);
        store_meter_see(&batch->checkin->options.meter, &batch->op, batch->owner);
        take_results(batch);
    }
    go_on(batch);
}

/* ── life ── */

void checkin_batch_free(struct checkin_batch *batch) {
    if (batch == NULL) {
        return;
    }
    while (batch->kept != NULL) {
        struct kept_arena *next = batch->kept->next;
        arena_fini(&batch->kept->arena);
        free(batch->kept);
        batch->kept = next;
    }
    batch->checkin->batches--;
    free(batch->results);
    free(batch->order);
    free(batch->chunk_scans);
    free(batch->chunk_results);
    free(batch);
}

static bool allocate(struct checkin_batch *batch, size_t len) {
    size_t chunk = batch->chunk_max = batch->checkin->options.chunk;
    batch->results = calloc(len > 0 ? len : 1, sizeof *batch->results);
    batch->order = malloc((len > 0 ? len : 1) * sizeof *batch->order);
    batch->chunk_scans = malloc(chunk * sizeof *batch->chunk_scans);
    batch->chunk_results = malloc(chunk * sizeof *batch->chunk_results);
    return batch->results != NULL && batch->order != NULL && batch->chunk_scans != NULL &&
           batch->chunk_results != NULL;
}

static void collect(struct checkin_batch *batch, const unsigned char *skip, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (skip == NULL || !skip[i]) {
            batch->order[batch->order_len++] = i;
        }
    }
}

size_t checkin_batches_max(const struct checkin *checkin) {
    return checkin->options.batches_max;
}

enum err_e checkin_batch(struct checkin *checkin, struct slice event, const struct scan *scans,
                         const unsigned char *skip, size_t len, checkin_batch_fn done,
                         void *owner) {
    if (checkin->batches >= checkin->options.batches_max) {
        return ERR_OVERLOADED;
    }
    struct checkin_batch *batch = calloc(1, sizeof *batch);
    if (batch == NULL) {
        return ERR_NO_MEMORY;
    }
    batch->message.fn = deliver;
    batch->checkin = checkin;
    batch->event = event;
    batch->scans = scans;
    batch->done = done;
    batch->owner = owner;
    checkin->batches++;
    if (!allocate(batch, len)) {
        checkin_batch_free(batch);
        return ERR_NO_MEMORY;
    }
    collect(batch, skip, len);
    if (!sort_order(batch)) {
        checkin_batch_free(batch);
        return ERR_NO_MEMORY;
    }
    loop_post(checkin->loop, &batch->message);
    return ERR_OK;
}
