/* SPDX-License-Identifier: Apache-2.0 */
/* Requests over raw sockets: however they come, whole or refused. */
#include "fixture.h"

#include "base/log.h"

#include <pthread.h>
#include <sys/resource.h>

static struct answer answer; /* too large for the stack */

static void one_connection_serves_many_requests(void **state) {
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &usual);
    int fd = dial(&fixture);
    for (int i = 0; i < 3; i++) {
        say(fd, "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
        hear(fd, &answer);
        assert_int_equal(answer.status, 200);
        assert_string_equal(answer.body, "ok");
        assert_non_null(strstr(answer.bytes, "Connection: keep-alive"));
        assert_non_null(strstr(answer.bytes, "Server: turnout\r\n"));
        assert_non_null(strstr(answer.bytes, "Date: "));
    }
    close(fd);
    tear_down(&fixture);
    assert_int_equal(fixture.ended, 3);
}

static void a_client_that_asks_for_the_end_gets_it(void **state) {
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &usual);
    int fd = dial(&fixture);
    say(fd, "GET /ok HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    hear(fd, &answer);
    assert_non_null(strstr(answer.bytes, "Connection: close"));
    hear_end(fd);
    fd = dial(&fixture);
    say(fd, "GET /ok HTTP/1.0\r\n\r\n");
    hear(fd, &answer);
    assert_string_equal(answer.body, "ok");
    hear_end(fd);
    tear_down(&fixture);
}

static void pipelined_requests_are_answered_in_order(void **state) {
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &usual);
    int fd = dial(&fixture);
    enum { COUNT = 300 }; /* more bytes than one step of the stash */
    char *text = malloc(COUNT * 80);
    size_t len = 0;
    for (int i = 0; i < COUNT; i++) {
        len += (size_t)sprintf(
            text + len, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n%04d", i);
    }
    say_bytes(fd, text, len);
    free(text);
    for (int i = 0; i < COUNT; i++) {
        char wanted[16];
        sprintf(wanted, "POST %04d", i);
        hear(fd, &answer);
        assert_string_equal(answer.body, wanted);
    }
    close(fd);
    tear_down(&fixture);
}

static void a_request_behind_a_held_one_waits_its_turn(void **state) {
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &usual);
    int fd = dial(&fixture);
    say(fd, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\nGET /ok HTTP/1.1\r\nHost: a\r\n\r\nGET /o");
    struct http_request *request = wait_for_held(&fixture);
    assert_int_equal(counts_of(&fixture).requests_total, 1);
    on_loop(&fixture, reply_held, request);
    hear(fd, &answer);
    assert_string_equal(answer.body, "held");
    hear(fd, &answer);
    assert_string_equal(answer.body, "ok");
    say(fd, "k HTTP/1.1\r\nHost: a\r\n\r\n");
    hear(fd, &answer);
    assert_string_equal(answer.body, "ok");
    close(fd);
    tear_down(&fixture);
}

static void say_bytewise(int fd, const char *text) {
    for (const char *at = text; *at != '\0'; at++) {
        say_bytes(fd, at, 1);
    }
}

static void a_request_may_come_byte_by_byte(void **state) {
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &usual);
    int fd = dial(&fixture);
    for (int i = 0; i < 2; i++) {
        say_bytewise(fd, "\r\nPOST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
        hear(fd, &answer);
        assert_string_equal(answer.body, "POST hello");
        say_bytewise(fd, "PUT /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nX-Trailer: z\r\n\r\n");
        hear(fd, &answer);
        assert_string_equal(answer.body, "PUT hello");
    }
    close(fd);
    tear_down(&fixture);
}

static void a_chunked_body_and_the_next_request_may_come_together(void **state) {
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &usual);
    int fd = dial(&fixture);
    say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            "3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\nGET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    hear(fd, &answer);
    assert_string_equal(answer.body, "POST abcdef");
    hear(fd, &answer);
    assert_string_equal(answer.body, "ok");
    close(fd);
    tear_down(&fixture);
}

struct sender {
    int fd;
    const char *bytes;
    size_t len;
};

static void *send_all(void *data) {
    struct sender *sender = data;
    say_bytes(sender->fd, sender->bytes, sender->len);
    return NULL;
}

/* Sends while it reads: neither side may wait for the other. */
static void echo_large(const struct fixture *fixture, const char *bytes, size_t len,
                       size_t size) {
    int fd = dial(fixture);
    struct sender sender = {fd, bytes, len};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, send_all, &sender), 0);
    hear_head_only(fd, &answer);
    assert_int_equal(answer.status, 200);
    char *body = malloc(size + 5);
    assert_int_equal(recv(fd, body, size + 5, MSG_WAITALL), size + 5);
    assert_memory_equal(body, "POST ", 5);
    for (size_t i = 0; i < size; i++) {
        if (body[5 + i] != (char)(i * 7 + i / 251)) {
            fail_msg("byte %zu differs", i);
        }
    }
    free(body);
    pthread_join(thread, NULL);
    close(fd);
}

