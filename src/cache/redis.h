/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The second level of the cache: a client of Redis Cluster, or of one Redis, on one event loop.
 *
 * It holds no truth. Whatever goes wrong here is a miss that costs time, bounded by a deadline of
 * its own and, once a node is known to be away, no time at all (a breaker for each node refuses at
 * once). Requests are pipelined. Addresses are numeric: looking names up would block.
 *
 * Values travel in an envelope (version, generation, checksum); one that is damaged, foreign or too
 * long is dropped and counted, never answered. A miss gives a ticket; a fill lands only if the key
 * was not invalidated since. docs/cache.md tells what that promises and what it cannot.
 *
 * Thread: the loop's only, except redis_read_counters, which is any. Ownership: keys and values
 * handed in are copied before the call returns; slices handed to a callback end with it.
 */
#ifndef TURNOUT_CACHE_REDIS_H
#define TURNOUT_CACHE_REDIS_H

#include "base/rng.h"
#include "base/slice.h"

struct redis;
struct loop;

enum {
    REDIS_NODES_MAX = 64,      /* primaries and replicas that are known at once */
    REDIS_SEEDS_MAX = 16,
    REDIS_KEY_MAX = 1024,      /* as in L1 */
    REDIS_PREFIX_MAX = 32,
    REDIS_VALUE_MAX = 1 << 20, /* longer ones stall everyone behind them on the connection */
    REDIS_REQUESTS_MAX = 4096, /* under way at once, default */
    REDIS_TIMEOUT_MS_MIN = 10,
    REDIS_TIMEOUT_MS_MAX = 500, /* so that a node that falls silent is left alone within 1 s */
    REDIS_TIMEOUT_MS_DEFAULT = 250,
    REDIS_TOMBSTONE_MS = 60000, /* how long an invalidation is remembered */
    REDIS_TICKET_MS_MAX = 30000 /* older tickets are refused: well inside the tombstone's life */
};

/* X(NAME, name): what can be asked. */
#define REDIS_OP_TABLE(X)                                                                          \
    X(GET, get)               /* HIT: value, version. MISS and HIT: ticket */                      \
    X(SET, set)               /* whatever is there: DONE */                                        \
    X(FILL, fill)             /* with a ticket: DONE, or REFUSED when the key changed since */     \
    X(INVALIDATE, invalidate) /* leaves a tombstone that refuses older fills: DONE */              \
    X(UNLINK, unlink)         /* leaves nothing, for memory's sake: DONE */                        \
    X(LEASE, lease)           /* for `ttl_ms` under `token`: DONE, or REFUSED: somebody has it */  \
    X(RELEASE, release)       /* DONE, or REFUSED: it was not (or no longer) ours */               \
    X(EPOCH_READ, epoch_read) /* DONE: epoch, 0 when never raised */                               \
    X(EPOCH_RAISE, epoch_raise) /* DONE: the new epoch; by leaps, so that none comes twice */

enum redis_op_e {
#define X(name, word) REDIS_##name,
    REDIS_OP_TABLE(X)
#undef X
    REDIS_OP_COUNT
};

/* Proof of what a key held when the truth was about to be read. Opaque; valid for one key. */
struct redis_ticket {
    uint64_t generation; /* 0: nothing was there */
    int64_t begun_us;
};

enum redis_outcome_e { REDIS_HIT, REDIS_MISS, REDIS_DONE, REDIS_REFUSED };

struct redis_answer {
    enum err_e err; /* ERR_OK, else the rest says nothing: DEADLINE, UNAVAILABLE, DRAINING, … */
    enum redis_outcome_e outcome;
    struct slice value; /* GET */
    uint64_t version;   /* GET: as it was filled */
    uint64_t epoch;     /* EPOCH_* */
    struct redis_ticket ticket;
};

typedef void (*redis_answer_fn)(void *data, const struct redis_answer *answer);

struct redis_call {
    enum redis_op_e op;
    struct slice key;   /* any bytes, 1..REDIS_KEY_MAX; {tags} decide the slot as in Redis */
    struct slice value; /* SET, FILL */
    uint64_t version;   /* SET, FILL: the caller's, e.g. the epoch it read before the truth */
    int64_t ttl_ms;     /* SET, FILL, LEASE: at least 1; jitter is the caller's */
    uint64_t token;     /* LEASE, RELEASE */
    struct redis_ticket ticket; /* FILL */
    redis_answer_fn fn;
    void *data;
};

/* What the invalidation channel has to say. */
enum redis_news_e {
    REDIS_NEWS_KEY,    /* this key was invalidated */
    REDIS_NEWS_EPOCH,  /* this epoch was raised */
    REDIS_NEWS_ALL,    /* a node was emptied: drop everything */
    REDIS_NEWS_SILENT, /* some primary is not heard: what it holds may change unseen */
    REDIS_NEWS_HEARD,  /* all are heard (again): drop what was cached before now */
    REDIS_NEWS_BEAT,   /* redis_heard_us moved on: a few times a second while all are heard */
};
/* `key` without the prefix; empty but for KEY and EPOCH. */
typedef void (*redis_news_fn)(void *data, enum redis_news_e news, struct slice key);

