/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a setting comes from where it should, and every mistake is told with its place. */
#include "app/config.h"

#include "control/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

struct fixture {
    char path[64];
    struct config config;
    struct buf errors;
};

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    snprintf(f->path, sizeof f->path, "/tmp/turnout-config-XXXXXX");
    int fd = mkstemp(f->path);
    assert_true(fd >= 0);
    close(fd);
    buf_init(&f->errors, 1 << 20);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    config_fini(&f->config);
    buf_fini(&f->errors);
    unlink(f->path);
    free(f);
    return 0;
}

static void write_bytes(struct fixture *f, struct slice text) {
    FILE *file = fopen(f->path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(text.at, 1, text.len, file), text.len);
    assert_int_equal(fclose(file), 0);
}

/* Loads `text` as the file (NULL: no file) with an environment and flags that may be NULL. */
static enum err_e load(struct fixture *f, const char *text, char *const *environment,
                       const struct config_flag *flag) {
    if (text != NULL) {
        write_bytes(f, slice_of(text));
    }
    config_fini(&f->config);
    buf_clear(&f->errors);
    struct config_input input = {.file = text == NULL ? NULL : f->path,
                                 .environment = environment,
                                 .flags = flag,
                                 .flags_len = flag == NULL ? 0 : 1};
    enum err_e err = config_load(&f->config, &input, &f->errors);
    buf_add_char(&f->errors, '\0');
    return err;
}

static void assert_told(struct fixture *f, const char *part) {
    if (strstr(f->errors.at, part) == NULL) {
        fail_msg("expected \"%s\" in:\n%s", part, f->errors.at);
    }
}

/* The message begins with the file and this line. */
static void assert_told_at(struct fixture *f, int line, const char *part) {
    char place[96];
    snprintf(place, sizeof place, "%s:%d: ", f->path, line);
    assert_told(f, place);
    assert_told(f, part);
}

static size_t told_lines(const struct fixture *f) {
    size_t lines = 0;
    for (const char *at = f->errors.at; *at != '\0'; at++) {
        lines += *at == '\n';
    }
    return lines;
}

static void defaults_of_the_table_are_valid_and_used(void **state) {
    struct fixture *f = *state;
    assert_int_equal(load(f, NULL, NULL, NULL), ERR_OK);
    assert_string_equal(f->config.server_listen, "127.0.0.1:8080");
    assert_int_equal(f->config.server_drain_timeout_ms, 10000);
    assert_int_equal(f->config.server_body_max, 32 << 20);
    assert_int_equal(f->config.auth_mode, 0);
    assert_int_equal(f->config.origins[CONFIG_server_listen], CONFIG_ORIGIN_DEFAULT);
}

static void flag_wins_over_environment_over_file_over_default(void **state) {
    struct fixture *f = *state;
    char variable[] = "TURNOUT_SERVER_LOOPS=3";
    char *environment[] = {variable, NULL};
    struct config_flag flag = {CONFIG_server_loops, "--loops", "4"};
    const char *text = "[server]\nloops = 2\n";
    assert_int_equal(load(f, NULL, NULL, NULL), ERR_OK);
    assert_int_equal(f->config.server_loops, 0);
    assert_int_equal(load(f, text, NULL, NULL), ERR_OK);
    assert_int_equal(f->config.server_loops, 2);
    assert_int_equal(f->config.lines[CONFIG_server_loops], 2);
    assert_int_equal(load(f, text, environment, NULL), ERR_OK);
    assert_int_equal(f->config.server_loops, 3);
    assert_int_equal(load(f, text, environment, &flag), ERR_OK);
    assert_int_equal(f->config.server_loops, 4);
    assert_int_equal(f->config.origins[CONFIG_server_loops], CONFIG_ORIGIN_FLAG);
}

static void comments_spaces_and_windows_lines_are_read(void **state) {
    struct fixture *f = *state;
    const char *text = "\xEF\xBB\xBF; first\r\n# second\r\n\r\n[server] ; here\r\n"
                       "  loops=5 ; five\r\n  body_max : 64M\r\n";
    assert_int_equal(load(f, text, NULL, NULL), ERR_OK);
    assert_int_equal(f->config.server_loops, 5);
    assert_int_equal(f->config.server_body_max, 64 << 20);
    assert_int_equal(f->config.lines[CONFIG_server_body_max], 6);
}

