/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drawn state machines: a table of the moves that are allowed, and one function that makes a move
 * or ends the process. Each machine keeps its diagram beside its table. Thread: that of the object
 * whose state it is.
 */
#ifndef TURNOUT_BASE_FSM_H
#define TURNOUT_BASE_FSM_H

#include "base/assert.h"

/* One bit a state: the states that may follow. Room for 32 states. */
struct fsm_row {
    const char *name;
    unsigned next;
};

#define FSM_TO(state) (1u << (state))

static inline void fsm_move(const struct fsm_row *rows, int *state, int next) {
    ASSERT((rows[*state].next & FSM_TO(next)) != 0);
    *state = next;
}

#endif
