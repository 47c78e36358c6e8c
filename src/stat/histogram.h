/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long things take: a log-linear histogram of microseconds, 64 sub-buckets an octave.
 *
 *   0 1 2 … 127 | 128 130 … 254 | 256 260 … 508 | …
 *    width 1    |    width 2    |    width 4    |
 *
 * Values below 128 are exact; from there on a bucket is 1/64 of its value wide at most. A value is
 * told by the middle of its bucket, so it is off by 1/128 (0.78 %) at most. Values from 2^32 us (71
 * minutes) on count in the last bucket.
 *
 * Each thread owns its histograms and is their only writer; the cells only grow and are never
 * reset, so recording takes no locked instruction. Whoever reads adds the histograms of all threads
 * into a snapshot and subtracts an older one. Thread: histogram_record the owner; histogram_collect
 * any; snapshots are plain values.
 */
#ifndef TURNOUT_STAT_HISTOGRAM_H
#define TURNOUT_STAT_HISTOGRAM_H

#include "stat/counter.h"

#include <stddef.h>

enum {
    HISTOGRAM_SUB_BITS = 6, /* 2^6 sub-buckets an octave */
    HISTOGRAM_VALUE_BITS = 32,
    HISTOGRAM_BUCKETS = (HISTOGRAM_VALUE_BITS - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS,
};

struct histogram { /* 14 KB; all zero is empty */
    struct counter cells[HISTOGRAM_BUCKETS];
    struct counter sum; /* of the values, microseconds: for an exact average */
};

struct histogram_snapshot {
    uint64_t cells[HISTOGRAM_BUCKETS];
    uint64_t sum;
};

static inline size_t histogram_bucket(uint64_t us) {
    if (us >> HISTOGRAM_VALUE_BITS != 0) {
        return HISTOGRAM_BUCKETS - 1;
    }
    if (us >> HISTOGRAM_SUB_BITS == 0) {
        return (size_t)us;
    }
    unsigned shift = 63 - (unsigned)__builtin_clzll(us) - HISTOGRAM_SUB_BITS;
    return ((size_t)shift << HISTOGRAM_SUB_BITS) + (size_t)(us >> shift);
}

/* The writer only. */
static inline void histogram_record(struct histogram *histogram, uint64_t us) {
    counter_add(&histogram->cells[histogram_bucket(us)], 1);
    counter_add(&histogram->sum, us);
}

/* The smallest value of a bucket, and how many values fall into it. */
uint64_t histogram_lowest(size_t bucket);
uint64_t histogram_width(size_t bucket);

/* Adds what `histogram` holds now to `into`. Cells that are written meanwhile may be in or not. */
void histogram_collect(const struct histogram *histogram, struct histogram_snapshot *into);

uint64_t histogram_count(const struct histogram_snapshot *snapshot);
double histogram_average(const struct histogram_snapshot *snapshot); /* exact; 0 when empty */

/* The value that `quantile` (0..1) of the values do not exceed, by nearest rank: 0 gives the
 * smallest, 1 the largest. Within 0.78 %; 0 when empty. */
double histogram_quantile(const struct histogram_snapshot *snapshot, double quantile);

/* How many values are at most `us`, for cumulative buckets; a bucket that reaches beyond `us` does
 * not count. */
uint64_t histogram_count_until(const struct histogram_snapshot *snapshot, uint64_t us);

#endif
