/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: each key figure is judged at every boundary of its goal, and nothing unknown is met. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "monitor/kpi.h"

#include <math.h>

static void every_boundary_of_every_goal_is_judged(void **state) {
    (void)state;
    static const struct {
        enum kpi_e kpi;
        double value;
        enum kpi_status_e status;
    } rows[] = {
        {KPI_api_response_ms, 0, KPI_MET},           {KPI_api_response_ms, 449.9, KPI_MET},
        {KPI_api_response_ms, 450, KPI_AT_RISK},     {KPI_api_response_ms, 499.9, KPI_AT_RISK},
        {KPI_api_response_ms, 500, KPI_MISSED},      {KPI_api_response_ms, 5000, KPI_MISSED},
        {KPI_db_query_ms, 89.9, KPI_MET},            {KPI_db_query_ms, 99.9, KPI_AT_RISK},
        {KPI_db_query_ms, 100, KPI_MISSED},          {KPI_cache_hit_rate, 0.85, KPI_MISSED},
        {KPI_cache_hit_rate, 0.851, KPI_AT_RISK},    {KPI_cache_hit_rate, 0.94, KPI_MET},
        {KPI_cache_hit_rate, 0, KPI_MISSED},         {KPI_memory_percent, 71.9, KPI_MET},
        {KPI_memory_percent, 72, KPI_AT_RISK},       {KPI_memory_percent, 80, KPI_MISSED},
        {KPI_cpu_percent, 62.9, KPI_MET},            {KPI_cpu_percent, 69.9, KPI_AT_RISK},
        {KPI_cpu_percent, 70, KPI_MISSED},           {KPI_concurrent_users, 9999, KPI_MISSED},
        {KPI_concurrent_users, 10000, KPI_AT_RISK},  {KPI_concurrent_users, 11000, KPI_AT_RISK},
        {KPI_concurrent_users, 11001, KPI_MET},      {KPI_throughput_tps, 999.9, KPI_MISSED},
        {KPI_throughput_tps, 1000, KPI_AT_RISK},     {KPI_throughput_tps, 1101, KPI_MET},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum kpi_status_e status = kpi_judge(kpi_row(rows[i].kpi), rows[i].value);
        if (status != rows[i].status) {
            fail_msg("%s of %f is %s", kpi_row(rows[i].kpi)->key, rows[i].value,
                     kpi_status_text(status));
        }
    }
}

static void what_is_unknown_is_never_met(void **state) {
    (void)state;
    for (int i = 0; i < KPI_COUNT; i++) {
        assert_int_equal(kpi_judge(kpi_row((enum kpi_e)i), NAN), KPI_UNKNOWN);
    }
}

static void a_view_without_traffic_knows_no_times_and_no_throughput(void **state) {
    (void)state;
    struct view view = {.api.times = {0, NAN, NAN, NAN, NAN, NAN},
                        .db.times = {0, NAN, NAN, NAN, NAN, NAN},
                        .hit_rate = NAN,
                        .tps_peak = 0,
                        .connections_peak = 1};
    assert_true(isnan(kpi_value(&view, KPI_api_response_ms)));
    assert_true(isnan(kpi_value(&view, KPI_db_query_ms)));
    assert_true(isnan(kpi_value(&view, KPI_cache_hit_rate)));
    assert_true(isnan(kpi_value(&view, KPI_throughput_tps)));
    assert_true(kpi_value(&view, KPI_concurrent_users) == 1);
    view.api.times.count = 1;
    assert_true(kpi_value(&view, KPI_throughput_tps) == 0);
}

static void there_are_seven_under_their_names(void **state) {
    (void)state;
    static const char *const keys[] = {"api_response_ms", "db_query_ms",      "cache_hit_rate",
                                       "memory_percent",  "cpu_percent",      "concurrent_users",
                                       "throughput_tps"};
    assert_int_equal(KPI_COUNT, 7);
    for (int i = 0; i < KPI_COUNT; i++) {
        assert_string_equal(kpi_row((enum kpi_e)i)->key, keys[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_boundary_of_every_goal_is_judged),
        cmocka_unit_test(what_is_unknown_is_never_met),
        cmocka_unit_test(a_view_without_traffic_knows_no_times_and_no_throughput),
        cmocka_unit_test(there_are_seven_under_their_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
