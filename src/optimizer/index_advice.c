/* SPDX-License-Identifier: Apache-2.0 */
/* From the terms of conditions to the columns of an index: equalities first, then one range. */
#include "optimizer/index_advice.h"

#include "optimizer/condition.h"
#include "optimizer/quote.h"

/* A name of PostgreSQL; longer ones are nobody's column. */
enum { COLUMN_BYTES_MAX = 130 };

struct columns {
    struct slice equal[ADVICE_COLUMNS_MAX];
    size_t equal_count;
    struct slice range; /* at is NULL: none */
    bool doubtful;      /* something was not understood, or it is too much */
    bool has_list;      /* one of `equal` is a list of values */
};

static bool has_equal(const struct columns *c, struct slice column) {
    for (size_t i = 0; i < c->equal_count; i++) {
        if (slice_eq(c->equal[i], column)) {
            return true;
        }
    }
    return false;
}

static void take_term(struct columns *c, const struct condition_term *term) {
    switch (term->kind) {
    case CONDITION_WEAK:
        return;
    case CONDITION_OTHER:
        c->doubtful = true;
        return;
    case CONDITION_EQUAL:
        if (has_equal(c, term->column)) {
            return;
        }
        if (c->equal_count == ADVICE_COLUMNS_MAX || term->column.len > COLUMN_BYTES_MAX) {
            c->doubtful = true;
            return;
        }
        c->equal[c->equal_count++] = term->column;
        c->has_list |= term->is_list;
        return;
    case CONDITION_RANGE:
        c->doubtful |= term->column.len > COLUMN_BYTES_MAX ||
                       (c->range.at != NULL && !slice_eq(c->range, term->column));
        c->range = term->column;
        return;
    }
}

static void take_condition(struct columns *c, const struct plan_node *scan, const char *key) {
    struct condition_term terms[CONDITION_TERMS_MAX];
    size_t count;
    if (!condition_read(plan_text(scan->json, key), scan->alias, terms, &count)) {
        c->doubtful = true;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        take_term(c, &terms[i]);
    }
}

static struct columns columns_of(const struct plan_node *scan) {
    static const char *const keys[] = {"Index Cond", "Recheck Cond", "Filter"};
    struct columns c = {0};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        take_condition(&c, scan, keys[i]);
    }
    if (c.range.at != NULL && has_equal(&c, c.range)) {
        c.range = SLICE_NONE;
    }
    return c;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

struct slice alias_stem(struct slice alias) {
    size_t len = alias.len;
    while (len > 0 && is_digit(alias.at[len - 1])) {
        len--;
    }
    bool numbered = len < alias.len && len > 1 && alias.at[len - 1] == '_';
    return numbered ? slice_from(alias.at, len - 1) : alias;
}

/* Takes `digits` digits off the end, then `before`; false when they are not there. */
static bool drop_end(struct slice *name, size_t digits, const char *before) {
    struct slice rest = *name;
    for (size_t i = 0; i < digits; i++) {
        if (rest.len == 0 || !is_digit(rest.at[rest.len - 1])) {
            return false;
        }
        rest.len--;
    }
    size_t len = strlen(before);
    if (rest.len <= len || memcmp(rest.at + rest.len - len, before, len) != 0) {
        return false;
    }
    rest.len -= len;
    *name = rest;
    return true;
}

struct slice partition_parent(const struct plan_node *scan) {
    struct slice name = scan->relation;
    if ((drop_end(&name, 1, "_q") || drop_end(&name, 2, "_w") || drop_end(&name, 2, "_")) &&
        drop_end(&name, 4, "_")) {
        return name;
    }
    struct slice stem = alias_stem(scan->alias);
    bool is_member = scan->role == PLAN_ROLE_MEMBER && stem.len < scan->alias.len;
    if (is_member && stem.len < scan->relation.len && slice_starts_with(scan->relation, stem) &&
        scan->relation.at[stem.len] == '_') {
        return stem;
    }
    return scan->relation;
}

