/* SPDX-License-Identifier: Apache-2.0 */
/* Words to systemd, and what it left in the environment. */
#include "app/supervisor.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

enum {
    FIRST_FD = 3, /* SD_LISTEN_FDS_START */
    FDS_MAX = 64,
    SAY_S = 1,
    BEATS = 4, /* in the time after which it gives up: one may be late, and one lost */
};
static const int64_t watchdog_us_max = INT64_C(1) << 40;

static int64_t now_us(void) {
    return clock_mono_us(clock_system());
}

/* ---- the environment ---- */

/* The value, which is gone from the environment afterwards; false: there was none. */
static bool take_variable(const char *name, char *ret_value, size_t size) {
    const char *value = getenv(name);
    bool is_there = value != NULL && value[0] != '\0';
    if (is_there) {
        snprintf(ret_value, size, "%s", value);
    }
    unsetenv(name);
    return is_there;
}

/* Whether it is said to this process, and not to one that started this without a thought. */
static bool is_said_to_us(const char *name) {
    char text[32];
    int64_t pid;
    return take_variable(name, text, sizeof text) &&
           slice_to_int(slice_of(text), 1, INT32_MAX, &pid) && pid == getpid();
}

/* A path, or with @ at its front an abstract name; false for what is neither. */
static bool read_name(struct supervisor *supervisor, const char *text) {
    size_t len = strlen(text);
    if ((text[0] != '/' && text[0] != '@') || len < 2 || len >= sizeof supervisor->name.sun_path) {
        return false;
    }
    supervisor->name = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(supervisor->name.sun_path, text, len);
    if (text[0] == '@') {
        supervisor->name.sun_path[0] = '\0';
    }
    supervisor->name_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    return true;
}

static void open_notify(struct supervisor *supervisor) {
    char text[SUPERVISOR_TEXT_SIZE - sizeof "NOTIFY_SOCKET="];
    if (!take_variable("NOTIFY_SOCKET", text, sizeof text)) {
        return;
    }
    if (read_name(supervisor, text)) {
        snprintf(supervisor->variables[0], SUPERVISOR_TEXT_SIZE, "NOTIFY_SOCKET=%s", text);
    } else {
        log_event(LOG_WARN, "supervisor_unknown",
                  "reason=\"NOTIFY_SOCKET is no path of a socket\"");
    }
}

static void open_watchdog(struct supervisor *supervisor) {
    char text[32];
    int64_t us;
    bool is_for_all = getenv("WATCHDOG_PID") == NULL;
    bool is_for_us = is_said_to_us("WATCHDOG_PID");
    if (!take_variable("WATCHDOG_USEC", text, sizeof text) || (!is_for_all && !is_for_us)) {
        return;
    }
    if (!slice_to_int(slice_of(text), 1, watchdog_us_max, &us)) {
        log_event(LOG_WARN, "supervisor_unknown", "reason=\"WATCHDOG_USEC is no time\"");
        return;
    }
    supervisor->beat_us = us / BEATS > 0 ? us / BEATS : 1;
    snprintf(supervisor->variables[1], SUPERVISOR_TEXT_SIZE, "WATCHDOG_USEC=%" PRId64, us);
}

static enum err_e open_listen(struct supervisor *supervisor, struct problem *ret_problem) {
    char text[32], ignored[SUPERVISOR_TEXT_SIZE];
    int64_t count;
    bool is_for_us = is_said_to_us("LISTEN_PID");
    bool is_there = take_variable("LISTEN_FDS", text, sizeof text);
    (void)take_variable("LISTEN_FDNAMES", ignored, sizeof ignored);
    if (!is_for_us || !is_there) {
        return ERR_OK;
    }
    if (!slice_to_int(slice_of(text), 0, FDS_MAX, &count)) {
        return problem_set(ret_problem, ERR_CONFIG, "LISTEN_FDS",
                           "is %s: expected how many sockets were passed, for example 1", text);
    }
    for (int fd = FIRST_FD; fd < FIRST_FD + count; fd++) {
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
            return problem_set(ret_problem, ERR_CONFIG, "LISTEN_FDS",
                               "is %s, but descriptor %d is not open: %s", text, fd,
                               strerror(errno));
        }
    }
    if (count > 1) {
        return problem_set(ret_problem, ERR_CONFIG, "LISTEN_FDS",
                           "is %s: turnout listens on one socket, so leave one ListenStream= in "
                           "the socket unit",
                           text);
    }
    supervisor->listen_fd = count == 1 ? FIRST_FD : -1;
    return ERR_OK;
}

