/* SPDX-License-Identifier: Apache-2.0 */
/* Where settings come from: the table, the INI file, the environment, the flags, in this order. */
#include "app/config.h"

#include "app/config_priv.h"
#include "base/nearest.h"
#include "control/policy.h"
#include "base/assert.h"

#include <ini.h>

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const char environment_prefix[] = "TURNOUT_";

/* Reading one file. inih splits lines; what it would pass over in silence is caught in
 * next_line. */
struct reading {
    struct config *config;
    struct buf *errors;
    FILE *file;
    char *line; /* getline's */
    size_t line_size;
    int line_number;
    bool section_was_seen; /* a head, known or not */
    bool section_is_known;
};

static void report(struct buf *errors, const char *format, ...) PRINTF_LIKE(2, 3);
static void report(struct buf *errors, const char *format, ...) {
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *at = text; *at != '\0'; at++) { /* what is quoted cannot forge a line */
        *at = (unsigned char)*at < 0x20 || *at == 0x7f ? '?' : *at;
    }
    buf_printf(errors, "%s\n", text);
}

static int row_find(struct slice section, struct slice key) {
    for (int i = 0; i < CONFIG_COUNT; i++) {
        const struct config_row *row = config_row((enum config_key_e)i);
        if (slice_eq_text(section, row->section) && slice_eq_text(key, row->key)) {
            return i;
        }
    }
    return -1;
}

static bool is_control_section(struct slice section) {
    return slice_eq_text(section, "scaler") || slice_eq_text(section, "balancer") ||
           (slice_starts_with(section, SLICE_LIT("alert.")) && section.len > strlen("alert.")) ||
           (slice_starts_with(section, SLICE_LIT("notify.")) && section.len > strlen("notify."));
}

static bool is_own_section(struct slice section) {
    for (int i = 0; i < CONFIG_COUNT; i++) {
        if (slice_eq_text(section, config_row((enum config_key_e)i)->section)) {
            return true;
        }
    }
    return false;
}

static const char *nearest_section(struct slice section) {
    struct nearest nearest;
    nearest_init(&nearest, section);
    for (int i = 0; i < CONFIG_COUNT; i++) {
        nearest_offer(&nearest, config_row((enum config_key_e)i)->section);
    }
    nearest_offer(&nearest, "scaler");
    nearest_offer(&nearest, "balancer");
    nearest_offer(&nearest, "alert.high_response_time");
    nearest_offer(&nearest, "notify.team");
    return nearest.best;
}

static const char *nearest_setting(const char *name) {
    struct nearest nearest;
    nearest_init(&nearest, slice_of(name));
    for (int i = 0; i < CONFIG_COUNT; i++) {
        nearest_offer(&nearest, config_row((enum config_key_e)i)->name);
    }
    return nearest.best;
}

static void report_unknown(struct buf *errors, const char *where, const char *name) {
    const char *best = nearest_setting(name);
    report(errors, "%s: unknown setting %s%s%s (turnout help config lists every one)", where, name,
           best == NULL ? "" : ": did you mean ", best == NULL ? "" : best);
}

/* `where` is how messages begin: "turnout.ini:4", "TURNOUT_STORE_URL", "--store". */
static bool put(struct config *config, enum config_key_e key, struct slice value, const char *where,
                struct buf *errors) {
    const char *why;
    if (config_put(config, key, value, &why)) {
        return true;
    }
    const struct config_row *row = config_row(key);
    struct buf expected;
    buf_init(&expected, 1024);
    config_expected(key, &expected);
    buf_add_char(&expected, '\0');
    /* A text may hold a password (postgres://user:password@…): it is never repeated. */
    bool quotable = row->type != CONFIG_TYPE_TEXT;
    report(errors, "%s: %s%s%.*s: %s", where, row->name, quotable ? " = " : "",
           quotable ? (int)(value.len < 64 ? value.len : 64) : 0, value.at == NULL ? "" : value.at,
           why != NULL ? why : expected.failed ? "wrong value" : expected.at);
    buf_fini(&expected);
    return false;
}

