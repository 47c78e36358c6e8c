/* SPDX-License-Identifier: Apache-2.0 */
/* The strict check of a head: one table of what is refused and one of what is taken. */
#include "http/head_priv.h"
#include "http/http.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

struct row {
    const char *why;
    struct slice head;
};
#define ROW(why, text) {why, {text, sizeof(text) - 1}}

#define GET "GET / HTTP/1.1\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"
#define HOST "Host: a\r\n"

static const struct row refused[] = {
    ROW("nothing at all", ""),
    ROW("only an empty line", "\r\n"),
    ROW("the empty line is missing", GET HOST),
    ROW("bytes behind the empty line", GET HOST "\r\nx"),
    /* the request line */
    ROW("no method", " / HTTP/1.1\r\n" HOST "\r\n"),
    ROW("a method with a colon", "G:T / HTTP/1.1\r\n" HOST "\r\n"),
    ROW("a method that is too long",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1\r\n" HOST "\r\n"),
    ROW("a leading space", " GET / HTTP/1.1\r\n" HOST "\r\n"),
    ROW("two spaces before the target", "GET  / HTTP/1.1\r\n" HOST "\r\n"),
    ROW("two spaces behind the target", "GET /  HTTP/1.1\r\n" HOST "\r\n"),
    ROW("a tab for a space", "GET\t/ HTTP/1.1\r\n" HOST "\r\n"),
    ROW("a space at the line's end", "GET / HTTP/1.1 \r\n" HOST "\r\n"),
    ROW("no version", "GET /\r\n" HOST "\r\n"),
    ROW("no target", "GET HTTP/1.1\r\n" HOST "\r\n"),
    ROW("version 0.9", "GET / HTTP/0.9\r\n" HOST "\r\n"),
    ROW("version 1.2", "GET / HTTP/1.2\r\n" HOST "\r\n"),
    ROW("version 1.10", "GET / HTTP/1.10\r\n" HOST "\r\n"),
    ROW("version 2.0", "GET / HTTP/2.0\r\n" HOST "\r\n"),
    ROW("the HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\n"),
    ROW("a lower-case version", "GET / http/1.1\r\n" HOST "\r\n"),
    ROW("a target with a space in it", "GET /a b HTTP/1.1\r\n" HOST "\r\n"),
    ROW("a fragment", "GET /a#b HTTP/1.1\r\n" HOST "\r\n"),
    ROW("a control character in the target", "GET /a\x01 HTTP/1.1\r\n" HOST "\r\n"),
    ROW("a NUL in the target", "GET /a\0b HTTP/1.1\r\n" HOST "\r\n"),
    ROW("a DEL in the target", "GET /a\x7f HTTP/1.1\r\n" HOST "\r\n"),
    ROW("a byte beyond ASCII in the target", "GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n"),
    ROW("a target without a slash", "GET a HTTP/1.1\r\n" HOST "\r\n"),
    ROW("a star that is no OPTIONS", "GET * HTTP/1.1\r\n" HOST "\r\n"),
    ROW("an authority as target", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n"),
    ROW("another host in the target", "GET http://b/ HTTP/1.1\r\n" HOST "\r\n"),
    ROW("another port in the target", "GET http://a:81/ HTTP/1.1\r\n" HOST "\r\n"),
    ROW("user information in the target", "GET http://u@a/ HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    ROW("no host in the target", "GET http:///x HTTP/1.1\r\n" HOST "\r\n"),
    ROW("another scheme", "GET ftp://a/ HTTP/1.1\r\n" HOST "\r\n"),
    /* line ends */
    ROW("a bare LF in the request line", "GET / HTTP/1.1\n" HOST "\r\n"),
    ROW("a bare LF in a field", GET "Host: a\n\r\n"),
    ROW("a bare LF as empty line", GET HOST "\n"),
    ROW("a bare CR in the request line", "GET / HTTP/1.1\r" HOST "\r\n"),
    ROW("a bare CR in a value", GET "Host: a\rb\r\n\r\n"),
    ROW("a bare CR before the empty line", GET HOST "\r\r\n"),
    ROW("two CR at a line's end", GET "Host: a\r\r\n\r\n"),
    /* fields */
    ROW("a folded line", GET HOST "X: a\r\n b\r\n\r\n"),
    ROW("a line folded with a tab", GET HOST "X: a\r\n\tb\r\n\r\n"),
    ROW("white space before the first field", "GET / HTTP/1.1\r\n " HOST "\r\n"),
    ROW("white space before the colon", GET "Host : a\r\n\r\n"),
    ROW("a tab before the colon", GET "Host\t: a\r\n\r\n"),
    ROW("white space in a name", GET HOST "X Y: a\r\n\r\n"),
    ROW("a name without a colon", GET HOST "X\r\n\r\n"),
    ROW("an empty name", GET HOST ": a\r\n\r\n"),
    ROW("a NUL in a name", GET HOST "X\0: a\r\n\r\n"),
    ROW("a byte beyond ASCII in a name", GET HOST "X\xe4: a\r\n\r\n"),
    ROW("a NUL in a value", GET HOST "X: a\0b\r\n\r\n"),
    ROW("a control character in a value", GET HOST "X: a\x0b\r\n\r\n"),
    ROW("a DEL in a value", GET HOST "X: a\x7f\r\n\r\n"),
    /* Host */
    ROW("no Host", GET "\r\n"),
    ROW("two Hosts", GET HOST "Host: b\r\n\r\n"),
    ROW("the same Host twice", GET HOST HOST "\r\n"),
    ROW("two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\n" HOST HOST "\r\n"),
    ROW("an empty Host", GET "Host:\r\n\r\n"),
    ROW("a Host of white space", GET "Host: \t \r\n\r\n"),
    ROW("a Host with a path", GET "Host: a/b\r\n\r\n"),
    ROW("a Host with user information", GET "Host: u@a\r\n\r\n"),
    ROW("a Host with a space", GET "Host: a b\r\n\r\n"),
    ROW("a Host list", GET "Host: a;b c\r\n\r\n"),
    ROW("a Host with a bad port", GET "Host: a:x\r\n\r\n"),
    ROW("a Host with a port beyond 65535", GET "Host: a:65536\r\n\r\n"),
    ROW("a Host with a port of six digits", GET "Host: a:000080\r\n\r\n"),
    ROW("a Host with two ports", GET "Host: a:80:80\r\n\r\n"),
    ROW("a Host that is only a port", GET "Host: :80\r\n\r\n"),
    ROW("an open bracket", GET "Host: [::1\r\n\r\n"),
    ROW("empty brackets", GET "Host: []\r\n\r\n"),
    ROW("something behind the brackets", GET "Host: [::1]x\r\n\r\n"),
    ROW("a Host beyond ASCII", GET "Host: \xc3\xa4\r\n\r\n"),
    /* Content-Length */
    ROW("two lengths", POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"),
    ROW("the same length twice", POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"),
    ROW("a list of lengths", POST "Content-Length: 5, 5\r\n\r\n"),
    ROW("a length with a sign", POST "Content-Length: +5\r\n\r\n"),
    ROW("a negative length", POST "Content-Length: -5\r\n\r\n"),
    ROW("an empty length", POST "Content-Length:\r\n\r\n"),
    ROW("a length with a space in it", POST "Content-Length: 5 5\r\n\r\n"),
    ROW("a hexadecimal length", POST "Content-Length: 0x5\r\n\r\n"),
    ROW("a length with a fraction", POST "Content-Length: 5.0\r\n\r\n"),
    ROW("a length in words", POST "Content-Length: five\r\n\r\n"),
    ROW("a length of nineteen digits", POST "Content-Length: 1000000000000000000\r\n\r\n"),
    ROW("a length beyond 64 bits", POST "Content-Length: 18446744073709551621\r\n\r\n"),
    /* Transfer-Encoding */
    ROW("a length and a coding", POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ROW("a coding and a length", POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"),
    ROW("a length of 0 and a coding",
        POST "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ROW("two codings", POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ROW("a list of codings", POST "Transfer-Encoding: gzip, chunked\r\n\r\n"),
    ROW("chunked that is not last", POST "Transfer-Encoding: chunked, identity\r\n\r\n"),
    ROW("identity", POST "Transfer-Encoding: identity\r\n\r\n"),
    ROW("an unknown coding", POST "Transfer-Encoding: xchunked\r\n\r\n"),
    ROW("chunked with a parameter", POST "Transfer-Encoding: chunked;q=1\r\n\r\n"),
    ROW("chunked in quotes", POST "Transfer-Encoding: \"chunked\"\r\n\r\n"),
    ROW("chunked behind a vertical tab", POST "Transfer-Encoding: \x0b"
                                              "chunked\r\n\r\n"),
    ROW("an empty coding", POST "Transfer-Encoding:\r\n\r\n"),
    ROW("a coding in HTTP/1.0",
        "POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"),
};

static const struct row taken[] = {
    ROW("the least of HTTP/1.1", GET HOST "\r\n"),
    ROW("the least of HTTP/1.0", "GET / HTTP/1.0\r\n\r\n"),
    ROW("an unknown method", "BREW / HTTP/1.1\r\n" HOST "\r\n"),
    ROW("names in lower case", GET "host: a\r\n\r\n"),
    ROW("names in upper case", "POST / HTTP/1.1\r\nHOST: a\r\nCONTENT-LENGTH: 1\r\n\r\n"),
    ROW("no white space behind the colon", GET "Host:a\r\n\r\n"),
    ROW("white space around a value", GET "Host: \t a \t \r\n\r\n"),
    ROW("an empty value", GET HOST "X:\r\n\r\n"),
    ROW("a tab in a value", GET HOST "X: a\tb\r\n\r\n"),
    ROW("bytes beyond ASCII in a value", GET HOST "X: \xc3\xa4\xff\r\n\r\n"),
    ROW("every character of a name", GET HOST "!#$%&'*+-.^_`|~09azAZ: x\r\n\r\n"),
    ROW("a host and a port", GET "Host: a.example:8080\r\n\r\n"),
    ROW("a host and an empty port", GET "Host: a:\r\n\r\n"),
    ROW("an IPv4 host", GET "Host: 127.0.0.1:1\r\n\r\n"),
    ROW("an IPv6 host", GET "Host: [::1]:65535\r\n\r\n"),
    ROW("a query", "GET /a?b=c&d=/?%20 HTTP/1.1\r\n" HOST "\r\n"),
    ROW("a colon in the path", "POST /v1/events/e/checkins:batch HTTP/1.1\r\n" HOST "\r\n"),
    ROW("a star for OPTIONS", "OPTIONS * HTTP/1.1\r\n" HOST "\r\n"),
    ROW("the same host in the target", "GET http://A/x HTTP/1.1\r\n" HOST "\r\n"),
    ROW("an absolute target without a path", "GET HTTPS://a HTTP/1.1\r\n" HOST "\r\n"),
    ROW("an absolute target in HTTP/1.0", "GET http://b/ HTTP/1.0\r\n\r\n"),
    ROW("a length", POST "Content-Length: 5\r\n\r\n"),
    ROW("a length of 0", POST "Content-Length: 0\r\n\r\n"),
    ROW("a length of eighteen digits", POST "Content-Length: 999999999999999999\r\n\r\n"),
    ROW("chunked", POST "Transfer-Encoding: chunked\r\n\r\n"),
    ROW("chunked in any case", POST "Transfer-Encoding: Chunked\r\n\r\n"),
};

static void what_two_servers_may_read_in_two_ways_is_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct problem problem = {{0}, {0}};
        enum err_e err = http_check_head(refused[i].head, &problem);
        if (err != ERR_MALFORMED_REQUEST || problem.detail[0] == '\0') {
            fail_msg("%s: %s, \"%s\"", refused[i].why, err_code(err), problem.detail);
        }
        assert_int_equal(http_check_head(refused[i].head, NULL), ERR_MALFORMED_REQUEST);
    }
}

static void what_is_well_formed_is_taken(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
        struct problem problem = {{0}, {0}};
        enum err_e err = http_check_head(taken[i].head, &problem);
        if (err != ERR_OK) {
            fail_msg("%s: %s", taken[i].why, problem.detail);
        }
    }
}

static void every_beginning_of_a_good_head_is_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
        for (size_t len = 0; len < taken[i].head.len; len++) {
            struct slice part = slice_from(taken[i].head.at, len);
            assert_int_equal(http_check_head(part, NULL), ERR_MALFORMED_REQUEST);
        }
    }
}

static struct slice many_fields(char *text, size_t size, int count) {
    int len = snprintf(text, size, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 1; i < count; i++) {
        len += snprintf(text + len, size - (size_t)len, "x-%d: y\r\n", i);
    }
    len += snprintf(text + len, size - (size_t)len, "\r\n");
    return slice_from(text, (size_t)len);
}

static void a_hundred_fields_are_taken_and_one_more_is_not(void **state) {
    (void)state;
    static char text[4096];
    assert_int_equal(http_check_head(many_fields(text, sizeof text, 100), NULL), ERR_OK);
    assert_int_equal(http_check_head(many_fields(text, sizeof text, 101), NULL),
                     ERR_MALFORMED_REQUEST);
}

static void a_head_is_taken_apart(void **state) {
    (void)state;
    struct head head;
    assert_int_equal(head_parse(SLICE_LIT("PUT /a/b?c=d?e HTTP/1.1\r\nHost: h:1\r\nX-One: 1 \r\n"
                                          "x-one: 2\r\nContent-Length: 007\r\n"
                                          "Connection: TE, Close\r\nExpect: 100-Continue\r\n\r\n"),
                                &head, NULL),
                     ERR_OK);
    assert_true(slice_eq_text(head.method, "PUT"));
    assert_true(slice_eq_text(head.path, "/a/b"));
    assert_true(slice_eq_text(head.query, "c=d?e"));
    assert_true(slice_eq_text(head.host, "h:1"));
    assert_int_equal(head.minor, 1);
    assert_int_equal(head.content_length, 7);
    assert_true(head.closes);
    assert_false(head.chunked);
    assert_int_equal(head.expect, EXPECT_CONTINUE);
    assert_true(slice_eq_text(head_find(&head, SLICE_LIT("x-one")), "1"));
    assert_int_equal(head_find(&head, SLICE_LIT("x-two")).len, 0);
}

static void absolute_targets_lose_their_authority(void **state) {
    (void)state;
    struct head head;
    assert_int_equal(
        head_parse(SLICE_LIT("GET http://a?q=/ HTTP/1.1\r\nHost: a\r\n\r\n"), &head, NULL), ERR_OK);
    assert_true(slice_eq_text(head.path, "/"));
    assert_true(slice_eq_text(head.query, "q=/"));
    assert_int_equal(
        head_parse(SLICE_LIT("GET https://a/b?c HTTP/1.1\r\nHost: a\r\n\r\n"), &head, NULL),
        ERR_OK);
    assert_true(slice_eq_text(head.path, "/b"));
    assert_true(slice_eq_text(head.query, "c"));
}

static void old_clients_close_unless_they_ask_not_to(void **state) {
    (void)state;
    struct head head;
    assert_int_equal(head_parse(SLICE_LIT("GET / HTTP/1.0\r\n\r\n"), &head, NULL), ERR_OK);
    assert_true(head.closes);
    assert_int_equal(
        head_parse(SLICE_LIT("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), &head, NULL),
        ERR_OK);
    assert_false(head.closes);
    assert_int_equal(head_parse(SLICE_LIT(GET HOST "\r\n"), &head, NULL), ERR_OK);
    assert_false(head.closes);
    assert_int_equal(
        head_parse(SLICE_LIT(GET HOST "Connection: close, keep-alive\r\n\r\n"), &head, NULL),
        ERR_OK);
    assert_true(head.closes);
}

static void an_expectation_that_is_not_100_continue_is_unknown(void **state) {
    (void)state;
    struct head head;
    assert_int_equal(head_parse(SLICE_LIT(POST "Expect: 200-ok\r\n\r\n"), &head, NULL), ERR_OK);
    assert_int_equal(head.expect, EXPECT_UNKNOWN);
    struct slice twice = SLICE_LIT(POST "Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n");
    assert_int_equal(head_parse(twice, &head, NULL), ERR_OK);
    assert_int_equal(head.expect, EXPECT_UNKNOWN);
}

/* The end is found at the same place however the bytes come. */
static void the_end_is_found_byte_by_byte(void **state) {
    (void)state;
    struct slice input = SLICE_LIT(GET HOST "\r\nGET");
    size_t scanned = 0;
    size_t whole = sizeof(GET HOST "\r\n") - 1;
    for (size_t len = 0; len < whole; len++) {
        assert_int_equal(head_find_end(slice_from(input.at, len), &scanned), HEAD_END_MISSING);
    }
    assert_int_equal(head_find_end(slice_from(input.at, whole), &scanned), HEAD_END_FOUND);
    assert_int_equal(scanned, whole);
    scanned = 0;
    assert_int_equal(head_find_end(input, &scanned), HEAD_END_FOUND);
    assert_int_equal(scanned, whole);
}

static void what_can_never_be_a_head_is_known_early(void **state) {
    (void)state;
    static const struct slice never[] = {
        {"\x16\x03\x01", 3}, {"GET / HTTP/1.1\n", 15}, {"\n", 1}, {" GET", 4},
        {"GET /\r\nA: b\n", 12},
    };
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
        size_t scanned = 0;
        assert_int_equal(head_find_end(never[i], &scanned), HEAD_END_NEVER);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_two_servers_may_read_in_two_ways_is_refused),
        cmocka_unit_test(what_is_well_formed_is_taken),
        cmocka_unit_test(every_beginning_of_a_good_head_is_refused),
        cmocka_unit_test(a_hundred_fields_are_taken_and_one_more_is_not),
        cmocka_unit_test(a_head_is_taken_apart),
        cmocka_unit_test(absolute_targets_lose_their_authority),
        cmocka_unit_test(old_clients_close_unless_they_ask_not_to),
        cmocka_unit_test(an_expectation_that_is_not_100_continue_is_unknown),
        cmocka_unit_test(the_end_is_found_byte_by_byte),
        cmocka_unit_test(what_can_never_be_a_head_is_known_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
