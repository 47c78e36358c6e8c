/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A decision, in this order; the first that applies is taken:
 *
 *   nodes not known ──────────────────────────► missing   nothing
 *   fewer than min ───────────────────────────► minimum   min, at once
 *   more than max ────────────────────────────► maximum   max, at once
 *   CPU or memory above, or an alert's wish ──► up        unless maximum, hold_up, cooldown_up
 *   CPU and memory below ─────────────────────► down      unless minimum, hold_down, cooldown_down
 *   otherwise ────────────────────────────────► steady    nothing
 *
 * Invariants (tests/unit/control checks them over simulated days):
 *   1. When nodes are known, desired is within min..max.
 *   2. Two ups are cooldown_up apart; a down is cooldown_down after any change by load.
 *   3. A down has a run of decisions behind it, hold_down long and without a gap, that all allow
 *      it.
 */
#include "control/scaler.h"

#include "base/assert.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

enum {
    MICRO = 1000000,
    E4 = 10000,
    /* More nodes share CPU but each brings its own memory: two steps in vain are enough to know. */
    MEMORY_UPS_MAX = 2,
};
static const int64_t memory_effect_micro = 5LL * MICRO; /* points that a step must lower memory */

/* What the load asks for before holds, cooldowns and limits. */
struct signals {
    bool up_cpu;
    bool up_memory;
    bool down;
};

int64_t scale_up_from(int64_t nodes, int64_t factor_e4) {
    return (nodes * factor_e4 + E4 - 1) / E4;
}

int64_t scale_down_from(int64_t nodes, int64_t factor_e4) {
    return nodes * factor_e4 / E4;
}

void scaler_history_init(struct scaler_history *history) {
    *history = (struct scaler_history){.up_since_ms = TIME_NONE,
                                       .down_since_ms = TIME_NONE,
                                       .last_up_ms = TIME_NONE,
                                       .last_change_ms = TIME_NONE};
}

void load_measure(const struct snapshot *snapshot, int64_t stale_after_ms, struct load *ret_load) {
    *ret_load = (struct load){.is_known = snapshot->has_nodes};
    for (size_t i = 0; i < snapshot->nodes_len; i++) {
        const struct node_figures *node = &snapshot->nodes[i];
        if (!node->healthy) {
            continue;
        }
        ret_load->healthy++;
        bool fresh = !node_is_stale(node, stale_after_ms);
        if (fresh && figure_is_known(node->cpu)) {
            ret_load->cpu_nodes++;
            ret_load->cpu_micro += llround(node->cpu * MICRO);
        }
        if (fresh && figure_is_known(node->memory)) {
            ret_load->memory_nodes++;
            ret_load->memory_micro += llround(node->memory * MICRO);
        }
    }
}

static double average(int64_t sum_micro, int64_t nodes) {
    return nodes == 0 ? 0 : (double)sum_micro / MICRO / (double)nodes;
}

static double percent(int64_t micro) {
    return (double)micro / MICRO;
}

/* The sum over all healthy nodes if those that are silent were at their limit: the silent one may
 * be the busy one. Kubernetes' HorizontalPodAutoscaler takes missing metrics the same way. */
static int64_t worst_sum(int64_t sum_micro, int64_t known, int64_t healthy) {
    return sum_micro + (healthy - known) * 100 * MICRO;
}

static struct signals read_signals(const struct load *load, const struct scaler_policy *policy) {
    int64_t worst_cpu = worst_sum(load->cpu_micro, load->cpu_nodes, load->healthy);
    int64_t worst_memory = worst_sum(load->memory_micro, load->memory_nodes, load->healthy);
    return (struct signals){
        .up_cpu = load->cpu_micro > policy->up_cpu_micro * load->cpu_nodes,
        .up_memory = load->memory_micro > policy->up_memory_micro * load->memory_nodes,
        .down = load->cpu_nodes > 0 && worst_cpu < policy->down_cpu_micro * load->healthy &&
                load->memory_nodes > 0 && worst_memory < policy->down_memory_micro * load->healthy,
    };
}

