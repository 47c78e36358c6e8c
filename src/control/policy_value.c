/* SPDX-License-Identifier: Apache-2.0 */
/* The syntax of the deciders' values. */
#include "control/policy_priv.h"

#include "base/assert.h"

#include <stdlib.h>

enum { PERCENT_DECIMALS = 6, RATIO_DECIMALS = 4, WHOLE_DIGITS_MAX = 9, NUMBER_SIZE = 48 };

static const struct time_unit {
    const char *suffix;
    int64_t ms;
} time_units[] = {{"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 60 * 60 * 1000}};

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static size_t count_digits(struct slice text) {
    size_t digits = 0;
    while (digits < text.len && is_digit(text.at[digits])) {
        digits++;
    }
    return digits;
}

/* "1.5" with 4 decimals is 15000, exactly. False for signs, exponents and more decimals. */
static bool parse_decimal(struct slice text, int decimals, int64_t *ret_value) {
    size_t whole = count_digits(text);
    struct slice rest = slice_skip(text, whole);
    if (whole == 0 || whole > WHOLE_DIGITS_MAX || (rest.len > 0 && rest.at[0] != '.')) {
        return false;
    }
    struct slice fraction = slice_skip(rest, 1);
    if (count_digits(fraction) != fraction.len || fraction.len > (size_t)decimals ||
        (rest.len > 0 && fraction.len == 0)) {
        return false;
    }
    int64_t value = 0;
    for (size_t i = 0; i < whole; i++) {
        value = value * 10 + (text.at[i] - '0');
    }
    for (size_t i = 0; i < (size_t)decimals; i++) {
        value = value * 10 + (i < fraction.len ? fraction.at[i] - '0' : 0);
    }
    *ret_value = value;
    return true;
}

bool policy_duration(struct slice text, int64_t *ret_ms) {
    size_t digits = count_digits(text);
    int64_t number;
    if (!slice_to_int(slice_from(text.at, digits), 0, INT32_MAX, &number)) {
        return false;
    }
    if (digits == text.len) { /* nothing needs no unit; every other number does */
        *ret_ms = 0;
        return number == 0;
    }
    struct slice suffix = slice_skip(text, digits);
    for (size_t i = 0; i < sizeof time_units / sizeof time_units[0]; i++) {
        if (slice_eq_text(suffix, time_units[i].suffix)) {
            *ret_ms = number * time_units[i].ms;
            return true;
        }
    }
    return false;
}

/* strtod takes more than a decimal number: hexadecimal, inf, nan, white space. */
static bool parse_number(struct slice text, double *ret_value) {
    char number[NUMBER_SIZE];
    for (size_t i = 0; i < text.len; i++) {
        if (!is_digit(text.at[i]) && strchr("+-.eE", text.at[i]) == NULL) {
            return false;
        }
    }
    if (text.len == 0 || !slice_to_cstr(text, number, sizeof number)) {
        return false;
    }
    char *end;
    *ret_value = strtod(number, &end);
    return *end == '\0' && isfinite(*ret_value);
}

static bool parse_flag(struct slice text, int64_t *ret_value) {
    static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (slice_eq_text(text, words[i])) {
            *ret_value = (int64_t)(i % 2);
            return true;
        }
    }
    return false;
}

/* `words` is "|one|two|…". */
static bool parse_choice(struct slice text, const char *words, int64_t *ret_value) {
    struct slice rest = slice_of(words + 1);
    struct slice word;
    for (int64_t i = 0; slice_next(&rest, '|', &word); i++) {
        if (slice_eq(text, word)) {
            *ret_value = i;
            return true;
        }
    }
    return false;
}

/* "none", or up to LADDER_MAX actions parted by commas. */
static bool parse_ladder(const struct policy_row *row, struct slice text,
                         struct ladder *ret_ladder) {
    struct ladder ladder = {.len = 0};
    struct slice rest = text;
    struct slice word;
    while (!slice_eq_text(text, "none") && slice_next(&rest, ',', &word)) {
        int64_t action;
        if (ladder.len == LADDER_MAX || !parse_choice(slice_trim(word), row->lowest, &action) ||
            action == ACTION_NONE) {
            return false;
        }
        ladder.at[ladder.len++] = (int)action;
    }
    *ret_ladder = ladder;
    return text.len > 0 && text.at[text.len - 1] != ',';
}

/* No control characters: a text may become a header or a command. */
static bool is_plain(struct slice text) {
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.at[i] < 0x20 || text.at[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

/* Every type but NUMBER, LADDER and TEXT as an integer. */
static bool parse_integer(const struct policy_row *row, struct slice text, int64_t *ret_value) {
    switch (row->type) {
    case SETTING_COUNT:
        return parse_decimal(text, 0, ret_value);
    case SETTING_PERCENT:
        return parse_decimal(text, PERCENT_DECIMALS, ret_value);
    case SETTING_RATIO:
        return parse_decimal(text, RATIO_DECIMALS, ret_value);
    case SETTING_DURATION:
        return policy_duration(text, ret_value);
    case SETTING_FLAG:
        return parse_flag(text, ret_value);
    case SETTING_CHOICE:
        return parse_choice(text, row->lowest, ret_value);
    case SETTING_NUMBER:
    case SETTING_LADDER:
    case SETTING_TEXT:
        break;
    }
    UNREACHABLE();
}

static bool has_range(const struct policy_row *row) {
    return row->highest[0] != '\0';
}

static bool is_in_range(const struct policy_row *row, int64_t value) {
    if (!has_range(row)) {
        return true;
    }
    int64_t lowest = 0;
    int64_t highest = 0;
    bool parsed = parse_integer(row, slice_of(row->lowest), &lowest) &&
                  parse_integer(row, slice_of(row->highest), &highest);
    ASSERT(parsed); /* the table itself is wrong */
    return value >= lowest && value <= highest;
}

static void store(const struct policy_row *row, int64_t value, void *member) {
    if (row->type == SETTING_CHOICE) {
        *(int *)member = (int)value;
    } else if (row->type == SETTING_FLAG) {
        *(bool *)member = value != 0;
    } else {
        *(int64_t *)member = value;
    }
}

bool policy_put(const struct policy_row *row, struct slice text, void *object) {
    void *member = (char *)object + row->offset;
    if (row->type == SETTING_NUMBER) {
        double number;
        if (!parse_number(text, &number)) {
            return false;
        }
        *(double *)member = number;
        return true;
    }
    if (row->type == SETTING_LADDER) {
        return parse_ladder(row, text, member);
    }
    if (row->type == SETTING_TEXT) {
        return is_plain(text) && slice_to_cstr(text, member, SETTING_TEXT_SIZE);
    }
    int64_t value;
    if (!parse_integer(row, text, &value) || !is_in_range(row, value)) {
        return false;
    }
    store(row, value, member);
    return true;
}

/* "|one|two" as "one, two" */
static void write_words(const char *words, struct buf *to) {
    struct slice rest = slice_of(words + 1);
    struct slice word;
    for (int i = 0; slice_next(&rest, '|', &word); i++) {
        buf_printf(to, "%s%.*s", i == 0 ? "" : ", ", SLICE_ARG(word));
    }
}

void policy_row_range(const struct policy_row *row, struct buf *to) {
    if (row->type == SETTING_CHOICE) {
        write_words(row->lowest, to);
    } else if (row->type == SETTING_LADDER) {
        buf_printf(to, "up to %d of ", LADDER_MAX);
        write_words(row->lowest + strlen("|NONE"), to);
        buf_add_text(to, ", parted by commas");
    } else if (row->type == SETTING_TEXT) {
        buf_printf(to, "%s to %s bytes", row->lowest, row->highest);
    } else if (row->type == SETTING_FLAG) {
        buf_add_text(to, "yes or no");
    } else if (row->type == SETTING_NUMBER) {
        buf_add_text(to, "any");
    } else {
        buf_printf(to, "%s to %s", row->lowest, row->highest);
    }
}

void policy_expected(const struct policy_row *row, struct buf *to) {
    static const char *const nouns[] = {
        [SETTING_COUNT] = "a whole number from ",
        [SETTING_PERCENT] = "a number from ",
        [SETTING_RATIO] = "a factor from ",
        [SETTING_NUMBER] = "a number, ",
        [SETTING_DURATION] = "a duration (ms, s, m, h) from ",
        [SETTING_FLAG] = "",
        [SETTING_CHOICE] = "one of ",
        [SETTING_LADDER] = "",
        [SETTING_TEXT] = "plain text of ",
    };
    buf_printf(to, "expected %s", nouns[row->type]);
    policy_row_range(row, to);
    if (row->preset[0] != '\0' && row->type != SETTING_CHOICE && row->type != SETTING_FLAG &&
        row->type != SETTING_LADDER) {
        buf_printf(to, ", such as %s", row->preset);
    }
}
