/* SPDX-License-Identifier: Apache-2.0 */
/* What both formats of an import share: groups, rejections, and the tally. */
#include "api/import.h"

#include "api/import_priv.h"
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    /* A row's texts are at most its bytes, so a group holds IMPORT_GROUP_BYTES and one row more. */
    GROUP_MEMORY = 8 << 20,
    SCRATCH_MEMORY = 16 << 20,
    WARNINGS_MEMORY = 256 << 10,
    TALLY_MEMORY = 2 << 20,
};

struct import_reader *import_open(enum import_format_e format) {
    struct import_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL) {
        return NULL;
    }
    reader->format = format;
    reader->line = 1;
    csv_init(&reader->csv);
    arena_init(&reader->arena, GROUP_MEMORY);
    arena_init(&reader->lasting, WARNINGS_MEMORY);
    arena_init(&reader->scratch, SCRATCH_MEMORY);
    return reader;
}

void import_close(struct import_reader *reader) {
    if (reader == NULL) {
        return;
    }
    arena_fini(&reader->scratch);
    arena_fini(&reader->lasting);
    arena_fini(&reader->arena);
    free(reader);
}

void import_feed(struct import_reader *reader, struct slice piece, enum csv_piece_e which) {
    switch (reader->format) {
    case IMPORT_CSV:
        csv_feed(&reader->csv, piece, which);
        return;
    case IMPORT_NDJSON:
        ASSERT(reader->input.len == 0 && !reader->is_last_piece);
        reader->input = piece;
        reader->is_last_piece = which == CSV_LAST_PIECE;
        return;
    }
}

static enum import_step_e read_row(struct import_reader *reader, enum err_e *ret_err,
                                   struct problem *ret_problem) {
    switch (reader->format) {
    case IMPORT_CSV:
        return import_read_csv_row(reader, ret_err, ret_problem);
    case IMPORT_NDJSON:
        return import_read_json_line(reader);
    }
    UNREACHABLE();
}

static size_t group_len(const struct import_reader *reader) {
    return reader->group.rows_len + reader->group.rejected_len;
}

static void begin_group(struct import_reader *reader) {
    if (!reader->gave_group) {
        return;
    }
    reader->gave_group = false;
    reader->group.rows_len = 0;
    reader->group.rejected_len = 0;
    reader->bytes = 0;
    arena_reset(&reader->arena);
}

enum import_step_e import_read(struct import_reader *reader, enum err_e *ret_err,
                               struct problem *ret_problem) {
    begin_group(reader);
    enum import_step_e step = IMPORT_GROUP;
    while (step == IMPORT_GROUP && group_len(reader) < IMPORT_GROUP_MAX &&
           reader->bytes < IMPORT_GROUP_BYTES) {
        step = read_row(reader, ret_err, ret_problem);
    }
    if (step == IMPORT_END && group_len(reader) > 0) {
        step = IMPORT_GROUP; /* the rest; the end is met again by the next call */
    }
    reader->gave_group = step == IMPORT_GROUP;
    return step;
}

struct import_group *import_group(struct import_reader *reader) {
    return &reader->group;
}

size_t import_warnings(const struct import_reader *reader) {
    return reader->warnings_len;
}

struct slice import_warning(const struct import_reader *reader, size_t index) {
    ASSERT(index < reader->warnings_len);
    return reader->warnings[index];
}

struct import_row *import_next_row(struct import_reader *reader) {
    struct import_row *row = &reader->group.rows[reader->group.rows_len];
    *row = (struct import_row){
        .values = {.valid_from_ms = TIME_NONE, .valid_until_ms = TIME_NONE},
    };
    return row;
}

void import_take(struct import_reader *reader, size_t line) {
    reader->group.lines[reader->group.rows_len++] = line;
}

void import_reject(struct import_reader *reader, size_t line, const struct problem *problem) {
    char reason[IMPORT_REASON_SIZE + 4];
    bool has_field = problem->field[0] != '\0';
    snprintf(reason, sizeof reason, "%s%s%s", problem->field, has_field ? ": " : "",
             problem->detail);
    struct slice kept = slice_of(reason);
    if (!import_keep(reader, &kept)) {
        kept = SLICE_LIT("rejected");
    }
    reader->group.rejected[reader->group.rejected_len++] =
        (struct import_rejection){line, kept};
}

bool import_keep(struct import_reader *reader, struct slice *text) {
    *text = arena_copy(&reader->arena, *text);
    reader->bytes += text->len;
    return text->at != NULL;
}

/* --- the tally --- */

void import_tally_init(struct import_tally *tally) {
    tally->created = 0;
    tally->updated = 0;
    tally->rejected_total = 0;
    tally->rejected_len = 0;
    arena_init(&tally->arena, TALLY_MEMORY);
}

void import_tally_fini(struct import_tally *tally) {
    arena_fini(&tally->arena);
}

static void add_rejection(struct import_tally *tally, size_t line, struct slice reason) {
    tally->rejected_total++;
    if (tally->rejected_len == IMPORT_REJECTED_MAX) {
        return;
    }
    struct slice cut = slice_from(reason.at, reason.len < IMPORT_REASON_SIZE ? reason.len
                                                                            : IMPORT_REASON_SIZE);
    struct slice kept = arena_copy(&tally->arena, cut);
    if (kept.at == NULL || !slice_is_utf8(kept)) {
        kept = SLICE_LIT("rejected");
    }
    tally->rejected[tally->rejected_len++] = (struct import_rejection){line, kept};
}

/* Adds the reader's rejections that stand before `line`. */
static size_t add_before(struct import_tally *tally, const struct import_group *group, size_t from,
                         size_t line) {
    while (from < group->rejected_len && group->rejected[from].line < line) {
        add_rejection(tally, group->rejected[from].line, group->rejected[from].reason);
        from++;
    }
    return from;
}

void import_tally_add(struct import_tally *tally, const struct import_group *group) {
    size_t next = 0;
    for (size_t i = 0; i < group->rows_len; i++) {
        next = add_before(tally, group, next, group->lines[i]);
        switch (group->rows[i].ret_outcome) {
        case IMPORT_CREATED:
            tally->created++;
            break;
        case IMPORT_UPDATED:
            tally->updated++;
            break;
        case IMPORT_REJECTED:
            add_rejection(tally, group->lines[i], group->rows[i].ret_reason);
            break;
        }
    }
    add_before(tally, group, next, SIZE_MAX);
}

void import_tally_write(struct json_writer *w, const struct import_tally *tally,
                        const struct import_reader *reader) {
    json_begin_object(w);
    json_put_int(w, "created", (int64_t)tally->created);
    json_put_int(w, "updated", (int64_t)tally->updated);
    json_key(w, "rejected");
    json_begin_array(w);
    for (size_t i = 0; i < tally->rejected_len; i++) {
        json_begin_object(w);
        json_put_int(w, "line", (int64_t)tally->rejected[i].line);
        json_put_text(w, "reason", tally->rejected[i].reason);
        json_end_object(w);
    }
    json_end_array(w);
    json_put_int(w, "rejected_total", (int64_t)tally->rejected_total);
    json_key(w, "warnings");
    json_begin_array(w);
    for (size_t i = 0; i < import_warnings(reader); i++) {
        json_add_text(w, import_warning(reader, i));
    }
    json_end_array(w);
    json_end_object(w);
}
