/* SPDX-License-Identifier: Apache-2.0 */
/* Asking, and what is done with the offer. */
#include "app/takeover_take.h"

#include "app/takeover_wire.h"
#include "base/assert.h"
#include "base/fsm.h"
#include "base/log.h"
#include "http/http.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    OFFER_MS = 10000, /* a process that serves answers within that */
    ADDRESSES_MAX = 8,
    ROSTER_BYTES_MAX = 4 << 20,
    ROSTER_STEP = 65536,
};

#define TAKER_STATES(X)                                                                            \
    X(JOINED, FSM_TO(TAKER_READY) | FSM_TO(TAKER_ENDED))                                           \
    X(READY, FSM_TO(TAKER_SERVES) | FSM_TO(TAKER_ENDED))                                           \
    X(SERVES, FSM_TO(TAKER_ENDED))                                                                 \
    X(ENDED, 0)
enum taker_state_e {
#define X(state, next) TAKER_##state,
    TAKER_STATES(X)
#undef X
};
static const struct fsm_row states[] = {
#define X(state, next) [TAKER_##state] = {#state, next},
    TAKER_STATES(X)
#undef X
};

struct taker {
    int state;
    int socket; /* -1: the old one is gone */
    int64_t begun_us;
    pid_t old_pid;
    struct takeover_message offer;
    struct buf roster;
    char reason[256];
};

int taker_inherited(void) {
    const char *text = getenv(TAKEOVER_VARIABLE);
    int64_t number;
    if (text == NULL) {
        return -1;
    }
    bool is_number = slice_to_int(slice_of(text), 0, 1 << 20, &number);
    unsetenv(TAKEOVER_VARIABLE);
    if (!is_number || fcntl((int)number, F_SETFD, FD_CLOEXEC) != 0) {
        return -1;
    }
    return (int)number;
}

/* ---- finding the old one ---- */

/* The first that answers, in the order in which http_listen tries them. */
MAY_BLOCK static enum err_e find(const struct taker_options *options, int *ret_socket,
                                 struct problem *ret_problem) {
    char addresses[ADDRESSES_MAX][HTTP_ADDRESS_SIZE];
    size_t len = http_resolve(slice_of(options->listen), addresses, ADDRESSES_MAX);
    *ret_socket = -1;
    for (size_t i = 0; i < len && *ret_socket < 0; i++) {
        *ret_socket = takeover_knock(addresses[i]);
    }
    return *ret_socket >= 0
               ? ERR_OK
               : problem_set(ret_problem, ERR_UNAVAILABLE, "server.listen",
                             "no turnout serves on %.100s: start this one without --takeover, or "
                             "name the address that the running one listens on",
                             options->listen);
}

/* ---- the offer ---- */

MAY_BLOCK static enum takeover_heard_e wait_for(int socket, struct takeover_message *ret_message) {
    int64_t until_us = clock_mono_us(clock_system()) + (int64_t)OFFER_MS * 1000;
    for (;;) {
        enum takeover_heard_e heard = takeover_hear(socket, ret_message);
        int64_t left_us = until_us - clock_mono_us(clock_system());
        if (heard != TAKEOVER_SILENT || left_us <= 0) {
            return heard;
        }
        struct pollfd fd = {.fd = socket, .events = POLLIN};
        poll(&fd, 1, (int)(left_us / 1000) + 1);
    }
}

