/* SPDX-License-Identifier: Apache-2.0 */
/* History, stats and timeline. Counts come from roll-ups, never from counting records. */
#include "store/postgres_priv.h"

/* ── history ── */

/* Conditions are fixed texts; values are parameters only. Parameters are numbered in the order that
 * add_filter adds them; their types are sent along, so one that no condition names does no harm. */
struct condition {
    bool wanted;
    const char *sql;
};

static bool has(int64_t ms) {
    return ms != TIME_NONE;
}

static void add_filter(struct pg_args *args, const struct store_op *op) {
    const struct attendance_filter *filter = &op->attendance.filter;
    pg_args_init(args);
    pg_arg_text(args, op->event);
    pg_arg_int(args, filter->participant_id);
    pg_arg_text(args, filter->gate);
    pg_arg_word(args, filter->method < 0 ? NULL : method_text((enum method_e)filter->method));
    pg_arg_word(args, filter->verdict < 0 ? NULL : verdict_text((enum verdict_e)filter->verdict));
    pg_arg_time(args, filter->since_ms);
    pg_arg_time(args, filter->until_ms);
    pg_arg_time(args, filter->recorded_since_ms);
    pg_arg_time(args, op->attendance.after_at_ms);
    pg_arg_int(args, op->attendance.after_id);
    pg_arg_int(args, (int64_t)op->attendance.limit + 1);
}

static void build_history_sql(struct buf *sql, const struct store_op *op) {
    const struct attendance_filter *filter = &op->attendance.filter;
    const struct condition conditions[] = {
        {true, " WHERE r.event_id = " PG_EVENT_ID},
        {filter->participant_id != 0, " AND r.participant_id = $2"},
        {filter->gate.len > 0, " AND r.gate_id = (SELECT id FROM gates WHERE code = $3"
                               " AND event_id = " PG_EVENT_ID ")"},
        {filter->method >= 0, " AND r.method = $4"},
        {filter->verdict == VERDICT_REFUSED, " AND r.verdict = 'refused'"}, /* its own index */
        {filter->verdict >= 0, " AND r.verdict = $5"},
        {has(filter->since_ms), " AND r.timestamp >= $6"},
        {has(filter->until_ms), " AND r.timestamp < $7"},
        {has(filter->recorded_since_ms), " AND r.recorded_at >= $8"},
        {has(op->attendance.after_at_ms),
         " AND r.timestamp <= $9 AND (r.timestamp, r.id) < ($9, $10)"},
    };
    buf_add_text(sql, "SELECT " PG_RECORD_COLUMNS
                      " FROM attendance_records r JOIN gates g ON g.id = r.gate_id");
    for (size_t i = 0; i < sizeof conditions / sizeof conditions[0]; i++) {
        if (conditions[i].wanted) {
            buf_add_text(sql, conditions[i].sql);
        }
    }
    buf_add_text(sql, " ORDER BY r.timestamp DESC, r.id DESC LIMIT $11");
    buf_add_char(sql, '\0');
}

static size_t put_event_look_up(struct pg_reader *r, const struct store_op *op) {
    struct pg_args args;
    pg_args_init(&args);
    pg_arg_text(&args, op->event);
    return pg_put(&r->conn, PG_SQL_EVENT_BY_CODE, &args);
}

static enum err_e check_found(const struct pg_reader *r, size_t place, enum err_e otherwise) {
    struct pg_rows rows = pg_rows_of(&r->conn, place);
    return pg_next(&rows) ? ERR_OK : otherwise;
}

enum err_e pg_list_attendance(struct pg_reader *r, struct store_op *op) {
    struct pg_args args;
    struct buf sql;
    buf_init(&sql, 4096);
    build_history_sql(&sql, op);
    if (sql.failed) { /* before anything is on its way */
        buf_fini(&sql);
        return ERR_NO_MEMORY;
    }
    size_t event = put_event_look_up(r, op);
    pg_args_init(&args);
    pg_arg_text(&args, op->event);
    pg_arg_text(&args, op->attendance.filter.gate);
    size_t gate = pg_put(&r->conn, PG_SQL_GATE_BY_CODE, &args);
    add_filter(&args, op);
    size_t place = pg_put_text(&r->conn, sql.at, &args);
    buf_fini(&sql);
    TRY(pg_read(r));
    TRY(check_found(r, event, ERR_UNKNOWN_EVENT));
    if (op->attendance.filter.gate.len > 0) {
        TRY(check_found(r, gate, ERR_UNKNOWN_GATE));
    }
    struct pg_rows rows = pg_rows_of(&r->conn, place);
    PG_READ_PAGE(rows, op, op->attendance, pg_row_record);
    return ERR_OK;
}

/* ── stats ── */

