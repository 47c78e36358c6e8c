/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of one request: to a node, elsewhere when it is told so, again when that may help, and
 * back. Retries draw on a budget, so that trouble is not answered with more load; redirections do
 * not, they are how a cluster answers.
 */
#include "cache/redis_priv.h"

#include <stdlib.h>

void redis_list_append(struct redis_request_list *list, struct redis_request *request) {
    request->after = NULL;
    request->before = list->last;
    if (list->last != NULL) {
        list->last->after = request;
    } else {
        list->first = request;
    }
    list->last = request;
}

void redis_list_remove(struct redis_request_list *list, struct redis_request *request) {
    if (request->before != NULL) {
        request->before->after = request->after;
    } else {
        list->first = request->after;
    }
    if (request->after != NULL) {
        request->after->before = request->before;
    } else {
        list->last = request->before;
    }
    request->before = NULL;
    request->after = NULL;
}

struct redis_request *redis_request_new(struct redis *redis, redis_done_fn done) {
    struct redis_request *request = pool_borrow(&redis->requests);
    if (request == NULL) {
        return NULL;
    }
    struct buf packet = request->packet;
    *request = (struct redis_request){.redis = redis, .done = done, .packet = packet,
                                      .pinned = REDIS_NODE_NONE, .target = REDIS_NODE_NONE};
    if (packet.limit == 0) { /* new from the pool */
        buf_init(&request->packet, 2 * REDIS_VALUE_MAX);
    }
    buf_clear(&request->packet);
    request->begun_us = loop_now_us(redis->loop);
    request->deadline_us = request->begun_us + redis->options.timeout_ms * 1000;
    return request;
}

void redis_request_free(struct redis_request *request) {
    struct redis *redis = request->redis;
    if (request->packet.size > REDIS_PACKET_KEPT) {
        buf_fini(&request->packet);
        buf_init(&request->packet, 2 * REDIS_VALUE_MAX);
    }
    if (request->counted) {
        counter_sub(&redis->cells.requests, 1);
    }
    pool_give_back(&redis->requests, request);
}

static void answer(struct redis_request *request, enum err_e err, const redisReply *reply) {
    if (request->answered) {
        return;
    }
    request->answered = true;
    if (err == ERR_DEADLINE) {
        counter_add(&request->redis->cells.deadlines, 1);
    }
    request->done(request, request->redis->closing ? ERR_DRAINING : err, reply);
}

static void finish(struct redis_request *request, enum err_e err, const redisReply *reply) {
    answer(request, err, reply);
    redis_request_free(request);
}

static void hold(struct redis_request *request, int64_t pause_us) {
    request->resume_us = loop_now_us(request->redis->loop) + pause_us;
    redis_list_append(&request->redis->waiting, request);
    redis_tick_soon(request->redis);
}

static void on_reply(redisAsyncContext *ac, void *reply, void *data);

/* hiredis looks for line ends with strchr, beyond the length that it is given: a NUL stops it. */
static bool end_packet(struct buf *packet) {
    if (!buf_reserve(packet, 1)) {
        return false;
    }
    packet->at[packet->len] = '\0';
    return true;
}

static bool write_to(struct redis_link *link, struct redis_request *request) {
    struct slice asking = SLICE_LIT("*1\r\n$6\r\nASKING\r\n");
    if (!end_packet(&request->packet)) {
        return false;
    }
    if (request->asking &&
        redisAsyncFormattedCommand(link->ac, NULL, NULL, asking.at, asking.len) != REDIS_OK) {
        return false;
    }
    return redisAsyncFormattedCommand(link->ac, on_reply, request, request->packet.at,
                                      request->packet.len) == REDIS_OK;
}

/* Sends, or holds while the connection is being made. Refuses at once where nobody is at home. */
static enum err_e dispatch_to(struct redis_request *request, uint8_t index) {
    struct redis *redis = request->redis;
    if (index == REDIS_NODE_NONE || !redis->nodes[index].used ||
        redis->nodes[index].breaker.state != REDIS_CLOSED) {
        counter_add(&redis->cells.refused_open, 1);
        return ERR_UNAVAILABLE;
    }
    struct redis_link *link = redis->nodes[index].data;
    if (link == NULL || !write_to(link, request)) {
        hold(request, REDIS_TICK_BUSY_MS * 1000);
        return ERR_OK;
    }
    request->asking = false;
    request->target = REDIS_NODE_NONE;
    request->sent_us = loop_now_us(redis->loop);
    redis_list_append(&link->sent, request);
    redis_tick_soon(redis);
    return ERR_OK;
}

static bool any_seed_hopes(const struct redis *redis) {
    for (size_t i = 0; i < REDIS_NODES_MAX; i++) {
        if (redis->nodes[i].used && redis->nodes[i].breaker.state == REDIS_CLOSED) {
            return true;
        }
    }
    return false;
}

static enum err_e dispatch(struct redis_request *request) {
    struct redis *redis = request->redis;
    if (request->pinned != REDIS_NODE_NONE) {
        return dispatch_to(request, request->pinned);
    }
    if (request->target != REDIS_NODE_NONE) {
        return dispatch_to(request, request->target);
    }
    if (!redis->has_map && any_seed_hopes(redis)) {
        hold(request, REDIS_TICK_BUSY_MS * 1000);
        return ERR_OK;
    }
    return dispatch_to(request, redis_node_pick(redis, request));
}

enum err_e redis_request_start(struct redis_request *request) {
    if (request->packet.failed) {
        return ERR_NO_MEMORY;
    }
    redis_retry_budget_deposit(&request->redis->budget);
    return dispatch(request);
}

