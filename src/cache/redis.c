/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's life: options, the clock that drives it, and the end.
 *
 * One timer looks after everything that may come late: deadlines, back-off, connections, the map,
 * the channel. It ticks every 10 ms while requests are under way and every 50 ms otherwise.
 */
#include "cache/redis_priv.h"

#include <stdlib.h>

struct redis_options redis_options_default(struct loop *loop, struct slice seeds) {
    return (struct redis_options){
        .loop = loop,
        .seeds = seeds,
        .prefix = SLICE_LIT("turnout:"),
        .timeout_ms = REDIS_TIMEOUT_MS_DEFAULT,
        .value_max = REDIS_VALUE_MAX,
        .requests_max = REDIS_REQUESTS_MAX,
        .reads = REDIS_READ_PRIMARY,
        .rng = rng_system(),
    };
}

static void on_tick(uv_timer_t *timer);

static void arm(struct redis *redis) {
    redis->tick_busy = redis->waiting.first != NULL || redis->requests.out > 0;
    uint64_t ms = redis->tick_busy ? REDIS_TICK_BUSY_MS : REDIS_TICK_IDLE_MS;
    uv_timer_start(&redis->tick, on_tick, ms, 0);
}

static void on_tick(uv_timer_t *timer) {
    struct redis *redis = timer->data;
    int64_t now_us = loop_now_us(redis->loop);
    redis_requests_tick(redis, now_us);
    redis_nodes_tick(redis, now_us);
    redis_feeds_tick(redis, now_us);
    arm(redis);
}

void redis_tick_soon(struct redis *redis) {
    if (!redis->tick_busy && !redis->closing) {
        redis->tick_busy = true;
        uv_timer_start(&redis->tick, on_tick, REDIS_TICK_BUSY_MS, 0);
    }
}

static bool prefix_is_plain(struct slice prefix) {
    for (size_t i = 0; i < prefix.len; i++) {
        char c = prefix.at[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && strchr(":_-.", c) == NULL) {
            return false;
        }
    }
    return prefix.len <= REDIS_PREFIX_MAX && memchr(prefix.at, '\0', prefix.len) == NULL;
}

static enum err_e check_options(const struct redis_options *options, struct problem *ret_problem) {
    if (options->timeout_ms < REDIS_TIMEOUT_MS_MIN || options->timeout_ms > REDIS_TIMEOUT_MS_MAX) {
        return problem_set(ret_problem, ERR_CONFIG, "timeout_ms", "must be %d to %d, not %lld",
                           REDIS_TIMEOUT_MS_MIN, REDIS_TIMEOUT_MS_MAX,
                           (long long)options->timeout_ms);
    }
    if (options->value_max < 1 || options->value_max > REDIS_VALUE_MAX) {
        return problem_set(ret_problem, ERR_CONFIG, "value_max", "must be 1 to %d",
                           REDIS_VALUE_MAX);
    }
    if (options->requests_max < 1 || options->requests_max > 1 << 20) {
        return problem_set(ret_problem, ERR_CONFIG, "requests_max", "must be 1 to %d", 1 << 20);
    }
    if (!prefix_is_plain(options->prefix)) {
        return problem_set(ret_problem, ERR_CONFIG, "prefix",
                           "must be at most %d letters, digits, : _ - or .", REDIS_PREFIX_MAX);
    }
    return ERR_OK;
}

static enum err_e add_seeds(struct redis *redis, struct slice seeds, struct problem *ret_problem) {
    struct slice part;
    size_t count = 0;
    while (slice_next(&seeds, ',', &part)) {
        part = slice_trim(part);
        struct redis_address address;
        if (!redis_address_parse(part, NULL, &address)) {
            return problem_set(ret_problem, ERR_CONFIG, "redis",
                               "'%.*s' is not a numeric address with a port; an example: "
                               "10.0.0.1:6379,[::1]:6379",
                               part.len > 80 ? 80 : (int)part.len, part.at);
        }
        if (++count > REDIS_SEEDS_MAX) {
            return problem_set(ret_problem, ERR_CONFIG, "redis", "more than %d addresses",
                               REDIS_SEEDS_MAX);
        }
        redis->nodes[redis_node_find(redis, &address)].seed = true;
    }
    return count > 0 ? ERR_OK
                     : problem_set(ret_problem, ERR_CONFIG, "redis",
                                   "an address with a port is missing; an example: 10.0.0.1:6379");
}

