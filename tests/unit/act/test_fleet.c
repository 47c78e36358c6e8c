/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the number of nodes is changed from what the provider says, whatever it answers; what was
 * begun ends, and what cannot end is taken back. On a virtual clock; the provider is a double, and
 * HAProxy is in tests/integration/test_control_hands.py. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "act/fleet.h"
#include "act/provider_priv.h"
#include "base/log.h"

#include <stdio.h>

enum { READY_MS = 60000, DRAIN_MS = 30000, ASKED_MAX = 32 };

static struct world {
    struct virtual_clock clock;
    struct fleet *fleet;
    struct node_figures figures[8];
    struct fleet_node nodes[8];
    size_t nodes_len;
    struct scale_decision scale;
    struct provider_state counts;
    enum err_e look_err, scale_err;
    bool takes_all_the_same; /* what is answered with an error */
    bool knows_names;
    struct asked {
        int64_t from, to;
        char victims[256];
    } asked[ASKED_MAX];
    size_t asked_len;
    char told[2048];
} world;

static enum err_e look(struct provider *provider, struct provider_state *ret,
                       struct problem *problem) {
    (void)provider;
    *ret = world.counts;
    return world.look_err == ERR_OK ? ERR_OK : problem_set(problem, world.look_err, "", "no look");
}

static enum err_e scale(struct provider *provider, const struct provider_change *change,
                        struct problem *problem) {
    (void)provider;
    assert_true(world.asked_len < ASKED_MAX);
    struct asked *asked = &world.asked[world.asked_len++];
    *asked = (struct asked){.from = change->from, .to = change->to};
    size_t len = 0;
    for (size_t i = 0; i < change->victims_len; i++) {
        len += (size_t)snprintf(asked->victims + len, sizeof asked->victims - len, "%s%.*s",
                                i == 0 ? "" : " ", SLICE_ARG(change->victims[i]));
    }
    if (world.scale_err == ERR_OK || world.takes_all_the_same) {
        world.counts.desired = change->to;
    }
    return world.scale_err == ERR_OK ? ERR_OK : problem_set(problem, world.scale_err, "", "no");
}

static bool instance(struct provider *provider, const struct provider_node *node,
                     char ret_name[PROVIDER_NAME_MAX + 1]) {
    (void)provider;
    snprintf(ret_name, PROVIDER_NAME_MAX + 1, "i-%.*s", SLICE_ARG(node->id));
    return world.knows_names;
}

static const struct provider_vtable vtable = {"double", look, scale, instance, NULL};
static struct provider provider = {&vtable};

static void tell(void *data, const struct fleet_event *event) {
    (void)data;
    size_t len = strlen(world.told);
    snprintf(world.told + len, sizeof world.told - len, "%s %s\n", event->what,
             err_code(event->err));
}

static void ignore_line(const char *line, size_t len, void *data) {
    (void)line;
    (void)len;
    (void)data;
}

/* n1 … that are healthy; what they hold grows with their number. */
static void have(size_t healthy) {
    static const char *const ids[] = {"n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8"};
    static const char *const urls[] = {"http://127.0.0.1:1", "http://127.0.0.1:2",
                                       "http://127.0.0.1:3", "http://127.0.0.1:4",
                                       "http://127.0.0.1:5", "http://127.0.0.1:6",
                                       "http://127.0.0.1:7", "http://127.0.0.1:8"};
    for (size_t i = 0; i < healthy; i++) {
        world.figures[i] = (struct node_figures){.id = slice_of(ids[i]),
                                                 .healthy = true,
                                                 .cpu = 50,
                                                 .connections = (double)i,
                                                 .hit_rate = 0.5};
        world.nodes[i] = (struct fleet_node){.figures = &world.figures[i],
                                             .url = slice_of(urls[i]),
                                             .health = FLEET_HEALTHY};
    }
    world.nodes_len = healthy;
    world.scale.current = world.scale.desired = (int64_t)healthy;
}

static void turn(int64_t seconds) {
    for (int64_t i = 0; i < seconds; i++) {
        const struct fleet_view view = {
            .nodes = world.nodes, .len = world.nodes_len, .scale = &world.scale};
        fleet_turn(world.fleet, &view);
        virtual_clock_advance(&world.clock, 1000);
    }
}

