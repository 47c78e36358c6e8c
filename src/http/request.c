/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request, and its answer.
 *
 * It has two owners, and ends when both are done: the handler (`answered`) and libh2o (`connection`
 * is NULL). So a client that leaves takes nothing away from the handler, and an answer that is
 * still being written keeps its bytes.
 */
#include "http/http_priv.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/text.h"

#include <poll.h>
#include <stdlib.h>

/* Smaller bodies are copied: cheaper than taking the buffer and getting a new one. */
enum { COPY_MAX = 16 * 1024 };
/* What a handler may build from a body (its JSON, its answer) beside a fixed amount. */
enum { ARENA_PER_BODY = 4, ARENA_BESIDE = 64 * 1024 * 1024 };
/* A piece of a stream; exports write tens of kilobytes at a time. */
enum { PIECE_MAX = 16 * 1024 * 1024 };
/* A pooled request keeps a piece's memory up to here. */
enum { PIECE_KEPT = 64 * 1024 };

static void on_proceed(h2o_generator_t *generator, h2o_req_t *h2o);

/* ---- life ---- */

static bool is_id(struct slice text) {
    if (text.len < 1 || text.len > 64) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '.' && c != '_' && c != '-') {
            return false;
        }
    }
    return true;
}

static void choose_id(struct http_request *request) {
    request->id = head_find(&request->head, SLICE_LIT("x-request-id"));
    if (!is_id(request->id)) {
        uint64_t fresh = rng_u64(&request->server->ids.base);
        text_to_hex(&fresh, sizeof fresh, request->id_text);
        request->id = slice_from(request->id_text, 2 * sizeof fresh);
    }
}

/* Two traceparents are none: who knows which is meant. */
static void choose_trace(struct http_request *request) {
    const struct head *head = &request->head;
    struct slice given = SLICE_NONE;
    size_t found = 0;
    for (size_t i = 0; i < head->field_count; i++) {
        if (slice_eq_nocase(head->fields[i].name, SLICE_LIT("traceparent"))) {
            given = head->fields[i].value;
            found++;
        }
    }
    if (found != 1 || !trace_take(given, rng_u64(&request->server->ids.base), request->trace)) {
        request->trace[0] = '\0';
    }
}

struct http_request *request_begin(struct connection *connection, struct slice raw) {
    struct http_server *server = connection->server;
    struct http_request *request = pool_borrow(&server->requests);
    if (request == NULL) {
        return NULL;
    }
    if (request->server == NULL) { /* new in the pool */
        request->server = server;
        arena_init(&request->arena, server->options.body_max * ARENA_PER_BODY + ARENA_BESIDE);
        buf_init(&request->piece, PIECE_MAX);
        request->generator.proceed = on_proceed;
    }
    request->raw = arena_copy(&request->arena, raw);
    if (request->raw.at == NULL) {
        pool_give_back(&server->requests, request);
        return NULL;
    }
    request->connection = connection;
    request->begun_us = loop_now_us(server->loop);
    return request;
}

void request_free(void *object) {
    struct http_request *request = object;
    arena_fini(&request->arena);
    buf_fini(&request->piece);
}

/* To the pool, with its arena and its piece for the next one. */
void request_discard(struct http_request *request) {
    struct http_server *server = request->server;
    if (request->body_buffer != NULL) {
        h2o_buffer_dispose(&request->body_buffer);
    }
    if (request->piece.size > PIECE_KEPT) {
        buf_fini(&request->piece);
        buf_init(&request->piece, PIECE_MAX);
    }
    buf_clear(&request->piece);
    arena_reset(&request->arena);
    request->connection = NULL;
    request->h2o = NULL;
    request->body = SLICE_NONE;
    request->end = NULL;
    request->more = NULL;
    request->status = 0;
    request->bytes = 0;
    request->answered_us = 0;
    request->answered = request->wants_piece = request->discards = false;
    pool_give_back(&server->requests, request);
}

/* A large body is not copied: the request takes the socket's whole buffer. libh2o will consume what
 * it read from a new one of the same size on paper; it reads nothing of it (the head of a request
 * with a body was copied into its pool, and the socket does not read until the answer has
 * ended). */
static void take_body(struct http_request *request, h2o_iovec_t entity) {
    h2o_buffer_t **input = &request->connection->sock->input;
    size_t size = (*input)->size;
    request->body_buffer = *input;
    request->body = slice_from(entity.base, entity.len);
    h2o_buffer_init(input, &h2o_socket_buffer_prototype);
    h2o_buffer_reserve(input, 1);
    (*input)->size = size;
}

/* Once until the list changes: a proxy that nobody made known would fill the log. */
static void tell_ignored(struct http_request *request) {
    struct http_server *server = request->server;
    counter_add(&server->ignored, 1);
    if (server->has_told_ignored) {
        return;
    }
    char peer[TRUST_IP_TEXT_SIZE];
    http_ip_format(&request->connection->peer, peer);
    server->has_told_ignored = true;
    log_event(LOG_WARN, "forwarded_ignored",
              "loop=%d peer=%s effect=\"its clients count as one address\" mend=\"if it is your "
              "proxy, name it in server.trusted_proxies\"",
              loop_index(server->loop), peer);
}

