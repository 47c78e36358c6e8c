/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads and writes of one loop, between its caller and the store behind.
 *
 * A job is an operation that waits for the cache or, with something to do afterwards, for the
 * store:
 *
 *   resting ──read, missed──► tiered_get ──load──► store ──loaded──► tiered ──done──► resting
 *      │                          └──── L2, or another's load ─────────┘
 *      └──write──► change_begin, store ──► change_end ──────────────────────────────► resting
 *
 * A brief value is 8 bytes of mark, then the codec's; a lasting one is the codec's alone.
 */
#include "cache/cached_store.h"

#include "base/assert.h"
#include "base/pool.h"
#include "cache/cached_node_priv.h"
#include "cache/codec.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { BYTES_KEPT = 1 << 16, KEYS_FIRST = 8, MARK_SIZE = 8 };
enum { READ_ANEW = 1, READ_IN_BACKGROUND = 2 }; /* bits */

struct cached_store {
    struct store base;
    struct loop *loop;
    struct store *inner;
    struct tiered_loop *tiered;
    struct cached_node *node;
    struct cached_cells *cells;
    struct pool jobs;
    struct pool touches;
    struct buf hit;      /* what L1 answered; used within one call only */
    uint32_t roster_dice;
    atomic_size_t scans; /* operations of scans that the store behind has */
};

struct job {
    struct loop_message message; /* first */
    struct cached_store *store;
    struct store_op *op;
    struct tiered_get get;
    struct cache_key key;
    uint64_t mark;
    int64_t waits_us; /* on the loop's clock: since when it has been waiting for the cache */
    unsigned how;     /* it is read */
    bool was_loaded;  /* this very operation went to the store */
    bool was_retried; /* what was cached was no answer */
    struct buf bytes; /* an encoded answer, or the keys of a write */
    struct slice *keys;
    size_t keys_len, keys_size;
    bool keys_lost; /* there was no memory for all of them */
};

static void fini_job(void *object) {
    struct job *job = object;
    buf_fini(&job->bytes);
    free(job->keys);
}

static struct job *borrow_job(struct cached_store *store, struct store_op *op) {
    struct job *job = pool_borrow(&store->jobs);
    if (job == NULL) {
        return NULL;
    }
    if (job->store == NULL) {
        job->store = store;
        buf_init(&job->bytes, (size_t)STORE_ROWS_MAX * 2 * CACHE_KEY_MAX);
    }
    job->op = op;
    job->was_loaded = false;
    job->was_retried = false;
    return job;
}

static void rest_job(struct job *job) {
    if (job->bytes.size > BYTES_KEPT) {
        buf_fini(&job->bytes);
    }
    buf_clear(&job->bytes);
    pool_give_back(&job->store->jobs, job);
}

/* ── to the store behind and back ── */

static void come_back(struct store_op *op) {
    struct job *job = op->owner;
    if (loop_is_current(job->store->loop)) {
        job->message.fn(&job->message);
    } else {
        loop_post(job->store->loop, &job->message);
    }
}

/* Submits the job's operation; `then` runs on the loop when it is done. */
static void send_behind(struct job *job, void (*then)(struct loop_message *message)) {
    struct store_op *op = job->op;
    op->front.done = op->done;
    op->front.owner = op->owner;
    op->done = come_back;
    op->owner = job;
    job->message.fn = then;
    store_submit(job->store->inner, op);
}

static void take_back(struct store_op *op) {
    op->done = op->front.done;
    op->owner = op->front.owner;
}

static void finish(struct job *job) {
    struct store_op *op = job->op;
    rest_job(job);
    op->done(op);
}

/* The cache is of no help: as if it were not there. */
static void pass_by(struct job *job) {
    struct store_op *op = job->op;
    struct store *inner = job->store->inner;
    rest_job(job);
    store_submit(inner, op);
}

/* ── reads ── */

/* What "there is no such thing" means under this key. */
static enum err_e absent_err(const struct store_op *op) {
    if (op->kind == STORE_LOAD_GATE) {
        return ERR_UNKNOWN_GATE;
    }
    return op->kind == STORE_LOAD_PARTICIPANT ? ERR_UNKNOWN_PARTICIPANT : ERR_UNKNOWN_EVENT;
}

