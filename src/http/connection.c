/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a connection, and the gate in front of libh2o.
 *
 *           first byte      head whole     body whole     dispatched      answered
 *   IDLE ─────────────► HEAD ────────► BODY ────────► HANDED ─────► WORK ─────────► SEND
 *    ▲                   │ │            │ ▲             ▲                             │
 *    │                   │ └── no body ─┼─┼─────────────┘            the last byte is │
 *    │                   │              │ └─ a piece                          written ▼
 *    │                   └── refused ───┴──────► REFUSED            RESTING ◄─────────┘
 *    └───────────── before the next wait ─────────────────────────────┘
 *   every state ──► CLOSED
 *
 * Invariants:
 *   1. libh2o sees one whole request at a time, its head and framing checked, and nothing behind
 *      it: what a client sends ahead waits in the stash. So libh2o neither decides where a request
 *      ends nor answers one by itself; should it, the connection is cut.
 *   2. Each state's list is in the order of since_us, so a sweep looks at the overdue only.
 *   3. server->unfinished is the sum of `counted`, which only HEAD and BODY have.
 *
 * libh2o reads by itself: it puts what comes behind sock->input and calls sock->_cb.read. The gate
 * is hooked in there whenever libh2o has begun to wait for a request, and passes the call on
 * (connection->feed) when a request is whole. That call with an error is how libh2o closes a
 * connection, in any state.
 */
#include "http/http_priv.h"

#include "base/assert.h"
#include "base/fsm.h"
#include "base/json.h"
#include "base/log.h"

#include <poll.h>
#include <stdlib.h>

/* A refused client gets so long to read why before the connection is closed on it: closing with
 * bytes unread would reset the connection and destroy the answer on its way. */
enum { LINGER_US = 2000000 };
/* Bytes of the stash that are offered at a time: most requests fit, and little is copied twice. */
enum { STASH_STEP = 4096 };
/* Input buffers of 8 KB that a loop keeps: 2 MB for as many requests in one turn. */
enum { BUFFERS_KEPT = 256 };

static const struct fsm_row states[CONNECTION_STATE_COUNT] = {
#define X(state, next) [CONNECTION_##state] = {#state, next},
    CONNECTION_STATES(X)
#undef X
};

static void list_remove(struct connection_list *list, struct connection *connection) {
    *(connection->before != NULL ? &connection->before->after : &list->first) = connection->after;
    *(connection->after != NULL ? &connection->after->before : &list->last) = connection->before;
    connection->before = connection->after = NULL;
}

static void list_append(struct connection_list *list, struct connection *connection) {
    connection->before = list->last;
    *(list->last != NULL ? &list->last->after : &list->first) = connection;
    list->last = connection;
}

/* Its list keeps the order of time: see invariant 2. */
static void touch(struct connection *connection) {
    struct connection_list *list = &connection->server->connections[connection->state];
    list_remove(list, connection);
    connection->since_us = loop_now_us(connection->server->loop);
    list_append(list, connection);
}

static void move_to(struct connection *connection, enum connection_state_e next) {
    list_remove(&connection->server->connections[connection->state], connection);
    fsm_move(states, &connection->state, next);
    connection->since_us = loop_now_us(connection->server->loop);
    list_append(&connection->server->connections[next], connection);
}

/* ---- what is not whole yet ---- */

static void count_unfinished(struct connection *connection, size_t bytes) {
    connection->server->unfinished += bytes - connection->counted;
    connection->counted = bytes;
}

static struct connection *larger(struct connection *a, struct connection_list *list) {
    for (struct connection *b = list->first; b != NULL; b = b->after) {
        a = a == NULL || b->counted > a->counted ? b : a;
    }
    return a;
}

/* Memory for requests that are still coming is bounded for the loop: the largest one pays. */
static void keep_budget(struct http_server *server) {
    static const struct refusal overloaded = {
        503, ERR_OVERLOADED, "Too many bytes of unfinished requests wait: retry later."};
    if (server->unfinished <= server->options.body_budget) {
        return;
    }
    struct connection *largest = larger(NULL, &server->connections[CONNECTION_BODY]);
    largest = larger(largest, &server->connections[CONNECTION_HEAD]);
    log_event(LOG_WARN, "http_body_budget", "loop=%d unfinished=%zu cut=%zu",
              loop_index(server->loop), server->unfinished, largest->counted);
    connection_refuse(largest, &overloaded);
}

static void forget_stash(struct connection *connection) {
    free(connection->stash);
    connection->stash = NULL;
    connection->stash_len = connection->stash_used = 0;
}

