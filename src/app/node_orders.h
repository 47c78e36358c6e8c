/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The orders of this node's store, read each second. A process that is told to let a new one take
 * over sends itself SIGUSR2, once for each order. Thread: main.
 */
#ifndef TURNOUT_APP_NODE_ORDERS_H
#define TURNOUT_APP_NODE_ORDERS_H

#include "act/order_book.h"
#include "api/api.h"

struct node_orders;

struct node_orders_options {
    struct api_node *api_node; /* outlives it */
    const char *node;          /* its id; likewise */
    int64_t started_at_ms;     /* of this process, as told to everybody */
    bool can_restart;
};

/* Reads them once at once; a store that fails now is asked again. NULL without memory. */
MAY_BLOCK struct node_orders *node_orders_open(const struct node_orders_options *options);
struct order_book *node_orders_book(struct node_orders *orders);
MAY_BLOCK void node_orders_close(struct node_orders *orders); /* NULL: nothing */

/* A process can start another that takes over, unless it is the first of a container, which ends
 * with it. */
bool node_orders_can_restart(void);

#endif
