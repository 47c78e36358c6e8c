/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what the watcher tells of a node is what its answers and its registration are worth. The
 * list and the wire are doubles, the nodes' desks are real; time is virtual. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "act/watcher.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { NODES = 3 };

enum behaviour_e { FINE, DEAD, SLOW, NOT_READY, FORGED, STALE_ANSWER, WRONG_ID, OTHER_RUN, ABSURD,
                   BROKEN_JSON, REFUSES, MISSING_ROUTE };

static const struct slice secret = {"0123456789abcdef", 16};
static const char *const ids[NODES] = {"n0", "n1", "n2"}, *const runs[NODES] = {"r0", "r1", "r2"};

static struct world {
    struct virtual_clock clock, node_clock;
    struct seeded_rng rng;
    struct watcher *watcher;
    struct watched_node seen[WATCH_NODES_MAX];
    size_t seen_len;
    struct node_list list;
    bool has_no_list;
    enum behaviour_e behaves[NODES];
    struct desk *desks[NODES];
    char old_seal[SEAL_SIZE], old_body[STATUS_BYTES_MAX];
    size_t asked; /* in the last round */
} world;

static struct desk *open_desk(const char *id, const char *run, struct slice with) {
    struct desk *desk = desk_create(&(struct desk_options){.secret = with,
                                                           .clock = &world.node_clock.base,
                                                           .id = id,
                                                           .incarnation = run,
                                                           .version = "1"});
    assert_non_null(desk);
    struct status_figures figures;
    status_figures_init(&figures);
    figures.cpu = 10;
    desk_put(desk, &figures);
    return desk;
}

static bool list(void *data, struct node_list *ret_list) {
    (void)data;
    *ret_list = world.list;
    return !world.has_no_list;
}

static void reply(struct web_ask *ask, struct desk *desk, const struct desk_state *state) {
    struct slice field = slice_of(strchr(ask->field, ' ') + 1);
    enum err_e err = desk_answer(desk, field, state, &ask->body, ask->kept);
    ask->status = err == ERR_OK ? 200 : err_status(err);
}

/* What is sealed and cannot be all the same. */
static void reply_with(struct web_ask *ask, const char *text) {
    const struct slice parts[] = {SLICE_LIT("turnout status"),
                                  slice_of(strchr(ask->field, ' ') + 1), slice_of(text)};
    buf_add_text(&ask->body, text);
    assert_true(seal_make(secret, parts, 3, ask->kept));
    ask->status = 200;
}

#define REST                                                                                       \
    "\"incarnation\":\"r0\",\"version\":\"1\",\"reason\":\"\",\"at_ms\":1,\"age_ms\":0,"           \
    "\"ready\":true,\"draining\":false"

static void behave(struct web_ask *ask, size_t i) {
    static const struct desk_state ready = {.is_ready = true, .reason = ""},
                                   unready = {.reason = "no writes"};
    switch (world.behaves[i]) {
    case FINE:
        reply(ask, world.desks[i], &ready);
        snprintf(world.old_body, sizeof world.old_body, "%.*s", SLICE_ARG(buf_slice(&ask->body)));
        memcpy(world.old_seal, ask->kept, sizeof world.old_seal);
        break;
    case DEAD:
        ask->err = ERR_UNAVAILABLE;
        ask->reason = "nobody is there";
        break;
    case SLOW:
        ask->took_us = 700000;
        reply(ask, world.desks[i], &ready);
        break;
    case NOT_READY:
        reply(ask, world.desks[i], &unready);
        break;
    case FORGED:
        reply(ask, world.desks[i], &ready);
        ask->kept[0] ^= 1;
        break;
    case STALE_ANSWER:
        buf_add_text(&ask->body, world.old_body);
        memcpy(ask->kept, world.old_seal, sizeof world.old_seal);
        ask->status = 200;
        break;
    case WRONG_ID:
        reply_with(ask, "{\"id\":\"somebody\"," REST "}");
        break;
    case OTHER_RUN:
        reply_with(ask, "{\"id\":\"n0\",\"incarnation\":\"r9\",\"version\":\"1\",\"reason\":\"\","
                        "\"at_ms\":1,\"age_ms\":0,\"ready\":true,\"draining\":false}");
        break;
    case ABSURD:
        reply_with(ask, "{\"id\":\"n0\"," REST ",\"cpu\":130}");
        break;
    case BROKEN_JSON:
        reply_with(ask, "{\"id\":");
        break;
    case REFUSES:
        ask->status = 401;
        break;
    case MISSING_ROUTE:
        ask->status = 404;
        break;
    }
}

static void exchange(void *data, struct web_ask *asks, size_t len) {
    (void)data;
    world.asked = len;
    for (size_t i = 0; i < len; i++) {
        int node = -1;
        assert_int_equal(sscanf(asks[i].url, "http://h%d/v1/status", &node), 1);
        assert_true(strncmp(asks[i].field, "turnout-ask: ", 13) == 0);
        buf_clear(&asks[i].body);
        asks[i].err = ERR_OK;
        asks[i].kept[0] = '\0';
        asks[i].took_us = 2000;
        behave(&asks[i], (size_t)node);
    }
}

