/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Partitions of attendance_records: read from the catalog, planned (partition_plan.h), carried out.
 *
 * A partition is made beside the table and attached: CREATE TABLE … PARTITION OF would stop every
 * reader and writer. When a detach began is kept in the partition's comment, with its range: the
 * catalog forgets both. The comment comes before the detach, so no detached one is without it.
 */
#include "optimizer/postgres_priv.h"

#include "optimizer/partition_plan.h"
#include "optimizer/quote.h"

#include <stdio.h>

enum { PARTITIONS_MAX = 5000 };

#define TABLE "attendance_records"
/* '2026-10-01 00:00:00+00' in a bound to milliseconds. */
#define BOUND_MS(word)                                                                             \
    "(extract(epoch FROM substring(pg_get_expr(c.relpartbound, c.oid) FROM '" word                 \
    " \\(''([^'']+)''\\)')::timestamptz) * 1000)::bigint"
#define COMMENT_MS(word)                                                                           \
    "(extract(epoch FROM substring(d.description FROM '" word "=(\\S+)')::timestamptz) * 1000)"    \
    "::bigint"

/* Columns: name, state, from, to, detached. A range without an end is NULL. */
static const char attached_sql[] =
    "SELECT c.relname, CASE WHEN h.inhdetachpending THEN 'pending'"
    "  WHEN pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT' THEN 'default' ELSE 'attached' END,"
    " " BOUND_MS("FROM") ", " BOUND_MS("TO") ", NULL"
    " FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid"
    " WHERE h.inhparent = to_regclass('" TABLE "') ORDER BY 1";
static const char detached_sql[] =
    "SELECT c.relname, 'detached', " COMMENT_MS("from") ", " COMMENT_MS("to") ","
    " " COMMENT_MS("detached")
    " FROM pg_description d JOIN pg_class c ON c.oid = d.objoid"
    "  AND d.classoid = 'pg_class'::regclass AND d.objsubid = 0"
    " WHERE c.relkind = 'r' AND NOT c.relispartition AND d.description LIKE 'turnout detached=%'"
    "  AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('" TABLE
    "'))";

static enum partition_state_e state_of(const char *word) {
    return strcmp(word, "pending") == 0    ? PARTITION_DETACH_PENDING
           : strcmp(word, "default") == 0  ? PARTITION_DEFAULT
           : strcmp(word, "detached") == 0 ? PARTITION_DETACHED
                                           : PARTITION_ATTACHED;
}

struct found {
    struct partition *all;
    size_t count;
};

static enum err_e read_partitions(struct db *db, struct arena *arena, const char *sql,
                                  struct found *found) {
    struct db_rows rows;
    enum err_e err = db_ask(db, sql, NULL, &rows);
    while (err == ERR_OK && db_next(&rows)) {
        struct slice name = arena_copy(arena, slice_of(db_cell(&rows, 0)));
        if (name.at == NULL || found->count == PARTITIONS_MAX) {
            err = problem_set(&db->problem, ERR_NO_MEMORY, "", "more than %d partitions",
                              PARTITIONS_MAX);
            break;
        }
        found->all[found->count++] = (struct partition){
            .name = name,
            .state = state_of(db_cell(&rows, 1)),
            .from_ms = db_cell_is_null(&rows, 2) ? PARTITION_FROM_ALWAYS : db_cell_int(&rows, 2),
            .to_ms = db_cell_is_null(&rows, 3) ? PARTITION_TO_ALWAYS : db_cell_int(&rows, 3),
            .detached_ms = db_cell_is_null(&rows, 4) ? TIME_NONE : db_cell_int(&rows, 4),
        };
    }
    db_done(&rows);
    return err;
}

static enum err_e read_all(struct db *db, struct arena *arena, struct found *found) {
    found->count = 0;
    found->all = arena_alloc(arena, PARTITIONS_MAX * sizeof *found->all);
    if (found->all == NULL) {
        return problem_set(&db->problem, ERR_NO_MEMORY, "", "no memory for partitions");
    }
    TRY(read_partitions(db, arena, attached_sql, found));
    return read_partitions(db, arena, detached_sql, found);
}

static enum err_e make_plan(struct db *db, struct arena *arena, const struct found *found,
                            struct partition_plan *ret_plan) {
    const struct db_options *o = &db->options;
    struct partition_policy policy = {
        .table = SLICE_LIT(TABLE),
        .period = (enum partition_period_e)o->period,
        .ahead = o->ahead,
        .retention_ms = o->retention_ms,
        .quarantine_ms = o->quarantine_ms,
    };
    struct partition_view view = {
        .partitions = found->all,
        .count = found->count,
        .now_ms = o->pretended_ms != TIME_NONE ? o->pretended_ms : clock_wall_ms(o->clock),
    };
    return partition_plan_make(arena, &policy, &view, ret_plan, &db->problem);
}

