/* SPDX-License-Identifier: Apache-2.0 */
/* turnout help: the commands, one command, or every setting. */
#include "app/commands.h"
#include "app/report.h"

#include <stdio.h>

static const struct flag flags[] = {FLAG_JSON, {0}};
static const struct command_form form = {
    .name = "help",
    .usage = "[COMMAND|config] [--json]",
    .summary = "explain a command, or every setting: help config",
    .flags = flags,
    .rest_max = 2,
};

static void put_setting(struct json_writer *json, const struct config_row *row) {
    char environment[CONFIG_ENVIRONMENT_SIZE];
    config_row_environment(row, environment);
    struct buf range;
    buf_init(&range, 4096);
    config_row_range(row, &range);
    json_begin_object(json);
    json_put_cstr(json, "section", row->section);
    json_put_cstr(json, "key", row->key);
    json_put_cstr(json, "type", config_type_text(row->type));
    json_put_cstr(json, "default", row->preset);
    json_put_text(json, "range", buf_slice(&range));
    json_put_cstr(json, "environment", environment);
    json_put_cstr(json, "meaning", row->meaning);
    json_end_object(json);
    buf_fini(&range);
}

static int print_settings_json(void) {
    struct report_json report;
    report_json_begin(&report);
    json_begin_object(&report.json);
    json_key(&report.json, "settings");
    json_begin_array(&report.json);
    for (int i = 0; i < CONFIG_COUNT; i++) {
        put_setting(&report.json, config_row((enum config_key_e)i));
    }
    json_end_array(&report.json);
    json_end_object(&report.json);
    return report_json_end(&report);
}

static void write_setting(struct buf *text, const struct config_row *row) {
    buf_printf(text, "  %s = %s\n      %s\n      %s, ", row->key, row->preset, row->meaning,
               config_type_text(row->type));
    config_row_range(row, text);
    char environment[CONFIG_ENVIRONMENT_SIZE];
    config_row_environment(row, environment);
    buf_printf(text, "; %s\n", environment);
}

static int print_settings(void) {
    struct buf text;
    buf_init(&text, REPORT_MAX);
    buf_add_text(&text,
                 "Settings come from a flag, else from the environment, else from the INI file\n"
                 "(--config FILE), else from the default shown. Durations take ms, s, m, h; sizes\n"
                 "K, M, G. Unknown sections and keys are errors.\n");
    const char *section = "";
    for (int i = 0; i < CONFIG_COUNT; i++) {
        const struct config_row *row = config_row((enum config_key_e)i);
        if (strcmp(section, row->section) != 0) {
            section = row->section;
            buf_printf(&text, "\n[%s]\n", section);
        }
        write_setting(&text, row);
    }
    buf_add_text(&text, "\n[scaler] and [alert.NAME]\n"
                        "  The control plane's: see turnout control --help.\n");
    int code = report_text(buf_slice(&text));
    buf_fini(&text);
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
