/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread that does one thing, again and again: at a pace, sooner when it is woken, until it is
 * told to stop. What it does may block; stopping waits for it. All signals are blocked on it.
 * Thread: start and stop from one, wake from any.
 */
#ifndef TURNOUT_IO_PACER_H
#define TURNOUT_IO_PACER_H

#include "base/clock.h"

struct pacer;

struct pacer_options {
    const char *name;          /* of the thread, at most 15 characters */
    int64_t every_ms;          /* from the beginning of one turn to that of the next; a turn that
                                  takes longer is followed by the next at once */
    void (*turn)(void *data);  /* on the thread */
    void *data;
};

/* NULL without memory. */
struct pacer *pacer_start(const struct pacer_options *options) MUST_CHECK;
void pacer_wake(struct pacer *pacer); /* the next turn begins when the present one ends */
MAY_BLOCK void pacer_stop(struct pacer *pacer); /* and frees it; NULL: nothing */

#endif
