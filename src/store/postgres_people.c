/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Participants: writing one, erasing, finding. Whoever changes an event's people holds the lock of
 * its events row, so a token cannot become active twice; scans are not kept waiting by that lock.
 * The column that search reads follows name and address by itself.
 */
#include "store/postgres_priv.h"

#include "store/search_words.h"

MAY_BLOCK enum err_e pg_lock_people(struct pg_writer *w, struct slice code, int64_t *ret_id) {
    struct pg_args args;
    pg_args_init(&args);
    pg_arg_text(&args, code);
    size_t place = pg_put(&w->conn, PG_SQL_EVENT_ROW_LOCK, &args);
    TRY(pg_run(&w->conn));
    struct pg_rows rows = pg_rows_of(&w->conn, place);
    if (!pg_next(&rows)) {
        return ERR_UNKNOWN_EVENT;
    }
    *ret_id = pg_get_int(&rows);
    return ERR_OK;
}

/* ── checks that need the database ── */

enum err_e pg_unknown_gate(struct slice code, struct problem *problem) {
    return problem_set(problem, ERR_INVALID_FIELD, "gates", "the event has no gate \"%.*s\"",
                       SLICE_ARG(code));
}

enum err_e pg_check_validity(const struct participant *person, struct problem *problem) {
    if (person->valid_from_ms != TIME_NONE && person->valid_until_ms != TIME_NONE &&
        person->valid_until_ms < person->valid_from_ms) {
        return problem_set(problem, ERR_INVALID_FIELD, "valid_until",
                           "it lies before valid_from");
    }
    return ERR_OK;
}

static bool has_code(struct pg_rows rows, struct slice code) {
    while (pg_next(&rows)) {
        if (slice_eq(pg_get_text(&rows), code)) {
            return true;
        }
    }
    return false;
}

static enum err_e check_gates(struct pg_rows rows, struct slice gates, struct problem *problem) {
    struct slice code;
    while (slice_next(&gates, ' ', &code)) {
        if (!has_code(rows, code)) {
            return pg_unknown_gate(code, problem);
        }
    }
    return ERR_OK;
}

/* A token is unique among the active participants of its event. */
static enum err_e check_token(struct pg_rows rows, const struct participant *person,
                              struct problem *problem) {
    bool taken = pg_next(&rows) && pg_get_int(&rows) != person->id;
    if (taken && person->status == PARTICIPANT_ACTIVE) {
        return problem_set(problem, ERR_CONFLICT, "token",
                           "an active participant with this token exists");
    }
    return ERR_OK;
}

MAY_BLOCK static enum err_e check_person(struct pg_writer *w, struct store_op *op,
                                         int64_t event_id, const struct participant *person) {
    struct pg_args event, token;
    pg_args_init(&event);
    pg_arg_text(&event, op->event);
    pg_args_init(&token);
    pg_arg_text_or_null(&token, person->token);
    pg_arg_int(&token, event_id);
    size_t gates = pg_put(&w->conn, PG_SQL_GATE_CODES, &event);
    size_t active = pg_put(&w->conn, PG_SQL_PERSON_ACTIVE, &token);
    TRY(pg_run(&w->conn));
    TRY(check_gates(pg_rows_of(&w->conn, gates), person->gates, &op->problem));
    TRY(pg_check_validity(person, &op->problem));
    return check_token(pg_rows_of(&w->conn, active), person, &op->problem);
}

/* ── writing one ── */

static void add_person(struct pg_args *args, const struct participant *person) {
    pg_arg_text_or_null(args, person->token);
    pg_arg_text(args, person->name);
    pg_arg_text(args, person->email);
    pg_arg_word(args, participant_status_text(person->status));
    pg_arg_time(args, person->valid_from_ms);
    pg_arg_time(args, person->valid_until_ms);
    pg_arg_text(args, person->gates);
    pg_arg_text_or_null(args, person->attention);
}

