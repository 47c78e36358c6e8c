/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The caching store over SQLite, on a loop and a virtual clock: what is read again costs the store
 * nothing, and what a write changed is never answered from before it.
 */
#include "rig.h"
#include "rig_cached.h"

#include <stdlib.h>

enum { SECOND_MS = 1000 };

static int setup(void **state) {
    assert_int_equal(setenv("TURNOUT_CONTRACT_CACHED", "1", 1), 0);
    return rig_setup(state);
}

/* The store alone: the test puts the cache in front. */
static int setup_plain(void **state) {
    assert_int_equal(setenv("TURNOUT_CONTRACT_CACHED", "0", 1), 0);
    return rig_setup(state);
}

static uint64_t hits(struct rig *rig) {
    return rig_cached_hits(rig->store);
}

static enum err_e run(struct rig *rig, struct store_op *op) {
    op->event = op->event.len == 0 ? SLICE_LIT("e") : op->event;
    return store_run(rig->store, op);
}

/* How many people have this token; `expected` is the first one's name. */
static size_t find_by_token(struct rig *rig, const char *token, const char *expected) {
    struct store_op op;
    store_op_init(&op, STORE_LIST_PARTICIPANTS);
    op.participants.token = slice_of(token);
    op.participants.limit = 100;
    assert_int_equal(run(rig, &op), ERR_OK);
    size_t len = op.participants.len;
    if (len > 0) {
        assert_true(slice_eq_text(op.participants.items[0].name, expected));
    }
    store_op_fini(&op);
    return len;
}

static size_t count_gates(struct rig *rig, size_t limit, bool *ret_more) {
    struct store_op op;
    store_op_init(&op, STORE_LIST_GATES);
    op.gates.limit = limit;
    assert_int_equal(run(rig, &op), ERR_OK);
    size_t len = op.gates.len;
    *ret_more = op.gates.more;
    store_op_fini(&op);
    return len;
}

static enum err_e load_gate(struct rig *rig, const char *code, enum gate_status_e *ret_status) {
    struct store_op op;
    store_op_init(&op, STORE_LOAD_GATE);
    op.gate_write.values.code = slice_of(code);
    enum err_e err = run(rig, &op);
    *ret_status = op.gate_write.values.status;
    store_op_fini(&op);
    return err;
}

static enum err_e load_event(struct rig *rig, const char *code, int64_t *ret_capacity) {
    struct store_op op;
    store_op_init(&op, STORE_LOAD_EVENT);
    op.event = slice_of(code);
    enum err_e err = run(rig, &op);
    *ret_capacity = op.event_write.values.capacity;
    store_op_fini(&op);
    return err;
}

static void what_is_read_again_is_a_hit(void **state) {
    struct rig *rig = *state;
    int64_t id = rig_person(rig, "e", "t1", "Ann", "");
    struct participant person;
    enum gate_status_e status;
    int64_t capacity;
    bool more;
    for (int turn = 0; turn < 2; turn++) {
        uint64_t before = hits(rig);
        assert_int_equal(load_event(rig, "e", &capacity), ERR_OK);
        assert_int_equal(load_gate(rig, "g1", &status), ERR_OK);
        assert_int_equal(count_gates(rig, 100, &more), 2);
        assert_int_equal(rig_load(rig, "e", id, &person), ERR_OK);
        assert_int_equal(find_by_token(rig, "t1", "Ann"), 1);
        assert_int_equal(rig_stats(rig, "e").participants, 1);
        assert_string_equal(rig_search(rig, "e", "ann"), "1");
        assert_int_equal(hits(rig) - before, turn == 0 ? 0 : 7);
    }
}

static void a_page_of_gates_serves_shorter_ones_and_no_longer_one(void **state) {
    struct rig *rig = *state;
    bool more;
    assert_int_equal(count_gates(rig, 1, &more), 1);
    assert_true(more);
    uint64_t before = hits(rig);
    assert_int_equal(count_gates(rig, 2, &more), 2); /* more than is known: read anew */
    assert_false(more);
    assert_int_equal(hits(rig), before);
    assert_int_equal(count_gates(rig, 1, &more), 1);
    assert_true(more);
    assert_int_equal(count_gates(rig, 50, &more), 2);
    assert_false(more);
    assert_int_equal(hits(rig), before + 2);
}

