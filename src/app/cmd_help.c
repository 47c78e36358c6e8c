/* SPDX-License-Identifier: Apache-2.0 */
/* turnout help: the commands, one command, or every setting. */
#include "app/commands.h"
#include "app/report.h"
#include "control/policy.h"

#include <stdio.h>

enum { RANGE_MAX = 4096 }; /* bytes of one range: the words of the longest choice */

static const struct flag flags[] = {FLAG_JSON, {0}};
static const struct command_form form = {
    .name = "help",
    .usage = "[COMMAND|config] [--json]",
    .summary = "explain a command, or every setting: help config",
    .flags = flags,
    .rest_max = 2,
};

/* A row of either table: the node's settings or the deciders'. */
struct setting {
    const char *section;
    const char *key;
    const char *type;
    const char *preset;
    const char *meaning;
    enum config_change_e change;
    struct buf range;
    char environment[CONFIG_ENVIRONMENT_SIZE]; /* empty: it has no variable */
};

typedef void (*setting_fn)(const struct setting *setting, void *data);

static void each_own(setting_fn fn, void *data) {
    for (int i = 0; i < CONFIG_COUNT; i++) {
        const struct config_row *row = config_row((enum config_key_e)i);
        struct setting setting = {.section = row->section,
                                  .key = row->key,
                                  .type = config_type_text(row->type),
                                  .preset = row->preset,
                                  .meaning = row->meaning,
                                  .change = config_change((enum config_key_e)i)};
        buf_init(&setting.range, RANGE_MAX);
        config_row_range(row, &setting.range);
        config_row_environment(row, setting.environment);
        fn(&setting, data);
        buf_fini(&setting.range);
    }
}

static void each_decider(setting_fn fn, void *data) {
    const struct policy_row *rows;
    size_t len = policy_rows(&rows);
    for (size_t i = 0; i < len; i++) {
        struct setting setting = {.section = rows[i].section,
                                  .key = rows[i].key,
                                  .type = setting_type_text(rows[i].type),
                                  .preset = rows[i].preset,
                                  .meaning = rows[i].meaning,
                                  .change = CONFIG_CHANGE_TAKEOVER};
        buf_init(&setting.range, RANGE_MAX);
        policy_row_range(&rows[i], &setting.range);
        if (strchr(rows[i].section, '.') == NULL) { /* alert rules are set in the file alone */
            struct config_row names = {.section = rows[i].section, .key = rows[i].key};
            config_row_environment(&names, setting.environment);
        }
        fn(&setting, data);
        buf_fini(&setting.range);
    }
}

static void put_setting(const struct setting *setting, void *data) {
    struct json_writer *json = data;
    json_begin_object(json);
    json_put_cstr(json, "section", setting->section);
    json_put_cstr(json, "key", setting->key);
    json_put_cstr(json, "type", setting->type);
    json_put_cstr(json, "default", setting->preset);
    json_put_text(json, "range", buf_slice(&setting->range));
    json_put_cstr(json, "environment",
                  setting->environment[0] == '\0' ? NULL : setting->environment);
    json_put_cstr(json, "change", config_change_text(setting->change));
    json_put_cstr(json, "meaning", setting->meaning);
    json_end_object(json);
}

static int print_settings_json(void) {
    struct report_json report;
    report_json_begin(&report);
    json_begin_object(&report.json);
    json_key(&report.json, "settings");
    json_begin_array(&report.json);
    each_own(put_setting, &report.json);
    each_decider(put_setting, &report.json);
    json_end_array(&report.json);
    json_end_object(&report.json);
    return report_json_end(&report);
}

struct page {
    struct buf text;
    const char *section; /* of the last setting */
};

static void write_setting(const struct setting *setting, void *data) {
    struct page *page = data;
    if (strcmp(page->section, setting->section) != 0) {
        page->section = setting->section;
        buf_printf(&page->text, "\n[%s]\n", setting->section);
    }
    buf_printf(&page->text, "  %s = %s\n      %s\n      %s: %.*s", setting->key, setting->preset,
               setting->meaning, setting->type, SLICE_ARG(buf_slice(&setting->range)));
    if (setting->environment[0] != '\0') {
        buf_printf(&page->text, "; %s", setting->environment);
    }
    buf_printf(&page->text, "; %s", config_change_text(setting->change));
    buf_add_char(&page->text, '\n');
}

static int print_settings(void) {
    struct page page = {.section = ""};
    buf_init(&page.text, REPORT_MAX);
    buf_add_text(&page.text,
                 "Settings come from a flag, else from the environment, else from the INI file\n"
                 "(--config FILE), else from the default shown. Durations take ms, s, m, h; sizes\n"
                 "K, M, G. Unknown sections and keys are errors. The last word says what a change\n"
                 "takes in a running node: live (SIGHUP), takeover (SIGUSR2: a new process takes\n"
                 "over and no request is lost) or restart (stop and start).\n");
    each_own(write_setting, &page);
    each_decider(write_setting, &page);
    int code = report_text(buf_slice(&page.text));
    buf_fini(&page.text);
    return code;
}

static int print_commands(void) {
    struct buf text;
    buf_init(&text, REPORT_MAX);
    commands_describe(&text);
    int code = report_text(buf_slice(&text));
    buf_fini(&text);
    return code;
}

/* help COMMAND [SUBCOMMAND] is COMMAND [SUBCOMMAND] --help */
static int explain(const struct args *args) {
    const struct command *command = command_find(args->rest[0]);
    if (command == NULL) {
        return command_refuse(args->rest[0]);
    }
    char name[64], word[64];
    char help[] = "--help";
    snprintf(name, sizeof name, "%s", args->rest[0]);
    snprintf(word, sizeof word, "%s", args->rest_len > 1 ? args->rest[1] : "");
    char *all[] = {name, word, help, NULL};
    char *short_all[] = {name, help, NULL};
    return args->rest_len > 1 ? command->run(3, all) : command->run(2, short_all);
}

int cmd_help(int argc, char **argv) {
    struct args args;
    enum flags_e result = flags_parse(&form, argc, argv, &args);
    if (result != FLAGS_GOOD) {
        return result == FLAGS_HELP ? EXIT_DONE : EXIT_USAGE;
    }
    if (args.rest_len == 0) {
        return print_commands();
    }
    if (strcmp(args.rest[0], "config") == 0) {
        return args_has(&args, "--json") ? print_settings_json() : print_settings();
    }
    return explain(&args);
}