static bool keep_control_line(struct config *config, const struct config_line *line) {
    if (config->control_len == CONFIG_CONTROL_LINES_MAX) {
        return false;
    }
    struct config_line copy = {
        .line = line->line,
        .section = arena_copy(&config->arena, line->section),
        .key = arena_copy(&config->arena, line->key),
        .value = arena_copy(&config->arena, line->value),
    };
    if (config->control == NULL) {
        config->control =
            arena_alloc(&config->arena, CONFIG_CONTROL_LINES_MAX * sizeof *config->control);
    }
    if (config->control == NULL || copy.section.at == NULL || copy.key.at == NULL ||
        copy.value.at == NULL) {
        return false;
    }
    config->control[config->control_len++] = copy;
    return true;
}

/* ---- The file ---- */

static void where_in_file(const struct reading *reading, char *ret_text, size_t size) {
    snprintf(ret_text, size, "%s:%d", reading->config->file, reading->line_number);
}

static void report_line(struct reading *reading, const char *what) {
    report(reading->errors, "%s:%d: %s", reading->config->file, reading->line_number, what);
}

/* False when the line is a broken or unknown section head. Other lines pass. */
static bool check_section_head(struct reading *reading, struct slice line) {
    struct slice text = slice_trim(line);
    if (text.len == 0 || text.at[0] != '[') {
        return true;
    }
    reading->section_was_seen = true;
    reading->section_is_known = false;
    const char *end = memchr(text.at, ']', text.len);
    if (end == NULL) {
        report_line(reading, "expected a section in brackets, such as [server]");
        return false;
    }
    struct slice name = slice_from(text.at + 1, (size_t)(end - text.at) - 1);
    struct slice rest = slice_trim(slice_skip(text, name.len + 2));
    if (rest.len > 0 && rest.at[0] != ';' && rest.at[0] != '#') {
        report_line(reading, "expected nothing behind the section but a comment");
        return false;
    }
    if (name.len <= CONFIG_SECTION_MAX && (is_own_section(name) || is_control_section(name))) {
        reading->section_is_known = true;
        return true;
    }
    const char *best = nearest_section(name);
    report(reading->errors, "%s:%d: unknown section [%.*s]%s%s%s (turnout help config lists all)",
           reading->config->file, reading->line_number, SLICE_ARG(name),
           best == NULL ? "" : ": did you mean [", best == NULL ? "" : best,
           best == NULL ? "" : "]");
    return false;
}

/* An ini_reader: one line, or an empty one in place of a line that was reported. */
static char *next_line(char *to, int size, void *stream) {
    struct reading *reading = stream;
    ssize_t len = getline(&reading->line, &reading->line_size, reading->file);
    if (len < 0) {
        return NULL;
    }
    reading->line_number++;
    struct slice line = slice_from(reading->line, (size_t)len);
    while (line.len > 0 && (line.at[line.len - 1] == '\n' || line.at[line.len - 1] == '\r')) {
        line.len--;
    }
    bool good = false;
    if (line.len > CONFIG_LINE_MAX || line.len + 3 > (size_t)size) {
        report_line(reading, "the line is too long: at most 1200 bytes");
    } else if (memchr(line.at, '\0', line.len) != NULL || !slice_is_utf8(line)) {
        report_line(reading, "expected UTF-8 text");
    } else {
        struct slice bom = SLICE_LIT("\xEF\xBB\xBF");
        bool marked = reading->line_number == 1 && slice_starts_with(line, bom);
        good = check_section_head(reading, marked ? slice_skip(line, bom.len) : line);
    }
    snprintf(to, (size_t)size, "%.*s\n", good ? (int)line.len : 0, line.at);
    return to;
}

