/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache against a plain map, under random operations on a virtual clock: it may forget, but
 * what it answers is what was last filled, not invalidated, not expired. And against memory that
 * fails at each allocation in turn.
 */
#include "l1_fixture.h"

#include "cache/glob.h"

#include <string.h>

enum { KEYS = 40, STEPS = 20000, TTL_US = 1000, TICKETS = 8 };

struct model_entry {
    int value; /* -1: not cached for sure; 0: known absent */
    int64_t until_us;
};

struct open_ticket {
    bool is_open;
    bool outdated;
    int key;
    struct l1_ticket ticket;
};

struct model {
    struct fixture f;
    struct model_entry entries[KEYS];
    struct open_ticket tickets[TICKETS];
    struct seeded_rng rng;
    int next_value;
    uint64_t hits;
};

static void key_text(int key, char text[16]) {
    snprintf(text, 16, "%c:%d", "abcd"[key % 4], key);
}

static int draw(struct model *m, int below) {
    return (int)rng_below(&m->rng.base, (uint64_t)below);
}

static void step_get(struct model *m) {
    int key = draw(m, KEYS);
    const struct model_entry *entry = &m->entries[key];
    char text[16];
    char expected[16];
    key_text(key, text);
    snprintf(expected, sizeof expected, "%d", entry->value);
    bool is_known = entry->value >= 0 && m->f.now_us < entry->until_us;
    switch (fixture_get(&m->f, text, NULL)) {
    case L1_MISS:
        return;
    case L1_HIT_ABSENT:
        assert_true(is_known && entry->value == 0);
        break;
    case L1_HIT_REFRESH:
        l1_abandon(m->f.l1, slice_of(text));
        /* fall through */
    case L1_HIT:
        assert_true(is_known && slice_eq_text(buf_slice(&m->f.value), expected));
        break;
    }
    m->hits++;
}

static void step_begin(struct model *m) {
    struct open_ticket *open = &m->tickets[draw(m, TICKETS)];
    int key = draw(m, KEYS);
    char text[16];
    key_text(key, text);
    *open = (struct open_ticket){true, false, key,
                                 l1_begin_fill(m->f.l1, slice_of(text), m->f.now_us)};
}

static void step_fill(struct model *m) {
    struct open_ticket *open = &m->tickets[draw(m, TICKETS)];
    if (!open->is_open) {
        return;
    }
    open->is_open = false;
    struct model_entry *entry = &m->entries[open->key];
    bool absent = draw(m, 4) == 0;
    int value = absent ? 0 : ++m->next_value;
    char key[16];
    char text[16];
    key_text(open->key, key);
    snprintf(text, sizeof text, "%d", value);
    enum l1_fill_e result =
        absent ? l1_fill_absent(m->f.l1, &open->ticket, slice_of(key), m->f.now_us)
               : l1_fill(m->f.l1, &open->ticket, slice_of(key), slice_of(text), m->f.now_us);
    if (open->outdated) {
        assert_int_equal(result, L1_FILL_OUTDATED);
    } else if (result == L1_FILL_LANDED) {
        *entry = (struct model_entry){value, m->f.now_us + TTL_US};
    } else { /* needlessly refused, or its memory failed: then the old value is gone */
        assert_true(result == L1_FILL_OUTDATED || result == L1_FILL_NO_MEMORY);
        entry->value = result == L1_FILL_NO_MEMORY ? -1 : entry->value;
    }
}

static void forget(struct model *m, struct slice pattern) {
    char text[16];
    for (int key = 0; key < KEYS; key++) {
        key_text(key, text);
        m->entries[key].value =
            glob_matches(pattern, slice_of(text)) ? -1 : m->entries[key].value;
    }
    for (int i = 0; i < TICKETS; i++) {
        key_text(m->tickets[i].key, text);
        m->tickets[i].outdated |= glob_matches(pattern, slice_of(text));
    }
}

