/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's randomness, and a seeded generator that repeats itself. */
#include "base/rng.h"

#include "base/assert.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

static void system_fill(struct rng *rng, void *to, size_t len) {
    (void)rng;
    char *at = to;
    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        ASSERT(got > 0);
        at += got;
        len -= (size_t)got;
    }
}

struct rng *rng_system(void) {
    static struct rng system_rng = {system_fill};
    return &system_rng;
}

static uint64_t splitmix_next(struct seeded_rng *rng) {
    uint64_t z = rng->state += 0x9e3779b97f4a7c15ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

static void seeded_fill(struct rng *rng, void *to, size_t len) {
    char *at = to;
    while (len > 0) {
        uint64_t word = splitmix_next((struct seeded_rng *)rng);
        size_t n = len < sizeof word ? len : sizeof word;
        memcpy(at, &word, n);
        at += n;
        len -= n;
    }
}

void seeded_rng_init(struct seeded_rng *rng, uint64_t seed) {
    *rng = (struct seeded_rng){{seeded_fill}, seed};
}

uint64_t rng_u64(struct rng *rng) {
    uint64_t value;
    rng_fill(rng, &value, sizeof value);
    return value;
}

uint64_t rng_below(struct rng *rng, uint64_t bound) {
    ASSERT(bound > 0);
    uint64_t biased = (0 - bound) % bound;
    uint64_t value;
    do {
        value = rng_u64(rng);
    } while (value < biased);
    return value % bound;
}

double rng_unit(struct rng *rng) {
    return (double)(rng_u64(rng) >> 11) * 0x1p-53;
}
