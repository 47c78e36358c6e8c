/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a node answers only who has the secret, each ask once; and an answer is believed only by
 * who asked for it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "act/inquiry.h"

#include <stdio.h>
#include <stdlib.h>

static struct virtual_clock clock_of_node, clock_of_asker;
static struct seeded_rng rng;
static struct asker asker;
static struct desk *desk;
static struct buf body;
static char seal[SEAL_SIZE];
static const struct desk_state ready = {.is_ready = true, .reason = ""};

static const struct slice secret = {"0123456789abcdef", 16};

static int make(void **state) {
    (void)state;
    virtual_clock_init(&clock_of_node, 1790000000000);
    virtual_clock_init(&clock_of_asker, 1790000000000);
    seeded_rng_init(&rng, 1);
    asker_init(&asker, secret, &clock_of_asker.base, &rng.base);
    desk = desk_create(&(struct desk_options){.secret = secret,
                                              .clock = &clock_of_node.base,
                                              .id = "n1",
                                              .incarnation = "i1",
                                              .version = "1"});
    assert_non_null(desk);
    buf_init(&body, STATUS_BYTES_MAX);
    return 0;
}

static int drop(void **state) {
    (void)state;
    buf_fini(&body);
    desk_destroy(desk);
    return 0;
}

static enum err_e show(const char *ask) {
    buf_clear(&body);
    return desk_answer(desk, slice_of(ask), &ready, &body, seal);
}

static const char *ask_node(const char *node) {
    static char ask[INQUIRY_ASK_SIZE];
    assert_true(asker_ask(&asker, slice_of(node), ask));
    return ask;
}

