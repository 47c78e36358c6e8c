/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: whatever happens to L2, the channel, a node's links and the nodes, a get that begins a
 * second after a write was acknowledged does not see what was before that write; and when all is
 * quiet, every node sees the truth. Commands that write to the store alone are among the writers.
 *
 * Three nodes of two loops run the real tiered cache over a simulated L2 (sim.h). The truth is a
 * version for each key, which only grows; a value spells its version, and every fifth version means
 * "there is no such thing". Each day has its own seed and its own faults; a failing day prints its
 * seed, and SEED=n repeats it. DAYS=n plays more.
 */
#include "sim.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum {
    DAYS = 1000,
    DAY_US = 12000000,
    QUIET_US = 14000000, /* unknown commits are repeated for ten seconds */
    BOUND_US = 1000000,
    LOOK_US = 200000,
    CUT_US_MAX = 5000000,
    ACKS_MAX = 4096,
    ABSENT_EVERY = 5,
};

const char *const sim_names[KEYS] = {"participant:0", "participant:1",  "participant:2",
                                        "participant:3", "gate:0",         "gate:1",
                                        "event_config:0", "active_gates:0"};

struct key {
    int64_t version;
    int64_t acked[ACKS_MAX]; /* when version i was acknowledged; 0: it was not */
    int64_t loose_until_us;  /* a writer crashed before it had told L2: no promise until then */
};

struct node {
    struct tiered *tiered;
    struct sim_port *ports[LOOPS];
    struct seeded_rng rng;
    unsigned closed;
};

struct ask {
    struct tiered_get get;
    struct ask *next;
    struct ask *before;
    int key;
    int node;
    int64_t begun_us;
    bool loading;
    bool done;
    uint64_t seen; /* version that the load read */
};

static struct key keys[KEYS];
static struct node nodes[NODES];
static struct ask *asks; /* all that are open */
static int64_t store_down_until_us;
static int64_t store_kept_until_us;
static uint64_t store_mark;
static int64_t rest_us_max; /* between two writes: what is stale can be seen until the next */
static int64_t faults_until_us;
static uint64_t seed;
static struct tally {
    uint64_t gets, stale, errors, l1, l2, writes, imports, crashes, mistakes, loads, turns, drops;
} tally;

static void mistake(const char *what, const struct ask *ask, int64_t got, int64_t least) {
    tally.mistakes++;
    if (tally.mistakes < 5) {
        print_error("SEED=%" PRIu64 ": %s: %s on node %d, version %" PRId64 ", at least %" PRId64
                    " at %" PRId64 " us\n",
                    seed, what, sim_names[ask->key], ask->node, got, least,
                    ask->begun_us - 1000000000);
    }
}

/* The oldest version that a get begun then may see. */
static int64_t least_allowed(int key, int64_t begun_us) {
    for (int64_t v = keys[key].version; v > 0; v--) {
        if (keys[key].acked[v] != 0 && keys[key].acked[v] + BOUND_US <= begun_us) {
            return v;
        }
    }
    return 0;
}

static bool some_absent_version(int64_t least, int64_t most) {
    for (int64_t v = least; v <= most; v++) {
        if (v % ABSENT_EVERY == 0) {
            return true;
        }
    }
    return false;
}

static void judge(const struct ask *ask, const struct tiered_answer *answer) {
    int64_t least = least_allowed(ask->key, ask->begun_us);
    if (ask->begun_us < keys[ask->key].loose_until_us) {
        return;
    }
    if (answer->absent) {
        if (!some_absent_version(least, keys[ask->key].version)) {
            mistake("absent too late", ask, -1, least);
        }
        return;
    }
    int64_t version = -1;
    if (!slice_to_int(answer->value, 0, INT64_MAX, &version)) {
        mistake("torn", ask, -1, least);
    } else if (version < least) {
        mistake(answer->from == TIERED_FROM_L1 ? "stale from L1"
                : answer->from == TIERED_FROM_L2 ? "stale from L2" : "stale from the store",
                ask, version, least);
    }
}

