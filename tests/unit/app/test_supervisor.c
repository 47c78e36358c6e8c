/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what a supervisor left in the environment is understood, and passed on to nobody. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "app/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const names[] = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
                                    "LISTEN_PID",    "LISTEN_FDS",    "LISTEN_FDNAMES"};

static int clear(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        unsetenv(names[i]);
    }
    return 0;
}

static void set_pid(const char *name, pid_t pid) {
    char text[32];
    snprintf(text, sizeof text, "%ld", (long)pid);
    assert_int_equal(setenv(name, text, 1), 0);
}

static void open_well(struct supervisor *supervisor) {
    struct problem problem;
    assert_int_equal(supervisor_open(supervisor, &problem), ERR_OK);
}

/* A socket that somebody reads, under an abstract name of this test's own. */
static int open_ear(char ret_name[64]) {
    static int count;
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    snprintf(ret_name, 64, "@turnout-test/%ld-%d", (long)getpid(), count++);
    memcpy(name.sun_path, ret_name, strlen(ret_name));
    name.sun_path[0] = '\0';
    int ear = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(ret_name));
    assert_int_equal(bind(ear, (const struct sockaddr *)&name, len), 0);
    setenv("NOTIFY_SOCKET", ret_name, 1);
    return ear;
}

static void hears(int ear, const char *wanted) {
    char text[1024];
    ssize_t len = recv(ear, text, sizeof text - 1, 0);
    assert_true(len >= 0);
    text[len] = '\0';
    assert_string_equal(text, wanted);
}

static void without_one_nothing_is_said_and_nothing_is_due(void **state) {
    (void)state;
    struct supervisor supervisor;
    char *variables[SUPERVISOR_VARIABLES + 1];
    open_well(&supervisor);
    assert_int_equal(supervisor.listen_fd, -1);
    supervisor_say(&supervisor, SUPERVISOR_SERVES, "%s", "x");
    supervisor_say_main(&supervisor, 1);
    assert_false(supervisor.is_deaf);
    supervisor_begin_beats(&supervisor);
    assert_false(supervisor_beat_is_due(&supervisor));
    supervisor_variables(&supervisor, variables);
    assert_null(variables[0]);
    supervisor_close(&supervisor);
}

static void each_state_is_said_with_its_words(void **state) {
    (void)state;
    struct supervisor supervisor;
    char name[64], text[1024];
    int ear = open_ear(name);
    open_well(&supervisor);
    supervisor_say(&supervisor, SUPERVISOR_STARTS, "Opening");
    hears(ear, "STATUS=Opening");
    supervisor_say(&supervisor, SUPERVISOR_SERVES, "Serving %d", 7);
    hears(ear, "READY=1\nSTATUS=Serving 7");
    supervisor_say(&supervisor, SUPERVISOR_STOPS, "Ending");
    hears(ear, "STOPPING=1\nSTATUS=Ending");
    supervisor_say_main(&supervisor, 4711);
    hears(ear, "MAINPID=4711");
    supervisor_say(&supervisor, SUPERVISOR_RELOADS, "Reading");
    ssize_t len = recv(ear, text, sizeof text - 1, 0);
    assert_true(len > 0);
    text[len] = '\0';
    static const char begin[] = "RELOADING=1\nMONOTONIC_USEC=", end[] = "\nSTATUS=Reading";
    assert_memory_equal(text, begin, sizeof begin - 1);
    assert_string_equal(text + len - (sizeof end - 1), end);
    close(ear);
}

static void nothing_is_left_for_programs_that_this_one_starts(void **state) {
    (void)state;
    struct supervisor supervisor;
    char name[64], wanted[128];
    char *variables[SUPERVISOR_VARIABLES + 1];
    int ear = open_ear(name);
    setenv("WATCHDOG_USEC", "2000000", 1);
    set_pid("WATCHDOG_PID", getpid());
    set_pid("LISTEN_PID", getpid());
    setenv("LISTEN_FDS", "0", 1);
    setenv("LISTEN_FDNAMES", "http", 1);
    open_well(&supervisor);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_null(getenv(names[i]));
    }
    /* but one that takes over gets it back, without the number of this process */
    supervisor_variables(&supervisor, variables);
    snprintf(wanted, sizeof wanted, "NOTIFY_SOCKET=%s", name);
    assert_string_equal(variables[0], wanted);
    assert_string_equal(variables[1], "WATCHDOG_USEC=2000000");
    assert_null(variables[2]);
    close(ear);
}

static void a_name_that_is_none_is_passed_over(void **state) {
    (void)state;
    static const char *const bad[] = {"relative", "/", "@", "vsock:2:1"};
    struct supervisor supervisor;
    char longer[200];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        setenv("NOTIFY_SOCKET", bad[i], 1);
        open_well(&supervisor);
        assert_int_equal(supervisor.name_len, 0);
    }
    memset(longer, 'x', sizeof longer);
    longer[0] = '/';
    longer[sizeof longer - 1] = '\0';
    setenv("NOTIFY_SOCKET", longer, 1);
    open_well(&supervisor);
    assert_int_equal(supervisor.name_len, 0);
}

static void signs_of_life_are_due_four_times_in_the_time_given(void **state) {
    (void)state;
    struct supervisor supervisor;
    char name[64], text[16];
    int ear = open_ear(name);
    setenv("WATCHDOG_USEC", "4000000", 1);
    open_well(&supervisor);
    assert_int_equal(supervisor.beat_us, 1000000);
    assert_false(supervisor_beat_is_due(&supervisor)); /* it does not serve yet */
    supervisor_begin_beats(&supervisor);
    assert_true(supervisor_beat_is_due(&supervisor));
    int64_t before_us = clock_mono_us(clock_system());
    supervisor_beat(&supervisor, SUPERVISOR_LIVES);
    hears(ear, "WATCHDOG=1");
    assert_true(supervisor.due_us >= before_us + 1000000);
    supervisor_beat(&supervisor, SUPERVISOR_HANGS);
    assert_int_equal(recv(ear, text, sizeof text, 0), -1);
    assert_int_equal(errno, EAGAIN);
    close(ear);
}

