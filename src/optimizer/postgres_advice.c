/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An index for a slow statement. From its shape (query_shape.h) come candidates for each table:
 *
 *   b-tree     equalities, the most selective first; then a range; or, without one, the order
 *   ordered    equalities, then the order, for a LIMIT that ends early; the range is a filter then
 *   partial    the same, of the rows that a condition without a parameter leaves, if those are few
 *   covering   the same, with the few columns that are returned besides
 *   gin        a text search or containment; trigrams for a pattern
 *
 * With hypopg each is planned with, and the cheapest is told with what it saves; one that saves
 * less than a fifth is not told. Without it the first is. Small tables need none.
 */
#include "optimizer/postgres_priv.h"

#include "optimizer/query_shape.h"
#include "optimizer/quote.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    CANDIDATES_MAX = 6,
    KEYS_MAX = 4, /* a wider index serves few other statements and slows every write */
    INCLUDED_MAX = 3,
    ROWS_MIN = 1000,
    PROBE_PARAMETERS_MAX = 100,
    LEAVES_MAX = 200,
};
#define GAIN_MIN 0.2          /* of the cost */
#define FURTHER_GAIN_MIN 0.05 /* of the cost: less is not worth a wider index */
#define PARTIAL_SHARE 0.2     /* of the rows: more are better served by a whole index */

/* ── cost ── */

static enum err_e count_parameters(struct db *db, int64_t *ret_count) {
    struct db_rows rows;
    enum err_e err = db_ask(db, "SELECT cardinality(parameter_types) FROM pg_prepared_statements"
                                " WHERE name = 'turnout_probe'", NULL, &rows);
    *ret_count = err == ERR_OK && db_next(&rows) ? db_cell_int(&rows, 0) : -1;
    db_done(&rows);
    return err;
}

static enum err_e explain_probe(struct db *db, int64_t parameters, double *ret_cost) {
    char sql[64 + PROBE_PARAMETERS_MAX * 6] = "EXPLAIN (FORMAT JSON) EXECUTE turnout_probe";
    size_t len = strlen(sql);
    for (int64_t i = 0; i < parameters; i++) {
        len += (size_t)snprintf(sql + len, sizeof sql - len, "%sNULL%s", i == 0 ? "(" : ",",
                                i + 1 == parameters ? ")" : "");
    }
    struct db_rows rows;
    enum err_e err = db_ask(db, sql, NULL, &rows);
    const char *cost = err == ERR_OK && db_next(&rows) ? strstr(db_cell(&rows, 0), "Total Cost\":")
                                                        : NULL;
    *ret_cost = cost == NULL ? -1 : strtod(cost + strlen("Total Cost\":"), NULL); /* the root's */
    db_done(&rows);
    return err;
}

static enum err_e probe(struct db *db, const char *statement, double *ret_cost) {
    struct buf sql;
    struct db_rows rows = {.row = -1};
    int64_t parameters = -1;
    TRY(db_tell(db, "BEGIN READ ONLY"));
    TRY(db_tell(db, "SET LOCAL plan_cache_mode = force_generic_plan"));
    buf_init(&sql, 1 << 20);
    buf_printf(&sql, "PREPARE turnout_probe AS %s", statement);
    buf_add_char(&sql, '\0');
    /* one statement only, by the extended protocol; a SELECT, by its shape */
    enum err_e err = sql.failed ? ERR_NO_MEMORY : db_ask(db, sql.at, NULL, &rows);
    db_done(&rows);
    buf_fini(&sql);
    TRY(err);
    TRY(count_parameters(db, &parameters));
    if (parameters < 0 || parameters > PROBE_PARAMETERS_MAX) {
        return ERR_NOT_FOUND;
    }
    return explain_probe(db, parameters, ret_cost);
}

