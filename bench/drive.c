/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A load driver that costs little beside the server it shares a machine with: one thread, epoll, N
 * keep-alive connections, each with at most one request under way (a closed loop).
 *
 *   idle ──send──► waiting ──whole answer──► checked ──► idle (at the end of the queue)
 *
 * Every answer is checked, so a figure never counts a refusal or an error page as work done: any
 * other status, a verdict that was not expected, a lost connection or an empty run ends with 1.
 * With --reopen a connection that ends is opened again, and what failed is counted. SIGTERM ends a
 * run.
 * The result is one line of JSON on standard output; the first wrong answer is shown on standard
 * error.
 */
#include "answer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    EVENTS_MAX = 256,
    READ_SIZE = 4 << 10,      /* least room for one read; grows with the answer */
    LINE_MAX_BYTES = 256,     /* one scan or one row */
    STATUS_MAX = 600,
    STALL_MS = 30000,         /* no answer at all for so long: the run has failed */
    CONNECTIONS_MAX = 65536,
    CONNECTS_MAX = 1000,      /* one after the other, a millisecond apart */
};

/* X(NAME, word) */
#define MODE_TABLE(X) X(GET, "get") X(SCAN, "scan") X(BATCH, "batch") X(IMPORT, "import")
#define X(name, text) MODE_##name,
enum mode_e { MODE_TABLE(X) MODE_COUNT };
#undef X
#define X(name, text) text,
static const char *const mode_texts[] = {MODE_TABLE(X)};
#undef X

static struct {
    enum mode_e mode;
    const char *host;
    long port;
    const char *path;    /* get */
    const char *event;   /* scan, batch, import */
    const char *key;
    const char *tag;     /* makes the nonces of this run its own */
    const char *prefix;  /* of tokens */
    long connections;
    long active;         /* requests under way at once; at most `connections` */
    long requests;       /* 0: by time */
    double seconds;
    long warmup;         /* requests before the clock starts */
    long scans;          /* scans or rows in one body */
    long people;         /* tokens 1..people, then again the other way */
    long gates;
    long first;          /* number of the first scan or row, from 0 */
    long reopen;
} options = {
    .host = "127.0.0.1", .path = "/livez", .event = "demo", .tag = "n", .prefix = "demo-",
    .connections = 64, .scans = 1000, .people = 50000, .gates = 40,
};

struct text {
    char *at;
    size_t len, size;
};

struct connection {
    int fd;
    bool waiting;         /* a request is under way */
    bool wants_out;       /* part of the request did not fit into the socket */
    struct text out;
    size_t sent;
    struct text in;
    struct answer answer;
    int64_t begun_ns;
    long exits;           /* how many of the scans in this request are exits */
    struct connection *next_idle;
};

static struct {
    int epoll;
    struct sockaddr_in address;
    struct connection *connections;
    struct connection *idle_first, **idle_last;
    long in_flight;
    long started;         /* requests, with the warm-up */
    long done;
    long next_number;     /* of a scan or row */
    long statuses[STATUS_MAX];
    long unexpected;
    long failed;          /* requests whose connection ended, and refused connections */
    long reopened;
    int64_t gap_ns;       /* the longest time without an answer */
    long items;           /* scans or rows answered as expected, after the warm-up */
    int64_t clock_ns;     /* when the warm-up ended */
    int64_t last_ns;      /* when the last answer came */
    int64_t looked_ns;    /* when the answers being read were there: they wait for each other in
                             here, which is no matter of the server's */
    uint32_t *latencies_us;
    size_t latencies_len, latencies_size;
    int64_t latencies_ns; /* the sum */
} run;

static volatile sig_atomic_t is_told_to_end;

static void on_signal(int number) {
    (void)number;
    is_told_to_end = 1;
}

static void die(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("drive: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void *grow(void *at, size_t size) {
    void *grown = realloc(at, size);
    if (grown == NULL) {
        die("no memory for %zu bytes", size);
    }
    return grown;
}

static void text_reserve(struct text *text, size_t more) {
    if (text->size - text->len >= more) {
        return;
    }
    text->size = (text->len + more) * 2;
    text->at = grow(text->at, text->size);
}

__attribute__((format(printf, 2, 3))) static void text_add(struct text *text, const char *format,
                                                            ...) {
    text_reserve(text, 4096);
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text->at + text->len, text->size - text->len, format, args);
    va_end(args);
    if (len < 0 || (size_t)len >= text->size - text->len) {
        die("a request line of more than 4 KiB");
    }
    text->len += (size_t)len;
}

