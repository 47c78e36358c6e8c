/* SPDX-License-Identifier: Apache-2.0 */
/* Cached answers come back as they were, and never from bytes that were harmed or are others'. */
#include "cache/codec.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

enum { KINDS_MAX = 16 };

static const struct participant ann = {
    .id = 7,
    .token = {"t1", 2},
    .name = {"Ann \xc3\x89", 6},
    .email = {"", 0},
    .status = PARTICIPANT_BLOCKED,
    .valid_from_ms = TIME_NONE,
    .valid_until_ms = 1790000000000,
    .gates = {"g1 g2", 5},
};
static const struct participant bob = {
    .id = 8,
    .token = {"t1", 2},
    .name = {"Bob", 3},
    .email = {"bob@example.com", 15},
    .valid_from_ms = -5,
    .valid_until_ms = TIME_NONE,
    .gates = {"", 0},
    .attention = {"", 0},
};

static struct gate_stats gate_stats[] = {{{"g1", 2}, 1, 2, 3, 4}, {{"g2", 2}, 0, 0, 0, 0}};
static struct gate gates[] = {{1, {"g1", 2}, {"North", 5}, GATE_CLOSED},
                              {2, {"g2", 2}, {"", 0}, GATE_OPEN}};
static struct participant people[2];
static struct timeline_point points[] = {{60000, {"g1", 2}, 1, 2, 3}};

/* What is asked: inputs only. */
static void ask(struct store_op *op, enum store_op_e kind) {
    store_op_init(op, kind);
    op->event = SLICE_LIT("expo");
    if (kind == STORE_LOAD_GATE) {
        op->gate_write.values.code = SLICE_LIT("g1");
    } else if (kind == STORE_LIST_GATES) {
        op->gates.limit = 100;
    } else if (kind == STORE_LOAD_PARTICIPANT) {
        op->participant_write.values.id = 7;
    } else if (kind == STORE_LIST_PARTICIPANTS) {
        op->participants.token = SLICE_LIT("t1");
        op->participants.limit = 100;
    } else if (kind == STORE_READ_TIMELINE) {
        op->timeline.step_ms = 60000;
        op->timeline.until_ms = 120000;
    }
}

static void answer(struct store_op *op) {
    people[0] = ann;
    people[1] = bob;
    if (op->kind == STORE_LOAD_EVENT) {
        op->event_write.values = (struct event){.id = 3,
                                                .code = SLICE_LIT("expo"),
                                                .name = SLICE_LIT("Expo"),
                                                .timezone = SLICE_LIT("Asia/Seoul"),
                                                .starts_at_ms = TIME_NONE,
                                                .ends_at_ms = 5,
                                                .capacity = CAPACITY_NONE,
                                                .reentry = REENTRY_ALWAYS};
    } else if (op->kind == STORE_LOAD_GATE) {
        op->gate_write.values = gates[0];
    } else if (op->kind == STORE_LIST_GATES) {
        op->gates.items = gates;
        op->gates.len = 2;
    } else if (op->kind == STORE_LOAD_PARTICIPANT) {
        op->participant_write.values = ann;
    } else if (op->kind == STORE_LIST_PARTICIPANTS) {
        op->participants.items = people;
        op->participants.len = 2;
    } else if (op->kind == STORE_READ_STATS) {
        op->stats = (struct event_stats){5, 4, 3, 9, 1, {6, 1, 1, 1}, gate_stats, 2, 99};
    } else {
        op->timeline.points = points;
        op->timeline.len = 1;
    }
}

static size_t known_kinds(enum store_op_e kinds[KINDS_MAX]) {
    size_t len = 0;
    for (int kind = 0; kind < STORE_OP_COUNT; kind++) {
        if (codec_knows((enum store_op_e)kind)) {
            assert_true(len < KINDS_MAX);
            kinds[len++] = (enum store_op_e)kind;
        }
    }
    return len;
}

static void write_answer(enum store_op_e kind, struct buf *to) {
    struct store_op op;
    ask(&op, kind);
    answer(&op);
    buf_init(to, CODEC_VALUE_MAX);
    codec_write(&op, to);
    assert_false(to->failed);
    store_op_fini(&op);
}

static enum codec_e read_bytes(struct slice bytes, enum store_op_e kind, struct store_op *op) {
    ask(op, kind);
    return codec_read(bytes, op);
}

