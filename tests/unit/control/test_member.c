/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a node is healthy only while it answers well, is gone only when it left or is silent and
 * unregistered, and no sequence of answers leads anywhere that is not drawn. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/rng.h"
#include "control/member.h"

#include <stdio.h>

static const struct member_policy policy = {.miss_after = 2, .slow_after = 3, .recover_after = 3};

/*
 * A story: g good, s slow, m missed, n not ready, d drains, l lies; V D E L: its registration is
 * valid, drains, has ended, was taken away. Behind each may stand the state that it is in then:
 * ! suspect, + healthy, ~ draining, . gone.
 */
static enum member_state_e state_of(char mark) {
    return mark == '!' ? MEMBER_SUSPECT : mark == '+' ? MEMBER_HEALTHY
           : mark == '~' ? MEMBER_DRAINING : MEMBER_GONE;
}

static void tell(const char *story) {
    static const char answers[] = "gsmndl", listings[] = "VDEL";
    struct member member;
    member_init(&member, 0);
    for (int i = 0; story[i] != '\0'; i++) {
        const char *answer = strchr(answers, story[i]);
        const char *listing = strchr(listings, story[i]);
        if (answer != NULL) {
            member_hear(&member, (enum member_answer_e)(answer - answers), "", &policy, i);
        } else if (listing != NULL) {
            member_list(&member, (enum member_listing_e)(listing - listings), i);
        } else if (member.state != (int)state_of(story[i])) {
            fail_msg("%.*s is %s: %s", i, story,
                     member_state_text((enum member_state_e)member.state), member.why);
        }
    }
}

static void a_newcomer_is_healthy_with_its_first_good_answer(void **state) {
    (void)state;
    tell("!g+");
    tell("!m!m!n!s!g+");
    tell("!l!g+");
}

static void misses_and_slow_answers_count_in_a_row(void **state) {
    (void)state;
    tell("g+m+m!");
    tell("g+m+g+m+g+");
    tell("g+s+s+s!");
    tell("g+s+m+s+g+");
}

static void what_it_says_or_forges_counts_at_once(void **state) {
    (void)state;
    tell("g+n!");
    tell("g+l!");
    tell("g+d~");
}

static void it_recovers_with_good_answers_in_a_row(void **state) {
    (void)state;
    tell("gmm!g!g!g+");
    tell("gmm!g!g!m!g!g!g+");
    tell("gl!g!s!g!g!g+");
    tell("gn!l!g!g!g+");
}

static void every_other_answer_missed_is_too_many(void **state) {
    (void)state;
    tell("gmgmgmgm+gm!");
    tell("gmgsgmgs+gm!");
    tell("gmgmgmgmgggggggggggm+gm+"); /* what is long ago is forgotten */
    tell("gmgmgmgmgm!ggg+m+g+");      /* and what it has paid for */
}

static void a_node_that_drains_owes_no_answer(void **state) {
    (void)state;
    tell("gd~m~m~m~s~n~d~");
    tell("gD~m~m~m~L.");
    tell("gD~m~E.");
    tell("D~V~");
}

static void a_drain_that_was_taken_back_is_recovered_from(void **state) {
    (void)state;
    tell("gd~g!g!g+");
    tell("gd~l!g!g!g+");
}

static void who_leaves_is_gone_whatever_it_answers(void **state) {
    (void)state;
    tell("gL.g.m.d.l.");
    tell("mL.");
    tell("dL.");
    tell("gL.E.L.V!g+");
    tell("gL.D!D~");
}

static void a_crash_is_told_from_a_slow_database(void **state) {
    (void)state;
    tell("gE+g+E+");         /* it answers: it is the database that did not take the renewal */
    tell("gmE+m!E.");        /* one miss is no silence */
    tell("gnE!n!E!");        /* it speaks, though it is not ready */
    tell("gmm!E.V!g+");      /* the first answer of a newcomer */
    tell("!E!m!E.");
}

static void the_reason_is_told(void **state) {
    (void)state;
    struct member member;
    member_init(&member, 0);
    assert_string_equal(member.why, "it has not answered yet");
    member_hear(&member, ANSWER_GOOD, "", &policy, 1);
    assert_string_equal(member.why, "it answers in time");
    member_hear(&member, ANSWER_NOT_READY, "no writes", &policy, 2);
    assert_string_equal(member.why, "not ready: no writes");
    member_hear(&member, ANSWER_GOOD, "", &policy, 3);
    assert_string_equal(member.why, "it answers again, 1 of 3 times");
    assert_int_equal(member.since_ms, 2);
    member_list(&member, LISTING_NONE, 4);
    member_hear(&member, ANSWER_LIES, "x", &policy, 5);
    assert_string_equal(member.why, "it left");
    assert_int_equal(member.since_ms, 4);
}

/* fsm_move ends the process on a move that is not drawn. */
static void no_history_leads_off_the_drawing(void **state) {
    (void)state;
    struct seeded_rng rng;
    seeded_rng_init(&rng, 5);
    for (int story = 0; story < 2000; story++) {
        struct member member;
        member_init(&member, 0);
        for (int i = 0; i < 100; i++) {
            int before = member.state;
            bool has_changed =
                rng_below(&rng.base, 3) == 0
                    ? member_list(&member, (enum member_listing_e)rng_below(&rng.base, 4), i)
                    : member_hear(&member,
                                  (enum member_answer_e)rng_below(&rng.base, MEMBER_ANSWER_COUNT),
                                  "", &policy, i);
            assert_int_equal(has_changed, member.state != before);
            assert_true(has_changed == (member.since_ms == i) || i == 0);
            assert_true(member.why[0] != '\0');
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_newcomer_is_healthy_with_its_first_good_answer),
        cmocka_unit_test(misses_and_slow_answers_count_in_a_row),
        cmocka_unit_test(what_it_says_or_forges_counts_at_once),
        cmocka_unit_test(it_recovers_with_good_answers_in_a_row),
        cmocka_unit_test(every_other_answer_missed_is_too_many),
        cmocka_unit_test(a_node_that_drains_owes_no_answer),
        cmocka_unit_test(a_drain_that_was_taken_back_is_recovered_from),
        cmocka_unit_test(who_leaves_is_gone_whatever_it_answers),
        cmocka_unit_test(a_crash_is_told_from_a_slow_database),
        cmocka_unit_test(the_reason_is_told),
        cmocka_unit_test(no_history_leads_off_the_drawing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
