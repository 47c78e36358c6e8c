/* SPDX-License-Identifier: Apache-2.0 */
/* What the controller sees and decides, the best node for a request, and the journal. */
#include "act/controller.h"
#include "api/call_priv.h"
#include "base/log.h"

#include <stdio.h>

/* NULL: the call has been answered. */
static struct control_state *borrow_state(struct call *call) {
    struct controller *controller = call->api->node->controller;
    struct control_state *state = controller == NULL ? NULL : controller_state(controller);
    if (state == NULL) {
        struct problem problem;
        call_fail(call,
                  problem_set(&problem, ERR_UNAVAILABLE, "", "the controller has not looked yet"),
                  &problem);
    }
    return state;
}

void handle_list_nodes(struct call *call) {
    struct control_state *state = borrow_state(call);
    if (state != NULL) {
        call_reply_text(call, "application/json", state->nodes_text);
        control_state_unref(state);
    }
}

void handle_list_alerts(struct call *call) {
    struct control_state *state = borrow_state(call);
    if (state != NULL) {
        call_reply_text(call, "application/json", state->alerts);
        control_state_unref(state);
    }
}

/* ---- the best node ---- */

struct wish {
    enum request_e request;
    struct slice key; /* at NULL: none */
};

static enum err_e read_wish(const struct call *call, struct wish *ret_wish,
                            struct problem *problem) {
    struct slice word;
    *ret_wish = (struct wish){.request = REQUEST_GENERAL};
    if (!query_get(&call->query, "key", &ret_wish->key)) {
        ret_wish->key = SLICE_NONE;
    }
    if (!query_get(&call->query, "type", &word)) {
        return ERR_OK;
    }
    for (int i = 0; i < REQUEST_COUNT; i++) {
        if (slice_eq_text(word, request_text((enum request_e)i))) {
            ret_wish->request = (enum request_e)i;
            return ERR_OK;
        }
    }
    return problem_set(problem, ERR_INVALID_FIELD, "type",
                       "must be analytics, database, cache or general");
}

enum { REASON_MAX = 160 };

static void tell_reason(const struct wish *wish, const struct node_figures *node,
                        char ret_reason[REASON_MAX]) {
    switch (wish->request) {
    case REQUEST_ANALYTICS:
        snprintf(ret_reason, REASON_MAX, "lowest CPU: %.1f %%", node->cpu);
        return;
    case REQUEST_DATABASE:
        snprintf(ret_reason, REASON_MAX, "fewest connections: %.0f", node->connections);
        return;
    case REQUEST_CACHE:
        snprintf(ret_reason, REASON_MAX, "highest hit rate: %.3f", node->hit_rate);
        return;
    case REQUEST_GENERAL:
        snprintf(ret_reason, REASON_MAX, "least loaded by CPU, memory and connections");
        return;
    case REQUEST_COUNT:
        break;
    }
    ret_reason[0] = '\0';
}

/* A node that no one has asked a cache of knows no hit rate: then the load decides. */
static const struct node_figures *choose(struct call *call, const struct control_state *state,
                                         const struct wish *wish, char ret_reason[REASON_MAX]) {
    struct rng *rng = call->api->node->rng;
    const struct balancer_policy *policy =
        &controller_policy(call->api->node->controller)->balancer;
    const struct node_figures *node;
    int64_t age_us = clock_mono_us(call->api->node->clock) - state->at_us;
    if (age_us / 1000 > policy->stale_after_ms) { /* the controller is at something long */
        return NULL;
    }
    if (wish->request == REQUEST_CACHE && wish->key.at != NULL) {
        node = balancer_for_key(&state->snapshot, wish->key, policy);
        snprintf(ret_reason, REASON_MAX, "keeps the entries of this key");
        return node;
    }
    node = balancer_pick(&state->snapshot, wish->request, policy, rng);
    if (node != NULL) {
        tell_reason(wish, node, ret_reason);
        return node;
    }
    if (wish->request == REQUEST_CACHE) {
        snprintf(ret_reason, REASON_MAX, "no node knows its hit rate: least loaded instead");
        return balancer_pick(&state->snapshot, REQUEST_GENERAL, policy, rng);
    }
    return NULL;
}

static void reply_choice(struct call *call, const struct control_state *state,
                         const struct wish *wish) {
    char reason[REASON_MAX];
    const struct node_figures *node = choose(call, state, wish, reason);
    if (node == NULL) {
        struct problem problem;
        call_fail(call, problem_set(&problem, ERR_NO_NODES, "", "No healthy nodes available"),
                  &problem);
        return;
    }
    struct json_writer *w = call_begin_json(call);
    json_begin_object(w);
    json_put_cstr(w, "type", request_text(wish->request));
    json_key(w, "node");
    json_begin_object(w);
    json_put_text(w, "id", node->id);
    json_put_cstr(w, "url", state->nodes[node - state->snapshot.nodes].url);
    json_put_real(w, "cpu", node->cpu, 1);
    json_put_real(w, "memory", node->memory, 1);
    json_put_real(w, "connections", node->connections, 0);
    json_put_real(w, "hit_rate", node->hit_rate, 4);
    json_end_object(w);
    json_put_cstr(w, "reason", reason);
    json_put_time(w, "at", state->at_ms);
    json_end_object(w);
    call_reply_json(call, 200);
}

