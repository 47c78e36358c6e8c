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

static size_t first_of(size_t octave) {
    return octave << HISTOGRAM_SUB_BITS;
}

static uint64_t collect_octave(const struct histogram *histogram, size_t octave,
                               struct histogram_snapshot *into) {
    uint64_t count = 0;
    for (size_t i = first_of(octave); i < first_of(octave + 1); i++) {
        uint64_t now = counter_read(&histogram->cells[i]);
        into->cells[i] += now;
        count += now;
    }
    return count;
}

void histogram_collect(const struct histogram *histogram, struct histogram_snapshot *into) {
    for (size_t i = 0; i < HISTOGRAM_OCTAVES; i++) {
        if (counter_read(&histogram->octaves[i]) > 0) {
            into->octaves[i] += collect_octave(histogram, i, into);
        }
    }
    into->sum += counter_read(&histogram->sum);
}

void histogram_add(struct histogram_snapshot *to, const struct histogram_snapshot *from) {
    for (size_t octave = 0; octave < HISTOGRAM_OCTAVES; octave++) {
        if (from->octaves[octave] == 0) {
            continue;
        }
        to->octaves[octave] += from->octaves[octave];
        for (size_t i = first_of(octave); i < first_of(octave + 1); i++) {
            to->cells[i] += from->cells[i];
        }
    }
    to->sum += from->sum;
}

void histogram_subtract(struct histogram_snapshot *from, const struct histogram_snapshot *less) {
    for (size_t i = 0; i < HISTOGRAM_OCTAVES; i++) {
        from->octaves[i] -= less->octaves[i];
    }
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        from->cells[i] -= less->cells[i];
    }
    from->sum -= less->sum;
}

/* Appends what has grown in one octave. */
static void grow_octave(const struct histogram *const *histograms, size_t len, size_t octave,
                        const struct histogram_snapshot *seen, struct histogram_growth *growth) {
    uint64_t now[SUB_BUCKETS] = {0};
    size_t first = first_of(octave);
    for (size_t h = 0; h < len; h++) {
        if (counter_read(&histograms[h]->octaves[octave]) == 0) {
            continue;
        }
        for (size_t i = 0; i < SUB_BUCKETS; i++) {
            now[i] += counter_read(&histograms[h]->cells[first + i]);
        }
    }
    for (size_t i = 0; i < SUB_BUCKETS; i++) {
        if (now[i] > seen->cells[first + i]) {
            growth->grown[growth->len++] = (struct histogram_grown){
                (uint32_t)(first + i), now[i] - seen->cells[first + i]};
        }
    }
}

/* The count of an octave and its cells are read at different moments, but `seen` has the sum of the
 * cells: as long as it differs from the count, one is still to come, and the octave is looked into
 * again. */
void histogram_growth(const struct histogram *const *histograms, size_t len,
                      const struct histogram_snapshot *seen, struct histogram_growth *ret_growth) {
    ret_growth->len = 0;
    for (size_t octave = 0; octave < HISTOGRAM_OCTAVES; octave++) {
        uint64_t count = 0;
        for (size_t h = 0; h < len; h++) {
            count += counter_read(&histograms[h]->octaves[octave]);
        }
        if (count != seen->octaves[octave]) {
            grow_octave(histograms, len, octave, seen, ret_growth);
        }
    }
    uint64_t sum = 0;
    for (size_t h = 0; h < len; h++) {
        sum += counter_read(&histograms[h]->sum);
    }
    ret_growth->sum = sum - seen->sum;
}

void histogram_grow(struct histogram_snapshot *seen, const struct histogram_growth *growth) {
    for (size_t i = 0; i < growth->len; i++) {
        const struct histogram_grown *grown = &growth->grown[i];
        seen->cells[grown->bucket] += grown->count;
        seen->octaves[grown->bucket >> HISTOGRAM_SUB_BITS] += grown->count;
    }
    seen->sum += growth->sum;
}

uint64_t histogram_count(const struct histogram_snapshot *snapshot) {
    uint64_t count = 0;
    for (size_t i = 0; i < HISTOGRAM_OCTAVES; i++) {
        count += snapshot->octaves[i];
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
    size_t octave = 0;
    for (; octave < HISTOGRAM_OCTAVES - 1 && seen + snapshot->octaves[octave] < rank; octave++) {
        seen += snapshot->octaves[octave];
    }
    size_t bucket = first_of(octave);
    for (; bucket < first_of(octave + 1) - 1 && seen + snapshot->cells[bucket] < rank; bucket++) {
        seen += snapshot->cells[bucket];
    }
    return (double)histogram_lowest(bucket) + (double)(histogram_width(bucket) - 1) / 2;
}

uint64_t histogram_count_until(const struct histogram_snapshot *snapshot, uint64_t us) {
    uint64_t count = 0;
    for (size_t octave = 0; octave < HISTOGRAM_OCTAVES; octave++) {
        size_t last = first_of(octave + 1) - 1;
        if (histogram_lowest(last) + histogram_width(last) - 1 <= us) {
            count += snapshot->octaves[octave];
            continue;
        }
        for (size_t i = first_of(octave); histogram_lowest(i) + histogram_width(i) - 1 <= us; i++) {
            count += snapshot->cells[i];
        }
        break;
    }
    return count;
}
