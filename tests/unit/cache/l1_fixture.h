/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cache with one reader and its time, for the tests of this folder; and memory that counts what
 * is out and fails on demand.
 */
#ifndef TURNOUT_TESTS_CACHE_L1_FIXTURE_H
#define TURNOUT_TESTS_CACHE_L1_FIXTURE_H

#include "cache/l1.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

struct test_memory {
    struct l1_memory base;
    long out;        /* blocks */
    long taken;      /* ever */
    long fail_at;    /* the taking that fails, counted from 1; 0: none */
};

static inline void *test_take(struct l1_memory *base, size_t size) {
    struct test_memory *memory = (struct test_memory *)base;
    memory->taken++;
    if (memory->taken == memory->fail_at) {
        return NULL;
    }
    memory->out++;
    return malloc(size);
}

static inline void test_give(struct l1_memory *base, void *block) {
    ((struct test_memory *)base)->out -= block != NULL;
    free(block);
}

static inline struct test_memory test_memory_make(void) {
    return (struct test_memory){.base = {test_take, test_give}};
}

struct fixture {
    struct l1 *l1;
    struct l1_reader *reader;
    struct buf value;
    struct seeded_rng rng;
    int64_t now_us;
};

/* No expiry, no jitter: tests ask for what they need. */
static inline struct l1_options fixture_options(enum l1_policy_e policy, uint32_t entries) {
    struct l1_options options = l1_options_default();
    options.policy = policy;
    options.entries = entries;
    options.ttl_us = L1_TTL_NONE;
    options.jitter_percent = 0;
    return options;
}

static inline void fixture_open(struct fixture *f, struct l1_options options) {
    *f = (struct fixture){.now_us = 1000000};
    seeded_rng_init(&f->rng, 42);
    options.rng = options.rng == NULL ? &f->rng.base : options.rng;
    assert_int_equal(l1_create(&options, &f->l1, NULL), ERR_OK);
    assert_int_equal(l1_reader_open(f->l1, &f->reader), ERR_OK);
    buf_init(&f->value, 1 << 20);
}

static inline void fixture_close(struct fixture *f) {
    l1_reader_close(f->reader);
    l1_destroy(f->l1);
    buf_fini(&f->value);
}

static inline enum l1_result_e fixture_get(struct fixture *f, const char *key,
                                           struct l1_ticket *ret_ticket) {
    struct l1_ticket unused;
    buf_clear(&f->value);
    return l1_get(f->reader, slice_of(key), f->now_us, &f->value,
                  ret_ticket == NULL ? &unused : ret_ticket);
}

static inline enum l1_fill_e fixture_fill(struct fixture *f, const char *key, const char *value) {
    struct l1_ticket ticket = l1_begin_fill(f->l1, slice_of(key), f->now_us);
    return l1_fill(f->l1, &ticket, slice_of(key), slice_of(value), f->now_us);
}

/* Gets, and on a miss fills; true on a hit. */
static inline bool fixture_request(struct fixture *f, const char *key) {
    struct l1_ticket ticket;
    if (fixture_get(f, key, &ticket) != L1_MISS) {
        return true;
    }
    assert_int_equal(l1_fill(f->l1, &ticket, slice_of(key), slice_of("v"), f->now_us),
                     L1_FILL_LANDED);
    return false;
}

static inline struct l1_counters fixture_counters(struct fixture *f) {
    struct l1_counters counters;
    l1_read_counters(f->l1, &counters);
    return counters;
}

#endif
