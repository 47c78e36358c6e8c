/* SPDX-License-Identifier: Apache-2.0 */
/* What earlier controllers did: how it goes on with this one, and ends in the journal. */
#include "act/controller_priv.h"

#include <stdio.h>

/* After an action's begin, beside the time that its judgement takes. */
enum { JUDGED_WITHIN_MS = 60 * 1000 };

static bool was_begun(const struct past_action *past) {
    return past->outcome != OUTCOME_CALLED && past->outcome != OUTCOME_REFUSED;
}

/* What no rule asked for is no run for a rule: the scaler follows the load by itself, and shedding
 * is lifted. And a number of nodes that was not reached is asked for again: it is the same. */
static bool is_run(const struct past_action *past) {
    bool is_cut = past->action == ACTION_AUTO_SCALE && past->outcome == OUTCOME_INTERRUPTED;
    return was_begun(past) && past->rule[0] != '\0' && !is_cut;
}

/* -1: there is no such rule, or none asked. */
static int place_of(const struct controller *controller, struct slice rule) {
    const struct policy *policy = controller->options.policy;
    for (size_t i = 0; i < policy->rules_len; i++) {
        if (slice_eq_text(rule, policy->rules[i].name)) {
            return (int)i;
        }
    }
    return -1;
}

static bool is_watched(const struct controller *controller, int64_t id) {
    for (size_t i = 0; i < CONTROLLER_WATCHED_MAX; i++) {
        if (controller->watched[i].id == id) {
            return true;
        }
    }
    return false;
}

/* Done, and not judged when its controller ended: from now on it is waited for as long as it would
 * have been. What was done longer ago was judged, or nobody could. */
static void adopt_watch(struct controller *controller, const struct past_action *past) {
    struct ongoing ongoing = {.id = past->id,
                              .action = past->action,
                              .rule = place_of(controller, slice_of(past->rule)),
                              .before = past->before};
    memcpy(ongoing.detail, past->detail, sizeof ongoing.detail);
    if (past->outcome == OUTCOME_DONE && ongoing.rule >= 0 &&
        past->age_ms < controller->options.verify_ms +
                           judge_looks_back_us(controller, &ongoing) / 1000 + JUDGED_WITHIN_MS) {
        actions_watch(controller, &ongoing);
    }
}

/* That it ran, and what became of it, is told to the deciders as it would have been then: an effect
 * is seen verify_ms after the action, at the earliest. */
static void recall_effects(struct controller *controller, const struct past_action *past) {
    bool was_judged = was_begun(past) && past->outcome != OUTCOME_FAILED;
    int64_t age_ms = past->age_ms - (was_judged ? controller->options.verify_ms : 0);
    struct untold untold = {.rule = place_of(controller, slice_of(past->rule)),
                            .action = past->action,
                            .effect = EFFECT_RAN,
                            .age_ms = past->age_ms};
    if (is_run(past)) {
        actions_tell(controller, &untold);
    }
    untold.age_ms = age_ms > 1000 ? age_ms : 1000;
    if (action_effect(past->outcome, &untold.effect)) {
        actions_tell(controller, &untold);
    }
}

/* Budget, cooldowns and the ladders' places outlive the controller: else one that ends again and
 * again, or starts its own process anew, would repeat what it did each time. False: with the next
 * look. */
MAY_BLOCK static bool recall(struct controller *controller) {
    const struct controller_seams *seams = &controller->options.seams;
    size_t size = sizeof controller->acted_us / sizeof controller->acted_us[0];
    struct past_action past[PAST_ACTIONS_MAX];
    size_t past_len = 0;
    if (seams->journal_past == NULL) {
        return true;
    }
    if (seams->journal_past(seams->data, past, &past_len) != ERR_OK) {
        return false;
    }
    controller->acted = 0;
    for (size_t i = past_len; i > 0; i--) { /* the newest last */
        recall_effects(controller, &past[i - 1]);
        adopt_watch(controller, &past[i - 1]);
        if (was_begun(&past[i - 1])) {
            controller->acted_us[controller->acted++ % size] =
                clock_mono_us(controller->options.clock) - past[i - 1].age_ms * 1000;
        }
    }
    return true;
}

static bool is_another_process(const struct controller *controller,
                               const struct standing_restart *restart) {
    const struct sensed *sensed = &controller->sensed;
    for (size_t i = 0; i < sensed->nodes_len; i++) {
        if (slice_eq(sensed->nodes[i].figures.id, restart->node)) {
            return sensed->nodes[i].started_at_ms != TIME_NONE &&
                   sensed->nodes[i].started_at_ms != restart->started_at_ms;
        }
    }
    return false;
}

/* A controller that started its own process anew cannot judge whether that helped: the next one
 * does. */
static void adopt_restarts(struct controller *controller) {
    const struct order_page *page = controller->orders;
    for (size_t i = 0; page != NULL && i < page->orders.restarts_len; i++) {
        const struct standing_restart *restart = &page->orders.restarts[i];
        struct ongoing ongoing = {.id = restart->action_id,
                                  .action = ACTION_RESTART_SERVICE,
                                  .rule = place_of(controller, restart->rule),
                                  .before = restart->before};
        snprintf(ongoing.detail, sizeof ongoing.detail, "a new process of %.128s serves",
                 restart->node.at);
        if (restart->is_own && restart->action_id > 0 &&
            !is_watched(controller, restart->action_id) &&
            is_another_process(controller, restart)) {
            actions_watch(controller, &ongoing);
        }
    }
}

/* Once the journal can be written, before anything new goes into it. */
MAY_BLOCK void past_settle(struct controller *controller) {
    static const struct {
        enum action_outcome_e was, now;
        const char *detail;
    } rows[] = {
        {OUTCOME_BEGUN, OUTCOME_INTERRUPTED,
         "its controller ended, or lost the lead, in the middle of it"},
        {OUTCOME_WAITING, OUTCOME_EXPIRED,
         "its controller ended, or lost the lead, before somebody approved it"},
    };
    const struct controller_seams *seams = &controller->options.seams;
    for (size_t i = 0; !controller->is_settled && i < sizeof rows / sizeof rows[0]; i++) {
        struct journal_entry entry = {.outcome = action_outcome_text(rows[i].now),
                                      .detail = slice_of(rows[i].detail),
                                      .term = controller->leadership.term};
        if (seams->journal_settle(seams->data, action_outcome_text(rows[i].was), &entry) !=
            ERR_OK) {
            return; /* with the next look */
        }
    }
    if (!controller->is_settled && recall(controller)) {
        controller->is_settled = true;
        adopt_restarts(controller);
    }
}
