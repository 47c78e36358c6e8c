/* SPDX-License-Identifier: Apache-2.0 */
/* Reading strictly: a mistyped member would be an expectation that nobody checks. */
#include "control/rule_test.h"

#include "base/nearest.h"
#include "control/policy_priv.h"

#include <stdarg.h>
#include <stdio.h>

enum { PLACE_SIZE = 64 };
#define TIME_LONGEST_MS (365 * 24 * 3600000LL)

static const char *const figure_names[] = {
#define X(name, highest) #name,
    NODE_FIGURE_TABLE(X)
#undef X
    "healthy", "age",
};
enum { FIGURES = sizeof figure_names / sizeof figure_names[0] };

struct reading {
    struct arena *arena;
    struct problem *problem;
    char place[PLACE_SIZE]; /* of what is read now: "tests[2].expect[0]" */
};

static enum err_e refuse(const struct reading *reading, const char *member, const char *format,
                         ...) PRINTF_LIKE(3, 4);
static enum err_e refuse(const struct reading *reading, const char *member, const char *format,
                         ...) {
    char field[2 * PLACE_SIZE], detail[sizeof reading->problem->detail];
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    snprintf(field, sizeof field, "%s%s%s", reading->place,
             reading->place[0] == '\0' || member[0] == '\0' ? "" : ".", member);
    return problem_set(reading->problem, ERR_INVALID_FIELD, field, "%s", detail);
}

/* ---- members ---- */

struct members {
    const char *const *known; /* NULL at the end */
    char unknown[PLACE_SIZE]; /* the first one that is not */
    struct nearest nearest;
};

static bool look_at_member(struct slice key, const struct json_t *value, void *data) {
    struct members *members = data;
    (void)value;
    for (const char *const *known = members->known; *known != NULL; known++) {
        if (slice_eq_text(key, *known)) {
            return true;
        }
    }
    snprintf(members->unknown, sizeof members->unknown, "%.*s", SLICE_ARG(key));
    nearest_init(&members->nearest, slice_of(members->unknown));
    for (const char *const *known = members->known; *known != NULL; known++) {
        nearest_offer(&members->nearest, *known);
    }
    return false;
}

static enum err_e check_members(const struct reading *reading, const struct json_t *object,
                                const char *const *known) {
    struct members members = {.known = known};
    if (json_kind(object) != JSON_KIND_OBJECT) {
        return refuse(reading, "", "expected an object");
    }
    json_each(object, look_at_member, &members);
    if (members.unknown[0] == '\0') {
        return ERR_OK;
    }
    const char *best = members.nearest.best;
    return refuse(reading, members.unknown, "unknown%s%s", best == NULL ? "" : ": did you mean ",
                  best == NULL ? "" : best);
}

static enum err_e read_text(const struct reading *reading, const struct json_t *object,
                            const char *name, struct slice *ret_text) {
    const struct json_t *value = json_get(object, name);
    *ret_text = SLICE_NONE;
    if (value == NULL) {
        return ERR_OK;
    }
    if (json_kind(value) != JSON_KIND_STRING || json_text(value).len == 0) {
        return refuse(reading, name, "expected a text");
    }
    *ret_text = json_text(value);
    return ERR_OK;
}

static size_t count_if(struct slice text, bool digits) {
    size_t len = 0;
    while (len < text.len && (text.at[len] >= '0' && text.at[len] <= '9') == digits) {
        len++;
    }
    return len;
}

/* Durations one behind the other, as rule_test_time writes them: 1m30s. */
static bool parse_time(struct slice text, int64_t *ret_ms) {
    *ret_ms = 0;
    struct slice rest = text;
    while (rest.len > 0) {
        size_t digits = count_if(rest, true);
        size_t len = digits + count_if(slice_skip(rest, digits), false);
        int64_t ms;
        if (!policy_duration(slice_from(rest.at, len), &ms) || ms > TIME_LONGEST_MS) {
            return false;
        }
        *ret_ms += ms;
        if (*ret_ms > TIME_LONGEST_MS) {
            return false;
        }
        rest = slice_skip(rest, len);
    }
    return true;
}

