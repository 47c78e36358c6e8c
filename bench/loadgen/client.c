/* SPDX-License-Identifier: Apache-2.0 */
#include "client.h"

#include "../answer.h"
#include "base/assert.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    EVENTS_MAX = 256,
    READ_SIZE = 256 << 10,     /* of one read */
    REQUEST_MAX = 32 << 20,    /* an upload, as the API allows */
    ANSWER_MAX = 256 << 20,
    OPENS_A_TURN = 64,         /* so that a storm of connects does not hold up answers */
};
#define REOPEN_NS 50000000LL   /* between two tries of a connection */
#define DOWN_NS 300000000LL    /* a server that refused is left alone so long */
#define AWAY_NS 2000000000LL   /* then a connection that moved tries its own server again */

enum state_e { STATE_CLOSED, STATE_CONNECTING, STATE_IDLE, STATE_BUSY };

struct connection {
    int fd;
    enum state_e state;
    uint8_t stream;
    uint8_t home, target;     /* the server it belongs to, and the one it goes to */
    bool wants_out;
    struct connection *prev, *next; /* in the list of its state */
    int64_t since_ns;         /* closed: when to open it again; connecting, busy: since when */
    int64_t opened_ns;
    struct job *job;
    struct buf out;           /* what did not fit into the socket */
    size_t sent;
    struct buf in;            /* an answer that did not come in one piece */
    struct answer answer;
};

int64_t client_clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

bool targets_parse(const char *text, struct target ret_targets[TARGETS_MAX], size_t *ret_len) {
    struct slice rest = slice_of(text), word;
    size_t len = 0;
    while (slice_next(&rest, ',', &word)) {
        struct slice scheme = SLICE_LIT("http://");
        struct in_addr address;
        struct slice host;
        int64_t port;
        if (slice_starts_with(word, scheme)) {
            word = slice_skip(word, scheme.len);
        }
        if (len == TARGETS_MAX || !slice_next(&word, ':', &host) ||
            !slice_to_cstr(host, ret_targets[len].host, HOST_SIZE) ||
            inet_pton(AF_INET, ret_targets[len].host, &address) != 1 ||
            !slice_to_int(word, 1, 65535, &port)) {
            return false;
        }
        ret_targets[len].port = (int)port;
        ret_targets[len++].down_until_ns = 0;
    }
    *ret_len = len;
    return len > 0;
}

/* ── lists ── */

static struct list *list_of(struct client *client, const struct connection *c) {
    switch (c->state) {
    case STATE_CLOSED:
        return &client->closed;
    case STATE_IDLE:
        return &client->idle[c->stream];
    case STATE_CONNECTING:
    case STATE_BUSY:
        return &client->busy;
    }
    UNREACHABLE();
}

/* Every move goes through here: a connection is in the list of its state, the latest behind. */
static void move(struct client *client, struct connection *c, enum state_e state) {
    struct list *from = list_of(client, c);
    *(c->prev == NULL ? &from->first : &c->prev->next) = c->next;
    *(c->next == NULL ? &from->last : &c->next->prev) = c->prev;
    c->state = state;
    struct list *to = list_of(client, c);
    c->prev = to->last;
    c->next = NULL;
    *(to->last == NULL ? &to->first : &to->last->next) = c;
    to->last = c;
}

static void watch(struct client *client, struct connection *c, int what) {
    struct epoll_event event = {.events = EPOLLIN | (c->wants_out ? EPOLLOUT : 0), .data.ptr = c};
    if (epoll_ctl(client->epoll, what, c->fd, &event) != 0) {
        perror("loadgen: epoll_ctl");
        exit(1);
    }
}

/* ── opening and closing ── */

static void finish(struct client *client, struct connection *c, const struct result *result) {
    struct job *job = c->job;
    c->job = NULL;
    client->in_flight--;
    client->calls.finish(client->calls.data, job, result);
}

