/* SPDX-License-Identifier: Apache-2.0 */
/* Queries, cursors and media types: the pure parts of what comes in. */
#include "api/call_priv.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

static struct arena arena;

static int make_arena(void **state) {
    (void)state;
    arena_init(&arena, 1 << 20);
    return 0;
}

static int drop_arena(void **state) {
    (void)state;
    arena_fini(&arena);
    return 0;
}

static void a_query_is_taken_apart_and_decoded(void **state) {
    (void)state;
    struct query query;
    struct problem problem;
    struct slice value;
    assert_int_equal(
        query_parse(&arena, SLICE_LIT("&q=a+b%2Bc&&empty=&flag&x=y=z&"), &query, &problem), ERR_OK);
    assert_int_equal(query.len, 4);
    assert_true(query_get(&query, "q", &value) && slice_eq_text(value, "a b+c"));
    assert_true(query_get(&query, "empty", &value) && value.len == 0);
    assert_true(query_get(&query, "flag", &value) && value.len == 0);
    assert_true(query_get(&query, "x", &value) && slice_eq_text(value, "y=z"));
    assert_false(query_get(&query, "Q", &value));
}

static void a_plus_in_an_offset_may_arrive_as_a_space(void **state) {
    (void)state;
    struct query query;
    struct problem problem;
    int64_t ms = TIME_NONE;
    assert_int_equal(query_parse(&arena, SLICE_LIT("t=1970-01-01T09:00:01+09:00"), &query,
                                 &problem),
                     ERR_OK);
    assert_int_equal(query_time(&query, "t", &ms, &problem), ERR_OK);
    assert_int_equal(ms, 1000);
}

static void too_many_parameters_are_refused(void **state) {
    (void)state;
    struct query query;
    struct problem problem;
    char text[QUERY_PARAMS_MAX * 3 + 4];
    size_t len = 0;
    for (int i = 0; i <= QUERY_PARAMS_MAX; i++) {
        text[len++] = (char)('A' + i);
        text[len++] = '&';
    }
    assert_int_equal(query_parse(&arena, slice_from(text, len), &query, &problem),
                     ERR_INVALID_FIELD);
    assert_int_equal(query_parse(&arena, slice_from(text, len - 2), &query, &problem), ERR_OK);
}

static void a_cursor_comes_back_as_it_was(void **state) {
    (void)state;
    const struct cursor cursor = {CURSOR_ATTENDANCE, 77, {-5, INT64_MAX}};
    struct cursor back = {.list = CURSOR_ATTENDANCE, .filter = 77};
    char text[CURSOR_TEXT_SIZE];
    struct problem problem;
    cursor_format(&cursor, text);
    assert_int_equal(cursor_parse(slice_of(text), &back, &problem), ERR_OK);
    assert_true(back.keys[0] == -5 && back.keys[1] == INT64_MAX);
}

static void any_damage_to_a_cursor_is_found(void **state) {
    (void)state;
    const struct cursor cursor = {CURSOR_EVENTS, 0, {12, 0}};
    char text[CURSOR_TEXT_SIZE];
    struct problem problem;
    cursor_format(&cursor, text);
    for (size_t i = 0; i < sizeof text - 1; i++) {
        struct cursor back = {.list = CURSOR_EVENTS};
        char kept = text[i];
        text[i] = kept == 'A' ? 'B' : 'A';
        assert_int_equal(cursor_parse(slice_of(text), &back, &problem), ERR_INVALID_CURSOR);
        text[i] = kept;
        assert_int_equal(cursor_parse(slice_from(text, i), &back, &problem), ERR_INVALID_CURSOR);
    }
}

static void the_parts_of_a_filter_do_not_run_together(void **state) {
    (void)state;
    uint32_t one = cursor_fold(cursor_fold(0, SLICE_LIT("ab")), SLICE_LIT("c"));
    uint32_t other = cursor_fold(cursor_fold(0, SLICE_LIT("a")), SLICE_LIT("bc"));
    assert_true(one != other);
    assert_true(cursor_fold_int(0, 1) != cursor_fold_int(0, 2));
}

static void media_types_are_read_without_case_and_with_parameters(void **state) {
    (void)state;
    static const struct {
        const char *text;
        enum media_e media;
    } rows[] = {
        {"", MEDIA_NONE},
        {"application/json", MEDIA_JSON},
        {"Application/JSON ; charset=\"UTF-8\"", MEDIA_JSON},
        {"application/json;charset=utf-16", MEDIA_OTHER},
        {"application/merge-patch+json", MEDIA_JSON},
        {"text/csv; header=present", MEDIA_CSV},
        {"application/x-ndjson", MEDIA_NDJSON},
        {"application/x-www-form-urlencoded", MEDIA_OTHER},
        {"application/jsonx", MEDIA_OTHER},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(media_of(slice_of(rows[i].text)), rows[i].media);
    }
}

static void csv_is_sent_only_to_who_prefers_it(void **state) {
    (void)state;
    static const struct {
        const char *accept;
        bool csv;
    } rows[] = {
        {"", false},
        {"*/*", false},
        {"text/csv", true},
        {"application/json, text/csv", false},
        {"text/csv, application/json", true},
        {"text/csv;q=0.5, application/json", false},
        {"application/json;q=0.5, Text/CSV;q=0.9", true},
        {"text/csv;q=0", false},
        {"text/csv, */*;q=0.1", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(accept_prefers_csv(slice_of(rows[i].accept)), rows[i].csv);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_query_is_taken_apart_and_decoded),
        cmocka_unit_test(a_plus_in_an_offset_may_arrive_as_a_space),
        cmocka_unit_test(too_many_parameters_are_refused),
        cmocka_unit_test(a_cursor_comes_back_as_it_was),
        cmocka_unit_test(any_damage_to_a_cursor_is_found),
        cmocka_unit_test(the_parts_of_a_filter_do_not_run_together),
        cmocka_unit_test(media_types_are_read_without_case_and_with_parameters),
        cmocka_unit_test(csv_is_sent_only_to_who_prefers_it),
    };
    return cmocka_run_group_tests(tests, make_arena, drop_arena);
}