/* ── requests ── */

/* People go in, all of them, then out, all of them, and so on: every scan is accepted. */
static bool is_exit(long number) {
    return number / options.people % 2 == 1;
}

static void add_scan(struct text *body, struct connection *c, long number) {
    long person = number % options.people + 1;
    bool leaves = is_exit(number);
    c->exits += leaves;
    text_add(body,
             "{\"token\":\"%s%06ld\",\"gate\":\"g%02ld\",\"nonce\":\"%s-%ld\","
             "\"direction\":\"%s\"}",
             options.prefix, person, person % options.gates + 1, options.tag, number,
             leaves ? "exit" : "entry");
}

static void add_row(struct text *body, long number) {
    text_add(body, "%s%06ld,Name %ld,mail%ld@example.org\n", options.prefix, number + 1, number,
             number);
}

static void fill_body(struct text *body, struct connection *c) {
    switch (options.mode) {
    case MODE_GET:
    case MODE_COUNT:
        return;
    case MODE_SCAN:
        add_scan(body, c, run.next_number++);
        return;
    case MODE_BATCH:
        for (long i = 0; i < options.scans; i++) {
            add_scan(body, c, run.next_number++);
            text_add(body, "\n");
        }
        return;
    case MODE_IMPORT:
        text_add(body, "token,name,email\n");
        for (long i = 0; i < options.scans; i++) {
            add_row(body, run.next_number++);
        }
        return;
    }
}

static void add_common_fields(struct text *out) {
    text_add(out, "Host: %s:%ld\r\n", options.host, options.port);
    if (options.key != NULL) {
        text_add(out, "Authorization: Bearer %s\r\n", options.key);
    }
}

static void fill_request(struct connection *c) {
    static struct text body;
    static const struct {
        const char *path, *type;
    } routes[MODE_COUNT] = {
        [MODE_SCAN] = {"checkins", "application/json"},
        [MODE_BATCH] = {"checkins:batch", "application/x-ndjson"},
        [MODE_IMPORT] = {"participants:import", "text/csv"},
    };
    if (options.mode == MODE_GET) {
        if (c->out.len == 0) { /* the same every time */
            text_add(&c->out, "GET %s HTTP/1.1\r\n", options.path);
            add_common_fields(&c->out);
            text_add(&c->out, "\r\n");
        }
        return;
    }
    body.len = 0;
    c->exits = 0;
    fill_body(&body, c);
    c->out.len = 0;
    text_add(&c->out, "POST /v1/events/%s/%s HTTP/1.1\r\n", options.event,
             routes[options.mode].path);
    add_common_fields(&c->out);
    text_add(&c->out, "Content-Type: %s\r\nContent-Length: %zu\r\n\r\n", routes[options.mode].type,
             body.len);
    text_reserve(&c->out, body.len);
    memcpy(c->out.at + c->out.len, body.at, body.len);
    c->out.len += body.len;
}

/* ── connections ── */

static void push_idle(struct connection *c) {
    c->next_idle = NULL;
    *run.idle_last = c;
    run.idle_last = &c->next_idle;
}

static struct connection *pop_idle(void) {
    struct connection *c = run.idle_first;
    run.idle_first = c->next_idle;
    if (run.idle_first == NULL) {
        run.idle_last = &run.idle_first;
    }
    return c;
}

static void watch(struct connection *c, int what) {
    struct epoll_event event = {.events = EPOLLIN | (c->wants_out ? EPOLLOUT : 0), .data.ptr = c};
    if (epoll_ctl(run.epoll, what, c->fd, &event) != 0) {
        die("epoll_ctl: %s", strerror(errno));
    }
}

