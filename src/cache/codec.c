/* SPDX-License-Identifier: Apache-2.0 */
/* Writing and checking the bytes of cached answers. */
#include "cache/codec.h"

#include "base/assert.h"

enum { HEAD_SIZE = 4, MAGIC = 'T', FLAG_MORE = 1, TEXT_NONE = 0xffff };

/* X(operation, its byte: never used for another form) */
#define FORM_TABLE(X)                                                                              \
    X(LOAD_EVENT, 1)                                                                               \
    X(LOAD_GATE, 2)                                                                                \
    X(LIST_GATES, 3)                                                                               \
    X(LOAD_PARTICIPANT, 4)                                                                         \
    X(LIST_PARTICIPANTS, 5)                                                                        \
    X(READ_STATS, 6)                                                                               \
    X(READ_TIMELINE, 7)

static const unsigned char forms[STORE_OP_COUNT] = {
#define X(name, byte) [STORE_##name] = byte,
    FORM_TABLE(X)
#undef X
};

bool codec_knows(enum store_op_e kind) {
    ASSERT((unsigned)kind < STORE_OP_COUNT);
    return forms[kind] != 0;
}

/* ── writing ── */

static void put_bytes(struct buf *to, uint64_t value, size_t bytes) {
    char text[8];
    for (size_t i = 0; i < bytes; i++) {
        text[i] = (char)(value >> (8 * i) & 0xff);
    }
    buf_add(to, slice_from(text, bytes));
}

static void put_int(struct buf *to, int64_t value) {
    put_bytes(to, (uint64_t)value, 8);
}

/* A text too long for its length would not come back whole: the buffer fails instead. */
static void put_text(struct buf *to, struct slice text) {
    bool is_none = text.at == NULL && text.len == 0;
    to->failed = to->failed || text.len >= TEXT_NONE;
    put_bytes(to, is_none ? TEXT_NONE : text.len, 2);
    buf_add(to, text);
}

static void put_event(struct buf *to, const struct event *event) {
    put_int(to, event->id);
    put_text(to, event->code);
    put_text(to, event->name);
    put_text(to, event->timezone);
    put_int(to, event->starts_at_ms);
    put_int(to, event->ends_at_ms);
    put_int(to, event->capacity);
    put_bytes(to, event->reentry, 1);
}

static void put_gate(struct buf *to, const struct gate *gate) {
    put_int(to, gate->id);
    put_text(to, gate->code);
    put_text(to, gate->name);
    put_bytes(to, gate->status, 1);
}

static void put_person(struct buf *to, const struct participant *person) {
    put_int(to, person->id);
    put_text(to, person->token);
    put_text(to, person->name);
    put_text(to, person->email);
    put_bytes(to, person->status, 1);
    put_int(to, person->valid_from_ms);
    put_int(to, person->valid_until_ms);
    put_text(to, person->gates);
    put_text(to, person->attention);
}

static void put_stats(struct buf *to, const struct event_stats *stats) {
    put_int(to, stats->participants);
    put_int(to, stats->admitted);
    put_int(to, stats->inside);
    put_int(to, stats->scans);
    put_int(to, stats->refused);
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        put_int(to, stats->methods[i]);
    }
    put_int(to, stats->as_of_ms);
    put_bytes(to, stats->gates_len, 4);
    for (size_t i = 0; i < stats->gates_len; i++) {
        put_text(to, stats->gates[i].gate);
        put_int(to, stats->gates[i].admitted);
        put_int(to, stats->gates[i].exited);
        put_int(to, stats->gates[i].refused);
        put_int(to, stats->gates[i].last_minute);
    }
}

static void put_points(struct buf *to, const struct timeline_point *points, size_t len) {
    put_bytes(to, len, 4);
    for (size_t i = 0; i < len; i++) {
        put_int(to, points[i].at_ms);
        put_text(to, points[i].gate);
        put_int(to, points[i].admitted);
        put_int(to, points[i].exited);
        put_int(to, points[i].refused);
    }
}

