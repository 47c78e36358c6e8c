/* SPDX-License-Identifier: Apache-2.0 */
/* One look over the rules for each action: there are five, and rules in the hundreds at most. */
#include "control/recovery.h"

#include <stdio.h>

void recovery_history_init(struct recovery_history *history) {
    for (int i = 0; i < ACTION_COUNT; i++) {
        history->last_run_ms[i] = TIME_NONE;
    }
}

static bool is_due(const struct recovery_history *history, const struct alert_rule *rule,
                   const struct alert *alert, int64_t now_ms) {
    if (rule->disabled || rule->action == ACTION_NONE || !alert_is_firing_now(alert)) {
        return false;
    }
    int64_t last_ms = history->last_run_ms[rule->action];
    return last_ms == TIME_NONE || now_ms - last_ms >= rule->cooldown_ms;
}

enum scale_wish_e recovery_scale_wish(const struct recovery_history *history,
                                      const struct alerts *alerts, int64_t now_ms) {
    enum scale_wish_e wish = SCALE_WISH_NONE;
    for (size_t i = 0; i < alerts->len; i++) {
        const struct alert_rule *rule = &alerts->rules[i];
        if (rule->disabled || rule->action != ACTION_AUTO_SCALE) {
            continue;
        }
        if (is_due(history, rule, &alerts->states[i], now_ms)) {
            return SCALE_WISH_MORE;
        }
        if (alerts->states[i].state == ALERT_FIRING) {
            wish = SCALE_WISH_NO_FEWER;
        }
    }
    return wish;
}

static void describe_rule(const struct alert_rule *rule, double value, char *ret_text,
                          size_t size) {
    int len = snprintf(ret_text, size, "%s: %s %.6g %s %.6g", rule->name,
                       metric_text((enum metric_e)rule->metric), value,
                       op_text((enum op_e)rule->op), rule->threshold);
    if (rule->for_ms > 0 && len > 0 && (size_t)len < size) {
        snprintf(ret_text + len, size - (size_t)len, " for %.6g s", (double)rule->for_ms / 1000);
    }
}

/* The most severe of the rules that ask for `action` now gives the reason; -1: none asks. */
static int find_reason(const struct recovery_history *history, const struct alerts *alerts,
                       enum action_e action, int64_t now_ms) {
    int found = -1;
    for (size_t i = 0; i < alerts->len; i++) {
        const struct alert_rule *rule = &alerts->rules[i];
        if ((enum action_e)rule->action == action &&
            is_due(history, rule, &alerts->states[i], now_ms) &&
            (found < 0 || rule->severity > alerts->rules[found].severity)) {
            found = (int)i;
        }
    }
    return found;
}

static struct action *add_action(struct actions *actions, enum action_e action, int rule) {
    struct action *added = &actions->items[actions->len++];
    added->action = action;
    added->rule = rule;
    added->reason[0] = '\0';
    return added;
}

/* The scaler's own change and a rule's wish are one action: the scaler's reason says who asked. */
static void choose_scaling(struct recovery_history *history, const struct alerts *alerts,
                           const struct scale_decision *scale, int64_t now_ms,
                           struct actions *actions) {
    bool served = scale->wish == WISH_GRANTED || scale->wish == WISH_IMPOSSIBLE;
    int rule = served ? find_reason(history, alerts, ACTION_AUTO_SCALE, now_ms) : -1;
    if (rule < 0 && scale->desired == scale->current) {
        return;
    }
    struct action *action = add_action(actions, ACTION_AUTO_SCALE, rule);
    char cause[REASON_SIZE] = "";
    if (rule >= 0) {
        describe_rule(&alerts->rules[rule], alerts->states[rule].value, cause, sizeof cause);
        history->last_run_ms[ACTION_AUTO_SCALE] = now_ms;
    }
    snprintf(action->reason, sizeof action->reason, "%s%s%s", cause, rule >= 0 ? "; " : "",
             scale->reason);
}

void recovery_choose(struct recovery_history *history, const struct alerts *alerts,
                     const struct scale_decision *scale, int64_t now_ms,
                     struct actions *ret_actions) {
    ret_actions->len = 0;
    choose_scaling(history, alerts, scale, now_ms, ret_actions);
    for (int i = ACTION_AUTO_SCALE + 1; i < ACTION_COUNT; i++) {
        int rule = find_reason(history, alerts, (enum action_e)i, now_ms);
        if (rule < 0) {
            continue;
        }
        struct action *action = add_action(ret_actions, (enum action_e)i, rule);
        describe_rule(&alerts->rules[rule], alerts->states[rule].value, action->reason,
                      sizeof action->reason);
        history->last_run_ms[i] = now_ms;
    }
}
