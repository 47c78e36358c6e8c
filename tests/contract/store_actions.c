/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the journal of actions keeps what was written, newest first, over restarts; what did not
 * end can be told apart. */
#include "rig.h"

#define TEXT(text) SLICE_LIT(text)

static struct action_record record_of(const char *action, const char *outcome) {
    return (struct action_record){
        .system = TEXT("recovery"),
        .actor = TEXT("n1:8080"),
        .action = slice_of(action),
        .target = TEXT("store"),
        .outcome = slice_of(outcome),
        .evidence = TEXT("{\"trigger\":\"slow\"}"),
        .before = TEXT("{\"slow_query_count\":12}"),
    };
}

static int64_t add(struct rig *rig, struct action_record record) {
    struct store_op op;
    store_op_init(&op, STORE_ADD_ACTION);
    op.action.values = record;
    assert_int_equal(store_run(rig->store, &op), ERR_OK);
    assert_int_equal(op.action.values.at_ms, rig->clock.now_wall_ms);
    int64_t id = op.action.values.id;
    store_op_fini(&op);
    return id;
}

static int64_t end(struct rig *rig, struct action_record record, const char *was) {
    struct store_op op;
    store_op_init(&op, STORE_END_ACTION);
    op.action.values = record;
    op.action.was = slice_of(was);
    assert_int_equal(store_run(rig->store, &op), ERR_OK);
    int64_t changed = op.action.changed;
    store_op_fini(&op);
    return changed;
}

static void list(struct rig *rig, struct store_op *op, int64_t after, size_t limit) {
    store_op_init(op, STORE_LIST_ACTIONS);
    op->actions.after = after;
    op->actions.limit = limit;
    assert_int_equal(store_run(rig->store, op), ERR_OK);
}

#define assert_text(slice, text) assert_true(slice_eq_text(slice, text))

static void what_was_written_is_read_newest_first_also_after_a_restart(void **state) {
    struct rig *rig = *state;
    int64_t ids[3];
    static const char *const actions[] = {"ONE", "TWO", "THREE"};
    for (int i = 0; i < 3; i++) {
        ids[i] = add(rig, record_of(actions[i], "done"));
        virtual_clock_advance(&rig->clock, 1000);
    }
    rig_reopen(rig);
    struct store_op op;
    list(rig, &op, 0, 2);
    assert_int_equal(op.actions.len, 2);
    assert_true(op.actions.more);
    const struct action_record *newest = &op.actions.items[0];
    assert_int_equal(newest->id, ids[2]);
    assert_int_equal(newest->at_ms, rig->clock.now_wall_ms - 1000);
    assert_text(newest->system, "recovery");
    assert_text(newest->actor, "n1:8080");
    assert_text(newest->action, "THREE");
    assert_text(newest->target, "store");
    assert_text(newest->outcome, "done");
    assert_non_null(strstr(newest->evidence.at, "slow"));
    assert_non_null(strstr(newest->before.at, "12"));
    assert_text(newest->after, "{}");
    assert_text(newest->detail, "");
    int64_t last = op.actions.items[1].id;
    store_op_fini(&op);
    list(rig, &op, last, 2);
    assert_int_equal(op.actions.len, 1);
    assert_false(op.actions.more);
    assert_int_equal(op.actions.items[0].id, ids[0]);
    store_op_fini(&op);
}

static void an_end_changes_its_own_row_alone(void **state) {
    struct rig *rig = *state;
    int64_t first = add(rig, record_of("ONE", "begun"));
    add(rig, record_of("TWO", "begun"));
    struct action_record ended = {.id = first,
                                  .outcome = TEXT("better"),
                                  .after = TEXT("{\"slow_query_count\":0}"),
                                  .detail = TEXT("it helped")};
    assert_int_equal(end(rig, ended, ""), 1);
    ended.id = first + 1000;
    assert_int_equal(end(rig, ended, ""), 0);
    struct store_op op;
    list(rig, &op, 0, 10);
    assert_text(op.actions.items[0].outcome, "begun");
    assert_text(op.actions.items[1].outcome, "better");
    assert_text(op.actions.items[1].detail, "it helped");
    assert_non_null(strstr(op.actions.items[1].after.at, "slow_query_count"));
    assert_non_null(strstr(op.actions.items[1].before.at, "12"));
    store_op_fini(&op);
}

static void what_waited_has_the_time_when_it_no_longer_did(void **state) {
    struct rig *rig = *state;
    static const char *const outcomes[] = {"waiting", "begun", "done", "better"};
    struct action_record record = record_of("ONE", "advised");
    record.id = add(rig, record);
    int64_t asked_ms = rig->clock.now_wall_ms;
    for (int i = 0; i < 4; i++) {
        virtual_clock_advance(&rig->clock, 1000);
        record.outcome = slice_of(outcomes[i]);
        assert_int_equal(end(rig, record, ""), 1);
        struct store_op op;
        list(rig, &op, 0, 1);
        assert_int_equal(op.actions.items[0].at_ms, asked_ms + (i == 0 ? 0 : 2000));
        store_op_fini(&op);
    }
}

static void what_never_ended_is_found_by_its_outcome(void **state) {
    struct rig *rig = *state;
    add(rig, record_of("ONE", "begun"));
    add(rig, record_of("TWO", "done"));
    struct action_record other = record_of("THREE", "begun");
    other.system = TEXT("database");
    add(rig, other);
    struct action_record ended = {.system = TEXT("recovery"),
                                  .actor = TEXT("n1:8080"),
                                  .outcome = TEXT("interrupted"),
                                  .detail = TEXT("the node stopped in the middle")};
    assert_int_equal(end(rig, ended, "begun"), 1);
    assert_int_equal(end(rig, ended, "begun"), 0);
    struct store_op op;
    list(rig, &op, 0, 10);
    assert_text(op.actions.items[0].outcome, "begun");
    assert_text(op.actions.items[1].outcome, "done");
    assert_text(op.actions.items[2].outcome, "interrupted");
    store_op_fini(&op);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        CASE(what_was_written_is_read_newest_first_also_after_a_restart),
        CASE(an_end_changes_its_own_row_alone),
        CASE(what_waited_has_the_time_when_it_no_longer_did),
        CASE(what_never_ended_is_found_by_its_outcome),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
