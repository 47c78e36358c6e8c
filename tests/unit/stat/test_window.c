/* SPDX-License-Identifier: Apache-2.0 */
/* Exactly the last 300 seconds, through gaps and jumps. */
#include "base/rng.h"
#include "stat/window.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MODEL_SECONDS = 1000 };

struct fixture {
    struct window *window;
    struct window_growth growth; /* since it was brought last */
};

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    if (f == NULL) {
        return -1;
    }
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    window_destroy(f->window);
    free(f);
    return 0;
}

static int64_t at_second(int64_t second) {
    return second * 1000000;
}

static void begin(struct fixture *f, int64_t second) {
    f->window = window_create(at_second(second));
    assert_non_null(f->window);
}

static void bring_at(struct fixture *f, int64_t us) {
    assert_int_equal(window_add(f->window, us, &f->growth), ERR_OK);
    memset(&f->growth, 0, sizeof f->growth);
}

static void bring(struct fixture *f, int64_t second) {
    bring_at(f, at_second(second));
}

static void record(struct fixture *f, uint64_t us, uint64_t times) {
    f->growth.latency.grown[f->growth.latency.len++] =
        (struct histogram_grown){(uint32_t)histogram_bucket(us), times};
    f->growth.latency.sum += us * times;
    f->growth.counters[0] += times;
}

/* Count, sum and the first counter of the window at a second. */
static void expect(struct fixture *f, int64_t second, uint64_t count, uint64_t sum) {
    const struct window_total *total = window_total(f->window, at_second(second));
    assert_int_equal(histogram_count(&total->latency), count);
    assert_int_equal(total->latency.sum, sum);
    assert_int_equal(total->counters[0], count);
}

static void a_new_window_is_empty_and_covers_nothing(void **state) {
    struct fixture *f = *state;
    begin(f, 50);
    expect(f, 50, 0, 0);
    assert_int_equal(window_covered_s(f->window), 0);
    record(f, 20, 3);
    bring(f, 51);
    expect(f, 51, 3, 60);
    assert_int_equal(window_covered_s(f->window), 1);
}

static void a_second_leaves_the_window_after_exactly_300_seconds(void **state) {
    struct fixture *f = *state;
    begin(f, 0);
    record(f, 10, 2);
    bring(f, 1);
    record(f, 20, 1);
    bring(f, 2);
    expect(f, 300, 3, 40);
    expect(f, 301, 1, 20);
    expect(f, 302, 0, 0);
}

static void what_comes_within_one_second_adds_up(void **state) {
    struct fixture *f = *state;
    begin(f, 7);
    for (int i = 0; i < 10; i++) {
        record(f, 100, 1);
        bring_at(f, at_second(8) + 1000 * i);
    }
    expect(f, 8, 10, 1000);
    expect(f, 307, 10, 1000);
    expect(f, 308, 0, 0);
}

static void coming_late_is_no_loss(void **state) {
    struct fixture *f = *state;
    begin(f, 0);
    record(f, 10, 5);
    bring(f, 1);
    record(f, 30, 4);
    bring(f, 200);
    expect(f, 200, 9, 170);
    expect(f, 301, 4, 120);
    expect(f, 499, 4, 120);
    expect(f, 500, 0, 0);
}

static void a_gap_as_long_as_the_window_empties_it(void **state) {
    struct fixture *f = *state;
    begin(f, 0);
    record(f, 10, 5);
    bring(f, 1);
    record(f, 30, 4);
    bring(f, 301);
    expect(f, 301, 0, 0);
    assert_int_equal(window_covered_s(f->window), 0);
    record(f, 50, 2);
    bring(f, 302);
    expect(f, 302, 2, 100);
    assert_int_equal(window_covered_s(f->window), 1);
}

static void reading_late_does_not_make_what_comes_next_old(void **state) {
    struct fixture *f = *state;
    begin(f, 0);
    record(f, 10, 1);
    expect(f, 299, 0, 0); /* a reader came first and moved the window on */
    bring(f, 299);
    expect(f, 299, 1, 10);
}

