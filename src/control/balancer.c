/* SPDX-License-Identifier: Apache-2.0 */
/* Scores are integers where lower is better, so that equal figures are equal scores. */
#include "control/balancer.h"

#include "base/assert.h"

#include <math.h>

enum {
    MICRO = 1000000,
    SCORE_WHOLE = 100 * MICRO, /* a figure of 100 per cent, in millionths */
};

/* A node in slow start is never quite shut out, or it would not warm up. */
static const double slow_start_least = 0.1;

#define X(name, text) text,
static const char *const request_words[] = {REQUEST_TABLE(X)};
#undef X

/* What the score of a node depends on beside its own figures. */
struct field {
    const struct snapshot *snapshot;
    const struct balancer_policy *policy;
    enum request_e request;
    bool uses_connections; /* general: every competitor knows its connections */
    double connections_max;
};

const char *request_text(enum request_e request) {
    ASSERT((unsigned)request < REQUEST_COUNT);
    return request_words[request];
}

static int64_t to_micro(double figure) {
    return llround(figure * MICRO);
}

static bool is_fresh(const struct node_figures *node, const struct balancer_policy *policy) {
    return node->healthy && !node_is_stale(node, policy->stale_after_ms);
}

static bool competes(const struct field *field, const struct node_figures *node) {
    if (!is_fresh(node, field->policy)) {
        return false;
    }
    switch (field->request) {
    case REQUEST_ANALYTICS:
        return figure_is_known(node->cpu);
    case REQUEST_DATABASE:
        return figure_is_known(node->connections);
    case REQUEST_CACHE:
        return figure_is_known(node->hit_rate);
    case REQUEST_GENERAL:
        return figure_is_known(node->cpu) && figure_is_known(node->memory);
    case REQUEST_COUNT:
        break;
    }
    UNREACHABLE();
}

/* The blend compares like with like: connections count when every competitor knows its own. */
static struct field field_of(const struct snapshot *snapshot, enum request_e request,
                             const struct balancer_policy *policy) {
    struct field field = {
        .snapshot = snapshot, .policy = policy, .request = request, .uses_connections = true};
    for (size_t i = 0; i < snapshot->nodes_len; i++) {
        const struct node_figures *node = &snapshot->nodes[i];
        if (!competes(&field, node)) {
            continue;
        }
        if (!figure_is_known(node->connections)) {
            field.uses_connections = false;
        } else if (node->connections > field.connections_max) {
            field.connections_max = node->connections;
        }
    }
    return field;
}

static int64_t connections_share(const struct field *field, const struct node_figures *node) {
    return field->connections_max > 0
               ? llround(node->connections / field->connections_max * SCORE_WHOLE)
               : 0;
}

/* The weighted mean, so that it is per cent like its parts. */
static int64_t blend(const struct field *field, const struct node_figures *node) {
    const struct balancer_policy *policy = field->policy;
    int64_t weights = policy->weight_cpu + policy->weight_memory;
    int64_t sum =
        policy->weight_cpu * to_micro(node->cpu) + policy->weight_memory * to_micro(node->memory);
    if (field->uses_connections) {
        weights += policy->weight_connections;
        sum += policy->weight_connections * connections_share(field, node);
    }
    return weights > 0 ? sum / weights : 0;
}

static int64_t score(const struct field *field, const struct node_figures *node) {
    switch (field->request) {
    case REQUEST_ANALYTICS:
        return to_micro(node->cpu);
    case REQUEST_DATABASE:
        return to_micro(node->connections);
    case REQUEST_CACHE:
        return -100 * to_micro(node->hit_rate);
    case REQUEST_GENERAL:
        return blend(field, node);
    case REQUEST_COUNT:
        break;
    }
    UNREACHABLE();
}

static const struct node_figures *best_of(const struct field *field, int64_t *ret_score) {
    const struct node_figures *best = NULL;
    for (size_t i = 0; i < field->snapshot->nodes_len; i++) {
        const struct node_figures *node = &field->snapshot->nodes[i];
        if (!competes(field, node)) {
            continue;
        }
        int64_t own = score(field, node);
        if (best == NULL || own < *ret_score ||
            (own == *ret_score && slice_order(node->id, best->id) < 0)) {
            best = node;
            *ret_score = own;
        }
    }
    return best;
}

const struct node_figures *balancer_best(const struct snapshot *snapshot, enum request_e request,
                                         const struct balancer_policy *policy) {
    struct field field = field_of(snapshot, request, policy);
    int64_t best_score;
    return best_of(&field, &best_score);
}

