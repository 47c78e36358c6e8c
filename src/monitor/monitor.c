/* SPDX-License-Identifier: Apache-2.0 */
/* The monitor's thread: questions, seconds, and the loops that come and go. */
#include "monitor/monitor.h"

#include "base/assert.h"
#include "base/log.h"
#include "monitor/collect_priv.h"
#include "monitor/documents.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

enum { SECOND_US = 1000000, TEXT_MAX = 8 << 20 };

/* A loop's place. `latest` is handed over by exchange: full means that a message is under way. */
struct place {
    struct loop_message message; /* first */
    mtx_t lock;                  /* for `attached` and what it guards, on the monitor's thread */
    bool attached;
    struct monitor_loop loop;    /* on_second and data: the loop's thread alone */
    struct loop_figures figures; /* as read last; kept when the loop has gone */
    _Atomic(struct document *) latest;
};

struct monitor {
    struct monitor_options options;
    struct mailbox box;
    pthread_t thread;
    bool running;
    struct place *places;
    struct cells **cells;
    struct doors *doors;
    struct collector collector;
    struct view view;
    int64_t next_second_us;
    int64_t collection_us; /* time that the last collection took */
    struct buf text;
};

/* ---- documents ---- */

struct document *document_create(struct slice text) {
    struct document *document = malloc(sizeof *document + text.len);
    if (document != NULL) {
        atomic_init(&document->refs, 1);
        document->len = text.len;
        if (text.len > 0) {
            memcpy(document->text, text.at, text.len);
        }
    }
    return document;
}

static struct document *document_ref(struct document *document) {
    if (document != NULL) {
        atomic_fetch_add_explicit(&document->refs, 1, memory_order_relaxed);
    }
    return document;
}

void document_unref(struct document *document) {
    if (document != NULL &&
        atomic_fetch_sub_explicit(&document->refs, 1, memory_order_acq_rel) == 1) {
        free(document);
    }
}

/* ---- life ---- */

static bool make_places(struct monitor *monitor) {
    size_t loops = monitor->options.loops;
    monitor->places = calloc(loops, sizeof *monitor->places);
    monitor->cells = calloc(loops, sizeof(struct cells *));
    if (monitor->places == NULL || monitor->cells == NULL) {
        return false;
    }
    for (size_t i = 0; i < loops; i++) {
        ASSERT(mtx_init(&monitor->places[i].lock, mtx_plain) == thrd_success);
    }
    for (size_t i = 0; i < loops; i++) {
        monitor->cells[i] = cells_create();
        if (monitor->cells[i] == NULL) {
            return false;
        }
        monitor->cells[i]->doors = monitor->doors;
    }
    return true;
}

struct monitor *monitor_create(const struct monitor_options *options) {
    ASSERT(options->routes <= CELLS_ROUTES_MAX);
    ASSERT(options->loops > 0 && options->loops <= COLLECT_LOOPS_MAX);
    struct monitor *monitor = calloc(1, sizeof *monitor);
    if (monitor == NULL) {
        return NULL;
    }
    monitor->options = *options;
    mailbox_init(&monitor->box, MONITOR_ASKS_MAX, NULL, NULL);
    buf_init(&monitor->text, TEXT_MAX);
    monitor->doors = doors_create();
    if (monitor->doors == NULL || !make_places(monitor) ||
        !collector_init(&monitor->collector, &monitor->options, monitor->cells, monitor->doors)) {
        monitor_destroy(monitor);
        return NULL;
    }
    monitor->next_second_us = clock_mono_us(options->clock);
    return monitor;
}

void monitor_destroy(struct monitor *monitor) {
    if (monitor == NULL) {
        return;
    }
    ASSERT(!monitor->running);
    collector_fini(&monitor->collector);
    for (size_t i = 0; monitor->places != NULL && i < monitor->options.loops; i++) {
        document_unref(atomic_load(&monitor->places[i].latest));
        mtx_destroy(&monitor->places[i].lock);
    }
    for (size_t i = 0; monitor->cells != NULL && i < monitor->options.loops; i++) {
        cells_destroy(monitor->cells[i]);
    }
    doors_destroy(monitor->doors);
    free(monitor->places);
    free(monitor->cells);
    buf_fini(&monitor->text);
    mailbox_fini(&monitor->box);
    free(monitor);
}

struct cells *monitor_cells(struct monitor *monitor, size_t index) {
    ASSERT(index < monitor->options.loops);
    return monitor->cells[index];
}

struct doors *monitor_doors(struct monitor *monitor) {
    return monitor->doors;
}

/* ---- loops ---- */

/* On the loop. One that has detached itself does not want it any more. */
static void hand_over(struct loop_message *message) {
    struct place *place = (struct place *)message;
    struct document *document = atomic_exchange(&place->latest, NULL);
    if (place->loop.on_second != NULL) {
        place->loop.on_second(document, place->loop.data);
    } else {
        document_unref(document);
    }
}