/* "10s"; TIME_NONE when it is not there. */
static enum err_e read_time(const struct reading *reading, const struct json_t *object,
                            const char *name, int64_t *ret_ms) {
    struct slice text;
    *ret_ms = TIME_NONE;
    TRY(read_text(reading, object, name, &text));
    if (text.at != NULL && !parse_time(text, ret_ms)) {
        return refuse(reading, name, "expected a duration, such as 30s");
    }
    return ERR_OK;
}

/* The place of a word among `words`; -1 when it is not there. */
static enum err_e read_word(const struct reading *reading, const struct json_t *object,
                            const char *name, const char *const *words, int *ret_place) {
    struct slice text;
    struct nearest nearest;
    *ret_place = -1;
    TRY(read_text(reading, object, name, &text));
    if (text.at == NULL) {
        return ERR_OK;
    }
    nearest_init(&nearest, text);
    for (int i = 0; words[i] != NULL; i++) {
        nearest_offer(&nearest, words[i]);
        if (slice_eq_text(text, words[i])) {
            *ret_place = i;
            return ERR_OK;
        }
    }
    return refuse(reading, name, "unknown word%s%s",
                  nearest.best == NULL ? "" : ": did you mean ",
                  nearest.best == NULL ? "" : nearest.best);
}

/* An array of `len_max` at most, which may be missing. */
static enum err_e read_array(const struct reading *reading, const struct json_t *object,
                             const char *name, size_t len_max, const struct json_t **ret_array) {
    *ret_array = json_get(object, name);
    if (*ret_array != NULL && (json_kind(*ret_array) != JSON_KIND_ARRAY ||
                               json_count(*ret_array) > len_max)) {
        return refuse(reading, name, "expected an array of at most %zu", len_max);
    }
    return ERR_OK;
}

static enum err_e take_memory(const struct reading *reading, size_t size, void *ret_memory) {
    void *memory = arena_zalloc(reading->arena, size + 1);
    if (memory == NULL) {
        return problem_set(reading->problem, ERR_NO_MEMORY, reading->place,
                           "it takes too much memory");
    }
    *(void **)ret_memory = memory;
    return ERR_OK;
}

/* ---- series ---- */

/* The members of "series" come one by one. */
struct series_reading {
    const struct reading *reading;
    struct rule_test *test;
    enum err_e err;
};

static int find_node(struct rule_test *test, struct slice id) {
    for (size_t i = 0; i < test->nodes_len; i++) {
        if (slice_eq(test->nodes[i], id)) {
            return (int)i;
        }
    }
    test->nodes[test->nodes_len] = id; /* there is a place for each series */
    return (int)test->nodes_len++;
}

static bool find_metric(struct slice name, size_t *ret_column) {
    for (size_t i = 0; i < METRIC_GIVEN_COUNT; i++) {
        if (slice_eq_text(name, metric_text((enum metric_e)i))) {
            *ret_column = i;
            return true;
        }
    }
    return false;
}

/* "n1.cpu" at its last dot: a node's id may have some. */
static bool find_figure(struct rule_test *test, struct slice name, struct test_series *ret_series) {
    size_t dot = name.len;
    while (dot > 0 && name.at[dot - 1] != '.') {
        dot--;
    }
    if (dot < 2 || dot > NODE_ID_MAX) {
        return false;
    }
    for (size_t i = 0; i < FIGURES; i++) {
        if (slice_eq_text(slice_skip(name, dot), figure_names[i])) {
            ret_series->column = i;
            ret_series->node = find_node(test, slice_from(name.at, dot - 1));
            return true;
        }
    }
    return false;
}

static enum err_e refuse_series(const struct reading *reading, struct slice name) {
    struct nearest nearest;
    char member[PLACE_SIZE];
    nearest_init(&nearest, name);
    for (int i = 0; i < METRIC_GIVEN_COUNT; i++) {
        nearest_offer(&nearest, metric_text((enum metric_e)i));
    }
    snprintf(member, sizeof member, "series.%.*s", SLICE_ARG(name));
    return refuse(reading, member,
                  "expected a metric that is measured, or NODE.FIGURE such as n1.cpu%s%s",
                  nearest.best == NULL ? "" : ": did you mean ",
                  nearest.best == NULL ? "" : nearest.best);
}

