/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection: hiredis on libuv. hiredis owns the socket and says when it wants to read or
 * write; a poll handle of libuv tells it that it can. The handle outlives the socket by a turn of
 * the loop, so it lives in the link, and the link is freed when the handle has closed.
 *
 * What a turn of the loop wrote goes out at its end in one piece, without asking whether it can:
 * asking cost two changes of the poll set and a turn for each batch. Only what did not fit waits
 * for the poll handle.
 *
 * Ways to be lost: the connect fails, the peer hangs up, or redis_link_drop. All of them end in the
 * `cleanup` hook; a pending callback may see the loss first, with a NULL reply.
 */
#include "cache/redis_priv.h"

#include <stdlib.h>

static void write_now(struct redis_link *link) {
    link->writing = true;
    redisAsyncHandleWrite(link->ac);
    link->writing = false;
}

static void on_poll(uv_poll_t *poll, int status, int events) {
    struct redis_link *link = poll->data;
    if (link->ac == NULL) {
        return;
    }
    if (status < 0) { /* libuv's word for POLLERR: refused or reset */
        redis_link_drop(link);
        return;
    }
    if ((events & UV_READABLE) != 0) {
        redisAsyncHandleRead(link->ac);
    }
    if ((events & UV_WRITABLE) != 0 && link->ac != NULL) {
        write_now(link);
    }
}

static void want(struct redis_link *link, int events) {
    if (!link->polled || events == link->events) {
        return;
    }
    link->events = events;
    if (events == 0) {
        uv_poll_stop(&link->poll);
    } else {
        uv_poll_start(&link->poll, events, on_poll);
    }
}

static void add_read(void *data) {
    struct redis_link *link = data;
    want(link, link->events | UV_READABLE);
}

static void del_read(void *data) {
    struct redis_link *link = data;
    want(link, link->events & ~UV_READABLE);
}

static void add_write(void *data) {
    struct redis_link *link = data;
    if (link->connected && !link->writing) {
        link->has_output = true;
        link->redis->has_output = true;
        return;
    }
    want(link, link->events | UV_WRITABLE);
}

static void flush(struct redis_link *link) {
    if (link != NULL && link->has_output) {
        link->has_output = false;
        write_now(link);
    }
}

/* A connection that is lost here has its requests sent elsewhere: hence the loop. */
void redis_links_flush(struct redis *redis) {
    while (redis->has_output) {
        redis->has_output = false;
        for (size_t i = 0; i < REDIS_NODES_MAX; i++) {
            flush(redis->nodes[i].data);
            flush(redis->nodes[i].feed);
        }
    }
}

static void del_write(void *data) {
    struct redis_link *link = data;
    want(link, link->events & ~UV_WRITABLE);
}

static void on_closed(uv_handle_t *handle) {
    struct redis_link *link = handle->data;
    struct redis *redis = link->redis;
    free(link);
    redis_handle_closed(redis);
}

static void cleanup(void *data) {
    struct redis_link *link = data;
    redis_link_lost(link);
    ASSERT(link->sent.first == NULL);
    link->polled = false;
    uv_close((uv_handle_t *)&link->poll, on_closed);
}

static void on_connect(const redisAsyncContext *ac, int status) {
    struct redis_link *link = ac->data;
    link->connected = status == REDIS_OK;
    if (status != REDIS_OK) {
        redis_link_lost(link);
    }
}

static void on_disconnect(const redisAsyncContext *ac, int status) {
    (void)status;
    redis_link_lost(ac->data);
}

static void on_greeted(redisAsyncContext *ac, void *answer, void *data) {
    (void)data;
    struct redis_link *link = ac->data;
    const redisReply *reply = answer;
    if (reply == NULL || link->ac == NULL) {
        redis_link_lost(link);
        return;
    }
    if (reply->type != REDIS_REPLY_STATUS) { /* LOADING, NOAUTH: there, but of no use */
        redis_link_drop(link);
        return;
    }
    link->ready = true;
    link->node->connect_tries = 0;
    redis_node_answered(link->redis, link->node);
}

static void greet(struct redis_link *link) {
    const struct redis_options *options = &link->redis->options;
    if (options->password != NULL) {
        redisAsyncCommand(link->ac, NULL, NULL, "AUTH %s", options->password);
    }
    if (link->feed) {
        redis_feed_greet(link);
        return;
    }
    if (options->reads == REDIS_READ_SPREAD) { /* an error without cluster mode, and no matter */
        redisAsyncCommand(link->ac, NULL, NULL, "READONLY");
    }
    redisAsyncCommand(link->ac, on_greeted, NULL, "PING");
}

static bool attach(struct redis_link *link, redisAsyncContext *ac) {
    if (uv_poll_init(loop_uv(link->redis->loop), &link->poll, ac->c.fd) != 0) {
        return false;
    }
    link->redis->handles++;
    link->poll.data = link;
    link->polled = true;
    link->ac = ac;
    ac->data = link;
    ac->ev.data = link;
    ac->ev.addRead = add_read;
    ac->ev.delRead = del_read;
    ac->ev.addWrite = add_write;
    ac->ev.delWrite = del_write;
    ac->ev.cleanup = cleanup;
    redisAsyncSetConnectCallback(ac, on_connect);
    redisAsyncSetDisconnectCallback(ac, on_disconnect);
    return true;
}

struct redis_link *redis_link_open(struct redis *redis, struct redis_node *node, bool feed) {
    struct redis_link *link = calloc(1, sizeof *link);
    if (link == NULL) {
        return NULL;
    }
    link->redis = redis;
    link->node = node;
    link->feed = feed;
    link->hello_until_us = loop_now_us(redis->loop) + REDIS_HELLO_US;
    redisAsyncContext *ac = redisAsyncConnect(node->address.host, node->address.port);
    if (ac == NULL || ac->err != 0 || !redis_reader_bound(ac->c.reader) || !attach(link, ac)) {
        if (ac != NULL) {
            redisAsyncFree(ac);
        }
        free(link);
        return NULL;
    }
    greet(link);
    return link;
}

static void count_loss(struct redis_link *link) {
    struct redis_cells *cells = &link->redis->cells;
    counter_add(link->connected ? &cells->disconnects : &cells->unreachable, 1);
}

void redis_link_lost(struct redis_link *link) {
    if (link->ac == NULL) {
        return;
    }
    link->ac = NULL;
    struct redis *redis = link->redis;
    struct redis_node *node = link->node;
    if (!link->unwanted) {
        count_loss(link);
    }
    if (link->feed) {
        node->feed = NULL;
        node->feed_at_us = loop_now_us(redis->loop) + REDIS_MAP_AGAIN_US;
        redis_feed_lost(redis);
        return;
    }
    node->data = NULL;
    if (!link->unwanted) {
        redis_node_failed(redis, node);
    }
}

void redis_link_drop(struct redis_link *link) {
    redisAsyncContext *ac = link->ac;
    if (ac == NULL) {
        return;
    }
    redis_link_lost(link);
    redisAsyncFree(ac);
}
