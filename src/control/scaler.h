/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many nodes there should be. Averages over the healthy nodes, strict comparisons, whole nodes
 * in integer arithmetic; up wins over down; what is below the minimum or above the maximum is
 * mended at once. Missing figures scale nothing: for more nodes the average is over those that are
 * known, for fewer a silent node counts as 100 %. Pure. Thread: the owner of the history.
 */
#ifndef TURNOUT_CONTROL_SCALER_H
#define TURNOUT_CONTROL_SCALER_H

#include "control/policy.h"
#include "control/snapshot.h"

enum { REASON_SIZE = 384 }; /* room for the longest rule, subject and node */

/* What one snapshot says about the load, over healthy nodes whose figures are fresh. */
struct load {
    bool is_known;  /* the snapshot lists nodes */
    int64_t healthy;
    int64_t cpu_nodes; /* nodes that know their CPU */
    int64_t cpu_micro; /* their sum, in millionths of a per cent */
    int64_t memory_nodes;
    int64_t memory_micro;
};

void load_measure(const struct snapshot *snapshot, int64_t stale_after_ms, struct load *ret_load);

/* The deciders' own time: it stands still when the recording's goes back, and never does so
 * itself. */
struct moment {
    int64_t now_ms;
    bool after_gap; /* much longer since the last snapshot than between those before */
};

/* What alert rules want of the scaler. */
enum scale_wish_e {
    SCALE_WISH_NONE,
    SCALE_WISH_NO_FEWER, /* a rule that scales is firing: nobody leaves now */
    SCALE_WISH_MORE,     /* its action is due: one step up, unless a step was just made */
};

struct scaler_history {
    int64_t up_since_ms;   /* start of the unbroken run of decisions that ask for more */
    int64_t down_since_ms; /* … that allow fewer; TIME_NONE: there is no run */
    int64_t last_up_ms;
    int64_t last_change_ms;
    int64_t memory_up_nodes; /* nodes when memory alone asked for more the last time; 0: not open */
    int64_t memory_up_micro; /* its average then */
    int64_t memory_ups_without_effect;
};

struct scale_request {
    const struct load *load;
    struct moment moment;
    enum scale_wish_e wish;
    bool is_idle; /* the step is not carried out: it starts no cooldown */
};

enum wish_outcome_e {
    WISH_NOT_MADE,
    WISH_GRANTED,
    WISH_WAITS,      /* for the cooldown: ask again */
    WISH_IMPOSSIBLE, /* the maximum is reached, or the nodes are not known */
};

struct scale_decision {
    int64_t current; /* healthy nodes */
    int64_t desired;
    enum wish_outcome_e wish;
    char reason[REASON_SIZE]; /* "up: …", with the figures */
};

void scaler_history_init(struct scaler_history *history);
void scaler_decide(struct scaler_history *history, const struct scaler_policy *policy,
                   const struct scale_request *request, struct scale_decision *ret_decision);

/* n * factor in whole nodes, exactly: up to the next one, down to the last one. */
int64_t scale_up_from(int64_t nodes, int64_t factor_e4);
int64_t scale_down_from(int64_t nodes, int64_t factor_e4);

#endif
