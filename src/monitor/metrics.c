/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text format: # HELP, # TYPE, samples, family by family. A family without a sample is left
 * out, so that "not known" does not look like zero.
 */
#include "monitor/metrics_priv.h"

#include "base/assert.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

/* Microseconds: OpenTelemetry's bounds for HTTP, and finer ones below a millisecond's five. */
static const struct bound {
    uint64_t us;
    const char *text;
} bounds[] = {
    {100, "0.0001"},    {250, "0.00025"},   {500, "0.0005"},   {1000, "0.001"},
    {2500, "0.0025"},   {5000, "0.005"},    {10000, "0.01"},   {25000, "0.025"},
    {50000, "0.05"},    {75000, "0.075"},   {100000, "0.1"},   {250000, "0.25"},
    {500000, "0.5"},    {750000, "0.75"},   {1000000, "1"},    {2500000, "2.5"},
    {5000000, "5"},     {7500000, "7.5"},   {10000000, "10"},
};

enum metric_type_e { TYPE_COUNTER, TYPE_GAUGE, TYPE_HISTOGRAM };

/* ---- one sample ---- */

void metrics_add(struct metrics_writer *w, const char *suffix, const char *labels, double value) {
    if (!isfinite(value)) {
        return;
    }
    buf_printf(w->to, "%s%s%s%s%s ", w->name, suffix, labels[0] == '\0' ? "" : "{", labels,
               labels[0] == '\0' ? "" : "}");
    if (value == floor(value) && fabs(value) < 1e15) {
        buf_printf(w->to, "%.0f\n", value);
    } else {
        buf_printf(w->to, "%.9g\n", value);
    }
}

static void add_known(struct metrics_writer *w, int64_t value) {
    metrics_add(w, "", "", value < 0 ? NAN : (double)value);
}

void metrics_put_label(char ret_labels[METRICS_LABELS_SIZE], const char *name, const char *value) {
    int len = snprintf(ret_labels, METRICS_LABELS_SIZE, "%s=\"%s\"", name, value);
    ASSERT(len > 0 && len < METRICS_LABELS_SIZE);
}

void metrics_add_label(char labels[METRICS_LABELS_SIZE], const char *name, const char *value) {
    size_t len = strlen(labels);
    int more = snprintf(labels + len, METRICS_LABELS_SIZE - len, ",%s=\"%s\"", name, value);
    ASSERT(more > 0 && len + (size_t)more < METRICS_LABELS_SIZE);
}

static void add_histogram(struct metrics_writer *w, const char *labels) {
    char more[METRICS_LABELS_SIZE];
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        bool wants_point = w->in->form == METRICS_OPEN && strchr(bounds[i].text, '.') == NULL;
        char bound[16]; /* OpenMetrics writes 1 as 1.0 there */
        snprintf(bound, sizeof bound, "%s%s", bounds[i].text, wants_point ? ".0" : "");
        snprintf(more, sizeof more, "%s", labels);
        metrics_add_label(more, "le", bound);
        metrics_add(w, "_bucket", more, (double)histogram_count_until(&w->sum, bounds[i].us));
    }
    double count = (double)histogram_count(&w->sum);
    snprintf(more, sizeof more, "%s", labels);
    metrics_add_label(more, "le", "+Inf");
    metrics_add(w, "_bucket", more, count);
    metrics_add(w, "_sum", labels, (double)w->sum.sum / 1e6);
    metrics_add(w, "_count", labels, count);
}

/* ---- by route ---- */

static uint64_t sum_class(const struct metrics_writer *w, size_t route, enum answer_class_e class) {
    uint64_t sum = 0;
    for (size_t i = 0; i < w->in->cells_len; i++) {
        sum += counter_read(&w->in->cells[i]->routes[route].classes[class]);
    }
    return sum;
}

static bool was_asked(const struct metrics_writer *w, size_t route) {
    uint64_t sum = 0;
    for (int class = 0; class < ANSWER_CLASS_COUNT; class++) {
        sum += sum_class(w, route, (enum answer_class_e)class);
    }
    return sum > 0;
}

typedef uint64_t (*route_figure_fn)(const struct route_cells *cells);

static uint64_t bytes_of(const struct route_cells *cells) {
    return counter_read(&cells->bytes);
}

static uint64_t slow_of(const struct route_cells *cells) {
    return counter_read(&cells->slow);
}

static uint64_t in_flight_of(const struct route_cells *cells) {
    return counter_read(&cells->in_flight);
}

