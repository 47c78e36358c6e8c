/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every rule's alert, moved by one snapshot. A rule over node_… metrics has an alert for each node;
 * what stands for such a rule is the worst of them. Pure. Thread: the owner of the states.
 */
#ifndef TURNOUT_CONTROL_RULES_H
#define TURNOUT_CONTROL_RULES_H

#include "control/alert.h"
#include "control/trend.h"

enum {
    NODE_ALERTS_MAX = 1024, /* 64 nodes under 16 such rules; each costs a comparison per decision */
    TRENDS_MAX = 512,       /* alerts over a rate */
    NODE_ALERT_BUCKETS = 2048,
};

struct node_alert {
    struct alert alert;
    int rule;  /* place in the policy */
    int trend; /* place in the trends; -1: none */
    int next;  /* in its bucket; -1: the last */
    bool is_seen;
    size_t id_len;
    char id[NODE_ID_MAX];
};

struct rule_states {
    struct alert alerts[ALERT_RULES_MAX]; /* place by place as in the policy */
    int worst[ALERT_RULES_MAX];           /* the node_alert that stands for the rule; -1: none */
    int rule_trends[ALERT_RULES_MAX];     /* places in the trends; -1: none */
    struct node_alert nodes[NODE_ALERTS_MAX];
    size_t nodes_len;
    int buckets[NODE_ALERT_BUCKETS]; /* of the nodes' alerts, by rule and id; -1: empty */
    struct trend trends[TRENDS_MAX];
    bool is_taken[TRENDS_MAX];
    uint64_t unwatched; /* alerts that found no room at this step: they are not looked at */
};

/* What the rules look at. */
struct scene {
    const struct snapshot *snapshot;
    const double *metrics; /* METRIC_COUNT of them; those of nodes are not read */
    int64_t stale_after_ms;
    int64_t now_ms;
};

void rules_init(struct rule_states *states);
void rules_step(struct rule_states *states, const struct policy *policy,
                const struct scene *scene);

static inline struct slice node_alert_id(const struct node_alert *node) {
    return slice_from(node->id, node->id_len);
}
/* The node that the rule's state is about; at NULL: none in particular. */
struct slice rules_worst_node(const struct rule_states *states, size_t rule);

#endif
