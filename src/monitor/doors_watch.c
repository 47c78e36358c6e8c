/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A round over the events. An event whose gates or minutes cannot be read is passed over: nothing
 * is said about what nobody knows.
 */
#include "monitor/doors_watch.h"

#include "base/assert.h"

#include <stdlib.h>

enum {
    FIRST_MS = 2000,
    EVERY_MS = 10000,
    DEADLINE_US = 5000000,
    MINUTE_MS = 60000,
};

struct doors_watch {
    struct loop_message message; /* first: an answer on its way to the loop */
    struct doors_watch_options options;
    struct loop_timer *timer;
    struct door_event events[DOORS_EVENTS_MAX];
    size_t events_len, event; /* of the round; `event` is being asked about */
    bool is_under_way;        /* a round */
    struct store_op gates, minutes;
    struct store_op *asked;
    void (*then)(struct doors_watch *watch); /* with the answer */
    struct gate_load loads[STORE_PAGE_MAX];  /* by code, until they are compared */
    bool has_worst;
    struct gate_skew worst;
};

static void ask_gates(struct doors_watch *watch);

static void end_round(struct doors_watch *watch) {
    watch->is_under_way = false;
    doors_tell(watch->options.doors, watch->has_worst ? &watch->worst : NULL,
               loop_now_us(watch->options.loop));
}

static void go_on(struct doors_watch *watch) {
    store_op_clear(&watch->gates);
    store_op_clear(&watch->minutes);
    watch->event++;
    if (watch->event < watch->events_len && watch->timer != NULL) {
        ask_gates(watch);
    } else {
        end_round(watch);
    }
}

/* ---- one event ---- */

static int compare_codes(const void *left, const void *right) {
    const struct gate_load *a = left, *b = right;
    return slice_order(a->code, b->code);
}

static size_t list_gates(struct doors_watch *watch) {
    size_t len = watch->gates.gates.len;
    for (size_t i = 0; i < len; i++) {
        const struct gate *gate = &watch->gates.gates.items[i];
        watch->loads[i] =
            (struct gate_load){.code = gate->code, .is_open = gate->status == GATE_OPEN};
    }
    qsort(watch->loads, len, sizeof watch->loads[0], compare_codes);
    return len;
}

static void add_points(struct doors_watch *watch, size_t gates) {
    for (size_t i = 0; i < watch->minutes.timeline.len; i++) {
        const struct timeline_point *point = &watch->minutes.timeline.points[i];
        const struct gate_load wanted = {.code = point->gate};
        struct gate_load *load =
            bsearch(&wanted, watch->loads, gates, sizeof watch->loads[0], compare_codes);
        if (load != NULL) { /* else one that was made meanwhile */
            load->scans += point->admitted + point->exited + point->refused;
        }
    }
}

static void compare(struct doors_watch *watch) {
    size_t len = list_gates(watch);
    add_points(watch, len);
    double minutes = (double)(loop_wall_ms(watch->options.loop) -
                              watch->minutes.timeline.since_ms) / MINUTE_MS;
    struct gate_skew found;
    if (gate_skew_find(watch->minutes.event, watch->loads, len, minutes, &found) &&
        (!watch->has_worst || found.per_minute > watch->worst.per_minute)) {
        watch->has_worst = true;
        watch->worst = found;
    }
}

static void on_minutes(struct doors_watch *watch) {
    if (watch->minutes.err == ERR_OK) {
        compare(watch);
    }
    go_on(watch);
}

/* ---- questions ---- */

static void on_message(struct loop_message *message) {
    struct doors_watch *watch = (struct doors_watch *)message;
    store_meter_see(&watch->options.meter, watch->asked, NULL);
    watch->then(watch);
}

/* On the store's thread, or at once on the loop: in any case the answer waits for its turn, so that
 * cached answers do not pile up on the stack. */
static void on_done(struct store_op *op) {
    struct doors_watch *watch = op->owner;
    loop_post(watch->options.loop, &watch->message);
}

static void submit(struct doors_watch *watch, struct store_op *op,
                   void (*then)(struct doors_watch *watch)) {
    op->event = door_event_code(&watch->events[watch->event]);
    op->deadline_us = loop_now_us(watch->options.loop) + DEADLINE_US;
    op->owner = watch;
    op->done = on_done;
    watch->asked = op;
    watch->then = then;
    watch->message.fn = on_message;
    store_submit(watch->options.store, op);
}

/* Whole minutes behind this one, and what there is of this one. */
static void on_gates(struct doors_watch *watch) {
    if (watch->gates.err != ERR_OK) {
        go_on(watch);
        return;
    }
    int64_t now_ms = loop_wall_ms(watch->options.loop);
    int64_t minute_ms = now_ms - now_ms % MINUTE_MS;
    watch->minutes.timeline.since_ms = minute_ms - (DOORS_SPAN_MINUTES - 1) * MINUTE_MS;
    watch->minutes.timeline.until_ms = minute_ms + MINUTE_MS;
    watch->minutes.timeline.step_ms = MINUTE_MS;
    submit(watch, &watch->minutes, on_minutes);
}

static void ask_gates(struct doors_watch *watch) {
    watch->gates.gates.limit = STORE_PAGE_MAX;
    submit(watch, &watch->gates, on_gates);
}

void doors_watch_look(struct doors_watch *watch) {
    if (watch->is_under_way) {
        return;
    }
    watch->events_len =
        doors_events(watch->options.doors, loop_now_us(watch->options.loop), watch->events);
    watch->event = 0;
    watch->has_worst = false;
    if (watch->events_len == 0) {
        end_round(watch);
        return;
    }
    watch->is_under_way = true;
    ask_gates(watch);
}

static void on_timer(void *data) {
    doors_watch_look(data);
}

/* ---- life ---- */

struct doors_watch *doors_watch_open(const struct doors_watch_options *options) {
    struct doors_watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL) {
        return NULL;
    }
    watch->options = *options;
    store_op_init(&watch->gates, STORE_LIST_GATES);
    store_op_init(&watch->minutes, STORE_READ_TIMELINE);
    watch->timer = loop_timer_start(options->loop, FIRST_MS, EVERY_MS, on_timer, watch);
    if (watch->timer == NULL) {
        doors_watch_close(watch);
        return NULL;
    }
    return watch;
}

void doors_watch_stop(struct doors_watch *watch) {
    if (watch->timer != NULL) {
        loop_timer_stop(watch->timer);
        watch->timer = NULL;
    }
}

bool doors_watch_is_idle(const struct doors_watch *watch) {
    return !watch->is_under_way;
}

void doors_watch_close(struct doors_watch *watch) {
    if (watch == NULL) {
        return;
    }
    ASSERT(!watch->is_under_way);
    doors_watch_stop(watch);
    store_op_fini(&watch->gates);
    store_op_fini(&watch->minutes);
    free(watch);
}
