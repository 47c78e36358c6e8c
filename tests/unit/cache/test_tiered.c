/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what the tiered cache promises of L1, flights, changes and a store that fails. */
#include "tiered_fixture.h"

static struct node node;

static void what_was_loaded_is_answered_from_l1(void **state) {
    (void)state;
    node_open(&node, node_options(), false);
    struct ask first = {0};
    struct ask second = {0};
    ask_begin(&node, 0, &first, "participant:demo:t1");
    ask_loaded(&first, "anna");
    assert_answered(&first, TIERED_FROM_STORE, "anna");
    node_pass_ms(&node, 1500);
    ask_begin(&node, 1, &second, "participant:demo:t1");
    assert_answered(&second, TIERED_FROM_L1, "anna");
    assert_int_equal(second.answer.age_ms, 1500);
    assert_int_equal(second.loads, 0);
    struct tiered_counters counters = node_counters(&node, TIERED_PARTICIPANT);
    assert_int_equal(counters.l1_hits, 1);
    assert_int_equal(counters.l1_misses, 1);
    assert_int_equal(counters.loads, 1);
    node_close(&node);
}

static void a_try_counts_once_and_its_get_goes_on_from_there(void **state) {
    (void)state;
    node_open(&node, node_options(), false);
    struct buf buf;
    struct tiered_answer answer;
    struct ask ask = {0};
    buf_init(&buf, 1 << 16);
    struct slice key = SLICE_LIT("gate:demo:g01");
    assert_int_equal(tiered_try(node.loops[0], TIERED_GATE, key, &buf, &answer), TIERED_MISS);
    ask_begin(&node, 0, &ask, "gate:demo:g01");
    ask_loaded(&ask, "north");
    assert_int_equal(tiered_try(node.loops[0], TIERED_GATE, key, &buf, &answer), TIERED_HIT);
    assert_true(slice_eq_text(answer.value, "north"));
    struct tiered_counters counters = node_counters(&node, TIERED_GATE);
    assert_int_equal(counters.l1_misses, 1);
    assert_int_equal(counters.l1_hits, 1);
    buf_fini(&buf);
    node_close(&node);
}

static void a_look_is_a_hit_only_when_the_value_was_of_use(void **state) {
    (void)state;
    node_open(&node, node_options(), false);
    struct buf buf;
    struct tiered_answer answer;
    struct ask ask = {0};
    struct slice key = SLICE_LIT("stats:overall:demo");
    buf_init(&buf, 1 << 16);
    ask_begin(&node, 0, &ask, "stats:overall:demo");
    ask_loaded(&ask, "7");
    for (int turn = 0; turn < 3; turn++) {
        assert_int_equal(tiered_look(node.loops[0], TIERED_STATS, key, &buf, &answer), TIERED_HIT);
        tiered_count_look(node.loops[0], TIERED_STATS, turn < 2 ? TIERED_USED : TIERED_OF_NO_USE);
    }
    struct tiered_counters counters = node_counters(&node, TIERED_STATS);
    assert_int_equal(counters.l1_hits, 2);
    assert_int_equal(counters.l1_misses, 2);
    assert_int_equal(counters.l1_cold, 1);
    assert_int_equal(counters.l1_marked, 1);
    buf_fini(&buf);
    node_close(&node);
}

/* Warming is no look-up: whoever looks at hit rates wants to know of those who asked. */
static void what_is_read_in_the_background_is_neither_hit_nor_miss(void **state) {
    (void)state;
    node_open(&node, node_options(), false);
    struct slice key = SLICE_LIT("gate:demo:g01");
    struct ask ask = {.get = {.class = TIERED_GATE, .key = key, .load = ask_load, .done = ask_done,
                              .data = &ask, .in_background = true}};
    assert_false(tiered_has(node.loops[0], key));
    tiered_get(node.loops[0], &ask.get);
    ask_loaded(&ask, "north");
    assert_answered(&ask, TIERED_FROM_STORE, "north");
    assert_true(tiered_has(node.loops[0], key));
    assert_true(tiered_has(node.loops[1], key));
    struct tiered_counters counters = node_counters(&node, TIERED_GATE);
    assert_int_equal(counters.l1_hits + counters.l1_misses, 0);
    assert_int_equal(counters.loads, 1);
    node_close(&node);
}