static void a_changed_gate_is_seen_at_once(void **state) {
    struct rig *rig = *state;
    enum gate_status_e status;
    bool more;
    assert_int_equal(load_gate(rig, "g1", &status), ERR_OK);
    assert_int_equal(count_gates(rig, 100, &more), 2);
    rig_set_gate(rig, "e", "g1", GATE_CLOSED);
    assert_int_equal(load_gate(rig, "g1", &status), ERR_OK);
    assert_int_equal(status, GATE_CLOSED);
    rig_gate(rig, "e", "g3");
    assert_int_equal(count_gates(rig, 100, &more), 3);
    assert_int_equal(rig_stats(rig, "e").gates_len, 3);
}

static void a_changed_event_is_seen_at_once(void **state) {
    struct rig *rig = *state;
    int64_t capacity;
    assert_int_equal(load_event(rig, "e", &capacity), ERR_OK);
    assert_int_equal(capacity, CAPACITY_NONE);
    rig_set_event(rig, "e", REENTRY_NONE, 7);
    assert_int_equal(load_event(rig, "e", &capacity), ERR_OK);
    assert_int_equal(capacity, 7);
}

static void what_was_unknown_is_known_once_it_is_made(void **state) {
    struct rig *rig = *state;
    enum gate_status_e status;
    int64_t capacity;
    for (int i = 0; i < 2; i++) { /* the second answer is the cache's */
        assert_int_equal(load_gate(rig, "g9", &status), ERR_UNKNOWN_GATE);
        assert_int_equal(load_event(rig, "f", &capacity), ERR_UNKNOWN_EVENT);
    }
    assert_int_equal(find_by_token(rig, "t9", ""), 0);
    rig_gate(rig, "e", "g9");
    rig_event(rig, "f", REENTRY_ALWAYS, 3);
    rig_person(rig, "e", "t9", "Zoe", "");
    assert_int_equal(load_gate(rig, "g9", &status), ERR_OK);
    assert_int_equal(load_event(rig, "f", &capacity), ERR_OK);
    assert_int_equal(find_by_token(rig, "t9", "Zoe"), 1);
}

static void an_update_drops_the_old_token_and_the_new_one(void **state) {
    struct rig *rig = *state;
    int64_t id = rig_person(rig, "e", "old", "Ann", "");
    struct participant person;
    assert_int_equal(find_by_token(rig, "old", "Ann"), 1);
    assert_int_equal(find_by_token(rig, "new", ""), 0);
    assert_int_equal(rig_load(rig, "e", id, &person), ERR_OK);
    const struct participant patch = {.token = SLICE_LIT("new"), .name = SLICE_LIT("Anna")};
    assert_int_equal(rig_patch(rig, "e", id, PARTICIPANT_TOKEN | PARTICIPANT_NAME, &patch), ERR_OK);
    assert_int_equal(find_by_token(rig, "old", ""), 0);
    assert_int_equal(find_by_token(rig, "new", "Anna"), 1);
    assert_int_equal(rig_load(rig, "e", id, &person), ERR_OK);
    assert_true(slice_eq_text(person.name, "Anna"));
}

static void somebody_erased_is_answered_by_no_key(void **state) {
    struct rig *rig = *state;
    int64_t id = rig_person(rig, "e", "t1", "Ann Lee", "ann@example.com");
    struct participant person;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(find_by_token(rig, "t1", "Ann Lee"), 1);
        assert_int_equal(rig_load(rig, "e", id, &person), ERR_OK);
        assert_string_equal(rig_search(rig, "e", "ann"), "1");
        assert_int_equal(rig_stats(rig, "e").participants, 1);
    }
    assert_int_equal(rig_erase(rig, "e", id), ERR_OK);
    assert_int_equal(find_by_token(rig, "t1", ""), 0);
    assert_int_equal(rig_load(rig, "e", id, &person), ERR_UNKNOWN_PARTICIPANT);
    assert_string_equal(rig_search(rig, "e", "ann"), "");
    assert_int_equal(rig_stats(rig, "e").participants, 0);
}

