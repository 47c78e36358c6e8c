/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the fleet share. Thread: the fleet's. */
#ifndef TURNOUT_ACT_FLEET_PRIV_H
#define TURNOUT_ACT_FLEET_PRIV_H

#include "act/fleet.h"

enum { FLEET_URL_MAX = 256, FLEET_TOLD_MAX = 64 };

/* A node that HAProxy should have, from one turn to the next. */
struct member {
    char id[NODE_ID_MAX + 1];
    char url[FLEET_URL_MAX];
    struct haproxy_node wish; /* address empty: it was not found */
    bool is_healthy;
    bool takes_traffic; /* UP in every backend, as seen last */
    int64_t sessions;   /* in all backends */
    double connections, hit_rate;
    int64_t healthy_for_ms;
};

/* X(NAME) */
#define SCALING_STATE_TABLE(X)                                                                     \
    X(IDLE)     /* nothing is under way */                                                         \
    X(DRAINING) /* those that are to go get nothing new, and end what they have */                 \
    X(ASKING)   /* the provider is told the new count, until it takes it */                        \
    X(COMING)   /* new nodes start, register and pass HAProxy's check */                           \
    X(LEAVING)  /* the provider ends them */                                                       \
    X(ENDED)    /* its end is to be told */

enum scaling_state_e {
#define X(name) SCALING_##name,
    SCALING_STATE_TABLE(X)
#undef X
};

struct scaling {
    int state;            /* scaling_state_e */
    int64_t current, desired; /* healthy nodes, as decided */
    int64_t from, to;     /* the provider's count; `to` is set when it was asked */
    bool is_asked;        /* its answer is not known */
    int asks;             /* that failed */
    int64_t began_us;     /* the change as a whole */
    int64_t since_us;     /* of the state */
    int64_t failures;     /* changes in a row */
    int64_t rested_us;    /* when the next may begin; TIME_NONE: now */
    char victims[FLEET_NODES_MAX][NODE_ID_MAX + 1];
    char instances[FLEET_NODES_MAX][PROVIDER_NAME_MAX + 1]; /* place by place */
    size_t victims_len;
    bool is_good;
    char detail[FLEET_DETAIL_SIZE];
};

/* An event of HAProxy's in this round, of all its backends. */
struct round_event {
    char what[32], server[HAPROXY_NAME_MAX + 1], detail[FLEET_DETAIL_SIZE];
    enum err_e err;
    int64_t backends;
};
/* A failure that was told: it is not told again each second. */
struct told {
    uint64_t hash;
    int64_t at_us;
};

struct fleet {
    struct fleet_options options;
    struct haproxy *haproxy; /* NULL: none */
    struct member members[FLEET_NODES_MAX];
    size_t members_len;
    bool is_known;       /* a turn saw a node */
    bool keeps;          /* nobody is healthy: HAProxy keeps what it has */
    int64_t serving;     /* members that are healthy and take traffic */
    struct round_event events[FLEET_NODES_MAX];
    size_t events_len;
    struct told told[FLEET_TOLD_MAX];
    size_t told_len;
    struct provider_state counts;
    enum err_e counts_err; /* of the last look at the provider */
    struct problem counts_problem;
    int64_t looked_us;     /* TIME_NONE: never */
    struct scaling scaling;
    struct buf text;
};

/* fleet_members.c: who should be in HAProxy, and where. */
MAY_BLOCK void members_take(struct fleet *fleet, const struct fleet_view *view);
struct member *members_find(struct fleet *fleet, const char *id);

/* fleet_haproxy.c: a round. */
MAY_BLOCK void fleet_round(struct fleet *fleet, const struct fleet_view *view);
void fleet_note(void *fleet, const struct haproxy_event *event); /* haproxy_tell_fn */

/* fleet_scaling.c */
MAY_BLOCK void scaling_step(struct fleet *fleet, const struct fleet_view *view);
bool scaling_takes(const struct fleet *fleet, const char *id); /* it is to go */

/* fleet.c: tells, but not the same failure again within some minutes. */
void fleet_tell(struct fleet *fleet, const struct fleet_event *event);

#endif
