/* SPDX-License-Identifier: Apache-2.0 */
/* Questions, the tick, and the roster's file. */
#include "cache/keeper_priv.h"

#include "base/assert.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TICK_MS = 10, MANAGE_EVERY_US = 1000000, DOCUMENT_MAX = 1 << 20, PATH_SIZE = 1100 };

struct keeper *keeper_create(const struct keeper_options *options) {
    struct keeper *keeper = calloc(1, sizeof *keeper);
    if (keeper != NULL) {
        keeper->options = *options;
        buf_init(&keeper->roster, ROSTER_FILE_MAX);
        pthread_mutex_init(&keeper->lock, NULL);
    }
    return keeper;
}

void keeper_destroy(struct keeper *keeper) {
    if (keeper == NULL) {
        return;
    }
    warm_fini(keeper);
    buf_fini(&keeper->roster);
    pthread_mutex_destroy(&keeper->lock);
    free(keeper);
}

/* ── on the loop ── */

static void tell_effect(const struct smart_act *act) {
    log_event(LOG_INFO, "cache_act_judged", "act=%s hit_rate_before=%.4f hit_rate_after=%.4f",
              smart_act_word(act->act), act->hit_rate_before, act->hit_rate_after);
}

static void carry_out(struct keeper *keeper, const struct smart_verdict *verdict) {
    uint64_t count = 0;
    switch (verdict->act) {
    case SMART_TRIM:
        count = tiered_trim(keeper->options.tiered, verdict->count);
        break;
    case SMART_RENEW:
        count = warm_renew(keeper, verdict->count) ? verdict->count : 0;
        break;
    case SMART_NONE:
    case SMART_ACT_COUNT:
        return;
    }
    const struct smart *smart = &keeper->smart;
    log_event(LOG_INFO, "cache_act", "act=%s entries=%llu hit_rate=%.4f",
              smart_act_word(verdict->act), (unsigned long long)count,
              smart->kept[(smart->kept_len - 1) % SMART_ACTS_KEPT].hit_rate_before);
}

static struct smart_look look_at(struct keeper *keeper) {
    struct tiered_figures figures;
    tiered_read_figures(keeper->options.tiered, &figures);
    struct smart_look look = {
        .at_ms = clock_wall_ms(keeper->options.clock),
        .evicted = figures.l1.misses[L1_MISS_EVICTED],
        .expired = figures.l1.misses[L1_MISS_EXPIRED],
        .entries = figures.l1.entries,
        .capacity_entries = figures.l1.capacity_entries,
        .bytes = figures.l1.bytes,
        .capacity_bytes = figures.l1.capacity_bytes,
    };
    for (int i = 0; i < TIERED_CLASS_COUNT; i++) {
        look.hits += figures.classes[i].l1_hits;
        look.misses += figures.classes[i].l1_misses;
    }
    return look;
}

static void manage(struct keeper *keeper) {
    struct smart *smart = &keeper->smart;
    const struct smart_look look = look_at(keeper);
    bool awaited = smart->awaits;
    size_t last = (size_t)((smart->kept_len - 1) % SMART_ACTS_KEPT);
    const struct smart_verdict verdict = smart_see(smart, &look);
    if (awaited && verdict.is_window) {
        tell_effect(&smart->kept[last]);
    }
    carry_out(keeper, &verdict);
}

static void tick(void *data) {
    struct keeper *keeper = data;
    warm_tick(keeper);
    int64_t now_us = loop_now_us(keeper->loop);
    if (now_us - keeper->looked_us >= MANAGE_EVERY_US && !keeper->warm.stops) {
        keeper->looked_us = now_us;
        manage(keeper);
    }
}

bool keeper_open(struct keeper *keeper, struct loop *loop, struct tiered_loop *tiered,
                 struct store *cached) {
    keeper->loop = loop;
    keeper->tiered = tiered;
    keeper->cached = cached;
    keeper->timer = loop_timer_start(loop, TICK_MS, TICK_MS, tick, keeper);
    if (keeper->timer == NULL) {
        return false;
    }
    if (keeper->options.warm_at_start != KEEPER_WARM_NONE || keeper->roster.len > 0) {
        bool begun = warm_begin_with_roster(keeper, keeper->options.warm_at_start);
        ASSERT(begun); /* nothing was under way */
    } else {
        keeper_note_warm(keeper);
    }
    pthread_mutex_lock(&keeper->lock);
    keeper->is_open = true;
    pthread_mutex_unlock(&keeper->lock);
    return true;
}

void keeper_note_warm(struct keeper *keeper) {
    pthread_mutex_lock(&keeper->lock);
    keeper->is_warm = true;
    pthread_mutex_unlock(&keeper->lock);
}

bool keeper_is_warm(struct keeper *keeper) {
    pthread_mutex_lock(&keeper->lock);
    bool is_warm = keeper->is_warm;
    pthread_mutex_unlock(&keeper->lock);
    return is_warm;
}

void keeper_stop(struct keeper *keeper) {
    pthread_mutex_lock(&keeper->lock);
    keeper->is_open = false;
    pthread_mutex_unlock(&keeper->lock);
    keeper->warm.stops = true;
}

bool keeper_is_idle(struct keeper *keeper) {
    pthread_mutex_lock(&keeper->lock);
    bool answered = keeper->asks == 0 && !keeper->is_open;
    pthread_mutex_unlock(&keeper->lock);
    return answered && !warm_is_running(keeper);
}

void keeper_close(struct keeper *keeper) {
    keeper_stop(keeper);
    ASSERT(keeper->asks == 0 && keeper->warm.under_way == 0 && !keeper->warm.is_listing);
    loop_timer_stop(keeper->timer);
    keeper->timer = NULL;
}