static bool has_more(const struct store_op *op) {
    return (op->kind == STORE_LIST_GATES && op->gates.more) ||
           (op->kind == STORE_LIST_PARTICIPANTS && op->participants.more);
}

static void put_people(struct buf *to, const struct store_op *op) {
    put_text(to, op->participants.token);
    put_text(to, op->participants.query);
    put_bytes(to, op->participants.len, 4);
    for (size_t i = 0; i < op->participants.len; i++) {
        put_person(to, &op->participants.items[i]);
    }
}

static void put_gates(struct buf *to, const struct store_op *op) {
    put_bytes(to, op->gates.len, 4);
    for (size_t i = 0; i < op->gates.len; i++) {
        put_gate(to, &op->gates.items[i]);
    }
}

void codec_write(const struct store_op *op, struct buf *to) {
    ASSERT(codec_knows(op->kind) && op->err == ERR_OK);
    const char head[HEAD_SIZE] = {MAGIC, CODEC_VERSION, (char)forms[op->kind],
                                  has_more(op) ? FLAG_MORE : 0};
    buf_add(to, slice_from(head, sizeof head));
    put_text(to, op->event);
    if (op->kind == STORE_LOAD_EVENT) {
        put_event(to, &op->event_write.values);
    } else if (op->kind == STORE_LOAD_GATE) {
        put_gate(to, &op->gate_write.values);
    } else if (op->kind == STORE_LIST_GATES) {
        put_gates(to, op);
    } else if (op->kind == STORE_LOAD_PARTICIPANT) {
        put_person(to, &op->participant_write.values);
    } else if (op->kind == STORE_LIST_PARTICIPANTS) {
        put_people(to, op);
    } else if (op->kind == STORE_READ_STATS) {
        put_stats(to, &op->stats);
    } else {
        put_int(to, op->timeline.since_ms);
        put_int(to, op->timeline.until_ms);
        put_int(to, op->timeline.step_ms);
        put_points(to, op->timeline.points, op->timeline.len);
    }
}

/* ── reading ── */

struct taker {
    struct slice rest;
    struct arena *arena;
    enum codec_e state; /* the first thing that went wrong */
};

static uint64_t take_bytes(struct taker *t, size_t bytes) {
    if (t->rest.len < bytes) {
        t->state = t->state == CODEC_GOOD ? CODEC_BAD : t->state;
        t->rest = SLICE_NONE;
        return 0;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++) {
        value |= (uint64_t)(unsigned char)t->rest.at[i] << (8 * i);
    }
    t->rest = slice_skip(t->rest, bytes);
    return value;
}

static int64_t take_int(struct taker *t) {
    return (int64_t)take_bytes(t, 8);
}

static void refuse(struct taker *t) {
    t->state = t->state == CODEC_GOOD ? CODEC_BAD : t->state;
}

/* 0..count-1, as an enum with `count` members is. */
static int take_word(struct taker *t, int count) {
    int word = (int)take_bytes(t, 1);
    if (word >= count) {
        refuse(t);
        return 0;
    }
    return word;
}

/* Borrowed from the bytes, which are the arena's own copy. */
static struct slice take_text(struct taker *t) {
    size_t len = (size_t)take_bytes(t, 2);
    if (t->state != CODEC_GOOD || len == TEXT_NONE) {
        return SLICE_NONE;
    }
    if (len > t->rest.len) {
        refuse(t);
        return SLICE_NONE;
    }
    struct slice text = slice_from(t->rest.at, len);
    t->rest = slice_skip(t->rest, len);
    return len == 0 ? SLICE_LIT("") : text;
}

/* A number of items that the remaining bytes can hold, and an array for them. */
static void *take_items(struct taker *t, size_t most, size_t bytes_min, size_t size,
                        size_t *ret_len) {
    size_t len = (size_t)take_bytes(t, 4);
    *ret_len = 0;
    if (t->state != CODEC_GOOD || len > most || len > t->rest.len / bytes_min) {
        refuse(t);
        return NULL;
    }
    void *items = arena_alloc(t->arena, (len + 1) * size);
    if (items == NULL) {
        t->state = CODEC_NO_MEMORY;
        return NULL;
    }
    *ret_len = len;
    return items;
}

