/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One load per key and node: the first get that misses leads a flight, those that miss meanwhile
 * wait for it, on whichever loop they are.
 *
 *   get ── no flight ──► leads one ──► tiered_fetch … tiered_flight_land ──► done
 *      └─── a flight ──► waits ─────────────┬── same loop ──────────────────► done
 *                                           └── other loop: parcel, mail ───► done
 *
 * A flight whose key is invalidated can be joined no more: whoever asks after a write must not get
 * what was read before it. Those who wait already asked before, so they get it; it is not kept.
 */
#include "cache/glob.h"
#include "cache/tiered_priv.h"

static struct tiered_flight **bucket_of(struct tiered *tiered, uint64_t hash) {
    return &tiered->buckets[(hash >> 20) % TIERED_BUCKETS];
}

static struct tiered_flight *find_locked(struct tiered *tiered, uint64_t hash, struct slice key) {
    struct tiered_flight *flight = *bucket_of(tiered, hash);
    while (flight != NULL &&
           (flight->outdated || flight->hash != hash || !slice_eq(flight->key, key))) {
        flight = flight->after;
    }
    return flight;
}

static void answer_get(struct tiered_get *get, const struct tiered_answer *answer) {
    get->flight = NULL;
    get->done(get, answer);
}

/* Joins a flight that is there. False: there is none. */
static bool wait_for_another(struct tiered_loop *loop, struct tiered_get *get, uint64_t hash) {
    struct tiered *tiered = loop->tiered;
    bool refused = false;
    pthread_mutex_lock(&tiered->mutex);
    struct tiered_flight *flight = find_locked(tiered, hash, get->key);
    if (flight != NULL) {
        refused = tiered->waiters >= tiered->options.waiters_max;
        if (!refused) {
            get->next = flight->waiters;
            flight->waiters = get;
            tiered->waiters++;
        }
    }
    pthread_mutex_unlock(&tiered->mutex);
    if (flight == NULL) {
        return false;
    }
    counter_add(refused ? &tiered_cells(loop, get->class)->refused
                        : &tiered_cells(loop, get->class)->joined,
                1);
    if (refused) {
        answer_get(get, &(struct tiered_answer){.err = ERR_OVERLOADED});
    }
    return true;
}

static struct tiered_flight *make(struct tiered_loop *loop, struct tiered_get *get, uint64_t hash,
                                  const struct l1_ticket *ticket) {
    struct l1_memory *memory = loop->tiered->memory;
    struct tiered_flight *flight = memory->take(memory, sizeof *flight + get->key.len);
    if (flight == NULL) {
        return NULL;
    }
    memset(flight, 0, sizeof *flight);
    flight->hash = hash;
    flight->loop = loop;
    flight->leader = get;
    flight->ticket = *ticket;
    memcpy(flight->bytes, get->key.at, get->key.len);
    flight->key = slice_from(flight->bytes, get->key.len);
    return flight;
}

/* False: another one was listed meanwhile. */
static bool list(struct tiered *tiered, struct tiered_flight *flight) {
    pthread_mutex_lock(&tiered->mutex);
    bool first = find_locked(tiered, flight->hash, flight->key) == NULL;
    if (first) {
        struct tiered_flight **bucket = bucket_of(tiered, flight->hash);
        flight->after = *bucket;
        *bucket = flight;
        tiered->flights++;
        flight->leader->flight = flight;
    }
    pthread_mutex_unlock(&tiered->mutex);
    return first;
}

void tiered_flight_join(struct tiered_loop *loop, struct tiered_get *get) {
    struct tiered *tiered = loop->tiered;
    uint64_t hash = l1_hash_of(tiered->l1, get->key);
    /* Before it is listed: what is invalidated from then on finds the flight itself. */
    struct l1_ticket ticket = tiered_ticket(loop, get->key, get->begun_us);
    for (;;) {
        if (wait_for_another(loop, get, hash)) {
            return;
        }
        struct tiered_flight *flight = make(loop, get, hash, &ticket);
        if (flight == NULL) { /* by itself, and nothing is kept */
            counter_add(&tiered_cells(loop, get->class)->loads, 1);
            get->load(get);
            return;
        }
        if (list(tiered, flight)) {
            tiered_fetch(flight);
            return;
        }
        tiered->memory->give(tiered->memory, flight);
    }
}

bool tiered_flight_is_outdated(struct tiered_flight *flight) {
    struct tiered *tiered = flight->loop->tiered;
    pthread_mutex_lock(&tiered->mutex);
    bool outdated = flight->outdated;
    pthread_mutex_unlock(&tiered->mutex);
    return outdated;
}

/* Landing. */

/* What waits, sorted by the loop it waits on. */
struct sorted {
    struct tiered_get *own;
    struct tiered_get *others[TIERED_LOOPS_MAX];
};

static void sort_locked(struct tiered_flight *flight, struct sorted *ret_sorted) {
    struct tiered *tiered = flight->loop->tiered;
    struct tiered_get *next = flight->waiters;
    flight->waiters = NULL;
    while (next != NULL) { /* newest first, so each list ends up oldest first */
        struct tiered_get *get = next;
        next = get->next;
        struct tiered_loop *loop = get->loop;
        struct tiered_get **list =
            loop == flight->loop ? &ret_sorted->own : &ret_sorted->others[loop->index];
        if (loop != flight->loop && *list == NULL) {
            loop->in_transit++;
        }
        get->next = *list;
        *list = get;
        tiered->waiters--;
    }
}

