/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Adding up the cells of all loops, and making a view of what the windows hold.
 *
 * What it costs is what has happened. A route that nothing has hit since the last time costs a few
 * additions: its histogram is not looked at. Of one that was hit, the octaves are read that have
 * grown, and the window adds the buckets that have; sums over five minutes are kept running. Once a
 * minute a route is taken all the same, so that its window never takes a pause for a gap.
 */
#include "monitor/collect_priv.h"

#include <math.h>
#include <stdlib.h>

enum {
    TAKE_AT_LEAST_US = 60 * 1000000,
    CPU_SPAN_S = 5,      /* of the mean that is told: one second alone jumps */
    STALL_US = 100000,
    QUEUE_BEFORE_MINUTES = 4,
};

enum { ROUTE_SLOW, ROUTE_5XX }; /* counters of a route's window */
enum { QUERY_SLOW, QUERY_FAILED, QUERY_REFUSED, QUERY_QUEUE_US }; /* and of an operation's */

bool collector_init(struct collector *collector, const struct monitor_options *options,
                    struct cells *const *cells, struct doors *doors) {
    collector->options = options;
    collector->cells = cells;
    collector->doors = doors;
    collector->seconds = seconds_create();
    collector->history = history_create();
    collector->reader = health_open(options->root, options->disk_path);
    int64_t now_us = clock_mono_us(options->clock);
    collector->started_us = collector->collected_us = collector->minute_us = now_us;
    collector->second_us = now_us;
    if (collector->seconds == NULL || collector->history == NULL || collector->reader == NULL) {
        return false;
    }
    seconds_take(collector->seconds, now_us, &(struct second_sample){.gauges = {NAN, NAN, NAN, NAN,
                                                                              NAN, NAN}});
    return true;
}

static void fini_tracked(struct tracked *tracked) {
    window_destroy(tracked->window);
    free(tracked->seen);
    *tracked = (struct tracked){.window = NULL};
}

void collector_fini(struct collector *collector) {
    for (size_t i = 0; i < CELLS_ROUTES_MAX; i++) {
        fini_tracked(&collector->routes[i]);
    }
    for (size_t i = 0; i < STORE_OP_COUNT; i++) {
        fini_tracked(&collector->queries[i]);
    }
    seconds_destroy(collector->seconds);
    history_destroy(collector->history);
    if (collector->reader != NULL) {
        health_close(collector->reader);
    }
}

/* ---- into the windows ---- */

static void make_tracked(struct collector *collector, struct tracked *tracked) {
    tracked->window = window_create(collector->collected_us); /* nothing until then */
    tracked->seen = calloc(1, sizeof *tracked->seen);
    tracked->taken_us = collector->collected_us;
    if (tracked->window == NULL || tracked->seen == NULL) {
        fini_tracked(tracked); /* the next collection tries again */
    }
}

/* False: there is nothing to take. */
static bool is_due(struct collector *collector, struct tracked *tracked, int64_t now_us,
                   uint64_t events) {
    if (tracked->window == NULL && events > 0) {
        make_tracked(collector, tracked);
    }
    return tracked->window != NULL &&
           (tracked->events != events || now_us - tracked->taken_us >= TAKE_AT_LEAST_US);
}

/* `histograms` of the collector are set, and `counters` are what the loops count now. */
static void take(struct collector *collector, struct tracked *tracked, int64_t now_us,
                 uint64_t events, const uint64_t counters[WINDOW_COUNTERS]) {
    struct window_growth *growth = &collector->growth;
    histogram_growth(collector->histograms, collector->options->loops, &tracked->seen->latency,
                     &growth->latency);
    for (size_t i = 0; i < WINDOW_COUNTERS; i++) {
        growth->counters[i] = counters[i] - tracked->seen->counters[i];
    }
    if (window_add(tracked->window, now_us, growth) != ERR_OK) {
        return; /* the next one brings it */
    }
    histogram_grow(&tracked->seen->latency, &growth->latency);
    memcpy(tracked->seen->counters, counters, sizeof tracked->seen->counters);
    tracked->events = events;
    tracked->taken_us = now_us;
}

