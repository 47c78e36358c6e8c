/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the rules say about the plans of tests/data/plans: each plan there is named below, with all
 * it must be told or with silence.
 */
#include "optimizer/explain.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

struct expectation {
    const char *plan;
    const char *findings; /* rule:severity, in the order of the report */
};

static const struct expectation loud[] = {
    {"correlated_subplan", "correlated_subplan:warning"},
    {"cte_rescan", "join_filter_discards:warning cte_rescan:warning cte_rescan:warning"},
    {"estimate_only_pruning", "no_partition_pruning:warning"},
    {"hash_spill", "hash_spill:warning"},
    {"hash_spill_aggregate", "hash_spill:warning"},
    {"hash_spill_grown", "row_misestimate:warning"},
    {"hash_spill_parallel", "hash_spill:critical"},
    {"heap_fetches", "heap_fetches:warning"},
    {"index_filter", "index_filter:warning"},
    {"index_filter_bitmap", "index_filter:warning row_misestimate:info"},
    {"jit", "jit:warning"},
    {"join_filter_discards", "row_misestimate:warning join_filter_discards:warning"},
    {"large_offset", "large_offset:warning"},
    {"lossy_bitmap", "lossy_bitmap:warning"},
    {"memoize_evictions", "nested_loop:info"},
    {"missing_index", "row_misestimate:warning missing_index:warning"},
    {"missing_index_or_has_no_columns", "scan_discards:warning"},
    {"missing_index_parallel", "missing_index:warning"},
    {"missing_index_partitions", "missing_index:warning"},
    {"missing_index_quoted", "missing_index:warning"},
    {"missing_index_varchar", "missing_index:warning"},
    {"nested_loop", "nested_loop_scan:warning missing_index:warning"},
    {"nested_loop_index", "heap_fetches:warning nested_loop:info"},
    {"no_costs", "missing_index:warning"},
    {"no_partition_pruning", "no_partition_pruning:warning"},
    {"no_partition_pruning_cast", "no_partition_pruning:warning"},
    {"no_partition_pruning_unused_leaves", "no_partition_pruning:warning row_misestimate:warning"},
    {"planner_forced", "planner_forced:info"},
    {"row_misestimate", "row_misestimate:critical missing_index:warning"},
    {"row_misestimate_join", "row_misestimate:warning missing_index:warning sort_spill:warning"},
    {"row_misestimate_parallel", "row_misestimate:critical missing_index:warning"},
    {"row_misestimate_warning", "row_misestimate:warning"},
    {"scan_discards", "scan_discards:warning"},
    {"slow_trigger", "slow_trigger:critical"},
    {"sort_for_limit", "sort_for_limit:warning"},
    {"sort_for_limit_parallel", "sort_for_limit:warning"},
    {"sort_spill", "sort_spill:warning"},
    {"sort_spill_incremental", "sort_spill:warning"},
    {"sort_spill_workers", "sort_spill:warning"},
    {"stale_statistics", "stale_statistics:warning"},
    {"temp_blocks", "temp_blocks:warning"},
    {"workers_not_launched", "workers_not_launched:warning"},
    {"workers_not_launched_some", "workers_not_launched:info"},
    {"made/hash_spill_grown", "hash_spill:warning"},
    {"made/jit_17", "jit:warning"},
    {"made/memoize_evictions", "memoize_evictions:info"},
    {"made/memoize_evictions_workers", "memoize_evictions:info"},
    {"made/nested_loop_scan_foreign", "nested_loop_scan:warning"},
    {"made/planning_time", "planning_time:info"},
    {"made/row_misestimate_at_10", "row_misestimate:info"},
    {"made/row_misestimate_at_100", "row_misestimate:warning"},
    {"made/row_misestimate_at_1000", "row_misestimate:critical"},
    {"made/row_misestimate_below_sort", "row_misestimate:warning"},
    {"made/row_misestimate_once", "row_misestimate:warning"},
    {"made/scan_discards_foreign", "scan_discards:warning"},
    {"made/slow_trigger_own", "slow_trigger:warning"},
    {"made/temp_blocks_18_storage", "temp_blocks:warning"},
    {"made/two_statements", "row_misestimate:warning"},
    {"made/workers_not_launched_many", "workers_not_launched:warning"},
};

