/* SPDX-License-Identifier: Apache-2.0 */
/* What users of libcurl share. Thread: that of the handle. */
#ifndef TURNOUT_ACT_WEB_PRIV_H
#define TURNOUT_ACT_WEB_PRIV_H

#include <stdatomic.h>

/* A CURL handle's transfer ends soon after `cancel` is set. NULL: nothing happens. */
void web_watch_cancel(void *curl, const atomic_bool *cancel);

#endif
