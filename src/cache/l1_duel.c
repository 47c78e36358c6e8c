/* SPDX-License-Identifier: Apache-2.0 */
/* The contestants, their score, and the policy that follows the leader. */
#include "cache/l1_duel_priv.h"

#include "cache/l1_hash_priv.h"

/* The first is in force until another proves better. It is close to LRU: a load that moves on (new
 * visitors, new day) costs the others up to 15 points. The last is the setting of the paper;
 * promotion at the first hit is better on loads like a database's. */
static const struct s3fifo_tuning contestants[DUEL_CONTESTANTS] = {
    {.promote_at = 1, .small_percent = 60, .rounds = S3FIFO_ONE_ROUND},
    {.promote_at = 1, .small_percent = 10, .rounds = S3FIFO_ROUND_A_HIT},
    {.promote_at = 2, .small_percent = 10, .rounds = S3FIFO_ROUND_A_HIT},
};

enum {
    SHADOW_WANTED = 64, /* entries that a contestant should have for a steady verdict */
    SAMPLE_SHIFT_MAX = 6,
    ROUND_TURNS = 2, /* a round is so many accesses per entry of a contestant */
};

static uint32_t sample_shift(uint32_t capacity) {
    uint32_t shift = 0;
    while (shift < SAMPLE_SHIFT_MAX && (capacity >> (shift + 1)) >= SHADOW_WANTED) {
        shift++;
    }
    return shift;
}

uint32_t duel_sample_mask(uint32_t capacity) {
    return (1U << sample_shift(capacity)) - 1;
}

static void shadow_lay(struct shadow *shadow, uint32_t capacity, struct carve *carve) {
    shadow->nodes = carve_take(carve, capacity, sizeof *shadow->nodes);
    shadow->buckets = carve_take(carve, capacity, sizeof *shadow->buckets);
    _Atomic uint8_t *marks = carve_take(carve, capacity, sizeof *marks);
    s3fifo_lay(&shadow->cache, (struct policy_view){shadow->nodes, marks, capacity}, carve);
}

void duel_lay(struct duel *duel, uint32_t capacity, struct carve *carve) {
    uint32_t scaled = capacity >> sample_shift(capacity);
    *duel = (struct duel){.round = scaled * ROUND_TURNS};
    for (int i = 0; i < DUEL_CONTESTANTS; i++) {
        shadow_lay(&duel->shadows[i], scaled, carve);
    }
}

void duel_start(struct duel *duel) {
    for (int i = 0; i < DUEL_CONTESTANTS; i++) {
        struct shadow *shadow = &duel->shadows[i];
        memset(shadow->buckets, 0xff, shadow->cache.view.capacity * sizeof *shadow->buckets);
        s3fifo_tune(&shadow->cache, contestants[i]);
    }
}

static uint32_t *shadow_bucket(const struct shadow *shadow, uint32_t hash) {
    return &shadow->buckets[hash_place(hash, shadow->cache.view.capacity)];
}

static uint32_t shadow_find(const struct shadow *shadow, uint32_t hash) {
    uint32_t id = *shadow_bucket(shadow, hash);
    while (id != L1_NONE && shadow->nodes[id].hash != hash) {
        id = shadow->nodes[id].next;
    }
    return id;
}

static void shadow_unlink(struct shadow *shadow, uint32_t id) {
    uint32_t *at = shadow_bucket(shadow, shadow->nodes[id].hash);
    while (*at != id) {
        at = &shadow->nodes[*at].next;
    }
    *at = shadow->nodes[id].next;
}

static void shadow_access(struct shadow *shadow, uint32_t hash) {
    uint32_t id = shadow_find(shadow, hash);
    if (id != L1_NONE) {
        uint8_t mark = mark_read(&shadow->cache.view, id);
        mark_write(&shadow->cache.view, id, (uint8_t)(mark + (mark < S3FIFO_MARK_MAX)));
        shadow->hits++;
        return;
    }
    if (shadow->entries == shadow->cache.view.capacity) {
        id = s3fifo_victim(&shadow->cache);
        shadow_unlink(shadow, id);
    } else {
        id = shadow->entries++;
    }
    uint32_t *bucket = shadow_bucket(shadow, hash);
    shadow->nodes[id] = (struct l1_node){NULL, hash, *bucket};
    *bucket = id;
    s3fifo_insert(&shadow->cache, id);
}

