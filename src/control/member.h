/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of one node as a controller sees it: moved by what it answers each second, and by what
 * its registration says. Pure. Thread: the owner's.
 *
 *               good, recover_after in a row
 *               (one is enough for a newcomer)
 *       ┌───────────────────────────────────────────────┐
 *       │                                               ▼
 *  ► SUSPECT ◄── missed or slow, so many in a row ── HEALTHY
 *     │ │  ▲     or five of ten; not ready; lies        │
 *     │ │  │                                            │
 *     │ │  └── good or lies ── DRAINING ◄───────────────┤ it says that it drains,
 *     │ └───────────────────────► ▲                     │ by its answer or its registration
 *     │                           └─────────────────────┘
 *     ▼
 *   GONE ◄── from any state: it left; or its registration ended and it does not answer
 *     │
 *     └──► SUSPECT: registered anew
 *
 * 1. Only HEALTHY nodes are chosen.
 * 2. A node that answers and whose registration ended is not gone: it is the database that is slow.
 * 3. A node that drains owes no answers: it may have closed its doors.
 * 4. A lie is an answer that cannot be believed: not signed by the cluster's secret, from another
 *    process than the registered one, or with figures that cannot be.
 */
#ifndef TURNOUT_CONTROL_MEMBER_H
#define TURNOUT_CONTROL_MEMBER_H

#include "base/slice.h"

/* X(NAME, word) */
#define MEMBER_STATE_TABLE(X)                                                                      \
    X(SUSPECT, "suspect")                                                                          \
    X(HEALTHY, "healthy")                                                                          \
    X(DRAINING, "draining")                                                                        \
    X(GONE, "gone")
#define X(name, word) MEMBER_##name,
enum member_state_e { MEMBER_STATE_TABLE(X) MEMBER_STATE_COUNT };
#undef X
const char *member_state_text(enum member_state_e state);

/* X(NAME, word): what came of asking. */
#define MEMBER_ANSWER_TABLE(X)                                                                     \
    X(GOOD, "good")                                                                                \
    X(SLOW, "slow")           /* good, but late */                                                 \
    X(MISSED, "missed")       /* none within the deadline */                                       \
    X(NOT_READY, "not ready") /* it says so */                                                     \
    X(DRAINS, "drains")       /* it says so */                                                     \
    X(LIES, "lies")
#define X(name, word) ANSWER_##name,
enum member_answer_e { MEMBER_ANSWER_TABLE(X) MEMBER_ANSWER_COUNT };
#undef X
const char *member_answer_text(enum member_answer_e answer);

enum member_listing_e {
    LISTING_VALID,
    LISTING_DRAINS, /* the same, and it is about to stop */
    LISTING_ENDED, /* it was not renewed in time */
    LISTING_NONE,  /* it took its registration away */
};

struct member_policy { /* each 1.. */
    int miss_after;    /* misses in a row until it is suspect */
    int slow_after;    /* the same for slow answers */
    int recover_after; /* good answers in a row until it is healthy again */
};

enum { MEMBER_WHY_SIZE = 200 };

struct member {
    int state;         /* enum member_state_e */
    int64_t since_ms;  /* of the state; the caller's monotonic time */
    int answer;        /* the last one; -1: none yet */
    int run;           /* so many of it in a row */
    unsigned bad;      /* the last answers, newest lowest: a bit where it was missed or slow */
    bool is_new;       /* has not been healthy since it was registered */
    char why[MEMBER_WHY_SIZE]; /* of the state, in a sentence without an end */
};

void member_init(struct member *member, int64_t now_ms);
/* True when the state changed. `detail`: what was wrong with the answer; empty when nothing was. */
bool member_hear(struct member *member, enum member_answer_e answer, const char *detail,
                 const struct member_policy *policy, int64_t now_ms);
bool member_list(struct member *member, enum member_listing_e listing, int64_t now_ms);

#endif
