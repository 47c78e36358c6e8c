/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a notice reaches its receiver at least once or the log says why it did not; a receiver that
 * is gone, hangs or refuses holds up no other and nobody who sends. */
#include "act/notifier.h"
#include "base/log.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

enum { ROWS_MAX = 200 };

struct row {
    char key[NOTICE_KEY_SIZE], state[16], detail[64], body[64];
    size_t receiver;
    int64_t attempts;
};

static struct world {
    struct virtual_clock clock;
    struct seeded_rng rng;
    struct policy policy;
    struct notifier *notifier;
    struct row rows[ROWS_MAX];
    size_t rows_len;
    enum err_e log_err;
    enum delivery_e answers[RECEIVERS_MAX]; /* of each receiver */
    int tries[RECEIVERS_MAX];
    int64_t tried_us[RECEIVERS_MAX];
    char last_body[64];
    pthread_mutex_t lock; /* of the rest, for the tests with threads */
    pthread_cond_t moved;
    bool hangs; /* receiver 0, until it is cancelled */
    int arrived[RECEIVERS_MAX];
} world;

static void keep(char *to, size_t size, struct slice text) {
    snprintf(to, size, "%.*s", SLICE_ARG(text));
}

static enum delivery_e deliver(void *data, const struct receiver *receiver, struct slice body,
                               const atomic_bool *cancel, char ret_detail[NOTIFIER_DETAIL_SIZE]) {
    (void)data;
    size_t place = (size_t)(receiver - world.policy.receivers);
    pthread_mutex_lock(&world.lock);
    world.tries[place]++;
    world.tried_us[place] = clock_mono_us(&world.clock.base);
    keep(world.last_body, sizeof world.last_body, body);
    world.arrived[place]++;
    pthread_cond_broadcast(&world.moved);
    bool hangs = world.hangs && place == 0;
    enum delivery_e answer = world.answers[place];
    pthread_mutex_unlock(&world.lock);
    while (hangs && !atomic_load(cancel)) {
        usleep(1000);
    }
    snprintf(ret_detail, NOTIFIER_DETAIL_SIZE, answer == DELIVERY_DELIVERED ? "" : "no answer");
    return hangs ? DELIVERY_WAITING : answer;
}

static void fill_row(struct row *row, const struct delivery *delivery) {
    snprintf(row->key, sizeof row->key, "%s", delivery->key);
    snprintf(row->state, sizeof row->state, "%s", delivery_text(delivery->state));
    snprintf(row->detail, sizeof row->detail, "%s", delivery->detail);
    keep(row->body, sizeof row->body, delivery->body);
    row->receiver = delivery->receiver;
    row->attempts = delivery->attempts;
}

static enum err_e log_add(void *data, const struct delivery *delivery, int64_t *ret_id) {
    (void)data;
    pthread_mutex_lock(&world.lock);
    enum err_e err = world.log_err;
    if (err == ERR_OK) {
        assert_true(world.rows_len < ROWS_MAX);
        fill_row(&world.rows[world.rows_len++], delivery);
        *ret_id = (int64_t)world.rows_len;
    }
    pthread_mutex_unlock(&world.lock);
    return err;
}

static enum err_e log_end(void *data, const struct delivery *delivery) {
    (void)data;
    pthread_mutex_lock(&world.lock);
    enum err_e err = world.log_err;
    if (err == ERR_OK) {
        assert_true(delivery->id > 0 && (size_t)delivery->id <= world.rows_len);
        fill_row(&world.rows[delivery->id - 1], delivery);
    }
    pthread_mutex_unlock(&world.lock);
    return err;
}

static void ignore_line(const char *line, size_t len, void *data) {
    (void)line;
    (void)len;
    (void)data;
}

static void add_receiver(const char *name) {
    char section[64];
    struct buf errors;
    buf_init(&errors, 1024);
    snprintf(section, sizeof section, "notify.%s", name);
    const struct policy_line line = {
        .section = slice_of(section), .key = SLICE_LIT("give_up"), .value = SLICE_LIT("10m")};
    assert_int_equal(policy_set(&world.policy, &line, &errors), ERR_OK);
    buf_fini(&errors);
}

static void start(struct clock *clock) {
    notifier_destroy(world.notifier);
    world.notifier = notifier_create(&(struct notifier_options){
        .clock = clock,
        .rng = &world.rng.base,
        .policy = &world.policy,
        .seams = {.deliver = deliver, .log_add = log_add, .log_end = log_end}});
    assert_non_null(world.notifier);
}

