/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic on marks, and nothing else. */
#include "store/postgres_lag.h"

#include <string.h>

enum { SHARE = 16 /* of the lag: how far marks are apart at most, but for thinning out */ };

void pg_lag_init(struct pg_lag *lag, int64_t limit_us) {
    *lag = (struct pg_lag){.limit_us = limit_us};
}

void pg_lag_forget(struct pg_lag *lag) {
    pg_lag_init(lag, lag->limit_us);
}

bool pg_lag_is_fresh(const struct pg_lag *lag, int64_t now_us) {
    return now_us < lag->fresh_until_us;
}

/* A mark that is older than the limit would be good until a moment that has passed. A younger one
 * is kept: a standby that is always a little late would never reach marks that move on. */
bool pg_lag_wants_mark(const struct pg_lag *lag, int64_t now_us) {
    return lag->marks_len == 0 ||
           now_us - lag->marks[lag->marks_len - 1].at_us >= lag->limit_us;
}

/* The oldest stays: it tells the lag. */
static void thin_out(struct pg_lag *lag) {
    for (size_t i = 0; 2 * i < lag->marks_len; i++) {
        lag->marks[i] = lag->marks[2 * i];
    }
    lag->marks_len = (lag->marks_len + 1) / 2;
}

/* The newest is closer to the one before it than the lag is worth knowing. */
static bool may_be_replaced(const struct pg_lag *lag, int64_t now_us) {
    if (lag->marks_len < 2) {
        return false;
    }
    const struct pg_lag_mark *newest = &lag->marks[lag->marks_len - 1];
    return newest[0].at_us - newest[-1].at_us < pg_lag_behind_us(lag, now_us) / SHARE;
}

void pg_lag_mark(struct pg_lag *lag, int64_t moment_us, int64_t position) {
    if (may_be_replaced(lag, moment_us)) {
        lag->marks_len--;
    } else if (lag->marks_len == PG_LAG_MARKS) {
        thin_out(lag);
    }
    lag->marks[lag->marks_len++] = (struct pg_lag_mark){moment_us, position};
}

int64_t pg_lag_behind_us(const struct pg_lag *lag, int64_t now_us) {
    return lag->marks_len == 0 ? 0 : now_us - lag->marks[0].at_us;
}

void pg_lag_see(struct pg_lag *lag, int64_t position, bool receives) {
    if (!receives) {
        pg_lag_forget(lag);
        return;
    }
    size_t reached = 0;
    while (reached < lag->marks_len && position >= lag->marks[reached].position) {
        lag->fresh_until_us = lag->marks[reached].at_us + lag->limit_us;
        reached++;
    }
    lag->marks_len -= reached;
    memmove(lag->marks, lag->marks + reached, lag->marks_len * sizeof lag->marks[0]);
}
