/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of one loop: made, drained and taken apart on its own thread. */
#include "app/node_loop.h"

#include "base/fsm.h"
#include "base/log.h"

#include <stdint.h>
#include <unistd.h>

enum { DRAIN_LOOK_EVERY_MS = 10 };

static const struct fsm_row rows[] = {
    [NODE_LOOP_NEW] = {"new", FSM_TO(NODE_LOOP_SERVING) | FSM_TO(NODE_LOOP_FAILED)},
    [NODE_LOOP_SERVING] = {"serving", FSM_TO(NODE_LOOP_DRAINING)},
    [NODE_LOOP_DRAINING] = {"draining", FSM_TO(NODE_LOOP_ENDED)},
    [NODE_LOOP_ENDED] = {"ended", 0},
    [NODE_LOOP_FAILED] = {"failed", 0},
};

static void wake_main(const struct node_loop *nl) {
    uint64_t one = 1;
    ssize_t written = write(nl->parts->wake, &one, sizeof one);
    ASSERT(written == sizeof one); /* an eventfd counts to 2^64 - 2: these few never fill it */
}

/* The loop's thread only. */
static void move(struct node_loop *nl, enum node_loop_state_e next) {
    int state = atomic_load(&nl->state);
    fsm_move(rows, &state, (int)next);
    atomic_store(&nl->state, state);
    wake_main(nl);
}

static struct node_loop *receiver(struct loop_message *message) {
    return ((struct node_order *)message)->to;
}

static void take_apart(struct node_loop *nl) {
    if (nl->is_attached) { /* before what it reads is gone */
        monitor_detach(nl->parts->api_node->monitor, (size_t)loop_index(nl->loop));
    }
    nl->is_attached = false;
    if (nl->http != NULL) {
        http_server_destroy(nl->http);
    }
    if (nl->api != NULL) {
        api_destroy(nl->api);
    }
    if (nl->checkin != NULL) {
        checkin_destroy(nl->checkin);
    }
    doors_watch_close(nl->doors);
    node_cache_leave(&nl->cache);
    postgres_leave(nl->direct, nl->parts->api_node->store);
    nl->http = NULL;
    nl->api = NULL;
    nl->checkin = NULL;
    nl->doors = NULL;
    nl->store = NULL;
    nl->direct = NULL;
}

/* True also where there is nothing to watch with. */
static bool open_doors_watch(struct node_loop *nl, struct store_meter meter) {
    if (loop_index(nl->loop) != 0) {
        return true;
    }
    nl->doors = doors_watch_open(&(struct doors_watch_options){
        .loop = nl->loop,
        .store = nl->direct, /* what nobody asked for is no look-up of the cache's hit rate */
        .doors = monitor_doors(nl->parts->api_node->monitor),
        .meter = meter,
    });
    return nl->doors != NULL;
}

static bool put_together(struct node_loop *nl) {
    const struct node_parts *parts = nl->parts;
    struct monitor *monitor = parts->api_node->monitor;
    nl->direct = postgres_join(parts->api_node->store, nl->loop);
    if (nl->direct == NULL) {
        return false;
    }
    nl->store = nl->direct;
    if (parts->cache != NULL) {
        if (node_cache_enter(parts->cache, nl->loop, nl->store, &nl->cache) != ERR_OK) {
            return false;
        }
        nl->store = nl->cache.store;
    }
    struct checkin_options options = parts->limits.checkin;
    if (MEASURING) {
        options.meter = (struct store_meter){api_store_seen,
                                             monitor_cells(monitor, (size_t)loop_index(nl->loop))};
    }
    nl->checkin = checkin_create(nl->loop, nl->store, &options);
    if (nl->checkin == NULL || !open_doors_watch(nl, options.meter)) {
        return false;
    }
    nl->api = api_create(nl->loop, parts->api_node, nl->store, nl->checkin);
    if (nl->api == NULL) {
        return false;
    }
    nl->http = http_server_create(nl->loop, &parts->limits.http, parts->listen_fd, api_handle,
                                  nl->api);
    if (nl->http == NULL) {
        return false;
    }
    monitor_attach(monitor, (size_t)loop_index(nl->loop),
                   &(struct monitor_loop){nl->loop, nl, api_on_second, nl->api});
    nl->is_attached = true;
    return true;
}

static void on_start(struct loop_message *message) {
    struct node_loop *nl = receiver(message);
    if (put_together(nl)) {
        atomic_store(&nl->is_open, !nl->parts->limits.http.yields_at_first);
        move(nl, NODE_LOOP_SERVING);
        return;
    }
    log_event(LOG_ERROR, "loop_failed", "loop=%d reason=\"no memory or descriptors\"",
              loop_index(nl->loop));
    take_apart(nl);
    loop_stop(nl->loop);
    move(nl, NODE_LOOP_FAILED);
}

/* A message, not the timer's callback: taking a server apart may turn the loop once more. */
static void on_finish(struct loop_message *message) {
    struct node_loop *nl = receiver(message);
    take_apart(nl);
    loop_stop(nl->loop);
    move(nl, NODE_LOOP_ENDED);
}

static void look_whether_idle(void *data) {
    struct node_loop *nl = data;
    if (!http_server_is_idle(nl->http) || !api_is_idle(nl->api) ||
        !node_cache_is_idle(&nl->cache) ||
        (nl->doors != NULL && !doors_watch_is_idle(nl->doors))) {
        return;
    }
    node_cache_seal(&nl->cache);
    loop_timer_stop(nl->drain_timer);
    nl->drain_timer = NULL;
    loop_post(nl->loop, &nl->finish.message);
}

