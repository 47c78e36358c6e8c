/* SPDX-License-Identifier: Apache-2.0 */
/* Readers: the path of a hit. */
#include "cache/l1_lock_priv.h"

#include <math.h>

static struct l1_reader *reader_make(struct l1 *l1, uint32_t index) {
    struct l1_memory *memory = l1->options.memory;
    uint32_t rings = l1->policy->notes_mask == NULL ? 0 : l1->shard_count;
    size_t size = sizeof(struct l1_reader) + rings * sizeof(struct note_ring);
    char *block = memory->take(memory, size + CACHE_LINE);
    if (block == NULL) {
        return NULL;
    }
    struct l1_reader *reader =
        (struct l1_reader *)(block + (CACHE_LINE - (uintptr_t)block % CACHE_LINE));
    memset(reader, 0, size);
    reader->block = block;
    reader->l1 = l1;
    reader->rings = (struct note_ring *)(reader + 1);
    seeded_rng_init(&reader->chance, l1->reader_seed + index);
    return reader;
}

static enum err_e open_locked(struct l1 *l1, struct l1_reader **ret_reader) {
    uint32_t high = atomic_load(&l1->readers_high);
    uint32_t i = 0;
    while (i < high && l1->readers[i]->taken) {
        i++;
    }
    if (i == L1_READERS_MAX) {
        return ERR_OVERLOADED;
    }
    if (i == high) {
        l1->readers[i] = reader_make(l1, i);
        if (l1->readers[i] == NULL) {
            return ERR_NO_MEMORY;
        }
        atomic_store(&l1->readers_high, i + 1); /* writers look below it, so it comes last */
    }
    l1->readers[i]->taken = true;
    *ret_reader = l1->readers[i];
    return ERR_OK;
}

enum err_e l1_reader_open(struct l1 *l1, struct l1_reader **ret_reader) {
    pthread_mutex_lock(&l1->readers_mutex);
    enum err_e err = open_locked(l1, ret_reader);
    pthread_mutex_unlock(&l1->readers_mutex);
    return err;
}

void l1_reader_close(struct l1_reader *reader) {
    struct l1 *l1 = reader->l1;
    pthread_mutex_lock(&l1->readers_mutex);
    ASSERT(reader->taken && atomic_load(&reader->inside) == 0);
    reader->taken = false;
    pthread_mutex_unlock(&l1->readers_mutex);
}

/* Leaves the note that `id` was hit. When the ring is full and somebody else has the mutex, the
 * note is lost: a policy can do without one hit better than a reader can wait. */
static void note_hit(struct l1_reader *reader, struct l1_shard *shard, uint32_t id, uint32_t hash) {
    struct note_ring *ring = &reader->rings[shard->index];
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    if (head - atomic_load_explicit(&ring->tail, memory_order_acquire) == NOTES_KEPT) {
        shard_replay_notes(shard);
        if (head - atomic_load_explicit(&ring->tail, memory_order_acquire) == NOTES_KEPT) {
            return;
        }
    }
    atomic_store_explicit(&ring->notes[head % NOTES_KEPT], (uint64_t)id << 32 | hash,
                          memory_order_relaxed);
    atomic_store_explicit(&ring->head, head + 1, memory_order_release);
}

/* XFetch: now - fetch_us * ln(u) >= expires_us, with u uniform in (0, 1]. */
static bool is_due_early(struct l1_reader *reader, const struct l1_blob *blob, int64_t now_us) {
    /* -ln(u) is below 37 for the 53 bits that u has, so most hits end here. */
    int64_t left = blob->expires_us - now_us;
    if (left > (int64_t)blob->fetch_us * 37) {
        return false;
    }
    double u = 1.0 - rng_unit(&reader->chance.base);
    return -log(u) * blob->fetch_us >= (double)left;
}

static enum l1_miss_e absence_cause(const struct l1_shard *shard, uint32_t hash) {
    static const enum l1_miss_e causes[] = {
        [DEPARTED_NONE] = L1_MISS_COLD,
        [DEPARTED_EXPIRED] = L1_MISS_EXPIRED,
        [DEPARTED_EVICTED] = L1_MISS_EVICTED,
        [DEPARTED_INVALIDATED] = L1_MISS_INVALIDATED,
    };
    uint32_t departed = shard->departed[hash_place(hash, shard->capacity)];
    return ((departed ^ hash) & ~3U) == 0 ? causes[departed & 3] : L1_MISS_COLD;
}

static bool copy_value(const struct l1_blob *blob, struct buf *value) {
    if (!buf_reserve(value, blob->value_len)) {
        return false;
    }
    buf_add(value, slice_from(blob->bytes + blob->key_len, blob->value_len));
    return true;
}

