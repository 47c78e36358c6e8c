/* SPDX-License-Identifier: Apache-2.0 */
/* Commands by name, and the page that lists them. */
#include "app/commands.h"

#include "base/nearest.h"

#include <stdio.h>

static const struct command *table;

void commands_set(const struct command *commands) {
    table = commands;
}

const struct command *command_find(const char *name) {
    for (const struct command *command = table; command->name != NULL; command++) {
        if (strcmp(name, command->name) == 0) {
            return command;
        }
    }
    return NULL;
}

int command_refuse(const char *name) {
    struct nearest nearest;
    nearest_init(&nearest, slice_of(name));
    for (const struct command *command = table; command->name != NULL; command++) {
        nearest_offer(&nearest, command->name);
    }
    fprintf(stderr, "turnout: unknown %s %s%s%s\nSee turnout help.\n",
            name[0] == '-' ? "flag" : "command", name,
            nearest.best == NULL ? "" : ": did you mean ",
            nearest.best == NULL ? "" : nearest.best);
    return EXIT_USAGE;
}

void commands_describe(struct buf *to) {
    buf_add_text(to, "turnout: event check-in that does not slow down at the door\n\n"
                     "Usage: turnout COMMAND [ARGUMENTS]\n\n");
    for (const struct command *command = table; command->name != NULL; command++) {
        buf_printf(to, "  %-8s  %s\n", command->name, command->summary);
    }
    buf_add_text(to, "\nTry it: turnout serve --auth off --demo\n"
                     "Exit codes: 0 done, 1 failed, 2 wrong call, 78 bad configuration.\n");
}