static void wrong_value_names_line_expectation_and_example(void **state) {
    struct fixture *f = *state;
    const char *text = "# settings\n[server]\nloops = two\nbody_max = 12X\n\n[log]\nlevel = loud\n";
    assert_int_equal(load(f, text, NULL, NULL), ERR_CONFIG);
    assert_told_at(f, 3, "server.loops = two: expected a whole number from 0 to 256, such as 0");
    assert_told_at(f, 4, "server.body_max = 12X: expected a size (K, M, G) from 64K to 1G, such");
    assert_told_at(f, 7, "expected error or warn or info or debug, such as info");
    assert_int_equal(told_lines(f), 3);
}

static void value_outside_its_range_is_an_error(void **state) {
    struct fixture *f = *state;
    assert_int_equal(load(f, "[server]\ndrain_timeout = 2h\n", NULL, NULL), ERR_CONFIG);
    assert_told_at(f, 2, "from 0s to 1h");
    assert_int_equal(load(f, "[store]\nreaders = 0\n", NULL, NULL), ERR_CONFIG);
    assert_told_at(f, 2, "from 1 to 16");
    assert_int_equal(load(f, "[store]\nreaders = 16\n", NULL, NULL), ERR_OK);
}

static void unknown_names_suggest_the_nearest(void **state) {
    struct fixture *f = *state;
    const char *text = "[server]\nlopps = 2\n[sever]\nlisten = :1\n";
    assert_int_equal(load(f, text, NULL, NULL), ERR_CONFIG);
    assert_told_at(f, 2, "unknown setting server.lopps: did you mean server.loops");
    assert_told_at(f, 3, "unknown section [sever]: did you mean [server]");
    assert_int_equal(told_lines(f), 2); /* the lines of an unknown section add nothing */
}

static void broken_lines_are_errors_with_their_number(void **state) {
    struct fixture *f = *state;
    assert_int_equal(load(f, "loops = 1\n", NULL, NULL), ERR_CONFIG);
    assert_told_at(f, 1, "expected a section before the first setting");
    assert_int_equal(load(f, "[server]\nloops\n", NULL, NULL), ERR_CONFIG);
    assert_told_at(f, 2, "expected key = value");
    assert_int_equal(load(f, "\n[server\nloops = 1\n", NULL, NULL), ERR_CONFIG);
    assert_told_at(f, 2, "expected a section in brackets");
    assert_int_equal(load(f, "[server] listen = :1\n", NULL, NULL), ERR_CONFIG);
    assert_told_at(f, 1, "expected nothing behind the section");
    assert_int_equal(load(f, "[server]\nloops = 1\n[log]\n[server]\nloops = 2\n", NULL, NULL),
                     ERR_CONFIG);
    assert_told_at(f, 5, "server.loops is set already on line 2");
    assert_int_equal(load(f, "[server]\nlisten = \xff\xfe:1\n", NULL, NULL), ERR_CONFIG);
    assert_told_at(f, 2, "expected UTF-8");
}

static void indented_line_is_a_setting_and_not_glued_to_the_one_before(void **state) {
    struct fixture *f = *state;
    assert_int_equal(load(f, "[server]\nlisten = :9000\n    loops = 7\n", NULL, NULL), ERR_OK);
    assert_string_equal(f->config.server_listen, ":9000");
    assert_int_equal(f->config.server_loops, 7);
}

static void long_lines_are_whole_or_refused(void **state) {
    struct fixture *f = *state;
    struct buf text;
    buf_init(&text, 1 << 16);
    buf_add_text(&text, "[store]\nurl = sqlite:");
    for (int i = 0; i < 900; i++) {
        buf_add_char(&text, 'p');
    }
    buf_add_text(&text, "\n[server]\nloops = 3\n");
    buf_add_char(&text, '\0');
    assert_int_equal(load(f, text.at, NULL, NULL), ERR_OK);
    assert_int_equal(strlen(f->config.store_url), 907);
    assert_int_equal(f->config.server_loops, 3);
    text.len = strlen("[store]\nurl = sqlite:");
    for (int i = 0; i < 5000; i++) {
        buf_add_char(&text, 'p');
    }
    buf_add_text(&text, "\n[server]\nloops = x\n");
    buf_add_char(&text, '\0');
    assert_int_equal(load(f, text.at, NULL, NULL), ERR_CONFIG);
    assert_told_at(f, 2, "the line is too long");
    assert_told_at(f, 4, "server.loops = x");
    buf_fini(&text);
}

static void file_that_cannot_be_read_is_an_error(void **state) {
    struct fixture *f = *state;
    struct config_input input = {.file = "/nonexistent/turnout.ini"};
    assert_int_equal(config_load(&f->config, &input, &f->errors), ERR_CONFIG);
    buf_add_char(&f->errors, '\0');
    assert_told(f, "/nonexistent/turnout.ini: cannot be read: No such file or directory");
}

