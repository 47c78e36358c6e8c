/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The notifier of a node, wired: it logs in the node's store, and tells what an earlier run of this
 * node did not get rid of. Thread: main.
 */
#ifndef TURNOUT_APP_NODE_NOTICES_H
#define TURNOUT_APP_NODE_NOTICES_H

#include "act/notifier.h"
#include "api/api.h"

struct node_notices;

/* All outlive it. */
struct node_notices_options {
    const struct api_node *api_node;
    const struct policy *policy;
    const char *node; /* its id */
    bool is_lone;     /* no other node uses the store: whatever waits there is this one's */
};

/* NULL without memory. */
MAY_BLOCK struct node_notices *node_notices_open(const struct node_notices_options *options);
struct notifier *node_notices_notifier(struct node_notices *notices);
/* Once this node leads: what an earlier run left is sent, the first time that it is called. Any one
 * thread. NULL: nothing. */
MAY_BLOCK void node_notices_resume(struct node_notices *notices);
/* What receivers were told lately, the oldest first; it lives in the arena. Any one thread. */
MAY_BLOCK enum err_e node_notices_told(const struct node_notices *notices, struct arena *arena,
                                       struct told_before **ret_told,
                                       size_t *ret_len) MUST_CHECK;
MAY_BLOCK void node_notices_stop(struct node_notices *notices);  /* NULL: nothing */
MAY_BLOCK void node_notices_close(struct node_notices *notices); /* NULL: nothing */

#endif
