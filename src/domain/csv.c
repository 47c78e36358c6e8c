/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader is a state machine over bytes:
 *
 *               "                    "
 *   CELL_BEGIN ──► QUOTED ◄────────────────► QUOTE_SEEN ──► CR_SEEN
 *     │   ▲ , or LF  (LF and , are text)        │ , or LF ─► CELL_BEGIN
 *     ▼   │                                     ▼ anything else: the row is bad
 *   PLAIN ┘ ◄────────────────────────────────── PLAIN
 *
 * A bad row is read on in the same states, so that its end is found, but nothing of it is kept.
 */
#include "domain/csv.h"

#include "base/assert.h"

enum state_e { CELL_BEGIN, PLAIN, QUOTED, QUOTE_SEEN, CR_SEEN };

static const char byte_order_mark[] = {'\xEF', '\xBB', '\xBF'};

static void begin_row(struct csv_reader *reader) {
    reader->state = CELL_BEGIN;
    reader->row.len = 0;
    reader->row.line = reader->line;
    reader->row.reason = NULL;
    reader->row_bytes = 0;
    reader->len = 0;
    reader->cell_start = 0;
    reader->has_quotes = false;
}

void csv_init(struct csv_reader *reader) {
    reader->input = SLICE_NONE;
    reader->is_last_piece = false;
    reader->mark_seen = 0;
    reader->line = 1;
    reader->quote_line = 0;
    begin_row(reader);
}

void csv_feed(struct csv_reader *reader, struct slice piece, enum csv_piece_e which) {
    ASSERT(reader->input.len == 0 && !reader->is_last_piece);
    reader->input = piece;
    reader->is_last_piece = which == CSV_LAST_PIECE;
}

static void mark_bad(struct csv_reader *reader, const char *reason) {
    if (reader->row.reason == NULL) {
        reader->row.reason = reason;
    }
}

static void keep(struct csv_reader *reader, char c) {
    if (reader->row.reason == NULL) {
        reader->bytes[reader->len++] = c; /* fits: a row of more bytes than CSV_ROW_MAX is bad */
    }
}

static void end_cell(struct csv_reader *reader) {
    if (reader->row.len == CSV_CELLS_MAX) {
        mark_bad(reader, "more than 64 columns");
    }
    if (reader->row.reason == NULL) {
        reader->row.cells[reader->row.len++] =
            slice_from(reader->bytes + reader->cell_start, reader->len - reader->cell_start);
        reader->cell_start = reader->len;
    }
    reader->state = CELL_BEGIN;
}

/* The CR of a CRLF belongs to the row's end, not to an unquoted last cell. */
static void drop_carriage_return(struct csv_reader *reader) {
    if (reader->state == PLAIN && reader->row.reason == NULL && reader->len > reader->cell_start &&
        reader->bytes[reader->len - 1] == '\r') {
        reader->len--;
    }
}

static void take_plain(struct csv_reader *reader, char c) {
    if (c == ',') {
        end_cell(reader);
    } else {
        keep(reader, c);
        reader->state = PLAIN;
    }
}

static void take_cell_begin(struct csv_reader *reader, char c) {
    if (c != '"') {
        take_plain(reader, c);
        return;
    }
    reader->state = QUOTED;
    reader->has_quotes = true;
    reader->quote_line = reader->line;
}

static void take_quoted(struct csv_reader *reader, char c) {
    if (c == '"') {
        reader->state = QUOTE_SEEN;
    } else {
        keep(reader, c);
    }
}

static void take_behind_quote(struct csv_reader *reader, char c) {
    if (c == '"' && reader->state == QUOTE_SEEN) {
        keep(reader, c);
        reader->state = QUOTED;
    } else if (c == ',' && reader->state == QUOTE_SEEN) {
        end_cell(reader);
    } else if (c == '\r' && reader->state == QUOTE_SEEN) {
        reader->state = CR_SEEN;
    } else {
        mark_bad(reader, "text follows a closing quote");
        reader->state = PLAIN;
        take_plain(reader, c);
    }
}

