/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which node is best for a request. Only healthy nodes with fresh figures of the kind that is asked
 * for compete; equal ones go by id, so that the same figures always choose the same node.
 * Pure; randomness is handed in. Thread: any.
 */
#ifndef TURNOUT_CONTROL_BALANCER_H
#define TURNOUT_CONTROL_BALANCER_H

#include "base/rng.h"
#include "control/policy.h"
#include "control/snapshot.h"

/* X(NAME, word): analytics lowest CPU, database fewest connections, cache highest hit rate, general
 * the weighted blend of CPU, memory and connections. */
#define REQUEST_TABLE(X)                                                                           \
    X(ANALYTICS, "analytics")                                                                      \
    X(DATABASE, "database")                                                                        \
    X(CACHE, "cache")                                                                              \
    X(GENERAL, "general")

#define X(name, text) REQUEST_##name,
enum request_e { REQUEST_TABLE(X) REQUEST_COUNT };
#undef X

const char *request_text(enum request_e request);

/* The best node, or NULL when none competes. Ties: the lowest id. */
const struct node_figures *balancer_best(const struct snapshot *snapshot, enum request_e request,
                                         const struct balancer_policy *policy);

/*
 * The same for live traffic, where argmin would send every request of one interval to one node. Of
 * the nodes whose figure is within `close` of the best, two are drawn and the one with fewer
 * connections is taken: Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing",
 * 2001. A node that became healthy less than slow_start ago is drawn with a chance that grows to
 * one. NULL when none competes.
 */
const struct node_figures *balancer_pick(const struct snapshot *snapshot, enum request_e request,
                                         const struct balancer_policy *policy, struct rng *rng);

/*
 * The node that keeps a key's cache entries: highest random weight (Thaler, Ravishankar, "Using
 * Name-Based Mappings to Increase Hit Rates", 1998), passing over nodes that hold more than
 * load_factor times the average connections (Mirrokni, Thorup, Zadimoghaddam, "Consistent Hashing
 * with Bounded Loads", 2018). A node that comes or goes moves only the keys that are its own. Nodes
 * without fresh connections do not compete; NULL when none does.
 */
const struct node_figures *balancer_for_key(const struct snapshot *snapshot, struct slice key,
                                            const struct balancer_policy *policy);

#endif
