/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Redis client by hand, for tests that start, stop and break real servers around it.
 *
 *   redis_probe SEEDS [PREFIX [TIMEOUT_MS [primary|spread]]]     REDIS_PASSWORD: for AUTH
 *
 * Reads a command a line: an id, an operation and its arguments. Writes a line for each answer,
 * which begins with that id, and "news WHAT KEY" whenever the channel has something to say.
 *
 *   ID get|invalidate|unlink|epoch_read|epoch_raise KEY     ID lease|release KEY TOKEN TTL_MS
 *   ID set KEY VALUE TTL_MS VERSION                         ID sweep PATTERN
 *   ID fill KEY VALUE TTL_MS VERSION GENERATION             ID burst COUNT SIZE      ID counters
 *
 * `burst` sends COUNT gets at once, keys burst:0…, and answers with how each kind of outcome went.
 */
#include "base/log.h"
#include "cache/redis.h"
#include "io/loop.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { WORDS_MAX = 8 };

struct probe {
    struct loop *loop;
    struct redis *redis;
    struct redis_options options;
    enum err_e opened;
};

struct order {
    struct loop_message message;
    struct probe *probe;
    char *line;
    char *words[WORDS_MAX];
    size_t count;
    unsigned left; /* of a burst */
    unsigned hits;
    unsigned misses;
    unsigned failed;
};

static const char *const outcomes[] = {"hit", "miss", "done", "refused"};
static const char *const op_names[] = {
#define X(name, word) [REDIS_##name] = #word,
    REDIS_OP_TABLE(X)
#undef X
};

static void order_free(struct order *order) {
    free(order->line);
    free(order);
}

static const char *word(const struct order *order, size_t i) {
    return i < order->count ? order->words[i] : "";
}

static uint64_t number(const struct order *order, size_t i) {
    return strtoull(word(order, i), NULL, 10);
}

static void on_answer(void *data, const struct redis_answer *answer) {
    struct order *order = data;
    if (answer->err != ERR_OK) {
        printf("%s error %s\n", order->words[0], err_code(answer->err));
    } else {
        printf("%s %s version=%" PRIu64 " generation=%" PRIu64 " epoch=%" PRIu64 " value=%.*s\n",
               order->words[0], outcomes[answer->outcome], answer->version,
               answer->ticket.generation, answer->epoch,
               answer->value.len > 200 ? 200 : SLICE_ARG(answer->value));
    }
    order_free(order);
}

static void on_swept(void *data, enum err_e err, uint64_t count) {
    struct order *order = data;
    printf("%s %s count=%" PRIu64 "\n", order->words[0], err_code(err), count);
    order_free(order);
}

static void on_burst(void *data, const struct redis_answer *answer) {
    struct order *order = data;
    order->failed += answer->err != ERR_OK;
    order->hits += answer->err == ERR_OK && answer->outcome != REDIS_MISS;
    order->misses += answer->err == ERR_OK && answer->outcome == REDIS_MISS;
    order->left--;
    if (order->left == 0) {
        printf("%s burst hits=%u misses=%u failed=%u\n", order->words[0], order->hits,
               order->misses, order->failed);
        order_free(order);
    }
}

static void burst(struct order *order) {
    unsigned count = (unsigned)number(order, 3);
    order->left = count + 1; /* one more, so that refusals cannot end it early */
    bool sets = strcmp(word(order, 2), "set") == 0;
    for (unsigned i = 0; i < count; i++) {
        char key[32];
        int len = snprintf(key, sizeof key, "burst:%u", i);
        struct redis_call call = {.op = sets ? REDIS_SET : REDIS_GET,
                                  .key = slice_from(key, (size_t)len),
                                  .value = slice_from(key, (size_t)len),
                                  .ttl_ms = 60000,
                                  .fn = on_burst,
                                  .data = order};
        enum err_e err = redis_send(order->probe->redis, &call);
        if (err != ERR_OK) {
            on_burst(order, &(struct redis_answer){.err = err});
        }
    }
    order->misses--; /* the one more */
    on_burst(order, &(struct redis_answer){.err = ERR_OK, .outcome = REDIS_MISS});
}

static void counters(struct order *order) {
    struct redis_counters seen;
    redis_read_counters(order->probe->redis, &seen);
    printf("%s counters state=%s", order->words[0], redis_state_name(seen.state));
#define X(name) printf(" " #name "=%" PRIu64, seen.name);
    REDIS_COUNTER_TABLE(X)
#undef X
    printf("\n");
    order_free(order);
}