static void an_import_drops_everybody_it_met(void **state) {
    struct rig *rig = *state;
    int64_t id = rig_person(rig, "e", "t1", "Ann", "");
    struct participant person;
    assert_int_equal(rig_load(rig, "e", id, &person), ERR_OK);
    assert_int_equal(find_by_token(rig, "t1", "Ann"), 1);
    assert_int_equal(find_by_token(rig, "t2", ""), 0);
    struct import_row rows[2] = {
        {.values = {.token = SLICE_LIT("t1"), .name = SLICE_LIT("Anna")},
         .fields = PARTICIPANT_NAME},
        {.values = {.token = SLICE_LIT("t2"), .name = SLICE_LIT("Bob")},
         .fields = PARTICIPANT_NAME},
    };
    struct store_op op;
    store_op_init(&op, STORE_IMPORT_PARTICIPANTS);
    op.import.rows = rows;
    op.import.len = 2;
    assert_int_equal(run(rig, &op), ERR_OK);
    store_op_fini(&op);
    assert_int_equal(rig_load(rig, "e", id, &person), ERR_OK);
    assert_true(slice_eq_text(person.name, "Anna"));
    assert_int_equal(find_by_token(rig, "t1", "Anna"), 1);
    assert_int_equal(find_by_token(rig, "t2", "Bob"), 1);
}

static void figures_follow_each_scan_while_there_are_few(void **state) {
    struct rig *rig = *state;
    rig_person(rig, "e", "t1", "Ann", "");
    for (int i = 0; i < 20; i++) {
        rig_scan(rig, "e", ENTRY("t1", "g1"));
        struct event_stats stats = rig_stats(rig, "e");
        assert_int_equal(stats.scans, i + 1);
        assert_int_equal(rig_stats(rig, "e").scans, i + 1);
    }
    assert_true(hits(rig) >= 20);
}

/* The marks rest in a rush; the short life of figures bounds their age. */
static void figures_lag_in_a_rush_and_catch_up_within_a_second(void **state) {
    struct rig *rig = *state;
    enum { RUSH = 600 }; /* beyond what is seen at once; the clock stands still meanwhile */
    rig_person(rig, "e", "t1", "Ann", "");
    int64_t lagging = 0;
    for (int i = 0; i < RUSH; i++) {
        rig_scan(rig, "e", ENTRY("t1", "g1"));
        lagging += rig_stats(rig, "e").scans != i + 1;
    }
    assert_true(lagging > 0);
    virtual_clock_advance(&rig->clock, SECOND_MS);
    assert_int_equal(rig_stats(rig, "e").scans, RUSH);
}

static void a_scan_at_an_unknown_gate_is_refused_without_the_store(void **state) {
    struct rig *rig = *state;
    enum gate_status_e status;
    size_t len;
    rig_person(rig, "e", "t1", "Ann", "");
    assert_int_equal(load_gate(rig, "g9", &status), ERR_UNKNOWN_GATE);
    struct scan_result result = rig_scan(rig, "e", ENTRY("t1", "g9"));
    assert_int_equal(result.err, ERR_UNKNOWN_GATE);
    assert_string_equal(result.problem.field, "gate");
    rig_gate(rig, "e", "g9"); /* and from then on it is a gate */
    assert_int_equal(rig_scan(rig, "e", ENTRY("t1", "g9")).verdict, VERDICT_ADMITTED);
    rig_history(rig, "e", &NO_FILTER, 10, &len);
    assert_int_equal(len, 1);
}

