/* SPDX-License-Identifier: Apache-2.0 */
/* The families of the cache: by level, and by class, which is the prefix of a key. */
#include "monitor/metrics_priv.h"

#include <math.h>

static const struct tiered_figures *figures_of(const struct metrics_writer *w) {
    return &w->in->cache.figures;
}

static bool has_l2(const struct metrics_writer *w) {
    return w->in->cache.l2_state != L2_OFF;
}

/* ── by level ── */

static void write_levels(struct metrics_writer *w, double l1, double l2) {
    metrics_add(w, "", "level=\"l1\"", l1);
    if (has_l2(w)) {
        metrics_add(w, "", "level=\"l2\"", l2);
    }
}

void metrics_write_cache_hits(struct metrics_writer *w) {
    write_levels(w, (double)w->in->cache.l1.hits, (double)w->in->cache.l2.hits);
}

void metrics_write_cache_misses(struct metrics_writer *w) {
    write_levels(w, (double)w->in->cache.l1.misses, (double)w->in->cache.l2.misses);
}

void metrics_write_cache_get_seconds(struct metrics_writer *w) {
    write_levels(w, (double)w->in->cache.l1.gets_us / 1e6, (double)w->in->cache.l2.gets_us / 1e6);
}

void metrics_write_cache_evictions(struct metrics_writer *w) {
    write_levels(w, (double)w->in->cache.l1.evictions, (double)w->in->cache.l2.evictions);
}

void metrics_write_cache_entries(struct metrics_writer *w) {
    write_levels(w, (double)w->in->cache.l1.entries, (double)w->in->cache.l2.entries);
}

void metrics_write_cache_capacity(struct metrics_writer *w) {
    write_levels(w, (double)w->in->cache.l1.capacity, (double)w->in->cache.l2.capacity);
}

void metrics_write_cache_causes(struct metrics_writer *w) {
    const struct cache_figures *cache = &w->in->cache;
    metrics_add(w, "", "cause=\"cold\"", (double)cache->cold);
    metrics_add(w, "", "cause=\"expired\"", (double)cache->expired);
    metrics_add(w, "", "cause=\"evicted\"", (double)cache->evicted);
    metrics_add(w, "", "cause=\"invalidated\"", (double)cache->invalidated);
    metrics_add(w, "", "cause=\"l2_down\"", (double)cache->l2_down);
}

void metrics_write_cache_left(struct metrics_writer *w) {
    const struct l1_counters *l1 = &figures_of(w)->l1;
    if (l1->capacity_entries == 0) { /* cache.policy is off */
        return;
    }
#define X(name, word) metrics_add(w, "", "cause=\"" #word "\"", (double)l1->left[L1_LEAVE_##name]);
    L1_LEAVE_TABLE(X)
#undef X
}

void metrics_write_cache_bytes(struct metrics_writer *w) {
    const struct l1_counters *l1 = &figures_of(w)->l1;
    metrics_add(w, "", "", l1->capacity_entries == 0 ? NAN : (double)l1->bytes);
}

/* ── by class ── */

/* Classes that nobody has asked for make no series. */
static bool was_used(const struct tiered_counters *class) {
    return class->l1_hits + class->l1_misses + class->loads + class->invalidations > 0;
}

typedef double (*class_figure_fn)(const struct tiered_counters *class);

static void write_by_class(struct metrics_writer *w, class_figure_fn figure) {
    for (int i = 0; i < TIERED_CLASS_COUNT; i++) {
        const struct tiered_counters *class = &figures_of(w)->classes[i];
        char labels[METRICS_LABELS_SIZE];
        if (was_used(class)) {
            metrics_put_label(labels, "class", tiered_class_name((enum tiered_class_e)i));
            metrics_add(w, "", labels, figure(class));
        }
    }
}

#define BY_CLASS(id, field, scale)                                                                 \
    static double field##_of(const struct tiered_counters *class) {                                \
        return (double)class->field * (scale);                                                     \
    }                                                                                              \
    void metrics_write_##id(struct metrics_writer *w) {                                            \
        write_by_class(w, field##_of);                                                             \
    }
BY_CLASS(cache_loads, loads, 1)
BY_CLASS(cache_load_failures, loads_failed, 1)
BY_CLASS(cache_load_seconds, loads_us, 1e-6)
BY_CLASS(cache_stale, stale, 1)
BY_CLASS(cache_invalidations, invalidations, 1)
#undef BY_CLASS

