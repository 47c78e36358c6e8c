/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Actions that another part of this node carries out on a thread of its own: the optimizer, and the
 * keeper of the cache. Nobody waits for them: whether one has ended is looked at each second, and
 * one that takes too long is left to end by itself. Until it did there is no second one.
 *
 * Thread: create from main; destroy too, once what carries errands out is gone; the rest the
 * controller's.
 */
#ifndef TURNOUT_APP_ERRANDS_H
#define TURNOUT_APP_ERRANDS_H

#include "act/controller.h"
#include "api/api.h"

struct errands;

struct errands *errands_create(const struct api_node *api_node); /* outlives it; NULL: no memory */
void errands_destroy(struct errands *errands);                   /* NULL: nothing */

/* Of OPTIMIZE_QUERIES and INVALIDATE_CACHE, as in controller_seams. */
const char *errands_refuse(const struct errands *errands, enum action_e action);
MAY_BLOCK enum err_e errands_begin(struct errands *errands, enum action_e action,
                                   struct act_report *ret_report);
MAY_BLOCK enum err_e errands_go_on(struct errands *errands, enum action_e action,
                                   struct act_report *ret_report);

#endif
