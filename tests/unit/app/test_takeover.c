/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the two sides of a takeover understand each other, and nobody else moves them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "app/takeover_give.h"
#include "app/takeover_take.h"
#include "app/takeover_wire.h"
#include "http/http.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TIMEOUT_MS = 60000 };

static void make_pair(int pair[2]) {
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
}

static bool is_same_file(int a, int b) {
    struct stat x, y;
    return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_ino == y.st_ino && x.st_dev == y.st_dev;
}

/* ---- messages ---- */

static void a_message_arrives_as_it_was_sent_with_its_descriptors(void **state) {
    (void)state;
    int pair[2], pipes[2];
    struct takeover_message sent, heard;
    make_pair(pair);
    assert_int_equal(pipe(pipes), 0);
    takeover_message_init(&sent, TAKEOVER_OFFER);
    takeover_put_text(sent.version, sizeof sent.version, "1.2.3 \"quoted\"");
    takeover_put_text(sent.listen, sizeof sent.listen, "[::1]:8080");
    takeover_put_text(sent.address, sizeof sent.address, "[::1]:8080");
    takeover_put_text(sent.store, sizeof sent.store, "sqlite");
    sent.fds[TAKEOVER_FD_LISTEN] = pipes[0];
    sent.fds[TAKEOVER_FD_ROSTER] = pipes[1];
    assert_int_equal(takeover_send(pair[0], &sent), ERR_OK);
    assert_int_equal(takeover_hear(pair[1], &heard), TAKEOVER_HEARD);
    assert_int_equal(heard.type, TAKEOVER_OFFER);
    assert_int_equal(heard.protocol, TAKEOVER_PROTOCOL);
    assert_string_equal(heard.version, sent.version);
    assert_string_equal(heard.listen, sent.listen);
    assert_string_equal(heard.store, "sqlite");
    assert_string_equal(heard.reason, "");
    assert_true(is_same_file(heard.fds[TAKEOVER_FD_LISTEN], pipes[0]));
    assert_true(is_same_file(heard.fds[TAKEOVER_FD_ROSTER], pipes[1]));
    assert_int_equal(heard.fds[TAKEOVER_FD_LOCK], -1);
    assert_true((fcntl(heard.fds[TAKEOVER_FD_LISTEN], F_GETFD) & FD_CLOEXEC) != 0);
    int kept = heard.fds[TAKEOVER_FD_LISTEN];
    takeover_message_close(&heard);
    assert_int_equal(fcntl(kept, F_GETFD), -1);
    assert_int_equal(takeover_hear(pair[1], &heard), TAKEOVER_SILENT);
    close(pipes[0]);
    close(pipes[1]);
    close(pair[0]);
    assert_int_equal(takeover_hear(pair[1], &heard), TAKEOVER_ENDED);
    close(pair[1]);
}

static enum takeover_heard_e hear_bytes(const char *bytes, size_t len,
                                        struct takeover_message *ret_message) {
    int pair[2];
    make_pair(pair);
    assert_int_equal(send(pair[0], bytes, len, 0), (ssize_t)len);
    enum takeover_heard_e heard = takeover_hear(pair[1], ret_message);
    close(pair[0]);
    close(pair[1]);
    return heard;
}

static void what_a_later_build_adds_is_passed_over(void **state) {
    (void)state;
    struct takeover_message heard;
    const char more[] = "{\"type\":\"go\",\"protocol\":1,\"news\":{\"a\":[1,2]},\"fds\":[\"x\",3]}";
    assert_int_equal(hear_bytes(more, sizeof more - 1, &heard), TAKEOVER_HEARD);
    assert_int_equal(heard.type, TAKEOVER_GO);
    const char other[] = "{\"type\":\"dance\",\"protocol\":1}";
    assert_int_equal(hear_bytes(other, sizeof other - 1, &heard), TAKEOVER_SILENT);
}

static void what_is_no_message_ends_the_talk(void **state) {
    (void)state;
    static const char *const none[] = {"x", "{}", "[]", "17", "{\"type\":7}", "{\"type\":\"go\"",
                                       "{\"type\":\"go\"}{}"};
    struct takeover_message heard;
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        assert_int_equal(hear_bytes(none[i], strlen(none[i]), &heard), TAKEOVER_ENDED);
    }
    static char large[TAKEOVER_BYTES_MAX + 100];
    memset(large, ' ', sizeof large);
    memcpy(large, "{\"type\":\"go\"}", 13);
    assert_int_equal(hear_bytes(large, sizeof large, &heard), TAKEOVER_ENDED);
}

