/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The invalidation channel: one more connection to each primary that owns slots.
 *
 *   CLIENT ID ──► CLIENT TRACKING ON REDIRECT <that id> BCAST PREFIX … ──► SUBSCRIBE ──► first beat
 *
 * It redirects to itself, so the two cannot die apart. A subscribed connection answers no PING that
 * hiredis would tell of, so the proof of life is what it is there for: five times a second the data
 * connection writes a numbered key of that node under a prefix of the client's own, and the channel
 * must tell of it. A node tells things in the order in which it did them, so a beat that comes back
 * proves that all news from before it was sent have come too: redis_heard_us is the least of these
 * times over all primaries. Three seconds without a word are silence. All primaries must be heard,
 * or the whole is silent.
 */
#include "base/log.h"
#include "cache/redis_priv.h"

#include <inttypes.h>
#include <stdio.h>

static void say(struct redis *redis, enum redis_news_e news, struct slice key) {
    counter_add(&redis->cells.news, 1);
    redis->options.news(redis->options.news_data, news, key);
}

/* "ID:{TAG}.NUMBER" of a beat. The end of an old one's life is told of too: that proves nothing. */
static void on_beat_heard(struct redis_link *link, struct slice name) {
    const char *dot = memrchr(name.at, '.', name.len);
    int64_t number = 0;
    if (dot == NULL || !slice_to_int(slice_skip(name, (size_t)(dot + 1 - name.at)), 1, INT64_MAX,
                                     &number)) {
        return;
    }
    size_t at = (uint64_t)number % REDIS_BEATS_KEPT;
    if (link->beats[at].number != (uint64_t)number) {
        return;
    }
    link->beats[at].number = 0;
    link->proved_us = link->beats[at].sent_us;
    link->ready = true;
    if (link->redis->heard) {
        link->redis->options.news(link->redis->options.news_data, REDIS_NEWS_BEAT, SLICE_NONE);
    }
}

static void on_key(struct redis_link *link, struct slice key) {
    struct redis *redis = link->redis;
    struct slice prefix = slice_of(redis->prefix);
    if (key.len < prefix.len + 2 || !slice_starts_with(key, prefix) ||
        key.at[prefix.len + 1] != ':') {
        return;
    }
    struct slice name = slice_skip(key, prefix.len + 2);
    if (key.at[prefix.len] == 'i') {
        say(redis, REDIS_NEWS_KEY, name);
    } else if (key.at[prefix.len] == 'e') {
        say(redis, REDIS_NEWS_EPOCH, name);
    } else if (key.at[prefix.len] == 'b') {
        on_beat_heard(link, name);
    }
}

static void on_invalidated(struct redis_link *link, const redisReply *keys) {
    struct redis *redis = link->redis;
    link->heard_us = loop_now_us(redis->loop);
    if (keys->type == REDIS_REPLY_NIL) { /* FLUSHALL, FLUSHDB */
        say(redis, REDIS_NEWS_ALL, SLICE_NONE);
        return;
    }
    for (size_t i = 0; keys->type == REDIS_REPLY_ARRAY && i < keys->elements; i++) {
        if (keys->element[i]->type == REDIS_REPLY_STRING) {
            on_key(link, slice_from(keys->element[i]->str, keys->element[i]->len));
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
    char own[32];
    snprintf(own, sizeof own, "b:%" PRIx64 ":", link->redis->beat_id);
    redisAsyncCommand(ac, on_tracking, NULL,
                      "CLIENT TRACKING ON REDIRECT %lld BCAST PREFIX %si: PREFIX %se: PREFIX %s%s",
                      reply->integer, prefix, prefix, prefix, own);
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

int64_t redis_heard_us(const struct redis *redis) {
    int64_t least_us = INT64_MAX;
    for (size_t i = 0; redis->heard && i < REDIS_NODES_MAX; i++) {
        const struct redis_node *node = &redis->nodes[i];
        if (is_due(node)) {
            int64_t proved_us = node->feed == NULL ? INT64_MIN : node->feed->proved_us;
            least_us = proved_us < least_us ? proved_us : least_us;
        }
    }
    return least_us == INT64_MAX ? INT64_MIN : least_us;
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

enum { BEAT_NAME_SIZE = 64 };

static struct slice beat_name(const struct redis *redis, const struct redis_node *node,
                              char text[BEAT_NAME_SIZE]) {
    int len = snprintf(text, BEAT_NAME_SIZE, "%" PRIx64 ":{%u}.%" PRIu64, redis->beat_id,
                       node->beat_tag, node->beat_number);
    return slice_from(text, (size_t)len);
}

/* Looks for a key whose slot the node owns: with 3 primaries about 3 tries, and kept. */
static bool find_beat_key(struct redis *redis, struct redis_node *node,
                          struct redis_request *request) {
    uint8_t index = redis_node_index(redis, node);
    for (unsigned tries = 0; tries < REDIS_SLOTS; tries++) {
        char text[BEAT_NAME_SIZE];
        struct slice name = beat_name(redis, node, text);
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
    node->beat_number++;
    size_t at = node->beat_number % REDIS_BEATS_KEPT;
    node->feed->beats[at].number = node->beat_number;
    node->feed->beats[at].sent_us = loop_now_us(redis->loop);
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
