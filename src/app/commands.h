/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of cli.h as data: looked up by name, described for help. The rows come from main, so
 * that this unit's library does not need every command to be linked. Thread: main.
 */
#ifndef TURNOUT_APP_COMMANDS_H
#define TURNOUT_APP_COMMANDS_H

#include "app/cli.h"
#include "base/buf.h"

struct command {
    const char *name;
    const char *summary;
    command_fn run;
};

/* Once, first: `commands` ends with a NULL name and lives as long as the process. */
void commands_set(const struct command *commands);
const struct command *command_find(const char *name); /* or NULL */
int command_refuse(const char *name); /* "unknown command", the nearest one, EXIT_USAGE */
void commands_describe(struct buf *to);

#endif