static void take_route(struct collector *collector, size_t route, int64_t now_us) {
    uint64_t events = 0;
    for (size_t i = 0; i < collector->options->loops; i++) {
        const struct route_cells *cells = &collector->cells[i]->routes[route];
        for (int class = 0; class < ANSWER_CLASS_COUNT; class++) {
            events += counter_read_first(&cells->classes[class]);
        }
        events += counter_read(&cells->slow); /* before its answer */
    }
    struct tracked *tracked = &collector->routes[route];
    if (!is_due(collector, tracked, now_us, events)) {
        return;
    }
    uint64_t counters[WINDOW_COUNTERS] = {0};
    for (size_t i = 0; i < collector->options->loops; i++) {
        const struct route_cells *cells = &collector->cells[i]->routes[route];
        collector->histograms[i] = &cells->latency;
        counters[ROUTE_SLOW] += counter_read(&cells->slow);
        counters[ROUTE_5XX] += counter_read(&cells->classes[ANSWER_5XX]);
    }
    take(collector, tracked, now_us, events, counters);
}

static void take_query(struct collector *collector, int kind, int64_t now_us) {
    uint64_t events = 0;
    for (size_t i = 0; i < collector->options->loops; i++) {
        events += counter_read_first(&collector->cells[i]->queries[kind].ended);
    }
    struct tracked *tracked = &collector->queries[kind];
    if (!is_due(collector, tracked, now_us, events)) {
        return;
    }
    uint64_t counters[WINDOW_COUNTERS] = {0};
    for (size_t i = 0; i < collector->options->loops; i++) {
        const struct query_cells *cells = &collector->cells[i]->queries[kind];
        collector->histograms[i] = &cells->latency;
        counters[QUERY_SLOW] += counter_read(&cells->slow);
        counters[QUERY_FAILED] += counter_read(&cells->failed);
        counters[QUERY_REFUSED] += counter_read(&cells->refused);
        counters[QUERY_QUEUE_US] += counter_read(&cells->queue_us);
    }
    take(collector, tracked, now_us, events, counters);
}

/* Sums alone: what a second's averages need, without a walk over histograms. */
static void fill_requests(const struct monitor_options *options, const struct cells *cells,
                          uint64_t to[SECOND_COUNTER_COUNT]) {
    for (size_t route = 0; route < options->routes; route++) {
        const struct route_cells *at = &cells->routes[route];
        if (!options->route_is_api(route)) {
            continue;
        }
        for (int class = 0; class < ANSWER_CLASS_COUNT; class++) {
            to[SECOND_requests] += counter_read(&at->classes[class]);
        }
        to[SECOND_server_errors] += counter_read(&at->classes[ANSWER_5XX]);
        to[SECOND_request_us] += counter_read(&at->latency.sum);
    }
}

static void fill_queries(const struct cells *cells, uint64_t to[SECOND_COUNTER_COUNT]) {
    for (int kind = 0; kind < STORE_OP_COUNT; kind++) {
        const struct query_cells *at = &cells->queries[kind];
        to[SECOND_queries] += counter_read(&at->ended);
        to[SECOND_refused] += counter_read(&at->refused);
        to[SECOND_queue_us] += counter_read(&at->queue_us);
        to[SECOND_query_us] += counter_read(&at->queue_us) + counter_read(&at->run_us);
    }
}