static void sweep(struct order *order) {
    enum err_e err = redis_sweep(order->probe->redis, slice_of(word(order, 2)), on_swept, order);
    if (err != ERR_OK) {
        on_swept(order, err, 0);
    }
}

static void send_op(struct order *order) {
    struct redis_call call = {.key = slice_of(word(order, 2)), .fn = on_answer, .data = order};
    for (call.op = 0; call.op < REDIS_OP_COUNT; call.op++) {
        if (strcmp(op_names[call.op], word(order, 1)) == 0) {
            break;
        }
    }
    if (call.op == REDIS_OP_COUNT) {
        printf("%s error what\n", order->words[0]);
        order_free(order);
        return;
    }
    bool leases = call.op == REDIS_LEASE || call.op == REDIS_RELEASE;
    call.value = leases ? SLICE_NONE : slice_of(word(order, 3));
    call.token = leases ? number(order, 3) : 0;
    call.ttl_ms = (int64_t)number(order, 4);
    call.version = number(order, 5);
    call.ticket.generation = number(order, 6);
    call.ticket.begun_us = loop_now_us(order->probe->loop);
    enum err_e err = redis_send(order->probe->redis, &call);
    if (err != ERR_OK) {
        on_answer(order, &(struct redis_answer){.err = err});
    }
}

static void on_order(struct loop_message *message) {
    struct order *order = (struct order *)message;
    static const struct {
        const char *name;
        void (*fn)(struct order *order);
    } rows[] = {{"burst", burst}, {"counters", counters}, {"sweep", sweep}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(word(order, 1), rows[i].name) == 0) {
            rows[i].fn(order);
            return;
        }
    }
    send_op(order);
}

static void on_news(void *data, enum redis_news_e news, struct slice key) {
    (void)data;
    static const char *const names[] = {"key", "epoch", "all", "silent", "heard"};
    if (news == REDIS_NEWS_BEAT) {
        return;
    }
    printf("news %s %.*s\n", names[news], SLICE_ARG(key));
}

static void on_open(struct loop_message *message) {
    struct order *order = (struct order *)message;
    struct problem problem;
    struct probe *probe = order->probe;
    probe->opened = redis_open(&probe->options, &probe->redis, &problem);
    if (probe->opened == ERR_OK) {
        printf("opened\n");
    } else {
        printf("refused %s: %s\n", problem.field, problem.detail);
    }
    order_free(order);
}

static void on_closed(void *data) {
    struct probe *probe = data;
    printf("closed\n");
    loop_stop(probe->loop);
}

static void on_end(struct loop_message *message) {
    struct order *order = (struct order *)message;
    struct probe *probe = order->probe;
    order_free(order);
    if (probe->opened == ERR_OK) {
        redis_close(probe->redis, on_closed, probe);
    } else {
        loop_stop(probe->loop);
    }
}

static void post(struct probe *probe, void (*fn)(struct loop_message *message), char *line) {
    struct order *order = calloc(1, sizeof *order);
    if (order == NULL) {
        abort();
    }
    order->message.fn = fn;
    order->probe = probe;
    order->line = line;
    char *rest = NULL;
    char *next = line == NULL ? NULL : strtok_r(line, " \n", &rest);
    while (next != NULL && order->count < WORDS_MAX) {
        order->words[order->count++] = next;
        next = strtok_r(NULL, " \n", &rest);
    }
    if (line != NULL && order->count < 2) {
        order_free(order);
        return;
    }
    loop_post(probe->loop, &order->message);
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc < 2) {
        fputs("redis_probe SEEDS [PREFIX [TIMEOUT_MS [primary|spread]]]\n", stderr);
        return 2;
    }
    struct probe probe = {.loop = loop_create(0, clock_system())};
    if (probe.loop == NULL || loop_start(probe.loop) != ERR_OK) {
        return 1;
    }
    probe.options = redis_options_default(probe.loop, slice_of(argv[1]));
    probe.options.news = on_news;
    probe.options.password = getenv("REDIS_PASSWORD");
    if (argc > 2) {
        probe.options.prefix = slice_of(argv[2]);
    }
    if (argc > 3) {
        probe.options.timeout_ms = atoi(argv[3]);
    }
    if (argc > 4 && strcmp(argv[4], "spread") == 0) {
        probe.options.reads = REDIS_READ_SPREAD;
    }
    post(&probe, on_open, NULL);
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, stdin) > 0) {
        post(&probe, on_order, line);
        line = NULL;
        size = 0;
    }
    free(line);
    post(&probe, on_end, NULL);
    loop_join(probe.loop);
    loop_destroy(probe.loop);
    return 0;
}
