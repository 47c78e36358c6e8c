/* SPDX-License-Identifier: Apache-2.0 */
/* History, stats and timeline. Counts come from roll-ups, never from counting records. */
#include "store/sqlite_priv.h"

/* ── history ── */

/* Conditions are fixed texts; values are parameters only. Parameters are numbered as they are
 * bound, in the order of this table. */
struct condition {
    bool wanted;
    const char *sql;
};

static bool has(int64_t ms) {
    return ms != TIME_NONE;
}

static void bind_filter(struct sql_run *run, const struct store_op *op, int64_t event_id,
                        int64_t gate_id) {
    const struct attendance_filter *filter = &op->attendance.filter;
    sql_int(run, event_id);
    sql_int_or_null(run, filter->participant_id, 0);
    sql_int_or_null(run, gate_id, 0);
    sql_word(run, filter->method < 0 ? NULL : method_text((enum method_e)filter->method));
    sql_word(run, filter->verdict < 0 ? NULL : verdict_text((enum verdict_e)filter->verdict));
    sql_int_or_null(run, filter->since_ms, TIME_NONE);
    sql_int_or_null(run, filter->until_ms, TIME_NONE);
    sql_int_or_null(run, filter->recorded_since_ms, TIME_NONE);
    sql_int_or_null(run, op->attendance.after_at_ms, TIME_NONE);
    sql_int(run, op->attendance.after_id);
    sql_int(run, (int64_t)op->attendance.limit + 1);
}

/* The planner takes the index of the first condition without a unary plus: the narrowest that is
 * asked for, in this order: participant, recorded_since, gate, refused, method, event. */
static void build_history_sql(struct buf *sql, const struct store_op *op, int64_t gate_id) {
    const struct attendance_filter *filter = &op->attendance.filter;
    bool by_person = filter->participant_id != 0;
    bool by_id = !by_person && has(filter->recorded_since_ms);
    bool by_gate = !by_person && !by_id && gate_id != 0;
    bool refused = filter->verdict == VERDICT_REFUSED;
    bool by_refused = !by_person && !by_id && !by_gate && refused;
    bool by_method = !by_person && !by_id && !by_gate && !by_refused && filter->method >= 0;
    bool by_event = by_refused || by_method || (!by_person && !by_id && !by_gate);
    const struct condition conditions[] = {
        {by_event, " WHERE r.event_id = ?1"},
        {!by_event, " WHERE +r.event_id = ?1"},
        {by_person, " AND r.participant_id = ?2"},
        {by_gate, " AND r.gate_id = ?3"},
        {!by_gate && gate_id != 0, " AND +r.gate_id = ?3"},
        {by_method, " AND r.method = ?4"},
        {!by_method && filter->method >= 0, " AND +r.method = ?4"},
        {by_refused, " AND r.verdict = 'refused'"},
        {filter->verdict >= 0, " AND +r.verdict = ?5"},
        {has(filter->since_ms), by_id ? " AND +r.timestamp >= ?6" : " AND r.timestamp >= ?6"},
        {has(filter->until_ms), by_id ? " AND +r.timestamp < ?7" : " AND r.timestamp < ?7"},
        {by_id, " AND r.id >= (?8 << 20) AND r.recorded_at >= ?8"},
        {!by_id && has(filter->recorded_since_ms), " AND r.recorded_at >= ?8"},
        {has(op->attendance.after_at_ms),
         by_id ? " AND (+r.timestamp, r.id) < (?9, ?10)"
               : " AND r.timestamp <= ?9 AND (r.timestamp, r.id) < (?9, ?10)"},
    };
    buf_add_text(sql, "SELECT " RECORD_COLUMNS
                      " FROM attendance_records r CROSS JOIN gates g ON g.id = r.gate_id");
    for (size_t i = 0; i < sizeof conditions / sizeof conditions[0]; i++) {
        if (conditions[i].wanted) {
            buf_add_text(sql, conditions[i].sql);
        }
    }
    buf_add_text(sql, " ORDER BY r.timestamp DESC, r.id DESC LIMIT ?11");
    buf_add_char(sql, '\0');
}

/* 0 when no gate is asked for. */
static enum err_e find_gate(struct sqlite_reader *r, int64_t event_id, struct slice code,
                            int64_t *ret_id) {
    *ret_id = 0;
    if (code.len == 0) {
        return ERR_OK;
    }
    bool row;
    struct sql_run run = sql_begin(&r->conn, SQL_GATE_BY_CODE);
    sql_int(&run, event_id);
    sql_text(&run, code);
    TRY(sql_step(&run, &row));
    if (!row) {
        return ERR_UNKNOWN_GATE;
    }
    *ret_id = sql_get_int(&run);
    sql_end(&run);
    return ERR_OK;
}

static enum err_e read_history(struct sqlite_reader *r, struct store_op *op, int64_t event_id,
                               int64_t gate_id, sqlite3_stmt *stmt) {
    struct sql_run run = sql_begin_stmt(&r->conn, stmt);
    bind_filter(&run, op, event_id, gate_id);
    READ_PAGE(run, op, op->attendance, row_record);
    return ERR_OK;
}

