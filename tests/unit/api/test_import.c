/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of participants from CSV and NDJSON, whole and in pieces. */
#include "api/import.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

static void describe(const struct import_group *group, struct buf *to) {
    for (size_t i = 0; i < group->rows_len; i++) {
        const struct participant *person = &group->rows[i].values;
        buf_printf(to, "%zu:%.*s/%.*s/%.*s/%x\n", group->lines[i], SLICE_ARG(person->token),
                   SLICE_ARG(person->name), SLICE_ARG(person->gates), group->rows[i].fields);
    }
    for (size_t i = 0; i < group->rejected_len; i++) {
        buf_printf(to, "%zu!%.*s\n", group->rejected[i].line,
                   SLICE_ARG(group->rejected[i].reason));
    }
}

static enum import_step_e read_all(enum import_format_e format, struct slice text, size_t piece,
                                   struct buf *to) {
    struct import_reader *reader = import_open(format);
    assert_non_null(reader);
    struct problem problem;
    enum err_e err = ERR_OK;
    enum import_step_e step;
    do {
        step = import_read(reader, &err, &problem);
        if (step == IMPORT_GROUP) {
            describe(import_group(reader), to);
        } else if (step == IMPORT_WANTS_MORE) {
            size_t n = text.len < piece ? text.len : piece;
            import_feed(reader, slice_from(text.at, n),
                        n == text.len ? CSV_LAST_PIECE : CSV_PIECE);
            text = slice_skip(text, n);
        } else if (step == IMPORT_FAILED) {
            buf_add_text(to, problem.detail);
        }
    } while (step == IMPORT_GROUP || step == IMPORT_WANTS_MORE);
    for (size_t i = 0; i < import_warnings(reader); i++) {
        buf_printf(to, "~%.*s\n", SLICE_ARG(import_warning(reader, i)));
    }
    import_close(reader);
    return step;
}

static void expect(enum import_format_e format, const char *text, const char *wanted) {
    size_t len = strlen(text);
    for (size_t piece = 1; piece <= len + 1; piece += piece < 8 ? 1 : 7) {
        struct buf got;
        buf_init(&got, 1 << 20);
        read_all(format, slice_from(text, len), piece, &got);
        buf_add_char(&got, '\0');
        assert_string_equal(got.at, wanted);
        buf_fini(&got);
    }
}

static void columns_are_found_by_name_and_missing_ones_keep(void **state) {
    (void)state;
    expect(IMPORT_CSV, "Name, TOKEN ,phone\r\nAnn,t1,1\r\n,t2,\r\n",
           "2:t1/Ann//3\n3:t2///3\n~column phone is unknown and was not read\n");
}

static void gates_are_joined_once_each(void **state) {
    (void)state;
    expect(IMPORT_CSV, "token,gates\na,  g1  g2 g1 \nb,\n", "2:a//g1 g2/41\n3:b///41\n");
}

static void a_bad_cell_rejects_its_row_with_the_physical_line(void **state) {
    (void)state;
    expect(IMPORT_CSV,
           "token,name,status,valid_from,valid_until\n"
           "a,\"two\nlines\",active,,\n"
           "b,x,gone,,\n"
           ",x,,,\n"
           "c,x,,soon,\n"
           "d,x,,2026-01-02T00:00:00Z,2026-01-01T00:00:00Z\n"
           "e,x\n",
           "2:a/two\nlines//3b\n"
           "4!status: must be one of active cancelled blocked\n"
           "5!token: must be 1 to 256 characters without control characters or white space at the "
           "ends\n"
           "6!valid_from: must be a time like 2026-11-24T18:30:00Z\n"
           "7!valid_until: must not be before the beginning\n"
           "8!has 2 cells where the header has 5\n");
}

static void a_header_that_is_none_fails_the_file(void **state) {
    (void)state;
    expect(IMPORT_CSV, "", "there is no header row");
    expect(IMPORT_CSV, "name,email\na,b\n", "the header row names no column token");
    expect(IMPORT_CSV, "token,Token\n", "columns 1 and 2 have the same name");
    expect(IMPORT_CSV, "\"token\n", "line 1: a quote opens here and never closes");
}

static void json_lines_are_read_as_patches(void **state) {
    (void)state;
    expect(IMPORT_NDJSON,
           "{\"token\":\"a\",\"name\":null,\"gates\":[\"g\"]}\r\n\n{\"name\":\"x\"}\n[]\n{bad\n"
           "{\"token\":\"b\",\"status\":null}",
           "1:a//g/43\n"
           "3!token: is required\n"
           "4!body: must be a JSON object\n"
           "5!line 1, column 4: string or '}' expected near 'bad'\n"
           "6!status: cannot be null\n");
}

static void a_line_over_the_limit_is_rejected_and_the_next_one_read(void **state) {
    (void)state;
    static char text[70000];
    memset(text, 'x', sizeof text);
    size_t len = 65537;
    len += (size_t)snprintf(text + len, sizeof text - len, "\n{\"token\":\"a\"}\n");
    struct buf got;
    buf_init(&got, 1 << 20);
    read_all(IMPORT_NDJSON, slice_from(text, len), 1000, &got);
    buf_add_char(&got, '\0');
    assert_non_null(strstr(got.at, "1!longer than 65536 bytes\n"));
    assert_non_null(strstr(got.at, "2:a//"));
    buf_fini(&got);
}

static void groups_are_bounded_and_rejections_cut_but_counted(void **state) {
    (void)state;
    struct import_reader *reader = import_open(IMPORT_CSV);
    static struct import_tally tally;
    static char text[20000];
    assert_non_null(reader);
    import_tally_init(&tally);
    size_t len = (size_t)snprintf(text, sizeof text, "token,name\n");
    for (int i = 0; i < 1500; i++) {
        len += (size_t)snprintf(text + len, sizeof text - len, "x%s\n", i % 5 == 0 ? ",y" : "");
    }
    import_feed(reader, slice_from(text, len), CSV_LAST_PIECE);
    struct problem problem;
    enum err_e err;
    size_t groups = 0;
    while (import_read(reader, &err, &problem) == IMPORT_GROUP) {
        struct import_group *group = import_group(reader);
        assert_true(group->rows_len + group->rejected_len <= IMPORT_GROUP_MAX);
        for (size_t i = 0; i < group->rows_len; i++) {
            group->rows[i].ret_outcome = IMPORT_UPDATED;
        }
        import_tally_add(&tally, group);
        groups++;
    }
    assert_int_equal(groups, 3);
    assert_int_equal(tally.updated, 300);
    assert_int_equal(tally.rejected_total, 1200);
    assert_int_equal(tally.rejected_len, IMPORT_REJECTED_MAX);
    assert_int_equal(tally.rejected[0].line, 3);
    import_tally_fini(&tally);
    import_close(reader);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_found_by_name_and_missing_ones_keep),
        cmocka_unit_test(gates_are_joined_once_each),
        cmocka_unit_test(a_bad_cell_rejects_its_row_with_the_physical_line),
        cmocka_unit_test(a_header_that_is_none_fails_the_file),
        cmocka_unit_test(json_lines_are_read_as_patches),
        cmocka_unit_test(a_line_over_the_limit_is_rejected_and_the_next_one_read),
        cmocka_unit_test(groups_are_bounded_and_rejections_cut_but_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
