/* SPDX-License-Identifier: Apache-2.0 */
/* Answers over raw sockets: late ones, streams, readers that are slow or gone, and the end. */
#include "fixture.h"

#include <sched.h>

static struct answer answer; /* too large for the stack */

static void hang_up_hard(int fd) {
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

static void wait_until_ended(struct fixture *fixture, int count) {
    while (fixture->ended < count) {
        sched_yield();
    }
}

static void an_answer_may_come_later(void **state) {
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &usual);
    int fd = dial(&fixture);
    say(fd, "POST /hold HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    struct http_request *request = wait_for_held(&fixture);
    assert_int_equal(counts_of(&fixture).requests_in_flight, 1);
    on_loop(&fixture, reply_held, request);
    hear(fd, &answer);
    assert_string_equal(answer.body, "held");
    wait_until_ended(&fixture, 1);
    assert_int_equal(counts_of(&fixture).requests_in_flight, 0);
    close(fd);
    tear_down(&fixture);
}

struct look {
    struct http_request *request;
    bool gone;
    size_t body_len;
    bool body_is_intact;
    bool field_is_intact;
};

static void look_at(struct fixture *fixture, void *data) {
    struct look *look = data;
    (void)fixture;
    struct slice body = http_body(look->request);
    look->gone = http_is_gone(look->request);
    look->body_len = body.len;
    look->body_is_intact = true;
    for (size_t i = 0; i < body.len; i++) {
        look->body_is_intact = look->body_is_intact && body.at[i] == 'x';
    }
    look->field_is_intact = slice_eq_text(http_field(look->request, "x-test"), "kept");
}

static void leave_before_the_answer(size_t size) {
    struct fixture fixture;
    set_up(&fixture, &usual);
    int fd = dial(&fixture);
    char *text = malloc(size + 128);
    int head = sprintf(text,
                       "POST /hold HTTP/1.1\r\nHost: a\r\nX-Test: kept\r\n"
                       "Content-Length: %zu\r\n\r\n",
                       size);
    memset(text + head, 'x', size);
    say_bytes(fd, text, (size_t)head + size);
    free(text);
    struct look look = {.request = wait_for_held(&fixture)};
    on_loop(&fixture, look_at, &look);
    assert_false(look.gone);
    hang_up_hard(fd);
    while (!look.gone) {
        on_loop(&fixture, look_at, &look);
    }
    assert_int_equal(look.body_len, size);
    assert_true(look.body_is_intact);
    assert_true(look.field_is_intact);
    on_loop(&fixture, reply_held, look.request);
    wait_until_ended(&fixture, 1);
    assert_int_equal(counts_of(&fixture).requests_in_flight, 0);
    tear_down(&fixture);
}

static void a_client_that_leaves_takes_nothing_from_the_handler(void **state) {
    (void)state;
    leave_before_the_answer(10);
    leave_before_the_answer(1024 * 1024);
}

static void a_connection_that_was_cut_leaves_the_request_to_its_handler(void **state) {
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &usual);
    int fd = dial(&fixture);
    say(fd, "POST /hold HTTP/1.1\r\nHost: a\r\nX-Test: kept\r\nContent-Length: 1\r\n\r\nx");
    struct look look = {.request = wait_for_held(&fixture)};
    on_loop(&fixture, cut_off, NULL);
    hear_end(fd);
    on_loop(&fixture, look_at, &look);
    assert_true(look.gone);
    assert_true(look.body_is_intact && look.field_is_intact);
    on_loop(&fixture, reply_held, look.request);
    wait_until_ended(&fixture, 1);
    assert_int_equal(fixture.last_status, 200);
    tear_down(&fixture);
}

static void a_client_that_only_ended_its_own_side_is_answered(void **state) {
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &usual);
    int fd = dial(&fixture);
    say(fd, "POST /hold HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
    shutdown(fd, SHUT_WR);
    struct look look = {.request = wait_for_held(&fixture)};
    on_loop(&fixture, look_at, &look);
    assert_false(look.gone);
    on_loop(&fixture, reply_held, look.request);
    hear(fd, &answer);
    assert_string_equal(answer.body, "held");
    hear_end(fd);
    tear_down(&fixture);
}

static void head_tells_the_length_and_sends_no_body(void **state) {
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &usual);
    int fd = dial(&fixture);
    say(fd, "HEAD /ok HTTP/1.1\r\nHost: a\r\n\r\nHEAD /stream?3 HTTP/1.1\r\nHost: a\r\n\r\n"
            "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    hear_head_only(fd, &answer);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.bytes, "Content-Length: 2\r\n"));
    hear_head_only(fd, &answer);
    assert_int_equal(answer.status, 200);
    hear(fd, &answer);
    assert_string_equal(answer.body, "ok");
    close(fd);
    wait_until_ended(&fixture, 3);
    tear_down(&fixture);
}

