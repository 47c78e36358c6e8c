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
 * reset, so recording takes no locked instruction. Each octave has a count of its own, so that
 * whoever reads looks into the octaves that were hit alone: a histogram is 14 KB, what a second
 * hits is a few lines of it.
 *
 * Thread: histogram_record the owner; histogram_collect and histogram_growth any; the rest are
 * plain values.
 */
#ifndef TURNOUT_STAT_HISTOGRAM_H
#define TURNOUT_STAT_HISTOGRAM_H

#include "stat/counter.h"

#include <stddef.h>

enum {
    HISTOGRAM_SUB_BITS = 6, /* 2^6 sub-buckets an octave */
    HISTOGRAM_VALUE_BITS = 32,
    HISTOGRAM_OCTAVES = HISTOGRAM_VALUE_BITS - HISTOGRAM_SUB_BITS + 1,
    HISTOGRAM_BUCKETS = HISTOGRAM_OCTAVES << HISTOGRAM_SUB_BITS,
};

struct histogram { /* 14 KB; all zero is empty */
    struct counter octaves[HISTOGRAM_OCTAVES]; /* values in the 64 cells of each */
    struct counter sum; /* of the values, microseconds: for an exact average */
    struct counter cells[HISTOGRAM_BUCKETS];
};

struct histogram_snapshot {
    uint64_t octaves[HISTOGRAM_OCTAVES]; /* sums of the cells, always */
    uint64_t sum;
    uint64_t cells[HISTOGRAM_BUCKETS];
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
    size_t bucket = histogram_bucket(us);
    counter_add(&histogram->cells[bucket], 1);
    counter_add(&histogram->octaves[bucket >> HISTOGRAM_SUB_BITS], 1);
    counter_add(&histogram->sum, us);
}

/* The smallest value of a bucket, and how many values fall into it. */
uint64_t histogram_lowest(size_t bucket);
uint64_t histogram_width(size_t bucket);

/* Adds what `histogram` holds now to `into`. Cells that are written meanwhile may be in or not. */
void histogram_collect(const struct histogram *histogram, struct histogram_snapshot *into);
void histogram_add(struct histogram_snapshot *to, const struct histogram_snapshot *from);
/* `less` is an older snapshot of the same. */
void histogram_subtract(struct histogram_snapshot *from, const struct histogram_snapshot *less);

/* Buckets that have grown, with by how much. */
struct histogram_growth {
    uint64_t sum; /* of the values */
    size_t len;
    struct histogram_grown {
        uint32_t bucket;
        uint64_t count;
    } grown[HISTOGRAM_BUCKETS]; /* by bucket, each once */
};

/* What `histograms` together hold beyond `seen`, a snapshot of the same ones from before. Nothing
 * is ever lost: what is written meanwhile may be in or not, and is in the next growth then. */
void histogram_growth(const struct histogram *const *histograms, size_t len,
                      const struct histogram_snapshot *seen, struct histogram_growth *ret_growth);
/* Makes `seen` what it was when the growth was read, and the growth on top. */
void histogram_grow(struct histogram_snapshot *seen, const struct histogram_growth *growth);

uint64_t histogram_count(const struct histogram_snapshot *snapshot);
double histogram_average(const struct histogram_snapshot *snapshot); /* exact; 0 when empty */

/* The value that `quantile` (0..1) of the values do not exceed, by nearest rank: 0 gives the
 * smallest, 1 the largest. Within 0.78 %; 0 when empty. */
double histogram_quantile(const struct histogram_snapshot *snapshot, double quantile);

/* How many values are at most `us`, for cumulative buckets; a bucket that reaches beyond `us` does
 * not count. */
uint64_t histogram_count_until(const struct histogram_snapshot *snapshot, uint64_t us);

#endif
