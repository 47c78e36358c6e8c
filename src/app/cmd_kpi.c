/* SPDX-License-Identifier: Apache-2.0 */
/* turnout kpi: the seven key figures of a running node against their goals. */
#include "app/fetch.h"
#include "app/node.h"
#include "app/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct flag flags[] = {
    {"--url", "URL", FLAG_OWN, "The node; default: the address in the configuration."},
    {"--key", "KEY", FLAG_OWN, "An API key, or @FILE to read it from; scope metrics suffices."},
    FLAG_CONFIG,
    FLAG_JSON,
    {0},
};
static const struct command_form form = {
    .name = "kpi",
    .usage = "[--url URL] [--key KEY|@FILE]",
    .summary = "show the seven key figures of a running node against their goals",
    .details = "met keeps its goal, at_risk keeps it within 10 %, missed does not, unknown has\n"
               "no data. The figures are those of the last five minutes. Users and throughput\n"
               "are the load that there was: a quiet node misses them without being in trouble.",
    .flags = flags,
};

enum { TIMEOUT_S = 5, KEY_SIZE = 256, DOCUMENT_MEMORY = 1 << 20 };

/* ---- the question ---- */

static enum err_e read_key(const char *given, char ret_key[KEY_SIZE], struct problem *problem) {
    struct slice key = slice_of(given);
    char line[KEY_SIZE] = "";
    if (given[0] == '@') {
        FILE *file = fopen(given + 1, "r");
        bool is_read = file != NULL && fgets(line, sizeof line, file) != NULL;
        if (file != NULL) {
            fclose(file);
        }
        if (!is_read) {
            return problem_set(problem, ERR_IO, "--key", "%s cannot be read", given + 1);
        }
        key = slice_from(line, strcspn(line, "\r\n"));
    }
    for (size_t i = 0; i < key.len; i++) {
        if (key.at[i] <= ' ' || key.at[i] > '~') { /* it becomes part of a header line */
            return problem_set(problem, ERR_USAGE, "--key", "is not a key: tk_ID.SECRET");
        }
    }
    return slice_to_cstr(key, ret_key, KEY_SIZE)
               ? ERR_OK
               : problem_set(problem, ERR_USAGE, "--key", "is too long to be a key");
}

static void find_url(const struct config *config, char ret_url[NODE_URL_SIZE]) {
    struct slice listen = slice_of(config->server_listen);
    size_t colon = listen.len;
    while (colon > 0 && listen.at[colon - 1] != ':') {
        colon--;
    }
    int64_t port = 0;
    (void)slice_to_int(slice_skip(listen, colon), 0, 65535, &port); /* checked with the config */
    node_url(listen, (int)port, ret_url);
}

/* The node's own words for what it refuses. */
static enum err_e refuse(int status, struct slice body, struct problem *problem) {
    struct arena arena;
    struct json_t *document;
    struct problem ignored;
    arena_init(&arena, DOCUMENT_MEMORY);
    const struct json_t *code = NULL, *title = NULL;
    if (json_parse(&arena, body, &document, &ignored) == ERR_OK) {
        code = json_get(document, "code");
        title = json_get(document, "title");
    }
    bool is_known = code != NULL && json_kind(code) == JSON_KIND_STRING && title != NULL &&
                    json_kind(title) == JSON_KIND_STRING;
    struct slice code_text = is_known ? json_text(code) : SLICE_NONE;
    struct slice title_text = is_known ? json_text(title) : SLICE_NONE;
    problem_set(problem, ERR_IO, "", "the node answers %d%s%.*s%s%.*s", status,
                is_known ? " " : "", SLICE_ARG(code_text), is_known ? ": " : "",
                SLICE_ARG(title_text));
    arena_fini(&arena);
    return ERR_UNAVAILABLE;
}

MAY_BLOCK static enum err_e ask(const struct args *args, const struct config *config,
                                struct buf *ret_body, struct problem *problem) {
    char url[NODE_URL_SIZE], key[KEY_SIZE];
    const char *given_key = args_value(args, "--key");
    find_url(config, url);
    struct fetch fetch = {.url = args_value(args, "--url"),
                          .path = "/v1/performance/kpi",
                          .timeout_s = TIMEOUT_S};
    fetch.url = fetch.url == NULL ? url : fetch.url;
    if (given_key != NULL) {
        TRY(read_key(given_key, key, problem));
        fetch.key = key;
    }
    int status;
    TRY(fetch_get(&fetch, &status, ret_body, problem));
    return status == 200 ? ERR_OK : refuse(status, buf_slice(ret_body), problem);
}

/* ---- the table ---- */

/* X(unit on the wire, what stands behind a value, decimals, times) */
#define UNIT_TABLE(X)                                                                              \
    X("ms", " ms", 1, 1)                                                                           \
    X("ratio", " %", 1, 100)                                                                       \
    X("percent", " %", 1, 1)                                                                       \
    X("connections", "", 0, 1)                                                                     \
    X("per_second", " /s", 0, 1)
