/* SPDX-License-Identifier: Apache-2.0 */
/* The contract of the in-process cache, the same for every policy. */
#include "l1_fixture.h"

#include <string.h>

#define EACH_POLICY(p)                                                                             \
    for (enum l1_policy_e p = (enum l1_policy_e)0; p < L1_POLICY_COUNT;                            \
         p = (enum l1_policy_e)(p + 1))

static const int64_t second_us = 1000000;

static void value_that_was_filled_is_got(void **state) {
    (void)state;
    EACH_POLICY(policy) {
        struct fixture f;
        fixture_open(&f, fixture_options(policy, 10));
        assert_int_equal(fixture_get(&f, "gate", NULL), L1_MISS);
        assert_int_equal(fixture_fill(&f, "gate", "north"), L1_FILL_LANDED);
        assert_int_equal(fixture_get(&f, "gate", NULL), L1_HIT);
        assert_true(slice_eq_text(buf_slice(&f.value), "north"));
        assert_int_equal(fixture_fill(&f, "gate", "a longer value than before"), L1_FILL_LANDED);
        assert_int_equal(fixture_get(&f, "gate", NULL), L1_HIT);
        assert_true(slice_eq_text(buf_slice(&f.value), "a longer value than before"));
        assert_int_equal(fixture_counters(&f).entries, 1);
        l1_check(f.l1);
        fixture_close(&f);
    }
}

static void keys_are_any_bytes_up_to_the_longest(void **state) {
    (void)state;
    char key[L1_KEY_MAX];
    for (size_t i = 0; i < sizeof key; i++) {
        key[i] = (char)i;
    }
    EACH_POLICY(policy) {
        struct fixture f;
        fixture_open(&f, fixture_options(policy, 2000));
        for (size_t len = 1; len <= sizeof key; len++) {
            struct slice k = slice_from(key, len);
            struct l1_ticket ticket = l1_begin_fill(f.l1, k, f.now_us);
            assert_int_equal(l1_fill(f.l1, &ticket, k, k, f.now_us), L1_FILL_LANDED);
        }
        for (size_t len = 1; len <= sizeof key; len++) {
            struct l1_ticket ticket;
            buf_clear(&f.value);
            assert_int_equal(
                l1_get(f.reader, slice_from(key, len), f.now_us, &f.value, &ticket), L1_HIT);
            assert_true(slice_eq(buf_slice(&f.value), slice_from(key, len)));
        }
        fixture_close(&f);
    }
}

/* Bounds hold after every step, whatever the sizes, for caches down to one entry. */
static void bounds_hold_after_every_step(void **state) {
    (void)state;
    static const uint32_t sizes[] = {1, 2, 3, 7, 50, 300};
    static char filler[600];
    memset(filler, 'x', sizeof filler);
    EACH_POLICY(policy) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            struct l1_options options = fixture_options(policy, sizes[i]);
            options.bytes = 6000;
            struct fixture f;
            fixture_open(&f, options);
            struct seeded_rng rng;
            seeded_rng_init(&rng, 7 + i);
            for (int step = 0; step < 4000; step++) {
                char key[32];
                snprintf(key, sizeof key, "k%d", (int)rng_below(&rng.base, 3 * sizes[i] + 3));
                struct slice k = slice_of(key);
                struct l1_ticket ticket;
                buf_clear(&f.value);
                if (l1_get(f.reader, k, f.now_us, &f.value, &ticket) == L1_MISS) {
                    struct slice v = slice_from(filler, rng_below(&rng.base, sizeof filler));
                    assert_int_equal(l1_fill(f.l1, &ticket, k, v, f.now_us), L1_FILL_LANDED);
                    assert_int_equal(l1_get(f.reader, k, f.now_us, &f.value, &ticket), L1_HIT);
                }
                struct l1_counters now = fixture_counters(&f);
                assert_true(now.entries <= sizes[i] && now.bytes <= 6000 && now.entries > 0);
                if (step % 50 == 0) {
                    l1_check(f.l1);
                }
            }
            struct l1_counters end = fixture_counters(&f);
            assert_true(end.left[L1_LEAVE_ENTRIES] + end.left[L1_LEAVE_BYTES] > 0);
            fixture_close(&f);
        }
    }
}

