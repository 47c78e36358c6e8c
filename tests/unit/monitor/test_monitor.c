/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: from cells to documents on a virtual clock: the window is exact, minutes become history,
 * and a loop that is behind gets the latest second alone. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/json.h"
#include "monitor/monitor.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { LOOPS = 2, SCAN = 0, LIVEZ = 1, ROUTES = 2 };

static struct virtual_clock clock_now;
static struct monitor *monitor;
static struct arena arena;
static struct loop_figures figures;

static const char *route_name(size_t index) {
    return index == SCAN ? "POST /scan" : "GET /livez";
}

static bool route_is_api(size_t index) {
    return index == SCAN;
}

static void read_loop(void *loop, struct loop_figures *ret_figures) {
    (void)loop;
    *ret_figures = figures;
}

static void read_cache(void *cache, struct cache_figures *ret_figures) {
    *ret_figures = *(struct cache_figures *)cache;
}

static struct cache_figures cache;
static int views; /* seconds that were told */

static void count_view(const struct view *view, void *data) {
    (void)view;
    (void)data;
    views++;
}

static int make(void **state) {
    (void)state;
    virtual_clock_init(&clock_now, 1764000000000);
    virtual_clock_advance(&clock_now, 5000);
    figures = (struct loop_figures){.connections = 0};
    cache = (struct cache_figures){.l1.capacity = 1000};
    monitor = monitor_create(&(struct monitor_options){.clock = &clock_now.base,
                                                       .loops = LOOPS,
                                                       .routes = ROUTES,
                                                       .route_name = route_name,
                                                       .route_is_api = route_is_api,
                                                       .node = "n1",
                                                       .url = "http://n1",
                                                       .version = "1",
                                                       .read_loop = read_loop,
                                                       .read_cache = read_cache,
                                                       .cache = &cache,
                                                       .on_view = count_view,
                                                       .root = "/nowhere"});
    arena_init(&arena, 16 << 20);
    return monitor == NULL ? -1 : 0;
}

static int drop(void **state) {
    (void)state;
    monitor_destroy(monitor);
    arena_fini(&arena);
    return 0;
}

static void ignore(struct loop_message *message) {
    (void)message;
}

/* The answers are posted to a loop that never runs: they are read from here. */
static const struct json_t *ask(enum monitor_document_e kind) {
    struct loop *loop = loop_create(0, &clock_now.base);
    assert_non_null(loop);
    struct monitor_ask question = {.kind = kind, .loop = loop, .message.fn = ignore};
    assert_int_equal(monitor_ask(monitor, &question), ERR_OK);
    monitor_turn(monitor, monitor_take_asks(monitor));
    assert_non_null(question.document);
    struct json_t *document;
    struct problem problem;
    arena_reset(&arena);
    struct slice text = arena_copy(&arena, document_text(question.document));
    assert_int_equal(json_parse(&arena, text, &document, &problem), ERR_OK);
    document_unref(question.document);
    assert_int_equal(loop_start(loop), ERR_OK); /* takes the message off */
    loop_stop(loop);
    loop_join(loop);
    loop_destroy(loop);
    return document;
}

static void answer(size_t loop, size_t route, int status, int64_t took_us) {
    struct cells *cells = monitor_cells(monitor, loop);
    struct cells_request request = {.route = 0};
    int64_t now_us = clock_now.now_mono_us;
    cells_begin(cells, &request, route, now_us - took_us, now_us - took_us);
    cells_end(cells, &request, &(struct cells_answer){status, 10, now_us});
}

static void pass(int seconds) {
    for (int i = 0; i < seconds; i++) {
        virtual_clock_advance(&clock_now, 1000);
        monitor_turn(monitor, NULL);
    }
}

/* How many of the next seconds come. */
static int turns_of_a_second(int seconds) {
    int before = views;
    pass(seconds);
    return views - before;
}

static const struct json_t *member(const struct json_t *of, const char *a, const char *b) {
    const struct json_t *value = json_get(json_get(of, a), b);
    assert_non_null(value);
    return value;
}

