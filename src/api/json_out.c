/* SPDX-License-Identifier: Apache-2.0 */
/* Domain structs and errors as JSON. */
#include "api/json_out.h"

#include <stdio.h>

/* Text that is null when there is none. */
static void put_optional(struct json_writer *w, const char *key, struct slice text) {
    if (text.len == 0) {
        json_put_null(w, key);
    } else {
        json_put_text(w, key, text);
    }
}

static void put_id(struct json_writer *w, const char *key, int64_t id) {
    json_key(w, key);
    json_add_int_text(w, id);
}

void event_write(struct json_writer *w, const struct event *event) {
    json_begin_object(w);
    json_put_text(w, "code", event->code);
    json_put_text(w, "name", event->name);
    json_put_text(w, "timezone", event->timezone);
    json_put_time(w, "starts_at", event->starts_at_ms);
    json_put_time(w, "ends_at", event->ends_at_ms);
    if (event->capacity == CAPACITY_NONE) {
        json_put_null(w, "capacity");
    } else {
        json_put_int(w, "capacity", event->capacity);
    }
    json_put_cstr(w, "reentry", reentry_text(event->reentry));
    json_end_object(w);
}

void gate_write(struct json_writer *w, const struct gate *gate) {
    json_begin_object(w);
    json_put_text(w, "code", gate->code);
    json_put_text(w, "name", gate->name);
    json_put_cstr(w, "status", gate_status_text(gate->status));
    json_end_object(w);
}

void participant_write(struct json_writer *w, const struct participant *participant) {
    json_begin_object(w);
    put_id(w, "id", participant->id);
    json_put_text(w, "token", participant->token);
    json_put_text(w, "name", participant->name);
    put_optional(w, "email", participant->email);
    json_put_cstr(w, "status", participant_status_text(participant->status));
    json_put_time(w, "valid_from", participant->valid_from_ms);
    json_put_time(w, "valid_until", participant->valid_until_ms);
    json_key(w, "gates");
    json_begin_array(w);
    struct slice gates = participant->gates, gate;
    while (slice_next(&gates, ' ', &gate)) {
        json_add_text(w, gate);
    }
    json_end_array(w);
    put_optional(w, "attention", participant->attention);
    json_end_object(w);
}

static void put_reason(struct json_writer *w, const char *key, enum reason_e reason) {
    json_put_cstr(w, key, reason == REASON_NONE ? NULL : reason_text(reason));
}

void record_write(struct json_writer *w, const struct attendance_record *record) {
    json_begin_object(w);
    put_id(w, "record_id", record->record_id);
    if (record->participant_id == 0) {
        json_put_null(w, "participant");
    } else {
        put_id(w, "participant", record->participant_id);
    }
    json_put_text(w, "gate", record->gate);
    json_put_cstr(w, "method", method_text(record->method));
    json_put_cstr(w, "direction", direction_text(record->direction));
    json_put_cstr(w, "verdict", verdict_text(record->verdict));
    put_reason(w, "reason", record->reason);
    json_put_bool(w, "forced", record->forced);
    if (record->overrode != REASON_NONE) {
        put_reason(w, "overrode", record->overrode);
    }
    json_put_time(w, "annulled_at", record->annulled_at_ms);
    json_put_time(w, "scanned_at", record->scanned_at_ms);
    json_put_time(w, "recorded_at", record->recorded_at_ms);
    json_end_object(w);
}

static void gate_stats_write(struct json_writer *w, const struct gate_stats *gate) {
    json_begin_object(w);
    json_put_text(w, "gate", gate->gate);
    json_put_int(w, "admitted", gate->admitted);
    json_put_int(w, "exited", gate->exited);
    json_put_int(w, "refused", gate->refused);
    json_put_int(w, "last_minute", gate->last_minute);
    json_end_object(w);
}

void stats_write(struct json_writer *w, const struct event_stats *stats) {
    json_begin_object(w);
    json_put_int(w, "participants", stats->participants);
    json_put_int(w, "admitted", stats->admitted);
    json_put_int(w, "inside", stats->inside);
    json_put_int(w, "scans", stats->scans);
    json_put_int(w, "refused", stats->refused);
    json_key(w, "gates");
    json_begin_array(w);
    for (size_t i = 0; i < stats->gates_len; i++) {
        gate_stats_write(w, &stats->gates[i]);
    }
    json_end_array(w);
    json_key(w, "methods");
    json_begin_object(w);
    for (int method = 0; method < METHOD_COUNT; method++) {
        json_put_int(w, method_text((enum method_e)method), stats->methods[method]);
    }
    json_end_object(w);
    json_put_time(w, "as_of", stats->as_of_ms);
    json_end_object(w);
}

