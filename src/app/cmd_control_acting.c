/* SPDX-License-Identifier: Apache-2.0 */
/* turnout control approve and refuse: a word for an action that waits, at the controller that
 * leads. stop-acting and resume-acting: the emergency stop, through any node. */
#include "app/cmd_control.h"
#include "app/node_show.h"

#include <stdio.h>

enum { BODY_MAX = 4096, TEXT_MAX = 4096, PATH_SIZE = 64 };

static const struct flag stop_flags[] = {
    {"--reason", "TEXT", FLAG_OWN, "Why: it is in the journal, and on the dashboard."},
    FLAG_NODE_URL,
    FLAG_ADMIN_KEY,
    FLAG_CONFIG,
    FLAG_JSON,
    {0},
};
static const struct flag resume_flags[] = {FLAG_NODE_URL, FLAG_ADMIN_KEY, FLAG_CONFIG, FLAG_JSON,
                                           {0}};

const struct command_form control_stop_acting_form = {
    .name = "control stop-acting",
    .usage = "--reason TEXT [--url URL] [--key KEY|@FILE] [--json]",
    .summary = "hold all automatic acting at once, on every controller",
    .details = "From now on no action begins, whoever leads, until turnout control resume-acting;\n"
               "what is under way is left where it is within a second, and the journal says\n"
               "interrupted. Alerts, notices and HAProxy's view of the nodes go on. Any node or\n"
               "controller takes the order: it stands in the database, and survives restarts.",
    .flags = stop_flags,
};
const struct command_form control_resume_acting_form = {
    .name = "control resume-acting",
    .usage = "[--url URL] [--key KEY|@FILE] [--json]",
    .summary = "let controllers act again after stop-acting",
    .details = "An action that was held is due again once its cooldown has passed since.",
    .flags = resume_flags,
};

static const struct flag verdict_flags[] = {FLAG_NODE_URL, FLAG_ADMIN_KEY, FLAG_CONFIG, {0}};
const struct command_form control_approve_form = {
    .name = "control approve",
    .usage = "ID [--url URL] [--key KEY|@FILE]",
    .summary = "let an action begin that waits for an approval",
    .details = "With recovery.mode = ask. ID is that of GET /v1/actions. Actions wait at the\n"
               "controller that leads; another one says where that is.",
    .flags = verdict_flags,
    .rest_min = 1,
    .rest_max = 1,
};
const struct command_form control_refuse_form = {
    .name = "control refuse",
    .usage = "ID [--url URL] [--key KEY|@FILE]",
    .summary = "leave an action undone that waits for an approval",
    .details = "Its rule does not ask for it again within an hour; the next of its ladder is due.\n"
               "As for ID and where to ask, see turnout control approve.",
    .flags = verdict_flags,
    .rest_min = 1,
    .rest_max = 1,
};

static int print(const struct args *args, const struct json_t *document) {
    (void)args;
    struct buf text;
    const struct json_t *acting = json_get(document, "acting");
    buf_init(&text, TEXT_MAX);
    buf_printf(&text, "acting is %.*s\n",
               SLICE_ARG(json_text_at(acting, "state", SLICE_LIT("unknown"))));
    int code = report_text(buf_slice(&text));
    buf_fini(&text);
    return code;
}

static int tell(const struct args *args, const char *path, struct slice body) {
    static const char *const members[] = {"acting", NULL};
    struct config config;
    if (!args_config(args, &config)) {
        return EXIT_BAD_CONFIG;
    }
    const struct node_order_text order = {.path = path, .body = body};
    int code = node_show(args, &config,
                         &(struct node_question){
                             .path = path, .order = &order, .members = members, .print = print},
                         NULL);
    config_fini(&config);
    return code;
}

int control_stop_acting(int argc, char *const *argv) {
    struct args args;
    struct buf body;
    struct json_writer w;
    enum flags_e result = flags_parse(&control_stop_acting_form, argc, argv, &args);
    if (result != FLAGS_GOOD) {
        return result == FLAGS_HELP ? EXIT_DONE : EXIT_USAGE;
    }
    if (args_value(&args, "--reason") == NULL) {
        return args_refuse(&control_stop_acting_form, "--reason is needed: it is in the journal");
    }
    buf_init(&body, BODY_MAX);
    json_writer_init(&w, &body);
    json_begin_object(&w);
    json_put_cstr(&w, "reason", args_value(&args, "--reason"));
    json_end_object(&w);
    int code = tell(&args, "/v1/actions:stop", buf_slice(&body));
    buf_fini(&body);
    return code;
}

int control_resume_acting(int argc, char *const *argv) {
    struct args args;
    enum flags_e result = flags_parse(&control_resume_acting_form, argc, argv, &args);
    if (result != FLAGS_GOOD) {
        return result == FLAGS_HELP ? EXIT_DONE : EXIT_USAGE;
    }
    return tell(&args, "/v1/actions:resume", SLICE_NONE);
}

static int judge(const struct command_form *form, const char *verb, int argc, char *const *argv) {
    struct args args;
    struct config config;
    struct problem problem = {.field = ""};
    struct buf answer;
    char path[PATH_SIZE];
    int64_t id;
    enum flags_e result = flags_parse(form, argc, argv, &args);
    if (result != FLAGS_GOOD) {
        return result == FLAGS_HELP ? EXIT_DONE : EXIT_USAGE;
    }
    if (!slice_to_int(slice_of(args.rest[0]), 1, INT64_MAX, &id)) {
        return args_refuse(form, "%s is no id of an action: it is a number", args.rest[0]);
    }
    if (!args_config(&args, &config)) {
        return EXIT_BAD_CONFIG;
    }
    snprintf(path, sizeof path, "/v1/actions/%lld:%s", (long long)id, verb);
    buf_init(&answer, BODY_MAX);
    const struct node_order_text order = {.path = path};
    enum err_e err = node_tell(&args, &config, &order, &answer, &problem);
    buf_fini(&answer);
    config_fini(&config);
    return err == ERR_OK ? EXIT_DONE : report_failure(form, err, &problem);
}

int control_approve(int argc, char *const *argv) {
    return judge(&control_approve_form, "approve", argc, argv);
}

int control_refuse(int argc, char *const *argv) {
    return judge(&control_refuse_form, "refuse", argc, argv);
}
