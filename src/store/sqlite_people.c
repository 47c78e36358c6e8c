/* SPDX-License-Identifier: Apache-2.0 */
/* Participants: writing, importing, erasing, finding. */
#include "store/sqlite_priv.h"

/* ── the search index follows every change of a name or an address ── */

static enum err_e run_fts(struct sqlite_writer *w, enum sql_e sql, int64_t event_id,
                          const struct participant *person) {
    struct buf event_word, grams;
    buf_init(&event_word, 64);
    buf_init(&grams, SEARCH_TEXT_MAX);
    search_event_word(event_id, &event_word);
    search_address_grams(person->email, &grams);
    enum err_e err = event_word.failed || grams.failed ? ERR_NO_MEMORY : ERR_OK;
    if (err == ERR_OK) {
        struct sql_run run = sql_begin(&w->conn, sql);
        sql_int(&run, person->id);
        sql_text(&run, buf_slice(&event_word));
        sql_text(&run, person->name);
        sql_text(&run, buf_slice(&grams));
        err = sql_finish(&run);
    }
    buf_fini(&event_word);
    buf_fini(&grams);
    return err;
}

/* ── checks that need the file ── */

static enum err_e check_gates(struct event_facts *event, struct slice gates,
                              struct problem *problem) {
    struct slice code;
    while (slice_next(&gates, ' ', &code)) {
        if (facts_gate(event, code) == NULL) {
            return problem_set(problem, ERR_INVALID_FIELD, "gates",
                               "the event has no gate \"%.*s\"", SLICE_ARG(code));
        }
    }
    return ERR_OK;
}

static enum err_e check_validity(const struct participant *person, struct problem *problem) {
    if (person->valid_from_ms != TIME_NONE && person->valid_until_ms != TIME_NONE &&
        person->valid_until_ms < person->valid_from_ms) {
        return problem_set(problem, ERR_INVALID_FIELD, "valid_until",
                           "it lies before valid_from");
    }
    return ERR_OK;
}

/* The id of the participant that `sql` finds by token, 0 when there is none. */
static enum err_e find_by_token(struct sqlite_writer *w, enum sql_e sql, int64_t event_id,
                                struct slice token, int64_t *ret_id) {
    bool row;
    struct sql_run run = sql_begin(&w->conn, sql);
    sql_text(&run, token);
    sql_int(&run, event_id);
    TRY(sql_step(&run, &row));
    *ret_id = row ? sql_get_int(&run) : 0;
    if (row) {
        sql_end(&run);
    }
    return ERR_OK;
}

/* A token is unique among the active participants of its event. */
static enum err_e check_token_free(struct sqlite_writer *w, int64_t event_id,
                                   const struct participant *person, struct problem *problem) {
    if (person->status != PARTICIPANT_ACTIVE) {
        return ERR_OK;
    }
    int64_t id;
    TRY(find_by_token(w, SQL_PERSON_ACTIVE, event_id, person->token, &id));
    if (id != 0 && id != person->id) {
        return problem_set(problem, ERR_CONFLICT, "token",
                           "an active participant with this token exists");
    }
    return ERR_OK;
}

static enum err_e check_person(struct sqlite_writer *w, struct event_facts *event,
                               const struct participant *person, struct problem *problem) {
    TRY(check_gates(event, person->gates, problem));
    TRY(check_validity(person, problem));
    return check_token_free(w, event->event.id, person, problem);
}

/* ── writing one ── */

static void bind_person(struct sql_run *run, const struct participant *person) {
    sql_text(run, person->token);
    sql_text(run, person->name);
    sql_text(run, person->email);
    sql_word(run, participant_status_text(person->status));
    sql_int_or_null(run, person->valid_from_ms, TIME_NONE);
    sql_int_or_null(run, person->valid_until_ms, TIME_NONE);
    sql_text(run, person->gates);
    sql_text_or_null(run, person->attention);
}

static enum err_e insert_person(struct sqlite_writer *w, struct event_facts *event,
                                struct participant *person) {
    struct sql_run run = sql_begin(&w->conn, SQL_PARTICIPANT_INSERT);
    sql_int(&run, event->event.id);
    bind_person(&run, person);
    sql_int(&run, w->now_ms);
    TRY(sql_finish(&run));
    person->id = sqlite3_last_insert_rowid(w->conn.db);
    TRY(run_fts(w, SQL_FTS_ADD, event->event.id, person));
    event->stats.participants++;
    event->dirty = true;
    return ERR_OK;
}

