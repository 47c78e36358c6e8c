/* SPDX-License-Identifier: Apache-2.0 */
/* Which partitions are made, filled and retired, at ordinary and at awkward times. */
#include "optimizer/partition_plan.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

enum { VIEW_MAX = 32, DAY_S = 86400 };

static struct arena arena;
static struct partition partitions[VIEW_MAX];
static struct partition_view view;
static struct partition_policy policy;

static int64_t ms(const char *text) {
    int64_t at = 0;
    if (!time_parse(slice_of(text), &at)) {
        fail_msg("no time: %s", text);
    }
    return at;
}

static int64_t days(int64_t n) {
    return n * DAY_S * 1000;
}

static int setup(void **state) {
    (void)state;
    arena_init(&arena, 1 << 20);
    view = (struct partition_view){.partitions = partitions,
                                   .now_ms = ms("2026-11-24T18:00:00Z")};
    policy = (struct partition_policy){.table = SLICE_LIT("attendance_records"),
                                       .period = PARTITION_QUARTER,
                                       .ahead = 4,
                                       .quarantine_ms = days(7)};
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_fini(&arena);
    return 0;
}

static struct partition *have(const char *name, const char *from, const char *to) {
    assert_true(view.count < VIEW_MAX);
    partitions[view.count] = (struct partition){.name = slice_of(name),
                                                .from_ms = ms(from),
                                                .to_ms = ms(to),
                                                .state = PARTITION_ATTACHED,
                                                .detached_ms = TIME_NONE};
    return &partitions[view.count++];
}

/* Whole quarters, named by turnout, from the first of `from` on. */
static void have_quarters(int64_t from_year, int count) {
    static char names[VIEW_MAX][64];
    for (int i = 0; i < count; i++) {
        int64_t number = from_year * 4 + i;
        struct buf name;
        buf_init(&name, 512);
        partition_period_name(&name, policy.table, PARTITION_QUARTER, number);
        assert_true(slice_to_cstr(buf_slice(&name), names[view.count], sizeof names[0]));
        buf_fini(&name);
        partitions[view.count] =
            (struct partition){.name = slice_of(names[view.count]),
                               .from_ms = partition_period_start(PARTITION_QUARTER, number),
                               .to_ms = partition_period_start(PARTITION_QUARTER, number + 1),
                               .detached_ms = TIME_NONE};
        view.count++;
    }
}

static struct partition_plan make(void) {
    struct partition_plan plan = {0};
    struct problem problem = {{0}, {0}};
    if (partition_plan_make(&arena, &policy, &view, &plan, &problem) != ERR_OK) {
        fail_msg("%s: %s", problem.field, problem.detail);
    }
    return plan;
}

/* "word name" of each step, a line each; the table's name is left out. */
static void expect(const char *steps) {
    struct partition_plan plan = make();
    char found[4096] = "";
    size_t len = 0;
    for (size_t i = 0; i < plan.count; i++) {
        const char *name = plan.steps[i].name;
        size_t prefix = policy.table.len;
        bool ours = strncmp(name, policy.table.at, prefix) == 0;
        len += (size_t)snprintf(found + len, sizeof found - len, "%s %s\n",
                                partition_step_word(plan.steps[i].kind),
                                ours ? name + prefix : name);
    }
    assert_string_equal(steps, found);
}

static void an_empty_table_gets_the_current_period_and_those_ahead(void **state) {
    (void)state;
    expect("create _2026_q4\ncreate _2027_q1\ncreate _2027_q2\ncreate _2027_q3\n"
           "create _2027_q4\n");
    struct partition_plan plan = make();
    assert_int_equal(ms("2026-10-01T00:00:00Z"), plan.steps[0].from_ms);
    assert_int_equal(ms("2027-01-01T00:00:00Z"), plan.steps[0].to_ms);
    for (size_t i = 1; i < plan.count; i++) {
        assert_int_equal(plan.steps[i - 1].to_ms, plan.steps[i].from_ms);
    }
}

static void a_table_with_its_partitions_has_no_steps(void **state) {
    (void)state;
    have_quarters(2026, 8);
    expect("");
}

static void months_and_weeks_are_named_as_the_schema_names_them(void **state) {
    (void)state;
    policy.ahead = 2;
    policy.period = PARTITION_MONTH;
    expect("create _2026_11\ncreate _2026_12\ncreate _2027_01\n");
    policy.period = PARTITION_WEEK;
    expect("create _2026_w48\ncreate _2026_w49\ncreate _2026_w50\n");
}

