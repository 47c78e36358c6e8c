/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the tiered cache share.
 *
 *   tiered.c         life, the fast path             tiered_change.c    writes, invalidation
 *   tiered_flight.c  one load per key and node       tiered_figures.c   counters
 *   tiered_fetch.c   one flight: its load            tiered_port.c      the loop underneath
 *
 * Shared between threads: L1 (its own locking), the flights and the loops (under `mutex`, held for
 * a few instructions and never across a callback), atomics, counters with one writer each.
 *
 *  1. A flight is in the table until it lands; one that is outdated cannot be joined any more.
 *  2. A get is in one place: its caller's, the leader of one flight, the waiter of one, or in a
 *     parcel on its way to its loop.
 *  3. Parcels in the mail are counted in `loop->in_transit` under the mutex, before they are
 *     posted, so that a loop outlives them.
 */
#ifndef TURNOUT_CACHE_TIERED_PRIV_H
#define TURNOUT_CACHE_TIERED_PRIV_H

#include "base/assert.h"
#include "cache/tiered.h"
#include "cache/tiered_port.h"
#include "stat/counter.h"

#include <pthread.h>

enum {
    TIERED_BUCKETS = 1024, /* of the flights; there are as many as loads under way */
    TIERED_HEAD = 8,       /* bytes before each value in L1: when it was read */
    TIERED_VALUE_MAX = REDIS_VALUE_MAX,
};

struct tiered_cells {
#define X(name) struct counter name;
    TIERED_COUNTER_TABLE(X)
#undef X
};

struct tiered_flight {
    struct tiered_flight *after; /* in its bucket */
    uint64_t hash;
    struct tiered_loop *loop; /* the leader's */
    struct tiered_get *leader;
    struct tiered_get *waiters; /* of any loop, newest first; under the mutex */
    bool outdated;              /* its key was invalidated: nothing may be kept; under the mutex */
    struct l1_ticket ticket;
    int64_t load_us; /* when its load began */
    struct slice key;
    char bytes[]; /* of the key */
};

/* An answer on its way to another loop. */
struct tiered_parcel {
    struct loop_message message;
    struct tiered_loop *to;
    struct tiered_get *gets;
    struct tiered_answer answer; /* its value is below */
    char bytes[];
};

struct tiered {
    struct tiered_options options;
    struct l1_memory *memory;
    struct l1 *l1;
    pthread_mutex_t mutex;
    struct tiered_loop *loops[TIERED_LOOPS_MAX]; /* NULL: free */
    struct tiered_flight *buckets[TIERED_BUCKETS];
    uint64_t flights;
    uint64_t waiters;
    struct tiered_counters past[TIERED_CLASS_COUNT]; /* of loops that were closed */
    _Atomic int64_t heard_us; /* all that others wrote until then is known here */
};

struct tiered_loop {
    struct tiered *tiered;
    struct tiered_port *port;
    struct l1_reader *reader;
    tiered_due_fn due;
    void *due_data;
    unsigned index;
    bool closing;
    struct buf scratch;   /* a value that is put together, or read by tiered_get */
    struct buf leftovers; /* a value that expired */
    struct { /* what tiered_try missed last, for the tiered_get that follows */
        bool any;
        uint64_t hash;
        struct l1_ticket ticket;
    } missed;
    unsigned in_transit; /* under the mutex */
    void (*closed)(void *data);
    void *closed_data;
    bool port_closed;
    struct tiered_cells cells[TIERED_CLASS_COUNT];
};

static inline int64_t tiered_now_us(const struct tiered_loop *loop) {
    return loop->port->vtable->now_us(loop->port);
}

static inline struct tiered_cells *tiered_cells(struct tiered_loop *loop,
                                                enum tiered_class_e class) {
    ASSERT((unsigned)class < TIERED_CLASS_COUNT);
    return &loop->cells[class];
}

/* Whether L1 may answer what is not young. */
static inline bool tiered_is_trusted(struct tiered *tiered, int64_t now_us) {
    int64_t heard_us = atomic_load_explicit(&tiered->heard_us, memory_order_relaxed);
    return now_us - heard_us <= (int64_t)TIERED_TRUST_MS * 1000;
}

/* tiered.c */
void tiered_loop_left(struct tiered_loop *loop); /* closes it when nothing is left; may free it */
struct l1_ticket tiered_ticket(struct tiered_loop *loop, struct slice key, int64_t now_us);

/* tiered_flight.c */
void tiered_flight_join(struct tiered_loop *loop, struct tiered_get *get);
/* Ends the flight: its answer goes to all that wait, and it is freed. */
void tiered_flight_land(struct tiered_flight *flight, const struct tiered_answer *answer);
bool tiered_flight_is_outdated(struct tiered_flight *flight);
void tiered_flights_outdate(struct tiered *tiered, struct slice key);
void tiered_flights_outdate_matching(struct tiered *tiered, struct slice pattern);
void tiered_flights_leave(struct tiered_loop *loop); /* its waiters get ERR_DRAINING */

/* tiered_fetch.c */
void tiered_fetch(struct tiered_flight *flight);

#endif
