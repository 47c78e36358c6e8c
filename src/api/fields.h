/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the members of a JSON object one by one. The first thing that is wrong is kept and ends
 * the reading: every later call does nothing, so callers read all they want and look at `err` once.
 * Pure; texts are borrowed from the document. Thread: any.
 */
#ifndef TURNOUT_API_FIELDS_H
#define TURNOUT_API_FIELDS_H

#include "base/json.h"

/* What null means: in a creation the same as leaving the member out, in a patch (RFC 7396)
 * "clear". */
enum fields_mode_e { FIELDS_CREATE, FIELDS_PATCH };
/* Whether a member can be cleared. */
enum fields_null_e { FIELDS_NULL_CLEARS, FIELDS_NULL_IS_WRONG };

struct fields {
    const struct json_t *object;
    enum fields_mode_e mode;
    enum err_e err;
    struct problem *problem;
};

/* ERR_INVALID_FIELD at once when the document is no object. */
void fields_begin(struct fields *fields, const struct json_t *document, enum fields_mode_e mode,
                  struct problem *problem);
/* Marks `name` as wrong unless something was wrong before. */
void fields_fail(struct fields *fields, const char *name, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* Each returns true when the member was there, is right and *ret was set. */
bool fields_value(struct fields *fields, const char *name, enum fields_null_e null,
                  const struct json_t **ret_value);
bool fields_text(struct fields *fields, const char *name, enum fields_null_e null,
                 struct slice *ret_text); /* null: SLICE_NONE */
bool fields_time(struct fields *fields, const char *name, int64_t *ret_ms); /* null: TIME_NONE */
bool fields_bool(struct fields *fields, const char *name, bool *ret_value);

/* "must be one of open closed", from an X-macro table of words. */
#define FIELDS_WORD(name, text) " " text
#define FIELDS_ONE_OF(table) "must be one of" table(FIELDS_WORD)

#endif
