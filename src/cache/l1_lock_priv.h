/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache as a whole, its readers, and how readers and writers keep out of each other's way.
 *
 * A reader announces in a line of its own which shard it is in, then looks whether somebody writes
 * there; a writer (who holds the shard's mutex) announces that, then waits until no reader is
 * inside. Both steps are sequentially consistent, so at least one of the two sees the other
 * (Dekker's argument): never a reader inside while a writer changes what it reads. Readers share no
 * line that any of them writes, so they do not slow one another down; a hit costs one locked
 * instruction on a line that is already theirs. A writer is outside again after some tens of
 * nanoseconds per entry it moves; nobody allocates, frees, logs or does I/O inside, but for a
 * reader whose buffer must grow.
 *
 *     reader: inside = shard + 1;  writing? ── no ─► read ─► inside = 0
 *                                     └─ yes ─► inside = 0, wait, again
 *     writer: mutex; writing = 1;  any inside == shard + 1? wait ─► change ─► writing = 0
 *
 * Hits that a policy wants to hear of go through a ring for each reader and shard (one producer;
 * the consumer is whoever holds the shard's mutex). The order of one reader's notes is kept.
 */
#ifndef TURNOUT_CACHE_L1_LOCK_PRIV_H
#define TURNOUT_CACHE_L1_LOCK_PRIV_H

#include "cache/l1_shard_priv.h"

#include <sched.h>

enum {
    NOTES_KEPT = 64, /* a power of two; the mutex is taken once for so many noted hits */
    SPINS_MAX = 200, /* looks before the processor is offered to others: on two cores the one who
                        is waited for may need it */
};

struct note_ring {
    _Atomic uint32_t head; /* notes ever written: the reader's */
    _Atomic uint32_t tail; /* notes ever replayed: the mutex holder's */
    _Atomic uint64_t notes[NOTES_KEPT]; /* id in the high half, hash in the low one */
};

struct l1_reader {
    _Alignas(CACHE_LINE) _Atomic uint32_t inside; /* index of the shard plus one; 0: outside */
    bool taken; /* under l1->readers_mutex */
    void *block; /* what was allocated: this, aligned, and the rings */
    struct l1 *l1;
    struct note_ring *rings; /* one per shard; NULL when the policy takes no notes */
    struct seeded_rng chance;
    uint64_t hash_got; /* of the key of the last get */
    enum l1_miss_e cause_got; /* and why the last one that missed did */
    struct counter hits;
    struct counter hits_absent;
    struct counter refreshes;
    struct counter misses[L1_MISS_COUNT];
};

struct l1 {
    struct l1_options options;
    struct keyed_hash hash;
    struct l1_shard *shards;
    uint32_t shard_count; /* a power of two */
    const struct policy *policy;
    void *block; /* what was allocated: this, aligned, and the shards */
    uint64_t reader_seed;
    pthread_mutex_t readers_mutex; /* opening and closing; taken alone */
    /* Readers that were ever open, [0, readers_high): they stay, and are opened again. */
    struct l1_reader *readers[L1_READERS_MAX];
    _Alignas(CACHE_LINE) _Atomic uint32_t readers_high;
};

static inline struct l1_shard *l1_shard_of(const struct l1 *l1, uint64_t hash) {
    return &l1->shards[(hash >> 48) & (l1->shard_count - 1)];
}

static inline void lock_wait(unsigned *spins) {
    if (++*spins % SPINS_MAX == 0) {
        sched_yield();
    }
}

static inline void shard_read_begin(struct l1_reader *reader, const struct l1_shard *shard) {
    unsigned spins = 0;
    atomic_store(&reader->inside, shard->index + 1);
    while (atomic_load(&shard->writing) != 0) {
        atomic_store(&reader->inside, 0);
        while (atomic_load_explicit(&shard->writing, memory_order_relaxed) != 0) {
            lock_wait(&spins);
        }
        atomic_store(&reader->inside, shard->index + 1);
    }
}

static inline void shard_read_end(struct l1_reader *reader) {
    atomic_store_explicit(&reader->inside, 0, memory_order_release);
}

static inline void shard_write_begin(struct l1_shard *shard) { /* the mutex is held */
    unsigned spins = 0;
    atomic_store(&shard->writing, 1);
    uint32_t high = atomic_load(&shard->l1->readers_high);
    for (uint32_t i = 0; i < high; i++) {
        while (atomic_load(&shard->l1->readers[i]->inside) == shard->index + 1) {
            lock_wait(&spins);
        }
    }
}

static inline void shard_write_end(struct l1_shard *shard) {
    atomic_store_explicit(&shard->writing, 0, memory_order_release);
}

#endif
