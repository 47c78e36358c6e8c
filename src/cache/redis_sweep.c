/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unlinking by pattern: SCAN on one primary after the other, and an UNLINK for each key that it
 * names (keys of different slots cannot share one), 64 under way at most.
 *
 *   scan_wait ──keys──► unlinking ──all answered──► next cursor, next primary, or the end
 *
 * A sweep is for memory's sake and takes as long as it takes. It ends at the first failure: what it
 * left, expires.
 */
#include "cache/redis_priv.h"

enum { SWEEP_COUNT = 1000, SWEEP_UNDER_WAY = 64, SWEEP_KEYS_BYTES = 64 << 20 };

static void step(struct redis *redis);

void redis_sweep_end(struct redis *redis, enum err_e err) {
    struct redis_sweep *sweep = &redis->sweep;
    if (!sweep->running) {
        return;
    }
    sweep->running = false;
    buf_fini(&sweep->keys);
    buf_fini(&sweep->pattern);
    sweep->fn(sweep->data, err, sweep->count);
}

static void on_unlinked(struct redis_request *request, enum err_e err, const redisReply *reply) {
    struct redis *redis = request->redis;
    struct redis_sweep *sweep = &redis->sweep;
    sweep->under_way--;
    if (err != ERR_OK) {
        sweep->err = err;
    } else if (reply->type == REDIS_REPLY_INTEGER) {
        sweep->count += (uint64_t)reply->integer;
    }
    if (!redis->closing) {
        step(redis);
    }
}

static bool next_key(struct redis_sweep *sweep, struct slice *ret_key) {
    if (sweep->at == sweep->keys.len) {
        return false;
    }
    uint32_t len;
    memcpy(&len, sweep->keys.at + sweep->at, sizeof len);
    *ret_key = slice_from(sweep->keys.at + sweep->at + sizeof len, len);
    sweep->at += sizeof len + len;
    return true;
}

static enum err_e unlink_key(struct redis *redis, struct slice key) {
    struct redis_request *request = redis_request_new(redis, on_unlinked);
    if (request == NULL) {
        return ERR_NO_MEMORY;
    }
    redis_packet_begin(&request->packet, 2);
    redis_packet_add(&request->packet, SLICE_LIT("UNLINK"));
    redis_packet_add(&request->packet, key);
    request->slot = redis_slot_of(key);
    enum err_e err = redis_request_start(request);
    if (err != ERR_OK) {
        redis_request_free(request);
    }
    return err;
}

static void keep_keys(struct redis_sweep *sweep, const redisReply *keys) {
    buf_clear(&sweep->keys);
    sweep->at = 0;
    for (size_t i = 0; i < keys->elements; i++) {
        uint32_t len = (uint32_t)keys->element[i]->len;
        buf_add(&sweep->keys, slice_from((const char *)&len, sizeof len));
        buf_add(&sweep->keys, slice_from(keys->element[i]->str, len));
    }
    if (sweep->keys.failed) {
        sweep->err = ERR_NO_MEMORY;
    }
}

static bool is_scan(const redisReply *reply) {
    return reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
           reply->element[0]->type == REDIS_REPLY_STRING &&
           reply->element[1]->type == REDIS_REPLY_ARRAY;
}

static void on_scanned(struct redis_request *request, enum err_e err, const redisReply *reply) {
    struct redis *redis = request->redis;
    struct redis_sweep *sweep = &redis->sweep;
    sweep->under_way--;
    if (err != ERR_OK) {
        sweep->err = err;
    } else if (!is_scan(reply) ||
               !slice_to_cstr(slice_from(reply->element[0]->str, reply->element[0]->len),
                              sweep->cursor, sizeof sweep->cursor)) {
        sweep->err = ERR_UNAVAILABLE;
    } else {
        keep_keys(sweep, reply->element[1]);
    }
    if (!redis->closing) {
        step(redis);
    }
}

