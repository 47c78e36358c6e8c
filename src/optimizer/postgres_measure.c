/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The critical queries, explained while they run, with parameters that the data gives. Each runs in
 * a READ ONLY transaction that ends in a rollback, under a statement_timeout.
 */
#include "optimizer/explain.h"
#include "optimizer/postgres_priv.h"

#include <stdio.h>

enum { RUNS = 3 /* the first may find a cold cache; the fastest counts */ };

struct query_row {
    const char *word, *text;
};

#define EXPLAIN "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "

static const struct query_row query_rows[DB_QUERY_COUNT] = {
#define X(name, word, text) [DB_QUERY_##name] = {word, text},
    DB_QUERY_TABLE(X)
#undef X
};
/* The store's own statements in their essence: the same tables, conditions and order. */
static const char *const query_sql[DB_QUERY_COUNT] = {
    [DB_QUERY_HISTORY] = EXPLAIN
    "SELECT r.id, r.gate_id, r.method, r.direction, r.verdict, r.reason, r.\"timestamp\""
    " FROM attendance_records r WHERE r.participant_id = $1::bigint"
    " ORDER BY r.\"timestamp\" DESC LIMIT 50",
    [DB_QUERY_GATE_COUNT] = EXPLAIN
    "SELECT count(*) FROM attendance_records r"
    " WHERE r.gate_id = $1::bigint AND r.\"timestamp\" >= $2::timestamptz",
    [DB_QUERY_TOKEN] = EXPLAIN
    "SELECT p.id, p.name, p.status FROM participants p"
    " WHERE p.token = $1 AND p.event_id = $2::bigint AND p.status = 'active'",
    [DB_QUERY_GATE_COUNTS] = EXPLAIN
    "SELECT r.gate_id, count(*) FROM attendance_records r"
    " WHERE r.event_id = $1::bigint AND r.\"timestamp\" >= $2::timestamptz GROUP BY r.gate_id",
};

const char *db_query_word(enum db_query_e query) {
    ASSERT((unsigned)query < DB_QUERY_COUNT);
    return query_rows[query].word;
}

const char *db_query_text(enum db_query_e query) {
    ASSERT((unsigned)query < DB_QUERY_COUNT);
    return query_rows[query].text;
}

/* The newest scan of a known person, and the quarter of an hour before it. */
static enum err_e draw_record(struct db *db, struct db_sample *sample) {
    static const char sql[] =
        "SELECT participant_id, gate_id, event_id, \"timestamp\" - interval '15 minutes'"
        " FROM (SELECT * FROM attendance_records ORDER BY id DESC LIMIT 1000) newest"
        " WHERE participant_id IS NOT NULL ORDER BY \"timestamp\" DESC LIMIT 1";
    struct db_rows rows;
    enum err_e err = db_ask(db, sql, NULL, &rows);
    if (err == ERR_OK && db_next(&rows)) {
        sample->has_record = true;
        snprintf(sample->participant, sizeof sample->participant, "%s", db_cell(&rows, 0));
        snprintf(sample->gate, sizeof sample->gate, "%s", db_cell(&rows, 1));
        snprintf(sample->event, sizeof sample->event, "%s", db_cell(&rows, 2));
        snprintf(sample->since, sizeof sample->since, "%s", db_cell(&rows, 3));
    }
    db_done(&rows);
    return err;
}

static enum err_e draw_person(struct db *db, struct db_sample *sample) {
    static const char sql[] =
        "SELECT token, event_id FROM (SELECT * FROM participants ORDER BY id DESC LIMIT 1000) p"
        " WHERE status = 'active' AND token IS NOT NULL ORDER BY id LIMIT 1";
    struct db_rows rows;
    enum err_e err = db_ask(db, sql, NULL, &rows);
    if (err == ERR_OK && db_next(&rows) && strlen(db_cell(&rows, 0)) < sizeof sample->token) {
        sample->has_person = true;
        snprintf(sample->token, sizeof sample->token, "%s", db_cell(&rows, 0));
        snprintf(sample->person_event, sizeof sample->person_event, "%s", db_cell(&rows, 1));
    }
    db_done(&rows);
    return err;
}

