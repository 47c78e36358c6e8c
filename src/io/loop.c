/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop's thread, its mailbox and its timers.
 *
 * A post wakes the loop and makes uv_run return; then the messages run. So they run outside libuv's
 * callbacks, where an adapter may run the loop once more to let a handle close (libh2o does). A
 * turn lasts from one wait to the next; time is read when it is first asked for after the wait.
 *
 *   running ── loop_stop ──► stopping ── no handle left ──► ended ── loop_join, loop_destroy
 */
#include "io/loop.h"

#include "base/assert.h"
#include "base/log.h"

#include <uv.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct loop {
    uv_loop_t uv;
    uv_async_t wake;       /* another thread posted, or asks to stop */
    uv_prepare_t turn;     /* runs before each wait */
    struct mailbox box;
    struct clock *clock;
    int index;
    pthread_t thread;
    _Atomic(pthread_t) self; /* the running thread's, 0 before and after */
    atomic_bool stopping;
    atomic_int_fast64_t stall_us; /* longest turn since it was taken */
    uint64_t turn_begun_ns;
    uint64_t turn_idle_ns; /* all waiting until then */
    int64_t now_us;  /* TIME_NONE: not read yet in this turn */
    int64_t wall_ms; /* the same */
};

struct loop_timer {
    uv_timer_t uv;
    loop_fn fn;
    void *data;
};

static void on_wake(uv_async_t *async) {
    uv_stop(async->loop); /* out of uv_run, to the messages */
}

/* Written by the loop's thread; taken by any: a stall is lost by neither. */
static void note_stall(struct loop *loop, int64_t us) {
    int_fast64_t seen = atomic_load_explicit(&loop->stall_us, memory_order_relaxed);
    while (us > seen && !atomic_compare_exchange_weak(&loop->stall_us, &seen, us)) {
    }
}

/* The end of a turn: how long did it take without the wait at its start? The time known so far
 * grows old now. */
static void on_turn(uv_prepare_t *prepare) {
    struct loop *loop = prepare->data;
    uint64_t now = uv_hrtime();
    uint64_t idle = uv_metrics_idle_time(&loop->uv);
    uint64_t spent = now - loop->turn_begun_ns;
    uint64_t waited = idle - loop->turn_idle_ns;
    note_stall(loop, spent > waited ? (int64_t)((spent - waited) / 1000) : 0);
    loop->turn_begun_ns = now;
    loop->turn_idle_ns = idle;
    loop->now_us = TIME_NONE;
    loop->wall_ms = TIME_NONE;
}

static void wake(void *data) {
    struct loop *loop = data;
    uv_async_send(&loop->wake);
}

static bool init_handles(struct loop *loop) {
    if (uv_loop_init(&loop->uv) != 0) {
        return false;
    }
    uv_loop_configure(&loop->uv, UV_METRICS_IDLE_TIME);
    if (uv_async_init(&loop->uv, &loop->wake, on_wake) != 0) {
        uv_loop_close(&loop->uv);
        return false;
    }
    uv_prepare_init(&loop->uv, &loop->turn);
    loop->turn.data = loop;
    uv_prepare_start(&loop->turn, on_turn);
    uv_unref((uv_handle_t *)&loop->turn);
    return true;
}

struct loop *loop_create(int index, struct clock *clock) {
    struct loop *loop = calloc(1, sizeof *loop);
    if (loop == NULL) {
        return NULL;
    }
    loop->index = index;
    loop->clock = clock;
    loop->now_us = TIME_NONE;
    loop->wall_ms = TIME_NONE;
    if (!init_handles(loop)) {
        free(loop);
        return NULL;
    }
    mailbox_init(&loop->box, SIZE_MAX, wake, loop);
    return loop;
}