static void absence_is_believed_for_a_moment_only(void **state) {
    (void)state;
    node_open(&node, node_options(), false);
    struct ask ask = {0};
    ask_begin(&node, 0, &ask, "participant:demo:nobody");
    ask_loaded(&ask, NULL);
    assert_true(ask.answer.absent);
    ask_begin(&node, 0, &ask, "participant:demo:nobody");
    assert_int_equal(ask.answers, 1);
    assert_true(ask.answer.absent);
    assert_int_equal(ask.answer.from, TIERED_FROM_L1);
    node_pass_ms(&node, 300);
    ask_begin(&node, 0, &ask, "participant:demo:nobody");
    ask_loaded(&ask, "somebody");
    assert_answered(&ask, TIERED_FROM_STORE, "somebody");
    node_close(&node);
}

static void every_class_lives_as_long_as_it_says(void **state) {
    (void)state;
    struct tiered_options options = node_options();
    node_open(&node, options, false);
    for (int class = 0; class < TIERED_CLASS_COUNT; class++) {
        char key[64];
        struct ask ask = {0};
        snprintf(key, sizeof key, "%s:demo", tiered_class_name((enum tiered_class_e)class));
        ask_begin(&node, 0, &ask, key);
        ask_loaded(&ask, "x");
        node_pass_ms(&node, options.lives[class].l1_ms - 1);
        ask_begin(&node, 0, &ask, key);
        assert_answered(&ask, TIERED_FROM_L1, "x");
        node_pass_ms(&node, 1);
        ask_begin(&node, 0, &ask, key);
        assert_int_equal(ask.answers, 0);
        ask_loaded(&ask, "y");
    }
    node_close(&node);
}

/* The life of what is kept counts from when it was read, not from when the answer came. */
static void a_slow_load_is_kept_for_what_is_left_of_its_life(void **state) {
    (void)state;
    node_open(&node, node_options(), false);
    struct ask ask = {0};
    ask_begin(&node, 0, &ask, "stats:overall:demo");
    node_pass_ms(&node, 300);
    ask_loaded(&ask, "12");
    node_pass_ms(&node, 99);
    ask_begin(&node, 0, &ask, "stats:overall:demo");
    assert_answered(&ask, TIERED_FROM_L1, "12");
    node_pass_ms(&node, 1);
    ask_begin(&node, 0, &ask, "stats:overall:demo");
    assert_int_equal(ask.answers, 0);
    node_pass_ms(&node, 400);
    ask_loaded(&ask, "13");
    ask_begin(&node, 0, &ask, "stats:overall:demo");
    assert_int_equal(ask.answers, 0);
    ask_loaded(&ask, "14");
    node_close(&node);
}

static void many_misses_of_one_key_are_one_load(void **state) {
    (void)state;
    enum { ASKS = 10000 };
    static struct ask asks[ASKS];
    node_open(&node, node_options(), false);
    unsigned loads = 0;
    for (int i = 0; i < ASKS; i++) {
        ask_begin(&node, i % LOOPS, &asks[i], "event_config:demo");
        loads += asks[i].loads;
    }
    assert_int_equal(loads, 1);
    ask_loaded(&asks[0], "config");
    node_run(&node);
    for (int i = 0; i < ASKS; i++) {
        assert_answered(&asks[i], TIERED_FROM_STORE, "config");
        assert_int_equal(asks[i].loads, i == 0);
    }
    assert_int_equal(node_counters(&node, TIERED_EVENT_CONFIG).joined, ASKS - 1);
    node_close(&node);
}

