/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: whichever allocation fails, the SQLite store opens or says why not, a scan or an import is
 * done once or not at all, what was answered stands, and the store goes on when there is memory
 * again.
 */
#include "memory.h"

#include "store/store.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PEOPLE_MAX = 4000, ROWS = 3 };

static char folder[64];
static char path[128];
static struct store *store;
static const enum memory_fault_e faults[] = {MEMORY_ONCE, MEMORY_FROM_THEN_ON};

static enum err_e open_store(struct problem *problem) {
    const struct sqlite_options options = {.path = path,
                                           .clock = clock_system(),
                                           .rng = rng_system(),
                                           .queue_max = 64,
                                           .group_max = 64,
                                           .readers = 1};
    return sqlite_open(&options, &store, problem);
}

static void must_open(void) {
    struct problem problem = {.detail = ""};
    enum err_e err = open_store(&problem);
    if (err != ERR_OK) {
        fail_msg("open: %s: %s", err_code(err), problem.detail);
    }
}

static void remove_files(void) {
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        char name[sizeof path + 16];
        snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        unlink(name);
    }
}

static int make_folder(void **state) {
    (void)state;
    /* Thousands of files are made, and nothing here is about the disk. */
    const char *parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(folder, sizeof folder, "%s/turnout-memory-XXXXXX", parent);
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/store.db", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    remove_files();
    return rmdir(folder);
}

/* ── operations ── */

static void must(struct store_op *op) {
    enum err_e err = store_run(store, op);
    if (err != ERR_OK) {
        fail_msg("%s: %s: %s", store_op_text(op->kind), err_code(err), op->problem.detail);
    }
    store_op_fini(op);
}

static void make_event(void) {
    struct store_op op;
    store_op_init(&op, STORE_CREATE_EVENT);
    op.event_write.values = (struct event){.code = SLICE_LIT("e"),
                                           .name = SLICE_LIT("E"),
                                           .timezone = SLICE_LIT("UTC"),
                                           .starts_at_ms = TIME_NONE,
                                           .ends_at_ms = TIME_NONE,
                                           .capacity = CAPACITY_NONE};
    must(&op);
    store_op_init(&op, STORE_CREATE_GATE);
    op.event = SLICE_LIT("e");
    op.gate_write.values = (struct gate){.code = SLICE_LIT("g1"), .name = SLICE_LIT("G1")};
    must(&op);
}

/* `first`, first + 1, …: t1, t2, … */
static enum err_e import(uint64_t first, size_t len) {
    static struct import_row rows[STORE_ROWS_MAX];
    static char tokens[STORE_ROWS_MAX][24];
    struct store_op op;
    for (size_t i = 0; i < len; i++) {
        snprintf(tokens[i], sizeof tokens[i], "t%llu", (unsigned long long)(first + i));
        rows[i] = (struct import_row){.fields = PARTICIPANT_TOKEN | PARTICIPANT_NAME};
        rows[i].values = (struct participant){.token = slice_of(tokens[i]),
                                              .name = SLICE_LIT("Ann Smith"),
                                              .valid_from_ms = TIME_NONE,
                                              .valid_until_ms = TIME_NONE};
    }
    store_op_init(&op, STORE_IMPORT_PARTICIPANTS);
    op.event = SLICE_LIT("e");
    op.import.rows = rows;
    op.import.len = len;
    enum err_e err = store_run(store, &op);
    store_op_fini(&op);
    return err;
}

/* A scan of t<n> with the nonce "<kind><n>"; texts of the result are gone. */
static enum err_e scan(char kind, uint64_t n, struct scan_result *ret_result) {
    char token[24], nonce[24];
    snprintf(token, sizeof token, "t%llu", (unsigned long long)n);
    snprintf(nonce, sizeof nonce, "%c%llu", kind, (unsigned long long)n);
    const struct scan scan = {.token = slice_of(token),
                              .gate = SLICE_LIT("g1"),
                              .nonce = slice_of(nonce),
                              .scanned_at_ms = TIME_NONE};
    struct store_op op;
    store_op_init(&op, STORE_CHECK_IN);
    op.event = SLICE_LIT("e");
    op.check_in.scans = &scan;
    op.check_in.results = ret_result;
    op.check_in.len = 1;
    enum err_e err = store_run(store, &op);
    err = err == ERR_OK ? ret_result->err : err;
    store_op_fini(&op);
    return err;
}

static struct event_stats stats(void) {
    struct store_op op;
    store_op_init(&op, STORE_READ_STATS);
    op.event = SLICE_LIT("e");
    assert_int_equal(store_run(store, &op), ERR_OK);
    struct event_stats seen = op.stats;
    store_op_fini(&op);
    return seen;
}

/* ── opening ── */

static void a_file_is_made_or_left_so_that_it_can_be(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        memory_begin_story(10);
        for (uint64_t n = 1; memory_more(); n = memory_next(n)) {
            struct problem problem = {.detail = ""};
            memory_fail(n, faults[i]);
            enum err_e err = open_store(&problem);
            if (err == ERR_OK) {
                store_close(store);
            }
            bool failed = memory_end();
            if (err != ERR_OK && err != ERR_NO_MEMORY) {
                fail_msg("allocation %d: %s: %s", (int)n, err_code(err), problem.detail);
            }
            assert_true(failed || err == ERR_OK);
            must_open();
            make_event();
            store_close(store);
            remove_files();
        }
    }
}

