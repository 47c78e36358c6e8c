/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache in front of the store: L1 in the process, L2 in Redis, and the truth behind a callback.
 *
 *   get ─► L1 ──miss──► one flight per key and node ─► L2 ──miss──► lease ─► load ─► fill L2, L1
 *
 * A node has one `struct tiered`; each event loop has a `struct tiered_loop` with its own reader of
 * L1 and its own Redis client. What is promised:
 *
 *  1. A get that begins more than a second after a write was acknowledged (tiered_change_end came
 *     first) does not see what was before it, on any node, also when the invalidation channel is
 *     dead. docs/cache.md tells what that takes and where it ends.
 *  2. Trouble in L2 is a miss, never an error.
 *  3. At most one load of a key is under way in a node; in a cluster too, while L2 is trusted and
 *     but for dead lease holders.
 *  4. When the store fails, a value that expired at most `stale_ms` ago may be answered, as STALE
 *     and with its age. What was invalidated is never answered.
 *
 * Values are bytes: what they mean is the caller's. Keys are "prefix:…" of a class below.
 *
 * Thread: a tiered_loop and its gets belong to one loop's thread; tiered_read_figures, tiered_vouch
 * and tiered_drop are any. Ownership: a struct tiered_get is the caller's and must live until its
 * `done`; slices in answers end with `done`, or before, with the next get on that loop.
 */
#ifndef TURNOUT_CACHE_TIERED_H
#define TURNOUT_CACHE_TIERED_H

#include "cache/l1.h"
#include "cache/redis.h"
#include "io/loop.h"

struct tiered;
struct tiered_loop;

enum {
    TIERED_LOOPS_MAX = L1_READERS_MAX,
    TIERED_KEY_MAX = L1_KEY_MAX,
    TIERED_WAITERS_DEFAULT = 16384,
    TIERED_STALE_MS_DEFAULT = 30000,
    TIERED_STALE_MS_MAX = 600000,
    TIERED_LEASE_MS_DEFAULT = 500,
    TIERED_LEASE_MS_MAX = 10000,
    TIERED_TRUST_MS = 700, /* without news that long, L1 answers only what is younger than that */
    TIERED_ESTIMATES = 5,
};

/* X(NAME, prefix of its keys, L1 ms, L2 ms, absent ms). L2 0: not kept there. Absent: how long
 * "there is no such thing" is believed, on each level. What no write invalidates must be listed
 * with lives that stay below a second together; the others are kept true by invalidation. */
#define TIERED_CLASS_TABLE(X)                                                                      \
    X(PARTICIPANT, "participant", 300000, 600000, 300)                                             \
    X(GATE, "gate", 300000, 600000, 300)                                                           \
    X(EVENT_CONFIG, "event_config", 300000, 600000, 300)                                           \
    X(ACTIVE_GATES, "active_gates", 300000, 600000, 300)                                           \
    X(STATS, "stats", 400, 400, 300)                                                               \
    X(TIMELINE, "timeline", 400, 400, 300)                                                         \
    X(SEARCH, "search", 400, 0, 300)

enum tiered_class_e {
#define X(name, prefix, l1_ms, l2_ms, absent_ms) TIERED_##name,
    TIERED_CLASS_TABLE(X)
#undef X
    TIERED_CLASS_COUNT
};

const char *tiered_class_name(enum tiered_class_e class); /* "participant" */
/* By the bytes before the first colon; false for a key of no class. */
bool tiered_class_of(struct slice key, enum tiered_class_e *ret_class);

struct tiered_life {
    int64_t l1_ms; /* 1 to a day */
    int64_t l2_ms; /* 0: not in L2; else at least 1 */
    int64_t absent_ms; /* 1 to 400 */
};

/* Who else may write to the store. */
enum tiered_writers_e {
    TIERED_WRITERS_ALONE,  /* this process alone: L1 is always trusted */
    TIERED_WRITERS_OTHERS, /* L1 is trusted while the channel or tiered_vouch speaks for it */
};

