/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what the tiered cache asks of L2, tells it, and believes of it. */
#include "tiered_fixture.h"

static struct node node;
static const char *const key = "participant:demo:t1";

static struct redis_answer hit(const char *payload, uint64_t version) {
    return (struct redis_answer){.outcome = REDIS_HIT,
                                 .value = slice_of(payload),
                                 .version = version,
                                 .ticket = {.generation = 5, .begun_us = node.now_us}};
}

static struct redis_answer miss(uint64_t generation) {
    return (struct redis_answer){.outcome = REDIS_MISS,
                                 .ticket = {.generation = generation, .begun_us = node.now_us}};
}

static const struct redis_answer done = {.outcome = REDIS_DONE};
static const struct redis_answer refused = {.outcome = REDIS_REFUSED};

static void open_with_l2(void) {
    struct tiered_options options = node_options();
    options.writers = TIERED_WRITERS_OTHERS;
    node_open(&node, options, true);
    node_hear(&node);
}

static struct tiered_figures figures(void) {
    struct tiered_figures all;
    tiered_read_figures(node.tiered, &all);
    return all;
}

/* Gives the lease, and has nothing at the second look. */
static void lease_for(uint64_t generation) {
    node_answer(&node, 0, REDIS_LEASE, done);
    node_answer(&node, 0, REDIS_GET, miss(generation));
}

static void a_value_of_l2_is_answered_and_kept_in_l1(void **state) {
    (void)state;
    open_with_l2();
    struct ask ask = {0};
    ask_begin(&node, 0, &ask, key);
    assert_true(slice_eq_text(node_sent(&node, 0, REDIS_GET)->key, key));
    node_answer(&node, 0, REDIS_GET, hit("vanna", 7));
    assert_answered(&ask, TIERED_FROM_L2, "anna");
    assert_int_equal(ask.loads, 0);
    node_pass_hearing_ms(&node, 10000);
    ask_begin(&node, 1, &ask, key);
    assert_answered(&ask, TIERED_FROM_L1, "anna");
    assert_int_equal(node_counters(&node, TIERED_PARTICIPANT).l2_hits, 1);
    node_close(&node);
}

static void what_is_warmed_from_l2_is_neither_hit_nor_miss(void **state) {
    (void)state;
    open_with_l2();
    struct ask ask = {.get = {.class = TIERED_PARTICIPANT, .key = slice_of(key), .load = ask_load,
                              .done = ask_done, .data = &ask, .in_background = true}};
    tiered_get(node.loops[0], &ask.get);
    node_answer(&node, 0, REDIS_GET, hit("vanna", 7));
    assert_answered(&ask, TIERED_FROM_L2, "anna");
    ask = (struct ask){.get = ask.get};
    ask.get.key = SLICE_LIT("participant:demo:t2");
    tiered_get(node.loops[0], &ask.get);
    node_answer(&node, 0, REDIS_GET, miss(0));
    lease_for(0);
    ask_loaded(&ask, "ben");
    struct tiered_counters counters = node_counters(&node, TIERED_PARTICIPANT);
    assert_int_equal(counters.l2_hits + counters.l2_misses + counters.l1_misses, 0);
    assert_int_equal(counters.loads, 1);
    node_close(&node);
}

static void absence_is_known_from_l2_too(void **state) {
    (void)state;
    open_with_l2();
    struct ask ask = {0};
    ask_begin(&node, 0, &ask, key);
    node_answer(&node, 0, REDIS_GET, hit("a", 7));
    assert_int_equal(ask.answers, 1);
    assert_true(ask.answer.absent);
    node_close(&node);
}