void metrics_write_cache_class_hits(struct metrics_writer *w) {
    for (int i = 0; i < TIERED_CLASS_COUNT; i++) {
        const struct tiered_counters *class = &figures_of(w)->classes[i];
        char labels[METRICS_LABELS_SIZE];
        if (!was_used(class)) {
            continue;
        }
        const char *name = tiered_class_name((enum tiered_class_e)i);
        metrics_put_label(labels, "class", name);
        metrics_add_label(labels, "level", "l1");
        metrics_add(w, "", labels, (double)class->l1_hits);
        if (has_l2(w)) {
            metrics_put_label(labels, "class", name);
            metrics_add_label(labels, "level", "l2");
            metrics_add(w, "", labels, (double)class->l2_hits);
        }
    }
}

/* Misses of L2 that have no other cause: it never had the key, or not any more. */
static uint64_t l2_cold(const struct tiered_counters *class) {
    uint64_t known = class->l2_outdated + class->l2_damaged;
    return class->l2_misses > known ? class->l2_misses - known : 0;
}

static void write_class_misses(struct metrics_writer *w, const char *name,
                               const struct tiered_counters *class) {
    const struct {
        const char *level, *cause;
        uint64_t count;
    } rows[] = {
#define X(cause, word) {"l1", #word, class->l1_##word},
        L1_MISS_TABLE(X)
#undef X
        {"l1", "marked", class->l1_marked},
        {"l1", "untrusted", class->l1_untrusted},
        {"l2", "cold", l2_cold(class)},
        {"l2", "outdated", class->l2_outdated},
        {"l2", "damaged", class->l2_damaged},
        {"l2", "down", class->l2_down},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char labels[METRICS_LABELS_SIZE];
        if (strcmp(rows[i].level, "l1") == 0 || has_l2(w)) {
            metrics_put_label(labels, "class", name);
            metrics_add_label(labels, "level", rows[i].level);
            metrics_add_label(labels, "cause", rows[i].cause);
            metrics_add(w, "", labels, (double)rows[i].count);
        }
    }
}

void metrics_write_cache_class_misses(struct metrics_writer *w) {
    for (int i = 0; i < TIERED_CLASS_COUNT; i++) {
        const struct tiered_counters *class = &figures_of(w)->classes[i];
        if (was_used(class)) {
            write_class_misses(w, tiered_class_name((enum tiered_class_e)i), class);
        }
    }
}

/* ── the nodes of Redis, and the other nodes ── */

void metrics_write_cache_pending(struct metrics_writer *w) {
    if (has_l2(w)) {
        metrics_add(w, "", "", (double)figures_of(w)->pending);
    }
}

void metrics_write_cache_lag(struct metrics_writer *w) {
    if (figures_of(w)->heard_ms >= 0) {
        metrics_add(w, "", "", (double)figures_of(w)->lag_us_last / 1e6);
    }
}

void metrics_write_cache_trust(struct metrics_writer *w) {
    const struct tiered_figures *figures = figures_of(w);
    if (figures->channel != TIERED_CHANNEL_NONE) {
        metrics_add(w, "", "by=\"channel\"", figures->channel == TIERED_CHANNEL_HEARD);
    }
    if (figures->mark != TIERED_MARK_OFF) {
        metrics_add(w, "", "by=\"mark\"", figures->mark == TIERED_MARK_SETTLED);
    }
}

static void write_of_mark(struct metrics_writer *w, uint64_t count) {
    if (figures_of(w)->mark != TIERED_MARK_OFF) {
        metrics_add(w, "", "", (double)count);
    }
}

void metrics_write_cache_mark_drops(struct metrics_writer *w) {
    write_of_mark(w, figures_of(w)->mark_drops);
}

void metrics_write_cache_mark_turns(struct metrics_writer *w) {
    write_of_mark(w, figures_of(w)->mark_turns);
}

void metrics_write_cache_l2_trouble(struct metrics_writer *w) {
    const struct redis_counters *l2 = &figures_of(w)->l2;
    if (!has_l2(w)) {
        return;
    }
#define X(field) metrics_add(w, "", "kind=\"" #field "\"", (double)l2->field);
    X(deadlines)
    X(disconnects)
    X(unreachable)
    X(refused_open)
    X(refused_full)
    X(replies_bad)
    X(corrupt)
    X(oversized)
#undef X
}

void metrics_write_cache_l2_nodes(struct metrics_writer *w) {
    if (has_l2(w)) {
        metrics_add(w, "", "", (double)figures_of(w)->l2.nodes);
    }
}

void metrics_write_cache_l2_open(struct metrics_writer *w) {
    if (has_l2(w)) {
        metrics_add(w, "", "", (double)figures_of(w)->l2.nodes_open);
    }
}
