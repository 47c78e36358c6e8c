/* SPDX-License-Identifier: Apache-2.0 */
/* A file that is believed only once it has been read back. */
#include "optimizer/archive.h"

#include <dirent.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/turnout-archive-XXXXXX";

static size_t count_files(void) {
    DIR *dir = opendir(folder);
    size_t count = 0;
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        count += entry->d_name[0] != '.';
    }
    closedir(dir);
    return count;
}

static struct archive *create(const char *name) {
    struct archive *archive;
    struct problem problem;
    assert_int_equal(archive_create(folder, slice_of(name), &archive, &problem), ERR_OK);
    return archive;
}

static void rows_are_counted_and_the_file_is_the_owners_alone(void **state) {
    (void)state;
    char path[128];
    struct stat seen;
    struct archive_facts facts;
    struct problem problem;
    struct archive *archive = create("t");
    assert_int_equal(archive_add(archive, SLICE_LIT("id,reason\n")), ERR_OK);
    assert_int_equal(archive_add(archive, SLICE_LIT("1,\"two\nlines\"\n")), ERR_OK);
    assert_int_equal(archive_add(archive, SLICE_LIT("2,\n")), ERR_OK);
    assert_int_equal(archive_finish(archive, &facts, &problem), ERR_OK);
    assert_int_equal(facts.rows, 2);
    assert_int_equal(facts.bytes, 10 + 14 + 3);
    snprintf(path, sizeof path, "%s/t.csv.gz", folder);
    assert_int_equal(stat(path, &seen), 0);
    assert_int_equal(seen.st_mode & 0777, 0600);
    assert_int_equal(seen.st_size, facts.file_bytes);
    assert_int_equal(count_files(), 1);
    assert_int_equal(unlink(path), 0);
}

static void a_file_that_was_changed_meanwhile_is_not_believed(void **state) {
    (void)state;
    char path[128];
    struct archive_facts facts;
    struct problem problem;
    struct archive *archive = create("t");
    assert_int_equal(archive_add(archive, SLICE_LIT("id\n")), ERR_OK);
    /* another file takes its place: its own checksum is right, its content is another */
    snprintf(path, sizeof path, "%s/t.csv.gz.part", folder);
    assert_int_equal(unlink(path), 0);
    struct archive *other = create("t");
    assert_int_equal(archive_add(other, SLICE_LIT("no\n")), ERR_OK);
    assert_int_equal(archive_add(other, SLICE_LIT("1\n")), ERR_OK);
    assert_int_equal(archive_finish(archive, &facts, &problem), ERR_IO);
    assert_non_null(strstr(problem.detail, "cannot believe"));
    archive_discard(other);
    assert_int_equal(count_files(), 0);
}

static void nothing_is_left_of_one_that_is_given_up(void **state) {
    (void)state;
    struct problem problem;
    struct archive *archive = create("t");
    assert_int_equal(archive_add(archive, SLICE_LIT("id\n")), ERR_OK);
    archive_discard(archive);
    assert_int_equal(count_files(), 0);
    assert_int_equal(archive_create("/nowhere/at/all", SLICE_LIT("t"), &archive, &problem),
                     ERR_IO);
    assert_null(archive);
    assert_non_null(strstr(problem.detail, "cannot make /nowhere/at/all/t.csv.gz.part"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_counted_and_the_file_is_the_owners_alone),
        cmocka_unit_test(a_file_that_was_changed_meanwhile_is_not_believed),
        cmocka_unit_test(nothing_is_left_of_one_that_is_given_up),
    };
    if (mkdtemp(folder) == NULL) {
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return failed;
}
