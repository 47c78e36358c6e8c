/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An HTTP/1.1 server on a loop: libh2o behind our own small interface, the only unit that sees
 * h2o.h.
 *
 * A request comes to the handler whole, its head checked strictly (RFC 9112; what is ambiguous got
 * 400 and a close before). The handler answers once, now or later; until then the request is its
 * own. A client that leaves early changes nothing for the handler: the request lives on, its answer
 * goes nowhere, http_is_gone says so. Thread: everything on the loop the server was created on, but
 * http_listen (start-up).
 */
#ifndef TURNOUT_HTTP_HTTP_H
#define TURNOUT_HTTP_HTTP_H

#include "base/arena.h"
#include "http/trust.h"
#include "io/loop.h"

struct http_server;
struct http_request;

struct http_options {
    size_t body_max;           /* bytes; larger is 413 */
    size_t head_max;           /* bytes of request line and fields; larger is 431 */
    int64_t request_timeout_ms; /* from the first byte (or idle begin) to the last of the head, and
                                   between two pieces of a body */
    int64_t response_timeout_ms; /* a client that takes no byte of its answer so long is cut off */
    size_t connections_max;    /* on this loop; beyond it, new ones wait in the backlog */
    size_t body_budget;        /* of unfinished bodies on this loop; then the largest is cut off */
    const char *server_name;   /* Server header, e.g. "turnout" */
    struct http_trust proxies; /* whose X-Forwarded-For and X-Forwarded-Proto are believed */
    bool yields_at_first;      /* accepts nothing before http_server_open */
};

/* Numbers of the server, written by its loop only, read by any thread (relaxed atomics inside). */
struct http_counts {
    uint64_t connections_open;
    uint64_t connections_total;
    uint64_t requests_total;
    uint64_t requests_in_flight;
    uint64_t rejected_heads; /* refused by the strict check */
    uint64_t timeouts;
    uint64_t bytes_out;
    uint64_t ignored_forwarded; /* X-Forwarded-For from who is not trusted */
};

typedef void (*http_handler_fn)(struct http_request *request, void *data);

/* "127.0.0.1:8080", "[::1]:0", ":8080". ret_port is the real one when 0 was asked for. ERR_CONFIG
 * with a sentence in `ret_problem` when it cannot listen. The descriptor is the caller's. */
MAY_BLOCK enum err_e http_listen(struct slice address, int *ret_fd, int *ret_port,
                                 struct problem *ret_problem) MUST_CHECK;
/* The same for a socket that somebody else made: ERR_CONFIG when it listens on no TCP address. It
 * does not block and is closed by exec afterwards. */
enum err_e http_listen_adopt(int fd, int *ret_port, struct problem *ret_problem) MUST_CHECK;
/* "127.0.0.1:8080" or "[::1]:8080": where a listening socket listens. Empty when it does not. */
enum { HTTP_ADDRESS_SIZE = 64 };
void http_listen_address(int fd, char ret_address[HTTP_ADDRESS_SIZE]);
/* Where http_listen would try to listen, in its order; how many there are, at most `max`. */
MAY_BLOCK size_t http_resolve(struct slice address, char ret_addresses[][HTTP_ADDRESS_SIZE],
                              size_t max);
/* Whether `real` is one of those. */
MAY_BLOCK bool http_resolves_to(struct slice address, const char *real);
bool http_address_is_loopback(struct slice address);

/* Listens on a duplicate of `listen_fd`. NULL without memory. The handler also runs for paths that
 * no route knows. */
struct http_server *http_server_create(struct loop *loop, const struct http_options *options,
                                       int listen_fd, http_handler_fn handler, void *data);
/* Others from now on: sizes, times and proxies of `options`. */
void http_server_set_limits(struct http_server *server, const struct http_options *options);
/* Accepts no more: another process does, on the same socket. Connections stay, each until its next
 * answer, which says Connection: close, or until it has been idle for request_timeout_ms: so no
 * request meets a closed door. */