void handle_choose_node(struct call *call) {
    struct wish wish;
    struct problem problem;
    enum err_e err = read_wish(call, &wish, &problem);
    if (err != ERR_OK) {
        call_fail(call, err, &problem);
        return;
    }
    struct control_state *state = borrow_state(call);
    if (state != NULL) {
        reply_choice(call, state, &wish);
        control_state_unref(state);
    }
}

/* ---- the journal ---- */

/* A text of the evidence, which people look for first; null where there is none. */
static void put_member(struct json_writer *w, const char *name, const struct json_t *evidence) {
    const struct json_t *value = evidence == NULL ? NULL : json_get(evidence, name);
    if (value != NULL && json_kind(value) == JSON_KIND_STRING) {
        json_put_text(w, name, json_text(value));
    } else {
        json_put_null(w, name);
    }
}

static void write_action(struct json_writer *w, struct arena *arena,
                         const struct action_record *record) {
    struct json_t *evidence = NULL;
    struct problem ignored;
    if (json_parse(arena, record->evidence, &evidence, &ignored) != ERR_OK) {
        evidence = NULL;
    }
    json_begin_object(w);
    json_key(w, "id");
    json_add_int_text(w, record->id);
    json_put_time(w, "at", record->at_ms);
    json_put_text(w, "system", record->system);
    json_put_text(w, "actor", record->actor);
    json_put_text(w, "action", record->action);
    json_put_text(w, "target", record->target);
    json_put_text(w, "outcome", record->outcome);
    put_member(w, "trigger", evidence);
    put_member(w, "plan", evidence);
    json_key(w, "evidence");
    json_add_raw(w, record->evidence);
    json_key(w, "before");
    json_add_raw(w, record->before);
    json_key(w, "after");
    json_add_raw(w, record->after);
    json_put_text(w, "detail", record->detail);
    json_end_object(w);
}

static void reply_actions(struct call *call) {
    const struct store_op *op = call_op(call);
    struct json_writer *w = call_begin_items(call);
    for (size_t i = 0; i < op->actions.len; i++) {
        write_action(w, call->arena, &op->actions.items[i]);
    }
    bool more = op->actions.more && op->actions.len > 0;
    struct cursor next = {.list = CURSOR_ACTIONS};
    if (more) {
        next.keys[0] = op->actions.items[op->actions.len - 1].id;
    }
    call_reply_items(call, more ? &next : NULL);
}

void handle_list_actions(struct call *call) {
    struct page page = {.cursor = {.list = CURSOR_ACTIONS}};
    if (!call_read_page(call, &page)) {
        return;
    }
    struct store_op *op = call_begin_op(call, STORE_LIST_ACTIONS);
    if (op != NULL) {
        op->actions.after = page.has_cursor ? page.cursor.keys[0] : 0;
        op->actions.limit = page.limit;
        call_submit(call, reply_actions);
    }
}

/* It waits with the controller that leads, if anywhere. */
static void refuse_answer(struct call *call, struct controller *controller) {
    struct problem problem;
    struct control_state *state = controller == NULL ? NULL : controller_state(controller);
    bool is_elsewhere = state != NULL && !state->leadership.is_ours;
    const char *url = is_elsewhere ? state->leadership.url : "";
    enum err_e err = is_elsewhere ? ERR_CONFLICT : ERR_NOT_FOUND;
    if (!is_elsewhere) {
        problem_set(&problem, err, "", "no such action waits for an approval");
    } else if (url[0] == '\0') {
        problem_set(&problem, err, "",
                    "actions wait at the controller that leads, and nobody leads just now: ask "
                    "again in some seconds");
    } else {
        problem_set(&problem, err, "", "actions wait at the controller that leads: ask %.160s",
                    url);
    }
    control_state_unref(state);
    call_fail(call, err, &problem);
}

static void answer_waiting(struct call *call, enum answer_e answer) {
    struct controller *controller = call->api->node->controller;
    int64_t id;
    bool is_id = slice_to_int(call->params[0], 1, INT64_MAX, &id);
    if (!is_id || controller == NULL ||
        controller_answer(controller, id, answer, call_author(call)) != ERR_OK) {
        refuse_answer(call, controller);
        return;
    }
    log_event(LOG_INFO, "action_answered", "id=%lld answer=%s by=\"%.*s\"", (long long)id,
              answer == ANSWER_APPROVED ? "approved" : "refused",
              SLICE_ARG(call_author(call)));
    call_reply_empty(call, 202);
}

void handle_approve_action(struct call *call) {
    answer_waiting(call, ANSWER_APPROVED);
}

void handle_refuse_action(struct call *call) {
    answer_waiting(call, ANSWER_REFUSED);
}
