/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The serving side of a takeover: it lets a new process take over, and goes on itself when that
 * fails.
 *
 *          spawned, or one knocks        hello              ready             serving
 *   ALONE ───────────────────────► ASKED ─────► PREPARES ─────────► ASKED_IN ─────────► SERVES
 *     ▲  ▲                           │             │                   │                   │
 *     │  └── ended, late, refused, ──┴─────────────┴───────────────────┘                   │
 *     │      or this one stops: abort is said, a child is killed                           │
 *     └──────────────────── it died while this one could still serve ──────────────────────┘
 *
 * Invariants:
 *   1. This process accepts connections in every state but SERVES.
 *   2. There is one new process at a time; who knocks meanwhile is refused.
 *   3. ASKED, PREPARES and ASKED_IN end by the deadline of `timeout_ms`.
 * Thread: main.
 */
#ifndef TURNOUT_APP_TAKEOVER_GIVE_H
#define TURNOUT_APP_TAKEOVER_GIVE_H

#include "base/buf.h"
#include "base/clock.h"

#include <poll.h>
#include <sys/types.h>

struct giver;

struct giver_options {
    int listen_fd;
    int lock_fd;         /* -1: the store is no file */
    int agent_fd;        /* where HAProxy's agent check asks; -1: nowhere */
    const char *listen;  /* server.listen; these texts live as long as the giver */
    const char *address; /* where it really listens */
    const char *store;   /* "sqlite" or "postgres" */
    char *const *argv;   /* how a new process is started; argv[0] is looked for in PATH */
    char *const *variables; /* for its environment, beside this process' own; ends
        with a NULL; NULL: none */
    void (*write_roster)(void *data, struct buf *to); /* NULL: there is no cache */
    void *data;
};

/* X(NAME): what a step came to. */
#define GIVER_EVENT_TABLE(X)                                                                       \
    X(NOTHING)                                                                                     \
    X(OFFERED)  /* a new process prepares */                                                       \
    X(GIVEN)    /* it accepts: this one accepts no more */                                         \
    X(FAILED)   /* it will not: everything is as before */                                         \
    X(LOST)     /* it died after it was GIVEN: this one is to accept again, or to end */           \
    X(RELEASED) /* it was stopped after it was GIVEN: this one is to end, too */
#define X(name) GIVER_##name,
enum giver_event_e { GIVER_EVENT_TABLE(X) };
#undef X

struct giver *giver_create(const struct giver_options *options); /* NULL without memory */
/* Says `gone` when it is given: this process writes nothing more. NULL: nothing. */
MAY_BLOCK void giver_destroy(struct giver *giver);

/* Starts a new process. ERR_BUSY: one takes over already. Another error is in `ret_problem`. */
enum err_e giver_spawn(struct giver *giver, int64_t timeout_ms,
                       struct problem *ret_problem) MUST_CHECK;
/* Takes the offer back, unless it is given. */
MAY_BLOCK void giver_abort(struct giver *giver, const char *reason);

enum { GIVER_FDS = 2 };
/* What to wait for; the number of them. */
size_t giver_watch(const struct giver *giver, struct pollfd ret_fds[GIVER_FDS]);
/* Until when, on the monotonic clock; INT64_MAX: nothing is due. */
int64_t giver_due_us(const struct giver *giver);
/* Does what is due and returns one event; call it again until it has none. `timeout_ms` is for a
 * process that knocks now. Waits up to a second for a child that has failed. */
MAY_BLOCK enum giver_event_e giver_step(struct giver *giver, int64_t timeout_ms);

bool giver_is_given(const struct giver *giver);
pid_t giver_pid(const struct giver *giver); /* of the new process; 0: there is none */

#endif
