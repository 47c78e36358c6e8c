/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A number that one thread writes and any thread reads: relaxed atomics without a locked
 * instruction. Never reset: a collector subtracts what it saw before.
 */
#ifndef TURNOUT_STAT_COUNTER_H
#define TURNOUT_STAT_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>

struct counter {
    _Atomic uint64_t value;
};

static inline void counter_add(struct counter *counter, uint64_t n) { /* the writer only */
    uint64_t now = atomic_load_explicit(&counter->value, memory_order_relaxed);
    atomic_store_explicit(&counter->value, now + n, memory_order_relaxed);
}

/* The same, for a count that tells of other cells: who sees it by counter_read_first sees what was
 * written before it. */
static inline void counter_add_last(struct counter *counter, uint64_t n) { /* the writer only */
    uint64_t now = atomic_load_explicit(&counter->value, memory_order_relaxed);
    atomic_store_explicit(&counter->value, now + n, memory_order_release);
}

static inline uint64_t counter_read_first(const struct counter *counter) {
    return atomic_load_explicit(&counter->value, memory_order_acquire);
}

static inline void counter_sub(struct counter *counter, uint64_t n) { /* the writer only: gauges */
    counter_add(counter, 0 - n);
}

static inline uint64_t counter_read(const struct counter *counter) {
    return atomic_load_explicit(&counter->value, memory_order_relaxed);
}

#endif