enum err_e supervisor_open(struct supervisor *supervisor, struct problem *ret_problem) {
    *supervisor = (struct supervisor){.listen_fd = -1, .due_us = INT64_MAX};
    open_notify(supervisor);
    open_watchdog(supervisor);
    return open_listen(supervisor, ret_problem);
}

void supervisor_close(struct supervisor *supervisor) {
    if (supervisor->listen_fd >= 0) {
        close(supervisor->listen_fd);
    }
    supervisor->listen_fd = -1;
}

void supervisor_variables(struct supervisor *supervisor, char *ret[SUPERVISOR_VARIABLES + 1]) {
    size_t len = 0;
    for (size_t i = 0; i < SUPERVISOR_VARIABLES; i++) {
        if (supervisor->variables[i][0] != '\0') {
            ret[len++] = supervisor->variables[i];
        }
    }
    ret[len] = NULL;
}

/* ---- words ---- */

enum wait_e { WAIT_A_SECOND, WAIT_NEVER };

/* 0, or an errno. A socket for each word: the other one may be made anew at any time. */
MAY_BLOCK static int send_text(const struct supervisor *supervisor, struct slice text,
                               enum wait_e wait) {
    int flags = MSG_NOSIGNAL | (wait == WAIT_NEVER ? MSG_DONTWAIT : 0);
    const struct timeval patience = {.tv_sec = SAY_S};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return errno;
    }
    ssize_t sent = -1;
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) == 0) {
        sent = sendto(fd, text.at, text.len, flags, (const struct sockaddr *)&supervisor->name,
                      supervisor->name_len);
    }
    int error = sent == (ssize_t)text.len ? 0 : errno;
    close(fd);
    return error;
}

/* Told when it begins and when it ends, not at every beat. */
MAY_BLOCK static void say(struct supervisor *supervisor, struct slice text, enum wait_e wait) {
    if (supervisor->name_len == 0) {
        return;
    }
    int error = send_text(supervisor, text, wait);
    if (error != 0 && !supervisor->is_deaf) {
        log_event(LOG_WARN, "supervisor_deaf", "reason=\"%s\"",
                  error == EAGAIN ? "it does not read" : strerror(error));
    } else if (error == 0 && supervisor->is_deaf) {
        log_event(LOG_INFO, "supervisor_hears", "by=NOTIFY_SOCKET");
    }
    supervisor->is_deaf = error != 0;
}

MAY_BLOCK void supervisor_say(struct supervisor *supervisor, enum supervisor_state_e state,
                              const char *status, ...) {
    static const char *const texts[] = {
#define X(name, text) text,
        SUPERVISOR_STATE_TABLE(X)
#undef X
    };
    char words[SUPERVISOR_TEXT_SIZE], text[2 * SUPERVISOR_TEXT_SIZE], clock[64] = "";
    va_list values;
    va_start(values, status);
    vsnprintf(words, sizeof words, status, values);
    va_end(values);
    if (state == SUPERVISOR_RELOADS) { /* systemd 253 and newer want to know when */
        snprintf(clock, sizeof clock, "MONOTONIC_USEC=%" PRId64 "\n", now_us());
    }
    snprintf(text, sizeof text, "%s%sSTATUS=%s", texts[state], clock, words);
    say(supervisor, slice_of(text), WAIT_A_SECOND);
}

MAY_BLOCK void supervisor_say_main(struct supervisor *supervisor, pid_t pid) {
    char text[32];
    snprintf(text, sizeof text, "MAINPID=%ld", (long)pid);
    say(supervisor, slice_of(text), WAIT_A_SECOND);
}

/* ---- signs of life ---- */

void supervisor_begin_beats(struct supervisor *supervisor) {
    bool is_wanted = supervisor->name_len != 0 && supervisor->beat_us != 0;
    supervisor->due_us = is_wanted ? now_us() : INT64_MAX;
}

bool supervisor_beat_is_due(const struct supervisor *supervisor) {
    return supervisor->due_us != INT64_MAX && now_us() >= supervisor->due_us;
}

MAY_BLOCK void supervisor_beat(struct supervisor *supervisor, enum supervisor_life_e life) {
    if (life == SUPERVISOR_LIVES) { /* the next one may get through: none is worth a wait twice */
        say(supervisor, SLICE_LIT("WATCHDOG=1"),
            supervisor->is_deaf ? WAIT_NEVER : WAIT_A_SECOND);
    }
    supervisor->due_us = now_us() + supervisor->beat_us;
}
