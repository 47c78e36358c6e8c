/* SPDX-License-Identifier: Apache-2.0 */
/* The registry's thread, the watcher and the desk of one process. */
#include "app/cluster.h"

#include "app/fetch.h"
#include "app/node.h"
#include "act/secret.h"
#include "base/assert.h"
#include "base/log.h"
#include "base/text.h"
#include "io/pacer.h"
#include "store/lease.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    PERIOD_MS = 1000,
    RENEWALS = 4,           /* within a life */
    STORE_DEADLINE_MS = 2000,
    SHOWN_MS = 60000,       /* a node that is gone */
    SECRET_MIN = 16,
    ANSWER_SHARE = 3,       /* of the lease's life, for an answer of the server */
};

struct cluster {
    struct cluster_options options;
    char secret[INQUIRY_SECRET_MAX + 1];
    size_t secret_len;
    char incarnation[CLUSTER_INCARNATION_SIZE];
    int64_t started_at_ms;
    struct desk *desk;
    struct watcher *watcher;
    struct pacer *registry;
    char holder[LEASE_HOLDER_MAX + 1]; /* id/incarnation */
    struct lease *lease;
    struct elector *elector;
    struct watched_node *seen; /* of the last sense */
    atomic_bool serves, drains, yields;

    bool has_registered; /* the registry's thread, up to the empty line */
    bool was_refused;
    bool told_drains;
    char told_capabilities[WATCH_CAPABILITIES_SIZE];
    int64_t renew_us;

    pthread_mutex_t lock; /* of what follows */
    bool is_listed;
    struct node_list list;
    char capabilities[WATCH_CAPABILITIES_SIZE];
};

/* ---- the secret ---- */

MAY_BLOCK static enum err_e secret_of_store(struct cluster *cluster, struct problem *problem) {
    struct store_op op;
    store_op_init(&op, STORE_CLUSTER_SECRET);
    enum err_e err = store_run(cluster->options.store, &op);
    if (err == ERR_OK) {
        text_to_hex(op.secret, sizeof op.secret, cluster->secret);
    } else {
        problem_set(problem, err, "cluster.secret", "none is set, and the database gives none: %s",
                    op.problem.detail[0] == '\0' ? err_remedy(err) : op.problem.detail);
    }
    explicit_bzero(op.secret, sizeof op.secret);
    store_op_fini(&op);
    return err;
}

MAY_BLOCK static enum err_e take_secret(struct cluster *cluster, struct problem *problem) {
    const struct config *config = cluster->options.config;
    if (config->cluster_secret_file[0] != '\0') {
        TRY(secret_read(config->cluster_secret_file, "cluster.secret_file", cluster->secret,
                        sizeof cluster->secret, problem));
    } else if (config->cluster_secret[0] != '\0') {
        snprintf(cluster->secret, sizeof cluster->secret, "%.*s", INQUIRY_SECRET_MAX,
                 config->cluster_secret);
    } else {
        TRY(secret_of_store(cluster, problem));
    }
    cluster->secret_len = strlen(cluster->secret);
    return cluster->secret_len >= SECRET_MIN
               ? ERR_OK
               : problem_set(problem, ERR_CONFIG, "cluster.secret",
                             "is shorter than %d bytes: openssl rand -hex 32 makes one",
                             SECRET_MIN);
}

/* ---- the registry ---- */

static void begin_op(const struct cluster *cluster, struct store_op *op, enum store_op_e kind) {
    store_op_init(op, kind);
    op->deadline_us = clock_mono_us(cluster->options.clock) + STORE_DEADLINE_MS * 1000;
}

static void fill_record(const struct cluster *cluster, struct store_op *op) {
    op->node.values = (struct node_record){
        .id = slice_of(cluster->options.id),
        .url = slice_of(cluster->options.url),
        .version = SLICE_LIT(TURNOUT_VERSION),
        .incarnation = slice_of(cluster->incarnation),
        .started_at_ms = cluster->started_at_ms,
    };
}

