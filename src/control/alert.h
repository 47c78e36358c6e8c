/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of every alert rule, moved by one sample per snapshot. The states and their meaning are
 * those of Prometheus, with one difference: a missing sample does not resolve a firing rule, it
 * keeps the state and is reported as absent. Pure. Thread: the owner of the states.
 */
#ifndef TURNOUT_CONTROL_ALERT_H
#define TURNOUT_CONTROL_ALERT_H

#include "control/policy.h"

#define ALERT_STATE_TABLE(X)                                                                       \
    X(INACTIVE, "inactive")                                                                        \
    X(PENDING, "pending")                                                                          \
    X(FIRING, "firing")                                                                            \
    X(RESOLVED, "resolved")

#define X(name, text) ALERT_##name,
enum alert_state_e { ALERT_STATE_TABLE(X) };
#undef X

const char *alert_state_text(enum alert_state_e state);

struct alert {
    int state;              /* enum alert_state_e */
    int64_t pending_at_ms;  /* first true sample of this run */
    int64_t false_since_ms; /* firing: start of the run of false samples; or TIME_NONE */
    double value;           /* the last sample; NAN when it was missing */
    bool is_true;           /* the last sample was there and the comparison held */
};


void alert_init(struct alert *alert);

/* One sample. Afterwards the state is what a decision shows: RESOLVED for this one step alone. */
void alert_step(struct alert *alert, const struct alert_rule *rule, double sample, int64_t now_ms);

/* The rule is firing on a sample of this very step: only then may its action run. */
static inline bool alert_is_firing_now(const struct alert *alert) {
    return alert->state == ALERT_FIRING && alert->is_true;
}

#endif
