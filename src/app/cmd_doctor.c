/* SPDX-License-Identifier: Apache-2.0 */
/* turnout doctor: looks before the doors open, and says what to mend. */
#include "app/doctor.h"
#include "app/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const struct flag flags[] = {
    FLAG_CONFIG,
    {"--listen", "HOST:PORT", CONFIG_server_listen, "Address that serve would listen on."},
    FLAG_STORE,
    {"--auth", "required|off", CONFIG_auth_mode, "As serve would be called."},
    {"--quick-check", NULL, FLAG_OWN, "Read every page of a SQLite file for damage."},
    FLAG_JSON,
    {0},
};
static const struct command_form form = {
    .name = "doctor",
    .usage = "[--config FILE] [--quick-check] [--json]",
    .summary = "check a configuration and what it depends on",
    .details = "Changes nothing. Each finding is ok, warning or unsafe, with the mend. Exits 1\n"
               "when something is unsafe, 78 when the configuration is wrong.",
    .flags = flags,
};

static const char *const level_texts[] = {
#define X(name, text) text,
    FINDING_LEVEL_TABLE(X)
#undef X
};

const char *finding_level_text(enum finding_level_e level) {
    return level_texts[level];
}

void findings_add(struct findings *findings, const char *check, enum finding_level_e level,
                  const char *mend, const char *format, ...) {
    if (findings->len == FINDINGS_MAX) {
        struct finding *last = &findings->items[FINDINGS_MAX - 1];
        last->level = level > last->level ? level : last->level;
        snprintf(last->says, sizeof last->says, "there are more findings than fit here");
        return;
    }
    struct finding *finding = &findings->items[findings->len++];
    *finding = (struct finding){.check = check, .level = level, .mend = mend};
    va_list args;
    va_start(args, format);
    vsnprintf(finding->says, sizeof finding->says, format, args);
    va_end(args);
}

enum finding_level_e findings_worst(const struct findings *findings) {
    enum finding_level_e worst = FINDING_OK;
    for (size_t i = 0; i < findings->len; i++) {
        worst = findings->items[i].level > worst ? findings->items[i].level : worst;
    }
    return worst;
}

static int print_json(const struct findings *findings) {
    struct report_json report;
    report_json_begin(&report);
    struct json_writer *json = &report.json;
    json_begin_object(json);
    json_put_bool(json, "safe", findings_worst(findings) != FINDING_UNSAFE);
    json_key(json, "findings");
    json_begin_array(json);
    for (size_t i = 0; i < findings->len; i++) {
        const struct finding *finding = &findings->items[i];
        json_begin_object(json);
        json_put_cstr(json, "check", finding->check);
        json_put_cstr(json, "level", finding_level_text(finding->level));
        json_put_cstr(json, "message", finding->says);
        json_put_cstr(json, "mend", finding->mend);
        json_end_object(json);
    }
    json_end_array(json);
    json_end_object(json);
    return report_json_end(&report);
}

static int print_text(const struct findings *findings) {
    struct buf text;
    buf_init(&text, REPORT_MAX);
    for (size_t i = 0; i < findings->len; i++) {
        const struct finding *finding = &findings->items[i];
        buf_printf(&text, "%-8s %-14s %s\n", finding_level_text(finding->level), finding->check,
                   finding->says);
        if (finding->mend != NULL) {
            buf_printf(&text, "%-8s %-14s mend: %s\n", "", "", finding->mend);
        }
    }
    static const char *const ends[] = {"Safe to serve.\n", "Safe to serve, with warnings.\n",
                                       "Unsafe: mend what is marked before serving.\n"};
    buf_add_text(&text, ends[findings_worst(findings)]);
    int code = report_text(buf_slice(&text));
    buf_fini(&text);
    return code;
}

static int print(const struct findings *findings, const struct args *args) {
    return args_has(args, "--json") ? print_json(findings) : print_text(findings);
}

/* A finding for each line that is wrong. */
static int report_bad_config(struct findings *findings, const struct buf *errors,
                             const struct args *args) {
    struct slice rest = buf_slice(errors);
    struct slice line;
    while (slice_next(&rest, '\n', &line)) {
        findings_add(findings, "configuration", FINDING_UNSAFE,
                     "correct it: turnout help config lists every setting", "%.*s",
                     SLICE_ARG(line));
    }
    (void)print(findings, args);
    return EXIT_BAD_CONFIG;
}

MAY_BLOCK static int examine(struct findings *findings, const struct args *args) {
    struct config config;
    struct buf errors;
    buf_init(&errors, 1 << 20);
    int code;
    if (args_load(args, &config, &errors) != ERR_OK) {
        code = report_bad_config(findings, &errors, args);
    } else {
        enum sqlite_depth_e depth =
            args_has(args, "--quick-check") ? SQLITE_QUICK_CHECK : SQLITE_LOOK;
        doctor_check_system(&config, findings);
        doctor_check_store(&config, depth, findings);
        doctor_check_hands(&config, findings);
        config_fini(&config);
        code = print(findings, args);
        code = findings_worst(findings) == FINDING_UNSAFE ? EXIT_FAILED : code;
    }
    buf_fini(&errors);
    return code;
}

int cmd_doctor(int argc, char **argv) {
    struct args args;
    enum flags_e result = flags_parse(&form, argc, argv, &args);
    if (result != FLAGS_GOOD) {
        return result == FLAGS_HELP ? EXIT_DONE : EXIT_USAGE;
    }
    struct findings *findings = calloc(1, sizeof *findings);
    if (findings == NULL) {
        return report_failure(&form, ERR_NO_MEMORY, NULL);
    }
    int code = examine(findings, &args);
    free(findings);
    return code;
}
