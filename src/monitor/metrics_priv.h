/* SPDX-License-Identifier: Apache-2.0 */
/* What the writers of metric families share: metrics.c, and metrics_cache.c for those of the cache.
 * Thread: whoever calls metrics_write. */
#ifndef TURNOUT_MONITOR_METRICS_PRIV_H
#define TURNOUT_MONITOR_METRICS_PRIV_H

#include "monitor/metrics.h"

struct metrics_writer {
    const struct metrics_input *in;
    struct buf *to;
    const char *name; /* of the family being written */
    struct histogram_snapshot sum;
};

/* One sample; nothing when `value` is not finite. Labels are "" or `route="…"`: names of ours,
 * which need no escape. */
void metrics_add(struct metrics_writer *w, const char *suffix, const char *labels, double value);

enum { METRICS_LABELS_SIZE = 160 };
void metrics_put_label(char ret_labels[METRICS_LABELS_SIZE], const char *name, const char *value);
/* `labels` and, behind them, one more. */
void metrics_add_label(char labels[METRICS_LABELS_SIZE], const char *name, const char *value);

/* X(id): families of the cache, in the order of metric_table.h. */
#define METRICS_CACHE_TABLE(X)                                                                     \
    X(cache_hits)                                                                                  \
    X(cache_misses)                                                                                \
    X(cache_causes)                                                                                \
    X(cache_class_hits)                                                                            \
    X(cache_class_misses)                                                                          \
    X(cache_loads)                                                                                 \
    X(cache_load_failures)                                                                         \
    X(cache_load_seconds)                                                                          \
    X(cache_stale)                                                                                 \
    X(cache_invalidations)                                                                         \
    X(cache_get_seconds)                                                                           \
    X(cache_evictions)                                                                             \
    X(cache_left)                                                                                  \
    X(cache_entries)                                                                               \
    X(cache_capacity)                                                                              \
    X(cache_bytes)                                                                                 \
    X(cache_pending)                                                                               \
    X(cache_lag)                                                                                   \
    X(cache_trust)                                                                                 \
    X(cache_mark_drops)                                                                            \
    X(cache_mark_turns)                                                                            \
    X(cache_l2_trouble)                                                                            \
    X(cache_l2_nodes)                                                                              \
    X(cache_l2_open)

#define X(id) void metrics_write_##id(struct metrics_writer *w);
METRICS_CACHE_TABLE(X)
#undef X

#endif
