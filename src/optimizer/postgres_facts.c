/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes and use of indexes and partitions: what a report says beside its sentences. */
#include "optimizer/postgres_priv.h"

/* A size waits for the table's lock, and a locked table is no reason to end a run. */
static bool may_do_without(const struct db *db, enum err_e err) {
    return !db_is_lost(db) && (err == ERR_OVERLOADED || err == ERR_DEADLINE);
}

/* The row's columns under these names; null where there is none. */
static void put_numbers(struct json_writer *w, struct db_rows *rows, const char *const *keys) {
    bool known = db_next(rows);
    for (int i = 0; keys[i] != NULL; i++) {
        if (known && !db_cell_is_null(rows, i)) {
            json_put_int(w, keys[i], db_cell_int(rows, i));
        } else {
            json_put_null(w, keys[i]);
        }
    }
}

enum err_e db_index_facts(struct db *db, const struct db_declared *index, struct buf *to) {
    static const char sql[] =
        "SELECT sum(pg_relation_size(t.relid))::bigint, sum(s.idx_scan)::bigint,"
        " count(*) FILTER (WHERE t.isleaf AND t.level > 0)"
        " FROM pg_partition_tree(to_regclass($1)) t"
        " LEFT JOIN pg_stat_all_indexes s ON s.indexrelid = t.relid";
    /* a plain index is no tree: it is its own */
    static const char plain[] =
        "SELECT pg_relation_size(i.indexrelid), s.idx_scan, 0 FROM pg_index i"
        " JOIN pg_class c ON c.oid = i.indexrelid AND c.relkind = 'i'"
        " LEFT JOIN pg_stat_all_indexes s USING (indexrelid)"
        " WHERE i.indexrelid = to_regclass($1)";
    static const char *const keys[] = {"bytes", "scans", "partitions", NULL};
    const char *args[] = {index->name, NULL};
    struct db_rows rows;
    struct json_writer w;
    enum err_e err = db_ask(db, plain, args, &rows);
    if (err == ERR_OK && rows.count == 0) {
        db_done(&rows);
        err = db_ask(db, sql, args, &rows);
    }
    json_writer_init(&w, to);
    json_begin_object(&w);
    json_put_cstr(&w, "table", index->table);
    json_put_cstr(&w, "definition", index->definition);
    json_put_bool(&w, "unique", index->is_unique);
    put_numbers(&w, &rows, keys);
    json_end_object(&w);
    db_done(&rows);
    return may_do_without(db, err) ? ERR_OK : err;
}

enum err_e db_partition_facts(struct db *db, struct slice name, struct json_writer *w) {
    static const char sql[] =
        "SELECT pg_total_relation_size(c.oid), nullif(c.reltuples, -1)::bigint,"
        " pg_indexes_size(c.oid) FROM pg_class c WHERE c.relname = $1 AND c.relnamespace ="
        " (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('attendance_records'))";
    static const char *const keys[] = {"bytes", "rows", "index_bytes", NULL};
    char text[DB_NAME_SIZE];
    const char *args[] = {text, NULL};
    struct db_rows rows;
    bool fits = slice_to_cstr(name, text, sizeof text);
    ASSERT(fits); /* the catalog's names have 63 bytes */
    enum err_e err = db_ask(db, sql, args, &rows);
    put_numbers(w, &rows, keys);
    db_done(&rows);
    return may_do_without(db, err) ? ERR_OK : err;
}
