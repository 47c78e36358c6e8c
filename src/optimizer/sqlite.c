/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQLite: the critical queries are timed and explained, indexes listed, statistics kept, the
 * write-ahead log moved into the file. There are no partitions to look after.
 *
 * Statistics are made by ANALYZE with a limit, so that the writer is never held up for long. They
 * are all that optimize changes, and are taken away again when the queries were slower with them.
 */
#include "optimizer/sqlite.h"

#include "base/assert.h"
#include "base/log.h"
#include "optimizer/effect.h"
#include "optimizer/postgres_priv.h"
#include "store/sqlite_care.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    RUNS = 3, /* of a query; the fastest counts */
    SAMPLE_SIZE = 300,
    FACTS_MAX = 1 << 16,
    INDEXED_ROWS = 1000, /* a smaller table needs no statistics */
};

struct sample {
    char participant[24], gate[24], event[24], since[24];
    char token[SAMPLE_SIZE], person_event[24];
    bool has_record, has_person;
};

struct run {
    struct sqlite_care *care;
    const struct db_options *options;
    struct db_report *report;
    struct problem *problem;
    struct sample sample;
};

MAY_BLOCK static enum err_e ask_for(struct run *run, const char *sql, sqlite_care_fn fn,
                                    void *data) {
    return sqlite_care_ask(run->care,
                           &(struct sqlite_care_ask){.sql = sql,
                                                     .timeout_ms = DB_READ_TIMEOUT_MS,
                                                     .fn = fn,
                                                     .data = data},
                           run->problem);
}

static const char *or_empty(const char *text) {
    return text == NULL ? "" : text;
}

/* ── queries ── */

static const char *const query_sql[DB_QUERY_COUNT] = {
    [DB_QUERY_HISTORY] =
        "SELECT id, gate_id, method, direction, verdict, reason, timestamp FROM attendance_records"
        " WHERE participant_id = ?1 ORDER BY timestamp DESC LIMIT 50",
    [DB_QUERY_GATE_COUNT] =
        "SELECT count(*) FROM attendance_records WHERE gate_id = ?1 AND timestamp >= ?2",
    [DB_QUERY_TOKEN] = "SELECT id, name, status FROM participants WHERE token = ?1"
                       " AND event_id = ?2 AND status = 'active'",
    [DB_QUERY_GATE_COUNTS] =
        "SELECT gate_id, count(*) FROM attendance_records WHERE event_id = ?1 AND timestamp >= ?2"
        " GROUP BY gate_id",
};

static bool take_record(const char *const *cells, void *data) {
    struct sample *s = data;
    s->has_record = true;
    snprintf(s->participant, sizeof s->participant, "%s", or_empty(cells[0]));
    snprintf(s->gate, sizeof s->gate, "%s", or_empty(cells[1]));
    snprintf(s->event, sizeof s->event, "%s", or_empty(cells[2]));
    snprintf(s->since, sizeof s->since, "%s", or_empty(cells[3]));
    return false;
}

static bool take_person(const char *const *cells, void *data) {
    struct sample *s = data;
    s->has_person = strlen(or_empty(cells[0])) < sizeof s->token;
    snprintf(s->token, sizeof s->token, "%.*s", SAMPLE_SIZE - 1, or_empty(cells[0]));
    snprintf(s->person_event, sizeof s->person_event, "%s", or_empty(cells[1]));
    return false;
}

MAY_BLOCK static enum err_e draw_sample(struct run *run) {
    TRY(ask_for(run,
                "SELECT participant_id, gate_id, event_id, timestamp - 900000 FROM"
                " (SELECT * FROM attendance_records ORDER BY id DESC LIMIT 1000)"
                " WHERE participant_id IS NOT NULL ORDER BY timestamp DESC LIMIT 1",
                take_record, &run->sample));
    return ask_for(run,
                   "SELECT token, event_id FROM (SELECT * FROM participants ORDER BY id DESC"
                   " LIMIT 1000) WHERE status = 'active' AND token IS NOT NULL LIMIT 1",
                   take_person, &run->sample);
}

