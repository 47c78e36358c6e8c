/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What HAProxy says of itself, read from its Runtime API's text: `show stat`, `show info` and
 * `show map`. Columns are found by name, since their number differs between versions. Pure: the
 * rows' texts lie in `text`, which the caller keeps. Thread: any.
 */
#ifndef TURNOUT_ACT_HAPROXY_STAT_H
#define TURNOUT_ACT_HAPROXY_STAT_H

#include "base/arena.h"

/* X(NAME): a server as HAProxy sees it. */
#define HAPROXY_STATUS_TABLE(X)                                                                    \
    X(UP)    /* takes traffic */                                                                   \
    X(DOWN)  /* its check or its agent failed */                                                   \
    X(DRAIN) /* checked, and takes no new traffic */                                               \
    X(MAINT) /* out of service, not checked */

enum haproxy_status_e {
#define X(name) HAPROXY_##name,
    HAPROXY_STATUS_TABLE(X)
#undef X
    HAPROXY_STATUS_COUNT
};

struct haproxy_row {
    struct slice backend;
    struct slice server;
    struct slice address;   /* "127.0.0.1:8081"; empty without one */
    enum haproxy_status_e status;
    bool is_warming;        /* in its slow start: the weight below grows by itself */
    bool in_transition;     /* "UP 1/2", "DRAIN 1/2": a check is about to change it */
    bool check_passed;      /* the last check that ended; false before the first */
    bool has_mute_agent;    /* it is DOWN since its agent cannot be heard */
    bool is_silent;         /* its last check got no answer at all: it hangs or is gone */
    bool is_stuck;          /* its last check waited in vain: it hangs */
    int64_t id;             /* sid */
    int64_t weight;         /* as the agent and slow start have it now: 0 takes no traffic */
    int64_t sessions;       /* now */
    int64_t used;           /* connections that requests use now */
    int64_t queued;
    int64_t requests;       /* in all */
    int64_t failures;       /* connection and response errors in all */
};

/* Only servers, in the order told. ERR_IO when it is no table of `show stat`; ERR_NO_MEMORY. */
enum err_e haproxy_stat_read(struct arena *arena, struct slice text, struct haproxy_row **ret_rows,
                             size_t *ret_len) MUST_CHECK;

struct haproxy_info {
    int64_t pid;      /* another one: it was started anew or reloaded */
    int64_t uptime_s;
    int64_t connections;
    struct slice version;
};
/* ERR_IO when there is no Pid. */
enum err_e haproxy_info_read(struct slice text, struct haproxy_info *ret_info) MUST_CHECK;

struct haproxy_entry {
    struct slice key, value;
};
/* Of `show map FILE`. ERR_IO for a line that is no entry. */
enum err_e haproxy_map_read(struct arena *arena, struct slice text,
                            struct haproxy_entry **ret_entries, size_t *ret_len) MUST_CHECK;

#endif