static enum err_e update_person(struct sqlite_writer *w, int64_t event_id,
                                const struct participant *before,
                                const struct participant *after) {
    bool words_change =
        !slice_eq(before->name, after->name) || !slice_eq(before->email, after->email);
    if (words_change) {
        TRY(run_fts(w, SQL_FTS_REMOVE, event_id, before));
    }
    struct sql_run run = sql_begin(&w->conn, SQL_PARTICIPANT_UPDATE);
    sql_int(&run, after->id);
    bind_person(&run, after);
    TRY(sql_finish(&run));
    return words_change ? run_fts(w, SQL_FTS_ADD, event_id, after) : ERR_OK;
}

static void patch_person(struct participant *stored, const struct participant *values,
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

static enum err_e load_by_id(struct sqlite_conn *conn, int64_t event_id, int64_t id,
                             struct arena *arena, struct participant *ret_person) {
    bool row;
    struct sql_run run = sql_begin(conn, SQL_PARTICIPANT_BY_ID);
    sql_int(&run, id);
    sql_int(&run, event_id);
    TRY(sql_step(&run, &row));
    if (!row) {
        return ERR_UNKNOWN_PARTICIPANT;
    }
    bool copied = row_participant(&run, arena, ret_person);
    sql_end(&run);
    return copied ? ERR_OK : ERR_NO_MEMORY;
}

MAY_BLOCK enum err_e writer_create_participant(struct sqlite_writer *w, struct store_op *op) {
    struct event_facts *event;
    struct participant *person = &op->participant_write.values;
    TRY(facts_event(&w->conn, &w->facts, op->event, &event));
    person->id = 0;
    TRY(check_person(w, event, person, &op->problem));
    return insert_person(w, event, person);
}

MAY_BLOCK enum err_e writer_update_participant(struct sqlite_writer *w, struct store_op *op) {
    struct event_facts *event;
    struct participant before;
    TRY(facts_event(&w->conn, &w->facts, op->event, &event));
    TRY(load_by_id(&w->conn, event->event.id, op->participant_write.values.id, &op->arena,
                   &before));
    struct participant after = before;
    patch_person(&after, &op->participant_write.values, op->participant_write.fields);
    TRY(check_person(w, event, &after, &op->problem));
    TRY(update_person(w, event->event.id, &before, &after));
    op->participant_write.ret_old_token = before.token;
    op->participant_write.values = after;
    return ERR_OK;
}

MAY_BLOCK enum err_e writer_erase_participant(struct sqlite_writer *w, struct store_op *op) {
    struct event_facts *event;
    struct participant person;
    TRY(facts_event(&w->conn, &w->facts, op->event, &event));
    TRY(load_by_id(&w->conn, event->event.id, op->participant_write.values.id, &op->arena,
                   &person));
    TRY(run_fts(w, SQL_FTS_REMOVE, event->event.id, &person));
    struct sql_run run = sql_begin(&w->conn, SQL_PARTICIPANT_ERASE);
    sql_int(&run, person.id);
    sql_int(&run, w->now_ms);
    TRY(sql_finish(&run));
    event->stats.participants--;
    event->dirty = true;
    op->participant_write.values = person;
    return purge_want(w);
}

/* ── importing ── */

/* Whom the row updates: the active participant with its token; a row that is itself not active also
 * the latest one that is not, so that the same file twice changes nothing. 0: it makes a new
 * one. */
static enum err_e find_updated(struct sqlite_writer *w, int64_t event_id,
                               const struct import_row *row, int64_t *ret_id) {
    TRY(find_by_token(w, SQL_PERSON_ACTIVE, event_id, row->values.token, ret_id));
    bool inactive =
        (row->fields & PARTICIPANT_STATUS) && row->values.status != PARTICIPANT_ACTIVE;
    if (*ret_id == 0 && inactive) {
        return find_by_token(w, SQL_PERSON_LATEST, event_id, row->values.token, ret_id);
    }
    return ERR_OK;
}

static enum err_e import_new(struct sqlite_writer *w, struct event_facts *event,
                             struct import_row *row, struct problem *problem) {
    struct participant person = {
        .token = row->values.token,
        .name = SLICE_LIT(""),
        .email = SLICE_LIT(""),
        .status = PARTICIPANT_ACTIVE,
        .valid_from_ms = TIME_NONE,
        .valid_until_ms = TIME_NONE,
        .gates = SLICE_LIT(""),
    };
    patch_person(&person, &row->values, row->fields);
    TRY(check_person(w, event, &person, problem));
    row->ret_outcome = IMPORT_CREATED;
    return insert_person(w, event, &person);
}

static enum err_e import_known(struct sqlite_writer *w, struct event_facts *event,
                               struct import_row *row, const struct participant *before,
                               struct problem *problem) {
    struct participant after = *before;
    patch_person(&after, &row->values, row->fields);
    TRY(check_person(w, event, &after, problem));
    row->ret_outcome = IMPORT_UPDATED;
    return update_person(w, event->event.id, before, &after);
}

static bool is_about_the_row(enum err_e err) {
    return err == ERR_INVALID_FIELD || err == ERR_CONFLICT;
}

static enum err_e import_row(struct sqlite_writer *w, struct event_facts *event,
                             struct import_row *row, struct arena *arena) {
    struct problem problem = {.field = ""};
    struct participant before;
    int64_t id;
    TRY(find_updated(w, event->event.id, row, &id));
    row->ret_id = id;
    if (id != 0) {
        TRY(load_by_id(&w->conn, event->event.id, id, arena, &before));
    }
    enum err_e err = id == 0 ? import_new(w, event, row, &problem)
                             : import_known(w, event, row, &before, &problem);
    if (!is_about_the_row(err)) {
        return err;
    }
    char reason[sizeof problem.field + sizeof problem.detail + 2];
    snprintf(reason, sizeof reason, "%s: %s", problem.field, problem.detail);
    row->ret_outcome = IMPORT_REJECTED;
    row->ret_reason = arena_copy(arena, slice_of(reason));
    return row->ret_reason.at == NULL ? ERR_NO_MEMORY : ERR_OK;
}

MAY_BLOCK enum err_e writer_import(struct sqlite_writer *w, struct store_op *op) {
    struct event_facts *event;
    TRY(facts_event(&w->conn, &w->facts, op->event, &event));
    for (size_t i = 0; i < op->import.len; i++) {
        TRY(import_row(w, event, &op->import.rows[i], &op->arena));
    }
    return ERR_OK;
}

/* ── reading ── */

MAY_BLOCK enum err_e reader_load_participant(struct sqlite_reader *r, struct store_op *op) {
    int64_t event_id;
    TRY(find_event(&r->conn, op->event, &event_id));
    struct participant person;
    TRY(load_by_id(&r->conn, event_id, op->participant_write.values.id, &op->arena, &person));
    op->participant_write.values = person;
    return ERR_OK;
}

static struct sql_run begin_list(struct sqlite_reader *r, const struct store_op *op,
                                 int64_t event_id, struct buf *expression) {
    struct sql_run run;
    if (op->participants.query.len > 0) {
        run = sql_begin(&r->conn, SQL_PARTICIPANTS_SEARCH);
        sql_text(&run, buf_slice(expression));
    } else if (op->participants.token.len > 0) {
        run = sql_begin(&r->conn, SQL_PARTICIPANTS_BY_TOKEN);
        sql_text(&run, op->participants.token);
        sql_int(&run, event_id);
    } else {
        run = sql_begin(&r->conn, SQL_PARTICIPANTS_PAGE);
        sql_int(&run, event_id);
    }
    sql_int(&run, op->participants.after);
    sql_int(&run, (int64_t)op->participants.limit + 1);
    return run;
}

static enum err_e list_into(struct sqlite_reader *r, struct store_op *op, int64_t event_id,
                            struct buf *expression) {
    struct sql_run run = begin_list(r, op, event_id, expression);
    READ_PAGE(run, op, op->participants, row_participant);
    return ERR_OK;
}

MAY_BLOCK enum err_e reader_list_participants(struct sqlite_reader *r, struct store_op *op) {
    int64_t event_id;
    TRY(find_event(&r->conn, op->event, &event_id));
    struct buf expression;
    buf_init(&expression, SEARCH_TEXT_MAX * 4);
    enum err_e err = ERR_OK;
    if (op->participants.query.len > 0) {
        err = search_expression(event_id, op->participants.query, &expression, &op->problem);
    }
    if (err == ERR_OK) {
        err = list_into(r, op, event_id, &expression);
    }
    buf_fini(&expression);
    return err;
}
