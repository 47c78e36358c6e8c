/* SPDX-License-Identifier: Apache-2.0 */
/* A small HTTP client. */
#include "app/fetch.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* ---- pure ---- */

static bool take_port(struct slice text, struct fetch_place *ret_place) {
    int64_t port;
    return slice_to_int(text, 1, 65535, &port) &&
           slice_to_cstr(text, ret_place->port, sizeof ret_place->port);
}

static size_t find(struct slice text, char wanted) {
    const char *found = text.len == 0 ? NULL : memchr(text.at, wanted, text.len);
    return found == NULL ? text.len : (size_t)(found - text.at);
}

bool fetch_parse_url(struct slice url, struct fetch_place *ret_place) {
    static const struct slice scheme = {"http://", 7};
    if (!slice_starts_with(url, scheme)) {
        return false;
    }
    struct slice rest = slice_skip(url, scheme.len);
    rest.len -= rest.len > 0 && rest.at[rest.len - 1] == '/';
    struct slice host = slice_from(rest.at, find(rest, ':'));
    if (rest.len > 0 && rest.at[0] == '[') {
        size_t end = find(rest, ']');
        if (end == rest.len) {
            return false;
        }
        host = slice_from(rest.at + 1, end - 1);
        rest = slice_skip(rest, end + 1);
    } else {
        rest = slice_skip(rest, host.len);
    }
    bool has_port = rest.len > 0 && rest.at[0] == ':';
    if (host.len == 0 || find(host, '/') < host.len || (rest.len > 0 && !has_port)) {
        return false;
    }
    return slice_to_cstr(host, ret_place->host, sizeof ret_place->host) &&
           take_port(has_port ? slice_skip(rest, 1) : SLICE_LIT("80"), ret_place);
}

bool fetch_parse_answer(struct slice answer, int *ret_status, struct slice *ret_body) {
    int64_t status;
    if (answer.len < 12 || !slice_starts_with(answer, SLICE_LIT("HTTP/1.")) ||
        !slice_to_int(slice_from(answer.at + 9, 3), 100, 599, &status)) {
        return false;
    }
    const char *end = memmem(answer.at, answer.len, "\r\n\r\n", 4);
    if (end == NULL) {
        return false;
    }
    *ret_status = (int)status;
    *ret_body = slice_skip(answer, (size_t)(end - answer.at) + 4);
    return true;
}

/* ---- the connection ---- */

static bool set_timeouts(int fd, int timeout_s) {
    struct timeval wait = {.tv_sec = timeout_s};
    return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait) == 0 &&
           setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) == 0;
}

/* SO_SNDTIMEO bounds connect, too. */
MAY_BLOCK static int connect_to(const struct addrinfo *addresses, int timeout_s) {
    for (const struct addrinfo *at = addresses; at != NULL; at = at->ai_next) {
        int fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
        if (fd < 0) {
            continue;
        }
        if (set_timeouts(fd, timeout_s) && connect(fd, at->ai_addr, at->ai_addrlen) == 0) {
            return fd;
        }
        int reason = errno;
        close(fd);
        errno = reason;
    }
    return -1;
}

static const char *reason_text(void) {
    return errno == EAGAIN || errno == EINPROGRESS ? "it took too long" : strerror(errno);
}

MAY_BLOCK static enum err_e open_connection(const struct fetch *fetch,
                                            const struct fetch_place *place, int *ret_fd,
                                            struct problem *ret_problem) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *addresses;
    int failed = getaddrinfo(place->host, place->port, &hints, &addresses);
    if (failed != 0) {
        return problem_set(ret_problem, ERR_IO, "", "%s is not known: %s", place->host,
                           gai_strerror(failed));
    }
    *ret_fd = connect_to(addresses, fetch->timeout_s);
    freeaddrinfo(addresses);
    if (*ret_fd < 0) {
        return problem_set(ret_problem, ERR_IO, "", "nobody answers at %s: %s", fetch->url,
                           reason_text());
    }
    return ERR_OK;
}

MAY_BLOCK static bool send_all(int fd, struct slice text) {
    while (text.len > 0) {
        ssize_t sent = send(fd, text.at, text.len, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        text = slice_skip(text, (size_t)sent);
    }
    return true;
}

MAY_BLOCK static bool receive_all(int fd, struct buf *answer) {
    ssize_t got = 1;
    while (got > 0 && buf_reserve(answer, 16384)) {
        got = recv(fd, answer->at + answer->len, 16384, 0);
        answer->len += got > 0 ? (size_t)got : 0;
    }
    return got == 0;
}

MAY_BLOCK static bool exchange(const struct fetch *fetch, const struct fetch_place *place, int fd,
                               struct buf *answer) {
    struct buf request;
    buf_init(&request, 8192 + fetch->body.len);
    bool is_v6 = strchr(place->host, ':') != NULL;
    buf_printf(&request, "%s %s HTTP/1.0\r\nHost: %s%s%s:%s\r\nAccept: application/json\r\n",
               fetch->method == NULL ? "GET" : fetch->method, fetch->path, is_v6 ? "[" : "",
               place->host, is_v6 ? "]" : "", place->port);
    if (fetch->key != NULL) {
        buf_printf(&request, "Authorization: Bearer %s\r\n", fetch->key);
    }
    if (fetch->method != NULL) {
        buf_printf(&request, "Content-Length: %zu\r\n", fetch->body.len);
    }
    if (fetch->body.len > 0) {
        buf_add_text(&request, "Content-Type: application/json\r\n");
    }
    buf_add_text(&request, "\r\n");
    buf_add(&request, fetch->body);
    bool good = !request.failed && send_all(fd, buf_slice(&request)) && receive_all(fd, answer);
    buf_fini(&request);
    return good;
}

MAY_BLOCK enum err_e fetch_get(const struct fetch *fetch, int *ret_status, struct buf *ret_body,
                               struct problem *ret_problem) {
    struct fetch_place place;
    if (!fetch_parse_url(slice_of(fetch->url), &place)) {
        return problem_set(ret_problem, ERR_CONFIG, "",
                           "%s is no address of a node: give one such as http://127.0.0.1:8080",
                           fetch->url);
    }
    int fd;
    TRY(open_connection(fetch, &place, &fd, ret_problem));
    struct buf answer;
    struct slice body;
    buf_init(&answer, FETCH_ANSWER_MAX);
    enum err_e err = ERR_OK;
    if (!exchange(fetch, &place, fd, &answer)) {
        err = problem_set(ret_problem, ERR_IO, "", "%s broke off: %s", fetch->url, reason_text());
    } else if (!fetch_parse_answer(buf_slice(&answer), ret_status, &body)) {
        err = problem_set(ret_problem, ERR_IO, "", "what answers at %s does not speak HTTP",
                          fetch->url);
    } else {
        buf_add(ret_body, body);
    }
    buf_fini(&answer);
    close(fd);
    return err;
}
