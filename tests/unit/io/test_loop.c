/* SPDX-License-Identifier: Apache-2.0 */
/* A loop on its own thread: messages from others, timers, time and the end. */
#include "io/loop.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* What the loop's thread hands back to the test's, one byte of news at a time. */
struct news {
    struct mailbox box;
};

struct note {
    struct message link;
    int value;
};

static void news_init(struct news *news) {
    mailbox_init(&news->box, SIZE_MAX, NULL, NULL);
}

static void tell(struct news *news, int value) {
    struct note *note = malloc(sizeof *note);
    assert_non_null(note);
    note->value = value;
    assert_true(mailbox_post(&news->box, &note->link));
}

/* Waits for `count` notes and returns the last one's value. */
static int hear(struct news *news, int count) {
    int value = -1;
    while (count > 0) {
        struct message *next = mailbox_wait(&news->box, 60000);
        assert_non_null(next);
        while (next != NULL) {
            struct note *note = (struct note *)next;
            next = next->next;
            value = note->value;
            free(note);
            count--;
        }
    }
    return value;
}

struct job {
    struct loop_message message;
    struct loop *loop;
    struct news *news;
};

static void tell_whether_current(struct loop_message *message) {
    struct job *job = (struct job *)message;
    tell(job->news, loop_is_current(job->loop));
}

static void a_message_runs_on_the_loops_thread(void **state) {
    (void)state;
    struct news news;
    news_init(&news);
    struct loop *loop = loop_create(3, clock_system());
    assert_non_null(loop);
    assert_int_equal(loop_index(loop), 3);
    assert_int_equal(loop_start(loop), ERR_OK);
    struct job job = {.message.fn = tell_whether_current, .loop = loop, .news = &news};
    loop_post(loop, &job.message);
    assert_int_equal(hear(&news, 1), 1);
    assert_false(loop_is_current(loop));
    loop_stop(loop);
    loop_join(loop);
    loop_destroy(loop);
    mailbox_fini(&news.box);
}

enum { POSTERS = 4, POSTS = 5000 };

struct counted {
    struct loop_message message;
    int value;
};

static struct {
    int last[POSTERS];
    int total;
    int out_of_order;
    struct news news;
    struct counted messages[POSTERS][POSTS];
    struct loop *loop;
} crowd;

static void count_one(struct loop_message *message) {
    struct counted *counted = (struct counted *)message;
    size_t poster = (size_t)(counted - &crowd.messages[0][0]) / POSTS;
    crowd.out_of_order += counted->value != crowd.last[poster] + 1;
    crowd.last[poster] = counted->value;
    if (++crowd.total == POSTERS * POSTS) {
        tell(&crowd.news, crowd.out_of_order);
    }
}

static void *post_many(void *data) {
    struct counted *mine = data;
    for (int i = 0; i < POSTS; i++) {
        mine[i].message.fn = count_one;
        mine[i].value = i + 1;
        loop_post(crowd.loop, &mine[i].message);
    }
    return NULL;
}

static void posts_from_many_threads_all_arrive_in_each_ones_order(void **state) {
    (void)state;
    news_init(&crowd.news);
    crowd.loop = loop_create(0, clock_system());
    assert_int_equal(loop_start(crowd.loop), ERR_OK);
    pthread_t threads[POSTERS];
    for (int i = 0; i < POSTERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, post_many, crowd.messages[i]), 0);
    }
    for (int i = 0; i < POSTERS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(hear(&crowd.news, 1), 0);
    loop_stop(crowd.loop);
    loop_join(crowd.loop);
    loop_destroy(crowd.loop);
    mailbox_fini(&crowd.news.box);
}

static void what_was_posted_before_the_start_runs_after_it(void **state) {
    (void)state;
    struct news news;
    news_init(&news);
    struct loop *loop = loop_create(0, clock_system());
    struct job job = {.message.fn = tell_whether_current, .loop = loop, .news = &news};
    loop_post(loop, &job.message);
    assert_int_equal(loop_start(loop), ERR_OK);
    assert_int_equal(hear(&news, 1), 1);
    loop_stop(loop);
    loop_join(loop);
    loop_destroy(loop);
    mailbox_fini(&news.box);
}

