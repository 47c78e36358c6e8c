/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: three nodes of two loops, on threads and a real Redis Cluster, load a key once however many
 * miss it at the same time, and see one another's changes. Runs under with-redis-cluster.
 */
#include "cache/tiered.h"

#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

enum { NODES = 3, LOOPS = 2, ASKS = 10000, LOAD_MS = 50, PATIENCE_S = 60 };

struct part {
    struct loop *loop;
    struct tiered *tiered;
    struct tiered_loop *self;
    struct redis_options redis;
    bool listens;
    enum err_e opened;
};

static struct tiered *nodes[NODES];
static struct part parts[NODES][LOOPS];
static _Atomic int loads;
static _Atomic int version;

/* Runs `fn` on the part's loop and waits for it. */
struct job {
    struct loop_message message;
    void (*fn)(struct part *part, void *data);
    struct part *part;
    void *data;
    sem_t done;
};

static void on_job(struct loop_message *message) {
    struct job *job = (struct job *)message;
    job->fn(job->part, job->data);
    sem_post(&job->done);
}

static void run_on(struct part *part, void (*fn)(struct part *part, void *data), void *data) {
    struct job job = {.message = {.fn = on_job}, .fn = fn, .part = part, .data = data};
    sem_init(&job.done, 0, 0);
    loop_post(part->loop, &job.message);
    assert_int_equal(sem_wait(&job.done), 0);
    sem_destroy(&job.done);
}

static void open_part(struct part *part, void *data) {
    (void)data;
    struct tiered_loop_options options = {
        .loop = part->loop, .redis = &part->redis, .listens = part->listens};
    part->redis = redis_options_default(part->loop, slice_of(getenv("TURNOUT_REDIS")));
    part->opened = tiered_loop_open(part->tiered, &options, &part->self, NULL);
}

static int set_up(void **state) {
    (void)state;
    struct tiered_options options = tiered_options_default();
    options.writers = TIERED_WRITERS_OTHERS;
    for (int n = 0; n < NODES; n++) {
        assert_int_equal(tiered_create(&options, &nodes[n], NULL), ERR_OK);
        for (int l = 0; l < LOOPS; l++) {
            struct part *part = &parts[n][l];
            *part = (struct part){.tiered = nodes[n], .listens = l == 0};
            part->loop = loop_create(n * LOOPS + l, clock_system());
            assert_non_null(part->loop);
            assert_int_equal(loop_start(part->loop), ERR_OK);
            run_on(part, open_part, NULL);
            assert_int_equal(part->opened, ERR_OK);
        }
    }
    return 0;
}

static void on_closed(void *data) {
    loop_stop(((struct part *)data)->loop);
}

static void close_part(struct part *part, void *data) {
    (void)data;
    tiered_loop_close(part->self, on_closed, part);
}

static int tear_down(void **state) {
    (void)state;
    for (int n = 0; n < NODES; n++) {
        for (int l = 0; l < LOOPS; l++) {
            run_on(&parts[n][l], close_part, NULL);
            loop_join(parts[n][l].loop);
            loop_destroy(parts[n][l].loop);
        }
        tiered_destroy(nodes[n]);
    }
    return 0;
}

