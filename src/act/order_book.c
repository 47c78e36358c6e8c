/* SPDX-License-Identifier: Apache-2.0 */
/* A page that is replaced as a whole. */
#include "act/order_book.h"

#include "base/assert.h"
#include "base/log.h"
#include "io/pacer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { PAGE_MEMORY_MAX = 16 << 20 }; /* 1000 orders of some KiB, and what they parse to */

struct order_book {
    struct order_book_options options;
    struct pacer *pacer; /* NULL: it does not run */
    _Atomic int64_t shed_until_ms;

    pthread_mutex_t lock; /* of what follows */
    struct order_page *page;
    uint64_t begun, shown; /* looks, by number: an older one never replaces a newer */
    bool was_failing;
};

struct order_book *order_book_create(const struct order_book_options *options) {
    struct order_book *book = calloc(1, sizeof *book);
    if (book != NULL) {
        book->options = *options;
        ASSERT(pthread_mutex_init(&book->lock, NULL) == 0);
    }
    return book;
}

void order_page_unref(struct order_page *page) {
    if (page != NULL && atomic_fetch_sub_explicit(&page->refs, 1, memory_order_acq_rel) == 1) {
        arena_fini(&page->arena);
        free(page);
    }
}

void order_book_destroy(struct order_book *book) {
    if (book == NULL) {
        return;
    }
    ASSERT(book->pacer == NULL);
    order_page_unref(book->page);
    pthread_mutex_destroy(&book->lock);
    free(book);
}

struct order_page *order_book_see(struct order_book *book) {
    pthread_mutex_lock(&book->lock);
    struct order_page *page = book->page;
    if (page != NULL) {
        atomic_fetch_add_explicit(&page->refs, 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&book->lock);
    return page;
}

int64_t order_book_shed_until(const struct order_book *book) {
    return atomic_load_explicit(&book->shed_until_ms, memory_order_relaxed);
}

static struct order_page *new_page(void) {
    struct order_page *page = calloc(1, sizeof *page);
    if (page != NULL) {
        atomic_init(&page->refs, 1);
        arena_init(&page->arena, PAGE_MEMORY_MAX);
    }
    return page;
}

static void log_change(const struct order_page *before, const struct orders *now) {
    bool was_stopped = before != NULL && before->orders.is_stopped;
    if (now->is_stopped && !was_stopped) {
        log_event(LOG_WARN, "acting_stopped", "by=\"%.*s\"", SLICE_ARG(now->stop.author));
    } else if (was_stopped && !now->is_stopped) {
        log_event(LOG_INFO, "acting_resumed", "was_by=\"%.*s\"",
                  SLICE_ARG(before->orders.stop.author));
    }
    bool was_shedding = before != NULL && before->orders.is_shedding;
    if (now->is_shedding && !was_shedding) {
        log_event(LOG_WARN, "load_shed", "rule=%.*s", SLICE_ARG(now->shed_rule));
    } else if (was_shedding && !now->is_shedding) {
        log_event(LOG_INFO, "load_shed_ended", "rule=%.*s", SLICE_ARG(before->orders.shed_rule));
    }
}

static void publish(struct order_book *book, struct order_page *page, uint64_t number) {
    pthread_mutex_lock(&book->lock);
    bool is_newer = number > book->shown;
    struct order_page *before = is_newer ? book->page : page;
    if (is_newer) {
        log_change(before, &page->orders);
        book->page = page;
        book->shown = number;
        atomic_store_explicit(&book->shed_until_ms,
                              page->orders.is_shedding ? page->orders.shed.until_ms : 0,
                              memory_order_relaxed);
    }
    book->was_failing = false;
    pthread_mutex_unlock(&book->lock);
    order_page_unref(before);
}

static void note_failure(struct order_book *book, enum err_e err) {
    pthread_mutex_lock(&book->lock);
    bool is_news = !book->was_failing;
    book->was_failing = true;
    pthread_mutex_unlock(&book->lock);
    if (is_news) {
        log_event(LOG_WARN, "orders_not_read", "err=%s", err_code(err));
    }
}

MAY_BLOCK static enum err_e read_page(struct order_book *book, struct order_page *page) {
    struct order_row *rows;
    size_t len;
    struct arena scratch;
    arena_init(&scratch, PAGE_MEMORY_MAX);
    enum err_e err = book->options.list(book->options.data, &scratch, &rows, &len);
    if (err == ERR_OK) {
        err = orders_read(&page->arena, rows, len, &page->orders);
    }
    arena_fini(&scratch);
    return err;
}

MAY_BLOCK enum err_e order_book_look(struct order_book *book) {
    pthread_mutex_lock(&book->lock);
    uint64_t number = ++book->begun;
    pthread_mutex_unlock(&book->lock);
    struct order_page *page = new_page();
    enum err_e err = page == NULL ? ERR_NO_MEMORY : read_page(book, page);
    if (err == ERR_OK) {
        if (book->options.on_read != NULL) {
            book->options.on_read(book->options.data, &page->orders);
        }
        publish(book, page, number);
    } else {
        order_page_unref(page);
        note_failure(book, err);
    }
    return err;
}

/* ---- the thread ---- */

MAY_BLOCK static void turn(void *book) {
    enum err_e ignored = order_book_look(book); /* told in the log */
    (void)ignored;
}

enum err_e order_book_start(struct order_book *book) {
    book->pacer = pacer_start(&(struct pacer_options){
        .name = "orders", .every_ms = ORDERS_EVERY_MS, .turn = turn, .data = book});
    return book->pacer == NULL ? ERR_NO_MEMORY : ERR_OK;
}

void order_book_wake(struct order_book *book) {
    if (book != NULL && book->pacer != NULL) {
        pacer_wake(book->pacer);
    }
}

MAY_BLOCK void order_book_stop(struct order_book *book) {
    if (book != NULL && book->pacer != NULL) {
        pacer_stop(book->pacer);
        book->pacer = NULL;
    }
}
