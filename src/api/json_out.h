/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API's objects as JSON, and the errors as RFC 9457 asks. Each writes one value.
 * Pure. Thread: any.
 */
#ifndef TURNOUT_API_JSON_OUT_H
#define TURNOUT_API_JSON_OUT_H

#include "base/json.h"
#include "store/store.h"

void event_write(struct json_writer *w, const struct event *event);
void gate_write(struct json_writer *w, const struct gate *gate);
void participant_write(struct json_writer *w, const struct participant *participant);
void record_write(struct json_writer *w, const struct attendance_record *record);
void stats_write(struct json_writer *w, const struct event_stats *stats);
void timeline_write(struct json_writer *w, int64_t step_s, const struct timeline_point *points,
                    size_t len);

/* The members of a verdict, inside an object that the caller opened: a line of a batch begins with
 * its index. `result->err` is ERR_OK. */
void verdict_write_members(struct json_writer *w, const struct scan_result *result);
/* {"code","detail","field"} of one line of a batch. */
void line_error_write(struct json_writer *w, enum err_e err, const struct problem *problem);

/* application/problem+json. `problem` may be NULL. */
void problem_write(struct json_writer *w, enum err_e err, const struct problem *problem,
                   struct slice request_id);

#endif
