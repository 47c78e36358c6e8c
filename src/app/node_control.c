/* SPDX-License-Identifier: Apache-2.0 */
/* Between the monitor, the store and the controller. */
#include "app/node_control.h"

#include "app/hands.h"
#include "app/node_agent.h"
#include "app/node_notices.h"
#include "app/open.h"
#include "base/assert.h"
#include "cache/keeper.h"
#include "control/policy.h"
#include "optimizer/service.h"

#include <stdio.h>
#include <stdlib.h>
#include <threads.h>

enum { JOURNAL_DEADLINE_MS = 5000, REPORT_MEMORY = 16 << 20, SHED_VALUE_MAX = 512 };
#define SYSTEM "recovery"

struct node_control {
    struct node_control_options options;
    struct controller *controller;
    struct hands *hands; /* NULL: there is nothing to drive */
    struct node_notices *notices; /* NULL: nobody is told anything */
    struct policy policy;
    mtx_t lock; /* of the figures: the monitor's thread writes, the controller's reads */
    bool is_seen;
    int64_t seen_us;
    struct status_figures figures; /* of this node */
};

/* ---- figures ---- */

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
        .started_at_ms = TIME_NONE,
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

/* ---- the hands ---- */

static bool is_sqlite(const struct node_control *control) {
    return store_sqlite_path(control->options.config) != NULL;
}

static const char *refuse(void *data, enum action_e action) {
    const struct node_control *control = data;
    switch (action) {
    case ACTION_OPTIMIZE_QUERIES:
        return NULL;
    case ACTION_AUTO_SCALE:
        return control->hands != NULL ? hands_refuse(control->hands)
               : is_sqlite(control)
                   ? "a SQLite file is served by one node: move to PostgreSQL first"
                   : "a node starts no others: add one, or let a provider do it";
    case ACTION_RESTART_SERVICE:
        return "a node does not end itself while it serves: restart it when doors are quiet";
    case ACTION_INVALIDATE_CACHE:
        return control->options.api_node->cache == NULL ? "this node has no cache: cache.policy"
                                                        : NULL;
    case ACTION_SHED_LOAD:
        return NULL; /* nodes hear of it through the store */
    case ACTION_NONE:
    case ACTION_COUNT:
        break;
    }
    return "there is nothing to do";
}

/* What this thread waits for: a job of the optimizer, bounded by its budget, or the cache's
 * keeper, which answers within the deadlines of the second level. */
struct waiter {
    union { /* first: both begin with their message */
        struct db_job job;
        struct keeper_ask ask;
    };
    mtx_t lock;
    cnd_t ended;
    bool is_done;
};

static void wake(struct loop_message *message) {
    struct waiter *waiter = (struct waiter *)message;
    mtx_lock(&waiter->lock);
    waiter->is_done = true;
    cnd_signal(&waiter->ended);
    mtx_unlock(&waiter->lock);
}

static void init_waiter(struct waiter *waiter) {
    *waiter = (struct waiter){.is_done = false};
    ASSERT(mtx_init(&waiter->lock, mtx_plain) == thrd_success);
    ASSERT(cnd_init(&waiter->ended) == thrd_success);
}

static void fini_waiter(struct waiter *waiter) {
    cnd_destroy(&waiter->ended);
    mtx_destroy(&waiter->lock);
}

MAY_BLOCK static void await(struct waiter *waiter) {
    mtx_lock(&waiter->lock);
    while (!waiter->is_done) {
        cnd_wait(&waiter->ended, &waiter->lock);
    }
    mtx_unlock(&waiter->lock);
}

MAY_BLOCK static enum err_e run_job(struct db_service *optimizer, struct waiter *waiter) {
    TRY(db_service_submit(optimizer, &waiter->job));
    await(waiter);
    return waiter->job.err;
}

static int64_t count_of(const struct json_t *counts, const char *word) {
    const struct json_t *value = counts == NULL ? NULL : json_get(counts, word);
    return value != NULL && json_kind(value) == JSON_KIND_INTEGER ? json_int(value) : 0;
}

