/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lease in PostgreSQL: whoever holds it acts, and holds it only for as long as it renews. The
 * server's clock ends it, so a holder that is frozen, cut off or dead loses it without a word.
 *
 *   try: free, or over ──► ours, with a term that nobody had ──► try again: renewed, same term
 *   try: somebody else's ──► who has it
 *
 * A holder counts its time from before the request that renewed it, by its own monotonic clock: so
 * it stops before anybody else begins. What it writes beside it carries the term (action_fence),
 * and is refused when the lease has moved on.
 *
 * On a session of its own, so that no queue of the store's stands in front of it; commits there do
 * not wait for a standby, since after a failover the worst is that the lease is free.
 * Thread: one, which may block: each call for at most timeout_ms, or a few seconds to connect.
 */
#ifndef TURNOUT_STORE_LEASE_H
#define TURNOUT_STORE_LEASE_H

#include "base/slice.h"

struct lease;

enum { LEASE_HOLDER_MAX = 256, LEASE_URL_MAX = 512 };
#define LEASE_CONTROLLER "controller" /* the name that action_fence means */

struct lease_options { /* all texts outlive the lease */
    const char *store_url; /* of PostgreSQL */
    const char *name;      /* LEASE_CONTROLLER */
    const char *holder;    /* unlike every other process's */
    const char *url;       /* where the holder can be asked; may be empty */
    int64_t ttl_ms;        /* how long a renewal lasts */
    int64_t timeout_ms;    /* for one answer of the server */
    bool only_looks;       /* it never takes the lease, and hears who has it */
};

struct lease_state {
    bool is_ours;
    int64_t term;
    char holder[LEASE_HOLDER_MAX + 1];
    char url[LEASE_URL_MAX + 1];
};

struct lease *lease_create(const struct lease_options *options); /* NULL without memory */
MAY_BLOCK void lease_destroy(struct lease *lease); /* does not give it back; NULL: nothing */
/* Takes or renews it; connects when there is no connection. On an error nothing is known: it may
 * have been taken or renewed. */
MAY_BLOCK enum err_e lease_try(struct lease *lease, struct lease_state *ret_state,
                               struct problem *ret_problem) MUST_CHECK;
/* When it is ours: somebody else can have it at once. */
MAY_BLOCK enum err_e lease_give_back(struct lease *lease, struct problem *ret_problem) MUST_CHECK;

#endif