/* Counts people in or out; the event's counts are locked by scans, so this comes last. */
static void put_count(struct pg_writer *w, int64_t event_id, int64_t change) {
    struct pg_args args;
    pg_args_init(&args);
    pg_arg_int(&args, event_id);
    pg_arg_int(&args, change);
    pg_put(&w->conn, PG_SQL_PEOPLE_COUNT, &args);
}

void pg_patch_person(struct participant *stored, const struct participant *values,
                     unsigned fields) {
    stored->token = fields & PARTICIPANT_TOKEN ? values->token : stored->token;
    stored->name = fields & PARTICIPANT_NAME ? values->name : stored->name;
    stored->email = fields & PARTICIPANT_EMAIL ? values->email : stored->email;
    stored->status = fields & PARTICIPANT_STATUS ? values->status : stored->status;
    stored->valid_from_ms =
        fields & PARTICIPANT_VALID_FROM ? values->valid_from_ms : stored->valid_from_ms;
    stored->valid_until_ms =
        fields & PARTICIPANT_VALID_UNTIL ? values->valid_until_ms : stored->valid_until_ms;
    stored->gates = fields & PARTICIPANT_GATES ? values->gates : stored->gates;
    stored->attention = fields & PARTICIPANT_ATTENTION ? values->attention : stored->attention;
}

MAY_BLOCK enum err_e pg_create_participant(struct pg_writer *w, void *data) {
    struct store_op *op = data;
    struct participant *person = &op->participant_write.values;
    int64_t event_id;
    struct pg_args args;
    TRY(pg_lock_people(w, op->event, &event_id));
    person->id = 0;
    TRY(check_person(w, op, event_id, person));
    pg_args_init(&args);
    pg_arg_int(&args, event_id);
    add_person(&args, person);
    pg_arg_time(&args, w->now_ms);
    size_t place = pg_put(&w->conn, PG_SQL_PERSON_INSERT, &args);
    TRY(pg_run(&w->conn));
    struct pg_rows rows = pg_rows_of(&w->conn, place);
    person->id = pg_next(&rows) ? pg_get_int(&rows) : 0;
    put_count(w, event_id, 1);
    return ERR_OK;
}

/* The event is locked, then the person read: both are put before the one run. */
MAY_BLOCK static enum err_e load_locked(struct pg_writer *w, struct store_op *op,
                                        int64_t *ret_event, struct participant *ret_person) {
    struct pg_args args;
    TRY(pg_lock_people(w, op->event, ret_event));
    pg_args_init(&args);
    pg_arg_text(&args, op->event);
    pg_arg_int(&args, op->participant_write.values.id);
    size_t place = pg_put(&w->conn, PG_SQL_PERSON_LOCKED, &args);
    TRY(pg_run(&w->conn));
    struct pg_rows rows = pg_rows_of(&w->conn, place);
    if (!pg_next(&rows)) {
        return ERR_UNKNOWN_PARTICIPANT;
    }
    return pg_row_participant(&rows, &op->arena, ret_person) ? ERR_OK : ERR_NO_MEMORY;
}

MAY_BLOCK enum err_e pg_update_participant(struct pg_writer *w, void *data) {
    struct store_op *op = data;
    struct participant person;
    int64_t event_id;
    struct pg_args args;
    TRY(load_locked(w, op, &event_id, &person));
    op->participant_write.ret_old_token = person.token; /* in the operation's arena */
    pg_patch_person(&person, &op->participant_write.values, op->participant_write.fields);
    TRY(check_person(w, op, event_id, &person));
    pg_args_init(&args);
    pg_arg_int(&args, person.id);
    add_person(&args, &person);
    pg_put(&w->conn, PG_SQL_PERSON_UPDATE, &args);
    op->participant_write.values = person;
    return ERR_OK;
}

