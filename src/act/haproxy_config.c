/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration as text: fixed parts below, names and numbers between them. */
#include "act/haproxy_config.h"

#include <inttypes.h>

static const char *const backend_names[] = {
#define X(name, text) [HAPROXY_BACKEND_##name] = text,
    HAPROXY_BACKEND_TABLE(X)
#undef X
};

const char *haproxy_backend_name(enum haproxy_backend_e backend) {
    return backend_names[backend];
}

static const char defaults_text[] =
    "defaults\n"
    "    mode http\n"
    "    log global\n"
    "    option httplog\n"
    "    timeout connect 1s\n"
    "    timeout client 75s\n"
    "    timeout client-fin 5s\n"
    "    timeout http-request 10s\n"
    "    timeout http-keep-alive 75s\n"
    "    timeout queue 2s\n"
    "    # an export may think this long before its first byte\n"
    "    timeout server 30s\n"
    "    timeout tunnel 1h\n"
    "    timeout check 500ms\n"
    "    # a reload closes idle connections only after their next answer: none is lost\n"
    "    option idle-close-on-response\n"
    "    option redispatch 1\n"
    "    retries 3\n"
    "    # before a byte was sent a retry is always safe; the rest is decided by request, below\n"
    "    retry-on conn-failure empty-response response-timeout\n"
    "    # what a client gets when no node serves, or when it waited in the queue too long\n"
    "    http-error status 503 content-type application/problem+json"
    " string '{\"type\":\"urn:turnout:error:no_healthy_nodes\",\"title\":\"No healthy nodes\","
    "\"status\":503,\"code\":\"no_healthy_nodes\",\"detail\":\"No healthy nodes available\"}'"
    " hdr Retry-After 1\n"
    "\n";

static const char routing_text[] =
    "    http-response set-header Strict-Transport-Security max-age=31536000 if { ssl_fc }\n"
    "    # who asks, and how, is said anew: what a client says of itself goes no further\n"
    "    http-request del-header Forwarded\n"
    "    http-request set-header X-Forwarded-For %[src]\n"
    "    http-request set-header X-Forwarded-Proto http\n"
    "    http-request set-header X-Forwarded-Proto https if { ssl_fc }\n"
    "    # kinds of requests\n"
    "    acl writes method POST PUT PATCH DELETE\n"
    "    acl scan path_reg ^/v1/events/[^/]+/checkins$\n"
    "    acl analytics path_reg ^/v1/(performance|database|events/[^/]+/(stats|attendance))\n"
    "    acl keyed path_reg ^/v1/events/[^/]+(/(gates|participants)(/[^/]+)?)?$\n"
    "    acl by_token url_param(token) -m found\n"
    "    # A node that dies after its commit leaves an empty answer: the same scan may only be\n"
    "    # sent again when its nonce makes that harmless. No other write is ever sent twice.\n"
    "    http-request wait-for-body time 5s at-least 64k if scan writes\n"
    "    acl has_nonce req.body,json_query('$.nonce') -m len ge 1\n"
    "    http-request disable-l7-retry if writes !scan\n"
    "    http-request disable-l7-retry if writes scan !has_nonce\n"
    "    http-request set-var(txn.scan) bool(true) if scan writes\n"
    "    http-request set-var(txn.key) path\n"
    "    http-request set-var(txn.key) url_param(token) if by_token\n"
    "    use_backend database if writes\n"
    "    use_backend analytics if analytics\n"
    "    use_backend cache if keyed\n"
    "    # never nbsrv in a condition here: it is 0 in a leaving process, and requests get 503\n"
    "    default_backend general\n"
    "\n";

/* A node that lives answers within store.deadline, 5 s, or says 503: whoever takes longer hangs,
 * and what may be repeated goes to another node. */
#define SHORT_ANSWER "6s"

/* What each backend does on its own, in the order of HAPROXY_BACKEND_TABLE. */
static const char *const balance_texts[] = {
    [HAPROXY_BACKEND_DATABASE] =
        "    balance leastconn\n"
        "    # longer than store.deadline of a node: who takes longer hangs\n"
        "    http-request set-timeout server " SHORT_ANSWER " if { var(txn.scan) -m bool }\n",
    [HAPROXY_BACKEND_ANALYTICS] =
        "    balance roundrobin\n"
        "    # plans of queries and exports may take long; what people look at does not\n"
        "    http-request set-timeout server " SHORT_ANSWER
        " if { path_reg ^/v1/(performance|events/[^/]+/stats) }\n"
        "    # the controller writes the node with the lowest CPU into the map\n",
    [HAPROXY_BACKEND_CACHE] = "    balance hash var(txn.key)\n"
                              "    hash-type consistent djb2 avalanche\n"
                              "    # no node gets more than 1.5 times the average\n"
                              "    hash-balance-factor 150\n"
                              "    timeout server " SHORT_ANSWER "\n",
    [HAPROXY_BACKEND_GENERAL] = "    balance roundrobin\n"
                                "    timeout server " SHORT_ANSWER "\n",
};

