/* SPDX-License-Identifier: Apache-2.0 */
/* Recording: a few additions to cells that only this loop writes. */
#include "monitor/cells.h"

#include "base/assert.h"

#include <stdlib.h>

struct cells *cells_create(void) {
    return calloc(1, sizeof(struct cells));
}

void cells_destroy(struct cells *cells) {
    free(cells);
}

static void publish_oldest(struct route_cells *route) {
    int64_t oldest_us = route->first == NULL ? 0 : route->first->begun_us;
    atomic_store_explicit(&route->oldest_us, oldest_us, memory_order_relaxed);
}

void cells_begin(struct cells *cells, struct cells_request *request, size_t route,
                 int64_t begun_us, int64_t handled_us) {
    ASSERT(route < CELLS_ROUTES_MAX);
    struct route_cells *at = &cells->routes[route];
    request->route = route;
    request->begun_us = begun_us;
    request->handled_us = handled_us;
    request->before = at->last;
    request->after = NULL;
    *(at->last == NULL ? &at->first : &at->last->after) = request;
    at->last = request;
    counter_add(&at->in_flight, 1);
    if (request->before == NULL) {
        publish_oldest(at);
    }
}

static void take_out(struct route_cells *at, struct cells_request *request) {
    *(request->before == NULL ? &at->first : &request->before->after) = request->after;
    *(request->after == NULL ? &at->last : &request->after->before) = request->before;
    counter_sub(&at->in_flight, 1);
    if (request->before == NULL) {
        publish_oldest(at);
    }
}

void cells_stream(struct cells *cells, struct cells_request *request) {
    ASSERT(!request->is_stream);
    take_out(&cells->routes[request->route], request);
    request->is_stream = true;
    counter_add(&cells->streams, 1);
}

static void count_status(struct cells *cells, struct route_cells *at, int status) {
    int class = status / 100 - 2;
    if (class >= ANSWER_2XX && class < ANSWER_CLASS_COUNT) {
        counter_add_last(&at->classes[class], 1); /* by it the collector knows what to look at */
    }
    if (status == 401) {
        counter_add(&cells->unauthorized, 1);
    } else if (status == 429) {
        counter_add(&cells->rate_limited, 1);
    } else if (status == 503) {
        counter_add(&cells->unavailable, 1);
    }
}

static void count_slow(struct route_cells *at, struct cells_request *request) {
    if (!request->is_slow) {
        request->is_slow = true;
        counter_add(&at->slow, 1);
    }
}

static int64_t count_time(struct route_cells *at, struct cells_request *request,
                          int64_t now_us) {
    int64_t took_us = now_us - request->begun_us;
    took_us = took_us < 0 ? 0 : took_us;
    histogram_record(&at->latency, (uint64_t)took_us);
    if (took_us > SLOW_REQUEST_US) {
        count_slow(at, request);
    }
    return took_us;
}

int64_t cells_end(struct cells *cells, struct cells_request *request,
                  const struct cells_answer *answer) {
    struct route_cells *at = &cells->routes[request->route];
    int64_t took_us = 0;
    counter_add(&at->bytes, answer->bytes);
    if (request->is_shed) { /* a quick refusal would look like a quick answer */
        take_out(at, request);
        counter_add(&cells->shed, 1);
        return 0;
    }
    if (request->is_stream) {
        counter_sub(&cells->streams, 1);
    } else {
        take_out(at, request);
        took_us = count_time(at, request, answer->now_us);
    }
    count_status(cells, at, answer->status);
    return took_us;
}

void cells_look(struct cells *cells, int64_t now_us, cells_hanging_fn tell, void *data) {
    for (size_t i = 0; i < CELLS_ROUTES_MAX; i++) {
        struct route_cells *at = &cells->routes[i];
        for (struct cells_request *request = at->first;
             request != NULL && now_us - request->begun_us > SLOW_REQUEST_US;
             request = request->after) {
            count_slow(at, request);
            if (!request->is_hanging && now_us - request->begun_us > HANGING_US) {
                request->is_hanging = true;
                tell(request, now_us - request->begun_us, data);
            }
        }
    }
}

static uint64_t transactions_of(const struct store_op *op) {
    if (op->err != ERR_OK || !store_op_writes(op->kind) || op->kind == STORE_PROBE) {
        return 0;
    }
    if (op->kind != STORE_CHECK_IN) {
        return 1;
    }
    uint64_t decided = 0;
    for (size_t i = 0; i < op->check_in.len; i++) {
        decided += op->check_in.results[i].err == ERR_OK;
    }
    return decided;
}

static int64_t span_us(int64_t from_us, int64_t to_us) {
    return to_us > from_us ? to_us - from_us : 0;
}

int64_t cells_commit_us(const struct store_op *op) {
    return op->committing_us == 0 ? 0 : span_us(op->committing_us, op->ended_us);
}

void cells_cache(struct cells_request *request, const struct store_op *op) {
    if (request != NULL) {
        request->cache_us += op->cache_us;
    }
}

static int64_t count_operation(struct query_cells *at, struct cells_request *request,
                               const struct store_op *op) {
    int64_t queue_us = span_us(op->submitted_us, op->begun_us);
    int64_t run_us = span_us(op->begun_us, op->ended_us);
    int64_t took_us = queue_us + run_us;
    histogram_record(&at->latency, (uint64_t)took_us);
    counter_add(&at->queue_us, (uint64_t)queue_us);
    counter_add(&at->run_us, (uint64_t)run_us);
    if (took_us > SLOW_QUERY_US) {
        counter_add(&at->slow, 1);
    }
    if (request != NULL) {
        int64_t commit_us = cells_commit_us(op);
        request->queue_us += queue_us;
        request->store_us += run_us - commit_us;
        request->commit_us += commit_us;
    }
    return took_us;
}

int64_t cells_query(struct cells *cells, struct cells_request *request,
                    const struct store_op *op) {
    struct query_cells *at = &cells->queries[op->kind];
    int64_t took_us = 0;
    if (err_status(op->err) >= 500) {
        counter_add(&at->failed, 1);
    }
    if (op->kind == STORE_CHECK_IN && op->err == ERR_OK && cells->doors != NULL) {
        doors_note(cells->doors, &cells->notes, op->event, op->ended_us);
    }
    counter_add(&cells->transactions, transactions_of(op));
    if (op->err == ERR_OVERLOADED) { /* it never got in: no time to speak of */
        counter_add(&at->refused, 1);
    } else {
        took_us = count_operation(at, request, op);
    }
    counter_add_last(&at->ended, 1);
    return took_us;
}
