/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a chosen action to its end. Each arrow is a row of the journal written or changed.
 *
 *   chosen ──► ADVISED    the mode is advise, or this node cannot
 *      │   ──► HELD       the hour's budget is used up, or acting is stopped
 *      │   ──► (ADVISED) ──► WAITING ──► REFUSED, or EXPIRED when nobody says a word
 *      │                        │ approved
 *      └──────────────► BEGUN ──┴──► FAILED       (one that takes long goes on from look to look)
 *                         │   └──► DONE ── controller_judge.c ──► BETTER, NO_EFFECT, WORSE
 *                         ├── the process ends ── next start ──► INTERRUPTED
 *                         ├── acting is stopped ──► INTERRUPTED
 *                         └── it takes longer than limit_ms ──► FAILED
 *
 * What did not help, was refused, or cannot be done here, is told to the deciders at the next look:
 * the rule climbs its ladder, or a person is CALLED.
 *
 * 1. BEGUN is durable before anything is done; when it cannot be written, nothing is done.
 * 2. At most `budget` actions begin within an hour, whatever the rules ask for.
 * 3. An end that cannot be written is lost, and the row says `begun` until the next start: never
 *    more than is known.
 * 4. An action that is not carried out gets a row when something about it changed, and every five
 *    minutes: a rule without a cooldown does not push everything else out of the journal.
 */
#include "act/controller_priv.h"

#include "base/assert.h"
#include "base/log.h"

#include <stdio.h>

#define HOUR_US 3600000000LL
#define SAME_NEWS_US (5 * 60 * 1000000LL)

static const char *const outcome_words[] = {
#define X(name, text, meaning) [OUTCOME_##name] = text,
    ACTION_OUTCOME_TABLE(X)
#undef X
};

const char *action_outcome_text(enum action_outcome_e outcome) {
    ASSERT((size_t)outcome < sizeof outcome_words / sizeof outcome_words[0]);
    return outcome_words[outcome];
}

static const struct {
    const char *target, *plan;
} plans[ACTION_COUNT] = {
    [ACTION_NONE] = {"", "call a person"},
    [ACTION_AUTO_SCALE] = {"nodes", "change the number of nodes"},
    [ACTION_OPTIMIZE_QUERIES] = {"store", "let the optimizer take few safe steps and measure"},
    [ACTION_INVALIDATE_CACHE] = {"cache", "empty every level of the cache"},
    [ACTION_RESTART_SERVICE] = {"nodes", "let new processes take over, one node after the other"},
    [ACTION_SHED_LOAD] = {"api", "refuse analytics for a while, check-ins never"},
};

static const char over_budget[] = "the budget of this hour is used up: see recovery.budget";

#define CALL_TARGET "person"

void actions_init(struct controller *controller) {
    controller->advised_us = TIME_NONE;
    for (int i = 0; i < ACTION_COUNT; i++) {
        controller->idle[i].at_us = TIME_NONE;
    }
}

static int64_t now_us(const struct controller *controller) {
    return clock_mono_us(controller->options.clock);
}

/* ---- what a row tells ---- */

static void put_known(struct json_writer *w, const char *key, double value) {
    if (figure_is_known(value)) {
        json_put_real(w, key, value, 3);
    }
}

static struct slice keep(struct controller *controller) {
    const struct buf *text = &controller->text;
    return text->failed ? SLICE_NONE : arena_copy(&controller->scratch, buf_slice(text));
}

/* The figures of a snapshot, as an object. */
static struct slice write_figures(struct controller *controller,
                                  const struct snapshot *snapshot) {
    struct json_writer w;
    buf_clear(&controller->text);
    json_writer_init(&w, &controller->text);
    json_begin_object(&w);
    for (int i = 0; i < METRIC_GIVEN_COUNT; i++) {
        put_known(&w, metric_text((enum metric_e)i), snapshot->metrics[i]);
    }
    json_put_int(&w, "nodes", (int64_t)snapshot->nodes_len);
    json_end_object(&w);
    return keep(controller);
}

