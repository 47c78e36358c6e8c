/* SPDX-License-Identifier: Apache-2.0 */
/* turnout kpi: the seven key figures of a running node against their goals. */
#include "app/node_show.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct flag flags[] = {
    FLAG_NODE_URL,
    FLAG_NODE_KEY,
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

static void format_number(const struct json_t *item, const char *name, char *to, size_t size) {
    const struct json_t *value = json_get(item, name);
    struct slice word = json_text_at(item, "unit", SLICE_NONE);
    struct unit unit = {"", "", 2, 1};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        unit = slice_eq_text(word, units[i].word) ? units[i] : unit;
    }
    if (!json_is_numeric(value)) {
        snprintf(to, size, "-");
        return;
    }
    double number = json_number(value) * unit.times;
    int decimals = number == floor(number) ? 0 : unit.decimals;
    snprintf(to, size, "%.*f%s", decimals, number, unit.sign);
}

static void add_row(struct buf *text, const struct json_t *item, bool is_coloured) {
    char value[48], goal[48], bound[64];
    struct slice key = json_text_at(item, "key", SLICE_NONE);
    struct slice status = json_text_at(item, "status", SLICE_NONE);
    struct slice comparison = json_text_at(item, "comparison", SLICE_NONE);
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

static int print_table(const struct args *args, const struct json_t *document) {
    (void)args;
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
    static const char *const members[] = {"items", NULL};
    const struct node_question question = {
        .path = "/v1/performance/kpi", .members = members, .print = print_table};
    int code = node_show(&args, &config, &question, NULL);
    config_fini(&config);
    return code;
}
