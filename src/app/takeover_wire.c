/* SPDX-License-Identifier: Apache-2.0 */
/* Messages to bytes and back, and the sockets they go through. */
#include "app/takeover_wire.h"

#include "base/assert.h"
#include "base/json.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { DOOR_BACKLOG = 4, PARSE_MEMORY = 256 << 10 };

static const char *const type_words[TAKEOVER_TYPE_COUNT] = {
#define X(name, word) [TAKEOVER_##name] = word,
    TAKEOVER_TYPE_TABLE(X)
#undef X
};

static const char *const fd_words[TAKEOVER_FD_COUNT] = {
#define X(name, word) [TAKEOVER_FD_##name] = word,
    TAKEOVER_FD_TABLE(X)
#undef X
};

const char *takeover_type_word(enum takeover_type_e type) {
    ASSERT((unsigned)type < TAKEOVER_TYPE_COUNT);
    return type_words[type];
}

void takeover_put_text(char *to, size_t size, const char *text) {
    snprintf(to, size, "%s", text);
}

void takeover_message_init(struct takeover_message *message, enum takeover_type_e type) {
    *message = (struct takeover_message){.type = type, .protocol = TAKEOVER_PROTOCOL};
    for (int i = 0; i < TAKEOVER_FD_COUNT; i++) {
        message->fds[i] = -1;
    }
}

static void close_fd(int *fd) {
    if (*fd >= 0) {
        close(*fd);
    }
    *fd = -1;
}

void takeover_message_close(struct takeover_message *message) {
    for (int i = 0; i < TAKEOVER_FD_COUNT; i++) {
        close_fd(&message->fds[i]);
    }
}

/* ---- writing ---- */

static void put_text(struct json_writer *w, const char *key, const char *text) {
    if (text[0] != '\0') {
        json_put_cstr(w, key, text);
    }
}

static void write_message(const struct takeover_message *message, struct buf *to) {
    struct json_writer w;
    json_writer_init(&w, to);
    json_begin_object(&w);
    json_put_cstr(&w, "type", takeover_type_word(message->type));
    json_put_int(&w, "protocol", message->protocol);
#define X(member, size) put_text(&w, #member, message->member);
    TAKEOVER_TEXT_TABLE(X)
#undef X
    json_key(&w, "fds");
    json_begin_array(&w);
    for (int i = 0; i < TAKEOVER_FD_COUNT; i++) {
        if (message->fds[i] >= 0) {
            json_add_cstr(&w, fd_words[i]);
        }
    }
    json_end_array(&w);
    json_end_object(&w);
}

/* Room for the descriptors of a message, as the kernel wants it. */
union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(TAKEOVER_FD_COUNT * sizeof(int))];
};

static void attach(const struct takeover_message *message, struct msghdr *header,
                   union control *control) {
    int fds[TAKEOVER_FD_COUNT];
    size_t len = 0;
    for (int i = 0; i < TAKEOVER_FD_COUNT; i++) {
        if (message->fds[i] >= 0) {
            fds[len++] = message->fds[i];
        }
    }
    if (len == 0) {
        return;
    }
    memset(control, 0, sizeof *control);
    header->msg_control = control->bytes;
    header->msg_controllen = CMSG_SPACE(len * sizeof(int));
    struct cmsghdr *first = CMSG_FIRSTHDR(header);
    first->cmsg_level = SOL_SOCKET;
    first->cmsg_type = SCM_RIGHTS;
    first->cmsg_len = CMSG_LEN(len * sizeof(int));
    memcpy(CMSG_DATA(first), fds, len * sizeof(int));
}

enum err_e takeover_send(int socket, const struct takeover_message *message) {
    struct buf text;
    union control control;
    buf_init(&text, TAKEOVER_BYTES_MAX);
    write_message(message, &text);
    if (text.failed) { /* the texts of a message are far below the bound */
        buf_fini(&text);
        return ERR_NO_MEMORY;
    }
    struct iovec part = {.iov_base = text.at, .iov_len = text.len};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
    attach(message, &header, &control);
    ssize_t sent;
    do {
        sent = sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    size_t len = text.len;
    buf_fini(&text);
    return sent == (ssize_t)len ? ERR_OK : ERR_IO;
}

/* ---- reading ---- */

struct arrived {
    int fds[TAKEOVER_FD_COUNT];
    size_t len;
};

static void take_fds(struct msghdr *header, struct arrived *ret) {
    ret->len = 0;
    for (struct cmsghdr *at = CMSG_FIRSTHDR(header); at != NULL; at = CMSG_NXTHDR(header, at)) {
        if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        size_t len = (at->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < len; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(at) + i * sizeof fd, sizeof fd);
            if (ret->len < TAKEOVER_FD_COUNT) {
                ret->fds[ret->len++] = fd;
            } else {
                close(fd);
            }
        }
    }
}

