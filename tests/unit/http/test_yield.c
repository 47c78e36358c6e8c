/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: one listening socket passes from a server to another, and no request meets a closed
 * door. */
#include "fixture.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/un.h>

static struct answer answer; /* too large for the stack */

static void yield_now(struct fixture *fixture, void *data) {
    (void)data;
    http_server_yield(fixture->server);
}

static void open_now(struct fixture *fixture, void *data) {
    (void)data;
    http_server_open(fixture->server);
}

static void ask_ok(int fd) {
    say(fd, "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    hear(fd, &answer);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body, "ok");
}

static void an_idle_connection_of_a_server_that_yields_gets_one_more_answer(void **state) {
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &usual);
    int idle = dial(&fixture), never_asked = dial(&fixture);
    ask_ok(idle);
    assert_non_null(strstr(answer.bytes, "Connection: keep-alive"));
    while (counts_of(&fixture).connections_open < 2) {
        sched_yield();
    }
    on_loop(&fixture, yield_now, NULL);
    ask_ok(idle);
    assert_non_null(strstr(answer.bytes, "Connection: close\r\n"));
    hear_end(idle);
    ask_ok(never_asked);
    assert_non_null(strstr(answer.bytes, "Connection: close\r\n"));
    hear_end(never_asked);
    tear_down(&fixture);
}

static void a_request_under_way_when_the_server_yields_is_answered_and_its_connection_ends(
    void **state) {
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &usual);
    int fd = dial(&fixture);
    say(fd, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    struct http_request *request = wait_for_held(&fixture);
    on_loop(&fixture, yield_now, NULL);
    on_loop(&fixture, reply_held, request);
    hear(fd, &answer);
    assert_string_equal(answer.body, "held");
    assert_non_null(strstr(answer.bytes, "Connection: close\r\n"));
    hear_end(fd);
    tear_down(&fixture);
}

static void who_comes_while_the_server_yields_waits_and_is_served_when_it_opens_again(
    void **state) {
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &usual);
    on_loop(&fixture, yield_now, NULL);
    int waits = dial(&fixture); /* the kernel takes it */
    say(waits, "HEAD /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    on_loop(&fixture, yield_now, NULL); /* a turn of the loop, and twice is as once */
    assert_int_equal(counts_of(&fixture).connections_total, 0);
    on_loop(&fixture, open_now, NULL);
    hear_head_only(waits, &answer);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.bytes, "Connection: keep-alive"));
    close(waits);
    tear_down(&fixture);
}

