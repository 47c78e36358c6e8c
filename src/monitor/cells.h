/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one loop measures: every request and every store operation.
 *
 * A loop owns its cells and is their only writer; the cells only grow (but the gauges) and are
 * never reset, so recording takes no lock and no locked instruction. The monitor's thread adds the
 * cells of all loops and subtracts what it saw before.
 *
 *   head whole ── cells_begin ──► in flight ── cells_end ──► counted
 *        │            │  ▲                         │
 *        │  receive   │  └── cells_query, once     │
 *        │◄──────────►│      per store operation   │
 *        │◄─────────────── took ──────────────────►│
 *
 * Thread: cells_begin, cells_end and cells_query the loop's; the counters any.
 */
#ifndef TURNOUT_MONITOR_CELLS_H
#define TURNOUT_MONITOR_CELLS_H

#include "monitor/doors.h"
#include "stat/histogram.h"
#include "store/store.h"

enum {
    CELLS_ROUTES_MAX = 96, /* room for every route of the API and "other" */
    SLOW_REQUEST_US = 1000000,
    SLOW_QUERY_US = 100000,
    HANGING_US = 10000000,
};

/* X(NAME, label): answers by status class. */
#define ANSWER_CLASS_TABLE(X)                                                                      \
    X(2XX, "2xx") X(3XX, "3xx") X(4XX, "4xx") X(5XX, "5xx")
#define X(name, label) ANSWER_##name,
enum answer_class_e { ANSWER_CLASS_TABLE(X) ANSWER_CLASS_COUNT };
#undef X

/* One request in flight; lives in its caller's memory. */
struct cells_request {
    struct cells_request *before, *after; /* of the same route, oldest first */
    size_t route;
    int64_t begun_us;   /* its head was whole */
    int64_t handled_us; /* its body was, too, and its handler began */
    int64_t queue_us;   /* store operations of this request, waiting */
    int64_t store_us;   /* the same, being run */
    int64_t commit_us;  /* the same, being committed */
    int64_t cache_us;   /* waiting for a cache, whether or not it answered */
    bool is_stream;     /* see cells_stream */
    bool is_slow;       /* counted as slow already */
    bool is_hanging;    /* told already */
    bool is_shed;       /* refused to keep the rest fast: its time says nothing */
};

struct route_cells {
    struct histogram latency;
    struct counter classes[ANSWER_CLASS_COUNT];
    struct counter bytes;
    struct counter slow;
    struct counter in_flight;      /* a gauge */
    _Atomic int64_t oldest_us;     /* begun_us of the oldest in flight; 0: none */
    struct cells_request *first, *last; /* the owner's */
};

struct query_cells {
    struct counter ended;     /* all that came back, whatever became of them */
    struct histogram latency; /* submitted to answered */
    struct counter queue_us;  /* sums: waiting for the store */
    struct counter run_us;    /* running, a commit included */
    struct counter failed;    /* errors of the store: 5xx */
    struct counter refused;   /* of those, what found the queue full: not in the histogram */
    struct counter slow;
};

/* X(name): answers of special interest and what the store made of scans and writes. */
#define LOOP_COUNTER_TABLE(X)                                                                      \
    X(transactions) /* scans decided and other writes that succeeded */                            \
    X(unauthorized) /* 401 */                                                                      \
    X(rate_limited) /* 429 */                                                                      \
    X(unavailable)  /* 503 */                                                                      \
    X(shed)         /* analytics that were refused: neither in the times nor in the classes */     \
    X(access_dropped) /* lines that the access log had no room for */

struct cells {
    struct route_cells routes[CELLS_ROUTES_MAX];
    struct query_cells queries[STORE_OP_COUNT];
#define X(name) struct counter name;
    LOOP_COUNTER_TABLE(X)
#undef X
    struct counter streams; /* a gauge: event streams open */
    struct doors *doors;    /* is told which events are scanned; NULL: nobody asks */
    struct door_notes notes; /* the owner's */
};

struct cells *cells_create(void); /* NULL without memory; 2 MB, of which only what is hit is used */
void cells_destroy(struct cells *cells);

/* `request` is cleared and stays in place until cells_end. */
void cells_begin(struct cells *cells, struct cells_request *request, size_t route,
                 int64_t begun_us, int64_t handled_us);
/* It becomes a stream that lasts as long as its client likes: neither in flight nor slow from now
 * on, and its time is not recorded. */
void cells_stream(struct cells *cells, struct cells_request *request);

/* How a request ended. */
struct cells_answer {
    int status;
    size_t bytes;
    int64_t now_us;
};
/* Returns how long it took, in microseconds; 0 for a stream. */
int64_t cells_end(struct cells *cells, struct cells_request *request,
                  const struct cells_answer *answer);

/* Counts what is in flight and slow already, so that a hang shows before it ends. `tell` gets each
 * request that is in flight for HANGING_US, once. */
typedef void (*cells_hanging_fn)(struct cells_request *request, int64_t age_us, void *data);
void cells_look(struct cells *cells, int64_t now_us, cells_hanging_fn tell, void *data);

/* An operation that came back; `request` is who asked for it, or NULL. Returns how long it took
 * from submission to its answer, in microseconds. */
int64_t cells_query(struct cells *cells, struct cells_request *request, const struct store_op *op);
/* What an operation waited for a cache, one that a cache answered too. Nothing without a
 * request. */
void cells_cache(struct cells_request *request, const struct store_op *op);
int64_t cells_commit_us(const struct store_op *op); /* of its running time; 0: it had no commit */

#endif
