/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The controller: once a second it sees the nodes, decides by the very deciders of the product, and
 * starts, drains and restarts nodes. It may be dead for a while; then nobody decides.
 */
#include "cluster.h"

#include "control/decide.h"

#include <stdio.h>

enum { STEP_US = 1000000, START_US_MAX = 2000000 };

static struct control {
    struct policy policy;
    struct history history;
    bool has_ended;
    int64_t dead_until_us;
    double load; /* per cent of a node's CPU that one request a second takes */
    bool starts[NODES]; /* asked for, and not there yet */
} control;

static void set(const char *section, const char *key, const char *value) {
    const struct policy_line line = {
        .section = slice_of(section), .key = slice_of(key), .value = slice_of(value)};
    struct buf errors;
    buf_init(&errors, 4096);
    ASSERT(policy_set(&control.policy, &line, &errors) == ERR_OK);
    buf_fini(&errors);
}

/* ── sensing ── */

static char ids[NODES][8];

static void sense(struct node_figures *ret_nodes, struct snapshot *ret_snapshot) {
    *ret_snapshot = (struct snapshot){.t = (double)sim.now_us / 1e6, .has_nodes = true,
                                      .nodes = ret_nodes};
    for (int i = 0; i < METRIC_GIVEN_COUNT; i++) {
        ret_snapshot->metrics[i] = FIGURE_MISSING;
    }
    for (int i = 0; i < NODES; i++) {
        struct node *node = nodes[i];
        if (node == NULL || node->drains) {
            continue;
        }
        double served = (double)(node->served - node->served_before);
        bool was_heard = !sim_chance(0.1);
        node->served_before = node->served;
        snprintf(ids[i], sizeof ids[i], "n%d", i);
        ret_nodes[ret_snapshot->nodes_len++] = (struct node_figures){
            .id = slice_of(ids[i]),
            .healthy = true,
            .cpu = was_heard ? fmin(100, served * control.load) : FIGURE_MISSING,
            .memory = was_heard ? node->memory : FIGURE_MISSING,
            .connections = (double)node->calls,
            .hit_rate = 0.9,
            .healthy_for_ms = INT64_MAX};
    }
}

/* ── acting ── */

static void start(void *data, uint64_t slot) {
    (void)data;
    control.starts[slot] = false;
    if (nodes[slot] == NULL && !control.has_ended) {
        node_start((int)slot);
    }
}

static void ask_for_start(int slot) {
    control.starts[slot] = true;
    sim_at(sim_between(100000, START_US_MAX), start, NULL, (uint64_t)slot);
}

/* Fewer than were asked for, more than serve: those are still starting, and stay asked for. */
static void scale_to(const struct scale_decision *scale) {
    int64_t have = 0;
    for (int i = 0; i < NODES; i++) {
        have += (nodes[i] != NULL && !nodes[i]->drains) || control.starts[i];
    }
    for (int i = 0; i < NODES && have < scale->desired; i++) {
        if (nodes[i] == NULL && !control.starts[i]) {
            ask_for_start(i);
            have++;
        }
    }
    int64_t serving = scale->current;
    for (int i = NODES - 1; i >= 0 && serving > scale->desired; i--) {
        if (nodes[i] != NULL && !nodes[i]->drains) {
            node_drain(i);
            serving--;
        }
    }
}

/* Who it is about, or else who has the least memory left. */
static int slot_of(const struct action *action) {
    int slot = -1;
    if (sscanf(action->node, "n%d", &slot) == 1) {
        return slot;
    }
    for (int i = 0; i < NODES; i++) {
        if (nodes[i] != NULL && (slot < 0 || nodes[i]->memory > nodes[slot]->memory)) {
            slot = i;
        }
    }
    return slot;
}

/* The scaler mends the number. */
static void carry_out(const struct action *action) {
    int slot = action->action == ACTION_RESTART_SERVICE ? slot_of(action) : -1;
    if (slot >= 0 && nodes[slot] != NULL && !nodes[slot]->drains) {
        tally.restarts++;
        node_drain(slot);
    }
}

static void check(const struct decision *decision, const struct snapshot *snapshot) {
    const struct scale_decision *scale = &decision->scale;
    if (scale->current != (int64_t)snapshot->nodes_len) {
        mistake("control counts %d nodes of %d", (int)scale->current, (int)snapshot->nodes_len);
    }
    if (scale->desired < 2 || scale->desired > NODES) {
        mistake("control wants %d nodes", (int)scale->desired);
    }
}

static void on_step(void *data, uint64_t number) {
    struct node_figures figures[NODES];
    struct snapshot snapshot;
    struct decision decision;
    if (control.has_ended) {
        return;
    }
    sim_at(STEP_US, on_step, data, number);
    if (!sim.calm && sim_chance(0.05)) {
        sim_trace("the controller dies");
        control.dead_until_us = sim.now_us + sim_between(STEP_US, 4 * STEP_US);
        history_init(&control.history); /* its successor remembers nothing */
    }
    if (sim.now_us < control.dead_until_us) {
        return;
    }
    sense(figures, &snapshot);
    decide(&control.history, &snapshot, &control.policy, &decision);
    check(&decision, &snapshot);
    sim_trace("control: %d nodes, %d wanted: %s", (int)decision.scale.current,
              (int)decision.scale.desired, decision.scale.reason);
    scale_to(&decision.scale);
    for (size_t i = 0; i < decision.actions.len; i++) {
        carry_out(&decision.actions.items[i]);
    }
}

void control_begin(void) {
    char most[8];
    memset(&control, 0, sizeof control);
    policy_init(&control.policy, NULL);
    history_init(&control.history);
    snprintf(most, sizeof most, "%d", NODES);
    set("scaler", "min", "2");
    set("scaler", "max", most);
    set("scaler", "cooldown_up", "1s");
    set("scaler", "hold_down", "1s");
    set("scaler", "cooldown_down", "2s");
    set("alert.memory_usage_high", "for", "1s");
    control.load = 0.2 + 2 * rng_unit(&sim.rng.base);
    sim_at(STEP_US, on_step, NULL, 0);
}

void control_end(void) {
    control.has_ended = true;
}
