/* SPDX-License-Identifier: Apache-2.0 */
/* The look-ups over the table of errors. */
#include "base/err.h"

#include "base/assert.h"

#include <stdarg.h>
#include <stdio.h>

struct err_row {
    int status;
    bool retryable;
    const char *code;
    const char *remedy;
};

static const struct err_row rows[ERR_COUNT] = {
#define X(name, status, retryable, code, remedy) [ERR_##name] = {status, retryable, code, remedy},
    ERR_TABLE(X)
#undef X
};

static const struct err_row *row_of(enum err_e err) {
    ASSERT((unsigned)err < ERR_COUNT);
    return &rows[err];
}

int err_status(enum err_e err) {
    return row_of(err)->status;
}

bool err_is_retryable(enum err_e err) {
    return row_of(err)->retryable;
}

const char *err_code(enum err_e err) {
    return row_of(err)->code;
}

const char *err_remedy(enum err_e err) {
    return row_of(err)->remedy;
}

void err_title(enum err_e err, char ret_title[ERR_TITLE_SIZE]) {
    snprintf(ret_title, ERR_TITLE_SIZE, "%s", err_code(err));
    ret_title[0] = (char)(ret_title[0] - ('a' - 'A')); /* codes are lower-case words */
    for (char *at = ret_title; *at != '\0'; at++) {
        *at = *at == '_' ? ' ' : *at;
    }
}

enum err_e problem_set(struct problem *ret_problem, enum err_e err, const char *field,
                       const char *format, ...) {
    if (ret_problem == NULL) {
        return err;
    }
    snprintf(ret_problem->field, sizeof ret_problem->field, "%s", field != NULL ? field : "");
    va_list args;
    va_start(args, format);
    vsnprintf(ret_problem->detail, sizeof ret_problem->detail, format, args);
    va_end(args);
    return err;
}
