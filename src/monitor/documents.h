/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monitor's JSON documents, written from plain figures. Pure.
 */
#ifndef TURNOUT_MONITOR_DOCUMENTS_H
#define TURNOUT_MONITOR_DOCUMENTS_H

#include "base/json.h"
#include "monitor/history.h"
#include "monitor/suggest.h"
#include "monitor/view.h"

void performance_write(struct json_writer *w, const struct view *view);
void kpi_write(struct json_writer *w, const struct view *view);
void suggestions_write(struct json_writer *w, const struct view *view,
                       enum suggestion_lang_e lang);
void history_write(struct json_writer *w, const struct history *history); /* oldest first */
/* The same by seconds: begin, a row for each, oldest first, end. */
void seconds_write_begin(struct json_writer *w);
void seconds_write_row(struct json_writer *w, const struct view_second *second);
void seconds_write_end(struct json_writer *w);

#endif
