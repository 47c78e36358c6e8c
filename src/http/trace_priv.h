/* SPDX-License-Identifier: Apache-2.0 */
/*
 * W3C Trace Context: a caller's traceparent, taken over. What is not exactly as the recommendation
 * asks is as if it were not there, and so are two of them. Pure. Thread: any.
 */
#ifndef TURNOUT_HTTP_TRACE_PRIV_H
#define TURNOUT_HTTP_TRACE_PRIV_H

#include "base/slice.h"

enum {
    TRACE_TEXT_LEN = 55, /* 00-trace id-span id-flags */
    TRACE_ID_AT = 3,
    TRACE_ID_LEN = 32,
    TRACE_SPAN_AT = 36,
    TRACE_SPAN_LEN = 16,
    TRACE_FLAGS_AT = 53,
};

/* `ret_text` becomes what is passed on: the same trace, `span` as the parent of what follows.
 * False: `given` is no traceparent. */
bool trace_take(struct slice given, uint64_t span, char ret_text[TRACE_TEXT_LEN + 1]);

#endif
