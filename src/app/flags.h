/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command's flags as a table: it drives the parsing, the hints and --help.
 *
 * `--name VALUE` and `--name=VALUE` are the same; `--` ends the flags; a lone `-` is an argument. A
 * flag that belongs to a setting overrides it (config.h). Thread: main.
 */
#ifndef TURNOUT_APP_FLAGS_H
#define TURNOUT_APP_FLAGS_H

#include "app/config.h"

enum {
    FLAGS_MAX = 16,     /* in one command */
    FLAGS_REST_MAX = 8, /* arguments beside flags: no command takes more */
};

struct flag {
    const char *name;  /* with its dashes: "--event" */
    const char *value; /* what help calls its value: "E"; NULL: a switch */
    int setting;       /* config_key_e, or FLAG_OWN when it is the command's own business */
    const char *help;
};
enum { FLAG_OWN = -1 };

/* Flags that several commands share. */
#define FLAG_CONFIG {"--config", "FILE", FLAG_OWN, "Read settings from this INI file."}
#define FLAG_STORE                                                                                 \
    {"--store", "URL", CONFIG_store_url, "sqlite:PATH, or postgres://USER@HOST/DATABASE."}
#define FLAG_JSON {"--json", NULL, FLAG_OWN, "Print one JSON document instead of text."}

struct command_form {
    const char *name;    /* "key create": how it is called, for messages and the hint */
    const char *usage;   /* what follows the name: "--name N --scope S [--event E]" */
    const char *summary; /* one sentence */
    const char *details; /* further paragraphs for --help, or NULL */
    const struct flag *flags; /* ends with a NULL name */
    size_t rest_min, rest_max;
};

struct args {
    const struct command_form *form;
    const char *values[FLAGS_MAX]; /* as in form->flags; "" for a switch that is there */
    const char *rest[FLAGS_REST_MAX];
    size_t rest_len;
};

enum flags_e {
    FLAGS_GOOD,
    FLAGS_HELP, /* help was printed on standard output: exit 0 */
    FLAGS_WRONG /* what is wrong was printed on standard error: exit 2 */
};
enum flags_e flags_parse(const struct command_form *form, int argc, char *const *argv,
                         struct args *ret_args) MUST_CHECK;

/* The value of a flag of the form: NULL when it was not given. */
const char *args_value(const struct args *args, const char *name);
bool args_has(const struct args *args, const char *name);
/* Says what is wrong with the call and where help is; returns the exit code for it. */
int args_refuse(const struct command_form *form, const char *format, ...) PRINTF_LIKE(2, 3);

/* The settings under these flags, the environment and --config. ERR_CONFIG: `ret_errors` has a line
 * for each mistake, and there is nothing to config_fini. */
enum err_e args_load(const struct args *args, struct config *ret_config,
                     struct buf *ret_errors) MUST_CHECK;
/* The same; false when something is wrong: it was printed on standard error and the exit code is
 * EXIT_BAD_CONFIG. */
bool args_config(const struct args *args, struct config *ret_config) MUST_CHECK;

/* A command of several forms ("key create", "key list"): picks the one that argv[1] names. `group`
 * describes all of them and answers --help; NULL when help or an error was printed, with the exit
 * code in `ret_exit`. */
const struct command_form *forms_pick(const struct command_form *group,
                                      const struct command_form *const *forms, int argc,
                                      char *const *argv, int *ret_exit);

/* A group whose forms have a function each, place by place: picks one and runs it with argv[0] its
 * word. Returns the exit code. */
typedef int (*form_fn)(int argc, char *const *argv);
int forms_run(const struct command_form *group, const struct command_form *const *forms,
              const form_fn *runs, int argc, char *const *argv);

#endif
