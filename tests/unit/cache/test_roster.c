/* SPDX-License-Identifier: Apache-2.0 */
/* The roster keeps what is asked for most, forgets what it is told to, and reads its own file. */
#include "cache/roster.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

static void note(struct roster *roster, const char *key, int times) {
    for (int i = 0; i < times; i++) {
        roster_count(roster, slice_of(key));
    }
}

/* The keys of its file, joined by spaces. */
static const char *keys_of(struct roster *roster) {
    static char text[ROSTER_FILE_MAX];
    struct buf file;
    size_t len = 0;
    buf_init(&file, ROSTER_FILE_MAX);
    roster_write(roster, &file);
    assert_false(file.failed);
    struct slice rest = buf_slice(&file), key;
    text[0] = '\0';
    while (roster_read(buf_slice(&file), &rest, &key)) {
        len += (size_t)snprintf(text + len, sizeof text - len, len == 0 ? "%.*s" : " %.*s",
                                SLICE_ARG(key));
    }
    buf_fini(&file);
    return text;
}

static void the_hottest_key_comes_first(void **state) {
    (void)state;
    struct roster *roster = roster_create();
    note(roster, "gate:e:g1", 3);
    note(roster, "event_config:e", 9);
    note(roster, "participant:e:token=t 1", 1);
    assert_string_equal(keys_of(roster), "event_config:e gate:e:g1 participant:e:token=t 1");
    roster_destroy(roster);
}

static void a_sample_finds_keys_that_are_asked_for_in_turns(void **state) {
    (void)state;
    struct roster *roster = roster_create();
    uint32_t dice = 0;
    for (int i = 0; i < 100 * ROSTER_SAMPLE; i++) {
        roster_note(roster, &dice, i % 2 == 0 ? SLICE_LIT("gate:e:g1") : SLICE_LIT("gate:e:g2"));
    }
    const char *keys = keys_of(roster);
    assert_non_null(strstr(keys, "gate:e:g1"));
    assert_non_null(strstr(keys, "gate:e:g2"));
    roster_destroy(roster);
}

static void a_key_that_is_not_asked_for_any_more_sinks(void **state) {
    (void)state;
    struct roster *roster = roster_create();
    note(roster, "gate:e:g1", 64);
    for (int i = 0; i < 6; i++) {
        keys_of(roster);
    }
    note(roster, "gate:e:g2", 4);
    assert_string_equal(keys_of(roster), "gate:e:g2 gate:e:g1");
    roster_destroy(roster);
}

static void a_forgotten_key_is_in_no_file(void **state) {
    (void)state;
    struct roster *roster = roster_create();
    note(roster, "participant:e:token=t1", 5);
    note(roster, "gate:e:g1", 1);
    roster_forget(roster, SLICE_LIT("participant:e:token=t1"));
    roster_forget(roster, SLICE_LIT("participant:e:token=t2"));
    assert_string_equal(keys_of(roster), "gate:e:g1");
    roster_destroy(roster);
}

static void a_file_is_to_be_written_once_after_something_was_forgotten(void **state) {
    (void)state;
    struct roster *roster = roster_create();
    note(roster, "gate:e:g1", 1);
    assert_false(roster_take_forgotten(roster));
    roster_forget(roster, SLICE_LIT("participant:e:token=t2")); /* the file may have it */
    assert_true(roster_take_forgotten(roster));
    assert_false(roster_take_forgotten(roster));
    roster_destroy(roster);
}

static void keys_that_fit_no_line_are_left_out(void **state) {
    (void)state;
    static char longest[ROSTER_KEY_MAX + 2];
    struct roster *roster = roster_create();
    memset(longest, 'x', ROSTER_KEY_MAX + 1);
    note(roster, longest, 1);
    note(roster, "a\nb", 1);
    note(roster, "", 1);
    assert_string_equal(keys_of(roster), "");
    longest[ROSTER_KEY_MAX] = '\0';
    note(roster, longest, 1);
    assert_string_equal(keys_of(roster), longest);
    roster_destroy(roster);
}

/* Many more keys than seats: those that are asked for again and again stay. */
static void a_hot_key_survives_a_crowd_of_cold_ones(void **state) {
    (void)state;
    struct roster *roster = roster_create();
    char key[32];
    for (int i = 0; i < 8 * ROSTER_KEYS; i++) {
        snprintf(key, sizeof key, "gate:e:%d", i);
        note(roster, key, 1);
        if (i % 16 == 0) {
            note(roster, "event_config:hot", 1);
        }
    }
    assert_non_null(strstr(keys_of(roster), "event_config:hot"));
    roster_destroy(roster);
}

static void a_text_that_is_no_roster_has_no_keys(void **state) {
    (void)state;
    static const char *const texts[] = {"", "\n", "gate:e:g1\n", "turnout-roster 2\ngate:e:g1\n",
                                        "turnout-roster 1"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct slice text = slice_of(texts[i]), rest = text, key;
        assert_false(roster_read(text, &rest, &key));
        assert_false(roster_read(text, &rest, &key));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hottest_key_comes_first),
        cmocka_unit_test(a_sample_finds_keys_that_are_asked_for_in_turns),
        cmocka_unit_test(a_key_that_is_not_asked_for_any_more_sinks),
        cmocka_unit_test(a_forgotten_key_is_in_no_file),
        cmocka_unit_test(a_file_is_to_be_written_once_after_something_was_forgotten),
        cmocka_unit_test(keys_that_fit_no_line_are_left_out),
        cmocka_unit_test(a_hot_key_survives_a_crowd_of_cold_ones),
        cmocka_unit_test(a_text_that_is_no_roster_has_no_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
