/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: over simulated days of waves, rushes, noise, slow starts, crashes and lost figures the
 * number of nodes stays within its limits, follows the load and does not swing, and a replay is
 * identical.
 *
 * The cluster: `load` is CPU per cent summed over nodes and spreads evenly over those that serve. A
 * node serves `start_s` after it was asked for. Every run prints its seed when it fails.
 */
#include "base/rng.h"
#include "fixture.h"

#include <math.h>
#include <stdlib.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

enum { DAY_S = 24 * 3600, STEP_S = 5 };

struct weather {
    double base, wave;  /* load: base + wave * (1 - cos(day)) / 2 */
    double noise;       /* points, even distribution both ways, per node and snapshot */
    double lost;        /* share of reports that do not arrive */
    double crash;       /* chance per node and hour */
    double rush;        /* load added for the first half of each fourth hour */
    int start_s;        /* from asked for to serving */
};

/* The last that a node said; a lost one leaves the one before, which grows old. */
struct report {
    int64_t at_s;
    double cpu, memory;
};

struct cluster {
    struct fixture f;
    struct report reports[64];
    struct seeded_rng rng;
    struct weather weather;
    int64_t ready_at[64]; /* second at which each node serves; the first `asked` are there */
    int64_t asked;
    int64_t ups, downs;
    int64_t changes_of_hour[24];
    int64_t last_up_s, last_change_s;
    double overload_s; /* seconds with the serving nodes above 100 % */
    uint64_t digest;
};

static struct cluster cluster;
static struct buf text;

static double unit(void) {
    return rng_unit(&cluster.rng.base);
}

static double load_at(int64_t s) {
    const struct weather *w = &cluster.weather;
    double wave = (1 - cos(2 * M_PI * (double)s / DAY_S)) / 2;
    bool rushes = s / 3600 % 4 == 0 && s % 3600 < 1800;
    return w->base + w->wave * wave + (rushes ? w->rush : 0);
}

static int64_t serving(int64_t s) {
    int64_t n = 0;
    for (int64_t i = 0; i < cluster.asked; i++) {
        n += cluster.ready_at[i] <= s;
    }
    return n;
}

static double clamp(double figure) {
    return figure < 0 ? 0 : figure > 100 ? 100 : figure;
}

static void sense(int64_t s) {
    struct fixture *f = &cluster.f;
    int64_t n = serving(s);
    double cpu = n == 0 ? 0 : load_at(s) / (double)n;
    cluster.overload_s += cpu > 100 ? STEP_S : 0;
    fixture_nodes(f, (size_t)n, FIGURE_MISSING, FIGURE_MISSING);
    for (int64_t i = 0; i < n; i++) {
        struct report *report = &cluster.reports[i];
        double noise = cluster.weather.noise * (2 * unit() - 1);
        if (unit() >= cluster.weather.lost) {
            *report = (struct report){.at_s = s, .cpu = clamp(cpu + noise), .memory = 30};
        }
        if (report->memory > 0) {
            f->nodes[i].cpu = report->cpu;
            f->nodes[i].memory = report->memory;
            f->nodes[i].age_ms = (s - report->at_s) * 1000;
        }
    }
}

static void crash(int64_t s) {
    for (int64_t i = 0; i < cluster.asked; i++) {
        if (unit() < cluster.weather.crash * STEP_S / 3600) {
            cluster.ready_at[i] = s + cluster.weather.start_s; /* its provider starts it again */
        }
    }
}

/* What the actuator does: the asked-for number follows `desired` unless it is on its way there. */
static void act(int64_t s) {
    const struct scale_decision *scale = &cluster.f.decision.scale;
    assert_in_range(scale->desired, cluster.f.policy.scaler.min, cluster.f.policy.scaler.max);
    if (scale->desired == scale->current || scale->desired == cluster.asked) {
        return;
    }
    bool mends = scale->current < cluster.f.policy.scaler.min;
    if (scale->desired > cluster.asked) {
        assert_true(mends || s - cluster.last_up_s >= 60);
        cluster.ups++;
        cluster.last_up_s = s;
    } else if (scale->desired < scale->current) {
        assert_true(s - cluster.last_change_s >= 300);
        cluster.downs++;
    } else {
        return; /* fewer than were asked for, more than serve: they are still starting */
    }
    for (int64_t i = cluster.asked; i < scale->desired; i++) {
        cluster.ready_at[i] = s + cluster.weather.start_s;
    }
    cluster.asked = scale->desired;
    cluster.last_change_s = s;
    cluster.changes_of_hour[s / 3600]++;
}

