/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One flight from its miss to its answer.
 *
 *   get_wait ──hit──────────────────────────► keep in L1, land
 *    ▲ ▲ └─miss─► lease_wait ──refused──► nap
 *    │ └────got it────┘                    │
 *    └─────────────────────────────────────┘
 *   get_wait with the lease ──miss──► load ──► keep in L1 and L2, land
 *   trouble with L2 anywhere ───────► load
 *
 * Who got the lease looks once more: its last look may have been before another node filled, and
 * its lease after that one gave its own back. For the same reason a lease is given back when the
 * fill was answered: lease and value are on different nodes of Redis, which keep no order.
 *
 * A nap is some milliseconds of waiting for what another node loads; after `lease_ms` of naps, or
 * when the lease is free again, the flight loads by itself. Each state that waits has one request
 * under way, bounded by the client's deadline.
 */
#include "cache/tiered_priv.h"

enum { KIND_VALUE = 'v', KIND_ABSENT = 'a' }; /* first byte of what L2 holds */

static void ask_l2(struct tiered_flight *flight);

static struct tiered_cells *cells_of(struct tiered_flight *flight) {
    return tiered_cells(flight->loop, flight->leader->class);
}

/* A look into L2 that nobody waits for is neither hit nor miss. */
static uint64_t asked(const struct tiered_flight *flight) {
    return !flight->leader->in_background;
}

static void load(struct tiered_flight *flight) {
    struct tiered_get *get = flight->leader;
    flight->load_us = tiered_now_us(flight->loop);
    counter_add(&cells_of(flight)->loads, 1);
    counter_add(&cells_of(flight)->refreshes, get->refresh);
    get->load(get);
}

static void drain(struct tiered_flight *flight) {
    tiered_flight_land(flight, &(struct tiered_answer){.err = ERR_DRAINING});
}

/* L2 was no help. */
static void go_on_without(struct tiered_flight *flight) {
    counter_add(&cells_of(flight)->l2_down, asked(flight));
    if (flight->loop->closing) {
        drain(flight);
    } else {
        load(flight);
    }
}

static void on_ignored(void *data, const struct redis_answer *answer) {
    (void)data;
    (void)answer;
}

/* What nobody waits for: it is worth no more than a try. */
static void send_away(struct tiered_flight *flight, struct redis_call call) {
    call.key = flight->key;
    call.fn = on_ignored;
    (void)!tiered_send(flight->loop, &call);
}

/* Keeping. */

static int64_t l1_life_ms(struct tiered_flight *flight, bool absent) {
    const struct tiered_life life = tiered_life_of(flight->loop->tiered, flight->leader->class);
    if (absent) {
        return life.absent_ms;
    }
    /* Asked for early, so it is in use: it may stay twice as long, but no longer than in L2. */
    bool stretches = flight->leader->refresh && life.l2_ms > life.l1_ms;
    return !stretches                     ? life.l1_ms
           : 2 * life.l1_ms <= life.l2_ms ? 2 * life.l1_ms
                                          : life.l2_ms;
}

/* What was read at `born_us` lives for what is left of its time from then. */
static void keep_in_l1(struct tiered_flight *flight, const struct tiered_answer *answer,
                       int64_t born_us) {
    struct tiered_loop *loop = flight->loop;
    struct l1 *l1 = loop->tiered->l1;
    int64_t now_us = tiered_now_us(loop);
    int64_t left_us = l1_life_ms(flight, answer->absent) * 1000 - (now_us - born_us);
    if (left_us < 1) {
        return;
    }
#ifdef PLANT_SKIP_GENERATION
    flight->ticket = l1_begin_fill(l1, flight->key, now_us);
#endif
    flight->ticket.ttl_us = left_us;
    enum l1_fill_e result = L1_FILL_NO_MEMORY;
    if (answer->absent) {
        result = l1_fill_absent(l1, &flight->ticket, flight->key, now_us);
    } else {
        buf_clear(&loop->scratch);
        buf_add(&loop->scratch, slice_from((const char *)&born_us, sizeof born_us));
        buf_add(&loop->scratch, answer->value);
        if (!loop->scratch.failed) {
            result = l1_fill(l1, &flight->ticket, flight->key, buf_slice(&loop->scratch), now_us);
        }
    }
    counter_add(&cells_of(flight)->fills_outdated, result == L1_FILL_OUTDATED);
    counter_add(&cells_of(flight)->fills_too_large, result == L1_FILL_TOO_LARGE);
}

