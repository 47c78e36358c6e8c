/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast a figure changes: the change a second between now and a while ago. Points are kept a
 * sixteenth of that while apart, so the memory is the same for any length of it. Pure.
 * Thread: the owner's.
 */
#ifndef TURNOUT_CONTROL_TREND_H
#define TURNOUT_CONTROL_TREND_H

#include <stddef.h>
#include <stdint.h>

enum { TREND_PARTS = 16, TREND_POINTS = 2 * TREND_PARTS + 2 };

struct trend {
    struct trend_point {
        int64_t at_ms;
        double value;
    } points[TREND_POINTS]; /* a ring, by time */
    size_t first, len;
};

void trend_init(struct trend *trend);

/*
 * Takes a sample (NAN: it is missing) and returns the change a second since the youngest point that
 * is at least `over_ms` old; NAN when the sample is missing or there is no such point younger than
 * twice that: after a start and after a gap nothing is known for a while. Times never go back.
 */
double trend_step(struct trend *trend, double sample, int64_t now_ms, int64_t over_ms);

#endif