static void signs_of_life_that_others_are_to_give_are_not_given(void **state) {
    (void)state;
    static const char *const bad[] = {"0", "-1", "soon", "99999999999999999999"};
    struct supervisor supervisor;
    setenv("WATCHDOG_USEC", "4000000", 1);
    set_pid("WATCHDOG_PID", getppid());
    open_well(&supervisor);
    assert_int_equal(supervisor.beat_us, 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        setenv("WATCHDOG_USEC", bad[i], 1);
        open_well(&supervisor);
        assert_int_equal(supervisor.beat_us, 0);
    }
}

static void a_supervisor_that_is_gone_harms_nothing_and_is_found_again(void **state) {
    (void)state;
    struct supervisor supervisor;
    char name[64];
    int ear = open_ear(name);
    open_well(&supervisor);
    close(ear);
    supervisor_say(&supervisor, SUPERVISOR_SERVES, "x");
    assert_true(supervisor.is_deaf);
    ear = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(
        bind(ear, (const struct sockaddr *)&supervisor.name, supervisor.name_len), 0);
    supervisor_say(&supervisor, SUPERVISOR_SERVES, "x");
    assert_false(supervisor.is_deaf);
    hears(ear, "READY=1\nSTATUS=x");
    close(ear);
}

static void a_supervisor_that_does_not_read_is_not_waited_for_without_end(void **state) {
    (void)state;
    struct supervisor supervisor;
    char name[64];
    int ear = open_ear(name);
    open_well(&supervisor);
    for (int i = 0; i < 100000 && !supervisor.is_deaf; i++) { /* until its queue is full */
        supervisor_beat(&supervisor, SUPERVISOR_LIVES);
    }
    assert_true(supervisor.is_deaf);
    close(ear);
}

/* ---- sockets that were passed ---- */

struct passed {
    const char *count;
    enum err_e wanted;
    int fds; /* open from 3 on */
};
struct taken {
    int err, fd, is_kept;
};

/* In a child, whose descriptors from 3 on are the test's own. */
static void take_in_child(const struct passed *passed, int report) {
    struct supervisor supervisor;
    struct problem problem;
    int high = fcntl(report, F_DUPFD, 100);
    int null = fcntl(STDERR_FILENO, F_DUPFD, 101);
    close_range(3, 99, 0);
    for (int i = 0; i < passed->fds; i++) {
        dup2(null, 3 + i);
    }
    set_pid("LISTEN_PID", getpid());
    setenv("LISTEN_FDS", passed->count, 1);
    struct taken taken = {.err = (int)supervisor_open(&supervisor, &problem)};
    taken.fd = supervisor.listen_fd;
    taken.is_kept = taken.fd >= 0 && (fcntl(taken.fd, F_GETFD) & FD_CLOEXEC) == 0;
    _exit(write(high, &taken, sizeof taken) == sizeof taken ? 0 : 1);
}

static struct taken take(const struct passed *passed) {
    int report[2];
    struct taken taken;
    assert_int_equal(pipe(report), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        take_in_child(passed, report[1]);
    }
    close(report[1]);
    assert_int_equal(read(report[0], &taken, sizeof taken), sizeof taken);
    close(report[0]);
    return taken;
}

static void one_socket_is_taken_and_anything_else_refused(void **state) {
    (void)state;
    static const struct passed cases[] = {
        {"1", ERR_OK, 1},     {"0", ERR_OK, 0},       {"2", ERR_CONFIG, 2},
        {"1", ERR_CONFIG, 0}, {"one", ERR_CONFIG, 1}, {"-1", ERR_CONFIG, 1},
        {"65", ERR_CONFIG, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct taken taken = take(&cases[i]);
        assert_int_equal(taken.err, cases[i].wanted);
        assert_int_equal(taken.fd, cases[i].wanted == ERR_OK && cases[i].fds == 1 ? 3 : -1);
        assert_false(taken.is_kept); /* by a program that it starts */
    }
}

static void sockets_of_another_process_are_let_be(void **state) {
    (void)state;
    struct supervisor supervisor;
    set_pid("LISTEN_PID", getppid());
    setenv("LISTEN_FDS", "nonsense", 1);
    open_well(&supervisor);
    assert_int_equal(supervisor.listen_fd, -1);
    setenv("LISTEN_FDS", "1", 1); /* and those of nobody */
    open_well(&supervisor);
    assert_int_equal(supervisor.listen_fd, -1);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup(name, clear)
    const struct CMUnitTest tests[] = {
        TEST(without_one_nothing_is_said_and_nothing_is_due),
        TEST(each_state_is_said_with_its_words),
        TEST(nothing_is_left_for_programs_that_this_one_starts),
        TEST(a_name_that_is_none_is_passed_over),
        TEST(signs_of_life_are_due_four_times_in_the_time_given),
        TEST(signs_of_life_that_others_are_to_give_are_not_given),
        TEST(a_supervisor_that_is_gone_harms_nothing_and_is_found_again),
        TEST(a_supervisor_that_does_not_read_is_not_waited_for_without_end),
        TEST(one_socket_is_taken_and_anything_else_refused),
        TEST(sockets_of_another_process_are_let_be),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
