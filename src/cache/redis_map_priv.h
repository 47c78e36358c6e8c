/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Redis says about where slots live: CLUSTER SLOTS, MOVED and ASK, put into plain structs.
 * Pure. A host that is not a numeric address is never taken (looking it up would block the loop);
 * an empty one means the node that was asked. Thread: any.
 */
#ifndef TURNOUT_CACHE_REDIS_MAP_PRIV_H
#define TURNOUT_CACHE_REDIS_MAP_PRIV_H

#include "cache/redis.h"
#include "cache/redis_slot_priv.h"

#include <hiredis/hiredis.h>

enum { REDIS_HOST_SIZE = 46, REDIS_NODE_NONE = 255 };

/* A reply says how many elements its array will have, and hiredis asks for the memory at once: for
 * gigabytes, if ten bytes say so. CLUSTER SLOTS has 16384 at most, a SCAN some thousand. With more
 * the reader fails, and the connection with it. False without memory. */
enum { REDIS_ELEMENTS_MAX = 1 << 17 };
bool redis_reader_bound(redisReader *reader);

struct redis_address {
    char host[REDIS_HOST_SIZE];
    uint16_t port;
};

bool redis_address_eq(const struct redis_address *a, const struct redis_address *b);
/* "1.2.3.4:6379", "[::1]:6379", "::1:6379" or ":6379" (then `asked_host`, which may be NULL). */
bool redis_address_parse(struct slice text, const char *asked_host,
                         struct redis_address *ret_address);

struct redis_plan {
    struct redis_address nodes[REDIS_NODES_MAX];
    uint8_t primary_of[REDIS_NODES_MAX]; /* of a replica; REDIS_NODE_NONE for a primary */
    uint8_t owner[REDIS_SLOTS];          /* a primary's index, or REDIS_NODE_NONE */
    unsigned count;
    unsigned skipped; /* nodes left out */
};

/* Fills `ret_plan` from a reply to CLUSTER SLOTS; false for a shape that it never has. */
bool redis_plan_parse(const struct redisReply *reply, const char *asked_host,
                      struct redis_plan *ret_plan);

/* What an error reply asks for. */
enum redis_says_e {
    REDIS_SAYS_OTHER,
    REDIS_SAYS_MOVED,
    REDIS_SAYS_ASK,
    REDIS_SAYS_LATER,      /* TRYAGAIN, LOADING, BUSY: the same node, later */
    REDIS_SAYS_LOOK_AGAIN, /* CLUSTERDOWN, READONLY, MASTERDOWN: fetch the map, and later */
    REDIS_SAYS_SINGLE,     /* it runs without cluster mode */
};

struct redis_redirect {
    unsigned slot;
    struct redis_address to;
};

/* `ret_redirect` is filled for MOVED and ASK; a malformed one is OTHER. */
enum redis_says_e redis_error_parse(struct slice text, const char *asked_host,
                                    struct redis_redirect *ret_redirect);

#endif