static int64_t l2_life_ms(struct tiered_flight *flight, bool absent) {
    struct tiered_loop *loop = flight->loop;
    const struct tiered_life life = tiered_life_of(loop->tiered, flight->leader->class);
    int64_t ms = absent ? life.absent_ms : life.l2_ms;
    /* Whoever invalidated may have died between its two halves, before the commit was told. */
    if (flight->l2_ticket.generation != 0 && ms > TIERED_YOUNG_L2_MS) {
        ms = TIERED_YOUNG_L2_MS;
    }
    ms -= (int64_t)((double)ms * rng_unit(&loop->chance.base) / 10);
    return ms - (tiered_now_us(loop) - flight->load_us) / 1000;
}

static void give_lease_back(struct tiered_flight *flight) {
    if (flight->lease != 0) {
        send_away(flight, (struct redis_call){.op = REDIS_RELEASE, .token = flight->lease});
    }
}

/* A lease that is given back when the fill before it is answered. */
struct parting {
    struct tiered_loop *loop;
    uint64_t token;
    size_t key_len;
    char key[];
};

static void on_filled(void *data, const struct redis_answer *answer) {
    struct parting *parting = data;
    struct l1_memory *memory = parting->loop->tiered->memory;
    struct redis_call call = {.op = REDIS_RELEASE,
                              .key = slice_from(parting->key, parting->key_len),
                              .token = parting->token,
                              .fn = on_ignored};
    if (answer->err != ERR_DRAINING) {
        (void)!tiered_send(parting->loop, &call);
    }
    memory->give(memory, parting);
}

static struct parting *part_later(struct tiered_flight *flight) {
    struct l1_memory *memory = flight->loop->tiered->memory;
    struct parting *parting = memory->take(memory, sizeof *parting + flight->key.len);
    if (parting != NULL) {
        *parting = (struct parting){flight->loop, flight->lease, flight->key.len};
        memcpy(parting->key, flight->key.at, flight->key.len);
    }
    return parting;
}

/* Fills with what is in `loop->payload`. */
static void fill_l2(struct tiered_flight *flight, int64_t life_ms) {
    struct tiered_loop *loop = flight->loop;
    struct parting *parting = flight->lease == 0 ? NULL : part_later(flight);
    struct redis_call call = {.op = REDIS_FILL,
                              .key = flight->key,
                              .value = buf_slice(&loop->payload),
                              .version = flight->version,
                              .ttl_ms = life_ms,
                              .ticket = flight->l2_ticket,
                              .fn = parting == NULL ? on_ignored : on_filled,
                              .data = parting};
    if (tiered_send(loop, &call) == ERR_OK) {
        flight->lease = parting == NULL ? flight->lease : 0;
        return;
    }
    loop->tiered->memory->give(loop->tiered->memory, parting);
}

static void keep_in_l2(struct tiered_flight *flight, const struct tiered_answer *answer) {
    struct tiered_loop *loop = flight->loop;
    int64_t life_ms = l2_life_ms(flight, answer->absent);
    if (!flight->has_ticket || life_ms < 1 || tiered_flight_is_outdated(flight)) {
        return;
    }
    char kind = answer->absent ? KIND_ABSENT : KIND_VALUE;
    buf_clear(&loop->payload);
    buf_add_char(&loop->payload, kind);
    buf_add(&loop->payload, answer->value);
    if (!loop->payload.failed) {
        fill_l2(flight, life_ms);
    }
}

