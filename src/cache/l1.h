/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The in-process level of the cache: bytes by key, bounded by entries and by bytes.
 *
 * Readers never exclude one another and take no exclusive lock; values are copied out. Every value
 * comes in through a fill, and a fill carries the ticket that was given out before the truth was
 * read: if the key was invalidated in between, the fill is refused, so that nothing stale ever
 * lands. See docs/cache.md for the whole picture and l1_lock_priv.h for the locking.
 *
 * Thread: l1_get belongs to the thread that opened the reader; everything else any thread. Nothing
 * waits but for the few instructions that another thread is inside the same shard.
 * Time is handed in: `now_us` is monotonic microseconds (clock_mono_us), the same clock everywhere.
 */
#ifndef TURNOUT_CACHE_L1_H
#define TURNOUT_CACHE_L1_H

#include "base/buf.h"
#include "base/rng.h"

struct l1;
struct l1_reader;

enum {
    L1_KEY_MAX = 1024,            /* longest key, in bytes: a token of 256 with room for prefixes */
    L1_READERS_MAX = 64,          /* threads that may read at the same time */
    L1_ENTRIES_DEFAULT = 1000,
    L1_ENTRIES_MAX = 16 << 20,    /* ids are 32 bits; beyond this a process is the wrong place */
    L1_ENTRY_OVERHEAD = 96,       /* bytes that each entry counts beside its key and value */
    L1_JITTER_MAX = 50,           /* percent */
};
#define L1_BYTES_DEFAULT ((size_t)64 << 20)
#define L1_TTL_DEFAULT_US ((int64_t)300 * 1000000)
#define L1_ABSENT_TTL_DEFAULT_US ((int64_t)1000000)
#define L1_TTL_NONE ((int64_t)0) /* lives until evicted or invalidated */

/* X(NAME, name, one line of what it is) */
#define L1_POLICY_TABLE(X)                                                                         \
    X(S3FIFO, s3fifo, "three queues; promotion settled by a sampled duel (the default)")           \
    X(LRU, lru, "least recently used")                                                             \
    X(SIEVE, sieve, "one queue, a visited bit and a moving hand")                                  \
    X(TINYLFU, tinylfu, "window and frequency sketch; the window adapts")

enum l1_policy_e {
#define X(name, word, text) L1_POLICY_##name,
    L1_POLICY_TABLE(X)
#undef X
    L1_POLICY_COUNT
};

const char *l1_policy_name(enum l1_policy_e policy);
bool l1_policy_from_name(struct slice name, enum l1_policy_e *ret_policy);

/* Where memory comes from: libc, a counting one (bench), one that fails on demand (tests). Called
 * from several threads. */
struct l1_memory {
    void *(*take)(struct l1_memory *memory, size_t size); /* NULL without memory */
    void (*give)(struct l1_memory *memory, void *block);  /* block may be NULL */
};
struct l1_memory *l1_memory_libc(void); /* process lifetime */

struct l1_options {
    enum l1_policy_e policy;
    uint32_t entries;         /* 1..L1_ENTRIES_MAX */
    size_t bytes;             /* keys, values, L1_ENTRY_OVERHEAD each; one may take an eighth */
    int64_t ttl_us;           /* L1_TTL_NONE or at least 1 */
    int64_t absent_ttl_us;    /* of "there is no such thing"; at least 1 */
    int64_t grace_us; /* how long l1_get_expired still finds what expired; may be 0 */
    unsigned jitter_percent;  /* 0..L1_JITTER_MAX: a life is shortened by up to so much */
    uint32_t shards;          /* 0: as many as the entries call for; else a power of two to 16 */
    struct rng *rng;          /* used during l1_create only; NULL is the system's */
    struct l1_memory *memory; /* outlives the cache; NULL is libc */
};

struct l1_options l1_options_default(void);

/* ERR_CONFIG names the option that is out of range; ERR_NO_MEMORY. All but the values is reserved
 * here, so a full cache takes no more than was asked for at the start. */
enum err_e l1_create(const struct l1_options *options, struct l1 **ret_l1,
                     struct problem *ret_problem) MUST_CHECK;
void l1_destroy(struct l1 *l1); /* no reader may be inside; NULL is allowed */

/* One per reading thread. ERR_OVERLOADED beyond L1_READERS_MAX; ERR_NO_MEMORY. What a closed reader
 * counted stays in the counters. */
enum err_e l1_reader_open(struct l1 *l1, struct l1_reader **ret_reader) MUST_CHECK;
void l1_reader_close(struct l1_reader *reader);

/* Proof of when a fill began. Opaque but for its last field; valid for one key. */
struct l1_ticket {
    uint64_t patterns;
    int64_t begun_us;
    uint32_t generation;
    int64_t ttl_us; /* of what it fills; 0, as it is given out: the cache's. May be changed */
};

enum l1_result_e {
    L1_MISS,        /* fetch the truth, then l1_fill or l1_fill_absent with the ticket */
    L1_HIT,         /* the value was appended */
    L1_HIT_REFRESH, /* the same, and this caller is asked to fetch anew before it expires */
    L1_HIT_ABSENT,  /* known not to exist */
};

