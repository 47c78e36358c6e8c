/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The strict reading of a chunked body (RFC 9112, 7.1): where it ends and how much it holds. Inside
 * this unit only. It changes nothing; libh2o joins the chunks once the whole body is known to be
 * good.
 * Thread: one at a time; pure.
 */
#ifndef TURNOUT_HTTP_CHUNKS_PRIV_H
#define TURNOUT_HTTP_CHUNKS_PRIV_H

#include "base/slice.h"

/* What may be spent on sizes, extensions and trailers beyond the data itself: room for a trailer
 * section and for honest small chunks, but a body cannot be mostly framing. */
enum { CHUNKS_FRAMING_MAX = 64 * 1024 };

struct chunks {
    int state;
    uint64_t left;  /* of the chunk's data */
    int digits;     /* of the chunk's size */
    size_t data;    /* bytes of body so far */
    size_t framing; /* bytes that are not body so far */
};

enum chunks_e { CHUNKS_MORE, CHUNKS_END, CHUNKS_BROKEN };

void chunks_init(struct chunks *chunks);

/* Reads on in `input`; `*ret_used` of its bytes belong to the body (all of them for
 * CHUNKS_MORE). */
enum chunks_e chunks_read(struct chunks *chunks, struct slice input, size_t *ret_used);

#endif