/* Gets. */

static void close_ask(struct ask *ask) {
    if (ask->before != NULL) {
        ask->before->next = ask->next;
    } else {
        asks = ask->next;
    }
    if (ask->next != NULL) {
        ask->next->before = ask->before;
    }
    ask->done = true;
}

static void on_done(struct tiered_get *get, const struct tiered_answer *answer) {
    struct ask *ask = get->data;
    assert_false(ask->done);
    tally.gets++;
    tally.errors += answer->err != ERR_OK;
    tally.l1 += answer->err == ERR_OK && answer->from == TIERED_FROM_L1;
    tally.l2 += answer->err == ERR_OK && answer->from == TIERED_FROM_L2;
    sim_trace("node %d got %s: %s from %d, err %d, asked at %lld", ask->node, sim_names[ask->key],
              answer->absent ? "absent" : "a value",
              answer->from, answer->err, (long long)(ask->begun_us - 1000000000));
    bool stale = answer->err == ERR_OK && answer->from == TIERED_FROM_STALE;
    tally.stale += stale;
    if (answer->err == ERR_OK && !stale) { /* a stale one is marked: it promises its age only */
        judge(ask, answer);
    }
    close_ask(ask);
    if (!ask->loading) {
        free(ask);
    }
}

static void loaded(void *data, uint64_t number) {
    (void)number;
    struct ask *ask = data;
    if (!ask->loading) { /* its node crashed meanwhile */
        free(ask);
        return;
    }
    ask->loading = false;
    char text[24];
    int len = snprintf(text, sizeof text, "%" PRIu64, ask->seen);
    bool down = ask->seen == UINT64_MAX;
    struct tiered_loaded loaded = {.err = down ? ERR_UNAVAILABLE : ERR_OK,
                                   .absent = ask->seen % ABSENT_EVERY == 0,
                                   .value = slice_from(text, (size_t)len)};
    tiered_loaded(&ask->get, &loaded);
}

static void read_truth(void *data, uint64_t number) {
    (void)number;
    struct ask *ask = data;
    bool down = sim.now_us < store_down_until_us;
    ask->seen = down ? UINT64_MAX : (uint64_t)keys[ask->key].version;
    sim_at(sim_chance(0.05) ? sim_between(0, 900000) : sim_between(100, 5000), loaded, ask, 0);
}

static void on_load(struct tiered_get *get) {
    struct ask *ask = get->data;
    ask->loading = true;
    tally.loads++;
    sim_at(sim_between(100, 5000), read_truth, ask, 0);
}

static struct node *some_node(int *ret_index) {
    *ret_index = (int)sim_between(0, NODES - 1);
    return nodes[*ret_index].tiered == NULL ? NULL : &nodes[*ret_index];
}

static void ask_for(int index, int loop, int key) {
    struct node *node = &nodes[index];
    struct ask *ask = calloc(1, sizeof *ask);
    assert_non_null(ask);
    ask->key = key;
    ask->node = index;
    ask->begun_us = sim.now_us;
    ask->next = asks;
    if (asks != NULL) {
        asks->before = ask;
    }
    asks = ask;
    ask->get = (struct tiered_get){
        .key = slice_of(sim_names[key]), .load = on_load, .done = on_done, .data = ask};
    assert_true(tiered_class_of(ask->get.key, &ask->get.class));
    tiered_get(node->ports[loop]->loop, &ask->get);
}

static void on_get(void *data, uint64_t number) {
    int index;
    if (sim.now_us < faults_until_us) {
        sim_at(sim_between(1000, 30000), on_get, data, number);
    }
    if (some_node(&index) != NULL) {
        ask_for(index, (int)sim_between(0, LOOPS - 1), (int)sim_between(0, KEYS - 1));
    }
}

/* Writes. */

