/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: each kind of request gets the node that its rule names, always the same one, and never one
 * that is unhealthy, silent or stale. */
#include "fixture.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

static struct fixture f;

static int fresh(void **state) {
    (void)state;
    fixture_init(&f);
    fixture_nodes(&f, 4, 50, 50);
    return 0;
}

static const struct node_figures *best(enum request_e request) {
    return balancer_best(&f.snapshot, request, &f.policy.balancer);
}

static void each_type_goes_by_its_own_figure(void **state) {
    (void)state;
    f.nodes[1].cpu = 49.99;
    f.nodes[2].connections = 9;
    f.nodes[3].hit_rate = 0.91;
    assert_ptr_equal(best(REQUEST_ANALYTICS), &f.nodes[1]);
    assert_ptr_equal(best(REQUEST_DATABASE), &f.nodes[2]);
    assert_ptr_equal(best(REQUEST_CACHE), &f.nodes[3]);
}

static void equal_nodes_go_by_id_wherever_they_stand(void **state) {
    (void)state;
    f.nodes[0].id = SLICE_LIT("zz");
    f.nodes[3].id = SLICE_LIT("a");
    f.nodes[2].id = SLICE_LIT("a0"); /* longer than its prefix: after it */
    for (int i = 0; i < REQUEST_COUNT; i++) {
        assert_ptr_equal(best((enum request_e)i), &f.nodes[3]);
    }
}

static void general_blends_cpu_memory_and_connections(void **state) {
    (void)state;
    /* 40 * 60 + 30 * 20 + 30 * 100 * 1/4 = 3750 against 50, 50, 100 % of the connections */
    f.nodes[2].cpu = 60;
    f.nodes[2].memory = 20;
    f.nodes[2].connections = 2.5;
    assert_ptr_equal(best(REQUEST_GENERAL), &f.nodes[2]);
    fixture_set(&f, "balancer", "weight_memory", "0");
    fixture_set(&f, "balancer", "weight_connections", "0");
    assert_ptr_equal(best(REQUEST_GENERAL), &f.nodes[0]);
}

static void general_leaves_connections_out_when_one_is_not_known(void **state) {
    (void)state;
    f.nodes[1].connections = 0;
    assert_ptr_equal(best(REQUEST_GENERAL), &f.nodes[1]);
    f.nodes[3].connections = FIGURE_MISSING;
    assert_ptr_equal(best(REQUEST_GENERAL), &f.nodes[0]);
    f.nodes[3].memory = FIGURE_MISSING; /* now it does not compete, so it spoils nothing */
    assert_ptr_equal(best(REQUEST_GENERAL), &f.nodes[1]);
}

static void general_needs_cpu_and_memory(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        f.nodes[i].cpu = i == 2 ? 99 : 1;
        f.nodes[i].memory = i == 2 ? 99 : FIGURE_MISSING;
    }
    assert_ptr_equal(best(REQUEST_GENERAL), &f.nodes[2]);
}

static void unhealthy_silent_and_stale_nodes_do_not_compete(void **state) {
    (void)state;
    f.nodes[0].healthy = false;
    f.nodes[0].cpu = 0;
    f.nodes[1].cpu = FIGURE_MISSING;
    f.nodes[2].cpu = 1;
    f.nodes[2].age_ms = 10001;
    f.nodes[3].cpu = 100;
    assert_ptr_equal(best(REQUEST_ANALYTICS), &f.nodes[3]);
    f.nodes[3].healthy = false;
    assert_null(best(REQUEST_ANALYTICS));
    assert_ptr_equal(best(REQUEST_DATABASE), &f.nodes[1]);
}

static void without_nodes_there_is_none(void **state) {
    (void)state;
    f.snapshot.nodes_len = 0;
    struct seeded_rng rng;
    seeded_rng_init(&rng, 1);
    for (int i = 0; i < REQUEST_COUNT; i++) {
        assert_null(best((enum request_e)i));
        assert_null(balancer_pick(&f.snapshot, (enum request_e)i, &f.policy.balancer, &rng.base));
    }
    assert_null(balancer_for_key(&f.snapshot, SLICE_LIT("k"), &f.policy.balancer));
}

/* How often each node is picked in `rounds`. */
static void count_picks(enum request_e request, int rounds, int *ret_counts) {
    struct seeded_rng rng;
    seeded_rng_init(&rng, 7);
    memset(ret_counts, 0, f.snapshot.nodes_len * sizeof *ret_counts);
    for (int i = 0; i < rounds; i++) {
        const struct node_figures *node =
            balancer_pick(&f.snapshot, request, &f.policy.balancer, &rng.base);
        assert_non_null(node);
        ret_counts[node - f.nodes]++;
    }
}

static void close_nodes_share_and_distant_ones_get_nothing(void **state) {
    (void)state;
    int counts[4];
    f.nodes[1].cpu = 54;
    f.nodes[2].cpu = 46;
    f.nodes[3].cpu = 45.9; /* the best: close reaches to 50.9 */
    count_picks(REQUEST_ANALYTICS, 3000, counts);
    assert_int_equal(counts[1], 0);
    assert_in_range(counts[0], 850, 1150);
    assert_in_range(counts[2], 850, 1150);
    assert_in_range(counts[3], 850, 1150);
}

