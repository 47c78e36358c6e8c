/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: settings are taken exactly or refused with their line, what was expected and the nearest
 * name; the tables' defaults are the product's. */
#include "control/policy.h"

#include <stdio.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

static struct policy policy;
static struct buf errors;

static int fresh(void **state) {
    (void)state;
    policy_init(&policy, "t.ini");
    buf_init(&errors, 1 << 20);
    return 0;
}

static int done(void **state) {
    (void)state;
    buf_fini(&errors);
    return 0;
}

static enum err_e set(int line, const char *section, const char *key, const char *value) {
    struct policy_line text = {.line = line,
                               .section = slice_of(section),
                               .key = slice_of(key),
                               .value = slice_of(value)};
    return policy_set(&policy, &text, &errors);
}

static void assert_error(const char *text) {
    buf_add_char(&errors, '\0');
    if (strstr(errors.at, text) == NULL) {
        fail_msg("expected \"%s\" in \"%s\"", text, errors.at);
    }
    buf_clear(&errors);
}

static const struct alert_rule *rule(const char *name) {
    for (size_t i = 0; i < policy.rules_len; i++) {
        if (strcmp(policy.rules[i].name, name) == 0) {
            return &policy.rules[i];
        }
    }
    return NULL;
}

static void the_defaults_are_the_products(void **state) {
    (void)state;
    const struct scaler_policy *s = &policy.scaler;
    assert_int_equal(s->min, 2);
    assert_int_equal(s->max, 10);
    assert_int_equal(s->provider, PROVIDER_NONE);
    assert_int_equal(s->up_cpu_micro, 80000000);
    assert_int_equal(s->up_memory_micro, 85000000);
    assert_int_equal(s->up_factor_e4, 15000);
    assert_int_equal(s->hold_up_ms, 0);
    assert_int_equal(s->cooldown_up_ms, 60000);
    assert_int_equal(s->down_cpu_micro, 30000000);
    assert_int_equal(s->down_memory_micro, 40000000);
    assert_int_equal(s->down_factor_e4, 7000);
    assert_int_equal(s->hold_down_ms, 300000);
    assert_int_equal(s->cooldown_down_ms, 300000);
    assert_int_equal(s->max_step, 0);
    assert_int_equal(policy_check(&policy, &errors), ERR_OK);
}

