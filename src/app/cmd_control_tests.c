/* SPDX-License-Identifier: Apache-2.0 */
/* turnout control test-rules: unit tests of alert rules. */
#include "app/cmd_control.h"
#include "app/input.h"
#include "app/report.h"
#include "control/rule_test.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    FILE_MAX = 8 << 20,
    MEMORY_MAX = 256 << 20, /* a thousand tests; each has a history and its samples */
};

static const struct flag flags[] = {FLAG_CONFIG, FLAG_JSON, {0}};

const struct command_form control_test_rules_form = {
    .name = "control test-rules",
    .usage = "[--config FILE] [--json] FILE…",
    .summary = "run unit tests of alert rules: series of samples in, expected states out",
    .details =
        "FILE is JSON; - is standard input. A test names its series, a sample for each interval,\n"
        "and what it expects at which moment:\n"
        "  {\"config\": \"turnout.ini\", \"interval\": \"10s\", \"tests\": [\n"
        "    {\"name\": \"slow answers ask for more nodes\",\n"
        "     \"series\": {\"avg_response_time_ms\": \"100x2 2500x4 _ 100\",\n"
        "                \"n1.cpu\": \"40x7\"},\n"
        "     \"expect\": [\n"
        "        {\"at\": \"30s\", \"rule\": \"high_response_time\", \"state\": \"pending\"},\n"
        "        {\"at\": \"1m\", \"rule\": \"high_response_time\", \"state\": \"firing\"},\n"
        "        {\"at\": \"1m\", \"actions\": [\"AUTO_SCALE\"]}]}]}\n"
        "Samples are those of promtool: 5 7.5, 5x3 (it and 3 more), 5+2x3 (5 7 9 11), 5-2x3, _\n"
        "(missing), _x3. The rules are those of config, a path from the test file on, or of\n"
        "--config; without either the built-in ones. See docs/alerts-and-recovery.md.\n"
        "Exit 0 all passed, 1 some failed or a file is broken, 2 usage, 78 bad configuration.",
    .flags = flags,
    .rest_min = 1,
    .rest_max = FLAGS_REST_MAX,
};

/* What all files came to. */
struct totals {
    size_t passed, failed;
    struct json_writer *json; /* NULL: text */
};

static const char *shown(const char *path) {
    return strcmp(path, "-") == 0 ? "standard input" : path;
}

static int complain(const char *path, const struct problem *problem) {
    fprintf(stderr, "turnout control test-rules: %s: %s%s%s\n", shown(path), problem->field,
            problem->field[0] == '\0' ? "" : ": ", problem->detail);
    return EXIT_FAILED;
}

/* ---- one test ---- */

static void print_test(const struct rule_test *test, const struct rule_test_result *result) {
    if (result->failed == 0) {
        printf("ok    %.*s (%zu expectations)\n", SLICE_ARG(test->name), test->expect_len);
        return;
    }
    printf("FAIL  %.*s\n", SLICE_ARG(test->name));
    for (size_t i = 0; i < result->failures_len; i++) {
        const struct rule_test_failure *failure = &result->failures[i];
        char at[TEST_TIME_SIZE];
        rule_test_time(failure->expect->at_ms, at);
        printf("      at %s: %.*s\n", at, SLICE_ARG(failure->what));
        if (failure->seen.len > 0) {
            printf("          it was: %.*s\n", SLICE_ARG(failure->seen));
        }
    }
    if (result->failed > result->failures_len) {
        printf("      and %zu more\n", result->failed - result->failures_len);
    }
}

static void put_test(struct json_writer *w, const char *path, const struct rule_test *test,
                     const struct rule_test_result *result) {
    json_begin_object(w);
    json_put_cstr(w, "file", path);
    json_put_text(w, "name", test->name);
    json_put_bool(w, "passed", result->failed == 0);
    json_put_int(w, "expectations", (int64_t)test->expect_len);
    json_put_int(w, "failed", (int64_t)result->failed);
    json_key(w, "failures");
    json_begin_array(w);
    for (size_t i = 0; i < result->failures_len; i++) {
        const struct rule_test_failure *failure = &result->failures[i];
        json_begin_object(w);
        json_put_int(w, "expect", (int64_t)failure->expect->place);
        json_put_real(w, "at_s", (double)failure->expect->at_ms / 1000, 3);
        json_put_text(w, "what", failure->what);
        json_put_text(w, "states", failure->seen.at == NULL ? SLICE_LIT("") : failure->seen);
        json_end_object(w);
    }
    json_end_array(w);
    json_end_object(w);
}

static enum err_e run_test(const char *path, const struct rule_test *test,
                           const struct policy *policy, struct totals *totals,
                           struct problem *problem) {
    struct arena arena;
    struct rule_test_result result;
    arena_init(&arena, MEMORY_MAX);
    enum err_e err = rule_test_run(&arena, test, policy, &result, problem);
    if (err == ERR_OK && totals->json != NULL) {
        put_test(totals->json, path, test, &result);
    } else if (err == ERR_OK) {
        print_test(test, &result);
    }
    if (err == ERR_OK) {
        totals->failed += result.failed > 0;
        totals->passed += result.failed == 0;
    }
    arena_fini(&arena);
    return err;
}