/* False: the data has none. */
static bool put_args(const struct sample *s, enum db_query_e query, struct sqlite_care_ask *ask) {
    bool by_person = query == DB_QUERY_TOKEN;
    switch (query) {
    case DB_QUERY_HISTORY:
        ask->args[0] = s->participant;
        break;
    case DB_QUERY_GATE_COUNT:
        ask->args[0] = s->gate;
        ask->args[1] = s->since;
        break;
    case DB_QUERY_TOKEN:
        ask->args[0] = s->token;
        ask->args[1] = s->person_event;
        break;
    case DB_QUERY_GATE_COUNTS:
        ask->args[0] = s->event;
        ask->args[1] = s->since;
        break;
    case DB_QUERY_COUNT:
        break;
    }
    return by_person ? s->has_person : s->has_record;
}

/* What EXPLAIN QUERY PLAN says, in the shape of explain-file. */
struct plan {
    struct buf findings, indexes, words;
    size_t finding_count, index_count;
};

static void put_comma(struct buf *to) {
    if (to->len > 0) {
        buf_add_char(to, ',');
    }
}

static void add_finding(struct plan *plan, const char *rule, const char *severity,
                        const char *node) {
    struct json_writer w;
    put_comma(&plan->findings);
    json_writer_init(&w, &plan->findings);
    json_begin_object(&w);
    json_put_cstr(&w, "rule", rule);
    json_put_cstr(&w, "severity", severity);
    json_put_cstr(&w, "node", node);
    json_put_cstr(&w, "message",
                  severity[0] == 'w' ? "It reads the whole table: an index on the columns compared "
                                       "would spare that."
                                     : "It sorts what it found: an index in that order would spare "
                                       "that.");
    json_key(&w, "evidence");
    json_begin_object(&w);
    json_end_object(&w);
    json_end_object(&w);
    plan->finding_count++;
}

/* "SEARCH participants USING INDEX idx_… (token=? AND event_id=?)" */
static bool take_step(const char *const *cells, void *data) {
    struct plan *plan = data;
    const char *detail = or_empty(cells[3]);
    const char *index = strstr(detail, "INDEX ");
    buf_printf(&plan->words, "%s%s", plan->words.len > 0 ? "; " : "", detail);
    if (index != NULL) {
        struct slice name = slice_from(index + 6, strcspn(index + 6, " "));
        struct json_writer w;
        put_comma(&plan->indexes);
        json_writer_init(&w, &plan->indexes);
        json_add_text(&w, name);
        plan->index_count++;
    } else if (strncmp(detail, "SCAN ", 5) == 0) {
        add_finding(plan, "missing_index", "warning", detail);
    }
    if (strstr(detail, "TEMP B-TREE FOR ORDER BY") != NULL) {
        add_finding(plan, "sort", "info", detail);
    }
    return true;
}

struct timed {
    bool measured, timed_out;
    double ms;
};

MAY_BLOCK static enum err_e time_query(struct run *run, enum db_query_e query,
                                       struct timed *ret) {
    struct sqlite_care_ask ask = {.sql = query_sql[query], .timeout_ms = DB_READ_TIMEOUT_MS};
    *ret = (struct timed){.measured = false};
    if (!put_args(&run->sample, query, &ask)) {
        return ERR_OK;
    }
    for (int i = 0; i < RUNS; i++) {
        int64_t begun_us = clock_mono_us(run->options->clock);
        enum err_e err = sqlite_care_ask(run->care, &ask, run->problem);
        double ms = (double)(clock_mono_us(run->options->clock) - begun_us) / 1000;
        if (err == ERR_DEADLINE) {
            *ret = (struct timed){.measured = true, .timed_out = true, .ms = DB_READ_TIMEOUT_MS};
            return ERR_OK;
        }
        TRY(err);
        ret->ms = !ret->measured || ms < ret->ms ? ms : ret->ms;
        ret->measured = true;
    }
    return ERR_OK;
}

MAY_BLOCK static enum err_e explain(struct run *run, enum db_query_e query, struct plan *plan) {
    char sql[512];
    struct sqlite_care_ask ask = {.sql = sql, .timeout_ms = DB_READ_TIMEOUT_MS, .fn = take_step,
                                  .data = plan};
    snprintf(sql, sizeof sql, "EXPLAIN QUERY PLAN %s", query_sql[query]);
    bool known = put_args(&run->sample, query, &ask);
    ASSERT(known); /* it was timed before */
    return sqlite_care_ask(run->care, &ask, run->problem);
}