static enum err_e read_series(const struct reading *reading, struct rule_test *test,
                              struct slice name, const struct json_t *value) {
    struct test_series *series = &test->series[test->series_len++];
    *series = (struct test_series){.name = name, .node = -1};
    if (!find_metric(name, &series->column) && !find_figure(test, name, series)) {
        return refuse_series(reading, name);
    }
    struct problem problem = {.detail = "expected a line of samples"};
    enum err_e err = json_kind(value) != JSON_KIND_STRING
                         ? ERR_INVALID_FIELD
                         : rule_series_read(reading->arena, json_text(value), &series->samples,
                                            &problem);
    if (err != ERR_OK) {
        char member[PLACE_SIZE];
        snprintf(member, sizeof member, "series.%.*s", SLICE_ARG(name));
        return refuse(reading, member, "%s", problem.detail);
    }
    test->steps = series->samples.len > test->steps ? series->samples.len : test->steps;
    return ERR_OK;
}

static bool look_at_series(struct slice key, const struct json_t *value, void *data) {
    struct series_reading *each = data;
    if (each->test->series_len == RULE_TEST_SERIES_MAX) {
        each->err = refuse(each->reading, "series", "at most %d", RULE_TEST_SERIES_MAX);
    } else {
        each->err = read_series(each->reading, each->test, key, value);
    }
    return each->err == ERR_OK;
}

static enum err_e read_all_series(const struct reading *reading, const struct json_t *object,
                                  struct rule_test *test) {
    const struct json_t *series = json_get(object, "series");
    if (series == NULL || json_kind(series) != JSON_KIND_OBJECT) {
        return refuse(reading, "series", "expected an object with a line of samples each");
    }
    TRY(take_memory(reading, RULE_TEST_SERIES_MAX * sizeof *test->series, &test->series));
    struct series_reading each = {.reading = reading, .test = test, .err = ERR_OK};
    json_each(series, look_at_series, &each);
    TRY(each.err);
    return test->series_len > 0 ? ERR_OK : refuse(reading, "series", "expected one at least");
}

/* ---- effects and expectations ---- */

/* A moment that has samples: a multiple of the interval within them. */
static enum err_e read_at(const struct reading *reading, const struct json_t *object,
                          const struct rule_test *test, int64_t *ret_at_ms) {
    char interval[TEST_TIME_SIZE], last[TEST_TIME_SIZE];
    TRY(read_time(reading, object, "at", ret_at_ms));
    if (*ret_at_ms == TIME_NONE) {
        return refuse(reading, "at", "expected the moment, such as 30s");
    }
    int64_t last_ms = ((int64_t)test->steps - 1) * test->interval_ms;
    rule_test_time(test->interval_ms, interval);
    rule_test_time(last_ms, last);
    if (*ret_at_ms > last_ms || *ret_at_ms % test->interval_ms != 0) {
        return refuse(reading, "at", "expected a moment with a sample: every %s, up to %s",
                      interval, last);
    }
    return ERR_OK;
}

static enum err_e read_effect(const struct reading *reading, const struct json_t *object,
                              const struct rule_test *test, struct test_effect *ret_effect) {
    static const char *const known[] = {"at", "rule", "action", "effect", NULL};
#define X(name, text) text,
    static const char *const words[] = {EFFECT_TABLE(X) NULL};
#undef X
    int word;
    TRY(check_members(reading, object, known));
    TRY(read_at(reading, object, test, &ret_effect->at_ms));
    TRY(read_text(reading, object, "rule", &ret_effect->told.rule));
    TRY(read_text(reading, object, "action", &ret_effect->told.action));
    TRY(read_word(reading, object, "effect", words, &word));
    if (ret_effect->told.rule.at == NULL || ret_effect->told.action.at == NULL || word < 0) {
        return refuse(reading, "", "expected a rule, an action and an effect");
    }
    ret_effect->told.effect = (enum effect_e)word;
    ret_effect->told.age_ms = 0;
    return ERR_OK;
}

