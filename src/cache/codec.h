/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a finished read of the store looks like as bytes in a cache, and back.
 *
 * Compact and explicit: little-endian numbers, a length before each text. The first bytes say the
 * format's version and which kind of read it answers, and what is inside names whom it is about.
 * Bytes that are cut short, too long, out of range, of another version or about somebody else are
 * never made into an answer. Pure. Thread: any.
 *
 *   "T" version kind flags    then the kind's fields, in the order of codec.c
 *   number: 8 bytes           text: 2 bytes of length, then the bytes; 0xffff: there is none
 */
#ifndef TURNOUT_CACHE_CODEC_H
#define TURNOUT_CACHE_CODEC_H

#include "base/buf.h"
#include "store/store.h"

enum {
    CODEC_VERSION = 1, /* raised with every change of the format: old entries are misses then */
    CODEC_VALUE_MAX = (1 << 20) - 64, /* what fits in both levels, with a few bytes to spare */
};

/* Whether reads of this kind have a form as bytes. */
bool codec_knows(enum store_op_e kind);

/* Appends the answer of a read that went well. `to` fails when it is too long. */
void codec_write(const struct store_op *op, struct buf *to);

enum codec_e {
    CODEC_GOOD,  /* the results are in `op`, all of their texts in its arena */
    CODEC_BAD,   /* damaged, of another version, or about something else */
    CODEC_SHORT, /* intact, but a page that ends before what the operation asks for */
    CODEC_NO_MEMORY,
};
/* Anything but GOOD leaves `op` as it was, but for what its arena has given away. `bytes` may end
 * with the call. */
enum codec_e codec_read(struct slice bytes, struct store_op *op) MUST_CHECK;

#endif
