/* SPDX-License-Identifier: Apache-2.0 */
/* Level-triggered: each round looks at every server anew and gives what takes it one step on. */
#include "act/haproxy_plan.h"

#include "base/assert.h"

#include <inttypes.h>
#include <stdio.h>

static const char *const words[] = {
#define X(name, word, why) [HAPROXY_ORDER_##name] = word,
    HAPROXY_ORDER_TABLE(X)
#undef X
};
static const char *const reasons[] = {
#define X(name, word, why) [HAPROXY_ORDER_##name] = why,
    HAPROXY_ORDER_TABLE(X)
#undef X
};

const char *haproxy_order_text(enum haproxy_order_e order) {
    return words[order];
}

const char *haproxy_order_why(enum haproxy_order_e order) {
    return reasons[order];
}

/* --- what may be wished --- */

static bool is_name_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '_' || c == '.' || c == '-';
}

bool haproxy_name_is_good(struct slice name) {
    for (size_t i = 0; i < name.len; i++) {
        if (!is_name_char(name.at[i])) {
            return false;
        }
    }
    return name.len >= 1 && name.len <= HAPROXY_NAME_MAX;
}

static bool is_address_char(char c) {
    return (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || (c >= '0' && c <= '9') ||
           c == ':' || c == '.' || c == '[' || c == ']';
}

/* Numeric, with a port behind the last colon. */
static bool address_is_good(struct slice address) {
    size_t port_at = address.len;
    for (size_t i = 0; i < address.len; i++) {
        if (!is_address_char(address.at[i])) {
            return false;
        }
        port_at = address.at[i] == ':' ? i + 1 : port_at;
    }
    int64_t port;
    return port_at > 1 && slice_to_int(slice_skip(address, port_at), 1, 65535, &port);
}

static enum err_e check_node(const struct haproxy_node *node, struct problem *ret_problem) {
    if (!haproxy_name_is_good(slice_of(node->name))) {
        return problem_set(ret_problem, ERR_INVALID_FIELD, "name",
                           "a node's name is 1 to %d of A-Za-z0-9_.-", HAPROXY_NAME_MAX);
    }
    if (!address_is_good(slice_of(node->address)) || node->agent_port < 0 ||
        node->agent_port > 65535) {
        return problem_set(ret_problem, ERR_INVALID_FIELD, "address",
                           "node %s: the address is numeric with a port, as 10.0.0.1:8080",
                           node->name);
    }
    if (node->number < 1 || node->number > 65535 || node->weight < 0 || node->weight > 100) {
        return problem_set(ret_problem, ERR_INVALID_FIELD, "number",
                           "node %s: the number is 1 to 65535, the weight 0 to 100", node->name);
    }
    return ERR_OK;
}

enum err_e haproxy_wish_check(const struct haproxy_wish *wish, struct problem *ret_problem) {
    if (wish->nodes_len > HAPROXY_SERVERS_MAX || wish->backends_len > HAPROXY_BACKENDS_MAX) {
        return problem_set(ret_problem, ERR_INVALID_FIELD, "", "at most %d nodes in %d backends",
                           HAPROXY_SERVERS_MAX, HAPROXY_BACKENDS_MAX);
    }
    for (size_t i = 0; i < wish->backends_len; i++) {
        if (!haproxy_name_is_good(wish->backends[i])) {
            return problem_set(ret_problem, ERR_INVALID_FIELD, "backend",
                               "a backend's name is 1 to %d of A-Za-z0-9_.-", HAPROXY_NAME_MAX);
        }
    }
    for (size_t i = 0; i < wish->nodes_len; i++) {
        TRY(check_node(&wish->nodes[i], ret_problem));
        for (size_t k = 0; k < i; k++) {
            if (strcmp(wish->nodes[i].name, wish->nodes[k].name) == 0 ||
                wish->nodes[i].number == wish->nodes[k].number) {
                return problem_set(ret_problem, ERR_INVALID_FIELD, "number",
                                   "nodes %s and %s share a name or a number",
                                   wish->nodes[k].name, wish->nodes[i].name);
            }
        }
    }
    return ERR_OK;
}

/* --- those on their way out --- */

static struct haproxy_leaving *find_leaving(struct haproxy_history *history, struct slice backend,
                                            struct slice server) {
    for (size_t i = 0; i < history->len; i++) {
        struct haproxy_leaving *leaving = &history->leaving[i];
        if (slice_eq_text(backend, leaving->backend) && slice_eq_text(server, leaving->server)) {
            return leaving;
        }
    }
    return NULL;
}

/* NULL when so many leave that this one is looked at later, or its name is none of ours. */
static struct haproxy_leaving *note_leaving(struct haproxy_history *history,
                                            const struct haproxy_row *row, int64_t now_ms) {
    struct haproxy_leaving *leaving = find_leaving(history, row->backend, row->server);
    if (leaving == NULL && history->len < HAPROXY_SERVERS_MAX) {
        leaving = &history->leaving[history->len];
        *leaving = (struct haproxy_leaving){.since_ms = now_ms};
        if (!slice_to_cstr(row->backend, leaving->backend, sizeof leaving->backend) ||
            !slice_to_cstr(row->server, leaving->server, sizeof leaving->server)) {
            return NULL;
        }
        history->len++;
    }
    if (leaving != NULL) {
        leaving->seen = true;
    }
    return leaving;
}

static void forget_unseen(struct haproxy_history *history) {
    size_t kept = 0;
    for (size_t i = 0; i < history->len; i++) {
        if (history->leaving[i].seen) {
            history->leaving[kept] = history->leaving[i];
            history->leaving[kept++].seen = false;
        }
    }
    history->len = kept;
}

void haproxy_note_refused_delete(struct haproxy_history *history,
                                 const struct haproxy_order *order) {
    struct haproxy_leaving *leaving = find_leaving(history, order->backend, order->server);
    if (leaving != NULL) {
        leaving->deletes++;
    }
}

/* --- the plan --- */

struct planner {
    const struct haproxy_wish *wish;
    const struct haproxy_view *view;
    struct haproxy_history *history;
    struct haproxy_orders *orders;
};

static void give(struct planner *planner, enum haproxy_order_e kind,
                 const struct haproxy_row *row) {
    planner->orders->items[planner->orders->len++] =
        (struct haproxy_order){kind, row->backend, row->server, NULL};
}

/* Its requests wait for nothing: cut, they go to another node where they may. Not at once: what is
 * still connecting would be answered by nothing (seen on 2.6.12), and is sent on by then. */
static bool is_hanging(const struct haproxy_row *row) {
    return row->is_silent && (row->sessions > 0 || row->used > 0);
}

static bool is_held_by_agent(const struct haproxy_row *row) {
    return row->has_mute_agent && row->check_passed;
}

/* Told once: HAProxy shows DOWN for one that is down, also while it drains. */
static void drain_once(struct planner *planner, const struct haproxy_row *row,
                       struct haproxy_leaving *leaving) {
    if (!leaving->is_drained) {
        give(planner, HAPROXY_ORDER_DRAIN, row);
        leaving->is_drained = true;
    }
}

static void step_down(struct planner *planner, const struct haproxy_row *row,
                      const struct haproxy_node *node) {
    int64_t now_ms = planner->view->now_ms;
    struct haproxy_leaving *leaving = note_leaving(planner->history, row, now_ms);
    if (leaving == NULL) {
        return;
    }
    if (!is_hanging(row) && !is_held_by_agent(row)) {
        leaving->since_ms = now_ms;
    }
    bool is_so_for_long = now_ms - leaving->since_ms >= HAPROXY_SILENT_MS;
    if (is_so_for_long && is_hanging(row)) {
        give(planner, HAPROXY_ORDER_CUT, row);
    }
    if (is_so_for_long && is_held_by_agent(row)) {
        give(planner, HAPROXY_ORDER_MUTE, row);
    }
    if (node->drains) {
        drain_once(planner, row, leaving);
    } else {
        leaving->is_drained = false;
    }
}

static const struct haproxy_node *find_node(const struct haproxy_wish *wish,
                                            const struct haproxy_row *row) {
    for (size_t i = 0; i < wish->nodes_len; i++) {
        const struct haproxy_node *node = &wish->nodes[i];
        if (slice_eq_text(row->server, node->name)) {
            /* another address or number is another server under the same name: out, then in */
            bool is_same = slice_eq_text(row->address, node->address) && row->id == node->number;
            return is_same ? node : NULL;
        }
    }
    return NULL;
}

/* A server whose name cannot be sent was written into the configuration by somebody else. */
static bool is_ours(const struct haproxy_wish *wish, const struct haproxy_row *row) {
    if (!haproxy_name_is_good(row->server)) {
        return false;
    }
    for (size_t i = 0; i < wish->backends_len; i++) {
        if (slice_eq(wish->backends[i], row->backend)) {
            return true;
        }
    }
    return false;
}

/* False while the nodes that are to take over in this backend are not up yet. */
static bool may_leave(const struct planner *planner, const struct haproxy_row *row) {
    bool any_serves = false;
    for (size_t i = 0; i < planner->wish->nodes_len; i++) {
        any_serves = any_serves || !planner->wish->nodes[i].drains;
    }
    for (size_t i = 0; any_serves && i < planner->view->rows_len; i++) {
        const struct haproxy_row *other = &planner->view->rows[i];
        const struct haproxy_node *node = find_node(planner->wish, other);
        if (slice_eq(other->backend, row->backend) && node != NULL && !node->drains &&
            other->status == HAPROXY_UP) {
            return true;
        }
    }
    return !any_serves;
}

static bool rests(const struct planner *planner, struct slice backend) {
    return slice_eq(backend, planner->wish->steady);
}

static void ask_agent(struct planner *planner, const struct haproxy_row *row,
                      const struct haproxy_node *node) {
    if (node->agent_port != 0 && !rests(planner, row->backend)) {
        give(planner, HAPROXY_ORDER_AGENT, row);
    }
}

/* Compared with what HAProxy shows, which tells the truth but during a slow start. */
static void weigh(struct planner *planner, const struct haproxy_row *row,
                  const struct haproxy_node *node) {
    int64_t off = row->weight - node->weight;
    bool is_far = off >= HAPROXY_WEIGHT_STEP || off <= -HAPROXY_WEIGHT_STEP ||
                  (off != 0 && node->weight == 100);
    if (node->weight == 0 || node->agent_port != 0 || row->is_warming ||
        rests(planner, row->backend) || !is_far) {
        return;
    }
    give(planner, HAPROXY_ORDER_WEIGHT, row);
    planner->orders->items[planner->orders->len - 1].node = node;
}

static void step_wanted(struct planner *planner, const struct haproxy_row *row,
                        const struct haproxy_node *node) {
    planner->orders->pending += row->status != (node->drains ? HAPROXY_DRAIN : HAPROXY_UP);
    switch (row->status) {
    case HAPROXY_MAINT: /* added a moment ago and cut short, or taken out by hand */
        give(planner, HAPROXY_ORDER_CHECK, row);
        ask_agent(planner, row, node);
        give(planner, HAPROXY_ORDER_DRAIN, row);
        return;
    case HAPROXY_DRAIN:
        if (!node->drains && row->check_passed && !row->in_transition) {
            give(planner, HAPROXY_ORDER_READY, row);
        }
        return;
    case HAPROXY_UP:
        if (node->drains && may_leave(planner, row)) {
            give(planner, HAPROXY_ORDER_DRAIN, row);
        } else {
            weigh(planner, row, node);
        }
        return;
    case HAPROXY_DOWN:
        step_down(planner, row, node);
        return;
    case HAPROXY_STATUS_COUNT: break;
    }
    UNREACHABLE();
}

/* Not at once: see the head of haproxy_plan.h. */
static void delete_it(struct planner *planner, const struct haproxy_row *row,
                      struct haproxy_leaving *leaving) {
    int64_t now_ms = planner->view->now_ms;
    if (leaving->deletes >= HAPROXY_DELETES_BEFORE_AGAIN) {
        leaving->deletes = 0;
        leaving->is_out = false;
        give(planner, HAPROXY_ORDER_DRAIN, row);
        give(planner, HAPROXY_ORDER_MAINT, row);
        return;
    }
    leaving->out_ms = leaving->is_out ? leaving->out_ms : now_ms;
    leaving->is_out = true;
    if (now_ms - leaving->out_ms >= HAPROXY_GRACE_MS) {
        give(planner, HAPROXY_ORDER_DELETE, row);
    }
}

/* A node of this name is wanted at another address: it cannot be added before this one is gone. */
static bool has_moved(const struct haproxy_wish *wish, const struct haproxy_row *row) {
    for (size_t i = 0; i < wish->nodes_len; i++) {
        if (slice_eq_text(row->server, wish->nodes[i].name)) {
            return true;
        }
    }
    return false;
}

/* It gets nothing new: out, once its sessions have ended or had their time. One that hangs ends
 * none; one that refuses connections may be ending them. */
static void take_out(struct planner *planner, const struct haproxy_row *row,
                     const struct haproxy_leaving *leaving) {
    int64_t waited_ms = planner->view->now_ms - leaving->since_ms;
    bool is_late = waited_ms >= planner->wish->drain_ms ||
                   (row->status == HAPROXY_DOWN && row->is_stuck && waited_ms >= HAPROXY_SILENT_MS);
    bool is_in_use = row->sessions > 0 || row->used > 0;
    if (is_in_use && !is_late) {
        return;
    }
    if (is_in_use) {
        give(planner, HAPROXY_ORDER_CUT, row);
    }
    give(planner, HAPROXY_ORDER_MAINT, row);
}

static void step_unwanted(struct planner *planner, const struct haproxy_row *row) {
    planner->orders->pending++;
    if (row->status == HAPROXY_UP && !has_moved(planner->wish, row) && !may_leave(planner, row)) {
        return;
    }
    struct haproxy_leaving *leaving =
        note_leaving(planner->history, row, planner->view->now_ms);
    if (leaving == NULL) {
        return;
    }
    switch (row->status) {
    case HAPROXY_UP:
        give(planner, HAPROXY_ORDER_DRAIN, row);
        return;
    case HAPROXY_DOWN:
        drain_once(planner, row, leaving);
        take_out(planner, row, leaving);
        return;
    case HAPROXY_DRAIN:
        take_out(planner, row, leaving);
        return;
    case HAPROXY_MAINT:
        delete_it(planner, row, leaving);
        return;
    case HAPROXY_STATUS_COUNT: break;
    }
    UNREACHABLE();
}

static bool is_seen(const struct haproxy_view *view, struct slice backend, const char *server) {
    for (size_t i = 0; i < view->rows_len; i++) {
        if (slice_eq(view->rows[i].backend, backend) &&
            slice_eq_text(view->rows[i].server, server)) {
            return true;
        }
    }
    return false;
}

static void add_missing(struct planner *planner, struct slice backend) {
    for (size_t i = 0; i < planner->wish->nodes_len; i++) {
        const struct haproxy_node *node = &planner->wish->nodes[i];
        if (is_seen(planner->view, backend, node->name)) {
            continue;
        }
        struct haproxy_row row = {.backend = backend, .server = slice_of(node->name)};
        planner->orders->pending++;
        give(planner, HAPROXY_ORDER_ADD, &row);
        planner->orders->items[planner->orders->len - 1].node = node;
        give(planner, HAPROXY_ORDER_CHECK, &row);
        ask_agent(planner, &row, node);
        give(planner, HAPROXY_ORDER_DRAIN, &row);
    }
}

enum err_e haproxy_plan(struct arena *arena, const struct haproxy_wish *wish,
                        const struct haproxy_view *view, struct haproxy_history *history,
                        struct haproxy_orders *ret_orders) {
    enum { ORDERS_EACH = 4 }; /* add, check, agent, drain */
    size_t most = ORDERS_EACH * (view->rows_len + wish->nodes_len * wish->backends_len);
    *ret_orders = (struct haproxy_orders){
        .items = arena_alloc(arena, (most + 1) * sizeof *ret_orders->items)};
    if (ret_orders->items == NULL) {
        return ERR_NO_MEMORY;
    }
    struct planner planner = {wish, view, history, ret_orders};
    for (size_t i = 0; i < view->rows_len; i++) {
        const struct haproxy_row *row = &view->rows[i];
        const struct haproxy_node *node = find_node(wish, row);
        if (!is_ours(wish, row)) {
            continue;
        }
        if (node != NULL) {
            step_wanted(&planner, row, node);
        } else {
            step_unwanted(&planner, row);
        }
    }
    for (size_t i = 0; i < wish->backends_len; i++) {
        add_missing(&planner, wish->backends[i]);
    }
    forget_unseen(history);
    return ERR_OK;
}

/* --- commands --- */

/* Each of these was missed once (HAProxy 2.6.12): without `id` servers share a place in the ring;
 * the weight is 1 unless said, and an agent's per cents are of it; connections are reused only with
 * both pool settings; a word that makes a server live at once corrupts the count of those that
 * serve, so it is never sent. */
static void write_add(struct buf *to, const struct haproxy_node *node) {
    buf_printf(to,
               "%s id %" PRId64 " weight 100 check inter 500ms fastinter 100ms downinter 500ms"
               " fall 2 rise 1 pool-purge-delay 5s pool-max-conn 64 slowstart 4s observe layer4"
               " error-limit 3 on-error mark-down",
               node->address, node->number);
    if (node->agent_port != 0) {
        buf_printf(to, " agent-check agent-inter 1s agent-port %d", node->agent_port);
    }
}

/* What stands before and behind "backend/server". */
static const struct {
    const char *before, *behind;
} commands[HAPROXY_ORDER_COUNT] = {
    [HAPROXY_ORDER_ADD] = {"add server ", " "},
    [HAPROXY_ORDER_CHECK] = {"enable health ", ""},
    [HAPROXY_ORDER_AGENT] = {"enable agent ", ""},
    [HAPROXY_ORDER_MUTE] = {"disable agent ", ""},
    [HAPROXY_ORDER_DRAIN] = {"set server ", " state drain"},
    [HAPROXY_ORDER_READY] = {"set server ", " state ready"},
    [HAPROXY_ORDER_WEIGHT] = {"set server ", " weight "},
    [HAPROXY_ORDER_CUT] = {"shutdown sessions server ", ""},
    [HAPROXY_ORDER_MAINT] = {"set server ", " state maint"},
    [HAPROXY_ORDER_DELETE] = {"del server ", ""},
};

void haproxy_order_write(struct buf *to, const struct haproxy_order *order) {
    ASSERT(haproxy_name_is_good(order->backend) && haproxy_name_is_good(order->server));
    buf_add_text(to, commands[order->kind].before);
    buf_add(to, order->backend);
    buf_add_char(to, '/');
    buf_add(to, order->server);
    buf_add_text(to, commands[order->kind].behind);
    if (order->kind == HAPROXY_ORDER_ADD) {
        write_add(to, order->node);
    } else if (order->kind == HAPROXY_ORDER_WEIGHT) {
        buf_printf(to, "%" PRId64 "%%", order->node->weight);
    }
}