static void take_own(struct reading *reading, const char *section, const char *key,
                     struct slice value) {
    struct config *config = reading->config;
    char where[CONFIG_TEXT_SIZE + 16];
    where_in_file(reading, where, sizeof where);
    int row = row_find(slice_of(section), slice_of(key));
    if (row < 0) {
        char name[2 * CONFIG_TEXT_SIZE];
        snprintf(name, sizeof name, "%s.%s", section, key);
        report_unknown(reading->errors, where, name);
        return;
    }
    if (config->lines[row] != 0) {
        report(reading->errors, "%s: %s is set already on line %d: keep one of the two", where,
               config_row((enum config_key_e)row)->name, config->lines[row]);
        return;
    }
    config->lines[row] = reading->line_number;
    config->origins[row] = CONFIG_ORIGIN_FILE;
    (void)put(config, (enum config_key_e)row, value, where, reading->errors);
}

/* An ini_handler: 1 goes on. Errors are kept in `reading`, so that all of them are seen. */
static int take_line(void *data, const char *section, const char *key, const char *value) {
    struct reading *reading = data;
    if (!reading->section_was_seen) {
        report_line(reading, "expected a section before the first setting, such as [server]");
        return 1;
    }
    if (!reading->section_is_known) {
        return 1; /* its head was reported */
    }
    if (value == NULL || key[0] == '\0') {
        report_line(reading, "expected key = value, such as listen = 127.0.0.1:8080");
        return 1;
    }
    if (!is_control_section(slice_of(section))) {
        take_own(reading, section, key, slice_of(value));
        return 1;
    }
    struct config_line line = {.line = reading->line_number,
                               .section = slice_of(section),
                               .key = slice_of(key),
                               .value = slice_of(value)};
    if (!keep_control_line(reading->config, &line)) {
        report_line(reading, "too many lines for the control plane");
    }
    return 1;
}

static void load_file(struct config *config, struct buf *errors) {
    struct reading reading = {.config = config, .errors = errors};
    reading.file = fopen(config->file, "re");
    if (reading.file == NULL) {
        report(errors, "%s: cannot be read: %s", config->file, strerror(errno));
        return;
    }
    ini_allow_multiline = false; /* an indented line is a setting like others, never glued on */
    ini_allow_no_value = true;   /* so that take_line says what is missing */
    ini_use_stack = false;
    ini_initial_alloc = CONFIG_LINE_MAX + 8;
    ini_max_line = CONFIG_LINE_MAX + 8;
    int rc = ini_parse_stream(next_line, &reading, take_line, &reading);
    if (rc == -2) {
        report(errors, "%s: no memory to read it", config->file);
    } else if (rc != 0) {
        report(errors, "%s:%d: expected [section] or key = value", config->file, rc);
    }
    if (ferror(reading.file)) {
        report(errors, "%s: cannot be read: %s", config->file, strerror(errno));
    }
    free(reading.line);
    fclose(reading.file);
}

/* ---- The environment ---- */

static int row_find_environment(struct slice name) {
    for (int i = 0; i < CONFIG_COUNT; i++) {
        char known[CONFIG_ENVIRONMENT_SIZE];
        config_row_environment(config_row((enum config_key_e)i), known);
        if (slice_eq_text(name, known)) {
            return i;
        }
    }
    return -1;
}

/* "SERVER_LOOPS" into section "server" and key "loops", in `text`. False: not of this shape. */
static bool split_variable(struct slice name, char *text, size_t size, struct slice *ret_section,
                           struct slice *ret_key) {
    if (!slice_to_cstr(slice_skip(name, strlen(environment_prefix)), text, size)) {
        return false;
    }
    for (char *at = text; *at != '\0'; at++) {
        *at = (char)tolower((unsigned char)*at);
    }
    char *underscore = strchr(text, '_');
    if (underscore == NULL || underscore[1] == '\0') {
        return false;
    }
    *ret_section = slice_from(text, (size_t)(underscore - text));
    *ret_key = slice_of(underscore + 1);
    return true;
}

/* A variable that is no setting of ours. Those that begin with the name of one of our sections are
 * mistakes worth stopping for; others (a script's TURNOUT_URL) are nobody's business. */
