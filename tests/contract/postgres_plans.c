/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plans that last. A writer's statements are planned once, on tables that are empty on the first
 * day: work must grow with what a group names, not with what the tables hold. The server's own
 * counts of the rows it read tell; they are complete when the store's connections have ended.
 */
#include "rig_postgres.h"

#include <stdio.h>

enum {
    PEOPLE = 4000,
    IMPORT_ROWS = 1000, /* in one operation */
    GROUP_SCANS = 50,
    ROWS_EACH_MAX = 12, /* read for one scan or imported row, over all tables */
    SEARCHES = 40,
    FOUND_MAX = 5, /* of one search */
};

static void token_of(int number, char text[16]) {
    snprintf(text, 16, "t%d", number);
}

static void import_people(struct rig *rig, int first) {
    static struct import_row rows[IMPORT_ROWS];
    static char tokens[IMPORT_ROWS][16];
    struct store_op op;
    for (int i = 0; i < IMPORT_ROWS; i++) {
        token_of(first + i, tokens[i]);
        rows[i] = (struct import_row){.values = {.token = slice_of(tokens[i])},
                                      .fields = PARTICIPANT_TOKEN};
    }
    store_op_init(&op, STORE_IMPORT_PARTICIPANTS);
    op.event = SLICE_LIT("e");
    op.import.rows = rows;
    op.import.len = IMPORT_ROWS;
    assert_int_equal(store_run(rig->store, &op), ERR_OK);
    assert_int_equal(rows[IMPORT_ROWS - 1].ret_outcome, IMPORT_CREATED);
    store_op_fini(&op);
}

static void scan_group(struct rig *rig, int first, enum direction_e direction) {
    struct scan scans[GROUP_SCANS];
    struct scan_result results[GROUP_SCANS];
    char tokens[GROUP_SCANS][16];
    struct store_op op;
    for (int i = 0; i < GROUP_SCANS; i++) {
        token_of(first + i, tokens[i]);
        scans[i] = ENTRY("", "g1");
        scans[i].direction = direction;
        scans[i].token = slice_of(tokens[i]);
        scans[i].nonce = direction == DIRECTION_ENTRY ? scans[i].token : SLICE_NONE;
    }
    store_op_init(&op, STORE_CHECK_IN);
    op.event = SLICE_LIT("e");
    op.check_in.scans = scans;
    op.check_in.results = results;
    op.check_in.len = GROUP_SCANS;
    assert_int_equal(store_run(rig->store, &op), ERR_OK);
    assert_int_equal(results[GROUP_SCANS - 1].verdict,
                     direction == DIRECTION_ENTRY ? VERDICT_ADMITTED : VERDICT_EXITED);
    store_op_fini(&op);
}

static int64_t rows_read(struct rig *rig) {
    return rig_postgres_number(rig->path,
                               "SELECT (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes)"
                               " + (SELECT sum(seq_tup_read) FROM pg_stat_user_tables)");
}

static void open_on(struct rig *rig) {
    struct problem problem = {.detail = ""};
    virtual_clock_init(&rig->clock, RIG_START_MS);
    seeded_rng_init(&rig->rng, 1);
    if (rig_open(rig, &rig->clock.base, &rig->rng.base, &rig->store, &problem) != ERR_OK) {
        fail_msg("open: %s", problem.detail);
    }
}

static void work_does_not_grow_with_what_is_stored(void **state) {
    (void)state;
    struct rig rig = {.group_max = 256};
    rig_postgres_create(rig.path);
    rig_postgres_exec(rig.path, "VACUUM (ANALYZE)"); /* known to be empty: the planner's worst */
    open_on(&rig);
    rig_event(&rig, "e", REENTRY_AFTER_EXIT, CAPACITY_NONE);
    rig_gate(&rig, "e", "g1");
    for (int first = 0; first < PEOPLE; first += IMPORT_ROWS) {
        import_people(&rig, first);
    }
    for (int first = 0; first < PEOPLE; first += GROUP_SCANS) {
        scan_group(&rig, first, DIRECTION_ENTRY);
    }
    for (int first = 0; first < PEOPLE; first += GROUP_SCANS) {
        scan_group(&rig, first, DIRECTION_EXIT);
    }
    store_close(rig.store);
    int64_t rows = rows_read(&rig);
    assert_in_range(rows, PEOPLE, 3 * PEOPLE * ROWS_EACH_MAX);
}

static void search_for(struct rig *rig, const char *words, size_t found) {
    struct store_op op;
    store_op_init(&op, STORE_LIST_PARTICIPANTS);
    op.event = SLICE_LIT("e");
    op.participants.query = slice_of(words);
    op.participants.limit = FOUND_MAX;
    assert_int_equal(store_run(rig->store, &op), ERR_OK);
    assert_int_equal(op.participants.len, found);
    store_op_fini(&op);
}

/* Often enough that the server plans once for all words, of which it knows nothing. */
static void a_search_reads_neither_everybody_nor_everybody_of_a_common_name(void **state) {
    (void)state;
    struct rig rig = {.group_max = 256};
    rig_postgres_create(rig.path);
    open_on(&rig);
    rig_event(&rig, "e", REENTRY_NONE, CAPACITY_NONE);
    rig_postgres_exec(rig.path,
                      "INSERT INTO participants (event_id, token, name, email, status, gates,"
                      " created_at) SELECT (SELECT id FROM events), 'p' || n, CASE WHEN n % 4 = 0"
                      " THEN 'Kim ' ELSE 'Lee ' END || 'No' || n, '', 'active', '', now()"
                      " FROM generate_series(1, 8000) n");
    rig_postgres_exec(rig.path, "VACUUM (ANALYZE) participants");
    store_close(rig.store);
    int64_t before = rows_read(&rig);
    open_on(&rig);
    for (int i = 0; i < SEARCHES; i++) {
        search_for(&rig, "kim", FOUND_MAX);
        search_for(&rig, "no7777", 1);
        search_for(&rig, "nobody", 0);
    }
    store_close(rig.store);
    assert_in_range(rows_read(&rig) - before, 3 * SEARCHES, 3 * SEARCHES * 40 * FOUND_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(work_does_not_grow_with_what_is_stored),
        cmocka_unit_test(a_search_reads_neither_everybody_nor_everybody_of_a_common_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