static void fill_counters(const struct collector *collector, uint64_t to[SECOND_COUNTER_COUNT]) {
    for (size_t i = 0; i < collector->options->loops; i++) {
        const struct cells *cells = collector->cells[i];
        to[SECOND_transactions] += counter_read(&cells->transactions);
        to[SECOND_unauthorized] += counter_read(&cells->unauthorized);
        to[SECOND_rate_limited] += counter_read(&cells->rate_limited);
        to[SECOND_unavailable] += counter_read(&cells->unavailable);
        fill_requests(collector->options, cells, to);
        fill_queries(cells, to);
    }
    const struct cache_figures *cache = &collector->cache;
    to[SECOND_rejected_heads] = collector->figures.rejected_heads;
    to[SECOND_timeouts] = collector->figures.timeouts;
    to[SECOND_l1_hits] = cache->l1.hits;
    to[SECOND_l1_misses] = cache->l1.misses;
    to[SECOND_l1_evictions] = cache->l1.evictions;
    to[SECOND_l1_gets_us] = cache->l1.gets_us;
    to[SECOND_l2_hits] = cache->l2.hits;
    to[SECOND_l2_misses] = cache->l2.misses;
    to[SECOND_l2_evictions] = cache->l2.evictions;
    to[SECOND_l2_gets_us] = cache->l2.gets_us;
    to[SECOND_cold] = cache->cold;
    to[SECOND_expired] = cache->expired;
    to[SECOND_evicted] = cache->evicted;
    to[SECOND_invalidated] = cache->invalidated;
    to[SECOND_l2_down] = cache->l2_down;
    to[SECOND_replica_reads] = collector->replica.reads;
    to[SECOND_replica_late] = collector->replica.late;
}

static void clear_gauges(struct second_sample *sample) {
    for (int i = 0; i < SECOND_GAUGE_COUNT; i++) {
        sample->gauges[i] = NAN;
    }
}

void collect(struct collector *collector, int64_t now_us) {
    for (size_t i = 0; i < collector->options->routes; i++) {
        take_route(collector, i, now_us);
    }
    for (int i = 0; i < STORE_OP_COUNT; i++) {
        take_query(collector, i, now_us);
    }
    if (collector->options->read_cache != NULL) {
        collector->options->read_cache(collector->options->cache, &collector->cache);
    }
    if (collector->options->read_replica != NULL) {
        collector->options->read_replica(collector->options->store, &collector->replica);
    }
    if (collector->options->read_cluster != NULL) {
        collector->options->read_cluster(collector->options->cluster, &collector->cluster);
    }
    struct second_sample sample = {.counters = {0}};
    fill_counters(collector, sample.counters);
    clear_gauges(&sample);
    sample.gauges[GAUGE_connections] = (double)collector->figures.connections;
    seconds_take(collector->seconds, now_us, &sample);
    collector->collected_us = now_us;
}

/* ---- each second, each minute ---- */

static double average_ms(uint64_t sum_us, uint64_t count) {
    return count == 0 ? NAN : (double)sum_us / (double)count / 1000;
}

/* All requests of the API until the last take, in `collector->sum`. */
static uint64_t sum_api(struct collector *collector) {
    uint64_t errors = 0;
    collector->sum = (struct histogram_snapshot){.sum = 0};
    for (size_t route = 0; route < collector->options->routes; route++) {
        const struct seen *seen = collector->routes[route].seen;
        if (seen != NULL && collector->options->route_is_api(route)) {
            histogram_add(&collector->sum, &seen->latency);
            errors += seen->counters[ROUTE_5XX];
        }
    }
    return errors;
}

static void fill_minute_api(struct collector *collector, struct minute *minute) {
    uint64_t errors = sum_api(collector);
    struct histogram_snapshot *grown = &collector->sum;
    histogram_subtract(grown, &collector->minute_api);
    minute->requests = histogram_count(grown);
    minute->server_errors = errors - collector->minute_errors;
    if (minute->requests > 0) {
        minute->api_avg_ms = histogram_average(grown) / 1000;
        minute->api_p95_ms = histogram_quantile(grown, 0.95) / 1000;
    }
    histogram_add(&collector->minute_api, grown);
    collector->minute_errors = errors;
}

