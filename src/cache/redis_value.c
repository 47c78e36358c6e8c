/* SPDX-License-Identifier: Apache-2.0 */
/* Writing and checking envelopes. */
#include "cache/redis_value_priv.h"

#include <endian.h>

enum { VERSION_AT = 12, CHECKSUM_AT = 20 };

void redis_put_u64(char *to, uint64_t value) {
    value = htobe64(value);
    memcpy(to, &value, sizeof value);
}

static uint64_t take_u64(const char *from) {
    uint64_t value;
    memcpy(&value, from, sizeof value);
    return be64toh(value);
}

/* Each step is one-to-one in `sum` and in `word`: a change within one word is always found. */
static uint64_t mix(uint64_t sum, uint64_t word) {
    sum = (sum ^ word) * 0x9e3779b97f4a7c15u;
    return sum ^ sum >> 32;
}

/* Eight bytes a step: a byte a step took a quarter of the instructions of a get. The length tells a
 * short tail from zeros, and one part from the next. */
static uint64_t mix_part(uint64_t sum, struct slice part) {
    sum = mix(sum, part.len);
    for (; part.len >= 8; part = slice_skip(part, 8)) {
        sum = mix(sum, take_u64(part.at));
    }
    uint64_t tail = 0;
    for (size_t i = 0; i < part.len; i++) {
        tail = tail << 8 | (unsigned char)part.at[i];
    }
    return mix(sum, tail);
}

static uint64_t checksum(struct slice key, const char *head, struct slice payload) {
    uint64_t sum = mix_part(0, key);
    return mix_part(mix_part(sum, slice_from(head, CHECKSUM_AT)), payload);
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
