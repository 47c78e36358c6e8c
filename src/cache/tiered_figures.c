/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of the cache: sums over its loops. */
#include "cache/tiered_priv.h"

static void add_loop_locked(const struct tiered_loop *loop, struct tiered_figures *sum) {
    for (int i = 0; i < TIERED_CLASS_COUNT; i++) {
#define X(name) sum->classes[i].name += counter_read(&loop->cells[i].name);
        TIERED_COUNTER_TABLE(X)
#undef X
    }
}

void tiered_read_figures(struct tiered *tiered, struct tiered_figures *ret_figures) {
    *ret_figures = (struct tiered_figures){.channel = TIERED_CHANNEL_NONE, .heard_ms = -1};
    l1_read_counters(tiered->l1, &ret_figures->l1);
    pthread_mutex_lock(&tiered->mutex);
    memcpy(ret_figures->classes, tiered->past, sizeof tiered->past);
    for (size_t i = 0; i < TIERED_LOOPS_MAX; i++) {
        if (tiered->loops[i] != NULL) {
            add_loop_locked(tiered->loops[i], ret_figures);
        }
    }
    ret_figures->pending = tiered->journal.count;
    for (size_t i = 0; i < TIERED_CLASS_COUNT; i++) {
        ret_figures->pending += tiered->epochs[i].raise_due;
    }
    ret_figures->flights = tiered->flights;
    ret_figures->waiters = tiered->waiters;
    pthread_mutex_unlock(&tiered->mutex);
    for (size_t i = 0; i < TIERED_ESTIMATES; i++) {
        ret_figures->estimates[i].hit_rate = -1;
    }
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
