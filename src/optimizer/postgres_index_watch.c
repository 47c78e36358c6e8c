/* SPDX-License-Identifier: Apache-2.0 */
/* Indexes that nobody declared, and what is wrong with them. Told, never dropped. */
#include "optimizer/postgres_priv.h"

#include <stdio.h>

/* A declared one under repair is told of by its repair. */
#define OURS "n.nspname = ANY (current_schemas(false))"

struct watch {
    const char *what;
    const char *sql; /* name, detail */
};

static const struct watch watches[] = {
    {"invalid",
     "SELECT c.oid::regclass, 'It is not valid: writes keep it and no query reads it. What is left"
     " of REINDEX CONCURRENTLY (…_ccnew, …_ccold) can be dropped.'"
     " FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
     " JOIN pg_namespace n ON n.oid = c.relnamespace"
     " WHERE NOT i.indisvalid AND " OURS " ORDER BY c.oid::regclass::text"},
    {"duplicate",
     "SELECT b.indexrelid::regclass, format('It has the same definition as %s, and each costs every"
     " write: drop the one that no constraint needs.', a.indexrelid::regclass)"
     " FROM pg_index a JOIN pg_index b ON a.indrelid = b.indrelid AND a.indexrelid < b.indexrelid"
     "  AND a.indkey::text = b.indkey::text AND a.indclass::text = b.indclass::text"
     "  AND a.indoption::text = b.indoption::text AND a.indcollation::text = b.indcollation::text"
     "  AND a.indnkeyatts = b.indnkeyatts"
     "  AND coalesce(pg_get_expr(a.indexprs, a.indrelid), '') ="
     "      coalesce(pg_get_expr(b.indexprs, b.indrelid), '')"
     "  AND coalesce(pg_get_expr(a.indpred, a.indrelid), '') ="
     "      coalesce(pg_get_expr(b.indpred, b.indrelid), '')"
     " JOIN pg_class c ON c.oid = b.indexrelid JOIN pg_class d ON d.oid = a.indexrelid"
     "  AND d.relam = c.relam JOIN pg_namespace n ON n.oid = c.relnamespace"
     " WHERE a.indisvalid AND b.indisvalid AND " OURS " ORDER BY b.indexrelid::regclass::text"},
    {"unused",
     "SELECT c.oid::regclass, format('No query used its %s since %s: see whether a replica does"
     " before you drop it.', pg_size_pretty(pg_relation_size(c.oid)),"
     "  to_char(coalesce(d.stats_reset, pg_postmaster_start_time()), 'YYYY-MM-DD'))"
     " FROM pg_stat_user_indexes s JOIN pg_index i USING (indexrelid)"
     " JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
     " JOIN pg_stat_database d ON d.datname = current_database()"
     " WHERE s.idx_scan = 0 AND NOT i.indisunique AND i.indisvalid"
     "  AND pg_relation_size(c.oid) > 8 << 20"
     "  AND coalesce(d.stats_reset, pg_postmaster_start_time()) < now() - interval '7 days'"
     "  AND " OURS " ORDER BY pg_relation_size(c.oid) DESC LIMIT 50"},
};

enum err_e db_watch_indexes(struct db *db, struct db_report *report) {
    for (size_t i = 0; i < sizeof watches / sizeof watches[0]; i++) {
        struct db_rows rows;
        enum err_e err = db_set_timeout(db, DB_READ_TIMEOUT_MS);
        err = err != ERR_OK ? err : db_ask(db, watches[i].sql, NULL, &rows);
        while (err == ERR_OK && db_next(&rows)) {
            err = db_add(report, &(struct db_item){.state = DB_WARNING, .kind = "index",
                                                   .what = watches[i].what,
                                                   .name = slice_of(db_cell(&rows, 0)),
                                                   .detail = slice_of(db_cell(&rows, 1))});
        }
        db_done(&rows);
        TRY(err);
    }
    return ERR_OK;
}
