/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what HAProxy says is read by name of column, and every server is taken to where it should
 * be by safe steps alone, wherever it is found. */
#include "act/haproxy_config.h"
#include "act/haproxy_plan.h"
#include "act/haproxy_socket.h"
#include "act/haproxy_stat.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

enum { MEMORY = 1 << 20 };

static struct arena arena;
static struct haproxy_history history;
static struct haproxy_node nodes[3];
static const struct slice backends[] = {{"general", 7}, {"cache", 5}};
static struct haproxy_wish wish;
static struct haproxy_row rows[8];
static size_t rows_len;

static int fresh(void **state) {
    (void)state;
    arena_init(&arena, MEMORY);
    history.len = 0;
    rows_len = 0;
    for (int i = 0; i < 3; i++) {
        nodes[i] = (struct haproxy_node){.number = 101 + i};
        snprintf(nodes[i].name, sizeof nodes[i].name, "n%d", i + 1);
        snprintf(nodes[i].address, sizeof nodes[i].address, "127.0.0.1:%d", 8081 + i);
    }
    wish = (struct haproxy_wish){nodes, 1, backends, 1, 1000, backends[1]};
    return 0;
}

static int done(void **state) {
    (void)state;
    arena_fini(&arena);
    return 0;
}

/* A server of `general` as seen, at the address and number of the node of that index. */
static struct haproxy_row *see(int node, enum haproxy_status_e status) {
    struct haproxy_row *row = &rows[rows_len++];
    *row = (struct haproxy_row){.backend = backends[0],
                                .server = slice_of(nodes[node].name),
                                .address = slice_of(nodes[node].address),
                                .id = nodes[node].number,
                                .status = status,
                                .check_passed = true};
    return row;
}

/* The orders of one round, as "add n1, check n1". */
static const char *plan_at(int64_t now_ms) {
    static char text[512];
    struct haproxy_orders orders;
    struct haproxy_view view = {rows, rows_len, now_ms};
    assert_int_equal(haproxy_wish_check(&wish, NULL), ERR_OK);
    assert_int_equal(haproxy_plan(&arena, &wish, &view, &history, &orders), ERR_OK);
    size_t len = 0;
    text[0] = '\0';
    for (size_t i = 0; i < orders.len; i++) {
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s %.*s", i == 0 ? "" : ", ",
                                haproxy_order_text(orders.items[i].kind),
                                SLICE_ARG(orders.items[i].server));
    }
    return text;
}

static const char *plan(void) {
    return plan_at(0);
}

static const char *command_of(enum haproxy_order_e kind) {
    static char text[1024];
    struct buf buf;
    struct haproxy_order order = {kind, backends[0], slice_of(nodes[0].name), &nodes[0]};
    buf_init(&buf, sizeof text);
    haproxy_order_write(&buf, &order);
    assert_true(slice_to_cstr(buf_slice(&buf), text, sizeof text));
    buf_fini(&buf);
    return text;
}

/* --- the life of a server --- */

static void a_new_node_is_added_checked_and_held_back(void **state) {
    (void)state;
    assert_string_equal(plan(), "add n1, check n1, drain n1");
}

static void a_node_with_an_agent_is_asked_for_it(void **state) {
    (void)state;
    nodes[0].agent_port = 9001;
    assert_string_equal(plan(), "add n1, check n1, agent n1, drain n1");
}

static void a_share_is_told_when_it_is_another_and_not_to_those_who_ask_an_agent(void **state) {
    (void)state;
    struct haproxy_row *row = see(0, HAPROXY_UP);
    row->weight = 100;
    assert_string_equal(plan(), "");
    nodes[0].weight = 91;
    assert_string_equal(plan(), "");
    nodes[0].weight = 60;
    assert_string_equal(plan(), "weight n1");
    assert_string_equal(command_of(HAPROXY_ORDER_WEIGHT), "set server general/n1 weight 60%");
    row->is_warming = true;
    assert_string_equal(plan(), "");
    row->is_warming = false;
    row->weight = 95;
    nodes[0].weight = 100; /* all the way back */
    assert_string_equal(plan(), "weight n1");
    nodes[0].agent_port = 9001;
    assert_string_equal(plan(), "");
}

