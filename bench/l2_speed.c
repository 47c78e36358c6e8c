/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many gets a second the Redis client makes when 32 are under way, against plain hiredis on the
 * same Redis in the same run, in turn. Both send 32 gets, take 32 answers, and so on, on one
 * connection to the primary that owns the keys (one hash tag); both see the same bytes. Plain
 * hiredis is its synchronous pipeline: no loop, no deadline, no routing, no check of the value.
 *
 * Every answer must be a hit with the value that was put there: anything else ends with 1.
 *
 * Usage: l2_speed HOST:PORT,… [GETS [ROUNDS]]   (default 200000 gets a round, 5 rounds). Prints one
 * JSON document.
 */
#include "base/assert.h"
#include "base/json.h"
#include "cache/redis.h"
#include "io/loop.h"

#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    DEPTH = 32,
    KEYS = 1024,
    KEY_LEN = 64,
    VALUE_LEN = 64,
    ENVELOPE = 28, /* what the client puts in front of a value */
    GETS_DEFAULT = 200000,
    GETS_MAX = 100000000,
    ROUNDS_DEFAULT = 5,
    ROUNDS_MAX = 100,
    TTL_MS = 3600000,
};
#define PREFIX "bench:"
enum { FULL_LEN = sizeof PREFIX - 1 + 2 + KEY_LEN }; /* with "k:" */

static char keys[KEYS][KEY_LEN + 1];
static char value[VALUE_LEN];

static _Noreturn void fail(const char *what, const char *detail) {
    fprintf(stderr, "l2_speed: %s: %s\n", what, detail);
    exit(1);
}

/* The client. */

struct run {
    struct loop_message message;
    struct loop *loop;
    struct redis *redis;
    struct slice seeds;
    pthread_mutex_t lock; /* of `done` */
    pthread_cond_t changed;
    bool done;
    enum redis_op_e op;
    int64_t left; /* to be sent */
    unsigned waiting;
    unsigned at;
};

static void run_end(struct run *run) {
    pthread_mutex_lock(&run->lock);
    run->done = true;
    pthread_cond_signal(&run->changed);
    pthread_mutex_unlock(&run->lock);
}

static void send_some(struct run *run);

static void on_answer(void *data, const struct redis_answer *answer) {
    struct run *run = data;
    if (answer->err != ERR_OK) {
        fail("an answer", err_code(answer->err));
    }
    if (run->op == REDIS_GET &&
        (answer->outcome != REDIS_HIT || !slice_eq(answer->value, slice_from(value, VALUE_LEN)))) {
        fail("an answer", "not the value that was set");
    }
    run->waiting--;
    if (run->waiting == 0) {
        send_some(run);
    }
}

static void send_some(struct run *run) {
    if (run->left == 0) {
        run_end(run);
        return;
    }
    unsigned count = run->left < DEPTH ? (unsigned)run->left : DEPTH;
    run->left -= count;
    run->waiting = count; /* before the first is sent */
    for (unsigned i = 0; i < count; i++) {
        struct redis_call call = {
            .op = run->op,
            .key = slice_from(keys[run->at++ % KEYS], KEY_LEN),
            .value = run->op == REDIS_SET ? slice_from(value, VALUE_LEN) : SLICE_NONE,
            .ttl_ms = TTL_MS,
            .fn = on_answer,
            .data = run,
        };
        enum err_e err = redis_send(run->redis, &call);
        if (err != ERR_OK) {
            fail("sending", err_code(err));
        }
    }
}

static void on_start(struct loop_message *message) {
    struct run *run = (struct run *)message;
    run->at = 0;
    send_some(run);
}

static void on_open(struct loop_message *message) {
    struct run *run = (struct run *)message;
    struct redis_options options = redis_options_default(run->loop, run->seeds);
    struct problem problem;
    options.prefix = SLICE_LIT(PREFIX);
    options.timeout_ms = REDIS_TIMEOUT_MS_MAX; /* a busy machine is no failure */
    if (redis_open(&options, &run->redis, &problem) != ERR_OK) {
        fail(problem.field, problem.detail);
    }
    run_end(run);
}

static void on_closed(void *data) {
    struct run *run = data;
    loop_stop(run->loop);
}

static void on_close(struct loop_message *message) {
    struct run *run = (struct run *)message;
    redis_close(run->redis, on_closed, run);
}

/* Has `fn` run on the loop, and waits until the run ends. */
static void run_wait(struct run *run, void (*fn)(struct loop_message *message)) {
    run->done = false;
    run->message.fn = fn;
    loop_post(run->loop, &run->message);
    pthread_mutex_lock(&run->lock);
    while (!run->done) {
        pthread_cond_wait(&run->changed, &run->lock);
    }
    pthread_mutex_unlock(&run->lock);
}

struct figure {
    double per_s;
    double cpu_us; /* of this process, for one get */
};

static int64_t cpu_us(void) {
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (int64_t)used.tv_sec * 1000000 + used.tv_nsec / 1000;
}

static struct figure figure_begin(void) {
    return (struct figure){(double)clock_mono_us(clock_system()), (double)cpu_us()};
}

static struct figure figure_end(struct figure begun, int64_t count) {
    double took_us = (double)clock_mono_us(clock_system()) - begun.per_s;
    double used_us = (double)cpu_us() - begun.cpu_us;
    return (struct figure){(double)count * 1e6 / (took_us > 0 ? took_us : 1),
                           used_us / (double)count};
}

static struct figure measure_client(struct run *run, enum redis_op_e op, int64_t count) {
    run->op = op;
    run->left = count;
    struct figure begun = figure_begin();
    run_wait(run, on_start);
    return figure_end(begun, count);
}