static void what_owes_a_record_is_never_refused_by_the_cache(void **state) {
    struct rig *rig = *state;
    size_t len;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(find_by_token(rig, "nobody", ""), 0); /* the cache knows it well */
        assert_int_equal(rig_scan(rig, "e", ENTRY("nobody", "g1")).reason, REASON_UNKNOWN_TOKEN);
    }
    rig_history(rig, "e", &NO_FILTER, 10, &len);
    assert_int_equal(len, 3);
}

static void figures_grow_old_without_a_write(void **state) {
    struct rig *rig = *state;
    rig_person(rig, "e", "t1", "Ann", "");
    rig_scan(rig, "e", ENTRY("t1", "g1"));
    assert_int_equal(rig_stats(rig, "e").gates[0].last_minute, 1);
    virtual_clock_advance(&rig->clock, 61 * SECOND_MS);
    assert_int_equal(rig_stats(rig, "e").gates[0].last_minute, 0);
}

/* Reads the gate through `store`; *ret_stale_s as the operation has it. */
static enum err_e read_gate_through(struct store *store, int64_t *ret_stale_s) {
    struct store_op op;
    store_op_init(&op, STORE_LOAD_GATE);
    op.event = SLICE_LIT("e");
    op.gate_write.values.code = SLICE_LIT("g1");
    enum err_e err = store_run(store, &op);
    *ret_stale_s = op.stale_s;
    store_op_fini(&op);
    return err;
}

static void when_the_store_fails_an_expired_answer_says_its_age(void **state) {
    struct rig *rig = *state;
    struct store *fault = fault_create(rig->store);
    struct store *front = rig_cached_open(fault, &rig->clock.base);
    const struct fault_plan failing = {.fail_nth = 1, .err = ERR_UNAVAILABLE};
    int64_t stale_s;
    assert_int_equal(read_gate_through(front, &stale_s), ERR_OK);
    assert_int_equal(stale_s, 0);
    virtual_clock_advance(&rig->clock, 301 * SECOND_MS); /* beyond its life */
    fault_set_plan(fault, &failing);
    assert_int_equal(read_gate_through(front, &stale_s), ERR_OK);
    assert_true(stale_s >= 300 && stale_s <= 303);
    assert_int_equal(read_gate_through(front, &stale_s), ERR_OK); /* the store is back */
    assert_int_equal(stale_s, 0);
    virtual_clock_advance(&rig->clock, 3600 * SECOND_MS); /* too old to be answered at all */
    fault_set_plan(fault, &failing);
    assert_int_equal(read_gate_through(front, &stale_s), ERR_UNAVAILABLE);
    store_close(front); /* and the faulty double with it */
}

/* A store that keeps what it is asked until it is told to answer. */
struct keeping {
    struct store base;
    mtx_t lock;
    cnd_t moved;
    struct store_op *kept[4];
    size_t len;
};

static void keep(struct store *store, struct store_op *op) {
    struct keeping *keeping = (struct keeping *)store;
    mtx_lock(&keeping->lock);
    assert_in_range(keeping->len, 0, 3);
    keeping->kept[keeping->len++] = op;
    cnd_signal(&keeping->moved);
    mtx_unlock(&keeping->lock);
}

static void close_keeping(struct store *store) {
    struct keeping *keeping = (struct keeping *)store;
    cnd_destroy(&keeping->moved);
    mtx_destroy(&keeping->lock);
}

static void wait_until_kept(struct keeping *keeping, size_t len) {
    mtx_lock(&keeping->lock);
    while (keeping->len < len) {
        cnd_wait(&keeping->moved, &keeping->lock);
    }
    mtx_unlock(&keeping->lock);
}

/* One operation on its way; its `done` is told to whoever waits in wait_until_answered. */
struct sent {
    struct store_op op;
    struct keeping *keeping; /* lends its lock */
    bool is_answered;
};

static void on_answered(struct store_op *op) {
    struct sent *sent = op->owner;
    mtx_lock(&sent->keeping->lock);
    sent->is_answered = true;
    cnd_signal(&sent->keeping->moved);
    mtx_unlock(&sent->keeping->lock);
}

