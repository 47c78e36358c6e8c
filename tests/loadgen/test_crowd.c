/* SPDX-License-Identifier: Apache-2.0 */
/* Who comes: nobody in two turns at once, nobody against what is known of them. */
#include "crowd.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { PEOPLE = 50, GATES = 5, TURNS = 20000 };

static struct stream mix_of(double entry, double exit, double duplicate, double wrong_gate) {
    struct stream stream = {.weight = entry + exit + duplicate + wrong_gate};
    stream.weights[KIND_ENTRY] = entry;
    stream.weights[KIND_EXIT] = exit;
    stream.weights[KIND_DUPLICATE] = duplicate;
    stream.weights[KIND_WRONG_GATE] = wrong_gate;
    return stream;
}

static struct load load_of(enum reentry_e reentry, double restricted) {
    return (struct load){.people = PEOPLE, .gates = GATES, .capacity = -1, .reentry = reentry,
                         .restricted = restricted};
}

enum place_e { OUTSIDE, UNDER_WAY, INSIDE };

static bool fits(const struct turn *turn, enum place_e place) {
    bool leaves = turn->kind == KIND_EXIT || turn->kind == KIND_DUPLICATE;
    return place == (leaves ? INSIDE : OUTSIDE);
}

/* Up to eight turns under way at once, settled in another order than they began. */
static void a_person_is_in_one_turn_at_a_time_and_where_it_wants_them(void **state) {
    (void)state;
    struct load load = load_of(REENTRY_AFTER_EXIT, 0.2);
    struct stream stream = mix_of(40, 40, 10, 10);
    struct crowd crowd;
    enum place_e places[PEOPLE] = {0};
    struct turn under_way[8];
    size_t len = 0, kinds[KIND_COUNT] = {0};
    assert_true(crowd_init(&crowd, &load, 5));
    for (int i = 0; i < TURNS; i++) {
        if (len == 8) {
            struct turn done = under_way[(size_t)i % 8];
            under_way[(size_t)i % 8] = under_way[--len];
            bool comes_in = done.kind == KIND_ENTRY || done.kind == KIND_DUPLICATE;
            crowd_settle(&crowd, &done, comes_in ? CROWD_INSIDE : CROWD_OUTSIDE);
            if (done.person != PERSON_NONE) {
                places[done.person] = comes_in ? INSIDE : OUTSIDE;
            }
        }
        struct turn turn = crowd_turn(&crowd, &stream);
        kinds[turn.kind]++;
        assert_true(turn.gate < GATES);
        if (turn.person != PERSON_NONE) {
            assert_true(fits(&turn, places[turn.person]));
            places[turn.person] = UNDER_WAY;
        }
        under_way[len++] = turn;
    }
    for (enum kind_e kind = KIND_ENTRY; kind <= KIND_DUPLICATE; kind++) {
        assert_true(kinds[kind] > TURNS / 20);
    }
    assert_true(kinds[KIND_WRONG_GATE] > 0);
    crowd_fini(&crowd);
}

static void who_may_use_one_gate_is_tried_at_another_and_comes_in_at_theirs(void **state) {
    (void)state;
    struct load load = load_of(REENTRY_AFTER_EXIT, 1);
    struct stream wrong = mix_of(0, 0, 0, 1), entries = mix_of(1, 0, 0, 0);
    struct crowd crowd;
    assert_true(crowd_init(&crowd, &load, 5));
    for (int i = 0; i < PEOPLE; i++) {
        struct turn turn = crowd_turn(&crowd, &wrong);
        assert_int_equal(turn.kind, KIND_WRONG_GATE);
        assert_true(turn.gate != turn.person % GATES);
        crowd_settle(&crowd, &turn, CROWD_OUTSIDE);
    }
    for (int i = 0; i < PEOPLE; i++) {
        struct turn turn = crowd_turn(&crowd, &entries);
        assert_int_equal(turn.kind, KIND_ENTRY);
        assert_int_equal(turn.gate, turn.person % GATES);
        crowd_settle(&crowd, &turn, CROWD_INSIDE);
    }
    assert_int_equal(crowd.substituted, 0);
    crowd_fini(&crowd);
}