static void the_built_in_rules_are_the_products(void **state) {
    (void)state;
    static const struct {
        const char *name;
        enum metric_e metric;
        double threshold;
        int64_t for_ms;
        enum severity_e severity;
        enum action_e action;
    } rows[] = {
        {"high_response_time", METRIC_AVG_RESPONSE_TIME_MS, 2000, 30000, SEVERITY_WARNING,
         ACTION_AUTO_SCALE},
        {"database_slow_query", METRIC_SLOW_QUERY_COUNT, 10, 0, SEVERITY_CRITICAL,
         ACTION_OPTIMIZE_QUERIES},
        {"memory_usage_high", METRIC_MEMORY_USAGE, 90, 0, SEVERITY_CRITICAL,
         ACTION_RESTART_SERVICE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct alert_rule *r = &policy.rules[i];
        assert_string_equal(r->name, rows[i].name);
        assert_int_equal(r->metric, rows[i].metric);
        assert_int_equal(r->op, OP_ABOVE);
        assert_true(r->threshold == rows[i].threshold);
        assert_int_equal(r->for_ms, rows[i].for_ms);
        assert_int_equal(r->severity, rows[i].severity);
        assert_int_equal(r->action, rows[i].action);
        assert_int_equal(r->cooldown_ms, 300000);
        assert_false(r->disabled);
    }
}

static void values_are_taken_exactly(void **state) {
    (void)state;
    assert_int_equal(set(1, "scaler", "up_cpu", "72.5"), ERR_OK);
    assert_int_equal(policy.scaler.up_cpu_micro, 72500000);
    assert_int_equal(set(2, "scaler", "up_factor", "1.25"), ERR_OK);
    assert_int_equal(policy.scaler.up_factor_e4, 12500);
    assert_int_equal(set(3, "scaler", "hold_down", "2m"), ERR_OK);
    assert_int_equal(policy.scaler.hold_down_ms, 120000);
    assert_int_equal(set(4, "scaler", "hold_up", "250ms"), ERR_OK);
    assert_int_equal(policy.scaler.hold_up_ms, 250);
    assert_int_equal(set(5, "scaler", "cooldown_up", "0"), ERR_OK);
    assert_int_equal(policy.scaler.cooldown_up_ms, 0);
    assert_int_equal(set(6, "alert.high_response_time", "threshold", "1.5e3"), ERR_OK);
    assert_true(rule("high_response_time")->threshold == 1500);
    assert_int_equal(set(7, "alert.high_response_time", "op", ">="), ERR_OK);
    assert_int_equal(rule("high_response_time")->op, OP_AT_LEAST);
    assert_int_equal(set(8, "alert.high_response_time", "disabled", "yes"), ERR_OK);
    assert_true(rule("high_response_time")->disabled);
    assert_int_equal(errors.len, 0);
}

static void wrong_values_are_refused(void **state) {
    (void)state;
    static const char *const rows[][3] = {
        {"scaler", "min", "0"},          {"scaler", "min", "-1"},      {"scaler", "min", "2.5"},
        {"scaler", "min", ""},           {"scaler", "max", "1001"},    {"scaler", "max", "ten"},
        {"scaler", "up_cpu", "100.1"},   {"scaler", "up_cpu", "8O"},   {"scaler", "up_cpu", "80%"},
        {"scaler", "up_cpu", "80."},     {"scaler", "up_cpu", ".5"},   {"scaler", "up_factor", "1"},
        {"scaler", "up_factor", "11"},   {"scaler", "up_factor", "1.50001"},
        {"scaler", "down_factor", "1"},  {"scaler", "hold_up", "30"},  {"scaler", "hold_up", "25h"},
        {"scaler", "hold_up", "1.5m"},   {"scaler", "hold_up", "s"},
        {"scaler", "hold_up", "30 s"},
        {"scaler", "provider", "docker"}, {"alert.x", "op", "=>"},      {"alert.x", "op", "|"},
        {"alert.x", "threshold", "nan"}, {"alert.x", "threshold", "0x10"},
        {"alert.x", "threshold", "inf"}, {"alert.x", "threshold", ""},
        {"alert.x", "threshold", "1e999"},
        {"alert.x", "severity", "fatal"}, {"alert.x", "action", "auto_scale"},
        {"alert.x", "metric", "latency"}, {"alert.x", "disabled", "maybe"},
        {"balancer", "load_factor", "1"}, {"balancer", "stale_after", "0s"},
        {"alert.x", "per", ""},          {"alert.x", "per", "cpu"},
        {"alert.x", "rate_over", "5"},   {"alert.x", "clear", "low"},
        {"alert.x", "absent_after", "-1s"},
        {"alert.x", "then", ""},         {"alert.x", "then", "NONE"},
        {"alert.x", "then", "AUTO_SCALE,"}, {"alert.x", "then", "AUTO_SCALE SHED_LOAD"},
        {"alert.x", "then", "AUTO_SCALE, nothing"},
        {"alert.x", "then", "AUTO_SCALE, SHED_LOAD, INVALIDATE_CACHE, OPTIMIZE_QUERIES"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        (void)fresh(NULL);
        if (set(12, rows[i][0], rows[i][1], rows[i][2]) != ERR_CONFIG) {
            fail_msg("%s.%s = %s was taken", rows[i][0], rows[i][1], rows[i][2]);
        }
        assert_error("t.ini:12: ");
        (void)done(NULL);
    }
    (void)fresh(NULL);
}

static void a_message_says_what_was_expected(void **state) {
    (void)state;
    (void)set(12, "scaler", "min", "x");
    assert_error("t.ini:12: scaler.min = x: expected a whole number from 1 to 1000, such as 2\n");
    (void)set(3, "scaler", "hold_up", "30");
    assert_error("t.ini:3: scaler.hold_up = 30: expected a duration (ms, s, m, h) from 0s to 24h, "
                 "such as 0s\n");
    (void)set(4, "alert.x", "severity", "fatal");
    assert_error("expected one of info, warning, critical\n");
}

static void a_mistyped_name_is_told_the_nearest(void **state) {
    (void)state;
    (void)set(7, "scaler", "up_cpus", "80");
    assert_error("t.ini:7: unknown setting scaler.up_cpus: did you mean up_cpu\n");
    (void)set(8, "alert.x", "metric", "avg_respnse_time_ms");
    assert_error(": did you mean avg_response_time_ms\n");
    (void)set(9, "alert.x", "action", "AUTOSCALE");
    assert_error(": did you mean AUTO_SCALE\n");
    (void)set(9, "alert.x", "treshold", "5");
    assert_error(": did you mean threshold\n");
    (void)set(9, "scaler", "colour", "blue");
    assert_error("t.ini:9: unknown setting scaler.colour\n");
}

static void a_key_given_twice_is_refused_and_the_environment_overrides(void **state) {
    (void)state;
    assert_int_equal(set(3, "scaler", "min", "3"), ERR_OK);
    assert_int_equal(set(9, "scaler", "min", "4"), ERR_CONFIG);
    assert_error("t.ini:9: scaler.min is set already on line 3: keep one of the two\n");
    assert_int_equal(policy.scaler.min, 3);
    assert_int_equal(set(0, "scaler", "min", "5"), ERR_OK);
    assert_int_equal(policy.scaler.min, 5);
}

static void values_cannot_forge_a_line(void **state) {
    (void)state;
    (void)set(3, "scaler", "min", "1\nt.ini:4: all is well");
    assert_error("scaler.min = 1?t.ini:4: all is well: expected");
}

static void limits_that_contradict_each_other_are_refused(void **state) {
    (void)state;
    (void)set(2, "scaler", "min", "11");
    (void)set(3, "scaler", "down_cpu", "80");
    (void)set(4, "scaler", "down_memory", "90");
    (void)set(5, "balancer", "weight_cpu", "0");
    (void)set(6, "balancer", "weight_memory", "0");
    (void)set(7, "balancer", "weight_connections", "0");
    assert_int_equal(policy_check(&policy, &errors), ERR_CONFIG);
    buf_add_char(&errors, '\0');
    assert_non_null(strstr(errors.at, "t.ini:2: scaler.min is above scaler.max"));
    assert_non_null(strstr(errors.at, "t.ini:3: scaler.down_cpu must be below"));
    assert_non_null(strstr(errors.at, "t.ini:4: scaler.down_memory must be below"));
    assert_non_null(strstr(errors.at, "t.ini:5: balancer: one of"));
}

static void a_rule_needs_a_metric_and_a_threshold(void **state) {
    (void)state;
    (void)set(20, "alert.mine", "severity", "info");
    assert_int_equal(policy_check(&policy, &errors), ERR_CONFIG);
    buf_add_char(&errors, '\0');
    assert_non_null(strstr(errors.at, "t.ini:20: [alert.mine] needs a metric"));
    assert_non_null(strstr(errors.at, "t.ini:20: [alert.mine] needs a threshold"));
}

static void a_ladder_is_read_in_its_order(void **state) {
    (void)state;
    assert_int_equal(set(1, "alert.x", "action", "AUTO_SCALE"), ERR_OK);
    assert_int_equal(set(2, "alert.x", "then", "SHED_LOAD ,OPTIMIZE_QUERIES"), ERR_OK);
    assert_int_equal(rule_action(rule("x"), 0), ACTION_AUTO_SCALE);
    assert_int_equal(rule_action(rule("x"), 1), ACTION_SHED_LOAD);
    assert_int_equal(rule_action(rule("x"), 2), ACTION_OPTIMIZE_QUERIES);
    assert_int_equal(rule_action(rule("x"), 3), ACTION_NONE);
    (void)set(3, "alert.y", "then", "REBOOT");
    assert_error("alert.y.then = REBOOT: expected up to 3 of AUTO_SCALE, OPTIMIZE_QUERIES, ");
}

static void a_rule_that_contradicts_itself_is_refused_at_its_line(void **state) {
    (void)state;
    static const struct {
        const char *lines[4][2];
        const char *message;
    } rows[] = {
        {{{"threshold", "100"}, {"clear", "101"}},
         "t.ini:12: [alert.x] clear = 101 is on the wrong side of threshold = 100 for op = >"},
        {{{"threshold", "10"}, {"clear", "9"}, {"op", "<="}},
         "t.ini:12: [alert.x] clear = 9 is on the wrong side of threshold = 10 for op = <="},
        {{{"threshold", "10"}, {"clear", "10"}, {"op", "=="}},
         "t.ini:12: [alert.x] clear means nothing with op = =="},
        {{{"threshold", "10"}, {"per", "cpu_avg"}},
         "t.ini:12: [alert.x] a metric divided by itself"},
        {{{"threshold", "10"}, {"then", "SHED_LOAD"}},
         "t.ini:12: [alert.x] then needs an action before it"},
        {{{"threshold", "10"}, {"then", "SHED_LOAD, SHED_LOAD"}, {"action", "AUTO_SCALE"}},
         "t.ini:12: [alert.x] SHED_LOAD is there twice"},
        {{{"threshold", "10"}, {"then", "AUTO_SCALE"}, {"action", "AUTO_SCALE"}},
         "t.ini:12: [alert.x] AUTO_SCALE is there twice"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        (void)done(NULL);
        (void)fresh(NULL);
        assert_int_equal(set(10, "alert.x", "metric", "cpu_avg"), ERR_OK);
        for (int k = 0; k < 4 && rows[i].lines[k][0] != NULL; k++) {
            assert_int_equal(set(11 + k, "alert.x", rows[i].lines[k][0], rows[i].lines[k][1]),
                             ERR_OK);
        }
        assert_int_equal(policy_check(&policy, &errors), ERR_CONFIG);
        assert_error(rows[i].message);
    }
}

static void names_and_numbers_of_rules_are_bounded(void **state) {
    (void)state;
    assert_int_equal(set(1, "alert.", "threshold", "1"), ERR_CONFIG);
    assert_int_equal(set(1, "alert.a b", "threshold", "1"), ERR_CONFIG);
    assert_int_equal(set(1, "alert.\"", "threshold", "1"), ERR_CONFIG);
    assert_int_equal(set(1, "alerts", "threshold", "1"), ERR_CONFIG);
    assert_error("unknown section [alerts]");
    enum err_e err = ERR_OK;
    size_t added = 0;
    for (; err == ERR_OK; added++) {
        char name[32];
        snprintf(name, sizeof name, "alert.r%zu", added);
        err = set((int)added + 2, name, "threshold", "1");
    }
    assert_int_equal(policy.rules_len, ALERT_RULES_MAX);
    assert_error("at most 256 rules");
}

static void every_row_can_be_explained_and_takes_its_own_default(void **state) {
    (void)state;
    const struct policy_row *rows;
    size_t len = policy_rows(&rows);
    assert_true(len > 25);
    for (size_t i = 0; i < len; i++) {
        struct buf range;
        buf_init(&range, 4096);
        policy_row_range(&rows[i], &range);
        assert_true(range.len > 0);
        assert_true(strlen(rows[i].meaning) > 10);
        assert_non_null(setting_type_text(rows[i].type));
        buf_fini(&range);
        if (rows[i].preset[0] != '\0') {
            assert_int_equal(set((int)i + 1, rows[i].section, rows[i].key, rows[i].preset), ERR_OK);
        }
    }
}

#define CLAIM(test) cmocka_unit_test_setup_teardown(test, fresh, done)

int main(void) {
    const struct CMUnitTest tests[] = {
        CLAIM(the_defaults_are_the_products),
        CLAIM(the_built_in_rules_are_the_products),
        CLAIM(values_are_taken_exactly),
        CLAIM(wrong_values_are_refused),
        CLAIM(a_message_says_what_was_expected),
        CLAIM(a_mistyped_name_is_told_the_nearest),
        CLAIM(a_key_given_twice_is_refused_and_the_environment_overrides),
        CLAIM(values_cannot_forge_a_line),
        CLAIM(limits_that_contradict_each_other_are_refused),
        CLAIM(a_rule_needs_a_metric_and_a_threshold),
        CLAIM(a_ladder_is_read_in_its_order),
        CLAIM(a_rule_that_contradicts_itself_is_refused_at_its_line),
        CLAIM(names_and_numbers_of_rules_are_bounded),
        CLAIM(every_row_can_be_explained_and_takes_its_own_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