MAY_BLOCK static enum err_e ask(struct taker *taker, struct problem *ret_problem) {
    struct takeover_message hello;
    takeover_message_init(&hello, TAKEOVER_HELLO);
    takeover_put_text(hello.version, sizeof hello.version, TURNOUT_VERSION);
    if (!takeover_peer_is_own(taker->socket, &taker->old_pid)) {
        return problem_set(ret_problem, ERR_CONFLICT, "",
                           "the process that serves there belongs to another user: run this one "
                           "as the same");
    }
    (void)!takeover_send(taker->socket, &hello); /* also unheard it may have an answer: a no */
    enum takeover_heard_e heard = wait_for(taker->socket, &taker->offer);
    if (heard == TAKEOVER_HEARD && taker->offer.type == TAKEOVER_ABORT) {
        return problem_set(ret_problem, ERR_CONFLICT, "", "the running process refuses: %.150s",
                           taker->offer.reason);
    }
    if (heard != TAKEOVER_HEARD || taker->offer.type != TAKEOVER_OFFER ||
        taker->offer.fds[TAKEOVER_FD_LISTEN] < 0) {
        return problem_set(ret_problem, ERR_UNAVAILABLE, "",
                           "the running process made no offer %s",
                           heard == TAKEOVER_SILENT ? "in time" : "");
    }
    return ERR_OK;
}

static enum err_e check_offer(const struct taker_options *options, const struct taker *taker,
                              struct problem *ret_problem) {
    const struct takeover_message *offer = &taker->offer;
    if (offer->protocol != TAKEOVER_PROTOCOL) {
        return problem_set(ret_problem, ERR_CONFLICT, "",
                           "the running process (%.40s) speaks another protocol: stop it and start "
                           "this one",
                           offer->version);
    }
    if (strcmp(offer->listen, options->listen) != 0 &&
        !http_resolves_to(slice_of(options->listen), offer->address)) {
        return problem_set(ret_problem, ERR_CONFIG, "server.listen",
                           "is %.80s, the running process has %.80s: a takeover keeps the "
                           "address; stop that one and start this",
                           options->listen, offer->listen);
    }
    if (strcmp(offer->store, options->store) != 0) {
        return problem_set(ret_problem, ERR_CONFIG, "store.url",
                           "names a %.16s store, the running process has %.16s: a takeover keeps "
                           "the store; stop that one and start this",
                           options->store, offer->store);
    }
    return ERR_OK;
}

static void read_roster(struct taker *taker) {
    int fd = taker->offer.fds[TAKEOVER_FD_ROSTER];
    ssize_t got = 1;
    while (fd >= 0 && got > 0 && buf_reserve(&taker->roster, ROSTER_STEP)) {
        got = read(fd, taker->roster.at + taker->roster.len, ROSTER_STEP);
        taker->roster.len += got > 0 ? (size_t)got : 0;
    }
}

MAY_BLOCK enum err_e taker_join(const struct taker_options *options, struct taker **ret_taker,
                                struct problem *ret_problem) {
    struct taker *taker = calloc(1, sizeof *taker);
    if (taker == NULL) {
        return problem_set(ret_problem, ERR_NO_MEMORY, "", "no memory to take over");
    }
    taker->state = TAKER_JOINED;
    taker->socket = options->socket;
    taker->begun_us = clock_mono_us(clock_system());
    buf_init(&taker->roster, ROSTER_BYTES_MAX);
    takeover_message_init(&taker->offer, TAKEOVER_OFFER);
    enum err_e err =
        taker->socket >= 0 ? ERR_OK : find(options, &taker->socket, ret_problem);
    err = err == ERR_OK ? ask(taker, ret_problem) : err;
    err = err == ERR_OK ? check_offer(options, taker, ret_problem) : err;
    if (err != ERR_OK) {
        taker_destroy(taker);
        return err;
    }
    read_roster(taker);
    log_event(LOG_INFO, "takeover_joined", "old_pid=%ld old_version=%s", (long)taker->old_pid,
              taker->offer.version);
    *ret_taker = taker;
    return ERR_OK;
}

void taker_destroy(struct taker *taker) {
    if (taker == NULL) {
        return;
    }
    takeover_message_close(&taker->offer);
    buf_fini(&taker->roster);
    if (taker->socket >= 0) {
        close(taker->socket);
    }
    free(taker);
}

static int take_fd(struct taker *taker, enum takeover_fd_e which) {
    int fd = taker->offer.fds[which];
    taker->offer.fds[which] = -1;
    return fd;
}

int taker_take_listen(struct taker *taker) {
    return take_fd(taker, TAKEOVER_FD_LISTEN);
}

