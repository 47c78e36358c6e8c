/* SPDX-License-Identifier: Apache-2.0 */
/* Requests from end to end over doubles: statuses, bodies, and what reaches the store. */
#include "doubles.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

static struct bench bench;

static int open_without_keys(void **state) {
    (void)state;
    bench_open(&bench, API_AUTH_OFF);
    return 0;
}

static int close_bench(void **state) {
    (void)state;
    bench_close(&bench);
    return 0;
}

static void expect_error(const struct answer *answer, int status, const char *code) {
    char wanted[80];
    snprintf(wanted, sizeof wanted, "\"code\":\"%s\"", code);
    assert_int_equal(answer->status, status);
    assert_string_equal(answer->type, "application/problem+json");
    assert_non_null(strstr(answer->body, wanted));
    assert_non_null(strstr(answer->body, "\"request_id\":\"req-1\""));
}

static void expect_field(const struct answer *answer, const char *field) {
    char wanted[80];
    snprintf(wanted, sizeof wanted, "\"field\":\"%s\"", field);
    expect_error(answer, 400, "invalid_field");
    assert_non_null(strstr(answer->body, wanted));
}

static void unknown_paths_and_methods_are_told_apart(void **state) {
    (void)state;
    expect_error(bench_get(&bench, "/v1/nothing", NULL), 404, "not_found");
    expect_error(bench_get(&bench, "/v1/events/", NULL), 404, "not_found");
    expect_error(bench_get(&bench, "/v1/events/%zz", NULL), 400, "malformed_request");
    const struct answer *answer =
        bench_send(&bench, &(struct sent){.method = "DELETE", .path = "/v1/events"});
    expect_error(answer, 405, "method_not_allowed");
    assert_non_null(strstr(answer->fields, "allow: GET, HEAD, POST\n"));
    answer = bench_send(&bench, &(struct sent){.method = "OPTIONS", .path = "/livez"});
    assert_int_equal(answer->status, 204);
    assert_int_equal(bench.store.count, 0);
}

static void a_path_is_decoded_before_it_is_matched(void **state) {
    (void)state;
    assert_int_equal(bench_get(&bench, "/v1/events/a%2Db/stats", NULL)->status, 200);
    expect_error(bench_get(&bench, "/v1/events/a%20b/stats", NULL), 404, "unknown_event");
    assert_int_equal(bench.store.count, 1);
}

static void bodies_of_the_wrong_type_or_size_are_refused_before_they_are_read(void **state) {
    (void)state;
    expect_error(bench_send(&bench, &(struct sent){.method = "POST",
                                                   .path = "/v1/events",
                                                   .type = "text/plain",
                                                   .body = "{}"}),
                 415, "unsupported_media_type");
    expect_error(bench_send(&bench, &(struct sent){.method = "POST",
                                                   .path = "/v1/events",
                                                   .type = "application/json; charset=latin1",
                                                   .body = "{}"}),
                 415, "unsupported_media_type");
    expect_error(bench_post(&bench, "/v1/events/e/participants:import", "token"), 415,
                 "unsupported_media_type");
    char *large = malloc(64 * 1024 + 2);
    assert_non_null(large);
    memset(large, ' ', 64 * 1024 + 1);
    large[64 * 1024 + 1] = '\0';
    expect_error(bench_post(&bench, "/v1/events", large), 413, "too_large");
    large[64 * 1024] = '\0';
    expect_error(bench_post(&bench, "/v1/events", large), 400, "malformed_json");
    free(large);
}

