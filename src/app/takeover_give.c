/* SPDX-License-Identifier: Apache-2.0 */
/* Doors, children and moves of the serving side. */
#include "app/takeover_give.h"

#include "app/takeover_wire.h"
#include "base/fsm.h"
#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    DOOR_AGAIN_US = 1000000, /* between two tries to open the door: the last process may hold it */
    CHILD_ENDS_MS = 1000,    /* a child that has failed ends by itself within that */
    CHILD_LOOK_MS = 10,
    CHILD_FD = 3,            /* its end of the socket */
    ROSTER_BYTES_MAX = 4 << 20,
};

#define GIVER_STATES(X)                                                                            \
    X(ALONE, FSM_TO(GIVER_ASKED))                                                                  \
    X(ASKED, FSM_TO(GIVER_PREPARES) | FSM_TO(GIVER_ALONE))                                         \
    X(PREPARES, FSM_TO(GIVER_ASKED_IN) | FSM_TO(GIVER_ALONE))                                      \
    X(ASKED_IN, FSM_TO(GIVER_SERVES) | FSM_TO(GIVER_ALONE))                                        \
    X(SERVES, FSM_TO(GIVER_ALONE))
enum giver_state_e {
#define X(state, next) GIVER_##state,
    GIVER_STATES(X)
#undef X
};
static const struct fsm_row states[] = {
#define X(state, next) [GIVER_##state] = {#state, next},
    GIVER_STATES(X)
#undef X
};

struct giver {
    struct giver_options options;
    int state;
    int door; /* -1: it is not open */
    int peer; /* -1: nobody is there */
    pid_t pid;
    bool is_child;
    int64_t begun_us;
    int64_t deadline_us;
    int64_t door_due_us;
    bool door_was_missed; /* told once */
};

static int64_t now_us(void) {
    return clock_mono_us(clock_system());
}

static void close_fd(int *fd) {
    if (*fd >= 0) {
        close(*fd);
    }
    *fd = -1;
}

/* ---- the door ---- */

/* Open whenever this process is the one to ask. */
static void keep_door(struct giver *giver) {
    if (giver->state == GIVER_SERVES || giver->door >= 0 || now_us() < giver->door_due_us) {
        return;
    }
    giver->door = takeover_open_door(giver->options.address);
    giver->door_due_us = now_us() + DOOR_AGAIN_US;
    if (giver->door < 0 && !giver->door_was_missed && errno != EADDRINUSE) {
        giver->door_was_missed = true;
        log_event(LOG_WARN, "takeover_door_closed", "address=%s reason=\"%s\" effect=\"only "
                  "SIGUSR2 starts a takeover\"", giver->options.address, strerror(errno));
    }
}

struct giver *giver_create(const struct giver_options *options) {
    struct giver *giver = calloc(1, sizeof *giver);
    if (giver == NULL) {
        return NULL;
    }
    giver->options = *options;
    giver->state = GIVER_ALONE;
    giver->door = giver->peer = -1;
    keep_door(giver);
    return giver;
}

/* ---- saying ---- */

static bool say(struct giver *giver, enum takeover_type_e type, const char *reason) {
    struct takeover_message message;
    takeover_message_init(&message, type);
    takeover_put_text(message.reason, sizeof message.reason, reason);
    return takeover_send(giver->peer, &message) == ERR_OK;
}

/* Hot keys in memory, for the new process to read; -1: there are none. */
static int write_roster(const struct giver *giver) {
    struct buf text;
    if (giver->options.write_roster == NULL) {
        return -1;
    }
    buf_init(&text, ROSTER_BYTES_MAX);
    giver->options.write_roster(giver->options.data, &text);
    int fd = text.failed ? -1 : memfd_create("roster", MFD_CLOEXEC);
    bool is_whole = fd >= 0 && write(fd, text.at, text.len) == (ssize_t)text.len &&
                    lseek(fd, 0, SEEK_SET) == 0;
    buf_fini(&text);
    if (!is_whole) {
        close_fd(&fd);
    }
    return fd;
}

