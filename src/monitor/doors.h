/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the loops, the watch and the monitor share about the doors: which events are scanned, and
 * which gate of theirs is the most crowded.
 *
 *   loops ── event of a scan ──► doors ── events ──► watch, on one loop ── asks the store
 *   monitor ◄── worst skew ───────┘ ◄──── worst skew ──┘
 *
 * Thread: any. A loop comes here once a second for an event, not for each scan; the lock is held
 * for a few instructions.
 */
#ifndef TURNOUT_MONITOR_DOORS_H
#define TURNOUT_MONITOR_DOORS_H

#include "monitor/gate_skew.h"

enum {
    DOORS_EVENTS_MAX = 16, /* that are watched at once: those scanned last */
    DOORS_SPAN_MINUTES = 5, /* that a skew speaks of */
};

struct doors;
struct doors *doors_create(void); /* NULL without memory */
void doors_destroy(struct doors *doors); /* NULL: nothing */

/* An event's code by value. */
struct door_event {
    char code[CODE_MAX];
    uint8_t len;
    int64_t scanned_us;
};
static inline struct slice door_event_code(const struct door_event *event) {
    return slice_from(event->code, event->len);
}

/* What one loop has noted of late; its own, zero at first. */
enum { DOOR_NOTES = 4 };
struct door_notes {
    struct door_event events[DOOR_NOTES];
};

/* A scan of `event` was decided at `now_us` (monotonic). */
void doors_note(struct doors *doors, struct door_notes *notes, struct slice event, int64_t now_us);

/* The events scanned in the last minutes. Returns how many. */
size_t doors_events(struct doors *doors, int64_t now_us, struct door_event ret[DOORS_EVENTS_MAX]);

/* What the watch found at `now_us`; NULL: no gate is crowded. */
void doors_tell(struct doors *doors, const struct gate_skew *skew, int64_t now_us);
/* False: none is, or nobody has looked for a minute. */
bool doors_read(struct doors *doors, int64_t now_us, struct gate_skew *ret_skew);

#endif
