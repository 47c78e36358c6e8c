/* SPDX-License-Identifier: Apache-2.0 */
/*
 * systemd: TEMPLATE@1.service to TEMPLATE@MAX.service, by systemctl. The lowest numbers that do not
 * run are started; victims, and then the highest that run, are stopped. Each unit has its own
 * state, so a change that ends half way is seen as what it came to.
 */
#include "act/child.h"
#include "act/provider_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    COMPLAINT_MAX = 4096,
    UNIT_SIZE = PROVIDER_NAME_MAX + 32,
    SCOPE_WORDS = 4, /* systemctl --user VERB --no-block */
};

struct systemd {
    struct provider base;
    struct systemd_options options;
    struct buf output, complaint;
    char (*units)[UNIT_SIZE];  /* names by number - 1 */
    const char **argv;
    bool *runs;                /* by number - 1: active or about to be */
};

static const char *unit_of(const struct systemd *systemd, int64_t number) {
    return systemd->units[number - 1];
}

/* systemctl VERB UNITS…, the units from argv[at] on. */
static enum err_e run(struct systemd *systemd, const char *verb, const char *option, size_t count,
                      struct problem *problem) {
    int code;
    systemd->argv[0] =
        systemd->options.systemctl == NULL ? "systemctl" : systemd->options.systemctl;
    systemd->argv[1] = systemd->options.of_user ? "--user" : "--system";
    systemd->argv[2] = verb;
    systemd->argv[3] = option;
    systemd->argv[SCOPE_WORDS + count] = NULL;
    struct child_run run = {.argv = systemd->argv,
                            .input = SLICE_LIT(""),
                            .timeout_ms = systemd->options.timeout_ms,
                            .output = &systemd->output,
                            .complaint = &systemd->complaint};
    TRY(child_run(&run, &code, problem));
    if (code == 0) {
        return ERR_OK;
    }
    struct slice rest = buf_slice(&systemd->complaint);
    struct slice why = SLICE_LIT("");
    slice_next(&rest, '\n', &why);
    why.len = why.len > 150 ? 150 : why.len;
    return problem_set(problem, code == 4 ? ERR_CONFIG : ERR_UNAVAILABLE, "",
                       "systemctl %s ended with %d: %.*s", verb, code, SLICE_ARG(why));
}

/* "ActiveState=active" of each unit in turn, a blank line between two. */
static enum err_e read_states(struct systemd *systemd, struct provider_state *ret_state,
                              struct problem *problem) {
    struct slice rest = buf_slice(&systemd->output);
    struct slice line;
    int64_t number = 0;
    while (slice_next(&rest, '\n', &line)) {
        if (!slice_starts_with(line, SLICE_LIT("ActiveState=")) ||
            number == systemd->options.nodes_max) {
            continue;
        }
        struct slice state = slice_skip(line, sizeof "ActiveState=" - 1);
        bool is_active = slice_eq_text(state, "active") || slice_eq_text(state, "reloading");
        bool is_coming = slice_eq_text(state, "activating");
        systemd->runs[number++] = is_active || is_coming;
        ret_state->ready += is_active;
        ret_state->running += is_active || is_coming || slice_eq_text(state, "deactivating");
        ret_state->desired += is_active || is_coming;
    }
    return number == systemd->options.nodes_max
               ? ERR_OK
               : problem_set(problem, ERR_IO, "", "systemctl show told of %" PRId64 " units of "
                                                  "%" PRId64, number, systemd->options.nodes_max);
}

static enum err_e look(struct provider *provider, struct provider_state *ret_state,
                       struct problem *problem) {
    struct systemd *systemd = (struct systemd *)provider;
    for (int64_t number = 1; number <= systemd->options.nodes_max; number++) {
        systemd->argv[SCOPE_WORDS + number - 1] = unit_of(systemd, number);
    }
    TRY(run(systemd, "show", "--property=ActiveState", (size_t)systemd->options.nodes_max,
            problem));
    return read_states(systemd, ret_state, problem);
}

static bool is_victim(const struct provider_change *change, const char *unit) {
    for (size_t i = 0; i < change->victims_len; i++) {
        if (slice_eq_text(change->victims[i], unit)) {
            return true;
        }
    }
    return false;
}

