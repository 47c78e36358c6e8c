/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: with gets, loads and changes on several threads at once, a get sees every change of its
 * node that was acknowledged before it began; no get is lost, and nothing stale is left behind.
 * Under ThreadSanitizer also: the threads share what they may share.
 *
 * Each thread is a loop of its own. A load reads the truth, lets others run, and then ends: the gap
 * in which a change makes what was read old.
 */
#include "cache/tiered_port.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum { THREADS = 4, KEYS = 16, ROUNDS = 8000 };

static struct tiered *tiered;
static _Atomic int64_t truth[KEYS];
static _Atomic int64_t acknowledged[KEYS];
static _Atomic unsigned mistakes;

struct thread {
    struct tiered_port base;
    struct tiered_loop *loop;
    struct mailbox box;
    struct seeded_rng rng;
    uint64_t asked;
    uint64_t answered;
    bool closed;
};

struct ask {
    struct tiered_get get;
    struct thread *thread;
    int key;
    int64_t at_least; /* the version that was acknowledged before it asked */
    char name[32];
    bool free;
};

static int64_t now_us(struct tiered_port *port) {
    (void)port;
    return 1000000;
}

static void post(struct tiered_port *port, struct loop_message *message) {
    assert_true(mailbox_post(&((struct thread *)port)->box, &message->link));
}

static bool tick_start(struct tiered_port *port) {
    (void)port;
    return false; /* nothing here waits for a tick */
}

static void close_port(struct tiered_port *port, void (*closed)(void *data), void *data) {
    (void)port;
    closed(data);
}

static void destroy(struct tiered_port *port) {
    (void)port;
}

static const struct tiered_port_vtable vtable = {
    .now_us = now_us,
    .precise_ns = now_us,
    .post = post,
    .tick_start = tick_start,
    .close = close_port,
    .destroy = destroy,
};

static void on_load(struct tiered_get *get) {
    struct ask *ask = get->data;
    char text[24];
    int len = snprintf(text, sizeof text, "%lld", (long long)atomic_load(&truth[ask->key]));
    sched_yield();
    struct tiered_loaded loaded = {.err = ERR_OK, .value = slice_from(text, (size_t)len)};
    tiered_loaded(get, &loaded);
}

static void on_done(struct tiered_get *get, const struct tiered_answer *answer) {
    struct ask *ask = get->data;
    int64_t version = -1;
    if (answer->err != ERR_OK || !slice_to_int(answer->value, 0, INT64_MAX, &version) ||
        version < ask->at_least) {
        atomic_fetch_add(&mistakes, 1);
    }
    ask->thread->answered++;
    ask->free = true;
}

static void start(struct thread *thread, struct ask *ask, int key) {
    *ask = (struct ask){.thread = thread, .key = key};
    snprintf(ask->name, sizeof ask->name, "participant:%d", key);
    ask->at_least = atomic_load(&acknowledged[key]);
    ask->get = (struct tiered_get){.class = TIERED_PARTICIPANT,
                                   .key = slice_of(ask->name),
                                   .load = on_load,
                                   .done = on_done,
                                   .data = ask};
    thread->asked++;
    tiered_get(thread->loop, &ask->get);
}

static void change(struct thread *thread, int key) {
    char name[32];
    snprintf(name, sizeof name, "participant:%d", key);
    struct slice slice = slice_of(name);
    struct tiered_change change = {.keys = &slice, .keys_len = 1};
    tiered_change_begin(thread->loop, &change);
    int64_t version = atomic_fetch_add(&truth[key], 1) + 1;
    tiered_change_end(thread->loop, &change, TIERED_COMMITTED);
    int64_t before = atomic_load(&acknowledged[key]);
    while (before < version &&
           !atomic_compare_exchange_weak(&acknowledged[key], &before, version)) {
    }
}

static void drain(struct thread *thread) {
    struct message *next = mailbox_take(&thread->box);
    while (next != NULL) {
        struct loop_message *message = (struct loop_message *)next;
        next = next->next;
        message->fn(message);
    }
}

static void on_closed(void *data) {
    ((struct thread *)data)->closed = true;
}

static void *work(void *data) {
    struct thread *thread = data;
    struct tiered_loop_options options = {.due = NULL};
    static _Thread_local struct ask asks[8];
    if (tiered_loop_open_on(tiered, &thread->base, &options, &thread->loop) != ERR_OK) {
        atomic_fetch_add(&mistakes, 1);
        return NULL;
    }
    for (size_t i = 0; i < 8; i++) {
        asks[i].free = true;
    }
    for (int round = 0; round < ROUNDS; round++) {
        int key = (int)rng_below(&thread->rng.base, KEYS);
        struct ask *ask = &asks[round % 8];
        if (rng_below(&thread->rng.base, 8) == 0) {
            change(thread, key);
        } else if (ask->free) {
            start(thread, ask, key);
        }
        drain(thread);
    }
    while (thread->answered < thread->asked) {
        drain(thread);
        sched_yield();
    }
    return NULL;
}

/* No thread is left but this one: what is cached must be the truth. */
static void check_quiet(struct thread *thread) {
    for (int key = 0; key < KEYS; key++) {
        struct ask ask;
        start(thread, &ask, key);
        assert_true(ask.free);
    }
}

static void nothing_stale_is_left_by_loads_and_changes_on_many_threads(void **state) {
    (void)state;
    struct tiered_options options = tiered_options_default();
    assert_int_equal(tiered_create(&options, &tiered, NULL), ERR_OK);
    static struct thread threads[THREADS];
    pthread_t ids[THREADS];
    for (int i = 0; i < THREADS; i++) {
        threads[i].base = (struct tiered_port){.vtable = &vtable};
        mailbox_init(&threads[i].box, SIZE_MAX, NULL, NULL);
        seeded_rng_init(&threads[i].rng, (uint64_t)i);
        assert_int_equal(pthread_create(&ids[i], NULL, work, &threads[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(ids[i], NULL), 0);
    }
    check_quiet(&threads[0]);
    struct tiered_figures figures;
    tiered_read_figures(tiered, &figures);
    struct tiered_counters *counters = &figures.classes[TIERED_PARTICIPANT];
    assert_true(counters->fills_outdated > 0); /* the race was there */
    assert_int_equal(figures.flights + figures.waiters, 0);
    for (int i = 0; i < THREADS; i++) {
        tiered_loop_close(threads[i].loop, on_closed, &threads[i]);
        assert_true(threads[i].closed);
        mailbox_fini(&threads[i].box);
    }
    tiered_destroy(tiered);
    assert_int_equal(atomic_load(&mistakes), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_stale_is_left_by_loads_and_changes_on_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