static bool offer(struct giver *giver) {
    const struct giver_options *options = &giver->options;
    struct takeover_message message;
    takeover_message_init(&message, TAKEOVER_OFFER);
    takeover_put_text(message.version, sizeof message.version, TURNOUT_VERSION);
    takeover_put_text(message.listen, sizeof message.listen, options->listen);
    takeover_put_text(message.address, sizeof message.address, options->address);
    takeover_put_text(message.store, sizeof message.store, options->store);
    message.fds[TAKEOVER_FD_LISTEN] = options->listen_fd;
    message.fds[TAKEOVER_FD_LOCK] = options->lock_fd;
    message.fds[TAKEOVER_FD_AGENT] = options->agent_fd;
    message.fds[TAKEOVER_FD_ROSTER] = write_roster(giver);
    bool sent = takeover_send(giver->peer, &message) == ERR_OK;
    close_fd(&message.fds[TAKEOVER_FD_ROSTER]);
    return sent;
}

/* ---- children ---- */

static size_t count_texts(char *const *texts) {
    size_t len = 0;
    while (texts != NULL && texts[len] != NULL) {
        len++;
    }
    return len;
}

/* This process' environment with what the child is told; NULL without memory. */
static char **make_environment(char *const *variables) {
    static char socket_text[32];
    size_t len = count_texts(environ), added = count_texts(variables);
    char **made = calloc(len + added + 2, sizeof *made);
    if (made == NULL) {
        return NULL;
    }
    memcpy(made, environ, len * sizeof *made);
    for (size_t i = 0; i < added; i++) {
        made[len + i] = variables[i];
    }
    snprintf(socket_text, sizeof socket_text, "%s=%d", TAKEOVER_VARIABLE, CHILD_FD);
    made[len + added] = socket_text;
    return made;
}

/* With no signal blocked or passed over, and no descriptor but the usual and its socket. */
static int spawn_with(const struct giver *giver, int socket, char **environment, pid_t *ret_pid) {
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t actions;
    sigset_t none, pipe;
    sigemptyset(&none);
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &pipe);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, socket, CHILD_FD);
    posix_spawn_file_actions_addclosefrom_np(&actions, CHILD_FD + 1);
    int error = posix_spawnp(ret_pid, giver->options.argv[0], &actions, &attributes,
                             giver->options.argv, environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return error;
}

static int spawn(struct giver *giver, int socket) {
    char **environment = make_environment(giver->options.variables);
    int error = environment == NULL ? ENOMEM
                                    : spawn_with(giver, socket, environment, &giver->pid);
    free(environment);
    return error;
}

static void begin(struct giver *giver, int64_t timeout_ms) {
    giver->begun_us = now_us();
    giver->deadline_us = giver->begun_us + timeout_ms * 1000;
    fsm_move(states, &giver->state, GIVER_ASKED);
    log_event(LOG_INFO, "takeover_begun", "new_pid=%ld by=%s", (long)giver->pid,
              giver->is_child ? "SIGUSR2" : "serve --takeover");
}

enum err_e giver_spawn(struct giver *giver, int64_t timeout_ms, struct problem *ret_problem) {
    int pair[2];
    if (giver->state != GIVER_ALONE) {
        return problem_set(ret_problem, ERR_BUSY, "", "a takeover is under way");
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
        return problem_set(ret_problem, ERR_IO, "", "no socket for it: %s", strerror(errno));
    }
    int error = spawn(giver, pair[1]);
    close(pair[1]);
    if (error != 0) {
        close(pair[0]);
        giver->pid = 0;
        return problem_set(ret_problem, ERR_IO, "", "%.100s cannot be started: %s",
                           giver->options.argv[0], strerror(error));
    }
    giver->peer = pair[0];
    giver->is_child = true;
    begin(giver, timeout_ms);
    return ERR_OK;
}

/* ---- the end of an attempt ---- */

