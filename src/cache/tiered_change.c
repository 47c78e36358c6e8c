/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes and operators' orders: what must not be answered any more.
 *
 *   begin: L1 forgets, L2 is told once          (a writer that dies after its commit leaves a
 *   end:   L1 forgets, L2 is told until it hears  tombstone, and what follows one lives shortly)
 */
#include "cache/tiered_priv.h"

#include <stdio.h>

enum { ALL_CLASSES = (1 << TIERED_CLASS_COUNT) - 1 };

void tiered_forget_key(struct tiered *tiered, struct slice key) {
    l1_invalidate(tiered->l1, key);
    tiered_flights_outdate(tiered, key); /* last: who then joins none finds no old value either */
}

uint64_t tiered_forget_matching(struct tiered *tiered, struct slice pattern) {
    uint64_t gone = l1_invalidate_matching(tiered->l1, pattern);
    tiered_flights_outdate_matching(tiered, pattern);
    return gone;
}

void tiered_forget_class(struct tiered *tiered, enum tiered_class_e class) {
    char pattern[64];
    int len = snprintf(pattern, sizeof pattern, "%s:*", tiered_class_name(class));
    (void)tiered_forget_matching(tiered, slice_from(pattern, (size_t)len));
}

static void forget(struct tiered *tiered, const struct tiered_change *change) {
    for (size_t i = 0; i < change->keys_len; i++) {
        tiered_forget_key(tiered, change->keys[i]);
    }
    for (size_t i = 0; i < change->patterns_len; i++) {
        (void)tiered_forget_matching(tiered, change->patterns[i]);
    }
}

bool tiered_is_kept_true(const struct tiered *tiered, enum tiered_class_e class) {
    const struct tiered_life life = tiered_life_of(tiered, class);
    return life.l2_ms > 0 && life.l1_ms + life.l2_ms >= TIERED_BOUND_MS;
}

/* A bit for each class whose keys a pattern can match: its own, or all where it is open before the
 * first colon. */
static unsigned classes_of(struct slice pattern) {
    enum tiered_class_e class;
    size_t plain = 0;
    while (plain < pattern.len && memchr("*?[\\", pattern.at[plain], 4) == NULL) {
        if (pattern.at[plain] == ':') {
            return tiered_class_of(pattern, &class) ? 1U << class : 0;
        }
        plain++;
    }
    return ALL_CLASSES;
}

/* L2 hears of whole classes; L1 too, again and again, when nobody knows what became of a change. */
static void end_classes(struct tiered_loop *loop, unsigned classes, unsigned repeats) {
    for (int i = 0; i < TIERED_CLASS_COUNT; i++) {
        enum tiered_class_e class = (enum tiered_class_e)i;
        if ((classes >> i & 1) == 0) {
            continue;
        }
        if (tiered_is_kept_true(loop->tiered, class)) {
            tiered_epoch_tell(loop, class);
        }
        if (repeats > 0) {
            tiered_class_repeat(loop, class);
        }
    }
}

static void count(struct tiered_loop *loop, struct slice key_or_pattern) {
    enum tiered_class_e class;
    if (tiered_class_of(key_or_pattern, &class)) {
        counter_add(&tiered_cells(loop, class)->invalidations, 1);
    }
}

static void on_ignored(void *data, const struct redis_answer *answer) {
    (void)data;
    (void)answer;
}

void tiered_change_begin(struct tiered_loop *loop, const struct tiered_change *change) {
    forget(loop->tiered, change);
    if (!loop->port->has_l2 || change->keys_len > TIERED_KEYS_MAX) {
        return;
    }
    for (size_t i = 0; i < change->keys_len; i++) {
        enum tiered_class_e class;
        if (tiered_class_of(change->keys[i], &class) && tiered_is_kept_true(loop->tiered, class)) {
            struct redis_call call = {
                .op = REDIS_INVALIDATE, .key = change->keys[i], .fn = on_ignored};
            (void)!tiered_send(loop, &call); /* the end tells it again, and insists */
        }
    }
}

/* L2 hears of each key, or of their classes when they are too many. */
static void tell_of_keys(struct tiered_loop *loop, const struct tiered_change *change,
                         unsigned repeats) {
    unsigned classes = 0;
    for (size_t i = 0; i < change->keys_len; i++) {
        enum tiered_class_e class;
        count(loop, change->keys[i]);
        if (!tiered_class_of(change->keys[i], &class)) {
            continue;
        }
        bool told = loop->port->has_l2 && tiered_is_kept_true(loop->tiered, class);
        if (change->keys_len > TIERED_KEYS_MAX) {
            classes |= 1U << class;
        } else if (told || repeats > 0) {
            tiered_journal_add(loop, change->keys[i], repeats);
        }
    }
    end_classes(loop, classes, repeats);
}

void tiered_change_end(struct tiered_loop *loop, const struct tiered_change *change,
                       enum tiered_outcome_e outcome) {
    if (outcome == TIERED_NOTHING) {
        return;
    }
    unsigned repeats = outcome == TIERED_UNKNOWN ? TIERED_REPEATS : 0;
    forget(loop->tiered, change);
    tell_of_keys(loop, change, repeats);
    for (size_t i = 0; i < change->patterns_len; i++) {
        count(loop, change->patterns[i]);
        end_classes(loop, classes_of(change->patterns[i]), repeats);
    }
}

static void on_swept(void *data, enum err_e err, uint64_t keys) {
    struct tiered_loop *loop = data;
    struct tiered_sweeping *sweeping = &loop->sweeping;
    sweeping->running = false;
    sweeping->result.err = err;
    sweeping->result.l2_keys = keys;
    sweeping->fn(sweeping->data, &sweeping->result);
}

enum err_e tiered_invalidate(struct tiered_loop *loop, struct slice pattern,
                             tiered_invalidated_fn fn, void *data) {
    struct tiered_sweeping *sweeping = &loop->sweeping;
    if (pattern.len == 0 || pattern.len > TIERED_KEY_MAX) {
        return ERR_INVALID_FIELD;
    }
    if (sweeping->running) {
        return ERR_OVERLOADED;
    }
    *sweeping = (struct tiered_sweeping){.running = true, .fn = fn, .data = data};
    sweeping->result.l1_entries = tiered_forget_matching(loop->tiered, pattern);
    count(loop, pattern);
    if (!loop->port->has_l2) {
        on_swept(loop, ERR_OK, 0);
        return ERR_OK;
    }
    end_classes(loop, classes_of(pattern), 0);
    enum err_e err = loop->port->vtable->sweep(loop->port, pattern, on_swept, loop);
    if (err != ERR_OK) {
        on_swept(loop, err, 0);
    }
    return ERR_OK;
}

uint64_t tiered_trim(struct tiered *tiered, uint64_t most) {
    return l1_trim(tiered->l1, most);
}
