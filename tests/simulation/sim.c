/* SPDX-License-Identifier: Apache-2.0 */
/* Time, events, and the ports of the nodes. */
#include "sim.h"

#include "sim_l2.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct event {
    int64_t at_us;
    uint64_t order;
    sim_fn fn;
    void *data;
    uint64_t number;
};

struct sim sim;
static struct event heap[1 << 15];
static size_t heap_len;
static uint64_t order;
static struct sim_port *ports[256]; /* ever made: events may name one that is closed */
static size_t ports_len;

static bool before(const struct event *a, const struct event *b) {
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

void sim_begin(uint64_t seed) {
    sim = (struct sim){.now_us = 1000000000};
    seeded_rng_init(&sim.rng, seed);
    sim.delay_us = sim_between(50, 2000);
    heap_len = 0;
    l2_reset();
}

void sim_at(int64_t delay_us, sim_fn fn, void *data, uint64_t number) {
    struct event event = {sim.now_us + delay_us, order++, fn, data, number};
    ASSERT(heap_len < sizeof heap / sizeof heap[0]);
    size_t at = heap_len++;
    while (at > 0 && before(&event, &heap[(at - 1) / 2])) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = event;
}

static struct event take_first(void) {
    struct event first = heap[0];
    struct event last = heap[--heap_len];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= heap_len) {
            break;
        }
        if (child + 1 < heap_len && before(&heap[child + 1], &heap[child])) {
            child++;
        }
        if (!before(&heap[child], &last)) {
            break;
        }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = last;
    return first;
}

bool sim_step(int64_t until_us) {
    if (heap_len == 0 || heap[0].at_us > until_us) {
        sim.now_us = until_us;
        return false;
    }
    struct event event = take_first();
    sim.now_us = event.at_us;
    event.fn(event.data, event.number);
    return true;
}

void sim_end(void) {
    while (heap_len > 0) {
        (void)sim_step(INT64_MAX - 1);
    }
    while (ports_len > 0) {
        free(ports[--ports_len]);
    }
}

bool sim_chance(double p) {
    return rng_unit(&sim.rng.base) < p;
}

int64_t sim_between(int64_t lo, int64_t hi) {
    return lo + (int64_t)rng_below(&sim.rng.base, (uint64_t)(hi - lo + 1));
}

/* Mostly short; now and then twenty times as long. */
int64_t sim_delay(void) {
    int64_t us = sim_between(sim.delay_us / 2, sim.delay_us);
    return sim_chance(0.02) ? us * 20 : us;
}

void sim_trace(const char *format, ...) {
    static int wanted = -1;
    if (wanted < 0) {
        wanted = getenv("TRACE") != NULL;
    }
    if (!wanted) {
        return;
    }
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%10" PRId64 " ", sim.now_us - 1000000000);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

/* Ports. */

static struct sim_port *sim_port(struct tiered_port *port) {
    return (struct sim_port *)port;
}

static int64_t now_us(struct tiered_port *port) {
    (void)port;
    return sim.now_us;
}

static int64_t precise_ns(struct tiered_port *port) {
    (void)port;
    return sim.now_us * 1000;
}

static void deliver(void *data, uint64_t number) {
    (void)number;
    struct loop_message *message = data;
    message->fn(message);
}

static void post(struct tiered_port *port, struct loop_message *message) {
    (void)port;
    sim_at(sim_between(1, 500), deliver, message, 0);
}

static void on_tick(void *data, uint64_t generation) {
    struct sim_port *port = data;
    if (port->closed || !port->ticking || port->ticks != generation) {
        return;
    }
    sim_at(TIERED_TICK_MS * 1000, on_tick, port, generation);
    tiered_loop_tick(port->loop);
}

static bool tick_start(struct tiered_port *base) {
    struct sim_port *port = sim_port(base);
    port->ticking = true;
    sim_at(TIERED_TICK_MS * 1000, on_tick, port, ++port->ticks);
    return true;
}

static void tick_stop(struct tiered_port *base) {
    sim_port(base)->ticking = false;
}

static enum err_e send_call(struct tiered_port *base, const struct redis_call *call) {
    return l2_send(sim_port(base), call);
}

static void swept(void *data, uint64_t number) {
    struct sim_sweep *sweep = data;
    (void)number;
    l2_sweep(sweep);
    free(sweep);
}

/* The fate of a sweep is told at once; what it removes goes later. */
static enum err_e sweep(struct tiered_port *base, struct slice pattern, redis_swept_fn fn,
                        void *data) {
    (void)base;
    struct sim_sweep *sweep = calloc(1, sizeof *sweep);
    ASSERT(sweep != NULL && slice_to_cstr(pattern, sweep->pattern, sizeof sweep->pattern));
    sim_at(sim_delay(), swept, sweep, 0);
    fn(data, ERR_OK, 0);
    return ERR_OK;
}

static int64_t heard_us(struct tiered_port *base) {
    struct sim_port *port = sim_port(base);
    int64_t least_us = INT64_MAX;
    for (int p = 0; p < PRIMARIES; p++) {
        least_us = port->proved_us[p] < least_us ? port->proved_us[p] : least_us;
    }
    return port->hears ? least_us : INT64_MIN;
}

static void l2_counters(struct tiered_port *port, struct redis_counters *ret_counters) {
    (void)port;
    memset(ret_counters, 0, sizeof *ret_counters);
}

static void close_port(struct tiered_port *base, void (*closed)(void *data), void *data) {
    struct sim_port *port = sim_port(base);
    port->closed = true;
    l2_drain(port);
    closed(data);
}


static void destroy(struct tiered_port *base) {
    (void)base;
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

struct sim_port *sim_port_make(int node, bool listens) {
    struct sim_port *port = calloc(1, sizeof *port);
    ASSERT(port != NULL && ports_len < sizeof ports / sizeof ports[0]);
    ports[ports_len++] = port;
    port->base = (struct tiered_port){.vtable = &vtable, .has_l2 = true, .listens = listens};
    port->node = node;
    if (listens) {
        channel_begin(port);
    }
    return port;
}