static void trimming_takes_no_more_than_is_asked_or_there(void **state) {
    (void)state;
    EACH_POLICY(policy) {
        static const uint32_t shards[] = {1, 4};
        for (size_t i = 0; i < sizeof shards / sizeof *shards; i++) {
            struct l1_options options = fixture_options(policy, 100);
            options.shards = shards[i];
            struct fixture f;
            fixture_open(&f, options);
            for (int n = 0; n < 40; n++) {
                char key[16];
                snprintf(key, sizeof key, "k%d", n);
                fixture_request(&f, key);
            }
            uint64_t before = fixture_counters(&f).entries, gone = l1_trim(f.l1, 8);
            assert_true(gone > 0 && gone <= 8);
            assert_int_equal(fixture_counters(&f).entries, before - gone);
            assert_int_equal(l1_trim(f.l1, 0), 0);
            l1_check(f.l1);
            assert_int_equal(l1_trim(f.l1, 10000), before - gone);
            assert_int_equal(fixture_counters(&f).entries, 0);
            assert_int_equal(l1_trim(f.l1, 10000), 0);
            l1_check(f.l1);
            fixture_close(&f);
        }
    }
}

static void entry_expires_exactly_at_its_time(void **state) {
    (void)state;
    EACH_POLICY(policy) {
        struct l1_options options = fixture_options(policy, 10);
        options.ttl_us = 300 * second_us;
        struct fixture f;
        fixture_open(&f, options);
        fixture_fill(&f, "k", "v");
        f.now_us += 300 * second_us - 1;
        assert_int_equal(fixture_get(&f, "k", NULL), L1_HIT);
        f.now_us += 1;
        assert_int_equal(fixture_get(&f, "k", NULL), L1_MISS);
        assert_int_equal(fixture_counters(&f).misses[L1_MISS_EXPIRED], 1);
        assert_false(fixture_request(&f, "k"));
        assert_true(fixture_request(&f, "k"));
        l1_check(f.l1);
        fixture_close(&f);
    }
}

/* With 20 % of jitter lives lie in (80 %, 100 %] and differ, so that what was filled together does
 * not expire together. */
static void jitter_shortens_lives_and_never_lengthens_them(void **state) {
    (void)state;
    struct l1_options options = fixture_options(L1_POLICY_S3FIFO, 1000);
    options.ttl_us = 100 * second_us;
    options.jitter_percent = 20;
    struct fixture f;
    fixture_open(&f, options);
    int alive[3] = {0};
    static const int64_t after_s[3] = {79, 90, 100};
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 500; k++) {
            char key[16];
            snprintf(key, sizeof key, "%d", k);
            fixture_fill(&f, key, "v");
        }
        f.now_us += after_s[i] * second_us;
        for (int k = 0; k < 500; k++) {
            char key[16];
            snprintf(key, sizeof key, "%d", k);
            alive[i] += fixture_get(&f, key, NULL) == L1_HIT;
        }
    }
    assert_int_equal(alive[0], 500);
    assert_in_range(alive[1], 150, 350);
    assert_int_equal(alive[2], 0);
    fixture_close(&f);
}

static void absence_is_remembered_for_its_own_shorter_time(void **state) {
    (void)state;
    EACH_POLICY(policy) {
        struct l1_options options = fixture_options(policy, 10);
        options.absent_ttl_us = second_us;
        struct fixture f;
        fixture_open(&f, options);
        struct l1_ticket ticket;
        assert_int_equal(fixture_get(&f, "nobody", &ticket), L1_MISS);
        assert_int_equal(l1_fill_absent(f.l1, &ticket, slice_of("nobody"), f.now_us),
                         L1_FILL_LANDED);
        f.now_us += second_us - 1;
        assert_int_equal(fixture_get(&f, "nobody", NULL), L1_HIT_ABSENT);
        assert_int_equal(fixture_counters(&f).hits_absent, 1);
        f.now_us += 1;
        assert_int_equal(fixture_get(&f, "nobody", NULL), L1_MISS);
        fixture_fill(&f, "nobody", "somebody");
        f.now_us += 1000 * second_us;
        assert_int_equal(fixture_get(&f, "nobody", NULL), L1_HIT);
        fixture_close(&f);
    }
}