static void add_to_list(size_t i) {
    struct listed_node *node = &world.list.items[world.list.len++];
    *node = (struct listed_node){.started_at_ms = 1};
    snprintf(node->id, sizeof node->id, "%s", ids[i]);
    snprintf(node->url, sizeof node->url, "http://h%zu", i);
    snprintf(node->incarnation, sizeof node->incarnation, "%s", runs[i]);
}

static void ignore_line(const char *line, size_t len, void *data) {
    (void)line;
    (void)len;
    (void)data;
}

static int make(void **state) {
    (void)state;
    world = (struct world){.asked = 0};
    log_set_sink(ignore_line, NULL);
    virtual_clock_init(&world.clock, 1790000000000);
    virtual_clock_init(&world.node_clock, 1790000000000);
    seeded_rng_init(&world.rng, 3);
    for (size_t i = 0; i < NODES; i++) {
        world.desks[i] = open_desk(ids[i], runs[i], secret);
        add_to_list(i);
    }
    world.watcher = watcher_create(&(struct watcher_options){
        .clock = &world.clock.base,
        .rng = &world.rng.base,
        .secret = secret,
        .policy = {.miss_after = 2, .slow_after = 3, .recover_after = 3},
        .period_ms = 1000,
        .deadline_ms = 800,
        .slow_ms = 500,
        .skew_ms = 1000,
        .shown_ms = 10000,
        .seams = {.list = list, .exchange = exchange},
    });
    assert_non_null(world.watcher);
    return 0;
}

static int drop(void **state) {
    (void)state;
    watcher_destroy(world.watcher);
    for (size_t i = 0; i < NODES; i++) {
        desk_destroy(world.desks[i]);
    }
    return 0;
}

static void turns(int count) {
    for (int i = 0; i < count; i++) {
        watcher_turn(world.watcher);
        assert_true(watcher_read(world.watcher, world.seen, &world.seen_len));
        virtual_clock_advance(&world.clock, 1000);
        virtual_clock_advance(&world.node_clock, 1000);
    }
}

#define assert_state(i, wanted) assert_int_equal(world.seen[i].member.state, MEMBER_##wanted)

static void nothing_is_known_before_the_first_round(void **state) {
    (void)state;
    size_t len;
    assert_false(watcher_read(world.watcher, world.seen, &len));
    world.has_no_list = true;
    watcher_turn(world.watcher);
    assert_false(watcher_read(world.watcher, world.seen, &len));
    world.has_no_list = false;
    watcher_turn(world.watcher);
    assert_true(watcher_read(world.watcher, world.seen, &len));
    assert_int_equal(len, NODES);
}

static void one_round_tells_all_that_answer(void **state) {
    (void)state;
    world.behaves[1] = DEAD;
    turns(1);
    assert_int_equal(world.seen_len, 3);
    assert_state(0, HEALTHY);
    assert_state(1, SUSPECT);
    assert_state(2, HEALTHY);
    assert_true(world.seen[0].is_heard && world.seen[0].figures.cpu == 10);
    assert_int_equal(world.seen[0].took_us, 2000);
    assert_false(world.seen[1].is_heard);
    assert_int_equal(world.seen[1].took_us, -1);
    assert_string_equal(world.seen[1].member.why, "missed: nobody is there");
    world.behaves[1] = FINE;
    turns(1);
    assert_state(1, HEALTHY);
}