static void every_answer_comes_back_the_same(void **state) {
    (void)state;
    enum store_op_e kinds[KINDS_MAX];
    size_t len = known_kinds(kinds);
    assert_int_equal(len, 7);
    for (size_t i = 0; i < len; i++) {
        struct buf first, second;
        struct store_op op;
        write_answer(kinds[i], &first);
        assert_int_equal(read_bytes(buf_slice(&first), kinds[i], &op), CODEC_GOOD);
        buf_init(&second, CODEC_VALUE_MAX);
        codec_write(&op, &second);
        assert_true(slice_eq(buf_slice(&first), buf_slice(&second)));
        store_op_fini(&op);
        buf_fini(&first);
        buf_fini(&second);
    }
}

static void a_participant_keeps_every_field(void **state) {
    (void)state;
    struct buf bytes;
    struct store_op op;
    write_answer(STORE_LIST_PARTICIPANTS, &bytes);
    assert_int_equal(read_bytes(buf_slice(&bytes), STORE_LIST_PARTICIPANTS, &op), CODEC_GOOD);
    buf_fini(&bytes); /* the answer is the arena's own */
    assert_int_equal(op.participants.len, 2);
    assert_false(op.participants.more);
    const struct participant *first = &op.participants.items[0], *second = first + 1;
    assert_int_equal(first->id, 7);
    assert_true(slice_eq(first->token, ann.token) && slice_eq(first->name, ann.name));
    assert_true(first->email.at != NULL && first->email.len == 0);
    assert_int_equal(first->status, PARTICIPANT_BLOCKED);
    assert_true(first->valid_from_ms == TIME_NONE && first->valid_until_ms == 1790000000000);
    assert_true(slice_eq(first->gates, ann.gates));
    assert_null(first->attention.at);
    assert_non_null(second->attention.at);
    assert_int_equal(second->valid_from_ms, -5);
    assert_true(slice_eq(second->email, bob.email));
    store_op_fini(&op);
}

static void bytes_cut_short_or_with_more_behind_are_no_answer(void **state) {
    (void)state;
    enum store_op_e kinds[KINDS_MAX];
    size_t len = known_kinds(kinds);
    for (size_t i = 0; i < len; i++) {
        struct buf bytes;
        struct store_op op;
        write_answer(kinds[i], &bytes);
        for (size_t cut = 0; cut < bytes.len; cut++) {
            assert_int_equal(read_bytes(slice_from(bytes.at, cut), kinds[i], &op), CODEC_BAD);
            store_op_fini(&op);
        }
        buf_add_char(&bytes, 0);
        assert_int_equal(read_bytes(buf_slice(&bytes), kinds[i], &op), CODEC_BAD);
        store_op_fini(&op);
        buf_fini(&bytes);
    }
}

/* A byte may become another byte of a text; what must not happen is a read beyond the end or a
 * value out of range. The sanitizers watch the first, this the second. */
static void a_changed_byte_gives_no_impossible_answer(void **state) {
    (void)state;
    enum store_op_e kinds[KINDS_MAX];
    size_t len = known_kinds(kinds);
    for (size_t i = 0; i < len; i++) {
        struct buf bytes;
        write_answer(kinds[i], &bytes);
        for (size_t at = 0; at < bytes.len; at++) {
            char kept = bytes.at[at];
            for (int to = 0; to < 256; to += 17) {
                struct store_op op;
                bytes.at[at] = (char)to;
                enum codec_e read = read_bytes(buf_slice(&bytes), kinds[i], &op);
                if (read == CODEC_GOOD && kinds[i] == STORE_LOAD_EVENT) {
                    assert_true(op.event_write.values.reentry <= REENTRY_ALWAYS);
                } else if (read == CODEC_GOOD && kinds[i] == STORE_LOAD_PARTICIPANT) {
                    assert_true(op.participant_write.values.status <= PARTICIPANT_BLOCKED);
                }
                store_op_fini(&op);
            }
            bytes.at[at] = kept;
        }
        buf_fini(&bytes);
    }
}

