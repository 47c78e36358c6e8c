/* SPDX-License-Identifier: Apache-2.0 */
/* Filling, evicting, invalidating: everything that changes a shard. */
#include "cache/l1_shard_priv.h"

#include "cache/glob.h"
#include "cache/l1_lock_priv.h"

enum {
    REAPED_A_FILL = 2,      /* places looked at for expiry by each fill */
    SWEPT_AT_ONCE = 256,    /* places matched against a pattern before readers get their turn */
    GENERATIONS_MIN = 64,
    GENERATIONS_MAX = 65536, /* the hash has 16 bits for them */
};

static uint32_t generations_for(uint32_t capacity) {
    uint32_t count = GENERATIONS_MIN;
    while (count < capacity / 4 && count < GENERATIONS_MAX) {
        count *= 2;
    }
    return count;
}

static void shard_lay(struct l1_shard *shard, struct carve *carve) {
    size_t capacity = shard->capacity;
    shard->nodes = carve_take(carve, capacity, sizeof *shard->nodes);
    shard->buckets = carve_take(carve, capacity, sizeof *shard->buckets);
    shard->departed = carve_take(carve, capacity, sizeof *shard->departed);
    shard->generations = carve_take(carve, shard->generation_mask + 1, sizeof *shard->generations);
    shard->marks = carve_take(carve, capacity, sizeof *shard->marks);
    shard->policy_self = carve_take(carve, 1, shard->policy->size(shard->capacity));
}

/* The share of one shard, so that all of them together have exactly the whole. */
static size_t share_of(size_t whole, uint32_t index, uint32_t count) {
    return whole / count + (index < whole % count);
}

enum err_e shard_init(struct l1_shard *shard, struct l1 *l1, uint32_t index) {
    const struct l1_options *options = &l1->options;
    *shard = (struct l1_shard){
        .l1 = l1,
        .index = index,
        .policy = l1->policy,
        .capacity = (uint32_t)share_of(options->entries, index, l1->shard_count),
        .bytes_limit = share_of(options->bytes, index, l1->shard_count),
        .notes_mask = L1_NONE,
    };
    shard->generation_mask = generations_for(shard->capacity) - 1;
    struct carve carve = {NULL, 0};
    shard_lay(shard, &carve);
    carve = (struct carve){options->memory->take(options->memory, carve.used), carve.used};
    if (carve.at == NULL) {
        return ERR_NO_MEMORY;
    }
    memset(carve.at, 0, carve.used);
    carve.used = 0;
    shard_lay(shard, &carve);
    memset(shard->buckets, 0xff, shard->capacity * sizeof *shard->buckets);
    for (uint32_t id = 0; id < shard->capacity; id++) {
        shard->nodes[id].next = id + 1 < shard->capacity ? id + 1 : L1_NONE;
    }
    seeded_rng_init(&shard->jitter, rng_u64(options->rng));
    shard->policy->init(shard->policy_self,
                        (struct policy_view){shard->nodes, shard->marks, shard->capacity});
    if (shard->policy->notes_mask != NULL) {
        shard->notes_mask = shard->policy->notes_mask(shard->capacity);
    }
    ASSERT(pthread_mutex_init(&shard->mutex, NULL) == 0);
    return ERR_OK;
}

void shard_fini(struct l1_shard *shard) {
    struct l1_memory *memory = shard->l1->options.memory;
    for (uint32_t id = 0; id < shard->capacity; id++) {
        memory->give(memory, shard->nodes[id].blob);
    }
    memory->give(memory, shard->nodes); /* the first of all that was carved */
    pthread_mutex_destroy(&shard->mutex);
}

static uint32_t *bucket_of(const struct l1_shard *shard, uint64_t hash) {
    return &shard->buckets[hash_place((uint32_t)hash, shard->capacity)];
}

static uint32_t *generation_of(const struct l1_shard *shard, uint64_t hash) {
    return &shard->generations[(hash >> 32) & shard->generation_mask];
}

static struct slice blob_key(const struct l1_blob *blob) {
    return slice_from(blob->bytes, blob->key_len);
}

uint32_t shard_find(const struct l1_shard *shard, uint64_t hash, struct slice key) {
    uint32_t id = *bucket_of(shard, hash);
    while (id != L1_NONE) {
        const struct l1_node *node = &shard->nodes[id];
        if (node->hash == (uint32_t)hash && slice_eq(blob_key(node->blob), key)) {
            return id;
        }
        id = node->next;
    }
    return L1_NONE;
}

struct l1_ticket shard_ticket(const struct l1_shard *shard, uint64_t hash, int64_t now_us) {
    return (struct l1_ticket){
        .patterns = shard->patterns.count,
        .begun_us = now_us,
        .generation = *generation_of(shard, hash),
        .ttl_us = 0,
    };
}

