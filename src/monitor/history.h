/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last 24 hours in steps of a minute: 1,440 rows, the oldest overwritten. Pure; thread: the
 * monitor's only.
 */
#ifndef TURNOUT_MONITOR_HISTORY_H
#define TURNOUT_MONITOR_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HISTORY_MINUTES = 24 * 60, HISTORY_STEP_S = 60 };

/* Unknown figures are NAN, or -1 in whole numbers. */
struct minute {
    int64_t at_ms; /* wall clock, the minute's end */
    uint64_t requests, server_errors;
    double api_avg_ms, api_p95_ms;
    uint64_t queries;
    double db_avg_ms, db_queue_ms; /* queue_ms: average wait for the store */
    double tps_peak;               /* of its busiest second */
    double hit_rate;
    double cpu_percent, memory_percent; /* averages */
    int64_t rss_bytes;
    double connections_peak;
};

struct history;

struct history *history_create(void); /* NULL without memory; 160 KB */
void history_destroy(struct history *history);
void history_add(struct history *history, const struct minute *minute);
size_t history_len(const struct history *history);
/* 0 is the newest; index < history_len. */
const struct minute *history_back(const struct history *history, size_t index);

/* By how many bytes an hour this process grew over the last hour, by least squares; NAN with fewer
 * than 15 minutes that know. */
double history_rss_growth_per_h(const struct history *history);
/* Average wait for the store, weighted by operations, over `minutes` minutes behind the `skip`
 * newest ones; NAN without operations. */
double history_queue_ms(const struct history *history, size_t skip, size_t minutes);

#endif
