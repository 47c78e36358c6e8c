/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hashes of the last `capacity` entries that left, in order: a ring, and an open-addressed
 * index over it (linear probing, load at most 2/3, deletion by shifting back). About 10 bytes a
 * place. Thread: the shard's mutex.
 */
#ifndef TURNOUT_CACHE_L1_GHOST_PRIV_H
#define TURNOUT_CACHE_L1_GHOST_PRIV_H

#include "cache/l1_policy_priv.h"

struct ghost {
    uint32_t *ring;  /* hashes; the place of the next one is `at` */
    uint32_t *index; /* place in the ring plus one; 0 is empty */
    uint32_t capacity;
    uint32_t slots; /* of the index */
    uint32_t at;
    uint32_t filled; /* places of the ring ever used, at most capacity */
};

void ghost_lay(struct ghost *ghost, uint32_t capacity, struct carve *carve); /* capacity may be 0 */
void ghost_add(struct ghost *ghost, uint32_t hash);  /* forgets the oldest when full */
bool ghost_take(struct ghost *ghost, uint32_t hash); /* true, and forgotten, when it was there */
void ghost_check(const struct ghost *ghost);

#endif