static void open_connection(struct connection *c) {
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    const struct sockaddr *address = (const struct sockaddr *)&run.address;
    while (c->fd >= 0 && connect(c->fd, address, sizeof run.address) != 0) {
        if (options.reopen == 0 || ++run.failed > CONNECTS_MAX) {
            die("cannot connect to %s:%ld: %s", options.host, options.port, strerror(errno));
        }
        close(c->fd);
        usleep(1000);
        c->fd = socket(AF_INET, SOCK_STREAM, 0);
    }
    if (c->fd < 0) {
        die("no socket: %s", strerror(errno));
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    c->wants_out = false;
    watch(c, EPOLL_CTL_ADD);
}

static void reopen(struct connection *c) {
    run.reopened++;
    close(c->fd);
    open_connection(c);
}

/* The server ended it: a request under way has no answer. */
static void on_ended(struct connection *c, const char *why) {
    if (options.reopen == 0) {
        die("the server closed a connection %s: %s", c->waiting ? "under way" : "that was idle",
            why);
    }
    if (c->waiting) {
        run.failed++;
        c->waiting = false;
        run.in_flight--;
        push_idle(c);
    }
    reopen(c);
}

static void send_more(struct connection *c) {
    while (c->sent < c->out.len) {
        ssize_t sent =
            send(c->fd, c->out.at + c->sent, c->out.len - c->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0 && errno == EAGAIN) {
            break;
        }
        if (sent < 0) {
            on_ended(c, strerror(errno));
            return;
        }
        c->sent += (size_t)sent;
    }
    bool wants_out = c->sent < c->out.len;
    if (wants_out != c->wants_out) {
        c->wants_out = wants_out;
        watch(c, EPOLL_CTL_MOD);
    }
}

static bool may_start(void) {
    if (run.idle_first == NULL || run.in_flight >= options.active || is_told_to_end) {
        return false;
    }
    if (options.requests > 0) {
        return run.started < options.warmup + options.requests;
    }
    return run.clock_ns == 0 || now_ns() - run.clock_ns < (int64_t)(options.seconds * 1e9);
}

static void start_requests(void) {
    while (may_start()) {
        struct connection *c = pop_idle();
        fill_request(c);
        c->sent = 0;
        c->in.len = 0;
        c->answer = (struct answer){0};
        c->waiting = true;
        run.in_flight++;
        run.started++;
        c->begun_ns = now_ns();
        send_more(c);
    }
}

/* ── answers ── */

static long count(const struct connection *c, const char *needle) {
    long found = 0;
    size_t len = strlen(needle);
    const char *at = c->in.at + c->answer.body_at, *end = c->in.at + c->in.len;
    while ((at = memmem(at, (size_t)(end - at), needle, len)) != NULL) {
        found++;
        at += len;
    }
    return found;
}

/* Scans or rows that were answered as they should be; -1 when anything was not. */
static long check_answer(const struct connection *c) {
    if (c->answer.status != 200) {
        return -1;
    }
    long wanted = options.mode == MODE_SCAN ? 1 : options.scans;
    char created[48];
    switch (options.mode) {
    case MODE_GET:
        return 1;
    case MODE_SCAN:
    case MODE_BATCH:
        return count(c, "\"verdict\":\"exited\"") == c->exits &&
                       count(c, "\"verdict\":\"admitted\"") == wanted - c->exits &&
                       count(c, "\"replayed\":false") == wanted
                   ? wanted
                   : -1;
    case MODE_IMPORT:
        snprintf(created, sizeof created, "\"created\":%ld,", wanted);
        return count(c, created) == 1 ? wanted : -1;
    case MODE_COUNT:
        break;
    }
    return -1;
}

static void keep_latency(int64_t ns) {
    if (run.latencies_len == run.latencies_size) {
        run.latencies_size = run.latencies_size == 0 ? 1 << 16 : run.latencies_size * 2;
        run.latencies_us = grow(run.latencies_us, run.latencies_size * sizeof *run.latencies_us);
    }
    run.latencies_us[run.latencies_len++] = (uint32_t)(ns / 1000);
    run.latencies_ns += ns;
}

static void finish_request(struct connection *c) {
    int64_t now = run.looked_ns;
    long items = check_answer(c);
    if (items < 0 && run.unexpected++ == 0) {
        int shown = c->in.len < 2000 ? (int)c->in.len : 2000;
        fprintf(stderr, "drive: not as expected:\n%.*s\n", shown, c->in.at);
    }
    run.done++;
    if (run.done > options.warmup) {
        int status = c->answer.status;
        run.statuses[status >= 0 && status < STATUS_MAX ? status : 0]++;
        run.items += items > 0 ? items : 0;
        keep_latency(now - c->begun_ns);
        if (run.last_ns != 0 && now - run.last_ns > run.gap_ns) {
            run.gap_ns = now - run.last_ns;
        }
        run.last_ns = now;
    } else if (run.done == options.warmup) {
        run.clock_ns = now;
    }
    c->waiting = false;
    run.in_flight--;
    push_idle(c);
    if (c->answer.closes && options.reopen != 0) {
        reopen(c);
    }
}

static void read_more(struct connection *c) {
    for (;;) {
        text_reserve(&c->in, READ_SIZE);
        size_t room = c->in.size - c->in.len - 1;
        ssize_t got = recv(c->fd, c->in.at + c->in.len, room, MSG_DONTWAIT);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0 && errno == EAGAIN) {
            return;
        }
        if (got <= 0) {
            on_ended(c, got == 0 ? "end of file" : strerror(errno));
            return;
        }
        c->in.len += (size_t)got;
        c->in.at[c->in.len] = '\0';
        if (!c->waiting) {
            die("an answer that nobody asked for: %.80s", c->in.at);
        }
        enum answer_e state = answer_read(&c->answer, c->in.at, &c->in.len);
        if (state == ANSWER_BROKEN) {
            die("no HTTP answer: %.300s", c->in.at);
        }
        if (state == ANSWER_WHOLE) {
            finish_request(c);
            return;
        }
        if ((size_t)got < room) {
            return; /* the socket is empty: epoll tells when there is more */
        }
    }
}

