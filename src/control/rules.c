/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 1. A node's alert exists while the snapshot names the node, and for the step that shows it as
 *    resolved.
 * 2. Where the snapshot knows nothing of nodes, every node's alert sees a missing sample.
 * 3. Work is bounded by NODE_ALERTS_MAX and TRENDS_MAX; what finds no room is counted.
 */
#include "control/rules.h"

#include "base/assert.h"

void rules_init(struct rule_states *states) {
    states->nodes_len = 0;
    states->unwatched = 0;
    memset(states->is_taken, 0, sizeof states->is_taken);
    for (size_t i = 0; i < ALERT_RULES_MAX; i++) {
        alert_init(&states->alerts[i]);
        states->worst[i] = -1;
        states->rule_trends[i] = -1;
    }
}

struct slice rules_worst_node(const struct rule_states *states, size_t rule) {
    int worst = states->worst[rule];
    return worst < 0 ? SLICE_NONE : node_alert_id(&states->nodes[worst]);
}

/* ---- samples ---- */

/* -1 when all are taken. */
static int take_trend(struct rule_states *states) {
    for (int i = 0; i < TRENDS_MAX; i++) {
        if (!states->is_taken[i]) {
            states->is_taken[i] = true;
            trend_init(&states->trends[i]);
            return i;
        }
    }
    return -1;
}

static double ratio(double figure, double per) {
    return figure_is_known(per) && per != 0 ? figure / per : FIGURE_MISSING;
}

/* The figure that the rule compares. `trend` is where its past is kept. */
static double sample_of(struct rule_states *states, const struct alert_rule *rule,
                        const double metrics[METRIC_COUNT], int *trend, int64_t now_ms) {
    double sample = metrics[rule->metric];
    if (rule->per > 0) {
        sample = ratio(sample, metrics[rule->per - 1]);
    }
    if (rule->rate_over_ms == 0) {
        return sample;
    }
    if (*trend < 0) {
        *trend = take_trend(states);
    }
    if (*trend < 0) {
        states->unwatched++;
        return FIGURE_MISSING;
    }
    return trend_step(&states->trends[*trend], sample, now_ms, rule->rate_over_ms);
}

static void step_rule(struct rule_states *states, const struct policy *policy, size_t place,
                      const struct scene *scene) {
    const struct alert_rule *rule = &policy->rules[place];
    double sample = sample_of(states, rule, scene->metrics, &states->rule_trends[place],
                              scene->now_ms);
    alert_step(&states->alerts[place], rule, sample, scene->now_ms);
}

/* ---- each node ---- */

/* The product's metrics with this node's. A node's own figures that are too old are none; its age
 * is what it is. */
static void add_node_metrics(const struct scene *scene, const struct node_figures *node,
                             double metrics[METRIC_COUNT]) {
    bool is_stale = node_is_stale(node, scene->stale_after_ms);
    metrics[METRIC_NODE_CPU] = is_stale ? FIGURE_MISSING : node->cpu;
    metrics[METRIC_NODE_MEMORY] = is_stale ? FIGURE_MISSING : node->memory;
    metrics[METRIC_NODE_CONNECTIONS] = is_stale ? FIGURE_MISSING : node->connections;
    metrics[METRIC_NODE_HIT_RATE] = is_stale ? FIGURE_MISSING : node->hit_rate;
    metrics[METRIC_NODE_UNHEALTHY] = node->healthy ? 0 : 1;
    metrics[METRIC_NODE_AGE_S] = (double)node->age_ms / 1000;
}

static size_t bucket_of(int rule, struct slice id) {
    return (slice_hash(id) ^ ((uint64_t)rule * 0x9E3779B97F4A7C15ULL)) >> 7 &
           (NODE_ALERT_BUCKETS - 1);
}

static void index_alert(struct rule_states *states, int place) {
    struct node_alert *node = &states->nodes[place];
    int *head = &states->buckets[bucket_of(node->rule, node_alert_id(node))];
    node->next = *head;
    *head = place;
}

static void index_all(struct rule_states *states) {
    for (size_t i = 0; i < NODE_ALERT_BUCKETS; i++) {
        states->buckets[i] = -1;
    }
    for (size_t i = 0; i < states->nodes_len; i++) {
        index_alert(states, (int)i);
    }
}

static struct node_alert *find(struct rule_states *states, int rule, struct slice id) {
    int at = states->buckets[bucket_of(rule, id)];
    while (at >= 0 && (states->nodes[at].rule != rule ||
                       !slice_eq(node_alert_id(&states->nodes[at]), id))) {
        at = states->nodes[at].next;
    }
    return at < 0 ? NULL : &states->nodes[at];
}

