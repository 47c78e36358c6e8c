/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the nodes owe to one another: the channel's news, epochs, and when L1 may be trusted.
 *
 *   silent ──heard──► heard ──nothing for TIERED_TRUST_MS──► late ──beat──► heard
 *     ▲                 │ │                                   │
 *     │                 │ └─beat─► heard                      │
 *     └──────lost───────┴─────────────────────────────────────┘
 *
 * 1. While late or silent, L1 answers only what is younger than TIERED_TRUST_MS and L2 is not read.
 *    Nothing is lost while late, the news are on their way. But a primary that kept this node
 *    waiting may have kept a writer waiting, who then tells again: so late ends not with the first
 *    beat but TIERED_SETTLE_MS after it, when others had the time to say what they could not.
 * 2. When all are heard after a silence, L1 starts empty, and the epoch of each class is raised
 *    before L2 is read: a failover may have lost invalidations, and their writers may be gone.
 * 3. A value in L2 counts only with the epoch of its class, which is read when the channel tells
 *    that it changed. After a flush the epochs are raised too: it took tombstones with it.
 */
#include "cache/tiered_priv.h"

static struct slice name_of(enum tiered_class_e class) {
    return slice_of(tiered_class_name(class));
}

/* Epochs. */

struct epoch_call {
    struct tiered_loop *loop;
    enum tiered_class_e class;
    uint64_t changes; /* when it was sent */
};

static struct epoch_call *epoch_call_make(struct tiered_loop *loop, enum tiered_class_e class) {
    struct tiered *tiered = loop->tiered;
    struct epoch_call *call = tiered->memory->take(tiered->memory, sizeof *call);
    if (call != NULL) {
        pthread_mutex_lock(&tiered->mutex);
        *call = (struct epoch_call){loop, class, tiered->epochs[class].changes};
        pthread_mutex_unlock(&tiered->mutex);
    }
    return call;
}

static bool send_epoch(struct epoch_call *made, enum redis_op_e op, redis_answer_fn fn) {
    struct redis_call call = {.op = op, .key = name_of(made->class), .fn = fn, .data = made};
    if (tiered_send(made->loop, &call) == ERR_OK) {
        return true;
    }
    struct l1_memory *memory = made->loop->tiered->memory;
    memory->give(memory, made);
    return false;
}

static struct epoch_call epoch_call_end(void *data) {
    struct epoch_call call = *(struct epoch_call *)data;
    struct l1_memory *memory = call.loop->tiered->memory;
    memory->give(memory, data);
    return call;
}

static void want_raise_locked(struct tiered_epoch *epoch, int64_t at_us) {
    epoch->known = false;
    epoch->changes++;
    epoch->raise_due = true;
    epoch->raise_at_us = at_us;
}

static void on_read(void *data, const struct redis_answer *answer) {
    struct epoch_call call = epoch_call_end(data);
    struct tiered *tiered = call.loop->tiered;
    struct tiered_epoch *epoch = &tiered->epochs[call.class];
    pthread_mutex_lock(&tiered->mutex);
    bool current = epoch->changes == call.changes;
    if (current && answer->err == ERR_OK) {
        epoch->known = true;
        epoch->value = answer->epoch;
    } else if (current && !call.loop->closing) { /* raising it is as good as reading it */
        want_raise_locked(epoch, tiered_now_us(call.loop) + TIERED_AGAIN_MS * 1000);
    }
    pthread_mutex_unlock(&tiered->mutex);
    (void)tiered_tick_soon(call.loop);
}

static void read_epoch(struct tiered_loop *loop, enum tiered_class_e class) {
    struct epoch_call *call = epoch_call_make(loop, class);
    if (call == NULL || !send_epoch(call, REDIS_EPOCH_READ, on_read)) {
        tiered_epoch_raise(loop, class);
    }
}

static void on_raised(void *data, const struct redis_answer *answer) {
    struct epoch_call call = epoch_call_end(data);
    struct tiered *tiered = call.loop->tiered;
    struct tiered_epoch *epoch = &tiered->epochs[call.class];
    pthread_mutex_lock(&tiered->mutex);
    epoch->raise_sent = false;
    if (answer->err != ERR_OK) {
        epoch->news.refused = true;
        epoch->raise_at_us = tiered_now_us(call.loop) + TIERED_AGAIN_MS * 1000;
    } else if (epoch->changes == call.changes) {
        epoch->raise_due = false;
        epoch->news.number = 0;
        if (epoch->known && epoch->value < answer->epoch) {
            epoch->known = false; /* read before; the news are on their way */
        }
    }
    bool due = epoch->raise_due;
    pthread_mutex_unlock(&tiered->mutex);
    if (due && !call.loop->closing) {
        tiered_tick_soon(call.loop);
    }
}

static bool take_raise(struct tiered_loop *loop, enum tiered_class_e class, int64_t now_us,
                       bool *ret_due) {
    struct tiered_epoch *epoch = &loop->tiered->epochs[class];
    pthread_mutex_lock(&loop->tiered->mutex);
    bool takes = epoch->raise_due && !epoch->raise_sent && epoch->raise_at_us <= now_us;
    epoch->raise_sent = epoch->raise_sent || takes;
    *ret_due = *ret_due || epoch->raise_due;
    pthread_mutex_unlock(&loop->tiered->mutex);
    return takes;
}

