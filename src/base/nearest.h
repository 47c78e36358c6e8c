/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "Did you mean": the known name that a mistyped one is nearest to. Pure. Thread: any.
 */
#ifndef TURNOUT_BASE_NEAREST_H
#define TURNOUT_BASE_NEAREST_H

#include "base/slice.h"

enum { NEAREST_LEN_MAX = 64 }; /* longer names are not compared: no name of ours is */

/* Feed every known name to nearest_offer; `best` is the nearest one, or NULL when none is near. */
struct nearest {
    struct slice wanted;
    const char *best;
    size_t distance; /* of best */
};
void nearest_init(struct nearest *nearest, struct slice wanted);
void nearest_offer(struct nearest *nearest, const char *name);

/* Letters to insert, delete, replace or swap with a neighbour to turn `a` into `b`
 * (optimal string alignment). Both at most NEAREST_LEN_MAX bytes. */
size_t nearest_distance(struct slice a, struct slice b);

#endif
