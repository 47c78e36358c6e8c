/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: events that are scanned are watched, the most crowded gate of all of them is told, and what
 * nobody could read is not. The watch runs on a loop of its own, on a virtual clock, over a store
 * that answers at once. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "monitor/doors_watch.h"

#include <stdio.h>

#define SECOND_US 1000000LL
#define NOW_MS (1790000000000LL + 25000) /* 25 s into a minute: 1790000000 is 20 s into one */

static struct doors *doors;
static struct virtual_clock clock_now;

static int make(void **state) {
    (void)state;
    virtual_clock_init(&clock_now, NOW_MS);
    virtual_clock_advance(&clock_now, 3600000);
    doors = doors_create();
    return doors == NULL ? -1 : 0;
}

static int drop(void **state) {
    (void)state;
    doors_destroy(doors);
    return 0;
}

/* ---- notes ---- */

static size_t noted(int64_t now_us, struct door_event *ret_last) {
    struct door_event events[DOORS_EVENTS_MAX];
    size_t len = doors_events(doors, now_us, events);
    for (size_t i = 0; i < len; i++) {
        if (i == 0 || events[i].scanned_us > ret_last->scanned_us) {
            *ret_last = events[i];
        }
    }
    return len;
}

static void an_event_is_noted_once_a_second_by_a_loop(void **state) {
    (void)state;
    struct door_notes notes = {0}, others = {0};
    struct door_event last;
    for (int64_t us = SECOND_US; us < 2 * SECOND_US; us += 1000) {
        doors_note(doors, &notes, SLICE_LIT("expo"), us);
        assert_int_equal(noted(us, &last), 1);
        assert_int_equal(last.scanned_us, SECOND_US);
    }
    doors_note(doors, &others, SLICE_LIT("expo"), 2 * SECOND_US - 1); /* another loop */
    assert_int_equal(noted(2 * SECOND_US, &last), 1);
    assert_int_equal(last.scanned_us, 2 * SECOND_US - 1);
    doors_note(doors, &notes, SLICE_LIT("expo"), 2 * SECOND_US);
    assert_int_equal(noted(2 * SECOND_US, &last), 1);
    assert_int_equal(last.scanned_us, 2 * SECOND_US);
}

static void an_event_is_watched_for_five_minutes_after_its_last_scan(void **state) {
    (void)state;
    struct door_notes notes = {0};
    struct door_event last;
    doors_note(doors, &notes, SLICE_LIT("expo"), SECOND_US);
    assert_int_equal(noted(300 * SECOND_US, &last), 1);
    assert_int_equal(noted(301 * SECOND_US, &last), 0);
}

static void of_many_events_those_scanned_last_are_watched(void **state) {
    (void)state;
    struct door_notes notes = {0};
    struct door_event events[DOORS_EVENTS_MAX];
    char code[8];
    for (int i = 0; i < 40; i++) {
        snprintf(code, sizeof code, "e%02d", i);
        doors_note(doors, &notes, slice_of(code), (i + 1) * 1000);
    }
    assert_int_equal(doors_events(doors, 50000, events), DOORS_EVENTS_MAX);
    for (size_t i = 0; i < DOORS_EVENTS_MAX; i++) {
        assert_true(slice_order(door_event_code(&events[i]), SLICE_LIT("e24")) >= 0);
    }
}

static void what_was_told_is_believed_for_a_minute(void **state) {
    (void)state;
    struct gate_skew told = {.gate = "g1"}, read = {.gate = ""};
    assert_false(doors_read(doors, 0, &read));
    doors_tell(doors, &told, SECOND_US);
    assert_true(doors_read(doors, 60 * SECOND_US, &read));
    assert_string_equal(read.gate, "g1");
    assert_false(doors_read(doors, 61 * SECOND_US, &read));
    doors_tell(doors, NULL, 62 * SECOND_US);
    assert_false(doors_read(doors, 62 * SECOND_US, &read));
}

/* ---- the watch ---- */

struct script {
    struct store base;
    const char *failing; /* an event */
    size_t asked;
    struct doors_watch *stop_at_minutes; /* is stopped while its minutes are asked for */
};

static void answer_gates(struct store_op *op) {
    static struct gate gates[3];
    static const char *const codes[] = {"north", "east", "south"};
    for (int i = 0; i < 3; i++) {
        gates[i] = (struct gate){.id = i + 1, .code = slice_of(codes[i])};
    }
    assert_int_equal(op->gates.limit, STORE_PAGE_MAX);
    op->gates.items = gates;
    op->gates.len = 3;
}

/* Of a calm event ten scans a gate; of a busy one most at the south gate. */
static void answer_minutes(struct store_op *op) {
    static struct timeline_point points[4];
    int64_t at_ms = op->timeline.since_ms;
    assert_int_equal(op->timeline.step_ms, 60000);
    assert_int_equal(at_ms % 60000, 0);
    assert_int_equal(op->timeline.until_ms - at_ms, 5 * 60000);
    assert_in_range(op->timeline.until_ms - clock_now.now_wall_ms, 1, 60000);
    int64_t crowd = slice_eq_text(op->event, "calm") ? 10
                    : slice_eq_text(op->event, "busy") ? 100
                                                       : 300;
    points[0] = (struct timeline_point){at_ms, SLICE_LIT("east"), 4, 4, 2};
    points[1] = (struct timeline_point){at_ms, SLICE_LIT("north"), 10, 0, 0};
    points[2] = (struct timeline_point){at_ms, SLICE_LIT("south"), crowd, 0, 0};
    points[3] = (struct timeline_point){at_ms + 60000, SLICE_LIT("made-meanwhile"), 900, 0, 0};
    op->timeline.points = points;
    op->timeline.len = 4;
}

