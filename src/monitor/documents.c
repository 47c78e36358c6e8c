/* SPDX-License-Identifier: Apache-2.0 */
/* Figures as JSON. What is not known is null, never 0. */
#include "monitor/documents.h"

#include "monitor/kpi.h"
#include "stat/window.h"

#include <math.h>

const char *l2_state_text(enum l2_state_e state) {
    static const char *const words[L2_STATE_COUNT] = {
#define X(name, word) word,
        L2_STATE_TABLE(X)
#undef X
    };
    return words[state];
}

enum { MS_DECIMALS = 3, RATE_DECIMALS = 3, SHARE_DECIMALS = 4, PERCENT_DECIMALS = 1 };

static void put_count(struct json_writer *w, const char *key, uint64_t count) {
    json_put_int(w, key, (int64_t)count);
}

/* -1 is unknown. */
static void put_known(struct json_writer *w, const char *key, int64_t value) {
    if (value < 0) {
        json_put_null(w, key);
    } else {
        json_put_int(w, key, value);
    }
}

static double share(uint64_t part, uint64_t whole) {
    return whole == 0 ? NAN : (double)part / (double)whole;
}

/* ---- performance ---- */

static void put_route(struct json_writer *w, const struct view_route *route) {
    const struct view_times *times = &route->times;
    put_count(w, "count", times->count);
    json_put_real(w, "rps", route->rps, RATE_DECIMALS);
    json_put_real(w, "avg_ms", times->avg_ms, MS_DECIMALS);
    json_put_real(w, "p50_ms", times->p50_ms, MS_DECIMALS);
    json_put_real(w, "p95_ms", times->p95_ms, MS_DECIMALS);
    json_put_real(w, "p99_ms", times->p99_ms, MS_DECIMALS);
    json_put_real(w, "max_ms", times->max_ms, MS_DECIMALS);
    json_put_real(w, "error_rate", share(route->server_errors, times->count), SHARE_DECIMALS);
    put_count(w, "slow_count", route->slow);
    put_count(w, "in_flight", route->in_flight);
    json_put_int(w, "oldest_in_flight_ms", route->oldest_ms);
}

static void write_api(struct json_writer *w, const struct view *view) {
    json_key(w, "api");
    json_begin_object(w);
    put_route(w, &view->api);
    json_key(w, "endpoints");
    json_begin_array(w);
    for (size_t i = 0; i < view->routes_len; i++) {
        json_begin_object(w);
        json_put_cstr(w, "route", view->routes[i].name);
        put_route(w, &view->routes[i]);
        json_end_object(w);
    }
    json_end_array(w);
    json_end_object(w);
}

static void put_query(struct json_writer *w, const struct view_query *query) {
    put_count(w, "count", query->times.count);
    json_put_real(w, "avg_ms", query->times.avg_ms, MS_DECIMALS);
    json_put_real(w, "p95_ms", query->times.p95_ms, MS_DECIMALS);
    json_put_real(w, "p99_ms", query->times.p99_ms, MS_DECIMALS);
    json_put_real(w, "max_ms", query->times.max_ms, MS_DECIMALS);
    json_put_real(w, "queue_avg_ms", query->queue_avg_ms, MS_DECIMALS);
    json_put_real(w, "run_avg_ms", query->run_avg_ms, MS_DECIMALS);
    put_count(w, "slow_count", query->slow);
    put_count(w, "failures", query->failures);
}

static void write_db(struct json_writer *w, const struct view *view) {
    json_key(w, "db");
    json_begin_object(w);
    put_query(w, &view->db);
    json_key(w, "queries");
    json_begin_array(w);
    for (size_t i = 0; i < view->queries_len; i++) {
        json_begin_object(w);
        json_put_cstr(w, "name", view->queries[i].name);
        put_query(w, &view->queries[i]);
        json_end_object(w);
    }
    json_end_array(w);
    json_end_object(w);
}

static void put_level(struct json_writer *w, const struct view_level *level) {
    put_count(w, "hits", level->hits);
    put_count(w, "misses", level->misses);
    json_put_real(w, "hit_rate", level->hit_rate, SHARE_DECIMALS);
    put_count(w, "entries", level->entries);
    put_count(w, "capacity", level->capacity);
    put_count(w, "evictions", level->evictions);
    json_put_real(w, "avg_us", level->avg_us, MS_DECIMALS);
}

static void write_cache(struct json_writer *w, const struct view *view) {
    json_key(w, "cache");
    json_begin_object(w);
    json_put_real(w, "hit_rate", view->hit_rate, SHARE_DECIMALS);
    json_key(w, "l1");
    json_begin_object(w);
    put_level(w, &view->l1);
    json_end_object(w);
    json_key(w, "l2");
    json_begin_object(w);
    put_level(w, &view->l2);
    json_put_cstr(w, "state", l2_state_text(view->l2_state));
    json_end_object(w);
    json_key(w, "misses_by_cause");
    json_begin_object(w);
    put_count(w, "cold", view->cold);
    put_count(w, "expired", view->expired);
    put_count(w, "evicted", view->evicted);
    put_count(w, "invalidated", view->invalidated);
    put_count(w, "l2_down", view->l2_down);
    json_end_object(w);
    json_end_object(w);
}

