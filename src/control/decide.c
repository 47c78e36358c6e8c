/* SPDX-License-Identifier: Apache-2.0 */
/* A straight line: time, metrics, alerts, nodes, actions. */
#include "control/decide.h"

#include <math.h>

/*
 * Time. The deciders count the milliseconds between snapshots. When t stands still or goes back, no
 * time passes, and counting goes on from the new t: a clock that was set back costs its step and
 * nothing else. A jump ahead counts as the time it claims, up to the most any setting can wait for;
 * for holds it is a gap, so no quiet stretch is made up from time that nobody saw.
 */
enum {
    GAP_INTERVALS = 5,      /* a snapshot this many intervals late leaves a gap */
    INTERVAL_SMOOTHING = 4, /* a changed interval is believed after a few snapshots */
};
static const int64_t step_max_ms = 30LL * 24 * 60 * 60 * 1000;

void history_init(struct history *history) {
    *history = (struct history){0};
    scaler_history_init(&history->scaler);
    recovery_history_init(&history->recovery);
    rules_init(&history->rules);
}

static int64_t step_ms(const struct history *history, double t) {
    double step = round((t - history->last_t) * 1000);
    if (!history->has_begun || step <= 0) {
        return 0;
    }
    return step < (double)step_max_ms ? (int64_t)step : step_max_ms;
}

static struct moment advance(struct history *history, double t) {
    int64_t step = step_ms(history, t);
    history->has_begun = true;
    history->last_t = t;
    history->now_ms += step;
    struct moment moment = {.now_ms = history->now_ms};
    if (step == 0) {
        return moment;
    }
    if (history->interval_ms == 0) {
        history->interval_ms = step;
        return moment;
    }
    int64_t most = GAP_INTERVALS * history->interval_ms;
    moment.after_gap = step > most;
    int64_t change = (step < most ? step : most) - history->interval_ms;
    history->interval_ms += change / INTERVAL_SMOOTHING;
    history->interval_ms = history->interval_ms > 0 ? history->interval_ms : 1;
    return moment;
}

/* ---- Metrics ---- */

static void raise_to(double *most, double figure) {
    if (figure_is_known(figure) && !(*most >= figure)) {
        *most = figure;
    }
}

static double mean(int64_t sum_micro, int64_t nodes) {
    return nodes == 0 ? FIGURE_MISSING : (double)sum_micro / 1e6 / (double)nodes;
}

static void add_maxima(const struct snapshot *snapshot, int64_t stale_after_ms,
                       double metrics[METRIC_COUNT]) {
    double connections = 0;
    bool connections_known = false;
    for (size_t i = 0; i < snapshot->nodes_len; i++) {
        const struct node_figures *node = &snapshot->nodes[i];
        if (node_is_stale(node, stale_after_ms)) {
            continue;
        }
        raise_to(&metrics[METRIC_CPU_MAX], node->cpu);
        raise_to(&metrics[METRIC_MEMORY_MAX], node->memory);
        if (figure_is_known(node->connections)) {
            connections += node->connections;
            connections_known = true;
        }
    }
    if (connections_known) {
        metrics[METRIC_CONNECTIONS_TOTAL] = connections;
    }
}

/* Every metric of the whole that a rule can name; those of nodes are missing. memory_usage that is
 * not given is the highest node's memory, healthy or not: a node that fails for want of memory is
 * the one to look at. */
static void collect_metrics(const struct history *history, const struct snapshot *snapshot,
                            const struct load *load, int64_t stale_after_ms,
                            double ret_metrics[METRIC_COUNT]) {
    for (int i = 0; i < METRIC_COUNT; i++) {
        ret_metrics[i] = i < METRIC_GIVEN_COUNT ? snapshot->metrics[i] : FIGURE_MISSING;
    }
    add_maxima(snapshot, stale_after_ms, ret_metrics);
    ret_metrics[METRIC_CPU_AVG] = mean(load->cpu_micro, load->cpu_nodes);
    ret_metrics[METRIC_MEMORY_AVG] = mean(load->memory_micro, load->memory_nodes);
    if (snapshot->has_nodes) {
        ret_metrics[METRIC_HEALTHY_NODES] = (double)load->healthy;
        ret_metrics[METRIC_UNHEALTHY_NODES] = (double)snapshot->nodes_len - (double)load->healthy;
    }
    ret_metrics[METRIC_MEMORY_UPS_WITHOUT_EFFECT] =
        (double)history->scaler.memory_ups_without_effect;
    if (!figure_is_known(ret_metrics[METRIC_MEMORY_USAGE])) {
        ret_metrics[METRIC_MEMORY_USAGE] = ret_metrics[METRIC_MEMORY_MAX];
    }
}

/* ---- The decision ---- */

void decide(struct history *history, const struct snapshot *snapshot, const struct policy *policy,
            struct decision *ret_decision) {
    struct moment moment = advance(history, snapshot->t);
    int64_t stale_after_ms = policy->balancer.stale_after_ms;
    struct load load;
    load_measure(snapshot, stale_after_ms, &load);
    double metrics[METRIC_COUNT];
    collect_metrics(history, snapshot, &load, stale_after_ms, metrics);
    rules_step(&history->rules, policy,
               &(struct scene){.snapshot = snapshot,
                               .metrics = metrics,
                               .stale_after_ms = stale_after_ms,
                               .now_ms = history->now_ms});
    struct alerts alerts = {policy->rules, &history->rules, policy->rules_len};
    recovery_look(&history->recovery, &alerts, snapshot, moment.now_ms, &ret_decision->calls);
    struct scale_request request = {
        .load = &load,
        .moment = moment,
        .wish = recovery_scale_wish(&history->recovery, &alerts, moment.now_ms),
        .is_idle = snapshot->is_standby,
    };
    ret_decision->t = snapshot->t;
    scaler_decide(&history->scaler, &policy->scaler, &request, &ret_decision->scale);
    recovery_choose(&history->recovery, &alerts, &ret_decision->scale, moment.now_ms,
                    &ret_decision->actions);
    if (!snapshot->is_standby) { /* what nobody runs starts no cooldown */
        recovery_note(&history->recovery, &ret_decision->actions, moment.now_ms);
    }
    for (int i = 0; i < REQUEST_COUNT; i++) {
        const struct node_figures *best =
            balancer_best(snapshot, (enum request_e)i, &policy->balancer);
        ret_decision->optimal[i] = best == NULL ? SLICE_NONE : best->id;
    }
}
