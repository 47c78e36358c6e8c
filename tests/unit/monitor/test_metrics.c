/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the text is what Prometheus takes: complete families, cumulative buckets, base units. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "monitor/metrics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static struct cells *loops[2];
static struct buf text;

static const char *route_name(size_t index) {
    return index == 0 ? "POST /v1/events/{event}/checkins" : index == 1 ? "GET /livez" : "other";
}

static void answer(struct cells *cells, size_t route, int status, int64_t took_us) {
    struct cells_request request = {.route = 0};
    cells_begin(cells, &request, route, 1000, 1000);
    cells_end(cells, &request, &(struct cells_answer){status, 100, 1000 + took_us});
}

static int make(void **state) {
    (void)state;
    loops[0] = cells_create();
    loops[1] = cells_create();
    buf_init(&text, METRICS_MAX);
    return loops[0] == NULL || loops[1] == NULL ? -1 : 0;
}

static int drop(void **state) {
    (void)state;
    cells_destroy(loops[0]);
    cells_destroy(loops[1]);
    buf_fini(&text);
    return 0;
}

static struct store_replica_figures replica;
static struct cache_figures cache;
static struct cluster_figures cluster;

static void write_all(const struct view *view) {
    buf_clear(&text);
    metrics_write(&(struct metrics_input){.view = view,
                                          .cells = (const struct cells *const *)loops,
                                          .cells_len = 2,
                                          .routes = 3,
                                          .route_name = route_name,
                                          .cache = cache,
                                          .replica = replica,
                                          .cluster = cluster,
                                          .process_cpu_s = 1.5,
                                          .start_s = 1764000000,
                                          .collection_s = 0.001},
                  &text);
    assert_false(text.failed);
    buf_add_char(&text, '\0');
}

static void expect(const char *line) {
    char wanted[256];
    snprintf(wanted, sizeof wanted, "\n%s\n", line);
    if (strstr(text.at, wanted) == NULL) {
        fail_msg("no line %s", line);
    }
}

static struct view known_view(void) {
    return (struct view){.version = "1.2",
                         .connections_limit = 900,
                         .stall_ms_max = 12,
                         .health = {.cpu_percent = 25,
                                    .cpu_cores = 2,
                                    .memory_percent = 50,
                                    .memory_limit = 1024,
                                    .rss_bytes = 512,
                                    .open_fds = 7,
                                    .fds_limit = 64,
                                    .disk_free_bytes = 10,
                                    .disk_total_bytes = 20}};
}

static void loops_add_up_by_route_and_class(void **state) {
    (void)state;
    struct view view = known_view();
    answer(loops[0], 0, 200, 400);
    answer(loops[1], 0, 200, 2600);
    answer(loops[1], 0, 503, 20000000);
    write_all(&view);
#define ROUTE "route=\"POST /v1/events/{event}/checkins\""
    expect("turnout_http_requests_total{" ROUTE ",class=\"2xx\"} 2");
    expect("turnout_http_requests_total{" ROUTE ",class=\"5xx\"} 1");
    expect("turnout_http_response_bytes_total{" ROUTE "} 300");
    expect("turnout_http_slow_requests_total{" ROUTE "} 1");
    expect("turnout_http_unavailable_total 1");
    assert_null(strstr(text.at, "livez")); /* nobody asked for it */
}

static void buckets_are_cumulative_and_end_in_infinity(void **state) {
    (void)state;
    struct view view = known_view();
    answer(loops[0], 0, 200, 400);
    answer(loops[1], 0, 200, 2600);
    answer(loops[1], 0, 200, 20000000);
    write_all(&view);
#define BUCKET "turnout_http_request_duration_seconds_bucket{" ROUTE ",le="
    expect(BUCKET "\"0.00025\"} 0");
    expect(BUCKET "\"0.0005\"} 1");
    expect(BUCKET "\"0.0025\"} 1");
    expect(BUCKET "\"0.005\"} 2");
    expect(BUCKET "\"10\"} 2");
    expect(BUCKET "\"+Inf\"} 3");
    expect("turnout_http_request_duration_seconds_sum{" ROUTE "} 20.003");
    expect("turnout_http_request_duration_seconds_count{" ROUTE "} 3");
}

static void what_hangs_is_told_before_it_is_answered(void **state) {
    (void)state;
    struct view view = known_view();
    struct cells_request request = {.route = 0};
    cells_begin(loops[0], &request, 0, 1000, 1000);
    view.api.oldest_ms = 12500;
    write_all(&view);
    expect("turnout_http_requests_in_flight{" ROUTE "} 1");
    expect("turnout_http_oldest_request_seconds 12.5");
    cells_end(loops[0], &request, &(struct cells_answer){200, 0, 2000});
}

