/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the hit rate of L1 would be at other sizes, by SHARDS (Waldspurger, Park, Garthwaite, Ahmad,
 * "Efficient MRC Construction with SHARDS", FAST 2015): of a fixed share of the keys, chosen by
 * their hash, how many others of them were used since the last time. A key that comes back after d
 * others is a hit in every LRU cache that holds more than d of them.
 *
 *   slots  [h1][ ][h2][h3][ ][h1] …        one for each use, the latest use of a key is alive
 *           └dead┘                          distance: alive ones behind it, by a Fenwick tree
 *
 * A sample has the hottest keys or has them not, which moves its number of gets more than anything
 * else: what it has too many or too few of them counts as (missing) hits in every size, as the
 * paper's SHARDS-adj does.
 *
 * Hashes only, 70 KB whatever the size. Thread: one at a time.
 */
#ifndef TURNOUT_CACHE_TIERED_ESTIMATE_PRIV_H
#define TURNOUT_CACHE_TIERED_ESTIMATE_PRIV_H

#include "cache/tiered.h"

enum {
    ESTIMATE_KEYS = 1024,              /* alive at once: the largest size in sampled keys */
    ESTIMATE_SLOTS = 2 * ESTIMATE_KEYS, /* a power of two */
    ESTIMATE_PLACES = 4 * ESTIMATE_SLOTS,
    ESTIMATE_GETS_MIN = 1000,          /* sampled ones, before anything is told */
    ESTIMATE_GETS_MAX = 1 << 17,       /* then all is halved: old times count less */
};

struct estimate {
    uint32_t entries;                 /* of L1 */
    unsigned shift;                   /* one key in 2^shift is sampled */
    uint64_t slots[ESTIMATE_SLOTS];   /* hash, 0: dead */
    uint32_t tree[ESTIMATE_SLOTS + 1];
    uint32_t places[ESTIMATE_PLACES]; /* hash to slot + 1, open addressing; may be outdated */
    uint32_t used;                    /* slots, alive or dead */
    uint32_t oldest;                  /* nothing alive before it */
    uint32_t alive;
    uint64_t all;  /* gets, sampled or not */
    uint64_t gets; /* sampled ones */
    uint64_t hits[TIERED_ESTIMATES];
};

void estimate_init(struct estimate *estimate, uint32_t entries);

static inline bool estimate_samples(const struct estimate *estimate, uint64_t hash) {
    return (hash & ((1U << estimate->shift) - 1)) == 0;
}

void estimate_count(struct estimate *estimate, uint64_t hash); /* of a key that is sampled */
void estimate_count_all(struct estimate *estimate, uint64_t gets);
void estimate_read(const struct estimate *estimate,
                   struct tiered_estimate ret_estimates[TIERED_ESTIMATES]);

#endif
