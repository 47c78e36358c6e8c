/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who asks, when a proxy asks for somebody: X-Forwarded-For and X-Forwarded-Proto. Inside this unit
 * only. Pure. Thread: any.
 *
 *   X-Forwarded-For: what the client sent, 203.0.113.9, 10.0.0.2      peer 10.0.0.1
 *                    ◄──────── believed by nobody        ◄───────────────── read from here
 *
 * Each proxy appends whom it saw, so the list is read from its end, and only as long as the one who
 * wrote an entry is trusted. The first that is not trusted is the client; whatever stands left of
 * it, that client may have written itself. An entry that is no address ends the reading, too: the
 * client is then the last one that was known, so nonsense hides nobody.
 */
#ifndef TURNOUT_HTTP_FORWARDED_PRIV_H
#define TURNOUT_HTTP_FORWARDED_PRIV_H

#include "http/head_priv.h"
#include "http/trust.h"

struct origin {
    struct http_ip client;
    bool is_tls;     /* a trusted proxy says that it was asked over TLS */
    bool is_ignored; /* there is an X-Forwarded-For, and who is connected is not trusted */
};

void origin_read(const struct http_trust *trust, const struct head *head,
                 const struct http_ip *peer, struct origin *ret_origin);

#endif
