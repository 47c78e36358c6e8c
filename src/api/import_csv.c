/* SPDX-License-Identifier: Apache-2.0 */
/* Participants from CSV: a header row, then a person a row. */
#include "api/import_priv.h"

#include "base/assert.h"

#include <stdio.h>

/* X(name in the header, field) */
#define COLUMN_TABLE(X)                                                                            \
    X(token, PARTICIPANT_TOKEN)                                                                    \
    X(name, PARTICIPANT_NAME)                                                                      \
    X(email, PARTICIPANT_EMAIL)                                                                    \
    X(status, PARTICIPANT_STATUS)                                                                  \
    X(valid_from, PARTICIPANT_VALID_FROM)                                                          \
    X(valid_until, PARTICIPANT_VALID_UNTIL)                                                        \
    X(gates, PARTICIPANT_GATES)                                                                    \
    X(attention, PARTICIPANT_ATTENTION)

/* One cell into its field: a cell that is empty clears. */
#define X(name, field)                                                                             \
    static enum err_e take_##name(struct import_reader *reader, struct slice cell,                 \
                                  struct participant *to, struct problem *problem);
COLUMN_TABLE(X)
#undef X

static const struct {
    const char *name;
    unsigned field;
    enum err_e (*take)(struct import_reader *reader, struct slice cell, struct participant *to,
                       struct problem *problem);
} columns[] = {
#define X(name, field) {#name, field, take_##name},
    COLUMN_TABLE(X)
#undef X
};

enum { COLUMNS = sizeof columns / sizeof columns[0], COLUMN_TOKEN = 0, COLUMN_UNKNOWN = -1 };

/* --- the header --- */

static int find_column(struct slice name) {
    for (int i = 0; i < COLUMNS; i++) {
        if (slice_eq_nocase(name, slice_of(columns[i].name))) {
            return i;
        }
    }
    return COLUMN_UNKNOWN;
}

static void warn_unknown(struct import_reader *reader, struct slice name) {
    char text[160];
    bool fits = name.len <= 80;
    snprintf(text, sizeof text, "column %.*s is unknown and was not read",
             fits ? (int)name.len : 7, fits && name.len > 0 ? name.at : "without");
    struct slice kept = arena_copy(&reader->lasting, slice_of(text));
    if (kept.at != NULL) {
        reader->warnings[reader->warnings_len++] = kept;
    }
}

static enum err_e read_header(struct import_reader *reader, struct problem *problem) {
    const struct csv_row *row = &reader->csv.row;
    bool has_token = false;
    for (size_t i = 0; i < row->len; i++) {
        struct slice name = slice_trim(row->cells[i]);
        if (!text_is_valid(name, NAME_MAX_CHARS)) {
            return problem_set(problem, ERR_MALFORMED_CSV, "header",
                               "column %zu has a name that is not UTF-8 text", i + 1);
        }
        reader->columns[i] = find_column(name);
        for (size_t j = 0; j < i; j++) {
            if (slice_eq_nocase(name, slice_trim(row->cells[j]))) {
                return problem_set(problem, ERR_MALFORMED_CSV, "header",
                                   "columns %zu and %zu have the same name", j + 1, i + 1);
            }
        }
        has_token |= reader->columns[i] == COLUMN_TOKEN;
    }
    if (!has_token) {
        return problem_set(problem, ERR_MALFORMED_CSV, "token",
                           "the header row names no column token");
    }
    for (size_t i = 0; i < row->len; i++) {
        if (reader->columns[i] == COLUMN_UNKNOWN) {
            warn_unknown(reader, slice_trim(row->cells[i]));
        }
    }
    reader->columns_len = row->len;
    return ERR_OK;
}

/* --- cells --- */

static enum err_e take_text(struct import_reader *reader, struct slice *cell, const char *name,
                            size_t chars_max, struct problem *problem) {
    if (!text_is_valid(*cell, chars_max)) {
        return problem_set(problem, ERR_INVALID_FIELD, name, TEXT_RULE, chars_max);
    }
    return import_keep(reader, cell) ? ERR_OK : ERR_NO_MEMORY;
}

static enum err_e take_token(struct import_reader *reader, struct slice cell,
                             struct participant *to, struct problem *problem) {
    if (!token_is_valid(cell)) {
        return problem_set(problem, ERR_INVALID_FIELD, "token", TOKEN_RULE);
    }
    to->token = cell;
    return import_keep(reader, &to->token) ? ERR_OK : ERR_NO_MEMORY;
}

static enum err_e take_name(struct import_reader *reader, struct slice cell,
                            struct participant *to, struct problem *problem) {
    to->name = cell;
    return take_text(reader, &to->name, "name", NAME_MAX_CHARS, problem);
}

static enum err_e take_email(struct import_reader *reader, struct slice cell,
                             struct participant *to, struct problem *problem) {
    to->email = slice_trim(cell);
    if (to->email.len > 0 && !email_is_valid(to->email)) {
        return problem_set(problem, ERR_INVALID_FIELD, "email", EMAIL_RULE);
    }
    return import_keep(reader, &to->email) ? ERR_OK : ERR_NO_MEMORY;
}

static enum err_e take_status(struct import_reader *reader, struct slice cell,
                              struct participant *to, struct problem *problem) {
    (void)reader;
    to->status = PARTICIPANT_ACTIVE;
    struct slice word = slice_trim(cell);
    if (word.len > 0 && !participant_status_parse(word, &to->status)) {
        return problem_set(problem, ERR_INVALID_FIELD, "status",
                           FIELDS_ONE_OF(PARTICIPANT_STATUS_TABLE));
    }
    return ERR_OK;
}

