/* SPDX-License-Identifier: Apache-2.0 */
/* Slices, encodings, time as text, JSON in and out. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/json.h"
#include "base/rng.h"
#include "base/text.h"

#include <math.h>
#include <stdio.h>

static void utf8_is_taken_only_well_formed(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool good;
    } rows[] = {
        {"", true},
        {"plain", true},
        {"\xC3\xA9", true},
        {"\xEA\xB9\x80", true},
        {"\xF0\x9F\x98\x80", true},
        {"\xC0\xAF", false},         /* overlong */
        {"\xE0\x80\x80", false},     /* overlong */
        {"\xED\xA0\x80", false},     /* surrogate */
        {"\xF4\x90\x80\x80", false}, /* above U+10FFFF */
        {"\xF8\x88\x80\x80\x80", false},
        {"\x80", false},
        {"a\xC3", false},
        {"\xE2\x82", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(slice_is_utf8(slice_of(rows[i].text)), rows[i].good);
    }
}

static void numbers_are_whole_decimal_and_in_range(void **state) {
    (void)state;
    int64_t value;
    assert_true(slice_to_int(SLICE_LIT("0"), 0, 10, &value) && value == 0);
    assert_true(slice_to_int(SLICE_LIT("10"), 0, 10, &value) && value == 10);
    assert_true(slice_to_int(SLICE_LIT("9223372036854775807"), 1, INT64_MAX, &value));
    assert_true(value == INT64_MAX);
    assert_false(slice_to_int(SLICE_LIT("9223372036854775808"), 1, INT64_MAX, &value));
    assert_false(slice_to_int(SLICE_LIT("99999999999999999999"), 1, INT64_MAX, &value));
    static const char *const bad[] = {"", "11", "-1", "+1", " 1", "1 ", "1.0", "0x1",
                                      "9999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(slice_to_int(slice_of(bad[i]), 0, 10, &value));
    }
}