static void wrong_bodies_name_the_field(void **state) {
    (void)state;
    static const struct {
        const char *path, *body, *field;
    } rows[] = {
        {"/v1/events", "[]", "body"},
        {"/v1/events", "{}", "code"},
        {"/v1/events", "{\"code\":7}", "code"},
        {"/v1/events", "{\"code\":\"a b\"}", "code"},
        {"/v1/events", "{\"code\":\"e\",\"capacity\":-1}", "capacity"},
        {"/v1/events", "{\"code\":\"e\",\"capacity\":1.5}", "capacity"},
        {"/v1/events", "{\"code\":\"e\",\"capacity\":1000000001}", "capacity"},
        {"/v1/events", "{\"code\":\"e\",\"reentry\":\"sometimes\"}", "reentry"},
        {"/v1/events", "{\"code\":\"e\",\"starts_at\":\"today\"}", "starts_at"},
        {"/v1/events",
         "{\"code\":\"e\",\"starts_at\":\"2026-01-02T00:00:00Z\","
         "\"ends_at\":\"2026-01-01T00:00:00Z\"}",
         "ends_at"},
        {"/v1/events/e/gates", "{\"code\":\"g\",\"status\":\"ajar\"}", "status"},
        {"/v1/events/e/participants", "{\"token\":\" x\"}", "token"},
        {"/v1/events/e/participants", "{\"email\":\"nobody\"}", "email"},
        {"/v1/events/e/participants", "{\"gates\":\"g\"}", "gates"},
        {"/v1/events/e/participants", "{\"gates\":[\"a b\"]}", "gates"},
        {"/v1/events/e/participants", "{\"name\":\"a\\u0000b\"}", "name"},
        {"/v1/events/e/checkins", "{\"gate\":\"g\"}", "token"},
        {"/v1/events/e/checkins", "{\"token\":\"t\"}", "gate"},
        {"/v1/events/e/checkins", "{\"token\":\"t\",\"gate\":\"g\",\"method\":\"eye\"}", "method"},
        {"/v1/events/e/checkins", "{\"token\":\"t\",\"gate\":\"g\",\"nonce\":\"\"}", "nonce"},
        {"/v1/events/e/checkins", "{\"token\":\"t\",\"gate\":\"g\",\"force\":1}", "force"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        expect_field(bench_post(&bench, rows[i].path, rows[i].body), rows[i].field);
    }
    assert_int_equal(bench.store.count + bench.scans, 0);
}

static void echo_event(struct store_op *op) {
    if (op->kind == STORE_LOAD_EVENT) {
        op->event_write.values = (struct event){
            .code = op->event,
            .starts_at_ms = 2000,
            .ends_at_ms = 3000,
            .capacity = CAPACITY_NONE,
        };
    }
}

static void an_event_is_created_with_its_defaults(void **state) {
    (void)state;
    const struct answer *answer = bench_post(&bench, "/v1/events", "{\"code\":\"expo\",\"x\":1}");
    assert_int_equal(answer->status, 201);
    assert_string_equal(answer->body,
                        "{\"code\":\"expo\",\"name\":\"expo\",\"timezone\":\"UTC\","
                        "\"starts_at\":null,\"ends_at\":null,\"capacity\":null,"
                        "\"reentry\":\"after_exit\"}");
    assert_non_null(strstr(answer->fields, "location: /v1/events/expo\n"));
}

static const struct answer *patch(const char *path, const char *body) {
    return bench_send(&bench,
                      &(struct sent){.method = "PATCH", .path = path, .body = body});
}

static unsigned patched_fields;
static struct event patched_event;
static void keep_patch(struct store_op *op) {
    echo_event(op);
    if (op->kind == STORE_UPDATE_EVENT) {
        patched_fields = op->event_write.fields;
        patched_event = op->event_write.values;
    }
}

static void a_patch_names_only_what_it_holds_and_null_clears(void **state) {
    (void)state;
    bench.store.script = keep_patch;
    assert_int_equal(patch("/v1/events/e", "{\"capacity\":null,\"code\":\"e\"}")->status, 200);
    assert_int_equal(patched_fields, EVENT_CAPACITY);
    assert_int_equal(patched_event.capacity, CAPACITY_NONE);
    expect_field(patch("/v1/events/e", "{\"code\":\"f\"}"), "code");
    expect_field(patch("/v1/events/e", "{\"timezone\":null}"), "timezone");
    expect_field(patch("/v1/events/e/gates/g", "{\"status\":null}"), "status");
    expect_field(patch("/v1/events/e/participants/1", "{\"token\":null}"), "token");
}

static void one_end_of_a_span_is_held_against_the_other_one_in_the_store(void **state) {
    (void)state;
    bench.store.script = keep_patch;
    expect_field(patch("/v1/events/e", "{\"ends_at\":\"1970-01-01T00:00:01Z\"}"), "ends_at");
    assert_int_equal(bench.store.last, STORE_LOAD_EVENT);
    assert_int_equal(patch("/v1/events/e", "{\"starts_at\":null}")->status, 200);
    assert_int_equal(patched_fields, EVENT_STARTS_AT);
}

static void a_verdict_has_exactly_the_promised_members(void **state) {
    (void)state;
    bench.scan_result = (struct scan_result){
        .record_id = 7,
        .verdict = VERDICT_REFUSED,
        .reason = REASON_ALREADY_USED,
        .has_participant = true,
        .participant = {.id = 3, .name = SLICE_LIT("Ann"), .status = PARTICIPANT_ACTIVE},
        .has_first = true,
        .first_at_ms = 0,
        .first_gate = SLICE_LIT("g"),
        .inside = 5,
        .scanned_at_ms = 1000,
        .decided_at_ms = 2000,
    };
    const struct answer *answer =
        bench_post(&bench, "/v1/events/e/checkins", "{\"token\":\"t\",\"gate\":\"g\"}");
    assert_int_equal(answer->status, 200);
    assert_string_equal(
        answer->body,
        "{\"verdict\":\"refused\",\"reason\":\"already_used\",\"record_id\":\"7\","
        "\"replayed\":false,\"forced\":false,\"participant\":{\"id\":\"3\",\"name\":\"Ann\","
        "\"status\":\"active\",\"attention\":null},\"first\":{\"at\":\"1970-01-01T00:00:00.000Z\","
        "\"gate\":\"g\"},\"inside\":5,\"scanned_at\":\"1970-01-01T00:00:01.000Z\","
        "\"decided_at\":\"1970-01-01T00:00:02.000Z\"}");
    assert_true(bench.last_scan.scanned_at_ms == TIME_NONE);
}

static void a_device_may_be_five_minutes_ahead_and_no_more(void **state) {
    (void)state;
    char body[120], text[TIME_TEXT_SIZE];
    for (int over = 0; over <= 1; over++) {
        time_format(bench.clock.now_wall_ms + SCAN_AHEAD_MAX_MS + over, text);
        snprintf(body, sizeof body, "{\"token\":\"t\",\"gate\":\"g\",\"scanned_at\":\"%s\"}", text);
        const struct answer *answer = bench_post(&bench, "/v1/events/e/checkins", body);
        if (over == 0) {
            assert_int_equal(answer->status, 200);
        } else {
            expect_field(answer, "scanned_at");
        }
    }
    assert_int_equal(bench.scans, 1);
}

static void a_failed_scan_is_the_error_it_is_with_retry_after(void **state) {
    (void)state;
    bench.scan_result.err = ERR_COMMIT_UNKNOWN;
    const struct answer *answer =
        bench_post(&bench, "/v1/events/e/checkins", "{\"token\":\"t\",\"gate\":\"g\"}");
    expect_error(answer, 503, "commit_unknown");
    assert_non_null(strstr(answer->fields, "retry-after: 1\n"));
}

static const struct answer *send_batch(const char *body) {
    return bench_send(&bench, &(struct sent){.method = "POST",
                                             .path = "/v1/events/e/checkins:batch",
                                             .type = "application/x-ndjson",
                                             .body = body});
}

static size_t count_of(const char *text, const char *part) {
    /* Not by strstr: the address sanitizer measures the whole rest of the text at each call. */
    size_t count = 0, len = strlen(part);
    for (const char *at = text; *at != '\0'; at++) {
        count += *at == part[0] && strncmp(at, part, len) == 0;
    }
    return count;
}

static void a_batch_answers_every_line_in_order_and_one_harms_no_other(void **state) {
    (void)state;
    const struct answer *answer = send_batch("{\"token\":\"t\",\"gate\":\"g\"}\r\n\n \r\nnonsense\n"
                                             "{\"token\":\"t\"}\n{\"token\":\"u\",\"gate\":\"g\"}");
    assert_int_equal(answer->status, 200);
    assert_string_equal(answer->type, "application/x-ndjson");
    assert_int_equal(count_of(answer->body, "\n"), 4);
    assert_true(strncmp(answer->body, "{\"index\":0,\"verdict\":", 20) == 0);
    assert_non_null(strstr(answer->body, "\n{\"index\":1,\"error\":{\"code\":\"malformed_json\""));
    assert_non_null(strstr(answer->body, "\n{\"index\":2,\"error\":{\"code\":\"invalid_field\","
                                         "\"detail\":\"is required\",\"field\":\"gate\"}}\n"));
    assert_non_null(strstr(answer->body, "\n{\"index\":3,\"verdict\":"));
    assert_int_equal(bench.scans, 2);
}

static void a_batch_that_failed_as_a_whole_is_one_error(void **state) {
    (void)state;
    bench.scan_result.err = ERR_OVERLOADED;
    expect_error(send_batch("{\"token\":\"t\",\"gate\":\"g\"}\nnonsense\n"), 503, "overloaded");
    bench.scan_result.err = ERR_UNKNOWN_EVENT;
    expect_error(send_batch("{\"token\":\"t\",\"gate\":\"g\"}\n"), 404, "unknown_event");
    bench.scan_result.err = ERR_UNKNOWN_GATE;
    assert_int_equal(send_batch("{\"token\":\"t\",\"gate\":\"g\"}\n")->status, 200);
}

static void know_no_event(struct store_op *op) {
    op->err = ERR_UNKNOWN_EVENT;
}

static void a_batch_without_a_good_line_still_needs_its_event(void **state) {
    (void)state;
    assert_int_equal(send_batch("")->status, 200);
    bench.store.script = know_no_event;
    expect_error(send_batch("nonsense\n"), 404, "unknown_event");
    expect_error(send_batch("\n"), 404, "unknown_event");
}

static void a_large_batch_is_answered_in_pieces_and_a_larger_one_refused(void **state) {
    (void)state;
    static const char line[] = "{\"token\":\"t\",\"gate\":\"g\"}\n";
    const size_t lines = 100001, len = sizeof line - 1;
    char *body = malloc(lines * len + 1);
    assert_non_null(body);
    for (size_t i = 0; i < lines; i++) {
        memcpy(body + i * len, line, len);
    }
    body[lines * len] = '\0';
    expect_error(send_batch(body), 413, "too_large");
    body[(lines - 1) * len] = '\0';
    const struct answer *answer = send_batch(body);
    assert_int_equal(answer->status, 200);
    assert_int_equal(count_of(answer->body, "\n"), 100000);
    assert_true(answer->pieces > 100);
    free(body);
}

static struct gate two_gates[2];
static void list_gates(struct store_op *op) {
    bool first = op->gates.after == 0;
    two_gates[0] = (struct gate){.id = 1, .code = SLICE_LIT("a")};
    two_gates[1] = (struct gate){.id = 2, .code = SLICE_LIT("b")};
    op->gates.items = first ? two_gates : two_gates + 1;
    op->gates.len = 1;
    op->gates.more = first;
}

/* The cursor of the answer as a query string. */
static void take_cursor(const struct answer *answer, char query[160]) {
    const char *at = strstr(answer->body, "\"next\":\"");
    assert_non_null(at);
    snprintf(query, 160, "limit=1&cursor=%.*s", (int)strcspn(at + 8, "\""), at + 8);
}

static void a_cursor_leads_to_the_next_page_of_its_own_list_only(void **state) {
    (void)state;
    bench.store.script = list_gates;
    char query[160];
    take_cursor(bench_get(&bench, "/v1/events/e/gates", "limit=1"), query);
    const struct answer *answer = bench_get(&bench, "/v1/events/e/gates", query);
    assert_non_null(strstr(answer->body, "\"code\":\"b\""));
    assert_non_null(strstr(answer->body, "\"next\":null"));
    expect_error(bench_get(&bench, "/v1/events/f/gates", query), 400, "invalid_cursor");
    expect_error(bench_get(&bench, "/v1/events/e/participants", query), 400, "invalid_cursor");
    query[strlen(query) - 2] ^= 1;
    expect_error(bench_get(&bench, "/v1/events/e/gates", query), 400, "invalid_cursor");
}

static void query_parameters_are_checked_and_unknown_ones_ignored(void **state) {
    (void)state;
    static const struct {
        const char *path, *query, *field;
    } rows[] = {
        {"/v1/events", "limit=0", "limit"},
        {"/v1/events", "limit=1001", "limit"},
        {"/v1/events", "limit=1&limit=2", "limit"},
        {"/v1/events", "=&=", "query"},
        {"/v1/events", "%00&%00", "query"},
        {"/v1/events", "a=%f", "query"},
        {"/v1/events", "a=%ff", "query"},
        {"/v1/events/e/participants", "q=a+b", "q"},
        {"/v1/events/e/participants", "token=", "token"},
        {"/v1/events/e/attendance", "method=eye", "method"},
        {"/v1/events/e/attendance", "verdict=maybe", "verdict"},
        {"/v1/events/e/attendance", "participant=x", "participant"},
        {"/v1/events/e/attendance", "since=yesterday", "since"},
        {"/v1/events/e/attendance", "since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z",
         "until"},
        {"/v1/events/e/stats/timeline", "step=0", "step"},
        {"/v1/events/e/stats/timeline", "step=1&since=2020-01-01T00:00:00Z", "step"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        expect_field(bench_get(&bench, rows[i].path, rows[i].query), rows[i].field);
    }
    assert_int_equal(bench.store.count, 0);
    assert_int_equal(bench_get(&bench, "/v1/events", "colour=red&limit=1000")->status, 200);
}

static struct attendance_record history[1000];
static size_t pages_left;
static void list_history(struct store_op *op) {
    if (pages_left == 0) {
        op->err = ERR_IO;
        return;
    }
    for (size_t i = 0; i < 1000; i++) {
        history[i] = (struct attendance_record){
            .record_id = (int64_t)i + 1,
            .gate = SLICE_LIT("-g"),
            .annulled_at_ms = TIME_NONE,
        };
    }
    op->attendance.items = history;
    op->attendance.len = op->attendance.limit < 1000 ? op->attendance.limit : 1000;
    op->attendance.more = --pages_left > 0;
}

static const struct answer *export(const char *method) {
    return bench_send(&bench, &(struct sent){.method = method,
                                             .path = "/v1/events/e/attendance",
                                             .query = "limit=1",
                                             .accept = "text/csv"});
}

static void an_export_is_the_whole_history_page_by_page(void **state) {
    (void)state;
    bench.store.script = list_history;
    pages_left = 3;
    const struct answer *answer = export("GET");
    assert_int_equal(answer->status, 200);
    assert_int_equal(count_of(answer->body, "\r\n"), 3001);
    assert_int_equal(answer->pieces, 3);
    assert_non_null(strstr(answer->body,
                           "\r\n1,,'-g,qr,entry,admitted,,false,,1970-01-01T00:00:00.000Z,"));
    pages_left = 3;
    assert_int_equal(strlen(export("HEAD")->body), 0);
}

static void fail_second_page(struct store_op *op) {
    list_history(op);
    if (op->err == ERR_OK && pages_left == 1) {
        pages_left = 0; /* the next page fails */
    }
}

static void an_export_that_fails_midway_is_cut_off(void **state) {
    (void)state;
    bench.store.script = fail_second_page;
    pages_left = 2;
    const struct answer *answer = export("GET");
    assert_int_equal(answer->status, 200);
    assert_true(answer->broken);
    expect_error(export("GET"), 503, "io_error");
}

static void import_rows(struct store_op *op) {
    for (size_t i = 0; op->kind == STORE_IMPORT_PARTICIPANTS && i < op->import.len; i++) {
        op->import.rows[i].ret_outcome = i == 1 ? IMPORT_REJECTED : IMPORT_CREATED;
        op->import.rows[i].ret_reason = SLICE_LIT("gates: the event has no such gate");
    }
}

static const struct answer *import(const char *body) {
    return bench_send(&bench, &(struct sent){.method = "POST",
                                             .path = "/v1/events/e/participants:import",
                                             .type = "text/csv",
                                             .body = body});
}

static void an_import_lists_what_both_reader_and_store_rejected_by_line(void **state) {
    (void)state;
    bench.store.script = import_rows;
    const struct answer *answer = import("token,x\na,1\nb\nc,1\nd,1\n\"e\"f,1\n");
    assert_int_equal(answer->status, 200);
    assert_string_equal(
        answer->body,
        "{\"created\":2,\"updated\":0,\"rejected\":["
        "{\"line\":3,\"reason\":\"has 1 cells where the header has 2\"},"
        "{\"line\":4,\"reason\":\"gates: the event has no such gate\"},"
        "{\"line\":6,\"reason\":\"text follows a closing quote\"}],"
        "\"rejected_total\":3,\"warnings\":[\"column x is unknown and was not read\"]}");
}

static void an_import_into_no_event_or_without_tokens_is_refused_whole(void **state) {
    (void)state;
    expect_error(import("name\nx\n"), 400, "malformed_csv");
    bench.store.script = know_no_event;
    expect_error(import("token\n"), 404, "unknown_event");
    expect_error(import("token\na\n"), 404, "unknown_event");
}

static void lose_third_group(struct store_op *op) {
    import_rows(op);
    op->err = bench.store.count == 3 ? ERR_COMMIT_UNKNOWN : ERR_OK;
}

static void an_import_that_fails_midway_says_how_far_it_came(void **state) {
    (void)state;
    bench.store.script = lose_third_group;
    char *body = malloc(20000);
    assert_non_null(body);
    size_t len = (size_t)sprintf(body, "token\n");
    for (int i = 0; i < 1200; i++) {
        len += (size_t)sprintf(body + len, "t%d\n", i);
    }
    const struct answer *answer = import(body);
    expect_error(answer, 503, "commit_unknown");
    assert_non_null(strstr(answer->body, "998 rows were stored before this"));
    free(body);
}

static void readiness_gives_its_reasons(void **state) {
    (void)state;
    assert_int_equal(bench_get(&bench, "/readyz", NULL)->status, 200);
    bench.store.health = (struct store_health){true, false, "the disk is full"};
    atomic_store(&bench.node.draining, true);
    const struct answer *answer = bench_get(&bench, "/readyz", NULL);
    assert_int_equal(answer->status, 503);
    assert_non_null(strstr(answer->body, "\"code\":\"draining\""));
    assert_non_null(strstr(answer->body, "the disk is full"));
    expect_error(bench_get(&bench, "/v1/events", NULL), 503, "draining");
    assert_int_equal(bench_get(&bench, "/livez", NULL)->status, 200);
}

static void a_controller_alone_has_no_routes_of_events(void **state) {
    (void)state;
    bench.node.has_events = false;
    expect_error(bench_get(&bench, "/v1/events", NULL), 404, "not_found");
    expect_error(bench_post(&bench, "/v1/events/e/checkins", "{}"), 404, "not_found");
    expect_error(bench_get(&bench, "/v1/status", NULL), 404, "not_found");
    assert_int_equal(bench_get(&bench, "/", NULL)->status, 404);
    assert_int_equal(bench_get(&bench, "/livez", NULL)->status, 200);
    assert_int_equal(bench_get(&bench, "/v1/actions", NULL)->status, 200);
    assert_int_equal(bench.store.last, STORE_LIST_ACTIONS);
}

static void fail_with_io(struct store_op *op) {
    op->err = ERR_IO;
}

static size_t route_called(const char *name) {
    for (size_t i = 0; i < api_route_count(); i++) {
        if (strcmp(api_route_name(i), name) == 0) {
            return i;
        }
    }
    fail_msg("no route %s", name);
    return 0;
}

static void requests_are_counted_by_route_and_class(void **state) {
    (void)state;
    const struct cells *cells = monitor_cells(bench.node.monitor, 0);
    bench_get(&bench, "/livez", NULL);
    bench_get(&bench, "/nothing", NULL);
    const struct route_cells *alive = &cells->routes[route_called("GET /livez")];
    const struct route_cells *other = &cells->routes[route_called("other")];
    assert_int_equal(counter_read(&alive->classes[ANSWER_2XX]), 1);
    assert_int_equal(counter_read(&other->classes[ANSWER_4XX]), 1);
    assert_int_equal(counter_read(&other->in_flight), 0);
    assert_true(counter_read(&alive->bytes) > 0);
}

static void store_operations_are_counted_by_name_and_outcome(void **state) {
    (void)state;
    const struct cells *cells = monitor_cells(bench.node.monitor, 0);
    bench_get(&bench, "/v1/events", NULL);
    bench.store.script = fail_with_io;
    bench_get(&bench, "/v1/events", NULL);
    const struct query_cells *list = &cells->queries[STORE_LIST_EVENTS];
    assert_int_equal(counter_read(&list->ended), 2);
    assert_int_equal(counter_read(&list->failed), 1);
    assert_int_equal(counter_read(&cells->unavailable), 1);
}

static void the_monitor_answers_through_the_loop(void **state) {
    (void)state;
    bench_get(&bench, "/v1/events", NULL);
    const struct answer *answer = bench_get(&bench, "/v1/performance", NULL);
    assert_int_equal(answer->status, 200);
    assert_string_equal(answer->type, "application/json");
    assert_non_null(strstr(answer->body, "\"route\":\"GET /v1/events\",\"count\":1,"));
    assert_non_null(strstr(bench_get(&bench, "/metrics", NULL)->type, "version=0.0.4"));
    assert_int_equal(bench_get(&bench, "/v1/performance/suggestions", "lang=ko")->status, 200);
    expect_error(bench_get(&bench, "/v1/performance/suggestions", "lang=fr"), 400,
                 "invalid_field");
}

static void probes_do_not_dilute_the_figures_of_the_api(void **state) {
    (void)state;
    bench_get(&bench, "/livez", NULL);
    const struct answer *answer = bench_get(&bench, "/v1/performance", NULL);
    assert_null(strstr(answer->body, "/livez"));
    assert_non_null(strstr(answer->body, "\"api\":{\"count\":0,"));
    answer = bench_get(&bench, "/metrics", NULL);
    assert_non_null(strstr(answer->body, "turnout_http_requests_total{route=\"GET /livez\","));
}

static void the_optimizer_answers_through_the_loop(void **state) {
    (void)state;
    const struct answer *answer = bench_get(&bench, "/v1/database/indexes", NULL);
    assert_int_equal(answer->status, 200);
    assert_string_equal(answer->body, "{\"items\":[]}");
    assert_int_equal(bench.optimizer.kind, DB_JOB_INDEXES);
    assert_int_equal(bench.optimizer.mode, DB_DRY_RUN);
    bench.optimizer.err = ERR_UNAVAILABLE;
    expect_error(bench_get(&bench, "/v1/database/queries", NULL), 503, "store_unavailable");
}

static void a_change_of_the_database_is_carried_out_unless_it_is_a_dry_run(void **state) {
    (void)state;
    assert_int_equal(bench_post(&bench, "/v1/database:optimize", "")->status, 200);
    assert_int_equal(bench.optimizer.kind, DB_JOB_OPTIMIZE);
    assert_int_equal(bench.optimizer.mode, DB_CARRY_OUT);
    const char *dry = "{\"dry_run\":true}";
    assert_int_equal(bench_post(&bench, "/v1/database:maintain", dry)->status, 200);
    assert_int_equal(bench.optimizer.kind, DB_JOB_MAINTAIN);
    assert_int_equal(bench.optimizer.mode, DB_DRY_RUN);
    expect_error(bench_post(&bench, "/v1/database:optimize", "{\"dry_run\":\"yes\"}"), 400,
                 "invalid_field");
    expect_error(bench_post(&bench, "/v1/database:optimize", "[]"), 400, "invalid_field");
    assert_int_equal(bench.optimizer.count, 2);
}

static void a_second_change_of_the_database_is_told_to_come_again(void **state) {
    (void)state;
    bench.optimizer.refusal = ERR_BUSY;
    const struct answer *answer = bench_post(&bench, "/v1/database:optimize", "{}");
    expect_error(answer, 409, "busy");
    assert_non_null(strstr(answer->fields, "retry-after: "));
    bench.node.optimizer = NULL;
    expect_error(bench_get(&bench, "/v1/database/partitions", NULL), 503, "store_unavailable");
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, open_without_keys, close_bench)

int main(void) {
    const struct CMUnitTest tests[] = {
        EACH(unknown_paths_and_methods_are_told_apart),
        EACH(a_path_is_decoded_before_it_is_matched),
        EACH(bodies_of_the_wrong_type_or_size_are_refused_before_they_are_read),
        EACH(wrong_bodies_name_the_field),
        EACH(an_event_is_created_with_its_defaults),
        EACH(a_patch_names_only_what_it_holds_and_null_clears),
        EACH(one_end_of_a_span_is_held_against_the_other_one_in_the_store),
        EACH(a_verdict_has_exactly_the_promised_members),
        EACH(a_device_may_be_five_minutes_ahead_and_no_more),
        EACH(a_failed_scan_is_the_error_it_is_with_retry_after),
        EACH(a_batch_answers_every_line_in_order_and_one_harms_no_other),
        EACH(a_batch_that_failed_as_a_whole_is_one_error),
        EACH(a_batch_without_a_good_line_still_needs_its_event),
        EACH(a_large_batch_is_answered_in_pieces_and_a_larger_one_refused),
        EACH(a_cursor_leads_to_the_next_page_of_its_own_list_only),
        EACH(query_parameters_are_checked_and_unknown_ones_ignored),
        EACH(an_export_is_the_whole_history_page_by_page),
        EACH(an_export_that_fails_midway_is_cut_off),
        EACH(an_import_lists_what_both_reader_and_store_rejected_by_line),
        EACH(an_import_into_no_event_or_without_tokens_is_refused_whole),
        EACH(an_import_that_fails_midway_says_how_far_it_came),
        EACH(readiness_gives_its_reasons),
        EACH(a_controller_alone_has_no_routes_of_events),
        EACH(requests_are_counted_by_route_and_class),
        EACH(store_operations_are_counted_by_name_and_outcome),
        EACH(the_monitor_answers_through_the_loop),
        EACH(probes_do_not_dilute_the_figures_of_the_api),
        EACH(the_optimizer_answers_through_the_loop),
        EACH(a_change_of_the_database_is_carried_out_unless_it_is_a_dry_run),
        EACH(a_second_change_of_the_database_is_told_to_come_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
