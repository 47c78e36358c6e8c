/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Outgoing HTTP for the hands: one request and its whole answer, within one deadline. libcurl
 * behind it; no redirects, no proxies, nothing but http and https.
 *
 * Thread: one at a time, never a loop's. A web keeps its connection between requests.
 */
#ifndef TURNOUT_ACT_WEB_H
#define TURNOUT_ACT_WEB_H

#include "base/buf.h"

#include <stdatomic.h>

struct web;

enum {
    WEB_BODY_MAX = 16 << 20, /* of an answer; longer ones are refused */
    WEB_TIMEOUT_MS_DEFAULT = 5000,
    WEB_SECRET_MAX = 8192,   /* of a token, which may be a whole JWT */
};

/* All texts outlive the web. */
struct web_options {
    const char *base_url;     /* "https://10.0.0.1:6443"; every path is put behind it */
    const char *unix_socket;  /* instead of TCP; NULL: none */
    const char *ca_file;      /* PEM; NULL: the system's */
    const char *secret_file;  /* read anew for each request, since it may rotate; NULL: none */
    const char *secret_field; /* "Authorization: Bearer " or "X-Nomad-Token: ", put before it */
    int64_t timeout_ms;       /* 1.. */
    const char *shown;        /* in problems, for a base_url that is a secret; NULL: base_url */
    const atomic_bool *cancel; /* ends a request soon after it is set; NULL: nothing does */
};

/* Prepares libcurl; again and again is the same as once. */
void web_init(void);

/* NULL without memory. */
struct web *web_create(const struct web_options *options);
void web_destroy(struct web *web); /* NULL: nothing */

struct web_request {
    const char *method;
    const char *path;         /* with its query; encoded by the caller: see web_encode */
    const char *content_type; /* NULL: no body */
    struct slice body;
    const char *const *fields; /* further "Name: value", NULL-terminated; NULL: none */
};

/*
 * ERR_OK: there is an answer, of any status. ERR_UNAVAILABLE: nobody listens, or TLS failed;
 * ERR_DEADLINE: no whole answer in time, so whether it was done is not known; ERR_UNAUTHORIZED: the
 * secret's file cannot be read; ERR_TOO_LARGE; ERR_NO_MEMORY. No secret is ever in `ret_problem`.
 */
MAY_BLOCK enum err_e web_send(struct web *web, const struct web_request *request, int *ret_status,
                              struct buf *ret_body, struct problem *ret_problem) MUST_CHECK;

/* Per cent encoding of all but A-Za-z0-9._~- (RFC 3986). */
void web_encode(struct buf *to, struct slice text);

#endif