static enum err_e scan(struct redis *redis) {
    struct redis_sweep *sweep = &redis->sweep;
    const struct redis_node *node = &redis->nodes[sweep->node];
    if (!node->used || !redis_address_eq(&node->address, &sweep->address)) {
        return ERR_UNAVAILABLE; /* it left the cluster meanwhile */
    }
    struct redis_request *request = redis_request_new(redis, on_scanned);
    if (request == NULL) {
        return ERR_NO_MEMORY;
    }
    request->pinned = sweep->node;
    redis_packet_begin(&request->packet, 6);
    redis_packet_add(&request->packet, SLICE_LIT("SCAN"));
    redis_packet_add(&request->packet, slice_of(sweep->cursor));
    redis_packet_add(&request->packet, SLICE_LIT("MATCH"));
    redis_packet_add(&request->packet, buf_slice(&sweep->pattern));
    redis_packet_add(&request->packet, SLICE_LIT("COUNT"));
    redis_packet_add_int(&request->packet, SWEEP_COUNT);
    enum err_e err = redis_request_start(request);
    if (err != ERR_OK) {
        redis_request_free(request);
    }
    return err;
}

/* The next primary from `from` on; false when there is none left. */
static bool choose_node(struct redis *redis, unsigned from) {
    for (unsigned i = from; i < REDIS_NODES_MAX; i++) {
        const struct redis_node *node = &redis->nodes[i];
        if (node->used && node->mapped && node->slots > 0) {
            redis->sweep.node = (uint8_t)i;
            redis->sweep.address = node->address;
            strcpy(redis->sweep.cursor, "0");
            return true;
        }
    }
    return false;
}

static void scan_on(struct redis *redis) {
    struct redis_sweep *sweep = &redis->sweep;
    buf_clear(&sweep->keys);
    sweep->at = 0;
    bool finished = strcmp(sweep->cursor, "0") == 0;
    if (finished && !choose_node(redis, sweep->node + 1u)) {
        redis_sweep_end(redis, ERR_OK);
        return;
    }
    enum err_e err = scan(redis);
    if (err != ERR_OK) {
        redis_sweep_end(redis, err);
        return;
    }
    sweep->under_way++;
}

static void step(struct redis *redis) {
    struct redis_sweep *sweep = &redis->sweep;
    struct slice key;
    while (sweep->err == ERR_OK && sweep->under_way < SWEEP_UNDER_WAY && next_key(sweep, &key)) {
        sweep->err = unlink_key(redis, key);
        sweep->under_way += sweep->err == ERR_OK;
    }
    if (sweep->under_way > 0) {
        return;
    }
    if (sweep->err != ERR_OK) {
        redis_sweep_end(redis, sweep->err);
        return;
    }
    scan_on(redis);
}

enum err_e redis_sweep(struct redis *redis, struct slice pattern, redis_swept_fn fn, void *data) {
    struct redis_sweep *sweep = &redis->sweep;
    if (redis->closing) {
        return ERR_DRAINING;
    }
    if (sweep->running) {
        return ERR_OVERLOADED;
    }
    if (pattern.len == 0 || pattern.len > REDIS_KEY_MAX) {
        return ERR_INVALID_FIELD;
    }
    *sweep = (struct redis_sweep){.running = true, .fn = fn, .data = data};
    buf_init(&sweep->keys, SWEEP_KEYS_BYTES);
    buf_init(&sweep->pattern, REDIS_PREFIX_MAX + 2 + REDIS_KEY_MAX);
    buf_printf(&sweep->pattern, "%sk:", redis->prefix);
    buf_add(&sweep->pattern, pattern); /* may hold NULs */
    enum err_e err = sweep->pattern.failed ? ERR_NO_MEMORY
                     : choose_node(redis, 0) ? scan(redis) : ERR_UNAVAILABLE;
    if (err != ERR_OK) {
        sweep->running = false;
        buf_fini(&sweep->keys);
        buf_fini(&sweep->pattern);
        return err;
    }
    sweep->under_way = 1;
    return ERR_OK;
}
