/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Optimising slow queries: measure, choose few safe actions, carry them out one after the other,
 * measure the same queries with the same parameters again, and undo what made them slower.
 *
 *   a declared index is not valid   rebuild it            stays
 *   a declared index is missing     build it              dropped again if it only harmed
 *   statistics or dead rows         ANALYZE, VACUUM       cannot be undone, nor harm for long
 *   a slow statement lacks an index build it, if allowed  dropped again unless it helped
 *
 * Every action is a row of action_journal, with the figures before and after. What was undone
 * there is not tried again for a week; `db indexes` builds it all the same.
 */
#include "optimizer/effect.h"
#include "optimizer/explain.h"
#include "optimizer/postgres_priv.h"

#include <math.h>
#include <stdio.h>

enum { INDEXES_MAX = 3, TABLES_MAX = 3 /* actions of one run: few, so that each can be judged */ };

struct figures {
    struct effect_figures of[DB_QUERY_COUNT];
    bool known[DB_QUERY_COUNT];
};

struct run {
    struct db *db;
    struct db_report *report;
    struct db_sample sample;
    struct figures now;
};

static enum err_e measure_all(struct run *run, struct figures *ret) {
    enum err_e err = ERR_OK;
    *ret = (struct figures){.known = {false}};
    for (int i = 0; err == ERR_OK && i < DB_QUERY_COUNT; i++) {
        struct arena arena;
        struct db_measure m;
        arena_init(&arena, PLAN_ARENA_LIMIT);
        err = db_measure(run->db, &arena, &run->sample, (enum db_query_e)i, &m);
        arena_fini(&arena);
        ret->known[i] = err == ERR_OK && (m.measured || m.timed_out);
        ret->of[i] = m.timed_out ? (struct effect_figures){INFINITY, INFINITY}
                                 : (struct effect_figures){m.ms, m.blocks};
    }
    return err;
}

static void put_figures(struct buf *to, const struct figures *figures) {
    struct json_writer w;
    json_writer_init(&w, to);
    json_begin_object(&w);
    for (int i = 0; i < DB_QUERY_COUNT; i++) {
        if (figures->known[i]) {
            json_key(&w, db_query_word((enum db_query_e)i));
            json_begin_object(&w);
            json_put_real(&w, "ms", figures->of[i].ms, 3);
            json_put_real(&w, "blocks", figures->of[i].blocks, 0);
            json_end_object(&w);
        }
    }
    json_end_object(&w);
}

static enum effect_e compare(const struct figures *before, const struct figures *after) {
    enum effect_e effects[DB_QUERY_COUNT];
    for (int i = 0; i < DB_QUERY_COUNT; i++) {
        bool known = before->known[i] && after->known[i];
        effects[i] = known ? effect_judge(before->of[i], after->of[i]) : EFFECT_NONE;
    }
    return effect_of_all(effects, DB_QUERY_COUNT);
}

/* "participant_history 41.200 ms, 5400 blocks -> 0.100 ms, 9 blocks; …", changed ones only. */
static void put_change(struct buf *to, const struct figures *before, const struct figures *after) {
    for (int i = 0; i < DB_QUERY_COUNT; i++) {
        if (before->known[i] && after->known[i] &&
            effect_judge(before->of[i], after->of[i]) != EFFECT_NONE) {
            buf_printf(to, "%s%s %.3f ms, %.0f blocks -> %.3f ms, %.0f blocks",
                       to->len > 0 ? "; " : "", db_query_word((enum db_query_e)i),
                       before->of[i].ms, before->of[i].blocks, after->of[i].ms,
                       after->of[i].blocks);
        }
    }
    buf_add_text(to, to->len > 0 ? "." : "No critical query changed.");
}

/* ── journal ── */

static enum err_e write_journal(struct run *run, struct db_action *action,
                                const struct figures *after) {
    struct buf before_text, after_text;
    buf_init(&before_text, DB_SQL_MAX);
    buf_init(&after_text, DB_SQL_MAX);
    put_figures(&before_text, &run->now);
    put_figures(&after_text, after);
    action->before = buf_slice(&before_text);
    action->after = buf_slice(&after_text);
    enum err_e err = before_text.failed || after_text.failed ? ERR_NO_MEMORY
                                                             : db_journal(run->db, action);
    buf_fini(&before_text);
    buf_fini(&after_text);
    return err;
}

/* ── actions ── */