static void an_answer_about_somebody_else_is_not_served(void **state) {
    (void)state;
    struct buf bytes;
    struct store_op op;
    write_answer(STORE_LOAD_PARTICIPANT, &bytes);
    ask(&op, STORE_LOAD_PARTICIPANT);
    op.participant_write.values.id = 9;
    assert_int_equal(codec_read(buf_slice(&bytes), &op), CODEC_BAD);
    assert_int_equal(op.participant_write.values.id, 9);
    store_op_fini(&op);
    ask(&op, STORE_LOAD_PARTICIPANT);
    op.event = SLICE_LIT("other");
    assert_int_equal(codec_read(buf_slice(&bytes), &op), CODEC_BAD);
    store_op_fini(&op);
    assert_int_equal(read_bytes(buf_slice(&bytes), STORE_LOAD_EVENT, &op), CODEC_BAD);
    store_op_fini(&op);
    buf_fini(&bytes);
    write_answer(STORE_LIST_PARTICIPANTS, &bytes);
    ask(&op, STORE_LIST_PARTICIPANTS);
    op.participants.token = SLICE_LIT("t2");
    assert_int_equal(codec_read(buf_slice(&bytes), &op), CODEC_BAD);
    store_op_fini(&op);
    buf_fini(&bytes);
}

static void another_version_is_a_miss(void **state) {
    (void)state;
    struct buf bytes;
    struct store_op op;
    write_answer(STORE_LOAD_EVENT, &bytes);
    bytes.at[1]++;
    assert_int_equal(read_bytes(buf_slice(&bytes), STORE_LOAD_EVENT, &op), CODEC_BAD);
    store_op_fini(&op);
    buf_fini(&bytes);
}

/* {stored, more behind them, limit} against {result, len, more} */
static void a_page_is_cut_to_what_is_asked_and_never_stretched(void **state) {
    (void)state;
    static const struct {
        size_t stored;
        bool stored_more;
        size_t limit;
        enum codec_e expected;
        size_t len;
        bool more;
    } rows[] = {
        {2, false, 2, CODEC_GOOD, 2, false}, {2, false, 1, CODEC_GOOD, 1, true},
        {2, true, 2, CODEC_GOOD, 2, true},   {2, true, 1, CODEC_GOOD, 1, true},
        {2, true, 3, CODEC_SHORT, 0, false}, {0, false, 5, CODEC_GOOD, 0, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct store_op op;
        struct buf bytes;
        ask(&op, STORE_LIST_GATES);
        answer(&op);
        op.gates.len = rows[i].stored;
        op.gates.more = rows[i].stored_more;
        buf_init(&bytes, CODEC_VALUE_MAX);
        codec_write(&op, &bytes);
        store_op_fini(&op);
        ask(&op, STORE_LIST_GATES);
        op.gates.limit = rows[i].limit;
        assert_int_equal(codec_read(buf_slice(&bytes), &op), rows[i].expected);
        assert_int_equal(op.gates.len, rows[i].len);
        assert_int_equal(op.gates.more, rows[i].more);
        store_op_fini(&op);
        buf_fini(&bytes);
    }
}

static void a_text_that_its_length_cannot_say_is_not_written(void **state) {
    (void)state;
    static char text[70000];
    memset(text, 'x', sizeof text);
    struct store_op op;
    struct buf bytes;
    ask(&op, STORE_LOAD_GATE);
    op.gate_write.values = (struct gate){.code = SLICE_LIT("g1"), .name = {text, sizeof text}};
    buf_init(&bytes, CODEC_VALUE_MAX);
    codec_write(&op, &bytes);
    assert_true(bytes.failed);
    store_op_fini(&op);
    buf_fini(&bytes);
}

static void without_memory_there_is_no_answer(void **state) {
    (void)state;
    struct buf bytes;
    struct store_op op;
    write_answer(STORE_READ_STATS, &bytes);
    ask(&op, STORE_READ_STATS);
    op.arena.limit = 16;
    assert_int_equal(codec_read(buf_slice(&bytes), &op), CODEC_NO_MEMORY);
    store_op_fini(&op);
    buf_fini(&bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_answer_comes_back_the_same),
        cmocka_unit_test(a_participant_keeps_every_field),
        cmocka_unit_test(bytes_cut_short_or_with_more_behind_are_no_answer),
        cmocka_unit_test(a_changed_byte_gives_no_impossible_answer),
        cmocka_unit_test(an_answer_about_somebody_else_is_not_served),
        cmocka_unit_test(another_version_is_a_miss),
        cmocka_unit_test(a_page_is_cut_to_what_is_asked_and_never_stretched),
        cmocka_unit_test(a_text_that_its_length_cannot_say_is_not_written),
        cmocka_unit_test(without_memory_there_is_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