static void of_two_drawn_the_less_connected_is_taken(void **state) {
    (void)state;
    int counts[4];
    f.nodes[0].connections = 40;
    f.nodes[1].connections = 30;
    f.nodes[2].connections = 20;
    count_picks(REQUEST_ANALYTICS, 6000, counts);
    assert_int_equal(counts[0], 0); /* it loses against every other */
    assert_in_range(counts[1], 850, 1150);  /* wins 1 pair of 6 */
    assert_in_range(counts[2], 1850, 2150); /* 2 of 6 */
    assert_in_range(counts[3], 2850, 3150); /* 3 of 6 */
}

static void a_new_node_gets_its_share_slowly(void **state) {
    (void)state;
    int cold[4], warm[4], full[4];
    f.nodes[3].healthy_for_ms = 0;
    count_picks(REQUEST_ANALYTICS, 4000, cold);
    f.nodes[3].healthy_for_ms = 15000;
    count_picks(REQUEST_ANALYTICS, 4000, warm);
    f.nodes[3].healthy_for_ms = 30000;
    count_picks(REQUEST_ANALYTICS, 4000, full);
    assert_in_range(cold[3], 1, 200);
    assert_in_range(warm[3], 400, 700);
    assert_in_range(full[3], 850, 1150);
}

static void when_all_are_new_somebody_serves(void **state) {
    (void)state;
    int counts[4];
    for (int i = 0; i < 4; i++) {
        f.nodes[i].healthy_for_ms = 0;
    }
    count_picks(REQUEST_GENERAL, 1000, counts);
    assert_int_equal(counts[0] + counts[1] + counts[2] + counts[3], 1000);
}

static size_t place_of_key(int key) {
    char text[16];
    snprintf(text, sizeof text, "key:%d", key);
    return (size_t)(balancer_for_key(&f.snapshot, slice_of(text), &f.policy.balancer) - f.nodes);
}

static void keys_spread_and_stay_when_a_node_leaves(void **state) {
    (void)state;
    enum { KEYS = 4000 };
    static size_t before[KEYS];
    int counts[4] = {0};
    for (int i = 0; i < KEYS; i++) {
        before[i] = place_of_key(i);
        counts[before[i]]++;
    }
    for (int i = 0; i < 4; i++) {
        assert_in_range(counts[i], KEYS / 4 - 150, KEYS / 4 + 150);
    }
    f.nodes[1].healthy = false;
    for (int i = 0; i < KEYS; i++) {
        size_t after = place_of_key(i);
        assert_true(before[i] == 1 ? after != 1 : after == before[i]);
    }
}

static void a_loaded_node_passes_its_keys_on(void **state) {
    (void)state;
    /* total 10+10+10+30 and one more: bound ceil(1.25 * 61 / 4) = 20 */
    f.nodes[2].connections = 30;
    for (int i = 0; i < 500; i++) {
        assert_true(place_of_key(i) != 2);
    }
    f.nodes[2].connections = FIGURE_MISSING;
    for (int i = 0; i < 500; i++) {
        assert_true(place_of_key(i) != 2);
    }
}

static void no_node_gets_more_keys_than_the_bound(void **state) {
    (void)state;
    fixture_nodes(&f, 7, 50, 50);
    for (int i = 0; i < 7; i++) {
        f.nodes[i].connections = 0;
    }
    for (int i = 0; i < 1000; i++) {
        f.nodes[place_of_key(i)].connections++;
    }
    for (int i = 0; i < 7; i++) {
        assert_true(f.nodes[i].connections <= 179); /* ceil(1.25 * 1000 / 7) */
    }
}

static void a_thousand_nodes_have_one_best(void **state) {
    (void)state;
    fixture_nodes(&f, 1000, 50, 50);
    f.nodes[777].cpu = 49.999999;
    f.nodes[776].connections = 9;
    assert_ptr_equal(best(REQUEST_ANALYTICS), &f.nodes[777]);
    assert_ptr_equal(best(REQUEST_DATABASE), &f.nodes[776]);
}

#define CLAIM(test) cmocka_unit_test_setup(test, fresh)

int main(void) {
    const struct CMUnitTest tests[] = {
        CLAIM(each_type_goes_by_its_own_figure),
        CLAIM(equal_nodes_go_by_id_wherever_they_stand),
        CLAIM(general_blends_cpu_memory_and_connections),
        CLAIM(general_leaves_connections_out_when_one_is_not_known),
        CLAIM(general_needs_cpu_and_memory),
        CLAIM(unhealthy_silent_and_stale_nodes_do_not_compete),
        CLAIM(without_nodes_there_is_none),
        CLAIM(close_nodes_share_and_distant_ones_get_nothing),
        CLAIM(of_two_drawn_the_less_connected_is_taken),
        CLAIM(a_new_node_gets_its_share_slowly),
        CLAIM(when_all_are_new_somebody_serves),
        CLAIM(keys_spread_and_stay_when_a_node_leaves),
        CLAIM(a_loaded_node_passes_its_keys_on),
        CLAIM(no_node_gets_more_keys_than_the_bound),
        CLAIM(a_thousand_nodes_have_one_best),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