static void find_origin(struct http_request *request) {
    origin_read(&request->server->options.proxies, &request->head, &request->connection->peer,
                &request->origin);
    if (request->origin.is_ignored) {
        tell_ignored(request);
    }
}

void request_dispatch(struct http_request *request, h2o_req_t *h2o) {
    request->h2o = h2o;
    h2o->http1_is_persistent = !request->head.closes;
    choose_id(request);
    choose_trace(request);
    find_origin(request);
    if (h2o->entity.len == 0) {
        return;
    }
    if (h2o->entity.len <= COPY_MAX) {
        struct slice entity = slice_from(h2o->entity.base, h2o->entity.len);
        request->body = arena_copy(&request->arena, entity);
    }
    if (request->body.at == NULL) {
        take_body(request, h2o->entity);
    }
}

static void forget_orphan(struct http_request *request) {
    struct http_server *server = request->server;
    struct http_request *before = request->orphan_before;
    struct http_request *after = request->orphan_after;
    *(before != NULL ? &before->orphan_after : &server->first_orphan) = after;
    *(after != NULL ? &after->orphan_before : &server->last_orphan) = before;
    request->orphan_before = request->orphan_after = NULL;
    request->is_orphan = false;
    server->orphan_count--;
}

/* Ends it when both owners are done. */
static void end_if_over(struct http_request *request) {
    if (!request->answered || request->connection != NULL) {
        return;
    }
    if (request->is_orphan) {
        forget_orphan(request);
    }
    counter_sub(&request->server->in_flight, 1);
    if (request->end != NULL) {
        request->end(request, request->status, request->bytes, request->end_data);
    }
    request_discard(request);
}

static void ask_for_piece(struct http_request *request) {
    request->wants_piece = true;
    request->more(request, request->more_data);
}

/* Asks each once; those that come back wait for the next turn. */
static void on_orphan_turn(uv_idle_t *idle) {
    struct http_server *server = idle->data;
    for (size_t left = server->orphan_count; left > 0 && server->first_orphan != NULL; left--) {
        struct http_request *request = server->first_orphan;
        forget_orphan(request);
        ask_for_piece(request);
    }
    if (server->first_orphan == NULL) {
        uv_idle_stop(idle);
    }
}

/* Its stream goes on without a client, a piece a turn, until the handler ends it. */
static void make_orphan(struct http_request *request) {
    struct http_server *server = request->server;
    if (request->is_orphan) {
        return;
    }
    request->is_orphan = true;
    request->orphan_before = server->last_orphan;
    *(server->last_orphan != NULL ? &server->last_orphan->orphan_after : &server->first_orphan) =
        request;
    server->last_orphan = request;
    server->orphan_count++;
    uv_idle_start(&server->orphan_turn, on_orphan_turn);
}

void request_detach(struct http_request *request, size_t bytes) {
    request->connection = NULL;
    request->h2o = NULL;
    request->bytes = bytes;
    if (!request->answered && request->more != NULL) {
        make_orphan(request);
    }
    end_if_over(request);
}

/* ---- reading it ---- */

struct slice http_method(const struct http_request *request) {
    return request->head.method;
}

struct slice http_path(const struct http_request *request) {
    return request->head.path;
}

struct slice http_query(const struct http_request *request) {
    return request->head.query;
}

struct slice http_field(const struct http_request *request, const char *lower_case_name) {
    return head_find(&request->head, slice_of(lower_case_name));
}

struct slice http_body(const struct http_request *request) {
    return request->body;
}

struct slice http_id(const struct http_request *request) {
    return request->id;
}

struct slice http_trace(const struct http_request *request) {
    return slice_of(request->trace);
}

struct slice http_client(const struct http_request *request) {
    char text[TRUST_IP_TEXT_SIZE];
    http_ip_format(&request->origin.client, text);
    /* Its memory is the request's, which only this file may change through a const pointer. */
    return arena_copy(http_arena((struct http_request *)(uintptr_t)request), slice_of(text));
}

bool http_is_tls(const struct http_request *request) {
    return request->origin.is_tls;
}

struct arena *http_arena(struct http_request *request) {
    return &request->arena;
}

struct loop *http_loop(const struct http_request *request) {
    return request->server->loop;
}

int64_t http_begun_us(const struct http_request *request) {
    return request->begun_us;
}

int64_t http_answered_us(const struct http_request *request) {
    return request->answered_us;
}

/* Nothing is read while a request is worked on, so the kernel is asked. A client that has only
 * ended its own side still waits for the answer. */
bool http_is_gone(const struct http_request *request) {
    if (request->h2o == NULL || request->discards) {
        return true;
    }
    struct pollfd end = {.fd = h2o_socket_get_fd(request->connection->sock)};
    return poll(&end, 1, 0) == 1 && (end.revents & (POLLERR | POLLHUP)) != 0;
}

void http_on_end(struct http_request *request, http_end_fn fn, void *data) {
    request->end = fn;
    request->end_data = data;
}

/* ---- answering ---- */