struct tiered_options {
    struct l1_options l1; /* its ttl is not used: each class has its own */
    struct tiered_life lives[TIERED_CLASS_COUNT];
    enum tiered_writers_e writers;
    int64_t stale_ms; /* 0: never answer what expired */
    int64_t lease_ms; /* how long one node may load a key before others take over */
    uint32_t waiters_max; /* gets of the node that wait for another's load; then OVERLOADED */
    bool watches_mark;    /* the owner looks at the store's mark (tiered_see_mark); until the first
                             look nothing is trusted */
};

struct tiered_options tiered_options_default(void);

/* Main thread. ERR_CONFIG names the option; ERR_NO_MEMORY. `options->l1.memory` serves all of
 * it. */
enum err_e tiered_create(const struct tiered_options *options, struct tiered **ret_tiered,
                         struct problem *ret_problem) MUST_CHECK;
void tiered_destroy(struct tiered *tiered); /* every loop is closed; NULL: nothing */
/* Other lives for what is kept from now on, within the bounds of tiered_create; absent_ms stays as
 * it is. Any thread. */
void tiered_set_life(struct tiered *tiered, enum tiered_class_e class,
                     const struct tiered_life *life);

/* For early refresh: `key` is used and nears its end. Whoever set this starts a tiered_get with
 * `refresh` for it, or does nothing. */
typedef void (*tiered_due_fn)(void *data, enum tiered_class_e class, struct slice key);

/* For what L2 cannot be told: turns these bits of the store's mark, and then calls tiered_marked on
 * this loop, maybe at once. One turn of the node is under way at a time. */
typedef void (*tiered_mark_fn)(void *data, uint64_t bits);

struct tiered_loop_options {
    struct loop *loop;
    /* NULL: no L2. Its loop, news and news_data are set here. */
    const struct redis_options *redis;
    /* Whether this loop's client listens for invalidations: one or two loops of a node do. Without
     * any, L2 is not read. */
    bool listens;
    tiered_due_fn due; /* NULL: no early refresh */
    void *due_data;
    tiered_mark_fn mark; /* NULL: L2 alone tells others */
    void *mark_data;
};

/* On the loop's thread. ERR_CONFIG (Redis), ERR_OVERLOADED beyond TIERED_LOOPS_MAX, NO_MEMORY. */
enum err_e tiered_loop_open(struct tiered *tiered, const struct tiered_loop_options *options,
                            struct tiered_loop **ret_loop, struct problem *ret_problem) MUST_CHECK;
/* No load may be under way on this loop. Gets that wait for L2 or for another loop get ERR_DRAINING
 * before this returns, or their answer soon after. `closed` runs when nothing is left. */
void tiered_loop_close(struct tiered_loop *loop, void (*closed)(void *data), void *data);

/* Where an answer came from. */
enum tiered_from_e { TIERED_FROM_L1, TIERED_FROM_L2, TIERED_FROM_STORE, TIERED_FROM_STALE };

struct tiered_answer {
    enum err_e err; /* of the load; what follows only speaks on ERR_OK */
    enum tiered_from_e from;
    bool absent; /* there is no such thing; `value` is empty */
    struct slice value;
    int64_t age_ms; /* since it was read, 0 for a load; L2 counts from its own answer */
};

enum tiered_try_e { TIERED_MISS, TIERED_HIT, TIERED_HIT_ABSENT };

/* The fast path: what L1 knows, at once and without allocating once `buf` has grown. On a hit the
 * value lies in `buf`, which is cleared first. On a miss call tiered_get. */
enum tiered_try_e tiered_try(struct tiered_loop *loop, enum tiered_class_e class, struct slice key,
                             struct buf *buf, struct tiered_answer *ret_answer);

/* The same for who must look into a value before it is of use: a hit is counted when it says so. */
enum tiered_try_e tiered_look(struct tiered_loop *loop, enum tiered_class_e class, struct slice key,
                              struct buf *buf, struct tiered_answer *ret_answer);
enum tiered_use_e { TIERED_USED, TIERED_OF_NO_USE };
void tiered_count_look(struct tiered_loop *loop, enum tiered_class_e class, enum tiered_use_e use);

/* Whether tiered_try would hit. Not a try: it counts nothing. */
bool tiered_has(struct tiered_loop *loop, struct slice key);

struct tiered_get;
typedef void (*tiered_load_fn)(struct tiered_get *get);
typedef void (*tiered_done_fn)(struct tiered_get *get, const struct tiered_answer *answer);

