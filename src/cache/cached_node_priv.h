/* SPDX-License-Identifier: Apache-2.0 */
/* Marks and counters, between cached_store.c and cached_node.c. Thread: as said. */
#ifndef TURNOUT_CACHE_CACHED_NODE_PRIV_H
#define TURNOUT_CACHE_CACHED_NODE_PRIV_H

#include "cache/cached_store.h"
#include "stat/counter.h"

/* What one loop counts: its only writer. */
struct cached_cells {
#define X(name) struct counter name;
    CACHED_COUNTER_TABLE(X)
#undef X
    struct cached_cells *next; /* the node's */
    bool taken;
};
static inline void cached_count(struct counter *counter) {
    counter_add(counter, 1);
}

/* Cells stay with the node, so that what a closed store counted stays in the figures. NULL without
 * memory. Any thread. */
struct cached_cells *cached_node_take_cells(struct cached_node *node);
void cached_node_give_cells(struct cached_node *node, struct cached_cells *cells); /* may be NULL */

/* Somebody asked for an event or gate that is not there; whether that was a moment ago. Any
 * thread. */
void cached_node_note_absent(struct cached_node *node);
bool cached_node_saw_absent(struct cached_node *node);

/* The mark of values of a brief class about this event. Any thread. */
uint64_t cached_node_mark(struct cached_node *node, enum tiered_class_e class, struct slice event);
/* Something of `effects` (cache_effect_e) changed. Any thread. */
void cached_node_raise(struct cached_node *node, unsigned effects, struct slice event);

#endif