static struct event take_event(struct taker *t) {
    struct event event = {.id = take_int(t)};
    event.code = take_text(t);
    event.name = take_text(t);
    event.timezone = take_text(t);
    event.starts_at_ms = take_int(t);
    event.ends_at_ms = take_int(t);
    event.capacity = take_int(t);
    event.reentry = (enum reentry_e)take_word(t, REENTRY_ALWAYS + 1);
    return event;
}

static struct gate take_gate(struct taker *t) {
    struct gate gate = {.id = take_int(t)};
    gate.code = take_text(t);
    gate.name = take_text(t);
    gate.status = (enum gate_status_e)take_word(t, GATE_CLOSED + 1);
    return gate;
}

static struct participant take_person(struct taker *t) {
    struct participant person = {.id = take_int(t)};
    person.token = take_text(t);
    person.name = take_text(t);
    person.email = take_text(t);
    person.status = (enum participant_status_e)take_word(t, PARTICIPANT_BLOCKED + 1);
    person.valid_from_ms = take_int(t);
    person.valid_until_ms = take_int(t);
    person.gates = take_text(t);
    person.attention = take_text(t);
    return person;
}

/* The least bytes that one of each takes: what bounds a count. */
enum {
    GATE_BYTES = 8 + 2 + 2 + 1,
    PERSON_BYTES = 8 + 5 * 2 + 1 + 2 * 8,
    GATE_STATS_BYTES = 2 + 4 * 8,
    POINT_BYTES = 8 + 2 + 3 * 8,
    GATES_MOST = CODEC_VALUE_MAX / GATE_STATS_BYTES, /* of stats: every gate of the event */
    POINTS_MOST = CODEC_VALUE_MAX / POINT_BYTES,
};

static struct event_stats take_stats(struct taker *t) {
    struct event_stats stats = {.participants = take_int(t)};
    stats.admitted = take_int(t);
    stats.inside = take_int(t);
    stats.scans = take_int(t);
    stats.refused = take_int(t);
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        stats.methods[i] = take_int(t);
    }
    stats.as_of_ms = take_int(t);
    stats.gates =
        take_items(t, GATES_MOST, GATE_STATS_BYTES, sizeof *stats.gates, &stats.gates_len);
    for (size_t i = 0; i < stats.gates_len; i++) {
        stats.gates[i].gate = take_text(t);
        stats.gates[i].admitted = take_int(t);
        stats.gates[i].exited = take_int(t);
        stats.gates[i].refused = take_int(t);
        stats.gates[i].last_minute = take_int(t);
    }
    return stats;
}

static bool ends_well(struct taker *t) {
    if (t->rest.len != 0) {
        refuse(t);
    }
    return t->state == CODEC_GOOD;
}

static void read_event(struct taker *t, struct store_op *op) {
    struct event event = take_event(t);
    if (ends_well(t) && slice_eq(event.code, op->event)) {
        op->event_write.values = event;
        return;
    }
    refuse(t);
}

static void read_gate(struct taker *t, struct store_op *op) {
    struct gate gate = take_gate(t);
    if (ends_well(t) && slice_eq(gate.code, op->gate_write.values.code)) {
        op->gate_write.values = gate;
        return;
    }
    refuse(t);
}

static void read_person(struct taker *t, struct store_op *op) {
    struct participant person = take_person(t);
    if (ends_well(t) && person.id == op->participant_write.values.id) {
        op->participant_write.values = person;
        return;
    }
    refuse(t);
}

/* How many of a stored page an operation gets; SHORT when it asks for more than is known. */
static size_t cut_page(struct taker *t, size_t stored, size_t limit, bool *more) {
    if (*more && limit > stored && t->state == CODEC_GOOD) {
        t->state = CODEC_SHORT;
    }
    *more = *more || stored > limit;
    return stored < limit ? stored : limit;
}