static void large_bodies_arrive_unchanged(void **state) {
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &usual);
    enum { SIZE = 3 * 1024 * 1024 };
    char *bytes = malloc(SIZE + 65536);
    int head = sprintf(bytes, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", SIZE);
    for (size_t i = 0; i < SIZE; i++) {
        bytes[(size_t)head + i] = (char)(i * 7 + i / 251);
    }
    echo_large(&fixture, bytes, (size_t)head + SIZE, SIZE);
    size_t len = (size_t)sprintf(
        bytes, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    enum { CHUNK = 48 * 1024 };
    for (size_t i = 0; i < SIZE; i += CHUNK) {
        len += (size_t)sprintf(bytes + len, "%x\r\n", (unsigned)CHUNK);
        for (size_t j = i; j < i + CHUNK; j++) {
            bytes[len++] = (char)(j * 7 + j / 251);
        }
        len += (size_t)sprintf(bytes + len, "\r\n");
    }
    len += (size_t)sprintf(bytes + len, "0\r\n\r\n");
    echo_large(&fixture, bytes, len, SIZE);
    free(bytes);
    tear_down(&fixture);
}

/* A refusal is a problem that names its status and code, and it is the connection's end. */
static void expect_refusal(int fd, int status, const char *code) {
    char wanted[64];
    hear(fd, &answer);
    if (answer.status != status) {
        fail_msg("wanted %d: %s", status, answer.bytes);
    }
    assert_non_null(strstr(answer.bytes, "Connection: close\r\n"));
    assert_non_null(strstr(answer.bytes, "content-type: application/problem+json\r\n"));
    snprintf(wanted, sizeof wanted, "\"status\":%d", status);
    assert_non_null(strstr(answer.body, wanted));
    snprintf(wanted, sizeof wanted, "\"code\":\"%s\"", code);
    assert_non_null(strstr(answer.body, wanted));
    assert_non_null(strstr(answer.body, "\"type\":"));
    assert_non_null(strstr(answer.body, "\"title\":\""));
    assert_non_null(strstr(answer.body, "\"detail\":\""));
    shutdown(fd, SHUT_WR);
    hear_end(fd);
}

static void a_body_that_is_too_large_is_413(void **state) {
    (void)state;
    struct http_options options = usual;
    options.body_max = 1000;
    struct fixture fixture;
    set_up(&fixture, &options);
    int fd = dial(&fixture);
    say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n");
    expect_refusal(fd, 413, "too_large");
    fd = dial(&fixture);
    say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n");
    expect_refusal(fd, 413, "too_large");
    fd = dial(&fixture);
    say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
            "Content-Length: 9999\r\n\r\n");
    expect_refusal(fd, 413, "too_large");
    tear_down(&fixture);
    assert_int_equal(fixture.ended, 0);
}

static void a_client_that_still_sends_hears_why_it_was_refused(void **state) {
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &usual);
    int fd = dial(&fixture);
    enum { SIZE = 8 * 1024 * 1024 };
    char *bytes = calloc(1, SIZE);
    int head = sprintf(bytes, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", SIZE);
    memset(bytes + head, 'x', (size_t)(SIZE - head));
    say_bytes(fd, bytes, SIZE);
    free(bytes);
    expect_refusal(fd, 413, "too_large");
    tear_down(&fixture);
}

static void a_head_of_ten_kilobytes_is_served_and_a_larger_one_is_431(void **state) {
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &usual);
    static char text[32 * 1024];
    int len = sprintf(text, "GET /field HTTP/1.1\r\nHost: a\r\nX-Test: ");
    memset(text + len, 'y', 10 * 1024);
    strcpy(text + len + 10 * 1024, "\r\n\r\n");
    int fd = dial(&fixture);
    say(fd, text);
    hear(fd, &answer);
    assert_int_equal(strlen(answer.body), 10 * 1024);
    close(fd);
    memset(text + len, 'y', 20 * 1024);
    fd = dial(&fixture);
    say_bytes(fd, text, 20 * 1024);
    expect_refusal(fd, 431, "too_large");
    tear_down(&fixture);
}

