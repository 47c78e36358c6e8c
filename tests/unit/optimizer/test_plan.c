/* SPDX-License-Identifier: Apache-2.0 */
/* What plan_read takes, and what it says of everything else. */
#include "optimizer/explain.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

static struct arena arena;

static int setup(void **state) {
    (void)state;
    arena_init(&arena, PLAN_ARENA_LIMIT);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_fini(&arena);
    return 0;
}

static struct plan_statement *read_plan(const char *text) {
    struct plan_statement *plan = NULL;
    struct problem problem = {{0}, {0}};
    if (plan_read(&arena, slice_of(text), &plan, &problem) != ERR_OK) {
        fail_msg("%s: %s", text, problem.detail);
    }
    return plan;
}

static void refuse(const char *text, enum err_e expected, const char *part) {
    struct plan_statement *plan = NULL;
    struct problem problem = {{0}, {0}};
    enum err_e err = plan_read(&arena, slice_of(text), &plan, &problem);
    if (err != expected || strstr(problem.detail, part) == NULL) {
        fail_msg("%s: %s: %s", text, err_code(err), problem.detail);
    }
}

static void what_is_no_json_is_named_for_what_it_is(void **state) {
    (void)state;
    refuse("", ERR_MALFORMED_JSON, "empty");
    refuse(" \n\t", ERR_MALFORMED_JSON, "empty");
    refuse("hello", ERR_MALFORMED_JSON, "not JSON (line 1, column 5");
    refuse("Seq Scan on gates  (cost=0.00..1.40 rows=40 width=15)", ERR_MALFORMED_JSON,
           "text format");
    refuse("- Plan: \n    Node Type: \"Seq Scan\"\n", ERR_MALFORMED_JSON, "YAML");
    refuse("<explain xmlns=\"http://www.postgresql.org/2009/explain\">", ERR_MALFORMED_JSON, "XML");
    refuse("SELECT 1", ERR_MALFORMED_JSON, "SQL statement");
    refuse("EXPLAIN (FORMAT JSON) SELECT 1", ERR_MALFORMED_JSON, "SQL statement");
    refuse("LOG:  duration: 5.1 ms  plan:\n{\n", ERR_MALFORMED_JSON, "auto_explain");
    refuse("\xFF\xFE[\0", ERR_MALFORMED_JSON, "UTF-16");
    refuse("[{\"Plan\": {\"Node Type\": \"Result\"", ERR_MALFORMED_JSON, "not JSON");
}

static void a_table_of_psql_is_refused_with_the_way_out(void **state) {
    (void)state;
    refuse("                QUERY PLAN                 \n------------------\n [               +\n"
           "   {             +\n     \"Plan\": {   +\n",
           ERR_MALFORMED_JSON, "psql -XAt");
    refuse(" [               +\n   {             +\n     \"Plan\": {   +\n", ERR_MALFORMED_JSON,
           "psql -XAt");
    refuse("                QUERY PLAN\n--------\n Seq Scan on gates  (cost=0.00..1.40)\n",
           ERR_MALFORMED_JSON, "psql -XAt");
}

static void json_of_another_shape_is_told_from_a_plan(void **state) {
    (void)state;
    refuse("[]", ERR_INVALID_FIELD, "empty");
    refuse("{}", ERR_INVALID_FIELD, "an object");
    refuse("null", ERR_INVALID_FIELD, "null");
    refuse("7", ERR_INVALID_FIELD, "a number");
    refuse("\"Plan\"", ERR_INVALID_FIELD, "a string");
    refuse("[1,2]", ERR_INVALID_FIELD, "no \"Plan\"");
    refuse("[{\"Plan\":7}]", ERR_INVALID_FIELD, "no \"Plan\"");
    refuse("[{\"Plan\":{\"Node Type\":7}}]", ERR_INVALID_FIELD, "no \"Plan\"");
    refuse("[{\"Plan\":{}}]", ERR_INVALID_FIELD, "no \"Plan\"");
    refuse("[{\"Plan\":{\"Node Type\":\"Result\"}},7]", ERR_INVALID_FIELD, "some element");
    refuse("[\"Utility Statement\"]", ERR_INVALID_FIELD, "utility statement");
    refuse("{\"Node Type\":\"Result\"}", ERR_INVALID_FIELD, "one node");
    refuse("{\"query_block\":{}}", ERR_INVALID_FIELD, "MySQL");
}

