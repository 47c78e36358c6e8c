/* SPDX-License-Identifier: Apache-2.0 */
/* The machine and the settings: descriptors, address, keys asked for, clock. */
#include "app/doctor.h"

#include "app/node.h"
#include "app/node_cache.h"
#include "app/open.h"
#include "http/http.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <unistd.h>

/* 2025-01-01: no turnout is older, so an earlier clock is wrong. */
#define CLOCK_EARLIEST_MS 1735689600000LL

static void check_file(const struct config *config, struct findings *findings) {
    struct stat st;
    if (config->file == NULL) {
        findings_add(findings, "configuration", FINDING_OK, NULL,
                     "no file given: defaults, environment and flags");
        return;
    }
    findings_add(findings, "configuration", FINDING_OK, NULL, "%s is well formed", config->file);
    if (stat(config->file, &st) == 0 && (st.st_mode & S_IWOTH) != 0) {
        findings_add(findings, "configuration", FINDING_UNSAFE, "chmod o-w the file",
                     "everybody may write %s", config->file);
    }
}

static void check_auth(const struct config *config, struct findings *findings) {
    bool loopback = http_address_is_loopback(slice_of(config->server_listen));
    if (config->auth_mode == API_AUTH_OFF) {
        findings_add(findings, "auth", loopback ? FINDING_WARNING : FINDING_UNSAFE,
                     "set auth.mode = required and make keys: turnout key create",
                     "auth.mode is off: %s",
                     loopback ? "every process on this machine may do everything"
                              : "serve refuses this on an address that others reach");
        return;
    }
    findings_add(findings, "auth", FINDING_OK, NULL, "requests need an API key");
    if (!loopback) {
        findings_add(findings, "transport", FINDING_WARNING,
                     "put a proxy that speaks TLS in front, and let only it reach this address",
                     "keys and names cross the network in clear: %s is not loopback",
                     config->server_listen);
    }
}

/* Behind a proxy that nobody named, every client has the proxy's address. */
static void check_proxies(const struct config *config, struct findings *findings) {
    struct http_trust proxies;
    bool is_good = http_trust_parse(slice_of(config->server_trusted_proxies), &proxies) == NULL;
    bool is_cluster = store_sqlite_path(config) == NULL;
    if (is_good && http_trust_is_everybody(&proxies)) {
        findings_add(findings, "proxies", FINDING_UNSAFE,
                     "name the proxies' own addresses in server.trusted_proxies",
                     "every address is a trusted proxy: a client may say that it is any other");
    } else if (proxies.len > 0) {
        findings_add(findings, "proxies", FINDING_OK, NULL,
                     "clients are known by what %zu trusted proxies or networks say", proxies.len);
    } else if (is_cluster) {
        findings_add(findings, "proxies", FINDING_WARNING,
                     "name them in server.trusted_proxies, such as 10.0.0.7,10.1.0.0/16",
                     "no proxy is trusted: behind one, all clients count as one address, and who "
                     "guesses keys keeps new ones out");
    } else {
        findings_add(findings, "proxies", FINDING_OK, NULL,
                     "no proxy is trusted: clients are known by the address they connect from");
    }
}

static void check_descriptors(const struct config *config, struct findings *findings) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        findings_add(findings, "descriptors", FINDING_WARNING, NULL,
                     "the limit is unknown: errno %d", errno);
        return;
    }
    int64_t hard = limit.rlim_max > INT32_MAX ? INT32_MAX : (int64_t)limit.rlim_max;
    int64_t wished = config->server_connections_max;
    int64_t fitting = node_connections(wished, hard);
    if (fitting < wished) {
        findings_add(findings, "descriptors", FINDING_WARNING,
                     "raise the hard limit (ulimit -Hn, LimitNOFILE=) or lower the setting",
                     "server.connections_max = %lld does not fit in %lld descriptors: %lld would "
                     "be served",
                     (long long)wished, (long long)hard, (long long)fitting);
        return;
    }
    findings_add(findings, "descriptors", FINDING_OK, NULL, "%lld connections fit in %lld",
                 (long long)wished, (long long)hard);
}

static void check_listen(const struct config *config, struct findings *findings) {
    int fd, port;
    struct problem problem = {0};
    const char *path = store_sqlite_path(config);
    if (http_listen(slice_of(config->server_listen), &fd, &port, &problem) == ERR_OK) {
        close(fd);
        findings_add(findings, "listen", FINDING_OK, NULL, "%s is free", config->server_listen);
    } else if (path != NULL && store_is_locked(path)) {
        findings_add(findings, "listen", FINDING_OK, NULL,
                     "%s is in use, and a node serves this store: most likely by it",
                     config->server_listen);
    } else {
        findings_add(findings, "listen", FINDING_UNSAFE,
                     "stop what listens there (ss -ltnp), or set server.listen to another address",
                     "cannot listen on %s: %s", config->server_listen, problem.detail);
    }
}

static void check_clock(struct findings *findings) {
    int64_t now = clock_wall_ms(clock_system());
    if (now < CLOCK_EARLIEST_MS) {
        findings_add(findings, "clock", FINDING_UNSAFE, "set the clock, and keep it with NTP",
                     "the clock is before 2025: every record would carry a wrong time");
        return;
    }
    struct timex state = {0};
    int rc = adjtimex(&state);
    if (rc >= 0 && (state.status & STA_UNSYNC) != 0) {
        findings_add(findings, "clock", FINDING_WARNING,
                     "run chrony or systemd-timesyncd (or see that the host does)",
                     "the kernel says that nothing keeps the clock synchronised");
        return;
    }
    findings_add(findings, "clock", FINDING_OK, NULL, "the clock is %s",
                 rc >= 0 ? "synchronised" : "past 2025; whether it is synchronised is unknown");
}

static void check_redis(const struct config *config, struct findings *findings) {
    if (config->redis_nodes[0] != '\0' && config->cache_policy == CACHE_POLICY_OFF) {
        findings_add(findings, "redis", FINDING_UNSAFE, "leave one of them out",
                     "cache.policy is off: serve refuses redis.nodes");
    }
}

void doctor_check_system(const struct config *config, struct findings *findings) {
    check_file(config, findings);
    check_auth(config, findings);
    check_proxies(config, findings);
    check_descriptors(config, findings);
    check_listen(config, findings);
    check_clock(findings);
    check_redis(config, findings);
}
