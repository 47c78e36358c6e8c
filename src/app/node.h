/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A serving node: the store, the listening socket and one loop per core, each with its check-in,
 * its API and its HTTP server. It serves until it is told to stop, then finishes what is in flight.
 * Thread: main.
 */
#ifndef TURNOUT_APP_NODE_H
#define TURNOUT_APP_NODE_H

#include "app/node_reload.h"

enum node_kind_e {
    NODE_PLAIN,
    NODE_DEMO,       /* with the demo event */
    NODE_CONTROLLER, /* serves no events: it looks after those that do */
};

struct node_options {
    const struct config *config;
    struct node_source source; /* of the same, for SIGHUP */
    enum node_kind_e kind;
    bool takes_over;   /* from the process that serves there */
    char *const *argv; /* this process' own, for one that takes over from it */
};

/* Blocks SIGTERM, SIGINT, SIGHUP and SIGUSR2 in this thread and all that it starts, prints the
 * ready line on standard output, and returns once the node has stopped: ERR_OK when all in flight
 * was finished or cut off in time. Any other outcome is in `ret_problem`. A second SIGTERM or
 * SIGINT ends the process at once. */
MAY_BLOCK enum err_e node_serve(const struct node_options *options,
                                struct problem *ret_problem) MUST_CHECK;

/* "http://127.0.0.1:8080" for the address listened on and the port that it got. Pure. */
enum { NODE_URL_SIZE = 320 };
void node_url(struct slice listen, int port, char ret_url[NODE_URL_SIZE]);

/* How many connections fit in `descriptors`, of those wished for. Pure. */
int64_t node_connections(int64_t wished, int64_t descriptors);
enum { NODE_OTHER_DESCRIPTORS = 128 }; /* store, loops, log, and a reserve */

/* One per core that this process may run on, when the setting is 0. */
size_t node_loops(const struct config *config);

#endif