static struct slice write_evidence(struct controller *controller, const struct action *action) {
    struct json_writer w;
    buf_clear(&controller->text);
    json_writer_init(&w, &controller->text);
    json_begin_object(&w);
    json_put_cstr(&w, "trigger", action->reason);
    if (action->rule >= 0) {
        const struct alert_rule *rule = &controller->options.policy->rules[action->rule];
        json_put_cstr(&w, "rule", rule->name);
        json_put_cstr(&w, "metric", metric_text((enum metric_e)rule->metric));
        put_known(&w, "value", controller->history.rules.alerts[action->rule].value);
        json_put_real(&w, "threshold", rule->threshold, 6);
    }
    if (action->node[0] != '\0') {
        json_put_cstr(&w, "node", action->node);
    }
    json_put_cstr(&w, "plan", plans[action->action].plan);
    json_end_object(&w);
    return keep(controller);
}

/* A row that begins; 0 when it could not be written. */
MAY_BLOCK static int64_t add_row(struct controller *controller, const struct control_state *state,
                                 const struct action *action, enum action_outcome_e outcome,
                                 const char *detail) {
    struct journal_entry entry = {
        .action = action_text(action->action),
        .target = plans[action->action].target,
        .outcome = action_outcome_text(outcome),
        .evidence = write_evidence(controller, action),
        .before = write_figures(controller, &state->snapshot),
        .detail = slice_of(detail),
        .term = controller->leadership.term,
    };
    const struct controller_seams *seams = &controller->options.seams;
    int64_t id = 0;
    enum err_e err = seams->journal_add(seams->data, &entry, &id);
    log_event(LOG_WARN, "action", "action=%s outcome=\"%s\" journal=%s reason=\"%s\"",
              entry.action, entry.outcome, err == ERR_OK ? "written" : err_code(err),
              action->reason);
    return err == ERR_OK ? id : 0;
}

/* False when it could not be written. */
MAY_BLOCK static bool end_row(struct controller *controller, const struct ongoing *ongoing,
                              enum action_outcome_e outcome, struct slice after) {
    const struct journal_entry entry = {
        .action = action_text(ongoing->action),
        .target = plans[ongoing->action].target,
        .outcome = action_outcome_text(outcome),
        .after = after,
        .detail = slice_of(ongoing->detail),
        /* An end is true whoever leads by now; a beginning is not. */
        .term = outcome == OUTCOME_BEGUN ? controller->leadership.term : 0,
    };
    const struct controller_seams *seams = &controller->options.seams;
    enum err_e err = seams->journal_end(seams->data, ongoing->id, &entry);
    log_event(LOG_INFO, "action", "action=%s id=%lld outcome=\"%s\" journal=%s detail=\"%s\"",
              entry.action, (long long)ongoing->id, entry.outcome,
              err == ERR_OK ? "written" : err_code(err), ongoing->detail);
    return err == ERR_OK;
}

/* ---- what the deciders are told ---- */

/* Beyond the room for them effects are lost: the rule asks again. */
void actions_tell(struct controller *controller, const struct untold *untold) {
    bool is_of_use = untold->rule >= 0 || untold->effect == EFFECT_RAN;
    if (is_of_use && controller->untold_len < SNAPSHOT_EFFECTS_MAX) {
        controller->untold[controller->untold_len++] = *untold;
    }
}

bool action_effect(enum action_outcome_e outcome, enum effect_e *ret_effect) {
    bool is_none = outcome == OUTCOME_NO_EFFECT || outcome == OUTCOME_FAILED ||
                   outcome == OUTCOME_CALLED;
    *ret_effect = outcome == OUTCOME_BETTER    ? EFFECT_HELPED
                  : outcome == OUTCOME_WORSE   ? EFFECT_HARMED
                  : outcome == OUTCOME_REFUSED ? EFFECT_REFUSED
                                               : EFFECT_NONE;
    return is_none || *ret_effect != EFFECT_NONE;
}

static void tell_outcome(struct controller *controller, const struct ongoing *ongoing,
                         enum action_outcome_e outcome) {
    struct untold untold = {.rule = ongoing->rule, .action = ongoing->action};
    if (action_effect(outcome, &untold.effect)) {
        actions_tell(controller, &untold);
    }
}

/* ---- doing it ---- */

static bool is_within_budget(const struct controller *controller) {
    size_t size = sizeof controller->acted_us / sizeof controller->acted_us[0];
    size_t known = controller->acted < size ? controller->acted : size;
    int64_t within = 0;
    for (size_t i = 0; i < known; i++) {
        within += now_us(controller) - controller->acted_us[i] < HOUR_US;
    }
    return within < controller->options.budget;
}