MAY_BLOCK enum err_e reader_list_attendance(struct sqlite_reader *r, struct store_op *op) {
    int64_t event_id, gate_id;
    TRY(find_event(&r->conn, op->event, &event_id));
    TRY(find_gate(r, event_id, op->attendance.filter.gate, &gate_id));
    struct buf sql;
    buf_init(&sql, 2048);
    build_history_sql(&sql, op, gate_id);
    if (sql.failed) {
        buf_fini(&sql);
        return ERR_NO_MEMORY;
    }
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(r->conn.db, sql.at, -1, &stmt, NULL);
    enum err_e err = rc == SQLITE_OK ? read_history(r, op, event_id, gate_id, stmt)
                                     : sqlite_translate(r->conn.db);
    sqlite3_finalize(stmt);
    buf_fini(&sql);
    return err;
}

/* ── stats ── */

static enum err_e read_event_stats(struct sqlite_reader *r, struct store_op *op,
                                   int64_t event_id) {
    bool row;
    struct sql_run run = sql_begin(&r->conn, SQL_EVENT_STATS);
    sql_int(&run, event_id);
    TRY(sql_step(&run, &row));
    if (!row) {
        return ERR_OK;
    }
    op->stats.participants = sql_get_int(&run);
    op->stats.admitted = sql_get_int(&run);
    op->stats.inside = sql_get_int(&run);
    op->stats.scans = sql_get_int(&run);
    op->stats.refused = sql_get_int(&run);
    for (int i = 0; i < METHOD_COUNT; i++) {
        op->stats.methods[i] = sql_get_int(&run);
    }
    sql_end(&run);
    return ERR_OK;
}

static enum err_e add_gate_stats(struct sqlite_reader *r, struct sql_run *run,
                                 struct store_op *op, size_t *size) {
    struct event_stats *stats = &op->stats;
    if (stats->gates_len == *size) {
        size_t grown_size = *size == 0 ? 64 : 2 * *size;
        struct gate_stats *grown = arena_alloc(&op->arena, grown_size * sizeof *grown);
        if (grown == NULL) {
            return ERR_NO_MEMORY;
        }
        if (stats->gates_len > 0) {
            memcpy(grown, stats->gates, stats->gates_len * sizeof *grown);
        }
        stats->gates = grown;
        *size = grown_size;
    }
    struct gate gate;
    if (!row_gate(run, &op->arena, &gate)) {
        return ERR_NO_MEMORY;
    }
    struct gate_stats *added = &stats->gates[stats->gates_len++];
    added->gate = gate.code;
    added->admitted = sql_get_int(run);
    added->exited = sql_get_int(run);
    added->refused = sql_get_int(run);
    added->last_minute = sqlite_recent_sum(r->recent, gate.id, stats->as_of_ms / 1000);
    return ERR_OK;
}

static enum err_e read_gate_stats(struct sqlite_reader *r, struct store_op *op,
                                  int64_t event_id) {
    size_t size = 0;
    struct sql_run run = sql_begin(&r->conn, SQL_GATES_OF_EVENT);
    sql_int(&run, event_id);
    for (;;) {
        bool row;
        TRY(sql_step(&run, &row));
        if (!row) {
            return ERR_OK;
        }
        enum err_e err = add_gate_stats(r, &run, op, &size);
        if (err != ERR_OK) {
            sql_end(&run);
            return err;
        }
    }
}

MAY_BLOCK enum err_e reader_stats(struct sqlite_reader *r, struct store_op *op) {
    int64_t event_id;
    op->stats = (struct event_stats){.as_of_ms = clock_wall_ms(r->conn.clock)};
    TRY(find_event(&r->conn, op->event, &event_id));
    TRY(read_event_stats(r, op, event_id));
    return read_gate_stats(r, op, event_id);
}

/* ── timeline ── */

static enum err_e read_points(struct sql_run *run, struct store_op *op) {
    op->timeline.points =
        arena_alloc(&op->arena, STORE_TIMELINE_MAX * sizeof *op->timeline.points);
    if (op->timeline.points == NULL) {
        return ERR_NO_MEMORY;
    }
    for (op->timeline.len = 0;;) {
        bool row;
        TRY(sql_step(run, &row));
        if (!row) {
            return ERR_OK;
        }
        if (op->timeline.len == STORE_TIMELINE_MAX) {
            return problem_set(&op->problem, ERR_INVALID_FIELD, "step",
                               "more than %d points: take a larger step or a shorter time",
                               STORE_TIMELINE_MAX);
        }
        struct timeline_point *point = &op->timeline.points[op->timeline.len];
        point->at_ms = op->timeline.since_ms + sql_get_int(run) * op->timeline.step_ms;
        if (!sql_get_copy(run, &op->arena, &point->gate)) {
            return ERR_NO_MEMORY;
        }
        point->admitted = sql_get_int(run);
        point->exited = sql_get_int(run);
        point->refused = sql_get_int(run);
        /* What was annulled leaves an empty minute behind. */
        op->timeline.len += point->admitted != 0 || point->exited != 0 || point->refused != 0;
    }
}

MAY_BLOCK enum err_e reader_timeline(struct sqlite_reader *r, struct store_op *op) {
    int64_t event_id;
    TRY(find_event(&r->conn, op->event, &event_id));
    /* Whole minutes come from the roll-up; finer steps count the records of their short time. */
    bool minutes = op->timeline.step_ms % 60000 == 0;
    struct sql_run run =
        sql_begin(&r->conn, minutes ? SQL_TIMELINE_MINUTES : SQL_TIMELINE_RECORDS);
    sql_int(&run, event_id);
    sql_int(&run, op->timeline.since_ms);
    sql_int(&run, op->timeline.until_ms);
    sql_int(&run, op->timeline.step_ms);
    sql_int(&run, STORE_TIMELINE_MAX + 1);
    enum err_e err = read_points(&run, op);
    sql_end(&run);
    return err;
}
