/* SPDX-License-Identifier: Apache-2.0 */
/* The life of the cache and of its loops, and the fast path: what L1 knows. */
#include "cache/tiered_priv.h"

#include <stdlib.h>

enum { DAY_MS = 86400000, ABSENT_MS_MAX = 400 };

static const char *const class_names[TIERED_CLASS_COUNT] = {
#define X(name, prefix, l1_ms, l2_ms, absent_ms) [TIERED_##name] = prefix,
    TIERED_CLASS_TABLE(X)
#undef X
};

const char *tiered_class_name(enum tiered_class_e class) {
    return class_names[class];
}

bool tiered_class_of(struct slice key, enum tiered_class_e *ret_class) {
    const char *colon = key.len == 0 ? NULL : memchr(key.at, ':', key.len);
    if (colon == NULL) {
        return false;
    }
    struct slice prefix = slice_from(key.at, (size_t)(colon - key.at));
    for (int i = 0; i < TIERED_CLASS_COUNT; i++) {
        if (slice_eq_text(prefix, class_names[i])) {
            *ret_class = (enum tiered_class_e)i;
            return true;
        }
    }
    return false;
}

struct tiered_options tiered_options_default(void) {
    return (struct tiered_options){
        .l1 = l1_options_default(),
        .lives =
            {
#define X(name, prefix, l1_ms, l2_ms, absent_ms) [TIERED_##name] = {l1_ms, l2_ms, absent_ms},
                TIERED_CLASS_TABLE(X)
#undef X
            },
        .writers = TIERED_WRITERS_ALONE,
        .stale_ms = TIERED_STALE_MS_DEFAULT,
        .lease_ms = TIERED_LEASE_MS_DEFAULT,
        .waiters_max = TIERED_WAITERS_DEFAULT,
    };
}

struct tiered_life tiered_life_of(const struct tiered *tiered, enum tiered_class_e class) {
    const struct tiered_own_life *own = &tiered->lives[class];
    return (struct tiered_life){
        .l1_ms = atomic_load_explicit(&own->l1_ms, memory_order_relaxed),
        .l2_ms = atomic_load_explicit(&own->l2_ms, memory_order_relaxed),
        .absent_ms = tiered->options.lives[class].absent_ms,
    };
}

void tiered_set_life(struct tiered *tiered, enum tiered_class_e class,
                     const struct tiered_life *life) {
    struct tiered_own_life *own = &tiered->lives[class];
    atomic_store_explicit(&own->l1_ms, life->l1_ms, memory_order_relaxed);
    atomic_store_explicit(&own->l2_ms, life->l2_ms, memory_order_relaxed);
}

static enum err_e check_lives(const struct tiered_options *options, struct problem *ret_problem) {
    for (int i = 0; i < TIERED_CLASS_COUNT; i++) {
        const struct tiered_life *life = &options->lives[i];
        if (life->l1_ms < 1 || life->l1_ms > DAY_MS || life->l2_ms < 0 || life->l2_ms > DAY_MS) {
            return problem_set(ret_problem, ERR_CONFIG, class_names[i],
                               "must live 1 ms to a day in L1, 0 to a day in L2");
        }
        if (life->absent_ms < 1 || life->absent_ms > ABSENT_MS_MAX) {
            return problem_set(ret_problem, ERR_CONFIG, class_names[i],
                               "must be absent for 1 to %d ms", ABSENT_MS_MAX);
        }
    }
    return ERR_OK;
}

static enum err_e check_options(const struct tiered_options *options,
                                struct problem *ret_problem) {
    TRY(check_lives(options, ret_problem));
    if (options->stale_ms < 0 || options->stale_ms > TIERED_STALE_MS_MAX) {
        return problem_set(ret_problem, ERR_CONFIG, "stale", "must be 0 to %d ms",
                           TIERED_STALE_MS_MAX);
    }
    if (options->lease_ms < 1 || options->lease_ms > TIERED_LEASE_MS_MAX) {
        return problem_set(ret_problem, ERR_CONFIG, "lease", "must be 1 to %d ms",
                           TIERED_LEASE_MS_MAX);
    }
    return ERR_OK;
}

static void set_up(struct tiered *tiered, const struct tiered_options *options) {
    memset(tiered, 0, sizeof *tiered);
    tiered->seed = rng_u64(options->l1.rng);
    tiered->options = *options;
    tiered->memory = options->l1.memory;
    ASSERT(pthread_mutex_init(&tiered->mutex, NULL) == 0);
    ASSERT(pthread_mutex_init(&tiered->estimate_mutex, NULL) == 0);
    estimate_init(&tiered->estimate, options->l1.entries);
    for (int i = 0; i < TIERED_CLASS_COUNT; i++) {
        tiered_set_life(tiered, (enum tiered_class_e)i, &options->lives[i]);
    }
    bool alone = options->writers == TIERED_WRITERS_ALONE;
    atomic_init(&tiered->heard_us, alone ? INT64_MAX : TIERED_NEVER_US);
    atomic_init(&tiered->proved_us, TIERED_NEVER_US);
    tiered_sight_init(tiered);
}