static int make(void **state) {
    (void)state;
    world = (struct world){.knows_names = true};
    log_set_sink(ignore_line, NULL);
    virtual_clock_init(&world.clock, 1790000000000);
    world.fleet = fleet_create(&(struct fleet_options){.clock = &world.clock.base,
                                                       .provider = &provider,
                                                       .drain_ms = DRAIN_MS,
                                                       .ready_ms = READY_MS,
                                                       .nodes_max = 10,
                                                       .tell = tell});
    assert_non_null(world.fleet);
    have(2);
    world.counts = (struct provider_state){.desired = 2, .running = 2, .ready = 2};
    turn(1);
    return 0;
}

static int drop(void **state) {
    (void)state;
    fleet_destroy(world.fleet);
    return 0;
}

static char detail[FLEET_DETAIL_SIZE];
static enum fleet_progress_e progress(void) {
    return fleet_scaling(world.fleet, detail);
}

/* ---- more ---- */

static void more_nodes_are_asked_for_and_waited_for_until_they_serve(void **state) {
    (void)state;
    assert_null(fleet_refuse(world.fleet));
    fleet_scale(world.fleet, 2, 4);
    assert_non_null(fleet_refuse(world.fleet));
    turn(1);
    assert_int_equal(world.asked_len, 1);
    assert_int_equal(world.asked[0].from, 2);
    assert_int_equal(world.asked[0].to, 4);
    turn(5);
    assert_int_equal(progress(), FLEET_AT_WORK);
    world.counts = (struct provider_state){.desired = 4, .running = 4, .ready = 4};
    turn(1);
    assert_int_equal(progress(), FLEET_AT_WORK); /* they run, and nobody has seen them serve */
    have(4);
    turn(1);
    assert_int_equal(progress(), FLEET_DONE);
    assert_non_null(strstr(detail, "from 2 to 4; 4 nodes serve"));
    assert_int_equal(progress(), FLEET_IDLE);
    assert_null(fleet_refuse(world.fleet));
    assert_string_equal(world.told, "SCALE_OUT ok\n");
}

static void nodes_that_are_on_their_way_are_not_asked_for_again(void **state) {
    (void)state;
    world.counts.desired = 3; /* as an earlier controller left it */
    fleet_scale(world.fleet, 2, 3);
    turn(2);
    assert_int_equal(world.asked_len, 0);
    have(3);
    world.counts = (struct provider_state){.desired = 3, .running = 3, .ready = 3};
    turn(1);
    assert_int_equal(progress(), FLEET_DONE);
}

static void a_node_that_hangs_is_made_up_for_and_the_maximum_holds(void **state) {
    (void)state;
    have(1); /* of two that run */
    fleet_scale(world.fleet, 1, 2);
    turn(1);
    assert_int_equal(world.asked[0].from, 2);
    assert_int_equal(world.asked[0].to, 3);
    world.counts = (struct provider_state){.desired = 3, .running = 3, .ready = 3};
    have(2);
    turn(1);
    assert_int_equal(progress(), FLEET_DONE);
    world.counts = (struct provider_state){.desired = 10, .running = 10, .ready = 10};
    fleet_scale(world.fleet, 2, 4);
    turn(3);
    assert_int_equal(world.asked_len, 1);
}

static void a_count_that_changed_meanwhile_is_looked_at_again(void **state) {
    (void)state;
    world.scale_err = ERR_CONFLICT;
    fleet_scale(world.fleet, 2, 3);
    turn(1);
    world.scale_err = ERR_OK;
    world.counts = (struct provider_state){.desired = 5, .running = 5, .ready = 5};
    turn(1);
    assert_int_equal(world.asked[1].from, 5);
    assert_int_equal(world.asked[1].to, 6);
}