static void fill_minute_db(struct collector *collector, struct minute *minute) {
    uint64_t queries = 0, queue_us = 0, query_us = 0;
    for (size_t i = 0; i < collector->options->loops; i++) {
        for (int kind = 0; kind < STORE_OP_COUNT; kind++) {
            const struct query_cells *cells = &collector->cells[i]->queries[kind];
            queries += counter_read(&cells->ended) - counter_read(&cells->refused);
            queue_us += counter_read(&cells->queue_us);
            query_us += counter_read(&cells->queue_us) + counter_read(&cells->run_us);
        }
    }
    minute->queries = queries - collector->minute_queries;
    minute->db_queue_ms = average_ms(queue_us - collector->minute_queue_us, minute->queries);
    minute->db_avg_ms = average_ms(query_us - collector->minute_query_us, minute->queries);
    collector->minute_queries = queries;
    collector->minute_queue_us = queue_us;
    collector->minute_query_us = query_us;
}

static void fill_minute_cache(struct collector *collector, struct minute *minute) {
    uint64_t hits = collector->cache.l1.hits + collector->cache.l2.hits;
    uint64_t lookups = collector->cache.l1.hits + collector->cache.l1.misses;
    uint64_t more = lookups - collector->minute_lookups;
    minute->hit_rate = more == 0 ? NAN : (double)(hits - collector->minute_hits) / (double)more;
    collector->minute_hits = hits;
    collector->minute_lookups = lookups;
}

static void add_minute(struct collector *collector, int64_t now_us) {
    struct seconds *seconds = collector->seconds;
    struct minute minute = {
        .at_ms = clock_wall_ms(collector->options->clock),
        .api_avg_ms = NAN,
        .api_p95_ms = NAN,
        .tps_peak = seconds_peak(seconds, now_us, GAUGE_tps, HISTORY_STEP_S),
        .cpu_percent = seconds_mean(seconds, now_us, GAUGE_cpu, HISTORY_STEP_S),
        .memory_percent = seconds_mean(seconds, now_us, GAUGE_memory, HISTORY_STEP_S),
        .connections_peak = seconds_peak(seconds, now_us, GAUGE_connections, HISTORY_STEP_S),
        .rss_bytes = collector->health.rss_bytes,
    };
    fill_minute_api(collector, &minute);
    fill_minute_db(collector, &minute);
    fill_minute_cache(collector, &minute);
    history_add(collector->history, &minute);
    collector->minute_us = now_us;
}

/* The rate is over the time that really passed: a late second does not look like a busy one. */
static double take_tps(struct collector *collector, int64_t now_us) {
    uint64_t transactions = 0;
    for (size_t i = 0; i < collector->options->loops; i++) {
        transactions += counter_read(&collector->cells[i]->transactions);
    }
    double elapsed_s = (double)(now_us - collector->second_us) / 1e6;
    double more = (double)(transactions - collector->second_transactions);
    collector->second_transactions = transactions;
    collector->second_us = now_us;
    return elapsed_s > 0 ? more / elapsed_s : NAN;
}

MAY_BLOCK void collect_second(struct collector *collector, int64_t now_us) {
    health_read(collector->reader, now_us, &collector->health);
    struct second_sample sample = {.counters = {0}};
    fill_counters(collector, sample.counters);
    sample.gauges[GAUGE_tps] = take_tps(collector, now_us);
    sample.gauges[GAUGE_stall_us] = (double)collector->figures.stall_us;
    sample.gauges[GAUGE_connections] = (double)collector->figures.connections;
    sample.gauges[GAUGE_cpu] = collector->health.cpu_percent;
    sample.gauges[GAUGE_process_cpu] = collector->health.process_cpu_percent;
    sample.gauges[GAUGE_memory] = collector->health.memory_percent;
    seconds_take(collector->seconds, now_us, &sample);
    collector->figures.stall_us = 0;
    if (now_us - collector->minute_us >= HISTORY_STEP_S * 1000000LL) {
        add_minute(collector, now_us);
    }
}

