/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache of a node, as the configuration asks for it: made before the loops, entered and left by
 * each of them.
 *
 * Who else writes to the store decides what L1 is trusted for. SQLite: this process, and commands
 * that the file's change mark tells of, looked at five times a second. PostgreSQL with Redis: the
 * invalidation channel tells, and a mark in the database of whom Redis cannot tell. PostgreSQL
 * alone: nobody tells, so L1 answers only what is younger than TIERED_TRUST_MS.
 *
 * Thread: open and close from main; enter, is_idle and leave on the loop; figures any.
 */
#ifndef TURNOUT_APP_NODE_CACHE_H
#define TURNOUT_APP_NODE_CACHE_H

#include "app/config.h"
#include "app/node_mark.h"
#include "cache/keeper.h"
#include "monitor/view.h"

struct node_cache;

enum { CACHE_POLICY_OFF }; /* config->cache_policy; the words behind it are those of L1 */

/* `*ret_cache` stays NULL when cache.policy is off. ERR_CONFIG says which setting is wrong. */
/* `roster`: the text of a process that is taken over from; empty: the file's, if one is set. */
MAY_BLOCK enum err_e node_cache_open(const struct config *config, struct store *store,
                                     struct slice roster,
                                     struct node_cache **ret_cache,
                                     struct problem *ret_problem) MUST_CHECK;
void node_cache_close(struct node_cache *cache); /* no loop is inside; NULL: nothing */
/* cache.ttl and cache.l2_ttl of another configuration, for what is read from now on. */
void node_cache_set_lives(struct node_cache *cache, const struct config *config);
struct keeper *node_cache_keeper(struct node_cache *cache); /* NULL for NULL */
/* The keys that are asked for most, to their file, if one is set. */
MAY_BLOCK void node_cache_save(struct node_cache *cache); /* NULL: nothing */
/* True once when somebody was erased since the file was written. NULL: never. */
bool node_cache_has_forgotten(struct node_cache *cache);

/* "s3fifo entries=1000 bytes=… redis=none": for the log, no secrets. */
enum { NODE_CACHE_TEXT_SIZE = 256 };
void node_cache_describe(const struct config *config, char ret_text[NODE_CACHE_TEXT_SIZE]);

/* A loop's part of it. */
struct node_cache_loop {
    struct node_cache *cache; /* NULL: not inside */
    struct tiered_loop *tiered;
    struct store *store; /* the caching store in front of what the loop had */
    struct node_mark mark;
    bool watches;        /* a file's change mark, for all loops */
    bool keeps;          /* the keeper runs here */
    int64_t owes_until_us;
};
/* ERR_NO_MEMORY, or what Redis' settings are wrong about, which is logged. */
enum err_e node_cache_enter(struct node_cache *cache, struct loop *loop, struct store *inner,
                            struct node_cache_loop *ret_loop) MUST_CHECK;
void node_cache_drain(struct node_cache_loop *loop); /* ends what runs in the background */
bool node_cache_is_idle(const struct node_cache_loop *loop);
void node_cache_seal(struct node_cache_loop *loop); /* when idle: it stays so */
/* When idle. Handles of the loop may live on until it has ended. */
void node_cache_leave(struct node_cache_loop *loop);

/* For monitor_options.read_cache. */
void node_cache_figures(void *cache, struct cache_figures *ret_figures);

#endif