/* From before a pattern was invalidated, or of a kind that nobody writes. */
static void what_cannot_be_believed_is_a_miss_and_counted(void **state) {
    (void)state;
    open_with_l2();
    static const struct {
        const char *payload;
        uint64_t version;
    } rows[] = {{"vold", 6}, {"vnew", 8}, {"", 7}, {"?x", 7}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ask ask = {0};
        char name[32];
        snprintf(name, sizeof name, "participant:demo:%zu", i);
        ask_begin(&node, 0, &ask, name);
        node_answer(&node, 0, REDIS_GET, hit(rows[i].payload, rows[i].version));
        lease_for(0);
        ask_loaded(&ask, "truth");
        assert_answered(&ask, TIERED_FROM_STORE, "truth");
    }
    struct tiered_counters counters = node_counters(&node, TIERED_PARTICIPANT);
    assert_int_equal(counters.l2_outdated, 2);
    assert_int_equal(counters.l2_damaged, 2);
    assert_int_equal(counters.l2_misses, 4);
    node_close(&node);
}

static void what_was_loaded_is_filled_with_ticket_epoch_and_life(void **state) {
    (void)state;
    open_with_l2();
    struct ask ask = {0};
    ask_begin(&node, 0, &ask, key);
    node_answer(&node, 0, REDIS_GET, miss(0));
    lease_for(0);
    ask_loaded(&ask, "anna");
    const struct redis_call *fill = node_sent(&node, 0, REDIS_FILL);
    assert_true(slice_eq_text(fill->value, "vanna"));
    assert_int_equal(fill->version, 7);
    assert_int_equal(fill->ticket.generation, 0);
    assert_true(fill->ttl_ms > 530000 && fill->ttl_ms <= 600000); /* less some chance */
    assert_null(node_sent(&node, 0, REDIS_RELEASE)); /* not before the value is there */
    node_answer(&node, 0, REDIS_FILL, done);
    assert_true(slice_eq_text(node_sent(&node, 0, REDIS_RELEASE)->key, key));

    ask_begin(&node, 0, &ask, "participant:demo:t2"); /* on a tombstone */
    node_answer(&node, 0, REDIS_GET, miss(0));
    lease_for(99);
    ask_loaded(&ask, "ben");
    fill = node_sent(&node, 0, REDIS_FILL);
    assert_int_equal(fill->ticket.generation, 99);
    assert_true(fill->ttl_ms > 4000 && fill->ttl_ms <= 5000);
    node_close(&node);
}

static void a_load_that_a_change_overtook_is_not_filled(void **state) {
    (void)state;
    open_with_l2();
    struct ask ask = {0};
    ask_begin(&node, 0, &ask, key);
    node_answer(&node, 0, REDIS_GET, miss(0));
    lease_for(0);
    tiered_loop_news(node.loops[0], REDIS_NEWS_KEY, slice_of(key)); /* another node's */
    ask_loaded(&ask, "old");
    assert_null(node_sent(&node, 0, REDIS_FILL));
    assert_non_null(node_sent(&node, 0, REDIS_RELEASE));
    node_close(&node);
}

static void trouble_in_l2_is_a_load_and_never_an_error(void **state) {
    (void)state;
    open_with_l2();
    struct ask ask = {0};
    ask_begin(&node, 0, &ask, key);
    node_answer(&node, 0, REDIS_GET, (struct redis_answer){.err = ERR_DEADLINE});
    ask_loaded(&ask, "a");
    assert_answered(&ask, TIERED_FROM_STORE, "a");
    ask_begin(&node, 0, &ask, "participant:demo:t2");
    node_answer(&node, 0, REDIS_GET, miss(0));
    node_answer(&node, 0, REDIS_LEASE, (struct redis_answer){.err = ERR_UNAVAILABLE});
    ask_loaded(&ask, "b");
    node.ports[0].refuse = ERR_OVERLOADED;
    ask_begin(&node, 0, &ask, "participant:demo:t3");
    ask_loaded(&ask, "c");
    assert_answered(&ask, TIERED_FROM_STORE, "c");
    assert_int_equal(node_counters(&node, TIERED_PARTICIPANT).l2_down, 3);
    node.ports[0].refuse = ERR_OK;
    node_close(&node);
}

/* Its first look was before another node filled, its lease after that one gave its own back. */
static void whoever_gets_the_lease_looks_once_more(void **state) {
    (void)state;
    open_with_l2();
    struct ask ask = {0};
    ask_begin(&node, 0, &ask, key);
    node_answer(&node, 0, REDIS_GET, miss(0));
    node_answer(&node, 0, REDIS_LEASE, done);
    node_answer(&node, 0, REDIS_GET, hit("vanna", 7));
    assert_answered(&ask, TIERED_FROM_L2, "anna");
    assert_int_equal(ask.loads, 0);
    assert_non_null(node_sent(&node, 0, REDIS_RELEASE));
    node_close(&node);
}