static void invalidation_by_key_pattern_and_all(void **state) {
    (void)state;
    static const char *const keys[] = {"stats:a", "stats:b", "gate:a", "config"};
    EACH_POLICY(policy) {
        struct fixture f;
        fixture_open(&f, fixture_options(policy, 10));
        for (int i = 0; i < 4; i++) {
            fixture_fill(&f, keys[i], "v");
        }
        assert_int_equal(l1_invalidate(f.l1, slice_of("config")), 1);
        assert_int_equal(l1_invalidate(f.l1, slice_of("config")), 0);
        assert_int_equal(fixture_get(&f, "config", NULL), L1_MISS);
        assert_int_equal(l1_invalidate_matching(f.l1, slice_of("stats:*")), 2);
        assert_int_equal(fixture_get(&f, "stats:a", NULL), L1_MISS);
        assert_int_equal(fixture_get(&f, "gate:a", NULL), L1_HIT);
        assert_int_equal(fixture_counters(&f).misses[L1_MISS_INVALIDATED], 2);
        l1_check(f.l1);
        fixture_fill(&f, "config", "v");
        assert_int_equal(l1_invalidate_all(f.l1), 2);
        assert_int_equal(fixture_counters(&f).entries, 0);
        assert_int_equal(fixture_counters(&f).bytes, 0);
        assert_false(fixture_request(&f, "gate:a"));
        l1_check(f.l1);
        fixture_close(&f);
    }
}

/* The race that left stale entries for ever: read the truth, somebody changes and invalidates it,
 * then the old truth is filled. Once per way of invalidating, for a key that is cached and one that
 * is not. */
static void fill_that_began_before_an_invalidation_never_lands(void **state) {
    (void)state;
    static const char *const patterns[] = {NULL, "stats:*", "*"};
    EACH_POLICY(policy) {
        for (int i = 0; i < 6; i++) {
            struct fixture f;
            fixture_open(&f, fixture_options(policy, 10));
            if (i >= 3) {
                fixture_fill(&f, "stats:a", "old");
            }
            struct l1_ticket ticket = l1_begin_fill(f.l1, slice_of("stats:a"), f.now_us);
            if (patterns[i % 3] == NULL) {
                l1_invalidate(f.l1, slice_of("stats:a"));
            } else {
                l1_invalidate_matching(f.l1, slice_of(patterns[i % 3]));
            }
            assert_int_equal(
                l1_fill(f.l1, &ticket, slice_of("stats:a"), slice_of("old"), f.now_us),
                L1_FILL_OUTDATED);
            assert_int_equal(
                l1_fill_absent(f.l1, &ticket, slice_of("stats:a"), f.now_us), L1_FILL_OUTDATED);
            assert_int_equal(fixture_get(&f, "stats:a", NULL), L1_MISS);
            assert_int_equal(fixture_counters(&f).fills_outdated, 2);
            assert_int_equal(fixture_fill(&f, "stats:a", "new"), L1_FILL_LANDED);
            fixture_close(&f);
        }
    }
}

static void invalidating_other_keys_lets_a_fill_land(void **state) {
    (void)state;
    struct fixture f;
    fixture_open(&f, fixture_options(L1_POLICY_S3FIFO, 10));
    struct l1_ticket ticket = l1_begin_fill(f.l1, slice_of("gate:a"), f.now_us);
    l1_invalidate_matching(f.l1, slice_of("stats:*"));
    assert_int_equal(l1_fill(f.l1, &ticket, slice_of("gate:a"), slice_of("v"), f.now_us),
                     L1_FILL_LANDED);
    fixture_close(&f);
}

