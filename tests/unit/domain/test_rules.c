/* SPDX-License-Identifier: Apache-2.0 */
/* The rules at their boundaries, and what people may write into codes, tokens and texts. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "domain/scan.h"

#include <stdio.h>

static struct event event;
static struct gate gate;
static struct participant person;
static struct standing standing;

static struct ruling rule(const struct scan *scan, int64_t inside) {
    const struct facts facts = {&event, &gate, &person, &standing, inside};
    return rule_scan(&facts, scan);
}

static int reset(void **state) {
    (void)state;
    event = (struct event){.capacity = CAPACITY_NONE, .reentry = REENTRY_AFTER_EXIT};
    gate = (struct gate){.id = 1, .code = SLICE_LIT("g1")};
    person = (struct participant){.id = 1, .valid_from_ms = TIME_NONE, .valid_until_ms = TIME_NONE};
    standing = (struct standing){.admissions = 0};
    return 0;
}

static struct scan at(int64_t ms) {
    return (struct scan){.gate = gate.code, .scanned_at_ms = ms};
}

static void capacity_is_full_at_the_last_place_and_not_before(void **state) {
    (void)state;
    struct scan scan = at(1000);
    event.capacity = 10;
    assert_int_equal(rule(&scan, 9).verdict, VERDICT_ADMITTED);
    assert_int_equal(rule(&scan, 10).reason, REASON_CAPACITY_FULL);
    assert_int_equal(rule(&scan, 11).reason, REASON_CAPACITY_FULL);
}

static void a_record_at_the_same_time_is_the_later_one(void **state) {
    (void)state;
    struct scan scan = at(1000);
    struct ruling in = rule(&scan, 0);
    standing_add(&standing, &in, 1000, 1, 1);
    scan.direction = DIRECTION_EXIT;
    struct ruling out = rule(&scan, 1);
    assert_true(out.goes_out);
    standing_add(&standing, &out, 1000, 2, 1);
    assert_false(standing.inside);
}

static void a_late_admission_does_not_come_in_and_moves_the_first(void **state) {
    (void)state;
    event.reentry = REENTRY_ALWAYS;
    struct scan scan = at(5000);
    struct ruling in = rule(&scan, 0);
    standing_add(&standing, &in, 5000, 1, 1);
    scan = at(4000);
    in = rule(&scan, 1);
    assert_int_equal(in.verdict, VERDICT_ADMITTED);
    assert_false(in.comes_in);
    standing_add(&standing, &in, 4000, 2, 7);
    assert_int_equal(standing.first_at_ms, 4000);
    assert_int_equal(standing.first_gate, 7);
    assert_int_equal(standing.last_id, 1);
    assert_int_equal(standing.admissions, 2);
}

static void a_refusal_leaves_the_standing_alone(void **state) {
    (void)state;
    struct ruling refused = {.verdict = VERDICT_REFUSED};
    standing_add(&standing, &refused, 1000, 1, 1);
    assert_int_equal(standing.last_id, 0);
}

static void force_says_what_it_overrode(void **state) {
    (void)state;
    struct scan scan = at(1000);
    scan.force = true;
    person.status = PARTICIPANT_BLOCKED;
    struct ruling ruling = rule(&scan, 0);
    assert_int_equal(ruling.verdict, VERDICT_ADMITTED);
    assert_true(ruling.forced);
    assert_int_equal(ruling.overrode, REASON_BLOCKED);
    assert_int_equal(ruling.reason, REASON_NONE);
}

static void words_are_those_of_the_contract_and_parse_back(void **state) {
    (void)state;
    for (int i = 0; i < REASON_COUNT; i++) {
        enum reason_e reason;
        assert_true(reason_parse(slice_of(reason_text((enum reason_e)i)), &reason));
        assert_int_equal(reason, i);
    }
    enum method_e method;
    assert_true(method_parse(SLICE_LIT("ble"), &method));
    assert_int_equal(method, METHOD_BLE);
    assert_false(method_parse(SLICE_LIT("BLE"), &method));
    assert_false(method_parse(SLICE_LIT(""), &method));
}

static void codes_are_1_to_64_of_a_small_alphabet(void **state) {
    (void)state;
    char long_code[66];
    memset(long_code, 'a', sizeof long_code);
    assert_true(code_is_valid(slice_from(long_code, 64)));
    assert_false(code_is_valid(slice_from(long_code, 65)));
    assert_true(code_is_valid(SLICE_LIT("Az09._-")));
    static const char *const bad[] = {"", " ", "a b", "ä", "a/b", "a:b", "a\n"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(code_is_valid(slice_of(bad[i])));
    }
    assert_false(code_is_valid(slice_from("a\0b", 3)));
}

static void tokens_count_characters_and_have_no_white_space_at_the_ends(void **state) {
    (void)state;
    char long_token[3 * TOKEN_MAX + 3];
    for (size_t i = 0; i + 3 <= sizeof long_token; i += 3) {
        memcpy(long_token + i, "\xEA\xB9\x80", 3); /* one Hangul syllable */
    }
    assert_true(token_is_valid(slice_from(long_token, 3 * TOKEN_MAX)));
    assert_false(token_is_valid(slice_from(long_token, 3 * TOKEN_MAX + 3)));
    assert_true(token_is_valid(SLICE_LIT("a b")));
    static const char *const bad[] = {"", " a", "a ", "\xC2\xA0" "a", "a\xE3\x80\x80", "a\tb",
                                      "a\x7f", "\xff", "a\xEA\xB9"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(token_is_valid(slice_of(bad[i])));
    }
    assert_false(token_is_valid(slice_from("a\0b", 3)));
}

static void an_empty_list_of_gates_means_every_gate(void **state) {
    (void)state;
    assert_true(gates_allow(SLICE_LIT(""), SLICE_LIT("g1")));
    assert_true(gates_allow(SLICE_LIT("g0 g1 g2"), SLICE_LIT("g1")));
    assert_false(gates_allow(SLICE_LIT("g10 g"), SLICE_LIT("g1")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(capacity_is_full_at_the_last_place_and_not_before, reset),
        cmocka_unit_test_setup(a_record_at_the_same_time_is_the_later_one, reset),
        cmocka_unit_test_setup(a_late_admission_does_not_come_in_and_moves_the_first, reset),
        cmocka_unit_test_setup(a_refusal_leaves_the_standing_alone, reset),
        cmocka_unit_test_setup(force_says_what_it_overrode, reset),
        cmocka_unit_test(words_are_those_of_the_contract_and_parse_back),
        cmocka_unit_test(codes_are_1_to_64_of_a_small_alphabet),
        cmocka_unit_test(tokens_count_characters_and_have_no_white_space_at_the_ends),
        cmocka_unit_test(an_empty_list_of_gates_means_every_gate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