void timeline_write(struct json_writer *w, int64_t step_s, const struct timeline_point *points,
                    size_t len) {
    json_begin_object(w);
    json_put_int(w, "step", step_s);
    json_key(w, "items");
    json_begin_array(w);
    for (size_t i = 0; i < len; i++) {
        json_begin_object(w);
        json_put_time(w, "at", points[i].at_ms);
        json_put_text(w, "gate", points[i].gate);
        json_put_int(w, "admitted", points[i].admitted);
        json_put_int(w, "exited", points[i].exited);
        json_put_int(w, "refused", points[i].refused);
        json_end_object(w);
    }
    json_end_array(w);
    json_end_object(w);
}

static void put_person(struct json_writer *w, const struct scan_result *result) {
    if (!result->has_participant) {
        json_put_null(w, "participant");
        return;
    }
    json_key(w, "participant");
    json_begin_object(w);
    put_id(w, "id", result->participant.id);
    json_put_text(w, "name", result->participant.name);
    json_put_cstr(w, "status", participant_status_text(result->participant.status));
    put_optional(w, "attention", result->participant.attention);
    json_end_object(w);
}

static void put_first(struct json_writer *w, const struct scan_result *result) {
    if (!result->has_first) {
        json_put_null(w, "first");
        return;
    }
    json_key(w, "first");
    json_begin_object(w);
    json_put_time(w, "at", result->first_at_ms);
    json_put_text(w, "gate", result->first_gate);
    json_end_object(w);
}

void verdict_write_members(struct json_writer *w, const struct scan_result *result) {
    json_put_cstr(w, "verdict", verdict_text(result->verdict));
    put_reason(w, "reason", result->reason);
    put_id(w, "record_id", result->record_id);
    json_put_bool(w, "replayed", result->replayed);
    json_put_bool(w, "forced", result->forced);
    if (result->forced) {
        put_reason(w, "overrode", result->overrode);
    }
    if (result->annulled) {
        json_put_bool(w, "annulled", true);
    }
    put_person(w, result);
    put_first(w, result);
    json_put_int(w, "inside", result->inside);
    json_put_time(w, "scanned_at", result->scanned_at_ms);
    json_put_time(w, "decided_at", result->decided_at_ms);
}

static void put_text_if_any(struct json_writer *w, const char *key, const char *text) {
    if (text[0] != '\0') {
        json_put_cstr(w, key, text);
    }
}

/* What is said of it; else what can be done about it. A detail cut within a character is not
 * shown. */
static const char *detail_of(enum err_e err, const struct problem *problem) {
    bool said = problem != NULL && problem->detail[0] != '\0' &&
                slice_is_utf8(slice_of(problem->detail));
    return said ? problem->detail : err_remedy(err);
}

static void put_field_if_any(struct json_writer *w, const struct problem *problem) {
    if (problem != NULL && slice_is_utf8(slice_of(problem->field))) {
        put_text_if_any(w, "field", problem->field);
    }
}

void line_error_write(struct json_writer *w, enum err_e err, const struct problem *problem) {
    json_begin_object(w);
    json_put_cstr(w, "code", err_code(err));
    json_put_cstr(w, "detail", detail_of(err, problem));
    put_field_if_any(w, problem);
    json_end_object(w);
}

void problem_write(struct json_writer *w, enum err_e err, const struct problem *problem,
                   struct slice request_id) {
    json_begin_object(w);
    char type[64];
    snprintf(type, sizeof type, "urn:turnout:error:%s", err_code(err));
    json_put_cstr(w, "type", type);
    char title[ERR_TITLE_SIZE];
    err_title(err, title);
    json_put_cstr(w, "title", title);
    json_put_int(w, "status", err_status(err));
    json_put_cstr(w, "detail", detail_of(err, problem));
    json_put_cstr(w, "code", err_code(err));
    put_field_if_any(w, problem);
    json_put_cstr(w, "remedy", err_remedy(err));
    json_put_text(w, "request_id", request_id);
    json_end_object(w);
}
