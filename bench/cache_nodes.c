/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three nodes of the tiered cache on one Redis Cluster, in one process: what a crowd that misses
 * one key costs the store, and how a pattern over a million keys is invalidated. Each node is a
 * struct tiered with one loop of its own, as `turnout serve` would have it; the store is a counter
 * that answers after STORE_MS.
 *
 *   cache_nodes storm HOST:PORT,… [GETS [ROUNDS]]     (default 10000, 5)
 *       GETS gets of one key that nobody has, spread over the nodes, at once. How often was the
 *       store asked, and when had all been answered?
 *   cache_nodes sweep HOST:PORT,… [KEYS]              (default 1000000)
 *       Fills L2 with KEYS keys, lets every node read some, and invalidates them all by a pattern
 *       from the first node. When did each node answer none of them any more? How long did the
 *       sweep take, and what is the longest that a PING to any primary waited meanwhile, and in as
 *       many seconds before?
 *
 * A wrong or failed answer ends with 1. Prints one JSON document.
 */
#include "base/assert.h"
#include "base/json.h"
#include "cache/tiered.h"

#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    NODES = 3,
    GETS_DEFAULT = 10000,
    GETS_MAX = 100000,
    ROUNDS_DEFAULT = 5,
    ROUNDS_MAX = 100,
    KEYS_DEFAULT = 1000000,
    KEYS_MAX = 10000000,
    STORE_MS = 20,
    WATCHED = 64,      /* keys of the pattern that every node has in L1 and asks for again */
    FILL_WINDOW = 512, /* sets under way at once */
    FILL_TTL_MS = 3600000,
    PRIMARIES_MAX = 16,
    PING_PAUSE_US = 500,
    QUIET_US = 2000000, /* probed before the sweep */
    START_S = 30,
};

static _Noreturn void fail(const char *what, const char *detail) {
    fprintf(stderr, "cache_nodes: %s: %s\n", what, detail);
    exit(1);
}

static int64_t now_us(void) {
    return clock_mono_us(clock_system());
}

/* A count that a thread can wait for. */
struct latch {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int64_t left;
    int64_t done_us; /* when it came to nothing */
};

#define LATCH_INITIALIZER {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0}

static void latch_set(struct latch *latch, int64_t count) {
    pthread_mutex_lock(&latch->lock);
    latch->left = count;
    pthread_mutex_unlock(&latch->lock);
}

static void latch_down(struct latch *latch) {
    pthread_mutex_lock(&latch->lock);
    latch->left--;
    if (latch->left == 0) {
        latch->done_us = now_us();
        pthread_cond_broadcast(&latch->changed);
    }
    pthread_mutex_unlock(&latch->lock);
}

static int64_t latch_wait(struct latch *latch) {
    pthread_mutex_lock(&latch->lock);
    while (latch->left > 0) {
        pthread_cond_wait(&latch->changed, &latch->lock);
    }
    int64_t done_us = latch->done_us;
    pthread_mutex_unlock(&latch->lock);
    return done_us;
}

/* Three nodes. */

struct node {
    struct loop_message message;
    struct loop *loop;
    struct tiered *tiered;
    struct tiered_loop *cache;
    struct redis_options redis;
    struct latch *latch;
    struct tiered_get found;
    enum tiered_from_e from;
    struct tiered_get *gets;
    int64_t gets_len;
    int64_t fresh_us; /* when the last watched key was new */
    size_t watched;
    char key[64];
    char pattern[64];
};

static struct node nodes[NODES];
static atomic_int_fast64_t loads;
static atomic_int_fast64_t truth; /* what the store would answer */

static void node_run(struct node *node, void (*fn)(struct loop_message *message)) {
    node->message.fn = fn;
    loop_post(node->loop, &node->message);
}

/* Has `fn` run on every node's loop, and waits until `count` have come down. */
static int64_t nodes_run(struct latch *latch, int64_t count,
                         void (*fn)(struct loop_message *message)) {
    latch_set(latch, count);
    for (int i = 0; i < NODES; i++) {
        nodes[i].latch = latch;
        node_run(&nodes[i], fn);
    }
    return latch_wait(latch);
}

static void on_open(struct loop_message *message) {
    struct node *node = (struct node *)message;
    struct tiered_loop_options options = {
        .loop = node->loop, .redis = &node->redis, .listens = true};
    struct problem problem;
    if (tiered_loop_open(node->tiered, &options, &node->cache, &problem) != ERR_OK) {
        fail(problem.field, problem.detail);
    }
    latch_down(node->latch);
}

