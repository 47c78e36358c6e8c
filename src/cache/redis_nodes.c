/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The nodes: who is known, who is connected, and who owns which slot. The map is fetched when
 * something says that it may be old (a redirection, a lost connection, an unserved slot), at most
 * once a second, and from one node after the other.
 */
#include "base/log.h"
#include "cache/redis_priv.h"

uint8_t redis_node_index(const struct redis *redis, const struct redis_node *node) {
    return (uint8_t)(node - redis->nodes);
}

uint8_t redis_node_find(struct redis *redis, const struct redis_address *address) {
    uint8_t free_place = REDIS_NODE_NONE;
    for (uint8_t i = 0; i < REDIS_NODES_MAX; i++) {
        struct redis_node *node = &redis->nodes[i];
        if (node->used && redis_address_eq(&node->address, address)) {
            return i;
        }
        if (!node->used && free_place == REDIS_NODE_NONE) {
            free_place = i;
        }
    }
    if (free_place == REDIS_NODE_NONE) {
        counter_add(&redis->cells.map_skipped, 1);
        return REDIS_NODE_NONE;
    }
    struct redis_node *node = &redis->nodes[free_place];
    *node = (struct redis_node){.used = true, .address = *address, .primary_of = REDIS_NODE_NONE};
    redis_breaker_init(&node->breaker);
    return free_place;
}

void redis_node_failed(struct redis *redis, struct redis_node *node) {
    int64_t now_us = loop_now_us(redis->loop);
    node->connect_tries++;
    node->connect_at_us =
        now_us + (node->connect_tries == 1
                      ? 0
                      : redis_backoff_us(node->connect_tries + 1, rng_u64(&redis->chance.base)));
    redis->map_wanted = true;
    if (!redis->closing && redis_breaker_failed(&node->breaker, now_us)) {
        counter_add(&redis->cells.breaker_opened, 1);
        log_event(LOG_WARN, "redis_node_away", "loop=%d node=%u port=%u", loop_index(redis->loop),
                  redis_node_index(redis, node), node->address.port);
    }
}

void redis_node_answered(struct redis *redis, struct redis_node *node) {
    if (redis_breaker_succeeded(&node->breaker)) {
        redis->map_wanted = true;
        log_event(LOG_INFO, "redis_node_back", "loop=%d node=%u port=%u", loop_index(redis->loop),
                  redis_node_index(redis, node), node->address.port);
    }
}

static bool is_fit(const struct redis_node *node) {
    return node->used && node->breaker.state == REDIS_CLOSED;
}

uint8_t redis_node_pick(struct redis *redis, const struct redis_request *request) {
    uint8_t primary = redis->owner[request->slot];
    if (!request->reads || primary == REDIS_NODE_NONE) {
        return primary;
    }
    redis->spread_turn++;
    for (unsigned i = 0; i < REDIS_NODES_MAX; i++) {
        uint8_t index = (uint8_t)((redis->spread_turn + i) % REDIS_NODES_MAX);
        const struct redis_node *node = &redis->nodes[index];
        bool serves = index == primary || (node->mapped && node->primary_of == primary);
        if (serves && is_fit(node) && node->data != NULL && node->data->ready) {
            redis->spread_turn = index;
            return index;
        }
    }
    return primary;
}

void redis_node_drop_links(struct redis_node *node) {
    if (node->data != NULL) {
        node->data->unwanted = true;
        redis_link_drop(node->data);
    }
    if (node->feed != NULL) {
        node->feed->unwanted = true;
        redis_link_drop(node->feed);
    }
}

static void adopt_plan(struct redis *redis) {
    const struct redis_plan *plan = &redis->plan;
    uint8_t place[REDIS_NODES_MAX + 1];
    for (unsigned i = 0; i < REDIS_NODES_MAX; i++) {
        redis->nodes[i].mapped = false;
        redis->nodes[i].slots = 0;
    }
    for (unsigned i = 0; i < plan->count; i++) {
        place[i] = redis_node_find(redis, &plan->nodes[i]);
        if (place[i] != REDIS_NODE_NONE) {
            redis->nodes[place[i]].mapped = true;
        }
    }
    for (unsigned i = 0; i < plan->count; i++) {
        uint8_t primary = plan->primary_of[i];
        if (place[i] != REDIS_NODE_NONE) {
            redis->nodes[place[i]].primary_of =
                primary == REDIS_NODE_NONE ? REDIS_NODE_NONE : place[primary];
        }
    }
    for (unsigned slot = 0; slot < REDIS_SLOTS; slot++) {
        uint8_t owner = plan->owner[slot];
        redis->owner[slot] = owner == REDIS_NODE_NONE ? REDIS_NODE_NONE : place[owner];
        if (redis->owner[slot] != REDIS_NODE_NONE) {
            redis->nodes[redis->owner[slot]].slots++;
        }
    }
    counter_add(&redis->cells.map_skipped, plan->skipped);
}

