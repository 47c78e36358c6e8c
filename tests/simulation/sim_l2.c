/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An L2 of several primaries. A request travels to the primary of its key, is done there, and its
 * answer travels back; each connection keeps its order. The client's deadline is 250 ms, as in
 * cache/redis.h; whether a request that ran out of time was done is anybody's guess.
 */
#include "sim_l2.h"

#include "cache/glob.h"

#include <stdio.h>
#include <stdlib.h>

enum { DEADLINE_US = 250000, BEAT_US = 200000, SILENT_US = 3000000 };
enum { VALUE_MAX = SIM_VALUE_MAX };

struct record {
    bool present;
    bool tombstone;
    uint64_t generation;
    uint64_t version;
    int64_t until_us;
    char value[VALUE_MAX];
    size_t len;
};

struct state {
    struct record records[KEYS];
    uint64_t epochs[TIERED_CLASS_COUNT];
    uint64_t leases[KEYS];
    int64_t leases_until_us[KEYS];
};

static struct primary {
    struct state state;
    struct state replica;
    int64_t paused_until_us;
    int64_t down_until_us;
} primaries[PRIMARIES];

enum stage { STAGE_COMMAND, STAGE_ANNOUNCE };
struct sim_request {
    struct sim_request *next;
    struct sim_port *port;
    struct redis_call call;
    int key; /* or class, of an epoch */
    enum stage stage;
    int primary;
    bool answered;
    unsigned events; /* that still name it */
    int64_t begun_us;
    char value[VALUE_MAX];
    struct redis_answer answer;
    char answer_value[VALUE_MAX];
};

int sim_key_of(struct slice key) {
    for (int i = 0; i < KEYS; i++) {
        if (slice_eq_text(key, sim_names[i])) {
            return i;
        }
    }
    return -1;
}

void l2_reset(void) {
    memset(primaries, 0, sizeof primaries);
}

/* The channel. */

static bool all_connected(const struct sim_port *port) {
    for (int p = 0; p < PRIMARIES; p++) {
        if (!port->connected[p] || port->proved_us[p] == 0) {
            return false;
        }
    }
    return true;
}

struct told {
    struct sim_port *port;
    int primary;
    uint64_t connection;
    enum redis_news_e news;
    int64_t beat_us; /* of a beat: when it was sent */
    char key[VALUE_MAX];
};

static void on_told(void *data, uint64_t number) {
    (void)number;
    struct told told = *(struct told *)data;
    struct sim_port *port = told.port;
    free(data);
    if (port->closed || port->deaf || told.connection != port->connection[told.primary] ||
        !port->connected[told.primary]) {
        return;
    }
    port->message_us[told.primary] = sim.now_us;
    if (told.news != REDIS_NEWS_BEAT) {
        sim_trace("node %d hears %d %s", port->node, told.news, told.key);
    }
    if (told.news != REDIS_NEWS_BEAT) {
        tiered_loop_news(port->loop, told.news, slice_of(told.key));
        return;
    }
    port->proved_us[told.primary] = told.beat_us;
    if (port->hears) {
        tiered_loop_news(port->loop, REDIS_NEWS_BEAT, SLICE_NONE);
    } else if (all_connected(port)) {
        port->hears = true;
        sim_trace("node %d: heard", port->node);
        tiered_loop_news(port->loop, REDIS_NEWS_HEARD, SLICE_NONE);
    }
}

static void tell(struct sim_port *port, int primary, enum redis_news_e news, const char *key,
                 int64_t beat_us) {
    if (port == NULL || !port->base.listens || port->closed || !port->connected[primary]) {
        return;
    }
    struct told *told = calloc(1, sizeof *told);
    ASSERT(told != NULL);
    *told = (struct told){port, primary, port->connection[primary], news, beat_us, ""};
    snprintf(told->key, sizeof told->key, "%s", key);
    int64_t at_us = sim.now_us + sim_delay();
    if (at_us < port->last_told_us[primary]) { /* a connection keeps its order */
        at_us = port->last_told_us[primary];
    }
    port->last_told_us[primary] = at_us;
    sim_at(at_us - sim.now_us, on_told, told, 0);
}

static void tell_all(int primary, enum redis_news_e news, const char *key) {
    for (int n = 0; n < NODES; n++) {
        tell(sim.ports[n][0], primary, news, key, 0);
    }
}

