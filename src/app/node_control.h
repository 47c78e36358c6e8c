/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The controller of a serving node, wired: it sees the monitor's figures of this node, keeps its
 * journal in the node's store and lets the node's optimizer work.
 * Thread: main, but node_control_see.
 */
#ifndef TURNOUT_APP_NODE_CONTROL_H
#define TURNOUT_APP_NODE_CONTROL_H

#include "act/controller.h"
#include "api/api.h"
#include "app/cluster.h"
#include "app/config.h"

struct node_agent;
struct node_control;

struct node_control_options {
    const struct config *config;
    const struct api_node *api_node; /* its store, clock and optimizer; these live as long as the
        control's thread */
    const char *node;                /* its id */
    const char *url;
    int64_t started_at_ms;           /* of this process */
    struct cluster *cluster;         /* the other nodes; NULL: there are none. Lives as long as the
        control */
    struct node_agent *agent; /* hears of the load; NULL: there is none */
    bool is_held; /* begins on hold: another process of this node acts */
};

MAY_BLOCK enum err_e node_control_open(const struct node_control_options *options,
                                       struct node_control **ret_control,
                                       struct problem *ret_problem) MUST_CHECK;
struct controller *node_control_controller(struct node_control *control);
bool node_control_has_looked(struct node_control *control); /* its documents are there */
/* See controller_hold. */
void node_control_hold(struct node_control *control, bool is_held);
struct notifier *node_control_notifier(struct node_control *control); /* NULL: nobody is told */
/* For monitor_options.on_view; the monitor's thread. */
void node_control_see(const struct view *view, void *control);
/* Ends the thread: before the optimizer, which it asks, is gone. NULL: nothing. */
MAY_BLOCK void node_control_stop(struct node_control *control);
/* After the monitor, which feeds it. NULL: nothing. */
MAY_BLOCK void node_control_close(struct node_control *control);

#endif