static void a_jump_far_ahead_empties_it_and_it_goes_on(void **state) {
    struct fixture *f = *state;
    begin(f, 0);
    record(f, 10, 1);
    bring(f, 1);
    int64_t far = (int64_t)1 << 40;
    expect(f, far, 0, 0);
    bring(f, far);
    record(f, 10, 1);
    bring(f, far + 1);
    expect(f, far + 1, 1, 10);
}

static void time_that_runs_backward_counts_as_the_latest(void **state) {
    struct fixture *f = *state;
    begin(f, 100);
    record(f, 10, 1);
    bring(f, 110);
    record(f, 20, 1);
    bring(f, 40);
    expect(f, 40, 2, 30);
    expect(f, 409, 2, 30);
    expect(f, 410, 0, 0);
}

static void seconds_before_zero_are_seconds_too(void **state) {
    struct fixture *f = *state;
    begin(f, -5);
    record(f, 10, 1);
    bring_at(f, -1); /* second -1 */
    expect(f, 298, 1, 10);
    expect(f, 299, 0, 0);
}

static void the_window_grows_until_it_covers_five_minutes(void **state) {
    struct fixture *f = *state;
    begin(f, 0);
    for (int second = 0; second <= 400; second++) {
        bring(f, second);
        assert_int_equal(window_covered_s(f->window),
                         second < WINDOW_SECONDS ? second : WINDOW_SECONDS);
    }
}

/* A plain model: every second's difference in full, added up anew at each step. */
struct model {
    uint64_t count[MODEL_SECONDS];
    uint64_t sum[MODEL_SECONDS];
};

static void expect_model(struct fixture *f, const struct model *model, int64_t now) {
    uint64_t count = 0;
    uint64_t sum = 0;
    for (int64_t s = now - WINDOW_SECONDS + 1 > 0 ? now - WINDOW_SECONDS + 1 : 0; s <= now; s++) {
        count += model->count[s];
        sum += model->sum[s];
    }
    expect(f, now, count, sum);
}

static void it_agrees_with_a_plain_model_on_random_loads_and_gaps(void **state) {
    struct fixture *f = *state;
    struct seeded_rng rng;
    seeded_rng_init(&rng, 42);
    struct model *model = calloc(1, sizeof *model);
    assert_non_null(model);
    begin(f, 0);
    for (int64_t now = 0; now < MODEL_SECONDS;) {
        for (uint64_t n = rng_below(&rng.base, 20); n > 0; n--) {
            uint64_t us = rng_u64(&rng.base) >> rng_below(&rng.base, 60);
            us &= 0xffffffff;
            record(f, us, 1);
            model->count[now]++;
            model->sum[now] += us;
        }
        bring(f, now);
        expect_model(f, model, now);
        now += rng_below(&rng.base, 10) == 0 ? (int64_t)rng_below(&rng.base, 200)
                                             : (int64_t)rng_below(&rng.base, 3);
    }
    free(model);
}

#define WINDOW_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        WINDOW_TEST(a_new_window_is_empty_and_covers_nothing),
        WINDOW_TEST(a_second_leaves_the_window_after_exactly_300_seconds),
        WINDOW_TEST(what_comes_within_one_second_adds_up),
        WINDOW_TEST(coming_late_is_no_loss),
        WINDOW_TEST(a_gap_as_long_as_the_window_empties_it),
        WINDOW_TEST(reading_late_does_not_make_what_comes_next_old),
        WINDOW_TEST(a_jump_far_ahead_empties_it_and_it_goes_on),
        WINDOW_TEST(time_that_runs_backward_counts_as_the_latest),
        WINDOW_TEST(seconds_before_zero_are_seconds_too),
        WINDOW_TEST(the_window_grows_until_it_covers_five_minutes),
        WINDOW_TEST(it_agrees_with_a_plain_model_on_random_loads_and_gaps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
