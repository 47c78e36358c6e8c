/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the estimate of other sizes agrees with caches that have these sizes. */
#include "cache/tiered_estimate_priv.h"

#include "l1_fixture.h"

#include <math.h>

enum { ENTRIES = 1000, GETS = 200000 };

static struct estimate estimate;

/* Against real LRU caches of the estimated sizes. */
static void run(uint64_t (*next)(struct rng *rng, int i), double error_max) {
    struct fixture caches[TIERED_ESTIMATES];
    struct tiered_estimate estimates[TIERED_ESTIMATES];
    double hits[TIERED_ESTIMATES] = {0};
    struct seeded_rng rng;
    seeded_rng_init(&rng, 7);
    estimate_init(&estimate, ENTRIES);
    estimate_read(&estimate, estimates);
    for (size_t c = 0; c < TIERED_ESTIMATES; c++) {
        assert_true(estimates[c].hit_rate < 0);
        struct l1_options options = fixture_options(L1_POLICY_LRU, estimates[c].entries);
        options.shards = 1;
        fixture_open(&caches[c], options);
    }
    for (int i = 0; i < GETS; i++) {
        char key[32];
        snprintf(key, sizeof key, "k%llu", (unsigned long long)next(&rng.base, i));
        for (size_t c = 0; c < TIERED_ESTIMATES; c++) {
            hits[c] += fixture_request(&caches[c], key);
        }
        estimate_count_all(&estimate, 1);
        uint64_t hash = l1_hash_of(caches[0].l1, slice_of(key));
        if (estimate_samples(&estimate, hash)) {
            estimate_count(&estimate, hash);
        }
    }
    estimate_read(&estimate, estimates);
    for (size_t c = 0; c < TIERED_ESTIMATES; c++) {
        double truth = hits[c] / GETS;
        if (fabs(estimates[c].hit_rate - truth) > error_max) {
            print_error("%u entries: estimated %f, real %f\n", estimates[c].entries,
                        estimates[c].hit_rate, truth);
            fail();
        }
        fixture_close(&caches[c]);
    }
}

static uint64_t evenly(struct rng *rng, int i) {
    (void)i;
    return rng_below(rng, 3000);
}

/* Close to Zipf with exponent 1 over 20,000 keys. */
static uint64_t skewed(struct rng *rng, int i) {
    (void)i;
    return (uint64_t)(pow(20000, rng_unit(rng)));
}

static uint64_t in_a_loop(struct rng *rng, int i) {
    (void)rng;
    return (uint64_t)i % 3000;
}

static void even_use_is_estimated(void **state) {
    (void)state;
    run(evenly, 0.05);
}

static void skewed_use_is_estimated(void **state) {
    (void)state;
    run(skewed, 0.05);
}

static void a_loop_misses_until_it_fits(void **state) {
    (void)state;
    run(in_a_loop, 0.03);
}

static void small_caches_sample_every_key(void **state) {
    (void)state;
    struct tiered_estimate estimates[TIERED_ESTIMATES];
    estimate_init(&estimate, 1);
    for (uint64_t i = 0; i < 3000; i++) {
        assert_true(estimate_samples(&estimate, i));
        estimate_count_all(&estimate, 1);
        estimate_count(&estimate, 1 + i % 2);
    }
    estimate_read(&estimate, estimates);
    assert_int_equal(estimates[1].entries, 1);
    assert_true(estimates[1].hit_rate < 0.01);
    assert_int_equal(estimates[2].entries, 2);
    assert_true(estimates[2].hit_rate > 0.99);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(even_use_is_estimated),
        cmocka_unit_test(skewed_use_is_estimated),
        cmocka_unit_test(a_loop_misses_until_it_fits),
        cmocka_unit_test(small_caches_sample_every_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
