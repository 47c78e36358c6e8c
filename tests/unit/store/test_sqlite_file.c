/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: of a page of a tree the part that is allocated to nothing is zeros, and all else stays. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "store/sqlite_priv.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SIZE = 4096, JUNK = 0x5a };

struct row {
    unsigned char type;
    unsigned cells, content; /* content 0 stands for 65536 */
    bool is_first;
    size_t begin, end; /* of what becomes zeros; both 0: nothing */
};

static void put_head(unsigned char *head, const struct row *row) {
    head[0] = row->type;
    head[3] = (unsigned char)(row->cells >> 8);
    head[4] = (unsigned char)row->cells;
    head[5] = (unsigned char)(row->content >> 8);
    head[6] = (unsigned char)row->content;
}

static void check_page(const struct row *row, const char *what, size_t number) {
    static unsigned char before[SIZE], after[SIZE];
    memset(before, JUNK, SIZE);
    put_head(before + (row->is_first ? 100 : 0), row);
    memcpy(after, before, SIZE);
    sqlite_page_clean(after, SIZE, row->is_first);
    for (size_t i = 0; i < SIZE; i++) {
        bool is_unused = i >= row->begin && i < row->end;
        if (after[i] != (is_unused ? 0 : before[i])) {
            fail_msg("%s %zu: byte %zu is %d", what, number, i, after[i]);
        }
    }
}

static void only_what_is_allocated_to_nothing_becomes_zeros(void **state) {
    (void)state;
    static const struct row rows[] = {
        {13, 3, 4000, false, 14, 4000},   {10, 1, 2000, false, 10, 2000},
        {5, 2, 3000, false, 16, 3000},    {2, 2, 3000, false, 16, 3000},
        {13, 0, 4096, false, 8, 4096},    {13, 3, 4000, true, 114, 4000},
        {10, 100, 208, false, 0, 0},      /* full */
        {10, 100, 209, false, 208, 209},  /* but for a byte */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_page(&rows[i], "row", i);
    }
}

static void what_is_no_page_of_a_tree_or_damaged_stays_as_it_is(void **state) {
    (void)state;
    static const struct row rows[] = {
        {0, 3, 4000, false, 0, 0},    {1, 3, 4000, false, 0, 0},   {3, 3, 4000, false, 0, 0},
        {14, 3, 4000, false, 0, 0},   {255, 3, 4000, false, 0, 0},
        {13, 3, 4097, false, 0, 0},   {13, 3, 0, false, 0, 0}, /* behind the page */
        {13, 3, 10, false, 0, 0},     {13, 65535, 4000, false, 0, 0}, /* pointers over content */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_page(&rows[i], "row", i);
    }
}

static void run(sqlite3 *db, const char *sql) {
    char *problem = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &problem) != SQLITE_OK) {
        fail_msg("%s: %s", sql, problem);
    }
}

static sqlite3 *open_file(const char *path) {
    sqlite3 *db;
    assert_int_equal(sqlite_file_open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &db),
                     SQLITE_OK);
    return db;
}

static void assert_whole(sqlite3 *db) {
    sqlite3_stmt *stmt;
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(stmt, 0), "ok");
    sqlite3_finalize(stmt);
}

/* Somebody let it: such a file has pages of pointers that begin like those of a tree. */
static void a_file_that_shrinks_by_itself_is_left_as_it_is(void **state) {
    (void)state;
    char path[] = "/tmp/turnout-sqlite-file-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    sqlite3 *db = open_file(path);
    run(db, "PRAGMA auto_vacuum = FULL; CREATE TABLE t (id INTEGER PRIMARY KEY, b BLOB);"
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)"
            " INSERT INTO t SELECT i, randomblob(2500) FROM n");
    assert_whole(db);
    sqlite3_close(db);
    db = open_file(path); /* now it is known before the first page is written */
    run(db, "UPDATE t SET b = randomblob(2500); DELETE FROM t WHERE id % 3 = 0");
    assert_whole(db);
    sqlite3_close(db);
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_is_allocated_to_nothing_becomes_zeros),
        cmocka_unit_test(what_is_no_page_of_a_tree_or_damaged_stays_as_it_is),
        cmocka_unit_test(a_file_that_shrinks_by_itself_is_left_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
