/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When to leave a node alone, and how many retries a client may afford. Pure: time is handed in.
 *
 *            third failure in a row             a second later: one probe
 *   closed ─────────────────────────► open ─────────────────────────────► half_open
 *      ▲                               ▲                                    │   │
 *      │                               └───────────── failure ──────────────┘   │
 *      └────────────────────────────────── success ─────────────────────────────┘
 *
 * Only an answer of the node counts as success: a stopped process still accepts connections.
 * Thread: the loop's.
 */
#ifndef TURNOUT_CACHE_REDIS_BREAKER_PRIV_H
#define TURNOUT_CACHE_REDIS_BREAKER_PRIV_H

#include "cache/redis.h"

enum {
    BREAKER_FAILURES = 3,
    BREAKER_PAUSE_US = 1000000,
    RETRY_DEPOSIT_PERCENT = 10, /* retries may add a tenth to the load, */
    RETRY_BALANCE_MAX = 20,     /* and this many more in a burst */
};

struct redis_breaker {
    int state; /* REDIS_CLOSED, REDIS_OPEN or REDIS_HALF_OPEN */
    unsigned failures;
    int64_t probe_at_us;
};

void redis_breaker_init(struct redis_breaker *breaker);
/* True when this failure opened it from closed. */
bool redis_breaker_failed(struct redis_breaker *breaker, int64_t now_us);
/* True when this success closed it. */
bool redis_breaker_succeeded(struct redis_breaker *breaker);
/* True when it was open and the pause is over: the caller makes the one probe. */
bool redis_breaker_probe(struct redis_breaker *breaker, int64_t now_us);

struct redis_retry_budget {
    unsigned balance; /* hundredths of a retry */
};

void redis_retry_budget_init(struct redis_retry_budget *budget); /* full */
void redis_retry_budget_deposit(struct redis_retry_budget *budget); /* for each first try */
bool redis_retry_budget_take(struct redis_retry_budget *budget);

/* Microseconds before try `tries` (1..): 10 ms doubled each time up to 160 ms, half of it chance;
 * `chance` is any random number. */
int64_t redis_backoff_us(unsigned tries, uint64_t chance);

#endif
