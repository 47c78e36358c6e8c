/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first byte picks the kind of read, the rest is what a cache holds. Whatever it is, decoding
 * ends with an answer or without one; an answer that is written again and read again is the same.
 */
#include "base/assert.h"
#include "cache/codec.h"
#include "fuzz.h"

static void ask(struct store_op *op, enum store_op_e kind) {
    store_op_init(op, kind);
    op->event = SLICE_LIT("e");
    if (kind == STORE_LOAD_GATE) {
        op->gate_write.values.code = SLICE_LIT("g");
    } else if (kind == STORE_LIST_GATES) {
        op->gates.limit = 2;
    } else if (kind == STORE_LOAD_PARTICIPANT) {
        op->participant_write.values.id = 7;
    } else if (kind == STORE_LIST_PARTICIPANTS) {
        op->participants.token = SLICE_LIT("t");
        op->participants.limit = 2;
    } else if (kind == STORE_READ_TIMELINE) {
        op->timeline.step_ms = 1000;
    }
}

static void read_again(const struct store_op *op) {
    struct buf first, second;
    struct store_op again;
    buf_init(&first, CODEC_VALUE_MAX);
    buf_init(&second, CODEC_VALUE_MAX);
    codec_write(op, &first);
    ask(&again, op->kind);
    ASSERT(!first.failed && codec_read(buf_slice(&first), &again) == CODEC_GOOD);
    codec_write(&again, &second);
    ASSERT(slice_eq(buf_slice(&first), buf_slice(&second)));
    store_op_fini(&again);
    buf_fini(&first);
    buf_fini(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    enum store_op_e kind = size == 0 ? STORE_OP_COUNT : (enum store_op_e)data[0];
    if (kind >= STORE_OP_COUNT || !codec_knows(kind)) {
        return 0;
    }
    struct store_op op;
    ask(&op, kind);
    if (codec_read(slice_from((const char *)data + 1, size - 1), &op) == CODEC_GOOD) {
        read_again(&op);
    }
    store_op_fini(&op);
    return 0;
}
