/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unit tests of alert rules: series of samples go in, and what the deciders then say is compared
 * with what is expected. The format is in docs/alerts-and-recovery.md. Pure: the very code that
 * decides live, on a clock of the test's own. Thread: any; a test belongs to one thread.
 */
#ifndef TURNOUT_CONTROL_RULE_TEST_H
#define TURNOUT_CONTROL_RULE_TEST_H

#include "control/decide.h"
#include "control/rule_series.h"

enum {
    RULE_TESTS_MAX = 1000,        /* in one file */
    RULE_TEST_SERIES_MAX = 256,   /* in one test */
    RULE_TEST_EXPECT_MAX = 1000,
    RULE_TEST_FAILURES_MAX = 100, /* told of one test */
};

/* One line of the input: of a metric, or of a figure of a node. */
struct test_series {
    struct slice name; /* "memory_usage", "n1.cpu" */
    int node;          /* its place among the test's nodes; -1: a metric of the whole */
    size_t column;     /* metric_e, or the place of the node's figure */
    struct rule_series samples;
};

struct test_effect {
    int64_t at_ms;
    struct told_effect told;
};

/* What is asked of one moment. What was not given is -1, at NULL or NULL. */
struct test_expect {
    size_t place; /* in the file: "expect[3]" */
    int64_t at_ms;
    struct slice rule, node;
    int state, data, flapping;
    bool has_value;
    double value; /* NAN: missing */
    const struct json_t *actions, *calls;
    int64_t desired;
};

struct rule_test {
    struct slice name;
    int64_t interval_ms;
    size_t steps;
    struct test_series *series;
    size_t series_len;
    struct slice nodes[RULE_TEST_SERIES_MAX];
    size_t nodes_len;
    struct test_effect *effects;
    size_t effects_len;
    struct test_expect *expect;
    size_t expect_len;
};

struct rule_tests {
    struct slice config; /* path, as written; at NULL: none */
    struct rule_test *items;
    size_t len;
};

/* A whole file. What the result points at lives in `arena`; the problem's field is the place,
 * "tests[2].expect[0].state". ERR_MALFORMED_JSON, ERR_INVALID_FIELD or ERR_NO_MEMORY. */
enum err_e rule_tests_read(struct arena *arena, struct slice text, struct rule_tests *ret_tests,
                           struct problem *ret_problem) MUST_CHECK;

struct rule_test_failure {
    const struct test_expect *expect;
    struct slice what; /* "rule slow: expected state firing, got pending" */
    struct slice seen; /* "value 12; inactive 0s-10s, pending 20s-1m"; empty: nothing to add */
};
struct rule_test_result {
    struct rule_test_failure failures[RULE_TEST_FAILURES_MAX];
    size_t failures_len; /* of those that are kept */
    size_t failed;       /* of all */
};

/* ERR_INVALID_FIELD when an expectation names a rule that the policy does not have or a moment
 * without a sample. */
enum err_e rule_test_run(struct arena *arena, const struct rule_test *test,
                         const struct policy *policy, struct rule_test_result *ret_result,
                         struct problem *ret_problem) MUST_CHECK;

/* "0s", "250ms", "1m30s", "2h". */
enum { TEST_TIME_SIZE = 32 };
void rule_test_time(int64_t ms, char ret_text[TEST_TIME_SIZE]);

#endif
