/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A series of samples as a line of text, in the notation of promtool's rule tests:
 *
 *     5 7.5        two samples            _      a missing one
 *     5x3          5, and 3 more of it    _x3    three missing ones
 *     5+2x3        5 7 9 11               5-2x3  5 3 1 -1
 *
 * Pure. Thread: any.
 */
#ifndef TURNOUT_CONTROL_RULE_SERIES_H
#define TURNOUT_CONTROL_RULE_SERIES_H

#include "base/arena.h"

enum { RULE_SERIES_MAX = 100000 }; /* samples: more than a day at one a second */

struct rule_series {
    const double *at; /* NAN: missing */
    size_t len;
};

/* ERR_INVALID_FIELD says what is wrong with which piece; ERR_NO_MEMORY. */
enum err_e rule_series_read(struct arena *arena, struct slice text, struct rule_series *ret_series,
                            struct problem *ret_problem) MUST_CHECK;

#endif