/* ── scans ── */

struct answers {
    enum err_e errs[3];
    struct scan_result results[3];
};

/* The first scan, the same again, and another of the same person. */
static void scan_thrice(uint64_t n, struct answers *ret_answers) {
    static const char kinds[] = "aab";
    for (int i = 0; i < 3; i++) {
        ret_answers->errs[i] = scan(kinds[i], n, &ret_answers->results[i]);
    }
}

static void check_scans(const struct answers *under, const struct answers *after) {
    assert_int_equal(after->errs[0], ERR_OK);
    assert_int_equal(after->errs[2], ERR_OK);
    assert_int_equal(after->results[0].verdict, VERDICT_ADMITTED);
    assert_int_equal(after->results[2].reason, REASON_ALREADY_USED);
    for (int i = 0; i < 3; i++) {
        assert_true(under->errs[i] == ERR_OK || err_status(under->errs[i]) == 503);
        if (under->errs[i] == ERR_OK) {
            assert_true(after->results[i].replayed);
            assert_int_equal(after->results[i].record_id, under->results[i].record_id);
            assert_int_equal(after->results[i].verdict, under->results[i].verdict);
        }
    }
}

static void a_scan_is_recorded_once_or_told_to_be_not(void **state) {
    (void)state;
    uint64_t person = 0;
    must_open();
    make_event();
    for (uint64_t first = 1; first < PEOPLE_MAX; first += STORE_ROWS_MAX) {
        assert_int_equal(import(first, STORE_ROWS_MAX), ERR_OK);
    }
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        memory_begin_story(10);
        for (uint64_t n = 1; memory_more(); n = memory_next(n)) {
            struct answers under, after;
            assert_true(++person < PEOPLE_MAX);
            store_close(store);
            must_open(); /* nothing is prepared or remembered */
            memory_fail(n, faults[i]);
            scan_thrice(person, &under);
            bool failed = memory_end();
            /* Whoever came in under another nonce, as the first was not recorded, is known. */
            if (under.errs[0] != ERR_OK && under.errs[2] == ERR_OK) {
                continue;
            }
            assert_true(failed || (under.errs[0] == ERR_OK && under.errs[2] == ERR_OK));
            scan_thrice(person, &after);
            check_scans(&under, &after);
        }
    }
    struct event_stats seen = stats();
    assert_int_equal(seen.inside, (int64_t)person);
    assert_int_equal(seen.admitted, (int64_t)person);
    store_close(store);
    remove_files();
}

/* ── reads ── */

static enum err_e look_for(uint64_t n, bool *ret_found) {
    char token[24];
    struct store_op op;
    snprintf(token, sizeof token, "t%llu", (unsigned long long)n);
    store_op_init(&op, STORE_LIST_PARTICIPANTS);
    op.event = SLICE_LIT("e");
    op.participants.token = slice_of(token);
    op.participants.limit = 10;
    enum err_e err = store_run(store, &op);
    *ret_found = err == ERR_OK && op.participants.len == 1;
    store_op_fini(&op);
    return err;
}

static void a_read_is_right_or_refused_and_the_next_one_works(void **state) {
    (void)state;
    bool found;
    must_open();
    make_event();
    assert_int_equal(import(1, ROWS), ERR_OK);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        memory_begin_story(2);
        for (uint64_t n = 1; memory_more(); n = memory_next(n)) {
            store_close(store);
            must_open();
            memory_fail(n, faults[i]);
            enum err_e err = look_for(2, &found);
            (void)memory_end();
            assert_true(err == ERR_OK ? found : err_status(err) == 503);
            assert_int_equal(look_for(2, &found), ERR_OK);
            assert_true(found);
            assert_int_equal(stats().participants, ROWS);
        }
    }
    store_close(store);
    remove_files();
}

/* ── imports ── */

static int64_t people(void) {
    return stats().participants;
}

static void an_import_is_done_whole_or_not_at_all(void **state) {
    (void)state;
    uint64_t first = 1;
    must_open();
    make_event();
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        memory_begin_story(10);
        for (uint64_t n = 1; memory_more(); n = memory_next(n), first += ROWS) {
            store_close(store);
            must_open();
            int64_t before = people();
            memory_fail(n, faults[i]);
            enum err_e err = import(first, ROWS);
            (void)memory_end();
            assert_true(err == ERR_OK || err_status(err) == 503);
            assert_int_equal(people(), before + (err == ERR_OK ? ROWS : 0));
            assert_int_equal(import(first, ROWS), ERR_OK); /* again, whatever came of it */
            assert_int_equal(people(), before + ROWS);
        }
    }
    store_close(store);
    remove_files();
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        CASE(a_file_is_made_or_left_so_that_it_can_be),
        CASE(a_scan_is_recorded_once_or_told_to_be_not),
        CASE(a_read_is_right_or_refused_and_the_next_one_works),
        CASE(an_import_is_done_whole_or_not_at_all),
    };
    memory_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
