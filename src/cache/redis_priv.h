/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the Redis client share: nodes, connections, requests.
 *
 *   request:  waiting ──dispatch──► sent ──reply──► done
 *                ▲                    │
 *                └── back-off, lost ──┘        deadline: answered at once, from either list
 *
 * 1. A request is in one list at most: the client's `waiting` or one connection's `sent`.
 * 2. A request in `sent` is hiredis' until on_reply; one whose deadline passed is answered and
 *    stays there, owing nothing to anybody.
 * 3. `node->data` and `node->feed` are NULL or alive; a lost connection is taken out of its node
 *    first and freed when libuv has closed its handle.
 * 4. Only dropping a connection, never sending, calls back into requests: lists may be walked while
 *    sending.
 *
 * Thread: the loop's. Keys in Redis: prefix, one letter, colon, the caller's key.
 */
#ifndef TURNOUT_CACHE_REDIS_PRIV_H
#define TURNOUT_CACHE_REDIS_PRIV_H

#include "base/assert.h"
#include "base/buf.h"
#include "base/pool.h"
#include "cache/redis.h"
#include "cache/redis_breaker_priv.h"
#include "cache/redis_map_priv.h"
#include "io/loop.h"
#include "stat/counter.h"

#include <hiredis/async.h>
#include <uv.h>

enum {
    REDIS_HELLO_US = 200000,       /* a new connection answers its greeting within */
    REDIS_MAP_PAUSE_US = 1000000,  /* between two fetches of the map */
    REDIS_MAP_LIFE_US = 10000000,  /* then it is fetched unasked: replicas come and go quietly */
    REDIS_MAP_AGAIN_US = 100000,   /* after a node that could not tell it */
    REDIS_BEAT_US = 200000,
    REDIS_SILENT_US = 3000000,     /* fifteen beats unheard */
    REDIS_BEAT_LIFE_MS = 1000,     /* nobody reads a beat */
    REDIS_BEATS_KEPT = 16,         /* more than there are in REDIS_SILENT_US */
    REDIS_TICK_BUSY_MS = 10,
    REDIS_TICK_IDLE_MS = 50,
    REDIS_REDIRECTS_MAX = 5,
    REDIS_INTERNAL_REQUESTS = 256, /* beats, maps and a sweep, beside those of the callers */
    REDIS_PACKET_KEPT = 16384,     /* a resting request keeps a buffer of this size at most */
};

struct redis_request;
typedef void (*redis_done_fn)(struct redis_request *request, enum err_e err,
                              const redisReply *reply);

struct redis_request_list {
    struct redis_request *first;
    struct redis_request *last;
};

struct redis_request {
    struct redis_request *before;
    struct redis_request *after;
    struct redis *redis;
    redis_done_fn done;
    struct buf packet; /* the command as it goes over the wire */
    size_t key_at;     /* of the whole key inside `packet` */
    size_t key_len;
    unsigned slot;
    uint8_t pinned; /* node, or REDIS_NODE_NONE: by slot */
    uint8_t target; /* where ASK sent it, until it is written; or REDIS_NODE_NONE */
    bool reads;     /* may go to a replica */
    bool asking;
    bool answered;
    bool counted; /* a caller's */
    unsigned redirects;
    unsigned tries;
    int64_t begun_us;
    int64_t sent_us;
    int64_t deadline_us;
    int64_t resume_us;
    enum redis_op_e op; /* a caller's: */
    redis_answer_fn fn;
    void *data;
};

struct redis_link {
    struct redis *redis;
    struct redis_node *node;
    redisAsyncContext *ac; /* NULL: lost */
    uv_poll_t poll;
    int events;
    bool polled; /* the handle lives */
    bool feed;   /* the invalidation channel, else data */
    bool connected;
    bool writing;    /* hiredis is at it */
    bool has_output; /* to be flushed at the end of the turn */
    bool unwanted; /* its end is no failure */
    bool ready; /* greeted; a feed: heard its first beat */
    int64_t hello_until_us;
    int64_t heard_us; /* a feed's last message */
    struct {          /* a feed's last beats, by number */
        uint64_t number;
        int64_t sent_us;
    } beats[REDIS_BEATS_KEPT];
    int64_t proved_us; /* when the latest beat was sent that the feed told of */
    struct redis_request_list sent;
};

