/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: at most one holds the lease, whoever stops renewing loses it, and what an earlier holder
 * writes into the journal is refused. */
#include "rig.h"

#include "rig_postgres.h"
#include "store/lease.h"

#include <stdio.h>

enum { LONG_MS = 3600000, TIMEOUT_MS = 5000 };

static struct lease *candidate(struct rig *rig, const char *holder, int64_t ttl_ms) {
    struct lease *lease = lease_create(&(struct lease_options){
        .store_url = rig->path,
        .name = LEASE_CONTROLLER,
        .holder = holder,
        .url = "http://n",
        .ttl_ms = ttl_ms,
        .timeout_ms = TIMEOUT_MS,
    });
    assert_non_null(lease);
    return lease;
}

static struct lease_state try(struct lease *lease) {
    struct lease_state state;
    struct problem problem = {.detail = ""};
    enum err_e err = lease_try(lease, &state, &problem);
    if (err != ERR_OK) {
        fail_msg("%s: %s", err_code(err), problem.detail);
    }
    return state;
}

static void the_first_has_it_and_the_second_hears_who(void **state) {
    struct rig *rig = *state;
    struct lease *a = candidate(rig, "a", LONG_MS), *b = candidate(rig, "b", LONG_MS);
    struct lease_state first = try(a), second = try(b), again = try(a);
    assert_true(first.is_ours);
    assert_int_equal(first.term, 1);
    assert_false(second.is_ours);
    assert_string_equal(second.holder, "a");
    assert_string_equal(second.url, "http://n");
    assert_int_equal(second.term, 1);
    assert_true(again.is_ours);
    assert_int_equal(again.term, 1);
    lease_destroy(a);
    lease_destroy(b);
}

/* Its session lives on, as that of a frozen process does. */
static void who_stops_renewing_loses_it(void **state) {
    struct rig *rig = *state;
    struct lease *a = candidate(rig, "a", 1), *b = candidate(rig, "b", LONG_MS);
    assert_true(try(a).is_ours);
    struct lease_state taken = try(b);
    while (!taken.is_ours) {
        taken = try(b);
    }
    assert_int_equal(taken.term, 2);
    struct lease_state lost = try(a);
    assert_false(lost.is_ours);
    assert_string_equal(lost.holder, "b");
    lease_destroy(a);
    lease_destroy(b);
}

static void who_renews_too_late_begins_a_new_term(void **state) {
    struct rig *rig = *state;
    struct lease *a = candidate(rig, "a", -1); /* over as soon as it is given */
    assert_int_equal(try(a).term, 1);
    assert_int_equal(try(a).term, 2);
    lease_destroy(a);
}

static void what_is_given_back_is_free_at_once(void **state) {
    struct rig *rig = *state;
    struct problem problem;
    struct lease *a = candidate(rig, "a", LONG_MS), *b = candidate(rig, "b", LONG_MS);
    assert_true(try(a).is_ours);
    assert_int_equal(lease_give_back(b, &problem), ERR_OK); /* not its own */
    assert_false(try(b).is_ours);
    assert_int_equal(lease_give_back(a, &problem), ERR_OK);
    assert_true(try(b).is_ours);
    assert_false(try(a).is_ours);
    lease_destroy(a);
    lease_destroy(b);
}

static void who_only_looks_takes_nothing(void **state) {
    (void)state;
    struct rig *rig = *state;
    struct problem problem;
    struct lease *a = candidate(rig, "a", LONG_MS);
    struct lease *looks = lease_create(&(struct lease_options){.store_url = rig->path,
                                                               .name = LEASE_CONTROLLER,
                                                               .holder = "looks",
                                                               .timeout_ms = TIMEOUT_MS,
                                                               .only_looks = true});
    assert_non_null(looks);
    struct lease_state seen = try(looks);
    assert_false(seen.is_ours);
    assert_string_equal(seen.holder, "");
    assert_true(try(a).is_ours);
    seen = try(looks);
    assert_false(seen.is_ours);
    assert_string_equal(seen.holder, "a");
    assert_int_equal(seen.term, 1);
    assert_int_equal(lease_give_back(a, &problem), ERR_OK);
    assert_string_equal(try(looks).holder, "");
    lease_destroy(looks);
    lease_destroy(a);
}