static void unlist_locked(struct tiered_flight *flight) {
    struct tiered *tiered = flight->loop->tiered;
    struct tiered_flight **at = bucket_of(tiered, flight->hash);
    while (*at != flight) {
        at = &(*at)->after;
    }
    *at = flight->after;
    tiered->flights--;
}

static void answer_list(struct tiered_get *gets, const struct tiered_answer *answer) {
    while (gets != NULL) {
        struct tiered_get *get = gets;
        gets = get->next;
        answer_get(get, answer);
    }
}

static void arrived(struct tiered_loop *loop) {
    pthread_mutex_lock(&loop->tiered->mutex);
    loop->in_transit--;
    pthread_mutex_unlock(&loop->tiered->mutex);
    if (loop->closing) {
        tiered_loop_left(loop);
    }
}

static void on_parcel(struct loop_message *message) {
    struct tiered_parcel *parcel = (struct tiered_parcel *)message;
    struct tiered_loop *loop = parcel->to;
    answer_list(parcel->gets, &parcel->answer);
    loop->tiered->memory->give(loop->tiered->memory, parcel);
    arrived(loop);
}

/* Nothing could be sent to them: they ask again, by themselves. */
static void on_orphans(struct loop_message *message) {
    struct tiered_get *gets =
        (struct tiered_get *)((char *)message - offsetof(struct tiered_get, message));
    struct tiered_loop *loop = gets->loop;
    while (gets != NULL) {
        struct tiered_get *get = gets;
        gets = get->next;
        tiered_get(loop, get);
    }
    arrived(loop);
}

static struct tiered_parcel *pack(struct tiered_get *gets, const struct tiered_answer *answer) {
    struct l1_memory *memory = gets->loop->tiered->memory;
    struct tiered_parcel *parcel = memory->take(memory, sizeof *parcel + answer->value.len);
    if (parcel == NULL) {
        return NULL;
    }
    *parcel = (struct tiered_parcel){
        .message = {.fn = on_parcel}, .to = gets->loop, .gets = gets, .answer = *answer};
    if (answer->value.len > 0) {
        memcpy(parcel->bytes, answer->value.at, answer->value.len);
    }
    parcel->answer.value = slice_from(parcel->bytes, answer->value.len);
    return parcel;
}

static void mail(struct tiered_get *gets, const struct tiered_answer *answer) {
    struct tiered_port *port = gets->loop->port;
    struct tiered_parcel *parcel = answer->err == ERR_DRAINING ? NULL : pack(gets, answer);
    if (parcel != NULL) {
        port->vtable->post(port, &parcel->message);
        return;
    }
    gets->message.fn = on_orphans;
    port->vtable->post(port, &gets->message);
}

void tiered_flight_land(struct tiered_flight *flight, const struct tiered_answer *answer) {
    struct tiered *tiered = flight->loop->tiered;
    struct sorted sorted = {0};
    pthread_mutex_lock(&tiered->mutex);
    unlist_locked(flight);
    sort_locked(flight, &sorted);
    pthread_mutex_unlock(&tiered->mutex);
    for (size_t i = 0; i < TIERED_LOOPS_MAX; i++) { /* before any callback: they are waiting */
        if (sorted.others[i] != NULL) {
            mail(sorted.others[i], answer);
        }
    }
    struct tiered_get *leader = flight->leader;
    leader->next = sorted.own;
    tiered->memory->give(tiered->memory, flight);
    answer_list(leader, answer);
}

/* Invalidation. */

void tiered_flights_outdate(struct tiered *tiered, struct slice key) {
    uint64_t hash = l1_hash_of(tiered->l1, key);
    pthread_mutex_lock(&tiered->mutex);
    struct tiered_flight *flight = find_locked(tiered, hash, key);
    if (flight != NULL) {
        flight->outdated = true;
    }
    pthread_mutex_unlock(&tiered->mutex);
}

void tiered_flights_outdate_matching(struct tiered *tiered, struct slice pattern) {
    pthread_mutex_lock(&tiered->mutex);
    for (size_t i = 0; tiered->flights > 0 && i < TIERED_BUCKETS; i++) {
        for (struct tiered_flight *f = tiered->buckets[i]; f != NULL; f = f->after) {
            f->outdated = f->outdated || glob_matches(pattern, f->key);
        }
    }
    pthread_mutex_unlock(&tiered->mutex);
}

/* The end of a loop. */

static void take_waiters_locked(struct tiered_flight *flight, const struct tiered_loop *loop,
                                struct tiered_get **out) {
    struct tiered_get **at = &flight->waiters;
    while (*at != NULL) {
        struct tiered_get *get = *at;
        if (get->loop != loop) {
            at = &get->next;
            continue;
        }
        *at = get->next;
        get->next = *out;
        *out = get;
        loop->tiered->waiters--;
    }
}

void tiered_flights_leave(struct tiered_loop *loop) {
    struct tiered *tiered = loop->tiered;
    struct tiered_get *out = NULL;
    pthread_mutex_lock(&tiered->mutex);
    for (size_t i = 0; i < TIERED_BUCKETS; i++) {
        for (struct tiered_flight *f = tiered->buckets[i]; f != NULL; f = f->after) {
            take_waiters_locked(f, loop, &out);
        }
    }
    pthread_mutex_unlock(&tiered->mutex);
    answer_list(out, &(struct tiered_answer){.err = ERR_DRAINING});
}
