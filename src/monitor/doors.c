/* SPDX-License-Identifier: Apache-2.0 */
/* A small table under a lock. */
#include "monitor/doors.h"

#include "base/assert.h"

#include <stdlib.h>
#include <string.h>
#include <threads.h>

enum {
    NOTE_EVERY_US = 1000000,
    SPAN_US = DOORS_SPAN_MINUTES * 60 * 1000000,
    FRESH_US = 60 * 1000000, /* a skew that was told longer ago is none */
};

struct doors {
    mtx_t lock;
    struct door_event events[DOORS_EVENTS_MAX]; /* len 0: a free place */
    struct gate_skew skew;
    int64_t told_us;
    bool is_skewed;
};

struct doors *doors_create(void) {
    struct doors *doors = calloc(1, sizeof *doors);
    if (doors != NULL) {
        ASSERT(mtx_init(&doors->lock, mtx_plain) == thrd_success);
    }
    return doors;
}

void doors_destroy(struct doors *doors) {
    if (doors != NULL) {
        mtx_destroy(&doors->lock);
        free(doors);
    }
}

/* The place of `event`, else that of whatever was scanned longest ago. */
static struct door_event *place_of(struct door_event *events, size_t len, struct slice event) {
    struct door_event *oldest = &events[0];
    for (size_t i = 0; i < len; i++) {
        if (slice_eq(door_event_code(&events[i]), event)) {
            return &events[i];
        }
        oldest = events[i].scanned_us < oldest->scanned_us ? &events[i] : oldest;
    }
    return oldest;
}

static void put(struct door_event *place, struct slice event, int64_t now_us) {
    ASSERT(event.len <= CODE_MAX);
    memcpy(place->code, event.at, event.len);
    place->len = (uint8_t)event.len;
    place->scanned_us = now_us;
}

void doors_note(struct doors *doors, struct door_notes *notes, struct slice event,
                int64_t now_us) {
    struct door_event *own = place_of(notes->events, DOOR_NOTES, event);
    if (slice_eq(door_event_code(own), event) && now_us - own->scanned_us < NOTE_EVERY_US) {
        return;
    }
    put(own, event, now_us);
    mtx_lock(&doors->lock);
    put(place_of(doors->events, DOORS_EVENTS_MAX, event), event, now_us);
    mtx_unlock(&doors->lock);
}

size_t doors_events(struct doors *doors, int64_t now_us,
                    struct door_event ret[DOORS_EVENTS_MAX]) {
    size_t len = 0;
    mtx_lock(&doors->lock);
    for (size_t i = 0; i < DOORS_EVENTS_MAX; i++) {
        const struct door_event *event = &doors->events[i];
        if (event->len > 0 && now_us - event->scanned_us < SPAN_US) {
            ret[len++] = *event;
        }
    }
    mtx_unlock(&doors->lock);
    return len;
}

void doors_tell(struct doors *doors, const struct gate_skew *skew, int64_t now_us) {
    mtx_lock(&doors->lock);
    doors->is_skewed = skew != NULL;
    doors->told_us = now_us;
    if (skew != NULL) {
        doors->skew = *skew;
    }
    mtx_unlock(&doors->lock);
}

bool doors_read(struct doors *doors, int64_t now_us, struct gate_skew *ret_skew) {
    mtx_lock(&doors->lock);
    bool is_skewed = doors->is_skewed && now_us - doors->told_us < FRESH_US;
    if (is_skewed) {
        *ret_skew = doors->skew;
    }
    mtx_unlock(&doors->lock);
    return is_skewed;
}
