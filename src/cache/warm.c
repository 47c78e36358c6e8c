/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading ahead, a few keys at a time: a tick every TICK_MS begins at most TICK_KEYS reads, and
 * never more than UNDER_WAY_MAX wait, so that requests hardly notice. Each key is read by itself
 * through the caching store: a page of a list would be old before its last entry was filled.
 */
#include "cache/keeper_priv.h"

#include "base/log.h"

enum { TICK_KEYS = 10, UNDER_WAY_MAX = 16, PAGE = 200, KEYS_BYTES_MAX = 4 << 20 };

bool warm_is_running(const struct keeper *keeper) {
    return keeper->warm.step != WARM_IDLE;
}

static void add_line(struct buf *to, const char *prefix, struct slice event, struct slice rest) {
    buf_add_text(to, prefix);
    buf_add(to, event);
    buf_add(to, rest);
    buf_add_char(to, '\n');
}

/* Keys that are read next; they are drained before more are added, so the slice stays valid. */
static void renew_keys(struct warm *warm) {
    buf_clear(&warm->keys);
    warm->keys_rest = SLICE_NONE;
}

static void end(struct keeper *keeper) {
    struct warm *warm = &keeper->warm;
    warm->step = WARM_IDLE;
    warm->ended_ms = clock_wall_ms(keeper->options.clock);
    keeper_note_warm(keeper);
    log_event(LOG_INFO, warm->stops ? "cache_warming_stopped" : "cache_warmed",
              "keys=%llu failed=%llu took_ms=%lld", (unsigned long long)warm->done,
              (unsigned long long)warm->failed, (long long)(warm->ended_ms - warm->begun_ms));
}

bool warm_renew(struct keeper *keeper, uint64_t most) {
    struct warm *warm = &keeper->warm;
    if (!warm_begin(keeper, KEEPER_WARM_NONE)) {
        return false;
    }
    roster_list(cached_node_roster(keeper->options.node), (size_t)most, &warm->keys);
    warm->keys_rest = buf_slice(&warm->keys);
    warm->renews = true;
    warm->step = WARM_LAST;
    return true;
}

bool warm_begin(struct keeper *keeper, enum keeper_warm_e kind) {
    struct warm *warm = &keeper->warm;
    if (warm_is_running(keeper)) {
        return false;
    }
    warm->renews = false;
    if (!warm->is_list_ready) {
        buf_init(&warm->events, (size_t)KEEPER_EVENTS_MAX * (CODE_MAX + 1));
        buf_init(&warm->keys, KEYS_BYTES_MAX);
        store_op_init(&warm->list, STORE_LIST_EVENTS);
        warm->is_list_ready = true;
    }
    buf_clear(&warm->events);
    renew_keys(warm);
    warm->events_len = 0;
    warm->after = 0;
    warm->done = warm->failed = warm->people = 0;
    warm->kind = kind;
    warm->step = WARM_EVENTS;
    warm->begun_ms = clock_wall_ms(keeper->options.clock);
    warm->ended_ms = 0;
    return true;
}

/* What the last process was asked for most comes first: whoever returns finds it. */
bool warm_begin_with_roster(struct keeper *keeper, enum keeper_warm_e kind) {
    struct warm *warm = &keeper->warm;
    struct slice text = buf_slice(&keeper->roster), rest = text, key;
    size_t count = 0;
    if (!warm_begin(keeper, kind)) {
        return false;
    }
    while (roster_read(text, &rest, &key) && count < keeper->options.entries) {
        buf_add(&warm->keys, key);
        buf_add_char(&warm->keys, '\n');
        count++;
    }
    warm->keys_rest = buf_slice(&warm->keys);
    warm->step = kind == KEEPER_WARM_NONE ? WARM_LAST : WARM_EVENTS;
    if (count > 0) {
        log_event(LOG_INFO, "cache_roster_read", "keys=%zu", count);
    }
    return true;
}

void warm_fini(struct keeper *keeper) {
    struct warm *warm = &keeper->warm;
    if (warm->is_list_ready) {
        buf_fini(&warm->events);
        buf_fini(&warm->keys);
        store_op_fini(&warm->list);
    }
}

/* ── keys ── */

static void on_touched(void *data, enum err_e err) {
    struct warm *warm = &((struct keeper *)data)->warm;
    warm->under_way--;
    warm->done++;
    warm->failed += err_status(err) >= 500;
}

/* Begins to read some keys; true while there are more. */
static bool touch_some(struct keeper *keeper) {
    struct warm *warm = &keeper->warm;
    struct slice key;
    for (int i = 0; i < TICK_KEYS && warm->under_way < UNDER_WAY_MAX; i++) {
        struct slice before = warm->keys_rest;
        if (!slice_next(&warm->keys_rest, '\n', &key)) {
            return false;
        }
        warm->under_way++;
        enum cached_touch_e how = warm->renews ? CACHED_REFRESH : CACHED_FILL;
        enum err_e err = cached_store_touch(keeper->cached, key, how, on_touched, keeper);
        if (err == ERR_OVERLOADED) { /* others are at it: in the next tick */
            warm->under_way--;
            warm->keys_rest = before;
            return true;
        }
        if (err != ERR_OK) { /* a line of the roster that says nothing */
            on_touched(keeper, err);
        }
    }
    return warm->keys_rest.len > 0;
}

/* ── lists ── */

static bool is_current(const struct keeper *keeper, const struct event *event) {
    int64_t now_ms = clock_wall_ms(keeper->options.clock);
    return event->ends_at_ms == TIME_NONE || event->ends_at_ms > now_ms - KEEPER_EVENT_OVER_MS;
}

