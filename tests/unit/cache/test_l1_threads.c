/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readers, fillers and invalidators at once. What is got is whole (a value spells its key), and
 * once all is quiet nothing is older than the last invalidation. Run under ThreadSanitizer it also
 * shows that the locking is what it claims to be.
 */
#include "l1_fixture.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

enum { THREADS = 4, KEYS = 64, ROUNDS = 20000 };

struct shared {
    struct l1 *l1;
    _Atomic int versions[KEYS]; /* the truth */
    _Atomic int mistakes;
};

struct worker {
    struct shared *shared;
    uint64_t seed;
};

static void fill_truth(struct shared *shared, const struct l1_ticket *ticket, int key,
                       const char *name) {
    char value[64];
    snprintf(value, sizeof value, "%s/%d/%s", name, atomic_load(&shared->versions[key]), name);
    sched_yield(); /* gives others the time to change the truth under this fill */
    (void)l1_fill(shared->l1, ticket, slice_of(name), slice_of(value), 0);
}

/* The version that a whole value tells; -1 when it is torn. */
static int version_of(struct slice value, const char *name) {
    struct slice part;
    struct slice version;
    int64_t number;
    if (!slice_next(&value, '/', &part) || !slice_eq_text(part, name) ||
        !slice_next(&value, '/', &version) || !slice_to_int(version, 0, INT32_MAX, &number) ||
        !slice_eq_text(value, name)) {
        return -1;
    }
    return (int)number;
}

static void one_round(struct shared *shared, struct l1_reader *reader, struct buf *value,
                      struct rng *rng) {
    int key = (int)rng_below(rng, KEYS);
    char name[16];
    snprintf(name, sizeof name, "key%d", key);
    if (rng_below(rng, 16) == 0) { /* a write: change the truth, then invalidate */
        atomic_fetch_add(&shared->versions[key], 1);
        if (rng_below(rng, 4) == 0) {
            l1_invalidate_matching(shared->l1, slice_of(name));
        } else {
            l1_invalidate(shared->l1, slice_of(name));
        }
    }
    struct l1_ticket ticket;
    buf_clear(value);
    if (l1_get(reader, slice_of(name), 0, value, &ticket) == L1_MISS) {
        fill_truth(shared, &ticket, key, name);
        return;
    }
    if (version_of(buf_slice(value), name) < 0) {
        atomic_fetch_add(&shared->mistakes, 1);
    }
}

static void *work(void *data) {
    struct worker *worker = data;
    struct l1_reader *reader;
    struct seeded_rng rng;
    struct buf value;
    seeded_rng_init(&rng, worker->seed);
    buf_init(&value, 4096);
    if (l1_reader_open(worker->shared->l1, &reader) != ERR_OK) {
        atomic_fetch_add(&worker->shared->mistakes, 1);
        return NULL;
    }
    for (int round = 0; round < ROUNDS; round++) {
        one_round(worker->shared, reader, &value, &rng.base);
    }
    l1_reader_close(reader);
    buf_fini(&value);
    return NULL;
}

/* Once all is quiet, each key that is cached has the latest version: a fill that landed late would
 * stand here for ever. */
static void check_nothing_stale(struct shared *shared) {
    struct l1_reader *reader;
    struct buf value;
    buf_init(&value, 4096);
    assert_int_equal(l1_reader_open(shared->l1, &reader), ERR_OK);
    for (int key = 0; key < KEYS; key++) {
        char name[16];
        struct l1_ticket ticket;
        snprintf(name, sizeof name, "key%d", key);
        buf_clear(&value);
        if (l1_get(reader, slice_of(name), 0, &value, &ticket) != L1_MISS) {
            assert_int_equal(version_of(buf_slice(&value), name),
                             atomic_load(&shared->versions[key]));
        }
    }
    l1_reader_close(reader);
    buf_fini(&value);
}

static void values_are_whole_and_never_stale_under_threads(void **state) {
    (void)state;
    for (int policy = 0; policy < L1_POLICY_COUNT; policy++) {
        struct l1_options options = fixture_options((enum l1_policy_e)policy, KEYS * 3 / 4);
        struct shared shared = {.mistakes = 0};
        assert_int_equal(l1_create(&options, &shared.l1, NULL), ERR_OK);
        pthread_t threads[THREADS];
        struct worker workers[THREADS];
        for (int i = 0; i < THREADS; i++) {
            workers[i] = (struct worker){&shared, (uint64_t)i};
            assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
        }
        for (int i = 0; i < THREADS; i++) {
            pthread_join(threads[i], NULL);
        }
        assert_int_equal(atomic_load(&shared.mistakes), 0);
        check_nothing_stale(&shared);
        l1_check(shared.l1);
        struct l1_counters counters;
        l1_read_counters(shared.l1, &counters);
        assert_int_equal(counters.hits + l1_misses(&counters), THREADS * ROUNDS + KEYS);
        assert_true(counters.hits > 0 && counters.fills > 0);
        l1_destroy(shared.l1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_whole_and_never_stale_under_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