struct verify {
    struct db_action action;
    size_t failed_before;
    bool can_undo;
    const struct db_advice *advice; /* of an index that nobody declared; else NULL */
};

/* An index that nobody declared has to earn its place: its statement must cost a tenth less than
 * before, and no critical query may be worse. */
static enum err_e judge(struct run *run, const struct verify *verify, const struct figures *after,
                        enum effect_e *ret_effect, bool *ret_undo) {
    double cost = -1;
    *ret_effect = compare(&run->now, after);
    *ret_undo = *ret_effect == EFFECT_WORSE && verify->can_undo;
    if (verify->advice == NULL) {
        return ERR_OK;
    }
    TRY(db_cost(run->db, verify->advice->statement, &cost));
    bool helped = cost >= 0 && cost <= 0.9 * verify->advice->cost_before;
    *ret_effect = !helped && *ret_effect != EFFECT_WORSE ? EFFECT_NONE
                  : helped && *ret_effect == EFFECT_NONE ? EFFECT_BETTER
                                                         : *ret_effect;
    *ret_undo = *ret_effect != EFFECT_BETTER || !helped;
    return ERR_OK;
}

static enum err_e undo_index(struct run *run, const struct verify *verify, enum effect_e effect,
                             bool *ret_undone) {
    const char *name = verify->action.target;
    char sql[128];
    snprintf(sql, sizeof sql, "DROP INDEX %s", name);
    enum err_e err = db_change(run->db, &(struct db_change){.sql = sql, .relation = name});
    *ret_undone = err == ERR_OK;
    if (db_is_lost(run->db)) {
        return err;
    }
    return db_add(run->report, &(struct db_item){
                                   .state = err == ERR_OK ? DB_UNDONE : DB_FAILED,
                                   .kind = "index", .what = "drop", .name = slice_of(name),
                                   .sql = slice_of(sql),
                                   .detail = err == ERR_OK
                                                 ? (effect == EFFECT_WORSE
                                                        ? SLICE_LIT("It made queries slower and "
                                                                    "none faster.")
                                                        : SLICE_LIT("It did not help the "
                                                                    "statement that it was for."))
                                                 : slice_of(run->db->problem.detail)});
}

/* Measures again, undoes what only harmed, writes it down. */
static enum err_e verify(struct run *run, struct verify *verify) {
    struct figures after;
    struct buf detail;
    enum effect_e effect;
    bool undo;
    TRY(measure_all(run, &after));
    TRY(judge(run, verify, &after, &effect, &undo));
    bool failed = run->report->counts[DB_FAILED] > verify->failed_before;
    bool undone = false;
    if (!failed && undo) {
        TRY(undo_index(run, verify, effect, &undone));
    }
    verify->action.outcome = undone ? "undone" : failed ? "failed" : effect_word(effect);
    buf_init(&detail, DB_SQL_MAX);
    put_change(&detail, &run->now, &after);
    verify->action.detail = buf_slice(&detail);
    enum err_e err = write_journal(run, &verify->action, &after);
    if (err == ERR_OK) {
        err = db_add(run->report, &(struct db_item){
                                      .state = DB_INFO, .kind = "effect",
                                      .what = verify->action.outcome,
                                      .name = slice_of(verify->action.target),
                                      .detail = buf_slice(&detail)});
    }
    buf_fini(&detail);
    if (err == ERR_OK) {
        /* what was undone is judged no further: the old figures stand */
        run->now = undone ? run->now : after;
    }
    return err;
}

static enum err_e act_on_index(struct run *run, const struct db_declared *index,
                               enum db_index_e state) {
    bool undone;
    TRY(db_journal_undone(run->db, index->name, &undone));
    if (undone) {
        return db_add(run->report, &(struct db_item){
                                       .state = DB_SKIPPED, .kind = "index", .what = "create",
                                       .name = slice_of(index->name),
                                       .detail = SLICE_LIT("It was built and undone within the "
                                                           "last week.")});
    }
    struct verify step = {
        .action = {.action = state == DB_INDEX_MISSING ? "build index" : "rebuild index",
                   .target = index->name},
        .failed_before = run->report->counts[DB_FAILED],
        .can_undo = state == DB_INDEX_MISSING && !index->is_unique,
    };
    TRY(db_index_fix(run->db, run->report, index));
    return run->db->options.mode == DB_DRY_RUN ? ERR_OK : verify(run, &step);
}

