/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: of any number of controllers at most one leads, whatever is lost, late or frozen, and one
 * leads again soon once things go well. The lease is a double that keeps the rules of
 * store/lease.h; each controller has a clock of its own, which a freeze does not stop. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "act/elector.h"
#include "base/log.h"
#include "base/rng.h"

#include <stdio.h>
#include <unistd.h>

enum { CONTROLLERS = 4, TTL_MS = 3000, TRY_MS = 500 };

/* When a try of a controller goes wrong, where. */
enum fault_e { FINE, LOST_BEFORE, LOST_BEHIND, LATE };

static struct world {
    struct virtual_clock clock; /* everybody's: they begin at different times, and run alike */
    struct seeded_rng rng;
    int holder; /* of the lease; -1: nobody yet */
    int64_t term, until_us;
    struct elector *electors[CONTROLLERS];
    int numbers[CONTROLLERS];
    enum fault_e fault;
    int64_t late_ms;
    int gives;
} world;

static int64_t now_us(void) {
    return clock_mono_us(&world.clock.base);
}

static void take(int who) {
    bool is_free = world.holder < 0 || now_us() > world.until_us;
    if (world.holder != who && !is_free) {
        return;
    }
    world.term += world.holder != who || is_free;
    world.holder = who;
    world.until_us = now_us() + (int64_t)TTL_MS * 1000;
}

static enum err_e try(void *data, struct leadership *ret, struct problem *problem) {
    int who = *(const int *)data;
    (void)problem;
    if (world.fault == LOST_BEFORE) {
        return ERR_UNAVAILABLE;
    }
    if (world.fault == LATE) { /* on its way there */
        virtual_clock_advance(&world.clock, world.late_ms / 2);
    }
    take(who);
    if (world.fault == LOST_BEHIND) {
        return ERR_DEADLINE;
    }
    *ret = (struct leadership){.is_ours = world.holder == who, .term = world.term};
    snprintf(ret->holder, sizeof ret->holder, "c%d", world.holder);
    if (world.fault == LATE) { /* and back */
        virtual_clock_advance(&world.clock, world.late_ms / 2);
    }
    return ERR_OK;
}

static enum err_e give_back(void *data, struct problem *problem) {
    (void)problem;
    if (world.holder == *(const int *)data) {
        world.until_us = INT64_MIN;
    }
    world.gives++;
    return ERR_OK;
}

static void ignore_line(const char *line, size_t len, void *data) {
    (void)line;
    (void)len;
    (void)data;
}

static struct elector *create(int who, struct clock *clock) {
    struct elector *elector = elector_create(&(struct elector_options){
        .clock = clock,
        .ttl_ms = TTL_MS,
        .seams = {.try = try, .give_back = give_back, .data = &world.numbers[who]},
    });
    assert_non_null(elector);
    return elector;
}

static int make(void **state) {
    (void)state;
    world = (struct world){.holder = -1};
    log_set_sink(ignore_line, NULL);
    virtual_clock_init(&world.clock, 0);
    seeded_rng_init(&world.rng, 11);
    for (int i = 0; i < CONTROLLERS; i++) {
        world.numbers[i] = i;
        world.electors[i] = create(i, &world.clock.base);
    }
    return 0;
}

static int drop(void **state) {
    (void)state;
    for (int i = 0; i < CONTROLLERS; i++) {
        elector_destroy(world.electors[i]);
    }
    return 0;
}

static struct leadership see(int who) {
    struct leadership seen;
    elector_see(world.electors[who], &seen);
    return seen;
}

/* -1: nobody; fails when there are two. */
static int leader(void) {
    int found = -1;
    for (int i = 0; i < CONTROLLERS; i++) {
        if (see(i).is_ours) {
            assert_int_equal(found, -1);
            found = i;
        }
    }
    return found;
}

static void turn(int who, enum fault_e fault) {
    world.fault = fault;
    elector_turn(world.electors[who]);
    world.fault = FINE;
}

static void the_first_leads_and_the_others_know(void **state) {
    (void)state;
    assert_int_equal(leader(), -1);
    for (int i = 0; i < CONTROLLERS; i++) {
        turn(i, FINE);
    }
    assert_int_equal(leader(), 0);
    assert_int_equal(see(0).term, 1);
    assert_string_equal(see(3).holder, "c0");
    assert_int_equal(see(3).term, 1);
}