static void a_new_node_knows_that_it_knows_nothing(void **state) {
    (void)state;
    const struct json_t *document = ask(DOCUMENT_PERFORMANCE);
    assert_int_equal(json_int(member(document, "api", "count")), 0);
    assert_int_equal(json_kind(member(document, "api", "avg_ms")), JSON_KIND_NULL);
    assert_int_equal(json_kind(member(document, "db", "p95_ms")), JSON_KIND_NULL);
    assert_int_equal(json_kind(member(document, "cache", "hit_rate")), JSON_KIND_NULL);
    assert_int_equal(json_kind(member(document, "system", "cpu_percent")), JSON_KIND_NULL);
    assert_int_equal(json_int(json_get(document, "window_s")), 300);
    assert_int_equal(json_count(json_get(document, "nodes")), 1);
}

static void all_loops_add_up_at_once(void **state) {
    (void)state;
    answer(0, SCAN, 200, 10000);
    answer(1, SCAN, 503, 30000);
    answer(1, LIVEZ, 200, 1);
    const struct json_t *document = ask(DOCUMENT_PERFORMANCE);
    assert_int_equal(json_int(member(document, "api", "count")), 2);
    assert_true(json_number(member(document, "api", "avg_ms")) == 20);
    assert_true(json_number(member(document, "api", "error_rate")) == 0.5);
    assert_true(fabs(json_number(member(document, "api", "max_ms")) - 30) < 0.3);
    assert_int_equal(json_count(member(document, "api", "endpoints")), 1);
}

static void answers_leave_the_window_after_five_minutes(void **state) {
    (void)state;
    answer(0, SCAN, 200, 10000);
    pass(1);
    answer(0, SCAN, 200, 20000);
    pass(298);
    assert_int_equal(json_int(member(ask(DOCUMENT_PERFORMANCE), "api", "count")), 2);
    pass(2);
    const struct json_t *document = ask(DOCUMENT_PERFORMANCE);
    assert_int_equal(json_int(member(document, "api", "count")), 1);
    assert_true(json_number(member(document, "api", "avg_ms")) == 20);
    pass(2);
    document = ask(DOCUMENT_PERFORMANCE);
    assert_int_equal(json_int(member(document, "api", "count")), 0);
    assert_int_equal(json_count(member(document, "api", "endpoints")), 0);
}

static void an_idle_route_that_is_hit_again_is_not_taken_for_a_gap(void **state) {
    (void)state;
    answer(0, SCAN, 200, 10000);
    pass(1000);
    answer(0, SCAN, 200, 10000);
    assert_int_equal(json_int(member(ask(DOCUMENT_PERFORMANCE), "api", "count")), 1);
}

static void a_monitor_that_slept_long_leaves_out_what_nobody_can_date(void **state) {
    (void)state;
    answer(0, SCAN, 200, 10000);
    pass(1);
    answer(0, SCAN, 200, 10000);
    virtual_clock_advance(&clock_now, 400000);
    monitor_turn(monitor, NULL);
    assert_int_equal(json_int(member(ask(DOCUMENT_PERFORMANCE), "api", "count")), 0);
}

static int64_t requests_of(const struct json_t *row) {
    return json_int(json_get(row, "requests"));
}

static int64_t moment_of(const struct json_t *row) {
    int64_t at_ms;
    assert_true(time_parse(json_text(json_get(row, "at")), &at_ms));
    return at_ms;
}

/* Rows of the window's seconds: in order, and all requests are in them. */
static void expect_seconds(int64_t requests) {
    const struct json_t *items = json_get(ask(DOCUMENT_SECONDS), "items");
    int64_t sum = 0;
    for (size_t i = 0; i < json_count(items); i++) {
        sum += requests_of(json_at(items, i));
        if (i > 0) {
            assert_int_equal(moment_of(json_at(items, i)),
                             moment_of(json_at(items, i - 1)) + 1000);
        }
    }
    assert_int_equal(sum, requests);
}

static void set_wall_clock(int64_t by_ms) {
    clock_now.now_wall_ms += by_ms;
}

static void a_wall_clock_that_is_set_moves_nothing_in_the_window(void **state) {
    (void)state;
    static const int64_t jumps[] = {86400000, -2 * 86400000LL, 3600000};
    for (int i = 0; i < 3; i++) {
        answer(0, SCAN, 200, 10000);
        pass(10);
        set_wall_clock(jumps[i]);
        pass(10);
        assert_int_equal(json_int(member(ask(DOCUMENT_PERFORMANCE), "api", "count")), i + 1);
        expect_seconds(i + 1);
    }
    pass(239); /* the first one is 299 seconds old, by the clock that nobody sets */
    assert_int_equal(json_int(member(ask(DOCUMENT_PERFORMANCE), "api", "count")), 3);
    set_wall_clock(-86400000);
    pass(2);
    assert_int_equal(json_int(member(ask(DOCUMENT_PERFORMANCE), "api", "count")), 2);
    expect_seconds(2);
}

