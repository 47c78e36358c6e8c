/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: whichever allocation of a node fails, it starts or says why not, it goes on serving, and
 * what it answered stands: a scan is recorded once, as it was answered.
 *
 * The node runs in a process of its own, made by fork, so that a crash is one finding. There a
 * thread takes orders from this one: which allocation is to fail next, and how it went. Requests
 * fail on SQLite with the cache in front.
 */
#include "memory.h"

#include "app/node.h"
#include "base/json.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PATIENCE_MS = 60000,
    PEOPLE = 2000,
    ANSWER_SIZE = 1 << 16,
    STARTS = 60,
};

/* What became of an order: of the time since the one before. */
struct reply {
    bool failed;
    uint64_t made; /* allocations */
};

static char folder[64];

/* A node's process, as this one sees it. */
static struct node {
    pid_t pid;
    int orders; /* to it: which allocation is to fail, 0: none */
    int replies; /* from it */
    int output;
    int port;
} node;

/* ── the node's process ── */

static int orders_in, replies_out;

static int take_orders(void *data) {
    (void)data;
    uint64_t nth;
    while (read(orders_in, &nth, sizeof nth) == (ssize_t)sizeof nth) {
        const struct reply reply = {memory_end(), memory_made()};
        if (nth > 0) {
            memory_fail(nth, MEMORY_ONCE);
        }
        if (write(replies_out, &reply, sizeof reply) != (ssize_t)sizeof reply) {
            break;
        }
    }
    return 0;
}

static void block_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static enum err_e load_again(void *data, struct config *ret_config, struct buf *ret_errors) {
    (void)data, (void)ret_config, (void)ret_errors;
    return ERR_CONFIG;
}

static int serve(uint64_t fails_at, enum memory_fault_e fault) {
    char store[96];
    snprintf(store, sizeof store, "sqlite:%s/store.db", folder);
    const struct config_flag flags[] = {
        {CONFIG_server_listen, "--listen", "127.0.0.1:0"},
        {CONFIG_server_loops, "--loops", "1"},
        {CONFIG_store_url, "--store", store},
        {CONFIG_auth_mode, "--auth", "off"},
        {CONFIG_log_access, "--access", "off"},
    };
    const struct config_input input = {.flags = flags,
                                       .flags_len = sizeof flags / sizeof flags[0]};
    struct config config;
    struct problem problem = {.detail = ""};
    struct buf errors;
    buf_init(&errors, 1 << 16);
    if (fails_at > 0) {
        memory_fail(fails_at, fault);
    }
    enum err_e err = config_load(&config, &input, &errors);
    char *const arguments[] = {NULL};
    if (err == ERR_OK) {
        const struct node_options options = {
            .config = &config, .source = {load_again, NULL}, .argv = arguments};
        err = node_serve(&options, &problem);
    }
    (void)memory_end();
    config_fini(&config);
    buf_fini(&errors);
    if (err != ERR_OK) {
        fprintf(stderr, "stopped: %s: %s\n", err_code(err), problem.detail);
    }
    return err == ERR_OK ? 0 : 1;
}

static _Noreturn void run_node(const int ends[6], uint64_t fails_at, enum memory_fault_e fault) {
    char log[96];
    thrd_t thread;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    snprintf(log, sizeof log, "%s/log", folder);
    int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    dup2(fd, STDERR_FILENO);
    dup2(ends[5], STDOUT_FILENO);
    orders_in = ends[0];
    replies_out = ends[3];
    close(ends[1]);
    close(ends[2]);
    close(ends[4]);
    block_signals();
    if (thrd_create(&thread, take_orders, NULL) != thrd_success ||
        thrd_detach(thread) != thrd_success) {
        _exit(3);
    }
    exit(serve(fails_at, fault));
}

/* ── this process ── */