static void the_backend_whose_keys_stay_gets_no_weight_and_no_agent(void **state) {
    (void)state;
    wish.backends = &backends[1];
    nodes[0].agent_port = 9001;
    assert_string_equal(plan(), "add n1, check n1, drain n1");
    nodes[0].agent_port = 0;
    nodes[0].weight = 50;
    struct haproxy_row *row = see(0, HAPROXY_UP);
    row->backend = backends[1];
    row->weight = 100;
    assert_string_equal(plan(), "");
}

static void each_backend_gets_each_node(void **state) {
    (void)state;
    wish.backends_len = 2;
    see(0, HAPROXY_UP);
    assert_string_equal(plan(), "add n1, check n1, drain n1");
}

static void a_node_takes_traffic_once_its_check_has_passed(void **state) {
    (void)state;
    struct haproxy_row *row = see(0, HAPROXY_DRAIN);
    row->check_passed = false;
    assert_string_equal(plan(), "");
    row->check_passed = true;
    row->in_transition = true;
    assert_string_equal(plan(), "");
    row->in_transition = false;
    assert_string_equal(plan(), "ready n1");
    row->status = HAPROXY_UP;
    assert_string_equal(plan(), "");
}

static void an_agent_that_nobody_hears_keeps_no_node_out(void **state) {
    (void)state;
    nodes[0].agent_port = 9001;
    struct haproxy_row *row = see(0, HAPROXY_DOWN);
    row->has_mute_agent = true;
    assert_string_equal(plan(), ""); /* it may come yet */
    assert_string_equal(plan_at(HAPROXY_SILENT_MS), "mute n1");
    assert_string_equal(command_of(HAPROXY_ORDER_MUTE), "disable agent general/n1");
    row->check_passed = false;
    assert_string_equal(plan_at(HAPROXY_SILENT_MS), "");
}

static void requests_that_wait_for_a_node_that_hangs_are_cut_but_not_at_once(void **state) {
    (void)state;
    struct haproxy_row *row = see(0, HAPROXY_DOWN);
    row->check_passed = false;
    row->sessions = 3;
    assert_string_equal(plan_at(0), "");
    assert_string_equal(plan_at(HAPROXY_SILENT_MS), ""); /* it answers that it is not ready */
    row->is_silent = true;
    assert_string_equal(plan_at(HAPROXY_SILENT_MS), "");
    assert_string_equal(plan_at(2 * HAPROXY_SILENT_MS), "cut n1");
    row->sessions = 0;
    assert_string_equal(plan_at(2 * HAPROXY_SILENT_MS), "");
}

static void a_server_that_is_down_waits_for_its_check(void **state) {
    (void)state;
    see(0, HAPROXY_DOWN);
    assert_string_equal(plan(), "");
}

static void a_server_taken_out_by_hand_comes_back(void **state) {
    (void)state;
    see(0, HAPROXY_MAINT);
    assert_string_equal(plan(), "check n1, drain n1");
}

static void a_node_that_drains_keeps_its_sessions_and_stays(void **state) {
    (void)state;
    nodes[0].drains = true;
    struct haproxy_row *row = see(0, HAPROXY_UP);
    assert_string_equal(plan(), "drain n1");
    row->status = HAPROXY_DRAIN;
    row->sessions = 3;
    assert_string_equal(plan_at(1000000), "");
}

static void what_waits_for_an_unwanted_server_that_hangs_is_not_waited_for(void **state) {
    (void)state;
    wish.nodes_len = 0;
    wish.drain_ms = 100 * HAPROXY_SILENT_MS;
    struct haproxy_row *row = see(0, HAPROXY_DOWN);
    row->check_passed = false;
    row->is_silent = true; /* nobody listens: it may be ending what it has */
    row->sessions = 3;
    assert_string_equal(plan_at(0), "drain n1");
    assert_string_equal(plan_at(HAPROXY_SILENT_MS), "");
    row->is_stuck = true;
    assert_string_equal(plan_at(HAPROXY_SILENT_MS - 1), "");
    assert_string_equal(plan_at(HAPROXY_SILENT_MS), "cut n1, maint n1");
}

