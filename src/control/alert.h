/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of one alert, moved by one sample per snapshot. The states and their meaning are those
 * of Prometheus, with one difference: a missing sample does not resolve a firing alert. Whether
 * there are samples at all is a state of its own beside it. Both are drawn in alert.c. Pure.
 * Thread: the owner of the states.
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

/* X(NAME, word): whether there is anything to judge by. */
#define ALERT_DATA_TABLE(X)                                                                        \
    X(PRESENT, "present")                                                                          \
    X(MISSING, "missing")                                                                          \
    X(ABSENT, "absent")

#define X(name, text) ALERT_DATA_##name,
enum alert_data_e { ALERT_DATA_TABLE(X) };
#undef X

const char *alert_state_text(enum alert_state_e state);
const char *alert_data_text(enum alert_data_e data);

enum {
    ALERT_FLAP_FIRES = 5,                   /* so often within … */
    ALERT_FLAP_WINDOW_MS = 10 * 60 * 1000,  /* … this time is flapping */
};

struct alert {
    int state;              /* enum alert_state_e */
    int data;               /* enum alert_data_e */
    int64_t pending_at_ms;  /* first true sample of this run */
    int64_t false_since_ms; /* firing: start of the run of false samples; or TIME_NONE */
    int64_t missing_since_ms; /* start of the run of missing samples; or TIME_NONE */
    int64_t changed_ms;     /* the state's last move; TIME_NONE: none yet */
    int64_t fired_ms[ALERT_FLAP_FIRES]; /* the latest moves to FIRING, as a ring */
    uint64_t fires;         /* how often it has fired */
    double value;           /* the last sample; NAN when it was missing */
    bool is_true;           /* the last sample was there and the comparison held */
};

void alert_init(struct alert *alert);

/* One sample. Afterwards the state is what a decision shows: RESOLVED for this one step alone. */
void alert_step(struct alert *alert, const struct alert_rule *rule, double sample, int64_t now_ms);

/* What it was about is gone for good (a node that left): a firing alert resolves without a sample,
 * any other is inactive. */
void alert_withdraw(struct alert *alert, int64_t now_ms);

/* The rule is firing on a sample of this very step: only then may its action run. */
static inline bool alert_is_firing_now(const struct alert *alert) {
    return alert->state == ALERT_FIRING && alert->is_true;
}

/* It was seen not to fire: neither silence nor an alert that begins to hold says so. */
static inline bool alert_is_calm(const struct alert *alert) {
    return alert->state == ALERT_RESOLVED ||
           (alert->state == ALERT_INACTIVE && figure_is_known(alert->value));
}

/* Whether people are shown it: some built-in rules have nothing to say most of the time. */
static inline bool alert_is_listed(const struct alert_rule *rule, const struct alert *alert) {
    return !rule->disabled && (rule->listed == LISTED_ALWAYS || alert->state != ALERT_INACTIVE);
}

/* It fires and resolves so often that telling each of them would be noise. */
bool alert_is_flapping(const struct alert *alert, int64_t now_ms);

#endif