static void run_follow(int64_t *since_ms, bool asked, const struct moment *moment) {
    if (!asked) {
        *since_ms = TIME_NONE;
    } else if (*since_ms == TIME_NONE || moment->after_gap) {
        *since_ms = moment->now_ms;
    }
}

/* Milliseconds of `span` that are still to pass since `since`; 0: it is over, or never began. */
static int64_t still_to_wait(int64_t since_ms, int64_t span_ms, int64_t now_ms) {
    if (since_ms == TIME_NONE || now_ms - since_ms >= span_ms) {
        return 0;
    }
    return span_ms - (now_ms - since_ms);
}

/* A step towards `wanted`, no longer than max_step allows. */
static int64_t step_towards(int64_t nodes, int64_t wanted, const struct scaler_policy *policy) {
    int64_t most = policy->max_step;
    if (most == 0) {
        return wanted;
    }
    if (wanted > nodes) {
        return wanted - nodes > most ? nodes + most : wanted;
    }
    return nodes - wanted > most ? nodes - most : wanted;
}

static void say(struct scale_decision *decision, const char *format, ...) PRINTF_LIKE(2, 3);
static void say(struct scale_decision *decision, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(decision->reason, sizeof decision->reason, format, args);
    va_end(args);
}

/* ---- Up ---- */

/* Did the last step that memory alone asked for help? Judged once its nodes have come. */
static void judge_memory_step(struct scaler_history *history, const struct load *load) {
    if (history->memory_up_nodes == 0 || load->healthy <= history->memory_up_nodes) {
        return;
    }
    int64_t now_micro = load->memory_micro / load->memory_nodes;
    bool helped = history->memory_up_micro - now_micro >= memory_effect_micro;
    history->memory_ups_without_effect = helped ? 0 : history->memory_ups_without_effect + 1;
    history->memory_up_nodes = 0;
}

/* True when memory asks in vain: two steps did not lower it. */
static bool memory_is_past_helping(struct scaler_history *history, const struct signals *signals,
                                   const struct load *load, int64_t wait_ms) {
    if (!signals->up_memory) {
        if (load->memory_nodes > 0) { /* it fell by itself; silence proves nothing */
            history->memory_up_nodes = 0;
            history->memory_ups_without_effect = 0;
        }
        return false;
    }
    if (wait_ms == 0) { /* new nodes fill up while the cooldown runs: judged at its end */
        judge_memory_step(history, load);
    }
    return history->memory_ups_without_effect >= MEMORY_UPS_MAX;
}

static void describe_cause(const struct signals *signals, const struct load *load,
                           const struct scaler_policy *policy, char ret_text[REASON_SIZE / 2]) {
    if (signals->up_cpu) {
        snprintf(ret_text, REASON_SIZE / 2, "average CPU %.6g %% is above %.6g %%",
                 average(load->cpu_micro, load->cpu_nodes), percent(policy->up_cpu_micro));
    } else if (signals->up_memory) {
        snprintf(ret_text, REASON_SIZE / 2, "average memory %.6g %% is above %.6g %%",
                 average(load->memory_micro, load->memory_nodes), percent(policy->up_memory_micro));
    } else {
        snprintf(ret_text, REASON_SIZE / 2, "an alert rule asks for more nodes");
    }
}

static void take_up(struct scaler_history *history, const struct signals *signals,
                    const struct scale_request *request, struct scale_decision *decision) {
    int64_t now_ms = request->moment.now_ms;
    if (request->is_idle) {
        return;
    }
    history->last_up_ms = now_ms;
    history->last_change_ms = now_ms;
    history->up_since_ms = TIME_NONE;
    history->down_since_ms = TIME_NONE;
    if (signals->up_memory && !signals->up_cpu) {
        history->memory_up_nodes = decision->current;
        history->memory_up_micro = request->load->memory_micro / request->load->memory_nodes;
    }
}