static void an_unwanted_server_leaves_when_its_sessions_have_ended(void **state) {
    (void)state;
    wish.nodes_len = 0;
    struct haproxy_row *row = see(0, HAPROXY_UP);
    assert_string_equal(plan(), "drain n1");
    row->status = HAPROXY_DRAIN;
    row->sessions = 1;
    assert_string_equal(plan_at(500), "");
    row->sessions = 0;
    row->used = 1;
    assert_string_equal(plan_at(600), "");
    row->used = 0;
    assert_string_equal(plan_at(700), "maint n1");
    row->status = HAPROXY_MAINT;
    assert_string_equal(plan_at(800), ""); /* something may still point at it */
    assert_string_equal(plan_at(799 + HAPROXY_GRACE_MS), "");
    assert_string_equal(plan_at(800 + HAPROXY_GRACE_MS), "delete n1");
}

static void a_dead_server_leaves_though_it_never_shows_that_it_drains(void **state) {
    (void)state;
    struct haproxy_row *row = see(0, HAPROXY_DOWN);
    row->check_passed = false;
    nodes[0].drains = true;
    assert_string_equal(plan_at(0), "drain n1");
    assert_string_equal(plan_at(1000), ""); /* it was told */
    nodes[0].drains = false;
    assert_string_equal(plan_at(2000), "");
    nodes[0].drains = true;
    assert_string_equal(plan_at(3000), "drain n1");
    wish.nodes_len = 0;
    row->sessions = 1;
    assert_string_equal(plan_at(3500), "");
    row->sessions = 0;
    assert_string_equal(plan_at(3600), "maint n1");
    row->status = HAPROXY_MAINT;
    assert_string_equal(plan_at(3700), "");
    assert_string_equal(plan_at(3700 + HAPROXY_GRACE_MS), "delete n1");
}

static void a_dead_server_that_was_never_told_to_drain_leaves_at_once(void **state) {
    (void)state;
    wish.nodes_len = 0;
    see(0, HAPROXY_DOWN)->check_passed = false;
    assert_string_equal(plan(), "drain n1, maint n1");
}

static void sessions_that_outlive_the_time_to_drain_are_cut(void **state) {
    (void)state;
    wish.nodes_len = 0;
    struct haproxy_row *row = see(0, HAPROXY_UP);
    assert_string_equal(plan_at(5000), "drain n1");
    row->status = HAPROXY_DRAIN;
    row->sessions = 1;
    assert_string_equal(plan_at(5999), "");
    assert_string_equal(plan_at(6000), "cut n1, maint n1");
}

static void a_delete_that_is_refused_thrice_drains_once_more(void **state) {
    (void)state;
    wish.nodes_len = 0;
    struct haproxy_row *row = see(0, HAPROXY_MAINT);
    struct haproxy_order order = {HAPROXY_ORDER_DELETE, row->backend, row->server, NULL};
    assert_string_equal(plan_at(0), "");
    for (int i = 0; i < HAPROXY_DELETES_BEFORE_AGAIN; i++) {
        assert_string_equal(plan_at(HAPROXY_GRACE_MS + i), "delete n1");
        haproxy_note_refused_delete(&history, &order);
    }
    assert_string_equal(plan_at(2 * HAPROXY_GRACE_MS), "drain n1, maint n1");
    assert_string_equal(plan_at(2 * HAPROXY_GRACE_MS), "");
    assert_string_equal(plan_at(3 * HAPROXY_GRACE_MS), "delete n1");
}

static void a_node_that_moved_is_another_server(void **state) {
    (void)state;
    see(0, HAPROXY_UP);
    snprintf(nodes[0].address, sizeof nodes[0].address, "127.0.0.1:9999");
    rows[0].address = SLICE_LIT("127.0.0.1:8081");
    assert_string_equal(plan(), "drain n1");
    rows[0].address = slice_of(nodes[0].address);
    rows[0].id = 7; /* another place in the ring */
    assert_string_equal(plan(), "drain n1");
    rows[0].status = HAPROXY_DRAIN;
    assert_string_equal(plan(), "maint n1");
}

static void the_last_that_serves_stays_until_another_is_up(void **state) {
    (void)state;
    wish.nodes = &nodes[1]; /* n2 instead of n1 */
    see(0, HAPROXY_UP);
    assert_string_equal(plan(), "add n2, check n2, drain n2");
    struct haproxy_row *next = see(1, HAPROXY_DRAIN);
    assert_string_equal(plan(), "ready n2");
    next->status = HAPROXY_DOWN;
    assert_string_equal(plan(), "");
    next->status = HAPROXY_UP;
    assert_string_equal(plan(), "drain n1");
}

