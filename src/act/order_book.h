/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The orders that stand, as this process read them last: at most a second and a look ago. When the
 * store cannot be read, what is known goes on to stand; what has an end ends by itself.
 *
 * Nobody acts before the orders were read once: an order to stop may be among them.
 * Thread: create, start, stop and destroy from main; the rest from any.
 */
#ifndef TURNOUT_ACT_ORDER_BOOK_H
#define TURNOUT_ACT_ORDER_BOOK_H

#include "control/orders.h"

enum { ORDERS_EVERY_MS = 1000 };

struct order_book_options {
    /* The rows that stand now; they live in the arena. */
    MAY_BLOCK enum err_e (*list)(void *data, struct arena *arena, struct order_row **ret_rows,
                                 size_t *ret_len);
    void (*on_read)(void *data, const struct orders *orders); /* of each look that was read; any
        thread; NULL: nobody hears */
    void *data;
};

struct order_book;
struct order_book *order_book_create(const struct order_book_options *options); /* NULL: memory */
void order_book_destroy(struct order_book *book);             /* stopped; NULL: nothing */
enum err_e order_book_start(struct order_book *book) MUST_CHECK;
MAY_BLOCK void order_book_stop(struct order_book *book);      /* NULL: nothing */

/* Reads them now: for whoever is about to do something. An error: what was known stands. */
MAY_BLOCK enum err_e order_book_look(struct order_book *book) MUST_CHECK;
/* Somebody changed them: the thread reads them soon. NULL: nothing. */
void order_book_wake(struct order_book *book);

/* Analytics are refused until then, by the wall clock; 0: they are not. Cheap enough for every
 * request. */
int64_t order_book_shed_until(const struct order_book *book);

/* What was read last; shared and never changed. */
struct order_page {
    _Atomic int refs;
    struct arena arena;
    struct orders orders;
};
/* With a reference; NULL: nothing was read yet. */
struct order_page *order_book_see(struct order_book *book);
void order_page_unref(struct order_page *page); /* NULL: nothing */

#endif
