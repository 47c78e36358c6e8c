/* SPDX-License-Identifier: Apache-2.0 */
/* turnout control silence: what is not told for a while, through any node. */
#include "app/cmd_control.h"
#include "app/node_show.h"

#include <stdio.h>

enum { BODY_MAX = 4096, TEXT_MAX = 1 << 20, PATH_SIZE = 256 };

static const struct flag add_flags[] = {
    {"--rule", "NAME", FLAG_OWN, "Alerts of this rule; db_* for all that begin so, * for all."},
    {"--node", "ID", FLAG_OWN, "Alerts of this node, of rules over nodes; a star as above."},
    {"--severity", "S", FLAG_OWN, "Alerts of this severity: info, warning or critical."},
    {"--for", "TIME", FLAG_OWN, "How long: 30m, 2h; at most 720h."},
    {"--reason", "TEXT", FLAG_OWN, "Why."},
    FLAG_NODE_URL,
    FLAG_ADMIN_KEY,
    FLAG_CONFIG,
    FLAG_JSON,
    {0},
};
static const struct flag list_flags[] = {FLAG_NODE_URL, FLAG_NODE_KEY, FLAG_CONFIG, FLAG_JSON, {0}};
static const struct flag end_flags[] = {FLAG_NODE_URL, FLAG_ADMIN_KEY, FLAG_CONFIG, {0}};
static const struct flag no_flags[] = {{0}};

const struct command_form control_silence_form = {
    .name = "control silence",
    .usage = "add | list | end",
    .summary = "alerts that are not told to anybody for a while",
    .details = "What is silenced is decided and acted on as ever, and shown by /v1/alerts. When a\n"
               "silence ends, what still fires is told. They stand in the database: every\n"
               "controller obeys them.",
    .flags = no_flags,
};
static const struct command_form add_form = {
    .name = "control silence add",
    .usage = "[--rule NAME] [--node ID] [--severity S] --for TIME --reason TEXT",
    .summary = "tell nobody of alerts that match all that is given",
    .details = "Prints the id of the silence. Quote a star: a shell has its own idea of it.",
    .flags = add_flags,
};
static const struct command_form list_form = {
    .name = "control silence list",
    .usage = "[--url URL] [--key KEY|@FILE] [--json]",
    .summary = "show the silences that stand",
    .flags = list_flags,
};
static const struct command_form end_form = {
    .name = "control silence end",
    .usage = "ID",
    .summary = "end a silence now",
    .flags = end_flags,
    .rest_min = 1,
    .rest_max = 1,
};

/* ---- add ---- */

static int print_made(const struct args *args, const struct json_t *document) {
    (void)args;
    char line[PATH_SIZE];
    snprintf(line, sizeof line, "%.*s\n",
             SLICE_ARG(json_text_at(document, "id", SLICE_LIT("-"))));
    return report_text(slice_of(line));
}

static void write_silence(struct buf *to, const struct args *args, int64_t for_ms) {
    static const struct {
        const char *flag, *member;
    } texts[] = {{"--rule", "rule"},
                 {"--node", "node"},
                 {"--severity", "severity"},
                 {"--reason", "reason"}};
    struct json_writer w;
    json_writer_init(&w, to);
    json_begin_object(&w);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (args_value(args, texts[i].flag) != NULL) {
            json_put_cstr(&w, texts[i].member, args_value(args, texts[i].flag));
        }
    }
    json_put_int(&w, "duration_s", for_ms / 1000);
    json_end_object(&w);
}

static int add(int argc, char *const *argv) {
    static const char *const members[] = {"id", NULL};
    struct args args;
    struct config config;
    struct buf body;
    int64_t for_ms = 0;
    enum flags_e result = flags_parse(&add_form, argc, argv, &args);
    if (result != FLAGS_GOOD) {
        return result == FLAGS_HELP ? EXIT_DONE : EXIT_USAGE;
    }
    const char *time = args_value(&args, "--for");
    if (time == NULL || args_value(&args, "--reason") == NULL) {
        return args_refuse(&add_form, "--for and --reason are needed");
    }
    if (!config_parse_duration(slice_of(time), &for_ms) || for_ms < 1000) {
        return args_refuse(&add_form, "--for %s is no time such as 30m or 2h", time);
    }
    if (!args_config(&args, &config)) {
        return EXIT_BAD_CONFIG;
    }
    buf_init(&body, BODY_MAX);
    write_silence(&body, &args, for_ms);
    const struct node_order_text order = {.path = "/v1/silences", .body = buf_slice(&body)};
    const struct node_question question = {
        .path = order.path, .order = &order, .members = members, .print = print_made};
    int code = node_show(&args, &config, &question, NULL);
    buf_fini(&body);
    config_fini(&config);
    return code;
}

