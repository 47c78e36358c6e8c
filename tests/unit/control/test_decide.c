/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a line in is read strictly, a decision out has the promised shape, and time as the
 * recording tells it cannot lead the deciders astray. */
#include "fixture.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

static struct fixture f;
static struct arena arena;

static int fresh(void **state) {
    (void)state;
    fixture_init(&f);
    arena_init(&arena, 64 << 20);
    return 0;
}

static int done(void **state) {
    (void)state;
    arena_fini(&arena);
    return 0;
}

static enum err_e read_line(const char *line, struct problem *ret_problem) {
    return snapshot_read(&arena, slice_of(line), &f.snapshot, ret_problem);
}

/* The answer to one line, as text that lives in the arena. */
static const char *answer(const char *line) {
    struct problem problem;
    assert_int_equal(read_line(line, &problem), ERR_OK);
    decide(&f.history, &f.snapshot, &f.policy, &f.decision);
    struct buf out;
    buf_init(&out, 1 << 20);
    decision_write(&f.decision, &f.history, &f.policy, &out);
    assert_false(out.failed);
    struct slice text = arena_copy(&arena, buf_slice(&out));
    buf_fini(&out);
    return text.at;
}

static void an_answer_has_the_promised_shape(void **state) {
    (void)state;
    assert_string_equal(
        answer("{\"t\":5,\"nodes\":[{\"id\":\"a\",\"healthy\":true,\"cpu\":50,\"memory\":60,"
               "\"connections\":3,\"hit_rate\":0.9},{\"id\":\"b\",\"healthy\":true,\"cpu\":40,"
               "\"memory\":60,\"connections\":4,\"hit_rate\":0.8}],"
               "\"metrics\":{\"slow_query_count\":12,\"avg_response_time_ms\":null}}"),
        "{\"t\":5,\"optimal\":{\"analytics\":\"b\",\"database\":\"a\",\"cache\":\"a\","
        "\"general\":\"a\"},\"scale\":{\"current\":2,\"desired\":2,\"reason\":"
        "\"steady: average CPU 45 % and memory 60 % are within the limits\"},\"alerts\":["
        "{\"rule\":\"high_response_time\",\"state\":\"inactive\",\"severity\":\"warning\","
        "\"action\":\"AUTO_SCALE\",\"absent\":true},{\"rule\":\"database_slow_query\","
        "\"state\":\"firing\",\"severity\":\"critical\",\"action\":\"OPTIMIZE_QUERIES\"},"
        "{\"rule\":\"memory_usage_high\",\"state\":\"inactive\",\"severity\":\"critical\","
        "\"action\":\"RESTART_SERVICE\"}],\"actions\":[{\"action\":\"OPTIMIZE_QUERIES\","
        "\"reason\":\"database_slow_query: slow_query_count 12 > 10\"}]}");
}

static void t_comes_back_as_it_was_written(void **state) {
    (void)state;
    static const char *const rows[] = {"0",    "1.5",          "-3",           "1700000000.123",
                                       "0.001", "99999999999", "123456.789012"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char line[64], expected[64];
        snprintf(line, sizeof line, "{\"t\":%s,\"nodes\":[]}", rows[i]);
        snprintf(expected, sizeof expected, "{\"t\":%s,\"optimal\":", rows[i]);
        const char *text = answer(line);
        assert_true(slice_starts_with(slice_of(text), slice_of(expected)));
    }
}

static void nobody_home_means_no_best_node_and_the_minimum(void **state) {
    (void)state;
    const char *text = answer("{\"t\":0,\"nodes\":[{\"id\":\"a\",\"healthy\":false,\"cpu\":1}]}");
    assert_non_null(strstr(text, "\"analytics\":null,\"database\":null,\"cache\":null,"
                                 "\"general\":null"));
    assert_non_null(strstr(text, "\"current\":0,\"desired\":2"));
    assert_non_null(strstr(text, "\"actions\":[{\"action\":\"AUTO_SCALE\""));
}

static void ids_are_escaped(void **state) {
    (void)state;
    const char *text = answer("{\"t\":0,\"nodes\":[{\"id\":\"a\\\"\\n\",\"cpu\":1}]}");
    assert_non_null(strstr(text, "\"analytics\":\"a\\\"\\n\""));
}

