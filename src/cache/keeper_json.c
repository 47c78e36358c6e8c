/* SPDX-License-Identifier: Apache-2.0 */
/* The document of GET /v1/cache. */
#include "cache/keeper_priv.h"

enum { SHARE_DECIMALS = 4, US_DECIMALS = 3 };

static void put_count(struct json_writer *w, const char *key, uint64_t value) {
    json_put_int(w, key, value > INT64_MAX ? INT64_MAX : (int64_t)value);
}

static void put_share(struct json_writer *w, const char *key, uint64_t part, uint64_t whole) {
    if (whole == 0) {
        json_put_null(w, key);
    } else {
        json_put_real(w, key, (double)part / (double)whole, SHARE_DECIMALS);
    }
}

static struct tiered_counters sum_of(const struct tiered_figures *figures) {
    struct tiered_counters sum = {0};
    for (int i = 0; i < TIERED_CLASS_COUNT; i++) {
#define X(name) sum.name += figures->classes[i].name;
        TIERED_COUNTER_TABLE(X)
#undef X
    }
    return sum;
}

static void put_l1(struct json_writer *w, const struct keeper *keeper,
                   const struct tiered_figures *figures) {
    const struct l1_counters *l1 = &figures->l1;
    struct tiered_counters sum = sum_of(figures);
    json_key(w, "l1");
    json_begin_object(w);
    json_put_cstr(w, "policy", keeper->options.policy);
    put_count(w, "hits", sum.l1_hits);
    put_count(w, "misses", sum.l1_misses);
    put_share(w, "hit_rate", sum.l1_hits, sum.l1_hits + sum.l1_misses);
    put_count(w, "entries", l1->entries);
    put_count(w, "capacity", l1->capacity_entries);
    put_count(w, "bytes", l1->bytes);
    put_count(w, "capacity_bytes", l1->capacity_bytes);
    if (figures->l1_sampled == 0) {
        json_put_null(w, "avg_us");
    } else {
        json_put_real(w, "avg_us",
                      (double)figures->l1_sampled_ns / (double)figures->l1_sampled / 1000,
                      US_DECIMALS);
    }
    json_key(w, "misses_by_cause");
    json_begin_object(w);
#define X(name, word) put_count(w, #word, l1->misses[L1_MISS_##name]);
    L1_MISS_TABLE(X)
#undef X
    json_end_object(w);
    json_key(w, "left_by_cause");
    json_begin_object(w);
#define X(name, word) put_count(w, #word, l1->left[L1_LEAVE_##name]);
    L1_LEAVE_TABLE(X)
#undef X
    json_end_object(w);
    json_end_object(w);
}

static void put_l2(struct json_writer *w, const struct tiered_figures *figures) {
    struct tiered_counters sum = sum_of(figures);
    json_key(w, "l2");
    json_begin_object(w);
    json_put_cstr(w, "state", redis_state_name(figures->l2.state));
    put_share(w, "hit_rate", sum.l2_hits, sum.l2_hits + sum.l2_misses);
#define X(name) put_count(w, #name, figures->l2.name);
    REDIS_COUNTER_TABLE(X)
#undef X
    json_end_object(w);
}

/* -1: it never was. */
static void put_since(struct json_writer *w, const char *key, int64_t ms) {
    if (ms < 0) {
        json_put_null(w, key);
    } else {
        json_put_int(w, key, ms);
    }
}

static void put_mark(struct json_writer *w, const struct tiered_figures *figures) {
    json_key(w, "mark");
    json_begin_object(w);
    json_put_cstr(w, "state", tiered_mark_name(figures->mark));
    put_since(w, "looked_ms", figures->looked_ms);
    put_count(w, "drops", figures->mark_drops);
    put_count(w, "turns", figures->mark_turns);
    json_end_object(w);
}

static void put_channel(struct json_writer *w, const struct tiered_figures *figures) {
    json_key(w, "channel");
    json_begin_object(w);
    json_put_cstr(w, "state", tiered_channel_name(figures->channel));
    put_since(w, "heard_ms", figures->heard_ms);
    put_count(w, "lag_us_last", figures->lag_us_last);
    put_count(w, "lag_us_max", figures->lag_us_max);
    put_count(w, "pending", figures->pending);
    json_end_object(w);
}

