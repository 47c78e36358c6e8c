/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What HAProxy's agent check hears from this node: one line a connection, "up 63%", the share of a
 * full load that it has room for. So load follows the nodes also while no controller is there.
 *
 *   up 100%..1%   what its CPU leaves free; 100 when its figures are too old to say anything
 *   up 0%         it drains: nothing new
 *
 * Never an administrator's word (ready, drain, maint): "ready" would undo what a person or the
 * controller has set, and after "down" a bare number does not bring a server back. "up" is said
 * each time for that reason (HAProxy 2.6.12, tried).
 *
 * Thread: open and close from main; see and drain from any. It has a thread of its own.
 */
#ifndef TURNOUT_APP_NODE_AGENT_H
#define TURNOUT_APP_NODE_AGENT_H

#include "base/clock.h"

struct node_agent;

/* Listens at `address`, host:port, at once. ERR_CONFIG: it cannot. `taken` is a socket that another
 * process of this node has listened with, which is taken over when it is of that address and closed
 * else; -1: there is none. */
MAY_BLOCK enum err_e node_agent_open(const char *address, int taken, struct clock *clock,
                                     struct node_agent **ret_agent,
                                     struct problem *ret_problem) MUST_CHECK;
int node_agent_port(const struct node_agent *agent); /* NULL: 0 */
int node_agent_socket(const struct node_agent *agent); /* NULL: -1 */
/* Answers no more, since another process does on the same socket; or again. NULL: nothing. */
void node_agent_yield(struct node_agent *agent, bool yields);
void node_agent_see(struct node_agent *agent, double cpu_percent); /* NULL: nothing */
void node_agent_drain(struct node_agent *agent);                   /* NULL: nothing */
MAY_BLOCK void node_agent_close(struct node_agent *agent);         /* NULL: nothing */

#endif