static void note_renewal(struct cluster *cluster, const struct store_op *op) {
    bool is_refused = op->err == ERR_CONFLICT && !op->node.values.drains; /* else it is expected */
    if (is_refused && !cluster->was_refused) {
        log_event(LOG_ERROR, "node_id_taken",
                  "node=%s mend=\"two processes have this host name and port: give each its own\"",
                  cluster->options.id);
    } else if (op->err != ERR_OK && !is_refused) {
        log_event(LOG_WARN, "node_not_renewed", "node=%s err=%s", cluster->options.id,
                  err_code(op->err));
    } else if (op->err == ERR_OK && (!cluster->has_registered || cluster->was_refused)) {
        log_event(LOG_INFO, "node_registered", "node=%s url=%s incarnation=%s",
                  cluster->options.id, cluster->options.url, cluster->incarnation);
    }
    cluster->was_refused = is_refused;
    cluster->has_registered = cluster->has_registered || op->err == ERR_OK;
}

MAY_BLOCK static void renew(struct cluster *cluster) {
    char capabilities[WATCH_CAPABILITIES_SIZE];
    struct store_op op;
    int64_t life_ms = cluster->options.config->cluster_life_ms;
    int64_t now_us = clock_mono_us(cluster->options.clock);
    bool drains = atomic_load(&cluster->drains);
    pthread_mutex_lock(&cluster->lock);
    memcpy(capabilities, cluster->capabilities, sizeof capabilities);
    pthread_mutex_unlock(&cluster->lock);
    bool is_due = now_us >= cluster->renew_us || drains != cluster->told_drains ||
                  strcmp(capabilities, cluster->told_capabilities) != 0;
    if (atomic_load(&cluster->yields)) {
        cluster->has_registered = false; /* should it come back, it takes the name again */
        cluster->renew_us = 0;
        return;
    }
    if (!atomic_load(&cluster->serves) || !is_due) {
        return;
    }
    begin_op(cluster, &op, STORE_REGISTER_NODE);
    fill_record(cluster, &op);
    op.node.values.capabilities = slice_of(capabilities);
    op.node.life_ms = life_ms;
    op.node.takes = !cluster->has_registered;
    op.node.values.drains = drains;
    enum err_e err = store_run(cluster->options.store, &op);
    note_renewal(cluster, &op);
    store_op_fini(&op);
    if (err == ERR_OK) { /* else with the next turn */
        cluster->renew_us = now_us + life_ms / RENEWALS * 1000;
        cluster->told_drains = drains;
        memcpy(cluster->told_capabilities, capabilities, sizeof capabilities);
    }
}

/* False when it has no place in the table, which ours always have. */
static bool take_record(const struct node_record *record, struct listed_node *ret_node) {
    ret_node->started_at_ms = record->started_at_ms;
    ret_node->drains = record->drains;
    ret_node->has_ended = record->left_ms < 0;
    return slice_to_cstr(record->id, ret_node->id, sizeof ret_node->id) &&
           slice_to_cstr(record->url, ret_node->url, sizeof ret_node->url) &&
           slice_to_cstr(record->version, ret_node->version, sizeof ret_node->version) &&
           slice_to_cstr(record->incarnation, ret_node->incarnation,
                         sizeof ret_node->incarnation) &&
           slice_to_cstr(record->capabilities, ret_node->capabilities,
                         sizeof ret_node->capabilities);
}

static void keep_list(struct cluster *cluster, const struct store_op *op) {
    pthread_mutex_lock(&cluster->lock);
    cluster->is_listed = true;
    cluster->list.len = 0;
    for (size_t i = 0; i < op->nodes.len && cluster->list.len < WATCH_NODES_MAX; i++) {
        struct listed_node *node = &cluster->list.items[cluster->list.len];
        cluster->list.len += take_record(&op->nodes.items[i], node);
    }
    pthread_mutex_unlock(&cluster->lock);
}