/* ---- a file ---- */

/* The configuration that the test file names, from its own folder on. */
static bool find_config(const char *path, struct slice config, char ret_path[PATH_MAX]) {
    const char *slash = strrchr(path, '/');
    int folder = config.at[0] == '/' || slash == NULL ? 0 : (int)(slash - path) + 1;
    int len = snprintf(ret_path, PATH_MAX, "%.*s%.*s", folder, path, SLICE_ARG(config));
    return len > 0 && len < PATH_MAX;
}

/* --config wins over what the file names. */
static int load_policy(const struct args *args, const char *path, const struct rule_tests *tests,
                       struct policy *ret_policy) {
    struct config config;
    struct buf errors;
    char config_path[PATH_MAX];
    struct config_input input = {.file = args_value(args, "--config"), .environment = environ};
    if (input.file == NULL && tests->config.at != NULL) {
        struct problem problem = {.field = "config", .detail = "the path is too long"};
        if (!find_config(path, tests->config, config_path)) {
            return complain(path, &problem);
        }
        input.file = config_path;
    }
    buf_init(&errors, 1 << 20);
    enum err_e err = config_load(&config, &input, &errors);
    if (err == ERR_OK) {
        config_policy(&config, ret_policy);
    } else {
        fprintf(stderr, "turnout control test-rules: bad configuration\n%.*s",
                SLICE_ARG(buf_slice(&errors)));
    }
    config_fini(&config);
    buf_fini(&errors);
    return err == ERR_OK ? EXIT_DONE : EXIT_BAD_CONFIG;
}

static int run_tests(const char *path, const struct rule_tests *tests, const struct policy *policy,
                     struct totals *totals) {
    for (size_t i = 0; i < tests->len; i++) {
        struct problem problem = {.field = ""};
        if (run_test(path, &tests->items[i], policy, totals, &problem) != ERR_OK) {
            char field[2 * sizeof problem.field];
            snprintf(field, sizeof field, "tests[%zu].%s", i, problem.field);
            snprintf(problem.field, sizeof problem.field, "%.63s", field);
            return complain(path, &problem);
        }
    }
    return EXIT_DONE;
}

static int run_file(const struct args *args, const char *path, struct totals *totals) {
    struct arena arena;
    struct buf text;
    struct rule_tests tests;
    struct problem problem = {.field = ""};
    struct policy *policy = malloc(sizeof *policy);
    if (policy == NULL) {
        return report_failure(args->form, ERR_NO_MEMORY, NULL);
    }
    int code;
    arena_init(&arena, MEMORY_MAX);
    enum err_e err = input_read(path, FILE_MAX, &text, &problem);
    if (err == ERR_OK) {
        err = rule_tests_read(&arena, buf_slice(&text), &tests, &problem);
    }
    if (err != ERR_OK) {
        code = complain(path, &problem);
    } else {
        code = load_policy(args, path, &tests, policy);
        code = code == EXIT_DONE ? run_tests(path, &tests, policy, totals) : code;
    }
    buf_fini(&text);
    arena_fini(&arena);
    free(policy);
    return code;
}

/* ---- all files ---- */

static int run_files(const struct args *args, struct totals *totals) {
    int code = EXIT_DONE;
    for (size_t i = 0; i < args->rest_len; i++) {
        int one = run_file(args, args->rest[i], totals);
        code = one == EXIT_DONE ? code : one;
    }
    return code == EXIT_DONE && totals->failed > 0 ? EXIT_FAILED : code;
}

static int run_as_json(const struct args *args) {
    struct report_json report;
    struct totals totals = {.json = &report.json};
    report_json_begin(&report);
    json_begin_object(&report.json);
    json_key(&report.json, "tests");
    json_begin_array(&report.json);
    int code = run_files(args, &totals);
    json_end_array(&report.json);
    json_put_int(&report.json, "passed", (int64_t)totals.passed);
    json_put_int(&report.json, "failed", (int64_t)totals.failed);
    json_end_object(&report.json);
    int printed = report_json_end(&report);
    return code != EXIT_DONE ? code : printed;
}

int control_test_rules(int argc, char *const *argv) {
    struct args args;
    enum flags_e result = flags_parse(&control_test_rules_form, argc, argv, &args);
    if (result != FLAGS_GOOD) {
        return result == FLAGS_HELP ? EXIT_DONE : EXIT_USAGE;
    }
    if (args_has(&args, "--json")) {
        return run_as_json(&args);
    }
    struct totals totals = {.passed = 0};
    int code = run_files(&args, &totals);
    printf("%zu tests: %zu passed, %zu failed\n", totals.passed + totals.failed, totals.passed,
           totals.failed);
    return fflush(stdout) == 0 ? code : EXIT_FAILED;
}
