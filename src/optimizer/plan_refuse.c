/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saying what a document is that is no plan in JSON: most are plans in another dress, and the
 * message names the step that was left out.
 */
#include "base/assert.h"
#include "optimizer/plan_priv.h"

#include <string.h>

/* As much as decides what a text is. */
enum { LOOK_AT = 64 << 10 };

#define HOW_TO "run EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) and save its output"
#define HOW_TO_PSQL                                                                                \
    "save it with psql -XAt -c 'EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) …' > plan.json"

static bool contains(struct slice text, const char *word) {
    size_t len = strlen(word);
    return text.at != NULL && text.len >= len && memmem(text.at, text.len, word, len) != NULL;
}

static struct slice skip_space(struct slice text) {
    while (text.len > 0 && strchr(" \t\r\n", text.at[0]) != NULL && text.at[0] != '\0') {
        text = slice_skip(text, 1);
    }
    return text;
}

static bool is_utf16(struct slice text) {
    return slice_starts_with(text, SLICE_LIT("\xFF\xFE")) ||
           slice_starts_with(text, SLICE_LIT("\xFE\xFF"));
}

static bool is_psql_table(struct slice text) {
    return contains(text, "QUERY PLAN") ||
           (contains(text, "+\n") && contains(text, "\"Plan\":") && !contains(text, "\n]\n")) ||
           contains(text, "│");
}

static bool is_yaml(struct slice text) {
    return slice_starts_with(text, SLICE_LIT("- Plan:")) || contains(text, "- Node Type: ") ||
           contains(text, "\n    Node Type: ");
}

static bool is_xml(struct slice text) {
    return slice_starts_with(text, SLICE_LIT("<"));
}

static bool is_text_plan(struct slice text) {
    return contains(text, "(cost=") || contains(text, "(actual ");
}

static bool is_log_line(struct slice text) {
    return contains(text, "duration: ") && contains(text, " plan:");
}

static bool is_statement(struct slice text) {
    static const char *const verbs[] = {"SELECT", "EXPLAIN", "WITH", "INSERT", "UPDATE", "DELETE"};
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        size_t len = strlen(verbs[i]);
        if (text.len > len && slice_eq_nocase(slice_from(text.at, len), slice_of(verbs[i]))) {
            return true;
        }
    }
    return false;
}

/* The first that recognises the text speaks. */
static const struct {
    bool (*is)(struct slice text);
    const char *message;
} texts[] = {
    {is_utf16, "this is UTF-16: save the plan as UTF-8"},
    {is_log_line, "this is a server log line of auto_explain: set auto_explain.log_format = json "
                  "and keep only the JSON object"},
    {is_psql_table, "this is psql's table around a plan: " HOW_TO_PSQL},
    {is_yaml, "this is a plan in YAML: " HOW_TO},
    {is_xml, "this is XML, not JSON: " HOW_TO},
    {is_text_plan, "this is a plan in the text format: " HOW_TO},
    {is_statement, "this is an SQL statement, not its plan: " HOW_TO},
};

enum err_e plan_refuse_text(struct slice text, const char *parse_detail,
                            struct problem *ret_problem) {
    struct slice start = skip_space(text);
    if (start.len == 0) {
        return problem_set(ret_problem, ERR_MALFORMED_JSON, "", "the input is empty: " HOW_TO);
    }
    start.len = start.len < LOOK_AT ? start.len : LOOK_AT;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (texts[i].is(start)) {
            return problem_set(ret_problem, ERR_MALFORMED_JSON, "", "%s", texts[i].message);
        }
    }
    return problem_set(ret_problem, ERR_MALFORMED_JSON, "", "this is not JSON (%.100s): " HOW_TO,
                       parse_detail);
}

static const char *kind_word(const struct json_t *value) {
    switch (json_kind(value)) {
    case JSON_KIND_OBJECT:
        return "an object";
    case JSON_KIND_ARRAY:
        return "an array";
    case JSON_KIND_STRING:
        return "a string";
    case JSON_KIND_INTEGER:
    case JSON_KIND_REAL:
        return "a number";
    case JSON_KIND_BOOLEAN:
        return "true or false";
    case JSON_KIND_NULL:
        return "null";
    }
    UNREACHABLE();
}

static enum err_e refuse_array(const struct json_t *array, struct problem *ret_problem) {
    if (json_count(array) == 0) {
        return problem_set(ret_problem, ERR_INVALID_FIELD, "",
                           "the array is empty: the statement was rewritten to nothing");
    }
    const struct json_t *first = json_at(array, 0);
    if (json_kind(first) == JSON_KIND_STRING &&
        slice_eq_text(json_text(first), "Utility Statement")) {
        return problem_set(ret_problem, ERR_INVALID_FIELD, "",
                           "this explains a utility statement, which has no plan");
    }
    return problem_set(ret_problem, ERR_INVALID_FIELD, "Plan",
                       "this is JSON, but some element of its array has no \"Plan\" with a \"Node "
                       "Type\": " HOW_TO);
}

enum err_e plan_refuse_json(const struct json_t *document, struct problem *ret_problem) {
    if (json_kind(document) == JSON_KIND_ARRAY) {
        return refuse_array(document, ret_problem);
    }
    if (json_get(document, "Node Type") != NULL) {
        return problem_set(ret_problem, ERR_INVALID_FIELD, "Plan",
                           "this is one node of a plan: keep the whole document, from its first [ "
                           "to its last ]");
    }
    if (json_get(document, "query_block") != NULL) {
        return problem_set(ret_problem, ERR_INVALID_FIELD, "Plan",
                           "this is a plan of MySQL or MariaDB: only PostgreSQL's are understood");
    }
    return problem_set(ret_problem, ERR_INVALID_FIELD, "Plan",
                       "this is JSON (%s), but no plan of PostgreSQL: " HOW_TO,
                       kind_word(document));
}