/* A list of texts; NULL when it is not there. */
static enum err_e read_names(const struct reading *reading, const struct json_t *object,
                             const char *name, const struct json_t **ret_names) {
    TRY(read_array(reading, object, name, ALERT_RULES_MAX, ret_names));
    for (size_t i = 0; *ret_names != NULL && i < json_count(*ret_names); i++) {
        if (json_kind(json_at(*ret_names, i)) != JSON_KIND_STRING) {
            return refuse(reading, name, "expected texts");
        }
    }
    return ERR_OK;
}

/* A number, or null for a missing sample. */
static enum err_e read_value(const struct reading *reading, const struct json_t *object,
                             struct test_expect *ret_expect) {
    const struct json_t *value = json_get(object, "value");
    ret_expect->value = FIGURE_MISSING;
    ret_expect->has_value = value != NULL;
    if (value == NULL || json_kind(value) == JSON_KIND_NULL) {
        return ERR_OK;
    }
    if (!json_is_numeric(value)) {
        return refuse(reading, "value", "expected a number, or null for a missing sample");
    }
    ret_expect->value = json_number(value);
    return ERR_OK;
}

static enum err_e read_rest(const struct reading *reading, const struct json_t *object,
                            struct test_expect *ret_expect) {
    const struct json_t *flapping = json_get(object, "flapping");
    const struct json_t *desired = json_get(object, "desired");
    if (flapping != NULL && json_kind(flapping) != JSON_KIND_BOOLEAN) {
        return refuse(reading, "flapping", "expected true or false");
    }
    if (desired != NULL && (json_kind(desired) != JSON_KIND_INTEGER || json_int(desired) < 0)) {
        return refuse(reading, "desired", "expected a number of nodes");
    }
    ret_expect->flapping = flapping == NULL ? -1 : json_truth(flapping);
    ret_expect->desired = desired == NULL ? -1 : json_int(desired);
    return ERR_OK;
}

static enum err_e check_sense(const struct reading *reading, const struct test_expect *expect) {
    bool asks_rule = expect->state >= 0 || expect->data >= 0 || expect->flapping >= 0 ||
                     expect->has_value;
    if (asks_rule != (expect->rule.at != NULL)) {
        return refuse(reading, "", "a rule and its state, value, data or flapping go together");
    }
    if (expect->node.at != NULL && expect->rule.at == NULL) {
        return refuse(reading, "node", "expected a rule with it");
    }
    if (!asks_rule && expect->actions == NULL && expect->calls == NULL && expect->desired < 0) {
        return refuse(reading, "", "expects nothing");
    }
    return ERR_OK;
}

static enum err_e read_expect(const struct reading *reading, const struct json_t *object,
                              const struct rule_test *test, struct test_expect *ret_expect) {
    static const char *const known[] = {"at",       "rule",    "node",  "state",   "value", "data",
                                        "flapping", "actions", "calls", "desired", NULL};
#define X(name, text) text,
    static const char *const states[] = {ALERT_STATE_TABLE(X) NULL};
    static const char *const datas[] = {ALERT_DATA_TABLE(X) NULL};
#undef X
    TRY(check_members(reading, object, known));
    TRY(read_at(reading, object, test, &ret_expect->at_ms));
    TRY(read_text(reading, object, "rule", &ret_expect->rule));
    TRY(read_text(reading, object, "node", &ret_expect->node));
    TRY(read_word(reading, object, "state", states, &ret_expect->state));
    TRY(read_word(reading, object, "data", datas, &ret_expect->data));
    TRY(read_value(reading, object, ret_expect));
    TRY(read_names(reading, object, "actions", &ret_expect->actions));
    TRY(read_names(reading, object, "calls", &ret_expect->calls));
    TRY(read_rest(reading, object, ret_expect));
    return check_sense(reading, ret_expect);
}

/* ---- a test ---- */

