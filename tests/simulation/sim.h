/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cluster in one thread on a virtual clock: events in order of time, an L2 of several primaries
 * with a channel to each node, and ports on which the real tiered cache runs.
 *
 * The L2 does what cache/redis.h says of Redis, and what Redis does when it is ill: it pauses,
 * fails over to a replica that lags, is flushed, evicts, and its connections die, loudly or
 * silently. Everything that is random comes from one seed.
 */
#ifndef TURNOUT_TESTS_SIMULATION_SIM_H
#define TURNOUT_TESTS_SIMULATION_SIM_H

#include "base/assert.h"
#include "cache/tiered_port.h"

/* A program that needs others has them on its command line (meson.build). */
#ifndef SIM_NODES
#define SIM_NODES 3
#define SIM_KEYS 8
#define SIM_VALUE_MAX 32
#endif
enum { NODES = SIM_NODES, LOOPS = 2, PRIMARIES = 2, KEYS = SIM_KEYS };
/* Every key that L2 is asked for: the program's. */
extern const char *const sim_names[KEYS];

typedef void (*sim_fn)(void *data, uint64_t number);

struct sim_port {
    struct tiered_port base;
    struct tiered_loop *loop;
    int node;
    bool gone; /* its node crashed: nothing leaves it any more */
    uint64_t ticks; /* generation of the running tick */
    bool ticking;
    bool closed;
    struct sim_request *sent; /* unanswered */
    int64_t last_arrival_us[PRIMARIES];
    int64_t last_answer_us[PRIMARIES];
    int64_t broken_until_us[PRIMARIES]; /* the breaker refuses at once */
    /* The channel. */
    bool hears;
    bool deaf; /* half-open: what is told is lost, and nobody knows */
    uint64_t connection[PRIMARIES];
    bool connected[PRIMARIES];
    int64_t proved_us[PRIMARIES]; /* 0: no beat yet */
    int64_t message_us[PRIMARIES];
    int64_t last_told_us[PRIMARIES];
};

struct sim {
    struct seeded_rng rng;
    int64_t now_us;
    int64_t delay_us; /* of one way, mostly */
    struct sim_port *ports[NODES][LOOPS]; /* NULL: down */
    bool calm; /* no more faults */
};
extern struct sim sim;

void sim_begin(uint64_t seed);
void sim_end(void); /* frees what is left of events */
void sim_at(int64_t delay_us, sim_fn fn, void *data, uint64_t number);
bool sim_step(int64_t until_us); /* runs one event; false: none is left before then */
bool sim_chance(double p);
int64_t sim_between(int64_t lo, int64_t hi);
int64_t sim_delay(void); /* of a message, one way */
/* With TRACE=1 in the environment: what happens, with its time. */
void sim_trace(const char *format, ...) PRINTF_LIKE(1, 2);

struct sim_port *sim_port_make(int node, bool listens);
int sim_key_of(struct slice key); /* its place among sim_names, or -1 */

/* Faults of L2. */
void l2_reset(void);
void l2_pause(int primary, int64_t us);
void l2_fail_over(int primary, int64_t us);
void l2_flush(int primary);
void l2_evict(int key);
void l2_snapshot(void); /* the replicas catch up */
void channel_lose(struct sim_port *port);
void channel_deafen(struct sim_port *port);
/* Nothing goes either way, to one primary or to all (-1). */
void connection_stall(struct sim_port *port, int primary, int64_t us);

#endif