static void put_pressure(struct json_writer *w, const char *key, const struct pressure *pressure) {
    json_key(w, key);
    json_begin_object(w);
    json_put_real(w, "some_avg10", pressure->some, 2);
    json_put_real(w, "full_avg10", pressure->full, 2);
    json_end_object(w);
}

static void write_pressure(struct json_writer *w, const struct health *health) {
    json_key(w, "pressure");
    if (!health->has_pressure) {
        json_add_null(w);
        return;
    }
    json_begin_object(w);
    put_pressure(w, "cpu", &health->cpu);
    put_pressure(w, "memory", &health->memory);
    put_pressure(w, "io", &health->io);
    json_end_object(w);
}

static void write_system(struct json_writer *w, const struct view *view) {
    const struct health *health = &view->health;
    json_key(w, "system");
    json_begin_object(w);
    json_put_real(w, "cpu_percent", health->cpu_percent, PERCENT_DECIMALS);
    json_put_real(w, "memory_percent", health->memory_percent, PERCENT_DECIMALS);
    put_known(w, "rss_bytes", health->rss_bytes);
    put_count(w, "connections", view->connections);
    put_known(w, "open_fds", health->open_fds);
    write_pressure(w, health);
    json_put_real(w, "process_cpu_percent", health->process_cpu_percent, PERCENT_DECIMALS);
    json_put_real(w, "cpu_limit_cores", health->cpu_cores, 2);
    json_put_cstr(w, "cpu_limit_of", limit_source_text(health->cpu_source));
    put_known(w, "memory_limit_bytes", health->memory_limit);
    json_put_cstr(w, "memory_limit_of", limit_source_text(health->memory_source));
    put_known(w, "fds_limit", health->fds_limit);
    put_known(w, "disk_free_bytes", health->disk_free_bytes);
    json_put_real(w, "loop_stall_max_ms", view->stall_ms_max, PERCENT_DECIMALS);
    json_put_int(w, "uptime_s", view->uptime_s);
    json_end_object(w);
}

/* Names as in a snapshot of the control plane, so that a recording can be made of these. */
static void write_nodes(struct json_writer *w, const struct view *view) {
    json_key(w, "nodes");
    json_begin_array(w);
    json_begin_object(w);
    json_put_cstr(w, "id", view->node);
    json_put_cstr(w, "url", view->url);
    json_put_bool(w, "healthy", true); /* it answers */
    json_put_real(w, "cpu", view->health.cpu_percent, PERCENT_DECIMALS);
    json_put_real(w, "memory", view->health.memory_percent, PERCENT_DECIMALS);
    put_count(w, "connections", view->connections);
    json_put_real(w, "hit_rate", view->hit_rate, SHARE_DECIMALS);
    json_put_real(w, "rps", view->api.rps, RATE_DECIMALS);
    json_put_real(w, "avg_ms", view->api.times.avg_ms, MS_DECIMALS);
    json_put_cstr(w, "version", view->version);
    json_end_object(w);
    json_end_array(w);
}

static void put_second(struct json_writer *w, const struct view_second *second) {
    json_begin_object(w);
    json_put_time(w, "at", second->at_ms);
    put_count(w, "requests", second->requests);
    put_count(w, "server_errors", second->server_errors);
    json_put_real(w, "api_avg_ms", second->api_avg_ms, MS_DECIMALS);
    put_count(w, "queries", second->queries);
    json_put_real(w, "db_avg_ms", second->db_avg_ms, MS_DECIMALS);
    json_put_real(w, "db_queue_ms", second->db_queue_ms, MS_DECIMALS);
    json_put_real(w, "tps", second->tps, 1);
    json_put_real(w, "hit_rate", second->hit_rate, SHARE_DECIMALS);
    json_put_real(w, "cpu_percent", second->cpu_percent, PERCENT_DECIMALS);
    json_put_real(w, "memory_percent", second->memory_percent, PERCENT_DECIMALS);
    json_put_real(w, "connections", second->connections, 0);
    json_put_real(w, "stall_ms", second->stall_ms, PERCENT_DECIMALS);
    json_end_object(w);
}

static void write_second(struct json_writer *w, const struct view *view) {
    json_key(w, "second");
    if (view->has_second) {
        put_second(w, &view->second);
    } else {
        json_add_null(w);
    }
}

void performance_write(struct json_writer *w, const struct view *view) {
    json_begin_object(w);
    json_put_int(w, "window_s", WINDOW_SECONDS);
    json_put_int(w, "covered_s", view->window_s);
    json_put_time(w, "at", view->at_ms);
    write_api(w, view);
    write_db(w, view);
    write_cache(w, view);
    write_system(w, view);
    write_nodes(w, view);
    write_second(w, view);
    json_end_object(w);
}

/* ---- key figures ---- */