/* Plain hiredis. */

static redisContext *connect_to(const char *host, int port) {
    redisContext *c = redisConnect(host, port);
    if (c == NULL || c->err != 0) {
        fail("plain hiredis", c == NULL ? "no memory" : c->errstr);
    }
    return c;
}

static void full_key(unsigned i, char text[FULL_LEN + 1]) {
    memcpy(text, PREFIX "k:", FULL_LEN - KEY_LEN);
    memcpy(text + FULL_LEN - KEY_LEN, keys[i % KEYS], KEY_LEN + 1);
}

/* A connection to whoever owns the keys, by asking the first seed. */
static redisContext *connect_to_owner(const char *seeds) {
    char host[64];
    int port;
    if (sscanf(seeds, "%63[^:]:%d", host, &port) != 2) {
        fail(seeds, "not HOST:PORT");
    }
    redisContext *c = connect_to(host, port);
    char key[FULL_LEN + 1];
    full_key(0, key);
    redisReply *reply = redisCommand(c, "GET %s", key);
    if (reply == NULL) {
        fail("plain hiredis", c->errstr);
    }
    bool moved = reply->type == REDIS_REPLY_ERROR &&
                 sscanf(reply->str, "MOVED %*d %63[^:]:%d", host, &port) == 2;
    freeReplyObject(reply);
    if (!moved) {
        return c;
    }
    redisFree(c);
    return connect_to(host, port);
}

static void take_plain(redisContext *c) {
    redisReply *reply;
    if (redisGetReply(c, (void **)&reply) != REDIS_OK) {
        fail("plain hiredis", c->errstr);
    }
    if (reply->type != REDIS_REPLY_STRING || reply->len != ENVELOPE + VALUE_LEN ||
        memcmp(reply->str + ENVELOPE, value, VALUE_LEN) != 0) {
        fail("plain hiredis", "not the value that was set");
    }
    freeReplyObject(reply);
}

static struct figure measure_plain(redisContext *c, int64_t count) {
    char key[FULL_LEN + 1];
    unsigned at = 0;
    struct figure begun = figure_begin();
    for (int64_t left = count; left > 0;) {
        int some = left < DEPTH ? (int)left : DEPTH;
        left -= some;
        for (int i = 0; i < some; i++) {
            full_key(at++, key);
            const char *words[] = {"GET", key};
            const size_t lens[] = {3, FULL_LEN};
            redisAppendCommandArgv(c, 2, words, lens);
        }
        for (int i = 0; i < some; i++) {
            take_plain(c);
        }
    }
    return figure_end(begun, count);
}

static void make_data(void) {
    for (unsigned i = 0; i < KEYS; i++) {
        char head[32];
        snprintf(head, sizeof head, "{l2_speed}%06u", i);
        memset(keys[i], '.', KEY_LEN);
        memcpy(keys[i], head, strlen(head));
    }
    memset(value, 'v', VALUE_LEN);
}

static void print_pairs(struct run *run, redisContext *plain, int64_t gets, int64_t rounds) {
    struct buf text;
    struct json_writer w;
    buf_init(&text, 1 << 16);
    json_writer_init(&w, &text);
    json_begin_object(&w);
    json_put_cstr(&w, "bench", "l2_speed");
    json_put_int(&w, "depth", DEPTH);
    json_put_int(&w, "value_bytes", VALUE_LEN);
    json_put_int(&w, "gets", gets);
    json_key(&w, "rounds");
    json_begin_array(&w);
    for (int64_t i = 0; i < rounds; i++) {
        json_begin_object(&w);
        struct figure ours = measure_client(run, REDIS_GET, gets);
        struct figure theirs = measure_plain(plain, gets);
        json_put_real(&w, "client_per_s", ours.per_s, 0);
        json_put_real(&w, "plain_per_s", theirs.per_s, 0);
        json_put_real(&w, "client_cpu_us", ours.cpu_us, 3);
        json_put_real(&w, "plain_cpu_us", theirs.cpu_us, 3);
        json_end_object(&w);
    }
    json_end_array(&w);
    json_end_object(&w);
    printf("%.*s\n", SLICE_ARG(buf_slice(&text)));
    buf_fini(&text);
}

int main(int argc, char **argv) {
    int64_t gets = GETS_DEFAULT;
    int64_t rounds = ROUNDS_DEFAULT;
    if (argc < 2 || argc > 4 ||
        (argc > 2 && !slice_to_int(slice_of(argv[2]), 1, GETS_MAX, &gets)) ||
        (argc > 3 && !slice_to_int(slice_of(argv[3]), 1, ROUNDS_MAX, &rounds))) {
        fprintf(stderr, "usage: %s HOST:PORT,... [GETS [ROUNDS]]\n", argv[0]);
        return 2;
    }
    make_data();
    struct run run = {.loop = loop_create(0, clock_system()), .seeds = slice_of(argv[1])};
    pthread_mutex_init(&run.lock, NULL);
    pthread_cond_init(&run.changed, NULL);
    if (run.loop == NULL || loop_start(run.loop) != ERR_OK) {
        fail("the loop", "does not start");
    }
    run_wait(&run, on_open);
    measure_client(&run, REDIS_SET, KEYS);
    redisContext *plain = connect_to_owner(argv[1]);
    measure_client(&run, REDIS_GET, gets < KEYS ? gets : KEYS); /* warms both */
    measure_plain(plain, gets < KEYS ? gets : KEYS);
    print_pairs(&run, plain, gets, rounds);
    redisFree(plain);
    run.message.fn = on_close;
    loop_post(run.loop, &run.message);
    loop_join(run.loop);
    loop_destroy(run.loop);
    return 0;
}