enum redis_reads_e {
    REDIS_READ_PRIMARY,
    REDIS_READ_SPREAD, /* GET goes round the primary and its replicas: may be a moment old */
};

struct redis_options {
    struct loop *loop;
    struct slice seeds;  /* "10.0.0.1:6379,[::1]:6379": numeric, any nodes of the cluster */
    struct slice prefix; /* letters, digits, : _ - . only: of all keys; "turnout:" when empty */
    const char *password; /* AUTH; NULL: none. Must outlive the client */
    int64_t timeout_ms;   /* of one request with all its retries */
    size_t value_max;     /* 1..REDIS_VALUE_MAX */
    size_t requests_max;
    enum redis_reads_e reads;
    struct rng *rng; /* jitter and generations; outlives the client */
    redis_news_fn news; /* NULL: no invalidation channel */
    void *news_data;
};

struct redis_options redis_options_default(struct loop *loop, struct slice seeds);

/* Starts connecting; answers come as soon as the slot map is there. ERR_CONFIG names the option. */
enum err_e redis_open(const struct redis_options *options, struct redis **ret_redis,
                      struct problem *ret_problem) MUST_CHECK;
/* What is under way is answered with ERR_DRAINING before this returns; `closed` runs when nothing
 * of the client is left, and then the memory is gone. Not from one of its callbacks. */
void redis_close(struct redis *redis, void (*closed)(void *data), void *data);

/* ERR_OK: `fn` runs once, later, on the loop. Anything else: it never runs (UNAVAILABLE: breaker or
 * no map; OVERLOADED: too many under way; DEADLINE: the fill's ticket is too old; TOO_LARGE;
 * NO_MEMORY; INVALID_FIELD: key or ttl; DRAINING). */
enum err_e redis_send(struct redis *redis, const struct redis_call *call) MUST_CHECK;

/* Unlinks every key that matches (cache/glob.h) on every primary, a thousand at a time. Raise an
 * epoch first: that is what makes it at once. `fn` as above; `count` keys went, also on an error.
 * ERR_OVERLOADED while another sweep runs. */
typedef void (*redis_swept_fn)(void *data, enum err_e err, uint64_t count);
enum err_e redis_sweep(struct redis *redis, struct slice pattern, redis_swept_fn fn,
                       void *data) MUST_CHECK;

/* All news of what Redis did until then (the loop's monotonic clock) have been told: each primary's
 * channel has brought back what was written there after it. INT64_MIN while one is silent. */
int64_t redis_heard_us(const struct redis *redis);

/* OFF is for callers without a client. For the whole client: the best of its nodes. */
enum redis_state_e { REDIS_OFF, REDIS_CLOSED, REDIS_OPEN, REDIS_HALF_OPEN };
const char *redis_state_name(enum redis_state_e state);

/* X(name): why requests or values failed, and what was done about it. */
#define REDIS_COUNTER_TABLE(X)                                                                     \
    X(hits)                                                                                        \
    X(misses)                                                                                      \
    X(fills)                                                                                       \
    X(fills_refused)                                                                               \
    X(corrupt)      /* values dropped for their envelope or checksum */                            \
    X(oversized)    /* values refused or dropped for their length */                               \
    X(deadlines)                                                                                   \
    X(disconnects)                                                                                 \
    X(unreachable)  /* connections that did not come about */                                      \
    X(refused_open) /* refused at once: breaker open or slot unserved */                           \
    X(refused_full) /* refused at once: too many under way */                                      \
    X(replies_bad)  /* error replies and shapes that nobody expected */                            \
    X(retries)                                                                                     \
    X(retries_refused) /* the budget was spent */                                                  \
    X(moved)                                                                                       \
    X(asked)                                                                                       \
    X(backed_off) /* TRYAGAIN, CLUSTERDOWN, LOADING, READONLY */                                   \
    X(map_refreshes)                                                                               \
    X(map_skipped) /* nodes left out: not numeric, or beyond REDIS_NODES_MAX */                    \
    X(breaker_opened)                                                                              \
    X(news)                                                                                        \
    X(silences)                                                                                    \
    X(answers)        /* requests answered by Redis, and how long they took in sum */              \
    X(answers_us)                                                                                  \
    X(nodes)          /* now */                                                                    \
    X(nodes_open)     /* now: breaker not closed */                                                \
    X(requests)       /* now under way */

struct redis_counters {
#define X(name) uint64_t name;
    REDIS_COUNTER_TABLE(X)
#undef X
    enum redis_state_e state;
};

void redis_read_counters(const struct redis *redis, struct redis_counters *ret_counters);

#endif