/* Only of the thing itself: an unknown event is no fact about a gate. */
static bool is_absence(const struct store_op *op) {
    bool may_be_absent = op->kind == STORE_LOAD_EVENT || op->kind == STORE_LOAD_GATE ||
                         op->kind == STORE_LOAD_PARTICIPANT;
    return may_be_absent && op->err == absent_err(op);
}

static void answer_absent(struct store_op *op) {
    op->err = absent_err(op);
    op->is_cached = true;
}

static void put_mark(struct buf *to, uint64_t mark) {
    char bytes[MARK_SIZE];
    memcpy(bytes, &mark, sizeof bytes); /* of this process alone: no byte order to agree on */
    buf_add(to, slice_from(bytes, sizeof bytes));
}

enum use_e { USE_GOOD, USE_OLD, USE_BAD };

/* Makes a cached value the operation's answer. */
static enum use_e use_value(struct cached_store *store, struct store_op *op,
                            enum tiered_class_e class, struct slice value) {
    if (cache_class_is_brief(class)) {
        uint64_t mark = 0;
        if (value.len < MARK_SIZE) {
            cached_count(&store->cells->damaged);
            return USE_BAD;
        }
        memcpy(&mark, value.at, sizeof mark);
        if (mark != cached_node_mark(store->node, class, op->event)) {
            cached_count(&store->cells->marked);
            return USE_OLD;
        }
        value = slice_skip(value, MARK_SIZE);
    }
    switch (codec_read(value, op)) {
    case CODEC_GOOD:
        op->err = ERR_OK;
        op->is_cached = true;
        return USE_GOOD;
    case CODEC_BAD:
        cached_count(&store->cells->damaged);
        return USE_BAD;
    case CODEC_SHORT:
        cached_count(&store->cells->shortened);
        return USE_OLD;
    case CODEC_NO_MEMORY:
        return USE_BAD;
    }
    return USE_BAD;
}

static void on_answer(struct tiered_get *get, const struct tiered_answer *answer);
static void load(struct tiered_get *get);

/* On a hit in L1 nobody comes here: that path reads no clock for it. */
static void end_waiting(struct job *job) {
    job->op->cache_us += loop_now_us(job->store->loop) - job->waits_us;
}

static void ask(struct job *job) {
    job->waits_us = loop_now_us(job->store->loop);
    job->get = (struct tiered_get){
        .class = job->key.class,
        .key = cache_key_text(&job->key),
        .load = load,
        .done = on_answer,
        .data = job,
        .refresh = (job->how & READ_ANEW) != 0,
        .in_background = (job->how & READ_IN_BACKGROUND) != 0,
    };
    tiered_get(job->store->tiered, &job->get);
}

/* What is read in the background is no request. */
static void count_read(const struct job *job, struct counter *counter) {
    if ((job->how & READ_IN_BACKGROUND) == 0) {
        cached_count(counter);
    }
}

static void encode(struct job *job, struct tiered_loaded *loaded) {
    buf_clear(&job->bytes);
    if (cache_class_is_brief(job->key.class)) {
        put_mark(&job->bytes, job->mark);
    }
    codec_write(job->op, &job->bytes);
    if (job->bytes.failed || job->bytes.len > CODEC_VALUE_MAX) {
        loaded->err = ERR_TOO_LARGE; /* for those that wait: this operation has its answer */
        return;
    }
    loaded->value = buf_slice(&job->bytes);
}

static void on_loaded(struct loop_message *message) {
    struct job *job = (struct job *)message;
    struct store_op *op = job->op;
    take_back(op);
    struct tiered_loaded loaded = {.err = op->err};
    if (is_absence(op)) {
        cached_node_note_absent(job->store->node);
        loaded = (struct tiered_loaded){.absent = true};
    } else if (op->err == ERR_OK) {
        encode(job, &loaded);
    }
    tiered_loaded(&job->get, &loaded);
}

