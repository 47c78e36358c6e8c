/* SPDX-License-Identifier: Apache-2.0 */
/* Between policy.c (which setting), policy_value.c (what its value may be) and those who read
 * values of the same syntax. Thread: any. */
#ifndef TURNOUT_CONTROL_POLICY_PRIV_H
#define TURNOUT_CONTROL_POLICY_PRIV_H

#include "control/policy.h"

/* Parses `text` as this row says, checks the range and stores it in `object` at the row's offset;
 * false, and nothing stored, when it is no such value. */
bool policy_put(const struct policy_row *row, struct slice text, void *object);

/* 250ms, 10s, 5m, 1h, or 0. False when `text` is no duration. */
bool policy_duration(struct slice text, int64_t *ret_ms);

/* "expected a whole number from 1 to 1000, such as 2" */
void policy_expected(const struct policy_row *row, struct buf *to);

#endif
