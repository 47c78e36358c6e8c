/* SPDX-License-Identifier: Apache-2.0 */
/* What json_parse_by allows that json_parse refuses. */
#include "base/json.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

static struct arena arena;

static int setup(void **state) {
    (void)state;
    arena_init(&arena, 16 << 20);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_fini(&arena);
    return 0;
}

static enum err_e parse(const char *text, int nesting_max, unsigned lax,
                        struct json_t **ret_value) {
    struct json_rules rules = {.nesting_max = nesting_max, .lax = lax};
    return json_parse_by(&arena, slice_of(text), &rules, ret_value, NULL);
}

static enum err_e parse_nested(int levels, int nesting_max) {
    char *text = malloc(2 * (size_t)levels + 1);
    assert_non_null(text);
    memset(text, '[', (size_t)levels);
    memset(text + levels, ']', (size_t)levels);
    text[2 * levels] = '\0';
    struct json_t *value = NULL;
    enum err_e err = parse(text, nesting_max, 0, &value);
    free(text);
    return err;
}

static void nesting_is_allowed_up_to_the_rule_and_no_further(void **state) {
    (void)state;
    assert_int_equal(ERR_OK, parse_nested(64, 64));
    assert_int_equal(ERR_MALFORMED_JSON, parse_nested(65, 64));
    assert_int_equal(ERR_OK, parse_nested(JSON_NESTING_LIMIT, JSON_NESTING_LIMIT));
    assert_int_equal(ERR_MALFORMED_JSON, parse_nested(JSON_NESTING_LIMIT + 1, JSON_NESTING_LIMIT));
}

static void json_parse_keeps_its_64_levels(void **state) {
    (void)state;
    char text[2 * 65 + 1] = {0};
    memset(text, '[', 65);
    memset(text + 65, ']', 65);
    struct json_t *value = NULL;
    struct problem problem = {0};
    assert_int_equal(ERR_MALFORMED_JSON, json_parse(&arena, slice_of(text), &value, &problem));
    assert_string_equal("nested deeper than 64 levels", problem.detail);
    assert_int_equal(ERR_OK, json_parse(&arena, slice_from(text + 1, 128), &value, &problem));
}

static void an_integer_beyond_int64_is_a_real_only_when_asked_for(void **state) {
    (void)state;
    static const char *const text = "{\"rows\":100000000000000000000,\"width\":4}";
    struct json_t *value = NULL;
    assert_int_equal(ERR_MALFORMED_JSON, parse(text, 64, 0, &value));
    assert_int_equal(ERR_OK, parse(text, 64, JSON_INTEGERS_AS_REALS, &value));
    assert_int_equal(JSON_KIND_REAL, json_kind(json_get(value, "rows")));
    assert_true(json_number(json_get(value, "rows")) > 9.9e19);
    assert_true(json_number(json_get(value, "width")) == 4);
}

static void a_doubled_key_is_an_error_unless_allowed(void **state) {
    (void)state;
    static const char *const text = "{\"a\":1,\"a\":2}";
    struct json_t *value = NULL;
    assert_int_equal(ERR_MALFORMED_JSON, parse(text, 64, 0, &value));
    assert_int_equal(ERR_OK, parse(text, 64, JSON_DUPLICATE_KEYS, &value));
    assert_int_equal(2, json_int(json_get(value, "a")));
}

static void what_is_missing_or_of_another_kind_is_answered_for(void **state) {
    (void)state;
    struct json_t *value = NULL;
    const char *text = "{\"t\":\"x\",\"n\":1,\"r\":0.5,\"y\":true,\"z\":null}";
    assert_int_equal(parse(text, 8, 0, &value), ERR_OK);
    assert_true(slice_eq_text(json_text_at(value, "t", SLICE_LIT("-")), "x"));
    assert_true(slice_eq_text(json_text_at(value, "n", SLICE_LIT("-")), "-"));
    assert_true(slice_eq_text(json_text_at(value, "gone", SLICE_LIT("-")), "-"));
    assert_true(slice_eq_text(json_text_at(NULL, "t", SLICE_LIT("-")), "-"));
    assert_true(json_is_numeric(json_get(value, "n")) && json_is_numeric(json_get(value, "r")));
    assert_false(json_is_numeric(json_get(value, "t")) || json_is_numeric(NULL));
    assert_true(json_is_true_at(value, "y"));
    assert_false(json_is_true_at(value, "z") || json_is_true_at(value, "gone") ||
                 json_is_true_at(NULL, "y"));
    assert_int_equal(json_count(NULL), 0);
    assert_int_equal(json_count(json_get(value, "n")), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_missing_or_of_another_kind_is_answered_for, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(nesting_is_allowed_up_to_the_rule_and_no_further, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(json_parse_keeps_its_64_levels, setup, teardown),
        cmocka_unit_test_setup_teardown(an_integer_beyond_int64_is_a_real_only_when_asked_for,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_doubled_key_is_an_error_unless_allowed, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