static struct ongoing *free_place(struct ongoing *places, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (places[i].id == 0) {
            return &places[i];
        }
    }
    return NULL;
}

void actions_watch(struct controller *controller, const struct ongoing *done) {
    struct ongoing *place = free_place(controller->watched, CONTROLLER_WATCHED_MAX);
    if (place == NULL || done->rule < 0 || controller->options.verify_ms == 0) {
        return; /* it stays "done" */
    }
    *place = *done;
    place->until_us = now_us(controller) + controller->options.verify_ms * 1000;
}

/* What it did, and who approved it. */
static void add_words(struct ongoing *ongoing, const char *words) {
    bool was_asked = ongoing->by[0] != '\0';
    int room = ACT_DETAIL_SIZE - (was_asked ? ANSWER_BY_SIZE + (int)sizeof "; approved by " : 0);
    snprintf(ongoing->detail, sizeof ongoing->detail, "%.*s%s%s%s", room, words,
             was_asked && words[0] != '\0' ? "; " : "", was_asked ? "approved by " : "",
             ongoing->by);
}

MAY_BLOCK static void conclude(struct controller *controller, struct ongoing *ongoing,
                               enum err_e err, const struct act_report *report) {
    add_words(ongoing, report->detail);
    enum action_outcome_e outcome = err == ERR_OK ? OUTCOME_DONE : OUTCOME_FAILED;
    (void)end_row(controller, ongoing, outcome, SLICE_NONE);
    tell_outcome(controller, ongoing, outcome);
    if (err == ERR_OK) {
        actions_watch(controller, ongoing);
    }
}

/* As a seam gets it: what it points at lives as long as the call. */
static struct act_order order_of(const struct controller *controller,
                                 const struct ongoing *ongoing) {
    struct act_order order = ongoing->order;
    order.id = ongoing->id;
    order.node = ongoing->node;
    order.before = ongoing->before;
    if (ongoing->rule >= 0) {
        order.rule = controller->options.policy->rules[ongoing->rule].name;
        order.is_calm = judge_is_calm(controller, ongoing);
    }
    return order;
}

/* Its row says BEGUN. */
MAY_BLOCK static void carry_out(struct controller *controller, struct ongoing *ongoing) {
    const struct controller_seams *seams = &controller->options.seams;
    struct act_report report = {.goes_on = false};
    struct ongoing *place = free_place(controller->going, ACTION_COUNT);
    size_t size = sizeof controller->acted_us / sizeof controller->acted_us[0];
    ASSERT(place != NULL); /* each is under way once, and there is a place for each */
    if (!controller_leads(controller)) { /* writing the row may have taken long */
        snprintf(report.detail, sizeof report.detail, "the lead was lost before it began");
        conclude(controller, ongoing, ERR_CONFLICT, &report);
        return;
    }
    controller->acted_us[controller->acted++ % size] = now_us(controller);
    const struct act_order order = order_of(controller, ongoing);
    enum err_e err = seams->act(seams->data, &order, &report);
    if (err == ERR_OK && report.goes_on) {
        *place = *ongoing;
        place->until_us = controller->options.limit_ms == 0
                              ? INT64_MAX
                              : now_us(controller) + controller->options.limit_ms * 1000;
    } else {
        conclude(controller, ongoing, err, &report);
    }
}

/* One that hangs is ended, so that the next of the ladder has its turn. */
MAY_BLOCK static enum err_e give_up(const struct controller *controller,
                                    const struct ongoing *going, struct act_report *report) {
    const struct controller_seams *seams = &controller->options.seams;
    char last[ACT_DETAIL_SIZE];
    if (seams->halt != NULL) {
        seams->halt(seams->data, going->action);
    }
    snprintf(last, sizeof last, "%s", report->detail);
    snprintf(report->detail, sizeof report->detail,
             "it took longer than recovery.limit%s%.180s", last[0] == '\0' ? "" : "; ", last);
    return ERR_DEADLINE;
}

MAY_BLOCK static void carry_on(struct controller *controller, struct ongoing *going) {
    const struct controller_seams *seams = &controller->options.seams;
    struct act_report report = {.goes_on = false};
    const struct act_order order = order_of(controller, going);
    enum err_e err = seams->go_on(seams->data, &order, &report);
    if (err == ERR_OK && report.goes_on && now_us(controller) >= going->until_us) {
        err = give_up(controller, going, &report);
    }
    if (err != ERR_OK || !report.goes_on) {
        struct ongoing ended = *going;
        going->id = 0;
        conclude(controller, &ended, err, &report);
    }
}

