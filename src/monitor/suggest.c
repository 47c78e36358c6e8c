/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a suggestion applies, and on what evidence. Comparisons with NAN are false, so figures that
 * nobody knows keep a rule silent.
 */
#include "monitor/suggest.h"

#include "base/assert.h"
#include "domain/words.h"

#include <math.h>

WORDS(suggestion_priority, enum suggestion_priority_e, SUGGESTION_PRIORITY_TABLE)
WORDS(suggestion_lang, enum suggestion_lang_e, SUGGESTION_LANG_TABLE)

enum {
    COUNT_MIN = 20,     /* of one route or operation, before its average says anything */
    ANSWERS_MIN = 100,
    LOOKUPS_MIN = 100,
};
#define MB 1048576.0

static void add_number(struct suggestion *to, const char *name, double value, int decimals) {
    ASSERT(to->evidence_len < EVIDENCE_MAX);
    to->evidence[to->evidence_len++] =
        (struct evidence){.name = name, .value = value, .decimals = decimals};
}

static void add_count(struct suggestion *to, const char *name, uint64_t count) {
    add_number(to, name, (double)count, 0);
}

static void add_text(struct suggestion *to, const char *name, const char *text) {
    ASSERT(to->evidence_len < EVIDENCE_MAX);
    to->evidence[to->evidence_len++] = (struct evidence){.name = name, .text = text};
}

/* The operation that took most time in all. */
static const char *busiest_query(const struct view *view) {
    const struct view_query *most = NULL;
    double most_ms = -1;
    for (size_t i = 0; i < view->queries_len; i++) {
        const struct view_query *query = &view->queries[i];
        double all_ms = query->times.count == 0 ? 0 : query->times.avg_ms *
                                                          (double)query->times.count;
        if (all_ms > most_ms) {
            most = query;
            most_ms = all_ms;
        }
    }
    return most == NULL ? "none" : most->name;
}

static const char *query_with_most_slow(const struct view *view) {
    const struct view_query *most = NULL;
    for (size_t i = 0; i < view->queries_len; i++) {
        if (most == NULL || view->queries[i].slow > most->slow) {
            most = &view->queries[i];
        }
    }
    return most == NULL ? "none" : most->name;
}

static const struct view_query *find_query(const struct view *view, enum store_op_e kind) {
    for (size_t i = 0; i < view->queries_len; i++) {
        if (strcmp(view->queries[i].name, store_op_text(kind)) == 0) {
            return &view->queries[i];
        }
    }
    return NULL;
}

/* ---- store ---- */

static bool check_database_slow_average(const struct view *view, struct suggestion *to) {
    if (!(view->db.times.avg_ms > 500)) {
        return false;
    }
    add_number(to, "avg_ms", view->db.times.avg_ms, 0);
    add_number(to, "queue_ms", view->db.queue_avg_ms, 0);
    add_number(to, "run_ms", view->db.run_avg_ms, 0);
    add_count(to, "count", view->db.times.count);
    add_text(to, "slowest", busiest_query(view));
    return true;
}

static bool check_database_slow_queries(const struct view *view, struct suggestion *to) {
    if (view->db.slow <= 10) {
        return false;
    }
    add_count(to, "slow_count", view->db.slow);
    add_count(to, "count", view->db.times.count);
    add_number(to, "p99_ms", view->db.times.p99_ms, 1);
    add_text(to, "slowest", query_with_most_slow(view));
    return true;
}

static bool check_store_queue_growing(const struct view *view, struct suggestion *to) {
    if (!(view->queue_now_ms > 20 && view->queue_now_ms > 2 * view->queue_before_ms)) {
        return false;
    }
    add_number(to, "before_ms", view->queue_before_ms, 1);
    add_number(to, "now_ms", view->queue_now_ms, 1);
    add_text(to, "slowest", busiest_query(view));
    return true;
}

static bool check_store_waiting(const struct view *view, struct suggestion *to) {
    const struct view_query *db = &view->db;
    if (db->times.count < COUNT_MIN ||
        !(db->queue_avg_ms > 50 && db->queue_avg_ms > db->run_avg_ms)) {
        return false;
    }
    add_number(to, "queue_ms", db->queue_avg_ms, 1);
    add_number(to, "run_ms", db->run_avg_ms, 1);
    add_count(to, "count", db->times.count);
    return true;
}

static bool check_commit_slow(const struct view *view, struct suggestion *to) {
    const struct view_query *check_in = find_query(view, STORE_CHECK_IN);
    if (check_in == NULL || check_in->times.count < COUNT_MIN || !(check_in->run_avg_ms > 50)) {
        return false;
    }
    add_number(to, "run_ms", check_in->run_avg_ms, 1);
    add_count(to, "count", check_in->times.count);
    add_number(to, "io_full_percent", view->health.io.full, 1);
    return true;
}

