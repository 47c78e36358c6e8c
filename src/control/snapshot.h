/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the control plane knows at one moment: the nodes with their figures, and the product's
 * metrics. A figure that is not known is NAN and never causes anything. Pure data: nothing here
 * reads a clock.
 * Thread: the owner's.
 */
#ifndef TURNOUT_CONTROL_SNAPSHOT_H
#define TURNOUT_CONTROL_SNAPSHOT_H

#include "base/json.h"

#include <math.h>

#define FIGURE_MISSING ((double)NAN)

static inline bool figure_is_known(double figure) {
    return !isnan(figure);
}

/* X(name, highest): what a node says of itself, 0 to `highest`. Loads are per cent, hit_rate a
 * share. */
#define NODE_FIGURE_TABLE(X)                                                                       \
    X(cpu, 100.0)                                                                                  \
    X(memory, 100.0)                                                                               \
    X(connections, 1e9)                                                                            \
    X(hit_rate, 1.0)

/* X(NAME, word): metrics that are measured and handed in. */
#define METRIC_GIVEN_TABLE(X)                                                                      \
    X(AVG_RESPONSE_TIME_MS, "avg_response_time_ms")                                                \
    X(SLOW_QUERY_COUNT, "slow_query_count")                                                        \
    X(MEMORY_USAGE, "memory_usage")                                                                \
    X(CACHE_HIT_RATE, "cache_hit_rate")                                                            \
    X(AVG_QUERY_TIME_MS, "avg_query_time_ms")

/* X(NAME, word): metrics that are worked out from the nodes and from what the scaler saw. */
#define METRIC_DERIVED_TABLE(X)                                                                    \
    X(CPU_AVG, "cpu_avg")                                                                          \
    X(CPU_MAX, "cpu_max")                                                                          \
    X(MEMORY_AVG, "memory_avg")                                                                    \
    X(MEMORY_MAX, "memory_max")                                                                    \
    X(CONNECTIONS_TOTAL, "connections_total")                                                      \
    X(HEALTHY_NODES, "healthy_nodes")                                                              \
    X(UNHEALTHY_NODES, "unhealthy_nodes")                                                          \
    X(MEMORY_UPS_WITHOUT_EFFECT, "memory_ups_without_effect")

#define METRIC_TABLE(X) METRIC_GIVEN_TABLE(X) METRIC_DERIVED_TABLE(X)

#define X(name, text) METRIC_##name,
enum metric_e { METRIC_TABLE(X) METRIC_COUNT };
#undef X
#define X(name, text) +1
enum { METRIC_GIVEN_COUNT = 0 METRIC_GIVEN_TABLE(X) };
#undef X

const char *metric_text(enum metric_e metric);

enum {
    NODE_ID_MAX = 128,         /* bytes */
    SNAPSHOT_NODES_MAX = 4096, /* far beyond any scaler's maximum; bounds the work of a decision */
};

struct node_figures {
    struct slice id;
    bool healthy;
#define X(name, highest) double name;
    NODE_FIGURE_TABLE(X)
#undef X
    int64_t age_ms;         /* since the figures were read */
    int64_t healthy_for_ms; /* since the node last became healthy; INT64_MAX: long ago */
};

struct snapshot {
    double t; /* seconds from any start */
    bool has_nodes; /* false: nothing is known of the nodes, which is not the same as none */
    const struct node_figures *nodes;
    size_t nodes_len;
    double metrics[METRIC_GIVEN_COUNT];
};

/* The figures are too old to be believed: the node takes part as if it had said nothing. */
static inline bool node_is_stale(const struct node_figures *node, int64_t stale_after_ms) {
    return node->age_ms > stale_after_ms;
}

/* One line of a recording. What the result points at lives in `arena`. ERR_MALFORMED_JSON,
 * ERR_INVALID_FIELD with the field named, or ERR_NO_MEMORY. */
enum err_e snapshot_read(struct arena *arena, struct slice line, struct snapshot *ret_snapshot,
                         struct problem *ret_problem) MUST_CHECK;

/* The members of such a line, into an object that has begun: reading them gives the same figures to
 * the last bit (but healthy_for_ms, which a recording does not have). */
void snapshot_write(struct json_writer *w, const struct snapshot *snapshot);

#endif
