/* SPDX-License-Identifier: Apache-2.0 */
/* Rows into structs: the order of columns is that of SQL_TABLE. */
#include "store/sqlite_priv.h"

/* A word that the file holds and the program does not know means damage: it reads as the first. */
#define ROW_WORD(name, type)                                                                       \
    static type row_##name(struct sql_run *run) {                                                  \
        type value = (type)0;                                                                      \
        bool known = name##_parse(sql_get_text(run), &value);                                      \
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

bool row_event(struct sql_run *run, struct arena *arena, struct event *ret_event) {
    ret_event->id = sql_get_int(run);
    if (!sql_get_copy(run, arena, &ret_event->code) ||
        !sql_get_copy(run, arena, &ret_event->name) ||
        !sql_get_copy(run, arena, &ret_event->timezone)) {
        return false;
    }
    ret_event->starts_at_ms = sql_get_int_or(run, TIME_NONE);
    ret_event->ends_at_ms = sql_get_int_or(run, TIME_NONE);
    ret_event->capacity = sql_get_int_or(run, CAPACITY_NONE);
    ret_event->reentry = row_reentry(run);
    return true;
}

bool row_gate(struct sql_run *run, struct arena *arena, struct gate *ret_gate) {
    ret_gate->id = sql_get_int(run);
    if (!sql_get_copy(run, arena, &ret_gate->code) || !sql_get_copy(run, arena, &ret_gate->name)) {
        return false;
    }
    ret_gate->status = row_gate_status(run);
    return true;
}

bool row_person(struct sql_run *run, struct arena *arena, struct participant *ret_person) {
    ret_person->id = sql_get_int(run);
    if (!sql_get_copy(run, arena, &ret_person->name)) {
        return false;
    }
    ret_person->status = row_participant_status(run);
    ret_person->valid_from_ms = sql_get_int_or(run, TIME_NONE);
    ret_person->valid_until_ms = sql_get_int_or(run, TIME_NONE);
    return sql_get_copy(run, arena, &ret_person->gates) &&
           sql_get_copy(run, arena, &ret_person->attention);
}

bool row_participant(struct sql_run *run, struct arena *arena, struct participant *ret_person) {
    ret_person->id = sql_get_int(run);
    if (!sql_get_copy(run, arena, &ret_person->token) ||
        !sql_get_copy(run, arena, &ret_person->name) ||
        !sql_get_copy(run, arena, &ret_person->email)) {
        return false;
    }
    ret_person->status = row_participant_status(run);
    ret_person->valid_from_ms = sql_get_int_or(run, TIME_NONE);
    ret_person->valid_until_ms = sql_get_int_or(run, TIME_NONE);
    return sql_get_copy(run, arena, &ret_person->gates) &&
           sql_get_copy(run, arena, &ret_person->attention);
}

bool row_record(struct sql_run *run, struct arena *arena, struct attendance_record *ret_record) {
    ret_record->record_id = sql_get_int(run);
    ret_record->participant_id = sql_get_int(run);
    if (!sql_get_copy(run, arena, &ret_record->gate)) {
        return false;
    }
    ret_record->method = row_method(run);
    ret_record->direction = row_direction(run);
    ret_record->verdict = row_verdict(run);
    ret_record->reason = row_reason(run);
    ret_record->overrode = row_reason(run);
    ret_record->forced = ret_record->overrode != REASON_NONE;
    ret_record->annulled_at_ms = sql_get_int_or(run, TIME_NONE);
    ret_record->scanned_at_ms = sql_get_int(run);
    ret_record->recorded_at_ms = sql_get_int(run);
    return true;
}

bool row_key(struct sql_run *run, struct arena *arena, struct api_key *ret_key) {
    *ret_key = (struct api_key){.revoked_at_ms = TIME_NONE};
    if (!sql_get_copy(run, arena, &ret_key->id) || !sql_get_copy(run, arena, &ret_key->name)) {
        return false;
    }
    ret_key->scope = row_key_scope(run);
    if (!sql_get_copy(run, arena, &ret_key->event)) {
        return false;
    }
    int column = run->column++;
    size_t len = (size_t)sqlite3_column_bytes(run->stmt, column);
    if (len == KEY_HASH_SIZE) {
        memcpy(ret_key->hash, sqlite3_column_blob(run->stmt, column), len);
    }
    ret_key->created_at_ms = sql_get_int(run);
    ret_key->revoked_at_ms = sql_get_int_or(run, TIME_NONE);
    return true;
}

MAY_BLOCK enum err_e find_event(struct sqlite_conn *conn, struct slice code, int64_t *ret_id) {
    bool row;
    struct sql_run run = sql_begin(conn, SQL_EVENT_BY_CODE);
    sql_text(&run, code);
    TRY(sql_step(&run, &row));
    if (!row) {
        return ERR_UNKNOWN_EVENT;
    }
    *ret_id = sql_get_int(&run);
    sql_end(&run);
    return ERR_OK;
}
