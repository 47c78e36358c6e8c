/* SPDX-License-Identifier: Apache-2.0 */
/* What scan.c and batch.c share. Thread: the loop. */
#ifndef TURNOUT_CHECKIN_CHECKIN_PRIV_H
#define TURNOUT_CHECKIN_CHECKIN_PRIV_H

#include "base/fsm.h"
#include "base/pool.h"
#include "checkin/checkin.h"

struct checkin {
    struct loop *loop;
    struct store *store;
    struct checkin_options options;
    struct pool jobs; /* of struct scan_job */
    size_t batches;   /* not yet freed */
};

int64_t checkin_deadline_us(const struct checkin *checkin); /* for an operation submitted now */

#endif
