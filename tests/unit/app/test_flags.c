/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: flags mean what their table says; anything else is refused with a hint. */
#include "app/flags.h"

#include "app/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

static const struct flag flags[] = {
    {"--event", "E", FLAG_OWN, "The event."},
    {"--loops", "N", CONFIG_server_loops, "Loops."},
    FLAG_JSON,
    {0},
};
static const struct command_form form = {.name = "test",
                                         .usage = "FILE --event E",
                                         .summary = "try flags",
                                         .flags = flags,
                                         .rest_min = 1,
                                         .rest_max = 2};

enum { ARGV_MAX = 12 };

/* What went to standard output and error while `text` (words parted by spaces) was parsed. */
static char said[4096];

static enum flags_e parse(const char *text, struct args *ret_args) {
    static char copy[256];
    static char name[] = "test";
    char *argv[ARGV_MAX] = {name};
    int argc = 1;
    snprintf(copy, sizeof copy, "%s", text);
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " ")) {
        argv[argc++] = word;
    }
    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(stdout);
    int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO);
    dup2(fileno(file), STDOUT_FILENO);
    dup2(fileno(file), STDERR_FILENO);
    enum flags_e result = flags_parse(&form, argc, argv, ret_args);
    fflush(stdout);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    close(out);
    close(err);
    rewind(file);
    said[fread(said, 1, sizeof said - 1, file)] = '\0';
    fclose(file);
    return result;
}

static void assert_said(const char *part) {
    if (strstr(said, part) == NULL) {
        fail_msg("expected \"%s\" in:\n%s", part, said);
    }
}

static void values_come_behind_a_space_or_an_equals_sign(void **state) {
    (void)state;
    struct args args;
    assert_int_equal(parse("--event a file", &args), FLAGS_GOOD);
    assert_string_equal(args_value(&args, "--event"), "a");
    assert_int_equal(parse("file --event=b=c --json", &args), FLAGS_GOOD);
    assert_string_equal(args_value(&args, "--event"), "b=c");
    assert_true(args_has(&args, "--json"));
    assert_int_equal(args.rest_len, 1);
    assert_string_equal(args.rest[0], "file");
}

static void lone_dash_is_an_argument_and_two_dashes_end_flags(void **state) {
    (void)state;
    struct args args;
    assert_int_equal(parse("-", &args), FLAGS_GOOD);
    assert_string_equal(args.rest[0], "-");
    assert_int_equal(parse("-- --event --help", &args), FLAGS_GOOD);
    assert_int_equal(args.rest_len, 2);
    assert_string_equal(args.rest[0], "--event");
    assert_false(args_has(&args, "--event"));
}

static void wrong_calls_are_refused_with_a_hint(void **state) {
    (void)state;
    static const struct {
        const char *call, *said;
    } rows[] = {
        {"--evnt a file", "unknown flag --evnt: did you mean --event"},
        {"--xyzzy file", "unknown flag --xyzzy\n"},
        {"file --event", "--event needs a value: --event E"},
        {"file --event a --event b", "--event is given twice"},
        {"file --json=1", "--json takes no value"},
        {"a b c", "unexpected argument c"},
        {"--json", "something is missing: turnout test FILE --event E"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct args args;
        assert_int_equal(parse(rows[i].call, &args), FLAGS_WRONG);
        assert_said(rows[i].said);
        assert_said("See turnout test --help.");
    }
}

static void help_shows_every_flag_and_wins_over_mistakes(void **state) {
    (void)state;
    struct args args;
    assert_int_equal(parse("--xyzzy --help", &args), FLAGS_HELP);
    assert_said("Usage: turnout test FILE --event E");
    assert_said("--event E");
    assert_said("Setting server.loops, default 0.");
    assert_said("--json");
}

static void flag_of_a_setting_reaches_the_configuration(void **state) {
    (void)state;
    struct args args;
    struct config config;
    assert_int_equal(parse("file --loops 3", &args), FLAGS_GOOD);
    assert_true(args_config(&args, &config));
    assert_int_equal(config.server_loops, 3);
    assert_int_equal(config.origins[CONFIG_server_loops], CONFIG_ORIGIN_FLAG);
    config_fini(&config);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_behind_a_space_or_an_equals_sign),
        cmocka_unit_test(lone_dash_is_an_argument_and_two_dashes_end_flags),
        cmocka_unit_test(wrong_calls_are_refused_with_a_hint),
        cmocka_unit_test(help_shows_every_flag_and_wins_over_mistakes),
        cmocka_unit_test(flag_of_a_setting_reaches_the_configuration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