/* Keeps what came behind a request of `len` bytes, and hides it from libh2o. */
static bool stash_rest(struct connection *connection, size_t len) {
    h2o_buffer_t *input = connection->sock->input;
    size_t more = input->size - len;
    input->size = len;
    if (more == 0) {
        return true;
    }
    if (connection->stash != NULL) { /* it came from there */
        connection->stash_used -= more;
        return true;
    }
    connection->stash = malloc(more);
    if (connection->stash == NULL) {
        return false;
    }
    memcpy(connection->stash, input->bytes + len, more);
    connection->stash_len = more;
    return true;
}

/* ---- reading ---- */

static struct slice input_of(const struct connection *connection) {
    const h2o_buffer_t *input = connection->sock->input;
    return slice_from(input->bytes, input->size);
}

/* Hides from libh2o what it would act upon: the target, which it would normalise and, when it
 * cannot, print; and the expectation, which was met here. The request has its own copy of the
 * head. */
static void mask_head(const struct connection *connection) {
    const struct http_request *request = connection->request;
    char *bytes = connection->sock->input->bytes;
    const struct head *head = &request->head;
    char *target = bytes + (head->target.at - request->raw.at);
    memset(target, 'x', head->target.len);
    target[0] = '/';
    if (head->expect_name.len > 0) {
        memset(bytes + (head->expect_name.at - request->raw.at), 'x', head->expect_name.len);
    }
}

/* The request of `len` bytes is whole. */
static void hand_over(struct connection *connection, size_t len) {
    count_unfinished(connection, 0);
    if (!stash_rest(connection, len)) {
        connection_cut(connection);
        return;
    }
    mask_head(connection);
    move_to(connection, CONNECTION_HANDED);
    connection->written = connection->sock->bytes_written;
    connection->feed(connection->sock, NULL);
    if (connection->state == CONNECTION_HANDED) { /* invariant 1 */
        log_event(LOG_ERROR, "http_not_dispatched", "loop=%d",
                  loop_index(connection->server->loop));
        connection_cut(connection);
    }
}

static const struct refusal too_large = {413, ERR_TOO_LARGE,
                                         "The body is larger than this server takes."};

/* Returns the request's length when it is whole, else 0; the connection may have been refused. */
static size_t read_chunked(struct connection *connection) {
    static const struct refusal broken = {400, ERR_MALFORMED_REQUEST,
                                          "The chunked body is not framed as RFC 9112 asks."};
    struct chunks *chunks = &connection->request->chunks;
    struct slice input = input_of(connection);
    size_t used;
    enum chunks_e outcome = chunks_read(
        chunks, slice_from(input.at + connection->framed, input.len - connection->framed), &used);
    connection->framed += used;
    if (outcome == CHUNKS_BROKEN) {
        connection_refuse(connection, &broken);
        return 0;
    }
    if (chunks->left + chunks->data > connection->server->options.body_max) {
        connection_refuse(connection, &too_large);
        return 0;
    }
    return outcome == CHUNKS_END ? connection->framed : 0;
}

static size_t read_counted(struct connection *connection) {
    int64_t length = connection->request->head.content_length;
    size_t whole = connection->scanned + (length > 0 ? (size_t)length : 0);
    return connection->sock->input->size >= whole ? whole : 0;
}

static void read_body(struct connection *connection) {
    size_t whole = connection->request->head.chunked ? read_chunked(connection)
                                                     : read_counted(connection);
    if (whole > 0) {
        hand_over(connection, whole);
        return;
    }
    if (connection->state == CONNECTION_BODY) {
        touch(connection);
        count_unfinished(connection, connection->sock->input->size);
        keep_budget(connection->server);
    }
}

struct own_write {
    uv_write_t uv;
    struct connection *connection; /* outlives the write: libuv ends writes before it closes */
    char bytes[];
};

static void on_own_write(uv_write_t *write, int status) {
    (void)status; /* a client that is gone shows when reading */
    free(write->data);
}

/* Past libh2o, which has nothing under way before a request is handed over. */
static void write_own(struct connection *connection, struct slice bytes, uv_write_cb done) {
    struct own_write *own = malloc(sizeof *own + bytes.len);
    if (own == NULL) {
        connection_cut(connection);
        return;
    }
    own->uv.data = own;
    own->connection = connection;
    memcpy(own->bytes, bytes.at, bytes.len);
    uv_buf_t buf = {.base = own->bytes, .len = bytes.len};
    if (uv_write(&own->uv, (uv_stream_t *)&connection->tcp, &buf, 1, done) != 0) {
        free(own);
        connection_cut(connection);
    }
}

