/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache as it is asked for: the question goes to the loop that looks after it, the answer comes
 * back through the mailbox of this one.
 */
#include "api/call_priv.h"
#include "cache/keeper.h"

#define JSON_TYPE "application/json"

struct question {
    struct keeper_ask ask; /* first: its message is the question's */
    struct call *call;
};

static void reply_invalidated(struct call *call, const struct keeper_ask *ask) {
    struct json_writer *w = call_begin_json(call);
    json_begin_object(w);
    json_put_text(w, "pattern", ask->pattern);
    json_put_int(w, "l1_entries", (int64_t)ask->l1_entries);
    json_put_int(w, "l2_keys", (int64_t)ask->l2_keys);
    json_end_object(w);
    call_reply_json(call, 200);
}

static void on_answer(struct loop_message *message) {
    struct question *question = (struct question *)message;
    struct keeper_ask *ask = &question->ask;
    struct call *call = question->call;
    struct buf document = ask->document; /* the question goes with the answered call */
    call_end_waiting(call);
    if (ask->err != ERR_OK) {
        call_fail(call, ask->err, &ask->problem);
    } else if (ask->kind == KEEPER_INVALIDATE) {
        reply_invalidated(call, ask);
    } else {
        call_reply_text(call, JSON_TYPE, buf_slice(&document));
    }
    buf_fini(&document);
}

static enum err_e ask(struct call *call, enum keeper_ask_e kind, struct slice pattern,
                      struct problem *problem) {
    struct keeper *keeper = call->api->node->cache;
    if (keeper == NULL) {
        return problem_set(problem, ERR_UNAVAILABLE, "", "this node has no cache: cache.policy");
    }
    struct question *question = arena_zalloc(call->arena, sizeof *question);
    if (question == NULL) {
        return ERR_NO_MEMORY;
    }
    question->call = call;
    question->ask.kind = kind;
    question->ask.pattern = pattern;
    question->ask.loop = call->api->loop;
    question->ask.message.fn = on_answer;
    TRY(keeper_ask(keeper, &question->ask));
    call_begin_waiting(call);
    return ERR_OK;
}

static void reply_with(struct call *call, enum keeper_ask_e kind, struct slice pattern) {
    struct problem problem = {.field = ""};
    enum err_e err = ask(call, kind, pattern, &problem);
    if (err != ERR_OK) {
        call_fail(call, err, &problem);
    }
}

void handle_read_cache(struct call *call) {
    reply_with(call, KEEPER_FIGURES, SLICE_NONE);
}

void handle_preload_cache(struct call *call) {
    reply_with(call, KEEPER_PRELOAD, SLICE_NONE);
}

void handle_warm_cache(struct call *call) {
    reply_with(call, KEEPER_WARM, SLICE_NONE);
}

void handle_invalidate_cache(struct call *call) {
    struct problem problem = {.field = ""};
    struct body body;
    struct fields fields;
    struct slice pattern = SLICE_NONE;
    if (!call_read_body(call, FIELDS_CREATE, &problem, &body)) {
        return;
    }
    fields_begin(&fields, body.document, FIELDS_CREATE, &problem);
    fields_text(&fields, "pattern", FIELDS_NULL_IS_WRONG, &pattern);
    if (fields.err == ERR_OK && (pattern.len == 0 || pattern.len > TIERED_KEY_MAX)) {
        fields.err = problem_set(&problem, ERR_INVALID_FIELD, "pattern", "must have 1 to %d bytes",
                                 TIERED_KEY_MAX);
    }
    if (fields.err != ERR_OK) {
        call_fail(call, fields.err, &problem);
        return;
    }
    reply_with(call, KEEPER_INVALIDATE, pattern);
}