static void control_lines_are_kept_as_they_stand(void **state) {
    struct fixture *f = *state;
    const char *text = "[scaler]\nmin = 2\n\n[alert.too_slow]\nop = >=\nfor = 30s ; a while\n"
                       "metric = avg_response_time_ms\nthreshold = 1\n";
    char variable[] = "TURNOUT_SCALER_MAX=7";
    char *environment[] = {variable, NULL};
    assert_int_equal(load(f, text, environment, NULL), ERR_OK);
    assert_int_equal(f->config.control_len, 6);
    static const struct {
        int line;
        const char *section, *key, *value;
    } rows[] = {
        {2, "scaler", "min", "2"},
        {5, "alert.too_slow", "op", ">="},
        {6, "alert.too_slow", "for", "30s"},
        {7, "alert.too_slow", "metric", "avg_response_time_ms"},
        {8, "alert.too_slow", "threshold", "1"},
        {0, "scaler", "max", "7"},
    };
    for (size_t i = 0; i < f->config.control_len; i++) {
        const struct config_line *line = &f->config.control[i];
        assert_int_equal(line->line, rows[i].line);
        assert_true(slice_eq_text(line->section, rows[i].section));
        assert_true(slice_eq_text(line->key, rows[i].key));
        assert_true(slice_eq_text(line->value, rows[i].value));
    }
}

static void control_lines_are_checked_with_the_others(void **state) {
    struct fixture *f = *state;
    const char *text = "[server]\nloops = x\n[scaler]\nmin = none\n[balancer]\nclose = 5\n";
    assert_int_equal(load(f, text, NULL, NULL), ERR_CONFIG);
    assert_told_at(f, 2, "server.loops = x");
    assert_told_at(f, 4, "scaler.min = none");
    assert_int_equal(told_lines(f), 2);
    assert_int_equal(load(f, "[scaler]\nmin = 5\nmax = 3\n", NULL, NULL), ERR_CONFIG);
    assert_int_equal(told_lines(f), 1);
}

static void policy_comes_out_of_the_configuration(void **state) {
    struct fixture *f = *state;
    assert_int_equal(load(f, "[scaler]\nmin = 3\nmax = 9\n", NULL, NULL), ERR_OK);
    struct policy policy;
    config_policy(&f->config, &policy);
    assert_int_equal(policy.scaler.min, 3);
    assert_int_equal(policy.scaler.max, 9);
}

static void environment_mistakes_are_told_and_foreign_variables_are_not(void **state) {
    struct fixture *f = *state;
    char wrong[] = "TURNOUT_SERVER_LOOPS=many";
    char unknown[] = "TURNOUT_SERVER_LISTN=:1";
    char alert[] = "TURNOUT_ALERT_X_FOR=1s";
    char foreign[] = "TURNOUT_URL=http://127.0.0.1:1";
    char *mistakes[] = {wrong, unknown, alert, foreign, NULL};
    assert_int_equal(load(f, NULL, mistakes, NULL), ERR_CONFIG);
    assert_told(f, "TURNOUT_SERVER_LOOPS: server.loops = many: expected");
    assert_told(f, "TURNOUT_SERVER_LISTN: unknown setting server.listn");
    assert_told(f, "did you mean server.listen");
    assert_told(f, "TURNOUT_ALERT_X_FOR: alert rules are set in the file alone");
    assert_int_equal(told_lines(f), 3);
}

