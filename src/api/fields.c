/* SPDX-License-Identifier: Apache-2.0 */
/* Members of a JSON object, with the first error kept. */
#include "api/fields.h"

#include <stdarg.h>
#include <stdio.h>

void fields_begin(struct fields *fields, const struct json_t *document, enum fields_mode_e mode,
                  struct problem *problem) {
    *fields = (struct fields){.object = document, .mode = mode, .problem = problem};
    if (json_kind(document) != JSON_KIND_OBJECT) {
        fields_fail(fields, "body", "must be a JSON object");
    }
}

void fields_fail(struct fields *fields, const char *name, const char *format, ...) {
    if (fields->err != ERR_OK) {
        return;
    }
    char detail[sizeof fields->problem->detail];
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    fields->err = problem_set(fields->problem, ERR_INVALID_FIELD, name, "%s", detail);
}

bool fields_value(struct fields *fields, const char *name, enum fields_null_e null,
                  const struct json_t **ret_value) {
    if (fields->err != ERR_OK) {
        return false;
    }
    const struct json_t *value = json_get(fields->object, name);
    if (value == NULL) {
        return false;
    }
    if (json_kind(value) == JSON_KIND_NULL) {
        if (fields->mode == FIELDS_CREATE) {
            return false;
        }
        if (null == FIELDS_NULL_IS_WRONG) {
            fields_fail(fields, name, "cannot be null");
            return false;
        }
    }
    *ret_value = value;
    return true;
}

bool fields_text(struct fields *fields, const char *name, enum fields_null_e null,
                 struct slice *ret_text) {
    const struct json_t *value;
    if (!fields_value(fields, name, null, &value)) {
        return false;
    }
    switch (json_kind(value)) {
    case JSON_KIND_STRING:
        *ret_text = json_text(value);
        return true;
    case JSON_KIND_NULL:
        *ret_text = SLICE_NONE;
        return true;
    case JSON_KIND_OBJECT:
    case JSON_KIND_ARRAY:
    case JSON_KIND_INTEGER:
    case JSON_KIND_REAL:
    case JSON_KIND_BOOLEAN:
        break;
    }
    fields_fail(fields, name, "must be a string");
    return false;
}

bool fields_time(struct fields *fields, const char *name, int64_t *ret_ms) {
    struct slice text;
    if (!fields_text(fields, name, FIELDS_NULL_CLEARS, &text)) {
        return false;
    }
    if (text.at == NULL) {
        *ret_ms = TIME_NONE;
        return true;
    }
    if (!time_parse(text, ret_ms)) {
        fields_fail(fields, name, "must be a time like 2026-11-24T18:30:00Z");
        return false;
    }
    return true;
}

bool fields_bool(struct fields *fields, const char *name, bool *ret_value) {
    const struct json_t *value;
    if (!fields_value(fields, name, FIELDS_NULL_IS_WRONG, &value)) {
        return false;
    }
    if (json_kind(value) != JSON_KIND_BOOLEAN) {
        fields_fail(fields, name, "must be true or false");
        return false;
    }
    *ret_value = json_truth(value);
    return true;
}
