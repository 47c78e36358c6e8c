/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a test of rules says exactly what it is made of, fails when it should with what was seen
 * instead, and is refused, with the place, when it would check nothing. */
#include "control/rule_test.h"

#include <stdio.h>
#include <string.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

static struct arena arena;
static struct policy policy;
static struct problem problem;
static struct rule_test_result result;

static int fresh(void **state) {
    (void)state;
    arena_init(&arena, 64 << 20);
    policy_init(&policy, NULL);
    problem = (struct problem){.field = ""};
    return 0;
}

static int done(void **state) {
    (void)state;
    arena_fini(&arena);
    return 0;
}

/* ---- series ---- */

static void a_series_is_what_promtool_makes_of_it(void **state) {
    (void)state;
    static const struct {
        const char *text, *samples;
    } rows[] = {
        {"5", "5"},
        {" 5\t7.5  -2 ", "5 7.5 -2"},
        {"5x3", "5 5 5 5"},
        {"5x0", "5"},
        {"1+2x3", "1 3 5 7"},
        {"1-2x3", "1 -1 -3 -5"},
        {"-3+0.5x2", "-3 -2.5 -2"},
        {"_", "_"},
        {"_x3", "_ _ _"},
        {"1 _x2 2x1", "1 _ _ 2 2"},
        {"1e2 2.5e-1", "100 0.25"},
        {"0x2", "0 0 0"}, /* not hexadecimal */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rule_series series;
        char text[128] = "";
        assert_int_equal(rule_series_read(&arena, slice_of(rows[i].text), &series, &problem),
                         ERR_OK);
        for (size_t k = 0; k < series.len; k++) {
            size_t len = strlen(text);
            if (figure_is_known(series.at[k])) {
                snprintf(text + len, sizeof text - len, "%s%g", k == 0 ? "" : " ", series.at[k]);
            } else {
                snprintf(text + len, sizeof text - len, "%s_", k == 0 ? "" : " ");
            }
        }
        assert_string_equal(text, rows[i].samples);
    }
}

static void a_broken_series_is_refused_with_the_piece(void **state) {
    (void)state;
    static const char *const rows[] = {"five", "5x", "x5", "5x-1", "5x1.5", "5+x3", "5+2", "+",
                                       "-", "5++2x3", "inf", "nan", "0y2", "__", "_+1x2", "5x3x3",
                                       "1,2", "1e999", "5x100000", "5x99999 1 1"};
    struct rule_series series;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rule_series_read(&arena, slice_of(rows[i]), &series, &problem) != ERR_INVALID_FIELD) {
            fail_msg("\"%s\" was taken", rows[i]);
        }
        assert_true(problem.detail[0] != '\0');
    }
    assert_int_equal(rule_series_read(&arena, slice_of("1 2 3z 4"), &series, &problem),
                     ERR_INVALID_FIELD);
    assert_non_null(strstr(problem.detail, "\"3z\""));
    assert_int_equal(rule_series_read(&arena, slice_of("  "), &series, &problem),
                     ERR_INVALID_FIELD);
}

/* ---- reading ---- */

