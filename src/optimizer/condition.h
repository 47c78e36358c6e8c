/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the text of a condition as PostgreSQL prints it in a plan, far enough to say which
 * columns an index could serve. Conservative: what is not understood is OTHER, never a guess.
 * Pure; thread: any; the slices point into the text.
 */
#ifndef TURNOUT_OPTIMIZER_CONDITION_H
#define TURNOUT_OPTIMIZER_CONDITION_H

#include "base/slice.h"

enum condition_e {
    CONDITION_EQUAL, /* column = value, = ANY (list), IS NULL: narrows an index to a run */
    CONDITION_RANGE, /* column < <= > >= value */
    CONDITION_WEAK,  /* <>, IS NOT NULL: seldom what makes a condition selective */
    CONDITION_OTHER,
};

struct condition_term {
    enum condition_e kind;
    struct slice column; /* as printed: quoted where it must be; empty for WEAK and OTHER */
    bool is_list;        /* column = ANY (list): an index finds it, but loses its order */
};

enum { CONDITION_TERMS_MAX = 16 };

/* The terms that AND joins. `alias` is the scan's own: columns of others are values to it. False
 * when there are more terms or words than are worth reading. An empty text has no terms. */
bool condition_read(struct slice text, struct slice alias,
                    struct condition_term terms[CONDITION_TERMS_MAX], size_t *ret_count);

/* Whether a function of time or a cast to a coarser time wraps a column: date_trunc('day', at),
 * EXTRACT(year FROM at), (at)::date. Partitions cannot be chosen by such a condition. */
bool condition_wraps_time(struct slice text, struct slice alias, struct slice *ret_column);

/* A sort key that is a plain column of the scan; direction and NULLS are left out. */
bool condition_sort_column(struct slice key, struct slice alias, struct slice *ret_column);

#endif
