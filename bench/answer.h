/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An HTTP/1.1 answer as it arrives, read in place by whoever drives a server with load: the head
 * once, the chunks joined when the last of them is there. It expects what our server and HAProxy
 * send (no trailers), and bodies without CR LF in them, as JSON is. The caller owns the bytes.
 * Thread: any, one at a time.
 */
#ifndef BENCH_ANSWER_H
#define BENCH_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

struct answer { /* all zero before the first byte */
    size_t body_at;      /* 0: the head is not whole yet */
    long content_length; /* -1: chunked */
    int status;
    bool closes;         /* the server ends the connection behind it */
};

enum answer_e { ANSWER_PARTIAL, ANSWER_WHOLE, ANSWER_BROKEN };

/* Looks at the `*len` bytes that are there now, with a NUL behind them. When the answer is whole,
 * its body is at[body_at] to at[*len]: joining chunks makes it shorter. */
enum answer_e answer_read(struct answer *answer, char *at, size_t *len);

/* A field's value in the head, up to the end of its line; NULL when there is none. */
const char *answer_field(const struct answer *answer, const char *at, const char *name);

#endif
