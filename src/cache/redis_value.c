/* SPDX-License-Identifier: Apache-2.0 */
/* Writing and checking envelopes. */
#include "cache/redis_value_priv.h"

enum { VERSION_AT = 12, CHECKSUM_AT = 20 };

void redis_put_u64(char *to, uint64_t value) {
    for (int i = 0; i < 8; i++) {
        to[i] = (char)(value >> (56 - 8 * i) & 0xff);
    }
}

static uint64_t take_u64(const char *from) {
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) {
        value = value << 8 | (unsigned char)from[i];
    }
    return value;
}

/* The three hashes are mixed by multiplying, so that equal parts in different places differ. */
static uint64_t checksum(struct slice key, const char *head, struct slice payload) {
    uint64_t sum = slice_hash(key);
    sum = (sum * 0x9e3779b97f4a7c15u) ^ slice_hash(slice_from(head, CHECKSUM_AT));
    return (sum * 0x9e3779b97f4a7c15u) ^ slice_hash(payload);
}

void redis_envelope_write(struct slice key, const struct redis_envelope *envelope,
                          char ret_head[REDIS_ENVELOPE]) {
    memcpy(ret_head, "tc1", 3);
    ret_head[3] = (char)envelope->kind;
    redis_put_u64(ret_head + REDIS_GENERATION_AT, envelope->generation);
    redis_put_u64(ret_head + VERSION_AT, envelope->version);
    redis_put_u64(ret_head + CHECKSUM_AT, checksum(key, ret_head, envelope->payload));
}

bool redis_envelope_read(struct slice key, struct slice bytes,
                         struct redis_envelope *ret_envelope) {
    if (bytes.len < REDIS_ENVELOPE || memcmp(bytes.at, "tc1", 3) != 0) {
        return false;
    }
    char kind = bytes.at[3];
    struct slice payload = slice_skip(bytes, REDIS_ENVELOPE);
    bool known = kind == REDIS_KIND_VALUE || (kind == REDIS_KIND_TOMBSTONE && payload.len == 0);
    if (!known || take_u64(bytes.at + CHECKSUM_AT) != checksum(key, bytes.at, payload)) {
        return false;
    }
    *ret_envelope = (struct redis_envelope){
        .kind = kind == REDIS_KIND_VALUE ? REDIS_KIND_VALUE : REDIS_KIND_TOMBSTONE,
        .generation = take_u64(bytes.at + REDIS_GENERATION_AT),
        .version = take_u64(bytes.at + VERSION_AT),
        .payload = payload,
    };
    return ret_envelope->generation != 0;
}
