/* SPDX-License-Identifier: Apache-2.0 */
/* Who should be in HAProxy: from what the controller knows of each node to a server of a name, an
 * address, and a share. */
#include "act/fleet_priv.h"

#include <netdb.h>
#include <stdio.h>

enum { WEIGHT_LEAST = 10 };

struct member *members_find(struct fleet *fleet, const char *id) {
    for (size_t i = 0; i < fleet->members_len; i++) {
        if (strcmp(fleet->members[i].id, id) == 0) {
            return &fleet->members[i];
        }
    }
    return NULL;
}

/* ---- where ---- */

/* "http://HOST:PORT", with an address of IPv6 in brackets. */
static bool split_url(struct slice url, char ret_host[], size_t size, struct slice *ret_port) {
    static const struct slice scheme = {"http://", sizeof "http://" - 1};
    if (!slice_starts_with(url, scheme)) {
        return false;
    }
    struct slice host = slice_skip(url, scheme.len);
    size_t colon = host.len;
    for (size_t i = 0; i < host.len; i++) {
        colon = host.at[i] == ':' ? i : colon;
    }
    *ret_port = slice_skip(host, colon + 1);
    host.len = colon;
    if (host.len > 2 && host.at[0] == '[' && host.at[host.len - 1] == ']') {
        host = slice_from(host.at + 1, host.len - 2);
    }
    return ret_port->len > 0 && slice_to_cstr(host, ret_host, size);
}

/* HAProxy never resolves a name at run time, so it gets numbers. */
MAY_BLOCK static bool find_address(struct slice url, char ret_address[HAPROXY_ADDRESS_MAX + 1]) {
    char host[NI_MAXHOST], numeric[NI_MAXHOST];
    struct slice port;
    struct addrinfo *found;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    if (!split_url(url, host, sizeof host, &port) || getaddrinfo(host, NULL, &hints, &found) != 0) {
        return false;
    }
    bool is_v6 = found->ai_family == AF_INET6;
    bool is_good = getnameinfo(found->ai_addr, found->ai_addrlen, numeric, sizeof numeric, NULL, 0,
                               NI_NUMERICHOST) == 0;
    freeaddrinfo(found);
    int len = snprintf(ret_address, HAPROXY_ADDRESS_MAX + 1, is_v6 ? "[%s]:%.*s" : "%s:%.*s",
                       numeric, SLICE_ARG(port));
    return is_good && len > 0 && len <= HAPROXY_ADDRESS_MAX;
}

/* ---- who ---- */

/* What is known of it from the turn before stays: its address, its number, what HAProxy said. */
MAY_BLOCK static bool fill(struct member *member, const struct fleet_node *node,
                           const struct member *before) {
    struct slice id = node->figures->id;
    if (before != NULL && slice_eq_text(node->url, before->url)) {
        *member = *before;
    } else {
        *member = (struct member){.sessions = 0};
    }
    if (!slice_to_cstr(id, member->id, sizeof member->id) ||
        !slice_to_cstr(node->url, member->url, sizeof member->url) ||
        !fleet_name(id, member->wish.name)) {
        return false;
    }
    if (member->wish.address[0] == '\0' && !find_address(node->url, member->wish.address)) {
        member->wish.address[0] = '\0';
        return false;
    }
    member->wish.agent_port = node->agent_port;
    member->connections = node->figures->connections;
    member->hit_rate = node->figures->hit_rate;
    member->healthy_for_ms = node->figures->healthy_for_ms;
    return true;
}

/* What is left of its CPU, so that load flows to where there is room; 0: it does not say. */
static int64_t share_of(const struct node_figures *figures) {
    if (!figure_is_known(figures->cpu)) {
        return 0;
    }
    int64_t left = 100 - (int64_t)figures->cpu;
    return left < WEIGHT_LEAST ? WEIGHT_LEAST : left > 100 ? 100 : left;
}

struct tally {
    size_t healthy, suspect;
};

static struct tally count(const struct fleet_view *view) {
    struct tally tally = {0, 0};
    for (size_t i = 0; i < view->len; i++) {
        tally.healthy += view->nodes[i].health == FLEET_HEALTHY;
        tally.suspect += view->nodes[i].health == FLEET_SUSPECT;
    }
    return tally;
}

static void tell_unplaced(struct fleet *fleet, const struct fleet_node *node) {
    fleet_tell(fleet, &(struct fleet_event){
                          .what = "NODE_NOT_PLACED",
                          .target = node->figures->id,
                          .err = ERR_CONFIG,
                          .detail = "HAProxy cannot have it: its id is no name of at most 64 "
                                    "A-Za-z0-9_.-: or its url leads to no address"});
}

MAY_BLOCK void members_take(struct fleet *fleet, const struct fleet_view *view) {
    static struct member before[FLEET_NODES_MAX]; /* one fleet a process, on one thread */
    struct tally tally = count(view);
    size_t before_len = fleet->members_len;
    fleet->keeps = tally.healthy == 0;
    if (fleet->keeps) {
        return;
    }
    /* When most look bad, it is the looking that is bad: Envoy calls it the panic threshold. */
    bool believes = tally.healthy >= tally.suspect;
    memcpy(before, fleet->members, before_len * sizeof before[0]);
    fleet->members_len = 0;
    for (size_t i = 0; i < view->len && fleet->members_len < FLEET_NODES_MAX; i++) {
        const struct fleet_node *node = &view->nodes[i];
        struct member *member = &fleet->members[fleet->members_len];
        const struct member *known = NULL;
        for (size_t k = 0; k < before_len && known == NULL; k++) {
            known = slice_eq_text(node->figures->id, before[k].id) ? &before[k] : NULL;
        }
        if (node->health == FLEET_GONE) {
            continue;
        }
        if (!fill(member, node, known)) {
            tell_unplaced(fleet, node);
            continue;
        }
        member->is_healthy = node->health == FLEET_HEALTHY && !scaling_takes(fleet, member->id);
        member->wish.drains = node->health == FLEET_LEAVING ||
                              (node->health == FLEET_SUSPECT && believes) ||
                              scaling_takes(fleet, member->id);
        member->wish.weight = share_of(node->figures);
        fleet->members_len++;
    }
}
