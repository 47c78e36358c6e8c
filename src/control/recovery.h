/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which automatic actions run at a decision. A rule's action is due while the rule fires on a fresh
 * sample and the action last ran its cooldown ago; an action that several rules ask for runs once.
 * When an action is told not to have helped, the rule climbs its ladder, and calls a person where
 * the ladder ends; what an earlier controller was told counts while the rule fires on, and what it
 * ran begins a cooldown as what runs here. Choosing is all that happens here: carrying out,
 * checking and undoing belong to the actuators. Pure. Thread: the owner of the history.
 */
#ifndef TURNOUT_CONTROL_RECOVERY_H
#define TURNOUT_CONTROL_RECOVERY_H

#include "control/rules.h"
#include "control/scaler.h"

enum {
    RUNGS_MAX = LADDER_MAX + 1,
    HARM_REST_MS = 60 * 60 * 1000, /* so long a rule does not ask again for what made it worse, or
                                      was refused */
    LOOKS_APART_MS = 10 * 1000,    /* by less than this two controllers see the same differently */
};

/* Of one rule. Drawn in recovery.c. */
struct climb {
    size_t rung;                     /* of the action that is asked for now */
    bool fires;                      /* at the last look */
    bool is_spent;                   /* its last one did not help, since it fires */
    bool is_called;                  /* a person, likewise */
    int64_t calm_ms;                 /* it was last seen not to fire; TIME_NONE: never was */
    int64_t barred_ms[RUNGS_MAX];    /* until then; TIME_NONE: never */
};

struct recovery_history {
    int64_t last_run_ms[ACTION_COUNT]; /* for a rule; TIME_NONE: never */
    struct climb climbs[ALERT_RULES_MAX];
};

/* The rules and their states, place by place. */
struct alerts {
    const struct alert_rule *rules;
    const struct rule_states *states;
    size_t len;
};

struct action {
    enum action_e action;
    int rule; /* the place of the rule that asked; -1: the scaler by itself */
    char node[NODE_ID_MAX + 1];       /* that it is about; empty: none in particular */
    char reason[2 * REASON_SIZE + 2]; /* a rule's and the scaler's, with "; " between them */
};
struct actions {
    struct action items[ACTION_COUNT];
    size_t len;
};

/* Rules whose actions have all been tried in vain: from here on it is a person's. */
struct calls {
    int rules[ALERT_RULES_MAX];
    size_t len;
};

void recovery_history_init(struct recovery_history *history);

/* Takes what became of earlier actions, and forgets about rules that do not fire any more. */
void recovery_look(struct recovery_history *history, const struct alerts *alerts,
                   const struct snapshot *snapshot, int64_t now_ms, struct calls *ret_calls);

/* What the rules want of the scaler now. */
enum scale_wish_e recovery_scale_wish(const struct recovery_history *history,
                                      const struct alerts *alerts, int64_t now_ms);

/* The actions of this decision in the order of ACTION_TABLE. */
void recovery_choose(const struct recovery_history *history, const struct alerts *alerts,
                     const struct scale_decision *scale, int64_t now_ms,
                     struct actions *ret_actions);
/* They run now: not those of a controller that stands by. */
void recovery_note(struct recovery_history *history, const struct actions *actions,
                   int64_t now_ms);

/* "slow: avg_query_time_ms 101 > 100 for 30 s", of what the rule sees now. */
void recovery_describe(const struct alerts *alerts, size_t rule, char ret_text[REASON_SIZE]);

#endif
