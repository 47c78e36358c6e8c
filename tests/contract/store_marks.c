/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the change mark moves by the bits that are turned, whoever turns them. */
#include "rig.h"

#include "rig_postgres.h"

static void the_mark_moves_by_the_bits_and_back_by_the_same(void **state) {
    struct rig *rig = *state;
    const uint64_t a = 0x8000000000000001, b = 0xffff0000ffff0000;
    uint64_t first = rig_read_mark(rig->store);
    rig_turn_mark(rig->store, a);
    assert_true(rig_read_mark(rig->store) == (first ^ a));
    rig_turn_mark(rig->store, b);
    rig_reopen(rig);
    assert_true(rig_read_mark(rig->store) == (first ^ a ^ b));
    rig_turn_mark(rig->store, a);
    rig_turn_mark(rig->store, b);
    assert_true(rig_read_mark(rig->store) == first);
}

static void what_others_write_leaves_the_mark_alone(void **state) {
    struct rig *rig = *state;
    rig_turn_mark(rig->store, 77);
    uint64_t before = rig_read_mark(rig->store);
    rig_person(rig, "e", "t1", "Ann", "");
    rig_set_gate(rig, "e", "g1", GATE_CLOSED);
    rig_scan(rig, "e", ENTRY("t1", "g2"));
    assert_true(rig_read_mark(rig->store) == before);
}

enum { TURNERS = 4, TURNS = 25 };
struct turner {
    struct store *store;
    uint64_t bits;
    thrd_t thread;
};

static int turn_often(void *data) {
    struct turner *turner = data;
    for (int i = 0; i < TURNS; i++) { /* an odd number of times */
        rig_turn_mark(turner->store, turner->bits);
    }
    return 0;
}

static void turns_at_once_are_all_counted(void **state) {
    struct rig *rig = *state;
    struct turner turners[TURNERS];
    struct problem problem;
    uint64_t before = rig_read_mark(rig->store), expected = before;
    for (int i = 0; i < TURNERS; i++) {
        turners[i] = (struct turner){rig->store, 1ULL << (i * 13), 0};
        expected ^= turners[i].bits;
        if (i == 0 && rig_is_postgres()) { /* another node */
            assert_int_equal(rig_open(rig, clock_system(), rng_system(), &turners[i].store,
                                      &problem), ERR_OK);
        }
        assert_int_equal(thrd_create(&turners[i].thread, turn_often, &turners[i]), thrd_success);
    }
    for (int i = 0; i < TURNERS; i++) {
        thrd_join(turners[i].thread, NULL);
    }
    if (turners[0].store != rig->store) {
        store_close(turners[0].store);
    }
    assert_true(rig_read_mark(rig->store) == expected);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(the_mark_moves_by_the_bits_and_back_by_the_same),
        CASE(what_others_write_leaves_the_mark_alone),
        CASE(turns_at_once_are_all_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