static void more_waiters_than_allowed_are_refused(void **state) {
    (void)state;
    struct tiered_options options = node_options();
    options.waiters_max = 2;
    node_open(&node, options, false);
    struct ask asks[4] = {0};
    for (int i = 0; i < 4; i++) {
        ask_begin(&node, 0, &asks[i], "gate:demo:g01");
    }
    assert_int_equal(asks[3].answers, 1);
    assert_int_equal(asks[3].answer.err, ERR_OVERLOADED);
    ask_loaded(&asks[0], "x");
    assert_answered(&asks[2], TIERED_FROM_STORE, "x");
    assert_int_equal(node_counters(&node, TIERED_GATE).refused, 1);
    node_close(&node);
}

/* The race that generations are for: the truth is read, then changed, then the old one arrives. */
static void a_load_that_a_change_overtook_is_not_kept(void **state) {
    (void)state;
    node_open(&node, node_options(), false);
    struct ask slow = {0};
    struct ask waiter = {0};
    struct ask after = {0};
    ask_begin(&node, 0, &slow, "participant:demo:t1");
    ask_begin(&node, 1, &waiter, "participant:demo:t1");
    node_change(&node, 1, "participant:demo:t1");
    ask_begin(&node, 1, &after, "participant:demo:t1");
    assert_int_equal(after.loads, 1);
    ask_loaded(&after, "new");
    ask_loaded(&slow, "old");
    node_run(&node);
    assert_answered(&slow, TIERED_FROM_STORE, "old"); /* it asked before the change */
    assert_answered(&waiter, TIERED_FROM_STORE, "old");
    assert_answered(&after, TIERED_FROM_STORE, "new");
    ask_begin(&node, 0, &after, "participant:demo:t1");
    assert_answered(&after, TIERED_FROM_L1, "new");
    assert_int_equal(node_counters(&node, TIERED_PARTICIPANT).fills_outdated, 1);
    node_close(&node);
}

static void a_load_between_the_halves_of_a_change_is_not_kept(void **state) {
    (void)state;
    node_open(&node, node_options(), false);
    struct slice keys[] = {SLICE_LIT("gate:demo:g01"), SLICE_LIT("active_gates:demo")};
    struct tiered_change change = {.keys = keys, .keys_len = 2};
    struct ask ask = {0};
    tiered_change_begin(node.loops[0], &change);
    ask_begin(&node, 0, &ask, "active_gates:demo");
    ask_loaded(&ask, "old");
    tiered_change_end(node.loops[0], &change, TIERED_COMMITTED);
    ask_begin(&node, 0, &ask, "active_gates:demo");
    assert_int_equal(ask.loads, 1);
    ask_loaded(&ask, "new");
    node_close(&node);
}

static void a_change_that_did_not_happen_costs_no_more_than_its_begin(void **state) {
    (void)state;
    node_open(&node, node_options(), false);
    struct slice keys[] = {SLICE_LIT("gate:demo:g01")};
    struct tiered_change change = {.keys = keys, .keys_len = 1};
    struct ask ask = {0};
    tiered_change_begin(node.loops[0], &change);
    ask_begin(&node, 0, &ask, "gate:demo:g01");
    ask_loaded(&ask, "north");
    tiered_change_end(node.loops[0], &change, TIERED_NOTHING);
    ask_begin(&node, 0, &ask, "gate:demo:g01");
    assert_answered(&ask, TIERED_FROM_L1, "north");
    node_close(&node);
}

