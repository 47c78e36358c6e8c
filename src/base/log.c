/* SPDX-License-Identifier: Apache-2.0 */
/* Lines, and the folding of repeats. */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <threads.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 1024, FOLD_SLOTS = 64, LINES_PER_SECOND = 10 };

struct fold {
    const char *event; /* literals: the address is the identity */
    int64_t second;
    int written;
    int folded;
};

static void write_to_stderr(const char *line, size_t len, void *data) {
    (void)data;
    ssize_t ignored = write(STDERR_FILENO, line, len);
    (void)ignored;
}

static struct {
    once_flag once;
    mtx_t lock;
    atomic_int level; /* log_level_e */
    log_sink_fn sink;
    void *sink_data;
    struct fold folds[FOLD_SLOTS];
} state = {.once = ONCE_FLAG_INIT, .level = LOG_INFO, .sink = write_to_stderr};

static void init_lock(void) {
    mtx_init(&state.lock, mtx_plain);
}

void log_set_level(enum log_level_e level) {
    atomic_store_explicit(&state.level, (int)level, memory_order_relaxed);
}

void log_set_sink(log_sink_fn sink, void *data) {
    state.sink = sink;
    state.sink_data = data;
}

/* How many lines of this event were left out before this one; -1 when this one is left out too.
 * Two events in one slot take it from each other, which only folds less. */
static int fold_locked(const char *event, int64_t second) {
    struct fold *fold = &state.folds[((uintptr_t)event >> 3) % FOLD_SLOTS];
    if (fold->event != event) {
        *fold = (struct fold){.event = event, .second = second};
    }
    if (fold->second != second) {
        fold->second = second;
        fold->written = 0;
    }
    if (fold->written == LINES_PER_SECOND) {
        fold->folded++;
        return -1;
    }
    fold->written++;
    int folded = fold->folded;
    fold->folded = 0;
    return folded;
}

static size_t clamp(int wanted, size_t room) {
    return wanted < 0 ? 0 : (size_t)wanted < room ? (size_t)wanted : room - 1;
}

static size_t append(char *line, size_t len, const char *format, ...) PRINTF_LIKE(3, 4);
static size_t append(char *line, size_t len, const char *format, ...) {
    va_list args;
    va_start(args, format);
    size_t room = LINE_MAX_BYTES - len;
    size_t more = clamp(vsnprintf(line + len, room, format, args), room);
    va_end(args);
    return len + more;
}

void log_event(enum log_level_e level, const char *event, const char *format, ...) {
    static const char *const names[] = {"error", "warn", "info", "debug"};
    if ((int)level > atomic_load_explicit(&state.level, memory_order_relaxed)) {
        return;
    }
    call_once(&state.once, init_lock);
    int64_t now = clock_wall_ms(clock_system());
    char when[TIME_TEXT_SIZE];
    time_format(now, when);
    char line[LINE_MAX_BYTES + 1];
    size_t len = append(line, 0, "t=%s level=%s event=%s ", when, names[level], event);
    va_list args;
    va_start(args, format);
    len += clamp(vsnprintf(line + len, LINE_MAX_BYTES - len, format, args), LINE_MAX_BYTES - len);
    va_end(args);
    for (size_t i = 0; i < len; i++) {
        line[i] = (unsigned char)line[i] < 0x20 || line[i] == 0x7f ? '?' : line[i];
    }
    mtx_lock(&state.lock);
    int folded = fold_locked(event, now / 1000);
    if (folded > 0) {
        len = append(line, len, " folded=%d", folded);
    }
    if (folded >= 0) {
        line[len++] = '\n';
        state.sink(line, len, state.sink_data);
    }
    mtx_unlock(&state.lock);
}
