/* SPDX-License-Identifier: Apache-2.0 */
/* Answers: JSON documents, nothing, and problems. */
#include "api/call_priv.h"

#include <inttypes.h>
#include <stdio.h>

#define JSON_TYPE "application/json"
#define PROBLEM_TYPE "application/problem+json"

void api_trim_out(struct api *api) {
    if (api->out.size > OUT_KEPT) {
        buf_fini(&api->out);
    }
    buf_clear(&api->out);
}

void call_release(struct call *call) {
    if (call->op != NULL) {
        store_op_clear(&call->op->op);
        pool_give_back(&call->api->ops, call->op);
        call->op = NULL;
    }
}

struct json_writer *call_begin_json(struct call *call) {
    buf_clear(&call->api->out);
    json_writer_init(&call->api->json, &call->api->out);
    return &call->api->json;
}

/* What people's data must not do: stay in a shared cache, or be taken for another type. */
static void add_safety_fields(struct http_request *request) {
    http_add_field(request, "cache-control", SLICE_LIT("no-store"));
    http_add_field(request, "x-content-type-options", SLICE_LIT("nosniff"));
}

/* RFC 7234: what a cache answers beyond its life says so, and how old it is. */
static void add_stale_fields(struct call *call) {
    if (call->op == NULL || call->op->op.stale_s == 0) {
        return;
    }
    char age_s[24];
    snprintf(age_s, sizeof age_s, "%" PRId64, call->op->op.stale_s);
    http_add_field(call->request, "age", slice_of(age_s));
    http_add_field(call->request, "warning", SLICE_LIT("110 - \"Response is Stale\""));
}

void call_reply_json(struct call *call, int status) {
    struct api *api = call->api;
    if (api->out.failed) {
        call_fail(call, ERR_NO_MEMORY, NULL);
        return;
    }
    add_stale_fields(call);
    call_release(call);
    add_safety_fields(call->request);
    http_reply(call->request, status, JSON_TYPE, buf_slice(&api->out));
    api_trim_out(api);
}

void call_reply_text(struct call *call, const char *type, struct slice text) {
    call_release(call);
    add_safety_fields(call->request);
    http_reply(call->request, 200, type, text);
}

void call_reply_empty(struct call *call, int status) {
    call_release(call);
    add_safety_fields(call->request);
    http_reply(call->request, status, NULL, SLICE_NONE);
}

static void add_error_fields(struct call *call, enum err_e err) {
    char seconds[24];
    int64_t wait_s = call->auth.retry_after_s > 0 && err == ERR_RATE_LIMITED
                         ? call->auth.retry_after_s
                     : call->retry_after_s > 0 ? call->retry_after_s
                                               : 1;
    if (err_status(err) == 503 || err_status(err) == 429 || err == ERR_BUSY) {
        snprintf(seconds, sizeof seconds, "%" PRId64, wait_s);
        http_add_field(call->request, "retry-after", slice_of(seconds));
    }
    if (err_status(err) == 401) {
        http_add_field(call->request, "www-authenticate",
                       call->auth.header.len == 0
                           ? SLICE_LIT("Bearer realm=\"turnout\"")
                           : SLICE_LIT("Bearer realm=\"turnout\", error=\"invalid_token\""));
    }
}

void call_fail(struct call *call, enum err_e err, const struct problem *problem) {
    struct api *api = call->api;
    struct json_writer *w = call_begin_json(call);
    problem_write(w, err, problem, http_id(call->request));
    call_release(call); /* `problem` may have been the operation's */
    add_error_fields(call, err);
    add_safety_fields(call->request);
    http_reply(call->request, err_status(err), PROBLEM_TYPE, buf_slice(&api->out));
    api_trim_out(api);
}

struct json_writer *call_begin_items(struct call *call) {
    struct json_writer *w = call_begin_json(call);
    json_begin_object(w);
    json_key(w, "items");
    json_begin_array(w);
    return w;
}

void call_reply_items(struct call *call, const struct cursor *next) {
    struct json_writer *w = &call->api->json;
    json_end_array(w);
    if (next == NULL) {
        json_put_null(w, "next");
    } else {
        char text[CURSOR_TEXT_SIZE];
        cursor_format(next, text);
        json_put_cstr(w, "next", text);
    }
    json_end_object(w);
    call_reply_json(call, 200);
}
