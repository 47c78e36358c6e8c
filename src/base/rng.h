/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Randomness as a value that is handed in. The system source is for secrets, tokens and keys; the
 * seeded source repeats itself and is for tests, jitter and sampling only. Thread: the system
 * source any, a seeded source one.
 */
#ifndef TURNOUT_BASE_RNG_H
#define TURNOUT_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

struct rng {
    void (*fill)(struct rng *rng, void *to, size_t len);
};

/* getrandom(2). Ends the process if the kernel has no randomness to give. */
struct rng *rng_system(void);

struct seeded_rng {
    struct rng base;
    uint64_t state; /* SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number
                       generators", 2014 */
};
void seeded_rng_init(struct seeded_rng *rng, uint64_t seed);

static inline void rng_fill(struct rng *rng, void *to, size_t len) {
    rng->fill(rng, to, len);
}
uint64_t rng_u64(struct rng *rng);
uint64_t rng_below(struct rng *rng, uint64_t bound); /* 0..bound-1, unbiased; bound > 0 */
double rng_unit(struct rng *rng);                    /* [0, 1) */

#endif
