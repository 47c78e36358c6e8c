/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a trace is taken over when it is exactly what the recommendation asks, and never else. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "http/trace_priv.h"

#define ID "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN "00f067aa0ba902b7"

static void what_is_valid_is_passed_on_with_a_span_of_its_own(void **state) {
    (void)state;
    static const char *const given[] = {
        "00-" ID "-" SPAN "-01",
        "cc-" ID "-" SPAN "-01",              /* a version to come */
        "cc-" ID "-" SPAN "-01-what-comes",
    };
    for (size_t i = 0; i < sizeof given / sizeof given[0]; i++) {
        char text[TRACE_TEXT_LEN + 1] = "";
        assert_true(trace_take(slice_of(given[i]), 0xabc, text));
        assert_string_equal(text, "00-" ID "-0000000000000abc-01");
    }
    char text[TRACE_TEXT_LEN + 1];
    assert_true(trace_take(SLICE_LIT("00-" ID "-" SPAN "-fe"), 0, text));
    assert_string_equal(text, "00-" ID "-0000000000000001-fe");
}

static void anything_else_is_no_trace(void **state) {
    (void)state;
    static const char *const given[] = {
        "",
        "00",
        "00-" ID "-" SPAN "-0",
        "00-" ID "-" SPAN "-01-",
        "00-" ID "-" SPAN "-01-more",
        "00-" ID "-" SPAN "-01 ",
        "cc-" ID "-" SPAN "-01more",
        "ff-" ID "-" SPAN "-01",
        "0g-" ID "-" SPAN "-01",
        "00_" ID "-" SPAN "-01",
        "00-" ID "_" SPAN "-01",
        "00-" ID "-" SPAN "_01",
        "00-00000000000000000000000000000000-" SPAN "-01",
        "00-" ID "-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01",
        "00-" ID "-00f067aa0ba902bx-01",
        "00-" ID "-" SPAN "-0x",
    };
    for (size_t i = 0; i < sizeof given / sizeof given[0]; i++) {
        char text[TRACE_TEXT_LEN + 1];
        if (trace_take(slice_of(given[i]), 1, text)) {
            fail_msg("\"%s\" was taken for a trace", given[i]);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_valid_is_passed_on_with_a_span_of_its_own),
        cmocka_unit_test(anything_else_is_no_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