static void hang_up(struct client *client, struct connection *c) {
    if (c->state == STATE_IDLE || c->state == STATE_BUSY) {
        client->open--;
    }
    if (c->fd >= 0) {
        close(c->fd);
        c->fd = -1;
    }
    c->wants_out = false;
    c->sent = 0;
    buf_clear(&c->out);
    buf_clear(&c->in);
    c->answer = (struct answer){0};
    c->since_ns = client->now_ns + REOPEN_NS;
    move(client, c, STATE_CLOSED);
}

/* A connection that broke; its job, if it has one, goes back. */
static void lose(struct client *client, struct connection *c, enum outcome_e outcome) {
    bool had_job = c->job != NULL;
    client->counts.lost += had_job && outcome == OUTCOME_LOST;
    client->counts.late += outcome == OUTCOME_LATE;
    client->counts.lost_idle += !had_job;
    hang_up(client, c);
    if (had_job) {
        finish(client, c, &(struct result){.outcome = outcome, .now_ns = client->now_ns});
    }
}

static void be_refused(struct client *client, struct connection *c) {
    client->counts.refused++;
    client->targets[c->target].down_until_ns = client->now_ns + DOWN_NS;
    hang_up(client, c);
}

/* Its own server, or the next one that is not known to be down. */
static uint8_t choose_target(const struct client *client, const struct connection *c) {
    for (size_t i = 0; i < client->targets_len; i++) {
        size_t at = (c->home + i) % client->targets_len;
        if (client->targets[at].down_until_ns <= client->now_ns) {
            return (uint8_t)at;
        }
    }
    return c->home;
}

static void be_connected(struct client *client, struct connection *c) {
    int on = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    client->counts.connected++;
    client->open++;
    c->opened_ns = client->now_ns;
    move(client, c, STATE_IDLE);
}

static void open_connection(struct client *client, struct connection *c) {
    c->target = choose_target(client, c);
    const struct target *target = &client->targets[c->target];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)target->port)};
    inet_pton(AF_INET, target->host, &address.sin_addr);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        perror("loadgen: socket");
        exit(1);
    }
    int rc = connect(c->fd, (const struct sockaddr *)&address, sizeof address);
    if (rc != 0 && errno != EINPROGRESS) {
        be_refused(client, c);
        return;
    }
    c->wants_out = true;
    c->since_ns = client->now_ns;
    move(client, c, STATE_CONNECTING);
    watch(client, c, EPOLL_CTL_ADD);
}

static void end_connecting(struct client *client, struct connection *c) {
    int error = 0;
    socklen_t len = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error != 0) {
        be_refused(client, c);
        return;
    }
    c->wants_out = false;
    watch(client, c, EPOLL_CTL_MOD);
    be_connected(client, c);
}

static void open_some(struct client *client) {
    for (int i = 0; i < OPENS_A_TURN && client->closed.first != NULL &&
                    client->closed.first->since_ns <= client->now_ns; i++) {
        open_connection(client, client->closed.first);
    }
}

/* ── requests ── */

static bool is_gone(void) {
    return errno != EAGAIN && errno != EINTR;
}

static void send_more(struct client *client, struct connection *c, struct slice rest) {
    while (rest.len > 0) {
        ssize_t sent = send(c->fd, rest.at, rest.len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && is_gone()) {
            lose(client, c, OUTCOME_LOST);
            return;
        }
        if (sent < 0 && errno == EAGAIN) {
            break;
        }
        rest = slice_skip(rest, sent < 0 ? 0 : (size_t)sent);
    }
    if (c->out.len == 0) {
        buf_add(&c->out, rest);
        c->sent = 0;
    } else {
        c->sent = c->out.len - rest.len;
    }
    bool wants_out = rest.len > 0;
    if (wants_out != c->wants_out) {
        c->wants_out = wants_out;
        watch(client, c, EPOLL_CTL_MOD);
    }
    if (!wants_out) {
        buf_clear(&c->out);
    }
}

