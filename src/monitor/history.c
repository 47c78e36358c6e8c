/* SPDX-License-Identifier: Apache-2.0 */
/* A ring of minutes, and what its rows say together. */
#include "monitor/history.h"

#include "base/assert.h"

#include <math.h>
#include <stdlib.h>

enum { TREND_MINUTES = 60, TREND_MINUTES_MIN = 15 };

struct history {
    struct minute minutes[HISTORY_MINUTES];
    size_t len;
    size_t next; /* place of the next row */
};

struct history *history_create(void) {
    return calloc(1, sizeof(struct history));
}

void history_destroy(struct history *history) {
    free(history);
}

void history_add(struct history *history, const struct minute *minute) {
    history->minutes[history->next] = *minute;
    history->next = (history->next + 1) % HISTORY_MINUTES;
    history->len += history->len < HISTORY_MINUTES;
}

size_t history_len(const struct history *history) {
    return history->len;
}

const struct minute *history_back(const struct history *history, size_t index) {
    ASSERT(index < history->len);
    return &history->minutes[(history->next + 2 * HISTORY_MINUTES - 1 - index) % HISTORY_MINUTES];
}

double history_rss_growth_per_h(const struct history *history) {
    size_t len = history->len < TREND_MINUTES ? history->len : TREND_MINUTES;
    double n = 0, sum_x = 0, sum_y = 0, sum_xx = 0, sum_xy = 0;
    for (size_t i = 0; i < len; i++) {
        const struct minute *minute = history_back(history, i);
        if (minute->rss_bytes < 0) {
            continue;
        }
        double x = -(double)i / 60, y = (double)minute->rss_bytes;
        n += 1;
        sum_x += x;
        sum_y += y;
        sum_xx += x * x;
        sum_xy += x * y;
    }
    double spread = n * sum_xx - sum_x * sum_x;
    if (n < TREND_MINUTES_MIN || !(spread > 0)) {
        return NAN;
    }
    return (n * sum_xy - sum_x * sum_y) / spread;
}

double history_queue_ms(const struct history *history, size_t skip, size_t minutes) {
    double all_ms = 0, queries = 0;
    for (size_t i = skip; i < skip + minutes && i < history->len; i++) {
        const struct minute *minute = history_back(history, i);
        if (minute->queries > 0) {
            all_ms += minute->db_queue_ms * (double)minute->queries;
            queries += (double)minute->queries;
        }
    }
    return queries > 0 ? all_ms / queries : NAN;
}