static void read_event_stats(struct pg_rows rows, struct event_stats *stats) {
    if (!pg_next(&rows)) {
        return;
    }
    stats->participants = pg_get_int(&rows);
    stats->admitted = pg_get_int(&rows);
    stats->inside = pg_get_int(&rows);
    stats->scans = pg_get_int(&rows);
    stats->refused = pg_get_int(&rows);
    for (int i = 0; i < METHOD_COUNT; i++) {
        stats->methods[i] = pg_get_int(&rows);
    }
}

static enum err_e read_gate_stats(struct pg_rows rows, struct arena *arena,
                                  struct event_stats *stats) {
    size_t len = (size_t)PQntuples(rows.result);
    stats->gates = arena_alloc(arena, (len + 1) * sizeof *stats->gates);
    if (stats->gates == NULL) {
        return ERR_NO_MEMORY;
    }
    while (pg_next(&rows)) {
        struct gate_stats *gate = &stats->gates[stats->gates_len++];
        if (!pg_get_copy(&rows, arena, &gate->gate)) {
            return ERR_NO_MEMORY;
        }
        gate->admitted = pg_get_int(&rows);
        gate->exited = pg_get_int(&rows);
        gate->refused = pg_get_int(&rows);
        gate->last_minute = pg_get_int(&rows);
    }
    return ERR_OK;
}

enum err_e pg_read_stats(struct pg_reader *r, struct store_op *op) {
    struct pg_args args;
    op->stats = (struct event_stats){.as_of_ms = clock_wall_ms(r->clock)};
    size_t event = put_event_look_up(r, op);
    pg_args_init(&args);
    pg_arg_text(&args, op->event);
    size_t stats = pg_put(&r->conn, PG_SQL_EVENT_STATS, &args);
    pg_arg_int(&args, op->stats.as_of_ms / 1000);
    size_t gates = pg_put(&r->conn, PG_SQL_GATE_STATS, &args);
    TRY(pg_read(r));
    TRY(check_found(r, event, ERR_UNKNOWN_EVENT));
    read_event_stats(pg_rows_of(&r->conn, stats), &op->stats);
    return read_gate_stats(pg_rows_of(&r->conn, gates), &op->arena, &op->stats);
}

/* ── timeline ── */

static enum err_e read_points(struct pg_rows rows, struct store_op *op) {
    op->timeline.points =
        arena_alloc(&op->arena, STORE_TIMELINE_MAX * sizeof *op->timeline.points);
    if (op->timeline.points == NULL) {
        return ERR_NO_MEMORY;
    }
    op->timeline.len = 0;
    while (pg_next(&rows)) {
        if (op->timeline.len == STORE_TIMELINE_MAX) {
            return problem_set(&op->problem, ERR_INVALID_FIELD, "step",
                               "more than %d points: take a larger step or a shorter time",
                               STORE_TIMELINE_MAX);
        }
        struct timeline_point *point = &op->timeline.points[op->timeline.len];
        point->at_ms = op->timeline.since_ms + pg_get_int(&rows) * op->timeline.step_ms;
        if (!pg_get_copy(&rows, &op->arena, &point->gate)) {
            return ERR_NO_MEMORY;
        }
        point->admitted = pg_get_int(&rows);
        point->exited = pg_get_int(&rows);
        point->refused = pg_get_int(&rows);
        /* What was annulled leaves an empty minute behind. */
        op->timeline.len += point->admitted != 0 || point->exited != 0 || point->refused != 0;
    }
    return ERR_OK;
}

/* Whole minutes come from the roll-up; finer steps count the records of their short time. */
static size_t put_timeline(struct pg_reader *r, const struct store_op *op) {
    struct pg_args args;
    bool minutes = op->timeline.step_ms % 60000 == 0;
    pg_args_init(&args);
    pg_arg_text(&args, op->event);
    if (minutes) {
        pg_arg_int(&args, op->timeline.since_ms);
        pg_arg_int(&args, op->timeline.until_ms);
    } else {
        pg_arg_time(&args, op->timeline.since_ms);
        pg_arg_time(&args, op->timeline.until_ms);
    }
    pg_arg_int(&args, op->timeline.step_ms);
    pg_arg_int(&args, STORE_TIMELINE_MAX + 1);
    if (!minutes) {
        pg_arg_int(&args, op->timeline.since_ms / 1000);
    }
    return pg_put(&r->conn, minutes ? PG_SQL_TIMELINE_MINUTES : PG_SQL_TIMELINE_RECORDS, &args);
}

enum err_e pg_read_timeline(struct pg_reader *r, struct store_op *op) {
    size_t event = put_event_look_up(r, op);
    size_t place = put_timeline(r, op);
    TRY(pg_read(r));
    TRY(check_found(r, event, ERR_UNKNOWN_EVENT));
    return read_points(pg_rows_of(&r->conn, place), op);
}
