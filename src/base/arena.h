/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that is given back in one go: everything one request or one store operation needs.
 * Thread: one at a time; a handover through a mailbox moves the arena with its owner.
 * The first block is kept over arena_reset, so a pooled arena allocates nothing in steady state.
 */
#ifndef TURNOUT_BASE_ARENA_H
#define TURNOUT_BASE_ARENA_H

#include "base/slice.h"

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first; the oldest is kept over a reset */
    size_t used;                /* bytes taken of the newest block */
    size_t total;               /* bytes of all blocks */
    size_t limit;               /* most bytes the blocks may take together */
};

enum { ARENA_FIRST_BLOCK = 4096 };

/* Holds nothing yet; `limit` is the most it may ever hold, in bytes. */
void arena_init(struct arena *arena, size_t limit);
void arena_fini(struct arena *arena);
void arena_reset(struct arena *arena);

/* Aligned for any type, not cleared; NULL when the limit or the memory is reached. */
void *arena_alloc(struct arena *arena, size_t size);
/* The same, cleared. */
void *arena_zalloc(struct arena *arena, size_t size);
/* A copy with a NUL behind it that the length does not count; at is NULL on failure. */
struct slice arena_copy(struct arena *arena, struct slice s);

#endif
