/* SPDX-License-Identifier: Apache-2.0 */
/* Quarters, months and ISO 8601 weeks as numbers, all in UTC. */
#include "base/assert.h"
#include "optimizer/partition_plan.h"

enum { DAY_MS = 86400000, EPOCH_TO_MONDAY = 3 /* 1970-01-01 was a Thursday */ };

const char *partition_period_word(enum partition_period_e period) {
    static const char *const words[] = {
#define X(name, word) [PARTITION_##name] = word,
        PARTITION_PERIOD_TABLE(X)
#undef X
    };
    ASSERT((size_t)period < sizeof words / sizeof words[0]);
    return words[period];
}

static int64_t floor_div(int64_t a, int64_t b) {
    return a / b - (a % b < 0);
}

static int months_of(enum partition_period_e period) {
    return period == PARTITION_QUARTER ? 3 : 1;
}

int64_t partition_period_of(enum partition_period_e period, int64_t ms) {
    int64_t days = floor_div(ms, DAY_MS);
    if (period == PARTITION_WEEK) {
        return floor_div(days + EPOCH_TO_MONDAY, 7);
    }
    struct civil_day day = civil_from_days(days);
    return floor_div(day.year * 12 + day.month - 1, months_of(period));
}

int64_t partition_period_start(enum partition_period_e period, int64_t number) {
    if (period == PARTITION_WEEK) {
        return (number * 7 - EPOCH_TO_MONDAY) * DAY_MS;
    }
    int64_t months = number * months_of(period);
    int64_t year = floor_div(months, 12);
    return DAY_MS * civil_to_days((struct civil_day){year, (int)(months - year * 12) + 1, 1});
}

/* A week belongs to the year of its Thursday. */
static void add_week(struct buf *to, int64_t number) {
    int64_t thursday = number * 7;
    int64_t year = civil_from_days(thursday).year;
    int64_t first = civil_to_days((struct civil_day){year, 1, 1});
    buf_printf(to, "_%04d_w%02d", (int)year, (int)((thursday - first) / 7) + 1);
}

void partition_period_name(struct buf *to, struct slice table, enum partition_period_e period,
                           int64_t number) {
    buf_add(to, table);
    switch (period) {
    case PARTITION_QUARTER:
        buf_printf(to, "_%04d_q%d", (int)floor_div(number, 4), (int)(number & 3) + 1);
        return;
    case PARTITION_MONTH:
        buf_printf(to, "_%04d_%02d", (int)floor_div(number, 12),
                   (int)(number - 12 * floor_div(number, 12)) + 1);
        return;
    case PARTITION_WEEK:
        add_week(to, number);
        return;
    }
    UNREACHABLE();
}