static enum err_e act_on_indexes(struct run *run, enum db_index_e wanted, int *left) {
    for (size_t i = 0; i < db_declared_count() && *left > 0; i++) {
        enum db_index_e state;
        TRY(db_index_look(run->db, db_declared_at(i), &state));
        if (state == wanted) {
            --*left;
            TRY(act_on_index(run, db_declared_at(i), state));
        }
    }
    return ERR_OK;
}

static enum err_e act_on_tables(struct run *run) {
    struct verify step = {
        .action = {.action = "maintain tables", .target = "tables"},
        .failed_before = run->report->counts[DB_FAILED],
    };
    size_t done_before = run->report->counts[DB_DONE];
    TRY(db_maintain_tables(run->db, run->report, TABLES_MAX));
    bool idle = run->report->counts[DB_DONE] == done_before &&
                run->report->counts[DB_FAILED] == step.failed_before;
    return idle ? ERR_OK : verify(run, &step);
}

/* The index that is worth most among those for slow statements, if that is allowed, its gain is
 * known, and it is half of the cost at least. */
static enum err_e act_on_advice(struct run *run) {
    struct db_advice best;
    bool undone;
    if (!run->db->options.build_advised) {
        return ERR_OK;
    }
    TRY(db_statements(run->db, run->report, &best));
    if (best.worth <= 0 || !best.is_plain || best.cost_after > 0.5 * best.cost_before) {
        return ERR_OK;
    }
    TRY(db_journal_undone(run->db, best.name, &undone));
    if (undone) {
        return ERR_OK; /* its advice is told all the same */
    }
    char evidence[128];
    snprintf(evidence, sizeof evidence,
             "{\"fingerprint\":\"%s\",\"cost_before\":%.2f,\"cost_expected\":%.2f}",
             best.fingerprint, best.cost_before, best.cost_after);
    const struct db_declared index = {best.name, best.table, best.definition, false};
    struct verify step = {
        .action = {.action = "build advised index", .target = best.name,
                   .evidence = slice_of(evidence)},
        .failed_before = run->report->counts[DB_FAILED],
        .can_undo = true,
        .advice = &best,
    };
    TRY(db_index_fix(run->db, run->report, &index));
    return run->db->options.mode == DB_DRY_RUN ? ERR_OK : verify(run, &step);
}

static enum err_e add_measured(struct run *run) {
    for (int i = 0; i < DB_QUERY_COUNT; i++) {
        char detail[128];
        bool is_slow = run->now.known[i] && run->now.of[i].ms > run->db->options.slow_ms;
        snprintf(detail, sizeof detail, "%.3f ms, %.0f blocks before any action.",
                 run->now.of[i].ms, run->now.of[i].blocks);
        TRY(db_add(run->report, &(struct db_item){
                                    .state = is_slow ? DB_WARNING : DB_INFO, .kind = "query",
                                    .what = !run->now.known[i] ? "no_data"
                                            : is_slow          ? "slow"
                                                               : "measured",
                                    .name = slice_of(db_query_word((enum db_query_e)i)),
                                    .detail = run->now.known[i] ? slice_of(detail)
                                                                : SLICE_NONE}));
    }
    return ERR_OK;
}

static enum err_e optimize(struct run *run) {
    int left = INDEXES_MAX;
    TRY(db_finish_detaches(run->db, run->report));
    TRY(db_sample_draw(run->db, &run->sample));
    TRY(measure_all(run, &run->now));
    TRY(add_measured(run));
    TRY(act_on_indexes(run, DB_INDEX_INVALID, &left));
    TRY(act_on_indexes(run, DB_INDEX_MISSING, &left));
    TRY(act_on_tables(run));
    TRY(act_on_advice(run));
    if (run->report->counts[DB_DONE] + run->report->counts[DB_PLANNED] +
            run->report->counts[DB_FAILED] > 0) {
        return ERR_OK;
    }
    return db_add(run->report,
                  &(struct db_item){.state = DB_GOOD, .kind = "run", .what = "nothing_to_do",
                                    .detail = SLICE_LIT("No action is both safe and needed.")});
}

enum err_e db_optimize(struct db *db, struct db_report *report) {
    struct run run = {.db = db, .report = report};
    enum err_e err = db_begin_run(db);
    if (err == ERR_BUSY) {
        return err;
    }
    err = err != ERR_OK ? err : optimize(&run);
    db_end_run(db);
    return err;
}
