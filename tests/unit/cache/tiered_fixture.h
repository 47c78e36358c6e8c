/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node with two loops on one thread and a virtual clock, for the tests of the tiered cache. A get
 * is an `ask`; its load stays open until the test ends it, and its answer is kept.
 */
#ifndef TURNOUT_TESTS_CACHE_TIERED_FIXTURE_H
#define TURNOUT_TESTS_CACHE_TIERED_FIXTURE_H

#include "cache/tiered_port.h"
#include "l1_fixture.h"

enum { LOOPS = 2, SENT_MAX = 128 };

struct test_port {
    struct tiered_port base;
    struct node *node;
    struct loop_message *mail[32768];
    size_t mail_len;
    bool ticking;
    struct redis_call sent[SENT_MAX]; /* requests to L2, keys and values copied */
    char texts[SENT_MAX][2][256];
    size_t sent_len;
    enum err_e refuse; /* what `send` says; ERR_OK: it accepts */
    int64_t heard_us;
    struct slice swept;
    unsigned turns;      /* of the mark that were asked for */
    uint64_t turn_bits;  /* of the last */
};

struct node {
    struct tiered *tiered;
    struct test_port ports[LOOPS];
    struct tiered_loop *loops[LOOPS];
    struct test_memory memory;
    struct seeded_rng rng;
    int64_t now_us;
    unsigned closed;
};

struct ask {
    struct tiered_get get;
    unsigned loads;
    unsigned answers;
    struct tiered_answer answer;
    char value[256];
};

static inline int64_t test_now_us(struct tiered_port *port) {
    return ((struct test_port *)port)->node->now_us;
}

static inline int64_t test_precise_ns(struct tiered_port *port) {
    return test_now_us(port) * 1000;
}

static inline void test_post(struct tiered_port *base, struct loop_message *message) {
    struct test_port *port = (struct test_port *)base;
    assert_true(port->mail_len < sizeof port->mail / sizeof port->mail[0]);
    port->mail[port->mail_len++] = message;
}

static inline bool test_tick_start(struct tiered_port *port) {
    ((struct test_port *)port)->ticking = true;
    return true;
}

static inline void test_tick_stop(struct tiered_port *port) {
    ((struct test_port *)port)->ticking = false;
}

static inline struct slice test_keep(char *to, struct slice s) {
    assert_true(s.len < 256);
    if (s.len > 0) {
        memcpy(to, s.at, s.len);
    }
    to[s.len] = '\0';
    return slice_from(to, s.len);
}

static inline enum err_e test_send(struct tiered_port *base, const struct redis_call *call) {
    struct test_port *port = (struct test_port *)base;
    if (port->refuse != ERR_OK) {
        return port->refuse;
    }
    assert_true(port->sent_len < SENT_MAX);
    size_t at = port->sent_len++;
    port->sent[at] = *call;
    port->sent[at].key = test_keep(port->texts[at][0], call->key);
    port->sent[at].value = test_keep(port->texts[at][1], call->value);
    return ERR_OK;
}

static inline enum err_e test_sweep(struct tiered_port *base, struct slice pattern,
                                    redis_swept_fn fn, void *data) {
    (void)pattern;
    (void)base;
    fn(data, ERR_OK, 7);
    return ERR_OK;
}

static inline int64_t test_heard_us(struct tiered_port *port) {
    return ((struct test_port *)port)->heard_us;
}

static inline void test_l2_counters(struct tiered_port *port, struct redis_counters *counters) {
    (void)port;
    memset(counters, 0, sizeof *counters);
}

/* What was sent is answered with DRAINING, as redis_close does. */
static inline void test_close(struct tiered_port *base, void (*closed)(void *data), void *data) {
    struct test_port *port = (struct test_port *)base;
    port->refuse = ERR_DRAINING;
    for (size_t i = 0; i < port->sent_len; i++) {
        struct redis_answer answer = {.err = ERR_DRAINING};
        port->sent[i].fn(port->sent[i].data, &answer);
    }
    port->sent_len = 0;
    closed(data);
}

static inline void test_destroy(struct tiered_port *port) {
    (void)port;
}

static const struct tiered_port_vtable test_port_vtable = {
    .now_us = test_now_us,
    .precise_ns = test_precise_ns,
    .post = test_post,
    .tick_start = test_tick_start,
    .tick_stop = test_tick_stop,
    .send = test_send,
    .sweep = test_sweep,
    .heard_us = test_heard_us,
    .l2_counters = test_l2_counters,
    .close = test_close,
    .destroy = test_destroy,
};

static inline void test_turn(void *data, uint64_t bits) {
    struct test_port *port = data;
    port->turns++;
    port->turn_bits = bits;
}

static inline struct tiered_options node_options(void) {
    struct tiered_options options = tiered_options_default();
    options.l1.jitter_percent = 0;
    return options;
}

static inline void node_open(struct node *node, struct tiered_options options, bool has_l2) {
    memset(node, 0, sizeof *node);
    node->now_us = 1000000000;
    node->memory = test_memory_make();
    seeded_rng_init(&node->rng, 42);
    options.l1.rng = &node->rng.base;
    options.l1.memory = &node->memory.base;
    assert_int_equal(tiered_create(&options, &node->tiered, NULL), ERR_OK);
    for (int i = 0; i < LOOPS; i++) {
        struct tiered_loop_options loop_options = {
            .mark = options.watches_mark ? test_turn : NULL, .mark_data = &node->ports[i]};
        node->ports[i].base = (struct tiered_port){
            .vtable = &test_port_vtable, .has_l2 = has_l2, .listens = has_l2 && i == 0};
        node->ports[i].node = node;
        assert_int_equal(tiered_loop_open_on(node->tiered, &node->ports[i].base, &loop_options,
                                             &node->loops[i]),
                         ERR_OK);
    }
}

