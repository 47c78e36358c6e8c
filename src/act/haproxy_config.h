/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole haproxy.cfg for turnout, with a comment at each line that was learned the hard way. Four
 * backends by kind of request, the same nodes in each:
 *
 *   database   scans, imports and what else writes: the node with the fewest connections
 *   analytics  statistics, exports, performance: the node that the map names, else in turn
 *   cache      what is looked up by a key: consistent hashing on the token or path
 *   general    the rest, in turn
 *
 * Nodes are written as static servers with the id that they have at run time, so that HAProxy
 * begins with the last known ones after a restart. Pure. Thread: any.
 */
#ifndef TURNOUT_ACT_HAPROXY_CONFIG_H
#define TURNOUT_ACT_HAPROXY_CONFIG_H

#include "act/haproxy_plan.h"

/* X(NAME, name of the backend) */
#define HAPROXY_BACKEND_TABLE(X)                                                                   \
    X(DATABASE, "database")                                                                        \
    X(ANALYTICS, "analytics")                                                                      \
    X(CACHE, "cache")                                                                              \
    X(GENERAL, "general")

enum haproxy_backend_e {
#define X(name, text) HAPROXY_BACKEND_##name,
    HAPROXY_BACKEND_TABLE(X)
#undef X
    HAPROXY_BACKEND_COUNT
};
const char *haproxy_backend_name(enum haproxy_backend_e backend);
/* Weights rest there, whatever the load: keys would move. Bounded load is its own answer. */
#define HAPROXY_BACKEND_STEADY HAPROXY_BACKEND_CACHE

struct haproxy_config {
    const char *bind;         /* "127.0.0.1:8000" or ":80" */
    const char *tls_bind;     /* ":443": HTTP/2 and HTTP/1.1; NULL: no TLS here */
    const char *certificate;  /* PEM with chain and key, for tls_bind */
    const char *stats_bind;   /* "127.0.0.1:8404": a page of its servers to look at; NULL: none */
    const char *stats_socket; /* path; the controller's way in */
    const char *map_file;     /* best node by kind; must exist when HAProxy starts */
    int64_t connections_max;  /* 1.. */
    const struct haproxy_node *nodes;
    size_t nodes_len;
};

/* ERR_INVALID_FIELD names what is missing or holds a character that could end a word: paths and
 * addresses are printable without blanks, quotes, backslash and #. */
enum err_e haproxy_config_write(struct buf *to, const struct haproxy_config *config,
                                struct problem *ret_problem) MUST_CHECK;

#endif
