/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What measuring costs: one request (begin, one store operation, end) and a bare value, on the
 * loop, beside the time stamp that is taken anyway; a value from two threads at once; the tick of
 * a second over 8 loops and 32 routes, on the monitor's thread; and how far quantiles are from an
 * exact sort, on six distributions. Times are spread as answers are: log-uniform from 50 us to
 * 2 s.
 *
 * Usage: monitor_cost [REQUESTS]   (default 2000000). Prints one JSON document.
 */
#include "base/assert.h"
#include "base/json.h"
#include "base/rng.h"
#include "monitor/monitor.h"
#include "stat/window.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    REQUESTS_DEFAULT = 2000000,
    REQUESTS_MAX = 1000000000,
    DRAWS = 1 << 12,
    ROUTES = 32,
    LOOPS = 8,
    SORTED = 200000, /* values of a distribution */
};

static int64_t draws[DRAWS];

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void make_draws(void) {
    struct seeded_rng rng;
    seeded_rng_init(&rng, 1);
    for (size_t i = 0; i < DRAWS; i++) {
        draws[i] = (int64_t)(50 * pow(40000, rng_unit(&rng.base)));
    }
}

static double per_stamp(int64_t count) {
    volatile int64_t sink = 0;
    int64_t begun = now_ns();
    for (int64_t i = 0; i < count; i++) {
        sink = now_ns();
    }
    (void)sink;
    return (double)(now_ns() - begun) / (double)count;
}

static double per_value(struct cells *cells, int64_t count) {
    int64_t begun = now_ns();
    for (int64_t i = 0; i < count; i++) {
        histogram_record(&cells->routes[0].latency, (uint64_t)draws[i % DRAWS]);
    }
    return (double)(now_ns() - begun) / (double)count;
}

static double per_request(struct cells *cells, int64_t count) {
    int64_t begun = now_ns();
    struct scan_result result = {.err = ERR_OK};
    for (int64_t i = 0; i < count; i++) {
        int64_t took = draws[i % DRAWS];
        struct cells_request request = {.route = 0};
        struct store_op op = {.kind = STORE_CHECK_IN, .submitted_us = 1, .begun_us = 2};
        op.ended_us = took;
        op.check_in.results = &result;
        op.check_in.len = 1;
        cells_begin(cells, &request, (size_t)(i % ROUTES), 1000, 1000);
        cells_query(cells, &request, &op);
        cells_end(cells, &request, &(struct cells_answer){200, 300, 1000 + took});
    }
    return (double)(now_ns() - begun) / (double)count;
}

static const char *route_name(size_t index) {
    (void)index;
    return "route";
}

static bool route_is_api(size_t index) {
    (void)index;
    return true;
}

static void read_loop(void *loop, struct loop_figures *ret_figures) {
    (void)loop;
    *ret_figures = (struct loop_figures){.connections = 0};
}

static void ignore(struct loop_message *message) {
    (void)message;
}

/* Whoever asks for a document makes the monitor's turn write it. */
MAY_BLOCK static double timed_turn(struct monitor *monitor, struct clock *clock) {
    struct loop *loop = loop_create(0, clock);
    ASSERT(loop != NULL);
    struct monitor_ask ask = {.loop = loop, .message.fn = ignore};
    ASSERT(monitor_ask(monitor, &ask) == ERR_OK);
    int64_t begun = now_ns();
    monitor_turn(monitor, monitor_take_asks(monitor));
    double took_us = (double)(now_ns() - begun) / 1e3;
    document_unref(ask.document);
    ASSERT(loop_start(loop) == ERR_OK);
    loop_stop(loop);
    loop_join(loop);
    loop_destroy(loop);
    return took_us;
}

/* One second's tick with the window full: every route and the operation hit on every loop in
 * between, what is five minutes old subtracted, the kernel's files read, a document written. */
MAY_BLOCK static double per_collection(struct monitor *monitor, struct virtual_clock *clock) {
    enum { TIMES = 200 };
    double all_us = 0;
    for (int i = 0; i < WINDOW_SECONDS + TIMES; i++) {
        for (size_t l = 0; l < LOOPS; l++) {
            (void)per_request(monitor_cells(monitor, l), ROUTES * 10);
        }
        virtual_clock_advance(clock, 1000);
        double took_us = timed_turn(monitor, &clock->base);
        all_us += i < WINDOW_SECONDS ? 0 : took_us;
    }
    return all_us / TIMES;
}

/* ---- two threads ---- */

struct recording {
    struct cells *cells;
    int64_t count;
    double ns;
};

static void *record_values(void *data) {
    struct recording *recording = data;
    recording->ns = per_value(recording->cells, recording->count);
    return NULL;
}

/* The slower of two that record into cells of their own at the same time. */
MAY_BLOCK static double per_value_of_two(struct monitor *monitor, int64_t count) {
    struct recording both[2];
    pthread_t threads[2];
    for (size_t i = 0; i < 2; i++) {
        both[i] = (struct recording){monitor_cells(monitor, i), count, 0};
        ASSERT(pthread_create(&threads[i], NULL, record_values, &both[i]) == 0);
    }
    for (size_t i = 0; i < 2; i++) {
        ASSERT(pthread_join(threads[i], NULL) == 0);
    }
    return both[0].ns > both[1].ns ? both[0].ns : both[1].ns;
}

