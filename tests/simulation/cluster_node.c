/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes: on each of two loops check-in, the caching store and the tiered cache, on the simulated
 * L2 and database. A node that crashes says nothing more to anybody; what it still does in itself
 * is seen by nobody, and it is buried when that is over.
 */
#include "cluster.h"

#include <stdlib.h>

enum { LOOK_US = 200000, BURY_US = 50000, DRAIN_US_MAX = 4000000 };

struct node *nodes[NODES];
int64_t cluster_skew_ms[NODES];
static struct node *all;

/* ── clocks ── */

struct off_clock {
    struct clock base;
    int node;
};

static int64_t wall_ms(struct clock *clock) {
    return DAY_START_MS + (sim.now_us - 1000000000) / 1000 +
           cluster_skew_ms[((struct off_clock *)clock)->node];
}

static int64_t mono_us(struct clock *clock) {
    (void)clock;
    return sim.now_us;
}

struct clock *cluster_clock(int node) {
    static struct off_clock clocks[NODES];
    clocks[node] = (struct off_clock){{wall_ms, mono_us}, node};
    return &clocks[node].base;
}

/* ── the mark ── */

struct errand {
    struct node_loop *loop;
    uint64_t bits; /* of a turn; of a look: what it saw */
    enum err_e err;
};

static void send_errand(struct node_loop *loop, uint64_t bits, sim_fn at_store) {
    struct errand *errand = calloc(1, sizeof *errand);
    ASSERT(errand != NULL);
    *errand = (struct errand){.loop = loop, .bits = bits};
    sim_at(sim_delay(), at_store, errand, 0);
}

static void on_turned(void *data, uint64_t number) {
    struct errand errand = *(struct errand *)data;
    (void)number;
    free(data);
    if (!errand.loop->port->closed) {
        tiered_marked(errand.loop->tiered, errand.err);
    }
}

static void turn_at_store(void *data, uint64_t number) {
    struct errand *errand = data;
    bool is_away = db_is_down() || errand->loop->node->dead;
    bool is_unknown = !is_away && !sim.calm && sim_chance(0.02);
    (void)number;
    errand->err = is_away ? ERR_UNAVAILABLE : is_unknown ? ERR_COMMIT_UNKNOWN : ERR_OK;
    if (!is_away && (!is_unknown || sim_chance(0.5))) {
        db.mark ^= errand->bits;
    }
    sim_at(sim_delay(), on_turned, errand, 0);
}

static void on_turn(void *data, uint64_t bits) {
    send_errand(data, bits, turn_at_store);
}

static void on_seen(void *data, uint64_t number) {
    struct errand errand = *(struct errand *)data;
    (void)number;
    free(data);
    if (!errand.loop->port->closed && errand.err == ERR_OK) {
        tiered_see_mark(errand.loop->tiered, errand.bits);
    }
}

static void look_at_store(void *data, uint64_t number) {
    struct errand *errand = data;
    (void)number;
    errand->err = db_is_down() ? ERR_UNAVAILABLE : ERR_OK;
    errand->bits = db.mark;
    sim_at(sim_delay(), on_seen, errand, 0);
}

static void on_look(void *data, uint64_t number) {
    struct node_loop *loop = data;
    if (!loop->port->closed && !loop->node->dead) {
        sim_at(LOOK_US, on_look, loop, number);
        send_errand(loop, 0, look_at_store);
    }
}

/* ── start ── */

static void on_due(void *data, enum tiered_class_e class, struct slice key) {
    struct node_loop *loop = data;
    if (loop->cached != NULL && !loop->node->dead) {
        cached_store_on_due(loop->cached, class, key);
    }
}

static void open_loop(struct node *node, int index) {
    struct node_loop *loop = &node->loops[index];
    loop->node = node;
    loop->loop = vloop_make(node->slot, index);
    loop->port = sim_port_make(node->slot, index == 0);
    const struct tiered_loop_options options = {
        .due = on_due, .due_data = loop, .mark = on_turn, .mark_data = loop};
    enum err_e err =
        tiered_loop_open_on(node->tiered, &loop->port->base, &options, &loop->tiered);
    ASSERT(err == ERR_OK);
    loop->port->loop = loop->tiered;
    loop->cached = cached_store_create(&(struct cached_options){.loop = loop->loop,
                                                                .inner = node->client,
                                                                .tiered = loop->tiered,
                                                                .node = node->cached,
                                                                .jobs_max = 256});
    const struct checkin_options checkin = {
        .scans_max = 64, .batches_max = 2, .chunk = 3, .deadline_ms = 5000};
    loop->checkin = checkin_create(loop->loop, loop->cached, &checkin);
    ASSERT(loop->cached != NULL && loop->checkin != NULL);
    sim.ports[node->slot][index] = loop->port;
}