MAY_BLOCK static void list(struct cluster *cluster) {
    struct store_op op;
    begin_op(cluster, &op, STORE_LIST_NODES);
    if (store_run(cluster->options.store, &op) == ERR_OK) {
        keep_list(cluster, &op);
    }
    store_op_fini(&op);
}

MAY_BLOCK static void registry_turn(void *data) {
    renew(data);
    list(data);
}

static bool give_list(void *data, struct node_list *ret_list) {
    struct cluster *cluster = data;
    pthread_mutex_lock(&cluster->lock);
    bool is_listed = cluster->is_listed;
    if (is_listed) {
        *ret_list = cluster->list;
    }
    cluster->is_listed = false; /* one look, one list: an old one ends no registration */
    pthread_mutex_unlock(&cluster->lock);
    return is_listed;
}

/* ---- the lead ---- */

MAY_BLOCK static enum err_e try_lease(void *data, struct leadership *ret_leadership,
                                      struct problem *ret_problem) {
    struct cluster *cluster = data;
    struct lease_state state;
    TRY(lease_try(cluster->lease, &state, ret_problem));
    *ret_leadership = (struct leadership){.is_ours = state.is_ours, .term = state.term};
    snprintf(ret_leadership->holder, sizeof ret_leadership->holder, "%s", state.holder);
    snprintf(ret_leadership->url, sizeof ret_leadership->url, "%s", state.url);
    return ERR_OK;
}

MAY_BLOCK static enum err_e give_lease_back(void *data, struct problem *ret_problem) {
    struct cluster *cluster = data;
    return lease_give_back(cluster->lease, ret_problem);
}

static bool open_elector(struct cluster *cluster) {
    const struct config *config = cluster->options.config;
    snprintf(cluster->holder, sizeof cluster->holder, "%.*s/%s",
             LEASE_HOLDER_MAX - CLUSTER_INCARNATION_SIZE, cluster->options.id,
             cluster->incarnation);
    cluster->lease = lease_create(&(struct lease_options){
        .store_url = config->store_url,
        .name = LEASE_CONTROLLER,
        .holder = cluster->holder,
        .url = cluster->options.url,
        .ttl_ms = config->control_lease_ms,
        .timeout_ms = config->control_lease_ms / ANSWER_SHARE,
        .only_looks = !config->control_candidate,
    });
    cluster->elector = elector_create(&(struct elector_options){
        .clock = cluster->options.clock,
        .ttl_ms = config->control_lease_ms,
        .seams = {.try = try_lease, .give_back = give_lease_back, .data = cluster},
    });
    return cluster->lease != NULL && cluster->elector != NULL;
}

/* ---- life ---- */

static struct watcher *open_watcher(struct cluster *cluster) {
    const struct config *config = cluster->options.config;
    return watcher_create(&(struct watcher_options){
        .clock = cluster->options.clock,
        .rng = cluster->options.rng,
        .secret = slice_from(cluster->secret, cluster->secret_len),
        .policy = {(int)config->cluster_miss_after, (int)config->cluster_slow_after,
                   (int)config->cluster_recover_after},
        .period_ms = PERIOD_MS,
        .deadline_ms = config->cluster_answer_within_ms,
        .slow_ms = config->cluster_slow_ms,
        .skew_ms = config->cluster_clock_off_ms,
        .shown_ms = SHOWN_MS,
        .seams = {.list = give_list, .data = cluster},
    });
}

static struct desk *open_desk(struct cluster *cluster) {
    return desk_create(&(struct desk_options){
        .secret = slice_from(cluster->secret, cluster->secret_len),
        .clock = cluster->options.clock,
        .id = cluster->options.id,
        .incarnation = cluster->incarnation,
        .version = TURNOUT_VERSION,
    });
}

/* What it may use, measured by the monitor, and what is known before: HAProxy is to hear of the
 * agent's port with the first registration, since it asks no server that was added without one.
 * `view` NULL: nothing was measured yet. */
