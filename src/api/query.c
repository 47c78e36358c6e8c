/* SPDX-License-Identifier: Apache-2.0 */
/* Query strings: application/x-www-form-urlencoded with strict escapes. */
#include "api/query.h"

#include "base/clock.h"
#include "base/text.h"
#include "domain/event.h"

#include <inttypes.h>

static enum err_e decode(struct arena *arena, struct slice raw, struct slice *ret_text,
                         struct problem *ret_problem) {
    if (!text_percent_decode(arena, raw, TEXT_PLUS_IS_SPACE, ret_text)) {
        return problem_set(ret_problem, ERR_INVALID_FIELD, "query",
                           "holds a percent sign without two hexadecimal digits");
    }
    if (!slice_is_utf8(*ret_text)) {
        return problem_set(ret_problem, ERR_INVALID_FIELD, "query", "is not UTF-8");
    }
    return ERR_OK;
}

static enum err_e add_param(struct query *query, struct slice name, struct slice value,
                            struct problem *ret_problem) {
    for (size_t i = 0; i < query->len; i++) {
        if (slice_eq(query->params[i].name, name)) {
            char shown[CODE_MAX + 1] = "query"; /* for a name that is none of ours */
            if (code_is_valid(name)) {
                (void)slice_to_cstr(name, shown, sizeof shown);
            }
            return problem_set(ret_problem, ERR_INVALID_FIELD, shown, "is given more than once");
        }
    }
    if (query->len == QUERY_PARAMS_MAX) {
        return problem_set(ret_problem, ERR_INVALID_FIELD, "query", "has more than %d parameters",
                           QUERY_PARAMS_MAX);
    }
    query->params[query->len].name = name;
    query->params[query->len].value = value;
    query->len++;
    return ERR_OK;
}

enum err_e query_parse(struct arena *arena, struct slice text, struct query *ret_query,
                       struct problem *ret_problem) {
    ret_query->len = 0;
    struct slice pair;
    while (slice_next(&text, '&', &pair)) {
        if (pair.len == 0) {
            continue;
        }
        const char *equals = memchr(pair.at, '=', pair.len);
        size_t name_len = equals == NULL ? pair.len : (size_t)(equals - pair.at);
        struct slice name, value;
        TRY(decode(arena, slice_from(pair.at, name_len), &name, ret_problem));
        TRY(decode(arena, slice_skip(pair, name_len + 1), &value, ret_problem));
        TRY(add_param(ret_query, name, value, ret_problem));
    }
    return ERR_OK;
}

bool query_get(const struct query *query, const char *name, struct slice *ret_value) {
    for (size_t i = 0; i < query->len; i++) {
        if (slice_eq_text(query->params[i].name, name)) {
            *ret_value = query->params[i].value;
            return true;
        }
    }
    return false;
}

enum err_e query_int(const struct query *query, const char *name, struct query_range range,
                     int64_t *value, struct problem *ret_problem) {
    struct slice text;
    if (query_get(query, name, &text) && !slice_to_int(text, range.lo, range.hi, value)) {
        return problem_set(ret_problem, ERR_INVALID_FIELD, name,
                           "must be a whole number from %" PRId64 " to %" PRId64, range.lo,
                           range.hi);
    }
    return ERR_OK;
}

enum { OFFSET_LEN = 6 }; /* "+09:00" */

static bool parse_time(struct slice text, int64_t *ret_ms) {
    char mended[40];
    if (text.len > OFFSET_LEN && text.at[text.len - OFFSET_LEN] == ' ' &&
        slice_to_cstr(text, mended, sizeof mended)) {
        mended[text.len - OFFSET_LEN] = '+';
        return time_parse(slice_from(mended, text.len), ret_ms);
    }
    return time_parse(text, ret_ms);
}

enum err_e query_time(const struct query *query, const char *name, int64_t *value_ms,
                      struct problem *ret_problem) {
    struct slice text;
    if (query_get(query, name, &text) && !parse_time(text, value_ms)) {
        return problem_set(ret_problem, ERR_INVALID_FIELD, name,
                           "must be a time like 2026-11-24T18:30:00Z");
    }
    return ERR_OK;
}
