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
void buf_add(struct buf *buf, struct slice s);
void buf_add_text(struct buf *buf, const char *text);
void buf_add_char(struct buf *buf, char c);
void buf_add_int(struct buf *buf, int64_t value);
void buf_printf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);

static inline struct slice buf_slice(const struct buf *buf) {
    return slice_from(buf->at, buf->len);
}

#endif
