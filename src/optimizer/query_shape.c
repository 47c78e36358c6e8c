/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A walk over the tree of a SELECT: FROM gives the tables, WHERE and the joins' ON the conditions,
 * ORDER BY and the list of results the rest. Only the top level of ANDs is read.
 */
#include "optimizer/query_shape.h"

#include "base/json.h"
#include "optimizer/fingerprint.h"

#include <stdio.h>

enum { DEPTH_MAX = 200 /* of joins and ANDs within each other */ };

struct reader {
    struct arena *arena;
    struct query_shape *shape;
    enum err_e err; /* ERR_NOT_FOUND: no statement for us; ERR_NO_MEMORY */
};

/* ── the tree ── */

/* {"ColumnRef":{…}}: the node's content when it is of that kind. */
static const struct json_t *node_of(const struct json_t *node, const char *kind) {
    return node == NULL ? NULL : json_get(node, kind);
}

/* The text of element `i` of a list of names. */
static struct slice name_at(const struct json_t *list, size_t i) {
    return json_text_at(node_of(json_at(list, i), "String"), "sval", SLICE_NONE);
}

/* ── columns ── */

static struct shape_table *table_of(struct reader *r, struct slice alias) {
    for (size_t i = 0; i < r->shape->count; i++) {
        if (slice_eq(r->shape->tables[i].alias, alias)) {
            return &r->shape->tables[i];
        }
    }
    return NULL;
}

/* A plain column of a known table; NULL otherwise. A cast around it is none: no index serves it. */
static struct shape_table *column_of(struct reader *r, const struct json_t *node,
                                     struct slice *ret_name) {
    const struct json_t *fields = json_get(node, "ColumnRef") == NULL
                                      ? NULL
                                      : json_get(node_of(node, "ColumnRef"), "fields");
    size_t count = fields == NULL ? 0 : json_count(fields);
    if (count == 1 && r->shape->count == 1) {
        *ret_name = name_at(fields, 0);
        return ret_name->len > 0 ? &r->shape->tables[0] : NULL;
    }
    *ret_name = count == 2 ? name_at(fields, 1) : SLICE_NONE;
    return ret_name->len > 0 ? table_of(r, name_at(fields, 0)) : NULL;
}

struct finder {
    bool found;
    int depth;
};

static bool look_for_columns(struct slice key, const struct json_t *value, void *data) {
    struct finder *finder = data;
    if (slice_eq_text(key, "ColumnRef") || slice_eq_text(key, "SubLink") ||
        finder->depth >= DEPTH_MAX) {
        finder->found = true;
    }
    finder->depth++;
    if (!finder->found && json_kind(value) == JSON_KIND_OBJECT) {
        json_each(value, look_for_columns, finder);
    } else if (!finder->found && json_kind(value) == JSON_KIND_ARRAY) {
        for (size_t i = 0; i < json_count(value) && !finder->found; i++) {
            json_each(json_at(value, i), look_for_columns, finder);
        }
    }
    finder->depth--;
    return !finder->found;
}

/* The same for every row: no column, no sub-query in it. */
static bool is_value(const struct json_t *node) {
    struct finder finder = {false, 0};
    if (node == NULL || json_kind(node) != JSON_KIND_OBJECT) {
        return false;
    }
    json_each(node, look_for_columns, &finder);
    return !finder.found;
}

static struct shape_column *add_column(struct shape_table *table, struct slice name,
                                       enum shape_use_e use) {
    for (size_t i = 0; i < table->count; i++) {
        if (table->columns[i].use == use && slice_eq(table->columns[i].name, name)) {
            return &table->columns[i];
        }
    }
    if (table->count == SHAPE_COLUMNS_MAX) {
        return NULL;
    }
    table->columns[table->count] = (struct shape_column){.name = name, .use = use};
    return &table->columns[table->count++];
}

/* ── conditions ── */

