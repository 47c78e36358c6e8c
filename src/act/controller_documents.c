/* SPDX-License-Identifier: Apache-2.0 */
/* The documents of a look: /v1/alerts and /v1/nodes. */
#include "act/controller_priv.h"

static void write_condition(struct json_writer *w, const struct alert_rule *rule) {
    json_put_cstr(w, "metric", metric_text((enum metric_e)rule->metric));
    json_put_cstr(w, "per",
                  rule->per == 0 ? NULL : metric_text((enum metric_e)(rule->per - 1)));
    json_put_real(w, "rate_over_s", (double)rule->rate_over_ms / 1000, 3);
    json_put_cstr(w, "op", op_text((enum op_e)rule->op));
    json_put_real(w, "threshold", rule->threshold, 6);
    json_put_real(w, "clear", rule->clear, 6); /* none: null */
    json_put_real(w, "for_s", (double)rule->for_ms / 1000, 3);
    json_put_real(w, "cooldown_s", (double)rule->cooldown_ms / 1000, 3);
}

static void write_state(struct json_writer *w, const struct alert *alert, int64_t now_ms) {
    json_put_cstr(w, "state", alert_state_text((enum alert_state_e)alert->state));
    json_put_real(w, "value", alert->value, 3);
    json_put_bool(w, "absent", !figure_is_known(alert->value));
    json_put_cstr(w, "data", alert_data_text((enum alert_data_e)alert->data));
    json_put_bool(w, "flapping", alert_is_flapping(alert, now_ms));
}

static bool is_silenced(const struct controller *controller, size_t place, struct slice node) {
    for (size_t i = 0; i < controller->silences_len; i++) {
        if (silence_covers(&controller->silences[i], &controller->options.policy->rules[place],
                           node)) {
            return true;
        }
    }
    return false;
}

static void write_node_alert(const struct controller *controller, struct json_writer *w,
                             const struct node_alert *node) {
    json_begin_object(w);
    json_put_text(w, "node", node_alert_id(node));
    write_state(w, &node->alert, controller->history.now_ms);
    json_put_bool(w, "silenced",
                  is_silenced(controller, (size_t)node->rule, node_alert_id(node)));
    json_end_object(w);
}

/* Of a rule over nodes: the nodes that have something to say. */
static void write_node_alerts(const struct controller *controller, struct json_writer *w,
                              size_t place) {
    const struct history *history = &controller->history;
    json_key(w, "nodes");
    json_begin_array(w);
    for (size_t i = 0; i < history->rules.nodes_len; i++) {
        const struct node_alert *node = &history->rules.nodes[i];
        if ((size_t)node->rule == place && (node->alert.state != ALERT_INACTIVE ||
                                            node->alert.data == ALERT_DATA_ABSENT)) {
            write_node_alert(controller, w, node);
        }
    }
    json_end_array(w);
}

static void write_rule(const struct controller *controller, struct json_writer *w, size_t place) {
    const struct alert_rule *rule = &controller->options.policy->rules[place];
    const struct alert_times *times = &controller->times[place];
    const struct history *history = &controller->history;
    json_begin_object(w);
    json_put_cstr(w, "rule", rule->name);
    write_state(w, &history->rules.alerts[place], history->now_ms);
    json_put_bool(w, "silenced", is_silenced(controller, place, SLICE_NONE));
    json_put_cstr(w, "severity", severity_text((enum severity_e)rule->severity));
    json_put_cstr(w, "action",
                  rule->action == ACTION_NONE ? NULL : action_text((enum action_e)rule->action));
    write_condition(w, rule);
    json_put_time(w, "since", times->since_ms);
    json_put_time(w, "resolved_at", times->resolved_ms);
    if (rule_is_per_node(rule)) {
        write_node_alerts(controller, w, place);
    }
    json_end_object(w);
}

/* Whether anything may be done. A controller that is given no orders may. */
static void write_acting(const struct controller *controller, struct json_writer *w) {
    static const struct orders none = {.is_stopped = false};
    const struct order_page *page = controller->orders;
    json_key(w, "acting");
    order_show_acting(w, controller->options.orders == NULL ? &none
                         : page == NULL                     ? NULL
                                                            : &page->orders);
}

