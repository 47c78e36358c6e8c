/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One look over the rules for each action: there are five, and rules in the hundreds at most.
 *
 *                  it did not help            it did not help
 *   action ──────────────────────► then[0] ─────────────────────► … ─── it did not help ──► called
 *     ▲                                                                                        │
 *     └─────────────────────────── the rule does not fire any more ────────────────────────────┘
 *
 * A rule whose ladder has ended goes on asking for its last action at its cooldown: what did no
 * good may do some later. What did harm, or was refused, is barred for HARM_REST_MS, also when the
 * rule fires anew.
 *
 * Who takes the lead, or starts, is told what earlier controllers did and saw. It stands where they
 * stood, unless this history saw the rule calm since then, and cooldowns count from what they ran.
 */
#include "control/recovery.h"

#include "base/assert.h"

#include <stdio.h>

void recovery_history_init(struct recovery_history *history) {
    for (int i = 0; i < ACTION_COUNT; i++) {
        history->last_run_ms[i] = TIME_NONE;
    }
    for (int i = 0; i < ALERT_RULES_MAX; i++) {
        history->climbs[i] = (struct climb){.rung = 0, .calm_ms = TIME_NONE};
        for (int k = 0; k < RUNGS_MAX; k++) {
            history->climbs[i].barred_ms[k] = TIME_NONE;
        }
    }
}

/* ---- the ladder ---- */

static bool is_barred(const struct climb *climb, size_t rung, int64_t now_ms) {
    return climb->barred_ms[rung] != TIME_NONE && now_ms < climb->barred_ms[rung];
}

/* The rung that is asked for: where the rule stands, or the next one down that is not barred.
 * RUNGS_MAX: none. */
static size_t open_rung(const struct climb *climb, int64_t now_ms) {
    for (size_t i = climb->rung + 1; i > 0; i--) {
        if (!is_barred(climb, i - 1, now_ms)) {
            return i - 1;
        }
    }
    return RUNGS_MAX;
}

static enum action_e wanted(const struct recovery_history *history, const struct alerts *alerts,
                            size_t rule, int64_t now_ms) {
    size_t rung = open_rung(&history->climbs[rule], now_ms);
    return rung == RUNGS_MAX ? ACTION_NONE : rule_action(&alerts->rules[rule], rung);
}

/* The rung that this is about; RUNGS_MAX: none of this rule's. */
static size_t rung_of(const struct alert_rule *rule, const struct told_effect *told) {
    for (size_t i = 0; i < RUNGS_MAX; i++) {
        enum action_e action = rule_action(rule, i);
        if (action != ACTION_NONE && slice_eq_text(told->action, action_text(action))) {
            return i;
        }
    }
    return RUNGS_MAX;
}

static bool is_last(const struct alert_rule *rule, size_t rung) {
    return rung + 1 == RUNGS_MAX || rule_action(rule, rung + 1) == ACTION_NONE;
}

/* The rule has not stopped firing since, as far as is known: what nobody looked at is not known. */
static bool is_of_this_run(const struct climb *climb, const struct told_effect *told, bool fires,
                           int64_t now_ms) {
    return told->age_ms == 0 ? fires
                             : climb->calm_ms == TIME_NONE ||
                                   climb->calm_ms <= now_ms - told->age_ms + LOOKS_APART_MS;
}

/* What is told of a rung that the rule has left moves it no further. */
static void step_on(struct climb *climb, const struct alert_rule *rule, size_t rung,
                    enum effect_e effect) {
    if (rung == climb->rung && is_last(rule, rung)) {
        climb->is_spent |= effect != EFFECT_REFUSED; /* who refused it is there already */
    } else if (rung == climb->rung) {
        climb->rung++;
    }
}

static void begin_anew(struct climb *climb) {
    climb->rung = 0;
    climb->is_spent = climb->is_called = false;
}

static void take_effect(struct climb *climb, const struct alert_rule *rule,
                        const struct told_effect *told, bool fires, int64_t now_ms) {
    size_t rung = rung_of(rule, told);
    bool counts = is_of_this_run(climb, told, fires, now_ms);
    if (counts && slice_eq_text(told->action, CALL_ACTION)) {
        climb->is_called = true;
    } else if (rung != RUNGS_MAX && told->effect == EFFECT_HELPED) {
        if (told->age_ms > now_ms) { /* nobody knows whether it ended thereby: mostly it did */
            begin_anew(climb);
        }
    } else if (rung != RUNGS_MAX) {
        if (told->effect == EFFECT_HARMED || told->effect == EFFECT_REFUSED) {
            climb->barred_ms[rung] = now_ms - told->age_ms + HARM_REST_MS;
        }
        if (counts) {
            step_on(climb, rule, rung, told->effect);
        }
    }
}

/* Of an action, whichever rule asked for it. */
static void take_run(struct recovery_history *history, const struct told_effect *told,
                     int64_t now_ms) {
    int64_t ran_ms = now_ms - told->age_ms;
    for (int i = 0; i < ACTION_COUNT; i++) {
        if (slice_eq_text(told->action, action_text((enum action_e)i)) &&
            ran_ms > history->last_run_ms[i]) {
            history->last_run_ms[i] = ran_ms;
        }
    }
}

