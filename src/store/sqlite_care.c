/* SPDX-License-Identifier: Apache-2.0 */
/* A connection beside the store's own. */
#include "store/sqlite_care.h"

#include "store/sqlite_priv.h"

#include <stdlib.h>

enum {
    CARE_BUSY_MS = 2000,   /* then the writer has been at it for too long */
    CARE_STEPS = 10000,    /* virtual machine steps between two looks at the clock */
};

struct sqlite_care {
    sqlite3 *db;
    struct clock *clock;
    int64_t until_us;
};

static int is_late(void *data) {
    const struct sqlite_care *care = data;
    return clock_mono_us(care->clock) > care->until_us;
}

MAY_BLOCK static enum err_e refuse(struct sqlite_care *care, struct problem *ret_problem) {
    enum err_e err = care->db == NULL ? ERR_NO_MEMORY : sqlite_translate(care->db);
    return problem_set(ret_problem, err, "", "SQLite says: %.200s",
                       care->db == NULL ? "no memory" : sqlite3_errmsg(care->db));
}

enum err_e sqlite_care_open(const char *path, enum sqlite_care_e how, struct clock *clock,
                            struct sqlite_care **ret_care, struct problem *ret_problem) {
    int flags = how == SQLITE_CARE_LOOK ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
    struct sqlite_care *care = calloc(1, sizeof *care);
    *ret_care = NULL;
    if (care == NULL) {
        return problem_set(ret_problem, ERR_NO_MEMORY, "", "no memory for a connection");
    }
    care->clock = clock;
    flags |= SQLITE_OPEN_NOMUTEX;
    if (sqlite_file_open(path, flags, &care->db) != SQLITE_OK) {
        enum err_e err = refuse(care, ret_problem);
        sqlite_care_close(care);
        return err;
    }
    sqlite3_extended_result_codes(care->db, 1);
    sqlite3_busy_timeout(care->db, CARE_BUSY_MS);
    sqlite3_progress_handler(care->db, CARE_STEPS, is_late, care);
    *ret_care = care;
    return ERR_OK;
}

void sqlite_care_close(struct sqlite_care *care) {
    if (care != NULL) {
        sqlite3_close(care->db);
        free(care);
    }
}

MAY_BLOCK static int read_rows(sqlite3_stmt *stmt, const struct sqlite_care_ask *ask) {
    const char *cells[SQLITE_CARE_CELLS_MAX];
    int count = sqlite3_column_count(stmt);
    count = count < SQLITE_CARE_CELLS_MAX ? count : SQLITE_CARE_CELLS_MAX;
    for (;;) {
        int rc = sqlite3_step(stmt);
        if (rc != SQLITE_ROW) {
            return rc;
        }
        for (int i = 0; i < count; i++) {
            cells[i] = (const char *)sqlite3_column_text(stmt, i);
        }
        if (ask->fn != NULL && !ask->fn(cells, ask->data)) {
            return SQLITE_DONE;
        }
    }
}

enum err_e sqlite_care_ask(struct sqlite_care *care, const struct sqlite_care_ask *ask,
                           struct problem *ret_problem) {
    sqlite3_stmt *stmt;
    care->until_us = clock_mono_us(care->clock) + ask->timeout_ms * 1000;
    if (sqlite3_prepare_v2(care->db, ask->sql, -1, &stmt, NULL) != SQLITE_OK) {
        return refuse(care, ret_problem);
    }
    for (int i = 0; i < SQLITE_CARE_ARGS_MAX && ask->args[i] != NULL; i++) {
        sqlite3_bind_text(stmt, i + 1, ask->args[i], -1, SQLITE_STATIC);
    }
    enum err_e err = read_rows(stmt, ask) == SQLITE_DONE ? ERR_OK : refuse(care, ret_problem);
    sqlite3_finalize(stmt);
    return err;
}
