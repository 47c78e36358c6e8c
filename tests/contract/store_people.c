/* SPDX-License-Identifier: Apache-2.0 */
/* Participants, import, erasure, search, events, gates and keys, on every store. */
#include "rig.h"

#include <stdio.h>

static enum err_e run_create(struct rig *rig, const char *token, enum participant_status_e status,
                             const char *gates) {
    struct store_op op;
    store_op_init(&op, STORE_CREATE_PARTICIPANT);
    op.event = SLICE_LIT("e");
    op.participant_write.values = (struct participant){.token = slice_of(token),
                                                       .name = SLICE_LIT("X"),
                                                       .email = SLICE_LIT(""),
                                                       .status = status,
                                                       .valid_from_ms = TIME_NONE,
                                                       .valid_until_ms = TIME_NONE,
                                                       .gates = slice_of(gates)};
    enum err_e err = store_run(rig->store, &op);
    store_op_fini(&op);
    return err;
}

static void a_token_is_unique_among_active_participants(void **state) {
    struct rig *rig = *state;
    assert_int_equal(run_create(rig, "t", PARTICIPANT_CANCELLED, ""), ERR_OK);
    assert_int_equal(run_create(rig, "t", PARTICIPANT_ACTIVE, ""), ERR_OK);
    assert_int_equal(run_create(rig, "t", PARTICIPANT_ACTIVE, ""), ERR_CONFLICT);
    assert_int_equal(run_create(rig, "t", PARTICIPANT_BLOCKED, ""), ERR_OK);
    assert_int_equal(rig_stats(rig, "e").participants, 3);
}

static void making_active_or_changing_a_token_can_conflict(void **state) {
    struct rig *rig = *state;
    int64_t one = rig_person(rig, "e", "t1", "One", "");
    int64_t two = rig_person(rig, "e", "t2", "Two", "");
    struct participant values = {.token = SLICE_LIT("t1"), .status = PARTICIPANT_CANCELLED};
    assert_int_equal(rig_patch(rig, "e", two, PARTICIPANT_TOKEN, &values), ERR_CONFLICT);
    assert_int_equal(rig_patch(rig, "e", one, PARTICIPANT_STATUS, &values), ERR_OK);
    assert_int_equal(rig_patch(rig, "e", two, PARTICIPANT_TOKEN, &values), ERR_OK);
    values.status = PARTICIPANT_ACTIVE;
    assert_int_equal(rig_patch(rig, "e", one, PARTICIPANT_STATUS, &values), ERR_CONFLICT);
}

static void unknown_gates_in_a_list_are_refused(void **state) {
    assert_int_equal(run_create(*state, "t", PARTICIPANT_ACTIVE, "g1 nowhere"), ERR_INVALID_FIELD);
    assert_int_equal(run_create(*state, "t", PARTICIPANT_ACTIVE, "g1 g2"), ERR_OK);
}

static void erasing_frees_the_token_and_keeps_the_counts(void **state) {
    struct rig *rig = *state;
    int64_t id = rig_person(rig, "e", "t1", "Canary Name", "canary@example.com");
    struct scan scan = ENTRY("t1", "g1");
    scan.nonce = SLICE_LIT("n1");
    rig_scan(rig, "e", scan);
    assert_int_equal(rig_erase(rig, "e", id), ERR_OK);
    struct participant person;
    assert_int_equal(rig_load(rig, "e", id, &person), ERR_UNKNOWN_PARTICIPANT);
    assert_int_equal(rig_erase(rig, "e", id), ERR_UNKNOWN_PARTICIPANT);
    struct event_stats stats = rig_stats(rig, "e");
    assert_int_equal(stats.participants, 0);
    assert_int_equal(stats.inside, 1);
    assert_int_equal(stats.admitted, 1);
    assert_string_equal(rig_search(rig, "e", "canary"), "");
    struct scan_result replay = rig_scan(rig, "e", scan);
    assert_true(replay.replayed);
    assert_false(replay.has_participant);
    assert_int_equal(rig_scan(rig, "e", ENTRY("t1", "g1")).reason, REASON_UNKNOWN_TOKEN);
    assert_int_equal(run_create(rig, "t1", PARTICIPANT_ACTIVE, ""), ERR_OK);
}