static struct ongoing ongoing_of(const struct controller *controller, const struct action *action,
                                 const struct scale_decision *scale) {
    struct ongoing ongoing = {
        .action = action->action,
        .rule = action->rule,
        .order = {.action = action->action,
                  .nodes_from = scale->current,
                  .nodes_to = scale->desired},
        .before = action->rule < 0 ? FIGURE_MISSING
                                   : controller->history.rules.alerts[action->rule].value,
    };
    memcpy(ongoing.node, action->node, sizeof ongoing.node);
    return ongoing;
}

/* A row about an action that is not carried out. */
MAY_BLOCK static void stay_idle(struct controller *controller, const struct control_state *state,
                                const struct action *action, enum action_outcome_e outcome,
                                const char *detail) {
    struct idle_row *row = &controller->idle[action->action];
    bool is_same = row->at_us != TIME_NONE && row->rule == action->rule &&
                   row->outcome == outcome && now_us(controller) - row->at_us < SAME_NEWS_US;
    if (!is_same && add_row(controller, state, action, outcome, detail) != 0) {
        *row = (struct idle_row){action->rule, outcome, now_us(controller)};
    }
}

MAY_BLOCK static void begin(struct controller *controller, const struct control_state *state,
                            const struct action *action, const struct scale_decision *scale) {
    struct ongoing ongoing = ongoing_of(controller, action, scale);
    char why_not[ACT_DETAIL_SIZE];
    orders_take_anew(controller); /* an order to stop is obeyed at once, not with the next look */
    if (orders_hold(controller, why_not)) {
        stay_idle(controller, state, action, OUTCOME_HELD, why_not);
        return;
    }
    ongoing.id = add_row(controller, state, action, OUTCOME_BEGUN, "");
    if (ongoing.id != 0) {
        carry_out(controller, &ongoing);
    }
}

static bool is_among(const struct ongoing *places, size_t len, enum action_e action) {
    for (size_t i = 0; i < len; i++) {
        if (places[i].id != 0 && places[i].action == action) {
            return true;
        }
    }
    return false;
}

/* What it did does not show yet in what its rule looks at. The scaler has cooldowns of its own. */
static bool is_unjudged(const struct controller *controller, const struct action *action) {
    for (size_t i = 0; i < CONTROLLER_WATCHED_MAX; i++) {
        const struct ongoing *watched = &controller->watched[i];
        if (watched->id != 0 && watched->action == action->action &&
            watched->rule == action->rule && action->action != ACTION_AUTO_SCALE &&
            judge_looks_back_us(controller, watched) > 0) {
            return true;
        }
    }
    return false;
}

/* It waits for a word, is under way, or was done a short while ago. The waiting places are this
 * thread's but for the approval. */
static bool is_at_it(const struct controller *controller, const struct action *action) {
    return is_among(controller->waiting, CONTROLLER_WAITING_MAX, action->action) ||
           is_among(controller->going, ACTION_COUNT, action->action) ||
           is_unjudged(controller, action);
}

MAY_BLOCK static void ask(struct controller *controller, const struct control_state *state,
                          const struct action *action, const struct scale_decision *scale) {
    struct ongoing *place = free_place(controller->waiting, CONTROLLER_WAITING_MAX);
    if (place == NULL) {
        stay_idle(controller, state, action, OUTCOME_HELD, "too many wait for an approval");
        return;
    }
    struct ongoing ongoing = ongoing_of(controller, action, scale);
    ongoing.until_us = now_us(controller) + controller->options.approve_ms * 1000;
    ongoing.id = add_row(controller, state, action, OUTCOME_ADVISED, "");
    if (ongoing.id == 0) {
        return;
    }
    pthread_mutex_lock(&controller->lock);
    *place = ongoing;
    pthread_mutex_unlock(&controller->lock);
    /* Only now: who sees it can approve it. */
    (void)end_row(controller, &ongoing, OUTCOME_WAITING, SLICE_NONE);
}

