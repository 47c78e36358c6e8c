/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The invalidation channel: one more connection to each primary that owns slots.
 *
 *   CLIENT ID ──► CLIENT TRACKING ON REDIRECT <that id> BCAST PREFIX … ──► SUBSCRIBE ──► first beat
 *
 * It redirects to itself, so the two cannot die apart. A subscribed connection answers no PING that
 * hiredis would tell of, so the proof of life is what it is there for: every second the data
 * connection writes a key of that node under a watched prefix, and the channel must tell of it.
 * Three seconds without a word are silence. All primaries must be heard, or the whole is silent.
 */
#include "base/log.h"
#include "cache/redis_priv.h"

#include <stdio.h>

static void say(struct redis *redis, enum redis_news_e news, struct slice key) {
    counter_add(&redis->cells.news, 1);
    redis->options.news(redis->options.news_data, news, key);
}

/* Beats of any client will do: they went through this node. */
static void on_key(struct redis *redis, struct slice key) {
    struct slice prefix = slice_of(redis->prefix);
    if (key.len < prefix.len + 2 || !slice_starts_with(key, prefix) ||
        key.at[prefix.len + 1] != ':') {
        return;
    }
    struct slice name = slice_skip(key, prefix.len + 2);
    if (key.at[prefix.len] == 'k') {
        say(redis, REDIS_NEWS_KEY, name);
    } else if (key.at[prefix.len] == 'e') {
        say(redis, REDIS_NEWS_EPOCH, name);
    }
}

static void on_invalidated(struct redis_link *link, const redisReply *keys) {
    struct redis *redis = link->redis;
    link->heard_us = loop_now_us(redis->loop);
    link->ready = true;
    if (keys->type == REDIS_REPLY_NIL) { /* FLUSHALL, FLUSHDB */
        say(redis, REDIS_NEWS_ALL, SLICE_NONE);
        return;
    }
    for (size_t i = 0; keys->type == REDIS_REPLY_ARRAY && i < keys->elements; i++) {
        if (keys->element[i]->type == REDIS_REPLY_STRING) {
            on_key(redis, slice_from(keys->element[i]->str, keys->element[i]->len));
        }
    }
}

static void on_message(redisAsyncContext *ac, void *answer, void *data) {
    (void)data;
    struct redis_link *link = ac->data;
    const redisReply *reply = answer;
    if (reply == NULL || link->ac == NULL) {
        redis_link_lost(link);
        return;
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3 ||
        reply->element[0]->type != REDIS_REPLY_STRING) {
        redis_link_drop(link);
        return;
    }
    if (strcmp(reply->element[0]->str, "message") == 0) {
        on_invalidated(link, reply->element[2]);
        return;
    }
    link->heard_us = loop_now_us(link->redis->loop); /* subscribed: the first beat is due */
    link->redis->beat_at_us = link->heard_us;
}

static void on_tracking(redisAsyncContext *ac, void *answer, void *data) {
    (void)data;
    struct redis_link *link = ac->data;
    const redisReply *reply = answer;
    if (reply == NULL || link->ac == NULL) {
        redis_link_lost(link);
        return;
    }
    if (reply->type != REDIS_REPLY_STATUS) {
        log_event(LOG_WARN, "redis_tracking_refused", "port=%u", link->node->address.port);
        redis_link_drop(link);
        return;
    }
    redisAsyncCommand(ac, on_message, NULL, "SUBSCRIBE __redis__:invalidate");
}

static void on_id(redisAsyncContext *ac, void *answer, void *data) {
    (void)data;
    struct redis_link *link = ac->data;
    const redisReply *reply = answer;
    if (reply == NULL || link->ac == NULL) {
        redis_link_lost(link);
        return;
    }
    if (reply->type != REDIS_REPLY_INTEGER) {
        redis_link_drop(link);
        return;
    }
    const char *prefix = link->redis->prefix;
    redisAsyncCommand(ac, on_tracking, NULL,
                      "CLIENT TRACKING ON REDIRECT %lld BCAST PREFIX %sk: PREFIX %se: PREFIX %sb:",
                      reply->integer, prefix, prefix, prefix);
}

