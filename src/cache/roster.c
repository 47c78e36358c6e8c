/* SPDX-License-Identifier: Apache-2.0 */
/* A table of hot keys: ROSTER_WAYS neighbours for each hash, the least counted gives way. */
#include "cache/roster.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { SETS = ROSTER_KEYS / ROSTER_WAYS };

static const char head[] = "turnout-roster 1";

struct seat {
    uint32_t count; /* 0: free */
    uint32_t len;
    char *key; /* its own memory */
};

struct roster {
    pthread_mutex_t lock;
    atomic_bool has_forgotten;
    struct seat seats[SETS][ROSTER_WAYS];
};

struct roster *roster_create(void) {
    struct roster *roster = calloc(1, sizeof *roster);
    if (roster != NULL) {
        pthread_mutex_init(&roster->lock, NULL);
    }
    return roster;
}

void roster_destroy(struct roster *roster) {
    if (roster == NULL) {
        return;
    }
    for (size_t i = 0; i < ROSTER_KEYS; i++) {
        free(roster->seats[i / ROSTER_WAYS][i % ROSTER_WAYS].key);
    }
    pthread_mutex_destroy(&roster->lock);
    free(roster);
}

static struct seat *set_of(struct roster *roster, struct slice key) {
    return roster->seats[slice_hash(key) % SETS];
}

static bool sits(const struct seat *seat, struct slice key) {
    return seat->count > 0 && slice_eq(slice_from(seat->key, seat->len), key);
}

static struct seat *find_locked(struct roster *roster, struct slice key) {
    struct seat *set = set_of(roster, key);
    for (size_t i = 0; i < ROSTER_WAYS; i++) {
        if (sits(&set[i], key)) {
            return &set[i];
        }
    }
    return NULL;
}

/* The newcomer takes over the count of whom it drives out, plus one, so that a hot key that arrives
 * late is not driven out at once (Space-Saving: Metwally, Agrawal, El Abbadi, ICDT 2005). */
static void seat_locked(struct roster *roster, struct slice key) {
    struct seat *set = set_of(roster, key), *least = &set[0];
    for (size_t i = 1; i < ROSTER_WAYS; i++) {
        least = set[i].count < least->count ? &set[i] : least;
    }
    char *copy = malloc(key.len);
    if (copy == NULL) {
        return;
    }
    memcpy(copy, key.at, key.len);
    free(least->key);
    *least = (struct seat){least->count + 1, (uint32_t)key.len, copy};
}

void roster_note(struct roster *roster, uint32_t *dice, struct slice key) {
    *dice = *dice * 1664525 + 1013904223; /* Numerical Recipes; its upper bits are good enough */
    if ((*dice >> 16) % ROSTER_SAMPLE == 0) {
        roster_count(roster, key);
    }
}

void roster_count(struct roster *roster, struct slice key) {
    bool is_line =
        key.len > 0 && key.len <= ROSTER_KEY_MAX && memchr(key.at, '\n', key.len) == NULL;
    if (!is_line || pthread_mutex_trylock(&roster->lock) != 0) {
        return;
    }
    struct seat *seat = find_locked(roster, key);
    if (seat == NULL) {
        seat_locked(roster, key);
    } else {
        seat->count++;
    }
    pthread_mutex_unlock(&roster->lock);
}

void roster_forget(struct roster *roster, struct slice key) {
    pthread_mutex_lock(&roster->lock);
    struct seat *seat = find_locked(roster, key);
    if (seat != NULL) {
        free(seat->key);
        *seat = (struct seat){0};
    }
    pthread_mutex_unlock(&roster->lock);
    atomic_store(&roster->has_forgotten, true);
}

bool roster_take_forgotten(struct roster *roster) {
    return atomic_exchange(&roster->has_forgotten, false);
}

/* ── the file ── */

static int compare_counts(const void *a, const void *b) {
    uint32_t left = (*(struct seat *const *)a)->count, right = (*(struct seat *const *)b)->count;
    return left < right ? 1 : left > right ? -1 : 0;
}

/* `fade` is 1 to halve the counts, 0 to keep them. */
static void list(struct roster *roster, size_t most, struct buf *to, uint32_t fade) {
    struct seat **order = malloc((size_t)ROSTER_KEYS * sizeof *order);
    if (order == NULL) {
        to->failed = true;
        return;
    }
    size_t len = 0;
    pthread_mutex_lock(&roster->lock);
    for (size_t i = 0; i < ROSTER_KEYS; i++) {
        struct seat *seat = &roster->seats[i / ROSTER_WAYS][i % ROSTER_WAYS];
        if (seat->count > 0) {
            order[len++] = seat;
        }
    }
    qsort(order, len, sizeof(struct seat *), compare_counts);
    for (size_t i = 0; i < len; i++) {
        if (i < most) {
            buf_add(to, slice_from(order[i]->key, order[i]->len));
            buf_add_char(to, '\n');
        }
        order[i]->count = (order[i]->count + fade) >> fade; /* it stays */
    }
    pthread_mutex_unlock(&roster->lock);
    free(order);
}

void roster_list(struct roster *roster, size_t most, struct buf *to) {
    list(roster, most, to, 0);
}

void roster_write(struct roster *roster, struct buf *to) {
    buf_add_text(to, head);
    buf_add_char(to, '\n');
    list(roster, ROSTER_KEYS, to, 1);
}

bool roster_read(struct slice text, struct slice *rest, struct slice *ret_key) {
    struct slice line;
    if (rest->at == text.at && (!slice_next(rest, '\n', &line) || !slice_eq_text(line, head))) {
        *rest = SLICE_NONE;
        return false;
    }
    while (slice_next(rest, '\n', &line)) {
        if (line.len > 0 && line.len <= ROSTER_KEY_MAX) {
            *ret_key = line;
            return true;
        }
    }
    return false;
}
