/* SPDX-License-Identifier: Apache-2.0 */
/* The thread, a look, and what everybody may see of it. */
#include "act/controller_priv.h"

#include "base/assert.h"
#include "base/log.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    SECOND_US = 1000000,
    STATE_MEMORY_MAX = 4 << 20,
    LINE_MAX_BYTES = 1 << 20,
    TEXT_MAX_BYTES = 1 << 20,
};

static const char *const mode_words[] = {
#define X(name, text) [RECOVERY_##name] = text,
    RECOVERY_MODE_TABLE(X)
#undef X
};

const char *recovery_mode_text(enum recovery_mode_e mode) {
    ASSERT((size_t)mode < sizeof mode_words / sizeof mode_words[0]);
    return mode_words[mode];
}

/* ---- life ---- */

static void init_lock(struct controller *controller) {
    pthread_condattr_t attributes;
    ASSERT(pthread_mutex_init(&controller->lock, NULL) == 0);
    ASSERT(pthread_condattr_init(&attributes) == 0);
    ASSERT(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    ASSERT(pthread_cond_init(&controller->woken, &attributes) == 0);
    pthread_condattr_destroy(&attributes);
}

MAY_BLOCK struct controller *controller_create(const struct controller_options *options) {
    struct controller *controller = calloc(1, sizeof *controller);
    if (controller == NULL) {
        return NULL;
    }
    controller->options = *options;
    controller->started_us = clock_mono_us(options->clock);
    atomic_init(&controller->is_held, options->is_held);
    actions_init(controller);
    history_init(&controller->history);
    for (size_t i = 0; i < ALERT_RULES_MAX; i++) {
        controller->times[i] = (struct alert_times){
            .since_ms = clock_wall_ms(options->clock), .resolved_ms = TIME_NONE};
    }
    init_lock(controller);
    buf_init(&controller->line, LINE_MAX_BYTES);
    buf_init(&controller->text, TEXT_MAX_BYTES);
    arena_init(&controller->scratch, STATE_MEMORY_MAX);
    if (!notices_open(controller)) {
        controller_destroy(controller);
        return NULL;
    }
    if (options->record != NULL) {
        controller->recorder = recorder_open(options->record, options->record_max);
        if (controller->recorder == NULL) {
            controller_destroy(controller);
            return NULL;
        }
    }
    return controller;
}

MAY_BLOCK void controller_destroy(struct controller *controller) {
    if (controller == NULL) {
        return;
    }
    ASSERT(!controller->running);
    control_state_unref(controller->latest);
    recorder_close(controller->recorder);
    notices_close(controller);
    buf_fini(&controller->line);
    buf_fini(&controller->text);
    arena_fini(&controller->scratch);
    pthread_cond_destroy(&controller->woken);
    pthread_mutex_destroy(&controller->lock);
    free(controller);
}

const struct policy *controller_policy(const struct controller *controller) {
    return controller->options.policy;
}

void controller_hold(struct controller *controller, bool is_held) {
    atomic_store(&controller->is_held, is_held);
}

/* ---- the state ---- */

struct control_state *controller_state(struct controller *controller) {
    pthread_mutex_lock(&controller->lock);
    struct control_state *state = controller->latest;
    if (state != NULL) {
        atomic_fetch_add_explicit(&state->refs, 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&controller->lock);
    return state;
}

void control_state_unref(struct control_state *state) {
    if (state != NULL &&
        atomic_fetch_sub_explicit(&state->refs, 1, memory_order_acq_rel) == 1) {
        arena_fini(&state->arena);
        free(state);
    }
}

static void publish(struct controller *controller, struct control_state *state) {
    pthread_mutex_lock(&controller->lock);
    struct control_state *before = controller->latest;
    controller->latest = state;
    pthread_mutex_unlock(&controller->lock);
    control_state_unref(before);
}

static struct control_state *new_state(const struct controller *controller) {
    struct control_state *state = calloc(1, sizeof *state);
    if (state != NULL) {
        atomic_init(&state->refs, 1);
        arena_init(&state->arena, STATE_MEMORY_MAX);
        state->at_ms = clock_wall_ms(controller->options.clock);
        state->at_us = clock_mono_us(controller->options.clock);
    }
    return state;
}

/* ---- a look ---- */

/* Whole milliseconds since the start: a recording begins near 0. */
static double t_of(const struct controller *controller) {
    int64_t since_us = clock_mono_us(controller->options.clock) - controller->started_us;
    return (double)(since_us / 1000) / 1000;
}

/* What is told once is told: the effects of earlier actions are this look's. */
static size_t take_effects(struct controller *controller,
                           struct told_effect ret_effects[SNAPSHOT_EFFECTS_MAX]) {
    size_t len = controller->untold_len;
    for (size_t i = 0; i < len; i++) {
        const struct untold *untold = &controller->untold[i];
        ret_effects[i] = (struct told_effect){
            .rule = untold->rule < 0
                        ? SLICE_LIT("")
                        : slice_of(controller->options.policy->rules[untold->rule].name),
            .action = slice_of(untold->action == ACTION_NONE ? CALL_ACTION
                                                             : action_text(untold->action)),
            .effect = untold->effect,
            .age_ms = untold->age_ms};
    }
    controller->untold_len = 0;
    return len;
}

static void write_snapshot(struct controller *controller, struct json_writer *w) {
    const struct sensed *sensed = &controller->sensed;
    struct node_figures nodes[CONTROLLER_NODES_MAX];
    struct told_effect effects[SNAPSHOT_EFFECTS_MAX];
    struct snapshot snapshot = {.t = t_of(controller),
                                .is_standby = !controller->is_settled,
                                .has_nodes = sensed->knows_nodes,
                                .nodes = nodes,
                                .nodes_len = sensed->nodes_len,
                                .effects = effects,
                                .effects_len = take_effects(controller, effects)};
    for (size_t i = 0; i < sensed->nodes_len; i++) {
        nodes[i] = sensed->nodes[i].figures;
    }
    memcpy(snapshot.metrics, sensed->metrics, sizeof snapshot.metrics);
    buf_clear(&controller->line);
    json_writer_init(w, &controller->line);
    json_begin_object(w);
    snapshot_write(w, &snapshot);
}

/* The line stays open for the decision; a copy that is closed is read back. */
static enum err_e read_back(struct controller *controller, struct control_state *state) {
    struct problem problem = {.field = ""};
    buf_clear(&controller->text);
    buf_add(&controller->text, buf_slice(&controller->line));
    buf_add_char(&controller->text, '}');
    if (controller->line.failed || controller->text.failed) {
        return ERR_NO_MEMORY;
    }
    enum err_e err = snapshot_read(&state->arena, buf_slice(&controller->text), &state->snapshot,
                                   &problem);
    if (err != ERR_OK) {
        log_event(LOG_ERROR, "snapshot_refused", "field=%s detail=\"%s\"", problem.field,
                  problem.detail);
    }
    return err;
}

static bool keep_text(struct arena *arena, const char **text) {
    if (*text == NULL) {
        return true;
    }
    *text = arena_copy(arena, slice_from(*text, strlen(*text) + 1)).at;
    return *text != NULL;
}

static bool keep_node(struct arena *arena, struct sensed_node *node) {
    node->figures.id = arena_copy(arena, node->figures.id);
    return node->figures.id.at != NULL && keep_text(arena, &node->url) &&
           keep_text(arena, &node->version) && keep_text(arena, &node->state) &&
           keep_text(arena, &node->why) && keep_text(arena, &node->capabilities);
}

/* For live choices: a recording, which decisions are made from, does not say how long a node has
 * been healthy. */
static enum err_e restore_health_times(const struct controller *controller,
                                       struct control_state *state) {
    size_t len = state->snapshot.nodes_len;
    struct node_figures *nodes = arena_alloc(&state->arena, (len + 1) * sizeof *nodes);
    if (nodes == NULL) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < len; i++) {
        nodes[i] = state->snapshot.nodes[i];
        nodes[i].healthy_for_ms = controller->sensed.nodes[i].figures.healthy_for_ms;
    }
    state->snapshot.nodes = nodes;
    return ERR_OK;
}

static enum err_e keep_nodes(struct controller *controller, struct control_state *state) {
    size_t len = controller->sensed.nodes_len + controller->sensed.gone_len;
    struct sensed_node *nodes = arena_alloc(&state->arena, (len + 1) * sizeof *nodes);
    if (nodes == NULL) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < len; i++) {
        nodes[i] = controller->sensed.nodes[i];
        if (!keep_node(&state->arena, &nodes[i])) {
            return ERR_NO_MEMORY;
        }
    }
    state->nodes = nodes;
    state->nodes_len = len;
    return ERR_OK;
}