/* Healthy plans of all sorts, and near misses of the rules. */
static const char *const silent[] = {
    "correlated_subplan_near", "cte_rescan_near", "estimate_only", "hash_spill_near",
    "healthy_bitmap_and", "healthy_bitmap_or", "healthy_counts_per_gate", "healthy_delete",
    "healthy_except", "healthy_exists", "healthy_exists_once", "healthy_full_text",
    "healthy_function", "healthy_gate_count", "healthy_gist", "healthy_group_overestimate",
    "healthy_hash_join", "healthy_hashed_subplan", "healthy_incremental_sort", "healthy_insert",
    "healthy_json_function", "healthy_keyset", "healthy_lateral_top", "healthy_limit",
    "healthy_limit_over_join", "healthy_memoize", "healthy_merge", "healthy_merge_join",
    "healthy_merge_join_duplicates", "healthy_never_executed", "healthy_newest_records",
    "healthy_no_buffers", "healthy_not_exists", "healthy_one_time_filter",
    "healthy_parallel_aggregate", "healthy_parallel_hash_join", "healthy_partitionwise",
    "healthy_recursive", "healthy_sample", "healthy_timing_off", "healthy_token", "healthy_union",
    "healthy_update", "healthy_upsert", "healthy_values", "healthy_verbose", "healthy_window",
    "heap_fetches_few", "heap_fetches_near", "index_filter_near", "jit_near",
    "join_filter_discards_near", "large_offset_near", "lossy_bitmap_brin", "lossy_bitmap_near",
    "memoize_evictions_near", "missing_index_near", "nested_loop_near", "no_partition_pruning_near",
    "no_partition_pruning_runtime", "planner_forced_near", "row_misestimate_near",
    "scan_discards_near", "slow_trigger_near", "sort_for_limit_join", "sort_for_limit_near",
    "sort_spill_near", "stale_statistics_near", "temp_blocks_near", "workers_not_launched_near",
    "made/auto_explain", "made/healthy_16_right_anti", "made/healthy_17_initplan",
    "made/healthy_17_merge", "made/healthy_18_fractional_rows", "made/healthy_empty_hash",
    "made/healthy_heap_fetches_of_loops", "made/healthy_huge_estimate",
    "made/healthy_limit_in_subquery", "made/healthy_no_trigger_time",
    "made/healthy_pruned_by_range", "made/healthy_rounded_inner", "made/healthy_runtime_pruning",
    "made/healthy_semi_join", "made/healthy_union_with_functions", "made/healthy_unknown_node",
    "made/jit_17_near", "made/memoize_evictions_share_near", "made/planning_time_near",
    "made/row_misestimate_below_10", "made/row_misestimate_few_rows", "made/temp_blocks_at_256",
    "made/wrapped",
};

enum { FILE_MAX = 1 << 20 };

static struct arena arena;
static struct buf text;

static int setup(void **state) {
    (void)state;
    arena_init(&arena, PLAN_ARENA_LIMIT);
    buf_init(&text, FILE_MAX);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    buf_fini(&text);
    arena_fini(&arena);
    return 0;
}

/* meson sets TURNOUT_TESTS; by hand the tests run from the tree's root. */
static const char *tests_folder(void) {
    const char *folder = getenv("TURNOUT_TESTS");
    return folder != NULL ? folder : "tests";
}

static struct slice load(const char *plan) {
    char path[512];
    snprintf(path, sizeof path, "%s/data/plans/%s.json", tests_folder(), plan);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fail_msg("no such plan: %s", path);
    }
    buf_clear(&text);
    assert_true(buf_reserve(&text, FILE_MAX));
    text.len = fread(text.at, 1, FILE_MAX, file);
    assert_true(feof(file) != 0);
    fclose(file);
    return buf_slice(&text);
}

static struct explain_report judge(const char *plan) {
    struct plan_statement *statements = NULL;
    struct problem problem = {{0}, {0}};
    struct explain_report report;
    arena_reset(&arena);
    enum err_e err = plan_read(&arena, load(plan), &statements, &problem);
    if (err != ERR_OK) {
        fail_msg("%s: %s", plan, problem.detail);
    }
    assert_int_equal(ERR_OK, explain_judge(&arena, statements, &report));
    return report;
}

static void words_of(const struct explain_report *report, struct buf *to) {
    for (const struct finding *f = report->findings; f != NULL; f = f->next) {
        buf_printf(to, "%s%s:%s", to->len > 0 ? " " : "", rule_of(f->rule)->id,
                   finding_severity_word(f->severity));
    }
}

static void expect(const char *plan, const char *findings) {
    struct buf words;
    buf_init(&words, 4096);
    struct explain_report report = judge(plan);
    words_of(&report, &words);
    if (!slice_eq_text(buf_slice(&words), findings)) {
        fail_msg("%s: expected \"%s\", found \"%.*s\"", plan, findings,
                 SLICE_ARG(buf_slice(&words)));
    }
    buf_fini(&words);
}

