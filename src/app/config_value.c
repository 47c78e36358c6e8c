/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of the table, the syntax of values, and what each value may be. */
#include "app/config_priv.h"

#include "base/assert.h"
#include "http/trust.h"

#include <ctype.h>
#include <stdio.h>

#define MEMBER_TEXT(name) name
#define MEMBER_INT(name) name
#define MEMBER_BOOL(name) name
#define MEMBER_DURATION(name) name##_ms
#define MEMBER_SIZE(name) name
#define MEMBER_CHOICE(name) name

static const struct config_row rows[CONFIG_COUNT] = {
#define X(section, key, type, preset, lowest, highest, meaning)                                    \
    {#section, #key, #section "." #key, CONFIG_TYPE_##type, preset, lowest, highest, meaning},
    CONFIG_TABLE(X)
#undef X
};

static const size_t offsets[CONFIG_COUNT] = {
#define X(section, key, type, preset, lowest, highest, meaning)                                    \
    offsetof(struct config, MEMBER_##type(section##_##key)),
    CONFIG_TABLE(X)
#undef X
};

static const char *const type_texts[] = {
#define X(name, text) text,
    CONFIG_TYPE_TABLE(X)
#undef X
};

static const char *const origin_texts[] = {
#define X(name, text) text,
    CONFIG_ORIGIN_TABLE(X)
#undef X
};

struct unit {
    const char *suffix;
    int64_t factor;
};

static const struct unit time_units[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 60 * 60 * 1000}, {NULL, 0}};
static const struct unit size_units[] = {
    {"", 1}, {"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {NULL, 0}};

static bool parse_quantity(struct slice text, const struct unit *units, int64_t *ret_value) {
    size_t digits = 0;
    while (digits < text.len && isdigit((unsigned char)text.at[digits])) {
        digits++;
    }
    int64_t number;
    if (!slice_to_int(slice_from(text.at, digits), 0, INT64_MAX >> 31, &number)) {
        return false;
    }
    struct slice suffix = slice_skip(text, digits);
    for (const struct unit *unit = units; unit->suffix != NULL; unit++) {
        if (slice_eq_text(suffix, unit->suffix)) {
            *ret_value = number * unit->factor; /* below 2^32 * 2^30: cannot overflow */
            return true;
        }
    }
    return false;
}

bool config_parse_duration(struct slice text, int64_t *ret_ms) {
    if (slice_eq_text(text, "0")) { /* nothing has no need of a unit; every other number does */
        *ret_ms = 0;
        return true;
    }
    return parse_quantity(text, time_units, ret_ms);
}

bool config_parse_size(struct slice text, int64_t *ret_bytes) {
    return parse_quantity(text, size_units, ret_bytes);
}

bool config_parse_bool(struct slice text, bool *ret_value) {
    static const char *const yes[] = {"yes", "true", "on", "1"};
    static const char *const no[] = {"no", "false", "off", "0"};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        if (slice_eq_text(text, yes[i]) || slice_eq_text(text, no[i])) {
            *ret_value = slice_eq_text(text, yes[i]);
            return true;
        }
    }
    return false;
}

/* The index of `text` among words parted by |; -1 when it is none of them. */
static int choice_index(struct slice text, const char *words) {
    struct slice rest = slice_of(words);
    struct slice word;
    for (int i = 0; slice_next(&rest, '|', &word); i++) {
        if (slice_eq(text, word)) {
            return i;
        }
    }
    return -1;
}

static struct slice last_part(struct slice text, char separator, struct slice *ret_before) {
    size_t at = text.len;
    while (at > 0 && text.at[at - 1] != separator) {
        at--;
    }
    *ret_before = slice_from(text.at, at == 0 ? 0 : at - 1);
    return slice_from(text.at + at, text.len - at);
}

static bool is_host_and_port(struct slice text, int64_t port_lowest, size_t host_lowest) {
    struct slice host;
    int64_t port;
    struct slice port_text = last_part(text, ':', &host);
    if (port_text.len == text.len || !slice_to_int(port_text, port_lowest, 65535, &port)) {
        return false;
    }
    bool bracketed = host.len > 2 && host.at[0] == '[' && host.at[host.len - 1] == ']';
    bool has_colon = host.len > 0 && memchr(host.at, ':', host.len) != NULL;
    bool has_space = host.len > 0 && memchr(host.at, ' ', host.len) != NULL;
    return host.len >= host_lowest && has_colon == bracketed && !has_space;
}

static const char *check_listen(struct slice text) {
    if (is_host_and_port(text, 0, 0)) {
        return NULL;
    }
    return "expected host:port, such as 127.0.0.1:8080 or [::1]:8080";
}

static const char *check_store(struct slice text) {
    struct slice sqlite = SLICE_LIT("sqlite:");
    if (slice_starts_with(text, sqlite) && text.len > sqlite.len) {
        return NULL;
    }
    if (slice_starts_with(text, SLICE_LIT("postgres://")) ||
        slice_starts_with(text, SLICE_LIT("postgresql://"))) {
        return NULL;
    }
    return "expected sqlite:PATH or postgres://USER@HOST/DATABASE, such as sqlite:turnout.db";
}

static const char *check_redis(struct slice text) {
    struct slice rest = text;
    struct slice node;
    while (slice_next(&rest, ',', &node)) {
        if (!is_host_and_port(node, 1, 1)) {
            return "expected host:port,host:port, such as 10.0.0.1:6379,10.0.0.2:6379";
        }
    }
    return NULL;
}

static const char *check_proxies(struct slice text) {
    struct http_trust ignored;
    return http_trust_parse(text, &ignored);
}

/* Text settings with a shape of their own; NULL from a check: it is well formed. */
static const struct text_check {
    enum config_key_e key;
    const char *(*check)(struct slice text);
} text_checks[] = {
    {CONFIG_server_listen, check_listen},
    {CONFIG_store_url, check_store},
    {CONFIG_redis_nodes, check_redis},
    {CONFIG_server_trusted_proxies, check_proxies},
};

static const char *check_text(enum config_key_e key, struct slice text) {
    for (size_t i = 0; i < sizeof text_checks / sizeof text_checks[0]; i++) {
        if (text_checks[i].key == key) {
            return text_checks[i].check(text);
        }
    }
    return NULL;
}

/* Any type but TEXT as a number. */
static bool parse_number(const struct config_row *row, struct slice text, int64_t *ret_value) {
    bool truth;
    switch (row->type) {
    case CONFIG_TYPE_INT:
        return slice_to_int(text, 0, INT64_MAX, ret_value);
    case CONFIG_TYPE_DURATION:
        return config_parse_duration(text, ret_value);
    case CONFIG_TYPE_SIZE:
        return config_parse_size(text, ret_value);
    case CONFIG_TYPE_CHOICE:
        *ret_value = choice_index(text, row->lowest);
        return *ret_value >= 0;
    case CONFIG_TYPE_BOOL:
        if (!config_parse_bool(text, &truth)) {
            return false;
        }
        *ret_value = truth;
        return true;
    case CONFIG_TYPE_TEXT:
        break;
    }
    UNREACHABLE();
}

static bool is_in_range(const struct config_row *row, int64_t value) {
    if (row->type == CONFIG_TYPE_CHOICE || row->type == CONFIG_TYPE_BOOL) {
        return true;
    }
    struct config_row plain = *row;
    plain.type = row->type == CONFIG_TYPE_TEXT ? CONFIG_TYPE_INT : row->type;
    int64_t lowest, highest;
    bool parsed = parse_number(&plain, slice_of(row->lowest), &lowest) &&
                  parse_number(&plain, slice_of(row->highest), &highest);
    ASSERT(parsed); /* the table is wrong: every start would end here, so no release can have it */
    return value >= lowest && value <= highest;
}

static bool put_text(struct config *config, enum config_key_e key, struct slice text,
                     const char **ret_why) {
    if (!slice_is_utf8(text) || memchr(text.at == NULL ? "" : text.at, '\0', text.len) != NULL) {
        *ret_why = "expected UTF-8 text";
        return false;
    }
    *ret_why = check_text(key, text);
    if (*ret_why != NULL || !is_in_range(&rows[key], (int64_t)text.len)) {
        return false;
    }
    return slice_to_cstr(text, config_member(config, key), CONFIG_TEXT_SIZE);
}

void *config_member(struct config *config, enum config_key_e key) {
    return (char *)config + offsets[key];
}

bool config_put(struct config *config, enum config_key_e key, struct slice text,
                const char **ret_why) {
    const struct config_row *row = &rows[key];
    *ret_why = NULL;
    if (row->type == CONFIG_TYPE_TEXT) {
        return put_text(config, key, text, ret_why);
    }
    int64_t value;
    if (!parse_number(row, text, &value) || !is_in_range(row, value)) {
        return false;
    }
    void *member = config_member(config, key);
    if (row->type == CONFIG_TYPE_CHOICE) {
        *(int *)member = (int)value;
    } else if (row->type == CONFIG_TYPE_BOOL) {
        *(bool *)member = value != 0;
    } else {
        *(int64_t *)member = value;
    }
    return true;
}

const struct config_row *config_row(enum config_key_e key) {
    ASSERT((unsigned)key < CONFIG_COUNT);
    return &rows[key];
}

const char *config_type_text(enum config_type_e type) {
    return type_texts[type];
}

const char *config_origin_text(enum config_origin_e origin) {
    return origin_texts[origin];
}

void config_row_environment(const struct config_row *row, char ret_name[CONFIG_ENVIRONMENT_SIZE]) {
    int len = snprintf(ret_name, CONFIG_ENVIRONMENT_SIZE, "TURNOUT_%s_%s", row->section, row->key);
    ASSERT(len > 0 && len < CONFIG_ENVIRONMENT_SIZE);
    for (char *at = ret_name; *at != '\0'; at++) {
        *at = (char)toupper((unsigned char)*at);
    }
}

void config_row_range(const struct config_row *row, struct buf *to) {
    struct slice rest = slice_of(row->lowest);
    struct slice word;
    switch (row->type) {
    case CONFIG_TYPE_CHOICE:
        for (int i = 0; slice_next(&rest, '|', &word); i++) {
            buf_printf(to, "%s%.*s", i == 0 ? "" : " or ", SLICE_ARG(word));
        }
        return;
    case CONFIG_TYPE_BOOL:
        buf_add_text(to, "yes or no");
        return;
    case CONFIG_TYPE_TEXT:
        buf_printf(to, "%s to %s bytes", row->lowest, row->highest);
        return;
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_DURATION:
    case CONFIG_TYPE_SIZE:
        buf_printf(to, "%s to %s", row->lowest, row->highest);
        return;
    }
    UNREACHABLE();
}

void config_expected(enum config_key_e key, struct buf *to) {
    static const char *const nouns[] = {
        [CONFIG_TYPE_TEXT] = "text of",
        [CONFIG_TYPE_INT] = "a whole number from",
        [CONFIG_TYPE_BOOL] = "",
        [CONFIG_TYPE_DURATION] = "a duration (ms, s, m, h) from",
        [CONFIG_TYPE_SIZE] = "a size (K, M, G) from",
        [CONFIG_TYPE_CHOICE] = "",
    };
    const struct config_row *row = &rows[key];
    buf_printf(to, "expected %s%s", nouns[row->type], nouns[row->type][0] == '\0' ? "" : " ");
    config_row_range(row, to);
    if (row->preset[0] != '\0') {
        buf_printf(to, ", such as %s", row->preset);
    }
}
