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

/* X(NAME, word): what a rule sees of each node by itself. */
#define METRIC_NODE_TABLE(X)                                                                       \
    X(NODE_CPU, "node_cpu")                                                                        \
    X(NODE_MEMORY, "node_memory")                                                                  \
    X(NODE_CONNECTIONS, "node_connections")                                                        \
    X(NODE_HIT_RATE, "node_hit_rate")                                                              \
    X(NODE_UNHEALTHY, "node_unhealthy")                                                            \
    X(NODE_AGE_S, "node_age_s")

#define METRIC_TABLE(X) METRIC_GIVEN_TABLE(X) METRIC_DERIVED_TABLE(X) METRIC_NODE_TABLE(X)

#define X(name, text) METRIC_##name,
enum metric_e { METRIC_TABLE(X) METRIC_COUNT };
#undef X
#define X(name, text) +1
enum { METRIC_GIVEN_COUNT = 0 METRIC_GIVEN_TABLE(X) };
#undef X

const char *metric_text(enum metric_e metric);
static inline bool metric_is_of_node(enum metric_e metric) {
    return metric >= METRIC_NODE_CPU && metric < METRIC_COUNT;
}

/* Averages and counts over a node's window: what is past shows for METRIC_WINDOW_MS. */
static inline bool metric_is_of_window(enum metric_e metric) {
    return metric == METRIC_AVG_RESPONSE_TIME_MS || metric == METRIC_SLOW_QUERY_COUNT ||
           metric == METRIC_CACHE_HIT_RATE || metric == METRIC_AVG_QUERY_TIME_MS ||
           metric == METRIC_NODE_HIT_RATE;
}

enum {
    METRIC_WINDOW_MS = 300 * 1000,
    NODE_ID_MAX = 128,         /* bytes */
    SNAPSHOT_NODES_MAX = 4096, /* far beyond any scaler's maximum; bounds the work of a decision */
    SNAPSHOT_EFFECTS_MAX = 128,
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

/* X(NAME, word): what an action that a rule asked for did to the figure that fired; or a person
 * would not have it done; or nothing but that it ran: its cooldown counts from then. */
#define EFFECT_TABLE(X)                                                                            \
    X(HELPED, "helped") X(NONE, "none") X(HARMED, "harmed") X(REFUSED, "refused") X(RAN, "ran")
#define X(name, text) EFFECT_##name,
enum effect_e { EFFECT_TABLE(X) };
#undef X
const char *effect_text(enum effect_e effect);

/* Told by whoever carried it out and looked again; a rule and an action that are not known are
 * passed over. */
struct told_effect {
    struct slice rule, action; /* or CALL_ACTION: a person was called */
    enum effect_e effect;
    int64_t age_ms; /* 0: since the last snapshot; else an earlier controller saw it so long ago */
};
#define CALL_ACTION "CALL_PERSON"

struct snapshot {
    double t; /* seconds from any start */
    bool is_standby; /* nobody carries out what is decided here: another controller leads, or what
                        it did was not read yet */
    bool has_nodes; /* false: nothing is known of the nodes, which is not the same as none */
    const struct node_figures *nodes;
    size_t nodes_len;
    double metrics[METRIC_GIVEN_COUNT];
    const struct told_effect *effects; /* those of earlier controllers in their order */
    size_t effects_len;
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
