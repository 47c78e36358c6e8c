/* SPDX-License-Identifier: Apache-2.0 */
/* Matching with one point of return: when a later piece fails, the last * takes a byte more. */
#include "cache/glob.h"

/* Matches `byte` against the class behind the [ at `at`; sets `ret_after` behind its ]. */
static bool class_matches(struct slice pattern, size_t at, unsigned char byte, size_t *ret_after) {
    const unsigned char *p = (const unsigned char *)pattern.at;
    bool wanted = true;
    if (at < pattern.len && p[at] == '^') {
        wanted = false;
        at++;
    }
    bool found = false;
    while (at < pattern.len && p[at] != ']') {
        size_t left = pattern.len - at;
        if (p[at] == '\\' && left >= 2) {
            found = found || p[at + 1] == byte;
            at += 2;
        } else if (left >= 3 && p[at + 1] == '-') {
            unsigned char low = p[at] < p[at + 2] ? p[at] : p[at + 2];
            unsigned char high = p[at] < p[at + 2] ? p[at + 2] : p[at];
            found = found || (byte >= low && byte <= high);
            at += 3;
        } else {
            found = found || p[at] == byte;
            at++;
        }
    }
    *ret_after = at < pattern.len ? at + 1 : at;
    return found == wanted;
}

/* Matches one byte against the piece at `at`, which is no *. */
static bool piece_matches(struct slice pattern, size_t at, unsigned char byte, size_t *ret_after) {
    const unsigned char *p = (const unsigned char *)pattern.at;
    if (p[at] == '[') {
        return class_matches(pattern, at + 1, byte, ret_after);
    }
    if (p[at] == '?') {
        *ret_after = at + 1;
        return true;
    }
    at += p[at] == '\\' && at + 1 < pattern.len;
    *ret_after = at + 1;
    return p[at] == byte;
}

bool glob_matches(struct slice pattern, struct slice key) {
    size_t at = 0;            /* in the pattern */
    size_t i = 0;             /* in the key */
    size_t star = SIZE_MAX;   /* behind the last * met, if any */
    size_t star_i = 0;        /* where that * stops eating */
    while (i < key.len) {
        if (at < pattern.len && pattern.at[at] == '*') {
            star = ++at;
            star_i = i;
            continue;
        }
        if (at < pattern.len && piece_matches(pattern, at, (unsigned char)key.at[i], &at)) {
            i++;
            continue;
        }
        if (star == SIZE_MAX) {
            return false;
        }
        at = star;
        i = ++star_i;
    }
    while (at < pattern.len && pattern.at[at] == '*') {
        at++;
    }
    return at == pattern.len;
}
