/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The new side of a takeover: it asks the serving process for its listening socket, prepares, and
 * serves when that one says so, or when it dies.
 *
 *   JOINED ── ready ──► READY ── go, or the old one died ──► SERVES ── gone, or it died ──► ALONE
 *      └───────────────────┴── abort ──► REFUSED
 *
 * Thread: main.
 */
#ifndef TURNOUT_APP_TAKEOVER_TAKE_H
#define TURNOUT_APP_TAKEOVER_TAKE_H

#include "base/buf.h"
#include "base/clock.h"

#include <sys/types.h>

struct taker;

/* The socket that a serving process gave this one when it started it, from the environment, which
 * loses it; -1: it was not started so. */
int taker_inherited(void);

struct taker_options {
    int socket;         /* taker_inherited, taken over; -1: look for who listens on `listen` */
    const char *listen; /* server.listen of this process' configuration */
    const char *store;  /* "sqlite" or "postgres" */
};
/* Asks and waits for the offer. ERR_CONFIG, ERR_UNAVAILABLE (nobody serves there), ERR_CONFLICT (it
 * refused): `ret_problem` says what to do. */
MAY_BLOCK enum err_e taker_join(const struct taker_options *options, struct taker **ret_taker,
                                struct problem *ret_problem) MUST_CHECK;
void taker_destroy(struct taker *taker); /* NULL: nothing. The other process sees it end */

/* What was offered; each is the caller's once it is taken. -1, or empty: there was none. */
int taker_take_listen(struct taker *taker);
int taker_take_lock(struct taker *taker);
int taker_take_agent(struct taker *taker);
struct slice taker_roster(const struct taker *taker); /* lives as long as the taker */
const char *taker_listen(const struct taker *taker);  /* the old one's server.listen */
pid_t taker_old_pid(const struct taker *taker);
int64_t taker_begun_us(const struct taker *taker); /* on the monotonic clock */

int taker_socket(const struct taker *taker); /* to poll; -1: the old one is gone */
void taker_say_ready(struct taker *taker);
void taker_say_serving(struct taker *taker);
void taker_say_stopping(struct taker *taker);

#define TAKER_EVENT_TABLE(X)                                                                       \
    X(NOTHING)                                                                                     \
    X(GO)      /* accept connections; when the old one died, too */                                \
    X(ALONE)   /* after GO: the old one writes nothing more */                                     \
    X(REFUSED) /* before GO: end; the reason is in taker_reason */
#define X(name) TAKER_##name,
enum taker_event_e { TAKER_EVENT_TABLE(X) };
#undef X
enum taker_event_e taker_step(struct taker *taker);
bool taker_is_let_in(const struct taker *taker); /* GO has come */
const char *taker_reason(const struct taker *taker);

#endif
