/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what L2 cannot be told is told by the store's mark, and what the mark tells is heeded. */
#include "tiered_fixture.h"

static struct node node;
static const char *const key = "participant:demo:t1";
static const struct redis_answer done = {.outcome = REDIS_DONE};
static const struct redis_answer late = {.err = ERR_DEADLINE};
enum { FIRST = 100, OTHER = 200, THIRD = 300 }; /* marks */

static struct tiered_figures figures(void) {
    struct tiered_figures all;
    tiered_read_figures(node.tiered, &all);
    return all;
}

static void see(uint64_t mark) {
    tiered_see_mark(node.loops[0], mark);
}

/* Time in which the channel is well and somebody looks at the mark. */
static void pass_seeing_ms(int64_t ms, uint64_t mark) {
    for (; ms > 0; ms -= 200) {
        see(mark);
        node_pass_hearing_ms(&node, ms < 200 ? ms : 200);
    }
}

static void open_unseen(void) {
    struct tiered_options options = node_options();
    options.writers = TIERED_WRITERS_OTHERS;
    options.watches_mark = true;
    node_open(&node, options, true);
    node_hear(&node);
}

static void open_settled(void) {
    open_unseen();
    see(FIRST);
    node_beat(&node);
}

static void fill(const char *value) {
    struct ask ask = {0};
    ask_begin(&node, 0, &ask, key);
    if (node_sent(&node, 0, REDIS_GET) != NULL) {
        node_answer(&node, 0, REDIS_GET, late);
    }
    ask_loaded(&ask, value);
    assert_answered(&ask, TIERED_FROM_STORE, value);
}

static bool answers(const char *value) {
    struct buf buf;
    struct tiered_answer answer;
    buf_init(&buf, 256);
    bool hits = tiered_try(node.loops[1], TIERED_PARTICIPANT, slice_of(key), &buf, &answer) ==
                TIERED_HIT;
    if (hits) {
        assert_true(slice_eq_text(answer.value, value));
    }
    buf_fini(&buf);
    return hits;
}

/* What L2 is asked for, and with which version a value of it would count; false: it is not asked.
 */
static bool asks_l2(uint64_t *ret_version) {
    struct ask ask = {0};
    ask_begin(&node, 0, &ask, "gate:demo:g01");
    bool asks = node_sent(&node, 0, REDIS_GET) != NULL;
    if (asks) {
        node_answer(&node, 0, REDIS_GET, (struct redis_answer){.outcome = REDIS_MISS});
        node_answer(&node, 0, REDIS_LEASE, done);
        node_answer(&node, 0, REDIS_GET, (struct redis_answer){.outcome = REDIS_MISS});
    }
    ask_loaded(&ask, "north");
    if (asks) {
        *ret_version = node_sent(&node, 0, REDIS_FILL)->version;
        node_answer(&node, 0, REDIS_FILL, done);
        node_answer(&node, 0, REDIS_RELEASE, done);
    }
    struct slice patterns[] = {SLICE_LIT("gate:*")}; /* for the next time */
    struct tiered_change change = {.patterns = patterns, .patterns_len = 1};
    tiered_change_begin(node.loops[0], &change);
    tiered_change_end(node.loops[0], &change, TIERED_NOTHING);
    return asks;
}

/* ── looking ── */

static void before_the_first_look_nothing_but_what_is_young_is_trusted(void **state) {
    (void)state;
    uint64_t version = 0;
    open_unseen();
    assert_int_equal(figures().mark, TIERED_MARK_DOUBT);
    assert_int_equal(figures().looked_ms, -1);
    fill("old");
    assert_true(answers("old"));
    assert_false(asks_l2(&version));
    node_pass_hearing_ms(&node, 800);
    assert_false(answers("old"));
    see(FIRST); /* whether it moved since then nobody knows */
    node_beat(&node);
    assert_int_equal(figures().mark, TIERED_MARK_SETTLED);
    assert_int_equal(figures().mark_drops, 0);
    assert_int_equal(figures().looked_ms, 0);
    assert_true(asks_l2(&version));
    fill("new");
    pass_seeing_ms(60000, FIRST);
    assert_true(answers("new"));
    node_close(&node);
}

static void a_mark_that_moved_leaves_young_values_until_it_rests_and_then_none(void **state) {
    (void)state;
    uint64_t before = 0, after = 0;
    open_settled();
    fill("old");
    assert_true(asks_l2(&before));
    pass_seeing_ms(600, FIRST);
    see(OTHER);
    assert_int_equal(figures().mark, TIERED_MARK_DOUBT);
    assert_true(answers("old")); /* it is 600 ms old */
    assert_false(asks_l2(&after));
    pass_seeing_ms(200, OTHER);
    assert_false(answers("old"));
    fill("new");
    pass_seeing_ms(2000, OTHER);
    assert_int_equal(figures().mark, TIERED_MARK_SETTLED);
    assert_int_equal(figures().mark_drops, 1);
    assert_false(answers("new"));
    assert_true(asks_l2(&after));
    assert_int_equal(before ^ FIRST, after ^ OTHER); /* what was filled before does not count */
    node_close(&node);
}