static void a_leader_that_renews_leads_on_in_its_term(void **state) {
    (void)state;
    turn(0, FINE);
    for (int i = 0; i < 100; i++) {
        turn(0, i % 3 == 2 ? FINE : LOST_BEFORE);
        turn(1, FINE);
        virtual_clock_advance(&world.clock, TRY_MS);
        assert_int_equal(leader(), 0);
        assert_int_equal(see(0).term, 1);
    }
}

static void a_leader_that_cannot_renew_stops_before_another_begins(void **state) {
    (void)state;
    turn(0, FINE);
    bool was_vacant = false;
    for (int i = 0; i < 20; i++) {
        virtual_clock_advance(&world.clock, TRY_MS);
        was_vacant = was_vacant || leader() == -1;
        turn(0, LOST_BEFORE);
        turn(1, FINE);
    }
    assert_true(was_vacant);
    assert_int_equal(leader(), 1);
    assert_int_equal(see(1).term, 2);
    turn(0, FINE);
    assert_string_equal(see(0).holder, "c1");
}

/* It was in the middle of its try when it froze: the lease was renewed when it asked. */
static void a_leader_that_was_frozen_finds_its_time_over(void **state) {
    (void)state;
    turn(0, FINE);
    virtual_clock_advance(&world.clock, TRY_MS);
    world.late_ms = 2 * TTL_MS;
    turn(0, LATE);
    assert_int_equal(leader(), -1);
    virtual_clock_advance(&world.clock, 1);
    turn(1, FINE);
    assert_int_equal(leader(), 1);
    turn(0, FINE);
    assert_int_equal(leader(), 1);
}

static void an_answer_that_is_late_counts_from_its_question(void **state) {
    (void)state;
    world.late_ms = TTL_MS - 200; /* within the margin of a tenth: no time is left */
    turn(0, LATE);
    assert_int_equal(leader(), -1);
    world.late_ms = TTL_MS / 2;
    turn(0, LATE);
    assert_int_equal(leader(), 0);
}

/* Everything may go wrong, for long; `leader` looks for two after each step. */
static void whatever_goes_wrong_there_are_never_two(void **state) {
    (void)state;
    for (int day = 0; day < 300; day++) {
        int64_t thawed_us[CONTROLLERS] = {0};
        for (int step = 0; step < 300; step++) {
            int who = (int)rng_below(&world.rng.base, CONTROLLERS);
            if (now_us() < thawed_us[who]) {
                continue;
            }
            if (rng_below(&world.rng.base, 20) == 0) {
                thawed_us[who] = now_us() + (int64_t)rng_below(&world.rng.base, 8000000);
                continue;
            }
            enum fault_e fault = (enum fault_e)rng_below(&world.rng.base, 8);
            world.late_ms = (int64_t)rng_below(&world.rng.base, 4000);
            turn(who, fault > LATE ? FINE : fault);
            (void)leader();
            virtual_clock_advance(&world.clock, (int64_t)rng_below(&world.rng.base, 300));
            (void)leader();
        }
        /* All is well again: somebody leads within the lease's life and one try. */
        int64_t well_us = now_us();
        while (leader() < 0 && now_us() - well_us < 60000000) {
            for (int i = 0; i < CONTROLLERS; i++) {
                turn(i, FINE);
            }
            virtual_clock_advance(&world.clock, TRY_MS);
        }
        assert_true(now_us() - well_us <= (int64_t)(TTL_MS + 2 * TRY_MS) * 1000);
    }
}

static void stopping_gives_the_lease_back(void **state) {
    (void)state;
    elector_destroy(world.electors[0]);
    world.electors[0] = create(0, clock_system());
    assert_int_equal(elector_start(world.electors[0]), ERR_OK);
    while (!see(0).is_ours) {
        usleep(1000);
    }
    elector_stop(world.electors[0]);
    assert_false(see(0).is_ours);
    assert_int_equal(world.gives, 1);
    turn(1, FINE);
    assert_int_equal(leader(), 1);
    elector_stop(world.electors[0]); /* again: nothing */
    elector_stop(NULL);
    assert_int_equal(world.gives, 1);
}

int main(void) {
#define EACH(test) cmocka_unit_test_setup_teardown(test, make, drop)
    const struct CMUnitTest tests[] = {
        EACH(the_first_leads_and_the_others_know),
        EACH(a_leader_that_renews_leads_on_in_its_term),
        EACH(a_leader_that_cannot_renew_stops_before_another_begins),
        EACH(a_leader_that_was_frozen_finds_its_time_over),
        EACH(an_answer_that_is_late_counts_from_its_question),
        EACH(whatever_goes_wrong_there_are_never_two),
        EACH(stopping_gives_the_lease_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
