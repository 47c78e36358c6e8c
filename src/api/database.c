/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The database optimizer as it is asked for: the question goes to a thread of the optimizer, the
 * finished document comes back through the loop's mailbox.
 */
#include "api/call_priv.h"
#include "optimizer/service.h"

struct question {
    struct db_job job;
    struct call *call;
};

static void on_done(struct loop_message *message) {
    struct question *question =
        (struct question *)(void *)((char *)message - offsetof(struct question, job.message));
    struct call *call = question->call;
    struct db_job *job = &question->job;
    call_end_waiting(call);
    if (job->err != ERR_OK) {
        call_fail(call, job->err, &job->problem);
    } else {
        call_reply_text(call, "application/json", slice_from(job->text, job->len));
    }
    db_job_fini(job); /* the answer has its own copy */
}

static enum err_e ask(struct call *call, enum db_job_e kind, enum db_mode_e mode,
                      struct problem *problem) {
    struct db_service *service = call->api->node->optimizer;
    if (service == NULL) {
        return problem_set(problem, ERR_UNAVAILABLE, "", "this node has no optimizer");
    }
    struct question *question = arena_zalloc(call->arena, sizeof *question);
    if (question == NULL) {
        return ERR_NO_MEMORY;
    }
    question->call = call;
    question->job.kind = kind;
    question->job.mode = mode;
    question->job.loop = call->api->loop;
    question->job.message.fn = on_done;
    TRY(db_service_submit(service, &question->job));
    call_begin_waiting(call);
    return ERR_OK;
}

static void reply_with(struct call *call, enum db_job_e kind, enum db_mode_e mode) {
    struct problem problem = {.field = ""};
    enum err_e err = ask(call, kind, mode, &problem);
    if (err != ERR_OK) {
        call_fail(call, err, &problem);
    }
}

void handle_read_database_queries(struct call *call) {
    reply_with(call, DB_JOB_QUERIES, DB_DRY_RUN);
}

void handle_read_database_indexes(struct call *call) {
    reply_with(call, DB_JOB_INDEXES, DB_DRY_RUN);
}

void handle_read_database_partitions(struct call *call) {
    reply_with(call, DB_JOB_PARTITIONS, DB_DRY_RUN);
}

/* {"dry_run":true}; no body is {}. False: it was answered. */
static bool read_mode(struct call *call, enum db_mode_e *ret_mode) {
    struct problem problem = {.field = ""};
    struct body body;
    struct fields fields;
    bool is_dry = false;
    *ret_mode = DB_CARRY_OUT;
    if (http_body(call->request).len == 0) {
        return true;
    }
    if (!call_read_body(call, FIELDS_CREATE, &problem, &body)) {
        return false;
    }
    fields_begin(&fields, body.document, FIELDS_CREATE, &problem);
    fields_bool(&fields, "dry_run", &is_dry);
    if (fields.err != ERR_OK) {
        call_fail(call, fields.err, &problem);
        return false;
    }
    *ret_mode = is_dry ? DB_DRY_RUN : DB_CARRY_OUT;
    return true;
}

static void change(struct call *call, enum db_job_e kind) {
    enum db_mode_e mode;
    if (read_mode(call, &mode)) {
        reply_with(call, kind, mode);
    }
}

void handle_maintain_database(struct call *call) {
    change(call, DB_JOB_MAINTAIN);
}

void handle_optimize_database(struct call *call) {
    change(call, DB_JOB_OPTIMIZE);
}
