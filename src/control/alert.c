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
 * as it is and starts `keep_firing_for` again: a rule resolves on evidence. True means beyond the
 * threshold; while FIRING, beyond `clear`, which is never the narrower one.
 *
 *            missing             missing for `absent_after`
 *  PRESENT ─────────► MISSING ─────────────────────────────► ABSENT
 *     ▲  ▲               │                                     │
 *     │  └───────────────┘                                     │
 *     └────────────────────── a sample ────────────────────────┘
 */
#include "control/alert.h"

#include "base/assert.h"
#include "base/fsm.h"

#define X(name, text) text,
static const char *const state_words[] = {ALERT_STATE_TABLE(X)};
static const char *const data_words[] = {ALERT_DATA_TABLE(X)};
#undef X

static const struct fsm_row moves[] = {
    [ALERT_INACTIVE] = {"inactive", FSM_TO(ALERT_PENDING)},
    [ALERT_PENDING] = {"pending", FSM_TO(ALERT_INACTIVE) | FSM_TO(ALERT_FIRING)},
    [ALERT_FIRING] = {"firing", FSM_TO(ALERT_RESOLVED)},
    [ALERT_RESOLVED] = {"resolved", FSM_TO(ALERT_INACTIVE)},
};

static const struct fsm_row data_moves[] = {
    [ALERT_DATA_PRESENT] = {"present", FSM_TO(ALERT_DATA_MISSING)},
    [ALERT_DATA_MISSING] = {"missing", FSM_TO(ALERT_DATA_PRESENT) | FSM_TO(ALERT_DATA_ABSENT)},
    [ALERT_DATA_ABSENT] = {"absent", FSM_TO(ALERT_DATA_PRESENT)},
};

const char *alert_state_text(enum alert_state_e state) {
    return state_words[state];
}

const char *alert_data_text(enum alert_data_e data) {
    return data_words[data];
}

void alert_init(struct alert *alert) {
    *alert = (struct alert){.state = ALERT_INACTIVE,
                            .data = ALERT_DATA_MISSING,
                            .pending_at_ms = TIME_NONE,
                            .false_since_ms = TIME_NONE,
                            .missing_since_ms = TIME_NONE,
                            .changed_ms = TIME_NONE,
                            .value = FIGURE_MISSING};
}

/* Two figures with the same decimal text are the same double, so == means what it says. */
static bool holds(enum op_e op, double sample, double threshold) {
    switch (op) {
    case OP_ABOVE:
        return sample > threshold;
    case OP_AT_LEAST:
        return sample >= threshold;
    case OP_BELOW:
        return sample < threshold;
    case OP_AT_MOST:
        return sample <= threshold;
    case OP_EQUAL:
        return sample == threshold;
    case OP_NOT_EQUAL:
        return sample != threshold;
    }
    UNREACHABLE();
}

static bool is_true(const struct alert_rule *rule, double sample) {
    return figure_is_known(sample) && holds((enum op_e)rule->op, sample, rule->threshold);
}

/* What a firing rule has to be false by. */
static bool is_kept(const struct alert_rule *rule, double sample) {
    double clear = figure_is_known(rule->clear) ? rule->clear : rule->threshold;
    return !figure_is_known(sample) || holds((enum op_e)rule->op, sample, clear);
}

static void go(struct alert *alert, enum alert_state_e next, int64_t now_ms) {
    fsm_move(moves, &alert->state, next);
    alert->changed_ms = now_ms;
    if (next == ALERT_FIRING) {
        alert->fired_ms[alert->fires++ % ALERT_FLAP_FIRES] = now_ms;
        alert->false_since_ms = TIME_NONE;
    }
}

static void fire_when_long_enough(struct alert *alert, const struct alert_rule *rule,
                                  int64_t now_ms) {
    if (now_ms - alert->pending_at_ms >= rule->for_ms) {
        go(alert, ALERT_FIRING, now_ms);
    }
}

static void step_inactive(struct alert *alert, const struct alert_rule *rule, int64_t now_ms) {
    if (alert->is_true) {
        go(alert, ALERT_PENDING, now_ms);
        alert->pending_at_ms = now_ms;
        fire_when_long_enough(alert, rule, now_ms);
    }
}

static void step_pending(struct alert *alert, const struct alert_rule *rule, int64_t now_ms) {
    if (alert->is_true) {
        fire_when_long_enough(alert, rule, now_ms);
    } else {
        go(alert, ALERT_INACTIVE, now_ms);
    }
}

static void step_firing(struct alert *alert, const struct alert_rule *rule, int64_t now_ms) {
    if (is_kept(rule, alert->value)) {
        alert->false_since_ms = TIME_NONE;
        return;
    }
    if (alert->false_since_ms == TIME_NONE) {
        alert->false_since_ms = now_ms;
    }
    if (now_ms - alert->false_since_ms >= rule->keep_firing_for_ms) {
        go(alert, ALERT_RESOLVED, now_ms);
    }
}

static void step_data(struct alert *alert, const struct alert_rule *rule, int64_t now_ms) {
    if (figure_is_known(alert->value)) {
        alert->missing_since_ms = TIME_NONE;
        if (alert->data != ALERT_DATA_PRESENT) {
            fsm_move(data_moves, &alert->data, ALERT_DATA_PRESENT);
        }
        return;
    }
    if (alert->missing_since_ms == TIME_NONE) {
        alert->missing_since_ms = now_ms;
    }
    if (alert->data == ALERT_DATA_PRESENT) {
        fsm_move(data_moves, &alert->data, ALERT_DATA_MISSING);
    }
    if (alert->data == ALERT_DATA_MISSING && rule->absent_after_ms > 0 &&
        now_ms - alert->missing_since_ms >= rule->absent_after_ms) {
        fsm_move(data_moves, &alert->data, ALERT_DATA_ABSENT);
    }
}

void alert_step(struct alert *alert, const struct alert_rule *rule, double sample, int64_t now_ms) {
    alert->value = sample;
    alert->is_true = is_true(rule, sample);
    step_data(alert, rule, now_ms);
    if (alert->state == ALERT_RESOLVED) {
        go(alert, ALERT_INACTIVE, now_ms);
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

void alert_withdraw(struct alert *alert, int64_t now_ms) {
    alert->value = FIGURE_MISSING;
    alert->is_true = false;
    if (alert->state == ALERT_FIRING) {
        go(alert, ALERT_RESOLVED, now_ms);
    } else if (alert->state != ALERT_INACTIVE) {
        go(alert, ALERT_INACTIVE, now_ms);
    }
}

/* The place that the next firing would take holds the oldest of the last ALERT_FLAP_FIRES. */
bool alert_is_flapping(const struct alert *alert, int64_t now_ms) {
    int64_t oldest_ms = alert->fired_ms[alert->fires % ALERT_FLAP_FIRES];
    return alert->fires >= ALERT_FLAP_FIRES && now_ms - oldest_ms <= ALERT_FLAP_WINDOW_MS;
}
