/* SPDX-License-Identifier: Apache-2.0 */
/* Verdicts read without a tree: every member, any order, any white space, nothing missing. */
#include "reply.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char admitted[] =
    "{\"verdict\":\"admitted\",\"reason\":null,\"record_id\":\"1882770640347332608\","
    "\"replayed\":false,\"forced\":false,\"participant\":{\"id\":\"12\",\"name\":\"김지우 \\\"}\","
    "\"status\":\"active\",\"attention\":null},\"first\":null,\"inside\":7,"
    "\"scanned_at\":\"2026-11-24T19:53:23.383Z\",\"decided_at\":\"2026-11-24T19:53:23.383Z\"}";

static void a_verdict_is_read_whole(void **state) {
    (void)state;
    struct reply reply;
    assert_true(reply_parse(slice_of(admitted), &reply));
    assert_int_equal(reply.verdict, VERDICT_ADMITTED);
    assert_int_equal(reply.reason, REASON_NONE);
    assert_int_equal(reply.record_id, 1882770640347332608);
    assert_false(reply.replayed);
    assert_int_equal(reply.participant, 12);
    assert_int_equal(reply.inside, 7);
    assert_int_equal(reply.index, -1);
    assert_string_equal(reply.code, "");
}

static void order_and_white_space_do_not_matter(void **state) {
    (void)state;
    struct reply reply;
    assert_true(reply_parse(
        SLICE_LIT(" { \"index\" : 3 , \"inside\":0,\"participant\" : null ,\n\"forced\":true,"
                  "\"replayed\": true, \"first\": {\"at\":\"x\",\"gate\":[1,\"]\"]},"
                  "\"record_id\":\"5\", \"reason\" :\"already_used\",\"verdict\":\"refused\" } "),
        &reply));
    assert_int_equal(reply.index, 3);
    assert_int_equal(reply.verdict, VERDICT_REFUSED);
    assert_int_equal(reply.reason, REASON_ALREADY_USED);
    assert_int_equal(reply.participant, 0);
    assert_true(reply.replayed);
    assert_true(reply.forced);
}

/* Takes one member after another out of a verdict. */
static void a_missing_member_is_no_verdict(void **state) {
    static const char *const members[] = {"verdict", "reason", "record_id", "replayed",
                                          "forced", "participant", "inside"};
    (void)state;
    char text[sizeof admitted];
    struct reply reply;
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        memcpy(text, admitted, sizeof text);
        char name[32];
        snprintf(name, sizeof name, "\"%s\"", members[i]);
        strstr(text, name)[1] = 'X';
        assert_false(reply_parse(slice_of(text), &reply));
    }
}

static void what_is_malformed_is_no_verdict(void **state) {
    (void)state;
    struct reply reply;
    for (size_t len = 0; len < sizeof admitted - 1; len++) { /* cut anywhere */
        assert_false(reply_parse(slice_from(admitted, len), &reply));
    }
    static const char *const wrong[] = {
        "", "null", "[]", "{}", "{\"verdict\":\"let in\"}", "{\"record_id\":5.5}",
        "{\"index\":-1,\"error\":{\"code\":\"x\"}}",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(reply_parse(slice_of(wrong[i]), &reply));
    }
}

static void an_error_of_an_upload_has_its_code(void **state) {
    (void)state;
    struct reply reply;
    assert_true(reply_parse(
        SLICE_LIT("{\"index\":1,\"error\":{\"detail\":\"x\",\"code\":\"commit_unknown\"}}"),
        &reply));
    assert_string_equal(reply.code, "commit_unknown");
    assert_int_equal(reply.index, 1);
}

static void a_problem_has_its_code(void **state) {
    (void)state;
    struct slice code = reply_problem_code(
        SLICE_LIT("{\"status\":503,\"code\":\"overloaded\",\"title\":\"Overloaded\"}"));
    assert_true(slice_eq_text(code, "overloaded"));
    assert_int_equal(reply_problem_code(SLICE_LIT("<html>")).len, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_verdict_is_read_whole),
        cmocka_unit_test(order_and_white_space_do_not_matter),
        cmocka_unit_test(a_missing_member_is_no_verdict),
        cmocka_unit_test(what_is_malformed_is_no_verdict),
        cmocka_unit_test(an_error_of_an_upload_has_its_code),
        cmocka_unit_test(a_problem_has_its_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
