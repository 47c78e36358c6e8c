/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what a node says of itself is read back as it was written, what cannot be is refused, and
 * many nodes' metrics are one. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "control/status.h"

#include <stdio.h>

static struct arena arena;

static int make(void **state) {
    (void)state;
    arena_init(&arena, 1 << 20);
    return 0;
}

static int drop(void **state) {
    (void)state;
    arena_fini(&arena);
    return 0;
}

static struct node_status sample(void) {
    struct node_status status = {
        .id = SLICE_LIT("n1:8080"),
        .incarnation = SLICE_LIT("abc"),
        .version = SLICE_LIT("1.2"),
        .reason = SLICE_LIT(""),
        .wall_ms = 1790000000123,
        .is_ready = true,
        .age_ms = 250,
    };
    status_figures_init(&status.figures);
    status.figures.cpu = 12.5;
    status.figures.requests = 1000;
    status.figures.response_ms = 3.25;
    return status;
}

static void a_status_reads_back_as_it_was_written(void **state) {
    (void)state;
    const struct node_status written = sample();
    struct node_status read;
    struct problem problem;
    struct buf text;
    buf_init(&text, STATUS_BYTES_MAX);
    status_write(&written, &text);
    assert_int_equal(status_read(&arena, buf_slice(&text), &read, &problem), ERR_OK);
    assert_true(slice_eq(read.id, written.id));
    assert_true(slice_eq(read.incarnation, written.incarnation));
    assert_true(slice_eq(read.version, written.version));
    assert_int_equal(read.wall_ms, written.wall_ms);
    assert_int_equal(read.age_ms, 250);
    assert_true(read.is_ready);
    assert_false(read.drains);
    assert_true(read.figures.cpu == 12.5 && read.figures.requests == 1000 &&
                read.figures.response_ms == 3.25);
    assert_false(figure_is_known(read.figures.memory));
    assert_false(figure_is_known(read.figures.hit_rate));
    buf_fini(&text);
}

#define GOOD                                                                                       \
    "\"id\":\"n\",\"incarnation\":\"i\",\"version\":\"1\",\"reason\":\"\",\"at_ms\":1,"            \
    "\"age_ms\":0,\"ready\":true,\"draining\":false"

static void what_cannot_be_is_refused_with_the_field(void **state) {
    (void)state;
    static const struct {
        const char *text, *field;
    } cases[] = {
        {"{" GOOD ",\"cpu\":100}", NULL},
        {"{" GOOD ",\"cpu\":null,\"more\":[1]}", NULL},
        {"{" GOOD ",\"cpu\":100.5}", "cpu"},
        {"{" GOOD ",\"cpu\":-1}", "cpu"},
        {"{" GOOD ",\"cpu\":\"1\"}", "cpu"},
        {"{" GOOD ",\"memory\":1e300}", "memory"},
        {"{" GOOD ",\"hit_rate\":1.01}", "hit_rate"},
        {"{" GOOD ",\"connections\":-0.5}", "connections"},
        {"{" GOOD ",\"requests\":1e16}", "requests"},
        {"{}", "id"},
        {"[]", "id"},
        {"{\"id\":7}", "id"},
        {"{\"id\":\"n\",\"incarnation\":\"i\",\"version\":\"1\",\"reason\":\"\",\"at_ms\":-1,"
         "\"age_ms\":0,\"ready\":true,\"draining\":false}", "at_ms"},
        {"{\"id\":\"n\",\"incarnation\":\"i\",\"version\":\"1\",\"reason\":\"\",\"at_ms\":1,"
         "\"age_ms\":1e3,\"ready\":true,\"draining\":false}", "age_ms"},
        {"{\"id\":\"n\",\"incarnation\":\"i\",\"version\":\"1\",\"reason\":\"\",\"at_ms\":1,"
         "\"age_ms\":0,\"ready\":1,\"draining\":false}", "ready"},
        {"{", ""},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct node_status read;
        struct problem problem = {.field = ""};
        enum err_e err = status_read(&arena, slice_of(cases[i].text), &read, &problem);
        bool is_good = cases[i].field == NULL ? err == ERR_OK
                                              : err != ERR_OK &&
                                                    strcmp(problem.field, cases[i].field) == 0;
        if (!is_good) {
            fail_msg("%s: %s %s", cases[i].text, err_code(err), problem.field);
        }
    }
}

static void a_text_that_is_too_long_is_refused(void **state) {
    (void)state;
    struct node_status status = sample(), read;
    char name[NODE_ID_MAX + 2];
    struct problem problem;
    struct buf text;
    memset(name, 'x', sizeof name);
    status.id = slice_from(name, NODE_ID_MAX + 1);
    buf_init(&text, STATUS_BYTES_MAX);
    status_write(&status, &text);
    assert_int_equal(status_read(&arena, buf_slice(&text), &read, &problem), ERR_INVALID_FIELD);
    assert_string_equal(problem.field, "id");
    buf_fini(&text);
}

static void metrics_weigh_what_was_counted(void **state) {
    (void)state;
    struct status_figures a, b, silent;
    double metrics[METRIC_GIVEN_COUNT];
    status_figures_init(&a);
    status_figures_init(&silent);
    b = a;
    a.requests = 300;
    a.response_ms = 10;
    a.slow_queries = 2;
    a.memory = 40;
    a.hit_rate = 1;
    a.lookups = 10;
    b.requests = 100;
    b.response_ms = 50;
    b.slow_queries = 3;
    b.memory = 70;
    b.hit_rate = 0.5;
    b.lookups = 30;
    b.queries = 0; /* none: its average says nothing */
    b.query_ms = 7;
    const struct status_figures *all[] = {&a, &silent, &b};
    status_metrics(all, 3, metrics);
    assert_true(metrics[METRIC_AVG_RESPONSE_TIME_MS] == 20);
    assert_true(metrics[METRIC_SLOW_QUERY_COUNT] == 5);
    assert_true(metrics[METRIC_MEMORY_USAGE] == 70);
    assert_true(metrics[METRIC_CACHE_HIT_RATE] == 0.625);
    assert_false(figure_is_known(metrics[METRIC_AVG_QUERY_TIME_MS]));
    status_metrics(all, 0, metrics);
    for (int i = 0; i < METRIC_GIVEN_COUNT; i++) {
        assert_false(figure_is_known(metrics[i]));
    }
}

int main(void) {
#define EACH(test) cmocka_unit_test_setup_teardown(test, make, drop)
    const struct CMUnitTest tests[] = {
        EACH(a_status_reads_back_as_it_was_written),
        EACH(what_cannot_be_is_refused_with_the_field),
        EACH(a_text_that_is_too_long_is_refused),
        EACH(metrics_weigh_what_was_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
