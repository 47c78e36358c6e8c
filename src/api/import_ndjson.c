/* SPDX-License-Identifier: Apache-2.0 */
/* Participants from NDJSON: an object a line, read as a patch is: null clears, what is left out
 * stays. */
#include "api/import_priv.h"

static enum err_e keep_texts(struct import_reader *reader, struct participant *person) {
    struct slice *const texts[] = {&person->token, &person->name, &person->email, &person->gates,
                                   &person->attention};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (texts[i]->at != NULL && !import_keep(reader, texts[i])) {
            return ERR_NO_MEMORY;
        }
    }
    return ERR_OK;
}

static enum err_e read_person(struct import_reader *reader, struct slice line,
                              struct import_row *row, struct problem *problem) {
    struct json_t *document;
    arena_reset(&reader->scratch);
    TRY(json_parse(&reader->scratch, line, &document, problem));
    const struct body body = {document, FIELDS_PATCH, &reader->scratch, problem};
    TRY(participant_read(&body, &row->values, &row->fields));
    if ((row->fields & PARTICIPANT_TOKEN) == 0) {
        return problem_set(problem, ERR_INVALID_FIELD, "token", "is required");
    }
    return keep_texts(reader, &row->values);
}

static bool is_blank(struct slice line) {
    for (size_t i = 0; i < line.len; i++) {
        if (memchr(" \t\r", line.at[i], 3) == NULL) {
            return false;
        }
    }
    return true;
}

static void read_line(struct import_reader *reader, struct slice line) {
    struct problem problem = {.detail = "takes too much memory"};
    size_t at = reader->line++;
    bool is_too_long = reader->is_too_long || line.len > IMPORT_LINE_MAX;
    reader->is_too_long = false;
    reader->pending_len = 0;
    if (is_too_long) {
        (void)problem_set(&problem, ERR_TOO_LARGE, "", "longer than %d bytes", IMPORT_LINE_MAX);
        import_reject(reader, at, &problem);
        return;
    }
    if (is_blank(line)) {
        return;
    }
    if (read_person(reader, line, import_next_row(reader), &problem) == ERR_OK) {
        import_take(reader, at);
    } else {
        import_reject(reader, at, &problem);
    }
}

/* Keeps a part of a line that the piece cut. */
static void add_pending(struct import_reader *reader, struct slice part) {
    if (part.len > IMPORT_LINE_MAX - reader->pending_len) {
        reader->is_too_long = true;
    } else if (part.len > 0) {
        memcpy(reader->pending + reader->pending_len, part.at, part.len);
        reader->pending_len += part.len;
    }
}

enum import_step_e import_read_json_line(struct import_reader *reader) {
    const char *end = reader->input.len == 0
                          ? NULL
                          : memchr(reader->input.at, '\n', reader->input.len);
    if (end == NULL) {
        add_pending(reader, reader->input);
        reader->input = SLICE_NONE;
        if (!reader->is_last_piece) {
            return IMPORT_WANTS_MORE;
        }
        if (reader->pending_len == 0 && !reader->is_too_long) {
            return IMPORT_END;
        }
        read_line(reader, slice_from(reader->pending, reader->pending_len));
        return IMPORT_GROUP;
    }
    struct slice line = slice_from(reader->input.at, (size_t)(end - reader->input.at));
    reader->input = slice_skip(reader->input, line.len + 1);
    if (reader->pending_len > 0 || reader->is_too_long) {
        add_pending(reader, line);
        line = slice_from(reader->pending, reader->pending_len);
    }
    read_line(reader, line);
    return IMPORT_GROUP;
}