static void whoever_has_no_lease_waits_for_the_value_of_who_has(void **state) {
    (void)state;
    open_with_l2();
    struct ask ask = {0};
    ask_begin(&node, 0, &ask, key);
    node_answer(&node, 0, REDIS_GET, miss(0));
    node_answer(&node, 0, REDIS_LEASE, refused);
    assert_true(node.ports[0].ticking);
    assert_null(node_sent(&node, 0, REDIS_GET));
    node_pass_ms(&node, 30);
    node_tick(&node);
    node_answer(&node, 0, REDIS_GET, hit("vanna", 7));
    assert_answered(&ask, TIERED_FROM_L2, "anna");
    assert_int_equal(ask.loads, 0);
    struct tiered_counters counters = node_counters(&node, TIERED_PARTICIPANT);
    assert_int_equal(counters.leases_waited, 1);
    assert_int_equal(counters.leases_expired, 0);
    node_pass_ms(&node, 100);
    node_tick(&node);
    assert_false(node.ports[0].ticking); /* nothing waits any more */
    node_close(&node);
}

static void a_dead_lease_holder_costs_no_more_than_a_lease(void **state) {
    (void)state;
    open_with_l2();
    struct ask ask = {0};
    ask_begin(&node, 0, &ask, key);
    int64_t begun_us = node.now_us;
    while (ask.loads == 0) {
        if (node_sent(&node, 0, REDIS_GET) != NULL) {
            node_answer(&node, 0, REDIS_GET, miss(0));
            node_answer(&node, 0, REDIS_LEASE, refused);
        }
        node_pass_hearing_ms(&node, 10);
        assert_true(node.now_us - begun_us < 1000000);
    }
    assert_true(node.now_us - begun_us >= TIERED_LEASE_MS_DEFAULT * 1000);
    ask_loaded(&ask, "anna");
    assert_int_equal(node_counters(&node, TIERED_PARTICIPANT).leases_expired, 1);
    assert_non_null(node_sent(&node, 0, REDIS_FILL));
    assert_null(node_sent(&node, 0, REDIS_RELEASE)); /* it is not ours */
    node_close(&node);
}

/* Ten thousand misses of one key on a node are one request to L2. */
static void many_misses_are_one_question_to_l2(void **state) {
    (void)state;
    enum { ASKS = 1000 };
    static struct ask asks[ASKS];
    open_with_l2();
    for (int i = 0; i < ASKS; i++) {
        ask_begin(&node, i % LOOPS, &asks[i], key);
    }
    assert_int_equal(node.ports[0].sent_len, 1);
    assert_int_equal(node.ports[1].sent_len, 0);
    node_answer(&node, 0, REDIS_GET, hit("vanna", 7));
    node_run(&node);
    for (int i = 0; i < ASKS; i++) {
        assert_answered(&asks[i], TIERED_FROM_L2, "anna");
    }
    node_close(&node);
}

static void a_change_is_told_to_l2_until_it_has_taken_it(void **state) {
    (void)state;
    open_with_l2();
    struct slice keys[] = {slice_of(key)};
    struct tiered_change change = {.keys = keys, .keys_len = 1};
    tiered_change_begin(node.loops[0], &change);
    node_answer(&node, 0, REDIS_INVALIDATE, (struct redis_answer){.err = ERR_DEADLINE});
    tiered_change_end(node.loops[0], &change, TIERED_COMMITTED);
    assert_int_equal(figures().pending, 1);
    node_answer(&node, 0, REDIS_INVALIDATE, (struct redis_answer){.err = ERR_DEADLINE});
    assert_null(node_sent(&node, 0, REDIS_INVALIDATE));

    struct ask ask = {0}; /* meanwhile L2 may hold what was before */
    ask_begin(&node, 1, &ask, key);
    assert_null(node_sent(&node, 1, REDIS_GET));
    ask_loaded(&ask, "new");

    node_pass_hearing_ms(&node, 100);
    node_answer(&node, 0, REDIS_INVALIDATE, done);
    assert_int_equal(figures().pending, 0);
    node_pass_hearing_ms(&node, 10);
    assert_false(node.ports[0].ticking);
    node_close(&node);
}