static void a_week_belongs_to_the_year_of_its_thursday(void **state) {
    (void)state;
    policy.period = PARTITION_WEEK;
    policy.ahead = 1;
    view.now_ms = ms("2026-12-31T23:59:59Z"); /* 2026 has 53 weeks */
    expect("create _2026_w53\ncreate _2027_w01\n");
    view.now_ms = ms("2027-01-03T23:59:59Z"); /* still that week */
    expect("create _2026_w53\ncreate _2027_w01\n");
    view.now_ms = ms("2024-12-30T00:00:00Z"); /* a Monday of the year that follows */
    expect("create _2025_w01\ncreate _2025_w02\n");
    view.now_ms = ms("2027-02-15T12:00:00Z");
    expect("create _2027_w07\ncreate _2027_w08\n");
}

static void a_leap_day_belongs_to_february(void **state) {
    (void)state;
    policy.period = PARTITION_MONTH;
    policy.ahead = 1;
    view.now_ms = ms("2028-02-29T23:59:59.999Z");
    expect("create _2028_02\ncreate _2028_03\n");
    assert_int_equal(ms("2028-03-01T00:00:00Z"), make().steps[0].to_ms);
    view.now_ms = ms("2100-02-28T00:00:00Z"); /* no leap year */
    assert_int_equal(ms("2100-03-01T00:00:00Z"), make().steps[0].to_ms);
}

static void the_last_millisecond_of_a_year_belongs_to_it(void **state) {
    (void)state;
    policy.ahead = 1;
    view.now_ms = ms("2026-12-31T23:59:59.999Z");
    expect("create _2026_q4\ncreate _2027_q1\n");
    view.now_ms++;
    expect("create _2027_q1\ncreate _2027_q2\n");
}

static void periods_of_every_kind_follow_each_other_without_a_gap(void **state) {
    (void)state;
    for (int period = PARTITION_QUARTER; period <= PARTITION_WEEK; period++) {
        enum partition_period_e p = (enum partition_period_e)period;
        int64_t last = partition_period_of(p, ms("2120-01-01T00:00:00Z"));
        for (int64_t n = partition_period_of(p, 0); n < last; n++) {
            int64_t start = partition_period_start(p, n);
            assert_int_equal(n, partition_period_of(p, start));
            assert_int_equal(n - 1, partition_period_of(p, start - 1));
        }
    }
}

static void a_gap_between_partitions_is_filled(void **state) {
    (void)state;
    have_quarters(2025, 2);
    have_quarters(2026, 8);
    expect("fill_gap _2025_q3\nfill_gap _2025_q4\n");
}

static void a_part_of_a_period_is_filled_and_named_by_its_start(void **state) {
    (void)state;
    policy.ahead = 1;
    have("attendance_records_2026_10", "2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z");
    have("odd", "2026-11-01T00:00:00Z", "2026-11-10T09:30:00Z");
    expect("warn_horizon \ncreate _2026_q4_20261110t093000\ncreate _2027_q1\n");
    struct partition_plan plan = make();
    assert_int_equal(ms("2026-11-10T09:30:00Z"), plan.steps[1].from_ms);
    assert_int_equal(ms("2027-01-01T00:00:00Z"), plan.steps[1].to_ms);
}

