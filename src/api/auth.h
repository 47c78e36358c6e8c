/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who asks: "Authorization: Bearer tk_ID.SECRET", or else a session (api/session.h), against the
 * keys in the store. Below, a session's MAC is what a key's secret is.
 *
 *   no such header, or not of that form ──────────────────► UNAUTHORIZED
 *   no header but a session that has ended ───────────────► UNAUTHORIZED
 *   cached, secret wrong ─────────────────────────────────► UNAUTHORIZED
 *   cached, younger than a second ────────────────────────► OK (refreshed behind it when older than
 *                                                            half of that)
 *   cached, older ──► asks the store ─────────────────────► OK, UNAUTHORIZED or the store's error
 *   not cached ─────► too many failures from this address ► RATE_LIMITED
 *                └──► asks the store, as above
 *
 * Invariants:
 *   1. A key is trusted for at most AUTH_TRUST_US after the moment at which the store was asked, so
 *      a revocation holds within that time on every loop.
 *   2. One question a key is under way at most; who comes meanwhile waits for its answer.
 *   3. Only AUTH_LOADS_MAX questions are under way at once: a flood of invented keys cannot fill
 *      the store's queue. Somebody with a cached key and the right secret is never counted as a
 *      stranger, so failures behind a shared address (a proxy, a venue's NAT) do not shut out its
 *      good keys.
 * Thread: the loop's.
 */
#ifndef TURNOUT_API_AUTH_H
#define TURNOUT_API_AUTH_H

#include "api/session.h"
#include "io/loop.h"
#include "store/store.h"

enum {
    AUTH_TRUST_US = 1000000,
    AUTH_REFRESH_US = AUTH_TRUST_US / 2,
    AUTH_SETS = 64,
    AUTH_WAYS = 8, /* places a key can be in: 512 cached keys, where an event has dozens */
    AUTH_LOADS_MAX = 64,
    AUTH_SECRET_MAX = 64, /* characters */
};

struct auth;

struct auth_request {
    struct slice header;  /* in: the Authorization field */
    struct slice session; /* looked at when `header` is empty */
    struct slice peer;    /* who asks; all three live until `done` */
    void (*done)(struct auth_request *request); /* once; also from within auth_check */
    void *owner;

    enum err_e err;         /* out: OK, UNAUTHORIZED, RATE_LIMITED, OVERLOADED or the store's */
    int64_t retry_after_s;  /* of RATE_LIMITED */
    enum key_scope_e scope;
    char event_text[CODE_MAX];
    struct slice event;     /* the key is bound to it; empty: to none */
    struct slice id;        /* of the key; borrowed from what was shown */
    int64_t ends_s;         /* of the session; 0: a key was shown */
    unsigned char hash[KEY_HASH_SIZE]; /* of the key's secret when one was shown */

    struct auth_request *next; /* auth's own from here on */
    unsigned char mac[SESSION_MAC_SIZE];
};

struct auth_options {
    struct loop *loop;
    struct store *store;
    struct clock *clock;
    struct rng *rng;
    const _Atomic int64_t *deadline_ms; /* of a question to the store; outlives the auth */
    const _Atomic int64_t *session_ms;  /* no session may end later than that from now; likewise */
    struct store_meter meter; /* told about every question, with the first asker's owner */
};

struct auth *auth_create(const struct auth_options *options); /* NULL without memory */
void auth_destroy(struct auth *auth);                         /* idle */
bool auth_is_idle(const struct auth *auth);
void auth_check(struct auth *auth, struct auth_request *request);

/* "Bearer tk_ID.SECRET" taken apart; false for anything else. Pure. */
bool auth_parse(struct slice header, struct slice *ret_id, struct slice *ret_secret);

#endif