/* ── one step as SQL ── */

struct texts {
    char name[2 * PARTITION_NAME_MAX + 8];
    char from[TIME_TEXT_SIZE + 8], to[TIME_TEXT_SIZE + 8]; /* MINVALUE, or in quotes */
    char comment_range[2 * TIME_TEXT_SIZE + 16];
};

static void put_bound(char *to, size_t size, int64_t ms, const char *endless) {
    char text[TIME_TEXT_SIZE];
    if (ms == PARTITION_FROM_ALWAYS || ms == PARTITION_TO_ALWAYS) {
        snprintf(to, size, "%s", endless);
        return;
    }
    time_format(ms, text);
    snprintf(to, size, "'%s'", text);
}

/* The bounds without quotes; an endless one is left out, and reads as endless. */
static void put_comment_range(struct texts *texts) {
    int len = 0;
    if (texts->from[0] == '\'') {
        len = snprintf(texts->comment_range, sizeof texts->comment_range, " from=%.24s",
                       texts->from + 1);
    }
    if (texts->to[0] == '\'') {
        snprintf(texts->comment_range + len, sizeof texts->comment_range - (size_t)len,
                 " to=%.24s", texts->to + 1);
    }
}

static void put_texts(const struct partition_step *step, struct texts *ret) {
    struct buf name;
    *ret = (struct texts){{0}, {0}, {0}, {0}};
    buf_init(&name, sizeof ret->name);
    quote_identifier(&name, slice_of(step->name));
    slice_to_cstr(buf_slice(&name), ret->name, sizeof ret->name);
    buf_fini(&name);
    put_bound(ret->from, sizeof ret->from, step->from_ms, "MINVALUE");
    put_bound(ret->to, sizeof ret->to, step->to_ms, "MAXVALUE");
    put_comment_range(ret);
}

/* As turnout_make_partition of the schema, for any range: the check spares ATTACH its scan. */
static void put_create(struct buf *sql, const struct texts *t) {
    buf_printf(sql,
               "BEGIN; CREATE TABLE %s (LIKE " TABLE " INCLUDING DEFAULTS INCLUDING CONSTRAINTS"
               " INCLUDING STORAGE); ALTER TABLE %s ADD CONSTRAINT bounds CHECK (\"timestamp\" IS"
               " NOT NULL AND \"timestamp\" >= %s AND \"timestamp\" < %s);"
               " ALTER TABLE " TABLE " ATTACH PARTITION %s FOR VALUES FROM (%s) TO (%s);"
               " ALTER TABLE %s DROP CONSTRAINT bounds;"
               " ALTER TABLE %s SET (autovacuum_vacuum_insert_scale_factor = 0.02,"
               " autovacuum_analyze_scale_factor = 0.02); COMMIT",
               t->name, t->name, t->from, t->to, t->name, t->from, t->to, t->name, t->name);
}

static void put_comment(struct buf *sql, const struct texts *t, int64_t now_ms) {
    char now[TIME_TEXT_SIZE];
    time_format(now_ms, now);
    buf_printf(sql, "COMMENT ON TABLE %s IS 'turnout detached=%s%s'", t->name, now,
               t->comment_range);
    buf_add_char(sql, '\0');
}

static enum err_e step_with(struct db *db, struct db_report *report,
                            const struct partition_step *step, struct db_change *change) {
    struct db_item item = {
        .kind = "partition",
        .what = partition_step_word(step->kind),
        .name = slice_of(step->name),
        .detail = slice_of(partition_step_text(step->kind)),
        .lock = partition_step_lock(step->kind),
    };
    change->relation = TABLE;
    return db_step(db, report, &item, change);
}

static enum err_e journal_detach(struct db *db, const struct db_report *report,
                                 const struct partition_step *step, const char *how) {
    enum db_state_e state = report->last->state;
    if (state != DB_DONE && state != DB_FAILED) {
        return ERR_OK; /* planned, or no time was left */
    }
    return db_journal(db, &(struct db_action){
                              .action = strcmp(how, "FINALIZE") == 0 ? "finish detach of partition"
                                                                     : "detach partition",
                              .target = step->name,
                              .outcome = state == DB_DONE ? "done" : "failed",
                              .detail = report->last->detail});
}

