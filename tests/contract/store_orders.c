/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what people tell the controllers stands until it ends, for every node and over restarts;
 * what controllers tell people is kept with what became of it. */
#include "rig.h"

#include <stdio.h>

#define TEXT(text) SLICE_LIT(text)
#define assert_text(slice, text) assert_true(slice_eq_text(slice, text))

static enum err_e put(struct rig *rig, const char *name, const char *value, int64_t until_ms) {
    struct store_op op;
    store_op_init(&op, STORE_PUT_ORDER);
    op.order.values = (struct order_record){.name = slice_of(name),
                                            .value = slice_of(value),
                                            .author = TEXT("kim"),
                                            .until_ms = until_ms};
    enum err_e err = store_run(rig->store, &op);
    assert_true(err != ERR_OK || op.order.values.at_ms == rig->clock.now_wall_ms);
    store_op_fini(&op);
    return err;
}

static enum err_e end(struct rig *rig, const char *name) {
    struct store_op op;
    store_op_init(&op, STORE_END_ORDER);
    op.order.values.name = slice_of(name);
    enum err_e err = store_run(rig->store, &op);
    if (err == ERR_OK) {
        assert_int_equal(op.order.values.until_ms, rig->clock.now_wall_ms);
        assert_text(op.order.values.author, "kim");
    }
    store_op_fini(&op);
    return err;
}

static void list(struct rig *rig, struct store_op *op, int64_t since_ms) {
    store_op_init(op, STORE_LIST_ORDERS);
    op->orders.since_ms = since_ms;
    assert_int_equal(store_run(rig->store, op), ERR_OK);
}

static size_t count(struct rig *rig, int64_t since_ms) {
    struct store_op op;
    list(rig, &op, since_ms);
    size_t len = op.orders.len;
    store_op_fini(&op);
    return len;
}

static void an_order_stands_until_it_is_ended_also_over_a_restart(void **state) {
    struct rig *rig = *state;
    int64_t begun_ms = rig->clock.now_wall_ms;
    assert_int_equal(put(rig, "acting", "{\"why\":\"deploy\"}", TIME_NONE), ERR_OK);
    virtual_clock_advance(&rig->clock, 1000);
    rig_reopen(rig);
    struct store_op op;
    list(rig, &op, rig->clock.now_wall_ms);
    assert_int_equal(op.orders.len, 1);
    const struct order_record *order = &op.orders.items[0];
    assert_text(order->name, "acting");
    assert_non_null(strstr(order->value.at, "deploy"));
    assert_text(order->author, "kim");
    assert_int_equal(order->at_ms, begun_ms);
    assert_true(order->until_ms == TIME_NONE);
    store_op_fini(&op);
    assert_int_equal(end(rig, "acting"), ERR_OK);
    assert_int_equal(count(rig, rig->clock.now_wall_ms), 0);
    assert_int_equal(count(rig, begun_ms), 1); /* those that ended since are told, too */
}

static void an_order_ends_by_itself(void **state) {
    struct rig *rig = *state;
    int64_t until_ms = rig->clock.now_wall_ms + 5000;
    assert_int_equal(put(rig, "shedding", "{}", until_ms), ERR_OK);
    assert_int_equal(count(rig, until_ms - 1), 1);
    assert_int_equal(count(rig, until_ms), 0);
    virtual_clock_advance(&rig->clock, 5000);
    assert_int_equal(end(rig, "shedding"), ERR_NOT_FOUND);
}

static void what_does_not_stand_cannot_be_ended(void **state) {
    struct rig *rig = *state;
    assert_int_equal(end(rig, "silence/none"), ERR_NOT_FOUND);
    assert_int_equal(put(rig, "silence/a", "{}", TIME_NONE), ERR_OK);
    assert_int_equal(end(rig, "silence/a"), ERR_OK);
    assert_int_equal(end(rig, "silence/a"), ERR_NOT_FOUND);
    assert_int_equal(end(rig, "silence/A"), ERR_NOT_FOUND);
}

static void an_order_of_the_same_name_takes_the_place_of_the_first(void **state) {
    struct rig *rig = *state;
    assert_int_equal(put(rig, "shedding", "{\"n\":1}", rig->clock.now_wall_ms + 10), ERR_OK);
    assert_int_equal(put(rig, "shedding", "{\"n\":2}", rig->clock.now_wall_ms + 99), ERR_OK);
    struct store_op op;
    list(rig, &op, rig->clock.now_wall_ms);
    assert_int_equal(op.orders.len, 1);
    assert_non_null(strstr(op.orders.items[0].value.at, "2"));
    assert_int_equal(op.orders.items[0].until_ms, rig->clock.now_wall_ms + 99);
    store_op_fini(&op);
}

