/* SPDX-License-Identifier: Apache-2.0 */
/* https://www.w3.org/TR/trace-context-1/#traceparent-header */
#include "http/trace_priv.h"

#include <inttypes.h>
#include <stdio.h>

static bool is_hex(struct slice text) {
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f')) {
            return false;
        }
    }
    return true;
}

static bool is_zero(struct slice text) {
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] != '0') {
            return false;
        }
    }
    return true;
}

static bool is_id(struct slice text) {
    return is_hex(text) && !is_zero(text);
}

/* A later version may have more behind another dash; its first four parts are ours. */
static bool has_shape(struct slice given) {
    struct slice version = slice_from(given.at, 2);
    bool is_first = slice_eq_text(version, "00");
    if (!is_hex(version) || slice_eq_text(version, "ff")) {
        return false;
    }
    if (given.len > TRACE_TEXT_LEN && (is_first || given.at[TRACE_TEXT_LEN] != '-')) {
        return false;
    }
    return given.at[TRACE_ID_AT - 1] == '-' && given.at[TRACE_SPAN_AT - 1] == '-' &&
           given.at[TRACE_FLAGS_AT - 1] == '-';
}

bool trace_take(struct slice given, uint64_t span, char ret_text[TRACE_TEXT_LEN + 1]) {
    if (given.len < TRACE_TEXT_LEN || !has_shape(given)) {
        return false;
    }
    struct slice id = slice_from(given.at + TRACE_ID_AT, TRACE_ID_LEN);
    struct slice parent = slice_from(given.at + TRACE_SPAN_AT, TRACE_SPAN_LEN);
    struct slice flags = slice_from(given.at + TRACE_FLAGS_AT, 2);
    if (!is_id(id) || !is_id(parent) || !is_hex(flags)) {
        return false;
    }
    span = span == 0 ? 1 : span; /* no span has the id 0 */
    snprintf(ret_text, TRACE_TEXT_LEN + 1, "00-%.*s-%016" PRIx64 "-%.*s", SLICE_ARG(id), span,
             SLICE_ARG(flags));
    return true;
}
