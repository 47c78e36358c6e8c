/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node that is taken over from, or takes over: what the sides of takeover_give.h and
 * takeover_take.h mean for loops, store, cache and controller.
 *
 *   the old process                          the new process
 *   serves                                   opens store and cache, reads the hot keys, accepts
 *   OFFERED: leaves gaps between commits     nothing, acts on nothing
 *   GIVEN: accepts no more; every answer     serves; acts on nothing yet
 *   closes its connection; acts no more
 *   no connection left, or the bound: ends   ALONE: acts; on SQLite reads the hot keys once more,
 *                                            as every write of the other emptied the cache
 *   LOST: accepts again, as before
 *
 * The bound is request_timeout, after which no connection can be idle, and drain_timeout.
 * Thread: main.
 */
#ifndef TURNOUT_APP_NODE_TAKEOVER_H
#define TURNOUT_APP_NODE_TAKEOVER_H

#include "app/cluster.h"
#include "app/node_agent.h"
#include "app/node_control.h"
#include "app/node_loop.h"
#include "app/supervisor.h"
#include "app/takeover_give.h"
#include "app/takeover_take.h"

struct node_takeover {
    struct giver *giver; /* NULL: not yet */
    struct taker *taker; /* NULL: this process took nothing over, or is alone since */
    const struct config *now; /* the settings in effect */
    struct node_loop *loops;
    size_t loops_len;
    struct store *store;
    bool is_sqlite;
    struct node_cache *cache; /* NULL: none */
    struct node_control *control;
    struct node_agent *agent; /* NULL: none */
    struct cluster *cluster;  /* NULL: none */
    struct supervisor *supervisor; /* hears which process is the one to look after */
    const char *url;
    struct giver_options offer; /* for when the giver is made */
    int64_t yield_until_us;     /* the old one's bound; 0: it does not yield */
    struct keeper_ask again;
};

/* Asks the serving process, when `wanted` (serve --takeover) or when it started this one. With a
 * taker afterwards this process takes over. */
MAY_BLOCK enum err_e node_takeover_join(struct node_takeover *takeover,
                                        const struct config *config, bool is_wanted,
                                        struct problem *ret_problem) MUST_CHECK;

/* The new one's part until it serves. Loops serve and do not accept yet. */
enum { NODE_TAKEOVER_FDS = GIVER_FDS + 1 };
bool node_takeover_is_warm(const struct node_takeover *takeover); /* cache and controller have what
    they answer with; or it has waited long enough */
void node_takeover_open_loops(struct node_takeover *takeover);
bool node_takeover_loops_are_open(const struct node_takeover *takeover);

/* While serving. */
void node_takeover_serve(struct node_takeover *takeover); /* once, when everything above is set */
size_t node_takeover_watch(const struct node_takeover *takeover,
                           struct pollfd ret_fds[NODE_TAKEOVER_FDS]);
int64_t node_takeover_due_us(const struct node_takeover *takeover);
/* Does what is due. True: this process has been replaced and is to stop. */
MAY_BLOCK bool node_takeover_step(struct node_takeover *takeover);
/* SIGUSR2. Why not is in the log. */
void node_takeover_begin(struct node_takeover *takeover);
/* The process stops: whoever prepares to take over is told, and so is the old one. */
MAY_BLOCK void node_takeover_stop(struct node_takeover *takeover);
bool node_takeover_is_given(const struct node_takeover *takeover);
/* Another process has the lock, too, or had it first: it is not this one's to remove. */
bool node_takeover_shares_lock(const struct node_takeover *takeover);
/* The very last: tells the new one that nothing more is written from here. */
MAY_BLOCK void node_takeover_close(struct node_takeover *takeover);

#endif