/* The comment goes first; without it nothing is detached. */
static enum err_e detach(struct db *db, struct db_report *report,
                         const struct partition_step *step, const char *how) {
    struct texts texts;
    struct buf sql;
    put_texts(step, &texts);
    buf_init(&sql, DB_SQL_MAX);
    put_comment(&sql, &texts, clock_wall_ms(db->options.clock));
    enum err_e err = sql.failed ? ERR_NO_MEMORY : ERR_OK;
    if (err == ERR_OK && db->options.mode == DB_CARRY_OUT) {
        err = db_change(db, &(struct db_change){.sql = sql.at, .relation = step->name});
    }
    if (err == ERR_OK) {
        buf_clear(&sql);
        buf_printf(&sql, "ALTER TABLE " TABLE " DETACH PARTITION %s %s", texts.name, how);
        buf_add_char(&sql, '\0');
        char finish[256];
        snprintf(finish, sizeof finish, "ALTER TABLE " TABLE " DETACH PARTITION %s FINALIZE",
                 texts.name);
        struct db_change change = {.sql = sql.at, .finish = finish};
        err = sql.failed ? ERR_NO_MEMORY : step_with(db, report, step, &change);
        err = err == ERR_OK ? journal_detach(db, report, step, how) : err;
    } else if (!db_is_lost(db)) {
        err = db_add(report, &(struct db_item){.state = DB_FAILED, .kind = "partition",
                                               .what = partition_step_word(step->kind),
                                               .name = slice_of(step->name),
                                               .detail = slice_of(db->problem.detail)});
    }
    buf_fini(&sql);
    return err;
}

static enum err_e create(struct db *db, struct db_report *report,
                                 const struct partition_step *step) {
    struct texts texts;
    struct buf sql;
    put_texts(step, &texts);
    buf_init(&sql, DB_SQL_MAX);
    put_create(&sql, &texts);
    buf_add_char(&sql, '\0');
    enum err_e err = ERR_NO_MEMORY;
    if (!sql.failed) {
        err = step_with(db, report, step, &(struct db_change){.sql = sql.at});
    }
    buf_fini(&sql);
    return err;
}

static enum err_e add_warning(struct db_report *report, const struct partition_step *step) {
    return db_add(report, &(struct db_item){.state = DB_WARNING, .kind = "partition",
                                            .what = partition_step_word(step->kind),
                                            .name = slice_of(step->name),
                                            .detail = slice_of(partition_step_text(step->kind))});
}

/* A time that somebody pretends may make partitions, never take them away. */
static bool is_pretence(const struct db *db) {
    return db->options.pretended_ms != TIME_NONE && db->options.mode == DB_CARRY_OUT;
}

static enum err_e retire(struct db *db, struct db_report *report,
                         const struct partition_step *step) {
    if (is_pretence(db)) {
        return db_add(report, &(struct db_item){
                                  .state = DB_SKIPPED, .kind = "partition",
                                  .what = partition_step_word(step->kind),
                                  .name = slice_of(step->name),
                                  .detail = SLICE_LIT("Nothing is retired by a pretended time.")});
    }
    if (step->kind == PARTITION_DETACH) {
        return detach(db, report, step, "CONCURRENTLY");
    }
    struct texts texts;
    put_texts(step, &texts);
    return db_partition_drop(db, report,
                             &(struct db_partition_end){slice_of(step->name), texts.name,
                                                        partition_step_lock(step->kind)});
}

static enum err_e take_step(struct db *db, struct db_report *report,
                            const struct partition_step *step) {
    switch (step->kind) {
    case PARTITION_FINALIZE:
        return detach(db, report, step, "FINALIZE");
    case PARTITION_CREATE:
    case PARTITION_FILL_GAP:
        return create(db, report, step);
    case PARTITION_DETACH:
    case PARTITION_DROP:
        return retire(db, report, step);
    case PARTITION_WARN_HORIZON:
    case PARTITION_WARN_CLOCK:
    case PARTITION_WARN_DEFAULT:
    case PARTITION_WARN_DETACHED:
    case PARTITION_WARN_FOREIGN:
        return add_warning(report, step);
    case PARTITION_STEP_COUNT:
        break;
    }
    UNREACHABLE();
}

static enum err_e add_summary(struct db_report *report, const struct found *found) {
    char detail[128];
    size_t attached = 0, detached = 0;
    for (size_t i = 0; i < found->count; i++) {
        attached += found->all[i].state == PARTITION_ATTACHED;
        detached += found->all[i].state == PARTITION_DETACHED;
    }
    snprintf(detail, sizeof detail, "%zu attached, %zu detached and waiting to be dropped.",
             attached, detached);
    return db_add(report, &(struct db_item){.state = DB_INFO, .kind = "partition",
                                            .what = "count", .name = SLICE_LIT(TABLE),
                                            .detail = slice_of(detail)});
}

