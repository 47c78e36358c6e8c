/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A query that is taken has each name once and only UTF-8 in it, and a refusal names its reason; a
 * cursor that is taken is written the same again.
 */
#include "api/cursor.h"
#include "api/query.h"
#include "base/assert.h"
#include "base/clock.h"
#include "fuzz.h"

enum { ARENA_LIMIT = 1 << 20 };

static void check_params(const struct query *query) {
    for (size_t i = 0; i < query->len; i++) {
        ASSERT(slice_is_utf8(query->params[i].name) && slice_is_utf8(query->params[i].value));
        for (size_t j = 0; j < i; j++) {
            ASSERT(!slice_eq(query->params[i].name, query->params[j].name));
        }
    }
}

static void check_values(const struct query *query) {
    struct problem problem;
    struct slice text;
    int64_t number = 1;
    int64_t time_ms = TIME_NONE;
    if (query_int(query, "limit", (struct query_range){1, 1000}, &number, &problem) == ERR_OK) {
        ASSERT(number >= 1 && number <= 1000);
    }
    if (query_time(query, "since", &time_ms, &problem) == ERR_OK && time_ms != TIME_NONE) {
        ASSERT(time_ms >= TIME_MIN_MS && time_ms <= TIME_MAX_MS);
    }
    struct cursor cursor = {.list = CURSOR_EVENTS};
    if (query_get(query, "cursor", &text) && cursor_parse(text, &cursor, &problem) == ERR_OK) {
        char again[CURSOR_TEXT_SIZE];
        cursor_format(&cursor, again);
        ASSERT(slice_eq_text(text, again));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena;
    struct query query;
    struct problem problem = {.field = ""};
    arena_init(&arena, ARENA_LIMIT);
    struct slice text = slice_from((const char *)data, size);
    if (query_parse(&arena, text, &query, &problem) == ERR_OK) {
        check_params(&query);
        check_values(&query);
    } else {
        ASSERT(problem.field[0] != '\0' && problem.detail[0] != '\0');
    }
    arena_fini(&arena);
    return 0;
}
