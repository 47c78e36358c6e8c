/* SPDX-License-Identifier: Apache-2.0 */
/* posix_spawn, three pipes and poll. */
#include "act/child.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { READ_PIECE = 16 * 1024, REAP_EVERY_MS = 5 };
enum pipe_e { PIPE_IN, PIPE_OUT, PIPE_ERR, PIPES };

struct running {
    pid_t pid;
    int ours[PIPES]; /* our ends; -1: closed */
    struct slice input;
    int64_t until_us;
};

static int64_t left_ms(const struct running *running) {
    int64_t left = (running->until_us - clock_mono_us(clock_system())) / 1000;
    return left < 0 ? 0 : left;
}

static void close_end(int *fd) {
    if (*fd >= 0) {
        close(*fd);
    }
    *fd = -1;
}

/* --- starting --- */

static bool make_pipes(int ours[PIPES], int theirs[PIPES]) {
    for (int i = 0; i < PIPES; i++) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) != 0) {
            return false;
        }
        ours[i] = i == PIPE_IN ? ends[1] : ends[0];
        theirs[i] = i == PIPE_IN ? ends[0] : ends[1];
        fcntl(ours[i], F_SETFL, O_NONBLOCK);
    }
    return true;
}

/* A group of its own, no signal blocked or ignored, the pipes as 0, 1 and 2. 0, or an errno. */
static int spawn(const char *const *argv, const int theirs[PIPES], pid_t *ret_pid) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    for (int i = 0; i < PIPES; i++) {
        posix_spawn_file_actions_adddup2(&actions, theirs[i], i);
    }
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                              POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    union { /* posix_spawn writes to no argument; its prototype is older than const */
        const char *const *in;
        char *const *out;
    } arguments = {argv};
    int error = posix_spawnp(ret_pid, argv[0], &actions, &attributes, arguments.out, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return error;
}

static enum err_e start(const struct child_run *run, struct running *running,
                        struct problem *problem) {
    int theirs[PIPES] = {-1, -1, -1};
    int error = make_pipes(running->ours, theirs) ? spawn(run->argv, theirs, &running->pid) : errno;
    for (int i = 0; i < PIPES; i++) {
        close_end(&theirs[i]);
    }
    if (error != 0) {
        running->pid = -1;
        return problem_set(problem, error == ENOMEM || error == EAGAIN ? ERR_NO_MEMORY : ERR_CONFIG,
                           "program", "cannot run %.150s: %s", run->argv[0], strerror(error));
    }
    return ERR_OK;
}

/* --- talking --- */

/* A program that does not read is its right, not a signal that ends this process. */
static ssize_t write_quietly(int fd, struct slice text) {
    static const struct timespec at_once = {0};
    sigset_t broken_pipe, before;
    sigemptyset(&broken_pipe);
    sigaddset(&broken_pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &broken_pipe, &before);
    ssize_t sent = write(fd, text.at, text.len);
    int error = errno;
    if (sent < 0 && error == EPIPE) {
        sigtimedwait(&broken_pipe, NULL, &at_once);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return sent;
}

static void feed(struct running *running) {
    ssize_t sent = write_quietly(running->ours[PIPE_IN], running->input);
    if (sent > 0) {
        running->input = slice_skip(running->input, (size_t)sent);
    }
    if (running->input.len == 0 || (sent < 0 && errno != EAGAIN && errno != EINTR)) {
        close_end(&running->ours[PIPE_IN]);
    }
}

/* False when more was said than is kept. */
static bool drain(int *fd, struct buf *to) {
    char piece[READ_PIECE];
    ssize_t got = read(*fd, piece, sizeof piece);
    if (got > 0) {
        buf_add(to, slice_from(piece, (size_t)got));
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        close_end(fd);
    }
    return !to->failed;
}

static enum err_e converse(const struct child_run *run, struct running *running) {
    while (running->ours[PIPE_OUT] >= 0 || running->ours[PIPE_ERR] >= 0) {
        struct pollfd ends[PIPES];
        for (int i = 0; i < PIPES; i++) {
            ends[i] = (struct pollfd){.fd = running->ours[i],
                                      .events = i == PIPE_IN ? POLLOUT : POLLIN};
        }
        int ready = poll(ends, PIPES, (int)left_ms(running));
        if (ready == 0) {
            return ERR_DEADLINE;
        }
        if (ready < 0) {
            continue; /* EINTR */
        }
        if (ends[PIPE_IN].revents != 0) {
            feed(running);
        }
        if (ends[PIPE_OUT].revents != 0 && !drain(&running->ours[PIPE_OUT], run->output)) {
            return ERR_TOO_LARGE;
        }
        if (ends[PIPE_ERR].revents != 0) {
            drain(&running->ours[PIPE_ERR], run->complaint); /* the rest is read and dropped */
        }
    }
    return ERR_OK;
}

static enum err_e wait_for_end(struct running *running, int *ret_status) {
    for (;;) {
        pid_t got = waitpid(running->pid, ret_status, WNOHANG);
        if (got == running->pid) {
            running->pid = -1;
            return ERR_OK;
        }
        if (got < 0 && errno != EINTR) {
            return ERR_IO; /* somebody else reaped it */
        }
        if (left_ms(running) == 0) {
            return ERR_DEADLINE;
        }
        poll(NULL, 0, REAP_EVERY_MS);
    }
}

static void clean_up(struct running *running) {
    if (running->pid > 0) {
        kill(-running->pid, SIGKILL);
        while (waitpid(running->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    for (int i = 0; i < PIPES; i++) {
        close_end(&running->ours[i]);
    }
}

enum err_e child_run(const struct child_run *run, int *ret_exit, struct problem *ret_problem) {
    struct running running = {
        .pid = -1,
        .ours = {-1, -1, -1},
        .input = run->input,
        .until_us = clock_mono_us(clock_system()) + run->timeout_ms * 1000,
    };
    int status = 0;
    buf_clear(run->output);
    buf_clear(run->complaint);
    enum err_e err = start(run, &running, ret_problem);
    if (err != ERR_OK) {
        clean_up(&running);
        return err;
    }
    err = converse(run, &running);
    if (err == ERR_OK) {
        err = wait_for_end(&running, &status);
    }
    clean_up(&running);
    if (err != ERR_OK) {
        return problem_set(ret_problem, err, "", "%.150s %s", run->argv[0],
                           err == ERR_DEADLINE ? "did not end in time and was killed"
                                               : "said too much, or cannot be waited for");
    }
    *ret_exit = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return ERR_OK;
}
