/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: whenever the power fails, the SQLite store opens again, every acknowledged scan, annulment
 * and import is there once and as it was answered, and nothing is there by half.
 *
 * A life of the file: the store opens it, threads scan, import and annul, the log is moved into the
 * file now and then, and the store closes; power_vfs.h writes down each step. Then the power is cut
 * at random steps. Each time the store opens what a disk may hold, and all is looked at. From one
 * of the cuts the next life begins, so cuts within a recovery are among them. Some lives begin with
 * the schema of the first version, which the store takes forward.
 *
 * TURNOUT_CUTS=10000 makes it a long one, TURNOUT_SEED repeats its dice (threads still take turns
 * as they like).
 */
#include "rig.h"

#include "power_vfs.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    CUTS = 2500,
    CUTS_OF_A_LIFE = 60,
    LIVES_OF_A_FILE = 6,
    THREADS = 3,
    PEOPLE = 24,
    BATCH_MAX = 4,
    BATCHES_MAX = 1024, /* of a file */
    BATCHES_OF_A_THREAD = 6,
    IMPORTS_MAX = 64,
    ROWS = 5, /* of an import */
};
static const size_t never = SIZE_MAX;

/* Scans in one operation. When it was acknowledged: after so many steps of this life, 0: in one
 * before, never: not at all, or after the cut. */
struct batch {
    size_t acked_at;
    size_t len;
    char nonces[BATCH_MAX][64];
    char tokens[BATCH_MAX][16];
    struct scan scans[BATCH_MAX];
    struct scan_result results[BATCH_MAX]; /* texts are gone */
    size_t annulled_at;                    /* its first scan */
};

static struct file {
    struct rig rig; /* path and clocks; its store is open within a life */
    struct seeded_rng dice;
    struct power_image image; /* with which the life begins */
    size_t setup_at;
    size_t imports_at[IMPORTS_MAX];
    size_t imports_len;
    struct batch batches[BATCHES_MAX];
    size_t batches_len;
    mtx_t lock; /* of batches_len, while threads scan */
} file;

