/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the number of nodes changes, a step a turn.
 *
 *          ┌─────────────────────── more ─────────────────────────┐
 *   IDLE ──┤                                                      ▼
 *    ▲     └─ fewer ─► DRAINING ── no session left, or late ──► ASKING ──► COMING ──┐
 *    │                     │ load rose meanwhile                │    │              │
 *    │                     │                   given up ◄───────┘    └──► LEAVING ──┤
 *    │                     ▼                      │                                 │
 *    └───── told ────── ENDED ◄───────────────────┴─────────────────────────────────┘
 *
 * 1. The provider is told a count only together with the count that was read just before.
 * 2. When its answer did not come, the next look tells whether it took the count.
 * 3. What did not serve in time is taken back; those who were to go and did not, stay.
 * 4. After a failure the next change waits, longer each time.
 */
#include "act/fleet_priv.h"

#include "base/clock.h"
#include "base/fsm.h"
#include "base/json.h"
#include "base/log.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

enum { ASKS_MAX = 5, REST_DOUBLINGS_MAX = 5 };
#define SECOND_US 1000000LL
#define LOOK_EVERY_US (5 * SECOND_US)
#define REST_US (30 * SECOND_US) /* after one failure; doubled by each further one in a row */

static const struct fsm_row rows[] = {
    [SCALING_IDLE] = {"idle", FSM_TO(SCALING_DRAINING) | FSM_TO(SCALING_ASKING)},
    [SCALING_DRAINING] = {"draining", FSM_TO(SCALING_ASKING) | FSM_TO(SCALING_ENDED)},
    [SCALING_ASKING] = {"asking", FSM_TO(SCALING_COMING) | FSM_TO(SCALING_LEAVING) |
                                      FSM_TO(SCALING_ENDED)},
    [SCALING_COMING] = {"coming", FSM_TO(SCALING_ENDED)},
    [SCALING_LEAVING] = {"leaving", FSM_TO(SCALING_ENDED)},
    [SCALING_ENDED] = {"ended", FSM_TO(SCALING_IDLE)},
};

static int64_t now_us(const struct fleet *fleet) {
    return clock_mono_us(fleet->options.clock);
}

static void move(struct fleet *fleet, enum scaling_state_e next) {
    log_event(LOG_INFO, "scaling", "from=%s to=%s", rows[fleet->scaling.state].name,
              rows[next].name);
    fsm_move(rows, &fleet->scaling.state, (int)next);
    fleet->scaling.since_us = now_us(fleet);
}

static bool is_late(const struct fleet *fleet, int64_t limit_ms) {
    return now_us(fleet) - fleet->scaling.since_us >= limit_ms * 1000;
}

static bool is_more(const struct scaling *scaling) {
    return scaling->desired > scaling->current;
}

static void end(struct fleet *fleet, bool is_good, const char *format, ...) PRINTF_LIKE(3, 4);
static void end(struct fleet *fleet, bool is_good, const char *format, ...) {
    struct scaling *scaling = &fleet->scaling;
    va_list args;
    va_start(args, format);
    vsnprintf(scaling->detail, sizeof scaling->detail, format, args);
    va_end(args);
    scaling->is_good = is_good;
    scaling->victims_len = 0;
    scaling->failures = is_good ? 0 : scaling->failures + 1;
    scaling->rested_us = TIME_NONE;
    if (!is_good) {
        int64_t doublings = scaling->failures - 1;
        doublings = doublings < REST_DOUBLINGS_MAX ? doublings : REST_DOUBLINGS_MAX;
        scaling->rested_us = now_us(fleet) + (REST_US << doublings);
    }
    move(fleet, SCALING_ENDED);
}

/* ---- the provider ---- */

static bool is_provider(const struct fleet *fleet, const char *name) {
    return strcmp(provider_name(fleet->options.provider), name) == 0;
}

MAY_BLOCK static enum err_e look(struct fleet *fleet) {
    fleet->looked_us = now_us(fleet);
    fleet->counts_err =
        provider_look(fleet->options.provider, &fleet->counts, &fleet->counts_problem);
    if (fleet->counts_err != ERR_OK) {
        fleet_tell(fleet, &(struct fleet_event){
                              .what = "PROVIDER_LOOK",
                              .target = slice_of(provider_name(fleet->options.provider)),
                              .err = fleet->counts_err,
                              .detail = fleet->counts_problem.detail});
    }
    return fleet->counts_err;
}

