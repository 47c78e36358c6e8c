/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the access log writes all it is given, and a disk or pipe that stands still holds up
 * nobody, its closing least of all. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "api/access.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE SLICE_LIT("t=now req=1 method=GET\n")

static char folder[64], path[80];

static int make_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/turnout-access-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    snprintf(path, sizeof path, "%s/log", folder);
    return 0;
}

static int drop_folder(void **state) {
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static struct access_log *open_log(void) {
    struct access_log *log;
    struct problem problem;
    assert_int_equal(access_open(path, &log, &problem), ERR_OK);
    return log;
}

static size_t size_of_file(void) {
    struct stat found;
    assert_int_equal(stat(path, &found), 0);
    return (size_t)found.st_size;
}

static void what_was_taken_is_written_when_it_is_closed(void **state) {
    (void)state;
    enum { LINES = 3000 };
    struct access_log *log = open_log();
    for (int i = 0; i < LINES; i++) {
        assert_true(access_write(log, LINE));
    }
    access_close(log);
    assert_int_equal(size_of_file(), LINES * LINE.len);
}

static void an_empty_one_is_closed_at_once(void **state) {
    (void)state;
    access_close(open_log());
    assert_int_equal(size_of_file(), 0);
    access_close(NULL);
}

/* Closing would wait for ever, were it to wait for the reader. */
static void a_pipe_that_stands_still_is_left_behind(void **state) {
    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK); /* opened, and not read */
    assert_true(reader >= 0);
    struct access_log *log = open_log();
    while (access_write(log, LINE)) { /* until pipe and both buffers are full */
    }
    access_close(log);
    char first[64];
    assert_true(read(reader, first, LINE.len) == (ssize_t)LINE.len);
    assert_memory_equal(first, LINE.at, LINE.len);
    close(reader); /* its thread's write fails, and it goes */
}

static void a_pipe_without_a_reader_is_refused(void **state) {
    (void)state;
    struct access_log *log;
    struct problem problem;
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(access_open(path, &log, &problem), ERR_CONFIG);
    assert_string_equal(problem.field, "log.access");
    assert_non_null(strstr(problem.detail, "nobody reads"));
}

#define EACH(name) cmocka_unit_test_setup_teardown(name, make_folder, drop_folder)

int main(void) {
    const struct CMUnitTest tests[] = {
        EACH(what_was_taken_is_written_when_it_is_closed),
        EACH(an_empty_one_is_closed_at_once),
        EACH(a_pipe_that_stands_still_is_left_behind),
        EACH(a_pipe_without_a_reader_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