static const struct refusal *why_not(const struct connection *connection) {
    static const struct refusal expectation = {
        417, ERR_MALFORMED_REQUEST, "The only expectation that is known is 100-continue."};
    const struct head *head = &connection->request->head;
    if (head->expect == EXPECT_UNKNOWN) {
        return &expectation;
    }
    if (head->content_length > 0 &&
        (uint64_t)head->content_length > connection->server->options.body_max) {
        return &too_large;
    }
    return NULL;
}

/* Returns whether the head was taken. */
static bool take_head(struct connection *connection) {
    static const struct refusal busy = {503, ERR_OVERLOADED,
                                        "Too many requests are under way: retry later."};
    struct slice raw = slice_from(connection->sock->input->bytes, connection->scanned);
    connection->request = request_begin(connection, raw);
    if (connection->request == NULL) {
        connection_refuse(connection, &busy);
        return false;
    }
    struct problem problem = {{0}, {0}};
    if (head_parse(connection->request->raw, &connection->request->head, &problem) != ERR_OK) {
        counter_add(&connection->server->rejected, 1);
        connection_refuse(connection,
                          &(struct refusal){400, ERR_MALFORMED_REQUEST, problem.detail});
        return false;
    }
    const struct refusal *refusal = why_not(connection);
    if (refusal != NULL) {
        connection_refuse(connection, refusal);
        return false;
    }
    return true;
}

static void begin_body(struct connection *connection) {
    const struct head *head = &connection->request->head;
    if (!head->chunked && head->content_length <= 0) {
        return;
    }
    move_to(connection, CONNECTION_BODY);
    connection->framed = connection->scanned;
    chunks_init(&connection->request->chunks);
    /* A client that sends its body at once needs no invitation (RFC 9110, 10.1.1). */
    if (head->expect == EXPECT_CONTINUE && head->minor == 1 &&
        connection->sock->input->size == connection->scanned) {
        write_own(connection, SLICE_LIT("HTTP/1.1 100 Continue\r\n\r\n"), on_own_write);
    }
}

/* Returns whether the head is whole and was taken. */
static bool read_head(struct connection *connection) {
    static const struct refusal not_http = {
        400, ERR_MALFORMED_REQUEST, "The bytes are no HTTP/1.1 request: every line ends in CR LF."};
    static const struct refusal head_too_large = {
        431, ERR_TOO_LARGE, "The request line and the fields are larger than this server takes."};
    struct http_server *server = connection->server;
    struct slice input = input_of(connection);
    enum head_end_e end = head_find_end(input, &connection->scanned);
    if (end == HEAD_END_NEVER) {
        counter_add(&server->rejected, 1);
        connection_refuse(connection, &not_http);
        return false;
    }
    if (connection->scanned > server->options.head_max) {
        counter_add(&server->rejected, 1);
        connection_refuse(connection, &head_too_large);
        return false;
    }
    if (end == HEAD_END_MISSING) {
        count_unfinished(connection, input.len);
        keep_budget(server);
        return false;
    }
    if (!take_head(connection)) {
        return false;
    }
    begin_body(connection);
    return connection->state != CONNECTION_CLOSED;
}

/* Returns whether a head has begun. One empty line before it is skipped (RFC 9112, 2.2). */
static bool begin_head(struct connection *connection) {
    h2o_buffer_t **input = &connection->sock->input;
    if ((*input)->size > 0 && (*input)->bytes[0] == '\r' && !connection->blank_line) {
        if ((*input)->size == 1) {
            return false;
        }
        if ((*input)->bytes[1] == '\n') {
            h2o_buffer_consume(input, 2);
            connection->blank_line = true;
        }
    }
    if ((*input)->size == 0) {
        return false;
    }
    connection->blank_line = false;
    connection->scanned = 0;
    move_to(connection, CONNECTION_HEAD);
    return true;
}

static void read_on(struct connection *connection) {
    if (connection->state == CONNECTION_IDLE && !begin_head(connection)) {
        return;
    }
    if (connection->state == CONNECTION_HEAD && !read_head(connection)) {
        return;
    }
    read_body(connection);
}

static void on_input(h2o_socket_t *sock, const char *err) {
    struct connection *connection = sock->on_close.data;
    if (err != NULL) {
        connection_cut(connection);
        return;
    }
    if (connection->state == CONNECTION_REFUSED) {
        h2o_buffer_consume(&sock->input, sock->input->size);
        return;
    }
    read_on(connection);
}

/* ---- life ---- */