/* ── the run ── */

static void connect_all(void) {
    run.address.sin_family = AF_INET;
    run.address.sin_port = htons((uint16_t)options.port);
    if (inet_pton(AF_INET, options.host, &run.address.sin_addr) != 1) {
        die("not a numeric address: %s", options.host);
    }
    run.epoll = epoll_create1(0);
    run.idle_last = &run.idle_first;
    run.next_number = options.first;
    run.connections = calloc((size_t)options.connections, sizeof *run.connections);
    if (run.epoll < 0 || run.connections == NULL) {
        die("cannot begin: %s", strerror(errno));
    }
    for (long i = 0; i < options.connections; i++) {
        open_connection(&run.connections[i]);
        push_idle(&run.connections[i]);
    }
}

static void drive(void) {
    struct epoll_event events[EVENTS_MAX];
    if (options.warmup == 0) {
        run.clock_ns = now_ns();
    }
    for (;;) {
        start_requests();
        if (run.in_flight == 0) {
            return;
        }
        int ready = epoll_wait(run.epoll, events, EVENTS_MAX, STALL_MS);
        run.looked_ns = now_ns();
        if (ready == 0) {
            die("no answer for %d s, %ld requests under way", STALL_MS / 1000, run.in_flight);
        }
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if ((events[i].events & EPOLLOUT) != 0) {
                send_more(c);
            }
            if ((events[i].events & ~(uint32_t)EPOLLOUT) != 0) {
                read_more(c);
            }
        }
    }
}

