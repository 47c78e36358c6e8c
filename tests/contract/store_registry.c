/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: every node finds all the others that live, whatever their clocks say, and two processes
 * that claim one name are told apart. A SQLite file has one node and refuses to be asked. */
#include "rig.h"

#include "rig_postgres.h"

#include <unistd.h>

#define TEXT(text) SLICE_LIT(text)
#define assert_text(slice, text) assert_true(slice_eq_text(slice, text))
enum { LONG_MS = 3600000 };

static struct node_record record_of(const char *id, const char *incarnation) {
    return (struct node_record){
        .id = slice_of(id),
        .url = TEXT("http://10.0.0.1:8080"),
        .version = TEXT("1.2.3"),
        .incarnation = slice_of(incarnation),
        .capabilities = TEXT("{\"cpus\":2,\"memory_limit\":1073741824}"),
        .started_at_ms = RIG_START_MS,
    };
}

enum { RENEWS, TAKES };

static enum err_e register_node(struct rig *rig, struct node_record record, int64_t life_ms,
                                int how) {
    struct store_op op;
    store_op_init(&op, STORE_REGISTER_NODE);
    op.node.values = record;
    op.node.life_ms = life_ms;
    op.node.takes = how == TAKES;
    enum err_e err = store_run(rig->store, &op);
    store_op_fini(&op);
    return err;
}

static void leave(struct rig *rig, const char *id, const char *incarnation) {
    struct store_op op;
    store_op_init(&op, STORE_LEAVE_NODE);
    op.node.values = record_of(id, incarnation);
    assert_int_equal(store_run(rig->store, &op), ERR_OK);
    store_op_fini(&op);
}

/* The list lives until the next call. */
static const struct store_op *list(struct rig *rig) {
    static struct store_op op;
    store_op_fini(&op);
    store_op_init(&op, STORE_LIST_NODES);
    assert_int_equal(store_run(rig->store, &op), ERR_OK);
    return &op;
}

static void a_registered_node_is_found_with_all_that_it_said(void **state) {
    struct rig *rig = *state;
    assert_int_equal(list(rig)->nodes.len, 0);
    assert_int_equal(register_node(rig, record_of("b:1", "i1"), LONG_MS, TAKES), ERR_OK);
    assert_int_equal(register_node(rig, record_of("a:1", "i2"), LONG_MS, TAKES), ERR_OK);
    rig_reopen(rig);
    const struct store_op *op = list(rig);
    assert_int_equal(op->nodes.len, 2);
    const struct node_record *first = &op->nodes.items[0];
    assert_text(first->id, "a:1");
    assert_text(op->nodes.items[1].id, "b:1");
    assert_text(first->url, "http://10.0.0.1:8080");
    assert_text(first->version, "1.2.3");
    assert_text(first->incarnation, "i2");
    assert_non_null(strstr(first->capabilities.at, "1073741824"));
    assert_int_equal(first->started_at_ms, RIG_START_MS);
    assert_in_range(first->left_ms, 1, LONG_MS);
}

static void a_renewal_tells_what_is_new_and_lasts_anew(void **state) {
    struct rig *rig = *state;
    assert_int_equal(register_node(rig, record_of("a:1", "i1"), 1, TAKES), ERR_OK);
    struct node_record renewed = record_of("a:1", "i1");
    renewed.url = TEXT("http://10.0.0.2:8080");
    renewed.drains = true;
    assert_false(list(rig)->nodes.items[0].drains);
    assert_int_equal(register_node(rig, renewed, LONG_MS, RENEWS), ERR_OK);
    const struct store_op *op = list(rig);
    assert_int_equal(op->nodes.len, 1);
    assert_text(op->nodes.items[0].url, "http://10.0.0.2:8080");
    assert_true(op->nodes.items[0].left_ms > LONG_MS / 2);
    assert_true(op->nodes.items[0].drains);
}

static void a_node_that_leaves_is_gone_at_once(void **state) {
    struct rig *rig = *state;
    assert_int_equal(register_node(rig, record_of("a:1", "i1"), LONG_MS, TAKES), ERR_OK);
    leave(rig, "a:1", "another"); /* an earlier process of the same name does not take it away */
    assert_int_equal(list(rig)->nodes.len, 1);
    leave(rig, "a:1", "i1");
    assert_int_equal(list(rig)->nodes.len, 0);
    leave(rig, "a:1", "i1");
}

