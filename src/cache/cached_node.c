/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What loops share of the store in front: marks by event, counters, the roster.
 *
 * Events share MARKS places by their hash: a neighbour's change costs a miss. A place counts its
 * changes in the second that runs; beyond CACHED_EXACT_PER_S of them the mark rests.
 */
#include "cache/cached_node_priv.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { MARKS = 64, ABSENT_US = 1000000 };

struct place {
    _Atomic uint64_t figures;  /* statistics and timelines */
    _Atomic uint64_t searches;
    _Atomic uint64_t window;   /* second << 24 | changes of figures in it */
};

struct cached_node {
    struct clock *clock;
    struct roster *roster;
    struct place places[MARKS];
    pthread_mutex_t lock; /* of the list; held for a few instructions */
    struct cached_cells *cells;
    _Atomic int64_t absent_until_us;
};

struct cached_node *cached_node_create(struct clock *clock) {
    struct cached_node *node = calloc(1, sizeof *node);
    if (node == NULL) {
        return NULL;
    }
    node->clock = clock;
    node->roster = roster_create();
    if (node->roster == NULL) {
        free(node);
        return NULL;
    }
    pthread_mutex_init(&node->lock, NULL);
    return node;
}

void cached_node_destroy(struct cached_node *node) {
    if (node == NULL) {
        return;
    }
    while (node->cells != NULL) {
        struct cached_cells *next = node->cells->next;
        free(node->cells);
        node->cells = next;
    }
    pthread_mutex_destroy(&node->lock);
    roster_destroy(node->roster);
    free(node);
}

struct roster *cached_node_roster(struct cached_node *node) {
    return node->roster;
}

/* ── counters ── */

struct cached_cells *cached_node_take_cells(struct cached_node *node) {
    pthread_mutex_lock(&node->lock);
    struct cached_cells *cells = node->cells;
    while (cells != NULL && cells->taken) {
        cells = cells->next;
    }
    if (cells == NULL) {
        cells = calloc(1, sizeof *cells);
        if (cells != NULL) {
            cells->next = node->cells;
            node->cells = cells;
        }
    }
    if (cells != NULL) {
        cells->taken = true;
    }
    pthread_mutex_unlock(&node->lock);
    return cells;
}

void cached_node_give_cells(struct cached_node *node, struct cached_cells *cells) {
    if (cells != NULL) {
        pthread_mutex_lock(&node->lock);
        cells->taken = false;
        pthread_mutex_unlock(&node->lock);
    }
}

void cached_node_read_counters(struct cached_node *node, struct cached_counters *ret_counters) {
    *ret_counters = (struct cached_counters){0};
    pthread_mutex_lock(&node->lock);
    for (const struct cached_cells *cells = node->cells; cells != NULL; cells = cells->next) {
#define X(name) ret_counters->name += counter_read(&cells->name);
        CACHED_COUNTER_TABLE(X)
#undef X
    }
    pthread_mutex_unlock(&node->lock);
}

/* ── what is not there ── */

void cached_node_note_absent(struct cached_node *node) {
    atomic_store_explicit(&node->absent_until_us, clock_mono_us(node->clock) + ABSENT_US,
                          memory_order_relaxed);
}

bool cached_node_saw_absent(struct cached_node *node) {
    int64_t until_us = atomic_load_explicit(&node->absent_until_us, memory_order_relaxed);
    return until_us != 0 && clock_mono_us(node->clock) < until_us;
}

/* ── marks ── */

static struct place *place_of(struct cached_node *node, struct slice event) {
    return &node->places[slice_hash(event) % MARKS];
}

uint64_t cached_node_mark(struct cached_node *node, enum tiered_class_e class,
                          struct slice event) {
    struct place *place = place_of(node, event);
    return atomic_load(class == TIERED_SEARCH ? &place->searches : &place->figures);
}

/* Whether one more change of the running second is seen at once. */
static bool is_within_rate(struct cached_node *node, struct place *place) {
    uint64_t second = (uint64_t)(clock_mono_us(node->clock) / 1000000);
    uint64_t seen = atomic_load(&place->window), next;
    do {
        uint64_t count = seen >> 24 == second ? seen & 0xffffff : 0;
        if (count >= CACHED_EXACT_PER_S) {
            return false;
        }
        next = second << 24 | (count + 1);
    } while (!atomic_compare_exchange_weak(&place->window, &seen, next));
    return true;
}

void cached_node_raise(struct cached_node *node, unsigned effects, struct slice event) {
    struct place *place = place_of(node, event);
    if (effects & CACHE_CHANGES_SEARCHES) {
        atomic_fetch_add(&place->searches, 1);
    }
    if ((effects & CACHE_CHANGES_FIGURES) && is_within_rate(node, place)) {
        atomic_fetch_add(&place->figures, 1);
    }
}