static void write_capabilities(struct cluster *cluster, const struct cluster_view *view) {
    struct json_writer w;
    struct buf text;
    buf_init(&text, sizeof cluster->capabilities - 1);
    json_writer_init(&w, &text);
    json_begin_object(&w);
    if (view != NULL) {
        json_put_real(&w, "cpus", view->cpus, 2);
        json_put_int(&w, "memory_limit", view->memory_limit);
    }
    json_put_int(&w, "connections_max", cluster->options.connections_max);
    if (cluster->options.agent_port != 0) {
        json_put_int(&w, "agent_port", cluster->options.agent_port);
    }
    json_put_bool(&w, "restart", cluster->options.can_restart);
    json_end_object(&w);
    pthread_mutex_lock(&cluster->lock);
    if (!text.failed) {
        (void)slice_to_cstr(buf_slice(&text), cluster->capabilities, sizeof cluster->capabilities);
    }
    pthread_mutex_unlock(&cluster->lock);
    buf_fini(&text);
}

static void name_run(struct cluster *cluster) {
    unsigned char random[(CLUSTER_INCARNATION_SIZE - 1) / 2];
    rng_fill(cluster->options.rng, random, sizeof random);
    text_to_hex(random, sizeof random, cluster->incarnation);
    cluster->started_at_ms = cluster->options.started_at_ms;
    write_capabilities(cluster, NULL);
}

MAY_BLOCK static enum err_e start(struct cluster *cluster, struct problem *problem) {
    TRY(take_secret(cluster, problem));
    cluster->watcher = open_watcher(cluster);
    cluster->seen = calloc(WATCH_NODES_MAX, sizeof *cluster->seen);
    bool good = cluster->watcher != NULL && cluster->seen != NULL && open_elector(cluster);
    if (good && cluster->options.serves) {
        cluster->desk = open_desk(cluster);
        good = cluster->desk != NULL;
    }
    if (good) {
        cluster->registry = pacer_start(&(struct pacer_options){.name = "registry",
                                                                .every_ms = PERIOD_MS,
                                                                .turn = registry_turn,
                                                                .data = cluster});
        good = cluster->registry != NULL && watcher_start(cluster->watcher) == ERR_OK &&
               elector_start(cluster->elector) == ERR_OK;
    }
    return good ? ERR_OK
                : problem_set(problem, ERR_NO_MEMORY, "", "the watch of nodes could not start");
}

MAY_BLOCK enum err_e cluster_open(const struct cluster_options *options,
                                  struct cluster **ret_cluster, struct problem *ret_problem) {
    struct cluster *cluster = calloc(1, sizeof *cluster);
    if (cluster == NULL) {
        return problem_set(ret_problem, ERR_NO_MEMORY, "", "the watch of nodes could not start");
    }
    cluster->options = *options;
    atomic_init(&cluster->serves, false);
    atomic_init(&cluster->drains, false);
    atomic_init(&cluster->yields, false);
    ASSERT(pthread_mutex_init(&cluster->lock, NULL) == 0);
    name_run(cluster);
    enum err_e err = start(cluster, ret_problem);
    if (err != ERR_OK) {
        cluster_leave(cluster);
        cluster_resign(cluster);
        cluster_close(cluster);
        return err;
    }
    *ret_cluster = cluster;
    return ERR_OK;
}

void cluster_register(struct cluster *cluster) {
    if (cluster != NULL && cluster->options.serves) {
        atomic_store(&cluster->serves, true);
        pacer_wake(cluster->registry);
    }
}

void cluster_yield(struct cluster *cluster, bool yields) {
    if (cluster != NULL) {
        atomic_store(&cluster->yields, yields);
        pacer_wake(cluster->registry);
    }
}

void cluster_drain(struct cluster *cluster) {
    if (cluster != NULL) {
        atomic_store(&cluster->drains, true);
        pacer_wake(cluster->registry);
    }
}