/* One look, inside. On L1_MISS `ret_cause` says why; else `ret_id` is the entry. */
struct look {
    struct l1_reader *reader;
    struct l1_shard *shard;
    int64_t now_us;
    uint32_t id;
    enum l1_miss_e cause;
};

static enum l1_result_e look_at(struct look *look, struct buf *value) {
    struct l1_blob *blob = look->shard->nodes[look->id].blob;
    if (blob_is_expired(blob, look->now_us)) {
        look->cause = L1_MISS_EXPIRED;
        return L1_MISS;
    }
    shard_raise_mark(look->shard, look->id);
    if (blob->kind == BLOB_ABSENT) {
        return L1_HIT_ABSENT;
    }
    if (!copy_value(blob, value)) {
        look->cause = L1_MISS_NO_ROOM;
        return L1_MISS;
    }
    bool refresh = is_due_early(look->reader, blob, look->now_us) &&
                   atomic_exchange_explicit(&blob->refreshing, 1, memory_order_relaxed) == 0;
    return refresh ? L1_HIT_REFRESH : L1_HIT;
}

static void count_get(const struct look *look, enum l1_result_e result) {
    struct l1_reader *reader = look->reader;
    if (result == L1_MISS) {
        reader->cause_got = look->cause;
        counter_add(&reader->misses[look->cause], 1);
        return;
    }
    counter_add(&reader->hits, 1);
    if (result == L1_HIT_ABSENT) {
        counter_add(&reader->hits_absent, 1);
    } else if (result == L1_HIT_REFRESH) {
        counter_add(&reader->refreshes, 1);
    }
}

enum l1_result_e l1_get(struct l1_reader *reader, struct slice key, int64_t now_us,
                        struct buf *value, struct l1_ticket *ret_ticket) {
    ASSERT(key.len > 0 && key.len <= L1_KEY_MAX);
    uint64_t hash = keyed_hash_of(&reader->l1->hash, key);
    struct l1_shard *shard = l1_shard_of(reader->l1, hash);
    reader->hash_got = hash;
    struct look look = {.reader = reader, .shard = shard, .now_us = now_us};
    enum l1_result_e result = L1_MISS;

    shard_read_begin(reader, shard);
    look.id = shard_find(shard, hash, key);
    if (look.id == L1_NONE) {
        look.cause = absence_cause(shard, (uint32_t)hash);
    } else {
        result = look_at(&look, value);
    }
    if (result == L1_MISS || result == L1_HIT_REFRESH) {
        *ret_ticket = shard_ticket(shard, hash, now_us);
    }
    shard_read_end(reader);

    count_get(&look, result);
    if (result != L1_MISS && ((uint32_t)hash & shard->notes_mask) == 0 &&
        shard->policy->notes_mask != NULL) {
        note_hit(reader, shard, look.id, (uint32_t)hash);
    }
    return result;
}

uint64_t l1_hash_got(const struct l1_reader *reader) {
    return reader->hash_got;
}

enum l1_miss_e l1_miss_got(const struct l1_reader *reader) {
    return reader->cause_got;
}

/* What is there, until shard_read_end; NULL: nothing. */
static const struct l1_blob *look_aside(struct l1_reader *reader, struct slice key) {
    uint64_t hash = l1_hash_of(reader->l1, key);
    struct l1_shard *shard = l1_shard_of(reader->l1, hash);
    shard_read_begin(reader, shard);
    uint32_t id = shard_find(shard, hash, key);
    return id == L1_NONE ? NULL : shard->nodes[id].blob;
}

bool l1_get_expired(struct l1_reader *reader, struct slice key, int64_t now_us, struct buf *value) {
    const struct l1_blob *blob = look_aside(reader, key);
    bool found = blob != NULL && blob->kind == BLOB_VALUE &&
                 !blob_is_past_grace(blob, &reader->l1->options, now_us) && copy_value(blob, value);
    shard_read_end(reader);
    return found;
}

enum l1_result_e l1_peek(struct l1_reader *reader, struct slice key, int64_t now_us,
                         struct buf *value) {
    const struct l1_blob *blob = look_aside(reader, key);
    enum l1_result_e result = L1_MISS;
    if (blob != NULL && !blob_is_expired(blob, now_us)) {
        bool absent = blob->kind == BLOB_ABSENT;
        result = absent ? L1_HIT_ABSENT : copy_value(blob, value) ? L1_HIT : L1_MISS;
    }
    shard_read_end(reader);
    return result;
}