static void no_content_has_neither_body_nor_length(void **state) {
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &usual);
    int fd = dial(&fixture);
    say(fd, "GET /empty HTTP/1.1\r\nHost: a\r\n\r\nGET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    hear(fd, &answer);
    assert_int_equal(answer.status, 204);
    assert_null(strstr(answer.bytes, "ontent-"));
    hear(fd, &answer);
    assert_string_equal(answer.body, "ok");
    close(fd);
    tear_down(&fixture);
}

static void a_field_value_cannot_begin_another_field(void **state) {
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &usual);
    int fd = dial(&fixture);
    say(fd, "GET /hostile HTTP/1.1\r\nHost: a\r\n\r\n");
    hear(fd, &answer);
    assert_non_null(strstr(answer.bytes, "x-a: 1??x-forged: 2\r\n"));
    close(fd);
    tear_down(&fixture);
}

static void a_stream_is_chunked_and_leaves_the_connection_usable(void **state) {
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &usual);
    int fd = dial(&fixture);
    say(fd, "GET /stream?2 HTTP/1.1\r\nHost: a\r\n\r\n");
    hear(fd, &answer);
    assert_non_null(strstr(answer.bytes, "transfer-encoding: chunked\r\n"));
    assert_memory_equal(answer.body, "10000\r\naaaa", 11);
    assert_non_null(strstr(answer.body, "\r\n10000\r\nbbbb"));
    assert_non_null(strstr(answer.body, "b\r\n4\r\nend\n\r\n0\r\n\r\n"));
    say(fd, "GET /stream?0 HTTP/1.1\r\nHost: a\r\n\r\n");
    hear(fd, &answer);
    assert_string_equal(answer.body, "4\r\nend\n\r\n0\r\n\r\n");
    close(fd);
    tear_down(&fixture);
}

static size_t read_to_the_end(int fd, size_t step, bool *ret_reset) {
    char *bytes = malloc(step);
    size_t total = 0;
    ssize_t got;
    while ((got = recv(fd, bytes, step, 0)) > 0) {
        total += (size_t)got;
    }
    *ret_reset = got == -1 && errno == ECONNRESET;
    free(bytes);
    close(fd);
    return total;
}

static void an_old_client_gets_a_stream_without_chunks(void **state) {
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &usual);
    int fd = dial(&fixture);
    say(fd, "GET /stream?3 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    hear_head_only(fd, &answer);
    assert_null(strstr(answer.bytes, "chunked"));
    assert_non_null(strstr(answer.bytes, "Connection: close"));
    bool was_reset;
    assert_int_equal(read_to_the_end(fd, 65536, &was_reset), 3 * PIECE + 4);
    assert_false(was_reset);
    tear_down(&fixture);
}

/* The server writes a piece only when the one before is gone, so a reader that stops stops it. */
static void a_slow_reader_gets_every_byte_and_holds_the_stream_back(void **state) {
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &usual);
    int fd = dial(&fixture);
    int small = 16 * 1024;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    enum { PIECES = 400 }; /* 25 MB: far more than the kernel keeps */
    say(fd, "GET /stream?400 HTTP/1.0\r\n\r\n");
    hear_head_only(fd, &answer);
    size_t total = 0;
    static char bytes[4096];
    while (total < PIECE) {
        ssize_t got = recv(fd, bytes, sizeof bytes, 0);
        assert_true(got > 0);
        total += (size_t)got;
    }
    assert_true(fixture.pieces < PIECES);
    bool was_reset;
    total += read_to_the_end(fd, 4096, &was_reset);
    assert_int_equal(total, (size_t)PIECES * PIECE + 4);
    assert_false(was_reset);
    tear_down(&fixture);
}

static void a_reader_that_takes_nothing_is_cut_off(void **state) {
    (void)state;
    struct http_options options = usual;
    options.response_timeout_ms = 50;
    struct fixture fixture;
    set_up(&fixture, &options);
    int whole = dial(&fixture);
    int stream = dial(&fixture);
    say(whole, "GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    say(stream, "GET /endless HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until_ended(&fixture, 2);
    assert_int_equal(counts_of(&fixture).timeouts, 2);
    bool was_reset;
    read_to_the_end(whole, 65536, &was_reset);
    assert_true(was_reset);
    read_to_the_end(stream, 65536, &was_reset);
    assert_true(was_reset);
    tear_down(&fixture);
}

static void a_stream_ends_when_its_client_leaves(void **state) {
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &usual);
    int fd = dial(&fixture);
    say(fd, "GET /endless HTTP/1.1\r\nHost: a\r\n\r\n");
    hear_head_only(fd, &answer);
    hang_up_hard(fd);
    wait_until_ended(&fixture, 1);
    tear_down(&fixture);
}

static void an_answer_that_fails_midway_does_not_look_whole(void **state) {
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &usual);
    for (int minor = 0; minor < 2; minor++) {
        int fd = dial(&fixture);
        char text[64];
        sprintf(text, "GET /broken HTTP/1.%d\r\nHost: a\r\n\r\n", minor);
        say(fd, text);
        bool was_reset;
        read_to_the_end(fd, 1, &was_reset);
        assert_true(was_reset);
    }
    wait_until_ended(&fixture, 2);
    tear_down(&fixture);
}

