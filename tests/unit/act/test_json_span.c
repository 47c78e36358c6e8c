/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a value is found where it lies, whatever stands around it, and nothing is read behind the
 * text's end. */
#include "act/json_span.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#define PATH(...) (const char *const[]){__VA_ARGS__, NULL}

static void assert_found(const char *text, const char *const *path, const char *value) {
    struct slice found;
    assert_true(json_span(slice_of(text), path, &found));
    assert_true(slice_eq_text(found, value));
}

static void values_of_every_kind_are_found_as_they_are_written(void **state) {
    (void)state;
    const char *text = " { \"a\" : 1.50 ,\"b\":\"x\\\"}\",\"c\":{\"d\":[1,{\"e\":2}],\"f\":null},"
                       "\"g\":true}";
    assert_found(text, PATH("a"), "1.50");
    assert_found(text, PATH("b"), "\"x\\\"}\"");
    assert_found(text, PATH("c", "d"), "[1,{\"e\":2}]");
    assert_found(text, PATH("c", "f"), "null");
    assert_found(text, PATH("c"), "{\"d\":[1,{\"e\":2}],\"f\":null}");
    assert_found(text, PATH("g"), "true");
}

static void a_name_inside_a_text_or_deeper_is_not_it(void **state) {
    (void)state;
    assert_found("{\"x\":{\"n\":1},\"y\":\"\\\"n\\\":2\",\"n\":3}", PATH("n"), "3");
}

static void what_is_not_there_is_not_found(void **state) {
    (void)state;
    static const char *const texts[] = {"", "{}", "{\"b\":1}", "[]", "\"a\"", "{\"a", "{\"a\"",
                                        "{\"a\":", "{\"a\":}", "{a:1}", "}"};
    struct slice found;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_false(json_span(slice_of(texts[i]), PATH("a"), &found));
    }
    assert_false(json_span(SLICE_LIT("{\"a\":1}"), PATH("a", "b"), &found));
}

/* Every prefix, in memory of just its size, so that a sanitizer sees a byte too far. */
static void a_text_that_ends_anywhere_is_never_read_beyond(void **state) {
    (void)state;
    struct slice whole = SLICE_LIT("{\"k\":[{\"x\\\\\":\"\\\"\"}],\"a\":{\"b\":[1,2]}}");
    for (size_t len = 0; len <= whole.len; len++) {
        char *copy = malloc(len + (len == 0));
        struct slice found;
        memcpy(copy, whole.at, len);
        bool is_there = json_span(slice_from(copy, len), PATH("a", "b"), &found);
        assert_true(!is_there || (found.at >= copy && found.at + found.len <= copy + len));
        free(copy);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_every_kind_are_found_as_they_are_written),
        cmocka_unit_test(a_name_inside_a_text_or_deeper_is_not_it),
        cmocka_unit_test(what_is_not_there_is_not_found),
        cmocka_unit_test(a_text_that_ends_anywhere_is_never_read_beyond),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
