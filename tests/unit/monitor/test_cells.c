/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what a loop records is what happened, and in flight is what has not ended. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "monitor/cells.h"

#define T0 1000000

static struct cells *cells;

static int make(void **state) {
    (void)state;
    cells = cells_create();
    return cells == NULL ? -1 : 0;
}

static int drop(void **state) {
    (void)state;
    cells_destroy(cells);
    return 0;
}

static int64_t oldest(size_t route) {
    return atomic_load(&cells->routes[route].oldest_us);
}

static void a_request_counts_in_its_route_and_class_with_its_bytes(void **state) {
    (void)state;
    struct cells_request request = {.route = 0};
    cells_begin(cells, &request, 3, T0, T0 + 10);
    struct cells_answer answer = {404, 120, T0 + 2500};
    assert_int_equal(cells_end(cells, &request, &answer), 2500);
    const struct route_cells *route = &cells->routes[3];
    assert_int_equal(counter_read(&route->classes[ANSWER_4XX]), 1);
    assert_int_equal(counter_read(&route->classes[ANSWER_2XX]), 0);
    assert_int_equal(counter_read(&route->bytes), 120);
    assert_int_equal(counter_read(&route->slow), 0);
    assert_int_equal(counter_read(&route->latency.cells[histogram_bucket(2500)]), 1);
}

static void the_oldest_in_flight_is_known_whatever_ends_first(void **state) {
    (void)state;
    struct cells_request requests[3] = {{.route = 0}};
    for (int i = 0; i < 3; i++) {
        cells_begin(cells, &requests[i], 0, T0 + i, T0 + i);
    }
    assert_int_equal(oldest(0), T0);
    struct cells_answer answer = {200, 0, T0 + 100};
    cells_end(cells, &requests[1], &answer);
    assert_int_equal(oldest(0), T0);
    cells_end(cells, &requests[0], &answer);
    assert_int_equal(oldest(0), T0 + 2);
    assert_int_equal(counter_read(&cells->routes[0].in_flight), 1);
    cells_end(cells, &requests[2], &answer);
    assert_int_equal(oldest(0), 0);
    assert_int_equal(counter_read(&cells->routes[0].in_flight), 0);
}

static void a_request_of_a_second_is_not_slow_and_one_above_is(void **state) {
    (void)state;
    static const int64_t took[] = {SLOW_REQUEST_US, SLOW_REQUEST_US + 1};
    for (int i = 0; i < 2; i++) {
        struct cells_request request = {.route = 0};
        cells_begin(cells, &request, 0, T0, T0);
        cells_end(cells, &request, &(struct cells_answer){200, 0, T0 + took[i]});
        assert_int_equal(counter_read(&cells->routes[0].slow), i);
    }
}

struct told {
    int count;
    int64_t age_us;
    const struct cells_request *request;
};

static void note_hanging(struct cells_request *request, int64_t age_us, void *data) {
    struct told *told = data;
    told->count++;
    told->age_us = age_us;
    told->request = request;
}

static void what_hangs_is_slow_before_it_ends_and_counted_once(void **state) {
    (void)state;
    struct told told = {0};
    struct cells_request old = {.route = 0}, young = {.route = 0};
    cells_begin(cells, &old, 5, T0, T0);
    cells_begin(cells, &young, 5, T0 + 500000, T0 + 500000);
    cells_look(cells, T0 + SLOW_REQUEST_US, note_hanging, &told);
    assert_int_equal(counter_read(&cells->routes[5].slow), 0);
    for (int i = 1; i <= 3; i++) {
        cells_look(cells, T0 + SLOW_REQUEST_US + i, note_hanging, &told);
    }
    assert_int_equal(counter_read(&cells->routes[5].slow), 1);
    assert_int_equal(told.count, 0);
    for (int i = 1; i <= 3; i++) {
        cells_look(cells, T0 + HANGING_US + i, note_hanging, &told);
    }
    assert_int_equal(counter_read(&cells->routes[5].slow), 2);
    assert_int_equal(told.count, 1);
    assert_ptr_equal(told.request, &old);
    assert_int_equal(told.age_us, HANGING_US + 1);
    struct cells_answer answer = {200, 0, T0 + 2 * HANGING_US};
    cells_end(cells, &old, &answer);
    cells_end(cells, &young, &answer);
    assert_int_equal(counter_read(&cells->routes[5].slow), 2);
}