struct ticking {
    struct loop_message message;
    struct loop *loop;
    struct loop_timer *timer;
    struct news *news;
    int ticks;
    int wanted;
    int64_t every_ms;
};

static void on_tick(void *data) {
    struct ticking *ticking = data;
    if (++ticking->ticks == ticking->wanted) {
        loop_timer_stop(ticking->timer);
        tell(ticking->news, ticking->ticks);
    }
}

static void start_ticking(struct loop_message *message) {
    struct ticking *ticking = (struct ticking *)message;
    ticking->timer = loop_timer_start(ticking->loop, 0, ticking->every_ms, on_tick, ticking);
}

static void a_timer_repeats_until_it_is_stopped(void **state) {
    (void)state;
    struct news news;
    news_init(&news);
    struct loop *loop = loop_create(0, clock_system());
    assert_int_equal(loop_start(loop), ERR_OK);
    struct ticking ticking = {.message.fn = start_ticking, .loop = loop, .news = &news, .wanted = 5,
                              .every_ms = 1};
    loop_post(loop, &ticking.message);
    assert_int_equal(hear(&news, 1), 5);
    loop_stop(loop);
    loop_join(loop);
    assert_int_equal(ticking.ticks, 5);
    loop_destroy(loop);
    mailbox_fini(&news.box);
}

static void stop_later(struct loop_message *message) {
    struct job *job = (struct job *)message;
    loop_stop(job->loop);
}

static void a_loop_ends_only_after_its_timers_are_gone(void **state) {
    (void)state;
    struct news news;
    news_init(&news);
    struct loop *loop = loop_create(0, clock_system());
    struct ticking ticking = {
        .message.fn = start_ticking, .loop = loop, .news = &news, .wanted = 20, .every_ms = 1};
    struct job stop = {.message.fn = stop_later, .loop = loop};
    loop_post(loop, &ticking.message);
    loop_post(loop, &stop.message);
    assert_int_equal(loop_start(loop), ERR_OK);
    loop_join(loop);
    assert_int_equal(ticking.ticks, 20);
    assert_int_equal(hear(&news, 1), 20);
    loop_destroy(loop);
    mailbox_fini(&news.box);
}

static void a_loop_that_never_started_can_be_destroyed(void **state) {
    (void)state;
    struct loop *loop = loop_create(0, clock_system());
    assert_non_null(loop);
    loop_destroy(loop);
    loop_destroy(NULL);
}

struct timed {
    struct loop_message message;
    struct loop *loop;
    struct virtual_clock *clock;
    struct news *news;
    int64_t first_us, again_us, wall_ms;
};

static void read_time_twice(struct loop_message *message) {
    struct timed *timed = (struct timed *)message;
    timed->first_us = loop_now_us(timed->loop);
    timed->wall_ms = loop_wall_ms(timed->loop);
    virtual_clock_advance(timed->clock, 5);
    timed->again_us = loop_now_us(timed->loop);
    tell(timed->news, 0);
}

static void time_stands_still_within_a_turn_and_moves_between_turns(void **state) {
    (void)state;
    struct news news;
    news_init(&news);
    struct virtual_clock clock;
    virtual_clock_init(&clock, 1700000000000);
    struct loop *loop = loop_create(0, &clock.base);
    assert_int_equal(loop_start(loop), ERR_OK);
    struct timed timed = {
        .message.fn = read_time_twice, .loop = loop, .clock = &clock, .news = &news};
    loop_post(loop, &timed.message);
    hear(&news, 1);
    int64_t first_us = timed.first_us;
    assert_int_equal(timed.again_us, first_us);
    assert_int_equal(timed.wall_ms, 1700000000000);
    loop_post(loop, &timed.message);
    hear(&news, 1);
    assert_int_equal(timed.first_us, first_us + 5000);
    loop_stop(loop);
    loop_join(loop);
    loop_destroy(loop);
    mailbox_fini(&news.box);
}

static void burn(struct loop_message *message) {
    struct job *job = (struct job *)message;
    int64_t begun = clock_mono_us(clock_system());
    while (clock_mono_us(clock_system()) - begun < 30000) {
    }
    tell(job->news, 0);
}

