/* SPDX-License-Identifier: Apache-2.0 */
/* Loads as files say them, and the arrivals that curves plan. */
#include "arrivals.h"
#include "load.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* ── files ── */

static bool read_text(const char *text, struct load *load, struct buf *errors) {
    char path[] = "/tmp/loadgen-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    bool is_good = load_read(load, path, errors);
    unlink(path);
    return is_good;
}

static void every_load_of_the_tree_is_read(void **state) {
    static const char *const names[] = {"doors-open", "rush", "reconnect-storm", "presence",
                                        "dashboard", "soak", "kpi"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[512];
        struct load load;
        struct buf errors;
        buf_init(&errors, 4096);
        snprintf(path, sizeof path, "%s/%s.ini", getenv("TURNOUT_LOADS"), names[i]);
        if (!load_read(&load, path, &errors)) {
            fail_msg("%.*s", SLICE_ARG(buf_slice(&errors)));
        }
        assert_true(load.streams_len > 0);
        assert_true(load.title[0] != '\0');
        buf_fini(&errors);
    }
}

static void a_load_says_what_its_file_says(void **state) {
    (void)state;
    struct load load;
    struct buf errors;
    buf_init(&errors, 4096);
    assert_true(read_text("[load]\ntitle = A test\nseconds = 2.5\n[event]\npeople = 7\n"
                          "reentry = always\ncapacity = 0\n[search]\nfrom = 10\n"
                          "[stream.a]\ncurve = 0:1 2:3\nentry = 2\nexit = 1\nmethod = ble\n"
                          "[stream.b]\nburst = 4\nlines = 10\nvisit = 1\n", &load, &errors));
    assert_string_equal(load.title, "A test");
    assert_true(load.seconds == 2.5 && load.people == 7 && load.gates == 40);
    assert_int_equal(load.reentry, REENTRY_ALWAYS);
    assert_true(load.capacity == 0 && load.search.from == 10 && load.search.quantile == 0.99);
    assert_int_equal(load.streams_len, 2);
    assert_int_equal(load.streams[0].method, METHOD_BLE);
    assert_true(load.streams[0].weight == 3 && load.streams[0].lines == 1);
    assert_true(load.streams[1].burst == 4 && load.streams[1].lines == 10);
    buf_fini(&errors);
}

static void numbers_are_of_all_streams_or_of_those_they_name(void **state) {
    static const char *const wrong[] = {"x", "-1", "c=2", "a=", "=", "1,c=1"};
    (void)state;
    struct load load;
    struct buf errors;
    buf_init(&errors, 4096);
    assert_true(read_text("[stream.a]\ncurve = 0:2\nentry = 1\n"
                          "[stream.b]\ncurve = 0:3\nburst = 5\nentry = 1\n", &load, &errors));
    assert_true(load_scale(&load, "2"));
    assert_true(load.streams[0].curve.points[0].rate == 4 && load.streams[1].burst == 10);
    assert_true(load_scale(&load, "b=0.5,a=0"));
    assert_true(load.streams[0].curve.points[0].rate == 0);
    assert_true(load.streams[1].curve.points[0].rate == 3 && load.streams[1].burst == 5);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(load_scale(&load, wrong[i]));
        assert_false(load_connections(&load, wrong[i]));
    }
    assert_true(load_connections(&load, "10")); /* 64 each in the file */
    assert_true(load.streams[0].connections == 5 && load.streams[1].connections == 5);
    assert_true(load_connections(&load, "b=7"));
    assert_true(load.streams[0].connections == 5 && load.streams[1].connections == 7);
    buf_fini(&errors);
}

