/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One key=value line per event on standard error (or another sink). error: wake someone; warn:
 * degraded but serving; info: a state changed. The same event is written at most ten times a
 * second; what was left out is counted in the next line as folded=N. Never a whole token, name,
 * address or secret. Thread: any. The sink is process-wide and set once, before threads start.
 */
#ifndef TURNOUT_BASE_LOG_H
#define TURNOUT_BASE_LOG_H

#include "base/clock.h"
#include "base/err.h"

enum log_level_e { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

typedef void (*log_sink_fn)(const char *line, size_t len, void *data); /* `line` ends in \n */

void log_set_level(enum log_level_e level); /* LOG_INFO until set; any thread */
void log_set_sink(log_sink_fn sink, void *data);

/* `event` is a literal, words joined by _ ; `format` gives further key=value pairs, "" for none.
 * Control characters in the outcome are replaced, so a value cannot forge a line. */
void log_event(enum log_level_e level, const char *event, const char *format, ...)
    PRINTF_LIKE(3, 4);

#endif