static void on_handle_closed(uv_handle_t *handle) {
    struct connection *connection = H2O_STRUCT_FROM_MEMBER(struct connection, tcp, handle);
    struct http_server *server = connection->server;
    list_remove(&server->connections[connection->state], connection);
    server->handles--;
    free(connection);
}

/* libh2o closes the socket; the handle follows. */
static void on_socket_closed(void *data) {
    struct connection *connection = data;
    struct http_server *server = connection->server;
    count_unfinished(connection, 0);
    forget_stash(connection);
    if (connection->request != NULL) {
        request_discard(connection->request);
        connection->request = NULL;
    }
    move_to(connection, CONNECTION_CLOSED);
    connection->sock = NULL;
    counter_sub(&server->open, 1);
    listener_start(server);
}

static void hook_in(struct connection *connection) {
    connection->feed = connection->sock->_cb.read;
    ASSERT(connection->feed != NULL && connection->feed != on_input);
    connection->sock->_cb.read = on_input;
    move_to(connection, CONNECTION_IDLE);
}

static void drop_handle(uv_handle_t *handle) {
    free(H2O_STRUCT_FROM_MEMBER(struct connection, tcp, handle));
}

void connection_open(struct http_server *server, int fd, const struct http_ip *peer) {
    struct connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL) {
        close(fd);
        return;
    }
    connection->server = server;
    connection->peer = *peer;
    uv_tcp_init(loop_uv(server->loop), &connection->tcp);
    if (uv_tcp_open(&connection->tcp, fd) != 0) {
        close(fd);
        uv_close((uv_handle_t *)&connection->tcp, drop_handle);
        return;
    }
    /* Answers are whole when they are written: waiting for more only delays them. */
    uv_tcp_nodelay(&connection->tcp, 1);
    /* The thread's: above 16 MB libh2o would move an input buffer to a file in /tmp; and it would
     * keep only 16 buffers for the next turn, which a busy loop needs more of. */
    h2o_socket_buffer_prototype.mmap_settings = NULL;
    h2o_socket_buffer_prototype.allocator.max = BUFFERS_KEPT;
    connection->sock = h2o_uv_socket_create((uv_stream_t *)&connection->tcp, on_handle_closed);
    connection->sock->on_close.cb = on_socket_closed;
    connection->sock->on_close.data = connection;
    list_append(&server->connections[CONNECTION_NEW], connection);
    server->handles++;
    counter_add(&server->open, 1);
    counter_add(&server->total, 1);
    h2o_accept(&server->accept, connection->sock);
    hook_in(connection);
}

void connection_cut(struct connection *connection) {
    if (connection->state != CONNECTION_CLOSED) {
        connection->feed(connection->sock, h2o_socket_error_closed);
    }
}

void connection_reset(struct connection *connection) {
    if (connection->state != CONNECTION_CLOSED) {
        struct linger now = {.l_onoff = 1, .l_linger = 0};
        setsockopt(h2o_socket_get_fd(connection->sock), SOL_SOCKET, SO_LINGER, &now, sizeof now);
        connection_cut(connection);
    }
}

void connection_dispatched(struct connection *connection) {
    move_to(connection, CONNECTION_WORK);
}

void connection_answers(struct connection *connection) {
    connection->taken = 0;
    move_to(connection, CONNECTION_SEND);
}

void connection_rest(struct connection *connection) {
    connection->request = NULL;
    move_to(connection, CONNECTION_RESTING);
}

static void feed_stash(struct connection *connection) {
    while (connection->stash != NULL && connection->stash_used < connection->stash_len &&
           (connection->state == CONNECTION_IDLE || connection->state == CONNECTION_HEAD ||
            connection->state == CONNECTION_BODY)) {
        size_t more = connection->stash_len - connection->stash_used;
        more = more < STASH_STEP ? more : STASH_STEP;
        h2o_iovec_t room = h2o_buffer_reserve(&connection->sock->input, more);
        memcpy(room.base, connection->stash + connection->stash_used, more);
        connection->sock->input->size += more;
        connection->stash_used += more;
        read_on(connection);
    }
    if (connection->stash_used == connection->stash_len) {
        forget_stash(connection);
    }
}