static void a_text_that_is_too_long_is_none(void **state) {
    (void)state;
    struct takeover_message heard;
    struct buf text;
    buf_init(&text, 4096);
    buf_add_text(&text, "{\"type\":\"abort\",\"protocol\":1,\"reason\":\"");
    for (int i = 0; i < 300; i++) {
        buf_add_char(&text, 'r');
    }
    buf_add_text(&text, "\"}");
    assert_int_equal(hear_bytes(text.at, text.len, &heard), TAKEOVER_HEARD);
    assert_string_equal(heard.reason, "");
    buf_fini(&text);
}

static void descriptors_that_nobody_named_are_closed(void **state) {
    (void)state;
    int pair[2], before, after;
    struct takeover_message sent, heard;
    make_pair(pair);
    before = dup(0);
    close(before);
    takeover_message_init(&sent, TAKEOVER_READY);
    sent.fds[TAKEOVER_FD_LOCK] = pair[0];
    assert_int_equal(takeover_send(pair[0], &sent), ERR_OK);
    assert_int_equal(takeover_hear(pair[1], &heard), TAKEOVER_HEARD);
    takeover_message_close(&heard);
    after = dup(0); /* the lowest free number: nothing was left open */
    assert_int_equal(after, before);
    close(after);
    close(pair[0]);
    close(pair[1]);
}

static void a_no_is_heard_even_when_the_other_left_without_listening(void **state) {
    (void)state;
    int pair[2];
    struct takeover_message message;
    make_pair(pair);
    takeover_message_init(&message, TAKEOVER_HELLO);
    assert_int_equal(takeover_send(pair[0], &message), ERR_OK);
    takeover_message_init(&message, TAKEOVER_ABORT);
    takeover_put_text(message.reason, sizeof message.reason, "no");
    assert_int_equal(takeover_send(pair[1], &message), ERR_OK);
    close(pair[1]); /* with the hello unread */
    assert_int_equal(takeover_hear(pair[0], &message), TAKEOVER_HEARD);
    assert_string_equal(message.reason, "no");
    assert_int_equal(takeover_hear(pair[0], &message), TAKEOVER_ENDED);
    close(pair[0]);
}

static void one_process_has_the_door_of_an_address(void **state) {
    (void)state;
    char address[64];
    pid_t pid;
    snprintf(address, sizeof address, "test-%ld", (long)getpid());
    assert_int_equal(takeover_knock(address), -1);
    assert_int_equal(errno, ECONNREFUSED);
    int door = takeover_open_door(address);
    assert_true(door >= 0);
    assert_int_equal(takeover_open_door(address), -1);
    assert_int_equal(errno, EADDRINUSE);
    int knocked = takeover_knock(address);
    assert_true(knocked >= 0);
    assert_true(takeover_peer_is_own(knocked, &pid));
    assert_int_equal(pid, getpid());
    close(knocked);
    close(door);
    door = takeover_open_door(address);
    assert_true(door >= 0);
    close(door);
}

/* ---- the side that gives ---- */

struct world {
    struct giver *giver;
    int listen_fd;
    char address[64];
    int peer; /* the new process, played by the test */
};

static void write_roster(void *data, struct buf *to) {
    (void)data;
    buf_add_text(to, "hot keys");
}

static int set_up(void **state) {
    static char program[] = "/nowhere/turnout";
    static char *argv[] = {program, NULL};
    struct world *world = calloc(1, sizeof *world);
    struct problem problem;
    int port;
    assert_int_equal(http_listen(SLICE_LIT("127.0.0.1:0"), &world->listen_fd, &port, &problem),
                     ERR_OK);
    http_listen_address(world->listen_fd, world->address);
    world->giver = giver_create(&(struct giver_options){.listen_fd = world->listen_fd,
                                                        .lock_fd = -1,
                                                        .listen = "127.0.0.1:0",
                                                        .address = world->address,
                                                        .store = "sqlite",
                                                        .argv = argv,
                                                        .write_roster = write_roster});
    assert_non_null(world->giver);
    world->peer = -1;
    *state = world;
    return 0;
}

static int tear_down(void **state) {
    struct world *world = *state;
    giver_destroy(world->giver);
    if (world->peer >= 0) {
        close(world->peer);
    }
    close(world->listen_fd);
    free(world);
    return 0;
}

