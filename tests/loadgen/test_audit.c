/* SPDX-License-Identifier: Apache-2.0 */
/* The server's books against the ledger: an honest server is not accused, every lie is named. */
#include "audit.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PEOPLE = 8, GATES = 4, SCANS = 6, RECORDS_MAX = 16 };

/* Persons 0 and 1 come in, 0 leaves, 1 is tried again, somebody unknown comes, 0 comes again. */
static const struct {
    uint32_t person;
    enum direction_e direction;
    enum verdict_e verdict;
    enum reason_e reason;
    enum expect_e expect;
} day[SCANS] = {
    {0, DIRECTION_ENTRY, VERDICT_ADMITTED, REASON_NONE, EXPECT_ADMITTED},
    {1, DIRECTION_ENTRY, VERDICT_ADMITTED, REASON_NONE, EXPECT_ADMITTED},
    {0, DIRECTION_EXIT, VERDICT_EXITED, REASON_NONE, EXPECT_EXITED},
    {1, DIRECTION_ENTRY, VERDICT_REFUSED, REASON_ALREADY_USED, EXPECT_ALREADY_USED},
    {PERSON_NONE, DIRECTION_ENTRY, VERDICT_REFUSED, REASON_UNKNOWN_TOKEN, EXPECT_UNKNOWN_TOKEN},
    {0, DIRECTION_ENTRY, VERDICT_ADMITTED, REASON_NONE, EXPECT_ADMITTED},
};

struct fixture {
    struct run run;
    struct record records[RECORDS_MAX]; /* what the server shows */
    size_t len;
    struct counts said;
};

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    *state = f;
    struct run *run = &f->run;
    run->load = (struct load){.people = PEOPLE, .gates = GATES, .capacity = -1,
                              .reentry = REENTRY_AFTER_EXIT};
    if (!ledger_init(&run->ledger, &run->load, "t1")) {
        return -1;
    }
    for (uint32_t i = 0; i < SCANS; i++) {
        struct sent sent = {.person = day[i].person, .gate = (uint16_t)(i % GATES),
                            .direction = (uint8_t)day[i].direction, .scanned_ms = 1000 + i,
                            .expect = (uint8_t)day[i].expect, .tries = 1};
        int64_t participant = day[i].person == PERSON_NONE ? 0 : 50 + (int64_t)day[i].person;
        uint32_t number = ledger_add(&run->ledger, &sent);
        ledger_answer(&run->ledger, number,
                      &(struct reply){.verdict = day[i].verdict, .reason = day[i].reason,
                                      .record_id = 200 + i, .participant = participant});
        f->records[f->len++] = (struct record){
            .id = 200 + i, .participant = participant, .gate = i % GATES,
            .verdict = day[i].verdict, .reason = day[i].reason, .direction = day[i].direction,
            .scanned_ms = 1000 + i};
    }
    f->said = (struct counts){
        .participants = PEOPLE, .admitted = 2, .inside = 2, .scans = 6, .refused = 2,
        .methods = {6, 0, 0, 0},
        .gates = {{1, 0, 1}, {2, 0, 0}, {0, 1, 0}, {0, 0, 1}}};
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    ledger_fini(&f->run.ledger);
    free(f);
    return 0;
}

static void audit(struct fixture *f) {
    struct audit audit;
    audit_begin(&audit, &f->run, "test");
    for (size_t i = 0; i < f->len; i++) {
        audit_record(&audit, &f->records[i]);
    }
    audit_end(&audit);
    audit_counts(&audit, &f->said, "counts");
    audit_free(&audit);
}

/* Faults of this kind and of no other. */
static void expect_only(struct fixture *f, enum fault_e fault) {
    audit(f);
    const struct ledger *ledger = &f->run.ledger;
    for (int each = 0; each < FAULT_COUNT; each++) {
        if ((each == (int)fault) != (ledger->faults[each] > 0)) {
            fail_msg("not only %s: %.*s", fault_text(fault), SLICE_ARG(buf_slice(&ledger->told)));
        }
    }
    assert_false(ledger_holds(ledger));
}

static void say_no_counts(struct fixture *f) {
    f->said = counts_unknown();
}