/* Notes: hits that readers left for the policy. */

static void ring_replay(struct l1_shard *shard, struct note_ring *ring) {
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    for (; tail != head; tail++) {
        uint64_t note =
            atomic_load_explicit(&ring->notes[tail % NOTES_KEPT], memory_order_relaxed);
        const struct l1_node *node = &shard->nodes[note >> 32];
        if (node->blob != NULL && node->hash == (uint32_t)note) { /* else it left meanwhile */
            shard->policy->hit(shard->policy_self, (uint32_t)(note >> 32));
        }
    }
    atomic_store_explicit(&ring->tail, tail, memory_order_release);
}

static void replay_notes_locked(struct l1_shard *shard) {
    if (shard->policy->notes_mask == NULL) {
        return;
    }
    uint32_t high = atomic_load(&shard->l1->readers_high);
    for (uint32_t i = 0; i < high; i++) {
        ring_replay(shard, &shard->l1->readers[i]->rings[shard->index]);
    }
}

void shard_replay_notes(struct l1_shard *shard) {
    if (pthread_mutex_trylock(&shard->mutex) == 0) {
        replay_notes_locked(shard);
        pthread_mutex_unlock(&shard->mutex);
    }
}

/* Changes: the mutex is held and no reader is inside. Blobs that left gather in `out`. */

static enum departed_e departed_from(enum l1_leave_e cause) {
    static const enum departed_e table[L1_LEAVE_COUNT] = {
        [L1_LEAVE_ENTRIES] = DEPARTED_EVICTED,
        [L1_LEAVE_BYTES] = DEPARTED_EVICTED,
        [L1_LEAVE_EXPIRED] = DEPARTED_EXPIRED,
        [L1_LEAVE_INVALIDATED] = DEPARTED_INVALIDATED,
        [L1_LEAVE_UNFILLABLE] = DEPARTED_INVALIDATED,
    };
    return table[cause];
}

static void gauges_set(struct l1_shard *shard) {
    atomic_store_explicit(&shard->entries_now.value, shard->entries, memory_order_relaxed);
    atomic_store_explicit(&shard->bytes_now.value, shard->bytes, memory_order_relaxed);
}

/* Takes `id`, which the policy has let go, out of the table. */
static void take_out(struct l1_shard *shard, uint32_t id, enum l1_leave_e cause,
                     struct l1_blob **out) {
    struct l1_node *node = &shard->nodes[id];
    uint32_t *at = bucket_of(shard, node->hash);
    while (*at != id) {
        at = &shard->nodes[*at].next;
    }
    *at = node->next;
    shard->departed[hash_place(node->hash, shard->capacity)] =
        (node->hash & ~3U) | (uint32_t)departed_from(cause);
    shard->entries--;
    shard->bytes -= blob_cost(node->blob);
    node->blob->next_out = *out;
    *out = node->blob;
    *node = (struct l1_node){NULL, 0, shard->free_head};
    shard->free_head = id;
    counter_add(&shard->left[cause], 1);
    gauges_set(shard);
}

static void drop(struct l1_shard *shard, uint32_t id, enum l1_leave_e cause, struct l1_blob **out) {
    shard->policy->remove(shard->policy_self, id);
    take_out(shard, id, cause, out);
}

static void reap(struct l1_shard *shard, int64_t now_us, struct l1_blob **out) {
    for (int i = 0; i < REAPED_A_FILL; i++) {
        uint32_t id = shard->reap_at;
        shard->reap_at = id + 1 == shard->capacity ? 0 : id + 1;
        const struct l1_blob *blob = shard->nodes[id].blob;
        if (blob != NULL && blob_is_past_grace(blob, &shard->l1->options, now_us)) {
            drop(shard, id, L1_LEAVE_EXPIRED, out);
        }
    }
}

static void make_room(struct l1_shard *shard, size_t cost, struct l1_blob **out) {
    while (shard->entries == shard->capacity) {
        take_out(shard, shard->policy->victim(shard->policy_self), L1_LEAVE_ENTRIES, out);
    }
    while (shard->bytes + cost > shard->bytes_limit) {
        take_out(shard, shard->policy->victim(shard->policy_self), L1_LEAVE_BYTES, out);
    }
}

static void put_in(struct l1_shard *shard, uint64_t hash, struct l1_blob *blob) {
    uint32_t id = shard->free_head;
    ASSERT(id != L1_NONE);
    shard->free_head = shard->nodes[id].next;
    uint32_t *bucket = bucket_of(shard, hash);
    shard->nodes[id] = (struct l1_node){blob, (uint32_t)hash, *bucket};
    *bucket = id;
    shard->entries++;
    shard->bytes += blob_cost(blob);
    shard->policy->insert(shard->policy_self, id);
    gauges_set(shard);
}

