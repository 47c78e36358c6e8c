/* SPDX-License-Identifier: Apache-2.0 */
/* What each policy keeps, on traces short enough to follow by hand, and on loads that tell them
 * apart. */
#include "l1_fixture.h"

static int hits_on(enum l1_policy_e policy, uint32_t entries, const char *trace) {
    struct fixture f;
    fixture_open(&f, fixture_options(policy, entries));
    int hits = 0;
    for (; *trace != '\0'; trace++) {
        hits += fixture_request(&f, (char[]){*trace, '\0'});
        l1_check(f.l1);
    }
    fixture_close(&f);
    return hits;
}

static void hit_ratios_of_short_traces_are_as_by_hand(void **state) {
    (void)state;
    static const struct {
        enum l1_policy_e policy;
        uint32_t entries;
        const char *trace;
        int hits;
    } rows[] = {
        {L1_POLICY_LRU, 1, "aabbab", 2},
        {L1_POLICY_LRU, 3, "abcabc", 3},
        {L1_POLICY_LRU, 3, "abcdabcd", 0},
        /* a, b, c in; a hit; d pushes b out; a hit; b pushes c out; d, a hit; c pushes b out. */
        {L1_POLICY_LRU, 3, "abcadabdac", 4},
        /* The textbook's trace with three frames: ten faults in twelve for LRU. */
        {L1_POLICY_LRU, 3, "123412512345", 2},
        {L1_POLICY_SIEVE, 1, "aabbab", 2},
        {L1_POLICY_SIEVE, 3, "abcdabcd", 0},
        /* a is marked. d: the hand passes a, evicts b, stands at c. e: evicts c, stands at d.
         * a hit. f: evicts d. a hit. */
        {L1_POLICY_SIEVE, 3, "abcadeafa", 3},
        {L1_POLICY_S3FIFO, 3, "abcabc", 3},
        {L1_POLICY_TINYLFU, 3, "abcabc", 3},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int hits = hits_on(rows[i].policy, rows[i].entries, rows[i].trace);
        if (hits != rows[i].hits) {
            fail_msg("%s with %u on %s: %d hits, not %d", l1_policy_name(rows[i].policy),
                     rows[i].entries, rows[i].trace, hits, rows[i].hits);
        }
    }
}

static uint64_t hits_on_numbers(enum l1_policy_e policy, const int *keys, size_t len) {
    struct fixture f;
    fixture_open(&f, fixture_options(policy, 100));
    for (size_t i = 0; i < len; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", keys[i]);
        fixture_request(&f, key);
    }
    uint64_t hits = fixture_counters(&f).hits;
    fixture_close(&f);
    return hits;
}

enum { LONG = 40000 };

/* Eighty keys in use, with a scan over 400 that never come back after every 800 requests: LRU loses
 * all of them each time. */
static void scan_does_not_wash_out_what_is_used(void **state) {
    (void)state;
    static int keys[LONG];
    struct seeded_rng rng;
    seeded_rng_init(&rng, 5);
    int fresh = 1000;
    for (int i = 0; i < LONG; i++) {
        keys[i] = i % 1200 < 800 ? (int)rng_below(&rng.base, 80) : fresh++;
    }
    uint64_t lru = hits_on_numbers(L1_POLICY_LRU, keys, LONG);
    assert_true(hits_on_numbers(L1_POLICY_S3FIFO, keys, LONG) > lru + LONG / 20);
    assert_true(hits_on_numbers(L1_POLICY_SIEVE, keys, LONG) > lru + LONG / 20);
    assert_true(hits_on_numbers(L1_POLICY_TINYLFU, keys, LONG) > lru + LONG / 20);
}

/* A loop a tenth longer than the cache: LRU never hits. */
static void loop_longer_than_the_cache_is_partly_kept(void **state) {
    (void)state;
    static int keys[LONG];
    for (int i = 0; i < LONG; i++) {
        keys[i] = i % 110;
    }
    assert_int_equal(hits_on_numbers(L1_POLICY_LRU, keys, LONG), 0);
    assert_true(hits_on_numbers(L1_POLICY_S3FIFO, keys, LONG) > LONG / 2);
}

/* Keys in use move on steadily: where S3-FIFO with fixed settings loses 15 points to LRU, the duel
 * keeps within 1.5. */
static void drifting_keys_cost_no_more_than_with_lru(void **state) {
    (void)state;
    static int keys[LONG];
    struct seeded_rng rng;
    seeded_rng_init(&rng, 6);
    for (int i = 0; i < LONG; i++) {
        keys[i] = i / 4 + (int)rng_below(&rng.base, 90);
    }
    uint64_t lru = hits_on_numbers(L1_POLICY_LRU, keys, LONG);
    assert_true(hits_on_numbers(L1_POLICY_S3FIFO, keys, LONG) + LONG * 15 / 1000 > lru);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hit_ratios_of_short_traces_are_as_by_hand),
        cmocka_unit_test(scan_does_not_wash_out_what_is_used),
        cmocka_unit_test(loop_longer_than_the_cache_is_partly_kept),
        cmocka_unit_test(drifting_keys_cost_no_more_than_with_lru),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