static void write_advice(struct buf *to, const struct plan_node *scan,
                         struct index_advice *advice) {
    struct slice schema = plan_text(scan->json, "Schema");
    if (schema.len > 0) {
        quote_identifier(to, schema);
        buf_add_char(to, '.');
    }
    quote_identifier(to, partition_parent(scan));
    advice->table.len = to->len; /* its place is known when the buffer grows no more */
    buf_add_text(to, " (");
    for (size_t i = 0; i < advice->count; i++) {
        buf_add_text(to, i > 0 ? ", " : "");
        buf_add(to, advice->columns[i]);
    }
    buf_add_char(to, ')');
}

/* Fills the texts; false when the arena is full or a name is none of PostgreSQL's. */
static bool finish(struct arena *arena, const struct plan_node *scan, struct index_advice *advice) {
    enum { ADVICE_BYTES_MAX = 1024 };
    if (scan->relation.len == 0 || scan->relation.len > COLUMN_BYTES_MAX) {
        return false;
    }
    struct buf text;
    buf_init(&text, ADVICE_BYTES_MAX);
    write_advice(&text, scan, advice);
    advice->text = text.failed ? SLICE_NONE : arena_copy(arena, buf_slice(&text));
    advice->table.at = advice->text.at;
    buf_fini(&text);
    return advice->text.at != NULL;
}

static bool add_column(struct index_advice *advice, struct slice column) {
    if (advice->count == ADVICE_COLUMNS_MAX || column.len > COLUMN_BYTES_MAX) {
        return false;
    }
    advice->columns[advice->count++] = column;
    return true;
}

bool advise_for_conditions(struct arena *arena, const struct plan_node *scan,
                           struct index_advice *ret_advice) {
    *ret_advice = (struct index_advice){0};
    struct columns c = columns_of(scan);
    if (c.doubtful || c.equal_count + (c.range.at != NULL) == 0) {
        return false;
    }
    for (size_t i = 0; i < c.equal_count; i++) {
        if (!add_column(ret_advice, c.equal[i])) {
            return false;
        }
    }
    if (c.range.at != NULL && !add_column(ret_advice, c.range)) {
        return false;
    }
    return finish(arena, scan, ret_advice);
}

static bool ends_with_desc(struct slice key) {
    struct slice desc = SLICE_LIT(" DESC");
    return key.len > desc.len &&
           slice_eq(slice_from(key.at + key.len - desc.len, desc.len), desc);
}

/* Keys in one direction: an index is read both ways. NULLS FIRST and the like: no advice. */
static bool add_sort_keys(const struct json_t *keys, const struct plan_node *scan,
                          const struct columns *c, struct index_advice *advice) {
    struct slice alias = alias_stem(scan->alias);
    bool descending = false;
    for (size_t i = 0; i < json_count(keys); i++) {
        const struct json_t *key = json_at(keys, i);
        struct slice column;
        if (json_kind(key) != JSON_KIND_STRING ||
            memmem(json_text(key).at, json_text(key).len, " NULLS ", 7) != NULL) {
            return false;
        }
        if (i > 0 && ends_with_desc(json_text(key)) != descending) {
            return false;
        }
        descending = ends_with_desc(json_text(key));
        if (!condition_sort_column(json_text(key), scan->alias, &column) &&
            !condition_sort_column(json_text(key), alias, &column)) {
            return false;
        }
        if (!has_equal(c, column) && !add_column(advice, column)) {
            return false;
        }
    }
    return json_count(keys) > 0;
}

bool advise_for_order(struct arena *arena, const struct plan_node *scan,
                      const struct plan_node *sort, struct index_advice *ret_advice) {
    *ret_advice = (struct index_advice){0};
    struct columns c = columns_of(scan);
    const struct json_t *keys = json_get(sort->json, "Sort Key");
    if (c.doubtful || c.has_list || keys == NULL || json_kind(keys) != JSON_KIND_ARRAY) {
        return false;
    }
    for (size_t i = 0; i < c.equal_count; i++) {
        if (!add_column(ret_advice, c.equal[i])) {
            return false;
        }
    }
    size_t before = ret_advice->count;
    return add_sort_keys(keys, scan, &c, ret_advice) && ret_advice->count > before &&
           finish(arena, scan, ret_advice);
}