struct write {
    int node;
    int loop;
    struct sim_port *port; /* of then: another one means the node crashed */
    int key;
    bool whole_class; /* every key of participants, told by a pattern */
    enum tiered_outcome_e outcome;
};

static bool is_written(const struct write *write, int key) {
    return write->whole_class ? key < 4 : key == write->key;
}

static bool writer_lives(const struct write *write) {
    return nodes[write->node].ports[write->loop] == write->port;
}

static void with_change(const struct write *write,
                        void (*fn)(struct tiered_loop *loop, const struct tiered_change *change,
                                   enum tiered_outcome_e outcome)) {
    struct slice key = slice_of(sim_names[write->key]);
    struct slice pattern = SLICE_LIT("participant:*");
    struct tiered_change change = {.keys = &key, .keys_len = 1};
    if (write->whole_class) {
        change = (struct tiered_change){.patterns = &pattern, .patterns_len = 1};
    }
    fn(write->port->loop, &change, write->outcome);
}

static void begin(struct tiered_loop *loop, const struct tiered_change *change,
                  enum tiered_outcome_e outcome) {
    (void)outcome;
    tiered_change_begin(loop, change);
}

static void on_committed(void *data, uint64_t number) {
    (void)number;
    struct write *write = data;
    if (writer_lives(write)) {
        sim_trace("node %d ends its write of %s: %d", write->node, sim_names[write->key],
                  write->outcome);
        with_change(write, tiered_change_end);
    }
    for (int key = 0; key < KEYS; key++) {
        if (!is_written(write, key)) {
            continue;
        }
        if (!writer_lives(write)) {
            keys[key].loose_until_us = INT64_MAX;
        } else if (write->outcome == TIERED_COMMITTED) {
            keys[key].acked[keys[key].version] = sim.now_us;
        }
    }
    free(write);
}

static void commit(const struct write *write) {
    for (int key = 0; key < KEYS; key++) {
        if (is_written(write, key) && keys[key].version + 1 < ACKS_MAX) {
            keys[key].version++;
        }
    }
}

/* A commit that nobody knows of until it happens, or never does. */
static void late_commit(void *data, uint64_t number) {
    (void)number;
    struct write *write = data;
    commit(write);
    for (int key = 0; key < KEYS; key++) {
        if (is_written(write, key) && !writer_lives(write)) {
            keys[key].loose_until_us = INT64_MAX;
        }
    }
    free(write);
}

static void on_commit(void *data, uint64_t number) {
    (void)number;
    struct write *write = data;
    bool down = sim.now_us < store_down_until_us;
    write->outcome = down || sim_chance(0.05) ? TIERED_NOTHING
                     : sim_chance(0.05)       ? TIERED_UNKNOWN
                                              : TIERED_COMMITTED;
    if (write->outcome == TIERED_COMMITTED) {
        commit(write);
    } else if (write->outcome == TIERED_UNKNOWN && sim_chance(0.5)) {
        struct write *late = calloc(1, sizeof *late);
        assert_non_null(late);
        *late = *write;
        sim_at(sim_between(0, 8000000), late_commit, late, 0);
    }
    sim_at(sim_between(100, 3000), on_committed, write, 0);
}

static void on_write(void *data, uint64_t number) {
    int index;
    if (sim.now_us < faults_until_us) {
        sim_at(sim_between(20000, rest_us_max), on_write, data, number);
    }
    if (some_node(&index) == NULL) {
        return;
    }
    struct write *write = calloc(1, sizeof *write);
    assert_non_null(write);
    write->node = index;
    write->loop = (int)sim_between(0, LOOPS - 1);
    write->port = nodes[index].ports[write->loop];
    write->key = (int)sim_between(0, KEYS - 1);
    write->whole_class = sim_chance(0.1);
    tally.writes++;
    sim_trace("node %d begins to write %s%s", index, sim_names[write->key],
              write->whole_class ? " and all like it" : "");
    with_change(write, begin);
    sim_at(sim_between(100, 5000), on_commit, write, 0);
}