static void release(struct tiered *tiered) {
    pthread_mutex_destroy(&tiered->estimate_mutex);
    pthread_mutex_destroy(&tiered->mutex);
    tiered->memory->give(tiered->memory, tiered);
}

enum err_e tiered_create(const struct tiered_options *given, struct tiered **ret_tiered,
                         struct problem *ret_problem) {
    struct tiered_options options = *given;
    options.l1.memory = options.l1.memory == NULL ? l1_memory_libc() : options.l1.memory;
    options.l1.rng = options.l1.rng == NULL ? rng_system() : options.l1.rng;
    options.l1.grace_us = options.stale_ms * 1000;
    TRY(check_options(&options, ret_problem));
    struct tiered *tiered = options.l1.memory->take(options.l1.memory, sizeof *tiered);
    if (tiered == NULL) {
        return ERR_NO_MEMORY;
    }
    set_up(tiered, &options);
    enum err_e err = l1_create(&options.l1, &tiered->l1, ret_problem);
    if (err != ERR_OK) {
        release(tiered);
        return err;
    }
    *ret_tiered = tiered;
    return ERR_OK;
}

void tiered_destroy(struct tiered *tiered) {
    if (tiered == NULL) {
        return;
    }
    for (size_t i = 0; i < TIERED_LOOPS_MAX; i++) {
        ASSERT(tiered->loops[i] == NULL);
    }
    ASSERT(tiered->flights == 0 && tiered->waiters == 0);
    ASSERT(tiered->journal.count == 0);
    l1_destroy(tiered->l1);
    release(tiered);
}

/* Loops. */

static enum err_e enter(struct tiered *tiered, struct tiered_loop *loop) {
    enum err_e err = ERR_OVERLOADED;
    pthread_mutex_lock(&tiered->mutex);
    for (unsigned i = 0; i < TIERED_LOOPS_MAX && err != ERR_OK; i++) {
        if (tiered->loops[i] == NULL) {
            tiered->loops[i] = loop;
            loop->index = i;
            tiered->listening += loop->port->listens;
            err = ERR_OK;
        }
    }
    pthread_mutex_unlock(&tiered->mutex);
    return err;
}

enum err_e tiered_loop_open_on(struct tiered *tiered, struct tiered_port *port,
                               const struct tiered_loop_options *options,
                               struct tiered_loop **ret_loop) {
    struct tiered_loop *loop = tiered->memory->take(tiered->memory, sizeof *loop);
    if (loop == NULL) {
        return ERR_NO_MEMORY;
    }
    memset(loop, 0, sizeof *loop);
    loop->tiered = tiered;
    loop->port = port;
    loop->due = options->due;
    loop->due_data = options->due_data;
    loop->mark = options->mark;
    loop->mark_data = options->mark_data;
    enum err_e err = l1_reader_open(tiered->l1, &loop->reader);
    if (err == ERR_OK) {
        err = enter(tiered, loop);
        if (err != ERR_OK) {
            l1_reader_close(loop->reader);
        }
    }
    if (err != ERR_OK) {
        tiered->memory->give(tiered->memory, loop);
        return err;
    }
    buf_init(&loop->scratch, TIERED_HEAD + TIERED_VALUE_MAX);
    buf_init(&loop->leftovers, TIERED_HEAD + TIERED_VALUE_MAX);
    buf_init(&loop->payload, 1 + TIERED_VALUE_MAX);
    seeded_rng_init(&loop->chance, tiered->seed + loop->index);
    *ret_loop = loop;
    return ERR_OK;
}

static void keep_counts_locked(struct tiered_loop *loop) {
    for (int i = 0; i < TIERED_CLASS_COUNT; i++) {
#define X(name) loop->tiered->past[i].name += counter_read(&loop->cells[i].name);
        TIERED_COUNTER_TABLE(X)
#undef X
    }
}

void tiered_loop_left(struct tiered_loop *loop) {
    struct tiered *tiered = loop->tiered;
    pthread_mutex_lock(&tiered->mutex);
    bool left = loop->closing && loop->port_closed && loop->in_transit == 0;
    if (left) {
        keep_counts_locked(loop);
        tiered->loops[loop->index] = NULL;
        tiered->listening -= loop->port->listens;
    }
    pthread_mutex_unlock(&tiered->mutex);
    if (!left) {
        return;
    }
    loop->port->vtable->destroy(loop->port);
    void (*closed)(void *data) = loop->closed;
    void *data = loop->closed_data;
    l1_reader_close(loop->reader);
    buf_fini(&loop->scratch);
    buf_fini(&loop->leftovers);
    buf_fini(&loop->payload);
    tiered->memory->give(tiered->memory, loop);
    if (closed != NULL) {
        closed(data);
    }
}