MAY_BLOCK enum err_e pg_erase_participant(struct pg_writer *w, void *data) {
    struct store_op *op = data;
    struct participant person;
    int64_t event_id;
    struct pg_args args;
    TRY(load_locked(w, op, &event_id, &person));
    pg_args_init(&args);
    pg_arg_int(&args, person.id);
    pg_arg_time(&args, w->now_ms);
    pg_put(&w->conn, PG_SQL_PERSON_ERASE, &args);
    put_count(w, event_id, -1);
    op->participant_write.values = person;
    return ERR_OK;
}

/* ── reading ── */

static size_t put_event_look_up(struct pg_reader *r, const struct store_op *op) {
    struct pg_args args;
    pg_args_init(&args);
    pg_arg_text(&args, op->event);
    return pg_put(&r->conn, PG_SQL_EVENT_BY_CODE, &args);
}

static enum err_e check_event_found(const struct pg_reader *r, size_t place) {
    struct pg_rows rows = pg_rows_of(&r->conn, place);
    return pg_next(&rows) ? ERR_OK : ERR_UNKNOWN_EVENT;
}

enum err_e pg_load_participant(struct pg_reader *r, struct store_op *op) {
    struct pg_args args;
    size_t event = put_event_look_up(r, op);
    pg_args_init(&args);
    pg_arg_text(&args, op->event);
    pg_arg_int(&args, op->participant_write.values.id);
    size_t place = pg_put(&r->conn, PG_SQL_PERSON_BY_ID, &args);
    TRY(pg_read(r));
    TRY(check_event_found(r, event));
    struct pg_rows rows = pg_rows_of(&r->conn, place);
    if (!pg_next(&rows)) {
        return ERR_UNKNOWN_PARTICIPANT;
    }
    struct participant person;
    if (!pg_row_participant(&rows, &op->arena, &person)) {
        return ERR_NO_MEMORY;
    }
    op->participant_write.values = person;
    return ERR_OK;
}

static void add_page(struct pg_args *args, const struct store_op *op) {
    pg_args_init(args);
    pg_arg_text(args, op->event);
    pg_arg_int(args, op->participants.after);
    pg_arg_int(args, (int64_t)op->participants.limit + 1);
}

static enum err_e put_search(struct pg_reader *r, struct store_op *op, size_t *ret_place) {
    struct search_words words;
    TRY(search_words_read(op->participants.query, &words, &op->problem));
    struct pg_array array;
    struct pg_args args;
    pg_array_init(&array, PG_TEXT);
    for (size_t i = 0; i < words.len; i++) {
        pg_push_text(&array, words.items[i]);
    }
    add_page(&args, op);
    bool added = pg_arg_array(&args, &array);
    if (added) {
        *ret_place = pg_put(&r->conn, PG_SQL_PEOPLE_SEARCH, &args);
    }
    pg_array_fini(&array);
    return added ? ERR_OK : ERR_NO_MEMORY;
}

static enum err_e put_list(struct pg_reader *r, struct store_op *op, size_t *ret_place) {
    if (op->participants.query.len > 0) {
        return put_search(r, op, ret_place);
    }
    struct pg_args args;
    add_page(&args, op);
    if (op->participants.token.len > 0) {
        pg_arg_text(&args, op->participants.token);
        *ret_place = pg_put(&r->conn, PG_SQL_PEOPLE_BY_TOKEN, &args);
    } else {
        *ret_place = pg_put(&r->conn, PG_SQL_PEOPLE_PAGE, &args);
    }
    return ERR_OK;
}

enum err_e pg_list_participants(struct pg_reader *r, struct store_op *op) {
    size_t event = put_event_look_up(r, op), place = 0;
    enum err_e wrong = put_list(r, op, &place);
    TRY(pg_read(r));
    TRY(check_event_found(r, event)); /* before what is wrong with the query */
    TRY(wrong);
    struct pg_rows rows = pg_rows_of(&r->conn, place);
    PG_READ_PAGE(rows, op, op->participants, pg_row_participant);
    return ERR_OK;
}