/* ---- the view ---- */

bool collect_row(struct collector *collector, int age, struct view_second *ret_row) {
    struct second_sample sample;
    int64_t now_us = collector->collected_us, begun_us;
    if (!seconds_back(collector->seconds, now_us, age, &sample, &begun_us)) {
        return false;
    }
    const uint64_t *counters = sample.counters;
    uint64_t run = counters[SECOND_queries] - counters[SECOND_refused];
    uint64_t lookups = counters[SECOND_l1_hits] + counters[SECOND_l1_misses];
    uint64_t hits = counters[SECOND_l1_hits] + counters[SECOND_l2_hits];
    *ret_row = (struct view_second){
        .at_ms = clock_wall_ms(collector->options->clock) - (now_us - begun_us) / 1000,
        .requests = counters[SECOND_requests],
        .server_errors = counters[SECOND_server_errors],
        .queries = run,
        .api_avg_ms = average_ms(counters[SECOND_request_us], counters[SECOND_requests]),
        .db_avg_ms = average_ms(counters[SECOND_query_us], run),
        .db_queue_ms = average_ms(counters[SECOND_queue_us], run),
        .hit_rate = lookups == 0 ? NAN : (double)hits / (double)lookups,
        .tps = sample.gauges[GAUGE_tps],
        .cpu_percent = sample.gauges[GAUGE_cpu],
        .memory_percent = sample.gauges[GAUGE_memory],
        .connections = sample.gauges[GAUGE_connections],
        .stall_ms = sample.gauges[GAUGE_stall_us] / 1000,
    };
    return true;
}

static struct view_times no_times(void) {
    return (struct view_times){0, NAN, NAN, NAN, NAN, NAN};
}

static struct view_times times_of(const struct histogram_snapshot *snapshot) {
    uint64_t count = histogram_count(snapshot);
    if (count == 0) {
        return no_times();
    }
    return (struct view_times){
        .count = count,
        .avg_ms = histogram_average(snapshot) / 1000,
        .p50_ms = histogram_quantile(snapshot, 0.50) / 1000,
        .p95_ms = histogram_quantile(snapshot, 0.95) / 1000,
        .p99_ms = histogram_quantile(snapshot, 0.99) / 1000,
        .max_ms = histogram_quantile(snapshot, 1) / 1000,
    };
}

static void look_in_flight(const struct collector *collector, size_t index, int64_t now_us,
                           struct view_route *route) {
    for (size_t i = 0; i < collector->options->loops; i++) {
        const struct route_cells *cells = &collector->cells[i]->routes[index];
        int64_t oldest_us = atomic_load_explicit(&cells->oldest_us, memory_order_relaxed);
        int64_t age_ms = oldest_us == 0 || oldest_us > now_us ? 0 : (now_us - oldest_us) / 1000;
        route->in_flight += counter_read(&cells->in_flight);
        route->oldest_ms = age_ms > route->oldest_ms ? age_ms : route->oldest_ms;
    }
}

static void view_routes(struct collector *collector, int64_t now_us, struct view *view) {
    collector->sum = (struct histogram_snapshot){.sum = 0};
    view->api.name = "api";
    view->routes = collector->routes_rows;
    for (size_t i = 0; i < collector->options->routes; i++) {
        if (!collector->options->route_is_api(i)) {
            continue;
        }
        struct view_route *route = &view->routes[view->routes_len];
        *route = (struct view_route){.name = collector->options->route_name(i),
                                     .times = no_times()};
        look_in_flight(collector, i, now_us, route);
        if (collector->routes[i].window != NULL) {
            const struct window_total *total = window_total(collector->routes[i].window, now_us);
            route->times = times_of(&total->latency);
            histogram_add(&collector->sum, &total->latency);
            route->slow = total->counters[ROUTE_SLOW];
            route->server_errors = total->counters[ROUTE_5XX];
        }
        route->rps = (double)route->times.count / view->window_s;
        view->api.slow += route->slow;
        view->api.server_errors += route->server_errors;
        view->api.in_flight += route->in_flight;
        view->api.oldest_ms =
            route->oldest_ms > view->api.oldest_ms ? route->oldest_ms : view->api.oldest_ms;
        view->routes_len += route->times.count > 0 || route->in_flight > 0;
    }
    view->api.times = times_of(&collector->sum);
    view->api.rps = (double)view->api.times.count / view->window_s;
}

