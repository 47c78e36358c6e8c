/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam under a tiered_loop: its clock, its thread's mailbox, its tick, and L2.
 *
 * Two implementations: tiered_port.c on an event loop and a Redis client, and the one of
 * tests/simulation on a virtual clock with an L2 that loses, delays and reorders.
 *
 * Thread: the loop's, except `post`, `precise_ns` and `l2_counters` (any, until `close`). Requests
 * to L2 are those of cache/redis.h, with its rules: `send` answers later or refuses at once.
 */
#ifndef TURNOUT_CACHE_TIERED_PORT_H
#define TURNOUT_CACHE_TIERED_PORT_H

#include "cache/tiered.h"

struct tiered_port;

enum { TIERED_TICK_MS = 10 };

struct tiered_port_vtable {
    int64_t (*now_us)(struct tiered_port *port); /* monotonic */
    int64_t (*precise_ns)(struct tiered_port *port); /* the same, read anew; any thread */
    void (*post)(struct tiered_port *port, struct loop_message *message);
    /* Calls tiered_loop_tick every TIERED_TICK_MS from now on, until tick_stop. False: no
     * memory. */
    bool (*tick_start)(struct tiered_port *port);
    void (*tick_stop)(struct tiered_port *port);
    enum err_e (*send)(struct tiered_port *port, const struct redis_call *call);
    enum err_e (*sweep)(struct tiered_port *port, struct slice pattern, redis_swept_fn fn,
                        void *data);
    int64_t (*heard_us)(struct tiered_port *port); /* see redis_heard_us */
    void (*l2_counters)(struct tiered_port *port, struct redis_counters *ret_counters);
    /* Answers what is under way with ERR_DRAINING before it returns; `closed` when nothing is left.
     * Posts may still come until `destroy`, which follows. */
    void (*close)(struct tiered_port *port, void (*closed)(void *data), void *data);
    void (*destroy)(struct tiered_port *port);
};

struct tiered_port {
    const struct tiered_port_vtable *vtable;
    bool has_l2;
    bool listens; /* news come in through tiered_loop_news */
};

/* tiered_loop_open for a port that is there already; it is the loop's until `destroy`. */
enum err_e tiered_loop_open_on(struct tiered *tiered, struct tiered_port *port,
                               const struct tiered_loop_options *options,
                               struct tiered_loop **ret_loop) MUST_CHECK;

void tiered_loop_tick(struct tiered_loop *loop);
void tiered_loop_news(struct tiered_loop *loop, enum redis_news_e news, struct slice key);

#endif