void node_start(int slot) {
    struct node *node = calloc(1, sizeof *node);
    ASSERT(node != NULL && nodes[slot] == NULL);
    node->slot = slot;
    node->memory = 30;
    node->next = all;
    all = node;
    node->client = db_client_make();
    node->cached = cached_node_create(cluster_clock(slot));
    seeded_rng_init(&node->rng, rng_u64(&sim.rng.base));
    struct tiered_options options = tiered_options_default();
    options.writers = TIERED_WRITERS_OTHERS;
    options.l1.entries = 32;
    options.l1.rng = &node->rng.base;
    options.lease_ms = 100;
    options.watches_mark = true;
    cached_store_fit(&options);
    ASSERT(node->cached != NULL && tiered_create(&options, &node->tiered, NULL) == ERR_OK);
    for (int i = 0; i < LOOPS; i++) {
        open_loop(node, i);
    }
    nodes[slot] = node;
    tally.starts++;
    sim_trace("node %d starts", slot);
    sim_at(0, on_look, &node->loops[0], 0);
}

/* ── end ── */

static void on_closed(void *data) {
    struct node *node = data;
    if (++node->closed < LOOPS) {
        return;
    }
    tiered_destroy(node->tiered);
    cached_node_destroy(node->cached);
    db_client_free(node->client);
    for (int i = 0; i < LOOPS; i++) {
        checkin_destroy(node->loops[i].checkin);
        vloop_free(node->loops[i].loop);
    }
}

static bool is_idle(const struct node *node) {
    bool idle = node->calls == 0;
    for (int i = 0; i < LOOPS; i++) {
        idle = idle && cached_store_is_idle(node->loops[i].cached);
    }
    return idle;
}

static void bury(void *data, uint64_t number) {
    struct node *node = data;
    if (!is_idle(node)) {
        sim_at(BURY_US, bury, node, number);
        return;
    }
    for (int i = 0; i < LOOPS; i++) {
        cached_store_destroy(node->loops[i].cached);
        node->loops[i].cached = NULL;
    }
    for (int i = 0; i < LOOPS; i++) {
        tiered_loop_close(node->loops[i].tiered, on_closed, node);
    }
}

/* What it owed, others may not have heard (docs/cache.md). */
static void leave(struct node *node) {
    if (tiered_owes(node->tiered)) {
        for (int i = 0; i < PEOPLE; i++) {
            ledger.is_loose[i] = true;
        }
    }
    node->dead = true;
    nodes[node->slot] = NULL;
    for (int i = 0; i < LOOPS; i++) {
        node->loops[i].port->gone = true;
        sim.ports[node->slot][i] = NULL;
    }
    db_client_cut(node->client);
    sim_at(BURY_US, bury, node, 0);
}

void node_crash(int slot) {
    sim_trace("node %d crashes", slot);
    tally.crashes++;
    leave(nodes[slot]);
}

static void on_drain(void *data, uint64_t until_us) {
    struct node *node = data;
    if (node->dead) {
        return; /* it crashed meanwhile */
    }
    bool is_done = is_idle(node) && !tiered_owes(node->tiered);
    if (!is_done && sim.now_us < (int64_t)until_us) {
        sim_at(BURY_US, on_drain, node, until_us);
        return;
    }
    tally.stops++;
    sim_trace("node %d leaves", node->slot);
    leave(node);
}

void node_drain(int slot) {
    sim_trace("node %d drains", slot);
    nodes[slot]->drains = true;
    sim_at(0, on_drain, nodes[slot], (uint64_t)(sim.now_us + DRAIN_US_MAX));
}

void nodes_end(void) {
    for (int i = 0; i < NODES; i++) {
        if (nodes[i] != NULL) {
            leave(nodes[i]);
        }
    }
}

void nodes_free(void) {
    while (all != NULL) {
        struct node *next = all->next;
        ASSERT(all->closed == LOOPS);
        free(all);
        all = next;
    }
}

struct node *node_some(void) {
    int first = (int)sim_between(0, NODES - 1);
    for (int i = 0; i < NODES; i++) {
        struct node *node = nodes[(first + i) % NODES];
        if (node != NULL && !node->drains) {
            return node;
        }
    }
    return NULL;
}

size_t nodes_serving(void) {
    size_t count = 0;
    for (int i = 0; i < NODES; i++) {
        count += nodes[i] != NULL && !nodes[i]->drains;
    }
    return count;
}
