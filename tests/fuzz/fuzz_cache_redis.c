/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input is what a Redis node sends, taken apart by hiredis as the client does it. Whatever a
 * reply says: a map of slots names only nodes that it has, a redirection a slot that there is and a
 * numeric address, and only an intact envelope of this key is a value.
 */
#include "base/assert.h"
#include "cache/redis_map_priv.h"
#include "cache/redis_value_priv.h"
#include "fuzz.h"

static const char key[] = "participant:e:id=7";

static void check_address(const struct redis_address *address) {
    ASSERT(address->port != 0);
    ASSERT(memchr(address->host, '\0', REDIS_HOST_SIZE) != NULL);
}

static void check_plan(const struct redis_plan *plan) {
    ASSERT(plan->count <= REDIS_NODES_MAX);
    for (unsigned i = 0; i < plan->count; i++) {
        check_address(&plan->nodes[i]);
        ASSERT(plan->primary_of[i] == REDIS_NODE_NONE || plan->primary_of[i] < plan->count);
    }
    for (int slot = 0; slot < REDIS_SLOTS; slot++) {
        ASSERT(plan->owner[slot] == REDIS_NODE_NONE || plan->owner[slot] < plan->count);
    }
}

static void check_error(struct slice text) {
    struct redis_redirect redirect;
    enum redis_says_e says = redis_error_parse(text, "127.0.0.1", &redirect);
    if (says == REDIS_SAYS_MOVED || says == REDIS_SAYS_ASK) {
        ASSERT(redirect.slot < REDIS_SLOTS);
        check_address(&redirect.to);
    }
}

static void check_value(struct slice bytes) {
    struct redis_envelope envelope;
    char head[REDIS_ENVELOPE];
    if (redis_envelope_read(slice_of(key), bytes, &envelope)) {
        ASSERT(envelope.generation != 0);
        redis_envelope_write(slice_of(key), &envelope, head);
        ASSERT(memcmp(head, bytes.at, REDIS_ENVELOPE) == 0);
    }
}

static void take_reply(const struct redisReply *reply) {
    static struct redis_plan plan;
    if (redis_plan_parse(reply, "127.0.0.1", &plan)) {
        check_plan(&plan);
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        check_error(slice_from(reply->str, reply->len));
    } else if (reply->type == REDIS_REPLY_STRING) {
        check_value(slice_from(reply->str, reply->len));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;
    ASSERT(reader != NULL && redis_reader_bound(reader));
    if (redisReaderFeed(reader, (const char *)data, size) == REDIS_OK) {
        while (redisReaderGetReply(reader, &reply) == REDIS_OK && reply != NULL) {
            take_reply(reply);
            freeReplyObject(reply);
            reply = NULL;
        }
    }
    redisReaderFree(reader);
    return 0;
}
