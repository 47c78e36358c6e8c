/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One question to HAProxy's Runtime API and its answer, over the stats socket.
 *
 * A connection a question: HAProxy then ends the answer by closing, which is the only end that no
 * content can be mistaken for. Costs about 0.2 ms; a controller asks a few times a second.
 *
 * Thread: any, one at a time per buffer. Nothing is kept between two questions.
 */
#ifndef TURNOUT_ACT_HAPROXY_SOCKET_H
#define TURNOUT_ACT_HAPROXY_SOCKET_H

#include "base/buf.h"

enum {
    HAPROXY_COMMAND_MAX = 12 * 1024, /* HAProxy answers nothing at all to one above 16 KiB */
    HAPROXY_REPLY_MAX = 8 << 20,     /* statistics of some ten thousand servers */
    HAPROXY_TIMEOUT_MS_DEFAULT = 1000,
};

struct haproxy_socket {
    const char *path;   /* of the stats socket, level admin */
    int64_t timeout_ms; /* of one question as a whole, at least 1 */
};

/*
 * `command`: one command, or one with its payload; no new line but in a payload. What HAProxy said
 * is left in `ret_reply` (cleared first) without the severity and the blank line at its end.
 *
 * ERR_OK: it was done, or what was asked for was said. ERR_CONFLICT: HAProxy refused, and `reply`
 * says why. ERR_UNAVAILABLE: no such socket, or nobody listens; ERR_DEADLINE: no answer in time,
 * it may or may not have been done; ERR_TOO_LARGE; ERR_NO_MEMORY.
 */
MAY_BLOCK enum err_e haproxy_ask(const struct haproxy_socket *socket, struct slice command,
                                 struct buf *ret_reply, struct problem *ret_problem) MUST_CHECK;

/* Takes an answer apart; pure, for haproxy_ask and tests. `raw` begins with the blank line that
 * acknowledges "set severity-output number". */
enum err_e haproxy_reply_read(struct slice raw, struct slice *ret_text) MUST_CHECK;

#endif
