/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request on its way through the api, and what every handler uses: the store, answers, errors.
 *
 * A call lives in its request's arena. Its handler runs once the route, the key and the body's type
 * are checked, and ends it with exactly one of call_reply_json, call_reply_empty, call_fail or a
 * streamed answer. After that nothing of the call may be touched. Thread: the loop's.
 */
#ifndef TURNOUT_API_CALL_PRIV_H
#define TURNOUT_API_CALL_PRIV_H

#include "api/api.h"
#include "api/auth.h"
#include "api/cursor.h"
#include "api/json_in.h"
#include "api/json_out.h"
#include "api/query.h"
#include "api/routes.h"
#include "api/streams_priv.h"
#include "base/pool.h"

enum {
    JSON_BODY_MAX = 64 * 1024,
    BULK_BODY_MAX = 32 * 1024 * 1024,
    LIST_LIMIT_DEFAULT = 100,
    OUT_MAX = 64 << 20,     /* a page of 1000 people with every text at its longest */
    OUT_KEPT = 1 << 20,     /* what the output buffer keeps between two answers */
    STREAM_PIECE = 64 * 1024,
};

struct batch; /* of scans: batch.c */
struct batch_line {
    size_t taken, taken_bytes;  /* places, and the bodies of those who have them */
    struct batch *first, *last; /* that wait for one, longest first */
    size_t bytes;               /* of their bodies */
    struct loop_timer *look;    /* while one waits */
};

struct api {
    struct loop *loop;
    struct api_node *node;
    struct store *store;
    struct checkin *checkin;
    struct auth *auth;
    struct pool ops;   /* struct api_op */
    size_t waiting;    /* calls that wait for the store or for checkin */
    struct buf out;    /* the answer being written; used within one turn only */
    struct json_writer json;
    struct cells *cells; /* the loop's; NULL: nothing is measured */
    struct loop_timer *look; /* for requests in flight that are slow already */
    struct store_meter meter; /* of its own operations */
    struct streams streams;
    struct batch_line batches;
};

struct call;
typedef void (*call_fn)(struct call *call);

/* A store operation with its way back to the loop. */
struct api_op {
    struct loop_message message; /* first */
    struct store_op op;
    struct call *call;
    bool is_ready; /* its arena is initialised */
};

struct call {
    struct api *api;
    struct http_request *request;
    struct arena *arena; /* the request's */
    const struct route *route;
    struct slice params[ROUTE_PARAMS_MAX]; /* event code first */
    struct query query;
    struct auth_request auth;
    bool is_known; /* its key is good, so it has a scope */
    enum key_scope_e scope;
    struct slice bound_event; /* of an event-bound key; else empty */
    int64_t retry_after_s;    /* of a 503; 0: a second */
    struct api_op *op;        /* borrowed while the call has one */
    call_fn then;
    void *state;              /* the handler's */
    struct loop_message turn; /* for call_next_turn */
    call_fn go_on;            /* behind a completion that was good, or in the next turn */
    struct scan scan;         /* of a single scan */
    struct cells_request measured;
};

/* --- the store: call.c --- */

/* The call's operation, cleared, of this kind, with event and deadline set. NULL when too many are
 * under way: the call has been answered then. */
struct store_op *call_begin_op(struct call *call, enum store_op_e kind);
/* Submits it. `then` runs when it is done; a failed one is answered as the error it is. */
void call_submit(struct call *call, call_fn then);
/* The same, but `then` runs for failed ones too and looks at op->err. */
void call_submit_raw(struct call *call, call_fn then);
static inline struct store_op *call_op(struct call *call) {
    return &call->op->op;
}
/* Who asks, for what is written down: the id of the key. */
static inline struct slice call_author(const struct call *call) {
    return call->auth.id.len > 0 ? call->auth.id : SLICE_LIT("auth off");
}
/* Runs `fn` in the loop's next turn, so that long work does not hold up other requests. */
void call_next_turn(struct call *call, call_fn fn);
void call_begin_waiting(struct call *call); /* for checkin, which has its own completion */
void call_end_waiting(struct call *call);

/* --- answers: reply.c --- */

struct json_writer *call_begin_json(struct call *call); /* writes into the api's buffer */
void call_reply_json(struct call *call, int status);
void call_reply_empty(struct call *call, int status);
void call_reply_text(struct call *call, const char *type, struct slice text); /* 200 */
/* `problem` may be NULL, or belong to the call's operation. */
void call_fail(struct call *call, enum err_e err, const struct problem *problem);
/* Gives the operation back; for answers in pieces, before the last one. */
void call_release(struct call *call);
void api_trim_out(struct api *api); /* a large output buffer is not kept */

/* --- input: input.c --- */

/* False: the call has been answered. */
bool call_read_body(struct call *call, enum fields_mode_e mode, struct problem *problem,
                    struct body *ret_body);
/* The second parameter of the path as a number; `unknown` is the error when it is none. */
bool call_read_id(struct call *call, enum err_e unknown, int64_t *ret_id);

/* The paging parameters of a list. `cursor` comes with list and filter set. */
struct page {
    size_t limit;
    bool has_cursor;
    struct cursor cursor;
};
bool call_read_page(struct call *call, struct page *page);
/* {"items":[ ... */
struct json_writer *call_begin_items(struct call *call);
/* ... ],"next":…}: a cursor whose keys are those of the last item, or NULL at the end. */
void call_reply_items(struct call *call, const struct cursor *next);

enum media_e { MEDIA_NONE, MEDIA_JSON, MEDIA_CSV, MEDIA_NDJSON, MEDIA_OTHER };
/* Of a Content-Type; a charset other than UTF-8 makes it MEDIA_OTHER. Pure. */
enum media_e media_of(struct slice content_type);
/* True when an Accept field prefers text/csv to JSON. Pure. */
bool accept_prefers_csv(struct slice accept);

/* --- the dashboard: site.c, sessions.c --- */

/* Of Accept-Encoding and If-None-Match. Pure. */
bool accepts_gzip(struct slice accept_encoding);
bool etag_matches(struct slice if_none_match, struct slice etag);
/* Whether a request was started by a page of this very site, or by no page. By Sec-Fetch-Site, else
 * by Origin against Host; each may be empty. Pure. */
bool session_origin_is_own(struct slice fetch_site, struct slice origin, struct slice host);

#endif