static void a_provider_that_never_takes_it_fails_the_change_which_then_rests(void **state) {
    (void)state;
    world.scale_err = ERR_UNAVAILABLE;
    fleet_scale(world.fleet, 2, 3);
    turn(5);
    assert_int_equal(progress(), FLEET_FAILED);
    assert_int_equal(world.asked_len, 5);
    assert_non_null(strstr(fleet_refuse(world.fleet), "failed a short while ago"));
    turn(31);
    assert_null(fleet_refuse(world.fleet));
    fleet_scale(world.fleet, 2, 3);
    turn(5);
    assert_int_equal(progress(), FLEET_FAILED);
    turn(31);
    assert_non_null(fleet_refuse(world.fleet)); /* longer each time */
    turn(30);
    assert_null(fleet_refuse(world.fleet));
    assert_string_equal(world.told, "SCALE_OUT store_unavailable\n"); /* not each second */
}

static void what_no_repetition_mends_is_not_repeated(void **state) {
    (void)state;
    world.scale_err = ERR_UNAUTHORIZED;
    fleet_scale(world.fleet, 2, 3);
    turn(1);
    assert_int_equal(progress(), FLEET_FAILED);
    assert_int_equal(world.asked_len, 1);
}

static void an_answer_that_did_not_come_is_looked_up(void **state) {
    (void)state;
    world.scale_err = ERR_DEADLINE;
    world.takes_all_the_same = true;
    fleet_scale(world.fleet, 2, 3);
    turn(3);
    assert_int_equal(world.asked_len, 1);
    have(3);
    world.counts = (struct provider_state){.desired = 3, .running = 3, .ready = 3};
    turn(1);
    assert_int_equal(progress(), FLEET_DONE);
}

static void what_does_not_serve_in_time_is_taken_back(void **state) {
    (void)state;
    fleet_scale(world.fleet, 2, 5);
    turn(1);
    world.counts = (struct provider_state){.desired = 5, .running = 5, .ready = 3};
    have(3);
    turn(READY_MS / 1000 + 1);
    assert_int_equal(progress(), FLEET_FAILED);
    assert_non_null(strstr(detail, "2 of 5 nodes did not serve within 60 s, and were taken back"));
    assert_int_equal(world.asked_len, 2);
    assert_int_equal(world.asked[1].from, 5);
    assert_int_equal(world.asked[1].to, 3);
    assert_string_equal(world.told, "SCALE_OUT ok\nSCALE_UNDO ok\n");
}

static void nodes_that_run_and_are_never_healthy_are_told_and_left(void **state) {
    (void)state;
    fleet_scale(world.fleet, 2, 3);
    turn(1);
    world.counts = (struct provider_state){.desired = 3, .running = 3, .ready = 3};
    turn(READY_MS / 1000 + 1);
    assert_int_equal(progress(), FLEET_FAILED);
    assert_non_null(strstr(detail, "3 nodes run, but 2 of 3 are healthy"));
    assert_int_equal(world.asked_len, 1);
}

static void a_provider_that_cannot_be_looked_at_fails_it_in_the_end(void **state) {
    (void)state;
    fleet_scale(world.fleet, 2, 3);
    turn(1);
    world.look_err = ERR_UNAVAILABLE;
    turn(READY_MS / 1000 + 1);
    assert_int_equal(progress(), FLEET_FAILED);
    assert_int_equal(world.asked_len, 1); /* nothing is taken back blindly */
}

/* ---- fewer ---- */

static void those_that_cost_least_drain_and_are_then_named_to_the_provider(void **state) {
    (void)state;
    have(4);
    world.figures[0].connections = 90;
    world.figures[1].connections = 7;
    world.figures[2].connections = 7;
    world.figures[2].hit_rate = 0.2; /* less is lost with it */
    world.figures[3].connections = FIGURE_MISSING;
    world.counts = (struct provider_state){.desired = 4, .running = 4, .ready = 4};
    turn(1);
    fleet_scale(world.fleet, 4, 2);
    assert_true(fleet_is_leaving(world.fleet, SLICE_LIT("n3")));
    assert_true(fleet_is_leaving(world.fleet, SLICE_LIT("n2")));
    assert_false(fleet_is_leaving(world.fleet, SLICE_LIT("n1")));
    assert_int_equal(world.asked_len, 0);
    turn(2);
    assert_int_equal(world.asked_len, 1);
    assert_int_equal(world.asked[0].to, 2);
    assert_string_equal(world.asked[0].victims, "i-n3 i-n2");
    turn(3);
    assert_int_equal(progress(), FLEET_AT_WORK); /* they still run */
    world.counts = (struct provider_state){.desired = 2, .running = 2, .ready = 2};
    turn(1);
    assert_int_equal(progress(), FLEET_DONE);
    assert_false(fleet_is_leaving(world.fleet, SLICE_LIT("n3")));
}