/* Who must be told through the store cannot be when it is away: that is a hole, and not tried. */
static void keep_store_for(int64_t us) {
    int64_t until_us = sim.now_us + us;
    store_kept_until_us = store_kept_until_us > until_us ? store_kept_until_us : until_us;
}

/* A command beside the nodes: it writes, moves the mark with the same commit, and says no more. */

static void on_imported(void *data, uint64_t key) {
    (void)data;
    keys[key].acked[keys[key].version] = sim.now_us;
}

static void on_import(void *data, uint64_t number) {
    if (sim.now_us >= faults_until_us) {
        return;
    }
    sim_at(sim_between(100000, 8000000), on_import, data, number);
    uint64_t key = (uint64_t)sim_between(0, KEYS - 1);
    if (sim.now_us < store_down_until_us || keys[key].version + 1 >= ACKS_MAX) {
        return;
    }
    tally.imports++;
    keys[key].version++;
    keep_store_for(BOUND_US);
    store_mark ^= rng_u64(&sim.rng.base);
    sim_trace("%s is imported", sim_names[key]);
    sim_at(sim_between(100, 3000), on_imported, NULL, key);
}

/* The mark. */

struct errand {
    struct sim_port *port;
    uint64_t bits; /* of a turn; of a look: what it saw */
    enum err_e err;
};

static struct errand *send_errand(struct sim_port *port, uint64_t bits, sim_fn at_store) {
    struct errand *errand = calloc(1, sizeof *errand);
    assert_non_null(errand);
    *errand = (struct errand){.port = port, .bits = bits};
    sim_at(sim_between(100, 10000), at_store, errand, 0);
    return errand;
}

static void on_turned(void *data, uint64_t number) {
    (void)number;
    struct errand errand = *(struct errand *)data;
    free(data);
    if (!errand.port->closed) {
        tiered_marked(errand.port->loop, errand.err);
    }
}

static void turn_at_store(void *data, uint64_t number) {
    (void)number;
    struct errand *errand = data;
    bool down = sim.now_us < store_down_until_us;
    bool unknown = !down && sim_chance(0.05);
    errand->err = down ? ERR_UNAVAILABLE : unknown ? ERR_COMMIT_UNKNOWN : ERR_OK;
    if (!down && (!unknown || sim_chance(0.5))) {
        store_mark ^= errand->bits;
    }
    sim_at(sim_between(100, 10000), on_turned, errand, 0);
}

static void on_turn(void *data, uint64_t bits) {
    struct sim_port *port = data;
    tally.turns++;
    sim_trace("node %d turns the mark", port->node);
    (void)send_errand(port, bits, turn_at_store);
}

static void on_seen(void *data, uint64_t number) {
    (void)number;
    struct errand errand = *(struct errand *)data;
    free(data);
    if (!errand.port->closed && errand.err == ERR_OK) {
        tiered_see_mark(errand.port->loop, errand.bits);
    }
}

static void look_at_store(void *data, uint64_t number) {
    (void)number;
    struct errand *errand = data;
    errand->err = sim.now_us < store_down_until_us ? ERR_UNAVAILABLE : ERR_OK;
    errand->bits = store_mark;
    sim_at(sim_between(100, 10000), on_seen, errand, 0);
}

static void on_look(void *data, uint64_t number) {
    struct sim_port *port = data;
    if (!port->closed) {
        sim_at(LOOK_US, on_look, port, number);
        (void)send_errand(port, 0, look_at_store);
    }
}

/* Nodes. */

