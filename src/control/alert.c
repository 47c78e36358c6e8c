/* SPDX-License-Identifier: Apache-2.0 */
/*
 *            true                 true for `for`
 *  INACTIVE ───────► PENDING ───────────────────► FIRING
 *     ▲  ▲              │                           │ false for `keep_firing_for`
 *     │  └──────────────┘                           ▼
 *     │    false, missing                        RESOLVED
 *     └─────────────────────────────────────────────┘
 *                    the next sample
 *
 * With `for = 0s` a rule passes through PENDING within one sample. A missing sample leaves FIRING
 * as it is and starts `keep_firing_for` again: a rule resolves on evidence.
 */
#include "control/alert.h"

#include "base/assert.h"
#include "base/fsm.h"

#define X(name, text) text,
static const char *const state_words[] = {ALERT_STATE_TABLE(X)};
#undef X

static const struct fsm_row moves[] = {
    [ALERT_INACTIVE] = {"inactive", FSM_TO(ALERT_PENDING)},
    [ALERT_PENDING] = {"pending", FSM_TO(ALERT_INACTIVE) | FSM_TO(ALERT_FIRING)},
    [ALERT_FIRING] = {"firing", FSM_TO(ALERT_RESOLVED)},
    [ALERT_RESOLVED] = {"resolved", FSM_TO(ALERT_INACTIVE)},
};

const char *alert_state_text(enum alert_state_e state) {
    return state_words[state];
}

void alert_init(struct alert *alert) {
    *alert = (struct alert){.state = ALERT_INACTIVE,
                            .pending_at_ms = TIME_NONE,
                            .false_since_ms = TIME_NONE,
                            .value = FIGURE_MISSING};
}

/* Two figures with the same decimal text are the same double, so == means what it says. */
static bool holds(const struct alert_rule *rule, double sample) {
    switch ((enum op_e)rule->op) {
    case OP_ABOVE:
        return sample > rule->threshold;
    case OP_AT_LEAST:
        return sample >= rule->threshold;
    case OP_BELOW:
        return sample < rule->threshold;
    case OP_AT_MOST:
        return sample <= rule->threshold;
    case OP_EQUAL:
        return sample == rule->threshold;
    case OP_NOT_EQUAL:
        return sample != rule->threshold;
    }
    UNREACHABLE();
}

static void go(struct alert *alert, enum alert_state_e next) {
    fsm_move(moves, &alert->state, next);
}

static void fire_when_long_enough(struct alert *alert, const struct alert_rule *rule,
                                  int64_t now_ms) {
    if (now_ms - alert->pending_at_ms >= rule->for_ms) {
        go(alert, ALERT_FIRING);
        alert->false_since_ms = TIME_NONE;
    }
}

static void step_inactive(struct alert *alert, const struct alert_rule *rule, int64_t now_ms) {
    if (alert->is_true) {
        go(alert, ALERT_PENDING);
        alert->pending_at_ms = now_ms;
        fire_when_long_enough(alert, rule, now_ms);
    }
}

static void step_pending(struct alert *alert, const struct alert_rule *rule, int64_t now_ms) {
    if (alert->is_true) {
        fire_when_long_enough(alert, rule, now_ms);
    } else {
        go(alert, ALERT_INACTIVE);
    }
}

static void step_firing(struct alert *alert, const struct alert_rule *rule, int64_t now_ms) {
    if (alert->is_true || !figure_is_known(alert->value)) {
        alert->false_since_ms = TIME_NONE;
        return;
    }
    if (alert->false_since_ms == TIME_NONE) {
        alert->false_since_ms = now_ms;
    }
    if (now_ms - alert->false_since_ms >= rule->keep_firing_for_ms) {
        go(alert, ALERT_RESOLVED);
    }
}

void alert_step(struct alert *alert, const struct alert_rule *rule, double sample, int64_t now_ms) {
    alert->value = sample;
    alert->is_true = figure_is_known(sample) && holds(rule, sample);
    if (alert->state == ALERT_RESOLVED) {
        go(alert, ALERT_INACTIVE);
    }
    switch ((enum alert_state_e)alert->state) {
    case ALERT_INACTIVE:
        step_inactive(alert, rule, now_ms);
        return;
    case ALERT_PENDING:
        step_pending(alert, rule, now_ms);
        return;
    case ALERT_FIRING:
        step_firing(alert, rule, now_ms);
        return;
    case ALERT_RESOLVED:
        break;
    }
    UNREACHABLE();
}
