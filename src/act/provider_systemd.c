/* SPDX-License-Identifier: Apache-2.0 */
/*
 * systemd: TEMPLATE@1.service to TEMPLATE@MAX.service, by systemctl. The lowest numbers that are
 * free are started; victims, then those that do not serve, and then the highest are stopped. Each
 * unit has its own state, so a change that ends half way is seen as what it came to.
 *
 * What is asked for is a job first, and systemd may take a while to begin with it; a unit that ends
 * by itself or waits for its restart has no job, and one that was told to stop has. So a unit is
 * judged by both:
 *
 *   job       state                                                is
 *   start, restart, reload   any                                   wanted
 *   stop      any                                                  on its way out
 *   none      active, reloading, activating, deactivating          wanted: it ends by itself, and
 *                                                                  systemd may start it again
 *   none      failed                                               in the way
 *   none      inactive, or not told of                             free
 */
#include "act/child.h"
#include "act/provider_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    COMPLAINT_MAX = 4096,
    UNIT_SIZE = PROVIDER_NAME_MAX + 32,
    SCOPE_WORDS = 4,         /* systemctl --user VERB OPTION */
    DOCUMENT_MAX = 8 << 20,  /* what is listed, parsed */
    EXIT_NO_PERMISSION = 4,  /* systemctl(1), exit status */
    EXIT_NO_SUCH_UNIT = 5,
};

enum unit_e {
    UNIT_IS_FREE,
    UNIT_IS_IN_THE_WAY, /* failed, or stops: can be started, after all others */
    UNIT_IS_COMING,     /* wanted, and does not serve */
    UNIT_IS_UP,
};

struct systemd {
    struct provider base;
    struct systemd_options options;
    struct buf output, complaint;
    struct arena arena;              /* of what was listed */
    char (*names)[UNIT_SIZE];        /* of the units in argv */
    const char **argv;
    enum unit_e units[PROVIDER_NODES_MAX]; /* by number - 1, as they were seen last */
};

static struct slice first_line(const struct buf *text) {
    struct slice rest = buf_slice(text);
    struct slice line = SLICE_LIT("");
    slice_next(&rest, '\n', &line);
    line.len = line.len > 150 ? 150 : line.len;
    return line;
}

static enum err_e meaning_of(int exit_code) {
    return exit_code == EXIT_NO_PERMISSION  ? ERR_UNAUTHORIZED
           : exit_code == EXIT_NO_SUCH_UNIT ? ERR_CONFIG
                                            : ERR_UNAVAILABLE;
}

/* systemctl VERB OPTION UNITS…, the units from argv[SCOPE_WORDS] on. */
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
    struct slice why = first_line(&systemd->complaint);
    return problem_set(problem, meaning_of(code), "", "systemctl %s ended with %d: %.*s", verb,
                       code, SLICE_ARG(why));
}

/* Of "TEMPLATE@7.service"; 0: it is none of ours. */
static int64_t number_of(const struct systemd *systemd, struct slice unit) {
    static const struct slice end = {".service", sizeof ".service" - 1};
    struct slice begin = slice_of(systemd->options.template);
    int64_t number;
    char name[UNIT_SIZE];
    if (unit.len <= begin.len + 1 + end.len || !slice_starts_with(unit, begin)) {
        return 0;
    }
    struct slice digits = slice_from(unit.at + begin.len + 1, unit.len - begin.len - 1 - end.len);
    if (!slice_to_int(digits, 1, PROVIDER_NODES_MAX, &number)) {
        return 0;
    }
    snprintf(name, sizeof name, "%s@%" PRId64 ".service", systemd->options.template, number);
    return slice_eq_text(unit, name) ? number : 0; /* not "@07" */
}

static bool is_one_of(struct slice word, const char *const *words) {
    while (*words != NULL && !slice_eq_text(word, *words)) {
        words++;
    }
    return *words != NULL;
}
#define ONE_OF(...) (const char *const[]){__VA_ARGS__, NULL}

static enum unit_e judge(struct slice state, struct slice job) {
    bool is_up = is_one_of(state, ONE_OF("active", "reloading", "refreshing"));
    if (slice_eq_text(job, "stop")) {
        return UNIT_IS_IN_THE_WAY;
    }
    if (is_one_of(job, ONE_OF("start", "restart", "try-restart", "reload", "reload-or-start"))) {
        return is_up ? UNIT_IS_UP : UNIT_IS_COMING;
    }
    if (is_up) {
        return UNIT_IS_UP;
    }
    if (is_one_of(state, ONE_OF("activating", "deactivating", "maintenance"))) {
        return UNIT_IS_COMING;
    }
    return slice_eq_text(state, "failed") ? UNIT_IS_IN_THE_WAY : UNIT_IS_FREE;
}