static void digest_decision(void) {
    buf_clear(&text);
    decision_write(&cluster.f.decision, &cluster.f.history, &cluster.f.policy, &text);
    cluster.digest = cluster.digest * 31 + slice_hash(buf_slice(&text));
}

static void run_day(const struct weather *weather, uint64_t seed) {
    memset(&cluster, 0, sizeof cluster);
    fixture_init(&cluster.f);
    seeded_rng_init(&cluster.rng, seed);
    cluster.weather = *weather;
    cluster.asked = 2;
    cluster.last_up_s = cluster.last_change_s = -DAY_S;
    for (int64_t s = 0; s < DAY_S; s += STEP_S) {
        crash(s);
        sense(s);
        (void)fixture_decide(&cluster.f, (double)s);
        if (s % 60 == 0) { /* each decision follows from those before it */
            digest_decision();
        }
        act(s);
    }
}

static int open_text(void **state) {
    (void)state;
    buf_init(&text, 1 << 20);
    return 0;
}

static int close_text(void **state) {
    (void)state;
    buf_fini(&text);
    return 0;
}

static const struct weather calm = {.base = 100, .start_s = 20};
static const struct weather waves = {
    .base = 50, .wave = 500, .noise = 15, .lost = 0.02, .start_s = 20};
static const struct weather storm = {.base = 60,
                                     .wave = 300,
                                     .noise = 30,
                                     .lost = 0.2,
                                     .crash = 0.5,
                                     .rush = 250,
                                     .start_s = 90};

static void steady_load_changes_nothing(void **state) {
    (void)state;
    run_day(&calm, 1);
    assert_int_equal(cluster.ups + cluster.downs, 0);
}

static uint64_t seeds(void) {
    const char *asked = getenv("TURNOUT_SEEDS");
    return asked == NULL ? 20 : strtoull(asked, NULL, 10);
}

static void a_day_of_waves_is_followed_without_swinging(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= seeds(); seed++) {
        run_day(&waves, seed);
        bool good = cluster.ups >= 3 && cluster.ups <= 8 && cluster.downs >= 2 &&
                    cluster.downs <= 8 && cluster.overload_s == 0;
        if (!good) {
            fail_msg("seed %llu: %lld up, %lld down, %.0f s overloaded", (unsigned long long)seed,
                     (long long)cluster.ups, (long long)cluster.downs, cluster.overload_s);
        }
    }
}

static void no_weather_makes_it_swing(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= seeds(); seed++) {
        run_day(&storm, seed);
        for (int hour = 0; hour < 24; hour++) {
            /* A rush up and down again takes at most four steps up and four down. */
            if (cluster.changes_of_hour[hour] > 10) {
                fail_msg("seed %llu: %lld changes in hour %d", (unsigned long long)seed,
                         (long long)cluster.changes_of_hour[hour], hour);
            }
        }
    }
}

static void every_load_between_the_limits_finds_a_rest(void **state) {
    (void)state;
    int step = getenv("TURNOUT_SEEDS") == NULL ? 10 : 50;
    for (int load = 0; load <= 800; load += step) {
        struct weather still = {.base = load, .start_s = 30};
        run_day(&still, 1);
        int64_t late = 0;
        for (int hour = 2; hour < 24; hour++) {
            late += cluster.changes_of_hour[hour];
        }
        assert_int_equal(late, 0);
    }
}

static void a_replay_is_identical(void **state) {
    (void)state;
    run_day(&storm, 42);
    uint64_t first = cluster.digest;
    run_day(&storm, 42);
    assert_true(first == cluster.digest);
    run_day(&storm, 43);
    assert_true(first != cluster.digest);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steady_load_changes_nothing),
        cmocka_unit_test(a_day_of_waves_is_followed_without_swinging),
        cmocka_unit_test(no_weather_makes_it_swing),
        cmocka_unit_test(every_load_between_the_limits_finds_a_rest),
        cmocka_unit_test(a_replay_is_identical),
    };
    return cmocka_run_group_tests(tests, open_text, close_text);
}