/* ── questions ── */

static void give_back(struct keeper_ask *ask) {
    struct keeper *keeper = ask->keeper;
    ask->message.fn = ask->back;
    if (ask->loop == NULL) {
        ask->message.fn(&ask->message);
    } else {
        loop_post(ask->loop, &ask->message);
    }
    pthread_mutex_lock(&keeper->lock);
    keeper->asks--;
    pthread_mutex_unlock(&keeper->lock);
}

static void on_invalidated(void *data, const struct tiered_invalidated *result) {
    struct keeper_ask *ask = data;
    ask->err = result->err;
    ask->l1_entries = result->l1_entries;
    ask->l2_keys = result->l2_keys;
    give_back(ask);
}

static void invalidate(struct keeper_ask *ask) {
    ask->err = tiered_invalidate(ask->keeper->tiered, ask->pattern, on_invalidated, ask);
    if (ask->err == ERR_INVALID_FIELD) {
        problem_set(&ask->problem, ask->err, "pattern", "must have 1 to %d bytes", TIERED_KEY_MAX);
    }
    if (ask->err != ERR_OK) {
        give_back(ask);
    }
}

static bool begin_as_asked(struct keeper *keeper, enum keeper_ask_e kind) {
    return kind == KEEPER_RETURN
               ? warm_begin_with_roster(keeper, KEEPER_WARM_NONE)
               : warm_begin(keeper, kind == KEEPER_WARM ? KEEPER_WARM_ALL : KEEPER_WARM_CRITICAL);
}

static void begin_warming(struct keeper_ask *ask) {
    if (ask->keeper->warm.stops) {
        ask->err = ERR_DRAINING;
    } else if (!begin_as_asked(ask->keeper, ask->kind)) {
        ask->err =
            problem_set(&ask->problem, ERR_CONFLICT, "", "the cache is being warmed already");
    }
}

static void on_ask(struct loop_message *message) {
    struct keeper_ask *ask = (struct keeper_ask *)message;
    struct json_writer w;
    buf_init(&ask->document, DOCUMENT_MAX);
    if (ask->kind == KEEPER_INVALIDATE) {
        invalidate(ask);
        return;
    }
    json_writer_init(&w, &ask->document);
    if (ask->kind == KEEPER_FIGURES) {
        keeper_write_figures(ask->keeper, &w);
    } else {
        begin_warming(ask);
        keeper_write_warming(ask->keeper, &w);
    }
    if (ask->err == ERR_OK && ask->document.failed) {
        ask->err = ERR_NO_MEMORY;
    }
    give_back(ask);
}

enum err_e keeper_ask(struct keeper *keeper, struct keeper_ask *ask) {
    ask->keeper = keeper;
    ask->back = ask->message.fn;
    ask->err = ERR_OK;
    enum err_e err = ERR_OK;
    pthread_mutex_lock(&keeper->lock);
    if (!keeper->is_open) {
        err = ERR_DRAINING;
    } else if (keeper->asks == KEEPER_ASKS_MAX) {
        err = ERR_OVERLOADED;
    } else {
        keeper->asks++;
        ask->message.fn = on_ask;
        loop_post(keeper->loop, &ask->message); /* under the lock: the loop waits for its answer */
    }
    pthread_mutex_unlock(&keeper->lock);
    return err;
}

/* ── the roster's file ── */

MAY_BLOCK void keeper_load_roster(struct keeper *keeper) {
    const char *path = keeper->options.roster;
    if (path == NULL) {
        return;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        if (errno != ENOENT) {
            log_event(LOG_WARN, "cache_roster_unread", "path=\"%s\" reason=\"%s\"", path,
                      strerror(errno));
        }
        return;
    }
    ssize_t got = 1;
    while (got > 0 && buf_reserve(&keeper->roster, 65536)) {
        got = read(fd, keeper->roster.at + keeper->roster.len, 65536);
        keeper->roster.len += got > 0 ? (size_t)got : 0;
    }
    close(fd);
}

void keeper_write_roster(struct keeper *keeper, struct buf *to) {
    roster_write(cached_node_roster(keeper->options.node), to);
}

void keeper_take_roster(struct keeper *keeper, struct slice text) {
    buf_clear(&keeper->roster);
    buf_add(&keeper->roster, text);
    if (keeper->roster.failed) { /* a text that long is no roster */
        buf_clear(&keeper->roster);
    }
}

MAY_BLOCK static bool write_file(const char *path, struct slice text) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600); /* it names tokens */
    if (fd < 0) {
        return false;
    }
    bool good = true;
    while (text.len > 0 && good) {
        ssize_t written = write(fd, text.at, text.len);
        good = written > 0;
        text = good ? slice_skip(text, (size_t)written) : text;
    }
    return close(fd) == 0 && good;
}

bool keeper_has_forgotten(struct keeper *keeper) {
    return roster_take_forgotten(cached_node_roster(keeper->options.node));
}

/* Whole or not at all: a new file takes the old one's place. */
MAY_BLOCK void keeper_save_roster(struct keeper *keeper) {
    const char *path = keeper->options.roster;
    char next[PATH_SIZE];
    struct buf text;
    if (path == NULL) {
        return;
    }
    snprintf(next, sizeof next, "%s.next", path);
    buf_init(&text, ROSTER_FILE_MAX);
    keeper_write_roster(keeper, &text);
    if (text.failed || !write_file(next, buf_slice(&text)) || rename(next, path) != 0) {
        log_event(LOG_WARN, "cache_roster_unsaved", "path=\"%s\" reason=\"%s\"", path,
                  strerror(errno));
    }
    buf_fini(&text);
}
