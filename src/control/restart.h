/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which node is started anew next, and whether it came back: one at a time, the one with the most
 * memory first, and no further once the rule that asked is calm. Drawn in restart.c. Pure; a
 * virtual clock serves. Thread: the owner of the state.
 */
#ifndef TURNOUT_CONTROL_RESTART_H
#define TURNOUT_CONTROL_RESTART_H

#include "control/snapshot.h"

enum { RESTART_NODES_MAX = 128, RESTART_DETAIL_SIZE = 256 };

struct restart_node {
    struct slice id;
    bool is_healthy;
    bool can;              /* a new process can take over from it */
    int64_t started_at_ms; /* of its process, as it tells; TIME_NONE: not known */
    double memory;
};

/* What is seen at a look. */
struct restart_view {
    const struct restart_node *nodes;
    size_t len;
    struct slice only; /* this one alone; empty: any */
    bool is_calm;      /* the rule that asked does not hold any more */
    int64_t now_ms;    /* monotonic */
    int64_t wall_ms;
};

struct restart_pace {
    int64_t young_ms;  /* a process that began later than that ago is left alone */
    int64_t within_ms; /* a node must be back by then */
    int64_t settle_ms; /* and healthy for this long before the next one */
};

struct restart {
    int state; /* restart_state_e */
    char node[NODE_ID_MAX + 1];
    int64_t was_started_ms;      /* of the process that is to go */
    int64_t asked_ms, healthy_ms;
    char turned[RESTART_NODES_MAX][NODE_ID_MAX + 1];
    size_t turned_len;
};

/* Why none can be started anew now: a sentence; false when one can. */
bool restart_refuse(const struct restart_view *view, const struct restart_pace *pace,
                    char ret_why[RESTART_DETAIL_SIZE]);

enum restart_step_e {
    RESTART_WAITS,
    RESTART_ASKS, /* `node` is to be told */
    RESTART_DONE,
    RESTART_FAILED,
};
void restart_begin(struct restart *restart);
enum restart_step_e restart_step(struct restart *restart, const struct restart_view *view,
                                 const struct restart_pace *pace,
                                 char ret_detail[RESTART_DETAIL_SIZE]);
/* The node that was told and is not back; NULL: none. */
const char *restart_waits_for(const struct restart *restart);

#endif