static void on_port_closed(void *data) {
    struct tiered_loop *loop = data;
    loop->port_closed = true;
    tiered_loop_left(loop);
}

void tiered_loop_close(struct tiered_loop *loop, void (*closed)(void *data), void *data) {
    ASSERT(!loop->closing);
    pthread_mutex_lock(&loop->tiered->mutex);
    loop->closing = true;
    pthread_mutex_unlock(&loop->tiered->mutex);
    loop->closed = closed;
    loop->closed_data = data;
    if (loop->ticking) {
        loop->port->vtable->tick_stop(loop->port);
    }
    tiered_coherence_leave(loop);
    tiered_flights_leave(loop);
    tiered_naps_end(loop);
    tiered_journal_leave(loop);
    loop->port->vtable->close(loop->port, on_port_closed, loop);
}

bool tiered_tick_soon(struct tiered_loop *loop) {
    if (!loop->ticking && !loop->closing) {
        loop->ticking = loop->port->vtable->tick_start(loop->port);
    }
    return loop->ticking;
}

void tiered_loop_tick(struct tiered_loop *loop) {
    int64_t now_us = tiered_now_us(loop);
    tiered_naps_tick(loop, now_us);
    tiered_journal_tick(loop, now_us);
    bool raises = tiered_epochs_tick(loop, now_us);
    tiered_mark_tick(loop, now_us);
    pthread_mutex_lock(&loop->tiered->mutex);
    bool idle = loop->naps == NULL && !raises && loop->tiered->journal.count == 0 &&
                tiered_mark_is_idle_locked(loop->tiered);
    pthread_mutex_unlock(&loop->tiered->mutex);
    if (idle && loop->ticking) {
        loop->ticking = false;
        loop->port->vtable->tick_stop(loop->port);
    }
}

/* The fast path. */

struct l1_ticket tiered_ticket(struct tiered_loop *loop, struct slice key, int64_t now_us) {
    bool known = loop->missed.any && loop->missed.hash == l1_hash_of(loop->tiered->l1, key);
    loop->missed.any = false;
    return known ? loop->missed.ticket : l1_begin_fill(loop->tiered->l1, key, now_us);
}

static void remember_miss(struct tiered_loop *loop, const struct l1_ticket *ticket) {
    loop->missed.any = true;
    loop->missed.hash = l1_hash_got(loop->reader);
    loop->missed.ticket = *ticket;
}

static int64_t born_us(const struct buf *buf) {
    int64_t born;
    ASSERT(buf->len >= TIERED_HEAD);
    memcpy(&born, buf->at, sizeof born);
    return born;
}

/* A value in `buf`: is it young, or does somebody vouch for it? */
static bool may_answer(struct tiered_loop *loop, const struct buf *buf, int64_t now_us) {
    return now_us - born_us(buf) <= (int64_t)TIERED_TRUST_MS * 1000 ||
           tiered_is_trusted(loop->tiered, now_us);
}

static enum tiered_try_e hit(struct tiered_loop *loop, const struct buf *buf,
                             struct tiered_answer *ret_answer) {
    int64_t now_us = tiered_now_us(loop);
    *ret_answer = (struct tiered_answer){
        .err = ERR_OK,
        .from = TIERED_FROM_L1,
        .value = slice_skip(buf_slice(buf), TIERED_HEAD),
        .age_ms = (now_us - born_us(buf)) / 1000,
    };
    return TIERED_HIT;
}

static enum tiered_try_e hit_absent(struct tiered_answer *ret_answer) {
    *ret_answer =
        (struct tiered_answer){.err = ERR_OK, .from = TIERED_FROM_L1, .absent = true};
    return TIERED_HIT_ABSENT;
}

static struct counter *cause_cell(struct tiered_cells *cells, enum l1_miss_e cause) {
    switch (cause) {
#define X(name, word)                                                                              \
    case L1_MISS_##name:                                                                           \
        return &cells->l1_##word;
        L1_MISS_TABLE(X)
#undef X
    case L1_MISS_COUNT:
        break;
    }
    UNREACHABLE();
}

static void count_miss(struct tiered_loop *loop, enum tiered_class_e class,
                       enum l1_result_e result) {
    struct tiered_cells *cells = tiered_cells(loop, class);
    counter_add(&cells->l1_misses, 1);
    counter_add(result == L1_MISS ? cause_cell(cells, l1_miss_got(loop->reader))
                                  : &cells->l1_untrusted, 1);
}

