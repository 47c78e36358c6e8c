/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A traceparent that is taken is passed on as one: it would be taken again, with the same trace,
 * and with the span that was given. Anything else is as if it were not there.
 */
#include "base/assert.h"
#include "fuzz.h"
#include "http/trace_priv.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice given = slice_from((const char *)data, size);
    char text[TRACE_TEXT_LEN + 1], again[TRACE_TEXT_LEN + 1];
    if (!trace_take(given, 0x0123456789abcdef, text)) {
        return 0;
    }
    ASSERT(size >= TRACE_TEXT_LEN && strlen(text) == TRACE_TEXT_LEN);
    ASSERT(memcmp(text + TRACE_ID_AT, given.at + TRACE_ID_AT, TRACE_ID_LEN) == 0);
    ASSERT(memcmp(text + TRACE_SPAN_AT, "0123456789abcdef", TRACE_SPAN_LEN) == 0);
    ASSERT(trace_take(slice_of(text), 0x0123456789abcdef, again));
    ASSERT(strcmp(text, again) == 0);
    return 0;
}
