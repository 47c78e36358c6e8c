/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logging in and out of the dashboard: a key is shown once, a cookie (api/session.h) stands for it.
 *
 *   POST ─► from this site? ─► key, as for every request ─► cookie
 *
 * The cookie is out of reach of scripts (HttpOnly), is not sent with what other sites start
 * (SameSite=Strict) and is kept to TLS (Secure) when the browser says that it speaks TLS: the
 * origin it names is https, or the trusted proxy that ends TLS says so.
 */
#include "api/call_priv.h"

#include <inttypes.h>
#include <stdio.h>

enum { COOKIE_SIZE = SESSION_TEXT_SIZE + 128, BEARER_SIZE = 16 + API_KEY_TEXT_SIZE };

bool session_origin_is_own(struct slice fetch_site, struct slice origin, struct slice host) {
    if (fetch_site.len > 0) { /* the browser's own word, where it has one */
        return slice_eq_text(fetch_site, "same-origin") || slice_eq_text(fetch_site, "none");
    }
    if (origin.len == 0) {
        return true; /* no browser */
    }
    const struct slice schemes[] = {SLICE_LIT("http://"), SLICE_LIT("https://")};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        if (slice_starts_with(origin, schemes[i])) {
            return slice_eq_nocase(slice_skip(origin, schemes[i].len), host);
        }
    }
    return false;
}

static bool is_own(struct call *call) {
    return session_origin_is_own(http_field(call->request, "sec-fetch-site"),
                                 http_field(call->request, "origin"),
                                 http_field(call->request, "host"));
}

static bool is_over_tls(struct call *call) {
    return slice_starts_with(http_field(call->request, "origin"), SLICE_LIT("https://")) ||
           http_is_tls(call->request);
}

static void set_cookie(struct call *call, const char *text, int64_t life_s) {
    char cookie[COOKIE_SIZE];
    snprintf(cookie, sizeof cookie,
             SESSION_COOKIE "=%s; Path=/; Max-Age=%" PRId64 "; HttpOnly; SameSite=Strict%s", text,
             life_s, is_over_tls(call) ? "; Secure" : "");
    http_add_field(call->request, "set-cookie", slice_of(cookie));
}

/* ends_s 0: no session, but a key or nothing was shown. */
static void reply_who(struct call *call, int64_t ends_s) {
    bool is_off = call->api->node->auth == API_AUTH_OFF;
    struct json_writer *w = call_begin_json(call);
    json_begin_object(w);
    json_put_cstr(w, "auth", is_off ? "off" : "required");
    if (is_off) {
        json_put_null(w, "key");
    } else {
        json_put_text(w, "key", call->auth.id);
    }
    json_put_cstr(w, "scope", key_scope_text(call->scope));
    if (call->bound_event.len == 0) {
        json_put_null(w, "event");
    } else {
        json_put_text(w, "event", call->bound_event);
    }
    if (ends_s == 0) {
        json_put_null(w, "ends_at");
    } else {
        json_put_time(w, "ends_at", ends_s * 1000);
    }
    json_end_object(w);
    call_reply_json(call, 200);
}

void handle_read_session(struct call *call) {
    reply_who(call, call->auth.ends_s);
}

static void on_key(struct auth_request *auth) {
    struct call *call = auth->owner;
    char text[SESSION_TEXT_SIZE];
    call_end_waiting(call);
    if (auth->err != ERR_OK) {
        call_fail(call, auth->err, NULL);
        return;
    }
    int64_t life_s = call->api->node->session_ms / 1000;
    int64_t ends_s = clock_wall_ms(call->api->node->clock) / 1000 + life_s;
    if (!session_format(auth->hash, auth->id, ends_s, text)) {
        call_fail(call, ERR_INTERNAL, NULL);
        return;
    }
    call->scope = auth->scope;
    call->bound_event = auth->event;
    set_cookie(call, text, life_s);
    reply_who(call, ends_s);
}

static enum err_e read_key(struct call *call, const struct body *body, struct problem *problem) {
    struct fields fields;
    struct slice key = SLICE_NONE;
    fields_begin(&fields, body->document, FIELDS_CREATE, problem);
    if (!fields_text(&fields, "key", FIELDS_NULL_IS_WRONG, &key) && fields.err == ERR_OK) {
        return problem_set(problem, ERR_INVALID_FIELD, "key", "must be a key: tk_ID.SECRET");
    }
    TRY(fields.err);
    char header[BEARER_SIZE];
    int len = snprintf(header, sizeof header, "Bearer %.*s", SLICE_ARG(key));
    bool fits = len > 0 && (size_t)len < sizeof header;
    /* What is too long to be a key is no key, and is counted as one that was guessed. */
    call->auth.header = fits ? arena_copy(call->arena, slice_from(header, (size_t)len))
                             : SLICE_LIT("Bearer");
    return call->auth.header.at == NULL ? ERR_NO_MEMORY : ERR_OK;
}

void handle_open_session(struct call *call) {
    struct problem problem;
    struct body body;
    if (!is_own(call)) {
        call_fail(call, ERR_CROSS_SITE, NULL);
        return;
    }
    if (!call_read_body(call, FIELDS_CREATE, &problem, &body)) {
        return;
    }
    enum err_e err = read_key(call, &body, &problem);
    if (err != ERR_OK) {
        call_fail(call, err, &problem);
        return;
    }
    if (call->api->node->auth == API_AUTH_OFF) {
        call->scope = SCOPE_ADMIN;
        reply_who(call, 0);
        return;
    }
    call->auth.peer = http_client(call->request);
    call->auth.done = on_key;
    call->auth.owner = call;
    call_begin_waiting(call);
    auth_check(call->api->auth, &call->auth);
}

void handle_close_session(struct call *call) {
    if (!is_own(call)) {
        call_fail(call, ERR_CROSS_SITE, NULL);
        return;
    }
    set_cookie(call, "", 0);
    call_reply_empty(call, 204);
}