enum err_e db_cost(struct db *db, const char *statement, double *ret_cost) {
    *ret_cost = -1;
    enum err_e err = probe(db, statement, ret_cost);
    db_rollback(db);
    if (db_is_lost(db)) {
        return err;
    }
    if (err != ERR_OK) {
        *ret_cost = -1; /* such as interval $1, which is no SQL any more */
    }
    enum err_e ignored = db_tell(db, "DEALLOCATE ALL");
    (void)ignored;
    return db_is_lost(db) ? ERR_UNAVAILABLE : ERR_OK;
}

/* ── the table ── */

struct table {
    char name[DB_NAME_SIZE]; /* as SQL */
    bool is_partitioned;
    double rows, visible; /* the share of pages that an index-only scan need not look up */
};

/* False: not ours to index. */
static enum err_e look_at_table(struct db *db, const struct shape_table *shape, struct table *ret,
                                bool *ret_found) {
    static const char sql[] =
        "SELECT c.oid::regclass, c.relkind = 'p', sum(greatest(l.reltuples, 0)),"
        " sum(l.relallvisible) / greatest(sum(l.relpages), 1)"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " JOIN pg_class l ON l.relkind = 'r' AND (l.oid = c.oid OR l.oid IN"
        "  (SELECT inhrelid FROM pg_inherits WHERE inhparent = c.oid))"
        " WHERE c.relname = $1 AND c.relkind IN ('r', 'p') AND n.nspname = ANY"
        "  (CASE $2 WHEN '' THEN current_schemas(false) ELSE ARRAY[$2::name] END)"
        "  AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
        " GROUP BY c.oid, c.relkind, n.nspname"
        " ORDER BY array_position(current_schemas(false), n.nspname) LIMIT 1";
    char name[DB_NAME_SIZE], schema[DB_NAME_SIZE];
    const char *args[] = {name, schema, NULL};
    struct db_rows rows = {.row = -1};
    *ret_found = false;
    if (!slice_to_cstr(shape->name, name, sizeof name) ||
        !slice_to_cstr(shape->schema, schema, sizeof schema)) {
        return ERR_OK;
    }
    enum err_e err = db_ask(db, sql, args, &rows);
    if (err == ERR_OK && db_next(&rows)) {
        *ret_found = strlen(db_cell(&rows, 0)) < sizeof ret->name;
        snprintf(ret->name, sizeof ret->name, "%s", db_cell(&rows, 0));
        ret->is_partitioned = db_cell_is_true(&rows, 1);
        ret->rows = db_cell_real(&rows, 2);
        ret->visible = db_cell_real(&rows, 3);
    }
    db_done(&rows);
    return err;
}

struct column {
    const struct shape_column *shape;
    double distinct; /* values; 0: not known */
    double share;    /* of the rows that its condition leaves; 1: not known */
};

static double share_of(const struct shape_column *column, const struct db_rows *rows) {
    double nulls = db_cell_is_null(rows, 1) ? -1 : db_cell_real(rows, 1);
    double common = db_cell_is_null(rows, 2) ? -1 : db_cell_real(rows, 2);
    switch (column->use) {
    case SHAPE_NULL:
        return nulls < 0 ? 1 : nulls;
    case SHAPE_NOT_NULL:
        return nulls < 0 ? 1 : 1 - nulls;
    case SHAPE_TRUE:
    case SHAPE_FALSE:
        return common < 0 ? 1 : common;
    case SHAPE_EQUAL:
        return column->literal.len == 0 || common < 0 ? 1 : common;
    case SHAPE_RANGE:
    case SHAPE_PATTERN:
    case SHAPE_TEXT:
    case SHAPE_CONTAINS:
    case SHAPE_SORT:
        return 1;
    }
    UNREACHABLE();
}

/* The value that a condition without a parameter compares with, as pg_stats prints it. */
static void put_value(const struct shape_column *column, char *to, size_t size) {
    struct slice text = column->literal;
    if (column->use == SHAPE_TRUE || column->use == SHAPE_FALSE) {
        snprintf(to, size, "%s", column->use == SHAPE_TRUE ? "t" : "f");
        return;
    }
    if (text.len >= 2 && text.at[0] == '\'') {
        text = slice_from(text.at + 1, text.len - 2);
    }
    if (!slice_to_cstr(text, to, size)) {
        to[0] = '\0';
    }
}