static void a_mark_that_is_turned_back_costs_nothing_but_the_doubt(void **state) {
    (void)state;
    uint64_t before = 0, after = 0;
    open_settled();
    fill("anna");
    assert_true(asks_l2(&before));
    pass_seeing_ms(1000, FIRST);
    pass_seeing_ms(1000, OTHER);
    assert_false(answers("anna"));
    node_pass_ms(&node, 10);
    see(FIRST);
    assert_false(answers("anna")); /* news may be under way: a beat proves that none is */
    node_beat(&node);
    assert_true(answers("anna"));
    assert_true(asks_l2(&after));
    assert_int_equal(before, after);
    assert_int_equal(figures().mark_drops, 0);
    node_close(&node);
}

static void a_mark_that_never_rests_drops_nothing_until_it_does(void **state) {
    (void)state;
    uint64_t version = 0;
    open_settled();
    for (uint64_t i = 1; i <= 50; i++) {
        pass_seeing_ms(200, FIRST + i);
        assert_int_equal(figures().mark, TIERED_MARK_DOUBT);
        assert_false(asks_l2(&version));
    }
    assert_int_equal(figures().mark_drops, 0);
    pass_seeing_ms(2200, FIRST + 50);
    assert_int_equal(figures().mark_drops, 1);
    assert_int_equal(figures().mark, TIERED_MARK_SETTLED);
    node_close(&node);
}

static void a_load_under_way_when_the_mark_moves_is_joined_by_nobody_who_asks_later(void **state) {
    (void)state;
    open_settled();
    struct ask early = {0}, later = {0};
    ask_begin(&node, 0, &early, key);
    see(OTHER);
    ask_begin(&node, 1, &later, key);
    assert_int_equal(later.loads, 1);
    node_answer(&node, 0, REDIS_GET, late);
    ask_loaded(&early, "old");
    ask_loaded(&later, "new");
    assert_answered(&later, TIERED_FROM_STORE, "new");
    assert_true(answers("new"));
    node_close(&node);
}

/* ── telling ── */

static unsigned turns(void) {
    return node.ports[0].turns + node.ports[1].turns;
}

static void pass_ms(int64_t ms) {
    for (; ms > 0; ms -= 10) {
        node_pass_ms(&node, 10);
        node_tick(&node);
    }
}

static void what_l2_has_taken_in_time_moves_no_mark(void **state) {
    (void)state;
    open_settled();
    for (int i = 0; i < 100; i++) {
        node_change(&node, 0, key);
        pass_ms(290);
        node_answer_all(&node, 0, REDIS_INVALIDATE, done);
        assert_false(tiered_owes(node.tiered));
    }
    pass_ms(5000);
    assert_int_equal(turns(), 0);
    assert_false(node.ports[0].ticking);
    node_close(&node);
}

static void what_l2_has_not_taken_in_time_moves_the_mark_once_for_all_of_it(void **state) {
    (void)state;
    open_settled();
    node_change(&node, 0, key);
    node_change(&node, 1, "gate:demo:g01");
    assert_true(tiered_owes(node.tiered));
    pass_ms(290);
    assert_int_equal(turns(), 0);
    pass_ms(20);
    assert_int_equal(turns(), 1);
    int loop = node.ports[0].turns == 1 ? 0 : 1;
    assert_true(tiered_owes(node.tiered)); /* it is only asked for */
    tiered_marked(node.loops[loop], ERR_OK);
    assert_false(tiered_owes(node.tiered));
    pass_ms(2000);
    assert_int_equal(turns(), 1);
    assert_int_equal(figures().mark_turns, 1);
    assert_int_equal(figures().pending, 2); /* L2 is told when it can be */
    node_close(&node);
}

static void a_refusal_of_l2_moves_the_mark_at_once(void **state) {
    (void)state;
    open_settled();
    node.ports[0].refuse = ERR_UNAVAILABLE;
    node_change(&node, 0, key);
    pass_ms(10);
    assert_int_equal(turns(), 1);
    tiered_marked(node.loops[0], ERR_OK);
    for (int i = 0; i < 50; i++) { /* a flood of them: ten turns a second */
        node_change(&node, 0, "gate:demo:g01");
        pass_ms(20);
        if (turns() > figures().mark_turns) {
            tiered_marked(node.loops[0], ERR_OK);
        }
    }
    assert_in_range(turns(), 9, 12);
    node_close(&node);
}