static void load(struct tiered_get *get) {
    struct job *job = get->data;
    struct cached_store *store = job->store;
    end_waiting(job);
    job->was_loaded = true;
    job->mark = cached_node_mark(store->node, job->key.class, job->op->event); /* before it reads */
    count_read(job, &store->cells->misses);
    send_behind(job, on_loaded);
}

/* The store failed, and the cache still has what it once said. */
static bool take_stale(struct job *job, const struct tiered_answer *answer) {
    struct store_op *op = job->op;
    if (answer->err != ERR_OK || answer->from != TIERED_FROM_STALE || answer->absent) {
        return false;
    }
    struct slice value = answer->value;
    if (cache_class_is_brief(job->key.class)) {
        value = slice_skip(value, MARK_SIZE); /* old it is, and said to be */
    }
    if (codec_read(value, op) != CODEC_GOOD) {
        return false;
    }
    op->err = ERR_OK;
    op->problem = (struct problem){.field = ""};
    op->is_cached = true;
    op->stale_s = answer->age_ms / 1000 + 1; /* 0 would say that it is not */
    cached_count(&job->store->cells->stale);
    return true;
}

/* Somebody else's load or L2 answered. */
static void take_answer(struct job *job, const struct tiered_answer *answer) {
    struct store_op *op = job->op;
    struct cached_store *store = job->store;
    if (answer->err == ERR_TOO_LARGE) {
        pass_by(job);
        return;
    }
    if (answer->err != ERR_OK) {
        op->err = answer->err;
        finish(job);
        return;
    }
    bool is_answered = answer->absent;
    if (answer->absent) {
        answer_absent(op);
    } else {
        is_answered = use_value(store, op, job->key.class, answer->value) == USE_GOOD;
    }
    if (is_answered) {
        count_read(job, &store->cells->hits);
        finish(job);
    } else if (job->was_retried) {
        pass_by(job);
    } else {
        job->was_retried = true;
        job->how |= READ_ANEW;
        ask(job);
    }
}

static void on_answer(struct tiered_get *get, const struct tiered_answer *answer) {
    struct job *job = get->data;
    if (!job->was_loaded) {
        end_waiting(job);
    }
    if (take_stale(job, answer)) {
        finish(job);
    } else if (job->was_loaded) {
        finish(job); /* its own answer, good or bad, is in it */
    } else {
        take_answer(job, answer);
    }
}

static void read_missed(struct cached_store *store, struct store_op *op,
                        const struct cache_key *key, unsigned how) {
    struct job *job = borrow_job(store, op);
    if (job == NULL) {
        counter_add(&store->cells->misses, (how & READ_IN_BACKGROUND) == 0);
        store_submit(store->inner, op);
        return;
    }
    job->how = how;
    job->key.class = key->class;
    job->key.len = key->len;
    memcpy(job->key.text, key->text, key->len);
    job->was_retried = (how & READ_ANEW) != 0;
    ask(job);
}

static void read_cached(struct cached_store *store, struct store_op *op,
                        const struct cache_key *key) {
    struct tiered_answer answer;
    struct slice text = cache_key_text(key);
    enum tiered_try_e found = tiered_look(store->tiered, key->class, text, &store->hit, &answer);
    if (!cache_class_is_brief(key->class)) {
        roster_note(cached_node_roster(store->node), &store->roster_dice, text);
    }
    bool is_answered =
        found == TIERED_HIT && use_value(store, op, key->class, answer.value) == USE_GOOD;
    if (found == TIERED_HIT_ABSENT) {
        answer_absent(op);
        is_answered = true;
    }
    if (found != TIERED_MISS) {
        tiered_count_look(store->tiered, key->class, is_answered ? TIERED_USED : TIERED_OF_NO_USE);
    }
    if (is_answered) {
        cached_count(&store->cells->hits);
        op->done(op);
        return;
    }
    read_missed(store, op, key, found != TIERED_MISS ? READ_ANEW : 0);
}

/* ── scans ── */

static bool met_nothing(const struct store_op *op) {
    return op->err == ERR_UNKNOWN_EVENT ||
           (op->err == ERR_OK && op->check_in.len == 1 &&
            op->check_in.results[0].err == ERR_UNKNOWN_GATE);
}

