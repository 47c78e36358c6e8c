/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a recording begins with its process, holds whole lines, keeps to its size, and trouble with
 * its file harms nobody. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "act/recorder.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];
static char path[96], before[112];

static int make(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/turnout-recorder-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    snprintf(path, sizeof path, "%s/rec", folder);
    snprintf(before, sizeof before, "%s.1", path);
    return 0;
}

static int drop(void **state) {
    (void)state;
    unlink(path);
    unlink(before);
    rmdir(path);
    return rmdir(folder);
}

static const char *content(const char *name) {
    static char text[4096];
    FILE *file = fopen(name, "r");
    if (file == NULL) {
        return "(none)";
    }
    size_t len = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[len] = '\0';
    return text;
}

static void each_start_begins_a_file_and_keeps_the_one_before(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++) {
        char line[16];
        snprintf(line, sizeof line, "run %d", i);
        struct recorder *recorder = recorder_open(path, 1000);
        assert_non_null(recorder);
        recorder_write(recorder, slice_of(line));
        recorder_close(recorder);
    }
    assert_string_equal(content(path), "run 2\n");
    assert_string_equal(content(before), "run 1\n");
}

static void a_full_file_moves_away_and_no_line_is_cut(void **state) {
    (void)state;
    struct recorder *recorder = recorder_open(path, 10);
    for (int i = 0; i < 7; i++) {
        char line[16];
        snprintf(line, sizeof line, "l%d", i); /* three bytes with its end: three in a file */
        recorder_write(recorder, slice_of(line));
    }
    assert_string_equal(content(before), "l3\nl4\nl5\n");
    assert_string_equal(content(path), "l6\n");
    recorder_write(recorder, SLICE_LIT("a line longer than a file"));
    assert_string_equal(content(path), "a line longer than a file\n");
    recorder_close(recorder);
}

static int lines_logged;

static void count_line(const char *line, size_t len, void *data) {
    (void)line;
    (void)len;
    (void)data;
    lines_logged++;
}

static void what_cannot_be_written_ends_the_recording_with_one_line(void **state) {
    (void)state;
    lines_logged = 0;
    log_set_sink(count_line, NULL);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(mkdir(before, 0700), 0);
    char inside[128];
    snprintf(inside, sizeof inside, "%s/full", before);
    assert_int_equal(mkdir(inside, 0700), 0); /* a folder that is not empty cannot be replaced */
    struct recorder *recorder = recorder_open(path, 10);
    assert_non_null(recorder);
    for (int i = 0; i < 3; i++) {
        recorder_write(recorder, SLICE_LIT("lost"));
    }
    recorder_close(recorder);
    assert_int_equal(lines_logged, 1);
    rmdir(inside);
    rmdir(before);
}

int main(void) {
#define EACH(test) cmocka_unit_test_setup_teardown(test, make, drop)
    const struct CMUnitTest tests[] = {
        EACH(each_start_begins_a_file_and_keeps_the_one_before),
        EACH(a_full_file_moves_away_and_no_line_is_cut),
        EACH(what_cannot_be_written_ends_the_recording_with_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
