/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a node: open, run, close. */
#include "app/node_priv.h"

#include "api/access.h"
#include "app/database.h"
#include "app/demo.h"
#include "app/node_orders.h"
#include "app/open.h"
#include "base/assert.h"
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

size_t node_loops(const struct config *config) {
    if (config->server_loops > 0) {
        return (size_t)config->server_loops;
    }
    cpu_set_t cores;
    CPU_ZERO(&cores);
    if (sched_getaffinity(0, sizeof cores, &cores) == 0 && CPU_COUNT(&cores) > 0) {
        return (size_t)CPU_COUNT(&cores);
    }
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (size_t)online : 1;
}

int64_t node_connections(int64_t wished, int64_t descriptors) {
    int64_t fitting = descriptors - NODE_OTHER_DESCRIPTORS;
    fitting = fitting < 1 ? 1 : fitting;
    return wished < fitting ? wished : fitting;
}

void node_url(struct slice listen, int port, char ret_url[NODE_URL_SIZE]) {
    size_t host_len = listen.len;
    while (host_len > 0 && listen.at[host_len - 1] != ':') {
        host_len--;
    }
    struct slice host = slice_from(listen.at, host_len == 0 ? 0 : host_len - 1);
    /* A wildcard is no address to go to; loopback reaches it. */
    if (host.len == 0 || slice_eq_text(host, "0.0.0.0") || slice_eq_text(host, "*")) {
        host = SLICE_LIT("127.0.0.1");
    } else if (slice_eq_text(host, "[::]")) {
        host = SLICE_LIT("[::1]");
    }
    snprintf(ret_url, NODE_URL_SIZE, "http://%.*s:%d", SLICE_ARG(host), port);
}

/* Raises the limit of descriptors as far as it goes and says how many there are. */
static int64_t raise_descriptors(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return 1024;
    }
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    if (before < limit.rlim_max && setrlimit(RLIMIT_NOFILE, &limit) == 0) {
        log_event(LOG_INFO, "descriptors_raised", "from=%llu to=%llu", (unsigned long long)before,
                  (unsigned long long)limit.rlim_cur);
    } else {
        limit.rlim_cur = before;
    }
    return limit.rlim_cur > INT32_MAX ? INT32_MAX : (int64_t)limit.rlim_cur;
}

static void fit_connections(struct node *node) {
    int64_t descriptors = raise_descriptors();
    int64_t wished = node->config->server_connections_max;
    node->connections_max = node_connections(wished, descriptors);
    if (node->connections_max < wished) {
        log_event(LOG_WARN, "connections_do_not_fit",
                  "server.connections_max=%lld descriptors=%lld serving_with=%lld "
                  "mend=\"raise the hard limit (ulimit -Hn, LimitNOFILE=) or lower the setting\"",
                  (long long)wished, (long long)descriptors, (long long)node->connections_max);
    }
}

static int watch_signals(const int *numbers, size_t len) {
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < len; i++) {
        sigaddset(&set, numbers[i]);
    }
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Signals come through descriptors; other threads start with them blocked. */
static enum err_e take_signals(struct node *node) {
    static const int stops[] = {SIGTERM, SIGINT};
    static const int orders[] = {SIGHUP, SIGUSR2};
    signal(SIGPIPE, SIG_IGN);
    node->signal_fd = watch_signals(stops, sizeof stops / sizeof stops[0]);
    node->order_fd = watch_signals(orders, sizeof orders / sizeof orders[0]);
    node->parts.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (node->signal_fd < 0 || node->order_fd < 0 || node->parts.wake < 0) {
        return problem_set(node->problem, ERR_NO_MEMORY, "", "no descriptors for signals: %s",
                           strerror(errno));
    }
    return ERR_OK;
}

static enum err_e check_reach(struct node *node, const char *address) {
    return node->config->auth_mode == API_AUTH_REQUIRED ||
                   http_address_is_loopback(slice_of(address))
               ? ERR_OK
               : problem_set(node->problem, ERR_CONFIG, "auth.mode",
                             "off is refused on %.120s, which others can reach: listen on "
                             "127.0.0.1 or [::1], or keep auth required",
                             address);
}

