/* SPDX-License-Identifier: Apache-2.0 */
/* How many are inside, and how it came about over time. */
#include "api/call_priv.h"

enum {
    STEP_DEFAULT_S = 60,
    STEP_MAX_S = 31 * 86400,
    SPAN_DEFAULT_MS = 3600 * 1000, /* the last hour, when nothing is said */
};

static void reply_stats(struct call *call) {
    stats_write(call_begin_json(call), &call_op(call)->stats);
    call_reply_json(call, 200);
}

void handle_read_stats(struct call *call) {
    if (call_begin_op(call, STORE_READ_STATS) != NULL) {
        call_submit(call, reply_stats);
    }
}

struct span {
    int64_t since_ms, until_ms, step_s;
};

static int64_t floor_to(int64_t ms, int64_t step_ms) {
    int64_t over = ms % step_ms;
    return ms - (over < 0 ? over + step_ms : over);
}

/* Whole buckets: the one that holds `since` to the one that holds the last moment before
 * `until`. */
static enum err_e read_span(const struct call *call, struct span *ret, struct problem *problem) {
    *ret = (struct span){TIME_NONE, loop_wall_ms(call->api->loop), STEP_DEFAULT_S};
    const struct query_range steps = {1, STEP_MAX_S};
    TRY(query_int(&call->query, "step", steps, &ret->step_s, problem));
    TRY(query_time(&call->query, "until", &ret->until_ms, problem));
    TRY(query_time(&call->query, "since", &ret->since_ms, problem));
    int64_t step_ms = ret->step_s * 1000;
    if (ret->since_ms == TIME_NONE) {
        ret->since_ms = ret->until_ms - SPAN_DEFAULT_MS;
    }
    TRY(check_span(ret->since_ms, ret->until_ms, "until", problem));
    ret->since_ms = floor_to(ret->since_ms, step_ms);
    ret->until_ms = -floor_to(-ret->until_ms, step_ms);
    if (ret->since_ms < TIME_MIN_MS) {
        return problem_set(problem, ERR_INVALID_FIELD, "since", "is too early for this step");
    }
    if ((ret->until_ms - ret->since_ms) / step_ms > STORE_TIMELINE_MAX) {
        return problem_set(problem, ERR_INVALID_FIELD, "step",
                           "makes more than %d points: take a larger step or a shorter time",
                           STORE_TIMELINE_MAX);
    }
    return ERR_OK;
}

static void reply_timeline(struct call *call) {
    const struct store_op *op = call_op(call);
    timeline_write(call_begin_json(call), op->timeline.step_ms / 1000, op->timeline.points,
                   op->timeline.len);
    call_reply_json(call, 200);
}

void handle_read_timeline(struct call *call) {
    struct problem problem;
    struct span span;
    enum err_e err = read_span(call, &span, &problem);
    if (err != ERR_OK) {
        call_fail(call, err, &problem);
        return;
    }
    struct store_op *op = call_begin_op(call, STORE_READ_TIMELINE);
    if (op != NULL) {
        op->timeline.since_ms = span.since_ms;
        op->timeline.until_ms = span.until_ms;
        op->timeline.step_ms = span.step_s * 1000;
        call_submit(call, reply_timeline);
    }
}
