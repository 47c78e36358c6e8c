/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slow statements by pg_stat_statements. The server has put $1, $2 in place of constants; those
 * that differ only in the length of a list, or in a name of a cursor, share a fingerprint and are
 * one here.
 */
#include "optimizer/postgres_priv.h"

#include "optimizer/fingerprint.h"

#include <stdio.h>

enum {
    READ_MAX = 100, /* statements looked at, those that took most time in all first */
    TOLD_MAX = 10,
    FACTS_MAX = 1 << 16,
    SHOWN = 160, /* characters of a statement in a sentence */
};

struct statement {
    struct statement *next;
    char fingerprint[FINGERPRINT_SIZE]; /* empty: the parser does not know it */
    struct slice query, id;
    int64_t calls, rows;
    double total_ms, hit_percent;
};

static const char statements_sql[] =
    "SELECT s.queryid, s.calls, s.total_exec_time, s.rows,"
    " 100.0 * s.shared_blks_hit / greatest(s.shared_blks_hit + s.shared_blks_read, 1), s.query"
    " FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid"
    " WHERE d.datname = current_database() AND s.mean_exec_time > $1::float8 AND s.calls > 0"
    "  AND s.query !~* '^\\s*(explain|vacuum|analyze|create|alter|drop|reindex|copy|prepare)'"
    " ORDER BY s.total_exec_time DESC LIMIT $2::int";

static struct statement *same_as(struct statement *first, const char *fingerprint) {
    for (struct statement *s = first; s != NULL && fingerprint[0] != '\0'; s = s->next) {
        if (strcmp(s->fingerprint, fingerprint) == 0) {
            return s;
        }
    }
    return NULL;
}

static enum err_e take_row(struct db *db, struct arena *arena, const struct db_rows *rows,
                           struct statement **first) {
    struct problem ignored;
    char fingerprint[FINGERPRINT_SIZE] = "";
    if (sql_fingerprint(db_cell(rows, 5), fingerprint, &ignored) != ERR_OK) {
        fingerprint[0] = '\0';
    }
    struct statement *known = same_as(*first, fingerprint);
    if (known != NULL) {
        known->calls += db_cell_int(rows, 1);
        known->total_ms += db_cell_real(rows, 2);
        known->rows += db_cell_int(rows, 3);
        return ERR_OK;
    }
    struct statement *s = arena_zalloc(arena, sizeof *s);
    struct slice query = arena_copy(arena, slice_of(db_cell(rows, 5)));
    struct slice id = arena_copy(arena, slice_of(db_cell(rows, 0)));
    if (s == NULL || query.at == NULL || id.at == NULL) {
        return problem_set(&db->problem, ERR_NO_MEMORY, "", "no memory for statements");
    }
    *s = (struct statement){.query = query, .id = id, .calls = db_cell_int(rows, 1),
                            .total_ms = db_cell_real(rows, 2), .rows = db_cell_int(rows, 3),
                            .hit_percent = db_cell_real(rows, 4)};
    memcpy(s->fingerprint, fingerprint, sizeof fingerprint);
    struct statement **end = first;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = s;
    return ERR_OK;
}

static enum err_e read_statements(struct db *db, struct arena *arena, struct statement **first) {
    char slow[32], limit[16];
    const char *args[] = {slow, limit, NULL};
    struct db_rows rows;
    snprintf(slow, sizeof slow, "%.3f", db->options.slow_ms);
    snprintf(limit, sizeof limit, "%d", READ_MAX);
    *first = NULL;
    enum err_e err = db_ask(db, statements_sql, args, &rows);
    bool readable = err == ERR_OK;
    while (err == ERR_OK && db_next(&rows)) {
        err = take_row(db, arena, &rows, first);
    }
    db_done(&rows);
    /* not loaded, or not ours to read: advice is a courtesy */
    return readable || db_is_lost(db) ? err : ERR_OK;
}

/* The text on one line, cut between characters. */
static void put_shown(struct buf *to, struct slice query) {
    bool space = false;
    size_t shown = 0;
    for (size_t i = 0; i < query.len && shown < SHOWN; i++) {
        bool is_space = strchr(" \t\r\n\f\v", query.at[i]) != NULL;
        if (is_space && !space) {
            buf_add_char(to, ' ');
        } else if (!is_space) {
            buf_add_char(to, query.at[i]);
        }
        bool ends = i + 1 == query.len || ((unsigned char)query.at[i + 1] & 0xc0) != 0x80;
        shown += ends;
        space = is_space;
    }
}

static double mean_of(const struct statement *s) {
    return s->total_ms / (double)s->calls;
}