struct tiered_get {
    enum tiered_class_e class;
    struct slice key; /* lives until `done` */
    /* Reads the truth, on this loop, and then calls tiered_loaded (now or later). Called at most
     * once, and not at all when somebody else's load or L2 answers. */
    tiered_load_fn load;
    /* Once, on this loop; maybe before tiered_get returns. The get is the caller's again. */
    tiered_done_fn done;
    void *data;   /* the caller's */
    bool refresh; /* L1 is not asked, and L2 only for what another node read a moment ago */
    bool in_background; /* nobody asked: L1 is not, and no level counts a hit or a miss */

    struct loop_message message; /* from here on: the cache's while it has the get */
    struct tiered_loop *loop;
    struct tiered_flight *flight;
    struct tiered_get *next;
    int64_t begun_us;
};

/* Asks L1, L2 and the store, in this order. */
void tiered_get(struct tiered_loop *loop, struct tiered_get *get);

/* The end of a load. `answer`: err, absent and value; the value is copied where it is kept. */
struct tiered_loaded {
    enum err_e err;
    bool absent;
    struct slice value;
};
void tiered_loaded(struct tiered_get *get, const struct tiered_loaded *loaded);

/*
 * A write, in two halves around it:
 *
 *   tiered_change_begin ─► store: write, commit ─► tiered_change_end ─► acknowledge
 *
 * After `begin`, fills that are under way for these keys do not land. After `end`, L1 of this node
 * has nothing from before the commit, L2 is told, and through it the other nodes. `keys` may hold
 * patterns (cache/glob.h) where `patterns` says so: those cost a class of L2, so keys are better
 * where they are known. Slices are copied where they are kept.
 */
struct tiered_change {
    const struct slice *keys; /* of any classes, mixed */
    size_t keys_len;
    const struct slice *patterns;
    size_t patterns_len;
};

enum tiered_outcome_e {
    TIERED_COMMITTED,
    TIERED_NOTHING, /* refused, rolled back: what is cached stays */
    TIERED_UNKNOWN, /* ERR_COMMIT_UNKNOWN: it may yet happen, so it is invalidated again later */
};

void tiered_change_begin(struct tiered_loop *loop, const struct tiered_change *change);
void tiered_change_end(struct tiered_loop *loop, const struct tiered_change *change,
                       enum tiered_outcome_e outcome);

/* What an operator asks for: drops what matches on every level and node, "*" for all. L1 is done
 * when this returns; `fn` follows when the epochs are raised and Redis is swept, maybe at once.
 * ERR_OVERLOADED while another one runs on this loop; ERR_INVALID_FIELD: empty or too long. */
struct tiered_invalidated {
    enum err_e err;       /* of L2; OK without one */
    uint64_t l1_entries;  /* of this node */
    uint64_t l2_keys;     /* unlinked, also on an error */
};
typedef void (*tiered_invalidated_fn)(void *data, const struct tiered_invalidated *result);
enum err_e tiered_invalidate(struct tiered_loop *loop, struct slice pattern,
                             tiered_invalidated_fn fn, void *data) MUST_CHECK;

/* Makes room in L1: see l1_trim. Any thread. */
uint64_t tiered_trim(struct tiered *tiered, uint64_t most);

/* Without a channel (no Redis, other writers): the owner looks at a change mark in the store. When
 * others wrote, tiered_drop; when it has seen all that was written up to `as_of_us` (monotonic),
 * tiered_vouch: L1 is trusted for TIERED_TRUST_MS from then on. */
void tiered_drop(struct tiered *tiered);
void tiered_vouch(struct tiered *tiered, int64_t as_of_us);

/* What others could not tell through L2: the owner looks at a mark in the store, several times a
 * second, and hands over what it saw. While the mark moves, only what is young is answered; when it
 * has come to rest elsewhere, everything is read anew. See tiered_mark.c. On one loop. */
void tiered_see_mark(struct tiered_loop *loop, uint64_t mark);
/* The end of a turn that this loop asked for. */
void tiered_marked(struct tiered_loop *loop, enum err_e err);
/* Whether others could learn of a change here from nobody if this process ended now. Any thread. */
bool tiered_owes(struct tiered *tiered);