MAY_BLOCK static void record(struct controller *controller, struct json_writer *w,
                             const struct decision *decision) {
    buf_clear(&controller->text);
    decision_write(decision, &controller->history, controller->options.policy,
                   &controller->text);
    json_key(w, "decision");
    json_add_raw(w, buf_slice(&controller->text));
    json_end_object(w);
    if (!controller->line.failed && !controller->text.failed) {
        recorder_write(controller->recorder, buf_slice(&controller->line));
    }
}

static void log_change(const struct alert_rule *rule, const struct alert *alert) {
    bool is_bad = alert->state == ALERT_FIRING;
    log_event(is_bad ? LOG_WARN : LOG_INFO, "alert",
              "rule=%s state=%s severity=%s metric=%s value=%.6g threshold=%.6g", rule->name,
              alert_state_text((enum alert_state_e)alert->state),
              severity_text((enum severity_e)rule->severity),
              metric_text((enum metric_e)rule->metric), alert->value, rule->threshold);
}

static void note_changes(struct controller *controller, int64_t now_ms) {
    const struct policy *policy = controller->options.policy;
    for (size_t i = 0; i < policy->rules_len; i++) {
        const struct alert *alert = &controller->history.rules.alerts[i];
        struct alert_times *times = &controller->times[i];
        if (alert->state == times->state) {
            continue;
        }
        bool is_told = alert->state == ALERT_FIRING || alert->state == ALERT_RESOLVED;
        times->state = alert->state;
        times->since_ms = now_ms;
        times->resolved_ms = alert->state == ALERT_RESOLVED ? now_ms : times->resolved_ms;
        if (is_told) {
            log_change(&policy->rules[i], alert);
        }
    }
}