void http_server_yield(struct http_server *server);
void http_server_open(struct http_server *server); /* accepts, for the first time or again */
/* Accepts no more and closes idle connections; each running answer says Connection: close. */
void http_server_drain(struct http_server *server);
/* No connection left, and no request whose handler has not answered. */
bool http_server_is_idle(const struct http_server *server);
void http_server_cut_off(struct http_server *server); /* closes what is left, at the drain's end */
void http_server_destroy(struct http_server *server);       /* idle; then stop the loop */
/* Any thread. */
void http_server_counts(const struct http_server *server, struct http_counts *ret_counts);

/* The request. Slices live until the answer has ended. */
struct slice http_method(const struct http_request *request);
struct slice http_path(const struct http_request *request);  /* raw, from the / to the query */
struct slice http_query(const struct http_request *request); /* raw, without the ?; empty if none */
/* Empty when there is none. */
struct slice http_field(const struct http_request *request, const char *lower_case_name);
struct slice http_body(const struct http_request *request);
/* X-Request-Id: the client's when it is 1..64 of A-Za-z0-9._-, else a fresh one. */
struct slice http_id(const struct http_request *request);
/* W3C traceparent as it is passed on: the caller's trace id and flags, a span of this request's
 * own. Answers bear it as traceresponse. Empty: the caller sent none, or none that is valid. */
struct slice http_trace(const struct http_request *request);
/* Numeric address of the client: of who is connected, or of whom a trusted proxy asks for. */
struct slice http_client(const struct http_request *request);
/* A trusted proxy says that it was asked over TLS. */
bool http_is_tls(const struct http_request *request);
struct arena *http_arena(struct http_request *request); /* for what lives as long as the request */
struct loop *http_loop(const struct http_request *request);
int64_t http_begun_us(const struct http_request *request); /* loop_now_us when the head was whole */
int64_t http_answered_us(const struct http_request *request); /* loop_now_us when its answer began;
    0: it has none yet */
/* The client left, or nothing of a stream's pieces would be sent (HEAD). Asks the kernel: not for
 * every line of a loop. A client that has only ended its own side still waits for its answer. */
bool http_is_gone(const struct http_request *request);

/* Called once when the request has ended: the handler has answered, and the answer was sent, has
 * failed or went nowhere. `bytes` is what was written of it. For measuring. */
typedef void (*http_end_fn)(struct http_request *request, int status, size_t bytes, void *data);
void http_on_end(struct http_request *request, http_end_fn fn, void *data);

/* The answer: any number of http_add_field, then one of the two forms. X-Request-Id, Date, Server
 * and Content-Length or chunking are the server's business; so is leaving the body out for HEAD. */
void http_add_field(struct http_request *request, const char *lower_case_name,
                    struct slice value); /* copied */

/* Whole: `body` is copied. The request must not be touched afterwards. */
void http_reply(struct http_request *request, int status, const char *content_type,
                struct slice body);

/* In pieces: begin, then a piece each time `more` is called (it is called first from within begin
 * or soon after), until http_write with HTTP_LAST. `more` is also called with the request gone; it
 * must still end it with http_write(..., HTTP_LAST), once. Nothing is buffered beyond one piece. A
 * `more` that has no piece yet returns without writing, and writes later on its own accord. An
 * empty piece with HTTP_MORE is no piece. A stream of another status than 200 ends its
 * connection. */
enum http_piece_e {
    HTTP_MORE,
    HTTP_LAST,
    HTTP_BROKEN, /* cut the connection: the answer failed midway */
};
typedef void (*http_more_fn)(struct http_request *request, void *data);
void http_begin(struct http_request *request, int status, const char *content_type,
                http_more_fn more, void *data);
/* `piece` is copied. */
void http_write(struct http_request *request, struct slice piece, enum http_piece_e what);

/* The strict check of a raw request head (RFC 9112), pure: `head` is everything up to and with the
 * empty line. ERR_MALFORMED_REQUEST with the reason in `ret_problem`. Field names may be
 * lower-cased. */
enum err_e http_check_head(struct slice head, struct problem *ret_problem) MUST_CHECK;

#endif
