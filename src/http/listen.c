/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listening, and taking connections off the queue.
 *
 * Every loop polls its own duplicate of one listening socket and takes a few connections per
 * wake-up: a busy loop comes late and leaves them to the others. Several sockets with SO_REUSEPORT
 * would share blindly, and lose the queue of one that is closed.
 */
#include "http/http_priv.h"

#include "base/assert.h"
#include "base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

enum { ACCEPTS_PER_TURN = 4 };
/* Connections that wait to be accepted; the kernel cuts it to net.core.somaxconn. */
enum { BACKLOG = 4096 };
/* Out of descriptors or memory: others must close first, so asking again at once only burns. */
enum { PAUSE_MS = 100 };

/* ---- addresses ---- */

struct host_port {
    char host[256]; /* empty: every address */
    char port[8];
};

static bool split_address(struct slice address, struct host_port *ret) {
    struct slice host = address;
    while (host.len > 0 && host.at[host.len - 1] != ':') {
        host.len--;
    }
    if (host.len == 0) {
        return false;
    }
    struct slice port = slice_skip(address, host.len);
    host.len--;
    if (host.len >= 2 && host.at[0] == '[' && host.at[host.len - 1] == ']') {
        host = slice_from(host.at + 1, host.len - 2);
    } else if (memchr(host.at, ':', host.len) != NULL) {
        return false; /* an IPv6 address without brackets */
    }
    int64_t number;
    return slice_to_int(port, 0, 65535, &number) &&
           slice_to_cstr(port, ret->port, sizeof ret->port) &&
           slice_to_cstr(host, ret->host, sizeof ret->host);
}

bool http_address_is_loopback(struct slice address) {
    struct host_port parts;
    if (!split_address(address, &parts)) {
        return false;
    }
    struct in_addr v4;
    if (inet_pton(AF_INET, parts.host, &v4) == 1) {
        return ntohl(v4.s_addr) >> 24 == 127;
    }
    struct in6_addr v6;
    if (inet_pton(AF_INET6, parts.host, &v6) == 1) {
        return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
    }
    return strcmp(parts.host, "localhost") == 0;
}

/* A listening socket on one address; -1 and errno. */
static int listen_on(const struct addrinfo *at) {
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd == -1) {
        return -1;
    }
    int on = 1;
    int off = 0;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (at->ai_family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off); /* [::] takes IPv4 too */
    }
    if (bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0) {
        return fd;
    }
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static int listen_on_first(const struct addrinfo *found, int wanted_family) {
    errno = EADDRNOTAVAIL;
    for (const struct addrinfo *at = found; at != NULL; at = at->ai_next) {
        int fd = at->ai_family == wanted_family ? listen_on(at) : -1;
        if (fd != -1) {
            return fd;
        }
    }
    return -1;
}

static int port_of(int fd) {
    union address bound;
    socklen_t len = sizeof bound;
    if (getsockname(fd, &bound.any, &len) != 0) {
        return 0;
    }
    return ntohs(bound.any.sa_family == AF_INET6 ? bound.in6.sin6_port : bound.in.sin_port);
}

MAY_BLOCK static int resolve(const struct host_port *parts, struct addrinfo **ret_found) {
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    *ret_found = NULL;
    return getaddrinfo(parts->host[0] != '\0' ? parts->host : NULL, parts->port, &hints,
                       ret_found);
}

MAY_BLOCK enum err_e http_listen(struct slice address, int *ret_fd, int *ret_port,
                                 struct problem *ret_problem) {
    struct host_port parts;
    if (!split_address(address, &parts)) {
        return problem_set(ret_problem, ERR_CONFIG, "listen",
                           "%.*s is no address to listen on: expected HOST:PORT, for example "
                           "127.0.0.1:8080, [::1]:8080 or :8080",
                           SLICE_ARG(slice_from(address.at, address.len < 64 ? address.len : 64)));
    }
    struct addrinfo *found;
    int error = resolve(&parts, &found);
    if (error != 0) {
        return problem_set(ret_problem, ERR_CONFIG, "listen", "%.64s is not known here: %s",
                           parts.host, gai_strerror(error));
    }
    int fd = listen_on_first(found, AF_INET6);
    fd = fd == -1 ? listen_on_first(found, AF_INET) : fd;
    int why = errno;
    freeaddrinfo(found);
    if (fd == -1) {
        return problem_set(ret_problem, ERR_CONFIG, "listen", "cannot listen on %.*s: %s",
                           SLICE_ARG(slice_from(address.at, address.len < 64 ? address.len : 64)),
                           strerror(why));
    }
    *ret_fd = fd;
    *ret_port = port_of(fd);
    return ERR_OK;
}

static void write_address(const union address *address, char ret_address[HTTP_ADDRESS_SIZE]) {
    char host[INET6_ADDRSTRLEN];
    ret_address[0] = '\0';
    if (address->any.sa_family == AF_INET6 &&
        inet_ntop(AF_INET6, &address->in6.sin6_addr, host, sizeof host) != NULL) {
        snprintf(ret_address, HTTP_ADDRESS_SIZE, "[%s]:%d", host, ntohs(address->in6.sin6_port));
    } else if (address->any.sa_family == AF_INET &&
               inet_ntop(AF_INET, &address->in.sin_addr, host, sizeof host) != NULL) {
        snprintf(ret_address, HTTP_ADDRESS_SIZE, "%s:%d", host, ntohs(address->in.sin_port));
    }
}

void http_listen_address(int fd, char ret_address[HTTP_ADDRESS_SIZE]) {
    union address bound;
    socklen_t len = sizeof bound;
    ret_address[0] = '\0';
    if (getsockname(fd, &bound.any, &len) == 0) {
        write_address(&bound, ret_address);
    }
}