/* ---- quantiles ---- */

static double normal(struct rng *rng) {
    double sum = -6;
    for (int i = 0; i < 12; i++) {
        sum += rng_unit(rng);
    }
    return sum;
}

static double uniform_us(struct rng *rng) {
    return 100 + 100000 * rng_unit(rng);
}
static double exponential_us(struct rng *rng) {
    return -5000 * log(1 - rng_unit(rng));
}
static double lognormal_us(struct rng *rng) {
    return 3000 * exp(normal(rng));
}
static double pareto_us(struct rng *rng) {
    return 200 * pow(1 - rng_unit(rng), -1 / 1.2);
}
static double two_humps_us(struct rng *rng) {
    return rng_unit(rng) < 0.9 ? 800 + 200 * rng_unit(rng) : 400000 + 100000 * rng_unit(rng);
}
static double constant_us(struct rng *rng) {
    (void)rng;
    return 12345;
}

/* X(name, what draws a value) */
#define DISTRIBUTION_TABLE(X)                                                                      \
    X(uniform, uniform_us)                                                                         \
    X(exponential, exponential_us)                                                                 \
    X(lognormal, lognormal_us)                                                                     \
    X(pareto, pareto_us)                                                                           \
    X(two_humps, two_humps_us)                                                                     \
    X(constant, constant_us)
static const struct distribution {
    const char *name;
    double (*draw)(struct rng *rng);
} distributions[] = {
#define X(name, draw) {#name, draw},
    DISTRIBUTION_TABLE(X)
#undef X
};

static int compare_values(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* The largest error of p50, p95, p99 and p99.9 in per cent of the exact value of that rank. */
static double quantile_error(const struct distribution *distribution) {
    static uint64_t values[SORTED];
    static struct histogram histogram;
    static struct histogram_snapshot snapshot;
    static const double quantiles[] = {0.5, 0.95, 0.99, 0.999};
    struct seeded_rng rng;
    seeded_rng_init(&rng, 42);
    histogram = (struct histogram){.sum = {0}};
    snapshot = (struct histogram_snapshot){.sum = 0};
    for (size_t i = 0; i < SORTED; i++) {
        double us = fmin(distribution->draw(&rng.base), 4e9);
        values[i] = (uint64_t)us;
        histogram_record(&histogram, values[i]);
    }
    histogram_collect(&histogram, &snapshot);
    qsort(values, SORTED, sizeof values[0], compare_values);
    double worst = 0;
    for (size_t i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++) {
        double exact = (double)values[(size_t)ceil(quantiles[i] * SORTED) - 1];
        double error = fabs(histogram_quantile(&snapshot, quantiles[i]) - exact) / exact * 100;
        worst = error > worst ? error : worst;
    }
    return worst;
}

static void put_errors(struct json_writer *json) {
    json_key(json, "quantile_error_percent");
    json_begin_object(json);
    for (size_t i = 0; i < sizeof distributions / sizeof distributions[0]; i++) {
        json_put_real(json, distributions[i].name, quantile_error(&distributions[i]), 3);
    }
    json_end_object(json);
}

static int64_t count_of(int argc, char **argv) {
    int64_t count = REQUESTS_DEFAULT;
    if (argc > 2 || (argc == 2 && !slice_to_int(slice_of(argv[1]), 1, REQUESTS_MAX, &count))) {
        fprintf(stderr, "usage: %s [REQUESTS]\n", argv[0]);
        exit(2);
    }
    return count;
}

MAY_BLOCK int main(int argc, char **argv) {
    int64_t count = count_of(argc, argv);
    struct virtual_clock clock;
    virtual_clock_init(&clock, 0);
    struct monitor *monitor = monitor_create(&(struct monitor_options){
        .clock = &clock.base,
        .loops = LOOPS,
        .routes = ROUTES,
        .route_name = route_name,
        .route_is_api = route_is_api,
        .node = "bench",
        .url = "",
        .version = "",
        .read_loop = read_loop,
        .disk_path = ".",
        .root = "",
    });
    ASSERT(monitor != NULL);
    make_draws();
    struct buf text;
    struct json_writer json;
    buf_init(&text, 4096);
    json_writer_init(&json, &text);
    json_begin_object(&json);
    json_put_real(&json, "time_stamp_ns", per_stamp(count), 1);
    json_put_real(&json, "value_ns", per_value(monitor_cells(monitor, 0), count), 1);
    json_put_real(&json, "value_of_two_threads_ns", per_value_of_two(monitor, count), 1);
    json_put_real(&json, "request_with_operation_ns",
                  per_request(monitor_cells(monitor, 0), count), 1);
    json_put_real(&json, "collection_us", per_collection(monitor, &clock), 0);
    put_errors(&json);
    json_end_object(&json);
    printf("%.*s\n", SLICE_ARG(buf_slice(&text)));
    buf_fini(&text);
    monitor_destroy(monitor);
    return 0;
}
