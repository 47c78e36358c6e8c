/* SPDX-License-Identifier: Apache-2.0 */
/* One connection: opening it safely, its prepared statements, its errors in our words. */
#include "store/sqlite_priv.h"

static const char *const sql_texts[SQL_COUNT] = {
#define X(name, text) text,
    SQL_TABLE(X)
#undef X
};

enum {
    BUSY_TIMEOUT_MS = 10000,  /* another process (import, key) writes for that long at most */
    BUSY_LOOK_US = 500,       /* between two looks whether it is done */
    PROGRESS_STEPS = 10000,   /* virtual machine steps between two looks at the deadline */
    LOG_KEPT_BYTES = 64 << 20,
};

enum err_e sqlite_translate(sqlite3 *db) {
    int code = sqlite3_extended_errcode(db);
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return ERR_OK;
    case SQLITE_FULL:
        return ERR_NO_SPACE;
    case SQLITE_NOMEM:
        return ERR_NO_MEMORY;
    case SQLITE_INTERRUPT:
        return ERR_DEADLINE;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERR_OVERLOADED;
    case SQLITE_CONSTRAINT:
        return ERR_CONFLICT;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_READONLY:
        return ERR_BAD_STORE;
    case SQLITE_IOERR:
        return code == SQLITE_IOERR_NOMEM ? ERR_NO_MEMORY : ERR_IO;
    default:
        return ERR_INTERNAL;
    }
}

