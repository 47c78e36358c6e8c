/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One loop of a node, from its first message to its last.
 *
 *              start                 drain                  nothing in flight
 *   NEW ─────────────► SERVING ──────────────► DRAINING ─────────────────────► ENDED
 *    │                                            │
 *    └── no memory ──► FAILED                     └── cut_off: closes what is left, then ENDED
 *
 * The state is written by the loop's thread alone; every move is told through the descriptor `wake`
 * (an eventfd). Thread: node_loop_* from main.
 */
#ifndef TURNOUT_APP_NODE_LOOP_H
#define TURNOUT_APP_NODE_LOOP_H

#include "api/api.h"
#include "app/node_cache.h"
#include "checkin/checkin.h"
#include "monitor/doors_watch.h"

#include <stdatomic.h>

enum node_loop_state_e {
    NODE_LOOP_NEW,
    NODE_LOOP_SERVING,
    NODE_LOOP_DRAINING,
    NODE_LOOP_ENDED,
    NODE_LOOP_FAILED,
};

struct node_limits {
    struct checkin_options checkin;
    struct http_options http;
};

/* The same for all loops of a node; outlives them. */
struct node_parts {
    struct api_node *api_node;
    struct node_cache *cache; /* NULL: none */
    struct node_limits limits; /* at start */
    int listen_fd;
    int wake; /* eventfd */
};

struct node_loop;
struct node_order { /* a message with its receiver */
    struct loop_message message; /* first */
    struct node_loop *to;
};

struct node_loop {
    const struct node_parts *parts;
    struct loop *loop;
    struct store *direct; /* the loop's way to the node's store */
    struct store *store;  /* the same, or through the cache */
    struct node_cache_loop cache;
    struct checkin *checkin;
    struct api *api;
    struct http_server *http;
    struct doors_watch *doors; /* the first loop's; else NULL */
    struct loop_timer *drain_timer;
    struct node_order start, drain, cut_off, finish; /* each sent once */
    struct node_order set, door, beat;
    mtx_t lock; /* of the next four, held for a copy */
    struct node_limits wanted;
    bool set_is_out;
    bool door_is_out;
    bool wants_open;
    bool is_attached; /* to the monitor */
    atomic_int state; /* node_loop_state_e */
    atomic_bool is_open; /* accepts connections */
    atomic_bool beat_is_out;
};

/* Starts the thread and asks it to serve; SERVING or FAILED follows, unless this fails at once. */
enum err_e node_loop_start(struct node_loop *node_loop, int index,
                           const struct node_parts *parts) MUST_CHECK;
/* Other limits from now on, as far as they can change: see http.h and checkin.h. */
void node_loop_set(struct node_loop *node_loop, const struct node_limits *limits);
/* Accept connections from now on, or leave them to another process: http_server_open and _yield.
 * When SERVING; node_loop_is_open tells when it is done, and `wake`. */
void node_loop_open(struct node_loop *node_loop);
void node_loop_yield(struct node_loop *node_loop);
bool node_loop_is_open(const struct node_loop *node_loop);
/* Whether the loop has turned since the last call, which asked it to; true the first time. Until
 * node_loop_drain. */
bool node_loop_turns(struct node_loop *node_loop);
void node_loop_drain(struct node_loop *node_loop);   /* once, when SERVING */
void node_loop_cut_off(struct node_loop *node_loop); /* once, after drain */
enum node_loop_state_e node_loop_state(const struct node_loop *node_loop);
/* For monitor_options.read_loop: any thread, while the loop is attached. */
void node_loop_figures(void *node_loop, struct loop_figures *ret_figures);
/* Waits for the thread of an ENDED or FAILED loop and frees it. */
MAY_BLOCK void node_loop_join(struct node_loop *node_loop);

#endif