static void load_that_rises_while_they_drain_keeps_them(void **state) {
    (void)state;
    have(3);
    turn(1);
    fleet_scale(world.fleet, 3, 2);
    world.scale.desired = 5;
    snprintf(world.scale.reason, sizeof world.scale.reason, "up: cpu");
    turn(1);
    assert_int_equal(progress(), FLEET_FAILED);
    assert_non_null(strstr(detail, "taken back while 1 nodes drained: up: cpu"));
    assert_int_equal(world.asked_len, 0);
    assert_false(fleet_is_leaving(world.fleet, SLICE_LIT("n1")));
}

static void a_provider_that_knows_no_names_chooses_itself(void **state) {
    (void)state;
    have(3);
    world.knows_names = false;
    world.counts = (struct provider_state){.desired = 3, .running = 3, .ready = 3};
    turn(1);
    fleet_scale(world.fleet, 3, 2);
    turn(1);
    assert_int_equal(world.asked[0].to, 2);
    assert_string_equal(world.asked[0].victims, "");
}

static void victims_of_a_change_that_fails_stay(void **state) {
    (void)state;
    have(3);
    world.counts = (struct provider_state){.desired = 3, .running = 3, .ready = 3};
    turn(1);
    world.scale_err = ERR_CONFIG;
    fleet_scale(world.fleet, 3, 2);
    turn(2);
    assert_int_equal(progress(), FLEET_FAILED);
    assert_false(fleet_is_leaving(world.fleet, SLICE_LIT("n1")));
}

static void what_is_forgotten_is_not_gone_on_with(void **state) {
    (void)state;
    have(3);
    world.counts = (struct provider_state){.desired = 3, .running = 3, .ready = 3};
    turn(1);
    fleet_scale(world.fleet, 3, 2);
    fleet_forget(world.fleet);
    turn(3);
    assert_int_equal(progress(), FLEET_IDLE);
    assert_int_equal(world.asked_len, 0);
    assert_false(fleet_is_leaving(world.fleet, SLICE_LIT("n1")));
}

/* ---- names ---- */

static void an_id_becomes_a_name_or_none(void **state) {
    (void)state;
    char name[HAPROXY_NAME_MAX + 1];
    assert_true(fleet_name(SLICE_LIT("door-1.example:8080"), name));
    assert_string_equal(name, "door-1.example_8080");
    assert_false(fleet_name(SLICE_LIT("a b"), name));
    assert_false(fleet_name(SLICE_LIT(""), name));
    assert_false(fleet_name(SLICE_LIT("12345678901234567890123456789012345678901234567890"
                                      "12345678901234567890"),
                            name));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)
    const struct CMUnitTest tests[] = {
        TEST(more_nodes_are_asked_for_and_waited_for_until_they_serve),
        TEST(nodes_that_are_on_their_way_are_not_asked_for_again),
        TEST(a_node_that_hangs_is_made_up_for_and_the_maximum_holds),
        TEST(a_count_that_changed_meanwhile_is_looked_at_again),
        TEST(a_provider_that_never_takes_it_fails_the_change_which_then_rests),
        TEST(what_no_repetition_mends_is_not_repeated),
        TEST(an_answer_that_did_not_come_is_looked_up),
        TEST(what_does_not_serve_in_time_is_taken_back),
        TEST(nodes_that_run_and_are_never_healthy_are_told_and_left),
        TEST(a_provider_that_cannot_be_looked_at_fails_it_in_the_end),
        TEST(those_that_cost_least_drain_and_are_then_named_to_the_provider),
        TEST(load_that_rises_while_they_drain_keeps_them),
        TEST(a_provider_that_knows_no_names_chooses_itself),
        TEST(victims_of_a_change_that_fails_stay),
        TEST(what_is_forgotten_is_not_gone_on_with),
        TEST(an_id_becomes_a_name_or_none),
    };
    return cmocka_run_group_tests_name("fleet", tests, NULL, NULL);
}