static void unknown_fields_are_ignored_and_absent_ones_missing(void **state) {
    (void)state;
    struct problem problem;
    assert_int_equal(read_line("{\"t\":1,\"zone\":{\"a\":[1]},\"nodes\":[{\"id\":\"a\",\"rack\":7,"
                               "\"memory\":null}],\"metrics\":{\"other\":\"x\"}}",
                               &problem),
                     ERR_OK);
    assert_int_equal(f.snapshot.nodes_len, 1);
    assert_true(f.snapshot.nodes[0].healthy);
    assert_false(figure_is_known(f.snapshot.nodes[0].cpu));
    assert_false(figure_is_known(f.snapshot.nodes[0].memory));
    assert_int_equal(read_line("{\"t\":1,\"nodes\":null,\"metrics\":null}", &problem), ERR_OK);
    assert_false(f.snapshot.has_nodes);
}

static void a_wrong_line_is_refused_with_the_field_named(void **state) {
    (void)state;
    static const struct {
        const char *line, *field;
    } rows[] = {
        {"", ""},
        {"{", ""},
        {"{\"t\":1} x", ""},
        {"{\"t\":1,\"t\":2}", ""},
        {"[]", ""},
        {"7", ""},
        {"{}", "t"},
        {"{\"t\":null}", "t"},
        {"{\"t\":\"1\"}", "t"},
        {"{\"t\":1e300}", "t"},
        {"{\"t\":1,\"nodes\":{}}", "nodes"},
        {"{\"t\":1,\"nodes\":[7]}", "nodes"},
        {"{\"t\":1,\"nodes\":[{\"cpu\":1}]}", "id"},
        {"{\"t\":1,\"nodes\":[{\"id\":\"\"}]}", "id"},
        {"{\"t\":1,\"nodes\":[{\"id\":5}]}", "id"},
        {"{\"t\":1,\"nodes\":[{\"id\":\"a\"},{\"id\":\"b\"},{\"id\":\"a\"}]}", "nodes"},
        {"{\"t\":1,\"nodes\":[{\"id\":\"a\",\"healthy\":1}]}", "healthy"},
        {"{\"t\":1,\"nodes\":[{\"id\":\"a\",\"cpu\":100.1}]}", "nodes[0].cpu"},
        {"{\"t\":1,\"nodes\":[{\"id\":\"a\",\"cpu\":-1}]}", "nodes[0].cpu"},
        {"{\"t\":1,\"nodes\":[{\"id\":\"a\"},{\"id\":\"b\",\"memory\":\"9\"}]}", "nodes[1].memory"},
        {"{\"t\":1,\"nodes\":[{\"id\":\"a\",\"hit_rate\":1.5}]}", "nodes[0].hit_rate"},
        {"{\"t\":1,\"nodes\":[{\"id\":\"a\",\"connections\":-1}]}", "nodes[0].connections"},
        {"{\"t\":1,\"nodes\":[{\"id\":\"a\",\"age\":-1}]}", "nodes[0].age"},
        {"{\"t\":1,\"metrics\":[]}", "metrics"},
        {"{\"t\":1,\"metrics\":{\"memory_usage\":true}}", "memory_usage"},
        {"{\"t\":1,\"effects\":{}}", "effects"},
        {"{\"t\":1,\"effects\":[7]}", "effects"},
        {"{\"t\":1,\"effects\":[{\"rule\":\"a\",\"action\":\"b\"}]}", "effects"},
        {"{\"t\":1,\"effects\":[{\"rule\":\"a\",\"action\":\"b\",\"effect\":\"good\"}]}",
         "effects"},
        {"{\"t\":1,\"effects\":[{\"action\":\"b\",\"effect\":\"none\"}]}", "effects"},
        {"{\"t\":1,\"effects\":[{\"rule\":\"a\",\"action\":\"b\",\"effect\":\"none\","
         "\"age\":-1}]}", "effects[0].age"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct problem problem = {0};
        enum err_e err = read_line(rows[i].line, &problem);
        assert_true(err == ERR_MALFORMED_JSON || err == ERR_INVALID_FIELD);
        assert_string_equal(problem.field, rows[i].field);
        assert_true(problem.detail[0] != '\0');
    }
}

static void a_crowd_of_nodes_is_refused_and_a_thousand_are_read(void **state) {
    (void)state;
    struct buf line;
    buf_init(&line, 8 << 20);
    struct problem problem;
    for (int n = 1000; n <= SNAPSHOT_NODES_MAX + 1; n += SNAPSHOT_NODES_MAX - 999) {
        buf_clear(&line);
        buf_add_text(&line, "{\"t\":1,\"nodes\":[");
        for (int i = 0; i < n; i++) {
            buf_printf(&line, "%s{\"id\":\"n%d\",\"cpu\":90}", i == 0 ? "" : ",", i);
        }
        buf_add_text(&line, "]}");
        buf_add_char(&line, '\0');
        assert_int_equal(read_line(line.at, &problem), n == 1000 ? ERR_OK : ERR_INVALID_FIELD);
    }
    buf_fini(&line);
}

static void stale_figures_in_a_recording_choose_and_scale_nothing(void **state) {
    (void)state;
    const char *text = answer("{\"t\":0,\"nodes\":[{\"id\":\"a\",\"cpu\":99,\"age\":11},"
                              "{\"id\":\"b\",\"cpu\":10,\"age\":10}]}");
    assert_non_null(strstr(text, "\"analytics\":\"b\""));
    assert_int_equal(f.decision.scale.desired, 2);
}

static void a_rule_fires_after_a_clock_was_set_back(void **state) {
    (void)state;
    fixture_nodes(&f, 4, 50, 50);
    f.snapshot.nodes = f.nodes;
    f.snapshot.metrics[METRIC_AVG_RESPONSE_TIME_MS] = 3000;
    (void)fixture_decide(&f, 1000);
    (void)fixture_decide(&f, 1010);
    (void)fixture_decide(&f, 0); /* no time passes */
    assert_int_equal(fixture_state(&f, "high_response_time"), ALERT_PENDING);
    (void)fixture_decide(&f, 19);
    assert_int_equal(fixture_state(&f, "high_response_time"), ALERT_PENDING);
    (void)fixture_decide(&f, 20);
    assert_int_equal(fixture_state(&f, "high_response_time"), ALERT_FIRING);
}

static void wild_times_never_stop_the_deciders(void **state) {
    (void)state;
    static const double rows[] = {0, 1e11, -1e11, 1e11, 5, 1e11, -1e11, 0.0001, 7};
    fixture_nodes(&f, 4, 50, 50);
    f.snapshot.nodes = f.nodes;
    int64_t before = -1;
    for (int round = 0; round < 100; round++) {
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            (void)fixture_decide(&f, rows[i]);
            assert_true(f.history.now_ms >= before);
            before = f.history.now_ms;
        }
    }
}

