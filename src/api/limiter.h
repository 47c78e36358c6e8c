/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often an address may fail to authenticate: a burst, then one failure a second. Memory is
 * bounded: a fixed table in which the address with the least on its account makes room. The account
 * is one time stamp (GCRA: ATM Forum, "Traffic Management Specification 4.0", 1996): when the
 * failures so far will be forgiven. An IPv6 client is counted by its /64, since it can use every
 * address of it. Pure but for the clock that is handed in. Thread: one.
 */
#ifndef TURNOUT_API_LIMITER_H
#define TURNOUT_API_LIMITER_H

#include "base/slice.h"

enum {
    LIMITER_SETS = 256,
    LIMITER_WAYS = 4, /* places an address can be in: 1024 addresses in all, 16 KiB */
    LIMITER_BURST = 20,
    LIMITER_INTERVAL_US = 1000000, /* one failure is forgiven each */
};

struct limiter_account {
    uint64_t address; /* hash; 0: free */
    int64_t clear_at_us;
};

struct limiter {
    uint64_t seed; /* so that nobody can choose addresses that share a set */
    struct limiter_account accounts[LIMITER_SETS][LIMITER_WAYS];
};

void limiter_init(struct limiter *limiter, uint64_t seed);
void limiter_note_failure(struct limiter *limiter, struct slice peer, int64_t now_us);
/* Seconds to wait, at least 1, or 0 when the address may try. */
int64_t limiter_wait_s(const struct limiter *limiter, struct slice peer, int64_t now_us);

#endif
