/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A loop's errands for the cache to the store's change mark: looking whether others moved it, and
 * moving it when L2 could not be told of a change here (cache/tiered_mark.c has the why).
 *
 * One look and one turn are under way at most. A look that fails is made again at the next tick; of
 * a turn the cache hears how it ended.
 *
 * Thread: the loop's. Ownership: `store` is the caller's; nothing may be under way at the end.
 */
#ifndef TURNOUT_APP_NODE_MARK_H
#define TURNOUT_APP_NODE_MARK_H

#include "cache/tiered.h"
#include "store/store.h"

struct node_mark;
struct node_errand {
    struct loop_message message; /* first */
    struct node_mark *mark;
    struct store_op op;
    bool is_out;
};

struct node_mark {
    struct loop *loop; /* NULL: not open */
    struct store *store;
    struct tiered_loop *tiered;
    struct node_errand look, turn;
    struct loop_timer *timer; /* NULL: another loop looks */
    bool is_sealed;
};

void node_mark_open(struct node_mark *mark, struct loop *loop, struct store *store);
/* From here on errands may be sent: what they find is for `tiered`. */
void node_mark_enter(struct node_mark *mark, struct tiered_loop *tiered);
bool node_mark_watch(struct node_mark *mark) MUST_CHECK; /* looks from now on; false: no memory */
void node_mark_turn(void *mark, uint64_t bits);          /* a tiered_mark_fn */
bool node_mark_is_idle(const struct node_mark *mark);
void node_mark_seal(struct node_mark *mark); /* when idle: sends no errand any more */
void node_mark_close(struct node_mark *mark);

#endif