static void step_invalidate(struct model *m) {
    static const char *const patterns[] = {"a:*", "?:1*", "[bc]:*2", "*"};
    char text[16];
    key_text(draw(m, KEYS), text);
    if (draw(m, 8) > 0) {
        l1_invalidate(m->f.l1, slice_of(text));
        forget(m, slice_of(text));
        return;
    }
    const char *pattern = patterns[draw(m, 4)];
    l1_invalidate_matching(m->f.l1, slice_of(pattern));
    forget(m, slice_of(pattern));
}

static uint64_t run_model(enum l1_policy_e policy, struct l1_memory *memory, uint64_t seed) {
    struct l1_options options = fixture_options(policy, 25);
    options.ttl_us = TTL_US;
    options.absent_ttl_us = TTL_US;
    options.memory = memory;
    struct model m = {.next_value = 0};
    fixture_open(&m.f, options);
    seeded_rng_init(&m.rng, seed);
    for (int key = 0; key < KEYS; key++) {
        m.entries[key].value = -1;
    }
    static void (*const steps[])(struct model *) = {step_get,   step_get,  step_get,
                                                    step_begin, step_fill, step_invalidate};
    for (int step = 0; step < STEPS; step++) {
        /* Invalidations are rarer than the rest, else nothing stays to be got. */
        int kind = draw(&m, 6);
        steps[kind == 5 && draw(&m, 5) > 0 ? 4 : kind](&m);
        m.f.now_us += draw(&m, 4);
        if (step % 64 == 0) {
            l1_check(m.f.l1);
        }
    }
    fixture_close(&m.f);
    return m.hits;
}

static void cache_agrees_with_a_plain_map(void **state) {
    (void)state;
    for (int policy = 0; policy < L1_POLICY_COUNT; policy++) {
        for (uint64_t seed = 1; seed <= 5; seed++) {
            print_message("seed %d\n", (int)seed);
            assert_true(run_model((enum l1_policy_e)policy, NULL, seed) > STEPS / 20);
        }
    }
}

/* Every 7th allocation fails throughout the run. */
struct flaky_memory {
    struct test_memory base;
    bool armed;
};

static void *flaky_take(struct l1_memory *memory, size_t size) {
    struct flaky_memory *flaky = (struct flaky_memory *)memory;
    if (flaky->armed && flaky->base.taken % 7 == 6) {
        flaky->base.taken++;
        return NULL;
    }
    flaky->armed = flaky->armed || flaky->base.taken > 4; /* once the cache is made */
    return test_take(memory, size);
}

static void failing_fills_leave_a_correct_cache(void **state) {
    (void)state;
    for (int policy = 0; policy < L1_POLICY_COUNT; policy++) {
        struct flaky_memory memory = {test_memory_make(), false};
        memory.base.base.take = flaky_take;
        run_model((enum l1_policy_e)policy, &memory.base.base, 3);
        assert_int_equal(memory.base.out, 0);
    }
}

/* The 1st, 2nd, … allocation of making a cache fails, until it passes untouched. */
static void creation_fails_cleanly_at_each_allocation(void **state) {
    (void)state;
    for (int policy = 0; policy < L1_POLICY_COUNT; policy++) {
        long failures = 0;
        for (enum err_e err = ERR_NO_MEMORY; err != ERR_OK;) {
            struct test_memory memory = test_memory_make();
            memory.fail_at = failures + 1;
            struct l1_options options = fixture_options((enum l1_policy_e)policy, 40000);
            options.memory = &memory.base;
            struct l1 *l1 = NULL;
            struct l1_reader *reader;
            err = l1_create(&options, &l1, NULL);
            err = err == ERR_OK ? l1_reader_open(l1, &reader) : err;
            assert_true(err == ERR_OK || err == ERR_NO_MEMORY);
            failures += err != ERR_OK;
            l1_destroy(l1);
            assert_int_equal(memory.out, 0);
        }
        assert_true(failures >= 4); /* the cache, its shards, the reader */
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cache_agrees_with_a_plain_map),
        cmocka_unit_test(failing_fills_leave_a_correct_cache),
        cmocka_unit_test(creation_fails_cleanly_at_each_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
