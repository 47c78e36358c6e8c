/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A real server on a loop in a thread, and raw sockets that speak to it. Included by one test
 * program each. The server answers:
 *   /ok       "ok"                     /echo     the method, a space and the body
 *   /field    the X-Test field         /peer     the client's address
 *   /empty    204                      /hostile  fields with line ends in their values
 *   /hold     when the test says so    /stream   pieces, as many as the query says
 *   /endless  until the client leaves  /broken   a piece, then a cut
 *   /large    32 MB
 */
#ifndef TURNOUT_TESTS_HTTP_FIXTURE_H
#define TURNOUT_TESTS_HTTP_FIXTURE_H

#include "http/http.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PIECE = 64 * 1024, LARGE = 32 * 1024 * 1024 };

struct held {
    struct message link;
    struct http_request *request;
};

struct fixture {
    struct loop *loop;
    struct http_server *server;
    struct http_options options;
    int listen_fd;
    int port;
    struct mailbox held;     /* requests of /hold, in order */
    struct mailbox news;     /* from the loop to the test */
    atomic_int ended;        /* calls of on_end */
    atomic_int last_status;  /* of those */
    atomic_int pieces;       /* that /stream and /endless have written */
    struct loop_timer *until_idle;
};

static const struct http_options usual = {
    .body_max = 4 * 1024 * 1024,
    .head_max = 16 * 1024,
    .request_timeout_ms = 60000,
    .response_timeout_ms = 60000,
    .connections_max = 1000,
    .body_budget = 64 * 1024 * 1024,
    .server_name = "turnout",
};

/* ---- the loop's side ---- */

struct stream {
    struct fixture *fixture;
    int left; /* pieces; negative: until the client leaves */
};

static void on_more(struct http_request *request, void *data) {
    static char piece[PIECE];
    struct stream *stream = data;
    bool over = stream->left < 0 ? http_is_gone(request) : stream->left == 0;
    if (over) {
        http_write(request, SLICE_LIT("end\n"), HTTP_LAST);
        return;
    }
    stream->left -= stream->left > 0;
    memset(piece, 'a' + stream->fixture->pieces++ % 26, sizeof piece);
    http_write(request, slice_from(piece, sizeof piece), HTTP_MORE);
}

static void on_more_then_break(struct http_request *request, void *data) {
    int *calls = data;
    http_write(request, SLICE_LIT("piece\n"), ++*calls == 1 ? HTTP_MORE : HTTP_BROKEN);
}

static void on_end(struct http_request *request, int status, size_t bytes, void *data) {
    struct fixture *fixture = data;
    (void)request;
    (void)bytes;
    fixture->last_status = status;
    fixture->ended++;
}

static void begin_stream(struct http_request *request, struct fixture *fixture, int pieces) {
    struct stream *stream = arena_alloc(http_arena(request), sizeof *stream);
    *stream = (struct stream){fixture, pieces};
    http_begin(request, 200, "text/plain", on_more, stream);
}

static void do_ok(struct http_request *request, struct fixture *fixture) {
    (void)fixture;
    http_reply(request, 200, "text/plain", SLICE_LIT("ok"));
}

static void do_echo(struct http_request *request, struct fixture *fixture) {
    (void)fixture;
    struct slice body = http_body(request);
    struct slice method = http_method(request);
    char *text = malloc(method.len + 1 + body.len);
    memcpy(text, method.at, method.len);
    text[method.len] = ' ';
    if (body.len > 0) {
        memcpy(text + method.len + 1, body.at, body.len);
    }
    http_reply(request, 200, "text/plain", slice_from(text, method.len + 1 + body.len));
    free(text);
}

static void do_field(struct http_request *request, struct fixture *fixture) {
    (void)fixture;
    http_reply(request, 200, "text/plain", http_field(request, "x-test"));
}

static void do_peer(struct http_request *request, struct fixture *fixture) {
    (void)fixture;
    http_reply(request, 200, "text/plain", http_client(request));
}

static void do_empty(struct http_request *request, struct fixture *fixture) {
    (void)fixture;
    http_reply(request, 204, NULL, SLICE_NONE);
}

