/* SPDX-License-Identifier: Apache-2.0 */
/* What a SELECT asks of its tables, and what is left out because it is not sure. */
#include "optimizer/fingerprint.h"
#include "optimizer/query_shape.h"

#include "base/buf.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static struct arena arena;

static int open_arena(void **state) {
    (void)state;
    arena_init(&arena, 16 << 20);
    return 0;
}

static int close_arena(void **state) {
    (void)state;
    arena_fini(&arena);
    return 0;
}

static const char *const use_words[] = {
    [SHAPE_EQUAL] = "=",      [SHAPE_RANGE] = "<",        [SHAPE_PATTERN] = "~",
    [SHAPE_TEXT] = "@@",      [SHAPE_CONTAINS] = "@>",    [SHAPE_NULL] = "null",
    [SHAPE_NOT_NULL] = "set", [SHAPE_TRUE] = "true",      [SHAPE_FALSE] = "false",
    [SHAPE_SORT] = "sort",
};

/* "r: a=[list] b< c sort- -> x y" for each table. */
static void put_table(struct buf *to, const struct shape_table *table) {
    buf_printf(to, "%s%.*s:", to->len > 0 ? "; " : "", SLICE_ARG(table->alias));
    for (size_t i = 0; i < table->count; i++) {
        const struct shape_column *column = &table->columns[i];
        buf_printf(to, " %.*s %s%s%s%.*s", SLICE_ARG(column->name), use_words[column->use],
                   column->is_list ? "[]" : "",
                   column->direction == SHAPE_DESCENDING ? "-" : "", SLICE_ARG(column->literal));
    }
    buf_add_text(to, table->returns_all ? " -> *" : " ->");
    for (size_t i = 0; !table->returns_all && i < table->returned_count; i++) {
        buf_printf(to, " %.*s", SLICE_ARG(table->returned[i]));
    }
}

static void expect(const char *sql, const char *wanted) {
    struct query_shape shape;
    struct problem problem;
    struct buf text;
    assert_int_equal(query_shape_read(&arena, sql, &shape, &problem), ERR_OK);
    buf_init(&text, 4096);
    for (size_t i = 0; i < shape.count; i++) {
        put_table(&text, &shape.tables[i]);
    }
    buf_add_char(&text, '\0');
    assert_string_equal(text.at, wanted);
    buf_fini(&text);
}

static void expect_nothing(const char *sql, enum err_e err) {
    struct query_shape shape;
    struct problem problem;
    assert_int_equal(query_shape_read(&arena, sql, &shape, &problem), err);
}

static void comparisons_with_values_are_told_by_kind(void **state) {
    (void)state;
    expect("SELECT id FROM t WHERE a = $1::bigint AND b >= now() - interval '1 h' AND c IN ($2, $3)"
           " AND d = ANY($4) AND e BETWEEN $5 AND $6 AND $7 = f",
           "t: a = b < c =[] d =[] e < f = -> id");
    expect("SELECT count(*) FROM t WHERE n IS NULL AND m IS NOT NULL AND p AND NOT q AND s IS TRUE",
           "t: n null m set p true q false s true ->");
    expect("SELECT * FROM t WHERE a LIKE $1 AND b ~* $2 AND c @@ to_tsquery($3) AND d @> $4",
           "t: a ~ b ~ c @@ d @> -> *");
    expect("SELECT x + 1 FROM t WHERE a = 'it''s' AND b = 5 AND c = 0", "t: a ='it''s' b =5 c =0 "
                                                                        "-> *");
}

static void what_is_not_sure_is_left_out(void **state) {
    (void)state;
    expect("SELECT id FROM t WHERE a = 1 OR b = 2", "t: -> id");
    expect("SELECT id FROM t WHERE lower(a) = $1 AND b + 1 = $2 AND c::text = $3 AND d = e",
           "t: -> id");
    expect("SELECT id FROM t WHERE a <> $1 AND b NOT IN ($2) AND c NOT LIKE $3", "t: -> id");
    expect("SELECT id FROM t WHERE a = (SELECT max(a) FROM t)", "t: -> id");
    expect("SELECT id FROM t u, v WHERE id = $1 AND u.a = $2", "u: a = -> *; v: -> *");
    expect_nothing("SELECT 1", ERR_NOT_FOUND);
    expect_nothing("SELECT a FROM (SELECT a FROM t) s WHERE a = 1", ERR_NOT_FOUND);
    expect_nothing("WITH s AS (SELECT 1) SELECT * FROM s", ERR_NOT_FOUND);
    expect_nothing("SELECT a FROM t UNION SELECT b FROM u", ERR_NOT_FOUND);
    expect_nothing("UPDATE t SET a = 1", ERR_NOT_FOUND);
    expect_nothing("SELECT 1; SELECT 2", ERR_NOT_FOUND);
    expect_nothing("SELEC 1", ERR_INVALID_FIELD);
}

static void joins_are_equalities_of_both_sides(void **state) {
    (void)state;
    expect("SELECT r.id, g.name FROM records r JOIN gates g ON g.id = r.gate_id WHERE r.at > $1",
           "r: gate_id = at < -> id; g: id = -> name");
}

static void an_order_counts_whole_or_not_at_all(void **state) {
    (void)state;
    expect("SELECT id FROM t WHERE a = $1 ORDER BY b DESC, c LIMIT 5", "t: a = b sort- c sort -> "
                                                                       "id");
    expect("SELECT id FROM t ORDER BY b, lower(c)", "t: -> id");
    expect("SELECT id FROM t ORDER BY b NULLS FIRST", "t: -> id");
    expect("SELECT u.id FROM t u JOIN v ON v.i = u.i ORDER BY u.a, v.b", "u: i = -> id; v: i = ->");
    expect("SELECT a FROM t GROUP BY a ORDER BY a", "t: -> a");
}

static void constants_and_spacing_do_not_tell_statements_apart(void **state) {
    (void)state;
    char one[FINGERPRINT_SIZE], two[FINGERPRINT_SIZE], other[FINGERPRINT_SIZE];
    struct problem problem;
    assert_int_equal(sql_fingerprint("SELECT a FROM t WHERE b IN (1, 2)", one, &problem), ERR_OK);
    assert_int_equal(sql_fingerprint("select a  from t where b in (7)", two, &problem), ERR_OK);
    assert_int_equal(sql_fingerprint("SELECT a FROM t WHERE c = 1", other, &problem), ERR_OK);
    assert_string_equal(one, two);
    assert_string_not_equal(one, other);
    assert_int_equal(sql_fingerprint("SELECT FROM WHERE", one, &problem), ERR_INVALID_FIELD);
    assert_non_null(strstr(problem.detail, "syntax error"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(comparisons_with_values_are_told_by_kind, open_arena,
                                        close_arena),
        cmocka_unit_test_setup_teardown(what_is_not_sure_is_left_out, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(joins_are_equalities_of_both_sides, open_arena,
                                        close_arena),
        cmocka_unit_test_setup_teardown(an_order_counts_whole_or_not_at_all, open_arena,
                                        close_arena),
        cmocka_unit_test(constants_and_spacing_do_not_tell_statements_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