static int compare_latencies(const void *a, const void *b) {
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

/* The nearest-rank quantile: exact, since every latency is kept. */
static uint32_t quantile(double q) {
    size_t rank = (size_t)(q * (double)run.latencies_len);
    return run.latencies_us[rank < run.latencies_len ? rank : run.latencies_len - 1];
}

static int report(void) {
    if (run.latencies_len == 0) {
        die("an empty run: no request after the warm-up");
    }
    qsort(run.latencies_us, run.latencies_len, sizeof *run.latencies_us, compare_latencies);
    double seconds = (double)(run.last_ns - run.clock_ns) / 1e9;
    printf("{\"mode\":\"%s\",\"connections\":%ld,\"active\":%ld,\"requests\":%zu,\"items\":%ld,"
           "\"seconds\":%.6f,\"rps\":%.1f,\"items_per_s\":%.1f,"
           "\"mean_us\":%.1f,\"p50_us\":%u,\"p95_us\":%u,\"p99_us\":%u,\"max_us\":%u,"
           "\"unexpected\":%ld,\"failed\":%ld,\"reopened\":%ld,\"gap_max_us\":%lld,\"statuses\":{",
           mode_texts[options.mode], options.connections, options.active, run.latencies_len,
           run.items, seconds, (double)run.latencies_len / seconds, (double)run.items / seconds,
           (double)run.latencies_ns / (double)run.latencies_len / 1e3, quantile(0.50),
           quantile(0.95), quantile(0.99), quantile(1.0), run.unexpected, run.failed,
           run.reopened, (long long)(run.gap_ns / 1000));
    const char *comma = "";
    for (int status = 0; status < STATUS_MAX; status++) {
        if (run.statuses[status] > 0) {
            printf("%s\"%d\":%ld", comma, status, run.statuses[status]);
            comma = ",";
        }
    }
    puts("}}");
    return run.unexpected + run.failed > 0 ? 1 : 0;
}

/* ── options ── */

/* X(name, kind, member, lowest, what it is) */
#define OPTION_TABLE(X)                                                                            \
    X("host", TEXT, host, 0, "numeric address (127.0.0.1)")                                        \
    X("port", LONG, port, 1, "port")                                                               \
    X("path", TEXT, path, 0, "what to get (/livez)")                                               \
    X("event", TEXT, event, 0, "code of the event (demo)")                                         \
    X("key", TEXT, key, 0, "API key")                                                              \
    X("tag", TEXT, tag, 0, "start of every nonce: another for each run on the same store")         \
    X("prefix", TEXT, prefix, 0, "start of every token (demo-)")                                   \
    X("connections", LONG, connections, 1, "open connections (64)")                                \
    X("active", LONG, active, 0, "requests under way at once (as many as connections)")            \
    X("requests", LONG, requests, 0, "how many requests; or")                                      \
    X("seconds", REAL, seconds, 0, "for how long")                                                 \
    X("warmup", LONG, warmup, 0, "requests before the clock starts (0)")                           \
    X("scans", LONG, scans, 1, "scans or rows in one body (1000)")                                 \
    X("people", LONG, people, 1, "tokens 1..people go in, then out, and so on (50000)")            \
    X("gates", LONG, gates, 1, "gates g01..; each person keeps to one (40)")                       \
    X("first", LONG, first, 0, "number of the first scan or row (0)")                              \
    X("reopen", LONG, reopen, 0, "1: open a connection that ends again, and count what fails (0)")

static void usage(FILE *to) {
    fputs("usage: drive MODE --port N (--requests N | --seconds S) [options]\n"
          "modes: get, scan (one check-in a request), batch (NDJSON of scans), import (CSV)\n",
          to);
#define X(name, kind, member, lowest, what) fprintf(to, "  --%-12s %s\n", name, what);
    OPTION_TABLE(X)
#undef X
}

static void usage_error(const char *what) {
    fprintf(stderr, "drive: %s\n", what);
    usage(stderr);
    exit(2);
}

static const char *parse_TEXT(const char *value, long lowest) {
    (void)lowest;
    return value;
}

static long parse_LONG(const char *value, long lowest) {
    char *end;
    errno = 0;
    long parsed = strtol(value, &end, 10);
    if (errno != 0 || *end != '\0' || end == value || parsed < lowest) {
        usage_error("not a number in range");
    }
    return parsed;
}

static double parse_REAL(const char *value, long lowest) {
    char *end;
    double parsed = strtod(value, &end);
    if (*end != '\0' || end == value || !(parsed > (double)lowest)) {
        usage_error("not a number in range");
    }
    return parsed;
}

static void set_option(int index, const char *value) {
    int at = 0;
#define X(name, kind, member, lowest, what)                                                        \
    if (index == at++) {                                                                           \
        options.member = parse_##kind(value, lowest);                                              \
    }
    OPTION_TABLE(X)
#undef X
}

static void parse_options(int argc, char **argv) {
    static const struct option long_options[] = {
#define X(name, kind, member, lowest, what) {name, required_argument, NULL, 'x'},
        OPTION_TABLE(X)
#undef X
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int found, index = 0;
    while ((found = getopt_long(argc, argv, "h", long_options, &index)) != -1) {
        if (found == 'h') {
            usage(stdout);
            exit(0);
        }
        if (found != 'x') {
            usage(stderr);
            exit(2);
        }
        set_option(index, optarg);
    }
    options.mode = MODE_COUNT;
    for (int mode = 0; optind == argc - 1 && mode < MODE_COUNT; mode++) {
        if (strcmp(argv[optind], mode_texts[mode]) == 0) {
            options.mode = (enum mode_e)mode;
        }
    }
    if (options.mode == MODE_COUNT) {
        usage_error("name one mode");
    }
    if (options.port == 0 || (options.requests == 0) == (options.seconds == 0)) {
        usage_error("give a port, and either requests or seconds");
    }
    if (options.connections > CONNECTIONS_MAX) {
        usage_error("too many connections");
    }
    if (options.active == 0 || options.active > options.connections) {
        options.active = options.connections;
    }
}

static void raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv) {
    parse_options(argc, argv);
    raise_descriptor_limit();
    signal(SIGTERM, on_signal);
    connect_all();
    drive();
    return report();
}