static const char server_defaults[] =
    "    option httpchk GET /readyz\n"
    "    http-check expect status 200\n"
    "    # a dead node is out after 10 ms of traffic or 200 ms of checks, a hanging one in 2 s.\n"
    "    # never on-marked-down shutdown-sessions: it also cuts requests that still connect, and\n"
    "    # those are answered by nothing instead of by the next node\n"
    "    default-server weight 100 check inter 500ms fastinter 100ms downinter 500ms fall 2 rise 1"
    " pool-purge-delay 5s pool-max-conn 64 slowstart 4s observe layer4 error-limit 3"
    " on-error mark-down\n";

static void write_backend(struct buf *to, const struct haproxy_config *config,
                          enum haproxy_backend_e backend) {
    buf_printf(to, "backend %s\n", backend_names[backend]);
    buf_add_text(to, balance_texts[backend]);
    if (backend == HAPROXY_BACKEND_ANALYTICS) {
        buf_printf(to,
                   "    http-request set-var(txn.best) str(analytics),map(%s,-)\n"
                   "    use-server %%[var(txn.best)] if TRUE\n",
                   config->map_file);
    }
    buf_add_text(to, server_defaults);
    for (size_t i = 0; i < config->nodes_len; i++) {
        const struct haproxy_node *node = &config->nodes[i];
        buf_printf(to, "    server %s %s id %" PRId64, node->name, node->address, node->number);
        if (node->agent_port != 0 && backend != HAPROXY_BACKEND_STEADY) {
            buf_printf(to, " agent-check agent-inter 1s agent-port %d", node->agent_port);
        }
        buf_add_char(to, '\n');
    }
    buf_add_char(to, '\n');
}

/* --- checks --- */

static bool is_plain_word(const char *text) {
    for (const char *at = text; *at != '\0'; at++) {
        if (*at <= ' ' || *at > '~' || strchr("\"'\\#$", *at) != NULL) {
            return false;
        }
    }
    return *text != '\0';
}

static enum err_e check_word(const char *text, const char *field, struct problem *ret_problem) {
    return text != NULL && is_plain_word(text)
               ? ERR_OK
               : problem_set(ret_problem, ERR_INVALID_FIELD, field,
                             "%s is needed, printable, without blanks, quotes, \\, $ and #",
                             field);
}

static enum err_e check_config(const struct haproxy_config *config, struct problem *ret_problem) {
    TRY(check_word(config->bind, "bind", ret_problem));
    TRY(check_word(config->stats_socket, "stats_socket", ret_problem));
    TRY(check_word(config->map_file, "map_file", ret_problem));
    if (config->tls_bind != NULL) {
        TRY(check_word(config->tls_bind, "tls_bind", ret_problem));
        TRY(check_word(config->certificate, "certificate", ret_problem));
    }
    if (config->stats_bind != NULL) {
        TRY(check_word(config->stats_bind, "stats_bind", ret_problem));
    }
    if (config->connections_max < 1) {
        return problem_set(ret_problem, ERR_INVALID_FIELD, "connections_max",
                           "connections_max is at least 1");
    }
    struct haproxy_wish wish = {.nodes = config->nodes, .nodes_len = config->nodes_len};
    return haproxy_wish_check(&wish, ret_problem);
}

static void write_stats_page(struct buf *to, const char *bind) {
    buf_printf(to,
               "frontend stats\n"
               "    bind %s\n"
               "    stats enable\n"
               "    stats uri /\n"
               "    stats refresh 2s\n"
               "    stats show-legends\n"
               "\n",
               bind);
}

enum err_e haproxy_config_write(struct buf *to, const struct haproxy_config *config,
                                struct problem *ret_problem) {
    TRY(check_config(config, ret_problem));
    buf_printf(to,
               "# Written by turnout. Nodes come and go at run time without a reload; those below\n"
               "# are the ones that were known when this was written.\n"
               "global\n"
               "    log stderr format raw local0 notice\n"
               "    maxconn %" PRId64 "\n"
               "    stats socket %s mode 600 level admin\n"
               "    # the eleventh connection would hang with the default of 10\n"
               "    stats maxconn 100\n"
               "    hard-stop-after 30s\n"
               "\n",
               config->connections_max, config->stats_socket);
    buf_add_text(to, defaults_text);
    buf_printf(to, "frontend turnout\n    bind %s\n", config->bind);
    if (config->tls_bind != NULL) {
        buf_printf(to, "    bind %s ssl crt %s alpn h2,http/1.1 ssl-min-ver TLSv1.2\n",
                   config->tls_bind, config->certificate);
    }
    buf_add_text(to, routing_text);
    if (config->stats_bind != NULL) {
        write_stats_page(to, config->stats_bind);
    }
    for (int i = 0; i < HAPROXY_BACKEND_COUNT; i++) {
        write_backend(to, config, (enum haproxy_backend_e)i);
    }
    return to->failed ? ERR_NO_MEMORY : ERR_OK;
}
