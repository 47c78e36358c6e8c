/* SPDX-License-Identifier: Apache-2.0 */
/* A ring of seconds; small enough to be walked whenever somebody asks. */
#include "monitor/seconds.h"

#include "base/assert.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct slot {
    int64_t second; /* which second it holds; others are long gone */
    bool used;
    uint64_t counters[SECOND_COUNTER_COUNT];
    double gauges[SECOND_GAUGE_COUNT];
};

struct seconds {
    struct slot slots[WINDOW_SECONDS];
    struct second_sample before;
    int64_t first, taken, now; /* seconds */
    bool began;
};

struct seconds *seconds_create(void) {
    return calloc(1, sizeof(struct seconds));
}

void seconds_destroy(struct seconds *seconds) {
    free(seconds);
}

static int64_t second_of(int64_t us) {
    return us / 1000000 - (us % 1000000 < 0);
}

static struct slot *slot_of(struct seconds *seconds, int64_t second) {
    int64_t place = second % WINDOW_SECONDS;
    return &seconds->slots[place < 0 ? place + WINDOW_SECONDS : place];
}

static void advance(struct seconds *seconds, int64_t now_us) {
    int64_t second = second_of(now_us);
    seconds->now = second > seconds->now ? second : seconds->now;
}

static struct slot *open_slot(struct seconds *seconds) {
    struct slot *slot = slot_of(seconds, seconds->now);
    if (!slot->used || slot->second != seconds->now) {
        *slot = (struct slot){.second = seconds->now, .used = true};
        for (size_t i = 0; i < SECOND_GAUGE_COUNT; i++) {
            slot->gauges[i] = NAN;
        }
    }
    return slot;
}

static void raise_gauges(struct slot *slot, const struct second_sample *sample) {
    for (size_t i = 0; i < SECOND_GAUGE_COUNT; i++) {
        slot->gauges[i] = fmax(slot->gauges[i], sample->gauges[i]); /* fmax passes NAN over */
    }
}

static void add_growth(struct slot *slot, const struct second_sample *sample,
                       const struct second_sample *before) {
    for (size_t i = 0; i < SECOND_COUNTER_COUNT; i++) {
        bool began_anew = sample->counters[i] < before->counters[i];
        slot->counters[i] += sample->counters[i] - (began_anew ? 0 : before->counters[i]);
    }
}

void seconds_take(struct seconds *seconds, int64_t now_us, const struct second_sample *sample) {
    if (!seconds->began) {
        seconds->began = true;
        seconds->first = seconds->now = seconds->taken = second_of(now_us);
        raise_gauges(open_slot(seconds), sample);
        seconds->before = *sample;
        return;
    }
    advance(seconds, now_us);
    struct slot *slot = open_slot(seconds);
    raise_gauges(slot, sample);
    if (seconds->now - seconds->taken < WINDOW_SECONDS) {
        add_growth(slot, sample, &seconds->before);
    } else {
        seconds->first = seconds->now;
    }
    seconds->before = *sample;
    seconds->taken = seconds->now;
}

/* The slot of `age` seconds ago, or NULL when nothing was taken then. */
static const struct slot *slot_back(struct seconds *seconds, int age) {
    const struct slot *slot = slot_of(seconds, seconds->now - age);
    return slot->used && slot->second == seconds->now - age ? slot : NULL;
}

void seconds_sum(struct seconds *seconds, int64_t now_us, uint64_t ret[SECOND_COUNTER_COUNT]) {
    advance(seconds, now_us);
    for (size_t i = 0; i < SECOND_COUNTER_COUNT; i++) {
        ret[i] = 0;
    }
    for (int age = 0; age < WINDOW_SECONDS; age++) {
        const struct slot *slot = slot_back(seconds, age);
        for (size_t i = 0; slot != NULL && i < SECOND_COUNTER_COUNT; i++) {
            ret[i] += slot->counters[i];
        }
    }
}

struct gauge_look {
    double sum, peak;
    int known, above;
};

static struct gauge_look look(struct seconds *seconds, enum second_gauge_e gauge, int span,
                              double level) {
    ASSERT(span >= 1 && span <= WINDOW_SECONDS);
    struct gauge_look seen = {.peak = NAN};
    for (int age = 0; age < span; age++) {
        const struct slot *slot = slot_back(seconds, age);
        if (slot != NULL && !isnan(slot->gauges[gauge])) {
            seen.sum += slot->gauges[gauge];
            seen.peak = fmax(seen.peak, slot->gauges[gauge]);
            seen.known++;
            seen.above += slot->gauges[gauge] > level;
        }
    }
    return seen;
}

double seconds_mean(struct seconds *seconds, int64_t now_us, enum second_gauge_e gauge, int span) {
    advance(seconds, now_us);
    struct gauge_look seen = look(seconds, gauge, span, 0);
    return seen.known == 0 ? NAN : seen.sum / seen.known;
}

double seconds_peak(struct seconds *seconds, int64_t now_us, enum second_gauge_e gauge, int span) {
    advance(seconds, now_us);
    return look(seconds, gauge, span, 0).peak;
}

int seconds_above(struct seconds *seconds, int64_t now_us, enum second_gauge_e gauge,
                  double level) {
    advance(seconds, now_us);
    return look(seconds, gauge, WINDOW_SECONDS, level).above;
}

bool seconds_back(struct seconds *seconds, int64_t now_us, int age,
                  struct second_sample *ret_sample, int64_t *ret_begun_us) {
    ASSERT(age >= 0 && age < WINDOW_SECONDS);
    advance(seconds, now_us);
    const struct slot *slot = slot_back(seconds, age);
    if (slot == NULL || slot->second == seconds->first) { /* the first one has no growth */
        return false;
    }
    memcpy(ret_sample->counters, slot->counters, sizeof slot->counters);
    memcpy(ret_sample->gauges, slot->gauges, sizeof slot->gauges);
    *ret_begun_us = slot->second * 1000000;
    return true;
}

int seconds_covered(const struct seconds *seconds) {
    int64_t age = seconds->now - seconds->first;
    return (int)(age < WINDOW_SECONDS ? age : WINDOW_SECONDS);
}
