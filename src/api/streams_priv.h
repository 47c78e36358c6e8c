/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who listens to /v1/performance/stream on this loop: an event a second to each.
 *
 *              more                    event written
 *   OPEN ─────────────► READY ────────────────────────► BUSY ── more ──► READY
 *                         │                               │
 *                         └── drain, or gone ──► ENDED ◄──┘ (at its next `more`)
 *
 * 1. A client has at most one event in its socket; one that is behind misses events and gets the
 *    latest when it is ready again. So a client costs one event's memory, however slow it is.
 * 2. An event is written to so many clients a turn, the rest in the next turns: a thousand clients
 *    do not hold up the loop's requests.
 * 3. When the monitor has nothing to say for ten seconds, a comment keeps the connection awake.
 * Thread: the loop's.
 */
#ifndef TURNOUT_API_STREAMS_PRIV_H
#define TURNOUT_API_STREAMS_PRIV_H

#include "base/buf.h"
#include "io/loop.h"
#include "monitor/monitor.h"

struct api;
struct stream;

enum {
    STREAMS_MAX = 4096,     /* on a loop */
    STREAMS_A_TURN = 64,    /* written in one turn */
    STREAMS_BEAT_MS = 10000,
    STREAMS_EVENT_MAX = 8 << 20,
};

struct streams {
    struct api *api;
    struct stream *first;
    struct stream *walk;        /* the next one to write the event to; NULL: all have it */
    size_t count;
    struct buf event;           /* the latest, as it goes out; empty: none yet */
    uint64_t number;            /* of the event; 0: none yet */
    uint64_t said;              /* number at the last heartbeat */
    struct loop_timer *beat;    /* while there are streams */
    struct loop_message turn;   /* goes on with the walk */
    bool turn_is_under_way;
    bool is_draining;
};

void streams_init(struct streams *streams, struct api *api);
void streams_fini(struct streams *streams); /* all have ended */
void streams_offer(struct document *document, void *streams); /* for monitor_attach */
void streams_end_all(struct streams *streams);
void streams_drain(struct streams *streams); /* ends all, and refuses new ones */

#endif
