/* SPDX-License-Identifier: Apache-2.0 */
/* The framing of a chunked body: what is refused, what is taken, and where it ends. */
#include "http/chunks_priv.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

struct row {
    const char *why;
    const char *body;
    size_t data; /* bytes it holds */
};

static const struct row taken[] = {
    {"nothing", "0\r\n\r\n", 0},
    {"one chunk", "3\r\nabc\r\n0\r\n\r\n", 3},
    {"two chunks", "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", 3},
    {"sizes in either case", "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", 20},
    {"leading zeros", "0003\r\nabc\r\n000\r\n\r\n", 3},
    {"line ends in the data", "4\r\n\r\n\r\n\r\n0\r\n\r\n", 4},
    {"an extension", "1;a=\"b;c\"\r\na\r\n0;x\r\n\r\n", 1},
    {"a trailer", "1\r\na\r\n0\r\nX-A: b\r\nc:\r\n\r\n", 1},
};

static const struct row broken[] = {
    {"no size", "\r\nabc\r\n0\r\n\r\n", 0},
    {"a size that is no number", "x\r\n", 0},
    {"a sign", "+1\r\na\r\n0\r\n\r\n", 0},
    {"a prefix", "0x1\r\na\r\n0\r\n\r\n", 0},
    {"white space before the size", " 1\r\na\r\n", 0},
    {"white space behind the size", "1 \r\na\r\n", 0},
    {"a bare LF behind the size", "1\na\r\n0\r\n\r\n", 0},
    {"a bare CR behind the size", "1\ra\r\n0\r\n\r\n", 0},
    {"a bare LF in an extension", "1;x\na\r\n0\r\n\r\n", 0},
    {"a control character in an extension", "1;\x01\r\na\r\n0\r\n\r\n", 0},
    {"data that is longer than its size", "1\r\nab\r\n0\r\n\r\n", 0},
    {"data that is shorter than its size", "3\r\nab\r\n0\r\n\r\n", 0},
    {"a bare LF behind the data", "1\r\na\n0\r\n\r\n", 0},
    {"two CR behind the data", "1\r\na\r\r\n0\r\n\r\n", 0},
    {"a size of sixteen digits", "0000000000000001\r\na\r\n0\r\n\r\n", 0},
    {"a size beyond 64 bits", "fffffffffffffffff\r\n", 0},
    {"a bare LF at the end", "0\r\n\n", 0},
    {"a trailer without a colon", "0\r\nX\r\n\r\n", 0},
    {"a folded trailer", "0\r\nX: a\r\n b\r\n\r\n", 0},
    {"a bare LF behind a trailer", "0\r\nX: a\n\r\n", 0},
};

static enum chunks_e read_whole(const char *body, size_t *ret_used, size_t *ret_data) {
    struct chunks chunks;
    chunks_init(&chunks);
    enum chunks_e outcome = chunks_read(&chunks, slice_of(body), ret_used);
    *ret_data = chunks.data;
    return outcome;
}

static enum chunks_e read_bytewise(const char *body, size_t *ret_used, size_t *ret_data) {
    struct chunks chunks;
    chunks_init(&chunks);
    enum chunks_e outcome = CHUNKS_MORE;
    size_t total = 0;
    for (size_t i = 0; i < strlen(body) && outcome == CHUNKS_MORE; i++) {
        size_t used;
        outcome = chunks_read(&chunks, slice_from(body + i, 1), &used);
        total += used;
    }
    *ret_used = total;
    *ret_data = chunks.data;
    return outcome;
}

static void a_good_body_ends_where_it_ends(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
        char text[128];
        size_t used, data;
        strcpy(text, taken[i].body);
        strcat(text, "GET / HTTP/1.1\r\n"); /* the next request is none of its business */
        if (read_whole(text, &used, &data) != CHUNKS_END || used != strlen(taken[i].body) ||
            data != taken[i].data) {
            fail_msg("%s: used %zu, data %zu", taken[i].why, used, data);
        }
        assert_int_equal(read_bytewise(text, &used, &data), CHUNKS_END);
        assert_int_equal(used, strlen(taken[i].body));
        assert_int_equal(data, taken[i].data);
    }
}

static void every_beginning_of_a_good_body_wants_more(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
        for (size_t len = 0; len < strlen(taken[i].body); len++) {
            struct chunks chunks;
            size_t used;
            chunks_init(&chunks);
            assert_int_equal(chunks_read(&chunks, slice_from(taken[i].body, len), &used),
                             CHUNKS_MORE);
            assert_int_equal(used, len);
        }
    }
}

static void framing_that_may_be_read_in_two_ways_is_broken(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        size_t used, data;
        if (read_whole(broken[i].body, &used, &data) != CHUNKS_BROKEN) {
            fail_msg("%s", broken[i].why);
        }
        assert_int_equal(read_bytewise(broken[i].body, &used, &data), CHUNKS_BROKEN);
    }
}

static void a_broken_body_stays_broken(void **state) {
    (void)state;
    struct chunks chunks;
    size_t used;
    chunks_init(&chunks);
    assert_int_equal(chunks_read(&chunks, SLICE_LIT("x"), &used), CHUNKS_BROKEN);
    assert_int_equal(chunks_read(&chunks, SLICE_LIT("0\r\n\r\n"), &used), CHUNKS_BROKEN);
    assert_int_equal(used, 0);
}

static void framing_without_an_end_is_broken(void **state) {
    (void)state;
    struct chunks chunks;
    size_t used;
    chunks_init(&chunks);
    assert_int_equal(chunks_read(&chunks, SLICE_LIT("1;"), &used), CHUNKS_MORE);
    enum chunks_e outcome = CHUNKS_MORE;
    size_t fed = 2;
    while (outcome == CHUNKS_MORE && fed < 2 * CHUNKS_FRAMING_MAX) {
        outcome = chunks_read(&chunks, SLICE_LIT("aaaaaaaaaaaaaaaa"), &used);
        fed += 16;
    }
    assert_int_equal(outcome, CHUNKS_BROKEN);
    assert_true(fed <= CHUNKS_FRAMING_MAX + 32);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_body_ends_where_it_ends),
        cmocka_unit_test(every_beginning_of_a_good_body_wants_more),
        cmocka_unit_test(framing_that_may_be_read_in_two_ways_is_broken),
        cmocka_unit_test(a_broken_body_stays_broken),
        cmocka_unit_test(framing_without_an_end_is_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