/* Picks up to `count` units into argv; returns how many there were. */
static size_t pick_to_start(struct systemd *systemd, size_t count) {
    size_t picked = 0;
    for (int64_t number = 1; number <= systemd->options.nodes_max && picked < count; number++) {
        if (!systemd->runs[number - 1]) {
            systemd->argv[SCOPE_WORDS + picked++] = unit_of(systemd, number);
        }
    }
    return picked;
}

static size_t pick_to_stop(struct systemd *systemd, const struct provider_change *change,
                           size_t count) {
    size_t picked = 0;
    for (int turn = 0; turn < 2; turn++) { /* victims, then the highest */
        for (int64_t number = systemd->options.nodes_max; number >= 1 && picked < count;
             number--) {
            bool is_named = is_victim(change, unit_of(systemd, number));
            if (systemd->runs[number - 1] && is_named == (turn == 0)) {
                systemd->argv[SCOPE_WORDS + picked++] = unit_of(systemd, number);
            }
        }
    }
    return picked;
}

static enum err_e scale(struct provider *provider, const struct provider_change *change,
                        struct problem *problem) {
    struct systemd *systemd = (struct systemd *)provider;
    struct provider_state state = {.busy = false};
    TRY(look(provider, &state, problem));
    if (state.desired != change->from) {
        return problem_set(problem, ERR_CONFLICT, "",
                           "%" PRId64 " units run, decided from %" PRId64, state.desired,
                           change->from);
    }
    if (change->to > systemd->options.nodes_max) {
        return problem_set(problem, ERR_CONFIG, "max", "%s has at most %" PRId64 " units",
                           systemd->options.template, systemd->options.nodes_max);
    }
    bool is_more = change->to > change->from;
    size_t count = (size_t)(is_more ? change->to - change->from : change->from - change->to);
    size_t picked = is_more ? pick_to_start(systemd, count) : pick_to_stop(systemd, change, count);
    /* not waited for: starting and draining take their time, and the next look tells */
    return picked == 0 ? ERR_OK
                       : run(systemd, is_more ? "start" : "stop", "--no-block", picked, problem);
}

static void close_it(struct provider *provider) {
    struct systemd *systemd = (struct systemd *)provider;
    buf_fini(&systemd->output);
    buf_fini(&systemd->complaint);
    free(systemd->units);
    free(systemd->argv);
    free(systemd->runs);
    free(systemd);
}

static bool reserve(struct systemd *systemd) {
    size_t count = (size_t)systemd->options.nodes_max;
    systemd->units = calloc(count, sizeof *systemd->units);
    systemd->argv = calloc(count + SCOPE_WORDS + 1, sizeof *systemd->argv);
    systemd->runs = calloc(count, sizeof *systemd->runs);
    if (systemd->units == NULL || systemd->argv == NULL || systemd->runs == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        snprintf(systemd->units[i], UNIT_SIZE, "%s@%zu.service", systemd->options.template, i + 1);
    }
    return true;
}

enum err_e provider_open_systemd(const struct systemd_options *options,
                                 struct provider **ret_provider, struct problem *problem) {
    static const struct provider_vtable vtable = {"systemd", look, scale, NULL, close_it};
    TRY(provider_check_name(options->template, "template", problem));
    if (options->nodes_max < 1 || options->nodes_max > PROVIDER_NODES_MAX) {
        return problem_set(problem, ERR_CONFIG, "max", "max is 1 to %d", PROVIDER_NODES_MAX);
    }
    struct systemd *systemd = calloc(1, sizeof *systemd);
    if (systemd == NULL) {
        return ERR_NO_MEMORY;
    }
    systemd->base.vtable = &vtable;
    systemd->options = *options;
    buf_init(&systemd->output, CHILD_OUTPUT_MAX);
    buf_init(&systemd->complaint, COMPLAINT_MAX);
    if (!reserve(systemd)) {
        close_it(&systemd->base);
        return ERR_NO_MEMORY;
    }
    *ret_provider = &systemd->base;
    return ERR_OK;
}