MAY_BLOCK void cluster_leave(struct cluster *cluster) {
    if (cluster == NULL) {
        return;
    }
    pacer_stop(cluster->registry);
    cluster->registry = NULL;
    if (cluster->has_registered && !atomic_load(&cluster->yields)) {
        struct store_op op;
        begin_op(cluster, &op, STORE_LEAVE_NODE);
        fill_record(cluster, &op);
        enum err_e err = store_run(cluster->options.store, &op);
        log_event(err == ERR_OK ? LOG_INFO : LOG_WARN, "node_left", "node=%s outcome=%s",
                  cluster->options.id, err_code(err));
        store_op_fini(&op);
    }
    if (cluster->watcher != NULL) {
        watcher_stop(cluster->watcher);
    }
}

MAY_BLOCK void cluster_resign(struct cluster *cluster) {
    if (cluster != NULL) {
        elector_stop(cluster->elector);
    }
}

MAY_BLOCK void cluster_close(struct cluster *cluster) {
    if (cluster == NULL) {
        return;
    }
    elector_destroy(cluster->elector);
    lease_destroy(cluster->lease);
    watcher_destroy(cluster->watcher);
    desk_destroy(cluster->desk);
    pthread_mutex_destroy(&cluster->lock);
    explicit_bzero(cluster->secret, sizeof cluster->secret);
    free(cluster->seen);
    free(cluster);
}

struct desk *cluster_desk(struct cluster *cluster) {
    return cluster == NULL ? NULL : cluster->desk;
}

void cluster_figures(void *data, struct cluster_figures *ret_figures) {
    struct cluster *cluster = data;
    struct watcher_counts counts;
    struct leadership leadership;
    watcher_count(cluster->watcher, &counts);
    cluster_lead(cluster, &leadership);
    *ret_figures = (struct cluster_figures){
        .is_known = true,
        .leads = leadership.is_ours,
        .term = leadership.term,
        .healthy = counts.states[MEMBER_HEALTHY],
        .suspect = counts.states[MEMBER_SUSPECT],
        .draining = counts.states[MEMBER_DRAINING],
        .gone = counts.states[MEMBER_GONE],
        .asks = counts.asks,
        .misses = counts.misses,
        .lies = counts.lies,
        .state_changes = counts.changes,
        .clock_off_s = (double)counts.skew_ms_max / 1000,
    };
}

struct slice cluster_holder(const struct cluster *cluster) {
    return slice_of(cluster->holder);
}

void cluster_lead(struct cluster *cluster, struct leadership *ret_leadership) {
    elector_see(cluster->elector, ret_leadership);
}

void cluster_see(struct cluster *cluster, const struct cluster_view *view) {
    if (cluster->desk != NULL) {
        desk_put(cluster->desk, &view->figures);
        write_capabilities(cluster, view);
    }
}

/* ---- sensing ---- */

static void sense_node(const struct cluster *cluster, const struct watched_node *seen,
                       struct sensed_node *ret_node) {
    int64_t now_us = clock_mono_us(cluster->options.clock);
    const struct status_figures *figures = &seen->figures;
    bool is_healthy = seen->member.state == MEMBER_HEALTHY;
    *ret_node = (struct sensed_node){
        .figures = {.id = slice_of(seen->listed.id),
                    .healthy = is_healthy,
#define X(name, highest) .name = figures->name,
                    NODE_FIGURE_TABLE(X)
#undef X
                    .age_ms = seen->is_heard ? (now_us - seen->heard_us) / 1000 + seen->age_ms
                                             : INT32_MAX,
                    .healthy_for_ms = is_healthy ? now_us / 1000 - seen->member.since_ms : 0},
        .url = seen->listed.url,
        .version = seen->listed.version,
        .state = member_state_text((enum member_state_e)seen->member.state),
        .why = seen->member.why,
        .capabilities = seen->listed.capabilities,
        .started_at_ms = seen->listed.started_at_ms,
        .skew_ms = seen->knows_skew ? seen->skew_ms : TIME_NONE,
    };
}

