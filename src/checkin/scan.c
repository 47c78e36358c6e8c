/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One scan on its way:
 *
 *     resting ──submit──► STORE_WAIT ──answer──► ANSWERED ──loop──► resting
 *
 * STORE_WAIT has one outstanding completion, the store's, and one deadline, which the store keeps;
 * a time-out is a result like any other. The answer arrives on the store's thread and is carried to
 * the loop by the job itself, so nothing is allocated on the way.
 */
#include "checkin/checkin_priv.h"

#include "base/assert.h"

#include <stdlib.h>

enum scan_state_e { SCAN_RESTING, SCAN_STORE_WAIT, SCAN_ANSWERED };

static const struct fsm_row moves[] = {
    [SCAN_RESTING] = {"resting", FSM_TO(SCAN_STORE_WAIT)},
    [SCAN_STORE_WAIT] = {"store_wait", FSM_TO(SCAN_ANSWERED)},
    [SCAN_ANSWERED] = {"answered", FSM_TO(SCAN_RESTING)},
};

struct scan_job {
    struct loop_message message; /* first: a message is a job */
    struct checkin *checkin;
    int state;
    struct store_op op;
    struct scan scan;
    struct scan_result result;
    checkin_scan_fn done;
    void *owner;
};

static void fini_job(void *object) {
    store_op_fini(&((struct scan_job *)object)->op);
}

struct checkin *checkin_create(struct loop *loop, struct store *store,
                               const struct checkin_options *options) {
    ASSERT(options->chunk >= 1 && options->chunk <= STORE_SCANS_MAX);
    struct checkin *checkin = calloc(1, sizeof *checkin);
    if (checkin == NULL) {
        return NULL;
    }
    checkin->loop = loop;
    checkin->store = store;
    checkin->options = *options;
    if (!pool_init(&checkin->jobs, sizeof(struct scan_job), options->scans_max, fini_job)) {
        free(checkin);
        return NULL;
    }
    return checkin;
}

void checkin_set_limits(struct checkin *checkin, const struct checkin_options *options) {
    ASSERT(options->chunk >= 1 && options->chunk <= STORE_SCANS_MAX);
    struct store_meter meter = checkin->options.meter;
    size_t scans_max = checkin->options.scans_max;
    checkin->options = *options;
    checkin->options.meter = meter;
    if (!pool_set_limit(&checkin->jobs, options->scans_max)) {
        checkin->options.scans_max = scans_max;
    }
}

void checkin_destroy(struct checkin *checkin) {
    if (checkin != NULL) {
        ASSERT(checkin->batches == 0);
        pool_fini(&checkin->jobs);
        free(checkin);
    }
}

/* On the loop: hands out the result and rests. */
static void deliver(struct loop_message *message) {
    struct scan_job *job = (struct scan_job *)message;
    struct checkin *checkin = job->checkin;
    fsm_move(moves, &job->state, SCAN_RESTING);
    store_meter_see(&checkin->options.meter, &job->op, job->owner);
    job->done(&job->result, job->owner);
    store_op_clear(&job->op);
    pool_give_back(&checkin->jobs, job);
}

/* On the store's thread. */
static void take_answer(struct store_op *op) {
    struct scan_job *job = op->owner;
    fsm_move(moves, &job->state, SCAN_ANSWERED);
    if (op->err != ERR_OK) {
        job->result.err = op->err;
        job->result.problem = op->problem;
    }
    loop_post(job->checkin->loop, &job->message);
}

static struct scan_job *borrow_job(struct checkin *checkin) {
    struct scan_job *job = pool_borrow(&checkin->jobs);
    if (job != NULL && job->checkin == NULL) {
        job->checkin = checkin;
        job->message.fn = deliver;
        store_op_init(&job->op, STORE_CHECK_IN);
    }
    return job;
}

int64_t checkin_deadline_us(const struct checkin *checkin) {
    int64_t wait_ms = checkin->options.deadline_ms;
    return wait_ms == 0 ? 0 : loop_now_us(checkin->loop) + wait_ms * 1000;
}

enum err_e checkin_scan(struct checkin *checkin, struct slice event, const struct scan *scan,
                        checkin_scan_fn done, void *owner) {
    struct scan_job *job = borrow_job(checkin);
    if (job == NULL) {
        return ERR_OVERLOADED;
    }
    job->scan = *scan;
    job->result = (struct scan_result){.err = ERR_OK};
    job->done = done;
    job->owner = owner;
    job->op.event = event;
    job->op.done = take_answer;
    job->op.owner = job;
    job->op.deadline_us = checkin_deadline_us(checkin);
    job->op.check_in.scans = &job->scan;
    job->op.check_in.results = &job->result;
    job->op.check_in.len = 1;
    fsm_move(moves, &job->state, SCAN_STORE_WAIT);
    store_submit(checkin->store, &job->op);
    return ERR_OK;
}
