/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at a SQLite store from outside, beside a process that serves it: nothing is written, made
 * or migrated. For `turnout doctor`. Thread: any.
 */
#ifndef TURNOUT_STORE_SQLITE_INSPECT_H
#define TURNOUT_STORE_SQLITE_INSPECT_H

#include "base/clock.h"

enum sqlite_depth_e {
    SQLITE_LOOK,        /* header and a few rows */
    SQLITE_QUICK_CHECK, /* reads every page: PRAGMA quick_check */
};

struct sqlite_inspection {
    bool is_ours;             /* false: another program's file; the rest says nothing */
    int64_t schema;           /* version of the file's tables; 0: empty, filled at first use */
    int schema_known;         /* the newest that this build knows */
    char journal_mode[16];    /* "wal" once a store has opened it */
    int synchronous;          /* of the store's own connections: 2 is FULL; -1: not looked at */
    int64_t newest_record_ms; /* when the newest record was made; TIME_NONE: none */
    int64_t keys_valid;       /* API keys that are not revoked */
    char damage[160];         /* first finding of the quick check; empty: none, or not looked for */
};

const char *sqlite_library_version(void);

/* The file must exist. ERR_BAD_STORE and others with a sentence when it cannot be read. */
MAY_BLOCK enum err_e sqlite_inspect(const char *path, enum sqlite_depth_e depth,
                                    struct sqlite_inspection *ret_inspection,
                                    struct problem *ret_problem) MUST_CHECK;

#endif
