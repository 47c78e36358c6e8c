/* SPDX-License-Identifier: Apache-2.0 */
/* The load's own book: what a verdict must be, what a repeated one must be, and what is told. */
#include "ledger.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PEOPLE = 10, GATES = 4 };

struct fixture {
    struct load load;
    struct ledger ledger;
};

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    *state = f;
    f->load = (struct load){.people = PEOPLE, .gates = GATES, .capacity = -1,
                            .reentry = REENTRY_AFTER_EXIT};
    return ledger_init(&f->ledger, &f->load, "t1") ? 0 : -1;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    ledger_fini(&f->ledger);
    free(f);
    return 0;
}

static uint32_t add(struct fixture *f, uint32_t person, enum expect_e expect) {
    return ledger_add(&f->ledger, &(struct sent){.person = person, .expect = (uint8_t)expect,
                                                 .scanned_ms = 1000, .tries = 1});
}

/* A verdict of `number`; the record is one that no other scan has. */
static enum ledger_answer_e answer(struct fixture *f, uint32_t number, enum verdict_e verdict,
                                   enum reason_e reason) {
    const struct sent *sent = &f->ledger.scans[number];
    return ledger_answer(&f->ledger, number,
                         &(struct reply){.verdict = verdict, .reason = reason,
                                         .record_id = 100 + number, .inside = 3,
                                         .participant = sent->expect == EXPECT_UNKNOWN_TOKEN
                                                            ? 0 : 1 + (int64_t)sent->person});
}

static void expect_faults(struct fixture *f, enum fault_e fault, uint64_t count) {
    for (int each = 0; each < FAULT_COUNT; each++) {
        assert_int_equal(f->ledger.faults[each], (int)fault == each ? count : 0);
    }
    assert_int_equal(ledger_holds(&f->ledger), count == 0 && f->ledger.acknowledged > 0);
}

static void an_empty_book_does_not_hold(void **state) {
    struct fixture *f = *state;
    assert_false(ledger_holds(&f->ledger));
    add(f, 1, EXPECT_ADMITTED);
    assert_false(ledger_holds(&f->ledger));
}

struct judged {
    enum expect_e expect;
    enum verdict_e verdict;
    enum reason_e reason;
    bool is_right;
};

static void a_verdict_is_held_to_what_the_rules_say(void **state) {
    static const struct judged cases[] = {
        {EXPECT_ADMITTED, VERDICT_ADMITTED, REASON_NONE, true},
        {EXPECT_ADMITTED, VERDICT_REFUSED, REASON_ALREADY_USED, false},
        {EXPECT_ADMITTED, VERDICT_REFUSED, REASON_CAPACITY_FULL, false},
        {EXPECT_EXITED, VERDICT_EXITED, REASON_NONE, true},
        {EXPECT_EXITED, VERDICT_ADMITTED, REASON_NONE, false},
        {EXPECT_ALREADY_USED, VERDICT_REFUSED, REASON_ALREADY_USED, true},
        {EXPECT_ALREADY_USED, VERDICT_ADMITTED, REASON_NONE, false},
        {EXPECT_WRONG_GATE, VERDICT_REFUSED, REASON_WRONG_GATE, true},
        {EXPECT_WRONG_GATE, VERDICT_REFUSED, REASON_ALREADY_USED, false},
        {EXPECT_UNKNOWN_TOKEN, VERDICT_REFUSED, REASON_UNKNOWN_TOKEN, true},
        {EXPECT_UNKNOWN_TOKEN, VERDICT_ADMITTED, REASON_NONE, false},
    };
    struct fixture *f = *state;
    uint64_t wrong = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t number = add(f, 1, cases[i].expect);
        answer(f, number, cases[i].verdict, cases[i].reason);
        wrong += !cases[i].is_right;
        expect_faults(f, FAULT_MISJUDGED, wrong);
    }
}

static void of_a_double_tap_one_comes_in(void **state) {
    static const struct {
        struct judged one, other;
        bool is_right;
    } cases[] = {
        {{.verdict = VERDICT_ADMITTED},
         {.verdict = VERDICT_REFUSED, .reason = REASON_ALREADY_USED}, true},
        {{.verdict = VERDICT_REFUSED, .reason = REASON_ALREADY_USED},
         {.verdict = VERDICT_ADMITTED}, true},
        {{.verdict = VERDICT_ADMITTED}, {.verdict = VERDICT_ADMITTED}, false},
        {{.verdict = VERDICT_REFUSED, .reason = REASON_ALREADY_USED},
         {.verdict = VERDICT_REFUSED, .reason = REASON_ALREADY_USED}, false},
    };
    struct fixture *f = *state;
    uint64_t wrong = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t one = add(f, 2, EXPECT_ONE), other = add(f, 2, EXPECT_ONE);
        ledger_pair(&f->ledger, one, other);
        answer(f, one, cases[i].one.verdict, cases[i].one.reason);
        expect_faults(f, FAULT_MISJUDGED, wrong); /* one alone may be either */
        answer(f, other, cases[i].other.verdict, cases[i].other.reason);
        wrong += !cases[i].is_right;
        expect_faults(f, FAULT_MISJUDGED, wrong);
    }
}

static void a_full_house_may_refuse_and_never_be_more_than_full(void **state) {
    struct fixture *f = *state;
    f->load.capacity = 3;
    answer(f, add(f, 1, EXPECT_ROOM), VERDICT_REFUSED, REASON_CAPACITY_FULL);
    answer(f, add(f, 2, EXPECT_ROOM), VERDICT_ADMITTED, REASON_NONE);
    expect_faults(f, FAULT_COUNT, 0);
    f->load.capacity = 2; /* every answer says that three are inside */
    answer(f, add(f, 3, EXPECT_ROOM), VERDICT_ADMITTED, REASON_NONE);
    expect_faults(f, FAULT_OCCUPANCY, 1);
}