/* The scaler repeats its wish each second: it is advice when it changes, and once an hour. */
static bool is_old_news(struct controller *controller, const struct action *action,
                        const struct scale_decision *scale) {
    if (action->rule >= 0 || action->action != ACTION_AUTO_SCALE) {
        return false;
    }
    int64_t now = now_us(controller);
    bool is_same = controller->advised_us != TIME_NONE &&
                   controller->advised_desired == scale->desired &&
                   now - controller->advised_us < HOUR_US;
    if (!is_same && !controller->options.is_lone) {
        controller->advised_desired = scale->desired;
        controller->advised_us = now;
    }
    return is_same || controller->options.is_lone;
}

/* Both change nodes, and each waits until all of them are healthy. */
static bool is_in_the_way(const struct controller *controller, enum action_e action) {
    return (action == ACTION_RESTART_SERVICE &&
            is_among(controller->going, ACTION_COUNT, ACTION_AUTO_SCALE)) ||
           (action == ACTION_AUTO_SCALE &&
            is_among(controller->going, ACTION_COUNT, ACTION_RESTART_SERVICE));
}

MAY_BLOCK static void take(struct controller *controller, const struct control_state *state,
                           const struct action *action, const struct scale_decision *scale) {
    const struct controller_seams *seams = &controller->options.seams;
    const char *why_not = seams->refuse(seams->data, action->action);
    char why_held[ACT_DETAIL_SIZE];
    if (orders_hold(controller, why_held)) {
        stay_idle(controller, state, action, OUTCOME_HELD, why_held);
    } else if (!controller->is_settled) {
        stay_idle(controller, state, action, OUTCOME_HELD, "the journal could not be read yet");
    } else if (is_in_the_way(controller, action->action)) {
        stay_idle(controller, state, action, OUTCOME_HELD,
                  "nodes are being changed: one change at a time");
    } else if (why_not != NULL) {
        stay_idle(controller, state, action, OUTCOME_ADVISED, why_not);
        actions_tell(controller, &(struct untold){action->rule, action->action, EFFECT_NONE, 0});
    } else if (controller->options.mode == RECOVERY_ADVISE) {
        stay_idle(controller, state, action, OUTCOME_ADVISED, "recovery.mode is advise");
    } else if (!is_within_budget(controller)) {
        stay_idle(controller, state, action, OUTCOME_HELD, over_budget);
    } else if (controller->options.mode == RECOVERY_ASK) {
        ask(controller, state, action, scale);
    } else {
        begin(controller, state, action, scale);
    }
}

/* It would be begun, and that is done as often as it is due, old news or not. */
static bool would_begin(const struct controller *controller, const struct action *action) {
    const struct controller_seams *seams = &controller->options.seams;
    char ignored[ACT_DETAIL_SIZE];
    return controller->options.mode == RECOVERY_ACT && !orders_hold(controller, ignored) &&
           seams->refuse(seams->data, action->action) == NULL && is_within_budget(controller);
}

/* What was tried is in the rows before. */
MAY_BLOCK static void call_person(struct controller *controller,
                                  const struct control_state *state, int rule) {
    const struct policy *policy = controller->options.policy;
    const struct alerts alerts = {policy->rules, &controller->history.rules, policy->rules_len};
    struct action action = {.action = ACTION_NONE, .rule = rule};
    recovery_describe(&alerts, (size_t)rule, action.reason);
    const struct journal_entry entry = {
        .action = CALL_ACTION,
        .target = CALL_TARGET,
        .outcome = action_outcome_text(OUTCOME_CALLED),
        .evidence = write_evidence(controller, &action),
        .before = write_figures(controller, &state->snapshot),
        .detail = SLICE_LIT("what the rule may do about it did not help"),
        .term = controller->leadership.term,
    };
    const struct controller_seams *seams = &controller->options.seams;
    int64_t id;
    enum err_e err = seams->journal_add(seams->data, &entry, &id);
    log_event(LOG_ERROR, "person_called", "rule=%s journal=%s reason=\"%s\"",
              policy->rules[rule].name, err == ERR_OK ? "written" : err_code(err),
              action.reason);
}

MAY_BLOCK void actions_take(struct controller *controller, const struct control_state *state,
                            const struct decision *decision) {
    for (size_t i = 0; i < decision->calls.len; i++) {
        call_person(controller, state, decision->calls.rules[i]);
    }
    for (size_t i = 0; i < decision->actions.len; i++) {
        const struct action *action = &decision->actions.items[i];
        bool is_due = would_begin(controller, action) ||
                      !is_old_news(controller, action, &decision->scale);
        if (is_due && !is_at_it(controller, action)) {
            take(controller, state, action, &decision->scale);
        }
    }
}