/* Appends the value to `value` on a hit. `ret_ticket` is filled on L1_MISS and L1_HIT_REFRESH (then
 * fill or l1_abandon). Keys are any bytes, 1..L1_KEY_MAX. A value that does not fit in `value` is a
 * miss. Refreshing early is XFetch (Vattani, Chierichetti, Lowenstein, "Optimal Probabilistic Cache
 * Stampede Prevention", VLDB 2015), with one refresher at a time. */
enum l1_result_e l1_get(struct l1_reader *reader, struct slice key, int64_t now_us,
                        struct buf *value, struct l1_ticket *ret_ticket);

/* The value whether it expired or not, at most grace_us ago: for when the truth cannot be had. Not
 * a get: it counts nothing. False: there is none, or it is known not to exist. */
bool l1_get_expired(struct l1_reader *reader, struct slice key, int64_t now_us, struct buf *value);

/* What l1_get would answer, but HIT_REFRESH. Not a get: it counts nothing and leaves the policy
 * alone. */
enum l1_result_e l1_peek(struct l1_reader *reader, struct slice key, int64_t now_us,
                         struct buf *value);

/* The keyed hash of a key: for tables beside the cache, and for sampling. */
uint64_t l1_hash_of(const struct l1 *l1, struct slice key);
/* The same, without work: of the key that l1_get was last asked for. */
uint64_t l1_hash_got(const struct l1_reader *reader);

/* A ticket without a get, for warming. Take it before reading the truth. */
struct l1_ticket l1_begin_fill(struct l1 *l1, struct slice key, int64_t now_us);

enum l1_fill_e {
    L1_FILL_LANDED,
    L1_FILL_OUTDATED,  /* the key was invalidated since the ticket: nothing was kept */
    L1_FILL_TOO_LARGE, /* what was cached under the key is gone all the same */
    L1_FILL_NO_MEMORY, /* likewise */
};

enum l1_fill_e l1_fill(struct l1 *l1, const struct l1_ticket *ticket, struct slice key,
                       struct slice value, int64_t now_us);
enum l1_fill_e l1_fill_absent(struct l1 *l1, const struct l1_ticket *ticket, struct slice key,
                              int64_t now_us);
/* A refresh that failed: the next reader may be asked again. */
void l1_abandon(struct l1 *l1, struct slice key);

/* What each returns: how many entries went. Fills under way for these keys will not land. */
uint64_t l1_invalidate(struct l1 *l1, struct slice key);
uint64_t l1_invalidate_matching(struct l1 *l1, struct slice pattern); /* see glob.h */
uint64_t l1_invalidate_all(struct l1 *l1);

/* Evicts what the policy would evict next, `most` entries at most over all shards; returns how many
 * went. They count as evicted for want of entries. */
uint64_t l1_trim(struct l1 *l1, uint64_t most);

/* X(NAME, name): why a get missed. COLD: never seen, or gone so long that it is forgotten. */
#define L1_MISS_TABLE(X)                                                                           \
    X(COLD, cold)                                                                                  \
    X(EXPIRED, expired)                                                                            \
    X(EVICTED, evicted)                                                                            \
    X(INVALIDATED, invalidated)                                                                    \
    X(NO_ROOM, no_room)
enum l1_miss_e {
#define X(name, word) L1_MISS_##name,
    L1_MISS_TABLE(X)
#undef X
    L1_MISS_COUNT
};

/* X(NAME, name): why an entry left. */
#define L1_LEAVE_TABLE(X)                                                                          \
    X(ENTRIES, entries)                                                                            \
    X(BYTES, bytes)                                                                                \
    X(EXPIRED, expired)                                                                            \
    X(INVALIDATED, invalidated)                                                                    \
    X(UNFILLABLE, unfillable)
enum l1_leave_e {
#define X(name, word) L1_LEAVE_##name,
    L1_LEAVE_TABLE(X)
#undef X
    L1_LEAVE_COUNT
};

/* Why the key that l1_get was last asked for missed, if it did. */
enum l1_miss_e l1_miss_got(const struct l1_reader *reader);

/* Each figure is exact when nobody is inside and at most a moment old otherwise. */
struct l1_counters {
    uint64_t hits; /* absent ones and those asked to refresh among them */
    uint64_t hits_absent;
    uint64_t refreshes;
    uint64_t misses[L1_MISS_COUNT];
    uint64_t fills;
    uint64_t fills_outdated;
    uint64_t fills_refused; /* too large or no memory */
    uint64_t left[L1_LEAVE_COUNT];
    uint64_t entries; /* now */
    uint64_t bytes;   /* now */
    uint64_t capacity_entries;
    uint64_t capacity_bytes;
};

void l1_read_counters(struct l1 *l1, struct l1_counters *ret_counters);
uint64_t l1_misses(const struct l1_counters *counters); /* over all causes */

/* Walks everything and asserts the invariants named in l1_shard_priv.h: for tests. */
void l1_check(struct l1 *l1);

#endif
