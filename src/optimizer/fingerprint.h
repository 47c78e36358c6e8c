/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQL as PostgreSQL's own parser reads it (libpg-query, which is seen here alone): what tells two
 * statements apart whatever their constants and spacing, and the tree of one.
 * Pure but for the parser's memory, which is freed before a call ends. Thread: any, one call each.
 */
#ifndef TURNOUT_OPTIMIZER_FINGERPRINT_H
#define TURNOUT_OPTIMIZER_FINGERPRINT_H

#include "base/arena.h"

enum {
    SQL_TEXT_MAX = 256 * 1024, /* a longer statement is not read: it was generated */
    FINGERPRINT_SIZE = 17,     /* 16 hexadecimal digits and NUL */
};

/* ERR_INVALID_FIELD: it is too long or no SQL, with the parser's words. */
enum err_e sql_fingerprint(const char *sql, char ret_text[FINGERPRINT_SIZE],
                           struct problem *ret_problem) MUST_CHECK;

/* The parse tree as a JSON document, in the arena. */
enum err_e sql_tree(struct arena *arena, const char *sql, struct slice *ret_json,
                    struct problem *ret_problem) MUST_CHECK;

#endif