/* Figures. X(name): counted for each class. */
#define TIERED_COUNTER_TABLE(X)                                                                    \
    X(l1_hits)        /* absent ones among them */                                                 \
    X(l1_misses)                                                                                   \
    X(l1_cold)        /* of the misses, by cause */                                                \
    X(l1_expired)                                                                                  \
    X(l1_evicted)                                                                                  \
    X(l1_invalidated)                                                                              \
    X(l1_no_room)                                                                                  \
    X(l1_marked)      /* it was there, and of no use: from before a change of what it counts */    \
    X(l1_untrusted)   /* it was there, but the channel was silent, or the mark in doubt */         \
    X(l2_hits)        /* absent ones among them */                                                 \
    X(l2_misses)                                                                                   \
    X(l2_outdated)    /* of the misses: it was there, from before a pattern was invalidated */     \
    X(l2_down)        /* L2 was asked and failed, or could not be asked */                         \
    X(l2_damaged)     /* what L2 held could not be read: dropped */                                \
    X(joined)         /* gets that waited for another's load */                                    \
    X(refused)        /* gets refused: too many waited */                                          \
    X(loads)                                                                                       \
    X(loads_failed)                                                                                \
    X(loads_us)       /* in sum */                                                                 \
    X(leases_waited)  /* flights that waited for another node's load */                            \
    X(leases_expired) /* of these: loaded by themselves in the end */                              \
    X(stale)          /* answered STALE */                                                         \
    X(refreshes)      /* early ones */                                                             \
    X(fills_outdated) /* loads that were not kept: invalidated meanwhile */                        \
    X(fills_too_large)                                                                             \
    X(invalidations)  /* keys and patterns of writes */

struct tiered_counters {
#define X(name) uint64_t name;
    TIERED_COUNTER_TABLE(X)
#undef X
};

enum tiered_channel_e {
    TIERED_CHANNEL_NONE,   /* nobody listens: alone, or the owner vouches */
    TIERED_CHANNEL_HEARD,
    TIERED_CHANNEL_LATE,   /* nothing was heard of late: L1 answers what is young only */
    TIERED_CHANNEL_SILENT, /* lost: L1 was emptied */
};
const char *tiered_channel_name(enum tiered_channel_e channel);

/* The store's mark. */
enum tiered_mark_e {
    TIERED_MARK_OFF,     /* nobody looks at it */
    TIERED_MARK_SETTLED,
    TIERED_MARK_DOUBT,   /* it moved, or was not seen yet: L1 answers what is young only */
};
const char *tiered_mark_name(enum tiered_mark_e mark);

/* What the hit rate of L1 would be with `entries`: LRU over a sample of the keys (SHARDS:
 * Waldspurger et al., FAST 2015), hashes only, without expiry. */
struct tiered_estimate {
    uint32_t entries;
    double hit_rate; /* -1: too few gets were seen */
};

struct tiered_figures {
    struct tiered_counters classes[TIERED_CLASS_COUNT];
    struct l1_counters l1;
    struct redis_counters l2; /* summed over the loops; state REDIS_OFF without L2 */
    enum tiered_channel_e channel;
    int64_t heard_ms;         /* since the channel last proved to be alive; -1: never */
    uint64_t lag_us_last;     /* from a write in Redis to its news here, newest and longest */
    uint64_t lag_us_max;
    enum tiered_mark_e mark;
    int64_t looked_ms;        /* since the mark was last seen; -1: never */
    uint64_t mark_drops;      /* L1 was emptied for it */
    uint64_t mark_turns;      /* this node moved it */
    uint64_t flights;         /* now */
    uint64_t waiters;         /* now */
    uint64_t pending;         /* invalidations that L2 has not taken yet, now */
    uint64_t l1_sampled;      /* gets whose time was taken, and their nanoseconds in sum */
    uint64_t l1_sampled_ns;
    struct tiered_estimate estimates[TIERED_ESTIMATES]; /* 0.5x, 1x, 2x, 4x, 10x of L1's entries */
};

void tiered_read_figures(struct tiered *tiered, struct tiered_figures *ret_figures);

#endif
