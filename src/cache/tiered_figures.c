/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of the cache: sums over its loops. */
#include "cache/tiered_priv.h"

/* Figures are worth less than a loop's time: what cannot be counted at once is left out. */
void tiered_samples_count(struct tiered_loop *loop) {
    struct tiered *tiered = loop->tiered;
    if (pthread_mutex_trylock(&tiered->estimate_mutex) == 0) {
        for (unsigned i = 0; i < loop->samples_len; i++) {
            estimate_count(&tiered->estimate, loop->samples[i]);
        }
        estimate_count_all(&tiered->estimate, loop->tries - loop->tries_sampled);
        pthread_mutex_unlock(&tiered->estimate_mutex);
    }
    loop->samples_len = 0;
    loop->tries_sampled = loop->tries;
}

static void add_counters(const struct tiered_loop *loop, struct tiered_figures *sum) {
    for (int i = 0; i < TIERED_CLASS_COUNT; i++) {
#define X(name) sum->classes[i].name += counter_read(&loop->cells[i].name);
        TIERED_COUNTER_TABLE(X)
#undef X
    }
    sum->l1_sampled += counter_read(&loop->timed);
    sum->l1_sampled_ns += counter_read(&loop->timed_ns);
}

/* The best of all is the state of the whole: CLOSED before HALF_OPEN before OPEN before OFF. */
static enum redis_state_e better(enum redis_state_e a, enum redis_state_e b) {
    static const int ranks[] = {
        [REDIS_OFF] = 0, [REDIS_OPEN] = 1, [REDIS_HALF_OPEN] = 2, [REDIS_CLOSED] = 3};
    return ranks[a] > ranks[b] ? a : b;
}

static uint64_t larger(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

static void add_l2(const struct tiered_loop *loop, struct redis_counters *sum) {
    struct redis_counters one;
    loop->port->vtable->l2_counters(loop->port, &one);
    uint64_t nodes = larger(sum->nodes, one.nodes); /* each client knows them all */
    uint64_t nodes_open = larger(sum->nodes_open, one.nodes_open);
#define X(name) sum->name += one.name;
    REDIS_COUNTER_TABLE(X)
#undef X
    sum->nodes = nodes;
    sum->nodes_open = nodes_open;
    sum->state = better(sum->state, one.state);
}

static void add_loops_locked(struct tiered *tiered, struct tiered_figures *sum,
                             int64_t *ret_now_us) {
    memcpy(sum->classes, tiered->past, sizeof tiered->past);
    for (size_t i = 0; i < TIERED_LOOPS_MAX; i++) {
        const struct tiered_loop *loop = tiered->loops[i];
        if (loop == NULL) {
            continue;
        }
        add_counters(loop, sum);
        if (!loop->closing) {
            *ret_now_us = loop->port->vtable->precise_ns(loop->port) / 1000;
            if (loop->port->has_l2) {
                add_l2(loop, &sum->l2);
            }
        }
    }
}

static void add_channel_locked(struct tiered *tiered, struct tiered_figures *sum, int64_t now_us) {
    int64_t proved_us = atomic_load(&tiered->proved_us);
    sum->heard_ms = proved_us == TIERED_NEVER_US ? -1
                    : now_us > proved_us         ? (now_us - proved_us) / 1000
                                                 : 0;
    bool in_time = now_us - atomic_load(&tiered->heard_us) <= (int64_t)TIERED_TRUST_MS * 1000;
    sum->channel = tiered->listening == 0 ? TIERED_CHANNEL_NONE
                   : tiered->hearing == 0 ? TIERED_CHANNEL_SILENT
                   : in_time              ? TIERED_CHANNEL_HEARD
                                          : TIERED_CHANNEL_LATE;
}

static void add_mark_locked(struct tiered *tiered, struct tiered_figures *sum, int64_t now_us) {
    const struct tiered_sight *sight = &tiered->sight;
    bool doubts = atomic_load(&tiered->certain_us) == INT64_MAX;
    sum->mark = !tiered->options.watches_mark ? TIERED_MARK_OFF
                : doubts                      ? TIERED_MARK_DOUBT
                                              : TIERED_MARK_SETTLED;
    sum->looked_ms = !sight->any                  ? -1
                     : now_us > sight->looked_us ? (now_us - sight->looked_us) / 1000
                                                  : 0;
    sum->mark_drops = sight->drops;
    sum->mark_turns = tiered->telling.turns;
}

static void add_pending_locked(const struct tiered *tiered, struct tiered_figures *sum) {
    sum->flights = tiered->flights;
    sum->waiters = tiered->waiters;
    sum->pending = tiered->journal.count;
    for (size_t i = 0; i < TIERED_CLASS_COUNT; i++) {
        sum->pending += tiered->epochs[i].raise_due;
    }
}

void tiered_read_figures(struct tiered *tiered, struct tiered_figures *ret_figures) {
    int64_t now_us = 0;
    *ret_figures = (struct tiered_figures){.channel = TIERED_CHANNEL_NONE};
    l1_read_counters(tiered->l1, &ret_figures->l1);
    pthread_mutex_lock(&tiered->mutex);
    add_loops_locked(tiered, ret_figures, &now_us);
    add_channel_locked(tiered, ret_figures, now_us);
    add_mark_locked(tiered, ret_figures, now_us);
    add_pending_locked(tiered, ret_figures);
    pthread_mutex_unlock(&tiered->mutex);
    ret_figures->lag_us_last = atomic_load(&tiered->lag_us_last);
    ret_figures->lag_us_max = atomic_load(&tiered->lag_us_max);
    pthread_mutex_lock(&tiered->estimate_mutex);
    estimate_read(&tiered->estimate, ret_figures->estimates);
    pthread_mutex_unlock(&tiered->estimate_mutex);
}

const char *tiered_mark_name(enum tiered_mark_e mark) {
    static const char *const names[] = {
        [TIERED_MARK_OFF] = "off",
        [TIERED_MARK_SETTLED] = "settled",
        [TIERED_MARK_DOUBT] = "doubt",
    };
    return names[mark];
}

const char *tiered_channel_name(enum tiered_channel_e channel) {
    static const char *const names[] = {
        [TIERED_CHANNEL_NONE] = "none",
        [TIERED_CHANNEL_HEARD] = "heard",
        [TIERED_CHANNEL_LATE] = "late",
        [TIERED_CHANNEL_SILENT] = "silent",
    };
    return names[channel];
}