static void orders_are_bounded_and_forgotten_a_week_after_their_end(void **state) {
    struct rig *rig = *state;
    int64_t until_ms = rig->clock.now_wall_ms + 1000;
    for (int i = 0; i < STORE_ORDERS_MAX; i++) {
        char name[32];
        snprintf(name, sizeof name, "silence/%d", i);
        assert_int_equal(put(rig, name, "{}", until_ms), ERR_OK);
    }
    assert_int_equal(put(rig, "silence/more", "{}", until_ms), ERR_TOO_LARGE);
    assert_int_equal(put(rig, "silence/7", "{}", until_ms), ERR_OK); /* it has its place */
    virtual_clock_advance(&rig->clock, 1000);
    assert_int_equal(put(rig, "acting", "{}", TIME_NONE), ERR_OK); /* they ended by themselves */
    virtual_clock_advance(&rig->clock, STORE_ORDERS_KEPT_MS + 1);
    assert_int_equal(put(rig, "silence/new", "{}", TIME_NONE), ERR_OK);
    assert_int_equal(count(rig, 0), 2);
}

/* ---- notices ---- */

static int64_t add_notice(struct rig *rig, const char *key, const char *notice_state) {
    struct store_op op;
    store_op_init(&op, STORE_ADD_NOTICE);
    op.notice.values = (struct notice_record){.key = slice_of(key),
                                              .receiver = TEXT("team"),
                                              .actor = TEXT("n1:8080"),
                                              .state = slice_of(notice_state),
                                              .attempts = 1,
                                              .body = TEXT("{\"alerts\":[]}"),
                                              .detail = TEXT("")};
    assert_int_equal(store_run(rig->store, &op), ERR_OK);
    int64_t id = op.notice.values.id;
    assert_int_equal(op.notice.values.at_ms, rig->clock.now_wall_ms);
    store_op_fini(&op);
    return id;
}

static enum err_e end_notice(struct rig *rig, int64_t id, const char *notice_state) {
    struct store_op op;
    store_op_init(&op, STORE_END_NOTICE);
    op.notice.values = (struct notice_record){
        .id = id, .state = slice_of(notice_state), .attempts = 3, .detail = TEXT("it answered")};
    enum err_e err = store_run(rig->store, &op);
    store_op_fini(&op);
    return err;
}

static void list_notices(struct rig *rig, struct store_op *op, int64_t after,
                         const char *notice_state) {
    store_op_init(op, STORE_LIST_NOTICES);
    op->notices.after = after;
    op->notices.limit = 2;
    op->notices.state = slice_of(notice_state);
    assert_int_equal(store_run(rig->store, op), ERR_OK);
}

static void a_notice_is_kept_with_what_became_of_it(void **state) {
    struct rig *rig = *state;
    int64_t at_ms = rig->clock.now_wall_ms;
    int64_t id = add_notice(rig, "k1", "waiting");
    virtual_clock_advance(&rig->clock, 1500);
    assert_int_equal(end_notice(rig, id, "delivered"), ERR_OK);
    assert_int_equal(end_notice(rig, id + 100, "delivered"), ERR_NOT_FOUND);
    rig_reopen(rig);
    struct store_op op;
    list_notices(rig, &op, 0, "");
    assert_int_equal(op.notices.len, 1);
    const struct notice_record *notice = &op.notices.items[0];
    assert_text(notice->key, "k1");
    assert_text(notice->receiver, "team");
    assert_text(notice->actor, "n1:8080");
    assert_text(notice->state, "delivered");
    assert_text(notice->detail, "it answered");
    assert_non_null(strstr(notice->body.at, "alerts"));
    assert_int_equal(notice->attempts, 3);
    assert_int_equal(notice->at_ms, at_ms);
    assert_int_equal(notice->changed_ms, at_ms + 1500);
    store_op_fini(&op);
}

static void notices_come_in_pages_and_by_their_state(void **state) {
    struct rig *rig = *state;
    int64_t first = add_notice(rig, "k1", "waiting");
    add_notice(rig, "k2", "delivered");
    int64_t third = add_notice(rig, "k3", "waiting");
    struct store_op op;
    list_notices(rig, &op, 0, "");
    assert_int_equal(op.notices.len, 2);
    assert_true(op.notices.more);
    assert_text(op.notices.items[0].key, "k3");
    store_op_fini(&op);
    list_notices(rig, &op, 0, "waiting");
    assert_int_equal(op.notices.len, 2);
    assert_false(op.notices.more);
    assert_int_equal(op.notices.items[0].id, third);
    assert_int_equal(op.notices.items[1].id, first);
    store_op_fini(&op);
    list_notices(rig, &op, third, "waiting");
    assert_int_equal(op.notices.len, 1);
    store_op_fini(&op);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        CASE(an_order_stands_until_it_is_ended_also_over_a_restart),
        CASE(an_order_ends_by_itself),
        CASE(what_does_not_stand_cannot_be_ended),
        CASE(an_order_of_the_same_name_takes_the_place_of_the_first),
        CASE(orders_are_bounded_and_forgotten_a_week_after_their_end),
        CASE(a_notice_is_kept_with_what_became_of_it),
        CASE(notices_come_in_pages_and_by_their_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