/* What the log of patterns no longer knows, or could not keep in full, counts against the fill. */
static void fill_older_than_the_pattern_log_is_refused(void **state) {
    (void)state;
    struct fixture f;
    fixture_open(&f, fixture_options(L1_POLICY_S3FIFO, 10));
    struct l1_ticket ticket = l1_begin_fill(f.l1, slice_of("gate:a"), f.now_us);
    l1_invalidate_matching(f.l1, slice_of("gate:*"));
    for (int i = 0; i < 16; i++) {
        l1_invalidate_matching(f.l1, slice_of("stats:*"));
    }
    assert_int_equal(l1_fill(f.l1, &ticket, slice_of("gate:a"), slice_of("v"), f.now_us),
                     L1_FILL_OUTDATED);
    ticket = l1_begin_fill(f.l1, slice_of("gate:a"), f.now_us);
    char pattern[100];
    memset(pattern, '*', sizeof pattern);
    l1_invalidate_matching(f.l1, slice_from(pattern, sizeof pattern));
    assert_int_equal(l1_fill(f.l1, &ticket, slice_of("gate:a"), slice_of("v"), f.now_us),
                     L1_FILL_OUTDATED);
    fixture_close(&f);
}

static void miss_is_counted_under_its_cause(void **state) {
    (void)state;
    EACH_POLICY(policy) {
        struct l1_options options = fixture_options(policy, 1);
        options.ttl_us = second_us;
        struct fixture f;
        fixture_open(&f, options);
        fixture_request(&f, "a");                 /* cold */
        fixture_fill(&f, "b", "v");               /* a is evicted */
        fixture_get(&f, "a", NULL);               /* evicted */
        l1_invalidate(f.l1, slice_of("b"));
        fixture_get(&f, "b", NULL);               /* invalidated */
        fixture_fill(&f, "a", "v");
        f.now_us += second_us;
        fixture_get(&f, "a", NULL);               /* expired, still here */
        fixture_fill(&f, "b", "v");               /* a is reaped */
        fixture_get(&f, "a", NULL);               /* expired, gone */
        struct l1_counters counters = fixture_counters(&f);
        assert_int_equal(counters.misses[L1_MISS_COLD], 1);
        assert_int_equal(counters.misses[L1_MISS_EVICTED], 1);
        assert_int_equal(counters.misses[L1_MISS_INVALIDATED], 1);
        assert_int_equal(counters.misses[L1_MISS_EXPIRED], 2);
        assert_int_equal(l1_misses(&counters), 5);
        assert_int_equal(counters.left[L1_LEAVE_ENTRIES], 1);
        assert_int_equal(counters.left[L1_LEAVE_INVALIDATED], 1);
        assert_int_equal(counters.left[L1_LEAVE_EXPIRED], 1);
        fixture_close(&f);
    }
}

/* Who only wants to know whether it must be read says nothing about what is asked for. */
static void a_peek_sees_what_a_get_would_and_counts_nothing(void **state) {
    (void)state;
    EACH_POLICY(policy) {
        struct l1_options options = fixture_options(policy, 10);
        options.ttl_us = second_us;
        struct fixture f;
        struct buf value;
        fixture_open(&f, options);
        buf_init(&value, 64);
        fixture_fill(&f, "k", "v");
        assert_int_equal(l1_peek(f.reader, SLICE_LIT("k"), f.now_us, &value), L1_HIT);
        assert_true(slice_eq_text(buf_slice(&value), "v"));
        assert_int_equal(l1_peek(f.reader, SLICE_LIT("x"), f.now_us, &value), L1_MISS);
        f.now_us += second_us;
        assert_int_equal(l1_peek(f.reader, SLICE_LIT("k"), f.now_us, &value), L1_MISS);
        struct l1_counters counters = fixture_counters(&f);
        assert_int_equal(counters.hits + l1_misses(&counters), 0);
        buf_fini(&value);
        fixture_close(&f);
    }
}

/* XFetch: the chance to be asked grows towards the end, and with how long the fetch took; one is
 * asked at a time. */
