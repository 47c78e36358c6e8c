/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request to a node, for commands: a connection, a request, a whole answer. HTTP/1.0, so that
 * the answer is not chunked; no TLS and no redirects, since it speaks to a node and not to the
 * world.
 * Thread: main.
 */
#ifndef TURNOUT_APP_FETCH_H
#define TURNOUT_APP_FETCH_H

#include "base/buf.h"

struct fetch {
    const char *url;     /* "http://127.0.0.1:8080", without a path */
    const char *path;    /* "/v1/performance/kpi" */
    const char *key;     /* NULL: none */
    const char *method;  /* NULL: GET */
    struct slice body;   /* JSON, of a POST; may be empty */
    int timeout_s;       /* for connecting, and for each wait for bytes */
};

enum { FETCH_ANSWER_MAX = 64 << 20 };

/* The answer's status and its body, appended. ERR_CONFIG for a URL that is none, ERR_IO when nobody
 * answers, both with a sentence in `ret_problem`. */
MAY_BLOCK enum err_e fetch_get(const struct fetch *fetch, int *ret_status, struct buf *ret_body,
                               struct problem *ret_problem) MUST_CHECK;

/* "http://host:port", "http://[::1]:port", "http://host" (port 80); a slash may follow. Pure. */
enum { FETCH_HOST_SIZE = 256, FETCH_PORT_SIZE = 8 };
struct fetch_place {
    char host[FETCH_HOST_SIZE]; /* without brackets */
    char port[FETCH_PORT_SIZE];
};
bool fetch_parse_url(struct slice url, struct fetch_place *ret_place);
/* Takes a whole HTTP answer apart; false when it is none. Pure. */
bool fetch_parse_answer(struct slice answer, int *ret_status, struct slice *ret_body);

#endif