static void start_node(int index) {
    struct node *node = &nodes[index];
    struct tiered_options options = tiered_options_default();
    seeded_rng_init(&node->rng, rng_u64(&sim.rng.base));
    options.writers = TIERED_WRITERS_OTHERS;
    options.l1.entries = 64;
    options.l1.policy = L1_POLICY_LRU;
    options.l1.rng = &node->rng.base;
    options.lives[TIERED_GATE] = (struct tiered_life){400, 400, 100};
    options.lives[TIERED_ACTIVE_GATES].l1_ms = sim_between(1, 3000);
    options.lease_ms = 100;
    options.watches_mark = true;
    assert_int_equal(tiered_create(&options, &node->tiered, NULL), ERR_OK);
    node->closed = 0;
    for (int i = 0; i < LOOPS; i++) {
        node->ports[i] = sim_port_make(index, i == 0);
        struct tiered_loop_options loop_options = {.mark = on_turn, .mark_data = node->ports[i]};
        assert_int_equal(tiered_loop_open_on(node->tiered, &node->ports[i]->base, &loop_options,
                                             &node->ports[i]->loop),
                         ERR_OK);
        sim.ports[index][i] = node->ports[i];
    }
    sim_at(0, on_look, node->ports[0], 0);
}

struct grave {
    struct tiered *tiered;
    unsigned closed;
};

static void on_closed(void *data) {
    struct grave *grave = data;
    grave->closed++;
    if (grave->closed == LOOPS) {
        tiered_destroy(grave->tiered);
        free(grave);
    }
}

/* Loads of a node that is no more end nowhere. */
static void end_loads(int index) {
    struct ask *ask = asks;
    while (ask != NULL) {
        if (ask->node == index && ask->loading) {
            tiered_loaded(&ask->get, &(struct tiered_loaded){.err = ERR_DRAINING});
            ask->loading = false; /* freed by its event */
            ask = asks;           /* others may have gone with it */
        } else {
            ask = ask->next;
        }
    }
}

static void stop_node(int index) {
    struct node *node = &nodes[index];
    struct grave *grave = calloc(1, sizeof *grave);
    assert_non_null(grave);
    grave->tiered = node->tiered;
    struct tiered_figures figures;
    tiered_read_figures(node->tiered, &figures);
    tally.drops += figures.mark_drops;
    for (int i = 0; i < LOOPS; i++) {
        node->ports[i]->gone = true;
        sim.ports[index][i] = NULL;
    }
    end_loads(index);
    for (int i = 0; i < LOOPS; i++) {
        tiered_loop_close(node->ports[i]->loop, on_closed, grave);
    }
    end_loads(index);
    node->tiered = NULL;
    memset(node->ports, 0, sizeof node->ports);
}

static void restart(void *data, uint64_t index) {
    (void)data;
    start_node((int)index);
}

/* A writer that dies before it has told L2 or the mark takes with it what others had to hear: until
 * the values expire (docs/cache.md). */
static void loosen_what_was_not_told(const struct node *node) {
    bool owes = tiered_owes(node->tiered);
    for (int key = 0; owes && key < KEYS; key++) {
        keys[key].loose_until_us = INT64_MAX;
    }
}

static void crash(int index) {
    loosen_what_was_not_told(&nodes[index]);
    stop_node(index);
    tally.crashes++;
    sim_trace("node %d crashes", index);
    sim_at(sim_between(1000, 2000000), restart, NULL, (uint64_t)index);
}

/* Faults. */

static void on_snapshot(void *data, uint64_t number) {
    l2_snapshot();
    if (sim.now_us < faults_until_us) {
        sim_at(sim_between(1000, 200000), on_snapshot, data, number);
    }
}

static void cut_off(const struct node *node) {
    int64_t us = sim_between(1000, sim_chance(0.5) ? 150000 : CUT_US_MAX);
    if (sim.now_us < store_down_until_us) {
        return;
    }
    keep_store_for(us + BOUND_US);
    int primary = (int)sim_between(-1, PRIMARIES - 1);
    int loop = (int)sim_between(-1, LOOPS - 1);
    for (int i = 0; i < LOOPS; i++) {
        if (loop < 0 || loop == i) {
            connection_stall(node->ports[i], primary, us);
        }
    }
}

static void lose_store(void) {
    if (sim.now_us >= store_kept_until_us) {
        store_down_until_us = sim.now_us + sim_between(10000, 2000000);
    }
}

