/* SPDX-License-Identifier: Apache-2.0 */
/* A chain of blocks, each at least twice the one before it. */
#include "base/arena.h"

#include "base/assert.h"

#include <stdlib.h>

struct arena_block {
    struct arena_block *older;
    size_t size;
    _Alignas(16) char bytes[];
};

void arena_init(struct arena *arena, size_t limit) {
    *arena = (struct arena){.limit = limit};
}

static void free_newer_than(struct arena *arena, const struct arena_block *kept) {
    while (arena->blocks != kept) {
        struct arena_block *older = arena->blocks->older;
        arena->total -= arena->blocks->size;
        free(arena->blocks);
        arena->blocks = older;
    }
}

void arena_fini(struct arena *arena) {
    free_newer_than(arena, NULL);
    arena->used = 0;
}

void arena_reset(struct arena *arena) {
    struct arena_block *oldest = arena->blocks;
    while (oldest != NULL && oldest->older != NULL) {
        oldest = oldest->older;
    }
    free_newer_than(arena, oldest);
    arena->used = 0;
}

static bool add_block(struct arena *arena, size_t at_least) {
    size_t size = arena->blocks == NULL ? ARENA_FIRST_BLOCK : 2 * arena->blocks->size;
    if (size < at_least) {
        size = at_least;
    }
    if (size > arena->limit - arena->total) {
        size = at_least;
    }
    if (size > arena->limit - arena->total) {
        return false;
    }
    struct arena_block *block = malloc(sizeof *block + size);
    if (block == NULL) {
        return false;
    }
    block->older = arena->blocks;
    block->size = size;
    arena->blocks = block;
    arena->total += size;
    arena->used = 0;
    return true;
}

void *arena_alloc(struct arena *arena, size_t size) {
    ASSERT(size <= SIZE_MAX / 4);
    size = (size + 15) & ~(size_t)15;
    if (arena->blocks == NULL || arena->blocks->size - arena->used < size) {
        if (!add_block(arena, size)) {
            return NULL;
        }
    }
    void *at = arena->blocks->bytes + arena->used;
    arena->used += size;
    return at;
}

void *arena_zalloc(struct arena *arena, size_t size) {
    void *at = arena_alloc(arena, size);
    return at == NULL ? NULL : memset(at, 0, size);
}

struct slice arena_copy(struct arena *arena, struct slice s) {
    char *copy = arena_alloc(arena, s.len + 1);
    if (copy == NULL) {
        return SLICE_NONE;
    }
    if (s.len > 0) {
        memcpy(copy, s.at, s.len);
    }
    copy[s.len] = '\0';
    return slice_from(copy, s.len);
}
