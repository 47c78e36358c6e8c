/* SPDX-License-Identifier: Apache-2.0 */
/* Writes and operators' orders: what must not be answered any more. */
#include "cache/glob.h"
#include "cache/tiered_priv.h"

static void forget_key(struct tiered *tiered, struct slice key) {
    l1_invalidate(tiered->l1, key);
    tiered_flights_outdate(tiered, key); /* last: who then joins none finds no old value either */
}

static uint64_t forget_matching(struct tiered *tiered, struct slice pattern) {
    uint64_t gone = l1_invalidate_matching(tiered->l1, pattern);
    tiered_flights_outdate_matching(tiered, pattern);
    return gone;
}

static void forget(struct tiered *tiered, const struct tiered_change *change) {
    for (size_t i = 0; i < change->keys_len; i++) {
        forget_key(tiered, change->keys[i]);
    }
    for (size_t i = 0; i < change->patterns_len; i++) {
        forget_matching(tiered, change->patterns[i]);
    }
}

static void count(struct tiered_loop *loop, const struct tiered_change *change) {
    enum tiered_class_e class;
    for (size_t i = 0; i < change->keys_len; i++) {
        if (tiered_class_of(change->keys[i], &class)) {
            counter_add(&tiered_cells(loop, class)->invalidations, 1);
        }
    }
    for (size_t i = 0; i < change->patterns_len; i++) {
        if (tiered_class_of(change->patterns[i], &class)) {
            counter_add(&tiered_cells(loop, class)->invalidations, 1);
        }
    }
}

void tiered_change_begin(struct tiered_loop *loop, const struct tiered_change *change) {
    forget(loop->tiered, change);
}

void tiered_change_end(struct tiered_loop *loop, const struct tiered_change *change,
                       enum tiered_outcome_e outcome) {
    if (outcome == TIERED_NOTHING) {
        return;
    }
    count(loop, change);
    forget(loop->tiered, change);
}

enum err_e tiered_invalidate(struct tiered_loop *loop, struct slice pattern,
                             tiered_invalidated_fn fn, void *data) {
    if (pattern.len == 0 || pattern.len > TIERED_KEY_MAX) {
        return ERR_INVALID_FIELD;
    }
    struct tiered_invalidated result = {
        .err = ERR_OK, .l1_entries = forget_matching(loop->tiered, pattern)};
    fn(data, &result);
    return ERR_OK;
}