/* The leader is replaced only by a clear lead, so that equals do not take turns. */
static bool round_end(struct duel *duel) {
    uint32_t best = duel->leader;
    for (uint32_t i = 0; i < DUEL_CONTESTANTS; i++) {
        uint32_t hits = duel->shadows[best].hits;
        if (duel->shadows[i].hits > hits + hits / 128) {
            best = i;
        }
    }
    for (int i = 0; i < DUEL_CONTESTANTS; i++) {
        duel->shadows[i].hits /= 2;
    }
    duel->seen = 0;
    bool changed = best != duel->leader;
    duel->leader = best;
    return changed;
}

bool duel_access(struct duel *duel, uint32_t hash) {
    for (int i = 0; i < DUEL_CONTESTANTS; i++) {
        shadow_access(&duel->shadows[i], hash);
    }
    return ++duel->seen >= duel->round && round_end(duel);
}

struct s3fifo_tuning duel_tuning(const struct duel *duel) {
    return contestants[duel->leader];
}

void duel_check(const struct duel *duel) {
    for (int i = 0; i < DUEL_CONTESTANTS; i++) {
        s3fifo_check(&duel->shadows[i].cache, duel->shadows[i].entries);
    }
    ASSERT(duel->leader < DUEL_CONTESTANTS && duel->seen <= duel->round);
}

struct s3fifo_policy {
    struct s3fifo cache;
    struct duel duel;
    uint32_t sample_mask;
};

static void policy_lay(struct s3fifo_policy *policy, struct policy_view view, struct carve *carve) {
    s3fifo_lay(&policy->cache, view, carve);
    duel_lay(&policy->duel, view.capacity, carve);
}

static size_t policy_size(uint32_t capacity) {
    struct s3fifo_policy policy;
    struct carve carve = {NULL, 0};
    policy_lay(&policy, (struct policy_view){.capacity = capacity}, &carve);
    return sizeof policy + carve.used;
}

static void policy_init(void *self, struct policy_view view) {
    struct s3fifo_policy *policy = self;
    struct carve carve = {(char *)(policy + 1), 0};
    policy_lay(policy, view, &carve);
    duel_start(&policy->duel);
    policy->sample_mask = duel_sample_mask(view.capacity);
    s3fifo_tune(&policy->cache, duel_tuning(&policy->duel));
}

static void policy_see(struct s3fifo_policy *policy, uint32_t id) {
    uint32_t hash = policy->cache.view.nodes[id].hash;
    if ((hash & policy->sample_mask) == 0 && duel_access(&policy->duel, hash)) {
        s3fifo_tune(&policy->cache, duel_tuning(&policy->duel));
    }
}

static void policy_hit(void *self, uint32_t id) {
    policy_see(self, id);
}

static void policy_insert(void *self, uint32_t id) {
    struct s3fifo_policy *policy = self;
    policy_see(policy, id);
    s3fifo_insert(&policy->cache, id);
}

static uint32_t policy_victim(void *self) {
    return s3fifo_victim(&((struct s3fifo_policy *)self)->cache);
}

static void policy_remove(void *self, uint32_t id) {
    s3fifo_remove(&((struct s3fifo_policy *)self)->cache, id);
}

static void policy_check(const void *self, uint32_t entries) {
    const struct s3fifo_policy *policy = self;
    s3fifo_check(&policy->cache, entries);
    duel_check(&policy->duel);
}

const struct policy policy_s3fifo = {
    .mark_max = S3FIFO_MARK_MAX,
    .notes_mask = duel_sample_mask,
    .size = policy_size,
    .init = policy_init,
    .insert = policy_insert,
    .victim = policy_victim,
    .remove = policy_remove,
    .hit = policy_hit,
    .check = policy_check,
};