/* True when this decision is about more nodes, whether they come or not. */
static bool decide_up(struct scaler_history *history, const struct scaler_policy *policy,
                      const struct scale_request *request, struct signals signals,
                      struct scale_decision *decision) {
    int64_t nodes = decision->current;
    int64_t now_ms = request->moment.now_ms;
    int64_t wait_ms = still_to_wait(history->last_up_ms, policy->cooldown_up_ms, now_ms);
    bool wished = request->wish == SCALE_WISH_MORE;
    bool in_vain = memory_is_past_helping(history, &signals, request->load, wait_ms);
    bool asked = signals.up_cpu || (signals.up_memory && !in_vain);
    run_follow(&history->up_since_ms, asked, &request->moment);
    if (!asked && !wished) {
        if (in_vain) {
            say(decision,
                "steady: average memory %.6g %% did not fall in %d steps, more nodes do not help",
                average(request->load->memory_micro, request->load->memory_nodes), MEMORY_UPS_MAX);
        }
        return in_vain;
    }
    char cause[REASON_SIZE / 2];
    describe_cause(&signals, request->load, policy, cause);
    int64_t hold_ms = wished ? 0 : still_to_wait(history->up_since_ms, policy->hold_up_ms, now_ms);
    if (nodes == policy->max) {
        decision->wish = wished ? WISH_IMPOSSIBLE : WISH_NOT_MADE;
        say(decision, "maximum: %s, and %" PRId64 " nodes are the most allowed", cause, nodes);
    } else if (wait_ms > 0) {
        decision->wish = wished ? WISH_WAITS : WISH_NOT_MADE;
        say(decision, "cooldown: %s, and the last step up has %.6g s left", cause,
            (double)wait_ms / 1000);
    } else if (hold_ms > 0) {
        say(decision, "hold: %s, and must stay so for %.6g s more", cause, (double)hold_ms / 1000);
    } else {
        int64_t wanted = scale_up_from(nodes, policy->up_factor_e4);
        decision->desired =
            step_towards(nodes, wanted > policy->max ? policy->max : wanted, policy);
        decision->wish = wished ? WISH_GRANTED : WISH_NOT_MADE;
        say(decision, "up: %s, so %" PRId64 " nodes become %" PRId64, cause, nodes,
            decision->desired);
        take_up(history, &signals, request, decision);
    }
    return true;
}

/* ---- Down ---- */

/* Fewer nodes, as the factor, the minimum and the step say; never so few that the rest would be
 * asked for more at once. */
static int64_t fewer_nodes(const struct load *load, const struct scaler_policy *policy) {
    int64_t wanted = scale_down_from(load->healthy, policy->down_factor_e4);
    wanted = wanted < policy->min ? policy->min : wanted;
    wanted = step_towards(load->healthy, wanted, policy);
    int64_t sum_micro = worst_sum(load->cpu_micro, load->cpu_nodes, load->healthy);
    while (wanted < load->healthy && sum_micro > policy->up_cpu_micro * wanted) {
        wanted++;
    }
    return wanted;
}

