/* SPDX-License-Identifier: Apache-2.0 */
/* libpg-query in our words. */
#include "optimizer/fingerprint.h"

#include <pg_query.h>
#include <stdio.h>

static enum err_e refuse(const PgQueryError *error, struct problem *ret_problem) {
    return problem_set(ret_problem, ERR_INVALID_FIELD, "sql", "%.200s",
                       error->message == NULL ? "it is no SQL" : error->message);
}

static bool is_too_long(const char *sql) {
    return strnlen(sql, SQL_TEXT_MAX + 1) > SQL_TEXT_MAX;
}

static enum err_e refuse_length(struct problem *ret_problem) {
    return problem_set(ret_problem, ERR_INVALID_FIELD, "sql", "it is longer than %d bytes",
                       SQL_TEXT_MAX);
}

enum err_e sql_fingerprint(const char *sql, char ret_text[FINGERPRINT_SIZE],
                           struct problem *ret_problem) {
    if (is_too_long(sql)) {
        return refuse_length(ret_problem);
    }
    PgQueryFingerprintResult result = pg_query_fingerprint(sql);
    enum err_e err = result.error == NULL ? ERR_OK : refuse(result.error, ret_problem);
    if (err == ERR_OK) {
        snprintf(ret_text, FINGERPRINT_SIZE, "%s", result.fingerprint_str);
    }
    pg_query_free_fingerprint_result(result);
    return err;
}

enum err_e sql_tree(struct arena *arena, const char *sql, struct slice *ret_json,
                    struct problem *ret_problem) {
    if (is_too_long(sql)) {
        return refuse_length(ret_problem);
    }
    PgQueryParseResult result = pg_query_parse(sql);
    enum err_e err = result.error == NULL ? ERR_OK : refuse(result.error, ret_problem);
    if (err == ERR_OK) {
        *ret_json = arena_copy(arena, slice_of(result.parse_tree));
        err = ret_json->at != NULL
                  ? ERR_OK
                  : problem_set(ret_problem, ERR_NO_MEMORY, "sql", "its tree is too large");
    }
    pg_query_free_parse_result(result);
    return err;
}