static void put_classes(struct json_writer *w, const struct tiered_figures *figures) {
    json_key(w, "classes");
    json_begin_array(w);
    for (int i = 0; i < TIERED_CLASS_COUNT; i++) {
        json_begin_object(w);
        json_put_cstr(w, "prefix", tiered_class_name((enum tiered_class_e)i));
#define X(name) put_count(w, #name, figures->classes[i].name);
        TIERED_COUNTER_TABLE(X)
#undef X
        json_end_object(w);
    }
    json_end_array(w);
}

static void put_estimates(struct json_writer *w, const struct tiered_figures *figures) {
    json_key(w, "estimates");
    json_begin_array(w);
    for (int i = 0; i < TIERED_ESTIMATES; i++) {
        const struct tiered_estimate *estimate = &figures->estimates[i];
        json_begin_object(w);
        json_put_int(w, "entries", estimate->entries);
        if (estimate->entries == 0 || estimate->hit_rate < 0) {
            json_put_null(w, "hit_rate");
        } else {
            json_put_real(w, "hit_rate", estimate->hit_rate, SHARE_DECIMALS);
        }
        json_end_object(w);
    }
    json_end_array(w);
}

static void put_time(struct json_writer *w, const char *key, int64_t ms) {
    if (ms == 0) {
        json_put_null(w, key);
    } else {
        json_put_time(w, key, ms);
    }
}

void keeper_write_warming(const struct keeper *keeper, struct json_writer *w) {
    static const char *const kinds[] = {
#define X(name, word) [KEEPER_WARM_##name] = word,
        KEEPER_WARM_TABLE(X)
#undef X
    };
    const struct warm *warm = &keeper->warm;
    json_begin_object(w);
    json_put_cstr(w, "state", warm_is_running(keeper) ? "running" : "idle");
    json_put_cstr(w, "scope", kinds[warm->kind]);
    put_count(w, "keys", warm->done);
    put_count(w, "failed", warm->failed);
    put_count(w, "events", warm->events_len);
    put_count(w, "participants", warm->people);
    put_time(w, "begun_at", warm->begun_ms);
    put_time(w, "ended_at", warm->ended_ms);
    json_end_object(w);
}

static void put_act(struct json_writer *w, const struct smart_act *act) {
    json_begin_object(w);
    json_put_time(w, "at", act->at_ms);
    json_put_cstr(w, "act", smart_act_word(act->act));
    json_put_cstr(w, "text", smart_act_text(act->act));
    put_count(w, "entries", act->count);
    json_put_real(w, "hit_rate_before", act->hit_rate_before, SHARE_DECIMALS);
    json_put_real(w, "hit_rate_after", act->hit_rate_after, SHARE_DECIMALS);
    json_end_object(w);
}

/* What was done about a low hit rate, newest first. */
static void put_management(struct json_writer *w, const struct smart *smart) {
    json_key(w, "management");
    json_begin_object(w);
    put_count(w, "trim", smart->acts[SMART_TRIM]);
    put_count(w, "renew", smart->acts[SMART_RENEW]);
    json_put_bool(w, "rests", smart->resting > 0);
    json_key(w, "acts");
    json_begin_array(w);
    for (uint64_t i = 0; i < smart->kept_len && i < SMART_ACTS_KEPT; i++) {
        put_act(w, &smart->kept[(smart->kept_len - 1 - i) % SMART_ACTS_KEPT]);
    }
    json_end_array(w);
    json_end_object(w);
}

void keeper_write_figures(struct keeper *keeper, struct json_writer *w) {
    struct tiered_figures figures;
    struct cached_counters counters;
    tiered_read_figures(keeper->options.tiered, &figures);
    cached_node_read_counters(keeper->options.node, &counters);
    json_begin_object(w);
    json_put_time(w, "at", clock_wall_ms(keeper->options.clock));
    put_share(w, "hit_rate", counters.hits, counters.hits + counters.misses);
    json_key(w, "reads");
    json_begin_object(w);
#define X(name) put_count(w, #name, counters.name);
    CACHED_COUNTER_TABLE(X)
#undef X
    json_end_object(w);
    put_l1(w, keeper, &figures);
    put_l2(w, &figures);
    put_channel(w, &figures);
    put_mark(w, &figures);
    put_classes(w, &figures);
    put_estimates(w, &figures);
    put_management(w, &keeper->smart);
    json_key(w, "warming");
    keeper_write_warming(keeper, w);
    json_end_object(w);
}
