/* SPDX-License-Identifier: Apache-2.0 */
/* Buckets cover every value once; quantiles agree with an exact sort; a reader never sees less. */
#include "base/rng.h"
#include "stat/histogram.h"

#include <math.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>

#include <cmocka.h>

enum { VALUES = 20000, THREAD_VALUES = 200000 };

static const uint64_t largest = ((uint64_t)1 << HISTOGRAM_VALUE_BITS) - 1;

static void buckets_follow_each_other_without_gap_or_overlap(void **state) {
    (void)state;
    uint64_t next = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        assert_int_equal(histogram_lowest(i), next);
        assert_int_equal(histogram_bucket(next), i);
        next += histogram_width(i);
        assert_int_equal(histogram_bucket(next - 1), i);
    }
    assert_int_equal(next, largest + 1);
}

static void the_middle_of_a_bucket_is_within_one_part_in_128(void **state) {
    (void)state;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        double lowest = (double)histogram_lowest(i);
        double half = (double)(histogram_width(i) - 1) / 2;
        assert_true(half <= lowest / 128);
    }
}

static void values_beyond_the_range_count_in_the_last_bucket(void **state) {
    (void)state;
    assert_int_equal(histogram_bucket(largest), HISTOGRAM_BUCKETS - 1);
    assert_int_equal(histogram_bucket(largest + 1), HISTOGRAM_BUCKETS - 1);
    assert_int_equal(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

/* Six shapes of latency, in microseconds. */
typedef double (*draw_fn)(struct rng *rng);

static double draw_constant(struct rng *rng) {
    (void)rng;
    return 1234;
}

static double draw_uniform(struct rng *rng) {
    return 1e6 * rng_unit(rng);
}

static double draw_exponential(struct rng *rng) {
    return -800 * log(1 - rng_unit(rng));
}

static double draw_log_normal(struct rng *rng) {
    double normal = sqrt(-2 * log(1 - rng_unit(rng))) * cos(2 * M_PI * rng_unit(rng));
    return exp(7 + 1.5 * normal);
}

static double draw_bimodal(struct rng *rng) { /* hits and misses of a cache */
    return rng_unit(rng) < 0.9 ? 40 + 20 * rng_unit(rng) : 9000 + 4000 * rng_unit(rng);
}

static double draw_pareto(struct rng *rng) { /* a heavy tail, some beyond a minute */
    return fmin(200 * pow(1 - rng_unit(rng), -1 / 0.9), (double)largest);
}

static int compare(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static double exact_quantile(const uint64_t *sorted, double quantile) {
    double rank = ceil(quantile * VALUES);
    return (double)sorted[rank < 1 ? 0 : (size_t)rank - 1];
}

static void check_distribution(draw_fn draw, uint64_t seed) {
    static const double quantiles[] = {0, 0.001, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1};
    struct seeded_rng rng;
    seeded_rng_init(&rng, seed);
    struct histogram *histogram = calloc(1, sizeof *histogram);
    struct histogram_snapshot *snapshot = calloc(1, sizeof *snapshot);
    uint64_t *values = malloc(VALUES * sizeof *values);
    assert_non_null(histogram);
    assert_non_null(snapshot);
    assert_non_null(values);
    double sum = 0;
    for (size_t i = 0; i < VALUES; i++) {
        values[i] = (uint64_t)draw(&rng.base);
        sum += (double)values[i];
        histogram_record(histogram, values[i]);
    }
    histogram_collect(histogram, snapshot);
    qsort(values, VALUES, sizeof *values, compare);
    for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++) {
        double exact = exact_quantile(values, quantiles[i]);
        double told = histogram_quantile(snapshot, quantiles[i]);
        assert_true(fabs(told - exact) <= exact / 128);
    }
    assert_int_equal(histogram_count(snapshot), VALUES);
    assert_true(fabs(histogram_average(snapshot) - sum / VALUES) <= 1e-9 * sum);
    free(values);
    free(snapshot);
    free(histogram);
}

static void quantiles_agree_with_an_exact_sort_on_six_distributions(void **state) {
    (void)state;
    static const draw_fn shapes[] = {draw_constant,   draw_uniform, draw_exponential,
                                     draw_log_normal, draw_bimodal, draw_pareto};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        check_distribution(shapes[i], 1000 + i);
    }
}

static void an_empty_histogram_says_zero(void **state) {
    (void)state;
    struct histogram_snapshot empty = {.sum = 0};
    assert_true(histogram_quantile(&empty, 0.5) == 0);
    assert_true(histogram_average(&empty) == 0);
    assert_int_equal(histogram_count_until(&empty, UINT64_MAX), 0);
}

/* Puts `count` values into a snapshot. */
static void put(struct histogram_snapshot *snapshot, uint64_t us, uint64_t count) {
    struct histogram_growth growth = {.sum = us * count, .len = 1};
    growth.grown[0] = (struct histogram_grown){(uint32_t)histogram_bucket(us), count};
    histogram_grow(snapshot, &growth);
}

static void a_single_value_is_every_quantile(void **state) {
    (void)state;
    struct histogram_snapshot snapshot = {.sum = 0};
    put(&snapshot, 100, 1);
    assert_true(histogram_quantile(&snapshot, 0) == 100);
    assert_true(histogram_quantile(&snapshot, 0.5) == 100);
    assert_true(histogram_quantile(&snapshot, 1) == 100);
}

static void a_bucket_that_reaches_beyond_the_bound_does_not_count_until_it(void **state) {
    (void)state;
    struct histogram_snapshot snapshot = {.sum = 0};
    put(&snapshot, 100, 3);
    put(&snapshot, 1000, 5); /* 1000..1007 */
    assert_int_equal(histogram_count_until(&snapshot, 99), 0);
    assert_int_equal(histogram_count_until(&snapshot, 100), 3);
    assert_int_equal(histogram_count_until(&snapshot, 1006), 3);
    assert_int_equal(histogram_count_until(&snapshot, 1007), 8);
    assert_int_equal(histogram_count_until(&snapshot, UINT64_MAX), 8);
}

/* By the sums of cells, as if there were no octaves. */
static uint64_t plain_count_until(const struct histogram_snapshot *snapshot, uint64_t us) {
    uint64_t count = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        bool is_within = histogram_lowest(i) + histogram_width(i) - 1 <= us;
        count += is_within ? snapshot->cells[i] : 0;
    }
    return count;
}

