/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a SELECT asks of each of its tables, as far as an index could serve it: the columns that its
 * ANDed conditions compare, those that it sorts by, and those that it returns. Conservative: a
 * column that could be another table's, a condition under OR or around an expression, and whatever
 * a sub-query does are left out.
 * Pure; thread: any. Texts live in the arena.
 */
#ifndef TURNOUT_OPTIMIZER_QUERY_SHAPE_H
#define TURNOUT_OPTIMIZER_QUERY_SHAPE_H

#include "base/arena.h"

enum shape_use_e {
    SHAPE_EQUAL,    /* = value, = ANY, IN, = another table's column */
    SHAPE_RANGE,    /* < <= > >= BETWEEN */
    SHAPE_PATTERN,  /* LIKE ILIKE ~ ~* */
    SHAPE_TEXT,     /* @@ */
    SHAPE_CONTAINS, /* @> <@ && ? ?| ?& */
    SHAPE_NULL,     /* IS NULL */
    SHAPE_NOT_NULL,
    SHAPE_TRUE,     /* a boolean column alone, or IS TRUE */
    SHAPE_FALSE,
    SHAPE_SORT,
};

enum shape_direction_e { SHAPE_ASCENDING, SHAPE_DESCENDING };

struct shape_column {
    struct slice name;
    enum shape_use_e use;
    enum shape_direction_e direction; /* of a SORT */
    bool is_list;         /* EQUAL to any of several: the order behind it is lost */
    struct slice literal; /* of an EQUAL with a constant in the text, as SQL; else empty */
};

enum { SHAPE_COLUMNS_MAX = 24, SHAPE_RETURNED_MAX = 8, SHAPE_TABLES_MAX = 8 };

struct shape_table {
    struct slice schema; /* empty: by the search path */
    struct slice name;
    struct slice alias; /* or its name */
    struct shape_column columns[SHAPE_COLUMNS_MAX]; /* in the order written; sort last */
    size_t count;
    struct slice returned[SHAPE_RETURNED_MAX];
    size_t returned_count;
    bool returns_all; /* *, an expression, or more columns than are worth an index */
    bool has_limit;   /* the first rows by the sort are enough */
};

struct query_shape {
    struct shape_table tables[SHAPE_TABLES_MAX];
    size_t count;
};

/* Of one plain SELECT. ERR_NOT_FOUND: it is something else, or has too many tables: there is
 * nothing to say. ERR_INVALID_FIELD: no SQL. */
enum err_e query_shape_read(struct arena *arena, const char *sql, struct query_shape *ret_shape,
                            struct problem *ret_problem) MUST_CHECK;

#endif