static void a_turn_that_failed_is_made_again_with_other_bits(void **state) {
    (void)state;
    open_settled();
    node.ports[0].refuse = ERR_UNAVAILABLE;
    node_change(&node, 0, key);
    pass_ms(10);
    uint64_t first = node.ports[0].turn_bits;
    tiered_marked(node.loops[0], ERR_COMMIT_UNKNOWN);
    assert_true(tiered_owes(node.tiered));
    pass_ms(90);
    assert_int_equal(turns(), 1);
    pass_ms(20);
    assert_int_equal(turns(), 2);
    assert_true(node.ports[0].turn_bits != first);
    tiered_marked(node.loops[0], ERR_OK);
    assert_false(tiered_owes(node.tiered));
    node_close(&node);
}

static void l2_that_hears_of_it_in_the_end_has_the_mark_turned_back(void **state) {
    (void)state;
    open_settled();
    node_change(&node, 0, key);
    pass_ms(310);
    uint64_t bits = node.ports[0].turn_bits;
    tiered_marked(node.loops[0], ERR_OK);
    pass_ms(500);
    node_answer_all(&node, 0, REDIS_INVALIDATE, done);
    pass_ms(20);
    assert_int_equal(turns(), 2);
    assert_true(node.ports[0].turn_bits == bits);
    tiered_marked(node.loops[0], ERR_OK);
    pass_ms(2000);
    assert_int_equal(turns(), 2);
    assert_false(node.ports[0].ticking);

    node_change(&node, 0, key); /* too late: others have made an end */
    pass_ms(310);
    tiered_marked(node.loops[0], ERR_OK);
    pass_ms(1100);
    node_answer_all(&node, 0, REDIS_INVALIDATE, done);
    pass_ms(2000);
    assert_int_equal(turns(), 3);
    assert_false(node.ports[0].ticking);
    node_close(&node);
}

/* The second change is not in the mark that was turned for the first. */
static void a_change_while_the_mark_is_turned_moves_it_again(void **state) {
    (void)state;
    open_settled();
    node.ports[0].refuse = ERR_UNAVAILABLE;
    node_change(&node, 0, key);
    pass_ms(10);
    node_change(&node, 0, key);
    tiered_marked(node.loops[0], ERR_OK);
    assert_true(tiered_owes(node.tiered));
    pass_ms(120);
    assert_int_equal(turns(), 2);
    tiered_marked(node.loops[0], ERR_OK);
    assert_false(tiered_owes(node.tiered));
    node_close(&node);
}

static void a_pattern_that_l2_does_not_hear_of_moves_the_mark_and_anothers_does_not(void **state) {
    (void)state;
    struct slice patterns[] = {SLICE_LIT("participant:*")};
    struct tiered_change change = {.patterns = patterns, .patterns_len = 1};
    open_settled();
    tiered_loop_news(node.loops[0], REDIS_NEWS_ALL, SLICE_NONE); /* raises every epoch, too */
    pass_ms(1000);
    assert_int_equal(turns(), 0);
    tiered_change_end(node.loops[0], &change, TIERED_COMMITTED);
    pass_ms(310);
    assert_int_equal(turns(), 1);
    tiered_marked(node.loops[0], ERR_OK);
    assert_false(tiered_owes(node.tiered));
    node_close(&node);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(before_the_first_look_nothing_but_what_is_young_is_trusted),
        cmocka_unit_test(a_mark_that_moved_leaves_young_values_until_it_rests_and_then_none),
        cmocka_unit_test(a_mark_that_is_turned_back_costs_nothing_but_the_doubt),
        cmocka_unit_test(a_mark_that_never_rests_drops_nothing_until_it_does),
        cmocka_unit_test(a_load_under_way_when_the_mark_moves_is_joined_by_nobody_who_asks_later),
        cmocka_unit_test(what_l2_has_taken_in_time_moves_no_mark),
        cmocka_unit_test(what_l2_has_not_taken_in_time_moves_the_mark_once_for_all_of_it),
        cmocka_unit_test(a_refusal_of_l2_moves_the_mark_at_once),
        cmocka_unit_test(a_turn_that_failed_is_made_again_with_other_bits),
        cmocka_unit_test(l2_that_hears_of_it_in_the_end_has_the_mark_turned_back),
        cmocka_unit_test(a_change_while_the_mark_is_turned_moves_it_again),
        cmocka_unit_test(a_pattern_that_l2_does_not_hear_of_moves_the_mark_and_anothers_does_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
