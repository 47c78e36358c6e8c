/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queues of ids over one shared array of links; an id is in one queue at most. The head is where
 * entries come in, the tail where they leave. Thread: the shard's mutex.
 */
#ifndef TURNOUT_CACHE_L1_LIST_PRIV_H
#define TURNOUT_CACHE_L1_LIST_PRIV_H

#include "cache/l1_policy_priv.h"

struct list_link {
    uint32_t newer;
    uint32_t older;
};

struct list {
    struct list_link *links; /* by id, shared by all queues of a policy */
    uint32_t head;           /* newest, or L1_NONE */
    uint32_t tail;           /* oldest, or L1_NONE */
    uint32_t count;
};

static inline void list_init(struct list *list, struct list_link *links) {
    *list = (struct list){links, L1_NONE, L1_NONE, 0};
}

static inline void list_push(struct list *list, uint32_t id) {
    list->links[id] = (struct list_link){L1_NONE, list->head};
    if (list->head != L1_NONE) {
        list->links[list->head].newer = id;
    } else {
        list->tail = id;
    }
    list->head = id;
    list->count++;
}

static inline void list_remove(struct list *list, uint32_t id) {
    struct list_link link = list->links[id];
    if (link.newer != L1_NONE) {
        list->links[link.newer].older = link.older;
    } else {
        list->head = link.older;
    }
    if (link.older != L1_NONE) {
        list->links[link.older].newer = link.newer;
    } else {
        list->tail = link.newer;
    }
    list->count--;
}

static inline uint32_t list_pop(struct list *list) { /* the oldest; the list is not empty */
    uint32_t id = list->tail;
    list_remove(list, id);
    return id;
}

/* Asserts that the queue holds `count` ids and is linked the same way from both ends. */
static inline void list_check(const struct list *list) {
    uint32_t seen = 0;
    uint32_t newer = L1_NONE;
    for (uint32_t id = list->head; id != L1_NONE; id = list->links[id].older) {
        ASSERT(list->links[id].newer == newer && seen < list->count);
        newer = id;
        seen++;
    }
    ASSERT(seen == list->count && list->tail == newer);
}

#endif