static void start(struct client *client, struct connection *c, struct job *job) {
    c->job = job;
    c->since_ns = client->now_ns;
    move(client, c, STATE_BUSY);
    client->in_flight++;
    client->counts.sent++;
    buf_clear(&client->out);
    client->calls.build(client->calls.data, job, &client->targets[c->target], &client->out);
    ASSERT(!client->out.failed);
    send_more(client, c, buf_slice(&client->out));
}

void client_submit(struct client *client, struct job *job) {
    struct queue *queue = &client->jobs[job->stream];
    job->next = NULL;
    *queue->last = job;
    queue->last = &job->next;
    client->waiting++;
}

static struct job *take_job(struct client *client, size_t stream) {
    struct queue *queue = &client->jobs[stream];
    struct job *job = queue->first;
    if (job != NULL) {
        queue->first = job->next;
        if (queue->first == NULL) {
            queue->last = &queue->first;
        }
        client->waiting--;
    }
    return job;
}

static void dispatch(struct client *client) {
    for (size_t stream = 0; stream < STREAMS_MAX; stream++) {
        struct list *idle = &client->idle[stream];
        while (idle->first != NULL && client->jobs[stream].first != NULL) {
            struct connection *c = idle->first;
            if (c->target != c->home && client->now_ns - c->opened_ns > AWAY_NS) {
                hang_up(client, c);
                continue;
            }
            start(client, c, take_job(client, stream));
        }
    }
}

/* ── answers ── */

static void take_answer(struct client *client, struct connection *c, char *at, size_t len) {
    const char *wait = answer_field(&c->answer, at, "retry-after");
    struct result result = {.outcome = OUTCOME_ANSWERED, .status = c->answer.status,
                            .retry_after_s = wait == NULL ? 0 : atoi(wait),
                            .body = slice_from(at + c->answer.body_at, len - c->answer.body_at),
                            .now_ns = client_clock_ns()};
    bool closes = c->answer.closes;
    finish(client, c, &result); /* the bytes are c's until here */
    buf_clear(&c->in);
    c->answer = (struct answer){0};
    if (closes) {
        hang_up(client, c);
    } else {
        move(client, c, STATE_IDLE);
    }
}

/* An answer in pieces is gathered in the connection's own buffer. */
static void take_bytes(struct client *client, struct connection *c, size_t got) {
    char *at = client->in;
    size_t len = got;
    bool is_gathered = c->in.len > 0;
    if (is_gathered) {
        buf_add(&c->in, slice_from(client->in, got));
        if (c->in.failed || !buf_reserve(&c->in, 1)) {
            lose(client, c, OUTCOME_LOST);
            return;
        }
        at = c->in.at;
        len = c->in.len;
    }
    at[len] = '\0';
    switch (answer_read(&c->answer, at, &len)) {
    case ANSWER_WHOLE:
        take_answer(client, c, at, len);
        return;
    case ANSWER_PARTIAL:
        if (!is_gathered) {
            buf_add(&c->in, slice_from(at, len));
        }
        return;
    case ANSWER_BROKEN:
        lose(client, c, OUTCOME_LOST);
        return;
    }
}

static void read_more(struct client *client, struct connection *c) {
    for (;;) {
        ssize_t got = recv(c->fd, client->in, READ_SIZE, MSG_DONTWAIT);
        if (got < 0 && !is_gone()) {
            return;
        }
        if (got <= 0 || c->state != STATE_BUSY) { /* nobody asked for anything: it hangs up */
            lose(client, c, OUTCOME_LOST);
            return;
        }
        take_bytes(client, c, (size_t)got);
        if (got < READ_SIZE || c->state != STATE_BUSY) {
            return; /* the socket is empty: epoll tells when there is more */
        }
    }
}

static void take_event(struct client *client, struct connection *c, uint32_t events) {
    if (c->state == STATE_CLOSED) {
        return; /* by an earlier event of this turn */
    }
    if (c->state == STATE_CONNECTING) {
        end_connecting(client, c);
        return;
    }
    if ((events & EPOLLOUT) != 0) {
        send_more(client, c, slice_skip(buf_slice(&c->out), c->sent));
    }
    if ((events & ~(uint32_t)EPOLLOUT) != 0 && c->state != STATE_CLOSED) {
        read_more(client, c);
    }
}

