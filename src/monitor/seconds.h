/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The window's counters and gauges: one slot a second, 300 of them (stat/window.h has the times).
 *
 * 1. A counter's growth counts in the second of the sample that ends it.
 * 2. A gap as long as the window is of unknown age and left out.
 * 3. Time never runs backward: an earlier time counts as the latest one seen.
 * 4. A counter that shrank began anew: all of it is new.
 *
 * Pure; thread: the monitor's only. Times are monotonic microseconds.
 */
#ifndef TURNOUT_MONITOR_SECONDS_H
#define TURNOUT_MONITOR_SECONDS_H

#include "stat/window.h"

#include <stdbool.h>

/* X(name): they only grow. */
#define SECOND_COUNTER_TABLE(X)                                                                    \
    X(transactions) X(unauthorized) X(rate_limited) X(unavailable)                                 \
    X(rejected_heads) X(timeouts) X(l2_evictions) X(l2_gets_us)                                    \
    X(l1_hits) X(l1_misses) X(l1_evictions) X(l1_gets_us) X(l2_hits) X(l2_misses)                  \
    X(cold) X(expired) X(evicted) X(invalidated) X(l2_down)                                        \
    X(requests) X(server_errors) X(request_us) X(queries) X(refused)               \
    X(query_us) X(queue_us) X(replica_reads) X(replica_late)
#define X(name) SECOND_##name,
enum second_counter_e { SECOND_COUNTER_TABLE(X) SECOND_COUNTER_COUNT };
#undef X

/* X(name): what was so at a moment; NAN when nobody knows. */
#define SECOND_GAUGE_TABLE(X) X(tps) X(stall_us) X(connections) X(cpu) X(process_cpu) X(memory)
#define X(name) GAUGE_##name,
enum second_gauge_e { SECOND_GAUGE_TABLE(X) SECOND_GAUGE_COUNT };
#undef X

struct second_sample {
    uint64_t counters[SECOND_COUNTER_COUNT]; /* since the start */
    double gauges[SECOND_GAUGE_COUNT];
};

struct seconds;

struct seconds *seconds_create(void); /* NULL without memory; 60 KB */
void seconds_destroy(struct seconds *seconds);

/* The first sample is what later ones are compared with. Of two samples of one second the counters
 * add up and each gauge keeps the higher. */
void seconds_take(struct seconds *seconds, int64_t now_us, const struct second_sample *sample);

/* Growth over the window that ends at `now_us`. */
void seconds_sum(struct seconds *seconds, int64_t now_us, uint64_t ret[SECOND_COUNTER_COUNT]);
/* The mean and the highest of the last `span` seconds (1..300) that know; NAN when none does. */
double seconds_mean(struct seconds *seconds, int64_t now_us, enum second_gauge_e gauge, int span);
double seconds_peak(struct seconds *seconds, int64_t now_us, enum second_gauge_e gauge, int span);
/* How many of the last `span` seconds had the gauge above `level`. */
int seconds_above(struct seconds *seconds, int64_t now_us, enum second_gauge_e gauge,
                  double level);
/* What grew in the second that began `age` seconds before the present one, and its gauges; age 0 is
 * not over yet. False: nothing was taken then. `ret_begun_us` is when it began. */
bool seconds_back(struct seconds *seconds, int64_t now_us, int age,
                  struct second_sample *ret_sample, int64_t *ret_begun_us);
/* Seconds that the window speaks of: 300 or less. */
int seconds_covered(const struct seconds *seconds);

#endif