static void put_raise_off(struct tiered_loop *loop, enum tiered_class_e class, int64_t now_us) {
    struct tiered_epoch *epoch = &loop->tiered->epochs[class];
    pthread_mutex_lock(&loop->tiered->mutex);
    epoch->raise_sent = false;
    epoch->news.refused = true;
    epoch->raise_at_us = now_us + TIERED_AGAIN_MS * 1000;
    pthread_mutex_unlock(&loop->tiered->mutex);
}

enum news_e { NEWS_OF_OTHERS, NEWS_FROM_HERE };

static void want_raise(struct tiered_loop *loop, enum tiered_class_e class, enum news_e news) {
    struct tiered *tiered = loop->tiered;
    struct tiered_epoch *epoch = &tiered->epochs[class];
    if (!loop->port->has_l2 || loop->closing) {
        return;
    }
    pthread_mutex_lock(&tiered->mutex);
    want_raise_locked(epoch, tiered_now_us(loop));
    if (news == NEWS_FROM_HERE) {
        tiered_news_add_locked(tiered, &epoch->news, tiered_now_us(loop));
    }
    pthread_mutex_unlock(&tiered->mutex);
}

static bool take_repeat(struct tiered_loop *loop, enum tiered_class_e class, int64_t now_us,
                        bool *ret_due) {
    struct tiered_epoch *epoch = &loop->tiered->epochs[class];
    pthread_mutex_lock(&loop->tiered->mutex);
    bool takes = epoch->repeats > 0 && epoch->repeat_at_us <= now_us;
    epoch->repeats -= takes;
    epoch->repeat_at_us = takes ? now_us + 1000000 : epoch->repeat_at_us;
    *ret_due = *ret_due || epoch->repeats > 0;
    pthread_mutex_unlock(&loop->tiered->mutex);
    return takes;
}

bool tiered_epochs_tick(struct tiered_loop *loop, int64_t now_us) {
    bool due = false;
    for (int i = 0; i < TIERED_CLASS_COUNT; i++) {
        enum tiered_class_e class = (enum tiered_class_e)i;
        if (take_repeat(loop, class, now_us, &due)) {
            tiered_forget_class(loop->tiered, class);
            want_raise(loop, class, NEWS_FROM_HERE);
        }
        if (!take_raise(loop, class, now_us, &due)) {
            continue;
        }
        struct epoch_call *call = epoch_call_make(loop, class);
        if (call == NULL || !send_epoch(call, REDIS_EPOCH_RAISE, on_raised)) {
            put_raise_off(loop, class, now_us);
        }
    }
    return due;
}

static void raise_soon(struct tiered_loop *loop, enum tiered_class_e class, enum news_e news) {
    want_raise(loop, class, news);
    (void)tiered_tick_soon(loop);
    (void)tiered_epochs_tick(loop, tiered_now_us(loop));
}

void tiered_epoch_raise(struct tiered_loop *loop, enum tiered_class_e class) {
    raise_soon(loop, class, NEWS_OF_OTHERS);
}

void tiered_epoch_tell(struct tiered_loop *loop, enum tiered_class_e class) {
    raise_soon(loop, class, NEWS_FROM_HERE);
}

void tiered_class_repeat(struct tiered_loop *loop, enum tiered_class_e class) {
    struct tiered_epoch *epoch = &loop->tiered->epochs[class];
    pthread_mutex_lock(&loop->tiered->mutex);
    epoch->repeats = TIERED_REPEATS;
    epoch->repeat_at_us = tiered_now_us(loop) + 1000000;
    pthread_mutex_unlock(&loop->tiered->mutex);
    (void)tiered_tick_soon(loop);
}

bool tiered_l2_is_kept_for(const struct tiered_flight *flight) {
    const struct tiered_loop *loop = flight->loop;
    return loop->port->has_l2 && tiered_life_of(loop->tiered, flight->leader->class).l2_ms > 0;
}

bool tiered_l2_is_trusted(struct tiered_flight *flight) {
    struct tiered *tiered = flight->loop->tiered;
    const struct tiered_epoch *epoch = &tiered->epochs[flight->leader->class];
    int64_t now_us = tiered_now_us(flight->loop);
    pthread_mutex_lock(&tiered->mutex);
    bool trusted = tiered->hearing > 0 && epoch->known && !epoch->raise_due &&
                   !tiered_journal_has_locked(tiered, flight->hash);
    flight->version = epoch->value ^ tiered->sight.settled;
    pthread_mutex_unlock(&tiered->mutex);
    return trusted && tiered_is_trusted(tiered, now_us);
}

/* News. */

static void forget_epochs(struct tiered *tiered) {
    pthread_mutex_lock(&tiered->mutex);
    for (int i = 0; i < TIERED_CLASS_COUNT; i++) {
        tiered->epochs[i].known = false;
        tiered->epochs[i].changes++;
    }
    pthread_mutex_unlock(&tiered->mutex);
}