static void until(bool (*holds)(void *data), void *data) {
    for (int i = 0; i < PATIENCE_S * 100; i++) {
        if (holds(data)) {
            return;
        }
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    fail();
}

static bool all_hear(void *data) {
    (void)data;
    bool all = true;
    for (int n = 0; n < NODES; n++) {
        struct tiered_figures figures;
        tiered_read_figures(nodes[n], &figures);
        all = all && figures.channel == TIERED_CHANNEL_HEARD &&
              figures.l2.state == REDIS_CLOSED;
    }
    return all;
}

/* Gets. */

struct ask {
    struct tiered_get get;
    struct part *part;
    sem_t *done;
    struct loop_timer *timer;
    int read;
    enum err_e err;
    enum tiered_from_e from;
    int got;
};

static void on_loaded(void *data) {
    struct ask *ask = data;
    char text[16];
    loop_timer_stop(ask->timer);
    int len = snprintf(text, sizeof text, "%d", ask->read);
    struct tiered_loaded loaded = {.err = ERR_OK, .value = slice_from(text, (size_t)len)};
    tiered_loaded(&ask->get, &loaded);
}

static void on_load(struct tiered_get *get) {
    struct ask *ask = get->data;
    atomic_fetch_add(&loads, 1);
    ask->read = atomic_load(&version);
    ask->timer = loop_timer_start(ask->part->loop, LOAD_MS, 0, on_loaded, ask);
    assert_non_null(ask->timer);
}

static void on_done(struct tiered_get *get, const struct tiered_answer *answer) {
    struct ask *ask = get->data;
    int64_t got = -1;
    ask->err = answer->err;
    ask->from = answer->from;
    (void)slice_to_int(answer->value, 0, INT32_MAX, &got);
    ask->got = (int)got;
    sem_post(ask->done);
}

static void begin_ask(struct ask *ask, struct part *part, const char *key, sem_t *done) {
    *ask = (struct ask){.part = part, .done = done};
    ask->get = (struct tiered_get){
        .key = slice_of(key), .load = on_load, .done = on_done, .data = ask};
    assert_true(tiered_class_of(ask->get.key, &ask->get.class));
}

struct crowd {
    struct ask *asks;
    size_t len;
};

static void ask_all(struct part *part, void *data) {
    struct crowd *crowd = data;
    for (size_t i = 0; i < crowd->len; i++) {
        if (crowd->asks[i].part == part) {
            tiered_get(part->self, &crowd->asks[i].get);
        }
    }
}

static void ask_one(struct part *part, void *data) {
    tiered_get(part->self, &((struct ask *)data)->get);
}

static struct ask get_from(struct part *part, const char *key) {
    sem_t done;
    struct ask ask;
    sem_init(&done, 0, 0);
    begin_ask(&ask, part, key, &done);
    run_on(part, ask_one, &ask);
    assert_int_equal(sem_wait(&done), 0);
    sem_destroy(&done);
    assert_int_equal(ask.err, ERR_OK);
    return ask;
}

static void ten_thousand_misses_on_three_nodes_are_one_load(void **state) {
    (void)state;
    static struct ask asks[ASKS];
    sem_t done;
    until(all_hear, NULL);
    atomic_store(&loads, 0);
    sem_init(&done, 0, 0);
    for (int i = 0; i < ASKS; i++) {
        begin_ask(&asks[i], &parts[i % NODES][i / NODES % LOOPS], "event_config:crowd", &done);
    }
    struct crowd crowd = {asks, ASKS};
    for (int n = 0; n < NODES; n++) {
        for (int l = 0; l < LOOPS; l++) {
            run_on(&parts[n][l], ask_all, &crowd);
        }
    }
    for (int i = 0; i < ASKS; i++) {
        assert_int_equal(sem_wait(&done), 0);
    }
    sem_destroy(&done);
    for (int i = 0; i < ASKS; i++) {
        assert_int_equal(asks[i].err, ERR_OK);
        assert_int_equal(asks[i].got, 0);
    }
    assert_int_equal(atomic_load(&loads), 1);
}

static const char *const key = "participant:crowd:t1";

static void change_key(struct part *part, void *data) {
    (void)data;
    struct slice keys[] = {slice_of(key)};
    struct tiered_change change = {.keys = keys, .keys_len = 1};
    tiered_change_begin(part->self, &change);
    atomic_fetch_add(&version, 1);
    tiered_change_end(part->self, &change, TIERED_COMMITTED);
}

static void change_pattern(struct part *part, void *data) {
    (void)data;
    struct slice patterns[] = {SLICE_LIT("participant:*")};
    struct tiered_change change = {.patterns = patterns, .patterns_len = 1};
    tiered_change_begin(part->self, &change);
    atomic_fetch_add(&version, 1);
    tiered_change_end(part->self, &change, TIERED_COMMITTED);
}

static bool is_new_everywhere(void *data) {
    (void)data;
    bool all = true;
    for (int n = 0; n < NODES; n++) {
        all = all && get_from(&parts[n][n % LOOPS], key).got == atomic_load(&version);
    }
    return all;
}

/* Whoever changed it sees the change at once; the others when they hear of it. */
static void changes_of_one_node_are_seen_by_all(void **state) {
    (void)state;
    until(all_hear, NULL);
    for (int round = 0; round < 20; round++) {
        struct part *writer = &parts[round % NODES][round % LOOPS];
        until(is_new_everywhere, NULL); /* and now in every L1 */
        run_on(writer, round % 2 == 0 ? change_key : change_pattern, NULL);
        assert_int_equal(get_from(writer, key).got, atomic_load(&version));
        until(is_new_everywhere, NULL);
    }
    struct tiered_figures figures;
    tiered_read_figures(nodes[0], &figures);
    const struct tiered_counters *counters = &figures.classes[TIERED_PARTICIPANT];
    assert_true(counters->l1_hits > 0);
    assert_int_equal(figures.l2.corrupt + counters->l2_damaged, 0);
}

static void what_one_node_loaded_others_find_in_l2(void **state) {
    (void)state;
    until(all_hear, NULL);
    (void)get_from(&parts[0][0], "gate:crowd:g01");
    atomic_store(&loads, 0);
    assert_int_equal(get_from(&parts[1][1], "gate:crowd:g01").from, TIERED_FROM_L2);
    assert_int_equal(get_from(&parts[1][0], "gate:crowd:g01").from, TIERED_FROM_L1);
    assert_int_equal(atomic_load(&loads), 0);
}

struct sweep {
    sem_t done;
    struct tiered_invalidated result;
};

static void on_swept(void *data, const struct tiered_invalidated *result) {
    struct sweep *sweep = data;
    sweep->result = *result;
    sem_post(&sweep->done);
}

static void sweep_gates(struct part *part, void *data) {
    struct sweep *sweep = data;
    assert_int_equal(tiered_invalidate(part->self, SLICE_LIT("gate:*"), on_swept, sweep), ERR_OK);
}

static void an_operators_pattern_ends_it_on_every_level_and_node(void **state) {
    (void)state;
    struct sweep sweep;
    until(all_hear, NULL);
    for (int n = 0; n < NODES; n++) {
        (void)get_from(&parts[n][0], "gate:crowd:g02");
    }
    sem_init(&sweep.done, 0, 0);
    run_on(&parts[2][1], sweep_gates, &sweep);
    assert_int_equal(sem_wait(&sweep.done), 0);
    sem_destroy(&sweep.done);
    assert_int_equal(sweep.result.err, ERR_OK);
    assert_true(sweep.result.l1_entries >= 1);
    assert_true(sweep.result.l2_keys >= 1);
    atomic_store(&loads, 0);
    assert_int_equal(get_from(&parts[2][0], "gate:crowd:g02").from, TIERED_FROM_STORE);
}

int main(void) {
    if (getenv("TURNOUT_REDIS") == NULL) {
        fputs("TURNOUT_REDIS is not set: run it by tests/support/with-redis-cluster\n", stderr);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_thousand_misses_on_three_nodes_are_one_load),
        cmocka_unit_test(changes_of_one_node_are_seen_by_all),
        cmocka_unit_test(what_one_node_loaded_others_find_in_l2),
        cmocka_unit_test(an_operators_pattern_ends_it_on_every_level_and_node),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