/* The lease. */

static void nap(struct tiered_flight *flight) {
    struct tiered_loop *loop = flight->loop;
    int64_t now_us = tiered_now_us(loop);
    if (flight->patience_us == 0) {
        flight->patience_us = now_us + loop->tiered->options.lease_ms * 1000;
        counter_add(&cells_of(flight)->leases_waited, 1);
    }
    if (now_us >= flight->patience_us) {
        counter_add(&cells_of(flight)->leases_expired, 1);
        load(flight);
        return;
    }
    if (!tiered_tick_soon(loop)) { /* nobody would wake it */
        load(flight);
        return;
    }
    uint64_t ms =
        TIERED_NAP_MS_MIN + rng_below(&loop->chance.base, TIERED_NAP_MS_MAX - TIERED_NAP_MS_MIN);
    flight->nap_until_us = now_us + (int64_t)ms * 1000;
    flight->next_nap = loop->naps;
    loop->naps = flight;
}

static void on_lease(void *data, const struct redis_answer *answer) {
    struct tiered_flight *flight = data;
    if (answer->err != ERR_OK) {
        flight->lease = 0;
        go_on_without(flight);
    } else if (answer->outcome == REDIS_DONE) {
        ask_l2(flight);
    } else {
        flight->lease = 0;
        nap(flight);
    }
}

static void ask_for_lease(struct tiered_flight *flight) {
    struct tiered_loop *loop = flight->loop;
    flight->lease = rng_u64(&loop->chance.base) | 1;
    struct redis_call call = {.op = REDIS_LEASE,
                              .key = flight->key,
                              .token = flight->lease,
                              .ttl_ms = loop->tiered->options.lease_ms,
                              .fn = on_lease,
                              .data = flight};
    if (tiered_send(loop, &call) != ERR_OK) {
        flight->lease = 0;
        go_on_without(flight);
    }
}

void tiered_naps_tick(struct tiered_loop *loop, int64_t now_us) {
    struct tiered_flight *next = loop->naps;
    loop->naps = NULL;
    while (next != NULL) {
        struct tiered_flight *flight = next;
        next = flight->next_nap;
        if (now_us < flight->nap_until_us) {
            flight->next_nap = loop->naps;
            loop->naps = flight;
        } else {
            ask_l2(flight);
        }
    }
}

void tiered_naps_end(struct tiered_loop *loop) {
    while (loop->naps != NULL) {
        struct tiered_flight *flight = loop->naps;
        loop->naps = flight->next_nap;
        drain(flight);
    }
}

/* Asking. */

static void land_from_l2(struct tiered_flight *flight, struct slice payload) {
    struct tiered_answer answer = {
        .err = ERR_OK,
        .from = TIERED_FROM_L2,
        .absent = payload.at[0] == KIND_ABSENT,
        .value = payload.at[0] == KIND_ABSENT ? SLICE_NONE : slice_skip(payload, 1),
        .age_ms = (tiered_now_us(flight->loop) - flight->asked_us) / 1000,
    };
    counter_add(&cells_of(flight)->l2_hits, asked(flight));
    keep_in_l1(flight, &answer, flight->asked_us);
    tiered_flight_land(flight, &answer);
}

/* True when L2 holds something of use. */
static bool is_good(struct tiered_flight *flight, const struct redis_answer *answer) {
    if (answer->outcome != REDIS_HIT) {
        return false;
    }
    if (answer->version != flight->version) {
        counter_add(&cells_of(flight)->l2_outdated, asked(flight));
        return false;
    }
    struct slice payload = answer->value;
    if (payload.len > 0 && (payload.at[0] == KIND_VALUE || payload.at[0] == KIND_ABSENT)) {
        return true;
    }
    counter_add(&cells_of(flight)->l2_damaged, 1);
    return false;
}

