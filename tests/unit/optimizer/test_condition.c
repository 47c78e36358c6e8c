/* SPDX-License-Identifier: Apache-2.0 */
/* What is read out of the text of a condition, and what is left alone. */
#include "optimizer/condition.h"

#include "optimizer/index_advice.h"
#include "optimizer/quote.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

/* Terms as "=column", "=[]column" for a list, "<column", "~" (weak) and "?" (not understood). */
static void expect(const char *condition, const char *expected) {
    static const char *const signs[] = {"=", "<", "~", "?"};
    struct condition_term terms[CONDITION_TERMS_MAX];
    size_t count;
    char found[1024] = "";
    size_t len = 0;
    assert_true(condition_read(slice_of(condition), SLICE_LIT("r"), terms, &count));
    for (size_t i = 0; i < count; i++) {
        len += (size_t)snprintf(found + len, sizeof found - len, "%s%s%s%.*s", i > 0 ? " " : "",
                                signs[terms[i].kind], terms[i].is_list ? "[]" : "",
                                SLICE_ARG(terms[i].column));
    }
    if (strcmp(expected, found) != 0) {
        fail_msg("%s: expected %s, found %s", condition, expected, found);
    }
}

static void plain_comparisons_name_their_columns(void **state) {
    (void)state;
    expect("", "");
    expect("(gate_id = 5)", "=gate_id");
    expect("(5 = gate_id)", "=gate_id");
    expect("((gate_id = 5) AND (at >= '2026-01-01 00:00:00+00'::timestamp with time zone))",
           "=gate_id <at");
    expect("((a < 1) AND ((b = 2) AND (c > 3)))", "<a ?");
    expect("(at > (now() - '1 day'::interval))", "<at");
    expect("(id = $1)", "=id");
    expect("(r.id = g.id)", "=id");
    expect("(g.id = r.id)", "=id");
    expect("(amount = '1.50'::numeric(10,2))", "=amount");
    expect("(x < '-5'::integer)", "<x");
    expect("(x = 1e+20)", "=x");
    expect("(id = (InitPlan 1).col1)", "=id");
}

static void quoted_names_stay_quoted(void **state) {
    (void)state;
    expect("(\"timestamp\" >= '2026-01-01'::date)", "<\"timestamp\"");
    expect("(\"odd \"\"name\" = 'it''s'::text)", "=\"odd \"\"name\"");
    expect("(\"AND\" = 1)", "=\"AND\"");
}

static void a_varchar_is_its_column(void **state) {
    (void)state;
    expect("((name)::text = 'x'::text)", "=name");
    expect("((r.name)::text = ANY ('{a,b}'::text[]))", "=[]name");
    expect("((at)::date = '2026-01-01'::date)", "?");
}

static void lists_and_null_are_equalities(void **state) {
    (void)state;
    expect("(gate_id = ANY ('{1,2,3}'::integer[]))", "=[]gate_id");
    expect("(gate_id = ANY ($1))", "=[]gate_id");
    expect("(left_at IS NULL)", "=left_at");
    expect("(left_at IS NOT NULL)", "~");
    expect("(status <> 'active'::text)", "~");
    expect("(gate_id > ANY ('{1,2}'::integer[]))", "?");
    expect("(gate_id = ALL ('{1,2}'::integer[]))", "?");
}

static void what_is_not_understood_is_said_to_be_so(void **state) {
    (void)state;
    expect("((a = 1) OR (b = 2))", "?");
    expect("(NOT flag)", "?");
    expect("flag", "?");
    expect("(email ~~ 'a%'::text)", "?");
    expect("(lower(email) = 'x'::text)", "?");
    expect("((a + 1) = 2)", "?");
    expect("(a = b)", "?");
    expect("(ROW(a, b) > ROW(1, 2))", "?");
    expect("(a = (SubPlan 1))", "?");
    expect("(data @> '{}'::jsonb)", "?");
    expect("(CASE WHEN (a = 1) THEN 1 ELSE 0 END = 1)", "?");
    expect("(other.a = 1)", "?");
    expect("(hashed SubPlan 1)", "?");
}

static void broken_text_is_refused_not_guessed_at(void **state) {
    (void)state;
    static const char *const broken[] = {"(a = 1", "a = 1)", "(a = 'x", "(\"a = 1)", "(a = E'x\\')",
                                         "(a = \x01)", ")("};
    struct condition_term terms[CONDITION_TERMS_MAX];
    size_t count;
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        if (condition_read(slice_of(broken[i]), SLICE_LIT("r"), terms, &count)) {
            fail_msg("%s was read", broken[i]);
        }
    }
}

