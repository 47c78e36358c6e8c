/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a node says of itself when a controller asks, as a value and as a document. What comes from
 * another machine is read strictly: a figure out of its range makes the whole document one that
 * cannot be believed. Pure. Thread: the owner's.
 */
#ifndef TURNOUT_CONTROL_STATUS_H
#define TURNOUT_CONTROL_STATUS_H

#include "control/snapshot.h"

enum {
    STATUS_TEXT_MAX = 160,        /* bytes of each text, but the id: NODE_ID_MAX */
    STATUS_BYTES_MAX = 8192,      /* of a document */
};

/* X(name, highest): over the node's window of 300 seconds; *_ms are averages, the others counts. */
#define STATUS_METRIC_TABLE(X)                                                                     \
    X(requests, 1e15)                                                                              \
    X(response_ms, 1e9)                                                                            \
    X(queries, 1e15)                                                                               \
    X(query_ms, 1e9)                                                                               \
    X(slow_queries, 1e15)                                                                          \
    X(lookups, 1e15) /* of the cache: what hit_rate is a share of */

/* FIGURE_MISSING: it does not know. */
struct status_figures {
#define X(name, highest) double name;
    NODE_FIGURE_TABLE(X)
    STATUS_METRIC_TABLE(X)
#undef X
};
void status_figures_init(struct status_figures *figures); /* all missing */

struct node_status {
    struct slice id;
    struct slice incarnation; /* of this run of its process */
    struct slice version;
    struct slice reason;      /* why it is not ready; empty when it is */
    int64_t wall_ms;          /* by its own clock */
    bool is_ready;            /* it can check people in */
    bool drains;              /* it finishes what it has and stops */
    int64_t age_ms;           /* of the figures, when it answered */
    struct status_figures figures;
};

void status_write(const struct node_status *status, struct buf *to);
/* What the result points at lives in `arena`. ERR_MALFORMED_JSON, ERR_INVALID_FIELD with the field
 * named, or ERR_NO_MEMORY. */
enum err_e status_read(struct arena *arena, struct slice text, struct node_status *ret_status,
                       struct problem *ret_problem) MUST_CHECK;

/* The metrics of several nodes together: averages weighted by what they count, sums of counts, the
 * highest memory. What no node knows is missing. */
void status_metrics(const struct status_figures *const *items, size_t len,
                    double ret_metrics[METRIC_GIVEN_COUNT]);

#endif