static struct record *add_record(struct fixture *f, const struct record *like, int64_t id) {
    f->records[f->len] = *like;
    f->records[f->len].id = id;
    return &f->records[f->len++];
}

static void an_honest_server_is_not_accused(void **state) {
    struct fixture *f = *state;
    audit(f);
    if (!ledger_holds(&f->run.ledger)) {
        fail_msg("%.*s", SLICE_ARG(buf_slice(&f->run.ledger.told)));
    }
    audit(f); /* nor by a second source */
    assert_true(ledger_holds(&f->run.ledger));
}

static void a_lost_scan_is_noticed(void **state) {
    struct fixture *f = *state;
    say_no_counts(f);
    f->len--;
    expect_only(f, FAULT_LOST);
    assert_int_equal(f->run.ledger.faults[FAULT_LOST], 1);
}

static void an_empty_store_has_lost_everything(void **state) {
    struct fixture *f = *state;
    say_no_counts(f);
    f->len = 0;
    expect_only(f, FAULT_LOST);
    assert_int_equal(f->run.ledger.faults[FAULT_LOST], SCANS);
}

static void two_scans_with_one_record_are_one_lost(void **state) {
    struct fixture *f = *state;
    say_no_counts(f);
    f->run.ledger.scans[4].record_id = 203; /* acknowledged with the record of another */
    f->len = 4;
    f->records[f->len++] = f->records[5];
    f->records[4].id = 205;
    f->records[4].participant = 50;
    f->records[4].verdict = VERDICT_ADMITTED;
    f->records[4].reason = REASON_NONE;
    f->records[4].scanned_ms = 1005;
    f->records[4].gate = 1;
    expect_only(f, FAULT_LOST);
}

static void a_record_that_says_something_else_is_noticed(void **state) {
    struct fixture *f = *state;
    const struct record honest = f->records[3];
    struct record lies[7];
    for (size_t i = 0; i < 7; i++) {
        lies[i] = honest;
    }
    lies[0].reason = REASON_WRONG_GATE;
    lies[1].gate = 1;
    lies[2].participant = 50;
    lies[3].direction = DIRECTION_EXIT;
    lies[4].method = METHOD_BLE;
    lies[5].scanned_ms++;
    lies[6].nonce = SLICE_LIT("t1-2");
    say_no_counts(f);
    for (size_t i = 0; i < 7; i++) {
        memset(f->run.ledger.faults, 0, sizeof f->run.ledger.faults);
        f->records[3] = lies[i];
        expect_only(f, FAULT_CHANGED);
    }
}

static void a_record_twice_is_doubled(void **state) {
    struct fixture *f = *state;
    say_no_counts(f);
    add_record(f, &f->records[4], 204);
    expect_only(f, FAULT_DOUBLED);
}

static void a_second_record_of_one_scan_is_doubled(void **state) {
    struct fixture *f = *state;
    say_no_counts(f);
    add_record(f, &f->records[3], 900);
    expect_only(f, FAULT_DOUBLED);
    assert_int_equal(f->run.ledger.faults[FAULT_DOUBLED], 1);
}

static void a_nonce_with_a_second_record_is_doubled_whatever_it_says(void **state) {
    struct fixture *f = *state;
    say_no_counts(f);
    struct record *record = add_record(f, &f->records[3], 900);
    record->nonce = SLICE_LIT("t1-3");
    record->scanned_ms = 77;
    expect_only(f, FAULT_DOUBLED);
}

static void somebody_let_in_twice_is_doubled(void **state) {
    struct fixture *f = *state;
    say_no_counts(f);
    struct record *record = add_record(f, &f->records[1], 900);
    record->scanned_ms = 1999;
    audit(f);
    assert_int_equal(f->run.ledger.faults[FAULT_DOUBLED], 1);
    assert_int_equal(f->run.ledger.faults[FAULT_PHANTOM], 1); /* and nobody sent it */
}