/* ---- what waits and what is watched ---- */

/* What did no good does not stand any longer, where it can be taken back. */
MAY_BLOCK static void take_back(struct controller *controller, struct ongoing *watched) {
    const struct controller_seams *seams = &controller->options.seams;
    char why_held[ACT_DETAIL_SIZE], was[ACT_DETAIL_SIZE];
    if (watched->action != ACTION_SHED_LOAD || seams->undo == NULL ||
        orders_hold(controller, why_held)) {
        return;
    }
    enum err_e err = seams->undo(seams->data, watched->action);
    snprintf(was, sizeof was, "%s", watched->detail);
    snprintf(watched->detail, sizeof watched->detail, "%.180s; %s%s", was,
             err == ERR_OK ? "taken back" : "could not be taken back: ",
             err == ERR_OK ? "" : err_code(err));
}

/* Its rule is calm, or is not there any more, and has been shed for long enough to tell. */
static bool is_shedding_over(const struct controller *controller, const struct orders *orders) {
    const struct policy *policy = controller->options.policy;
    int64_t age_ms = clock_wall_ms(controller->options.clock) - orders->shed.at_ms;
    if (age_ms >= 0 && age_ms < controller->options.verify_ms) {
        return false;
    }
    for (size_t i = 0; i < policy->rules_len; i++) {
        const struct alert *alert = &controller->history.rules.alerts[i];
        if (slice_eq_text(orders->shed_rule, policy->rules[i].name) && !policy->rules[i].disabled) {
            return figure_is_known(alert->value) &&
                   (alert->state == ALERT_INACTIVE || alert->state == ALERT_RESOLVED);
        }
    }
    return true;
}

MAY_BLOCK static void lift_shedding(struct controller *controller,
                                    const struct control_state *state) {
    const struct controller_seams *seams = &controller->options.seams;
    const struct order_page *page = controller->orders;
    char why_held[ACT_DETAIL_SIZE];
    if (page == NULL || !page->orders.is_shedding || seams->undo == NULL ||
        orders_hold(controller, why_held) || !is_shedding_over(controller, &page->orders) ||
        !order_stands(&page->orders.shed, clock_wall_ms(controller->options.clock))) {
        return;
    }
    struct action action = {.action = ACTION_SHED_LOAD, .rule = -1};
    snprintf(action.reason, sizeof action.reason, "%.64s does not fire any more",
             page->orders.shed_rule.at);
    if (seams->undo(seams->data, ACTION_SHED_LOAD) == ERR_OK) { /* else with the next look */
        (void)add_row(controller, state, &action, OUTCOME_DONE, "analytics are answered again");
        orders_take_anew(controller);
    }
}

MAY_BLOCK static void end_watch(struct controller *controller, const struct control_state *state,
                                struct ongoing *watched) {
    enum action_outcome_e outcome = judge_effect(controller, watched);
    if (outcome == OUTCOME_NO_EFFECT || outcome == OUTCOME_WORSE) {
        take_back(controller, watched);
    }
    (void)end_row(controller, watched, outcome, write_figures(controller, &state->snapshot));
    tell_outcome(controller, watched, outcome);
    watched->id = 0;
}

static enum answer_e answer_of(struct controller *controller, const struct ongoing *place) {
    pthread_mutex_lock(&controller->lock);
    enum answer_e answer = place->id != 0 ? place->answer : ANSWER_NONE;
    pthread_mutex_unlock(&controller->lock);
    return answer;
}

/* Takes what waited for a word when it `goes`, or has waited long enough. */
static bool take_waiting(struct controller *controller, struct ongoing *place, bool goes,
                         struct ongoing *ret_ongoing) {
    pthread_mutex_lock(&controller->lock);
    *ret_ongoing = *place;
    bool is_over = place->id != 0 && (goes || now_us(controller) >= place->until_us);
    if (is_over) {
        place->id = 0;
    }
    pthread_mutex_unlock(&controller->lock);
    return is_over;
}

MAY_BLOCK static void leave_undone(struct controller *controller, struct ongoing *ongoing,
                                   enum action_outcome_e outcome) {
    (void)end_row(controller, ongoing, outcome, SLICE_NONE);
    tell_outcome(controller, ongoing, outcome);
}

