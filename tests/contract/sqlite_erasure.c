/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: of somebody erased no byte stays in any file of the store, whatever was written, rewritten
 * and merged before, and whether or not the process lives to see it. Canaries stand in every text
 * of a person; the files are searched byte by byte. That they are found before shows that the
 * search can find them.
 */
#include "rig.h"

#include <dirent.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Rare characters, so that not even a gram of the address looks like another one's. */
#define CANARY_NAME "Ꙭanꙭary"
#define CANARY_TOKEN "Ꙩtokenꙩ"
#define CANARY_EMAIL "ꙫꙫꙫ@ꙫꙫ.example"
#define CANARY_ATTENTION "Ꙫheelchairꙫ"
/* U+A668 to U+A66D in UTF-8 (the index folds upper case). Not the first two bytes alone: the log's
 * salt, which is random and stands in its head, its frames and its index, has them now and then. */
static const unsigned char mark[] = {0xea, 0x99};
enum { MARK_LAST_MIN = 0xa8, MARK_LAST_MAX = 0xad };

enum { NEIGHBOURS = 3000, WAIT_TRIES = 6000, BUSY_MS = 60000 };

static size_t count_marks(const char *path) {
    static unsigned char bytes[64 << 20];
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t len = fread(bytes, 1, sizeof bytes, file), found = 0;
    assert_true(len < sizeof bytes);
    fclose(file);
    for (const unsigned char *at = bytes, *end = bytes + len;
         (at = memmem(at, (size_t)(end - at), mark, sizeof mark)) != NULL; at++) {
        found += at + 2 < end && at[2] >= MARK_LAST_MIN && at[2] <= MARK_LAST_MAX;
    }
    return found;
}

static size_t count_in_all_files(const struct rig *rig) {
    size_t found = 0;
    char path[600];
    DIR *folder = opendir(rig->folder);
    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] != '.') {
            snprintf(path, sizeof path, "%s/%s", rig->folder, entry->d_name);
            found += count_marks(path);
        }
    }
    closedir(folder);
    return found;
}

static int take_text(void *data, int columns, char **texts, char **names) {
    (void)columns, (void)names;
    snprintf(data, 64, "%s", texts[0]);
    return 0;
}