static void sense_metrics(const struct cluster *cluster, const struct sensed *sensed, size_t len,
                          double ret_metrics[METRIC_GIVEN_COUNT]) {
    const struct status_figures *fresh[WATCH_NODES_MAX];
    size_t fresh_len = 0, place = 0;
    for (size_t i = 0; i < len; i++) {
        if (cluster->seen[i].member.state == MEMBER_GONE) {
            continue;
        }
        const struct node_figures *figures = &sensed->nodes[place++].figures;
        if (!node_is_stale(figures, cluster->options.policy->balancer.stale_after_ms)) {
            fresh[fresh_len++] = &cluster->seen[i].figures;
        }
    }
    status_metrics(fresh, fresh_len, ret_metrics);
}

void cluster_sense(struct cluster *cluster, struct sensed *ret_sensed) {
    _Static_assert((int)WATCH_NODES_MAX <= (int)CONTROLLER_NODES_MAX, "all that is seen fits");
    size_t len;
    ret_sensed->knows_nodes = watcher_read(cluster->watcher, cluster->seen, &len);
    ret_sensed->nodes_len = ret_sensed->gone_len = 0;
    for (size_t i = 0; i < len; i++) {
        if (cluster->seen[i].member.state != MEMBER_GONE) {
            sense_node(cluster, &cluster->seen[i], &ret_sensed->nodes[ret_sensed->nodes_len++]);
        }
    }
    for (size_t i = 0; i < len; i++) {
        if (cluster->seen[i].member.state == MEMBER_GONE) {
            size_t place = ret_sensed->nodes_len + ret_sensed->gone_len++;
            sense_node(cluster, &cluster->seen[i], &ret_sensed->nodes[place]);
        }
    }
    sense_metrics(cluster, ret_sensed, len, ret_sensed->metrics);
}

/* ---- the address ---- */

/* "0.0.0.0:80", "*:80", ":80", "[::]:80" */
static bool is_everywhere(struct slice listen) {
    return listen.at[0] == ':' || listen.at[0] == '*' ||
           slice_starts_with(listen, SLICE_LIT("0.0.0.0:")) ||
           slice_starts_with(listen, SLICE_LIT("[::]:"));
}

MAY_BLOCK static bool find_address(char ret_address[INET_ADDRSTRLEN]) {
    struct ifaddrs *all;
    bool is_found = false;
    if (getifaddrs(&all) != 0) {
        return false;
    }
    for (const struct ifaddrs *at = all; at != NULL && !is_found; at = at->ifa_next) {
        bool is_up = (at->ifa_flags & IFF_UP) != 0 && (at->ifa_flags & IFF_LOOPBACK) == 0;
        if (is_up && at->ifa_addr != NULL && at->ifa_addr->sa_family == AF_INET) {
            const struct sockaddr_in *address = (const void *)at->ifa_addr;
            is_found = inet_ntop(AF_INET, &address->sin_addr, ret_address, INET_ADDRSTRLEN) != NULL;
        }
    }
    freeifaddrs(all);
    return is_found;
}

MAY_BLOCK enum err_e cluster_find_url(const struct config *config, int port,
                                      char ret_url[CLUSTER_URL_SIZE],
                                      struct problem *ret_problem) {
    struct slice listen = slice_of(config->server_listen);
    char address[INET_ADDRSTRLEN], url[NODE_URL_SIZE];
    struct fetch_place place;
    if (config->cluster_url[0] != '\0') {
        snprintf(ret_url, CLUSTER_URL_SIZE, "%.*s", CLUSTER_URL_SIZE - 1, config->cluster_url);
    } else if (is_everywhere(listen) && find_address(address)) {
        snprintf(ret_url, CLUSTER_URL_SIZE, "http://%s:%d", address, port);
    } else {
        node_url(listen, port, url);
        snprintf(ret_url, CLUSTER_URL_SIZE, "%s", url);
    }
    size_t len = strlen(ret_url);
    if (len > 0 && ret_url[len - 1] == '/') {
        ret_url[len - 1] = '\0';
    }
    return fetch_parse_url(slice_of(ret_url), &place)
               ? ERR_OK
               : problem_set(ret_problem, ERR_CONFIG, "cluster.url",
                             "expected an address such as http://10.0.0.5:8080");
}