static void addresses_and_stores_are_checked(void **state) {
    struct fixture *f = *state;
    static const struct {
        enum config_key_e key;
        const char *value;
        bool good;
    } rows[] = {
        {CONFIG_server_listen, "[::1]:0", true},
        {CONFIG_server_listen, ":8080", true},
        {CONFIG_server_listen, "8080", false},
        {CONFIG_server_listen, "::1:8080", false},
        {CONFIG_server_listen, "127.0.0.1:70000", false},
        {CONFIG_server_listen, "127.0.0.1:", false},
        {CONFIG_server_listen, "", false},
        {CONFIG_store_url, "sqlite:/var/lib/turnout/turnout.db", true},
        {CONFIG_store_url, "postgres://turnout@db/turnout", true},
        {CONFIG_store_url, "postgresql://turnout@db/turnout", true},
        {CONFIG_store_url, "sqlite:", false},
        {CONFIG_store_url, "mysql://x", false},
        {CONFIG_redis_nodes, "", true},
        {CONFIG_redis_nodes, "10.0.0.1:6379,10.0.0.2:6379", true},
        {CONFIG_redis_nodes, "10.0.0.1", false},
        {CONFIG_redis_nodes, "10.0.0.1:6379,,", false},
        {CONFIG_server_trusted_proxies, "", true},
        {CONFIG_server_trusted_proxies, "10.0.0.7, 10.1.0.0/16,fd00::/8", true},
        {CONFIG_server_trusted_proxies, "10.1.2.3/16", false},
        {CONFIG_server_trusted_proxies, "proxy.example", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct config_flag flag = {rows[i].key, "--flag", rows[i].value};
        enum err_e err = load(f, NULL, NULL, &flag);
        if ((err == ERR_OK) != rows[i].good) {
            fail_msg("%s: %s", rows[i].value, f->errors.at);
        }
        assert_true(rows[i].good || strstr(f->errors.at, "such as") != NULL);
    }
}

static void messages_never_repeat_a_password(void **state) {
    struct fixture *f = *state;
    struct config_flag flag = {CONFIG_store_url, "--store", "postgrs://u:hunter2@db/x"};
    assert_int_equal(load(f, NULL, NULL, &flag), ERR_CONFIG);
    assert_told(f, "--store: store.url: expected sqlite:PATH");
    assert_null(strstr(f->errors.at, "hunter2"));
}

static void durations_need_a_unit_and_sizes_may_have_one(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t ms; /* -1: refused */
    } durations[] = {{"250ms", 250}, {"10s", 10000}, {"5m", 300000}, {"1h", 3600000}, {"0", 0},
                     {"10", -1},     {"1.5s", -1},   {"-1s", -1},    {"s", -1},       {"", -1},
                     {"1d", -1},     {"1 s", -1},    {"1S", -1},     {"99999999999999999999s", -1}};
    for (size_t i = 0; i < sizeof durations / sizeof durations[0]; i++) {
        int64_t ms = -1;
        bool good = config_parse_duration(slice_of(durations[i].text), &ms);
        assert_int_equal(good ? ms : -1, durations[i].ms);
    }
    static const struct {
        const char *text;
        int64_t bytes;
    } sizes[] = {{"512", 512}, {"64K", 65536}, {"32M", 32 << 20}, {"1G", 1 << 30},
                 {"1T", -1},   {"1k", -1},     {"K", -1},         {"1.5M", -1}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        int64_t bytes = -1;
        bool good = config_parse_size(slice_of(sizes[i].text), &bytes);
        assert_int_equal(good ? bytes : -1, sizes[i].bytes);
    }
    bool value;
    assert_true(config_parse_bool(SLICE_LIT("yes"), &value) && value);
    assert_true(config_parse_bool(SLICE_LIT("off"), &value) && !value);
    assert_false(config_parse_bool(SLICE_LIT("maybe"), &value));
}

static void every_setting_is_explained_and_its_variable_is_unique(void **state) {
    (void)state;
    char names[CONFIG_COUNT][CONFIG_ENVIRONMENT_SIZE];
    for (int i = 0; i < CONFIG_COUNT; i++) {
        const struct config_row *row = config_row((enum config_key_e)i);
        assert_true(strlen(row->meaning) > 20);
        assert_int_equal(row->meaning[strlen(row->meaning) - 1], '.');
        config_row_environment(row, names[i]);
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(names[i], names[j]);
        }
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(defaults_of_the_table_are_valid_and_used),
        CASE(flag_wins_over_environment_over_file_over_default),
        CASE(comments_spaces_and_windows_lines_are_read),
        CASE(wrong_value_names_line_expectation_and_example),
        CASE(value_outside_its_range_is_an_error),
        CASE(unknown_names_suggest_the_nearest),
        CASE(broken_lines_are_errors_with_their_number),
        CASE(indented_line_is_a_setting_and_not_glued_to_the_one_before),
        CASE(long_lines_are_whole_or_refused),
        CASE(file_that_cannot_be_read_is_an_error),
        CASE(control_lines_are_kept_as_they_stand),
        CASE(control_lines_are_checked_with_the_others),
        CASE(policy_comes_out_of_the_configuration),
        CASE(environment_mistakes_are_told_and_foreign_variables_are_not),
        CASE(addresses_and_stores_are_checked),
        CASE(messages_never_repeat_a_password),
        cmocka_unit_test(durations_need_a_unit_and_sizes_may_have_one),
        cmocka_unit_test(every_setting_is_explained_and_its_variable_is_unique),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
