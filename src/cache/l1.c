/* SPDX-License-Identifier: Apache-2.0 */
/* The cache as a whole: options, life, dispatch to the shards, counters. */
#include "cache/l1.h"

#include "cache/l1_lock_priv.h"

#include <stdlib.h>

/* With fewer entries a shard's chance share of the keys would cost hits; at 8,192 the shares differ
 * by about 1 %, which costs less than 0.1 points. */
enum { SHARD_ENTRIES_MIN = 8192, SHARDS_MAX = 16 };

static const struct policy *const policies[L1_POLICY_COUNT] = {
#define X(name, word, text) [L1_POLICY_##name] = &policy_##word,
    L1_POLICY_TABLE(X)
#undef X
};

static const char *const policy_names[L1_POLICY_COUNT] = {
#define X(name, word, text) [L1_POLICY_##name] = #word,
    L1_POLICY_TABLE(X)
#undef X
};

const char *l1_policy_name(enum l1_policy_e policy) {
    return policy_names[policy];
}

bool l1_policy_from_name(struct slice name, enum l1_policy_e *ret_policy) {
    for (int i = 0; i < L1_POLICY_COUNT; i++) {
        if (slice_eq_text(name, policy_names[i])) {
            *ret_policy = (enum l1_policy_e)i;
            return true;
        }
    }
    return false;
}

static void *libc_take(struct l1_memory *memory, size_t size) {
    (void)memory;
    return malloc(size);
}

static void libc_give(struct l1_memory *memory, void *block) {
    (void)memory;
    free(block);
}

struct l1_memory *l1_memory_libc(void) {
    static struct l1_memory libc = {libc_take, libc_give};
    return &libc;
}

struct l1_options l1_options_default(void) {
    return (struct l1_options){
        .policy = L1_POLICY_S3FIFO,
        .entries = L1_ENTRIES_DEFAULT,
        .bytes = L1_BYTES_DEFAULT,
        .ttl_us = L1_TTL_DEFAULT_US,
        .absent_ttl_us = L1_ABSENT_TTL_DEFAULT_US,
        .jitter_percent = 10,
    };
}

static enum err_e options_check(const struct l1_options *options, struct problem *ret_problem) {
    if (options->entries < 1 || options->entries > L1_ENTRIES_MAX) {
        return problem_set(ret_problem, ERR_CONFIG, "entries", "must be 1 to %d", L1_ENTRIES_MAX);
    }
    if (options->bytes < options->entries) {
        return problem_set(ret_problem, ERR_CONFIG, "bytes", "must be at least one byte an entry");
    }
    if (options->ttl_us < 0) {
        return problem_set(ret_problem, ERR_CONFIG, "ttl", "must not be negative");
    }
    if (options->absent_ttl_us < 1) {
        return problem_set(ret_problem, ERR_CONFIG, "absent_ttl", "must be positive");
    }
    if (options->grace_us < 0) {
        return problem_set(ret_problem, ERR_CONFIG, "grace", "must not be negative");
    }
    if (options->jitter_percent > L1_JITTER_MAX) {
        return problem_set(ret_problem, ERR_CONFIG, "jitter", "must be 0 to %d percent",
                           L1_JITTER_MAX);
    }
    if (options->shards > SHARDS_MAX || (options->shards & (options->shards - 1)) != 0 ||
        options->shards > options->entries) {
        return problem_set(ret_problem, ERR_CONFIG, "shards",
                           "must be a power of two up to %d, and no more than the entries",
                           SHARDS_MAX);
    }
    return ERR_OK;
}

static uint32_t shards_for(const struct l1_options *options) {
    if (options->shards != 0) {
        return options->shards;
    }
    uint32_t count = 1;
    while (count < SHARDS_MAX && options->entries / (count * 2) >= SHARD_ENTRIES_MIN) {
        count *= 2;
    }
    return count;
}

static struct l1_options options_complete(struct l1_options options) {
    options.rng = options.rng == NULL ? rng_system() : options.rng;
    options.memory = options.memory == NULL ? l1_memory_libc() : options.memory;
    return options;
}