/* ---- list ---- */

static struct slice text_of(const struct json_t *item, const char *name) {
    return json_text_at(item, name, SLICE_LIT("-"));
}

static int print_list(const struct args *args, const struct json_t *document) {
    (void)args;
    const struct json_t *items = json_get(document, "items");
    struct buf text;
    buf_init(&text, TEXT_MAX);
    buf_printf(&text, "%-16s  %-24s  %-24s  %-8s  %-24s  %s\n", "ID", "RULE", "NODE", "SEVERITY",
               "UNTIL", "REASON");
    for (size_t i = 0; i < json_count(items); i++) {
        const struct json_t *item = json_at(items, i);
        buf_printf(&text, "%-16.*s  %-24.*s  %-24.*s  %-8.*s  %-24.*s  %.*s (%.*s)\n",
                   SLICE_ARG(text_of(item, "id")), SLICE_ARG(text_of(item, "rule")),
                   SLICE_ARG(text_of(item, "node")), SLICE_ARG(text_of(item, "severity")),
                   SLICE_ARG(text_of(item, "until")), SLICE_ARG(text_of(item, "reason")),
                   SLICE_ARG(text_of(item, "by")));
    }
    int code = report_text(buf_slice(&text));
    buf_fini(&text);
    return code;
}

static int list(int argc, char *const *argv) {
    static const char *const members[] = {"items", NULL};
    struct args args;
    struct config config;
    enum flags_e result = flags_parse(&list_form, argc, argv, &args);
    if (result != FLAGS_GOOD) {
        return result == FLAGS_HELP ? EXIT_DONE : EXIT_USAGE;
    }
    if (!args_config(&args, &config)) {
        return EXIT_BAD_CONFIG;
    }
    const struct node_question question = {
        .path = "/v1/silences", .members = members, .print = print_list};
    int code = node_show(&args, &config, &question, NULL);
    config_fini(&config);
    return code;
}

/* ---- end ---- */

/* Ids of silences are hexadecimal: nothing else becomes part of a path. */
static bool is_id(const char *text) {
    size_t len = strlen(text);
    return len > 0 && len <= 32 && strspn(text, "0123456789abcdef") == len;
}

static int end(int argc, char *const *argv) {
    struct args args;
    struct config config;
    struct problem problem = {.field = ""};
    struct buf answer;
    char path[PATH_SIZE];
    enum flags_e result = flags_parse(&end_form, argc, argv, &args);
    if (result != FLAGS_GOOD) {
        return result == FLAGS_HELP ? EXIT_DONE : EXIT_USAGE;
    }
    if (!is_id(args.rest[0])) {
        return args_refuse(&end_form, "%s is no id of a silence: turnout control silence list",
                           args.rest[0]);
    }
    if (!args_config(&args, &config)) {
        return EXIT_BAD_CONFIG;
    }
    snprintf(path, sizeof path, "/v1/silences/%s", args.rest[0]);
    buf_init(&answer, BODY_MAX);
    const struct node_order_text order = {.path = path, .method = "DELETE"};
    enum err_e err = node_tell(&args, &config, &order, &answer, &problem);
    buf_fini(&answer);
    config_fini(&config);
    return err == ERR_OK ? EXIT_DONE : report_failure(&end_form, err, &problem);
}

int control_silence(int argc, char *const *argv) {
    static const struct command_form *const forms[] = {&add_form, &list_form, &end_form, NULL};
    static const form_fn runs[] = {add, list, end};
    return forms_run(&control_silence_form, forms, runs, argc, argv);
}