/* Routes that nobody has asked for make no series; one that hangs is there before it is
 * answered. */
static void write_by_route(struct metrics_writer *w, route_figure_fn figure) {
    for (size_t route = 0; route < w->in->routes; route++) {
        uint64_t sum = 0;
        for (size_t i = 0; i < w->in->cells_len; i++) {
            sum += figure(&w->in->cells[i]->routes[route]);
        }
        char labels[METRICS_LABELS_SIZE];
        if (sum > 0 || was_asked(w, route)) {
            metrics_put_label(labels, "route", w->in->route_name(route));
            metrics_add(w, "", labels, (double)sum);
        }
    }
}

static void write_requests(struct metrics_writer *w) {
    static const char *const classes[ANSWER_CLASS_COUNT] = {
#define X(name, label) label,
        ANSWER_CLASS_TABLE(X)
#undef X
    };
    for (size_t route = 0; route < w->in->routes; route++) {
        if (!was_asked(w, route)) {
            continue;
        }
        for (int class = 0; class < ANSWER_CLASS_COUNT; class++) {
            char labels[METRICS_LABELS_SIZE];
            metrics_put_label(labels, "route", w->in->route_name(route));
            metrics_add_label(labels, "class", classes[class]);
            metrics_add(w, "", labels, (double)sum_class(w, route, (enum answer_class_e)class));
        }
    }
}

static void write_request_seconds(struct metrics_writer *w) {
    for (size_t route = 0; route < w->in->routes; route++) {
        if (!was_asked(w, route)) {
            continue;
        }
        w->sum = (struct histogram_snapshot){.sum = 0};
        for (size_t i = 0; i < w->in->cells_len; i++) {
            histogram_collect(&w->in->cells[i]->routes[route].latency, &w->sum);
        }
        char labels[METRICS_LABELS_SIZE];
        metrics_put_label(labels, "route", w->in->route_name(route));
        add_histogram(w, labels);
    }
}

static void write_response_bytes(struct metrics_writer *w) {
    write_by_route(w, bytes_of);
}

static void write_slow_requests(struct metrics_writer *w) {
    write_by_route(w, slow_of);
}

static void write_in_flight(struct metrics_writer *w) {
    write_by_route(w, in_flight_of);
}

/* ---- by operation ---- */

static bool has_run(const struct metrics_writer *w, int kind) {
    uint64_t sum = 0;
    for (size_t i = 0; i < w->in->cells_len; i++) {
        const struct query_cells *cells = &w->in->cells[i]->queries[kind];
        sum += counter_read(&cells->ended);
    }
    return sum > 0;
}

typedef uint64_t (*query_figure_fn)(const struct query_cells *cells);

static uint64_t queue_of(const struct query_cells *cells) {
    return counter_read(&cells->queue_us);
}

static uint64_t run_of(const struct query_cells *cells) {
    return counter_read(&cells->run_us);
}

static uint64_t failed_of(const struct query_cells *cells) {
    return counter_read(&cells->failed);
}

static uint64_t refused_of(const struct query_cells *cells) {
    return counter_read(&cells->refused);
}

static uint64_t slow_query_of(const struct query_cells *cells) {
    return counter_read(&cells->slow);
}

static void write_by_query(struct metrics_writer *w, query_figure_fn figure, double scale) {
    for (int kind = 0; kind < STORE_OP_COUNT; kind++) {
        if (!has_run(w, kind)) {
            continue;
        }
        uint64_t sum = 0;
        for (size_t i = 0; i < w->in->cells_len; i++) {
            sum += figure(&w->in->cells[i]->queries[kind]);
        }
        char labels[METRICS_LABELS_SIZE];
        metrics_put_label(labels, "operation", store_op_text((enum store_op_e)kind));
        metrics_add(w, "", labels, (double)sum * scale);
    }
}

static void write_store_seconds(struct metrics_writer *w) {
    for (int kind = 0; kind < STORE_OP_COUNT; kind++) {
        if (!has_run(w, kind)) {
            continue;
        }
        w->sum = (struct histogram_snapshot){.sum = 0};
        for (size_t i = 0; i < w->in->cells_len; i++) {
            histogram_collect(&w->in->cells[i]->queries[kind].latency, &w->sum);
        }
        char labels[METRICS_LABELS_SIZE];
        metrics_put_label(labels, "operation", store_op_text((enum store_op_e)kind));
        add_histogram(w, labels);
    }
}