static void octaves_change_no_count(void **state) {
    (void)state;
    struct seeded_rng rng;
    struct histogram_snapshot snapshot = {.sum = 0};
    seeded_rng_init(&rng, 5);
    for (int i = 0; i < 500; i++) {
        put(&snapshot, rng_u64(&rng.base) >> (30 + rng_below(&rng.base, 34)), 1 + i % 3);
    }
    for (int i = 0; i < 2000; i++) {
        uint64_t us = rng_u64(&rng.base) >> (30 + rng_below(&rng.base, 34));
        assert_int_equal(histogram_count_until(&snapshot, us), plain_count_until(&snapshot, us));
    }
}

static bool are_equal(const struct histogram_snapshot *a, const struct histogram_snapshot *b) {
    return memcmp(a, b, sizeof *a) == 0;
}

/* Growth after growth, of three histograms that are hit now and then, is what they hold; and adding
 * and subtracting snapshots is the same. */
static void growths_add_up_to_what_is_there(void **state) {
    (void)state;
    enum { HISTOGRAMS = 3, ROUNDS = 50 };
    struct histogram *three = calloc(HISTOGRAMS, sizeof *three);
    const struct histogram *const all[] = {&three[0], &three[1], &three[2]};
    struct histogram_snapshot *kept = calloc(3, sizeof *kept); /* seen, a sum, what there is */
    struct histogram_growth *growth = calloc(1, sizeof *growth);
    assert_true(three != NULL && kept != NULL && growth != NULL);
    struct seeded_rng rng;
    seeded_rng_init(&rng, 6);
    for (int round = 0; round < ROUNDS; round++) {
        size_t values = rng_below(&rng.base, 40) * (round % 3 > 0);
        for (size_t i = 0; i < values; i++) {
            uint64_t us = rng_u64(&rng.base) >> (32 + rng_below(&rng.base, 32));
            histogram_record(&three[rng_below(&rng.base, HISTOGRAMS)], us);
        }
        histogram_growth(all, HISTOGRAMS, &kept[0], growth);
        assert_true(growth->len <= values);
        histogram_grow(&kept[0], growth);
        kept[2] = (struct histogram_snapshot){.sum = 0};
        for (size_t i = 0; i < HISTOGRAMS; i++) {
            histogram_collect(&three[i], &kept[2]);
        }
        assert_true(are_equal(&kept[0], &kept[2]));
        histogram_subtract(&kept[2], &kept[1]); /* what has grown since the last round */
        histogram_add(&kept[1], &kept[2]);
        assert_true(are_equal(&kept[0], &kept[1]));
    }
    free(growth);
    free(kept);
    free(three);
}