static uint64_t env_number(const char *name, uint64_t otherwise) {
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

/* ── a life ── */

static enum err_e open_store(struct store **ret_store, struct problem *problem) {
    const struct sqlite_options options = {.path = file.rig.path,
                                           .clock = &file.rig.clock.base,
                                           .rng = &file.rig.rng.base,
                                           .queue_max = 256,
                                           .group_max = 16,
                                           .readers = 1};
    return sqlite_open(&options, ret_store, problem);
}

static struct batch *new_batch(struct rng *rng) {
    mtx_lock(&file.lock);
    assert_true(file.batches_len < BATCHES_MAX);
    size_t number = file.batches_len++;
    mtx_unlock(&file.lock);
    struct batch *batch = &file.batches[number];
    *batch = (struct batch){.acked_at = never, .annulled_at = never};
    batch->len = 1 + rng_below(rng, BATCH_MAX);
    for (size_t i = 0; i < batch->len; i++) {
        /* Every nonce tells how many come with it. */
        snprintf(batch->nonces[i], sizeof batch->nonces[i], "%zu/%zu.%zu", number, batch->len, i);
        snprintf(batch->tokens[i], sizeof batch->tokens[i], "t%d", (int)rng_below(rng, PEOPLE + 1));
        batch->scans[i] = (struct scan){
            .token = slice_of(batch->tokens[i]), /* the last one is nobody's */
            .gate = rng_below(rng, 2) == 0 ? SLICE_LIT("g1") : SLICE_LIT("g2"),
            .nonce = slice_of(batch->nonces[i]),
            .direction = rng_below(rng, 3) == 0 ? DIRECTION_EXIT : DIRECTION_ENTRY,
            .scanned_at_ms = TIME_NONE};
    }
    return batch;
}

static enum err_e run_batch(struct store *store, const struct batch *batch,
                            struct scan_result *results) {
    struct store_op op;
    store_op_init(&op, STORE_CHECK_IN);
    op.event = SLICE_LIT("e");
    op.check_in.scans = batch->scans;
    op.check_in.results = results;
    op.check_in.len = batch->len;
    enum err_e err = store_run(store, &op);
    store_op_fini(&op);
    return err;
}

static void annul(struct batch *batch) {
    struct store_op op;
    store_op_init(&op, STORE_ANNUL);
    op.event = SLICE_LIT("e");
    op.annul.record_id = batch->results[0].record_id;
    assert_int_equal(store_run(file.rig.store, &op), ERR_OK);
    store_op_fini(&op);
    batch->annulled_at = power_steps();
}

static int scan_main(void *data) {
    struct seeded_rng rng;
    seeded_rng_init(&rng, *(uint64_t *)data);
    for (int i = 0; i < BATCHES_OF_A_THREAD; i++) {
        struct batch *batch = new_batch(&rng.base);
        assert_int_equal(run_batch(file.rig.store, batch, batch->results), ERR_OK);
        batch->acked_at = power_steps();
        if (batch->results[0].verdict != VERDICT_REFUSED && rng_below(&rng.base, 4) == 0) {
            annul(batch);
        }
    }
    return 0;
}

static void import(const char *prefix, size_t rows_len) {
    struct import_row rows[PEOPLE];
    char tokens[PEOPLE][48];
    struct store_op op;
    assert_true(rows_len <= PEOPLE);
    for (size_t i = 0; i < rows_len; i++) {
        snprintf(tokens[i], sizeof tokens[i], "%s%zu", prefix, i);
        rows[i] = (struct import_row){.fields = PARTICIPANT_TOKEN | PARTICIPANT_NAME};
        rows[i].values.token = slice_of(tokens[i]);
        rows[i].values.name = SLICE_LIT("Ann Smith");
        rows[i].values.valid_from_ms = TIME_NONE;
        rows[i].values.valid_until_ms = TIME_NONE;
    }
    store_op_init(&op, STORE_IMPORT_PARTICIPANTS);
    op.event = SLICE_LIT("e");
    op.import.rows = rows;
    op.import.len = rows_len;
    assert_int_equal(store_run(file.rig.store, &op), ERR_OK);
    store_op_fini(&op);
}

static void import_some(void) {
    char prefix[24];
    assert_true(file.imports_len < IMPORTS_MAX);
    file.imports_at[file.imports_len] = never;
    snprintf(prefix, sizeof prefix, "i%zu-", file.imports_len++);
    import(prefix, ROWS);
    file.imports_at[file.imports_len - 1] = power_steps();
}

/* A checkpoint that cannot be had now harms nobody; a file that it finds broken does. */
static void exec_on_file(const char *sql) {
    sqlite3 *db;
    assert_int_equal(sqlite3_open(file.rig.path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 10000);
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    if (rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB || rc == SQLITE_IOERR) {
        fail_msg("%s: %d, %s", sql, rc, sqlite3_errmsg(db));
    }
    sqlite3_close(db);
}

static void set_up(void) {
    rig_event(&file.rig, "e", REENTRY_AFTER_EXIT, 10);
    rig_gate(&file.rig, "e", "g1");
    rig_gate(&file.rig, "e", "g2");
    import("t", PEOPLE);
    file.setup_at = power_steps();
}

static void work(void) {
    struct rng *dice = &file.dice.base;
    thrd_t threads[THREADS];
    uint64_t seeds[THREADS];
    for (int i = 0; i < THREADS; i++) {
        seeds[i] = rng_u64(dice);
        assert_int_equal(thrd_create(&threads[i], scan_main, &seeds[i]), thrd_success);
    }
    import_some();
    if (rng_below(dice, 2) == 0) { /* as the writer does after 8192 pages */
        exec_on_file(rng_below(dice, 2) == 0 ? "PRAGMA wal_checkpoint(PASSIVE)"
                                             : "PRAGMA wal_checkpoint(RESTART)");
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(thrd_join(threads[i], NULL), thrd_success);
    }
}

/* What later versions added. */
static const char back_to_first[] =
    "DROP INDEX idx_attendance_refused; DROP TABLE action_journal; DROP TABLE control_orders;"
    "DROP TABLE notices; PRAGMA user_version = 1; PRAGMA wal_checkpoint(TRUNCATE)";

static void take_back(void) {
    struct power_content *content = &file.image.files[POWER_DATABASE];
    power_put(&file.image, file.rig.path, &file.dice.base);
    exec_on_file(back_to_first); /* the last connection closes: all is in the file */
    power_image_free(&file.image);
    FILE *from = fopen(file.rig.path, "rb");
    assert_non_null(from);
    assert_int_equal(fseek(from, 0, SEEK_END), 0);
    content->len = (size_t)ftell(from);
    content->at = malloc(content->len);
    assert_non_null(content->at);
    rewind(from);
    assert_int_equal(fread(content->at, 1, content->len, from), content->len);
    fclose(from);
}

static void live(enum power_lie_e lie) {
    struct problem problem = {.detail = ""};
    if (file.setup_at != never && rng_below(&file.dice.base, 4) == 0) {
        take_back();
    }
    power_put(&file.image, file.rig.path, &file.dice.base);
    power_begin(&file.image, file.rig.path, lie);
    int sessions = 1 + (int)rng_below(&file.dice.base, 2);
    for (int session = 0; session < sessions; session++) {
        virtual_clock_advance(&file.rig.clock, 1000);
        assert_int_equal(open_store(&file.rig.store, &problem), ERR_OK);
        if (file.setup_at == never) {
            set_up();
        }
        work();
        store_close(file.rig.store);
    }
    power_end();
}

/* ── after a cut ── */

static char reason[512];

#define COMPLAIN(...) (snprintf(reason, sizeof reason, __VA_ARGS__), false)

static bool is_there(const struct batch *batch, struct store *store) {
    struct scan_result seen[BATCH_MAX];
    enum err_e err = run_batch(store, batch, seen);
    if (err != ERR_OK) {
        return COMPLAIN("batch %s: %s", batch->nonces[0], err_code(err));
    }
    for (size_t i = 0; i < batch->len; i++) {
        const struct scan_result *was = &batch->results[i];
        if (seen[i].err != ERR_OK || !seen[i].replayed || seen[i].record_id != was->record_id) {
            return COMPLAIN("lost: scan %s, %s", batch->nonces[i], err_code(seen[i].err));
        }
        if (seen[i].verdict != was->verdict || seen[i].reason != was->reason) {
            return COMPLAIN("replayed differently: scan %s", batch->nonces[i]);
        }
    }
    return true;
}

/* Each counts what must not be. */
static const struct question {
    const char *what;
    const char *sql;
} questions[] = {
    {"a damaged file", "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"},
    {"half a batch", "SELECT count(*) FROM (SELECT b, count(*) AS n FROM (SELECT"
                     " substr(nonce, 1, instr(nonce, '.') - 1) AS b FROM attendance_records)"
                     " GROUP BY b HAVING n <> CAST(substr(b, instr(b, '/') + 1) AS INTEGER))"},
    {"a record that nobody asked for",
     "SELECT count(*) FROM attendance_records WHERE nonce IS NULL"},
    {"half an import", "SELECT count(*) FROM (SELECT count(*) AS n FROM participants"
                       " WHERE token LIKE 'i%' GROUP BY substr(token, 1, instr(token, '-'))"
                       " HAVING n <> 5)"},
    {"half of the people", "SELECT count(*) % 24 FROM participants WHERE token LIKE 't%'"},
    {"counts that are not those of the records",
     "SELECT count(*) FROM event_stats WHERE scans <> (SELECT count(*) FROM attendance_records)"
     " OR refused <> (SELECT count(*) FROM attendance_records WHERE verdict = 'refused')"
     " OR participants <> (SELECT count(*) FROM participants)"},
    {"people inside who are not",
     "SELECT count(*) FROM event_stats"
     " WHERE inside <> (SELECT coalesce(sum(inside), 0) FROM ledger)"
     " OR inside <> (SELECT count(*) FROM (SELECT verdict, row_number() OVER (PARTITION BY"
     " participant_id ORDER BY timestamp DESC, id DESC) AS n FROM attendance_records WHERE"
     " verdict <> 'refused' AND annulled_at IS NULL) WHERE n = 1 AND verdict = 'admitted')"},
    {"a gate's counts that are not those of its records",
     "SELECT count(*) FROM gate_stats s WHERE admitted <> (SELECT count(*) FROM attendance_records"
     " WHERE gate_id = s.gate_id AND verdict = 'admitted' AND annulled_at IS NULL)"},
};

static bool ask(sqlite3 *db, const char *what, const char *sql, int64_t wanted) {
    sqlite3_stmt *stmt;
    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK) {
        return COMPLAIN("%s: %s", what, sqlite3_errmsg(db));
    }
    int rc = sqlite3_step(stmt);
    int64_t seen = rc == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : -1;
    sqlite3_finalize(stmt);
    return seen == wanted || COMPLAIN("%s: %" PRId64 " instead of %" PRId64, what, seen, wanted);
}

static bool is_whole(sqlite3 *db) {
    for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) {
        if (!ask(db, questions[i].what, questions[i].sql, 0)) {
            return false;
        }
    }
    return true;
}

