/* SPDX-License-Identifier: Apache-2.0 */
/* turnout import: participants from a file of any size, in groups, beside a node that serves. */
#include "api/import.h"
#include "app/open.h"
#include "app/progress.h"
#include "app/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE_BYTES = 256 * 1024 }; /* read at a time: with one group, all the memory it takes */

static const struct flag flags[] = {
    {"--event", "E", FLAG_OWN, "Code of the event that gets the participants."},
    FLAG_STORE,
    FLAG_CONFIG,
    FLAG_JSON,
    {0},
};
static const struct command_form import_form = {
    .name = "import",
    .usage = "participants",
    .summary = "read participants from a CSV file",
    .flags = flags,
};
static const struct command_form participants_form = {
    .name = "import participants",
    .usage = "--event E FILE.csv",
    .summary = "add participants, or change those whose token is there",
    .details =
        "FILE is CSV in UTF-8 with a header row; - is standard input. Columns: token (needed),\n"
        "name, email, status, valid_from, valid_until, gates (codes parted by spaces), attention.\n"
        "An empty cell clears, a missing column keeps. Rejected rows are printed with their line\n"
        "and reason; the others are stored. Exits 1 when rows were rejected.",
    .flags = flags,
    .rest_min = 1,
    .rest_max = 1,
};
static const struct command_form *const forms[] = {&participants_form, NULL};

struct import {
    const struct args *args;
    struct store *store;
    struct slice event;
    int fd;
    char *piece; /* PIECE_BYTES */
    struct import_reader *reader;
    struct import_tally tally;
    struct progress progress;
    int64_t bytes; /* read so far */
    size_t warned; /* warnings printed */
    struct problem problem;
};

MAY_BLOCK static enum err_e check_event(struct import *import) {
    struct store_op op;
    store_op_init(&op, STORE_LOAD_EVENT);
    op.event = import->event;
    op.event_write.values.code = import->event;
    enum err_e err = store_run(import->store, &op);
    store_op_fini(&op);
    return err == ERR_OK ? ERR_OK
                         : problem_set(&import->problem, err, "--event", "%.*s: %s",
                                       SLICE_ARG(import->event),
                                       err == ERR_UNKNOWN_EVENT ? "there is no such event"
                                                                : "it cannot be read");
}

static void print_rejections(const struct import_group *group) {
    for (size_t row = 0; row < group->rows_len; row++) {
        if (group->rows[row].ret_outcome == IMPORT_REJECTED) {
            fprintf(stderr, "line %zu: %.*s\n", group->lines[row],
                    SLICE_ARG(group->rows[row].ret_reason));
        }
    }
    for (size_t i = 0; i < group->rejected_len; i++) {
        fprintf(stderr, "line %zu: %.*s\n", group->rejected[i].line,
                SLICE_ARG(group->rejected[i].reason));
    }
}

static void print_warnings(struct import *import) {
    for (; import->warned < import_warnings(import->reader); import->warned++) {
        struct slice warning = import_warning(import->reader, import->warned);
        fprintf(stderr, "warning: %.*s\n", SLICE_ARG(warning));
    }
}

MAY_BLOCK static enum err_e store_group(struct import *import) {
    struct import_group *group = import_group(import->reader);
    struct store_op op;
    store_op_init(&op, STORE_IMPORT_PARTICIPANTS);
    op.event = import->event;
    op.import.rows = group->rows;
    op.import.len = group->rows_len;
    enum err_e err = group->rows_len > 0 ? store_run(import->store, &op) : ERR_OK;
    if (err == ERR_OK) {
        if (!args_has(import->args, "--json")) { /* there, all is in the document at the end */
            progress_end(&import->progress); /* what follows must not share the bar's line */
            print_warnings(import);
            print_rejections(group);
        }
        import_tally_add(&import->tally, group);
    } else {
        import->problem = op.problem;
    }
    store_op_fini(&op);
    return err;
}

/* Stores every group that the piece at hand completes. */
MAY_BLOCK static enum err_e store_groups(struct import *import, bool *ret_ended) {
    for (;;) {
        enum err_e err = ERR_OK;
        enum import_step_e step = import_read(import->reader, &err, &import->problem);
        *ret_ended = step == IMPORT_END;
        switch (step) {
        case IMPORT_GROUP:
            TRY(store_group(import));
            break;
        case IMPORT_FAILED:
            return err;
        case IMPORT_WANTS_MORE:
        case IMPORT_END:
            return ERR_OK;
        }
        const struct import_tally *tally = &import->tally;
        uint64_t rows = tally->created + tally->updated + tally->rejected_total;
        progress_step(&import->progress, import->bytes, (int64_t)rows);
    }
}

