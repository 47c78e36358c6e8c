/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses, the slot map and redirections, read with suspicion. */
#include "cache/redis_map_priv.h"

#include <arpa/inet.h>

#include <stdio.h>
#include <threads.h>

/* ── how long an array may be ── */

static redisReplyObjectFunctions usual, bounded; /* usual: hiredis' own */

static void *create_array(const redisReadTask *task, int elements) {
    return elements > REDIS_ELEMENTS_MAX ? NULL : usual.createArray(task, elements);
}

static void learn_usual(void) {
    redisReader *reader = redisReaderCreate();
    if (reader != NULL) {
        usual = bounded = *reader->fn;
        bounded.createArray = create_array;
        redisReaderFree(reader);
    }
}

bool redis_reader_bound(redisReader *reader) {
    static once_flag once = ONCE_FLAG_INIT;
    call_once(&once, learn_usual);
    if (usual.createArray == NULL) {
        return false;
    }
    reader->fn = &bounded;
    return true;
}

/* ── addresses ── */

bool redis_address_eq(const struct redis_address *a, const struct redis_address *b) {
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

static bool host_is_numeric(const char *host) {
    unsigned char bytes[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

static bool address_set(struct slice host, const char *asked_host, int64_t port,
                        struct redis_address *ret_address) {
    if (host.len == 0) {
        host = slice_of(asked_host);
    }
    if (port < 1 || port > UINT16_MAX ||
        !slice_to_cstr(host, ret_address->host, sizeof ret_address->host)) {
        return false;
    }
    ret_address->port = (uint16_t)port;
    return host_is_numeric(ret_address->host);
}

bool redis_address_parse(struct slice text, const char *asked_host,
                         struct redis_address *ret_address) {
    const char *colon = text.len == 0 ? NULL : memrchr(text.at, ':', text.len);
    if (colon == NULL) {
        return false;
    }
    struct slice host = slice_from(text.at, (size_t)(colon - text.at));
    struct slice digits = slice_skip(text, host.len + 1);
    int64_t port;
    if (!slice_to_int(digits, 1, UINT16_MAX, &port)) {
        return false;
    }
    if (host.len >= 2 && host.at[0] == '[' && host.at[host.len - 1] == ']') {
        host = slice_from(host.at + 1, host.len - 2);
    }
    return address_set(host, asked_host, port, ret_address);
}

/* The plan's index for one [host, port, id, …]; NONE when it is left out. */
static uint8_t plan_node(struct redis_plan *plan, const redisReply *node, const char *asked_host) {
    if (node->type != REDIS_REPLY_ARRAY || node->elements < 2 ||
        node->element[1]->type != REDIS_REPLY_INTEGER) {
        plan->skipped++;
        return REDIS_NODE_NONE;
    }
    const redisReply *host = node->element[0];
    struct slice name = host->type == REDIS_REPLY_STRING ? slice_from(host->str, host->len)
                                                         : SLICE_NONE;
    struct redis_address address;
    if (!address_set(name, asked_host, node->element[1]->integer, &address)) {
        plan->skipped++;
        return REDIS_NODE_NONE;
    }
    for (unsigned i = 0; i < plan->count; i++) {
        if (redis_address_eq(&plan->nodes[i], &address)) {
            return (uint8_t)i;
        }
    }
    if (plan->count == REDIS_NODES_MAX) {
        plan->skipped++;
        return REDIS_NODE_NONE;
    }
    plan->nodes[plan->count] = address;
    plan->primary_of[plan->count] = REDIS_NODE_NONE;
    return (uint8_t)plan->count++;
}

static bool range_is_sound(const redisReply *range) {
    return range->type == REDIS_REPLY_ARRAY && range->elements >= 3 &&
           range->element[0]->type == REDIS_REPLY_INTEGER &&
           range->element[1]->type == REDIS_REPLY_INTEGER && range->element[0]->integer >= 0 &&
           range->element[0]->integer <= range->element[1]->integer &&
           range->element[1]->integer < REDIS_SLOTS;
}

static bool plan_range(struct redis_plan *plan, const redisReply *range, const char *asked_host) {
    if (!range_is_sound(range)) {
        return false;
    }
    uint8_t primary = plan_node(plan, range->element[2], asked_host);
    size_t first = (size_t)range->element[0]->integer;
    size_t last = (size_t)range->element[1]->integer;
    memset(plan->owner + first, primary, last - first + 1);
    for (size_t i = 3; i < range->elements; i++) {
        uint8_t replica = plan_node(plan, range->element[i], asked_host);
        if (replica != REDIS_NODE_NONE && replica != primary) {
            plan->primary_of[replica] = primary;
        }
    }
    return true;
}

bool redis_plan_parse(const struct redisReply *reply, const char *asked_host,
                      struct redis_plan *ret_plan) {
    ret_plan->count = 0;
    ret_plan->skipped = 0;
    memset(ret_plan->owner, REDIS_NODE_NONE, sizeof ret_plan->owner);
    if (reply->type != REDIS_REPLY_ARRAY) {
        return false;
    }
    for (size_t i = 0; i < reply->elements; i++) {
        if (!plan_range(ret_plan, reply->element[i], asked_host)) {
            return false;
        }
    }
    return true;
}

static bool redirect_parse(struct slice rest, const char *asked_host,
                           struct redis_redirect *ret_redirect) {
    struct slice slot;
    struct slice address;
    int64_t number;
    if (!slice_next(&rest, ' ', &slot) || !slice_next(&rest, ' ', &address) ||
        !slice_to_int(slot, 0, REDIS_SLOTS - 1, &number)) {
        return false;
    }
    ret_redirect->slot = (unsigned)number;
    return redis_address_parse(address, asked_host, &ret_redirect->to);
}

enum redis_says_e redis_error_parse(struct slice text, const char *asked_host,
                                    struct redis_redirect *ret_redirect) {
    static const struct {
        const char *begins;
        enum redis_says_e says;
    } rows[] = {
        {"MOVED ", REDIS_SAYS_MOVED},
        {"ASK ", REDIS_SAYS_ASK},
        {"TRYAGAIN", REDIS_SAYS_LATER},
        {"LOADING", REDIS_SAYS_LATER},
        {"BUSY ", REDIS_SAYS_LATER},
        {"CLUSTERDOWN", REDIS_SAYS_LOOK_AGAIN},
        {"READONLY", REDIS_SAYS_LOOK_AGAIN},
        {"MASTERDOWN", REDIS_SAYS_LOOK_AGAIN},
        {"ERR This instance has cluster support disabled", REDIS_SAYS_SINGLE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct slice begins = slice_of(rows[i].begins);
        if (!slice_starts_with(text, begins)) {
            continue;
        }
        bool redirects = rows[i].says == REDIS_SAYS_MOVED || rows[i].says == REDIS_SAYS_ASK;
        if (redirects && !redirect_parse(slice_skip(text, begins.len), asked_host, ret_redirect)) {
            return REDIS_SAYS_OTHER;
        }
        return rows[i].says;
    }
    return REDIS_SAYS_OTHER;
}