/* Waits for the child, which is killed when it does not end by itself. */
MAY_BLOCK static void reap(struct giver *giver, char *ret_how, size_t size) {
    int status = 0;
    pid_t reaped = 0;
    for (int waited = 0; reaped == 0 && waited < CHILD_ENDS_MS; waited += CHILD_LOOK_MS) {
        reaped = waitpid(giver->pid, &status, WNOHANG);
        const struct timespec look = {.tv_nsec = CHILD_LOOK_MS * 1000000};
        if (reaped == 0) {
            nanosleep(&look, NULL);
        }
    }
    if (reaped == 0) {
        kill(giver->pid, SIGKILL);
        waitpid(giver->pid, &status, 0);
    }
    if (WIFEXITED(status)) {
        snprintf(ret_how, size, "exit %d", WEXITSTATUS(status));
    } else {
        snprintf(ret_how, size, "signal %d", WTERMSIG(status));
    }
}

MAY_BLOCK static void fail(struct giver *giver, const char *reason) {
    char how[32] = "unknown";
    pid_t pid = giver->pid;
    close_fd(&giver->peer);
    if (giver->is_child) {
        reap(giver, how, sizeof how);
    }
    log_event(LOG_ERROR, "takeover_failed",
              "new_pid=%ld after_ms=%lld ended=\"%s\" reason=\"%s\" "
              "effect=\"this process goes on\"",
              (long)pid, (long long)(now_us() - giver->begun_us) / 1000, how, reason);
    giver->pid = 0;
    giver->is_child = false;
    fsm_move(states, &giver->state, GIVER_ALONE);
}

MAY_BLOCK void giver_abort(struct giver *giver, const char *reason) {
    if (giver->state == GIVER_ALONE || giver->state == GIVER_SERVES) {
        return;
    }
    (void)say(giver, TAKEOVER_ABORT, reason);
    fail(giver, reason);
}

/* ---- steps ---- */

/* Somebody knocks: taken in, or told why not. */
static void answer_door(struct giver *giver, int64_t timeout_ms) {
    int fd = accept4(giver->door, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        return;
    }
    pid_t pid = 0;
    bool is_own = takeover_peer_is_own(fd, &pid);
    if (!is_own || giver->state != GIVER_ALONE) {
        struct takeover_message message;
        takeover_message_init(&message, TAKEOVER_ABORT);
        takeover_put_text(message.reason, sizeof message.reason,
                          is_own ? "another takeover is under way"
                                 : "it belongs to another user: run it as the same one");
        (void)!takeover_send(fd, &message);
        close(fd);
        return;
    }
    giver->peer = fd;
    giver->pid = pid;
    giver->is_child = false;
    begin(giver, timeout_ms);
}

static enum giver_event_e end_early(struct giver *giver, const char *reason) {
    giver_abort(giver, reason);
    return GIVER_FAILED;
}

static enum giver_event_e on_hello(struct giver *giver, const struct takeover_message *message) {
    if (message->protocol != TAKEOVER_PROTOCOL) {
        return end_early(giver, "it speaks another protocol: stop this process and start that one");
    }
    if (!offer(giver)) {
        return end_early(giver, "it took no offer");
    }
    log_event(LOG_INFO, "takeover_offered", "new_pid=%ld new_version=%s", (long)giver->pid,
              message->version);
    fsm_move(states, &giver->state, GIVER_PREPARES);
    return GIVER_OFFERED;
}

static enum giver_event_e on_ready(struct giver *giver) {
    if (!say(giver, TAKEOVER_GO, "")) {
        return end_early(giver, "it did not hear that it may serve");
    }
    fsm_move(states, &giver->state, GIVER_ASKED_IN);
    return GIVER_NOTHING;
}

static enum giver_event_e on_serving(struct giver *giver) {
    fsm_move(states, &giver->state, GIVER_SERVES);
    close_fd(&giver->door); /* the next one knocks there */
    log_event(LOG_INFO, "takeover_given", "new_pid=%ld after_ms=%lld", (long)giver->pid,
              (long long)(now_us() - giver->begun_us) / 1000);
    return GIVER_GIVEN;
}