/* ---- Live traffic ---- */

/* Per cent figures are close within `close` points, connections within that share of the most. */
static int64_t reach(const struct field *field) {
    if (field->request == REQUEST_DATABASE) {
        return (int64_t)(field->connections_max * (double)field->policy->close_micro / 100);
    }
    return field->policy->close_micro;
}

static bool slow_start_lets_in(const struct field *field, const struct node_figures *node,
                               struct rng *rng) {
    int64_t full_after_ms = field->policy->slow_start_ms;
    if (node->healthy_for_ms >= full_after_ms) {
        return true;
    }
    double share = (double)node->healthy_for_ms / (double)full_after_ms;
    return rng_unit(rng) < fmax(share, slow_start_least);
}

/* The less connected of two; a coin decides between equals, or the order of the list would. */
static const struct node_figures *less_connected(const struct node_figures *const pair[2],
                                                 struct rng *rng) {
    bool known[] = {figure_is_known(pair[0]->connections), figure_is_known(pair[1]->connections)};
    if (known[0] != known[1]) {
        return pair[known[1]];
    }
    if (!known[0] || pair[0]->connections == pair[1]->connections) {
        return pair[rng_below(rng, 2)];
    }
    return pair[pair[1]->connections < pair[0]->connections];
}

/* Two of the close ones in one pass: reservoir sampling (Vitter, "Random Sampling with a
 * Reservoir", 1985). Those that slow start leaves out this time are not drawn. */
static size_t draw_two(const struct field *field, int64_t limit, struct rng *rng,
                       const struct node_figures *ret_drawn[2]) {
    size_t seen = 0;
    for (size_t i = 0; i < field->snapshot->nodes_len; i++) {
        const struct node_figures *node = &field->snapshot->nodes[i];
        if (!competes(field, node) || score(field, node) > limit ||
            !slow_start_lets_in(field, node, rng)) {
            continue;
        }
        uint64_t place = seen < 2 ? seen : rng_below(rng, seen + 1);
        if (place < 2) {
            ret_drawn[place] = node;
        }
        seen++;
    }
    return seen < 2 ? seen : 2;
}

const struct node_figures *balancer_pick(const struct snapshot *snapshot, enum request_e request,
                                         const struct balancer_policy *policy, struct rng *rng) {
    struct field field = field_of(snapshot, request, policy);
    int64_t best_score;
    const struct node_figures *best = best_of(&field, &best_score);
    if (best == NULL) {
        return NULL;
    }
    const struct node_figures *drawn[2];
    size_t len = draw_two(&field, best_score + reach(&field), rng, drawn);
    if (len == 0) {
        return best; /* everybody is in slow start: somebody must serve */
    }
    return len == 2 ? less_connected(drawn, rng) : drawn[0];
}

/* ---- Keys ---- */

/* The finaliser of SplitMix64 spreads FNV's weak low bits over the word. */
static uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

static uint64_t weight_for(struct slice key, const struct node_figures *node) {
    return mix(mix(slice_hash(key)) ^ slice_hash(node->id));
}

/* The most connections a node may hold before one more: ceil(factor * (total + 1) / nodes). */
static double bound_of(const struct snapshot *snapshot, const struct balancer_policy *policy) {
    double total = 1;
    double nodes = 0;
    for (size_t i = 0; i < snapshot->nodes_len; i++) {
        const struct node_figures *node = &snapshot->nodes[i];
        if (is_fresh(node, policy) && figure_is_known(node->connections)) {
            total += node->connections;
            nodes++;
        }
    }
    return nodes > 0 ? ceil((double)policy->load_factor_e4 / 10000 * total / nodes) : 0;
}

const struct node_figures *balancer_for_key(const struct snapshot *snapshot, struct slice key,
                                            const struct balancer_policy *policy) {
    double bound = bound_of(snapshot, policy);
    const struct node_figures *best = NULL;
    uint64_t best_weight = 0;
    for (size_t i = 0; i < snapshot->nodes_len; i++) {
        const struct node_figures *node = &snapshot->nodes[i];
        if (!is_fresh(node, policy) || !figure_is_known(node->connections) ||
            node->connections >= bound) {
            continue;
        }
        uint64_t weight = weight_for(key, node);
        if (best == NULL || weight > best_weight ||
            (weight == best_weight && slice_order(node->id, best->id) < 0)) {
            best = node;
            best_weight = weight;
        }
    }
    return best;
}
