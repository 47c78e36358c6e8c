/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time as a value that is handed in, so that a test or a whole simulated cluster runs on a virtual
 * clock. Wall time is milliseconds since 1970 UTC; monotonic time is microseconds from any start.
 * Thread: any; the virtual clock belongs to one thread.
 */
#ifndef TURNOUT_BASE_CLOCK_H
#define TURNOUT_BASE_CLOCK_H

#include "base/slice.h"

struct clock {
    int64_t (*wall_ms)(struct clock *clock);
    int64_t (*mono_us)(struct clock *clock);
};

/* "No time was given", everywhere a *_ms field may be absent. */
#define TIME_NONE INT64_MIN
/* 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999Z: what RFC 3339 can say. */
#define TIME_MIN_MS (-62135596800000LL)
#define TIME_MAX_MS 253402300799999LL

struct clock *clock_system(void); /* process lifetime, never freed */

struct virtual_clock {
    struct clock base;
    int64_t now_wall_ms;
    int64_t now_mono_us;
};
void virtual_clock_init(struct virtual_clock *clock, int64_t wall_ms);
void virtual_clock_advance(struct virtual_clock *clock, int64_t ms); /* ms >= 0 */

static inline int64_t clock_wall_ms(struct clock *clock) {
    return clock->wall_ms(clock);
}
static inline int64_t clock_mono_us(struct clock *clock) {
    return clock->mono_us(clock);
}

/* RFC 3339, any offset, up to nine digits of a second (cut to milliseconds); leap second 60 counts
 * as 59.999. False for anything else, also for days that do not exist. */
bool time_parse(struct slice text, int64_t *ret_ms);
enum { TIME_TEXT_SIZE = 25 };
/* "2026-11-24T18:23:24.000Z" with a NUL; `ms` within TIME_MIN_MS..TIME_MAX_MS. */
void time_format(int64_t ms, char text[TIME_TEXT_SIZE]);

/* A day of the proleptic Gregorian calendar. */
struct civil_day {
    int64_t year;
    int month; /* 1 to 12 */
    int day;   /* 1 to 31 */
};
/* Days since 1970-01-01, and back; of any year that int64_t milliseconds can reach. */
int64_t civil_to_days(struct civil_day day);
struct civil_day civil_from_days(int64_t days);

#endif