static enum giver_event_e step(struct world *world) {
    return giver_step(world->giver, TIMEOUT_MS);
}

static void knock(struct world *world) {
    world->peer = takeover_knock(world->address);
    assert_true(world->peer >= 0);
    assert_int_equal(step(world), GIVER_NOTHING);
    assert_int_equal(giver_pid(world->giver), getpid());
}

static void say(struct world *world, enum takeover_type_e type) {
    struct takeover_message message;
    takeover_message_init(&message, type);
    assert_int_equal(takeover_send(world->peer, &message), ERR_OK);
}

static void expect(struct world *world, enum takeover_type_e type) {
    struct takeover_message message;
    assert_int_equal(takeover_hear(world->peer, &message), TAKEOVER_HEARD);
    assert_int_equal(message.type, type);
    takeover_message_close(&message);
}

static void be_given(struct world *world) {
    knock(world);
    say(world, TAKEOVER_HELLO);
    assert_int_equal(step(world), GIVER_OFFERED);
    expect(world, TAKEOVER_OFFER);
    say(world, TAKEOVER_READY);
    assert_int_equal(step(world), GIVER_NOTHING);
    expect(world, TAKEOVER_GO);
    say(world, TAKEOVER_SERVING);
    assert_int_equal(step(world), GIVER_GIVEN);
    assert_true(giver_is_given(world->giver));
}

static void an_offer_brings_the_socket_and_the_hot_keys(void **state) {
    struct world *world = *state;
    struct takeover_message offer;
    char text[32] = "";
    knock(world);
    say(world, TAKEOVER_HELLO);
    assert_int_equal(step(world), GIVER_OFFERED);
    assert_int_equal(takeover_hear(world->peer, &offer), TAKEOVER_HEARD);
    assert_string_equal(offer.address, world->address);
    assert_string_equal(offer.listen, "127.0.0.1:0");
    assert_true(is_same_file(offer.fds[TAKEOVER_FD_LISTEN], world->listen_fd));
    assert_int_equal(offer.fds[TAKEOVER_FD_LOCK], -1);
    assert_int_equal(read(offer.fds[TAKEOVER_FD_ROSTER], text, sizeof text), 8);
    assert_string_equal(text, "hot keys");
    takeover_message_close(&offer);
}

static void the_one_that_gave_says_when_it_is_gone(void **state) {
    struct world *world = *state;
    be_given(world);
    assert_int_equal(takeover_knock(world->address), -1); /* the next one has the door */
    giver_destroy(world->giver);
    world->giver = NULL;
    expect(world, TAKEOVER_GONE);
}

static void a_new_process_that_dies_early_changes_nothing(void **state) {
    struct world *world = *state;
    for (int stage = 0; stage < 4; stage++) {
        knock(world);
        if (stage >= 1) {
            say(world, TAKEOVER_HELLO);
            assert_int_equal(step(world), GIVER_OFFERED);
            expect(world, TAKEOVER_OFFER);
        }
        if (stage >= 2) {
            say(world, TAKEOVER_READY);
            assert_int_equal(step(world), GIVER_NOTHING);
        }
        close(world->peer);
        world->peer = -1;
        assert_int_equal(step(world), GIVER_FAILED);
        assert_int_equal(giver_pid(world->giver), 0);
    }
    be_given(world);
}

static void a_new_process_that_dies_after_it_was_given_is_lost_and_the_next_may_come(void **state) {
    struct world *world = *state;
    be_given(world);
    close(world->peer);
    assert_int_equal(step(world), GIVER_LOST);
    assert_false(giver_is_given(world->giver));
    assert_int_equal(step(world), GIVER_NOTHING); /* opens the door */
    be_given(world);
    say(world, TAKEOVER_STOPPING);
    assert_int_equal(step(world), GIVER_RELEASED);
}

static void words_at_the_wrong_time_end_the_attempt(void **state) {
    struct world *world = *state;
    static const enum takeover_type_e wrong[] = {TAKEOVER_READY, TAKEOVER_SERVING, TAKEOVER_GO,
                                                 TAKEOVER_OFFER, TAKEOVER_GONE, TAKEOVER_ABORT,
                                                 TAKEOVER_STOPPING};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        knock(world);
        say(world, wrong[i]);
        assert_int_equal(step(world), GIVER_FAILED);
        expect(world, TAKEOVER_ABORT);
        close(world->peer);
        world->peer = -1;
    }
}

