/* SPDX-License-Identifier: Apache-2.0 */
/* What the controller would drive: HAProxy, and whoever starts and stops nodes. */
#include "app/doctor.h"

#include "act/haproxy_socket.h"
#include "act/haproxy_stat.h"
#include "app/hands.h"
#include "base/clock.h"
#include "control/policy.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { REPLY_MAX = 1 << 20, MEMORY = 1 << 20 };

/* ---- HAProxy ---- */

static void check_socket_rights(const struct config *config, struct findings *findings) {
    struct stat st;
    if (stat(config->haproxy_socket, &st) == 0 && (st.st_mode & S_IRWXO) != 0) {
        findings_add(findings, "haproxy", FINDING_UNSAFE,
                     "stats socket PATH mode 600 level admin, with the controller's user",
                     "everybody on this machine may command HAProxy through %s",
                     config->haproxy_socket);
    }
}

MAY_BLOCK static void check_map(const struct config *config, const struct haproxy_socket *socket,
                                struct buf *reply, struct findings *findings) {
    char command[sizeof config->haproxy_map + 16];
    struct problem problem;
    struct buf text;
    buf_init(&text, sizeof command);
    buf_printf(&text, "show map %s", config->haproxy_map);
    if (config->haproxy_map[0] == '\0') {
        findings_add(findings, "haproxy", FINDING_WARNING,
                     "set haproxy.map: turnout control haproxy writes a configuration with it",
                     "analytics go round in turn: no map names the best node");
    } else if (haproxy_ask(socket, buf_slice(&text), reply, &problem) != ERR_OK) {
        findings_add(findings, "haproxy", FINDING_WARNING,
                     "write haproxy.cfg with turnout control haproxy, and restart HAProxy",
                     "haproxy.map: %s", problem.detail);
    }
    buf_fini(&text);
}

MAY_BLOCK static void check_haproxy(const struct config *config, struct findings *findings) {
    const struct haproxy_socket socket = {config->haproxy_socket, HAPROXY_TIMEOUT_MS_DEFAULT};
    struct haproxy_info info;
    struct problem problem;
    struct buf reply;
    if (config->haproxy_socket[0] == '\0') {
        return; /* nobody asked for one */
    }
    buf_init(&reply, REPLY_MAX);
    enum err_e err = haproxy_ask(&socket, SLICE_LIT("show info"), &reply, &problem);
    if (err == ERR_OK) {
        err = haproxy_info_read(buf_slice(&reply), &info);
    }
    if (err != ERR_OK) {
        findings_add(findings, "haproxy", FINDING_UNSAFE,
                     "start HAProxy, or correct haproxy.socket", "%s",
                     err == ERR_IO ? "what answers at haproxy.socket is no HAProxy"
                                   : problem.detail);
    } else {
        findings_add(findings, "haproxy", FINDING_OK, NULL, "HAProxy %.*s answers",
                     SLICE_ARG(info.version));
        check_socket_rights(config, findings);
        check_map(config, &socket, &reply, findings);
    }
    buf_fini(&reply);
}

/* ---- the provider ---- */

/* Only looked at where looking changes nothing: processes are kept alive by it. */
static void check_folder(const struct config *config, struct findings *findings) {
    bool is_there = access(config->process_folder, F_OK) == 0;
    if (is_there && access(config->process_folder, R_OK | W_OK | X_OK) != 0) {
        findings_add(findings, "provider", FINDING_UNSAFE, "chown it to the controller's user",
                     "%s cannot be written", config->process_folder);
        return;
    }
    findings_add(findings, "provider", FINDING_OK, NULL, "nodes are processes known in %s%s",
                 config->process_folder, is_there ? "" : ", which will be made");
}

MAY_BLOCK static void look_at(struct provider *provider, struct findings *findings) {
    struct provider_state state;
    struct problem problem = {.detail = ""};
    enum err_e err = provider_look(provider, &state, &problem);
    if (err != ERR_OK) {
        findings_add(findings, "provider", FINDING_UNSAFE, err_remedy(err), "%s: %s",
                     provider_name(provider), problem.detail);
        return;
    }
    findings_add(findings, "provider", FINDING_OK, NULL,
                 "%s: %lld nodes wanted, %lld run, %lld ready%s", provider_name(provider),
                 (long long)state.desired, (long long)state.running, (long long)state.ready,
                 state.busy ? "; a rollout is under way" : "");
}

MAY_BLOCK static void check_provider(const struct config *config, const struct policy *policy,
                                     struct findings *findings) {
    struct provider *provider;
    struct problem problem = {.detail = ""};
    struct arena arena;
    if (policy->scaler.provider == PROVIDER_NONE) {
        return; /* advice only */
    }
    arena_init(&arena, MEMORY);
    enum err_e err = hands_open_provider(config, policy, &arena, &provider, &problem);
    if (err != ERR_OK) {
        findings_add(findings, "provider", FINDING_UNSAFE, "turnout help config tells each setting",
                     "%s%s%s", problem.field, problem.field[0] == '\0' ? "" : ": ",
                     problem.detail);
    } else if (policy->scaler.provider == PROVIDER_PROCESS) {
        check_folder(config, findings);
        provider_close(provider);
    } else {
        look_at(provider, findings);
        provider_close(provider);
    }
    arena_fini(&arena);
}

MAY_BLOCK void doctor_check_hands(const struct config *config, struct findings *findings) {
    struct policy *policy = calloc(1, sizeof *policy);
    if (policy == NULL) {
        return;
    }
    config_policy(config, policy);
    check_haproxy(config, findings);
    check_provider(config, policy, findings);
    free(policy);
}
