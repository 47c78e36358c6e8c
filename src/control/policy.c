/* SPDX-License-Identifier: Apache-2.0 */
/* Filling a policy line by line, and saying what is wrong with a line. */
#include "control/policy.h"

#include "base/assert.h"
#include "base/nearest.h"
#include "control/policy_priv.h"

#include <stdarg.h>
#include <stdio.h>

#define SECTION_SCALER "scaler"
#define SECTION_BALANCER "balancer"
#define SECTION_ALERT "alert.NAME"
#define SECTION_NOTIFY "notify.NAME"
static const char alert_prefix[] = "alert.";
static const char notify_prefix[] = "notify.";

#define SETTING_OFFSET_COUNT(type, key) offsetof(type, key)
#define SETTING_OFFSET_PERCENT(type, key) offsetof(type, key##_micro)
#define SETTING_OFFSET_RATIO(type, key) offsetof(type, key##_e4)
#define SETTING_OFFSET_NUMBER(type, key) offsetof(type, key)
#define SETTING_OFFSET_DURATION(type, key) offsetof(type, key##_ms)
#define SETTING_OFFSET_FLAG(type, key) offsetof(type, key)
#define SETTING_OFFSET_CHOICE(type, key) offsetof(type, key)
#define SETTING_OFFSET_LADDER(type, key) offsetof(type, key)
#define SETTING_OFFSET_TEXT(type, key) offsetof(type, key)

