/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the operations of a stream come: a Poisson process whose rate follows a curve, planned
 * without a look at how the server does. The same seed plans the same times. Pure.
 */
#ifndef LOADGEN_ARRIVALS_H
#define LOADGEN_ARRIVALS_H

#include "base/rng.h"
#include "load.h"

struct arrivals {
    const struct curve *curve;
    double factor;   /* times the curve's rate */
    double stretch;  /* seconds that a second of the load takes */
    double end_s;    /* of the load: nothing comes from then on */
    struct seeded_rng rng;
    double at_s;     /* of the load: the arrival given last */
};

/* Factor and stretch are 1, the end is open; set them (above 0) before the first arrival. */
void arrivals_init(struct arrivals *arrivals, const struct curve *curve, uint64_t seed);

/* Seconds since the start of the next arrival; INFINITY when there is none. */
double arrivals_next(struct arrivals *arrivals);

#endif
