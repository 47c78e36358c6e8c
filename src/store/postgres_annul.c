/* SPDX-License-Identifier: Apache-2.0 */
/* Annulments: the record stays, and everything that counted it counts it no more. */
#include "store/postgres_priv.h"

static enum err_e check_annullable(struct store_op *op) {
    const struct attendance_record *record = &op->annul.record;
    if (record->verdict == VERDICT_REFUSED) {
        return problem_set(&op->problem, ERR_NOT_ANNULLABLE, "", "the scan was refused");
    }
    if (record->annulled_at_ms != TIME_NONE) {
        return problem_set(&op->problem, ERR_NOT_ANNULLABLE, "", "it was annulled before");
    }
    return ERR_OK;
}

/* Takes the event's lock, so that nobody decides on the standing meanwhile. */
MAY_BLOCK static enum err_e load_record(struct pg_writer *w, struct store_op *op,
                                        int64_t *ret_event, int64_t *ret_gate) {
    struct pg_args code, record;
    pg_args_init(&code);
    pg_arg_text(&code, op->event);
    pg_args_init(&record);
    pg_arg_text(&record, op->event);
    pg_arg_int(&record, op->annul.record_id);
    size_t lock = pg_put(&w->conn, PG_SQL_EVENT_LOCK, &code);
    size_t found = pg_put(&w->conn, PG_SQL_RECORD_BY_ID, &record);
    TRY(pg_run(&w->conn));
    struct pg_rows rows = pg_rows_of(&w->conn, lock);
    if (!pg_next(&rows)) {
        return ERR_UNKNOWN_EVENT;
    }
    *ret_event = pg_get_int(&rows);
    rows = pg_rows_of(&w->conn, found);
    if (!pg_next(&rows)) {
        return ERR_UNKNOWN_RECORD;
    }
    if (!pg_row_record(&rows, &op->arena, &op->annul.record)) {
        return ERR_NO_MEMORY;
    }
    *ret_gate = pg_get_int(&rows);
    return ERR_OK;
}

/* The standing as the participant's records tell it: work in the size of one person's history. */
static void standing_from_records(struct pg_rows rows, struct standing *ret_standing) {
    *ret_standing = (struct standing){.admissions = 0};
    while (pg_next(&rows)) {
        int64_t id = pg_get_int(&rows);
        int64_t at_ms = pg_get_time(&rows);
        struct ruling ruling = {.verdict = VERDICT_REFUSED};
        bool known = verdict_parse(pg_get_text(&rows), &ruling.verdict);
        (void)known;
        standing_add(ret_standing, &ruling, at_ms, id, pg_get_int(&rows));
    }
}

/* Marks the record and looks at what stands without it. */
MAY_BLOCK static enum err_e mark(struct pg_writer *w, struct attendance_record *record,
                                 struct standing *ret_before, struct standing *ret_after) {
    struct pg_args annul, person;
    record->annulled_at_ms = w->now_ms;
    pg_args_init(&annul);
    pg_arg_int(&annul, record->record_id);
    pg_arg_time(&annul, record->scanned_at_ms);
    pg_arg_time(&annul, w->now_ms);
    pg_args_init(&person);
    pg_arg_int(&person, record->participant_id);
    pg_put(&w->conn, PG_SQL_RECORD_ANNUL, &annul);
    size_t before = pg_put(&w->conn, PG_SQL_STANDING_GET, &person);
    size_t records = pg_put(&w->conn, PG_SQL_STANDING_OF, &person);
    TRY(pg_run(&w->conn));
    struct pg_rows rows = pg_rows_of(&w->conn, before);
    *ret_before = (struct standing){.admissions = 0};
    if (pg_next(&rows)) {
        pg_see_standing(&rows, ret_before);
    }
    standing_from_records(pg_rows_of(&w->conn, records), ret_after);
    return ERR_OK;
}

static enum err_e put_standing(struct pg_writer *w, int64_t participant,
                               const struct standing *before, const struct standing *after) {
    pg_clear_arrays(w);
    if (after->last_id != 0) {
        struct pg_array *rows = before->last_id != 0 ? &w->ledger : &w->newcomers;
        pg_push_standing(rows, participant, after);
        return pg_put_standing(w) ? ERR_OK : ERR_NO_MEMORY;
    }
    struct pg_args args;
    pg_args_init(&args);
    pg_arg_int(&args, participant);
    pg_put(&w->conn, PG_SQL_LEDGER_DELETE, &args);
    return ERR_OK;
}

static enum err_e put_event(struct pg_writer *w, int64_t event, const struct standing *before,
                            const struct standing *after) {
    const int64_t changes[PG_EVENT_ARRAYS] = {
        event,
        before->admissions > 0 && after->admissions == 0 ? -1 : 0,
        (int)after->inside - (int)before->inside,
    };
    struct pg_args args;
    pg_args_init(&args);
    for (size_t i = 0; i < PG_EVENT_ARRAYS; i++) {
        pg_push_int(&w->events[i], changes[i]);
        if (!pg_arg_array(&args, &w->events[i])) {
            return ERR_NO_MEMORY;
        }
    }
    pg_put(&w->conn, PG_SQL_EVENT_STATS_ADD, &args);
    return ERR_OK;
}

static int64_t minute_of(int64_t ms) {
    return ms / 60000 - (ms % 60000 < 0);
}

static void put_gate(struct pg_writer *w, int64_t event, int64_t gate,
                     const struct attendance_record *record) {
    bool admitted = record->verdict == VERDICT_ADMITTED;
    struct pg_args stats, minute, second;
    pg_args_init(&stats);
    pg_arg_int(&stats, gate);
    pg_arg_int(&stats, admitted);
    pg_arg_int(&stats, !admitted);
    pg_put(&w->conn, PG_SQL_GATE_STATS_TAKE, &stats);
    pg_args_init(&minute);
    pg_arg_int(&minute, event);
    pg_arg_int(&minute, minute_of(record->scanned_at_ms));
    pg_arg_int(&minute, gate);
    pg_arg_int(&minute, admitted);
    pg_arg_int(&minute, !admitted);
    pg_put(&w->conn, PG_SQL_GATE_MINUTE_TAKE, &minute);
    if (admitted) {
        pg_args_init(&second);
        pg_arg_int(&second, gate);
        pg_arg_int(&second, record->recorded_at_ms / 1000);
        pg_arg_int(&second, 1);
        pg_put(&w->conn, PG_SQL_GATE_SECOND_TAKE, &second);
    }
}

MAY_BLOCK enum err_e pg_annul(struct pg_writer *w, void *data) {
    struct store_op *op = data;
    int64_t event, gate;
    struct standing before, after;
    TRY(load_record(w, op, &event, &gate));
    TRY(check_annullable(op));
    TRY(mark(w, &op->annul.record, &before, &after));
    TRY(put_standing(w, op->annul.record.participant_id, &before, &after));
    TRY(put_event(w, event, &before, &after));
    put_gate(w, event, gate, &op->annul.record);
    return ERR_OK;
}