static void a_node_that_lies_is_suspect_and_says_why(void **state) {
    (void)state;
    static const struct {
        enum behaviour_e behaviour;
        const char *why;
    } cases[] = {
        {FORGED, "not sealed"},       {STALE_ANSWER, "another question"},
        {WRONG_ID, "somebody"},       {OTHER_RUN, "another run"},
        {ABSURD, "cpu: expected 0 to 100"}, {BROKEN_JSON, "lies"},
        {REFUSES, "cluster.secret"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        world.behaves[0] = FINE;
        turns(4);
        assert_state(0, HEALTHY);
        world.behaves[0] = cases[i].behaviour;
        turns(1);
        assert_state(0, SUSPECT);
        if (strstr(world.seen[0].member.why, cases[i].why) == NULL) {
            fail_msg("%s, not %s", world.seen[0].member.why, cases[i].why);
        }
        assert_true(world.seen[0].figures.cpu == 10); /* nothing of it is taken over */
        assert_state(1, HEALTHY);
    }
    struct watcher_counts counts;
    watcher_count(world.watcher, &counts);
    assert_int_equal(counts.lies, sizeof cases / sizeof cases[0]);
    assert_int_equal(counts.states[MEMBER_SUSPECT], 1);
    assert_int_equal(counts.states[MEMBER_HEALTHY], 2);
}

static void what_it_says_of_itself_counts(void **state) {
    (void)state;
    turns(1);
    world.behaves[0] = NOT_READY;
    world.behaves[1] = MISSING_ROUTE;
    turns(1);
    assert_state(0, SUSPECT);
    assert_string_equal(world.seen[0].member.why, "not ready: no writes");
    assert_state(1, SUSPECT);
    assert_string_equal(world.seen[1].member.why, "not ready: it answers 404");
}

static void slow_answers_count_though_they_are_believed(void **state) {
    (void)state;
    turns(1);
    world.behaves[0] = SLOW;
    turns(2);
    assert_state(0, HEALTHY);
    turns(1);
    assert_state(0, SUSPECT);
    assert_string_equal(world.seen[0].member.why, "slow: it took 700 ms");
    assert_int_equal(world.seen[0].heard_us, 3000000);
}

static void a_node_that_leaves_is_shown_for_a_while(void **state) {
    (void)state;
    turns(1);
    world.list.len = 2;
    turns(1);
    assert_int_equal(world.seen_len, 3);
    assert_state(2, GONE);
    turns(10);
    assert_int_equal(world.seen_len, 3);
    turns(2);
    assert_int_equal(world.seen_len, 2);
    add_to_list(2);
    turns(1);
    assert_int_equal(world.seen_len, 3);
    assert_state(2, HEALTHY);
}

static void a_crashed_node_is_gone_once_its_registration_ended(void **state) {
    (void)state;
    turns(1);
    world.behaves[2] = DEAD;
    turns(2);
    assert_state(2, SUSPECT);
    world.list.items[2].has_ended = true;
    turns(1);
    assert_state(2, GONE);
}

static void without_a_list_the_last_one_stands(void **state) {
    (void)state;
    turns(1);
    world.has_no_list = true;
    turns(100);
    assert_int_equal(world.seen_len, 3);
    assert_state(0, HEALTHY);
    world.behaves[0] = DEAD;
    turns(2);
    assert_state(0, SUSPECT);
}

static void another_run_of_a_node_begins_anew(void **state) {
    (void)state;
    world.behaves[0] = DEAD;
    turns(3);
    assert_state(0, SUSPECT);
    desk_destroy(world.desks[0]);
    world.desks[0] = open_desk("n0", "r7", secret);
    snprintf(world.list.items[0].incarnation, sizeof world.list.items[0].incarnation, "r7");
    world.behaves[0] = FINE;
    turns(1);
    assert_state(0, HEALTHY); /* a newcomer: its first answer is enough */
}

static void a_node_that_drains_is_not_healthy(void **state) {
    (void)state;
    turns(1);
    world.list.items[0].drains = true;
    world.behaves[0] = DEAD;
    turns(3);
    assert_state(0, DRAINING);
}

static void clocks_are_compared(void **state) {
    (void)state;
    turns(1);
    assert_true(world.seen[0].knows_skew);
    assert_int_equal(world.seen[0].skew_ms, -1); /* half of the 2 ms that the answer took */
    world.node_clock.now_wall_ms += 90000;
    turns(1);
    assert_int_equal(world.seen[0].skew_ms, 89999);
    assert_state(0, HEALTHY);
    struct watcher_counts counts;
    watcher_count(world.watcher, &counts);
    assert_int_equal(counts.skew_ms_max, 89999);
}

static void more_nodes_than_there_are_places_for_are_left_out(void **state) {
    (void)state;
    static struct node_list first;
    first = world.list;
    for (int round = 0; round < 2; round++) { /* other ones the second time */
        for (size_t i = 0; i < WATCH_NODES_MAX; i++) {
            world.list.items[i] = first.items[0];
            snprintf(world.list.items[i].id, sizeof world.list.items[i].id, "x%d-%zu", round, i);
        }
        world.list.len = WATCH_NODES_MAX;
        world.behaves[0] = DEAD;
        turns(1);
        assert_int_equal(world.seen_len, WATCH_NODES_MAX);
    }
}

static void the_thread_asks_by_itself(void **state) {
    (void)state;
    size_t len = 0;
    assert_int_equal(watcher_start(world.watcher), ERR_OK);
    while (!watcher_read(world.watcher, world.seen, &len)) {
        usleep(1000);
    }
    assert_int_equal(len, NODES);
    watcher_stop(world.watcher);
}

int main(void) {
#define EACH(test) cmocka_unit_test_setup_teardown(test, make, drop)
    const struct CMUnitTest tests[] = {
        EACH(nothing_is_known_before_the_first_round),
        EACH(one_round_tells_all_that_answer),
        EACH(a_node_that_lies_is_suspect_and_says_why),
        EACH(what_it_says_of_itself_counts),
        EACH(slow_answers_count_though_they_are_believed),
        EACH(a_node_that_leaves_is_shown_for_a_while),
        EACH(a_crashed_node_is_gone_once_its_registration_ended),
        EACH(without_a_list_the_last_one_stands),
        EACH(another_run_of_a_node_begins_anew),
        EACH(a_node_that_drains_is_not_healthy),
        EACH(clocks_are_compared),
        EACH(more_nodes_than_there_are_places_for_are_left_out),
        EACH(the_thread_asks_by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
