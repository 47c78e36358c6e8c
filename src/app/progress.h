/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far a long command has come, on standard error: a bar on a terminal, nothing elsewhere (a log
 * has no use for a moving line). Thread: main.
 */
#ifndef TURNOUT_APP_PROGRESS_H
#define TURNOUT_APP_PROGRESS_H

#include "base/buf.h"
#include "base/clock.h"

struct progress {
    const char *what;   /* "importing" */
    int64_t total;      /* in the unit of `done`; 0: not known */
    struct clock *clock;
    bool shown;         /* standard error is a terminal */
    int64_t begun_us;
    int64_t drawn_us;   /* when it was drawn last */
};

void progress_begin(struct progress *progress, const char *what, int64_t total,
                    struct clock *clock);
/* `done` of `total`, and `rows` for the text; draws at most ten times a second. */
void progress_step(struct progress *progress, int64_t done, int64_t rows);
void progress_end(struct progress *progress); /* clears the line */

/* The line itself, pure: "importing [####----]  52 %  26,112 rows  9,120/s  2 s left". */
struct progress_state {
    const char *what;
    int64_t done, total, rows, elapsed_us;
};
void progress_line(const struct progress_state *state, struct buf *to);

#endif