/* The node's clock has nothing to do with it: the rig's stands still. */
static void the_registration_of_a_node_that_crashed_ends(void **state) {
    struct rig *rig = *state;
    assert_int_equal(register_node(rig, record_of("a:1", "i1"), 1, TAKES), ERR_OK);
    while (list(rig)->nodes.items[0].left_ms >= 0) {
        usleep(1000);
    }
    assert_int_equal(list(rig)->nodes.len, 1); /* told for a while, so that it can be shown */
    assert_int_equal(register_node(rig, record_of("a:1", "i2"), LONG_MS, RENEWS), ERR_OK);
    assert_text(list(rig)->nodes.items[0].incarnation, "i2");
}

static void what_ended_long_ago_is_forgotten(void **state) {
    struct rig *rig = *state;
    assert_int_equal(register_node(rig, record_of("a:1", "i1"), -LONG_MS - 1000, TAKES), ERR_OK);
    assert_int_equal(list(rig)->nodes.len, 0);
    assert_int_equal(rig_postgres_number(rig->path, "SELECT count(*) FROM nodes"), 0);
    assert_int_equal(register_node(rig, record_of("b:1", "i1"), 1 - LONG_MS / 2, TAKES), ERR_OK);
    assert_int_equal(list(rig)->nodes.len, 1);
    assert_true(list(rig)->nodes.items[0].left_ms < 0);
}

static void of_two_processes_with_one_name_the_later_has_it(void **state) {
    struct rig *rig = *state;
    assert_int_equal(register_node(rig, record_of("a:1", "i1"), LONG_MS, TAKES), ERR_OK);
    assert_int_equal(register_node(rig, record_of("a:1", "i2"), LONG_MS, TAKES), ERR_OK);
    assert_int_equal(register_node(rig, record_of("a:1", "i1"), LONG_MS, RENEWS), ERR_CONFLICT);
    assert_text(list(rig)->nodes.items[0].incarnation, "i2");
    leave(rig, "a:1", "i2");
    assert_int_equal(register_node(rig, record_of("a:1", "i1"), LONG_MS, RENEWS), ERR_OK);
}

static void everybody_gets_the_same_secret(void **state) {
    struct rig *rig = *state;
    unsigned char first[CLUSTER_SECRET_SIZE];
    static const unsigned char nothing[CLUSTER_SECRET_SIZE];
    struct store_op op;
    store_op_init(&op, STORE_CLUSTER_SECRET);
    assert_int_equal(store_run(rig->store, &op), ERR_OK);
    memcpy(first, op.secret, sizeof first);
    assert_memory_not_equal(first, nothing, sizeof first);
    store_op_clear(&op);
    rig_reopen(rig);
    assert_int_equal(store_run(rig->store, &op), ERR_OK);
    assert_memory_equal(first, op.secret, sizeof first);
    store_op_fini(&op);
}

static void a_file_has_one_node_and_no_registry(void **state) {
    struct rig *rig = *state;
    static const enum store_op_e kinds[] = {STORE_REGISTER_NODE, STORE_LEAVE_NODE,
                                            STORE_LIST_NODES, STORE_CLUSTER_SECRET};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct store_op op;
        store_op_init(&op, kinds[i]);
        assert_int_equal(store_run(rig->store, &op), ERR_CONFIG);
        assert_non_null(strstr(op.problem.detail, "PostgreSQL"));
        store_op_fini(&op);
    }
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest postgres[] = {
        CASE(a_registered_node_is_found_with_all_that_it_said),
        CASE(a_renewal_tells_what_is_new_and_lasts_anew),
        CASE(a_node_that_leaves_is_gone_at_once),
        CASE(the_registration_of_a_node_that_crashed_ends),
        CASE(what_ended_long_ago_is_forgotten),
        CASE(of_two_processes_with_one_name_the_later_has_it),
        CASE(everybody_gets_the_same_secret),
    };
    const struct CMUnitTest sqlite[] = {CASE(a_file_has_one_node_and_no_registry)};
    return rig_is_postgres() ? cmocka_run_group_tests(postgres, NULL, NULL)
                             : cmocka_run_group_tests(sqlite, NULL, NULL);
}
