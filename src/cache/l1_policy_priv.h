/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What decides which entry leaves. A policy knows entries by id (0..capacity-1) and by 32 bits of
 * their hash; it never sees keys, values or locks. Its memory is laid out once, when the shard is
 * made, and no operation can fail.
 *
 * Thread: whoever holds the shard's mutex. Readers do not call a policy: they raise the entry's
 * mark up to `mark_max` (relaxed, a lost step does no harm), and when the policy wants to hear of
 * hits they leave a note in their ring, which the next holder of the mutex replays through `hit`.
 */
#ifndef TURNOUT_CACHE_L1_POLICY_PRIV_H
#define TURNOUT_CACHE_L1_POLICY_PRIV_H

#include "base/assert.h"
#include "cache/l1.h"

#include <stdatomic.h>

#define L1_NONE UINT32_MAX

struct l1_blob;

/* One place of a shard's table. Free when `blob` is NULL. */
struct l1_node {
    struct l1_blob *blob;
    uint32_t hash;
    uint32_t next; /* in the bucket's chain, or the list of free places */
};

/* What a policy is given about its entries. */
struct policy_view {
    const struct l1_node *nodes; /* only `hash` is read */
    _Atomic uint8_t *marks;
    uint32_t capacity;
};

struct policy {
    uint8_t mark_max; /* how far a hit raises the mark; 0: not at all */
    /* Hits are noted when the hash has these bits clear: 0 notes all. NULL: none. */
    uint32_t (*notes_mask)(uint32_t capacity);
    size_t (*size)(uint32_t capacity);
    void (*init)(void *self, struct policy_view view); /* `self` has that size, cleared */
    void (*insert)(void *self, uint32_t id); /* not in; fewer than capacity are */
    uint32_t (*victim)(void *self);          /* takes one out and says which; at least one is in */
    void (*remove)(void *self, uint32_t id); /* in: takes it out without remembering it */
    void (*hit)(void *self, uint32_t id);    /* in; NULL when it takes no notes */
    void (*check)(const void *self, uint32_t entries); /* asserts its invariants */
};

extern const struct policy policy_s3fifo, policy_lru, policy_sieve, policy_tinylfu;

/* Lays arrays out behind one another: first with `at` NULL to learn the size, then for good. */
struct carve {
    char *at;
    size_t used;
};

static inline void *carve_take(struct carve *carve, size_t count, size_t each) {
    size_t from = carve->used;
    carve->used = from + ((count * each + 7) & ~(size_t)7);
    return carve->at == NULL ? NULL : carve->at + from;
}

static inline uint8_t mark_read(const struct policy_view *view, uint32_t id) {
    return atomic_load_explicit(&view->marks[id], memory_order_relaxed);
}

static inline void mark_write(const struct policy_view *view, uint32_t id, uint8_t mark) {
    atomic_store_explicit(&view->marks[id], mark, memory_order_relaxed);
}

#endif
