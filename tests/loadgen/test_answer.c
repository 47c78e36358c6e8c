/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP answers as they arrive: whole, in pieces of any size, and broken. */
#include "answer.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { BYTES_MAX = 512 };

/* Gives `text` in pieces of `step` bytes; what it says once all are there. */
static enum answer_e feed(const char *text, size_t step, struct answer *answer, char *at,
                          size_t *len) {
    *answer = (struct answer){0};
    *len = 0;
    enum answer_e state = ANSWER_PARTIAL;
    size_t all = strlen(text);
    for (size_t from = 0; from < all && state == ANSWER_PARTIAL; from += step) {
        size_t piece = all - from < step ? all - from : step;
        memcpy(at + *len, text + from, piece);
        *len += piece;
        at[*len] = '\0';
        state = answer_read(answer, at, len);
    }
    return state;
}

static void expect_body(const char *text, int status, const char *body) {
    char at[BYTES_MAX];
    size_t len;
    struct answer answer;
    for (size_t step = 1; step <= strlen(text); step++) {
        assert_int_equal(feed(text, step, &answer, at, &len), ANSWER_WHOLE);
        assert_int_equal(answer.status, status);
        assert_string_equal(at + answer.body_at, body);
        assert_int_equal(len - answer.body_at, strlen(body));
    }
}

static void a_body_of_a_told_length_is_taken_in_any_pieces(void **state) {
    (void)state;
    expect_body("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":1}", 200, "{\"a\":1}");
    expect_body("HTTP/1.1 503 Busy\r\ncontent-length:2\r\nRetry-After: 1\r\n\r\n{}", 503, "{}");
}

static void chunks_are_joined(void **state) {
    (void)state;
    expect_body("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
                "4\r\n{\"a\"\r\n1\r\n:\r\n12\r\n12345678901234567}\r\n0\r\n\r\n",
                200, "{\"a\":12345678901234567}");
}

static void an_empty_body_is_whole_with_its_head(void **state) {
    (void)state;
    expect_body("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 204, "");
}

static void the_end_of_the_connection_is_told(void **state) {
    (void)state;
    char at[BYTES_MAX];
    size_t len;
    struct answer answer;
    feed("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 1000, &answer, at,
         &len);
    assert_true(answer.closes);
    feed("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", 1000, &answer,
         at, &len);
    assert_false(answer.closes);
}

static void a_field_is_found_whatever_its_case(void **state) {
    (void)state;
    char at[BYTES_MAX];
    size_t len;
    struct answer answer;
    feed("HTTP/1.1 503 No\r\nX: 1\r\nretry-AFTER:  17\r\nContent-Length: 0\r\n\r\n", 1000, &answer,
         at, &len);
    assert_memory_equal(answer_field(&answer, at, "Retry-After"), "17\r\n", 4);
    assert_null(answer_field(&answer, at, "Retry"));
}

static void what_is_no_answer_is_broken(void **state) {
    static const char *const broken[] = {
        "SSH-2.0-x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: 1\r\n\r\n",                        /* of unknown length */
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",         /* more than it says */
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n",
    };
    (void)state;
    char at[BYTES_MAX];
    size_t len;
    struct answer answer;
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        assert_int_equal(feed(broken[i], 1000, &answer, at, &len), ANSWER_BROKEN);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_of_a_told_length_is_taken_in_any_pieces),
        cmocka_unit_test(chunks_are_joined),
        cmocka_unit_test(an_empty_body_is_whole_with_its_head),
        cmocka_unit_test(the_end_of_the_connection_is_told),
        cmocka_unit_test(a_field_is_found_whatever_its_case),
        cmocka_unit_test(what_is_no_answer_is_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
