/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what HAProxy has to what it should have, in orders that it takes safely. Pure: the same
 * view, wish and history give the same orders; what HAProxy itself shows is the state, so a
 * controller that was started anew goes on where the last one stopped. Thread: any.
 *
 * A server, as its status tells it:
 *
 *   (none) ──add, check, drain──► DRAIN ──its check passed──► ready ──► UP
 *                                   ▲                                    │ no longer wanted
 *                                   │                                    ▼
 *   (none) ◄──delete── MAINT ◄──maint── DRAIN, no session left ◄──────drain
 *              HAPROXY_GRACE_MS later
 *
 * Why in this order (seen on HAProxy 2.6.12): a server that is made ready before its first check is
 * UP although nobody listens; one that goes to maint with sessions cannot be deleted for seconds;
 * maps that name a server must be changed before it drains, since `use-server` still reaches it;
 * one that is down shows DOWN also while it drains, so a dead one is told to drain once and goes
 * on; a request that waits for another try may point at a server without sessions, and HAProxy may
 * end by a segmentation fault when that is deleted then (its issue 2298; it ended so once here, the
 * cause not proven): so it is deleted HAPROXY_GRACE_MS after it went to maint. The last ones that
 * serve a backend stay until one that is wanted is UP there.
 */
#ifndef TURNOUT_ACT_HAPROXY_PLAN_H
#define TURNOUT_ACT_HAPROXY_PLAN_H

#include "act/haproxy_stat.h"
#include "base/buf.h"

enum {
    HAPROXY_NAME_MAX = 64,        /* of a backend or server */
    HAPROXY_ADDRESS_MAX = 64,     /* numeric: HAProxy never resolves a dynamic server's name */
    HAPROXY_BACKENDS_MAX = 8,
    HAPROXY_SERVERS_MAX = 256,    /* in one backend */
    HAPROXY_DRAIN_MS_DEFAULT = 30000,
    HAPROXY_SILENT_MS = 1500,     /* above `timeout connect`: nothing connects to it any more */
    HAPROXY_GRACE_MS = 2500,      /* above `timeout connect` and the second before another try */
    HAPROXY_WEIGHT_STEP = 10,     /* per cents: less of a change is not worth an order */
    HAPROXY_DELETES_BEFORE_AGAIN = 3, /* refused deletes before drain and maint are repeated */
};

/* 1 to HAPROXY_NAME_MAX of A-Za-z0-9_.- : so that no name is a command. */
bool haproxy_name_is_good(struct slice name);

/* A node as HAProxy should have it, in every backend. */
struct haproxy_node {
    char name[HAPROXY_NAME_MAX + 1];
    char address[HAPROXY_ADDRESS_MAX + 1]; /* "127.0.0.1:8081" */
    int agent_port;                        /* 0: it has none */
    int64_t number; /* 1..65535, the node's own for life: places it in the hash ring */
    int64_t weight; /* 1..100 per cent of a full share; 0: not said. An agent's word goes first */
    bool drains;    /* keep it, but without new traffic */
};

/* X(NAME, word, why it is sent) */
#define HAPROXY_ORDER_TABLE(X)                                                                     \
    X(ADD, "add", "a node that it does not have")                                                  \
    X(CHECK, "check", "health checks are off until they are asked for")                            \
    X(AGENT, "agent", "the node's own word about its load")                                        \
    X(MUTE, "mute", "an agent that nobody hears holds it down")                                    \
    X(DRAIN, "drain", "no new traffic")                                                            \
    X(READY, "ready", "the check has passed")                                                      \
    X(WEIGHT, "weight", "its share of the load")                                                   \
    X(CUT, "cut", "sessions that outlived the time to drain, or wait for a node that hangs")       \
    X(MAINT, "maint", "the last step before it can be deleted")                                    \
    X(DELETE, "delete", "a server that nobody wants")

enum haproxy_order_e {
#define X(name, word, why) HAPROXY_ORDER_##name,
    HAPROXY_ORDER_TABLE(X)
#undef X
    HAPROXY_ORDER_COUNT
};
const char *haproxy_order_text(enum haproxy_order_e order);
const char *haproxy_order_why(enum haproxy_order_e order);

struct haproxy_order {
    enum haproxy_order_e kind;
    struct slice backend;
    struct slice server;
    const struct haproxy_node *node; /* ADD and WEIGHT; else NULL */
};

/* What must be remembered about one server that is down or on its way out. */
struct haproxy_leaving {
    char backend[HAPROXY_NAME_MAX + 1];
    char server[HAPROXY_NAME_MAX + 1];
    int64_t since_ms;   /* when it was told to drain, or was seen to be stuck */
    int64_t out_ms;     /* when it was seen in maint */
    bool is_out;        /* it was */
    bool is_drained;    /* it was told while it was down, which HAProxy does not show */
    unsigned deletes;   /* that were refused */
    bool seen;          /* in this round */
};
struct haproxy_history {
    struct haproxy_leaving leaving[HAPROXY_SERVERS_MAX];
    size_t len;
};

struct haproxy_wish {
    const struct haproxy_node *nodes;
    size_t nodes_len; /* at most HAPROXY_SERVERS_MAX */
    const struct slice *backends;
    size_t backends_len; /* at most HAPROXY_BACKENDS_MAX */
    int64_t drain_ms;    /* how long sessions may take to end */
    struct slice steady; /* a backend whose weights rest: a weight moves keys in its hash ring */
};

/* ERR_INVALID_FIELD: a node with a bad name, address, port or number, or two that share one. */
enum err_e haproxy_wish_check(const struct haproxy_wish *wish,
                              struct problem *ret_problem) MUST_CHECK;

/* All servers as seen, at one moment. */
struct haproxy_view {
    const struct haproxy_row *rows;
    size_t rows_len;
    int64_t now_ms; /* monotonic */
};
struct haproxy_orders {
    struct haproxy_order *items;
    size_t len;
    size_t pending; /* servers that are not where they should be yet */
};

/* `wish` is checked. The orders are to be carried out in this order, each once; one that fails is
 * no harm: the next plan begins from what is seen then. Only servers of the wish's backends are
 * touched. ERR_NO_MEMORY. */
enum err_e haproxy_plan(struct arena *arena, const struct haproxy_wish *wish,
                        const struct haproxy_view *view, struct haproxy_history *history,
                        struct haproxy_orders *ret_orders) MUST_CHECK;

/* A refused delete: after a few, drain and maint are repeated, which frees what it holds. */
void haproxy_note_refused_delete(struct haproxy_history *history,
                                 const struct haproxy_order *order);

/* The command of an order, as the Runtime API takes it. */
void haproxy_order_write(struct buf *to, const struct haproxy_order *order);

#endif