static void on_epoch_news(struct tiered_loop *loop, struct slice name) {
    struct tiered *tiered = loop->tiered;
    for (int i = 0; i < TIERED_CLASS_COUNT; i++) {
        enum tiered_class_e class = (enum tiered_class_e)i;
        if (slice_eq(name, name_of(class))) {
            pthread_mutex_lock(&tiered->mutex);
            tiered->epochs[i].known = false;
            tiered->epochs[i].changes += !tiered->epochs[i].raise_due;
            pthread_mutex_unlock(&tiered->mutex);
            tiered_forget_class(tiered, class);
            read_epoch(loop, class);
        }
    }
}

/* True when no loop of the node hears any more. */
static bool stop_hearing(struct tiered_loop *loop) {
    struct tiered *tiered = loop->tiered;
    pthread_mutex_lock(&tiered->mutex);
    loop->hears = false;
    tiered->hearing--;
    bool silent = tiered->hearing == 0;
    tiered->was_silent = tiered->was_silent || silent;
    pthread_mutex_unlock(&tiered->mutex);
    return silent;
}

/* True when no other loop of the node heard; `ret_again`: after one did, some time ago. */
static bool start_hearing(struct tiered_loop *loop, bool *ret_again) {
    struct tiered *tiered = loop->tiered;
    pthread_mutex_lock(&tiered->mutex);
    loop->hears = true;
    tiered->hearing++;
    bool first = tiered->hearing == 1;
    *ret_again = tiered->was_silent;
    tiered->was_silent = false;
    pthread_mutex_unlock(&tiered->mutex);
    return first;
}

static void on_silent(struct tiered_loop *loop) {
    struct tiered *tiered = loop->tiered;
    if (!loop->hears || !stop_hearing(loop)) {
        return;
    }
    forget_epochs(tiered);
    if (tiered->options.writers == TIERED_WRITERS_OTHERS) {
        atomic_store(&tiered->heard_us, TIERED_NEVER_US);
        tiered_drop(tiered);
    }
}

static void settle(struct tiered_loop *loop, int64_t now_us) {
    loop->settled_us = now_us + TIERED_SETTLE_MS * 1000;
}

static void on_heard(struct tiered_loop *loop) {
    struct tiered *tiered = loop->tiered;
    bool again = false;
    loop->beat_us = tiered_now_us(loop);
    if (loop->hears || !start_hearing(loop, &again)) {
        return;
    }
    tiered_drop(tiered);
    forget_epochs(tiered);
    settle(loop, tiered_now_us(loop));
    for (int i = 0; i < TIERED_CLASS_COUNT; i++) {
        enum tiered_class_e class = (enum tiered_class_e)i;
        if (again && tiered_is_kept_true(tiered, class)) {
            tiered_epoch_raise(loop, class);
        } else {
            read_epoch(loop, class);
        }
    }
}

/* A flush took tombstones with it, so fills that are under way could land in L2. */
static void on_all(struct tiered_loop *loop) {
    tiered_drop(loop->tiered);
    for (int i = 0; i < TIERED_CLASS_COUNT; i++) {
        tiered_epoch_raise(loop, (enum tiered_class_e)i);
    }
}

static void on_beat(struct tiered_loop *loop) {
    struct tiered *tiered = loop->tiered;
    int64_t heard_us = loop->port->vtable->heard_us(loop->port);
    int64_t now_us = tiered_now_us(loop);
    if (heard_us == INT64_MIN || !loop->hears) {
        return;
    }
    if (now_us - loop->beat_us > TIERED_GAP_MS * 1000) {
        settle(loop, now_us);
    }
    loop->beat_us = heard_us;
    atomic_store_explicit(&tiered->proved_us, heard_us, memory_order_relaxed);
    if (now_us >= loop->settled_us) {
        tiered_vouch(tiered, heard_us);
    }
    uint64_t lag = heard_us > now_us ? 0 : (uint64_t)(now_us - heard_us);
    atomic_store_explicit(&tiered->lag_us_last, lag, memory_order_relaxed);
    if (lag > atomic_load_explicit(&tiered->lag_us_max, memory_order_relaxed)) {
        atomic_store_explicit(&tiered->lag_us_max, lag, memory_order_relaxed);
    }
}

void tiered_loop_news(struct tiered_loop *loop, enum redis_news_e news, struct slice key) {
    if (loop->closing) {
        return;
    }
    switch (news) {
    case REDIS_NEWS_KEY:
        if (key.len > 0 && key.len <= TIERED_KEY_MAX) {
            tiered_forget_key(loop->tiered, key);
        }
        break;
    case REDIS_NEWS_EPOCH:
        on_epoch_news(loop, key);
        break;
    case REDIS_NEWS_ALL:
        on_all(loop);
        break;
    case REDIS_NEWS_SILENT:
        on_silent(loop);
        break;
    case REDIS_NEWS_HEARD:
        on_heard(loop);
        break;
    case REDIS_NEWS_BEAT:
        on_beat(loop);
        break;
    }
}

void tiered_coherence_leave(struct tiered_loop *loop) {
    on_silent(loop);
}
