/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ANALYZE and VACUUM where they are due, leaf by leaf, those that need it most first. Autovacuum
 * does the same in time; this is for the hour before the doors open, and for the partitioned
 * table itself, which autovacuum never analyses.
 */
#include "optimizer/postgres_priv.h"

#include <stdio.h>

enum { TABLES_MAX = 500 };

static const char lock_work[] = "SHARE UPDATE EXCLUSIVE on the table";

/*
 * The thresholds are half of autovacuum's own. Columns: table, vacuum?, analyze?, why. A table that
 * was never analysed counts from 10 pages on: the planner takes smaller ones to be that large.
 */
static const char due_sql[] =
    "WITH t AS (SELECT s.relid, greatest(c.reltuples, s.n_live_tup, 0) AS live,"
    "  s.n_dead_tup AS dead, s.n_mod_since_analyze AS changed, s.n_ins_since_vacuum AS added,"
    "  coalesce(s.last_analyze, s.last_autoanalyze) IS NULL"
    /* pg_stats, not pg_statistic: that one is for superusers */
    "   AND NOT EXISTS (SELECT FROM pg_stats p WHERE p.schemaname = s.schemaname"
    "    AND p.tablename = s.relname) AS unknown,"
    "  pg_relation_size(s.relid) AS size"
    "  FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid"
    "  WHERE c.relkind = 'r' AND s.schemaname = ANY (current_schemas(false))),"
    " d AS (SELECT *, dead > 100 + 0.1 * live AS is_dead, added > 1000 + 0.2 * live AS is_new,"
    "  (unknown AND size > 81920) OR changed > 100 + 0.05 * live AS is_stale FROM t)"
    " SELECT relid::regclass, is_dead OR is_new, is_stale,"
    "  CASE WHEN is_dead THEN format('%s of %s rows are dead.', dead, dead + live)"
    "   WHEN unknown AND size > 81920 THEN 'It has never been analysed.'"
    "   WHEN is_stale THEN format('%s rows changed since its statistics, of %s.', changed, live)"
    "   ELSE format('%s rows are new since the last vacuum: index-only scans look them up.', added)"
    "  END"
    " FROM d WHERE is_dead OR is_new OR is_stale"
    " ORDER BY unknown AND size > 81920 DESC, greatest(dead, changed) DESC, added DESC,"
    "  relid::regclass::text"
    " LIMIT $1::int";

/* Parents: no statistics at all, or older than those of most of their rows. */
static const char parents_sql[] =
    "SELECT c.oid::regclass FROM pg_class c"
    " WHERE c.relkind = 'p' AND c.relnamespace::regnamespace::name = ANY (current_schemas(false))"
    " AND EXISTS (SELECT FROM pg_inherits h WHERE h.inhparent = c.oid"
    "  AND pg_relation_size(h.inhrelid) > 0)"
    " AND (NOT EXISTS (SELECT FROM pg_stats p WHERE p.tablename = c.relname"
    "   AND p.schemaname = c.relnamespace::regnamespace::name)"
    "  OR (SELECT last_analyze FROM pg_stat_all_tables s WHERE s.relid = c.oid)"
    "   < now() - interval '1 day')"
    " ORDER BY c.oid::regclass::text";

struct due {
    struct due *next;
    struct slice table, why;
    bool vacuum, analyze;
};

static struct due *due_of(struct arena *arena, const struct db_rows *rows) {
    struct due *due = arena_zalloc(arena, sizeof *due);
    if (due == NULL) {
        return NULL;
    }
    due->table = arena_copy(arena, slice_of(db_cell(rows, 0)));
    due->vacuum = db_cell_is_true(rows, 1);
    due->analyze = db_cell_is_true(rows, 2);
    due->why = arena_copy(arena, slice_of(db_cell(rows, 3)));
    return due->table.at == NULL || due->why.at == NULL ? NULL : due;
}