static void several_histograms_collect_into_one(void **state) {
    (void)state;
    struct histogram *two = calloc(2, sizeof *two);
    struct histogram_snapshot *snapshot = calloc(1, sizeof *snapshot);
    assert_non_null(two);
    assert_non_null(snapshot);
    histogram_record(&two[0], 7);
    histogram_record(&two[1], 7);
    histogram_record(&two[1], 70);
    histogram_collect(&two[0], snapshot);
    histogram_collect(&two[1], snapshot);
    assert_int_equal(snapshot->cells[7], 2);
    assert_int_equal(histogram_count(snapshot), 3);
    assert_int_equal(snapshot->sum, 84);
    free(snapshot);
    free(two);
}

struct writer {
    struct histogram histogram;
    atomic_bool done;
};

static int write_values(void *data) {
    struct writer *writer = data;
    for (uint64_t i = 0; i < THREAD_VALUES; i++) {
        histogram_record(&writer->histogram, i % 5000);
    }
    atomic_store(&writer->done, true);
    return 0;
}

/* Run under the thread sanitizer as well: there a plain access would be reported. */
static void a_reader_beside_the_writer_sees_counts_that_only_grow(void **state) {
    (void)state;
    struct writer *writer = calloc(1, sizeof *writer);
    struct histogram_snapshot *snapshot = calloc(1, sizeof *snapshot);
    assert_non_null(writer);
    assert_non_null(snapshot);
    thrd_t thread;
    assert_int_equal(thrd_create(&thread, write_values, writer), thrd_success);
    uint64_t before = 0;
    for (bool last = false; !last;) {
        last = atomic_load(&writer->done);
        *snapshot = (struct histogram_snapshot){.sum = 0};
        histogram_collect(&writer->histogram, snapshot);
        uint64_t now = histogram_count(snapshot);
        assert_true(now >= before && now <= THREAD_VALUES);
        before = now;
    }
    thrd_join(thread, NULL);
    assert_int_equal(before, THREAD_VALUES);
    free(snapshot);
    free(writer);
}

/* Whatever a growth misses while it is written is in the next one. */
static void growths_beside_the_writer_lose_nothing(void **state) {
    (void)state;
    struct writer *writer = calloc(1, sizeof *writer);
    struct histogram_snapshot *kept = calloc(2, sizeof *kept);
    struct histogram_growth *growth = calloc(1, sizeof *growth);
    assert_true(writer != NULL && kept != NULL && growth != NULL);
    const struct histogram *const all[] = {&writer->histogram};
    thrd_t thread;
    assert_int_equal(thrd_create(&thread, write_values, writer), thrd_success);
    for (bool last = false; !last;) {
        last = atomic_load(&writer->done);
        histogram_growth(all, 1, &kept[0], growth);
        histogram_grow(&kept[0], growth);
        assert_true(histogram_count(&kept[0]) <= THREAD_VALUES);
    }
    thrd_join(thread, NULL);
    histogram_collect(&writer->histogram, &kept[1]);
    assert_int_equal(histogram_count(&kept[1]), THREAD_VALUES);
    assert_true(are_equal(&kept[0], &kept[1]));
    free(growth);
    free(kept);
    free(writer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_follow_each_other_without_gap_or_overlap),
        cmocka_unit_test(the_middle_of_a_bucket_is_within_one_part_in_128),
        cmocka_unit_test(values_beyond_the_range_count_in_the_last_bucket),
        cmocka_unit_test(quantiles_agree_with_an_exact_sort_on_six_distributions),
        cmocka_unit_test(an_empty_histogram_says_zero),
        cmocka_unit_test(a_single_value_is_every_quantile),
        cmocka_unit_test(a_bucket_that_reaches_beyond_the_bound_does_not_count_until_it),
        cmocka_unit_test(octaves_change_no_count),
        cmocka_unit_test(growths_add_up_to_what_is_there),
        cmocka_unit_test(growths_beside_the_writer_lose_nothing),
        cmocka_unit_test(several_histograms_collect_into_one),
        cmocka_unit_test(a_reader_beside_the_writer_sees_counts_that_only_grow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
