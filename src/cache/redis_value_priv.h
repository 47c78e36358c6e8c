/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The envelope around what lies in Redis. Big-endian; bytes 4 to 11 are what the fill's script
 * compares.
 *
 *   0..2 "tc1"   3 kind: v value, t tombstone   4..11 generation (never 0)   12..19 version
 *   20..27 checksum over the key and everything else   28.. payload (none in a tombstone)
 *
 * The checksum finds accidents, not malice: who can write to Redis can forge it.
 * Thread: any.
 */
#ifndef TURNOUT_CACHE_REDIS_VALUE_PRIV_H
#define TURNOUT_CACHE_REDIS_VALUE_PRIV_H

#include "base/slice.h"

enum { REDIS_ENVELOPE = 28, REDIS_GENERATION_AT = 4, REDIS_GENERATION_SIZE = 8 };

enum redis_kind_e { REDIS_KIND_VALUE = 'v', REDIS_KIND_TOMBSTONE = 't' };

struct redis_envelope {
    enum redis_kind_e kind;
    uint64_t generation;
    uint64_t version;
    struct slice payload;
};

void redis_put_u64(char *to, uint64_t value); /* eight bytes, big-endian */
/* The head that stands before the payload. */
void redis_envelope_write(struct slice key, const struct redis_envelope *envelope,
                          char ret_head[REDIS_ENVELOPE]);
/* False when it is not an intact envelope of this key. */
bool redis_envelope_read(struct slice key, struct slice bytes,
                         struct redis_envelope *ret_envelope);

#endif