static bool has_what_was_acknowledged(sqlite3 *db, size_t steps) {
    char sql[160];
    for (size_t i = 0; i < file.imports_len; i++) {
        snprintf(sql, sizeof sql, "SELECT count(*) FROM participants WHERE token LIKE 'i%zu-%%'",
                 i);
        if (file.imports_at[i] <= steps && !ask(db, "lost: an import", sql, ROWS)) {
            return false;
        }
    }
    for (size_t i = 0; i < file.batches_len; i++) {
        snprintf(sql, sizeof sql,
                 "SELECT annulled_at IS NOT NULL FROM attendance_records WHERE id = %" PRId64,
                 file.batches[i].results[0].record_id);
        if (file.batches[i].annulled_at <= steps && !ask(db, "lost: an annulment", sql, 1)) {
            return false;
        }
    }
    return file.setup_at > steps ||
           ask(db, "lost: the people", "SELECT count(*) FROM participants WHERE token LIKE 't%'",
               PEOPLE);
}

static bool holds(struct store *store, size_t steps) {
    sqlite3 *db;
    assert_int_equal(sqlite3_open(file.rig.path, &db), SQLITE_OK);
    bool good = is_whole(db) && has_what_was_acknowledged(db, steps);
    for (size_t i = 0; good && i < file.batches_len; i++) {
        good = file.batches[i].acked_at > steps || is_there(&file.batches[i], store);
    }
    sqlite3_close(db);
    return good;
}