static void what_nobody_is_there_for_is_played_otherwise_and_counted(void **state) {
    (void)state;
    struct load load = load_of(REENTRY_AFTER_EXIT, 0);
    struct stream exits = mix_of(0, 1, 0, 0), entries = mix_of(1, 0, 0, 0);
    struct crowd crowd;
    assert_true(crowd_init(&crowd, &load, 5));
    struct turn turn = crowd_turn(&crowd, &exits);
    assert_int_equal(turn.kind, KIND_UNKNOWN_TOKEN);
    assert_int_equal(turn.person, PERSON_NONE);
    for (int i = 0; i < PEOPLE; i++) {
        turn = crowd_turn(&crowd, &entries);
        crowd_settle(&crowd, &turn, CROWD_INSIDE);
    }
    turn = crowd_turn(&crowd, &entries);
    assert_int_equal(turn.kind, KIND_DUPLICATE);
    assert_int_equal(crowd.substituted, 2);
    crowd_fini(&crowd);
}

static void who_left_for_good_does_not_come_again(void **state) {
    (void)state;
    struct load load = load_of(REENTRY_NONE, 0);
    struct stream both = mix_of(1, 1, 0, 0);
    struct crowd crowd;
    bool has_left[PEOPLE] = {false};
    assert_true(crowd_init(&crowd, &load, 5));
    for (int i = 0; i < 4 * PEOPLE; i++) {
        struct turn turn = crowd_turn(&crowd, &both);
        if (turn.person == PERSON_NONE) {
            continue;
        }
        assert_false(has_left[turn.person]);
        has_left[turn.person] = turn.kind == KIND_EXIT;
        crowd_settle(&crowd, &turn,
                     turn.kind == KIND_EXIT ? CROWD_OUTSIDE : CROWD_INSIDE);
    }
    crowd_fini(&crowd);
}

static void under_always_everybody_comes_in_again(void **state) {
    (void)state;
    struct load load = load_of(REENTRY_ALWAYS, 0);
    struct stream entries = mix_of(1, 0, 0, 0);
    struct crowd crowd;
    assert_true(crowd_init(&crowd, &load, 5));
    for (int i = 0; i < 3 * PEOPLE; i++) {
        struct turn turn = crowd_turn(&crowd, &entries);
        assert_int_equal(turn.kind, KIND_ENTRY);
        crowd_settle(&crowd, &turn, CROWD_INSIDE);
    }
    assert_int_equal(crowd.substituted, 0);
    crowd_fini(&crowd);
}

static void scans_of_one_person_are_stamped_one_after_another(void **state) {
    (void)state;
    struct load load = load_of(REENTRY_AFTER_EXIT, 0);
    struct crowd crowd;
    assert_true(crowd_init(&crowd, &load, 5));
    assert_int_equal(crowd_stamp(&crowd, 3, 1000), 1000);
    assert_int_equal(crowd_stamp(&crowd, 3, 1000), 1001);
    assert_int_equal(crowd_stamp(&crowd, 3, 500), 1002);
    assert_int_equal(crowd_stamp(&crowd, 4, 500), 500);
    assert_int_equal(crowd_stamp(&crowd, 3, 2000), 2000);
    assert_int_equal(crowd_stamp(&crowd, PERSON_NONE, 7), 7);
    crowd_fini(&crowd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_person_is_in_one_turn_at_a_time_and_where_it_wants_them),
        cmocka_unit_test(who_may_use_one_gate_is_tried_at_another_and_comes_in_at_theirs),
        cmocka_unit_test(what_nobody_is_there_for_is_played_otherwise_and_counted),
        cmocka_unit_test(who_left_for_good_does_not_come_again),
        cmocka_unit_test(under_always_everybody_comes_in_again),
        cmocka_unit_test(scans_of_one_person_are_stamped_one_after_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