void redis_feed_greet(struct redis_link *link) {
    link->heard_us = loop_now_us(link->redis->loop);
    redisAsyncCommand(link->ac, on_id, NULL, "CLIENT ID");
}

static bool is_due(const struct redis_node *node) {
    return node->used && node->mapped && node->slots > 0 && node->primary_of == REDIS_NODE_NONE;
}

static bool all_heard(const struct redis *redis) {
    bool any = false;
    for (size_t i = 0; i < REDIS_NODES_MAX; i++) {
        const struct redis_node *node = &redis->nodes[i];
        if (is_due(node) && (node->feed == NULL || !node->feed->ready)) {
            return false;
        }
        any = any || is_due(node);
    }
    return any;
}

static void fall_silent(struct redis *redis) {
    if (redis->heard && !redis->closing) {
        redis->heard = false;
        counter_add(&redis->cells.silences, 1);
        say(redis, REDIS_NEWS_SILENT, SLICE_NONE);
    }
}

void redis_feed_lost(struct redis *redis) {
    if (!all_heard(redis)) {
        fall_silent(redis);
    }
}

static void on_beat(struct redis_request *request, enum err_e err, const redisReply *reply) {
    (void)request; /* what counts is that the feed tells of it */
    (void)err;
    (void)reply;
}

static struct slice beat_name(unsigned tag, char text[16]) {
    int len = snprintf(text, 16, "{%u}", tag);
    return slice_from(text, (size_t)len);
}

/* Looks for a key whose slot the node owns: with 3 primaries about 3 tries, and kept. */
static bool find_beat_key(struct redis *redis, struct redis_node *node,
                          struct redis_request *request) {
    uint8_t index = redis_node_index(redis, node);
    for (unsigned tries = 0; tries < REDIS_SLOTS; tries++) {
        char text[16];
        struct slice name = beat_name(node->beat_tag, text);
        if (redis->owner[redis_slot_of(name)] == index) {
            redis_packet_add_key(request, 'b', name);
            return true;
        }
        node->beat_tag = (node->beat_tag + 1) % (8 * REDIS_SLOTS);
    }
    return false;
}

static void beat(struct redis *redis, struct redis_node *node) {
    struct redis_request *request = redis_request_new(redis, on_beat);
    if (request == NULL) {
        return;
    }
    request->pinned = redis_node_index(redis, node);
    redis_packet_begin(&request->packet, 5);
    redis_packet_add(&request->packet, SLICE_LIT("SET"));
    bool found = find_beat_key(redis, node, request);
    redis_packet_add(&request->packet, SLICE_LIT("1"));
    redis_packet_add(&request->packet, SLICE_LIT("PX"));
    redis_packet_add_int(&request->packet, REDIS_BEAT_LIFE_MS);
    if (!found || redis_request_start(request) != ERR_OK) {
        redis_request_free(request);
    }
}

static void tend(struct redis *redis, struct redis_node *node, int64_t now_us) {
    if (!is_due(node)) {
        if (node->feed != NULL) {
            node->feed->unwanted = true;
            redis_link_drop(node->feed);
        }
        return;
    }
    if (node->feed != NULL && now_us - node->feed->heard_us >= REDIS_SILENT_US) {
        redis_link_drop(node->feed);
    }
    if (node->feed == NULL && now_us >= node->feed_at_us &&
        node->breaker.state == REDIS_CLOSED) {
        node->feed_at_us = now_us + REDIS_MAP_AGAIN_US;
        node->feed = redis_link_open(redis, node, true);
    }
}

void redis_feeds_tick(struct redis *redis, int64_t now_us) {
    if (redis->options.news == NULL) {
        return;
    }
    bool beats = now_us >= redis->beat_at_us;
    for (size_t i = 0; i < REDIS_NODES_MAX; i++) {
        struct redis_node *node = &redis->nodes[i];
        tend(redis, node, now_us);
        if (beats && node->feed != NULL) {
            beat(redis, node);
        }
    }
    if (beats) {
        redis->beat_at_us = now_us + REDIS_BEAT_US;
    }
    bool heard = all_heard(redis);
    if (!heard) {
        fall_silent(redis);
    } else if (!redis->heard) {
        redis->heard = true;
        say(redis, REDIS_NEWS_HEARD, SLICE_NONE);
    }
}
