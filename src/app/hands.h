/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The controller's hands on nodes, from settings: the provider of scaler.provider, and the HAProxy
 * behind haproxy.socket. Thread: open and close from main; the rest from the controller's.
 */
#ifndef TURNOUT_APP_HANDS_H
#define TURNOUT_APP_HANDS_H

#include "act/controller.h"
#include "act/provider.h"
#include "app/config.h"

/* Opens what scaler.provider names, without asking it anything. The environment that nodes are
 * started in, with the settings that were given as flags, lives in `arena`, as do paths. */
MAY_BLOCK enum err_e hands_open_provider(const struct config *config, const struct policy *policy,
                                         struct arena *arena, struct provider **ret_provider,
                                         struct problem *ret_problem) MUST_CHECK;

#endif
