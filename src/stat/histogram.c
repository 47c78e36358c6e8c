/* SPDX-License-Identifier: Apache-2.0 */
/* Reading log-linear histograms. */
#include "stat/histogram.h"

#include "base/assert.h"

#include <math.h>

enum { SUB_BUCKETS = 1 << HISTOGRAM_SUB_BITS };

/* Bucket b of the octaves above the first two holds ((b mod 64) + 64) << shift. */
static unsigned shift_of(size_t bucket) {
    return bucket < 2 * SUB_BUCKETS ? 0 : (unsigned)(bucket >> HISTOGRAM_SUB_BITS) - 1;
}

uint64_t histogram_lowest(size_t bucket) {
    ASSERT(bucket < HISTOGRAM_BUCKETS);
    unsigned shift = shift_of(bucket);
    return (uint64_t)(bucket - ((size_t)shift << HISTOGRAM_SUB_BITS)) << shift;
}

uint64_t histogram_width(size_t bucket) {
    ASSERT(bucket < HISTOGRAM_BUCKETS);
    return (uint64_t)1 << shift_of(bucket);
}

void histogram_collect(const struct histogram *histogram, struct histogram_snapshot *into) {
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        into->cells[i] += counter_read(&histogram->cells[i]);
    }
    into->sum += counter_read(&histogram->sum);
}

uint64_t histogram_count(const struct histogram_snapshot *snapshot) {
    uint64_t count = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        count += snapshot->cells[i];
    }
    return count;
}

double histogram_average(const struct histogram_snapshot *snapshot) {
    uint64_t count = histogram_count(snapshot);
    return count == 0 ? 0 : (double)snapshot->sum / (double)count;
}

double histogram_quantile(const struct histogram_snapshot *snapshot, double quantile) {
    ASSERT(quantile >= 0 && quantile <= 1);
    uint64_t count = histogram_count(snapshot);
    if (count == 0) {
        return 0;
    }
    double wanted = ceil(quantile * (double)count);
    uint64_t rank = wanted < 1 ? 1 : (uint64_t)wanted;
    uint64_t seen = 0;
    size_t bucket = 0;
    for (; bucket < HISTOGRAM_BUCKETS - 1; bucket++) {
        seen += snapshot->cells[bucket];
        if (seen >= rank) {
            break;
        }
    }
    return (double)histogram_lowest(bucket) + (double)(histogram_width(bucket) - 1) / 2;
}

uint64_t histogram_count_until(const struct histogram_snapshot *snapshot, uint64_t us) {
    uint64_t count = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (histogram_lowest(i) + histogram_width(i) - 1 > us) {
            break;
        }
        count += snapshot->cells[i];
    }
    return count;
}
