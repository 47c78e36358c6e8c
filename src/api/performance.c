/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the monitor knows, as it is asked for: the question goes to its thread, the finished
 * document comes back through the loop's mailbox, so a loop only copies.
 */
#include "api/call_priv.h"
#include "base/assert.h"
#include "monitor/monitor.h"

struct question {
    struct monitor_ask ask;
    struct call *call;
    const char *type; /* of the answer */
};

static void on_document(struct loop_message *message) {
    struct question *question =
        (struct question *)(void *)((char *)message - offsetof(struct question, ask.message));
    struct call *call = question->call;
    struct document *document = question->ask.document;
    call_end_waiting(call);
    if (document == NULL) {
        call_fail(call, ERR_NO_MEMORY, NULL);
        return;
    }
    call_reply_text(call, question->type, document_text(document));
    document_unref(document);
}

static enum err_e ask(struct call *call, enum monitor_document_e kind, const char *type,
                      struct problem *problem) {
    struct monitor *monitor = call->api->node->monitor;
    if (monitor == NULL) {
        return problem_set(problem, ERR_UNAVAILABLE, "", "this node has no monitor");
    }
    struct question *question = arena_zalloc(call->arena, sizeof *question);
    if (question == NULL) {
        return ERR_NO_MEMORY;
    }
    question->call = call;
    question->type = type;
    question->ask.kind = kind;
    question->ask.loop = call->api->loop;
    question->ask.message.fn = on_document;
    TRY(monitor_ask(monitor, &question->ask));
    call_begin_waiting(call);
    return ERR_OK;
}

static void reply_with(struct call *call, enum monitor_document_e kind, const char *type) {
    struct problem problem = {.field = ""};
    enum err_e err = ask(call, kind, type, &problem);
    if (err != ERR_OK) {
        call_fail(call, err, &problem);
    }
}

#define JSON_TYPE "application/json"

void handle_read_performance(struct call *call) {
    reply_with(call, DOCUMENT_PERFORMANCE, JSON_TYPE);
}

void handle_read_kpi(struct call *call) {
    reply_with(call, DOCUMENT_KPI, JSON_TYPE);
}

void handle_read_performance_history(struct call *call) {
    struct problem problem;
    struct slice step = SLICE_LIT("60");
    bool by_seconds = query_get(&call->query, "step", &step) && slice_eq_text(step, "1");
    if (!by_seconds && !slice_eq_text(step, "60")) {
        call_fail(call, problem_set(&problem, ERR_INVALID_FIELD, "step", "must be 1 or 60"),
                  &problem);
        return;
    }
    reply_with(call, by_seconds ? DOCUMENT_SECONDS : DOCUMENT_HISTORY, JSON_TYPE);
}

#define OPENMETRICS "application/openmetrics-text"

/* Whoever names it at all, as Prometheus does, can read it. */
static bool slice_has(struct slice accept, const char *type) {
    struct slice part;
    while (slice_next(&accept, ',', &part)) {
        if (slice_starts_with(slice_trim(part), slice_of(type))) {
            return true;
        }
    }
    return false;
}

void handle_metrics(struct call *call) {
    bool wants_open = slice_has(http_field(call->request, "accept"), OPENMETRICS);
    reply_with(call, wants_open ? DOCUMENT_OPENMETRICS : DOCUMENT_METRICS,
               wants_open ? METRICS_OPEN_TYPE : METRICS_TYPE);
}

void handle_read_suggestions(struct call *call) {
    static const enum monitor_document_e kinds[SUGGESTION_LANG_COUNT] = {
        [LANG_EN] = DOCUMENT_SUGGESTIONS_EN,
        [LANG_KO] = DOCUMENT_SUGGESTIONS_KO,
    };
    enum suggestion_lang_e lang = LANG_EN;
    struct slice word;
    if (query_get(&call->query, "lang", &word) && !suggestion_lang_parse(word, &lang)) {
        struct problem problem;
        call_fail(call, problem_set(&problem, ERR_INVALID_FIELD, "lang", "must be en or ko"),
                  &problem);
        return;
    }
    reply_with(call, kinds[lang], JSON_TYPE);
}