static bool survives(const struct power_image *image, size_t steps) {
    struct store *store;
    struct problem problem = {.detail = ""};
    power_put(image, file.rig.path, &file.dice.base);
    enum err_e err = open_store(&store, &problem);
    if (err != ERR_OK) {
        return COMPLAIN("does not open: %s: %s", err_code(err), problem.detail);
    }
    bool good = holds(store, steps);
    store_close(store);
    return good;
}

/* ── lives and cuts ── */

static void begin_file(uint64_t seed) {
    const char *parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    memset(&file, 0, sizeof file);
    file.setup_at = never;
    assert_int_equal(mtx_init(&file.lock, mtx_plain), thrd_success);
    snprintf(file.rig.folder, sizeof file.rig.folder, "%s/turnout-power-XXXXXX", parent);
    assert_non_null(mkdtemp(file.rig.folder));
    snprintf(file.rig.path, sizeof file.rig.path, "%s/store.db", file.rig.folder);
    virtual_clock_init(&file.rig.clock, RIG_START_MS);
    seeded_rng_init(&file.rig.rng, seed);
    seeded_rng_init(&file.dice, seed);
}

static void end_file(void) {
    static const struct power_image nothing;
    char shared[sizeof file.rig.path + 8];
    power_image_free(&file.image);
    power_put(&nothing, file.rig.path, &file.dice.base);
    snprintf(shared, sizeof shared, "%s-shm", file.rig.path);
    unlink(shared);
    assert_int_equal(rmdir(file.rig.folder), 0);
    mtx_destroy(&file.lock);
}

