/* SPDX-License-Identifier: Apache-2.0 */
/*
 * turnout db: look after the database.
 *
 *     migrate        makes the schema of a PostgreSQL: cmd_db_migrate.c
 *     explain-file   says what is wrong with a plan that EXPLAIN printed
 *     the others     work on a live database: cmd_db_live.c
 */
#include "app/cmd_db.h"
#include "app/cli.h"
#include "app/input.h"
#include "optimizer/explain.h"

#include <stdio.h>

enum { REPORT_MAX = 64 << 20 }; /* 1,000 findings of a few kB, and the names of all indexes */

static const struct flag group_flags[] = {{NULL, NULL, 0, NULL}};
static const struct command_form group = {
    .name = "db",
    .usage = "migrate|analyze|indexes|partitions|maintain|optimize|explain-file",
    .summary = "look after the database",
    .flags = group_flags,
};

static const struct flag explain_file_flags[] = {
    {"--json", NULL, FLAG_OWN, "Print one JSON document: what it does in any case."},
    {NULL, NULL, 0, NULL},
};
static const struct command_form explain_file_form = {
    .name = "db explain-file",
    .usage = "PLAN.json",
    .summary = "say what is wrong with a plan, and what to do about it",
    .details =
        "Reads what EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) printed, or a plan that auto_explain\n"
        "logged as JSON; - is standard input, 64 MiB at most. Prints\n"
        "{\"execution_ms\":…,\"findings\":[…],\"indexes\":[…]}: the time it took (null without\n"
        "ANALYZE), the findings, most severe first, each with rule, severity (info, warning,\n"
        "critical), node, message and evidence, and the indexes that the plan uses. A healthy\n"
        "plan has no finding.\n"
        "Get a plan that can be read with\n"
        "  psql -XAt -c 'EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT …' > plan.json\n"
        "Exit 0 done, whatever was found; 1 not a plan; 2 usage.",
    .flags = explain_file_flags,
    .rest_min = 1,
    .rest_max = 1,
};

/* One document and a line feed on standard output; false when it cannot be written. */
static bool print_report(const struct explain_report *report) {
    struct buf text;
    struct json_writer writer;
    buf_init(&text, REPORT_MAX);
    json_writer_init(&writer, &text);
    explain_write(&writer, report);
    buf_add_char(&text, '\n');
    bool printed = !text.failed && fwrite(text.at, 1, text.len, stdout) == text.len &&
                   fflush(stdout) == 0;
    buf_fini(&text);
    return printed;
}

static int fail(const char *path, const char *detail) {
    fprintf(stderr, "turnout db explain-file: %s: %s\n",
            strcmp(path, "-") == 0 ? "standard input" : path, detail);
    return EXIT_FAILED;
}

static int explain_text(const char *path, struct slice text) {
    struct arena arena;
    struct plan_statement *plan = NULL;
    struct explain_report report;
    struct problem problem = {{0}, {0}};
    arena_init(&arena, PLAN_ARENA_LIMIT);
    enum err_e err = plan_read(&arena, text, &plan, &problem);
    if (err == ERR_OK && explain_judge(&arena, plan, &report) != ERR_OK) {
        err = problem_set(&problem, ERR_NO_MEMORY, "", "the plan takes too much memory");
    }
    int code = EXIT_DONE;
    if (err != ERR_OK) {
        code = fail(path, problem.detail);
    } else if (!print_report(&report)) {
        code = fail("standard output", "cannot write the report");
    }
    arena_fini(&arena);
    return code;
}

static int explain_file(int argc, char **argv) {
    struct args args;
    switch (flags_parse(&explain_file_form, argc, argv, &args)) {
    case FLAGS_GOOD:
        break;
    case FLAGS_HELP:
        return EXIT_DONE;
    case FLAGS_WRONG:
        return EXIT_USAGE;
    }
    struct buf text;
    struct problem problem = {{0}, {0}};
    enum err_e err = input_read(args.rest[0], PLAN_TEXT_MAX, &text, &problem);
    int code = err == ERR_OK ? explain_text(args.rest[0], buf_slice(&text))
                             : fail(args.rest[0], problem.detail);
    buf_fini(&text);
    return code;
}

int cmd_db(int argc, char **argv) {
    static const struct command_form *const forms[] = {
        &db_migrate_form,  &db_analyze_form,  &db_indexes_form,   &db_partitions_form,
        &db_maintain_form, &db_optimize_form, &explain_file_form, NULL,
    };
    int result;
    const struct command_form *form = forms_pick(&group, forms, argc, argv, &result);
    if (form == NULL) {
        return result;
    }
    if (form == &db_migrate_form) {
        return db_migrate(argc - 1, argv + 1);
    }
    return form == &explain_file_form ? explain_file(argc - 1, argv + 1)
                                      : db_live(form, argc - 1, argv + 1);
}
