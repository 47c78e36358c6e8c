/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A borrowed run of bytes: the string type from socket to store. It owns nothing; whoever makes one
 * says how long the bytes live. NUL-terminated strings appear only at the border to libc and SQL.
 * Thread: any.
 */
#ifndef TURNOUT_BASE_SLICE_H
#define TURNOUT_BASE_SLICE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *at; /* may be NULL when len is 0 */
    size_t len;
};

#define SLICE_NONE ((struct slice){NULL, 0})
#define SLICE_LIT(literal) ((struct slice){"" literal, sizeof(literal) - 1})

/* For printf: printf("%.*s", SLICE_ARG(s)). Lengths above INT_MAX never occur: inputs are
 * bounded. */
#define SLICE_ARG(s) (int)(s).len, (s).at

static inline struct slice slice_of(const char *text) {
    return (struct slice){text, text == NULL ? 0 : strlen(text)};
}

static inline struct slice slice_from(const char *at, size_t len) {
    return (struct slice){at, len};
}

static inline bool slice_eq(struct slice a, struct slice b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static inline bool slice_eq_text(struct slice a, const char *text) {
    return slice_eq(a, slice_of(text));
}

static inline struct slice slice_skip(struct slice s, size_t n) {
    return n >= s.len ? SLICE_NONE : (struct slice){s.at + n, s.len - n};
}

int slice_order(struct slice a, struct slice b); /* by bytes: <0, 0, >0 */
bool slice_eq_nocase(struct slice a, struct slice b); /* ASCII letters only */
bool slice_starts_with(struct slice s, struct slice prefix);
struct slice slice_trim(struct slice s); /* without spaces and tabs at both ends */

/* Takes the bytes before the first `separator` off `rest` (all of them if there is none); false
 * once nothing is left. "a,,b" gives "a", "", "b"; "" gives nothing. */
bool slice_next(struct slice *rest, char separator, struct slice *ret_part);

/* A whole decimal number without sign or white space, lo..hi; false otherwise. */
bool slice_to_int(struct slice s, int64_t lo, int64_t hi, int64_t *ret_value);

/* True when the bytes are well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates). */
bool slice_is_utf8(struct slice s);

/* FNV-1a, 64 bits: for hash tables over trusted or bounded input, not for secrets. */
uint64_t slice_hash(struct slice s);

/* Copies into `to` with a NUL at the end; false when it does not fit in `size` bytes. */
bool slice_to_cstr(struct slice s, char *to, size_t size);

#endif
