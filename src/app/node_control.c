/* SPDX-License-Identifier: Apache-2.0 */
/* Between the monitor, the store and the controller. */
#include "app/node_control.h"

#include "app/errands.h"
#include "app/hands.h"
#include "app/node_agent.h"
#include "app/node_notices.h"
#include "app/node_orders.h"
#include "app/open.h"
#include "app/restarter.h"
#include "base/assert.h"
#include "control/policy.h"
#include "stat/window.h"

#include <stdio.h>
#include <stdlib.h>
#include <threads.h>

enum {
    JOURNAL_DEADLINE_MS = 5000,
    SHED_VALUE_MAX = 512,
    PAST_MEMORY = 1 << 20, /* for the evidence of a row */
    SETTLE_MS = 3000, /* a node that was started anew is healthy for this long before the next */
};
#define SYSTEM "recovery"

struct node_control {
    struct node_control_options options;
    struct controller *controller;
    struct hands *hands; /* NULL: there is nothing to drive */
    struct errands *errands;
    struct restarter *restarter;
    struct node_notices *notices; /* NULL: nobody is told anything */
    struct policy policy;
    mtx_t lock; /* of the figures: the monitor's thread writes, the controller's reads */
    bool is_seen;
    int64_t seen_us;
    struct status_figures figures; /* of this node */
};

/* ---- figures ---- */

_Static_assert(METRIC_WINDOW_MS == WINDOW_SECONDS * 1000, "the monitor's window is the rules'");

/* A recording takes loads up to 100: a burst above its limit for a moment is full load. */
static double percent(double value) {
    return value > 100 ? 100 : value;
}

static struct status_figures figures_of(const struct view *view) {
    return (struct status_figures){
        .cpu = percent(view->health.cpu_percent),
        .memory = percent(view->health.memory_percent),
        .connections = (double)view->connections,
        .hit_rate = view->hit_rate,
        .requests = (double)view->api.times.count,
        .response_ms = view->api.times.avg_ms,
        .queries = (double)view->db.times.count,
        .query_ms = view->db.times.avg_ms,
        .slow_queries = (double)view->db.slow,
        .lookups = (double)(view->l1.hits + view->l1.misses),
    };
}

void node_control_see(const struct view *view, void *data) {
    struct node_control *control = data;
    const struct status_figures figures = figures_of(view);
    mtx_lock(&control->lock);
    control->is_seen = true;
    control->seen_us = clock_mono_us(control->options.api_node->clock);
    control->figures = figures;
    mtx_unlock(&control->lock);
    if (control->options.cluster != NULL) {
        cluster_see(control->options.cluster,
                    &(struct cluster_view){.figures = figures,
                                           .cpus = view->health.cpu_cores,
                                           .memory_limit = view->health.memory_limit});
    }
    node_agent_see(control->options.agent, view->health.cpu_percent);
}

/* Healthy, or why not. */
static const char *state_of(const struct node_control *control, const char **ret_why) {
    struct store_health health;
    const struct api_node *node = control->options.api_node;
    store_health(node->store, &health);
    if (atomic_load_explicit(&node->draining, memory_order_relaxed)) {
        *ret_why = "it finishes what it has and stops";
        return member_state_text(MEMBER_DRAINING);
    }
    bool is_healthy = health.reads && health.writes;
    *ret_why = is_healthy ? "its store reads and writes" : "its store fails: see /readyz";
    return member_state_text(is_healthy ? MEMBER_HEALTHY : MEMBER_SUSPECT);
}

/* The one node of a SQLite file. Figures that are older than the policy believes are none. */
static void sense_itself(struct node_control *control, struct sensed *ret_sensed) {
    struct status_figures figures;
    const struct status_figures *all = &figures;
    struct sensed_node *node = &ret_sensed->nodes[0];
    int64_t now_us = clock_mono_us(control->options.api_node->clock);
    mtx_lock(&control->lock);
    int64_t age_ms = control->is_seen ? (now_us - control->seen_us) / 1000 : INT32_MAX;
    figures = control->figures;
    mtx_unlock(&control->lock);
    *node = (struct sensed_node){
        .figures = {.id = slice_of(control->options.node),
#define X(name, highest) .name = figures.name,
                    NODE_FIGURE_TABLE(X)
#undef X
                    .age_ms = age_ms,
                    .healthy_for_ms = INT64_MAX},
        .url = control->options.url,
        .version = TURNOUT_VERSION,
        .started_at_ms = control->options.started_at_ms,
        .capabilities = node_orders_can_restart() ? "{\"restart\":true}" : NULL,
        .skew_ms = TIME_NONE,
    };
    node->state = state_of(control, &node->why);
    node->figures.healthy = strcmp(node->state, member_state_text(MEMBER_HEALTHY)) == 0;
    ret_sensed->knows_nodes = true;
    ret_sensed->nodes_len = 1;
    ret_sensed->gone_len = 0;
    bool is_stale = node_is_stale(&node->figures, control->policy.balancer.stale_after_ms);
    status_metrics(&all, is_stale ? 0 : 1, ret_sensed->metrics);
}

