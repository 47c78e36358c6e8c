/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which settings of S3-FIFO suit the load at hand? Each contestant is a small S3-FIFO over hashes
 * only, with its own settings, that sees the same sample of the keys (those whose hash has some low
 * bits clear) and is scaled down as the sample is: a miniature simulation (Waldspurger,
 * Saemundsson, Ahmad, Park, "Cache Modeling and Optimization using Miniature Simulations", USENIX
 * ATC 2017). Every contestant sees the same accesses, so chance in the sample hits all alike. The
 * one with more hits of late leads, and the real cache takes its settings over. Thread: the shard's
 * mutex.
 */
#ifndef TURNOUT_CACHE_L1_DUEL_PRIV_H
#define TURNOUT_CACHE_L1_DUEL_PRIV_H

#include "cache/l1_s3fifo_priv.h"

enum { DUEL_CONTESTANTS = 3 };

struct shadow {
    struct s3fifo cache;
    struct l1_node *nodes; /* `blob` stays unused */
    uint32_t *buckets;
    uint32_t entries;
    uint32_t hits; /* of late: halved at the end of each round */
};

struct duel {
    struct shadow shadows[DUEL_CONTESTANTS];
    uint32_t seen;   /* sampled accesses in this round */
    uint32_t round;  /* accesses that make a round */
    uint32_t leader; /* index of the settings in force */
};

uint32_t duel_sample_mask(uint32_t capacity); /* sampled: hash & mask == 0 */
void duel_lay(struct duel *duel, uint32_t capacity, struct carve *carve);
void duel_start(struct duel *duel); /* once laid out for good, over cleared memory */
/* One access by a sampled hash; true when the lead changed. */
bool duel_access(struct duel *duel, uint32_t hash);
struct s3fifo_tuning duel_tuning(const struct duel *duel);
void duel_check(const struct duel *duel);

#endif
