/* SPDX-License-Identifier: Apache-2.0 */
/* From settings to a provider. */
#include "app/hands.h"

#include "app/config_priv.h"
#include "app/open.h"
#include "control/policy.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

extern char **environ;

/* NULL for an empty text: the provider's own default. */
static const char *given(const char *text) {
    return text[0] == '\0' ? NULL : text;
}

/* ---- processes ---- */

/* A node that led would be the one to stop itself. */
static char never_leads[] = "TURNOUT_CONTROL_CANDIDATE=no";

static bool is_flag_text(const struct config *config, enum config_key_e key) {
    return config->origins[key] == CONFIG_ORIGIN_FLAG &&
           config_row(key)->type == CONFIG_TYPE_TEXT;
}

/* "TURNOUT_STORE_URL=postgres://…"; NULL without memory. */
static char *assignment(const struct config *config, enum config_key_e key, struct arena *arena) {
    char name[CONFIG_ENVIRONMENT_SIZE];
    const char *value = config_member((struct config *)(uintptr_t)config, key);
    config_row_environment(config_row(key), name);
    size_t size = strlen(name) + strlen(value) + 2;
    char *text = arena_alloc(arena, size);
    if (text != NULL) {
        snprintf(text, size, "%s=%s", name, value);
    }
    return text;
}

/* A flag goes before a variable: of the same name, that one is left out. */
static bool is_overridden(const struct config *config, const char *variable) {
    if (strncmp(variable, never_leads, strcspn(never_leads, "=") + 1) == 0) {
        return true;
    }
    for (int key = 0; key < CONFIG_COUNT; key++) {
        char name[CONFIG_ENVIRONMENT_SIZE];
        config_row_environment(config_row((enum config_key_e)key), name);
        size_t len = strlen(name);
        if (is_flag_text(config, (enum config_key_e)key) && strncmp(variable, name, len) == 0 &&
            variable[len] == '=') {
            return true;
        }
    }
    return false;
}

/* Our own, and what was given as flags: nodes read the same file, but not our command line. NULL
 * without memory. */
static char **environment_of(const struct config *config, struct arena *arena) {
    size_t len = 0, kept = 0;
    while (environ[len] != NULL) {
        len++;
    }
    char **all = arena_alloc(arena, (len + CONFIG_COUNT + 2) * sizeof *all);
    if (all != NULL) {
        all[kept++] = never_leads;
    }
    for (int key = 0; all != NULL && key < CONFIG_COUNT; key++) {
        if (is_flag_text(config, (enum config_key_e)key)) {
            all[kept] = assignment(config, (enum config_key_e)key, arena);
            if (all[kept++] == NULL) {
                return NULL;
            }
        }
    }
    for (size_t i = 0; all != NULL && i < len; i++) {
        if (!is_overridden(config, environ[i])) {
            all[kept++] = environ[i];
        }
    }
    if (all != NULL) {
        all[kept] = NULL;
    }
    return all;
}

/* As an absolute path: nodes work in a folder of their own. */
MAY_BLOCK static enum err_e absolute(const char *path, struct arena *arena, const char **ret_path,
                                     struct problem *problem) {
    char real[PATH_MAX];
    if (realpath(path, real) == NULL) {
        return problem_set(problem, ERR_CONFIG, "", "cannot find %.200s", path);
    }
    *ret_path = arena_copy(arena, slice_of(real)).at;
    return *ret_path == NULL ? ERR_NO_MEMORY : ERR_OK;
}

