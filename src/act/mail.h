/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plain text message by SMTP, through libcurl. Thread: any that may block.
 */
#ifndef TURNOUT_ACT_MAIL_H
#define TURNOUT_ACT_MAIL_H

#include "base/buf.h"
#include "base/clock.h"

#include <stdatomic.h>

enum { MAIL_MAX = 1 << 20 }; /* bytes of a message */

/* How it is sent. */
struct mail_options {
    const char *url;      /* smtp://HOST:PORT or smtps://HOST:PORT */
    bool needs_tls;       /* smtp: STARTTLS must succeed; else nothing is encrypted */
    const char *ca_file;  /* PEM; NULL: the system's */
    const char *user;     /* NULL: nobody logs in */
    const char *password;
    int64_t timeout_ms;   /* 1.. */
    const atomic_bool *cancel; /* ends it soon after it is set; NULL: nothing does */
};

/* What is sent. Addresses are plain ones, without names; `to` has several by commas. */
struct mail {
    const char *from, *to;
    struct slice subject, text; /* UTF-8 */
    struct slice id;            /* of ASCII letters, digits and -: the same for each try */
    int64_t at_ms;
};

/* The message with its headers, lines ended by CRLF (RFC 5322), text and subject in base64. */
void mail_write(struct buf *to, const struct mail *mail);

/* ERR_OK: the server took it for all. `ret_status` is the last SMTP reply code, 0 if there was
 * none. ERR_UNAVAILABLE, ERR_DEADLINE, ERR_NO_MEMORY; no secret is in the problem. */
MAY_BLOCK enum err_e mail_send(const struct mail_options *options, const struct mail *mail,
                               int *ret_status, struct problem *ret_problem) MUST_CHECK;

#endif