static int make(void **state) {
    (void)state;
    world = (struct world){.rows_len = 0};
    log_set_sink(ignore_line, NULL);
    pthread_mutex_init(&world.lock, NULL);
    pthread_cond_init(&world.moved, NULL);
    virtual_clock_init(&world.clock, 1790000000000);
    seeded_rng_init(&world.rng, 9);
    policy_init(&world.policy, NULL);
    add_receiver("first");
    add_receiver("second");
    world.answers[0] = world.answers[1] = DELIVERY_DELIVERED;
    start(&world.clock.base);
    return 0;
}

static int drop(void **state) {
    (void)state;
    notifier_stop(world.notifier);
    notifier_destroy(world.notifier);
    world.notifier = NULL;
    pthread_cond_destroy(&world.moved);
    pthread_mutex_destroy(&world.lock);
    return 0;
}

static bool send_to(size_t receiver, const char *key, const char *body) {
    return notifier_send(world.notifier, receiver, key, slice_of(body), 0);
}

/* Turns of this receiver, a second each. */
static void turns(size_t receiver, int seconds) {
    for (int i = 0; i < seconds; i++) {
        (void)notifier_turn(world.notifier, receiver);
        virtual_clock_advance(&world.clock, 1000);
    }
}

/* ---- one after the other ---- */

static void a_notice_is_written_down_delivered_and_written_off(void **state) {
    (void)state;
    assert_true(send_to(1, "n-1", "{}"));
    assert_int_equal(world.rows_len, 0);
    assert_int_equal(notifier_turn(world.notifier, 1), INT64_MAX);
    assert_int_equal(world.tries[1], 1);
    assert_int_equal(world.rows_len, 1);
    assert_string_equal(world.rows[0].key, "n-1");
    assert_string_equal(world.rows[0].state, "delivered");
    assert_string_equal(world.rows[0].body, "{}");
    assert_int_equal(world.rows[0].attempts, 1);
    assert_int_equal(world.rows[0].receiver, 1);
    struct notifier_figures figures;
    notifier_read(world.notifier, 1, &figures);
    assert_int_equal(figures.delivered, 1);
    assert_int_equal(figures.queued, 0);
    assert_int_equal(figures.delivered_at_ms, world.clock.now_wall_ms);
}

static void what_fails_is_tried_again_with_growing_pauses(void **state) {
    (void)state;
    world.answers[0] = DELIVERY_WAITING;
    assert_true(send_to(0, "n-1", "{}"));
    int64_t tried_us[8];
    int seen = 0;
    for (int i = 0; i < 300000 && seen < 8; i++) {
        int before = world.tries[0];
        (void)notifier_turn(world.notifier, 0);
        if (world.tries[0] != before) {
            tried_us[seen++] = world.tried_us[0];
        }
        virtual_clock_advance(&world.clock, 1);
    }
    assert_int_equal(seen, 8);
    int64_t most_us = 1000000;
    for (int i = 1; i < 8; i++) {
        int64_t pause_us = tried_us[i] - tried_us[i - 1];
        assert_true(pause_us >= most_us / 2 && pause_us <= most_us + 2000);
        most_us = most_us * 2 < 60000000 ? most_us * 2 : 60000000;
    }
    assert_string_equal(world.rows[0].state, "waiting");
    assert_string_equal(world.rows[0].detail, "no answer");
    world.answers[0] = DELIVERY_DELIVERED;
    turns(0, 70);
    assert_string_equal(world.rows[0].state, "delivered");
    assert_int_equal(world.rows[0].attempts, 9);
    assert_int_equal(world.rows_len, 1);
}

static void what_is_refused_is_not_tried_again(void **state) {
    (void)state;
    world.answers[0] = DELIVERY_REFUSED;
    assert_true(send_to(0, "n-1", "{}"));
    assert_true(send_to(0, "n-2", "{}"));
    turns(0, 5);
    assert_int_equal(world.tries[0], 2);
    assert_string_equal(world.rows[0].state, "refused");
    assert_string_equal(world.rows[1].state, "refused");
}

static void what_never_arrives_is_given_up(void **state) {
    (void)state;
    world.answers[0] = DELIVERY_WAITING;
    assert_true(send_to(0, "n-1", "{}"));
    turns(0, 599);
    assert_string_equal(world.rows[0].state, "waiting");
    assert_true(world.tries[0] > 8 && world.tries[0] < 30);
    turns(0, 120);
    assert_string_equal(world.rows[0].state, "given up");
    struct notifier_figures figures;
    notifier_read(world.notifier, 0, &figures);
    assert_int_equal(figures.given_up, 1);
    assert_int_equal(figures.queued, 0);
    assert_string_equal(figures.detail, "no answer");
}

