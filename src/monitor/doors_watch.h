/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks after the gates of the events that are scanned: on one loop, every few seconds, one
 * question to the store at a time. The counts are the store's, so those of every node, and come
 * from its roll-ups.
 *
 *   timer ──► events ──► gates of the first ──► its minutes ──► the next event … ──► doors_tell
 *
 * Thread: the loop's. Close it when it is idle, before the store.
 */
#ifndef TURNOUT_MONITOR_DOORS_WATCH_H
#define TURNOUT_MONITOR_DOORS_WATCH_H

#include "io/loop.h"
#include "monitor/doors.h"
#include "store/store.h"

struct doors_watch;

struct doors_watch_options {
    struct loop *loop;
    struct store *store; /* the loop's, without a cache: it reads what is new */
    struct doors *doors;
    struct store_meter meter;
};
struct doors_watch *doors_watch_open(const struct doors_watch_options *options); /* NULL: memory */
/* What the timer does: begins a round, unless one is under way. */
void doors_watch_look(struct doors_watch *watch);
void doors_watch_stop(struct doors_watch *watch); /* asks nothing more */
bool doors_watch_is_idle(const struct doors_watch *watch);
void doors_watch_close(struct doors_watch *watch); /* idle; NULL: nothing */

#endif
