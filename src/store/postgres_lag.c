/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic on a mark, and nothing else. */
#include "store/postgres_lag.h"

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
    return lag->mark_at_us == 0 || now_us - lag->mark_at_us >= lag->limit_us;
}

void pg_lag_mark(struct pg_lag *lag, int64_t moment_us, int64_t position) {
    lag->mark_at_us = moment_us;
    lag->mark = position;
}

void pg_lag_see(struct pg_lag *lag, int64_t position, bool receives) {
    if (!receives) {
        pg_lag_forget(lag);
    } else if (lag->mark_at_us != 0 && position >= lag->mark) {
        lag->fresh_until_us = lag->mark_at_us + lag->limit_us;
        lag->mark_at_us = 0;
    }
}
