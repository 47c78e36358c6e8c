/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hand on HAProxy: looks at what it has, and brings it to what it should have, one safe round
 * at a time. A round is some ten questions on the stats socket, each with a deadline, so that a
 * HAProxy that hangs costs a round and not the controller.
 *
 * HAProxy may be restarted, reloaded or edited by hand at any time: a round begins from what is
 * seen, so it mends that like anything else, and says so through `tell`.
 *
 * Thread: one at a time, never a loop's.
 */
#ifndef TURNOUT_ACT_HAPROXY_H
#define TURNOUT_ACT_HAPROXY_H

#include "act/haproxy_plan.h"
#include "act/haproxy_socket.h"

struct haproxy;

enum { HAPROXY_MAP_ENTRIES_MAX = 64 };

/* One line for the journal: what was seen or done, and what HAProxy said when it refused. */
struct haproxy_event {
    const char *what;      /* a word: an order's, or "restarted", "map", "unreachable", "back" */
    struct slice backend;  /* empty when it is about HAProxy as a whole */
    struct slice server;
    enum err_e err;
    const char *detail;    /* a sentence */
};
typedef void (*haproxy_tell_fn)(void *data, const struct haproxy_event *event);

struct haproxy_options {
    struct haproxy_socket socket; /* the path lives as long as the hand */
    struct clock *clock;
    haproxy_tell_fn tell;         /* NULL: nobody listens */
    void *tell_data;
};

struct haproxy *haproxy_create(const struct haproxy_options *options); /* NULL without memory */
void haproxy_destroy(struct haproxy *haproxy);                         /* NULL: nothing */

/* The best node by request type, for `use-server`: swapped as a whole. */
struct haproxy_map {
    const char *file;                    /* as in haproxy.cfg; NULL: no map */
    const struct haproxy_entry *entries; /* keys and values are names; at most 64 */
    size_t len;
};

struct haproxy_state {
    struct haproxy_info info;
    const struct haproxy_row *rows; /* until the next call */
    size_t rows_len;
    size_t orders;  /* given in this round */
    size_t refused; /* of them */
    bool settled;   /* nothing was left to do: all that is wished is up or drains */
};

/*
 * One round: look, swap the map, give orders. ERR_OK also when single orders were refused (they are
 * told, and tried again in the next round). ERR_UNAVAILABLE, ERR_DEADLINE: HAProxy cannot be asked;
 * ERR_IO: what it said makes no sense; ERR_INVALID_FIELD: the wish. A map entry whose server is not
 * UP in view is left out, so that no request is sent where nobody may answer.
 */
MAY_BLOCK enum err_e haproxy_round(struct haproxy *haproxy, const struct haproxy_wish *wish,
                                   const struct haproxy_map *map, struct haproxy_state *ret_state,
                                   struct problem *ret_problem) MUST_CHECK;

/* Only looks. */
MAY_BLOCK enum err_e haproxy_look(struct haproxy *haproxy, struct haproxy_state *ret_state,
                                  struct problem *ret_problem) MUST_CHECK;

#endif
