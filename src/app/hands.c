/* SPDX-License-Identifier: Apache-2.0 */
/* Between the controller and the fleet. */
#include "app/hands.h"

#include "act/fleet.h"
#include "base/assert.h"
#include "control/member.h"
#include "control/policy.h"

#include <stdio.h>
#include <stdlib.h>

enum { ARENA_MAX = 4 << 20, SCRATCH_MAX = 1 << 20 };

struct hands {
    struct hands_options options;
    struct arena arena; /* of the provider's options */
    struct arena scratch;
    struct provider *provider;
    struct fleet *fleet;
    int64_t term; /* of the lead when it was followed last */
};

/* ---- the journal ---- */

static void tell(void *data, const struct fleet_event *event) {
    const struct hands *hands = data;
    char target[PROVIDER_NAME_MAX + 1];
    int64_t id;
    snprintf(target, sizeof target, "%.*s", SLICE_ARG(event->target));
    const struct journal_entry entry = {
        .action = event->what,
        .target = target,
        .outcome = action_outcome_text(event->err == ERR_OK ? OUTCOME_DONE : OUTCOME_FAILED),
        .evidence = event->evidence,
        .term = hands->term,
        .detail = slice_of(event->detail),
    };
    /* what cannot be written is in the log: HAProxy is brought back all the same */
    (void)hands->options.journal_add(hands->options.data, &entry, &id);
}

/* ---- life ---- */

static struct fleet *open_fleet(struct hands *hands) {
    const struct config *config = hands->options.config;
    return fleet_create(&(struct fleet_options){
        .clock = hands->options.clock,
        .provider = hands->provider,
        .haproxy_socket = config->haproxy_socket[0] == '\0' ? NULL : config->haproxy_socket,
        .map_file = config->haproxy_map[0] == '\0' ? NULL : config->haproxy_map,
        .drain_ms = config->haproxy_drain_ms,
        .ready_ms = config->provider_ready_within_ms,
        .nodes_max = hands->options.policy->scaler.max,
        .tell = tell,
        .tell_data = hands,
    });
}

MAY_BLOCK enum err_e hands_open(const struct hands_options *options, struct hands **ret_hands,
                                struct problem *ret_problem) {
    struct hands *hands = calloc(1, sizeof *hands);
    if (hands == NULL) {
        return ERR_NO_MEMORY;
    }
    hands->options = *options;
    arena_init(&hands->arena, ARENA_MAX);
    arena_init(&hands->scratch, SCRATCH_MAX);
    enum err_e err = hands_open_provider(options->config, options->policy, &hands->arena,
                                         &hands->provider, ret_problem);
    if (err == ERR_OK) {
        hands->fleet = open_fleet(hands);
        err = hands->fleet == NULL ? ERR_NO_MEMORY : ERR_OK;
    }
    if (err != ERR_OK) {
        hands_close(hands);
        return err;
    }
    *ret_hands = hands;
    return ERR_OK;
}

MAY_BLOCK void hands_close(struct hands *hands) {
    if (hands == NULL) {
        return;
    }
    fleet_destroy(hands->fleet);
    provider_close(hands->provider);
    arena_fini(&hands->scratch);
    arena_fini(&hands->arena);
    free(hands);
}

/* ---- what is seen ---- */

void hands_mark(const struct hands *hands, struct sensed *sensed) {
    for (size_t i = 0; i < sensed->nodes_len; i++) {
        struct sensed_node *node = &sensed->nodes[i];
        if (node->figures.healthy && fleet_is_leaving(hands->fleet, node->figures.id)) {
            node->figures.healthy = false;
            node->state = member_state_text(MEMBER_DRAINING);
            node->why = "it was chosen to go: others take its load over";
        }
    }
}

static bool is_state(const struct sensed_node *node, enum member_state_e state) {
    return node->state != NULL && strcmp(node->state, member_state_text(state)) == 0;
}

/* By its state as the watcher says; one that was marked above stays where the fleet has it. */
static enum fleet_health_e health_of(const struct hands *hands, const struct sensed_node *node) {
    if (fleet_is_leaving(hands->fleet, node->figures.id) || is_state(node, MEMBER_HEALTHY)) {
        return FLEET_HEALTHY;
    }
    return is_state(node, MEMBER_SUSPECT)    ? FLEET_SUSPECT
           : is_state(node, MEMBER_DRAINING) ? FLEET_LEAVING
                                             : FLEET_GONE;
}

/* What a node said of itself when it registered; anything may be missing. */
static int agent_port_of(struct hands *hands, const struct sensed_node *node) {
    struct json_t *said;
    if (node->capabilities == NULL ||
        json_parse(&hands->scratch, slice_of(node->capabilities), &said, NULL) != ERR_OK) {
        return 0;
    }
    const struct json_t *port = json_get(said, "agent_port");
    bool is_port = port != NULL && json_kind(port) == JSON_KIND_INTEGER && json_int(port) >= 1 &&
                   json_int(port) <= 65535;
    return is_port ? (int)json_int(port) : 0;
}

MAY_BLOCK void hands_follow(struct hands *hands, const struct control_state *state,
                            const struct decision *decision) {
    struct fleet_node nodes[FLEET_NODES_MAX];
    struct fleet_view view = {.nodes = nodes, .scale = &decision->scale};
    if (hands->term != state->leadership.term) { /* another led meanwhile, or this is the first */
        fleet_forget(hands->fleet);
        hands->term = state->leadership.term;
    }
    arena_reset(&hands->scratch);
    for (size_t i = 0; i < state->nodes_len && view.len < FLEET_NODES_MAX; i++) {
        const struct sensed_node *node = &state->nodes[i];
        nodes[view.len++] = (struct fleet_node){.figures = &node->figures,
                                                .url = slice_of(node->url),
                                                .health = health_of(hands, node),
                                                .agent_port = agent_port_of(hands, node)};
    }
    for (int i = 0; i < REQUEST_COUNT; i++) {
        view.best[i] = decision->optimal[i];
    }
    fleet_turn(hands->fleet, &view);
}

/* ---- what is done ---- */

const char *hands_refuse(const struct hands *hands) {
    return fleet_refuse(hands->fleet);
}

MAY_BLOCK enum err_e hands_act(struct hands *hands, const struct act_order *order,
                               struct act_report *ret_report) {
    ASSERT(order->action == ACTION_AUTO_SCALE);
    if (order->nodes_from == order->nodes_to) {
        snprintf(ret_report->detail, sizeof ret_report->detail,
                 "the scaler leaves it at %lld nodes", (long long)order->nodes_to);
        return ERR_OK;
    }
    fleet_scale(hands->fleet, order->nodes_from, order->nodes_to);
    ret_report->goes_on = true;
    return ERR_OK;
}

void hands_halt(struct hands *hands) {
    fleet_forget(hands->fleet);
}

MAY_BLOCK enum err_e hands_go_on(struct hands *hands, struct act_report *ret_report) {
    enum fleet_progress_e progress = fleet_scaling(hands->fleet, ret_report->detail);
    ret_report->goes_on = progress == FLEET_AT_WORK;
    return progress == FLEET_FAILED ? ERR_UNAVAILABLE
           : progress == FLEET_IDLE ? ERR_CONFLICT
                                    : ERR_OK;
}
