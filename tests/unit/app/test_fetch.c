/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: addresses and answers are taken apart, and what is none is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "app/fetch.h"

static void addresses_of_nodes_are_understood(void **state) {
    (void)state;
    static const struct {
        const char *url, *host, *port;
    } rows[] = {
        {"http://127.0.0.1:8080", "127.0.0.1", "8080"}, {"http://node:1/", "node", "1"},
        {"http://[::1]:65535", "::1", "65535"},         {"http://a.example", "a.example", "80"},
        {"http://[::1]", "::1", "80"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fetch_place place;
        assert_true(fetch_parse_url(slice_of(rows[i].url), &place));
        assert_string_equal(place.host, rows[i].host);
        assert_string_equal(place.port, rows[i].port);
    }
}

static void what_is_no_address_of_a_node_is_refused(void **state) {
    (void)state;
    static const char *const urls[] = {
        "",          "http://",        "http://:80",        "https://node:443", "node:8080",
        "http://a:", "http://a:65536", "http://a:b",        "http://a/b",       "http://[::1",
        "http://[]", "http://a:0",     "http://[::1]8080",  "http://a:80/path", "http:///",
    };
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        struct fetch_place place;
        if (fetch_parse_url(slice_of(urls[i]), &place)) {
            fail_msg("%s is taken for an address", urls[i]);
        }
    }
}

static void an_answer_is_a_status_and_a_body(void **state) {
    (void)state;
    int status = 0;
    struct slice body;
    assert_true(fetch_parse_answer(SLICE_LIT("HTTP/1.1 503 Service Unavailable\r\na: b\r\n\r\n{}"),
                                   &status, &body));
    assert_int_equal(status, 503);
    assert_true(slice_eq_text(body, "{}"));
    assert_true(fetch_parse_answer(SLICE_LIT("HTTP/1.0 204 \r\n\r\n"), &status, &body));
    assert_int_equal(body.len, 0);
}

static void other_protocols_and_cut_answers_are_refused(void **state) {
    (void)state;
    static const char *const answers[] = {"", "SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 200 OK\r\na: b",
                                          "HTTP/1.1 abc no\r\n\r\n", "HTTP/1.1 99",
                                          "HTTP/2 200 OK      \r\n\r\n"};
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        int status;
        struct slice body;
        assert_false(fetch_parse_answer(slice_of(answers[i]), &status, &body));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_of_nodes_are_understood),
        cmocka_unit_test(what_is_no_address_of_a_node_is_refused),
        cmocka_unit_test(an_answer_is_a_status_and_a_body),
        cmocka_unit_test(other_protocols_and_cut_answers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
