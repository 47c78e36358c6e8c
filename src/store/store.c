/* SPDX-License-Identifier: Apache-2.0 */
/* What every store shares: the life of an operation, and waiting for one. */
#include "store/store.h"

#include "base/assert.h"
#include "domain/words.h"

WORDS(key_scope, enum key_scope_e, KEY_SCOPE_TABLE)

static const struct {
    bool writes;
    const char *text;
} kinds[STORE_OP_COUNT] = {
#define X(name, writes, text) [STORE_##name] = {writes, text},
    STORE_OP_TABLE(X)
#undef X
};

bool store_op_writes(enum store_op_e kind) {
    ASSERT((unsigned)kind < STORE_OP_COUNT);
    return kinds[kind].writes;
}

bool store_op_changes_lasting(enum store_op_e kind) {
    static const bool lasting[STORE_OP_COUNT] = {
        [STORE_CREATE_EVENT] = true,       [STORE_UPDATE_EVENT] = true,
        [STORE_CREATE_GATE] = true,        [STORE_UPDATE_GATE] = true,
        [STORE_CREATE_PARTICIPANT] = true, [STORE_UPDATE_PARTICIPANT] = true,
        [STORE_ERASE_PARTICIPANT] = true,  [STORE_IMPORT_PARTICIPANTS] = true,
    };
    ASSERT((unsigned)kind < STORE_OP_COUNT);
    return lasting[kind];
}

const char *store_op_text(enum store_op_e kind) {
    ASSERT((unsigned)kind < STORE_OP_COUNT);
    return kinds[kind].text;
}

void store_op_init(struct store_op *op, enum store_op_e kind) {
    *op = (struct store_op){.kind = kind};
    arena_init(&op->arena, STORE_OP_MEMORY);
}

void store_op_clear(struct store_op *op) {
    struct arena arena = op->arena;
    arena_reset(&arena);
    *op = (struct store_op){.kind = op->kind, .arena = arena};
}

void store_op_fini(struct store_op *op) {
    arena_fini(&op->arena);
}

void store_submit(struct store *store, struct store_op *op) {
    ASSERT(op->done != NULL);
    op->err = ERR_OK;
    store->vtable->submit(store, op);
}

void store_health(struct store *store, struct store_health *ret_health) {
    store->vtable->health(store, ret_health);
}

MAY_BLOCK void store_close(struct store *store) {
    if (store != NULL) {
        store->vtable->close(store);
    }
}

struct waiter {
    mtx_t lock;
    cnd_t ended;
    bool done;
};

static void wake_waiter(struct store_op *op) {
    struct waiter *waiter = op->owner;
    mtx_lock(&waiter->lock);
    waiter->done = true;
    cnd_signal(&waiter->ended);
    mtx_unlock(&waiter->lock);
}

MAY_BLOCK enum err_e store_run(struct store *store, struct store_op *op) {
    struct waiter waiter = {.done = false};
    ASSERT(mtx_init(&waiter.lock, mtx_plain) == thrd_success);
    ASSERT(cnd_init(&waiter.ended) == thrd_success);
    op->done = wake_waiter;
    op->owner = &waiter;
    store_submit(store, op);
    mtx_lock(&waiter.lock);
    while (!waiter.done) {
        cnd_wait(&waiter.ended, &waiter.lock);
    }
    mtx_unlock(&waiter.lock);
    cnd_destroy(&waiter.ended);
    mtx_destroy(&waiter.lock);
    return op->err;
}
