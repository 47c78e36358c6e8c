/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store in front of a store: reads that the cache knows never reach the one behind it, and every
 * write drops exactly what it changes before it is acknowledged.
 *
 *   read   ─► key? ─no──────────────────────────────────────────► store behind
 *              └─ L1 ─hit─► op->done, at once, on the loop
 *                  └─ tiered_get ─► L2 ─► one load for all ─────► store behind
 *   write  ─► change_begin ─► store behind ─► change_end ─► op->done
 *   scans  ─► unknown event or gate? ─► refused at once (no record is owed for those)
 *              └────────────────────────────────────────────────► store behind ─► marks, done
 *
 * Scans would drop figures hundreds of times a second. Instead every brief value carries the mark
 * of what it was counted from: a number of the node that a change of the event raises, on the
 * thread that committed it. A value with another mark is not served. In a rush beyond
 * CACHED_EXACT_PER_S changes a second the marks rest, and the values' short life bounds their age.
 *
 * Thread: submitted to on its loop only. An answer comes on that loop for cached kinds and for
 * writes but scans; else wherever the store behind has it. Ownership: `inner` is the caller's.
 */
#ifndef TURNOUT_CACHE_CACHED_STORE_H
#define TURNOUT_CACHE_CACHED_STORE_H

#include "cache/keys.h"
#include "cache/roster.h"

enum {
    CACHED_EXACT_PER_S = 400, /* changes of an event's figures a second that are seen at once */
    CACHED_TOUCHES_MAX = 64,  /* keys of a loop that are read in the background at once */
};

/* X(name): what the store in front did, beside what the cache counts (tiered_figures). */
#define CACHED_COUNTER_TABLE(X)                                                                    \
    X(hits)      /* reads answered without a store, on any level */                                \
    X(misses)    /* reads of cached kinds that went to the store */                                \
    X(marked)    /* of the misses: L1 had it, from before a change */                              \
    X(damaged)   /* values that were no answer: dropped */                                         \
    X(shortened) /* pages that ended before what was asked: read anew */                           \
    X(stale)     /* answered from what had expired, since the store failed */                      \
    X(refused)   /* scans refused for an unknown event or gate */                                  \
    X(touched)   /* keys read in the background, neither hits nor misses: refreshes, warming */

struct cached_counters {
#define X(name) uint64_t name;
    CACHED_COUNTER_TABLE(X)
#undef X
};

/* What the loops of a node share: marks and the roster of hot keys. Any thread. */
struct cached_node;
struct cached_node *cached_node_create(struct clock *clock); /* NULL without memory */
void cached_node_destroy(struct cached_node *node);          /* NULL: nothing */
struct roster *cached_node_roster(struct cached_node *node);
void cached_node_read_counters(struct cached_node *node, struct cached_counters *ret_counters);

struct cached_options {
    struct loop *loop;
    struct store *inner;
    struct tiered_loop *tiered; /* of the same loop */
    struct cached_node *node;
    size_t jobs_max; /* operations under way at once; beyond them reads pass by the cache and
                        writes are refused */
};

/* Brief values carry marks of this process, so they must stay out of L2: sets their lives. Before
 * tiered_create. */
void cached_store_fit(struct tiered_options *options);

/* NULL without memory. */
struct store *cached_store_create(const struct cached_options *options);
/* On its loop, when idle; what store_close does. NULL: nothing. */
void cached_store_destroy(struct store *store);
bool cached_store_is_idle(const struct store *store);

/* The store behind, for lists of keys to read: nobody asked for those, so no hit rate counts
 * them. */
struct store *cached_store_behind(const struct store *store);

/* Reads a key in the background, so that the levels have it: refreshing, preloading, warming.
 * `fn` once, on the loop, maybe at once. ERR_OVERLOADED: too many are under way; ERR_INVALID_FIELD:
 * a key that says nothing (see cache_key_to_op). */
enum cached_touch_e {
    CACHED_FILL,    /* what L1 has is good enough */
    CACHED_REFRESH, /* read anew */
};
typedef void (*cached_touched_fn)(void *data, enum err_e err);
enum err_e cached_store_touch(struct store *store, struct slice key, enum cached_touch_e how,
                              cached_touched_fn fn, void *data) MUST_CHECK;

/* A tiered_due_fn; `data` is the store. */
void cached_store_on_due(void *data, enum tiered_class_e class, struct slice key);

#endif