struct redis_node {
    struct redis_address address;
    bool used;
    bool seed;
    bool mapped;
    uint8_t primary_of; /* REDIS_NODE_NONE: a primary */
    unsigned slots;
    struct redis_breaker breaker;
    struct redis_link *data;
    struct redis_link *feed;
    int64_t connect_at_us;
    int64_t feed_at_us;
    unsigned connect_tries;
    unsigned beat_tag;
    uint64_t beat_number;
};

struct redis_sweep {
    bool running;
    uint8_t node;
    struct redis_address address; /* of `node`: its place may be given to another */
    char cursor[24];
    struct buf pattern;
    struct buf keys; /* of one SCAN: four bytes of length, the key, and so on */
    size_t at;
    unsigned under_way;
    enum err_e err;
    uint64_t count;
    redis_swept_fn fn;
    void *data;
};

struct redis_cells {
#define X(name) struct counter name;
    REDIS_COUNTER_TABLE(X)
#undef X
};

struct redis {
    struct redis_options options;
    struct loop *loop;
    char prefix[REDIS_PREFIX_MAX + 1];
    struct seeded_rng chance;
    uv_timer_t tick;
    uv_prepare_t turn; /* runs at the end of each turn of the loop */
    bool has_output;   /* of some link */
    bool tick_busy;
    bool closing;
    unsigned handles; /* open ones of libuv */
    void (*closed)(void *data);
    void *closed_data;

    struct redis_node nodes[REDIS_NODES_MAX];
    uint8_t owner[REDIS_SLOTS];
    bool has_map;
    bool map_wanted;
    bool map_asked; /* a fetch is under way */
    int64_t map_at_us;
    unsigned map_turn;
    unsigned spread_turn;
    struct redis_plan plan; /* scratch */

    struct pool requests;
    struct redis_request_list waiting;
    struct redis_retry_budget budget;
    struct redis_sweep sweep;
    bool heard;
    int64_t beat_at_us;
    uint64_t beat_id; /* in the names of its beats: a client hears its own only */
    struct redis_cells cells;
    atomic_int state;
};

/* redis.c */
void redis_handle_closed(struct redis *redis);
void redis_tick_soon(struct redis *redis);

/* redis_link.c: NULL without memory or when the kernel refuses at once. */
struct redis_link *redis_link_open(struct redis *redis, struct redis_node *node, bool feed);
void redis_link_drop(struct redis_link *link); /* what was sent comes back with a NULL reply */
void redis_link_lost(struct redis_link *link); /* takes it out of its node; may be repeated */
void redis_links_flush(struct redis *redis);   /* the end of a turn */

/* redis_nodes.c */
uint8_t redis_node_find(struct redis *redis, const struct redis_address *address); /* or adds */
uint8_t redis_node_index(const struct redis *redis, const struct redis_node *node);
void redis_node_failed(struct redis *redis, struct redis_node *node);
void redis_node_answered(struct redis *redis, struct redis_node *node);
uint8_t redis_node_pick(struct redis *redis, const struct redis_request *request);
void redis_node_drop_links(struct redis_node *node); /* not wanted any more: no failure */
void redis_nodes_tick(struct redis *redis, int64_t now_us);

/* redis_request.c */
void redis_list_append(struct redis_request_list *list, struct redis_request *request);
void redis_list_remove(struct redis_request_list *list, struct redis_request *request);
struct redis_request *redis_request_new(struct redis *redis, redis_done_fn done); /* or NULL */
void redis_request_free(struct redis_request *request);
enum err_e redis_request_start(struct redis_request *request) MUST_CHECK; /* else still caller's */
void redis_requests_tick(struct redis *redis, int64_t now_us);
void redis_requests_end(struct redis *redis);

void redis_packet_begin(struct buf *packet, size_t arguments);
void redis_packet_add(struct buf *packet, struct slice argument);
void redis_packet_add_int(struct buf *packet, int64_t value);
/* Prefix, `kind`, colon and `key`; also decides the slot. */
void redis_packet_add_key(struct redis_request *request, char kind, struct slice key);
static inline struct slice redis_request_key(const struct redis_request *request) {
    return slice_from(request->packet.at + request->key_at, request->key_len);
}

/* redis_feed.c */
void redis_feed_greet(struct redis_link *link);
void redis_feed_lost(struct redis *redis);
void redis_feeds_tick(struct redis *redis, int64_t now_us);

/* redis_sweep.c */
void redis_sweep_end(struct redis *redis, enum err_e err);

#endif