static void overlapping_and_unbounded_ranges_count_once(void **state) {
    (void)state;
    policy.ahead = 1;
    have("all_old", "2020-01-01T00:00:00Z", "2026-12-01T00:00:00Z")->from_ms =
        PARTITION_FROM_ALWAYS;
    have("within", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z");
    have("across", "2026-11-01T00:00:00Z", "2027-01-01T00:00:00Z");
    expect("warn_horizon \ncreate _2027_q1\n");
    have("rest", "2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z")->to_ms = PARTITION_TO_ALWAYS;
    expect("");
}

static void a_name_that_is_taken_gets_a_number(void **state) {
    (void)state;
    policy.ahead = 1;
    have("attendance_records_2027_q1", "2020-01-01T00:00:00Z", "2020-02-01T00:00:00Z")->state =
        PARTITION_DETACHED;
    expect("warn_detached _2027_q1\ncreate _2026_q4\ncreate _2027_q1_2\n");
}

static void a_detach_that_was_cut_short_is_finished_first_and_its_range_left_alone(void **state) {
    (void)state;
    have_quarters(2025, 12);
    partitions[1].state = PARTITION_DETACH_PENDING;
    expect("finalize _2025_q2\n");
}

static void nothing_is_retired_without_a_retention(void **state) {
    (void)state;
    have_quarters(2020, 32);
    expect("");
    partitions[0].state = PARTITION_DETACHED;
    partitions[0].detached_ms = ms("2021-01-01T00:00:00Z");
    expect("warn_detached _2020_q1\n");
}

static void what_ended_before_the_retention_is_detached(void **state) {
    (void)state;
    have_quarters(2025, 12);
    policy.retention_ms = days(365);
    view.now_ms = ms("2026-04-01T00:00:00Z"); /* a year after 2025-04-01 */
    expect("detach _2025_q1\n");
    view.now_ms--;
    expect("");
}

static void a_detached_partition_is_dropped_after_its_quarantine_and_not_before(void **state) {
    (void)state;
    have_quarters(2025, 12);
    policy.retention_ms = days(365);
    view.now_ms = ms("2026-06-01T00:00:00Z");
    partitions[0].state = PARTITION_DETACHED;
    partitions[0].detached_ms = view.now_ms - days(7) + 1;
    expect("");
    partitions[0].detached_ms = view.now_ms - days(7);
    expect("drop _2025_q1\n");
    partitions[0].detached_ms = TIME_NONE;
    expect("");
}

static void a_longer_retention_takes_a_detached_partition_back_under_protection(void **state) {
    (void)state;
    have_quarters(2025, 12);
    policy.retention_ms = days(3650);
    partitions[0].state = PARTITION_DETACHED;
    partitions[0].detached_ms = ms("2025-06-01T00:00:00Z");
    expect("warn_detached _2025_q1\n");
}

static void what_turnout_did_not_name_is_never_retired(void **state) {
    (void)state;
    have_quarters(2026, 8);
    policy.retention_ms = days(300);
    have("attendance_archive", "2020-01-01T00:00:00Z", "2026-01-01T00:00:00Z");
    have("attendance_records_2019_q1", "2019-01-01T00:00:00Z", "2020-01-01T00:00:00Z");
    expect("warn_foreign attendance_archive\nwarn_foreign _2019_q1\n");
}

static void partitions_of_an_earlier_period_are_ours_too(void **state) {
    (void)state;
    have_quarters(2026, 8);
    policy.retention_ms = days(300);
    have("attendance_records_2025_12", "2025-12-01T00:00:00Z", "2026-01-01T00:00:00Z");
    have("attendance_records_2025_w48", "2025-11-24T00:00:00Z", "2025-12-01T00:00:00Z");
    expect("detach _2025_12\ndetach _2025_w48\n");
}

static void a_clock_behind_every_partition_retires_nothing(void **state) {
    (void)state;
    have_quarters(2025, 12);
    policy.retention_ms = days(365);
    policy.ahead = 1;
    view.now_ms = ms("2051-02-01T00:00:00Z");
    partitions[0].state = PARTITION_DETACHED;
    partitions[0].detached_ms = ms("2026-06-01T00:00:00Z");
    struct partition_plan plan = make();
    bool warned = false;
    for (size_t i = 0; i < plan.count; i++) {
        assert_int_not_equal(PARTITION_DETACH, plan.steps[i].kind);
        assert_int_not_equal(PARTITION_DROP, plan.steps[i].kind);
        warned = warned || plan.steps[i].kind == PARTITION_WARN_CLOCK;
    }
    assert_true(warned);
}

static void a_clock_that_jumps_back_neither_drops_nor_makes_anything_twice(void **state) {
    (void)state;
    have_quarters(2025, 12);
    policy.retention_ms = days(365);
    policy.ahead = 1;
    partitions[0].state = PARTITION_DETACHED;
    partitions[0].detached_ms = ms("2026-11-01T00:00:00Z");
    view.now_ms = ms("2026-10-20T00:00:00Z"); /* before it was detached */
    expect("detach _2025_q2\ndetach _2025_q3\n");
    view.now_ms = ms("2025-05-20T00:00:00Z");
    expect("warn_detached _2025_q1\n");
}

static void a_default_partition_stops_detaching_and_is_named(void **state) {
    (void)state;
    have_quarters(2025, 12);
    policy.retention_ms = days(365);
    have("leftovers", "2025-01-01T00:00:00Z", "2025-01-02T00:00:00Z")->state = PARTITION_DEFAULT;
    expect("warn_default leftovers\n");
}

static void a_short_horizon_is_told_before_it_is_mended(void **state) {
    (void)state;
    have_quarters(2026, 6); /* two quarters are left of four */
    expect("create _2027_q3\ncreate _2027_q4\n");
    view.count--;
    expect("warn_horizon \ncreate _2027_q2\ncreate _2027_q3\ncreate _2027_q4\n");
}

static void one_plan_fills_a_bounded_number_of_gaps(void **state) {
    (void)state;
    policy.period = PARTITION_WEEK;
    policy.ahead = 1;
    have("attendance_records_2000_w02", "2000-01-10T00:00:00Z", "2000-01-17T00:00:00Z");
    struct partition_plan plan = make();
    size_t gaps = 0;
    for (size_t i = 0; i < plan.count; i++) {
        gaps += plan.steps[i].kind == PARTITION_FILL_GAP;
    }
    assert_int_equal(PARTITION_FILLS_MAX, gaps);
}

static void every_step_says_what_it_is_and_what_it_locks(void **state) {
    (void)state;
    for (int step = 0; step < PARTITION_STEP_COUNT; step++) {
        enum partition_step_e kind = (enum partition_step_e)step;
        assert_true(strlen(partition_step_word(kind)) > 0);
        assert_true(strlen(partition_step_text(kind)) > 0);
        assert_true(strlen(partition_step_lock(kind)) > 0);
    }
}

static void expect_refused(const char *field) {
    struct partition_plan plan;
    struct problem problem = {{0}, {0}};
    assert_int_equal(ERR_INVALID_FIELD,
                     partition_plan_make(&arena, &policy, &view, &plan, &problem));
    assert_string_equal(field, problem.field);
}

static void a_policy_out_of_range_is_refused(void **state) {
    (void)state;
    struct partition_policy good = policy;
    policy.ahead = 0;
    expect_refused("ahead");
    policy.ahead = PARTITION_AHEAD_MAX + 1;
    expect_refused("ahead");
    policy = good;
    policy.retention_ms = -1;
    expect_refused("retention");
    policy = good;
    policy.table = SLICE_LIT("a_table_name_that_leaves_no_room_for_it");
    expect_refused("table");
    policy = good;
    view.now_ms = -1;
    expect_refused("now");
    view.now_ms = ms("2026-01-01T00:00:00Z");
    have("empty", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z");
    expect_refused("partition");
}

/* Each case has a table and a policy of its own. */
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(an_empty_table_gets_the_current_period_and_those_ahead),
        CASE(a_table_with_its_partitions_has_no_steps),
        CASE(months_and_weeks_are_named_as_the_schema_names_them),
        CASE(a_week_belongs_to_the_year_of_its_thursday),
        CASE(a_leap_day_belongs_to_february),
        CASE(the_last_millisecond_of_a_year_belongs_to_it),
        CASE(periods_of_every_kind_follow_each_other_without_a_gap),
        CASE(a_gap_between_partitions_is_filled),
        CASE(a_part_of_a_period_is_filled_and_named_by_its_start),
        CASE(overlapping_and_unbounded_ranges_count_once),
        CASE(a_name_that_is_taken_gets_a_number),
        CASE(a_detach_that_was_cut_short_is_finished_first_and_its_range_left_alone),
        CASE(nothing_is_retired_without_a_retention),
        CASE(what_ended_before_the_retention_is_detached),
        CASE(a_detached_partition_is_dropped_after_its_quarantine_and_not_before),
        CASE(a_longer_retention_takes_a_detached_partition_back_under_protection),
        CASE(what_turnout_did_not_name_is_never_retired),
        CASE(partitions_of_an_earlier_period_are_ours_too),
        CASE(a_clock_behind_every_partition_retires_nothing),
        CASE(a_clock_that_jumps_back_neither_drops_nor_makes_anything_twice),
        CASE(a_default_partition_stops_detaching_and_is_named),
        CASE(a_short_horizon_is_told_before_it_is_mended),
        CASE(one_plan_fills_a_bounded_number_of_gaps),
        CASE(every_step_says_what_it_is_and_what_it_locks),
        CASE(a_policy_out_of_range_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
