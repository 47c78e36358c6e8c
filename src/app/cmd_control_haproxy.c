/* SPDX-License-Identifier: Apache-2.0 */
/* turnout control haproxy: a configuration for HAProxy that the controller can drive. */
#include "act/haproxy_config.h"
#include "app/cmd_control.h"
#include "app/report.h"

#include <stdio.h>

static const struct flag flags[] = {FLAG_CONFIG, {0}};

const struct command_form control_haproxy_form = {
    .name = "control haproxy",
    .usage = "[--config FILE] > haproxy.cfg",
    .summary = "write a configuration for HAProxy from the settings of [haproxy]",
    .details = "It names no nodes: the controller adds and removes them at run time over\n"
               "haproxy.socket, without a reload. The file of haproxy.map must exist, empty, when\n"
               "HAProxy starts. haproxy.socket and haproxy.map are needed.",
    .flags = flags,
};

int control_haproxy(int argc, char *const *argv) {
    struct args args;
    struct config config;
    struct problem problem = {.detail = ""};
    struct buf text;
    enum flags_e result = flags_parse(&control_haproxy_form, argc, argv, &args);
    if (result != FLAGS_GOOD) {
        return result == FLAGS_HELP ? EXIT_DONE : EXIT_USAGE;
    }
    if (!args_config(&args, &config)) {
        return EXIT_BAD_CONFIG;
    }
    buf_init(&text, REPORT_MAX);
    const struct haproxy_config wish = {
        .bind = config.haproxy_bind,
        .tls_bind = config.haproxy_tls_bind[0] == '\0' ? NULL : config.haproxy_tls_bind,
        .certificate = config.haproxy_certificate,
        .stats_bind = config.haproxy_stats_bind[0] == '\0' ? NULL : config.haproxy_stats_bind,
        .stats_socket = config.haproxy_socket,
        .map_file = config.haproxy_map,
        .connections_max = config.haproxy_connections_max,
    };
    enum err_e err = haproxy_config_write(&text, &wish, &problem);
    if (err == ERR_INVALID_FIELD) { /* all of them are settings */
        err = ERR_CONFIG;
    }
    int code = err == ERR_OK ? report_text(buf_slice(&text))
                             : report_failure(&control_haproxy_form, err, &problem);
    buf_fini(&text);
    config_fini(&config);
    return code;
}