static void a_key_that_changes_while_it_is_told_is_told_again(void **state) {
    (void)state;
    open_with_l2();
    struct slice keys[] = {slice_of(key)};
    struct tiered_change change = {.keys = keys, .keys_len = 1};
    tiered_change_end(node.loops[0], &change, TIERED_COMMITTED);
    tiered_change_end(node.loops[1], &change, TIERED_COMMITTED);
    assert_null(node_sent(&node, 1, REDIS_INVALIDATE));
    node_answer(&node, 0, REDIS_INVALIDATE, done);
    assert_int_equal(figures().pending, 1);
    node_pass_hearing_ms(&node, 10);
    node_answer(&node, 0, REDIS_INVALIDATE, done);
    assert_int_equal(figures().pending, 0);
    node_close(&node);
}

static void a_change_of_unknown_outcome_is_told_again_for_ten_seconds(void **state) {
    (void)state;
    open_with_l2();
    struct slice keys[] = {slice_of(key)};
    struct tiered_change change = {.keys = keys, .keys_len = 1};
    int told = 0;
    tiered_change_end(node.loops[0], &change, TIERED_UNKNOWN);
    for (int ms = 0; ms < 15000; ms += 100) {
        if (node_sent(&node, 0, REDIS_INVALIDATE) != NULL) {
            node_answer(&node, 0, REDIS_INVALIDATE, done);
            told++;
        }
        node_pass_hearing_ms(&node, 100);
    }
    assert_int_equal(told, 11);
    assert_int_equal(figures().pending, 0);
    node_close(&node);
}

/* Their lives together stay below the bound, so expiry does it. */
static void classes_that_live_shortly_are_not_told_to_l2(void **state) {
    (void)state;
    open_with_l2();
    node_change(&node, 0, "stats:overall:demo");
    assert_null(node_sent(&node, 0, REDIS_INVALIDATE));
    assert_int_equal(figures().pending, 0);
    node_close(&node);
}

static void a_pattern_raises_the_epoch_and_l2_rests_until_it_is_known(void **state) {
    (void)state;
    open_with_l2();
    struct slice patterns[] = {SLICE_LIT("participant:demo:*")};
    struct tiered_change change = {.patterns = patterns, .patterns_len = 1};
    tiered_change_end(node.loops[0], &change, TIERED_COMMITTED);
    assert_true(slice_eq_text(node_sent(&node, 0, REDIS_EPOCH_RAISE)->key, "participant"));
    struct ask ask = {0};
    ask_begin(&node, 0, &ask, key);
    ask_loaded(&ask, "a"); /* without L2 */
    node_answer(&node, 0, REDIS_EPOCH_RAISE, (struct redis_answer){.epoch = 20});
    tiered_loop_news(node.loops[0], REDIS_NEWS_EPOCH, SLICE_LIT("participant"));
    node_answer(&node, 0, REDIS_EPOCH_READ, (struct redis_answer){.epoch = 20});
    ask_begin(&node, 0, &ask, key); /* the news emptied L1 of the class */
    node_answer(&node, 0, REDIS_GET, hit("vold", 7));
    lease_for(0);
    ask_loaded(&ask, "b");
    assert_int_equal(node_sent(&node, 0, REDIS_FILL)->version, 20);
    ask_begin(&node, 0, &ask, "gate:demo:g01"); /* others go on */
    node_answer(&node, 0, REDIS_GET, hit("vnorth", 7));
    assert_answered(&ask, TIERED_FROM_L2, "north");
    node_close(&node);
}