static void forget_unmapped(struct redis *redis) {
    for (unsigned i = 0; i < REDIS_NODES_MAX; i++) {
        struct redis_node *node = &redis->nodes[i];
        if (node->used && !node->mapped && !node->seed) {
            redis_node_drop_links(node);
            node->used = false;
        }
    }
}

static void adopt_single(struct redis *redis, uint8_t index) {
    struct redis_plan *plan = &redis->plan;
    plan->count = 1;
    plan->skipped = 0;
    plan->nodes[0] = redis->nodes[index].address;
    plan->primary_of[0] = REDIS_NODE_NONE;
    memset(plan->owner, 0, sizeof plan->owner);
}

static void on_map(struct redis_request *request, enum err_e err, const redisReply *reply) {
    struct redis *redis = request->redis;
    int64_t now_us = loop_now_us(redis->loop);
    struct redis_node *node = &redis->nodes[request->pinned];
    redis->map_asked = false;
    redis->map_at_us = now_us + REDIS_MAP_AGAIN_US;
    struct redis_redirect unused;
    if (reply != NULL && reply->type == REDIS_REPLY_ERROR &&
        redis_error_parse(slice_from(reply->str, reply->len), NULL, &unused) == REDIS_SAYS_SINGLE) {
        adopt_single(redis, request->pinned);
    } else if (err != ERR_OK || !redis_plan_parse(reply, node->address.host, &redis->plan)) {
        return;
    }
    /* A node that has no slots to tell of (new, reset) must not take the map away that works. */
    if (redis->plan.count == 0 && redis->has_map) {
        return;
    }
    adopt_plan(redis);
    forget_unmapped(redis);
    counter_add(&redis->cells.map_refreshes, 1);
    redis->has_map = redis->plan.count > 0;
    redis->map_wanted = !redis->has_map;
    redis->map_at_us = now_us + REDIS_MAP_PAUSE_US;
}

static void ask_map(struct redis *redis, int64_t now_us) {
    for (unsigned i = 1; i <= REDIS_NODES_MAX; i++) {
        uint8_t index = (uint8_t)((redis->map_turn + i) % REDIS_NODES_MAX);
        const struct redis_node *node = &redis->nodes[index];
        if (!is_fit(node) || node->data == NULL || !node->data->ready) {
            continue;
        }
        redis->map_turn = index;
        struct redis_request *request = redis_request_new(redis, on_map);
        if (request == NULL) {
            return;
        }
        request->pinned = index;
        redis_packet_begin(&request->packet, 2);
        redis_packet_add(&request->packet, SLICE_LIT("CLUSTER"));
        redis_packet_add(&request->packet, SLICE_LIT("SLOTS"));
        if (redis_request_start(request) != ERR_OK) {
            redis_request_free(request);
            return;
        }
        redis->map_asked = true;
        redis->map_at_us = now_us + REDIS_MAP_PAUSE_US;
        return;
    }
}

/* Seeds serve until there is a map, and again when nobody on it answers. */
static bool is_wanted(const struct redis_node *node, bool seeds_needed) {
    return node->used && (node->mapped || (node->seed && seeds_needed));
}

static void keep_connected(struct redis *redis, struct redis_node *node, int64_t now_us) {
    if (node->data != NULL || now_us < node->connect_at_us) {
        return;
    }
    if (node->breaker.state == REDIS_OPEN && !redis_breaker_probe(&node->breaker, now_us)) {
        return;
    }
    node->data = redis_link_open(redis, node, false);
    if (node->data == NULL) {
        counter_add(&redis->cells.unreachable, 1);
        redis_node_failed(redis, node);
    }
}

void redis_nodes_tick(struct redis *redis, int64_t now_us) {
    bool seeds_needed = true;
    uint64_t known = 0;
    uint64_t away = 0;
    int best = REDIS_OPEN;
    for (unsigned i = 0; i < REDIS_NODES_MAX; i++) {
        const struct redis_node *node = &redis->nodes[i];
        seeds_needed = seeds_needed && !(node->mapped && is_fit(node));
    }
    for (unsigned i = 0; i < REDIS_NODES_MAX; i++) {
        struct redis_node *node = &redis->nodes[i];
        if (!is_wanted(node, seeds_needed)) {
            redis_node_drop_links(node);
            continue;
        }
        keep_connected(redis, node, now_us);
        bool closed = node->breaker.state == REDIS_CLOSED;
        known++;
        away += !closed;
        redis->map_wanted = redis->map_wanted || !closed; /* a failover may be under way */
        if (closed || (node->breaker.state == REDIS_HALF_OPEN && best == REDIS_OPEN)) {
            best = node->breaker.state;
        }
    }
    counter_add(&redis->cells.nodes, known - counter_read(&redis->cells.nodes));
    counter_add(&redis->cells.nodes_open, away - counter_read(&redis->cells.nodes_open));
    atomic_store_explicit(&redis->state, best, memory_order_relaxed);
    bool wanted = redis->map_wanted || now_us >= redis->map_at_us + REDIS_MAP_LIFE_US;
    if (wanted && !redis->map_asked && now_us >= redis->map_at_us) {
        ask_map(redis, now_us);
    }
}
