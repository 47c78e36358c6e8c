/* SPDX-License-Identifier: Apache-2.0 */
/* io/loop.h on virtual time. Everything runs in one thread, so every loop is the current one. */
#include "cluster.h"

#include <stdlib.h>

struct loop {
    int node, index;
};

struct loop *vloop_make(int node, int index) {
    struct loop *loop = calloc(1, sizeof *loop);
    ASSERT(loop != NULL);
    *loop = (struct loop){node, index};
    return loop;
}

void vloop_free(struct loop *loop) {
    free(loop);
}

static void deliver(void *data, uint64_t number) {
    struct loop_message *message = data;
    (void)number;
    message->fn(message);
}

void loop_post(struct loop *loop, struct loop_message *message) {
    (void)loop;
    sim_at(sim_between(1, 500), deliver, message, 0);
}

int64_t loop_now_us(struct loop *loop) {
    (void)loop;
    return sim.now_us;
}

int64_t loop_wall_ms(struct loop *loop) {
    return clock_wall_ms(cluster_clock(loop->node));
}

int loop_index(const struct loop *loop) {
    return loop->index;
}

bool loop_is_current(const struct loop *loop) {
    (void)loop;
    return true;
}

/* What nothing in the simulation may call. */

struct loop *loop_create(int index, struct clock *clock) {
    (void)index, (void)clock;
    ASSERT(false);
    return NULL;
}

void loop_destroy(struct loop *loop) {
    (void)loop;
    ASSERT(false);
}

struct uv_loop_s *loop_uv(struct loop *loop) {
    (void)loop;
    ASSERT(false);
    return NULL;
}

struct loop_timer *loop_timer_start(struct loop *loop, int64_t first_ms, int64_t every_ms,
                                    loop_fn fn, void *data) {
    (void)loop, (void)first_ms, (void)every_ms, (void)fn, (void)data;
    ASSERT(false);
    return NULL;
}

void loop_timer_stop(struct loop_timer *timer) {
    (void)timer;
    ASSERT(false);
}

struct loop_watch *loop_watch_start(struct loop *loop, int fd, int events, loop_fn fn,
                                    void *data) {
    (void)loop, (void)fd, (void)events, (void)fn, (void)data;
    ASSERT(false);
    return NULL;
}

void loop_watch_set(struct loop_watch *watch, int events) {
    (void)watch, (void)events;
    ASSERT(false);
}

void loop_watch_stop(struct loop_watch *watch) {
    (void)watch;
    ASSERT(false);
}
