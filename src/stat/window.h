/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happened in the last five minutes: a histogram and a few counters over a sliding window.
 *
 * A collector takes a sample about once a second: everything counted since the start, summed over
 * all threads. The window keeps the differences, one slot a second and only the buckets that were
 * hit, and a running total; what is older than 300 seconds is subtracted again, so the total is
 * exact and nothing is ever reset.
 *
 *   second   …  |   s-300  |  s-299   …   s-1  |    s     |
 *               | expired  |      in the window           |
 *
 * 1. A difference counts in the second of the sample that ends it. Takes of one second add up.
 * 2. A late sample (a gap) is no loss: its difference counts when it arrives, unless the gap is as
 *    long as the window: then nobody knows how old it is, and it is left out.
 * 3. Time never runs backward here: an earlier time counts as the latest one seen.
 * 4. A sample with anything smaller than before began anew: all of it is new. So who adds up
 *    several threads keeps what a thread that ends has counted.
 *
 * Thread: the collector's only. Times are monotonic microseconds (base/clock.h).
 */
#ifndef TURNOUT_STAT_WINDOW_H
#define TURNOUT_STAT_WINDOW_H

#include "base/err.h"
#include "stat/histogram.h"

enum {
    WINDOW_SECONDS = 300,
    WINDOW_COUNTERS = 4, /* e.g. slow, failed, hits, misses: their meaning is the owner's */
};

struct window_sample {
    struct histogram_snapshot latency;
    uint64_t counters[WINDOW_COUNTERS];
};

struct window;

/* NULL without memory. 30 KB, and 8 bytes for each bucket that a second of the window has hit. */
struct window *window_create(void);
void window_destroy(struct window *window); /* NULL: nothing */

/* The first sample is what later ones are compared with and counts nothing. ERR_NO_MEMORY: nothing
 * is lost, the next sample brings it. */
enum err_e window_take(struct window *window, int64_t now_us,
                       const struct window_sample *sample) MUST_CHECK;

/* What lies in the window at `now_us`, sums over all of it. Valid until the next call. */
const struct window_sample *window_total(struct window *window, int64_t now_us);

/* Seconds that the total speaks of, for rates: 300, or less for a window that is younger; 0 before
 * the first sample. */
int window_covered_s(const struct window *window);

#endif
