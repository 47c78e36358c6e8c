/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RESTART_SERVICE: tells one node after the other, by an order in the store, to let a new process
 * take over, and watches it come back. Whom, in which order and until when is control/restart.h's.
 *
 * Thread: create and destroy from main, restarter_hand_over from any, the rest the controller's.
 */
#ifndef TURNOUT_APP_RESTARTER_H
#define TURNOUT_APP_RESTARTER_H

#include "act/controller.h"
#include "control/restart.h"
#include "store/store.h"

struct restarter;

struct restarter_options { /* all of it outlives the restarter */
    struct clock *clock;
    struct store *store;
    struct order_book *orders;
    const char *node; /* this one's id */
    struct restart_pace pace;
};

struct restarter *restarter_create(const struct restarter_options *options); /* NULL: no memory */
void restarter_destroy(struct restarter *restarter);                         /* NULL: nothing */

/* What is seen at this look. */
void restarter_see(struct restarter *restarter, struct control_state *state);
/* Another process of this node serves (true), or this one has to go on. */
void restarter_hand_over(struct restarter *restarter, bool is_handed_over);

/* As in controller_seams. The reason lives until the next call. */
const char *restarter_refuse(struct restarter *restarter);
MAY_BLOCK enum err_e restarter_act(struct restarter *restarter, const struct act_order *order,
                                   struct act_report *ret_report);
MAY_BLOCK enum err_e restarter_go_on(struct restarter *restarter, const struct act_order *order,
                                     struct act_report *ret_report);
MAY_BLOCK void restarter_halt(struct restarter *restarter);
bool restarter_part(struct restarter *restarter, char ret_detail[ACT_DETAIL_SIZE]);

#endif