static void what_is_not_understood_is_an_error_that_names_it(void **state) {
    static const struct {
        const char *text, *told;
    } cases[] = {
        {"[stream.a]\ncurve = 0:1\nentry = 1\nenttry = 1\n", "[a] enttry"},
        {"[stream.a]\ncurve = 1:1\nentry = 1\n", "[a] curve"},       /* begins at 0 */
        {"[stream.a]\ncurve = 0:1 0:2\nentry = 1\n", "[a] curve"},   /* times grow */
        {"[stream.a]\ncurve = 0:-1\nentry = 1\n", "[a] curve"},
        {"[stream.a]\nentry = 1\n", "give a curve or a burst"},
        {"[stream.a]\ncurve = 0:1\n", "no operation has a weight"},
        {"[stream.a]\ncurve = 0:1\nvisit = 1\n", "only in uploads"},
        {"[stream.a]\ncurve = 0:1\nlines = 5\nstats = 1\n", "holds scans only"},
        {"[stream.a]\ncurve = 0:1\nlines = 5\nresend = 1\n", "requests of their own"},
        {"[stream.a]\ncurve = 0:1\nwrong_gate = 1\n", "restricted above 0"},
        {"[event]\npeople = 0\n[stream.a]\ncurve = 0:1\nentry = 1\n", "[event] people"},
        {"[event]\nreentry = twice\n[stream.a]\ncurve = 0:1\nentry = 1\n", "[event] reentry"},
        {"[load]\nseconds = 1\n", "needs a stream"},
        {"nonsense\n", "neither a section nor KEY = VALUE"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct load load;
        struct buf errors;
        buf_init(&errors, 4096);
        assert_false(read_text(cases[i].text, &load, &errors));
        buf_add_char(&errors, '\0');
        if (strstr(errors.at, cases[i].told) == NULL) {
            fail_msg("%s does not tell: %s", errors.at, cases[i].told);
        }
        buf_fini(&errors);
    }
}

static void a_file_that_is_not_there_is_an_error(void **state) {
    (void)state;
    struct load load;
    struct buf errors;
    buf_init(&errors, 4096);
    assert_false(load_read(&load, "/nowhere/x.ini", &errors));
    assert_true(errors.len > 0);
    buf_fini(&errors);
}

/* ── arrivals ── */

static size_t count_between(const struct curve *curve, double end_s, double from_s, double to_s) {
    struct arrivals arrivals;
    size_t count = 0;
    arrivals_init(&arrivals, curve, 42);
    arrivals.end_s = end_s;
    double last = 0;
    for (double at; isfinite(at = arrivals_next(&arrivals)); last = at) {
        assert_true(at >= last && at < end_s);
        count += at >= from_s && at < to_s;
    }
    assert_true(isinf(arrivals_next(&arrivals))); /* and never comes back */
    return count;
}

static struct curve curve_of(const char *text) {
    struct curve curve;
    assert_true(curve_parse(slice_of(text), &curve));
    return curve;
}

/* Of a Poisson process: within five standard deviations. */
static void assert_near(size_t count, double wanted) {
    if (fabs((double)count - wanted) > 5 * sqrt(wanted)) {
        fail_msg("%zu arrivals, %g were planned", count, wanted);
    }
}

static void arrivals_follow_the_area_below_the_curve(void **state) {
    (void)state;
    struct curve ramp = curve_of("0:0 100:200 200:0");
    assert_near(count_between(&ramp, 1000, 0, 50), 2500);
    assert_near(count_between(&ramp, 1000, 50, 100), 7500);
    assert_near(count_between(&ramp, 1000, 150, 200), 2500);
    assert_int_equal(count_between(&ramp, 1000, 200, 1000), 0);
    struct curve level = curve_of("0:50");
    assert_near(count_between(&level, 100, 0, 100), 5000);
    struct curve hole = curve_of("0:100 10:0 20:0 30:100");
    assert_int_equal(count_between(&hole, 100, 10, 20), 0);
    assert_near(count_between(&hole, 100, 30, 100), 7000);
}

static void a_factor_and_a_stretch_change_rate_and_time(void **state) {
    (void)state;
    struct curve ramp = curve_of("0:0 10:20");
    struct arrivals arrivals;
    arrivals_init(&arrivals, &ramp, 7);
    arrivals.factor = 3;
    arrivals.stretch = 20; /* ten seconds take two hundred */
    arrivals.end_s = 10;
    size_t early = 0, late = 0;
    for (double at; isfinite(at = arrivals_next(&arrivals));) {
        assert_true(at < 200);
        *(at < 100 ? &early : &late) += 1;
    }
    assert_near(early, 25 * 3 * 20);
    assert_near(late, 75 * 3 * 20);
}

static void the_same_seed_plans_the_same_times(void **state) {
    (void)state;
    struct curve curve = curve_of("0:5 3:9");
    struct arrivals one, same, other;
    arrivals_init(&one, &curve, 1);
    arrivals_init(&same, &curve, 1);
    arrivals_init(&other, &curve, 2);
    bool differs = false;
    for (int i = 0; i < 100; i++) {
        double at = arrivals_next(&one);
        assert_true(at == arrivals_next(&same));
        differs |= at != arrivals_next(&other);
    }
    assert_true(differs);
}

static void nothing_ever_comes_at_a_rate_of_nothing(void **state) {
    (void)state;
    struct curve curve = curve_of("0:0");
    struct arrivals arrivals;
    arrivals_init(&arrivals, &curve, 1);
    assert_true(isinf(arrivals_next(&arrivals)));
    struct curve none = {.len = 0};
    arrivals_init(&arrivals, &none, 1);
    assert_true(isinf(arrivals_next(&arrivals)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_load_of_the_tree_is_read),
        cmocka_unit_test(a_load_says_what_its_file_says),
        cmocka_unit_test(numbers_are_of_all_streams_or_of_those_they_name),
        cmocka_unit_test(what_is_not_understood_is_an_error_that_names_it),
        cmocka_unit_test(a_file_that_is_not_there_is_an_error),
        cmocka_unit_test(arrivals_follow_the_area_below_the_curve),
        cmocka_unit_test(a_factor_and_a_stretch_change_rate_and_time),
        cmocka_unit_test(the_same_seed_plans_the_same_times),
        cmocka_unit_test(nothing_ever_comes_at_a_rate_of_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