static void a_leap_ahead_empties_the_window_and_it_goes_on(void **state) {
    (void)state;
    enum { DAYS_MS = 3 * 86400000 };
    for (int i = 0; i < 2; i++) {
        answer(0, SCAN, 200, 10000);
        pass(5);
        assert_int_equal(json_int(member(ask(DOCUMENT_PERFORMANCE), "api", "count")), 1);
        virtual_clock_advance(&clock_now, DAYS_MS);
        monitor_turn(monitor, NULL);
        assert_int_equal(json_int(member(ask(DOCUMENT_PERFORMANCE), "api", "count")), 0);
    }
    answer(0, SCAN, 500, 20000);
    pass(5);
    const struct json_t *document = ask(DOCUMENT_PERFORMANCE);
    assert_int_equal(json_int(member(document, "api", "count")), 1);
    assert_true(json_number(member(document, "api", "error_rate")) == 1);
    assert_true(json_number(member(document, "api", "avg_ms")) == 20);
}

/* No kernel does it, but a machine that is moved might: nothing is lost or counted twice, seconds
 * keep coming, and once time has caught up all of it grows old as ever. */
static void a_step_back_loses_nothing_and_stops_nothing(void **state) {
    (void)state;
    enum { BACK_S = 3600 };
    struct cells_request hanging = {.route = 0};
    answer(0, SCAN, 200, 10000);
    cells_begin(monitor_cells(monitor, 1), &hanging, SCAN, clock_now.now_mono_us,
                clock_now.now_mono_us);
    pass(10);
    clock_now.now_mono_us -= (int64_t)BACK_S * 1000000;
    answer(0, SCAN, 200, 30000);
    pass(3);
    const struct json_t *document = ask(DOCUMENT_PERFORMANCE);
    assert_int_equal(json_int(member(document, "api", "count")), 2);
    assert_true(json_number(member(document, "api", "avg_ms")) == 20);
    assert_int_equal(json_int(member(document, "api", "oldest_in_flight_ms")), 0); /* not known */
    assert_int_equal(turns_of_a_second(3), 3);
    pass(BACK_S + 299);
    document = ask(DOCUMENT_PERFORMANCE);
    assert_int_equal(json_int(member(document, "api", "count")), 0);
    assert_int_equal(json_int(member(document, "api", "in_flight")), 1);
}

static void what_is_in_flight_has_its_age(void **state) {
    (void)state;
    struct cells_request request = {.route = 0};
    cells_begin(monitor_cells(monitor, 1), &request, SCAN, clock_now.now_mono_us,
                clock_now.now_mono_us);
    pass(12);
    const struct json_t *document = ask(DOCUMENT_PERFORMANCE);
    assert_int_equal(json_int(member(document, "api", "in_flight")), 1);
    assert_int_equal(json_int(member(document, "api", "oldest_in_flight_ms")), 12000);
    const struct json_t *items = json_get(ask(DOCUMENT_SUGGESTIONS_EN), "items");
    assert_true(slice_eq_text(json_text(json_get(json_at(items, 0), "type")), "request_hanging"));
}

static void operations_tell_their_wait(void **state) {
    (void)state;
    struct store_op op = {.kind = STORE_LIST_GATES,
                          .submitted_us = 1000,
                          .begun_us = 3000,
                          .ended_us = 8000};
    cells_query(monitor_cells(monitor, 0), NULL, &op);
    op.err = ERR_OVERLOADED;
    cells_query(monitor_cells(monitor, 0), NULL, &op);
    const struct json_t *document = ask(DOCUMENT_PERFORMANCE);
    assert_int_equal(json_int(member(document, "db", "count")), 1);
    assert_int_equal(json_int(member(document, "db", "failures")), 1);
    assert_true(json_number(member(document, "db", "avg_ms")) == 7);
    assert_true(json_number(member(document, "db", "queue_avg_ms")) == 2);
    assert_true(json_number(member(document, "db", "run_avg_ms")) == 5);
    const struct json_t *query = json_at(member(document, "db", "queries"), 0);
    assert_true(slice_eq_text(json_text(json_get(query, "name")), "list_gates"));
}

