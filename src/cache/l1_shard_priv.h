/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One shard of the in-process cache: a chained hash table over a fixed array of places, its policy,
 * and what is remembered of keys that are not here.
 *
 * Invariants (l1_check walks them):
 *  1. entries <= capacity and bytes <= bytes_limit, after every step.
 *  2. Each place is either free (blob NULL, on the free list) or in exactly one bucket, its own.
 *  3. `bytes` is the sum of blob_cost over the places in use.
 *  4. The policy holds exactly the ids of the places in use.
 *  5. No two places in use hold the same key.
 *
 * Locking: `mutex` is held by whoever changes anything. What readers look at (nodes, buckets,
 * blobs, departed, generations, patterns.count) changes only between shard_write_begin and
 * shard_write_end, when no reader is inside; a blob that was unlinked there is nobody's and is
 * given back after the mutex. Marks and a blob's `refreshing` are atomic and change at any time.
 */
#ifndef TURNOUT_CACHE_L1_SHARD_PRIV_H
#define TURNOUT_CACHE_L1_SHARD_PRIV_H

#include "cache/l1_hash_priv.h"
#include "cache/l1_policy_priv.h"
#include "stat/counter.h"

#include <pthread.h>

enum { CACHE_LINE = 128 }; /* two lines of 64: the processor fetches them in pairs */

enum blob_kind_e { BLOB_VALUE, BLOB_ABSENT };

/* Everything about one entry that is not needed to find it. */
struct l1_blob {
    union {
        int64_t expires_us;       /* INT64_MAX: never */
        struct l1_blob *next_out; /* once unlinked */
    };
    uint32_t value_len;
    uint32_t fetch_us; /* how long the fetch took: how early to refresh */
    uint16_t key_len;
    uint8_t kind;
    _Atomic uint8_t refreshing; /* somebody was asked to refresh it */
    char bytes[];               /* key, value */
};

#define BLOB_HEADER offsetof(struct l1_blob, bytes)

/* The last patterns that were invalidated, for fills that began before. A fill older than all of
 * them is refused, as is one whose pattern was too long to be kept (kept as *). */
enum { PATTERNS_KEPT = 16, PATTERN_MAX = 63 };
struct pattern_log {
    uint64_t count; /* ever; the newest is at (count - 1) % PATTERNS_KEPT */
    struct {
        uint8_t len;
        char text[PATTERN_MAX];
    } kept[PATTERNS_KEPT];
};

struct l1_shard {
    _Alignas(CACHE_LINE) _Atomic uint32_t writing;
    uint32_t index; /* of this shard; like all down to the mutex, only read by readers */
    struct l1 *l1;
    struct l1_node *nodes;
    uint32_t *buckets;     /* capacity of them */
    uint32_t *departed;    /* capacity; hash without its two low bits, and a cause; 0 is none */
    uint32_t *generations; /* generation_mask + 1; raised by each invalidation of a key there */
    _Atomic uint8_t *marks;
    const struct policy *policy;
    void *policy_self;
    uint32_t capacity;
    uint32_t generation_mask;
    uint32_t notes_mask;
    _Alignas(CACHE_LINE) pthread_mutex_t mutex;
    uint32_t entries;
    uint32_t free_head;
    uint32_t reap_at; /* the next place to look at for expiry */
    size_t bytes;
    size_t bytes_limit;
    struct seeded_rng jitter;
    struct pattern_log patterns;
    struct counter fills;
    struct counter fills_outdated;
    struct counter fills_refused;
    struct counter left[L1_LEAVE_COUNT];
    struct counter entries_now;
    struct counter bytes_now;
};

enum departed_e { DEPARTED_NONE, DEPARTED_EXPIRED, DEPARTED_EVICTED, DEPARTED_INVALIDATED };

struct shard_fill {
    const struct l1_ticket *ticket;
    struct slice key;
    uint64_t hash;
    struct l1_blob *blob; /* passes in when it lands; NULL: what is cached must go, UNFILLABLE */
    int64_t now_us;
};

enum err_e shard_init(struct l1_shard *shard, struct l1 *l1, uint32_t index) MUST_CHECK;
void shard_fini(struct l1_shard *shard);

/* The caller holds the mutex, or is a reader inside. */
uint32_t shard_find(const struct l1_shard *shard, uint64_t hash, struct slice key);
struct l1_ticket shard_ticket(const struct l1_shard *shard, uint64_t hash, int64_t now_us);

/* These take the mutex. */
enum l1_fill_e shard_fill(struct l1_shard *shard, const struct shard_fill *fill);
uint64_t shard_invalidate(struct l1_shard *shard, uint64_t hash, struct slice key);
uint64_t shard_trim(struct l1_shard *shard, uint64_t most);
uint64_t shard_invalidate_matching(struct l1_shard *shard, struct slice pattern);
void shard_replay_notes(struct l1_shard *shard); /* does nothing when the mutex is taken */
void shard_check(struct l1_shard *shard);

/* A hit, as the policy sees it without being called; any thread. */
static inline void shard_raise_mark(const struct l1_shard *shard, uint32_t id) {
    uint8_t mark = atomic_load_explicit(&shard->marks[id], memory_order_relaxed);
    if (mark < shard->policy->mark_max) {
        atomic_store_explicit(&shard->marks[id], (uint8_t)(mark + 1), memory_order_relaxed);
    }
}

static inline size_t blob_cost(const struct l1_blob *blob) {
    return (size_t)L1_ENTRY_OVERHEAD + blob->key_len + blob->value_len;
}

static inline bool blob_is_expired(const struct l1_blob *blob, int64_t now_us) {
    return blob->expires_us <= now_us;
}

/* Nobody can get it any more. */
static inline bool blob_is_past_grace(const struct l1_blob *blob, const struct l1_options *options,
                                      int64_t now_us) {
    return blob_is_expired(blob, now_us) && now_us - blob->expires_us >= options->grace_us;
}

#endif