int taker_take_lock(struct taker *taker) {
    return take_fd(taker, TAKEOVER_FD_LOCK);
}

int taker_take_agent(struct taker *taker) {
    return take_fd(taker, TAKEOVER_FD_AGENT);
}

struct slice taker_roster(const struct taker *taker) {
    return buf_slice(&taker->roster);
}

const char *taker_listen(const struct taker *taker) {
    return taker->offer.listen;
}

pid_t taker_old_pid(const struct taker *taker) {
    return taker->old_pid;
}

int64_t taker_begun_us(const struct taker *taker) {
    return taker->begun_us;
}

const char *taker_reason(const struct taker *taker) {
    return taker->reason;
}

/* ---- saying and hearing ---- */

int taker_socket(const struct taker *taker) {
    return taker->socket;
}

/* An old one that does not hear is gone, which the next step finds. */
static void say(struct taker *taker, enum takeover_type_e type) {
    struct takeover_message message;
    takeover_message_init(&message, type);
    if (taker->socket >= 0) {
        (void)!takeover_send(taker->socket, &message);
    }
}

void taker_say_ready(struct taker *taker) {
    fsm_move(states, &taker->state, TAKER_READY);
    say(taker, TAKEOVER_READY);
}

void taker_say_serving(struct taker *taker) {
    ASSERT(taker->state == TAKER_SERVES);
    say(taker, TAKEOVER_SERVING);
}

void taker_say_stopping(struct taker *taker) {
    if (taker->state == TAKER_SERVES) {
        say(taker, TAKEOVER_STOPPING);
    }
}

/* The old one is gone, with or without a word. */
static enum taker_event_e be_alone(struct taker *taker, bool was_told) {
    log_event(was_told ? LOG_INFO : LOG_WARN, "takeover_alone", "old_pid=%ld ended=\"%s\"",
              (long)taker->old_pid, was_told ? "it said so" : "without a word");
    close(taker->socket);
    taker->socket = -1;
    fsm_move(states, &taker->state, TAKER_ENDED);
    return TAKER_ALONE;
}

static enum taker_event_e on_ended(struct taker *taker) {
    if (taker->state == TAKER_SERVES) {
        return be_alone(taker, false);
    }
    if (taker->state == TAKER_JOINED) {
        return TAKER_NOTHING; /* it serves as soon as it is ready: the next step comes here again */
    }
    log_event(LOG_WARN, "takeover_old_died", "old_pid=%ld", (long)taker->old_pid);
    fsm_move(states, &taker->state, TAKER_SERVES);
    return TAKER_GO;
}

static enum taker_event_e on_message(struct taker *taker, struct takeover_message *message) {
    if (message->type == TAKEOVER_ABORT && taker->state != TAKER_SERVES) {
        takeover_put_text(taker->reason, sizeof taker->reason, message->reason);
        fsm_move(states, &taker->state, TAKER_ENDED);
        return TAKER_REFUSED;
    }
    if (message->type == TAKEOVER_GO && taker->state == TAKER_READY) {
        fsm_move(states, &taker->state, TAKER_SERVES);
        return TAKER_GO;
    }
    if (message->type == TAKEOVER_GONE && taker->state == TAKER_SERVES) {
        return be_alone(taker, true);
    }
    return TAKER_NOTHING;
}

bool taker_is_let_in(const struct taker *taker) {
    return taker->state == TAKER_SERVES;
}

enum taker_event_e taker_step(struct taker *taker) {
    struct takeover_message message;
    if (taker->socket < 0 || taker->state == TAKER_ENDED) {
        return TAKER_NOTHING;
    }
    for (;;) {
        enum takeover_heard_e heard = takeover_hear(taker->socket, &message);
        if (heard == TAKEOVER_SILENT) {
            return TAKER_NOTHING;
        }
        if (heard == TAKEOVER_ENDED) {
            return on_ended(taker);
        }
        takeover_message_close(&message);
        enum taker_event_e event = on_message(taker, &message);
        if (event != TAKER_NOTHING) {
            return event;
        }
    }
}