static void on_drain(struct loop_message *message) {
    struct node_loop *nl = receiver(message);
    http_server_drain(nl->http);
    api_drain(nl->api);
    node_cache_drain(&nl->cache);
    if (nl->doors != NULL) {
        doors_watch_stop(nl->doors);
    }
    move(nl, NODE_LOOP_DRAINING);
    nl->drain_timer = loop_timer_start(nl->loop, 0, DRAIN_LOOK_EVERY_MS, look_whether_idle, nl);
    if (nl->drain_timer == NULL) {
        log_event(LOG_ERROR, "drain_failed", "loop=%d reason=\"no memory\"", loop_index(nl->loop));
    }
}

static void on_set(struct loop_message *message) {
    struct node_loop *nl = receiver(message);
    mtx_lock(&nl->lock);
    nl->set_is_out = false;
    const struct node_limits limits = nl->wanted;
    mtx_unlock(&nl->lock);
    if (nl->http != NULL) {
        http_server_set_limits(nl->http, &limits.http);
        checkin_set_limits(nl->checkin, &limits.checkin);
    }
}

static void on_door(struct loop_message *message) {
    struct node_loop *nl = receiver(message);
    mtx_lock(&nl->lock);
    nl->door_is_out = false;
    bool opens = nl->wants_open;
    mtx_unlock(&nl->lock);
    if (nl->http == NULL) {
        return;
    }
    if (opens) {
        http_server_open(nl->http);
    } else {
        http_server_yield(nl->http);
        api_yield(nl->api);
    }
    atomic_store(&nl->is_open, opens);
    wake_main(nl);
}

static void on_beat(struct loop_message *message) {
    atomic_store(&receiver(message)->beat_is_out, false);
}

static void on_cut_off(struct loop_message *message) {
    struct node_loop *nl = receiver(message);
    if (nl->http != NULL) {
        http_server_cut_off(nl->http);
    }
}

enum err_e node_loop_start(struct node_loop *nl, int index, const struct node_parts *parts) {
    nl->parts = parts;
    nl->start = (struct node_order){{.fn = on_start}, nl};
    nl->drain = (struct node_order){{.fn = on_drain}, nl};
    nl->cut_off = (struct node_order){{.fn = on_cut_off}, nl};
    nl->finish = (struct node_order){{.fn = on_finish}, nl};
    nl->set = (struct node_order){{.fn = on_set}, nl};
    nl->door = (struct node_order){{.fn = on_door}, nl};
    nl->beat = (struct node_order){{.fn = on_beat}, nl};
    atomic_init(&nl->is_open, false);
    atomic_init(&nl->beat_is_out, false);
    atomic_init(&nl->state, NODE_LOOP_NEW);
    nl->loop = loop_create(index, parts->api_node->clock);
    if (nl->loop == NULL) {
        return ERR_NO_MEMORY;
    }
    ASSERT(mtx_init(&nl->lock, mtx_plain) == thrd_success);
    enum err_e err = loop_start(nl->loop);
    if (err != ERR_OK) {
        mtx_destroy(&nl->lock);
        loop_destroy(nl->loop);
        nl->loop = NULL;
        return err;
    }
    loop_post(nl->loop, &nl->start.message);
    return ERR_OK;
}

void node_loop_set(struct node_loop *nl, const struct node_limits *limits) {
    mtx_lock(&nl->lock);
    bool is_out = nl->set_is_out;
    nl->wanted = *limits;
    nl->set_is_out = true;
    mtx_unlock(&nl->lock);
    if (!is_out) {
        loop_post(nl->loop, &nl->set.message);
    }
}

static void ask_door(struct node_loop *nl, bool opens) {
    mtx_lock(&nl->lock);
    bool is_out = nl->door_is_out;
    nl->wants_open = opens;
    nl->door_is_out = true;
    mtx_unlock(&nl->lock);
    if (!is_out) {
        loop_post(nl->loop, &nl->door.message);
    }
}

void node_loop_open(struct node_loop *nl) {
    ask_door(nl, true);
}

void node_loop_yield(struct node_loop *nl) {
    ask_door(nl, false);
}

bool node_loop_is_open(const struct node_loop *nl) {
    return atomic_load(&nl->is_open);
}

bool node_loop_turns(struct node_loop *nl) {
    if (atomic_load(&nl->beat_is_out)) {
        return false;
    }
    atomic_store(&nl->beat_is_out, true);
    loop_post(nl->loop, &nl->beat.message);
    return true;
}

void node_loop_drain(struct node_loop *nl) {
    loop_post(nl->loop, &nl->drain.message);
}

void node_loop_cut_off(struct node_loop *nl) {
    if (node_loop_state(nl) == NODE_LOOP_DRAINING || node_loop_state(nl) == NODE_LOOP_SERVING) {
        loop_post(nl->loop, &nl->cut_off.message);
    }
}

void node_loop_figures(void *data, struct loop_figures *ret_figures) {
    const struct node_loop *nl = data;
    struct http_counts counts;
    http_server_counts(nl->http, &counts);
    *ret_figures = (struct loop_figures){
        .connections = counts.connections_open,
        .connections_total = counts.connections_total,
        .rejected_heads = counts.rejected_heads,
        .ignored_forwarded = counts.ignored_forwarded,
        .timeouts = counts.timeouts,
        .bytes_out = counts.bytes_out,
        .stall_us = loop_take_stall_us(nl->loop),
    };
}

enum node_loop_state_e node_loop_state(const struct node_loop *nl) {
    return (enum node_loop_state_e)atomic_load(&nl->state);
}

void node_loop_join(struct node_loop *nl) {
    loop_join(nl->loop);
    mtx_destroy(&nl->lock);
    loop_destroy(nl->loop);
    nl->loop = NULL;
}