static enum err_e check_settings(struct node *node) {
    const struct config *config = node->config;
    if (node->kind == NODE_CONTROLLER && store_sqlite_path(config) != NULL) {
        return problem_set(node->problem, ERR_CONFIG, "store.url",
                           "one node alone serves a SQLite file, and its controller is inside: "
                           "this needs postgres://…");
    }
    if (node->supervisor.listen_fd < 0) {
        TRY(check_reach(node, config->server_listen));
    }
    if (config->redis_nodes[0] != '\0' && config->cache_policy == CACHE_POLICY_OFF) {
        return problem_set(node->problem, ERR_CONFIG, "cache.policy",
                           "is off, but redis.nodes names a second level: leave one of them out");
    }
    return ERR_OK;
}

MAY_BLOCK static enum err_e open_access(struct node *node) {
    const char *path = node->config->log_access;
    return strcmp(path, "off") == 0
               ? ERR_OK
               : access_open(path, &node->api_node.access, node->problem);
}

MAY_BLOCK static enum err_e take_lock(struct node *node, const char *path) {
    if (node->takeover.taker == NULL) {
        return store_lock(path, &node->lock_fd, node->problem);
    }
    node->lock_fd = taker_take_lock(node->takeover.taker);
    return store_lock_adopt(path, node->lock_fd, node->problem);
}

/* The settings name it as well: others are told of the node by them. */
MAY_BLOCK static enum err_e adopt_passed(struct node *node) {
    const char *wanted = node->config->server_listen;
    char address[HTTP_ADDRESS_SIZE];
    node->parts.listen_fd = node->supervisor.listen_fd;
    node->supervisor.listen_fd = -1;
    TRY(http_listen_adopt(node->parts.listen_fd, &node->port, node->problem));
    http_listen_address(node->parts.listen_fd, address);
    return http_resolves_to(slice_of(wanted), address)
               ? ERR_OK
               : problem_set(node->problem, ERR_CONFIG, "server.listen",
                             "is %.100s, but the socket that was passed listens on %s: name the "
                             "same address here and in the socket unit",
                             wanted, address);
}

/* The socket of the process that is taken over from, or that systemd passed, else one of its
 * own. */
MAY_BLOCK static enum err_e open_socket(struct node *node) {
    int *fd = &node->parts.listen_fd;
    if (node->takeover.taker != NULL) {
        *fd = taker_take_listen(node->takeover.taker);
        TRY(http_listen_adopt(*fd, &node->port, node->problem));
    } else if (node->supervisor.listen_fd >= 0) {
        TRY(adopt_passed(node));
    } else {
        TRY(http_listen(slice_of(node->config->server_listen), fd, &node->port, node->problem));
    }
    http_listen_address(*fd, node->address);
    return check_reach(node, node->address);
}

MAY_BLOCK static enum err_e open_cache(struct node *node) {
    struct slice roster =
        node->takeover.taker == NULL ? SLICE_NONE : taker_roster(node->takeover.taker);
    return node_cache_open(node->config, node->api_node.store, roster, &node->parts.cache,
                           node->problem);
}

MAY_BLOCK static enum err_e open_store(struct node *node) {
    const char *path = store_sqlite_path(node->config);
    if (path != NULL) {
        TRY(take_lock(node, path));
    }
    TRY(store_open(node->config, STORE_FOR_NODE, &node->api_node.store, node->problem));
    if (path != NULL && node->takeover.taker != NULL) {
        sqlite_share(node->api_node.store, true);
    }
    return ERR_OK;
}

/* A stop that comes while the demo is made: seen, and left for the wait that follows. */
static bool stop_is_asked(void *data) {
    struct node *node = data;
    struct pollfd fd = {.fd = node->signal_fd, .events = POLLIN};
    return poll(&fd, 1, 0) > 0;
}

/* Nodes that serve already may hold that somebody of the demo is not there. */
MAY_BLOCK static enum err_e tell_of_demo(struct node *node) {
    struct store_op op;
    store_op_init(&op, STORE_CHANGE_MARK);
    op.mark.flip = rng_u64(rng_system());
    enum err_e err = store_run(node->api_node.store, &op);
    store_op_fini(&op);
    return err == ERR_OK ? ERR_OK
                         : problem_set(node->problem, err, "store.url",
                                       "the demo is made, but nodes beside this one may not have "
                                       "been told of it");
}