static void the_order_is_that_of_bytes_and_shorter_comes_first(void **state) {
    (void)state;
    static const char *const rising[] = {"", "A", "a", "aa", "ab", "b", "\x7f", "\xc3\xa9"};
    enum { COUNT = sizeof rising / sizeof rising[0] };
    for (int i = 0; i < COUNT; i++) {
        for (int j = 0; j < COUNT; j++) {
            int order = slice_order(slice_of(rising[i]), slice_of(rising[j]));
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
    }
    assert_int_equal(slice_order(SLICE_NONE, SLICE_NONE), 0);
}

static void splitting_gives_every_part(void **state) {
    (void)state;
    struct slice rest = SLICE_LIT("a,,b"), part;
    assert_true(slice_next(&rest, ',', &part) && slice_eq_text(part, "a"));
    assert_true(slice_next(&rest, ',', &part) && part.len == 0);
    assert_true(slice_next(&rest, ',', &part) && slice_eq_text(part, "b"));
    assert_false(slice_next(&rest, ',', &part));
}

static void times_of_any_offset_become_utc(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *utc; /* NULL: refused */
    } rows[] = {
        {"2026-11-24T18:23:24Z", "2026-11-24T18:23:24.000Z"},
        {"2026-11-24t18:23:24.5z", "2026-11-24T18:23:24.500Z"},
        {"2026-11-25T03:23:24.123456789+09:00", "2026-11-24T18:23:24.123Z"},
        {"2024-02-29T00:00:00-01:30", "2024-02-29T01:30:00.000Z"},
        {"2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999Z"},
        {"0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"},
        {"9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"},
        {"1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"},
        {"0001-01-01T00:00:00+00:01", NULL},
        {"2023-02-29T00:00:00Z", NULL},
        {"1900-02-29T00:00:00Z", NULL},
        {"2026-13-01T00:00:00Z", NULL},
        {"2026-00-01T00:00:00Z", NULL},
        {"2026-04-31T00:00:00Z", NULL},
        {"2026-11-24T24:00:00Z", NULL},
        {"2026-11-24T18:60:00Z", NULL},
        {"2026-11-24T18:23:24", NULL},
        {"2026-11-24T18:23:24.Z", NULL},
        {"2026-11-24T18:23:24+0900", NULL},
        {"2026-11-24", NULL},
        {"2026-11-24T18:23:24Z ", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t ms = 0;
        assert_int_equal(time_parse(slice_of(rows[i].text), &ms), rows[i].utc != NULL);
        if (rows[i].utc != NULL) {
            char text[TIME_TEXT_SIZE];
            time_format(ms, text);
            assert_string_equal(text, rows[i].utc);
        }
    }
}

static void every_day_of_400_years_comes_back(void **state) {
    (void)state;
    for (int64_t day = -146097; day <= 146097; day++) {
        char text[TIME_TEXT_SIZE];
        int64_t ms;
        time_format(day * 86400000, text);
        assert_true(time_parse(slice_of(text), &ms));
        assert_int_equal(ms, day * 86400000);
    }
}

static void base64_comes_back_and_refuses_what_is_foreign(void **state) {
    (void)state;
    unsigned char bytes[40], back[40];
    char text[64];
    for (size_t len = 0; len < sizeof bytes; len++) {
        for (size_t i = 0; i < len; i++) {
            bytes[i] = (unsigned char)(i * 37 + len);
        }
        text_to_base64(bytes, len, text);
        assert_int_equal(strlen(text), TEXT_BASE64_LEN(len));
        assert_int_equal(text_from_base64(slice_of(text), back, sizeof back), (int)len);
        assert_memory_equal(bytes, back, len);
    }
    assert_int_equal(text_from_base64(SLICE_LIT("a+b="), back, sizeof back), -1);
    assert_int_equal(text_from_base64(SLICE_LIT("abcde"), back, sizeof back), -1);
    assert_int_equal(text_from_base64(SLICE_LIT("abcdefgh"), back, 5), -1);
}

static void percent_escapes_are_undone_or_refused(void **state) {
    (void)state;
    struct arena arena;
    struct slice text;
    arena_init(&arena, 65536);
    assert_true(text_percent_decode(&arena, SLICE_LIT("a%20b+c%2f"), TEXT_PLUS_IS_SPACE, &text));
    assert_true(slice_eq_text(text, "a b c/"));
    assert_true(text_percent_decode(&arena, SLICE_LIT("a+b"), TEXT_PLUS_STAYS, &text));
    assert_true(slice_eq_text(text, "a+b"));
    assert_true(text_percent_decode(&arena, SLICE_LIT("%41"), TEXT_PLUS_STAYS, &text));
    assert_true(slice_eq_text(text, "A"));
    static const char *const bad[] = {"%", "%4", "a%4", "%zz", "%4g", "%%41"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(text_percent_decode(&arena, slice_of(bad[i]), TEXT_PLUS_STAYS, &text));
    }
    arena_fini(&arena);
}

/* ── JSON ── */

static void json_takes_one_strict_document(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t len; /* 0: strlen */
        enum err_e err;
    } rows[] = {
        {"{}", 0, ERR_OK},
        {" {\"a\":[1,2.5,true,null,\"x\"]} \r\n", 0, ERR_OK},
        {"1", 0, ERR_OK},
        {"\"\\u0000\"", 0, ERR_OK},
        {"", 0, ERR_MALFORMED_JSON},
        {"{", 0, ERR_MALFORMED_JSON},
        {"{}{}", 0, ERR_MALFORMED_JSON},
        {"123\0", 4, ERR_MALFORMED_JSON},
        {"{\"a\":1,\"a\":2}", 0, ERR_MALFORMED_JSON},
        {"{\"a\":\"\xff\"}", 0, ERR_MALFORMED_JSON},
        {"{'a':1}", 0, ERR_MALFORMED_JSON},
        {"[1,]", 0, ERR_MALFORMED_JSON},
        {"NaN", 0, ERR_MALFORMED_JSON},
        {"\xEF\xBB\xBF{}", 0, ERR_MALFORMED_JSON},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena arena;
        struct json_t *value;
        arena_init(&arena, 1 << 20);
        size_t len = rows[i].len > 0 ? rows[i].len : strlen(rows[i].text);
        assert_int_equal(json_parse(&arena, slice_from(rows[i].text, len), &value, NULL),
                         rows[i].err);
        arena_fini(&arena);
    }
}

static void json_nesting_is_bounded_and_brackets_in_strings_do_not_count(void **state) {
    (void)state;
    char text[300];
    struct arena arena;
    struct json_t *value;
    arena_init(&arena, 1 << 20);
    for (int depth = 64; depth <= 65; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        assert_int_equal(json_parse(&arena, slice_from(text, (size_t)(2 * depth)), &value, NULL),
                         depth == 64 ? ERR_OK : ERR_MALFORMED_JSON);
    }
    memset(text, '[', sizeof text);
    text[0] = '"';
    text[sizeof text - 1] = '"';
    assert_int_equal(json_parse(&arena, slice_from(text, sizeof text), &value, NULL), ERR_OK);
    arena_fini(&arena);
}