static void expect_wrapped(const char *condition, const char *column) {
    struct slice found = SLICE_NONE;
    bool wraps = condition_wraps_time(slice_of(condition), SLICE_LIT("r"), &found);
    if (wraps != (column != NULL) || (wraps && !slice_eq_text(found, column))) {
        fail_msg("%s: %.*s", condition, SLICE_ARG(found));
    }
}

static void a_function_or_cast_around_a_time_column_is_seen(void **state) {
    (void)state;
    expect_wrapped("(date_trunc('day'::text, \"timestamp\") = $0)", "\"timestamp\"");
    expect_wrapped("(EXTRACT(year FROM at) = '2026'::numeric)", "at");
    expect_wrapped("((at)::date = '2026-01-01'::date)", "at");
    expect_wrapped("((r.at)::date = '2026-01-01'::date)", "at");
    expect_wrapped("(date_trunc('day'::text, timezone('UTC'::text, at)) = $0)", "at");
    expect_wrapped("(to_char(at, 'YYYY'::text) = '2026'::text)", "at");
    expect_wrapped("(at >= date_trunc('day'::text, now()))", NULL);
    expect_wrapped("(at >= '2026-01-01'::date)", NULL);
    expect_wrapped("(at >= ('now'::text)::date)", NULL);
    expect_wrapped("(lower(name) = 'x'::text)", NULL);
    expect_wrapped("((name)::text = 'date_trunc(at)'::text)", NULL);
}

static void a_sort_key_is_a_column_or_nothing(void **state) {
    (void)state;
    struct slice column;
    assert_true(condition_sort_column(SLICE_LIT("r.at DESC"), SLICE_LIT("r"), &column));
    assert_true(slice_eq_text(column, "at"));
    assert_true(condition_sort_column(SLICE_LIT("\"At\""), SLICE_LIT("r"), &column));
    assert_false(condition_sort_column(SLICE_LIT("(lower(name))"), SLICE_LIT("r"), &column));
    assert_false(condition_sort_column(SLICE_LIT("name COLLATE \"C\" DESC"), SLICE_LIT("r"),
                                       &column));
    assert_false(condition_sort_column(SLICE_LIT("(count(*)) DESC"), SLICE_LIT("r"), &column));
    assert_false(condition_sort_column(SLICE_LIT("g.name"), SLICE_LIT("r"), &column));
}

static void expect_quoted(const char *name, const char *sql) {
    struct buf to;
    buf_init(&to, 512);
    quote_identifier(&to, slice_of(name));
    buf_add_char(&to, '\0');
    assert_string_equal(sql, to.at);
    buf_fini(&to);
}

static void names_are_quoted_where_postgresql_needs_it(void **state) {
    (void)state;
    expect_quoted("attendance_records", "attendance_records");
    expect_quoted("timestamp", "\"timestamp\"");
    expect_quoted("all", "\"all\"");
    expect_quoted("xmltable", "\"xmltable\"");
    expect_quoted("user", "\"user\"");
    expect_quoted("users", "users");
    expect_quoted("Users", "\"Users\"");
    expect_quoted("2fast", "\"2fast\"");
    expect_quoted("a$1", "a$1");
    expect_quoted("say \"hi\"", "\"say \"\"hi\"\"\"");
    expect_quoted("", "\"\"");
}

static void expect_parent(const char *relation, const char *alias, const char *parent) {
    struct plan_node node = {
        .relation = slice_of(relation), .alias = slice_of(alias), .role = PLAN_ROLE_MEMBER};
    struct slice found = partition_parent(&node);
    if (!slice_eq_text(found, parent)) {
        fail_msg("%s: %.*s", relation, SLICE_ARG(found));
    }
}

static void a_partition_leads_to_its_parent(void **state) {
    (void)state;
    expect_parent("attendance_records_2026_q4", "r", "attendance_records");
    expect_parent("attendance_records_2026_12", "r", "attendance_records");
    expect_parent("attendance_records_2026_w07", "r", "attendance_records");
    expect_parent("events_archive", "events_2", "events");
    expect_parent("scan_log", "s", "scan_log");
    expect_parent("s_log", "s", "s_log");
    expect_parent("gates", "gates_1", "gates");
    expect_parent("_2026_q4", "x", "_2026_q4");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_comparisons_name_their_columns),
        cmocka_unit_test(quoted_names_stay_quoted),
        cmocka_unit_test(a_varchar_is_its_column),
        cmocka_unit_test(lists_and_null_are_equalities),
        cmocka_unit_test(what_is_not_understood_is_said_to_be_so),
        cmocka_unit_test(broken_text_is_refused_not_guessed_at),
        cmocka_unit_test(a_function_or_cast_around_a_time_column_is_seen),
        cmocka_unit_test(a_sort_key_is_a_column_or_nothing),
        cmocka_unit_test(names_are_quoted_where_postgresql_needs_it),
        cmocka_unit_test(a_partition_leads_to_its_parent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