static enum err_e read_due(struct db *db, struct arena *arena, size_t limit,
                           struct due **ret_first) {
    char count[24];
    snprintf(count, sizeof count, "%zu", limit);
    const char *args[] = {count, NULL};
    struct db_rows rows;
    struct due **end = ret_first;
    *ret_first = NULL;
    enum err_e err = db_ask(db, due_sql, args, &rows);
    while (err == ERR_OK && db_next(&rows)) {
        *end = due_of(arena, &rows);
        if (*end == NULL) {
            err = problem_set(&db->problem, ERR_NO_MEMORY, "", "no memory for a list of tables");
            break;
        }
        end = &(*end)->next;
    }
    db_done(&rows);
    return err;
}

static enum err_e work_on(struct db *db, struct db_report *report, const struct due *due) {
    char sql[DB_NAME_SIZE + 32];
    snprintf(sql, sizeof sql, "%s %.*s",
             !due->vacuum    ? "ANALYZE"
             : due->analyze  ? "VACUUM (ANALYZE)"
                             : "VACUUM",
             SLICE_ARG(due->table));
    struct db_item item = {
        .kind = "table",
        .what = due->vacuum ? "vacuum" : "analyze",
        .name = due->table,
        .detail = due->why,
        .lock = lock_work,
    };
    return db_step(db, report, &item,
                   &(struct db_change){.sql = sql, .relation = due->table.at});
}

static enum err_e work_on_parents(struct db *db, struct db_report *report) {
    struct db_rows rows;
    enum err_e err = db_ask(db, parents_sql, NULL, &rows);
    while (err == ERR_OK && db_next(&rows)) {
        struct due due = {
            .table = slice_of(db_cell(&rows, 0)),
            .why = SLICE_LIT("Statistics over all partitions: autovacuum never makes them."),
            .analyze = true,
        };
        err = work_on(db, report, &due);
    }
    db_done(&rows);
    return err;
}

enum err_e db_maintain_tables(struct db *db, struct db_report *report, size_t limit) {
    struct arena arena;
    struct due *due = NULL;
    arena_init(&arena, DB_ARENA_LIMIT);
    enum err_e err = db_set_timeout(db, DB_READ_TIMEOUT_MS);
    err = err != ERR_OK ? err : read_due(db, &arena, limit, &due);
    for (; err == ERR_OK && due != NULL; due = due->next) {
        err = work_on(db, report, due);
    }
    arena_fini(&arena);
    err = err != ERR_OK ? err : db_set_timeout(db, DB_READ_TIMEOUT_MS);
    return err != ERR_OK ? err : work_on_parents(db, report);
}

/* Minutes of the UTC day; a window may pass midnight. */
bool db_is_within_window(const struct db_options *o) {
    int64_t minutes = clock_wall_ms(o->clock) / 60000 % (24 * 60);
    if (o->window_from <= o->window_to) {
        return o->window_from == o->window_to ||
               (minutes >= o->window_from && minutes < o->window_to);
    }
    return minutes >= o->window_from || minutes < o->window_to;
}

static enum err_e maintain(struct db *db, struct db_report *report) {
    TRY(db_finish_detaches(db, report)); /* its rows are invisible: that waits for no window */
    if (!db_is_within_window(&db->options)) {
        TRY(db_add(report, &(struct db_item){
                               .state = DB_SKIPPED, .kind = "table", .what = "window",
                               .detail = SLICE_LIT("Outside of the maintenance window: only "
                                                   "watched.")}));
    } else {
        TRY(db_maintain_tables(db, report, TABLES_MAX));
    }
    return db_watch(db, report);
}

enum err_e db_maintain(struct db *db, struct db_report *report) {
    enum err_e err = db_begin_run(db);
    if (err == ERR_BUSY) {
        return err;
    }
    err = err != ERR_OK ? err : maintain(db, report);
    db_end_run(db);
    return err;
}