MAY_BLOCK static enum err_e look(struct controller *controller, struct control_state *state) {
    struct json_writer w;
    struct decision decision;
    controller->options.seams.sense(controller->options.seams.data, &controller->sensed);
    const struct sensed *sensed = &controller->sensed;
    ASSERT(sensed->nodes_len + sensed->gone_len <= CONTROLLER_NODES_MAX);
    write_snapshot(controller, &w);
    TRY(read_back(controller, state));
    TRY(keep_nodes(controller, state));
    state->leadership = controller->leadership;
    decide(&controller->history, &state->snapshot, controller->options.policy, &decision);
    if (controller->recorder != NULL) {
        record(controller, &w, &decision);
    }
    note_changes(controller, state->at_ms);
    TRY(restore_health_times(controller, state));
    if (!documents_write(controller, state, &decision)) {
        return ERR_NO_MEMORY;
    }
    atomic_fetch_add_explicit(&state->refs, 1, memory_order_relaxed);
    publish(controller, state); /* before acting, which may take long */
    if (!controller->leadership.is_ours) {
        return ERR_OK;
    }
    notices_tell(controller, state->at_ms);
    if (controller->options.seams.follow != NULL) {
        controller->options.seams.follow(controller->options.seams.data, state, &decision);
    }
    actions_take(controller, state, &decision);
    return ERR_OK;
}

static struct leadership see_leadership(const struct controller *controller) {
    const struct controller_seams *seams = &controller->options.seams;
    struct leadership leadership = {.is_ours = !atomic_load(&controller->is_held)};
    if (seams->lead != NULL) { /* the lease tells this process from the others, of this node, too */
        seams->lead(seams->data, &leadership);
    }
    return leadership;
}