void loop_destroy(struct loop *loop) {
    if (loop == NULL) {
        return;
    }
    ASSERT(atomic_load(&loop->self) == 0);
    uv_close((uv_handle_t *)&loop->wake, NULL);
    uv_close((uv_handle_t *)&loop->turn, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    ASSERT(uv_loop_close(&loop->uv) == 0); /* somebody kept a handle or a timer */
    mailbox_fini(&loop->box);
    free(loop);
}

static bool run_messages(struct loop *loop) {
    struct message *next = mailbox_take(&loop->box);
    bool any = next != NULL;
    while (next != NULL) {
        struct loop_message *message = (struct loop_message *)next;
        next = next->next; /* the message is its fn's from here on */
        message->fn(message);
    }
    return any;
}

static void run_to_the_end(struct loop *loop) {
    loop->turn_begun_ns = uv_hrtime();
    while (!atomic_load(&loop->stopping)) {
        uv_run(&loop->uv, UV_RUN_DEFAULT);
        run_messages(loop);
    }
    uv_unref((uv_handle_t *)&loop->wake);
    bool alive = true;
    while (alive) {
        alive = uv_run(&loop->uv, UV_RUN_DEFAULT) != 0;
        alive = run_messages(loop) || alive;
    }
}

/* Signals are the main thread's. SIGPIPE too: it is the writing thread's alone, and libuv writes
 * without MSG_NOSIGNAL; a blocked one is nothing, the write says EPIPE. */
static void block_signals(void) {
    sigset_t all;
    sigfillset(&all);
    int synchronous[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    for (size_t i = 0; i < sizeof synchronous / sizeof synchronous[0]; i++) {
        sigdelset(&all, synchronous[i]);
    }
    pthread_sigmask(SIG_BLOCK, &all, NULL);
}

static void *loop_main(void *data) {
    struct loop *loop = data;
    char name[16];
    snprintf(name, sizeof name, "loop-%u", (unsigned)loop->index % 10000);
    pthread_setname_np(pthread_self(), name);
    block_signals();
    atomic_store(&loop->self, pthread_self());
    run_to_the_end(loop);
    atomic_store(&loop->self, 0);
    return NULL;
}

enum err_e loop_start(struct loop *loop) {
    if (pthread_create(&loop->thread, NULL, loop_main, loop) != 0) {
        log_event(LOG_ERROR, "loop_not_started", "loop=%d", loop->index);
        return ERR_NO_MEMORY;
    }
    return ERR_OK;
}

void loop_stop(struct loop *loop) {
    atomic_store(&loop->stopping, true);
    uv_async_send(&loop->wake);
}

MAY_BLOCK void loop_join(struct loop *loop) {
    ASSERT(pthread_join(loop->thread, NULL) == 0);
}

void loop_post(struct loop *loop, struct loop_message *message) {
    ASSERT(mailbox_post(&loop->box, &message->link));
}

struct uv_loop_s *loop_uv(struct loop *loop) {
    return &loop->uv;
}

int64_t loop_now_us(struct loop *loop) {
    if (loop->now_us == TIME_NONE) {
        loop->now_us = clock_mono_us(loop->clock);
    }
    return loop->now_us;
}

int64_t loop_wall_ms(struct loop *loop) {
    if (loop->wall_ms == TIME_NONE) {
        loop->wall_ms = clock_wall_ms(loop->clock);
    }
    return loop->wall_ms;
}

int loop_index(const struct loop *loop) {
    return loop->index;
}

bool loop_is_current(const struct loop *loop) {
    return pthread_equal(atomic_load(&loop->self), pthread_self()) != 0;
}

static void on_timer(uv_timer_t *uv) {
    struct loop_timer *timer = uv->data;
    timer->fn(timer->data);
}

struct loop_timer *loop_timer_start(struct loop *loop, int64_t first_ms, int64_t every_ms,
                                    loop_fn fn, void *data) {
    ASSERT(first_ms >= 0 && every_ms >= 0);
    struct loop_timer *timer = calloc(1, sizeof *timer);
    if (timer == NULL) {
        return NULL;
    }
    timer->fn = fn;
    timer->data = data;
    uv_timer_init(&loop->uv, &timer->uv);
    timer->uv.data = timer;
    uv_timer_start(&timer->uv, on_timer, (uint64_t)first_ms, (uint64_t)every_ms);
    return timer;
}

static void on_timer_closed(uv_handle_t *handle) {
    free(handle->data);
}

void loop_timer_stop(struct loop_timer *timer) {
    if (timer != NULL) {
        uv_close((uv_handle_t *)&timer->uv, on_timer_closed);
    }
}

/* ── descriptors ── */

struct loop_watch {
    uv_poll_t uv;
    loop_fn fn;
    void *data;
    int events;
};

static void on_descriptor(uv_poll_t *uv, int status, int events) {
    struct loop_watch *watch = uv->data;
    (void)status; /* whoever reads the descriptor finds out what is wrong with it */
    (void)events;
    watch->fn(watch->data);
}

static void on_watch_closed(uv_handle_t *handle) {
    free(handle->data);
}

static int poll_events(int events) {
    return ((events & LOOP_READABLE) != 0 ? UV_READABLE | UV_DISCONNECT : 0) |
           ((events & LOOP_WRITABLE) != 0 ? UV_WRITABLE : 0);
}

struct loop_watch *loop_watch_start(struct loop *loop, int fd, int events, loop_fn fn,
                                    void *data) {
    struct loop_watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL) {
        return NULL;
    }
    *watch = (struct loop_watch){.fn = fn, .data = data, .events = events};
    if (uv_poll_init(&loop->uv, &watch->uv, fd) != 0) {
        free(watch);
        return NULL;
    }
    watch->uv.data = watch;
    if (uv_poll_start(&watch->uv, poll_events(events), on_descriptor) != 0) {
        loop_watch_stop(watch);
        return NULL;
    }
    return watch;
}

void loop_watch_set(struct loop_watch *watch, int events) {
    if (watch->events != events) {
        watch->events = events;
        ASSERT(uv_poll_start(&watch->uv, poll_events(events), on_descriptor) == 0);
    }
}

void loop_watch_stop(struct loop_watch *watch) {
    if (watch != NULL) {
        uv_poll_stop(&watch->uv);
        uv_close((uv_handle_t *)&watch->uv, on_watch_closed);
    }
}

int64_t loop_take_stall_us(struct loop *loop) {
    return atomic_exchange_explicit(&loop->stall_us, 0, memory_order_relaxed);
}
