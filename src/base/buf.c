/* SPDX-License-Identifier: Apache-2.0 */
/* Doubling storage. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUF_FIRST = 512 };

void buf_init(struct buf *buf, size_t limit) {
    *buf = (struct buf){.limit = limit};
}

void buf_fini(struct buf *buf) {
    free(buf->at);
    *buf = (struct buf){.limit = buf->limit};
}

void buf_clear(struct buf *buf) {
    buf->len = 0;
    buf->failed = false;
}

bool buf_reserve(struct buf *buf, size_t more) {
    if (buf->size - buf->len >= more) {
        return true;
    }
    if (more > buf->limit - buf->len) {
        buf->failed = true;
        return false;
    }
    size_t size = buf->size < BUF_FIRST ? BUF_FIRST : 2 * buf->size;
    while (size - buf->len < more) {
        size *= 2;
    }
    size = size < buf->limit ? size : buf->limit;
    char *grown = realloc(buf->at, size);
    if (grown == NULL) {
        buf->failed = true;
        return false;
    }
    buf->at = grown;
    buf->size = size;
    return true;
}

void buf_add_int(struct buf *buf, int64_t value) {
    char digits[24];
    size_t at = sizeof digits;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0) {
        digits[--at] = '-';
    }
    buf_add(buf, slice_from(digits + at, sizeof digits - at));
}

void buf_printf(struct buf *buf, const char *format, ...) {
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int need = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (need > 0 && buf_reserve(buf, (size_t)need + 1)) {
        vsnprintf(buf->at + buf->len, (size_t)need + 1, format, again);
        buf->len += (size_t)need;
    }
    va_end(again);
}