MAY_BLOCK static enum err_e read_all(struct import *import) {
    bool ended = false;
    while (!ended) {
        ssize_t len = read(import->fd, import->piece, PIECE_BYTES);
        if (len < 0 && errno == EINTR) {
            continue;
        }
        if (len < 0) {
            return problem_set(&import->problem, ERR_IO, import->args->rest[0],
                               "cannot be read: %s", strerror(errno));
        }
        import->bytes += len;
        import_feed(import->reader, slice_from(import->piece, (size_t)len),
                    len == 0 ? CSV_LAST_PIECE : CSV_PIECE);
        TRY(store_groups(import, &ended));
    }
    return ERR_OK;
}

static int print_summary(const struct import *import) {
    const struct import_tally *tally = &import->tally;
    int code = tally->rejected_total == 0 ? EXIT_DONE : EXIT_FAILED;
    if (args_has(import->args, "--json")) {
        struct report_json report;
        report_json_begin(&report);
        import_tally_write(&report.json, tally, import->reader);
        int printed = report_json_end(&report);
        return printed == EXIT_DONE ? code : printed;
    }
    printf("%llu created, %llu updated, %llu rejected\n", (unsigned long long)tally->created,
           (unsigned long long)tally->updated, (unsigned long long)tally->rejected_total);
    return code;
}

/* A file that stops midway leaves what was stored: says how far it came. */
static int report_broken(struct import *import, enum err_e err) {
    const struct import_tally *tally = &import->tally;
    int code = report_failure(import->args->form, err, &import->problem);
    fprintf(stderr,
            "  %llu created and %llu updated before that stay; importing the file again is safe.\n",
            (unsigned long long)tally->created, (unsigned long long)tally->updated);
    return code;
}

MAY_BLOCK static int run_import(struct import *import) {
    enum err_e err = check_event(import);
    if (err != ERR_OK) {
        return report_failure(import->args->form, err, &import->problem);
    }
    struct stat st;
    int64_t total = fstat(import->fd, &st) == 0 && S_ISREG(st.st_mode) ? (int64_t)st.st_size : 0;
    progress_begin(&import->progress, "importing", total, clock_system());
    err = read_all(import);
    progress_end(&import->progress);
    return err == ERR_OK ? print_summary(import) : report_broken(import, err);
}

MAY_BLOCK static int with_store(struct import *import, const struct config *config) {
    enum err_e err = store_open(config, STORE_FOR_COMMAND, &import->store, &import->problem);
    if (err != ERR_OK) {
        return report_failure(import->args->form, err, &import->problem);
    }
    import->piece = malloc(PIECE_BYTES);
    import->reader = import_open(IMPORT_CSV);
    import_tally_init(&import->tally);
    int code = import->piece == NULL || import->reader == NULL
                   ? report_failure(import->args->form, ERR_NO_MEMORY, NULL)
                   : run_import(import);
    import_tally_fini(&import->tally);
    import_close(import->reader);
    free(import->piece);
    store_close(import->store);
    return code;
}

MAY_BLOCK static int with_file(struct import *import, const struct config *config) {
    const char *path = import->args->rest[0];
    bool is_stdin = strcmp(path, "-") == 0;
    import->fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (import->fd < 0) {
        fprintf(stderr, "turnout import participants: %s: %s\n", path, strerror(errno));
        return EXIT_FAILED;
    }
    int code = with_store(import, config);
    if (!is_stdin) {
        close(import->fd);
    }
    return code;
}

int cmd_import(int argc, char **argv) {
    int code;
    const struct command_form *form = forms_pick(&import_form, forms, argc, argv, &code);
    if (form == NULL) {
        return code;
    }
    struct args args;
    struct config config;
    enum flags_e result = flags_parse(form, argc - 1, argv + 1, &args);
    if (result != FLAGS_GOOD) {
        return result == FLAGS_HELP ? EXIT_DONE : EXIT_USAGE;
    }
    const char *event = args_value(&args, "--event");
    if (event == NULL || !code_is_valid(slice_of(event))) {
        return args_refuse(form, "--event takes an event's code: %s", form->usage);
    }
    if (!args_config(&args, &config)) {
        return EXIT_BAD_CONFIG;
    }
    struct import *import = calloc(1, sizeof *import);
    if (import == NULL) {
        config_fini(&config);
        return report_failure(form, ERR_NO_MEMORY, NULL);
    }
    import->args = &args;
    import->event = slice_of(event);
    code = with_file(import, &config);
    free(import);
    config_fini(&config);
    return code;
}