static void sense(void *data, struct sensed *ret_sensed) {
    struct node_control *control = data;
    if (control->options.cluster != NULL) {
        cluster_sense(control->options.cluster, ret_sensed);
    } else {
        sense_itself(control, ret_sensed);
    }
    if (control->hands != NULL) {
        hands_mark(control->hands, ret_sensed);
    }
}

static void lead(void *data, struct leadership *ret_leadership) {
    const struct node_control *control = data;
    cluster_lead(control->options.cluster, ret_leadership);
}

/* ---- the journal ---- */

static void begin_op(const struct node_control *control, struct store_op *op,
                     enum store_op_e kind) {
    store_op_init(op, kind);
    op->deadline_us = clock_mono_us(control->options.api_node->clock) + JOURNAL_DEADLINE_MS * 1000;
}

static struct action_record record_of(const struct node_control *control,
                                      const struct journal_entry *entry) {
    return (struct action_record){
        .system = SLICE_LIT(SYSTEM),
        .actor = slice_of(control->options.node),
        .action = slice_of(entry->action),
        .target = slice_of(entry->target),
        .outcome = slice_of(entry->outcome),
        .evidence = entry->evidence,
        .before = entry->before,
        .after = entry->after,
        .detail = entry->detail,
    };
}

static struct action_fence fence_of(const struct node_control *control,
                                    const struct journal_entry *entry) {
    return control->options.cluster == NULL
               ? (struct action_fence){.term = 0}
               : (struct action_fence){cluster_holder(control->options.cluster), entry->term};
}

MAY_BLOCK static enum err_e journal_add(void *data, const struct journal_entry *entry,
                                        int64_t *ret_id) {
    const struct node_control *control = data;
    struct store_op op;
    begin_op(control, &op, STORE_ADD_ACTION);
    op.action.values = record_of(control, entry);
    op.action.fence = fence_of(control, entry);
    enum err_e err = store_run(control->options.api_node->store, &op);
    *ret_id = op.action.values.id;
    store_op_fini(&op);
    return err;
}

MAY_BLOCK static enum err_e end_rows(const struct node_control *control, int64_t id,
                                     const char *was, const struct journal_entry *entry) {
    struct store_op op;
    begin_op(control, &op, STORE_END_ACTION);
    op.action.values = record_of(control, entry);
    op.action.values.id = id;
    op.action.was = slice_of(was);
    op.action.fence = fence_of(control, entry);
    if (id == 0 && control->options.cluster != NULL) {
        op.action.values.actor = SLICE_NONE; /* whoever led before */
    }
    enum err_e err = store_run(control->options.api_node->store, &op);
    store_op_fini(&op);
    return err;
}

MAY_BLOCK static enum err_e journal_end(void *data, int64_t id,
                                        const struct journal_entry *entry) {
    return end_rows(data, id, "", entry);
}

MAY_BLOCK static enum err_e journal_settle(void *data, const char *was,
                                           const struct journal_entry *entry) {
    return end_rows(data, 0, was, entry);
}

/* ACTION_COUNT: of another time. */
static enum action_e action_of(struct slice word) {
    int action = 0;
    while (action < ACTION_COUNT && !slice_eq_text(word, action_text((enum action_e)action))) {
        action++;
    }
    return slice_eq_text(word, CALL_ACTION) ? ACTION_NONE : (enum action_e)action;
}

/* False: nothing became of it. */
static bool outcome_of(struct slice word, enum action_outcome_e *ret_outcome) {
    static const enum action_outcome_e done[] = {
        OUTCOME_BEGUN,     OUTCOME_DONE,  OUTCOME_FAILED,      OUTCOME_BETTER,
        OUTCOME_NO_EFFECT, OUTCOME_WORSE, OUTCOME_INTERRUPTED, OUTCOME_CALLED,
        OUTCOME_REFUSED};
    for (size_t i = 0; i < sizeof done / sizeof done[0]; i++) {
        *ret_outcome = done[i];
        if (slice_eq_text(word, action_outcome_text(done[i]))) {
            return true;
        }
    }
    return false;
}