static void write_query_facts(struct json_writer *w, const struct timed *timed,
                              const struct plan *plan) {
    json_begin_object(w);
    json_put_real(w, "execution_ms", timed->ms, 3);
    json_put_null(w, "buffers"); /* SQLite does not tell */
    json_put_int(w, "partitions", 0);
    json_key(w, "plan");
    json_begin_object(w);
    json_put_real(w, "execution_ms", timed->ms, 3);
    json_key(w, "findings");
    json_begin_array(w);
    if (plan->finding_count > 0) {
        json_add_raw(w, buf_slice(&plan->findings));
    }
    json_end_array(w);
    json_key(w, "indexes");
    json_begin_array(w);
    if (plan->index_count > 0) {
        json_add_raw(w, buf_slice(&plan->indexes));
    }
    json_end_array(w);
    json_end_object(w);
    json_end_object(w);
}

static enum err_e add_query(struct run *run, enum db_query_e query, const struct timed *timed,
                            const struct plan *plan) {
    struct buf facts, detail;
    struct json_writer w;
    bool is_slow = timed->ms > run->options->slow_ms;
    bool is_serious = buf_slice(&plan->findings).len > 0 && plan->index_count == 0;
    buf_init(&facts, FACTS_MAX);
    buf_init(&detail, FACTS_MAX);
    json_writer_init(&w, &facts);
    write_query_facts(&w, timed, plan);
    buf_printf(&detail, "%.3f ms%s. %.*s.", timed->ms, is_slow ? " (slow)" : "",
               SLICE_ARG(buf_slice(&plan->words)));
    struct db_item item = {
        .state = is_slow || is_serious ? DB_WARNING : DB_GOOD,
        .kind = "query",
        .what = timed->timed_out ? "timeout" : is_slow ? "slow" : is_serious ? "findings"
                                                                              : "healthy",
        .name = slice_of(db_query_word(query)),
        .detail = buf_slice(&detail),
        .facts = buf_slice(&facts),
    };
    enum err_e err = facts.failed || detail.failed ? ERR_NO_MEMORY : db_add(run->report, &item);
    buf_fini(&facts);
    buf_fini(&detail);
    return err;
}

MAY_BLOCK static enum err_e look_at_query(struct run *run, enum db_query_e query) {
    struct timed timed;
    struct plan plan = {.finding_count = 0};
    TRY(time_query(run, query, &timed));
    if (!timed.measured) {
        return db_add(run->report, &(struct db_item){
                                       .state = DB_SKIPPED, .kind = "query", .what = "no_data",
                                       .name = slice_of(db_query_word(query)),
                                       .detail = SLICE_LIT("There are no rows to ask for.")});
    }
    buf_init(&plan.findings, FACTS_MAX);
    buf_init(&plan.indexes, FACTS_MAX);
    buf_init(&plan.words, FACTS_MAX);
    enum err_e err = explain(run, query, &plan);
    err = err == ERR_OK ? add_query(run, query, &timed, &plan) : err;
    buf_fini(&plan.findings);
    buf_fini(&plan.indexes);
    buf_fini(&plan.words);
    return err;
}

MAY_BLOCK static enum err_e queries(struct run *run) {
    TRY(draw_sample(run));
    for (int i = 0; i < DB_QUERY_COUNT; i++) {
        TRY(look_at_query(run, (enum db_query_e)i));
    }
    return ERR_OK;
}

/* ── indexes and partitions ── */

struct adding {
    struct run *run;
    enum err_e err;
};

/* name, table, its statement, unique */
static bool add_index(const char *const *cells, void *data) {
    struct adding *adding = data;
    struct buf facts;
    struct json_writer w;
    buf_init(&facts, FACTS_MAX);
    json_writer_init(&w, &facts);
    json_begin_object(&w);
    json_put_cstr(&w, "table", cells[1]);
    json_put_cstr(&w, "definition", cells[2]);
    json_put_bool(&w, "unique", or_empty(cells[3])[0] == '1');
    json_put_null(&w, "bytes");
    json_put_null(&w, "scans");
    json_put_int(&w, "partitions", 0);
    json_end_object(&w);
    adding->err = facts.failed ? ERR_NO_MEMORY
                               : db_add(adding->run->report,
                                        &(struct db_item){.state = DB_GOOD, .kind = "index",
                                                          .what = "valid",
                                                          .name = slice_of(or_empty(cells[0])),
                                                          .facts = buf_slice(&facts)});
    buf_fini(&facts);
    return adding->err == ERR_OK;
}

