/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: rows of the store mean what they say, whatever stands in them: an order to stop is never
 * missed, a silence never covers more than it says. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/assert.h"
#include "control/orders.h"

#include <stdio.h>

static struct arena arena;
static struct orders orders;

static int make(void **state) {
    (void)state;
    arena_init(&arena, 64 << 20);
    return 0;
}

static int drop(void **state) {
    (void)state;
    arena_fini(&arena);
    return 0;
}

static void read_row(const char *name, const char *value) {
    const struct order_row row = {slice_of(name), slice_of(value), SLICE_LIT("kim"), 1, 2};
    assert_int_equal(orders_read(&arena, &row, 1, &orders), ERR_OK);
}

static void without_rows_nothing_is_ordered(void **state) {
    (void)state;
    assert_int_equal(orders_read(&arena, NULL, 0, &orders), ERR_OK);
    assert_false(orders.is_stopped);
    assert_int_equal(orders.silences_len, 0);
}

static void a_stop_is_a_stop_whatever_its_value_is(void **state) {
    (void)state;
    static const char *const values[] = {"{\"stopped\":true,\"reason\":\"r\"}", "{}", "[]", "null",
                                         "{broken", "{\"stopped\":false}", "7"};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        read_row("acting", values[i]);
        assert_true(orders.is_stopped);
        assert_true(slice_eq_text(orders.stop.author, "kim"));
    }
    read_row("acting", values[0]);
    assert_true(slice_eq_text(orders.stop.reason, "r"));
}

static void what_is_not_known_is_left_alone(void **state) {
    (void)state;
    static const char *const names[] = {"Acting", "acting2", "silences/1", "", "shed/all"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        read_row(names[i], "{\"rule\":\"*\"}");
        assert_false(orders.is_stopped);
        assert_int_equal(orders.silences_len, 0);
    }
}

static void a_damaged_silence_silences_nothing(void **state) {
    (void)state;
    static const char *const values[] = {"{broken", "[]", "null", "{\"severity\":\"grave\"}"};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        read_row("silence/1", values[i]);
        assert_int_equal(orders.silences_len, 0);
    }
}

static void load_is_shed_only_for_a_bounded_time(void **state) {
    (void)state;
    struct order_row row = {SLICE_LIT("shed"), SLICE_LIT("{\"rule\":\"slow\"}"), SLICE_LIT("n1"), 1,
                            5000};
    assert_int_equal(orders_read(&arena, &row, 1, &orders), ERR_OK);
    assert_true(orders.is_shedding);
    assert_true(slice_eq_text(orders.shed_rule, "slow"));
    row.until_ms = TIME_NONE;
    assert_int_equal(orders_read(&arena, &row, 1, &orders), ERR_OK);
    assert_false(orders.is_shedding);
}

static void who_is_to_start_anew_is_named_with_its_process(void **state) {
    (void)state;
    struct order_row row = {SLICE_LIT("restart/n1:80"),
                            SLICE_LIT("{\"started_at_ms\":17,\"action\":4,\"rule\":\"r\","
                                      "\"before\":2.5,\"own\":true}"),
                            SLICE_LIT("n2"), 1, 5000};
    assert_int_equal(orders_read(&arena, &row, 1, &orders), ERR_OK);
    assert_int_equal(orders.restarts_len, 1);
    const struct standing_restart *restart = &orders.restarts[0];
    assert_true(slice_eq_text(restart->node, "n1:80") && slice_eq_text(restart->rule, "r"));
    assert_true(restart->started_at_ms == 17 && restart->action_id == 4 && restart->is_own);
    assert_true(restart->before > 2.4 && restart->before < 2.6);
    row.until_ms = TIME_NONE; /* for ever */
    assert_int_equal(orders_read(&arena, &row, 1, &orders), ERR_OK);
    assert_int_equal(orders.restarts_len, 0);
    read_row("restart/n1:80", "{\"action\":4}"); /* of no process */
    assert_int_equal(orders.restarts_len, 0);
}

