/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of plan_read. Thread: any. */
#ifndef TURNOUT_OPTIMIZER_PLAN_PRIV_H
#define TURNOUT_OPTIMIZER_PLAN_PRIV_H

#include "optimizer/plan.h"

/* Marks the nodes of one statement with what may be concluded from their row counts. */
void plan_mark_flow(struct plan_node *root);

/* Says what `text` is when it is no JSON at all; `parse_detail` is the parser's opinion. */
enum err_e plan_refuse_text(struct slice text, const char *parse_detail,
                            struct problem *ret_problem);
/* The same for JSON of another shape. */
enum err_e plan_refuse_json(const struct json_t *document, struct problem *ret_problem);

#endif