static void count_use(struct l1_shard *shard, uint32_t id) {
    shard_raise_mark(shard, id);
    if (shard->policy->hit != NULL && (shard->nodes[id].hash & shard->notes_mask) == 0) {
        shard->policy->hit(shard->policy_self, id);
    }
}

/* Another value for a key that is here. A refill after expiry counts as a use; a refresh does not,
 * for the get that asked for it was one already. */
static void replace(struct l1_shard *shard, uint32_t id, const struct shard_fill *fill,
                    struct l1_blob **out) {
    struct l1_node *node = &shard->nodes[id];
    struct l1_blob *old = node->blob;
    bool was_expired = blob_is_expired(old, fill->now_us);
    shard->bytes = shard->bytes - blob_cost(old) + blob_cost(fill->blob);
    node->blob = fill->blob;
    old->next_out = *out;
    *out = old;
    if (was_expired) {
        count_use(shard, id);
    }
    gauges_set(shard);
}

static bool fits_in_place(const struct l1_shard *shard, uint32_t id, const struct l1_blob *blob) {
    return shard->bytes - blob_cost(shard->nodes[id].blob) + blob_cost(blob) <= shard->bytes_limit;
}

static void land(struct l1_shard *shard, const struct shard_fill *fill, struct l1_blob **out) {
    uint32_t id = shard_find(shard, fill->hash, fill->key);
    if (id != L1_NONE && (fill->blob == NULL || !fits_in_place(shard, id, fill->blob))) {
        drop(shard, id, fill->blob == NULL ? L1_LEAVE_UNFILLABLE : L1_LEAVE_BYTES, out);
        id = L1_NONE;
    }
    if (fill->blob == NULL) {
        return;
    }
    if (id != L1_NONE) {
        replace(shard, id, fill, out);
        return;
    }
    reap(shard, fill->now_us, out);
    make_room(shard, blob_cost(fill->blob), out);
    put_in(shard, fill->hash, fill->blob);
}

static void give_all(struct l1_shard *shard, struct l1_blob *out) {
    struct l1_memory *memory = shard->l1->options.memory;
    while (out != NULL) {
        struct l1_blob *next = out->next_out;
        memory->give(memory, out);
        out = next;
    }
}

/* True when nothing that speaks of this key was invalidated since the ticket. */
static bool ticket_holds(const struct l1_shard *shard, const struct shard_fill *fill) {
    const struct pattern_log *log = &shard->patterns;
    if (*generation_of(shard, fill->hash) != fill->ticket->generation ||
        log->count - fill->ticket->patterns > PATTERNS_KEPT) {
        return false;
    }
    for (uint64_t i = fill->ticket->patterns; i < log->count; i++) {
        size_t at = i % PATTERNS_KEPT;
        if (glob_matches(slice_from(log->kept[at].text, log->kept[at].len), fill->key)) {
            return false;
        }
    }
    return true;
}

static void set_life(struct l1_shard *shard, const struct shard_fill *fill) {
    const struct l1_options *options = &shard->l1->options;
    struct l1_blob *blob = fill->blob;
    int64_t life = blob->kind == BLOB_ABSENT ? options->absent_ttl_us : options->ttl_us;
    life = fill->ticket->ttl_us != 0 ? fill->ticket->ttl_us : life;
    blob->expires_us = INT64_MAX;
    if (life != L1_TTL_NONE) {
        double shortened = rng_unit(&shard->jitter.base) * options->jitter_percent / 100;
        blob->expires_us = fill->now_us + life - (int64_t)((double)life * shortened);
    }
    int64_t took = fill->now_us - fill->ticket->begun_us;
    blob->fetch_us = took < 0 ? 0 : took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
}

enum l1_fill_e shard_fill(struct l1_shard *shard, const struct shard_fill *fill) {
    struct l1_blob *out = NULL;
    pthread_mutex_lock(&shard->mutex);
    bool holds = ticket_holds(shard, fill);
    if (holds) {
        replay_notes_locked(shard);
        if (fill->blob != NULL) {
            set_life(shard, fill);
        }
        shard_write_begin(shard);
        land(shard, fill, &out);
        shard_write_end(shard);
    }
    counter_add(!holds               ? &shard->fills_outdated
                : fill->blob == NULL ? &shard->fills_refused
                                     : &shard->fills,
                1);
    pthread_mutex_unlock(&shard->mutex);
    give_all(shard, out);
    return holds ? L1_FILL_LANDED : L1_FILL_OUTDATED;
}