/* The cache and its shards in one block, aligned for what must have a cache line of its own. */
static struct l1 *allocate(struct l1_memory *memory, uint32_t shard_count) {
    size_t size = sizeof(struct l1) + shard_count * sizeof(struct l1_shard);
    char *block = memory->take(memory, size + CACHE_LINE);
    if (block == NULL) {
        return NULL;
    }
    struct l1 *l1 = (struct l1 *)(block + (CACHE_LINE - (uintptr_t)block % CACHE_LINE));
    memset(l1, 0, size);
    l1->block = block;
    l1->shard_count = shard_count;
    l1->shards = (struct l1_shard *)(l1 + 1);
    return l1;
}

static void release(struct l1 *l1, uint32_t shards_made) {
    struct l1_memory *memory = l1->options.memory;
    for (uint32_t i = 0; i < shards_made; i++) {
        shard_fini(&l1->shards[i]);
    }
    for (uint32_t i = 0; i < atomic_load(&l1->readers_high); i++) {
        memory->give(memory, l1->readers[i]->block);
    }
    pthread_mutex_destroy(&l1->readers_mutex);
    memory->give(memory, l1->block);
}

enum err_e l1_create(const struct l1_options *given, struct l1 **ret_l1,
                     struct problem *ret_problem) {
    struct l1_options options = options_complete(*given);
    TRY(options_check(&options, ret_problem));
    struct l1 *l1 = allocate(options.memory, shards_for(&options));
    if (l1 == NULL) {
        return ERR_NO_MEMORY;
    }
    l1->options = options;
    l1->policy = policies[options.policy];
    keyed_hash_init(&l1->hash, options.rng);
    ASSERT(pthread_mutex_init(&l1->readers_mutex, NULL) == 0);
    for (uint32_t i = 0; i < l1->shard_count; i++) {
        if (shard_init(&l1->shards[i], l1, i) != ERR_OK) {
            release(l1, i);
            return ERR_NO_MEMORY;
        }
    }
    l1->reader_seed = rng_u64(options.rng);
    l1->options.rng = NULL; /* borrowed until here */
    *ret_l1 = l1;
    return ERR_OK;
}

void l1_destroy(struct l1 *l1) {
    if (l1 != NULL) {
        release(l1, l1->shard_count);
    }
}

uint64_t l1_hash_of(const struct l1 *l1, struct slice key) {
    ASSERT(key.len > 0 && key.len <= L1_KEY_MAX);
    return keyed_hash_of(&l1->hash, key);
}

struct l1_ticket l1_begin_fill(struct l1 *l1, struct slice key, int64_t now_us) {
    uint64_t hash = l1_hash_of(l1, key);
    struct l1_shard *shard = l1_shard_of(l1, hash);
    pthread_mutex_lock(&shard->mutex);
    struct l1_ticket ticket = shard_ticket(shard, hash, now_us);
    pthread_mutex_unlock(&shard->mutex);
    return ticket;
}

static struct l1_blob *blob_make(struct l1 *l1, struct slice key, struct slice value,
                                 enum blob_kind_e kind) {
    struct l1_memory *memory = l1->options.memory;
    struct l1_blob *blob = memory->take(memory, BLOB_HEADER + key.len + value.len);
    if (blob == NULL) {
        return NULL;
    }
    blob->value_len = (uint32_t)value.len;
    blob->key_len = (uint16_t)key.len;
    blob->kind = (uint8_t)kind;
    atomic_init(&blob->refreshing, 0);
    memcpy(blob->bytes, key.at, key.len);
    if (value.len > 0) {
        memcpy(blob->bytes + key.len, value.at, value.len);
    }
    return blob;
}

/* One entry may take an eighth of its shard, so that a single value never empties the cache. */
static bool is_too_large(const struct l1_shard *shard, struct slice key, struct slice value) {
    size_t most = shard->bytes_limit / 8;
    return value.len > most || L1_ENTRY_OVERHEAD + key.len + value.len > most;
}

/* `fill` without its blob, hash and key's shard; `value` only for BLOB_VALUE. */
static enum l1_fill_e fill_kind(struct l1 *l1, struct shard_fill fill, struct slice value,
                                enum blob_kind_e kind) {
    fill.hash = l1_hash_of(l1, fill.key);
    struct l1_shard *shard = l1_shard_of(l1, fill.hash);
    bool too_large = is_too_large(shard, fill.key, value);
    fill.blob = too_large ? NULL : blob_make(l1, fill.key, value, kind);
    enum l1_fill_e result = shard_fill(shard, &fill);
    if (result == L1_FILL_OUTDATED) {
        l1->options.memory->give(l1->options.memory, fill.blob);
        return L1_FILL_OUTDATED;
    }
    if (fill.blob != NULL) {
        return L1_FILL_LANDED;
    }
    return too_large ? L1_FILL_TOO_LARGE : L1_FILL_NO_MEMORY;
}