static void a_pattern_takes_out_what_matches_and_the_loads_of_it(void **state) {
    (void)state;
    node_open(&node, node_options(), false);
    struct slice patterns[] = {SLICE_LIT("gate:demo:*")};
    struct tiered_change change = {.patterns = patterns, .patterns_len = 1};
    struct ask kept = {0};
    struct ask gone = {0};
    struct ask flying = {0};
    ask_begin(&node, 0, &kept, "gate:other:g01");
    ask_loaded(&kept, "a");
    ask_begin(&node, 0, &gone, "gate:demo:g01");
    ask_loaded(&gone, "b");
    ask_begin(&node, 0, &flying, "gate:demo:g02");
    tiered_change_end(node.loops[0], &change, TIERED_COMMITTED);
    ask_loaded(&flying, "old");
    ask_begin(&node, 0, &kept, "gate:other:g01");
    assert_answered(&kept, TIERED_FROM_L1, "a");
    ask_begin(&node, 0, &gone, "gate:demo:g01");
    assert_int_equal(gone.loads, 1);
    ask_loaded(&gone, "c");
    ask_begin(&node, 0, &flying, "gate:demo:g02");
    assert_int_equal(flying.loads, 1);
    ask_loaded(&flying, "new");
    node_close(&node);
}

static void what_expired_is_answered_as_stale_while_the_store_is_down(void **state) {
    (void)state;
    struct tiered_options options = node_options();
    node_open(&node, options, false);
    const char *key = "participant:demo:t1";
    int64_t life_ms = options.lives[TIERED_PARTICIPANT].l1_ms;
    struct ask ask = {0};
    struct ask waiter = {0};
    ask_begin(&node, 0, &ask, key);
    ask_loaded(&ask, "anna");
    node_pass_ms(&node, life_ms + options.stale_ms - 1);
    ask_begin(&node, 0, &ask, key);
    ask_begin(&node, 1, &waiter, key);
    ask_failed(&ask, ERR_UNAVAILABLE);
    node_run(&node);
    assert_answered(&ask, TIERED_FROM_STALE, "anna");
    assert_answered(&waiter, TIERED_FROM_STALE, "anna");
    assert_int_equal(ask.answer.age_ms, life_ms + options.stale_ms - 1);
    node_pass_ms(&node, 1); /* beyond the bound */
    ask_begin(&node, 0, &ask, key);
    ask_failed(&ask, ERR_UNAVAILABLE);
    assert_int_equal(ask.answer.err, ERR_UNAVAILABLE);
    assert_int_equal(node_counters(&node, TIERED_PARTICIPANT).stale, 1);
    assert_int_equal(node_counters(&node, TIERED_PARTICIPANT).loads_failed, 2);
    node_close(&node);
}

static void what_was_invalidated_is_never_answered_as_stale(void **state) {
    (void)state;
    node_open(&node, node_options(), false);
    const char *key = "participant:demo:t1";
    struct ask ask = {0};
    ask_begin(&node, 0, &ask, key);
    ask_loaded(&ask, "anna");
    node_change(&node, 0, key);
    ask_begin(&node, 0, &ask, key);
    ask_failed(&ask, ERR_UNAVAILABLE);
    assert_int_equal(ask.answer.err, ERR_UNAVAILABLE);
    node_close(&node);
}

static void an_error_of_the_question_is_not_answered_from_what_expired(void **state) {
    (void)state;
    struct tiered_options options = node_options();
    node_open(&node, options, false);
    struct ask ask = {0};
    ask_begin(&node, 0, &ask, "gate:demo:g01");
    ask_loaded(&ask, "north");
    node_pass_ms(&node, options.lives[TIERED_GATE].l1_ms);
    ask_begin(&node, 0, &ask, "gate:demo:g01");
    ask_failed(&ask, ERR_UNKNOWN_EVENT);
    assert_int_equal(ask.answer.err, ERR_UNKNOWN_EVENT);
    node_close(&node);
}