MAY_BLOCK static enum err_e make_demo(struct node *node) {
    struct demo_options options = {.store = node->api_node.store,
                                   .clock = clock_system(),
                                   .should_stop = stop_is_asked,
                                   .data = node};
    struct demo_counts counts;
    enum err_e err = demo_make(&options, &counts, node->problem);
    if (err != ERR_OK && err != ERR_DRAINING) { /* when it is to stop, loops do in the usual way */
        return err;
    }
    return counts.gates + counts.participants > 0 ? tell_of_demo(node) : ERR_OK;
}

/* A node that asks for keys and has none answers nobody: worth a line. */
MAY_BLOCK static void warn_without_keys(struct node *node) {
    if (node->config->auth_mode != API_AUTH_REQUIRED) {
        log_event(LOG_WARN, "auth_off", "reach=loopback");
        return;
    }
    struct store_op op;
    store_op_init(&op, STORE_LIST_KEYS);
    size_t valid = 0;
    if (store_run(node->api_node.store, &op) == ERR_OK) {
        for (size_t i = 0; i < op.keys.len; i++) {
            valid += op.keys.items[i].revoked_at_ms == TIME_NONE;
        }
        if (valid == 0) {
            log_event(LOG_WARN, "no_keys", "mend=\"turnout key create --name N --scope admin\"");
        }
    }
    store_op_fini(&op);
}

static void fill_parts(struct node *node, size_t loops) {
    const struct config *config = node->config;
    node->api_node.clock = clock_system();
    node->api_node.rng = rng_system();
    node->api_node.auth = (enum api_auth_e)config->auth_mode;
    node->api_node.store_deadline_ms = config->store_deadline_ms;
    node->api_node.session_ms = config->auth_session_ms;
    node->api_node.ops_max = (size_t)config->store_ops_max;
    node->api_node.version = TURNOUT_VERSION;
    node->api_node.has_events = node->kind != NODE_CONTROLLER;
    atomic_init(&node->api_node.draining, false);
    node->parts.api_node = &node->api_node;
    node->api_node.cache = node_cache_keeper(node->parts.cache);
    node_limits_from(config, loops, node->connections_max, &node->parts.limits);
    node->parts.limits.http.yields_at_first = node->takeover.taker != NULL;
}

static void log_settings(const struct node *node, size_t loops) {
    const struct config *config = node->config;
    char store[STORE_SHOWN_SIZE];
    store_show(config, store);
    log_event(LOG_INFO, "starting", "version=%s store=%s loops=%zu auth=%s config=%s",
              TURNOUT_VERSION, store, loops,
              config->auth_mode == API_AUTH_REQUIRED ? "required" : "off",
              config->file == NULL ? "none" : config->file);
    char cache[NODE_CACHE_TEXT_SIZE];
    node_cache_describe(config, cache);
    log_event(LOG_INFO, "cache", "%s", cache);
    log_event(LOG_INFO, "limits",
              "connections=%lld body_bytes=%lld body_budget_bytes=%lld store_queue=%lld "
              "group=%lld readers=%lld deadline_ms=%lld drain_ms=%lld",
              (long long)node->connections_max, (long long)config->server_body_max,
              (long long)config->server_body_budget, (long long)config->store_queue_max,
              (long long)config->store_group_max, (long long)config->store_readers,
              (long long)config->store_deadline_ms, (long long)config->server_drain_timeout_ms);
}

/* ---- The monitor ---- */

/* The folder of the store's file: the file itself may be replaced or not be there yet. */
static const char *store_folder(struct node *node) {
    const char *path = store_sqlite_path(node->config);
    if (path == NULL) {
        return NULL;
    }
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - path) + 1;
    snprintf(node->disk_path, sizeof node->disk_path, "%.*s.", (int)len, path);
    return node->disk_path;
}

/* "host:port": one process has a port of a host at a time. */
static void name_node(struct node *node) {
    char host[256] = "";
    const char *listen = node->takeover.taker == NULL ? node->config->server_listen
                                                      : taker_listen(node->takeover.taker);
    node_url(slice_of(listen), node->port, node->url);
    if (gethostname(host, sizeof host - 1) != 0 || host[0] == '\0') {
        snprintf(host, sizeof host, "localhost");
    }
    snprintf(node->id, sizeof node->id, "%.*s:%d", NODE_ID_SIZE - 16, host, node->port);
    node->started_at_ms = clock_wall_ms(clock_system());
}

