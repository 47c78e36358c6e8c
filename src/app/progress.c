/* SPDX-License-Identifier: Apache-2.0 */
/* A bar, a rate and the time that is left. */
#include "app/progress.h"

#include <stdio.h>
#include <unistd.h>

enum { BAR_CELLS = 24, DRAW_EVERY_US = 100 * 1000, LINE_BYTES_MAX = 256 };

void progress_begin(struct progress *progress, const char *what, int64_t total,
                    struct clock *clock) {
    *progress = (struct progress){
        .what = what,
        .total = total,
        .clock = clock,
        .shown = isatty(STDERR_FILENO) == 1,
        .begun_us = clock_mono_us(clock),
    };
}

static void add_grouped(struct buf *to, int64_t value) {
    if (value >= 1000) {
        add_grouped(to, value / 1000);
        buf_printf(to, ",%03d", (int)(value % 1000));
    } else {
        buf_add_int(to, value);
    }
}

void progress_line(const struct progress_state *state, struct buf *to) {
    buf_add_text(to, state->what);
    int64_t done = state->done > state->total ? state->total : state->done;
    if (state->total > 0) {
        int64_t filled = done * BAR_CELLS / state->total;
        buf_add_text(to, " [");
        for (int64_t i = 0; i < BAR_CELLS; i++) {
            buf_add_char(to, i < filled ? '#' : '-');
        }
        buf_printf(to, "] %3d %%", (int)(done * 100 / state->total));
    }
    buf_add_text(to, "  ");
    add_grouped(to, state->rows);
    buf_add_text(to, " rows");
    int64_t elapsed_ms = state->elapsed_us / 1000;
    if (elapsed_ms <= 0) {
        return;
    }
    buf_add_text(to, "  ");
    add_grouped(to, state->rows * 1000 / elapsed_ms);
    buf_add_text(to, "/s");
    if (state->total > 0 && done > 0 && done < state->total) {
        double share_left = (double)(state->total - done) / (double)done;
        int64_t left_ms = (int64_t)((double)elapsed_ms * share_left);
        buf_printf(to, "  %lld s left", (long long)(left_ms / 1000 + 1));
    }
}

void progress_step(struct progress *progress, int64_t done, int64_t rows) {
    int64_t now = clock_mono_us(progress->clock);
    if (!progress->shown || now - progress->drawn_us < DRAW_EVERY_US) {
        return;
    }
    progress->drawn_us = now;
    struct progress_state state = {progress->what, done, progress->total, rows,
                                   now - progress->begun_us};
    struct buf line;
    buf_init(&line, LINE_BYTES_MAX);
    progress_line(&state, &line);
    fprintf(stderr, "\r%.*s\033[K", (int)line.len, line.at == NULL ? "" : line.at);
    buf_fini(&line);
}

void progress_end(struct progress *progress) {
    if (progress->shown && progress->drawn_us != 0) {
        fprintf(stderr, "\r\033[K");
    }
}