static void what_left_is_forgotten(void **state) {
    (void)state;
    wish.nodes_len = 0;
    see(0, HAPROXY_DRAIN)->sessions = 1;
    assert_string_equal(plan_at(0), "");
    assert_int_equal(history.len, 1);
    rows_len = 0;
    assert_string_equal(plan_at(10), "");
    assert_int_equal(history.len, 0);
    see(0, HAPROXY_DRAIN)->sessions = 1;
    assert_string_equal(plan_at(1500), ""); /* its time begins anew */
}

static void servers_of_others_are_left_alone(void **state) {
    (void)state;
    see(1, HAPROXY_UP)->backend = SLICE_LIT("of_somebody");
    see(2, HAPROXY_UP)->server = SLICE_LIT("odd:name");
    assert_string_equal(plan(), "add n1, check n1, drain n1");
}

/* --- what is sent --- */

static void an_added_server_has_an_id_a_weight_and_never_the_word_that_corrupts(void **state) {
    (void)state;
    for (int i = 0; i < HAPROXY_ORDER_COUNT; i++) {
        assert_null(strstr(command_of((enum haproxy_order_e)i), "enabled"));
        assert_null(strchr(command_of((enum haproxy_order_e)i), ';'));
    }
    const char *add = command_of(HAPROXY_ORDER_ADD);
    assert_non_null(strstr(add, "add server general/n1 127.0.0.1:8081 id 101 weight 100 check"));
    assert_non_null(strstr(add, "pool-purge-delay"));
    assert_non_null(strstr(add, "pool-max-conn"));
    assert_null(strstr(add, "agent"));
    assert_null(strstr(add, "shutdown-sessions"));
    nodes[0].agent_port = 9001;
    assert_non_null(strstr(command_of(HAPROXY_ORDER_ADD), "agent-port 9001"));
}

static void orders_are_the_commands_that_haproxy_takes(void **state) {
    (void)state;
    assert_string_equal(command_of(HAPROXY_ORDER_CHECK), "enable health general/n1");
    assert_string_equal(command_of(HAPROXY_ORDER_DRAIN), "set server general/n1 state drain");
    assert_string_equal(command_of(HAPROXY_ORDER_READY), "set server general/n1 state ready");
    assert_string_equal(command_of(HAPROXY_ORDER_CUT), "shutdown sessions server general/n1");
    assert_string_equal(command_of(HAPROXY_ORDER_DELETE), "del server general/n1");
}

static void a_name_that_could_be_a_command_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = {"", "a b", "a;b", "a\nb", "a/b", "a\"", "\xc3\xa4"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(haproxy_name_is_good(slice_of(bad[i])));
    }
    assert_true(haproxy_name_is_good(SLICE_LIT("a-very_odd.NAME1")));
}

static void a_wish_that_cannot_be_is_refused_with_the_node_that_is_wrong(void **state) {
    (void)state;
    struct problem problem;
    static const char *const addresses[] = {"", "localhost:80", "127.0.0.1", "127.0.0.1:0",
                                            "127.0.0.1:80 x", ":80", "127.0.0.1:65536"};
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        snprintf(nodes[0].address, sizeof nodes[0].address, "%s", addresses[i]);
        assert_int_equal(haproxy_wish_check(&wish, &problem), ERR_INVALID_FIELD);
        assert_string_equal(problem.field, "address");
    }
    fresh(NULL);
    wish.nodes_len = 2;
    nodes[1].number = nodes[0].number;
    assert_int_equal(haproxy_wish_check(&wish, &problem), ERR_INVALID_FIELD);
    assert_non_null(strstr(problem.detail, "n1 and n2"));
    nodes[1].number = 0;
    assert_int_equal(haproxy_wish_check(&wish, &problem), ERR_INVALID_FIELD);
}

/* --- what is read --- */

#define HEADER                                                                                     \
    "# pxname,svname,qcur,scur,stot,econ,eresp,status,weight,sid,type,check_status,addr,"          \
    "used_conn_cur,-,throttle,agent_status,\n"

