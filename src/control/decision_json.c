/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a decision. */
#include "control/decide.h"

#include <stdio.h>
#include <stdlib.h>

/* The shortest decimal text that reads back as the same number, so that t returns as it came. */
static void write_t(struct json_writer *w, double t) {
    char text[32];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, t);
        if (strtod(text, NULL) == t) {
            break;
        }
    }
    json_key(w, "t");
    json_add_raw(w, slice_of(text));
}

static void write_optimal(struct json_writer *w, const struct decision *decision) {
    json_key(w, "optimal");
    json_begin_object(w);
    for (int i = 0; i < REQUEST_COUNT; i++) {
        const char *key = request_text((enum request_e)i);
        if (decision->optimal[i].at == NULL) {
            json_put_null(w, key);
        } else {
            json_put_text(w, key, decision->optimal[i]);
        }
    }
    json_end_object(w);
}

static void write_scale(struct json_writer *w, const struct scale_decision *scale) {
    json_key(w, "scale");
    json_begin_object(w);
    json_put_int(w, "current", scale->current);
    json_put_int(w, "desired", scale->desired);
    json_put_cstr(w, "reason", scale->reason);
    json_end_object(w);
}

static void write_node_alerts(struct json_writer *w, const struct rule_states *states,
                              size_t place) {
    json_key(w, "nodes");
    json_begin_array(w);
    for (size_t i = 0; i < states->nodes_len; i++) {
        const struct node_alert *node = &states->nodes[i];
        if ((size_t)node->rule == place && node->alert.state != ALERT_INACTIVE) {
            json_begin_object(w);
            json_put_text(w, "node", node_alert_id(node));
            json_put_cstr(w, "state", alert_state_text((enum alert_state_e)node->alert.state));
            json_end_object(w);
        }
    }
    json_end_array(w);
}

static void write_alert(struct json_writer *w, const struct alert_rule *rule,
                        const struct rule_states *states, size_t place) {
    const struct alert *alert = &states->alerts[place];
    json_begin_object(w);
    json_put_cstr(w, "rule", rule->name);
    json_put_cstr(w, "state", alert_state_text((enum alert_state_e)alert->state));
    json_put_cstr(w, "severity", severity_text((enum severity_e)rule->severity));
    json_put_cstr(w, "action",
                  rule->action == ACTION_NONE ? NULL : action_text((enum action_e)rule->action));
    if (!figure_is_known(alert->value)) {
        json_put_bool(w, "absent", true);
    }
    if (rule_is_per_node(rule)) {
        write_node_alerts(w, states, place);
    }
    json_end_object(w);
}

static void write_alerts(struct json_writer *w, const struct history *history,
                         const struct policy *policy) {
    json_key(w, "alerts");
    json_begin_array(w);
    for (size_t i = 0; i < policy->rules_len; i++) {
        if (alert_is_listed(&policy->rules[i], &history->rules.alerts[i])) {
            write_alert(w, &policy->rules[i], &history->rules, i);
        }
    }
    json_end_array(w);
}

static void write_calls(struct json_writer *w, const struct calls *calls,
                        const struct policy *policy) {
    json_key(w, "calls");
    json_begin_array(w);
    for (size_t i = 0; i < calls->len; i++) {
        json_add_cstr(w, policy->rules[calls->rules[i]].name);
    }
    json_end_array(w);
}

static void write_actions(struct json_writer *w, const struct actions *actions) {
    json_key(w, "actions");
    json_begin_array(w);
    for (size_t i = 0; i < actions->len; i++) {
        json_begin_object(w);
        json_put_cstr(w, "action", action_text(actions->items[i].action));
        json_put_cstr(w, "reason", actions->items[i].reason);
        if (actions->items[i].node[0] != '\0') {
            json_put_cstr(w, "node", actions->items[i].node);
        }
        json_end_object(w);
    }
    json_end_array(w);
}

void decision_write(const struct decision *decision, const struct history *history,
                    const struct policy *policy, struct buf *to) {
    struct json_writer w;
    json_writer_init(&w, to);
    json_begin_object(&w);
    write_t(&w, decision->t);
    write_optimal(&w, decision);
    write_scale(&w, &decision->scale);
    write_alerts(&w, history, policy);
    write_actions(&w, &decision->actions);
    if (decision->calls.len > 0) {
        write_calls(&w, &decision->calls, policy);
    }
    json_end_object(&w);
}