static void do_hostile(struct http_request *request, struct fixture *fixture) {
    (void)fixture;
    http_add_field(request, "x-a", SLICE_LIT("1\r\nx-forged: 2"));
    http_reply(request, 200, "text/plain", SLICE_NONE);
}

static void do_hold(struct http_request *request, struct fixture *fixture) {
    struct held *held = malloc(sizeof *held);
    held->request = request;
    assert_true(mailbox_post(&fixture->held, &held->link));
}

static void do_stream(struct http_request *request, struct fixture *fixture) {
    int64_t pieces = 0;
    assert_true(slice_to_int(http_query(request), 0, 10000, &pieces));
    begin_stream(request, fixture, (int)pieces);
}

static void do_endless(struct http_request *request, struct fixture *fixture) {
    begin_stream(request, fixture, -1);
}

static void do_broken(struct http_request *request, struct fixture *fixture) {
    (void)fixture;
    http_begin(request, 200, "text/plain", on_more_then_break,
               arena_zalloc(http_arena(request), sizeof(int)));
}

static void do_large(struct http_request *request, struct fixture *fixture) {
    (void)fixture;
    char *bytes = calloc(1, LARGE);
    http_reply(request, 200, "text/plain", slice_from(bytes, LARGE));
    free(bytes);
}

static const struct {
    const char *path;
    void (*fn)(struct http_request *request, struct fixture *fixture);
} routes[] = {
    {"/ok", do_ok},         {"/echo", do_echo},       {"/field", do_field}, {"/peer", do_peer},
    {"/empty", do_empty},   {"/hostile", do_hostile}, {"/hold", do_hold},   {"/stream", do_stream},
    {"/endless", do_endless}, {"/broken", do_broken}, {"/large", do_large},
};

static void handle(struct http_request *request, void *data) {
    struct fixture *fixture = data;
    http_on_end(request, on_end, fixture);
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (slice_eq_text(http_path(request), routes[i].path)) {
            routes[i].fn(request, fixture);
            return;
        }
    }
    http_reply(request, 404, "application/problem+json", SLICE_LIT("{}"));
}

/* ---- the test's side ---- */

struct call {
    struct loop_message message;
    struct fixture *fixture;
    void (*fn)(struct fixture *fixture, void *data);
    void *data;
    struct message done;
};

static void run_call(struct loop_message *message) {
    struct call *call = (struct call *)message;
    call->fn(call->fixture, call->data);
    assert_true(mailbox_post(&call->fixture->news, &call->done));
}

/* Runs fn on the loop and waits for it. */
static void on_loop(struct fixture *fixture, void (*fn)(struct fixture *fixture, void *data),
                    void *data) {
    struct call call = {.message.fn = run_call, .fixture = fixture, .fn = fn, .data = data};
    loop_post(fixture->loop, &call.message);
    assert_ptr_equal(mailbox_wait(&fixture->news, 60000), &call.done);
}

static void set_up(struct fixture *fixture, const struct http_options *options) {
    *fixture = (struct fixture){.options = *options};
    mailbox_init(&fixture->held, SIZE_MAX, NULL, NULL);
    mailbox_init(&fixture->news, SIZE_MAX, NULL, NULL);
    struct problem problem;
    assert_int_equal(http_listen(SLICE_LIT("127.0.0.1:0"), &fixture->listen_fd, &fixture->port,
                                 &problem),
                     ERR_OK);
    fixture->loop = loop_create(0, clock_system());
    assert_non_null(fixture->loop);
    fixture->server =
        http_server_create(fixture->loop, options, fixture->listen_fd, handle, fixture);
    assert_non_null(fixture->server);
    assert_int_equal(loop_start(fixture->loop), ERR_OK);
}

static void drain(struct fixture *fixture, void *data) {
    (void)data;
    http_server_drain(fixture->server);
}

static void cut_off(struct fixture *fixture, void *data) {
    (void)data;
    http_server_cut_off(fixture->server);
}

