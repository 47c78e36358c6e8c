/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happened in the last five minutes: a histogram and a few counters over a sliding window.
 *
 * A collector brings, about once a second, what was counted since it came last. The window keeps
 * it, one slot a second and only the buckets that were hit, and a running total; what is older than
 * 300 seconds is subtracted again, so the total is exact, nothing is ever reset, and a second costs
 * what happened in it and in the one that leaves.
 *
 *   second   …  |   s-300  |  s-299   …   s-1  |    s     |
 *               | expired  |      in the window           |
 *
 * 1. What is brought counts in the second in which it is brought. What comes in one second adds up.
 * 2. Coming late (a gap) is no loss, unless the gap is as long as the window: then nobody knows how
 *    old it is, and it is left out.
 * 3. Time never runs backward here: an earlier time counts as the latest one seen.
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

struct window_growth { /* 28 KB */
    struct histogram_growth latency;
    uint64_t counters[WINDOW_COUNTERS];
};

struct window_total {
    struct histogram_snapshot latency;
    uint64_t counters[WINDOW_COUNTERS];
};

struct window;

/* NULL without memory. 30 KB, and 8 bytes for each bucket that a second of the window has hit. What
 * is brought first has been counted since `now_us`. */
struct window *window_create(int64_t now_us);
void window_destroy(struct window *window); /* NULL: nothing */

/* ERR_NO_MEMORY: nothing of it was added; bring it again, with the next. */
enum err_e window_add(struct window *window, int64_t now_us,
                      const struct window_growth *growth) MUST_CHECK;

/* What lies in the window at `now_us`, sums over all of it. Valid until the next call. */
const struct window_total *window_total(struct window *window, int64_t now_us);

/* Seconds that the total speaks of, for rates: 300, or less for a window that is younger. */
int window_covered_s(const struct window *window);

#endif
