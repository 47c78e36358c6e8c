/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this unit share: the server, its connections and its requests.
 * Thread: the server's loop only.
 */
#ifndef TURNOUT_HTTP_HTTP_PRIV_H
#define TURNOUT_HTTP_HTTP_PRIV_H

#include "base/buf.h"
#include "base/pool.h"
#include "base/rng.h"
#include "http/chunks_priv.h"
#include "http/forwarded_priv.h"
#include "http/head_priv.h"
#include "http/http.h"
#include "http/trace_priv.h"
#include "stat/counter.h"

#include <h2o.h>
#include <netinet/in.h>
#include <uv.h>

/* X(STATE, may be followed by): see the drawing in connection.c. */
#define CONNECTION_STATES(X)                                                                       \
    X(NEW, FSM_TO(CONNECTION_IDLE) | FSM_TO(CONNECTION_CLOSED))                                    \
    X(IDLE, FSM_TO(CONNECTION_HEAD) | FSM_TO(CONNECTION_CLOSED))                                   \
    X(HEAD, FSM_TO(CONNECTION_BODY) | FSM_TO(CONNECTION_HANDED) | FSM_TO(CONNECTION_REFUSED) |     \
                FSM_TO(CONNECTION_CLOSED))                                                         \
    X(BODY, FSM_TO(CONNECTION_HANDED) | FSM_TO(CONNECTION_REFUSED) | FSM_TO(CONNECTION_CLOSED))    \
    X(HANDED, FSM_TO(CONNECTION_WORK) | FSM_TO(CONNECTION_CLOSED))                                 \
    X(WORK, FSM_TO(CONNECTION_SEND) | FSM_TO(CONNECTION_RESTING) | FSM_TO(CONNECTION_CLOSED))      \
    X(SEND, FSM_TO(CONNECTION_RESTING) | FSM_TO(CONNECTION_CLOSED))                                \
    X(RESTING, FSM_TO(CONNECTION_IDLE) | FSM_TO(CONNECTION_CLOSED))                                \
    X(REFUSED, FSM_TO(CONNECTION_CLOSED))                                                          \
    X(CLOSED, 0)

enum connection_state_e {
#define X(state, next) CONNECTION_##state,
    CONNECTION_STATES(X)
#undef X
    CONNECTION_STATE_COUNT
};

union address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

struct connection {
    uv_tcp_t tcp;
    h2o_socket_t *sock;
    h2o_socket_cb feed; /* libh2o's reader: gives it what stands in sock->input, or an end */
    struct http_server *server;
    struct http_request *request; /* from a whole head to the end of its answer */
    struct connection *before, *after; /* in the list of its state, longest there first */
    int state;
    int64_t since_us; /* in this state, or the last progress in it */
    size_t scanned;   /* HEAD: bytes without the head's end; later the head's length */
    size_t framed;    /* BODY: bytes whose framing was read */
    size_t counted;   /* bytes it has in server->unfinished */
    size_t taken;     /* SEND: bytes the kernel had taken at the last look */
    size_t written;   /* bytes written before this answer */
    char *stash;      /* bytes that came behind a request, NULL without any */
    size_t stash_len;
    size_t stash_used;
    bool blank_line; /* IDLE: one empty line was skipped */
    struct http_ip peer;
};

struct connection_list {
    struct connection *first, *last;
};

struct http_server {
    struct loop *loop;
    struct http_options options;
    http_handler_fn handler;
    void *data;
    char name[64];
    h2o_globalconf_t config;
    h2o_context_t context;
    h2o_accept_ctx_t accept;
    int listen_fd;
    uv_poll_t listener;
    uv_prepare_t between; /* puts resting connections to work again */
    uv_idle_t orphan_turn; /* runs while `orphans` are left */
    struct loop_timer *sweep;
    struct loop_timer *pause; /* out of descriptors: no accept until it fires */
    struct connection_list connections[CONNECTION_STATE_COUNT];
    size_t handles; /* connections whose memory is not free yet */
    size_t unfinished; /* bytes of requests that are not whole */
    struct pool requests;
    /* Streams without a client that are to be asked for more, oldest first. */
    struct http_request *first_orphan, *last_orphan;
    size_t orphan_count;
    struct seeded_rng ids;
    bool draining;
    bool yielding;
    bool has_told_ignored; /* an X-Forwarded-For of somebody who is not trusted was logged */
    struct loop_message dispose;
    struct counter open, total, seen, in_flight, rejected, timed_out, bytes_out, ignored;
};

struct http_request {
    h2o_generator_t generator; /* first: libh2o gives it back to on_proceed */
    struct http_server *server;
    struct connection *connection; /* NULL once it is over there */
    h2o_req_t *h2o;                /* from dispatch to its end; NULL without a client */
    struct arena arena;
    struct head head; /* slices of the arena's copy */
    struct slice raw; /* that copy */
    struct chunks chunks;
    struct slice body;
    h2o_buffer_t *body_buffer; /* taken from the socket; NULL when the body was copied */
    char id_text[24];
    struct slice id;
    char trace[TRACE_TEXT_LEN + 1]; /* what is passed on; "": there is no trace */
    struct origin origin;
    int64_t begun_us;
    int64_t answered_us;
    http_end_fn end;
    void *end_data;
    int status;
    size_t bytes;
    http_more_fn more;
    void *more_data;
    struct buf piece;  /* what is being written of a stream */
    bool answered;     /* the handler has given its last piece */
    bool wants_piece;  /* a stream that may write */
    bool discards;     /* HEAD of a stream: the pieces go nowhere */
    bool is_orphan;
    struct http_request *orphan_before, *orphan_after;
};

/* connection.c */
void connection_open(struct http_server *server, int fd, const struct http_ip *peer);
void connection_cut(struct connection *connection);   /* closes it now; nothing if it is closed */
void connection_reset(struct connection *connection); /* the same, and the client sees it broken */
void connection_dispatched(struct connection *connection); /* libh2o passed the request on */
void connection_answers(struct connection *connection);    /* its answer begins */
void connection_rest(struct connection *connection);       /* its answer has ended */
void connection_resume(struct connection *connection);     /* RESTING: the next request */
/* A request that is not whole is refused and the connection closed behind the answer. */
struct refusal {
    int status;
    enum err_e err; /* whose code it bears */
    const char *detail;
};
void connection_refuse(struct connection *connection, const struct refusal *refusal);
void connection_sweep(struct http_server *server);
bool connection_has_input(const struct connection *connection); /* bytes that were not read yet */

/* request.c */
struct http_request *request_begin(struct connection *connection, struct slice raw);
void request_discard(struct http_request *request); /* no handler has seen it */
void request_dispatch(struct http_request *request, h2o_req_t *h2o);
void request_detach(struct http_request *request, size_t bytes); /* libh2o's side is over */
void request_free(void *request); /* for the pool */

/* listen.c */
void listener_start(struct http_server *server);
void listener_stop(struct http_server *server);
bool listener_init(struct http_server *server, int listen_fd);
void listener_fini(struct http_server *server);

/* status.c: "Not Found" for 404 */
const char *status_phrase(int status);

#endif