void tiered_count_look(struct tiered_loop *loop, enum tiered_class_e class, enum tiered_use_e use) {
    struct tiered_cells *cells = tiered_cells(loop, class);
    counter_add(&cells->l1_hits, use == TIERED_USED);
    counter_add(&cells->l1_misses, use == TIERED_OF_NO_USE);
    counter_add(&cells->l1_marked, use == TIERED_OF_NO_USE);
}

static void ask_to_refresh(struct tiered_loop *loop, enum tiered_class_e class, struct slice key) {
    if (loop->due == NULL || loop->closing) {
        l1_abandon(loop->tiered->l1, key);
    } else {
        loop->due(loop->due_data, class, key);
    }
}

static void sample(struct tiered_loop *loop, uint64_t hash) {
    if (estimate_samples(&loop->tiered->estimate, hash)) {
        loop->samples[loop->samples_len++] = hash;
        if (loop->samples_len == TIERED_SAMPLES) {
            tiered_samples_count(loop);
        }
    }
}

static enum tiered_try_e try_l1(struct tiered_loop *loop, enum tiered_class_e class,
                                struct slice key, struct buf *buf,
                                struct tiered_answer *ret_answer) {
    int64_t now_us = tiered_now_us(loop);
    struct l1_ticket ticket;
    buf_clear(buf);
    loop->missed.any = false;
    enum l1_result_e result = l1_get(loop->reader, key, now_us, buf, &ticket);
    sample(loop, l1_hash_got(loop->reader));
    if (result == L1_HIT_ABSENT) {
        return hit_absent(ret_answer);
    }
    if (result != L1_MISS && may_answer(loop, buf, now_us)) {
        enum tiered_try_e found = hit(loop, buf, ret_answer);
        if (result == L1_HIT_REFRESH) {
            ask_to_refresh(loop, class, key);
        }
        return found;
    }
    count_miss(loop, class, result);
    if (result == L1_MISS) {
        remember_miss(loop, &ticket);
    }
    return TIERED_MISS;
}

enum tiered_try_e tiered_try(struct tiered_loop *loop, enum tiered_class_e class, struct slice key,
                             struct buf *buf, struct tiered_answer *ret_answer) {
    enum tiered_try_e found = tiered_look(loop, class, key, buf, ret_answer);
    counter_add(&tiered_cells(loop, class)->l1_hits, found != TIERED_MISS);
    return found;
}

enum tiered_try_e tiered_look(struct tiered_loop *loop, enum tiered_class_e class, struct slice key,
                              struct buf *buf, struct tiered_answer *ret_answer) {
    struct tiered_port *port = loop->port;
    if (++loop->tries % TIERED_TIMED_ONE_IN != 0) {
        return try_l1(loop, class, key, buf, ret_answer);
    }
    int64_t begun_ns = port->vtable->precise_ns(port);
    enum tiered_try_e result = try_l1(loop, class, key, buf, ret_answer);
    int64_t ended_ns = port->vtable->precise_ns(port);
    counter_add(&loop->timed, 1);
    counter_add(&loop->timed_ns, (uint64_t)(ended_ns - begun_ns));
    return result;
}

bool tiered_has(struct tiered_loop *loop, struct slice key) {
    int64_t now_us = tiered_now_us(loop);
    buf_clear(&loop->scratch);
    enum l1_result_e result = l1_peek(loop->reader, key, now_us, &loop->scratch);
    return result == L1_HIT_ABSENT ||
           (result == L1_HIT && may_answer(loop, &loop->scratch, now_us));
}

void tiered_get(struct tiered_loop *loop, struct tiered_get *get) {
    get->loop = loop;
    get->flight = NULL;
    get->next = NULL;
    get->begun_us = tiered_now_us(loop);
    if (loop->closing) {
        struct tiered_answer answer = {.err = ERR_DRAINING};
        get->done(get, &answer);
        return;
    }
    bool tried = loop->missed.any && loop->missed.hash == l1_hash_of(loop->tiered->l1, get->key);
    struct tiered_answer answer;
    if (!get->refresh && !get->in_background && !tried &&
        tiered_try(loop, get->class, get->key, &loop->scratch, &answer) != TIERED_MISS) {
        get->done(get, &answer);
        return;
    }
    tiered_flight_join(loop, get);
}

void tiered_drop(struct tiered *tiered) {
    l1_invalidate_all(tiered->l1);
    tiered_flights_outdate_matching(tiered, SLICE_LIT("*"));
}

void tiered_vouch(struct tiered *tiered, int64_t as_of_us) {
    int64_t heard_us = atomic_load(&tiered->heard_us);
    while (as_of_us > heard_us &&
           !atomic_compare_exchange_weak(&tiered->heard_us, &heard_us, as_of_us)) {
    }
}
