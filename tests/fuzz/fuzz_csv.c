/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A CSV text gives the same rows whole and in pieces, rows keep to the limits, lines only grow, and
 * the end stays the end. The first byte is the size of the pieces.
 */
#include "base/assert.h"
#include "domain/csv.h"
#include "fuzz.h"

enum { SEEN_LIMIT = 1 << 24 };

static struct csv_reader reader;

static void note_row(struct buf *seen, enum csv_step_e step) {
    ASSERT(reader.row.line >= 1);
    ASSERT((step == CSV_BAD_ROW) == (reader.row.reason != NULL));
    buf_add_int(seen, (int64_t)reader.row.line);
    buf_add_text(seen, step == CSV_BAD_ROW ? reader.row.reason : ":");
    size_t bytes = 0;
    for (size_t i = 0; step == CSV_ROW && i < reader.row.len; i++) {
        bytes += reader.row.cells[i].len;
        buf_add_int(seen, (int64_t)reader.row.cells[i].len);
        buf_add_char(seen, '|');
        buf_add(seen, reader.row.cells[i]);
    }
    ASSERT(bytes <= CSV_ROW_MAX);
    ASSERT(step == CSV_BAD_ROW || (reader.row.len >= 1 && reader.row.len <= CSV_CELLS_MAX));
}

static void read_all(struct slice text, size_t piece, struct buf *seen) {
    csv_init(&reader);
    for (size_t line = 0;;) {
        enum csv_step_e step = csv_next(&reader);
        if (step == CSV_END) {
            ASSERT(csv_next(&reader) == CSV_END);
            return;
        }
        if (step == CSV_WANTS_MORE) {
            size_t n = text.len < piece ? text.len : piece;
            csv_feed(&reader, slice_from(text.at, n), n == text.len ? CSV_LAST_PIECE : CSV_PIECE);
            text = slice_skip(text, n);
            continue;
        }
        ASSERT(reader.row.line >= line);
        line = reader.row.line;
        note_row(seen, step);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    struct slice text = slice_from((const char *)data + 1, size - 1);
    struct buf whole;
    struct buf pieces;
    buf_init(&whole, SEEN_LIMIT);
    buf_init(&pieces, SEEN_LIMIT);
    read_all(text, SIZE_MAX, &whole);
    read_all(text, (size_t)data[0] + 1, &pieces);
    ASSERT(slice_eq(buf_slice(&whole), buf_slice(&pieces)));
    buf_fini(&pieces);
    buf_fini(&whole);
    return 0;
}
