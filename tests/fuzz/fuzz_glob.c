/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first byte says how long the pattern is, the key follows. The matcher agrees with the grammar
 * written down plainly: recursive and slow, so its inputs are short.
 */
#include "base/assert.h"
#include "cache/glob.h"
#include "fuzz.h"

enum { PATTERN_MAX = 12, KEY_MAX = 12 };

static bool class_has(struct slice *pattern, unsigned char byte) { /* behind the [ */
    bool inverted = pattern->len > 0 && pattern->at[0] == '^';
    *pattern = slice_skip(*pattern, inverted);
    bool found = false;
    while (pattern->len > 0 && pattern->at[0] != ']') {
        const unsigned char *p = (const unsigned char *)pattern->at;
        size_t taken = 1;
        if (p[0] == '\\' && pattern->len >= 2) {
            found |= byte == p[1];
            taken = 2;
        } else if (pattern->len >= 3 && p[1] == '-') {
            found |= (p[0] <= byte && byte <= p[2]) || (p[2] <= byte && byte <= p[0]);
            taken = 3;
        } else {
            found |= byte == p[0];
        }
        *pattern = slice_skip(*pattern, taken);
    }
    *pattern = slice_skip(*pattern, 1);
    return found != inverted;
}

static bool plain_match(struct slice pattern, struct slice key) {
    if (pattern.len == 0) {
        return key.len == 0;
    }
    if (pattern.at[0] == '*') {
        return plain_match(slice_skip(pattern, 1), key) ||
               (key.len > 0 && plain_match(pattern, slice_skip(key, 1)));
    }
    if (key.len == 0) {
        return false;
    }
    unsigned char byte = (unsigned char)key.at[0];
    struct slice rest = slice_skip(pattern, 1);
    bool fits = true;
    if (pattern.at[0] == '[') {
        fits = class_has(&rest, byte);
    } else if (pattern.at[0] == '\\' && pattern.len > 1) {
        fits = (unsigned char)pattern.at[1] == byte;
        rest = slice_skip(pattern, 2);
    } else if (pattern.at[0] != '?') {
        fits = (unsigned char)pattern.at[0] == byte;
    }
    return fits && plain_match(rest, slice_skip(key, 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    struct slice rest = slice_from((const char *)data + 1, size - 1);
    size_t cut = data[0] < rest.len ? data[0] : rest.len;
    struct slice pattern = slice_from(rest.at, cut);
    struct slice key = slice_from(rest.at + cut, rest.len - cut);
    bool matches = glob_matches(pattern, key);
    if (pattern.len <= PATTERN_MAX && key.len <= KEY_MAX) {
        ASSERT(matches == plain_match(pattern, key));
    }
    return 0;
}