static void nodes_open(const char *seeds, struct latch *latch) {
    for (int i = 0; i < NODES; i++) {
        struct tiered_options options = tiered_options_default();
        struct problem problem;
        options.writers = TIERED_WRITERS_OTHERS;
        if (tiered_create(&options, &nodes[i].tiered, &problem) != ERR_OK) {
            fail(problem.field, problem.detail);
        }
        nodes[i].loop = loop_create(i, clock_system());
        if (nodes[i].loop == NULL || loop_start(nodes[i].loop) != ERR_OK) {
            fail("starting", "no loop");
        }
        nodes[i].redis = redis_options_default(nodes[i].loop, slice_of(seeds));
        nodes[i].redis.timeout_ms = REDIS_TIMEOUT_MS_MAX; /* a busy machine is no failure */
    }
    nodes_run(latch, NODES, on_open);
}

static void on_closed(void *data) {
    struct node *node = data;
    loop_stop(node->loop);
}

static void on_close(struct loop_message *message) {
    struct node *node = (struct node *)message;
    tiered_loop_close(node->cache, on_closed, node);
}

static void nodes_close(void) {
    for (int i = 0; i < NODES; i++) {
        node_run(&nodes[i], on_close);
    }
    for (int i = 0; i < NODES; i++) {
        loop_join(nodes[i].loop);
        loop_destroy(nodes[i].loop);
        tiered_destroy(nodes[i].tiered);
    }
}

/* The store: answers what is true when it is asked, a while later. */

struct load {
    struct tiered_get *get;
    struct loop_timer *timer;
    int64_t value;
};

static void on_store_answer(void *data) {
    struct load *load = data;
    struct tiered_loaded loaded = {
        .value = slice_from((const char *)&load->value, sizeof load->value)};
    loop_timer_stop(load->timer);
    tiered_loaded(load->get, &loaded);
    free(load);
}

static void load_later(struct tiered_get *get) {
    struct load *load = malloc(sizeof *load);
    if (load == NULL) {
        fail("a load", "no memory");
    }
    atomic_fetch_add(&loads, 1);
    load->get = get;
    load->value = atomic_load(&truth);
    struct node *node = get->data;
    load->timer = loop_timer_start(node->loop, STORE_MS, 0, on_store_answer, load);
    if (load->timer == NULL) {
        fail("a load", "no memory");
    }
}

static int64_t value_of(const struct tiered_answer *answer) {
    int64_t value;
    if (answer->err != ERR_OK) {
        fail("an answer", err_code(answer->err));
    }
    if (answer->absent || answer->value.len != sizeof value) {
        fail("an answer", "not a value of the store");
    }
    memcpy(&value, answer->value.at, sizeof value);
    return value;
}

/* A node reads L2 when its channel is heard: until each was answered from there what another had
 * loaded, nothing is measured. */

static void on_found(struct tiered_get *get, const struct tiered_answer *answer) {
    struct node *node = get->data;
    value_of(answer);
    node->from = answer->from;
    latch_down(node->latch);
}

static void on_find(struct loop_message *message) {
    struct node *node = (struct node *)message;
    node->found = (struct tiered_get){.class = TIERED_EVENT_CONFIG,
                                      .key = slice_of(node->key),
                                      .load = load_later,
                                      .done = on_found,
                                      .data = node};
    tiered_get(node->cache, &node->found);
}

/* Whether all find in L2 what the node `first` loads now. */
static bool all_find(struct latch *latch, int first, unsigned attempt) {
    bool found = true;
    for (int i = 0; i < NODES; i++) {
        struct node *node = &nodes[(first + i) % NODES];
        snprintf(node->key, sizeof node->key, "event_config:find-%d-%u", (int)getpid(), attempt);
        latch_set(latch, 1);
        node->latch = latch;
        node_run(node, on_find);
        latch_wait(latch);
        found = found && (i == 0 || node->from == TIERED_FROM_L2);
    }
    return found;
}

static void await_coherence(struct latch *latch) {
    int64_t until_us = now_us() + (int64_t)START_S * 1000000;
    unsigned attempt = 0;
    for (int first = 0; first < NODES;) {
        bool found = all_find(latch, first, attempt++);
        first = found ? first + 1 : 0;
        if (now_us() > until_us) {
            fail("starting", "a node does not find in L2 what another one loaded");
        }
        usleep(found ? 0 : 50000);
    }
}

