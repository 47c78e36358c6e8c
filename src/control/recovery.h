/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which automatic actions run at a decision. A rule's action is due while the rule fires on a fresh
 * sample and the action last ran its cooldown ago; an action that several rules ask for runs once.
 * Choosing is all that happens here: carrying out, checking and undoing belong to the actuators.
 * Pure. Thread: the owner of the history.
 */
#ifndef TURNOUT_CONTROL_RECOVERY_H
#define TURNOUT_CONTROL_RECOVERY_H

#include "control/alert.h"
#include "control/scaler.h"

struct recovery_history {
    int64_t last_run_ms[ACTION_COUNT]; /* for a rule; TIME_NONE: never */
};

/* The rules and their states, place by place. */
struct alerts {
    const struct alert_rule *rules;
    const struct alert *states;
    size_t len;
};

struct action {
    enum action_e action;
    int rule; /* the place of the rule that asked; -1: the scaler by itself */
    char reason[2 * REASON_SIZE + 2]; /* a rule's and the scaler's, with "; " between them */
};
struct actions {
    struct action items[ACTION_COUNT];
    size_t len;
};

void recovery_history_init(struct recovery_history *history);

/* What the rules want of the scaler now. */
enum scale_wish_e recovery_scale_wish(const struct recovery_history *history,
                                      const struct alerts *alerts, int64_t now_ms);

/* The actions of this decision in the order of ACTION_TABLE, and remembers that they ran. */
void recovery_choose(struct recovery_history *history, const struct alerts *alerts,
                     const struct scale_decision *scale, int64_t now_ms,
                     struct actions *ret_actions);

#endif
