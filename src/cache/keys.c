/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of what is cached and what changes it. */
#include "cache/keys.h"

#include "base/assert.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define FIGURES CACHE_CHANGES_FIGURES
#define GATES (CACHE_CHANGES_GATE | CACHE_CHANGES_GATES)
#define PERSON (CACHE_CHANGES_ID | CACHE_CHANGES_TOKEN | CACHE_CHANGES_SEARCHES)
/* Every write of the store; what is missing here changes nothing. */
static const unsigned effects[STORE_OP_COUNT] = {
    [STORE_CREATE_EVENT] = CACHE_CHANGES_EVENT,
    [STORE_UPDATE_EVENT] = CACHE_CHANGES_EVENT,
    [STORE_CREATE_GATE] = GATES | FIGURES, /* statistics list every gate */
    [STORE_UPDATE_GATE] = GATES,
    [STORE_CREATE_PARTICIPANT] = PERSON | FIGURES, /* they count the people */
    [STORE_UPDATE_PARTICIPANT] = PERSON,
    [STORE_ERASE_PARTICIPANT] = PERSON | FIGURES,
    [STORE_IMPORT_PARTICIPANTS] = PERSON | FIGURES,
    [STORE_CHECK_IN] = FIGURES,
    [STORE_ANNUL] = FIGURES,
};

bool cache_class_is_brief(enum tiered_class_e class) {
    return class == TIERED_STATS || class == TIERED_TIMELINE || class == TIERED_SEARCH;
}

unsigned cache_effects(enum store_op_e kind) {
    ASSERT((unsigned)kind < STORE_OP_COUNT);
    return effects[kind];
}

/* ── keys ── */

static bool begin_key(struct cache_key *key, enum tiered_class_e class) {
    const char *prefix = tiered_class_name(class);
    key->class = class;
    key->len = strlen(prefix);
    memcpy(key->text, prefix, key->len);
    return true;
}

/* `mark` and the text behind it; false when it does not fit. */
static bool add_part(struct cache_key *key, const char *mark, struct slice text) {
    size_t mark_len = strlen(mark);
    if (mark_len + text.len > sizeof key->text - key->len) {
        return false;
    }
    memcpy(key->text + key->len, mark, mark_len);
    memcpy(key->text + key->len + mark_len, text.at == NULL ? "" : text.at, text.len);
    key->len += mark_len + text.len;
    return true;
}

static bool add_number(struct cache_key *key, const char *mark, int64_t number) {
    char text[24];
    int len = snprintf(text, sizeof text, "%" PRId64, number);
    return add_part(key, mark, slice_from(text, (size_t)len));
}

static bool key_of(struct cache_key *key, enum tiered_class_e class, struct slice event) {
    return begin_key(key, class) && add_part(key, ":", event);
}

static bool key_of_gate(struct cache_key *key, struct slice event, struct slice gate) {
    return key_of(key, TIERED_GATE, event) && add_part(key, ":", gate);
}

static bool key_of_id(struct cache_key *key, struct slice event, int64_t id) {
    return key_of(key, TIERED_PARTICIPANT, event) && add_number(key, ":id=", id);
}

static bool key_of_token(struct cache_key *key, struct slice event, struct slice token) {
    return key_of(key, TIERED_PARTICIPANT, event) && add_part(key, ":token=", token);
}

static bool key_of_people(const struct store_op *op, struct cache_key *key) {
    bool by_token = op->participants.token.len > 0, by_query = op->participants.query.len > 0;
    if (op->participants.after != 0 || by_token == by_query) {
        return false;
    }
    if (by_token) {
        return key_of_token(key, op->event, op->participants.token);
    }
    return key_of(key, TIERED_SEARCH, op->event) && add_part(key, ":", op->participants.query);
}

static bool key_of_timeline(const struct store_op *op, struct cache_key *key) {
    return key_of(key, TIERED_TIMELINE, op->event) &&
           add_number(key, ":", op->timeline.since_ms) &&
           add_number(key, ":", op->timeline.until_ms) &&
           add_number(key, ":", op->timeline.step_ms);
}

bool cache_key_of(const struct store_op *op, struct cache_key *ret_key) {
    if (!code_is_valid(op->event)) {
        return false; /* codes have no colon: a key says one thing only */
    }
    if (op->kind == STORE_LOAD_EVENT) {
        return key_of(ret_key, TIERED_EVENT_CONFIG, op->event);
    }
    if (op->kind == STORE_LOAD_GATE) {
        return code_is_valid(op->gate_write.values.code) &&
               key_of_gate(ret_key, op->event, op->gate_write.values.code);
    }
    if (op->kind == STORE_LIST_GATES) {
        return op->gates.after == 0 && key_of(ret_key, TIERED_ACTIVE_GATES, op->event);
    }
    if (op->kind == STORE_LOAD_PARTICIPANT) {
        return key_of_id(ret_key, op->event, op->participant_write.values.id);
    }
    if (op->kind == STORE_LIST_PARTICIPANTS) {
        return key_of_people(op, ret_key);
    }
    if (op->kind == STORE_READ_STATS) {
        return begin_key(ret_key, TIERED_STATS) && add_part(ret_key, ":overall:", op->event);
    }
    return op->kind == STORE_READ_TIMELINE && key_of_timeline(op, ret_key);
}

