/* SPDX-License-Identifier: Apache-2.0 */
/* Every cached read has one key, and every write names exactly the keys that it changes. */
#include "cache/keys.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

static const char *key_of(const struct store_op *op) {
    static struct cache_key key;
    static char text[CACHE_KEY_MAX + 1];
    if (!cache_key_of(op, &key)) {
        return NULL;
    }
    snprintf(text, sizeof text, "%.*s", SLICE_ARG(cache_key_text(&key)));
    return text;
}

static struct store_op about(enum store_op_e kind) {
    return (struct store_op){.kind = kind, .event = SLICE_LIT("expo")};
}

static void each_cached_read_has_its_key(void **state) {
    (void)state;
    struct store_op op = about(STORE_LOAD_EVENT);
    assert_string_equal(key_of(&op), "event_config:expo");
    op = about(STORE_LOAD_GATE);
    op.gate_write.values.code = SLICE_LIT("g1");
    assert_string_equal(key_of(&op), "gate:expo:g1");
    op = about(STORE_LIST_GATES);
    assert_string_equal(key_of(&op), "active_gates:expo");
    op = about(STORE_LOAD_PARTICIPANT);
    op.participant_write.values.id = 12;
    assert_string_equal(key_of(&op), "participant:expo:id=12");
    op = about(STORE_LIST_PARTICIPANTS);
    op.participants.token = SLICE_LIT("a:b*");
    assert_string_equal(key_of(&op), "participant:expo:token=a:b*");
    op = about(STORE_LIST_PARTICIPANTS);
    op.participants.query = SLICE_LIT("ann l");
    assert_string_equal(key_of(&op), "search:expo:ann l");
    op = about(STORE_READ_STATS);
    assert_string_equal(key_of(&op), "stats:overall:expo");
    op = about(STORE_READ_TIMELINE);
    op.timeline.since_ms = -60000;
    op.timeline.step_ms = 60000;
    assert_string_equal(key_of(&op), "timeline:expo:-60000:0:60000");
}

static void later_pages_and_other_reads_have_none(void **state) {
    (void)state;
    struct store_op op = about(STORE_LIST_GATES);
    op.gates.after = 5;
    assert_null(key_of(&op));
    op = about(STORE_LIST_PARTICIPANTS); /* a plain list: too long and too often changed */
    assert_null(key_of(&op));
    op.participants.token = SLICE_LIT("t");
    op.participants.after = 1;
    assert_null(key_of(&op));
    op = about(STORE_LIST_ATTENDANCE);
    assert_null(key_of(&op));
    op = about(STORE_LOAD_EVENT);
    op.event = SLICE_LIT("a:b"); /* no code: could be taken for another key */
    assert_null(key_of(&op));
}

static void a_key_that_is_too_long_is_not_cached(void **state) {
    (void)state;
    static char token[CACHE_KEY_MAX];
    memset(token, 'x', sizeof token);
    struct store_op op = about(STORE_LIST_PARTICIPANTS);
    size_t before = strlen("participant:expo:token=");
    op.participants.token = slice_from(token, sizeof token - before);
    assert_int_equal(strlen(key_of(&op)), CACHE_KEY_MAX);
    op.participants.token.len++;
    assert_null(key_of(&op));
}

static void a_lasting_key_says_which_read_fills_it(void **state) {
    (void)state;
    static const char *const keys[] = {
        "event_config:expo",      "gate:expo:g1",
        "active_gates:expo",      "participant:expo:id=12",
        "stats:overall:expo",     "participant:expo:token=a:b*",
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct store_op op = {.kind = STORE_PROBE};
        assert_true(cache_key_to_op(slice_of(keys[i]), &op));
        assert_string_equal(key_of(&op), keys[i]);
    }
}

static void other_keys_say_nothing(void **state) {
    (void)state;
    static const char *const keys[] = {
        "", "event_config", "event_config:", "event_config:expo:x", "event_config:a b",
        "other:expo",
        "gate:expo", "gate:expo:", "gate:expo:a:b", "active_gates:expo:x", "participant:expo",
        "participant:expo:12", "participant:expo:id=", "participant:expo:id=0",
        "participant:expo:id=-1", "participant:expo:id=99999999999999999999",
        "participant:expo:token=", "participant:expo:token= x", "timeline:expo:0:0:1000",
        "stats:overall", "stats:overall:expo:x", "search:expo:ann",
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct store_op op = {.kind = STORE_PROBE};
        if (cache_key_to_op(slice_of(keys[i]), &op)) {
            fail_msg("%s", keys[i]);
        }
    }
}

/* The keys that a write tells, joined by spaces. */
static void add_key(void *data, struct slice key) {
    struct buf *to = data;
    buf_add_text(to, to->len == 0 ? "" : " ");
    buf_add(to, key);
}