static void fill_phases(struct view_query *query, const struct histogram_snapshot *latency,
                        uint64_t queue_us) {
    query->queue_avg_ms = average_ms(queue_us, query->times.count);
    query->run_avg_ms = average_ms(latency->sum - queue_us, query->times.count);
}

static void view_queries(struct collector *collector, int64_t now_us, struct view *view) {
    uint64_t queue_us = 0;
    collector->sum = (struct histogram_snapshot){.sum = 0};
    view->db.name = "db";
    view->queries = collector->queries_rows;
    for (int i = 0; i < STORE_OP_COUNT; i++) {
        if (collector->queries[i].window == NULL) {
            continue;
        }
        const struct window_total *total = window_total(collector->queries[i].window, now_us);
        struct view_query *query = &view->queries[view->queries_len];
        *query = (struct view_query){.name = store_op_text((enum store_op_e)i),
                                     .failures = total->counters[QUERY_FAILED],
                                     .refused = total->counters[QUERY_REFUSED],
                                     .slow = total->counters[QUERY_SLOW],
                                     .times = times_of(&total->latency)};
        fill_phases(query, &total->latency, total->counters[QUERY_QUEUE_US]);
        histogram_add(&collector->sum, &total->latency);
        queue_us += total->counters[QUERY_QUEUE_US];
        view->db.failures += query->failures;
        view->db.refused += query->refused;
        view->db.slow += query->slow;
        view->queries_len += query->times.count > 0 || query->failures > 0;
    }
    view->db.times = times_of(&collector->sum);
    fill_phases(&view->db, &collector->sum, queue_us);
}

static double rate_of(uint64_t hits, uint64_t misses) {
    return hits + misses == 0 ? NAN : (double)hits / (double)(hits + misses);
}

static void view_cache(const struct collector *collector, const uint64_t *sums,
                       struct view *view) {
    const struct cache_figures *cache = &collector->cache;
    view->l1 = (struct view_level){.hits = sums[SECOND_l1_hits],
                                   .misses = sums[SECOND_l1_misses],
                                   .evictions = sums[SECOND_l1_evictions],
                                   .entries = cache->l1.entries,
                                   .capacity = cache->l1.capacity};
    view->l2 = (struct view_level){.hits = sums[SECOND_l2_hits],
                                   .misses = sums[SECOND_l2_misses],
                                   .evictions = sums[SECOND_l2_evictions],
                                   .entries = cache->l2.entries,
                                   .capacity = cache->l2.capacity};
    view->l1.hit_rate = rate_of(view->l1.hits, view->l1.misses);
    view->l2.hit_rate = rate_of(view->l2.hits, view->l2.misses);
    uint64_t l1_gets = view->l1.hits + view->l1.misses, l2_gets = view->l2.hits + view->l2.misses;
    view->l1.avg_us =
        sums[SECOND_l1_gets_us] == 0 ? NAN : (double)sums[SECOND_l1_gets_us] / (double)l1_gets;
    view->l2.avg_us =
        sums[SECOND_l2_gets_us] == 0 ? NAN : (double)sums[SECOND_l2_gets_us] / (double)l2_gets;
    /* What missed in L1 is looked for in L2: of all look-ups, those that some level answered. */
    uint64_t hits = view->l1.hits + view->l2.hits;
    view->hit_rate = l1_gets == 0 ? NAN : (double)hits / (double)l1_gets;
    view->hit_rate = view->hit_rate > 1 ? 1 : view->hit_rate;
    view->l2_state = cache->l2_state;
    view->cold = sums[SECOND_cold];
    view->expired = sums[SECOND_expired];
    view->evicted = sums[SECOND_evicted];
    view->invalidated = sums[SECOND_invalidated];
    view->l2_down = sums[SECOND_l2_down];
}

