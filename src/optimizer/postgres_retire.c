/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a detached partition: its rows go into a file if that is configured, then its nonces
 * go, then the table. Each is done only when what comes before it was.
 *
 *   archive   COPY into FOLDER/NAME.csv.gz, read back; as many rows as the table has
 *   nonces    a nonce lives as long as its record: 10,000 records a statement, by primary key
 *   drop
 */
#include "optimizer/postgres_priv.h"

#include "optimizer/archive.h"

#include <stdio.h>

enum { NONCE_BATCH = 10000, FILE_TEXT_SIZE = 1200 };

struct retirement {
    struct db *db;
    struct db_report *report;
    struct slice name; /* of the partition */
    const char *table; /* the same as SQL */
};

static enum err_e add_failed(struct retirement *r, const char *what) {
    if (db_is_lost(r->db)) {
        return ERR_UNAVAILABLE;
    }
    return db_add(r->report, &(struct db_item){.state = DB_FAILED, .kind = "partition",
                                               .what = what, .name = r->name,
                                               .detail = slice_of(r->db->problem.detail)});
}

/* ── archive ── */

static enum err_e take_line(struct slice line, void *data) {
    return archive_add(data, line);
}

/* Within one snapshot: what is copied is what is counted. */
MAY_BLOCK static enum err_e copy_rows(struct retirement *r, struct archive *archive,
                                      int64_t *ret_count) {
    char sql[512];
    struct db_rows rows = {.row = -1};
    TRY(db_set_timeout(r->db, db_left_ms(r->db)));
    TRY(db_tell(r->db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"));
    snprintf(sql, sizeof sql, "COPY (SELECT * FROM %s ORDER BY id) TO STDOUT (FORMAT csv, HEADER)",
             r->table);
    TRY(db_copy_out(r->db, sql, take_line, archive));
    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", r->table);
    enum err_e err = db_ask(r->db, sql, NULL, &rows);
    *ret_count = err == ERR_OK && db_next(&rows) ? db_cell_int(&rows, 0) : -1;
    db_done(&rows);
    return err;
}

MAY_BLOCK static enum err_e write_archive(struct retirement *r, struct archive_facts *ret_facts) {
    struct archive *archive;
    int64_t count = -1;
    TRY(archive_create(r->db->options.archive_dir, r->name, &archive, &r->db->problem));
    enum err_e err = copy_rows(r, archive, &count);
    struct problem said = r->db->problem;
    db_rollback(r->db);
    if (err != ERR_OK) {
        r->db->problem = said;
        archive_discard(archive);
        return err;
    }
    TRY(archive_finish(archive, ret_facts, &r->db->problem));
    if (ret_facts->rows != count) {
        return problem_set(&r->db->problem, ERR_IO, "", "the file has %lld rows, the table %lld",
                           (long long)ret_facts->rows, (long long)count);
    }
    return ERR_OK;
}

static void put_facts(struct buf *to, const struct retirement *r,
                      const struct archive_facts *facts) {
    struct json_writer w;
    char file[FILE_TEXT_SIZE], crc[16];
    snprintf(file, sizeof file, "%s/%.*s.csv.gz", r->db->options.archive_dir, SLICE_ARG(r->name));
    snprintf(crc, sizeof crc, "%08x", facts->crc32);
    json_writer_init(&w, to);
    json_begin_object(&w);
    json_put_cstr(&w, "file", file);
    json_put_int(&w, "rows", facts->rows);
    json_put_int(&w, "bytes", facts->bytes);
    json_put_int(&w, "file_bytes", facts->file_bytes);
    json_put_cstr(&w, "crc32", crc);
    json_end_object(&w);
}

MAY_BLOCK static enum err_e archive_rows(struct retirement *r, struct buf *facts,
                                         bool *ret_done) {
    struct db_item item = {.kind = "partition", .what = "archive", .name = r->name,
                           .detail = SLICE_LIT("Its rows as a compressed CSV file."),
                           .lock = "ACCESS SHARE on the detached table"};
    char sql[256];
    struct archive_facts seen;
    snprintf(sql, sizeof sql, "COPY (SELECT * FROM %s ORDER BY id) TO STDOUT (FORMAT csv, HEADER)",
             r->table);
    item.sql = slice_of(sql);
    *ret_done = true;
    if (r->db->options.mode == DB_DRY_RUN) {
        item.state = DB_PLANNED;
        return db_add(r->report, &item);
    }
    if (write_archive(r, &seen) != ERR_OK) {
        *ret_done = false;
        return add_failed(r, "archive");
    }
    put_facts(facts, r, &seen);
    item.state = DB_DONE;
    item.facts = buf_slice(facts);
    return db_add(r->report, &item);
}

/* ── nonces ── */

MAY_BLOCK static enum err_e forget_batch(struct retirement *r, int64_t *last, bool *ret_more) {
    char sql[640], after[24], limit[16];
    const char *args[] = {after, limit, NULL};
    struct db_rows rows;
    snprintf(sql, sizeof sql,
             "WITH b AS (SELECT id, event_id, nonce FROM %s WHERE id > $1::bigint ORDER BY id"
             " LIMIT $2::int), d AS (DELETE FROM scan_nonces n USING b WHERE b.nonce IS NOT NULL"
             "  AND n.event_id = b.event_id AND n.nonce = b.nonce AND n.record_id = b.id)"
             " SELECT max(id) FROM b", r->table);
    snprintf(after, sizeof after, "%lld", (long long)*last);
    snprintf(limit, sizeof limit, "%d", NONCE_BATCH);
    enum err_e err = db_set_timeout(r->db, db_left_ms(r->db));
    err = err != ERR_OK ? err : db_ask(r->db, sql, args, &rows);
    *ret_more = err == ERR_OK && db_next(&rows) && !db_cell_is_null(&rows, 0);
    *last = *ret_more ? db_cell_int(&rows, 0) : *last;
    db_done(&rows);
    return err;
}

MAY_BLOCK static enum err_e forget_nonces(struct retirement *r, bool *ret_done) {
    int64_t last = INT64_MIN;
    bool more = true;
    *ret_done = true;
    while (r->db->options.mode == DB_CARRY_OUT && more) {
        if (db_left_ms(r->db) == 0 || forget_batch(r, &last, &more) != ERR_OK) {
            *ret_done = false;
            return add_failed(r, "nonces");
        }
    }
    return ERR_OK;
}

/* ── all ── */

MAY_BLOCK static enum err_e drop(struct retirement *r, const char *lock, struct slice facts) {
    char sql[256];
    snprintf(sql, sizeof sql, "DROP TABLE %s", r->table);
    struct db_item item = {.kind = "partition", .what = "drop", .name = r->name, .lock = lock,
                           .detail = SLICE_LIT("drop a detached partition after its quarantine")};
    TRY(db_step(r->db, r->report, &item,
                &(struct db_change){.sql = sql, .relation = r->table}));
    if (item.state != DB_DONE && item.state != DB_FAILED) {
        return ERR_OK;
    }
    return db_journal(r->db, &(struct db_action){
                                 .action = "drop partition", .target = r->table,
                                 .outcome = item.state == DB_DONE ? "done" : "failed",
                                 .evidence = facts, .detail = item.detail});
}

enum err_e db_partition_drop(struct db *db, struct db_report *report,
                             const struct db_partition_end *end) {
    struct retirement r = {db, report, end->name, end->table};
    struct buf facts;
    bool done = true;
    buf_init(&facts, DB_SQL_MAX);
    enum err_e err = ERR_OK;
    if (db->options.archive_dir != NULL) {
        err = archive_rows(&r, &facts, &done);
    }
    if (err == ERR_OK && done) {
        err = forget_nonces(&r, &done);
    }
    if (err == ERR_OK && done) {
        err = drop(&r, end->lock, buf_slice(&facts));
    }
    buf_fini(&facts);
    return err;
}