static bool take_past(const struct action_record *record, int64_t now_ms, struct arena *arena,
                      struct past_action *ret_past) {
    struct json_t *evidence = NULL;
    *ret_past = (struct past_action){.action = action_of(record->action),
                                     .age_ms = now_ms - record->at_ms};
    if (json_parse(arena, record->evidence, &evidence, NULL) != ERR_OK ||
        !slice_to_cstr(json_text_at(evidence, "rule", SLICE_LIT("")), ret_past->rule,
                       sizeof ret_past->rule)) {
        ret_past->rule[0] = '\0';
    }
    const struct json_t *before = evidence == NULL ? NULL : json_get(evidence, "value");
    ret_past->age_ms = ret_past->age_ms < 0 ? 0 : ret_past->age_ms;
    ret_past->id = record->id;
    ret_past->before =
        before != NULL && json_is_numeric(before) ? json_number(before) : FIGURE_MISSING;
    snprintf(ret_past->detail, sizeof ret_past->detail, "%.*s", SLICE_ARG(record->detail));
    return ret_past->action != ACTION_COUNT && slice_eq_text(record->system, SYSTEM) &&
           outcome_of(record->outcome, &ret_past->outcome);
}

/* So long something that was done is of interest; and rows behind an older one may be that much
 * younger, for they waited for a word. */
static int64_t past_ms(const struct node_control *control) {
    int64_t most_ms = HARM_REST_MS;
    for (size_t i = 0; i < control->policy.rules_len; i++) {
        int64_t cooldown_ms = control->policy.rules[i].cooldown_ms;
        most_ms = cooldown_ms > most_ms ? cooldown_ms : most_ms;
    }
    return most_ms + control->options.config->recovery_approve_within_ms;
}

MAY_BLOCK static enum err_e journal_past(void *data, struct past_action ret_past[PAST_ACTIONS_MAX],
                                         size_t *ret_len) {
    const struct node_control *control = data;
    int64_t now_ms = clock_wall_ms(control->options.api_node->clock), most_ms = past_ms(control);
    struct store_op op;
    struct arena arena;
    arena_init(&arena, PAST_MEMORY);
    begin_op(control, &op, STORE_LIST_ACTIONS);
    op.actions.limit = STORE_PAGE_MAX;
    enum err_e err = store_run(control->options.api_node->store, &op);
    *ret_len = 0;
    for (size_t i = 0; err == ERR_OK && i < op.actions.len && *ret_len < PAST_ACTIONS_MAX; i++) {
        arena_reset(&arena);
        if (now_ms - op.actions.items[i].at_ms >= most_ms) {
            break;
        }
        *ret_len += take_past(&op.actions.items[i], now_ms, &arena, &ret_past[*ret_len]);
    }
    store_op_fini(&op);
    arena_fini(&arena);
    return err;
}

/* ---- the hands ---- */

static bool is_sqlite(const struct node_control *control) {
    return store_sqlite_path(control->options.config) != NULL;
}

static const char *refuse(void *data, enum action_e action) {
    struct node_control *control = data;
    switch (action) {
    case ACTION_OPTIMIZE_QUERIES:
    case ACTION_INVALIDATE_CACHE:
        return errands_refuse(control->errands, action);
    case ACTION_AUTO_SCALE:
        return control->hands != NULL ? hands_refuse(control->hands)
               : is_sqlite(control)
                   ? "a SQLite file is served by one node: move to PostgreSQL first"
                   : "a node starts no others: add one, or let a provider do it";
    case ACTION_RESTART_SERVICE:
        return restarter_refuse(control->restarter);
    case ACTION_SHED_LOAD:
        return NULL; /* nodes hear of it through the store */
    case ACTION_NONE:
    case ACTION_COUNT:
        break;
    }
    return "there is nothing to do";
}

