/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing of flags and the help that comes from their table. */
#include "app/flags.h"

#include "app/cli.h"
#include "base/nearest.h"
#include "base/assert.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static bool is_help(const char *text) {
    return strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0;
}

int args_refuse(const struct command_form *form, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fprintf(stderr, "turnout %s: ", form->name);
    vfprintf(stderr, format, args);
    fprintf(stderr, "\nSee turnout %s --help.\n", form->name);
    va_end(args);
    return EXIT_USAGE;
}

static void print_help(const struct command_form *form) {
    printf("turnout %s: %s\n\nUsage: turnout %s %s\n", form->name, form->summary, form->name,
           form->usage);
    if (form->details != NULL) {
        printf("\n%s\n", form->details);
    }
    printf("\nFlags:\n");
    for (const struct flag *flag = form->flags; flag->name != NULL; flag++) {
        char left[64];
        snprintf(left, sizeof left, "%s%s%s", flag->name, flag->value == NULL ? "" : " ",
                 flag->value == NULL ? "" : flag->value);
        printf("  %-24s %s\n", left, flag->help);
        if (flag->setting != FLAG_OWN) {
            const struct config_row *row = config_row((enum config_key_e)flag->setting);
            printf("  %-24s Setting %s, default %s.\n", "", row->name,
                   row->preset[0] == '\0' ? "empty" : row->preset);
        }
    }
    printf("  %-24s %s\n", "--help", "Print this.");
}

/* The index of the flag that `text` (up to a =) names; -1 when it names none. */
static int flag_find(const struct command_form *form, struct slice name) {
    for (int i = 0; form->flags[i].name != NULL; i++) {
        if (slice_eq_text(name, form->flags[i].name)) {
            return i;
        }
    }
    return -1;
}

static void refuse_unknown(const struct command_form *form, struct slice name) {
    struct nearest nearest;
    nearest_init(&nearest, name);
    for (const struct flag *flag = form->flags; flag->name != NULL; flag++) {
        nearest_offer(&nearest, flag->name);
    }
    args_refuse(form, "unknown flag %.*s%s%s", SLICE_ARG(name),
                nearest.best == NULL ? "" : ": did you mean ",
                nearest.best == NULL ? "" : nearest.best);
}

/* Takes the flag at argv[*at] and its value; false when it is wrong (printed). */
static bool take_flag(struct args *args, int argc, char *const *argv, int *at) {
    const struct command_form *form = args->form;
    struct slice text = slice_of(argv[*at]);
    const char *equals = strchr(argv[*at], '=');
    struct slice name = equals == NULL ? text : slice_from(text.at, (size_t)(equals - text.at));
    int found = flag_find(form, name);
    if (found < 0) {
        refuse_unknown(form, name);
        return false;
    }
    const struct flag *flag = &form->flags[found];
    if (args->values[found] != NULL) {
        args_refuse(form, "%s is given twice", flag->name);
        return false;
    }
    if (flag->value == NULL) {
        if (equals != NULL) {
            args_refuse(form, "%s takes no value", flag->name);
            return false;
        }
        args->values[found] = "";
        return true;
    }
    if (equals == NULL && *at + 1 >= argc) {
        args_refuse(form, "%s needs a value: %s %s", flag->name, flag->name, flag->value);
        return false;
    }
    args->values[found] = equals != NULL ? equals + 1 : argv[++*at];
    return true;
}

static bool take_rest(struct args *args, const char *text) {
    if (args->rest_len == args->form->rest_max) {
        args_refuse(args->form, "unexpected argument %s", text);
        return false;
    }
    ASSERT(args->rest_len < FLAGS_REST_MAX);
    args->rest[args->rest_len++] = text;
    return true;
}

static bool take_all(struct args *args, int argc, char *const *argv) {
    bool flags_ended = false;
    for (int at = 1; at < argc; at++) {
        const char *text = argv[at];
        bool is_flag = !flags_ended && text[0] == '-' && text[1] != '\0';
        if (is_flag && strcmp(text, "--") == 0) {
            flags_ended = true;
            continue;
        }
        if (!(is_flag ? take_flag(args, argc, argv, &at) : take_rest(args, text))) {
            return false;
        }
    }
    return true;
}

