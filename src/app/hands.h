/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The controller's hands on nodes, from settings: the provider of scaler.provider, and the HAProxy
 * behind haproxy.socket. Steps that are done or fail become rows of the journal.
 *
 * Thread: open and close from main; the rest from the controller's, and only while it leads.
 */
#ifndef TURNOUT_APP_HANDS_H
#define TURNOUT_APP_HANDS_H

#include "act/controller.h"
#include "act/provider.h"
#include "app/config.h"

struct hands;

struct hands_options { /* all of it outlives the hands */
    const struct config *config;
    const struct policy *policy;
    struct clock *clock;
    /* As in controller_seams. */
    MAY_BLOCK enum err_e (*journal_add)(void *data, const struct journal_entry *entry,
                                        int64_t *ret_id);
    void *data;
};

/* Asks nobody anything yet. ERR_CONFIG names the setting. */
MAY_BLOCK enum err_e hands_open(const struct hands_options *options, struct hands **ret_hands,
                                struct problem *ret_problem) MUST_CHECK;
MAY_BLOCK void hands_close(struct hands *hands); /* NULL: nothing */

/* For controller_seams: those nodes that were chosen to go are healthy no more (after sense); why
 * the number of nodes cannot be changed; the rest by name. */
void hands_mark(const struct hands *hands, struct sensed *sensed);
const char *hands_refuse(const struct hands *hands);
MAY_BLOCK void hands_follow(struct hands *hands, const struct control_state *state,
                            const struct decision *decision);
MAY_BLOCK enum err_e hands_act(struct hands *hands, const struct act_order *order,
                               struct act_report *ret_report);
void hands_halt(struct hands *hands);
MAY_BLOCK enum err_e hands_go_on(struct hands *hands, struct act_report *ret_report);

/* Opens what scaler.provider names. The environment that nodes are started in, with the settings
 * that were given as flags, lives in `arena`, as do paths. */
MAY_BLOCK enum err_e hands_open_provider(const struct config *config, const struct policy *policy,
                                         struct arena *arena, struct provider **ret_provider,
                                         struct problem *ret_problem) MUST_CHECK;

#endif
