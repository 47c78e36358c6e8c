/* SPDX-License-Identifier: Apache-2.0 */
/* A stack of resting objects. */
#include "base/pool.h"

#include "base/assert.h"

#include <stdlib.h>

_Bool pool_init(struct pool *pool, size_t object_size, size_t limit, pool_object_fn fini) {
    *pool = (struct pool){
        .object_size = object_size, .limit = limit, .places = limit, .fini = fini};
    pool->rest = calloc(limit, sizeof *pool->rest);
    return pool->rest != NULL;
}

void pool_fini(struct pool *pool) {
    ASSERT(pool->out == 0);
    while (pool->resting > 0) {
        void *object = pool->rest[--pool->resting];
        if (pool->fini != NULL) {
            pool->fini(object);
        }
        free(object);
    }
    free(pool->rest);
    pool->rest = NULL;
}

_Bool pool_set_limit(struct pool *pool, size_t limit) {
    if (limit > pool->places) {
        void **rest = realloc(pool->rest, limit * sizeof *rest);
        if (rest == NULL) {
            return 0;
        }
        pool->rest = rest;
        pool->places = limit;
    }
    pool->limit = limit;
    return 1;
}

void *pool_borrow(struct pool *pool) {
    if (pool->out >= pool->limit) {
        return NULL;
    }
    void *object =
        pool->resting > 0 ? pool->rest[--pool->resting] : calloc(1, pool->object_size);
    if (object != NULL) {
        pool->out++;
    }
    return object;
}

void pool_give_back(struct pool *pool, void *object) {
    ASSERT(pool->out > 0 && pool->resting < pool->places);
    pool->out--;
    pool->rest[pool->resting++] = object;
}
