/* SPDX-License-Identifier: Apache-2.0 */
/* Reuse distances of sampled keys. */
#include "cache/tiered_estimate_priv.h"

static const struct {
    unsigned times, by; /* of L1's entries */
} factors[TIERED_ESTIMATES] = {{1, 2}, {1, 1}, {2, 1}, {4, 1}, {10, 1}};

static uint32_t entries_of(const struct estimate *estimate, size_t i) {
    uint64_t entries = (uint64_t)estimate->entries * factors[i].times / factors[i].by;
    return entries < 1 ? 1 : entries > UINT32_MAX ? UINT32_MAX : (uint32_t)entries;
}

void estimate_init(struct estimate *estimate, uint32_t entries) {
    memset(estimate, 0, sizeof *estimate);
    estimate->entries = entries;
    while (entries_of(estimate, TIERED_ESTIMATES - 1) >> estimate->shift > ESTIMATE_KEYS) {
        estimate->shift++;
    }
}

static void tree_add(struct estimate *estimate, uint32_t slot, uint32_t delta) {
    for (uint32_t i = slot + 1; i <= ESTIMATE_SLOTS; i += i & -i) {
        estimate->tree[i] += delta; /* minus one is added as 2^32 - 1 */
    }
}

static uint32_t alive_until(const struct estimate *estimate, uint32_t slot) { /* it included */
    uint32_t sum = 0;
    for (uint32_t i = slot + 1; i > 0; i -= i & -i) {
        sum += estimate->tree[i];
    }
    return sum;
}

/* Where the hash is or would be. The low bits are the same in all that are sampled. */
static uint32_t *place_of(struct estimate *estimate, uint64_t hash) {
    uint32_t at = (uint32_t)(hash >> 32) % ESTIMATE_PLACES;
    while (estimate->places[at] != 0 && estimate->slots[estimate->places[at] - 1] != hash) {
        at = (at + 1) % ESTIMATE_PLACES;
    }
    return &estimate->places[at];
}

static void append(struct estimate *estimate, uint64_t hash, uint32_t *place) {
    uint32_t slot = estimate->used++;
    estimate->slots[slot] = hash;
    *place = slot + 1;
    tree_add(estimate, slot, 1);
    estimate->alive++;
}

static void kill(struct estimate *estimate, uint32_t slot) {
    estimate->slots[slot] = 0;
    tree_add(estimate, slot, (uint32_t)-1);
    estimate->alive--;
}

/* All that is alive moves to the front; what pointed to the dead is forgotten. */
static void compact(struct estimate *estimate) {
    uint32_t used = estimate->used;
    estimate->used = 0;
    estimate->oldest = 0;
    estimate->alive = 0;
    memset(estimate->tree, 0, sizeof estimate->tree);
    memset(estimate->places, 0, sizeof estimate->places);
    for (uint32_t i = 0; i < used; i++) {
        uint64_t hash = estimate->slots[i];
        estimate->slots[i] = 0;
        if (hash != 0) {
            append(estimate, hash, place_of(estimate, hash));
        }
    }
}

static void drop_oldest(struct estimate *estimate) {
    while (estimate->slots[estimate->oldest] == 0) {
        estimate->oldest++;
    }
    kill(estimate, estimate->oldest);
}

static void grow_old(struct estimate *estimate) {
    estimate->gets /= 2;
    estimate->all /= 2;
    for (size_t i = 0; i < TIERED_ESTIMATES; i++) {
        estimate->hits[i] /= 2;
    }
}

static void count_distance(struct estimate *estimate, uint32_t distance) {
    for (size_t i = 0; i < TIERED_ESTIMATES; i++) {
        /* In whole keys: distance 0 stands for its own key and its like that are not sampled. */
        estimate->hits[i] += (uint64_t)distance << estimate->shift < entries_of(estimate, i);
    }
}

void estimate_count(struct estimate *estimate, uint64_t hash) {
    hash = hash == 0 ? 1 : hash; /* 0 means dead */
    if (estimate->gets >= ESTIMATE_GETS_MAX) {
        grow_old(estimate);
    }
    estimate->gets++;
    if (estimate->used == ESTIMATE_SLOTS) {
        compact(estimate);
    }
    uint32_t *place = place_of(estimate, hash);
    if (*place != 0) {
        uint32_t slot = *place - 1;
        count_distance(estimate, estimate->alive - alive_until(estimate, slot));
        kill(estimate, slot);
    } else if (estimate->alive == ESTIMATE_KEYS) {
        drop_oldest(estimate);
    }
    append(estimate, hash, place);
}

void estimate_count_all(struct estimate *estimate, uint64_t gets) {
    estimate->all += gets;
}

static double hit_rate(const struct estimate *estimate, uint64_t hits) {
    double expected = (double)estimate->all / (double)(1U << estimate->shift);
    double rate = ((double)hits + expected - (double)estimate->gets) / expected;
    return rate < 0 ? 0 : rate > 1 ? 1 : rate;
}

void estimate_read(const struct estimate *estimate,
                   struct tiered_estimate ret_estimates[TIERED_ESTIMATES]) {
    for (size_t i = 0; i < TIERED_ESTIMATES; i++) {
        bool enough = estimate->gets >= ESTIMATE_GETS_MIN && estimate->all > 0;
        ret_estimates[i] = (struct tiered_estimate){
            .entries = entries_of(estimate, i),
            .hit_rate = enough ? hit_rate(estimate, estimate->hits[i]) : -1,
        };
    }
}
