/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a store that moves the change mark does so with every commit that changes what caches keep,
 * and with no other. */
#include "rig.h"

#include "rig_postgres.h"

static struct store *open_marking(struct rig *rig) {
    struct store *store = NULL;
    struct problem problem = {.detail = ""};
    const struct postgres_options options = {.url = rig->path,
                                             .clock = &rig->clock.base,
                                             .rng = &rig->rng.base,
                                             .queue_max = 16,
                                             .group_max = 16,
                                             .writers = 1,
                                             .readers = 1,
                                             .moves_mark = true};
    if (postgres_open(&options, &store, &problem) != ERR_OK) {
        fail_msg("open: %s", problem.detail);
    }
    return store;
}

/* What is done by the rig between watch and has_moved is done by `marking`. */
struct watch {
    struct rig *rig;
    struct store *own, *marking;
    uint64_t before;
};

static struct watch watch(struct rig *rig, struct store *marking) {
    struct watch watch = {rig, rig->store, marking, rig_read_mark(rig->store)};
    rig->store = marking;
    return watch;
}

static bool has_moved(const struct watch *watch) {
    watch->rig->store = watch->own;
    return rig_read_mark(watch->own) != watch->before;
}

#define assert_moves(rig, marking, moves, what)                                                    \
    do {                                                                                           \
        struct watch watch_ = watch(rig, marking);                                                 \
        what;                                                                                      \
        assert_int_equal(has_moved(&watch_), moves);                                               \
    } while (0)

static enum err_e import(struct store *store, const char *event, struct import_row *row) {
    struct store_op op;
    store_op_init(&op, STORE_IMPORT_PARTICIPANTS);
    op.event = slice_of(event);
    op.import.rows = row;
    op.import.len = 1;
    enum err_e err = store_run(store, &op);
    store_op_fini(&op);
    return err;
}

static void each_change_of_what_lasts_moves_the_mark_of_a_store_that_says_so(void **state) {
    struct rig *rig = *state;
    struct store *marking = open_marking(rig);
    const struct participant ben = {.name = SLICE_LIT("Ben")};
    int64_t id = 0;
    assert_moves(rig, marking, true, rig_event(rig, "f", REENTRY_NONE, 5));
    assert_moves(rig, marking, true, rig_set_event(rig, "f", REENTRY_NONE, 6));
    assert_moves(rig, marking, true, rig_gate(rig, "f", "g9"));
    assert_moves(rig, marking, true, rig_set_gate(rig, "f", "g9", GATE_CLOSED));
    assert_moves(rig, marking, true, id = rig_person(rig, "e", "t1", "Ann", ""));
    assert_moves(rig, marking, true, rig_patch(rig, "e", id, PARTICIPANT_NAME, &ben));
    struct import_row row = {.values = {.token = SLICE_LIT("t2"), .name = SLICE_LIT("Cid")},
                             .fields = PARTICIPANT_NAME};
    assert_moves(rig, marking, true, assert_int_equal(import(marking, "e", &row), ERR_OK));
    assert_int_equal(row.ret_outcome, IMPORT_CREATED);
    assert_moves(rig, marking, true, rig_erase(rig, "e", id));
    store_close(marking);
}

static void what_lasts_not_or_did_not_happen_moves_no_mark(void **state) {
    struct rig *rig = *state;
    struct store *marking = open_marking(rig);
    struct scan_result admitted = {.err = ERR_OK};
    struct import_row row = {.values = {.token = SLICE_LIT("t2")}};
    rig_person(rig, "e", "t1", "Ann", "");
    assert_moves(rig, marking, false, admitted = rig_scan(rig, "e", ENTRY("t1", "g1")));
    assert_int_equal(admitted.verdict, VERDICT_ADMITTED);
    assert_moves(rig, marking, false, rig_annul(rig, "e", admitted.record_id, NULL));
    assert_moves(rig, marking, false, assert_int_equal(rig_erase(rig, "e", 999999),
                                                      ERR_UNKNOWN_PARTICIPANT));
    assert_moves(rig, marking, false, assert_int_equal(import(marking, "no", &row),
                                                      ERR_UNKNOWN_EVENT));
    rig_turn_mark(marking, 5); /* and a turn is that turn alone */
    uint64_t before = rig_read_mark(marking);
    rig_turn_mark(marking, 5);
    assert_true(rig_read_mark(marking) == (before ^ 5));
    store_close(marking);
}

struct patch {
    struct rig *rig;
    struct store *store;
    int64_t id;
    thrd_t thread;
};

static int patch_slowly(void *data) {
    struct patch *patch = data;
    struct store_op op;
    store_op_init(&op, STORE_UPDATE_PARTICIPANT);
    op.event = SLICE_LIT("e");
    op.participant_write.values = (struct participant){.id = patch->id, .name = SLICE_LIT("Ben")};
    op.participant_write.fields = PARTICIPANT_NAME;
    enum err_e err = store_run(patch->store, &op);
    store_op_fini(&op);
    return (int)err;
}

static void whoever_sees_the_mark_moved_finds_the_change(void **state) {
    struct rig *rig = *state;
    struct patch patch = {.rig = rig, .store = open_marking(rig)};
    struct participant seen;
    int err;
    patch.id = rig_person(rig, "e", "t1", "Ann", "");
    rig_postgres_exec(rig->path, "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql"
                                 " AS $$ BEGIN PERFORM pg_sleep(0.2); RETURN NEW; END $$;"
                                 "CREATE TRIGGER slow BEFORE UPDATE ON participants FOR EACH ROW"
                                 " EXECUTE FUNCTION wait()");
    uint64_t before = rig_read_mark(rig->store);
    assert_int_equal(thrd_create(&patch.thread, patch_slowly, &patch), thrd_success);
    while (rig_read_mark(rig->store) == before) {
    }
    assert_int_equal(rig_load(rig, "e", patch.id, &seen), ERR_OK);
    assert_true(slice_eq_text(seen.name, "Ben"));
    thrd_join(patch.thread, &err);
    assert_int_equal(err, ERR_OK);
    rig_postgres_exec(rig->path, "DROP TRIGGER slow ON participants; DROP FUNCTION wait()");
    store_close(patch.store);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(each_change_of_what_lasts_moves_the_mark_of_a_store_that_says_so),
        CASE(what_lasts_not_or_did_not_happen_moves_no_mark),
        CASE(whoever_sees_the_mark_moved_finds_the_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
