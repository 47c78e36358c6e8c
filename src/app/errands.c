/* SPDX-License-Identifier: Apache-2.0 */
/* Questions to the optimizer and to the cache, and what came of them. */
#include "app/errands.h"

#include "base/assert.h"
#include "cache/keeper.h"
#include "optimizer/service.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { REPORT_MEMORY = 16 << 20 };

struct errand {
    union { /* first: both begin with their message */
        struct db_job job;
        struct keeper_ask ask;
    };
    atomic_bool is_done;
};

struct errands {
    const struct api_node *api_node;
    struct errand *under_way[ACTION_COUNT]; /* NULL: none; one that was left stays until it ends */
};

struct errands *errands_create(const struct api_node *api_node) {
    struct errands *errands = calloc(1, sizeof *errands);
    if (errands != NULL) {
        errands->api_node = api_node;
    }
    return errands;
}

/* On the thread that carried it out; the last thing that touches it from there. */
static void on_done(struct loop_message *message) {
    atomic_store_explicit(&((struct errand *)message)->is_done, true, memory_order_release);
}

static bool is_done(struct errand *errand) {
    return atomic_load_explicit(&errand->is_done, memory_order_acquire);
}

static void drop(struct errands *errands, enum action_e action) {
    struct errand *errand = errands->under_way[action];
    errands->under_way[action] = NULL;
    if (errand != NULL && action == ACTION_OPTIMIZE_QUERIES) {
        db_job_fini(&errand->job);
    } else if (errand != NULL) {
        buf_fini(&errand->ask.document);
    }
    free(errand);
}

void errands_destroy(struct errands *errands) {
    for (int i = 0; errands != NULL && i < ACTION_COUNT; i++) {
        drop(errands, (enum action_e)i);
    }
    free(errands);
}

/* One that has ended stays until somebody asks what came of it, or begins another. */
const char *errands_refuse(const struct errands *errands, enum action_e action) {
    struct errand *last = errands->under_way[action];
    if (action == ACTION_INVALIDATE_CACHE && errands->api_node->cache == NULL) {
        return "this node has no cache: cache.policy";
    }
    return last == NULL || is_done(last) ? NULL : "the last one has not ended yet";
}

static enum err_e send(struct errands *errands, enum action_e action, struct errand *errand) {
    if (action == ACTION_OPTIMIZE_QUERIES) {
        errand->job = (struct db_job){
            .message.fn = on_done, .kind = DB_JOB_OPTIMIZE, .mode = DB_CARRY_OUT};
        return db_service_submit(errands->api_node->optimizer, &errand->job);
    }
    errand->ask = (struct keeper_ask){
        .message.fn = on_done, .kind = KEEPER_INVALIDATE, .pattern = SLICE_LIT("*")};
    return keeper_ask(errands->api_node->cache, &errand->ask);
}

MAY_BLOCK enum err_e errands_begin(struct errands *errands, enum action_e action,
                                   struct act_report *ret_report) {
    ASSERT(action == ACTION_OPTIMIZE_QUERIES || action == ACTION_INVALIDATE_CACHE);
    if (errands_refuse(errands, action) != NULL) {
        return ERR_BUSY;
    }
    drop(errands, action);
    struct errand *errand = calloc(1, sizeof *errand);
    enum err_e err = errand == NULL ? ERR_NO_MEMORY : send(errands, action, errand);
    if (err != ERR_OK) {
        snprintf(ret_report->detail, ACT_DETAIL_SIZE, "%s", err_code(err));
        free(errand);
        return err;
    }
    errands->under_way[action] = errand;
    ret_report->goes_on = true;
    return ERR_OK;
}

/* ---- what came of it ---- */

static int64_t count_of(const struct json_t *counts, const char *word) {
    const struct json_t *value = counts == NULL ? NULL : json_get(counts, word);
    return value != NULL && json_kind(value) == JSON_KIND_INTEGER ? json_int(value) : 0;
}

/* What the optimizer's report comes to. A run whose every step failed has failed. */
static enum err_e tell_report(struct slice text, char ret_detail[ACT_DETAIL_SIZE]) {
    struct arena arena;
    struct json_t *report;
    struct problem ignored;
    arena_init(&arena, REPORT_MEMORY);
    enum err_e err = json_parse(&arena, text, &report, &ignored);
    if (err == ERR_OK) {
        const struct json_t *counts = json_get(report, "counts");
        int64_t done = count_of(counts, "done"), failed = count_of(counts, "failed");
        snprintf(ret_detail, ACT_DETAIL_SIZE,
                 "the optimizer did %lld steps, left out %lld, took back %lld; %lld failed",
                 (long long)done, (long long)count_of(counts, "skipped"),
                 (long long)count_of(counts, "undone"), (long long)failed);
        err = failed > 0 && done == 0 ? ERR_IO : ERR_OK;
    }
    arena_fini(&arena);
    return err;
}

static enum err_e tell_job(const struct db_job *job, char ret_detail[ACT_DETAIL_SIZE]) {
    if (job->err == ERR_OK) {
        return tell_report(slice_from(job->text, job->len), ret_detail);
    }
    snprintf(ret_detail, ACT_DETAIL_SIZE, "%s: %.200s", err_code(job->err), job->problem.detail);
    return job->err;
}

static enum err_e tell_ask(const struct keeper_ask *ask, char ret_detail[ACT_DETAIL_SIZE]) {
    snprintf(ret_detail, ACT_DETAIL_SIZE, "%s: %llu entries of this node, %llu keys of Redis",
             ask->err == ERR_OK ? "dropped" : err_code(ask->err),
             (unsigned long long)ask->l1_entries, (unsigned long long)ask->l2_keys);
    return ask->err;
}

MAY_BLOCK enum err_e errands_go_on(struct errands *errands, enum action_e action,
                                   struct act_report *ret_report) {
    struct errand *errand = errands->under_way[action];
    ASSERT(errand != NULL);
    ret_report->goes_on = !is_done(errand);
    if (ret_report->goes_on) {
        return ERR_OK;
    }
    enum err_e err = action == ACTION_OPTIMIZE_QUERIES
                         ? tell_job(&errand->job, ret_report->detail)
                         : tell_ask(&errand->ask, ret_report->detail);
    drop(errands, action);
    return err;
}