static void an_epoch_that_could_not_be_raised_is_raised_later(void **state) {
    (void)state;
    open_with_l2();
    struct slice patterns[] = {SLICE_LIT("*")};
    struct tiered_change change = {.patterns = patterns, .patterns_len = 1};
    tiered_change_end(node.loops[0], &change, TIERED_COMMITTED);
    assert_int_equal(node.ports[0].sent_len, 4); /* the classes that live long */
    node_answer_all(&node, 0, REDIS_EPOCH_RAISE, (struct redis_answer){.err = ERR_DEADLINE});
    assert_int_equal(figures().pending, 4);
    node_pass_hearing_ms(&node, 100);
    assert_int_equal(node.ports[0].sent_len, 4);
    node_answer_all(&node, 0, REDIS_EPOCH_RAISE, (struct redis_answer){.epoch = 9});
    assert_int_equal(figures().pending, 0);
    node_close(&node);
}

static void more_keys_than_allowed_are_told_as_their_class(void **state) {
    (void)state;
    enum { MANY = 257 };
    static char names[MANY][32];
    static struct slice keys[MANY];
    open_with_l2();
    for (int i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[i], "participant:demo:%d", i);
        keys[i] = slice_of(names[i]);
    }
    struct tiered_change change = {.keys = keys, .keys_len = MANY};
    tiered_change_begin(node.loops[0], &change);
    tiered_change_end(node.loops[0], &change, TIERED_COMMITTED);
    assert_null(node_sent(&node, 0, REDIS_INVALIDATE));
    assert_int_equal(node.ports[0].sent_len, 1);
    assert_non_null(node_sent(&node, 0, REDIS_EPOCH_RAISE));
    node_close(&node);
}

static void fill_two(void) {
    struct ask ask = {0};
    ask_begin(&node, 0, &ask, key);
    node_answer(&node, 0, REDIS_GET, hit("vanna", 7));
}

static void a_late_channel_leaves_young_values_only_and_no_l2(void **state) {
    (void)state;
    open_with_l2();
    struct ask ask = {0};
    fill_two();
    node_pass_hearing_ms(&node, 5000);
    node_pass_ms(&node, TIERED_TRUST_MS + 1);
    assert_int_equal(figures().channel, TIERED_CHANNEL_LATE);
    ask_begin(&node, 0, &ask, key);
    assert_null(node_sent(&node, 0, REDIS_GET));
    ask_loaded(&ask, "from the store");
    node_beat(&node); /* a writer may still be repeating what it could not tell */
    assert_int_equal(figures().channel, TIERED_CHANNEL_LATE);
    node_pass_hearing_ms(&node, 2000);
    assert_int_equal(figures().channel, TIERED_CHANNEL_HEARD);
    ask_begin(&node, 0, &ask, key);
    assert_answered(&ask, TIERED_FROM_L1, "from the store");
    node_close(&node);
}

static void silence_empties_l1_and_its_end_raises_epochs(void **state) {
    (void)state;
    open_with_l2();
    fill_two();
    tiered_loop_news(node.loops[0], REDIS_NEWS_SILENT, SLICE_NONE);
    assert_int_equal(figures().l1.entries, 0);
    assert_int_equal(figures().channel, TIERED_CHANNEL_SILENT);
    tiered_loop_news(node.loops[0], REDIS_NEWS_HEARD, SLICE_NONE);
    int raised = 0;
    while (node_sent(&node, 0, REDIS_EPOCH_RAISE) != NULL) {
        node_answer(&node, 0, REDIS_EPOCH_RAISE, (struct redis_answer){.epoch = 30});
        raised++;
    }
    assert_int_equal(raised, 4);
    node_close(&node);
}

static void a_flush_drops_l1_and_raises_epochs(void **state) {
    (void)state;
    open_with_l2();
    fill_two();
    tiered_loop_news(node.loops[0], REDIS_NEWS_ALL, SLICE_NONE);
    assert_int_equal(figures().l1.entries, 0);
    assert_non_null(node_sent(&node, 0, REDIS_EPOCH_RAISE));
    node_close(&node);
}

static struct tiered_invalidated swept;

static void on_invalidated(void *data, const struct tiered_invalidated *result) {
    (void)data;
    swept = *result;
}