/* No value can end its line and begin another. */
static struct slice clean_copy(struct arena *arena, struct slice value) {
    struct slice copy = arena_copy(arena, value);
    char *bytes = copy.len > 0 ? (char *)(uintptr_t)copy.at : NULL;
    for (size_t i = 0; i < copy.len; i++) {
        bytes[i] = head_is_text_char((unsigned char)bytes[i]) ? bytes[i] : '?';
    }
    return copy;
}

static void put_field(struct http_request *request, const char *name, struct slice value) {
    h2o_req_t *h2o = request->h2o;
    h2o_add_header_by_str(&h2o->pool, &h2o->res.headers, name, strlen(name), 0, NULL, value.at,
                          value.len);
}

void http_add_field(struct http_request *request, const char *lower_case_name, struct slice value) {
    if (request->h2o == NULL) {
        return;
    }
    struct slice copy = clean_copy(&request->arena, value);
    struct slice name = arena_copy(&request->arena, slice_of(lower_case_name));
    if (copy.at != NULL && name.at != NULL) {
        put_field(request, name.at, copy);
    }
}

static bool is_head(const struct http_request *request) {
    return slice_eq(request->head.method, SLICE_LIT("HEAD"));
}

static bool has_no_body(int status) {
    return status < 200 || status == 204 || status == 304;
}

static void start_answer(struct http_request *request, const char *content_type, size_t length) {
    h2o_req_t *h2o = request->h2o;
    h2o->res.status = request->status;
    h2o->res.reason = status_phrase(request->status);
    h2o->res.content_length = has_no_body(request->status) ? SIZE_MAX : length;
    if (request->server->draining || request->server->yielding) {
        h2o->http1_is_persistent = 0;
    }
    if (content_type != NULL) {
        put_field(request, "content-type", slice_of(content_type));
    }
    put_field(request, "x-request-id", request->id);
    if (request->trace[0] != '\0') {
        put_field(request, "traceresponse", slice_of(request->trace));
    }
    connection_answers(request->connection);
    h2o_start_response(h2o, &request->generator);
}

static void send_piece(struct http_request *request, struct slice piece, h2o_send_state_t state) {
    h2o_iovec_t part = h2o_iovec_init(piece.at, piece.len);
    h2o_send(request->h2o, &part, piece.len > 0 ? 1 : 0, state);
}

void http_reply(struct http_request *request, int status, const char *content_type,
                struct slice body) {
    ASSERT(!request->answered && request->more == NULL);
    request->answered_us = loop_now_us(request->server->loop);
    request->answered = true;
    request->status = status;
    if (request->h2o == NULL) {
        end_if_over(request);
        return;
    }
    struct slice copy = SLICE_NONE;
    if (body.len > 0 && !is_head(request) && !has_no_body(status)) {
        copy = arena_copy(&request->arena, body);
        if (copy.at == NULL) { /* beyond every limit: an empty 503 is all that can be said */
            request->status = 503;
            body = SLICE_NONE;
            content_type = NULL;
        }
    }
    start_answer(request, content_type, body.len);
    send_piece(request, copy, H2O_SEND_STATE_FINAL);
}

static void on_proceed(h2o_generator_t *generator, h2o_req_t *h2o) {
    (void)h2o;
    ask_for_piece((struct http_request *)generator);
}

void http_begin(struct http_request *request, int status, const char *content_type,
                http_more_fn more, void *data) {
    ASSERT(!request->answered && request->more == NULL);
    request->answered_us = loop_now_us(request->server->loop);
    request->status = status;
    request->more = more;
    request->more_data = data;
    if (request->h2o != NULL) {
        if (request->head.minor == 0) { /* knows no chunks: the end of the connection is the end */
            request->h2o->http1_is_persistent = 0;
        }
        start_answer(request, content_type, SIZE_MAX);
    }
    if (request->h2o != NULL && (is_head(request) || has_no_body(status))) {
        request->discards = true;
        send_piece(request, SLICE_NONE, H2O_SEND_STATE_FINAL);
    }
    ask_for_piece(request);
}

static void end_stream(struct http_request *request, struct slice piece, enum http_piece_e what) {
    request->answered = true;
    if (request->h2o == NULL || request->discards) {
        end_if_over(request);
    } else if (what == HTTP_BROKEN) {
        connection_reset(request->connection);
    } else {
        send_piece(request, piece, H2O_SEND_STATE_FINAL);
    }
}

void http_write(struct http_request *request, struct slice piece, enum http_piece_e what) {
    ASSERT(request->wants_piece && !request->answered);
    if (piece.len == 0 && what == HTTP_MORE) {
        return;
    }
    request->wants_piece = false;
    buf_clear(&request->piece);
    buf_add(&request->piece, piece);
    what = request->piece.failed ? HTTP_BROKEN : what;
    if (what != HTTP_MORE) {
        end_stream(request, buf_slice(&request->piece), what);
    } else if (request->h2o == NULL || request->discards) {
        make_orphan(request);
    } else {
        send_piece(request, buf_slice(&request->piece), H2O_SEND_STATE_IN_PROGRESS);
    }
}