static void who_is_not_ready_in_time_is_told_so(void **state) {
    struct world *world = *state;
    world->peer = takeover_knock(world->address);
    assert_int_equal(giver_step(world->giver, 0), GIVER_FAILED);
    expect(world, TAKEOVER_ABORT);
    assert_int_equal(giver_due_us(world->giver), INT64_MAX);
}

static void another_protocol_is_refused(void **state) {
    struct world *world = *state;
    struct takeover_message hello;
    knock(world);
    takeover_message_init(&hello, TAKEOVER_HELLO);
    hello.protocol = TAKEOVER_PROTOCOL + 1;
    assert_int_equal(takeover_send(world->peer, &hello), ERR_OK);
    assert_int_equal(step(world), GIVER_FAILED);
    expect(world, TAKEOVER_ABORT);
}

static void a_program_that_cannot_be_started_is_no_attempt(void **state) {
    struct world *world = *state;
    struct problem problem;
    assert_int_equal(giver_spawn(world->giver, TIMEOUT_MS, &problem), ERR_IO);
    assert_non_null(strstr(problem.detail, "/nowhere/turnout cannot be started"));
    be_given(world);
    assert_int_equal(giver_spawn(world->giver, TIMEOUT_MS, &problem), ERR_BUSY);
}

/* ---- the side that takes ---- */

/* A taker that was made an offer; the other end of its socket. */
static enum err_e join(const struct takeover_message *answer, const char *listen,
                       struct taker **ret_taker, struct problem *ret_problem, int *ret_old) {
    int pair[2];
    make_pair(pair);
    assert_int_equal(takeover_send(pair[0], answer), ERR_OK);
    const struct taker_options options = {
        .socket = pair[1], .listen = listen, .store = "sqlite"};
    *ret_old = pair[0];
    return taker_join(&options, ret_taker, ret_problem);
}

static void make_offer(struct takeover_message *offer, int listen_fd) {
    takeover_message_init(offer, TAKEOVER_OFFER);
    takeover_put_text(offer->listen, sizeof offer->listen, "127.0.0.1:8080");
    takeover_put_text(offer->address, sizeof offer->address, "127.0.0.1:8080");
    takeover_put_text(offer->store, sizeof offer->store, "sqlite");
    offer->fds[TAKEOVER_FD_LISTEN] = listen_fd;
}

static void tell(int socket, enum takeover_type_e type) {
    struct takeover_message message;
    takeover_message_init(&message, type);
    assert_int_equal(takeover_send(socket, &message), ERR_OK);
}

static struct taker *joined(int *ret_old) {
    struct takeover_message offer;
    struct taker *taker;
    struct problem problem;
    make_offer(&offer, 0);
    assert_int_equal(join(&offer, "127.0.0.1:8080", &taker, &problem, ret_old), ERR_OK);
    return taker;
}

static void the_new_process_serves_when_it_is_let_in_and_then_is_alone(void **state) {
    (void)state;
    int old;
    struct taker *taker = joined(&old);
    int fd = taker_take_listen(taker);
    assert_true(is_same_file(fd, 0));
    assert_int_equal(taker_take_listen(taker), -1);
    close(fd);
    assert_int_equal(taker_step(taker), TAKER_NOTHING);
    taker_say_ready(taker);
    assert_false(taker_is_let_in(taker));
    tell(old, TAKEOVER_GO);
    assert_int_equal(taker_step(taker), TAKER_GO);
    assert_true(taker_is_let_in(taker));
    taker_say_serving(taker);
    tell(old, TAKEOVER_GONE);
    assert_int_equal(taker_step(taker), TAKER_ALONE);
    assert_int_equal(taker_socket(taker), -1);
    assert_int_equal(taker_step(taker), TAKER_NOTHING);
    taker_destroy(taker);
    close(old);
}

static void when_the_old_process_dies_the_new_one_serves_as_soon_as_it_is_ready(void **state) {
    (void)state;
    int old;
    struct taker *taker = joined(&old);
    close(old);
    assert_int_equal(taker_step(taker), TAKER_NOTHING);
    taker_say_ready(taker);
    assert_int_equal(taker_step(taker), TAKER_GO);
    assert_int_equal(taker_step(taker), TAKER_ALONE);
    taker_destroy(taker);
}

