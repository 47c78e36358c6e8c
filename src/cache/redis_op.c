/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What callers may ask: each operation is a command to write and an answer to read, in one table.
 *
 * A fill is a compare-and-set in Lua, on the key's own generation: an invalidation writes a
 * tombstone with a new one, so whoever read the truth before cannot land after. One key holds it
 * all, so no hash tags are needed. EVAL carries the whole script each time (150 bytes): a node that
 * was restarted or took over knows no scripts.
 *
 * An invalidation is two requests, one after the other: the tombstone, then word of it to everybody
 * who listens, through a key of its own that is written and removed at once. Listeners cannot watch
 * the values themselves, or every fill would drop what the others hold; and word must not come
 * first, or they would fetch the old value anew. Two keys in one script would have to share a slot,
 * and while that slot moves to another node Redis refuses commands with two keys.
 */
#include "cache/redis_priv.h"
#include "cache/redis_value_priv.h"

#include <stdio.h>

/* Epochs leap: one that was lost (FLUSHALL, failover) and starts anew does not come to a number
 * again that old values carry. Four billion raises fit. */
#define EPOCH_STEP_MAX ((uint64_t)1 << 31)

#define SCRIPT_FILL                                                                                \
    "if redis.call('GETRANGE',KEYS[1],4,11)~=ARGV[1] then return 0 end "                           \
    "redis.call('SET',KEYS[1],ARGV[2],'PX',ARGV[3]) return 1"
#define SCRIPT_ANNOUNCE "redis.call('SET',KEYS[1],'') return redis.call('DEL',KEYS[1])"
#define SCRIPT_RELEASE                                                                             \
    "if redis.call('GET',KEYS[1])~=ARGV[1] then return 0 end "                                     \
    "return redis.call('UNLINK',KEYS[1])"

/* Only what was seen, by its length and the envelope at its beginning: what came since may be the
 * tombstone of a change, and without that an older fill would land. */
#define SCRIPT_DROP                                                                                \
    "if redis.call('STRLEN',KEYS[1])~=tonumber(ARGV[1]) or "                                       \
    "redis.call('GETRANGE',KEYS[1],0,ARGV[2])~=ARGV[3] then return 0 end "                         \
    "return redis.call('UNLINK',KEYS[1])"