/* Why what was approved must wait on: acting is stopped, or the budget is used up. */
MAY_BLOCK static bool is_held_back(struct controller *controller, char ret_why[ACT_DETAIL_SIZE]) {
    orders_take_anew(controller);
    if (orders_hold(controller, ret_why)) {
        return true;
    }
    snprintf(ret_why, ACT_DETAIL_SIZE, "%s", over_budget);
    return !is_within_budget(controller);
}

MAY_BLOCK static void end_waiting(struct controller *controller, struct ongoing *place) {
    struct ongoing ongoing;
    char why[ACT_DETAIL_SIZE] = "nobody approved it in time";
    enum answer_e answer = answer_of(controller, place);
    bool is_held = answer == ANSWER_APPROVED && is_held_back(controller, why);
    if (!take_waiting(controller, place, answer != ANSWER_NONE && !is_held, &ongoing)) {
        return;
    }
    bool is_refused = answer == ANSWER_REFUSED;
    bool begins = answer == ANSWER_APPROVED && !is_held;
    snprintf(ongoing.detail, sizeof ongoing.detail, "%s%s",
             begins       ? "approved by "
             : is_refused ? "refused by "
                          : why,
             begins || is_refused ? ongoing.by : "");
    if (!begins) {
        leave_undone(controller, &ongoing, is_refused ? OUTCOME_REFUSED : OUTCOME_EXPIRED);
    } else if (end_row(controller, &ongoing, OUTCOME_BEGUN, SLICE_NONE)) {
        if (ongoing.rule >= 0) { /* which is later than the deciders think */
            actions_tell(controller,
                         &(struct untold){ongoing.rule, ongoing.action, EFFECT_RAN, 0});
        }
        carry_out(controller, &ongoing);
    }
}

/* ---- what is under way ---- */

MAY_BLOCK static void halt(struct controller *controller, struct ongoing *going, const char *why) {
    const struct controller_seams *seams = &controller->options.seams;
    struct ongoing ended = *going;
    going->id = 0;
    if (seams->halt != NULL) {
        seams->halt(seams->data, ended.action);
    }
    snprintf(ended.detail, sizeof ended.detail, "%s", why);
    (void)end_row(controller, &ended, OUTCOME_INTERRUPTED, SLICE_NONE);
}

MAY_BLOCK void actions_hold(struct controller *controller) {
    char why[ACT_DETAIL_SIZE];
    bool is_held = orders_hold(controller, why);
    for (size_t i = 0; is_held && i < ACTION_COUNT; i++) {
        if (controller->going[i].id != 0) {
            halt(controller, &controller->going[i], why);
        }
    }
}

MAY_BLOCK void actions_go_on(struct controller *controller, const struct control_state *state) {
    for (size_t i = 0; i < CONTROLLER_WAITING_MAX; i++) {
        end_waiting(controller, &controller->waiting[i]);
    }
    actions_hold(controller); /* the orders may have been read anew since this look began */
    for (size_t i = 0; i < ACTION_COUNT; i++) {
        if (controller->going[i].id != 0) {
            carry_on(controller, &controller->going[i]);
        }
    }
    for (size_t i = 0; i < CONTROLLER_WATCHED_MAX; i++) {
        struct ongoing *watched = &controller->watched[i];
        if (watched->id != 0 && judge_can(controller, watched)) {
            end_watch(controller, state, watched);
        }
    }
    lift_shedding(controller, state);
}

MAY_BLOCK void actions_part(struct controller *controller) {
    const struct controller_seams *seams = &controller->options.seams;
    for (size_t i = 0; seams->part != NULL && i < ACTION_COUNT; i++) {
        struct ongoing *going = &controller->going[i];
        if (going->id != 0 && seams->part(seams->data, going->action, going->detail)) {
            (void)end_row(controller, going, OUTCOME_DONE, SLICE_NONE);
            going->id = 0;
        }
    }
}

void actions_forget(struct controller *controller) {
    pthread_mutex_lock(&controller->lock);
    memset(controller->waiting, 0, sizeof controller->waiting);
    pthread_mutex_unlock(&controller->lock);
    memset(controller->going, 0, sizeof controller->going);
    memset(controller->watched, 0, sizeof controller->watched);
    controller->untold_len = 0;
    controller->is_settled = false;
    actions_init(controller);
}
