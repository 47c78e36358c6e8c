/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: of a page of a tree the part that is allocated to nothing is zeros, and all else stays. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "store/sqlite_priv.h"

#include <string.h>

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_is_allocated_to_nothing_becomes_zeros),
        cmocka_unit_test(what_is_no_page_of_a_tree_or_damaged_stays_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
