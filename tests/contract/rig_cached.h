/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The caching store as a store of its own: a loop on its thread, L1 in front of `inner`, and
 * operations that are carried to the loop. So the whole suite runs through the cache.
 * Thread: open and close from the test's; submit from any.
 */
#ifndef TURNOUT_TESTS_CONTRACT_RIG_CACHED_H
#define TURNOUT_TESTS_CONTRACT_RIG_CACHED_H

#include "store/store.h"

/* Owns `inner` from here on. The clock is the cache's too: what is old to the test is old to it. */
struct store *rig_cached_open(struct store *inner, struct clock *clock);
/* Reads that it has answered without the store behind. */
uint64_t rig_cached_hits(struct store *store);

#endif
