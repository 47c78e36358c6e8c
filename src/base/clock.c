/* SPDX-License-Identifier: Apache-2.0 */
/* The system's clock, a clock for tests, and RFC 3339. */
#include "base/clock.h"

#include "base/assert.h"

#include <time.h>

static int64_t system_wall_ms(struct clock *clock) {
    (void)clock;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t system_mono_us(struct clock *clock) {
    (void)clock;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

struct clock *clock_system(void) {
    static struct clock system_clock = {system_wall_ms, system_mono_us};
    return &system_clock;
}

static int64_t virtual_wall_ms(struct clock *clock) {
    return ((struct virtual_clock *)clock)->now_wall_ms;
}

static int64_t virtual_mono_us(struct clock *clock) {
    return ((struct virtual_clock *)clock)->now_mono_us;
}

void virtual_clock_init(struct virtual_clock *clock, int64_t wall_ms) {
    *clock = (struct virtual_clock){{virtual_wall_ms, virtual_mono_us}, wall_ms, 0};
}

void virtual_clock_advance(struct virtual_clock *clock, int64_t ms) {
    ASSERT(ms >= 0);
    clock->now_wall_ms += ms;
    clock->now_mono_us += ms * 1000;
}

/* Days since 1970-01-01 in the proleptic Gregorian calendar, and back
 * (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms"). */
int64_t civil_to_days(struct civil_day day) {
    int64_t y = day.year - (day.month <= 2);
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (day.month + (day.month > 2 ? -3 : 9)) + 2) / 5 + day.day - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

struct civil_day civil_from_days(int64_t days) {
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    int month = (int)(mp < 10 ? mp + 3 : mp - 9);
    return (struct civil_day){.year = yoe + era * 400 + (month <= 2),
                              .month = month,
                              .day = (int)(doy - (153 * mp + 2) / 5 + 1)};
}

static int days_in_month(int64_t year, int month) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

static bool take_number(struct slice *text, size_t digits, int64_t lo, int64_t hi, int64_t *ret) {
    if (text->len < digits || !slice_to_int(slice_from(text->at, digits), lo, hi, ret)) {
        return false;
    }
    *text = slice_from(text->at + digits, text->len - digits);
    return true;
}

static bool take_char(struct slice *text, const char *any_of) {
    if (text->len == 0 || strchr(any_of, text->at[0]) == NULL || text->at[0] == '\0') {
        return false;
    }
    *text = slice_from(text->at + 1, text->len - 1);
    return true;
}

static bool take_date(struct slice *text, int64_t *ret_days) {
    int64_t year, month, day;
    if (!take_number(text, 4, 1, 9999, &year) || !take_char(text, "-") ||
        !take_number(text, 2, 1, 12, &month) || !take_char(text, "-") ||
        !take_number(text, 2, 1, days_in_month(year, (int)month), &day)) {
        return false;
    }
    *ret_days = civil_to_days((struct civil_day){year, (int)month, (int)day});
    return true;
}

static bool take_fraction(struct slice *text, int64_t *ret_ms) {
    *ret_ms = 0;
    if (!take_char(text, ".")) {
        return true;
    }
    size_t digits = 0;
    int64_t digit;
    while (digits < 9 && take_number(text, 1, 0, 9, &digit)) {
        static const int64_t weight[] = {100, 10, 1};
        *ret_ms += digits < 3 ? digit * weight[digits] : 0;
        digits++;
    }
    return digits > 0;
}

static bool take_time(struct slice *text, int64_t *ret_ms) {
    int64_t hour, minute, second, ms;
    if (!take_number(text, 2, 0, 23, &hour) || !take_char(text, ":") ||
        !take_number(text, 2, 0, 59, &minute) || !take_char(text, ":") ||
        !take_number(text, 2, 0, 60, &second) || !take_fraction(text, &ms)) {
        return false;
    }
    if (second == 60) {
        second = 59;
        ms = 999;
    }
    *ret_ms = ((hour * 60 + minute) * 60 + second) * 1000 + ms;
    return true;
}

static bool take_offset(struct slice *text, int64_t *ret_ms) {
    *ret_ms = 0;
    if (take_char(text, "Zz")) {
        return true;
    }
    if (text->len == 0) {
        return false;
    }
    int64_t sign = text->at[0] == '-' ? -1 : 1;
    int64_t hours, minutes;
    if (!take_char(text, "+-") || !take_number(text, 2, 0, 23, &hours) || !take_char(text, ":") ||
        !take_number(text, 2, 0, 59, &minutes)) {
        return false;
    }
    *ret_ms = sign * (hours * 60 + minutes) * 60000;
    return true;
}

bool time_parse(struct slice text, int64_t *ret_ms) {
    int64_t days, in_day, offset;
    if (!take_date(&text, &days) || !take_char(&text, "Tt ") || !take_time(&text, &in_day) ||
        !take_offset(&text, &offset) || text.len != 0) {
        return false;
    }
    int64_t ms = days * 86400000 + in_day - offset;
    if (ms < TIME_MIN_MS || ms > TIME_MAX_MS) {
        return false;
    }
    *ret_ms = ms;
    return true;
}

static char *put_digits(char *at, int64_t value, int digits) {
    for (int i = digits - 1; i >= 0; i--) {
        at[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return at + digits;
}

void time_format(int64_t ms, char text[TIME_TEXT_SIZE]) {
    ASSERT(ms >= TIME_MIN_MS && ms <= TIME_MAX_MS);
    int64_t days = ms / 86400000 - (ms % 86400000 < 0);
    int64_t in_day = ms - days * 86400000;
    struct civil_day civil = civil_from_days(days);
    char *at = put_digits(text, civil.year, 4);
    *at++ = '-';
    at = put_digits(at, civil.month, 2);
    *at++ = '-';
    at = put_digits(at, civil.day, 2);
    *at++ = 'T';
    at = put_digits(at, in_day / 3600000, 2);
    *at++ = ':';
    at = put_digits(at, in_day / 60000 % 60, 2);
    *at++ = ':';
    at = put_digits(at, in_day / 1000 % 60, 2);
    *at++ = '.';
    at = put_digits(at, in_day % 1000, 3);
    *at++ = 'Z';
    *at = '\0';
}
