/* SPDX-License-Identifier: Apache-2.0 */
/*
 *                   one can go: told          another process of it is healthy
 *      CHOOSING ──────────────────────► ASKED ────────────────────────────────► SETTLING
 *       │    ▲                            │ ▲  not healthy any more               │  │
 *       │    │                            │ └──────────────────────────────────────┘  │
 *       │    └────────────────────────────┼─────────── healthy for settle_ms ─────────┘
 *       ▼                                 ▼
 *     done: the rule is calm, or       failed: not back within within_ms
 *     nobody is left                   (and the others are left alone)
 *
 * While any other node is not healthy none is told to go.
 */
#include "control/restart.h"

#include "base/assert.h"

#include <math.h>
#include <stdio.h>

enum restart_state_e { RESTART_CHOOSING, RESTART_ASKED, RESTART_SETTLING };

void restart_begin(struct restart *restart) {
    restart->state = RESTART_CHOOSING;
    restart->turned_len = 0;
}

const char *restart_waits_for(const struct restart *restart) {
    return restart->state == RESTART_ASKED ? restart->node : NULL;
}

/* ---- choosing ---- */

static bool has_turned(const struct restart *restart, struct slice id) {
    for (size_t i = 0; restart != NULL && i < restart->turned_len; i++) {
        if (slice_eq_text(id, restart->turned[i])) {
            return true;
        }
    }
    return false;
}

static bool is_meant(const struct restart_view *view, const struct restart_node *node) {
    return view->only.len == 0 || slice_eq(view->only, node->id);
}

/* A clock that is off makes nobody young for ever: who began in the future is old enough. */
static bool is_young(const struct restart_view *view, const struct restart_pace *pace,
                     const struct restart_node *node) {
    int64_t age_ms = view->wall_ms - node->started_at_ms;
    return age_ms >= 0 && age_ms < pace->young_ms;
}

static bool can_go(const struct restart_view *view, const struct restart_pace *pace,
                   const struct restart_node *node) {
    return is_meant(view, node) && node->is_healthy && node->can && node->id.len <= NODE_ID_MAX &&
           node->started_at_ms != TIME_NONE && !is_young(view, pace, node);
}

static bool has_more(const struct restart_node *node, const struct restart_node *than) {
    return than == NULL || isnan(than->memory) || node->memory > than->memory;
}

static const struct restart_node *choose(const struct restart *restart,
                                         const struct restart_view *view,
                                         const struct restart_pace *pace) {
    const struct restart_node *best = NULL;
    for (size_t i = 0; i < view->len; i++) {
        const struct restart_node *node = &view->nodes[i];
        if (can_go(view, pace, node) && !has_turned(restart, node->id) && has_more(node, best)) {
            best = node;
        }
    }
    return best;
}

static const struct restart_node *find_sick(const struct restart_view *view) {
    for (size_t i = 0; i < view->len; i++) {
        if (!view->nodes[i].is_healthy) {
            return &view->nodes[i];
        }
    }
    return NULL;
}

/* Of those that were meant, the reason of the first. */
static void tell_why_none(const struct restart_view *view, const struct restart_pace *pace,
                          char ret_why[RESTART_DETAIL_SIZE]) {
    for (size_t i = 0; i < view->len; i++) {
        const struct restart_node *node = &view->nodes[i];
        if (is_meant(view, node)) {
            snprintf(ret_why, RESTART_DETAIL_SIZE, "%.*s %s", SLICE_ARG(node->id),
                     !node->can ? "cannot be taken over by a new process of itself"
                     : node->started_at_ms == TIME_NONE ? "does not tell when it began"
                     : is_young(view, pace, node)
                         ? "began a short while ago: see recovery.restart_after"
                         : "was started anew already");
            return;
        }
    }
    snprintf(ret_why, RESTART_DETAIL_SIZE, "no node is there to be started anew");
}

static const struct restart_node *choose_or_tell(const struct restart *restart,
                                                 const struct restart_view *view,
                                                 const struct restart_pace *pace,
                                                 char ret_why[RESTART_DETAIL_SIZE]) {
    const struct restart_node *sick = find_sick(view);
    if (sick != NULL) {
        snprintf(ret_why, RESTART_DETAIL_SIZE,
                 "%.*s is not healthy: no node goes while another is down", SLICE_ARG(sick->id));
        return NULL;
    }
    const struct restart_node *node = choose(restart, view, pace);
    if (node == NULL) {
        tell_why_none(view, pace, ret_why);
    }
    return node;
}

