/* SPDX-License-Identifier: Apache-2.0 */
/* Runtime API transport: connect, send, shut down, read to the end, all within one deadline. */
#include "act/haproxy_socket.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { READ_PIECE = 16 * 1024, SEVERITY_WARNING = 4 };

/* Makes HAProxy say with each message whether it is an error; data has no such mark. */
#define PREFACE "set severity-output number; "

/* --- answers --- */

/* "[3]: text": takes the mark off. -1 without one. */
static int take_severity(struct slice *text) {
    if (text->len < 5 || text->at[0] != '[' || text->at[1] < '0' || text->at[1] > '7' ||
        text->at[2] != ']' || text->at[3] != ':' || text->at[4] != ' ') {
        return -1;
    }
    int severity = text->at[1] - '0';
    *text = slice_skip(*text, 5);
    return severity;
}

static struct slice without_line_ends(struct slice text) {
    while (text.len > 0 && (text.at[text.len - 1] == '\n' || text.at[text.len - 1] == '\r')) {
        text.len--;
    }
    return text;
}

enum err_e haproxy_reply_read(struct slice raw, struct slice *ret_text) {
    struct slice text = raw;
    if (text.len > 0 && text.at[0] == '\n') {
        text = slice_skip(text, 1);
    }
    int severity = take_severity(&text);
    *ret_text = without_line_ends(text);
    /* an unknown command is answered with help, as information */
    bool is_help = slice_starts_with(text, SLICE_LIT("Unknown command"));
    return is_help || (severity >= 0 && severity <= SEVERITY_WARNING) ? ERR_CONFLICT : ERR_OK;
}

/* --- transport --- */

struct talk {
    int fd;
    int64_t until_us;
};

static enum err_e wait_for(const struct talk *talk, short events) {
    int64_t left_us = talk->until_us - clock_mono_us(clock_system());
    struct pollfd poller = {.fd = talk->fd, .events = events};
    int ready = left_us <= 0 ? 0 : poll(&poller, 1, (int)(left_us / 1000) + 1);
    if (ready < 0 && errno == EINTR) {
        return ERR_OK; /* the caller tries and comes back */
    }
    return ready > 0 ? ERR_OK : ready == 0 ? ERR_DEADLINE : ERR_IO;
}

static enum err_e connect_to(struct talk *talk, const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!slice_to_cstr(slice_of(path), address.sun_path, sizeof address.sun_path)) {
        return ERR_CONFIG;
    }
    talk->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (talk->fd < 0) {
        return ERR_IO;
    }
    while (connect(talk->fd, (struct sockaddr *)&address, sizeof address) != 0) {
        if (errno != EAGAIN) { /* EAGAIN: its queue of connections is full */
            return ERR_UNAVAILABLE;
        }
        if (clock_mono_us(clock_system()) >= talk->until_us) {
            return ERR_DEADLINE;
        }
        poll(NULL, 0, 1);
    }
    return ERR_OK;
}

static enum err_e send_all(const struct talk *talk, struct slice text) {
    while (text.len > 0) {
        ssize_t sent = send(talk->fd, text.at, text.len, MSG_NOSIGNAL);
        if (sent >= 0) {
            text = slice_skip(text, (size_t)sent);
        } else if (errno == EAGAIN) {
            TRY(wait_for(talk, POLLOUT));
        } else if (errno != EINTR) {
            return ERR_UNAVAILABLE;
        }
    }
    return ERR_OK;
}

static enum err_e read_all(const struct talk *talk, struct buf *to) {
    for (;;) {
        if (!buf_reserve(to, READ_PIECE)) {
            return to->len + READ_PIECE > to->limit ? ERR_TOO_LARGE : ERR_NO_MEMORY;
        }
        ssize_t got = recv(talk->fd, to->at + to->len, READ_PIECE, 0);
        if (got > 0) {
            to->len += (size_t)got;
        } else if (got == 0) {
            return ERR_OK;
        } else if (errno == EAGAIN) {
            TRY(wait_for(talk, POLLIN));
        } else if (errno != EINTR) {
            return ERR_UNAVAILABLE;
        }
    }
}

static enum err_e converse(struct talk *talk, const struct haproxy_socket *socket,
                           struct slice command, struct buf *reply) {
    TRY(connect_to(talk, socket->path));
    TRY(send_all(talk, SLICE_LIT(PREFACE)));
    TRY(send_all(talk, command));
    TRY(send_all(talk, SLICE_LIT("\n")));
    return read_all(talk, reply);
}

static const char *what_failed(enum err_e err) {
    switch ((int)err) {
    case ERR_DEADLINE: return "did not answer in time: is it stopped, or are all its 'stats "
                              "maxconn' connections taken?";
    case ERR_CONFIG: return "has a path longer than a Unix socket may have";
    case ERR_TOO_LARGE: return "said more than is read";
    default: return "cannot be reached: is HAProxy running, and is it our 'stats socket' line?";
    }
}

enum err_e haproxy_ask(const struct haproxy_socket *socket, struct slice command,
                       struct buf *ret_reply, struct problem *ret_problem) {
    buf_clear(ret_reply);
    if (command.len == 0 || command.len > HAPROXY_COMMAND_MAX) {
        return problem_set(ret_problem, ERR_TOO_LARGE, "", "a command has 1 to %d bytes",
                           HAPROXY_COMMAND_MAX);
    }
    struct talk talk = {.fd = -1,
                        .until_us = clock_mono_us(clock_system()) + socket->timeout_ms * 1000};
    enum err_e err = converse(&talk, socket, command, ret_reply);
    if (talk.fd >= 0) {
        close(talk.fd);
    }
    if (err != ERR_OK) {
        buf_clear(ret_reply);
        return problem_set(ret_problem, err, "", "HAProxy's socket %.100s %s", socket->path,
                           what_failed(err));
    }
    struct slice text;
    err = haproxy_reply_read(buf_slice(ret_reply), &text);
    memmove(ret_reply->at, text.at == NULL ? ret_reply->at : text.at, text.len);
    ret_reply->len = text.len;
    if (err != ERR_OK) {
        struct slice line = text;
        slice_next(&text, '\n', &line);
        return problem_set(ret_problem, err, "", "HAProxy refused: %.*s",
                           (int)(line.len > 200 ? 200 : line.len), line.at);
    }
    return ERR_OK;
}
