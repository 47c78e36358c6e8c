/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line: a table of commands, each in a file cmd_<name>.c of its own.
 * Exit codes: 0 done, 1 failed, 2 usage, 78 bad configuration (EX_CONFIG of sysexits.h).
 * Thread: main.
 */
#ifndef TURNOUT_APP_CLI_H
#define TURNOUT_APP_CLI_H

enum exit_e { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_BAD_CONFIG = 78 };

/* argv[0] is the command's own name; each handles --help itself (prints its usage, returns 0). */
typedef int (*command_fn)(int argc, char **argv);

/* X(name, one line of what it does) in the order that help prints them; defines cmd_<name>. */
#define COMMAND_TABLE(X)                                                                           \
    X(serve, "serve the API: a node, or the whole product on one machine")                         \
    X(control, "look after all nodes of one PostgreSQL; replay decisions; test alert rules")       \
    X(import, "read participants from a CSV file")                                                 \
    X(key, "create, list and revoke API keys")                                                     \
    X(db, "look after the database: indexes, partitions, plans, maintenance")                      \
    X(cache, "look after the cache; simulate one on a trace of keys")                              \
    X(nodes, "show the nodes, their load, and how many there should be")                           \
    X(kpi, "show the seven key figures of a running node against their goals")                     \
    X(doctor, "check a configuration and what it depends on")                                      \
    X(version, "print the version and what it was built with")                                     \
    X(help, "explain a command, or every setting: help config")

#define X(name, summary) int cmd_##name(int argc, char **argv);
COMMAND_TABLE(X)
#undef X

#endif