static int64_t read_horizon_ms(void *service) {
    return db_service_horizon_ms(service);
}

MAY_BLOCK static enum err_e open_cluster(struct node *node) {
    config_policy(node->config, &node->policy);
    if (store_sqlite_path(node->config) != NULL) {
        return ERR_OK;
    }
    TRY(cluster_find_url(node->config, node->port, node->cluster_url, node->problem));
    TRY(cluster_open(&(struct cluster_options){.config = node->config,
                                               .store = node->api_node.store,
                                               .clock = node->api_node.clock,
                                               .rng = node->api_node.rng,
                                               .id = node->id,
                                               .url = node->cluster_url,
                                               .serves = node->kind != NODE_CONTROLLER,
                                               .connections_max = node->connections_max,
                                               .agent_port = node_agent_port(node->agent),
                                               .started_at_ms = node->started_at_ms,
                                               .can_restart = node_orders_can_restart(),
                                               .policy = &node->policy},
                     &node->cluster, node->problem));
    node->api_node.desk = cluster_desk(node->cluster);
    return ERR_OK;
}

MAY_BLOCK static enum err_e open_monitor(struct node *node, size_t loops) {
    TRY(open_cluster(node));
    node->orders = node_orders_open(&(struct node_orders_options){
        .api_node = &node->api_node,
        .node = node->id,
        .started_at_ms = node->started_at_ms,
        .can_restart = node->kind != NODE_CONTROLLER && node_orders_can_restart()});
    if (node->orders == NULL) {
        return problem_set(node->problem, ERR_NO_MEMORY, "", "no memory for orders");
    }
    node->api_node.orders = node_orders_book(node->orders);
    TRY(node_control_open(&(struct node_control_options){.config = node->config,
                                                         .api_node = &node->api_node,
                                                         .node = node->id,
                                                         .url = node->url,
                                                         .started_at_ms = node->started_at_ms,
                                                         .cluster = node->cluster,
                                                         .agent = node->agent,
                                                         .is_held = node->takeover.taker != NULL},
                          &node->control, node->problem));
    node->api_node.controller = node_control_controller(node->control);
    node->api_node.notifier = node_control_notifier(node->control);
    node->api_node.monitor = monitor_create(&(struct monitor_options){
        .clock = clock_system(),
        .loops = loops,
        .routes = api_route_count(),
        .route_name = api_route_name,
        .route_is_api = api_route_is_api,
        .node = node->id,
        .url = node->url,
        .version = TURNOUT_VERSION,
        .disk_path = store_folder(node),
        .connections_limit = (uint64_t)node->connections_max,
        .read_loop = node_loop_figures,
        .read_horizon_ms = read_horizon_ms,
        .database = node->api_node.optimizer,
        .read_replica = postgres_read_replica,
        .store = node->api_node.store,
        .read_cluster = node->cluster == NULL ? NULL : cluster_figures,
        .cluster = node->cluster,
        .read_cache = node->parts.cache == NULL ? NULL : node_cache_figures,
        .cache = node->parts.cache,
        .on_view = node_control_see,
        .on_view_data = node->control,
        .root = "",
    });
    if (node->api_node.monitor == NULL || monitor_start(node->api_node.monitor) != ERR_OK) {
        return problem_set(node->problem, ERR_NO_MEMORY, "", "the monitor could not start");
    }
    return ERR_OK;
}

/* ---- Stages ---- */

MAY_BLOCK static enum err_e open_agent(struct node *node) {
    const char *address = node->config->server_agent;
    struct taker *taker = node->takeover.taker;
    if (address[0] == '\0') {
        return ERR_OK;
    }
    TRY(node_agent_open(address, taker == NULL ? -1 : taker_take_agent(taker), clock_system(),
                        &node->agent, node->problem));
    node_agent_yield(node->agent, taker != NULL); /* until this process serves */
    return ERR_OK;
}