static void a_plan_larger_than_the_limit_is_refused_unread(void **state) {
    (void)state;
    struct plan_statement *plan = NULL;
    struct problem problem = {{0}, {0}};
    struct slice text = slice_from("", (size_t)PLAN_TEXT_MAX + 1);
    assert_int_equal(ERR_TOO_LARGE, plan_read(&arena, text, &plan, &problem));
    assert_non_null(strstr(problem.detail, "64 MiB"));
}

static void a_byte_order_mark_and_white_space_are_no_part_of_the_plan(void **state) {
    (void)state;
    assert_non_null(read_plan("\xEF\xBB\xBF [{\"Plan\":{\"Node Type\":\"Result\"}}]\r\n")->root);
}

static void nodes_that_nobody_knows_are_kept_by_their_name(void **state) {
    (void)state;
    struct plan_statement *plan = read_plan(
        "[{\"Plan\":{\"Node Type\":\"Odd\",\"Plans\":[3,{\"Node Type\":\"Hash\"},{}]}}]");
    assert_int_equal(PLAN_OTHER, plan->root->kind);
    assert_int_equal(PLAN_HASH, plan->root->child->kind);
    assert_null(plan->root->child->sibling);
}

static void keys_of_the_wrong_kind_read_as_absent(void **state) {
    (void)state;
    struct plan_statement *plan =
        read_plan("[{\"Plan\":{\"Node Type\":\"Seq Scan\",\"Plan Rows\":\"x\",\"Actual Rows\":-3,"
                  "\"Actual Loops\":null,\"Relation Name\":5,\"Plans\":{}},\"Triggers\":7,"
                  "\"JIT\":[],\"Settings\":\"off\",\"Execution Time\":\"long\"}]");
    struct explain_report report;
    assert_true(plan->root->plan_rows == PLAN_ABSENT);
    assert_true(plan->root->rows == PLAN_ABSENT);
    assert_true(plan->root->loops == PLAN_ABSENT);
    assert_int_equal(0, plan->root->relation.len);
    assert_int_equal(ERR_OK, explain_judge(&arena, plan, &report));
    assert_int_equal(0, report.finding_count);
}

/* A chain of `levels` joins, each the outer side of the one above. */
static struct slice deep_plan(struct buf *to, int levels) {
    buf_add_text(to, "[{\"Plan\":");
    for (int i = 0; i < levels; i++) {
        buf_add_text(to, "{\"Node Type\":\"Nested Loop\",\"Plans\":[");
    }
    buf_add_text(to, "{\"Node Type\":\"Seq Scan\",\"Relation Name\":\"t\",\"Plan Rows\":1,"
                     "\"Actual Rows\":1000,\"Actual Loops\":1}");
    for (int i = 0; i < levels; i++) {
        buf_add_text(to, "]}");
    }
    buf_add_text(to, "}]");
    return buf_slice(to);
}

static void plans_nest_deeper_than_requests_may(void **state) {
    (void)state;
    struct plan_statement *plan = NULL;
    struct explain_report report;
    struct buf text;
    buf_init(&text, 1 << 20);
    assert_int_equal(ERR_OK, plan_read(&arena, deep_plan(&text, 900), &plan, NULL));
    assert_int_equal(ERR_OK, explain_judge(&arena, plan, &report));
    assert_int_equal(1, report.finding_count);
    assert_true(slice_starts_with(report.findings->where, slice_of("… > Nested Loop > ")));
    buf_clear(&text);
    assert_int_equal(ERR_MALFORMED_JSON, plan_read(&arena, deep_plan(&text, 1100), &plan, NULL));
    buf_fini(&text);
}