static const struct unit {
    const char *word, *sign;
    int decimals;
    double times;
} units[] = {
#define X(word, sign, decimals, times) {word, sign, decimals, times},
    UNIT_TABLE(X)
#undef X
};

/* X(status, colour on a terminal) */
#define COLOUR_TABLE(X) X("met", "32") X("at_risk", "33") X("missed", "31") X("unknown", "2")
static const struct {
    const char *status, *colour;
} colours[] = {
#define X(status, colour) {status, colour},
    COLOUR_TABLE(X)
#undef X
};

static struct slice member_text(const struct json_t *item, const char *name) {
    const struct json_t *value = json_get(item, name);
    return value != NULL && json_kind(value) == JSON_KIND_STRING ? json_text(value) : SLICE_NONE;
}

static void format_number(const struct json_t *item, const char *name, char *to, size_t size) {
    const struct json_t *value = json_get(item, name);
    struct slice word = member_text(item, "unit");
    struct unit unit = {"", "", 2, 1};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        unit = slice_eq_text(word, units[i].word) ? units[i] : unit;
    }
    bool is_number = value != NULL && (json_kind(value) == JSON_KIND_INTEGER ||
                                       json_kind(value) == JSON_KIND_REAL);
    if (!is_number) {
        snprintf(to, size, "-");
        return;
    }
    double number = json_number(value) * unit.times;
    int decimals = number == floor(number) ? 0 : unit.decimals;
    snprintf(to, size, "%.*f%s", decimals, number, unit.sign);
}

static void add_row(struct buf *text, const struct json_t *item, bool is_coloured) {
    char value[48], goal[48], bound[64];
    struct slice key = member_text(item, "key"), status = member_text(item, "status");
    struct slice comparison = member_text(item, "comparison");
    format_number(item, "value", value, sizeof value);
    format_number(item, "goal", goal, sizeof goal);
    snprintf(bound, sizeof bound, "%.*s %s", comparison.len > 4 ? 4 : (int)comparison.len,
             comparison.len == 0 ? "" : comparison.at, goal);
    const char *colour = "0";
    for (size_t i = 0; i < sizeof colours / sizeof colours[0]; i++) {
        colour = slice_eq_text(status, colours[i].status) ? colours[i].colour : colour;
    }
    buf_printf(text, "%-18.*s %14s  %-12s %s%s%s%.*s%s\n", SLICE_ARG(key), value, bound,
               is_coloured ? "\033[" : "", is_coloured ? colour : "", is_coloured ? "m" : "",
               SLICE_ARG(status), is_coloured ? "\033[0m" : "");
}

static int print_table(const struct json_t *document) {
    const struct json_t *items = json_get(document, "items");
    bool is_coloured = isatty(STDOUT_FILENO) && getenv("NO_COLOR") == NULL;
    struct buf text;
    buf_init(&text, REPORT_MAX);
    buf_printf(&text, "%-18s %14s  %-12s %s\n", "KEY", "VALUE", "GOAL", "STATUS");
    for (size_t i = 0; i < json_count(items); i++) {
        add_row(&text, json_at(items, i), is_coloured);
    }
    int code = report_text(buf_slice(&text));
    buf_fini(&text);
    return code;
}

static int print(const struct args *args, struct slice body) {
    struct arena arena;
    struct json_t *document;
    struct problem problem = {.field = ""};
    arena_init(&arena, DOCUMENT_MEMORY);
    int code;
    enum err_e err = json_parse(&arena, body, &document, &problem);
    if (err != ERR_OK || json_get(document, "items") == NULL) {
        problem_set(&problem, ERR_IO, "", "what answers there is not turnout");
        code = report_failure(&form, ERR_UNAVAILABLE, &problem);
    } else if (args_has(args, "--json")) {
        struct report_json report;
        report_json_begin(&report);
        json_add_raw(&report.json, body);
        code = report_json_end(&report);
    } else {
        code = print_table(document);
    }
    arena_fini(&arena);
    return code;
}

int cmd_kpi(int argc, char **argv) {
    struct args args;
    struct config config;
    enum flags_e result = flags_parse(&form, argc, argv, &args);
    if (result != FLAGS_GOOD) {
        return result == FLAGS_HELP ? EXIT_DONE : EXIT_USAGE;
    }
    if (!args_config(&args, &config)) {
        return EXIT_BAD_CONFIG;
    }
    struct problem problem = {.field = ""};
    struct buf body;
    buf_init(&body, FETCH_ANSWER_MAX);
    enum err_e err = ask(&args, &config, &body, &problem);
    int code = err == ERR_OK ? print(&args, buf_slice(&body))
               : err == ERR_USAGE || err == ERR_CONFIG
                   ? args_refuse(&form, "%s%s%s", problem.field,
                                 problem.field[0] == '\0' ? "" : " ", problem.detail)
                   : report_failure(&form, err, &problem);
    buf_fini(&body);
    config_fini(&config);
    return code;
}
