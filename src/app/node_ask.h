/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking a running node for a document, for commands that have the flags --url and --key.
 * Thread: main.
 */
#ifndef TURNOUT_APP_NODE_ASK_H
#define TURNOUT_APP_NODE_ASK_H

#include "app/flags.h"

#define FLAG_NODE_URL                                                                              \
    {"--url", "URL", FLAG_OWN, "The node; default: the address in the configuration."}
#define FLAG_NODE_KEY                                                                              \
    {"--key", "KEY", FLAG_OWN, "An API key, or @FILE to read it from; scope metrics suffices."}
#define FLAG_ADMIN_KEY                                                                             \
    {"--key", "KEY", FLAG_OWN, "An API key of scope admin, or @FILE to read it from."}

/* The answer 200 of GET `path`. ERR_USAGE, ERR_CONFIG: a flag is wrong, and `ret_problem` says
 * which; ERR_UNAVAILABLE: nobody answers there, or not with 200. */
MAY_BLOCK enum err_e node_ask(const struct args *args, const struct config *config,
                              const char *path, struct buf *ret_body,
                              struct problem *ret_problem) MUST_CHECK;

/* The same for a POST to `path`, or another method; `body` is JSON or empty. Any answer 2xx is
 * good. */
struct node_order_text {
    const char *path;
    struct slice body;
    const char *method; /* NULL: POST */
};
MAY_BLOCK enum err_e node_tell(const struct args *args, const struct config *config,
                               const struct node_order_text *order, struct buf *ret_body,
                               struct problem *ret_problem) MUST_CHECK;

#endif
