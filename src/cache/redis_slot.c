/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CRC-16/XMODEM (polynomial 0x1021, start 0), four bits a step: the table fits in one cache line,
 * and keys are short.
 */
#include "cache/redis_slot_priv.h"

static const uint16_t nibbles[16] = {
    0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5, 0x60c6, 0x70e7,
    0x8108, 0x9129, 0xa14a, 0xb16b, 0xc18c, 0xd1ad, 0xe1ce, 0xf1ef,
};

uint16_t redis_crc16(struct slice bytes) {
    unsigned crc = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned byte = (unsigned char)bytes.at[i];
        crc = (crc << 4 ^ nibbles[(crc >> 12 ^ byte >> 4) & 15]) & 0xffff;
        crc = (crc << 4 ^ nibbles[(crc >> 12 ^ byte) & 15]) & 0xffff;
    }
    return (uint16_t)crc;
}

unsigned redis_slot_of(struct slice key) {
    const char *open = key.len == 0 ? NULL : memchr(key.at, '{', key.len);
    if (open == NULL) {
        return redis_crc16(key) % REDIS_SLOTS;
    }
    struct slice rest = slice_skip(key, (size_t)(open - key.at) + 1);
    const char *shut = rest.len == 0 ? NULL : memchr(rest.at, '}', rest.len);
    if (shut == NULL || shut == rest.at) {
        return redis_crc16(key) % REDIS_SLOTS;
    }
    return redis_crc16(slice_from(rest.at, (size_t)(shut - rest.at))) % REDIS_SLOTS;
}