static void servers_are_read_by_column_names(void **state) {
    (void)state;
    struct haproxy_row *seen;
    size_t len;
    struct slice text = SLICE_LIT(
        HEADER "fe,FRONTEND,,4,9,,,OPEN,,0,0,,,,-,1,\n"
               "general,n1,1,2,30,4,5,UP,100,101,2,L7OK,127.0.0.1:8081,6,-,,L7OK,\n"
               "general,n2,0,0,0,0,0,DRAIN 1/2,100,102,2,* L4OK,127.0.0.1:8082,0,-,1,\n"
               "general,n3,0,0,0,0,0,MAINT (via x),100,103,2,L7TOUT,127.0.0.1:8083,0,-,1,\n"
               "general,n4,0,0,0,0,0,DOWN (agent),0,104,2,L4CON,127.0.0.1:8084,0,-,1,* L4CON,\n"
               "general,n5,0,0,0,0,0,no check,1,105,2,,127.0.0.1:8085,0,-,1,\n"
               "general,n6,0,0,0,0,0,DOWN (agent),1,106,2,L7OK,127.0.0.1:8086,0,-,1,,\n"
               "general,BACKEND,0,0,0,0,0,UP,100,0,1,,,,-,1,\n\n");
    assert_int_equal(haproxy_stat_read(&arena, text, &seen, &len), ERR_OK);
    assert_int_equal(len, 6);
    assert_true(slice_eq_text(seen[0].address, "127.0.0.1:8081"));
    assert_int_equal(seen[0].sessions, 2);
    assert_int_equal(seen[0].used, 6);
    assert_int_equal(seen[0].requests, 30);
    assert_int_equal(seen[0].failures, 9);
    assert_int_equal(seen[0].id, 101);
    assert_true(seen[0].check_passed && !seen[0].in_transition && !seen[0].is_warming);
    assert_true(seen[1].is_warming);
    assert_int_equal(seen[1].status, HAPROXY_DRAIN);
    assert_true(seen[1].check_passed && seen[1].in_transition);
    assert_int_equal(seen[2].status, HAPROXY_MAINT);
    assert_false(seen[2].check_passed);
    assert_int_equal(seen[3].status, HAPROXY_DOWN);
    assert_true(seen[3].has_mute_agent && !seen[1].has_mute_agent && !seen[5].has_mute_agent);
    assert_true(seen[3].is_silent && seen[2].is_silent && !seen[1].is_silent);
    assert_true(seen[2].is_stuck && !seen[3].is_stuck);
    assert_int_equal(seen[4].status, HAPROXY_UP);
}

static void a_table_without_a_needed_column_is_not_guessed_at(void **state) {
    (void)state;
    struct haproxy_row *seen;
    size_t len;
    assert_int_equal(haproxy_stat_read(&arena, SLICE_LIT("# pxname,svname\n"), &seen, &len),
                     ERR_IO);
    assert_int_equal(haproxy_stat_read(&arena, SLICE_LIT("No such thing\n"), &seen, &len), ERR_IO);
    assert_int_equal(haproxy_stat_read(&arena, SLICE_LIT(""), &seen, &len), ERR_IO);
}

static void info_and_maps_are_read(void **state) {
    (void)state;
    struct haproxy_info info;
    struct haproxy_entry *entries;
    size_t len;
    assert_int_equal(haproxy_info_read(SLICE_LIT("Name: HAProxy\nVersion: 2.6.12\nPid: 77\n"
                                                 "Uptime_sec: 5\nCurrConns: 3\n"),
                                       &info),
                     ERR_OK);
    assert_int_equal(info.pid, 77);
    assert_int_equal(info.uptime_s, 5);
    assert_true(slice_eq_text(info.version, "2.6.12"));
    assert_int_equal(haproxy_info_read(SLICE_LIT("Name: x\n"), &info), ERR_IO);
    assert_int_equal(
        haproxy_map_read(&arena, SLICE_LIT("0x55 analytics n2\n0x66 a b\n"), &entries, &len),
        ERR_OK);
    assert_int_equal(len, 2);
    assert_true(slice_eq_text(entries[0].value, "n2"));
    assert_int_equal(haproxy_map_read(&arena, SLICE_LIT("garbage\n"), &entries, &len), ERR_IO);
}