static void lose(struct sim_port *port, int primary) {
    port->connected[primary] = false;
    port->connection[primary]++;
    port->proved_us[primary] = 0;
    if (port->hears) {
        port->hears = false;
        sim_trace("node %d: silent", port->node);
        tiered_loop_news(port->loop, REDIS_NEWS_SILENT, SLICE_NONE);
    }
}

static bool is_down(int primary) {
    return primaries[primary].down_until_us > sim.now_us;
}

static int64_t wait_us(int primary) {
    int64_t us = primaries[primary].paused_until_us - sim.now_us;
    return us > 0 ? us : 0;
}

struct beat {
    struct sim_port *port;
    int primary;
    int64_t sent_us;
};

static void on_beat_done(void *data, uint64_t number) {
    (void)number;
    struct beat *beat = data;
    if (!is_down(beat->primary)) {
        tell(beat->port, beat->primary, REDIS_NEWS_BEAT, "", beat->sent_us);
    }
    free(beat);
}

/* Five times a second: notices silence, connects again, and beats. */
static void on_beat(void *data, uint64_t number) {
    struct sim_port *port = data;
    if (port->closed) {
        return;
    }
    sim_at(BEAT_US + sim_between(0, 50000), on_beat, port, number);
    for (int p = 0; p < PRIMARIES; p++) {
        if (port->connected[p] && sim.now_us - port->message_us[p] >= SILENT_US) {
            port->deaf = false;
            lose(port, p);
        } else if (!port->connected[p] && !is_down(p) && wait_us(p) == 0 && sim_chance(0.5)) {
            port->connected[p] = true;
            port->message_us[p] = sim.now_us;
        }
        struct beat *beat = calloc(1, sizeof *beat);
        ASSERT(beat != NULL);
        *beat = (struct beat){port, p, sim.now_us};
        sim_at(sim_delay() + wait_us(p), on_beat_done, beat, 0);
    }
}

void channel_begin(struct sim_port *port) {
    sim_at(sim_between(0, 50000), on_beat, port, 0);
}

void channel_lose(struct sim_port *port) {
    lose(port, (int)sim_between(0, PRIMARIES - 1));
}

void channel_deafen(struct sim_port *port) {
    sim_trace("node %d is deaf", port->node);
    port->deaf = true;
}

/* Requests. */

static void release(struct sim_request *request) {
    request->events--;
    if (request->events == 0 && request->answered) {
        free(request);
    }
}

static void answer(struct sim_request *request) {
    if (request->answered) {
        return;
    }
    struct sim_request **at = &request->port->sent;
    while (*at != request) {
        at = &(*at)->next;
    }
    *at = request->next;
    request->answered = true;
    request->call.fn(request->call.data, &request->answer);
}

static void on_answer(void *data, uint64_t number) {
    (void)number;
    answer(data);
    release(data);
}

static void on_deadline(void *data, uint64_t number) {
    (void)number;
    struct sim_request *request = data;
    if (!request->answered) {
        request->answer = (struct redis_answer){.err = ERR_DEADLINE};
        int64_t away_us = primaries[request->primary].down_until_us;
        int64_t cut_us = request->port->last_arrival_us[request->primary];
        if (away_us > sim.now_us || cut_us > sim.now_us || wait_us(request->primary) > 0) {
            request->port->broken_until_us[request->primary] =
                sim.now_us + sim_between(0, 1000000); /* the breaker opens */
        }
        sim_trace("node %d: deadline of %d on key %d", request->port->node, request->call.op,
                  request->key);
        answer(request);
    }
    release(request);
}

static struct state *state_of(const struct sim_request *request) {
    return &primaries[request->primary].state;
}

static struct record *record_of(struct sim_request *request) {
    struct record *record = &state_of(request)->records[request->key];
    if (record->present && record->until_us <= sim.now_us) {
        record->present = false;
    }
    return record;
}

static void do_get(struct sim_request *request) {
    const struct record *record = record_of(request);
    struct redis_answer *answer = &request->answer;
    answer->outcome = REDIS_MISS;
    answer->ticket.begun_us = request->begun_us;
    if (record->present) {
        answer->ticket.generation = record->generation;
        answer->version = record->version;
        answer->outcome = record->tombstone ? REDIS_MISS : REDIS_HIT;
        memcpy(request->answer_value, record->value, record->len);
        answer->value = slice_from(request->answer_value, record->len);
    }
}