enum err_e db_sample_draw(struct db *db, struct db_sample *ret_sample) {
    *ret_sample = (struct db_sample){.has_record = false};
    TRY(db_set_timeout(db, DB_READ_TIMEOUT_MS));
    TRY(draw_record(db, ret_sample));
    return draw_person(db, ret_sample);
}

/* False: the data has none. */
static bool put_args(const struct db_sample *sample, enum db_query_e query, const char *args[3]) {
    switch (query) {
    case DB_QUERY_HISTORY:
        args[0] = sample->participant;
        return sample->has_record;
    case DB_QUERY_GATE_COUNT:
        args[0] = sample->gate;
        args[1] = sample->since;
        return sample->has_record;
    case DB_QUERY_TOKEN:
        args[0] = sample->token;
        args[1] = sample->person_event;
        return sample->has_person;
    case DB_QUERY_GATE_COUNTS:
        args[0] = sample->event;
        args[1] = sample->since;
        return sample->has_record;
    case DB_QUERY_COUNT:
        break;
    }
    UNREACHABLE();
}

static enum err_e explain_once(struct db *db, const char *sql, const char *const *args,
                               struct db_rows *ret_rows) {
    TRY(db_tell(db, "BEGIN READ ONLY"));
    enum err_e err = db_ask(db, sql, args, ret_rows);
    db_rollback(db);
    return err;
}

static double figure(const struct plan_node *root, const char *key) {
    double value = plan_number(root->json, key);
    return value < 0 ? 0 : value;
}

static bool is_seen(const struct plan_node *root, const struct plan_node *node) {
    for (const struct plan_node *n = root; n != node; n = n->next) {
        if (n->relation.len > 0 && n->loops != 0 && slice_eq(n->relation, node->relation)) {
            return true;
        }
    }
    return false;
}

static size_t count_partitions(const struct plan_node *root) {
    size_t count = 0;
    for (const struct plan_node *n = root; n != NULL; n = n->next) {
        bool is_leaf = slice_starts_with(n->relation, SLICE_LIT("attendance_records_"));
        count += is_leaf && n->loops != 0 && !is_seen(root, n);
    }
    return count;
}

static enum err_e read_plan(struct db *db, struct arena *arena, const char *text,
                            struct db_measure *ret) {
    struct plan_statement *plan = NULL;
    struct slice copy = arena_copy(arena, slice_of(text));
    ret->report = arena_alloc(arena, sizeof *ret->report);
    if (copy.at == NULL || ret->report == NULL) {
        return problem_set(&db->problem, ERR_NO_MEMORY, "", "no memory for a plan");
    }
    TRY(plan_read(arena, copy, &plan, &db->problem));
    if (explain_judge(arena, plan, ret->report) != ERR_OK) {
        return problem_set(&db->problem, ERR_NO_MEMORY, "", "no memory for a plan");
    }
    double ms = ret->report->execution_ms;
    ret->ms = !ret->measured || ms < ret->ms ? ms : ret->ms;
    ret->measured = true;
    ret->read = figure(plan->root, "Shared Read Blocks");
    ret->blocks = figure(plan->root, "Shared Hit Blocks") + ret->read;
    ret->temp = figure(plan->root, "Temp Written Blocks");
    ret->partitions = count_partitions(plan->root);
    return ERR_OK;
}

enum err_e db_measure(struct db *db, struct arena *arena, const struct db_sample *sample,
                      enum db_query_e query, struct db_measure *ret) {
    const char *args[] = {NULL, NULL, NULL};
    *ret = (struct db_measure){.measured = false};
    if (!put_args(sample, query, args)) {
        return ERR_OK;
    }
    TRY(db_set_timeout(db, DB_READ_TIMEOUT_MS));
    for (int i = 0; i < RUNS; i++) {
        if (db_is_cancelled(db)) {
            return problem_set(&db->problem, ERR_DRAINING, "", "it was told to stop");
        }
        struct db_rows rows = {.row = -1};
        enum err_e err = explain_once(db, query_sql[query], args, &rows);
        if (err == ERR_OK && db_next(&rows)) {
            err = read_plan(db, arena, db_cell(&rows, 0), ret);
        }
        db_done(&rows);
        if (err == ERR_DEADLINE) {
            ret->timed_out = true;
            return ERR_OK;
        }
        TRY(err);
    }
    return ERR_OK;
}