static void every_troubled_plan_is_told_its_trouble_and_no_more(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof loud / sizeof loud[0]; i++) {
        expect(loud[i].plan, loud[i].findings);
    }
}

static void healthy_plans_and_near_misses_are_met_with_silence(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof silent / sizeof silent[0]; i++) {
        expect(silent[i], "");
    }
}

static void every_rule_has_a_plan_that_triggers_it(void **state) {
    (void)state;
    for (int rule = 0; rule < RULE_COUNT; rule++) {
        const char *id = rule_of((enum rule_e)rule)->id;
        bool found = false;
        for (size_t i = 0; i < sizeof loud / sizeof loud[0]; i++) {
            const char *at = strstr(loud[i].findings, id);
            found = found || (at != NULL && at[strlen(id)] == ':');
        }
        if (!found) {
            fail_msg("no plan triggers %s", id);
        }
    }
}

static size_t count_files(const char *pattern) {
    char path[512];
    glob_t found;
    snprintf(path, sizeof path, "%s/data/plans/%s", tests_folder(), pattern);
    assert_int_equal(0, glob(path, 0, NULL, &found));
    size_t count = found.gl_pathc;
    globfree(&found);
    return count;
}

static void no_plan_on_file_is_without_an_expectation(void **state) {
    (void)state;
    assert_int_equal(count_files("*.json") + count_files("made/*.json"),
                     sizeof loud / sizeof loud[0] + sizeof silent / sizeof silent[0]);
}

static const struct finding *first_of(const struct explain_report *report, enum rule_e rule) {
    for (const struct finding *f = report->findings; f != NULL; f = f->next) {
        if (f->rule == rule) {
            return f;
        }
    }
    fail_msg("no %s", rule_of(rule)->id);
    return NULL;
}

static bool holds(struct slice s, const char *part) {
    return memmem(s.at, s.len, part, strlen(part)) != NULL;
}

static void expect_in(const char *plan, enum rule_e rule, const char *part) {
    struct explain_report report = judge(plan);
    const struct finding *f = first_of(&report, rule);
    if (!holds(f->evidence, part) && !holds(f->message, part) && !holds(f->where, part)) {
        fail_msg("%s: \"%s\" is not in %.*s, %.*s, %.*s", plan, part, SLICE_ARG(f->where),
                 SLICE_ARG(f->message), SLICE_ARG(f->evidence));
    }
}

static void the_advised_index_names_the_columns_of_the_condition(void **state) {
    (void)state;
    expect_in("missing_index", RULE_MISSING_INDEX, "on scan_log (method, device).");
    expect_in("missing_index_parallel", RULE_MISSING_INDEX, "scan_log (device, at)");
    expect_in("missing_index_quoted", RULE_MISSING_INDEX, "scan_log (\"Note\")");
    expect_in("missing_index_varchar", RULE_MISSING_INDEX, "participants (name)");
    expect_in("index_filter_bitmap", RULE_INDEX_FILTER, "scan_log (gate_id, device)");
    expect_in("sort_for_limit", RULE_SORT_FOR_LIMIT, "scan_log (at)");
}

static void partitions_alike_are_one_finding_about_their_parent(void **state) {
    (void)state;
    expect_in("missing_index_partitions", RULE_MISSING_INDEX, "\"similar_partitions\":3");
    expect_in("missing_index_partitions", RULE_MISSING_INDEX, "attendance_records (method)");
}

static void rows_of_loops_and_workers_are_added_up(void **state) {
    (void)state;
    expect_in("missing_index_parallel", RULE_MISSING_INDEX, "\"rows_discarded\":999345");
    expect_in("row_misestimate_parallel", RULE_ROW_MISESTIMATE, "\"loops\":3");
    expect_in("sort_spill_workers", RULE_SORT_SPILL, "Gather Merge > Sort");
}

static void a_finding_names_the_way_to_its_node(void **state) {
    (void)state;
    expect_in("nested_loop", RULE_NESTED_LOOP_SCAN, "Aggregate > Nested Loop > Seq Scan on gates");
    expect_in("correlated_subplan", RULE_CORRELATED_SUBPLAN, "> SubPlan 1 > Aggregate");
    expect_in("hash_spill_parallel", RULE_HASH_SPILL, "Parallel Hash Join > Parallel Hash");
    expect_in("slow_trigger", RULE_TRIGGER, "Constraint child_parent_id_fkey on parent");
}