static void on_got(void *data, const struct redis_answer *answer) {
    struct tiered_flight *flight = data;
    if (answer->err != ERR_OK) {
        go_on_without(flight);
        return;
    }
    flight->has_ticket = true;
    flight->l2_ticket = answer->ticket;
    if (is_good(flight, answer)) {
        give_lease_back(flight);
        land_from_l2(flight, answer->value);
    } else if (flight->lease != 0) {
        load(flight);
    } else {
        counter_add(&cells_of(flight)->l2_misses, asked(flight));
        ask_for_lease(flight);
    }
}

static void get_from_l2(struct tiered_flight *flight) {
    struct redis_call call = {
        .op = REDIS_GET, .key = flight->key, .fn = on_got, .data = flight};
    flight->asked_us = tiered_now_us(flight->loop);
    if (tiered_send(flight->loop, &call) != ERR_OK) {
        go_on_without(flight);
    }
}

static void ask_l2(struct tiered_flight *flight) {
    flight->has_ticket = false;
    if (!tiered_l2_is_kept_for(flight)) {
        load(flight);
    } else if (tiered_l2_is_trusted(flight)) {
        get_from_l2(flight);
    } else {
        go_on_without(flight);
    }
}

void tiered_fetch(struct tiered_flight *flight) {
    ask_l2(flight);
}

/* The end of a load. */

/* Whether the store is in trouble, rather than the question. */
static bool is_trouble(enum err_e err) {
    return err_is_retryable(err) && err_status(err) == 503;
}

/* What L1 still has of the key though it expired; not what was invalidated. */
static void find_stale(struct tiered_flight *flight, struct tiered_answer *answer) {
    struct tiered_loop *loop = flight->loop;
    int64_t now_us = tiered_now_us(loop);
    struct buf *buf = &loop->leftovers;
    buf_clear(buf);
    if (loop->tiered->options.stale_ms == 0 || tiered_flight_is_outdated(flight) ||
        !l1_get_expired(loop->reader, flight->key, now_us, buf)) {
        return;
    }
    int64_t born_us;
    memcpy(&born_us, buf->at, sizeof born_us);
    *answer = (struct tiered_answer){
        .err = ERR_OK,
        .from = TIERED_FROM_STALE,
        .value = slice_skip(buf_slice(buf), TIERED_HEAD),
        .age_ms = (now_us - born_us) / 1000,
    };
    counter_add(&cells_of(flight)->stale, 1);
}

static void land_failed(struct tiered_flight *flight, enum err_e err) {
    struct tiered_answer answer = {.err = err};
    l1_abandon(flight->loop->tiered->l1, flight->key);
    give_lease_back(flight);
    if (is_trouble(err)) {
        find_stale(flight, &answer);
    }
    tiered_flight_land(flight, &answer);
}

void tiered_loaded(struct tiered_get *get, const struct tiered_loaded *loaded) {
    struct tiered_flight *flight = get->flight;
    struct tiered_cells *cells = tiered_cells(get->loop, get->class);
    struct tiered_answer answer = {
        .err = loaded->err,
        .from = TIERED_FROM_STORE,
        .absent = loaded->absent,
        .value = loaded->absent ? SLICE_NONE : loaded->value,
    };
    counter_add(&cells->loads_failed, loaded->err != ERR_OK);
    if (flight == NULL) {
        get->done(get, &answer);
        return;
    }
    int64_t took_us = tiered_now_us(get->loop) - flight->load_us;
    counter_add(&cells->loads_us, (uint64_t)(took_us < 0 ? 0 : took_us));
    if (loaded->err != ERR_OK) {
        land_failed(flight, loaded->err);
        return;
    }
    keep_in_l1(flight, &answer, flight->load_us);
    keep_in_l2(flight, &answer);
    give_lease_back(flight);
    tiered_flight_land(flight, &answer);
}