static void times_are_written_as_people_do(void **state) {
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {{0, "0s"}, {250, "250ms"}, {40000, "40s"}, {90000, "1m30s"}, {7200000, "2h"},
                {3661001, "1h1m1s1ms"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[TEST_TIME_SIZE];
        rule_test_time(rows[i].ms, text);
        assert_string_equal(text, rows[i].text);
    }
}

#define SERIES "\"series\":{\"memory_usage\":\"95x5\"}"
#define TEST(rest) "{\"tests\":[{\"name\":\"a\"," rest "}]}"
#define EXPECT(rest) TEST(SERIES ",\"expect\":[" rest "]")

static void what_would_check_nothing_is_refused_with_its_place(void **state) {
    (void)state;
    static const struct {
        const char *text, *field, *detail;
    } rows[] = {
        {"[]", "", "expected an object"},
        {"{}", "tests", "one at least"},
        {"{\"tests\":[]}", "tests", "one at least"},
        {"{\"test\":[]}", "test", "did you mean tests"},
        {"{\"tests\":[7]}", "tests[0]", "expected an object"},
        {"{\"tests\":[{}]}", "tests[0].name", "what the test shows"},
        {"{\"interval\":\"x\",\"tests\":[{}]}", "interval", "a duration"},
        {TEST("\"interval\":\"0s\""), "tests[0].interval", "more than 0s"},
        {TEST("\"expect\":[]"), "tests[0].series", "an object"},
        {TEST("\"series\":{},\"expect\":[]"), "tests[0].series", "one at least"},
        {TEST("\"series\":{\"memory_usag\":\"1\"}"), "tests[0].series.memory_usag",
         "did you mean memory_usage"},
        {TEST("\"series\":{\"cpu_avg\":\"1\"}"), "tests[0].series.cpu_avg", "that is measured"},
        {TEST("\"series\":{\".cpu\":\"1\"}"), "tests[0].series..cpu", "NODE.FIGURE"},
        {TEST("\"series\":{\"n1.cpu\":5}"), "tests[0].series.n1.cpu", "a line of samples"},
        {TEST("\"series\":{\"n1.cpu\":\"5 z\"}"), "tests[0].series.n1.cpu", "\"z\""},
        {TEST(SERIES), "tests[0].expect", "always pass"},
        {EXPECT(""), "tests[0].expect", "always pass"},
        {EXPECT("{\"rule\":\"x\",\"state\":\"firing\"}"), "tests[0].expect[0].at", "the moment"},
        {EXPECT("{\"at\":\"1s\"}"), "tests[0].expect[0]", "expects nothing"},
        {EXPECT("{\"at\":\"1s\",\"rule\":\"x\"}"), "tests[0].expect[0]", "go together"},
        {EXPECT("{\"at\":\"1s\",\"state\":\"firing\"}"), "tests[0].expect[0]", "go together"},
        {EXPECT("{\"at\":\"1s\",\"node\":\"n\",\"actions\":[]}"), "tests[0].expect[0].node",
         "a rule with it"},
        {EXPECT("{\"at\":\"1s\",\"rule\":\"x\",\"state\":\"fireing\"}"),
         "tests[0].expect[0].state", "did you mean firing"},
        {EXPECT("{\"at\":\"1500ms\",\"actions\":[]}"), "tests[0].expect[0].at",
         "every 1s, up to 5s"},
        {EXPECT("{\"at\":\"6s\",\"actions\":[]}"), "tests[0].expect[0].at", "up to 5s"},
        {EXPECT("{\"at\":\"5s\",\"actions\":[],\"action\":[]}"), "tests[0].expect[0].action",
         "did you mean actions"},
        {EXPECT("{\"at\":\"5s\",\"actions\":\"SHED_LOAD\"}"), "tests[0].expect[0].actions",
         "an array"},
        {EXPECT("{\"at\":\"5s\",\"calls\":[1]}"), "tests[0].expect[0].calls", "texts"},
        {EXPECT("{\"at\":\"5s\",\"desired\":-1}"), "tests[0].expect[0].desired", "nodes"},
        {EXPECT("{\"at\":\"5s\",\"rule\":\"x\",\"value\":\"5\"}"), "tests[0].expect[0].value",
         "a number"},
        {EXPECT("{\"at\":\"5s\",\"rule\":\"x\",\"flapping\":1}"), "tests[0].expect[0].flapping",
         "true or false"},
        {TEST(SERIES ",\"effects\":[{\"at\":\"1s\",\"rule\":\"x\"}],\"expect\":[]"),
         "tests[0].effects[0]", "an effect"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rule_tests tests;
        enum err_e err = rule_tests_read(&arena, slice_of(rows[i].text), &tests, &problem);
        if (err != ERR_INVALID_FIELD || strcmp(problem.field, rows[i].field) != 0 ||
            strstr(problem.detail, rows[i].detail) == NULL) {
            fail_msg("%s: %s: %s: %s", rows[i].text, err_code(err), problem.field, problem.detail);
        }
    }
}

/* ---- running ---- */

/* Runs the first test of the file. */
static enum err_e run(const char *text) {
    struct rule_tests tests;
    enum err_e err = rule_tests_read(&arena, slice_of(text), &tests, &problem);
    if (err != ERR_OK) {
        fail_msg("%s: %s", problem.field, problem.detail);
    }
    return rule_test_run(&arena, &tests.items[0], &policy, &result, &problem);
}

static void assert_failure(size_t place, const char *what, const char *seen) {
    assert_true(place < result.failures_len);
    assert_string_equal(result.failures[place].what.at, what);
    assert_string_equal(seen == NULL ? "" : seen,
                        result.failures[place].seen.at == NULL ? ""
                                                               : result.failures[place].seen.at);
}

static void what_is_as_expected_passes(void **state) {
    (void)state;
    assert_int_equal(run("{\"tests\":[{\"name\":\"a\",\"interval\":\"15s\",\"series\":"
                         "{\"avg_response_time_ms\":\"3000x2 _ 1\",\"a.b.cpu\":\"90x4\","
                         "\"a.b.memory\":\"50x4\"},\"expect\":["
                         "{\"at\":\"15s\",\"rule\":\"high_response_time\",\"state\":\"pending\"},"
                         "{\"at\":\"30s\",\"rule\":\"high_response_time\",\"state\":\"firing\","
                         "\"value\":3000,\"data\":\"present\",\"flapping\":false},"
                         "{\"at\":\"45s\",\"rule\":\"high_response_time\",\"state\":\"firing\","
                         "\"value\":null,\"data\":\"missing\"},"
                         "{\"at\":\"1m\",\"rule\":\"high_response_time\",\"state\":\"resolved\"},"
                         "{\"at\":\"0s\",\"actions\":[\"AUTO_SCALE\"],\"desired\":2,"
                         "\"calls\":[]}]}]}"),
                     ERR_OK);
    assert_int_equal(result.failed, 0);
}

static void what_is_not_is_told_with_what_was_seen(void **state) {
    (void)state;
    assert_int_equal(run("{\"tests\":[{\"name\":\"a\",\"interval\":\"10s\",\"series\":"
                         "{\"memory_usage\":\"50x1 95x2 50\"},\"expect\":["
                         "{\"at\":\"10s\",\"rule\":\"memory_usage_high\",\"state\":\"firing\"},"
                         "{\"at\":\"20s\",\"rule\":\"memory_usage_high\",\"value\":96},"
                         "{\"at\":\"30s\",\"rule\":\"memory_usage_high\",\"data\":\"absent\"},"
                         "{\"at\":\"30s\",\"rule\":\"memory_usage_high\",\"flapping\":true},"
                         "{\"at\":\"20s\",\"actions\":[]},"
                         "{\"at\":\"30s\",\"actions\":[\"SHED_LOAD\",\"AUTO_SCALE\"]},"
                         "{\"at\":\"0s\",\"calls\":[\"memory_usage_high\"]},"
                         "{\"at\":\"40s\",\"desired\":7}]}]}"),
                     ERR_OK);
    assert_int_equal(result.failed, 8);
    static const char seen[] = "inactive 0s-10s, firing 20s-40s, resolved 50s";
    assert_failure(0, "expected calls memory_usage_high, got none", NULL);
    assert_failure(1, "rule memory_usage_high: expected state firing, got inactive", seen);
    assert_failure(2, "rule memory_usage_high: expected value 96, got 95", seen);
    assert_failure(3, "expected actions none, got RESTART_SERVICE", NULL);
    assert_failure(4, "rule memory_usage_high: expected data absent, got present", seen);
    assert_failure(5, "rule memory_usage_high: expected flapping true, got false", seen);
    assert_failure(6, "expected actions SHED_LOAD, AUTO_SCALE, got none", NULL);
}

static void a_rule_that_is_not_there_is_no_failure_but_a_mistake(void **state) {
    (void)state;
    assert_int_equal(run(EXPECT("{\"at\":\"1s\",\"rule\":\"memory_use\",\"state\":\"firing\"}")),
                     ERR_INVALID_FIELD);
    assert_string_equal(problem.field, "expect[0].rule");
    assert_int_equal(run(EXPECT("{\"at\":\"1s\",\"rule\":\"memory_usage_high\",\"node\":\"n\","
                                "\"state\":\"firing\"}")),
                     ERR_INVALID_FIELD);
    assert_non_null(strstr(problem.detail, "no rule over nodes"));
}

static void a_node_is_there_as_long_as_its_series(void **state) {
    (void)state;
    assert_int_equal(run("{\"tests\":[{\"name\":\"a\",\"series\":{\"n1.cpu\":\"10x5\","
                         "\"n2.cpu\":\"10x2\",\"n3.cpu\":\"10x5\",\"n3.healthy\":\"1x2 0x2\"},"
                         "\"expect\":[{\"at\":\"2s\",\"desired\":3},"
                         "{\"at\":\"3s\",\"desired\":2},{\"at\":\"5s\",\"desired\":2}]}]}"),
                     ERR_OK);
    assert_int_equal(result.failed, 0);
}

#define CLAIM(test) cmocka_unit_test_setup_teardown(test, fresh, done)

int main(void) {
    const struct CMUnitTest tests[] = {
        CLAIM(a_series_is_what_promtool_makes_of_it),
        CLAIM(a_broken_series_is_refused_with_the_piece),
        CLAIM(times_are_written_as_people_do),
        CLAIM(what_would_check_nothing_is_refused_with_its_place),
        CLAIM(what_is_as_expected_passes),
        CLAIM(what_is_not_is_told_with_what_was_seen),
        CLAIM(a_rule_that_is_not_there_is_no_failure_but_a_mistake),
        CLAIM(a_node_is_there_as_long_as_its_series),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