static void show_log(void) {
    char path[96];
    char line[1024];
    snprintf(path, sizeof path, "%s/log", folder);
    FILE *log = fopen(path, "re");
    while (log != NULL && fgets(line, sizeof line, log) != NULL) {
        print_message("  %s", line);
    }
    if (log != NULL) {
        fclose(log);
    }
}

static void start_node(uint64_t fails_at, enum memory_fault_e fault) {
    int ends[6]; /* orders, replies, output: each read, write */
    for (int i = 0; i < 6; i += 2) {
        assert_int_equal(pipe(ends + i), 0);
    }
    fflush(NULL);
    node = (struct node){.pid = fork(), .orders = ends[1], .replies = ends[2], .output = ends[4]};
    assert_true(node.pid >= 0);
    if (node.pid == 0) {
        run_node(ends, fails_at, fault);
    }
    close(ends[0]);
    close(ends[3]);
    close(ends[5]);
}

/* False when it has ended without getting ready. */
static bool wait_ready(void) {
    char line[512];
    size_t len = 0;
    for (;;) {
        struct pollfd wait = {.fd = node.output, .events = POLLIN};
        if (poll(&wait, 1, PATIENCE_MS) != 1) {
            show_log();
            fail_msg("neither ready nor ended");
        }
        ssize_t got = read(node.output, line + len, 1);
        if (got <= 0 || len + 2 > sizeof line) {
            return false;
        }
        if (line[len++] == '\n') {
            line[len] = '\0';
            break;
        }
    }
    return sscanf(line, "ready url=http://127.0.0.1:%d", &node.port) == 1;
}

/* The exit status; a signal fails the test. */
static int wait_ended(void) {
    int status;
    close(node.orders);
    assert_int_equal(waitpid(node.pid, &status, 0), node.pid);
    close(node.replies);
    close(node.output);
    if (!WIFEXITED(status) || WEXITSTATUS(status) > 1) {
        show_log();
        fail_msg("the node crashed: status %x", status);
    }
    return WEXITSTATUS(status);
}

static void stop_node(void) {
    assert_int_equal(kill(node.pid, SIGTERM), 0);
    if (wait_ended() != 0) {
        show_log();
        fail_msg("the node did not stop well");
    }
}

/* Orders the n-th allocation from now to fail; 0: none. */
static struct reply order(uint64_t nth) {
    struct reply reply = {false, 0};
    if (write(node.orders, &nth, sizeof nth) != (ssize_t)sizeof nth ||
        read(node.replies, &reply, sizeof reply) != (ssize_t)sizeof reply) {
        (void)wait_ended();
        fail_msg("the node ended");
    }
    return reply;
}

/* ── requests ── */

static int connect_to_node(void) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)node.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        show_log();
        fail_msg("nobody listens: %s", strerror(errno));
    }
    return fd;
}

struct asked {
    const char *method, *path, *type, *body;
};

/* The status, 0: the connection was closed without an answer. `ret_body` may be NULL. */
static int ask(const struct asked *asked, char **ret_body) {
    static char text[ANSWER_SIZE];
    int fd = connect_to_node();
    int len = snprintf(text, sizeof text,
                       "%s /v1/events%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                       "Content-Type: %s\r\nContent-Length: %zu\r\n\r\n%s",
                       asked->method, asked->path, asked->type, strlen(asked->body), asked->body);
    ssize_t sent = send(fd, text, (size_t)len, MSG_NOSIGNAL);
    size_t got = 0;
    for (ssize_t more = sent; more > 0 && got + 1 < sizeof text; got += (size_t)more) {
        more = recv(fd, text + got, sizeof text - 1 - got, 0);
        if (more < 0) {
            if (errno == EAGAIN) {
                show_log();
                fail_msg("no answer to %s %s", asked->method, asked->path);
            }
            break; /* reset */
        }
    }
    close(fd);
    text[got] = '\0';
    int status = 0;
    char *end = strstr(text, "\r\n\r\n");
    if (end == NULL || sscanf(text, "HTTP/1.1 %d", &status) != 1) {
        return 0;
    }
    if (ret_body != NULL) {
        *ret_body = end + 4;
    }
    return status;
}

