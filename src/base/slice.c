/* SPDX-License-Identifier: Apache-2.0 */
/* Comparing, splitting and checking borrowed bytes. */
#include "base/slice.h"

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

int slice_order(struct slice a, struct slice b) {
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len == 0 ? 0 : memcmp(a.at, b.at, len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

bool slice_eq_nocase(struct slice a, struct slice b) {
    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        if (lower(a.at[i]) != lower(b.at[i])) {
            return false;
        }
    }
    return true;
}

bool slice_starts_with(struct slice s, struct slice prefix) {
    return s.len >= prefix.len && slice_eq(slice_from(s.at, prefix.len), prefix);
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

struct slice slice_trim(struct slice s) {
    while (s.len > 0 && is_blank(s.at[0])) {
        s.at++;
        s.len--;
    }
    while (s.len > 0 && is_blank(s.at[s.len - 1])) {
        s.len--;
    }
    return s;
}

bool slice_next(struct slice *rest, char separator, struct slice *ret_part) {
    if (rest->at == NULL || rest->len == 0) {
        return false;
    }
    const char *found = memchr(rest->at, separator, rest->len);
    if (found == NULL) {
        *ret_part = *rest;
        *rest = SLICE_NONE;
        return true;
    }
    size_t taken = (size_t)(found - rest->at);
    *ret_part = slice_from(rest->at, taken);
    *rest = slice_from(found + 1, rest->len - taken - 1);
    return true;
}

bool slice_to_int(struct slice s, int64_t lo, int64_t hi, int64_t *ret_value) {
    if (s.len == 0) {
        return false;
    }
    int64_t value = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] < '0' || s.at[i] > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, s.at[i] - '0', &value)) {
            return false;
        }
    }
    if (value < lo || value > hi) {
        return false;
    }
    *ret_value = value;
    return true;
}

/* Length of the well-formed sequence at `p`, or 0. The second byte's range shuts out overlong
 * forms, surrogates and what lies above U+10FFFF (table 3-7 of the Unicode standard). */
static size_t utf8_sequence(const unsigned char *p, size_t left) {
    if (p[0] < 0x80) {
        return 1;
    }
    if (p[0] < 0xC2 || p[0] > 0xF4) {
        return 0;
    }
    size_t n = p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    if (left < n) {
        return 0;
    }
    unsigned lo = p[0] == 0xE0 ? 0xA0 : p[0] == 0xF0 ? 0x90 : 0x80;
    unsigned hi = p[0] == 0xED ? 0x9F : p[0] == 0xF4 ? 0x8F : 0xBF;
    if (p[1] < lo || p[1] > hi) {
        return 0;
    }
    for (size_t i = 2; i < n; i++) {
        if (p[i] < 0x80 || p[i] > 0xBF) {
            return 0;
        }
    }
    return n;
}

bool slice_is_utf8(struct slice s) {
    const unsigned char *p = (const unsigned char *)s.at;
    for (size_t i = 0; i < s.len;) {
        size_t n = utf8_sequence(p + i, s.len - i);
        if (n == 0) {
            return false;
        }
        i += n;
    }
    return true;
}

uint64_t slice_hash(struct slice s) {
    uint64_t hash = 0xcbf29ce484222325ULL;
    for (size_t i = 0; i < s.len; i++) {
        hash = (hash ^ (unsigned char)s.at[i]) * 0x100000001b3ULL;
    }
    return hash;
}

bool slice_to_cstr(struct slice s, char *to, size_t size) {
    if (s.len >= size) {
        return false;
    }
    if (s.len > 0) {
        memcpy(to, s.at, s.len);
    }
    to[s.len] = '\0';
    return true;
}
