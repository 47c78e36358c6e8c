/* SPDX-License-Identifier: Apache-2.0 */
/*
 * turnout db migrate: everything that a node needs in its database. First the schema, then the
 * declared indexes, then partitions ahead, which take their indexes from the table. Each part is
 * whole by itself, so a run that was cut short is run again.
 */
#include "app/cmd_db.h"
#include "app/database.h"
#include "app/open.h"
#include "app/report.h"
#include "optimizer/postgres.h"
#include "store/postgres_migrate.h"

#include <stdio.h>

static const struct flag migrate_flags[] = {
    {"--dry-run", NULL, FLAG_OWN, "Change nothing: print what would be done, and the locks."},
    {"--ahead", "N", CONFIG_database_partitions_ahead, "Periods to have after the current one."},
    FLAG_STORE,
    FLAG_CONFIG,
    FLAG_JSON,
    {0},
};
const struct command_form db_migrate_form = {
    .name = "db migrate",
    .usage = "[--dry-run] [--json]",
    .summary = "make the schema of a PostgreSQL, or bring it forward",
    .details =
        "Builds everything from nothing: tables, declared indexes, partitions ahead. Safe beside\n"
        "running nodes: locks are waited for 2 s at most, a few times, and indexes are built\n"
        "concurrently. A run that was cut short is simply run again; a second one at the same\n"
        "time is refused, and so is a schema that is newer than this turnout. A SQLite file\n"
        "needs no migration: it is brought forward when it is opened.\n"
        "Exit 0 done, 1 failed, 2 usage, 78 bad configuration.",
    .flags = migrate_flags,
};

/* What there is to tell: the schema, and what the optimizer did. */
struct outcome {
    struct postgres_migrated schema;
    struct db_report report;
    struct problem problem;
    bool is_dry;
};

/* Without a schema there is nothing that a dry run could look at further. */
static bool is_bare(const struct outcome *outcome) {
    return outcome->is_dry && outcome->schema.from == 0;
}

MAY_BLOCK static enum err_e complete(const struct config *config, struct outcome *outcome) {
    struct db_options options;
    TRY(database_options(config, &options, &outcome->problem));
    options.mode = outcome->is_dry ? DB_DRY_RUN : DB_CARRY_OUT;
    options.retention_ms = 0; /* a migration takes nothing away */
    struct db *db;
    TRY(db_open(&options, &db, &outcome->problem));
    enum err_e err = db_indexes(db, &outcome->report);
    err = err == ERR_OK ? db_partitions(db, &outcome->report) : err;
    if (err != ERR_OK) {
        outcome->problem = *db_problem(db);
    }
    db_close(db);
    return err;
}

MAY_BLOCK static enum err_e migrate(const struct config *config, struct outcome *outcome) {
    if (store_sqlite_path(config) != NULL) {
        return problem_set(&outcome->problem, ERR_CONFIG, "store.url",
                           "a SQLite file is brought forward when it is opened: migrate takes "
                           "postgres://USER@HOST/DATABASE");
    }
    TRY(postgres_migrate(config->store_url,
                         outcome->is_dry ? POSTGRES_MIGRATE_DRY : POSTGRES_MIGRATE,
                         &outcome->schema, &outcome->problem));
    return is_bare(outcome) ? ERR_OK : complete(config, outcome);
}

static int print_json(const struct outcome *outcome) {
    struct report_json json;
    report_json_begin(&json);
    json_begin_object(&json.json);
    json_key(&json.json, "schema");
    json_begin_object(&json.json);
    json_put_int(&json.json, "from", outcome->schema.from);
    json_put_int(&json.json, "to", outcome->schema.to);
    json_end_object(&json.json);
    json_put_bool(&json.json, "dry_run", outcome->is_dry);
    json_key(&json.json, "report");
    db_report_write(&json.json, &outcome->report);
    json_end_object(&json.json);
    return report_json_end(&json);
}

static int print_text(const struct outcome *outcome) {
    const struct postgres_migrated *schema = &outcome->schema;
    struct buf text;
    buf_init(&text, REPORT_MAX);
    if (schema->from == schema->to) {
        buf_printf(&text, "good     schema     version %d is the newest\n", schema->to);
    } else {
        buf_printf(&text, "%-8s schema     from version %d to %d\n",
                   outcome->is_dry ? "planned" : "done", schema->from, schema->to);
    }
    if (is_bare(outcome)) {
        buf_add_text(&text, "planned  index      every declared index\n"
                            "planned  partition  the current quarter and those ahead\n");
    }
    db_report_print(&text, &outcome->report);
    int code = report_text(buf_slice(&text));
    buf_fini(&text);
    return code;
}

MAY_BLOCK static int migrate_and_print(const struct args *args, const struct config *config) {
    struct outcome outcome = {.is_dry = args_has(args, "--dry-run")};
    db_report_init(&outcome.report);
    enum err_e err = migrate(config, &outcome);
    int code = EXIT_DONE;
    if (err == ERR_OK || outcome.report.first != NULL) {
        code = args_has(args, "--json") ? print_json(&outcome) : print_text(&outcome);
    }
    if (err != ERR_OK) {
        code = report_failure(args->form, err, &outcome.problem);
    } else if (outcome.report.counts[DB_FAILED] > 0) {
        code = EXIT_FAILED;
    }
    db_report_fini(&outcome.report);
    return code;
}

int db_migrate(int argc, char **argv) {
    struct args args;
    struct config config;
    enum flags_e flags = flags_parse(&db_migrate_form, argc, argv, &args);
    if (flags != FLAGS_GOOD) {
        return flags == FLAGS_HELP ? EXIT_DONE : EXIT_USAGE;
    }
    if (!args_config(&args, &config)) {
        return EXIT_BAD_CONFIG;
    }
    int code = migrate_and_print(&args, &config);
    config_fini(&config);
    return code;
}
