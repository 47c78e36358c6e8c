/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The controller's hands on nodes: HAProxy has those that serve, and a provider starts and stops
 * them. Each turn begins from what HAProxy and the provider say, never from what was meant, so a
 * controller that ended anywhere, and another that takes over, go on from what is real.
 *
 *   what each turn brings HAProxy to                        how the number of nodes changes
 *
 *   healthy   in every backend, once its check passed       (none) ── more ──► ASKING ──► COMING
 *   suspect   drains, unless half of them are suspect          │                 ▲           │
 *   leaving   drains                                           └─ fewer ─► DRAINING       LEAVING
 *   gone      deleted                                       and back to (none), done or failed
 *
 * Nobody healthy is no reason to take everybody out: then HAProxy keeps what it has, and its own
 * checks decide.
 *
 * Thread: one, which may block: a turn asks HAProxy some ten things, and the provider one or two,
 * each with a deadline of its own.
 */
#ifndef TURNOUT_ACT_FLEET_H
#define TURNOUT_ACT_FLEET_H

#include "act/haproxy.h"
#include "act/provider.h"
#include "control/balancer.h"
#include "control/scaler.h"

enum { FLEET_NODES_MAX = 128, FLEET_DETAIL_SIZE = 256 }; /* as ACT_DETAIL_SIZE */

enum fleet_health_e { FLEET_HEALTHY, FLEET_SUSPECT, FLEET_LEAVING, FLEET_GONE };

struct fleet_node {
    const struct node_figures *figures; /* with the id */
    struct slice url;                   /* "http://HOST:PORT" */
    enum fleet_health_e health;
    int agent_port;                     /* where it says its load to HAProxy; 0: it does not */
};

/* What the controller knows and decided; all lives during the call alone. */
struct fleet_view {
    const struct fleet_node *nodes; /* at most FLEET_NODES_MAX */
    size_t len;
    struct slice best[REQUEST_COUNT]; /* ids; at NULL: none */
    const struct scale_decision *scale;
};

/* A step that was done, or failed, for the journal. */
struct fleet_event {
    const char *what; /* "haproxy_add", "scale_conflict" */
    struct slice target;
    enum err_e err;
    struct slice evidence; /* a JSON object */
    const char *detail;
};
typedef void (*fleet_tell_fn)(void *data, const struct fleet_event *event);

struct fleet_options {
    struct clock *clock;
    struct provider *provider;  /* outlives the fleet */
    const char *haproxy_socket; /* NULL: there is no HAProxy to drive */
    const char *map_file;       /* as in haproxy.cfg; NULL: none */
    int64_t drain_ms;           /* for sessions on a node that is to go */
    int64_t ready_ms;           /* for new nodes to serve, and for stopped ones to end */
    int64_t nodes_max;          /* more are never asked for */
    fleet_tell_fn tell;
    void *tell_data;
};

struct fleet;
struct fleet *fleet_create(const struct fleet_options *options); /* NULL without memory */
void fleet_destroy(struct fleet *fleet);                         /* NULL: nothing */

/* One round with HAProxy, and a step of what is under way. */
MAY_BLOCK void fleet_turn(struct fleet *fleet, const struct fleet_view *view);

/* Why the number of nodes cannot be changed now: a sentence; NULL when it can. */
const char *fleet_refuse(const struct fleet *fleet);

/* Begins to change the number of healthy nodes as it was decided; fleet_scaling tells the end. Only
 * while fleet_refuse is NULL. */
MAY_BLOCK void fleet_scale(struct fleet *fleet, int64_t current, int64_t desired);

enum fleet_progress_e { FLEET_IDLE, FLEET_AT_WORK, FLEET_DONE, FLEET_FAILED };
/* DONE and FAILED are told once, then it is idle. */
enum fleet_progress_e fleet_scaling(struct fleet *fleet, char ret_detail[FLEET_DETAIL_SIZE]);

/* Leaves what is under way where it is: somebody else leads now, and goes on from what is real. */
void fleet_forget(struct fleet *fleet);

/* It was chosen to go: it is healthy no more, whatever it says. */
bool fleet_is_leaving(const struct fleet *fleet, struct slice id);

/* "10.0.0.1:8080" becomes "10.0.0.1_8080", a name for HAProxy and others. False: it cannot. */
bool fleet_name(struct slice id, char ret_name[HAPROXY_NAME_MAX + 1]);

#endif
