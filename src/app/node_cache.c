/* SPDX-License-Identifier: Apache-2.0 */
/* From settings to two levels, and each loop's way in and out. */
#include "app/node_cache.h"

#include "app/open.h"
#include "act/secret.h"
#include "base/assert.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    PASSWORD_MAX = 512,
    LISTENING_LOOPS = 2,
    MARK_EVERY_MS = 100,    /* looks at a file's mark */
    OWES_AT_MOST_MS = 1000, /* a node that ends waits so long to tell what Redis did not take */
};

struct node_cache {
    const struct config *config;
    struct store *store; /* the node's; for its mark */
    struct tiered *tiered;
    struct cached_node *node;
    struct keeper *keeper; /* on the first loop */
    char password[PASSWORD_MAX + 1]; /* empty: none */
    uint64_t changes;                /* the mark that was seen last; the first loop's */
    struct loop_timer *mark_timer;   /* likewise */
};

static bool has_redis(const struct config *config) {
    return config->redis_nodes[0] != '\0';
}

/* Without Redis L1 answers what is young only: nobody has to tell it anything. */
static bool watches_store(const struct config *config) {
    return has_redis(config) && store_sqlite_path(config) == NULL;
}

/* ── settings ── */

static const char *const policy_words[] = {"off", "s3fifo", "lru", "sieve", "tinylfu"};

static void fill_options(const struct config *config, struct tiered_options *options) {
    ASSERT(config->cache_policy > CACHE_POLICY_OFF);
    const char *policy = policy_words[config->cache_policy];
    ASSERT(l1_policy_from_name(slice_of(policy), &options->l1.policy));
    options->l1.entries = (uint32_t)config->cache_entries;
    options->l1.bytes = (size_t)config->cache_bytes;
    options->stale_ms = config->cache_stale_ms;
    options->writers = TIERED_WRITERS_OTHERS;
    options->watches_mark = watches_store(config);
    cached_store_fit(options);
    for (int i = 0; i < TIERED_CLASS_COUNT; i++) {
        if (!cache_class_is_brief((enum tiered_class_e)i)) {
            options->lives[i].l1_ms = config->cache_ttl_ms;
            options->lives[i].l2_ms = config->cache_l2_ttl_ms;
        }
    }
}

MAY_BLOCK static enum err_e take_password(struct node_cache *cache, struct problem *ret_problem) {
    if (cache->config->redis_password_file[0] != '\0') {
        return secret_read(cache->config->redis_password_file, "redis.password_file",
                           cache->password, sizeof cache->password, ret_problem);
    }
    snprintf(cache->password, sizeof cache->password, "%.*s", PASSWORD_MAX,
             cache->config->redis_password);
    return ERR_OK;
}

void node_cache_describe(const struct config *config, char ret_text[NODE_CACHE_TEXT_SIZE]) {
    if (config->cache_policy == CACHE_POLICY_OFF) {
        snprintf(ret_text, NODE_CACHE_TEXT_SIZE, "policy=off");
        return;
    }
    snprintf(ret_text, NODE_CACHE_TEXT_SIZE,
             "policy=%s entries=%lld bytes=%lld ttl_ms=%lld l2_ttl_ms=%lld redis=%.100s",
             policy_words[config->cache_policy], (long long)config->cache_entries,
             (long long)config->cache_bytes, (long long)config->cache_ttl_ms,
             (long long)config->cache_l2_ttl_ms,
             has_redis(config) ? config->redis_nodes : "none");
}

/* ── life ── */

MAY_BLOCK static enum err_e make(struct node_cache *cache, struct slice roster_text,
                                 struct problem *ret_problem) {
    struct tiered_options options = tiered_options_default();
    fill_options(cache->config, &options);
    TRY(take_password(cache, ret_problem));
    TRY(tiered_create(&options, &cache->tiered, ret_problem));
    cache->node = cached_node_create(clock_system());
    if (cache->node == NULL) {
        return ERR_NO_MEMORY;
    }
    const char *roster = cache->config->cache_roster;
    cache->keeper = keeper_create(&(struct keeper_options){
        .clock = clock_system(),
        .tiered = cache->tiered,
        .node = cache->node,
        .warm_at_start = (enum keeper_warm_e)cache->config->cache_warm,
        .has_l2 = has_redis(cache->config),
        .entries = (uint32_t)cache->config->cache_entries,
        .policy = policy_words[cache->config->cache_policy],
        .roster = roster[0] == '\0' ? NULL : roster,
    });
    if (cache->keeper == NULL) {
        return ERR_NO_MEMORY;
    }
    if (roster_text.len > 0) {
        keeper_take_roster(cache->keeper, roster_text);
    } else {
        keeper_load_roster(cache->keeper);
    }
    return ERR_OK;
}