/* In the order that the message names them; those whose name is not known are closed. */
static void name_fds(const struct json_t *names, struct arrived *arrived,
                     struct takeover_message *message) {
    for (size_t i = 0; i < arrived->len; i++) {
        const struct json_t *name = i < json_count(names) ? json_at(names, i) : NULL;
        for (int known = 0; name != NULL && known < TAKEOVER_FD_COUNT; known++) {
            if (json_kind(name) == JSON_KIND_STRING && message->fds[known] < 0 &&
                slice_eq_text(json_text(name), fd_words[known])) {
                message->fds[known] = arrived->fds[i];
                arrived->fds[i] = -1;
                break;
            }
        }
        close_fd(&arrived->fds[i]);
    }
    arrived->len = 0;
}

static void get_text(const struct json_t *object, const char *key, char *to, size_t size) {
    struct slice text = json_text_at(object, key, SLICE_LIT(""));
    if (!slice_to_cstr(text, to, size)) { /* too long, or with a NUL: said by nobody of ours */
        to[0] = '\0';
    }
}

static int type_of(const struct json_t *object) {
    struct slice word = json_text_at(object, "type", SLICE_LIT(""));
    for (int i = 0; i < TAKEOVER_TYPE_COUNT; i++) {
        if (slice_eq_text(word, type_words[i])) {
            return i;
        }
    }
    return -1;
}

/* SILENT: of a type that is not known. The descriptors are the message's or closed. */
static enum takeover_heard_e read_message(struct slice text, struct arrived *arrived,
                                          struct takeover_message *ret_message) {
    struct arena arena;
    struct json_t *object;
    struct problem ignored;
    takeover_message_init(ret_message, TAKEOVER_HELLO);
    arena_init(&arena, PARSE_MEMORY);
    enum takeover_heard_e heard = TAKEOVER_ENDED;
    if (json_parse(&arena, text, &object, &ignored) == ERR_OK &&
        json_text_at(object, "type", SLICE_NONE).at != NULL) {
        int type = type_of(object);
        const struct json_t *protocol = json_get(object, "protocol");
        bool has_protocol = protocol != NULL && json_kind(protocol) == JSON_KIND_INTEGER;
        heard = type < 0 ? TAKEOVER_SILENT : TAKEOVER_HEARD;
        ret_message->type = (enum takeover_type_e)(type < 0 ? 0 : type);
        ret_message->protocol = has_protocol ? json_int(protocol) : 0;
#define X(member, size) get_text(object, #member, ret_message->member, size);
        TAKEOVER_TEXT_TABLE(X)
#undef X
        if (heard == TAKEOVER_HEARD) {
            name_fds(json_get(object, "fds"), arrived, ret_message);
        }
    }
    for (size_t i = 0; i < arrived->len; i++) {
        close_fd(&arrived->fds[i]);
    }
    arena_fini(&arena);
    return heard;
}

enum takeover_heard_e takeover_hear(int socket, struct takeover_message *ret_message) {
    char bytes[TAKEOVER_BYTES_MAX];
    union control control;
    struct arrived arrived;
    for (;;) {
        struct iovec part = {.iov_base = bytes, .iov_len = sizeof bytes};
        struct msghdr header = {.msg_iov = &part,
                                .msg_iovlen = 1,
                                .msg_control = control.bytes,
                                .msg_controllen = sizeof control.bytes};
        ssize_t len = recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        /* A peer that closed with words of ours unread is told first, once; its own come then. */
        if (len < 0 && (errno == EINTR || errno == ECONNRESET)) {
            continue;
        }
        if (len < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return TAKEOVER_SILENT;
        }
        if (len <= 0) {
            return TAKEOVER_ENDED;
        }
        take_fds(&header, &arrived);
        enum takeover_heard_e heard =
            read_message(slice_from(bytes, (size_t)len), &arrived, ret_message);
        if (heard != TAKEOVER_SILENT) {
            return (header.msg_flags & MSG_TRUNC) == 0 ? heard : TAKEOVER_ENDED;
        }
    }
}

/* ---- sockets ---- */

/* An abstract name: the NUL at its front makes it one. */
static socklen_t name_door(const char *address, struct sockaddr_un *ret_name) {
    *ret_name = (struct sockaddr_un){.sun_family = AF_UNIX};
    int len = snprintf(ret_name->sun_path + 1, sizeof ret_name->sun_path - 1, "turnout/%s",
                       address);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
}

static int open_socket(void) {
    return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static int keep_or_close(int fd, bool is_good) {
    int error = errno;
    if (!is_good && fd >= 0) {
        close(fd);
    }
    errno = error;
    return is_good ? fd : -1;
}

int takeover_open_door(const char *address) {
    struct sockaddr_un name;
    socklen_t len = name_door(address, &name);
    int fd = open_socket();
    return keep_or_close(fd, fd >= 0 && bind(fd, (const struct sockaddr *)&name, len) == 0 &&
                                 listen(fd, DOOR_BACKLOG) == 0);
}

int takeover_knock(const char *address) {
    struct sockaddr_un name;
    socklen_t len = name_door(address, &name);
    int fd = open_socket();
    return keep_or_close(fd, fd >= 0 && connect(fd, (const struct sockaddr *)&name, len) == 0);
}

bool takeover_peer_is_own(int socket, pid_t *ret_pid) {
    struct ucred peer;
    socklen_t len = sizeof peer;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0) {
        return false;
    }
    *ret_pid = peer.pid;
    return peer.uid == geteuid();
}