bool connection_has_input(const struct connection *connection) {
    char byte;
    return connection->stash != NULL ||
           recv(h2o_socket_get_fd(connection->sock), &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void connection_resume(struct connection *connection) {
    hook_in(connection);
    if (connection->stash != NULL) {
        feed_stash(connection);
        return;
    }
    if (connection->server->draining && !connection_has_input(connection)) {
        connection_cut(connection);
    }
}

/* ---- refusing ---- */

static void put_problem(struct buf *body, const struct refusal *refusal) {
    struct json_writer writer;
    json_writer_init(&writer, body);
    json_begin_object(&writer);
    char type[64];
    snprintf(type, sizeof type, "urn:turnout:error:%s", err_code(refusal->err));
    json_put_cstr(&writer, "type", type);
    json_put_cstr(&writer, "title", status_phrase(refusal->status));
    json_put_int(&writer, "status", refusal->status);
    json_put_cstr(&writer, "detail", refusal->detail);
    json_put_cstr(&writer, "code", err_code(refusal->err));
    json_put_cstr(&writer, "remedy", err_remedy(refusal->err));
    json_end_object(&writer);
}

static void put_answer(struct http_server *server, struct buf *answer,
                       const struct refusal *refusal) {
    enum { BODY_MAX = 1024 }; /* a detail is a sentence */
    struct buf body;
    buf_init(&body, BODY_MAX);
    put_problem(&body, refusal);
    h2o_timestamp_t now;
    h2o_mem_pool_t pool;
    h2o_mem_init_pool(&pool);
    h2o_get_timestamp(&server->context, &pool, &now);
    buf_printf(answer, "HTTP/1.1 %d %s\r\nDate: %s\r\nConnection: close\r\nContent-Length: %zu\r\n",
               refusal->status, status_phrase(refusal->status), now.str->rfc1123, body.len);
    buf_printf(answer, "Server: %s\r\ncontent-type: application/problem+json\r\n", server->name);
    buf_add_text(answer, refusal->status == 503 ? "retry-after: 1\r\n\r\n" : "\r\n");
    buf_add(answer, buf_slice(&body));
    h2o_mem_clear_pool(&pool);
    buf_fini(&body);
}

static void on_refusal_written(uv_write_t *write, int status) {
    struct own_write *own = write->data;
    struct connection *connection = own->connection;
    if (status == 0 && connection->state == CONNECTION_REFUSED) {
        shutdown(h2o_socket_get_fd(connection->sock), SHUT_WR);
    }
    free(own);
}

void connection_refuse(struct connection *connection, const struct refusal *refusal) {
    enum { ANSWER_MAX = 2048 };
    struct buf answer;
    buf_init(&answer, ANSWER_MAX);
    put_answer(connection->server, &answer, refusal); /* first: the detail may be the request's */
    count_unfinished(connection, 0);
    forget_stash(connection);
    if (connection->request != NULL) {
        request_discard(connection->request);
        connection->request = NULL;
    }
    move_to(connection, CONNECTION_REFUSED);
    h2o_buffer_consume(&connection->sock->input, connection->sock->input->size);
    if (answer.failed) {
        connection_cut(connection);
    } else {
        counter_add(&connection->server->bytes_out, answer.len);
        write_own(connection, buf_slice(&answer), on_refusal_written);
    }
    buf_fini(&answer);
}

/* ---- time ---- */

static void on_late_request(struct connection *connection) {
    static const struct refusal late = {408, ERR_DEADLINE, "The request did not arrive in time."};
    counter_add(&connection->server->timed_out, 1);
    connection_refuse(connection, &late);
}

/* A stream that has nothing to write, or whose reader takes some, is no slow reader. */
static void on_late_reader(struct connection *connection) {
    size_t queued = uv_stream_get_write_queue_size((uv_stream_t *)&connection->tcp);
    size_t written = connection->sock->bytes_written - queued;
    bool moved = queued == 0 || written != connection->taken;
    connection->taken = written;
    if (moved) {
        touch(connection);
        return;
    }
    counter_add(&connection->server->timed_out, 1);
    connection_reset(connection);
}

static void sweep_list(struct http_server *server, enum connection_state_e state,
                       int64_t timeout_us, void (*fn)(struct connection *connection)) {
    int64_t now_us = loop_now_us(server->loop);
    struct connection *connection;
    while ((connection = server->connections[state].first) != NULL &&
           now_us - connection->since_us >= timeout_us) {
        fn(connection);
    }
}

void connection_sweep(struct http_server *server) {
    int64_t request_us = server->options.request_timeout_ms * 1000;
    sweep_list(server, CONNECTION_IDLE, request_us, connection_cut);
    sweep_list(server, CONNECTION_HEAD, request_us, on_late_request);
    sweep_list(server, CONNECTION_BODY, request_us, on_late_request);
    sweep_list(server, CONNECTION_SEND, server->options.response_timeout_ms * 1000, on_late_reader);
    sweep_list(server, CONNECTION_REFUSED, LINGER_US, connection_cut);
}
