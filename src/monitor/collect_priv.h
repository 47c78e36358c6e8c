/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From cells to a view: what monitor.c and collect.c share. Thread: the monitor's.
 */
#ifndef TURNOUT_MONITOR_COLLECT_PRIV_H
#define TURNOUT_MONITOR_COLLECT_PRIV_H

#include "monitor/doors.h"
#include "monitor/history.h"
#include "monitor/metrics.h"
#include "monitor/monitor.h"
#include "monitor/seconds.h"

/* All loops' figures of one route or operation at the last take. */
struct seen {
    struct histogram_snapshot latency;
    uint64_t counters[WINDOW_COUNTERS];
};

/* One route or operation over the window. Made when it is first hit. */
struct tracked {
    struct window *window;
    struct seen *seen;
    uint64_t events;  /* at the last take: nothing new, nothing to take */
    int64_t taken_us;
};

enum { COLLECT_LOOPS_MAX = 256 }; /* as many as the setting server.loops allows */

struct collector {
    const struct monitor_options *options;
    struct cells *const *cells;
    struct doors *doors;
    struct tracked routes[CELLS_ROUTES_MAX];
    struct tracked queries[STORE_OP_COUNT];
    struct seconds *seconds;
    struct history *history;
    struct health_reader *reader;
    struct health health;    /* as read last */
    struct loop_figures figures; /* of all loops, as read last */
    struct cache_figures cache;
    struct store_replica_figures replica;
    struct cluster_figures cluster;
    int64_t started_us;
    int64_t collected_us;    /* the last collection */
    int64_t second_us;       /* the last one of a second */
    uint64_t second_transactions; /* at that time */
    int64_t minute_us;       /* the last step of the history */
    struct histogram_snapshot minute_api; /* at that time, of all routes */
    uint64_t minute_errors, minute_queries, minute_queue_us, minute_query_us;
    uint64_t minute_hits, minute_lookups;
    /* of a view being made */
    struct view_route routes_rows[CELLS_ROUTES_MAX];
    struct view_query queries_rows[STORE_OP_COUNT];
    struct histogram_snapshot sum;
    /* of a take being made: what it reads from, what has grown */
    const struct histogram *histograms[COLLECT_LOOPS_MAX];
    struct window_growth growth;
};

/* Options and cells are borrowed, as is `doors`, which may be NULL. */
bool collector_init(struct collector *collector, const struct monitor_options *options,
                    struct cells *const *cells, struct doors *doors);
void collector_fini(struct collector *collector);

/* Takes what the loops have counted until now into the window. */
void collect(struct collector *collector, int64_t now_us);
/* What each second asks for, behind a collect: health, gauges, and a row of history each minute. */
MAY_BLOCK void collect_second(struct collector *collector, int64_t now_us);
/* The second that began `age` seconds before that of the last collect; false: nobody knows it. */
bool collect_row(struct collector *collector, int age, struct view_second *ret_row);
/* The view of the last collect; its arrays live until the next one. */
void collect_view(struct collector *collector, struct view *ret_view);

#endif