static void json_that_needs_too_much_memory_says_so(void **state) {
    (void)state;
    static char text[40000];
    struct arena arena;
    struct json_t *value;
    size_t len = 0;
    text[len++] = '[';
    while (len < sizeof text - 2) {
        text[len++] = '1';
        text[len++] = ',';
    }
    text[len - 1] = ']';
    arena_init(&arena, 20000);
    assert_int_equal(json_parse(&arena, slice_from(text, len), &value, NULL), ERR_NO_MEMORY);
    arena_fini(&arena);
}

static void json_written_is_escaped_and_parted_by_commas(void **state) {
    (void)state;
    struct buf buf;
    struct json_writer w;
    buf_init(&buf, 1000);
    json_writer_init(&w, &buf);
    json_begin_object(&w);
    json_put_text(&w, "a", slice_from("x\"\\\n\x01\0y", 7));
    json_key(&w, "b");
    json_begin_array(&w);
    json_add_int(&w, -5);
    json_add_real(&w, 0.5, 2);
    json_add_real(&w, NAN, 2);
    json_add_bool(&w, true);
    json_add_int_text(&w, INT64_MIN);
    json_end_array(&w);
    json_put_time(&w, "c", TIME_NONE);
    json_put_time(&w, "d", 0);
    json_end_object(&w);
    buf_add_char(&buf, '\0');
    assert_false(buf.failed);
    assert_string_equal(buf.at, "{\"a\":\"x\\\"\\\\\\n\\u0001\\u0000y\",\"b\":[-5,0.50,null,true,"
                                "\"-9223372036854775808\"],\"c\":null,"
                                "\"d\":\"1970-01-01T00:00:00.000Z\"}");
    buf_fini(&buf);
}

static void expect_real(double value, int decimals) {
    char expected[400], got[400];
    struct json_writer w;
    struct buf to;
    buf_init(&to, sizeof got);
    json_writer_init(&w, &to);
    json_add_real(&w, value, decimals);
    assert_false(to.failed);
    assert_true(slice_to_cstr(buf_slice(&to), got, sizeof got));
    snprintf(expected, sizeof expected, "%.*f", decimals, value);
    assert_string_equal(got, expected);
    buf_fini(&to);
}

static void reals_are_rounded_as_printf_does(void **state) {
    (void)state;
    static const double values[] = {0,        -0.0,       0.5,     1.5,     2.5,     0.05,
                                    0.15,     0.25,       1.005,   2.675,   0.125,   0.0005,
                                    999.9995, 0.99999,    1e8 / 3, 999999999.9, 1e9, 1e300,
                                    -1.25,    4294967296, 1e-300,  0.9995,  123.4565};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        for (int decimals = 0; decimals <= 6; decimals++) {
            expect_real(values[i], decimals);
        }
    }
    struct seeded_rng rng;
    seeded_rng_init(&rng, 9);
    for (int i = 0; i < 200000; i++) {
        double value = rng_unit(&rng.base) * pow(10, (double)rng_below(&rng.base, 11));
        if (i % 2 == 0) { /* ties, as far as doubles have them */
            value = floor(value * 100) / 100 + 0.005;
        }
        expect_real(value, (int)rng_below(&rng.base, 5));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_is_taken_only_well_formed),
        cmocka_unit_test(numbers_are_whole_decimal_and_in_range),
        cmocka_unit_test(reals_are_rounded_as_printf_does),
        cmocka_unit_test(the_order_is_that_of_bytes_and_shorter_comes_first),
        cmocka_unit_test(splitting_gives_every_part),
        cmocka_unit_test(times_of_any_offset_become_utc),
        cmocka_unit_test(every_day_of_400_years_comes_back),
        cmocka_unit_test(base64_comes_back_and_refuses_what_is_foreign),
        cmocka_unit_test(percent_escapes_are_undone_or_refused),
        cmocka_unit_test(json_takes_one_strict_document),
        cmocka_unit_test(json_nesting_is_bounded_and_brackets_in_strings_do_not_count),
        cmocka_unit_test(json_that_needs_too_much_memory_says_so),
        cmocka_unit_test(json_written_is_escaped_and_parted_by_commas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