/* Processes are kept alive by looking at them; others cost a request. */
MAY_BLOCK static void look_sometimes(struct fleet *fleet) {
    bool is_due = fleet->looked_us == TIME_NONE || is_provider(fleet, "process") ||
                  now_us(fleet) - fleet->looked_us >= LOOK_EVERY_US;
    if (is_due && !is_provider(fleet, "none")) {
        (void)look(fleet); /* told */
    }
}

static struct slice evidence_of(struct fleet *fleet, int64_t from, int64_t to) {
    const struct scaling *scaling = &fleet->scaling;
    struct json_writer w;
    buf_clear(&fleet->text);
    json_writer_init(&w, &fleet->text);
    json_begin_object(&w);
    json_put_int(&w, "from", from);
    json_put_int(&w, "to", to);
    json_put_int(&w, "ready", fleet->counts.ready);
    json_put_int(&w, "serving", fleet->serving);
    json_key(&w, "victims");
    json_begin_array(&w);
    for (size_t i = 0; i < scaling->victims_len; i++) {
        json_add_cstr(&w, scaling->victims[i]);
    }
    json_end_array(&w);
    char undo[64];
    snprintf(undo, sizeof undo, "scale the provider to %" PRId64, from);
    json_put_cstr(&w, "undo", undo);
    json_end_object(&w);
    return buf_slice(&fleet->text);
}

/* Tells the provider, and the journal what came of it. */
MAY_BLOCK static enum err_e ask(struct fleet *fleet, const char *what, int64_t from, int64_t to) {
    struct scaling *scaling = &fleet->scaling;
    struct slice victims[FLEET_NODES_MAX];
    struct problem problem = {.detail = ""};
    char reason[128];
    for (size_t i = 0; i < scaling->victims_len; i++) {
        victims[i] = slice_of(scaling->instances[i]);
    }
    int len = snprintf(reason, sizeof reason, "turnout: %" PRId64 " healthy nodes become %" PRId64,
                       scaling->current, scaling->desired);
    const struct provider_change change = {.from = from,
                                           .to = to,
                                           .victims = victims,
                                           .victims_len = to < from ? scaling->victims_len : 0,
                                           .reason = slice_from(reason, (size_t)len)};
    enum err_e err = provider_scale(fleet->options.provider, &change, &problem);
    fleet_tell(fleet, &(struct fleet_event){
                          .what = what,
                          .target = slice_of(provider_name(fleet->options.provider)),
                          .err = err,
                          .evidence = evidence_of(fleet, from, to),
                          .detail = err == ERR_OK ? reason : problem.detail});
    return err;
}

/* ---- who goes ---- */

/* A figure that is not known costs most: nobody knows what is lost. */
static double cost(double figure) {
    return figure_is_known(figure) ? figure : HUGE_VAL;
}

/* True when `a` costs less than `b`: fewer people on it, less in its cache, younger; then by id, so
 * that every controller chooses the same. */
static bool is_cheaper(const struct member *a, const struct member *b) {
    double on_a = cost(a->connections), on_b = cost(b->connections);
    double in_a = cost(a->hit_rate), in_b = cost(b->hit_rate);
    if (on_a < on_b || on_b < on_a) {
        return on_a < on_b;
    }
    if (in_a < in_b || in_b < in_a) {
        return in_a < in_b;
    }
    if (a->healthy_for_ms != b->healthy_for_ms) {
        return a->healthy_for_ms < b->healthy_for_ms;
    }
    return strcmp(a->id, b->id) < 0;
}

bool scaling_takes(const struct fleet *fleet, const char *id) {
    for (size_t i = 0; i < fleet->scaling.victims_len; i++) {
        if (strcmp(fleet->scaling.victims[i], id) == 0) {
            return true;
        }
    }
    return false;
}

MAY_BLOCK static bool name_instance(struct fleet *fleet, const struct member *member) {
    struct provider_node node = {slice_of(member->id), slice_of(member->url)};
    return provider_instance(fleet->options.provider, &node,
                             fleet->scaling.instances[fleet->scaling.victims_len]);
}

/* Those that cost least among the ones that the provider knows by name: others it could not
 * stop. */
