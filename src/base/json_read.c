/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jansson with its memory in an arena.
 *
 * jansson takes process-wide allocation functions; ours look at a thread-local arena that is set
 * only while json_parse runs. Nothing is freed one by one: the arena ends it all. So a request
 * costs no malloc once its arena is warm.
 */
#include "base/json.h"

#include "base/assert.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <threads.h>

enum { NESTING_MAX = 64 };

static thread_local struct arena *parse_arena;
static thread_local bool out_of_memory; /* jansson reports it as any other failure */

static void *arena_or_heap_alloc(size_t size) {
    void *at = parse_arena != NULL ? arena_alloc(parse_arena, size) : malloc(size);
    out_of_memory = out_of_memory || at == NULL;
    return at;
}

static void arena_or_heap_free(void *at) {
    if (parse_arena == NULL) {
        free(at);
    }
}

static void install_allocator(void) {
    json_set_alloc_funcs(arena_or_heap_alloc, arena_or_heap_free);
}

/* jansson's own nesting limit is 2048 levels of recursion; ours is checked before it recurses. */
static bool nests_deeper_than(int levels, struct slice text) {
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (in_string) {
            if (c == '\\') {
                i++;
            } else if (c == '"') {
                in_string = false;
            }
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > levels) {
                return true;
            }
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return false;
}

static bool only_white_space(struct slice rest) {
    for (size_t i = 0; i < rest.len; i++) {
        if (rest.at[i] == '\0' || strchr(" \t\r\n", rest.at[i]) == NULL) {
            return false;
        }
    }
    return true;
}

static json_t *load(struct arena *arena, struct slice text, unsigned lax, json_error_t *ret_error) {
    static once_flag once = ONCE_FLAG_INIT;
    call_once(&once, install_allocator);
    parse_arena = arena;
    out_of_memory = false;
    size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DISABLE_EOF_CHECK;
    flags |= lax & JSON_DUPLICATE_KEYS ? 0 : JSON_REJECT_DUPLICATES;
    flags |= lax & JSON_INTEGERS_AS_REALS ? JSON_DECODE_INT_AS_REAL : 0;
    json_t *value = json_loadb(text.at != NULL ? text.at : "", text.len, flags, ret_error);
    parse_arena = NULL;
    return value;
}

enum err_e json_parse(struct arena *arena, struct slice text, struct json_t **ret_value,
                      struct problem *ret_problem) {
    static const struct json_rules strict = {.nesting_max = NESTING_MAX};
    return json_parse_by(arena, text, &strict, ret_value, ret_problem);
}

enum err_e json_parse_by(struct arena *arena, struct slice text, const struct json_rules *rules,
                         struct json_t **ret_value, struct problem *ret_problem) {
    ASSERT(rules->nesting_max > 0 && rules->nesting_max <= JSON_NESTING_LIMIT);
    if (nests_deeper_than(rules->nesting_max, text)) {
        return problem_set(ret_problem, ERR_MALFORMED_JSON, "", "nested deeper than %d levels",
                           rules->nesting_max);
    }
    json_error_t error;
    json_t *value = load(arena, text, rules->lax, &error);
    if (value == NULL && out_of_memory) {
        return problem_set(ret_problem, ERR_NO_MEMORY, "", "the document takes too much memory");
    }
    if (value == NULL) {
        return problem_set(ret_problem, ERR_MALFORMED_JSON, "", "line %d, column %d: %.180s",
                           error.line, error.column, error.text);
    }
    /* With JSON_DISABLE_EOF_CHECK, `position` is the number of bytes read. */
    if (!only_white_space(slice_skip(text, (size_t)error.position))) {
        return problem_set(ret_problem, ERR_MALFORMED_JSON, "",
                           "something follows the document at byte %d", error.position);
    }
    *ret_value = value;
    return ERR_OK;
}

enum json_kind_e json_kind(const struct json_t *value) {
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return JSON_KIND_OBJECT;
    case JSON_ARRAY:
        return JSON_KIND_ARRAY;
    case JSON_STRING:
        return JSON_KIND_STRING;
    case JSON_INTEGER:
        return JSON_KIND_INTEGER;
    case JSON_REAL:
        return JSON_KIND_REAL;
    case JSON_TRUE:
    case JSON_FALSE:
        return JSON_KIND_BOOLEAN;
    case JSON_NULL:
        return JSON_KIND_NULL;
    }
    UNREACHABLE();
}

struct slice json_text(const struct json_t *string) {
    return slice_from(json_string_value(string), json_string_length(string));
}

int64_t json_int(const struct json_t *integer) {
    return json_integer_value(integer);
}

double json_number(const struct json_t *number) {
    return json_number_value(number);
}

bool json_truth(const struct json_t *value) {
    return value->type == JSON_TRUE;
}

const struct json_t *json_get(const struct json_t *object, const char *key) {
    return json_object_get(object, key);
}

size_t json_count(const struct json_t *value) {
    return json_is_array(value) ? json_array_size(value) : json_object_size(value);
}

struct slice json_text_at(const struct json_t *object, const char *key, struct slice missing) {
    const struct json_t *value = json_get(object, key);
    return json_is_string(value) ? json_text(value) : missing;
}

bool json_is_numeric(const struct json_t *value) {
    return json_is_number(value);
}

bool json_is_true_at(const struct json_t *object, const char *key) {
    return json_is_true(json_get(object, key));
}

const struct json_t *json_at(const struct json_t *array, size_t index) {
    return json_array_get(array, index);
}

void json_each(const struct json_t *object, json_member_fn fn, void *data) {
    json_t *members = (json_t *)(uintptr_t)object; /* jansson's iterator takes no const */
    for (void *at = json_object_iter(members); at != NULL;
         at = json_object_iter_next(members, at)) {
        if (!fn(slice_of(json_object_iter_key(at)), json_object_iter_value(at), data)) {
            return;
        }
    }
}
