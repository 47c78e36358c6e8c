/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether this controller is the one that acts: a thread that tries for a lease again and again,
 * and renews it once it has it. Who holds the lease leads; a standby that finds it free takes it.
 *
 *               the lease is ours
 *   FOLLOWS ─────────────────────────────────► LEADS
 *      ▲                                         │ renewed: goes on
 *      └── somebody else has it; or the time  ◄──┘
 *          of the last renewal is over
 *
 * 1. At most one leads. A holder counts its time from before the request that renewed the lease,
 *    the lease's keeper from when it came there: so a holder stops MARGIN before anybody can begin,
 *    as long as clocks run at the same speed. No message is needed for that: a controller that is
 *    frozen finds its time over when it wakes.
 * 2. What a former leader still sends carries its term, which the journal refuses (store/lease.h).
 * 3. Losing the lease ends the acting and nothing else.
 *
 * Thread: create, start, stop and destroy from main; see from any.
 */
#ifndef TURNOUT_ACT_ELECTOR_H
#define TURNOUT_ACT_ELECTOR_H

#include "base/clock.h"

struct elector;

enum {
    ELECTOR_TTL_MIN_MS = 500,
    ELECTOR_NAME_SIZE = 257,
    ELECTOR_URL_SIZE = 513,
};

/* Who leads. */
struct leadership {
    bool is_ours;
    int64_t term;                   /* 0: nobody knows */
    char holder[ELECTOR_NAME_SIZE]; /* "" when nobody knows */
    char url[ELECTOR_URL_SIZE];     /* of the holder */
};

struct elector_seams {
    /* Takes or renews the lease; afterwards who has it. An error: nothing is known. */
    MAY_BLOCK enum err_e (*try)(void *data, struct leadership *ret_leadership,
                                struct problem *ret_problem);
    MAY_BLOCK enum err_e (*give_back)(void *data, struct problem *ret_problem);
    void *data;
};

struct elector_options {
    struct clock *clock;
    int64_t ttl_ms; /* of the lease, ELECTOR_TTL_MIN_MS.. */
    struct elector_seams seams;
};

struct elector *elector_create(const struct elector_options *options); /* NULL without memory */
void elector_destroy(struct elector *elector);                         /* stopped; NULL: nothing */
enum err_e elector_start(struct elector *elector) MUST_CHECK;
/* Ends the thread and gives the lease back, so that a standby need not wait. NULL: nothing. */
MAY_BLOCK void elector_stop(struct elector *elector);

/* One try: the thread's work, for tests without one. */
MAY_BLOCK void elector_turn(struct elector *elector);

/* This very moment: is_ours holds no longer than the lease. */
void elector_see(struct elector *elector, struct leadership *ret_leadership);

#endif
