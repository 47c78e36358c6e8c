/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON in and out. Reading is jansson's strict parser with everything it allocates in the caller's
 * arena; writing appends to a buf. This unit is the only place that sees jansson.h.
 * Thread: any; a document and a writer belong to one thread.
 */
#ifndef TURNOUT_BASE_JSON_H
#define TURNOUT_BASE_JSON_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"

struct json_t; /* one value of a document; lives as long as the arena it was parsed into */

enum json_kind_e {
    JSON_KIND_OBJECT,
    JSON_KIND_ARRAY,
    JSON_KIND_STRING,
    JSON_KIND_INTEGER,
    JSON_KIND_REAL,
    JSON_KIND_BOOLEAN,
    JSON_KIND_NULL,
};

/* Parses exactly one document: any value, UTF-8, no duplicate keys, nesting up to 64 levels,
 * nothing but white space behind it. ERR_MALFORMED_JSON says where; ERR_NO_MEMORY when the arena is
 * full. */
enum err_e json_parse(struct arena *arena, struct slice text, struct json_t **ret_value,
                      struct problem *ret_problem) MUST_CHECK;

/*
 * The same for documents of programs that we do not command (a database's plans): what is laxer is
 * said here. The parser recurses once a level, so `nesting_max` levels must fit the stack: 300
 * bytes each, at most JSON_NESTING_LIMIT of them.
 */
enum { JSON_NESTING_LIMIT = 2000 };
enum json_lax_e {
    JSON_INTEGERS_AS_REALS = 1, /* integers beyond int64_t are no error */
    JSON_DUPLICATE_KEYS = 2,    /* the last one counts */
};
struct json_rules {
    int nesting_max;
    unsigned lax; /* json_lax_e, or-ed */
};
enum err_e json_parse_by(struct arena *arena, struct slice text, const struct json_rules *rules,
                         struct json_t **ret_value, struct problem *ret_problem) MUST_CHECK;

enum json_kind_e json_kind(const struct json_t *value);
struct slice json_text(const struct json_t *string); /* of a string; may hold NUL bytes */
int64_t json_int(const struct json_t *integer);
double json_number(const struct json_t *number); /* of an integer or a real */
bool json_truth(const struct json_t *value);

/* A member, or NULL when `object` is no object or has none. A null member is a value:
 * JSON_KIND_NULL. */
const struct json_t *json_get(const struct json_t *object, const char *key);
size_t json_count(const struct json_t *value); /* of an array or object; else, and of NULL, 0 */
const struct json_t *json_at(const struct json_t *array, size_t index);
/* For documents of others, where anything may be missing: a member's text, or `missing` when there
 * is none; whether a value is there and a number; whether a member is there and true. `object` may
 * be NULL. */
struct slice json_text_at(const struct json_t *object, const char *key, struct slice missing);
bool json_is_numeric(const struct json_t *value);
bool json_is_true_at(const struct json_t *object, const char *key);
/* Calls `fn` for each member in the order written; stops when it returns false. */
typedef bool (*json_member_fn)(struct slice key, const struct json_t *value, void *data);
void json_each(const struct json_t *object, json_member_fn fn, void *data);

/*
 * Appends one document. Commas are its business; keys and values alternate inside an object.
 *
 *     json_begin_object(&w); json_key(&w, "inside"); json_add_int(&w, 3); json_end_object(&w);
 */
enum { JSON_WRITER_DEPTH = 32 };
struct json_writer {
    struct buf *to;
    unsigned depth;
    bool comma[JSON_WRITER_DEPTH]; /* a value was written at this depth */
    bool after_key;
};

void json_writer_init(struct json_writer *w, struct buf *to);
void json_begin_object(struct json_writer *w);
void json_end_object(struct json_writer *w);
void json_begin_array(struct json_writer *w);
void json_end_array(struct json_writer *w);
void json_key(struct json_writer *w, const char *key); /* plain ASCII that needs no escape */
void json_add_text(struct json_writer *w, struct slice text); /* escaped; bytes are UTF-8 */
void json_add_cstr(struct json_writer *w, const char *text);  /* NULL becomes null */
void json_add_int(struct json_writer *w, int64_t value);
void json_add_int_text(struct json_writer *w, int64_t value); /* as a string: "123" */
void json_add_real(struct json_writer *w, double value, int decimals); /* not finite: null */
void json_add_bool(struct json_writer *w, bool value);
void json_add_null(struct json_writer *w);
void json_add_time(struct json_writer *w, int64_t ms); /* RFC 3339; TIME_NONE becomes null */
void json_add_raw(struct json_writer *w, struct slice value); /* one finished value */

/* key and value in one line each */
void json_put_text(struct json_writer *w, const char *key, struct slice text);
void json_put_cstr(struct json_writer *w, const char *key, const char *text);
void json_put_int(struct json_writer *w, const char *key, int64_t value);
void json_put_real(struct json_writer *w, const char *key, double value, int decimals);
void json_put_bool(struct json_writer *w, const char *key, bool value);
void json_put_null(struct json_writer *w, const char *key);
void json_put_time(struct json_writer *w, const char *key, int64_t ms);

#endif