static void again(struct redis_request *request, const redisReply *reply) {
    struct redis *redis = request->redis;
    int64_t now_us = loop_now_us(redis->loop);
    request->tries++;
    request->asking = false;
    request->target = REDIS_NODE_NONE;
    int64_t pause_us = redis_backoff_us(request->tries, rng_u64(&redis->chance.base));
    if (request->answered || redis->closing) {
        finish(request, ERR_UNAVAILABLE, reply);
    } else if (now_us + pause_us >= request->deadline_us) {
        finish(request, ERR_DEADLINE, reply);
    } else if (!redis_retry_budget_take(&redis->budget)) {
        counter_add(&redis->cells.retries_refused, 1);
        finish(request, ERR_UNAVAILABLE, reply);
    } else {
        counter_add(&redis->cells.retries, 1);
        hold(request, pause_us);
    }
}

static void redirect(struct redis_request *request, enum redis_says_e says,
                     const struct redis_redirect *redirect) {
    struct redis *redis = request->redis;
    uint8_t index = redis_node_find(redis, &redirect->to);
    counter_add(says == REDIS_SAYS_MOVED ? &redis->cells.moved : &redis->cells.asked, 1);
    if (index != REDIS_NODE_NONE) {
        redis->nodes[index].mapped = true;
    }
    if (says == REDIS_SAYS_MOVED && index != REDIS_NODE_NONE) {
        redis->owner[redirect->slot] = index;
        redis->nodes[index].primary_of = REDIS_NODE_NONE;
        redis->map_wanted = true;
    }
    request->asking = says == REDIS_SAYS_ASK;
    request->target = request->asking ? index : REDIS_NODE_NONE;
    request->redirects++;
    if (request->answered || request->redirects > REDIS_REDIRECTS_MAX ||
        request->pinned != REDIS_NODE_NONE || dispatch_to(request, index) != ERR_OK) {
        finish(request, ERR_UNAVAILABLE, NULL);
    }
}

static void on_error(struct redis_request *request, const char *host, const redisReply *reply) {
    struct redis *redis = request->redis;
    struct redis_redirect to;
    enum redis_says_e says = redis_error_parse(slice_from(reply->str, reply->len), host, &to);
    switch (says) {
    case REDIS_SAYS_MOVED:
    case REDIS_SAYS_ASK:
        redirect(request, says, &to);
        break;
    case REDIS_SAYS_LOOK_AGAIN:
    case REDIS_SAYS_LATER:
        counter_add(&redis->cells.backed_off, 1);
        redis->map_wanted = redis->map_wanted || says == REDIS_SAYS_LOOK_AGAIN;
        again(request, reply);
        break;
    case REDIS_SAYS_OTHER:
        counter_add(&redis->cells.replies_bad, 1);
        finish(request, ERR_UNAVAILABLE, reply);
        break;
    case REDIS_SAYS_SINGLE:
        finish(request, ERR_UNAVAILABLE, reply);
        break;
    }
}

static void on_reply(redisAsyncContext *ac, void *answer_, void *data) {
    struct redis_link *link = ac->data;
    struct redis_request *request = data;
    struct redis *redis = request->redis;
    const redisReply *reply = answer_;
    redis_list_remove(&link->sent, request);
    if (reply == NULL) {
        redis_link_lost(link);
        again(request, NULL);
        return;
    }
    redis_node_answered(redis, link->node);
    if (reply->type == REDIS_REPLY_ERROR) {
        on_error(request, link->node->address.host, reply);
        return;
    }
    int64_t took_us = loop_now_us(redis->loop) - request->begun_us;
    counter_add(&redis->cells.answers, 1);
    counter_add(&redis->cells.answers_us, (uint64_t)(took_us < 0 ? 0 : took_us));
    finish(request, ERR_OK, reply);
}

/* Answers whose time is up. A node that kept one for the whole time-out has stopped answering: in a
 * pipeline nothing behind it can come either. */
static void check_link(struct redis_link *link, int64_t now_us) {
    bool stuck = !link->ready && now_us >= link->hello_until_us;
    int64_t patience_us = link->redis->options.timeout_ms * 1000;
    struct redis_request *next = link->sent.first;
    while (next != NULL) {
        struct redis_request *request = next;
        next = next->after;
        stuck = stuck || now_us - request->sent_us >= patience_us;
        if (now_us >= request->deadline_us) {
            answer(request, ERR_DEADLINE, NULL);
        }
    }
    if (stuck) {
        redis_link_drop(link);
    }
}

static void resume_waiting(struct redis *redis, int64_t now_us) {
    struct redis_request_list due = redis->waiting;
    redis->waiting = (struct redis_request_list){NULL, NULL};
    while (due.first != NULL) {
        struct redis_request *request = due.first;
        redis_list_remove(&due, request);
        if (now_us >= request->deadline_us) {
            finish(request, ERR_DEADLINE, NULL);
        } else if (now_us < request->resume_us) {
            redis_list_append(&redis->waiting, request);
        } else {
            enum err_e err = dispatch(request);
            if (err != ERR_OK) {
                finish(request, err, NULL);
            }
        }
    }
}

void redis_requests_tick(struct redis *redis, int64_t now_us) {
    for (size_t i = 0; i < REDIS_NODES_MAX; i++) {
        if (redis->nodes[i].data != NULL) {
            check_link(redis->nodes[i].data, now_us);
        }
    }
    resume_waiting(redis, now_us);
}

void redis_requests_end(struct redis *redis) {
    while (redis->waiting.first != NULL) {
        struct redis_request *request = redis->waiting.first;
        redis_list_remove(&redis->waiting, request);
        finish(request, ERR_DRAINING, NULL);
    }
}