MAY_BLOCK enum err_e node_cache_open(const struct config *config, struct store *store,
                                     struct slice roster,
                                     struct node_cache **ret_cache, struct problem *ret_problem) {
    *ret_cache = NULL;
    if (config->cache_policy == CACHE_POLICY_OFF) {
        return ERR_OK;
    }
    struct node_cache *cache = calloc(1, sizeof *cache);
    if (cache == NULL) {
        return problem_set(ret_problem, ERR_NO_MEMORY, "cache.entries", "no memory for the cache");
    }
    cache->config = config;
    cache->store = store;
    enum err_e err = make(cache, roster, ret_problem);
    if (err != ERR_OK) {
        node_cache_close(cache);
        return err == ERR_NO_MEMORY ? problem_set(ret_problem, err, "cache.entries",
                                                  "no memory for %lld entries",
                                                  (long long)config->cache_entries)
                                    : err;
    }
    *ret_cache = cache;
    return ERR_OK;
}

void node_cache_close(struct node_cache *cache) {
    if (cache == NULL) {
        return;
    }
    keeper_destroy(cache->keeper);
    tiered_destroy(cache->tiered);
    cached_node_destroy(cache->node);
    explicit_bzero(cache->password, sizeof cache->password);
    free(cache);
}

void node_cache_set_lives(struct node_cache *cache, const struct config *config) {
    const struct tiered_life life = {.l1_ms = config->cache_ttl_ms,
                                     .l2_ms = config->cache_l2_ttl_ms};
    for (int i = 0; cache != NULL && i < TIERED_CLASS_COUNT; i++) {
        if (!cache_class_is_brief((enum tiered_class_e)i)) {
            tiered_set_life(cache->tiered, (enum tiered_class_e)i, &life);
        }
    }
}

struct keeper *node_cache_keeper(struct node_cache *cache) {
    return cache == NULL ? NULL : cache->keeper;
}

MAY_BLOCK void node_cache_save(struct node_cache *cache) {
    if (cache != NULL) {
        keeper_save_roster(cache->keeper);
    }
}

bool node_cache_has_forgotten(struct node_cache *cache) {
    return cache != NULL && keeper_has_forgotten(cache->keeper);
}

/* ── loops ── */

/* What other processes wrote to the file is unknown to the cache: it lets go of everything. */
static void look_at_mark(void *data) {
    struct node_cache *cache = data;
    struct store_mark mark;
    sqlite_read_mark(cache->store, &mark);
    if (mark.changes != cache->changes) {
        cache->changes = mark.changes;
        tiered_drop(cache->tiered);
    }
    tiered_vouch(cache->tiered, mark.as_of_us);
}

static bool watch_mark(struct node_cache *cache, struct loop *loop, struct node_cache_loop *part) {
    if (loop_index(loop) != 0) {
        return true;
    }
    if (store_sqlite_path(cache->config) == NULL) {
        return !watches_store(cache->config) || node_mark_watch(&part->mark);
    }
    cache->mark_timer = loop_timer_start(loop, 0, MARK_EVERY_MS, look_at_mark, cache);
    part->watches = cache->mark_timer != NULL;
    return part->watches;
}

static void stop_watching(struct node_cache *cache, const struct node_cache_loop *part) {
    if (part->watches) {
        loop_timer_stop(cache->mark_timer);
        cache->mark_timer = NULL;
    }
}

static void on_due(void *data, enum tiered_class_e class, struct slice key) {
    struct node_cache_loop *loop = data;
    if (loop->store != NULL) {
        cached_store_on_due(loop->store, class, key);
    }
}

static enum err_e open_levels(struct node_cache *cache, struct loop *loop,
                              struct node_cache_loop *part) {
    const struct config *config = cache->config;
    struct redis_options redis = redis_options_default(loop, slice_of(config->redis_nodes));
    redis.password = cache->password[0] == '\0' ? NULL : cache->password;
    redis.timeout_ms = config->redis_timeout_ms;
    redis.reads = config->redis_reads == 0 ? REDIS_READ_PRIMARY : REDIS_READ_SPREAD;
    redis.rng = rng_system();
    const struct tiered_loop_options options = {
        .loop = loop,
        .redis = has_redis(config) ? &redis : NULL,
        .listens = loop_index(loop) < LISTENING_LOOPS,
        .due = on_due,
        .due_data = part,
        .mark = watches_store(config) ? node_mark_turn : NULL,
        .mark_data = &part->mark,
    };
    struct problem problem = {.field = ""};
    enum err_e err = tiered_loop_open(cache->tiered, &options, &part->tiered, &problem);
    if (err != ERR_OK) {
        log_event(LOG_ERROR, "cache_failed", "loop=%d err=%s setting=%s reason=\"%s\"",
                  loop_index(loop), err_code(err), problem.field, problem.detail);
    }
    return err;
}

