/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: configuration, JSON, plans and the cache in the process survive every failed allocation:
 * they say so, or did what was asked, and work when there is memory again.
 */
#include "memory.h"

#include "app/config.h"
#include "base/json.h"
#include "cache/l1.h"
#include "optimizer/explain.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const enum memory_fault_e faults[] = {MEMORY_ONCE, MEMORY_FROM_THEN_ON};

/* Runs the story with each allocation failing, and at last untouched. It returns whether it came to
 * its end, with memory or without. */
static void fail_each(bool (*story)(void *data), void *data) {
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        uint64_t n = 1;
        bool done = false;
        memory_begin_story(1);
        for (; memory_more(); n = memory_next(n)) {
            memory_fail(n, faults[i]);
            done = story(data);
            (void)memory_end();
            assert_true(story(data)); /* with memory again */
        }
        assert_true(done); /* untouched */
        assert_true(n > 2); /* something was made to fail */
    }
}

/* ── configuration ── */

static const char settings[] = "[server]\n"
                               "listen = 127.0.0.1:0\n"
                               "[scaler]\n"
                               "max = 7\n"
                               "[alert.crowded]\n"
                               "metric = avg_response_time_ms\n"
                               "op = >\n"
                               "threshold = 900\n"
                               "for = 30s\n"
                               "severity = warning\n";

static bool read_settings(void *data) {
    static char readers[] = "TURNOUT_STORE_READERS=3";
    char *environment[] = {readers, NULL};
    const struct config_flag flag = {CONFIG_store_url, "--store", "sqlite:x.db"};
    const struct config_input input = {
        .file = data, .environment = environment, .flags = &flag, .flags_len = 1};
    struct config config;
    struct buf errors;
    buf_init(&errors, 1 << 16);
    enum err_e err = config_load(&config, &input, &errors);
    bool good = err == ERR_OK && config.store_readers == 3 && config.control_len == 6;
    assert_true(err != ERR_OK || good); /* never less than what is in the file */
    config_fini(&config);
    buf_fini(&errors);
    return err == ERR_OK;
}

static void a_configuration_is_read_whole_or_not_at_all(void **state) {
    (void)state;
    char path[] = "/tmp/turnout-memory-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, settings, sizeof settings - 1), sizeof settings - 1);
    close(fd);
    fail_each(read_settings, path);
    unlink(path);
}

/* ── JSON ── */

static bool read_json(void *data) {
    (void)data;
    struct arena arena;
    struct json_t *value;
    struct problem problem;
    arena_init(&arena, 1 << 20);
    enum err_e err = json_parse(
        &arena, SLICE_LIT("{\"token\":\"t-1\",\"gates\":[\"a\",\"b\",{\"x\":[1,2.5,null,true]}]}"),
        &value, &problem);
    assert_true(err == ERR_OK || err == ERR_NO_MEMORY);
    arena_fini(&arena);
    return err == ERR_OK;
}

static void a_body_is_parsed_or_memory_is_named(void **state) {
    (void)state;
    fail_each(read_json, NULL);
}

static bool write_json(void *data) {
    (void)data;
    struct buf text;
    struct json_writer writer;
    buf_init(&text, 1 << 20);
    json_writer_init(&writer, &text);
    json_begin_object(&writer);
    for (int i = 0; i < 200; i++) {
        json_put_text(&writer, "name", SLICE_LIT("Ann Smith"));
    }
    json_end_object(&writer);
    bool whole = !text.failed;
    assert_true(!whole || (text.at[0] == '{' && text.at[text.len - 1] == '}'));
    buf_fini(&text);
    return whole;
}

static void an_answer_is_whole_or_known_to_be_not(void **state) {
    (void)state;
    fail_each(write_json, NULL);
}

/* ── a plan ── */

struct text {
    char *at;
    size_t len;
};

static bool explain(void *data) {
    const struct text *text = data;
    struct arena arena;
    struct plan_statement *statements;
    struct problem problem;
    struct explain_report report;
    struct json_writer writer;
    struct buf written;
    arena_init(&arena, 16 << 20);
    buf_init(&written, 1 << 20);
    enum err_e err = plan_read(&arena, slice_from(text->at, text->len), &statements, &problem);
    err = err == ERR_OK ? explain_judge(&arena, statements, &report) : err;
    assert_true(err == ERR_OK || err == ERR_NO_MEMORY);
    if (err == ERR_OK) {
        assert_true(report.finding_count > 0);
        json_writer_init(&writer, &written);
        explain_write(&writer, &report);
    }
    bool done = err == ERR_OK && !written.failed;
    buf_fini(&written);
    arena_fini(&arena);
    return done;
}

static void a_plan_is_explained_or_memory_is_named(void **state) {
    (void)state;
    static char bytes[1 << 20];
    char path[512];
    snprintf(path, sizeof path, "%s/data/plans/correlated_subplan.json", getenv("TURNOUT_TESTS"));
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    struct text text = {bytes, fread(bytes, 1, sizeof bytes, file)};
    fclose(file);
    assert_true(text.len > 0);
    fail_each(explain, &text);
}

/* ── the cache in the process ── */

static bool put_and_get(void *data) {
    (void)data;
    struct l1_options options = l1_options_default();
    struct l1 *l1;
    struct l1_reader *reader = NULL;
    struct l1_ticket ticket;
    struct problem problem;
    struct buf value;
    options.entries = 64;
    buf_init(&value, 4096);
    if (l1_create(&options, &l1, &problem) != ERR_OK) {
        return false;
    }
    bool good = l1_reader_open(l1, &reader) == ERR_OK;
    for (int64_t i = 0; good && i < 20; i++) {
        char key[24];
        snprintf(key, sizeof key, "participant:%d", (int)i);
        enum l1_result_e before = l1_get(reader, slice_of(key), i, &value, &ticket);
        assert_int_equal(before, L1_MISS);
        enum l1_fill_e filled = l1_fill(l1, &ticket, slice_of(key), slice_of(key), i);
        assert_true(filled == L1_FILL_LANDED || filled == L1_FILL_NO_MEMORY);
        buf_clear(&value);
        enum l1_result_e after = l1_get(reader, slice_of(key), i, &value, &ticket);
        good = after == L1_HIT;
        assert_true(!good || slice_eq_text(buf_slice(&value), key)); /* never another's value */
        good = good && filled == L1_FILL_LANDED;
    }
    buf_fini(&value);
    if (reader != NULL) {
        l1_reader_close(reader);
    }
    l1_destroy(l1);
    return good;
}

static void a_cache_without_memory_misses_and_mixes_nothing_up(void **state) {
    (void)state;
    fail_each(put_and_get, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_configuration_is_read_whole_or_not_at_all),
        cmocka_unit_test(a_body_is_parsed_or_memory_is_named),
        cmocka_unit_test(an_answer_is_whole_or_known_to_be_not),
        cmocka_unit_test(a_plan_is_explained_or_memory_is_named),
        cmocka_unit_test(a_cache_without_memory_misses_and_mixes_nothing_up),
    };
    memory_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
