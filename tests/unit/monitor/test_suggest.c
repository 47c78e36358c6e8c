/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a healthy node gets no advice; each rule fires on its figures and is silent just below. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/json.h"
#include "monitor/documents.h"

#include <math.h>
#include <stdio.h>

#define MB ((int64_t)1 << 20)

static struct view view;
static struct view_route routes[2];
static struct view_query queries[2];

static struct view_times times_of(uint64_t count, double ms) {
    return (struct view_times){count, ms, ms, ms, ms, ms};
}

static int make_healthy(void **state) {
    (void)state;
    routes[0] = (struct view_route){.name = "POST /scan", .times = times_of(1000, 5), .rps = 3};
    routes[1] = (struct view_route){.name = "GET /list", .times = times_of(200, 9), .rps = 1};
    queries[0] = (struct view_query){.name = "check_in",
                                     .times = times_of(1000, 4),
                                     .queue_avg_ms = 1,
                                     .run_avg_ms = 3};
    queries[1] = (struct view_query){.name = "list_events",
                                     .times = times_of(200, 1),
                                     .queue_avg_ms = 0.1,
                                     .run_avg_ms = 0.9};
    view = (struct view){
        .at_ms = 1764000000000,
        .window_s = 300,
        .node = "n1",
        .url = "http://n1",
        .version = "1",
        .api = {.name = "api", .times = times_of(1200, 6)},
        .routes = routes,
        .routes_len = 2,
        .db = {.name = "db", .times = times_of(1200, 3), .queue_avg_ms = 1, .run_avg_ms = 2},
        .queries = queries,
        .queries_len = 2,
        .l1 = {.hits = 900, .misses = 100, .entries = 500, .capacity = 1000, .hit_rate = 0.9},
        .hit_rate = 0.9,
        .cold = 80,
        .evicted = 20,
        .health = {.cpu_percent = 30,
                   .process_cpu_percent = 20,
                   .cpu_cores = 2,
                   .memory_percent = 40,
                   .memory_limit = 1000 * MB,
                   .rss_bytes = 100 * MB,
                   .open_fds = 100,
                   .fds_limit = 1000,
                   .has_pressure = true,
                   .disk_free_bytes = 50000 * MB,
                   .disk_total_bytes = 100000 * MB},
        .connections = 50,
        .connections_limit = 1000,
        .stall_ms_max = 3,
        .horizon_s = 400 * 86400,
        .rss_growth_per_h = NAN,
        .queue_before_ms = 1,
        .queue_now_ms = 1,
    };
    return 0;
}

static bool fires(enum suggestion_e type) {
    struct suggestion all[SUGGESTION_COUNT];
    size_t len = suggest(&view, all);
    for (size_t i = 0; i < len; i++) {
        if (all[i].type == type) {
            return true;
        }
    }
    return false;
}

static void a_healthy_node_gets_no_advice(void **state) {
    (void)state;
    struct suggestion all[SUGGESTION_COUNT];
    assert_int_equal(suggest(&view, all), 0);
}

static void figures_that_nobody_knows_give_no_advice(void **state) {
    (void)state;
    view = (struct view){.at_ms = 1764000000000,
                         .api.times = {0, NAN, NAN, NAN, NAN, NAN},
                         .db = {.times = {0, NAN, NAN, NAN, NAN, NAN},
                                .queue_avg_ms = NAN,
                                .run_avg_ms = NAN},
                         .hit_rate = NAN,
                         .l1.hit_rate = NAN,
                         .health = {.cpu_percent = NAN,
                                    .process_cpu_percent = NAN,
                                    .cpu_cores = NAN,
                                    .memory_percent = NAN,
                                    .memory_limit = -1,
                                    .rss_bytes = -1,
                                    .open_fds = -1,
                                    .fds_limit = -1,
                                    .cpu = {NAN, NAN},
                                    .memory = {NAN, NAN},
                                    .io = {NAN, NAN},
                                    .disk_free_bytes = -1,
                                    .disk_total_bytes = -1},
                         .stall_ms_max = NAN,
                         .horizon_s = -1,
                         .rss_growth_per_h = NAN,
                         .queue_before_ms = NAN,
                         .queue_now_ms = NAN};
    struct suggestion all[SUGGESTION_COUNT];
    assert_int_equal(suggest(&view, all), 0);
}

/* Each makes the healthy view miss its rule narrowly, or meet it. */
enum side_e { NEAR_MISS, HIT };

static void set_database_slow_average(enum side_e side) {
    view.db.times.avg_ms = side == HIT ? 500.1 : 500;
}

static void set_database_slow_queries(enum side_e side) {
    view.db.slow = side == HIT ? 11 : 10;
    queries[1].slow = view.db.slow;
}