static void both_cache_levels_make_one_hit_rate(void **state) {
    (void)state;
    pass(1);
    cache.l1.hits = 60;
    cache.l1.misses = 40;
    cache.l2.hits = 30;
    cache.l2.misses = 10;
    cache.cold = 10;
    cache.l2_state = L2_CLOSED;
    const struct json_t *document = ask(DOCUMENT_PERFORMANCE);
    assert_true(json_number(member(document, "cache", "hit_rate")) == 0.9);
    const struct json_t *l2 = member(document, "cache", "l2");
    assert_true(json_number(json_get(l2, "hit_rate")) == 0.75);
    assert_true(slice_eq_text(json_text(json_get(l2, "state")), "closed"));
    assert_int_equal(json_int(json_get(member(document, "cache", "misses_by_cause"), "cold")), 10);
}

static double kpi_of(const struct json_t *document, const char *key) {
    const struct json_t *items = json_get(document, "items");
    for (size_t i = 0; i < json_count(items); i++) {
        const struct json_t *item = json_at(items, i);
        if (slice_eq_text(json_text(json_get(item, "key")), key)) {
            const struct json_t *value = json_get(item, "value");
            return json_kind(value) == JSON_KIND_NULL ? NAN : json_number(value);
        }
    }
    fail_msg("no key figure %s", key);
    return 0;
}

static void throughput_is_that_of_the_busiest_second(void **state) {
    (void)state;
    struct store_op op = {.kind = STORE_CREATE_GATE, .submitted_us = 1, .begun_us = 1,
                          .ended_us = 1};
    struct cells *cells = monitor_cells(monitor, 0);
    pass(1);
    assert_true(isnan(kpi_of(ask(DOCUMENT_KPI), "throughput_tps")));
    for (int i = 0; i < 50; i++) {
        cells_query(cells, NULL, &op);
    }
    pass(1);
    cells_query(cells, NULL, &op);
    virtual_clock_advance(&clock_now, 5000); /* late: a fifth of one a second, not one */
    monitor_turn(monitor, NULL);
    assert_true(kpi_of(ask(DOCUMENT_KPI), "throughput_tps") == 50);
}

static void every_minute_is_a_row_of_history(void **state) {
    (void)state;
    answer(0, SCAN, 200, 10000);
    answer(0, SCAN, 500, 30000);
    pass(61);
    answer(0, SCAN, 200, 5000);
    pass(60);
    const struct json_t *items = json_get(ask(DOCUMENT_HISTORY), "items");
    assert_int_equal(json_count(items), 2);
    const struct json_t *first = json_at(items, 0), *second = json_at(items, 1);
    assert_int_equal(json_int(json_get(first, "requests")), 2);
    assert_int_equal(json_int(json_get(first, "server_errors")), 1);
    assert_true(json_number(json_get(first, "api_avg_ms")) == 20);
    assert_int_equal(json_int(json_get(second, "requests")), 1);
    assert_int_equal(json_int(json_get(second, "server_errors")), 0);
    assert_int_equal(json_kind(json_get(second, "db_avg_ms")), JSON_KIND_NULL);
}

static void connections_are_those_of_attached_loops(void **state) {
    (void)state;
    struct loop *loop = loop_create(0, &clock_now.base);
    assert_non_null(loop);
    figures.connections = 7;
    monitor_attach(monitor, 0, &(struct monitor_loop){.loop = loop});
    const struct json_t *document = ask(DOCUMENT_PERFORMANCE);
    assert_int_equal(json_int(member(document, "system", "connections")), 7);
    monitor_detach(monitor, 0);
    document = ask(DOCUMENT_PERFORMANCE);
    assert_int_equal(json_int(member(document, "system", "connections")), 0);
    loop_destroy(loop);
}

/* ---- streams ---- */

static int seconds_seen;
static size_t last_len;

static void note_second(struct document *document, void *data) {
    (void)data;
    seconds_seen++;
    last_len = document->len;
    document_unref(document);
}

