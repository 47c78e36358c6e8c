/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between config.c (where values come from) and config_value.c (what a value may be).
 * Thread: main.
 */
#ifndef TURNOUT_APP_CONFIG_PRIV_H
#define TURNOUT_APP_CONFIG_PRIV_H

#include "app/config.h"

/* Parses `text`, checks its range and puts it into its member. False when it is not a value of this
 * setting: then `ret_why` (may be empty) says what is wrong beyond the row's range. */
bool config_put(struct config *config, enum config_key_e key, struct slice text,
                const char **ret_why);

/* Where the value is. */
void *config_member(struct config *config, enum config_key_e key);

/* "expected a size from 64K to 1G, such as 32M" */
void config_expected(enum config_key_e key, struct buf *to);

#endif
