/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request after another, each waited for: what sets the event up before a load and looks at the
 * books behind it. A server that is not there or says 503 is asked again, the next one after it,
 * until the patience ends. Thread: one; everything blocks.
 */
#ifndef LOADGEN_HTTP_H
#define LOADGEN_HTTP_H

#include "base/buf.h"
#include "client.h"

struct http {
    const struct target *targets;
    size_t targets_len;
    size_t at;           /* the target that is asked */
    const char *key;     /* "" : none */
    double patience_s;
    struct buf body;     /* of the last answer */
    void *curl;
};

struct http_request {
    const char *method, *path;
    const char *type;    /* of the body */
    struct slice body;
};

bool http_init(struct http *http);
void http_fini(struct http *http);

/* The status, 0 when there was no answer in time. The answer's body is in http->body. */
int http_ask(struct http *http, const struct http_request *request);
int http_get(struct http *http, const char *path);

#endif
