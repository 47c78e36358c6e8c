/* SPDX-License-Identifier: Apache-2.0 */
/* From a document and a receiver to a request or a message. */
#include "act/deliver.h"

#include "act/mail.h"
#include "act/seal.h"
#include "act/secret.h"
#include "act/web.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { VALUE_SIZE = 4096, ARENA_LIMIT = 4 << 20, FIELD_SIZE = 4200 };

/* What a try needs of its receiver, with the secrets that stand elsewhere. */
struct address {
    char url[VALUE_SIZE], secret[VALUE_SIZE], password[VALUE_SIZE];
};

/* One try. */
struct attempt {
    const struct receiver *receiver;
    struct slice body; /* the document */
    const struct json_t *document;
    struct clock *clock;
    const atomic_bool *cancel;
    struct address address;
    struct buf rendered;
    char *detail;
};

static enum delivery_e say(struct attempt *attempt, enum delivery_e state, const char *what) {
    snprintf(attempt->detail, NOTIFIER_DETAIL_SIZE, "%s", what);
    return state;
}

/* ---- secrets ---- */

/* "file:PATH", "env:NAME" or the value itself. */
MAY_BLOCK static enum err_e resolve(const char *text, const char *key, char ret[VALUE_SIZE],
                                    struct problem *problem) {
    if (strncmp(text, "file:", 5) == 0) {
        return secret_read(text + 5, key, ret, VALUE_SIZE, problem);
    }
    bool is_named = strncmp(text, "env:", 4) == 0;
    const char *value = is_named ? getenv(text + 4) : text;
    if (value == NULL || (is_named && value[0] == '\0')) {
        return problem_set(problem, ERR_CONFIG, key, "%s: the variable %.100s is not set", key,
                           text + 4);
    }
    return slice_to_cstr(slice_of(value), ret, VALUE_SIZE)
               ? ERR_OK
               : problem_set(problem, ERR_CONFIG, key, "%s is too long", key);
}

MAY_BLOCK static enum err_e resolve_all(struct attempt *attempt, struct problem *problem) {
    const struct receiver *receiver = attempt->receiver;
    TRY(resolve(receiver->url, "url", attempt->address.url, problem));
    TRY(resolve(receiver->secret, "secret", attempt->address.secret, problem));
    return resolve(receiver->password, "password", attempt->address.password, problem);
}

/* ---- HTTP ---- */

static enum delivery_e judge_http(int status) {
    bool may_pass = status == 408 || status == 425 || status == 429;
    return status >= 200 && status < 300                 ? DELIVERY_DELIVERED
           : status >= 400 && status < 500 && !may_pass ? DELIVERY_REFUSED
                                                         : DELIVERY_WAITING;
}

struct fields {
    char id[128], secret[FIELD_SIZE];
    const char *all[3];
};

/* False without memory. */
static bool fill_fields(const struct attempt *attempt, struct fields *fields) {
    const char *secret = attempt->address.secret;
    *fields = (struct fields){.all = {fields->id}};
    snprintf(fields->id, sizeof fields->id, "X-Turnout-Id: %.*s",
             SLICE_ARG(json_text_at(attempt->document, "id", SLICE_LIT(""))));
    if (secret[0] == '\0') {
        return true;
    }
    fields->all[1] = fields->secret;
    if (attempt->receiver->type == RECEIVER_ALERTMANAGER) {
        snprintf(fields->secret, sizeof fields->secret, "Authorization: Bearer %s", secret);
        return true;
    }
    char seconds[24], seal[SEAL_SIZE];
    snprintf(seconds, sizeof seconds, "%lld",
             (long long)(clock_wall_ms(attempt->clock) / 1000));
    const struct slice parts[] = {slice_of(seconds), buf_slice(&attempt->rendered)};
    bool sealed = seal_make(slice_of(secret), parts, 2, seal);
    snprintf(fields->secret, sizeof fields->secret, "X-Turnout-Signature: t=%s,v1=%s", seconds,
             seal);
    return sealed;
}

