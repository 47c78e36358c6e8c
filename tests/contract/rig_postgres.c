/* SPDX-License-Identifier: Apache-2.0 */
/* Databases on the suite's PostgreSQL server. */
#include "rig_postgres.h"

#include "optimizer/postgres.h"
#include "store/postgres_migrate.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Deleting is quicker than a new database by far: making and dropping one moves hundreds of files.
 * Partitions that a test made stay. */
static const char empty_all[] =
    "DELETE FROM turnout_meta; DELETE FROM scan_nonces; DELETE FROM attendance_records;"
    "DELETE FROM ledger; DELETE FROM participants; DELETE FROM event_stats; DELETE FROM gate_stats;"
    "DELETE FROM gate_minutes; DELETE FROM gate_seconds; DELETE FROM gates; DELETE FROM events;"
    "DELETE FROM api_keys; DELETE FROM action_journal; DELETE FROM nodes; DELETE FROM leases;"
    "DELETE FROM control_orders; DELETE FROM notices;"
    "SELECT setval('participant_ids', 1, false), setval('attendance_record_ids', 1, false),"
    " setval('events_id_seq', 1, false), setval('gates_id_seq', 1, false)";

bool rig_is_postgres(void) {
    const char *store = getenv("TURNOUT_CONTRACT_STORE");
    return store != NULL && strcmp(store, "postgres") == 0;
}

static const char *server_setting(const char *name) {
    const char *value = getenv(name);
    if (value == NULL) {
        fail_msg("%s is not set: run it by tests/contract/with-postgres", name);
    }
    return value;
}

void rig_postgres_url(const char *database, char ret_url[RIG_URL_SIZE]) {
    snprintf(ret_url, RIG_URL_SIZE, "%s dbname=%s", server_setting("TURNOUT_CONTRACT_POSTGRES"),
             database);
}

static PGconn *connect_to(const char *url) {
    PGconn *pg = PQconnectdb(url);
    if (PQstatus(pg) != CONNECTION_OK) {
        fail_msg("%s", PQerrorMessage(pg));
    }
    return pg;
}

void rig_postgres_exec(const char *url, const char *sql) {
    PGconn *pg = connect_to(url);
    PGresult *result = PQexec(pg, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        fail_msg("%s: %s", sql, PQerrorMessage(pg));
    }
    PQclear(result);
    PQfinish(pg);
}

int64_t rig_postgres_number(const char *url, const char *sql) {
    PGconn *pg = connect_to(url);
    PGresult *result = PQexec(pg, sql);
    if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) == 0) {
        fail_msg("%s: %s", sql, PQerrorMessage(pg));
    }
    int64_t number = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    PQfinish(pg);
    return number;
}

/* "CREATE DATABASE" name "" … */
static void on_server(const char *before, const char *name, const char *behind) {
    char url[RIG_URL_SIZE], sql[160];
    rig_postgres_url("postgres", url);
    snprintf(sql, sizeof sql, "%s %s %s", before, name, behind);
    rig_postgres_exec(url, sql);
}

static void next_name(char *to, size_t size) {
    static int number;
    snprintf(to, size, "contract_%ld_%d", (long)getpid(), number++);
}

void rig_postgres_create_bare(char ret_url[RIG_URL_SIZE]) {
    char name[48];
    next_name(name, sizeof name);
    on_server("CREATE DATABASE", name, "");
    rig_postgres_url(name, ret_url);
}

static void build_indexes(const char *url) {
    struct db *db;
    struct db_report report;
    struct problem problem = {.detail = ""};
    const struct db_options options = {
        .url = url, .clock = clock_system(), .pretended_ms = TIME_NONE, .budget_ms = 60000};
    db_report_init(&report);
    if (db_open(&options, &db, &problem) != ERR_OK || db_indexes(db, &report) != ERR_OK) {
        fail_msg("indexes: %s", problem.detail);
    }
    db_report_fini(&report);
    db_close(db);
}

/* The present quarter's partition is made on demand, by the first record. */
static void migrate(const char *url) {
    struct problem problem = {.detail = ""};
    struct postgres_migrated migrated;
    enum err_e err = postgres_migrate(url, POSTGRES_MIGRATE, &migrated, &problem);
    if (err != ERR_OK) {
        fail_msg("migrate: %s: %s", err_code(err), problem.detail);
    }
    build_indexes(url);
}

void rig_postgres_create(char ret_url[RIG_URL_SIZE]) {
    rig_postgres_create_bare(ret_url);
    migrate(ret_url);
}

void rig_postgres_borrow(char ret_url[RIG_URL_SIZE]) {
    static char url[RIG_URL_SIZE];
    if (url[0] == '\0') {
        rig_postgres_create(url);
    } else {
        rig_postgres_exec(url, empty_all);
    }
    snprintf(ret_url, RIG_URL_SIZE, "%s", url);
}

void rig_postgres_server(const char *what, const char *how) {
    char command[256];
    snprintf(command, sizeof command, "%s %s %s", server_setting("TURNOUT_CONTRACT_SERVER"), what,
             how);
    assert_int_equal(system(command), 0);
}