static void put(struct sim_request *request, bool tombstone, int64_t life_ms) {
    struct record *record = record_of(request);
    *record = (struct record){.present = true,
                              .tombstone = tombstone,
                              .generation = rng_u64(&sim.rng.base) | 1,
                              .version = request->call.version,
                              .until_us = sim.now_us + life_ms * 1000,
                              .len = request->call.value.len};
    memcpy(record->value, request->value, request->call.value.len);
}

static void do_fill(struct sim_request *request) {
    const struct record *record = record_of(request);
    uint64_t generation = record->present ? record->generation : 0;
    request->answer.outcome = REDIS_REFUSED;
    if (generation == request->call.ticket.generation) {
        request->answer.outcome = REDIS_DONE;
        put(request, false, request->call.ttl_ms);
    }
}

static void do_lease(struct sim_request *request) {
    struct state *state = state_of(request);
    bool taken = state->leases[request->key] != 0 &&
                 state->leases_until_us[request->key] > sim.now_us;
    request->answer.outcome = taken ? REDIS_REFUSED : REDIS_DONE;
    if (!taken) {
        state->leases[request->key] = request->call.token;
        state->leases_until_us[request->key] = sim.now_us + request->call.ttl_ms * 1000;
    }
}

static void do_release(struct sim_request *request) {
    struct state *state = state_of(request);
    if (state->leases[request->key] == request->call.token) {
        state->leases[request->key] = 0;
    }
}

static void do_epoch(struct sim_request *request) {
    struct state *state = state_of(request);
    if (request->call.op == REDIS_EPOCH_RAISE) {
        state->epochs[request->key] += 1 + rng_below(&sim.rng.base, 1 << 20);
        tell_all(request->primary, REDIS_NEWS_EPOCH,
                 tiered_class_name((enum tiered_class_e)request->key));
    }
    request->answer.outcome = REDIS_DONE;
    request->answer.epoch = state->epochs[request->key];
}

static void go(struct sim_request *request);

/* False: the answer comes after another stage. */
static bool execute(struct sim_request *request) {
    sim_trace("L2: %d of node %d on key %d, stage %d", request->call.op, request->port->node,
              request->key, request->stage);
    if (request->stage == STAGE_ANNOUNCE) {
        tell_all(request->primary, REDIS_NEWS_KEY, sim_names[request->key]);
        request->answer.outcome = REDIS_DONE;
        return true;
    }
    switch (request->call.op) {
    case REDIS_GET:
        do_get(request);
        return true;
    case REDIS_FILL:
        do_fill(request);
        return true;
    case REDIS_INVALIDATE:
        put(request, true, REDIS_TOMBSTONE_MS);
        return false;
    case REDIS_LEASE:
        do_lease(request);
        return true;
    case REDIS_RELEASE:
        do_release(request);
        return true;
    case REDIS_EPOCH_READ:
    case REDIS_EPOCH_RAISE:
        do_epoch(request);
        return true;
    case REDIS_SET:
    case REDIS_UNLINK:
    case REDIS_OP_COUNT:
        break;
    }
    ASSERT(false);
    return true;
}

static void on_tombstone_told(void *data, uint64_t number) {
    (void)number;
    struct sim_request *request = data;
    if (!request->answered && !request->port->gone) {
        request->stage = STAGE_ANNOUNCE;
        request->primary = (request->primary + request->key) % PRIMARIES;
        go(request);
    }
    release(request);
}

static void on_arrival(void *data, uint64_t number) {
    (void)number;
    struct sim_request *request = data;
    int primary = request->primary;
    if (is_down(primary)) {
        release(request);
        return; /* lost with the connection */
    }
    if (wait_us(primary) > 0) { /* it lies in the socket until then, or is lost with it */
        if (sim_chance(0.3)) {
            release(request);
        } else {
            sim_at(wait_us(primary) + sim_between(0, 1000), on_arrival, request, 0);
        }
        return;
    }
    sim_fn next = execute(request) ? on_answer : on_tombstone_told;
    int64_t at_us = sim.now_us + sim_delay();
    if (at_us < request->port->last_answer_us[primary]) {
        at_us = request->port->last_answer_us[primary];
    }
    request->port->last_answer_us[primary] = at_us;
    sim_at(at_us - sim.now_us, next, request, 0);
}

