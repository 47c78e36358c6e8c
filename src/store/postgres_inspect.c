/* SPDX-License-Identifier: Apache-2.0 */
/* Two rows of facts: what every database has, and what a migrated one has. */
#include "store/postgres_inspect.h"

#include "store/postgres_priv.h"

static const char settings_sql[] =
    "SELECT current_setting('server_version'), current_setting('fsync'),"
    " current_setting('full_page_writes'), current_setting('synchronous_commit'),"
    " current_setting('synchronous_standby_names'),"
    " (SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'),"
    " current_setting('max_connections')::bigint"
    "  - current_setting('superuser_reserved_connections')::bigint"
    "  - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),"
    " floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint,"
    " to_regclass('turnout_schema') IS NOT NULL,"
    " pg_has_role('pg_read_all_stats', 'USAGE'),"
    " (SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
    "  AND sync_state IN ('sync', 'quorum'))";

/* The end of the last partition stands in its bound: FOR VALUES FROM ('…') TO ('…'). */
static const char store_sql[] =
    "SELECT (SELECT coalesce(max(version), 0) FROM turnout_schema),"
    " (SELECT floor(extract(epoch FROM max(substring(pg_get_expr(c.relpartbound, c.oid)"
    "   FROM 'TO \\(''([^'']+)''')::timestamptz)) * 1000)::bigint"
    "  FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid"
    "  WHERE h.inhparent = to_regclass('attendance_records')),"
    " (SELECT count(*) FROM pg_index WHERE NOT indisvalid),"
    " (SELECT floor(extract(epoch FROM max(recorded_at)) * 1000)::bigint FROM"
    "  (SELECT recorded_at FROM attendance_records ORDER BY timestamp DESC LIMIT 100) AS newest),"
    " (SELECT count(*) FROM api_keys WHERE revoked_at IS NULL)";

/* One row of text; NULL with the problem set. */
MAY_BLOCK static PGresult *ask(PGconn *pg, const char *sql, struct problem *ret_problem,
                               enum err_e *ret_err) {
    PGresult *result = PQexec(pg, sql);
    *ret_err = ERR_OK;
    if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1) {
        return result;
    }
    enum pg_failure_e failure;
    char why[200];
    pg_first_line(PQerrorMessage(pg), why, sizeof why);
    *ret_err = problem_set(ret_problem,
                           pg_translate(PQresultErrorField(result, PG_DIAG_SQLSTATE), &failure),
                           "store.url", "%s", why);
    PQclear(result);
    return NULL;
}

static void take_text(const PGresult *result, int column, char to[POSTGRES_SETTING_SIZE]) {
    snprintf(to, POSTGRES_SETTING_SIZE, "%s", PQgetvalue(result, 0, column));
}

static bool take_switch(const PGresult *result, int column) {
    return strcmp(PQgetvalue(result, 0, column), "on") == 0;
}

static int64_t take_number(const PGresult *result, int column, int64_t null) {
    return PQgetisnull(result, 0, column) ? null
                                          : strtoll(PQgetvalue(result, 0, column), NULL, 10);
}

MAY_BLOCK static enum err_e see_settings(PGconn *pg, struct postgres_inspection *seen,
                                         bool *ret_migrated, struct problem *ret_problem) {
    enum err_e err;
    PGresult *result = ask(pg, settings_sql, ret_problem, &err);
    if (result == NULL) {
        return err;
    }
    take_text(result, 0, seen->version);
    seen->fsync = take_switch(result, 1);
    seen->full_page_writes = take_switch(result, 2);
    take_text(result, 3, seen->synchronous_commit);
    take_text(result, 4, seen->synchronous_standbys);
    seen->standbys = take_number(result, 5, 0);
    seen->connections_free = take_number(result, 6, 0);
    seen->server_ms = take_number(result, 7, 0);
    *ret_migrated = PQgetvalue(result, 0, 8)[0] == 't';
    seen->sees_standbys = PQgetvalue(result, 0, 9)[0] == 't';
    seen->standbys_synchronous = take_number(result, 10, 0);
    PQclear(result);
    return ERR_OK;
}

MAY_BLOCK static enum err_e see_store(PGconn *pg, struct postgres_inspection *seen,
                                      struct problem *ret_problem) {
    enum err_e err;
    PGresult *result = ask(pg, store_sql, ret_problem, &err);
    if (result == NULL) {
        return err;
    }
    seen->schema = (int)take_number(result, 0, 0);
    seen->partitions_until_ms = take_number(result, 1, TIME_NONE);
    seen->indexes_invalid = take_number(result, 2, 0);
    seen->newest_record_ms = take_number(result, 3, TIME_NONE);
    seen->keys_valid = take_number(result, 4, 0);
    PQclear(result);
    return ERR_OK;
}

MAY_BLOCK enum err_e postgres_inspect(const char *url, struct clock *clock,
                                      struct postgres_inspection *ret_seen,
                                      struct problem *ret_problem) {
    *ret_seen = (struct postgres_inspection){.schema_known = postgres_schema_version(),
                                             .names_several_hosts = pg_has_several_hosts(url),
                                             .partitions_until_ms = TIME_NONE,
                                             .newest_record_ms = TIME_NONE};
    PGconn *pg;
    bool migrated = false;
    TRY(pg_connect_plain(url, &pg, ret_problem));
    enum err_e err = see_settings(pg, ret_seen, &migrated, ret_problem);
    ret_seen->here_ms = clock_wall_ms(clock);
    if (err == ERR_OK && migrated) {
        err = see_store(pg, ret_seen, ret_problem);
    }
    PQfinish(pg);
    return err;
}