static void what_could_be_smuggled_is_refused_and_never_served(void **state) {
    (void)state;
    static const char *const attempts[] = {
        "POST /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n"
        "0\r\n\r\nGET /ok HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /ok HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n"
        "0\r\n\r\n",
        "POST /ok HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST /ok HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "POST /ok HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\x0b"
        "chunked\r\n\r\n0\r\n\r\n",
        "POST /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 0\r\n\r\nx",
        "POST /ok HTTP/1.1\r\nHost: a\r\nX: y\r\n Content-Length: 5\r\n\r\n",
        "GET /ok HTTP/1.1\nHost: a\n\nGET /ok HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /ok HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET http://b/ok HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /ok HTTP/1.1\r\n\r\n",
        "POST /ok HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\n\n",
        "POST /ok HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;\nx\r\n0\r\n\r\n",
        "POST /ok HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    };
    struct fixture fixture;
    set_up(&fixture, &usual);
    for (size_t i = 0; i < sizeof attempts / sizeof attempts[0]; i++) {
        int fd = dial(&fixture);
        say(fd, attempts[i]);
        expect_refusal(fd, 400, "malformed_request");
    }
    assert_int_equal(counts_of(&fixture).requests_total, 0);
    assert_true(counts_of(&fixture).rejected_heads > 0);
    tear_down(&fixture);
}

static void an_upgrade_to_http2_is_not_taken(void **state) {
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &usual);
    int fd = dial(&fixture);
    say(fd, "GET /ok HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
            "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n");
    hear(fd, &answer);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body, "ok");
    close(fd);
    tear_down(&fixture);
}

static void a_client_that_waits_is_told_to_continue(void **state) {
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &usual);
    int fd = dial(&fixture);
    say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    hear(fd, &answer);
    assert_string_equal(answer.bytes, "HTTP/1.1 100 Continue\r\n\r\n");
    say(fd, "hello");
    hear(fd, &answer);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body, "POST hello");
    /* one that does not wait is not told */
    say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
            "Content-Length: 5\r\n\r\nhello");
    hear(fd, &answer);
    assert_int_equal(answer.status, 200);
    say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: tea\r\nContent-Length: 5\r\n\r\n");
    expect_refusal(fd, 417, "malformed_request");
    tear_down(&fixture);
}