static enum err_e take_time(struct slice cell, const char *name, int64_t *ret_ms,
                            struct problem *problem) {
    struct slice text = slice_trim(cell);
    *ret_ms = TIME_NONE;
    if (text.len > 0 && !time_parse(text, ret_ms)) {
        return problem_set(problem, ERR_INVALID_FIELD, name, TIME_RULE);
    }
    return ERR_OK;
}

static enum err_e take_valid_from(struct import_reader *reader, struct slice cell,
                                  struct participant *to, struct problem *problem) {
    (void)reader;
    return take_time(cell, "valid_from", &to->valid_from_ms, problem);
}

static enum err_e take_valid_until(struct import_reader *reader, struct slice cell,
                                   struct participant *to, struct problem *problem) {
    (void)reader;
    return take_time(cell, "valid_until", &to->valid_until_ms, problem);
}

/* Codes parted by any spaces, each once, parted by one space then: in place, it never grows. */
static enum err_e take_gates(struct import_reader *reader, struct slice cell,
                             struct participant *to, struct problem *problem) {
    char *joined = arena_alloc(&reader->arena, cell.len + 1);
    if (joined == NULL) {
        return ERR_NO_MEMORY;
    }
    size_t len = 0, count = 0;
    struct slice code;
    while (slice_next(&cell, ' ', &code)) {
        if (code.len == 0 || (len > 0 && gates_allow(slice_from(joined, len), code))) {
            continue;
        }
        if (!code_is_valid(code) || ++count > PARTICIPANT_GATES_MAX) {
            return problem_set(problem, ERR_INVALID_FIELD, "gates",
                               "must be at most %d gate codes parted by spaces",
                               PARTICIPANT_GATES_MAX);
        }
        if (len > 0) {
            joined[len++] = ' ';
        }
        memcpy(joined + len, code.at, code.len);
        len += code.len;
    }
    to->gates = slice_from(joined, len);
    reader->bytes += len;
    return ERR_OK;
}

static enum err_e take_attention(struct import_reader *reader, struct slice cell,
                                 struct participant *to, struct problem *problem) {
    to->attention = SLICE_NONE;
    if (cell.len == 0) {
        return ERR_OK;
    }
    to->attention = cell;
    return take_text(reader, &to->attention, "attention", ATTENTION_MAX, problem);
}

/* --- rows --- */

static enum err_e read_cells(struct import_reader *reader, struct import_row *row,
                             struct problem *problem) {
    const struct csv_row *cells = &reader->csv.row;
    if (cells->len != reader->columns_len) {
        return problem_set(problem, ERR_MALFORMED_CSV, "", "has %zu cells where the header has %zu",
                           cells->len, reader->columns_len);
    }
    for (size_t i = 0; i < cells->len; i++) {
        int column = reader->columns[i];
        if (column == COLUMN_UNKNOWN) {
            continue;
        }
        TRY(columns[column].take(reader, cells->cells[i], &row->values, problem));
        row->fields |= columns[column].field;
    }
    return check_span(row->values.valid_from_ms, row->values.valid_until_ms, "valid_until",
                      problem);
}

static void read_person(struct import_reader *reader) {
    struct problem problem = {.detail = "takes too much memory"};
    struct import_row *row = import_next_row(reader);
    if (read_cells(reader, row, &problem) == ERR_OK) {
        import_take(reader, reader->csv.row.line);
    } else {
        import_reject(reader, reader->csv.row.line, &problem);
    }
}

static void reject_bad_row(struct import_reader *reader) {
    struct problem problem = {.field = ""};
    snprintf(problem.detail, sizeof problem.detail, "%s", reader->csv.row.reason);
    import_reject(reader, reader->csv.row.line, &problem);
}

/* The first row: what it must be decides over the whole file. */
static enum err_e take_first_row(struct import_reader *reader, enum csv_step_e step,
                                 struct problem *problem) {
    switch (step) {
    case CSV_ROW:
        return read_header(reader, problem);
    case CSV_BAD_ROW:
        return problem_set(problem, ERR_MALFORMED_CSV, "header", "line %zu: %s",
                           reader->csv.row.line, reader->csv.row.reason);
    case CSV_END:
        return problem_set(problem, ERR_MALFORMED_CSV, "header", "there is no header row");
    case CSV_WANTS_MORE:
        return ERR_OK;
    }
    UNREACHABLE();
}

enum import_step_e import_read_csv_row(struct import_reader *reader, enum err_e *ret_err,
                                       struct problem *ret_problem) {
    enum csv_step_e step = csv_next(&reader->csv);
    if (reader->columns_len == 0) {
        *ret_err = take_first_row(reader, step, ret_problem);
        if (*ret_err != ERR_OK) {
            return IMPORT_FAILED;
        }
        return step == CSV_WANTS_MORE ? IMPORT_WANTS_MORE : IMPORT_GROUP;
    }
    switch (step) {
    case CSV_ROW:
        read_person(reader);
        return IMPORT_GROUP;
    case CSV_BAD_ROW:
        reject_bad_row(reader);
        return IMPORT_GROUP;
    case CSV_WANTS_MORE:
        return IMPORT_WANTS_MORE;
    case CSV_END:
        return IMPORT_END;
    }
    UNREACHABLE();
}
