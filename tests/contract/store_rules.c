/* SPDX-License-Identifier: Apache-2.0 */
/* Every store keeps the rules of admission: docs/check-in.md, sentence by sentence. */
#include "rig.h"

enum { SECOND = 1000, MINUTE = 60000 };

#define ASSERT_VERDICT(result, v, r)                                                               \
    do {                                                                                           \
        struct scan_result seen_ = (result);                                                       \
        assert_int_equal(seen_.err, ERR_OK);                                                       \
        assert_string_equal(verdict_text(seen_.verdict), verdict_text(VERDICT_##v));               \
        assert_string_equal(reason_text(seen_.reason), reason_text(REASON_##r));                   \
    } while (0)

static void first_entry_is_admitted(void **state) {
    struct rig *rig = *state;
    rig_person(rig, "e", "t1", "Ann", "ann@example.com");
    struct scan_result result = rig_scan(rig, "e", ENTRY("t1", "g1"));
    ASSERT_VERDICT(result, ADMITTED, NONE);
    assert_int_equal(result.inside, 1);
    assert_false(result.forced || result.replayed || result.annulled || result.has_first);
    assert_true(result.has_participant);
    assert_true(slice_eq_text(result.participant.name, "Ann"));
    assert_int_equal(result.scanned_at_ms, RIG_START_MS);
    assert_int_equal(result.decided_at_ms, RIG_START_MS);
    assert_true(result.record_id > 0);
}

static void second_scan_is_refused_as_already_used(void **state) {
    struct rig *rig = *state;
    rig_person(rig, "e", "t1", "Ann", "");
    rig_scan(rig, "e", ENTRY("t1", "g1"));
    virtual_clock_advance(&rig->clock, MINUTE);
    struct scan_result result = rig_scan(rig, "e", ENTRY("t1", "g2"));
    ASSERT_VERDICT(result, REFUSED, ALREADY_USED);
    assert_true(result.has_first);
    assert_int_equal(result.first_at_ms, RIG_START_MS);
    assert_true(slice_eq_text(result.first_gate, "g1"));
    assert_int_equal(result.inside, 1);
}

static void after_exit_entries_and_exits_alternate(void **state) {
    struct rig *rig = *state;
    rig_person(rig, "e", "t1", "Ann", "");
    ASSERT_VERDICT(rig_scan(rig, "e", ENTRY("t1", "g1")), ADMITTED, NONE);
    struct scan_result out = rig_scan(rig, "e", EXIT_SCAN("t1", "g1"));
    ASSERT_VERDICT(out, EXITED, NONE);
    assert_int_equal(out.inside, 0);
    ASSERT_VERDICT(rig_scan(rig, "e", ENTRY("t1", "g2")), ADMITTED, NONE);
    ASSERT_VERDICT(rig_scan(rig, "e", ENTRY("t1", "g2")), REFUSED, ALREADY_USED);
}

static void none_admits_once_also_after_an_exit(void **state) {
    struct rig *rig = *state;
    rig_set_event(rig, "e", REENTRY_NONE, CAPACITY_NONE);
    rig_person(rig, "e", "t1", "Ann", "");
    rig_scan(rig, "e", ENTRY("t1", "g1"));
    virtual_clock_advance(&rig->clock, MINUTE);
    rig_scan(rig, "e", EXIT_SCAN("t1", "g2"));
    struct scan_result result = rig_scan(rig, "e", ENTRY("t1", "g2"));
    ASSERT_VERDICT(result, REFUSED, ALREADY_USED);
    assert_int_equal(result.first_at_ms, RIG_START_MS);
    assert_true(slice_eq_text(result.first_gate, "g1"));
}

static void always_admits_every_time_and_counts_once(void **state) {
    struct rig *rig = *state;
    rig_set_event(rig, "e", REENTRY_ALWAYS, 1);
    rig_person(rig, "e", "t1", "Ann", "");
    rig_person(rig, "e", "t2", "Bob", "");
    for (int i = 0; i < 3; i++) {
        struct scan_result result = rig_scan(rig, "e", ENTRY("t1", "g1"));
        ASSERT_VERDICT(result, ADMITTED, NONE);
        assert_int_equal(result.inside, 1);
    }
    ASSERT_VERDICT(rig_scan(rig, "e", ENTRY("t2", "g1")), REFUSED, CAPACITY_FULL);
    assert_int_equal(rig_stats(rig, "e").admitted, 1);
}

static void capacity_zero_admits_nobody(void **state) {
    struct rig *rig = *state;
    rig_set_event(rig, "e", REENTRY_AFTER_EXIT, 0);
    rig_person(rig, "e", "t1", "Ann", "");
    ASSERT_VERDICT(rig_scan(rig, "e", ENTRY("t1", "g1")), REFUSED, CAPACITY_FULL);
}

static void an_exit_makes_room(void **state) {
    struct rig *rig = *state;
    rig_set_event(rig, "e", REENTRY_AFTER_EXIT, 1);
    rig_person(rig, "e", "t1", "Ann", "");
    rig_person(rig, "e", "t2", "Bob", "");
    ASSERT_VERDICT(rig_scan(rig, "e", ENTRY("t1", "g1")), ADMITTED, NONE);
    ASSERT_VERDICT(rig_scan(rig, "e", ENTRY("t2", "g1")), REFUSED, CAPACITY_FULL);
    ASSERT_VERDICT(rig_scan(rig, "e", EXIT_SCAN("t1", "g1")), EXITED, NONE);
    ASSERT_VERDICT(rig_scan(rig, "e", ENTRY("t2", "g1")), ADMITTED, NONE);
}

static void a_late_entry_that_brings_nobody_in_needs_no_room(void **state) {
    struct rig *rig = *state;
    rig_set_event(rig, "e", REENTRY_AFTER_EXIT, 1);
    rig_person(rig, "e", "t1", "Ann", "");
    rig_person(rig, "e", "t2", "Bob", "");
    rig_scan(rig, "e", ENTRY("t1", "g1"));
    rig_scan(rig, "e", EXIT_SCAN("t1", "g1"));
    rig_scan(rig, "e", ENTRY("t2", "g1"));
    struct scan late = ENTRY("t1", "g1");
    late.scanned_at_ms = RIG_START_MS - MINUTE;
    struct scan_result result = rig_scan(rig, "e", late);
    ASSERT_VERDICT(result, ADMITTED, NONE);
    assert_int_equal(result.inside, 1);
}

static void a_late_exit_older_than_the_last_entry_puts_nobody_out(void **state) {
    struct rig *rig = *state;
    rig_person(rig, "e", "t1", "Ann", "");
    rig_scan(rig, "e", ENTRY("t1", "g1"));
    struct scan late = EXIT_SCAN("t1", "g1");
    late.scanned_at_ms = RIG_START_MS - MINUTE;
    struct scan_result result = rig_scan(rig, "e", late);
    ASSERT_VERDICT(result, EXITED, NONE);
    assert_int_equal(result.inside, 1);
    ASSERT_VERDICT(rig_scan(rig, "e", ENTRY("t1", "g1")), REFUSED, ALREADY_USED);
}

static void an_exit_of_somebody_outside_is_recorded_and_changes_no_count(void **state) {
    struct rig *rig = *state;
    rig_person(rig, "e", "t1", "Ann", "");
    struct scan_result result = rig_scan(rig, "e", EXIT_SCAN("t1", "g1"));
    ASSERT_VERDICT(result, EXITED, NONE);
    assert_int_equal(result.inside, 0);
    assert_int_equal(rig_stats(rig, "e").scans, 1);
}

static void an_exit_is_never_refused_but_for_an_unknown_token(void **state) {
    struct rig *rig = *state;
    int64_t id = rig_person(rig, "e", "t1", "Ann", "");
    rig_set_gate(rig, "e", "g1", GATE_CLOSED);
    struct participant blocked = {.status = PARTICIPANT_BLOCKED,
                                  .gates = SLICE_LIT("g2"),
                                  .valid_until_ms = RIG_START_MS - 1,
                                  .valid_from_ms = TIME_NONE};
    assert_int_equal(rig_patch(rig, "e", id,
                               PARTICIPANT_STATUS | PARTICIPANT_GATES | PARTICIPANT_VALID_UNTIL,
                               &blocked),
                     ERR_OK);
    ASSERT_VERDICT(rig_scan(rig, "e", EXIT_SCAN("t1", "g1")), EXITED, NONE);
    ASSERT_VERDICT(rig_scan(rig, "e", EXIT_SCAN("nobody", "g1")), REFUSED, UNKNOWN_TOKEN);
}

/* Breaks every rule at once, then mends one after another: the reason is always the first one
 * left. */
static void reasons_come_in_their_order_of_precedence(void **state) {
    struct rig *rig = *state;
    int64_t id = rig_person(rig, "e", "t1", "Ann", "");
    rig_person(rig, "e", "t2", "Bob", "");
    rig_scan(rig, "e", ENTRY("t1", "g2"));
    rig_scan(rig, "e", ENTRY("t2", "g2"));
    rig_set_event(rig, "e", REENTRY_AFTER_EXIT, 1);
    rig_set_gate(rig, "e", "g1", GATE_CLOSED);
    struct participant person = {.status = PARTICIPANT_CANCELLED,
                                 .valid_from_ms = RIG_START_MS + MINUTE,
                                 .valid_until_ms = RIG_START_MS + MINUTE,
                                 .gates = SLICE_LIT("g2")};
    unsigned fields = PARTICIPANT_STATUS | PARTICIPANT_VALID_FROM | PARTICIPANT_VALID_UNTIL |
                      PARTICIPANT_GATES;
    ASSERT_VERDICT(rig_scan(rig, "e", ENTRY("t0", "g1")), REFUSED, UNKNOWN_TOKEN);
    rig_patch(rig, "e", id, fields, &person);
    ASSERT_VERDICT(rig_scan(rig, "e", ENTRY("t1", "g1")), REFUSED, CANCELLED);
    person.status = PARTICIPANT_BLOCKED;
    rig_patch(rig, "e", id, fields, &person);
    ASSERT_VERDICT(rig_scan(rig, "e", ENTRY("t1", "g1")), REFUSED, BLOCKED);
    person.status = PARTICIPANT_ACTIVE;
    rig_patch(rig, "e", id, fields, &person);
    ASSERT_VERDICT(rig_scan(rig, "e", ENTRY("t1", "g1")), REFUSED, NOT_YET_VALID);
    person.valid_from_ms = TIME_NONE;
    person.valid_until_ms = RIG_START_MS;
    rig_patch(rig, "e", id, fields, &person);
    ASSERT_VERDICT(rig_scan(rig, "e", ENTRY("t1", "g1")), REFUSED, EXPIRED);
    person.valid_until_ms = TIME_NONE;
    rig_patch(rig, "e", id, fields, &person);
    ASSERT_VERDICT(rig_scan(rig, "e", ENTRY("t1", "g1")), REFUSED, WRONG_GATE);
    person.gates = SLICE_LIT("");
    rig_patch(rig, "e", id, fields, &person);
    ASSERT_VERDICT(rig_scan(rig, "e", ENTRY("t1", "g1")), REFUSED, GATE_CLOSED);
    rig_set_gate(rig, "e", "g1", GATE_OPEN);
    ASSERT_VERDICT(rig_scan(rig, "e", ENTRY("t1", "g1")), REFUSED, ALREADY_USED);
    rig_scan(rig, "e", EXIT_SCAN("t1", "g1"));
    ASSERT_VERDICT(rig_scan(rig, "e", ENTRY("t1", "g1")), REFUSED, CAPACITY_FULL);
    rig_set_event(rig, "e", REENTRY_AFTER_EXIT, 2);
    ASSERT_VERDICT(rig_scan(rig, "e", ENTRY("t1", "g1")), ADMITTED, NONE);
}

static void validity_is_judged_at_scanned_at_from_inclusive_until_exclusive(void **state) {
    struct rig *rig = *state;
    rig_set_event(rig, "e", REENTRY_ALWAYS, CAPACITY_NONE);
    int64_t id = rig_person(rig, "e", "t1", "Ann", "");
    struct participant person = {.valid_from_ms = 1000 * SECOND, .valid_until_ms = 2000 * SECOND};
    rig_patch(rig, "e", id, PARTICIPANT_VALID_FROM | PARTICIPANT_VALID_UNTIL, &person);
    static const struct {
        int64_t at_ms;
        enum reason_e reason;
    } rows[] = {{1000 * SECOND - 1, REASON_NOT_YET_VALID},
                {1000 * SECOND, REASON_NONE},
                {2000 * SECOND - 1, REASON_NONE},
                {2000 * SECOND, REASON_EXPIRED}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct scan scan = ENTRY("t1", "g1");
        scan.scanned_at_ms = rows[i].at_ms;
        assert_int_equal(rig_scan(rig, "e", scan).reason, rows[i].reason);
    }
}

static void force_admits_whatever_the_rules_say(void **state) {
    struct rig *rig = *state;
    rig_set_event(rig, "e", REENTRY_AFTER_EXIT, 0);
    rig_person(rig, "e", "t1", "Ann", "");
    struct scan scan = ENTRY("t1", "g1");
    scan.force = true;
    struct scan_result result = rig_scan(rig, "e", scan);
    ASSERT_VERDICT(result, ADMITTED, NONE);
    assert_true(result.forced);
    assert_int_equal(result.overrode, REASON_CAPACITY_FULL);
    assert_int_equal(result.inside, 1);
}

static void force_is_not_marked_when_the_rules_agreed(void **state) {
    struct rig *rig = *state;
    rig_person(rig, "e", "t1", "Ann", "");
    struct scan scan = ENTRY("t1", "g1");
    scan.force = true;
    struct scan_result result = rig_scan(rig, "e", scan);
    ASSERT_VERDICT(result, ADMITTED, NONE);
    assert_false(result.forced);
    assert_int_equal(result.overrode, REASON_NONE);
}

static void force_does_not_help_an_unknown_token(void **state) {
    struct scan scan = ENTRY("nobody", "g1");
    scan.force = true;
    ASSERT_VERDICT(rig_scan(*state, "e", scan), REFUSED, UNKNOWN_TOKEN);
}

static void unknown_gate_writes_nothing(void **state) {
    struct rig *rig = *state;
    rig_person(rig, "e", "t1", "Ann", "");
    assert_int_equal(rig_scan(rig, "e", ENTRY("t1", "g9")).err, ERR_UNKNOWN_GATE);
    assert_int_equal(rig_stats(rig, "e").scans, 0);
}

static void unknown_event_is_an_error_of_the_operation(void **state) {
    struct rig *rig = *state;
    struct store_op op;
    struct scan scan = ENTRY("t1", "g1");
    struct scan_result result;
    store_op_init(&op, STORE_CHECK_IN);
    op.event = SLICE_LIT("nowhere");
    op.check_in.scans = &scan;
    op.check_in.results = &result;
    op.check_in.len = 1;
    assert_int_equal(store_run(rig->store, &op), ERR_UNKNOWN_EVENT);
    store_op_fini(&op);
}

static void a_scan_sees_only_its_own_events_people(void **state) {
    struct rig *rig = *state;
    rig_event(rig, "other", REENTRY_AFTER_EXIT, CAPACITY_NONE);
    rig_gate(rig, "other", "g1");
    rig_person(rig, "other", "t1", "Ann", "");
    ASSERT_VERDICT(rig_scan(rig, "e", ENTRY("t1", "g1")), REFUSED, UNKNOWN_TOKEN);
    ASSERT_VERDICT(rig_scan(rig, "other", ENTRY("t1", "g1")), ADMITTED, NONE);
}

static struct scan with_nonce(struct scan scan, const char *nonce) {
    scan.nonce = slice_of(nonce);
    return scan;
}

static void a_repeated_nonce_returns_the_first_verdict_and_writes_nothing(void **state) {
    struct rig *rig = *state;
    rig_person(rig, "e", "t1", "Ann", "");
    struct scan_result first = rig_scan(rig, "e", with_nonce(ENTRY("t1", "g1"), "n1"));
    virtual_clock_advance(&rig->clock, MINUTE);
    rig_reopen(rig);
    struct scan_result again = rig_scan(rig, "e", with_nonce(ENTRY("t1", "g1"), "n1"));
    ASSERT_VERDICT(again, ADMITTED, NONE);
    assert_true(again.replayed);
    assert_int_equal(again.record_id, first.record_id);
    assert_int_equal(again.scanned_at_ms, first.scanned_at_ms);
    assert_int_equal(again.decided_at_ms, first.decided_at_ms);
    assert_true(slice_eq_text(again.participant.name, "Ann"));
    assert_int_equal(rig_stats(rig, "e").scans, 1);
}

static void refusals_replay_too(void **state) {
    struct rig *rig = *state;
    rig_person(rig, "e", "t1", "Ann", "");
    rig_scan(rig, "e", ENTRY("t1", "g1"));
    rig_scan(rig, "e", with_nonce(ENTRY("t1", "g2"), "n1"));
    rig_scan(rig, "e", EXIT_SCAN("t1", "g1"));
    struct scan_result again = rig_scan(rig, "e", with_nonce(ENTRY("t1", "g2"), "n1"));
    ASSERT_VERDICT(again, REFUSED, ALREADY_USED);
    assert_true(again.replayed && again.has_first);
    assert_true(slice_eq_text(again.first_gate, "g1"));
    assert_int_equal(again.inside, 0); /* as now */
    struct scan_result unknown = rig_scan(rig, "e", with_nonce(ENTRY("t9", "g1"), "n2"));
    struct scan_result unknown_again = rig_scan(rig, "e", with_nonce(ENTRY("t9", "g1"), "n2"));
    assert_true(unknown_again.replayed && !unknown_again.has_participant);
    assert_int_equal(unknown_again.record_id, unknown.record_id);
}

static void a_nonce_with_another_scan_is_a_conflict(void **state) {
    struct rig *rig = *state;
    rig_person(rig, "e", "t1", "Ann", "");
    rig_person(rig, "e", "t2", "Bob", "");
    rig_scan(rig, "e", with_nonce(ENTRY("t1", "g1"), "n1"));
    assert_int_equal(rig_scan(rig, "e", with_nonce(ENTRY("t2", "g1"), "n1")).err,
                     ERR_NONCE_CONFLICT);
    assert_int_equal(rig_scan(rig, "e", with_nonce(ENTRY("t1", "g2"), "n1")).err,
                     ERR_NONCE_CONFLICT);
    assert_int_equal(rig_scan(rig, "e", with_nonce(EXIT_SCAN("t1", "g1"), "n1")).err,
                     ERR_NONCE_CONFLICT);
    assert_int_equal(rig_stats(rig, "e").scans, 1);
}

static void a_nonce_belongs_to_its_event(void **state) {
    struct rig *rig = *state;
    rig_event(rig, "other", REENTRY_AFTER_EXIT, CAPACITY_NONE);
    rig_gate(rig, "other", "g1");
    rig_person(rig, "e", "t1", "Ann", "");
    rig_person(rig, "other", "t1", "Ann", "");
    assert_false(rig_scan(rig, "e", with_nonce(ENTRY("t1", "g1"), "n1")).replayed);
    assert_false(rig_scan(rig, "other", with_nonce(ENTRY("t1", "g1"), "n1")).replayed);
}

static void the_same_nonce_twice_in_one_operation_is_one_record(void **state) {
    struct rig *rig = *state;
    rig_person(rig, "e", "t1", "Ann", "");
    struct scan scans[2] = {with_nonce(ENTRY("t1", "g1"), "n1"),
                            with_nonce(ENTRY("t1", "g1"), "n1")};
    struct scan_result results[2];
    struct store_op op;
    store_op_init(&op, STORE_CHECK_IN);
    op.event = SLICE_LIT("e");
    op.check_in.scans = scans;
    op.check_in.results = results;
    op.check_in.len = 2;
    assert_int_equal(store_run(rig->store, &op), ERR_OK);
    assert_false(results[0].replayed);
    assert_true(results[1].replayed);
    assert_int_equal(results[0].record_id, results[1].record_id);
    store_op_fini(&op);
}

static void annulling_lets_the_person_in_again(void **state) {
    struct rig *rig = *state;
    rig_person(rig, "e", "t1", "Ann", "");
    struct scan_result first = rig_scan(rig, "e", with_nonce(ENTRY("t1", "g1"), "n1"));
    struct attendance_record record;
    assert_int_equal(rig_annul(rig, "e", first.record_id, &record), ERR_OK);
    assert_int_equal(record.annulled_at_ms, RIG_START_MS);
    struct event_stats stats = rig_stats(rig, "e");
    assert_int_equal(stats.inside, 0);
    assert_int_equal(stats.admitted, 0);
    assert_int_equal(stats.gates[0].admitted, 0);
    assert_int_equal(stats.gates[0].last_minute, 0);
    assert_int_equal(stats.scans, 1);
    struct scan_result replay = rig_scan(rig, "e", with_nonce(ENTRY("t1", "g1"), "n1"));
    assert_true(replay.replayed && replay.annulled);
    ASSERT_VERDICT(rig_scan(rig, "e", ENTRY("t1", "g2")), ADMITTED, NONE);
}

static void annulling_twice_or_a_refusal_is_a_conflict(void **state) {
    struct rig *rig = *state;
    rig_person(rig, "e", "t1", "Ann", "");
    int64_t admitted = rig_scan(rig, "e", ENTRY("t1", "g1")).record_id;
    int64_t refused = rig_scan(rig, "e", ENTRY("t1", "g1")).record_id;
    assert_int_equal(rig_annul(rig, "e", admitted, NULL), ERR_OK);
    assert_int_equal(rig_annul(rig, "e", admitted, NULL), ERR_NOT_ANNULLABLE);
    assert_int_equal(rig_annul(rig, "e", refused, NULL), ERR_NOT_ANNULLABLE);
    assert_int_equal(rig_annul(rig, "e", 12345, NULL), ERR_UNKNOWN_RECORD);
    rig_event(rig, "other", REENTRY_AFTER_EXIT, CAPACITY_NONE);
    assert_int_equal(rig_annul(rig, "other", refused, NULL), ERR_UNKNOWN_RECORD);
}

static void an_annulled_exit_of_a_full_house_is_allowed(void **state) {
    struct rig *rig = *state;
    rig_set_event(rig, "e", REENTRY_AFTER_EXIT, 1);
    rig_person(rig, "e", "t1", "Ann", "");
    rig_person(rig, "e", "t2", "Bob", "");
    rig_scan(rig, "e", ENTRY("t1", "g1"));
    int64_t out = rig_scan(rig, "e", EXIT_SCAN("t1", "g1")).record_id;
    rig_scan(rig, "e", ENTRY("t2", "g1"));
    assert_int_equal(rig_annul(rig, "e", out, NULL), ERR_OK);
    assert_int_equal(rig_stats(rig, "e").inside, 2);
}

static void a_scan_takes_the_active_participant_else_the_latest(void **state) {
    struct rig *rig = *state;
    struct participant cancelled = {.status = PARTICIPANT_CANCELLED};
    struct participant blocked = {.status = PARTICIPANT_BLOCKED};
    int64_t one = rig_person(rig, "e", "t1", "First", "");
    rig_patch(rig, "e", one, PARTICIPANT_STATUS, &cancelled);
    int64_t two = rig_person(rig, "e", "t1", "Second", "");
    assert_int_equal(rig_scan(rig, "e", ENTRY("t1", "g1")).participant.id, two);
    rig_patch(rig, "e", two, PARTICIPANT_STATUS, &blocked);
    ASSERT_VERDICT(rig_scan(rig, "e", ENTRY("t1", "g1")), REFUSED, BLOCKED);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        CASE(first_entry_is_admitted),
        CASE(second_scan_is_refused_as_already_used),
        CASE(after_exit_entries_and_exits_alternate),
        CASE(none_admits_once_also_after_an_exit),
        CASE(always_admits_every_time_and_counts_once),
        CASE(capacity_zero_admits_nobody),
        CASE(an_exit_makes_room),
        CASE(a_late_entry_that_brings_nobody_in_needs_no_room),
        CASE(a_late_exit_older_than_the_last_entry_puts_nobody_out),
        CASE(an_exit_of_somebody_outside_is_recorded_and_changes_no_count),
        CASE(an_exit_is_never_refused_but_for_an_unknown_token),
        CASE(reasons_come_in_their_order_of_precedence),
        CASE(validity_is_judged_at_scanned_at_from_inclusive_until_exclusive),
        CASE(force_admits_whatever_the_rules_say),
        CASE(force_is_not_marked_when_the_rules_agreed),
        CASE(force_does_not_help_an_unknown_token),
        CASE(unknown_gate_writes_nothing),
        CASE(unknown_event_is_an_error_of_the_operation),
        CASE(a_scan_sees_only_its_own_events_people),
        CASE(a_repeated_nonce_returns_the_first_verdict_and_writes_nothing),
        CASE(refusals_replay_too),
        CASE(a_nonce_with_another_scan_is_a_conflict),
        CASE(a_nonce_belongs_to_its_event),
        CASE(the_same_nonce_twice_in_one_operation_is_one_record),
        CASE(annulling_lets_the_person_in_again),
        CASE(annulling_twice_or_a_refusal_is_a_conflict),
        CASE(an_annulled_exit_of_a_full_house_is_allowed),
        CASE(a_scan_takes_the_active_participant_else_the_latest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
