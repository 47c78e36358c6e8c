/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether one gate of an event has far more scans than its siblings, where people could go instead,
 * and what that would bring. Pure; thread: a value.
 */
#ifndef TURNOUT_MONITOR_GATE_SKEW_H
#define TURNOUT_MONITOR_GATE_SKEW_H

#include "base/slice.h"
#include "domain/event.h"

enum {
    GATE_SKEW_TIMES = 3,       /* more than the siblings' average */
    GATE_SKEW_PER_MINUTE = 12, /* at least: a person every 5 seconds is about what one lane takes */
    GATE_SKEW_LISTED = 6,      /* gates that the evidence names */
    GATE_SKEW_LOADS_SIZE = GATE_SKEW_LISTED * (CODE_MAX + 24) + 8, /* with any counts */
};

struct gate_load {
    struct slice code;
    bool is_open;
    int64_t scans; /* in the minutes; refused ones too: they stood in the queue as well */
};

struct gate_skew {
    char event[CODE_MAX + 1];
    char gate[CODE_MAX + 1];
    double per_minute;          /* scans at it */
    double siblings_per_minute; /* on average, at the open ones that had any */
    char relief[CODE_MAX + 1];  /* the open gate with the fewest scans, else a closed one */
    bool relief_is_open;
    double relief_per_minute;
    double after_per_minute;   /* at each of the two, when they share */
    char loads[GATE_SKEW_LOADS_SIZE]; /* "g01 312, g02 18, g03 15": the busiest, in scans */
};

/* False: scans are spread evenly enough, or too few to say. `event` is at most CODE_MAX long, as
 * are the codes; `loads` is sorted, busiest first. */
bool gate_skew_find(struct slice event, struct gate_load *loads, size_t len, double minutes,
                    struct gate_skew *ret_skew);

#endif
