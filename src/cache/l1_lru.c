/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Least recently used. Hits reach the queue through the readers' rings, so the order is exact for
 * one thread, and for several as exact as their notes: a note that finds its ring full while the
 * mutex is taken is dropped.
 */
#include "cache/l1_list_priv.h"

struct lru {
    struct list queue;
    struct list_link links[];
};

static size_t lru_size(uint32_t capacity) {
    return sizeof(struct lru) + capacity * sizeof(struct list_link);
}

static uint32_t lru_notes_mask(uint32_t capacity) {
    (void)capacity;
    return 0;
}

static void lru_init(void *self, struct policy_view view) {
    (void)view;
    struct lru *lru = self;
    list_init(&lru->queue, lru->links);
}

static void lru_insert(void *self, uint32_t id) {
    list_push(&((struct lru *)self)->queue, id);
}

static uint32_t lru_victim(void *self) {
    return list_pop(&((struct lru *)self)->queue);
}

static void lru_remove(void *self, uint32_t id) {
    list_remove(&((struct lru *)self)->queue, id);
}

static void lru_hit(void *self, uint32_t id) {
    struct lru *lru = self;
    list_remove(&lru->queue, id);
    list_push(&lru->queue, id);
}

static void lru_check(const void *self, uint32_t entries) {
    const struct lru *lru = self;
    list_check(&lru->queue);
    ASSERT(lru->queue.count == entries);
}

const struct policy policy_lru = {
    .mark_max = 0,
    .notes_mask = lru_notes_mask,
    .size = lru_size,
    .init = lru_init,
    .insert = lru_insert,
    .victim = lru_victim,
    .remove = lru_remove,
    .hit = lru_hit,
    .check = lru_check,
};
