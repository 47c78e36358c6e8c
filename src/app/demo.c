/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the demo event, or what is missing of it. */
#include "app/demo.h"

#include "app/progress.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

static const char event_code[] = "demo";

/* People of one group and the rows that point at them. */
struct group {
    struct demo_person people[DEMO_GROUP];
    struct import_row rows[DEMO_GROUP];
};

struct demo {
    const struct demo_options *options;
    struct store_op op; /* used again and again */
    struct demo_counts *counts;
    struct problem *problem;
    struct group *group;
    struct progress progress;
};

/* The op anew, as the next operation on the event. */
static void renew(struct demo *demo, enum store_op_e kind) {
    store_op_fini(&demo->op);
    store_op_init(&demo->op, kind);
    demo->op.event = slice_of(event_code);
}

/* Runs the op; ERR_CONFLICT passes as done, for what exists is left alone. */
MAY_BLOCK static enum err_e run(struct demo *demo, int64_t *made) {
    enum err_e err = store_run(demo->options->store, &demo->op);
    if (err == ERR_OK) {
        *made += 1;
    } else if (err != ERR_CONFLICT) {
        *demo->problem = demo->op.problem;
        return err;
    }
    return ERR_OK;
}

MAY_BLOCK static enum err_e make_event(struct demo *demo) {
    renew(demo, STORE_CREATE_EVENT);
    demo->op.event_write.values = (struct event){
        .code = slice_of(event_code),
        .name = SLICE_LIT("Demo: doors open"),
        .timezone = SLICE_LIT("Asia/Seoul"),
        .starts_at_ms = TIME_NONE,
        .ends_at_ms = TIME_NONE,
        .capacity = CAPACITY_NONE,
        .reentry = REENTRY_AFTER_EXIT,
    };
    int64_t ignored = 0;
    return run(demo, &ignored);
}

MAY_BLOCK static enum err_e make_gates(struct demo *demo) {
    static const char *const sides[] = {"North", "East", "South", "West"};
    for (int i = 1; i <= DEMO_GATES; i++) {
        char code[8], name[32];
        snprintf(code, sizeof code, "g%02d", i);
        snprintf(name, sizeof name, "%s %d", sides[(i - 1) / 10 % 4], (i - 1) % 10 + 1);
        renew(demo, STORE_CREATE_GATE);
        demo->op.gate_write.values =
            (struct gate){.code = slice_of(code), .name = slice_of(name), .status = GATE_OPEN};
        TRY(run(demo, &demo->counts->gates));
    }
    return ERR_OK;
}

/* Groups are made in order and whole, so the last person of a group speaks for all of it. */
MAY_BLOCK static enum err_e group_is_there(struct demo *demo, int first, bool *ret_there) {
    struct demo_person last;
    demo_person(first + DEMO_GROUP - 1, &last);
    renew(demo, STORE_LIST_PARTICIPANTS);
    demo->op.participants.token = slice_of(last.token);
    demo->op.participants.limit = 1;
    enum err_e err = store_run(demo->options->store, &demo->op);
    *demo->problem = demo->op.problem;
    *ret_there = err == ERR_OK && demo->op.participants.len > 0;
    return err;
}

MAY_BLOCK static enum err_e make_group(struct demo *demo, int first) {
    struct group *group = demo->group;
    for (int i = 0; i < DEMO_GROUP; i++) {
        struct demo_person *person = &group->people[i];
        demo_person(first + i, person);
        group->rows[i] = (struct import_row){
            .values = {.token = slice_of(person->token),
                       .name = slice_of(person->name),
                       .email = slice_of(person->email)},
            .fields = PARTICIPANT_TOKEN | PARTICIPANT_NAME | PARTICIPANT_EMAIL,
        };
    }
    renew(demo, STORE_IMPORT_PARTICIPANTS);
    demo->op.import.rows = group->rows;
    demo->op.import.len = DEMO_GROUP;
    enum err_e err = store_run(demo->options->store, &demo->op);
    *demo->problem = demo->op.problem;
    for (int i = 0; err == ERR_OK && i < DEMO_GROUP; i++) {
        demo->counts->participants += group->rows[i].ret_outcome == IMPORT_CREATED;
    }
    return err;
}

MAY_BLOCK static enum err_e make_people(struct demo *demo) {
    for (int first = 1; first <= DEMO_PARTICIPANTS; first += DEMO_GROUP) {
        bool there;
        if (demo->options->should_stop(demo->options->data)) {
            return problem_set(demo->problem, ERR_DRAINING, "",
                               "stopped before the demo was whole");
        }
        TRY(group_is_there(demo, first, &there));
        if (!there) {
            TRY(make_group(demo, first));
        }
        progress_step(&demo->progress, first + DEMO_GROUP - 1, first + DEMO_GROUP - 1);
    }
    return ERR_OK;
}

MAY_BLOCK static enum err_e make_all(struct demo *demo) {
    TRY(make_event(demo));
    TRY(make_gates(demo));
    return make_people(demo);
}

enum err_e demo_make(const struct demo_options *options, struct demo_counts *ret_counts,
                     struct problem *ret_problem) {
    struct demo demo = {.options = options, .counts = ret_counts, .problem = ret_problem};
    *ret_counts = (struct demo_counts){0};
    *ret_problem = (struct problem){0};
    demo.group = malloc(sizeof *demo.group);
    if (demo.group == NULL) {
        return problem_set(ret_problem, ERR_NO_MEMORY, "", "no memory for the demo's people");
    }
    store_op_init(&demo.op, STORE_CREATE_EVENT);
    log_event(LOG_INFO, "demo_begins", "participants=%d gates=%d", DEMO_PARTICIPANTS, DEMO_GATES);
    progress_begin(&demo.progress, "demo", DEMO_PARTICIPANTS, options->clock);
    enum err_e err = make_all(&demo);
    progress_end(&demo.progress);
    store_op_fini(&demo.op);
    free(demo.group);
    if (err == ERR_OK) {
        log_event(LOG_INFO, "demo_ready", "gates_made=%lld participants_made=%lld",
                  (long long)ret_counts->gates, (long long)ret_counts->participants);
    }
    return err;
}
