/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects of one size that are borrowed and given back: no allocation per request once warm.
 * Thread: the owner's only. An object keeps its bytes while it rests, so that its inner buffers can
 * be used again; the caller's `fini` runs when the pool ends.
 */
#ifndef TURNOUT_BASE_POOL_H
#define TURNOUT_BASE_POOL_H

#include <stddef.h>

typedef void (*pool_object_fn)(void *object);

struct pool {
    size_t object_size;
    size_t limit;    /* most objects out at once */
    size_t places;   /* of `rest`: the highest limit so far */
    size_t out;      /* borrowed now */
    size_t resting;  /* waiting to be borrowed again */
    void **rest;     /* stack of resting objects */
    pool_object_fn fini;
};

/* `limit` places are reserved at once (8 bytes each); objects come when first needed. `fini` may be
 * NULL. Returns false without memory. */
_Bool pool_init(struct pool *pool, size_t object_size, size_t limit, pool_object_fn fini);
void pool_fini(struct pool *pool); /* every object must be back */
/* Another limit from now on; what is out beyond it stays out. False without memory: the limit is as
 * it was. */
_Bool pool_set_limit(struct pool *pool, size_t limit);

/* A cleared object when it is new, else as it was given back; NULL at the limit or without
 * memory. */
void *pool_borrow(struct pool *pool);
void pool_give_back(struct pool *pool, void *object);

#endif
