/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the tiered cache share.
 *
 *   tiered.c         life, the fast path             tiered_change.c     writes, invalidation
 *   tiered_flight.c  one load per key and node       tiered_journal.c    what L2 must be told
 *   tiered_fetch.c   one flight: L2, lease, load     tiered_coherence.c  channel, epochs, trust
 *   tiered_port.c    loop and Redis underneath       tiered_mark.c       what L2 cannot be told
 *   tiered_figures.c counters, estimates
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
#include "cache/tiered_estimate_priv.h"
#include "cache/tiered_port.h"
#include "stat/counter.h"

#include <pthread.h>

enum {
    TIERED_TIMED_ONE_IN = 1024,  /* tries whose time is taken */
    TIERED_SAMPLES = 64,         /* hashes of sampled keys that a loop gathers */
    TIERED_BUCKETS = 1024, /* of the flights; there are as many as loads under way */
    TIERED_HEAD = 8,       /* bytes before each value in L1: when it was read */
    TIERED_VALUE_MAX = REDIS_VALUE_MAX,
    TIERED_JOURNAL_MAX = 4096,   /* entries; beyond, a class of L2 is dropped as a whole */
    TIERED_JOURNAL_BUCKETS = 256,
    TIERED_TOLD_AT_ONCE = 64,    /* of those that are due, in one tick */
    TIERED_AGAIN_MS = 100,       /* between two tries to tell L2 */
    TIERED_REPEATS = 10,         /* after an unknown commit, one a second */
    TIERED_KEYS_MAX = 256,       /* of one change: beyond, a class of L2 is dropped as a whole */
    TIERED_NAP_MS_MIN = 5,       /* between two looks for what another node loads */
    TIERED_NAP_MS_MAX = 25,
    TIERED_YOUNG_L2_MS = 5000,   /* life in L2 of what follows an invalidation */
    TIERED_GAP_MS = 450,         /* longer without a beat: an invalidation may have failed */
    TIERED_SETTLE_MS = 2000,     /* and within this it was told again */
    TIERED_UNTOLD_MS = 300,      /* so long L2 has, then the mark tells that it was not told */
    TIERED_TAKE_BACK_MS = 1000,  /* and so long the mark waits for it; less than others wait */
};

#define TIERED_NEVER_US (INT64_MIN / 2)

/* A class whose lives together stay below the bound: it is true by expiry, L2 is not told. */
#define TIERED_BOUND_MS 1000

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
    /* L2: what was learned of the key when it was asked. */
    int64_t asked_us;
    uint64_t version; /* the epoch of its class before anything was read */
    bool has_ticket;
    struct redis_ticket l2_ticket;
    uint64_t lease; /* our token, 0: none */
    int64_t patience_us; /* until when to wait for another node's load; 0: not yet waiting */
    int64_t nap_until_us;
    struct tiered_flight *next_nap;
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

/* Something that L2 must be told. Under the mutex. */
struct tiered_news {
    uint64_t number;  /* grows with each; 0: it was told */
    int64_t since_us; /* of the oldest that is in the mark neither */
    bool refused;     /* L2 was tried since */
};

/* An invalidation that L2 must hear of. Under the mutex. While it is sent, nobody but the answer
 * takes it out. */
struct tiered_entry {
    struct tiered_entry *after; /* in its bucket */
    struct tiered_entry *older; /* of all, newest first */
    struct tiered_entry *newer;
    uint64_t hash;
    struct tiered_loop *loop; /* sends it */
    bool sent;
    bool again;       /* invalidated once more while it was sent */
    unsigned repeats; /* to come */
    int64_t due_us;
    struct tiered_news news;
    size_t key_len;
    char key[];
};

struct tiered_journal {
    struct tiered_entry *buckets[TIERED_JOURNAL_BUCKETS];
    struct tiered_entry *newest;
    struct tiered_entry *oldest;
    size_t count;
};

/* The epoch of a class: what its values in L2 must carry. Under the mutex. */
struct tiered_epoch {
    bool known;
    uint64_t value;
    uint64_t changes; /* heard of or made: an answer from before the last one is too old */
    bool raise_due;   /* it must be raised; until that is done L2 is not used for the class */
    bool raise_sent;
    int64_t raise_at_us;
    struct tiered_news news; /* raising it is how L2 is told of a change here */
    unsigned repeats; /* to come: a change of unknown outcome may yet happen */
    int64_t repeat_at_us;
};

/* The mark, as this node turns it and as it sees it. Under the mutex. */
struct tiered_telling {
    uint64_t numbers; /* of the last news */
    uint64_t covered; /* news up to this one are in the mark */
    uint64_t covers;  /* and up to this one, when the turn under way is made */
    uint64_t turning; /* bits of the turn under way; 0: none is */
    uint64_t turned;  /* bits that may yet be turned back */
    int64_t turned_us;
    int64_t again_us; /* no turn before */
    uint64_t turns;
};
struct tiered_sight {
    bool any; /* it was looked at */
    uint64_t mark;
    uint64_t settled; /* what is cached is as of then, but for what the channel told */
    int64_t moved_us;
    int64_t looked_us;
    uint64_t drops;
};