/* "$12\r\n". By hand: formatting with printf took a third of the instructions of a get. */
static void add_head(struct buf *packet, char mark, size_t number) {
    char text[24];
    size_t at = sizeof text;
    text[--at] = '\n';
    text[--at] = '\r';
    do {
        text[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    text[--at] = mark;
    buf_add(packet, slice_from(text + at, sizeof text - at));
}

static void add_end(struct buf *packet) {
    buf_add(packet, SLICE_LIT("\r\n"));
}

void redis_packet_begin(struct buf *packet, size_t arguments) {
    add_head(packet, '*', arguments);
}

void redis_packet_add(struct buf *packet, struct slice argument) {
    add_head(packet, '$', argument.len);
    buf_add(packet, argument);
    add_end(packet);
}

void redis_packet_add_int(struct buf *packet, int64_t value) {
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%lld", (long long)value);
    redis_packet_add(packet, slice_from(digits, (size_t)len));
}

void redis_packet_add_key(struct redis_request *request, char kind, struct slice key) {
    struct buf *packet = &request->packet;
    struct slice prefix = slice_of(request->redis->prefix);
    add_head(packet, '$', prefix.len + 2 + key.len);
    request->key_at = packet->len;
    request->key_len = prefix.len + 2 + key.len;
    buf_add(packet, prefix);
    buf_add(packet, slice_from((const char[]){kind, ':'}, 2));
    buf_add(packet, key);
    add_end(packet);
    request->slot = packet->failed ? 0 : redis_slot_of(redis_request_key(request));
}

static uint64_t fresh_generation(struct redis *redis) {
    uint64_t generation = rng_u64(&redis->chance.base);
    return generation == 0 ? 1 : generation;
}

static void add_envelope(struct redis_request *request, enum redis_kind_e kind,
                         const struct redis_call *call) {
    struct redis_envelope envelope = {
        .kind = kind,
        .generation = fresh_generation(request->redis),
        .version = call->version,
        .payload = kind == REDIS_KIND_VALUE ? call->value : SLICE_NONE,
    };
    struct buf *packet = &request->packet;
    char head[REDIS_ENVELOPE];
    if (!packet->failed) {
        redis_envelope_write(redis_request_key(request), &envelope, head);
        add_head(packet, '$', sizeof head + envelope.payload.len);
        buf_add(packet, slice_from(head, sizeof head));
        buf_add(packet, envelope.payload);
        add_end(packet);
    }
}

static void add_token(struct buf *packet, uint64_t token) {
    char bytes[8];
    redis_put_u64(bytes, token);
    redis_packet_add(packet, slice_from(bytes, sizeof bytes));
}

static void write_get(struct redis_request *request, const struct redis_call *call) {
    redis_packet_begin(&request->packet, 2);
    redis_packet_add(&request->packet, SLICE_LIT("GET"));
    redis_packet_add_key(request, 'k', call->key);
    request->reads = request->redis->options.reads == REDIS_READ_SPREAD;
}

static void write_put(struct redis_request *request, const struct redis_call *call) {
    bool is_value = call->op == REDIS_SET;
    redis_packet_begin(&request->packet, 5);
    redis_packet_add(&request->packet, SLICE_LIT("SET"));
    redis_packet_add_key(request, 'k', call->key);
    add_envelope(request, is_value ? REDIS_KIND_VALUE : REDIS_KIND_TOMBSTONE, call);
    redis_packet_add(&request->packet, SLICE_LIT("PX"));
    redis_packet_add_int(&request->packet, is_value ? call->ttl_ms : REDIS_TOMBSTONE_MS);
}

static void write_fill(struct redis_request *request, const struct redis_call *call) {
    redis_packet_begin(&request->packet, 7);
    redis_packet_add(&request->packet, SLICE_LIT("EVAL"));
    redis_packet_add(&request->packet, SLICE_LIT(SCRIPT_FILL));
    redis_packet_add(&request->packet, SLICE_LIT("1"));
    redis_packet_add_key(request, 'k', call->key);
    if (call->ticket.generation == 0) {
        redis_packet_add(&request->packet, SLICE_NONE);
    } else {
        add_token(&request->packet, call->ticket.generation);
    }
    add_envelope(request, REDIS_KIND_VALUE, call);
    redis_packet_add_int(&request->packet, call->ttl_ms);
}

static void write_unlink(struct redis_request *request, const struct redis_call *call) {
    redis_packet_begin(&request->packet, 2);
    redis_packet_add(&request->packet, SLICE_LIT("UNLINK"));
    redis_packet_add_key(request, 'k', call->key);
}

static void write_lease(struct redis_request *request, const struct redis_call *call) {
    redis_packet_begin(&request->packet, 6);
    redis_packet_add(&request->packet, SLICE_LIT("SET"));
    redis_packet_add_key(request, 'l', call->key);
    add_token(&request->packet, call->token);
    redis_packet_add(&request->packet, SLICE_LIT("NX"));
    redis_packet_add(&request->packet, SLICE_LIT("PX"));
    redis_packet_add_int(&request->packet, call->ttl_ms);
}

static void write_release(struct redis_request *request, const struct redis_call *call) {
    redis_packet_begin(&request->packet, 5);
    redis_packet_add(&request->packet, SLICE_LIT("EVAL"));
    redis_packet_add(&request->packet, SLICE_LIT(SCRIPT_RELEASE));
    redis_packet_add(&request->packet, SLICE_LIT("1"));
    redis_packet_add_key(request, 'l', call->key);
    add_token(&request->packet, call->token);
}

static void write_epoch(struct redis_request *request, const struct redis_call *call) {
    bool raises = call->op == REDIS_EPOCH_RAISE;
    redis_packet_begin(&request->packet, raises ? 3 : 2);
    redis_packet_add(&request->packet, raises ? SLICE_LIT("INCRBY") : SLICE_LIT("GET"));
    redis_packet_add_key(request, 'e', call->key);
    if (raises) {
        uint64_t leap = rng_below(&request->redis->chance.base, EPOCH_STEP_MAX);
        redis_packet_add_int(&request->packet, 1 + (int64_t)leap);
    }
}

/* Nobody waits for this one: a damaged value goes, the miss is told already. */
static void on_dropped(struct redis_request *request, enum err_e err, const redisReply *reply) {
    (void)request;
    (void)err;
    (void)reply;
}

static void drop_value(struct redis_request *seen, struct slice bytes) {
    struct redis_request *request = redis_request_new(seen->redis, on_dropped);
    if (request == NULL) {
        return;
    }
    size_t head_len = bytes.len < REDIS_ENVELOPE ? bytes.len : REDIS_ENVELOPE;
    redis_packet_begin(&request->packet, 7);
    redis_packet_add(&request->packet, SLICE_LIT("EVAL"));
    redis_packet_add(&request->packet, SLICE_LIT(SCRIPT_DROP));
    redis_packet_add(&request->packet, SLICE_LIT("1"));
    redis_packet_add(&request->packet, redis_request_key(seen));
    redis_packet_add_int(&request->packet, (int64_t)bytes.len);
    redis_packet_add_int(&request->packet, REDIS_ENVELOPE - 1);
    redis_packet_add(&request->packet, slice_from(bytes.at, head_len));
    request->slot = seen->slot;
    if (redis_request_start(request) != ERR_OK) {
        redis_request_free(request);
    }
}

static bool read_envelope(struct redis_request *request, struct slice bytes,
                          struct redis_envelope *ret_envelope) {
    struct redis *redis = request->redis;
    if (bytes.len > redis->options.value_max + REDIS_ENVELOPE) {
        counter_add(&redis->cells.oversized, 1);
        drop_value(request, bytes);
        return false;
    }
    if (!redis_envelope_read(redis_request_key(request), bytes, ret_envelope)) {
        counter_add(&redis->cells.corrupt, 1);
        drop_value(request, bytes);
        return false;
    }
    return true;
}

/* The readers return false for a shape that Redis never sends. */
static bool read_get(struct redis_request *request, const redisReply *reply,
                     struct redis_answer *answer) {
    answer->outcome = REDIS_MISS;
    answer->ticket = (struct redis_ticket){.generation = 0, .begun_us = request->begun_us};
    struct redis_envelope envelope;
    if (reply->type == REDIS_REPLY_STRING &&
        read_envelope(request, slice_from(reply->str, reply->len), &envelope)) {
        answer->ticket.generation = envelope.generation;
        if (envelope.kind == REDIS_KIND_VALUE) {
            answer->outcome = REDIS_HIT;
            answer->value = envelope.payload;
            answer->version = envelope.version;
        }
    }
    struct redis_cells *cells = &request->redis->cells;
    counter_add(answer->outcome == REDIS_HIT ? &cells->hits : &cells->misses, 1);
    return reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_NIL;
}

static bool read_done(struct redis_request *request, const redisReply *reply,
                      struct redis_answer *answer) {
    (void)request;
    answer->outcome = REDIS_DONE;
    return reply->type == REDIS_REPLY_STATUS || reply->type == REDIS_REPLY_INTEGER;
}

static bool read_yes_or_no(struct redis_request *request, const redisReply *reply,
                           struct redis_answer *answer) {
    answer->outcome = reply->integer == 1 ? REDIS_DONE : REDIS_REFUSED;
    if (request->op == REDIS_FILL && reply->type == REDIS_REPLY_INTEGER) {
        struct redis_cells *cells = &request->redis->cells;
        counter_add(reply->integer == 1 ? &cells->fills : &cells->fills_refused, 1);
    }
    return reply->type == REDIS_REPLY_INTEGER;
}

static bool read_lease(struct redis_request *request, const redisReply *reply,
                       struct redis_answer *answer) {
    (void)request;
    answer->outcome = reply->type == REDIS_REPLY_STATUS ? REDIS_DONE : REDIS_REFUSED;
    return reply->type == REDIS_REPLY_STATUS || reply->type == REDIS_REPLY_NIL;
}

static bool read_epoch(struct redis_request *request, const redisReply *reply,
                       struct redis_answer *answer) {
    (void)request;
    answer->outcome = REDIS_DONE;
    if (reply->type == REDIS_REPLY_NIL) {
        return true;
    }
    int64_t epoch = reply->integer;
    if (reply->type == REDIS_REPLY_STRING &&
        !slice_to_int(slice_from(reply->str, reply->len), 0, INT64_MAX, &epoch)) {
        return false;
    }
    answer->epoch = (uint64_t)epoch;
    return epoch >= 0 && (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_INTEGER);
}

static const struct {
    void (*write)(struct redis_request *request, const struct redis_call *call);
    bool (*read)(struct redis_request *request, const redisReply *reply,
                 struct redis_answer *answer);
    bool has_value;
    bool has_ttl;
} ops[REDIS_OP_COUNT] = {
    [REDIS_GET] = {write_get, read_get, false, false},
    [REDIS_SET] = {write_put, read_done, true, true},
    [REDIS_FILL] = {write_fill, read_yes_or_no, true, true},
    [REDIS_INVALIDATE] = {write_put, read_done, false, false},
    [REDIS_UNLINK] = {write_unlink, read_done, false, false},
    [REDIS_LEASE] = {write_lease, read_lease, false, true},
    [REDIS_RELEASE] = {write_release, read_yes_or_no, false, false},
    [REDIS_EPOCH_READ] = {write_epoch, read_epoch, false, false},
    [REDIS_EPOCH_RAISE] = {write_epoch, read_epoch, false, false},
};

static void on_announced(struct redis_request *request, enum err_e err, const redisReply *reply) {
    struct redis_answer answer = {.err = err, .outcome = REDIS_DONE};
    if (err == ERR_OK && reply->type != REDIS_REPLY_INTEGER) {
        counter_add(&request->redis->cells.replies_bad, 1);
        answer.err = ERR_UNAVAILABLE;
    }
    request->fn(request->data, &answer);
}

/* The second half of an invalidation, within the deadline of the whole. */
static enum err_e announce(struct redis_request *tombstone) {
    struct redis *redis = tombstone->redis;
    struct redis_request *request = redis_request_new(redis, on_announced);
    if (request == NULL) {
        return ERR_NO_MEMORY;
    }
    request->counted = true;
    counter_add(&redis->cells.requests, 1);
    request->deadline_us = tombstone->deadline_us;
    request->op = REDIS_INVALIDATE;
    request->fn = tombstone->fn;
    request->data = tombstone->data;
    redis_packet_begin(&request->packet, 4);
    redis_packet_add(&request->packet, SLICE_LIT("EVAL"));
    redis_packet_add(&request->packet, SLICE_LIT(SCRIPT_ANNOUNCE));
    redis_packet_add(&request->packet, SLICE_LIT("1"));
    redis_packet_add_key(request, 'i',
                         slice_skip(redis_request_key(tombstone), strlen(redis->prefix) + 2));
    enum err_e err = redis_request_start(request);
    if (err != ERR_OK) {
        redis_request_free(request);
    }
    return err;
}

static void on_done(struct redis_request *request, enum err_e err, const redisReply *reply) {
    if (err == ERR_OK && request->op == REDIS_INVALIDATE && reply->type == REDIS_REPLY_STATUS) {
        err = request->redis->closing ? ERR_DRAINING : announce(request);
        if (err == ERR_OK) {
            return;
        }
    }
    struct redis_answer answer = {.err = err, .outcome = REDIS_MISS};
    if (err == ERR_OK && !ops[request->op].read(request, reply, &answer)) {
        counter_add(&request->redis->cells.replies_bad, 1);
        answer = (struct redis_answer){.err = ERR_UNAVAILABLE, .outcome = REDIS_MISS};
    }
    request->fn(request->data, &answer);
}

static enum err_e check(struct redis *redis, const struct redis_call *call) {
    ASSERT(call->op < REDIS_OP_COUNT && call->fn != NULL);
    if (redis->closing) {
        return ERR_DRAINING;
    }
    if (call->key.len == 0 || call->key.len > REDIS_KEY_MAX ||
        (ops[call->op].has_ttl && call->ttl_ms < 1)) {
        return ERR_INVALID_FIELD;
    }
    if (ops[call->op].has_value && call->value.len > redis->options.value_max) {
        counter_add(&redis->cells.oversized, 1);
        return ERR_TOO_LARGE;
    }
    if (counter_read(&redis->cells.requests) >= redis->options.requests_max) {
        counter_add(&redis->cells.refused_full, 1);
        return ERR_OVERLOADED;
    }
    return ERR_OK;
}

enum err_e redis_send(struct redis *redis, const struct redis_call *call) {
    TRY(check(redis, call));
    int64_t now_us = loop_now_us(redis->loop);
    if (call->op == REDIS_FILL &&
        now_us - call->ticket.begun_us > (int64_t)REDIS_TICKET_MS_MAX * 1000) {
        counter_add(&redis->cells.fills_refused, 1);
        return ERR_DEADLINE;
    }
    struct redis_request *request = redis_request_new(redis, on_done);
    if (request == NULL) {
        return ERR_NO_MEMORY;
    }
    request->counted = true;
    counter_add(&redis->cells.requests, 1);
    request->op = call->op;
    request->fn = call->fn;
    request->data = call->data;
    ops[call->op].write(request, call);
    enum err_e err = redis_request_start(request);
    if (err != ERR_OK) {
        redis_request_free(request);
    }
    return err;
}