bool restart_refuse(const struct restart_view *view, const struct restart_pace *pace,
                    char ret_why[RESTART_DETAIL_SIZE]) {
    return choose_or_tell(NULL, view, pace, ret_why) == NULL;
}

/* ---- steps ---- */

/* "2 nodes were started anew: n1, n2" */
static void tell_turned(const struct restart *restart, const char *end,
                        char ret_detail[RESTART_DETAIL_SIZE]) {
    size_t len = (size_t)snprintf(ret_detail, RESTART_DETAIL_SIZE, "%zu started anew",
                                  restart->turned_len);
    for (size_t i = 0; i < restart->turned_len && len < RESTART_DETAIL_SIZE / 2; i++) {
        len += (size_t)snprintf(ret_detail + len, RESTART_DETAIL_SIZE - len, "%s%.64s",
                                i == 0 ? ": " : ", ", restart->turned[i]);
    }
    if (len < RESTART_DETAIL_SIZE) {
        snprintf(ret_detail + len, RESTART_DETAIL_SIZE - len, "%s", end);
    }
}

static enum restart_step_e step_choosing(struct restart *restart, const struct restart_view *view,
                                         const struct restart_pace *pace,
                                         char ret_detail[RESTART_DETAIL_SIZE]) {
    char why[RESTART_DETAIL_SIZE];
    if (restart->turned_len > 0 && view->is_calm) {
        tell_turned(restart, "; no more was needed", ret_detail);
        return RESTART_DONE;
    }
    bool is_full = restart->turned_len == RESTART_NODES_MAX;
    const struct restart_node *node =
        is_full ? NULL : choose_or_tell(restart, view, pace, why);
    if (node == NULL && restart->turned_len > 0 && find_sick(view) == NULL) {
        tell_turned(restart, "", ret_detail);
        return RESTART_DONE;
    }
    if (node == NULL) {
        snprintf(ret_detail, RESTART_DETAIL_SIZE, "%s", why);
        return RESTART_FAILED;
    }
    bool fits = slice_to_cstr(node->id, restart->node, sizeof restart->node);
    ASSERT(fits); /* can_go looked at it */
    restart->was_started_ms = node->started_at_ms;
    restart->asked_ms = view->now_ms;
    restart->state = RESTART_ASKED;
    snprintf(ret_detail, RESTART_DETAIL_SIZE, "%.128s was told", restart->node);
    return RESTART_ASKS;
}

static bool is_back(const struct restart *restart, const struct restart_view *view) {
    for (size_t i = 0; i < view->len; i++) {
        const struct restart_node *node = &view->nodes[i];
        if (slice_eq_text(node->id, restart->node)) {
            return node->is_healthy && node->started_at_ms != TIME_NONE &&
                   node->started_at_ms != restart->was_started_ms;
        }
    }
    return false;
}

static enum restart_step_e step_waiting(struct restart *restart, const struct restart_view *view,
                                        const struct restart_pace *pace,
                                        char ret_detail[RESTART_DETAIL_SIZE]) {
    if (!is_back(restart, view)) {
        restart->state = RESTART_ASKED;
        bool is_late = view->now_ms - restart->asked_ms >= pace->within_ms;
        snprintf(ret_detail, RESTART_DETAIL_SIZE, "%.128s %s", restart->node,
                 is_late ? "did not come back in time: see its log, and recovery.restart_within"
                         : "was told");
        return is_late ? RESTART_FAILED : RESTART_WAITS;
    }
    if (restart->state == RESTART_ASKED) {
        restart->state = RESTART_SETTLING;
        restart->healthy_ms = view->now_ms;
    }
    snprintf(ret_detail, RESTART_DETAIL_SIZE, "%.128s is back", restart->node);
    if (view->now_ms - restart->healthy_ms >= pace->settle_ms) {
        memcpy(restart->turned[restart->turned_len++], restart->node, sizeof restart->node);
        restart->state = RESTART_CHOOSING;
    }
    return RESTART_WAITS;
}

enum restart_step_e restart_step(struct restart *restart, const struct restart_view *view,
                                 const struct restart_pace *pace,
                                 char ret_detail[RESTART_DETAIL_SIZE]) {
    switch ((enum restart_state_e)restart->state) {
    case RESTART_CHOOSING:
        return step_choosing(restart, view, pace, ret_detail);
    case RESTART_ASKED:
    case RESTART_SETTLING:
        return step_waiting(restart, view, pace, ret_detail);
    }
    UNREACHABLE();
}