/* Every node reads the order within a second. */
MAY_BLOCK static enum err_e shed(const struct node_control *control, const char *rule,
                                 char ret_detail[ACT_DETAIL_SIZE]) {
    struct store_op op;
    struct json_writer w;
    struct buf value;
    char until[TIME_TEXT_SIZE];
    begin_op(control, &op, STORE_PUT_ORDER);
    buf_init(&value, SHED_VALUE_MAX);
    json_writer_init(&w, &value);
    order_write_shed(&w, slice_of(rule == NULL ? "" : rule));
    op.order.values = (struct order_record){
        .name = SLICE_LIT(ORDER_SHED),
        .value = buf_slice(&value),
        .author = slice_of(control->options.node),
        .until_ms = clock_wall_ms(control->options.api_node->clock) +
                    control->options.config->recovery_shed_for_ms};
    time_format(op.order.values.until_ms, until);
    enum err_e err = store_run(control->options.api_node->store, &op);
    snprintf(ret_detail, ACT_DETAIL_SIZE, "%s%s",
             err == ERR_OK ? "analytics are refused until " : err_code(err),
             err == ERR_OK ? until : "");
    store_op_fini(&op);
    buf_fini(&value);
    order_book_wake(control->options.api_node->orders);
    return err;
}

MAY_BLOCK static enum err_e undo(void *data, enum action_e action) {
    const struct node_control *control = data;
    struct store_op op;
    ASSERT(action == ACTION_SHED_LOAD);
    begin_op(control, &op, STORE_END_ORDER);
    op.order.values.name = SLICE_LIT(ORDER_SHED);
    enum err_e err = store_run(control->options.api_node->store, &op);
    store_op_fini(&op);
    order_book_wake(control->options.api_node->orders);
    return err == ERR_NOT_FOUND ? ERR_OK : err; /* its time was over */
}

MAY_BLOCK static enum err_e act(void *data, const struct act_order *order,
                                struct act_report *ret_report) {
    struct node_control *control = data;
    switch (order->action) {
    case ACTION_AUTO_SCALE: return hands_act(control->hands, order, ret_report);
    case ACTION_OPTIMIZE_QUERIES:
    case ACTION_INVALIDATE_CACHE: return errands_begin(control->errands, order->action, ret_report);
    case ACTION_RESTART_SERVICE: return restarter_act(control->restarter, order, ret_report);
    case ACTION_SHED_LOAD: return shed(control, order->rule, ret_report->detail);
    case ACTION_NONE:
    case ACTION_COUNT: break;
    }
    return ERR_CONFIG; /* `refuse` says why */
}

MAY_BLOCK static enum err_e go_on(void *data, const struct act_order *order,
                                  struct act_report *ret_report) {
    struct node_control *control = data;
    if (order->action == ACTION_AUTO_SCALE) {
        return hands_go_on(control->hands, ret_report);
    }
    return order->action == ACTION_RESTART_SERVICE
               ? restarter_go_on(control->restarter, order, ret_report)
               : errands_go_on(control->errands, order->action, ret_report);
}

static bool part(void *data, enum action_e action, char ret_detail[ACT_DETAIL_SIZE]) {
    struct node_control *control = data;
    return action == ACTION_RESTART_SERVICE && restarter_part(control->restarter, ret_detail);
}

/* An errand ends by itself. */
MAY_BLOCK static void halt(void *data, enum action_e action) {
    struct node_control *control = data;
    if (action == ACTION_AUTO_SCALE) {
        hands_halt(control->hands);
    } else if (action == ACTION_RESTART_SERVICE) {
        restarter_halt(control->restarter);
    }
}

MAY_BLOCK static void follow(void *data, struct control_state *state,
                             const struct decision *decision) {
    struct node_control *control = data;
    node_notices_resume(control->notices);
    restarter_see(control->restarter, state);
    if (control->hands != NULL) {
        hands_follow(control->hands, state, decision);
    }
}

/* ---- notices ---- */

static bool tell(void *data, size_t receiver, const char *key, struct slice body) {
    const struct node_control *control = data;
    return notifier_send(node_notices_notifier(control->notices), receiver, key, body, 0);
}

MAY_BLOCK static enum err_e told(void *data, struct arena *arena, struct told_before **ret_told,
                                 size_t *ret_len) {
    const struct node_control *control = data;
    return node_notices_told(control->notices, arena, ret_told, ret_len);
}

struct notifier *node_control_notifier(struct node_control *control) {
    return control->notices == NULL ? NULL : node_notices_notifier(control->notices);
}

/* ---- life ---- */

/* One node of a SQLite file has nobody beside it, and so nothing to drive. */
MAY_BLOCK static enum err_e open_hands(struct node_control *control, struct problem *problem) {
    const struct config *config = control->options.config;
    bool has_work = config->haproxy_socket[0] != '\0' ||
                    control->policy.scaler.provider != PROVIDER_NONE;
    if (!has_work || control->options.cluster == NULL) {
        return ERR_OK;
    }
    return hands_open(&(struct hands_options){.config = config,
                                              .policy = &control->policy,
                                              .clock = control->options.api_node->clock,
                                              .journal_add = journal_add,
                                              .data = control},
                      &control->hands, problem);
}