bool controller_leads(const struct controller *controller) {
    const struct leadership now = see_leadership(controller);
    return now.is_ours && now.term == controller->leadership.term;
}

MAY_BLOCK static void follow_leadership(struct controller *controller) {
    const struct leadership now = see_leadership(controller), *was = &controller->leadership;
    if (was->is_ours && !now.is_ours) {
        actions_part(controller);
    }
    if (now.is_ours != was->is_ours || (now.is_ours && now.term != was->term)) {
        actions_forget(controller);
        notices_forget(controller);
    }
    controller->leadership = now;
}

MAY_BLOCK void controller_turn(struct controller *controller) {
    struct control_state *state = new_state(controller);
    enum err_e err = state == NULL ? ERR_NO_MEMORY : ERR_OK;
    arena_reset(&controller->scratch);
    follow_leadership(controller);
    orders_take(controller);
    bool leads = controller->leadership.is_ours;
    if (leads) {
        past_settle(controller);
        actions_hold(controller);
    }
    err = err == ERR_OK ? look(controller, state) : err;
    if (err != ERR_OK) {
        log_event(LOG_ERROR, "controller_skipped", "err=%s", err_code(err));
    } else if (leads) {
        actions_go_on(controller, state);
    }
    orders_drop(controller);
    control_state_unref(state);
}

/* ---- the thread ---- */

MAY_BLOCK static void wait_until(struct controller *controller, int64_t until_us) {
    int64_t left_us = until_us - clock_mono_us(controller->options.clock);
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    left_us = left_us < 0 ? 0 : left_us;
    end.tv_sec += left_us / SECOND_US + (end.tv_nsec + left_us % SECOND_US * 1000) / 1000000000;
    end.tv_nsec = (end.tv_nsec + left_us % SECOND_US * 1000) % 1000000000;
    pthread_mutex_lock(&controller->lock);
    while (!controller->ends && !controller->is_told &&
           pthread_cond_timedwait(&controller->woken, &controller->lock, &end) == 0) {
    }
    controller->is_told = false;
    pthread_mutex_unlock(&controller->lock);
}

static bool has_ended(struct controller *controller) {
    pthread_mutex_lock(&controller->lock);
    bool ends = controller->ends;
    pthread_mutex_unlock(&controller->lock);
    return ends;
}

MAY_BLOCK static void *controller_main(void *data) {
    struct controller *controller = data;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    pthread_setname_np(pthread_self(), "control");
    while (!has_ended(controller)) {
        int64_t next_us = clock_mono_us(controller->options.clock) + SECOND_US;
        controller_turn(controller);
        wait_until(controller, next_us);
    }
    return NULL;
}

enum err_e controller_start(struct controller *controller) {
    if (pthread_create(&controller->thread, NULL, controller_main, controller) != 0) {
        return ERR_NO_MEMORY;
    }
    controller->running = true;
    return ERR_OK;
}

MAY_BLOCK void controller_stop(struct controller *controller) {
    if (!controller->running) {
        return;
    }
    pthread_mutex_lock(&controller->lock);
    controller->ends = true;
    pthread_cond_signal(&controller->woken);
    pthread_mutex_unlock(&controller->lock);
    ASSERT(pthread_join(controller->thread, NULL) == 0);
    controller->running = false;
    actions_part(controller);
}

enum err_e controller_answer(struct controller *controller, int64_t id, enum answer_e answer,
                             struct slice by) {
    enum err_e err = ERR_NOT_FOUND;
    pthread_mutex_lock(&controller->lock);
    for (size_t i = 0; i < CONTROLLER_WAITING_MAX && id != 0; i++) {
        struct ongoing *waiting = &controller->waiting[i];
        if (waiting->id == id && waiting->answer == ANSWER_NONE) {
            waiting->answer = answer;
            snprintf(waiting->by, sizeof waiting->by, "%.*s", SLICE_ARG(by));
            controller->is_told = true;
            pthread_cond_signal(&controller->woken);
            err = ERR_OK;
        }
    }
    pthread_mutex_unlock(&controller->lock);
    return err;
}
