/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots and policies in one line each, for the tests of the deciders. */
#ifndef TURNOUT_TESTS_CONTROL_FIXTURE_H
#define TURNOUT_TESTS_CONTROL_FIXTURE_H

#include "base/assert.h"
#include "control/decide.h"

#include <stdio.h>

enum { FIXTURE_NODES = 1200 };

struct fixture {
    struct policy policy;
    struct history history;
    struct snapshot snapshot;
    struct node_figures nodes[FIXTURE_NODES];
    char ids[FIXTURE_NODES][12];
    struct decision decision;
};

static inline void fixture_metrics_clear(struct fixture *f) {
    for (int i = 0; i < METRIC_GIVEN_COUNT; i++) {
        f->snapshot.metrics[i] = FIGURE_MISSING;
    }
}

/* Default policy, no history, no nodes. */
static inline void fixture_init(struct fixture *f) {
    policy_init(&f->policy, NULL);
    history_init(&f->history);
    f->snapshot = (struct snapshot){.has_nodes = true, .nodes = f->nodes};
    for (unsigned i = 0; i < FIXTURE_NODES; i++) {
        snprintf(f->ids[i], sizeof f->ids[i], "n%03u", i);
    }
    fixture_metrics_clear(f);
}

static inline void fixture_set(struct fixture *f, const char *section, const char *key,
                               const char *value) {
    struct policy_line line = {
        .section = slice_of(section), .key = slice_of(key), .value = slice_of(value)};
    struct buf errors;
    buf_init(&errors, 4096);
    enum err_e err = policy_set(&f->policy, &line, &errors);
    if (err != ERR_OK) {
        fprintf(stderr, "%.*s", (int)errors.len, errors.at);
    }
    buf_fini(&errors);
    ASSERT(err == ERR_OK);
}

/* `n` healthy nodes n000, n001, … with the same CPU and memory, 10 connections, hit rate 0.9. */
static inline void fixture_nodes(struct fixture *f, size_t n, double cpu, double memory) {
    ASSERT(n <= FIXTURE_NODES);
    f->snapshot.nodes_len = n;
    for (size_t i = 0; i < n; i++) {
        f->nodes[i] = (struct node_figures){.id = slice_of(f->ids[i]),
                                            .healthy = true,
                                            .cpu = cpu,
                                            .memory = memory,
                                            .connections = 10,
                                            .hit_rate = 0.9,
                                            .healthy_for_ms = INT64_MAX};
    }
}

static inline const struct decision *fixture_decide(struct fixture *f, double t) {
    f->snapshot.t = t;
    decide(&f->history, &f->snapshot, &f->policy, &f->decision);
    return &f->decision;
}

/* One decision on `n` nodes that are all alike. */
static inline const struct decision *fixture_load(struct fixture *f, double t, size_t n, double cpu,
                                                  double memory) {
    fixture_nodes(f, n, cpu, memory);
    return fixture_decide(f, t);
}

static inline enum alert_state_e fixture_state(const struct fixture *f, const char *rule) {
    for (size_t i = 0; i < f->policy.rules_len; i++) {
        if (slice_eq_text(slice_of(f->policy.rules[i].name), rule)) {
            return (enum alert_state_e)f->history.rules.alerts[i].state;
        }
    }
    UNREACHABLE();
}

/* The reason of `action` in the last decision; NULL when it does not run. */
static inline const char *fixture_action(const struct fixture *f, enum action_e action) {
    for (size_t i = 0; i < f->decision.actions.len; i++) {
        if (f->decision.actions.items[i].action == action) {
            return f->decision.actions.items[i].reason;
        }
    }
    return NULL;
}

#endif