static bool use_of_operator(struct slice name, enum shape_use_e *ret_use) {
    static const struct {
        const char *name;
        enum shape_use_e use;
    } rows[] = {
        {"=", SHAPE_EQUAL},     {"<", SHAPE_RANGE},     {"<=", SHAPE_RANGE},
        {">", SHAPE_RANGE},     {">=", SHAPE_RANGE},    {"~~", SHAPE_PATTERN},
        {"~~*", SHAPE_PATTERN}, {"~", SHAPE_PATTERN},   {"~*", SHAPE_PATTERN},
        {"@@", SHAPE_TEXT},     {"@>", SHAPE_CONTAINS}, {"<@", SHAPE_CONTAINS},
        {"&&", SHAPE_CONTAINS}, {"?", SHAPE_CONTAINS},  {"?|", SHAPE_CONTAINS},
        {"?&", SHAPE_CONTAINS}, {"BETWEEN", SHAPE_RANGE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (slice_eq_text(name, rows[i].name)) {
            *ret_use = rows[i].use;
            return true;
        }
    }
    return false;
}

/* A text or whole number that stands in the statement, as SQL again. */
static struct slice literal_of(struct reader *r, const struct json_t *node) {
    const struct json_t *constant = node_of(node, "A_Const");
    const struct json_t *text = constant == NULL ? NULL : json_get(constant, "sval");
    const struct json_t *number = constant == NULL ? NULL : json_get(constant, "ival");
    struct buf sql;
    struct slice copy = SLICE_NONE;
    buf_init(&sql, 1024);
    if (text != NULL) {
        struct slice inner = json_text_at(text, "sval", SLICE_NONE);
        buf_add_char(&sql, '\'');
        for (size_t i = 0; i < inner.len; i++) {
            buf_add(&sql, inner.at[i] == '\'' ? SLICE_LIT("''") : slice_from(inner.at + i, 1));
        }
        buf_add_char(&sql, '\'');
    } else if (number != NULL) {
        const struct json_t *value = json_get(number, "ival"); /* 0 is left out */
        buf_printf(&sql, "%lld", value == NULL ? 0LL : (long long)json_number(value));
    }
    if (!sql.failed && sql.len > 0 && memchr(sql.at, '\\', sql.len) == NULL) {
        copy = arena_copy(r->arena, buf_slice(&sql));
    }
    buf_fini(&sql);
    return copy;
}

static void take_side(struct reader *r, const struct json_t *side, const struct json_t *other,
                      struct shape_column wanted) {
    struct slice name, other_name;
    struct shape_table *table = column_of(r, side, &name);
    if (table == NULL) {
        return;
    }
    struct shape_table *other_table = column_of(r, other, &other_name);
    bool joins = wanted.use == SHAPE_EQUAL && other_table != NULL && other_table != table;
    if (!joins && !is_value(other)) {
        return;
    }
    struct shape_column *column = add_column(table, name, wanted.use);
    if (column != NULL) {
        column->is_list = column->is_list || wanted.is_list;
        column->literal = wanted.use == SHAPE_EQUAL ? literal_of(r, other) : SLICE_NONE;
    }
}

static void take_expression(struct reader *r, const struct json_t *expression) {
    struct shape_column wanted = {.use = SHAPE_EQUAL};
    struct slice kind = json_text_at(expression, "kind", SLICE_NONE);
    const struct json_t *left = json_get(expression, "lexpr");
    const struct json_t *right = json_get(expression, "rexpr");
    const struct json_t *names = json_get(expression, "name");
    size_t last = names == NULL ? 0 : json_count(names);
    bool known = slice_eq_text(kind, "AEXPR_OP") || slice_eq_text(kind, "AEXPR_BETWEEN") ||
                 slice_eq_text(kind, "AEXPR_LIKE") || slice_eq_text(kind, "AEXPR_ILIKE");
    wanted.is_list = slice_eq_text(kind, "AEXPR_IN") || slice_eq_text(kind, "AEXPR_OP_ANY");
    if ((!known && !wanted.is_list) || left == NULL || right == NULL || last == 0 ||
        !use_of_operator(name_at(names, last - 1), &wanted.use)) {
        return; /* <>, NOT LIKE, NOT IN: seldom what an index is for */
    }
    if (wanted.is_list && wanted.use != SHAPE_EQUAL) {
        return;
    }
    take_side(r, left, right, wanted);
    /* the other way round only where the operator is the same in a mirror */
    if (slice_eq_text(kind, "AEXPR_OP") &&
        (wanted.use == SHAPE_EQUAL || wanted.use == SHAPE_RANGE)) {
        take_side(r, right, left, wanted);
    }
}

static void take_test(struct reader *r, const struct json_t *arg, enum shape_use_e use) {
    struct slice name;
    struct shape_table *table = arg == NULL ? NULL : column_of(r, arg, &name);
    if (table != NULL) {
        add_column(table, name, use);
    }
}

static void take_condition(struct reader *r, const struct json_t *node, int depth) {
    const struct json_t *boolean = node_of(node, "BoolExpr");
    const struct json_t *null = node_of(node, "NullTest");
    const struct json_t *truth = node_of(node, "BooleanTest");
    const struct json_t *expression = node_of(node, "A_Expr");
    if (boolean != NULL && depth < DEPTH_MAX) {
        const struct json_t *args = json_get(boolean, "args");
        bool all = slice_eq_text(json_text_at(boolean, "boolop", SLICE_NONE), "AND_EXPR");
        for (size_t i = 0; all && i < json_count(args); i++) {
            take_condition(r, json_at(args, i), depth + 1);
        }
        if (slice_eq_text(json_text_at(boolean, "boolop", SLICE_NONE), "NOT_EXPR")) {
            take_test(r, json_at(args, 0), SHAPE_FALSE);
        }
    } else if (null != NULL) {
        bool is_null = slice_eq_text(json_text_at(null, "nulltesttype", SLICE_NONE), "IS_NULL");
        take_test(r, json_get(null, "arg"), is_null ? SHAPE_NULL : SHAPE_NOT_NULL);
    } else if (truth != NULL) {
        struct slice kind = json_text_at(truth, "booltesttype", SLICE_NONE);
        if (slice_eq_text(kind, "IS_TRUE") || slice_eq_text(kind, "IS_FALSE")) {
            take_test(r, json_get(truth, "arg"),
                      slice_eq_text(kind, "IS_TRUE") ? SHAPE_TRUE : SHAPE_FALSE);
        }
    } else if (expression != NULL) {
        take_expression(r, expression);
    } else if (node_of(node, "ColumnRef") != NULL) {
        take_test(r, node, SHAPE_TRUE);
    }
}

/* ── tables ── */

static void take_table(struct reader *r, const struct json_t *range) {
    if (r->shape->count == SHAPE_TABLES_MAX) {
        r->err = ERR_NOT_FOUND;
        return;
    }
    struct shape_table *table = &r->shape->tables[r->shape->count++];
    struct slice alias = json_text_at(json_get(range, "alias"), "aliasname", SLICE_NONE);
    *table = (struct shape_table){.schema = json_text_at(range, "schemaname", SLICE_NONE),
                                  .name = json_text_at(range, "relname", SLICE_NONE)};
    table->alias = alias.len > 0 ? alias : table->name;
}

static void take_from(struct reader *r, const struct json_t *node, int depth) {
    const struct json_t *join = node_of(node, "JoinExpr");
    if (node_of(node, "RangeVar") != NULL) {
        take_table(r, node_of(node, "RangeVar"));
    } else if (join != NULL && depth < DEPTH_MAX) {
        take_from(r, json_get(join, "larg"), depth + 1);
        take_from(r, json_get(join, "rarg"), depth + 1);
    } else {
        r->err = ERR_NOT_FOUND; /* a sub-query, a function: its columns would be taken for ours */
    }
}

static void take_join_conditions(struct reader *r, const struct json_t *node, int depth) {
    const struct json_t *join = node_of(node, "JoinExpr");
    if (join == NULL || depth >= DEPTH_MAX) {
        return;
    }
    take_join_conditions(r, json_get(join, "larg"), depth + 1);
    take_join_conditions(r, json_get(join, "rarg"), depth + 1);
    if (json_get(join, "quals") != NULL) {
        take_condition(r, json_get(join, "quals"), 0);
    }
}

/* ── order and results ── */

static bool take_sort_key(struct reader *r, const struct json_t *key) {
    struct slice name;
    struct slice direction = json_text_at(key, "sortby_dir", SLICE_NONE);
    struct slice nulls = json_text_at(key, "sortby_nulls", SLICE_NONE);
    struct shape_table *table = column_of(r, json_get(key, "node"), &name);
    if (table == NULL || !slice_eq_text(nulls, "SORTBY_NULLS_DEFAULT") ||
        slice_eq_text(direction, "SORTBY_USING")) {
        return false;
    }
    struct shape_column *column = add_column(table, name, SHAPE_SORT);
    if (column != NULL) {
        column->direction = slice_eq_text(direction, "SORTBY_DESC") ? SHAPE_DESCENDING
                                                                    : SHAPE_ASCENDING;
    }
    return column != NULL;
}

/* All keys or none: an index in half the order still leaves a sort. */
static void take_order(struct reader *r, const struct json_t *keys) {
    size_t before[SHAPE_TABLES_MAX];
    bool whole = true;
    for (size_t i = 0; i < r->shape->count; i++) {
        before[i] = r->shape->tables[i].count;
    }
    for (size_t i = 0; whole && i < json_count(keys); i++) {
        whole = take_sort_key(r, node_of(json_at(keys, i), "SortBy"));
    }
    size_t sorted = 0;
    for (size_t i = 0; i < r->shape->count; i++) {
        sorted += r->shape->tables[i].count > before[i];
    }
    for (size_t i = 0; (!whole || sorted > 1) && i < r->shape->count; i++) {
        r->shape->tables[i].count = before[i];
    }
}

static void take_result(struct reader *r, const struct json_t *target) {
    struct slice name;
    const struct json_t *value = target == NULL ? NULL : json_get(target, "val");
    struct shape_table *table = value == NULL ? NULL : column_of(r, value, &name);
    const struct json_t *call = value == NULL ? NULL : node_of(value, "FuncCall");
    if (call != NULL && json_is_true_at(call, "agg_star")) {
        return; /* count(*) reads no column */
    }
    if (table == NULL) {
        for (size_t i = 0; i < r->shape->count && !is_value(value); i++) {
            r->shape->tables[i].returns_all = true;
        }
        return;
    }
    if (table->returned_count == SHAPE_RETURNED_MAX) {
        table->returns_all = true;
        return;
    }
    table->returned[table->returned_count++] = name;
}

static void read_select(struct reader *r, const struct json_t *select) {
    const struct json_t *from = json_get(select, "fromClause");
    const struct json_t *targets = json_get(select, "targetList");
    if (from == NULL || json_get(select, "withClause") != NULL ||
        !slice_eq_text(json_text_at(select, "op", SLICE_NONE), "SETOP_NONE")) {
        r->err = ERR_NOT_FOUND;
        return;
    }
    for (size_t i = 0; r->err == ERR_OK && i < json_count(from); i++) {
        take_from(r, json_at(from, i), 0);
    }
    for (size_t i = 0; r->err == ERR_OK && i < json_count(from); i++) {
        take_join_conditions(r, json_at(from, i), 0);
    }
    if (r->err != ERR_OK) {
        return;
    }
    if (json_get(select, "whereClause") != NULL) {
        take_condition(r, json_get(select, "whereClause"), 0);
    }
    if (json_get(select, "sortClause") != NULL && json_get(select, "groupClause") == NULL &&
        json_get(select, "distinctClause") == NULL) {
        take_order(r, json_get(select, "sortClause"));
    }
    for (size_t i = 0; targets != NULL && i < json_count(targets); i++) {
        take_result(r, node_of(json_at(targets, i), "ResTarget"));
    }
    for (size_t i = 0; i < r->shape->count; i++) {
        r->shape->tables[i].has_limit = json_get(select, "limitCount") != NULL;
    }
}

enum err_e query_shape_read(struct arena *arena, const char *sql, struct query_shape *ret_shape,
                            struct problem *ret_problem) {
    static const struct json_rules rules = {.nesting_max = JSON_NESTING_LIMIT,
                                            .lax = JSON_INTEGERS_AS_REALS};
    struct slice text;
    struct json_t *tree;
    struct reader r = {arena, ret_shape, ERR_OK};
    *ret_shape = (struct query_shape){.count = 0};
    TRY(sql_tree(arena, sql, &text, ret_problem));
    TRY(json_parse_by(arena, text, &rules, &tree, ret_problem));
    const struct json_t *statements = json_get(tree, "stmts");
    const struct json_t *select =
        statements == NULL || json_count(statements) != 1
            ? NULL
            : node_of(json_get(json_at(statements, 0), "stmt"), "SelectStmt");
    if (select == NULL) {
        return ERR_NOT_FOUND;
    }
    read_select(&r, select);
    return r.err;
}