/* With other writers and nobody to tell of them, a value is answered while it is young. */
static void without_news_of_others_only_young_values_are_answered(void **state) {
    (void)state;
    struct tiered_options options = node_options();
    options.writers = TIERED_WRITERS_OTHERS;
    node_open(&node, options, false);
    struct ask ask = {0};
    ask_begin(&node, 0, &ask, "gate:demo:g01");
    ask_loaded(&ask, "north");
    node_pass_ms(&node, TIERED_TRUST_MS);
    ask_begin(&node, 0, &ask, "gate:demo:g01");
    assert_answered(&ask, TIERED_FROM_L1, "north");
    node_pass_ms(&node, 1);
    ask_begin(&node, 0, &ask, "gate:demo:g01");
    assert_int_equal(ask.answers, 0);
    ask_loaded(&ask, "south");
    assert_int_equal(node_counters(&node, TIERED_GATE).l1_untrusted, 1);
    assert_int_equal(node_counters(&node, TIERED_GATE).l1_cold, 1);
    assert_false(tiered_has(node.loops[0], SLICE_LIT("gate:demo:g02")));

    node_pass_ms(&node, 5000); /* the owner saw that nobody wrote */
    tiered_vouch(node.tiered, node.now_us - 100000);
    ask_begin(&node, 0, &ask, "gate:demo:g01");
    assert_answered(&ask, TIERED_FROM_L1, "south");
    tiered_drop(node.tiered); /* somebody did */
    ask_begin(&node, 0, &ask, "gate:demo:g01");
    assert_int_equal(ask.loads, 1);
    ask_loaded(&ask, "west");
    node_close(&node);
}

static void closing_a_loop_answers_those_that_wait_on_it(void **state) {
    (void)state;
    node_open(&node, node_options(), false);
    struct ask leader = {0};
    struct ask waiter = {0};
    struct ask mailed = {0};
    ask_begin(&node, 0, &leader, "gate:demo:g01");
    ask_begin(&node, 1, &waiter, "gate:demo:g01");
    struct ask other = {0};
    ask_begin(&node, 0, &other, "gate:demo:g02");
    ask_begin(&node, 1, &mailed, "gate:demo:g02");
    ask_loaded(&other, "in the mail");
    tiered_loop_close(node.loops[1], node_on_closed, &node);
    node.loops[1] = NULL;
    assert_int_equal(waiter.answers, 1);
    assert_int_equal(waiter.answer.err, ERR_DRAINING);
    assert_int_equal(node.closed, 0); /* a parcel is on its way */
    node_run(&node);
    assert_int_equal(node.closed, 1);
    assert_answered(&mailed, TIERED_FROM_STORE, "in the mail");
    ask_loaded(&leader, "x");
    assert_answered(&leader, TIERED_FROM_STORE, "x");
    node_close(&node);
}

/* A day of asking with one allocation that fails, the 1st, the 2nd, … until none is left to fail:
 * every get is answered once, and with the truth. */
static long day_with_failing_memory(long fail_at) {
    node_open(&node, node_options(), false);
    node.memory.fail_at = node.memory.taken + fail_at;
    if (fail_at == 0) {
        node.memory.fail_at = 0;
    }
    long before = node.memory.taken;
    static const char *const keys[] = {"gate:demo:g01", "participant:demo:t1"};
    for (int round = 0; round < 3; round++) {
        for (size_t k = 0; k < 2; k++) {
            struct ask asks[3] = {0};
            for (int i = 0; i < 3; i++) {
                ask_begin(&node, i % LOOPS, &asks[i], keys[k]);
            }
            for (int turn = 0; turn < 4; turn++) {
                for (int i = 0; i < 3; i++) {
                    if (asks[i].loads == 1 && asks[i].answers == 0) {
                        ask_loaded(&asks[i], keys[k]);
                    }
                }
                node_run(&node);
            }
            for (int i = 0; i < 3; i++) {
                assert_int_equal(asks[i].answers, 1);
                assert_int_equal(asks[i].answer.err, ERR_OK);
                assert_string_equal(asks[i].value, keys[k]);
            }
            if (round == 1) {
                node_change(&node, 0, keys[k]);
            }
        }
    }
    long taken = node.memory.taken - before;
    node.memory.fail_at = 0;
    node_close(&node);
    return taken;
}