/* What the optimizer's report comes to. A run whose every step failed has failed. */
static enum err_e tell_report(struct slice text, char ret_detail[ACT_DETAIL_SIZE]) {
    struct arena arena;
    struct json_t *report;
    struct problem ignored;
    arena_init(&arena, REPORT_MEMORY);
    enum err_e err = json_parse(&arena, text, &report, &ignored);
    if (err == ERR_OK) {
        const struct json_t *counts = json_get(report, "counts");
        int64_t done = count_of(counts, "done"), failed = count_of(counts, "failed");
        snprintf(ret_detail, ACT_DETAIL_SIZE,
                 "the optimizer did %lld steps, left out %lld, took back %lld; %lld failed",
                 (long long)done, (long long)count_of(counts, "skipped"),
                 (long long)count_of(counts, "undone"), (long long)failed);
        err = failed > 0 && done == 0 ? ERR_IO : ERR_OK;
    }
    arena_fini(&arena);
    return err;
}

MAY_BLOCK static enum err_e empty_cache(const struct node_control *control,
                                        char ret_detail[ACT_DETAIL_SIZE]) {
    struct waiter waiter;
    init_waiter(&waiter);
    waiter.ask = (struct keeper_ask){
        .message.fn = wake, .kind = KEEPER_INVALIDATE, .pattern = SLICE_LIT("*")};
    enum err_e err = keeper_ask(control->options.api_node->cache, &waiter.ask);
    if (err == ERR_OK) {
        await(&waiter);
        err = waiter.ask.err;
        buf_fini(&waiter.ask.document);
    }
    snprintf(ret_detail, ACT_DETAIL_SIZE, "%s: %llu entries of this node, %llu keys of Redis",
             err == ERR_OK ? "dropped" : err_code(err), (unsigned long long)waiter.ask.l1_entries,
             (unsigned long long)waiter.ask.l2_keys);
    fini_waiter(&waiter);
    return err;
}

MAY_BLOCK static enum err_e optimize(const struct node_control *control,
                                     char ret_detail[ACT_DETAIL_SIZE]) {
    struct waiter waiter;
    init_waiter(&waiter);
    waiter.job =
        (struct db_job){.message.fn = wake, .kind = DB_JOB_OPTIMIZE, .mode = DB_CARRY_OUT};
    enum err_e err = run_job(control->options.api_node->optimizer, &waiter);
    if (err == ERR_OK) {
        err = tell_report(slice_from(waiter.job.text, waiter.job.len), ret_detail);
    } else {
        snprintf(ret_detail, ACT_DETAIL_SIZE, "%s: %.200s", err_code(err),
                 waiter.job.problem.detail);
    }
    db_job_fini(&waiter.job);
    fini_waiter(&waiter);
    return err;
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
    case ACTION_OPTIMIZE_QUERIES: return optimize(control, ret_report->detail);
    case ACTION_INVALIDATE_CACHE: return empty_cache(control, ret_report->detail);
    case ACTION_SHED_LOAD: return shed(control, order->rule, ret_report->detail);
    case ACTION_RESTART_SERVICE:
    case ACTION_NONE:
    case ACTION_COUNT: break;
    }
    return ERR_CONFIG; /* `refuse` says why */
}

MAY_BLOCK static enum err_e go_on(void *data, enum action_e action,
                                  struct act_report *ret_report) {
    struct node_control *control = data;
    ASSERT(action == ACTION_AUTO_SCALE);
    return hands_go_on(control->hands, ret_report);
}

MAY_BLOCK static void halt(void *data, enum action_e action) {
    struct node_control *control = data;
    ASSERT(action == ACTION_AUTO_SCALE);
    hands_halt(control->hands);
}

MAY_BLOCK static void follow(void *data, const struct control_state *state,
                             const struct decision *decision) {
    struct node_control *control = data;
    node_notices_resume(control->notices);
    if (control->hands != NULL) {
        hands_follow(control->hands, state, decision);
    }
}

/* ---- notices ---- */

static bool tell(void *data, size_t receiver, const char *key, struct slice body) {
    const struct node_control *control = data;
    return notifier_send(node_notices_notifier(control->notices), receiver, key, body, 0);
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
                  .undo = undo,
                  .halt = halt,
                  .follow = follow,
                  .journal_add = journal_add,
                  .journal_end = journal_end,
                  .journal_settle = journal_settle,
                  .tell = control->notices == NULL ? NULL : tell,
                  .data = control},
        .orders = options->api_node->orders,
        .mode = (enum recovery_mode_e)config->recovery_mode,
        .budget = config->recovery_budget,
        .verify_ms = config->recovery_verify_ms,
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
    node_notices_close(control->notices);
    mtx_destroy(&control->lock);
    free(control);
}
