/* SPDX-License-Identifier: Apache-2.0 */
/* The three queues. */
#include "cache/l1_s3fifo_priv.h"

enum { GHOST_PERCENT = 90 }; /* of the capacity: as many as main holds */

void s3fifo_lay(struct s3fifo *cache, struct policy_view view, struct carve *carve) {
    cache->view = view;
    struct list_link *links = carve_take(carve, view.capacity, sizeof *links);
    list_init(&cache->small, links);
    list_init(&cache->main, links);
    cache->in_main = carve_take(carve, view.capacity, sizeof *cache->in_main);
    ghost_lay(&cache->ghost, (uint32_t)((uint64_t)view.capacity * GHOST_PERCENT / 100), carve);
}

void s3fifo_tune(struct s3fifo *cache, struct s3fifo_tuning tuning) {
    uint32_t target = (uint32_t)((uint64_t)cache->view.capacity * tuning.small_percent / 100);
    cache->small_target = target == 0 ? 1 : target;
    cache->promote_at = tuning.promote_at;
    cache->rounds = (uint8_t)tuning.rounds;
}

static struct list *queue_of(struct s3fifo *cache, uint32_t id) {
    return cache->in_main[id] ? &cache->main : &cache->small;
}

void s3fifo_insert(struct s3fifo *cache, uint32_t id) {
    mark_write(&cache->view, id, 0);
    cache->in_main[id] = ghost_take(&cache->ghost, cache->view.nodes[id].hash);
    list_push(queue_of(cache, id), id);
}

/* One step over the small queue: its oldest moves up (L1_NONE) or out. */
static uint32_t small_step(struct s3fifo *cache) {
    uint32_t id = list_pop(&cache->small);
    if (mark_read(&cache->view, id) < cache->promote_at) {
        ghost_add(&cache->ghost, cache->view.nodes[id].hash);
        return id;
    }
    mark_write(&cache->view, id, 0);
    cache->in_main[id] = 1;
    list_push(&cache->main, id);
    return L1_NONE;
}

/* One step over main: its oldest gets another round (L1_NONE) or goes out. */
static uint32_t main_step(struct s3fifo *cache) {
    uint32_t id = list_pop(&cache->main);
    uint8_t mark = mark_read(&cache->view, id);
    if (mark == 0) {
        return id;
    }
    mark_write(&cache->view, id, cache->rounds == S3FIFO_ONE_ROUND ? 0 : (uint8_t)(mark - 1));
    list_push(&cache->main, id);
    return L1_NONE;
}

uint32_t s3fifo_victim(struct s3fifo *cache) {
    /* Each step moves an entry up for good or lowers a mark, so this many steps suffice unless
     * readers raise marks as fast; then the oldest goes whatever its mark. */
    uint64_t steps = cache->small.count + (uint64_t)cache->view.capacity * S3FIFO_MARK_MAX;
    for (; steps > 0; steps--) {
        bool from_small = cache->small.count >= cache->small_target || cache->main.count == 0;
        uint32_t id = from_small && cache->small.count > 0 ? small_step(cache) : main_step(cache);
        if (id != L1_NONE) {
            return id;
        }
    }
    return list_pop(cache->main.count > 0 ? &cache->main : &cache->small);
}

void s3fifo_remove(struct s3fifo *cache, uint32_t id) {
    list_remove(queue_of(cache, id), id);
}

void s3fifo_check(const struct s3fifo *cache, uint32_t entries) {
    list_check(&cache->small);
    list_check(&cache->main);
    ghost_check(&cache->ghost);
    ASSERT(cache->small.count + cache->main.count == entries);
    for (uint32_t id = cache->main.head; id != L1_NONE; id = cache->main.links[id].older) {
        ASSERT(cache->in_main[id]);
    }
    for (uint32_t id = cache->small.head; id != L1_NONE; id = cache->small.links[id].older) {
        ASSERT(!cache->in_main[id]);
    }
}