static void write_store_queue(struct metrics_writer *w) {
    write_by_query(w, queue_of, 1e-6);
}

static void write_store_run(struct metrics_writer *w) {
    write_by_query(w, run_of, 1e-6);
}

static void write_store_failures(struct metrics_writer *w) {
    write_by_query(w, failed_of, 1);
}

static void write_store_refused(struct metrics_writer *w) {
    write_by_query(w, refused_of, 1);
}

static void write_store_slow(struct metrics_writer *w) {
    write_by_query(w, slow_query_of, 1);
}

/* ---- of the whole node ---- */

static void write_oldest(struct metrics_writer *w) {
    metrics_add(w, "", "", (double)w->in->view->api.oldest_ms / 1000);
}

static void write_streams(struct metrics_writer *w) {
    metrics_add(w, "", "", (double)w->in->view->streams);
}

static void write_connections(struct metrics_writer *w) {
    metrics_add(w, "", "", (double)w->in->figures.connections);
}

static void write_connections_max(struct metrics_writer *w) {
    uint64_t limit = w->in->view->connections_limit;
    metrics_add(w, "", "", limit == 0 ? NAN : (double)limit);
}

static void write_accepted(struct metrics_writer *w) {
    metrics_add(w, "", "", (double)w->in->figures.connections_total);
}

static void write_rejected_heads(struct metrics_writer *w) {
    metrics_add(w, "", "", (double)w->in->figures.rejected_heads);
}

static void write_ignored_forwarded(struct metrics_writer *w) {
    metrics_add(w, "", "", (double)w->in->figures.ignored_forwarded);
}

static void write_timeouts(struct metrics_writer *w) {
    metrics_add(w, "", "", (double)w->in->figures.timeouts);
}

static void write_sent_bytes(struct metrics_writer *w) {
    metrics_add(w, "", "", (double)w->in->figures.bytes_out);
}

#define X(name)                                                                                    \
    static void write_##name(struct metrics_writer *w) {                                           \
        uint64_t sum = 0;                                                                          \
        for (size_t i = 0; i < w->in->cells_len; i++) {                                            \
            sum += counter_read(&w->in->cells[i]->name);                                           \
        }                                                                                          \
        metrics_add(w, "", "", (double)sum);                                                       \
    }
LOOP_COUNTER_TABLE(X)
#undef X

static void write_loop_turn(struct metrics_writer *w) {
    metrics_add(w, "", "", w->in->view->stall_ms_max / 1000);
}

/* ---- database ---- */

static void write_partition_horizon(struct metrics_writer *w) {
    if (w->in->horizon_s >= 0) {
        metrics_add(w, "", "", (double)w->in->horizon_s);
    }
}

static void write_replica_reads(struct metrics_writer *w) {
    if (w->in->replica.limit_us > 0) {
        metrics_add(w, "", "outcome=\"standby\"", (double)w->in->replica.reads);
        metrics_add(w, "", "outcome=\"late\"", (double)w->in->replica.late);
    }
}

/* ---- all nodes ---- */

static void write_cluster_nodes(struct metrics_writer *w) {
    const struct cluster_figures *cluster = &w->in->cluster;
    if (cluster->is_known) {
        metrics_add(w, "", "state=\"healthy\"", (double)cluster->healthy);
        metrics_add(w, "", "state=\"suspect\"", (double)cluster->suspect);
        metrics_add(w, "", "state=\"draining\"", (double)cluster->draining);
        metrics_add(w, "", "state=\"gone\"", (double)cluster->gone);
    }
}

static void write_cluster_asks(struct metrics_writer *w) {
    const struct cluster_figures *cluster = &w->in->cluster;
    if (cluster->is_known) {
        uint64_t answered = cluster->asks - cluster->misses - cluster->lies;
        metrics_add(w, "", "outcome=\"answered\"", (double)answered);
        metrics_add(w, "", "outcome=\"missed\"", (double)cluster->misses);
        metrics_add(w, "", "outcome=\"lie\"", (double)cluster->lies);
    }
}

static void add_of_cluster(struct metrics_writer *w, double value) {
    if (w->in->cluster.is_known) {
        metrics_add(w, "", "", value);
    }
}

static void write_cluster_changes(struct metrics_writer *w) {
    add_of_cluster(w, (double)w->in->cluster.state_changes);
}