static void hot_entry_is_refreshed_early_by_one_reader(void **state) {
    (void)state;
    struct l1_options options = fixture_options(L1_POLICY_S3FIFO, 10);
    options.ttl_us = 100 * second_us;
    struct fixture f;
    fixture_open(&f, options);
    struct l1_ticket ticket = l1_begin_fill(f.l1, slice_of("k"), f.now_us);
    f.now_us += second_us; /* a fetch of one second */
    l1_fill(f.l1, &ticket, slice_of("k"), slice_of("v1"), f.now_us);
    f.now_us += 60 * second_us;
    for (int i = 0; i < 10000; i++) {
        assert_int_equal(fixture_get(&f, "k", NULL), L1_HIT); /* 40 s before the end: e^-40 */
    }
    f.now_us += 39 * second_us;
    int asked = 0;
    for (int i = 0; i < 1000; i++) {
        asked += fixture_get(&f, "k", &ticket) == L1_HIT_REFRESH; /* e^-1 each */
        assert_true(slice_eq_text(buf_slice(&f.value), "v1"));
    }
    assert_int_equal(asked, 1);
    l1_abandon(f.l1, slice_of("k"));
    for (int i = 0; i < 1000; i++) {
        asked += fixture_get(&f, "k", &ticket) == L1_HIT_REFRESH;
    }
    assert_int_equal(asked, 2);
    assert_int_equal(fixture_counters(&f).refreshes, 2);
    assert_int_equal(l1_fill(f.l1, &ticket, slice_of("k"), slice_of("v2"), f.now_us),
                     L1_FILL_LANDED);
    f.now_us += 50 * second_us;
    assert_int_equal(fixture_get(&f, "k", NULL), L1_HIT);
    assert_true(slice_eq_text(buf_slice(&f.value), "v2"));
    fixture_close(&f);
}

static void value_that_is_too_large_is_refused_and_the_old_one_goes(void **state) {
    (void)state;
    static char big[2000];
    memset(big, 'x', sizeof big);
    EACH_POLICY(policy) {
        struct l1_options options = fixture_options(policy, 10);
        options.bytes = 8000;
        struct fixture f;
        fixture_open(&f, options);
        fixture_fill(&f, "k", "small");
        struct l1_ticket ticket = l1_begin_fill(f.l1, slice_of("k"), f.now_us);
        assert_int_equal(
            l1_fill(f.l1, &ticket, slice_of("k"), slice_from(big, sizeof big), f.now_us),
            L1_FILL_TOO_LARGE);
        assert_int_equal(fixture_get(&f, "k", NULL), L1_MISS);
        assert_int_equal(fixture_counters(&f).fills_refused, 1);
        l1_check(f.l1);
        fixture_close(&f);
    }
}

static void value_that_does_not_fit_the_buffer_is_a_miss(void **state) {
    (void)state;
    struct fixture f;
    fixture_open(&f, fixture_options(L1_POLICY_LRU, 10));
    fixture_fill(&f, "k", "four");
    struct buf three;
    buf_init(&three, 3);
    struct l1_ticket ticket;
    assert_int_equal(l1_get(f.reader, slice_of("k"), f.now_us, &three, &ticket), L1_MISS);
    assert_int_equal(three.len, 0);
    assert_int_equal(fixture_counters(&f).misses[L1_MISS_NO_ROOM], 1);
    buf_fini(&three);
    fixture_close(&f);
}

static void options_out_of_range_are_named(void **state) {
    (void)state;
    struct l1_options rows[7];
    static const char *const fields[7] = {"entries", "entries", "bytes", "ttl",
                                          "jitter",  "shards",  "shards"};
    for (int i = 0; i < 7; i++) {
        rows[i] = l1_options_default();
    }
    rows[0].entries = 0;
    rows[1].entries = L1_ENTRIES_MAX + 1;
    rows[2].bytes = 10;
    rows[3].ttl_us = -1;
    rows[4].jitter_percent = L1_JITTER_MAX + 1;
    rows[5].shards = 3;
    rows[6].shards = 32;
    for (int i = 0; i < 7; i++) {
        struct l1 *l1;
        struct problem problem;
        assert_int_equal(l1_create(&rows[i], &l1, &problem), ERR_CONFIG);
        assert_string_equal(problem.field, fields[i]);
    }
}

