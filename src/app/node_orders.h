/* SPDX-License-Identifier: Apache-2.0 */
/* The orders of this node's store, read each second. Thread: main. */
#ifndef TURNOUT_APP_NODE_ORDERS_H
#define TURNOUT_APP_NODE_ORDERS_H

#include "act/order_book.h"
#include "api/api.h"

/* Reads them once at once; a store that fails now is asked again. NULL without memory. The node
 * outlives the book. */
MAY_BLOCK struct order_book *node_orders_open(struct api_node *api_node);
MAY_BLOCK void node_orders_close(struct order_book *book); /* NULL: nothing */

#endif
