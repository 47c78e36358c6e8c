/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether an action helped: its rule's figure before and after. Not earlier than verify_ms after
 * its end, since a change takes its time. Averages and counts over a window tell of what was before
 * for as long as the window is: they speak for an action as soon as its rule is calm, and against
 * it only when nothing in them is older than its end.
 */
#include "act/controller_priv.h"

#include <math.h>

enum { BETTER_PERCENT = 10 };

int64_t judge_looks_back_us(const struct controller *controller, const struct ongoing *watched) {
    return rule_looks_back_ms(&controller->options.policy->rules[watched->rule]) * 1000;
}

bool judge_can(const struct controller *controller, const struct ongoing *watched) {
    const struct alert *alert = &controller->history.rules.alerts[watched->rule];
    int64_t now_us = clock_mono_us(controller->options.clock);
    int64_t since_us = now_us - watched->until_us + controller->options.verify_ms * 1000;
    bool fires_on = figure_is_known(alert->value) && alert->is_true;
    return now_us >= watched->until_us &&
           (!fires_on || since_us >= judge_looks_back_us(controller, watched));
}

static bool higher_is_worse(enum op_e op) {
    return op == OP_ABOVE || op == OP_AT_LEAST;
}

/* How much worse the figure is than it was, in tenths of that: 0 when nobody can say. */
static double tenths_worse(const struct alert_rule *rule, double before, double now) {
    if (!figure_is_known(before) || rule->op == OP_EQUAL || rule->op == OP_NOT_EQUAL ||
        now == before) {
        return 0;
    }
    double tenths = (now - before) / (fabs(before) * BETTER_PERCENT / 100);
    return higher_is_worse((enum op_e)rule->op) ? tenths : -tenths;
}

enum action_outcome_e judge_effect(const struct controller *controller,
                                   const struct ongoing *watched) {
    const struct alert_rule *rule = &controller->options.policy->rules[watched->rule];
    const struct alert *alert = &controller->history.rules.alerts[watched->rule];
    if (!figure_is_known(alert->value)) {
        return OUTCOME_DONE;
    }
    double tenths = tenths_worse(rule, watched->before, alert->value);
    return !alert->is_true || tenths <= -1 ? OUTCOME_BETTER
           : tenths >= 1                   ? OUTCOME_WORSE
                                           : OUTCOME_NO_EFFECT;
}

bool judge_is_calm(const struct controller *controller, const struct ongoing *going) {
    const struct alert_rule *rule = &controller->options.policy->rules[going->rule];
    const struct alert *alert = &controller->history.rules.alerts[going->rule];
    bool is_ordered = figure_is_known(going->before) && rule->op != OP_EQUAL &&
                      rule->op != OP_NOT_EQUAL;
    return figure_is_known(alert->value) && !alert->is_true &&
           (!is_ordered || tenths_worse(rule, going->before, alert->value) <= -1);
}
