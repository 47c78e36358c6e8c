/* SPDX-License-Identifier: Apache-2.0 */
/* One flight from its miss to its answer: the load, and what is kept of it. */
#include "cache/tiered_priv.h"

static void fetch_from_store(struct tiered_flight *flight) {
    struct tiered_get *get = flight->leader;
    flight->load_us = tiered_now_us(flight->loop);
    counter_add(&tiered_cells(flight->loop, get->class)->loads, 1);
    if (get->refresh) {
        counter_add(&tiered_cells(flight->loop, get->class)->refreshes, 1);
    }
    get->load(get);
}

void tiered_fetch(struct tiered_flight *flight) {
    fetch_from_store(flight);
}

/* Keeps what was read at `born_us` for what is left of `ttl_us` from then. */
static void keep_in_l1(struct tiered_flight *flight, const struct tiered_answer *answer,
                       int64_t born_us, int64_t ttl_us) {
    struct tiered_loop *loop = flight->loop;
    struct tiered *tiered = loop->tiered;
    struct tiered_cells *cells = tiered_cells(loop, flight->leader->class);
    int64_t now_us = tiered_now_us(loop);
    int64_t left_us = ttl_us - (now_us - born_us);
    if (left_us < 1) {
        return;
    }
    flight->ticket.ttl_us = left_us;
    enum l1_fill_e result;
    if (answer->absent) {
        result = l1_fill_absent(tiered->l1, &flight->ticket, flight->key, now_us);
    } else {
        buf_clear(&loop->scratch);
        buf_add(&loop->scratch, slice_from((const char *)&born_us, sizeof born_us));
        buf_add(&loop->scratch, answer->value);
        result = loop->scratch.failed ? L1_FILL_NO_MEMORY
                                      : l1_fill(tiered->l1, &flight->ticket, flight->key,
                                                buf_slice(&loop->scratch), now_us);
    }
    counter_add(&cells->fills_outdated, result == L1_FILL_OUTDATED);
    counter_add(&cells->fills_too_large, result == L1_FILL_TOO_LARGE);
}

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
    counter_add(&tiered_cells(loop, flight->leader->class)->stale, 1);
}

static void land_failed(struct tiered_flight *flight, enum err_e err) {
    struct tiered_answer answer = {.err = err};
    l1_abandon(flight->loop->tiered->l1, flight->key);
    if (is_trouble(err)) {
        find_stale(flight, &answer);
    }
    tiered_flight_land(flight, &answer);
}

void tiered_loaded(struct tiered_get *get, const struct tiered_loaded *loaded) {
    struct tiered_loop *loop = get->loop;
    struct tiered_flight *flight = get->flight;
    struct tiered_cells *cells = tiered_cells(loop, get->class);
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
    int64_t took_us = tiered_now_us(loop) - flight->load_us;
    counter_add(&cells->loads_us, (uint64_t)(took_us < 0 ? 0 : took_us));
    if (loaded->err != ERR_OK) {
        land_failed(flight, loaded->err);
        return;
    }
    const struct tiered_life *life = &loop->tiered->options.lives[get->class];
    int64_t ttl_ms = loaded->absent ? life->absent_ms : life->l1_ms;
    keep_in_l1(flight, &answer, flight->load_us, ttl_ms * 1000);
    tiered_flight_land(flight, &answer);
}
