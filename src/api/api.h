/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP API of docs/api: routes, keys and scopes, JSON in and out, OpenAPI.
 *
 * One api per loop. It parses and checks what comes in, submits store operations or scans, and
 * turns what they came to into answers. It never blocks. Thread: the loop it was created on.
 */
#ifndef TURNOUT_API_API_H
#define TURNOUT_API_API_H

#include "checkin/checkin.h"
#include "http/http.h"
#include "monitor/monitor.h"
#include "store/store.h"

#include <stdatomic.h>

enum api_auth_e { API_AUTH_REQUIRED, API_AUTH_OFF };

struct db_service;
struct access_log;
struct controller;
struct notifier;
struct desk;
struct order_book;

/* What all loops of a node share; owned by app, outlives every api. */
struct api_node {
    struct store *store;         /* its health is that of the node */
    struct clock *clock;
    struct rng *rng;             /* for tokens: the system's */
    enum api_auth_e auth;
    atomic_bool draining;        /* set once at stop: /readyz says 503, new work is refused */
    _Atomic int64_t store_deadline_ms; /* reads and administrative writes that wait longer fail */
    _Atomic int64_t session_ms;  /* how long a login of the dashboard lasts */
    size_t ops_max;              /* store operations in flight per loop */
    const char *version;
    struct monitor *monitor;     /* NULL: nothing is measured */
    struct keeper *cache;         /* NULL: there is none */
    struct db_service *optimizer; /* NULL: the database is not looked after from here */
    struct access_log *access;   /* NULL: there is none */
    struct controller *controller; /* NULL: nothing is decided */
    struct notifier *notifier;     /* NULL: nobody is told anything */
    struct order_book *orders;     /* NULL: none are given here */
    struct desk *desk;             /* what controllers ask; NULL: they are refused */
    bool has_events;               /* false: a controller alone, whose routes of events are none */
};

/* `store` is the loop's way to the node's store: outlives the api, submitted to on the loop
 * only. */
struct api *api_create(struct loop *loop, struct api_node *node, struct store *store,
                       struct checkin *checkin);
void api_destroy(struct api *api); /* nothing in flight */
void api_handle(struct http_request *request, void *api); /* an http_handler_fn */
bool api_is_idle(const struct api *api); /* no request waits, no event stream is open */
/* Ends the event streams, whose clients come back; those that come later stay. */
void api_yield(struct api *api);
/* Ends the event streams; new requests are refused by `draining`. */
void api_drain(struct api *api);
/* For monitor_attach: the document is the event of this second. */
void api_on_second(struct document *document, void *api);
/* A store_meter's `seen` for operations whose owner is a request of an api; `data` is the loop's
 * struct cells. */
void api_store_seen(const struct store_op *op, void *owner, void *data);

/* Routes by index, for measuring: "POST /v1/events/{event}/checkins"; the last is "other", for what
 * no route knows. Those outside /v1 are not the API's: probes and metrics. */
size_t api_route_count(void);
const char *api_route_name(size_t index);
bool api_route_is_api(size_t index);

/* "tk_ID.SECRET" for a new key and what the store keeps of it. */
enum { API_KEY_TEXT_SIZE = 96 };
void api_key_make(struct rng *rng, struct arena *arena, struct api_key *ret_key,
                  char ret_text[API_KEY_TEXT_SIZE]);

/* The OpenAPI document as served at /openapi.json. */
struct slice api_openapi(void);

#endif
