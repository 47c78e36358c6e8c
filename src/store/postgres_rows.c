/* SPDX-License-Identifier: Apache-2.0 */
/* Rows into structs: the order of columns is that of the *_COLUMNS in postgres_sql_priv.h. */
#include "store/postgres_priv.h"

/* A word that the database holds and the program does not know means damage: it reads as the
 * first. */
#define ROW_WORD(name, type)                                                                       \
    static type get_##name(struct pg_rows *rows) {                                                 \
        type value = (type)0;                                                                      \
        bool known = name##_parse(pg_get_text(rows), &value);                                      \
        (void)known;                                                                               \
        return value;                                                                              \
    }
ROW_WORD(reentry, enum reentry_e)
ROW_WORD(gate_status, enum gate_status_e)
ROW_WORD(participant_status, enum participant_status_e)
ROW_WORD(method, enum method_e)
ROW_WORD(direction, enum direction_e)
ROW_WORD(verdict, enum verdict_e)
ROW_WORD(reason, enum reason_e)
ROW_WORD(key_scope, enum key_scope_e)

bool pg_row_event(struct pg_rows *rows, struct arena *arena, struct event *ret_event) {
    ret_event->id = pg_get_int(rows);
    if (!pg_get_copy(rows, arena, &ret_event->code) ||
        !pg_get_copy(rows, arena, &ret_event->name) ||
        !pg_get_copy(rows, arena, &ret_event->timezone)) {
        return false;
    }
    ret_event->starts_at_ms = pg_get_time(rows);
    ret_event->ends_at_ms = pg_get_time(rows);
    ret_event->capacity = pg_get_int_or(rows, CAPACITY_NONE);
    ret_event->reentry = get_reentry(rows);
    return true;
}

bool pg_row_gate(struct pg_rows *rows, struct arena *arena, struct gate *ret_gate) {
    ret_gate->id = pg_get_int(rows);
    if (!pg_get_copy(rows, arena, &ret_gate->code) || !pg_get_copy(rows, arena, &ret_gate->name)) {
        return false;
    }
    ret_gate->status = get_gate_status(rows);
    return true;
}

void pg_see_participant(struct pg_rows *rows, struct participant *ret_person) {
    ret_person->id = pg_get_int(rows);
    ret_person->token = pg_get_text(rows);
    ret_person->name = pg_get_text(rows);
    ret_person->email = pg_get_text(rows);
    ret_person->status = get_participant_status(rows);
    ret_person->valid_from_ms = pg_get_time(rows);
    ret_person->valid_until_ms = pg_get_time(rows);
    ret_person->gates = pg_get_text(rows);
    ret_person->attention = pg_get_text(rows);
}

void pg_see_person(struct pg_rows *rows, struct participant *ret_person) {
    ret_person->id = pg_get_int(rows);
    ret_person->name = pg_get_text(rows);
    ret_person->status = get_participant_status(rows);
    ret_person->valid_from_ms = pg_get_time(rows);
    ret_person->valid_until_ms = pg_get_time(rows);
    ret_person->gates = pg_get_text(rows);
    ret_person->attention = pg_get_text(rows);
}

static bool keep(struct arena *arena, struct slice *text) {
    if (text->at == NULL) {
        return true;
    }
    *text = arena_copy(arena, *text);
    return text->at != NULL;
}

bool pg_row_participant(struct pg_rows *rows, struct arena *arena,
                        struct participant *ret_person) {
    pg_see_participant(rows, ret_person);
    return keep(arena, &ret_person->token) && keep(arena, &ret_person->name) &&
           keep(arena, &ret_person->email) && keep(arena, &ret_person->gates) &&
           keep(arena, &ret_person->attention);
}

void pg_see_standing(struct pg_rows *rows, struct standing *ret_standing) {
    ret_standing->admissions = pg_get_int(rows);
    ret_standing->inside = pg_get_bool(rows);
    ret_standing->last_at_ms = pg_get_time(rows);
    ret_standing->last_id = pg_get_int(rows);
    ret_standing->last_gate = pg_get_int(rows);
    ret_standing->first_at_ms = pg_get_time(rows);
    ret_standing->first_gate = pg_get_int(rows);
}

bool pg_row_record(struct pg_rows *rows, struct arena *arena,
                   struct attendance_record *ret_record) {
    ret_record->record_id = pg_get_int(rows);
    ret_record->participant_id = pg_get_int(rows);
    if (!pg_get_copy(rows, arena, &ret_record->gate)) {
        return false;
    }
    ret_record->method = get_method(rows);
    ret_record->direction = get_direction(rows);
    ret_record->verdict = get_verdict(rows);
    ret_record->reason = get_reason(rows);
    ret_record->overrode = get_reason(rows);
    ret_record->forced = ret_record->overrode != REASON_NONE;
    ret_record->annulled_at_ms = pg_get_time(rows);
    ret_record->scanned_at_ms = pg_get_time(rows);
    ret_record->recorded_at_ms = pg_get_time(rows);
    return true;
}

bool pg_row_key(struct pg_rows *rows, struct arena *arena, struct api_key *ret_key) {
    *ret_key = (struct api_key){.revoked_at_ms = TIME_NONE};
    if (!pg_get_copy(rows, arena, &ret_key->id) || !pg_get_copy(rows, arena, &ret_key->name)) {
        return false;
    }
    ret_key->scope = get_key_scope(rows);
    if (!pg_get_copy(rows, arena, &ret_key->event)) {
        return false;
    }
    struct slice hash = pg_get_text(rows);
    if (hash.len == KEY_HASH_SIZE) {
        memcpy(ret_key->hash, hash.at, hash.len);
    }
    ret_key->created_at_ms = pg_get_time(rows);
    ret_key->revoked_at_ms = pg_get_time(rows);
    return true;
}