static enum err_e look_at_column(struct db *db, const struct table *table, struct column *column) {
    static const char sql[] =
        "SELECT s.n_distinct, s.null_frac, CASE WHEN s.most_common_vals IS NOT NULL THEN coalesce("
        "  (SELECT f FROM unnest(s.most_common_vals::text::text[], s.most_common_freqs)"
        "   AS m(v, f) WHERE v = $3), 0) END"
        " FROM pg_stats s JOIN pg_class c ON c.relname = s.tablename"
        " JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = s.schemaname"
        " WHERE s.attname = $2 AND (c.oid = to_regclass($1) OR c.oid IN"
        "  (SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass($1)))"
        " ORDER BY c.oid = to_regclass($1) DESC, c.reltuples DESC LIMIT 1";
    char name[DB_NAME_SIZE], value[256];
    const char *args[] = {table->name, name, value, NULL};
    struct db_rows rows = {.row = -1};
    column->share = 1;
    if (!slice_to_cstr(column->shape->name, name, sizeof name)) {
        return ERR_OK;
    }
    put_value(column->shape, value, sizeof value);
    enum err_e err = db_ask(db, sql, args, &rows);
    if (err == ERR_OK && db_next(&rows)) {
        double distinct = db_cell_real(&rows, 0);
        column->distinct = distinct < 0 ? -distinct * table->rows : distinct;
        column->share = share_of(column->shape, &rows);
    }
    db_done(&rows);
    return err;
}

/* ── candidates ── */

struct candidate {
    const char *kind;
    char definition[512];
    bool is_plain;
};

struct sketch {
    struct db *db;
    const struct db_extensions *extensions;
    const struct shape_table *shape;
    struct table table;
    struct column columns[SHAPE_COLUMNS_MAX];
    const struct column *equal[KEYS_MAX], *range, *sort[KEYS_MAX], *partial;
    size_t equal_count, sort_count;
    struct candidate candidates[CANDIDATES_MAX];
    size_t count;
};

static void add_equal(struct sketch *s, const struct column *column) {
    size_t at = s->equal_count < KEYS_MAX ? s->equal_count++ : KEYS_MAX;
    /* those with many values first: what is cut off tells least apart */
    while (at > 0 && (at == KEYS_MAX || s->equal[at - 1]->distinct < column->distinct)) {
        if (at == KEYS_MAX && s->equal[KEYS_MAX - 1]->distinct >= column->distinct) {
            return;
        }
        if (at < KEYS_MAX) {
            s->equal[at] = s->equal[at - 1];
        }
        at--;
    }
    s->equal[at] = column;
}

static void sort_out(struct sketch *s) {
    bool loses_order = false;
    for (size_t i = 0; i < s->shape->count; i++) {
        const struct column *column = &s->columns[i];
        bool could_be_partial = column->share <= PARTIAL_SHARE;
        if (could_be_partial && (s->partial == NULL || column->share < s->partial->share)) {
            s->partial = column;
        }
        if (column->shape->use == SHAPE_EQUAL) {
            add_equal(s, column);
            loses_order = loses_order || column->shape->is_list;
        } else if (column->shape->use == SHAPE_RANGE && s->range == NULL) {
            s->range = column;
        } else if (column->shape->use == SHAPE_SORT && s->sort_count < KEYS_MAX) {
            s->sort[s->sort_count++] = column;
        }
    }
    if (loses_order) {
        s->sort_count = 0;
    }
}

/* "(a, b DESC)"; false when there is no key. */
struct keys {
    struct buf text;
    size_t count;
};

static bool has_key(const struct keys *keys, struct slice name) {
    struct buf quoted;
    bool found = false;
    struct slice rest = buf_slice(&keys->text), part;
    buf_init(&quoted, DB_NAME_SIZE);
    quote_identifier(&quoted, name);
    while (!found && slice_next(&rest, ',', &part)) {
        part = slice_trim(part);
        found = slice_starts_with(part, buf_slice(&quoted)) &&
                (part.len == quoted.len || part.at[quoted.len] == ' ');
    }
    buf_fini(&quoted);
    return found;
}