static void a_no_before_it_is_let_in_ends_the_new_process(void **state) {
    (void)state;
    int old;
    struct taker *taker = joined(&old);
    struct takeover_message no;
    takeover_message_init(&no, TAKEOVER_ABORT);
    takeover_put_text(no.reason, sizeof no.reason, "too late");
    taker_say_ready(taker);
    assert_int_equal(takeover_send(old, &no), ERR_OK);
    close(old); /* what was said counts, though the socket has ended */
    assert_int_equal(taker_step(taker), TAKER_REFUSED);
    assert_string_equal(taker_reason(taker), "too late");
    taker_destroy(taker);
}

static void an_offer_that_does_not_fit_is_not_taken(void **state) {
    (void)state;
    struct takeover_message offer;
    struct taker *taker;
    struct problem problem;
    int old;
    make_offer(&offer, 0);
    assert_int_equal(join(&offer, "127.0.0.1:1", &taker, &problem, &old), ERR_CONFIG);
    assert_string_equal(problem.field, "server.listen");
    close(old);
    assert_int_equal(join(&offer, "localhost:8080", &taker, &problem, &old), ERR_OK);
    taker_destroy(taker);
    close(old);
    takeover_put_text(offer.store, sizeof offer.store, "postgres");
    assert_int_equal(join(&offer, "127.0.0.1:8080", &taker, &problem, &old), ERR_CONFIG);
    assert_string_equal(problem.field, "store.url");
    close(old);
    make_offer(&offer, 0);
    offer.protocol = TAKEOVER_PROTOCOL + 1;
    assert_int_equal(join(&offer, "127.0.0.1:8080", &taker, &problem, &old), ERR_CONFLICT);
    close(old);
    make_offer(&offer, -1);
    assert_int_equal(join(&offer, "127.0.0.1:8080", &taker, &problem, &old), ERR_UNAVAILABLE);
    close(old);
}

static void nobody_to_take_over_from_is_said_so(void **state) {
    (void)state;
    struct taker *taker;
    struct problem problem;
    const struct taker_options options = {
        .socket = -1, .listen = "127.0.0.1:1", .store = "sqlite"};
    assert_int_equal(taker_join(&options, &taker, &problem), ERR_UNAVAILABLE);
    assert_non_null(strstr(problem.detail, "no turnout serves on 127.0.0.1:1"));
}

static void the_socket_of_a_child_comes_from_its_environment_once(void **state) {
    (void)state;
    int pair[2];
    char text[16];
    make_pair(pair);
    assert_int_equal(taker_inherited(), -1);
    snprintf(text, sizeof text, "%d", pair[0]);
    setenv(TAKEOVER_VARIABLE, text, 1);
    assert_int_equal(taker_inherited(), pair[0]);
    assert_int_equal(taker_inherited(), -1);
    setenv(TAKEOVER_VARIABLE, "three", 1);
    assert_int_equal(taker_inherited(), -1);
    close(pair[0]);
    close(pair[1]);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_arrives_as_it_was_sent_with_its_descriptors),
        cmocka_unit_test(what_a_later_build_adds_is_passed_over),
        cmocka_unit_test(what_is_no_message_ends_the_talk),
        cmocka_unit_test(a_text_that_is_too_long_is_none),
        cmocka_unit_test(descriptors_that_nobody_named_are_closed),
        cmocka_unit_test(a_no_is_heard_even_when_the_other_left_without_listening),
        cmocka_unit_test(one_process_has_the_door_of_an_address),
        CASE(an_offer_brings_the_socket_and_the_hot_keys),
        CASE(the_one_that_gave_says_when_it_is_gone),
        CASE(a_new_process_that_dies_early_changes_nothing),
        CASE(a_new_process_that_dies_after_it_was_given_is_lost_and_the_next_may_come),
        CASE(words_at_the_wrong_time_end_the_attempt),
        CASE(who_is_not_ready_in_time_is_told_so),
        CASE(another_protocol_is_refused),
        CASE(a_program_that_cannot_be_started_is_no_attempt),
        cmocka_unit_test(the_new_process_serves_when_it_is_let_in_and_then_is_alone),
        cmocka_unit_test(when_the_old_process_dies_the_new_one_serves_as_soon_as_it_is_ready),
        cmocka_unit_test(a_no_before_it_is_let_in_ends_the_new_process),
        cmocka_unit_test(an_offer_that_does_not_fit_is_not_taken),
        cmocka_unit_test(nobody_to_take_over_from_is_said_so),
        cmocka_unit_test(the_socket_of_a_child_comes_from_its_environment_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