/* On the thread that committed, before the acknowledgement. */
static void on_scans_done(struct store_op *op) {
    struct cached_store *store = op->owner;
    take_back(op);
    if (met_nothing(op)) {
        cached_node_note_absent(store->node);
    }
    if (op->err == ERR_OK || err_status(op->err) >= 500) { /* an unknown commit may have happened */
        cached_node_raise(store->node, CACHE_CHANGES_FIGURES, op->event);
    }
    atomic_fetch_sub(&store->scans, 1); /* from here on it may be closed */
    op->done(op);
}

static void forget_touched(void *data, enum err_e err) {
    (void)data;
    (void)err; /* the next scan tries again */
}

/* True: the cache knows that there is no such thing, and has known it for less than a second. What
 * is not known is asked for in the background: the scan does not wait for it. */
static bool is_known_absent(struct cached_store *store, const struct store_op *about) {
    struct cache_key key;
    struct tiered_answer answer;
    if (!cache_key_of(about, &key)) {
        return false;
    }
    struct slice text = cache_key_text(&key);
    enum tiered_try_e found = tiered_try(store->tiered, key.class, text, &store->hit, &answer);
    if (found == TIERED_MISS) {
        enum err_e ignored =
            cached_store_touch(&store->base, text, CACHED_FILL, forget_touched, NULL);
        (void)ignored;
    }
    return found == TIERED_HIT_ABSENT;
}

/* Only what leaves no record may be refused here: an unknown event, and an unknown gate of a lone
 * scan. The store decides everything else. The cache is asked only when somebody has met nothing of
 * late: look-ups that can save no work would cost time, and make its hit rate look better than it
 * is. */
static bool refuse_scans(struct cached_store *store, struct store_op *op) {
    if (!cached_node_saw_absent(store->node)) {
        return false;
    }
    const struct store_op event = {.kind = STORE_LOAD_EVENT, .event = op->event};
    if (is_known_absent(store, &event)) {
        op->err = ERR_UNKNOWN_EVENT;
        return true;
    }
    if (op->check_in.len != 1) {
        return false;
    }
    struct store_op gate = {.kind = STORE_LOAD_GATE, .event = op->event};
    gate.gate_write.values.code = op->check_in.scans[0].gate;
    if (!is_known_absent(store, &gate)) {
        return false;
    }
    struct scan_result *result = &op->check_in.results[0];
    *result = (struct scan_result){.err = ERR_OK};
    result->err = problem_set(&result->problem, ERR_UNKNOWN_GATE, "gate",
                              "the event has no gate with this code");
    return true;
}

static void submit_scans(struct cached_store *store, struct store_op *op) {
    if (refuse_scans(store, op)) {
        cached_count(&store->cells->refused);
        op->is_cached = true;
        op->done(op);
        return;
    }
    op->front.done = op->done;
    op->front.owner = op->owner;
    op->done = on_scans_done;
    op->owner = store;
    atomic_fetch_add(&store->scans, 1);
    store_submit(store->inner, op);
}

/* ── writes ── */

static void add_key(void *data, struct slice key) {
    struct job *job = data;
    if (job->keys_len == job->keys_size) {
        size_t size = job->keys_size == 0 ? KEYS_FIRST : 2 * job->keys_size;
        struct slice *keys = realloc(job->keys, size * sizeof *keys);
        if (keys == NULL) {
            job->keys_lost = true;
            return;
        }
        job->keys = keys;
        job->keys_size = size;
    }
    buf_add(&job->bytes, key);
    job->keys[job->keys_len++].len = key.len; /* where it lies is known at the end */
}

/* The keys that the operation names by now. Without memory for them, everything goes: rare and
 * slow, but true. */