static void add_key(struct keys *keys, struct slice name, const char *behind) {
    if (keys->count == KEYS_MAX || has_key(keys, name)) {
        return;
    }
    buf_add_text(&keys->text, keys->count > 0 ? ", " : "");
    quote_identifier(&keys->text, name);
    buf_add_text(&keys->text, behind);
    keys->count++;
}

/* All one way: an index is read backwards as well. */
static bool is_one_way(const struct sketch *s) {
    for (size_t i = 1; i < s->sort_count; i++) {
        if (s->sort[i]->shape->direction != s->sort[0]->shape->direction) {
            return false;
        }
    }
    return true;
}

static void put_equal(const struct sketch *s, struct keys *keys) {
    for (size_t i = 0; i < s->equal_count; i++) {
        bool is_fixed = s->equal[i] == s->partial; /* one value in all of a partial index */
        if (!is_fixed) {
            add_key(keys, s->equal[i]->shape->name, "");
        }
    }
}

static void put_sort(const struct sketch *s, struct keys *keys) {
    bool one_way = is_one_way(s);
    for (size_t i = 0; i < s->sort_count; i++) {
        bool down = !one_way && s->sort[i]->shape->direction == SHAPE_DESCENDING;
        add_key(keys, s->sort[i]->shape->name, down ? " DESC" : "");
    }
}

static void put_predicate(struct buf *to, const struct shape_column *column) {
    buf_add_text(to, " WHERE (");
    if (column->use == SHAPE_FALSE) {
        buf_add_text(to, "NOT ");
    }
    quote_identifier(to, column->name);
    if (column->use == SHAPE_NULL || column->use == SHAPE_NOT_NULL) {
        buf_add_text(to, column->use == SHAPE_NULL ? " IS NULL" : " IS NOT NULL");
    } else if (column->use == SHAPE_EQUAL) {
        buf_printf(to, " = %.*s", SLICE_ARG(column->literal));
    }
    buf_add_char(to, ')');
}

static void put_included(struct buf *to, const struct sketch *s, const struct keys *keys) {
    size_t count = 0;
    for (size_t i = 0; i < s->shape->returned_count; i++) {
        if (!has_key(keys, s->shape->returned[i])) {
            buf_add_text(to, count++ == 0 ? " INCLUDE (" : ", ");
            quote_identifier(to, s->shape->returned[i]);
        }
    }
    buf_add_text(to, count > 0 ? ")" : "");
}

static void add_candidate(struct sketch *s, const char *kind, const struct buf *definition) {
    if (definition->failed || s->count == CANDIDATES_MAX ||
        definition->len >= sizeof s->candidates[0].definition) {
        return;
    }
    struct candidate *candidate = &s->candidates[s->count];
    candidate->kind = kind;
    candidate->is_plain = strstr(kind, "partial") == NULL;
    snprintf(candidate->definition, sizeof candidate->definition, "%.*s",
             SLICE_ARG(buf_slice(definition)));
    for (size_t i = 0; i < s->count; i++) {
        if (strcmp(s->candidates[i].definition, candidate->definition) == 0) {
            return;
        }
    }
    s->count++;
}

enum tree_order_e { TREE_RANGE, TREE_SORT };
enum tree_rest_e { TREE_PLAIN, TREE_COVERING };

static void add_tree(struct sketch *s, enum tree_order_e order, enum tree_rest_e rest) {
    struct keys keys = {.count = 0};
    struct buf definition;
    buf_init(&keys.text, 400);
    buf_init(&definition, 1024);
    put_equal(s, &keys);
    if (order == TREE_RANGE && s->range != NULL) {
        add_key(&keys, s->range->shape->name, "");
    } else {
        put_sort(s, &keys);
    }
    if (keys.count == 0 && s->partial != NULL) {
        /* all rows of the part are wanted: any column will do, its own is always there */
        add_key(&keys, s->partial->shape->name, "");
    }
    if (keys.count > 0) {
        buf_printf(&definition, "btree (%.*s)", SLICE_ARG(buf_slice(&keys.text)));
        if (rest == TREE_COVERING) {
            put_included(&definition, s, &keys);
        }
        if (s->partial != NULL) {
            put_predicate(&definition, s->partial->shape);
        }
        add_candidate(s, s->partial != NULL     ? "partial"
                         : rest == TREE_COVERING ? "covering"
                         : order == TREE_SORT    ? "ordered"
                         : keys.count > 1        ? "multi_column"
                                                 : "btree",
                      &definition);
    }
    buf_fini(&keys.text);
    buf_fini(&definition);
}

