/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a crowded gate is found with where its people could go; an even load and a quiet door are
 * left alone. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "monitor/gate_skew.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MINUTES = 5, GATES_MAX = 40 };

/* "g01:312 g02:18 g03-:0": a minus is a closed gate. */
static size_t read_loads(const char *text, struct gate_load *loads) {
    size_t len = 0;
    struct slice rest = slice_of(text), word;
    while (slice_next(&rest, ' ', &word)) {
        struct slice code;
        assert_true(slice_next(&word, ':', &code));
        bool is_closed = code.at[code.len - 1] == '-';
        loads[len] = (struct gate_load){.code = slice_from(code.at, code.len - is_closed),
                                        .is_open = !is_closed};
        assert_true(slice_to_int(word, 0, 1000000, &loads[len].scans));
        len++;
    }
    return len;
}

static bool find(const char *text, struct gate_skew *ret_skew) {
    struct gate_load loads[GATES_MAX];
    size_t len = read_loads(text, loads);
    return gate_skew_find(SLICE_LIT("expo"), loads, len, MINUTES, ret_skew);
}

static void a_gate_is_crowded_at_three_times_its_siblings_and_a_full_lane(void **state) {
    (void)state;
    static const struct {
        const char *loads;
        bool is_crowded;
    } rows[] = {
        {"", false},
        {"g1:1000", false}, /* it has no sibling */
        {"g1:100 g2:100 g3:100", false},
        {"g1:60 g2:20", false}, /* three times is not more than three times */
        {"g1:61 g2:20", true},
        {"g1:59 g2:1", false}, /* below twelve a minute nobody waits */
        {"g1:60 g2:1", true},
        {"g1:61 g2:40 g3:1", false}, /* on average 20.5 */
        {"g1:62 g2:40 g3:1", true},
        {"g1:100 g2:100 g3:0 g4:0", false}, /* gates that nobody uses make none look crowded */
        {"g1:100 g2:0 g3:0", true},         /* but they could be used */
        {"g1:100 g2-:0", true},             /* and so could closed ones */
        {"g1:100 g2:30 g3-:70", true},      /* what was refused at a closed one is no load of it */
    };
    struct gate_skew skew;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (find(rows[i].loads, &skew) != rows[i].is_crowded) {
            fail_msg("%s", rows[i].loads);
        }
    }
}

static void people_are_sent_where_there_is_most_room(void **state) {
    (void)state;
    static const struct {
        const char *loads, *relief;
        bool is_open;
    } rows[] = {
        {"g1:300 g2:20 g3:10 g4:30", "g3", true},
        {"g1:300 g2:20 g4:0 g3:0", "g3", true},   /* of equal ones, the first by code */
        {"g1:300 g2:20 g3-:0", "g2", true},       /* an open one before a closed one */
        {"g1:300 g4-:0 g3-:0", "g3", false},      /* closed ones when nothing else is there */
        {"g2:100 g1-:400", "g2", true},           /* refusals at a closed gate are a crowd, too */
    };
    struct gate_skew skew;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_true(find(rows[i].loads, &skew));
        assert_string_equal(skew.relief, rows[i].relief);
        assert_int_equal(skew.relief_is_open, rows[i].is_open);
    }
}

static void what_it_would_bring_is_half_of_both(void **state) {
    (void)state;
    struct gate_skew skew;
    assert_true(find("north:310 south:30 west:20 east:10", &skew));
    assert_string_equal(skew.event, "expo");
    assert_string_equal(skew.gate, "north");
    assert_string_equal(skew.relief, "east");
    assert_true(skew.per_minute == 62);
    assert_true(skew.siblings_per_minute == 4);
    assert_true(skew.relief_per_minute == 2);
    assert_true(skew.after_per_minute == 32);
    assert_string_equal(skew.loads, "north 310, south 30, west 20, east 10");
}

static void the_evidence_names_the_busiest_however_many_there_are(void **state) {
    (void)state;
    static char codes[GATES_MAX][CODE_MAX + 1];
    struct gate_load loads[GATES_MAX];
    for (int i = 0; i < GATES_MAX; i++) {
        memset(codes[i], 'x', CODE_MAX);
        codes[i][0] = (char)('A' + i % 26);
        codes[i][1] = (char)('A' + i / 26);
        loads[i] = (struct gate_load){slice_of(codes[i]), true, INT64_MAX / 4 / (i * i + 1)};
    }
    struct gate_skew skew;
    assert_true(gate_skew_find(slice_of(codes[5]), loads, GATES_MAX, MINUTES, &skew));
    assert_string_equal(skew.gate, codes[0]);
    assert_true(strlen(skew.loads) < sizeof skew.loads);
    assert_string_equal(skew.loads + strlen(skew.loads) - strlen(", …"), ", …");
}

static void without_time_nothing_is_said(void **state) {
    (void)state;
    struct gate_skew skew;
    struct gate_load loads[GATES_MAX];
    size_t len = read_loads("g1:1000 g2:1", loads);
    assert_false(gate_skew_find(SLICE_LIT("expo"), loads, len, 0, &skew));
    assert_false(gate_skew_find(SLICE_LIT("expo"), loads, len, -1, &skew));
    assert_false(gate_skew_find(SLICE_LIT("expo"), loads, len, NAN, &skew));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gate_is_crowded_at_three_times_its_siblings_and_a_full_lane),
        cmocka_unit_test(people_are_sent_where_there_is_most_room),
        cmocka_unit_test(what_it_would_bring_is_half_of_both),
        cmocka_unit_test(the_evidence_names_the_busiest_however_many_there_are),
        cmocka_unit_test(without_time_nothing_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
