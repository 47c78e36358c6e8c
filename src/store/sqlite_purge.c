/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an erasure leaves behind in the files, and how that goes too.
 *
 * The erasing transaction blanks the row, and SQLite overwrites what it frees (secure_delete;
 * sqlite_file.c does the rest). Two traces remain: words in older segments of the search index,
 * which go when all segments are merged into one, and pages as they were before, in the log.
 *
 *         erased           due                 one segment left         log of no length
 *   NONE ───────► WAITING ─────► MERGING ×n ──────────────────► EMPTYING ──────────────► NONE
 *                    ▲                                              │ erased meanwhile
 *                    └──────────────────────────────────────────────┘
 *
 *   1. While anything is left to do, meta has a row "erasure", written by the erasing transaction:
 *      what a crash interrupts goes on at the next start.
 *   2. A step holds the writer up for PURGE_PAGES pages at most, or for one checkpoint, which waits
 *      for readers no longer than LOG_WAIT_MS. Between two steps scans have their turn.
 *   3. A step that fails is tried again, ever more seldom; nothing else depends on it.
 */
#include "store/sqlite_priv.h"

#include "base/log.h"

enum {
    GATHER_US = 500000,    /* erasures seldom come alone: one purge for those that follow */
    PAUSE_US = 10000,      /* between two steps */
    RETRY_US = 100000,     /* after a failed one, doubled each time */
    RETRY_US_MAX = 5000000,
    PURGE_PAGES = 64,      /* 256 KiB of index a step */
    STOP_STEPS = 64,       /* when the store closes */
};

static void set_due(struct sqlite_purge *purge, enum sqlite_purge_e state, int64_t pause_us) {
    purge->state = state;
    purge->due_us = clock_mono_us(clock_system()) + pause_us;
}

static void want(struct sqlite_purge *purge, int64_t mark) {
    purge->mark = mark;
    if (purge->state == SQLITE_PURGE_NONE) {
        purge->begun_us = clock_mono_us(clock_system());
        set_due(purge, SQLITE_PURGE_WAITING, GATHER_US);
    }
}

MAY_BLOCK enum err_e purge_want(struct sqlite_writer *w) {
    int64_t mark = (int64_t)(rng_u64(w->rng) >> 1 | 1); /* never 0: nothing to do */
    struct sql_run run = sql_begin(&w->conn, SQL_ERASURE_PUT);
    sql_int(&run, mark);
    TRY(sql_finish(&run));
    want(&w->purge, mark);
    return ERR_OK;
}

MAY_BLOCK enum err_e purge_notice(struct sqlite_writer *w) {
    bool row;
    struct sql_run run = sql_begin(&w->conn, SQL_META_GET);
    sql_word(&run, "erasure");
    TRY(sql_step(&run, &row));
    int64_t mark = row ? sql_get_int(&run) : 0;
    if (row) {
        sql_end(&run);
    }
    if (mark != 0 && mark != w->purge.mark) {
        want(&w->purge, mark);
    }
    return ERR_OK;
}

int64_t purge_due_ms(const struct sqlite_purge *purge, int64_t most_ms) {
    if (purge->state == SQLITE_PURGE_NONE) {
        return most_ms;
    }
    int64_t left_us = purge->due_us - clock_mono_us(clock_system());
    int64_t left_ms = left_us <= 0 ? 0 : left_us / 1000 + 1;
    return left_ms < most_ms ? left_ms : most_ms;
}

/* ── steps ── */

/* Some pages of the merge. A negative number of pages makes all segments one merge, a positive one
 * goes on with it. */
MAY_BLOCK static enum err_e merge_some(struct sqlite_writer *w, int64_t pages, bool *ret_more) {
    int64_t before = sqlite3_total_changes64(w->conn.db);
    struct sql_run run = sql_begin(&w->conn, SQL_FTS_MERGE);
    sql_int(&run, pages);
    TRY(sql_finish(&run));
    *ret_more = sqlite3_total_changes64(w->conn.db) - before >= 2; /* else it found nothing to do */
    return ERR_OK;
}

MAY_BLOCK static enum err_e merge(struct sqlite_writer *w) {
    struct sqlite_purge *purge = &w->purge;
    bool is_first = purge->state == SQLITE_PURGE_WAITING, more;
    int64_t mark = purge->mark;
    TRY(merge_some(w, is_first ? -PURGE_PAGES : PURGE_PAGES, &more));
    purge->covered = is_first ? mark : purge->covered;
    set_due(purge, more ? SQLITE_PURGE_MERGING : SQLITE_PURGE_EMPTYING, PAUSE_US);
    return ERR_OK;
}

MAY_BLOCK static enum err_e forget(struct sqlite_writer *w) {
    struct sql_run run = sql_begin(&w->conn, SQL_ERASURE_DONE);
    sql_int(&run, w->purge.covered);
    return sql_finish(&run);
}

/* Somebody erased since the merge began has words in a newer segment: once more. */
MAY_BLOCK static enum err_e empty_log(struct sqlite_writer *w) {
    struct sqlite_purge *purge = &w->purge;
    TRY(sqlite_empty_log(&w->conn));
    sqlite3_db_release_memory(w->conn.db); /* pages in memory are not clean: see sqlite_file.c */
    TRY(forget(w)); /* its row alone is in the log now; the row of a later erasure stays */
    if (purge->mark != purge->covered) {
        set_due(purge, SQLITE_PURGE_WAITING, PAUSE_US);
        return ERR_OK;
    }
    log_event(LOG_INFO, "store_erased_for_good", "took_ms=%lld",
              (long long)(clock_mono_us(clock_system()) - purge->begun_us) / 1000);
    *purge = (struct sqlite_purge){.state = SQLITE_PURGE_NONE};
    return ERR_OK;
}

MAY_BLOCK static enum err_e step(struct sqlite_writer *w) {
    switch (w->purge.state) {
    case SQLITE_PURGE_NONE:
        return ERR_OK;
    case SQLITE_PURGE_WAITING:
    case SQLITE_PURGE_MERGING:
        return merge(w);
    case SQLITE_PURGE_EMPTYING:
        return empty_log(w);
    }
    return ERR_INTERNAL;
}

static void retry_later(struct sqlite_purge *purge, enum err_e err) {
    int64_t pause_us = (int64_t)RETRY_US << purge->failures;
    if (pause_us < RETRY_US_MAX) {
        purge->failures++;
    } else {
        log_event(LOG_WARN, "store_erased_remains", "step=%s err=%s",
                  purge->state == SQLITE_PURGE_EMPTYING ? "log" : "index", err_code(err));
    }
    set_due(purge, purge->state, pause_us < RETRY_US_MAX ? pause_us : RETRY_US_MAX);
}

MAY_BLOCK void purge_step(struct sqlite_writer *w) {
    if (purge_due_ms(&w->purge, 1) > 0) {
        return;
    }
    enum err_e err = step(w);
    if (err == ERR_OK) {
        w->purge.failures = 0;
    } else {
        retry_later(&w->purge, err);
    }
}

MAY_BLOCK void purge_before_close(struct sqlite_writer *w) {
    for (int i = 0; i < STOP_STEPS && w->purge.state != SQLITE_PURGE_NONE; i++) {
        if (step(w) != ERR_OK) {
            return;
        }
    }
}