/* [{"unit":…,"active":…,"job":…}, …]: those that are neither at rest nor wanted are left out. */
static enum err_e read_units(struct systemd *systemd, struct provider_state *ret_state,
                             struct problem *problem) {
    struct json_t *list;
    arena_reset(&systemd->arena);
    enum err_e err = json_parse(&systemd->arena, buf_slice(&systemd->output), &list, NULL);
    if (err != ERR_OK || json_kind(list) != JSON_KIND_ARRAY) {
        struct slice said = first_line(&systemd->output);
        return problem_set(problem, ERR_IO, "", "systemctl list-units said no list in JSON "
                                                "(systemd 247 and newer do): %.*s",
                           SLICE_ARG(said));
    }
    memset(systemd->units, 0, sizeof systemd->units);
    for (size_t i = 0; i < json_count(list); i++) {
        const struct json_t *unit = json_at(list, i);
        int64_t number = number_of(systemd, json_text_at(unit, "unit", SLICE_LIT("")));
        struct slice state = json_text_at(unit, "active", SLICE_LIT(""));
        if (number == 0) {
            continue;
        }
        enum unit_e is = judge(state, json_text_at(unit, "job", SLICE_LIT("")));
        systemd->units[number - 1] = is;
        ret_state->desired += is >= UNIT_IS_COMING;
        ret_state->running += is >= UNIT_IS_COMING ||
                              (is == UNIT_IS_IN_THE_WAY && !slice_eq_text(state, "failed"));
        ret_state->ready += is == UNIT_IS_UP;
    }
    return ERR_OK;
}

/* All that there are, not those up to nodes_max alone: it may have been higher. */
static enum err_e look(struct provider *provider, struct provider_state *ret_state,
                       struct problem *problem) {
    struct systemd *systemd = (struct systemd *)provider;
    snprintf(systemd->names[0], UNIT_SIZE, "%s@*.service", systemd->options.template);
    systemd->argv[SCOPE_WORDS] = systemd->names[0];
    TRY(run(systemd, "list-units", "--output=json", 1, problem));
    return read_units(systemd, ret_state, problem);
}

static bool is_victim(const struct provider_change *change, const char *unit) {
    for (size_t i = 0; i < change->victims_len; i++) {
        if (slice_eq_text(change->victims[i], unit)) {
            return true;
        }
    }
    return false;
}

static void name_it(struct systemd *systemd, size_t place, int64_t number) {
    snprintf(systemd->names[place], UNIT_SIZE, "%s@%" PRId64 ".service", systemd->options.template,
             number);
    systemd->argv[SCOPE_WORDS + place] = systemd->names[place];
}

/* Picks up to `count` units into argv; returns how many there were. A unit that failed may fail
 * again, so others come before it. */
static size_t pick_to_start(struct systemd *systemd, size_t count) {
    static const enum unit_e turns[] = {UNIT_IS_FREE, UNIT_IS_IN_THE_WAY};
    size_t picked = 0;
    for (size_t turn = 0; turn < sizeof turns / sizeof turns[0]; turn++) {
        for (int64_t number = 1; number <= systemd->options.nodes_max && picked < count; number++) {
            if (systemd->units[number - 1] == turns[turn]) {
                name_it(systemd, picked++, number);
            }
        }
    }
    return picked;
}

enum turn_e { TURN_VICTIMS, TURN_COMING, TURN_HIGHEST, TURNS_LEN };

/* In which turn a unit goes that is wanted so far. */
static enum turn_e turn_of(struct systemd *systemd, const struct provider_change *change,
                           int64_t number) {
    char name[UNIT_SIZE];
    snprintf(name, sizeof name, "%s@%" PRId64 ".service", systemd->options.template, number);
    return is_victim(change, name)                        ? TURN_VICTIMS
           : systemd->units[number - 1] == UNIT_IS_COMING ? TURN_COMING
                                                          : TURN_HIGHEST;
}

static size_t pick_to_stop(struct systemd *systemd, const struct provider_change *change,
                           size_t count) {
    size_t picked = 0;
    for (int turn = 0; turn < TURNS_LEN; turn++) {
        for (int64_t number = PROVIDER_NODES_MAX; number >= 1 && picked < count; number--) {
            if (systemd->units[number - 1] >= UNIT_IS_COMING &&
                (int)turn_of(systemd, change, number) == turn) {
                name_it(systemd, picked++, number);
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
    bool is_more = change->to > change->from;
    if (is_more && change->to > systemd->options.nodes_max) {
        return problem_set(problem, ERR_CONFIG, "max", "%s has at most %" PRId64 " units",
                           systemd->options.template, systemd->options.nodes_max);
    }
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
    arena_fini(&systemd->arena);
    free(systemd->names);
    free(systemd->argv);
    free(systemd);
}

static bool reserve(struct systemd *systemd) {
    systemd->names = calloc(PROVIDER_NODES_MAX, sizeof *systemd->names);
    systemd->argv = calloc(PROVIDER_NODES_MAX + SCOPE_WORDS + 1, sizeof *systemd->argv);
    return systemd->names != NULL && systemd->argv != NULL;
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
    arena_init(&systemd->arena, DOCUMENT_MAX);
    if (!reserve(systemd)) {
        close_it(&systemd->base);
        return ERR_NO_MEMORY;
    }
    *ret_provider = &systemd->base;
    return ERR_OK;
}
