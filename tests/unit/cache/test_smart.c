/* SPDX-License-Identifier: Apache-2.0 */
/* Smart management acts where it cannot harm, says what came of it, and rests after harm. */
#include "cache/smart.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <math.h>
#include <cmocka.h>

enum { SIZE = 1000, WINDOW = SMART_WINDOW_TIMES * SIZE };

/* A full cache; totals grow by what a window brings. */
static struct smart_look full(void) {
    return (struct smart_look){.entries = SIZE,
                               .capacity_entries = SIZE,
                               .bytes = 50000,
                               .capacity_bytes = 1000000};
}

static struct smart_verdict see(struct smart *smart, struct smart_look *look, double hit_rate,
                                double evicted) {
    uint64_t hits = (uint64_t)(hit_rate * WINDOW), misses = WINDOW - hits;
    look->hits += hits;
    look->misses += misses;
    look->evicted += (uint64_t)(evicted * (double)misses);
    look->expired += (uint64_t)((1 - evicted) * (double)misses);
    look->at_ms += 1000;
    return smart_see(smart, look);
}

static void begin(struct smart *smart, struct smart_look *look) {
    *smart = (struct smart){.has_last = false};
    assert_int_equal(smart_see(smart, look).act, SMART_NONE);
}

/* {hit rate, evicted share, entries, act} */
static void it_acts_only_where_every_condition_holds(void **state) {
    (void)state;
    static const struct {
        double hit_rate, evicted;
        uint64_t entries;
        enum smart_act_e act;
    } rows[] = {
        {0.5, 0.9, SIZE, SMART_TRIM},      {0.71, 0.9, SIZE, SMART_NONE},
        {0.5, 0.4, SIZE, SMART_RENEW},     {0.71, 0.1, SIZE, SMART_NONE},
        {0.5, 0.9, 900, SMART_NONE},       /* not full: eviction is not the size's fault */
        {0.5, 0.1, 790, SMART_NONE},       /* memory is not short */
        {0.5, 0.5, SIZE, SMART_NONE},      /* neither cause has more than half */
        {0.5, 0.9, SIZE - 5, SMART_TRIM},  /* full but for its shards' differences */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct smart smart;
        struct smart_look look = full();
        look.entries = rows[i].entries;
        begin(&smart, &look);
        assert_int_equal(see(&smart, &look, rows[i].hit_rate, rows[i].evicted).act, rows[i].act);
    }
}

static void at_most_one_in_a_hundred_goes(void **state) {
    (void)state;
    struct smart smart;
    struct smart_look look = full();
    begin(&smart, &look);
    assert_int_equal(see(&smart, &look, 0.5, 1).count, SIZE / 100);
    look = full();
    look.entries = look.capacity_entries = 99;
    begin(&smart, &look);
    assert_int_equal(see(&smart, &look, 0.5, 1).act, SMART_NONE);
}

static void it_waits_for_a_window_of_ten_times_the_size(void **state) {
    (void)state;
    struct smart smart;
    struct smart_look look = full();
    begin(&smart, &look);
    look.misses = look.evicted = WINDOW - 1;
    assert_false(smart_see(&smart, &look).is_window);
    look.misses++;
    assert_int_equal(smart_see(&smart, &look).act, SMART_TRIM);
}

static void bytes_may_be_what_is_full(void **state) {
    (void)state;
    struct smart smart;
    struct smart_look look = full();
    look.entries = 500;
    look.bytes = look.capacity_bytes;
    begin(&smart, &look);
    assert_int_equal(see(&smart, &look, 0.5, 1).act, SMART_TRIM);
}

static void the_next_window_tells_the_effect(void **state) {
    (void)state;
    struct smart smart;
    struct smart_look look = full();
    begin(&smart, &look);
    see(&smart, &look, 0.5, 1);
    assert_true(isnan(smart.kept[0].hit_rate_after));
    see(&smart, &look, 0.8, 1);
    assert_true(fabs(smart.kept[0].hit_rate_before - 0.5) < 1e-6);
    assert_true(fabs(smart.kept[0].hit_rate_after - 0.8) < 1e-6);
    assert_int_equal(smart.acts[SMART_TRIM], 1);
}

static void after_harm_it_rests(void **state) {
    (void)state;
    struct smart smart;
    struct smart_look look = full();
    begin(&smart, &look);
    assert_int_equal(see(&smart, &look, 0.6, 1).act, SMART_TRIM);
    for (int i = 0; i < SMART_REST; i++) {
        assert_int_equal(see(&smart, &look, 0.5, 1).act, SMART_NONE);
    }
    assert_int_equal(see(&smart, &look, 0.5, 1).act, SMART_TRIM);
    assert_int_equal(see(&smart, &look, 0.5, 1).act, SMART_TRIM); /* no worse: it goes on */
}

static void the_journal_keeps_the_last_acts(void **state) {
    (void)state;
    struct smart smart;
    struct smart_look look = full();
    begin(&smart, &look);
    for (int i = 0; i < 3 * SMART_ACTS_KEPT; i++) {
        assert_int_equal(see(&smart, &look, 0.5, 1).act, SMART_TRIM);
    }
    assert_int_equal(smart.kept_len, 3 * SMART_ACTS_KEPT);
    assert_int_equal(smart.kept[(smart.kept_len - 1) % SMART_ACTS_KEPT].at_ms, look.at_ms);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_acts_only_where_every_condition_holds),
        cmocka_unit_test(at_most_one_in_a_hundred_goes),
        cmocka_unit_test(it_waits_for_a_window_of_ten_times_the_size),
        cmocka_unit_test(bytes_may_be_what_is_full),
        cmocka_unit_test(the_next_window_tells_the_effect),
        cmocka_unit_test(after_harm_it_rests),
        cmocka_unit_test(the_journal_keeps_the_last_acts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