/* NULL when there is no room. */
static struct node_alert *add(struct rule_states *states, int rule, struct slice id) {
    if (states->nodes_len == NODE_ALERTS_MAX || id.len > NODE_ID_MAX) {
        return NULL;
    }
    struct node_alert *added = &states->nodes[states->nodes_len];
    added->rule = rule;
    added->trend = -1;
    added->id_len = id.len;
    memcpy(added->id, id.at, id.len);
    alert_init(&added->alert);
    index_alert(states, (int)states->nodes_len++);
    return added;
}

static void step_node(struct rule_states *states, const struct alert_rule *rule,
                      struct node_alert *node, const double metrics[METRIC_COUNT],
                      int64_t now_ms) {
    node->is_seen = true;
    alert_step(&node->alert, rule, sample_of(states, rule, metrics, &node->trend, now_ms),
               now_ms);
}

static void step_over_nodes(struct rule_states *states, const struct policy *policy, size_t place,
                            const struct scene *scene) {
    const struct snapshot *snapshot = scene->snapshot;
    double metrics[METRIC_COUNT];
    memcpy(metrics, scene->metrics, sizeof metrics);
    for (size_t i = 0; i < snapshot->nodes_len; i++) {
        struct slice id = snapshot->nodes[i].id;
        struct node_alert *node = find(states, (int)place, id);
        node = node != NULL ? node : add(states, (int)place, id);
        if (node == NULL) {
            states->unwatched++;
            continue;
        }
        add_node_metrics(scene, &snapshot->nodes[i], metrics);
        step_node(states, &policy->rules[place], node, metrics, scene->now_ms);
    }
}

static void give_back(struct rule_states *states, const struct node_alert *node) {
    if (node->trend >= 0) {
        states->is_taken[node->trend] = false;
    }
}

/* Those that no node of the snapshot moved: it left, or nothing is known of any. */
static void step_unseen(struct rule_states *states, const struct policy *policy,
                        const struct scene *scene) {
    size_t kept = 0;
    for (size_t i = 0; i < states->nodes_len; i++) {
        struct node_alert *node = &states->nodes[i];
        if (!node->is_seen && scene->snapshot->has_nodes) {
            alert_withdraw(&node->alert, scene->now_ms);
        } else if (!node->is_seen) {
            alert_step(&node->alert, &policy->rules[node->rule], FIGURE_MISSING, scene->now_ms);
        }
        bool has_left = !node->is_seen && scene->snapshot->has_nodes &&
                        node->alert.state == ALERT_INACTIVE;
        if (has_left) {
            give_back(states, node);
        } else {
            node->is_seen = false;
            states->nodes[kept++] = *node;
        }
    }
    states->nodes_len = kept;
}

/* ---- what stands for a rule over nodes ---- */

static int rank(const struct alert *alert) {
    switch ((enum alert_state_e)alert->state) {
    case ALERT_FIRING:
        return alert->is_true ? 5 : 4;
    case ALERT_PENDING:
        return 3;
    case ALERT_RESOLVED:
        return 2;
    case ALERT_INACTIVE:
        return figure_is_known(alert->value) ? 1 : 0;
    }
    UNREACHABLE();
}

static bool is_worse(const struct alert_rule *rule, const struct alert *one,
                     const struct alert *other) {
    if (rank(one) != rank(other)) {
        return rank(one) > rank(other);
    }
    bool low_is_worse = rule->op == OP_BELOW || rule->op == OP_AT_MOST;
    return low_is_worse ? one->value < other->value : one->value > other->value;
}

static void choose_worst(struct rule_states *states, const struct policy *policy) {
    for (size_t i = 0; i < states->nodes_len; i++) {
        const struct node_alert *node = &states->nodes[i];
        int *worst = &states->worst[node->rule];
        if (*worst < 0 || is_worse(&policy->rules[node->rule], &node->alert,
                                   &states->nodes[*worst].alert)) {
            *worst = (int)i;
        }
    }
}

static void stand_for(struct rule_states *states, const struct policy *policy, size_t place,
                      int64_t now_ms) {
    int worst = states->worst[place];
    if (worst >= 0) {
        states->alerts[place] = states->nodes[worst].alert;
    } else {
        alert_step(&states->alerts[place], &policy->rules[place], FIGURE_MISSING, now_ms);
    }
}

void rules_step(struct rule_states *states, const struct policy *policy,
                const struct scene *scene) {
    states->unwatched = 0;
    index_all(states);
    for (size_t i = 0; i < policy->rules_len; i++) {
        states->worst[i] = -1;
        if (policy->rules[i].disabled) {
            continue;
        }
        if (rule_is_per_node(&policy->rules[i])) {
            step_over_nodes(states, policy, i, scene);
        } else {
            step_rule(states, policy, i, scene);
        }
    }
    step_unseen(states, policy, scene);
    choose_worst(states, policy);
    for (size_t i = 0; i < policy->rules_len; i++) {
        if (!policy->rules[i].disabled && rule_is_per_node(&policy->rules[i])) {
            stand_for(states, policy, i, scene->now_ms);
        }
    }
}