static void the_longest_body_pays_when_the_budget_is_spent(void **state) {
    (void)state;
    struct http_options options = usual;
    options.body_budget = 100 * 1024;
    struct fixture fixture;
    set_up(&fixture, &options);
    int large = dial(&fixture);
    int small = dial(&fixture);
    static char filler[64 * 1024];
    memset(filler, 'x', sizeof filler);
    say(large, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n");
    say_bytes(large, filler, sizeof filler);
    say(small, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n");
    say_bytes(small, filler, 50000);
    expect_refusal(large, 503, "overloaded");
    assert_non_null(strstr(answer.bytes, "retry-after: "));
    say_bytes(small, filler, 10000);
    hear(small, &answer);
    assert_int_equal(answer.status, 200);
    close(small);
    tear_down(&fixture);
}

static void beyond_the_maximum_a_connection_waits_for_another_to_close(void **state) {
    (void)state;
    struct http_options options = usual;
    options.connections_max = 2;
    struct fixture fixture;
    set_up(&fixture, &options);
    int fds[3];
    for (int i = 0; i < 3; i++) {
        fds[i] = dial(&fixture);
        say(fds[i], "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    hear(fds[0], &answer);
    hear(fds[1], &answer);
    assert_int_equal(counts_of(&fixture).connections_total, 2);
    close(fds[0]);
    hear(fds[2], &answer);
    assert_int_equal(answer.status, 200);
    close(fds[1]);
    close(fds[2]);
    tear_down(&fixture);
}

static void note_pause(const char *line, size_t len, void *data) {
    (void)len;
    if (strstr(line, "http_accept_paused") != NULL) {
        atomic_store((atomic_int *)data, 1);
    }
}

static void out_of_descriptors_the_loop_pauses_and_then_serves(void **state) {
    (void)state;
    static atomic_int paused;
    log_set_sink(note_pause, &paused);
    struct fixture fixture;
    set_up(&fixture, &usual);
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    none = before;
    none.rlim_cur = (rlim_t)fd + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)fixture.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    while (atomic_load(&paused) == 0) {
        sched_yield();
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    say(fd, "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    hear(fd, &answer);
    assert_int_equal(answer.status, 200);
    close(fd);
    tear_down(&fixture);
}

static void fields_peer_and_id_reach_the_handler(void **state) {
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &usual);
    int fd = dial(&fixture);
    say(fd, "GET /field HTTP/1.1\r\nHost: a\r\nX-TEST: \t some value \r\n"
            "X-Request-Id: abc-1.Z_\r\n\r\n");
    hear(fd, &answer);
    assert_string_equal(answer.body, "some value");
    assert_non_null(strstr(answer.bytes, "x-request-id: abc-1.Z_\r\n"));
    say(fd, "GET /peer HTTP/1.1\r\nHost: a\r\nX-Request-Id: not good\r\n\r\n");
    hear(fd, &answer);
    assert_string_equal(answer.body, "127.0.0.1");
    char *id = strstr(answer.bytes, "x-request-id: ");
    assert_non_null(id);
    assert_int_equal(strspn(id + 14, "0123456789abcdef"), 16);
    close(fd);
    tear_down(&fixture);
}

static void two_loops_share_one_listening_socket(void **state) {
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &usual);
    struct fixture second = {.options = usual};
    mailbox_init(&second.held, SIZE_MAX, NULL, NULL);
    mailbox_init(&second.news, SIZE_MAX, NULL, NULL);
    second.listen_fd = dup(fixture.listen_fd);
    second.port = fixture.port;
    second.loop = loop_create(1, clock_system());
    second.server = http_server_create(second.loop, &usual, fixture.listen_fd, handle, &second);
    assert_int_equal(loop_start(second.loop), ERR_OK);
    int fds[64];
    for (int i = 0; i < 64; i++) {
        fds[i] = dial(&fixture);
        say(fds[i], "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    for (int i = 0; i < 64; i++) {
        hear(fds[i], &answer);
        close(fds[i]);
    }
    assert_int_equal(
        counts_of(&fixture).connections_total + counts_of(&second).connections_total, 64);
    /* One ends, the other serves on: nothing that waits in the socket is lost. */
    tear_down(&fixture);
    fds[0] = dial(&second);
    say(fds[0], "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    hear(fds[0], &answer);
    assert_int_equal(answer.status, 200);
    close(fds[0]);
    tear_down(&second);
}

static void addresses_are_known_for_loopback_or_not(void **state) {
    (void)state;
    static const char *const loopback[] = {
        "127.0.0.1:80", "127.9.9.9:0", "[::1]:8080", "localhost:1", "[::ffff:127.0.0.1]:1",
    };
    static const char *const other[] = {
        ":8080", "0.0.0.0:80",  "[::]:80", "10.0.0.1:80", "127.0.0.1", "example.org:80",
        "",      "127.0.0.1:x", "::1:80",
    };
    for (size_t i = 0; i < sizeof loopback / sizeof loopback[0]; i++) {
        assert_true(http_address_is_loopback(slice_of(loopback[i])));
    }
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
        assert_false(http_address_is_loopback(slice_of(other[i])));
    }
}

static void an_address_that_cannot_be_listened_on_says_why(void **state) {
    (void)state;
    static const char *const bad[] = {"", "8080", "127.0.0.1:99999", "127.0.0.1:-1", "::1:80",
                                      "192.0.2.1:0"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int fd, port;
        struct problem problem = {{0}, {0}};
        assert_int_equal(http_listen(slice_of(bad[i]), &fd, &port, &problem), ERR_CONFIG);
        assert_true(strlen(problem.detail) > 10);
    }
    int fd, port, again, ignored;
    struct problem problem;
    assert_int_equal(http_listen(SLICE_LIT("127.0.0.1:0"), &fd, &port, &problem), ERR_OK);
    assert_true(port > 0);
    char taken[32];
    snprintf(taken, sizeof taken, "127.0.0.1:%d", port);
    assert_int_equal(http_listen(slice_of(taken), &again, &ignored, &problem), ERR_CONFIG);
    assert_non_null(strstr(problem.detail, "in use"));
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_connection_serves_many_requests),
        cmocka_unit_test(a_client_that_asks_for_the_end_gets_it),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(a_request_behind_a_held_one_waits_its_turn),
        cmocka_unit_test(a_request_may_come_byte_by_byte),
        cmocka_unit_test(a_chunked_body_and_the_next_request_may_come_together),
        cmocka_unit_test(large_bodies_arrive_unchanged),
        cmocka_unit_test(a_body_that_is_too_large_is_413),
        cmocka_unit_test(a_client_that_still_sends_hears_why_it_was_refused),
        cmocka_unit_test(a_head_of_ten_kilobytes_is_served_and_a_larger_one_is_431),
        cmocka_unit_test(what_could_be_smuggled_is_refused_and_never_served),
        cmocka_unit_test(an_upgrade_to_http2_is_not_taken),
        cmocka_unit_test(a_client_that_waits_is_told_to_continue),
        cmocka_unit_test(the_longest_body_pays_when_the_budget_is_spent),
        cmocka_unit_test(beyond_the_maximum_a_connection_waits_for_another_to_close),
        cmocka_unit_test(out_of_descriptors_the_loop_pauses_and_then_serves),
        cmocka_unit_test(fields_peer_and_id_reach_the_handler),
        cmocka_unit_test(two_loops_share_one_listening_socket),
        cmocka_unit_test(addresses_are_known_for_loopback_or_not),
        cmocka_unit_test(an_address_that_cannot_be_listened_on_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