static void set_store_queue_growing(enum side_e side) {
    view.queue_before_ms = side == HIT ? 14.9 : 15;
    view.queue_now_ms = 30;
}

static void set_store_waiting(enum side_e side) {
    view.db.queue_avg_ms = 60;
    view.db.run_avg_ms = side == HIT ? 59 : 60;
}

static void set_commit_slow(enum side_e side) {
    queries[0].run_avg_ms = 51;
    queries[0].times.count = side == HIT ? 20 : 19;
}

static void set_store_refusals(enum side_e side) {
    view.db.failures = view.db.refused = side == HIT ? 1 : 0;
}

static void set_store_failures(enum side_e side) {
    view.db.refused = 3;
    view.db.failures = side == HIT ? 4 : 3;
}

static void set_api_errors(enum side_e side) {
    view.api.server_errors = routes[1].server_errors = side == HIT ? 13 : 12; /* of 1200 */
}

static void set_slow_route(enum side_e side) {
    routes[1].times.p95_ms = side == HIT ? 501 : 500;
}

static void set_request_hanging(enum side_e side) {
    view.api.in_flight = routes[0].in_flight = 1;
    view.api.oldest_ms = routes[0].oldest_ms = side == HIT ? 10001 : 10000;
}

static void set_loop_stalls(enum side_e side) {
    view.stalled_seconds = side == HIT ? 5 : 4;
}

static void set_cpu_high(enum side_e side) {
    view.health.cpu_percent = side == HIT ? 70.1 : 70;
}

static void set_memory_high(enum side_e side) {
    view.health.memory_percent = side == HIT ? 80.1 : 80;
}

static void set_memory_growth(enum side_e side) { /* 900 MB are left */
    view.rss_growth_per_h = side == HIT ? 38.0 * (double)MB : 37.0 * (double)MB;
}

static void set_descriptors_low(enum side_e side) {
    view.health.open_fds = side == HIT ? 801 : 800;
}

static void set_connections_near_limit(enum side_e side) {
    view.connections = side == HIT ? 801 : 800;
}

static void set_disk_low(enum side_e side) {
    view.health.disk_free_bytes = side == HIT ? 9999 * MB : 10000 * MB;
}

static void set_partition_horizon(enum side_e side) {
    view.horizon_s = 30 * 86400 - (side == HIT ? 1 : 0);
}

static void set_io_pressure(enum side_e side) {
    view.health.io.full = side == HIT ? 10.1 : 10;
}

static void set_cache_hit_rate_low(enum side_e side) {
    view.hit_rate = side == HIT ? 0.699 : 0.7;
}

static void set_cache_too_small(enum side_e side) {
    view.l1.entries = 1000;
    view.evicted = side == HIT ? 51 : 50; /* of 100 misses */
}

static void set_cache_l2_down(enum side_e side) {
    view.l2_state = side == HIT ? L2_OPEN : L2_HALF_OPEN;
}

static void set_auth_failures(enum side_e side) {
    view.unauthorized = 10;
    view.rate_limited = side == HIT ? 41 : 40;
}

static void set_malformed_requests(enum side_e side) {
    view.rejected_heads = side == HIT ? 21 : 20;
}

static void set_client_timeouts(enum side_e side) {
    view.timeouts = side == HIT ? 21 : 20;
}

static void set_replica_lag(enum side_e side) {
    view.replica_reads = 180;
    view.replica_late = side == HIT ? 21 : 20; /* a tenth is 20 of 200 */
    view.replica_behind_ms = 1500;
    view.replica_limit_ms = 500;
}

static void set_gate_skew(enum side_e side) {
    struct gate_load loads[] = {{SLICE_LIT("g01"), true, side == HIT ? 151 : 150},
                                {SLICE_LIT("g02"), true, 60},
                                {SLICE_LIT("g03"), true, 40},
                                {SLICE_LIT("g04"), false, 0}};
    view.is_skewed = gate_skew_find(SLICE_LIT("expo"), loads, 4, 5, &view.skew);
}

static void (*const sets[SUGGESTION_COUNT])(enum side_e side) = {
#define X(type, ...) set_##type,
    SUGGESTION_TABLE(X)
#undef X
};

static void each_rule_fires_on_its_figures_and_not_just_below(void **state) {
    for (int i = 0; i < SUGGESTION_COUNT; i++) {
        for (int side = NEAR_MISS; side <= HIT; side++) {
            make_healthy(state);
            sets[i]((enum side_e)side);
            if (fires((enum suggestion_e)i) != (side == HIT)) {
                fail_msg("%s %s", suggestion_type_text((enum suggestion_e)i),
                         side == HIT ? "is silent" : "fires on a near miss");
            }
        }
    }
}