static void go(struct sim_request *request) {
    struct sim_port *port = request->port;
    int64_t at_us = sim.now_us + sim_delay();
    if (at_us < port->last_arrival_us[request->primary]) {
        at_us = port->last_arrival_us[request->primary];
    }
    port->last_arrival_us[request->primary] = at_us;
    request->events++;
    sim_at(at_us - sim.now_us, on_arrival, request, 0);
}

static int class_of(struct slice name) {
    for (int i = 0; i < TIERED_CLASS_COUNT; i++) {
        if (slice_eq_text(name, tiered_class_name((enum tiered_class_e)i))) {
            return i;
        }
    }
    return -1;
}

enum err_e l2_send(struct sim_port *port, const struct redis_call *call) {
    bool is_epoch = call->op == REDIS_EPOCH_READ || call->op == REDIS_EPOCH_RAISE;
    int key = is_epoch ? class_of(call->key) : sim_key_of(call->key);
    ASSERT(key >= 0 && call->value.len <= VALUE_MAX);
    int primary = (is_epoch ? key : key + (call->op == REDIS_LEASE || call->op == REDIS_RELEASE)) %
                  PRIMARIES;
    if (port->gone || port->closed || port->broken_until_us[primary] > sim.now_us) {
        return ERR_UNAVAILABLE;
    }
    struct sim_request *request = calloc(1, sizeof *request);
    ASSERT(request != NULL);
    *request = (struct sim_request){.next = port->sent, .port = port, .call = *call, .key = key,
                                    .primary = primary, .begun_us = sim.now_us};
    if (call->value.len > 0) {
        memcpy(request->value, call->value.at, call->value.len);
    }
    port->sent = request;
    request->events = 1;
    sim_at(DEADLINE_US, on_deadline, request, 0);
    go(request);
    return ERR_OK;
}

void l2_drain(struct sim_port *port) {
    while (port->sent != NULL) {
        port->sent->answer = (struct redis_answer){.err = ERR_DRAINING};
        answer(port->sent);
    }
}

/* Faults. */

void l2_pause(int primary, int64_t us) {
    sim_trace("primary %d pauses for %lld us", primary, (long long)us);
    primaries[primary].paused_until_us = sim.now_us + us;
}

void l2_snapshot(void) {
    for (int p = 0; p < PRIMARIES; p++) {
        primaries[p].replica = primaries[p].state;
    }
}

void l2_fail_over(int primary, int64_t us) {
    sim_trace("primary %d fails over, %lld us", primary, (long long)us);
    primaries[primary].down_until_us = sim.now_us + us;
    primaries[primary].state = primaries[primary].replica;
    for (int n = 0; n < NODES; n++) {
        if (sim.ports[n][0] != NULL) {
            lose(sim.ports[n][0], primary);
        }
    }
}

void l2_flush(int primary) {
    sim_trace("primary %d is flushed", primary);
    primaries[primary].state = (struct state){0};
    tell_all(primary, REDIS_NEWS_ALL, "");
}

void l2_evict(int key) {
    primaries[key % PRIMARIES].state.records[key].present = false;
}

void l2_sweep(const struct sim_sweep *sweep) {
    for (int i = 0; i < KEYS; i++) {
        if (glob_matches(slice_of(sweep->pattern), slice_of(sim_names[i]))) {
            l2_evict(i);
        }
    }
}

static void put_off(int64_t *at_us, int64_t us) {
    *at_us = *at_us > sim.now_us + us ? *at_us : sim.now_us + us;
}

void connection_stall(struct sim_port *port, int primary, int64_t us) {
    sim_trace("node %d is cut off primary %d for %lld us", port->node, primary, (long long)us);
    for (int p = 0; p < PRIMARIES; p++) {
        if (primary < 0 || primary == p) {
            put_off(&port->last_arrival_us[p], us);
            put_off(&port->last_answer_us[p], us);
            put_off(&port->last_told_us[p], us);
        }
    }
}
