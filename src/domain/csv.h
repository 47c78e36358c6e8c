/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CSV as RFC 4180 says it: a reader that takes the text in pieces of any size and gives rows, and a
 * writer of cells that a spreadsheet will not run as formulas.
 *
 * Read as people send it: a byte order mark is skipped, rows end in CRLF or LF, blank lines are
 * skipped, a quote inside a cell that does not begin with one is an ordinary character. A row that
 * breaks a rule is given as bad, with its line and the reason, and the reader goes on behind it.
 * Pure: no I/O, no allocation. Thread: one at a time. The reader owns the bytes of the row it gave,
 * until the next call; pieces fed are borrowed until CSV_WANTS_MORE or CSV_END.
 */
#ifndef TURNOUT_DOMAIN_CSV_H
#define TURNOUT_DOMAIN_CSV_H

#include "base/buf.h"

enum {
    CSV_ROW_MAX = 64 * 1024, /* bytes of one row: one person's data is below 32 KiB */
    CSV_CELLS_MAX = 64,      /* columns: spreadsheets of visitors have a dozen */
};

enum csv_step_e {
    CSV_ROW,        /* `row` is the next one */
    CSV_BAD_ROW,    /* row.line and row.reason say what is wrong with it */
    CSV_WANTS_MORE, /* feed the next piece */
    CSV_END,
};

struct csv_row {
    size_t line; /* physical line where it starts, from 1; for an open quote, where that starts */
    size_t len;
    struct slice cells[CSV_CELLS_MAX];
    const char *reason; /* of a bad row: a phrase in English */
};

struct csv_reader {
    struct csv_row row; /* the one given last */

    /* the reader's own from here on */
    struct slice input;
    bool is_last_piece;
    int state;
    size_t mark_seen;  /* bytes of a byte order mark met so far; past the mark when it is over */
    size_t line;       /* of the next byte */
    size_t quote_line; /* where the open quote is */
    size_t row_bytes;  /* of this row in the text, quotes and separators too */
    size_t len;        /* bytes kept of this row */
    size_t cell_start; /* where the present cell begins in `bytes` */
    bool has_quotes;   /* a cell of this row was quoted, so the row is not blank */
    char bytes[CSV_ROW_MAX];
};

void csv_init(struct csv_reader *reader);

enum csv_piece_e { CSV_PIECE, CSV_LAST_PIECE };
/* Only at the start and after CSV_WANTS_MORE. */
void csv_feed(struct csv_reader *reader, struct slice piece, enum csv_piece_e which);
enum csv_step_e csv_next(struct csv_reader *reader);

/* Appends one cell, quoted where it must be. What a spreadsheet would take for a formula (it begins
 * with = + - @, a tab or a carriage return) gets an apostrophe in front. */
void csv_add_cell(struct buf *to, struct slice cell);

#endif
