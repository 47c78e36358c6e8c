/* SPDX-License-Identifier: Apache-2.0 */
/* A read-only look at a store's file. */
#include "store/sqlite_inspect.h"

#include "store/sqlite_priv.h"

enum { INSPECT_BUSY_MS = 2000 };

const char *sqlite_library_version(void) {
    return sqlite3_libversion();
}

/* The first column of the first row: a number (`ret_value`) or a text (`to`); either may be
 * NULL. */
MAY_BLOCK static enum err_e ask(sqlite3 *db, const char *sql, int64_t *ret_value, char *to,
                                size_t size) {
    sqlite3_stmt *stmt;
    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK) {
        return sqlite_translate(db);
    }
    int rc = sqlite3_step(stmt);
    enum err_e err = rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_OK : sqlite_translate(db);
    bool has_value = rc == SQLITE_ROW && sqlite3_column_type(stmt, 0) != SQLITE_NULL;
    if (ret_value != NULL) {
        *ret_value = has_value ? sqlite3_column_int64(stmt, 0) : TIME_NONE;
    }
    if (to != NULL) {
        snprintf(to, size, "%s", has_value ? (const char *)sqlite3_column_text(stmt, 0) : "");
    }
    sqlite3_finalize(stmt);
    return err;
}

MAY_BLOCK static enum err_e look(sqlite3 *db, struct sqlite_inspection *seen) {
    int64_t application, tables;
    TRY(ask(db, "PRAGMA application_id", &application, NULL, 0));
    TRY(ask(db, "SELECT count(*) FROM sqlite_schema", &tables, NULL, 0));
    seen->is_ours = tables == 0 || sqlite_is_ours(application);
    if (!seen->is_ours || tables == 0) {
        return ERR_OK;
    }
    TRY(ask(db, "PRAGMA user_version", &seen->schema, NULL, 0));
    TRY(ask(db, "PRAGMA journal_mode", NULL, seen->journal_mode, sizeof seen->journal_mode));
    if (seen->schema > seen->schema_known) {
        return ERR_OK; /* its tables may be of another shape */
    }
    TRY(ask(db, "SELECT recorded_at FROM attendance_records ORDER BY id DESC LIMIT 1",
            &seen->newest_record_ms, NULL, 0));
    return ask(db, "SELECT count(*) FROM api_keys WHERE revoked_at IS NULL", &seen->keys_valid,
               NULL, 0);
}

MAY_BLOCK static enum err_e check_pages(sqlite3 *db, struct sqlite_inspection *seen) {
    char first[sizeof seen->damage];
    TRY(ask(db, "PRAGMA quick_check(1)", NULL, first, sizeof first));
    if (strcmp(first, "ok") != 0) {
        snprintf(seen->damage, sizeof seen->damage, "%s", first);
    }
    return ERR_OK;
}

/* What the store itself gets when it opens this file: asked of a connection opened by its code. */
MAY_BLOCK static void look_at_store_connection(const char *path, struct sqlite_inspection *seen) {
    struct sqlite_conn conn = {.clock = clock_system()};
    int64_t synchronous;
    struct problem ignored;
    if (strcmp(seen->journal_mode, "wal") != 0 ||
        sqlite_conn_open(&conn, path, SQLITE_READER, &ignored) != ERR_OK) {
        return;
    }
    if (ask(conn.db, "PRAGMA synchronous", &synchronous, NULL, 0) == ERR_OK) {
        seen->synchronous = (int)synchronous;
    }
    sqlite_conn_close(&conn);
}

enum err_e sqlite_inspect(const char *path, enum sqlite_depth_e depth,
                          struct sqlite_inspection *ret_inspection, struct problem *ret_problem) {
    *ret_inspection = (struct sqlite_inspection){.schema_known = sqlite_schema_version(),
                                                 .synchronous = -1,
                                                 .newest_record_ms = TIME_NONE};
    sqlite3 *db = NULL;
    enum err_e err = ERR_OK;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
        err = db == NULL ? ERR_NO_MEMORY : sqlite_translate(db);
    }
    if (err == ERR_OK) {
        sqlite3_extended_result_codes(db, 1);
        sqlite3_busy_timeout(db, INSPECT_BUSY_MS);
        err = look(db, ret_inspection);
    }
    if (err == ERR_OK && depth == SQLITE_QUICK_CHECK && ret_inspection->is_ours) {
        err = check_pages(db, ret_inspection);
    }
    if (err != ERR_OK) {
        problem_set(ret_problem, err, "store.url", "cannot read %.120s: %.100s", path,
                    db == NULL ? "no memory" : sqlite3_errmsg(db));
    }
    sqlite3_close(db);
    if (err == ERR_OK && ret_inspection->is_ours) {
        look_at_store_connection(path, ret_inspection);
    }
    return err;
}