static void take(struct csv_reader *reader, char c) {
    if (++reader->row_bytes > CSV_ROW_MAX) {
        mark_bad(reader, "longer than 65536 bytes");
    }
    switch ((enum state_e)reader->state) {
    case CELL_BEGIN:
        take_cell_begin(reader, c);
        return;
    case PLAIN:
        take_plain(reader, c);
        return;
    case QUOTED:
        take_quoted(reader, c);
        return;
    case QUOTE_SEEN:
    case CR_SEEN:
        take_behind_quote(reader, c);
        return;
    }
    UNREACHABLE();
}

/* True when the byte was one of a byte order mark at the start of the text. */
static bool is_mark(struct csv_reader *reader, char c) {
    if (reader->mark_seen > sizeof byte_order_mark) {
        return false;
    }
    if (reader->mark_seen < sizeof byte_order_mark && c == byte_order_mark[reader->mark_seen]) {
        reader->mark_seen++;
        return true;
    }
    size_t met = reader->mark_seen;
    reader->mark_seen = sizeof byte_order_mark + 1;
    for (size_t i = 0; met < sizeof byte_order_mark && i < met; i++) {
        take(reader, byte_order_mark[i]); /* it only looked like one */
    }
    return false;
}

/* One cell without a byte in it and without quotes. */
static bool is_blank(const struct csv_reader *reader) {
    return reader->row.reason == NULL && !reader->has_quotes && reader->row.len == 1 &&
           reader->row.cells[0].len == 0;
}

/* A row's end was met: false when there was nothing in it. */
static bool end_row(struct csv_reader *reader) {
    drop_carriage_return(reader);
    end_cell(reader);
    return !is_blank(reader);
}

static enum csv_step_e give(const struct csv_reader *reader) {
    return reader->row.reason == NULL ? CSV_ROW : CSV_BAD_ROW;
}

static enum csv_step_e end_text(struct csv_reader *reader) {
    if (reader->state == QUOTED) {
        reader->row.line = reader->quote_line;
        reader->row.reason = "a quote opens here and never closes";
        reader->state = CELL_BEGIN;
        reader->row_bytes = 0;
        return CSV_BAD_ROW;
    }
    if (reader->row_bytes == 0) {
        return CSV_END;
    }
    bool something = end_row(reader);
    reader->row_bytes = 0;
    return something ? give(reader) : CSV_END;
}

enum csv_step_e csv_next(struct csv_reader *reader) {
    if (reader->row_bytes == 0) {
        begin_row(reader); /* the row given last is over */
    }
    while (reader->input.len > 0) {
        char c = reader->input.at[0];
        reader->input = slice_skip(reader->input, 1);
        if (is_mark(reader, c)) {
            continue;
        }
        if (c != '\n' || reader->state == QUOTED) {
            take(reader, c);
            reader->line += c == '\n';
            continue;
        }
        reader->line++;
        bool something = end_row(reader);
        reader->row_bytes = 0;
        if (something) {
            return give(reader);
        }
        begin_row(reader);
    }
    return reader->is_last_piece ? end_text(reader) : CSV_WANTS_MORE;
}

void csv_add_cell(struct buf *to, struct slice cell) {
    bool is_formula = cell.len > 0 && memchr("=+-@\t\r", cell.at[0], 6) != NULL;
    bool has_special = false;
    for (size_t i = 0; i < cell.len; i++) {
        has_special |= memchr(",\"\r\n", cell.at[i], 4) != NULL;
    }
    if (has_special) {
        buf_add_char(to, '"');
    }
    if (is_formula) {
        buf_add_char(to, '\'');
    }
    for (size_t i = 0; i < cell.len; i++) {
        if (cell.at[i] == '"') {
            buf_add_char(to, '"');
        }
        buf_add_char(to, cell.at[i]);
    }
    if (has_special) {
        buf_add_char(to, '"');
    }
}