static void take_other_variable(struct config *config, struct slice name, struct slice value,
                                struct buf *errors) {
    char text[256];
    struct slice section, key;
    if (!split_variable(name, text, sizeof text, &section, &key)) {
        return;
    }
    char where[256];
    snprintf(where, sizeof where, "%.*s", SLICE_ARG(name));
    if (is_control_section(section)) {
        struct config_line line = {.section = section, .key = key, .value = value};
        if (!keep_control_line(config, &line)) {
            report(errors, "%s: too many lines for the control plane", where);
        }
    } else if (slice_eq_text(section, "alert")) {
        report(errors,
               "%s: alert rules are set in the file alone, such as [alert.memory_usage_high]",
               where);
    } else if (is_own_section(section)) {
        text[section.len] = '.';
        report_unknown(errors, where, text);
    }
}

static void load_environment(struct config *config, char *const *environment, struct buf *errors) {
    for (; environment != NULL && *environment != NULL; environment++) {
        struct slice value = slice_of(*environment);
        struct slice name;
        if (!slice_starts_with(value, slice_of(environment_prefix)) ||
            !slice_next(&value, '=', &name)) {
            continue;
        }
        int row = row_find_environment(name);
        if (row < 0) {
            take_other_variable(config, name, value, errors);
            continue;
        }
        char where[CONFIG_ENVIRONMENT_SIZE];
        config_row_environment(config_row((enum config_key_e)row), where);
        config->origins[row] = CONFIG_ORIGIN_ENVIRONMENT;
        (void)put(config, (enum config_key_e)row, value, where, errors);
    }
}

/* ---- All of them ---- */

static void load_defaults(struct config *config) {
    for (int i = 0; i < CONFIG_COUNT; i++) {
        const char *why;
        enum config_key_e key = (enum config_key_e)i;
        bool good = config_put(config, key, slice_of(config_row(key)->preset), &why);
        ASSERT(good);
    }
}

static void load_flags(struct config *config, const struct config_input *input,
                       struct buf *errors) {
    for (size_t i = 0; i < input->flags_len; i++) {
        const struct config_flag *flag = &input->flags[i];
        config->origins[flag->key] = CONFIG_ORIGIN_FLAG;
        (void)put(config, flag->key, slice_of(flag->value), flag->flag, errors);
    }
}

static struct policy_line policy_line_of(const struct config_line *line) {
    return (struct policy_line){line->line, line->section, line->key, line->value};
}

void config_policy(const struct config *config, struct policy *ret_policy) {
    struct buf errors;
    buf_init(&errors, 1);
    policy_init(ret_policy, config->file);
    for (size_t i = 0; i < config->control_len; i++) {
        struct policy_line line = policy_line_of(&config->control[i]);
        enum err_e err = policy_set(ret_policy, &line, &errors);
        ASSERT(err == ERR_OK); /* config_load checked every line */
    }
    buf_fini(&errors);
}

static void check_control(const struct config *config, struct buf *errors) {
    struct policy policy;
    policy_init(&policy, config->file);
    size_t before = errors->len;
    for (size_t i = 0; i < config->control_len; i++) {
        struct policy_line line = policy_line_of(&config->control[i]);
        (void)policy_set(&policy, &line, errors);
    }
    if (errors->len == before) { /* else what follows from a wrong line would be told too */
        enum err_e ignored = policy_check(&policy, errors);
        (void)ignored; /* told in `errors` */
    }
}

enum err_e config_load(struct config *ret_config, const struct config_input *input,
                       struct buf *ret_errors) {
    struct config *config = ret_config;
    memset(config, 0, sizeof *config);
    arena_init(&config->arena, CONFIG_MEMORY_MAX);
    config->file = input->file;
    size_t before = ret_errors->len;
    load_defaults(config);
    if (config->file != NULL) {
        load_file(config, ret_errors);
    }
    load_environment(config, input->environment, ret_errors);
    load_flags(config, input, ret_errors);
    check_control(config, ret_errors);
    return ret_errors->len == before && !ret_errors->failed ? ERR_OK : ERR_CONFIG;
}

void config_fini(struct config *config) {
    arena_fini(&config->arena);
}