/* storm */

static void on_storm_answer(struct tiered_get *get, const struct tiered_answer *answer) {
    struct node *node = get->data;
    if (value_of(answer) != atomic_load(&truth)) {
        fail("an answer", "not what the store has");
    }
    latch_down(node->latch);
}

static void on_storm(struct loop_message *message) {
    struct node *node = (struct node *)message;
    for (int64_t i = 0; i < node->gets_len; i++) {
        node->gets[i] = (struct tiered_get){.class = TIERED_EVENT_CONFIG,
                                            .key = slice_of(node->key),
                                            .load = load_later,
                                            .done = on_storm_answer,
                                            .data = node};
        tiered_get(node->cache, &node->gets[i]);
    }
}

static void storm(struct json_writer *w, struct latch *latch, int64_t gets, int64_t rounds) {
    for (int i = 0; i < NODES; i++) {
        nodes[i].gets_len = gets / NODES + (i < gets % NODES);
        nodes[i].gets = calloc((size_t)nodes[i].gets_len, sizeof *nodes[i].gets);
        ASSERT(nodes[i].gets != NULL);
    }
    json_put_int(w, "gets", gets);
    json_key(w, "rounds");
    json_begin_array(w);
    for (int64_t round = 0; round < rounds; round++) {
        atomic_store(&loads, 0);
        atomic_store(&truth, round);
        for (int i = 0; i < NODES; i++) {
            snprintf(nodes[i].key, sizeof nodes[i].key, "event_config:storm-%d-%d", (int)getpid(),
                     (int)round);
        }
        int64_t begun_us = now_us();
        int64_t done_us = nodes_run(latch, gets, on_storm);
        json_begin_object(w);
        json_put_int(w, "loads", atomic_load(&loads));
        json_put_real(w, "all_answered_ms", (double)(done_us - begun_us) / 1000, 2);
        json_end_object(w);
    }
    json_end_array(w);
    for (int i = 0; i < NODES; i++) {
        free(nodes[i].gets);
    }
}

/* sweep: filling L2, before the nodes listen: what lies there need not be theirs to be swept. */

struct filling {
    struct loop_message message;
    struct loop *loop;
    struct redis_options options;
    struct redis *redis;
    int64_t next;
    int64_t keys;
    struct latch latch;
};

static void key_of(int64_t number, char key[64]) {
    snprintf(key, 64, "participant:sweep:%08lld", (long long)number);
}

static void load_now(struct tiered_get *get) {
    int64_t value = atomic_load(&truth);
    struct tiered_loaded loaded = {.value = slice_from((const char *)&value, sizeof value)};
    tiered_loaded(get, &loaded);
}

static void fill_next(struct filling *filling);

static void on_filled(void *data, const struct redis_answer *answer) {
    struct filling *filling = data;
    if (answer->err != ERR_OK) {
        fail("filling", err_code(answer->err));
    }
    latch_down(&filling->latch);
    fill_next(filling);
}

static void fill_next(struct filling *filling) {
    if (filling->next == filling->keys) {
        return;
    }
    char key[64];
    key_of(filling->next++, key);
    struct redis_call call = {.op = REDIS_SET,
                              .key = slice_of(key),
                              .value = SLICE_LIT("sixteen bytes..."),
                              .ttl_ms = FILL_TTL_MS,
                              .fn = on_filled,
                              .data = filling};
    enum err_e err = redis_send(filling->redis, &call);
    if (err != ERR_OK) {
        fail("filling", err_code(err));
    }
}

static void on_fill(struct loop_message *message) {
    struct filling *filling = (struct filling *)message;
    struct problem problem;
    if (redis_open(&filling->options, &filling->redis, &problem) != ERR_OK) {
        fail(problem.field, problem.detail);
    }
    for (int i = 0; i < FILL_WINDOW; i++) {
        fill_next(filling);
    }
}

static void on_fill_closed(void *data) {
    loop_stop(((struct filling *)data)->loop);
}

static void on_fill_close(struct loop_message *message) {
    struct filling *filling = (struct filling *)message;
    redis_close(filling->redis, on_fill_closed, filling);
}