static enum giver_event_e on_ended(struct giver *giver) {
    if (giver->state != GIVER_SERVES) {
        fail(giver, "it ended before it served: its own lines tell why");
        return GIVER_FAILED;
    }
    log_event(LOG_ERROR, "takeover_lost", "new_pid=%ld", (long)giver->pid);
    close_fd(&giver->peer);
    if (giver->is_child) {
        char ignored[32];
        reap(giver, ignored, sizeof ignored);
    }
    giver->pid = 0;
    giver->is_child = false;
    giver->door_due_us = 0;
    fsm_move(states, &giver->state, GIVER_ALONE);
    return GIVER_LOST;
}

/* A message at the wrong time is none of ours. */
static enum giver_event_e on_message(struct giver *giver, const struct takeover_message *message) {
    static const int wanted[] = {[TAKEOVER_HELLO] = GIVER_ASKED,
                                 [TAKEOVER_READY] = GIVER_PREPARES,
                                 [TAKEOVER_SERVING] = GIVER_ASKED_IN,
                                 [TAKEOVER_STOPPING] = GIVER_SERVES,
                                 [TAKEOVER_TYPE_COUNT] = -1};
    bool is_known = message->type == TAKEOVER_HELLO || message->type == TAKEOVER_READY ||
                    message->type == TAKEOVER_SERVING || message->type == TAKEOVER_STOPPING;
    if (!is_known || wanted[message->type] != giver->state) {
        return giver->state == GIVER_SERVES ? GIVER_NOTHING
                                            : end_early(giver, "it said what was not asked for");
    }
    return message->type == TAKEOVER_HELLO     ? on_hello(giver, message)
           : message->type == TAKEOVER_READY   ? on_ready(giver)
           : message->type == TAKEOVER_SERVING ? on_serving(giver)
                                               : GIVER_RELEASED;
}

static enum giver_event_e hear(struct giver *giver) {
    struct takeover_message message;
    enum giver_event_e event = GIVER_NOTHING;
    while (giver->peer >= 0 && event == GIVER_NOTHING) {
        enum takeover_heard_e heard = takeover_hear(giver->peer, &message);
        if (heard == TAKEOVER_SILENT) {
            break;
        }
        if (heard == TAKEOVER_ENDED) {
            return on_ended(giver);
        }
        takeover_message_close(&message); /* nothing is taken from there */
        event = on_message(giver, &message);
    }
    return event;
}

static bool is_timed(const struct giver *giver) {
    return giver->state == GIVER_ASKED || giver->state == GIVER_PREPARES ||
           giver->state == GIVER_ASKED_IN;
}

MAY_BLOCK enum giver_event_e giver_step(struct giver *giver, int64_t timeout_ms) {
    keep_door(giver);
    if (giver->door >= 0) {
        answer_door(giver, timeout_ms);
    }
    enum giver_event_e event = hear(giver);
    if (event == GIVER_NOTHING && is_timed(giver) && now_us() >= giver->deadline_us) {
        event = end_early(giver, "it was not ready in time: see server.takeover_timeout");
    }
    return event;
}

size_t giver_watch(const struct giver *giver, struct pollfd ret_fds[GIVER_FDS]) {
    size_t len = 0;
    if (giver->door >= 0) {
        ret_fds[len++] = (struct pollfd){.fd = giver->door, .events = POLLIN};
    }
    if (giver->peer >= 0) {
        ret_fds[len++] = (struct pollfd){.fd = giver->peer, .events = POLLIN};
    }
    return len;
}

int64_t giver_due_us(const struct giver *giver) {
    if (is_timed(giver)) {
        return giver->deadline_us;
    }
    return giver->state == GIVER_ALONE && giver->door < 0 ? giver->door_due_us : INT64_MAX;
}

bool giver_is_given(const struct giver *giver) {
    return giver->state == GIVER_SERVES;
}

pid_t giver_pid(const struct giver *giver) {
    return giver->pid;
}

MAY_BLOCK void giver_destroy(struct giver *giver) {
    if (giver == NULL) {
        return;
    }
    giver_abort(giver, "the process stops");
    if (giver->state == GIVER_SERVES) {
        (void)say(giver, TAKEOVER_GONE, "");
    }
    close_fd(&giver->peer);
    close_fd(&giver->door);
    free(giver);
}