static void an_operators_pattern_counts_what_went_on_both_levels(void **state) {
    (void)state;
    open_with_l2();
    fill_two();
    assert_int_equal(tiered_invalidate(node.loops[0], SLICE_LIT("participant:*"), on_invalidated,
                                       NULL),
                     ERR_OK);
    assert_int_equal(swept.err, ERR_OK);
    assert_int_equal(swept.l1_entries, 1);
    assert_int_equal(swept.l2_keys, 7); /* as the double says */
    assert_int_equal(tiered_invalidate(node.loops[0], SLICE_NONE, on_invalidated, NULL),
                     ERR_INVALID_FIELD);
    node_close(&node);
}

static struct ask refresh;
static unsigned dues;

static void on_due(void *data, enum tiered_class_e class, struct slice due) {
    (void)class;
    assert_true(slice_eq_text(due, key));
    dues++;
    refresh.get.refresh = true;
    ask_begin(data, 0, &refresh, key);
}

/* Near its end one reader is asked to fetch anew. What L2 has will do, and lives longer: the key is
 * in use. */
static void a_value_in_use_is_refreshed_from_l2_before_it_expires(void **state) {
    (void)state;
    dues = 0;
    refresh = (struct ask){0};
    open_with_l2();
    struct tiered_loop *loop;
    struct test_port *port = &node.ports[1];
    struct tiered_loop_options options = {.due = on_due, .due_data = &node};
    tiered_loop_close(node.loops[1], node_on_closed, &node);
    port->refuse = ERR_OK;
    assert_int_equal(tiered_loop_open_on(node.tiered, &port->base, &options, &loop), ERR_OK);
    node.loops[1] = loop;
    node.closed = 0;

    struct ask ask = {0};
    ask_begin(&node, 0, &ask, key);
    node_answer(&node, 0, REDIS_GET, miss(0));
    lease_for(0);
    node_pass_hearing_ms(&node, 10000); /* a slow load: refreshed all the earlier */
    ask_loaded(&ask, "anna");
    node_pass_hearing_ms(&node, 289800);
    ask_begin(&node, 1, &ask, key);
    assert_answered(&ask, TIERED_FROM_L1, "anna");
    assert_int_equal(dues, 1);
    ask_begin(&node, 1, &ask, key); /* one refresher at a time */
    assert_int_equal(dues, 1);
    node_answer(&node, 0, REDIS_GET, hit("vanna", 7));
    assert_answered(&refresh, TIERED_FROM_L2, "anna");
    node_pass_hearing_ms(&node, 500000); /* twice its life of 300 s, if in use */
    ask_begin(&node, 0, &ask, key);
    assert_answered(&ask, TIERED_FROM_L1, "anna");
    node_close(&node);
}

static void closing_ends_what_waits_for_l2(void **state) {
    (void)state;
    open_with_l2();
    struct ask asking = {0};
    struct ask napping = {0};
    ask_begin(&node, 0, &asking, key);
    ask_begin(&node, 1, &napping, "gate:demo:g01");
    node_answer(&node, 1, REDIS_GET, miss(0));
    node_answer(&node, 1, REDIS_LEASE, refused);
    node_change(&node, 1, "gate:demo:g02");
    node_close(&node);
    assert_int_equal(asking.answer.err, ERR_DRAINING);
    assert_int_equal(napping.answer.err, ERR_DRAINING);
    assert_int_equal(asking.loads + napping.loads, 0);
}

/* Answers whatever is asked, as an empty L2 would, until nothing is left. */
static void serve_empty_l2(struct ask *asks, size_t len, const char *value) {
    for (int turn = 0; turn < 8; turn++) {
        for (int loop = 0; loop < LOOPS; loop++) {
            node_answer_all(&node, loop, REDIS_GET, miss(0));
            node_answer_all(&node, loop, REDIS_LEASE, done);
            node_answer_all(&node, loop, REDIS_FILL, done);
            node_answer_all(&node, loop, REDIS_RELEASE, done);
            node_answer_all(&node, loop, REDIS_INVALIDATE, done);
            node_answer_all(&node, loop, REDIS_EPOCH_RAISE, (struct redis_answer){.epoch = 50});
            node_answer_all(&node, loop, REDIS_EPOCH_READ, (struct redis_answer){.epoch = 50});
        }
        for (size_t i = 0; i < len; i++) {
            if (asks[i].loads == 1 && asks[i].answers == 0) {
                ask_loaded(&asks[i], value);
            }
        }
        node_run(&node);
        node_pass_hearing_ms(&node, 100);
    }
}

