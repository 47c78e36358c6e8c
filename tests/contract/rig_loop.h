/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store as a loop sees it: every operation is submitted on a loop's thread, through the loop's
 * own way to the store (postgres_join).
 */
#ifndef TURNOUT_TESTS_CONTRACT_RIG_LOOP_H
#define TURNOUT_TESTS_CONTRACT_RIG_LOOP_H

#include "rig.h"

/* Owns `store` from then on. With a connection of the loop's own: waits until reads are answered on
 * the loop, and fails the test when they never are. */
struct store *rig_loop_create(struct store *store);
/* How many answers of a store made here came on its loop's thread. */
int64_t rig_loop_answers(struct store *store);

#endif