/* ── search ── */

static void search_finds_words_of_names_and_parts_of_addresses(void **state) {
    struct rig *rig = *state;
    char ids[6][24];
    static const char *const people[6][2] = {
        {"Zoë Müller", "zoe.mueller@example.com"},
        {"김민수", "minsu.kim@example.kr"},
        {"Anne-Marie O'Brien", "anne_marie+vip@sub.example.org"},
        {"ÉLODIE Dupont", "elodie@école.fr"},
        {"김민지", ""},
        {"\"; DROP TABLE", "a@b.c"},
    };
    for (int i = 0; i < 6; i++) {
        char token[8];
        snprintf(token, sizeof token, "t%d", i);
        snprintf(ids[i], sizeof ids[i], "%lld",
                 (long long)rig_person(rig, "e", token, people[i][0], people[i][1]));
    }
    static const struct {
        const char *query;
        int first, second; /* -1: nobody */
    } rows[] = {
        {"zoe", 0, -1},           {"ZOË", 0, -1},          {"mul", 0, -1},
        {"müll", 0, -1},          {"김민", 1, 4},          {"김민수", 1, -1},
        {"민수", -1, -1},         {"marie", 2, -1},        {"brien", 2, -1},
        {"o'brien", 2, -1},       {"anne-marie", 2, -1},   {"elodie dup", 3, -1},
        {"dup élo", 3, -1},       {"mueller@ex", 0, -1},   {"ueller", 0, -1},
        {"xample.k", 1, -1},      {"_marie+v", 2, -1},     {"+vip@sub", 2, -1},
        {".kr", 1, -1},           {"kr", 1, -1},           {"u.k", 1, -1},
        {"marie zoe", -1, -1},    {"example.org brien", 2, -1}, {"MINSU.KIM@EXAMPLE.KR", 1, -1},
        {"drop", 5, -1},          {"\"drop", 5, -1},       {"@école", 3, -1},
        {"b.c", 5, -1},           {"nobody", -1, -1},      {"xx*", -1, -1},
        {"zoe m", 0, -1},         {"ller@exampel", -1, -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char wanted[64] = "";
        if (rows[i].first >= 0) {
            snprintf(wanted, sizeof wanted, "%s%s%s", ids[rows[i].first],
                     rows[i].second < 0 ? "" : " ",
                     rows[i].second < 0 ? "" : ids[rows[i].second]);
        }
        const char *seen = rig_search(rig, "e", rows[i].query);
        if (strcmp(seen, wanted) != 0) {
            fail_msg("\"%s\": wanted [%s], found [%s]", rows[i].query, wanted, seen);
        }
    }
}

static void search_needs_a_word_of_two_characters(void **state) {
    assert_string_equal(rig_search(*state, "e", "k"), "!invalid_field");
    assert_string_equal(rig_search(*state, "e", "김"), "!invalid_field");
    assert_string_equal(rig_search(*state, "e", " \t "), "!invalid_field");
    assert_string_equal(rig_search(*state, "e", "\xff\xfe"), "!invalid_field");
}

static void search_follows_changes_and_keeps_to_its_event(void **state) {
    struct rig *rig = *state;
    rig_event(rig, "other", REENTRY_NONE, CAPACITY_NONE);
    rig_person(rig, "other", "t1", "Walter", "walter@example.com");
    int64_t id = rig_person(rig, "e", "t1", "Before", "before@example.com");
    struct participant values = {.name = SLICE_LIT("After"), .email = SLICE_LIT("new@x.org")};
    rig_patch(rig, "e", id, PARTICIPANT_NAME | PARTICIPANT_EMAIL, &values);
    assert_string_equal(rig_search(rig, "e", "before"), "");
    assert_string_not_equal(rig_search(rig, "e", "after"), "");
    assert_string_not_equal(rig_search(rig, "e", "x.org"), "");
    assert_string_equal(rig_search(rig, "e", "walter"), "");
}

/* ── import ── */

static enum import_outcome_e import_one(struct rig *rig, struct participant values,
                                        unsigned fields) {
    struct import_row row = {.values = values, .fields = fields | PARTICIPANT_TOKEN};
    struct store_op op;
    store_op_init(&op, STORE_IMPORT_PARTICIPANTS);
    op.event = SLICE_LIT("e");
    op.import.rows = &row;
    op.import.len = 1;
    assert_int_equal(store_run(rig->store, &op), ERR_OK);
    store_op_fini(&op);
    return row.ret_outcome;
}

static void import_makes_updates_and_rejects_row_by_row(void **state) {
    struct rig *rig = *state;
    struct import_row rows[4] = {
        {.values = {.token = SLICE_LIT("a"), .name = SLICE_LIT("A")},
         .fields = PARTICIPANT_TOKEN | PARTICIPANT_NAME},
        {.values = {.token = SLICE_LIT("b"), .gates = SLICE_LIT("nowhere")},
         .fields = PARTICIPANT_TOKEN | PARTICIPANT_GATES},
        {.values = {.token = SLICE_LIT("a"), .name = SLICE_LIT("A2")},
         .fields = PARTICIPANT_TOKEN | PARTICIPANT_NAME},
        {.values = {.token = SLICE_LIT("c"), .valid_from_ms = 2, .valid_until_ms = 1},
         .fields = PARTICIPANT_TOKEN | PARTICIPANT_VALID_FROM | PARTICIPANT_VALID_UNTIL},
    };
    struct store_op op;
    store_op_init(&op, STORE_IMPORT_PARTICIPANTS);
    op.event = SLICE_LIT("e");
    op.import.rows = rows;
    op.import.len = 4;
    assert_int_equal(store_run(rig->store, &op), ERR_OK);
    assert_int_equal(rows[0].ret_outcome, IMPORT_CREATED);
    assert_int_equal(rows[1].ret_outcome, IMPORT_REJECTED);
    assert_int_equal(rows[2].ret_outcome, IMPORT_UPDATED);
    assert_int_equal(rows[3].ret_outcome, IMPORT_REJECTED);
    assert_true(rows[1].ret_reason.len > 0);
    store_op_fini(&op);
    assert_int_equal(rig_stats(rig, "e").participants, 1);
    assert_string_not_equal(rig_search(rig, "e", "A2"), "");
}

static void import_keeps_fields_that_it_does_not_name(void **state) {
    struct rig *rig = *state;
    int64_t id = rig_person(rig, "e", "a", "Name", "a@example.com");
    struct participant values = {.token = SLICE_LIT("a"), .email = SLICE_LIT("")};
    assert_int_equal(import_one(rig, values, PARTICIPANT_EMAIL), IMPORT_UPDATED);
    struct participant person;
    assert_int_equal(rig_load(rig, "e", id, &person), ERR_OK);
    assert_true(slice_eq_text(person.name, "Name"));
    assert_int_equal(person.email.len, 0);
}

static void import_of_a_cancelled_row_twice_makes_one_participant(void **state) {
    struct rig *rig = *state;
    struct participant values = {.token = SLICE_LIT("a"), .status = PARTICIPANT_CANCELLED};
    assert_int_equal(import_one(rig, values, PARTICIPANT_STATUS), IMPORT_CREATED);
    assert_int_equal(import_one(rig, values, PARTICIPANT_STATUS), IMPORT_UPDATED);
    values.status = PARTICIPANT_ACTIVE;
    assert_int_equal(import_one(rig, values, PARTICIPANT_STATUS), IMPORT_CREATED);
    assert_int_equal(rig_stats(rig, "e").participants, 2);
}

/* ── events, gates, keys ── */

static void lists_go_page_by_page(void **state) {
    struct rig *rig = *state;
    for (int i = 0; i < 25; i++) {
        char token[16];
        snprintf(token, sizeof token, "t%02d", i);
        rig_person(rig, "e", token, token, "");
    }
    int64_t after = 0, seen = 0;
    for (bool more = true; more;) {
        struct store_op op;
        store_op_init(&op, STORE_LIST_PARTICIPANTS);
        op.event = SLICE_LIT("e");
        op.participants.after = after;
        op.participants.limit = 10;
        assert_int_equal(store_run(rig->store, &op), ERR_OK);
        more = op.participants.more;
        for (size_t i = 0; i < op.participants.len; i++) {
            assert_true(op.participants.items[i].id > after);
            after = op.participants.items[i].id;
            seen++;
        }
        store_op_fini(&op);
    }
    assert_int_equal(seen, 25);
}

static void codes_that_exist_are_a_conflict(void **state) {
    struct rig *rig = *state;
    struct store_op op;
    store_op_init(&op, STORE_CREATE_GATE);
    op.event = SLICE_LIT("e");
    op.gate_write.values = (struct gate){.code = SLICE_LIT("g1"), .name = SLICE_LIT("x")};
    assert_int_equal(store_run(rig->store, &op), ERR_CONFLICT);
    store_op_fini(&op);
    store_op_init(&op, STORE_CREATE_EVENT);
    op.event_write.values = (struct event){.code = SLICE_LIT("e"), .name = SLICE_LIT("x")};
    op.event_write.values.timezone = SLICE_LIT("UTC");
    assert_int_equal(store_run(rig->store, &op), ERR_CONFLICT);
    store_op_fini(&op);
}

static void keys_are_made_found_and_revoked_for_ever(void **state) {
    struct rig *rig = *state;
    struct store_op op;
    store_op_init(&op, STORE_CREATE_KEY);
    op.key = (struct api_key){.id = SLICE_LIT("k1"),
                              .name = SLICE_LIT("door"),
                              .scope = SCOPE_SCANNER,
                              .event = SLICE_LIT("e"),
                              .hash = {1, 2, 3}};
    assert_int_equal(store_run(rig->store, &op), ERR_OK);
    store_op_fini(&op);
    store_op_init(&op, STORE_REVOKE_KEY);
    op.key.id = SLICE_LIT("k1");
    assert_int_equal(store_run(rig->store, &op), ERR_OK);
    assert_int_equal(op.key.revoked_at_ms, RIG_START_MS);
    store_op_fini(&op);
    virtual_clock_advance(&rig->clock, 1000);
    store_op_init(&op, STORE_REVOKE_KEY);
    op.key.id = SLICE_LIT("k1");
    assert_int_equal(store_run(rig->store, &op), ERR_OK);
    assert_int_equal(op.key.revoked_at_ms, RIG_START_MS);
    store_op_fini(&op);
    rig_reopen(rig);
    store_op_init(&op, STORE_LOAD_KEY);
    op.key.id = SLICE_LIT("k1");
    assert_int_equal(store_run(rig->store, &op), ERR_OK);
    assert_int_equal(op.key.scope, SCOPE_SCANNER);
    assert_true(slice_eq_text(op.key.event, "e"));
    assert_int_equal(op.key.hash[2], 3);
    store_op_fini(&op);
    store_op_init(&op, STORE_LOAD_KEY);
    op.key.id = SLICE_LIT("other");
    assert_int_equal(store_run(rig->store, &op), ERR_UNKNOWN_KEY);
    store_op_fini(&op);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_token_is_unique_among_active_participants),
        CASE(making_active_or_changing_a_token_can_conflict),
        CASE(unknown_gates_in_a_list_are_refused),
        CASE(erasing_frees_the_token_and_keeps_the_counts),
        CASE(search_finds_words_of_names_and_parts_of_addresses),
        CASE(search_needs_a_word_of_two_characters),
        CASE(search_follows_changes_and_keeps_to_its_event),
        CASE(import_makes_updates_and_rejects_row_by_row),
        CASE(import_keeps_fields_that_it_does_not_name),
        CASE(import_of_a_cancelled_row_twice_makes_one_participant),
        CASE(lists_go_page_by_page),
        CASE(codes_that_exist_are_a_conflict),
        CASE(keys_are_made_found_and_revoked_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
