/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A document that json_parse takes can be walked and written, and what was written parses to the
 * same text again. A refusal names its reason. The arena's limit is kept.
 */
#include "base/assert.h"
#include "base/json.h"
#include "fuzz.h"

#include <math.h>

enum { ARENA_LIMIT = 1 << 18, WRITTEN_LIMIT = 1 << 22 };

static void write_value(struct json_writer *writer, const struct json_t *value);

static bool write_member(struct slice key, const struct json_t *value, void *writer) {
    json_add_text(writer, key); /* keys may need escapes, so they are written as array items */
    write_value(writer, value);
    return true;
}

static void write_value(struct json_writer *writer, const struct json_t *value) {
    switch (json_kind(value)) {
    case JSON_KIND_OBJECT:
        json_begin_array(writer);
        json_each(value, write_member, writer);
        json_end_array(writer);
        return;
    case JSON_KIND_ARRAY:
        json_begin_array(writer);
        for (size_t i = 0; i < json_count(value); i++) {
            write_value(writer, json_at(value, i));
        }
        json_end_array(writer);
        return;
    case JSON_KIND_STRING:
        json_add_text(writer, json_text(value));
        return;
    case JSON_KIND_INTEGER:
        json_add_int(writer, json_int(value));
        return;
    case JSON_KIND_REAL:
        ASSERT(isfinite(json_number(value)));
        json_add_null(writer); /* digits are cut when written: it need not come back the same */
        return;
    case JSON_KIND_BOOLEAN:
        json_add_bool(writer, json_truth(value));
        return;
    case JSON_KIND_NULL:
        json_add_null(writer);
        return;
    }
    UNREACHABLE();
}

/* Parses and writes; false when the text is refused. */
static bool round_trip(struct slice text, struct buf *written) {
    struct arena arena;
    arena_init(&arena, ARENA_LIMIT);
    struct json_t *value = NULL;
    struct problem problem = {{0}, {0}};
    enum err_e err = json_parse(&arena, text, &value, &problem);
    ASSERT((err == ERR_OK) == (value != NULL));
    ASSERT(err == ERR_OK || problem.detail[0] != '\0');
    if (err == ERR_OK) {
        struct json_writer writer;
        json_writer_init(&writer, written);
        write_value(&writer, value);
    }
    arena_fini(&arena);
    return err == ERR_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct buf first;
    struct buf second;
    buf_init(&first, WRITTEN_LIMIT);
    buf_init(&second, WRITTEN_LIMIT);
    if (round_trip(slice_from((const char *)data, size), &first) && !first.failed &&
        round_trip(buf_slice(&first), &second)) {
        ASSERT(slice_eq(buf_slice(&first), buf_slice(&second)));
    }
    buf_fini(&second);
    buf_fini(&first);
    return 0;
}