static void a_server_that_yields_at_first_takes_over_what_waits(void **state) {
    (void)state;
    struct fixture first;
    struct http_options options = usual;
    options.yields_at_first = true;
    set_up(&first, &usual);
    int old = dial(&first);
    ask_ok(old);
    on_loop(&first, yield_now, NULL);
    int waits[20];
    for (size_t i = 0; i < 20; i++) {
        waits[i] = dial(&first);
        say(waits[i], "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    /* The same socket in another server's hands. */
    struct fixture second = {.options = options};
    mailbox_init(&second.held, SIZE_MAX, NULL, NULL);
    mailbox_init(&second.news, SIZE_MAX, NULL, NULL);
    second.listen_fd = dup(first.listen_fd);
    second.loop = loop_create(0, clock_system());
    second.server = http_server_create(second.loop, &options, second.listen_fd, handle, &second);
    assert_int_equal(loop_start(second.loop), ERR_OK);
    on_loop(&second, open_now, NULL);
    for (size_t i = 0; i < 20; i++) {
        hear(waits[i], &answer);
        assert_int_equal(answer.status, 200);
        close(waits[i]);
    }
    ask_ok(old);
    hear_end(old);
    assert_int_equal(counts_of(&first).connections_total, 1);
    assert_int_equal(counts_of(&second).connections_total, 20);
    tear_down(&second);
    tear_down(&first);
}

static void an_idle_connection_of_a_server_that_yields_ends_with_its_time(void **state) {
    (void)state;
    struct fixture fixture;
    struct http_options options = usual;
    options.request_timeout_ms = 200;
    set_up(&fixture, &options);
    int idle = dial(&fixture);
    ask_ok(idle);
    on_loop(&fixture, yield_now, NULL);
    hear_end(idle);
    while (counts_of(&fixture).connections_open > 0) {
        sched_yield();
    }
    tear_down(&fixture);
}

static int listen_unix(void) {
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof(sa_family_t)), 0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

static void only_a_tcp_socket_that_listens_is_adopted(void **state) {
    (void)state;
    struct problem problem;
    int port, pipes[2];
    assert_int_equal(pipe(pipes), 0);
    int unbound = socket(AF_INET, SOCK_STREAM, 0), datagrams = socket(AF_INET, SOCK_DGRAM, 0);
    int local = listen_unix();
    int wrong[] = {pipes[0], unbound, datagrams, local, 12345};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(http_listen_adopt(wrong[i], &port, &problem), ERR_CONFIG);
        assert_non_null(strstr(problem.detail, "no TCP socket that listens"));
    }
    close(pipes[0]);
    close(pipes[1]);
    close(unbound);
    close(datagrams);
    close(local);
}

static void an_adopted_socket_does_not_block_nor_survive_exec(void **state) {
    (void)state;
    struct problem problem;
    int fd, port, adopted;
    char address[HTTP_ADDRESS_SIZE], expected[HTTP_ADDRESS_SIZE];
    assert_int_equal(http_listen(SLICE_LIT("127.0.0.1:0"), &fd, &port, &problem), ERR_OK);
    int other = dup(fd); /* without the flags */
    fcntl(other, F_SETFL, 0);
    assert_int_equal(http_listen_adopt(other, &adopted, &problem), ERR_OK);
    assert_int_equal(adopted, port);
    assert_true((fcntl(other, F_GETFL) & O_NONBLOCK) != 0);
    assert_true((fcntl(other, F_GETFD) & FD_CLOEXEC) != 0);
    http_listen_address(other, address);
    snprintf(expected, sizeof expected, "127.0.0.1:%d", port);
    assert_string_equal(address, expected);
    close(other);
    close(fd);
    assert_int_equal(http_listen(SLICE_LIT("[::1]:0"), &fd, &port, &problem), ERR_OK);
    http_listen_address(fd, address);
    snprintf(expected, sizeof expected, "[::1]:%d", port);
    assert_string_equal(address, expected);
    close(fd);
    http_listen_address(-1, address);
    assert_string_equal(address, "");
}

static void set_limits(struct fixture *fixture, void *data) {
    http_server_set_limits(fixture->server, data);
}

static void other_limits_hold_from_the_next_request_on(void **state) {
    (void)state;
    struct fixture fixture;
    struct http_options options = usual;
    options.body_max = 100;
    set_up(&fixture, &options);
    int fd = dial(&fixture);
    say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd");
    hear(fd, &answer);
    assert_int_equal(answer.status, 200);
    options.body_max = 3;
    options.request_timeout_ms = 200; /* and another clockwork */
    on_loop(&fixture, set_limits, &options);
    say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd");
    hear(fd, &answer);
    assert_int_equal(answer.status, 413);
    int idle = dial(&fixture);
    ask_ok(idle);
    hear_end(idle);
    close(fd);
    tear_down(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_connection_of_a_server_that_yields_gets_one_more_answer),
        cmocka_unit_test(
            a_request_under_way_when_the_server_yields_is_answered_and_its_connection_ends),
        cmocka_unit_test(who_comes_while_the_server_yields_waits_and_is_served_when_it_opens_again),
        cmocka_unit_test(a_server_that_yields_at_first_takes_over_what_waits),
        cmocka_unit_test(an_idle_connection_of_a_server_that_yields_ends_with_its_time),
        cmocka_unit_test(only_a_tcp_socket_that_listens_is_adopted),
        cmocka_unit_test(an_adopted_socket_does_not_block_nor_survive_exec),
        cmocka_unit_test(other_limits_hold_from_the_next_request_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
