/* SPDX-License-Identifier: Apache-2.0 */
/*
 * turnout control without a word behind it: a controller in a process of its own. It is a node that
 * serves no events: the same parts under settings that are bent here.
 */
#include "app/cmd_control.h"

#include "app/cli.h"
#include "app/node.h"
#include "app/report.h"

#include <stdio.h>

static const struct flag flags[] = {
    FLAG_CONFIG,
    FLAG_STORE,
    {"--listen", "HOST:PORT", CONFIG_control_listen, "Address to listen on."},
    {"--redis", "HOST:PORT,…", CONFIG_redis_nodes, "Redis Cluster, to empty caches."},
    {"--auth", "required|off", CONFIG_auth_mode, "off only on a loopback address."},
    {0},
};
const struct command_form control_run_form = {
    .name = "control",
    .usage = "[--config FILE] [--store URL] [--listen HOST:PORT] [--auth required|off]",
    .summary = "look after all nodes of one PostgreSQL until SIGTERM or SIGINT",
    .details =
        "Of all controllers on one PostgreSQL, those inside of nodes too, one leads and acts; the\n"
        "others stand by. Asks every node each second how it is, decides, and does or advises\n"
        "what was decided: turnout help config, sections scaler, balancer, alert and recovery.\n"
        "It serves no events. GET /v1/nodes, /v1/alerts, /v1/actions and /metrics tell what it\n"
        "sees and does; /readyz whether it reaches its database.\n"
        "Prints one line on standard output once it runs: ready url=… pid=…\n"
        "Log lines go to standard error. On SIGTERM or SIGINT it gives the lead back and exits 0;\n"
        "on SIGHUP it reads the configuration again.\n"
        "\n"
        "Further: turnout control approve        let an action begin that waits for a word\n"
        "         turnout control refuse         let it be\n"
        "         turnout control haproxy        a configuration for HAProxy\n"
        "         turnout control replay         decide on recorded figures\n"
        "         turnout control silence        alerts that are not told for a while\n"
        "         turnout control stop-acting    hold all acting at once\n"
        "         turnout control resume-acting  let it go on\n"
        "         turnout control test-rules     unit tests of alert rules\n"
        "Each has its own --help.",
    .flags = flags,
};

/* What a process that serves no events does not need, and what it is there for. */
static void bend(struct config *config) {
    memcpy(config->server_listen, config->control_listen, sizeof config->server_listen);
    config->server_agent[0] = '\0';
    config->server_loops = 1;
    config->cache_roster[0] = '\0';
    config->cache_warm = 0; /* none */
    config->control_candidate = true;
}

static enum err_e load(void *data, struct config *ret_config, struct buf *ret_errors) {
    enum err_e err = args_load(data, ret_config, ret_errors);
    if (err == ERR_OK) {
        bend(ret_config);
    }
    return err;
}

int control_run(int argc, char *const *argv) {
    struct args args;
    struct config config;
    struct problem problem;
    enum flags_e result = flags_parse(&control_run_form, argc, argv, &args);
    if (result != FLAGS_GOOD) {
        return result == FLAGS_HELP ? EXIT_DONE : EXIT_USAGE;
    }
    if (!args_config(&args, &config)) {
        return EXIT_BAD_CONFIG;
    }
    bend(&config);
    const struct node_options options = {
        .config = &config,
        .source = {load, &args},
        .kind = NODE_CONTROLLER,
    };
    enum err_e err = node_serve(&options, &problem);
    config_fini(&config);
    return err == ERR_OK ? EXIT_DONE : report_failure(&control_run_form, err, &problem);
}