static void destroy_when_idle(void *data) {
    struct fixture *fixture = data;
    if (http_server_is_idle(fixture->server)) {
        loop_timer_stop(fixture->until_idle);
        http_server_destroy(fixture->server);
        loop_stop(fixture->loop);
    }
}

static void wait_for_idle(struct fixture *fixture, void *data) {
    (void)data;
    fixture->until_idle = loop_timer_start(fixture->loop, 0, 1, destroy_when_idle, fixture);
}

static void tear_down(struct fixture *fixture) {
    on_loop(fixture, drain, NULL);
    on_loop(fixture, cut_off, NULL);
    on_loop(fixture, wait_for_idle, NULL);
    loop_join(fixture->loop);
    loop_destroy(fixture->loop);
    close(fixture->listen_fd);
    mailbox_fini(&fixture->held);
    mailbox_fini(&fixture->news);
}

static struct http_counts counts_of(const struct fixture *fixture) {
    struct http_counts counts;
    http_server_counts(fixture->server, &counts);
    return counts;
}

static int dial(const struct fixture *fixture) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)fixture->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct timeval patience = {.tv_sec = 60};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
}

static void say_bytes(int fd, const char *bytes, size_t len) {
    while (len > 0) {
        ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
        assert_true(sent > 0);
        bytes += sent;
        len -= (size_t)sent;
    }
}

static void say(int fd, const char *text) {
    say_bytes(fd, text, strlen(text));
}

/* One answer: its head and, when the head tells its length or chunking, its body. */
struct answer {
    char bytes[256 * 1024];
    size_t len;
    int status;
    char *body;
};

static void hear_byte(int fd, struct answer *answer) {
    assert_true(answer->len < sizeof answer->bytes - 1);
    ssize_t got = recv(fd, answer->bytes + answer->len, 1, 0);
    if (got != 1) {
        answer->bytes[answer->len] = '\0';
        fail_msg("the answer ended early: %s", answer->bytes);
    }
    answer->bytes[++answer->len] = '\0';
}

static bool ends_with(const struct answer *answer, const char *from, const char *end) {
    size_t len = strlen(end);
    const char *last = answer->bytes + answer->len;
    return last - from >= (ptrdiff_t)len && memcmp(last - len, end, len) == 0;
}

/* Byte by byte, so that what comes behind stays in the socket; each byte is looked at once. */
static void hear(int fd, struct answer *answer) {
    answer->len = 0;
    do {
        hear_byte(fd, answer);
    } while (!ends_with(answer, answer->bytes, "\r\n\r\n"));
    answer->body = answer->bytes + answer->len;
    answer->status = atoi(answer->bytes + 9);
    const char *length = strstr(answer->bytes, "Content-Length: ");
    if (length != NULL) {
        for (long long left = atoll(length + 16); left > 0; left--) {
            hear_byte(fd, answer);
        }
    } else if (strstr(answer->bytes, "transfer-encoding: chunked") != NULL) {
        do {
            hear_byte(fd, answer);
        } while (!ends_with(answer, answer->body, "0\r\n\r\n"));
    }
}

static void hear_head_only(int fd, struct answer *answer) {
    answer->len = 0;
    do {
        assert_int_equal(recv(fd, answer->bytes + answer->len, 1, 0), 1);
        answer->bytes[++answer->len] = '\0';
    } while (strstr(answer->bytes, "\r\n\r\n") == NULL);
    answer->status = atoi(answer->bytes + 9);
}

/* The server has closed, and sent nothing more. */
static void hear_end(int fd) {
    char byte;
    ssize_t got = recv(fd, &byte, 1, 0);
    if (got != 0 && !(got == -1 && errno == ECONNRESET)) {
        fail_msg("expected the end, got %zd (%c)", got, got == 1 ? byte : ' ');
    }
    close(fd);
}

static struct http_request *wait_for_held(struct fixture *fixture) {
    struct message *message = mailbox_wait(&fixture->held, 60000);
    assert_non_null(message);
    struct http_request *request = ((struct held *)message)->request;
    free(message);
    return request;
}

static void reply_held(struct fixture *fixture, void *data) {
    (void)fixture;
    http_reply(data, 200, "text/plain", SLICE_LIT("held"));
}

#endif