uint64_t shard_invalidate(struct l1_shard *shard, uint64_t hash, struct slice key) {
    struct l1_blob *out = NULL;
    pthread_mutex_lock(&shard->mutex);
    shard_write_begin(shard);
    (*generation_of(shard, hash))++;
    uint32_t id = shard_find(shard, hash, key);
    if (id != L1_NONE) {
        drop(shard, id, L1_LEAVE_INVALIDATED, &out);
    }
    shard_write_end(shard);
    pthread_mutex_unlock(&shard->mutex);
    give_all(shard, out);
    return id != L1_NONE;
}

uint64_t shard_trim(struct l1_shard *shard, uint64_t most) {
    struct l1_blob *out = NULL;
    uint64_t gone = 0;
    pthread_mutex_lock(&shard->mutex);
    replay_notes_locked(shard); /* the policy knows every hit before it chooses */
    shard_write_begin(shard);
    while (gone < most && shard->entries > 0) {
        take_out(shard, shard->policy->victim(shard->policy_self), L1_LEAVE_ENTRIES, &out);
        gone++;
    }
    shard_write_end(shard);
    pthread_mutex_unlock(&shard->mutex);
    give_all(shard, out);
    return gone;
}

static void log_pattern_locked(struct l1_shard *shard, struct slice pattern) {
    struct pattern_log *log = &shard->patterns;
    struct slice kept = pattern.len <= PATTERN_MAX ? pattern : SLICE_LIT("*");
    size_t at = log->count % PATTERNS_KEPT;
    log->kept[at].len = (uint8_t)kept.len;
    if (kept.len > 0) {
        memcpy(log->kept[at].text, kept.at, kept.len);
    }
    shard_write_begin(shard);
    log->count++;
    shard_write_end(shard);
}

/* Matching is done while readers go on (blobs change only under the mutex, which is held); they are
 * kept out for the moment of taking out only. */
static uint64_t sweep_locked(struct l1_shard *shard, uint32_t from, struct slice pattern,
                             struct l1_blob **out) {
    uint32_t found[SWEPT_AT_ONCE];
    uint32_t count = 0;
    uint32_t to = shard->capacity - from < SWEPT_AT_ONCE ? shard->capacity : from + SWEPT_AT_ONCE;
    for (uint32_t id = from; id < to; id++) {
        const struct l1_blob *blob = shard->nodes[id].blob;
        if (blob != NULL && glob_matches(pattern, blob_key(blob))) {
            found[count++] = id;
        }
    }
    if (count == 0) {
        return 0;
    }
    shard_write_begin(shard);
    for (uint32_t i = 0; i < count; i++) {
        drop(shard, found[i], L1_LEAVE_INVALIDATED, out);
    }
    shard_write_end(shard);
    return count;
}

uint64_t shard_invalidate_matching(struct l1_shard *shard, struct slice pattern) {
    pthread_mutex_lock(&shard->mutex);
    log_pattern_locked(shard, pattern);
    pthread_mutex_unlock(&shard->mutex);
    /* What lands from here on was begun after the log was written, so it is fresh and may stay: the
     * sweep can let others in between its steps. */
    uint64_t gone = 0;
    for (uint32_t from = 0; from < shard->capacity; from += SWEPT_AT_ONCE) {
        struct l1_blob *out = NULL;
        pthread_mutex_lock(&shard->mutex);
        gone += sweep_locked(shard, from, pattern, &out);
        pthread_mutex_unlock(&shard->mutex);
        give_all(shard, out);
    }
    return gone;
}

static void check_place(const struct l1_shard *shard, uint32_t id) {
    const struct l1_node *node = &shard->nodes[id];
    uint64_t hash = keyed_hash_of(&shard->l1->hash, blob_key(node->blob));
    ASSERT((uint32_t)hash == node->hash && l1_shard_of(shard->l1, hash) == shard);
    ASSERT(shard_find(shard, hash, blob_key(node->blob)) == id);
}

void shard_check(struct l1_shard *shard) {
    pthread_mutex_lock(&shard->mutex);
    replay_notes_locked(shard);
    uint32_t used = 0;
    size_t bytes = 0;
    for (uint32_t id = 0; id < shard->capacity; id++) {
        if (shard->nodes[id].blob != NULL) {
            used++;
            bytes += blob_cost(shard->nodes[id].blob);
            check_place(shard, id);
        }
    }
    uint32_t spare = 0;
    for (uint32_t id = shard->free_head; id != L1_NONE; id = shard->nodes[id].next) {
        ASSERT(shard->nodes[id].blob == NULL);
        spare++;
    }
    ASSERT(used == shard->entries && used + spare == shard->capacity);
    ASSERT(bytes == shard->bytes && bytes <= shard->bytes_limit);
    shard->policy->check(shard->policy_self, used);
    pthread_mutex_unlock(&shard->mutex);
}
