/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing run of bytes with a limit: answers, exports, log lines.
 * A failed append sets `failed` and leaves the rest alone, so a writer checks once at its end.
 * Thread: one at a time. The bytes are kept over buf_clear.
 */
#ifndef TURNOUT_BASE_BUF_H
#define TURNOUT_BASE_BUF_H

#include "base/slice.h"

struct buf {
    char *at;
    size_t len;
    size_t size;
    size_t limit; /* most bytes it may hold */
    bool failed;  /* an append did not fit */
};

void buf_init(struct buf *buf, size_t limit);
void buf_fini(struct buf *buf);
void buf_clear(struct buf *buf);

bool buf_reserve(struct buf *buf, size_t more); /* room for `more` bytes behind len */
void buf_add_int(struct buf *buf, int64_t value);
void buf_printf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);

/* Appends that fit are done in place: a document is a hundred of them. */
static inline void buf_add(struct buf *buf, struct slice s) {
    if (s.len > 0 && (buf->size - buf->len >= s.len || buf_reserve(buf, s.len))) {
        memcpy(buf->at + buf->len, s.at, s.len);
        buf->len += s.len;
    }
}

static inline void buf_add_text(struct buf *buf, const char *text) {
    buf_add(buf, slice_of(text));
}

static inline void buf_add_char(struct buf *buf, char c) {
    if (buf->len < buf->size || buf_reserve(buf, 1)) {
        buf->at[buf->len++] = c;
    }
}

static inline struct slice buf_slice(const struct buf *buf) {
    return slice_from(buf->at, buf->len);
}

#endif
