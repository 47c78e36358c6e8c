/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which reads are cached, under which keys, and which keys each write changes: one table each.
 *
 *   event_config:EVENT               LOAD_EVENT
 *   gate:EVENT:GATE                  LOAD_GATE
 *   active_gates:EVENT               LIST_GATES, its first page
 *   participant:EVENT:id=ID          LOAD_PARTICIPANT
 *   participant:EVENT:token=TOKEN    LIST_PARTICIPANTS by exact token, the first page
 *   stats:overall:EVENT              READ_STATS
 *   timeline:EVENT:FROM:TO:STEP      READ_TIMELINE, in milliseconds
 *   search:EVENT:QUERY               LIST_PARTICIPANTS by a search, the first page
 *
 * The first five last until they are invalidated or grow old; figures and search results are brief:
 * their lives alone keep them within the second that a read may lag. Pure. Thread: any.
 */
#ifndef TURNOUT_CACHE_KEYS_H
#define TURNOUT_CACHE_KEYS_H

#include "cache/tiered.h"
#include "store/store.h"

enum { CACHE_KEY_MAX = TIERED_KEY_MAX };
struct cache_key {
    enum tiered_class_e class;
    size_t len;
    char text[CACHE_KEY_MAX];
};
static inline struct slice cache_key_text(const struct cache_key *key) {
    return slice_from(key->text, key->len);
}

/* Figures and search results. */
bool cache_class_is_brief(enum tiered_class_e class);

/* The key under which this read is cached; false when it is not (another kind, a later page, or a
 * key that would be too long). */
bool cache_key_of(const struct store_op *op, struct cache_key *ret_key);

/* What a key of a lasting class, or stats:overall, says: the read that fills it. Event and inputs
 * are borrowed from `key`; `op` is initialised by the caller. False for any other key. */
bool cache_key_to_op(struct slice key, struct store_op *op);

/* What a write changes. X(NAME, the keys) */
#define CACHE_EFFECT_TABLE(X)                                                                      \
    X(EVENT, "event_config:EVENT")                                                                 \
    X(GATE, "gate:EVENT:GATE")                                                                     \
    X(GATES, "active_gates:EVENT")                                                                 \
    X(ID, "participant:EVENT:id=ID, of each participant written")                                  \
    X(TOKEN, "participant:EVENT:token=TOKEN, of each token written and each given up")             \
    X(FIGURES, "stats:overall:EVENT, timeline:EVENT:…")                                      \
    X(SEARCHES, "search:EVENT:…")
#define X(name, keys) CACHE_EFFECT_BIT_##name,
enum cache_effect_bit_e { CACHE_EFFECT_TABLE(X) CACHE_EFFECT_COUNT };
#undef X
#define X(name, keys) CACHE_CHANGES_##name = 1 << CACHE_EFFECT_BIT_##name,
enum cache_effect_e { CACHE_EFFECT_TABLE(X) };
#undef X

/* cache_effect_e of the keys that a write of this kind changes; 0 for reads and for what touches
 * nothing that is cached (API keys: their cache is another, see docs/api.md). */
unsigned cache_effects(enum store_op_e kind);

/* Calls `fn` with each exact key that the write changes, of the lasting classes. Before it is
 * submitted the keys are those its inputs name; once it is done, also those that only the store
 * knew: the token that somebody had before, the ids that an import met. */
typedef void (*cache_key_fn)(void *data, struct slice key);
void cache_changed_keys(const struct store_op *op, cache_key_fn fn, void *data);

#endif