static inline void node_on_closed(void *data) {
    ((struct node *)data)->closed++;
}

/* Runs what was posted. */
static inline void node_run(struct node *node) {
    for (int i = 0; i < LOOPS; i++) {
        for (size_t at = 0; at < node->ports[i].mail_len; at++) {
            node->ports[i].mail[at]->fn(node->ports[i].mail[at]);
        }
        node->ports[i].mail_len = 0;
    }
}

static inline void node_close(struct node *node) {
    for (int i = 0; i < LOOPS; i++) {
        if (node->loops[i] != NULL) {
            tiered_loop_close(node->loops[i], node_on_closed, node);
        }
    }
    node_run(node);
    assert_int_equal(node->closed, LOOPS);
    tiered_destroy(node->tiered);
    assert_int_equal(node->memory.out, 0);
}

static inline void node_pass_ms(struct node *node, int64_t ms) {
    node->now_us += ms * 1000;
}

static inline void ask_load(struct tiered_get *get) {
    ((struct ask *)get->data)->loads++;
}

static inline void ask_done(struct tiered_get *get, const struct tiered_answer *answer) {
    struct ask *ask = get->data;
    ask->answers++;
    ask->answer = *answer;
    ask->answer.value = test_keep(ask->value, answer->value);
}

static inline void ask_begin(struct node *node, int loop, struct ask *ask, const char *key) {
    enum tiered_class_e class = TIERED_PARTICIPANT;
    assert_true(tiered_class_of(slice_of(key), &class));
    bool refresh = ask->get.refresh;
    *ask = (struct ask){.get = {.class = class,
                                .key = slice_of(key),
                                .load = ask_load,
                                .done = ask_done,
                                .data = ask,
                                .refresh = refresh}};
    tiered_get(node->loops[loop], &ask->get);
}

static inline void ask_loaded(struct ask *ask, const char *value) {
    assert_int_equal(ask->loads, 1);
    struct tiered_loaded loaded = {
        .err = ERR_OK, .absent = value == NULL, .value = slice_of(value)};
    tiered_loaded(&ask->get, &loaded);
}

static inline void ask_failed(struct ask *ask, enum err_e err) {
    struct tiered_loaded loaded = {.err = err};
    tiered_loaded(&ask->get, &loaded);
}

#define assert_answered(ask, where, text)                                                          \
    do {                                                                                           \
        assert_int_equal((ask)->answers, 1);                                                       \
        assert_int_equal((ask)->answer.err, ERR_OK);                                               \
        assert_int_equal((ask)->answer.from, where);                                               \
        assert_false((ask)->answer.absent);                                                        \
        assert_string_equal((ask)->value, text);                                                   \
    } while (0)

static inline void node_change(struct node *node, int loop, const char *key) {
    struct slice keys[] = {slice_of(key)};
    struct tiered_change change = {.keys = keys, .keys_len = 1};
    tiered_change_begin(node->loops[loop], &change);
    tiered_change_end(node->loops[loop], &change, TIERED_COMMITTED);
}

/* What was sent to L2 and is not answered: the first of that operation, or NULL. */
static inline struct redis_call *node_sent(struct node *node, int loop, enum redis_op_e op) {
    struct test_port *port = &node->ports[loop];
    for (size_t i = 0; i < port->sent_len; i++) {
        if (port->sent[i].op == op) {
            return &port->sent[i];
        }
    }
    return NULL;
}

static inline void node_answer(struct node *node, int loop, enum redis_op_e op,
                               struct redis_answer answer) {
    struct test_port *port = &node->ports[loop];
    struct redis_call *found = node_sent(node, loop, op);
    assert_non_null(found);
    struct redis_call call = *found;
    size_t at = (size_t)(found - port->sent);
    port->sent_len--;
    for (; at < port->sent_len; at++) { /* keys of what follows move too */
        port->sent[at] = port->sent[at + 1];
        memcpy(port->texts[at], port->texts[at + 1], sizeof port->texts[at]);
        port->sent[at].key.at = port->texts[at][0];
        port->sent[at].value.at = port->texts[at][1];
    }
    call.fn(call.data, &answer);
}

static inline void node_answer_all(struct node *node, int loop, enum redis_op_e op,
                                   struct redis_answer answer) {
    while (node_sent(node, loop, op) != NULL) {
        node_answer(node, loop, op, answer);
    }
}

static inline void node_tick(struct node *node) {
    for (int i = 0; i < LOOPS; i++) {
        if (node->ports[i].ticking) {
            tiered_loop_tick(node->loops[i]);
        }
    }
}

static inline void node_beat(struct node *node) {
    node->ports[0].heard_us = node->now_us;
    tiered_loop_news(node->loops[0], REDIS_NEWS_BEAT, SLICE_NONE);
}

/* Time in which the channel is well. */
static inline void node_pass_hearing_ms(struct node *node, int64_t ms) {
    for (; ms > 0; ms -= 200) {
        node_pass_ms(node, ms < 200 ? ms : 200);
        node_beat(node);
        node_tick(node);
    }
}

/* The channel is heard, epochs are 7, and all has settled. */
static inline void node_hear(struct node *node) {
    tiered_loop_news(node->loops[0], REDIS_NEWS_HEARD, SLICE_NONE);
    node_answer_all(node, 0, REDIS_EPOCH_READ, (struct redis_answer){.epoch = 7});
    node_pass_hearing_ms(node, 2400);
}

static inline struct tiered_counters node_counters(struct node *node, enum tiered_class_e class) {
    struct tiered_figures figures;
    tiered_read_figures(node->tiered, &figures);
    return figures.classes[class];
}

#endif
