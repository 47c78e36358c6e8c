/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One decision from one snapshot and what came before it. No clock, no I/O, no log: the same code
 * runs live, in `turnout control replay`, in tests and in the simulator, and the same snapshots in
 * the same order always give the same decisions. Thread: the owner of the history.
 */
#ifndef TURNOUT_CONTROL_DECIDE_H
#define TURNOUT_CONTROL_DECIDE_H

#include "control/balancer.h"
#include "control/recovery.h"

/* All that is remembered between decisions. */
struct history {
    bool has_begun;
    double last_t;
    int64_t now_ms;      /* the deciders' own time, from 0 */
    int64_t interval_ms; /* between snapshots, smoothed; 0: not known yet */
    struct scaler_history scaler;
    struct recovery_history recovery;
    struct rule_states rules;
};

struct decision {
    double t;
    struct slice optimal[REQUEST_COUNT]; /* node ids, borrowed from the snapshot; at NULL: none */
    struct scale_decision scale;
    struct actions actions;
    struct calls calls;
};

void history_init(struct history *history);

/* The alerts' states are in `history` afterwards. `policy` stays the same for one history. */
void decide(struct history *history, const struct snapshot *snapshot, const struct policy *policy,
            struct decision *ret_decision);

/* The decision as one JSON object, without a line feed. */
void decision_write(const struct decision *decision, const struct history *history,
                    const struct policy *policy, struct buf *to);

#endif
