/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the commands have in common that ask a running node for one document and print it: kpi,
 * nodes, cache stats and its sisters. Thread: main.
 */
#ifndef TURNOUT_APP_NODE_SHOW_H
#define TURNOUT_APP_NODE_SHOW_H

#include "app/node_ask.h"
#include "app/report.h"

struct node_question {
    const char *path;
    const struct node_order_text *order; /* a POST; NULL: GET `path` */
    const char *const *members; /* that the answer must have, or it is none of ours;
                                   NULL-terminated, NULL: any document is good */
    /* Prints the answer as text; the exit code. Not called with --json. */
    int (*print)(const struct args *args, const struct json_t *document);
};

/* Asks and prints; what fails goes to standard error. The exit code; `ret_err` is the node's side
 * of it, for those that ask again and again (may be NULL). */
MAY_BLOCK int node_show(const struct args *args, const struct config *config,
                        const struct node_question *question, enum err_e *ret_err);

#endif