static struct tiered_change collect(struct job *job) {
    static const struct slice everything = {"*", 1};
    job->keys_len = 0;
    job->keys_lost = false;
    buf_clear(&job->bytes);
    cache_changed_keys(job->op, add_key, job);
    if (job->keys_lost || job->bytes.failed) {
        return (struct tiered_change){.patterns = &everything, .patterns_len = 1};
    }
    const char *at = job->bytes.at;
    for (size_t i = 0; i < job->keys_len; i++) {
        job->keys[i].at = at;
        at += job->keys[i].len;
    }
    return (struct tiered_change){.keys = job->keys, .keys_len = job->keys_len};
}

static enum tiered_outcome_e outcome_of(enum err_e err) {
    if (err == ERR_OK) {
        return TIERED_COMMITTED;
    }
    bool never_ran = err_status(err) < 500 || err == ERR_OVERLOADED || err == ERR_DEADLINE;
    return never_ran ? TIERED_NOTHING : TIERED_UNKNOWN;
}

static void forget_hot(void *data, struct slice key) {
    roster_forget(data, key);
}

/* Erased people must not stay anywhere. Searches may have found them: the marks keep such pages
 * from being served, and here they leave memory. Nor may a roster bring their token back. */
static void drop_traces(struct cached_store *store, const struct store_op *erasure) {
    cache_changed_keys(erasure, forget_hot, cached_node_roster(store->node));
    struct cache_key key;
    const struct store_op op = {.kind = STORE_LIST_PARTICIPANTS,
                                .event = erasure->event,
                                .participants = {.query = SLICE_LIT("*")}};
    if (cache_key_of(&op, &key)) {
        struct slice pattern = cache_key_text(&key);
        const struct tiered_change change = {.patterns = &pattern, .patterns_len = 1};
        tiered_change_end(store->tiered, &change, TIERED_COMMITTED);
    }
}

static void on_written(struct loop_message *message) {
    struct job *job = (struct job *)message;
    struct store_op *op = job->op;
    struct cached_store *store = job->store;
    take_back(op);
    enum tiered_outcome_e outcome = outcome_of(op->err);
    if (outcome != TIERED_NOTHING) {
        unsigned effects = cache_effects(op->kind);
        struct slice event =
            op->kind == STORE_CREATE_EVENT ? op->event_write.values.code : op->event;
        const struct tiered_change change = collect(job);
        tiered_change_end(store->tiered, &change, outcome);
        cached_node_raise(store->node, effects, event);
        if (op->kind == STORE_ERASE_PARTICIPANT) {
            drop_traces(store, op);
        }
    }
    finish(job);
}

static void submit_write(struct cached_store *store, struct store_op *op) {
    struct job *job = borrow_job(store, op);
    if (job == NULL) {
        op->err = ERR_OVERLOADED;
        op->done(op);
        return;
    }
    const struct tiered_change change = collect(job);
    tiered_change_begin(store->tiered, &change);
    send_behind(job, on_written);
}

/* ── in the background ── */

struct touch {
    struct store_op op;
    struct cached_store *store;
    struct cache_key key;
    cached_touched_fn fn;
    void *data;
    bool is_ready;
};

static void fini_touch(void *object) {
    struct touch *touch = object;
    if (touch->is_ready) {
        store_op_fini(&touch->op);
    }
}

static void on_touched(struct store_op *op) {
    struct touch *touch = op->owner;
    struct cached_store *store = touch->store;
    cached_touched_fn fn = touch->fn;
    void *data = touch->data;
    enum err_e err = op->err;
    store_op_clear(op);
    pool_give_back(&store->touches, touch);
    fn(data, err);
}

static bool begin_touch(struct touch *touch, struct slice key) {
    if (key.len > CACHE_KEY_MAX) {
        return false;
    }
    if (!touch->is_ready) {
        store_op_init(&touch->op, STORE_LOAD_EVENT);
        touch->is_ready = true;
    }
    memcpy(touch->key.text, key.at, key.len);
    touch->key.len = key.len;
    return cache_key_to_op(cache_key_text(&touch->key), &touch->op) &&
           tiered_class_of(key, &touch->key.class);
}