static enum err_e add_partition(struct db *db, struct db_report *report,
                                const struct partition *one) {
    static const struct {
        enum db_state_e state;
        const char *what;
    } rows[] = {
        [PARTITION_ATTACHED] = {DB_GOOD, "attached"},
        [PARTITION_DETACH_PENDING] = {DB_WARNING, "detach_pending"},
        [PARTITION_DETACHED] = {DB_INFO, "detached"},
        [PARTITION_DEFAULT] = {DB_WARNING, "default"},
    };
    struct buf facts;
    struct json_writer w;
    bool has_range = one->state != PARTITION_DEFAULT;
    buf_init(&facts, DB_SQL_MAX);
    json_writer_init(&w, &facts);
    json_begin_object(&w);
    json_put_time(&w, "from", has_range && one->from_ms != PARTITION_FROM_ALWAYS ? one->from_ms
                                                                                  : TIME_NONE);
    json_put_time(&w, "to", has_range && one->to_ms != PARTITION_TO_ALWAYS ? one->to_ms
                                                                            : TIME_NONE);
    json_put_time(&w, "detached_at", one->detached_ms);
    enum err_e err = db_partition_facts(db, one->name, &w);
    json_end_object(&w);
    err = err != ERR_OK ? err
                        : db_add(report, &(struct db_item){.state = rows[one->state].state,
                                                           .kind = "partition",
                                                           .what = rows[one->state].what,
                                                           .name = one->name,
                                                           .facts = buf_slice(&facts)});
    buf_fini(&facts);
    return err;
}

static enum err_e add_partitions(struct db *db, struct db_report *report,
                                 const struct found *found) {
    for (size_t i = 0; i < found->count; i++) {
        TRY(add_partition(db, report, &found->all[i]));
    }
    return add_summary(report, found);
}

/* Nodes that need a partition at once make one of the same kind. */
static enum err_e keep_period(struct db *db) {
    static const char sql[] =
        "INSERT INTO turnout_meta (key, value) VALUES ('partition_period', $1::text::bytea)"
        " ON CONFLICT (key) DO UPDATE SET value = excluded.value"
        " WHERE turnout_meta.value <> excluded.value";
    const char *args[] = {partition_period_word((enum partition_period_e)db->options.period), NULL};
    struct db_rows rows;
    if (db->options.mode == DB_DRY_RUN) {
        return ERR_OK;
    }
    enum err_e err = db_ask(db, sql, args, &rows);
    db_done(&rows);
    return err;
}

enum err_e db_finish_detaches(struct db *db, struct db_report *report) {
    struct arena arena;
    struct found found;
    struct partition_plan plan;
    arena_init(&arena, DB_ARENA_LIMIT);
    enum err_e err = read_all(db, &arena, &found);
    err = err == ERR_OK ? make_plan(db, &arena, &found, &plan) : err;
    for (size_t i = 0; err == ERR_OK && i < plan.count; i++) {
        if (plan.steps[i].kind == PARTITION_FINALIZE) {
            err = take_step(db, report, &plan.steps[i]);
        }
    }
    arena_fini(&arena);
    return err;
}

static enum err_e plan_and_do(struct db *db, struct db_report *report, struct arena *arena) {
    struct found found;
    struct partition_plan plan;
    TRY(keep_period(db));
    TRY(read_all(db, arena, &found));
    TRY(make_plan(db, arena, &found, &plan));
    for (size_t i = 0; i < plan.count; i++) {
        TRY(take_step(db, report, &plan.steps[i]));
    }
    if (db->options.mode == DB_CARRY_OUT && plan.count > 0) {
        TRY(read_all(db, arena, &found));
    }
    return add_partitions(db, report, &found);
}

/* Partitions that follow each other, from the one that holds now. */
enum err_e db_horizon(struct db *db, int64_t *ret_ms) {
    static const char sql[] =
        "WITH RECURSIVE p AS (SELECT " BOUND_MS("FROM") " AS since, " BOUND_MS("TO") " AS until"
        "  FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid"
        "  WHERE h.inhparent = to_regclass('" TABLE "') AND NOT h.inhdetachpending),"
        " row_of(until) AS (SELECT until FROM p WHERE coalesce(since, 0) <= $1::bigint"
        "  AND until > $1::bigint UNION SELECT p.until FROM p JOIN row_of r ON p.since = r.until)"
        " SELECT max(until) FROM row_of";
    char now[24];
    snprintf(now, sizeof now, "%lld", (long long)clock_wall_ms(db->options.clock));
    const char *args[] = {now, NULL};
    struct db_rows rows;
    enum err_e err = db_ask(db, sql, args, &rows);
    bool known = err == ERR_OK && db_next(&rows) && !db_cell_is_null(&rows, 0);
    *ret_ms = known ? db_cell_int(&rows, 0) : TIME_NONE;
    db_done(&rows);
    return err;
}

enum err_e db_partitions(struct db *db, struct db_report *report) {
    struct arena arena;
    enum err_e err = db_begin_run(db);
    if (err == ERR_BUSY) {
        return err;
    }
    arena_init(&arena, DB_ARENA_LIMIT);
    err = err != ERR_OK ? err : plan_and_do(db, report, &arena);
    arena_fini(&arena);
    db_end_run(db);
    return err;
}