static void read_gates(struct taker *t, struct store_op *op, bool more) {
    size_t len;
    struct gate *items = take_items(t, STORE_PAGE_MAX, GATE_BYTES, sizeof *items, &len);
    for (size_t i = 0; i < len; i++) {
        items[i] = take_gate(t);
    }
    len = cut_page(t, len, op->gates.limit, &more);
    if (ends_well(t)) {
        op->gates.items = items;
        op->gates.len = len;
        op->gates.more = more;
    }
}

static void read_people(struct taker *t, struct store_op *op, bool more) {
    struct slice token = take_text(t), query = take_text(t);
    if (!slice_eq(token, op->participants.token) || !slice_eq(query, op->participants.query)) {
        refuse(t);
    }
    size_t len;
    struct participant *items =
        take_items(t, STORE_PAGE_MAX, PERSON_BYTES, sizeof *items, &len);
    for (size_t i = 0; i < len; i++) {
        items[i] = take_person(t);
    }
    len = cut_page(t, len, op->participants.limit, &more);
    if (ends_well(t)) {
        op->participants.items = items;
        op->participants.len = len;
        op->participants.more = more;
    }
}

static void read_stats(struct taker *t, struct store_op *op) {
    struct event_stats stats = take_stats(t);
    if (ends_well(t)) {
        op->stats = stats;
    }
}

static void read_timeline(struct taker *t, struct store_op *op) {
    bool is_asked = take_int(t) == op->timeline.since_ms;
    is_asked = take_int(t) == op->timeline.until_ms && is_asked;
    is_asked = take_int(t) == op->timeline.step_ms && is_asked;
    size_t len;
    struct timeline_point *points =
        take_items(t, POINTS_MOST, POINT_BYTES, sizeof *points, &len);
    for (size_t i = 0; i < len; i++) {
        points[i].at_ms = take_int(t);
        points[i].gate = take_text(t);
        points[i].admitted = take_int(t);
        points[i].exited = take_int(t);
        points[i].refused = take_int(t);
    }
    if (ends_well(t) && is_asked) {
        op->timeline.points = points;
        op->timeline.len = len;
        return;
    }
    refuse(t);
}

static void read_fields(struct taker *t, struct store_op *op, bool more) {
    if (op->kind == STORE_LOAD_EVENT) {
        read_event(t, op);
    } else if (op->kind == STORE_LOAD_GATE) {
        read_gate(t, op);
    } else if (op->kind == STORE_LIST_GATES) {
        read_gates(t, op, more);
    } else if (op->kind == STORE_LOAD_PARTICIPANT) {
        read_person(t, op);
    } else if (op->kind == STORE_LIST_PARTICIPANTS) {
        read_people(t, op, more);
    } else if (op->kind == STORE_READ_STATS) {
        read_stats(t, op);
    } else {
        read_timeline(t, op);
    }
}

enum codec_e codec_read(struct slice bytes, struct store_op *op) {
    ASSERT(codec_knows(op->kind));
    bool is_known = bytes.len >= HEAD_SIZE && bytes.len <= CODEC_VALUE_MAX &&
                    bytes.at[0] == MAGIC && bytes.at[1] == CODEC_VERSION &&
                    (unsigned char)bytes.at[2] == forms[op->kind] &&
                    (unsigned char)bytes.at[3] <= FLAG_MORE;
    if (!is_known) {
        return CODEC_BAD;
    }
    bool more = bytes.at[3] == FLAG_MORE;
    struct slice copy = arena_copy(&op->arena, slice_skip(bytes, HEAD_SIZE));
    if (copy.at == NULL) {
        return CODEC_NO_MEMORY;
    }
    struct taker taker = {copy, &op->arena, CODEC_GOOD};
    if (!slice_eq(take_text(&taker), op->event)) {
        refuse(&taker);
    }
    read_fields(&taker, op, more);
    return taker.state;
}
