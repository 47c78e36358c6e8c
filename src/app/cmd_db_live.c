/* SPDX-License-Identifier: Apache-2.0 */
/* turnout db analyze, indexes, partitions, maintain, optimize: the optimizer by hand. */
#include "app/cmd_db.h"
#include "app/database.h"
#include "app/open.h"
#include "app/report.h"
#include "optimizer/postgres.h"

#include <stdio.h>

#define FLAG_DRY_RUN                                                                               \
    {"--dry-run", NULL, FLAG_OWN, "Change nothing: print what would be done, and the locks."}
#define FLAG_BUDGET                                                                                \
    {"--budget", "DURATION", CONFIG_database_budget,                                               \
     "Time for the run; what is under way then is cancelled."}

#define EXIT_TEXT                                                                                  \
    "Exit 0 done, whatever was found; 1 a step failed, or another optimizer is busy; 2 usage."

static const struct flag analyze_flags[] = {FLAG_STORE, FLAG_CONFIG, FLAG_JSON, {0}};
const struct command_form db_analyze_form = {
    .name = "db analyze",
    .usage = "[--json]",
    .summary = "measure the critical queries and judge their plans",
    .details =
        "Runs EXPLAIN (ANALYZE, BUFFERS) on a participant's records, a gate's count, an active\n"
        "participant by token and the counts per gate, with parameters drawn from the data, in a\n"
        "READ ONLY transaction of at most 10 s. With pg_stat_statements it lists statements that\n"
        "are slow on average, too. Works on a replica as well.\n" EXIT_TEXT,
    .flags = analyze_flags,
};

static const struct flag change_flags[] = {
    FLAG_DRY_RUN, FLAG_BUDGET, FLAG_STORE, FLAG_CONFIG, FLAG_JSON, {0},
};
const struct command_form db_indexes_form = {
    .name = "db indexes",
    .usage = "[--dry-run] [--json]",
    .summary = "build and repair the declared indexes without stopping anybody",
    .details =
        "Missing indexes are built and invalid ones rebuilt, concurrently, on each partition; one\n"
        "of a different definition is told, and so are doubled and unused ones: a valid index is\n"
        "never dropped. Waits for locks 2 s at most, ten times, then names who is in the way.\n"
        EXIT_TEXT,
    .flags = change_flags,
};

static const struct flag partition_flags[] = {
    FLAG_DRY_RUN,
    {"--now", "TIME", FLAG_OWN,
     "Plan as of this time (RFC 3339). Partitions are made by it, none is retired."},
    {"--ahead", "N", CONFIG_database_partitions_ahead, "Periods to have after the current one."},
    {"--period", "PERIOD", CONFIG_database_partition_period,
     "quarter, month or week: what a new partition spans."},
    {"--retention-days", "N", CONFIG_database_retention_days,
     "Retire partitions that ended longer ago; 0: none."},
    {"--archive-dir", "FOLDER", CONFIG_database_archive_dir,
     "Keep the rows of a partition there, as NAME.csv.gz, before it is dropped."},
    FLAG_BUDGET,
    FLAG_STORE,
    FLAG_CONFIG,
    FLAG_JSON,
    {0},
};
const struct command_form db_partitions_form = {
    .name = "db partitions",
    .usage = "[--dry-run] [--now TIME] [--json]",
    .summary = "make partitions ahead, fill gaps, retire old ones when configured",
    .details =
        "Finishes a detach that was cut short, makes the periods ahead and fills gaps. With a\n"
        "retention, older partitions are detached, kept for the quarantine, then dropped, with\n"
        "their nonces; with an archive folder their rows are kept there first, and nothing is\n"
        "dropped unless the file was read back and has every row.\n"
        EXIT_TEXT,
    .flags = partition_flags,
};

static const struct flag maintain_flags[] = {
    FLAG_DRY_RUN,
    FLAG_BUDGET,
    {"--window", "HH:MM-HH:MM", CONFIG_database_window,
     "Work only within these UTC times; empty: always."},
    FLAG_STORE,
    FLAG_CONFIG,
    FLAG_JSON,
    {0},
};
const struct command_form db_maintain_form = {
    .name = "db maintain",
    .usage = "[--dry-run] [--json]",
    .summary = "ANALYZE and VACUUM where they are due; watch wraparound, bloat and lag",
    .details = "Works partition by partition, those that need it most first.\n" EXIT_TEXT,
    .flags = maintain_flags,
};
const struct command_form db_optimize_form = {
    .name = "db optimize",
    .usage = "[--dry-run] [--json]",
    .summary = "measure, take few safe actions, measure again, undo what harmed",
    .details =
        "Rebuilds and builds at most three declared indexes and maintains at most three tables,\n"
        "then measures the same queries again. A new index that only harmed is dropped again.\n"
        "Every action is a row of the table action_journal.\n" EXIT_TEXT,
    .flags = change_flags,
};