static void view_replica(const struct collector *collector, const uint64_t *sums,
                         struct view *view) {
    const struct store_replica_figures *replica = &collector->replica;
    view->replica_reads = sums[SECOND_replica_reads];
    view->replica_late = sums[SECOND_replica_late];
    view->replica_limit_ms = (double)replica->limit_us / 1000;
    view->replica_behind_ms = replica->behind_us < 0 ? NAN : (double)replica->behind_us / 1000;
}

static void view_seconds(struct collector *collector, int64_t now_us, struct view *view) {
    struct seconds *seconds = collector->seconds;
    uint64_t sums[SECOND_COUNTER_COUNT];
    seconds_sum(seconds, now_us, sums);
    view_cache(collector, sums, view);
    view_replica(collector, sums, view);
    view->connections = collector->figures.connections;
    view->connections_peak = seconds_peak(seconds, now_us, GAUGE_connections, WINDOW_SECONDS);
    view->tps_peak = seconds_peak(seconds, now_us, GAUGE_tps, WINDOW_SECONDS);
    view->tps_avg = (double)sums[SECOND_transactions] / view->window_s;
    view->stall_ms_max = seconds_peak(seconds, now_us, GAUGE_stall_us, WINDOW_SECONDS) / 1000;
    view->stalled_seconds = seconds_above(seconds, now_us, GAUGE_stall_us, STALL_US);
    view->unauthorized = sums[SECOND_unauthorized];
    view->rate_limited = sums[SECOND_rate_limited];
    view->unavailable = sums[SECOND_unavailable];
    view->rejected_heads = sums[SECOND_rejected_heads];
    view->timeouts = sums[SECOND_timeouts];
    view->health = collector->health;
    view->health.cpu_percent = seconds_mean(seconds, now_us, GAUGE_cpu, CPU_SPAN_S);
    view->health.process_cpu_percent =
        seconds_mean(seconds, now_us, GAUGE_process_cpu, CPU_SPAN_S);
}

void collect_view(struct collector *collector, struct view *ret_view) {
    int64_t now_us = collector->collected_us;
    const struct monitor_options *options = collector->options;
    int64_t uptime_s = (now_us - collector->started_us) / 1000000;
    *ret_view = (struct view){
        .at_ms = clock_wall_ms(options->clock),
        .window_s = uptime_s < 1 ? 1 : uptime_s < WINDOW_SECONDS ? (int)uptime_s : WINDOW_SECONDS,
        .uptime_s = uptime_s,
        .node = options->node,
        .url = options->url,
        .version = options->version,
        .connections_limit = options->connections_limit,
        .rss_growth_per_h = history_rss_growth_per_h(collector->history),
        .queue_now_ms = history_queue_ms(collector->history, 0, 1),
        .queue_before_ms = history_queue_ms(collector->history, 1, QUEUE_BEFORE_MINUTES),
    };
    for (size_t i = 0; i < options->loops; i++) {
        ret_view->streams += counter_read(&collector->cells[i]->streams);
    }
    view_routes(collector, now_us, ret_view);
    view_queries(collector, now_us, ret_view);
    view_seconds(collector, now_us, ret_view);
    ret_view->is_skewed = collector->doors != NULL &&
                          doors_read(collector->doors, now_us, &ret_view->skew);
    ret_view->has_second = collect_row(collector, 1, &ret_view->second);
}