MAY_BLOCK static enum err_e indexes(struct run *run) {
    struct adding adding = {run, ERR_OK};
    TRY(ask_for(run,
                "SELECT s.name, s.tbl_name, s.sql, l.\"unique\" FROM sqlite_schema s,"
                " pragma_index_list(s.tbl_name) l WHERE s.type = 'index' AND s.sql IS NOT NULL"
                " AND l.name = s.name ORDER BY s.tbl_name, s.name",
                add_index, &adding));
    return adding.err;
}

static enum err_e partitions(struct run *run) {
    return db_add(run->report,
                  &(struct db_item){
                      .state = DB_INFO, .kind = "partition", .what = "not_needed",
                      .name = SLICE_LIT("attendance_records"),
                      .detail = SLICE_LIT("A SQLite store keeps its records in one table. On "
                                          "PostgreSQL they are partitioned by time.")});
}

/* ── statistics and the log ── */

static const char *const tables[] = {"attendance_records", "participants", "ledger",
                                     "gate_minutes"};
enum { TABLE_COUNT = sizeof tables / sizeof tables[0] };

static bool take_number(const char *const *cells, void *data) {
    *(int64_t *)data = cells[0] == NULL ? -1 : strtoll(cells[0], NULL, 10);
    return false;
}

/* -1: it was never analysed. */
MAY_BLOCK static enum err_e read_known(struct run *run, const char *table, int64_t *ret_rows) {
    int64_t has_any = 0;
    *ret_rows = -1;
    TRY(ask_for(run, "SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_stat1'",
                take_number, &has_any));
    if (has_any == 0) {
        return ERR_OK;
    }
    return sqlite_care_ask(
        run->care,
        &(struct sqlite_care_ask){
            .sql = "SELECT max(CAST(stat AS INTEGER)) FROM sqlite_stat1 WHERE tbl = ?1",
            .args = {table}, .timeout_ms = DB_READ_TIMEOUT_MS, .fn = take_number,
            .data = ret_rows},
        run->problem);
}

/* Statistics that are a third off. */
static bool is_stale(int64_t rows, int64_t known) {
    return rows >= INDEXED_ROWS &&
           (known < 0 || rows > known + known / 3 || rows < known - known / 3);
}

/* Carries it out, or plans it; a failed one is an item. */
MAY_BLOCK static enum err_e change(struct run *run, struct db_item *item, const char *sql) {
    item->sql = slice_of(sql);
    item->lock = "the writer's, for a moment";
    item->state = DB_PLANNED;
    if (run->options->mode == DB_CARRY_OUT) {
        struct problem problem = {{0}, {0}};
        enum err_e err = sqlite_care_ask(
            run->care, &(struct sqlite_care_ask){.sql = sql, .timeout_ms = DB_READ_TIMEOUT_MS},
            &problem);
        item->state = err == ERR_OK ? DB_DONE : DB_FAILED;
        item->detail = err == ERR_OK ? item->detail : slice_of(problem.detail);
        return db_add(run->report, item);
    }
    return db_add(run->report, item);
}

MAY_BLOCK static enum err_e analyze_table(struct run *run, const char *table) {
    char sql[128], why[160];
    int64_t rows = 0, known;
    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", table);
    TRY(ask_for(run, sql, take_number, &rows));
    TRY(read_known(run, table, &known));
    if (!is_stale(rows, known)) {
        return ERR_OK;
    }
    if (known < 0) {
        snprintf(why, sizeof why, "It has %lld rows and was never analysed.", (long long)rows);
    } else {
        snprintf(why, sizeof why, "It has %lld rows, its statistics say %lld.", (long long)rows,
                 (long long)known);
    }
    snprintf(sql, sizeof sql, "ANALYZE %s", table);
    struct db_item item = {.kind = "table", .what = "analyze", .name = slice_of(table),
                           .detail = slice_of(why)};
    return change(run, &item, sql);
}

MAY_BLOCK static enum err_e analyze_tables(struct run *run) {
    /* rows of an index that ANALYZE looks at: enough for an estimate, and soon over */
    TRY(ask_for(run, "PRAGMA analysis_limit = 1000", NULL, NULL));
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        TRY(analyze_table(run, tables[i]));
    }
    return ERR_OK;
}