static void the_most_severe_finding_comes_first(void **state) {
    (void)state;
    struct explain_report report = judge("row_misestimate");
    assert_non_null(report.findings->next);
    for (const struct finding *f = report.findings; f->next != NULL; f = f->next) {
        assert_true(f->severity >= f->next->severity);
    }
}

static void expect_indexes(const char *plan, const char *names) {
    struct buf list;
    buf_init(&list, 4096);
    struct explain_report report = judge(plan);
    for (size_t i = 0; i < report.index_count; i++) {
        buf_printf(&list, "%s%.*s", i > 0 ? " " : "", SLICE_ARG(report.indexes[i]));
    }
    buf_add_char(&list, '\0');
    assert_string_equal(names, list.at);
    buf_fini(&list);
}

static void each_index_of_the_plan_is_listed_once(void **state) {
    (void)state;
    expect_indexes("healthy_token", "idx_participants_token_active");
    expect_indexes("healthy_bitmap_or", "scan_log_participant");
    expect_indexes("healthy_full_text", "idx_participants_search");
    expect_indexes("healthy_upsert", "plain_target_pkey");
    expect_indexes("healthy_limit", "");
}

static void the_time_is_that_of_all_statements_or_null(void **state) {
    (void)state;
    assert_true(judge("made/two_statements").execution_ms == 3.75);
    assert_true(judge("made/wrapped").execution_ms == 1.5);
    assert_true(judge("made/auto_explain").execution_ms == 0.25);
    assert_true(judge("estimate_only").execution_ms == PLAN_ABSENT);
}

static void the_report_is_one_json_document(void **state) {
    (void)state;
    struct buf out;
    struct json_writer writer;
    struct json_t *value = NULL;
    buf_init(&out, 1 << 20);
    struct explain_report report = judge("nested_loop");
    json_writer_init(&writer, &out);
    explain_write(&writer, &report);
    assert_int_equal(ERR_OK, json_parse(&arena, buf_slice(&out), &value, NULL));
    assert_int_equal(JSON_KIND_REAL, json_kind(json_get(value, "execution_ms")));
    const struct json_t *finding = json_at(json_get(value, "findings"), 0);
    static const char *const keys[] = {"rule", "severity", "node", "message"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        assert_int_equal(JSON_KIND_STRING, json_kind(json_get(finding, keys[i])));
    }
    assert_int_equal(JSON_KIND_OBJECT, json_kind(json_get(finding, "evidence")));
    assert_int_equal(JSON_KIND_ARRAY, json_kind(json_get(value, "indexes")));
    report = judge("estimate_only");
    buf_clear(&out);
    json_writer_init(&writer, &out);
    explain_write(&writer, &report);
    assert_true(slice_eq_text(buf_slice(&out),
                              "{\"execution_ms\":null,\"findings\":[],\"indexes\":[]}"));
    buf_fini(&out);
}

static void a_full_arena_is_an_error_and_not_a_shorter_report(void **state) {
    (void)state;
    struct slice plan = load("no_partition_pruning_unused_leaves");
    bool passed = false;
    for (size_t limit = 4096; !passed && limit < 1 << 22; limit += 4096) {
        struct plan_statement *statements = NULL;
        struct explain_report report;
        struct arena small;
        arena_init(&small, limit);
        enum err_e err = plan_read(&small, plan, &statements, NULL);
        err = err == ERR_OK ? explain_judge(&small, statements, &report) : err;
        passed = err == ERR_OK && report.finding_count == 2;
        assert_true(passed || err == ERR_NO_MEMORY);
        arena_fini(&small);
    }
    assert_true(passed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_troubled_plan_is_told_its_trouble_and_no_more),
        cmocka_unit_test(healthy_plans_and_near_misses_are_met_with_silence),
        cmocka_unit_test(every_rule_has_a_plan_that_triggers_it),
        cmocka_unit_test(no_plan_on_file_is_without_an_expectation),
        cmocka_unit_test(the_advised_index_names_the_columns_of_the_condition),
        cmocka_unit_test(partitions_alike_are_one_finding_about_their_parent),
        cmocka_unit_test(rows_of_loops_and_workers_are_added_up),
        cmocka_unit_test(a_finding_names_the_way_to_its_node),
        cmocka_unit_test(the_most_severe_finding_comes_first),
        cmocka_unit_test(each_index_of_the_plan_is_listed_once),
        cmocka_unit_test(the_time_is_that_of_all_statements_or_null),
        cmocka_unit_test(the_report_is_one_json_document),
        cmocka_unit_test(a_full_arena_is_an_error_and_not_a_shorter_report),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