static bool can_cover(const struct sketch *s) {
    size_t others = s->equal_count + (s->range != NULL) + s->sort_count;
    return !s->shape->returns_all && s->shape->returned_count > 0 &&
           s->shape->returned_count <= INCLUDED_MAX && others > 0 && s->table.visible > 0.8;
}

static void add_gin(struct sketch *s) {
    for (size_t i = 0; i < s->shape->count; i++) {
        const struct shape_column *column = &s->shape->columns[i];
        bool is_pattern = column->use == SHAPE_PATTERN;
        struct buf definition;
        if (column->use != SHAPE_TEXT && column->use != SHAPE_CONTAINS &&
            !(is_pattern && s->extensions->trigrams)) {
            continue;
        }
        buf_init(&definition, 512);
        buf_add_text(&definition, "gin (");
        quote_identifier(&definition, column->name);
        buf_add_text(&definition, is_pattern ? " gin_trgm_ops)" : ")");
        add_candidate(s, is_pattern ? "trigram" : "gin", &definition);
        buf_fini(&definition);
    }
}

static void make_candidates(struct sketch *s) {
    const struct column *partial = s->partial;
    add_gin(s);
    add_tree(s, TREE_RANGE, TREE_PLAIN);
    if (partial != NULL) {
        s->partial = NULL;
        add_tree(s, TREE_RANGE, TREE_PLAIN);
    }
    if (s->shape->has_limit && s->sort_count > 0) {
        add_tree(s, TREE_SORT, TREE_PLAIN);
    }
    if (can_cover(s) && s->extensions->hypopg) {
        add_tree(s, TREE_RANGE, TREE_COVERING);
    }
    s->partial = partial;
}

/* An index that begins with the same columns, whatever its predicate, serves already as well as
 * another one of them would. */
static enum err_e is_there(struct sketch *s, const struct candidate *candidate, bool *ret_there) {
    static const char sql[] =
        "SELECT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = to_regclass($1) AND i.indisvalid"
        " AND starts_with(rtrim(substring(pg_get_indexdef(i.indexrelid) FROM ' USING ([^)]*)'))"
        "  || ',', rtrim(substring($2 FROM '^[^)]*')) || ','))";
    const char *args[] = {s->table.name, candidate->definition, NULL};
    struct db_rows rows;
    enum err_e err = db_ask(s->db, sql, args, &rows);
    *ret_there = err == ERR_OK && db_next(&rows) && db_cell_is_true(&rows, 0);
    db_done(&rows);
    return err;
}

/* ── gain ── */

static enum err_e make_up(struct sketch *s, const struct candidate *candidate) {
    static const char sql[] =
        "SELECT count(*) FROM (SELECT l.oid::regclass AS leaf FROM pg_class l WHERE l.relkind = 'r'"
        "  AND (l.oid = to_regclass($1) OR l.oid IN"
        "   (SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass($1)))"
        "  ORDER BY l.reltuples DESC LIMIT $3::int) t,"
        " LATERAL hypopg_create_index(format('CREATE INDEX ON %s USING %s', t.leaf, $2::text)) h";
    char limit[16];
    const char *args[] = {s->table.name, candidate->definition, limit, NULL};
    struct db_rows rows;
    snprintf(limit, sizeof limit, "%d", LEAVES_MAX);
    enum err_e err = db_ask(s->db, sql, args, &rows);
    db_done(&rows);
    return err;
}