static void on_fault(void *data, uint64_t number) {
    int index;
    if (sim.now_us >= faults_until_us) {
        return;
    }
    sim_at(sim_between(100000, 3000000), on_fault, data, number);
    struct node *node = some_node(&index);
    int primary = (int)sim_between(0, PRIMARIES - 1);
    int kind = (int)sim_between(0, 8);
    if (kind == 0) {
        l2_pause(primary, sim_between(50000, 2500000));
    } else if (kind == 1) {
        l2_fail_over(primary, sim_between(100000, 3000000));
    } else if (kind == 2) {
        l2_flush(primary);
    } else if (kind == 3) {
        l2_evict((int)sim_between(0, KEYS - 1));
    } else if (kind == 4) {
        lose_store();
    } else if (kind == 5 && node != NULL) {
        channel_lose(node->ports[0]);
    } else if (kind == 6 && node != NULL) {
        channel_deafen(node->ports[0]);
    } else if (kind == 7 && node != NULL) {
        crash(index);
    } else if (kind == 8 && node != NULL) {
        cut_off(node);
    }
}

/* A day. */

static void run_until(int64_t until_us) {
    while (sim_step(until_us)) {
    }
}

/* Every node must see the truth by now, but for writes whose node died before it could tell. */
static void check_quiet(void) {
    for (int n = 0; n < NODES; n++) {
        for (int key = 0; key < KEYS; key++) {
            struct key *k = &keys[key];
            if (k->loose_until_us == 0) {
                k->acked[k->version] = 1; /* long ago */
                ask_for(n, key % LOOPS, key);
            }
        }
    }
    run_until(sim.now_us + 5000000);
    assert_null(asks);
}

static void play(uint64_t number) {
    seed = number;
    sim_begin(number);
    memset(keys, 0, sizeof keys);
    store_down_until_us = 0;
    store_kept_until_us = 0;
    store_mark = 0;
    rest_us_max = sim_chance(0.5) ? 300000 : 3000000;
    faults_until_us = sim.now_us + DAY_US;
    for (int i = 0; i < NODES; i++) {
        start_node(i);
    }
    sim_at(0, on_get, NULL, 0);
    sim_at(0, on_write, NULL, 0);
    if (sim_chance(0.5)) {
        sim_at(0, on_import, NULL, 0);
    }
    sim_at(0, on_snapshot, NULL, 0);
    sim_at(0, on_fault, NULL, 0);
    run_until(faults_until_us + QUIET_US);
    check_quiet();
    for (int i = 0; i < NODES; i++) {
        stop_node(i);
    }
    sim_end();
}

static uint64_t number_of(const char *name, uint64_t otherwise) {
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static void no_get_sees_what_was_before_a_write_a_second_ago(void **state) {
    (void)state;
    uint64_t first = number_of("SEED", 1);
    uint64_t days = getenv("SEED") != NULL ? 1 : number_of("DAYS", DAYS);
    for (uint64_t day = first; day < first + days && tally.mistakes == 0; day++) {
        play(day);
    }
    print_message("seeds %" PRIu64 " to %" PRIu64 ": %" PRIu64 " gets (%" PRIu64
                  " from L1, %" PRIu64 " from L2, %" PRIu64 " stale, %" PRIu64 " errors), %" PRIu64
                  " loads, %" PRIu64 " writes, %" PRIu64 " imports, %" PRIu64 " crashes, %" PRIu64
                  " turns of the mark, %" PRIu64 " drops for it\n",
                  first, first + days - 1, tally.gets, tally.l1, tally.l2, tally.stale,
                  tally.errors, tally.loads, tally.writes, tally.imports, tally.crashes,
                  tally.turns, tally.drops);
    assert_int_equal(tally.mistakes, 0);
    assert_true(tally.l1 > tally.gets / 10);
    assert_true(days == 1 || tally.l2 > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_get_sees_what_was_before_a_write_a_second_ago),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