static void the_seal_is_hmac_sha256(void **state) {
    (void)state;
    /* RFC 4231, test case 2 */
    const struct slice part = SLICE_LIT("what do ya want for nothing?");
    char made[SEAL_SIZE];
    assert_true(seal_make(SLICE_LIT("Jefe"), &part, 1, made));
    assert_string_equal(made, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    assert_true(seal_fits(SLICE_LIT("Jefe"), &part, 1, slice_of(made)));
    made[63] ^= 1;
    assert_false(seal_fits(SLICE_LIT("Jefe"), &part, 1, slice_of(made)));
    assert_false(seal_fits(SLICE_LIT("Jefe"), &part, 1, slice_from(made, 63)));
    assert_false(seal_fits(SLICE_LIT("Jefe"), &part, 1, SLICE_NONE));
}

static void an_ask_is_answered_and_the_answer_believed(void **state) {
    (void)state;
    struct status_figures figures;
    status_figures_init(&figures);
    figures.cpu = 42;
    desk_put(desk, &figures);
    virtual_clock_advance(&clock_of_node, 300);
    const char *ask = ask_node("n1");
    assert_int_equal(show(ask), ERR_OK);
    assert_true(asker_believes(&asker, ask, buf_slice(&body), slice_of(seal)));
    struct arena arena;
    struct node_status status;
    struct problem problem;
    arena_init(&arena, 1 << 16);
    assert_int_equal(status_read(&arena, buf_slice(&body), &status, &problem), ERR_OK);
    assert_true(slice_eq_text(status.id, "n1") && slice_eq_text(status.incarnation, "i1"));
    assert_true(status.figures.cpu == 42 && status.is_ready && status.age_ms == 300);
    assert_int_equal(status.wall_ms, clock_of_node.now_wall_ms);
    arena_fini(&arena);
}

static void an_ask_is_answered_once(void **state) {
    (void)state;
    char first[INQUIRY_ASK_SIZE], second[INQUIRY_ASK_SIZE];
    assert_true(asker_ask(&asker, SLICE_LIT("n1"), first));
    assert_true(asker_ask(&asker, SLICE_LIT("n1"), second));
    assert_int_equal(show(first), ERR_OK);
    assert_int_equal(show(first), ERR_UNAUTHORIZED);
    assert_int_equal(show(second), ERR_OK);
    assert_int_equal(show(first), ERR_UNAUTHORIZED);
    assert_int_equal(body.len, 0);
}

static void an_answer_fits_its_own_ask_alone(void **state) {
    (void)state;
    char first[INQUIRY_ASK_SIZE];
    snprintf(first, sizeof first, "%s", ask_node("n1"));
    assert_int_equal(show(first), ERR_OK);
    char old_seal[SEAL_SIZE];
    memcpy(old_seal, seal, sizeof seal);
    const char *second = ask_node("n1");
    assert_false(asker_believes(&asker, second, buf_slice(&body), slice_of(old_seal)));
    assert_true(asker_believes(&asker, first, buf_slice(&body), slice_of(old_seal)));
    body.at[body.len - 2] ^= 1;
    assert_false(asker_believes(&asker, first, buf_slice(&body), slice_of(old_seal)));
}

static void an_ask_is_for_one_node(void **state) {
    (void)state;
    assert_int_equal(show(ask_node("n2")), ERR_UNAUTHORIZED);
    assert_int_equal(show(ask_node("n1")), ERR_OK);
}

static void another_secret_is_refused_on_both_sides(void **state) {
    (void)state;
    struct asker stranger;
    char ask[INQUIRY_ASK_SIZE];
    asker_init(&stranger, SLICE_LIT("fedcba9876543210"), &clock_of_asker.base, &rng.base);
    assert_true(asker_ask(&stranger, SLICE_LIT("n1"), ask));
    assert_int_equal(show(ask), ERR_UNAUTHORIZED);
    const char *good = ask_node("n1");
    assert_int_equal(show(good), ERR_OK);
    assert_false(asker_believes(&stranger, good, buf_slice(&body), slice_of(seal)));
}

static void any_change_of_an_ask_is_refused(void **state) {
    (void)state;
    char ask[INQUIRY_ASK_SIZE], changed[INQUIRY_ASK_SIZE];
    snprintf(ask, sizeof ask, "%s", ask_node("n1"));
    size_t len = strlen(ask);
    for (size_t i = 0; i < len; i++) {
        memcpy(changed, ask, sizeof ask);
        changed[i] = changed[i] == '1' ? '2' : '1';
        assert_int_equal(show(changed), ERR_UNAUTHORIZED);
        memcpy(changed, ask, sizeof ask);
        changed[i] = '\0'; /* cut */
        assert_int_equal(show(changed), ERR_UNAUTHORIZED);
    }
    assert_int_equal(show(""), ERR_UNAUTHORIZED);
    snprintf(changed, sizeof changed, "%.150s.", ask);
    assert_int_equal(show(changed), ERR_UNAUTHORIZED);
    assert_int_equal(show(ask), ERR_OK); /* what was refused used nothing up */
}

static void clocks_may_differ_by_minutes(void **state) {
    (void)state;
    virtual_clock_advance(&clock_of_node, INQUIRY_WINDOW_MS - 1000);
    assert_int_equal(show(ask_node("n1")), ERR_OK);
    virtual_clock_advance(&clock_of_node, 2000);
    assert_int_equal(show(ask_node("n1")), ERR_UNAUTHORIZED);
}

static void an_asker_whose_clock_is_set_back_is_answered_still(void **state) {
    (void)state;
    assert_int_equal(show(ask_node("n1")), ERR_OK);
    clock_of_asker.now_wall_ms -= 60000;
    assert_int_equal(show(ask_node("n1")), ERR_OK);
    assert_int_equal(show(ask_node("n1")), ERR_OK);
}

/* A table that is full forgets who asked longest ago, and nobody is kept from asking. */
static void any_number_of_askers_is_answered(void **state) {
    (void)state;
    char old[INQUIRY_ASK_SIZE];
    snprintf(old, sizeof old, "%s", ask_node("n1"));
    assert_int_equal(show(old), ERR_OK);
    for (int i = 0; i < 3 * INQUIRY_ASKERS_MAX; i++) {
        struct asker other;
        char ask[INQUIRY_ASK_SIZE];
        virtual_clock_advance(&clock_of_node, 1);
        asker_init(&other, secret, &clock_of_asker.base, &rng.base);
        assert_true(asker_ask(&other, SLICE_LIT("n1"), ask));
        assert_int_equal(show(ask), ERR_OK);
        assert_int_equal(show(ask), ERR_UNAUTHORIZED);
    }
    virtual_clock_advance(&clock_of_node, INQUIRY_WINDOW_MS); /* forgotten, but too old by now */
    assert_int_equal(show(old), ERR_UNAUTHORIZED);
}

static void a_reason_that_was_cut_in_a_character_is_told_all_the_same(void **state) {
    (void)state;
    const struct desk_state cut = {.reason = "\xec\x93\xb0\xea\xb8"}; /* 쓰 and a half */
    buf_clear(&body);
    assert_int_equal(desk_answer(desk, slice_of(ask_node("n1")), &cut, &body, seal), ERR_OK);
    struct arena arena;
    struct node_status status;
    struct problem problem;
    arena_init(&arena, 1 << 16);
    assert_int_equal(status_read(&arena, buf_slice(&body), &status, &problem), ERR_OK);
    assert_true(slice_eq_text(status.reason, "\xec\x93\xb0"));
    assert_false(status.is_ready);
    arena_fini(&arena);
}

int main(void) {
#define EACH(test) cmocka_unit_test_setup_teardown(test, make, drop)
    const struct CMUnitTest tests[] = {
        EACH(the_seal_is_hmac_sha256),
        EACH(an_ask_is_answered_and_the_answer_believed),
        EACH(an_ask_is_answered_once),
        EACH(an_answer_fits_its_own_ask_alone),
        EACH(an_ask_is_for_one_node),
        EACH(another_secret_is_refused_on_both_sides),
        EACH(any_change_of_an_ask_is_refused),
        EACH(clocks_may_differ_by_minutes),
        EACH(an_asker_whose_clock_is_set_back_is_answered_still),
        EACH(any_number_of_askers_is_answered),
        EACH(a_reason_that_was_cut_in_a_character_is_told_all_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