void recovery_look(struct recovery_history *history, const struct alerts *alerts,
                   const struct snapshot *snapshot, int64_t now_ms, struct calls *ret_calls) {
    ret_calls->len = 0;
    for (size_t k = 0; k < snapshot->effects_len; k++) {
        if (snapshot->effects[k].effect == EFFECT_RAN) {
            take_run(history, &snapshot->effects[k], now_ms);
        }
    }
    for (size_t i = 0; i < alerts->len; i++) {
        const struct alert_rule *rule = &alerts->rules[i];
        const struct alert *alert = &alerts->states->alerts[i];
        struct climb *climb = &history->climbs[i];
        bool fires = alert->state == ALERT_FIRING;
        bool is_over = alert_is_calm(alert) || (climb->fires && !fires);
        climb->fires = fires;
        climb->calm_ms = is_over ? now_ms : climb->calm_ms;
        for (size_t k = 0; k < snapshot->effects_len; k++) {
            const struct told_effect *told = &snapshot->effects[k];
            if (told->effect != EFFECT_RAN && slice_eq_text(told->rule, rule->name)) {
                take_effect(climb, rule, told, fires, now_ms);
            }
        }
        if (is_over) {
            begin_anew(climb);
        } else if (fires && climb->is_spent && !climb->is_called) {
            climb->is_called = true;
            ret_calls->rules[ret_calls->len++] = (int)i;
        }
    }
}

/* ---- what is due ---- */

static bool is_due(const struct recovery_history *history, const struct alerts *alerts, size_t rule,
                   int64_t now_ms) {
    enum action_e action = wanted(history, alerts, rule, now_ms);
    if (alerts->rules[rule].disabled || action == ACTION_NONE ||
        !alert_is_firing_now(&alerts->states->alerts[rule])) {
        return false;
    }
    int64_t last_ms = history->last_run_ms[action];
    return last_ms == TIME_NONE || now_ms - last_ms >= alerts->rules[rule].cooldown_ms;
}

enum scale_wish_e recovery_scale_wish(const struct recovery_history *history,
                                      const struct alerts *alerts, int64_t now_ms) {
    enum scale_wish_e wish = SCALE_WISH_NONE;
    for (size_t i = 0; i < alerts->len; i++) {
        if (alerts->rules[i].disabled ||
            wanted(history, alerts, i, now_ms) != ACTION_AUTO_SCALE) {
            continue;
        }
        if (is_due(history, alerts, i, now_ms)) {
            return SCALE_WISH_MORE;
        }
        if (alerts->states->alerts[i].state == ALERT_FIRING) {
            wish = SCALE_WISH_NO_FEWER;
        }
    }
    return wish;
}

void recovery_describe(const struct alerts *alerts, size_t place, char ret_text[REASON_SIZE]) {
    const struct alert_rule *rule = &alerts->rules[place];
    struct slice node = rules_worst_node(alerts->states, place);
    char subject[SUBJECT_SIZE], hold[32] = "";
    rule_subject(rule, subject);
    if (rule->for_ms > 0) {
        snprintf(hold, sizeof hold, " for %.6g s", (double)rule->for_ms / 1000);
    }
    snprintf(ret_text, REASON_SIZE, "%s: %s %.6g %s %.6g%s%s%.*s", rule->name, subject,
             alerts->states->alerts[place].value, op_text((enum op_e)rule->op), rule->threshold,
             hold, node.at == NULL ? "" : " on ", SLICE_ARG(node));
}

/* The most severe of the rules that ask for `action` now gives the reason; -1: none asks. */
static int find_reason(const struct recovery_history *history, const struct alerts *alerts,
                       enum action_e action, int64_t now_ms) {
    int found = -1;
    for (size_t i = 0; i < alerts->len; i++) {
        if (wanted(history, alerts, i, now_ms) == action && is_due(history, alerts, i, now_ms) &&
            (found < 0 || alerts->rules[i].severity > alerts->rules[found].severity)) {
            found = (int)i;
        }
    }
    return found;
}

static struct action *add_action(struct actions *actions, enum action_e action, int rule) {
    struct action *added = &actions->items[actions->len++];
    added->action = action;
    added->rule = rule;
    added->node[0] = '\0';
    added->reason[0] = '\0';
    return added;
}

/* The scaler's own change and a rule's wish are one action: the scaler's reason says who asked. */
static void choose_scaling(const struct recovery_history *history, const struct alerts *alerts,
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
        recovery_describe(alerts, (size_t)rule, cause);
    }
    snprintf(action->reason, sizeof action->reason, "%s%s%s", cause, rule >= 0 ? "; " : "",
             scale->reason);
}

void recovery_choose(const struct recovery_history *history, const struct alerts *alerts,
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
        recovery_describe(alerts, (size_t)rule, action->reason);
        bool fits = slice_to_cstr(rules_worst_node(alerts->states, (size_t)rule), action->node,
                                  sizeof action->node);
        ASSERT(fits); /* ids are at most NODE_ID_MAX long */
    }
}

void recovery_note(struct recovery_history *history, const struct actions *actions,
                   int64_t now_ms) {
    for (size_t i = 0; i < actions->len; i++) {
        if (actions->items[i].rule >= 0) {
            history->last_run_ms[actions->items[i].action] = now_ms;
        }
    }
}
