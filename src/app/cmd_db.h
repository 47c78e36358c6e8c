/* SPDX-License-Identifier: Apache-2.0 */
/* The forms of `turnout db` that need a database. Thread: main. */
#ifndef TURNOUT_APP_CMD_DB_H
#define TURNOUT_APP_CMD_DB_H

#include "app/flags.h"

extern const struct command_form db_analyze_form, db_indexes_form, db_partitions_form,
    db_maintain_form, db_optimize_form, db_migrate_form;

/* Runs the form with what follows its name; the exit code. */
MAY_BLOCK int db_live(const struct command_form *form, int argc, char **argv);
MAY_BLOCK int db_migrate(int argc, char **argv);

#endif
