/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One event loop on its own thread (libuv), with a mailbox for other threads and timers.
 *
 * A loop never blocks: everything it calls is free of MAY_BLOCK. What other threads finish comes
 * back as a loop_message whose `fn` runs on the loop, outside libuv's callbacks. All
 * signals are blocked on its thread, SIGPIPE too. Ownership: a posted message is the loop's
 * until its `fn` runs, then the fn's.
 */
#ifndef TURNOUT_IO_LOOP_H
#define TURNOUT_IO_LOOP_H

#include "base/clock.h"
#include "io/mailbox.h"

struct loop;
struct uv_loop_s;

struct loop_message {
    struct message link; /* first, so that a message is a loop_message */
    void (*fn)(struct loop_message *message);
};

typedef void (*loop_fn)(void *data);

/* `index` 0.. names the loop in logs and metrics. NULL without memory or descriptors. Main
 * thread. */
struct loop *loop_create(int index, struct clock *clock);
void loop_destroy(struct loop *loop); /* after loop_join */

MUST_CHECK enum err_e loop_start(struct loop *loop); /* starts the thread */
void loop_stop(struct loop *loop); /* any thread: asks it to end once its handles are closed */
MAY_BLOCK void loop_join(struct loop *loop); /* waits for the thread's end */

/* Any thread. Always accepted: senders bound themselves. */
void loop_post(struct loop *loop, struct loop_message *message);

/* From here on: the loop's own thread only. */
struct uv_loop_s *loop_uv(struct loop *loop); /* for adapters (http, Redis, PostgreSQL, curl) */
int64_t loop_now_us(struct loop *loop);       /* monotonic, taken once a turn: no system call */
int64_t loop_wall_ms(struct loop *loop);      /* wall clock, taken once a turn */
int loop_index(const struct loop *loop);
bool loop_is_current(const struct loop *loop);

struct loop_timer;
/* Calls fn(data) every `every_ms` (first after `first_ms`); every_ms 0: once. NULL without
 * memory. */
struct loop_timer *loop_timer_start(struct loop *loop, int64_t first_ms, int64_t every_ms,
                                    loop_fn fn, void *data);
void loop_timer_stop(struct loop_timer *timer); /* also after it fired; frees it */

/* Watches a descriptor that somebody else opened, reads and closes (a library's socket). */
enum loop_events_e { LOOP_READABLE = 1, LOOP_WRITABLE = 2 };
struct loop_watch;
/* Calls fn(data) whenever one of `events` (1..3) holds, an error or the peer's end among them. NULL
 * without memory, or when the descriptor cannot be watched. */
struct loop_watch *loop_watch_start(struct loop *loop, int fd, int events, loop_fn fn, void *data);
void loop_watch_set(struct loop_watch *watch, int events);
void loop_watch_stop(struct loop_watch *watch); /* before the descriptor is closed; frees it */

/* The longest single turn of the loop since the last call, in microseconds (a stall shows here).
 * Any thread. */
int64_t loop_take_stall_us(struct loop *loop);

#endif
