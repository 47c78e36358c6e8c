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
    size_t len;
    uint64_t sum;
    uint64_t counters[WINDOW_COUNTERS];
};

struct window {
    struct window_slot slots[WINDOW_SECONDS]; /* second s is in slot s mod 300 */
    struct window_sample before;              /* the latest sample */
    struct window_sample total;               /* of all slots */
    int64_t first;                            /* second of the first sample */
    int64_t now;                              /* latest second seen; never smaller than before */
    int64_t taken;                            /* second of the latest sample */
    bool began;
};

struct window *window_create(void) {
    return calloc(1, sizeof(struct window));
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
        window->total.latency.cells[cell & BUCKET_MASK] -= cell >> BUCKET_BITS;
    }
    window->total.latency.sum -= slot->sum;
    for (size_t i = 0; i < WINDOW_COUNTERS; i++) {
        window->total.counters[i] -= slot->counters[i];
    }
    free(slot->cells);
    *slot = (struct window_slot){0};
}

static int64_t second_of(int64_t us) {
    return us / 1000000 - (us % 1000000 < 0);
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

/* Counters only grow, so one that shrank says that all of them began anew. */
static bool has_begun_anew(const struct window_sample *sample, const struct window_sample *before) {
    bool shrank = sample->latency.sum < before->latency.sum;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        shrank |= sample->latency.cells[i] < before->latency.cells[i];
    }
    for (size_t i = 0; i < WINDOW_COUNTERS; i++) {
        shrank |= sample->counters[i] < before->counters[i];
    }
    return shrank;
}

/* Room behind what the slot holds for every bucket that has changed. */
static bool reserve(struct window_slot *slot, const struct window_sample *sample,
                    const struct window_sample *before) {
    size_t changed = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        changed += sample->latency.cells[i] != before->latency.cells[i];
    }
    if (changed == 0) {
        return true;
    }
    uint64_t *cells = realloc(slot->cells, (slot->len + changed) * sizeof *cells);
    if (cells == NULL) {
        return false;
    }
    slot->cells = cells;
    return true;
}

static void add_difference(struct window *window, struct window_slot *slot,
                           const struct window_sample *sample) {
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t count = sample->latency.cells[i] - window->before.latency.cells[i];
        if (count > 0) {
            ASSERT(count >> (64 - BUCKET_BITS) == 0);
            slot->cells[slot->len++] = count << BUCKET_BITS | i;
            window->total.latency.cells[i] += count;
        }
    }
    uint64_t sum = sample->latency.sum - window->before.latency.sum;
    slot->sum += sum;
    window->total.latency.sum += sum;
    for (size_t i = 0; i < WINDOW_COUNTERS; i++) {
        uint64_t count = sample->counters[i] - window->before.counters[i];
        slot->counters[i] += count;
        window->total.counters[i] += count;
    }
}

static void begin(struct window *window, int64_t now_us, const struct window_sample *sample) {
    window->began = true;
    window->first = window->now = window->taken = second_of(now_us);
    window->before = *sample;
}

enum err_e window_take(struct window *window, int64_t now_us, const struct window_sample *sample) {
    if (!window->began) {
        begin(window, now_us, sample);
        return ERR_OK;
    }
    advance(window, now_us);
    if (has_begun_anew(sample, &window->before)) {
        window->before = (struct window_sample){.latency = {.sum = 0}};
    }
    bool is_known_age = window->now - window->taken < WINDOW_SECONDS;
    struct window_slot *slot = slot_of(window, window->now);
    if (is_known_age && !reserve(slot, sample, &window->before)) {
        return ERR_NO_MEMORY;
    }
    if (is_known_age) {
        add_difference(window, slot, sample);
    } else {
        window->first = window->now;
    }
    window->before = *sample;
    window->taken = window->now;
    return ERR_OK;
}

const struct window_sample *window_total(struct window *window, int64_t now_us) {
    if (window->began) {
        advance(window, now_us);
    }
    return &window->total;
}

int window_covered_s(const struct window *window) {
    int64_t age = window->now - window->first;
    return (int)(age < WINDOW_SECONDS ? age : WINDOW_SECONDS);
}
