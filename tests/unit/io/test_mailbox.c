/* SPDX-License-Identifier: Apache-2.0 */
/* The bounded queue between threads. */
#include "io/mailbox.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>

static void a_full_box_refuses_and_the_message_stays_the_callers(void **state) {
    (void)state;
    struct mailbox box;
    mailbox_init(&box, 2, NULL, NULL);
    struct message a, b, c;
    assert_true(mailbox_post(&box, &a));
    assert_true(mailbox_post(&box, &b));
    assert_false(mailbox_post(&box, &c));
    assert_int_equal(mailbox_count(&box), 2);
    assert_ptr_equal(mailbox_take(&box), &a);
    assert_ptr_equal(a.next, &b);
    assert_null(b.next);
    assert_true(mailbox_post(&box, &c));
    assert_ptr_equal(mailbox_take(&box), &c);
    mailbox_fini(&box);
}

static void a_closed_box_refuses_and_still_gives_what_waits(void **state) {
    (void)state;
    struct mailbox box;
    mailbox_init(&box, SIZE_MAX, NULL, NULL);
    struct message a, b;
    assert_true(mailbox_post(&box, &a));
    mailbox_close(&box);
    assert_true(mailbox_is_closed(&box));
    assert_false(mailbox_post(&box, &b));
    assert_ptr_equal(mailbox_wait(&box, 60000), &a);
    assert_null(mailbox_wait(&box, 60000)); /* closed and empty: no wait */
    mailbox_fini(&box);
}

static void an_empty_box_gives_nothing_when_the_time_is_up(void **state) {
    (void)state;
    struct mailbox box;
    mailbox_init(&box, SIZE_MAX, NULL, NULL);
    assert_null(mailbox_take(&box));
    assert_null(mailbox_wait(&box, 0));
    assert_null(mailbox_wait(&box, 1));
    mailbox_fini(&box);
}

static void some_are_taken_from_the_front_and_the_rest_stays(void **state) {
    (void)state;
    struct mailbox box;
    mailbox_init(&box, 3, NULL, NULL);
    struct message a, b, c, d;
    assert_null(mailbox_wait_some(&box, 2, 1));
    assert_true(mailbox_post(&box, &a) && mailbox_post(&box, &b) && mailbox_post(&box, &c));
    assert_ptr_equal(mailbox_wait_some(&box, 2, 60000), &a);
    assert_ptr_equal(a.next, &b);
    assert_null(b.next);
    assert_int_equal(mailbox_count(&box), 1);
    assert_true(mailbox_post(&box, &d));
    assert_ptr_equal(mailbox_wait_some(&box, 9, 60000), &c);
    assert_ptr_equal(c.next, &d);
    assert_null(d.next);
    assert_true(mailbox_post(&box, &a)); /* behind a box that was emptied */
    assert_ptr_equal(mailbox_wait_one(&box, 60000), &a);
    mailbox_fini(&box);
}

struct wanted {
    struct message message;
    bool is_wanted;
};

static bool is_wanted(const struct message *message, void *data) {
    ++*(int *)data;
    return ((const struct wanted *)message)->is_wanted;
}

/* Every pattern of five messages. */
static void what_is_wanted_is_taken_and_the_rest_keeps_its_order(void **state) {
    (void)state;
    enum { COUNT = 5 };
    for (unsigned pattern = 0; pattern < 1u << COUNT; pattern++) {
        struct mailbox box;
        struct wanted items[COUNT], late;
        int asked = 0;
        mailbox_init(&box, SIZE_MAX, NULL, NULL);
        for (int i = 0; i < COUNT; i++) {
            items[i].is_wanted = (pattern >> i & 1) != 0;
            assert_true(mailbox_post(&box, &items[i].message));
        }
        struct message *taken = mailbox_take_if(&box, is_wanted, &asked);
        assert_int_equal(asked, COUNT);
        assert_true(mailbox_post(&box, &late.message));
        struct message *rest = mailbox_take(&box);
        for (int i = 0; i < COUNT; i++) {
            struct message **list = items[i].is_wanted ? &taken : &rest;
            assert_ptr_equal(*list, &items[i].message);
            *list = (*list)->next;
        }
        assert_null(taken);
        assert_ptr_equal(rest, &late.message);
        assert_null(rest->next);
        mailbox_fini(&box);
    }
}

static void count_wake(void *data) {
    ++*(int *)data;
}

static void the_reader_is_woken_once_for_all_that_wait(void **state) {
    (void)state;
    int wakes = 0;
    struct mailbox box;
    mailbox_init(&box, SIZE_MAX, count_wake, &wakes);
    struct message a, b;
    assert_true(mailbox_post(&box, &a));
    assert_true(mailbox_post(&box, &b));
    assert_int_equal(wakes, 1);
    mailbox_take(&box);
    assert_true(mailbox_post(&box, &a));
    assert_int_equal(wakes, 2);
    mailbox_close(&box);
    assert_int_equal(wakes, 3);
    mailbox_take(&box);
    mailbox_fini(&box);
}

static void *read_until_closed(void *data) {
    struct mailbox *box = data;
    intptr_t read = 0;
    for (;;) {
        struct message *next = mailbox_wait(box, 60000);
        if (next == NULL) {
            return (void *)read;
        }
        for (; next != NULL; next = next->next) {
            read++;
        }
    }
}

static void closing_wakes_a_reader_that_waits(void **state) {
    (void)state;
    struct mailbox box;
    mailbox_init(&box, SIZE_MAX, NULL, NULL);
    pthread_t reader;
    assert_int_equal(pthread_create(&reader, NULL, read_until_closed, &box), 0);
    static struct message many[1000];
    for (int i = 0; i < 1000; i++) {
        assert_true(mailbox_post(&box, &many[i]));
    }
    mailbox_close(&box);
    void *read;
    pthread_join(reader, &read);
    assert_int_equal((intptr_t)read, 1000);
    mailbox_fini(&box);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_box_refuses_and_the_message_stays_the_callers),
        cmocka_unit_test(a_closed_box_refuses_and_still_gives_what_waits),
        cmocka_unit_test(an_empty_box_gives_nothing_when_the_time_is_up),
        cmocka_unit_test(some_are_taken_from_the_front_and_the_rest_stays),
        cmocka_unit_test(what_is_wanted_is_taken_and_the_rest_keeps_its_order),
        cmocka_unit_test(the_reader_is_woken_once_for_all_that_wait),
        cmocka_unit_test(closing_wakes_a_reader_that_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
