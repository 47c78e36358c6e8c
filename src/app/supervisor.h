/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What started this process and looks after it, as systemd speaks with services: a datagram for
 * each change (sd_notify(3)), signs of life (WatchdogSec=), a listening socket that was opened
 * before (sd_listen_fds(3)). Without one, everything here does nothing.
 *
 * The protocol is spoken here and not by libsystemd, since sd_notify waits without a bound for a
 * supervisor that does not read: a node would no longer hear its signals.
 *
 * What is said to this process alone is taken out of the environment, so that programs which it
 * starts (another node, systemctl, a hook) do not speak in its name. One that takes over from it
 * gets it back: supervisor_variables. Thread: main.
 */
#ifndef TURNOUT_APP_SUPERVISOR_H
#define TURNOUT_APP_SUPERVISOR_H

#include "base/clock.h"

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

enum {
    SUPERVISOR_VARIABLES = 2,
    SUPERVISOR_TEXT_SIZE = 256, /* of a status, and of a variable with its value */
};

struct supervisor {
    int listen_fd; /* passed by it; -1: none. Whoever takes it sets -1 */
    struct sockaddr_un name;
    socklen_t name_len; /* 0: nobody wants to hear */
    int64_t beat_us;    /* between two signs of life; 0: none are wanted */
    int64_t due_us;     /* of the next one, on the monotonic clock; INT64_MAX: none */
    bool is_deaf;       /* the last word did not get through, and that was told */
    char variables[SUPERVISOR_VARIABLES][SUPERVISOR_TEXT_SIZE]; /* "NAME=value", or empty */
};

/* Before any thread is started. ERR_CONFIG: what was passed is not one socket. */
enum err_e supervisor_open(struct supervisor *supervisor, struct problem *ret_problem) MUST_CHECK;
void supervisor_close(struct supervisor *supervisor); /* a socket that nobody took */

/* X(NAME, how systemd calls the state). A status in words goes with each. */
#define SUPERVISOR_STATE_TABLE(X)                                                                  \
    X(STARTS, "")              /* still, with news */                                              \
    X(SERVES, "READY=1\n")     /* also after RELOADS */                                            \
    X(RELOADS, "RELOADING=1\n")                                                                    \
    X(STOPS, "STOPPING=1\n")
#define X(name, text) SUPERVISOR_##name,
enum supervisor_state_e { SUPERVISOR_STATE_TABLE(X) };
#undef X
/* Each waits up to a second for a supervisor that does not read, and then goes without. */
MAY_BLOCK void supervisor_say(struct supervisor *supervisor, enum supervisor_state_e state,
                              const char *status, ...) __attribute__((format(printf, 3, 4)));
/* From now on `pid` is the process to look after. */
MAY_BLOCK void supervisor_say_main(struct supervisor *supervisor, pid_t pid);

/* Signs of life, from the call of begin on, four times in the time that the supervisor allows. */
void supervisor_begin_beats(struct supervisor *supervisor);
bool supervisor_beat_is_due(const struct supervisor *supervisor);
/* LIVES is said, without a wait when the last word did not get through; with HANGS the supervisor's
 * patience runs. */
enum supervisor_life_e { SUPERVISOR_LIVES, SUPERVISOR_HANGS };
MAY_BLOCK void supervisor_beat(struct supervisor *supervisor, enum supervisor_life_e life);

/* For the environment of a process that takes over: `ret` ends with a NULL. */
void supervisor_variables(struct supervisor *supervisor, char *ret[SUPERVISOR_VARIABLES + 1]);

#endif