static void see_events(struct keeper *keeper) {
    struct warm *warm = &keeper->warm;
    const struct store_op *op = &warm->list;
    for (size_t i = 0; i < op->events.len && warm->events_len < KEEPER_EVENTS_MAX; i++) {
        const struct event *event = &op->events.items[i];
        if (!is_current(keeper, event)) {
            continue;
        }
        add_line(&warm->events, "", event->code, SLICE_NONE);
        add_line(&warm->keys, "event_config:", event->code, SLICE_NONE);
        add_line(&warm->keys, "active_gates:", event->code, SLICE_NONE);
        add_line(&warm->keys, "stats:overall:", event->code, SLICE_NONE);
        warm->events_len++;
    }
    if (op->events.more && op->events.len > 0) {
        warm->after = op->events.items[op->events.len - 1].id;
        return;
    }
    warm->events_rest = buf_slice(&warm->events);
    warm->step = warm->kind == KEEPER_WARM_ALL ? WARM_NEXT_EVENT : WARM_LAST;
}

static void see_gates(struct warm *warm) {
    const struct store_op *op = &warm->list;
    for (size_t i = 0; i < op->gates.len; i++) {
        buf_add_text(&warm->keys, "gate:");
        add_line(&warm->keys, warm->event, SLICE_LIT(":"), op->gates.items[i].code);
    }
    bool more = op->gates.more && op->gates.len > 0;
    warm->after = more ? op->gates.items[op->gates.len - 1].id : 0;
    warm->step = more ? WARM_GATES : WARM_PEOPLE;
}

/* Without a second level more people than half of the first would drive each other out. */
static uint64_t people_max(const struct keeper *keeper) {
    return keeper->options.has_l2 ? KEEPER_PEOPLE_MAX : keeper->options.entries / 2;
}

static void see_people(struct keeper *keeper) {
    struct warm *warm = &keeper->warm;
    const struct store_op *op = &warm->list;
    bool more = op->participants.more && op->participants.len > 0;
    for (size_t i = 0; i < op->participants.len; i++) {
        const struct participant *person = &op->participants.items[i];
        if (person->status != PARTICIPANT_ACTIVE) {
            continue;
        }
        if (warm->people == people_max(keeper)) {
            more = false;
            break;
        }
        warm->people++;
        buf_add_text(&warm->keys, "participant:");
        add_line(&warm->keys, warm->event, SLICE_LIT(":token="), person->token);
    }
    warm->after = more ? op->participants.items[op->participants.len - 1].id : 0;
    warm->step = more ? WARM_PEOPLE : WARM_NEXT_EVENT;
}

static void see_page(struct keeper *keeper) {
    struct warm *warm = &keeper->warm;
    renew_keys(warm);
    if (warm->list.err != ERR_OK) {
        warm->failed++;
        warm->step = warm->step == WARM_EVENTS ? WARM_LAST : WARM_NEXT_EVENT;
    } else if (warm->step == WARM_EVENTS) {
        see_events(keeper);
    } else if (warm->step == WARM_GATES) {
        see_gates(warm);
    } else {
        see_people(keeper);
    }
    warm->keys_rest = buf_slice(&warm->keys);
}

/* The answer may come on another thread. */
static void on_page(struct loop_message *message);
static void come_back(struct store_op *op) {
    struct keeper *keeper = op->owner;
    keeper->carried.fn = on_page;
    loop_post(keeper->loop, &keeper->carried);
}

static void on_page(struct loop_message *message) {
    struct keeper *keeper =
        (struct keeper *)(void *)((char *)message - offsetof(struct keeper, carried));
    keeper->warm.is_listing = false;
    see_page(keeper);
    store_op_clear(&keeper->warm.list);
}

static void read_page(struct keeper *keeper) {
    struct warm *warm = &keeper->warm;
    struct store_op *op = &warm->list;
    op->event = slice_of(warm->event);
    if (warm->step == WARM_EVENTS) {
        op->kind = STORE_LIST_EVENTS;
        op->events.after = warm->after;
        op->events.limit = PAGE;
    } else if (warm->step == WARM_GATES) {
        op->kind = STORE_LIST_GATES;
        op->gates.after = warm->after;
        op->gates.limit = STORE_PAGE_MAX;
    } else {
        op->kind = STORE_LIST_PARTICIPANTS;
        op->participants.after = warm->after;
        op->participants.limit = PAGE;
    }
    op->done = come_back;
    op->owner = keeper;
    warm->is_listing = true;
    store_submit(cached_store_behind(keeper->cached), op);
}

/* ── one step ── */

static void next_event(struct warm *warm) {
    struct slice code;
    bool is_there = slice_next(&warm->events_rest, '\n', &code) &&
                    slice_to_cstr(code, warm->event, sizeof warm->event);
    warm->after = 0;
    warm->step = is_there ? WARM_GATES : WARM_LAST;
}

void warm_tick(struct keeper *keeper) {
    struct warm *warm = &keeper->warm;
    if (!warm_is_running(keeper) || warm->is_listing) {
        return;
    }
    if (warm->stops) {
        warm->keys_rest = SLICE_NONE;
        warm->step = WARM_LAST;
    }
    if (touch_some(keeper) || warm->under_way > 0) {
        return;
    }
    switch (warm->step) {
    case WARM_NEXT_EVENT:
        next_event(warm);
        return;
    case WARM_EVENTS:
    case WARM_GATES:
    case WARM_PEOPLE:
        read_page(keeper);
        return;
    case WARM_LAST:
        end(keeper);
        return;
    case WARM_IDLE:
        return;
    }
}