/* The list of what is under way is in the order of sending, so the first is the oldest. */
static void expire(struct client *client) {
    struct connection *c;
    while ((c = client->busy.first) != NULL && client->now_ns - c->since_ns > client->timeout_ns) {
        if (c->state == STATE_CONNECTING) {
            be_refused(client, c);
        } else {
            lose(client, c, OUTCOME_LATE);
        }
    }
}

static int64_t earlier(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static int64_t wait_ns(const struct client *client, int64_t until_ns) {
    if (client->closed.first != NULL) {
        until_ns = earlier(until_ns, client->closed.first->since_ns);
    }
    if (client->busy.first != NULL) {
        until_ns = earlier(until_ns, client->busy.first->since_ns + client->timeout_ns);
    }
    int64_t wait = until_ns - client_clock_ns();
    return wait < 0 ? 0 : wait;
}

void client_turn(struct client *client, int64_t until_ns) {
    struct epoll_event events[EVENTS_MAX];
    client->now_ns = client_clock_ns();
    dispatch(client);
    open_some(client);
    int64_t wait = wait_ns(client, until_ns);
    struct timespec timeout = {wait / 1000000000, wait % 1000000000};
    int ready = epoll_pwait2(client->epoll, events, EVENTS_MAX, &timeout, NULL);
    client->now_ns = client_clock_ns();
    for (int i = 0; i < ready; i++) {
        take_event(client, events[i].data.ptr, events[i].events);
    }
    expire(client);
}

/* ── life ── */

bool client_init(struct client *client, const size_t connections[], size_t streams) {
    for (size_t stream = 0; stream < streams; stream++) {
        client->connections_len += connections[stream];
        client->jobs[stream].last = &client->jobs[stream].first;
    }
    client->epoll = epoll_create1(EPOLL_CLOEXEC);
    client->connections = calloc(client->connections_len, sizeof *client->connections);
    client->in = malloc(READ_SIZE + 1);
    buf_init(&client->out, REQUEST_MAX + (64 << 10));
    if (client->epoll < 0 || client->connections == NULL || client->in == NULL) {
        return false;
    }
    size_t at = 0;
    for (size_t stream = 0; stream < streams; stream++) {
        for (size_t i = 0; i < connections[stream]; i++, at++) {
            struct connection *c = &client->connections[at];
            *c = (struct connection){.fd = -1, .stream = (uint8_t)stream,
                                     .home = (uint8_t)(at % client->targets_len)};
            buf_init(&c->out, REQUEST_MAX + (64 << 10));
            buf_init(&c->in, ANSWER_MAX);
            c->prev = client->closed.last;
            *(c->prev == NULL ? &client->closed.first : &c->prev->next) = c;
            client->closed.last = c;
        }
    }
    return true;
}

void client_fini(struct client *client) {
    for (size_t i = 0; client->connections != NULL && i < client->connections_len; i++) {
        struct connection *c = &client->connections[i];
        if (c->fd >= 0) {
            close(c->fd);
        }
        buf_fini(&c->out);
        buf_fini(&c->in);
    }
    free(client->connections);
    free(client->in);
    buf_fini(&client->out);
    if (client->epoll >= 0) {
        close(client->epoll);
    }
}

void client_abandon(struct client *client) {
    struct connection *c;
    struct job *job;
    client->now_ns = client_clock_ns();
    while ((c = client->busy.first) != NULL) {
        if (c->state == STATE_CONNECTING) {
            hang_up(client, c);
        } else {
            lose(client, c, OUTCOME_LATE);
        }
    }
    for (size_t stream = 0; stream < STREAMS_MAX; stream++) {
        while ((job = take_job(client, stream)) != NULL) {
            client->calls.finish(client->calls.data, job,
                                 &(struct result){.outcome = OUTCOME_LATE,
                                                  .now_ns = client->now_ns});
        }
    }
}
