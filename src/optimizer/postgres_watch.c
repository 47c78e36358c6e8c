/* SPDX-License-Identifier: Apache-2.0 */
/* What ends badly if nobody looks. Each query gives a row for each thing that is wrong. */
#include "optimizer/postgres_priv.h"

struct watch {
    const char *what;
    const char *sql; /* name, detail */
};

static const struct watch watches[] = {
    /* at twice autovacuum's limit it has not kept up; at 2^31 the server stops writing */
    {"wraparound",
     "SELECT datname, format('Its oldest transaction is %s old; at 2147 million the server takes no"
     " more writes. See what holds autovacuum up.', age(datfrozenxid)) FROM pg_database"
     " WHERE datname = current_database() AND age(datfrozenxid) > least(1000000000,"
     "  2 * current_setting('autovacuum_freeze_max_age')::bigint)"},
    {"bloat",
     "SELECT relid::regclass, format('%s of its %s rows are dead, in %s: VACUUM frees them for new"
     " rows, only a rewrite gives the space back.', n_dead_tup, n_dead_tup + n_live_tup,"
     "  pg_size_pretty(pg_table_size(relid))) FROM pg_stat_user_tables"
     " WHERE schemaname = ANY (current_schemas(false)) AND n_dead_tup > 0.4 * n_live_tup"
     "  AND pg_table_size(relid) > 64 << 20"},
    /* the default, a fifth of the rows, comes rarely once a table is large; partitions that turnout
     * makes have these settings from the start, and a parent cannot have them */
    {"autovacuum",
     "SELECT c.oid::regclass, format('It grows by inserts, has %s rows and vacuums by the default:"
     " ALTER TABLE %s SET (autovacuum_vacuum_insert_scale_factor = 0.02,"
     " autovacuum_analyze_scale_factor = 0.02).', c.reltuples::bigint, c.oid::regclass)"
     " FROM pg_class c JOIN pg_stat_user_tables s ON s.relid = c.oid"
     " WHERE c.relkind = 'r' AND c.reltuples > 100000 AND s.schemaname = ANY"
     "  (current_schemas(false)) AND s.n_tup_ins >= s.n_tup_upd + s.n_tup_del"
     "  AND NOT coalesce(array_to_string(c.reloptions, ',') ~ 'insert_scale_factor', false)"
     " ORDER BY c.reltuples DESC LIMIT 50"},
    {"old_snapshot",
     "SELECT 'process ' || pid, format('A transaction of %s is open for %s minutes: VACUUM removes"
     " nothing that it may still see.', coalesce(nullif(application_name, ''), 'no name'),"
     "  (extract(epoch FROM now() - xact_start) / 60)::bigint) FROM pg_stat_activity"
     " WHERE backend_xmin IS NOT NULL AND backend_type = 'client backend'"
     "  AND xact_start < now() - interval '10 minutes' AND pid <> pg_backend_pid()"},
    {"prepared",
     "SELECT gid, 'A prepared transaction is open for more than 10 minutes: it keeps its locks over"
     " a restart. COMMIT or ROLLBACK PREPARED it.' FROM pg_prepared_xacts"
     " WHERE database = current_database() AND prepared < now() - interval '10 minutes'"},
    {"replication",
     "SELECT coalesce(nullif(application_name, ''), client_addr::text, 'replica'),"
     "  format('It is %s behind: reads there are old, and a failover would lose or wait.',"
     "  pg_size_pretty(pg_wal_lsn_diff(w.here, replay_lsn))) FROM pg_stat_replication,"
     " (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn()"
     "   ELSE pg_current_wal_lsn() END AS here) w"
     " WHERE pg_wal_lsn_diff(w.here, replay_lsn) > 64 << 20"},
    {"replication_slot",
     "SELECT slot_name, 'Nobody reads from this slot and it keeps the log: the disk fills. Drop it"
     " or start its reader.' FROM pg_replication_slots WHERE NOT active"},
};

enum err_e db_watch(struct db *db, struct db_report *report) {
    TRY(db_set_timeout(db, DB_READ_TIMEOUT_MS));
    for (size_t i = 0; i < sizeof watches / sizeof watches[0]; i++) {
        struct db_rows rows;
        enum err_e err = db_ask(db, watches[i].sql, NULL, &rows);
        if (err == ERR_OK && rows.count == 0) {
            err = db_add(report, &(struct db_item){.state = DB_GOOD, .kind = "watch",
                                                   .what = watches[i].what});
        }
        while (err == ERR_OK && db_next(&rows)) {
            err = db_add(report, &(struct db_item){.state = DB_WARNING, .kind = "watch",
                                                   .what = watches[i].what,
                                                   .name = slice_of(db_cell(&rows, 0)),
                                                   .detail = slice_of(db_cell(&rows, 1))});
        }
        db_done(&rows);
        TRY(err);
    }
    return ERR_OK;
}