enum flags_e flags_parse(const struct command_form *form, int argc, char *const *argv,
                         struct args *ret_args) {
    *ret_args = (struct args){.form = form};
    for (int at = 1; at < argc && strcmp(argv[at], "--") != 0; at++) {
        if (is_help(argv[at])) {
            print_help(form);
            return FLAGS_HELP;
        }
    }
    if (!take_all(ret_args, argc, argv)) {
        return FLAGS_WRONG;
    }
    if (ret_args->rest_len < form->rest_min) {
        args_refuse(form, "something is missing: turnout %s %s", form->name, form->usage);
        return FLAGS_WRONG;
    }
    return FLAGS_GOOD;
}

const char *args_value(const struct args *args, const char *name) {
    int found = flag_find(args->form, slice_of(name));
    ASSERT(found >= 0);
    return args->values[found];
}

bool args_has(const struct args *args, const char *name) {
    return args_value(args, name) != NULL;
}

enum err_e args_load(const struct args *args, struct config *ret_config,
                     struct buf *ret_errors) {
    struct config_flag flags[FLAGS_MAX];
    struct config_input input = {.environment = environ, .flags = flags};
    for (int i = 0; args->form->flags[i].name != NULL; i++) {
        const struct flag *flag = &args->form->flags[i];
        if (args->values[i] != NULL && flag->setting != FLAG_OWN) {
            flags[input.flags_len++] = (struct config_flag){
                (enum config_key_e)flag->setting, flag->name, args->values[i]};
        }
    }
    int config_flag = flag_find(args->form, SLICE_LIT("--config"));
    input.file = config_flag < 0 ? NULL : args->values[config_flag];
    enum err_e err = config_load(ret_config, &input, ret_errors);
    if (err != ERR_OK) {
        config_fini(ret_config);
    }
    return err;
}

bool args_config(const struct args *args, struct config *ret_config) {
    struct buf errors;
    buf_init(&errors, 1 << 20);
    enum err_e err = args_load(args, ret_config, &errors);
    if (err != ERR_OK) {
        fprintf(stderr, "turnout %s: bad configuration\n%.*s", args->form->name, (int)errors.len,
                errors.at == NULL ? "" : errors.at);
    }
    buf_fini(&errors);
    return err == ERR_OK;
}

static void print_group_help(const struct command_form *group,
                             const struct command_form *const *forms) {
    printf("turnout %s: %s\n\nUsage:\n", group->name, group->summary);
    for (; *forms != NULL; forms++) {
        printf("  turnout %s %s\n      %s\n", (*forms)->name, (*forms)->usage, (*forms)->summary);
    }
    if (group->details != NULL) {
        printf("\n%s\n", group->details);
    }
    printf("\nEach has its own --help.\n");
}

/* "create" of "key create" */
static const char *form_word(const struct command_form *form) {
    const char *space = strrchr(form->name, ' ');
    ASSERT(space != NULL);
    return space + 1;
}

const struct command_form *forms_pick(const struct command_form *group,
                                      const struct command_form *const *forms, int argc,
                                      char *const *argv, int *ret_exit) {
    if (argc >= 2 && is_help(argv[1])) {
        print_group_help(group, forms);
        *ret_exit = EXIT_DONE;
        return NULL;
    }
    if (argc < 2) {
        *ret_exit = args_refuse(group, "which of them? turnout %s %s", group->name, group->usage);
        return NULL;
    }
    struct nearest nearest;
    nearest_init(&nearest, slice_of(argv[1]));
    for (const struct command_form *const *form = forms; *form != NULL; form++) {
        if (strcmp(argv[1], form_word(*form)) == 0) {
            return *form;
        }
        nearest_offer(&nearest, form_word(*form));
    }
    *ret_exit = args_refuse(group, "unknown %s: %s%s%s", argv[1][0] == '-' ? "flag" : "command",
                            argv[1], nearest.best == NULL ? "" : "; did you mean ",
                            nearest.best == NULL ? "" : nearest.best);
    return NULL;
}

int forms_run(const struct command_form *group, const struct command_form *const *forms,
              const form_fn *runs, int argc, char *const *argv) {
    int result;
    const struct command_form *form = forms_pick(group, forms, argc, argv, &result);
    for (size_t i = 0; form != NULL; i++) {
        if (forms[i] == form) {
            return runs[i](argc - 1, argv + 1);
        }
    }
    return result;
}