static void an_answer_is_told_from_a_refusal_by_its_severity(void **state) {
    (void)state;
    struct slice text;
    assert_int_equal(haproxy_reply_read(SLICE_LIT("\n\n"), &text), ERR_OK);
    assert_int_equal(text.len, 0);
    assert_int_equal(haproxy_reply_read(SLICE_LIT("\n[6]: New server registered.\n\n"), &text),
                     ERR_OK);
    assert_true(slice_eq_text(text, "New server registered."));
    assert_int_equal(haproxy_reply_read(SLICE_LIT("\n[3]: No such server.\n\n"), &text),
                     ERR_CONFLICT);
    assert_true(slice_eq_text(text, "No such server."));
    assert_int_equal(haproxy_reply_read(SLICE_LIT("\n100 (initial 100)\n\n"), &text), ERR_OK);
    assert_true(slice_eq_text(text, "100 (initial 100)"));
    assert_int_equal(haproxy_reply_read(SLICE_LIT("\n[6]: Unknown command, but maybe\n"), &text),
                     ERR_CONFLICT);
    assert_int_equal(haproxy_reply_read(SLICE_LIT(""), &text), ERR_OK);
}

static void a_configuration_with_a_hostile_word_is_refused(void **state) {
    (void)state;
    struct buf to;
    struct problem problem;
    struct haproxy_config config = {.bind = "127.0.0.1:8000",
                                    .stats_socket = "/run/turnout/haproxy.sock",
                                    .map_file = "/run/turnout/best.map",
                                    .connections_max = 10000,
                                    .nodes = nodes,
                                    .nodes_len = 2};
    buf_init(&to, 1 << 20);
    assert_int_equal(haproxy_config_write(&to, &config, &problem), ERR_OK);
    assert_non_null(memmem(to.at, to.len, "server n2 127.0.0.1:8082 id 102\n", 32));
    config.bind = "127.0.0.1:8000\n    bind :1";
    assert_int_equal(haproxy_config_write(&to, &config, &problem), ERR_INVALID_FIELD);
    assert_string_equal(problem.field, "bind");
    config.bind = "127.0.0.1:8000";
    config.stats_bind = "127.0.0.1:8404\n    stats admin if TRUE";
    assert_int_equal(haproxy_config_write(&to, &config, &problem), ERR_INVALID_FIELD);
    assert_string_equal(problem.field, "stats_bind");
    config.stats_bind = NULL;
    config.tls_bind = ":443";
    assert_int_equal(haproxy_config_write(&to, &config, &problem), ERR_INVALID_FIELD);
    assert_string_equal(problem.field, "certificate");
    buf_fini(&to);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, done)
    const struct CMUnitTest tests[] = {
        TEST(a_new_node_is_added_checked_and_held_back),
        TEST(a_node_with_an_agent_is_asked_for_it),
        TEST(a_share_is_told_when_it_is_another_and_not_to_those_who_ask_an_agent),
        TEST(the_backend_whose_keys_stay_gets_no_weight_and_no_agent),
        TEST(each_backend_gets_each_node),
        TEST(a_node_takes_traffic_once_its_check_has_passed),
        TEST(an_agent_that_nobody_hears_keeps_no_node_out),
        TEST(requests_that_wait_for_a_node_that_hangs_are_cut_but_not_at_once),
        TEST(what_waits_for_an_unwanted_server_that_hangs_is_not_waited_for),
        TEST(a_server_that_is_down_waits_for_its_check),
        TEST(a_server_taken_out_by_hand_comes_back),
        TEST(a_node_that_drains_keeps_its_sessions_and_stays),
        TEST(an_unwanted_server_leaves_when_its_sessions_have_ended),
        TEST(a_dead_server_leaves_though_it_never_shows_that_it_drains),
        TEST(a_dead_server_that_was_never_told_to_drain_leaves_at_once),
        TEST(sessions_that_outlive_the_time_to_drain_are_cut),
        TEST(a_delete_that_is_refused_thrice_drains_once_more),
        TEST(a_node_that_moved_is_another_server),
        TEST(the_last_that_serves_stays_until_another_is_up),
        TEST(what_left_is_forgotten),
        TEST(servers_of_others_are_left_alone),
        TEST(an_added_server_has_an_id_a_weight_and_never_the_word_that_corrupts),
        TEST(orders_are_the_commands_that_haproxy_takes),
        TEST(a_name_that_could_be_a_command_is_refused),
        TEST(a_wish_that_cannot_be_is_refused_with_the_node_that_is_wrong),
        TEST(servers_are_read_by_column_names),
        TEST(a_table_without_a_needed_column_is_not_guessed_at),
        TEST(info_and_maps_are_read),
        TEST(an_answer_is_told_from_a_refusal_by_its_severity),
        TEST(a_configuration_with_a_hostile_word_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