MAY_BLOCK static enum err_e open_process(const struct config *config, const struct policy *policy,
                                         struct arena *arena, struct provider **ret_provider,
                                         struct problem *problem) {
    struct process_options options = {
        .folder = config->process_folder,
        .listen = config->process_listen,
        .environment = environment_of(config, arena),
        .nodes_max = 2 * policy->scaler.max > PROVIDER_NODES_MAX ? PROVIDER_NODES_MAX
                                                                 : 2 * policy->scaler.max,
        .ready_ms = config->process_ready_within_ms,
        .stop_ms = config->process_stop_within_ms,
    };
    if (options.environment == NULL) {
        return ERR_NO_MEMORY;
    }
    if (config->process_folder[0] != '/') {
        return problem_set(problem, ERR_CONFIG, "process.folder",
                           "is needed, as an absolute path, for scaler.provider = process");
    }
    if (config->process_stop_within_ms < config->server_drain_timeout_ms) {
        return problem_set(problem, ERR_CONFIG, "process.stop_within",
                           "is shorter than server.drain_timeout: nodes would be killed before "
                           "they have answered what they have");
    }
    TRY(absolute("/proc/self/exe", arena, &options.program, problem));
    TRY(config->file == NULL ? ERR_OK : absolute(config->file, arena, &options.config, problem));
    return provider_open_process(&options, ret_provider, problem);
}

/* ---- the others ---- */

static enum err_e open_kubernetes(const struct config *config, struct provider **ret_provider,
                                  struct problem *problem) {
    static const char *const kinds[] = {"deployment", "statefulset"};
    const struct kubernetes_options options = {
        .url = given(config->kubernetes_url),
        .token_file = given(config->kubernetes_token_file),
        .ca_file = given(config->kubernetes_ca_file),
        .space = config->kubernetes_namespace,
        .kind = kinds[config->kubernetes_kind],
        .name = config->kubernetes_name,
        .timeout_ms = config->provider_timeout_ms,
    };
    return provider_open_kubernetes(&options, ret_provider, problem);
}

static enum err_e open_nomad(const struct config *config, struct provider **ret_provider,
                             struct problem *problem) {
    const struct nomad_options options = {
        .url = config->nomad_url,
        .token_file = given(config->nomad_token_file),
        .space = config->nomad_namespace,
        .job = config->nomad_job,
        .group = config->nomad_group,
        .timeout_ms = config->provider_timeout_ms,
    };
    return provider_open_nomad(&options, ret_provider, problem);
}

MAY_BLOCK static enum err_e open_it(const struct config *config, const struct policy *policy,
                                    struct arena *arena, struct provider **ret_provider,
                                    struct problem *problem) {
    switch ((enum provider_e)policy->scaler.provider) {
    case PROVIDER_NONE: return provider_open_none(ret_provider, problem);
    case PROVIDER_PROCESS: return open_process(config, policy, arena, ret_provider, problem);
    case PROVIDER_SYSTEMD:
        return provider_open_systemd(
            &(struct systemd_options){.template = config->systemd_template,
                                      .of_user = config->systemd_user,
                                      .nodes_max = policy->scaler.max,
                                      .timeout_ms = config->provider_timeout_ms},
            ret_provider, problem);
    case PROVIDER_SWARM:
        return provider_open_swarm(&(struct swarm_options){.socket = config->swarm_socket,
                                                           .service = config->swarm_service,
                                                           .timeout_ms =
                                                               config->provider_timeout_ms},
                                   ret_provider, problem);
    case PROVIDER_KUBERNETES: return open_kubernetes(config, ret_provider, problem);
    case PROVIDER_NOMAD: return open_nomad(config, ret_provider, problem);
    case PROVIDER_COMMAND:
        return provider_open_command(
            &(struct command_options){.program = config->command_program,
                                      .timeout_ms = config->provider_timeout_ms},
            ret_provider, problem);
    }
    return ERR_CONFIG;
}

MAY_BLOCK enum err_e hands_open_provider(const struct config *config, const struct policy *policy,
                                         struct arena *arena, struct provider **ret_provider,
                                         struct problem *ret_problem) {
    if (policy->scaler.provider != PROVIDER_NONE && store_sqlite_path(config) != NULL) {
        return problem_set(ret_problem, ERR_CONFIG, "scaler.provider",
                           "a SQLite file is served by one node: more need store.url = "
                           "postgres://USER@HOST/DATABASE");
    }
    return open_it(config, policy, arena, ret_provider, ret_problem);
}