static void fill(struct json_writer *w, const char *seeds, int64_t keys) {
    struct filling filling = {.message.fn = on_fill,
                              .loop = loop_create(0, clock_system()),
                              .next = WATCHED, /* those are the nodes' */
                              .keys = keys,
                              .latch = LATCH_INITIALIZER};
    if (filling.loop == NULL || loop_start(filling.loop) != ERR_OK) {
        fail("filling", "no loop");
    }
    filling.options = redis_options_default(filling.loop, slice_of(seeds));
    filling.options.timeout_ms = REDIS_TIMEOUT_MS_MAX;
    int64_t begun_us = now_us();
    latch_set(&filling.latch, keys - WATCHED);
    loop_post(filling.loop, &filling.message);
    int64_t done_us = latch_wait(&filling.latch);
    filling.message.fn = on_fill_close;
    loop_post(filling.loop, &filling.message);
    loop_join(filling.loop);
    loop_destroy(filling.loop);
    json_put_int(w, "keys", keys);
    json_put_real(w, "fill_s", (double)(done_us - begun_us) / 1e6, 2);
}

/* sweep: each node asks for its watched keys, one after another, until each of them is new. */

static void watch_next(struct node *node);

static void on_watched(struct tiered_get *get, const struct tiered_answer *answer) {
    struct node *node = get->data;
    if (value_of(answer) == atomic_load(&truth)) {
        node->watched++;
    }
    if (node->watched == WATCHED) {
        node->fresh_us = now_us();
        latch_down(node->latch);
        return;
    }
    watch_next(node);
}

static void on_watch(struct loop_message *message) {
    struct node *node = (struct node *)message;
    *node->gets = (struct tiered_get){.class = TIERED_PARTICIPANT,
                                      .key = slice_of(node->key),
                                      .load = load_now,
                                      .done = on_watched,
                                      .data = node};
    tiered_get(node->cache, node->gets);
}

/* In a turn of its own: the news come in turns too. */
static void watch_next(struct node *node) {
    key_of((int64_t)node->watched, node->key);
    node_run(node, on_watch);
}

static void on_watch_begin(struct loop_message *message) {
    struct node *node = (struct node *)message;
    node->watched = 0;
    watch_next(node);
}

static struct tiered_invalidated swept;
static struct latch sweep_latch = LATCH_INITIALIZER;

static void on_swept(void *data, const struct tiered_invalidated *result) {
    (void)data;
    swept = *result;
    latch_down(&sweep_latch);
}

struct order {
    struct loop_message message;
    struct node *node;
};

static void on_invalidate(struct loop_message *message) {
    struct order *order = (struct order *)message;
    enum err_e err = tiered_invalidate(order->node->cache, slice_of(order->node->pattern), on_swept,
                                       NULL);
    if (err != ERR_OK) {
        fail("invalidating", err_code(err));
    }
}

/* sweep: PINGs to each primary, one thread each. */

struct probe {
    pthread_t thread;
    redisContext *redis;
    atomic_int_fast64_t worst_us;
};

static struct probe probes[PRIMARIES_MAX];
static int probes_len;
static atomic_bool probes_end;

static void *probe_run(void *data) {
    struct probe *probe = data;
    while (!atomic_load(&probes_end)) {
        int64_t begun_us = now_us();
        redisReply *reply = redisCommand(probe->redis, "PING");
        if (reply == NULL || reply->type != REDIS_REPLY_STATUS) {
            fail("a PING", reply == NULL ? probe->redis->errstr : "no PONG");
        }
        freeReplyObject(reply);
        int64_t took_us = now_us() - begun_us;
        if (took_us > atomic_load(&probe->worst_us)) {
            atomic_store(&probe->worst_us, took_us);
        }
        usleep(PING_PAUSE_US);
    }
    return NULL;
}

/* The longest of all since the last call. */
static double probes_take_ms(void) {
    int64_t worst_us = 0;
    for (int i = 0; i < probes_len; i++) {
        int64_t own = atomic_exchange(&probes[i].worst_us, 0);
        worst_us = own > worst_us ? own : worst_us;
    }
    return (double)worst_us / 1000;
}

static redisContext *probe_connect(const char *host, int port) {
    redisContext *redis = redisConnect(host, port);
    if (redis == NULL || redis->err != 0) {
        fail("probing", redis == NULL ? "no memory" : redis->errstr);
    }
    return redis;
}

