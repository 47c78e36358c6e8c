/* SPDX-License-Identifier: Apache-2.0 */
/* turnout control replay: the control plane's decisions, tried on recorded figures. */
#include "app/cmd_control.h"
#include "app/report.h"
#include "control/decide.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    REPLAY_LINE_MAX = 4 << 20,   /* bytes: a snapshot of 4096 nodes takes less than one MiB */
    REPLAY_MEMORY_MAX = 64 << 20, /* bytes that one parsed snapshot may take */
    REPLAY_ANSWER_MAX = 1 << 20,
};

static const struct flag replay_flags[] = {FLAG_CONFIG, {0}};

const struct command_form control_replay_form = {
    .name = "control replay",
    .usage = "[--config FILE] < SNAPSHOTS",
    .summary = "decide on recorded figures: a snapshot per line in, a decision per line out",
    .details = "A snapshot is a line of JSON on standard input, such as\n"
               "  {\"t\":0,\"nodes\":[{\"id\":\"n1\",\"healthy\":true,\"cpu\":90,\"memory\":40,"
               "\"connections\":12,\n"
               "   \"hit_rate\":0.9}],\"metrics\":{\"avg_response_time_ms\":120}}\n"
               "Figures that are absent or null are missing. Broken lines are named on standard\n"
               "error and passed over; then the exit code is 1.\n"
               "The policy is [scaler], [balancer] and [alert.NAME] of the configuration:\n"
               "turnout help config. The same figures and policy always give the same decisions.",
    .flags = replay_flags,
};
struct replay {
    struct policy policy;
    struct history history;
    struct arena arena;
    struct buf line;
    struct buf answer;
    long line_number;
    bool some_failed;
};

enum line_e { LINE_READ, LINE_TOO_LONG, LINE_NONE };

/* One line without its end. A longer one is read to its end and dropped. */
static enum line_e read_line(FILE *file, struct buf *line) {
    buf_clear(line);
    int c = getc_unlocked(file);
    if (c == EOF) {
        return LINE_NONE;
    }
    for (; c != EOF && c != '\n'; c = getc_unlocked(file)) {
        buf_add_char(line, (char)c);
    }
    return line->failed ? LINE_TOO_LONG : LINE_READ;
}

static bool is_blank(struct slice line) {
    for (size_t i = 0; i < line.len; i++) {
        if (line.at[i] != ' ' && line.at[i] != '\t' && line.at[i] != '\r') {
            return false;
        }
    }
    return true;
}

static void complain(struct replay *replay, const char *field, const char *detail) {
    fprintf(stderr, "turnout control replay: line %ld: %s%s%s\n", replay->line_number, field,
            field[0] == '\0' ? "" : ": ", detail);
    replay->some_failed = true;
}

/* False when the answer cannot be written. */
static bool answer_line(struct replay *replay) {
    struct snapshot snapshot;
    struct problem problem = {0};
    arena_reset(&replay->arena);
    enum err_e err = snapshot_read(&replay->arena, buf_slice(&replay->line), &snapshot, &problem);
    if (err != ERR_OK) {
        complain(replay, problem.field, problem.detail);
        return true;
    }
    struct decision decision;
    decide(&replay->history, &snapshot, &replay->policy, &decision);
    buf_clear(&replay->answer);
    decision_write(&decision, &replay->history, &replay->policy, &replay->answer);
    buf_add_char(&replay->answer, '\n');
    if (replay->answer.failed) {
        complain(replay, "", "the decision takes too much memory");
        return true;
    }
    fwrite(replay->answer.at, 1, replay->answer.len, stdout);
    return fflush(stdout) == 0; /* each decision is there before the next snapshot is asked for */
}

static int run(struct replay *replay) {
    enum line_e got;
    while ((got = read_line(stdin, &replay->line)) != LINE_NONE) {
        replay->line_number++;
        if (got == LINE_TOO_LONG) {
            complain(replay, "", "the line is too long: at most 4 MiB");
        } else if (!is_blank(buf_slice(&replay->line)) && !answer_line(replay)) {
            fprintf(stderr, "turnout control replay: cannot write: %s\n", strerror(errno));
            return EXIT_FAILED;
        }
    }
    if (ferror(stdin)) {
        fprintf(stderr, "turnout control replay: cannot read: %s\n", strerror(errno));
        return EXIT_FAILED;
    }
    return replay->some_failed ? EXIT_FAILED : EXIT_DONE;
}

static int replay(const struct args *args) {
    struct replay *replay = calloc(1, sizeof *replay);
    if (replay == NULL) {
        return report_failure(args->form, ERR_NO_MEMORY, NULL);
    }
    struct config config;
    int code = EXIT_BAD_CONFIG;
    if (args_config(args, &config)) {
        config_policy(&config, &replay->policy);
        history_init(&replay->history);
        arena_init(&replay->arena, REPLAY_MEMORY_MAX);
        buf_init(&replay->line, REPLAY_LINE_MAX);
        buf_init(&replay->answer, REPLAY_ANSWER_MAX);
        code = run(replay);
        buf_fini(&replay->answer);
        buf_fini(&replay->line);
        arena_fini(&replay->arena);
        config_fini(&config);
    }
    free(replay);
    return code;
}

int control_replay(int argc, char *const *argv) {
    struct args args;
    enum flags_e result = flags_parse(&control_replay_form, argc, argv, &args);
    if (result != FLAGS_GOOD) {
        return result == FLAGS_HELP ? EXIT_DONE : EXIT_USAGE;
    }
    return replay(&args);
}