static void units_are_seconds_bytes_and_ratios(void **state) {
    (void)state;
    struct view view = known_view();
    struct store_op op = {.kind = STORE_CHECK_IN,
                          .err = ERR_IO,
                          .submitted_us = 1,
                          .begun_us = 250001,
                          .ended_us = 750001};
    cells_query(loops[0], NULL, &op);
    write_all(&view);
    expect("turnout_store_queue_seconds_total{operation=\"check_in\"} 0.25");
    expect("turnout_store_run_seconds_total{operation=\"check_in\"} 0.5");
    expect("turnout_store_failures_total{operation=\"check_in\"} 1");
    expect("turnout_cpu_used_ratio 0.25");
    expect("turnout_memory_used_ratio 0.5");
    expect("turnout_loop_turn_seconds_max 0.012");
    expect("process_cpu_seconds_total 1.5");
    expect("process_start_time_seconds 1764000000");
    expect("turnout_build_info{version=\"1.2\"} 1");
}

static void reads_that_may_lag_are_told_by_who_answered(void **state) {
    (void)state;
    struct view view = known_view();
    replica = (struct store_replica_figures){.limit_us = 500000, .reads = 70, .late = 3};
    write_all(&view);
    expect("turnout_store_replica_reads_total{outcome=\"standby\"} 70");
    expect("turnout_store_replica_reads_total{outcome=\"late\"} 3");
    replica = (struct store_replica_figures){.limit_us = 0};
}

static void the_cache_is_told_by_class_level_and_cause(void **state) {
    (void)state;
    struct view view = known_view();
    cache = (struct cache_figures){.l1 = {.hits = 60, .gets_us = 500000}, .l2_state = L2_CLOSED};
    cache.figures = (struct tiered_figures){.channel = TIERED_CHANNEL_LATE,
                                            .heard_ms = 900,
                                            .lag_us_last = 2500,
                                            .pending = 3,
                                            .mark = TIERED_MARK_SETTLED,
                                            .mark_drops = 4,
                                            .l2 = {.nodes = 6, .nodes_open = 1, .deadlines = 8}};
    cache.figures.l1.capacity_entries = 1000;
    cache.figures.l1.left[L1_LEAVE_BYTES] = 12;
    cache.figures.classes[TIERED_GATE] = (struct tiered_counters){.l1_hits = 60,
                                                                  .l1_misses = 40,
                                                                  .l1_expired = 30,
                                                                  .l1_untrusted = 10,
                                                                  .l2_hits = 20,
                                                                  .l2_misses = 15,
                                                                  .l2_outdated = 4,
                                                                  .l2_damaged = 1,
                                                                  .l2_down = 5,
                                                                  .loads = 20,
                                                                  .loads_us = 250000};
    write_all(&view);
    expect("turnout_cache_class_hits_total{class=\"gate\",level=\"l1\"} 60");
    expect("turnout_cache_class_hits_total{class=\"gate\",level=\"l2\"} 20");
#define MISSES "turnout_cache_class_misses_total{class=\"gate\",level="
    expect(MISSES "\"l1\",cause=\"expired\"} 30");
    expect(MISSES "\"l1\",cause=\"untrusted\"} 10");
    expect(MISSES "\"l2\",cause=\"cold\"} 10");
    expect(MISSES "\"l2\",cause=\"outdated\"} 4");
    expect(MISSES "\"l2\",cause=\"down\"} 5");
    expect("turnout_cache_load_seconds_total{class=\"gate\"} 0.25");
    expect("turnout_cache_get_seconds_total{level=\"l1\"} 0.5");
    expect("turnout_cache_left_total{cause=\"bytes\"} 12");
    expect("turnout_cache_channel_lag_seconds 0.0025");
    expect("turnout_cache_invalidations_pending 3");
    expect("turnout_cache_trust{by=\"channel\"} 0");
    expect("turnout_cache_trust{by=\"mark\"} 1");
    expect("turnout_cache_mark_drops_total 4");
    expect("turnout_cache_l2_nodes_open 1");
    expect("turnout_cache_l2_trouble_total{kind=\"deadlines\"} 8");
    assert_null(strstr(text.at, "participant")); /* nobody asked for one */

    cache = (struct cache_figures){.l2_state = L2_OFF};
    cache.figures.heard_ms = -1;
    cache.figures.classes[TIERED_GATE].l1_hits = 1;
    write_all(&view);
    expect("turnout_cache_class_hits_total{class=\"gate\",level=\"l1\"} 1");
    assert_null(strstr(text.at, "level=\"l2\""));
    assert_null(strstr(text.at, "turnout_cache_trust"));
    assert_null(strstr(text.at, "turnout_cache_mark"));
    assert_null(strstr(text.at, "turnout_cache_l2"));
    assert_null(strstr(text.at, "turnout_cache_channel"));
    cache = (struct cache_figures){.l2_state = L2_OFF};
}

