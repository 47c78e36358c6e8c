/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SIEVE (Zhang, Yang, Yue, Vigfusson, Rashmi, "SIEVE is Simpler than LRU", NSDI 2024): one queue in
 * order of arrival; a hand walks from the oldest to the newest, clears marks, and evicts the first
 * entry that has none. Kept entries stay where they are.
 */
#include "cache/l1_list_priv.h"

struct sieve {
    struct policy_view view;
    struct list queue;
    uint32_t hand; /* looked at next; L1_NONE: the oldest */
    struct list_link links[];
};

static size_t sieve_size(uint32_t capacity) {
    return sizeof(struct sieve) + capacity * sizeof(struct list_link);
}

static void sieve_init(void *self, struct policy_view view) {
    struct sieve *sieve = self;
    sieve->view = view;
    sieve->hand = L1_NONE;
    list_init(&sieve->queue, sieve->links);
}

static void sieve_insert(void *self, uint32_t id) {
    struct sieve *sieve = self;
    mark_write(&sieve->view, id, 0);
    list_push(&sieve->queue, id);
}

static void sieve_remove(void *self, uint32_t id) {
    struct sieve *sieve = self;
    if (sieve->hand == id) {
        sieve->hand = sieve->links[id].newer;
    }
    list_remove(&sieve->queue, id);
}

static uint32_t sieve_victim(void *self) {
    struct sieve *sieve = self;
    uint32_t id = sieve->hand == L1_NONE ? sieve->queue.tail : sieve->hand;
    /* Two rounds at most find one without a mark: readers may raise marks meanwhile, so the walk is
     * bounded rather than trusted to end. */
    for (uint32_t steps = 2 * sieve->queue.count; steps > 0 && mark_read(&sieve->view, id) > 0;
         steps--) {
        mark_write(&sieve->view, id, 0);
        id = sieve->links[id].newer;
        id = id == L1_NONE ? sieve->queue.tail : id;
    }
    sieve->hand = id;
    sieve_remove(sieve, id);
    return id;
}

static void sieve_check(const void *self, uint32_t entries) {
    const struct sieve *sieve = self;
    list_check(&sieve->queue);
    ASSERT(sieve->queue.count == entries);
}

const struct policy policy_sieve = {
    .mark_max = 1,
    .size = sieve_size,
    .init = sieve_init,
    .insert = sieve_insert,
    .victim = sieve_victim,
    .remove = sieve_remove,
    .check = sieve_check,
};
