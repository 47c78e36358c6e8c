/* SPDX-License-Identifier: Apache-2.0 */
/* Versions of the schema, one transaction each. Their texts are the program's own. */
#include "store/postgres_migrate.h"

#include "store/postgres_priv.h"

#include <threads.h>
#include <time.h>

extern const unsigned char postgres_1_schema[], postgres_2_schema[], postgres_3_schema[],
    postgres_4_schema[], postgres_5_schema[];

enum {
    SCHEMA_VERSION = 5,
    TRIES_MAX = 10, /* of one version, when its locks are not given */
    PAUSE_MS = 200,
    SQL_MAX = 1 << 20,
};

/* The script that leads to a version from the one before it. */
static const char *script_of(int version) {
    const unsigned char *const scripts[SCHEMA_VERSION] = {
        postgres_1_schema, postgres_2_schema, postgres_3_schema, postgres_4_schema,
        postgres_5_schema};
    return (const char *)scripts[version - 1];
}

int postgres_schema_version(void) {
    return SCHEMA_VERSION;
}

struct migration {
    PGconn *pg;
    struct problem *problem;
};

static enum err_e refuse(struct migration *m, const PGresult *result) {
    enum pg_failure_e failure;
    char why[200];
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    enum err_e err = state == NULL ? ERR_UNAVAILABLE : pg_translate(state, &failure);
    pg_first_line(PQerrorMessage(m->pg), why, sizeof why);
    return problem_set(m->problem, err, "store.url", "%s", why);
}

MAY_BLOCK static enum err_e run_text(struct migration *m, const char *sql) {
    PGresult *result = PQexec(m->pg, sql);
    ExecStatusType status = PQresultStatus(result);
    bool fine = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
    enum err_e err = fine ? ERR_OK : refuse(m, result);
    PQclear(result);
    return err;
}

/* The first column of the first row as a number; a boolean is 0 or 1. */
MAY_BLOCK static enum err_e ask(struct migration *m, const char *sql, int *ret_number) {
    PGresult *result = PQexec(m->pg, sql);
    enum err_e err = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1
                         ? ERR_OK
                         : refuse(m, result);
    if (err == ERR_OK) {
        const char *text = PQgetvalue(result, 0, 0);
        *ret_number = text[0] == 't' ? 1 : atoi(text);
    }
    PQclear(result);
    return err;
}

static void rest(void) {
    int64_t random_ms = (int64_t)rng_below(rng_system(), PAUSE_MS);
    struct timespec pause = {.tv_nsec = (PAUSE_MS / 2 + random_ms / 2) * 1000000};
    thrd_sleep(&pause, NULL);
}

MAY_BLOCK static enum err_e take_lock(struct migration *m) {
    int taken;
    TRY(ask(m, "SELECT pg_try_advisory_lock(hashtext('turnout.migrate'), 1)", &taken));
    return taken ? ERR_OK
                 : problem_set(m->problem, ERR_CONFLICT, "store.url",
                               "another migration is under way: wait for it");
}

/* Said, not left to the end of the session: the server comes to that a moment after PQfinish, and a
 * migration right behind this one would be refused. */
MAY_BLOCK static void give_lock_back(struct migration *m) {
    int ignored;
    enum err_e err = ask(m, "SELECT pg_advisory_unlock(hashtext('turnout.migrate'), 1)", &ignored);
    (void)err; /* a session that cannot be told ends, and its lock with it */
}

/* 0: there is no schema. */
MAY_BLOCK static enum err_e read_version(struct migration *m, int *ret_version) {
    int is_there;
    *ret_version = 0;
    TRY(ask(m, "SELECT to_regclass('turnout_schema') IS NOT NULL", &is_there));
    if (!is_there) {
        return ERR_OK;
    }
    TRY(ask(m, "SELECT coalesce(max(version), 0) FROM turnout_schema", ret_version));
    if (*ret_version > SCHEMA_VERSION) {
        return problem_set(m->problem, ERR_NEWER_SCHEMA, "store.url",
                           "the database has schema %d, this turnout knows up to %d",
                           *ret_version, SCHEMA_VERSION);
    }
    return ERR_OK;
}

/* DDL waits behind whoever uses a table, and everybody else behind it: so it gives up soon. */
MAY_BLOCK static enum err_e try_version(struct migration *m, int version, const char *patience) {
    struct buf sql;
    buf_init(&sql, SQL_MAX);
    buf_printf(&sql, "BEGIN; SET LOCAL lock_timeout = '%s';", patience);
    buf_add_text(&sql, script_of(version));
    buf_printf(&sql, "; INSERT INTO turnout_schema (version) VALUES (%d); COMMIT", version);
    buf_add_char(&sql, '\0');
    enum err_e err = sql.failed ? ERR_NO_MEMORY : run_text(m, sql.at);
    buf_fini(&sql);
    if (err != ERR_OK && PQtransactionStatus(m->pg) == PQTRANS_INERROR) {
        PQclear(PQexec(m->pg, "ROLLBACK"));
    }
    return err;
}

MAY_BLOCK static enum err_e apply_version(struct migration *m, int version) {
    static const char *const patience[] = {"200ms", "500ms", "1s", "2s"};
    enum { LADDER = sizeof patience / sizeof patience[0] };
    enum err_e err = ERR_OK;
    for (size_t i = 0; i < TRIES_MAX; i++) {
        err = try_version(m, version, patience[i < LADDER ? i : LADDER - 1]);
        if (err != ERR_OVERLOADED) {
            return err;
        }
        rest();
    }
    return err;
}

MAY_BLOCK static enum err_e bring_forward(struct migration *m, enum postgres_migrate_mode_e mode,
                                          struct postgres_migrated *ret_migrated) {
    TRY(read_version(m, &ret_migrated->from));
    for (int next = ret_migrated->from + 1; next <= SCHEMA_VERSION; next++) {
        if (mode == POSTGRES_MIGRATE) {
            TRY(apply_version(m, next));
        }
    }
    return ERR_OK;
}

MAY_BLOCK static enum err_e migrate(struct migration *m, enum postgres_migrate_mode_e mode,
                                    struct postgres_migrated *ret_migrated) {
    TRY(run_text(m, "SET client_min_messages = warning; SET timezone = 'UTC'"));
    if (mode == POSTGRES_MIGRATE_DRY) {
        return bring_forward(m, mode, ret_migrated);
    }
    TRY(take_lock(m));
    enum err_e err = bring_forward(m, mode, ret_migrated);
    struct problem said = *m->problem;
    give_lock_back(m);
    *m->problem = said;
    return err;
}

MAY_BLOCK enum err_e postgres_migrate(const char *url, enum postgres_migrate_mode_e mode,
                                      struct postgres_migrated *ret_migrated,
                                      struct problem *ret_problem) {
    *ret_migrated = (struct postgres_migrated){.to = SCHEMA_VERSION};
    struct migration m = {.problem = ret_problem};
    TRY(pg_connect_plain(url, &m.pg, ret_problem));
    enum err_e err = migrate(&m, mode, ret_migrated);
    PQfinish(m.pg);
    return err;
}