static void a_snapshot_reads_back_as_it_was_written(void **state) {
    (void)state;
    struct problem problem;
    static const char line[] = "{\"t\":7.25,\"standby\":true,\"nodes\":[{\"id\":\"a\","
        "\"healthy\":false,\"cpu\":12.5,\"memory\":null,\"connections\":3,\"hit_rate\":0.1,"
        "\"age\":2.5}],\"metrics\":{"
        "\"avg_response_time_ms\":0.3,\"slow_query_count\":null,\"memory_usage\":null,"
        "\"cache_hit_rate\":null,\"avg_query_time_ms\":1e-05},\"effects\":[{\"rule\":\"r\","
        "\"action\":\"SHED_LOAD\",\"effect\":\"harmed\"},{\"rule\":\"r\",\"action\":"
        "\"CALL_PERSON\",\"effect\":\"none\",\"age\":61.5}]}";
    assert_int_equal(read_line(line, &problem), ERR_OK);
    struct buf out;
    struct json_writer w;
    buf_init(&out, 4096);
    json_writer_init(&w, &out);
    json_begin_object(&w);
    snapshot_write(&w, &f.snapshot);
    json_end_object(&w);
    buf_add_char(&out, '\0');
    assert_string_equal(out.at, line);
    buf_fini(&out);
}