static void every_get_is_answered_whichever_allocation_fails(void **state) {
    (void)state;
    long most = day_with_failing_memory(0);
    assert_true(most > 8);
    for (long n = 1; n <= most + 2; n++) {
        (void)day_with_failing_memory(n);
    }
}

static void options_out_of_range_are_refused_by_name(void **state) {
    (void)state;
    struct problem problem;
    struct tiered *tiered;
    struct tiered_options options = tiered_options_default();
    options.stale_ms = -1;
    assert_int_equal(tiered_create(&options, &tiered, &problem), ERR_CONFIG);
    assert_string_equal(problem.field, "stale");
    options = tiered_options_default();
    options.lease_ms = 0;
    assert_int_equal(tiered_create(&options, &tiered, &problem), ERR_CONFIG);
    assert_string_equal(problem.field, "lease");
    options = tiered_options_default();
    options.lives[TIERED_STATS].absent_ms = 401;
    assert_int_equal(tiered_create(&options, &tiered, &problem), ERR_CONFIG);
    assert_string_equal(problem.field, "stats");
    options = tiered_options_default();
    options.l1.entries = 0;
    assert_int_equal(tiered_create(&options, &tiered, &problem), ERR_CONFIG);
    assert_string_equal(problem.field, "entries");
}

static void a_key_belongs_to_the_class_before_its_first_colon(void **state) {
    (void)state;
    enum tiered_class_e class;
    assert_true(tiered_class_of(SLICE_LIT("event_config:demo"), &class));
    assert_int_equal(class, TIERED_EVENT_CONFIG);
    assert_true(tiered_class_of(SLICE_LIT("stats:overall:demo"), &class));
    assert_int_equal(class, TIERED_STATS);
    assert_false(tiered_class_of(SLICE_LIT("stat:x"), &class));
    assert_false(tiered_class_of(SLICE_LIT("gate"), &class));
    assert_false(tiered_class_of(SLICE_NONE, &class));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_loaded_is_answered_from_l1),
        cmocka_unit_test(a_try_counts_once_and_its_get_goes_on_from_there),
        cmocka_unit_test(a_look_is_a_hit_only_when_the_value_was_of_use),
        cmocka_unit_test(what_is_read_in_the_background_is_neither_hit_nor_miss),
        cmocka_unit_test(absence_is_believed_for_a_moment_only),
        cmocka_unit_test(every_class_lives_as_long_as_it_says),
        cmocka_unit_test(a_slow_load_is_kept_for_what_is_left_of_its_life),
        cmocka_unit_test(many_misses_of_one_key_are_one_load),
        cmocka_unit_test(more_waiters_than_allowed_are_refused),
        cmocka_unit_test(a_load_that_a_change_overtook_is_not_kept),
        cmocka_unit_test(a_load_between_the_halves_of_a_change_is_not_kept),
        cmocka_unit_test(a_change_that_did_not_happen_costs_no_more_than_its_begin),
        cmocka_unit_test(a_pattern_takes_out_what_matches_and_the_loads_of_it),
        cmocka_unit_test(what_expired_is_answered_as_stale_while_the_store_is_down),
        cmocka_unit_test(what_was_invalidated_is_never_answered_as_stale),
        cmocka_unit_test(an_error_of_the_question_is_not_answered_from_what_expired),
        cmocka_unit_test(without_news_of_others_only_young_values_are_answered),
        cmocka_unit_test(closing_a_loop_answers_those_that_wait_on_it),
        cmocka_unit_test(every_get_is_answered_whichever_allocation_fails),
        cmocka_unit_test(options_out_of_range_are_refused_by_name),
        cmocka_unit_test(a_key_belongs_to_the_class_before_its_first_colon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
