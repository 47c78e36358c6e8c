/* SPDX-License-Identifier: Apache-2.0 */
/* turnout serve: a node, or the whole product on one machine. */
#include "app/node.h"
#include "app/report.h"

#include <errno.h>
#include <stdlib.h>

static const struct flag flags[] = {
    FLAG_CONFIG,
    {"--listen", "HOST:PORT", CONFIG_server_listen, "Address to listen on."},
    FLAG_STORE,
    {"--redis", "HOST:PORT,…", CONFIG_redis_nodes, "Redis Cluster nodes to start from."},
    {"--auth", "required|off", CONFIG_auth_mode, "off only on a loopback address."},
    {"--takeover", NULL, FLAG_OWN, "Take over from the process that serves on this address."},
    {"--demo", NULL, FLAG_OWN, "Make the event demo: 50,000 people, 40 gates."},
    {0},
};
static const struct command_form form = {
    .name = "serve",
    .usage = "[--listen HOST:PORT] [--store URL] [--redis HOST:PORT,…] [--auth required|off]"
             " [--demo] [--takeover]",
    .summary = "serve the API until SIGTERM or SIGINT",
    .details = "Prints one line on standard output once it serves: ready url=… pid=…\n"
               "Log lines go to standard error. On SIGTERM or SIGINT it takes no new requests,\n"
               "finishes those in flight within server.drain_timeout and exits 0; a second signal\n"
               "ends it at once. On SIGHUP it reads the configuration again: what can change in\n"
               "a running node changes, the log names the rest and what it takes, and a broken\n"
               "file changes nothing. On SIGUSR2 it starts its program anew: the new process\n"
               "takes the listening socket, prepares, and takes over when it is ready; this one\n"
               "answers what it has and ends. No request is lost, and a new process that fails\n"
               "leaves this one serving. --takeover does the same from the other side.\n"
               "Under systemd (Type=notify) it says when it is ready, reloads and stops, gives\n"
               "signs of life for WatchdogSec=, and serves on a socket that is passed.\n"
               "Every setting: turnout help config.",
    .flags = flags,
};

static enum err_e load(void *data, struct config *ret_config, struct buf *ret_errors) {
    return args_load(data, ret_config, ret_errors);
}

/* This process' own arguments, but --takeover: who takes over from it is started by it. `argv[0]`
 * is the command's name. */
static char **own_arguments(int argc, char **argv) {
    char **own = calloc((size_t)argc + 2, sizeof *own);
    size_t len = 0;
    if (own != NULL) {
        own[len++] = program_invocation_name;
        for (int i = 0; i < argc; i++) {
            if (strcmp(argv[i], "--takeover") != 0) {
                own[len++] = argv[i];
            }
        }
    }
    return own;
}

int cmd_serve(int argc, char **argv) {
    struct args args;
    struct config config;
    struct problem problem;
    enum flags_e result = flags_parse(&form, argc, argv, &args);
    if (result != FLAGS_GOOD) {
        return result == FLAGS_HELP ? EXIT_DONE : EXIT_USAGE;
    }
    if (!args_config(&args, &config)) {
        return EXIT_BAD_CONFIG;
    }
    char **own = own_arguments(argc, argv);
    const struct node_options options = {
        .config = &config,
        .source = {load, &args},
        .kind = args_has(&args, "--demo") ? NODE_DEMO : NODE_PLAIN,
        .takes_over = args_has(&args, "--takeover"),
        .argv = own,
    };
    enum err_e err = own == NULL ? problem_set(&problem, ERR_NO_MEMORY, "", "no memory")
                                 : node_serve(&options, &problem);
    free(own);
    config_fini(&config);
    return err == ERR_OK ? EXIT_DONE : report_failure(&form, err, &problem);
}