struct tiered {
    struct tiered_options options; /* but the lives in it: see tiered_life_of */
    struct tiered_own_life {
        _Atomic int64_t l1_ms, l2_ms;
    } lives[TIERED_CLASS_COUNT];
    struct l1_memory *memory;
    struct l1 *l1;
    uint64_t seed; /* of the loops' chance */
    pthread_mutex_t mutex;
    struct tiered_loop *loops[TIERED_LOOPS_MAX]; /* NULL: free */
    struct tiered_flight *buckets[TIERED_BUCKETS];
    uint64_t flights;
    uint64_t waiters;
    struct tiered_counters past[TIERED_CLASS_COUNT]; /* of loops that were closed */
    struct tiered_journal journal;
    struct tiered_epoch epochs[TIERED_CLASS_COUNT];
    unsigned listening; /* loops that listen, and those of them that hear */
    unsigned hearing;
    bool was_silent;    /* since somebody heard */
    _Atomic int64_t heard_us; /* all that others wrote until then is known here */
    _Atomic int64_t certain_us; /* heard_us counts from then on; INT64_MAX: the mark moved */
    _Atomic int64_t proved_us;  /* as heard_us, by the channel alone and however it was before */
    struct tiered_telling telling;
    struct tiered_sight sight;
    pthread_mutex_t estimate_mutex; /* taken alone; a loop does not wait for it */
    struct estimate estimate;
    _Atomic uint64_t lag_us_last;
    _Atomic uint64_t lag_us_max;
};

struct tiered_loop {
    struct tiered *tiered;
    struct tiered_port *port;
    struct l1_reader *reader;
    tiered_due_fn due;
    void *due_data;
    tiered_mark_fn mark;
    void *mark_data;
    unsigned index;
    bool closing; /* written under the mutex */
    struct buf scratch;   /* a value that is put together, or read by tiered_get */
    struct buf leftovers; /* a value that expired */
    struct buf payload;   /* a value as it goes to L2 */
    struct seeded_rng chance;
    struct tiered_flight *naps;
    bool ticking;
    bool hears;
    int64_t beat_us;    /* up to when the channel has proved to be complete */
    int64_t settled_us; /* its beats count from then on */
    struct tiered_sweeping {
        bool running;
        struct tiered_invalidated result;
        tiered_invalidated_fn fn;
        void *data;
    } sweeping;
    struct { /* what tiered_try missed last, for the tiered_get that follows */
        bool any;
        uint64_t hash;
        struct l1_ticket ticket;
    } missed;
    uint64_t tries;
    uint64_t tries_sampled; /* how many there were when samples were last counted */
    struct counter timed; /* of them, and their time in sum */
    struct counter timed_ns;
    uint64_t samples[TIERED_SAMPLES];
    unsigned samples_len;
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
    int64_t certain_us = atomic_load_explicit(&tiered->certain_us, memory_order_relaxed);
    return now_us - heard_us <= (int64_t)TIERED_TRUST_MS * 1000 && heard_us >= certain_us;
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
void tiered_naps_tick(struct tiered_loop *loop, int64_t now_us);
void tiered_naps_end(struct tiered_loop *loop);

/* tiered_change.c */
void tiered_forget_key(struct tiered *tiered, struct slice key);
uint64_t tiered_forget_matching(struct tiered *tiered, struct slice pattern);
void tiered_forget_class(struct tiered *tiered, enum tiered_class_e class);
/* Whether values of the class in L2 outlive the bound: then L2 must be told of changes. */
struct tiered_life tiered_life_of(const struct tiered *tiered, enum tiered_class_e class);
bool tiered_is_kept_true(const struct tiered *tiered, enum tiered_class_e class);

/* tiered_journal.c */
/* `repeats` as in the entry. Without memory the class is dropped from L2 as a whole. */
void tiered_journal_add(struct tiered_loop *loop, struct slice key, unsigned repeats);
bool tiered_journal_has_locked(const struct tiered *tiered, uint64_t hash);
void tiered_journal_tick(struct tiered_loop *loop, int64_t now_us);
void tiered_journal_leave(struct tiered_loop *loop);

/* tiered_coherence.c */
bool tiered_l2_is_kept_for(const struct tiered_flight *flight); /* for its class, on this loop */
bool tiered_l2_is_trusted(struct tiered_flight *flight);        /* fills in its version */
void tiered_epoch_raise(struct tiered_loop *loop, enum tiered_class_e class);
/* The same for a change that was made here, of which others must learn. */
void tiered_epoch_tell(struct tiered_loop *loop, enum tiered_class_e class);
void tiered_class_repeat(struct tiered_loop *loop, enum tiered_class_e class);
bool tiered_epochs_tick(struct tiered_loop *loop, int64_t now_us); /* true: more is due */
void tiered_coherence_leave(struct tiered_loop *loop);

/* tiered_mark.c */
void tiered_news_add_locked(struct tiered *tiered, struct tiered_news *news, int64_t now_us);
void tiered_mark_tick(struct tiered_loop *loop, int64_t now_us);
bool tiered_mark_is_idle_locked(const struct tiered *tiered);
void tiered_sight_init(struct tiered *tiered);

/* tiered_figures.c */
void tiered_samples_count(struct tiered_loop *loop);

/* tiered.c: from now on tiered_loop_tick runs, until it finds nothing to do. */
bool tiered_tick_soon(struct tiered_loop *loop); /* false: it cannot */

static inline enum err_e tiered_send(struct tiered_loop *loop, const struct redis_call *call) {
    return loop->port->has_l2 ? loop->port->vtable->send(loop->port, call) : ERR_UNAVAILABLE;
}

#endif