static void on_turn(uv_prepare_t *turn) {
    redis_links_flush(turn->data);
}

static void fini_request(void *object) {
    struct redis_request *request = object;
    if (request->packet.limit != 0) {
        buf_fini(&request->packet);
    }
}

static void set_up(struct redis *redis, const struct redis_options *options) {
    redis->options = *options;
    redis->loop = options->loop;
    struct slice prefix = options->prefix.len == 0 ? SLICE_LIT("turnout:") : options->prefix;
    ASSERT(slice_to_cstr(prefix, redis->prefix, sizeof redis->prefix));
    redis->options.prefix = slice_of(redis->prefix);
    redis->options.seeds = SLICE_NONE;
    seeded_rng_init(&redis->chance, rng_u64(options->rng));
    redis->beat_id = rng_u64(options->rng);
    memset(redis->owner, REDIS_NODE_NONE, sizeof redis->owner);
    redis_retry_budget_init(&redis->budget);
    redis->map_wanted = true;
    atomic_init(&redis->state, REDIS_CLOSED);
}

enum err_e redis_open(const struct redis_options *options, struct redis **ret_redis,
                      struct problem *ret_problem) {
    TRY(check_options(options, ret_problem));
    struct redis *redis = calloc(1, sizeof *redis);
    if (redis == NULL) {
        return ERR_NO_MEMORY;
    }
    set_up(redis, options);
    enum err_e err = add_seeds(redis, options->seeds, ret_problem);
    if (err == ERR_OK && !pool_init(&redis->requests, sizeof(struct redis_request),
                                    options->requests_max + REDIS_INTERNAL_REQUESTS,
                                    fini_request)) {
        err = ERR_NO_MEMORY;
    }
    if (err != ERR_OK) {
        free(redis);
        return err;
    }
    uv_timer_init(loop_uv(redis->loop), &redis->tick);
    redis->tick.data = redis;
    uv_prepare_init(loop_uv(redis->loop), &redis->turn);
    redis->turn.data = redis;
    redis->handles = 2;
    uv_timer_start(&redis->tick, on_tick, 0, 0);
    uv_prepare_start(&redis->turn, on_turn);
    *ret_redis = redis;
    return ERR_OK;
}

void redis_handle_closed(struct redis *redis) {
    redis->handles--;
    if (redis->handles > 0) {
        return;
    }
    ASSERT(redis->closing);
    void (*closed)(void *data) = redis->closed;
    void *data = redis->closed_data;
    pool_fini(&redis->requests);
    free(redis);
    if (closed != NULL) {
        closed(data);
    }
}

static void on_handle_closed(uv_handle_t *handle) {
    redis_handle_closed(handle->data);
}

void redis_close(struct redis *redis, void (*closed)(void *data), void *data) {
    ASSERT(!redis->closing);
    redis->closing = true;
    redis->closed = closed;
    redis->closed_data = data;
    for (size_t i = 0; i < REDIS_NODES_MAX; i++) {
        redis_node_drop_links(&redis->nodes[i]);
    }
    redis_requests_end(redis);
    redis_sweep_end(redis, ERR_DRAINING);
    ASSERT(redis->requests.out == 0);
    uv_close((uv_handle_t *)&redis->tick, on_handle_closed);
    uv_close((uv_handle_t *)&redis->turn, on_handle_closed);
}

void redis_read_counters(const struct redis *redis, struct redis_counters *ret_counters) {
#define X(name) ret_counters->name = counter_read(&redis->cells.name);
    REDIS_COUNTER_TABLE(X)
#undef X
    int state = atomic_load_explicit(&redis->state, memory_order_relaxed);
    ret_counters->state = state == REDIS_OPEN        ? REDIS_OPEN
                          : state == REDIS_HALF_OPEN ? REDIS_HALF_OPEN
                                                     : REDIS_CLOSED;
}
