/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what differs between two configurations is found, shown without secrets, and copied. */
#include "app/config.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

static void load(struct config *config, enum config_key_e key, const char *value) {
    struct buf errors;
    buf_init(&errors, 4096);
    const struct config_flag flag = {key, "--flag", value};
    const struct config_input input = {.flags = &flag, .flags_len = value == NULL ? 0 : 1};
    assert_int_equal(config_load(config, &input, &errors), ERR_OK);
    buf_fini(&errors);
}

static void assert_shown(enum config_key_e key, const char *value, const char *shown) {
    struct config config;
    struct buf text;
    load(&config, key, value);
    buf_init(&text, 256);
    config_show(&config, key, &text);
    buf_add_char(&text, '\0');
    assert_string_equal(text.at, shown);
    buf_fini(&text);
    config_fini(&config);
}

static void a_value_is_shown_as_it_is_written(void **state) {
    (void)state;
    assert_shown(CONFIG_server_loops, "3", "3");
    assert_shown(CONFIG_server_body_max, "64K", "64K");
    assert_shown(CONFIG_server_body_max, "1G", "1G");
    assert_shown(CONFIG_server_body_max, "65537", "65537");
    assert_shown(CONFIG_server_drain_timeout, "1500ms", "1500ms");
    assert_shown(CONFIG_server_drain_timeout, "60s", "1m");
    assert_shown(CONFIG_server_drain_timeout, "90s", "90s");
    assert_shown(CONFIG_server_drain_timeout, "1h", "1h");
    assert_shown(CONFIG_server_drain_timeout, "0", "0s");
    assert_shown(CONFIG_database_build_advised, "yes", "yes");
    assert_shown(CONFIG_log_level, "warn", "warn");
    assert_shown(CONFIG_log_level, "debug", "debug");
}

static void a_text_is_never_shown(void **state) {
    (void)state;
    assert_shown(CONFIG_redis_password, "secret", "(text)");
    assert_shown(CONFIG_store_url, "postgres://u:secret@h/d", "(text)");
}

static void each_setting_differs_from_another_value_and_not_from_itself(void **state) {
    (void)state;
    static const struct {
        enum config_key_e key;
        const char *value;
    } others[] = {
        {CONFIG_server_listen, "127.0.0.1:1"}, {CONFIG_server_loops, "2"},
        {CONFIG_server_body_max, "64K"},       {CONFIG_server_drain_timeout, "1s"},
        {CONFIG_log_level, "debug"},           {CONFIG_database_build_advised, "yes"},
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct config plain, other;
        load(&plain, CONFIG_server_loops, NULL);
        load(&other, others[i].key, others[i].value);
        for (int key = 0; key < CONFIG_COUNT; key++) {
            bool differs = config_differs(&plain, &other, (enum config_key_e)key);
            assert_int_equal(differs, key == (int)others[i].key);
        }
        config_copy(&plain, &other, others[i].key);
        assert_false(config_differs(&plain, &other, others[i].key));
        assert_int_equal(plain.origins[others[i].key], CONFIG_ORIGIN_FLAG);
        config_fini(&plain);
        config_fini(&other);
    }
}

static void load_variable(struct config *config, char *variable) {
    struct buf errors;
    char *environment[] = {variable, NULL};
    buf_init(&errors, 4096);
    const struct config_input input = {.environment = environment};
    assert_int_equal(config_load(config, &input, &errors), ERR_OK);
    buf_fini(&errors);
}

static void lines_of_the_control_plane_are_compared_by_what_they_say(void **state) {
    (void)state;
    char first[] = "TURNOUT_SCALER_UP_CPU=70", second[] = "TURNOUT_SCALER_UP_CPU=71";
    struct config a, b, c, none;
    load_variable(&a, first);
    load_variable(&b, first);
    load_variable(&c, second);
    load(&none, CONFIG_server_loops, NULL);
    b.control[0].line = 17;
    assert_false(config_control_differs(&a, &b));
    assert_true(config_control_differs(&a, &c));
    assert_true(config_control_differs(&a, &none));
    assert_true(config_control_differs(&none, &a));
    config_fini(&a);
    config_fini(&b);
    config_fini(&c);
    config_fini(&none);
}

static void what_one_process_hands_to_the_next_takes_a_restart(void **state) {
    (void)state;
    assert_int_equal(config_change(CONFIG_server_listen), CONFIG_CHANGE_RESTART);
    assert_int_equal(config_change(CONFIG_store_url), CONFIG_CHANGE_RESTART);
    assert_int_equal(config_change(CONFIG_cache_entries), CONFIG_CHANGE_TAKEOVER);
    assert_int_equal(config_change(CONFIG_log_level), CONFIG_CHANGE_LIVE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_is_shown_as_it_is_written),
        cmocka_unit_test(a_text_is_never_shown),
        cmocka_unit_test(each_setting_differs_from_another_value_and_not_from_itself),
        cmocka_unit_test(lines_of_the_control_plane_are_compared_by_what_they_say),
        cmocka_unit_test(what_one_process_hands_to_the_next_takes_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
