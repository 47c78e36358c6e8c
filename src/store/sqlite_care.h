/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection of its own to a SQLite store's file, for whoever looks after it beside the node that
 * serves it. SQLite takes turns with the writer. Statements are the caller's literals; parameters
 * are bound as text. Thread: one at a time.
 */
#ifndef TURNOUT_STORE_SQLITE_CARE_H
#define TURNOUT_STORE_SQLITE_CARE_H

#include "base/clock.h"

struct sqlite_care;

enum sqlite_care_e { SQLITE_CARE_LOOK /* read only */, SQLITE_CARE_CHANGE };

/* The file must be there. */
MAY_BLOCK enum err_e sqlite_care_open(const char *path, enum sqlite_care_e how,
                                      struct clock *clock, struct sqlite_care **ret_care,
                                      struct problem *ret_problem) MUST_CHECK;
MAY_BLOCK void sqlite_care_close(struct sqlite_care *care); /* NULL: nothing */

/* One row: its cells as text, NULL for null; gone after the call. False: no more are wanted. */
typedef bool (*sqlite_care_fn)(const char *const *cells, void *data);
enum { SQLITE_CARE_CELLS_MAX = 8, SQLITE_CARE_ARGS_MAX = 4 };

struct sqlite_care_ask {
    const char *sql;
    const char *args[SQLITE_CARE_ARGS_MAX]; /* a NULL ends them */
    int64_t timeout_ms;                     /* ERR_DEADLINE behind it */
    sqlite_care_fn fn;                      /* NULL: rows are read and passed over */
    void *data;
};
MAY_BLOCK enum err_e sqlite_care_ask(struct sqlite_care *care, const struct sqlite_care_ask *ask,
                                     struct problem *ret_problem) MUST_CHECK;

#endif