/* The power failed after so many steps: what was acknowledged by then was so for good. */
static size_t moved(size_t acked_at, size_t steps) {
    return acked_at <= steps ? 0 : never;
}

static void go_on_from(struct power_image *image, size_t steps) {
    power_image_free(&file.image);
    file.image = *image;
    file.setup_at = moved(file.setup_at, steps);
    for (size_t i = 0; i < file.imports_len; i++) {
        file.imports_at[i] = moved(file.imports_at[i], steps);
    }
    for (size_t i = 0; i < file.batches_len; i++) {
        file.batches[i].acked_at = moved(file.batches[i].acked_at, steps);
        file.batches[i].annulled_at = moved(file.batches[i].annulled_at, steps);
    }
}

static int by_size(const void *a, const void *b) {
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return x < y ? -1 : x > y;
}

/* The next life begins with one of the cuts, but none within the set-up, which is made once. */
static size_t some_cut_to_go_on_from(const size_t *at) {
    size_t next = (size_t)rng_below(&file.dice.base, CUTS_OF_A_LIFE);
    while (next + 1 < CUTS_OF_A_LIFE && at[next] < file.setup_at) {
        next++;
    }
    return next;
}

/* Makes a life's cuts, and returns how many did harm. */
static size_t cut_often(enum power_lie_e lie) {
    size_t failures = 0;
    size_t at[CUTS_OF_A_LIFE];
    struct power_image left = {0};
    for (int i = 0; i < CUTS_OF_A_LIFE; i++) {
        at[i] = (size_t)rng_below(&file.dice.base, power_steps() + 1);
    }
    at[0] = power_steps(); /* among them: when all was closed */
    qsort(at, CUTS_OF_A_LIFE, sizeof at[0], by_size);
    size_t next = some_cut_to_go_on_from(at);
    for (size_t i = 0; i < CUTS_OF_A_LIFE; i++) {
        struct power_image image;
        power_cut(at[i], &file.dice.base, &image);
        if (!survives(&image, at[i])) {
            failures++;
            if (lie == POWER_HONEST) {
                print_message("cut after step %zu of %zu: %s\n", at[i], power_steps(), reason);
            }
        }
        if (i == next) {
            left = image;
        } else {
            power_image_free(&image);
        }
    }
    go_on_from(&left, at[next]);
    return failures;
}

/* Returns how many cuts did harm. */
static size_t play(size_t cuts, uint64_t seed, enum power_lie_e lie) {
    size_t failures = 0, made = 0;
    print_message("TURNOUT_SEED=%" PRIu64 "\n", seed);
    while (made < cuts && failures == 0) {
        begin_file(seed + made);
        for (int i = 0; i < LIVES_OF_A_FILE && made < cuts && failures == 0; i++) {
            live(lie);
            failures = cut_often(lie);
            made += CUTS_OF_A_LIFE;
        }
        end_file();
    }
    print_message("%zu cuts, %zu did harm\n", made, failures);
    return failures;
}

static uint64_t some_seed(void) {
    return env_number("TURNOUT_SEED", rng_u64(rng_system()) % 1000000);
}

static void nothing_acknowledged_is_lost_when_the_power_fails(void **state) {
    (void)state;
    assert_int_equal(play((size_t)env_number("TURNOUT_CUTS", CUTS), some_seed(), POWER_HONEST), 0);
}

static void a_disk_that_does_not_sync_files_is_noticed(void **state) {
    (void)state;
    assert_true(play(CUTS, some_seed(), POWER_LIES_ABOUT_FILES) > 0);
}

static void a_disk_that_does_not_sync_folders_is_noticed(void **state) {
    (void)state;
    assert_true(play(CUTS, some_seed(), POWER_LIES_ABOUT_FOLDERS) > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_acknowledged_is_lost_when_the_power_fails),
        cmocka_unit_test(a_disk_that_does_not_sync_files_is_noticed),
        cmocka_unit_test(a_disk_that_does_not_sync_folders_is_noticed),
    };
    power_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