static enum err_e read_effects(struct reading *reading, const struct json_t *object,
                               struct rule_test *test) {
    const struct json_t *array;
    char outer[PLACE_SIZE];
    memcpy(outer, reading->place, sizeof outer);
    TRY(read_array(reading, object, "effects", SNAPSHOT_EFFECTS_MAX, &array));
    test->effects_len = json_count(array);
    TRY(take_memory(reading, test->effects_len * sizeof *test->effects, &test->effects));
    for (size_t i = 0; i < test->effects_len; i++) {
        snprintf(reading->place, PLACE_SIZE, "%.20s.effects[%zu]", outer, i);
        TRY(read_effect(reading, json_at(array, i), test, &test->effects[i]));
    }
    memcpy(reading->place, outer, sizeof outer);
    return ERR_OK;
}

static enum err_e read_expects(struct reading *reading, const struct json_t *object,
                               struct rule_test *test) {
    const struct json_t *array;
    char outer[PLACE_SIZE];
    memcpy(outer, reading->place, sizeof outer);
    TRY(read_array(reading, object, "expect", RULE_TEST_EXPECT_MAX, &array));
    test->expect_len = json_count(array);
    if (test->expect_len == 0) {
        return refuse(reading, "expect", "expected one at least: else it would always pass");
    }
    TRY(take_memory(reading, test->expect_len * sizeof *test->expect, &test->expect));
    for (size_t i = 0; i < test->expect_len; i++) {
        snprintf(reading->place, PLACE_SIZE, "%.20s.expect[%zu]", outer, i);
        test->expect[i].place = i;
        TRY(read_expect(reading, json_at(array, i), test, &test->expect[i]));
    }
    return ERR_OK;
}

static enum err_e read_test(struct reading *reading, const struct json_t *object,
                            int64_t interval_ms, struct rule_test *ret_test) {
    static const char *const known[] = {"name", "interval", "series", "effects", "expect", NULL};
    TRY(check_members(reading, object, known));
    TRY(read_text(reading, object, "name", &ret_test->name));
    if (ret_test->name.at == NULL) {
        return refuse(reading, "name", "expected what the test shows");
    }
    TRY(read_time(reading, object, "interval", &ret_test->interval_ms));
    if (ret_test->interval_ms == TIME_NONE) {
        ret_test->interval_ms = interval_ms;
    }
    if (ret_test->interval_ms <= 0) {
        return refuse(reading, "interval", "expected more than 0s");
    }
    TRY(read_all_series(reading, object, ret_test));
    TRY(read_effects(reading, object, ret_test));
    return read_expects(reading, object, ret_test);
}

static enum err_e read_tests(struct reading *reading, const struct json_t *object,
                             struct rule_tests *ret_tests) {
    static const char *const known[] = {"config", "interval", "tests", NULL};
    const struct json_t *array;
    int64_t interval_ms;
    TRY(check_members(reading, object, known));
    TRY(read_text(reading, object, "config", &ret_tests->config));
    TRY(read_time(reading, object, "interval", &interval_ms));
    TRY(read_array(reading, object, "tests", RULE_TESTS_MAX, &array));
    ret_tests->len = json_count(array);
    if (ret_tests->len == 0) {
        return refuse(reading, "tests", "expected one at least");
    }
    TRY(take_memory(reading, ret_tests->len * sizeof *ret_tests->items, &ret_tests->items));
    for (size_t i = 0; i < ret_tests->len; i++) {
        snprintf(reading->place, PLACE_SIZE, "tests[%zu]", i);
        TRY(read_test(reading, json_at(array, i), interval_ms == TIME_NONE ? 1000 : interval_ms,
                      &ret_tests->items[i]));
    }
    return ERR_OK;
}

enum err_e rule_tests_read(struct arena *arena, struct slice text, struct rule_tests *ret_tests,
                           struct problem *ret_problem) {
    struct json_t *object;
    struct reading reading = {.arena = arena, .problem = ret_problem, .place = ""};
    *ret_tests = (struct rule_tests){.len = 0};
    TRY(json_parse(arena, text, &object, ret_problem));
    return read_tests(&reading, object, ret_tests);
}
