/* SPDX-License-Identifier: Apache-2.0 */
/* The server of one loop: its libh2o context, its clockwork and its end. */
#include "http/http_priv.h"

#include "base/assert.h"
#include "base/log.h"

#include <stdlib.h>

/* A request that has outlived its client still holds its place: room for as many again. */
enum { REQUESTS_PER_CONNECTION = 2 };
/* libh2o's own clock for requests is not ours (it does not distinguish head, body and idling), so
 * it is set beyond all of ours: 30 years. */
#define LIBH2O_TIMEOUT_MS 946080000000ull

enum { SWEEP_MS_MIN = 10, SWEEP_MS_MAX = 500 };

static struct connection *connection_of(h2o_req_t *h2o) {
    return h2o->conn->callbacks->get_socket(h2o->conn)->on_close.data;
}

/* libh2o has read a request. It came through the gate, or it is none. */
static int on_request(h2o_handler_t *self, h2o_req_t *h2o) {
    (void)self;
    struct connection *connection = connection_of(h2o);
    if (connection->state != CONNECTION_HANDED) {
        log_event(LOG_ERROR, "http_past_the_gate", "loop=%d", loop_index(connection->server->loop));
        h2o_send_error_400(h2o, "Bad Request", "", H2O_SEND_ERROR_HTTP1_CLOSE_CONNECTION);
        return 0;
    }
    struct http_server *server = connection->server;
    struct http_request *request = connection->request;
    connection_dispatched(connection);
    request_dispatch(request, h2o);
    counter_add(&server->seen, 1);
    counter_add(&server->in_flight, 1);
    server->handler(request, server->data);
    return 0;
}

/* libh2o is done with a request: its answer was written, or its connection is closing. */
static void on_request_over(h2o_logger_t *self, h2o_req_t *h2o) {
    (void)self;
    struct connection *connection = connection_of(h2o);
    struct http_request *request = connection->request;
    if (request == NULL || request->h2o != h2o) {
        return; /* refused by libh2o: see hand_over */
    }
    size_t bytes = connection->sock->bytes_written - connection->written;
    counter_add(&connection->server->bytes_out, bytes);
    connection_rest(connection);
    request_detach(request, bytes);
}

static void on_between(uv_prepare_t *prepare) {
    struct http_server *server = prepare->data;
    struct connection *connection;
    while ((connection = server->connections[CONNECTION_RESTING].first) != NULL) {
        connection_resume(connection);
    }
}

static void on_sweep(void *data) {
    connection_sweep(data);
}

