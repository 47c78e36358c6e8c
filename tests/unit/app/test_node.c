/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a node says where it is, takes the connections that fit, and keeps its store to itself. */
#include "app/node.h"
#include "app/open.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

static void url_is_one_that_can_be_opened(void **state) {
    (void)state;
    static const struct {
        const char *listen;
        int port;
        const char *url;
    } rows[] = {
        {"127.0.0.1:0", 4711, "http://127.0.0.1:4711"},
        {":8080", 8080, "http://127.0.0.1:8080"},
        {"0.0.0.0:80", 80, "http://127.0.0.1:80"},
        {"[::]:80", 80, "http://[::1]:80"},
        {"[::1]:0", 9, "http://[::1]:9"},
        {"door.example.org:443", 443, "http://door.example.org:443"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char url[NODE_URL_SIZE];
        node_url(slice_of(rows[i].listen), rows[i].port, url);
        assert_string_equal(url, rows[i].url);
    }
}

static void connections_leave_room_for_other_descriptors(void **state) {
    (void)state;
    assert_int_equal(node_connections(1000, 20000), 1000);
    assert_int_equal(node_connections(20000, 20000), 20000 - NODE_OTHER_DESCRIPTORS);
    assert_int_equal(node_connections(100, 10), 1); /* serves badly, and says so, but serves */
}

static void loops_are_as_set_or_one_per_core(void **state) {
    (void)state;
    struct config config = {.server_loops = 7};
    assert_int_equal(node_loops(&config), 7);
    config.server_loops = 0;
    assert_true(node_loops(&config) >= 1);
}

static void store_is_shown_without_its_password(void **state) {
    (void)state;
    static const struct {
        const char *url, *shown;
    } rows[] = {
        {"sqlite:/var/lib/a@b.db", "sqlite:/var/lib/a@b.db"},
        {"postgres://door:hunter2@db/turnout", "postgres://door@db/turnout"},
        {"postgres://door:p@ss@db/turnout", "postgres://door@db/turnout"},
        {"postgres://db/turnout", "postgres://db/turnout"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        static struct config config;
        char shown[STORE_SHOWN_SIZE];
        snprintf(config.store_url, sizeof config.store_url, "%s", rows[i].url);
        store_show(&config, shown);
        assert_string_equal(shown, rows[i].shown);
    }
}

/* Its exit code: what another process gets when it asks for the lock. */
static enum err_e lock_in_another_process(const char *path) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int fd;
        struct problem problem;
        _exit((int)store_lock(path, &fd, &problem));
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return (enum err_e)WEXITSTATUS(status);
}

static void lock_is_for_one_process_and_free_again_afterwards(void **state) {
    (void)state;
    char folder[] = "/tmp/turnout-lock-XXXXXX";
    assert_non_null(mkdtemp(folder));
    char path[64], lock[72];
    snprintf(path, sizeof path, "%s/t.db", folder);
    snprintf(lock, sizeof lock, "%s.lock", path);
    int fd;
    struct problem problem = {0};
    assert_false(store_is_locked(path));
    assert_int_equal(store_lock(path, &fd, &problem), ERR_OK);
    assert_true(store_is_locked(path));
    assert_int_equal(lock_in_another_process(path), ERR_CONFLICT);
    store_unlock(path, fd);
    assert_int_not_equal(access(lock, F_OK), 0);
    /* One that ends without giving it back leaves the file, which locks nobody out. */
    assert_int_equal(lock_in_another_process(path), ERR_OK);
    assert_int_equal(access(lock, F_OK), 0);
    assert_false(store_is_locked(path));
    assert_int_equal(store_lock(path, &fd, &problem), ERR_OK);
    store_unlock(path, fd);
    assert_int_equal(rmdir(folder), 0);
}

static void lock_in_a_folder_that_is_not_there_is_an_error(void **state) {
    (void)state;
    int fd;
    struct problem problem = {0};
    assert_int_equal(store_lock("/nonexistent/t.db", &fd, &problem), ERR_BAD_STORE);
    assert_non_null(strstr(problem.detail, "/nonexistent/t.db.lock"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(url_is_one_that_can_be_opened),
        cmocka_unit_test(connections_leave_room_for_other_descriptors),
        cmocka_unit_test(loops_are_as_set_or_one_per_core),
        cmocka_unit_test(store_is_shown_without_its_password),
        cmocka_unit_test(lock_is_for_one_process_and_free_again_afterwards),
        cmocka_unit_test(lock_in_a_folder_that_is_not_there_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
