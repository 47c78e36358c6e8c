/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Importing: rows are taken one after another, on what the database and the rows before them say,
 * in memory; then everybody new and everybody changed is written in two statements.
 *
 * Updates go before inserts: a row that cancels somebody frees the token for a row behind it.
 */
#include "store/postgres_priv.h"

enum { UPDATE_ARRAYS = 8, INSERT_ARRAYS = 9 };

struct person {
    struct participant values;
    bool is_new;
    bool changed;
};

/* Who has a token: the active participant, and the latest of the others. */
struct holder {
    struct slice token;
    struct person *active, *inactive;
    struct holder *next; /* in its bucket */
};

struct import {
    struct pg_writer *w;
    struct pg_import *rows;
    int64_t event_id;
    struct holder **buckets;
    size_t buckets_len;
    struct holder *holders; /* in the order of their first row */
    size_t holders_len;
    struct person *people; /* in the order they were met */
    size_t people_len;
    struct slice *gates; /* codes of the event */
    size_t gates_len;
};

static struct holder *holder_of(struct import *import, struct slice token) {
    struct holder **bucket = &import->buckets[slice_hash(token) & (import->buckets_len - 1)];
    for (struct holder *holder = *bucket; holder != NULL; holder = holder->next) {
        if (slice_eq(holder->token, token)) {
            return holder;
        }
    }
    struct holder *holder = &import->holders[import->holders_len++];
    *holder = (struct holder){.token = token, .next = *bucket};
    *bucket = holder;
    return holder;
}

static bool begin(struct import *import) {
    struct arena *arena = &import->w->arena;
    size_t most = import->rows->len;
    import->buckets_len = 16;
    while (import->buckets_len < 2 * most) {
        import->buckets_len *= 2;
    }
    import->buckets = arena_zalloc(arena, import->buckets_len * sizeof *import->buckets);
    import->holders = arena_zalloc(arena, most * sizeof *import->holders);
    /* each token may have two that are stored, and each row may make one */
    import->people = arena_zalloc(arena, 3 * most * sizeof *import->people);
    if (import->buckets == NULL || import->holders == NULL || import->people == NULL) {
        return false;
    }
    for (size_t i = 0; i < most; i++) {
        holder_of(import, import->rows->rows[i].values.token);
    }
    return true;
}

/* ── what is stored ── */

static bool copy_texts(struct arena *arena, struct participant *person) {
    struct slice *const texts[] = {&person->token, &person->name, &person->email, &person->gates,
                                   &person->attention};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (texts[i]->at != NULL) {
            *texts[i] = arena_copy(arena, *texts[i]);
            if (texts[i]->at == NULL) {
                return false;
            }
        }
    }
    return true;
}

static enum err_e see_people(struct import *import, struct pg_rows rows) {
    while (pg_next(&rows)) {
        size_t number = (size_t)(pg_get_int(&rows) - 1);
        ASSERT(number < import->holders_len);
        struct holder *holder = &import->holders[number];
        struct person *person = &import->people[import->people_len++];
        pg_see_participant(&rows, &person->values);
        if (!copy_texts(&import->w->arena, &person->values)) {
            return ERR_NO_MEMORY;
        }
        if (person->values.status == PARTICIPANT_ACTIVE) {
            holder->active = person;
        } else {
            holder->inactive = person;
        }
    }
    return ERR_OK;
}

static enum err_e see_gates(struct import *import, struct pg_rows rows) {
    struct arena *arena = &import->w->arena;
    size_t most = (size_t)PQntuples(rows.result);
    import->gates = arena_alloc(arena, (most + 1) * sizeof *import->gates);
    if (import->gates == NULL) {
        return ERR_NO_MEMORY;
    }
    while (pg_next(&rows)) {
        if (!pg_get_copy(&rows, arena, &import->gates[import->gates_len++])) {
            return ERR_NO_MEMORY;
        }
    }
    return ERR_OK;
}

static enum err_e put_look_ups(struct import *import, size_t *ret_gates, size_t *ret_people) {
    struct pg_conn *conn = &import->w->conn;
    struct pg_array tokens;
    struct pg_args event, people;
    pg_args_init(&event);
    pg_arg_text(&event, import->rows->op->event);
    *ret_gates = pg_put(conn, PG_SQL_GATE_CODES, &event);
    pg_array_init(&tokens, PG_TEXT);
    for (size_t i = 0; i < import->holders_len; i++) {
        pg_push_text(&tokens, import->holders[i].token);
    }
    pg_args_init(&people);
    pg_arg_int(&people, import->event_id);
    bool added = pg_arg_array(&people, &tokens);
    if (added) {
        *ret_people = pg_put(conn, PG_SQL_IMPORT_PEOPLE, &people);
    }
    pg_array_fini(&tokens);
    return added ? ERR_OK : ERR_NO_MEMORY;
}