static void a_silence_reads_back_as_it_was_written(void **state) {
    (void)state;
    const struct silence covers[] = {
        {SLICE_LIT("db_*"), SLICE_NONE, -1},
        {SLICE_NONE, SLICE_LIT("n1:8080"), SEVERITY_WARNING},
        {SLICE_LIT("*"), SLICE_LIT("n*"), SEVERITY_CRITICAL},
    };
    for (size_t i = 0; i < sizeof covers / sizeof covers[0]; i++) {
        const struct standing_silence silence = {.order = {.reason = SLICE_LIT("a \"reason\"")},
                                                 .covers = covers[i]};
        struct json_writer w;
        struct buf text;
        char value[512];
        buf_init(&text, sizeof value);
        json_writer_init(&w, &text);
        order_write_silence(&w, &silence);
        snprintf(value, sizeof value, "%.*s", SLICE_ARG(buf_slice(&text)));
        buf_fini(&text);
        read_row("silence/5f0c", value);
        assert_int_equal(orders.silences_len, 1);
        const struct standing_silence *read = &orders.silences[0];
        assert_true(slice_eq_text(read->order.id, "5f0c"));
        assert_true(slice_eq_text(read->order.reason, "a \"reason\""));
        assert_true(slice_eq(read->covers.rule, covers[i].rule));
        assert_true(slice_eq(read->covers.node, covers[i].node));
        assert_int_equal(read->covers.severity, covers[i].severity);
    }
}

static void an_order_stands_until_its_moment(void **state) {
    (void)state;
    const struct standing_order bounded = {.until_ms = 1000}, lasting = {.until_ms = TIME_NONE};
    assert_true(order_stands(&bounded, 999));
    assert_false(order_stands(&bounded, 1000));
    assert_true(order_stands(&lasting, INT64_MAX));
}

static void a_pattern_has_its_star_at_the_end(void **state) {
    (void)state;
    static const char *const good[] = {"*", "a", "db_*", "n1:8080", "n-1.x*"};
    static const char *const bad[] = {"", "**", "*a", "a*b", "a b", "a\n", "\xc3\xa9", "a\x7f"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(silence_pattern_is_good(slice_of(good[i])));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(silence_pattern_is_good(slice_of(bad[i])));
    }
    char longest[ORDER_PATTERN_MAX + 1];
    memset(longest, 'a', sizeof longest);
    assert_true(silence_pattern_is_good(slice_from(longest, ORDER_PATTERN_MAX)));
    assert_false(silence_pattern_is_good(slice_from(longest, sizeof longest)));
}

static void a_thousand_orders_have_room_and_no_more_silences_are_kept(void **state) {
    (void)state;
    enum { ROWS = SILENCES_MAX + 5 };
    static struct order_row rows[ROWS];
    for (size_t i = 0; i < ROWS; i++) {
        rows[i] = (struct order_row){SLICE_LIT("silence/1"), SLICE_LIT("{\"rule\":\"a\"}"),
                                     SLICE_LIT("kim"), 1, 2};
    }
    rows[ROWS - 1] = (struct order_row){SLICE_LIT("acting"), SLICE_LIT("{}"), SLICE_LIT("kim"), 1,
                                        TIME_NONE};
    assert_int_equal(orders_read(&arena, rows, ROWS, &orders), ERR_OK);
    assert_int_equal(orders.silences_len, SILENCES_MAX);
    assert_true(orders.is_stopped);
}

static void a_full_arena_is_an_error_and_no_half_of_the_orders(void **state) {
    (void)state;
    const struct order_row row = {SLICE_LIT("acting"), SLICE_LIT("{}"), SLICE_LIT("kim"), 1, 2};
    struct arena tiny;
    for (size_t limit = 0; limit < 3 * ARENA_FIRST_BLOCK; limit += ARENA_FIRST_BLOCK) {
        arena_init(&tiny, limit);
        enum err_e err = orders_read(&tiny, &row, 1, &orders);
        assert_true(err == ERR_NO_MEMORY || (err == ERR_OK && orders.is_stopped));
        arena_fini(&tiny);
    }
}

int main(void) {
#define EACH(test) cmocka_unit_test_setup_teardown(test, make, drop)
    const struct CMUnitTest tests[] = {
        EACH(without_rows_nothing_is_ordered),
        EACH(a_stop_is_a_stop_whatever_its_value_is),
        EACH(what_is_not_known_is_left_alone),
        EACH(a_damaged_silence_silences_nothing),
        EACH(load_is_shed_only_for_a_bounded_time),
        EACH(who_is_to_start_anew_is_named_with_its_process),
        EACH(a_silence_reads_back_as_it_was_written),
        EACH(an_order_stands_until_its_moment),
        EACH(a_pattern_has_its_star_at_the_end),
        EACH(a_thousand_orders_have_room_and_no_more_silences_are_kept),
        EACH(a_full_arena_is_an_error_and_no_half_of_the_orders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
