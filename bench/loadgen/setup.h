/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the event of a load: itself, its gates, its people. Thread: one; blocks. */
#ifndef LOADGEN_SETUP_H
#define LOADGEN_SETUP_H

#include "http.h"
#include "run.h"

/* False, with the reason on standard error. */
bool setup_event(const struct run *run, struct http *http);

#endif
