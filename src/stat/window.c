/* SPDX-License-Identifier: Apache-2.0 */
/* A ring of sparse differences with a running total. */
#include "stat/window.h"

#include "base/assert.h"

#include <stdbool.h>
#include <stdlib.h>

/* A bucket that was hit and how often, in 8 bytes. */
enum { BUCKET_BITS = 11, BUCKET_MASK = (1 << BUCKET_BITS) - 1 };
_Static_assert(HISTOGRAM_BUCKETS <= 1 << BUCKET_BITS, "a bucket fits in its bits");

struct window_slot {
    uint64_t *cells; /* count << BUCKET_BITS | bucket; a bucket may be there twice */
    size_t len, size;
    uint64_t sum;
    uint64_t counters[WINDOW_COUNTERS];
};

struct window {
    struct window_slot slots[WINDOW_SECONDS]; /* second s is in slot s mod 300 */
    struct window_total total;                /* of all slots */
    int64_t first;                            /* second from which on all is known */
    int64_t now;                              /* latest second seen; never smaller than before */
    int64_t added;                            /* second in which something was brought last */
};

static int64_t second_of(int64_t us) {
    return us / 1000000 - (us % 1000000 < 0);
}

struct window *window_create(int64_t now_us) {
    struct window *window = calloc(1, sizeof(struct window));
    if (window != NULL) {
        window->first = window->now = window->added = second_of(now_us);
    }
    return window;
}

void window_destroy(struct window *window) {
    if (window == NULL) {
        return;
    }
    for (size_t i = 0; i < WINDOW_SECONDS; i++) {
        free(window->slots[i].cells);
    }
    free(window);
}

static struct window_slot *slot_of(struct window *window, int64_t second) {
    int64_t place = second % WINDOW_SECONDS;
    return &window->slots[place < 0 ? place + WINDOW_SECONDS : place];
}

static void expire(struct window *window, struct window_slot *slot) {
    for (size_t i = 0; i < slot->len; i++) {
        uint64_t cell = slot->cells[i];
        size_t bucket = cell & BUCKET_MASK;
        window->total.latency.cells[bucket] -= cell >> BUCKET_BITS;
        window->total.latency.octaves[bucket >> HISTOGRAM_SUB_BITS] -= cell >> BUCKET_BITS;
    }
    window->total.latency.sum -= slot->sum;
    for (size_t i = 0; i < WINDOW_COUNTERS; i++) {
        window->total.counters[i] -= slot->counters[i];
    }
    free(slot->cells);
    *slot = (struct window_slot){0};
}

/* Moves on to the second of `now_us`; every slot on the way held what is 300 seconds older. */
static void advance(struct window *window, int64_t now_us) {
    int64_t second = second_of(now_us);
    if (second <= window->now) {
        return;
    }
    int64_t steps = second - window->now < WINDOW_SECONDS ? second - window->now : WINDOW_SECONDS;
    for (int64_t i = 0; i < steps; i++) {
        expire(window, slot_of(window, second - i));
    }
    window->now = second;
}

static bool reserve(struct window_slot *slot, size_t more) {
    if (slot->len + more <= slot->size) {
        return true;
    }
    uint64_t *cells = realloc(slot->cells, (slot->len + more) * sizeof *cells);
    if (cells == NULL) {
        return false;
    }
    slot->cells = cells;
    slot->size = slot->len + more;
    return true;
}

static void add(struct window *window, struct window_slot *slot,
                const struct window_growth *growth) {
    for (size_t i = 0; i < growth->latency.len; i++) {
        const struct histogram_grown *grown = &growth->latency.grown[i];
        ASSERT(grown->count >> (64 - BUCKET_BITS) == 0);
        slot->cells[slot->len++] = grown->count << BUCKET_BITS | grown->bucket;
    }
    histogram_grow(&window->total.latency, &growth->latency);
    slot->sum += growth->latency.sum;
    for (size_t i = 0; i < WINDOW_COUNTERS; i++) {
        slot->counters[i] += growth->counters[i];
        window->total.counters[i] += growth->counters[i];
    }
}

enum err_e window_add(struct window *window, int64_t now_us, const struct window_growth *growth) {
    advance(window, now_us);
    if (window->now - window->added < WINDOW_SECONDS) {
        struct window_slot *slot = slot_of(window, window->now);
        if (!reserve(slot, growth->latency.len)) {
            return ERR_NO_MEMORY;
        }
        add(window, slot, growth);
    } else {
        window->first = window->now;
    }
    window->added = window->now;
    return ERR_OK;
}

const struct window_total *window_total(struct window *window, int64_t now_us) {
    advance(window, now_us);
    return &window->total;
}

int window_covered_s(const struct window *window) {
    int64_t age = window->now - window->first;
    return (int)(age < WINDOW_SECONDS ? age : WINDOW_SECONDS);
}