static void a_clock_that_steps_back_records_nothing_negative(void **state) {
    (void)state;
    struct cells_request request = {.route = 0};
    cells_begin(cells, &request, 0, T0, T0);
    assert_int_equal(cells_end(cells, &request, &(struct cells_answer){200, 0, T0 - 5}), 0);
    assert_int_equal(counter_read(&cells->routes[0].latency.cells[0]), 1);
}

static void a_stream_is_neither_in_flight_nor_slow(void **state) {
    (void)state;
    struct cells_request request = {.route = 0};
    cells_begin(cells, &request, 5, T0, T0);
    cells_stream(cells, &request);
    assert_int_equal(counter_read(&cells->routes[5].in_flight), 0);
    assert_int_equal(counter_read(&cells->streams), 1);
    assert_int_equal(cells_end(cells, &request, &(struct cells_answer){200, 9, T0 + 60000000}), 0);
    assert_int_equal(counter_read(&cells->streams), 0);
    assert_int_equal(counter_read(&cells->routes[5].slow), 0);
    assert_int_equal(counter_read(&cells->routes[5].latency.sum), 0);
    assert_int_equal(counter_read(&cells->routes[5].classes[ANSWER_2XX]), 1);
}

static void answers_of_special_interest_have_their_counters(void **state) {
    (void)state;
    static const int statuses[] = {401, 401, 429, 503, 500, 403, 101};
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        struct cells_request request = {.route = 0};
        cells_begin(cells, &request, 0, T0, T0);
        cells_end(cells, &request, &(struct cells_answer){statuses[i], 0, T0});
    }
    assert_int_equal(counter_read(&cells->unauthorized), 2);
    assert_int_equal(counter_read(&cells->rate_limited), 1);
    assert_int_equal(counter_read(&cells->unavailable), 1);
    assert_int_equal(counter_read(&cells->routes[0].classes[ANSWER_5XX]), 2);
}

static struct store_op op_of(enum store_op_e kind, enum err_e err) {
    return (struct store_op){
        .kind = kind, .err = err, .submitted_us = T0, .begun_us = T0 + 300, .ended_us = T0 + 1000};
}

static void an_operation_tells_waiting_and_running_apart(void **state) {
    (void)state;
    struct store_op op = op_of(STORE_LIST_EVENTS, ERR_OK);
    struct cells_request request = {.route = 0};
    assert_int_equal(cells_query(cells, &request, &op), 1000);
    const struct query_cells *list = &cells->queries[STORE_LIST_EVENTS];
    assert_int_equal(counter_read(&list->queue_us), 300);
    assert_int_equal(counter_read(&list->run_us), 700);
    assert_int_equal(counter_read(&list->latency.sum), 1000);
    assert_int_equal(request.queue_us, 300);
    assert_int_equal(request.store_us, 700);
    assert_int_equal(request.commit_us, 0);
    assert_int_equal(counter_read(&list->failed), 0);
}

static void a_wait_for_the_cache_is_told_whoever_answered(void **state) {
    (void)state;
    struct store_op op = op_of(STORE_LOAD_EVENT, ERR_OK);
    struct cells_request request = {.route = 0};
    op.cache_us = 250;
    cells_cache(&request, &op);
    op.is_cached = true;
    cells_cache(&request, &op);
    cells_cache(NULL, &op); /* in the background: nobody waited */
    assert_int_equal(request.cache_us, 500);
    assert_int_equal(request.store_us, 0);
}

static void a_commit_is_told_apart_from_the_rest_of_the_run(void **state) {
    (void)state;
    struct store_op op = op_of(STORE_CREATE_EVENT, ERR_OK);
    op.committing_us = T0 + 400;
    struct cells_request request = {.route = 0};
    assert_int_equal(cells_query(cells, &request, &op), 1000);
    assert_int_equal(request.queue_us, 300);
    assert_int_equal(request.store_us, 100);
    assert_int_equal(request.commit_us, 600);
    assert_int_equal(counter_read(&cells->queries[STORE_CREATE_EVENT].run_us), 700);
}