MAY_BLOCK static enum err_e fetch(struct import *import) {
    size_t gates, people;
    TRY(put_look_ups(import, &gates, &people));
    TRY(pg_run(&import->w->conn));
    TRY(see_gates(import, pg_rows_of(&import->w->conn, gates)));
    return see_people(import, pg_rows_of(&import->w->conn, people));
}

/* ── row by row, in memory ── */

static bool has_gate(const struct import *import, struct slice code) {
    for (size_t i = 0; i < import->gates_len; i++) {
        if (slice_eq(import->gates[i], code)) {
            return true;
        }
    }
    return false;
}

static enum err_e check_person(const struct import *import, const struct participant *person,
                               struct problem *problem) {
    struct slice gates = person->gates;
    struct slice code;
    while (slice_next(&gates, ' ', &code)) {
        if (!has_gate(import, code)) {
            return pg_unknown_gate(code, problem);
        }
    }
    return pg_check_validity(person, problem);
}

/* Whom the row updates: the active participant with its token; a row that is itself not active also
 * the latest one that is not, so that the same file twice changes nothing. */
static struct person *find_updated(const struct holder *holder, const struct import_row *row) {
    bool inactive =
        (row->fields & PARTICIPANT_STATUS) && row->values.status != PARTICIPANT_ACTIVE;
    return holder->active == NULL && inactive ? holder->inactive : holder->active;
}

static struct participant empty_person(struct slice token) {
    return (struct participant){
        .token = token,
        .name = SLICE_LIT(""),
        .email = SLICE_LIT(""),
        .status = PARTICIPANT_ACTIVE,
        .valid_from_ms = TIME_NONE,
        .valid_until_ms = TIME_NONE,
        .gates = SLICE_LIT(""),
    };
}

static bool is_same(const struct participant *a, const struct participant *b) {
    return slice_eq(a->name, b->name) && slice_eq(a->email, b->email) && a->status == b->status &&
           a->valid_from_ms == b->valid_from_ms && a->valid_until_ms == b->valid_until_ms &&
           slice_eq(a->gates, b->gates) && slice_eq(a->attention, b->attention) &&
           (a->attention.at == NULL) == (b->attention.at == NULL);
}

static enum err_e take_row(struct import *import, struct import_row *row,
                           struct problem *problem) {
    struct holder *holder = holder_of(import, row->values.token);
    struct person *person = find_updated(holder, row);
    struct participant after =
        person == NULL ? empty_person(row->values.token) : person->values;
    row->ret_id = after.id;
    pg_patch_person(&after, &row->values, row->fields);
    TRY(check_person(import, &after, problem));
    row->ret_outcome = person == NULL ? IMPORT_CREATED : IMPORT_UPDATED;
    if (person == NULL) {
        person = &import->people[import->people_len++];
        *person = (struct person){.is_new = true};
    }
    person->changed = person->changed || !is_same(&person->values, &after);
    person->values = after;
    if (after.status == PARTICIPANT_ACTIVE) {
        holder->active = person;
    } else {
        holder->active = holder->active == person ? NULL : holder->active;
        holder->inactive = person;
    }
    return ERR_OK;
}

static enum err_e take_or_reject(struct import *import, struct import_row *row) {
    struct problem problem = {.field = ""};
    enum err_e err = take_row(import, row, &problem);
    if (err == ERR_OK) {
        return ERR_OK;
    }
    char reason[sizeof problem.field + sizeof problem.detail + 2];
    snprintf(reason, sizeof reason, "%s: %s", problem.field, problem.detail);
    row->ret_outcome = IMPORT_REJECTED;
    row->ret_reason = arena_copy(&import->rows->op->arena, slice_of(reason));
    return row->ret_reason.at == NULL ? ERR_NO_MEMORY : ERR_OK;
}

/* ── writing ── */

struct columns {
    struct pg_array arrays[INSERT_ARRAYS];
    size_t len;
};

static void columns_init(struct columns *columns, size_t len) {
    static const enum pg_type_e types[INSERT_ARRAYS] = {
        PG_BIGINT,      PG_TEXT, PG_TEXT, PG_TEXT, PG_TIMESTAMPTZ,
        PG_TIMESTAMPTZ, PG_TEXT, PG_TEXT, PG_TEXT,
    };
    columns->len = len;
    for (size_t i = 0; i < INSERT_ARRAYS; i++) {
        pg_array_init(&columns->arrays[i], types[i]);
    }
}

