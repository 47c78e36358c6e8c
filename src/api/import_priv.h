/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of an import reader, shared by its CSV and NDJSON halves. */
#ifndef TURNOUT_API_IMPORT_PRIV_H
#define TURNOUT_API_IMPORT_PRIV_H

#include "api/import.h"
#include "api/json_in.h"

enum { IMPORT_LINE_MAX = 64 * 1024 /* bytes of one NDJSON line */ };

struct import_reader {
    enum import_format_e format;
    struct import_group group;
    struct arena arena;      /* of the group */
    size_t bytes;            /* of the group's texts */
    bool gave_group;         /* the next import_read begins a new one */
    struct arena lasting;    /* of the warnings */
    size_t warnings_len;
    struct slice warnings[CSV_CELLS_MAX];

    /* CSV */
    struct csv_reader csv;
    size_t columns_len; /* 0: the header has not been read */
    int columns[CSV_CELLS_MAX]; /* import_column_e, -1: unknown */

    /* NDJSON */
    struct slice input;
    bool is_last_piece;
    size_t line; /* of the line being read, from 1 */
    size_t pending_len;
    bool is_too_long;
    struct arena scratch; /* one line's document */
    char pending[IMPORT_LINE_MAX]; /* the beginning of a line that a piece cut */
};

/* One row of a file. IMPORT_GROUP: it was taken or rejected into the group (or skipped). */
enum import_step_e import_read_csv_row(struct import_reader *reader, enum err_e *ret_err,
                                       struct problem *ret_problem);
enum import_step_e import_read_json_line(struct import_reader *reader);

/* The next row of the group, cleared but for its times, which are open. */
struct import_row *import_next_row(struct import_reader *reader);
void import_take(struct import_reader *reader, size_t line); /* import_next_row's is good */
void import_reject(struct import_reader *reader, size_t line, const struct problem *problem);
/* A copy that lives as long as the group; false without memory. */
bool import_keep(struct import_reader *reader, struct slice *text);

#endif