static void init_h2o(struct http_server *server) {
    h2o_config_init(&server->config);
    server->config.server_name = h2o_iovec_init(server->name, strlen(server->name));
    server->config.http1.upgrade_to_http2 = 0;
    server->config.http1.req_timeout = LIBH2O_TIMEOUT_MS;
    server->config.max_request_entity_size = SIZE_MAX / 2; /* the gate counts */
    h2o_hostconf_t *host =
        h2o_config_register_host(&server->config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    h2o_handler_t *handler = h2o_create_handler(&host->fallback_path, sizeof *handler);
    handler->on_req = on_request;
    h2o_logger_t *logger = h2o_create_logger(&host->fallback_path, sizeof *logger);
    logger->log_access = on_request_over;
    h2o_context_init(&server->context, loop_uv(server->loop), &server->config);
    server->accept = (h2o_accept_ctx_t){.ctx = &server->context, .hosts = server->config.hosts};
}

static void init_handles(struct http_server *server) {
    struct uv_loop_s *uv = loop_uv(server->loop);
    uv_prepare_init(uv, &server->between);
    server->between.data = server;
    uv_prepare_start(&server->between, on_between);
    uv_idle_init(uv, &server->orphan_turn);
    server->orphan_turn.data = server;
}

static int64_t sweep_ms(const struct http_options *options) {
    int64_t shortest = options->request_timeout_ms < options->response_timeout_ms
                           ? options->request_timeout_ms
                           : options->response_timeout_ms;
    int64_t period = shortest / 8;
    return period < SWEEP_MS_MIN ? SWEEP_MS_MIN : period > SWEEP_MS_MAX ? SWEEP_MS_MAX : period;
}

static bool start_sweeping(struct http_server *server) {
    int64_t period = sweep_ms(&server->options);
    server->sweep = loop_timer_start(server->loop, period, period, on_sweep, server);
    return server->sweep != NULL;
}

static struct http_server *alloc_server(struct loop *loop, const struct http_options *options) {
    struct http_server *server = calloc(1, sizeof *server);
    if (server == NULL) {
        return NULL;
    }
    server->loop = loop;
    server->options = *options;
    server->yielding = options->yields_at_first;
    snprintf(server->name, sizeof server->name, "%s", options->server_name);
    seeded_rng_init(&server->ids, rng_u64(rng_system()));
    if (!pool_init(&server->requests, sizeof(struct http_request),
                   options->connections_max * REQUESTS_PER_CONNECTION, request_free)) {
        free(server);
        return NULL;
    }
    return server;
}

static void free_server(struct http_server *server) {
    pool_fini(&server->requests);
    free(server);
}

struct http_server *http_server_create(struct loop *loop, const struct http_options *options,
                                       int listen_fd, http_handler_fn handler, void *data) {
    ASSERT(options->connections_max > 0 && options->head_max > 0);
    struct http_server *server = alloc_server(loop, options);
    if (server == NULL) {
        return NULL;
    }
    server->handler = handler;
    server->data = data;
    if (!listener_init(server, listen_fd)) {
        free_server(server);
        return NULL;
    }
    init_h2o(server);
    init_handles(server);
    if (!start_sweeping(server)) {
        http_server_destroy(server);
        return NULL;
    }
    listener_start(server);
    return server;
}

void http_server_set_limits(struct http_server *server, const struct http_options *options) {
    struct http_options *own = &server->options;
    int64_t period = sweep_ms(own);
    own->body_max = options->body_max;
    own->head_max = options->head_max;
    own->body_budget = options->body_budget;
    own->request_timeout_ms = options->request_timeout_ms;
    own->response_timeout_ms = options->response_timeout_ms;
    own->proxies = options->proxies;
    server->has_told_ignored = false;
    if (sweep_ms(own) == period) {
        return;
    }
    struct loop_timer *old = server->sweep;
    if (start_sweeping(server)) {
        loop_timer_stop(old);
    } else {
        server->sweep = old; /* no memory: it looks as often as before */
    }
}

static void stop_accepting(struct http_server *server) {
    listener_stop(server);
    loop_timer_stop(server->pause);
    server->pause = NULL;
}

void http_server_yield(struct http_server *server) {
    server->yielding = true;
    stop_accepting(server);
}

void http_server_open(struct http_server *server) {
    server->yielding = false;
    listener_start(server);
}

void http_server_drain(struct http_server *server) {
    server->draining = true;
    stop_accepting(server);
    struct connection *next = server->connections[CONNECTION_IDLE].first;
    while (next != NULL) {
        struct connection *connection = next;
        next = next->after;
        /* What has arrived is served, with its answer closing the connection. */
        if (!connection_has_input(connection)) {
            connection_cut(connection);
        }
    }
}

bool http_server_is_idle(const struct http_server *server) {
    return server->handles == 0 && server->requests.out == 0;
}

void http_server_cut_off(struct http_server *server) {
    for (int state = CONNECTION_NEW; state < CONNECTION_CLOSED; state++) {
        while (server->connections[state].first != NULL) {
            connection_cut(server->connections[state].first);
        }
    }
}

/* libh2o keeps up to 16 chunks of its pools and of its input buffers for each thread and knows no
 * thread's end. The second kind can be taken out by name; the first by filling a pool with them,
 * whose chunks begin with a link to the next. */
static void give_up_recycled(void) {
    enum { KEPT = 16, QUARTER = 1000 }; /* of a chunk: a larger piece would come from malloc */
    struct link {
        struct link *next;
    };
    h2o_mem_recycle_t *buffers = &h2o_socket_buffer_prototype.allocator;
    while (buffers->cnt > 0) {
        free(h2o_mem_alloc_recycle(buffers, 0));
    }
    h2o_mem_pool_t pool;
    h2o_mem_init_pool(&pool);
    for (int i = 0; i < 4 * KEPT; i++) {
        h2o_mem_alloc_pool(&pool, QUARTER);
    }
    struct link *next = (struct link *)pool.chunks;
    while (next != NULL) {
        struct link *chunk = next;
        next = next->next;
        free(chunk);
    }
}

/* h2o_context_dispose runs the loop to let its timers go, which no callback of the loop may do. */
static void dispose(struct loop_message *message) {
    struct http_server *server = H2O_STRUCT_FROM_MEMBER(struct http_server, dispose, message);
    h2o_context_dispose(&server->context);
    h2o_config_dispose(&server->config);
    give_up_recycled();
    free_server(server);
}

void http_server_destroy(struct http_server *server) {
    ASSERT(http_server_is_idle(server));
    loop_timer_stop(server->sweep);
    listener_fini(server);
    uv_close((uv_handle_t *)&server->between, NULL);
    uv_close((uv_handle_t *)&server->orphan_turn, NULL);
    server->dispose.fn = dispose;
    if (loop_is_current(server->loop)) {
        loop_post(server->loop, &server->dispose);
        return;
    }
    uv_run(loop_uv(server->loop), UV_RUN_NOWAIT); /* not started, or over */
    dispose(&server->dispose);
}

void http_server_counts(const struct http_server *server, struct http_counts *ret_counts) {
    *ret_counts = (struct http_counts){
        .connections_open = counter_read(&server->open),
        .connections_total = counter_read(&server->total),
        .requests_total = counter_read(&server->seen),
        .requests_in_flight = counter_read(&server->in_flight),
        .rejected_heads = counter_read(&server->rejected),
        .timeouts = counter_read(&server->timed_out),
        .bytes_out = counter_read(&server->bytes_out),
        .ignored_forwarded = counter_read(&server->ignored),
    };
}