/* False without memory. */
static bool open_helpers(struct node_control *control) {
    const struct node_control_options *options = &control->options;
    const struct config *config = options->config;
    control->errands = errands_create(options->api_node);
    control->restarter = restarter_create(&(struct restarter_options){
        .clock = options->api_node->clock,
        .store = options->api_node->store,
        .orders = options->api_node->orders,
        .node = options->node,
        .pace = {.young_ms = config->recovery_restart_after_ms,
                 .within_ms = config->recovery_restart_within_ms,
                 .settle_ms = SETTLE_MS}});
    return control->errands != NULL && control->restarter != NULL;
}

static enum err_e fail(struct node_control *control, struct problem *ret_problem) {
    node_control_close(control);
    return problem_set(ret_problem, ERR_NO_MEMORY, "", "the controller could not start");
}

MAY_BLOCK enum err_e node_control_open(const struct node_control_options *options,
                                       struct node_control **ret_control,
                                       struct problem *ret_problem) {
    const struct config *config = options->config;
    struct node_control *control = calloc(1, sizeof *control);
    if (control == NULL) {
        return problem_set(ret_problem, ERR_NO_MEMORY, "", "the controller could not start");
    }
    control->options = *options;
    ASSERT(mtx_init(&control->lock, mtx_plain) == thrd_success);
    status_figures_init(&control->figures);
    config_policy(config, &control->policy);
    if (!open_helpers(control)) {
        return fail(control, ret_problem);
    }
    enum err_e err = open_hands(control, ret_problem);
    if (err != ERR_OK) {
        node_control_close(control);
        return err;
    }
    if (control->policy.receivers_len > 0) {
        control->notices =
            node_notices_open(&(struct node_notices_options){.api_node = options->api_node,
                                                             .policy = &control->policy,
                                                             .node = options->node,
                                                             .is_lone = is_sqlite(control)});
        if (control->notices == NULL) {
            return fail(control, ret_problem);
        }
    }
    control->controller = controller_create(&(struct controller_options){
        .clock = options->api_node->clock,
        .rng = options->api_node->rng,
        .node = options->node,
        .url = options->url,
        .policy = &control->policy,
        .seams = {.sense = sense,
                  .lead = options->cluster == NULL ? NULL : lead,
                  .refuse = refuse,
                  .act = act,
                  .go_on = go_on,
                  .part = part,
                  .undo = undo,
                  .halt = halt,
                  .follow = follow,
                  .journal_add = journal_add,
                  .journal_end = journal_end,
                  .journal_settle = journal_settle,
                  .journal_past = journal_past,
                  .tell = control->notices == NULL ? NULL : tell,
                  .told = control->notices == NULL ? NULL : told,
                  .data = control},
        .orders = options->api_node->orders,
        .mode = (enum recovery_mode_e)config->recovery_mode,
        .budget = config->recovery_budget,
        .verify_ms = config->recovery_verify_ms,
        .limit_ms = config->recovery_limit_ms,
        .approve_ms = config->recovery_approve_within_ms,
        .is_held = options->is_held,
        .is_lone = is_sqlite(control),
        .record = config->control_record[0] == '\0' ? NULL : config->control_record,
        .record_max = config->control_record_max,
    });
    if (control->controller == NULL || controller_start(control->controller) != ERR_OK) {
        return fail(control, ret_problem);
    }
    *ret_control = control;
    return ERR_OK;
}

struct controller *node_control_controller(struct node_control *control) {
    return control->controller;
}

bool node_control_has_looked(struct node_control *control) {
    struct control_state *state = controller_state(control->controller);
    bool has_looked = state != NULL;
    control_state_unref(state);
    return has_looked;
}

void node_control_hold(struct node_control *control, bool is_held) {
    restarter_hand_over(control->restarter, is_held);
    controller_hold(control->controller, is_held);
}

MAY_BLOCK void node_control_stop(struct node_control *control) {
    if (control != NULL && control->controller != NULL) {
        controller_stop(control->controller);
    }
    if (control != NULL) {
        node_notices_stop(control->notices);
    }
}

MAY_BLOCK void node_control_close(struct node_control *control) {
    if (control == NULL) {
        return;
    }
    node_control_stop(control);
    controller_destroy(control->controller);
    hands_close(control->hands);
    errands_destroy(control->errands);
    restarter_destroy(control->restarter);
    node_notices_close(control->notices);
    mtx_destroy(&control->lock);
    free(control);
}