/* Every seed that is a primary. */
static void probes_start(const char *seeds) {
    char host[64];
    int port;
    int used;
    while (probes_len < PRIMARIES_MAX && sscanf(seeds, "%63[^:]:%d%n", host, &port, &used) == 2) {
        redisContext *redis = probe_connect(host, port);
        redisReply *reply = redisCommand(redis, "ROLE");
        bool primary = reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 &&
                       strcmp(reply->element[0]->str, "master") == 0;
        freeReplyObject(reply);
        if (primary) {
            probes[probes_len++].redis = redis;
        } else {
            redisFree(redis);
        }
        seeds += used + (seeds[used] == ',');
    }
    if (probes_len == 0) {
        fail("probing", "no primary among the seeds");
    }
    for (int i = 0; i < probes_len; i++) {
        ASSERT(pthread_create(&probes[i].thread, NULL, probe_run, &probes[i]) == 0);
    }
}

static void probes_stop(void) {
    atomic_store(&probes_end, true);
    for (int i = 0; i < probes_len; i++) {
        pthread_join(probes[i].thread, NULL);
        redisFree(probes[i].redis);
    }
}

static void sweep(struct json_writer *w, struct latch *latch, const char *seeds) {
    atomic_store(&truth, 1);
    for (int i = 0; i < NODES; i++) {
        nodes[i].gets = calloc(1, sizeof *nodes[i].gets);
        ASSERT(nodes[i].gets != NULL);
    }
    nodes_run(latch, NODES, on_watch_begin); /* now every node has the watched ones */
    probes_start(seeds);
    usleep(QUIET_US);
    json_put_real(w, "worst_ping_before_ms", probes_take_ms(), 2);
    snprintf(nodes[0].pattern, sizeof nodes[0].pattern, "participant:sweep:*");
    static struct order order = {{.fn = on_invalidate}, &nodes[0]};
    latch_set(&sweep_latch, 1);
    atomic_store(&truth, 2);
    int64_t begun_us = now_us();
    loop_post(nodes[0].loop, &order.message);
    nodes_run(latch, NODES, on_watch_begin);
    int64_t swept_us = latch_wait(&sweep_latch);
    json_put_real(w, "worst_ping_during_ms", probes_take_ms(), 2);
    probes_stop();
    if (swept.err != ERR_OK) {
        fail("sweeping", err_code(swept.err));
    }
    json_key(w, "visible_ms");
    json_begin_array(w);
    for (int i = 0; i < NODES; i++) {
        json_add_real(w, (double)(nodes[i].fresh_us - begun_us) / 1000, 2);
        free(nodes[i].gets);
    }
    json_end_array(w);
    json_put_real(w, "sweep_s", (double)(swept_us - begun_us) / 1e6, 2);
    json_put_int(w, "unlinked", (int64_t)swept.l2_keys);
}

static int usage(const char *name) {
    fprintf(stderr, "usage: %s storm HOST:PORT,... [GETS [ROUNDS]] | sweep HOST:PORT,... [KEYS]\n",
            name);
    return 2;
}

int main(int argc, char **argv) {
    bool storms = argc >= 3 && strcmp(argv[1], "storm") == 0;
    bool sweeps = argc >= 3 && strcmp(argv[1], "sweep") == 0;
    int64_t count = storms ? GETS_DEFAULT : KEYS_DEFAULT;
    int64_t rounds = ROUNDS_DEFAULT;
    if ((!storms && !sweeps) || argc > (storms ? 5 : 4) ||
        (argc > 3 && !slice_to_int(slice_of(argv[3]), WATCHED, storms ? GETS_MAX : KEYS_MAX,
                                   &count)) ||
        (argc > 4 && !slice_to_int(slice_of(argv[4]), 1, ROUNDS_MAX, &rounds))) {
        return usage(argv[0]);
    }
    struct latch latch = LATCH_INITIALIZER;
    struct buf text;
    struct json_writer w;
    buf_init(&text, 1 << 16);
    json_writer_init(&w, &text);
    json_begin_object(&w);
    json_put_cstr(&w, "bench", "cache_nodes");
    json_put_int(&w, "nodes", NODES);
    if (sweeps) {
        fill(&w, argv[2], count);
    }
    nodes_open(argv[2], &latch);
    await_coherence(&latch);
    if (storms) {
        storm(&w, &latch, count, rounds);
    } else {
        sweep(&w, &latch, argv[2]);
    }
    json_end_object(&w);
    nodes_close();
    printf("%.*s\n", SLICE_ARG(buf_slice(&text)));
    buf_fini(&text);
    return 0;
}