void monitor_attach(struct monitor *monitor, size_t index, const struct monitor_loop *loop) {
    ASSERT(index < monitor->options.loops);
    struct place *place = &monitor->places[index];
    mtx_lock(&place->lock);
    ASSERT(!place->attached);
    place->attached = true;
    place->loop = *loop;
    place->message.fn = hand_over;
    mtx_unlock(&place->lock);
}

void monitor_detach(struct monitor *monitor, size_t index) {
    struct place *place = &monitor->places[index];
    mtx_lock(&place->lock);
    place->attached = false;
    place->loop = (struct monitor_loop){.loop = NULL};
    mtx_unlock(&place->lock);
}

static void add_figures(struct loop_figures *to, const struct loop_figures *from) {
    to->connections += from->connections;
    to->connections_total += from->connections_total;
    to->rejected_heads += from->rejected_heads;
    to->ignored_forwarded += from->ignored_forwarded;
    to->timeouts += from->timeouts;
    to->bytes_out += from->bytes_out;
    to->stall_us = from->stall_us > to->stall_us ? from->stall_us : to->stall_us;
}

/* A stall is told once a second: what is read in between is kept. */
static void read_loops(struct monitor *monitor) {
    struct loop_figures all = {.stall_us = monitor->collector.figures.stall_us};
    for (size_t i = 0; i < monitor->options.loops; i++) {
        struct place *place = &monitor->places[i];
        mtx_lock(&place->lock);
        place->figures.stall_us = 0;
        if (place->attached) {
            monitor->options.read_loop(place->loop.figures, &place->figures);
        } else {
            place->figures.connections = 0;
        }
        mtx_unlock(&place->lock);
        add_figures(&all, &place->figures);
    }
    monitor->collector.figures = all;
}

/* What the loop has not fetched yet is dropped for the latest. */
static void offer(struct place *place, struct document *document) {
    mtx_lock(&place->lock);
    if (place->attached) {
        struct document *before = atomic_exchange(&place->latest, document_ref(document));
        if (before == NULL) {
            loop_post(place->loop.loop, &place->message);
        }
        document_unref(before);
    }
    mtx_unlock(&place->lock);
}

/* ---- writing ---- */

static double process_cpu_s(void) {
    struct timespec used;
    return clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) == 0
               ? (double)used.tv_sec + (double)used.tv_nsec / 1e9
               : -1;
}

static int64_t horizon_s(const struct monitor_options *options) {
    int64_t end_ms = options->read_horizon_ms == NULL ? TIME_NONE
                                                      : options->read_horizon_ms(options->database);
    if (end_ms == TIME_NONE) {
        return -1;
    }
    int64_t left_ms = end_ms - clock_wall_ms(options->clock);
    return left_ms < 0 ? 0 : left_ms / 1000;
}

static void write_metrics(struct monitor *monitor, enum metrics_form_e form) {
    struct collector *collector = &monitor->collector;
    metrics_write(
        &(struct metrics_input){
            .form = form,
            .view = &monitor->view,
            .cells = (const struct cells *const *)monitor->cells,
            .cells_len = monitor->options.loops,
            .routes = monitor->options.routes,
            .route_name = monitor->options.route_name,
            .figures = collector->figures,
            .cache = collector->cache,
            .replica = collector->replica,
            .cluster = collector->cluster,
            .horizon_s = monitor->view.horizon_s,
            .process_cpu_s = process_cpu_s(),
            .start_s = (double)monitor->view.at_ms / 1000 - (double)monitor->view.uptime_s,
            .collection_s = (double)monitor->collection_us / 1e6,
        },
        &monitor->text);
}

/* Oldest first, without the present one, which is not over. */
static void write_seconds(struct monitor *monitor, struct json_writer *json) {
    struct view_second row;
    seconds_write_begin(json);
    for (int age = WINDOW_SECONDS - 1; age >= 1; age--) {
        if (collect_row(&monitor->collector, age, &row)) {
            seconds_write_row(json, &row);
        }
    }
    seconds_write_end(json);
}

static void write_document(struct monitor *monitor, enum monitor_document_e kind) {
    struct json_writer json;
    const struct view *view = &monitor->view;
    json_writer_init(&json, &monitor->text);
    switch (kind) {
    case DOCUMENT_PERFORMANCE:
        performance_write(&json, view);
        return;
    case DOCUMENT_KPI:
        kpi_write(&json, view);
        return;
    case DOCUMENT_SUGGESTIONS_EN:
        suggestions_write(&json, view, LANG_EN);
        return;
    case DOCUMENT_SUGGESTIONS_KO:
        suggestions_write(&json, view, LANG_KO);
        return;
    case DOCUMENT_HISTORY:
        history_write(&json, monitor->collector.history);
        return;
    case DOCUMENT_SECONDS:
        write_seconds(monitor, &json);
        return;
    case DOCUMENT_METRICS:
        write_metrics(monitor, METRICS_PROMETHEUS);
        return;
    case DOCUMENT_OPENMETRICS:
        write_metrics(monitor, METRICS_OPEN);
        return;
    case DOCUMENT_COUNT:
        break;
    }
    UNREACHABLE();
}

