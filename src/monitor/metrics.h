/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /metrics: the Prometheus text format 0.0.4 or OpenMetrics 1.0, from the loops' cells and a view.
 * Counters are since the start; labels are routes, operations, levels and the like, never what
 * clients send.
 * Thread: any; reading the cells is not an exact moment, as every scrape.
 */
#ifndef TURNOUT_MONITOR_METRICS_H
#define TURNOUT_MONITOR_METRICS_H

#include "base/buf.h"
#include "monitor/metric_table.h"
#include "monitor/view.h"

/* What loops count beside their cells: see monitor.h. */
struct loop_figures {
    uint64_t connections; /* now */
    uint64_t connections_total;
    uint64_t rejected_heads;
    uint64_t ignored_forwarded; /* X-Forwarded-For from who is not trusted */
    uint64_t timeouts;
    uint64_t bytes_out;
    int64_t stall_us; /* longest turn since it was asked last */
};

/* What this process knows of all nodes, and whether it acts for them. */
struct cluster_figures {
    bool is_known; /* false: a node by itself, and nothing here counts */
    bool leads;
    int64_t term;
    uint64_t healthy, suspect, draining, gone;  /* nodes, now */
    uint64_t asks, misses, lies, state_changes; /* since the start */
    double clock_off_s;                         /* the largest difference of a clock, now */
};

enum metrics_form_e { METRICS_PROMETHEUS, METRICS_OPEN };

struct metrics_input {
    enum metrics_form_e form;
    const struct view *view;
    const struct cells *const *cells;
    size_t cells_len;
    size_t routes;
    const char *(*route_name)(size_t index);
    struct loop_figures figures; /* of all loops together */
    struct cache_figures cache;
    struct store_replica_figures replica;
    struct cluster_figures cluster;
    int64_t horizon_s; /* until the store's partitions end; negative: not known, or it has none */
    double process_cpu_s;
    double start_s;      /* wall clock */
    double collection_s;
};

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define METRICS_OPEN_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"
enum { METRICS_MAX = 8 << 20 };

void metrics_write(const struct metrics_input *input, struct buf *to);

#endif