MAY_BLOCK static void choose_victims(struct fleet *fleet) {
    struct scaling *scaling = &fleet->scaling;
    bool is_out[FLEET_NODES_MAX] = {false};
    int64_t wanted = scaling->current - scaling->desired;
    while ((int64_t)scaling->victims_len < wanted) {
        size_t best = fleet->members_len;
        for (size_t i = 0; i < fleet->members_len; i++) {
            const struct member *member = &fleet->members[i];
            if (member->is_healthy && !is_out[i] &&
                (best == fleet->members_len || is_cheaper(member, &fleet->members[best]))) {
                best = i;
            }
        }
        if (best == fleet->members_len) {
            return;
        }
        is_out[best] = true;
        if (name_instance(fleet, &fleet->members[best])) {
            snprintf(scaling->victims[scaling->victims_len++], sizeof scaling->victims[0], "%s",
                     fleet->members[best].id);
        }
    }
}

/* ---- the states ---- */

const char *fleet_refuse(const struct fleet *fleet) {
    if (is_provider(fleet, "none")) {
        return "no provider starts and stops nodes here: scaler.provider is none";
    }
    if (fleet->scaling.state != SCALING_IDLE) {
        return "the number of nodes is being changed";
    }
    if (fleet->scaling.rested_us != TIME_NONE && now_us(fleet) < fleet->scaling.rested_us) {
        return "the last change failed a short while ago: the next one waits";
    }
    return NULL;
}

MAY_BLOCK void fleet_scale(struct fleet *fleet, int64_t current, int64_t desired) {
    struct scaling *scaling = &fleet->scaling;
    ASSERT(scaling->state == SCALING_IDLE);
    scaling->current = current;
    scaling->desired = desired;
    scaling->is_asked = false;
    scaling->asks = 0;
    scaling->began_us = now_us(fleet);
    if (!is_more(scaling)) {
        choose_victims(fleet);
    }
    move(fleet, scaling->victims_len > 0 ? SCALING_DRAINING : SCALING_ASKING);
}

static void step_draining(struct fleet *fleet, const struct fleet_view *view) {
    struct scaling *scaling = &fleet->scaling;
    size_t left = 0;
    if (view->scale->desired > view->scale->current) {
        end(fleet, false, "taken back while %zu nodes drained: %.150s", scaling->victims_len,
            view->scale->reason);
        return;
    }
    for (size_t i = 0; i < scaling->victims_len; i++) {
        const struct member *member = members_find(fleet, scaling->victims[i]);
        left += member != NULL && (member->takes_traffic || member->sessions > 0);
    }
    if (left == 0 || is_late(fleet, fleet->options.drain_ms)) {
        move(fleet, SCALING_ASKING);
    }
}

/* From what the provider says now, in its own count: nodes that it did not start are none of it. */
static void set_goal(struct fleet *fleet) {
    struct scaling *scaling = &fleet->scaling;
    const struct provider_state *counts = &fleet->counts;
    int64_t change = scaling->desired - scaling->current;
    scaling->from = counts->desired;
    if (change > 0) { /* those that are on their way already count */
        int64_t most = counts->desired > fleet->options.nodes_max ? counts->desired
                                                                  : fleet->options.nodes_max;
        scaling->to = counts->ready + change;
        scaling->to = scaling->to < counts->desired ? counts->desired : scaling->to;
        scaling->to = scaling->to > most ? most : scaling->to;
    } else {
        int64_t fewer = scaling->victims_len > 0 ? (int64_t)scaling->victims_len : -change;
        scaling->to = counts->desired > fewer ? counts->desired - fewer : 0;
    }
}

static void fail_or_ask_again(struct fleet *fleet, enum err_e err, const char *why) {
    struct scaling *scaling = &fleet->scaling;
    bool is_final = err == ERR_CONFIG || err == ERR_UNAUTHORIZED || err == ERR_INVALID_FIELD;
    scaling->is_asked = err == ERR_DEADLINE;
    scaling->asks++;
    if (is_final || scaling->asks >= ASKS_MAX) {
        end(fleet, false, "the provider did not take it, asked %d times: %.150s",
            scaling->asks, why);
    }
}

MAY_BLOCK static void step_asking(struct fleet *fleet) {
    struct scaling *scaling = &fleet->scaling;
    enum err_e err = look(fleet);
    if (err != ERR_OK) {
        fail_or_ask_again(fleet, err, fleet->counts_problem.detail);
        return;
    }
    bool was_taken = scaling->is_asked && fleet->counts.desired == scaling->to;
    if (!was_taken) {
        set_goal(fleet);
    }
    if (!was_taken && !is_more(scaling) && scaling->to == scaling->from) {
        end(fleet, false, "too many nodes serve, but %s runs none that could go",
            provider_name(fleet->options.provider));
        return;
    }
    if (!was_taken && scaling->to != scaling->from) {
        err = ask(fleet, is_more(scaling) ? "SCALE_OUT" : "SCALE_IN", scaling->from, scaling->to);
    }
    if (err != ERR_OK) {
        fail_or_ask_again(fleet, err, err_remedy(err));
        return;
    }
    move(fleet, is_more(scaling) ? SCALING_COMING : SCALING_LEAVING);
}

