/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one process on PostgreSQL has to do with the others: it registers itself if it serves,
 * knows who else is registered, and watches all of them. Three threads:
 *
 *   registry   renews our registration, lists everybody's                (the store)
 *   watcher    asks everybody how they are, each second                  (act/watcher.h)
 *   elector    competes for the lead, or hears who has it                (act/elector.h)
 *
 * A SQLite file is served by one process, which has nobody to do with: there is no cluster then.
 * Thread: open to close from main; sense from the controller's; the desk is for the loops.
 */
#ifndef TURNOUT_APP_CLUSTER_H
#define TURNOUT_APP_CLUSTER_H

#include "act/controller.h"
#include "act/watcher.h"
#include "app/config.h"
#include "monitor/metrics.h"
#include "store/store.h"

struct cluster;

enum { CLUSTER_INCARNATION_SIZE = 33 };

struct cluster_options { /* all texts outlive the cluster */
    const struct config *config;
    struct store *store; /* of PostgreSQL */
    struct clock *clock;
    struct rng *rng;
    const char *id;
    const char *url;     /* where the others reach it */
    bool serves;         /* else it is a controller alone: it does not register */
    int64_t connections_max;
    int agent_port;      /* 0: HAProxy cannot ask it */
    int64_t started_at_ms;
    bool can_restart;    /* a new process can take over */
    const struct policy *policy;
};

/* Reads the secret, the store's when the configuration has none, and begins to watch. */
MAY_BLOCK enum err_e cluster_open(const struct cluster_options *options,
                                  struct cluster **ret_cluster,
                                  struct problem *ret_problem) MUST_CHECK;
/* Each once, in this order; NULL: nothing. */
void cluster_register(struct cluster *cluster); /* it serves now */
/* Another process of this node, with the same id, has the registration now (true); or this one is
 * to have it again. NULL: nothing. */
void cluster_yield(struct cluster *cluster, bool yields);
void cluster_drain(struct cluster *cluster);    /* it takes nothing new, and stops soon */
MAY_BLOCK void cluster_leave(struct cluster *cluster); /* takes the registration away, watches no
    more; waits for the store's answer, a few seconds at most */
MAY_BLOCK void cluster_resign(struct cluster *cluster); /* gives the lead back: once nothing of this
    process acts any more */
MAY_BLOCK void cluster_close(struct cluster *cluster);

/* What this node tells of itself from now on, if it serves; the monitor's thread. */
struct cluster_view {
    struct status_figures figures;
    double cpus;             /* that it may use */
    int64_t memory_limit;    /* bytes; below 0: not known */
};
void cluster_see(struct cluster *cluster, const struct cluster_view *view);

struct desk *cluster_desk(struct cluster *cluster); /* NULL: it does not serve */
/* For monitor_options. */
void cluster_figures(void *cluster, struct cluster_figures *ret_figures);
/* By what name it leads; for action_fence. */
struct slice cluster_holder(const struct cluster *cluster);
void cluster_lead(struct cluster *cluster, struct leadership *ret_leadership); /* any thread */
/* All nodes and their metrics together. Texts live until the next call. */
void cluster_sense(struct cluster *cluster, struct sensed *ret_sensed);

/* The address of this node for others: the setting, else what server.listen says; when that is
 * every address of the machine, the first one that is not loopback. */
enum { CLUSTER_URL_SIZE = WATCH_URL_SIZE };
MAY_BLOCK enum err_e cluster_find_url(const struct config *config, int port,
                                      char ret_url[CLUSTER_URL_SIZE],
                                      struct problem *ret_problem) MUST_CHECK;

#endif