static void must(const char *method, const char *path, const char *type, const char *body) {
    int status = ask(&(struct asked){method, path, type, body}, NULL);
    if (status != 200 && status != 201) {
        show_log();
        fail_msg("%s %s: %d", method, path, status);
    }
}

#define JSON "application/json"

static void make_event(void) {
    static char csv[PEOPLE * 24];
    size_t len = (size_t)snprintf(csv, sizeof csv, "token,name\n");
    for (int i = 1; i < PEOPLE; i++) {
        len += (size_t)snprintf(csv + len, sizeof csv - len, "t%d,Ann\n", i);
    }
    must("POST", "", JSON, "{\"code\":\"e\",\"name\":\"E\"}");
    must("POST", "/e/gates", JSON, "{\"code\":\"g1\"}");
    assert_true(len + 512 < ANSWER_SIZE);
    must("POST", "/e/participants:import", "text/csv", csv);
}

/* What was answered to a scan; id empty: it was not decided. */
struct answer {
    char id[32];
    bool admitted, replayed;
};

static int scan(uint64_t n, char kind, struct answer *ret_answer) {
    char body[128];
    char *reply;
    *ret_answer = (struct answer){.id = ""};
    snprintf(body, sizeof body, "{\"token\":\"t%d\",\"gate\":\"g1\",\"nonce\":\"%c%d\"}", (int)n,
             kind, (int)n);
    int status = ask(&(struct asked){"POST", "/e/checkins", JSON, body}, &reply);
    const char *id = status == 200 ? strstr(reply, "\"record_id\":\"") : NULL;
    if (id != NULL) {
        assert_int_equal(sscanf(id, "\"record_id\":\"%30[0-9]", ret_answer->id), 1);
        ret_answer->admitted = strstr(reply, "\"verdict\":\"admitted\"") != NULL;
        ret_answer->replayed = strstr(reply, "\"replayed\":true") != NULL;
    }
    return status;
}

/* Refused for want of memory, or not answered. */
static bool is_good(int status) {
    return status == 200 || status == 0 || status == 503;
}

static void good(const char *what, int status) {
    if (!is_good(status)) {
        show_log();
        fail_msg("%s: %d", what, status);
    }
}

/* One of each kind of request, with the caches in every state. */
static void ask_for_all(uint64_t n, struct answer *ret_scan) {
    char path[96], body[160];
    struct answer ignored;
    good("scan", scan(n, 'a', ret_scan));
    good("replay", scan(n, 'a', &ignored));
    snprintf(path, sizeof path, "/e/participants?token=t%d", (int)n);
    good("person", ask(&(struct asked){"GET", path, JSON, ""}, NULL));
    snprintf(body, sizeof body, "{\"name\":\"North %d\"}", (int)n);
    good("gate", ask(&(struct asked){"PATCH", "/e/gates/g1", JSON, body}, NULL));
    good("stats", ask(&(struct asked){"GET", "/e/stats", JSON, ""}, NULL));
    good("history", ask(&(struct asked){"GET", "/e/attendance?limit=3", JSON, ""}, NULL));
    snprintf(body, sizeof body, "{\"token\":\"t%d\",\"gate\":\"g1\",\"nonce\":\"c%d\"}\n\n", (int)n,
             (int)n);
    good("batch", ask(&(struct asked){"POST", "/e/checkins:batch", "application/x-ndjson", body},
                      NULL));
}

static void check_scan(uint64_t n, const struct answer *was) {
    struct answer now;
    assert_int_equal(scan(n, 'a', &now), 200);
    if (was->id[0] != '\0') {
        assert_string_equal(now.id, was->id);
        assert_int_equal(now.admitted, was->admitted);
        assert_true(now.replayed);
    }
}

static int64_t figure(const char *body, const char *name) {
    const char *at = strstr(body, name);
    assert_non_null(at);
    return strtoll(at + strlen(name), NULL, 10);
}