/* Some never served: they are not left half started. */
MAY_BLOCK static void take_back(struct fleet *fleet) {
    struct scaling *scaling = &fleet->scaling;
    int64_t missing = scaling->to - fleet->counts.ready;
    int64_t added = scaling->to - scaling->from;
    missing = missing < added ? missing : added;
    bool can = fleet->counts_err == ERR_OK && missing > 0 && fleet->counts.desired == scaling->to;
    enum err_e err = can ? ask(fleet, "SCALE_UNDO", scaling->to, scaling->to - missing) : ERR_OK;
    end(fleet, false,
        "%" PRId64 " of %" PRId64 " nodes did not serve within %" PRId64 " s%s",
        scaling->to - fleet->counts.ready, scaling->to, fleet->options.ready_ms / 1000,
        !can ? "" : err == ERR_OK ? ", and were taken back" : ", and could not be taken back");
}

MAY_BLOCK static void step_coming(struct fleet *fleet) {
    struct scaling *scaling = &fleet->scaling;
    enum err_e err = look(fleet);
    bool is_ready = err == ERR_OK && fleet->counts.ready >= scaling->to;
    if (is_ready && fleet->serving >= scaling->desired) {
        end(fleet, true, "%s went from %" PRId64 " to %" PRId64 "; %" PRId64
            " nodes serve, after %.1f s", provider_name(fleet->options.provider), scaling->from,
            scaling->to, fleet->serving, (double)(now_us(fleet) - scaling->began_us) / 1e6);
    } else if (is_late(fleet, fleet->options.ready_ms) && is_ready) {
        end(fleet, false, "%" PRId64 " nodes run, but %" PRId64 " of %" PRId64
            " are healthy and take traffic", fleet->counts.ready, fleet->serving,
            scaling->desired);
    } else if (is_late(fleet, fleet->options.ready_ms)) {
        take_back(fleet);
    }
}

MAY_BLOCK static void step_leaving(struct fleet *fleet) {
    struct scaling *scaling = &fleet->scaling;
    enum err_e err = look(fleet);
    if (err == ERR_OK && fleet->counts.running <= scaling->to) {
        end(fleet, true, "%s went from %" PRId64 " to %" PRId64 " after %.1f s",
            provider_name(fleet->options.provider), scaling->from, scaling->to,
            (double)(now_us(fleet) - scaling->began_us) / 1e6);
    } else if (is_late(fleet, fleet->options.ready_ms)) {
        end(fleet, false, "%" PRId64 " nodes still run, %" PRId64 " are wanted",
            fleet->counts.running, scaling->to);
    }
}

void fleet_forget(struct fleet *fleet) {
    fleet->scaling = (struct scaling){.state = SCALING_IDLE, .rested_us = TIME_NONE};
}

MAY_BLOCK void scaling_step(struct fleet *fleet, const struct fleet_view *view) {
    switch ((enum scaling_state_e)fleet->scaling.state) {
    case SCALING_IDLE:
    case SCALING_ENDED: look_sometimes(fleet); return;
    case SCALING_DRAINING: step_draining(fleet, view); return;
    case SCALING_ASKING: step_asking(fleet); return;
    case SCALING_COMING: step_coming(fleet); return;
    case SCALING_LEAVING: step_leaving(fleet); return;
    }
    UNREACHABLE();
}

enum fleet_progress_e fleet_scaling(struct fleet *fleet, char ret_detail[FLEET_DETAIL_SIZE]) {
    struct scaling *scaling = &fleet->scaling;
    ret_detail[0] = '\0';
    if (scaling->state != SCALING_ENDED) {
        return scaling->state == SCALING_IDLE ? FLEET_IDLE : FLEET_AT_WORK;
    }
    snprintf(ret_detail, FLEET_DETAIL_SIZE, "%s", scaling->detail);
    move(fleet, SCALING_IDLE);
    return scaling->is_good ? FLEET_DONE : FLEET_FAILED;
}
