/* SPDX-License-Identifier: Apache-2.0 */
/* What a tiered_loop stands on in a server: an event loop, and a Redis client if there is one. */
#include "cache/tiered_port.h"

#include "cache/tiered_priv.h"

#include <stdlib.h>
#include <time.h>

struct served_port {
    struct tiered_port base;
    struct loop *loop;
    struct loop_timer *tick;
    struct redis *redis; /* NULL: no L2 */
    struct tiered_loop *self;
};

static struct served_port *served(struct tiered_port *port) {
    return (struct served_port *)port;
}

static int64_t now_us(struct tiered_port *port) {
    return loop_now_us(served(port)->loop);
}

static int64_t precise_ns(struct tiered_port *port) {
    (void)port;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void post(struct tiered_port *port, struct loop_message *message) {
    loop_post(served(port)->loop, message);
}

static void on_tick(void *data) {
    tiered_loop_tick(served(data)->self);
}

static bool tick_start(struct tiered_port *base) {
    struct served_port *port = served(base);
    port->tick = loop_timer_start(port->loop, TIERED_TICK_MS, TIERED_TICK_MS, on_tick, port);
    return port->tick != NULL;
}

static void tick_stop(struct tiered_port *base) {
    loop_timer_stop(served(base)->tick);
    served(base)->tick = NULL;
}

static enum err_e send_call(struct tiered_port *port, const struct redis_call *call) {
    return redis_send(served(port)->redis, call);
}

static enum err_e sweep(struct tiered_port *port, struct slice pattern, redis_swept_fn fn,
                        void *data) {
    return redis_sweep(served(port)->redis, pattern, fn, data);
}

static int64_t heard_us(struct tiered_port *port) {
    return redis_heard_us(served(port)->redis);
}

static void l2_counters(struct tiered_port *port, struct redis_counters *ret_counters) {
    redis_read_counters(served(port)->redis, ret_counters);
}

static void close_port(struct tiered_port *base, void (*closed)(void *data), void *data) {
    struct served_port *port = served(base);
    if (port->redis == NULL) {
        closed(data);
    } else {
        redis_close(port->redis, closed, data);
    }
}

static void destroy(struct tiered_port *base) {
    free(served(base));
}

static const struct tiered_port_vtable vtable = {
    .now_us = now_us,
    .precise_ns = precise_ns,
    .post = post,
    .tick_start = tick_start,
    .tick_stop = tick_stop,
    .send = send_call,
    .sweep = sweep,
    .heard_us = heard_us,
    .l2_counters = l2_counters,
    .close = close_port,
    .destroy = destroy,
};

static void on_news(void *data, enum redis_news_e news, struct slice key) {
    tiered_loop_news(served(data)->self, news, key);
}

static enum err_e open_redis(struct served_port *port, const struct tiered_loop_options *options,
                             struct problem *ret_problem) {
    if (options->redis == NULL) {
        return ERR_OK;
    }
    struct redis_options redis = *options->redis;
    redis.loop = options->loop;
    redis.news = options->listens ? on_news : NULL;
    redis.news_data = port;
    return redis_open(&redis, &port->redis, ret_problem);
}

static void on_closed_early(void *data) {
    destroy(data);
}

enum err_e tiered_loop_open(struct tiered *tiered, const struct tiered_loop_options *options,
                            struct tiered_loop **ret_loop, struct problem *ret_problem) {
    struct served_port *port = calloc(1, sizeof *port);
    if (port == NULL) {
        return ERR_NO_MEMORY;
    }
    port->base.vtable = &vtable;
    port->loop = options->loop;
    enum err_e err = open_redis(port, options, ret_problem);
    if (err != ERR_OK) {
        free(port);
        return err;
    }
    port->base.has_l2 = port->redis != NULL;
    port->base.listens = port->base.has_l2 && options->listens;
    err = tiered_loop_open_on(tiered, &port->base, options, &port->self);
    if (err != ERR_OK) {
        close_port(&port->base, on_closed_early, port);
        return err;
    }
    *ret_loop = port->self;
    return ERR_OK;
}
