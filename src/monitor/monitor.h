/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The performance monitor of a node: one thread that adds up what the loops measure, reads how the
 * system is, and writes the documents that clients ask for.
 *
 *   loop ── cells, single writer ──►┐             ┌─► asked for: a document, back to the loop
 *   loop ── cells ─────────────────►├── monitor ──┤
 *   kernel's files ── once a second ►┘             └─► each second, to loops with streams
 *
 * Each second (and whenever a document is asked for) it subtracts what it saw before: an exact
 * window of 300 seconds, and steps of a minute for 24 hours. Nothing but this thread touches those,
 * so there is no lock but the one under which a loop comes and goes.
 *
 * Thread: create, start, stop and destroy from main; attach, detach, ask and the cells on the loop.
 */
#ifndef TURNOUT_MONITOR_MONITOR_H
#define TURNOUT_MONITOR_MONITOR_H

#include "io/loop.h"
#include "monitor/cells.h"
#include "monitor/metrics.h"
#include "monitor/suggest.h"

struct monitor;

enum {
    MONITOR_ASKS_MAX = 1024, /* documents asked for and not answered yet */
};

struct monitor_options {
    struct clock *clock;
    size_t loops;
    size_t routes;                          /* at most CELLS_ROUTES_MAX */
    const char *(*route_name)(size_t index);
    bool (*route_is_api)(size_t index);     /* false: probes and the like, which would dilute the
                                               averages: they are told in /metrics only */
    const char *node;                       /* its id; these live as long as the monitor */
    const char *url;
    const char *version;
    const char *disk_path;                  /* on the store's disk; NULL: not known */
    uint64_t connections_limit;             /* of all loops together; 0: not known */
    /* Reads the figures of an attached loop. On the monitor's thread. */
    void (*read_loop)(void *loop, struct loop_figures *ret_figures);
    void (*read_cache)(void *cache, struct cache_figures *ret_figures); /* NULL: no cache */
    void *cache;
    int64_t (*read_horizon_ms)(void *database); /* end of the store's partitions, or TIME_NONE;
                                               NULL: it has none */
    void *database;
    /* What became of reads that may lag; NULL: there are none. */
    void (*read_replica)(struct store *store, struct store_replica_figures *ret_figures);
    struct store *store;
    void (*read_cluster)(void *cluster, struct cluster_figures *ret_figures); /* NULL: there is
        none */
    void *cluster;
    /* Each second's view, which lives for the call. On the monitor's thread; NULL: nobody asks. */
    void (*on_view)(const struct view *view, void *data);
    void *on_view_data;
    const char *root;                       /* of the kernel's files; "" but in tests */
};

struct monitor *monitor_create(const struct monitor_options *options); /* NULL without memory */
void monitor_destroy(struct monitor *monitor); /* not running; NULL: nothing */
enum err_e monitor_start(struct monitor *monitor) MUST_CHECK;
MAY_BLOCK void monitor_stop(struct monitor *monitor); /* after the last loop has ended */

/* Of loop `index`; the loop is their only writer. */
struct cells *monitor_cells(struct monitor *monitor, size_t index);

/* For the watch on one of the loops (monitor/doors_watch.h). */
struct doors *monitor_doors(struct monitor *monitor);

/* A document, shared and never changed. */
struct document {
    _Atomic int refs;
    size_t len;
    char text[];
};
struct document *document_create(struct slice text); /* one reference; NULL without memory */
void document_unref(struct document *document);      /* NULL: nothing */
static inline struct slice document_text(const struct document *document) {
    return slice_from(document->text, document->len);
}

/* A loop that serves. `on_second` gets each second's performance document while the loop has
 * streams open, on the loop; it owns the reference. A loop that is behind gets the latest one
 * alone. */
struct monitor_loop {
    struct loop *loop;
    void *figures; /* for read_loop */
    void (*on_second)(struct document *document, void *data);
    void *data;
};
void monitor_attach(struct monitor *monitor, size_t index, const struct monitor_loop *loop);
void monitor_detach(struct monitor *monitor, size_t index); /* on the loop, before it ends */

enum monitor_document_e {
    DOCUMENT_PERFORMANCE,
    DOCUMENT_KPI,
    DOCUMENT_SUGGESTIONS_EN,
    DOCUMENT_SUGGESTIONS_KO,
    DOCUMENT_HISTORY, /* 24 hours of minutes */
    DOCUMENT_SECONDS, /* the window's seconds */
    DOCUMENT_METRICS,
    DOCUMENT_OPENMETRICS,
    DOCUMENT_COUNT,
};

/* A question; the asker's until monitor_ask, and again when `message.fn` runs on `loop`. */
struct monitor_ask {
    struct message link;         /* first: the monitor's */
    struct loop_message message; /* fn: what to do with the answer */
    struct loop *loop;
    enum monitor_document_e kind;
    struct document *document;   /* the answer, with a reference; NULL: there was no memory */
};
/* ERR_OVERLOADED: too many wait; ERR_DRAINING: it has stopped. */
enum err_e monitor_ask(struct monitor *monitor, struct monitor_ask *ask) MUST_CHECK;

/* One round: answers what is asked, and does what each second asks for when it is time. The
 * thread's work, for tests that have none. */
MAY_BLOCK void monitor_turn(struct monitor *monitor, struct message *asks);
struct message *monitor_take_asks(struct monitor *monitor);

#endif
