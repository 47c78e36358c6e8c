/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a mistyped name finds the one that was meant, and a foreign one finds none. */
#include "base/nearest.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

static void distance_counts_the_letters_to_change(void **state) {
    (void)state;
    static const struct {
        const char *a, *b;
        size_t distance;
    } rows[] = {
        {"", "", 0},           {"", "abc", 3},          {"abc", "", 3},
        {"serve", "serve", 0}, {"serv", "serve", 1},    {"serve", "sreve", 1},
        {"key", "kex", 1},     {"kitten", "sitting", 3}, {"ab", "ba", 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t distance = nearest_distance(slice_of(rows[i].a), slice_of(rows[i].b));
        assert_int_equal(distance, rows[i].distance);
        distance = nearest_distance(slice_of(rows[i].b), slice_of(rows[i].a));
        assert_int_equal(distance, rows[i].distance);
    }
}

static const char *nearest_of(const char *wanted) {
    struct nearest nearest;
    nearest_init(&nearest, slice_of(wanted));
    nearest_offer(&nearest, "serve");
    nearest_offer(&nearest, "server.loops");
    nearest_offer(&nearest, "doctor");
    return nearest.best;
}

static void a_mistyped_name_finds_the_one_meant(void **state) {
    (void)state;
    assert_string_equal(nearest_of("sevre"), "serve");
    assert_string_equal(nearest_of("server.lopps"), "server.loops");
    assert_string_equal(nearest_of("docter"), "doctor");
}

static void a_foreign_or_endless_name_finds_none(void **state) {
    (void)state;
    assert_null(nearest_of("xyzzy"));
    char endless[NEAREST_LEN_MAX + 2];
    memset(endless, 's', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    assert_null(nearest_of(endless));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distance_counts_the_letters_to_change),
        cmocka_unit_test(a_mistyped_name_finds_the_one_meant),
        cmocka_unit_test(a_foreign_or_endless_name_finds_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