static void coming_in_again_is_allowed_where_the_event_allows_it(void **state) {
    struct fixture *f = *state;
    say_no_counts(f);
    struct record *record = add_record(f, &f->records[1], 900);
    record->scanned_ms = 1999;
    f->run.load.reentry = REENTRY_ALWAYS;
    expect_only(f, FAULT_PHANTOM);
    memset(f->run.ledger.faults, 0, sizeof f->run.ledger.faults);
    f->len--;
    f->run.load.reentry = REENTRY_NONE; /* person 0 came in, left and came in again */
    expect_only(f, FAULT_DOUBLED);
}

static void a_record_that_nobody_caused_is_a_phantom(void **state) {
    struct fixture *f = *state;
    say_no_counts(f);
    struct record *record = add_record(f, &f->records[4], 900);
    record->scanned_ms = 77;
    expect_only(f, FAULT_PHANTOM);
}

static void a_scan_whose_answer_was_lost_explains_its_record(void **state) {
    struct fixture *f = *state;
    f->run.ledger.scans[3].record_id = 0;
    f->run.ledger.acknowledged--;
    audit(f);
    assert_true(ledger_holds(&f->run.ledger));
}

static void so_it_does_when_nothing_was_ever_heard_of_its_person(void **state) {
    struct fixture *f = *state;
    f->run.ledger.scans[1].record_id = f->run.ledger.scans[3].record_id = 0; /* all of person 1 */
    f->run.ledger.ids[1] = 0;
    f->run.ledger.acknowledged -= 2;
    audit(f);
    assert_true(ledger_holds(&f->run.ledger));
    f->records[1].nonce = SLICE_LIT("t1-1"); /* and where its nonce is told */
    f->records[3].nonce = SLICE_LIT("t1-3");
    audit(f);
    assert_true(ledger_holds(&f->run.ledger));
}

static void a_wrong_number_inside_is_noticed(void **state) {
    struct fixture *f = *state;
    f->said.inside++;
    expect_only(f, FAULT_OCCUPANCY);
}

static void more_inside_than_the_capacity_are_noticed(void **state) {
    struct fixture *f = *state;
    f->run.load.capacity = 1;
    expect_only(f, FAULT_OCCUPANCY);
}

static void every_other_wrong_count_is_noticed(void **state) {
    struct fixture *f = *state;
    struct counts *said = &f->said;
    int64_t *const counts[] = {&said->participants, &said->admitted, &said->scans, &said->refused,
                               &said->methods[METHOD_BLE], &said->gates[0].admitted,
                               &said->gates[2].exited, &said->gates[3].refused};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        memset(f->run.ledger.faults, 0, sizeof f->run.ledger.faults);
        ++*counts[i];
        expect_only(f, FAULT_COUNTS);
        --*counts[i];
    }
}

static void gates_are_known_by_their_codes(void **state) {
    struct fixture *f = *state;
    assert_int_equal(audit_gate(&f->run, SLICE_LIT("g01")), 0);
    assert_int_equal(audit_gate(&f->run, SLICE_LIT("g04")), 3);
    static const char *const foreign[] = {"", "g", "g00", "g05", "x01", "g0x"};
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        assert_int_equal(audit_gate(&f->run, slice_of(foreign[i])), -1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        CASE(an_honest_server_is_not_accused),
        CASE(a_lost_scan_is_noticed),
        CASE(an_empty_store_has_lost_everything),
        CASE(two_scans_with_one_record_are_one_lost),
        CASE(a_record_that_says_something_else_is_noticed),
        CASE(a_record_twice_is_doubled),
        CASE(a_second_record_of_one_scan_is_doubled),
        CASE(a_nonce_with_a_second_record_is_doubled_whatever_it_says),
        CASE(somebody_let_in_twice_is_doubled),
        CASE(coming_in_again_is_allowed_where_the_event_allows_it),
        CASE(a_record_that_nobody_caused_is_a_phantom),
        CASE(a_scan_whose_answer_was_lost_explains_its_record),
        CASE(so_it_does_when_nothing_was_ever_heard_of_its_person),
        CASE(a_wrong_number_inside_is_noticed),
        CASE(more_inside_than_the_capacity_are_noticed),
        CASE(every_other_wrong_count_is_noticed),
        CASE(gates_are_known_by_their_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