static void decide_down(struct scaler_history *history, const struct scaler_policy *policy,
                        const struct scale_request *request, struct scale_decision *decision) {
    const struct load *load = request->load;
    int64_t now_ms = request->moment.now_ms;
    int64_t hold_ms = still_to_wait(history->down_since_ms, policy->hold_down_ms, now_ms);
    int64_t wait_ms = still_to_wait(history->last_change_ms, policy->cooldown_down_ms, now_ms);
    char cause[REASON_SIZE / 2];
    snprintf(cause, sizeof cause, "average CPU %.6g %% and memory %.6g %% are low",
             average(load->cpu_micro, load->cpu_nodes),
             average(load->memory_micro, load->memory_nodes));
    int64_t wanted = fewer_nodes(load, policy);
    if (load->healthy == policy->min || wanted == load->healthy) {
        say(decision, "minimum: %s, and %" PRId64 " nodes are the fewest that will do", cause,
            load->healthy);
    } else if (request->wish != SCALE_WISH_NONE) {
        say(decision, "hold: %s, and an alert rule that scales is firing", cause);
    } else if (hold_ms > 0) {
        say(decision, "hold: %s, and must stay so for %.6g s more", cause, (double)hold_ms / 1000);
    } else if (wait_ms > 0) {
        say(decision, "cooldown: %s, and the last change has %.6g s left", cause,
            (double)wait_ms / 1000);
    } else {
        decision->desired = wanted;
        say(decision, "down: %s, so %" PRId64 " nodes become %" PRId64, cause, load->healthy,
            wanted);
        history->last_change_ms = request->is_idle ? history->last_change_ms : now_ms;
        history->down_since_ms = request->is_idle ? history->down_since_ms : TIME_NONE;
    }
}

/* ---- All of it ---- */

/* True when the number itself is wrong, whatever the load. It is no scaling by load, so it starts
 * no cooldown: a lost node is replaced and a rush is still answered. */
static bool mend_limits(struct scaler_history *history, const struct scaler_policy *policy,
                        const struct scale_request *request, struct scale_decision *decision) {
    int64_t nodes = decision->current;
    bool wished = request->wish == SCALE_WISH_MORE;
    if (nodes >= policy->min && nodes <= policy->max) {
        return false;
    }
    history->up_since_ms = TIME_NONE;
    history->down_since_ms = TIME_NONE;
    if (nodes < policy->min) {
        decision->desired = policy->min;
        decision->wish = wished ? WISH_GRANTED : WISH_NOT_MADE;
        say(decision, "minimum: healthy nodes are %" PRId64 ", fewer than %" PRId64, nodes,
            policy->min);
        return true;
    }
    decision->desired = policy->max;
    decision->wish = wished ? WISH_IMPOSSIBLE : WISH_NOT_MADE;
    say(decision, "maximum: healthy nodes are %" PRId64 ", more than %" PRId64, nodes, policy->max);
    return true;
}

static void say_steady(const struct load *load, struct scale_decision *decision) {
    if (load->cpu_nodes == 0 && load->memory_nodes == 0) {
        say(decision, "missing: no healthy node gives its CPU or memory");
    } else if (load->cpu_nodes < load->healthy || load->memory_nodes < load->healthy) {
        say(decision, "steady: the figures of %" PRId64 " of %" PRId64 " nodes ask for no change",
            load->cpu_nodes < load->memory_nodes ? load->cpu_nodes : load->memory_nodes,
            load->healthy);
    } else {
        say(decision, "steady: average CPU %.6g %% and memory %.6g %% are within the limits",
            average(load->cpu_micro, load->cpu_nodes),
            average(load->memory_micro, load->memory_nodes));
    }
}

void scaler_decide(struct scaler_history *history, const struct scaler_policy *policy,
                   const struct scale_request *request, struct scale_decision *ret_decision) {
    const struct load *load = request->load;
    *ret_decision = (struct scale_decision){.current = load->healthy, .desired = load->healthy};
    if (!load->is_known) {
        history->up_since_ms = TIME_NONE;
        history->down_since_ms = TIME_NONE;
        ret_decision->wish =
            request->wish == SCALE_WISH_MORE ? WISH_IMPOSSIBLE : WISH_NOT_MADE;
        say(ret_decision, "missing: the snapshot lists no nodes");
        return;
    }
    if (mend_limits(history, policy, request, ret_decision)) {
        return;
    }
    struct signals signals = read_signals(load, policy);
    run_follow(&history->down_since_ms, signals.down, &request->moment);
    if (decide_up(history, policy, request, signals, ret_decision)) {
        return;
    }
    if (signals.down) {
        decide_down(history, policy, request, ret_decision);
    } else {
        say_steady(load, ret_decision);
    }
}
