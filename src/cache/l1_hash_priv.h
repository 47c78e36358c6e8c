/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A keyed hash for keys that strangers choose (tokens, search words): whoever does not know the
 * 256-bit secret, drawn per cache from the system's randomness, cannot aim keys at one bucket.
 *
 * Construction: 16 bytes a step, each step the high and low half of one 64x64-bit product folded by
 * exclusive or (the mixing step that wyhash and its kin made known), every operand masked by secret
 * words. The length goes into the last step, so that a tail padded with zeros differs from zeros.
 *
 * Limits: no proof and no claim of cryptographic strength. It is for hash tables whose values never
 * leave the process, not for message authentication, not for stored identifiers (the keyed hash of
 * unknown tokens is OpenSSL's business), and who could measure single look-ups over a long time
 * might learn about the secret. A step yields zero when a masked operand is zero, which needs the
 * secret to arrange and happens by chance once in 2^63 steps. Thread: any.
 */
#ifndef TURNOUT_CACHE_L1_HASH_PRIV_H
#define TURNOUT_CACHE_L1_HASH_PRIV_H

#include "base/rng.h"
#include "base/slice.h"

struct keyed_hash {
    uint64_t secret[4];
};

static inline void keyed_hash_init(struct keyed_hash *hash, struct rng *rng) {
    rng_fill(rng, hash->secret, sizeof hash->secret);
}

static inline uint64_t keyed_hash_fold(uint64_t a, uint64_t b) {
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t keyed_hash_word(const char *at) {
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static inline uint64_t keyed_hash_of(const struct keyed_hash *hash, struct slice key) {
    const char *at = key.at;
    size_t left = key.len;
    uint64_t state = hash->secret[0];
    while (left >= 16) {
        state = keyed_hash_fold(keyed_hash_word(at) ^ hash->secret[1] ^ state,
                                keyed_hash_word(at + 8) ^ hash->secret[2]);
        at += 16;
        left -= 16;
    }
    char tail[16] = {0};
    if (left > 0) {
        memcpy(tail, at, left);
    }
    state = keyed_hash_fold(keyed_hash_word(tail) ^ hash->secret[1] ^ state,
                            keyed_hash_word(tail + 8) ^ hash->secret[2]);
    return keyed_hash_fold(state ^ hash->secret[3], key.len ^ hash->secret[0]);
}

/* A place 0..size-1 from 32 hash bits without a division (its high bits decide). */
static inline uint32_t hash_place(uint32_t hash, uint32_t size) {
    return (uint32_t)(((uint64_t)hash * size) >> 32);
}

#endif
