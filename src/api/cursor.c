/* SPDX-License-Identifier: Apache-2.0 */
/* Cursors as bytes. */
#include "api/cursor.h"

enum { CURSOR_VERSION = 1, CHECKED_BYTES = CURSOR_BYTES - 4 };

static void put_number(unsigned char *to, uint64_t value, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        to[i] = (unsigned char)(value >> (8 * i));
    }
}

static uint64_t get_number(const unsigned char *from, size_t bytes) {
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++) {
        value |= (uint64_t)from[i] << (8 * i);
    }
    return value;
}

static uint32_t check_of(const unsigned char *bytes) {
    uint64_t hash = slice_hash(slice_from((const char *)bytes, CHECKED_BYTES));
    return (uint32_t)(hash ^ (hash >> 32));
}

void cursor_format(const struct cursor *cursor, char ret_text[CURSOR_TEXT_SIZE]) {
    unsigned char bytes[CURSOR_BYTES];
    bytes[0] = CURSOR_VERSION;
    bytes[1] = (unsigned char)cursor->list;
    put_number(bytes + 2, cursor->filter, 4);
    put_number(bytes + 6, (uint64_t)cursor->keys[0], 8);
    put_number(bytes + 14, (uint64_t)cursor->keys[1], 8);
    put_number(bytes + CHECKED_BYTES, check_of(bytes), 4);
    text_to_base64(bytes, sizeof bytes, ret_text);
}

enum err_e cursor_parse(struct slice text, struct cursor *expected, struct problem *ret_problem) {
    unsigned char bytes[CURSOR_BYTES];
    char again[CURSOR_TEXT_SIZE];
    if (text_from_base64(text, bytes, sizeof bytes) != CURSOR_BYTES ||
        get_number(bytes + CHECKED_BYTES, 4) != check_of(bytes) || bytes[0] != CURSOR_VERSION) {
        return problem_set(ret_problem, ERR_INVALID_CURSOR, "cursor", "is damaged or not ours");
    }
    text_to_base64(bytes, sizeof bytes, again); /* unused bits of the last character count too */
    if (!slice_eq_text(text, again)) {
        return problem_set(ret_problem, ERR_INVALID_CURSOR, "cursor", "is damaged or not ours");
    }
    if (bytes[1] != expected->list || get_number(bytes + 2, 4) != expected->filter) {
        return problem_set(ret_problem, ERR_INVALID_CURSOR, "cursor",
                           "was made for another list or another filter");
    }
    expected->keys[0] = (int64_t)get_number(bytes + 6, 8);
    expected->keys[1] = (int64_t)get_number(bytes + 14, 8);
    return ERR_OK;
}

uint32_t cursor_fold(uint32_t filter, struct slice part) {
    uint64_t hash = slice_hash(part) ^ ((uint64_t)filter << 32 | part.len);
    hash *= 0x9E3779B97F4A7C15ULL; /* spreads the bits: 2^64 over the golden ratio */
    return (uint32_t)(hash >> 32);
}

uint32_t cursor_fold_int(uint32_t filter, int64_t part) {
    unsigned char bytes[8];
    put_number(bytes, (uint64_t)part, sizeof bytes);
    return cursor_fold(filter, slice_from((const char *)bytes, sizeof bytes));
}