static size_t write_found(const struct addrinfo *found, int wanted_family,
                          char ret_addresses[][HTTP_ADDRESS_SIZE], size_t max) {
    size_t len = 0;
    for (const struct addrinfo *at = found; at != NULL && len < max; at = at->ai_next) {
        if (at->ai_family == wanted_family && at->ai_addrlen <= sizeof(union address)) {
            union address address;
            memcpy(&address, at->ai_addr, at->ai_addrlen);
            write_address(&address, ret_addresses[len++]);
        }
    }
    return len;
}

MAY_BLOCK size_t http_resolve(struct slice address, char ret_addresses[][HTTP_ADDRESS_SIZE],
                              size_t max) {
    struct host_port parts;
    struct addrinfo *found;
    if (!split_address(address, &parts) || resolve(&parts, &found) != 0) {
        return 0;
    }
    size_t len = write_found(found, AF_INET6, ret_addresses, max);
    len += write_found(found, AF_INET, ret_addresses + len, max - len);
    freeaddrinfo(found);
    return len;
}

MAY_BLOCK bool http_resolves_to(struct slice address, const char *real) {
    enum { ADDRESSES_MAX = 8 }; /* of one name */
    char addresses[ADDRESSES_MAX][HTTP_ADDRESS_SIZE];
    size_t len = http_resolve(address, addresses, ADDRESSES_MAX);
    for (size_t i = 0; i < len; i++) {
        if (strcmp(addresses[i], real) == 0) {
            return true;
        }
    }
    return false;
}

static bool listens(int fd) {
    int answer = 0;
    socklen_t len = sizeof answer;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &answer, &len) == 0 && answer != 0;
}

enum err_e http_listen_adopt(int fd, int *ret_port, struct problem *ret_problem) {
    char address[HTTP_ADDRESS_SIZE];
    http_listen_address(fd, address);
    if (address[0] == '\0' || !listens(fd)) {
        return problem_set(ret_problem, ERR_CONFIG, "listen",
                           "descriptor %d is no TCP socket that listens", fd);
    }
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
        return problem_set(ret_problem, ERR_CONFIG, "listen", "descriptor %d: %s", fd,
                           strerror(errno));
    }
    *ret_port = port_of(fd);
    return ERR_OK;
}

/* ---- accepting ---- */

static void on_pause_over(void *data) {
    struct http_server *server = data;
    loop_timer_stop(server->pause);
    server->pause = NULL;
    listener_start(server);
}

static void pause_accepting(struct http_server *server, int error) {
    log_event(LOG_WARN, "http_accept_paused", "loop=%d error=\"%s\" open=%zu",
              loop_index(server->loop), strerror(error), server->handles);
    listener_stop(server);
    server->pause = loop_timer_start(server->loop, PAUSE_MS, 0, on_pause_over, server);
}

static struct http_ip ip_of(const union address *address) {
    struct http_ip ip = {.bytes = {[10] = 0xff, [11] = 0xff}}; /* IPv4, as IPv6 maps it */
    if (address->any.sa_family == AF_INET) {
        memcpy(ip.bytes + 12, &address->in.sin_addr, sizeof address->in.sin_addr);
    } else {
        memcpy(ip.bytes, &address->in6.sin6_addr, sizeof ip.bytes);
    }
    return ip;
}

/* Takes one; false when there is none, or none can be taken now. */
static bool accept_one(struct http_server *server) {
    union address peer;
    socklen_t len = sizeof peer;
    int fd = accept4(server->listen_fd, &peer.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        struct http_ip ip = ip_of(&peer);
        connection_open(server, fd, &ip);
        return true;
    }
    switch (errno) {
    case EAGAIN: /* another loop was faster */
        return false;
    case EINTR:
    case ECONNABORTED: /* and what accept(2) passes on from the network */
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EPERM: /* a firewall's no */
        return true;
    default:
        pause_accepting(server, errno);
        return false;
    }
}

static void on_connections_wait(uv_poll_t *poll, int status, int events) {
    struct http_server *server = poll->data;
    (void)events;
    if (status < 0) {
        pause_accepting(server, -status);
        return;
    }
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        if (counter_read(&server->open) >= server->options.connections_max) {
            listener_stop(server); /* the next close starts it again */
            return;
        }
        if (!accept_one(server)) {
            return;
        }
    }
}

void listener_start(struct http_server *server) {
    if (server->draining || server->yielding || server->pause != NULL ||
        uv_is_active((uv_handle_t *)&server->listener) ||
        counter_read(&server->open) >= server->options.connections_max) {
        return;
    }
    uv_poll_start(&server->listener, UV_READABLE, on_connections_wait);
}

void listener_stop(struct http_server *server) {
    uv_poll_stop(&server->listener);
}

bool listener_init(struct http_server *server, int listen_fd) {
    server->listen_fd = fcntl(listen_fd, F_DUPFD_CLOEXEC, 3);
    if (server->listen_fd == -1) {
        return false;
    }
    if (uv_poll_init(loop_uv(server->loop), &server->listener, server->listen_fd) != 0) {
        close(server->listen_fd);
        return false;
    }
    server->listener.data = server;
    return true;
}

/* Off the poll set before the close: the other duplicates keep the socket, and epoll, alive. */
void listener_fini(struct http_server *server) {
    uv_poll_stop(&server->listener);
    uv_close((uv_handle_t *)&server->listener, NULL);
    close(server->listen_fd);
    loop_timer_stop(server->pause);
    server->pause = NULL;
}
