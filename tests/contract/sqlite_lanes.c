/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a scan at a door does not wait behind everything that offline scanners upload. The file is
 * held by somebody else while both queue up, so that the writer's order is that of its choice.
 */
#include "rig.h"

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

enum { UPLOADS = 12, LINES = 200, BUSY_MS = 60000 };

struct upload {
    struct scan scans[LINES];
    struct scan_result results[LINES];
    struct store_op op;
    int place; /* 1.. in the order of completion */
};

static struct upload uploads[UPLOADS], first, door;
static atomic_int completed;

static void take_answer(struct store_op *op) {
    struct upload *upload = op->owner;
    upload->place = atomic_load(&completed) + 1; /* all are the writer thread's */
    atomic_fetch_add(&completed, 1);             /* behind it, for whoever waits */
}

static void submit(struct rig *rig, struct upload *upload, size_t len) {
    for (size_t i = 0; i < len; i++) {
        upload->scans[i] = ENTRY("t", "g1");
    }
    store_op_init(&upload->op, STORE_CHECK_IN);
    upload->op.event = SLICE_LIT("e");
    upload->op.done = take_answer;
    upload->op.owner = upload;
    upload->op.check_in.scans = upload->scans;
    upload->op.check_in.results = upload->results;
    upload->op.check_in.len = len;
    store_submit(rig->store, &upload->op);
}

static void wait_for_all(int count) {
    const struct timespec pause = {.tv_nsec = 1000000};
    while (atomic_load(&completed) < count) {
        nanosleep(&pause, NULL);
    }
}

static void check(struct upload *upload, size_t len) {
    assert_int_equal(upload->op.err, ERR_OK);
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(upload->results[i].err, ERR_OK);
    }
    store_op_fini(&upload->op);
}

static void a_scan_at_a_door_passes_what_is_uploaded(void **state) {
    struct rig *rig = *state;
    sqlite3 *holder;
    rig_person(rig, "e", "t", "Somebody", "");
    assert_int_equal(sqlite3_open(rig->path, &holder), SQLITE_OK);
    sqlite3_busy_timeout(holder, BUSY_MS);
    assert_int_equal(sqlite3_exec(holder, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    submit(rig, &first, 1); /* the writer waits for the file with it */
    for (int i = 0; i < UPLOADS; i++) {
        submit(rig, &uploads[i], LINES);
    }
    submit(rig, &door, 1);
    assert_int_equal(sqlite3_exec(holder, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(holder);
    wait_for_all(UPLOADS + 2);
    check(&first, 1);
    check(&door, 1);
    for (int i = 0; i < UPLOADS; i++) {
        check(&uploads[i], LINES);
        assert_true(i == 0 || uploads[i].place > uploads[i - 1].place); /* a lane keeps its order */
    }
    /* One group of uploads may have its turn before: 256 scans and what makes it full. */
    assert_true(door.place < uploads[2].place);
    struct event_stats stats = rig_stats(rig, "e");
    assert_int_equal(stats.scans, UPLOADS * LINES + 2);
    assert_int_equal(stats.inside, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_scan_at_a_door_passes_what_is_uploaded, rig_setup,
                                        rig_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