static void columns_fini(struct columns *columns) {
    for (size_t i = 0; i < INSERT_ARRAYS; i++) {
        pg_array_fini(&columns->arrays[i]);
    }
}

static void push_person(struct columns *columns, const struct participant *person) {
    struct pg_array *column = columns->arrays;
    pg_push_int(column++, person->id);
    pg_push_text(column++, person->name);
    pg_push_text(column++, person->email);
    pg_push_word(column++, participant_status_text(person->status));
    pg_push_time(column++, person->valid_from_ms);
    pg_push_time(column++, person->valid_until_ms);
    pg_push_text(column++, person->gates);
    pg_push_text_or_null(column++, person->attention);
    if (columns->len == INSERT_ARRAYS) {
        pg_push_text(column++, person->token);
    }
}

static enum err_e put_columns(struct import *import, enum pg_sql_e sql, struct pg_args *args,
                              struct columns *columns) {
    for (size_t i = 0; i < columns->len; i++) {
        if (!pg_arg_array(args, &columns->arrays[i])) {
            return ERR_NO_MEMORY;
        }
    }
    if (columns->arrays[0].count > 0) {
        pg_put(&import->w->conn, sql, args);
    }
    return ERR_OK;
}

static enum err_e put_updates(struct import *import) {
    struct columns columns;
    struct pg_args args;
    columns_init(&columns, UPDATE_ARRAYS);
    pg_args_init(&args);
    for (size_t i = 0; i < import->people_len; i++) {
        if (import->people[i].changed && !import->people[i].is_new) {
            push_person(&columns, &import->people[i].values);
        }
    }
    enum err_e err = put_columns(import, PG_SQL_IMPORT_UPDATE, &args, &columns);
    columns_fini(&columns);
    return err;
}

static int64_t count_new(const struct import *import) {
    int64_t count = 0;
    for (size_t i = 0; i < import->people_len; i++) {
        count += import->people[i].is_new;
    }
    return count;
}

/* Numbers for everybody new, in the order of their rows. */
MAY_BLOCK static enum err_e number_new(struct import *import, int64_t count) {
    struct pg_args args;
    pg_args_init(&args);
    pg_arg_int(&args, count);
    size_t place = pg_put(&import->w->conn, PG_SQL_IMPORT_IDS, &args);
    TRY(pg_run(&import->w->conn));
    struct pg_rows rows = pg_rows_of(&import->w->conn, place);
    for (size_t i = 0; i < import->people_len; i++) {
        if (import->people[i].is_new) {
            bool numbered = pg_next(&rows);
            ASSERT(numbered);
            import->people[i].values.id = pg_get_int(&rows);
        }
    }
    return ERR_OK;
}

static enum err_e put_inserts(struct import *import, int64_t count) {
    struct columns columns;
    struct pg_args args;
    columns_init(&columns, INSERT_ARRAYS);
    pg_args_init(&args);
    pg_arg_int(&args, import->event_id);
    pg_arg_time(&args, import->w->now_ms);
    for (size_t i = 0; i < import->people_len; i++) {
        if (import->people[i].is_new) {
            push_person(&columns, &import->people[i].values);
        }
    }
    enum err_e err = put_columns(import, PG_SQL_IMPORT_INSERT, &args, &columns);
    columns_fini(&columns);
    pg_args_init(&args);
    pg_arg_int(&args, import->event_id);
    pg_arg_int(&args, count);
    pg_put(&import->w->conn, PG_SQL_PEOPLE_COUNT, &args);
    return err;
}

MAY_BLOCK enum err_e pg_import_rows(struct pg_writer *w, void *data) {
    struct import import = {.w = w, .rows = data};
    if (!begin(&import)) {
        return ERR_NO_MEMORY;
    }
    TRY(pg_lock_people(w, import.rows->op->event, &import.event_id));
    if (import.rows->len == 0) {
        return ERR_OK;
    }
    TRY(fetch(&import));
    for (size_t i = 0; i < import.rows->len; i++) {
        TRY(take_or_reject(&import, &import.rows->rows[i]));
    }
    int64_t count = count_new(&import);
    if (count > 0) {
        TRY(number_new(&import, count));
    }
    TRY(put_updates(&import));
    return count > 0 ? put_inserts(&import, count) : ERR_OK;
}
