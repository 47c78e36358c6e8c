/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Admissions of the last minute, per gate, by the time they were recorded.
 *
 * Kept in memory beside the file: counting records would grow with the rush, and a table of seconds
 * would cost a write per gate and second. Rebuilt at start from the newest records. The lock is
 * held for a few instructions; writer and readers share it.
 */
#include "store/sqlite_priv.h"

enum { SECONDS = 64, FIRST_SIZE = 64 };

struct gate_seconds {
    int64_t gate; /* 0: free */
    int64_t second[SECONDS];
    int64_t count[SECONDS];
};

struct sqlite_recent {
    mtx_t lock;
    struct gate_seconds *gates; /* open addressing over a power of two */
    size_t size;
    size_t used;
};

struct sqlite_recent *sqlite_recent_create(void) {
    struct sqlite_recent *recent = calloc(1, sizeof *recent);
    if (recent == NULL) {
        return NULL;
    }
    recent->gates = calloc(FIRST_SIZE, sizeof *recent->gates);
    if (recent->gates == NULL) {
        free(recent);
        return NULL;
    }
    recent->size = FIRST_SIZE;
    ASSERT(mtx_init(&recent->lock, mtx_plain) == thrd_success);
    return recent;
}

void sqlite_recent_destroy(struct sqlite_recent *recent) {
    if (recent != NULL) {
        mtx_destroy(&recent->lock);
        free(recent->gates);
        free(recent);
    }
}

static struct gate_seconds *place_of(struct gate_seconds *gates, size_t size, int64_t gate) {
    size_t at = ((uint64_t)gate * 0x9e3779b97f4a7c15ULL) >> 32;
    while (gates[at & (size - 1)].gate != 0 && gates[at & (size - 1)].gate != gate) {
        at++;
    }
    return &gates[at & (size - 1)];
}

static void grow_locked(struct sqlite_recent *recent) {
    size_t size = 2 * recent->size;
    struct gate_seconds *gates = calloc(size, sizeof *gates);
    if (gates == NULL) {
        return; /* fuller, but right until it is full: then new gates show no last minute */
    }
    for (size_t i = 0; i < recent->size; i++) {
        if (recent->gates[i].gate != 0) {
            *place_of(gates, size, recent->gates[i].gate) = recent->gates[i];
        }
    }
    free(recent->gates);
    recent->gates = gates;
    recent->size = size;
}

void sqlite_recent_add(struct sqlite_recent *recent, int64_t gate, int64_t second, int64_t count) {
    mtx_lock(&recent->lock);
    if (2 * recent->used >= recent->size) {
        grow_locked(recent);
    }
    bool has_room = recent->used + 1 < recent->size;
    struct gate_seconds *place = place_of(recent->gates, recent->size, gate);
    if (place->gate == 0 && has_room) {
        place->gate = gate;
        recent->used++;
    }
    if (place->gate == gate) {
        size_t slot = (uint64_t)second % SECONDS;
        if (place->second[slot] < second) {
            place->second[slot] = second;
            place->count[slot] = 0;
        }
        /* A slot with a newer second has let go of the one that an annulment speaks of. */
        place->count[slot] += place->second[slot] == second ? count : 0;
    }
    mtx_unlock(&recent->lock);
}

int64_t sqlite_recent_sum(struct sqlite_recent *recent, int64_t gate, int64_t now_second) {
    mtx_lock(&recent->lock);
    const struct gate_seconds *place = place_of(recent->gates, recent->size, gate);
    int64_t sum = 0;
    for (size_t i = 0; place->gate == gate && i < SECONDS; i++) {
        if (place->second[i] > now_second - 60 && place->second[i] <= now_second) {
            sum += place->count[i];
        }
    }
    mtx_unlock(&recent->lock);
    return sum;
}