MAY_BLOCK static enum delivery_e send_http(struct attempt *attempt) {
    const struct receiver *receiver = attempt->receiver;
    struct fields fields;
    struct problem problem = {.detail = ""};
    struct buf answer;
    int status = 0;
    struct web *web = web_create(&(struct web_options){
        .base_url = attempt->address.url,
        .ca_file = receiver->ca_file[0] == '\0' ? NULL : receiver->ca_file,
        .timeout_ms = receiver->timeout_ms,
        .shown = receiver->name, /* the address may be a secret */
        .cancel = attempt->cancel});
    if (web == NULL || !fill_fields(attempt, &fields)) {
        web_destroy(web);
        return say(attempt, DELIVERY_WAITING, "no memory");
    }
    buf_init(&answer, WEB_BODY_MAX);
    enum err_e err = web_send(
        web,
        &(struct web_request){
            .method = "POST",
            .path = receiver->type == RECEIVER_ALERTMANAGER ? "/api/v2/alerts" : "",
            .content_type = "application/json",
            .body = buf_slice(&attempt->rendered),
            .fields = fields.all},
        &status, &answer, &problem);
    explicit_bzero(&fields, sizeof fields);
    web_destroy(web);
    buf_fini(&answer);
    if (err != ERR_OK) {
        return say(attempt, DELIVERY_WAITING, problem.detail);
    }
    char text[32];
    snprintf(text, sizeof text, "HTTP %d", status);
    return say(attempt, judge_http(status), text);
}

/* ---- SMTP ---- */

MAY_BLOCK static enum delivery_e send_mail(struct attempt *attempt) {
    const struct receiver *receiver = attempt->receiver;
    struct problem problem = {.detail = ""};
    int status = 0;
    int64_t at_ms = clock_wall_ms(attempt->clock);
    (void)time_parse(json_text_at(attempt->document, "at", SLICE_LIT("")), &at_ms);
    enum err_e err = mail_send(
        &(struct mail_options){
            .url = attempt->address.url,
            .needs_tls = receiver->tls == RECEIVER_TLS_REQUIRED,
            .ca_file = receiver->ca_file[0] == '\0' ? NULL : receiver->ca_file,
            .user = receiver->user[0] == '\0' ? NULL : receiver->user,
            .password = attempt->address.password,
            .timeout_ms = receiver->timeout_ms,
            .cancel = attempt->cancel},
        &(struct mail){.from = receiver->from,
                       .to = receiver->to,
                       .subject = json_text_at(attempt->document, "title", SLICE_LIT("turnout")),
                       .text = buf_slice(&attempt->rendered),
                       .id = json_text_at(attempt->document, "id", SLICE_LIT("0")),
                       .at_ms = at_ms},
        &status, &problem);
    if (err == ERR_OK) {
        return say(attempt, DELIVERY_DELIVERED, "");
    }
    return say(attempt, status >= 500 && status < 600 ? DELIVERY_REFUSED : DELIVERY_WAITING,
               problem.detail);
}

/* ---- a try ---- */

MAY_BLOCK static enum delivery_e send_rendered(struct attempt *attempt) {
    struct problem problem = {.detail = ""};
    if (attempt->rendered.failed) {
        return say(attempt, DELIVERY_REFUSED, "it is too large");
    }
    if (resolve_all(attempt, &problem) != ERR_OK) {
        return say(attempt, DELIVERY_WAITING, problem.detail); /* until somebody puts it there */
    }
    return attempt->receiver->type == RECEIVER_EMAIL ? send_mail(attempt) : send_http(attempt);
}

MAY_BLOCK enum delivery_e deliver_notice(const struct receiver *receiver, struct slice body,
                                         struct clock *clock, const atomic_bool *cancel,
                                         char ret_detail[NOTIFIER_DETAIL_SIZE]) {
    struct attempt *attempt = calloc(1, sizeof *attempt);
    struct json_t *document = NULL;
    struct problem problem = {.detail = ""};
    struct arena arena;
    enum delivery_e state = DELIVERY_REFUSED;
    if (attempt == NULL) {
        snprintf(ret_detail, NOTIFIER_DETAIL_SIZE, "no memory");
        return DELIVERY_WAITING;
    }
    arena_init(&arena, ARENA_LIMIT);
    buf_init(&attempt->rendered, 4 * NOTICE_DOCUMENT_MAX);
    attempt->receiver = receiver;
    attempt->body = body;
    attempt->clock = clock;
    attempt->cancel = cancel;
    attempt->detail = ret_detail;
    if (json_parse(&arena, body, &document, &problem) == ERR_OK) {
        attempt->document = document;
        notice_render(&attempt->rendered, (enum receiver_type_e)receiver->type, document, body);
        state = send_rendered(attempt);
    } else {
        (void)say(attempt, state, problem.detail);
    }
    buf_fini(&attempt->rendered);
    arena_fini(&arena);
    explicit_bzero(attempt, sizeof *attempt);
    free(attempt);
    return state;
}
