/* SPDX-License-Identifier: Apache-2.0 */
/* The optimizer as the configuration wants it. Thread: main. */
#ifndef TURNOUT_APP_DATABASE_H
#define TURNOUT_APP_DATABASE_H

#include "app/config.h"
#include "optimizer/service.h"

/* Texts stay the configuration's. ERR_CONFIG when a value cannot be meant. */
enum err_e database_options(const struct config *config, struct db_options *ret_options,
                            struct problem *ret_problem) MUST_CHECK;

/* The optimizer of a node, started. `actor` outlives it. */
enum err_e database_start(const struct config *config, const char *actor,
                          struct db_service **ret_service,
                          struct problem *ret_problem) MUST_CHECK;

#endif
