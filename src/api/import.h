/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading participants from CSV or NDJSON: takes the text in pieces of any size, yields groups of
 * rows for STORE_IMPORT_PARTICIPANTS and the rows that cannot be taken, with their physical line
 * and the reason. Used by POST …/participants:import and by `turnout import`. Memory does not grow
 * with the file.
 *
 *     import_feed(reader, piece, CSV_LAST_PIECE);
 *     while ((step = import_read(reader, &problem)) == IMPORT_GROUP) {
 *         ... store import_group(reader)->rows, when there are any; import_tally_add(...)
 *     }
 *
 * Pure: no I/O. Thread: one at a time.
 */
#ifndef TURNOUT_API_IMPORT_H
#define TURNOUT_API_IMPORT_H

#include "base/json.h"
#include "domain/csv.h"
#include "store/store.h"

enum {
    IMPORT_GROUP_MAX = 500,       /* rows, good and bad, in one group */
    IMPORT_GROUP_BYTES = 1 << 20, /* of texts, where a group ends early */
    IMPORT_REJECTED_MAX = 1000,   /* rejections that are listed; all are counted */
    IMPORT_REASON_SIZE = 320,
};

enum import_format_e { IMPORT_CSV, IMPORT_NDJSON };

struct import_rejection {
    size_t line;
    struct slice reason; /* "valid_from: must be a time like …" */
};

struct import_group {
    size_t rows_len;
    struct import_row rows[IMPORT_GROUP_MAX]; /* texts live until the next import_read */
    size_t lines[IMPORT_GROUP_MAX];           /* of each row */
    size_t rejected_len;
    struct import_rejection rejected[IMPORT_GROUP_MAX];
};

enum import_step_e {
    IMPORT_GROUP,      /* import_group has rows, rejections or both */
    IMPORT_WANTS_MORE, /* feed the next piece */
    IMPORT_END,
    IMPORT_FAILED, /* nothing can be read: the header is not one; `problem` says what is wrong */
};

struct import_reader;

struct import_reader *import_open(enum import_format_e format); /* NULL without memory */
void import_close(struct import_reader *reader);                /* NULL: nothing */
/* The piece is borrowed until IMPORT_WANTS_MORE or the end. */
void import_feed(struct import_reader *reader, struct slice piece, enum csv_piece_e which);
enum import_step_e import_read(struct import_reader *reader, enum err_e *ret_err,
                               struct problem *ret_problem);
struct import_group *import_group(struct import_reader *reader); /* of the last IMPORT_GROUP */
/* Sentences about the header, known once the first group is there. */
size_t import_warnings(const struct import_reader *reader);
struct slice import_warning(const struct import_reader *reader, size_t index);

/* What an import came to so far. */
struct import_tally {
    uint64_t created;
    uint64_t updated;
    uint64_t rejected_total;
    size_t rejected_len;
    struct import_rejection rejected[IMPORT_REJECTED_MAX]; /* by line */
    struct arena arena;                                    /* of the reasons */
};

void import_tally_init(struct import_tally *tally);
void import_tally_fini(struct import_tally *tally);
/* Adds a group whose rows the store has answered (the operation must not be cleared yet). */
void import_tally_add(struct import_tally *tally, const struct import_group *group);
/* {"created","updated","rejected":[{"line","reason"}],"rejected_total","warnings":[…]} */
void import_tally_write(struct json_writer *w, const struct import_tally *tally,
                        const struct import_reader *reader);

#endif
