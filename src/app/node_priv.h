/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What node.c (opening and closing a node) and node_run.c (from its first loop to its last) share.
 * Thread: main.
 */
#ifndef TURNOUT_APP_NODE_PRIV_H
#define TURNOUT_APP_NODE_PRIV_H

#include "app/node.h"
#include "app/node_agent.h"
#include "app/node_control.h"
#include "app/node_loop.h"
#include "app/node_takeover.h"
#include "app/supervisor.h"

enum { NODE_ID_SIZE = 128 };

struct node {
    const struct config *config; /* as at start */
    enum node_kind_e kind;
    struct node_reload reload;   /* as it stands now */
    struct node_takeover takeover;
    struct supervisor supervisor;
    char *variables[SUPERVISOR_VARIABLES + 1]; /* for a process that takes over */
    bool is_stopping; /* loops drain */
    struct problem *problem;
    struct api_node api_node;
    struct node_parts parts;
    struct node_agent *agent; /* NULL: none is asked for */
    struct node_control *control;
    struct node_orders *orders; /* NULL: not yet */
    struct cluster *cluster; /* NULL: one node has a file to itself */
    struct node_loop *loops;
    size_t loops_len; /* started */
    int lock_fd;
    int signal_fd; /* SIGTERM, SIGINT */
    int order_fd;  /* SIGHUP, SIGUSR2 */
    int port;
    int64_t connections_max;
    char address[HTTP_ADDRESS_SIZE]; /* where it really listens */
    char url[NODE_URL_SIZE];
    char cluster_url[CLUSTER_URL_SIZE];
    struct policy policy;
    char id[NODE_ID_SIZE];
    int64_t started_at_ms; /* tells this process from another of the same id */
    char disk_path[CONFIG_TEXT_SIZE];
};

/* Starts loops and serves until a signal or another process ends it. With an error some loops may
 * be there. */
MAY_BLOCK enum err_e node_run(struct node *node, size_t loops, char *const *argv);
/* Drains every loop that serves; false when something is still in flight at the deadline. */
MAY_BLOCK bool node_stop_loops(struct node *node);

#endif