enum l1_fill_e l1_fill(struct l1 *l1, const struct l1_ticket *ticket, struct slice key,
                       struct slice value, int64_t now_us) {
    struct shard_fill fill = {.ticket = ticket, .key = key, .now_us = now_us};
    return fill_kind(l1, fill, value, BLOB_VALUE);
}

enum l1_fill_e l1_fill_absent(struct l1 *l1, const struct l1_ticket *ticket, struct slice key,
                              int64_t now_us) {
    struct shard_fill fill = {.ticket = ticket, .key = key, .now_us = now_us};
    return fill_kind(l1, fill, SLICE_NONE, BLOB_ABSENT);
}

void l1_abandon(struct l1 *l1, struct slice key) {
    uint64_t hash = l1_hash_of(l1, key);
    struct l1_shard *shard = l1_shard_of(l1, hash);
    pthread_mutex_lock(&shard->mutex);
    uint32_t id = shard_find(shard, hash, key);
    if (id != L1_NONE) {
        atomic_store_explicit(&shard->nodes[id].blob->refreshing, 0, memory_order_relaxed);
    }
    pthread_mutex_unlock(&shard->mutex);
}

uint64_t l1_invalidate(struct l1 *l1, struct slice key) {
    uint64_t hash = l1_hash_of(l1, key);
    return shard_invalidate(l1_shard_of(l1, hash), hash, key);
}

uint64_t l1_invalidate_matching(struct l1 *l1, struct slice pattern) {
    uint64_t gone = 0;
    for (uint32_t i = 0; i < l1->shard_count; i++) {
        gone += shard_invalidate_matching(&l1->shards[i], pattern);
    }
    return gone;
}

uint64_t l1_trim(struct l1 *l1, uint64_t most) {
    uint64_t gone = 0;
    for (uint32_t i = 0; i < l1->shard_count; i++) {
        uint64_t share = most / l1->shard_count + (i < most % l1->shard_count);
        gone += shard_trim(&l1->shards[i], share);
    }
    return gone;
}

uint64_t l1_invalidate_all(struct l1 *l1) {
    return l1_invalidate_matching(l1, SLICE_LIT("*"));
}

static void add_reader(const struct l1_reader *reader, struct l1_counters *sum) {
    sum->hits += counter_read(&reader->hits);
    sum->hits_absent += counter_read(&reader->hits_absent);
    sum->refreshes += counter_read(&reader->refreshes);
    for (int i = 0; i < L1_MISS_COUNT; i++) {
        sum->misses[i] += counter_read(&reader->misses[i]);
    }
}

static void add_shard(const struct l1_shard *shard, struct l1_counters *sum) {
    sum->fills += counter_read(&shard->fills);
    sum->fills_outdated += counter_read(&shard->fills_outdated);
    sum->fills_refused += counter_read(&shard->fills_refused);
    for (int i = 0; i < L1_LEAVE_COUNT; i++) {
        sum->left[i] += counter_read(&shard->left[i]);
    }
    sum->entries += counter_read(&shard->entries_now);
    sum->bytes += counter_read(&shard->bytes_now);
}

void l1_read_counters(struct l1 *l1, struct l1_counters *ret_counters) {
    *ret_counters = (struct l1_counters){
        .capacity_entries = l1->options.entries,
        .capacity_bytes = l1->options.bytes,
    };
    uint32_t high = atomic_load(&l1->readers_high);
    for (uint32_t i = 0; i < high; i++) {
        add_reader(l1->readers[i], ret_counters);
    }
    for (uint32_t i = 0; i < l1->shard_count; i++) {
        add_shard(&l1->shards[i], ret_counters);
    }
}

uint64_t l1_misses(const struct l1_counters *counters) {
    uint64_t sum = 0;
    for (int i = 0; i < L1_MISS_COUNT; i++) {
        sum += counters->misses[i];
    }
    return sum;
}

void l1_check(struct l1 *l1) {
    for (uint32_t i = 0; i < l1->shard_count; i++) {
        shard_check(&l1->shards[i]);
    }
}
