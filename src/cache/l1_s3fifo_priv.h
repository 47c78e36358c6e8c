/* SPDX-License-Identifier: Apache-2.0 */
/*
 * S3-FIFO with fixed settings (Yang, Zhang, Qiu, Yue, Rashmi, "FIFO Queues are All You Need for
 * Cache Eviction", SOSP 2023). The policy runs one over the real entries and a few small ones as
 * the contestants of its duel (l1_duel_priv.h).
 *
 *     new ──► small ──► main ◄─┐ mark > 0: again, mark less
 *      │        │        └─────┘
 *      │        │ mark < promote_at      │ mark 0
 *      │        ▼                        ▼
 *      │      ghost ── seen again ──► main     out, forgotten
 *      └─ hash in ghost: straight to main
 *
 * Thread: the shard's mutex.
 */
#ifndef TURNOUT_CACHE_L1_S3FIFO_PRIV_H
#define TURNOUT_CACHE_L1_S3FIFO_PRIV_H

#include "cache/l1_ghost_priv.h"
#include "cache/l1_list_priv.h"

enum { S3FIFO_MARK_MAX = 3 };

/* What the mark of an entry is worth when it is the oldest of main. */
enum s3fifo_rounds_e {
    S3FIFO_ROUND_A_HIT, /* as many further rounds: keeps what was used often */
    S3FIFO_ONE_ROUND,   /* one, whatever the mark: lets go of what was used often, once */
};

struct s3fifo_tuning {
    uint8_t promote_at;    /* hits in the small queue that lead to main, 1..S3FIFO_MARK_MAX */
    uint8_t small_percent; /* of the capacity, 1..99 */
    enum s3fifo_rounds_e rounds;
};

struct s3fifo {
    struct policy_view view;
    struct list small;
    struct list main;
    struct ghost ghost;
    uint8_t *in_main; /* by id */
    uint32_t small_target;
    uint8_t promote_at;
    uint8_t rounds;
};

void s3fifo_lay(struct s3fifo *cache, struct policy_view view, struct carve *carve);
void s3fifo_tune(struct s3fifo *cache, struct s3fifo_tuning tuning);
void s3fifo_insert(struct s3fifo *cache, uint32_t id);
uint32_t s3fifo_victim(struct s3fifo *cache);
void s3fifo_remove(struct s3fifo *cache, uint32_t id);
void s3fifo_check(const struct s3fifo *cache, uint32_t entries);

#endif