static void a_process_that_knows_the_nodes_tells_of_them(void **state) {
    (void)state;
    struct view view = known_view();
    cluster = (struct cluster_figures){.is_known = true, .leads = true, .term = 7, .healthy = 3,
                                       .suspect = 1, .asks = 100, .misses = 4, .lies = 1,
                                       .state_changes = 6, .clock_off_s = 0.25};
    write_all(&view);
    expect("turnout_cluster_nodes{state=\"healthy\"} 3");
    expect("turnout_cluster_nodes{state=\"suspect\"} 1");
    expect("turnout_cluster_nodes{state=\"gone\"} 0");
    expect("turnout_cluster_asks_total{outcome=\"answered\"} 95");
    expect("turnout_cluster_asks_total{outcome=\"missed\"} 4");
    expect("turnout_cluster_asks_total{outcome=\"lie\"} 1");
    expect("turnout_cluster_state_changes_total 6");
    expect("turnout_cluster_clock_offset_seconds 0.25");
    expect("turnout_controller_leads 1");
    expect("turnout_controller_term 7");
    cluster = (struct cluster_figures){.is_known = false};
    write_all(&view);
    assert_null(strstr(text.at, "turnout_cluster_"));
    assert_null(strstr(text.at, "turnout_controller_"));
}

static void what_is_not_known_is_left_out_with_its_family(void **state) {
    (void)state;
    struct view view = known_view();
    view.health.cpu_percent = NAN;
    view.health.rss_bytes = -1;
    write_all(&view);
    assert_null(strstr(text.at, "turnout_cpu_used_ratio"));
    assert_null(strstr(text.at, "process_resident_memory_bytes"));
    assert_null(strstr(text.at, "turnout_pressure_ratio"));
    assert_null(strstr(text.at, "turnout_store_operation_duration_seconds"));
    assert_null(strstr(text.at, "turnout_store_replica_reads_total"));
    assert_null(strstr(text.at, "nan"));
}

/* Lints of the format that a table can break: every sample under its family, help for each. */
static void every_family_begins_with_help_and_type(void **state) {
    (void)state;
    struct view view = known_view();
    answer(loops[0], 1, 200, 5);
    write_all(&view);
    char name[128] = "";
    size_t samples = 0;
    text.len--;
    for (struct slice rest = buf_slice(&text), line; slice_next(&rest, '\n', &line);) {
        if (slice_starts_with(line, SLICE_LIT("# HELP "))) {
            struct slice words = slice_skip(line, 7), word;
            assert_true(slice_next(&words, ' ', &word));
            assert_true(slice_to_cstr(word, name, sizeof name));
            assert_true(words.len > 20 && words.at[words.len - 1] == '.');
        } else if (!slice_starts_with(line, SLICE_LIT("# TYPE "))) {
            assert_true(slice_starts_with(line, slice_of(name)));
            samples++;
        }
    }
    assert_true(samples > 40);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, make, drop)

static void openmetrics_names_families_without_total_and_ends(void **state) {
    (void)state;
    struct view view = known_view();
    buf_clear(&text);
    metrics_write(&(struct metrics_input){.form = METRICS_OPEN,
                                          .view = &view,
                                          .cells = (const struct cells *const *)loops,
                                          .cells_len = 2,
                                          .routes = 3,
                                          .route_name = route_name,
                                          .process_cpu_s = 1.5},
                  &text);
    assert_false(text.failed);
    buf_add_char(&text, '\0');
    expect("# TYPE process_cpu_seconds counter");
    expect("process_cpu_seconds_total 1.5");
    assert_null(strstr(text.at, "# TYPE process_cpu_seconds_total"));
    assert_string_equal(text.at + strlen(text.at) - 6, "# EOF\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        EACH(loops_add_up_by_route_and_class),
        EACH(buckets_are_cumulative_and_end_in_infinity),
        EACH(what_hangs_is_told_before_it_is_answered),
        EACH(units_are_seconds_bytes_and_ratios),
        EACH(reads_that_may_lag_are_told_by_who_answered),
        EACH(the_cache_is_told_by_class_level_and_cause),
        EACH(a_process_that_knows_the_nodes_tells_of_them),
        EACH(what_is_not_known_is_left_out_with_its_family),
        EACH(every_family_begins_with_help_and_type),
        EACH(openmetrics_names_families_without_total_and_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