static enum err_e add_statement(struct db_report *report, const struct statement *s) {
    struct buf facts, detail;
    struct json_writer w;
    buf_init(&facts, FACTS_MAX * 8);
    buf_init(&detail, FACTS_MAX);
    json_writer_init(&w, &facts);
    json_begin_object(&w);
    json_put_cstr(&w, "fingerprint", s->fingerprint[0] == '\0' ? NULL : s->fingerprint);
    json_put_int(&w, "calls", s->calls);
    json_put_real(&w, "mean_ms", mean_of(s), 3);
    json_put_real(&w, "total_ms", s->total_ms, 1);
    json_put_int(&w, "rows", s->rows);
    json_put_real(&w, "cache_hit_percent", s->hit_percent, 1);
    json_put_text(&w, "query", s->query);
    json_end_object(&w);
    buf_printf(&detail, "%lld calls, %.1f ms each, %lld rows each, %.0f %% of blocks from the"
               " cache: ", (long long)s->calls, mean_of(s), (long long)(s->rows / s->calls),
               s->hit_percent);
    put_shown(&detail, s->query);
    enum err_e err = facts.failed || detail.failed
                         ? ERR_NO_MEMORY
                         : db_add(report, &(struct db_item){.state = DB_WARNING,
                                                            .kind = "statement", .what = "slow",
                                                            .name = s->id,
                                                            .detail = buf_slice(&detail),
                                                            .facts = buf_slice(&facts)});
    buf_fini(&facts);
    buf_fini(&detail);
    return err;
}

/* ── extensions ── */

static enum err_e read_extensions(struct db *db, struct db_extensions *ret) {
    static const char sql[] =
        "SELECT bool_or(extname = 'pg_stat_statements'), bool_or(extname = 'hypopg'),"
        " bool_or(extname = 'pg_trgm') FROM pg_extension";
    struct db_rows rows;
    enum err_e err = db_ask(db, sql, NULL, &rows);
    *ret = (struct db_extensions){.statements = false};
    if (err == ERR_OK && db_next(&rows)) {
        *ret = (struct db_extensions){db_cell_is_true(&rows, 0), db_cell_is_true(&rows, 1),
                                      db_cell_is_true(&rows, 2)};
    }
    db_done(&rows);
    return err;
}

static enum err_e add_missing(struct db_report *report, const char *name, const char *detail) {
    return db_add(report, &(struct db_item){.state = DB_INFO, .kind = "extension",
                                            .what = "missing", .name = slice_of(name),
                                            .detail = slice_of(detail)});
}

static enum err_e tell_of_extensions(struct db_report *report, const struct db_extensions *have,
                                     bool is_advised) {
    if (!have->statements) {
        TRY(add_missing(report, "pg_stat_statements",
                        "Without it slow statements are not known: add it to "
                        "shared_preload_libraries, restart the server, then CREATE EXTENSION "
                        "pg_stat_statements."));
    }
    if (is_advised && !have->hypopg) {
        TRY(add_missing(report, "hypopg",
                        "With it the gain of an index is known before it is built: install "
                        "postgresql-15-hypopg, then CREATE EXTENSION hypopg."));
    }
    return ERR_OK;
}

/* ── all ── */

static enum err_e advise_all(struct db *db, struct db_report *report, struct statement *first,
                             struct db_advice *best) {
    struct db_extensions have;
    TRY(read_extensions(db, &have));
    size_t before = report->counts[DB_WARNING];
    int left = TOLD_MAX;
    for (const struct statement *s = first; s != NULL && left > 0; s = s->next) {
        left--;
        TRY(add_statement(report, s));
    }
    before = report->counts[DB_WARNING];
    left = TOLD_MAX;
    for (const struct statement *s = first; s != NULL && left > 0; s = s->next) {
        left--;
        struct db_slow slow = {s->query.at, s->fingerprint, s->calls, mean_of(s), s->total_ms};
        TRY(s->fingerprint[0] == '\0' ? ERR_OK : db_advise(db, report, &have, &slow, best));
    }
    return tell_of_extensions(report, &have, report->counts[DB_WARNING] > before);
}

enum err_e db_statements(struct db *db, struct db_report *report, struct db_advice *ret_best) {
    struct arena arena;
    struct statement *first;
    struct db_advice best = {.worth = 0};
    arena_init(&arena, DB_ARENA_LIMIT);
    enum err_e err = db_set_timeout(db, DB_READ_TIMEOUT_MS);
    err = err == ERR_OK ? read_statements(db, &arena, &first) : err;
    err = err == ERR_OK ? advise_all(db, report, first, &best) : err;
    arena_fini(&arena);
    if (ret_best != NULL) {
        *ret_best = best;
    }
    return err;
}