static void a_server_that_was_away_is_found_again(void **state) {
    struct rig *rig = *state;
    struct lease *a = candidate(rig, "a", LONG_MS);
    assert_true(try(a).is_ours);
    rig_postgres_server("restart", "fast");
    struct lease_state after = {.term = 0};
    struct problem problem;
    for (int i = 0; i < 100 && after.term == 0; i++) {
        enum err_e ignored = lease_try(a, &after, &problem);
        (void)ignored;
    }
    assert_true(after.is_ours);
    assert_int_equal(after.term, 1);
    lease_destroy(a);
}

/* ---- the journal ---- */

static enum err_e add_action(struct rig *rig, struct action_fence fence, int64_t *ret_id) {
    struct store_op op;
    store_op_init(&op, STORE_ADD_ACTION);
    op.action.values = (struct action_record){.system = SLICE_LIT("recovery"),
                                              .action = SLICE_LIT("ONE"),
                                              .outcome = SLICE_LIT("waiting")};
    op.action.fence = fence;
    enum err_e err = store_run(rig->store, &op);
    *ret_id = op.action.values.id;
    store_op_fini(&op);
    return err;
}

static enum err_e end_action(struct rig *rig, struct action_fence fence, int64_t id) {
    struct store_op op;
    store_op_init(&op, STORE_END_ACTION);
    op.action.values = (struct action_record){
        .id = id, .system = SLICE_LIT("recovery"), .outcome = SLICE_LIT("begun")};
    op.action.was = SLICE_LIT("waiting");
    op.action.fence = fence;
    enum err_e err = store_run(rig->store, &op);
    store_op_fini(&op);
    return err;
}

static int64_t count(struct rig *rig, const char *outcome) {
    char sql[128];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM action_journal WHERE outcome = '%s'", outcome);
    return rig_postgres_number(rig->path, sql);
}

static void only_the_present_holder_writes_into_the_journal(void **state) {
    struct rig *rig = *state;
    struct lease *a = candidate(rig, "a", LONG_MS), *b = candidate(rig, "b", LONG_MS);
    struct problem problem;
    struct action_fence of_a = {SLICE_LIT("a"), try(a).term};
    int64_t id, ignored;
    assert_int_equal(add_action(rig, of_a, &id), ERR_OK);
    assert_int_equal(lease_give_back(a, &problem), ERR_OK);
    assert_int_equal(add_action(rig, of_a, &ignored), ERR_CONFLICT);
    struct action_fence of_b = {SLICE_LIT("b"), try(b).term};
    assert_int_equal(of_b.term, 2);
    assert_int_equal(add_action(rig, of_a, &ignored), ERR_CONFLICT);
    assert_int_equal(end_action(rig, of_a, id), ERR_CONFLICT);
    struct action_fence wrong_term = {SLICE_LIT("b"), 1};
    assert_int_equal(add_action(rig, wrong_term, &ignored), ERR_CONFLICT);
    assert_int_equal(count(rig, "waiting"), 1);
    assert_int_equal(end_action(rig, of_a, 0), ERR_OK); /* of all: finds none that it may */
    assert_int_equal(count(rig, "waiting"), 1);
    assert_int_equal(end_action(rig, of_b, 0), ERR_OK); /* whoever began it */
    assert_int_equal(count(rig, "begun"), 1);
    assert_int_equal(add_action(rig, (struct action_fence){.term = 0}, &ignored), ERR_OK);
    lease_destroy(a);
    lease_destroy(b);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        CASE(the_first_has_it_and_the_second_hears_who),
        CASE(who_stops_renewing_loses_it),
        CASE(who_renews_too_late_begins_a_new_term),
        CASE(what_is_given_back_is_free_at_once),
        CASE(who_only_looks_takes_nothing),
        CASE(a_server_that_was_away_is_found_again),
        CASE(only_the_present_holder_writes_into_the_journal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