static void write_cluster_clock(struct metrics_writer *w) {
    add_of_cluster(w, w->in->cluster.clock_off_s);
}

static void write_controller_leads(struct metrics_writer *w) {
    add_of_cluster(w, w->in->cluster.leads);
}

static void write_controller_term(struct metrics_writer *w) {
    add_of_cluster(w, (double)w->in->cluster.term);
}

/* ---- system ---- */

static void write_cpu(struct metrics_writer *w) {
    metrics_add(w, "", "", w->in->view->health.cpu_percent / 100);
}

static void write_cpu_limit(struct metrics_writer *w) {
    metrics_add(w, "", "", w->in->view->health.cpu_cores);
}

static void write_memory(struct metrics_writer *w) {
    metrics_add(w, "", "", w->in->view->health.memory_percent / 100);
}

static void write_memory_limit(struct metrics_writer *w) {
    add_known(w, w->in->view->health.memory_limit);
}

static void write_pressure(struct metrics_writer *w) {
    const struct health *health = &w->in->view->health;
    const struct {
        const char *resource;
        const struct pressure *pressure;
    } rows[] = {{"cpu", &health->cpu}, {"memory", &health->memory}, {"io", &health->io}};
    for (size_t i = 0; health->has_pressure && i < sizeof rows / sizeof rows[0]; i++) {
        char labels[METRICS_LABELS_SIZE];
        metrics_put_label(labels, "resource", rows[i].resource);
        metrics_add_label(labels, "kind", "some");
        metrics_add(w, "", labels, rows[i].pressure->some / 100);
        metrics_put_label(labels, "resource", rows[i].resource);
        metrics_add_label(labels, "kind", "full");
        metrics_add(w, "", labels, rows[i].pressure->full / 100);
    }
}

static void write_disk_free(struct metrics_writer *w) {
    add_known(w, w->in->view->health.disk_free_bytes);
}

static void write_disk_size(struct metrics_writer *w) {
    add_known(w, w->in->view->health.disk_total_bytes);
}

static void write_process_cpu(struct metrics_writer *w) {
    metrics_add(w, "", "", w->in->process_cpu_s);
}

static void write_process_rss(struct metrics_writer *w) {
    add_known(w, w->in->view->health.rss_bytes);
}

static void write_process_fds(struct metrics_writer *w) {
    add_known(w, w->in->view->health.open_fds);
}

static void write_process_fds_max(struct metrics_writer *w) {
    add_known(w, w->in->view->health.fds_limit);
}

static void write_process_start(struct metrics_writer *w) {
    metrics_add(w, "", "", w->in->start_s);
}

static void write_build(struct metrics_writer *w) {
    char labels[METRICS_LABELS_SIZE];
    metrics_put_label(labels, "version", w->in->view->version);
    metrics_add(w, "", labels, 1);
}

static void write_collection(struct metrics_writer *w) {
    metrics_add(w, "", "", w->in->collection_s);
}

/* ---- families ---- */

#define X(id) static void (*const write_##id)(struct metrics_writer *w) = metrics_write_##id;
METRICS_CACHE_TABLE(X)
#undef X

static const struct family {
    const char *name;
    enum metric_type_e type;
    const char *help;
    void (*write)(struct metrics_writer *w);
} families[] = {
#define X(id, name, type, labels, help) {name, TYPE_##type, help, write_##id},
    METRICS_TABLE(X)
#undef X
};

/* In OpenMetrics a counter's family has no _total, its samples have. */
static int family_len(const struct family *family, enum metrics_form_e form) {
    size_t len = strlen(family->name), ending = strlen("_total");
    bool is_cut = form == METRICS_OPEN && family->type == TYPE_COUNTER;
    return (int)(is_cut ? len - ending : len);
}

void metrics_write(const struct metrics_input *input, struct buf *to) {
    static const char *const types[] = {"counter", "gauge", "histogram"};
    struct metrics_writer w = {.in = input, .to = to};
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        const struct family *family = &families[i];
        size_t begun = to->len;
        int len = family_len(family, input->form);
        buf_printf(to, "# HELP %.*s %s\n# TYPE %.*s %s\n", len, family->name, family->help, len,
                   family->name, types[family->type]);
        size_t filled = to->len;
        w.name = family->name;
        family->write(&w);
        if (to->len == filled && !to->failed) {
            to->len = begun;
        }
    }
    buf_add_text(to, input->form == METRICS_OPEN ? "# EOF\n" : "");
}
