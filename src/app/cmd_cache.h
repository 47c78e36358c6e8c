/* SPDX-License-Identifier: Apache-2.0 */
/* The forms of turnout cache that ask a running node; cmd_cache.c has simulate. Thread: main. */
#ifndef TURNOUT_APP_CMD_CACHE_H
#define TURNOUT_APP_CMD_CACHE_H

#include "app/flags.h"

extern const struct command_form cache_stats_form, cache_preload_form, cache_warm_form,
    cache_invalidate_form;

/* Each returns the exit code; argv[0] is the form's own name. */
int cache_stats(int argc, char *const *argv);
int cache_preload(int argc, char *const *argv);
int cache_warm(int argc, char *const *argv);
int cache_invalidate(int argc, char *const *argv);

#endif