static bool check_store_refusals(const struct view *view, struct suggestion *to) {
    if (view->db.refused == 0) {
        return false;
    }
    add_count(to, "refused", view->db.refused);
    add_number(to, "queue_ms", view->db.queue_avg_ms, 1);
    return true;
}

static bool check_store_failures(const struct view *view, struct suggestion *to) {
    if (view->db.failures <= view->db.refused) {
        return false;
    }
    add_count(to, "failures", view->db.failures - view->db.refused);
    add_count(to, "count", view->db.times.count);
    return true;
}

/* ---- requests ---- */

static const char *route_with_most_errors(const struct view *view) {
    const struct view_route *most = NULL;
    for (size_t i = 0; i < view->routes_len; i++) {
        if (most == NULL || view->routes[i].server_errors > most->server_errors) {
            most = &view->routes[i];
        }
    }
    return most == NULL ? "none" : most->name;
}

static bool check_api_errors(const struct view *view, struct suggestion *to) {
    uint64_t count = view->api.times.count, errors = view->api.server_errors;
    if (count < ANSWERS_MIN || errors * 100 <= count) {
        return false;
    }
    add_number(to, "error_percent", 100 * (double)errors / (double)count, 1);
    add_count(to, "errors", errors);
    add_count(to, "count", count);
    add_text(to, "route", route_with_most_errors(view));
    return true;
}

static bool check_slow_route(const struct view *view, struct suggestion *to) {
    const struct view_route *worst = NULL;
    for (size_t i = 0; i < view->routes_len; i++) {
        const struct view_route *route = &view->routes[i];
        bool is_slow = route->times.count >= COUNT_MIN && route->times.p95_ms > 500;
        if (is_slow && (worst == NULL || route->times.p95_ms > worst->times.p95_ms)) {
            worst = route;
        }
    }
    if (worst == NULL) {
        return false;
    }
    add_text(to, "route", worst->name);
    add_number(to, "p95_ms", worst->times.p95_ms, 0);
    add_number(to, "avg_ms", worst->times.avg_ms, 0);
    add_count(to, "count", worst->times.count);
    return true;
}

static bool check_request_hanging(const struct view *view, struct suggestion *to) {
    if (view->api.oldest_ms <= 10000) {
        return false;
    }
    const char *route = "none";
    for (size_t i = 0; i < view->routes_len; i++) {
        route = view->routes[i].oldest_ms == view->api.oldest_ms ? view->routes[i].name : route;
    }
    add_text(to, "route", route);
    add_number(to, "oldest_s", (double)view->api.oldest_ms / 1000, 0);
    add_count(to, "in_flight", view->api.in_flight);
    return true;
}

static bool check_loop_stalls(const struct view *view, struct suggestion *to) {
    if (view->stalled_seconds < 5) {
        return false;
    }
    add_number(to, "seconds", view->stalled_seconds, 0);
    add_number(to, "worst_ms", view->stall_ms_max, 0);
    add_number(to, "cpu_percent", view->health.cpu_percent, 1);
    return true;
}

/* ---- system ---- */

static bool check_cpu_high(const struct view *view, struct suggestion *to) {
    if (!(view->health.cpu_percent > 70)) {
        return false;
    }
    add_number(to, "cpu_percent", view->health.cpu_percent, 0);
    add_number(to, "process_percent", view->health.process_cpu_percent, 0);
    add_number(to, "cores", view->health.cpu_cores, 1);
    add_text(to, "limit", limit_source_text(view->health.cpu_source));
    return true;
}

static bool check_memory_high(const struct view *view, struct suggestion *to) {
    if (!(view->health.memory_percent > 80)) {
        return false;
    }
    add_number(to, "memory_percent", view->health.memory_percent, 0);
    add_number(to, "rss_mb", (double)view->health.rss_bytes / MB, 0);
    add_number(to, "limit_mb", (double)view->health.memory_limit / MB, 0);
    add_text(to, "limit", limit_source_text(view->health.memory_source));
    return true;
}

static bool check_memory_growth(const struct view *view, struct suggestion *to) {
    double growth = view->rss_growth_per_h;
    double left = (double)(view->health.memory_limit - view->health.rss_bytes);
    if (!(growth >= 10 * MB) || view->health.memory_limit <= 0 || !(left / growth < 24)) {
        return false;
    }
    add_number(to, "growth_mb_per_h", growth / MB, 0);
    add_number(to, "hours_left", left < 0 ? 0 : left / growth, 1);
    add_number(to, "rss_mb", (double)view->health.rss_bytes / MB, 0);
    add_number(to, "limit_mb", (double)view->health.memory_limit / MB, 0);
    return true;
}