static void send(struct sent *sent, struct keeping *keeping, struct store *front,
                 enum store_op_e kind) {
    store_op_init(&sent->op, kind);
    sent->op.event = SLICE_LIT("e");
    sent->op.gate_write.values.code = SLICE_LIT("g1");
    sent->op.done = on_answered;
    sent->op.owner = sent;
    sent->keeping = keeping;
    sent->is_answered = false;
    store_submit(front, &sent->op);
}

static void wait_until_answered(struct sent *sent) {
    mtx_lock(&sent->keeping->lock);
    while (!sent->is_answered) {
        cnd_wait(&sent->keeping->moved, &sent->keeping->lock);
    }
    mtx_unlock(&sent->keeping->lock);
    assert_int_equal(sent->op.err, ERR_OK);
}

/* Who asks the store has waited for the store, who joins that question for the cache; and a hit in
 * L1 for nobody. */
static void what_is_waited_for_in_the_cache_is_told_apart(void **state) {
    enum { WAIT_MS = 700 };
    static const struct store_vtable vtable = {"keeping", keep, NULL, close_keeping};
    struct rig *rig = *state;
    struct keeping keeping = {.base.vtable = &vtable};
    assert_int_equal(mtx_init(&keeping.lock, mtx_plain), thrd_success);
    assert_int_equal(cnd_init(&keeping.moved), thrd_success);
    struct store *front = rig_cached_open(&keeping.base, &rig->clock.base);
    struct sent first, joined, behind, again;
    send(&first, &keeping, front, STORE_LOAD_GATE);
    send(&joined, &keeping, front, STORE_LOAD_GATE);
    send(&behind, &keeping, front, STORE_PROBE); /* no cache has it: once it is kept, both wait */
    wait_until_kept(&keeping, 2);
    assert_ptr_equal(keeping.kept[0], &first.op);
    assert_ptr_equal(keeping.kept[1], &behind.op);
    virtual_clock_advance(&rig->clock, WAIT_MS);
    keeping.kept[0]->done(keeping.kept[0]);
    keeping.kept[1]->done(keeping.kept[1]);
    wait_until_answered(&first);
    wait_until_answered(&joined);
    wait_until_answered(&behind);
    send(&again, &keeping, front, STORE_LOAD_GATE);
    wait_until_answered(&again);
    assert_int_equal(first.op.cache_us, 0);
    assert_false(first.op.is_cached);
    assert_int_equal(joined.op.cache_us, WAIT_MS * 1000);
    assert_true(joined.op.is_cached);
    assert_int_equal(again.op.cache_us, 0);
    assert_true(again.op.is_cached);
    assert_int_equal(behind.op.cache_us, 0);
    struct store_op *all[] = {&first.op, &joined.op, &behind.op, &again.op};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        store_op_fini(all[i]);
    }
    store_close(front); /* and the keeping one with it */
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, setup, rig_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        RIG_TEST(what_is_read_again_is_a_hit),
        RIG_TEST(a_page_of_gates_serves_shorter_ones_and_no_longer_one),
        RIG_TEST(a_changed_gate_is_seen_at_once),
        RIG_TEST(a_changed_event_is_seen_at_once),
        RIG_TEST(what_was_unknown_is_known_once_it_is_made),
        RIG_TEST(an_update_drops_the_old_token_and_the_new_one),
        RIG_TEST(somebody_erased_is_answered_by_no_key),
        RIG_TEST(an_import_drops_everybody_it_met),
        RIG_TEST(figures_follow_each_scan_while_there_are_few),
        RIG_TEST(figures_lag_in_a_rush_and_catch_up_within_a_second),
        RIG_TEST(a_scan_at_an_unknown_gate_is_refused_without_the_store),
        RIG_TEST(what_owes_a_record_is_never_refused_by_the_cache),
        RIG_TEST(figures_grow_old_without_a_write),
        cmocka_unit_test_setup_teardown(when_the_store_fails_an_expired_answer_says_its_age,
                                        setup_plain, rig_teardown),
        cmocka_unit_test_setup_teardown(what_is_waited_for_in_the_cache_is_told_apart,
                                        setup_plain, rig_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
