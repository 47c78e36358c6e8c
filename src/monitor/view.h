/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One moment of a node as plain figures: what every document, KPI and suggestion is made of. The
 * monitor fills it; whatever reads it is pure. Unknown figures are NAN, or -1 in whole numbers.
 * Thread: a value.
 */
#ifndef TURNOUT_MONITOR_VIEW_H
#define TURNOUT_MONITOR_VIEW_H

#include "cache/tiered.h"
#include "monitor/cells.h"
#include "monitor/gate_skew.h"
#include "monitor/health.h"

struct view_times { /* NAN when nothing was counted */
    uint64_t count;
    double avg_ms, p50_ms, p95_ms, p99_ms, max_ms;
};

struct view_route {
    const char *name; /* "POST /v1/events/{event}/checkins" */
    struct view_times times;
    double rps;
    uint64_t server_errors; /* 5xx */
    uint64_t slow;
    uint64_t in_flight;
    int64_t oldest_ms; /* of those in flight; 0: none is */
};

struct view_query {
    const char *name; /* "check_in" */
    struct view_times times;
    uint64_t failures, refused, slow;
    double queue_avg_ms, run_avg_ms; /* NAN when nothing was counted */
};

/* What a cache level has counted since the start, and how large it is. */
struct cache_level {
    uint64_t hits, misses, evictions;
    uint64_t gets_us;           /* time spent in gets; 0: not measured */
    uint64_t entries, capacity;
};
/* X(NAME, word) */
#define L2_STATE_TABLE(X)                                                                          \
    X(OFF, "off") X(CLOSED, "closed") X(OPEN, "open") X(HALF_OPEN, "half_open")
#define X(name, word) L2_##name,
enum l2_state_e { L2_STATE_TABLE(X) L2_STATE_COUNT };
#undef X
const char *l2_state_text(enum l2_state_e state);

struct cache_figures {
    struct cache_level l1, l2;
    enum l2_state_e l2_state;
    uint64_t cold, expired, evicted, invalidated, l2_down; /* misses by cause */
    struct tiered_figures figures;                         /* by class, and of all that is inside */
};

struct view_level { /* over the window */
    uint64_t hits, misses, evictions;
    uint64_t entries, capacity; /* now */
    double hit_rate;            /* 0..1 */
    double avg_us;
};

/* One whole second, as a chart shows it. Unknown figures are NAN. */
struct view_second {
    int64_t at_ms; /* wall clock, when it began */
    uint64_t requests, server_errors, queries;
    double api_avg_ms, db_avg_ms, db_queue_ms; /* queue_ms: average wait for the store */
    double hit_rate;
    double tps, cpu_percent, memory_percent, connections;
    double stall_ms; /* longest turn of a loop */
};

struct view {
    int64_t at_ms;    /* wall clock */
    int window_s;     /* that rates are over: up to 300, at least 1 */
    int64_t uptime_s;
    const char *node; /* its id */
    const char *url;
    const char *version;

    struct view_route api;        /* all routes of /v1 together; name "api" */
    struct view_route *routes;    /* those of /v1 that were asked for */
    size_t routes_len;

    struct view_query db;         /* all queries together; name "db" */
    struct view_query *queries;   /* those that ran */
    size_t queries_len;

    struct view_level l1, l2;
    enum l2_state_e l2_state;
    double hit_rate; /* of both levels: a miss is what no level had */
    uint64_t cold, expired, evicted, invalidated, l2_down;

    struct health health; /* its cpu figures are means of the last seconds */
    uint64_t connections;
    uint64_t connections_limit; /* 0: not known */
    uint64_t streams;
    double connections_peak; /* of the window, as are the next two */
    double tps_peak;         /* of one second */
    double tps_avg;
    double stall_ms_max;     /* longest single turn of a loop */
    int stalled_seconds;     /* that had a turn above 100 ms */
    uint64_t unauthorized, rate_limited, unavailable, rejected_heads, timeouts;

    uint64_t replica_reads, replica_late; /* see store_replica_figures; over the window */
    double replica_behind_ms;             /* at least, at the last look; NAN: it follows nobody */
    double replica_limit_ms;
    bool is_skewed;        /* `skew` is the most crowded gate of all events */
    struct gate_skew skew;

    int64_t horizon_s; /* until the store's partitions end; -1: not known, or it has none */
    double rss_growth_per_h; /* bytes; over the last hour of minutes, NAN before 15 of them */
    double queue_before_ms;  /* average wait for the store in the minutes before the last one */
    double queue_now_ms;     /* the same in the last minute; NAN without operations */
    bool has_second;         /* `second` is the last whole one */
    struct view_second second;
};

#endif