static void a_long_turn_shows_as_a_stall_and_waiting_does_not(void **state) {
    (void)state;
    struct news news;
    news_init(&news);
    struct loop *loop = loop_create(0, clock_system());
    assert_int_equal(loop_start(loop), ERR_OK);
    struct job job = {.message.fn = burn, .loop = loop, .news = &news};
    loop_post(loop, &job.message);
    hear(&news, 1);
    /* A second message is a turn that begins after the first has been measured. */
    struct job after = {.message.fn = tell_whether_current, .loop = loop, .news = &news};
    loop_post(loop, &after.message);
    hear(&news, 1);
    loop_stop(loop);
    loop_join(loop);
    assert_true(loop_take_stall_us(loop) >= 30000);
    assert_int_equal(loop_take_stall_us(loop), 0);
    loop_destroy(loop);
    mailbox_fini(&news.box);
}

static void write_to_a_broken_pipe(struct loop_message *message) {
    struct job *job = (struct job *)message;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    ssize_t written = write(ends[1], "x", 1);
    close(ends[1]);
    tell(job->news, written == -1);
}

static void a_broken_pipe_on_the_loop_kills_nobody(void **state) {
    (void)state;
    struct news news;
    news_init(&news);
    struct loop *loop = loop_create(0, clock_system());
    assert_int_equal(loop_start(loop), ERR_OK);
    struct job job = {.message.fn = write_to_a_broken_pipe, .loop = loop, .news = &news};
    loop_post(loop, &job.message);
    assert_int_equal(hear(&news, 1), 1);
    loop_stop(loop);
    loop_join(loop);
    loop_destroy(loop);
    mailbox_fini(&news.box);
}

/* ── descriptors ── */

struct watching {
    struct loop_message begin; /* first */
    struct loop *loop;
    struct loop_watch *watch;
    int fd;
    struct news news;
};

static void on_bytes(void *data) {
    struct watching *watching = data;
    char bytes[8];
    ssize_t len = read(watching->fd, bytes, sizeof bytes);
    if (len <= 0) { /* the end would be told for ever */
        loop_watch_stop(watching->watch);
    }
    tell(&watching->news, (int)len);
}

static void begin_watching(struct loop_message *message) {
    struct watching *watching = (struct watching *)message;
    watching->watch = loop_watch_start(watching->loop, watching->fd, LOOP_READABLE, on_bytes,
                                       watching);
    tell(&watching->news, watching->watch != NULL);
}

static void a_descriptor_tells_of_bytes_and_of_its_end(void **state) {
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct watching watching = {.begin.fn = begin_watching, .fd = ends[0]};
    news_init(&watching.news);
    watching.loop = loop_create(0, clock_system());
    assert_int_equal(loop_start(watching.loop), ERR_OK);
    loop_post(watching.loop, &watching.begin);
    assert_int_equal(hear(&watching.news, 1), 1);
    assert_int_equal(write(ends[1], "abc", 3), 3);
    assert_int_equal(hear(&watching.news, 1), 3);
    assert_int_equal(write(ends[1], "d", 1), 1);
    assert_int_equal(hear(&watching.news, 1), 1);
    close(ends[1]);
    assert_int_equal(hear(&watching.news, 1), 0);
    loop_stop(watching.loop);
    loop_join(watching.loop);
    loop_destroy(watching.loop);
    close(ends[0]);
    mailbox_fini(&watching.news.box);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_runs_on_the_loops_thread),
        cmocka_unit_test(posts_from_many_threads_all_arrive_in_each_ones_order),
        cmocka_unit_test(what_was_posted_before_the_start_runs_after_it),
        cmocka_unit_test(a_timer_repeats_until_it_is_stopped),
        cmocka_unit_test(a_loop_ends_only_after_its_timers_are_gone),
        cmocka_unit_test(a_descriptor_tells_of_bytes_and_of_its_end),
        cmocka_unit_test(a_loop_that_never_started_can_be_destroyed),
        cmocka_unit_test(time_stands_still_within_a_turn_and_moves_between_turns),
        cmocka_unit_test(a_long_turn_shows_as_a_stall_and_waiting_does_not),
        cmocka_unit_test(a_broken_pipe_on_the_loop_kills_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