static void a_repeated_answer_must_be_the_first_one(void **state) {
    struct fixture *f = *state;
    uint32_t number = add(f, 1, EXPECT_ADMITTED);
    assert_int_equal(answer(f, number, VERDICT_ADMITTED, REASON_NONE), LEDGER_FIRST);
    assert_int_equal(answer(f, number, VERDICT_ADMITTED, REASON_NONE), LEDGER_AGAIN);
    expect_faults(f, FAULT_COUNT, 0);
    assert_int_equal(f->ledger.acknowledged, 1);
    answer(f, number, VERDICT_REFUSED, REASON_ALREADY_USED);
    expect_faults(f, FAULT_REPLAYED, 1);
    f->ledger.faults[FAULT_REPLAYED] = 0;
    ledger_answer(&f->ledger, number, &(struct reply){.verdict = VERDICT_ADMITTED,
                                                      .record_id = 999, .participant = 2});
    expect_faults(f, FAULT_REPLAYED, 1);
    assert_int_equal(f->ledger.scans[number].verdict, VERDICT_ADMITTED); /* the first stands */
}

static void a_replay_of_what_was_sent_once_is_a_fault(void **state) {
    struct fixture *f = *state;
    struct reply reply = {.verdict = VERDICT_ADMITTED, .record_id = 7, .participant = 2,
                          .replayed = true};
    uint32_t number = add(f, 1, EXPECT_ADMITTED);
    ledger_answer(&f->ledger, number, &reply);
    expect_faults(f, FAULT_REPLAYED, 1);
    f->ledger.faults[FAULT_REPLAYED] = 0;
    number = add(f, 1, EXPECT_ADMITTED);
    f->ledger.scans[number].tries = 2; /* the first try's answer was lost */
    reply.record_id = 8;
    ledger_answer(&f->ledger, number, &reply);
    expect_faults(f, FAULT_COUNT, 0);
}

static void a_person_stays_the_same_participant(void **state) {
    struct fixture *f = *state;
    struct reply reply = {.verdict = VERDICT_ADMITTED, .record_id = 7, .participant = 2};
    ledger_answer(&f->ledger, add(f, 1, EXPECT_ADMITTED), &reply);
    reply.record_id = 8;
    reply.participant = 3;
    ledger_answer(&f->ledger, add(f, 1, EXPECT_ADMITTED), &reply);
    expect_faults(f, FAULT_BROKEN, 1);
    reply.record_id = 9;
    reply.participant = 0;
    ledger_answer(&f->ledger, add(f, 1, EXPECT_ADMITTED), &reply);
    expect_faults(f, FAULT_BROKEN, 2);
}

static void nonces_name_their_scan_and_no_other_runs(void **state) {
    struct fixture *f = *state;
    char nonce[NONCE_SIZE];
    for (int i = 0; i < 12; i++) {
        add(f, 1, EXPECT_ADMITTED);
    }
    ledger_nonce(&f->ledger, 11, nonce);
    assert_string_equal(nonce, "t1-11");
    assert_int_equal(ledger_number(&f->ledger, slice_of(nonce)), 11);
    static const char *const foreign[] = {"", "t1", "t1-", "t1-12", "t1--1", "t2-3", "t1-3x"};
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        assert_int_equal(ledger_number(&f->ledger, slice_of(foreign[i])), SCAN_NONE);
    }
}

static void a_scan_is_written_as_the_api_takes_it(void **state) {
    struct fixture *f = *state;
    struct buf text;
    buf_init(&text, 1024);
    uint32_t number = ledger_add(&f->ledger, &(struct sent){
        .person = 3, .gate = 1, .direction = DIRECTION_EXIT, .method = METHOD_NFC,
        .scanned_ms = 1000});
    ledger_add_scan(&f->ledger, number, &text);
    assert_true(slice_eq_text(buf_slice(&text),
                              "{\"token\":\"t1-p000003\",\"gate\":\"g02\",\"nonce\":\"t1-0\","
                              "\"direction\":\"exit\",\"method\":\"nfc\","
                              "\"scanned_at\":\"1970-01-01T00:00:01.000Z\"}"));
    buf_fini(&text);
}

static void the_first_faults_of_a_kind_are_told_and_all_are_counted(void **state) {
    struct fixture *f = *state;
    for (int i = 0; i < 100; i++) {
        ledger_fault(&f->ledger, FAULT_LOST, "scan %d", i);
    }
    ledger_fault(&f->ledger, FAULT_PHANTOM, "record 1");
    assert_int_equal(f->ledger.faults[FAULT_LOST], 100);
    assert_true(slice_eq_text(buf_slice(&f->ledger.told),
                              "lost: scan 0\nlost: scan 1\nlost: scan 2\nphantom: record 1\n"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        CASE(an_empty_book_does_not_hold),
        CASE(a_verdict_is_held_to_what_the_rules_say),
        CASE(of_a_double_tap_one_comes_in),
        CASE(a_full_house_may_refuse_and_never_be_more_than_full),
        CASE(a_repeated_answer_must_be_the_first_one),
        CASE(a_replay_of_what_was_sent_once_is_a_fault),
        CASE(a_person_stays_the_same_participant),
        CASE(nonces_name_their_scan_and_no_other_runs),
        CASE(a_scan_is_written_as_the_api_takes_it),
        CASE(the_first_faults_of_a_kind_are_told_and_all_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