enum err_e node_cache_enter(struct node_cache *cache, struct loop *loop, struct store *inner,
                            struct node_cache_loop *ret_loop) {
    *ret_loop = (struct node_cache_loop){.cache = NULL};
    node_mark_open(&ret_loop->mark, loop, inner);
    TRY(open_levels(cache, loop, ret_loop));
    node_mark_enter(&ret_loop->mark, ret_loop->tiered);
    ret_loop->store = cached_store_create(&(struct cached_options){
        .loop = loop,
        .inner = inner,
        .tiered = ret_loop->tiered,
        .node = cache->node,
        .jobs_max = (size_t)cache->config->store_ops_max + CACHED_TOUCHES_MAX,
    });
    ret_loop->cache = cache;
    if (ret_loop->store == NULL || !watch_mark(cache, loop, ret_loop)) {
        node_cache_leave(ret_loop);
        return ERR_NO_MEMORY;
    }
    if (loop_index(loop) == 0) {
        ret_loop->keeps = keeper_open(cache->keeper, loop, ret_loop->tiered, ret_loop->store);
        if (!ret_loop->keeps) {
            node_cache_leave(ret_loop);
            return ERR_NO_MEMORY;
        }
    }
    return ERR_OK;
}

void node_cache_drain(struct node_cache_loop *loop) {
    loop->owes_until_us = clock_mono_us(clock_system()) + (int64_t)OWES_AT_MOST_MS * 1000;
    if (loop->keeps) {
        keeper_stop(loop->cache->keeper);
    }
}

static bool owes(const struct node_cache_loop *loop) {
    return watches_store(loop->cache->config) && tiered_owes(loop->cache->tiered) &&
           clock_mono_us(clock_system()) < loop->owes_until_us;
}

bool node_cache_is_idle(const struct node_cache_loop *loop) {
    if (loop->cache == NULL) {
        return true;
    }
    if (loop->keeps && !keeper_is_idle(loop->cache->keeper)) {
        return false;
    }
    return cached_store_is_idle(loop->store) && !owes(loop) && node_mark_is_idle(&loop->mark);
}

void node_cache_seal(struct node_cache_loop *loop) {
    if (loop->cache != NULL) {
        node_mark_seal(&loop->mark);
    }
}

static void nothing_left(void *data) {
    (void)data; /* the loop ends when its handles have: nobody waits for this one alone */
}

void node_cache_leave(struct node_cache_loop *loop) {
    if (loop->cache == NULL) {
        return;
    }
    struct store *store = loop->store;
    if (loop->keeps) {
        keeper_close(loop->cache->keeper);
        loop->keeps = false;
    }
    loop->store = NULL;
    stop_watching(loop->cache, loop);
    node_mark_close(&loop->mark);
    cached_store_destroy(store);
    tiered_loop_close(loop->tiered, nothing_left, NULL);
    loop->tiered = NULL;
    loop->cache = NULL;
}

/* ── figures ── */

static void add_classes(const struct tiered_figures *figures, struct cache_figures *to) {
    for (int i = 0; i < TIERED_CLASS_COUNT; i++) {
        const struct tiered_counters *class = &figures->classes[i];
        to->l1.hits += class->l1_hits;
        to->l1.misses += class->l1_misses;
        to->l2.hits += class->l2_hits;
        to->l2.misses += class->l2_misses;
        to->l2_down += class->l2_down;
        to->invalidated += class->l1_marked;
    }
}

/* A get takes a fraction of a microsecond, and not each is timed: the sum is from the mean. */
static uint64_t gets_us(const struct tiered_figures *figures, uint64_t gets) {
    if (figures->l1_sampled == 0) {
        return 0;
    }
    double mean_ns = (double)figures->l1_sampled_ns / (double)figures->l1_sampled;
    return (uint64_t)(mean_ns * (double)gets / 1000);
}

static enum l2_state_e l2_state(enum redis_state_e state) {
    switch (state) {
    case REDIS_OFF:
        return L2_OFF;
    case REDIS_CLOSED:
        return L2_CLOSED;
    case REDIS_OPEN:
        return L2_OPEN;
    case REDIS_HALF_OPEN:
        return L2_HALF_OPEN;
    }
    return L2_OFF;
}

void node_cache_figures(void *data, struct cache_figures *ret_figures) {
    struct node_cache *cache = data;
    *ret_figures = (struct cache_figures){.l2_state = L2_OFF};
    if (cache == NULL) {
        return;
    }
    struct tiered_figures *figures = &ret_figures->figures;
    tiered_read_figures(cache->tiered, figures);
    const struct l1_counters *l1 = &figures->l1;
    add_classes(figures, ret_figures);
    ret_figures->l1.evictions = l1->left[L1_LEAVE_ENTRIES] + l1->left[L1_LEAVE_BYTES];
    ret_figures->l1.gets_us = gets_us(figures, ret_figures->l1.hits + ret_figures->l1.misses);
    ret_figures->l1.entries = l1->entries;
    ret_figures->l1.capacity = l1->capacity_entries;
    ret_figures->l2.gets_us = figures->l2.answers_us;
    ret_figures->l2_state = l2_state(figures->l2.state);
    ret_figures->cold = l1->misses[L1_MISS_COLD];
    ret_figures->expired = l1->misses[L1_MISS_EXPIRED];
    ret_figures->evicted = l1->misses[L1_MISS_EVICTED] + l1->misses[L1_MISS_NO_ROOM];
    ret_figures->invalidated += l1->misses[L1_MISS_INVALIDATED];
}