enum err_e cached_store_touch(struct store *base, struct slice key, enum cached_touch_e how,
                              cached_touched_fn fn, void *data) {
    struct cached_store *store = (struct cached_store *)base;
    struct touch *touch = pool_borrow(&store->touches);
    if (touch == NULL) {
        return ERR_OVERLOADED;
    }
    if (!begin_touch(touch, key)) {
        pool_give_back(&store->touches, touch);
        return ERR_INVALID_FIELD;
    }
    /* What is brief may be there and of no use: that is found out by reading it anew. */
    unsigned anew = how == CACHED_REFRESH || cache_class_is_brief(touch->key.class) ? READ_ANEW : 0;
    if (anew == 0 && tiered_has(store->tiered, key)) {
        pool_give_back(&store->touches, touch);
        fn(data, ERR_OK);
        return ERR_OK;
    }
    cached_count(&store->cells->touched);
    touch->store = store;
    touch->fn = fn;
    touch->data = data;
    touch->op.done = on_touched;
    touch->op.owner = touch;
    touch->op.err = ERR_OK;
    read_missed(store, &touch->op, &touch->key, anew | READ_IN_BACKGROUND);
    return ERR_OK;
}

void cached_store_on_due(void *data, enum tiered_class_e class, struct slice key) {
    (void)class;
    enum err_e ignored = cached_store_touch(data, key, CACHED_REFRESH, forget_touched, NULL);
    (void)ignored; /* too many, or a key that only its asker can read: it expires */
}

/* ── the seam ── */

static void cached_submit(struct store *base, struct store_op *op) {
    struct cached_store *store = (struct cached_store *)base;
    struct cache_key key;
    op->is_cached = false;
    op->cache_us = 0;
    op->stale_s = 0;
    if (op->kind == STORE_CHECK_IN) {
        submit_scans(store, op);
    } else if (cache_effects(op->kind) != 0) {
        submit_write(store, op);
    } else if (cache_key_of(op, &key)) {
        read_cached(store, op, &key);
    } else {
        store_submit(store->inner, op);
    }
}

static void cached_health(struct store *base, struct store_health *ret_health) {
    store_health(((struct cached_store *)base)->inner, ret_health);
}

void cached_store_destroy(struct store *base) {
    struct cached_store *store = (struct cached_store *)base;
    if (store == NULL) {
        return;
    }
    ASSERT(cached_store_is_idle(base));
    pool_fini(&store->jobs);
    pool_fini(&store->touches);
    buf_fini(&store->hit);
    cached_node_give_cells(store->node, store->cells);
    free(store);
}

bool cached_store_is_idle(const struct store *base) {
    const struct cached_store *store = (const struct cached_store *)base;
    return store->jobs.out == 0 && store->touches.out == 0 && atomic_load(&store->scans) == 0;
}

struct store *cached_store_behind(const struct store *store) {
    return ((const struct cached_store *)store)->inner;
}

static const struct store_vtable vtable = {"cached", cached_submit, cached_health,
                                           cached_store_destroy};

static bool init_pools(struct cached_store *store, size_t jobs_max) {
    if (!pool_init(&store->jobs, sizeof(struct job), jobs_max, fini_job)) {
        return false;
    }
    if (!pool_init(&store->touches, sizeof(struct touch), CACHED_TOUCHES_MAX, fini_touch)) {
        pool_fini(&store->jobs);
        return false;
    }
    return true;
}

void cached_store_fit(struct tiered_options *options) {
    for (int i = 0; i < TIERED_CLASS_COUNT; i++) {
        if (cache_class_is_brief((enum tiered_class_e)i)) {
            options->lives[i].l2_ms = 0;
        }
    }
}

struct store *cached_store_create(const struct cached_options *options) {
    struct cached_store *store = calloc(1, sizeof *store);
    if (store == NULL) {
        return NULL;
    }
    store->base.vtable = &vtable;
    store->loop = options->loop;
    store->inner = options->inner;
    store->tiered = options->tiered;
    store->node = options->node;
    buf_init(&store->hit, (size_t)2 * CODEC_VALUE_MAX);
    store->cells = cached_node_take_cells(options->node);
    if (store->cells == NULL || !init_pools(store, options->jobs_max)) {
        cached_node_give_cells(options->node, store->cells);
        free(store);
        return NULL;
    }
    return &store->base;
}