MAY_BLOCK static enum err_e open_all(struct node *node, const struct node_options *options) {
    TRY(check_settings(node));
    log_set_level((enum log_level_e)node->config->log_level);
    fit_connections(node);
    TRY(take_signals(node)); /* before the store starts threads, which must not get them */
    TRY(node_takeover_join(&node->takeover, node->config, options->takes_over, node->problem));
    if (node->takeover.taker == NULL) {
        supervisor_say(&node->supervisor, SUPERVISOR_STARTS, "Opening the store");
    }
    TRY(open_access(node));
    TRY(open_store(node));
    TRY(open_cache(node));
    TRY(open_socket(node));
    TRY(open_agent(node));
    return node->kind == NODE_DEMO ? make_demo(node) : ERR_OK;
}

static void close_fd(int fd) {
    if (fd >= 0) {
        close(fd);
    }
}

MAY_BLOCK static void close_all(struct node *node) {
    for (size_t i = 0; i < node->loops_len; i++) {
        node_loop_join(&node->loops[i]);
    }
    free(node->loops);
    cluster_leave(node->cluster);
    if (node->api_node.optimizer != NULL) {
        db_service_drain(node->api_node.optimizer); /* lets the controller go, if it waits */
    }
    node_control_stop(node->control); /* before what it asks is gone */
    cluster_resign(node->cluster);    /* nothing acts any more */
    if (node->api_node.monitor != NULL) { /* after the loops, which ask it */
        monitor_stop(node->api_node.monitor);
        monitor_destroy(node->api_node.monitor);
    }
    if (node->api_node.optimizer != NULL) { /* after the monitor, which reads it */
        db_service_stop(node->api_node.optimizer);
        db_service_destroy(node->api_node.optimizer);
    }
    if (!node_takeover_is_given(&node->takeover)) { /* else the new one has the keys, and saves */
        node_cache_save(node->parts.cache);
    }
    node_cache_close(node->parts.cache); /* the monitor read it */
    node_control_close(node->control); /* after the monitor, which feeds it */
    node_orders_close(node->orders);   /* the controller looked into them */
    cluster_close(node->cluster);      /* likewise, and the controller looked at it */
    node_agent_close(node->agent);     /* likewise */
    access_close(node->api_node.access);
    close_fd(node->parts.listen_fd);
    store_close(node->api_node.store);
    if (node_takeover_shares_lock(&node->takeover)) {
        close_fd(node->lock_fd);
    } else if (node->lock_fd >= 0) { /* after the store: the lock outlives every write */
        store_unlock(store_sqlite_path(node->config), node->lock_fd);
    }
    node_takeover_close(&node->takeover);
    close_fd(node->signal_fd);
    close_fd(node->order_fd);
    close_fd(node->parts.wake);
    supervisor_close(&node->supervisor);
}

enum err_e node_serve(const struct node_options *options, struct problem *ret_problem) {
    const struct config *config = options->config;
    struct node node = {.config = config,
                        .kind = options->kind,
                        .reload = {.source = options->source, .now = *config},
                        .problem = ret_problem,
                        .parts = {.listen_fd = -1, .wake = -1},
                        .lock_fd = -1,
                        .signal_fd = -1,
                        .order_fd = -1};
    *ret_problem = (struct problem){0};
    size_t loops = node_loops(config);
    enum err_e err = supervisor_open(&node.supervisor, ret_problem);
    err = err == ERR_OK ? open_all(&node, options) : err;
    if (err == ERR_OK) {
        fill_parts(&node, loops);
        log_settings(&node, loops);
        warn_without_keys(&node);
        name_node(&node);
        err = database_start(config, node.id, &node.api_node.optimizer, ret_problem);
    }
    if (err == ERR_OK) {
        err = open_monitor(&node, loops);
    }
    if (err == ERR_OK) {
        err = node_run(&node, loops, options->argv);
        if (!node_stop_loops(&node)) {
            log_event(LOG_ERROR, "stop_failed", "reason=\"requests still wait for the store\"");
            _exit(1); /* threads still run: nothing can be freed under them */
        }
    }
    close_all(&node);
    if (err == ERR_OK) {
        log_event(LOG_INFO, "stopped", "loops=%zu", loops);
    }
    return err;
}