static void run_loop(struct loop *loop) {
    assert_int_equal(loop_start(loop), ERR_OK);
    loop_stop(loop);
    loop_join(loop);
}

static void a_loop_that_is_behind_gets_the_latest_second_alone(void **state) {
    (void)state;
    struct loop *loop = loop_create(0, &clock_now.base);
    assert_non_null(loop);
    seconds_seen = 0;
    monitor_attach(monitor, 0, &(struct monitor_loop){.loop = loop, .on_second = note_second});
    pass(1);
    struct cells_request request = {.route = 0};
    cells_begin(monitor_cells(monitor, 0), &request, SCAN, 1, 1);
    cells_stream(monitor_cells(monitor, 0), &request);
    pass(3); /* the loop does not turn meanwhile */
    run_loop(loop);
    assert_int_equal(seconds_seen, 1);
    assert_true(last_len > 0);
    monitor_detach(monitor, 0);
    loop_destroy(loop);
}

static void a_loop_that_has_left_gets_nothing_more(void **state) {
    (void)state;
    struct loop *loop = loop_create(0, &clock_now.base);
    assert_non_null(loop);
    seconds_seen = 0;
    monitor_attach(monitor, 0, &(struct monitor_loop){.loop = loop, .on_second = note_second});
    struct cells_request request = {.route = 0};
    cells_begin(monitor_cells(monitor, 0), &request, SCAN, 1, 1);
    cells_stream(monitor_cells(monitor, 0), &request);
    pass(1);
    monitor_detach(monitor, 0); /* with a message under way */
    pass(1);
    run_loop(loop);
    assert_int_equal(seconds_seen, 0);
    loop_destroy(loop);
}

/* ---- the thread ---- */

static void questions_beyond_the_limit_are_refused(void **state) {
    (void)state;
    static struct monitor_ask asks[MONITOR_ASKS_MAX + 1];
    struct loop *loop = loop_create(0, &clock_now.base);
    assert_non_null(loop);
    for (size_t i = 0; i < MONITOR_ASKS_MAX + 1; i++) {
        asks[i] = (struct monitor_ask){.kind = DOCUMENT_KPI, .loop = loop, .message.fn = ignore};
        enum err_e wanted = i < MONITOR_ASKS_MAX ? ERR_OK : ERR_OVERLOADED;
        assert_int_equal(monitor_ask(monitor, &asks[i]), wanted);
    }
    monitor_turn(monitor, monitor_take_asks(monitor));
    run_loop(loop);
    for (size_t i = 0; i < MONITOR_ASKS_MAX; i++) {
        assert_ptr_equal(asks[i].document, asks[0].document); /* written once, shared */
        document_unref(asks[i].document);
    }
    loop_destroy(loop);
}

static void a_stopped_monitor_says_so(void **state) {
    (void)state;
    assert_int_equal(monitor_start(monitor), ERR_OK);
    monitor_stop(monitor);
    struct monitor_ask question = {.kind = DOCUMENT_KPI, .message.fn = ignore};
    assert_int_equal(monitor_ask(monitor, &question), ERR_DRAINING);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, make, drop)

int main(void) {
    const struct CMUnitTest tests[] = {
        EACH(a_new_node_knows_that_it_knows_nothing),
        EACH(all_loops_add_up_at_once),
        EACH(answers_leave_the_window_after_five_minutes),
        EACH(an_idle_route_that_is_hit_again_is_not_taken_for_a_gap),
        EACH(a_monitor_that_slept_long_leaves_out_what_nobody_can_date),
        EACH(a_wall_clock_that_is_set_moves_nothing_in_the_window),
        EACH(a_leap_ahead_empties_the_window_and_it_goes_on),
        EACH(a_step_back_loses_nothing_and_stops_nothing),
        EACH(what_is_in_flight_has_its_age),
        EACH(operations_tell_their_wait),
        EACH(both_cache_levels_make_one_hit_rate),
        EACH(throughput_is_that_of_the_busiest_second),
        EACH(every_minute_is_a_row_of_history),
        EACH(connections_are_those_of_attached_loops),
        EACH(a_loop_that_is_behind_gets_the_latest_second_alone),
        EACH(a_loop_that_has_left_gets_nothing_more),
        EACH(questions_beyond_the_limit_are_refused),
        EACH(a_stopped_monitor_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