static const struct {
    const struct command_form *form;
    enum err_e (*run)(struct db *db, struct db_report *report);
} runs[] = {
    {&db_analyze_form, db_analyze},   {&db_indexes_form, db_indexes},
    {&db_partitions_form, db_partitions}, {&db_maintain_form, db_maintain},
    {&db_optimize_form, db_optimize},
};

/* NULL also when the form has no such flag. */
static const char *value_of(const struct args *args, const char *name) {
    for (const struct flag *flag = args->form->flags; flag->name != NULL; flag++) {
        if (strcmp(flag->name, name) == 0) {
            return args_value(args, name);
        }
    }
    return NULL;
}

/* An exit code other than EXIT_DONE: it was said what is wrong. */
static int read_options(const struct args *args, const struct config *config,
                        struct db_options *options) {
    const char *now = value_of(args, "--now");
    struct problem problem = {{0}, {0}};
    if (database_options(config, options, &problem) != ERR_OK) {
        return report_failure(args->form, ERR_CONFIG, &problem);
    }
    options->mode = value_of(args, "--dry-run") != NULL ? DB_DRY_RUN : DB_CARRY_OUT;
    if (now != NULL && !time_parse(slice_of(now), &options->pretended_ms)) {
        return args_refuse(args->form, "--now takes a time such as 2026-12-31T23:59:59Z");
    }
    if (strncmp(config->store_url, "postgres", strlen("postgres")) != 0) {
        problem_set(&problem, ERR_CONFIG, "store.url",
                    "the optimizer works on PostgreSQL: use postgres://USER@HOST/DATABASE");
        return report_failure(args->form, ERR_CONFIG, &problem);
    }
    return EXIT_DONE;
}

static int print_report(const struct args *args, const struct db_report *report) {
    if (args_has(args, "--json")) {
        struct report_json json;
        report_json_begin(&json);
        db_report_write(&json.json, report);
        return report_json_end(&json);
    }
    struct buf text;
    buf_init(&text, REPORT_MAX);
    db_report_print(&text, report);
    int code = report_text(buf_slice(&text));
    buf_fini(&text);
    return code;
}

MAY_BLOCK static enum err_e run_form(const struct args *args, struct db *db,
                                     struct db_report *report) {
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        if (runs[i].form == args->form) {
            return runs[i].run(db, report);
        }
    }
    return ERR_USAGE;
}

/* What was done before a failure is printed all the same. */
MAY_BLOCK static int run_and_print(const struct args *args, const struct db_options *options) {
    struct db *db;
    struct db_report report;
    struct problem problem = {{0}, {0}};
    enum err_e err = db_open(options, &db, &problem);
    if (err != ERR_OK) {
        return report_failure(args->form, err, &problem);
    }
    db_report_init(&report);
    err = run_form(args, db, &report);
    int code = err == ERR_OK || report.first != NULL ? print_report(args, &report) : EXIT_DONE;
    if (err != ERR_OK) {
        code = report_failure(args->form, err, db_problem(db));
    } else if (report.counts[DB_FAILED] > 0) {
        code = EXIT_FAILED;
    }
    db_report_fini(&report);
    db_close(db);
    return code;
}

int db_live(const struct command_form *form, int argc, char **argv) {
    struct args args;
    struct config config;
    struct db_options options;
    switch (flags_parse(form, argc, argv, &args)) {
    case FLAGS_GOOD:
        break;
    case FLAGS_HELP:
        return EXIT_DONE;
    case FLAGS_WRONG:
        return EXIT_USAGE;
    }
    if (!args_config(&args, &config)) {
        return EXIT_BAD_CONFIG;
    }
    int code = read_options(&args, &config, &options);
    code = code == EXIT_DONE ? run_and_print(&args, &options) : code;
    config_fini(&config);
    return code;
}
