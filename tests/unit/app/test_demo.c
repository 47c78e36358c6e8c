/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the demo is whole, made once, and goes on where it was stopped. */
#include "app/demo.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

static int compare_texts(const void *a, const void *b) {
    return strcmp(a, b);
}

static void every_person_is_valid_and_has_an_address_of_their_own(void **state) {
    (void)state;
    static char emails[DEMO_PARTICIPANTS][DEMO_EMAIL_SIZE];
    for (int i = 0; i < DEMO_PARTICIPANTS; i++) {
        struct demo_person person;
        demo_person(i + 1, &person);
        assert_true(token_is_valid(slice_of(person.token)));
        assert_true(person.name[0] != '\0');
        assert_true(text_is_valid(slice_of(person.name), NAME_MAX_CHARS));
        memcpy(emails[i], person.email, DEMO_EMAIL_SIZE);
    }
    qsort(emails, DEMO_PARTICIPANTS, DEMO_EMAIL_SIZE, compare_texts);
    for (int i = 1; i < DEMO_PARTICIPANTS; i++) {
        assert_string_not_equal(emails[i - 1], emails[i]);
    }
}

static void number_names_the_same_person_every_time(void **state) {
    (void)state;
    struct demo_person one, again;
    demo_person(DEMO_PARTICIPANTS, &one);
    demo_person(DEMO_PARTICIPANTS, &again);
    assert_string_equal(one.token, "demo-050000");
    assert_string_equal(one.name, again.name);
    assert_string_equal(one.email, again.email);
}

static void names_come_in_several_scripts(void **state) {
    (void)state;
    /* The first byte of the UTF-8 of a script's letters tells it well enough here. */
    int hangul = 0, latin = 0, arabic = 0, cyrillic = 0;
    for (int i = 1; i <= 1000; i++) {
        struct demo_person person;
        demo_person(i, &person);
        unsigned char first = (unsigned char)person.name[0];
        hangul += first >= 0xea && first <= 0xed;
        latin += first < 0x80;
        arabic += first == 0xd8 || first == 0xd9;
        cyrillic += first == 0xd0 || first == 0xd1;
    }
    assert_true(hangul > 100 && latin > 200 && arabic > 10 && cyrillic > 10);
}

struct fixture {
    char folder[32];
    char path[64];
    struct store *store;
    struct demo_options options;
    int groups_left; /* until should_stop says so */
};

static bool should_stop(void *data) {
    struct fixture *f = data;
    return f->groups_left-- == 0;
}

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    snprintf(f->folder, sizeof f->folder, "/tmp/turnout-demo-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->path, sizeof f->path, "%s/t.db", f->folder);
    struct sqlite_options options = {.path = f->path,
                                     .clock = clock_system(),
                                     .rng = rng_system(),
                                     .queue_max = 64,
                                     .group_max = 1024,
                                     .readers = 1};
    struct problem problem;
    assert_int_equal(sqlite_open(&options, &f->store, &problem), ERR_OK);
    f->options = (struct demo_options){
        .store = f->store, .clock = clock_system(), .should_stop = should_stop, .data = f};
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    store_close(f->store);
    unlink(f->path);
    rmdir(f->folder);
    free(f);
    return 0;
}

static int64_t participants_of(struct fixture *f) {
    struct store_op op;
    store_op_init(&op, STORE_READ_STATS);
    op.event = SLICE_LIT("demo");
    assert_int_equal(store_run(f->store, &op), ERR_OK);
    assert_int_equal(op.stats.gates_len, DEMO_GATES);
    int64_t participants = op.stats.participants;
    store_op_fini(&op);
    return participants;
}

static void stopped_demo_goes_on_and_a_whole_one_is_left_alone(void **state) {
    struct fixture *f = *state;
    struct demo_counts counts;
    struct problem problem;
    f->groups_left = 3;
    assert_int_equal(demo_make(&f->options, &counts, &problem), ERR_DRAINING);
    assert_int_equal(counts.gates, DEMO_GATES);
    assert_int_equal(counts.participants, 3 * DEMO_GROUP);
    assert_int_equal(participants_of(f), 3 * DEMO_GROUP);

    f->groups_left = -1;
    assert_int_equal(demo_make(&f->options, &counts, &problem), ERR_OK);
    assert_int_equal(counts.gates, 0);
    assert_int_equal(counts.participants, DEMO_PARTICIPANTS - 3 * DEMO_GROUP);

    f->groups_left = -1;
    assert_int_equal(demo_make(&f->options, &counts, &problem), ERR_OK);
    assert_int_equal(counts.participants, 0);
    assert_int_equal(participants_of(f), DEMO_PARTICIPANTS);
}

static void failing_store_is_told(void **state) {
    struct fixture *f = *state;
    struct store *fault = fault_create(f->store);
    assert_non_null(fault);
    f->options.store = fault;
    f->groups_left = -1;
    fault_set_plan(fault, &(struct fault_plan){.fail_nth = 50, .err = ERR_NO_SPACE});
    struct demo_counts counts;
    struct problem problem;
    assert_int_equal(demo_make(&f->options, &counts, &problem), ERR_NO_SPACE);
    store_close(fault);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_person_is_valid_and_has_an_address_of_their_own),
        cmocka_unit_test(number_names_the_same_person_every_time),
        cmocka_unit_test(names_come_in_several_scripts),
        cmocka_unit_test_setup_teardown(stopped_demo_goes_on_and_a_whole_one_is_left_alone, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(failing_store_is_told, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