static void assert_whole(const struct rig *rig) {
    char said[64] = "";
    sqlite3 *db;
    assert_int_equal(sqlite3_open(rig->path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, BUSY_MS); /* the store may still be at it */
    assert_int_equal(sqlite3_exec(db, "PRAGMA integrity_check", take_text, said, NULL), SQLITE_OK);
    assert_string_equal(said, "ok");
    assert_int_equal(sqlite3_exec(db, "INSERT INTO participants_fts (participants_fts)"
                                      " VALUES ('integrity-check')", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void wait_until_gone(const struct rig *rig) {
    const struct timespec pause = {.tv_nsec = 10000000};
    for (int i = 0; i < WAIT_TRIES; i++) {
        if (count_in_all_files(rig) == 0) {
            assert_whole(rig);
            return;
        }
        nanosleep(&pause, NULL);
    }
    fail_msg("after a minute %zu are still there", count_in_all_files(rig));
}

/* In batches, as an import comes: every batch makes segments of the index and merges them. */
static void import(struct rig *rig, int from, int count) {
    enum { BATCH = 100 };
    static char texts[BATCH][3][64];
    static struct import_row rows[BATCH];
    for (int i = 0; i < BATCH && i < count; i++) {
        unsigned spread = (unsigned)(from + i) * 2654435761u; /* so that words land anywhere */
        snprintf(texts[i][0], sizeof texts[i][0], "%08x-%d", spread, from + i);
        snprintf(texts[i][1], sizeof texts[i][1], "N%06x W%05x", spread & 0xffffff, spread >> 12);
        snprintf(texts[i][2], sizeof texts[i][2], "a%x@b%x.org", spread, spread >> 3);
        rows[i] = (struct import_row){
            .values = {.token = slice_of(texts[i][0]), .name = slice_of(texts[i][1]),
                       .email = slice_of(texts[i][2])},
            .fields = PARTICIPANT_TOKEN | PARTICIPANT_NAME | PARTICIPANT_EMAIL};
    }
    struct store_op op;
    store_op_init(&op, STORE_IMPORT_PARTICIPANTS);
    op.event = SLICE_LIT("e");
    op.import.rows = rows;
    op.import.len = count < BATCH ? (size_t)count : BATCH;
    assert_int_equal(store_run(rig->store, &op), ERR_OK);
    store_op_fini(&op);
    if (count > BATCH) {
        import(rig, from + BATCH, count - BATCH);
    }
}

static int64_t add_canary(struct rig *rig, int number) {
    char token[64];
    snprintf(token, sizeof token, "%d" CANARY_TOKEN, number);
    int64_t id = rig_person(rig, "e", token, CANARY_NAME, CANARY_EMAIL);
    struct participant values = {.name = SLICE_LIT(CANARY_NAME " the second, of that name"),
                                 .attention = SLICE_LIT(CANARY_ATTENTION)};
    assert_int_equal(
        rig_patch(rig, "e", id, PARTICIPANT_NAME | PARTICIPANT_ATTENTION, &values), ERR_OK);
    struct scan scan = ENTRY("", "g1");
    scan.token = slice_of(token);
    assert_int_equal(rig_scan(rig, "e", scan).verdict, VERDICT_ADMITTED);
    return id;
}

/* Many of them, between many others, so that their pages were split, moved and freed. */
enum { CANARIES = 40 };
static void add_people(struct rig *rig, int64_t ids[CANARIES]) {
    for (int i = 0; i < CANARIES; i++) {
        import(rig, i * NEIGHBOURS / CANARIES, NEIGHBOURS / CANARIES);
        ids[i] = add_canary(rig, i);
    }
}

static void nothing_of_the_erased_stays_in_any_file(void **state) {
    struct rig *rig = *state;
    int64_t ids[CANARIES];
    add_people(rig, ids);
    assert_true(count_in_all_files(rig) >= CANARIES * 4);
    for (int i = 0; i < CANARIES; i++) {
        assert_int_equal(rig_erase(rig, "e", ids[i]), ERR_OK);
    }
    wait_until_gone(rig);
    assert_int_equal(rig_stats(rig, "e").participants, NEIGHBOURS);
    assert_string_equal(rig_search(rig, "e", "ꙫꙫꙫ"), "");
    assert_string_not_equal(rig_search(rig, "e", "b0"), ""); /* the others are still found */
}

static void one_erased_while_another_is_purged_goes_too(void **state) {
    struct rig *rig = *state;
    int64_t ids[CANARIES];
    add_people(rig, ids);
    for (int i = 0; i < CANARIES; i++) {
        const struct timespec pause = {.tv_nsec = 25000000}; /* a purge takes about four of them */
        assert_int_equal(rig_erase(rig, "e", ids[i]), ERR_OK);
        nanosleep(&pause, NULL);
    }
    wait_until_gone(rig);
}

static void a_store_that_closes_at_once_purges_first_or_when_it_opens(void **state) {
    struct rig *rig = *state;
    int64_t ids[CANARIES];
    add_people(rig, ids);
    for (int i = 0; i < CANARIES; i++) {
        assert_int_equal(rig_erase(rig, "e", ids[i]), ERR_OK);
    }
    rig_reopen(rig);
    wait_until_gone(rig);
    assert_string_not_equal(rig_search(rig, "e", "b0"), "");
}

/* The child's whole life; its last word is where its files are. */
static void erase_and_die(int pipe) {
    struct rig rig = {.group_max = 0};
    rig_begin(&rig);
    rig_event(&rig, "e", REENTRY_AFTER_EXIT, CAPACITY_NONE);
    rig_gate(&rig, "e", "g1");
    import(&rig, 0, NEIGHBOURS);
    int64_t id = add_canary(&rig, 0);
    ssize_t told = write(pipe, rig.folder, sizeof rig.folder);
    if (told == sizeof rig.folder && rig_erase(&rig, "e", id) == ERR_OK) {
        raise(SIGKILL);
    }
    _exit(1);
}

static void what_a_crash_leaves_goes_at_the_next_start(void **state) {
    (void)state;
    int ends[2], status;
    struct rig rig = {.group_max = 256};
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        erase_and_die(ends[1]);
    }
    assert_int_equal(read(ends[0], rig.folder, sizeof rig.folder), sizeof rig.folder);
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    snprintf(rig.path, sizeof rig.path, "%s/store.db", rig.folder);
    rig_resume(&rig);
    wait_until_gone(&rig);
    rig_end(&rig);
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        RIG_TEST(nothing_of_the_erased_stays_in_any_file),
        RIG_TEST(one_erased_while_another_is_purged_goes_too),
        RIG_TEST(a_store_that_closes_at_once_purges_first_or_when_it_opens),
        cmocka_unit_test(what_a_crash_leaves_goes_at_the_next_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