static const char *changed_by(const struct store_op *op) {
    static char text[4096];
    struct buf keys;
    buf_init(&keys, sizeof text - 1);
    cache_changed_keys(op, add_key, &keys);
    snprintf(text, sizeof text, "%.*s", (int)keys.len, keys.len == 0 ? "" : keys.at);
    buf_fini(&keys);
    return text;
}

static void each_write_names_the_keys_that_it_changes(void **state) {
    (void)state;
    struct store_op op = {.kind = STORE_CREATE_EVENT};
    op.event_write.values.code = SLICE_LIT("expo");
    assert_string_equal(changed_by(&op), "event_config:expo");
    op = about(STORE_UPDATE_EVENT);
    assert_string_equal(changed_by(&op), "event_config:expo");
    op = about(STORE_CREATE_GATE);
    op.gate_write.values.code = SLICE_LIT("g1");
    assert_string_equal(changed_by(&op), "active_gates:expo gate:expo:g1");
    op.kind = STORE_UPDATE_GATE;
    assert_string_equal(changed_by(&op), "active_gates:expo gate:expo:g1");
    op = about(STORE_CREATE_PARTICIPANT);
    op.participant_write.values.token = SLICE_LIT("t1");
    assert_string_equal(changed_by(&op), "participant:expo:token=t1"); /* no id yet */
    op.participant_write.values.id = 4;
    op.kind = STORE_UPDATE_PARTICIPANT;
    op.participant_write.ret_old_token = SLICE_LIT("t0");
    assert_string_equal(changed_by(&op), "participant:expo:id=4 participant:expo:token=t1 "
                                         "participant:expo:token=t0");
    op = about(STORE_ERASE_PARTICIPANT);
    op.participant_write.values.id = 4;
    assert_string_equal(changed_by(&op), "participant:expo:id=4"); /* before: the id is all */
    op.participant_write.values.token = SLICE_LIT("t1");
    assert_string_equal(changed_by(&op), "participant:expo:id=4 participant:expo:token=t1");
}

static void an_import_names_each_row(void **state) {
    (void)state;
    struct import_row rows[2] = {{.values.token = SLICE_LIT("t1"), .ret_id = 9},
                                 {.values.token = SLICE_LIT("t2")}};
    struct store_op op = about(STORE_IMPORT_PARTICIPANTS);
    op.import.rows = rows;
    op.import.len = 2;
    assert_string_equal(changed_by(&op), "participant:expo:token=t1 participant:expo:id=9 "
                                         "participant:expo:token=t2");
}

static void scans_change_figures_alone(void **state) {
    (void)state;
    struct store_op op = about(STORE_CHECK_IN);
    assert_string_equal(changed_by(&op), "");
    assert_int_equal(cache_effects(STORE_CHECK_IN), CACHE_CHANGES_FIGURES);
    assert_int_equal(cache_effects(STORE_ANNUL), CACHE_CHANGES_FIGURES);
}

/* A kind that is added to the store must be thought about here. What lasts for longer than a moment
 * the store knows by itself. */
static void every_write_has_been_thought_about(void **state) {
    enum { BRIEF = CACHE_CHANGES_FIGURES | CACHE_CHANGES_SEARCHES };
    (void)state;
    for (int i = 0; i < STORE_OP_COUNT; i++) {
        enum store_op_e kind = (enum store_op_e)i;
        bool harmless = kind == STORE_CREATE_KEY || kind == STORE_REVOKE_KEY ||
                        kind == STORE_ADD_ACTION || kind == STORE_END_ACTION ||
                        kind == STORE_PUT_ORDER || kind == STORE_END_ORDER ||
                        kind == STORE_ADD_NOTICE || kind == STORE_END_NOTICE ||
                        kind == STORE_REGISTER_NODE || kind == STORE_LEAVE_NODE ||
                        kind == STORE_CLUSTER_SECRET || kind == STORE_CHANGE_MARK ||
                        kind == STORE_PROBE;
        bool expected = store_op_writes(kind) && !harmless;
        bool lasts = (cache_effects(kind) & ~(unsigned)BRIEF) != 0;
        if ((cache_effects(kind) != 0) != expected || store_op_changes_lasting(kind) != lasts) {
            fail_msg("%s", store_op_text(kind));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_cached_read_has_its_key),
        cmocka_unit_test(later_pages_and_other_reads_have_none),
        cmocka_unit_test(a_key_that_is_too_long_is_not_cached),
        cmocka_unit_test(a_lasting_key_says_which_read_fills_it),
        cmocka_unit_test(other_keys_say_nothing),
        cmocka_unit_test(each_write_names_the_keys_that_it_changes),
        cmocka_unit_test(an_import_names_each_row),
        cmocka_unit_test(scans_change_figures_alone),
        cmocka_unit_test(every_write_has_been_thought_about),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