static void write_alerts(const struct controller *controller, struct json_writer *w,
                         int64_t at_ms) {
    const struct policy *policy = controller->options.policy;
    json_begin_object(w);
    json_put_time(w, "at", at_ms);
    json_put_cstr(w, "mode", recovery_mode_text(controller->options.mode));
    write_acting(controller, w);
    json_key(w, "shedding");
    order_show_shedding(w, controller->orders == NULL ? NULL : &controller->orders->orders, at_ms);
    json_put_int(w, "unwatched", (int64_t)controller->history.rules.unwatched);
    json_key(w, "items");
    json_begin_array(w);
    for (size_t i = 0; i < policy->rules_len; i++) {
        if (alert_is_listed(&policy->rules[i], &controller->history.rules.alerts[i])) {
            write_rule(controller, w, i);
        }
    }
    json_end_array(w);
    json_end_object(w);
}

static void write_node(struct json_writer *w, const struct sensed_node *node,
                       int64_t stale_after_ms) {
    const struct node_figures *figures = &node->figures;
    bool knows_skew = node->skew_ms != TIME_NONE;
    json_begin_object(w);
    json_put_text(w, "id", figures->id);
    json_put_cstr(w, "url", node->url);
    json_put_cstr(w, "version", node->version);
    json_put_cstr(w, "state", node->state);
    json_put_cstr(w, "why", node->why);
    json_put_bool(w, "healthy", figures->healthy);
    json_put_bool(w, "stale", node_is_stale(figures, stale_after_ms));
    json_put_real(w, "age_s", (double)figures->age_ms / 1000, 3);
    json_put_real(w, "cpu", figures->cpu, 1);
    json_put_real(w, "memory", figures->memory, 1);
    json_put_real(w, "connections", figures->connections, 0);
    json_put_real(w, "hit_rate", figures->hit_rate, 4);
    json_put_real(w, "clock_ahead_s", knows_skew ? (double)node->skew_ms / 1000 : FIGURE_MISSING,
                  3);
    json_put_time(w, "started_at", node->started_at_ms);
    json_key(w, "capabilities");
    json_add_raw(w, slice_of(node->capabilities == NULL ? "{}" : node->capabilities));
    json_end_object(w);
}

/* Of a holder "n1:8080/4f2c…" the node; of one that is alone nothing is told but that it leads. */
static void write_leader(const struct controller *controller, struct json_writer *w,
                         const struct leadership *leadership) {
    struct slice holder = slice_of(leadership->holder), node;
    bool is_known = slice_next(&holder, '/', &node);
    json_begin_object(w);
    json_put_bool(w, "leads", leadership->is_ours);
    json_key(w, "leader");
    if (is_known) {
        json_add_text(w, node);
    } else {
        json_add_null(w);
    }
    json_put_cstr(w, "url", leadership->url[0] == '\0' ? NULL : leadership->url);
    json_put_int(w, "term", leadership->term);
    write_acting(controller, w);
    json_end_object(w);
}

static void write_nodes(const struct controller *controller, struct json_writer *w,
                        const struct control_state *state, const struct decision *decision) {
    json_begin_object(w);
    json_put_time(w, "at", state->at_ms);
    json_key(w, "items");
    json_begin_array(w);
    for (size_t i = 0; i < state->nodes_len; i++) {
        write_node(w, &state->nodes[i], controller->options.policy->balancer.stale_after_ms);
    }
    json_end_array(w);
    json_key(w, "controller");
    write_leader(controller, w, &state->leadership);
    json_key(w, "scale");
    json_begin_object(w);
    json_put_int(w, "current", decision->scale.current);
    json_put_int(w, "desired", decision->scale.desired);
    json_put_cstr(w, "reason", decision->scale.reason);
    json_end_object(w);
    json_key(w, "optimal");
    json_begin_object(w);
    for (int i = 0; i < REQUEST_COUNT; i++) {
        json_key(w, request_text((enum request_e)i));
        if (decision->optimal[i].at == NULL) {
            json_add_null(w);
        } else {
            json_add_text(w, decision->optimal[i]);
        }
    }
    json_end_object(w);
    json_end_object(w);
}

static bool keep(struct buf *text, struct arena *arena, struct slice *ret_text) {
    *ret_text = text->failed ? SLICE_NONE : arena_copy(arena, buf_slice(text));
    return ret_text->at != NULL;
}

bool documents_write(struct controller *controller, struct control_state *state,
                     const struct decision *decision) {
    struct json_writer w;
    buf_clear(&controller->text);
    json_writer_init(&w, &controller->text);
    write_alerts(controller, &w, state->at_ms);
    if (!keep(&controller->text, &state->arena, &state->alerts)) {
        return false;
    }
    buf_clear(&controller->text);
    json_writer_init(&w, &controller->text);
    write_nodes(controller, &w, state, decision);
    return keep(&controller->text, &state->arena, &state->nodes_text);
}