static void answer(struct store *store, struct store_op *op) {
    struct script *script = (struct script *)store;
    script->asked++;
    if (script->failing != NULL && slice_eq_text(op->event, script->failing)) {
        op->err = ERR_UNAVAILABLE;
    } else if (op->kind == STORE_LIST_GATES) {
        answer_gates(op);
    } else {
        assert_int_equal(op->kind, STORE_READ_TIMELINE);
        answer_minutes(op);
        if (script->stop_at_minutes != NULL) {
            doors_watch_stop(script->stop_at_minutes);
        }
    }
    op->done(op);
}

struct run {
    struct loop_message message; /* first */
    struct loop *loop;
    struct script script;
    struct doors_watch *watch;
    bool stops_early;
};

static void look_whether_idle(struct loop_message *message) {
    struct run *run = (struct run *)message;
    if (!doors_watch_is_idle(run->watch)) {
        loop_post(run->loop, &run->message);
        return;
    }
    doors_watch_close(run->watch);
    loop_stop(run->loop);
}

static void begin(struct loop_message *message) {
    struct run *run = (struct run *)message;
    run->watch = doors_watch_open(&(struct doors_watch_options){
        .loop = run->loop, .store = &run->script.base, .doors = doors});
    assert_non_null(run->watch);
    run->script.stop_at_minutes = run->stops_early ? run->watch : NULL;
    doors_watch_look(run->watch);
    doors_watch_look(run->watch); /* one is under way, or there is nothing to do */
    run->message.fn = look_whether_idle;
    loop_post(run->loop, &run->message);
}

/* One round over what is noted. */
static void run_round(struct run *run) {
    static const struct store_vtable vtable = {"script", answer, NULL, NULL};
    run->script.base.vtable = &vtable;
    run->message.fn = begin;
    run->loop = loop_create(0, &clock_now.base);
    assert_non_null(run->loop);
    loop_post(run->loop, &run->message);
    assert_int_equal(loop_start(run->loop), ERR_OK);
    loop_join(run->loop);
    loop_destroy(run->loop);
}

static void note(const char *event) {
    struct door_notes notes = {0};
    doors_note(doors, &notes, slice_of(event), clock_now.now_mono_us);
}

static void without_a_scan_nothing_is_asked(void **state) {
    (void)state;
    struct run run = {.watch = NULL};
    struct gate_skew skew;
    run_round(&run);
    assert_int_equal(run.script.asked, 0);
    assert_false(doors_read(doors, clock_now.now_mono_us, &skew));
}

static void the_most_crowded_gate_of_all_events_is_told(void **state) {
    (void)state;
    struct run run = {.watch = NULL};
    struct gate_skew skew;
    note("busy");
    note("rush");
    note("calm");
    run_round(&run);
    assert_int_equal(run.script.asked, 6);
    assert_true(doors_read(doors, clock_now.now_mono_us, &skew));
    assert_string_equal(skew.event, "rush");
    assert_string_equal(skew.gate, "south");
    assert_string_equal(skew.relief, "east");
    assert_string_equal(skew.loads, "south 300, east 10, north 10");
}

static void a_calm_event_has_no_crowded_gate(void **state) {
    (void)state;
    struct run run = {.watch = NULL};
    struct gate_skew skew;
    note("calm");
    run_round(&run);
    assert_int_equal(run.script.asked, 2);
    assert_false(doors_read(doors, clock_now.now_mono_us, &skew));
}

static void an_event_that_cannot_be_read_is_passed_over(void **state) {
    (void)state;
    struct run run = {.script.failing = "rush"};
    struct gate_skew skew;
    note("rush");
    note("busy");
    run_round(&run);
    assert_int_equal(run.script.asked, 3);
    assert_true(doors_read(doors, clock_now.now_mono_us, &skew));
    assert_string_equal(skew.event, "busy");
}

static void a_watch_that_is_stopped_asks_nothing_more(void **state) {
    (void)state;
    struct run run = {.stops_early = true};
    note("rush");
    note("busy");
    run_round(&run);
    assert_int_equal(run.script.asked, 2);
}

#define EACH(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void) {
    const struct CMUnitTest tests[] = {
        EACH(an_event_is_noted_once_a_second_by_a_loop),
        EACH(an_event_is_watched_for_five_minutes_after_its_last_scan),
        EACH(of_many_events_those_scanned_last_are_watched),
        EACH(what_was_told_is_believed_for_a_minute),
        EACH(without_a_scan_nothing_is_asked),
        EACH(the_most_crowded_gate_of_all_events_is_told),
        EACH(a_calm_event_has_no_crowded_gate),
        EACH(an_event_that_cannot_be_read_is_passed_over),
        EACH(a_watch_that_is_stopped_asks_nothing_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