static bool check_descriptors_low(const struct view *view, struct suggestion *to) {
    const struct health *health = &view->health;
    if (health->fds_limit <= 0 || health->open_fds * 10 <= health->fds_limit * 8) {
        return false;
    }
    add_number(to, "open_fds", (double)health->open_fds, 0);
    add_number(to, "fds_limit", (double)health->fds_limit, 0);
    add_count(to, "connections", view->connections);
    return true;
}

static bool check_connections_near_limit(const struct view *view, struct suggestion *to) {
    if (view->connections_limit == 0 || view->connections * 10 <= view->connections_limit * 8) {
        return false;
    }
    add_count(to, "connections", view->connections);
    add_count(to, "limit", view->connections_limit);
    return true;
}

static bool check_disk_low(const struct view *view, struct suggestion *to) {
    double available = (double)view->health.disk_free_bytes;
    double total = (double)view->health.disk_total_bytes;
    if (available < 0 || total <= 0 || (available >= total / 10 && available >= 512 * MB)) {
        return false;
    }
    add_number(to, "free_mb", available / MB, 0);
    add_number(to, "free_percent", 100 * available / total, 1);
    return true;
}

static bool check_partition_horizon(const struct view *view, struct suggestion *to) {
    const int64_t day_s = 86400;
    if (view->horizon_s < 0 || view->horizon_s >= 30 * day_s) {
        return false;
    }
    add_number(to, "days", floor((double)view->horizon_s / (double)day_s), 0);
    return true;
}

static bool check_io_pressure(const struct view *view, struct suggestion *to) {
    if (!(view->health.io.full > 10)) {
        return false;
    }
    add_number(to, "io_full_percent", view->health.io.full, 1);
    add_number(to, "io_some_percent", view->health.io.some, 1);
    return true;
}

/* ---- cache ---- */

static uint64_t lookups_of(const struct view *view) {
    return view->l1.hits + view->l1.misses;
}

static const char *main_cause(const struct view *view) {
    const struct {
        const char *name;
        uint64_t count;
    } causes[] = {{"cold", view->cold},
                  {"expired", view->expired},
                  {"evicted", view->evicted},
                  {"invalidated", view->invalidated},
                  {"l2_down", view->l2_down}};
    size_t most = 0;
    for (size_t i = 1; i < sizeof causes / sizeof causes[0]; i++) {
        most = causes[i].count > causes[most].count ? i : most;
    }
    return causes[most].name;
}

static bool check_cache_hit_rate_low(const struct view *view, struct suggestion *to) {
    if (lookups_of(view) < LOOKUPS_MIN || !(view->hit_rate < 0.7)) {
        return false;
    }
    add_number(to, "hit_percent", 100 * view->hit_rate, 1);
    add_count(to, "lookups", lookups_of(view));
    add_text(to, "cause", main_cause(view));
    return true;
}

static bool check_cache_too_small(const struct view *view, struct suggestion *to) {
    const struct view_level *l1 = &view->l1;
    bool is_full = l1->capacity > 0 && l1->entries * 100 >= l1->capacity * 95;
    if (!is_full || l1->misses < LOOKUPS_MIN || view->evicted * 2 <= l1->misses) {
        return false;
    }
    add_count(to, "entries", l1->entries);
    add_number(to, "evicted_percent", 100 * (double)view->evicted / (double)l1->misses, 0);
    add_number(to, "hit_percent", 100 * l1->hit_rate, 1);
    return true;
}

static bool check_cache_l2_down(const struct view *view, struct suggestion *to) {
    if (view->l2_state != L2_OPEN) {
        return false;
    }
    add_text(to, "state", l2_state_text(view->l2_state));
    add_count(to, "misses", view->l2_down);
    return true;
}

/* ---- clients ---- */

static bool check_auth_failures(const struct view *view, struct suggestion *to) {
    if (view->unauthorized + view->rate_limited <= 50) { /* both are answers to bad keys */
        return false;
    }
    add_count(to, "unauthorized", view->unauthorized);
    add_count(to, "rate_limited", view->rate_limited);
    return true;
}

static bool check_malformed_requests(const struct view *view, struct suggestion *to) {
    if (view->rejected_heads <= 20) {
        return false;
    }
    add_count(to, "rejected", view->rejected_heads);
    return true;
}

static bool check_client_timeouts(const struct view *view, struct suggestion *to) {
    if (view->timeouts <= 20) {
        return false;
    }
    add_count(to, "timeouts", view->timeouts);
    return true;
}