/* Everybody who came is inside once, whatever failed. */
static void check_all(uint64_t people) {
    char *body;
    struct answer ignored;
    for (uint64_t n = 1; n <= people; n++) { /* that the batches' scans are there, too */
        assert_int_equal(scan(n, 'a', &ignored), 200);
        assert_int_equal(scan(n, 'c', &ignored), 200);
    }
    for (int tries = 0;; tries++) { /* a read may lag by a second */
        assert_int_equal(ask(&(struct asked){"GET", "/e/stats", JSON, ""}, &body), 200);
        if (figure(body, "\"scans\":") == (int64_t)(2 * people) || tries > 600) {
            break;
        }
        poll(NULL, 0, 50);
    }
    assert_int_equal(figure(body, "\"scans\":"), 2 * people);
    assert_int_equal(figure(body, "\"inside\":"), people);
    assert_int_equal(figure(body, "\"refused\":"), people);
}

static void requests_are_served_or_refused_and_scans_stand(void **state) {
    (void)state;
    uint64_t people = 0;
    start_node(0, MEMORY_ONCE);
    assert_true(wait_ready());
    make_event();
    memory_begin_story(1);
    for (uint64_t n = 1;; n = memory_next(n)) {
        struct answer answer;
        assert_true(++people < PEOPLE);
        (void)order(n);
        ask_for_all(people, &answer);
        bool failed = order(0).failed;
        check_scan(people, &answer);
        if (!failed) {
            break;
        }
    }
    assert_true(people > 20);
    print_message("%d allocations failed\n", (int)people - 1);
    check_all(people);
    stop_node();
}

/* ── starting ── */

static void remove_files(void) {
    static const char *const names[] = {"store.db", "store.db-wal", "store.db-shm", "log",
                                        "store.db-journal", "store.db.lock"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
}

static uint64_t count_of_a_start(void) {
    start_node(UINT64_MAX, MEMORY_ONCE);
    assert_true(wait_ready());
    uint64_t made = order(0).made;
    stop_node();
    return made;
}

/* Returns whether it got ready. */
static bool start_without(uint64_t nth, enum memory_fault_e fault) {
    start_node(nth, fault);
    if (!wait_ready()) {
        assert_int_equal(wait_ended(), 1);
        return false;
    }
    (void)order(0);
    must("GET", "", JSON, "");
    stop_node();
    return true;
}

/* With a file that is there, and with one that has to be made. */
static void a_node_starts_or_says_why_not(void **state) {
    (void)state;
    const char *wanted = getenv("TURNOUT_STARTS");
    uint64_t starts = wanted == NULL ? STARTS : strtoull(wanted, NULL, 10);
    for (int is_new = 0; is_new < 2; is_new++) {
        remove_files();
        if (!is_new) {
            (void)count_of_a_start(); /* makes it */
        }
        uint64_t made = count_of_a_start(), tried = 0, ready = 0;
        memory_begin_story(1 + made / starts);
        for (uint64_t n = 1; n <= made; n = memory_next(n)) {
            if (is_new) {
                remove_files();
            }
            tried++;
            ready += start_without(n, n % 2 == 0 ? MEMORY_ONCE : MEMORY_FROM_THEN_ON);
        }
        print_message("%d allocations, %d starts, %d ready all the same\n", (int)made, (int)tried,
                      (int)ready);
        assert_true(tried > ready); /* something failed */
    }
}

static int make_folder(void **state) {
    (void)state;
    const char *parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(folder, sizeof folder, "%s/turnout-memory-XXXXXX", parent);
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state) {
    (void)state;
    remove_files();
    return rmdir(folder);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        CASE(requests_are_served_or_refused_and_scans_stand),
        CASE(a_node_starts_or_says_why_not),
    };
    memory_install();
    signal(SIGPIPE, SIG_IGN); /* a node that crashed is told by its status */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
