/* SPDX-License-Identifier: Apache-2.0 */
/* turnout: picks the command that the first argument names. */
#include "app/commands.h"

#include <stdio.h>
#include <string.h>

static const struct command commands[] = {
#define X(name, summary) {#name, summary, cmd_##name},
    COMMAND_TABLE(X)
#undef X
    {NULL, NULL, NULL},
};

/* Spellings that people try first. */
static const struct {
    const char *spelling;
    const char *command;
} aliases[] = {
    {"--help", "help"},
    {"-h", "help"},
    {"--version", "version"},
};

static const char *command_name(const char *word) {
    for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++) {
        if (strcmp(word, aliases[i].spelling) == 0) {
            return aliases[i].command;
        }
    }
    return word;
}

int main(int argc, char **argv) {
    commands_set(commands);
    if (argc < 2) {
        fprintf(stderr, "turnout: which command?\nSee turnout help.\n");
        return EXIT_USAGE;
    }
    const struct command *command = command_find(command_name(argv[1]));
    return command == NULL ? command_refuse(argv[1]) : command->run(argc - 1, argv + 1);
}