static void a_full_queue_is_a_failure_without_a_time(void **state) {
    (void)state;
    struct store_op op = op_of(STORE_CHECK_IN, ERR_OVERLOADED);
    assert_int_equal(cells_query(cells, NULL, &op), 0);
    const struct query_cells *check_in = &cells->queries[STORE_CHECK_IN];
    assert_int_equal(counter_read(&check_in->ended), 1);
    assert_int_equal(counter_read(&check_in->failed), 1);
    assert_int_equal(counter_read(&check_in->refused), 1);
    assert_int_equal(counter_read(&check_in->latency.sum), 0);
}

static void what_is_the_clients_mistake_is_no_failure_of_the_store(void **state) {
    (void)state;
    static const struct {
        enum err_e err;
        int failed;
    } rows[] = {{ERR_UNKNOWN_EVENT, 0}, {ERR_CONFLICT, 0}, {ERR_DEADLINE, 1}, {ERR_IO, 2}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct store_op op = op_of(STORE_LOAD_EVENT, rows[i].err);
        cells_query(cells, NULL, &op);
        assert_int_equal(counter_read(&cells->queries[STORE_LOAD_EVENT].failed), rows[i].failed);
    }
}

static void a_transaction_is_a_decided_scan_or_another_write(void **state) {
    (void)state;
    struct scan_result results[3] = {{.err = ERR_OK}, {.err = ERR_UNKNOWN_GATE}, {.err = ERR_OK}};
    struct store_op scans = op_of(STORE_CHECK_IN, ERR_OK);
    scans.check_in.results = results;
    scans.check_in.len = 3;
    cells_query(cells, NULL, &scans);
    assert_int_equal(counter_read(&cells->transactions), 2);
    scans.err = ERR_IO; /* nothing was decided; the results are not to be looked at */
    scans.check_in.results = NULL;
    cells_query(cells, NULL, &scans);
    struct store_op write = op_of(STORE_CREATE_GATE, ERR_OK);
    cells_query(cells, NULL, &write);
    struct store_op refused = op_of(STORE_CREATE_GATE, ERR_CONFLICT);
    cells_query(cells, NULL, &refused);
    struct store_op read = op_of(STORE_READ_STATS, ERR_OK);
    cells_query(cells, NULL, &read);
    struct store_op probe = op_of(STORE_PROBE, ERR_OK);
    cells_query(cells, NULL, &probe);
    assert_int_equal(counter_read(&cells->transactions), 3);
}

static void an_operation_above_a_tenth_of_a_second_is_slow(void **state) {
    (void)state;
    struct store_op op = op_of(STORE_READ_STATS, ERR_OK);
    op.ended_us = T0 + SLOW_QUERY_US;
    cells_query(cells, NULL, &op);
    assert_int_equal(counter_read(&cells->queries[STORE_READ_STATS].slow), 0);
    op.ended_us++;
    assert_int_equal(cells_query(cells, NULL, &op), SLOW_QUERY_US + 1);
    assert_int_equal(counter_read(&cells->queries[STORE_READ_STATS].slow), 1);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, make, drop)

int main(void) {
    const struct CMUnitTest tests[] = {
        EACH(a_request_counts_in_its_route_and_class_with_its_bytes),
        EACH(the_oldest_in_flight_is_known_whatever_ends_first),
        EACH(a_request_of_a_second_is_not_slow_and_one_above_is),
        EACH(a_clock_that_steps_back_records_nothing_negative),
        EACH(a_stream_is_neither_in_flight_nor_slow),
        EACH(what_hangs_is_slow_before_it_ends_and_counted_once),
        EACH(answers_of_special_interest_have_their_counters),
        EACH(an_operation_tells_waiting_and_running_apart),
        EACH(a_wait_for_the_cache_is_told_whoever_answered),
        EACH(a_commit_is_told_apart_from_the_rest_of_the_run),
        EACH(a_full_queue_is_a_failure_without_a_time),
        EACH(what_is_the_clients_mistake_is_no_failure_of_the_store),
        EACH(a_transaction_is_a_decided_scan_or_another_write),
        EACH(an_operation_above_a_tenth_of_a_second_is_slow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
