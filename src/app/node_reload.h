/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SIGHUP: reads the configuration again and carries into the running node what can change there.
 *
 *   file, environment, flags ──► load ──► wrong ──► said line by line, nothing changes
 *                                  │
 *                                  └────► each setting that differs from what is in effect:
 *                                         live ──► changed, said with both values
 *                                         else ──► said with what it takes; it stays as it is
 *
 * What waits for a takeover or a restart is said each time until it has come into effect.
 * Thread: main.
 */
#ifndef TURNOUT_APP_NODE_RELOAD_H
#define TURNOUT_APP_NODE_RELOAD_H

#include "app/config.h"
#include "app/node_loop.h"

/* Where a configuration comes from, for reading it again. */
struct node_source {
    enum err_e (*load)(void *data, struct config *ret_config, struct buf *ret_errors);
    void *data;
};

/* What of a configuration each loop has its share of; `loops` of them serve `connections`. */
void node_limits_from(const struct config *config, size_t loops, int64_t connections,
                      struct node_limits *ret_limits);

struct node_reload {
    struct node_source source;
    struct config now; /* what is in effect; of the control plane the start's lines, borrowed */
    struct api_node *api_node;
    struct node_cache *cache; /* NULL: none */
    struct node_loop *loops;  /* all of them serve */
    size_t loops_len;
    int64_t connections_max;
};
/* Returns whether the configuration was good. */
MAY_BLOCK bool node_reload(struct node_reload *reload);

#endif