/* ---- the standby, the gates ---- */

static bool check_replica_lag(const struct view *view, struct suggestion *to) {
    uint64_t count = view->replica_late + view->replica_reads;
    if (count < COUNT_MIN || view->replica_late * 10 <= count) {
        return false;
    }
    add_count(to, "late", view->replica_late);
    add_number(to, "late_percent", 100 * (double)view->replica_late / (double)count, 1);
    add_number(to, "late_per_minute", 60 * (double)view->replica_late / view->window_s, 0);
    add_number(to, "behind_ms", view->replica_behind_ms, 0);
    add_number(to, "limit_ms", view->replica_limit_ms, 0);
    return true;
}

static bool check_gate_skew(const struct view *view, struct suggestion *to) {
    const struct gate_skew *skew = &view->skew;
    if (!view->is_skewed) {
        return false;
    }
    add_text(to, "event", skew->event);
    add_text(to, "gate", skew->gate);
    add_number(to, "gate_per_minute", skew->per_minute, 1);
    add_number(to, "siblings_per_minute", skew->siblings_per_minute, 1);
    add_text(to, "gates", skew->loads);
    add_text(to, "relief", skew->relief);
    add_text(to, "relief_status", gate_status_text(skew->relief_is_open ? GATE_OPEN : GATE_CLOSED));
    add_number(to, "relief_per_minute", skew->relief_per_minute, 1);
    add_number(to, "after_per_minute", skew->after_per_minute, 1);
    return true;
}

/* ---- the table ---- */

struct texts {
    const char *message, *actions, *impact;
};

static const struct rule {
    const char *type;
    enum suggestion_priority_e priority;
    bool (*check)(const struct view *view, struct suggestion *to);
    struct texts texts[SUGGESTION_LANG_COUNT];
} rules[SUGGESTION_COUNT] = {
#define X(type, priority, when, message, actions, impact, message_ko, actions_ko, impact_ko)       \
    {#type,                                                                                        \
     PRIORITY_##priority,                                                                          \
     check_##type,                                                                                 \
     {{message, actions, impact}, {message_ko, actions_ko, impact_ko}}},
    SUGGESTION_TABLE(X)
#undef X
};

size_t suggest(const struct view *view, struct suggestion ret[SUGGESTION_COUNT]) {
    size_t len = 0;
    for (int priority = PRIORITY_HIGH; priority < SUGGESTION_PRIORITY_COUNT; priority++) {
        for (int i = 0; i < SUGGESTION_COUNT; i++) {
            struct suggestion made = {.type = (enum suggestion_e)i,
                                      .priority = rules[i].priority};
            if ((int)rules[i].priority == priority && rules[i].check(view, &made)) {
                ret[len++] = made;
            }
        }
    }
    return len;
}

const char *suggestion_type_text(enum suggestion_e type) {
    return rules[type].type;
}

static void add_evidence(const struct suggestion *suggestion, struct slice name, struct buf *to) {
    for (size_t i = 0; i < suggestion->evidence_len; i++) {
        const struct evidence *evidence = &suggestion->evidence[i];
        if (!slice_eq_text(name, evidence->name)) {
            continue;
        }
        if (evidence->text != NULL) {
            buf_add_text(to, evidence->text);
        } else if (isnan(evidence->value)) {
            buf_add_char(to, '?');
        } else {
            buf_printf(to, "%.*f", evidence->decimals, evidence->value);
        }
        return;
    }
    UNREACHABLE(); /* a message names evidence that its rule does not give: a test fires each */
}

static void fill_in(const struct suggestion *suggestion, const char *text, struct buf *to) {
    for (const char *open; (open = strchr(text, '{')) != NULL;) {
        const char *close = strchr(open, '}');
        ASSERT(close != NULL);
        buf_add(to, slice_from(text, (size_t)(open - text)));
        add_evidence(suggestion, slice_from(open + 1, (size_t)(close - open) - 1), to);
        text = close + 1;
    }
    buf_add_text(to, text);
}

void suggestion_message(const struct suggestion *suggestion, enum suggestion_lang_e lang,
                        struct buf *to) {
    fill_in(suggestion, rules[suggestion->type].texts[lang].message, to);
}

void suggestion_actions(const struct suggestion *suggestion, enum suggestion_lang_e lang,
                        struct buf *to) {
    fill_in(suggestion, rules[suggestion->type].texts[lang].actions, to);
}

void suggestion_impact(const struct suggestion *suggestion, enum suggestion_lang_e lang,
                       struct buf *to) {
    fill_in(suggestion, rules[suggestion->type].texts[lang].impact, to);
}