static void a_few_requests_or_look_ups_are_no_evidence(void **state) {
    (void)state;
    routes[1].times = times_of(19, 5000);
    view.api.times.count = 99;
    view.api.server_errors = 50;
    view.l1.hits = 9;
    view.l1.misses = 90;
    view.hit_rate = 0.09;
    assert_false(fires(SUGGEST_slow_route));
    assert_false(fires(SUGGEST_api_errors));
    assert_false(fires(SUGGEST_cache_hit_rate_low));
    view.l1.misses = 91;
    assert_true(fires(SUGGEST_cache_hit_rate_low));
}

static void little_growth_and_large_free_disks_are_left_alone(void **state) {
    (void)state;
    view.health.rss_bytes = 995 * MB; /* full within an hour, but for a trickle */
    view.rss_growth_per_h = 9.0 * (double)MB;
    assert_false(fires(SUGGEST_memory_growth));
    view.health.disk_total_bytes = 2000 * MB;
    view.health.disk_free_bytes = 511 * MB; /* a quarter, and still little */
    assert_true(fires(SUGGEST_disk_low));
    view.health.disk_free_bytes = 512 * MB;
    assert_false(fires(SUGGEST_disk_low));
}

static void the_most_urgent_comes_first(void **state) {
    (void)state;
    set_client_timeouts(HIT);
    set_cpu_high(HIT);
    set_disk_low(HIT);
    struct suggestion all[SUGGESTION_COUNT];
    assert_int_equal(suggest(&view, all), 3);
    assert_int_equal(all[0].type, SUGGEST_disk_low);
    assert_int_equal(all[1].type, SUGGEST_cpu_high);
    assert_int_equal(all[2].type, SUGGEST_client_timeouts);
}

static void both_languages_say_every_rule_with_its_figures(void **state) {
    for (int i = 0; i < SUGGESTION_COUNT; i++) {
        make_healthy(state);
        sets[i](HIT);
        struct buf texts[SUGGESTION_LANG_COUNT];
        for (int lang = 0; lang < SUGGESTION_LANG_COUNT; lang++) {
            struct json_writer json;
            buf_init(&texts[lang], 1 << 20);
            json_writer_init(&json, &texts[lang]);
            suggestions_write(&json, &view, (enum suggestion_lang_e)lang);
            assert_false(texts[lang].failed);
            buf_add_char(&texts[lang], '\0');
            assert_true(slice_is_utf8(buf_slice(&texts[lang])));
            assert_null(strstr(texts[lang].at, "{avg"));
            assert_non_null(strstr(texts[lang].at, "\"actions\":[\""));
            assert_non_null(strstr(texts[lang].at, suggestion_type_text((enum suggestion_e)i)));
        }
        assert_string_not_equal(texts[LANG_EN].at, texts[LANG_KO].at);
        buf_fini(&texts[LANG_EN]);
        buf_fini(&texts[LANG_KO]);
    }
}

static void a_message_bears_the_evidence(void **state) {
    (void)state;
    set_slow_route(HIT);
    struct suggestion all[SUGGESTION_COUNT];
    assert_int_equal(suggest(&view, all), 1);
    struct buf text;
    buf_init(&text, SUGGESTION_TEXT_MAX);
    suggestion_message(&all[0], LANG_EN, &text);
    assert_true(slice_eq_text(buf_slice(&text), "GET /list answers slowly: 5 % of its 200 answers "
                                                "took longer than 501 ms."));
    buf_clear(&text);
    suggestion_message(&all[0], LANG_KO, &text);
    buf_add_char(&text, '\0');
    assert_non_null(strstr(text.at, "GET /list 응답이 느립니다"));
    buf_fini(&text);
}

static void languages_are_known_by_their_words(void **state) {
    (void)state;
    enum suggestion_lang_e lang = LANG_EN;
    assert_true(suggestion_lang_parse(SLICE_LIT("ko"), &lang));
    assert_int_equal(lang, LANG_KO);
    assert_false(suggestion_lang_parse(SLICE_LIT("KO"), &lang));
    assert_false(suggestion_lang_parse(SLICE_NONE, &lang));
}

#define EACH(test) cmocka_unit_test_setup(test, make_healthy)

int main(void) {
    const struct CMUnitTest tests[] = {
        EACH(a_healthy_node_gets_no_advice),
        EACH(figures_that_nobody_knows_give_no_advice),
        EACH(each_rule_fires_on_its_figures_and_not_just_below),
        EACH(a_few_requests_or_look_ups_are_no_evidence),
        EACH(little_growth_and_large_free_disks_are_left_alone),
        EACH(the_most_urgent_comes_first),
        EACH(both_languages_say_every_rule_with_its_figures),
        EACH(a_message_bears_the_evidence),
        EACH(languages_are_known_by_their_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