MAY_BLOCK static enum err_e maintain(struct run *run) {
    if (!db_is_within_window(run->options)) {
        return db_add(run->report,
                      &(struct db_item){.state = DB_SKIPPED, .kind = "table", .what = "window",
                                        .detail = SLICE_LIT("Outside of the maintenance "
                                                            "window.")});
    }
    TRY(analyze_tables(run));
    struct db_item item = {.kind = "log", .what = "checkpoint",
                           .name = SLICE_LIT("write-ahead log"),
                           .detail = SLICE_LIT("What no reader needs in the log is moved into the "
                                               "file.")};
    return change(run, &item, "PRAGMA wal_checkpoint(PASSIVE)");
}

/* ── optimize ── */

struct figures {
    struct timed of[DB_QUERY_COUNT];
};

MAY_BLOCK static enum err_e measure(struct run *run, struct figures *ret) {
    for (int i = 0; i < DB_QUERY_COUNT; i++) {
        TRY(time_query(run, (enum db_query_e)i, &ret->of[i]));
    }
    return ERR_OK;
}

static enum effect_e compare(const struct figures *before, const struct figures *after) {
    enum effect_e effects[DB_QUERY_COUNT];
    for (int i = 0; i < DB_QUERY_COUNT; i++) {
        effects[i] = effect_judge((struct effect_figures){before->of[i].ms, 0},
                                  (struct effect_figures){after->of[i].ms, 0});
    }
    return effect_of_all(effects, DB_QUERY_COUNT);
}

MAY_BLOCK static enum err_e undo(struct run *run) {
    struct db_item item = {.kind = "table", .what = "forget_statistics",
                           .name = SLICE_LIT("sqlite_stat1"),
                           .detail = SLICE_LIT("They made queries slower and none faster.")};
    TRY(change(run, &item, "DELETE FROM sqlite_stat1"));
    return ask_for(run, "ANALYZE sqlite_schema", NULL, NULL); /* connections read it anew */
}

MAY_BLOCK static enum err_e optimize(struct run *run) {
    struct figures before, after;
    TRY(draw_sample(run));
    TRY(measure(run, &before));
    TRY(analyze_tables(run));
    if (run->report->counts[DB_DONE] == 0) {
        return run->report->first != NULL
                   ? ERR_OK
                   : db_add(run->report, &(struct db_item){
                                             .state = DB_GOOD, .kind = "run",
                                             .what = "nothing_to_do",
                                             .detail = SLICE_LIT("No action is both safe and "
                                                                 "needed.")});
    }
    TRY(measure(run, &after));
    enum effect_e effect = compare(&before, &after);
    if (effect == EFFECT_WORSE) {
        TRY(undo(run));
    }
    const char *outcome = effect == EFFECT_WORSE ? "undone" : effect_word(effect);
    log_event(LOG_INFO, "action", "system=database action=\"analyze tables\" target=\"tables\" "
                                  "outcome=\"%s\"", outcome);
    return db_add(run->report, &(struct db_item){.state = DB_INFO, .kind = "effect",
                                                 .what = outcome, .name = SLICE_LIT("tables")});
}

/* ── all of them ── */

MAY_BLOCK static enum err_e run_job(struct run *run, enum db_job_e job) {
    switch (job) {
    case DB_JOB_QUERIES:
        return queries(run);
    case DB_JOB_INDEXES:
        return indexes(run);
    case DB_JOB_PARTITIONS:
        return partitions(run);
    case DB_JOB_MAINTAIN:
        return maintain(run);
    case DB_JOB_OPTIMIZE:
        return optimize(run);
    case DB_JOB_COUNT:
        break;
    }
    UNREACHABLE();
}

enum err_e db_sqlite_run(const char *path, const struct db_options *options, enum db_job_e job,
                         struct db_report *report, struct problem *ret_problem) {
    struct run run = {.options = options, .report = report, .problem = ret_problem};
    enum sqlite_care_e how =
        options->mode == DB_CARRY_OUT ? SQLITE_CARE_CHANGE : SQLITE_CARE_LOOK;
    TRY(sqlite_care_open(path, how, options->clock, &run.care, ret_problem));
    enum err_e err = run_job(&run, job);
    sqlite_care_close(run.care);
    return err;
}