static void expect_timeout(int fd) {
    hear(fd, &answer);
    assert_int_equal(answer.status, 408);
    assert_non_null(strstr(answer.body, "\"code\":\"deadline_exceeded\""));
    shutdown(fd, SHUT_WR);
    hear_end(fd);
}

static void what_does_not_arrive_in_time_is_408_and_idling_just_ends(void **state) {
    (void)state;
    struct http_options options = usual;
    options.request_timeout_ms = 100;
    struct fixture fixture;
    set_up(&fixture, &options);
    int slow_head = dial(&fixture);
    say(slow_head, "GET /ok HTTP/1.1\r\nHost: a\r\nX");
    int slow_body = dial(&fixture);
    say(slow_body, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
    int idle = dial(&fixture);
    int resting = dial(&fixture);
    say(resting, "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    hear(resting, &answer);
    assert_int_equal(answer.status, 200);
    expect_timeout(slow_head);
    expect_timeout(slow_body);
    hear_end(idle);
    hear_end(resting);
    assert_int_equal(counts_of(&fixture).timeouts, 2);
    tear_down(&fixture);
}

static void bytes_that_trickle_do_not_keep_a_head_alive(void **state) {
    (void)state;
    struct http_options options = usual;
    options.request_timeout_ms = 100;
    struct fixture fixture;
    set_up(&fixture, &options);
    int fd = dial(&fixture);
    say(fd, "GET /ok HTTP/1.1\r\nHost: a\r\nX: ");
    char got;
    while (recv(fd, &got, 1, MSG_DONTWAIT | MSG_PEEK) == -1) {
        if (send(fd, "x", 1, MSG_NOSIGNAL) == -1) {
            break;
        }
        usleep(1000); /* the pace of the client that is tested, not a wait for the server */
    }
    hear(fd, &answer);
    assert_int_equal(answer.status, 408);
    close(fd);
    tear_down(&fixture);
}

static void draining_ends_idle_connections_and_completes_running_ones(void **state) {
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &usual);
    int idle = dial(&fixture);
    say(idle, "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    hear(idle, &answer);
    int working = dial(&fixture);
    say(working, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    struct http_request *request = wait_for_held(&fixture);
    int coming = dial(&fixture);
    say(coming, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
    while (counts_of(&fixture).connections_open < 3) {
        sched_yield();
    }
    on_loop(&fixture, drain, NULL);
    hear_end(idle);
    say(coming, "cde");
    hear(coming, &answer);
    assert_string_equal(answer.body, "POST abcde");
    assert_non_null(strstr(answer.bytes, "Connection: close\r\n"));
    hear_end(coming);
    on_loop(&fixture, reply_held, request);
    hear(working, &answer);
    assert_string_equal(answer.body, "held");
    assert_non_null(strstr(answer.bytes, "Connection: close\r\n"));
    hear_end(working);
    tear_down(&fixture);
}

static void a_stream_that_began_before_the_drain_ends_its_connection(void **state) {
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &usual);
    int fd = dial(&fixture);
    int small = 16 * 1024;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    say(fd, "GET /stream?200 HTTP/1.1\r\nHost: a\r\n\r\n");
    hear_head_only(fd, &answer);
    assert_non_null(strstr(answer.bytes, "Connection: keep-alive"));
    on_loop(&fixture, drain, NULL);
    bool was_reset;
    size_t chunk = 7 + PIECE + 2;
    assert_int_equal(read_to_the_end(fd, 65536, &was_reset), 200 * chunk + 3 + 4 + 2 + 5);
    assert_false(was_reset);
    tear_down(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_may_come_later),
        cmocka_unit_test(a_client_that_leaves_takes_nothing_from_the_handler),
        cmocka_unit_test(a_connection_that_was_cut_leaves_the_request_to_its_handler),
        cmocka_unit_test(a_client_that_only_ended_its_own_side_is_answered),
        cmocka_unit_test(head_tells_the_length_and_sends_no_body),
        cmocka_unit_test(no_content_has_neither_body_nor_length),
        cmocka_unit_test(a_field_value_cannot_begin_another_field),
        cmocka_unit_test(a_stream_is_chunked_and_leaves_the_connection_usable),
        cmocka_unit_test(an_old_client_gets_a_stream_without_chunks),
        cmocka_unit_test(a_slow_reader_gets_every_byte_and_holds_the_stream_back),
        cmocka_unit_test(a_reader_that_takes_nothing_is_cut_off),
        cmocka_unit_test(a_stream_ends_when_its_client_leaves),
        cmocka_unit_test(an_answer_that_fails_midway_does_not_look_whole),
        cmocka_unit_test(what_does_not_arrive_in_time_is_408_and_idling_just_ends),
        cmocka_unit_test(bytes_that_trickle_do_not_keep_a_head_alive),
        cmocka_unit_test(draining_ends_idle_connections_and_completes_running_ones),
        cmocka_unit_test(a_stream_that_began_before_the_drain_ends_its_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
