/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: everybody sees the newest orders that could be read, as a whole, and goes on to see them
 * while the store fails. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "act/order_book.h"
#include "base/log.h"

#include <stdatomic.h>
#include <unistd.h>

static atomic_bool is_stopped;
static atomic_int lists;
static _Atomic enum err_e list_err;
static struct order_book *book;
/* While a list runs, another look may overtake it. */
static void (*within_list)(void);

static enum err_e list(void *data, struct arena *arena, struct order_row **ret_rows,
                       size_t *ret_len) {
    (void)data;
    *ret_rows = arena_alloc(arena, sizeof **ret_rows);
    *ret_len = atomic_load(&is_stopped);
    **ret_rows = (struct order_row){SLICE_LIT("acting"), SLICE_LIT("{}"), SLICE_LIT("kim"), 1,
                                    TIME_NONE};
    void (*hook)(void) = within_list;
    within_list = NULL;
    if (hook != NULL) {
        hook();
    }
    atomic_fetch_add(&lists, 1);
    return atomic_load(&list_err);
}

static void ignore_line(const char *line, size_t len, void *data) {
    (void)line;
    (void)len;
    (void)data;
}

static int make(void **state) {
    (void)state;
    log_set_sink(ignore_line, NULL);
    atomic_store(&is_stopped, false);
    atomic_store(&list_err, ERR_OK);
    atomic_store(&lists, 0);
    book = order_book_create(&(struct order_book_options){.list = list});
    assert_non_null(book);
    return 0;
}

static int drop(void **state) {
    (void)state;
    order_book_stop(book);
    order_book_destroy(book);
    return 0;
}

/* 1: stopped, 0: not, -1: nothing was read. */
static int seen(void) {
    struct order_page *page = order_book_see(book);
    int result = page == NULL ? -1 : page->orders.is_stopped;
    order_page_unref(page);
    return result;
}

static void nothing_is_seen_before_it_was_read(void **state) {
    (void)state;
    assert_int_equal(seen(), -1);
    atomic_store(&list_err, ERR_UNAVAILABLE);
    assert_int_equal(order_book_look(book), ERR_UNAVAILABLE);
    assert_int_equal(seen(), -1);
}

static void a_look_shows_what_stands(void **state) {
    (void)state;
    assert_int_equal(order_book_look(book), ERR_OK);
    assert_int_equal(seen(), 0);
    atomic_store(&is_stopped, true);
    assert_int_equal(seen(), 0);
    assert_int_equal(order_book_look(book), ERR_OK);
    assert_int_equal(seen(), 1);
}

static void a_store_that_fails_takes_nothing_back(void **state) {
    (void)state;
    atomic_store(&is_stopped, true);
    assert_int_equal(order_book_look(book), ERR_OK);
    atomic_store(&is_stopped, false);
    atomic_store(&list_err, ERR_UNAVAILABLE);
    assert_int_equal(order_book_look(book), ERR_UNAVAILABLE);
    assert_int_equal(seen(), 1);
}

static void a_page_outlives_its_successor(void **state) {
    (void)state;
    atomic_store(&is_stopped, true);
    assert_int_equal(order_book_look(book), ERR_OK);
    struct order_page *page = order_book_see(book);
    atomic_store(&is_stopped, false);
    assert_int_equal(order_book_look(book), ERR_OK);
    assert_true(slice_eq_text(page->orders.stop.author, "kim"));
    order_page_unref(page);
    assert_int_equal(seen(), 0);
}

static void overtake(void) {
    atomic_store(&is_stopped, true);
    assert_int_equal(order_book_look(book), ERR_OK);
}

static void a_look_that_was_overtaken_shows_nothing_older(void **state) {
    (void)state;
    within_list = overtake;
    assert_int_equal(order_book_look(book), ERR_OK); /* read before the stop, ends after it */
    assert_int_equal(seen(), 1);
}

static void the_thread_reads_when_it_is_woken(void **state) {
    (void)state;
    assert_int_equal(order_book_start(book), ERR_OK);
    while (seen() != 0) {
        usleep(1000);
    }
    atomic_store(&is_stopped, true);
    order_book_wake(book);
    while (seen() != 1) {
        usleep(1000);
    }
    order_book_stop(book);
    order_book_wake(book); /* nobody is there to be woken */
    order_book_wake(NULL);
}

int main(void) {
#define EACH(test) cmocka_unit_test_setup_teardown(test, make, drop)
    const struct CMUnitTest tests[] = {
        EACH(nothing_is_seen_before_it_was_read),
        EACH(a_look_shows_what_stands),
        EACH(a_store_that_fails_takes_nothing_back),
        EACH(a_page_outlives_its_successor),
        EACH(a_look_that_was_overtaken_shows_nothing_older),
        EACH(the_thread_reads_when_it_is_woken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
