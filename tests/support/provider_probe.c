/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A provider by hand, for tests that put a real or a played platform behind it.
 *
 *   provider_probe KIND [NAME=VALUE…]      the names are those of the provider's options
 *
 * Commands a line on standard input: "look", "scale FROM TO [VICTIM…]". Answers a line each:
 * "CODE DESIRED RUNNING READY BUSY" and "CODE", with the problem's sentence behind a "|". "instance
 * ID URL" answers with the name, or "-".
 */
#include "act/provider.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

extern char **environ;

enum { LINE_SIZE = 65536, VICTIMS_MAX = 100 };

static int args_len;
static char **args;

/* The value of NAME=VALUE among the arguments, or NULL. */
static const char *option(const char *name) {
    size_t len = strlen(name);
    for (int i = 2; i < args_len; i++) {
        if (strncmp(args[i], name, len) == 0 && args[i][len] == '=') {
            return args[i] + len + 1;
        }
    }
    return NULL;
}

static int64_t number(const char *name, int64_t missing) {
    const char *text = option(name);
    return text == NULL ? missing : strtoll(text, NULL, 10);
}

static enum err_e open_it(const char *kind, struct provider **provider, struct problem *problem) {
    int64_t timeout_ms = number("timeout_ms", 5000);
    if (strcmp(kind, "kubernetes") == 0) {
        struct kubernetes_options options = {
            option("url"),  option("token_file"), option("ca_file"), option("space"),
            option("kind"), option("name"),       timeout_ms};
        return provider_open_kubernetes(&options, provider, problem);
    }
    if (strcmp(kind, "nomad") == 0) {
        struct nomad_options options = {option("url"), option("token_file"), option("space"),
                                        option("job"), option("group"),      timeout_ms};
        return provider_open_nomad(&options, provider, problem);
    }
    if (strcmp(kind, "swarm") == 0) {
        struct swarm_options options = {option("socket"), option("service"), timeout_ms};
        return provider_open_swarm(&options, provider, problem);
    }
    if (strcmp(kind, "systemd") == 0) {
        struct systemd_options options = {option("template"), option("of_user") != NULL,
                                          number("nodes_max", 10), option("systemctl"),
                                          timeout_ms};
        return provider_open_systemd(&options, provider, problem);
    }
    if (strcmp(kind, "process") == 0) {
        struct process_options options = {.program = option("program"),
                                          .folder = option("folder"),
                                          .config = option("config"),
                                          .listen = "127.0.0.1:0",
                                          .environment = environ,
                                          .nodes_max = number("nodes_max", 10),
                                          .ready_ms = number("ready_ms", 30000),
                                          .stop_ms = number("stop_ms", 30000)};
        return provider_open_process(&options, provider, problem);
    }
    if (strcmp(kind, "command") == 0) {
        struct command_options options = {option("program"), timeout_ms};
        return provider_open_command(&options, provider, problem);
    }
    return provider_open_none(provider, problem);
}

static void say(enum err_e err, const struct problem *problem) {
    printf("%s|%s\n", err_code(err), err == ERR_OK ? "" : problem->detail);
    fflush(stdout);
}

static void look(struct provider *provider) {
    struct provider_state state;
    struct problem problem = {.detail = ""};
    enum err_e err = provider_look(provider, &state, &problem);
    printf("%s %" PRId64 " %" PRId64 " %" PRId64 " %d|%s\n", err_code(err), state.desired,
           state.running, state.ready, state.busy, err == ERR_OK ? "" : problem.detail);
    fflush(stdout);
}

static void scale(struct provider *provider, char *words) {
    struct slice victims[VICTIMS_MAX];
    struct problem problem = {.detail = ""};
    struct provider_change change = {.victims = victims, .reason = SLICE_LIT("cpu 85 > 80")};
    char *rest = NULL;
    change.from = strtoll(strtok_r(words, " \n", &rest), NULL, 10);
    change.to = strtoll(strtok_r(NULL, " \n", &rest), NULL, 10);
    char *word = strtok_r(NULL, " \n", &rest);
    for (; word != NULL && change.victims_len < VICTIMS_MAX; word = strtok_r(NULL, " \n", &rest)) {
        victims[change.victims_len++] = slice_of(word);
    }
    say(provider_scale(provider, &change, &problem), &problem);
}

static void instance(struct provider *provider, char *words) {
    char name[PROVIDER_NAME_MAX + 1];
    char *rest = NULL;
    struct provider_node node = {.id = slice_of(strtok_r(words, " \n", &rest))};
    node.url = slice_of(strtok_r(NULL, " \n", &rest));
    printf("%s|\n", provider_instance(provider, &node, name) ? name : "-");
    fflush(stdout);
}

int main(int argc, char **argv) {
    static char line[LINE_SIZE];
    struct provider *provider = NULL;
    struct problem problem = {.detail = ""};
    args_len = argc;
    args = argv;
    if (argc < 2) {
        fprintf(stderr, "usage: provider_probe KIND [NAME=VALUE...]\n");
        return 2;
    }
    enum err_e err = open_it(argv[1], &provider, &problem);
    say(err, &problem);
    if (err != ERR_OK) {
        return 1;
    }
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (strcmp(line, "look\n") == 0) {
            look(provider);
        } else if (strncmp(line, "scale ", 6) == 0) {
            scale(provider, line + 6);
        } else if (strncmp(line, "instance ", 9) == 0) {
            instance(provider, line + 9);
        }
    }
    provider_close(provider);
    return 0;
}