/* -1: hypopg does not know such an index. */
static enum err_e cost_with(struct sketch *s, const struct candidate *candidate,
                            const char *statement, double *ret_cost) {
    *ret_cost = -1;
    enum err_e err = make_up(s, candidate);
    if (err == ERR_OK) {
        err = db_cost(s->db, statement, ret_cost);
    }
    if (db_is_lost(s->db)) {
        return ERR_UNAVAILABLE;
    }
    enum err_e ignored = db_tell(s->db, "SELECT hypopg_reset()");
    (void)ignored;
    return db_is_lost(s->db) ? ERR_UNAVAILABLE : ERR_OK;
}

struct choice {
    const struct candidate *candidate;
    double before, after; /* negative: not known */
};

/* Those that hypopg cannot make up (GIN) stay first choice, their gain unknown. */
static enum err_e choose(struct sketch *s, const char *statement, struct choice *ret) {
    *ret = (struct choice){NULL, -1, -1};
    if (s->extensions->hypopg) {
        TRY(db_cost(s->db, statement, &ret->before));
    }
    for (size_t i = 0; i < s->count; i++) {
        bool there;
        double after = -1;
        const struct candidate *one = &s->candidates[i];
        TRY(is_there(s, one, &there));
        if (there) {
            continue;
        }
        if (ret->before > 0) {
            TRY(cost_with(s, one, statement, &after));
        }
        bool is_first = ret->candidate == NULL;
        bool is_cheaper = !is_first && after >= 0 && ret->after >= 0 &&
                          ret->after - after > FURTHER_GAIN_MIN * ret->before &&
                          after < ret->after * (1 - GAIN_MIN);
        bool is_known_gain = after >= 0 && after <= ret->before * (1 - GAIN_MIN);
        if ((is_first && (after < 0 || is_known_gain)) || is_cheaper) {
            ret->candidate = one;
            ret->after = after;
        }
    }
    return ERR_OK;
}

/* ── telling ── */

static void put_facts(struct buf *to, const struct sketch *s, const struct db_slow *slow,
                      const struct choice *choice) {
    struct json_writer w;
    json_writer_init(&w, to);
    json_begin_object(&w);
    json_put_cstr(&w, "fingerprint", slow->fingerprint);
    json_put_cstr(&w, "table", s->table.name);
    json_put_cstr(&w, "definition", choice->candidate->definition);
    json_put_int(&w, "calls", slow->calls);
    json_put_real(&w, "mean_ms", slow->mean_ms, 3);
    if (choice->after >= 0) {
        json_put_real(&w, "cost_before", choice->before, 2);
        json_put_real(&w, "cost_after", choice->after, 2);
    } else {
        json_put_null(&w, "cost_before");
        json_put_null(&w, "cost_after");
    }
    json_end_object(&w);
}

static void keep_best(struct db_report *report, const struct sketch *s, const struct db_slow *slow,
                      const struct choice *choice, struct db_advice *best) {
    double saved = choice->after < 0 ? 0 : 1 - choice->after / choice->before;
    double worth = slow->total_ms * saved;
    if (worth <= best->worth) {
        return;
    }
    struct slice copy = arena_copy(&report->arena, slice_of(slow->query));
    if (copy.at == NULL) {
        return;
    }
    *best = (struct db_advice){.statement = copy.at,
                               .cost_before = choice->before, .cost_after = choice->after,
                               .worth = worth, .is_plain = choice->candidate->is_plain};
    snprintf(best->table, sizeof best->table, "%s", s->table.name);
    snprintf(best->definition, sizeof best->definition, "%s", choice->candidate->definition);
    snprintf(best->fingerprint, sizeof best->fingerprint, "%s", slow->fingerprint);
    uint64_t hash = slice_hash(slice_of(best->definition)) ^ slice_hash(slice_of(best->table));
    snprintf(best->name, sizeof best->name, "idx_advised_%08x", (unsigned)(hash & 0xffffffff));
}