static long day_with_failing_memory(long fail_at) {
    open_with_l2();
    long before = node.memory.taken;
    node.memory.fail_at = fail_at == 0 ? 0 : before + fail_at;
    for (int round = 0; round < 3; round++) {
        char value[8];
        snprintf(value, sizeof value, "v%d", round);
        struct ask asks[4] = {0};
        for (int i = 0; i < 4; i++) {
            ask_begin(&node, i % LOOPS, &asks[i], i < 2 ? key : "gate:demo:g01");
        }
        serve_empty_l2(asks, 4, value);
        for (int i = 0; i < 4; i++) {
            assert_int_equal(asks[i].answers, 1);
            assert_int_equal(asks[i].answer.err, ERR_OK);
            assert_string_equal(asks[i].value, value);
        }
        struct slice keys[] = {slice_of(key)};
        struct slice patterns[] = {SLICE_LIT("gate:*")};
        struct tiered_change change = {
            .keys = keys, .keys_len = 1, .patterns = patterns, .patterns_len = 1};
        tiered_change_begin(node.loops[0], &change);
        tiered_change_end(node.loops[0], &change, TIERED_COMMITTED);
        serve_empty_l2(NULL, 0, "");
        assert_int_equal(figures().pending, 0);
    }
    long taken = node.memory.taken - before;
    node.memory.fail_at = 0;
    node_close(&node);
    return taken;
}

static void changes_are_told_whichever_allocation_fails(void **state) {
    (void)state;
    long most = day_with_failing_memory(0);
    assert_true(most > 15);
    for (long n = 1; n <= most + 2; n++) {
        (void)day_with_failing_memory(n);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_of_l2_is_answered_and_kept_in_l1),
        cmocka_unit_test(what_is_warmed_from_l2_is_neither_hit_nor_miss),
        cmocka_unit_test(absence_is_known_from_l2_too),
        cmocka_unit_test(what_cannot_be_believed_is_a_miss_and_counted),
        cmocka_unit_test(what_was_loaded_is_filled_with_ticket_epoch_and_life),
        cmocka_unit_test(a_load_that_a_change_overtook_is_not_filled),
        cmocka_unit_test(trouble_in_l2_is_a_load_and_never_an_error),
        cmocka_unit_test(whoever_gets_the_lease_looks_once_more),
        cmocka_unit_test(whoever_has_no_lease_waits_for_the_value_of_who_has),
        cmocka_unit_test(a_dead_lease_holder_costs_no_more_than_a_lease),
        cmocka_unit_test(many_misses_are_one_question_to_l2),
        cmocka_unit_test(a_change_is_told_to_l2_until_it_has_taken_it),
        cmocka_unit_test(a_key_that_changes_while_it_is_told_is_told_again),
        cmocka_unit_test(a_change_of_unknown_outcome_is_told_again_for_ten_seconds),
        cmocka_unit_test(classes_that_live_shortly_are_not_told_to_l2),
        cmocka_unit_test(a_pattern_raises_the_epoch_and_l2_rests_until_it_is_known),
        cmocka_unit_test(an_epoch_that_could_not_be_raised_is_raised_later),
        cmocka_unit_test(more_keys_than_allowed_are_told_as_their_class),
        cmocka_unit_test(a_late_channel_leaves_young_values_only_and_no_l2),
        cmocka_unit_test(silence_empties_l1_and_its_end_raises_epochs),
        cmocka_unit_test(a_flush_drops_l1_and_raises_epochs),
        cmocka_unit_test(an_operators_pattern_counts_what_went_on_both_levels),
        cmocka_unit_test(a_value_in_use_is_refreshed_from_l2_before_it_expires),
        cmocka_unit_test(closing_ends_what_waits_for_l2),
        cmocka_unit_test(changes_are_told_whichever_allocation_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