static void readers_are_limited_and_their_counts_stay(void **state) {
    (void)state;
    struct fixture f;
    fixture_open(&f, fixture_options(L1_POLICY_S3FIFO, 10));
    struct l1_reader *readers[L1_READERS_MAX];
    for (int i = 1; i < L1_READERS_MAX; i++) {
        assert_int_equal(l1_reader_open(f.l1, &readers[i]), ERR_OK);
    }
    struct l1_reader *more;
    assert_int_equal(l1_reader_open(f.l1, &more), ERR_OVERLOADED);
    struct l1_ticket ticket;
    l1_get(readers[5], slice_of("k"), 0, &f.value, &ticket);
    l1_reader_close(readers[5]);
    assert_int_equal(l1_reader_open(f.l1, &more), ERR_OK);
    l1_get(more, slice_of("k"), 0, &f.value, &ticket);
    struct l1_counters counters = fixture_counters(&f);
    assert_int_equal(l1_misses(&counters), 2);
    fixture_close(&f);
}

/* 16 shards: capacity is shared out exactly and pattern invalidation reaches all. */
static void many_shards_hold_as_many_entries_as_asked(void **state) {
    (void)state;
    enum { ENTRIES = 131075, KEYS = 400000 };
    struct l1_options options = fixture_options(L1_POLICY_S3FIFO, ENTRIES);
    struct fixture f;
    fixture_open(&f, options);
    for (int i = 0; i < KEYS; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        fixture_fill(&f, key, "");
    }
    assert_int_equal(fixture_counters(&f).entries, ENTRIES);
    l1_check(f.l1);
    assert_int_equal(l1_invalidate_all(f.l1), ENTRIES);
    assert_int_equal(fixture_counters(&f).entries, 0);
    fixture_close(&f);
}

static void policies_are_found_by_name(void **state) {
    (void)state;
    EACH_POLICY(policy) {
        enum l1_policy_e found;
        assert_true(l1_policy_from_name(slice_of(l1_policy_name(policy)), &found));
        assert_int_equal(found, policy);
    }
    enum l1_policy_e unused;
    assert_false(l1_policy_from_name(SLICE_LIT("s3"), &unused));
    assert_false(l1_policy_from_name(SLICE_NONE, &unused));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(value_that_was_filled_is_got),
        cmocka_unit_test(keys_are_any_bytes_up_to_the_longest),
        cmocka_unit_test(bounds_hold_after_every_step),
        cmocka_unit_test(trimming_takes_no_more_than_is_asked_or_there),
        cmocka_unit_test(entry_expires_exactly_at_its_time),
        cmocka_unit_test(jitter_shortens_lives_and_never_lengthens_them),
        cmocka_unit_test(absence_is_remembered_for_its_own_shorter_time),
        cmocka_unit_test(invalidation_by_key_pattern_and_all),
        cmocka_unit_test(fill_that_began_before_an_invalidation_never_lands),
        cmocka_unit_test(invalidating_other_keys_lets_a_fill_land),
        cmocka_unit_test(fill_older_than_the_pattern_log_is_refused),
        cmocka_unit_test(miss_is_counted_under_its_cause),
        cmocka_unit_test(a_peek_sees_what_a_get_would_and_counts_nothing),
        cmocka_unit_test(hot_entry_is_refreshed_early_by_one_reader),
        cmocka_unit_test(value_that_is_too_large_is_refused_and_the_old_one_goes),
        cmocka_unit_test(value_that_does_not_fit_the_buffer_is_a_miss),
        cmocka_unit_test(options_out_of_range_are_named),
        cmocka_unit_test(readers_are_limited_and_their_counts_stay),
        cmocka_unit_test(many_shards_hold_as_many_entries_as_asked),
        cmocka_unit_test(policies_are_found_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
