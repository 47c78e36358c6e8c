/* SPDX-License-Identifier: Apache-2.0 */
/* The critical queries measured and judged, and the statements that the server knows as slow. */
#include "optimizer/explain.h"
#include "optimizer/postgres_priv.h"

enum { FACTS_MAX = 4 << 20 };

static void write_facts(struct json_writer *w, const struct db_measure *m) {
    json_begin_object(w);
    json_put_real(w, "execution_ms", m->ms, 3);
    json_key(w, "buffers");
    json_begin_object(w);
    json_put_int(w, "touched", (int64_t)m->blocks);
    json_put_int(w, "read", (int64_t)m->read);
    json_put_int(w, "temp_written", (int64_t)m->temp);
    json_end_object(w);
    json_put_int(w, "partitions", (int64_t)m->partitions);
    json_key(w, "plan");
    explain_write(w, m->report);
    json_end_object(w);
}

static void put_indexes(struct buf *to, const struct explain_report *report) {
    enum { SHOWN = 3 };
    if (report->index_count == 0) {
        buf_add_text(to, "no index");
    }
    for (size_t i = 0; i < report->index_count && i < SHOWN; i++) {
        buf_printf(to, "%s%.*s", i > 0 ? ", " : "", SLICE_ARG(report->indexes[i]));
    }
    if (report->index_count > SHOWN) {
        buf_printf(to, " and %zu more", report->index_count - SHOWN);
    }
}

static void put_detail(struct buf *to, const struct db_measure *m, double slow_ms) {
    buf_printf(to, "%.3f ms%s, %.0f blocks, %zu partitions, ", m->ms,
               m->ms > slow_ms ? " (slow)" : "", m->blocks, m->partitions);
    put_indexes(to, m->report);
    buf_add_char(to, '.');
    for (const struct finding *f = m->report->findings; f != NULL; f = f->next) {
        buf_printf(to, "\n         %.*s: %.*s", SLICE_ARG(f->where), SLICE_ARG(f->message));
    }
}

static bool has_serious(const struct explain_report *report) {
    /* most severe first */
    return report->findings != NULL && report->findings->severity != FINDING_INFO;
}

static enum err_e add_measured(struct db *db, struct db_report *report, enum db_query_e query,
                               const struct db_measure *m) {
    struct buf facts, detail;
    struct json_writer w;
    buf_init(&facts, FACTS_MAX);
    buf_init(&detail, FACTS_MAX);
    json_writer_init(&w, &facts);
    write_facts(&w, m);
    put_detail(&detail, m, db->options.slow_ms);
    bool is_slow = m->ms > db->options.slow_ms;
    struct db_item item = {
        .state = is_slow || has_serious(m->report) ? DB_WARNING : DB_GOOD,
        .kind = "query",
        .what = is_slow ? "slow" : has_serious(m->report) ? "findings" : "healthy",
        .name = slice_of(db_query_word(query)),
        .detail = buf_slice(&detail),
        .facts = buf_slice(&facts),
    };
    enum err_e err = facts.failed || detail.failed ? ERR_NO_MEMORY : db_add(report, &item);
    buf_fini(&facts);
    buf_fini(&detail);
    return err;
}

static enum err_e add_query(struct db *db, struct db_report *report, enum db_query_e query,
                            const struct db_measure *m) {
    if (m->measured && !m->timed_out) {
        return add_measured(db, report, query, m);
    }
    return db_add(report, &(struct db_item){
                              .state = m->timed_out ? DB_WARNING : DB_SKIPPED,
                              .kind = "query",
                              .what = m->timed_out ? "timeout" : "no_data",
                              .name = slice_of(db_query_word(query)),
                              .detail = m->timed_out
                                            ? SLICE_LIT("It did not end within 10 s.")
                                            : SLICE_LIT("There are no rows to ask for.")});
}

enum err_e db_analyze(struct db *db, struct db_report *report) {
    struct db_sample sample;
    struct arena arena;
    enum err_e err = db_sample_draw(db, &sample);
    for (int i = 0; err == ERR_OK && i < DB_QUERY_COUNT; i++) {
        struct db_measure measure;
        arena_init(&arena, PLAN_ARENA_LIMIT);
        err = db_measure(db, &arena, &sample, (enum db_query_e)i, &measure);
        err = err != ERR_OK ? err : add_query(db, report, (enum db_query_e)i, &measure);
        arena_fini(&arena);
    }
    return err != ERR_OK ? err : db_statements(db, report, NULL);
}