static void a_rule_over_nodes_lists_the_nodes_that_have_something_to_say(void **state) {
    (void)state;
    fixture_set(&f, "alert.hot", "metric", "node_cpu");
    fixture_set(&f, "alert.hot", "threshold", "90");
    const char *text = answer("{\"t\":0,\"nodes\":[{\"id\":\"a\",\"cpu\":99},"
                              "{\"id\":\"b\",\"cpu\":10}]}");
    assert_non_null(strstr(text, "{\"rule\":\"hot\",\"state\":\"firing\",\"severity\":\"warning\","
                                 "\"action\":null,"
                                 "\"nodes\":[{\"node\":\"a\",\"state\":\"firing\"}]}"));
}

static void a_rule_on_a_derived_metric_sees_the_nodes(void **state) {
    (void)state;
    fixture_set(&f, "alert.lost", "metric", "unhealthy_nodes");
    fixture_set(&f, "alert.lost", "op", ">=");
    fixture_set(&f, "alert.lost", "threshold", "1");
    fixture_set(&f, "alert.crowd", "metric", "connections_total");
    fixture_set(&f, "alert.crowd", "threshold", "35");
    fixture_nodes(&f, 4, 50, 50);
    f.snapshot.nodes = f.nodes;
    (void)fixture_decide(&f, 0);
    assert_int_equal(fixture_state(&f, "lost"), ALERT_INACTIVE);
    assert_int_equal(fixture_state(&f, "crowd"), ALERT_FIRING);
    f.nodes[1].healthy = false;
    (void)fixture_decide(&f, 1);
    assert_int_equal(fixture_state(&f, "lost"), ALERT_FIRING);
}

static void what_a_standby_would_do_holds_nothing_back_when_it_leads(void **state) {
    (void)state;
    fixture_set(&f, "alert.crowd", "metric", "connections_total");
    fixture_set(&f, "alert.crowd", "threshold", "15");
    fixture_set(&f, "alert.crowd", "action", "AUTO_SCALE");
    f.snapshot.metrics[METRIC_SLOW_QUERY_COUNT] = 100;
    f.snapshot.is_standby = true;
    for (int t = 0; t < 5; t++) {
        (void)fixture_load(&f, t, 2, 50, 50);
        assert_non_null(fixture_action(&f, ACTION_AUTO_SCALE));
        assert_non_null(fixture_action(&f, ACTION_OPTIMIZE_QUERIES));
        assert_int_equal(f.decision.scale.desired, 3);
    }
    f.snapshot.is_standby = false;
    (void)fixture_load(&f, 5, 2, 50, 50);
    assert_non_null(fixture_action(&f, ACTION_AUTO_SCALE));
    assert_non_null(fixture_action(&f, ACTION_OPTIMIZE_QUERIES));
    assert_int_equal(f.decision.scale.desired, 3);
    (void)fixture_load(&f, 6, 2, 50, 50); /* now that was done */
    assert_null(fixture_action(&f, ACTION_AUTO_SCALE));
    assert_null(fixture_action(&f, ACTION_OPTIMIZE_QUERIES));
}

#define CLAIM(test) cmocka_unit_test_setup_teardown(test, fresh, done)

int main(void) {
    const struct CMUnitTest tests[] = {
        CLAIM(an_answer_has_the_promised_shape),
        CLAIM(t_comes_back_as_it_was_written),
        CLAIM(nobody_home_means_no_best_node_and_the_minimum),
        CLAIM(ids_are_escaped),
        CLAIM(unknown_fields_are_ignored_and_absent_ones_missing),
        CLAIM(a_wrong_line_is_refused_with_the_field_named),
        CLAIM(a_crowd_of_nodes_is_refused_and_a_thousand_are_read),
        CLAIM(stale_figures_in_a_recording_choose_and_scale_nothing),
        CLAIM(a_rule_fires_after_a_clock_was_set_back),
        CLAIM(wild_times_never_stop_the_deciders),
        CLAIM(a_snapshot_reads_back_as_it_was_written),
        CLAIM(a_rule_over_nodes_lists_the_nodes_that_have_something_to_say),
        CLAIM(a_rule_on_a_derived_metric_sees_the_nodes),
        CLAIM(what_a_standby_would_do_holds_nothing_back_when_it_leads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
