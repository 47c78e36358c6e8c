/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches all nodes: a thread that takes the list of registered ones each second, asks all of them
 * at once how they are, and keeps what that says about each (control/member.h).
 *
 *   list ──► who is registered ──► ask all, one deadline ──► judge each answer ──► table
 *
 * A node is judged by what it answers over HTTP alone, the asker's own node too: what others cannot
 * reach is not healthy. Clocks that differ by more than `skew_ms` are told, and change no state.
 *
 * Thread: create, start, stop and destroy from main; read from any.
 */
#ifndef TURNOUT_ACT_WATCHER_H
#define TURNOUT_ACT_WATCHER_H

#include "act/inquiry.h"
#include "act/web_round.h"
#include "control/member.h"

struct watcher;

enum {
    WATCH_NODES_MAX = 128,
    WATCH_URL_SIZE = 512,
    WATCH_TEXT_SIZE = 65,
    WATCH_CAPABILITIES_SIZE = 512,
};

/* One registered node. */
struct listed_node {
    char id[NODE_ID_MAX + 1];
    char url[WATCH_URL_SIZE];
    char version[WATCH_TEXT_SIZE];
    char incarnation[WATCH_TEXT_SIZE];
    char capabilities[WATCH_CAPABILITIES_SIZE]; /* a JSON object */
    int64_t started_at_ms;
    bool drains;    /* it is about to stop */
    bool has_ended; /* its registration was not renewed in time */
};
struct node_list {
    size_t len;
    struct listed_node items[WATCH_NODES_MAX]; /* ids differ */
};

/* What is known of one. */
struct watched_node {
    struct listed_node listed; /* as last registered */
    struct member member;
    bool is_heard;          /* it has given figures that can be believed */
    int64_t heard_us;       /* monotonic, when */
    int64_t age_ms;         /* of the figures then */
    struct status_figures figures;
    int64_t took_us;        /* of the last answer; -1: there is none */
    bool knows_skew;
    int64_t skew_ms;        /* its clock is ahead of ours by so much */
};

struct watcher_seams {
    /* The nodes that are registered; false: nobody knows now, and the last list stands. */
    bool (*list)(void *data, struct node_list *ret_list);
    /* NULL: web_round. A test's own. */
    void (*exchange)(void *data, struct web_ask *asks, size_t len);
    void *data;
};

struct watcher_options {
    struct clock *clock;
    struct rng *rng;
    struct slice secret;    /* of the cluster; outlives the watcher */
    struct member_policy policy;
    int64_t period_ms;      /* between two rounds */
    int64_t deadline_ms;    /* of an answer, below the period */
    int64_t slow_ms;        /* an answer that took longer is slow */
    int64_t skew_ms;        /* a difference of clocks that is worth a warning */
    int64_t shown_ms;       /* a node that is gone is shown for so long */
    struct watcher_seams seams;
};

/* Counts since the start. */
struct watcher_counts {
    uint64_t rounds, asks, misses, lies, changes;
    size_t states[MEMBER_STATE_COUNT]; /* nodes, now */
    int64_t skew_ms_max;               /* the largest difference of a clock, now */
};

struct watcher *watcher_create(const struct watcher_options *options); /* NULL without memory */
MAY_BLOCK void watcher_destroy(struct watcher *watcher); /* not running; NULL: nothing */
enum err_e watcher_start(struct watcher *watcher) MUST_CHECK;
MAY_BLOCK void watcher_stop(struct watcher *watcher); /* within a deadline; not started: nothing */

/* One round: the thread's work, for tests without one. */
MAY_BLOCK void watcher_turn(struct watcher *watcher);

/* Copies what is known, by id; how many. `nodes` has room for WATCH_NODES_MAX. False before the
 * first round that had a list: then nothing is known, which is not the same as no nodes. */
bool watcher_read(struct watcher *watcher, struct watched_node *nodes, size_t *ret_len);
void watcher_count(struct watcher *watcher, struct watcher_counts *ret_counts);

#endif