static struct document *make_document(struct monitor *monitor, enum monitor_document_e kind) {
    buf_clear(&monitor->text);
    write_document(monitor, kind);
    return monitor->text.failed ? NULL : document_create(buf_slice(&monitor->text));
}

/* ---- a round ---- */

static int64_t now_of(const struct monitor *monitor) {
    return clock_mono_us(monitor->options.clock);
}

static void collect_now(struct monitor *monitor, int64_t now_us) {
    read_loops(monitor);
    collect(&monitor->collector, now_us);
}

static bool has_streams(const struct monitor *monitor, size_t index) {
    return counter_read(&monitor->cells[index]->streams) > 0;
}

static void offer_second(struct monitor *monitor) {
    struct document *document = NULL;
    for (size_t i = 0; i < monitor->options.loops; i++) {
        if (!has_streams(monitor, i)) {
            continue;
        }
        document = document != NULL ? document : make_document(monitor, DOCUMENT_PERFORMANCE);
        if (document == NULL) {
            log_event(LOG_WARN, "monitor_no_memory", "what=stream");
            return;
        }
        offer(&monitor->places[i], document);
    }
    document_unref(document);
}

static void answer(struct monitor *monitor, struct message *asks) {
    struct document *made[DOCUMENT_COUNT] = {NULL};
    while (asks != NULL) {
        struct monitor_ask *ask = (struct monitor_ask *)asks;
        asks = asks->next; /* the ask is its asker's once it is posted */
        if (made[ask->kind] == NULL) {
            made[ask->kind] = make_document(monitor, ask->kind);
        }
        ask->document = document_ref(made[ask->kind]);
        loop_post(ask->loop, &ask->message);
    }
    for (int i = 0; i < DOCUMENT_COUNT; i++) {
        document_unref(made[i]);
    }
}

MAY_BLOCK void monitor_turn(struct monitor *monitor, struct message *asks) {
    int64_t now_us = now_of(monitor);
    if (monitor->next_second_us - now_us > SECOND_US) { /* the clock has stepped back */
        monitor->next_second_us = now_us + SECOND_US;
    }
    bool is_second = now_us >= monitor->next_second_us;
    if (asks == NULL && !is_second) {
        return;
    }
    collect_now(monitor, now_us);
    if (is_second) {
        collect_second(&monitor->collector, now_us);
        int64_t late_us = now_us - monitor->next_second_us;
        monitor->next_second_us = now_us + SECOND_US - (late_us < SECOND_US ? late_us : 0);
    }
    collect_view(&monitor->collector, &monitor->view);
    monitor->view.horizon_s = horizon_s(&monitor->options);
    monitor->collection_us = now_of(monitor) - now_us;
    answer(monitor, asks);
    if (is_second && monitor->options.on_view != NULL) {
        monitor->options.on_view(&monitor->view, monitor->options.on_view_data);
    }
    if (is_second) {
        offer_second(monitor);
    }
}

struct message *monitor_take_asks(struct monitor *monitor) {
    return mailbox_take(&monitor->box);
}

enum err_e monitor_ask(struct monitor *monitor, struct monitor_ask *ask) {
    ask->document = NULL;
    if (mailbox_post(&monitor->box, &ask->link)) {
        return ERR_OK;
    }
    return mailbox_is_closed(&monitor->box) ? ERR_DRAINING : ERR_OVERLOADED;
}

/* ---- the thread ---- */

static void block_signals(void) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
}

static void *monitor_main(void *data) {
    struct monitor *monitor = data;
    pthread_setname_np(pthread_self(), "monitor");
    block_signals();
    for (;;) {
        bool closed = mailbox_is_closed(&monitor->box);
        int64_t left_us = monitor->next_second_us - now_of(monitor);
        int64_t wait_ms = left_us <= 0 ? 0 : left_us / 1000 + 1;
        struct message *asks = mailbox_wait(&monitor->box, wait_ms);
        if (asks == NULL && closed) {
            return NULL;
        }
        monitor_turn(monitor, asks);
    }
}

enum err_e monitor_start(struct monitor *monitor) {
    if (pthread_create(&monitor->thread, NULL, monitor_main, monitor) != 0) {
        return ERR_NO_MEMORY;
    }
    monitor->running = true;
    return ERR_OK;
}

MAY_BLOCK void monitor_stop(struct monitor *monitor) {
    if (monitor->running) {
        mailbox_close(&monitor->box);
        ASSERT(pthread_join(monitor->thread, NULL) == 0);
        monitor->running = false;
    }
}