void kpi_write(struct json_writer *w, const struct view *view) {
    json_begin_object(w);
    json_key(w, "items");
    json_begin_array(w);
    for (int i = 0; i < KPI_COUNT; i++) {
        const struct kpi_row *row = kpi_row((enum kpi_e)i);
        double value = kpi_value(view, (enum kpi_e)i);
        json_begin_object(w);
        json_put_cstr(w, "key", row->key);
        json_put_real(w, "goal", row->goal, row->goal < 1 ? 2 : 0);
        json_put_real(w, "value", value, row->goal < 1 ? SHARE_DECIMALS : 2);
        json_put_cstr(w, "unit", row->unit);
        json_put_cstr(w, "status", kpi_status_text(kpi_judge(row, value)));
        json_put_cstr(w, "comparison", kpi_comparison_text(row->comparison));
        json_put_cstr(w, "meaning", row->meaning);
        json_end_object(w);
    }
    json_end_array(w);
    json_put_int(w, "window_s", WINDOW_SECONDS);
    json_put_time(w, "at", view->at_ms);
    json_end_object(w);
}

/* ---- suggestions ---- */

static void put_evidence(struct json_writer *w, const struct suggestion *suggestion) {
    json_key(w, "evidence");
    json_begin_object(w);
    for (size_t i = 0; i < suggestion->evidence_len; i++) {
        const struct evidence *evidence = &suggestion->evidence[i];
        if (evidence->text != NULL) {
            json_put_cstr(w, evidence->name, evidence->text);
        } else {
            json_put_real(w, evidence->name, evidence->value, evidence->decimals);
        }
    }
    json_end_object(w);
}

static void put_suggestion(struct json_writer *w, const struct suggestion *suggestion,
                           enum suggestion_lang_e lang, struct buf *text) {
    json_begin_object(w);
    json_put_cstr(w, "type", suggestion_type_text(suggestion->type));
    json_put_cstr(w, "priority", suggestion_priority_text(suggestion->priority));
    buf_clear(text);
    suggestion_message(suggestion, lang, text);
    json_put_text(w, "message", buf_slice(text));
    put_evidence(w, suggestion);
    json_key(w, "actions");
    json_begin_array(w);
    buf_clear(text);
    suggestion_actions(suggestion, lang, text);
    struct slice rest = buf_slice(text), action;
    while (slice_next(&rest, '\n', &action)) {
        json_add_text(w, action);
    }
    json_end_array(w);
    buf_clear(text);
    suggestion_impact(suggestion, lang, text);
    json_put_text(w, "expected_impact", buf_slice(text));
    json_end_object(w);
}

void suggestions_write(struct json_writer *w, const struct view *view,
                       enum suggestion_lang_e lang) {
    struct suggestion all[SUGGESTION_COUNT];
    size_t len = suggest(view, all);
    struct buf text;
    buf_init(&text, SUGGESTION_TEXT_MAX);
    json_begin_object(w);
    json_key(w, "items");
    json_begin_array(w);
    for (size_t i = 0; i < len; i++) {
        put_suggestion(w, &all[i], lang, &text);
    }
    json_end_array(w);
    json_put_cstr(w, "lang", suggestion_lang_text(lang));
    json_put_time(w, "at", view->at_ms);
    json_end_object(w);
    buf_fini(&text);
}

/* ---- history ---- */

static void put_minute(struct json_writer *w, const struct minute *minute) {
    json_begin_object(w);
    json_put_time(w, "at", minute->at_ms);
    put_count(w, "requests", minute->requests);
    put_count(w, "server_errors", minute->server_errors);
    json_put_real(w, "api_avg_ms", minute->api_avg_ms, MS_DECIMALS);
    json_put_real(w, "api_p95_ms", minute->api_p95_ms, MS_DECIMALS);
    put_count(w, "queries", minute->queries);
    json_put_real(w, "db_avg_ms", minute->db_avg_ms, MS_DECIMALS);
    json_put_real(w, "db_queue_ms", minute->db_queue_ms, MS_DECIMALS);
    json_put_real(w, "tps_peak", minute->tps_peak, 1);
    json_put_real(w, "hit_rate", minute->hit_rate, SHARE_DECIMALS);
    json_put_real(w, "cpu_percent", minute->cpu_percent, PERCENT_DECIMALS);
    json_put_real(w, "memory_percent", minute->memory_percent, PERCENT_DECIMALS);
    put_known(w, "rss_bytes", minute->rss_bytes);
    json_put_real(w, "connections_peak", minute->connections_peak, 0);
    json_end_object(w);
}

void history_write(struct json_writer *w, const struct history *history) {
    json_begin_object(w);
    json_put_int(w, "step_s", HISTORY_STEP_S);
    json_key(w, "items");
    json_begin_array(w);
    for (size_t i = history_len(history); i > 0; i--) {
        put_minute(w, history_back(history, i - 1));
    }
    json_end_array(w);
    json_end_object(w);
}

void seconds_write_begin(struct json_writer *w) {
    json_begin_object(w);
    json_put_int(w, "step_s", 1);
    json_key(w, "items");
    json_begin_array(w);
}

void seconds_write_row(struct json_writer *w, const struct view_second *second) {
    put_second(w, second);
}

void seconds_write_end(struct json_writer *w) {
    json_end_array(w);
    json_end_object(w);
}
