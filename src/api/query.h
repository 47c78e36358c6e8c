/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A query string, taken apart: names and values decoded, checked to be UTF-8, each name once.
 * Pure; what it yields lives in the arena. Thread: any.
 */
#ifndef TURNOUT_API_QUERY_H
#define TURNOUT_API_QUERY_H

#include "base/arena.h"

enum { QUERY_PARAMS_MAX = 32 }; /* no route takes more than ten; unknown ones are ignored */

struct query {
    size_t len;
    struct {
        struct slice name, value;
    } params[QUERY_PARAMS_MAX];
};

/* `text` is raw, without the question mark. ERR_INVALID_FIELD for a broken escape, bytes that are
 * not UTF-8, a name given twice or too many names. */
enum err_e query_parse(struct arena *arena, struct slice text, struct query *ret_query,
                       struct problem *ret_problem) MUST_CHECK;

/* False when there is no such parameter; an empty value is a value. */
bool query_get(const struct query *query, const char *name, struct slice *ret_value);

/* A whole number lo..hi; `*value` keeps its default when the parameter is absent. */
struct query_range {
    int64_t lo, hi;
};
enum err_e query_int(const struct query *query, const char *name, struct query_range range,
                     int64_t *value, struct problem *ret_problem) MUST_CHECK;
/* RFC 3339; `*value_ms` keeps its default when the parameter is absent. A plus before the offset
 * that arrived as a space is read as the plus it was. */
enum err_e query_time(const struct query *query, const char *name, int64_t *value_ms,
                      struct problem *ret_problem) MUST_CHECK;

#endif