static void a_full_queue_takes_no_more_and_forgets_nothing(void **state) {
    (void)state;
    world.answers[0] = DELIVERY_WAITING;
    char key[16];
    for (int i = 0; i < NOTIFIER_QUEUE_MAX; i++) {
        snprintf(key, sizeof key, "n-%d", i);
        assert_true(send_to(0, key, "{}"));
    }
    assert_false(send_to(0, "n-x", "{}"));
    assert_true(send_to(1, "n-y", "{}")); /* another receiver's is its own */
    struct notifier_figures figures;
    notifier_read(world.notifier, 0, &figures);
    assert_int_equal(figures.put_off, 1);
    assert_int_equal(figures.queued, NOTIFIER_QUEUE_MAX);
    world.answers[0] = DELIVERY_DELIVERED;
    turns(0, 20);
    assert_int_equal(world.rows_len, NOTIFIER_QUEUE_MAX);
    for (int i = 0; i < NOTIFIER_QUEUE_MAX; i++) { /* in the order that they came in */
        snprintf(key, sizeof key, "n-%d", i);
        assert_string_equal(world.rows[i].key, key);
        assert_string_equal(world.rows[i].state, "delivered");
    }
}

static void without_a_log_it_is_told_all_the_same(void **state) {
    (void)state;
    world.log_err = ERR_UNAVAILABLE;
    assert_true(send_to(0, "n-1", "{\"a\":1}"));
    turns(0, 1);
    assert_int_equal(world.tries[0], 1);
    assert_string_equal(world.last_body, "{\"a\":1}");
    world.answers[0] = DELIVERY_WAITING;
    assert_true(send_to(0, "n-2", "{}"));
    turns(0, 1);
    world.log_err = ERR_OK; /* it is back before the end */
    world.answers[0] = DELIVERY_DELIVERED;
    turns(0, 10);
    assert_int_equal(world.rows_len, 1);
    assert_string_equal(world.rows[0].key, "n-2");
    assert_string_equal(world.rows[0].state, "delivered");
}

static void what_an_earlier_run_left_goes_on_in_its_own_row(void **state) {
    (void)state;
    world.rows_len = 7;
    assert_true(notifier_send(world.notifier, 0, "n-old", slice_of("{}"), 7));
    turns(0, 1);
    assert_int_equal(world.rows_len, 7);
    assert_string_equal(world.rows[6].state, "delivered");
    assert_string_equal(world.rows[6].key, "n-old");
}

/* ---- with threads ---- */

static void wait_until_arrived(size_t receiver, int count) {
    pthread_mutex_lock(&world.lock);
    while (world.arrived[receiver] < count) {
        pthread_cond_wait(&world.moved, &world.lock);
    }
    pthread_mutex_unlock(&world.lock);
}

static void a_receiver_that_hangs_holds_up_no_other(void **state) {
    (void)state;
    world.hangs = true;
    start(clock_system());
    assert_int_equal(notifier_start(world.notifier), ERR_OK);
    assert_true(send_to(0, "n-1", "{}"));
    wait_until_arrived(0, 1);
    for (int i = 0; i < 50; i++) {
        while (!send_to(1, "n-2", "{}")) {
            usleep(1000); /* its queue is short */
        }
    }
    wait_until_arrived(1, 50);
    int refused = 0;
    for (int i = 0; i < 20; i++) {
        refused += !send_to(0, "n-3", "{}");
    }
    assert_int_equal(refused, 20 - (NOTIFIER_QUEUE_MAX - 1));
    notifier_stop(world.notifier); /* and it does not hold up the end */
    assert_false(send_to(1, "n-4", "{}"));
    size_t waiting = 0; /* what was begun and not taken is for the next run */
    for (size_t i = 0; i < world.rows_len; i++) {
        waiting += strcmp(world.rows[i].state, "waiting") == 0;
    }
    assert_int_equal(waiting, 1);
}

static void a_thread_wakes_for_each_notice(void **state) {
    (void)state;
    start(clock_system());
    assert_int_equal(notifier_start(world.notifier), ERR_OK);
    for (int i = 1; i <= 20; i++) {
        assert_true(send_to(1, "n-1", "{}"));
        wait_until_arrived(1, i);
    }
}

#define CLAIM(test) cmocka_unit_test_setup_teardown(test, make, drop)

int main(void) {
    const struct CMUnitTest tests[] = {
        CLAIM(a_notice_is_written_down_delivered_and_written_off),
        CLAIM(what_fails_is_tried_again_with_growing_pauses),
        CLAIM(what_is_refused_is_not_tried_again),
        CLAIM(what_never_arrives_is_given_up),
        CLAIM(a_full_queue_takes_no_more_and_forgets_nothing),
        CLAIM(without_a_log_it_is_told_all_the_same),
        CLAIM(what_an_earlier_run_left_goes_on_in_its_own_row),
        CLAIM(a_receiver_that_hangs_holds_up_no_other),
        CLAIM(a_thread_wakes_for_each_notice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
