/* SPDX-License-Identifier: Apache-2.0 */
/* CSV rows, whole and in pieces, good and bad; cells that a spreadsheet must not run. */
#include "domain/csv.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

/* Writes what the reader gives as "line:cell|cell" and "line!reason", a row a line. */
static void read_in_pieces(const char *text, size_t len, size_t piece, struct buf *ret) {
    struct csv_reader *reader = malloc(sizeof *reader);
    assert_non_null(reader);
    csv_init(reader);
    size_t fed = 0;
    for (;;) {
        enum csv_step_e step = csv_next(reader);
        if (step == CSV_END) {
            break;
        }
        if (step == CSV_WANTS_MORE) {
            size_t n = len - fed < piece ? len - fed : piece;
            csv_feed(reader, slice_from(text + fed, n),
                     fed + n == len ? CSV_LAST_PIECE : CSV_PIECE);
            fed += n;
            continue;
        }
        buf_add_int(ret, (int64_t)reader->row.line);
        if (step == CSV_BAD_ROW) {
            buf_add_char(ret, '!');
            buf_add_text(ret, reader->row.reason);
        }
        for (size_t i = 0; step == CSV_ROW && i < reader->row.len; i++) {
            buf_add_char(ret, i == 0 ? ':' : '|');
            buf_add(ret, reader->row.cells[i]);
        }
        buf_add_char(ret, '\n');
    }
    assert_int_equal(csv_next(reader), CSV_END);
    free(reader);
}

static void expect_rows(const char *text, const char *rows) {
    size_t len = strlen(text);
    for (size_t piece = 1; piece <= len + 1; piece++) {
        struct buf got;
        buf_init(&got, 1 << 20);
        read_in_pieces(text, len, piece, &got);
        buf_add_char(&got, '\0');
        assert_string_equal(got.at, rows);
        buf_fini(&got);
    }
}

static void rows_end_in_crlf_or_lf_or_the_end_of_the_text(void **state) {
    (void)state;
    expect_rows("token,name\r\na,Ann\nb,Bo", "1:token|name\n2:a|Ann\n3:b|Bo\n");
    expect_rows("a,b\r\n", "1:a|b\n");
    expect_rows("a,\r\n,b\r", "1:a|\n2:|b\n");
    expect_rows("", "");
}

static void quotes_hold_separators_newlines_and_quotes(void **state) {
    (void)state;
    expect_rows("\"a,b\",\"say \"\"hi\"\"\"\r\n\"two\r\nlines\",x\nlast,\"\"\n",
                "1:a,b|say \"hi\"\n2:two\r\nlines|x\n4:last|\n");
}

static void a_byte_order_mark_is_skipped_also_before_a_quote(void **state) {
    (void)state;
    expect_rows("\xEF\xBB\xBFtoken\nx", "1:token\n2:x\n");
    expect_rows("\xEF\xBB\xBF\"token\",n\n", "1:token|n\n");
    expect_rows("\xEF\xBB,x\n", "1:\xEF\xBB|x\n");
    expect_rows("a\n\xEF\xBB\xBF", "1:a\n2:\xEF\xBB\xBF\n");
}

static void blank_lines_are_skipped_and_counted(void **state) {
    (void)state;
    expect_rows("\n\r\ntoken\n\n\"\"\nb\n\n", "3:token\n5:\n6:b\n");
}

static void a_quote_inside_a_plain_cell_is_text(void **state) {
    (void)state;
    expect_rows("5\" pipe,b\n", "1:5\" pipe|b\n");
}

static void text_behind_a_closing_quote_makes_only_that_row_bad(void **state) {
    (void)state;
    expect_rows("\"a\"b,c\n\"d\"\re\nok\n",
                "1!text follows a closing quote\n2!text follows a closing quote\n3:ok\n");
}

static void an_open_quote_is_reported_at_the_line_where_it_opens(void **state) {
    (void)state;
    expect_rows("a\nb,\"open\nmore\nlines\n", "1:a\n2!a quote opens here and never closes\n");
    expect_rows("\"x\ny\",\"open\n", "2!a quote opens here and never closes\n");
}

static void rows_over_the_limits_are_bad_and_the_next_one_is_read(void **state) {
    (void)state;
    size_t len = 0;
    char *text = malloc(2 * CSV_ROW_MAX);
    assert_non_null(text);
    memset(text, 'x', CSV_ROW_MAX + 1);
    len = CSV_ROW_MAX + 1;
    text[len++] = '\n';
    memset(text + len, ',', CSV_CELLS_MAX);
    len += CSV_CELLS_MAX;
    text[len++] = '\n';
    memset(text + len, ',', CSV_CELLS_MAX - 1);
    len += CSV_CELLS_MAX - 1;
    struct buf got;
    buf_init(&got, 1 << 20);
    read_in_pieces(text, len, 4096, &got);
    assert_true(slice_starts_with(
        buf_slice(&got), SLICE_LIT("1!longer than 65536 bytes\n2!more than 64 columns\n3:||")));
    buf_fini(&got);
    free(text);
}

static void a_row_of_exactly_the_limit_is_read(void **state) {
    (void)state;
    char *text = malloc(CSV_ROW_MAX);
    assert_non_null(text);
    memset(text, 'x', CSV_ROW_MAX);
    struct buf got;
    buf_init(&got, 1 << 20);
    read_in_pieces(text, CSV_ROW_MAX, 1000, &got);
    assert_int_equal(got.len, CSV_ROW_MAX + 3);
    buf_fini(&got);
    free(text);
}

static void cells_are_quoted_and_formulas_defused(void **state) {
    (void)state;
    static const struct {
        const char *cell, *text;
    } rows[] = {
        {"plain", "plain"},       {"", ""},           {"a,b", "\"a,b\""},
        {"say \"x\"", "\"say \"\"x\"\"\""}, {"two\nlines", "\"two\nlines\""},
        {"=1+1", "'=1+1"},        {"+1", "'+1"},      {"-1", "'-1"},
        {"@sum", "'@sum"},        {"\tx", "'\tx"},    {"\rx", "\"'\rx\""},
        {"=a,b", "\"'=a,b\""},    {"a=b", "a=b"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf got;
        buf_init(&got, 1024);
        csv_add_cell(&got, slice_of(rows[i].cell));
        buf_add_char(&got, '\0');
        assert_string_equal(got.at, rows[i].text);
        buf_fini(&got);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_end_in_crlf_or_lf_or_the_end_of_the_text),
        cmocka_unit_test(quotes_hold_separators_newlines_and_quotes),
        cmocka_unit_test(a_byte_order_mark_is_skipped_also_before_a_quote),
        cmocka_unit_test(blank_lines_are_skipped_and_counted),
        cmocka_unit_test(a_quote_inside_a_plain_cell_is_text),
        cmocka_unit_test(text_behind_a_closing_quote_makes_only_that_row_bad),
        cmocka_unit_test(an_open_quote_is_reported_at_the_line_where_it_opens),
        cmocka_unit_test(rows_over_the_limits_are_bad_and_the_next_one_is_read),
        cmocka_unit_test(a_row_of_exactly_the_limit_is_read),
        cmocka_unit_test(cells_are_quoted_and_formulas_defused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
