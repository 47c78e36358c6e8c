/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several GETs at once, each whole within one deadline: for asking every node how it is. libcurl's
 * multi interface behind it; connections are kept between rounds; no redirects, no proxies, nothing
 * but http and https. Thread: one at a time, never a loop's.
 */
#ifndef TURNOUT_ACT_WEB_ROUND_H
#define TURNOUT_ACT_WEB_ROUND_H

#include "base/buf.h"

struct web_round;

enum { WEB_KEPT_SIZE = 128 };

struct web_round_options {
    size_t size;            /* asks in one round, at most */
    int64_t deadline_ms;    /* 1.. */
    size_t body_max;        /* bytes; a longer answer fails */
    const char *kept_field; /* of answers, lower case: its value is handed out */
};

struct web_ask {
    const char *url;
    const char *field;    /* "name: value", sent along */
    enum err_e err;       /* out. OK: there is an answer; DEADLINE: not in time; TOO_LARGE;
                             UNAVAILABLE: nobody listens there; NO_MEMORY */
    const char *reason;   /* out: of an error, a text that lives for ever */
    int status;           /* out */
    int64_t took_us;      /* out */
    struct buf body;      /* out; the caller's, initialised */
    char kept[WEB_KEPT_SIZE]; /* out: the field's value, "" when there is none */
};

struct web_round *web_round_create(const struct web_round_options *options); /* NULL: no memory */
void web_round_destroy(struct web_round *round); /* NULL: nothing */
/* An ask at the same place of two rounds uses the same connection, if it goes to the same host. */
MAY_BLOCK void web_round_run(struct web_round *round, struct web_ask *asks, size_t len);

#endif