static enum err_e tell(struct db_report *report, const struct sketch *s,
                       const struct db_slow *slow, const struct choice *choice) {
    char sql[800], detail[400];
    struct buf facts;
    if (choice->after >= 0) {
        snprintf(detail, sizeof detail,
                 "A statement of %.1f ms on average (%lld calls) would cost %.0f instead of %.0f as"
                 " the planner reckons, %.0f %% less.", slow->mean_ms, (long long)slow->calls,
                 choice->after, choice->before, 100 * (1 - choice->after / choice->before));
    } else {
        snprintf(detail, sizeof detail,
                 "A statement of %.1f ms on average (%lld calls) has no index for what it asks of"
                 " this table. What it would gain is not known before it is built.", slow->mean_ms,
                 (long long)slow->calls);
    }
    snprintf(sql, sizeof sql, "CREATE INDEX%s ON %s%s USING %s",
             s->table.is_partitioned ? "" : " CONCURRENTLY",
             s->table.is_partitioned ? "ONLY " : "", s->table.name,
             choice->candidate->definition);
    buf_init(&facts, DB_SQL_MAX);
    put_facts(&facts, s, slow, choice);
    enum err_e err = facts.failed
                         ? ERR_NO_MEMORY
                         : db_add(report, &(struct db_item){.state = DB_WARNING, .kind = "advice",
                                                            .what = choice->candidate->kind,
                                                            .name = slice_of(s->table.name),
                                                            .detail = slice_of(detail),
                                                            .sql = slice_of(sql),
                                                            .facts = buf_slice(&facts)});
    buf_fini(&facts);
    return err;
}

static bool has_pattern(const struct shape_table *shape) {
    for (size_t i = 0; i < shape->count; i++) {
        if (shape->columns[i].use == SHAPE_PATTERN) {
            return true;
        }
    }
    return false;
}

static enum err_e advise_for_table(struct sketch *s, struct db_report *report,
                                   const struct db_slow *slow, struct db_advice *best) {
    bool found;
    struct choice choice;
    TRY(look_at_table(s->db, s->shape, &s->table, &found));
    if (!found || s->table.rows < ROWS_MIN) {
        return ERR_OK;
    }
    for (size_t i = 0; i < s->shape->count; i++) {
        s->columns[i] = (struct column){.shape = &s->shape->columns[i]};
        TRY(look_at_column(s->db, &s->table, &s->columns[i]));
    }
    sort_out(s);
    make_candidates(s);
    if (has_pattern(s->shape) && !s->extensions->trigrams) {
        TRY(db_add(report, &(struct db_item){
                               .state = DB_INFO, .kind = "extension", .what = "missing",
                               .name = SLICE_LIT("pg_trgm"),
                               .detail = SLICE_LIT("A slow statement looks for a pattern, which "
                                                   "an index of trigrams serves: CREATE EXTENSION "
                                                   "pg_trgm.")}));
    }
    TRY(choose(s, slow->query, &choice));
    if (choice.candidate == NULL) {
        return ERR_OK;
    }
    keep_best(report, s, slow, &choice, best);
    return tell(report, s, slow, &choice);
}

enum err_e db_advise(struct db *db, struct db_report *report,
                     const struct db_extensions *extensions, const struct db_slow *slow,
                     struct db_advice *best) {
    struct arena arena;
    struct problem ignored;
    struct query_shape *shape;
    struct sketch *sketch;
    arena_init(&arena, DB_ARENA_LIMIT);
    shape = arena_alloc(&arena, sizeof *shape);
    sketch = arena_alloc(&arena, sizeof *sketch);
    enum err_e err = shape == NULL || sketch == NULL ? ERR_NO_MEMORY : ERR_OK;
    bool known = err == ERR_OK && query_shape_read(&arena, slow->query, shape, &ignored) == ERR_OK;
    for (size_t i = 0; err == ERR_OK && known && i < shape->count; i++) {
        *sketch = (struct sketch){.db = db, .extensions = extensions, .shape = &shape->tables[i]};
        err = advise_for_table(sketch, report, slow, best);
    }
    arena_fini(&arena);
    return err;
}