static void thousands_of_findings_are_bounded(void **state) {
    (void)state;
    struct plan_statement *plan = NULL;
    struct explain_report report;
    struct buf text;
    buf_init(&text, 4 << 20);
    buf_add_text(&text, "[{\"Plan\":{\"Node Type\":\"Result\",\"Plans\":[");
    for (int i = 0; i < 3000; i++) {
        buf_printf(&text, "%s{\"Node Type\":\"Seq Scan\",\"Plan Rows\":1,\"Actual Rows\":1000,"
                          "\"Actual Loops\":1,\"Index Name\":\"i%d\"}",
                   i > 0 ? "," : "", i % 500);
    }
    buf_add_text(&text, "]}}]");
    assert_int_equal(ERR_OK, plan_read(&arena, buf_slice(&text), &plan, NULL));
    assert_int_equal(ERR_OK, explain_judge(&arena, plan, &report));
    assert_int_equal(EXPLAIN_FINDINGS_MAX, report.finding_count);
    assert_int_equal(500, report.index_count);
    buf_fini(&text);
}

static void expect_label(const char *node, const char *label) {
    char text[1024];
    snprintf(text, sizeof text, "[{\"Plan\":{%s}}]", node);
    struct buf to;
    buf_init(&to, 1024);
    plan_label(&to, read_plan(text)->root);
    buf_add_char(&to, '\0');
    assert_string_equal(label, to.at);
    buf_fini(&to);
}

static void nodes_are_named_as_the_text_format_names_them(void **state) {
    (void)state;
    expect_label("\"Node Type\":\"Seq Scan\",\"Relation Name\":\"gates\",\"Parallel Aware\":true",
                 "Parallel Seq Scan on gates");
    expect_label("\"Node Type\":\"Index Scan\",\"Scan Direction\":\"Backward\","
                 "\"Index Name\":\"i\",\"Relation Name\":\"t\"",
                 "Index Scan Backward using i on t");
    expect_label("\"Node Type\":\"Bitmap Index Scan\",\"Index Name\":\"i\"",
                 "Bitmap Index Scan on i");
    expect_label("\"Node Type\":\"Hash Join\",\"Join Type\":\"Left\"", "Hash Left Join");
    expect_label("\"Node Type\":\"Merge Join\",\"Join Type\":\"Inner\"", "Merge Join");
    expect_label("\"Node Type\":\"Nested Loop\",\"Join Type\":\"Semi\"", "Nested Loop Semi Join");
    expect_label("\"Node Type\":\"Aggregate\",\"Strategy\":\"Hashed\",\"Partial Mode\":\"Partial\"",
                 "Partial HashAggregate");
    expect_label("\"Node Type\":\"ModifyTable\",\"Operation\":\"Insert\",\"Relation Name\":\"t\"",
                 "Insert on t");
    expect_label("\"Node Type\":\"CTE Scan\",\"CTE Name\":\"c\",\"Alias\":\"a\"", "CTE Scan on c");
    expect_label("\"Node Type\":\"Function Scan\",\"Function Name\":\"unnest\"",
                 "Function Scan on unnest");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_json_is_named_for_what_it_is),
        cmocka_unit_test(a_table_of_psql_is_refused_with_the_way_out),
        cmocka_unit_test(json_of_another_shape_is_told_from_a_plan),
        cmocka_unit_test(a_plan_larger_than_the_limit_is_refused_unread),
        cmocka_unit_test(a_byte_order_mark_and_white_space_are_no_part_of_the_plan),
        cmocka_unit_test(nodes_that_nobody_knows_are_kept_by_their_name),
        cmocka_unit_test(keys_of_the_wrong_kind_read_as_absent),
        cmocka_unit_test(plans_nest_deeper_than_requests_may),
        cmocka_unit_test(thousands_of_findings_are_bounded),
        cmocka_unit_test(nodes_are_named_as_the_text_format_names_them),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