static const struct policy_row all_rows[] = {
#define X(key, type, preset, lowest, highest, meaning)                                             \
    {SECTION_SCALER, #key, SETTING_##type, preset, lowest, highest, meaning,                       \
     SETTING_OFFSET_##type(struct scaler_policy, key)},
    SCALER_TABLE(X)
#undef X
#define X(key, type, preset, lowest, highest, meaning)                                             \
    {SECTION_BALANCER, #key, SETTING_##type, preset, lowest, highest, meaning,                     \
     SETTING_OFFSET_##type(struct balancer_policy, key)},
    BALANCER_TABLE(X)
#undef X
#define X(key, type, preset, lowest, highest, meaning)                                             \
    {SECTION_ALERT, #key, SETTING_##type, preset, lowest, highest, meaning,                        \
     SETTING_OFFSET_##type(struct alert_rule, key)},
    ALERT_TABLE(X)
#undef X
#define X(key, type, preset, lowest, highest, meaning)                                             \
    {SECTION_NOTIFY, #key, SETTING_##type, preset, lowest, highest, meaning,                       \
     SETTING_OFFSET_##type(struct receiver, key)},
    RECEIVER_TABLE(X)
#undef X
};

#define X(...) +1
enum {
    SCALER_ROWS = 0 SCALER_TABLE(X),
    BALANCER_ROWS = 0 BALANCER_TABLE(X),
    ALERT_ROWS = 0 ALERT_TABLE(X),
    RECEIVER_ROWS = 0 RECEIVER_TABLE(X),
};
#undef X
_Static_assert((int)SCALER_ROWS <= (int)SETTINGS_PER_SECTION &&
                   (int)BALANCER_ROWS <= (int)SETTINGS_PER_SECTION &&
                   (int)ALERT_ROWS <= (int)SETTINGS_PER_SECTION &&
                   (int)RECEIVER_ROWS <= (int)SETTINGS_PER_SECTION,
               "the line numbers of a section have a place each");

/* The rows of one section, in the order of its table. */
struct rows {
    const struct policy_row *at;
    size_t len;
};
static const struct rows scaler_rows = {all_rows, SCALER_ROWS};
static const struct rows balancer_rows = {all_rows + SCALER_ROWS, BALANCER_ROWS};
static const struct rows alert_rows = {all_rows + SCALER_ROWS + BALANCER_ROWS, ALERT_ROWS};
static const struct rows receiver_rows = {all_rows + SCALER_ROWS + BALANCER_ROWS + ALERT_ROWS,
                                          RECEIVER_ROWS};

#define X(name, text) text,
static const char *const severity_words[] = {SEVERITY_TABLE(X)};
static const char *const action_words[] = {ACTION_TABLE(X)};
static const char *const op_words[] = {OP_TABLE(X)};
static const char *const type_words[] = {SETTING_TYPE_TABLE(X)};
static const char *const receiver_type_words[] = {RECEIVER_TYPE_TABLE(X)};
#undef X

static const struct builtin {
    const char *name;
    const char *values[6]; /* in the order of builtin_keys */
    enum listed_e listed;
} builtins[] = {
#define X(name, metric, op, threshold, hold, severity, action, listed)                             \
    {#name, {metric, op, threshold, hold, severity, action}, LISTED_##listed},
    BUILTIN_RULE_TABLE(X)
#undef X
};
static const char *const builtin_keys[] = {"metric", "op",       "threshold",
                                           "for",    "severity", "action"};

const char *severity_text(enum severity_e severity) {
    return severity_words[severity];
}

const char *action_text(enum action_e action) {
    return action_words[action];
}

const char *op_text(enum op_e op) {
    return op_words[op];
}

const char *receiver_type_text(enum receiver_type_e type) {
    return receiver_type_words[type];
}

const char *setting_type_text(enum setting_type_e type) {
    return type_words[type];
}

void rule_subject(const struct alert_rule *rule, char ret_text[SUBJECT_SIZE]) {
    bool has_per = rule->per > 0;
    snprintf(ret_text, SUBJECT_SIZE, "%s%s%s%s", metric_text((enum metric_e)rule->metric),
             has_per ? " / " : "", has_per ? metric_text((enum metric_e)(rule->per - 1)) : "",
             rule->rate_over_ms > 0 ? " a second" : "");
}

size_t policy_rows(const struct policy_row **ret_rows) {
    *ret_rows = all_rows;
    return sizeof all_rows / sizeof all_rows[0];
}

/* ---- Messages: "turnout.ini:12: scaler.min = x: expected …" ---- */

static void report(const struct policy *policy, int line, struct buf *errors, const char *format,
                   ...) PRINTF_LIKE(4, 5);
static void report(const struct policy *policy, int line, struct buf *errors, const char *format,
                   ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *at = text; *at != '\0'; at++) { /* what is quoted cannot forge a line */
        *at = (unsigned char)*at < 0x20 || *at == 0x7f ? '?' : *at;
    }
    if (line > 0 && policy->file != NULL) {
        buf_printf(errors, "%s:%d: ", policy->file, line);
    } else if (line > 0) {
        buf_printf(errors, "line %d: ", line);
    }
    buf_printf(errors, "%s\n", text);
}

static void report_unknown(const struct policy *policy, const struct policy_line *line,
                           const struct rows *rows, struct buf *errors) {
    struct nearest nearest;
    nearest_init(&nearest, line->key);
    for (size_t i = 0; i < rows->len; i++) {
        nearest_offer(&nearest, rows->at[i].key);
    }
    report(policy, line->line, errors, "unknown setting %.*s.%.*s%s%s", SLICE_ARG(line->section),
           SLICE_ARG(line->key), nearest.best == NULL ? "" : ": did you mean ",
           nearest.best == NULL ? "" : nearest.best);
}

static void report_value(const struct policy *policy, const struct policy_line *line,
                         const struct policy_row *row, struct buf *errors) {
    struct buf expected;
    buf_init(&expected, 1024);
    policy_expected(row, &expected);
    struct nearest nearest;
    nearest_init(&nearest, line->value);
    char word[64];
    struct slice rest = slice_of(row->type == SETTING_CHOICE ? row->lowest + 1 : "");
    struct slice part;
    char best[64] = "";
    while (slice_next(&rest, '|', &part) && slice_to_cstr(part, word, sizeof word)) {
        nearest_offer(&nearest, word);
        if (nearest.best == word) { /* `word` is overwritten by the next one */
            snprintf(best, sizeof best, "%s", word);
            nearest.best = best;
        }
    }
    bool quotable = row->type != SETTING_TEXT;
    report(policy, line->line, errors, "%.*s.%.*s%s%.*s: %.*s%s%s", SLICE_ARG(line->section),
           SLICE_ARG(line->key), quotable ? " = " : "",
           quotable ? (int)(line->value.len < 64 ? line->value.len : 64) : 0,
           line->value.at == NULL ? "" : line->value.at, (int)expected.len, expected.at,
           best[0] == '\0' ? "" : ": did you mean ", best);
    buf_fini(&expected);
}

/* ---- Lines ---- */

/* One section: its rows, the struct they are stored in, and where each key was set. */
struct target {
    const struct rows *rows;
    void *object;
    int *lines;
};

static enum err_e set_in(const struct policy *policy, const struct policy_line *line,
                         const struct target *target, struct buf *errors) {
    const struct rows *rows = target->rows;
    int *lines = target->lines;
    for (size_t i = 0; i < rows->len; i++) {
        const struct policy_row *row = &rows->at[i];
        if (!slice_eq_text(line->key, row->key)) {
            continue;
        }
        if (line->line > 0 && lines[i] > 0) {
            report(policy, line->line, errors,
                   "%.*s.%.*s is set already on line %d: keep one of the two",
                   SLICE_ARG(line->section), SLICE_ARG(line->key), lines[i]);
            return ERR_CONFIG;
        }
        lines[i] = line->line;
        if (policy_put(row, line->value, target->object)) {
            return ERR_OK;
        }
        report_value(policy, line, row, errors);
        return ERR_CONFIG;
    }
    report_unknown(policy, line, rows, errors);
    return ERR_CONFIG;
}

static void put_presets(const struct rows *rows, void *object) {
    for (size_t i = 0; i < rows->len; i++) {
        bool stored = rows->at[i].preset[0] == '\0' ||
                      policy_put(&rows->at[i], slice_of(rows->at[i].preset), object);
        ASSERT(stored); /* the table itself is wrong */
    }
}

static struct alert_rule *find_rule(struct policy *policy, struct slice name) {
    for (size_t i = 0; i < policy->rules_len; i++) {
        if (slice_eq_text(name, policy->rules[i].name)) {
            return &policy->rules[i];
        }
    }
    return NULL;
}

/* NULL when there is no room for it. */
static struct alert_rule *add_rule(struct policy *policy, struct slice name) {
    if (policy->rules_len == ALERT_RULES_MAX) {
        return NULL;
    }
    struct alert_rule *rule = &policy->rules[policy->rules_len++];
    *rule = (struct alert_rule){
        .metric = -1, .threshold = FIGURE_MISSING, .clear = FIGURE_MISSING};
    bool fits = slice_to_cstr(name, rule->name, sizeof rule->name);
    ASSERT(fits);
    put_presets(&alert_rows, rule);
    return rule;
}

static bool name_is_valid(struct slice name) {
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789_-";
    for (size_t i = 0; i < name.len; i++) {
        if (name.at[i] == '\0' || strchr(allowed, name.at[i]) == NULL) {
            return false;
        }
    }
    return name.len >= 1 && name.len < ALERT_NAME_SIZE;
}

static enum err_e refuse_name(const struct policy *policy, const struct policy_line *line,
                              struct buf *errors) {
    report(policy, line->line, errors, "[%.*s]: the name is 1 to %d letters, digits, _ or -",
           SLICE_ARG(line->section), ALERT_NAME_SIZE - 1);
    return ERR_CONFIG;
}

static enum err_e set_alert(struct policy *policy, const struct policy_line *line,
                            struct buf *errors) {
    struct slice name = slice_skip(line->section, strlen(alert_prefix));
    if (!name_is_valid(name)) {
        return refuse_name(policy, line, errors);
    }
    struct alert_rule *rule = find_rule(policy, name);
    if (rule == NULL) {
        rule = add_rule(policy, name);
    }
    if (rule == NULL) {
        report(policy, line->line, errors, "[%.*s]: at most %d rules", SLICE_ARG(line->section),
               ALERT_RULES_MAX);
        return ERR_CONFIG;
    }
    rule->line = rule->line == 0 ? line->line : rule->line;
    return set_in(policy, line, &(struct target){&alert_rows, rule, rule->lines}, errors);
}

/* The receiver of this name, made if it is not there; NULL when there is no room for it. */
static struct receiver *receiver_of(struct policy *policy, struct slice name) {
    for (size_t i = 0; i < policy->receivers_len; i++) {
        if (slice_eq_text(name, policy->receivers[i].name)) {
            return &policy->receivers[i];
        }
    }
    if (policy->receivers_len == RECEIVERS_MAX) {
        return NULL;
    }
    struct receiver *added = &policy->receivers[policy->receivers_len++];
    *added = (struct receiver){.type = -1};
    bool fits = slice_to_cstr(name, added->name, sizeof added->name);
    ASSERT(fits);
    put_presets(&receiver_rows, added);
    return added;
}

static enum err_e set_receiver(struct policy *policy, const struct policy_line *line,
                               struct buf *errors) {
    struct slice name = slice_skip(line->section, strlen(notify_prefix));
    if (!name_is_valid(name)) {
        return refuse_name(policy, line, errors);
    }
    struct receiver *receiver = receiver_of(policy, name);
    if (receiver == NULL) {
        report(policy, line->line, errors, "[%.*s]: at most %d receivers",
               SLICE_ARG(line->section), RECEIVERS_MAX);
        return ERR_CONFIG;
    }
    receiver->line = receiver->line == 0 ? line->line : receiver->line;
    return set_in(policy, line, &(struct target){&receiver_rows, receiver, receiver->lines},
                  errors);
}

void policy_init(struct policy *policy, const char *file) {
    memset(policy, 0, sizeof *policy);
    policy->file = file;
    put_presets(&scaler_rows, &policy->scaler);
    put_presets(&balancer_rows, &policy->balancer);
    for (size_t i = 0; i < sizeof builtins / sizeof builtins[0]; i++) {
        const struct builtin *builtin = &builtins[i];
        struct alert_rule *rule = add_rule(policy, slice_of(builtin->name));
        rule->listed = builtin->listed;
        for (size_t k = 0; k < sizeof builtin_keys / sizeof builtin_keys[0]; k++) {
            struct policy_line line = {.section = SLICE_LIT("alert"),
                                       .key = slice_of(builtin_keys[k]),
                                       .value = slice_of(builtin->values[k])};
            struct target target = {&alert_rows, rule, rule->lines};
            enum err_e err = set_in(policy, &line, &target, NULL);
            ASSERT(err == ERR_OK); /* the table itself is wrong */
        }
    }
}

enum err_e policy_set(struct policy *policy, const struct policy_line *line, struct buf *errors) {
    if (slice_eq_text(line->section, SECTION_SCALER)) {
        struct target target = {&scaler_rows, &policy->scaler, policy->scaler_lines};
        return set_in(policy, line, &target, errors);
    }
    if (slice_eq_text(line->section, SECTION_BALANCER)) {
        struct target target = {&balancer_rows, &policy->balancer, policy->balancer_lines};
        return set_in(policy, line, &target, errors);
    }
    if (slice_starts_with(line->section, slice_of(alert_prefix))) {
        return set_alert(policy, line, errors);
    }
    if (slice_starts_with(line->section, slice_of(notify_prefix))) {
        return set_receiver(policy, line, errors);
    }
    report(policy, line->line, errors,
           "unknown section [%.*s]: expected [scaler], [balancer], [alert.NAME] or [notify.NAME]",
           SLICE_ARG(line->section));
    return ERR_CONFIG;
}

/* ---- What only the whole can tell ---- */

static int line_of(const struct rows *rows, const int *lines, const char *key) {
    for (size_t i = 0; i < rows->len; i++) {
        if (strcmp(rows->at[i].key, key) == 0) {
            return lines[i];
        }
    }
    UNREACHABLE();
}

static void check_scaler(const struct policy *policy, struct buf *errors) {
    const struct scaler_policy *scaler = &policy->scaler;
    const struct contradiction {
        bool found;
        const char *key;
        const char *message;
    } rows[] = {
        {scaler->min > scaler->max, "min", "scaler.min is above scaler.max"},
        {scaler->down_cpu_micro >= scaler->up_cpu_micro, "down_cpu",
         "scaler.down_cpu must be below scaler.up_cpu, or nodes would come and go for ever"},
        {scaler->down_memory_micro >= scaler->up_memory_micro, "down_memory",
         "scaler.down_memory must be below scaler.up_memory, or nodes would come and go for ever"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].found) {
            report(policy, line_of(&scaler_rows, policy->scaler_lines, rows[i].key), errors, "%s",
                   rows[i].message);
        }
    }
}

static void check_balancer(const struct policy *policy, struct buf *errors) {
    const struct balancer_policy *balancer = &policy->balancer;
    if (balancer->weight_cpu + balancer->weight_memory + balancer->weight_connections == 0) {
        report(policy, line_of(&balancer_rows, policy->balancer_lines, "weight_cpu"), errors,
               "balancer: one of weight_cpu, weight_memory and weight_connections must be above 0");
    }
}

/* A value that was given and refused has its message already. */
static bool was_left_out(const struct alert_rule *rule, const char *key) {
    return line_of(&alert_rows, rule->lines, key) == 0;
}

/* Where `key` of the rule was set; else where the rule begins. */
static int rule_line(const struct alert_rule *rule, const char *key) {
    int line = line_of(&alert_rows, rule->lines, key);
    return line > 0 ? line : rule->line;
}

/* The condition to go on firing must be the wider one: else a rule would resolve while it fires. */
static bool clear_is_narrower(const struct alert_rule *rule) {
    switch ((enum op_e)rule->op) {
    case OP_ABOVE:
    case OP_AT_LEAST:
        return rule->clear > rule->threshold;
    case OP_BELOW:
    case OP_AT_MOST:
        return rule->clear < rule->threshold;
    case OP_EQUAL:
    case OP_NOT_EQUAL:
        break;
    }
    return false;
}

static void check_condition(const struct policy *policy, const struct alert_rule *rule,
                            struct buf *errors) {
    bool has_clear = figure_is_known(rule->clear);
    if (has_clear && (rule->op == OP_EQUAL || rule->op == OP_NOT_EQUAL)) {
        report(policy, rule_line(rule, "clear"), errors,
               "[alert.%s] clear means nothing with op = %s: leave it out", rule->name,
               op_text((enum op_e)rule->op));
    } else if (has_clear && figure_is_known(rule->threshold) && clear_is_narrower(rule)) {
        report(policy, rule_line(rule, "clear"), errors,
               "[alert.%s] clear = %.6g is on the wrong side of threshold = %.6g for op = %s",
               rule->name, rule->clear, rule->threshold, op_text((enum op_e)rule->op));
    }
    if (rule->per > 0 && rule->per - 1 == rule->metric) {
        report(policy, rule_line(rule, "per"), errors,
               "[alert.%s] a metric divided by itself is always 1", rule->name);
    }
}

static void check_ladder(const struct policy *policy, const struct alert_rule *rule,
                         struct buf *errors) {
    if (rule->then.len > 0 && rule->action == ACTION_NONE) {
        report(policy, rule_line(rule, "then"), errors,
               "[alert.%s] then needs an action before it", rule->name);
        return;
    }
    for (size_t i = 1; i <= rule->then.len; i++) {
        for (size_t k = 0; k < i; k++) {
            if (rule_action(rule, i) == rule_action(rule, k)) {
                report(policy, rule_line(rule, "then"), errors,
                       "[alert.%s] %s is there twice: what did not help is not tried again",
                       rule->name, action_text(rule_action(rule, i)));
            }
        }
    }
}

static void check_rule(const struct policy *policy, const struct alert_rule *rule,
                       struct buf *errors) {
    if (rule->metric < 0 && was_left_out(rule, "metric")) {
        report(policy, rule->line, errors,
               "[alert.%s] needs a metric, such as metric = avg_response_time_ms", rule->name);
    }
    if (!figure_is_known(rule->threshold) && was_left_out(rule, "threshold")) {
        report(policy, rule->line, errors, "[alert.%s] needs a threshold, such as threshold = 2000",
               rule->name);
    }
    check_condition(policy, rule, errors);
    check_ladder(policy, rule, errors);
}

/* ---- receivers ---- */

static bool begins(const char *text, const char *beginning) {
    return strncmp(text, beginning, strlen(beginning)) == 0;
}

static bool is_elsewhere(const char *text) {
    return (begins(text, "file:") && text[strlen("file:")] != '\0') ||
           (begins(text, "env:") && text[strlen("env:")] != '\0');
}

static bool is_web(const char *url) {
    return begins(url, "http://") || begins(url, "https://") || is_elsewhere(url);
}

static bool is_mail(const char *url) {
    return begins(url, "smtp://") || begins(url, "smtps://") || is_elsewhere(url);
}

/* "a@b.c", or several by commas: nothing that could leave its header or command. */
static bool are_addresses(const char *text) {
    struct slice rest = slice_of(text), word;
    bool some = false;
    while (slice_next(&rest, ',', &word)) {
        word = slice_trim(word);
        size_t ats = 0;
        for (size_t i = 0; i < word.len; i++) {
            ats += word.at[i] == '@';
            if (strchr(" \t<>()\"\\;:", word.at[i]) != NULL) {
                return false;
            }
        }
        if (ats != 1 || word.at[0] == '@' || word.at[word.len - 1] == '@') {
            return false;
        }
        some = true;
    }
    return some;
}

static void check_receiver(const struct policy *policy, const struct receiver *receiver,
                           struct buf *errors) {
    bool is_email = receiver->type == RECEIVER_EMAIL;
    const struct flaw {
        bool found;
        const char *key;
        const char *message;
    } flaws[] = {
        {receiver->type < 0, "type", "needs a type, such as type = webhook"},
        {receiver->type >= 0 && !is_email && !is_web(receiver->url), "url",
         "needs url = http://…, https://…, file:PATH or env:NAME"},
        {is_email && !is_mail(receiver->url), "url",
         "needs url = smtp://HOST:PORT, smtps://HOST:PORT, file:PATH or env:NAME"},
        {receiver->secret[0] != '\0' && !is_elsewhere(receiver->secret), "secret",
         "secret says where it stands: file:PATH or env:NAME"},
        {receiver->password[0] != '\0' && !is_elsewhere(receiver->password), "password",
         "password says where it stands: file:PATH or env:NAME"},
        {(receiver->user[0] == '\0') != (receiver->password[0] == '\0'), "user",
         "user and password go together"},
        {is_email && (!are_addresses(receiver->from) || strchr(receiver->from, ',') != NULL),
         "from", "needs from = one address, such as turnout@example.org"},
        {is_email && !are_addresses(receiver->to), "to",
         "needs to = addresses parted by commas, such as team@example.org"},
        {receiver->group_interval_ms > receiver->repeat_interval_ms, "repeat_interval",
         "repeat_interval must not be shorter than group_interval"},
    };
    for (size_t i = 0; i < sizeof flaws / sizeof flaws[0]; i++) {
        int line = line_of(&receiver_rows, receiver->lines, flaws[i].key);
        if (flaws[i].found) {
            report(policy, line > 0 ? line : receiver->line, errors, "[notify.%s] %s",
                   receiver->name, flaws[i].message);
        }
    }
}

enum err_e policy_check(const struct policy *policy, struct buf *errors) {
    size_t before = errors->len;
    check_scaler(policy, errors);
    check_balancer(policy, errors);
    for (size_t i = 0; i < policy->rules_len; i++) {
        check_rule(policy, &policy->rules[i], errors);
    }
    for (size_t i = 0; i < policy->receivers_len; i++) {
        check_receiver(policy, &policy->receivers[i], errors);
    }
    return errors->len == before && !errors->failed ? ERR_OK : ERR_CONFIG;
}