MAY_BLOCK enum err_e sqlite_exec(struct sqlite_conn *conn, const char *sql) {
    int rc = sqlite3_exec(conn->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? ERR_OK : sqlite_translate(conn->db);
}

/* Non-zero interrupts the statement that runs. */
static int past_deadline(void *data) {
    struct sqlite_conn *conn = data;
    return conn->deadline_us != 0 && clock_mono_us(conn->clock) > conn->deadline_us;
}

/* Not sqlite3_busy_timeout, which looks every 100 ms in the end: between the transactions of a busy
 * writer the file is free for a fraction of a millisecond. 0 gives up. */
static int wait_for_lock(void *data, int looks) {
    (void)data;
    const struct timespec pause = {.tv_nsec = BUSY_LOOK_US * 1000};
    if (looks >= BUSY_TIMEOUT_MS * 1000 / BUSY_LOOK_US) {
        return 0;
    }
    thrd_sleep(&pause, NULL);
    return 1;
}

static int wait_briefly(void *data, int looks) {
    return looks >= LOG_WAIT_MS * 1000 / BUSY_LOOK_US ? 0 : wait_for_lock(data, looks);
}

MAY_BLOCK enum err_e sqlite_empty_log(struct sqlite_conn *conn) {
    sqlite3_busy_handler(conn->db, wait_briefly, NULL);
    int rc = sqlite3_wal_checkpoint_v2(conn->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    sqlite3_busy_handler(conn->db, wait_for_lock, NULL);
    return rc == SQLITE_OK ? ERR_OK : sqlite_translate(conn->db);
}

static enum err_e set_up(struct sqlite_conn *conn, enum sqlite_role_e role) {
    sqlite3_busy_handler(conn->db, wait_for_lock, NULL);
    TRY(sqlite_exec(conn, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                          "PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF"));
    if (role == SQLITE_READER) {
        sqlite3_progress_handler(conn->db, PROGRESS_STEPS, past_deadline, conn);
        return sqlite_exec(conn, "PRAGMA cache_size = -8192; PRAGMA query_only = ON");
    }
    char sql[120];
    snprintf(sql, sizeof sql,
             "PRAGMA cache_size = -32768; PRAGMA journal_size_limit = %d;"
             "PRAGMA secure_delete = ON",
             LOG_KEPT_BYTES);
    return sqlite_exec(conn, sql);
}

MAY_BLOCK enum err_e sqlite_conn_open(struct sqlite_conn *conn, const char *path,
                                      enum sqlite_role_e role, struct problem *ret_problem) {
    struct clock *clock = conn->clock;
    *conn = (struct sqlite_conn){.clock = clock};
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    enum err_e err = ERR_OK;
    if (sqlite_file_open(path, flags, &conn->db) != SQLITE_OK) {
        err = conn->db == NULL ? ERR_NO_MEMORY : sqlite_translate(conn->db);
    }
    if (err == ERR_OK) {
        sqlite3_extended_result_codes(conn->db, 1);
        err = set_up(conn, role);
    }
    if (err != ERR_OK) {
        problem_set(ret_problem, err, "store.url", "cannot open %.120s: %.100s", path,
                    conn->db == NULL ? "no memory" : sqlite3_errmsg(conn->db));
        sqlite_conn_close(conn);
    }
    return err;
}

MAY_BLOCK void sqlite_conn_close(struct sqlite_conn *conn) {
    for (int i = 0; i < SQL_COUNT; i++) {
        sqlite3_finalize(conn->stmts[i]);
        conn->stmts[i] = NULL;
    }
    sqlite3_close(conn->db);
    conn->db = NULL;
}

sqlite3_stmt *sqlite_stmt(struct sqlite_conn *conn, enum sql_e sql) {
    sqlite3_stmt **stmt = &conn->stmts[sql];
    if (*stmt == NULL) {
        int rc = sqlite3_prepare_v3(conn->db, sql_texts[sql], -1, SQLITE_PREPARE_PERSISTENT, stmt,
                                    NULL);
        if (rc != SQLITE_OK) {
            return NULL;
        }
    }
    sqlite3_reset(*stmt);
    return *stmt;
}

struct sql_run sql_begin(struct sqlite_conn *conn, enum sql_e sql) {
    return sql_begin_stmt(conn, sqlite_stmt(conn, sql));
}

struct sql_run sql_begin_stmt(struct sqlite_conn *conn, sqlite3_stmt *stmt) {
    return (struct sql_run){.conn = conn, .stmt = stmt};
}

/* A failed binding (no memory, too long) leaves NULL bound; inputs are bounded far below the limit,
 * so only memory can fail, and then the step fails too. */
void sql_int(struct sql_run *run, int64_t value) {
    sqlite3_bind_int64(run->stmt, ++run->bound, value);
}

void sql_int_or_null(struct sql_run *run, int64_t value, int64_t null) {
    if (value == null) {
        sqlite3_bind_null(run->stmt, ++run->bound);
    } else {
        sql_int(run, value);
    }
}

void sql_text(struct sql_run *run, struct slice text) {
    sqlite3_bind_text(run->stmt, ++run->bound, text.len == 0 ? "" : text.at, (int)text.len,
                      SQLITE_STATIC);
}

void sql_text_or_null(struct sql_run *run, struct slice text) {
    if (text.at == NULL) {
        sqlite3_bind_null(run->stmt, ++run->bound);
    } else {
        sql_text(run, text);
    }
}

void sql_word(struct sql_run *run, const char *word) {
    sql_text_or_null(run, slice_of(word));
}

void sql_blob(struct sql_run *run, struct slice bytes) {
    if (bytes.at == NULL) {
        sqlite3_bind_null(run->stmt, ++run->bound);
    } else {
        sqlite3_bind_blob(run->stmt, ++run->bound, bytes.at, (int)bytes.len, SQLITE_STATIC);
    }
}

MAY_BLOCK enum err_e sql_step(struct sql_run *run, bool *ret_row) {
    *ret_row = false;
    run->column = 0;
    if (run->stmt == NULL) {
        return sqlite_translate(run->conn->db);
    }
    int rc = sqlite3_step(run->stmt);
    if (rc == SQLITE_ROW) {
        *ret_row = true;
        return ERR_OK;
    }
    enum err_e err = rc == SQLITE_DONE ? ERR_OK : sqlite_translate(run->conn->db);
    sql_end(run);
    return err;
}

MAY_BLOCK enum err_e sql_finish(struct sql_run *run) {
    bool row;
    enum err_e err = sql_step(run, &row);
    ASSERT(!row);
    return err;
}

static enum err_e run_alone(struct sqlite_conn *conn, enum sql_e sql) {
    struct sql_run run = sql_begin(conn, sql);
    return sql_finish(&run);
}

MAY_BLOCK enum err_e sqlite_begin(struct sqlite_conn *conn, enum sql_e begin) {
    if (!sqlite3_get_autocommit(conn->db)) {
        TRY(run_alone(conn, SQL_ROLLBACK));
    }
    return run_alone(conn, begin);
}

/* Bindings stay: every run binds all of its parameters before it steps. */
void sql_end(struct sql_run *run) {
    sqlite3_reset(run->stmt);
}

int64_t sql_get_int(struct sql_run *run) {
    return sqlite3_column_int64(run->stmt, run->column++);
}

int64_t sql_get_int_or(struct sql_run *run, int64_t null) {
    if (sqlite3_column_type(run->stmt, run->column) == SQLITE_NULL) {
        run->column++;
        return null;
    }
    return sql_get_int(run);
}

struct slice sql_get_text(struct sql_run *run) {
    int column = run->column++;
    if (sqlite3_column_type(run->stmt, column) == SQLITE_NULL) {
        return SLICE_NONE;
    }
    /* As a blob: column_text would copy each text to put a NUL behind it. */
    const char *at = sqlite3_column_blob(run->stmt, column);
    return at == NULL ? SLICE_LIT("")
                      : slice_from(at, (size_t)sqlite3_column_bytes(run->stmt, column));
}

bool sql_get_copy(struct sql_run *run, struct arena *arena, struct slice *ret_text) {
    struct slice text = sql_get_text(run);
    if (text.at == NULL) {
        *ret_text = SLICE_NONE;
        return true;
    }
    *ret_text = arena_copy(arena, text);
    return ret_text->at != NULL;
}