/* ── and back ── */

static bool person_to_op(struct slice what, struct store_op *op) {
    struct slice id_mark = SLICE_LIT("id="), token_mark = SLICE_LIT("token=");
    if (slice_starts_with(what, token_mark)) {
        op->kind = STORE_LIST_PARTICIPANTS;
        op->participants.token = slice_skip(what, token_mark.len);
        op->participants.limit = STORE_PAGE_MAX;
        return token_is_valid(op->participants.token);
    }
    int64_t id;
    if (!slice_starts_with(what, id_mark) ||
        !slice_to_int(slice_skip(what, id_mark.len), 1, INT64_MAX, &id)) {
        return false;
    }
    op->kind = STORE_LOAD_PARTICIPANT;
    op->participant_write.values.id = id;
    return true;
}

/* `rest` is what stands behind the class and its colon. */
static bool rest_to_op(enum tiered_class_e class, struct slice rest, struct store_op *op) {
    struct slice part;
    bool is_stats = class == TIERED_STATS;
    if (is_stats && (!slice_next(&rest, ':', &part) || !slice_eq_text(part, "overall"))) {
        return false;
    }
    if (!slice_next(&rest, ':', &op->event) || !code_is_valid(op->event)) {
        return false;
    }
    switch (class) {
    case TIERED_EVENT_CONFIG:
        op->kind = STORE_LOAD_EVENT;
        return rest.len == 0;
    case TIERED_GATE:
        op->kind = STORE_LOAD_GATE;
        op->gate_write.values.code = rest;
        return code_is_valid(rest);
    case TIERED_ACTIVE_GATES:
        op->kind = STORE_LIST_GATES;
        op->gates.limit = STORE_PAGE_MAX;
        return rest.len == 0;
    case TIERED_PARTICIPANT:
        return person_to_op(rest, op);
    case TIERED_STATS:
        op->kind = STORE_READ_STATS;
        return rest.len == 0;
    case TIERED_TIMELINE:
    case TIERED_SEARCH:
    case TIERED_CLASS_COUNT:
        return false;
    }
    return false;
}

bool cache_key_to_op(struct slice key, struct store_op *op) {
    enum tiered_class_e class;
    if (key.len > CACHE_KEY_MAX || !tiered_class_of(key, &class)) {
        return false;
    }
    return rest_to_op(class, slice_skip(key, strlen(tiered_class_name(class)) + 1), op);
}

/* ── what a write changes ── */

struct teller {
    struct slice event;
    cache_key_fn fn;
    void *data;
};

static void tell(const struct teller *teller, bool fits, const struct cache_key *key) {
    if (fits) { /* what does not fit is cached nowhere */
        teller->fn(teller->data, cache_key_text(key));
    }
}

static void tell_id(const struct teller *teller, int64_t id) {
    struct cache_key key;
    if (id != 0) {
        tell(teller, key_of_id(&key, teller->event, id), &key);
    }
}

static void tell_token(const struct teller *teller, struct slice token) {
    struct cache_key key;
    if (token.len > 0) {
        tell(teller, key_of_token(&key, teller->event, token), &key);
    }
}

static void tell_person(const struct teller *teller, const struct store_op *op) {
    if (op->kind == STORE_IMPORT_PARTICIPANTS) {
        for (size_t i = 0; i < op->import.len; i++) {
            tell_token(teller, op->import.rows[i].values.token);
            tell_id(teller, op->import.rows[i].ret_id);
        }
        return;
    }
    tell_id(teller, op->participant_write.values.id);
    tell_token(teller, op->participant_write.values.token);
    tell_token(teller, op->participant_write.ret_old_token);
}

void cache_changed_keys(const struct store_op *op, cache_key_fn fn, void *data) {
    unsigned changes = cache_effects(op->kind);
    struct cache_key key;
    struct slice event =
        op->kind == STORE_CREATE_EVENT ? op->event_write.values.code : op->event;
    const struct teller teller = {event, fn, data};
    if (!code_is_valid(event)) {
        return;
    }
    if (changes & CACHE_CHANGES_EVENT) {
        tell(&teller, key_of(&key, TIERED_EVENT_CONFIG, event), &key);
    }
    if (changes & CACHE_CHANGES_GATES) {
        tell(&teller, key_of(&key, TIERED_ACTIVE_GATES, event), &key);
    }
    if (changes & CACHE_CHANGES_GATE) {
        tell(&teller, key_of_gate(&key, event, op->gate_write.values.code), &key);
    }
    if (changes & CACHE_CHANGES_ID) { /* a token goes with its id */
        tell_person(&teller, op);
    }
}
